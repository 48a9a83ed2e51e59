//! Successful token requests: their content and their destination.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_core::http::{Origin, RequestClass, Sent};
use connector_core::provider::description::{ClientAuthentication, EndpointTemplate, Pkce};
use connector_core::provider::oauth::ExchangeClass;
use futures_util::future::{BoxFuture, FutureExt, join_all};
use http::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::fixture::{Consent, TokenFault};
use super::wire::Seen;
use super::world::{World, expect};

/// Maximum duration of a request to a token endpoint. The lifetimes of claims are based on this
/// duration.
const DEADLINE: Duration = Duration::from_secs(15);
const MAX_TOKEN_RESPONSE: usize = 1024 * 1024;
const MAX_RESPONSE: usize = 8 * 1024 * 1024;

/// Returns all requests for one credential: the code exchange, the identification and, if
/// supported, a refresh and a revocation.
async fn life(world: &World, strange: bool) -> Life {
    // Responses may contain URLs. A token must be sent to none of these.
    let strange_answer = || {
        TokenFault::Edit(vec![
            ("instance_url", Some(r#""https://evil.example""#)),
            ("api_domain", Some(r#""https://evil.example""#)),
            ("token_endpoint", Some(r#""https://evil.example/token""#)),
            ("id", Some(r#""https://evil.example/id""#)),
        ])
    };
    let (callback, flow) = world.granted().await;
    if strange {
        world.fixture.fault(strange_answer());
    }
    let answer = expect(world.exchange(&callback, &flow).await, "the exchange");
    let exchange = world.wire.take();
    let mut credential = world.credential(&answer, None);
    world.identified(&credential).await;
    let mut others = world.wire.take();
    let mut refresh = Vec::new();
    if credential.refresh_token().is_some() {
        if strange {
            world.fixture.fault(strange_answer());
        }
        credential = world.refreshed(&credential).await;
        refresh = world.wire.take();
        world.identified(&credential).await;
    }
    if world.description().revocation.is_some() {
        let revoked = world.connector().revoke(&world.cx(), &credential).await;
        expect(revoked, "the revocation");
    }
    others.extend(world.wire.take());
    Life {
        verifier: flow.verifier.secret().clone(),
        exchange,
        refresh,
        others,
    }
}

struct Life {
    verifier: SecretString,
    exchange: Vec<Seen>,
    refresh: Vec<Seen>,
    others: Vec<Seen>,
}

impl Life {
    fn tokens(&self) -> impl Iterator<Item = &Seen> {
        self.exchange.iter().chain(&self.refresh)
    }

    fn all(&self) -> impl Iterator<Item = &Seen> {
        self.tokens().chain(&self.others)
    }
}

/// Returns the fields of all token requests, in the provider's format.
fn all_fields(world: &World, seen: &[Seen]) -> Vec<(Seen, Fields)> {
    let fields = |seen: &Seen| {
        let mut request = http::Request::builder()
            .method(seen.method.clone())
            .uri(&seen.url)
            .body(seen.body.clone())
            .ok()?;
        *request.headers_mut() = seen.headers.clone();
        Some((seen.clone(), world.fixture.token_fields(&request)?))
    };
    seen.iter().filter_map(fields).collect()
}

type Fields = Vec<(String, String)>;

fn field(fields: &[(String, String)], name: &str) -> Option<String> {
    let mut values = fields.iter().filter(|(its_name, _)| its_name == name);
    let value = values.next().map(|(_, value)| value.clone());
    assert!(values.next().is_none(), "the field {name} occurs twice");
    value
}

pub(super) async fn a_code_is_good_once(world: &World) {
    let (callback, flow) = world.granted().await;
    expect(world.exchange(&callback, &flow).await, "the exchange");
    match world.exchange(&callback, &flow).await {
        Ok(_) => panic!("a used code returns a second token"),
        Err(error) => {
            assert_eq!(error.sent(), Sent::Answered, "{error:?}");
            assert!(
                !matches!(error.class(), ExchangeClass::Transient { .. }),
                "a used code causes a retry: {error:?}"
            );
        }
    }
}

pub(super) async fn token_requests_stay_inside_their_bounds(world: &World) {
    let life = life(world, false).await;
    let token = world.description().token.as_ref();
    let Some(endpoint) = token.map(|it| &it.endpoint) else {
        panic!("the case needs a token endpoint");
    };
    let host = world.host.as_deref().unwrap_or_default();
    expect(endpoint.url(host), "the token endpoint");
    assert!(!life.exchange.is_empty(), "an exchange sent no request");
    for seen in life.tokens() {
        assert!(
            seen.max_response_len <= MAX_TOKEN_RESPONSE,
            "a token response of {} bytes is accepted",
            seen.max_response_len
        );
    }
    for seen in life.all() {
        assert_eq!(
            seen.class,
            RequestClass::Token,
            "the request class of a request for a credential"
        );
        assert!(
            seen.timeout <= DEADLINE,
            "the request timeout is {:?}",
            seen.timeout
        );
        assert!(
            seen.max_response_len <= MAX_RESPONSE,
            "a response of {} bytes is accepted",
            seen.max_response_len
        );
    }
}

pub(super) async fn token_requests_are_written_as_described(world: &World) {
    let token = world.description().token.as_ref();
    let life = life(world, false).await;
    let exchange = all_fields(world, &life.exchange);
    let with_code = exchange
        .iter()
        .find(|(_, fields)| field(fields, "code").is_some());
    let Some((_, fields)) = with_code else {
        panic!("no request of the exchange has the provider's format and a code");
    };
    let parameters = token.iter().flat_map(|it| &it.exchange_parameters);
    for (name, value) in parameters {
        assert_eq!(field(fields, name).as_ref(), Some(value), "{name}");
    }
    for name in token.iter().flat_map(|it| &it.omitted_parameters) {
        assert!(field(fields, name).is_none(), "the field {name} is sent");
    }
    if life.refresh.is_empty() {
        return;
    }
    let refresh = all_fields(world, &life.refresh);
    let spends = |fields: &Fields| {
        field(fields, "grant_type").as_deref() == Some("refresh_token")
            && field(fields, "refresh_token").is_some()
    };
    let Some((_, fields)) = refresh.iter().find(|(_, fields)| spends(fields)) else {
        panic!("no request of the refresh has the provider's format and a refresh token");
    };
    for (name, value) in token.iter().flat_map(|it| &it.refresh_parameters) {
        assert_eq!(field(fields, name).as_ref(), Some(value), "{name}");
    }
}

pub(super) async fn the_client_authenticates_as_described(world: &World) {
    let token = world.description().token.as_ref();
    let authentication = token.map(|it| it.client_authentication);
    let id = world.app.client_id();
    let secret = world.app.client_secret();
    let secret = secret.map(|it| it.expose_secret().to_owned());
    // A replaced secret still verifies, but is never sent.
    let mut secrets = world.app.client_secrets().to_vec();
    secrets.push(SecretString::from("an-old-secret"));
    let app = world.app_with(&secrets);
    let cx = world.cx_of(&app);
    let credential = world.connect().await;
    world.wire.take();
    if credential.refresh_token().is_some() {
        let refreshed = world.connector().refresh(&cx, &credential).await;
        expect(refreshed, "a refresh during a secret rotation");
    }
    let mut seen = world.wire.take();
    seen.extend(life(world, false).await.exchange);
    let id_parameter = token.map_or("client_id", |it| &it.client_id_parameter);
    for (seen, fields) in &all_fields(world, &seen) {
        let header = seen.headers.get(AUTHORIZATION);
        let wanted = match (authentication, &secret) {
            (Some(ClientAuthentication::Basic), Some(secret)) => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                Some(format!("{}:{}", encode(id), encode(secret)))
            }
            (Some(ClientAuthentication::SecretAsUser), Some(secret)) => Some(format!("{secret}:")),
            _ => None,
        };
        if let Some(wanted) = wanted {
            let Some(header) = header else {
                panic!("the client sends no Authorization header");
            };
            let wanted = format!("Basic {}", STANDARD.encode(wanted));
            assert!(
                header.as_bytes() == wanted.as_bytes(),
                "the client's id and secret are not in the Authorization header"
            );
            assert!(header.is_sensitive(), "the header is not marked sensitive");
            assert!(
                field(fields, "client_secret").is_none(),
                "the client secret is also in the body"
            );
        } else {
            let is_public = authentication == Some(ClientAuthentication::None);
            let secret = secret.clone().filter(|_| !is_public);
            assert_eq!(field(fields, id_parameter).as_deref(), Some(id));
            assert!(
                field(fields, "client_secret") == secret,
                "the client secret in the body is not the app's first one"
            );
            assert!(header.is_none(), "the client authenticates in two ways");
        }
    }
}

pub(super) async fn the_verifier_is_sent_with_the_code_where_described(world: &World) {
    let authorization = world.description().authorization.as_ref();
    let pkce = authorization.is_some_and(|it| it.pkce != Pkce::Refused);
    let life = life(world, false).await;
    let exchange = all_fields(world, &life.exchange);
    let with_code = exchange
        .iter()
        .filter(|(_, fields)| field(fields, "code").is_some());
    for (_, fields) in with_code {
        let sent = field(fields, "code_verifier");
        let wanted = pkce.then(|| life.verifier.expose_secret().to_owned());
        assert!(
            sent == wanted,
            "the exchange {} the flow's verifier",
            if pkce { "lacks" } else { "shows" }
        );
    }
    for (_, fields) in &all_fields(world, &life.refresh) {
        let sent = field(fields, "code_verifier");
        assert!(sent.is_none(), "a refresh sends a code verifier");
    }
}

pub(super) async fn granted_scopes_are_those_of_the_response(world: &World) {
    let asked = world.scopes();
    let (Some(first), Some(last)) = (asked.first(), asked.last()) else {
        panic!("the case needs scopes");
    };
    assert_ne!(first, last, "the fixture's app must request two scopes");
    let consent = Consent::GrantOnly(vec![first.clone()]);
    let Some((callback, flow)) = world.callback(&consent).await else {
        panic!("the fixture's provider does not redirect the browser after consent");
    };
    let answer = expect(world.exchange(&callback, &flow).await, "the exchange");
    let check = |scopes: Option<&[String]>, when: &str| {
        let Some(scopes) = scopes else {
            panic!(
                "{when}: the scopes of the response are lost, so all requested scopes would count \
                 as granted"
            );
        };
        assert!(scopes.contains(first), "{when}: {first} was granted");
        assert!(!scopes.contains(last), "{when}: {last} was not granted");
    };
    check(answer.scopes(), "after the exchange");
    let credential = world.credential(&answer, None);
    if credential.refresh_token().is_some() {
        let renewed = world.refreshed(&credential).await;
        check(Some(renewed.scopes()), "after a refresh");
    }
}

pub(super) async fn no_request_leaves_for_another_origin(world: &World) {
    let description = world.description();
    let host = world.host.as_deref().unwrap_or_default();
    let named: Vec<&EndpointTemplate> = description
        .api
        .iter()
        .chain(description.token.iter().map(|it| &it.endpoint))
        .chain(description.revocation.iter().map(|it| &it.endpoint))
        .chain(
            description
                .identity
                .iter()
                .filter_map(|it| it.test_endpoint()),
        )
        .collect();
    let origins: BTreeSet<Origin> = named
        .into_iter()
        .map(|template| {
            let url = expect(template.url(host), "a described endpoint");
            expect(Origin::of(&url), "its origin")
        })
        .collect();
    let life = life(world, true).await;
    let mut seen = 0;
    for request in life.all() {
        seen += 1;
        let origin = Url::parse(&request.url).ok();
        let origin = origin.and_then(|url| Origin::of(&url).ok());
        let Some(origin) = origin else {
            panic!("a request is sent to a URL that is not https");
        };
        assert!(
            origins.contains(&origin),
            "a request is sent to {origin:?}, which is not in the description"
        );
    }
    super::say(&format!("requests to described origins: {seen}"));
}

/// Number of concurrent callers.
const CALLERS: usize = 8;

pub(super) async fn hooks_run_at_the_same_time(world: &World) {
    let credential = world.connect().await;
    let mut flows = Vec::new();
    for _ in 0..CALLERS {
        flows.push(world.granted().await);
    }
    world.wire.take();
    let identifying: Vec<BoxFuture<'_, bool>> = (0..CALLERS)
        .map(|_| async { world.identify(&credential).await.is_ok() }.boxed())
        .collect();
    if world.has_test_endpoint() {
        let identified = together(world, "identify", identifying).await;
        assert_eq!(identified, CALLERS, "callers that were identified");
    }
    let refreshing: Vec<BoxFuture<'_, bool>> = (0..CALLERS)
        .map(|_| async { world.refresh(&credential).await.is_ok() }.boxed())
        .collect();
    if credential.refresh_token().is_some() {
        let refreshed = together(world, "refresh", refreshing).await;
        assert!(refreshed > 0, "no caller got a token");
    }
    let exchanging: Vec<BoxFuture<'_, bool>> = flows
        .iter()
        .map(|(callback, flow)| async { world.exchange(callback, flow).await.is_ok() }.boxed())
        .collect();
    let exchanged = together(world, "exchange_code", exchanging).await;
    assert_eq!(exchanged, CALLERS, "codes that were exchanged");
}

/// Runs all callers concurrently. The requests get responses only after every caller has sent a
/// request. Returns the number of successful callers.
async fn together(world: &World, hook: &str, callers: Vec<BoxFuture<'_, bool>>) -> usize {
    /// Number of polls without a request after which a caller is considered blocked by another
    /// caller.
    const PATIENCE: usize = 1000;
    world.wire.take();
    world.wire.hold(true);
    let mut all = Box::pin(join_all(callers));
    for _ in 0..PATIENCE {
        let polled = poll_fn(|task| Poll::Ready(all.as_mut().poll(task))).await;
        let Poll::Pending = polled else {
            panic!("{hook} returns a result without a request to the provider");
        };
        if world.wire.count() == CALLERS {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert_eq!(
        world.wire.count(),
        CALLERS,
        "callers of {hook} wait for each other"
    );
    world.wire.hold(false);
    all.await.into_iter().filter(|done| *done).count()
}
