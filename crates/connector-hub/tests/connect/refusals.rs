//! Refused callbacks: nothing is sent, and nothing is connected.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::provider::GenericConnector;
use connector_core::store::{Maintenance, RowRef, StateStore};
use connector_core::{
    App, AppKey, AppSource, Error, ErrorKind, Event, FixedApps, ProviderId, Result, TenantId,
};
use connector_hub::{Authorization, Connected, Hub};

use crate::provider::query;
use crate::rig::{ACME, ISSUER, Rig, SHOP, acme, app, cookie, parameter, shop, tenant, user};

/// A refused callback.
struct Case {
    name: &'static str,
    query: String,
    kind: ErrorKind,
    /// True if the flow can still be finished afterwards.
    stays_open: bool,
    come_back: Back,
}

/// All other variations of the callback.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Back {
    AsItShould,
    OtherBrowser,
    NoCookie,
    OtherPath,
    OtherActor,
    OtherTenant,
    Late,
    AfterDenial,
    AfterTheAppChanged,
}

async fn come_back(rig: &Rig, begun: &Authorization, case: &Case) -> Result<Connected> {
    let other = rig.begin("t9").await;
    let changed = rig.hub_of_app("client-2");
    let hub: &Hub = if case.come_back == Back::AfterTheAppChanged {
        &changed
    } else {
        &rig.hub
    };
    let binding = match case.come_back {
        Back::OtherBrowser => cookie(&other),
        Back::NoCookie => String::new(),
        _ => cookie(begun),
    };
    let path = if case.come_back == Back::OtherPath {
        SHOP
    } else {
        ACME
    };
    match case.come_back {
        Back::Late => rig.clock.advance(Duration::from_secs(600)),
        Back::AfterDenial => {
            let state = parameter(begun, "state");
            let denied = query(&[
                ("error", "access_denied"),
                ("state", &state),
                ("iss", ISSUER),
            ]);
            let refused = hub.callback(ACME, &denied, binding.clone()).unbound().await;
            assert_eq!(refused.unwrap_err().kind(), ErrorKind::CallbackRefused);
        }
        _ => {}
    }
    let callback = hub.callback(path, &case.query, binding);
    let callback = match case.come_back {
        Back::OtherActor => callback.actor(user("bob")),
        Back::OtherTenant => callback.tenant(&tenant("t2")),
        _ => callback.actor(user("ann")).tenant(&tenant("t1")),
    };
    callback.await
}

#[expect(clippy::too_many_lines, reason = "one table")]
fn cases(good: &str, state: &str) -> Vec<Case> {
    let case = |name, query: String, come_back| Case {
        name,
        query,
        kind: ErrorKind::CallbackRefused,
        stays_open: false,
        come_back,
    };
    let open = |case: Case| Case {
        stays_open: true,
        ..case
    };
    let of = |pairs: &[(&str, &str)]| query(pairs);
    let same = Back::AsItShould;
    vec![
        open(case(
            "state missing",
            of(&[("code", "c"), ("iss", ISSUER)]),
            same,
        )),
        open(case(
            "state empty",
            of(&[("code", "c"), ("state", ""), ("iss", ISSUER)]),
            same,
        )),
        open(case(
            "state foreign",
            of(&[("code", "c"), ("state", &"x".repeat(43)), ("iss", ISSUER)]),
            same,
        )),
        open(case(
            "state of the wrong case",
            of(&[("code", "c"), ("state", &swapped(state)), ("iss", ISSUER)]),
            same,
        )),
        case("state expired", good.to_owned(), Back::Late),
        case(
            "state reused after a denial",
            good.to_owned(),
            Back::AfterDenial,
        ),
        case(
            "issuer missing",
            of(&[("code", "c"), ("state", state)]),
            same,
        ),
        case(
            "issuer wrong",
            of(&[
                ("code", "c"),
                ("state", state),
                ("iss", "https://evil.example"),
            ]),
            same,
        ),
        case(
            "issuer wrong by a slash",
            of(&[
                ("code", "c"),
                ("state", state),
                ("iss", "https://acme.example/"),
            ]),
            same,
        ),
        case(
            "issuer wrong on an error",
            of(&[
                ("error", "access_denied"),
                ("state", state),
                ("iss", "https://evil.example"),
            ]),
            same,
        ),
        case(
            "issuer missing on an error",
            of(&[("error", "access_denied"), ("state", state)]),
            same,
        ),
        case(
            "consent denied",
            of(&[
                ("error", "access_denied"),
                ("state", state),
                ("iss", ISSUER),
            ]),
            same,
        ),
        case(
            "error of the provider",
            of(&[("error", "server_error"), ("state", state), ("iss", ISSUER)]),
            same,
        ),
        case(
            "error beside a code",
            of(&[
                ("error", "x"),
                ("code", "c"),
                ("state", state),
                ("iss", ISSUER),
            ]),
            same,
        ),
        case(
            "neither code nor error",
            of(&[("state", state), ("iss", ISSUER)]),
            same,
        ),
        case(
            "code empty",
            of(&[("code", ""), ("state", state), ("iss", ISSUER)]),
            same,
        ),
        open(case("state doubled", format!("{good}&state={state}"), same)),
        open(case(
            "state doubled, the other first",
            format!("state=a&{good}"),
            same,
        )),
        open(case("code doubled", format!("{good}&code=c"), same)),
        open(case("issuer doubled", format!("{good}&iss={ISSUER}"), same)),
        open(case(
            "error doubled",
            format!("error=a&error=a&state={state}"),
            same,
        )),
        open(case(
            "query endless",
            format!("{good}&x={}", "x".repeat(8192)),
            same,
        )),
        open(case("query empty", String::new(), same)),
        open(case("other browser", good.to_owned(), Back::OtherBrowser)),
        open(case("no cookie", good.to_owned(), Back::NoCookie)),
        case("other provider's path", good.to_owned(), Back::OtherPath),
        case("other actor", good.to_owned(), Back::OtherActor),
        case("other tenant", good.to_owned(), Back::OtherTenant),
        Case {
            kind: ErrorKind::AppMisconfigured,
            ..case(
                "another client id meanwhile",
                good.to_owned(),
                Back::AfterTheAppChanged,
            )
        },
    ]
}

fn swapped(state: &str) -> String {
    let swap = |c: char| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    state.chars().map(swap).collect()
}

#[tokio::test]
async fn every_callback_that_does_not_fit_is_refused_and_nothing_is_sent() {
    let count = cases("", "").len();
    let mut refused = 0;
    for number in 0..count {
        let rig = Rig::new();
        let begun = rig.begin("t1").await;
        let good = rig.provider.consent(begun.url(), "account-1");
        let case = cases(&good, &parameter(&begun, "state")).swap_remove(number);
        let error = come_back(&rig, &begun, &case).await.expect_err(case.name);
        assert_eq!(error.kind(), case.kind, "{}: {error}", case.name);
        assert!(!error.report().contains("code-"), "{}", case.name);
        assert_eq!(rig.provider.token_calls(), 0, "{}", case.name);
        assert!(rig.provider.hosts().is_empty(), "{}", case.name);
        assert!(rig.connections().await.is_empty(), "{}", case.name);
        // A callback that belongs to no flow of this browser leaves the flow unchanged. All others
        // have ended it.
        let again = rig
            .hub
            .callback(ACME, &good, cookie(&begun))
            .unbound()
            .await;
        assert_eq!(again.is_ok(), case.stays_open, "{}", case.name);
        if !case.stays_open {
            assert_eq!(rig.provider.token_calls(), 0, "{}", case.name);
            let events = rig.events().await;
            let told = events
                .iter()
                .any(|event| matches!(event, Event::ConsentDenied | Event::ConnectFailed { .. }));
            assert!(
                told || case.come_back == Back::Late,
                "{}: {events:?}",
                case.name
            );
        }
        refused += 1;
    }
    println!("callbacks refused: {refused} of {count}");
    assert!(refused == count && count > 20);
}

#[tokio::test]
async fn a_finished_flow_gives_its_outcome_to_the_same_code_and_refuses_another() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let good = rig.provider.consent(begun.url(), "account-1");
    let first = rig
        .hub
        .callback(ACME, &good, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    let again = rig
        .hub
        .callback(ACME, &good, cookie(&begun))
        .unbound()
        .await
        .unwrap();
    assert_eq!(first.key(), again.key());
    assert_eq!(again.return_to(), Some("/done?x=1"));
    assert_eq!(first.scopes(), again.scopes());
    let state = parameter(&begun, "state");
    let other = query(&[("code", "another"), ("state", &state), ("iss", ISSUER)]);
    let conflict = rig
        .hub
        .callback(ACME, &other, cookie(&begun))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::CallbackRefused);
    for number in 0..20 {
        let code = format!("code-{number}");
        let other = query(&[("code", &code), ("state", &state), ("iss", ISSUER)]);
        let refused = rig
            .hub
            .callback(ACME, &other, cookie(&begun))
            .unbound()
            .await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::CallbackRefused);
    }
    let foreign = rig
        .hub
        .callback(ACME, &good, cookie(&begun))
        .actor(user("bob"))
        .await;
    assert_eq!(foreign.unwrap_err().kind(), ErrorKind::CallbackRefused);
    assert_eq!(rig.provider.token_calls(), 1);
    let reason = "code_conflict".to_owned();
    let conflict = Event::ConnectFailed { reason, code: None };
    let events = rig.events().await;
    let recorded = events.iter().filter(|event| **event == conflict).count();
    println!("conflicts: 21, recorded: {recorded}");
    assert_eq!(recorded, 1);
}

/// PKCE binds a code of another flow to another verifier, so the provider refuses it.
#[tokio::test]
async fn an_injected_code_fits_no_verifier() {
    let rig = Rig::new();
    let victim = rig.begin("t1").await;
    let attacker = rig.begin("t2").await;
    let stolen = rig.provider.consent(victim.url(), "account-1");
    let state = parameter(&attacker, "state");
    let code = stolen
        .split('&')
        .next()
        .unwrap()
        .trim_start_matches("code=");
    let injected = query(&[("code", code), ("state", &state), ("iss", ISSUER)]);
    let refused = rig
        .hub
        .callback(ACME, &injected, cookie(&attacker))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CallbackRefused);
    assert!(rig.connections().await.is_empty());
}

/// Values that an attacker swaps in the database cannot be opened.
#[tokio::test]
async fn a_flow_opens_in_its_own_place_only() {
    let rig = Rig::new();
    let (mine, theirs) = (rig.begin("t1").await, rig.begin("t2").await);
    let (my_key, their_key) = (rig.state_of(&mine).await, rig.state_of(&theirs).await);
    let kept = rig.store.state(&my_key).await.unwrap().unwrap().sealed;
    let swapped = rig.store.state(&their_key).await.unwrap().unwrap().sealed;
    assert!(
        rig.store
            .reseal(&RowRef::State(my_key), &kept, swapped)
            .await
            .unwrap()
    );
    let good = rig.provider.consent(mine.url(), "account-1");
    let refused = rig
        .hub
        .callback(ACME, &good, cookie(&mine))
        .unbound()
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsealable);
    assert_eq!(rig.provider.token_calls(), 0);
}

#[tokio::test]
async fn a_begin_that_does_not_fit_stores_nothing() {
    let rig = Rig::new();
    let known = rig.connect("t1", "account-1").await;
    let foreign = rig.connect("t2", "account-2").await;
    let acme = || rig.hub.authorize(&tenant("t1"), ACME).actor(user("ann"));
    let shop = || rig.hub.authorize(&tenant("t1"), SHOP).actor(user("ann"));
    let nobody = rig.hub.authorize(&tenant("t1"), ACME);
    let unknown = connector_core::ProviderId::from_static("unknown");
    let begins = [
        (nobody, ErrorKind::InvalidInput),
        (acme().return_to("//evil.example"), ErrorKind::InvalidInput),
        (acme().return_to("/\\evil.example"), ErrorKind::InvalidInput),
        (acme().return_to("/a\nb"), ErrorKind::InvalidInput),
        (
            acme().return_to("https://evil.example"),
            ErrorKind::InvalidInput,
        ),
        (shop(), ErrorKind::InvalidInput),
        (
            shop().account("evil.example/.shop.example"),
            ErrorKind::InvalidInput,
        ),
        (shop().account("a@b.shop.example"), ErrorKind::InvalidInput),
        (acme().reconnect(foreign.key.id), ErrorKind::NotFound),
        (
            shop().account("a").reconnect(known.key.id),
            ErrorKind::InvalidInput,
        ),
        (
            acme().app(connector_core::AppKey::new("no").unwrap()),
            ErrorKind::Configuration,
        ),
        (
            rig.hub.authorize(&tenant("t1"), unknown).actor(user("a")),
            ErrorKind::Configuration,
        ),
    ];
    let rows = || async {
        let none = connector_core::cipher::KeyId::from_bytes([0; 8]);
        rig.store
            .sealed_rows(&none, None, 1000)
            .await
            .unwrap()
            .items
            .len()
    };
    let before = rows().await;
    for (number, (begin, kind)) in begins.into_iter().enumerate() {
        let refused = begin.begin().await.unwrap_err();
        assert_eq!(refused.kind(), kind, "{number}: {refused}");
    }
    assert_eq!(rows().await, before);
}

#[tokio::test]
async fn a_tenant_may_have_a_hundred_connects_open() {
    let rig = Rig::new();
    let first = rig.begin("t1").await;
    for _ in 1..100 {
        let _ = rig.begin("t1").await;
    }
    let begin = || {
        rig.hub
            .authorize(&tenant("t1"), ACME)
            .actor(user("ann"))
            .begin()
    };
    let refused = begin().await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::RateLimited);
    let _ = rig.begin("t2").await;
    let good = rig.provider.consent(first.url(), "account-1");
    let _ = rig
        .hub
        .callback(ACME, &good, cookie(&first))
        .unbound()
        .await
        .unwrap();
    let _ = begin().await.unwrap();
    assert_eq!(begin().await.unwrap_err().kind(), ErrorKind::RateLimited);
    rig.clock.advance(Duration::from_secs(600));
    let _ = begin().await.unwrap();
}

#[tokio::test]
async fn a_callback_names_who_is_logged_in_or_says_that_nobody_is() {
    let rig = Rig::new();
    let begun = rig.begin("t1").await;
    let query = rig.provider.consent(begun.url(), "account-1");
    let bare = rig.hub.callback(ACME, &query, cookie(&begun)).await;
    assert_eq!(bare.unwrap_err().kind(), ErrorKind::InvalidInput);
    assert_eq!(rig.provider.token_calls(), 0);
    let named = rig.hub.callback(ACME, &query, cookie(&begun));
    let _ = named.tenant(&tenant("t1")).await.unwrap();
}

#[tokio::test]
async fn providers_with_one_redirect_uri_are_refused_when_a_connect_begins() {
    let rig = Rig::new();
    let shared = FixedApps::new()
        .with(ACME, AppKey::default(), app("client-1"))
        .with(SHOP, AppKey::default(), app("client-2"));
    let hub = Hub::builder()
        .store(rig.store.clone())
        .cipher(rig.cipher.clone())
        .transport(rig.provider.clone())
        .clock(rig.clock.clone())
        .apps(shared)
        .connector(GenericConnector::new(acme()).unwrap())
        .connector(GenericConnector::new(shop()).unwrap())
        .build()
        .unwrap();
    let mut refused = Vec::new();
    for provider in [ACME, SHOP] {
        let begin = hub.authorize(&tenant("t1"), provider).actor(user("ann"));
        let error = begin.account("acme").begin().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
        refused.push(error.message().to_owned());
    }
    println!("refused: {refused:?}");
    assert!(refused[0].starts_with("shop ") && refused[1].starts_with("acme "));
}

/// Registrations with one redirect URI for all providers. The registration that all tenants share
/// cannot be read at first.
#[derive(Debug, Default)]
struct SharedUri(AtomicBool);

#[async_trait]
impl AppSource for SharedUri {
    async fn app(&self, _: &ProviderId, _: &TenantId, _: &AppKey) -> Result<Arc<App>> {
        Ok(Arc::new(app("client-1")))
    }

    async fn shared(&self, _: &ProviderId, _: &AppKey) -> Result<Arc<App>> {
        if self.0.swap(true, Ordering::SeqCst) {
            return Ok(Arc::new(app("client-1")));
        }
        Err(Error::new(ErrorKind::StoreUnavailable, "test", "try again"))
    }
}

#[tokio::test]
async fn a_redirect_uri_counts_as_checked_only_if_the_other_registrations_could_be_read() {
    let rig = Rig::new();
    let hub = Hub::builder()
        .store(rig.store.clone())
        .cipher(rig.cipher.clone())
        .transport(rig.provider.clone())
        .clock(rig.clock.clone())
        .apps(SharedUri::default())
        .connector(GenericConnector::new(acme()).unwrap())
        .connector(GenericConnector::new(shop()).unwrap())
        .build()
        .unwrap();
    let mut kinds = Vec::new();
    for _ in 0..2 {
        let begin = hub.authorize(&tenant("t1"), ACME).actor(user("ann"));
        kinds.push(begin.begin().await.unwrap_err().kind());
    }
    println!("kinds of errors: {kinds:?}");
    assert_eq!(
        kinds,
        [ErrorKind::StoreUnavailable, ErrorKind::Configuration]
    );
}
