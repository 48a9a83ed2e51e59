//! Webhook schemes as data.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

/// A provider's proof that a delivery is its own, and the places of the facts about it.
///
/// A scheme is data: with it, [`verify`](super::verify) checks deliveries of GitHub, Notion, Slack,
/// Stripe, `TikTok`, Discord, `HubSpot`, Meta, Airtable, Shopify, Google, Microsoft and of every sender
/// that follows Standard Webhooks, without code of the provider's own. Header names are in any case.
/// Where several sources stand for one fact, the first that is present counts; only the sources of
/// the account must agree with each other.
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
    /// The signatures that the provider writes, in order of preference: the first whose header is
    /// present, and whose [`condition`](WebhookSignature::when) holds, decides. A delivery that
    /// fails it is refused, even if a later one would pass.
    pub signatures: Vec<WebhookSignature>,
    /// The source of the secrets.
    #[serde(default)]
    pub secret: WebhookSecret,
    /// True if the provider signs other texts with the same secret and algorithm: queries of
    /// callbacks, session tokens, signed requests. Then `body` must be `json_object` alone, so that
    /// none of those texts passes as a delivery.
    #[serde(default)]
    pub secret_signs_more: bool,
    /// The accepted methods, in capitals; without it, POST.
    #[serde(default = "post")]
    pub methods: Vec<String>,
    /// The accepted forms of the body; the first that fits is the one by which it is read. Without
    /// it, a JSON object.
    #[serde(default = "json_object")]
    pub body: Vec<BodyForm>,
    /// A JSON pointer (RFC 6901, at most one step) to the array of events, where one delivery bundles
    /// several. Pointers of facts then start at the member of the array.
    #[serde(default)]
    pub items: Option<String>,
    /// The sources of the topic.
    #[serde(default)]
    pub topic: Vec<WebhookFact>,
    /// The sources of the account's host. All that are present must name the same host.
    #[serde(default)]
    pub account_host: Vec<WebhookFact>,
    /// The sources of the account's key. All that are present must name the same key.
    #[serde(default)]
    pub account_key: Vec<WebhookFact>,
    /// The sources of the id of the delivery.
    #[serde(default)]
    pub delivery_id: Vec<WebhookFact>,
    /// The sources of the id of the event.
    #[serde(default)]
    pub event_id: Vec<WebhookFact>,
    /// The sources of the time of the event.
    #[serde(default)]
    pub triggered_at: Vec<WebhookFact>,
    /// The written form of that time.
    #[serde(default)]
    pub triggered_at_form: TimeForm,
    /// The sources of the id of the subscription (channel, hook) that the delivery claims to belong
    /// to, where each subscription has a secret of its own; see [`channel`](super::channel).
    #[serde(default)]
    pub channel: Vec<WebhookFact>,
    /// The facts without which a delivery is refused.
    #[serde(default)]
    pub required: Vec<RequiredFact>,
    /// The headers that are kept in [`Event::fields`](super::Event::fields).
    #[serde(default)]
    pub fields: Vec<String>,
    /// The topics that say that a connection may have ended or lost rights; see
    /// [`Event::probes`](super::Event::probes).
    #[serde(default)]
    pub probe_topics: Vec<String>,
    /// The status that acknowledges a delivery, 200 to 299.
    #[serde(default = "ok")]
    pub status: u16,
    /// The JSON body that acknowledges a delivery; without it, none.
    #[serde(default)]
    pub reply: Option<Value>,
    /// The handshakes with which the provider proves that the endpoint is the application's.
    #[serde(default)]
    pub handshakes: Vec<Handshake>,
}

impl WebhookScheme {
    /// A scheme with this one signature, of JSON objects that are posted.
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

    /// The sources of each fact, by the name of the field.
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

/// One way in which a provider signs.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookSignature {
    /// The algorithm.
    #[serde(default)]
    pub algorithm: WebhookAlgorithm,
    /// The form of the key in the secret.
    #[serde(default)]
    pub key: KeyForm,
    /// The signed text, part after part; without it, the body.
    #[serde(default = "whole_body")]
    pub signed: Vec<SignedPart>,
    /// The header that holds the signature, in each of its spellings: the first that is present
    /// counts.
    #[serde(default)]
    pub headers: Vec<String>,
    /// A JSON pointer to a [shared token](WebhookAlgorithm::SharedToken) that stands in the body, in
    /// each of the [items](WebhookScheme::items) where there are some. Instead of `headers`.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The division of the header's value into signatures.
    #[serde(default)]
    pub entries: SignatureEntries,
    /// The text before a signature, as in `sha256=`.
    #[serde(default)]
    pub prefix: String,
    /// The encoding of a signature.
    #[serde(default)]
    pub encoding: SignatureEncoding,
    /// The signed time of sending, and how far off it may be.
    #[serde(default)]
    pub timestamp: Option<WebhookTimestamp>,
    /// A header that must have this value for the rule to apply.
    #[serde(default)]
    pub when: Option<HeaderCondition>,
}

impl WebhookSignature {
    /// HMAC-SHA256 over the body, in base64, in the header with one of these spellings.
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

    /// Sets how the signature is written: the text before it and its encoding.
    #[must_use]
    pub fn with_form(mut self, prefix: impl Into<String>, encoding: SignatureEncoding) -> Self {
        self.prefix = prefix.into();
        self.encoding = encoding;
        self
    }

    /// Signs the Unix seconds in this header, a dot and the body; the time may be off by five
    /// minutes.
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
    /// HMAC-SHA1 (RFC 2104), for providers that offer nothing better.
    HmacSha1,
    /// SHA-256 over a text that contains the [secret](SignedPart::Secret): `HubSpot`'s versions 1 and
    /// 2. Prefer the provider's HMAC where it has one.
    Sha256,
    /// Ed25519 (RFC 8032); the secret is the provider's public key.
    Ed25519,
    /// The secret itself, sent along. It proves who sent the delivery and protects no part of it.
    SharedToken,
    /// HTTP Basic (RFC 7617) in `Authorization`; the secret is `user:password`.
    Basic,
}

impl WebhookAlgorithm {
    /// True if the algorithm covers a text, false if it only sends a secret along.
    #[must_use]
    pub const fn signs(self) -> bool {
        !matches!(self, Self::SharedToken | Self::Basic)
    }
}

/// The form of a key's bytes in a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum KeyForm {
    /// The text of the secret is the key.
    #[default]
    Text,
    /// Base64 with the standard alphabet, padded or not.
    Base64,
    /// Hexadecimal.
    Hex,
    /// Base64 after this prefix, which may be absent: `whsec_` in Standard Webhooks.
    Prefixed(String),
}

/// A part of the signed text.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignedPart {
    /// This text.
    Text(String),
    /// The value of this header.
    Header(String),
    /// A value of a header that is written as `key=value`, separated by commas.
    Pair(HeaderPair),
    /// The method, in capitals.
    Method,
    /// The URL that the provider called: scheme, host, path and query. The public URL of the
    /// endpoint must be known, see [`WebhookEndpoint::with_url`](super::WebhookEndpoint::with_url),
    /// unless the request's own URI is absolute.
    Uri(SignedUri),
    /// The secret, for [`WebhookAlgorithm::Sha256`] only.
    Secret,
    /// The body, byte for byte.
    Body,
}

/// The form of the URL in a signed text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignedUri {
    /// The characters whose percent-escapes are decoded, once; all other escapes stay. For `HubSpot`
    /// `:/?@!$'()*,;` (see its page on request validation).
    #[serde(default)]
    pub decoded: String,
}

/// A key in a header that is written as `key=value`, separated by commas.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderPair {
    /// The header.
    pub header: String,
    /// The key. It must occur once.
    pub key: String,
}

/// The division of a header's value into signatures.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureEntries {
    /// It is one signature.
    #[default]
    One,
    /// The values of this key in a list of `key=value`, separated by commas. Any may match; other
    /// keys are ignored.
    Pairs(String),
    /// Separated by spaces. Any that begins with the prefix may match; the others are ignored.
    Spaced,
}

/// The encoding of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// Base64 with the standard alphabet and its padding.
    #[default]
    Base64,
    /// Hexadecimal, of either case.
    Hex,
}

/// The source of the secrets that sign webhooks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookSecret {
    /// The registration's client secrets.
    #[default]
    Client,
    /// The registration's webhook secrets.
    Webhook,
    /// The secret of the connection's subscription: it comes with the endpoint, and no secret of the
    /// registration stands in for it.
    Subscription,
}

/// The signed time at which a delivery was sent.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "TimestampFields")]
#[non_exhaustive]
pub struct WebhookTimestamp {
    /// Its source. It must be among the signed parts.
    pub source: TimestampSource,
    /// Its unit.
    pub unit: TimestampUnit,
    /// The number of seconds by which it may be off, in both directions: 1 to 86,400.
    pub tolerance_seconds: u64,
}

impl WebhookTimestamp {
    /// A timestamp in Unix seconds that may be off by five minutes.
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
    /// The value of this header.
    Header(String),
    /// A value in a header of pairs.
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

/// The written form of [`WebhookTimestamp`]: the source stands beside its settings.
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
            _ => return Err("`timestamp` has either `header` or `pair`"),
        };
        Ok(Self {
            source,
            unit: fields.unit,
            tolerance_seconds: fields.tolerance_seconds,
        })
    }
}

/// A header that must have a certain value.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct HeaderCondition {
    /// The header.
    pub header: String,
    /// Its value, compared byte for byte.
    pub value: String,
}

/// The form of a body.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyForm {
    /// A JSON object, whose first byte is the opening brace. White space before it is refused: a
    /// signed query may begin with a space and still parse as an object.
    JsonObject,
    /// A JSON object or array.
    Json,
    /// A form (`application/x-www-form-urlencoded`). Pointers read its fields as texts.
    Form,
    /// A form whose field of this name holds a JSON object; pointers read that object.
    FormJson(String),
    /// Any bytes, at least one.
    Bytes,
    /// No bytes.
    Empty,
}

impl BodyForm {
    /// True if pointers can read it.
    pub(super) const fn has_members(&self) -> bool {
        !matches!(self, Self::Bytes | Self::Empty)
    }
}

/// The source of a fact about a delivery.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum WebhookFact {
    /// The value of this header.
    Header(String),
    /// A text or number in the body, by its JSON pointer (RFC 6901); in a bundle, a pointer into the
    /// [item](WebhookScheme::items).
    Pointer(String),
    /// As `pointer`, but from the top of the body in a bundle too.
    Envelope(String),
    /// These sources together, with a slash between them. A slash or percent sign inside one is
    /// escaped; a source that is absent is empty.
    Joined(Vec<WebhookFact>),
    /// These parts of a composite account key, with a colon between them, as
    /// [`IdentityRule::account`](crate::provider::description::IdentityRule::account) joins them. Absent if one
    /// part is.
    Key(Vec<WebhookFact>),
}

impl WebhookFact {
    /// The header of this name.
    #[must_use]
    pub fn header(name: impl Into<String>) -> Self {
        Self::Header(name.into())
    }

    /// The member of the body at this JSON pointer.
    #[must_use]
    pub fn pointer(pointer: impl Into<String>) -> Self {
        Self::Pointer(pointer.into())
    }
}

/// The written form of an event's time.
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
    /// A signed delivery whose text at `pointer` is sent back: Slack's `url_verification`.
    Echo(Echo),
    /// A signed delivery with a fixed answer: Discord's PING.
    Answer(Answer),
    /// A request whose query holds a text to send back: Meta's `hub.challenge`, Microsoft's
    /// `validationToken`. It is not signed.
    Challenge(Challenge),
    /// A request that brings the secret of the endpoint: Notion's `verification_token`, an
    /// `X-Hook-Secret`. It is taken only while the endpoint has no secret.
    Secret(SecretHandshake),
}

/// A handshake that sends a part of the body back.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Echo {
    /// The members of the body by which it is recognised, by JSON pointer.
    pub when: BTreeMap<String, Value>,
    /// The JSON pointer to the text that is sent back.
    pub pointer: String,
    /// The member of a JSON object in which it is sent back; without it, as plain text.
    #[serde(default)]
    pub member: Option<String>,
}

/// A handshake with a fixed answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Answer {
    /// The members of the body by which it is recognised, by JSON pointer.
    pub when: BTreeMap<String, Value>,
    /// The status of the answer.
    #[serde(default = "ok")]
    pub status: u16,
    /// Its JSON body; without it, none.
    #[serde(default)]
    pub reply: Option<Value>,
}

/// A handshake that sends a parameter of the query back, as plain text.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Challenge {
    /// Its method, in capitals.
    pub method: String,
    /// The parameter that is sent back. A request without it is no handshake.
    pub parameter: String,
    /// Parameters that must have these values.
    #[serde(default)]
    pub when: BTreeMap<String, String>,
    /// The parameter that must equal the registration's verify token, which is its extra value
    /// [`VERIFY_TOKEN`](super::VERIFY_TOKEN).
    #[serde(default)]
    pub token_parameter: Option<String>,
}

/// A handshake that brings a secret.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SecretHandshake {
    /// The JSON pointer to the secret. Either this or `header`.
    #[serde(default)]
    pub pointer: Option<String>,
    /// The header that holds the secret. It is sent back in the same header.
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
