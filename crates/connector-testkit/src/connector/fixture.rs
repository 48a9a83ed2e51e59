//! Fixtures for the connector suite.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::App;
use connector_core::clock::ManualClock;
use connector_core::http::HttpTransport;
use connector_core::provider::Connector;
use connector_core::provider::description::{BodyEncoding, TokenMethod};
use connector_core::provider::webhook::WebhookScheme;
use connector_core::webhook::AccountHint;
pub use connector_sim::{Consent, Fault as TokenFault};
use secrecy::SecretString;
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

/// A connector under test with a simulated provider that enforces the provider's own rules.
///
/// Each case starts its own fixture, so that cases run in any order and concurrently. The suite
/// reads the provider's features from the connector's description. The methods with a default
/// return facts that a description cannot contain. A method panics if the simulator cannot perform
/// the action. The case then fails.
#[async_trait]
pub trait ConnectorFixture: Send + Sync + 'static {
    /// Starts a fresh provider. Every secret that the provider generates must contain `mark`:
    /// client secrets, codes, tokens, webhook secrets. The suite searches for `mark` in all places
    /// where no secret may appear.
    async fn start(mark: &str) -> Self
    where
        Self: Sized;

    /// Returns the connector.
    fn connector(&self) -> &dyn Connector;

    /// Returns the app registration at the provider, with one client secret. If the provider has
    /// scopes, the app requests at least two, neither of which includes the other.
    fn app(&self) -> App;

    /// Returns a transport to the provider, with timeouts on [`ConnectorFixture::clock`]. The suite
    /// records requests and replaces some responses.
    fn transport(&self) -> Arc<dyn HttpTransport>;

    /// Returns the clock of the provider and the transport. The suite advances this clock.
    fn clock(&self) -> &ManualClock;

    /// Returns the account to connect, as entered by its owner. Needed only for providers with
    /// per-account hosts.
    fn account(&self) -> Option<&str> {
        None
    }

    /// Opens the authorization URL like a browser, and returns the query of the callback. `None` if
    /// the provider does not redirect the browser after this decision.
    async fn visit(&self, url: &Url, consent: &Consent) -> Option<String>;

    /// Makes the next request to the token endpoint fail. If there are several calls, each affects
    /// one request, in order.
    fn fault(&self, fault: TokenFault);

    /// Ends every grant at the provider, as if the account's owner had removed the app.
    fn end_grants(&self);

    /// Returns the name and the value of the URL parameter that identifies the app. Default: the
    /// client id, with the parameter name from the description.
    fn app_parameter(&self) -> (String, String) {
        let token = self.connector().description().token.as_ref();
        let name = token.map_or("client_id", |it| &it.client_id_parameter);
        (name.to_owned(), self.app().client_id().to_owned())
    }

    /// Returns the fields of a request to the token endpoint; `None` if the request is not a token
    /// request. Default: parses the format in the description. Override this method for a provider
    /// whose exchange has another format or takes several requests.
    fn token_fields(&self, request: &http::Request<Bytes>) -> Option<Vec<(String, String)>> {
        described_fields(self, request)
    }

    /// Returns the signed parameters of a callback, including the signature. Returns an empty list
    /// if the provider does not sign callbacks.
    fn signed_parameters(&self) -> &'static [&'static str] {
        &[]
    }

    /// Returns a delivery as the provider would send it now, signed with the app's secret. Uses
    /// `body`, or a typical body of the provider. `None` if the description has no webhooks.
    fn delivery(&self, body: Option<Bytes>) -> Option<Delivery> {
        let _ = body;
        None
    }

    /// Returns the webhook scheme from which the suite takes the wire format. Override this method
    /// if the description has no scheme because the connector's own hook verifies deliveries.
    fn webhook_scheme(&self) -> Option<WebhookScheme> {
        self.connector().description().webhook.clone()
    }

    /// Returns the secret that signs [`ConnectorFixture::delivery`], if each subscription has its
    /// own secret.
    fn subscription_secret(&self) -> Option<SecretString> {
        None
    }

    /// Returns other texts that the provider signs with the webhook secret: queries of callbacks
    /// and of first visits, session tokens, signed requests. Each `seed` must give different texts.
    /// Include texts that an attacker could get signed by choosing parameters. Needed if the scheme
    /// sets [`secret_signs_more`](WebhookScheme::secret_signs_more).
    fn also_signed(&self, seed: u64) -> Vec<AlsoSigned> {
        let _ = seed;
        Vec::new()
    }

    /// Returns callback queries that reuse the signature of a delivery with the given body.
    /// `signature` is the value of the delivery's header.
    fn callbacks_of(&self, body: &Bytes, signature: &str) -> Vec<String> {
        let _ = (body, signature);
        Vec::new()
    }

    /// Returns texts that are not account names, in addition to those that the suite generates.
    fn hostile_accounts(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Returns the fields of a token request, parsed in the format of the description.
fn described_fields<F: ConnectorFixture + ?Sized>(
    fixture: &F,
    request: &http::Request<Bytes>,
) -> Option<Vec<(String, String)>> {
    let connector = fixture.connector();
    let endpoint = connector.description().token.as_ref()?;
    let host = fixture
        .account()
        .and_then(|text| connector.account_host(text).ok()?);
    let described = endpoint.endpoint.url(host.as_deref().unwrap_or_default());
    let (described, sent) = (
        described.ok()?,
        Url::parse(&request.uri().to_string()).ok()?,
    );
    let is_there = |url: &Url| (url.origin(), url.path().to_owned());
    if is_there(&described) != is_there(&sent) {
        return None;
    }
    let content_type = request.headers().get(http::header::CONTENT_TYPE);
    let content_type = content_type
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let is = |wanted: &str| {
        content_type
            .split(';')
            .next()
            .is_some_and(|it| it.trim() == wanted)
    };
    match (endpoint.method, endpoint.encoding) {
        (TokenMethod::Get, _) => (request.method() == http::Method::GET)
            .then(|| sent.query_pairs().into_owned().collect()),
        _ if request.method() != http::Method::POST || sent != described => None,
        (_, BodyEncoding::Json) if is("application/json") => {
            let object: Map<String, Value> = serde_json::from_slice(request.body()).ok()?;
            let texts = object.into_iter().filter_map(|(name, value)| match value {
                Value::String(text) => Some((name, text)),
                _ => None,
            });
            Some(texts.collect())
        }
        (_, BodyEncoding::Form) if is("application/x-www-form-urlencoded") => Some(
            form_urlencoded::parse(request.body())
                .into_owned()
                .collect(),
        ),
        _ => None,
    }
}

/// A string that is signed with the webhook secret but is not a delivery.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AlsoSigned {
    /// The kind of the text, for the suite's output.
    pub kind: &'static str,
    /// The signed text.
    pub text: Bytes,
    /// The bytes of the signature.
    pub tag: Vec<u8>,
}

impl AlsoSigned {
    /// Creates a signed text of the given kind.
    #[must_use]
    pub fn new(kind: &'static str, text: impl Into<Bytes>, tag: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            text: text.into(),
            tag: tag.into(),
        }
    }
}

/// A delivery, and the expected values for the connector.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The request.
    pub request: http::Request<Bytes>,
    /// The topic.
    pub topic: String,
    /// The provider's id of the delivery, if it has one.
    pub delivery_id: Option<String>,
    /// The account in the delivery, if it has one.
    pub account: Option<AccountHint>,
}

impl Delivery {
    /// Creates a delivery about `topic`, without a delivery id and without an account.
    #[must_use]
    pub fn new(request: http::Request<Bytes>, topic: impl Into<String>) -> Self {
        Self {
            request,
            topic: topic.into(),
            delivery_id: None,
            account: None,
        }
    }

    /// Sets the provider's id of the delivery.
    #[must_use]
    pub fn with_delivery_id(mut self, delivery_id: impl Into<String>) -> Self {
        self.delivery_id = Some(delivery_id.into());
        self
    }

    /// Sets the account of the delivery.
    #[must_use]
    pub fn with_account(mut self, account: AccountHint) -> Self {
        self.account = Some(account);
        self
    }
}
