//! Webhook schemes as data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A provider's webhook scheme: how deliveries are signed, and which fields contain the topic, the
/// account and the ids.
///
/// With a scheme, [`verify`](super::verify) checks deliveries without provider-specific code.
/// Supported senders include GitHub, Notion, Slack, Stripe, `TikTok`, Discord, `HubSpot`, Meta,
/// Airtable, Shopify, Google, Microsoft and all senders that follow Standard Webhooks. Header names
/// are case-insensitive. If a fact has several sources, the first source that is present is used.
/// The sources of the account are an exception: all present sources must contain the same account.
///
/// ```
/// use connector_core::provider::webhook::WebhookScheme;
/// let stripe: WebhookScheme = serde_json::from_str(r#"{
///     "signatures": [{
///         "headers": ["stripe-signature"],
///         "entries": { "pairs": "v1" },
///         "encoding": "hex",
///         "signed": [
///             { "pair": { "header": "stripe-signature", "key": "t" } },
///             { "text": "." },
///             "body"
///         ],
///         "timestamp": { "pair": { "header": "stripe-signature", "key": "t" } }
///     }],
///     "secret": "webhook",
///     "topic": [{ "pointer": "/type" }],
///     "account_key": [{ "pointer": "/account" }],
///     "delivery_id": [{ "pointer": "/id" }]
/// }"#).unwrap();
/// # let _ = stripe;
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookScheme {
    /// The provider's signatures, in order of preference.
    ///
    /// [`verify`](super::verify) checks only the first signature whose header is present and whose
    /// [`condition`](WebhookSignature::when) holds. If that signature is invalid, the delivery is
    /// rejected, even if a later signature would be valid.
    pub signatures: Vec<WebhookSignature>,
    /// The source of the webhook secrets.
    #[serde(default)]
    pub secret: WebhookSecret,
    /// True if the provider signs other data with the same secret and algorithm, for example
    /// callback queries, session tokens or signed requests.
    ///
    /// `body` must then contain only `json_object`, so that no other signed data is accepted as a
    /// delivery.
    #[serde(default)]
    pub secret_signs_more: bool,
    /// The accepted HTTP methods, in uppercase. Default: POST.
    #[serde(default = "post")]
    pub methods: Vec<String>,
    /// The accepted formats of the body. The body is parsed with the first format that matches.
    /// Default: a JSON object.
    #[serde(default = "json_object")]
    pub body: Vec<BodyForm>,
    /// JSON pointer (RFC 6901, at most one step) to the array of events, if one delivery contains
    /// several.
    ///
    /// The pointers of facts are then relative to each array element.
    #[serde(default)]
    pub items: Option<String>,
    /// The sources of the topic.
    #[serde(default)]
    pub topic: Vec<WebhookFact>,
    /// The sources of the account's host. All sources that are present must contain the same host.
    #[serde(default)]
    pub account_host: Vec<WebhookFact>,
    /// The sources of the account's key. All sources that are present must contain the same key.
    #[serde(default)]
    pub account_key: Vec<WebhookFact>,
    /// The sources of the delivery id.
    #[serde(default)]
    pub delivery_id: Vec<WebhookFact>,
    /// The sources of the event id.
    #[serde(default)]
    pub event_id: Vec<WebhookFact>,
    /// The sources of the event time.
    #[serde(default)]
    pub triggered_at: Vec<WebhookFact>,
    /// The format of the event time.
    #[serde(default)]
    pub triggered_at_form: TimeForm,
    /// The sources of the subscription id (channel, hook), for providers with a separate secret per
    /// subscription.
    ///
    /// The delivery claims to belong to this subscription. See [`channel`](super::channel).
    #[serde(default)]
    pub channel: Vec<WebhookFact>,
    /// Required facts. A delivery is rejected if one of the facts is missing.
    #[serde(default)]
    pub required: Vec<RequiredFact>,
    /// Headers to copy into [`Event::fields`](super::Event::fields).
    #[serde(default)]
    pub fields: Vec<String>,
    /// Topics which mean that a connection may have ended or lost permissions. See
    /// [`Event::probes`](super::Event::probes).
    #[serde(default)]
    pub probe_topics: Vec<String>,
    /// The status that acknowledges a delivery, from 200 to 299.
    #[serde(default = "ok")]
    pub status: u16,
    /// The JSON body that acknowledges a delivery. Absent for an empty body.
    #[serde(default)]
    pub reply: Option<Value>,
    /// The handshakes with which the provider checks that the application controls the endpoint.
    #[serde(default)]
    pub handshakes: Vec<Handshake>,
}

impl WebhookScheme {
    /// Returns a scheme with one signature, for JSON objects sent with POST.
    #[must_use]
    pub fn new(signature: WebhookSignature) -> Self {
        Self {
            signatures: vec![signature],
            secret: WebhookSecret::default(),
            secret_signs_more: false,
            methods: post(),
            body: json_object(),
            items: None,
            topic: Vec::new(),
            account_host: Vec::new(),
            account_key: Vec::new(),
            delivery_id: Vec::new(),
            event_id: Vec::new(),
            triggered_at: Vec::new(),
            triggered_at_form: TimeForm::default(),
            channel: Vec::new(),
            required: Vec::new(),
            fields: Vec::new(),
            probe_topics: Vec::new(),
            status: ok(),
            reply: None,
            handshakes: Vec::new(),
        }
    }

    /// Returns the sources of each fact, with the name of the field.
    pub(super) fn facts(&self) -> [(&'static str, &[WebhookFact]); 7] {
        [
            ("topic", &self.topic),
            ("account_host", &self.account_host),
            ("account_key", &self.account_key),
            ("delivery_id", &self.delivery_id),
            ("event_id", &self.event_id),
            ("triggered_at", &self.triggered_at),
            ("channel", &self.channel),
        ]
    }
}

/// A signature of a delivery, with its algorithm, position and format.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookSignature {
    /// The algorithm.
    #[serde(default)]
    pub algorithm: WebhookAlgorithm,
    /// The format of the key in the secret.
    #[serde(default)]
    pub key: KeyForm,
    /// The parts of the signed text, in order. Default: the body.
    #[serde(default = "whole_body")]
    pub signed: Vec<SignedPart>,
    /// Names of the header that contains the signature. The first name that is present is used.
    #[serde(default)]
    pub headers: Vec<String>,
    /// JSON pointer to a [shared token](WebhookAlgorithm::SharedToken) in the body, used instead of
    /// `headers`.
    ///
    /// If the delivery has [items](WebhookScheme::items), each item must contain the token.
    #[serde(default)]
    pub pointer: Option<String>,
    /// Method of splitting the header's value into signatures.
    #[serde(default)]
    pub entries: SignatureEntries,
    /// The text before a signature, for example `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// The encoding of a signature.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// The signed timestamp of the delivery, with its tolerance.
    #[serde(default)]
    pub timestamp: Option<WebhookTimestamp>,
    /// A header value on which this signature depends. The signature is skipped unless the header
    /// has this value.
    #[serde(default)]
    pub when: Option<HeaderCondition>,
}

impl WebhookSignature {
    /// Returns an HMAC-SHA256 signature over the body, in base64, in a header with one of the given
    /// names.
    #[must_use]
    pub fn new<S: Into<String>>(headers: impl IntoIterator<Item = S>) -> Self {
        Self {
            algorithm: WebhookAlgorithm::default(),
            key: KeyForm::default(),
            signed: whole_body(),
            headers: headers.into_iter().map(Into::into).collect(),
            pointer: None,
            entries: SignatureEntries::default(),
            prefix: String::new(),
            encoding: SignatureEncoding::default(),
            timestamp: None,
            when: None,
        }
    }

    /// Sets the prefix and the encoding of the signature.
    #[must_use]
    pub fn with_form(mut self, prefix: impl Into<String>, encoding: SignatureEncoding) -> Self {
        self.prefix = prefix.into();
        self.encoding = encoding;
        self
    }

    /// Changes the signed text to the Unix seconds in this header, a dot and the body. The
    /// tolerance is five minutes.
    #[must_use]
    pub fn with_timestamp(mut self, header: impl Into<String>) -> Self {
        let header = header.into();
        self.signed = vec![
            SignedPart::Header(header.clone()),
            SignedPart::Text(".".to_owned()),
            SignedPart::Body,
        ];
        self.timestamp = Some(WebhookTimestamp::new(TimestampSource::Header(header)));
        self
    }
}

/// The algorithm of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookAlgorithm {
    /// HMAC-SHA256 (RFC 2104).
    #[default]
    HmacSha256,
    /// HMAC-SHA1 (RFC 2104), for providers without a stronger algorithm.
    HmacSha1,
    /// SHA-256 over a text that contains the [secret](SignedPart::Secret): version 1 and version 2
    /// of `HubSpot`'s signatures. Prefer the provider's HMAC, if available.
    Sha256,
    /// Ed25519 (RFC 8032). The secret is the provider's public key.
    Ed25519,
    /// The secret itself, sent with the delivery. The secret authenticates the sender but does not
    /// protect the content.
    SharedToken,
    /// HTTP Basic (RFC 7617) in `Authorization`. The secret is `user:password`.
    Basic,
}

impl WebhookAlgorithm {
    /// Returns true if the algorithm signs a text, and false if it only sends a secret.
    #[must_use]
    pub const fn signs(self) -> bool {
        !matches!(self, Self::SharedToken | Self::Basic)
    }
}

/// The format of the key within a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyForm {
    /// The bytes of the secret are the key.
    #[default]
    Text,
    /// Base64 with the standard alphabet, with or without padding.
    Base64,
    /// Hexadecimal.
    Hex,
    /// Base64 after an optional prefix, for example `whsec_` in Standard Webhooks.
    Prefixed(String),
}

/// A part of the signed text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignedPart {
    /// A fixed text.
    Text(String),
    /// The value of a header.
    Header(String),
    /// One value of a header with comma-separated `key=value` pairs.
    Pair(HeaderPair),
    /// The HTTP method, in uppercase.
    Method,
    /// The URL that the provider called: scheme, host, path and query.
    ///
    /// If the request's own URI is not absolute, set the endpoint's public URL with
    /// [`WebhookEndpoint::with_url`](super::WebhookEndpoint::with_url).
    Uri(SignedUri),
    /// The secret, for [`WebhookAlgorithm::Sha256`] only.
    Secret,
    /// The body, byte for byte.
    Body,
}

/// The format of the URL in a signed text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignedUri {
    /// Characters whose percent-escapes are decoded once. All other escapes stay encoded.
    ///
    /// For `HubSpot`, use `:/?@!$'()*,;` (see its page on request validation).
    #[serde(default)]
    pub decoded: String,
}

/// A key in a header with comma-separated `key=value` pairs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderPair {
    /// The name of the header.
    pub header: String,
    /// The key. It must occur exactly once.
    pub key: String,
}

/// Method of splitting a header's value into signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureEntries {
    /// The value is one signature.
    #[default]
    One,
    /// The values of this key in a list of comma-separated `key=value` pairs. Any of them may
    /// match. Other keys are ignored.
    Pairs(String),
    /// Signatures separated by spaces. Any signature with the prefix may match. Signatures without
    /// the prefix are ignored.
    Spaced,
}

/// The encoding of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// Base64 with the standard alphabet and padding.
    #[default]
    Base64,
    /// Hexadecimal in uppercase or lowercase.
    Hex,
}

/// The source of the secrets that sign webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookSecret {
    /// The client secrets of the app registration.
    #[default]
    Client,
    /// The webhook secrets of the app registration.
    Webhook,
    /// The secret of the connection's subscription.
    ///
    /// The secret comes with the [`WebhookEndpoint`](super::WebhookEndpoint). Secrets of the app
    /// registration are never used instead.
    Subscription,
}

/// The signed timestamp of a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TimestampFields")]
#[non_exhaustive]
pub struct WebhookTimestamp {
    /// The source of the timestamp. The source must be one of the signed parts.
    pub source: TimestampSource,
    /// The unit of the timestamp.
    pub unit: TimestampUnit,
    /// Maximum difference from the local clock in both directions, in seconds: 1 to 86,400.
    pub tolerance_seconds: u64,
}

impl WebhookTimestamp {
    /// Returns a timestamp in Unix seconds with a tolerance of five minutes.
    #[must_use]
    pub const fn new(source: TimestampSource) -> Self {
        Self {
            source,
            unit: TimestampUnit::Seconds,
            tolerance_seconds: five_minutes(),
        }
    }
}

/// The source of a timestamp.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimestampSource {
    /// The value of a header.
    Header(String),
    /// One value of a header with `key=value` pairs.
    Pair(HeaderPair),
}

/// The unit of a timestamp.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimestampUnit {
    /// Seconds since 1970.
    #[default]
    Seconds,
    /// Milliseconds since 1970.
    Millis,
}

/// The serialized format of [`WebhookTimestamp`], with the source and its settings on the same
/// level.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct TimestampFields {
    #[serde(default)]
    header: Option<String>,
    #[serde(default)]
    pair: Option<HeaderPair>,
    #[serde(default)]
    unit: TimestampUnit,
    #[serde(default = "five_minutes")]
    tolerance_seconds: u64,
}

impl TryFrom<TimestampFields> for WebhookTimestamp {
    type Error = &'static str;

    fn try_from(fields: TimestampFields) -> Result<Self, Self::Error> {
        let source = match (fields.header, fields.pair) {
            (Some(header), None) => TimestampSource::Header(header),
            (None, Some(pair)) => TimestampSource::Pair(pair),
            _ => return Err("`timestamp` must have either `header` or `pair`"),
        };
        Ok(Self {
            source,
            unit: fields.unit,
            tolerance_seconds: fields.tolerance_seconds,
        })
    }
}

/// A condition on the value of a header.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderCondition {
    /// The name of the header.
    pub header: String,
    /// The required value, compared byte for byte.
    pub value: String,
}

/// The format of a body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyForm {
    /// A JSON object.
    ///
    /// The first byte must be the opening brace. Leading whitespace is rejected, because a signed
    /// query that begins with a space could also parse as an object.
    JsonObject,
    /// A JSON object or array.
    Json,
    /// A form (`application/x-www-form-urlencoded`). Pointers read its fields as strings.
    Form,
    /// A form in which this field contains a JSON object. Pointers read that object.
    FormJson(String),
    /// Any non-empty sequence of bytes.
    Bytes,
    /// An empty body.
    Empty,
}

impl BodyForm {
    /// Returns true if pointers can read the body.
    pub(super) const fn has_members(&self) -> bool {
        !matches!(self, Self::Bytes | Self::Empty)
    }
}

/// The source of a fact about a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookFact {
    /// The value of a header.
    Header(String),
    /// A string, number or boolean in the body, at a JSON pointer (RFC 6901).
    ///
    /// If the delivery contains several events, the pointer is relative to the
    /// [item](WebhookScheme::items).
    Pointer(String),
    /// As for `Pointer`, but always relative to the whole body.
    Envelope(String),
    /// Several sources, joined with a slash.
    ///
    /// A slash or percent sign within a source is escaped. An absent source is replaced by an empty
    /// string.
    Joined(Vec<WebhookFact>),
    /// The parts of a composite account key, joined with a colon as in
    /// [`IdentityRule::account`](crate::provider::description::IdentityRule::account).
    ///
    /// If one part is absent, the whole key is absent.
    Key(Vec<WebhookFact>),
}

impl WebhookFact {
    /// Returns a source that reads the header `name`.
    #[must_use]
    pub fn header(name: impl Into<String>) -> Self {
        Self::Header(name.into())
    }

    /// Returns a source that reads the body at this JSON pointer.
    #[must_use]
    pub fn pointer(pointer: impl Into<String>) -> Self {
        Self::Pointer(pointer.into())
    }
}

/// The format of an event's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TimeForm {
    /// RFC 3339.
    #[default]
    Rfc3339,
    /// Seconds since 1970.
    Seconds,
    /// Milliseconds since 1970.
    Millis,
}

/// A fact that a delivery must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RequiredFact {
    /// The topic.
    Topic,
    /// The account.
    Account,
    /// The id of the delivery.
    DeliveryId,
}

/// A request with which a provider checks an endpoint.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Handshake {
    /// A signed delivery that is answered with the text at `pointer`, for example Slack's
    /// `url_verification`.
    Echo(Echo),
    /// A signed delivery with a fixed response, for example Discord's PING.
    Answer(Answer),
    /// An unsigned request that is answered with the value of a query parameter, for example Meta's
    /// `hub.challenge` or Microsoft's `validationToken`.
    Challenge(Challenge),
    /// A request that contains the endpoint's secret, for example Notion's `verification_token` or
    /// an `X-Hook-Secret`.
    ///
    /// The secret is accepted only while the endpoint has none.
    Secret(SecretHandshake),
}

/// A handshake that is answered with a part of the body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Echo {
    /// Required values in the body, keyed by JSON pointer. They identify the handshake.
    pub when: BTreeMap<String, Value>,
    /// JSON pointer to the text to send back.
    pub pointer: String,
    /// The member of the JSON response that contains the text. If absent, the response is plain
    /// text.
    #[serde(default)]
    pub member: Option<String>,
}

/// A handshake with a fixed response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Answer {
    /// Required values in the body, keyed by JSON pointer. They identify the handshake.
    pub when: BTreeMap<String, Value>,
    /// The status of the response.
    #[serde(default = "ok")]
    pub status: u16,
    /// The JSON body of the response. Absent for an empty body.
    #[serde(default)]
    pub reply: Option<Value>,
}

/// A handshake that is answered with a query parameter, as plain text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Challenge {
    /// The HTTP method, in uppercase.
    pub method: String,
    /// The parameter to send back. A request without this parameter is not a handshake.
    pub parameter: String,
    /// Required values of other parameters.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// The parameter that must equal the app registration's verify token.
    ///
    /// The verify token is the app's extra value [`VERIFY_TOKEN`](super::VERIFY_TOKEN).
    #[serde(default)]
    pub token_parameter: Option<String>,
}

/// A handshake that contains a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretHandshake {
    /// JSON pointer to the secret. Set either this field or `header`.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The header that contains the secret. The response repeats this header.
    #[serde(default)]
    pub header: Option<String>,
}

fn post() -> Vec<String> {
    vec!["POST".to_owned()]
}

fn json_object() -> Vec<BodyForm> {
    vec![BodyForm::JsonObject]
}

fn whole_body() -> Vec<SignedPart> {
    vec![SignedPart::Body]
}

const fn ok() -> u16 {
    200
}

const fn five_minutes() -> u64 {
    300
}
