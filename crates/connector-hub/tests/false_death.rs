//! A connection ends only because of failures of its own account.

#![allow(
    clippy::print_stdout,
    clippy::semicolon_if_nothing_returned,
    clippy::too_many_lines,
    clippy::unwrap_used,
    reason = "the test prints the counts"
)]

mod provider;

use std::sync::Arc;

use connector_core::http::{Sent, TransportErrorKind};
use connector_core::provider::description::{AccountHost, IdentityRule, RevocationReach};
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::store::{AuditFilter, AuditLog, Store};
use connector_core::{AppKey, DegradedReason, ErrorKind, Event, ReauthorizationReason, Status};
use connector_store_sqlite::SqliteOptions;

use self::provider::{
    ACME, DUE, HOUR, MINUTE, New, Numbers, OwnApps, Reply, World, access_token, context, drive,
    settle,
};

const CLASSES: [RotationClass; 4] = [
    RotationClass::Stable,
    RotationClass::OldTokensLiveOn,
    RotationClass::Grace(Grace::Time { seconds: 3600 }),
    RotationClass::Strict,
];

/// A failure that must not end a connection.
fn trouble(kind: u64) -> Reply {
    match kind {
        0 => Reply::status(500),
        1 => Reply::Answer(503, vec![("retry-after", "30".into())], "<html>".into()),
        2 => Reply::status(429),
        3 => Reply::Answer(429, vec![("retry-after", "90".into())], String::new()),
        4 => Reply::Failed(TransportErrorKind::Timeout, Sent::Maybe),
        5 => Reply::Failed(TransportErrorKind::Connect, Sent::No),
        6 => Reply::error(401, "invalid_client"),
        7 => Reply::Answer(200, Vec::new(), "<html>busy</html>".into()),
        8 => Reply::status(200),
        _ => Reply::error(400, "invalid_request"),
    }
}

#[tokio::test]
async fn ten_thousand_mixes_end_only_dead_grants() {
    const MIXES: u64 = 10_000;
    let (mut wrong, mut ended, mut recovered) = (0, 0, 0);
    for seed in 0..MIXES {
        let mut numbers = Numbers::new(seed + 1);
        let class = CLASSES[usize::try_from(numbers.below(4)).unwrap()];
        let world = World::new(class);
        let key = world.connect("alpha").await;
        world.clock.advance(DUE);
        for _ in 0..=numbers.below(3) {
            let kind = numbers.below(10);
            world.provider.once(trouble(kind));
            let calls = world.provider.token_calls();
            while world.provider.token_calls() == calls {
                world.minutes(1).await;
            }
            let status = world.status(&key).await;
            wrong += u64::from(matches!(status, Status::NeedsReauthorization(_)));
        }
        let dies = numbers.below(5) == 0;
        if dies {
            world.provider.kill("alpha");
        }
        world.provider.behave();
        let calls = world.provider.token_calls();
        while world.provider.token_calls() == calls {
            world.minutes(1).await;
        }
        match world.status(&key).await {
            Status::NeedsReauthorization(_) if dies => ended += 1,
            Status::Connected if !dies && world.generation(&key).await == 2 => recovered += 1,
            _ => wrong += 1,
        }
    }
    println!("false death: {MIXES} mixes, {wrong} wrong, {recovered} recovered, {ended} ended");
    assert_eq!(wrong, 0);
    assert_eq!(ended + recovered, MIXES);
    assert!(ended > 0 && recovered > 0);
}

#[tokio::test]
async fn a_wrong_client_secret_changes_no_state_and_heals_alone() {
    const CONNECTIONS: usize = 10_000;
    let world = World::new(RotationClass::Strict);
    let mut keys = Vec::new();
    for account in 0..CONNECTIONS {
        keys.push(world.connect(&format!("a{account}")).await);
    }
    world.provider.set_secret_wrong(true);
    world.clock.advance(DUE);
    world.minutes(60).await;
    let calls = world.provider.token_calls();
    let mut changed = 0;
    for key in &keys {
        changed += usize::from(world.status(key).await != Status::Connected);
    }
    let health = world.hub.health().await.unwrap();
    assert!(health.apps[0].is_refused && !health.apps[0].is_braked);
    assert_eq!(health.apps[0].connections["connected"], 10_000);
    world.provider.set_secret_wrong(false);
    world.minutes(30).await;
    let mut recovered = 0;
    for key in &keys {
        recovered += usize::from(world.generation(key).await > 1);
    }
    println!(
        "wrong client secret: {CONNECTIONS} due for an hour, {changed} changed state, {calls} token \
         calls, {recovered} recovered alone"
    );
    assert_eq!((changed, recovered), (0, CONNECTIONS));
    assert!(calls > 0 && calls < 20, "{calls}");
    assert!(!world.hub.health().await.unwrap().apps[0].is_refused);
}

#[tokio::test]
async fn an_account_refused_alone_stops_no_other_and_is_uninstalled_after_three() {
    const OTHERS: usize = 50;
    let world = World::new(RotationClass::Strict);
    let mut others = Vec::new();
    for account in 0..OTHERS {
        others.push(world.connect(&format!("a{account}")).await);
    }
    let alone = world.connect("alone").await;
    let refusals = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
    let counted = std::sync::Arc::clone(&refusals);
    world.provider.script(move |account| {
        if account == "alone" {
            counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            Reply::error(401, "invalid_client")
        } else {
            Reply::Real
        }
    });
    world.clock.advance(DUE);
    let mut rounds = 0;
    while world.status(&alone).await == Status::Connected && rounds < 600 {
        world.minutes(1).await;
        rounds += 1;
    }
    let reason = ReauthorizationReason::AppNotInstalled;
    assert_eq!(
        world.status(&alone).await,
        Status::NeedsReauthorization(reason)
    );
    let refusals = refusals.load(std::sync::atomic::Ordering::SeqCst);
    let mut unharmed = 0;
    for key in &others {
        unharmed += usize::from(world.status(key).await == Status::Connected);
        assert!(world.generation(key).await > 1);
    }
    println!("refused alone: {refusals} refusals, {unharmed} of {OTHERS} others unharmed");
    assert_eq!(unharmed, OTHERS);
    assert!(refusals >= 3);
}

#[tokio::test]
async fn a_wave_of_dead_grants_stops_itself_until_a_person_confirms() {
    const CONNECTIONS: usize = 1000;
    let world = World::new(RotationClass::Strict);
    let mut keys = Vec::new();
    for account in 0..CONNECTIONS {
        keys.push(world.connect(&format!("a{account}")).await);
    }
    for account in 0..CONNECTIONS {
        world.provider.kill(&format!("a{account}"));
    }
    world.clock.advance(DUE);
    world.minutes(30).await;
    let marked = marked(&world, &keys).await;
    let calls = world.provider.token_calls();
    assert!(world.hub.health().await.unwrap().apps[0].is_braked);
    let held = world
        .hub
        .confirm_dead_grants(&ACME, &AppKey::default(), context())
        .await
        .unwrap();
    let filter = AuditFilter::default();
    let log = world.store.audit(&filter, None, 10_000).await;
    let confirmed = log.unwrap().items;
    let confirmed = confirmed
        .iter()
        .filter(|it| it.entry.event == Event::DeadGrantConfirmed)
        .count();
    world.minutes(30).await;
    let after = self::marked(&world, &keys).await;
    println!(
        "wave of {CONNECTIONS} dead grants: {marked} marked before the brake, {calls} token calls, \
         {held} held back and confirmed, {after} marked after"
    );
    assert!((1..=50).contains(&marked), "{marked}");
    // Each connection detects the refusal itself. Only probes send further requests.
    assert!(calls < 1050, "{calls}");
    assert_eq!(held, confirmed);
    assert_eq!(after, CONNECTIONS);
}

async fn marked(world: &World, keys: &[connector_core::ConnectionKey]) -> usize {
    let mut marked = 0;
    for key in keys {
        let status = world.status(key).await;
        marked += usize::from(matches!(status, Status::NeedsReauthorization(_)));
    }
    marked
}

type Expected = fn(RotationClass) -> Status;

fn unchanged(_: RotationClass) -> Status {
    Status::Connected
}

fn failing(_: RotationClass) -> Status {
    Status::Degraded(DegradedReason::RefreshFailing)
}

fn unresolved(class: RotationClass) -> Status {
    // The claim is shorter than a caller's maximum wait: the same call returns the token.
    if class == RotationClass::OldTokensLiveOn {
        return Status::Connected;
    }
    Status::Degraded(DegradedReason::RefreshUnresolved)
}

fn dead(_: RotationClass) -> Status {
    Status::NeedsReauthorization(ReauthorizationReason::GrantRevoked)
}

fn lost_where_strict(class: RotationClass) -> Status {
    match class {
        RotationClass::Strict => Status::NeedsReauthorization(ReauthorizationReason::LostInFlight),
        _ => Status::Connected,
    }
}

#[tokio::test]
async fn every_token_response_ends_in_the_right_state() {
    let answer = |status, body: &str| Reply::Answer(status, Vec::new(), body.to_owned());
    let limited =
        |wait: &str| Reply::Answer(429, vec![("retry-after", wait.to_owned())], String::new());
    // Columns: the replies, the status right after them, the final status.
    let table: Vec<(&str, Vec<Reply>, Expected, Expected)> = vec![
        (
            "no expires_in",
            vec![Reply::With(|it| drop(it.remove("expires_in")))],
            unchanged,
            unchanged,
        ),
        (
            "expires_in as a text",
            vec![Reply::With(|it| {
                drop(it.insert("expires_in".into(), "3600".into()))
            })],
            unchanged,
            unchanged,
        ),
        (
            "no refresh_token",
            vec![Reply::With(|it| drop(it.remove("refresh_token")))],
            unchanged,
            // A provider that rotates contrary to its description has ended the grant itself.
            |class| match class {
                RotationClass::Strict => dead(class),
                _ => Status::Connected,
            },
        ),
        (
            "the same access token",
            vec![answer(
                200,
                &format!(
                    r#"{{"access_token":"{}","expires_in":3600}}"#,
                    access_token("alpha", 1)
                ),
            )],
            failing,
            unchanged,
        ),
        (
            "200 with an error",
            vec![answer(200, r#"{"error":"temporarily_unavailable"}"#)],
            failing,
            unchanged,
        ),
        ("HTML", vec![answer(200, "<html>")], unresolved, unchanged),
        (
            "10 MiB",
            vec![answer(200, &"x".repeat(10 << 20))],
            unresolved,
            unchanged,
        ),
        (
            "truncated",
            vec![answer(200, r#"{"access_token":"a.al"#)],
            unresolved,
            unchanged,
        ),
        (
            "429",
            vec![
                Reply::status(429),
                limited("60"),
                limited("Thu, 15 Jan 2027 08:30:00 GMT"),
            ],
            failing,
            unchanged,
        ),
        ("500", vec![Reply::status(500)], unresolved, unchanged),
        ("409", vec![Reply::status(409)], unchanged, unchanged),
        (
            "time-out before the first byte",
            vec![Reply::Failed(TransportErrorKind::Timeout, Sent::No)],
            failing,
            unchanged,
        ),
        (
            "time-out after the first byte",
            vec![Reply::Failed(TransportErrorKind::Timeout, Sent::Maybe)],
            unresolved,
            unchanged,
        ),
        (
            "dropped after rotation",
            vec![Reply::Lost],
            unresolved,
            lost_where_strict,
        ),
        (
            "invalid_grant",
            vec![Reply::error(400, "invalid_grant")],
            dead,
            dead,
        ),
        (
            "invalid_client",
            vec![Reply::error(401, "invalid_client")],
            unchanged,
            unchanged,
        ),
        (
            "unauthorized_client",
            vec![Reply::error(400, "unauthorized_client")],
            unchanged,
            unchanged,
        ),
    ];
    let all = table.len();
    let mut right = 0;
    for (name, replies, after, end) in table {
        let mut good = true;
        let replies: Vec<_> = replies.into_iter().map(std::sync::Arc::new).collect();
        for reply in &replies {
            for class in CLASSES {
                good &= run_answer(name, reply, class, after(class), end(class)).await;
            }
        }
        right += usize::from(good);
    }
    println!("token answers: {right} of {all}");
    assert_eq!((right, all), (17, 17));
}

async fn run_answer(
    name: &str,
    reply: &Reply,
    class: RotationClass,
    after: Status,
    end: Status,
) -> bool {
    let world = World::new(class);
    let key = world.connect("alpha").await;
    world.clock.advance(HOUR);
    world.provider.once(copy(reply));
    // The token has expired, so the caller waits for the exchange.
    let first = world.drive(world.hub.access_token(&key)).await.map(drop);
    settle(64).await;
    let status = world.status(&key).await;
    let mut good = status == after;
    if !good {
        println!("{name}, {class:?}: {status} instead of {after} ({first:?})");
    }
    // Two more working tokens are needed before the connection counts as recovered.
    world.minutes(20).await;
    world.clock.advance(HOUR);
    world.minutes(20).await;
    let status = world.status(&key).await;
    if status != end {
        println!("{name}, {class:?}: {status} in the end instead of {end}");
        good = false;
    }
    let usable = world.drive(world.hub.access_token(&key)).await.is_ok();
    if usable != (end == Status::Connected) {
        println!("{name}, {class:?}: usable is {usable}");
        good = false;
    }
    good
}

fn copy(reply: &Reply) -> Reply {
    match reply {
        Reply::Real => Reply::Real,
        Reply::With(change) => Reply::With(*change),
        Reply::Answer(status, headers, body) => {
            Reply::Answer(*status, headers.clone(), body.clone())
        }
        Reply::Failed(kind, sent) => Reply::Failed(*kind, *sent),
        Reply::Lost => Reply::Lost,
    }
}

/// One tenant revokes all its grants, and uses a wrong secret where possible.
#[tokio::test]
async fn no_tenant_can_delay_another_tenants_refresh() {
    let mut runs = 0;
    for own_apps in [false, true] {
        let world = World::new(RotationClass::Strict);
        fairness(&world, world.store.clone(), own_apps, "memory").await;
        let world = World::new(RotationClass::Strict);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("c.db");
        let clock = Arc::new(world.clock.clone());
        let store = SqliteOptions::new(path).with_clock(clock).open().await;
        fairness(&world, store.unwrap(), own_apps, "SQLite").await;
        runs += 2;
    }
    println!("{runs} runs");
    assert_eq!(runs, 4);
}

async fn fairness(world: &World, store: impl Store + Clone, own_apps: bool, name: &str) {
    const LOUD: usize = 40;
    const CALM: usize = 12;
    let hub = world.hub_with(store.clone(), |builder| {
        if own_apps {
            builder.apps(OwnApps)
        } else {
            builder
        }
    });
    for number in 0..LOUD {
        let account = format!("loud{number}");
        world.connect_in(&store, "loud", New::of(&account)).await;
        world.provider.kill(&account);
    }
    let mut calm = Vec::new();
    for number in 0..CALM {
        let new = New::of(&format!("c{number}"));
        let tenant = format!("calm{}", number % 3);
        calm.push(world.connect_in(&store, &tenant, new).await);
    }
    world.clock.advance(DUE);
    let worker = hub.worker();
    let (mut asked, mut served) = (0, 0);
    for _ in 0..30 {
        world.clock.advance(MINUTE);
        while worker.tick().await.unwrap().more {}
        for key in &calm {
            asked += 1;
            served += usize::from(hub.access_token(key).await.is_ok());
        }
    }
    let mut fresh = 0;
    for key in &calm {
        let stored = store.load(key).await.unwrap().unwrap();
        fresh += usize::from(stored.connection.generation.get() >= 2);
    }
    let health = hub.health().await.unwrap();
    println!(
        "{name}, own apps {own_apps}: {served} of {asked} callers served, {fresh} of {CALM} \
         refreshed, braked {}",
        health.apps[0].is_braked
    );
    assert_eq!((served, fresh), (asked, CALM));
    assert!(!health.apps[0].is_braked);
    assert_eq!(
        health.apps[0].is_refused, own_apps,
        "the loud tenant's own breaker"
    );
}

/// Refusals without a known meaning, at a provider whose grant is valid.
#[tokio::test]
async fn a_refusal_without_a_known_meaning_ends_in_a_visible_status() {
    const MAX_ATTEMPTS: u64 = 14;
    let refusals = [
        (400, ""),
        (400, r#"{"error":{"code":190,"message":"no"}}"#),
        (403, r#"{"error":"something_else"}"#),
    ];
    let mut cases = 0;
    for (status, body) in refusals {
        for class in CLASSES {
            let world = World::new(class);
            let key = world.connect("alpha").await;
            world.clock.advance(DUE);
            world
                .provider
                .script(move |_| Reply::Answer(status, Vec::new(), body.to_owned()));
            world.minutes(132).await;
            let (calls, status_then) = (world.provider.token_calls(), world.status(&key).await);
            assert_eq!(
                status_then,
                Status::Degraded(DegradedReason::RefreshRefused)
            );
            // A day later, the refresh is tried once more. Before that, callers get an error.
            let error = world
                .drive(world.hub.access_token(&key))
                .await
                .err()
                .unwrap();
            assert_eq!(error.kind(), ErrorKind::Rejected);
            for _ in 0..24 {
                world.clock.advance(HOUR.saturating_sub(MINUTE));
                world.minutes(1).await;
            }
            let day = world.provider.token_calls() - calls;
            println!("{status} {body}, {class:?}: {calls} token calls, then {day} in a day");
            assert!(calls <= MAX_ATTEMPTS && day <= 2, "{calls} {day}");
            world.provider.behave();
            world
                .drive(world.hub.refresh(&key, context()))
                .await
                .unwrap();
            assert_eq!(world.status(&key).await, Status::Connected);
            cases += 1;
        }
    }
    println!("{cases} refusals ended and were refreshed by hand");
    assert!(cases >= 4);
}

#[tokio::test]
async fn a_provider_that_returns_another_account_is_noticed_and_withheld() {
    let mut withheld = 0;
    for class in CLASSES {
        for named in [false, true] {
            let mut description = provider::description(class, RevocationReach::Grant);
            if named {
                description.identity = Some(IdentityRule::token_response("/account"));
            } else {
                description.identify_after_refresh = true;
            }
            let world = World::with(description, |builder| builder);
            let key = world.connect("alpha").await;
            // While the account is the right one, its tokens are returned.
            world.clock.advance(HOUR);
            drop(world.drive(world.hub.access_token(&key)).await.unwrap());
            assert_eq!(world.status(&key).await, Status::Connected);
            let identified = world.provider.identifications();
            assert_eq!(identified, u64::from(!named), "once for each refresh");
            world.provider.answer_for("alpha", "beta");
            world
                .provider
                .script(|_| Reply::With(|it| drop(it.insert("account".into(), "beta".into()))));
            world.clock.advance(HOUR);
            let error = world
                .drive(world.hub.access_token(&key))
                .await
                .err()
                .unwrap();
            assert_eq!(error.kind(), ErrorKind::NeedsReauthorization, "{error}");
            let reason = ReauthorizationReason::AccountMismatch;
            assert_eq!(
                world.status(&key).await,
                Status::NeedsReauthorization(reason)
            );
            // The pair is stored, because the old one is spent.
            assert_eq!(world.generation(&key).await, 3);
            let other = world.other_hub(0);
            assert!(drive(&world.clock, other.access_token(&key)).await.is_err());
            let calls = world.provider.token_calls();
            world.minutes(60).await;
            assert_eq!(world.provider.token_calls(), calls, "nothing more is sent");
            withheld += 1;
        }
    }
    println!("{withheld} accounts withheld");
    assert_eq!(withheld, 8);
}

#[tokio::test]
async fn an_account_whose_key_is_unique_on_its_host_alone_is_the_same_after_a_refresh() {
    let mut refreshed = 0;
    for class in CLASSES {
        let mut description = provider::description(class, RevocationReach::Grant);
        description.account_host = Some(AccountHost::new(".acme.example"));
        description.identify_after_refresh = true;
        let world = World::with(description, |builder| builder);
        let key = world.connect("alpha").await;
        world.clock.advance(HOUR);
        drop(world.drive(world.hub.access_token(&key)).await.unwrap());
        assert_eq!(world.provider.identifications(), 1);
        assert_eq!(world.status(&key).await, Status::Connected);
        refreshed += 1;
    }
    println!("accounts of a host that were identified after a refresh: {refreshed}");
    assert_eq!(refreshed, CLASSES.len());
}
