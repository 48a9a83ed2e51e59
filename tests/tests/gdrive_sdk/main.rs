//! Google's own client for Python against the simulated Drive: lists, resumable uploads, downloads,
//! changes, batches, sharing, comments, channels, refreshes and service accounts.
#![expect(
    clippy::panic,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "tests fail by panicking, and print the counts that their claims rest on"
)]

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connector_core::clock::{ManualClock, SystemClock};
use connector_gdrive::scope;
use connector_gdrive::sim::{ChunkFault, Fault, SCOPES, Simulator, SimulatorBuilder};
use connector_testkit::leak::canary;
use connector_tests::gdrive_sdk::{GdriveSdk, Refusal, SimulatedDrive};
use connector_tests::repetitions;
use ring::signature::{KeyPair as _, RsaKeyPair};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::task::block_in_place;

/// The length of a chunk of an upload.
const CHUNK: usize = 256 * 1024;
const USER: &str = "100000000000000000001";
const ROBOT: &str = "robot@example-project.iam.example";
/// The published example key of RFC 7515, appendix A.2.
const KEY: &str = include_str!("../../../crates/connector-gdrive/tests/it/key.pem");

/// The client and its simulator. The tests run on several threads: while one thread waits for the
/// client, the simulator responds on another.
struct App {
    sdk: GdriveSdk,
    sim: Simulator,
    token: SecretString,
    refresh_token: SecretString,
    secret: SecretString,
}

impl App {
    async fn new() -> Option<Self> {
        Self::with(|builder| builder).await
    }

    async fn with(change: impl FnOnce(SimulatorBuilder) -> SimulatorBuilder) -> Option<Self> {
        use connector_core::clock::Clock as _;
        let sdk = GdriveSdk::start().unwrap()?;
        let clock = ManualClock::new(SystemClock::new().now());
        let builder = Simulator::builder(clock).with_mark(canary("gdrive-sdk"));
        let sim = change(builder).start().await.unwrap();
        let (token, refresh_token) = sim.authority().issue(USER, &SCOPES).unwrap();
        let secret = sim.authority().app().client_secret().unwrap().clone();
        Some(Self {
            sdk,
            sim,
            token,
            refresh_token: refresh_token.unwrap(),
            secret,
        })
    }

    fn try_ask<T: DeserializeOwned>(&mut self, what: &str, arguments: Value) -> Result<T, Refusal> {
        let app = self.sim.authority().app();
        let drive = SimulatedDrive {
            client_id: app.client_id(),
            client_secret: &self.secret,
            token: &self.token,
            address: self.sim.server().address(),
        };
        block_in_place(|| self.sdk.ask(drive, what, arguments)).unwrap()
    }

    fn ask<T: DeserializeOwned>(&mut self, what: &str, arguments: Value) -> T {
        let answer = self.try_ask(what, arguments);
        answer.unwrap_or_else(|refusal| panic!("{what}: {refusal:?}"))
    }
}

#[derive(Debug, Deserialize)]
struct Uploaded {
    file: Value,
    progress: Vec<u64>,
}

#[derive(Debug, Deserialize)]
struct Downloaded {
    content: String,
    rounds: usize,
}

#[derive(Debug, Deserialize)]
struct Changed {
    changes: Vec<(String, bool)>,
    token: String,
}

fn content(length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from(at * 31 % 251).unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_lists_every_page_and_reads_refusals() {
    let Some(mut app) = App::new().await else {
        return;
    };
    for number in 0..57 {
        let name = format!("File {number:02} 'x'");
        app.sim.add_file(None, &name, "text/plain", "x").unwrap();
    }
    let all: Vec<String> = app.ask(
        "list_files",
        json!({ "query": "trashed = false", "page_size": 10 }),
    );
    assert_eq!(all.len(), 57);
    let query = "name = 'File 07 \\'x\\'' and not starred = true";
    let one: Vec<String> = app.ask("list_files", json!({ "query": query, "page_size": 10 }));
    assert_eq!(one, ["File 07 'x'"]);
    let wrong = app.try_ask::<Value>(
        "list_files",
        json!({ "query": "name is x", "page_size": 10 }),
    );
    let wrong = wrong.unwrap_err();
    assert_eq!(
        (wrong.status, wrong.reasons),
        (400, vec![Some("invalid".to_owned())])
    );
    let missing = app.try_ask::<Value>(
        "download",
        json!({ "file_id": "nothing-here", "chunk": 99 }),
    );
    assert_eq!(missing.unwrap_err().status, 404);
    println!("files listed by Google's client: {}", all.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_uploads_in_chunks_despite_faults_and_downloads() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let (mut uploads, mut chunks) = (0, 0);
    for round in 0..repetitions(2) {
        for length in [1, CHUNK - 1, CHUNK, CHUNK + 1, 3 * CHUNK, 5 * CHUNK + 123] {
            let bytes = content(length);
            if round % 2 == 1 && length > CHUNK {
                // The client retries a chunk after an error response, but not after a broken
                // connection.
                app.sim
                    .fault_chunks([ChunkFault::Half, ChunkFault::Unavailable]);
            }
            let arguments = json!({
                "name": "Upload", "content": BASE64_STANDARD.encode(&bytes), "chunk": CHUNK,
            });
            let made: Uploaded = app.ask("upload", arguments);
            assert_eq!(made.file["size"], length.to_string());
            let id =
                connector_gdrive::models::FileId::new(made.file["id"].as_str().unwrap()).unwrap();
            assert!(app.sim.content(&id).unwrap() == bytes, "{length}");
            uploads += 1;
            chunks += made.progress.len() + 1;
            let arguments = json!({ "file_id": id.as_str(), "chunk": CHUNK });
            let read: Downloaded = app.ask("download", arguments);
            assert!(BASE64_STANDARD.decode(read.content).unwrap() == bytes);
            assert_eq!(read.rounds, length.div_ceil(CHUNK));
        }
    }
    let first = app.ask::<Uploaded>(
        "upload",
        json!({ "name": "Old", "content": "MQ==", "chunk": CHUNK }),
    );
    let over =
        json!({ "name": "", "content": "MjI=", "chunk": CHUNK, "file_id": first.file["id"] });
    let second: Uploaded = app.ask("upload", over);
    assert_eq!(
        (&second.file["id"], &second.file["size"]),
        (&first.file["id"], &json!("2"))
    );
    let once: Value = app.ask(
        "upload_at_once",
        json!({ "name": "Small", "content": "aGVsbG8=" }),
    );
    assert_eq!(
        (&once["name"], &once["size"]),
        (&json!("Small"), &json!("5"))
    );
    // A download continues after an error response.
    app.sim
        .server()
        .fault("/drive/v3/files/*", Fault::answer(503, ""));
    let again = json!({ "file_id": first.file["id"], "chunk": CHUNK });
    app.ask::<Downloaded>("download", again);
    println!("uploads by Google's client: {uploads} in {chunks} chunks, each downloaded again");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_follows_changes_shares_comments_and_batches() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let token: String = app.ask("start_page_token", json!({}));
    let mut files = Vec::new();
    for number in 0..5 {
        let file = app
            .sim
            .add_file(None, &format!("F{number}"), "text/plain", "x")
            .unwrap();
        files.push(file.to_string());
    }
    let gone = app.sim.add_file(None, "Gone", "text/plain", "x").unwrap();
    app.sim.remove(&gone);
    let seen: Changed = app.ask("changes", json!({ "token": token }));
    let mut expected: Vec<(String, bool)> = files.iter().map(|it| (it.clone(), false)).collect();
    expected.push((gone.to_string(), true));
    assert_eq!(seen.changes, expected);
    let later: Changed = app.ask("changes", json!({ "token": seen.token }));
    assert!(later.changes.is_empty());

    let mut wanted = files.clone();
    wanted.push(gone.to_string());
    let names: Vec<String> = app.ask("batch", json!({ "file_ids": wanted }));
    assert_eq!(names, ["F0", "F1", "F2", "F3", "F4", "error 404"]);
    let share = json!({ "file_id": files[0], "address": "bob@example.com" });
    let roles: Vec<String> = app.ask("share", share);
    assert_eq!(roles, ["owner", "reader"]);
    let comment = json!({ "file_id": files[0], "text": "Why?", "reply": "So." });
    let texts: Vec<String> = app.ask("comment", comment);
    assert_eq!(texts, ["Why?", "So."]);
    let kind = "application/vnd.google-apps.document";
    let document = app.sim.add_file(None, "Doc", kind, "").unwrap();
    let export = json!({ "file_id": document.as_str(), "mime_type": "application/pdf" });
    let text: String = app.ask("export", export);
    assert!(text.starts_with("Doc as application/pdf"));
    let watch = json!({ "channel": "c-1", "address": "https://hooks.example/x" });
    let kind: String = app.ask("watch", watch);
    assert_eq!((kind.as_str(), app.sim.channels()), ("api#channel", 0));
    println!(
        "changes read by Google's client: {}, calls in a batch: {}",
        expected.len(),
        names.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_client_refreshes_and_mints() {
    let body: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = BASE64_STANDARD.decode(body).unwrap();
    let public = RsaKeyPair::from_pkcs8(&der)
        .unwrap()
        .public_key()
        .as_ref()
        .to_vec();
    let Some(mut app) = App::with(|builder| {
        builder
            .with_user(USER, "ada@example.com")
            .with_service_account(ROBOT, public)
    })
    .await
    else {
        return;
    };
    let refresh_token = app.refresh_token.expose_secret().to_owned();
    let refreshed: Value = app.ask(
        "refresh",
        json!({ "refresh_token": refresh_token, "scopes": SCOPES }),
    );
    assert_eq!(
        refreshed["refresh_token"], refresh_token,
        "it does not rotate"
    );
    assert_eq!(refreshed["scopes"].as_array().unwrap().len(), SCOPES.len());
    app.token = refreshed["token"].as_str().unwrap().to_owned().into();
    app.ask::<Vec<String>>(
        "list_files",
        json!({ "query": "trashed = false", "page_size": 10 }),
    );
    app.sim.add_file(None, "Ada's", "text/plain", "x").unwrap();
    let key_file = json!({
        "type": "service_account", "private_key_id": "key-1", "private_key": KEY,
        "client_email": ROBOT, "client_id": "1", "token_uri": "https://oauth2.googleapis.com/token",
    });
    for (user, count) in [(Value::Null, 0), (json!("ada@example.com"), 1)] {
        let mint = json!({ "key_file": key_file, "scopes": [scope::DRIVE], "user": user });
        app.token = app.ask::<String>("mint", mint).into();
        let list = json!({ "query": "trashed = false", "page_size": 10 });
        assert_eq!(app.ask::<Vec<String>>("list_files", list).len(), count);
    }
    println!("tokens for Google's client: 3");
}
