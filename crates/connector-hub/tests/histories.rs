//! Invariants that hold after every step of any history.

#![allow(
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "the test prints the counts"
)]

mod provider;

use std::time::Duration;

use connector_core::http::{Sent, TransportErrorKind};
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::store::{AccountRef, Filter, Stored, TokenStore, WorkKind};
use connector_core::{Account, AccountKey, AppKey, ConnectionKey, ErrorKind, Status, TenantId};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use self::provider::{ACME, HOUR, MINUTE, Reply, World, context, keyring};

#[derive(Debug, Clone)]
enum Step {
    /// Connects the account, or reconnects it.
    Connect(usize),
    /// Requests a refresh.
    Refresh(usize),
    /// Makes the provider fail while a token is needed.
    Fail(usize, u8),
    Disconnect(usize),
    /// Restarts the process with other keys, and with an offset of its clock in minutes.
    Restart {
        second_key: bool,
        offset: i64,
    },
    RotateKeys,
    Time(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => (0..3_usize).prop_map(Step::Connect),
        3 => (0..3_usize).prop_map(Step::Refresh),
        4 => ((0..3_usize), (0..6_u8)).prop_map(|(account, kind)| Step::Fail(account, kind)),
        1 => (0..3_usize).prop_map(Step::Disconnect),
        1 => (any::<bool>(), -60..=60_i64).prop_map(|(second_key, offset)| Step::Restart {
            second_key,
            offset,
        }),
        1 => Just(Step::RotateKeys),
        4 => (1..90_u32).prop_map(Step::Time),
    ]
}

fn class() -> impl Strategy<Value = RotationClass> {
    prop_oneof![
        Just(RotationClass::Stable),
        Just(RotationClass::OldTokensLiveOn),
        Just(RotationClass::Grace(Grace::UntilSuccessorUsed {
            max_seconds: 3600
        })),
        Just(RotationClass::Strict),
    ]
}

fn trouble(kind: u8) -> Reply {
    match kind {
        0 => Reply::status(500),
        1 => Reply::status(429),
        2 => Reply::error(401, "invalid_client"),
        3 => Reply::Answer(200, Vec::new(), "<html>".into()),
        4 => Reply::Failed(TransportErrorKind::Timeout, Sent::Maybe),
        _ => Reply::Failed(TransportErrorKind::Connect, Sent::No),
    }
}

#[derive(Default)]
struct Counts {
    steps: usize,
    tokens: usize,
    refreshes: usize,
    ended: usize,
    reconnects: usize,
}

impl Counts {
    fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.tokens += other.tokens;
        self.refreshes += other.refreshes;
        self.ended += other.ended;
        self.reconnects += other.reconnects;
    }
}

struct History {
    world: World,
    keys: [Option<ConnectionKey>; 3],
}

fn name(account: usize) -> String {
    format!("a{account}")
}

impl History {
    async fn take(&mut self, step: &Step, counts: &mut Counts) {
        match step {
            Step::Connect(account) => self.connect(*account, counts).await,
            Step::Refresh(account) => {
                if let Some(key) = self.keys[*account].clone() {
                    let before = self.world.stored(&key).await;
                    let refreshed = self.world.hub.refresh(&key, context());
                    let refreshed = self.world.drive(refreshed).await;
                    let after = self.world.stored(&key).await;
                    // For a process that knew an older token, the newer one counts as the refresh.
                    let moved = after.connection.generation > before.connection.generation;
                    counts.refreshes += usize::from(refreshed.is_ok() && moved);
                    only_the_credential_changed(&before, &after);
                }
            }
            Step::Fail(account, kind) => {
                if let Some(key) = self.keys[*account].clone() {
                    let kind = *kind;
                    self.world.provider.script(move |_| trouble(kind));
                    let refresh = self.world.hub.refresh(&key, context());
                    let _ = self.world.drive(refresh).await;
                    self.world.provider.behave();
                }
            }
            Step::Disconnect(account) => {
                if let Some(key) = self.keys[*account].clone() {
                    self.world.hub.disconnect(&key, context()).await.unwrap();
                    counts.ended += 1;
                }
            }
            Step::Restart { second_key, offset } => {
                let keys = if *second_key {
                    keyring(2, &[1])
                } else {
                    keyring(1, &[2])
                };
                self.world.restart(keys, offset * 60_000);
            }
            Step::RotateKeys => {
                let rotation = self.world.hub.rotate_keys(|_| ());
                let rotation = self.world.drive(rotation).await.unwrap();
                assert!(rotation.complete);
            }
            Step::Time(minutes) => self.world.minutes(*minutes).await,
        }
    }

    async fn connect(&mut self, account: usize, counts: &mut Counts) {
        let tenant = TenantId::new("t1").unwrap();
        let reference = AccountRef {
            tenant,
            provider: ACME,
            app: AppKey::default(),
            account: AccountKey::new(name(account)).unwrap(),
        };
        let found = self.world.store.find(&reference).await.unwrap();
        assert_eq!(found, self.keys[account]);
        match found {
            Some(key) => {
                let over = self.world.stored(&key).await;
                self.world
                    .put(&key, &name(account), HOUR, Some(&over))
                    .await;
                counts.reconnects += 1;
            }
            None => self.keys[account] = Some(self.world.connect(&name(account)).await),
        }
    }

    /// Checks the invariants.
    async fn check(&self, counts: &mut Counts) {
        let listed = self.world.store.list(&Filter::everyone(), None, 100).await;
        let known = self.keys.iter().flatten().count();
        assert_eq!(
            listed.unwrap().items.len(),
            known,
            "one connection per account"
        );
        for (account, key) in self.keys.iter().enumerate() {
            let Some(key) = key else {
                continue;
            };
            let stored = self.world.stored(key).await;
            let connection = &stored.connection;
            let account = name(account);
            let told: Option<String> = connection.metadata.get("name");
            assert_eq!(told.as_deref(), Some(account.as_str()), "metadata survives");
            let token = self.world.drive(self.world.hub.access_token(key)).await;
            if !connection.is_live() {
                assert!(stored.current.is_none() && stored.previous.is_none());
                assert!(stored.pending.is_empty() && stored.claim.is_none());
                let error = token.map(drop).unwrap_err();
                assert_eq!(error.kind(), ErrorKind::NotFound);
                continue;
            }
            assert!(
                !matches!(connection.status, Status::NeedsReauthorization(_)),
                "{} although its provider has only failed",
                connection.status
            );
            assert!(stored.current.is_some());
            assert!(self.world.provider.is_alive(&account));
            if let Ok(token) = token {
                use secrecy::ExposeSecret as _;
                let age = self.world.provider.age(token.secret().expose_secret());
                assert!(age < HOUR, "an expired token is seen as expired");
                let shown = token.secret().expose_secret();
                assert!(
                    shown.contains(&format!(".{account}.")),
                    "of another account"
                );
                counts.tokens += 1;
            }
        }
    }

    /// Checks that an ended connection has no due work after its revocations.
    async fn close(&mut self) {
        self.world.minutes(10).await;
        for key in self.keys.iter().flatten() {
            let disconnect = self.world.hub.disconnect(key, context());
            self.world.drive(disconnect.into_future()).await.unwrap();
        }
        self.world.minutes(10).await;
        self.world.clock.advance(Duration::from_secs(86_400 * 30));
        let due = self.world.store.take_due(&WorkKind::ALL, 100, MINUTE).await;
        assert!(due.unwrap().is_empty());
    }
}

fn only_the_credential_changed(before: &Stored, after: &Stored) {
    let (before, after) = (&before.connection, &after.connection);
    let same: [(&Account, &Account); 1] = [(&before.account, &after.account)];
    assert!(same.iter().all(|(a, b)| a == b));
    assert_eq!(before.metadata, after.metadata);
    assert_eq!(before.key, after.key);
    assert_eq!(before.grant, after.grant);
    assert_eq!(before.created_at, after.created_at);
    assert_eq!(
        (&before.provider, &before.app),
        (&after.provider, &after.app)
    );
}

#[test]
fn any_history_leaves_every_account_alive_or_ended_as_its_owner_wanted() {
    const CASES: u32 = 300;
    let mut counts = Counts::default();
    let mut runner = TestRunner::new_with_rng(
        Config {
            cases: CASES,
            failure_persistence: None,
            ..Config::default()
        },
        TestRunner::deterministic().new_rng(),
    );
    let cell = std::cell::RefCell::new(&mut counts);
    let histories = (class(), proptest::collection::vec(step(), 5..40));
    runner
        .run(&histories, |(class, steps)| {
            let runtime = tokio::runtime::Builder::new_current_thread().build();
            runtime.unwrap().block_on(async {
                let mut counts = Counts::default();
                let mut history = History {
                    world: World::new(class),
                    keys: [None, None, None],
                };
                for step in &steps {
                    history.take(step, &mut counts).await;
                    history.check(&mut counts).await;
                    counts.steps += 1;
                }
                history.close().await;
                cell.borrow_mut().add(&counts);
            });
            Ok(())
        })
        .unwrap();
    println!(
        "histories: {CASES} with {} steps, {} tokens served, {} refreshes, {} reconnects, {} ended",
        counts.steps, counts.tokens, counts.refreshes, counts.reconnects, counts.ended
    );
    assert!(counts.steps > 0 && counts.tokens > 0 && counts.refreshes > 0);
    assert!(counts.reconnects > 0 && counts.ended > 0);
}
