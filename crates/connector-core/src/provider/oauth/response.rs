//! Tolerant parser for token endpoint responses (RFC 6749 sections 5.1 and 5.2).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::clock::Timestamp;
use crate::credential::CredentialKind;
use crate::error::{Error, ErrorKind, Retry, shown_code};
use crate::http::{Origin, Sent, TransportError, TransportErrorKind, retry_after};
use crate::json::without_bom;
use crate::provider::description::{Description, Pointer, RefusalMeaning, TokenFields};
use crate::provider::oauth::Identity;
use crate::provider::oauth::identity::kept;

/// A successful response from a token endpoint.
///
/// The parser accepts common deviations from RFC 6749. `expires_in` may be missing, a number or a
/// string. `token_type` may be missing. Scopes may be a string or a list. [`TokenResponse::field`]
/// reads other fields until the response is dropped. [`TokenResponse::keep`] stores fields that later
/// calls need.
pub struct TokenResponse {
    kind: CredentialKind,
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: Option<Duration>,
    refresh_expires_in: Option<Duration>,
    scopes: Option<Vec<String>>,
    origin: Option<Origin>,
    identity: Option<Identity>,
    kept: BTreeMap<String, SecretString>,
    siblings: Vec<Self>,
    body: Value,
}

impl TokenResponse {
    /// Returns a response that contains only this access token, for connectors that parse other
    /// response formats.
    #[must_use]
    pub fn new(access_token: impl Into<SecretString>) -> Self {
        Self {
            kind: CredentialKind::OAuth,
            access_token: access_token.into(),
            refresh_token: None,
            expires_in: None,
            refresh_expires_in: None,
            scopes: None,
            origin: None,
            identity: None,
            kept: BTreeMap::new(),
            siblings: Vec::new(),
            body: Value::Null,
        }
    }

    /// Sets the kind of credential, for a grant whose secret is a URL or an API key.
    #[must_use]
    pub fn with_kind(mut self, kind: CredentialKind) -> Self {
        self.kind = kind;
        self
    }

    /// Sets the refresh token.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<SecretString>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// Sets the access token's lifetime.
    #[must_use]
    pub fn with_expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self
    }

    /// Sets the refresh token's lifetime.
    #[must_use]
    pub fn with_refresh_expires_in(mut self, refresh_expires_in: Duration) -> Self {
        self.refresh_expires_in = Some(refresh_expires_in);
        self
    }

    /// Sets the granted scopes.
    #[must_use]
    pub fn with_scopes(mut self, scopes: Vec<String>) -> Self {
        self.scopes = Some(scopes);
        self
    }

    /// Binds the credential to an origin other than the description's first one, for example to the
    /// origin of a region.
    ///
    /// The origin must be one of the description's `api` origins.
    #[must_use]
    pub fn with_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Sets the account that the response identifies.
    ///
    /// If only the callback identified the account, the account must be
    /// [asserted](crate::Account::asserted).
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Stores a secret under this name, sealed with the credential. Read it with
    /// [`Credential::extra`](crate::Credential::extra).
    #[must_use]
    pub fn keep(mut self, name: impl Into<String>, secret: impl Into<SecretString>) -> Self {
        self.kept.insert(name.into(), secret.into());
        self
    }

    /// Adds another grant from the same response, for example a user's token in addition to a
    /// bot's.
    ///
    /// The sibling becomes a separate connection. It is stored before the connection of this
    /// response.
    #[must_use]
    pub fn with_sibling(mut self, sibling: Self) -> Self {
        self.siblings.push(sibling);
        self
    }

    /// Returns the kind of credential.
    #[must_use]
    pub const fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Returns the access token.
    #[must_use]
    pub const fn access_token(&self) -> &SecretString {
        &self.access_token
    }

    /// Returns the new refresh token. If `None`, the refresh token in the request stays valid.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&SecretString> {
        self.refresh_token.as_ref()
    }

    /// Returns the access token's lifetime, if the provider stated it in a supported format.
    #[must_use]
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// Returns the refresh token's lifetime, if the provider stated it in a supported format.
    #[must_use]
    pub const fn refresh_expires_in(&self) -> Option<Duration> {
        self.refresh_expires_in
    }

    /// Returns the granted scopes, if the provider stated them. If `None`, the granted scopes equal
    /// the requested scopes (RFC 6749 section 5.1).
    #[must_use]
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// Returns the origin to bind the credential to, if it is not the description's first origin.
    #[must_use]
    pub const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    /// Returns the account that the response identifies.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns the secrets to store with the credential, with their names.
    pub fn kept(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.kept
            .iter()
            .map(|(name, secret)| (name.as_str(), secret))
    }

    /// Returns the other grants from the same response.
    #[must_use]
    pub fn siblings(&self) -> &[Self] {
        &self.siblings
    }

    /// Removes the other grants from the response and returns them.
    #[must_use]
    pub fn take_siblings(&mut self) -> Vec<Self> {
        std::mem::take(&mut self.siblings)
    }

    /// Returns a top-level field of the response, if it exists and has this type. The value may be
    /// secret.
    #[must_use]
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.body
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }

    /// Returns the value at a JSON pointer (RFC 6901) in the response, if it exists and has this
    /// type. The value may be secret.
    #[must_use]
    pub fn pointer<T: DeserializeOwned>(&self, pointer: &str) -> Option<T> {
        self.body
            .pointer(pointer)
            .and_then(|value| T::deserialize(value).ok())
    }

    pub(super) const fn body(&self) -> &Value {
        &self.body
    }

    fn read(description: &Description, mut body: Value) -> Option<Self> {
        let fields = token_fields(description);
        let access_token = take_text(&mut body, &fields.access_token)?;
        let refresh_token = take_text(&mut body, &fields.refresh_token);
        let first = |pointers: &[Pointer], read: fn(&Value) -> Option<Duration>| {
            pointers.iter().find_map(|it| it.find(&body).and_then(read))
        };
        let expires_in = first(&fields.expires_in, seconds);
        let refresh_expires_in = first(&fields.refresh_expires_in, seconds);
        let separator = description.scopes.separator;
        let scopes = fields
            .scope
            .iter()
            .find_map(|it| scopes(it.find(&body)?, separator));
        let kept = kept(description, &body);
        Some(Self {
            refresh_token,
            expires_in,
            refresh_expires_in,
            scopes,
            kept: kept
                .into_iter()
                .map(|(name, text)| (name, SecretString::from(text)))
                .collect(),
            body,
            ..Self::new(access_token)
        })
    }
}

/// Returns the positions of the values in a token response.
fn token_fields(description: &Description) -> Cow<'_, TokenFields> {
    match &description.token {
        Some(endpoint) => Cow::Borrowed(&endpoint.response),
        None => Cow::Owned(TokenFields::default()),
    }
}

/// Removes the first string that one of the pointers finds from the response and returns it.
fn take_text(body: &mut Value, pointers: &[Pointer]) -> Option<SecretString> {
    pointers.iter().find_map(|pointer| {
        let value = body.pointer_mut(pointer.as_str())?;
        match value.take() {
            Value::String(text) if !text.is_empty() => Some(SecretString::from(text)),
            other => {
                *value = other;
                None
            }
        }
    })
}

impl fmt::Debug for TokenResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fields: Vec<&String> = match &self.body {
            Value::Object(fields) => fields.keys().collect(),
            _ => Vec::new(),
        };
        f.debug_struct("TokenResponse")
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("refresh_expires_in", &self.refresh_expires_in)
            .field("scopes", &self.scopes)
            .field("siblings", &self.siblings.len())
            .field("fields", &fields)
            .finish_non_exhaustive()
    }
}

/// Parses seconds from a number or a string and rounds them down. Returns `None` for values that
/// are negative, not finite, or longer than 100 years.
fn seconds(value: &Value) -> Option<Duration> {
    const MAX_SECONDS: f64 = 100.0 * 365.0 * 86_400.0;
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (0.0..=MAX_SECONDS)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds.floor()))
}

/// Parses scopes from a string or a list of strings. Each string may contain several scopes.
fn scopes(value: &Value, separator: char) -> Option<Vec<String>> {
    let mut scopes: Vec<String> = Vec::new();
    let mut add = |text: &str| {
        for scope in text.split([separator, ' ', ',']).map(str::trim) {
            if !scope.is_empty() && !scopes.iter().any(|known| known == scope) {
                scopes.push(scope.to_owned());
            }
        }
    };
    match value {
        Value::String(text) => add(text),
        Value::Array(values) => values.iter().filter_map(Value::as_str).for_each(add),
        _ => return None,
    }
    Some(scopes)
}

/// Parses a body as JSON. A leading byte order mark is skipped (RFC 8259 section 8.1).
///
/// The parser's error is discarded, because it may quote the body.
pub(super) fn json(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(without_bom(body)).ok()
}

/// Parses a body as a JSON object or list, or as a form if the body is not JSON. Some token
/// endpoints respond in the encoding of the request and ignore `Accept`. If the response is a list,
/// values are read only with the pointers of the description.
fn structured(body: &[u8]) -> Option<Value> {
    if let Some(value) = json(body) {
        return (value.is_object() || value.is_array()).then_some(value);
    }
    let text = std::str::from_utf8(without_bom(body)).ok()?.trim();
    let is_form = !text.is_empty()
        && text.contains('=')
        && !text.contains(|c: char| c.is_whitespace() || matches!(c, '<' | '>' | '{' | '}' | '"'));
    if !is_form {
        return None;
    }
    let fields: Map<String, Value> = form_urlencoded::parse(text.as_bytes())
        .map(|(name, value)| (name.into_owned(), Value::String(value.into_owned())))
        .collect();
    Some(Value::Object(fields))
}

/// The failure class of a token request that returned no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeClass {
    /// A temporary failure.
    Transient {
        /// The delay that the provider asked for.
        after: Option<Duration>,
    },
    /// The grant has ended: `invalid_grant` or the provider's own codes for it.
    DeadGrant,
    /// The provider rejects the app registration: `invalid_client`, `unauthorized_client` or the
    /// provider's own codes.
    AppFault {
        /// True if the provider rejects the registration for all accounts.
        certain: bool,
    },
    /// Another request with the same token is in progress or has succeeded. The caller must wait
    /// and then read the credential again.
    AlreadyRefreshed,
    /// The request or the response is malformed.
    Malformed,
}

/// A failed token request, with the class that determines the next step.
#[derive(Debug)]
pub struct ExchangeError {
    class: ExchangeClass,
    sent: Sent,
    code: Option<String>,
    source: Error,
}

impl ExchangeError {
    /// Returns a failure of this class. `sent` states whether the provider may have acted on the
    /// request.
    #[must_use]
    pub fn new(class: ExchangeClass, sent: Sent, source: Error) -> Self {
        Self {
            class,
            sent,
            code: None,
            source,
        }
    }

    /// Adds the provider's error code to this failure and to its [`Error`].
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        let code = code.into();
        self.source = self.source.with_code(&code);
        self.code = Some(code);
        self
    }

    /// Adds the provider's description of the error. Only [`Error::report`] shows the description.
    #[must_use]
    pub fn with_description(mut self, text: &str) -> Self {
        self.source = self.source.with_source(ProviderText::of(text));
        self
    }

    /// Returns the failure for a request that received no response.
    #[must_use]
    pub fn from_transport(operation: &'static str, error: TransportError) -> Self {
        let sent = error.sent();
        let (kind, message) = match error.kind() {
            TransportErrorKind::AddressRefused => (
                ErrorKind::AddressRefused,
                "requests to the provider's address are not allowed; check the description",
            ),
            TransportErrorKind::Timeout => (
                ErrorKind::Timeout,
                "the provider did not respond in time; try again later",
            ),
            TransportErrorKind::Answer => (
                ErrorKind::UnexpectedResponse,
                "the provider's response is too long or not valid HTTP",
            ),
            _ => (
                ErrorKind::Network,
                "the provider could not be reached; try again later",
            ),
        };
        let class = match error.kind() {
            TransportErrorKind::AddressRefused | TransportErrorKind::Answer => {
                ExchangeClass::Malformed
            }
            _ => ExchangeClass::Transient { after: None },
        };
        Self::new(
            class,
            sent,
            Error::new(kind, operation, message).with_source(error),
        )
    }

    /// Returns the class of the failure.
    #[must_use]
    pub const fn class(&self) -> ExchangeClass {
        self.class
    }

    /// Returns whether the provider may have acted on the request.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// Returns the provider's error code, if the response had one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// Returns the [`Error`] by reference.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.source
    }

    /// Converts the failure into its [`Error`].
    #[must_use]
    pub fn into_error(self) -> Error {
        self.source
    }
}

impl fmt::Display for ExchangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for ExchangeError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Parses a response from a token endpoint.
///
/// A response is a success if its status is 200 to 299 and its body is an object with an access
/// token and without an error code. The body is parsed as JSON, or as a form if it is not JSON.
/// Every complete response with a status from 400 to 499 is a refusal, whatever its body. The
/// description's [`refusals`](Description::refusals) decide its meaning first, then the codes of
/// RFC 6749 section 5.2, then the status (401, 409, 429). After a 408, a 5xx, a redirect, or a
/// success response that cannot be parsed, it is unknown whether the provider processed the
/// request.
///
/// # Errors
/// [`ExchangeError`], whose class depends on the status, code and description.
pub fn read_token_response(
    description: &Description,
    operation: &'static str,
    now: Timestamp,
    response: &http::Response<Bytes>,
) -> Result<TokenResponse, ExchangeError> {
    let status = response.status();
    let after = retry_after(status, response.headers(), response.body(), now);
    let body = structured(response.body());
    let refusal = Refusal::read(description, status, body.as_ref());
    let fail = |class, sent, kind, message| {
        let mut error = Error::new(kind, operation, message)
            .with_provider(description.provider.as_str().to_owned())
            .with_status(status);
        if let Some(id) = request_id(response.headers()) {
            error = error.with_request_id(id);
        }
        if let Some(after) = after
            && matches!(class, ExchangeClass::Transient { .. })
        {
            error = error.with_retry(Retry::After(after));
        }
        Err(refusal.explain(ExchangeError::new(class, sent, error)))
    };
    if status == StatusCode::TOO_MANY_REQUESTS {
        return fail(
            ExchangeClass::Transient { after },
            Sent::Answered,
            ErrorKind::RateLimited,
            "the provider limits the rate of token requests; try again later",
        );
    }
    if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT {
        return fail(
            ExchangeClass::Transient { after },
            Sent::Maybe,
            ErrorKind::ProviderUnavailable,
            "the provider's token endpoint failed; try again later",
        );
    }
    if let Some((class, kind, message)) = refusal.meaning(description, after) {
        return fail(class, Sent::Answered, kind, message);
    }
    if status.is_success() {
        let read = |body| TokenResponse::read(description, body);
        return match body.and_then(read) {
            Some(answer) => Ok(answer),
            None => fail(
                ExchangeClass::Malformed,
                Sent::Maybe,
                ErrorKind::UnexpectedResponse,
                "the provider's token response contains no access token; check the endpoint and \
                 `token.response` in the description",
            ),
        };
    }
    match status.as_u16() {
        401 => fail(
            ExchangeClass::AppFault { certain: false },
            Sent::Answered,
            ErrorKind::AppMisconfigured,
            "the provider rejected the client authentication; check the app's client id and secret",
        ),
        409 => fail(
            ExchangeClass::AlreadyRefreshed,
            Sent::Answered,
            ErrorKind::Conflict,
            "the provider is processing another request with the same token; read the credential \
             again",
        ),
        400..=499 => fail(
            ExchangeClass::Malformed,
            Sent::Answered,
            ErrorKind::Rejected,
            "the provider rejected the token request with a response that RFC 6749 does not \
             define; add a rule to `refusals`",
        ),
        _ => fail(
            ExchangeClass::Malformed,
            Sent::Maybe,
            ErrorKind::UnexpectedResponse,
            "the provider's token endpoint returned a response that RFC 6749 does not define; \
             check the endpoint",
        ),
    }
}

/// The error codes and the error description of a response.
struct Refusal {
    status: StatusCode,
    codes: Vec<String>,
    description: Option<String>,
}

impl Refusal {
    fn read(description: &Description, status: StatusCode, body: Option<&Value>) -> Self {
        let fields = token_fields(description);
        let body = body.unwrap_or(&Value::Null);
        let texts = |pointers: &[Pointer]| -> Vec<String> {
            pointers
                .iter()
                .filter_map(|it| it.text(body))
                // Reddit repeats the status as the error code. `false` means that there is no
                // error.
                .filter(|code| *code != status.as_str() && code != "false")
                .collect()
        };
        Self {
            codes: texts(&fields.error),
            description: texts(&fields.error_description).into_iter().next(),
            status,
        }
    }

    /// Returns the meaning of the error codes. Returns `None` if there is no code and no rule for
    /// the status.
    fn meaning(
        &self,
        description: &Description,
        after: Option<Duration>,
    ) -> Option<(ExchangeClass, ErrorKind, &'static str)> {
        let described = description.refusals.iter().find(|rule| {
            let shown = self.description.as_deref();
            rule.applies(self.status.as_u16(), &self.codes, shown)
                // A success without an error code stays a success, even if a rule names its status.
                && (!self.codes.is_empty() || self.status.is_client_error())
        });
        if let Some(rule) = described {
            return Some(classified(rule.means, after));
        }
        let is = |codes: &[&str]| self.codes.iter().any(|code| codes.contains(&code.as_str()));
        if is(&["temporarily_unavailable", "server_error"]) {
            Some(classified(RefusalMeaning::Transient, after))
        } else if is(&["invalid_grant"]) {
            Some(classified(RefusalMeaning::DeadGrant, after))
        } else if is(&["invalid_client", "unauthorized_client"]) {
            Some(classified(RefusalMeaning::AppFault, after))
        } else if self.codes.is_empty() {
            None
        } else {
            Some((
                ExchangeClass::Malformed,
                ErrorKind::Rejected,
                "the provider rejected the token request with an error code that the description \
                 does not contain; look up the code and add it to `refusals`",
            ))
        }
    }

    /// Adds the code and the description to the error. Only operators see the description.
    fn explain(&self, error: ExchangeError) -> ExchangeError {
        let code = self.codes.first().map(|code| shown_code(code));
        let error = match code.filter(|code| !code.is_empty()) {
            Some(code) => error.with_code(code),
            None => error,
        };
        match &self.description {
            Some(text) => error.with_description(text),
            None => error,
        }
    }
}

fn classified(
    means: RefusalMeaning,
    after: Option<Duration>,
) -> (ExchangeClass, ErrorKind, &'static str) {
    match means {
        RefusalMeaning::AlreadyRefreshed => (
            ExchangeClass::AlreadyRefreshed,
            ErrorKind::Conflict,
            "the provider is processing another request with the same token; read the credential \
             again",
        ),
        RefusalMeaning::Transient => (
            ExchangeClass::Transient { after },
            ErrorKind::ProviderUnavailable,
            "the provider is busy; try again later",
        ),
        RefusalMeaning::DeadGrant => (
            ExchangeClass::DeadGrant,
            ErrorKind::NeedsReauthorization,
            "the provider reports that the grant has ended; the account's owner must connect the \
             account again",
        ),
        RefusalMeaning::AppFaultCertain => (
            ExchangeClass::AppFault { certain: true },
            ErrorKind::AppMisconfigured,
            "the provider rejected the app; check the app's client id and secret",
        ),
        RefusalMeaning::AppFault => (
            ExchangeClass::AppFault { certain: false },
            ErrorKind::AppMisconfigured,
            "the provider rejected the app; check the app's client id and secret",
        ),
    }
}

/// The provider's own description of an error. Only [`Error::report`] shows it, for operators.
pub(crate) struct ProviderText(String);

impl ProviderText {
    /// Shortens the text to one line of at most 300 characters.
    ///
    /// Omits words that may be part of a token: words of more than 24 characters, and words of more
    /// than 16 characters that contain a digit.
    fn of(text: &str) -> Self {
        let words = text.split(|c: char| c.is_whitespace() || c.is_control());
        let words = words.filter(|word| !word.is_empty()).map(|word| {
            let longest = if word.contains(|c: char| c.is_ascii_digit()) {
                16
            } else {
                24
            };
            if word.chars().nth(longest).is_some() {
                "…"
            } else {
                word
            }
        });
        let line = words.collect::<Vec<_>>().join(" ");
        Self(line.chars().take(300).collect())
    }
}

impl fmt::Display for ProviderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the provider says: {}", self.0)
    }
}

impl fmt::Debug for ProviderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ProviderText({} bytes)", self.0.len())
    }
}

impl std::error::Error for ProviderText {}

/// Returns the provider's id for a request, read from the usual header names.
pub(crate) fn request_id(headers: &HeaderMap) -> Option<String> {
    ["x-request-id", "request-id", "x-amzn-requestid"]
        .into_iter()
        .find_map(|name| {
            let text = headers.get(name)?.to_str().ok()?;
            Some(
                text.chars()
                    .filter(char::is_ascii_graphic)
                    .take(128)
                    .collect(),
            )
        })
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints counts")]
mod tests {
    use proptest::prelude::*;
    use secrecy::ExposeSecret;

    use super::*;
    use crate::provider::description::{EndpointTemplate, RefusalRule, TokenEndpoint};
    use crate::provider_id::ProviderId;

    fn read(status: u16, body: &str) -> Result<TokenResponse, ExchangeError> {
        read_with(status, body, &[])
    }

    fn read_with(
        status: u16,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<TokenResponse, ExchangeError> {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        description.refusals = vec![
            RefusalRule::code("conflict", RefusalMeaning::AlreadyRefreshed),
            RefusalRule::code("invalid_request", RefusalMeaning::DeadGrant)
                .with_status(401)
                .with_description("active refresh_token"),
            RefusalRule::code("190", RefusalMeaning::DeadGrant),
            RefusalRule::code("BAD_REFRESH_TOKEN", RefusalMeaning::DeadGrant),
            RefusalRule::status(410, RefusalMeaning::DeadGrant),
        ];
        let mut endpoint = TokenEndpoint::new(EndpointTemplate::new("https://acme.example/t"));
        endpoint.response.error = ["/error", "/error/code", "/status", "/error/type"]
            .map(Pointer::new)
            .to_vec();
        description.token = Some(endpoint);
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let now = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        read_token_response(&description, "test", now, &response)
    }

    #[test]
    fn deviating_token_responses_are_accepted() {
        let answer = read(
            200,
            r#"{"access_token":"a","expires_in":"3600","refresh_token":"r","scope":"x, y",
               "refresh_token_expires_in":7776000.5,"bot_id":"b"}"#,
        )
        .unwrap();
        assert_eq!(answer.access_token().expose_secret(), "a");
        assert_eq!(answer.refresh_token().unwrap().expose_secret(), "r");
        assert_eq!(answer.expires_in(), Some(Duration::from_secs(3600)));
        assert_eq!(
            answer.refresh_expires_in(),
            Some(Duration::from_secs(7_776_000))
        );
        assert_eq!(answer.scopes().unwrap(), ["x", "y"]);
        assert_eq!(answer.field::<String>("bot_id").as_deref(), Some("b"));
        for unreadable in ["null", "-1", "\"soon\"", "1e300", "{}", "\"NaN\""] {
            let body = format!(r#"{{"access_token":"a","expires_in":{unreadable}}}"#);
            assert_eq!(read(200, &body).unwrap().expires_in(), None, "{unreadable}");
        }
    }

    #[test]
    fn every_refusal_has_its_class_and_says_whether_the_provider_may_have_acted() {
        use ExchangeClass::{AlreadyRefreshed, AppFault, DeadGrant, Malformed, Transient};
        let table = [
            (
                400,
                r#"{"error":"invalid_grant"}"#,
                DeadGrant,
                Sent::Answered,
            ),
            (
                401,
                r#"{"error":"invalid_client"}"#,
                AppFault { certain: false },
                Sent::Answered,
            ),
            (
                400,
                r#"{"error":"unauthorized_client"}"#,
                AppFault { certain: false },
                Sent::Answered,
            ),
            (
                400,
                r#"{"error":"conflict"}"#,
                AlreadyRefreshed,
                Sent::Answered,
            ),
            (
                400,
                r#"{"error":"invalid_request"}"#,
                Malformed,
                Sent::Answered,
            ),
            (
                200,
                r#"{"error":"invalid_grant"}"#,
                DeadGrant,
                Sent::Answered,
            ),
            (200, r#"{"ok":true}"#, Malformed, Sent::Maybe),
            (200, "<html>", Malformed, Sent::Maybe),
            (200, r#"{"access_token":"a","#, Malformed, Sent::Maybe),
            (200, "", Malformed, Sent::Maybe),
            (401, "", AppFault { certain: false }, Sent::Answered),
            (409, "", AlreadyRefreshed, Sent::Answered),
            (403, "<html>", Malformed, Sent::Answered),
            (408, "", Transient { after: None }, Sent::Maybe),
            (302, "", Malformed, Sent::Maybe),
            (429, "", Transient { after: None }, Sent::Answered),
            (
                500,
                r#"{"error":"invalid_grant"}"#,
                Transient { after: None },
                Sent::Maybe,
            ),
            (502, "<html>", Transient { after: None }, Sent::Maybe),
        ];
        for (status, body, class, sent) in table {
            let error = read(status, body).unwrap_err();
            assert_eq!(
                (error.class(), error.sent()),
                (class, sent),
                "{status} {body}"
            );
        }
    }

    /// The meaning of a refusal depends on its status, code and description together, in any format
    /// that a provider uses.
    #[test]
    fn a_complete_refusal_has_its_meaning_in_every_form() {
        use ExchangeClass::{AppFault, DeadGrant, Malformed};
        const ACTIVE: &str = "This request requires an active refresh_token";
        let app = AppFault { certain: false };
        let shopify = |description: &str| {
            format!(r#"{{"error":"invalid_request","error_description":"{description}"}}"#)
        };
        let table = [
            // Status, code and description together.
            (401, shopify(ACTIVE), DeadGrant, Some("invalid_request")),
            (
                401,
                shopify("this REQUIRES an ACTIVE REFRESH_TOKEN"),
                DeadGrant,
                Some("invalid_request"),
            ),
            (400, shopify(ACTIVE), Malformed, Some("invalid_request")),
            (
                401,
                shopify("missing parameter"),
                Malformed,
                Some("invalid_request"),
            ),
            (
                401,
                r#"{"error":"invalid_request"}"#.into(),
                Malformed,
                Some("invalid_request"),
            ),
            // Other formats of a complete refusal.
            (
                400,
                r#"{"error":{"code":190,"message":"expired"}}"#.into(),
                DeadGrant,
                Some("190"),
            ),
            (
                400,
                r#"{"error":{"code":1,"message":"unknown"}}"#.into(),
                Malformed,
                Some("1"),
            ),
            (
                400,
                r#"{"status":"BAD_REFRESH_TOKEN","error":null}"#.into(),
                DeadGrant,
                Some("BAD_REFRESH_TOKEN"),
            ),
            (
                400,
                r#"{"status":"error","errors":{"token":["no"]}}"#.into(),
                Malformed,
                Some("error"),
            ),
            (
                400,
                "error=invalid_grant&error_description=no".into(),
                DeadGrant,
                Some("invalid_grant"),
            ),
            (
                400,
                "\u{feff}{\"error\":\"invalid_grant\"}".into(),
                DeadGrant,
                Some("invalid_grant"),
            ),
            (
                400,
                r#"[{"error":"invalid_grant"}]"#.into(),
                Malformed,
                None,
            ),
            // No readable code, but the description has a rule for the status.
            (410, String::new(), DeadGrant, None),
            (410, "<html>".into(), DeadGrant, None),
            (400, String::new(), Malformed, None),
            (422, "<html>".into(), Malformed, None),
            (404, String::new(), Malformed, None),
            // A number that repeats the status is not an error code (Reddit).
            (
                401,
                r#"{"message":"Unauthorized","error":401}"#.into(),
                app,
                None,
            ),
        ];
        for (status, body, class, code) in &table {
            let error = read(*status, body).unwrap_err();
            assert_eq!(
                (error.class(), error.sent(), error.code()),
                (*class, Sent::Answered, *code),
                "{status} {body}"
            );
            assert_eq!(error.error().status().map(|it| it.as_u16()), Some(*status));
            assert_eq!(error.error().code(), *code);
        }
        println!("refusals in other forms: {}", table.len());
    }

    /// The parser accepts common deviations in a successful response.
    #[test]
    fn a_success_is_read_in_every_form_that_providers_send() {
        let bodies = [
            "\u{feff}{\"access_token\":\"a\",\"scope\":\"x y\"}",
            "access_token=a&scope=x%20y&token_type=bearer",
            "access_token=a&scope=x,y&expires_in=3600\n",
            "\u{feff}access_token=a&scope=x+y",
            r#"{"access_token":"a","scope":["x y","y"],"error":null}"#,
            r#"{"access_token":"a","scope":["x","y"],"error":""}"#,
            r#"{"access_token":"a","scope":"x  ,y","error":false}"#,
        ];
        for body in bodies {
            let answer = read(200, body).unwrap();
            assert_eq!(answer.access_token().expose_secret(), "a", "{body}");
            assert_eq!(answer.scopes().unwrap(), ["x", "y"], "{body}");
        }
        for body in [
            "access_token",
            "a=b",
            "<a href='x=y'>",
            "access_token=",
            "{\"a\"=1}",
        ] {
            assert!(read(200, body).is_err(), "{body}");
        }
        println!("forms of a token response: {}", bodies.len());
    }

    /// Pointers can also refer to the elements of a list.
    #[test]
    fn a_refusal_in_a_list_is_described_by_its_pointer() {
        use ExchangeClass::{DeadGrant, Malformed};
        let table = [
            ("/0/errorCode", r#"[{"errorCode":"GONE"}]"#, DeadGrant),
            ("/1/errorCode", r#"[{},{"errorCode":"GONE"}]"#, DeadGrant),
            ("/0/error", r#"[{"error":"invalid_grant"}]"#, DeadGrant),
            ("/0", r#"["GONE"]"#, DeadGrant),
            ("/0/error", "[]", Malformed),
            ("/error", r#"[{"error":"invalid_grant"}]"#, Malformed),
        ];
        for (pointer, body, class) in table {
            let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
            description.refusals = vec![RefusalRule::code("GONE", RefusalMeaning::DeadGrant)];
            let mut endpoint = TokenEndpoint::new(EndpointTemplate::new("https://acme.example/t"));
            endpoint.response.error = vec![pointer.into()];
            description.token = Some(endpoint);
            let response = http::Response::builder().status(400);
            let response = response.body(Bytes::from_static(body.as_bytes())).unwrap();
            let read = read_token_response(&description, "test", Timestamp::UNIX_EPOCH, &response);
            let error = read.unwrap_err();
            assert_eq!(
                (error.class(), error.sent()),
                (class, Sent::Answered),
                "{pointer} {body}"
            );
        }
        println!("refusals in lists: {}", table.len());
    }

    /// An element of a list may contain several scopes.
    #[test]
    fn scopes_are_split_in_strings_and_in_list_elements() {
        let table = [
            (r#"["read write","other"]"#, vec!["read", "write", "other"]),
            (r#""read,write other""#, vec!["read", "write", "other"]),
            (r#"["read","read"]"#, vec!["read"]),
            (r"[]", vec![]),
            (r#""""#, vec![]),
        ];
        for (scope, read_as) in &table {
            let body = format!(r#"{{"access_token":"a","scope":{scope}}}"#);
            assert_eq!(
                read(200, &body).unwrap().scopes().unwrap(),
                read_as,
                "{scope}"
            );
        }
        println!("scopes in texts and lists: {}", table.len());
    }

    /// Only the report for operators shows the provider's description of an error.
    #[test]
    fn only_the_report_shows_the_description() {
        let body = r#"{"error":"invalid_grant","error_description":"AADSTS70008:\n expired"}"#;
        let error = read(400, body).unwrap_err().into_error();
        assert!(error.to_string().contains("code invalid_grant"), "{error}");
        assert!(!error.to_string().contains("AADSTS"));
        assert!(!format!("{error:?}").contains("AADSTS"), "{error:?}");
        assert!(
            error.report().contains("AADSTS70008: expired"),
            "{}",
            error.report()
        );
        let long = format!(
            r#"{{"error":"x","error_description":"{}"}}"#,
            "a".repeat(9999)
        );
        assert!(read(400, &long).unwrap_err().into_error().report().len() < 700);
        let quoted =
            r#"{"error":"x","error_description":"no such token: 0123456789abcdef0123456789"}"#;
        let report = read(400, quoted).unwrap_err().into_error().report();
        assert!(report.ends_with("no such token: …"), "{report}");
    }

    #[test]
    fn described_pointers_and_kept_fields_are_read() {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        let mut endpoint = TokenEndpoint::new(EndpointTemplate::new("https://acme.example/t"));
        endpoint.response.access_token =
            vec!["/access_token".into(), "/data/0/access_token".into()];
        endpoint.response.scope = vec!["/data/0/permissions".into()];
        endpoint.response.keep.insert("team".into(), "/team".into());
        endpoint
            .response
            .keep
            .insert("user".into(), "/data/0/user_id".into());
        description.token = Some(endpoint);
        let body = r#"{"data":[{"access_token":"a","user_id":17841400000000001,
            "permissions":"x,y"}],"team":{"id":"T1"},"none":null}"#;
        let response = http::Response::new(Bytes::from_static(body.as_bytes()));
        let now = Timestamp::UNIX_EPOCH;
        let answer = read_token_response(&description, "test", now, &response).unwrap();
        assert_eq!(answer.access_token().expose_secret(), "a");
        assert_eq!(answer.scopes().unwrap(), ["x", "y"]);
        let kept: Vec<(&str, &str)> = answer
            .kept()
            .map(|(name, secret)| (name, secret.expose_secret()))
            .collect();
        assert_eq!(
            kept,
            [("team", r#"{"id":"T1"}"#), ("user", "17841400000000001")]
        );
        assert_eq!(answer.pointer::<String>("/team/id").as_deref(), Some("T1"));
        assert!(!format!("{answer:?}").contains("17841400000000001"));
    }

    proptest! {
        #[test]
        fn no_response_panics(
            status in 100_u16..600,
            body in prop::collection::vec(any::<u8>(), 0..64),
            text in "[\\[{\"a-z_:,=&}\\] 0-9]{0,48}",
        ) {
            for body in [body.as_slice(), text.as_bytes()] {
                let response = http::Response::builder().status(status);
                let response = response.body(Bytes::copy_from_slice(body)).unwrap();
                let description = Description::new(ProviderId::from_static("acme"), "Acme");
                let now = Timestamp::UNIX_EPOCH;
                let _ = read_token_response(&description, "test", now, &response);
            }
        }
    }

    #[test]
    fn retry_after_is_read_as_seconds_and_as_a_date() {
        for (value, wait) in [
            ("7", Some(7)),
            ("Fri, 20 Nov 2026 12:00:30 GMT", Some(30)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", Some(0)),
            ("99999999999", Some(24 * 3600)),
            ("later", None),
        ] {
            let error = read_with(429, "", &[("retry-after", value)]).unwrap_err();
            let after = wait.map(Duration::from_secs);
            assert_eq!(error.class(), ExchangeClass::Transient { after }, "{value}");
        }
    }

    #[test]
    fn token_responses_and_errors_show_no_secrets() {
        let answer = read(
            200,
            r#"{"access_token":"tell-nobody","id_token":"nor-this"}"#,
        )
        .unwrap();
        assert!(!format!("{answer:?}").contains("tell-nobody"));
        let error = read(200, r#"{"access_token":{"tell":"nobody-here"}}"#).unwrap_err();
        assert!(!format!("{error:?} {}", error.error().report()).contains("nobody-here"));
        let error =
            read_with(400, r#"{"error":"a\nb\"c"}"#, &[("x-request-id", "r-7")]).unwrap_err();
        assert_eq!(error.code(), Some("abc"));
        assert_eq!(error.error().request_id(), Some("r-7"));
    }
}
