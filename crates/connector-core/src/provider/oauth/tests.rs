//! Tests of the requests on the wire and of the handling of their responses.

#![expect(clippy::print_stdout, reason = "the counts are what a test shows")]

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use secrecy::{ExposeSecret, SecretString};
use url::form_urlencoded;

use crate::app::App;
use crate::clock::{ManualClock, Timestamp};
use crate::credential::{Credential, CredentialKind};
use crate::error::ErrorKind;
use crate::http::{
    HttpTransport, Origin, OutboundRequest, RequestClass, Sent, TransportError, TransportErrorKind,
};
use crate::provider::Context;
use crate::provider::description::{
    AccountHost, BodyEncoding, ClientAuthentication, Description, EndpointTemplate, IdentityRule,
    RevocationEndpoint, RevocationReach, RevokedToken, TokenEndpoint, TokenMethod,
};
use crate::provider::oauth::{self, CodeExchange, CodeVerifier, ExchangeClass};
use crate::provider_id::ProviderId;

/// Returns the same response to every request and records the requests.
#[derive(Debug)]
struct Wire {
    status: u16,
    body: &'static str,
    fails: Option<(TransportErrorKind, Sent)>,
    requests: Mutex<Vec<http::Request<Bytes>>>,
}

impl Wire {
    fn answering(status: u16, body: &'static str) -> Self {
        Self {
            status,
            body,
            fails: None,
            requests: Mutex::default(),
        }
    }

    fn failing(kind: TransportErrorKind, sent: Sent) -> Self {
        Self {
            fails: Some((kind, sent)),
            ..Self::answering(500, "")
        }
    }

    fn last(&self) -> http::Request<Bytes> {
        self.all().pop().expect("a request was sent")
    }

    /// Takes all requests out.
    fn all(&self) -> Vec<http::Request<Bytes>> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    fn sent_nothing(&self) -> bool {
        self.all().is_empty()
    }
}

#[async_trait]
impl HttpTransport for Wire {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        assert_eq!(request.class, RequestClass::Token);
        self.requests.lock().unwrap().push(request.request);
        match self.fails {
            Some((kind, sent)) => Err(TransportError::new(kind, sent)),
            None => Ok(http::Response::builder()
                .status(self.status)
                .body(Bytes::from_static(self.body.as_bytes()))
                .unwrap()),
        }
    }
}

fn description() -> Description {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://{account}")];
    description.account_host = Some(AccountHost::new(".acme.example"));
    description.token = Some(TokenEndpoint::new(EndpointTemplate::new(
        "https://{account}/token",
    )));
    let revocation = EndpointTemplate::new("https://{account}/revoke");
    description.revocation = Some(RevocationEndpoint::new(revocation));
    let mut identity = IdentityRule::endpoint(EndpointTemplate::new("https://{account}/me"), "/id");
    identity.label = Some("/name".into());
    description.identity = Some(identity);
    description
}

fn app() -> App {
    App::new("client id")
        .with_client_secret("s:e cret")
        .with_redirect_uri("https://app.example/callback".parse().unwrap())
}

fn credential() -> Credential {
    Credential::new(
        CredentialKind::OAuth,
        Origin::parse("https://shop.acme.example").unwrap(),
        "access-1",
        Timestamp::UNIX_EPOCH,
    )
    .with_account_host("shop.acme.example")
    .with_refresh_token("refresh-1")
}

fn form(request: &http::Request<Bytes>) -> BTreeMap<String, String> {
    form_urlencoded::parse(request.body())
        .into_owned()
        .collect()
}

fn verifier() -> CodeVerifier {
    CodeVerifier::from_secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into()).unwrap()
}

#[tokio::test]
async fn a_code_is_exchanged_as_rfc_6749_section_4_1_3_says() {
    let (wire, clock) = (
        Wire::answering(200, r#"{"access_token":"a"}"#),
        ManualClock::new(Timestamp::UNIX_EPOCH),
    );
    let app = app();
    let cx = Context::new(&app, &wire, &clock);
    let (code, verifier) = (SecretString::from("code-1"), verifier());
    let exchange = CodeExchange::new(&code, &verifier).with_account_host(Some("shop.acme.example"));
    let mut description = description();
    description.authorization = Some(crate::provider::description::AuthorizationEndpoint::new(
        EndpointTemplate::new("https://{account}/authorize"),
    ));
    oauth::exchange_code(&description, &cx, &exchange)
        .await
        .unwrap();
    let request = wire.last();
    assert_eq!(request.uri(), "https://shop.acme.example/token");
    // Section 2.3.1: the id and the secret are form-encoded before they are joined.
    assert_eq!(
        request.headers()["authorization"],
        "Basic Y2xpZW50K2lkOnMlM0FlK2NyZXQ="
    );
    assert!(request.headers()["authorization"].is_sensitive());
    let sent = form(&request);
    assert_eq!(sent["grant_type"], "authorization_code");
    assert_eq!(sent["code"], "code-1");
    assert_eq!(sent["redirect_uri"], "https://app.example/callback");
    assert_eq!(sent["code_verifier"], verifier.secret().expose_secret());
    assert_eq!(sent.len(), 4);
}

#[tokio::test]
async fn a_refresh_follows_the_description() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    let wire = Wire::answering(200, r#"{"access_token":"a"}"#);
    let cx = Context::new(&app, &wire, &clock);
    let mut description = description();
    let token = description.token.as_mut().unwrap();
    token.client_authentication = ClientAuthentication::Body;
    token.encoding = BodyEncoding::Json;
    oauth::refresh(&description, &cx, &credential())
        .await
        .unwrap();
    let request = wire.last();
    assert_eq!(request.headers()["content-type"], "application/json");
    assert!(!request.headers().contains_key("authorization"));
    let sent: BTreeMap<String, String> = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(sent["grant_type"], "refresh_token");
    assert_eq!(sent["refresh_token"], "refresh-1");
    assert_eq!(sent["client_id"], "client id");
    assert_eq!(sent["client_secret"], "s:e cret");
    assert_eq!(sent.len(), 4);
}

#[tokio::test]
async fn without_a_refresh_token_nothing_is_sent() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    let wire = Wire::answering(200, r#"{"access_token":"a"}"#);
    let cx = Context::new(&app, &wire, &clock);
    let bare = Credential::new(
        CredentialKind::OAuth,
        Origin::parse("https://shop.acme.example").unwrap(),
        "access-1",
        Timestamp::UNIX_EPOCH,
    );
    let error = oauth::refresh(&description(), &cx, &bare)
        .await
        .unwrap_err();
    assert_eq!(
        (error.class(), error.sent()),
        (ExchangeClass::DeadGrant, Sent::No)
    );
    assert!(wire.sent_nothing());
}

#[tokio::test]
async fn a_lost_response_states_whether_the_provider_may_have_acted() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    for (kind, sent) in [
        (TransportErrorKind::Connect, Sent::No),
        (TransportErrorKind::Timeout, Sent::Maybe),
        (TransportErrorKind::Broken, Sent::Maybe),
        (TransportErrorKind::Answer, Sent::Maybe),
    ] {
        let wire = Wire::failing(kind, sent);
        let cx = Context::new(&app, &wire, &clock);
        let error = oauth::refresh(&description(), &cx, &credential())
            .await
            .unwrap_err();
        assert_eq!(error.sent(), sent, "{kind:?}");
        assert!(!error.error().report().contains("refresh-1"));
    }
}

#[tokio::test]
async fn client_credentials_request_an_app_token() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    let wire = Wire::answering(200, r#"{"access_token":"a"}"#);
    let cx = Context::new(&app, &wire, &clock);
    let scopes = ["read".to_owned(), "write".to_owned()];
    oauth::client_credentials(&description(), &cx, Some("shop.acme.example"), &scopes)
        .await
        .unwrap();
    let sent = form(&wire.last());
    assert_eq!(
        (sent["grant_type"].as_str(), sent["scope"].as_str()),
        ("client_credentials", "read write")
    );
}

#[tokio::test]
async fn revocation_sends_the_refresh_token_and_accepts_unknown_tokens() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    for (status, body, revoked) in [
        (200, "", true),
        (204, "", true),
        (400, r#"{"error":"invalid_token"}"#, true),
        (400, r#"{"error":"invalid_grant"}"#, true),
        (404, "", true),
        (503, "", false),
        (401, r#"{"error":"invalid_client"}"#, false),
    ] {
        let wire = Wire::answering(status, body);
        let cx = Context::new(&app, &wire, &clock);
        let outcome = oauth::revoke(&description(), &cx, &credential()).await;
        assert_eq!(outcome.is_ok(), revoked, "{status} {body}");
        let sent = form(&wire.last());
        assert_eq!(sent["token"], "refresh-1");
        assert_eq!(sent["token_type_hint"], "refresh_token");
    }
}

#[tokio::test]
async fn a_revocation_endpoint_that_accepts_access_tokens_gets_the_access_token_without_a_hint() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    let wire = Wire::answering(200, "");
    let mut description = description();
    let endpoint = description.revocation.as_mut().unwrap();
    endpoint.token = RevokedToken::AccessToken;
    let cx = Context::new(&app, &wire, &clock);
    let revoked = oauth::revoke(&description, &cx, &credential()).await;
    revoked.unwrap();
    let sent = form(&wire.last());
    assert_eq!(sent["token"], "access-1");
    assert!(!sent.contains_key("token_type_hint"));
}

/// The scope of a revocation determines which tokens are sent.
#[tokio::test]
async fn every_reach_sends_the_tokens_that_it_has_to() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    let (both, refresh, access) = (
        &["refresh-1", "access-1"][..],
        &["refresh-1"][..],
        &["access-1"][..],
    );
    let table = [
        (RevocationReach::Token, true, 200, "", both),
        // The second token is sent even if the provider no longer knows the first one.
        (RevocationReach::Token, true, 404, "", both),
        (
            RevocationReach::Token,
            true,
            400,
            r#"{"error":"invalid_token"}"#,
            both,
        ),
        (RevocationReach::Token, false, 200, "", access),
        (RevocationReach::Grant, true, 200, "", refresh),
        (RevocationReach::Grant, false, 200, "", access),
        (RevocationReach::Account, true, 200, "", refresh),
        (RevocationReach::Account, false, 200, "", access),
    ];
    for (reach, is_refreshable, status, body, tokens) in table {
        let wire = Wire::answering(status, body);
        let cx = Context::new(&app, &wire, &clock);
        let mut description = description();
        description.revocation.as_mut().unwrap().reach = reach;
        let mut revoked = credential();
        if !is_refreshable {
            let origin = Origin::parse("https://shop.acme.example").unwrap();
            let now = Timestamp::UNIX_EPOCH;
            revoked = Credential::new(CredentialKind::OAuth, origin, "access-1", now)
                .with_account_host("shop.acme.example");
        }
        let outcome = oauth::revoke(&description, &cx, &revoked).await;
        outcome.unwrap();
        let sent: Vec<_> = wire.all().iter().map(form).collect();
        let sent: Vec<&str> = sent.iter().map(|it| it["token"].as_str()).collect();
        assert_eq!(sent, tokens, "{reach:?}");
    }
    // A failed request is an error, so that the whole revocation is repeated.
    let wire = Wire::answering(503, "");
    let cx = Context::new(&app, &wire, &clock);
    let mut description = description();
    description.revocation.as_mut().unwrap().reach = RevocationReach::Token;
    let outcome = oauth::revoke(&description, &cx, &credential()).await;
    assert!(outcome.is_err());
    println!("revocations: {}", table.len() + 1);
}

/// Providers compare the redirect URIs of both requests byte by byte.
#[tokio::test]
async fn a_redirect_uri_is_sent_as_it_is_registered_with_the_code_too() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let registered = [
        "https://app.example",
        "https://app.example/",
        "https://app.example:443/cb",
        "https://App.Example/Cb",
        "https://app.example/it's",
        "https://app.example/a/../b?x=%7e",
        "http://localhost:80/cb",
    ];
    let mut sent = 0;
    for text in registered {
        let app = App::new("client").with_redirect_uri(text.parse().unwrap());
        for encoding in [BodyEncoding::Form, BodyEncoding::Json] {
            let wire = Wire::answering(200, r#"{"access_token":"a"}"#);
            let cx = Context::new(&app, &wire, &clock);
            let mut description = description();
            description.token.as_mut().unwrap().encoding = encoding;
            let (code, verifier) = (SecretString::from("code-1"), verifier());
            let exchange =
                CodeExchange::new(&code, &verifier).with_account_host(Some("shop.acme.example"));
            let exchanged = oauth::exchange_code(&description, &cx, &exchange).await;
            exchanged.unwrap();
            let request = wire.last();
            let fields: BTreeMap<String, String> = match encoding {
                BodyEncoding::Json => serde_json::from_slice(request.body()).unwrap(),
                _ => form(&request),
            };
            assert_eq!(fields["redirect_uri"], text);
            sent += 1;
        }
    }
    for (number, text) in registered.iter().enumerate() {
        let uri: crate::RedirectUri = text.parse().unwrap();
        for other in &registered[number + 1..] {
            let other: crate::RedirectUri = other.parse().unwrap();
            assert_ne!(uri, other, "{text}");
        }
    }
    println!("exchanges with a redirect URI as it is registered: {sent}");
}

/// Only form decoders read `+` as a space.
#[tokio::test]
async fn a_token_request_in_the_query_is_percent_encoded() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let table = [
        (
            "https://acme.example/token",
            "re fresh",
            "refresh_token=re%20fresh",
        ),
        (
            "https://acme.example/token",
            "re+fresh",
            "refresh_token=re%2Bfresh",
        ),
        ("https://acme.example/token?v=1", " ", "refresh_token=%20"),
    ];
    for (endpoint, refresh_token, part) in table {
        let app = App::new("client id");
        let wire = Wire::answering(200, r#"{"access_token":"a"}"#);
        let cx = Context::new(&app, &wire, &clock);
        let mut description = description();
        let mut token = TokenEndpoint::new(EndpointTemplate::new(endpoint));
        token.method = TokenMethod::Get;
        description.token = Some(token);
        let credential = credential().with_refresh_token(refresh_token);
        let refreshed = oauth::refresh(&description, &cx, &credential).await;
        refreshed.unwrap();
        let uri = wire.last().uri().to_string();
        assert!(uri.starts_with(endpoint), "{uri}");
        for part in [part, "client_id=client%20id", "grant_type=refresh_token"] {
            assert!(uri.contains(part), "{part} in {uri}");
        }
        assert!(!uri.contains('+') && uri.matches('?').count() == 1, "{uri}");
    }
    println!("token requests in a query: {}", table.len());
}

#[tokio::test]
async fn a_client_with_an_empty_secret_authenticates_with_an_empty_password() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = App::new("abc").with_client_secret("");
    let wire = Wire::answering(200, r#"{"access_token":"access-2"}"#);
    let cx = Context::new(&app, &wire, &clock);
    let refreshed = oauth::refresh(&description(), &cx, &credential()).await;
    refreshed.unwrap();
    let request = wire.last();
    assert_eq!(request.headers()["authorization"], "Basic YWJjOg==");
    assert!(!form(&request).contains_key("client_id"));
}

#[tokio::test]
async fn the_account_is_read_from_an_authenticated_response() {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let app = app();
    for (status, body, outcome) in [
        (200, r#"{"id":"acc-1","name":"Shop"}"#, Ok("acc-1")),
        (
            200,
            r#"{"id":18446744073709551615}"#,
            Ok("18446744073709551615"),
        ),
        (200, "\u{feff}{\"id\":7}", Ok("7")),
        (200, r#"{"id":1.5}"#, Err(ErrorKind::UnexpectedResponse)),
        (200, r#"{"id":""}"#, Err(ErrorKind::UnexpectedResponse)),
        (200, "<html>", Err(ErrorKind::UnexpectedResponse)),
        (401, "", Err(ErrorKind::Unauthorized)),
        (403, "", Err(ErrorKind::Forbidden)),
        (429, "", Err(ErrorKind::RateLimited)),
        (500, "", Err(ErrorKind::ProviderUnavailable)),
    ] {
        let wire = Wire::answering(status, body);
        let cx = Context::new(&app, &wire, &clock);
        let read = oauth::identify(&description(), &cx, &credential()).await;
        let read = read
            .map(|it| it.account.key.to_string())
            .map_err(|error| error.kind());
        assert_eq!(read, outcome.map(str::to_owned), "{status} {body}");
        let request = wire.last();
        assert_eq!(request.headers()["authorization"], "Bearer access-1");
        assert!(request.headers()["authorization"].is_sensitive());
    }
}
