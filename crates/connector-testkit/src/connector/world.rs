//! A started fixture, and the steps that the cases share.

use std::fmt::Display;
use std::sync::Arc;

use connector_core::clock::Clock;
use connector_core::http::Origin;
use connector_core::provider::description::{CallAuthentication, IdentitySource, TokenMethod};
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CallbackProblem, CodeExchange, CodeVerifier, ExchangeError,
    Identity, TokenResponse,
};
use connector_core::provider::webhook::{WebhookScheme, WebhookSecret};
use connector_core::provider::{Connector, Context, Description};
use connector_core::{App, Credential, SystemRandom};
use secrecy::{ExposeSecret, SecretString};
use url::{Url, form_urlencoded};

use super::Need;
use super::fixture::{ConnectorFixture, Consent, TokenFault};
use super::wire::Wire;
use crate::leak::{self, Probe};

/// The environment of a case.
pub(super) struct World {
    pub(super) fixture: Arc<dyn ConnectorFixture>,
    pub(super) wire: Wire,
    pub(super) app: App,
    /// The account's host, in the form that the connector accepted.
    pub(super) host: Option<String>,
    pub(super) probe: Probe,
    scheme: Option<WebhookScheme>,
}

/// One connect flow, from the URL to the callback.
pub(super) struct Flow {
    pub(super) url: Url,
    pub(super) state: SecretString,
    pub(super) verifier: CodeVerifier,
}

impl World {
    pub(super) async fn start<F: ConnectorFixture>() -> Self {
        let fixture = Arc::new(F::start(&leak::canary("provider")).await);
        let wire = Wire::around(fixture.transport());
        let app = fixture.app();
        let host = fixture.account().and_then(|text| {
            expect(
                fixture.connector().account_host(text),
                "the account to connect",
            )
        });
        Self {
            scheme: fixture.webhook_scheme(),
            fixture,
            wire,
            app,
            host,
            probe: Probe::new(leak::prefix()),
        }
    }

    /// Returns the reason why a case with the given needs does not apply to the connector's
    /// description.
    pub(super) async fn lacks(&self, needs: &[Need]) -> Option<&'static str> {
        for need in needs {
            if let Some(why) = self.lack(*need).await {
                return Some(why);
            }
        }
        self.wire.take();
        None
    }

    async fn lack(&self, need: Need) -> Option<&'static str> {
        let description = self.description();
        let (has, why) = match need {
            Need::Authorization => (
                description.authorization.is_some(),
                "there is no authorization endpoint",
            ),
            Need::Scopes => (!self.scopes().is_empty(), "the provider has no scopes"),
            Need::AccountHost => (
                description.account_host.is_some(),
                "accounts do not have their own hosts",
            ),
            Need::CallbackSignature => (
                !self.fixture.signed_parameters().is_empty(),
                "callbacks are not signed",
            ),
            Need::Issuer => (
                description
                    .authorization
                    .as_ref()
                    .is_some_and(|it| it.issuer.is_some()),
                "the description has no issuer",
            ),
            Need::Denial => (
                self.callback(&Consent::Deny).await.is_some(),
                "a denied consent leads to no callback",
            ),
            Need::Refresh => (
                self.answer().await.refresh_token().is_some()
                    || !description.lifetimes.access_may_never_expire,
                "tokens do not expire and are not refreshed",
            ),
            Need::ErrorCodes => (
                super::description::codes(description).next().is_some(),
                "no error codes are described",
            ),
            Need::Revocation => (
                description.revocation.is_some(),
                "there is no revocation endpoint",
            ),
            Need::NoRevocation => (
                description.revocation.is_none(),
                "there is a revocation endpoint",
            ),
            Need::TestEndpoint => (
                self.has_test_endpoint(),
                "a credential cannot be tested at the provider",
            ),
            Need::UsualTokenFields => (
                self.has_usual_token_fields(),
                "token responses have another format",
            ),
            Need::BareUrls => (
                description.authentication != CallAuthentication::SecretUrl
                    && description
                        .token
                        .as_ref()
                        .is_none_or(|it| it.method == TokenMethod::Post),
                "URLs of the provider contain secrets",
            ),
            Need::Webhook => (self.scheme().is_some(), "webhooks are not signed"),
            Need::WebhookTime => (
                self.scheme()
                    .is_some_and(|it| it.signatures.iter().any(|it| it.timestamp.is_some())),
                "webhooks have no signed timestamp",
            ),
            Need::SignsMore => (
                self.scheme().is_some_and(|it| {
                    let signs_callbacks = it.secret == WebhookSecret::Client
                        && !self.fixture.signed_parameters().is_empty();
                    it.secret_signs_more || signs_callbacks
                }),
                "the webhook secret signs nothing else",
            ),
        };
        (!has).then_some(why)
    }

    /// Returns true if a credential can be tested at the provider. A connector that reads the
    /// account from the token response may have no endpoint for this test.
    pub(super) fn has_test_endpoint(&self) -> bool {
        let rule = self.description().identity.as_ref();
        // Without a rule, the connector has its own hook.
        rule.is_none_or(|it| it.test_endpoint().is_some())
    }

    /// Returns true if the account is read from the body of the identity endpoint's response.
    pub(super) fn reads_identity_body(&self) -> bool {
        let rule = self.description().identity.as_ref();
        rule.is_none_or(|it| matches!(it.source(), IdentitySource::Endpoint(_)))
    }

    /// Returns true if the token response has the format of RFC 6749.
    pub(super) fn has_usual_token_fields(&self) -> bool {
        let usual = connector_core::provider::description::TokenFields::default();
        self.description().token.as_ref().is_none_or(|it| {
            it.response.access_token == usual.access_token
                && it.response.refresh_token == usual.refresh_token
                && it.response.expires_in == usual.expires_in
        })
    }

    pub(super) fn connector(&self) -> &dyn Connector {
        self.fixture.connector()
    }

    pub(super) fn description(&self) -> &Description {
        self.connector().description()
    }

    /// Returns the webhook scheme for deliveries. It is the fixture's scheme if there is one,
    /// otherwise the description's scheme.
    pub(super) fn scheme(&self) -> Option<&WebhookScheme> {
        self.scheme.as_ref()
    }

    pub(super) fn cx(&self) -> Context<'_> {
        self.cx_of(&self.app)
    }

    pub(super) fn cx_of<'a>(&'a self, app: &'a App) -> Context<'a> {
        Context::new(app, &self.wire, self.fixture.clock())
    }

    /// Returns the app with other client secrets, in this order.
    pub(super) fn app_with(&self, client_secrets: &[SecretString]) -> App {
        let mut app = App::new(self.app.client_id()).with_scopes(self.app.scopes());
        for secret in client_secrets {
            app = app.with_client_secret(secret.clone());
        }
        match self.app.redirect_uri() {
            Some(redirect_uri) => app.with_redirect_uri(redirect_uri.clone()),
            None => app,
        }
    }

    /// Returns the requested scopes.
    pub(super) fn scopes(&self) -> &[String] {
        match self.app.scopes() {
            [] => &self.description().scopes.default,
            scopes => scopes,
        }
    }

    pub(super) fn flow(&self) -> Flow {
        let random = SystemRandom::new();
        let state = expect(connector_core::random_token(&random), "a state");
        let verifier = expect(CodeVerifier::generate(&random), "a code verifier");
        let request = AuthorizationRequest::new(&self.app, &state, &verifier)
            .with_account_host(self.host.as_deref());
        let url = expect(
            self.connector().authorization_url(&request),
            "the authorization URL",
        );
        Flow {
            url,
            state,
            verifier,
        }
    }

    /// Returns the callback after the given decision, and its flow.
    pub(super) async fn callback(&self, consent: &Consent) -> Option<(Callback, Flow)> {
        let flow = self.flow();
        let query = self.fixture.visit(&flow.url, consent).await?;
        let parameter = self.description().code_parameter();
        let callback = expect(
            Callback::parse_with(&query, parameter),
            "the callback's query",
        );
        Some((callback, flow))
    }

    /// Returns the callback after a consent to all scopes.
    pub(super) async fn granted(&self) -> (Callback, Flow) {
        match self.callback(&Consent::Grant).await {
            Some(granted) => granted,
            None => panic!("the fixture's provider does not redirect the browser after consent"),
        }
    }

    pub(super) fn check(&self, callback: &Callback) -> Result<(), CallbackProblem> {
        self.connector()
            .check_callback(&self.cx(), self.host.as_deref(), callback)
    }

    pub(super) async fn exchange(
        &self,
        callback: &Callback,
        flow: &Flow,
    ) -> Result<TokenResponse, ExchangeError> {
        let Some(code) = callback.code() else {
            panic!("the callback has no code");
        };
        let exchange = CodeExchange::new(&code, &flow.verifier)
            .with_account_host(self.host.as_deref())
            .with_callback(callback);
        self.connector().exchange_code(&self.cx(), &exchange).await
    }

    /// Returns the first token response of a grant.
    pub(super) async fn answer(&self) -> TokenResponse {
        let (callback, flow) = self.granted().await;
        expect(
            self.exchange(&callback, &flow).await,
            "the exchange of a code",
        )
    }

    /// Builds a credential from a token response, as the hub does.
    pub(super) fn credential(
        &self,
        answer: &TokenResponse,
        before: Option<&Credential>,
    ) -> Credential {
        let Some(template) = self.description().api.first() else {
            panic!("the description has no origin");
        };
        let url = expect(
            template.url(self.host.as_deref().unwrap_or_default()),
            "the origin",
        );
        let origin = match answer.origin() {
            Some(origin) => origin.clone(),
            None => expect(Origin::of(&url), "the origin"),
        };
        let now = self.fixture.clock().now();
        let scopes = answer.scopes().unwrap_or(self.scopes());
        let mut credential =
            Credential::new(answer.kind(), origin, answer.access_token().clone(), now)
                .with_client_id(self.app.client_id())
                .with_scopes(scopes);
        if let Some(host) = &self.host {
            credential = credential.with_account_host(host);
        }
        for (name, secret) in answer.kept() {
            credential = credential.with_extra(name, secret.clone());
        }
        let named = before.and_then(Credential::identity);
        if let Some(identity) = answer.identity().or(named) {
            credential = credential.with_identity(identity.clone());
        }
        let kept = before.and_then(Credential::refresh_token);
        match answer.refresh_token().or(kept) {
            Some(refresh_token) => credential.with_refresh_token(refresh_token.clone()),
            None => credential,
        }
    }

    /// Returns the credential with another access token.
    pub(super) fn with_secret(&self, credential: &Credential, secret: &str) -> Credential {
        let answer = TokenResponse::new(secret.to_owned());
        self.credential(&answer, Some(credential))
    }

    /// Runs the authorization flow of the account, from the consent page to the first credential.
    pub(super) async fn connect(&self) -> Credential {
        let answer = self.answer().await;
        self.credential(&answer, None)
    }

    pub(super) async fn refresh(
        &self,
        credential: &Credential,
    ) -> Result<Credential, ExchangeError> {
        let answer = self.connector().refresh(&self.cx(), credential).await?;
        Ok(self.credential(&answer, Some(credential)))
    }

    pub(super) async fn refreshed(&self, credential: &Credential) -> Credential {
        expect(self.refresh(credential).await, "the refresh")
    }

    pub(super) async fn identify(
        &self,
        credential: &Credential,
    ) -> connector_core::Result<Identity> {
        self.connector().identify(&self.cx(), credential).await
    }

    pub(super) async fn identified(&self, credential: &Credential) -> Identity {
        match self.identify(credential).await {
            Ok(identity) => identity,
            Err(error) => panic!("a valid credential is not identified: {}", error.report()),
        }
    }

    /// Makes the next token request of the given kind fail, and returns its result.
    pub(super) async fn failed(&self, kind: Exchange, fault: TokenFault) -> Failed {
        let what = format!("{kind:?} with {}", name(&fault));
        let outcome = match kind {
            Exchange::Code => {
                let (callback, flow) = self.granted().await;
                self.wire.take();
                self.fixture.fault(fault);
                self.exchange(&callback, &flow).await.map(drop)
            }
            Exchange::Refresh => {
                let credential = self.connect().await;
                self.wire.take();
                self.fixture.fault(fault);
                self.refresh(&credential).await.map(drop)
            }
        };
        match outcome {
            Ok(()) => panic!("{what} brings a token"),
            Err(error) => Failed { what, error },
        }
    }
}

/// The kind of a token request.
#[derive(Debug, Clone, Copy)]
pub(super) enum Exchange {
    Code,
    Refresh,
}

/// A failed token request.
pub(super) struct Failed {
    pub(super) what: String,
    pub(super) error: ExchangeError,
}

fn name(fault: &TokenFault) -> String {
    match fault {
        TokenFault::Answer {
            status,
            headers,
            body,
        } => {
            let start: String = body.chars().take(60).collect();
            format!("status {status}, headers {headers:?}, body {start:?}")
        }
        fault => format!("{fault:?}"),
    }
}

/// Returns a response without special headers.
pub(super) fn answer(status: u16, body: impl Into<String>) -> TokenFault {
    TokenFault::Answer {
        status,
        headers: Vec::new(),
        body: body.into(),
    }
}

#[track_caller]
pub(super) fn expect<T, E: Display>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what} fails: {error}"),
    }
}

/// Returns true if both secrets are equal.
pub(super) fn same(a: &SecretString, b: &SecretString) -> bool {
    a.expose_secret() == b.expose_secret()
}

/// Builds a query from `pairs`.
pub(super) fn query<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

/// Returns the values of a parameter of a URL.
pub(super) fn values(url: &Url, name: &str) -> Vec<String> {
    url.query_pairs()
        .filter(|(its_name, _)| its_name == name)
        .map(|(_, value)| value.into_owned())
        .collect()
}
