//! Classification of Amazon's error responses.
//!
//! See [Amazon docs: Response format](https://developer-docs.amazon.com/sp-api/docs/response-format).
//! Amazon does not publish a complete list of error codes, so the status decides. A rejected access
//! token is a 403, as is a missing role: only the details distinguish them.

use connector_core::api::Response;
use connector_core::provider::{Classifier, CodeAt, ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Result};
use serde::Deserialize;

/// Rules by status. Amazon puts errors in `errors`, alone or next to `payload`, or uses the OAuth
/// error format of the token endpoint.
const ERRORS: ErrorTable = ErrorTable::new(&[
    ErrorRule::status(
        400,
        ErrorKind::Rejected,
        "Amazon refused an argument; the code and Amazon's documentation of the operation say which",
    ),
    ErrorRule::status(
        403,
        ErrorKind::Forbidden,
        "Amazon does not allow this: the app lacks a role, the seller is of another region, the \
         seller id is wrong, or a restricted data token is needed",
    ),
    ErrorRule::status(
        413,
        ErrorKind::Rejected,
        "the request is too large for Amazon; send less at once",
    ),
    ErrorRule::status(
        429,
        ErrorKind::RateLimited,
        "the usage plan of the operation, the seller or the app is used up; try again later",
    ),
])
.with_codes(&[CodeAt::Pointer("/errors/0/code"), CodeAt::Pointer("/error")]);

/// Error classifier: the rules by status, and the details of a 401 or 403.
#[derive(Debug)]
pub(crate) struct AmazonErrors;

#[derive(Deserialize)]
struct Envelope {
    #[serde(default)]
    errors: Vec<Detail>,
}

#[derive(Deserialize)]
struct Detail {
    #[serde(default)]
    message: Option<String>,
    #[serde(default)]
    details: Option<String>,
}

impl Classifier for AmazonErrors {
    fn classify(&self, response: &mut Response) -> Result<()> {
        let error = match ERRORS.check(response) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        if !matches!(response.status().as_u16(), 401 | 403) {
            return Err(error);
        }
        Err(refused(response).map_or(error, |(kind, message)| {
            let refused = response.error(kind, message);
            match ERRORS.code_of(response) {
                Some(code) => refused.with_code(&code),
                None => refused,
            }
        }))
    }
}

/// Returns the error kind and message if the details say that the credential was rejected.
fn refused(response: &Response) -> Option<(ErrorKind, &'static str)> {
    let envelope: Envelope = serde_json::from_slice(response.body()).ok()?;
    let said = |part: &str| {
        let texts = envelope
            .errors
            .iter()
            .flat_map(|it| [&it.message, &it.details])
            .flatten();
        texts
            .into_iter()
            .any(|text| text.to_ascii_lowercase().contains(part))
    };
    if said("lwa secret token") || said("client secret") {
        return Some((ErrorKind::AppMisconfigured, SECRET_EXPIRED));
    }
    let token = said("access token") && !said("missing in the request header");
    (token && (said("expired") || said("revoked") || said("malformed") || said("invalid"))).then_some(
        (
            ErrorKind::Unauthorized,
            "Amazon refused the access token: it has expired, or the seller ended the authorization",
        ),
    )
}

/// Advice for an expired LWA client secret.
pub(crate) const SECRET_EXPIRED: &str = "the LWA client secret of the app has expired or is wrong; \
     rotate it in the Solution Provider Portal (Develop Apps, View LWA credentials) and set \
     AMAZON_LWA_CLIENT_SECRET; sellers need not authorize again";

/// Adds the name of the provider to an error.
pub(crate) fn ours(error: Error) -> Error {
    error.with_provider(crate::AmazonSpApi::ID.as_str().to_owned())
}

/// The error for a credential without an account.
pub(crate) fn unnamed(operation: &'static str) -> Error {
    ours(Error::new(
        ErrorKind::InvalidInput,
        operation,
        "the credential has no selling partner; create it with `AmazonSpApi::self_authorized`",
    ))
}
