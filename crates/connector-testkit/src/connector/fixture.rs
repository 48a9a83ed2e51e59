//! What the suite needs to know about the provider that a connector is for.

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

/// A connector under test, in front of a simulated provider that keeps the provider's own rules.
///
/// Every case starts its own, so that cases run in any order and at the same time. What a provider
/// does not have is read from the connector's description; the methods that have a default are for
/// what no description says. Methods panic when the simulator cannot do what is asked: the case
/// then fails.
#[async_trait]
pub trait ConnectorFixture: Send + Sync + 'static {
    /// Starts a fresh provider. `mark` stands somewhere in every secret that it makes up: client
    /// secrets, codes, tokens, secrets of webhooks. The suite searches for it where no secret may
    /// stand.
    async fn start(mark: &str) -> Self
    where
        Self: Sized;

    /// The connector.
    fn connector(&self) -> &dyn Connector;

    /// The registration as the provider knows it, with one client secret. Where the provider has
    /// scopes, it asks for at least two of which neither includes the other.
    fn app(&self) -> App;

    /// The way to the provider, with deadlines on [`ConnectorFixture::clock`]. The suite records and
    /// sometimes replaces what goes through it.
    fn transport(&self) -> Arc<dyn HttpTransport>;

    /// The clock of provider and transport. The suite moves it.
    fn clock(&self) -> &ManualClock;

    /// The account to connect, as its owner names it, where accounts have hosts of their own.
    fn account(&self) -> Option<&str> {
        None
    }

    /// Goes where the browser goes, to the authorization URL, and returns the query of the callback
    /// that it is sent to. `None` if the provider never sends a browser back after this decision.
    async fn visit(&self, url: &Url, consent: &Consent) -> Option<String>;

    /// Makes the next request to the token endpoint that is not yet spoken for go wrong.
    fn fault(&self, fault: TokenFault);

    /// Ends every grant at the provider, as the account's owner would: the app is removed, or its
    /// access is taken away.
    fn end_grants(&self);

    /// The parameter of the authorization URL that names the app, and its value. Default: the client
    /// id, under the description's name for it.
    fn app_parameter(&self) -> (String, String) {
        let token = self.connector().description().token.as_ref();
        let name = token.map_or("client_id", |it| &it.client_id_parameter);
        (name.to_owned(), self.app().client_id().to_owned())
    }

    /// The fields of a request to the token endpoint; `None` if the request is no token request of the
    /// provider. Default: in the form that the description has. A provider whose exchange has another
    /// form, or takes several requests, overrides it.
    fn token_fields(&self, request: &http::Request<Bytes>) -> Option<Vec<(String, String)>> {
        described_fields(self, request)
    }

    /// The parameters of a callback that the provider signs, the signature included. Empty where it
    /// signs none.
    fn signed_parameters(&self) -> &'static [&'static str] {
        &[]
    }

    /// A delivery as the provider would post it now, signed with the app's secret: of this body, or
    /// of one that the provider sends. `None` where the description has no webhooks.
    fn delivery(&self, body: Option<Bytes>) -> Option<Delivery> {
        let _ = body;
        None
    }

    /// The scheme of the deliveries, where the description has none because the connector's own hook
    /// verifies them: the suite takes the wire form from it.
    fn webhook_scheme(&self) -> Option<WebhookScheme> {
        self.connector().description().webhook.clone()
    }

    /// The secret that signs [`ConnectorFixture::delivery`], where each subscription has its own.
    fn subscription_secret(&self) -> Option<SecretString> {
        None
    }

    /// Texts of other kinds that the provider signs with the secret of its webhooks: the queries of
    /// callbacks and of first visits, session tokens, signed requests. Each `seed` makes other texts,
    /// among them those that somebody who chooses parameters could have signed. Needed where the
    /// scheme says [`secret_signs_more`](WebhookScheme::secret_signs_more).
    fn also_signed(&self, seed: u64) -> Vec<AlsoSigned> {
        let _ = seed;
        Vec::new()
    }

    /// The queries of callbacks in which the signature of a delivery stands for its body: `signature`
    /// is the value of the delivery's header.
    fn callbacks_of(&self, body: &Bytes, signature: &str) -> Vec<String> {
        let _ = (body, signature);
        Vec::new()
    }

    /// Texts that name no account, beside those that the suite makes up.
    fn hostile_accounts(&self) -> Vec<String> {
        Vec::new()
    }
}

/// The fields of a token request, read as the description says that they are written.
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

/// A text that is no delivery, signed with the secret of the webhooks.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AlsoSigned {
    /// Its kind, for the output of the suite.
    pub kind: &'static str,
    /// The text that was signed.
    pub text: Bytes,
    /// The signature's bytes.
    pub tag: Vec<u8>,
}

impl AlsoSigned {
    /// A text of this kind and its signature.
    #[must_use]
    pub fn new(kind: &'static str, text: impl Into<Bytes>, tag: impl Into<Vec<u8>>) -> Self {
        Self {
            kind,
            text: text.into(),
            tag: tag.into(),
        }
    }
}

/// A delivery, and what a connector should read from it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Delivery {
    /// The request.
    pub request: http::Request<Bytes>,
    /// Its topic.
    pub topic: String,
    /// The provider's id of the delivery, where it has one.
    pub delivery_id: Option<String>,
    /// The account that it is about, where it says.
    pub account: Option<AccountHint>,
}

impl Delivery {
    /// A delivery about `topic` that names neither itself nor an account.
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

    /// Sets the account that it is about.
    #[must_use]
    pub fn with_account(mut self, account: AccountHint) -> Self {
        self.account = Some(account);
        self
    }
}
