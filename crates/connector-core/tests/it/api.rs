//! The pipeline of API calls.

#![expect(clippy::clone_on_ref_ptr, reason = "clones of test doubles")]

use std::collections::VecDeque;
use std::sync::{Arc, LazyLock, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector_core::api::{
    CallOptions, FixedToken, Idempotency, IdempotencyKey, Page, PageCursor, Pages, Request,
    Response, RetryPolicy, Session, SessionBuilder, Token, TokenSource,
};
use connector_core::clock::{Clock, Timestamp};
use connector_core::http::limit::{Budget, Priority, RateModel, Report};
use connector_core::http::{HttpTransport, Origin, Sent, TransportErrorKind};
use connector_core::provider::description::{CallAuthentication, EndpointTemplate};
use connector_core::provider::{Description, Endpoint, GenericConnector, PagedEndpoint};
use connector_core::store::{Generation, GrantNumber, IssuedToken};
use connector_core::{
    AccessToken, Credential, CredentialKind, Error, ErrorKind, ProviderId, Result, Retry,
};
use connector_testkit::leak::canary;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;

use crate::simulation::{Script, Seeded, Step, VirtualClock, answer};

const BUSY: Duration = Duration::from_secs(1);

fn origin() -> Origin {
    Origin::parse("https://api.acme.example").unwrap()
}

fn description() -> Description {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![
        EndpointTemplate::new("https://api.acme.example"),
        EndpointTemplate::new("https://upload.acme.example"),
    ];
    description
}

fn connector(description: Description) -> GenericConnector {
    GenericConnector::new(description).unwrap()
}

fn secret(number: u64) -> String {
    static MARK: LazyLock<String> = LazyLock::new(|| canary("access"));
    format!("{}-{number}", *MARK)
}

fn bearer(number: u64) -> String {
    format!("Bearer {}", secret(number))
}

fn access_token(number: u64) -> AccessToken {
    access_token_with(number, &[])
}

fn access_token_with(number: u64, scopes: &[&str]) -> AccessToken {
    let credential = Credential::new(
        CredentialKind::OAuth,
        origin(),
        secret(number),
        Timestamp::UNIX_EPOCH,
    )
    .with_scopes(scopes.iter().copied());
    let (grant, generation) = (GrantNumber::new(1), Generation::new(number));
    AccessToken::fixed(IssuedToken::new(&credential, grant, generation, None))
}

/// A token source that records its calls.
#[derive(Default)]
struct Tokens {
    /// Results of the next calls of `token`: true for a token at once, false for a token after a
    /// wait.
    ready: Mutex<VecDeque<bool>>,
    newest: Mutex<u64>,
    log: Mutex<Vec<String>>,
    scopes: Mutex<Vec<&'static str>>,
    clock: VirtualClock,
}

impl Tokens {
    fn new(clock: &VirtualClock, ready: impl IntoIterator<Item = bool>) -> Arc<Self> {
        Arc::new(Self {
            ready: Mutex::new(ready.into_iter().collect()),
            newest: Mutex::new(1),
            log: Mutex::default(),
            scopes: Mutex::default(),
            clock: clock.clone(),
        })
    }

    fn note(&self, what: &str) {
        self.log.lock().unwrap().push(what.to_owned());
    }

    fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    fn next(&self) -> AccessToken {
        let mut newest = self.newest.lock().unwrap();
        *newest += 1;
        access_token(*newest)
    }
}

impl TokenSource for Tokens {
    fn token(&self) -> Token<'_> {
        self.note("token");
        if self.ready.lock().unwrap().pop_front().unwrap_or(true) {
            Token::Ready(access_token_with(
                *self.newest.lock().unwrap(),
                &self.scopes.lock().unwrap(),
            ))
        } else {
            Token::Wait(Box::pin(async {
                self.note("waiting");
                self.clock.sleep(BUSY).await;
                self.note("waited");
                Ok(self.next())
            }))
        }
    }

    fn after_rejection<'a>(&'a self, sent: &'a AccessToken) -> BoxFuture<'a, Result<AccessToken>> {
        self.note(&format!("rejected {}", sent.generation().get()));
        std::future::ready(Ok(self.next())).boxed()
    }

    fn accepted(&self, sent: &AccessToken) {
        self.note(&format!("accepted {}", sent.generation().get()));
    }
}

struct World {
    clock: VirtualClock,
    transport: Arc<Script>,
    tokens: Arc<Tokens>,
}

impl World {
    fn new(steps: impl IntoIterator<Item = Step>) -> Self {
        let clock = VirtualClock::default();
        Self {
            tokens: Tokens::new(&clock, []),
            transport: Script::new(steps),
            clock,
        }
    }

    fn builder(&self) -> SessionBuilder {
        self.builder_of(description())
    }

    fn builder_of(&self, description: Description) -> SessionBuilder {
        let tokens: Arc<dyn TokenSource> = self.tokens.clone();
        let transport: Arc<dyn HttpTransport> = self.transport.clone();
        Session::builder(&connector(description), tokens, transport)
            .clock(Arc::new(self.clock.clone()))
            .random(Arc::new(Seeded::new(1)))
    }

    fn session(&self) -> Session {
        self.builder().build()
    }

    fn send<E: Endpoint>(&self, endpoint: &E) -> Result<E::Output> {
        self.clock.run(self.session().send(endpoint))
    }
}

connector_core::provider::provider_client! {
    struct OtherClient for ProviderId::from_static("other");
}

connector_core::provider::provider_client! {
    struct AcmeClient for ProviderId::from_static("acme");
}

#[derive(Debug, Deserialize, PartialEq)]
struct Thing {
    id: u64,
}

macro_rules! operation {
    ($name:ident, $repeat:expr) => {
        struct $name;

        impl Endpoint for $name {
            type Client = AcmeClient;
            type Output = Thing;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: Idempotency = $repeat;

            fn request(&self) -> Result<Request> {
                Request::post(["things"])?.json(&[1])
            }

            fn keyed_request(&self, key: &IdempotencyKey) -> Result<Request> {
                let key = HeaderValue::from_str(key.as_str()).unwrap();
                Ok(self
                    .request()?
                    .header(HeaderName::from_static("idempotency-key"), key))
            }

            fn decode(&self, response: &mut Response) -> Result<Thing> {
                response.report(Report::new().with_actual(1.0));
                if response.body().starts_with(b"busy") {
                    return Err(response.error(ErrorKind::RateLimited, "wait"));
                }
                response.json()
            }
        }
    };
}

operation!(ReadThing, Idempotency::Safe);
operation!(PayThing, Idempotency::Never);
operation!(OrderThing, Idempotency::Keyed);

const GOOD: &str = r#"{"id":7}"#;

#[test]
fn a_call_takes_the_token_before_the_permit_and_checks_it_again_after_a_wait() {
    let world = World::new([answer(200, GOOD)]);
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let budget = Budget::new(
        RateModel::Window {
            requests: 1,
            seconds: 10,
        },
        clock,
    );
    let session = world.session().with_budget(budget.clone());
    // The second check finds a token that is being refreshed.
    *world.tokens.ready.lock().unwrap() = [true, false].into();
    world.clock.run(async {
        let permit = budget
            .acquire(Priority::Interactive, "other", 1)
            .await
            .unwrap();
        let call = session.send(&ReadThing);
        let others = async {
            world.clock.sleep(Duration::from_secs(1)).await;
            permit.release();
            // While the call waits for its token, other calls can use its permit.
            world.clock.sleep(BUSY / 2).await;
            assert_eq!(world.tokens.log(), ["token", "token", "waiting"]);
            budget
                .acquire(Priority::Interactive, "other", 1)
                .await
                .unwrap()
                .release();
        };
        let (thing, ()) = futures_util::future::join(call, others).await;
        assert_eq!(thing.unwrap(), Thing { id: 7 });
    });
    let log = ["token", "token", "waiting", "waited", "accepted 2"];
    assert_eq!(world.tokens.log(), log);
    assert_eq!(world.transport.headers("authorization"), [bearer(2)]);
}

#[test]
fn a_401_causes_one_refresh_and_one_retry_for_every_operation() {
    let world = World::new([answer(401, ""), answer(200, GOOD)]);
    assert_eq!(world.send(&PayThing).unwrap(), Thing { id: 7 });
    assert_eq!(
        world.transport.headers("authorization"),
        [bearer(1), bearer(2)]
    );
    assert_eq!(world.tokens.log(), ["token", "rejected 1", "accepted 2"]);
    assert_eq!(world.clock.elapsed(), Duration::ZERO);
}

#[test]
fn a_repeatedly_rejected_token_is_refreshed_once_per_call() {
    let world = World::new([answer(401, "")]);
    let error = world.send(&ReadThing).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(error.retry(), Retry::Never);
    assert_eq!(world.transport.count(), 2);
    assert_eq!(world.tokens.log(), ["token", "rejected 1"]);
}

#[test]
fn non_idempotent_calls_are_retried_only_if_certainly_not_executed() {
    use TransportErrorKind::{Broken, Busy, Connect, Timeout};
    let (no, maybe) = (Sent::No, Sent::Maybe);
    // The first step; the total number of requests if the operation is safe, and if it is not.
    let table = [
        (Step::Fail(Connect, no), 2, 2),
        (Step::Fail(Busy, no), 2, 2),
        (Step::Fail(Timeout, no), 2, 2),
        (Step::Fail(Timeout, maybe), 2, 1),
        (Step::Fail(Broken, maybe), 2, 1),
        (Step::Fail(TransportErrorKind::Answer, maybe), 1, 1),
        (Step::Fail(TransportErrorKind::AddressRefused, no), 1, 1),
        (answer(429, ""), 2, 2),
        (answer(200, "busy"), 2, 2),
        (answer(500, ""), 2, 1),
        (answer(502, "<html>"), 2, 1),
        (answer(503, ""), 2, 1),
        (answer(504, ""), 2, 1),
        (answer(408, ""), 2, 1),
        (answer(501, ""), 1, 1),
        (answer(400, ""), 1, 1),
        (answer(402, ""), 1, 1),
        (answer(403, ""), 1, 1),
        (answer(404, ""), 1, 1),
        (answer(409, ""), 1, 1),
        (answer(422, ""), 1, 1),
        (answer(302, ""), 1, 1),
        (answer(200, "<html>"), 1, 1),
    ];
    let count = |step: &Step, endpoint: &dyn Fn(&World) -> Result<Thing>| {
        let world = World::new([step.clone(), answer(200, GOOD)]);
        let result = endpoint(&world);
        let count = world.transport.count();
        assert_eq!(result.is_ok(), count == 2, "{step:?}");
        if let Err(error) = result {
            assert_eq!(error.retry(), Retry::Never, "{step:?}");
        }
        count
    };
    for (step, safe, never) in &table {
        assert_eq!(
            count(step, &|world| world.send(&ReadThing)),
            *safe,
            "{step:?}"
        );
        assert_eq!(
            count(step, &|world| world.send(&OrderThing)),
            *safe,
            "{step:?}"
        );
        assert_eq!(
            count(step, &|world| world.send(&PayThing)),
            *never,
            "{step:?}"
        );
    }
    println!("{} failures, 3 kinds of operations each", table.len());
}

#[test]
fn a_wait_requested_by_the_provider_overrides_the_back_off() {
    let retry_after = |status, value: &str| {
        Step::Answer(
            status,
            vec![("retry-after", value.to_owned())],
            String::new(),
        )
    };
    let seconds = Duration::from_secs;
    for status in [429, 503] {
        for (value, wait) in [
            ("7", seconds(7)),
            ("0", seconds(0)),
            ("Fri, 20 Nov 2026 12:00:30 GMT", seconds(30)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", seconds(0)),
        ] {
            let world = World::new([retry_after(status, value), answer(200, GOOD)]);
            world.send(&ReadThing).unwrap();
            assert_eq!(world.clock.elapsed(), wait, "{status} {value}");
        }
        let world = World::new([retry_after(status, "61")]);
        let error = world.send(&ReadThing).unwrap_err();
        assert_eq!(error.retry(), Retry::After(seconds(61)));
        assert_eq!(world.transport.count(), 1);
    }
    let world = World::new([retry_after(429, "soon"), answer(200, GOOD)]);
    world.send(&ReadThing).unwrap();
    let pause = world.clock.elapsed();
    assert!(pause >= Duration::from_millis(125) && pause <= Duration::from_millis(250));
}

#[test]
fn a_reached_limit_delays_the_waiting_calls() {
    let retry_after = Step::Answer(429, vec![("retry-after", "20".to_owned())], String::new());
    let world = World::new([retry_after, answer(200, GOOD)]);
    let session = world.session();
    world.clock.run(async {
        let first = session.send(&ReadThing);
        let second = async {
            world.clock.sleep(Duration::from_secs(1)).await;
            session.send(&ReadThing).await.unwrap();
            world.clock.elapsed()
        };
        let (first, second) = futures_util::future::join(first, second).await;
        first.unwrap();
        assert_eq!(second, Duration::from_secs(20));
    });
    assert_eq!(world.transport.count(), 3);
}

#[test]
fn a_call_is_sent_at_most_as_often_as_the_policy_allows() {
    for attempts in [0, 1, 3, 5] {
        let world = World::new([answer(503, "")]);
        let policy = RetryPolicy::default().with_attempts(attempts);
        let session = world.builder().with_retry_policy(policy).build();
        let error = world.clock.run(session.send(&ReadThing)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProviderUnavailable);
        let advice = if attempts > 1 {
            Retry::Exhausted
        } else {
            Retry::Backoff
        };
        assert_eq!(error.retry(), advice);
        assert_eq!(world.transport.count(), attempts.max(1) as usize);
    }
}

#[test]
fn during_constant_failure_retries_add_at_most_a_tenth() {
    for step in [
        answer(503, ""),
        Step::Fail(TransportErrorKind::Timeout, Sent::Maybe),
        Step::Answer(429, vec![("retry-after", "1".to_owned())], String::new()),
    ] {
        let world = World::new([step.clone()]);
        let session = world.session();
        let calls = 1000;
        for _ in 0..calls {
            world.clock.run(session.send(&ReadThing)).unwrap_err();
        }
        let requests = world.transport.count();
        println!("{step:?}: {requests} requests for {calls} calls");
        assert!(requests > calls && requests * 10 <= calls * 11);
    }
}

#[test]
fn each_call_has_one_idempotency_key_that_its_retries_reuse() {
    let world = World::new([
        Step::Fail(TransportErrorKind::Timeout, Sent::Maybe),
        answer(500, ""),
        answer(200, GOOD),
    ]);
    let session = world.session();
    for _ in 0..2 {
        world.clock.run(session.send(&OrderThing)).unwrap();
    }
    let keys = world.transport.headers("idempotency-key");
    assert_eq!(keys.len(), 4);
    assert_eq!(keys[0].len(), 32);
    assert!(keys[0] == keys[1] && keys[1] == keys[2] && keys[2] != keys[3]);
    let key = IdempotencyKey::random(&Seeded::new(7)).unwrap();
    assert_eq!(key.to_uuid().replace('-', ""), key.as_str());
    assert_eq!(key.to_uuid().len(), 36);
}

#[test]
fn a_credential_is_sent_only_to_its_own_and_described_origins() {
    let cases = [
        ("https://upload.acme.example", 1),
        ("https://api.acme.example:8443", 0),
        ("https://acme.example", 0),
        ("https://api.acme.example.evil.example", 0),
        ("https://evil.example", 0),
    ];
    for (text, count) in cases {
        let world = World::new([answer(200, GOOD)]);
        let request = Request::get(["a"])
            .unwrap()
            .at_origin(Origin::parse(text).unwrap());
        let result = world
            .clock
            .run(world.session().raw(request, Idempotency::Safe));
        assert_eq!(world.transport.count(), count, "{text}");
        match result {
            Ok(_) => assert_eq!(count, 1),
            Err(error) => assert_eq!(error.kind(), ErrorKind::AddressRefused),
        }
    }
}

#[test]
fn the_credential_is_in_the_described_header_and_marked_sensitive() {
    let world = World::new([answer(200, GOOD)]);
    let mut description = description();
    description.authentication = CallAuthentication::Header("X-Acme-Token".into());
    let session = world.builder_of(description.clone()).build();
    let forged = HeaderValue::from_static("forged");
    let request = Request::get(["a"])
        .unwrap()
        .header(HeaderName::from_static("x-acme-token"), forged);
    world
        .clock
        .run(session.raw(request, Idempotency::Safe))
        .unwrap();
    let sent = world.transport.sent.lock().unwrap();
    let values: Vec<_> = sent[0].headers().get_all("x-acme-token").iter().collect();
    assert_eq!(values, [secret(1).as_str()]);
    assert!(values[0].is_sensitive());
    assert!(!sent[0].headers().contains_key(AUTHORIZATION));
    description.authentication = CallAuthentication::Header("no header".into());
    assert!(description.validate().is_err());
}

#[test]
fn errors_name_the_request_and_quote_neither_body_nor_token() {
    for (status, body) in [
        (403, "private-body"),
        (500, "private-body"),
        (200, r#"{"id":"private-body"}"#),
        (200, "private-body"),
    ] {
        let headers = vec![("x-request-id", "r-9".to_owned())];
        let world = World::new([Step::Answer(status, headers, body.to_owned())]);
        let error = world.send(&PayThing).unwrap_err();
        assert_eq!(error.request_id(), Some("r-9"));
        assert_eq!(error.provider(), Some("acme"));
        assert_eq!(error.operation(), "PayThing");
        let shown = format!("{error} {error:?} {}", error.report());
        assert!(!shown.contains("private-body") && !shown.contains("access-"));
    }
}

#[test]
fn a_dropped_call_returns_its_place_and_counts_as_sent() {
    let world = World::new([Step::Hang]);
    let clock: Arc<dyn Clock> = Arc::new(world.clock.clone());
    let model = RateModel::Window {
        requests: 1,
        seconds: 10,
    };
    let budget = Budget::new(model, clock);
    let session = world.session().with_budget(budget.clone());
    world.clock.run(async {
        let mut call = Box::pin(session.send(&ReadThing));
        assert!(call.as_mut().now_or_never().is_none());
        assert_eq!(world.transport.count(), 1);
        drop(call);
        budget
            .acquire(Priority::Interactive, "other", 1)
            .await
            .unwrap()
            .release();
        assert_eq!(world.clock.elapsed(), Duration::from_secs(10));
    });
}

#[test]
fn the_future_of_a_call_is_smaller_than_a_kibibyte() {
    let session = World::new([]).session();
    let bytes = size_of_val(&session.send(&ReadThing));
    println!("size of the future of a call in bytes: {bytes}");
    assert!((1..1024).contains(&bytes));
}

#[test]
fn a_raw_request_uses_the_same_pipeline() {
    let world = World::new([answer(401, ""), answer(503, ""), answer(200, "text")]);
    let request = Request::get(["a b"]).unwrap().query("c", "d e");
    let response = world
        .clock
        .run(world.session().raw(request, Idempotency::Safe))
        .unwrap();
    assert_eq!(response.body(), "text");
    assert_eq!(world.transport.count(), 3);
    let sent = world.transport.sent.lock().unwrap();
    assert_eq!(sent[2].uri(), "https://api.acme.example/a%20b?c=d%20e");
}

#[test]
fn the_headers_of_the_description_are_sent_unless_an_operation_sets_its_own() {
    let mut described = description();
    for (name, value) in [("acme-version", "2"), ("user-agent", "acme/1")] {
        described.headers.insert(name.to_owned(), value.to_owned());
    }
    let (transport, clock) = (
        Script::new([answer(200, GOOD), answer(200, GOOD)]),
        VirtualClock::default(),
    );
    let token = FixedToken::new(origin(), "key-1");
    let session = Session::fixed(&connector(described), token, transport.clone());
    clock.run(session.send(&ReadThing)).unwrap();
    let (name, value) = (
        HeaderName::from_static("acme-version"),
        HeaderValue::from_static("3"),
    );
    let request = Request::get(["a"]).unwrap().header(name, value);
    clock.run(session.raw(request, Idempotency::Safe)).unwrap();
    assert_eq!(transport.headers("acme-version"), ["2", "3"]);
    assert_eq!(transport.headers("user-agent"), ["acme/1"; 2]);
    assert_eq!(transport.headers("authorization"), ["Bearer key-1"; 2]);
}

#[test]
fn a_fixed_token_is_sent_and_never_refreshed() {
    let transport = Script::new([answer(200, GOOD), answer(401, "")]);
    let token = FixedToken::new(origin(), "key-1");
    let session = Session::fixed(&connector(description()), token, transport.clone());
    let clock = VirtualClock::default();
    clock.run(session.send(&ReadThing)).unwrap();
    let error = clock.run(session.send(&ReadThing)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unauthorized);
    assert_eq!(transport.headers("authorization"), ["Bearer key-1"; 2]);
}

#[test]
fn a_token_invalid_in_a_header_is_not_sent_and_uses_no_limit() {
    let mut refused = 0;
    for authentication in [
        CallAuthentication::Bearer,
        CallAuthentication::Header("X-Acme-Token".into()),
    ] {
        let mut description = description();
        description.authentication = authentication;
        for token in ["line\nbreak", "carriage\rreturn", "nothing\0", "del\u{7f}"] {
            let (transport, clock) = (Script::new([]), VirtualClock::default());
            let model = RateModel::Window {
                requests: 1,
                seconds: 10,
            };
            let budget = Budget::new(model, Arc::new(clock.clone()));
            let fixed = FixedToken::new(origin(), token);
            let session = Session::fixed(&connector(description.clone()), fixed, transport.clone())
                .with_budget(budget.clone());
            let error = clock.run(session.send(&ReadThing)).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{token:?}");
            assert!(!format!("{error:?} {}", error.report()).contains(token));
            assert_eq!(transport.count(), 0);
            clock
                .run(budget.acquire(Priority::Interactive, "other", 1))
                .unwrap()
                .release();
            assert_eq!(clock.elapsed(), Duration::ZERO);
            refused += 1;
        }
    }
    println!("tokens rejected: {refused} of 8");
    assert_eq!(refused, 8);
}

#[derive(Clone)]
struct ListThings {
    from: Option<PageCursor>,
}

#[derive(Deserialize)]
struct Things {
    items: Vec<u64>,
    next: Option<PageCursor>,
}

impl Endpoint for ListThings {
    type Client = AcmeClient;
    type Output = Page<u64>;
    const NAME: &'static str = "ListThings";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn validate(&self) -> Result<()> {
        match &self.from {
            Some(cursor) if cursor.as_str().is_empty() => Err(Error::new(
                ErrorKind::InvalidInput,
                Self::NAME,
                "the cursor is empty",
            )),
            _ => Ok(()),
        }
    }

    fn request(&self) -> Result<Request> {
        let request = Request::get(["things"])?;
        Ok(match &self.from {
            Some(cursor) => request.query("after", cursor.as_str()),
            None => request,
        })
    }

    fn decode(&self, response: &mut Response) -> Result<Page<u64>> {
        let things: Things = response.json()?;
        Ok(Page::new(things.items, things.next))
    }
}

impl PagedEndpoint for ListThings {
    type Item = u64;

    fn at(&self, cursor: &PageCursor) -> Self {
        Self {
            from: Some(cursor.clone()),
        }
    }
}

fn page(items: &[u64], next: Option<&str>) -> Step {
    let body = serde_json::json!({ "items": items, "next": next });
    answer(200, &body.to_string())
}

#[test]
fn an_empty_page_with_a_cursor_does_not_end_the_stream() {
    let world = World::new([
        page(&[1, 2], Some("a")),
        page(&[], Some("b")),
        page(&[], Some("c")),
        page(&[3], None),
    ]);
    let pages = world.session().pages(ListThings { from: None });
    let items: Vec<u64> = world.clock.run(pages.items().try_collect()).unwrap();
    assert_eq!(items, [1, 2, 3]);
    let sent = world.transport.sent.lock().unwrap();
    let queries: Vec<_> = sent.iter().map(|it| it.uri().query()).collect();
    assert_eq!(
        queries,
        [None, Some("after=a"), Some("after=b"), Some("after=c")]
    );
}

#[test]
fn a_repeated_cursor_is_an_error() {
    for cursors in [&["a", "a"][..], &["a", "b", "a"], &["a", "b", "c", "b"]] {
        let steps = cursors.iter().map(|cursor| page(&[1], Some(cursor)));
        let world = World::new(steps);
        let pages = world.session().pages(ListThings { from: None });
        let mut results: Vec<_> = world.clock.run(pages.collect());
        assert_eq!(results.len(), cursors.len());
        let error = results.pop().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
        assert!(results.iter().all(Result::is_ok));
    }
}

#[test]
fn pages_end_at_the_first_error_and_can_be_resumed_from_the_last_cursor() {
    let world = World::new([page(&[1], Some("a")), answer(403, ""), page(&[2], None)]);
    let session = world.session();
    let mut pages = session.pages(ListThings { from: None });
    world.clock.run(async {
        let first = pages.next().await.unwrap().unwrap();
        assert_eq!(
            pages.next().await.unwrap().unwrap_err().kind(),
            ErrorKind::Forbidden
        );
        assert!(pages.next().await.is_none());
        let again = ListThings { from: None }.at(&first.next.unwrap());
        let rest: Vec<u64> = session.pages(again).items().try_collect().await.unwrap();
        assert_eq!(rest, [2]);
    });
}

#[test]
fn arguments_are_checked_before_anything_is_sent() {
    let world = World::new([]);
    let bad = ListThings {
        from: Some(PageCursor::new("")),
    };
    let error = world.send(&bad).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(world.transport.count(), 0);
    assert!(world.tokens.log().is_empty());
}

#[test]
fn sessions_streams_and_futures_are_send() {
    fn shared<T: Send + Sync + 'static>() {}
    fn moved<T: Send + 'static>(_: &T) {}
    fn generic<E: PagedEndpoint + Clone>(session: &Session, endpoint: E) {
        moved(&session.pages(endpoint.clone()));
        let session = session.clone();
        moved(&async move { session.send(&endpoint).await });
    }
    shared::<Session>();
    shared::<Request>();
    shared::<Response>();
    shared::<Budget>();
    moved::<Option<Pages<u64>>>(&None);
    let world = World::new([]);
    generic(&world.session(), ListThings { from: None });
    let _: Bytes = Bytes::new();
}

// Settings of a single call

/// An operation with scopes, of this provider or of another one.
struct Scoped<C>(std::marker::PhantomData<fn() -> C>);

impl<C: connector_core::provider::ProviderClient> Endpoint for Scoped<C> {
    type Client = C;
    type Output = ();
    const NAME: &'static str = "Scoped";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["files", "read write"];

    fn request(&self) -> Result<Request> {
        Request::get(["scoped"])
    }

    fn decode(&self, _: &mut Response) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_missing_scope_is_named_before_anything_is_sent() {
    let mut sent = 0;
    for (granted, missing) in [
        (&[][..], None),
        (&["files", "read"], None),
        (&["files", "write", "other"], None),
        (&["files"], Some("read or write")),
        (&["read", "write"], Some("files")),
        (&["file", "files2", "Read"], Some("files")),
    ] {
        let world = World::new([answer(200, "")]);
        *world.tokens.scopes.lock().unwrap() = granted.to_vec();
        let result = world.send(&Scoped::<AcmeClient>(std::marker::PhantomData));
        assert_eq!(
            world.transport.count(),
            usize::from(missing.is_none()),
            "{granted:?}"
        );
        sent += world.transport.count();
        if let Some(scope) = missing {
            let error = result.unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Forbidden);
            assert_eq!(error.retry(), Retry::AfterReauthorization);
            assert!(
                error.message().contains(&format!("the scope {scope};")),
                "{error}"
            );
        }
    }
    assert_eq!(sent, 3);
    println!("scope checks: 6, requests: {sent}");
}

#[test]
fn an_operation_of_another_provider_is_refused_before_anything_is_sent() {
    let world = World::new([answer(200, "")]);
    let error = world
        .send(&Scoped::<OtherClient>(std::marker::PhantomData))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(world.transport.count(), 0);
}

#[test]
fn a_call_may_have_its_own_deadline_priority_and_idempotency_key() {
    let world = World::new([answer(503, ""), answer(200, GOOD)]);
    let key = IdempotencyKey::derived_from("invoice 7");
    assert_eq!(key, IdempotencyKey::derived_from("invoice 7"));
    assert_ne!(key, IdempotencyKey::derived_from("invoice 8"));
    let options = CallOptions::new()
        .with_timeout(Duration::from_secs(3))
        .with_priority(Priority::Background)
        .with_idempotency_key(key.clone());
    let call = world.session();
    world
        .clock
        .run(call.send_with(&OrderThing, options.clone()))
        .unwrap();
    assert_eq!(
        world.transport.headers("idempotency-key"),
        [key.as_str(); 2]
    );
    let timeouts = world.transport.timeouts.lock().unwrap().clone();
    assert_eq!(timeouts, [Duration::from_secs(3); 2]);
    // An operation that accepts no key would ignore the key.
    let error = world
        .clock
        .run(call.send_with(&PayThing, options))
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(world.transport.count(), 2);
}

#[test]
fn a_raw_request_returns_the_final_response_whatever_its_status() {
    let status = |steps: Vec<Step>| {
        let world = World::new(steps);
        let request = Request::get(["a"]).unwrap();
        let response = world
            .clock
            .run(world.session().raw(request, Idempotency::Safe));
        (response.unwrap().status().as_u16(), world.transport.count())
    };
    let table = [
        (vec![answer(404, "gone")], (404, 1)),
        (vec![answer(422, "no")], (422, 1)),
        (vec![answer(302, "")], (302, 1)),
        (vec![answer(401, ""), answer(200, "")], (200, 2)),
        (vec![answer(401, ""), answer(401, "")], (401, 2)),
        (vec![answer(429, ""), answer(200, "")], (200, 2)),
        (vec![answer(503, "")], (503, 4)),
        (vec![answer(429, "")], (429, 4)),
    ];
    for (steps, expected) in table {
        let shown = format!("{steps:?}");
        assert_eq!(status(steps), expected, "{shown}");
    }
    // The token cannot be refreshed, so the 401 response is the result.
    let transport = Script::new([answer(401, "who?")]);
    let session = Session::fixed(
        &connector(description()),
        FixedToken::new(origin(), "key-1"),
        transport.clone(),
    );
    let request = Request::get(["a"]).unwrap();
    let response = VirtualClock::default().run(session.raw(request, Idempotency::Safe));
    assert_eq!(response.unwrap().body(), "who?");
}

#[test]
fn an_error_carries_status_and_code() {
    let headers = vec![("retry-after", "120.5".to_owned())];
    let world = World::new([Step::Answer(503, headers, String::new())]);
    let error = world.send(&ReadThing).unwrap_err();
    assert_eq!(error.status().unwrap().as_u16(), 503);
    assert_eq!(error.retry(), Retry::After(Duration::from_secs(121)));
    assert_eq!(
        world.transport.count(),
        1,
        "two minutes are too long to wait"
    );
    let error = error.with_code("rate \"limit\"\n_x");
    assert_eq!(error.code(), Some("ratelimit_x"));
}

#[test]
fn a_byte_order_mark_before_json_is_skipped() {
    let world = World::new([answer(200, "\u{feff}{\"id\":7}")]);
    assert_eq!(world.send(&ReadThing).unwrap(), Thing { id: 7 });
}

/// A listing that ends after two pages although more results exist.
#[derive(Clone)]
struct ListSome(Option<PageCursor>);

impl Endpoint for ListSome {
    type Client = AcmeClient;
    type Output = Page<u64>;
    const NAME: &'static str = "ListSome";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        match &self.0 {
            Some(cursor) => Request::next(cursor.as_str()),
            None => Request::get(["some"]),
        }
    }

    fn decode(&self, response: &mut Response) -> Result<Page<u64>> {
        let items = response.json::<Vec<u64>>()?;
        Ok(match items[..] {
            [1] => Page::new(
                items,
                Some(PageCursor::new("https://api.acme.example/some?p=%2f2")),
            ),
            _ => Page::truncated(items, Some(PageCursor::new("after 2"))),
        })
    }
}

impl PagedEndpoint for ListSome {
    type Item = u64;

    fn at(&self, cursor: &PageCursor) -> Self {
        Self(Some(cursor.clone()))
    }
}

/// A listing that the provider ends after two results.
#[derive(Clone)]
struct ListTwo(Option<PageCursor>);

impl Endpoint for ListTwo {
    type Client = AcmeClient;
    type Output = Page<u64>;
    const NAME: &'static str = "ListTwo";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        Request::get(["two"])
    }

    fn decode(&self, response: &mut Response) -> Result<Page<u64>> {
        let items = response.json::<Vec<u64>>()?;
        let next = (items == [1]).then(|| PageCursor::new(format!("{:?}", self.0.is_some())));
        Ok(Page::new(items, next))
    }
}

impl PagedEndpoint for ListTwo {
    type Item = u64;
    const LIMIT: Option<usize> = Some(2);

    fn at(&self, cursor: &PageCursor) -> Self {
        Self(Some(cursor.clone()))
    }

    fn resume(&self, _: &[u64]) -> Option<PageCursor> {
        Some(PageCursor::new("behind the last"))
    }
}

#[test]
fn a_truncated_listing_ends_with_an_error_that_contains_a_cursor() {
    let world = World::new([answer(200, "[1]"), answer(200, "[2]")]);
    let items: Vec<_> = world
        .clock
        .run(world.session().pages(ListSome(None)).items().collect());
    let [Ok(1), Ok(2), Err(error)] = &items[..] else {
        panic!("{items:?}")
    };
    assert_eq!(error.kind(), ErrorKind::Truncated);
    assert_eq!(error.resume(), Some(&PageCursor::new("after 2")));
    // A listing that reaches the provider's limit is truncated, whether or not the response names a
    // next page.
    for last in ["[2]", "[1]"] {
        let world = World::new([answer(200, "[1]"), answer(200, last)]);
        let items: Vec<_> = world
            .clock
            .run(world.session().pages(ListTwo(None)).items().collect());
        let [Ok(1), Ok(_), Err(error)] = &items[..] else {
            panic!("{items:?}")
        };
        assert_eq!(error.kind(), ErrorKind::Truncated);
        assert_eq!(error.resume(), Some(&PageCursor::new("behind the last")));
    }
    // A next-page URL is sent unchanged, with the credential.
    let sent = world.transport.sent.lock().unwrap();
    assert_eq!(sent[1].uri(), "https://api.acme.example/some?p=%2f2");
    assert!(sent[1].headers().contains_key(AUTHORIZATION));
    drop(sent);
    let world = World::new([answer(200, "[1]")]);
    let elsewhere = ListSome(Some(PageCursor::new("https://evil.example/some")));
    let error = world.send(&elsewhere).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressRefused);
    assert_eq!(world.transport.count(), 0);
}

#[test]
fn a_request_shows_lengths_only() {
    let request = http::Request::post("https://api.acme.example/secret-path?code=secret-code")
        .header("authorization", "secret-token")
        .body(Bytes::from_static(b"client_secret=secret-body"))
        .unwrap();
    let outbound = connector_core::http::OutboundRequest::token(request);
    let shown = format!("{outbound:?}");
    assert!(
        shown.contains("body_bytes: 25") && !shown.contains("secret"),
        "{shown}"
    );
    let shown = format!("{:?}", connector_core::http::StreamRequest::from(outbound));
    assert!(
        shown.contains("POST") && !shown.contains("secret"),
        "{shown}"
    );
}

#[test]
fn an_error_never_shows_the_debug_output_of_its_source() {
    #[derive(Debug)]
    #[expect(dead_code, reason = "shown by `Debug` only")]
    struct Quoting(&'static str);
    impl std::fmt::Display for Quoting {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("code E7")
        }
    }
    impl std::error::Error for Quoting {}
    let error = Error::new(ErrorKind::Rejected, "test", "no").with_source(Quoting("private text"));
    let shown = format!("{error:?}");
    assert!(
        shown.contains("code E7") && !shown.contains("private"),
        "{shown}"
    );
}
