//! What a token endpoint answers (RFC 6749 sections 5.1 and 5.2), read tolerantly.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use http::header::HeaderMap;
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::description::{Description, ErrorCodes};
use crate::error::{Error, ErrorKind, Retry};
use crate::http::{Sent, TransportError, TransportErrorKind, retry_after};

/// A successful answer of a token endpoint.
///
/// Tolerant where providers deviate: `expires_in` may be missing, a number or a text; `token_type`
/// may be missing; scopes may be a text or a list. What is not understood is kept for
/// [`TokenAnswer::field`].
pub struct TokenAnswer {
    access_token: SecretString,
    refresh_token: Option<SecretString>,
    expires_in: Option<Duration>,
    refresh_expires_in: Option<Duration>,
    scopes: Option<Vec<String>>,
    fields: Map<String, Value>,
}

impl TokenAnswer {
    /// An answer with this access token and nothing else, for connectors that read another form.
    #[must_use]
    pub fn new(access_token: impl Into<SecretString>) -> Self {
        Self {
            access_token: access_token.into(),
            refresh_token: None,
            expires_in: None,
            refresh_expires_in: None,
            scopes: None,
            fields: Map::new(),
        }
    }

    /// Sets the refresh token.
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<SecretString>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// Sets how long the access token is good.
    #[must_use]
    pub fn with_expires_in(mut self, expires_in: Duration) -> Self {
        self.expires_in = Some(expires_in);
        self
    }

    /// Sets how long the refresh token is good.
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

    /// The access token.
    #[must_use]
    pub const fn access_token(&self) -> &SecretString {
        &self.access_token
    }

    /// The refresh token. Without one, the one that was sent stays.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&SecretString> {
        self.refresh_token.as_ref()
    }

    /// How long the access token is good, if the provider said so in a readable form.
    #[must_use]
    pub const fn expires_in(&self) -> Option<Duration> {
        self.expires_in
    }

    /// How long the refresh token is good, if the provider said so in a readable form.
    #[must_use]
    pub const fn refresh_expires_in(&self) -> Option<Duration> {
        self.refresh_expires_in
    }

    /// The granted scopes, if the provider said. Without them they are what was asked for (RFC 6749
    /// section 5.1).
    #[must_use]
    pub fn scopes(&self) -> Option<&[String]> {
        self.scopes.as_deref()
    }

    /// Another field of the answer, if it is there and has this type. It may be secret.
    #[must_use]
    pub fn field<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.fields
            .get(name)
            .and_then(|value| T::deserialize(value).ok())
    }

    fn read(mut fields: Map<String, Value>, separator: char) -> Option<Self> {
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) if !text.is_empty() => Some(SecretString::from(text)),
            _ => None,
        };
        let access_token = text(fields.remove("access_token"))?;
        let refresh_token = text(fields.remove("refresh_token"));
        let expires_in = fields.get("expires_in").and_then(seconds);
        let refresh_expires_in = ["refresh_token_expires_in", "refresh_expires_in"]
            .into_iter()
            .find_map(|name| fields.get(name).and_then(seconds));
        let scopes = fields
            .get("scope")
            .and_then(|value| scopes(value, separator));
        Some(Self {
            access_token,
            refresh_token,
            expires_in,
            refresh_expires_in,
            scopes,
            fields,
        })
    }
}

impl fmt::Debug for TokenAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenAnswer")
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("expires_in", &self.expires_in)
            .field("refresh_expires_in", &self.refresh_expires_in)
            .field("scopes", &self.scopes)
            .field("fields", &self.fields.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

/// Seconds as a whole number, a fraction or a text; nothing for what is negative, not finite, or
/// longer than a hundred years.
fn seconds(value: &Value) -> Option<Duration> {
    const LONGEST: f64 = 100.0 * 365.0 * 86_400.0;
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.trim().parse().ok()?,
        _ => return None,
    };
    (0.0..=LONGEST)
        .contains(&seconds)
        .then(|| Duration::from_secs_f64(seconds.floor()))
}

fn scopes(value: &Value, separator: char) -> Option<Vec<String>> {
    let clean = |text: &str| text.trim().to_owned();
    let list: Vec<String> = match value {
        Value::String(text) => text.split([separator, ' ', ',']).map(clean).collect(),
        Value::Array(values) => values.iter().filter_map(Value::as_str).map(clean).collect(),
        _ => return None,
    };
    Some(list.into_iter().filter(|scope| !scope.is_empty()).collect())
}

/// Why an exchange brought no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ExchangeClass {
    /// For now; `after` is what the provider asked for.
    Transient {
        /// How long the provider asked to wait.
        after: Option<Duration>,
    },
    /// The grant is over: `invalid_grant` and the provider's own codes for it.
    DeadGrant,
    /// The registration is refused: `invalid_client`, `unauthorized_client` and the provider's own
    /// codes. `certain` if nothing about one account can cause it.
    AppFault {
        /// True if nothing about one account can cause it.
        certain: bool,
    },
    /// Another request with the same token is being worked on or has won: wait and read again.
    SiblingWon,
    /// The answer, or the request, is not what it should be.
    Malformed,
}

/// An exchange that brought no token: what the machine decides by.
#[derive(Debug)]
pub struct ExchangeError {
    class: ExchangeClass,
    sent: Sent,
    code: Option<String>,
    source: Error,
}

impl ExchangeError {
    /// A failure of `class`. `sent` says whether the provider may have acted on the request.
    #[must_use]
    pub fn new(class: ExchangeClass, sent: Sent, source: Error) -> Self {
        Self {
            class,
            sent,
            code: None,
            source,
        }
    }

    /// Adds the provider's error code.
    #[must_use]
    pub fn with_code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }

    /// A request that brought no answer.
    #[must_use]
    pub fn from_transport(operation: &'static str, error: TransportError) -> Self {
        let sent = error.sent();
        let (kind, message) = match error.kind() {
            TransportErrorKind::AddressRefused => (
                ErrorKind::AddressRefused,
                "the provider's address may not be reached from here; check the description",
            ),
            TransportErrorKind::Timeout => (
                ErrorKind::Timeout,
                "the provider did not answer in time; try again later",
            ),
            TransportErrorKind::Answer => (
                ErrorKind::UnexpectedAnswer,
                "the provider's answer is too long or not HTTP",
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

    /// What kind of failure it is.
    #[must_use]
    pub const fn class(&self) -> ExchangeClass {
        self.class
    }

    /// Whether the provider may have acted on the request.
    #[must_use]
    pub const fn sent(&self) -> Sent {
        self.sent
    }

    /// The provider's error code, if its answer had one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        self.code.as_deref()
    }

    /// The error to show.
    #[must_use]
    pub const fn error(&self) -> &Error {
        &self.source
    }

    /// The error to return.
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

/// Reads a token endpoint's answer.
///
/// A success is status 200 to 299 with a JSON object that has a text `access_token` and no `error`.
/// A JSON object with a text `error` is an answer by its code whatever the status. 401 and 429 are
/// answers without a code too. Everything else (5xx, a gateway's HTML, a truncated body, a redirect)
/// leaves open whether the provider acted.
///
/// # Errors
/// [`ExchangeError`], with the class that the code or status means.
pub fn read_token_answer(
    description: &Description,
    operation: &'static str,
    now: Timestamp,
    response: &http::Response<Bytes>,
) -> Result<TokenAnswer, ExchangeError> {
    let status = response.status();
    let after = retry_after(status, response.headers(), response.body(), now);
    let object = match serde_json::from_slice::<Value>(response.body()) {
        Ok(Value::Object(object)) => Some(object),
        // The parser's own error may quote the body, so it is dropped.
        _ => None,
    };
    let code = object
        .as_ref()
        .and_then(|it| it.get("error"))
        .and_then(Value::as_str);
    let fail = |class, sent, kind, message| {
        let mut error = Error::new(kind, operation, message)
            .with_provider(description.provider.as_str().to_owned())
            .with_status(status);
        if let Some(id) = request_id(response.headers()) {
            error = error.with_request_id(id);
        }
        if let Some(after) = after {
            error = error.with_retry(Retry::After(after));
        }
        Err(ExchangeError::new(class, sent, error))
    };
    if status == StatusCode::TOO_MANY_REQUESTS {
        return fail(
            ExchangeClass::Transient { after },
            Sent::Answered,
            ErrorKind::RateLimited,
            "the provider limits token requests; try again later",
        );
    }
    if status.is_server_error() {
        return fail(
            ExchangeClass::Transient { after },
            Sent::Maybe,
            ErrorKind::ProviderUnavailable,
            "the provider's token endpoint failed; try again later",
        );
    }
    if let Some(code) = code.filter(|code| !code.is_empty()) {
        let refused = refused_by_code(description, operation, code, after);
        let mut source = refused.source.with_status(status);
        if let Some(id) = request_id(response.headers()) {
            source = source.with_request_id(id);
        }
        return Err(ExchangeError { source, ..refused });
    }
    if status.is_success() {
        return match object.and_then(|it| TokenAnswer::read(it, description.scopes.separator)) {
            Some(answer) => Ok(answer),
            None => fail(
                ExchangeClass::Malformed,
                Sent::Maybe,
                ErrorKind::UnexpectedAnswer,
                "the provider's token answer has no access token; it is tried again later",
            ),
        };
    }
    match status {
        StatusCode::UNAUTHORIZED => fail(
            ExchangeClass::AppFault { certain: false },
            Sent::Answered,
            ErrorKind::AppMisconfigured,
            "the provider refused the client's authentication; check the app's client id and secret",
        ),
        StatusCode::CONFLICT => fail(
            ExchangeClass::SiblingWon,
            Sent::Answered,
            ErrorKind::Conflict,
            "the provider is working on another request with the same token; read again",
        ),
        _ => fail(
            ExchangeClass::Malformed,
            Sent::Maybe,
            ErrorKind::UnexpectedAnswer,
            "the provider's token endpoint gave no answer that RFC 6749 knows; it is tried again",
        ),
    }
}

/// What an error code of a token endpoint means: RFC 6749 section 5.2, and the description's codes
/// before it.
#[must_use]
pub fn refused_by_code(
    description: &Description,
    operation: &'static str,
    code: &str,
    after: Option<Duration>,
) -> ExchangeError {
    let ErrorCodes {
        dead_grant,
        app_fault,
        app_fault_certain,
        sibling_won,
        transient,
    } = &description.error_codes;
    let among = |codes: &[String]| codes.iter().any(|known| known == code);
    let (class, kind, message) = if among(sibling_won) {
        (
            ExchangeClass::SiblingWon,
            ErrorKind::Conflict,
            "the provider is working on another request with the same token; read again",
        )
    } else if among(transient) || matches!(code, "temporarily_unavailable" | "server_error") {
        (
            ExchangeClass::Transient { after },
            ErrorKind::ProviderUnavailable,
            "the provider is busy; try again later",
        )
    } else if among(dead_grant) || code == "invalid_grant" {
        (
            ExchangeClass::DeadGrant,
            ErrorKind::NeedsReauthorization,
            "the provider says that the grant is over; the account's owner must connect it again",
        )
    } else if among(app_fault_certain) {
        (
            ExchangeClass::AppFault { certain: true },
            ErrorKind::AppMisconfigured,
            "the provider refused the app; check its client id and secret",
        )
    } else if among(app_fault) || matches!(code, "invalid_client" | "unauthorized_client") {
        (
            ExchangeClass::AppFault { certain: false },
            ErrorKind::AppMisconfigured,
            "the provider refused the app; check its client id and secret",
        )
    } else {
        (
            ExchangeClass::Malformed,
            ErrorKind::Rejected,
            "the provider refused the token request with a code that means a fault in it; report it",
        )
    };
    let error = Error::new(kind, operation, message)
        .with_provider(description.provider.as_str().to_owned())
        .with_code(code);
    let error = match after {
        Some(after) if matches!(class, ExchangeClass::Transient { .. }) => {
            error.with_retry(Retry::After(after))
        }
        _ => error,
    };
    ExchangeError::new(class, Sent::Answered, error).with_code(shown_code(code))
}

/// A code that may be shown: the characters that RFC 6749 section 5.2 allows, and not too many.
fn shown_code(code: &str) -> String {
    code.chars()
        .filter(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\\'))
        .take(64)
        .collect()
}

/// The provider's id of a request, under the names that are usual for it.
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
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::provider::ProviderId;

    fn read(status: u16, body: &str) -> Result<TokenAnswer, ExchangeError> {
        read_with(status, body, &[])
    }

    fn read_with(
        status: u16,
        body: &str,
        headers: &[(&str, &str)],
    ) -> Result<TokenAnswer, ExchangeError> {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        description.error_codes.sibling_won = vec!["conflict".into()];
        let mut response = http::Response::builder().status(status);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        let response = response
            .body(Bytes::copy_from_slice(body.as_bytes()))
            .unwrap();
        let now = Timestamp::parse("2026-11-20T12:00:00Z").unwrap();
        read_token_answer(&description, "test", now, &response)
    }

    #[test]
    fn answers_are_read_tolerantly() {
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
        use ExchangeClass::{AppFault, DeadGrant, Malformed, SiblingWon, Transient};
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
            (400, r#"{"error":"conflict"}"#, SiblingWon, Sent::Answered),
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
            (409, "", SiblingWon, Sent::Answered),
            (403, "<html>", Malformed, Sent::Maybe),
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
    fn neither_answers_nor_errors_show_what_they_read() {
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
