//! Several processes on one file, and processes that are killed during a write.
//!
//! The child processes run this same test program with the test `child`.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it counted"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::{End, EndRequest, SideEffects, TokenStore};
use connector_core::{ConnectionId, ConnectionKey, TenantId};
use connector_store_sqlite::{SqliteOptions, SqliteStore};
use connector_testkit::history::{Actor, Entry, Operation, Recorder, Stamps, check};
use connector_testkit::{StoreFixture, artefacts, store, trace};

/// The task of a child process, in the form `directory|number|role`.
const ORDER: &str = "CONNECTORS_TEST_CHILD";
/// Number of connections in the test with two processes. Each process has two actors per
/// connection.
const CONNECTIONS: u32 = 100;
/// Number of calls per actor.
const CALLS: u32 = 250;
/// Number of processes to kill.
const KILLS: u32 = 510;
/// Number of killed processes per connection, one after the other. Each leaves one call with an
/// unknown outcome, and the checker tries every combination of these outcomes.
const KILLS_PER_CONNECTION: u32 = 3;

fn key(number: u32) -> ConnectionKey {
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&number.to_be_bytes());
    let tenant = TenantId::new("t1").unwrap();
    ConnectionKey::new(tenant, ConnectionId::from_bytes(bytes))
}

fn database(directory: &Path) -> PathBuf {
    directory.join("store.db")
}

fn start(directory: &Path, number: u32, role: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env(ORDER, format!("{}|{number}|{role}", directory.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

#[test]
#[ignore = "a process of its own, started by the tests below"]
#[expect(
    clippy::disallowed_methods,
    reason = "the environment contains the task of a child process"
)]
fn child() {
    let Ok(order) = std::env::var(ORDER) else {
        return;
    };
    trace::init();
    let parts: Vec<&str> = order.rsplitn(3, '|').collect();
    let (role, number, directory) = (parts[0], parts[1].parse().unwrap(), Path::new(parts[2]));
    runtime().block_on(async {
        match role {
            "share" => share(directory, number).await,
            "write" => write_until_killed(directory, number).await,
            other => panic!("no such role: {other}"),
        }
    });
}

/// Runs two actors on every connection, four connections at a time.
async fn share(directory: &Path, process: u32) {
    let store = Arc::new(SqliteStore::open(database(directory)).await.unwrap());
    let stamps = Arc::new(Stamps::shared(&directory.join("stamps")).unwrap());
    let mut log = File::create(directory.join(format!("history-{process}"))).unwrap();
    let connections: Vec<u32> = (0..CONNECTIONS).collect();
    for batch in connections.chunks(4) {
        let mut actors = Vec::new();
        for (connection, half) in batch.iter().flat_map(|it| [(*it, 0), (*it, 1)]) {
            let (store, stamps) = (Arc::clone(&store), Arc::clone(&stamps));
            actors.push(tokio::spawn(async move {
                let recorder = Recorder::new(store.as_ref(), &stamps);
                let mut actor = Actor::new(u64::from(connection), process * 2 + half);
                let mut lines = String::new();
                for _ in 0..CALLS {
                    let call = actor.next_call();
                    let (entry, error) = recorder.call(&key(connection), call).await.unwrap();
                    if let Some(error) = error {
                        panic!("{:?} failed: {}", entry.operation, error.report());
                    }
                    if let Some((_, outcome)) = &entry.end {
                        actor.learn(&entry.operation, outcome);
                    }
                    lines.push_str(&entry.to_line().unwrap());
                    lines.push('\n');
                }
                lines
            }));
        }
        for actor in actors {
            log.write_all(actor.await.unwrap().as_bytes()).unwrap();
        }
    }
}

/// Makes calls until the process is killed. Each call is announced before and recorded after.
async fn write_until_killed(directory: &Path, round: u32) {
    let store = SqliteStore::open(database(directory)).await.unwrap();
    let stamps = Stamps::shared(&directory.join("stamps")).unwrap();
    let recorder = Recorder::new(&store, &stamps);
    let mut log = OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join("history"))
        .unwrap();
    let mut out = std::io::stdout();
    let key = key(round / KILLS_PER_CONNECTION);
    let mut actor = Actor::new(u64::from(round), round);
    loop {
        let entry = recorder.begin(&key, actor.next_call()).unwrap();
        log.write_all(format!("{}\n", entry.to_line().unwrap()).as_bytes())
            .unwrap();
        out.write_all(b"call\n").and_then(|()| out.flush()).unwrap();
        let (entry, error) = recorder.finish(entry).await.unwrap();
        assert!(error.is_none(), "{:?} failed: {error:?}", entry.operation);
        if let Some((_, outcome)) = &entry.end {
            actor.learn(&entry.operation, outcome);
        }
        log.write_all(format!("{}\n", entry.to_line().unwrap()).as_bytes())
            .unwrap();
    }
}

#[test]
fn two_processes_on_one_file_are_linear() {
    let directory = artefacts::directory("two-processes").unwrap();
    let children: Vec<Child> = (0..2)
        .map(|number| start(directory.path(), number, "share"))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(
            output.status.success(),
            "a process returned an error:\n{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let history: Vec<Entry> = (0..2)
        .flat_map(|number| {
            let text = fs::read_to_string(directory.path().join(format!("history-{number}")));
            Entry::read(&text.unwrap()).unwrap()
        })
        .collect();
    let checked = check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    println!(
        "two processes on one file: {} operations on {} connections, {} of them overlapping, in \
         order; 0 errors seen by callers",
        checked.calls, checked.connections, checked.overlapping
    );
    assert_eq!(checked.calls, 100_000);
    assert_eq!(checked.unknown, 0);
    assert!(checked.overlapping > 1_000, "too few operations overlapped");
}

/// A file on which writers were killed, emptied through the store itself.
static KILLED: OnceLock<PathBuf> = OnceLock::new();

/// A fixture that gives every test case a copy of that file instead of a new file.
struct Killed {
    clock: ManualClock,
    directory: artefacts::Directory,
}

#[async_trait]
impl StoreFixture for Killed {
    type Store = SqliteStore;

    async fn create() -> Self {
        let directory = artefacts::directory("killed").unwrap();
        fs::copy(KILLED.get().unwrap(), database(directory.path())).unwrap();
        Self {
            clock: ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000)),
            directory,
        }
    }

    async fn open(&self) -> SqliteStore {
        let options = SqliteOptions::new(database(self.directory.path()));
        options
            .with_clock(Arc::new(self.clock.clone()))
            .open()
            .await
            .unwrap()
    }

    fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }
}

#[test]
fn killed_writers_lose_no_acknowledged_write() {
    trace::init();
    let directory = artefacts::directory("killed-writers").unwrap();
    let mut kills = 0_u32;
    for round in 0..KILLS {
        let mut child = start(directory.path(), round, "write");
        // The number of calls differs in each round, starting with one call.
        let calls = 1 + (round * 7 + round / 11) % 23;
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let seen = lines
            .map_while(Result::ok)
            .filter(|line| line == "call")
            .take(calls as usize);
        assert_eq!(
            seen.count(),
            calls as usize,
            "a writer ended without being killed in round {round}"
        );
        child.kill().unwrap();
        kills += u32::from(!child.wait().unwrap().success());
    }

    let runtime = runtime();
    let connections = KILLS.div_ceil(KILLS_PER_CONNECTION);
    let text = fs::read_to_string(directory.path().join("history")).unwrap();
    let mut history = Entry::read(&text).unwrap();
    runtime.block_on(async {
        let store = SqliteStore::open(database(directory.path())).await.unwrap();
        let stamps = Stamps::shared(&directory.path().join("stamps")).unwrap();
        let recorder = Recorder::new(&store, &stamps);
        for number in 0..connections {
            let (entry, error) = recorder.call(&key(number), Operation::Load).await.unwrap();
            assert!(error.is_none(), "the file cannot be read: {error:?}");
            history.push(entry);
        }
    });
    let checked = check(&history).unwrap_or_else(|violation| panic!("{violation}"));
    println!(
        "writers killed: {kills}; {} calls on {} connections in order, {} of them interrupted",
        checked.calls, checked.connections, checked.unknown
    );
    assert!(kills >= 500 && checked.unknown > 0 && checked.calls > 5_000);

    runtime.block_on(async {
        let store = SqliteStore::open(database(directory.path())).await.unwrap();
        for number in 0..connections {
            let request = EndRequest {
                how: End::Forget,
                at: None,
                revoke: Vec::new(),
                unsubscribe: None,
            };
            store
                .end(&key(number), request, SideEffects::none())
                .await
                .unwrap();
        }
        store.close().await;
    });
    KILLED.set(database(directory.path())).unwrap();
    let cases = store::token_store::cases::<Killed>()
        .into_iter()
        .chain(store::state_store::cases::<Killed>())
        .chain(store::delivery_queue::cases::<Killed>())
        .chain(store::audit_log::cases::<Killed>())
        .chain(store::maintenance_of_a_store::cases::<Killed>());
    let mut passed = 0;
    for case in cases {
        case.run();
        passed += 1;
    }
    println!("cases that pass on the killed file: {passed}");
    assert!(passed >= 100);
}
