//! Invalid callbacks, which the hub refuses before it sends a request.

use std::time::Duration;

use connector_core::{Actor, ErrorKind, SystemRandom, TenantId, random_token};
use connector_tests::openid::{ISSUER, PROVIDER};
use secrecy::{ExposeSecret, SecretString};
use tokio::task::JoinSet;
use url::form_urlencoded;

use crate::world::{Flow, World, owner};

/// A forged callback.
struct Forgery {
    name: &'static str,
    /// The change of the query.
    query: fn(&str) -> String,
    /// The change of the cookie.
    binding: fn(&SecretString) -> SecretString,
    actor: fn() -> Actor,
    tenant: &'static str,
    /// Time until the callback arrives.
    after: Duration,
    /// True if the forged callback ends the flow, so that the genuine callback is refused too.
    ends_the_flow: bool,
}

impl Forgery {
    const fn of_query(name: &'static str, query: fn(&str) -> String, ends_the_flow: bool) -> Self {
        Self {
            name,
            query,
            binding: SecretString::clone,
            actor: owner,
            tenant: "acme",
            after: Duration::ZERO,
            ends_the_flow,
        }
    }

    const fn of_rest(name: &'static str, ends_the_flow: bool) -> Self {
        Self::of_query(name, str::to_owned, ends_the_flow)
    }
}

/// Returns the query with every parameter rewritten. `None` removes a parameter.
fn rewritten(query: &str, rewrite: impl Fn(&str, &str) -> Option<String>) -> String {
    let mut serializer = form_urlencoded::Serializer::new(String::new());
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if let Some(value) = rewrite(&name, &value) {
            serializer.append_pair(&name, &value);
        }
    }
    serializer.finish()
}

fn replaced(query: &str, name: &str, with: &str) -> String {
    rewritten(query, |its_name, value| {
        Some(if its_name == name { with } else { value }.to_owned())
    })
}

fn without(query: &str, name: &str) -> String {
    rewritten(query, |its_name, value| {
        (its_name != name).then(|| value.to_owned())
    })
}

fn another_secret() -> SecretString {
    random_token(&SystemRandom::new()).unwrap()
}

fn forgeries() -> Vec<Forgery> {
    vec![
        Forgery::of_query("no state", |query| without(query, "state"), false),
        Forgery::of_query("empty state", |query| replaced(query, "state", ""), false),
        Forgery::of_query(
            "an unknown state",
            |query| replaced(query, "state", another_secret().expose_secret()),
            false,
        ),
        Forgery::of_query("two codes", |query| format!("{query}&code=x"), false),
        Forgery::of_query("two states", |query| format!("state=x&{query}"), false),
        Forgery::of_query(
            "two issuers",
            |query| format!("{query}&iss=https%3A%2F%2Fevil.example"),
            false,
        ),
        Forgery::of_query("an error too", |query| format!("{query}&error=x"), true),
        Forgery::of_query(
            "too long",
            |query| format!("{query}&x={}", "x".repeat(8192)),
            false,
        ),
        Forgery::of_query("no issuer", |query| without(query, "iss"), true),
        Forgery::of_query(
            "another issuer",
            |query| replaced(query, "iss", "https://evil.example"),
            true,
        ),
        Forgery::of_query(
            "almost the issuer",
            |query| replaced(query, "iss", &format!("{ISSUER}/")),
            true,
        ),
        Forgery::of_query("no code", |query| without(query, "code"), true),
        Forgery {
            binding: |_| another_secret(),
            ..Forgery::of_rest("another browser", false)
        },
        Forgery {
            binding: |_| SecretString::from(""),
            ..Forgery::of_rest("a browser without cookie", false)
        },
        Forgery {
            actor: || Actor::User("another user".to_owned()),
            ..Forgery::of_rest("another user", true)
        },
        Forgery {
            tenant: "another",
            ..Forgery::of_rest("another tenant", true)
        },
        Forgery {
            after: Duration::from_mins(10),
            ..Forgery::of_rest("expired", true)
        },
    ]
}

#[tokio::test]
async fn every_forged_callback_is_refused_and_sends_nothing() {
    let Some(world) = World::new() else { return };
    let forgeries = forgeries();
    let mut token_requests = 0;
    for forgery in &forgeries {
        let name = forgery.name;
        let flow = world.begin().await;
        let right = world.consent(&flow, "hub-forgery").await;
        world.clock.advance(forgery.after);
        let query = (forgery.query)(&right);
        let binding = (forgery.binding)(&flow.binding);
        let tenant = TenantId::new(forgery.tenant).unwrap();
        let finish = world.hub.callback(PROVIDER, &query, binding);
        let refused = finish.actor((forgery.actor)()).tenant(&tenant).await;
        let refused = refused.expect_err(name);
        assert_eq!(refused.kind(), ErrorKind::CallbackRefused, "{name}");
        assert_eq!(world.wire.token_requests(), token_requests, "{name}");

        let after = world.call_back(&flow, &right).await;
        assert_eq!(after.is_err(), forgery.ends_the_flow, "{name}: {after:?}");
        token_requests += u64::from(!forgery.ends_the_flow);
        assert_eq!(world.wire.token_requests(), token_requests, "{name}");
    }
    let ledger = world.ledger("hub-forgery").await;
    assert_eq!(ledger.exchanges.all(), token_requests);
    println!(
        "{} forged callbacks refused; {token_requests} right ones after them, {} token requests",
        forgeries.len(),
        ledger.exchanges.all()
    );
}

#[tokio::test]
async fn a_callback_that_is_loaded_again_has_the_same_outcome_and_sends_its_code_once() {
    let Some(world) = World::new() else { return };
    let flow = world.begin().await;
    let query = world.consent(&flow, "hub-again").await;
    let first = world.call_back(&flow, &query).await.unwrap();
    for _ in 0..3 {
        let again = world.call_back(&flow, &query).await.unwrap();
        assert_eq!(again.key, first.key);
    }
    // After a day the flow is deleted, and the hub still does not send the code.
    world.clock.advance(Duration::from_hours(48));
    world.call_back(&flow, &query).await.unwrap_err();
    assert_eq!(world.wire.token_requests(), 1);
    assert_eq!(world.ledger("hub-again").await.exchanges.all(), 1);
}

#[tokio::test]
async fn a_callback_that_is_loaded_32_times_at_once_sends_its_code_once() {
    let Some(world) = World::new() else { return };
    let flow = world.begin().await;
    let query = world.consent(&flow, "hub-at-once").await;
    let mut loads = JoinSet::new();
    for _ in 0..32 {
        let load = world
            .hub
            .callback(PROVIDER, &query, flow.binding.clone())
            .unbound();
        loads.spawn(async move { load.await.unwrap().into_connection().key });
    }
    let keys = world.clock.all(loads).await;
    assert_eq!(keys.len(), 32);
    assert!(keys.iter().all(|key| *key == keys[0]));
    let sent = world.ledger("hub-at-once").await.exchanges.all();
    assert_eq!(sent, 1);
    println!("{} loads of one callback: {sent} token request", keys.len());
}

#[tokio::test]
async fn another_code_under_a_used_state_is_refused_unsent() {
    let Some(world) = World::new() else { return };
    let flow = world.begin().await;
    let query = world.consent(&flow, "hub-replay").await;
    let first = world.call_back(&flow, &query).await.unwrap();
    let other = world.consent(&flow, "hub-replay-other").await;
    let refused = world.call_back(&flow, &other).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CallbackRefused);
    assert_eq!(world.wire.token_requests(), 1);
    let token = world.hub.access_token(&first.key).await.unwrap();
    assert!(world.openid.is_active(token.secret()).await.unwrap());
}

#[tokio::test]
async fn a_code_of_another_flow_is_refused_by_its_verifier() {
    let Some(world) = World::new() else { return };
    let (mine, theirs) = (world.begin().await, world.begin().await);
    let stolen = world.consent(&theirs, "hub-injected").await;
    let injected = replaced(&stolen, "state", &state_of(&mine));
    let refused = world.call_back(&mine, &injected).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::CallbackRefused);
    let ledger = world.ledger("hub-injected").await;
    assert_eq!(
        (ledger.exchanges.accepted, ledger.exchanges.refused),
        (0, 1)
    );
    let listed = world
        .hub
        .tenant(&world.tenant)
        .list(None, 10)
        .await
        .unwrap();
    assert!(listed.items.is_empty());
}

fn state_of(flow: &Flow) -> String {
    let mut pairs = flow.url.query_pairs();
    let (_, state) = pairs.find(|(name, _)| name == "state").unwrap();
    state.into_owned()
}
