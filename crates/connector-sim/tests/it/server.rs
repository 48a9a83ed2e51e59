//! The server: network faults, request counts, the consent page, secrets with a mark.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::{HttpTransport, OutboundRequest, Sent, TransportErrorKind};
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CodeExchange, CodeVerifier, ExchangeClass, Grace,
    RotationClass, TokenRequest, TokenResponse, client_credentials,
};
use connector_core::provider::{Connector, Context, Description, GenericConnector};
use connector_core::{App, ErrorKind, SystemRandom};
use connector_http::HttpClient;
use connector_sim::{
    Account, Authority, AuthorityBuilder, Consent, Fault, Grant, Request, Response,
};
use http::Method;
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use url::Url;

const MARK: &str = "canary-mark-";

fn description() -> Description {
    serde_json::from_value(json!({
        "provider": "acme", "name": "Acme <script>", "api": ["https://api.acme.example"],
        "authorization": { "endpoint": "https://acme.example/authorize" },
        "token": { "endpoint": "https://acme.example/token" },
        "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
        "scopes": { "default": ["read", "write"] }
    }))
    .unwrap()
}

struct World {
    authority: Authority,
    connector: GenericConnector,
    app: App,
    client: Arc<dyn HttpTransport>,
    clock: ManualClock,
}

impl World {
    async fn of(
        description: Description,
        change: impl FnOnce(AuthorityBuilder) -> AuthorityBuilder,
    ) -> Self {
        connector_testkit::trace::init();
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let builder = Authority::of(&description).with_mark(MARK);
        let authority = change(builder).start(clock.clone()).await.unwrap();
        let client = authority.server().overrides().into_iter().fold(
            HttpClient::builder().with_clock(Arc::new(clock.clone())),
            connector_http::HttpClientBuilder::with_loopback,
        );
        Self {
            app: authority.app(),
            connector: GenericConnector::new(description).unwrap(),
            client: Arc::new(client.build().unwrap()),
            authority,
            clock,
        }
    }

    fn cx(&self) -> Context<'_> {
        Context::new(&self.app, &*self.client, &self.clock)
    }

    fn url(&self, verifier: &CodeVerifier) -> Url {
        let state = SecretString::from("a state");
        let request = AuthorizationRequest::new(&self.app, &state, verifier);
        self.connector.authorization_url(&request).unwrap()
    }

    /// Returns the callback URL after a consent to all scopes.
    fn granted(&self, verifier: &CodeVerifier) -> Url {
        let url = self.url(verifier);
        self.authority.visit(&url, &Consent::Grant).unwrap()
    }

    async fn exchange(&self, code: &SecretString, verifier: &CodeVerifier) -> TokenResponse {
        let (cx, exchange) = (self.cx(), CodeExchange::new(code, verifier));
        let exchanged = self.connector.exchange_code(&cx, &exchange).await;
        exchanged.unwrap()
    }

    async fn get(
        &self,
        url: &str,
        token: &str,
    ) -> Result<http::Response<Bytes>, (TransportErrorKind, Sent)> {
        let request = http::Request::get(url).header("authorization", format!("Bearer {token}"));
        let request = OutboundRequest::token(request.body(Bytes::new()).unwrap());
        let sent = self.client.send(request).await;
        sent.map_err(|error| (error.kind(), error.sent()))
    }
}

/// Returns the code in a callback URL.
fn code(target: &Url) -> SecretString {
    let callback = Callback::parse(target.query().unwrap()).unwrap();
    callback.code().unwrap()
}

fn verifier() -> CodeVerifier {
    CodeVerifier::generate(&SystemRandom::new()).unwrap()
}

/// Sends a request like a browser, over plain HTTP, and returns the whole response.
async fn browse(method: &str, url: &Url, body: &str) -> String {
    let address = format!("{}:{}", url.host_str().unwrap(), url.port().unwrap());
    let mut stream = TcpStream::connect(&address).await.unwrap();
    let target = format!("{}?{}", url.path(), url.query().unwrap_or_default());
    let request = format!(
        "{method} {target} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).await.unwrap();
    response
}

fn api(request: &Request, grant: &Grant) -> Response {
    Response::json(
        200,
        &json!({ "path": request.path(), "account": grant.account, "n": 1 }),
    )
}

#[tokio::test]
async fn every_fault_reaches_the_client_as_scripted() {
    let world = World::of(description(), |builder| builder.with_provider(api)).await;
    let server = world.authority.server();
    let (token, _) = world.authority.issue("1", &["read"]).unwrap();
    let (url, token) = ("https://api.acme.example/v1/things", token.expose_secret());
    let broken = (TransportErrorKind::Broken, Sent::Maybe);
    let good = world.get(url, token).await.unwrap();
    assert_eq!(good.headers()["x-request-id"], "simulated-1");
    for fault in [Fault::DropBefore, Fault::DropAfter, Fault::Truncate] {
        server.fault("/v1/*", fault.clone());
        assert_eq!(
            world.get(url, token).await.unwrap_err(),
            broken,
            "{fault:?}"
        );
    }
    server.fault("/v1/things", Fault::rate_limited(7));
    server.fault("/v1/things", Fault::answer(503, "<html>"));
    server.fault(
        "/v1/things",
        Fault::Edit(vec![("n", Some("2")), ("path", None)]),
    );
    let limited = world.get(url, token).await.unwrap();
    assert_eq!(
        (limited.status().as_u16(), &limited.headers()["retry-after"]),
        (429, &"7".parse().unwrap())
    );
    let failed = world.get(url, token).await.unwrap();
    assert_eq!(
        (failed.status().as_u16(), &failed.body()[..]),
        (503, &b"<html>"[..])
    );
    let edited: Value =
        serde_json::from_slice(world.get(url, token).await.unwrap().body()).unwrap();
    assert_eq!(edited, json!({ "account": "1", "n": 2 }));
    // `Slow` is a time on the simulator's clock.
    server.fault("/v1/things", Fault::Slow(Duration::from_secs(3600)));
    let slow = world.get(url, token);
    let passing = async {
        // The transport's timeout and the server's delay.
        world.clock.wait_for_sleepers(2).await;
        world.clock.advance(Duration::from_secs(15));
        std::future::pending::<()>().await;
    };
    tokio::select! {
        slow = slow => assert_eq!(slow.unwrap_err(), (TransportErrorKind::Timeout, Sent::Maybe)),
        () = passing => unreachable!(),
    }
    assert_eq!(server.pending_faults(), 0);
    assert_eq!(server.count(&Method::GET, "/v1/*"), 8);
    assert_eq!(server.count(&Method::POST, "/v1/*"), 0);
    assert_eq!(world.get(url, "wrong").await.unwrap().status(), 401);
    println!("faults on the wire: 7");
}

#[tokio::test]
async fn a_held_request_waits_after_it_was_counted() {
    let world = World::of(description(), |builder| builder.with_provider(api)).await;
    let (token, _) = world.authority.issue("1", &["read"]).unwrap();
    let server = world.authority.server();
    server.hold("/v1/*");
    let asked = world.get("https://api.acme.example/v1/things", token.expose_secret());
    let releasing = async {
        server.arrived("/v1/*", 1).await;
        server.release();
    };
    let (asked, ()) = tokio::join!(asked, releasing);
    assert_eq!(asked.unwrap().status(), 200);
}

#[tokio::test]
async fn an_observer_sees_every_request_also_one_with_a_fault() {
    let world = World::of(description(), |builder| builder.with_provider(api)).await;
    let (token, _) = world.authority.issue("1", &["read"]).unwrap();
    let (url, token) = (
        "https://api.acme.example/v1/things?a=1",
        token.expose_secret(),
    );
    let server = world.authority.server();
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let kept = Arc::clone(&seen);
    server.observe(move |request| kept.lock().unwrap().push(request.url().to_string()));
    world.get(url, token).await.unwrap();
    server.fault("/v1/*", Fault::DropBefore);
    world.get(url, token).await.unwrap_err();
    assert_eq!(*seen.lock().unwrap(), [url, url]);
}

#[tokio::test]
async fn a_browser_sees_a_consent_page_and_its_decision_counts() {
    let account = Account::new("7").with_label("<b>Example</b> & Co.");
    let world = World::of(description(), |builder| {
        builder.with_account(account).with_consent_page()
    })
    .await;
    let verifier = verifier();
    let url = world
        .authority
        .server()
        .browser_url(&world.url(&verifier))
        .unwrap();
    let page = browse("GET", &url, "").await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for part in [
        "Acme &lt;script&gt;",
        "&lt;b&gt;Example&lt;/b&gt; &amp; Co.",
        "value=\"write\"",
    ] {
        assert!(page.contains(part), "{part} is missing: {page}");
    }
    assert!(
        !page.contains("<script>") && !page.contains("<b>"),
        "{page}"
    );
    let denied = browse("POST", &url, "decision=deny&scope=read").await;
    assert!(denied.contains("error=access_denied"), "{denied}");
    let approved = browse("POST", &url, "scope=read&decision=approve").await;
    let target = approved
        .lines()
        .find_map(|line| line.strip_prefix("location: "))
        .unwrap();
    let callback = Callback::parse(Url::parse(target.trim()).unwrap().query().unwrap()).unwrap();
    assert_eq!(callback.state(), Some("a state"));
    let answer = world.exchange(&callback.code().unwrap(), &verifier).await;
    assert_eq!(answer.scopes().unwrap(), ["read"]);
    let other = Url::parse("https://evil.example/authorize").unwrap();
    assert!(world.authority.server().browser_url(&other).is_err());
}

#[tokio::test]
async fn an_authorization_request_that_is_wrong_brings_no_code() {
    let world = World::of(description(), |builder| builder).await;
    let right = world.url(&verifier());
    let with = |name: &str, value: &str| {
        let mut url = right.clone();
        let pairs: Vec<(String, String)> = right.query_pairs().into_owned().collect();
        let changed = pairs.iter().filter(|(known, _)| known != name).cloned();
        let changed: Vec<_> = changed
            .chain([(name.to_owned(), value.to_owned())])
            .collect();
        url.query_pairs_mut().clear().extend_pairs(changed);
        url
    };
    for (name, value) in [
        ("client_id", "other"),
        ("redirect_uri", "https://evil.example/"),
    ] {
        let error = world
            .authority
            .visit(&with(name, value), &Consent::Grant)
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Rejected, "{name}");
    }
    let wrong = [
        ("response_type", "token"),
        ("code_challenge", ""),
        ("code_challenge", "short"),
        ("code_challenge_method", "plain"),
    ];
    for (name, value) in wrong {
        let target = world
            .authority
            .visit(&with(name, value), &Consent::Grant)
            .unwrap();
        let callback = Callback::parse(target.query().unwrap()).unwrap();
        assert!(
            callback.error().is_some() && callback.code().is_none(),
            "{name}={value}"
        );
    }
    println!("wrong authorization requests refused: {}", wrong.len() + 2);
}

#[tokio::test]
async fn every_secret_carries_the_mark_and_no_debug_shows_one() {
    let world = World::of(description(), |builder| builder).await;
    let verifier = verifier();
    let target = world.granted(&verifier);
    let code = code(&target);
    let answer = world.exchange(&code, &verifier).await;
    let refresh_token = answer.refresh_token().unwrap();
    let client_secret = world.app.client_secret().unwrap();
    let secrets = [&code, answer.access_token(), refresh_token, client_secret];
    for secret in secrets {
        assert!(secret.expose_secret().contains(MARK));
    }
    let request = Request::new(
        Method::GET,
        target,
        http::HeaderMap::new(),
        Bytes::from("secret"),
    );
    let response = Response::json(200, &json!({ "access_token": MARK }));
    let shown = format!(
        "{:?} {:?} {request:?} {response:?}",
        world.authority,
        world.authority.server()
    );
    assert!(!shown.contains(MARK), "{shown}");
    println!("secrets with the mark: {}", secrets.len());
}

#[tokio::test]
async fn clients_are_kept_apart_and_an_app_gets_a_token_of_its_own() {
    let world = World::of(description(), |builder| builder).await;
    let other = world.authority.register("another-client");
    let verifier = verifier();
    let code = code(&world.granted(&verifier));
    let exchange = CodeExchange::new(&code, &verifier);
    let foreign = Context::new(&other, &*world.client, &world.clock);
    let stolen = world
        .connector
        .exchange_code(&foreign, &exchange)
        .await
        .unwrap_err();
    assert_eq!(stolen.class(), ExchangeClass::DeadGrant);
    world.exchange(&code, &verifier).await;
    let scopes = ["read".to_owned()];
    let own = client_credentials(world.connector.description(), &world.cx(), None, &scopes).await;
    let own = own.unwrap();
    assert!(own.refresh_token().is_none());
    assert_eq!(own.scopes().unwrap(), scopes);
}

#[tokio::test]
async fn an_id_token_is_signed_with_a_key_of_the_key_set() {
    let mut description = description();
    let rule =
        connector_core::provider::description::IdentityRule::id_token("https://acme.example");
    description.identity = Some(rule);
    let world = World::of(description, |builder| builder).await;
    let verifier = verifier();
    let code = code(&world.granted(&verifier));
    let answer = world.exchange(&code, &verifier).await;
    let token: String = answer.field("id_token").unwrap();
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let decode = |text: &str| {
        use base64::Engine as _;
        base64::prelude::BASE64_URL_SAFE_NO_PAD
            .decode(text)
            .unwrap()
    };
    let key = &world.authority.key_set()["keys"][0];
    let point: Vec<u8> = [4]
        .into_iter()
        .chain(decode(key["x"].as_str().unwrap()))
        .chain(decode(key["y"].as_str().unwrap()))
        .collect();
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    key.verify(signed.as_bytes(), &decode(signature)).unwrap();
    assert!(key.verify(b"another text", &decode(signature)).is_err());
}

#[tokio::test]
async fn introspection_tells_live_tokens_from_others() {
    const URL: &str = "https://acme.example/introspect";
    let add = |builder: AuthorityBuilder| {
        let endpoint = connector_core::provider::description::EndpointTemplate::new(URL);
        builder.with_introspection(endpoint)
    };
    let world = World::of(description(), add).await;
    let (access, refresh) = world.authority.issue("1", &["read", "write"]).unwrap();
    let url = Url::parse(URL).unwrap();
    let ask = async |token: &str| {
        let (cx, description) = (world.cx(), description());
        let request =
            connector_core::provider::oauth::TokenRequest::at_url(&description, &cx, &url);
        let answer = request
            .field("token", token)
            .response("test")
            .await
            .unwrap();
        serde_json::from_slice::<Value>(answer.body()).unwrap()
    };
    let live = json!({ "active": true, "scope": "read write" });
    assert_eq!(ask(access.expose_secret()).await, live);
    assert_eq!(ask(refresh.unwrap().expose_secret()).await, live);
    let dead = json!({ "active": false });
    assert_eq!(ask("unknown").await, dead);
    world.authority.end_grants();
    assert_eq!(ask(access.expose_secret()).await, dead);
    // Without the client's secret there is no answer.
    let none = world.get(URL, access.expose_secret()).await.unwrap();
    assert_ne!(none.status(), 200);
}

/// A provider with one service account, whose assertion is a word.
struct ServiceAccounts;

impl connector_sim::Provider for ServiceAccounts {
    fn call(&self, _: &Request, grant: &Grant) -> Response {
        Response::json(200, &json!({ "account": grant.account }))
    }

    fn assertion(&self, assertion: &str) -> Option<Result<(Account, Vec<String>), &'static str>> {
        let scopes = vec!["read".to_owned()];
        Some(match assertion {
            "genuine" => Ok((Account::new("robot"), scopes)),
            _ => Err("the assertion is not known"),
        })
    }
}

#[tokio::test]
async fn an_assertion_brings_an_access_token_without_a_client() {
    let world = World::of(description(), |it| it.with_provider(ServiceAccounts)).await;
    let mint = |assertion: &'static str| {
        let world = &world;
        async move {
            let cx = world.cx();
            TokenRequest::to(world.connector.description(), &cx, None)
                .without_client()
                .field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
                .field("assertion", assertion)
                .send("test.mint")
                .await
        }
    };
    let answer = mint("genuine").await.unwrap();
    assert!(answer.refresh_token().is_none());
    assert_eq!(answer.scopes().unwrap(), ["read"]);
    let token = answer.access_token().expose_secret();
    let read = world.get("https://api.acme.example/x", token).await;
    assert_eq!(read.unwrap().body(), r#"{"account":"robot"}"#);
    let refused = mint("forged").await.unwrap_err();
    assert_eq!(refused.class(), ExchangeClass::DeadGrant);
    // Without such accounts, the grant type is not known.
    let plain = World::of(description(), |it| it).await;
    let cx = plain.cx();
    let refused = TokenRequest::to(plain.connector.description(), &cx, None)
        .without_client()
        .field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
        .field("assertion", "genuine")
        .send("test.mint")
        .await;
    assert!(refused.is_err());
}

/// A description with a refresh token that works until its successor is used, and with an exchange
/// parameter that requests tokens that expire.
fn expiring() -> Description {
    let mut description = description();
    let token = description.token.as_mut().unwrap();
    let parameter = ("expiring".to_owned(), "1".to_owned());
    token.exchange_parameters.extend([parameter]);
    let grace = Grace::UntilSuccessorUsed { max_seconds: 600 };
    description.rotation = RotationClass::Grace(grace);
    description
}

/// An operation that uninstalls the app, and one that shows whether the token expires.
fn installation(request: &Request, grant: &Grant) -> Response {
    let response = Response::json(200, &json!({ "expires": grant.expires }));
    match request.path() {
        "/uninstall" => response.with_grants_ended(),
        _ => response,
    }
}

const LEGACY: &str = "urn:acme:legacy-token";

impl World {
    async fn refresh(&self, token: &SecretString) -> Result<TokenResponse, ExchangeClass> {
        let cx = self.cx();
        let fields = [
            ("grant_type", "refresh_token"),
            ("refresh_token", token.expose_secret()),
        ];
        let request = TokenRequest::to(self.connector.description(), &cx, None).fields(fields);
        request.send("test").await.map_err(|error| error.class())
    }

    async fn migrate(&self, token: &str, kind: &str) -> Result<TokenResponse, ExchangeClass> {
        let cx = self.cx();
        let fields = [
            (
                "grant_type",
                "urn:ietf:params:oauth:grant-type:token-exchange",
            ),
            ("subject_token", token),
            ("subject_token_type", kind),
            ("requested_token_type", kind),
            ("expiring", "1"),
        ];
        let request = TokenRequest::to(self.connector.description(), &cx, None).fields(fields);
        request.send("test").await.map_err(|error| error.class())
    }

    /// Returns the API's response to a live token, or `None`.
    async fn call(&self, path: &str, token: &SecretString) -> Option<Value> {
        let url = format!("https://api.acme.example{path}");
        let response = self.get(&url, token.expose_secret()).await.unwrap();
        let body = serde_json::from_slice(response.body()).unwrap();
        (response.status() == 200).then_some(body)
    }
}

#[tokio::test]
async fn a_token_that_does_not_expire_is_migrated_and_the_migration_can_be_repeated() {
    let week = Duration::from_secs(7 * 86_400);
    let world = World::of(expiring(), |builder| {
        let builder = builder.with_migration(LEGACY, week);
        builder.with_provider(installation)
    });
    let world = world.await;
    let old = world
        .authority
        .issue_without_expiry("1", &["read"])
        .unwrap();
    world.clock.advance(Duration::from_secs(400 * 86_400));
    let expires = |expires: bool| Some(json!({ "expires": expires }));
    assert_eq!(world.call("/", &old).await, expires(false));
    assert!(
        world
            .migrate(old.expose_secret(), "urn:acme:other")
            .await
            .is_err()
    );
    let pair = world.migrate(old.expose_secret(), LEGACY).await.unwrap();
    assert_eq!(world.call("/", &old).await, None);
    assert_eq!(world.call("/", pair.access_token()).await, expires(true));
    world.clock.advance(Duration::from_secs(7 * 86_400 - 1));
    let again = world.migrate(old.expose_secret(), LEGACY).await.unwrap();
    let text = |pair: &TokenResponse| pair.access_token().expose_secret().to_owned();
    assert_eq!(text(&again), text(&pair));
    assert_eq!(world.call("/", pair.access_token()).await, expires(true));
    world.clock.advance(Duration::from_secs(1));
    let late = world
        .migrate(old.expose_secret(), LEGACY)
        .await
        .unwrap_err();
    assert_eq!(late, ExchangeClass::DeadGrant);
    // A token that expires is not migrated.
    let expiring = world.migrate(&text(&pair), LEGACY).await.unwrap_err();
    assert_eq!(expiring, ExchangeClass::DeadGrant);
}

#[tokio::test]
async fn a_repeated_refresh_ends_the_pair_of_the_first_until_the_successor_is_used() {
    let world = World::of(expiring(), |builder| builder).await;
    let (_, first) = world.authority.issue("1", &["read"]).unwrap();
    let first = first.unwrap();
    let lost = world.refresh(&first).await.unwrap();
    let kept = world.refresh(&first).await.unwrap();
    let dead = world.refresh(lost.refresh_token().unwrap()).await;
    assert_eq!(dead.unwrap_err(), ExchangeClass::DeadGrant);
    let next = world.refresh(kept.refresh_token().unwrap()).await.unwrap();
    let dead = world.refresh(&first).await;
    assert_eq!(dead.unwrap_err(), ExchangeClass::DeadGrant);
    world.refresh(next.refresh_token().unwrap()).await.unwrap();
}

#[tokio::test]
async fn an_operation_that_uninstalls_the_app_ends_its_grants_and_codes() {
    let world = World::of(expiring(), |it| it.with_provider(installation)).await;
    let verifier = verifier();
    let code = code(&world.granted(&verifier));
    let (access, refresh) = world.authority.issue("1", &["read"]).unwrap();
    assert!(world.call("/uninstall", &access).await.is_some());
    assert!(world.call("/", &access).await.is_none());
    assert!(world.refresh(&refresh.unwrap()).await.is_err());
    assert!(world.authority.grants().is_empty());
    let (cx, exchange) = (world.cx(), CodeExchange::new(&code, &verifier));
    assert!(world.connector.exchange_code(&cx, &exchange).await.is_err());
}

#[tokio::test]
async fn another_encoding_is_accepted_only_with_the_setting() {
    let mut json = description();
    json.token.as_mut().unwrap().encoding =
        connector_core::provider::description::BodyEncoding::Json;
    let mut accepted = Vec::new();
    for any in [false, true] {
        let world = World::of(description(), |builder| {
            if any {
                return builder.with_any_encoding();
            }
            builder
        });
        let world = world.await;
        for description in [&description(), &json] {
            let cx = world.cx();
            let request = TokenRequest::to(description, &cx, None);
            let request = request.field("grant_type", "client_credentials");
            accepted.push(request.send("test").await.is_ok());
        }
    }
    assert_eq!(accepted, [true, false, true, true]);
}
