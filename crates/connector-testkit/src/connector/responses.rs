//! Failing token requests, and their interpretation by the hooks.

use std::convert::Infallible;
use std::future::pending;
use std::pin::pin;
use std::time::Duration;

use connector_core::clock::Clock;
use connector_core::http::Sent;
use connector_core::provider::description::RefusalMeaning;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError};
use connector_core::{ErrorKind, Retry};
use futures_util::future::{Either, select};

use super::fixture::TokenFault;
use super::say;
use super::world::{Exchange, Failed, World, answer, expect};

/// A failure response, and its expected interpretation according to sections 5 and 6 of the
/// contract.
struct Bad {
    fault: TokenFault,
    class: ExchangeClass,
    sent: Sent,
}

const fn transient(seconds: Option<u64>) -> ExchangeClass {
    ExchangeClass::Transient {
        after: match seconds {
            Some(seconds) => Some(Duration::from_secs(seconds)),
            None => None,
        },
    }
}

fn with_header(status: u16, name: &'static str, value: String) -> TokenFault {
    TokenFault::Answer {
        status,
        headers: vec![(name, value)],
        body: String::new(),
    }
}

/// Returns every failure response. Error codes have the meaning of RFC 6749 unless the description
/// defines another meaning.
fn table(world: &World) -> Vec<Bad> {
    use ExchangeClass::{AlreadyRefreshed, AppFault, DeadGrant, Malformed};
    let described = |status: u16, code: Option<&str>, usual: ExchangeClass| {
        let rules = &world.description().refusals;
        let rule = rules.iter().find(|rule| {
            rule.code.as_deref() == code
                && rule.status.is_none_or(|it| it == status)
                && rule
                    .description
                    .as_deref()
                    .is_none_or(|part| "no".contains(part))
        });
        rule.map_or(usual, |rule| meaning(rule.means))
    };
    let now = world.fixture.clock().now();
    let seconds = u64::try_from(now.as_unix_seconds()).unwrap_or_default();
    let soon = std::time::UNIX_EPOCH + Duration::from_secs(seconds + 30);
    let html = "<html><title>Bad gateway</title></html>";
    let error = |code: &str| error_body(world, code, "no");
    let refused = |status: u16, code: &str, usual: ExchangeClass| {
        (
            answer(status, error(code)),
            described(status, Some(code), usual),
        )
    };
    let bare = |status: u16, body: &str, usual: ExchangeClass| {
        (answer(status, body), described(status, None, usual))
    };
    let app_fault = AppFault { certain: false };
    let answered = [
        refused(400, "invalid_grant", DeadGrant),
        refused(200, "invalid_grant", DeadGrant),
        refused(400, "invalid_request", Malformed),
        refused(401, "invalid_client", app_fault),
        refused(400, "unauthorized_client", app_fault),
        bare(401, "", app_fault),
        bare(409, "", AlreadyRefreshed),
        (answer(429, ""), transient(None)),
        (
            with_header(429, "retry-after", "7".to_owned()),
            transient(Some(7)),
        ),
        (
            with_header(429, "retry-after", httpdate::fmt_http_date(soon)),
            transient(Some(30)),
        ),
        (
            with_header(429, "retry-after", "later".to_owned()),
            transient(None),
        ),
        // A complete refusal counts as a refusal in any format.
        bare(403, html, Malformed),
        bare(400, "", Malformed),
        bare(
            422,
            r#"{"status":"error","errors":{"token":["no"]}}"#,
            Malformed,
        ),
        bare(400, r#"{"error":{"message":"no"}}"#, Malformed),
    ];
    let open = [
        (answer(200, html), Malformed),
        (answer(200, ""), Malformed),
        (answer(200, "[]"), Malformed),
        (answer(200, r#"{"access_token":"a","#), Malformed),
        (answer(200, r#"{"access_token":""}"#), Malformed),
        (answer(200, r#"{"token_type":"bearer"}"#), Malformed),
        (answer(200, "x".repeat(10 * 1024 * 1024)), Malformed),
        (answer(302, ""), Malformed),
        (answer(408, ""), transient(None)),
        (answer(500, ""), transient(None)),
        // A gateway may send this response although the provider has acted.
        (answer(500, error("invalid_grant")), transient(None)),
        (answer(502, html), transient(None)),
        (
            with_header(503, "retry-after", "120".to_owned()),
            transient(Some(120)),
        ),
        (TokenFault::DropBefore, transient(None)),
        (TokenFault::DropAfter, transient(None)),
        (TokenFault::Truncate, transient(None)),
    ];
    let bad = |sent| move |(fault, class)| Bad { fault, class, sent };
    answered
        .into_iter()
        .map(bad(Sent::Answered))
        .chain(open.into_iter().map(bad(Sent::Maybe)))
        .collect()
}

/// Checks that the error's retry advice matches its class.
fn check_advice(what: &str, error: &ExchangeError) {
    let (kind, retry) = (error.error().kind(), error.error().retry());
    match error.class() {
        ExchangeClass::Transient { after: Some(after) } => {
            assert_eq!(
                retry,
                Retry::After(after),
                "{what}: the retry delay is missing"
            );
        }
        ExchangeClass::DeadGrant => {
            assert_eq!(kind, ErrorKind::NeedsReauthorization, "{what}");
        }
        ExchangeClass::AppFault { .. } => assert_eq!(kind, ErrorKind::AppMisconfigured, "{what}"),
        _ => assert_ne!(kind, ErrorKind::NeedsReauthorization, "{what}"),
    }
}

async fn every_bad_response_has_its_class(world: &World, exchange: Exchange) {
    let table = table(world);
    let count = table.len();
    for Bad { fault, class, sent } in table {
        let Failed { what, error } = world.failed(exchange, fault).await;
        assert_eq!((error.class(), error.sent()), (class, sent), "{what}");
        check_advice(&what, &error);
    }
    say(&format!("failing responses to a {exchange:?}: {count}"));
}

pub(super) async fn a_bad_response_to_a_code_has_its_class(world: &World) {
    every_bad_response_has_its_class(world, Exchange::Code).await;
}

pub(super) async fn a_bad_response_to_a_refresh_has_its_class(world: &World) {
    every_bad_response_has_its_class(world, Exchange::Refresh).await;
}

/// Returns the kinds of exchanges to test. Codes are always exchanged. Refreshes are tested if the
/// token response has a refresh token.
async fn exchanges(world: &World) -> Vec<Exchange> {
    let mut exchanges = vec![Exchange::Code];
    if world.connect().await.refresh_token().is_some() {
        exchanges.push(Exchange::Refresh);
    }
    exchanges
}

pub(super) async fn a_failed_token_request_is_not_repeated(world: &World) {
    for exchange in exchanges(world).await {
        for fault in [
            answer(500, ""),
            answer(429, ""),
            with_header(503, "retry-after", "0".to_owned()),
            answer(200, "<html>"),
            answer(401, ""),
            answer(409, ""),
            TokenFault::DropBefore,
            TokenFault::DropAfter,
        ] {
            let Failed { what, .. } = world.failed(exchange, fault).await;
            assert_eq!(world.wire.count(), 1, "{what}: requests");
        }
    }
}

async fn too_late_a_response_leaves_open_what_happened(world: &World, exchange: Exchange) {
    let clock = world.fixture.clock();
    let slow = TokenFault::Slow(Duration::from_secs(3600));
    let failing = pin!(world.failed(exchange, slow));
    let passing = pin!(async {
        // The transport's timeout and the provider's delay.
        clock.wait_for_sleepers(2).await;
        let sent = world.wire.take();
        clock.advance(sent.last().map_or(Duration::ZERO, |seen| seen.timeout));
        pending::<Infallible>().await
    });
    let Failed { what, error } = match select(failing, passing).await {
        Either::Left((failed, _)) => failed,
        Either::Right((never, _)) => match never {},
    };
    assert_eq!(
        (error.class(), error.sent()),
        (transient(None), Sent::Maybe),
        "{what}"
    );
    assert_eq!(error.error().kind(), ErrorKind::Timeout, "{what}");
}

pub(super) async fn a_code_answered_too_late_leaves_open_what_happened(world: &World) {
    too_late_a_response_leaves_open_what_happened(world, Exchange::Code).await;
}

pub(super) async fn a_refresh_answered_too_late_leaves_open_what_happened(world: &World) {
    too_late_a_response_leaves_open_what_happened(world, Exchange::Refresh).await;
}

/// Returns the error class of an error response with the given meaning.
const fn meaning(means: RefusalMeaning) -> ExchangeClass {
    match means {
        RefusalMeaning::DeadGrant => ExchangeClass::DeadGrant,
        RefusalMeaning::AppFault => ExchangeClass::AppFault { certain: false },
        RefusalMeaning::AppFaultCertain => ExchangeClass::AppFault { certain: true },
        RefusalMeaning::AlreadyRefreshed => ExchangeClass::AlreadyRefreshed,
        _ => transient(None),
    }
}

/// Returns a refusal with the given code and description in the provider's format.
fn error_body(world: &World, code: &str, description: &str) -> String {
    let token = world.description().token.as_ref();
    let fields = token.map(|it| it.response.clone()).unwrap_or_default();
    let mut body = serde_json::Value::Object(serde_json::Map::new());
    for (pointers, text) in [
        (fields.error, code),
        (fields.error_description, description),
    ] {
        let Some(pointer) = pointers.first() else {
            continue;
        };
        let mut place = &mut body;
        for name in pointer.as_str().split('/').skip(1) {
            place = &mut place[name];
        }
        *place = text.into();
    }
    body.to_string()
}

pub(super) async fn described_error_codes_have_their_class(world: &World) {
    let mut tried = 0;
    for (code, rule) in super::description::codes(world.description()) {
        let class = meaning(rule.means);
        let description = rule.description.as_deref().unwrap_or("no");
        let status = rule.status.unwrap_or(400);
        for exchange in exchanges(world).await {
            let body = error_body(world, code, description);
            let Failed { what, error } = world.failed(exchange, answer(status, body)).await;
            assert_eq!(
                (error.class(), error.sent()),
                (class, Sent::Answered),
                "{what}"
            );
            tried += 1;
        }
    }
    assert!(tried > 0, "no code was tried");
    say(&format!("described error codes tested: {tried}"));
}

pub(super) async fn odd_but_good_responses_are_understood(world: &World) {
    let edited = async |changes: Vec<(&'static str, Option<&'static str>)>| {
        let (callback, flow) = world.granted().await;
        world.fixture.fault(TokenFault::Edit(changes));
        expect(
            world.exchange(&callback, &flow).await,
            "an unusual but valid response",
        )
    };
    let seconds = |answer: &connector_core::provider::oauth::TokenResponse| answer.expires_in();
    for (written, read) in [
        ("\"3599\"", Some(3599)),
        ("3599", Some(3599)),
        ("3599.5", Some(3599)),
        ("null", None),
        ("-1", None),
        ("\"soon\"", None),
        ("1e300", None),
        ("{}", None),
    ] {
        let answer = edited(vec![("expires_in", Some(written))]).await;
        assert_eq!(seconds(&answer), read.map(Duration::from_secs), "{written}");
    }
    let answer = edited(vec![("expires_in", None), ("token_type", None)]).await;
    assert_eq!(seconds(&answer), None, "a response without `expires_in`");
    let answer = edited(vec![("refresh_token", None), ("unheard_of", Some("[{}]"))]).await;
    assert!(answer.refresh_token().is_none());

    let credential = world.connect().await;
    let Some(before) = credential.refresh_token() else {
        return;
    };
    world
        .fixture
        .fault(TokenFault::Edit(vec![("refresh_token", None)]));
    let refreshed = world.connector().refresh(&world.cx(), &credential).await;
    let answer = expect(refreshed, "a refresh whose response has no refresh token");
    let kept = answer.refresh_token();
    assert!(
        kept.is_none_or(|kept| super::world::same(kept, before)),
        "the credential has a refresh token that the provider did not send"
    );
}

pub(super) async fn redirects_are_not_followed(world: &World) {
    let endpoint = world.description().token.as_ref().map(|it| &it.endpoint);
    let Some(endpoint) = endpoint else {
        panic!("the case needs a token endpoint");
    };
    let host = world.host.as_deref().unwrap_or_default();
    let here = expect(endpoint.url(host), "the token endpoint");
    for exchange in exchanges(world).await {
        for status in [301, 302, 303, 307, 308] {
            for target in ["https://evil.example/token", here.as_str()] {
                let fault = with_header(status, "location", target.to_owned());
                let Failed { what, error } = world.failed(exchange, fault).await;
                assert_eq!(world.wire.count(), 1, "{what}: requests");
                assert_eq!(error.sent(), Sent::Maybe, "{what}");
            }
        }
    }
}
