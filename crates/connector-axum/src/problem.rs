//! Problem details (RFC 9457) with stable codes.

use std::time::Duration;

use connector_core::{Error, ErrorKind, Retry};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;
use utoipa::ToSchema;

/// A stable code, with its status and the advice for the caller.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Code {
    pub(crate) name: &'static str,
    pub(crate) status: StatusCode,
    pub(crate) title: &'static str,
    pub(crate) action: &'static str,
}

macro_rules! codes {
    ($($constant:ident = $name:literal, $status:ident, $title:literal, $action:literal;)*) => {
        impl Code {
            $(pub(crate) const $constant: Self = Self {
                name: $name,
                status: StatusCode::$status,
                title: $title,
                action: $action,
            };)*

            pub(crate) const ALL: &'static [Self] = &[$(Self::$constant,)*];
        }
    };
}

codes! {
    // Codes of the routes themselves.
    UNAUTHENTICATED = "unauthenticated", UNAUTHORIZED,
        "The caller is not identified", "Log in, or send a valid API key.";
    PERMISSION_MISSING = "permission_missing", FORBIDDEN,
        "The caller lacks a permission", "Ask an administrator of your account for the permission.";
    ACCESS_UNAVAILABLE = "access_unavailable", SERVICE_UNAVAILABLE,
        "The caller cannot be identified now", "Send the request again later.";
    ORIGIN_REFUSED = "origin_refused", FORBIDDEN,
        "The page's origin may not use this route",
        "Send the request from a page of the service, or have the operator allow the origin.";
    CSRF_REFUSED = "csrf_refused", FORBIDDEN,
        "The form has no valid CSRF token", "Load the page that contains the form again.";
    PREFETCH_REFUSED = "prefetch_refused", FORBIDDEN,
        "The request is a prefetch", "Open the link. A prefetch changes nothing.";
    TICKET_INVALID = "ticket_invalid", FORBIDDEN,
        "The link is invalid, has expired, or belongs to another user",
        "Log in as the user who received the link, or request a new link.";
    BODY_TOO_LARGE = "body_too_large", PAYLOAD_TOO_LARGE,
        "The request's body is too large", "Send a smaller body.";
    BODY_TOO_SLOW = "body_too_slow", REQUEST_TIMEOUT,
        "The request's body did not arrive in time", "Send the request again.";
    MEDIA_TYPE = "unsupported_media_type", UNSUPPORTED_MEDIA_TYPE,
        "The request's content type is not supported", "Send one of the documented content types.";
    ROUTE_NOT_FOUND = "route_not_found", NOT_FOUND,
        "The route does not exist", "Read the OpenAPI document for the routes.";
    METHOD_NOT_ALLOWED = "method_not_allowed", METHOD_NOT_ALLOWED,
        "The route does not support this method", "Use a method of the header Allow.";
    CONNECTOR_UNKNOWN = "connector_unknown", NOT_FOUND,
        "The service has no such connector", "List the connectors for their ids.";
    CONFIRMATION_STALE = "confirmation_stale", CONFLICT,
        "The confirmation does not match the current consequences",
        "Read the consequences again, and confirm them.";
    DELIVERY_DEFERRED = "delivery_deferred", SERVICE_UNAVAILABLE,
        "The delivery cannot be accepted now", "Send the delivery again later.";
    TOO_MANY_STREAMS = "too_many_streams", TOO_MANY_REQUESTS,
        "Too many live streams are open", "Close other streams, or read the list of connections.";
    // Codes of the library's error kinds, with the same names.
    INVALID_INPUT = "invalid_input", BAD_REQUEST,
        "An argument is invalid", "Correct the argument that the detail names.";
    CONFIGURATION = "configuration", INTERNAL_SERVER_ERROR,
        "The service is not configured correctly", "Report the request id to the operator.";
    NOT_FOUND = "not_found", NOT_FOUND,
        "The record does not exist", "List the records for their ids.";
    NEEDS_REAUTHORIZATION = "needs_reauthorization", CONFLICT,
        "The account's owner must authorize again", "Connect the account again.";
    APP_MISCONFIGURED = "app_misconfigured", CONFLICT,
        "The provider refuses the service's registration",
        "Report it to the operator: the client id, the secret or the redirect URI is wrong.";
    REFRESH_UNRESOLVED = "refresh_unresolved", SERVICE_UNAVAILABLE,
        "The outcome of a refresh is not known yet", "Send the request again later.";
    CONNECTED_ELSEWHERE = "connected_elsewhere", CONFLICT,
        "The account is already connected elsewhere", "Disconnect the other connection first.";
    CALLBACK_REFUSED = "callback_refused", BAD_REQUEST,
        "The callback was refused", "Connect the account again.";
    WEBHOOK_REFUSED = "webhook_refused", UNAUTHORIZED,
        "The delivery is not genuine", "Check the webhook's secret at the provider.";
    UNAUTHORIZED = "unauthorized", UNPROCESSABLE_ENTITY,
        "The provider refused the credential", "Check the credential, or connect the account again.";
    FORBIDDEN = "forbidden", UNPROCESSABLE_ENTITY,
        "The credential lacks a permission at the provider",
        "Connect the account again, and grant all requested permissions.";
    PROVIDER_NOT_FOUND = "provider_not_found", NOT_FOUND,
        "The resource does not exist at the provider", "Check the resource's id.";
    CONFLICT = "conflict", CONFLICT,
        "The request conflicts with a concurrent change", "Send the request again.";
    REJECTED = "rejected", UNPROCESSABLE_ENTITY,
        "The provider rejected the request", "Correct the request.";
    RATE_LIMITED = "rate_limited", TOO_MANY_REQUESTS,
        "A rate limit was reached", "Send the request again after the time in Retry-After.";
    TRUNCATED = "truncated", BAD_GATEWAY,
        "The provider ended a listing early", "Send the request again.";
    PROVIDER_UNAVAILABLE = "provider_unavailable", BAD_GATEWAY,
        "The provider is unavailable", "Send the request again later.";
    UNEXPECTED_RESPONSE = "unexpected_response", BAD_GATEWAY,
        "The provider's response cannot be used", "Report the request id to the operator.";
    TIMEOUT = "timeout", GATEWAY_TIMEOUT,
        "The request took too long", "Send the request again later.";
    NETWORK = "network", BAD_GATEWAY,
        "The connection to the provider failed", "Send the request again later.";
    ADDRESS_REFUSED = "address_refused", UNPROCESSABLE_ENTITY,
        "The address is not allowed", "Use a public https address.";
    STORE_UNAVAILABLE = "store_unavailable", SERVICE_UNAVAILABLE,
        "The database is unavailable", "Send the request again later.";
    STORE_INCOMPATIBLE = "store_incompatible", INTERNAL_SERVER_ERROR,
        "The database has another version", "Report the request id to the operator.";
    UNSEALABLE = "unsealable", INTERNAL_SERVER_ERROR,
        "A stored secret cannot be decrypted", "Report the request id to the operator.";
    KEY_UNKNOWN = "key_unknown", INTERNAL_SERVER_ERROR,
        "A stored secret needs a key that the service does not have",
        "Report the request id to the operator.";
    UNSUPPORTED = "unsupported", UNPROCESSABLE_ENTITY,
        "The provider does not support the operation", "Use another operation.";
    SHUTTING_DOWN = "shutting_down", SERVICE_UNAVAILABLE,
        "The service is shutting down", "Send the request again.";
    BUG = "bug", INTERNAL_SERVER_ERROR,
        "The service has a defect", "Report the request id to the operator.";
}

impl Code {
    /// Returns the code with the given name. Kinds of a newer version of core are reported as a
    /// defect, with status 500.
    pub(crate) fn named(name: &str) -> &'static Self {
        Self::ALL
            .iter()
            .find(|it| it.name == name)
            .unwrap_or(&Self::BUG)
    }
}

/// A refused request.
#[derive(Debug)]
pub(crate) struct Problem(Box<Refusal>);

/// The contents of a [`Problem`], which is one pointer wide.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: &'static Code,
    pub(crate) detail: String,
    pub(crate) reason: Option<&'static str>,
    pub(crate) provider: Option<String>,
    pub(crate) provider_code: Option<String>,
    pub(crate) provider_request_id: Option<String>,
    pub(crate) retry_after: Option<Duration>,
    /// Text for the operator's log only.
    pub(crate) report: Option<String>,
    pub(crate) headers: HeaderMap,
}

impl Problem {
    pub(crate) fn new(code: &'static Code, detail: impl Into<String>) -> Self {
        Self(Box::new(Refusal {
            code,
            detail: detail.into(),
            reason: None,
            provider: None,
            provider_code: None,
            provider_request_id: None,
            retry_after: None,
            report: None,
            headers: HeaderMap::new(),
        }))
    }

    pub(crate) fn invalid(detail: impl Into<String>) -> Self {
        Self::new(&Code::INVALID_INPUT, detail)
    }

    pub(crate) fn with_retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    pub(crate) fn with_header(mut self, name: header::HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Returns the response's content.
    pub(crate) fn body(&self, base: &str, request_id: &str) -> ProblemBody {
        ProblemBody {
            r#type: format!("{base}/v1/problems/{}", self.code.name),
            title: self.code.title,
            status: self.code.status.as_u16(),
            detail: self.detail.clone(),
            code: self.code.name,
            action: self.code.action,
            reason: self.reason,
            provider: self.provider.clone(),
            provider_code: self.provider_code.clone(),
            provider_request_id: self.provider_request_id.clone(),
            retry_after_seconds: self.retry_after.map(seconds),
            request_id: request_id.to_owned(),
        }
    }
}

impl std::ops::Deref for Problem {
    type Target = Refusal;

    fn deref(&self) -> &Refusal {
        &self.0
    }
}

impl std::ops::DerefMut for Problem {
    fn deref_mut(&mut self) -> &mut Refusal {
        &mut self.0
    }
}

/// Rounds up, so that a caller never retries too early.
pub(crate) fn seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() > 0)
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let kind = error.kind();
        let code = Code::named(kind.as_str());
        let mut problem = Self::new(code, error.message());
        problem.reason = error.reason();
        problem.provider = error.provider().map(str::to_owned);
        problem.provider_code = error.code().map(str::to_owned);
        problem.provider_request_id = error.request_id().map(str::to_owned);
        problem.retry_after = match error.retry() {
            Retry::After(after) => Some(after),
            Retry::Backoff if kind == ErrorKind::RateLimited => Some(Duration::from_secs(60)),
            Retry::Backoff => Some(Duration::from_secs(5)),
            _ => None,
        };
        problem.report = Some(error.report());
        problem
    }
}

/// Problem details (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemBody {
    /// The address of a description of the problem.
    r#type: String,
    /// A summary of the problem. It is the same for every occurrence.
    title: &'static str,
    /// The HTTP status.
    status: u16,
    /// The circumstances of this occurrence.
    detail: String,
    /// The stable code of the problem.
    code: &'static str,
    /// The action that resolves the problem.
    action: &'static str,
    /// The stable name of the reason, for codes with several reasons.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    reason: Option<&'static str>,
    /// The provider's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider: Option<String>,
    /// The provider's error code.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider_code: Option<String>,
    /// The provider's id of the failed request.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    provider_request_id: Option<String>,
    /// The number of seconds after which a retry can succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    retry_after_seconds: Option<u64>,
    /// The id of this request, as in the header `x-request-id`.
    request_id: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_error_kind_has_a_code_of_its_own() {
        let mut checked = 0;
        for kind in ErrorKind::ALL {
            let code = Code::named(kind.as_str());
            assert_eq!(code.name, kind.as_str());
            assert!(code.status.is_client_error() || code.status.is_server_error());
            checked += 1;
        }
        assert!(checked > 20);
        let names: std::collections::BTreeSet<_> = Code::ALL.iter().map(|it| it.name).collect();
        assert_eq!(names.len(), Code::ALL.len(), "a code occurs twice");
    }
}
