//! Checks that the OpenID provider behaves as the tests of the hub assume. These tests use no hub.
//! If the provider were not strict, every test of the hub would pass without testing anything.

use std::collections::BTreeMap;

use connector_core::clock::{Clock, SystemClock};
use connector_core::http::Origin;
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CallbackProblem, CodeExchange, CodeVerifier, ExchangeClass,
    ExchangeError, TokenResponse,
};
use connector_core::provider::{Connector, Context, GenericConnector};
use connector_core::{App, Credential, CredentialKind, ErrorKind, SystemRandom, random_token};
use connector_http::HttpClient;
use connector_tests::openid::{ACCESS_TOKEN_SECONDS, ISSUER, OpenId};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// One flow of one account, with only the functions of `connector_core::provider::oauth`.
struct Flow {
    openid: &'static OpenId,
    account: &'static str,
    connector: GenericConnector,
    transport: HttpClient,
    app: App,
    clock: SystemClock,
    state: SecretString,
    verifier: CodeVerifier,
}

impl Flow {
    fn new(account: &'static str) -> Option<Self> {
        let openid = OpenId::shared().expect("the provider runs")?;
        let random = SystemRandom::new();
        Some(Self {
            openid,
            account,
            connector: GenericConnector::new(OpenId::description()).unwrap(),
            transport: openid.transport().unwrap(),
            app: openid.app().unwrap(),
            clock: SystemClock::new(),
            state: random_token(&random).unwrap(),
            verifier: CodeVerifier::generate(&random).unwrap(),
        })
    }

    fn cx(&self) -> Context<'_> {
        Context::new(&self.app, &self.transport, &self.clock)
    }

    fn authorization_url(&self) -> Url {
        let request = AuthorizationRequest::new(&self.app, &self.state, &self.verifier);
        self.connector.authorization_url(&request).unwrap()
    }

    async fn callback(&self) -> Callback {
        let url = self.authorization_url();
        let url = self.openid.consent(&url, self.account).await.unwrap();
        Callback::parse(url.query().unwrap()).unwrap()
    }

    async fn exchange(&self, code: &SecretString) -> Result<TokenResponse, ExchangeError> {
        let exchange = CodeExchange::new(code, &self.verifier);
        self.connector.exchange_code(&self.cx(), &exchange).await
    }

    async fn connect(&self) -> Credential {
        let code = self.callback().await.code().unwrap();
        self.credential(&self.exchange(&code).await.unwrap())
    }

    fn credential(&self, answer: &TokenResponse) -> Credential {
        let origin = Origin::parse(ISSUER).unwrap();
        Credential::new(
            CredentialKind::OAuth,
            origin,
            answer.access_token().clone(),
            self.clock.now(),
        )
        .with_refresh_token(answer.refresh_token().expect("a refresh token").clone())
    }

    async fn refresh(&self, credential: &Credential) -> Result<Credential, ExchangeError> {
        let answer = self.connector.refresh(&self.cx(), credential).await?;
        Ok(self.credential(&answer))
    }
}

fn class(outcome: Result<impl Sized, ExchangeError>) -> ExchangeClass {
    outcome
        .map(|_| ())
        .expect_err("the request is refused")
        .class()
}

fn refresh_token(credential: &Credential) -> &SecretString {
    credential.refresh_token().unwrap()
}

#[tokio::test]
async fn an_account_is_authorized_and_identified() {
    let Some(flow) = Flow::new("judge-connect") else {
        return;
    };
    let callback = flow.callback().await;
    assert_eq!(callback.state(), Some(flow.state.expose_secret()));
    assert_eq!(callback.get("iss"), Some(ISSUER));
    flow.connector
        .check_callback(&flow.cx(), None, &callback)
        .unwrap();
    let answer = flow.exchange(&callback.code().unwrap()).await.unwrap();
    assert_eq!(answer.expires_in().unwrap().as_secs(), ACCESS_TOKEN_SECONDS);
    assert_eq!(answer.scopes().unwrap(), ["openid", "offline_access"]);
    let credential = flow.credential(&answer);
    let identity = flow.connector.identify(&flow.cx(), &credential).await;
    assert_eq!(identity.unwrap().account.key.as_str(), "judge-connect");
}

#[tokio::test]
async fn two_refreshes_give_two_refresh_tokens_and_a_replay_kills_the_family() {
    let Some(flow) = Flow::new("judge-rotation") else {
        return;
    };
    let first = flow.connect().await;
    let second = flow.refresh(&first).await.unwrap();
    let third = flow.refresh(&second).await.unwrap();
    let tokens = [&first, &second, &third].map(|it| refresh_token(it).expose_secret());
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2] && tokens[0] != tokens[2]);
    assert!(flow.openid.is_active(refresh_token(&third)).await.unwrap());

    assert_eq!(class(flow.refresh(&first).await), ExchangeClass::DeadGrant);
    for dead in [&first, &second, &third] {
        assert!(!flow.openid.is_active(refresh_token(dead)).await.unwrap());
        assert!(!flow.openid.is_active(dead.secret()).await.unwrap());
        assert_eq!(class(flow.refresh(dead).await), ExchangeClass::DeadGrant);
    }
    let ledger = flow.openid.ledger("judge-rotation").await.unwrap();
    assert_eq!(
        (ledger.exchanges.accepted, ledger.exchanges.refused),
        (1, 0)
    );
    assert_eq!(
        (ledger.refreshes.accepted, ledger.refreshes.refused),
        (2, 4)
    );
}

#[tokio::test]
async fn grants_of_one_account_live_independently() {
    let Some(flow) = Flow::new("judge-grants") else {
        return;
    };
    let (one, other) = (flow.connect().await, flow.connect().await);
    flow.refresh(&one).await.unwrap();
    assert_eq!(class(flow.refresh(&one).await), ExchangeClass::DeadGrant);
    flow.refresh(&other).await.unwrap();
}

#[tokio::test]
async fn a_wrong_or_missing_verifier_is_refused_and_so_is_an_authorization_without_challenge() {
    let Some(mut flow) = Flow::new("judge-pkce") else {
        return;
    };
    let code = flow.callback().await.code().unwrap();
    flow.verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
    let wrong = flow.exchange(&code).await.expect_err("a wrong verifier");
    assert_eq!(wrong.code(), Some("invalid_grant"));

    let code = flow.callback().await.code().unwrap();
    let mut description = OpenId::description();
    description.authorization.as_mut().unwrap().pkce =
        connector_core::provider::description::Pkce::Refused;
    flow.connector = GenericConnector::new(description).unwrap();
    assert!(flow.exchange(&code).await.is_err(), "no verifier");
    let callback = flow.callback().await;
    assert_eq!(callback.error(), Some("invalid_request"));
}

#[tokio::test]
async fn the_second_use_of_a_code_ends_the_grant_of_the_first() {
    let Some(flow) = Flow::new("judge-code") else {
        return;
    };
    let code = flow.callback().await.code().unwrap();
    let credential = flow.credential(&flow.exchange(&code).await.unwrap());
    assert!(flow.openid.is_active(credential.secret()).await.unwrap());
    assert_eq!(class(flow.exchange(&code).await), ExchangeClass::DeadGrant);
    assert!(!flow.openid.is_active(credential.secret()).await.unwrap());
    assert_eq!(
        class(flow.refresh(&credential).await),
        ExchangeClass::DeadGrant
    );
}

#[tokio::test]
async fn a_revoked_grant_is_dead() {
    let Some(flow) = Flow::new("judge-revocation") else {
        return;
    };
    let credential = flow.connect().await;
    let other = flow.connect().await;
    flow.connector
        .revoke(&flow.cx(), &credential)
        .await
        .unwrap();
    assert_eq!(
        class(flow.refresh(&credential).await),
        ExchangeClass::DeadGrant
    );
    let identity = flow.connector.identify(&flow.cx(), &credential).await;
    assert_eq!(identity.unwrap_err().kind(), ErrorKind::Unauthorized);
    // The reach in the description: this grant and no other grant.
    assert!(flow.openid.is_active(other.secret()).await.unwrap());
    let again = flow.connector.revoke(&flow.cx(), &credential).await;
    again.expect("repeating a revocation is harmless");
}

#[tokio::test]
async fn a_denied_consent_comes_back_as_one_with_the_issuer() {
    let Some(flow) = Flow::new("judge-denial") else {
        return;
    };
    let url = flow.authorization_url();
    let url = flow.openid.deny(&url, flow.account).await.unwrap();
    let callback = Callback::parse(url.query().unwrap()).unwrap();
    assert_eq!(callback.state(), Some(flow.state.expose_secret()));
    assert_eq!(callback.get("iss"), Some(ISSUER));
    assert_eq!(
        flow.connector.check_callback(&flow.cx(), None, &callback),
        Err(CallbackProblem::ConsentDenied)
    );
}

#[tokio::test]
async fn a_wrong_client_secret_is_refused_and_ends_nothing() {
    let Some(mut flow) = Flow::new("judge-client") else {
        return;
    };
    let credential = flow.connect().await;
    let right = std::mem::replace(
        &mut flow.app,
        App::new("connectors").with_client_secret("another"),
    );
    assert!(matches!(
        class(flow.refresh(&credential).await),
        ExchangeClass::AppFault { .. }
    ));
    flow.app = right;
    flow.refresh(&credential).await.unwrap();
}

#[tokio::test]
async fn the_description_says_what_the_provider_publishes() {
    let Some(flow) = Flow::new("judge-discovery") else {
        return;
    };
    let url = format!("{ISSUER}/.well-known/openid-configuration");
    let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
    let answer = flow.openid.loopback().exchange(request).await;
    let published: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(answer.unwrap().body()).unwrap();
    let description = OpenId::description();
    let endpoint = |template: &connector_core::provider::description::EndpointTemplate| {
        serde_json::Value::from(template.url("").unwrap().as_str())
    };
    let authorization = description.authorization.unwrap();
    let expected = [
        ("issuer", ISSUER.into()),
        ("authorization_endpoint", endpoint(&authorization.endpoint)),
        (
            "token_endpoint",
            endpoint(&description.token.unwrap().endpoint),
        ),
        (
            "revocation_endpoint",
            endpoint(&description.revocation.unwrap().endpoint),
        ),
        (
            "userinfo_endpoint",
            endpoint(description.identity.unwrap().test_endpoint().unwrap()),
        ),
        (
            "authorization_response_iss_parameter_supported",
            authorization.issuer_required.into(),
        ),
        (
            "code_challenge_methods_supported",
            serde_json::json!(["S256"]),
        ),
    ];
    for (name, value) in expected {
        assert_eq!(published[name], value, "{name}");
    }
}
