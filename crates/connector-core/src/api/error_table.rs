//! A classifier for a provider's errors, defined as a constant table.

use http::StatusCode;
use serde_json::Value;

use crate::api::classify::Classifier;
use crate::api::response::Response;
use crate::connection::ReauthorizationReason;
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::json;

/// Maximum length of an error body that is searched for an error code.
const MAX_BODY: usize = 64 * 1024;

/// The location of a provider's error code in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CodeAt {
    /// A JSON pointer (RFC 6901) to a string or an integer, for example `/error/code`.
    Pointer(&'static str),
    /// A header name, in lower case.
    Header(&'static str),
}

/// Rule that maps a status, an error code, or both to an error kind.
#[derive(Debug, Clone, Copy, PartialEq)]
#[must_use]
pub struct ErrorRule {
    /// The first and the last status of the range.
    statuses: Option<(u16, u16)>,
    code: Option<&'static str>,
    kind: ErrorKind,
    advice: &'static str,
    retry: Option<Retry>,
    reauthorization: Option<ReauthorizationReason>,
}

impl ErrorRule {
    /// Creates a rule for a status with any code. `advice` states what happened and what to do
    /// next.
    pub const fn status(status: u16, kind: ErrorKind, advice: &'static str) -> Self {
        Self::statuses(status, status, kind, advice)
    }

    /// Creates a rule for the statuses from `first` to `last` with any code.
    pub const fn statuses(first: u16, last: u16, kind: ErrorKind, advice: &'static str) -> Self {
        Self {
            statuses: Some((first, last)),
            code: None,
            kind,
            advice,
            retry: None,
            reauthorization: None,
        }
    }

    /// Creates a rule that matches an error code, whatever the HTTP status is.
    pub const fn code(code: &'static str, kind: ErrorKind, advice: &'static str) -> Self {
        Self {
            statuses: None,
            code: Some(code),
            kind,
            advice,
            retry: None,
            reauthorization: None,
        }
    }

    /// Restricts the rule for a code to one status.
    pub const fn with_status(mut self, status: u16) -> Self {
        self.statuses = Some((status, status));
        self
    }

    /// Replaces the default retry advice of the kind. A wait stated in the response takes
    /// precedence over [`Retry::Backoff`].
    pub const fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = Some(retry);
        self
    }

    /// Sets the reason why the account's owner must authorize again.
    pub const fn with_reauthorization(mut self, reason: ReauthorizationReason) -> Self {
        self.reauthorization = Some(reason);
        self
    }

    fn fits_status(&self, status: StatusCode) -> bool {
        self.statuses
            .is_none_or(|(first, last)| (first..=last).contains(&status.as_u16()))
    }

    fn fits(&self, status: StatusCode, code: Option<&str>) -> bool {
        self.fits_status(status) && (self.code.is_none() || self.code == code)
    }

    /// Rank of the rule. More specific rules come first.
    fn rank(&self) -> u8 {
        match (self.code, self.statuses) {
            (Some(_), Some(_)) => 0,
            (Some(_), None) => 1,
            (None, Some((first, last))) if first == last => 2,
            (None, _) => 3,
        }
    }

    fn error(&self, response: &Response, code: Option<&str>) -> Error {
        let mut error = response.error(self.kind, self.advice);
        // For kinds that may be retried, the wait from the response has already been filled in.
        if let Some(retry) = self.retry {
            error = match response.retry_after() {
                Some(after) if retry == Retry::Backoff => error.with_retry(Retry::After(after)),
                _ => error.with_retry(retry),
            };
        }
        if let Some(reason) = self.reauthorization {
            error = error.with_reauthorization(reason);
        }
        match code {
            Some(code) => error.with_code(code),
            None => error,
        }
    }
}

/// The meaning of a provider's errors, by HTTP status and machine-readable code. This
/// [`Classifier`] is plain data, so that a provider's `error.rs` is one table.
///
/// The most specific rule applies: first status and code, then code, then status, then a range of
/// statuses. Among equally specific rules, the first applies. A status without a rule has its
/// default meaning ([`Response::by_status`]). [`Error::code`] returns the code.
///
/// ```
/// use connector_core::ErrorKind;
/// use connector_core::provider::{CodeAt, ErrorRule, ErrorTable};
///
/// const ERRORS: ErrorTable = ErrorTable::new(&[
///     ErrorRule::code("quota", ErrorKind::RateLimited, "the account's quota is used up; wait"),
///     ErrorRule::status(402, ErrorKind::Forbidden, "the account is on a plan without the API"),
/// ])
/// .with_codes(&[CodeAt::Pointer("/error/code"), CodeAt::Header("x-error-code")]);
/// ```
#[derive(Debug, Clone, Copy)]
#[must_use]
pub struct ErrorTable {
    rules: &'static [ErrorRule],
    codes: &'static [CodeAt],
    success: Option<&'static str>,
}

impl ErrorTable {
    /// Creates a table from `rules`.
    pub const fn new(rules: &'static [ErrorRule]) -> Self {
        Self {
            rules,
            codes: &[],
            success: None,
        }
    }

    /// Sets the locations of the error code. The first location that contains a code is used.
    pub const fn with_codes(mut self, codes: &'static [CodeAt]) -> Self {
        self.codes = codes;
        self
    }

    /// Sets the JSON pointer to the flag that is `true` in a successful response, for providers
    /// that report errors with status 200 (Slack's `/ok`). Every successful response is then parsed
    /// a second time.
    pub const fn with_success_flag(mut self, pointer: &'static str) -> Self {
        self.success = Some(pointer);
        self
    }

    /// Returns the machine-readable code of a response. Returns `None` if there is no code, if the
    /// body is longer than 64 KiB, or if the body is not JSON.
    #[must_use]
    pub fn code_of(&self, response: &Response) -> Option<String> {
        let mut body = None;
        self.codes.iter().find_map(|place| match place {
            CodeAt::Header(name) => response.header(name).map(str::to_owned),
            CodeAt::Pointer(pointer) => {
                let body = body.get_or_insert_with(|| parse(response));
                text(body.pointer(pointer)?)
            }
        })
    }

    /// Returns the error for the first of `codes` that a rule matches, or `None` if no rule
    /// matches. Use it for error codes in a body that an operation decodes.
    #[must_use]
    pub fn error_of<'c>(
        &self,
        response: &Response,
        codes: impl IntoIterator<Item = &'c str, IntoIter: Clone>,
    ) -> Option<Error> {
        let codes = codes.into_iter();
        let status = response.status();
        let is_found = |code: &str| codes.clone().any(|found| found == code);
        let (rule, code) = self
            .rules
            .iter()
            .filter_map(|rule| Some((rule, rule.code?)))
            .filter(|(rule, code)| rule.fits_status(status) && is_found(code))
            .min_by_key(|(rule, _)| rule.rank())?;
        Some(rule.error(response, Some(code)))
    }

    /// Accepts a successful response and converts any other response to the error that the table
    /// defines.
    ///
    /// # Errors
    /// The error of the matching rule, otherwise the error of [`Response::by_status`].
    pub fn check(&self, response: &Response) -> Result<()> {
        let status = response.status();
        if status.is_success() && self.success.is_none_or(|flag| is_true(response, flag)) {
            return Ok(());
        }
        let code = self.code_of(response);
        let code = code.as_deref();
        let error = match self.rule(status, code) {
            Some(rule) => return Err(rule.error(response, code)),
            None if status.is_success() => response.error(
                ErrorKind::Rejected,
                "the provider rejected the request; see the error's code",
            ),
            None => match response.by_status() {
                Err(error) => error,
                Ok(()) => return Ok(()),
            },
        };
        Err(match code {
            Some(code) => error.with_code(code),
            None => error,
        })
    }

    fn rule(&self, status: StatusCode, code: Option<&str>) -> Option<&'static ErrorRule> {
        self.rules
            .iter()
            .filter(|rule| rule.fits(status, code))
            .min_by_key(|rule| rule.rank())
    }
}

impl Classifier for ErrorTable {
    fn classify(&self, response: &mut Response) -> Result<()> {
        self.check(response)
    }
}

fn parse(response: &Response) -> Value {
    let body = json::without_bom(response.body());
    if body.len() > MAX_BODY {
        return Value::Null;
    }
    // The parser's error may quote the body, so it is dropped.
    serde_json::from_slice(body).unwrap_or(Value::Null)
}

fn is_true(response: &Response, flag: &str) -> bool {
    let body = json::without_bom(response.body());
    serde_json::from_slice::<Value>(body)
        .is_ok_and(|body| body.pointer(flag) == Some(&Value::Bool(true)))
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) if !number.is_f64() => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::clock::Timestamp;
    use crate::provider_id::ProviderId;

    const TABLE: ErrorTable = ErrorTable::new(&[
        ErrorRule::status(403, ErrorKind::Forbidden, "a scope is missing"),
        ErrorRule::statuses(500, 599, ErrorKind::ProviderUnavailable, "it failed"),
        ErrorRule::status(501, ErrorKind::Unsupported, "not offered"),
        ErrorRule::code("190", ErrorKind::Unauthorized, "the token is over"),
        ErrorRule::code("quota", ErrorKind::RateLimited, "wait"),
        ErrorRule::code("quota", ErrorKind::Forbidden, "pay").with_status(402),
        ErrorRule::code("busy", ErrorKind::Conflict, "again").with_retry(Retry::Backoff),
        ErrorRule::code("gone", ErrorKind::NeedsReauthorization, "connect again")
            .with_reauthorization(ReauthorizationReason::NonExpiringToken),
    ])
    .with_codes(&[
        CodeAt::Header("x-code"),
        CodeAt::Pointer("/error/code"),
        CodeAt::Pointer("/error"),
    ]);

    fn response(status: u16, headers: &[(&'static str, &str)], body: &[u8]) -> Response {
        let mut answer = http::Response::builder().status(status);
        for (name, value) in headers {
            answer = answer.header(*name, *value);
        }
        Response::new(
            ProviderId::from_static("acme"),
            "test",
            Timestamp::UNIX_EPOCH,
            answer.body(Bytes::copy_from_slice(body)).unwrap(),
        )
    }

    fn kind(status: u16, headers: &[(&'static str, &str)], body: &str) -> Option<ErrorKind> {
        let response = response(status, headers, body.as_bytes());
        TABLE.check(&response).err().map(|error| error.kind())
    }

    #[test]
    fn the_most_specific_rule_applies() {
        let code = |code: &str| format!(r#"{{"error":{{"code":{code}}}}}"#);
        let table = [
            (200, code("\"quota\""), None),
            (403, String::new(), Some(ErrorKind::Forbidden)),
            (
                503,
                "<html>".to_owned(),
                Some(ErrorKind::ProviderUnavailable),
            ),
            (501, String::new(), Some(ErrorKind::Unsupported)),
            (400, code("190"), Some(ErrorKind::Unauthorized)),
            (400, code("\"190\""), Some(ErrorKind::Unauthorized)),
            (403, code("\"quota\""), Some(ErrorKind::RateLimited)),
            (402, code("\"quota\""), Some(ErrorKind::Forbidden)),
            (
                400,
                r#"{"error":"quota"}"#.to_owned(),
                Some(ErrorKind::RateLimited),
            ),
            (
                400,
                "\u{feff}{\"error\":\"quota\"}".to_owned(),
                Some(ErrorKind::RateLimited),
            ),
            (404, code("\"other\""), Some(ErrorKind::ProviderNotFound)),
            (400, code("{}"), Some(ErrorKind::Rejected)),
            (400, "[]".to_owned(), Some(ErrorKind::Rejected)),
            (400, "error=quota".to_owned(), Some(ErrorKind::Rejected)),
        ];
        for (status, body, expected) in &table {
            assert_eq!(kind(*status, &[], body), *expected, "{status} {body}");
        }
        assert_eq!(
            kind(400, &[("x-code", "quota")], r#"{"error":"190"}"#),
            Some(ErrorKind::RateLimited)
        );
        let long = format!(r#"{{"error":"quota","x":"{}"}}"#, "x".repeat(MAX_BODY));
        assert_eq!(kind(400, &[], &long), Some(ErrorKind::Rejected));
    }

    #[test]
    fn an_error_has_code_status_advice_and_the_stated_wait() {
        let busy = response(409, &[("retry-after", "3")], br#"{"error":"busy"}"#);
        let error = TABLE.check(&busy).unwrap_err();
        assert_eq!(error.code(), Some("busy"));
        assert_eq!(error.status(), Some(StatusCode::CONFLICT));
        assert_eq!(error.retry(), Retry::After(Duration::from_secs(3)));
        let unknown = response(400, &[], br#"{"error":"odd \"one\""}"#);
        assert_eq!(TABLE.check(&unknown).unwrap_err().code(), Some("oddone"));
        let gone = response(400, &[], br#"{"error":"gone"}"#);
        let error = TABLE.check(&gone).unwrap_err();
        assert_eq!(
            error.reauthorization(),
            Some(ReauthorizationReason::NonExpiringToken)
        );
        let found = response(200, &[], b"");
        assert_eq!(
            TABLE.error_of(&found, ["other", "quota"]).unwrap().kind(),
            ErrorKind::RateLimited
        );
        assert!(TABLE.error_of(&found, ["other"]).is_none());
    }

    #[test]
    fn a_success_flag_in_the_body_is_checked() {
        let table = TABLE.with_success_flag("/ok");
        let check = |body: &str| {
            let error = table.check(&response(200, &[], body.as_bytes())).err()?;
            Some((error.kind(), error.code().map(str::to_owned)))
        };
        assert_eq!(check(r#"{"ok":true,"error":"quota"}"#), None);
        let code = |code: &str| Some(code.to_owned());
        assert_eq!(
            check(r#"{"ok":false,"error":"quota"}"#),
            Some((ErrorKind::RateLimited, code("quota")))
        );
        assert_eq!(
            check(r#"{"ok":false,"error":"x"}"#),
            Some((ErrorKind::Rejected, code("x")))
        );
        assert_eq!(check("<html>"), Some((ErrorKind::Rejected, None)));
    }

    proptest! {
        #[test]
        fn no_body_panics(status in 100..600_u16, body: Vec<u8>, json in "[\\[{\":,}\\]a-z0-9 \u{feff}]{0,40}") {
            for body in [&body[..], json.as_bytes()] {
                let response = response(status, &[], body);
                let error = TABLE.check(&response).err();
                prop_assert_eq!(error.is_none(), (200..300).contains(&status));
            }
        }
    }
}
