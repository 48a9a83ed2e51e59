//! The authorization URL.

use connector_core::http::Sent;
use connector_core::provider::description::Pkce;
use connector_core::provider::oauth::{AuthorizationRequest, CodeExchange};
use connector_core::{App, Credential, ErrorKind};
use secrecy::ExposeSecret;
use url::Url;

use super::world::{Flow, World, expect, values};

fn described(world: &World) -> Url {
    let endpoint = world.description().authorization.as_ref();
    let Some(endpoint) = endpoint else {
        panic!("the case needs an authorization endpoint");
    };
    let host = world.host.as_deref().unwrap_or_default();
    expect(endpoint.endpoint.url(host), "the described endpoint")
}

pub(super) async fn the_authorization_url_is_the_described_endpoint(world: &World) {
    let url = world.flow().url;
    let described = described(world);
    assert_eq!(url.scheme(), "https");
    assert!(
        url.username().is_empty() && url.password().is_none() && url.fragment().is_none(),
        "the authorization URL has userinfo or a fragment"
    );
    assert_eq!(
        (url.host_str(), url.port(), url.path()),
        (described.host_str(), described.port(), described.path())
    );
    let fixed = described.query_pairs().into_owned();
    let parameters = world.description().authorization.iter();
    let parameters = parameters.flat_map(|it| it.parameters.clone());
    for (name, value) in fixed.chain(parameters) {
        assert_eq!(values(&url, &name), [value], "the parameter {name}");
    }
    assert_eq!(world.wire.count(), 0, "a request was sent");
}

pub(super) async fn the_authorization_url_names_the_app_and_its_redirect_uri(world: &World) {
    let url = world.flow().url;
    let (name, value) = world.fixture.app_parameter();
    assert_eq!(values(&url, &name), [value], "the parameter {name}");
    let Some(redirect_uri) = world.app.redirect_uri() else {
        panic!("the fixture's app has no redirect URI");
    };
    assert_eq!(values(&url, "redirect_uri"), [redirect_uri.as_str()]);
}

pub(super) async fn the_authorization_url_carries_the_state_once(world: &World) {
    let Flow { url, state, .. } = world.flow();
    assert!(
        values(&url, "state") == [state.expose_secret()],
        "the URL must contain `state` exactly once and unchanged"
    );
    let copies = url.as_str().matches(state.expose_secret()).count();
    assert_eq!(
        copies, 1,
        "the URL contains the state in another place, too"
    );
}

pub(super) async fn the_authorization_url_carries_a_challenge_where_described(world: &World) {
    let Flow { url, verifier, .. } = world.flow();
    let pkce = world.description().authorization.as_ref();
    let (challenge, method) = match pkce.map(|it| it.pkce) {
        Some(Pkce::S256) => (vec![verifier.challenge()], vec!["S256".to_owned()]),
        Some(Pkce::S256Hex) => (
            vec![hexadecimal(verifier.secret().expose_secret())],
            vec!["S256".to_owned()],
        ),
        _ => (Vec::new(), Vec::new()),
    };
    assert_eq!(values(&url, "code_challenge"), challenge);
    assert_eq!(values(&url, "code_challenge_method"), method);
}

/// Returns the SHA-256 digest of a string in lower-case hexadecimal.
fn hexadecimal(text: &str) -> String {
    let digest = ring::digest::digest(&ring::digest::SHA256, text.as_bytes());
    hex::encode(digest)
}

pub(super) async fn the_authorization_url_asks_for_the_scopes(world: &World) {
    let separator = world.description().scopes.separator.to_string();
    let joined = world.scopes().join(&separator);
    assert_eq!(values(&world.flow().url, "scope"), [joined]);
}

pub(super) async fn the_authorization_url_holds_no_secret(world: &World) {
    let Flow { url, verifier, .. } = world.flow();
    assert!(
        world.probe.scan_bytes(url.as_str().as_bytes()).is_empty(),
        "the authorization URL contains a secret of the app"
    );
    assert!(
        !url.as_str().contains(verifier.secret().expose_secret()),
        "the authorization URL contains the code verifier"
    );
}

pub(super) async fn without_a_redirect_uri_there_is_no_authorization_url(world: &World) {
    let mut app = App::new(world.app.client_id()).with_scopes(world.app.scopes());
    for secret in world.app.client_secrets() {
        app = app.with_client_secret(secret.clone());
    }
    let Flow {
        state, verifier, ..
    } = world.flow();
    let request =
        AuthorizationRequest::new(&app, &state, &verifier).with_account_host(world.host.as_deref());
    match world.connector().authorization_url(&request) {
        Ok(_) => panic!("an app without a redirect URI gets an authorization URL"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::Configuration),
    }
}

pub(super) async fn without_its_host_an_account_is_not_reached(world: &World) {
    let (callback, flow) = world.granted().await;
    let request = AuthorizationRequest::new(&world.app, &flow.state, &flow.verifier);
    assert!(
        world.connector().authorization_url(&request).is_err(),
        "an account without a host gets an authorization URL"
    );
    let Some(code) = callback.code() else {
        panic!("the callback has no code");
    };
    let exchange = CodeExchange::new(&code, &flow.verifier);
    let cx = world.cx();
    match world.connector().exchange_code(&cx, &exchange).await {
        Ok(_) => panic!("a code without the account's host is exchanged"),
        Err(error) => assert_eq!(error.sent(), Sent::No, "{error:?}"),
    }
    assert_eq!(world.wire.count(), 0, "an exchange sent a request");

    let whole = world.connect().await;
    world.wire.take();
    let mut bare = Credential::new(
        whole.kind(),
        whole.origin().clone(),
        whole.secret().clone(),
        whole.obtained_at(),
    );
    if let Some(refresh_token) = whole.refresh_token() {
        bare = bare.with_refresh_token(refresh_token.clone());
    }
    assert!(
        world.refresh(&bare).await.is_err() && world.identify(&bare).await.is_err(),
        "a credential without the account's host is used"
    );
    assert_eq!(
        world.wire.count(),
        0,
        "a refresh or identify sent a request"
    );
}
