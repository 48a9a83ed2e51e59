//! Which account a credential leads to.

use bytes::Bytes;
use http::StatusCode;
use http::header::{ACCEPT, AUTHORIZATION, HeaderValue};
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::account::{Account, AccountKey};
use crate::connector::Context;
use crate::credential::Credential;
use crate::description::Description;
use crate::error::{Error, ErrorKind, Result};
use crate::http::OutboundRequest;
use crate::metadata::Metadata;
use crate::oauth::ExchangeError;

/// The account behind a credential, as an authenticated answer of the provider named it.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Identity {
    /// The account.
    pub account: Account,
    /// What else the answer told about it.
    pub metadata: Metadata,
}

impl Identity {
    /// The identity `account`.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self {
            account,
            metadata: Metadata::new(),
        }
    }

    /// Adds what else is known.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// Reads the account from the description's identity endpoint with the credential as bearer
/// (RFC 6750 section 2.1).
///
/// # Errors
/// [`ErrorKind::Unauthorized`] if the provider refuses the credential, [`ErrorKind::Unsupported`] if
/// the provider has no identity endpoint, [`ErrorKind::UnexpectedAnswer`] if the answer has no
/// account; network and provider trouble as their kinds say.
pub async fn identify(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    const OPERATION: &str = "oauth.identify";
    let provider = || description.provider.as_str().to_owned();
    let fail = |kind, message| Err(Error::new(kind, OPERATION, message).with_provider(provider()));
    let Some(endpoint) = &description.identity else {
        return fail(
            ErrorKind::Unsupported,
            "the description names no identity endpoint; add one, or override the hook",
        );
    };
    // The URL is the description's, its host at most the one that is sealed with the credential.
    let url = endpoint
        .endpoint
        .url(credential.account_host().unwrap_or_default())?;
    let bearer = format!("Bearer {}", credential.secret().expose_secret());
    let Ok(mut bearer) = HeaderValue::from_str(&bearer) else {
        return fail(
            ErrorKind::UnexpectedAnswer,
            "the access token has characters that no header may have; connect again",
        );
    };
    bearer.set_sensitive(true);
    let request = http::Request::get(url.as_str())
        .header(AUTHORIZATION, bearer)
        .header(ACCEPT, "application/json")
        .body(Bytes::new());
    let Ok(request) = request else {
        return fail(
            ErrorKind::Bug,
            "the identity request could not be built; please report it",
        );
    };
    let response = cx
        .send(OutboundRequest::token(request))
        .await
        .map_err(|error| ExchangeError::from_transport(OPERATION, error).into_error())?;
    match response.status() {
        status if status.is_success() => {}
        StatusCode::UNAUTHORIZED => {
            return fail(
                ErrorKind::Unauthorized,
                "the provider refused the access token",
            );
        }
        StatusCode::FORBIDDEN => {
            return fail(
                ErrorKind::Forbidden,
                "the access token may not read who it belongs to; ask for the scope that allows it",
            );
        }
        StatusCode::TOO_MANY_REQUESTS => {
            return fail(
                ErrorKind::RateLimited,
                "the provider limits requests; try again later",
            );
        }
        status if status.is_server_error() => {
            return fail(
                ErrorKind::ProviderUnavailable,
                "the provider failed; try again later",
            );
        }
        _ => {
            return fail(
                ErrorKind::UnexpectedAnswer,
                "the identity endpoint gave an unknown answer; check the description",
            );
        }
    }
    // The parser's own error may quote the body, so it is dropped.
    let body: Value = serde_json::from_slice(response.body()).unwrap_or(Value::Null);
    let key = match body.pointer(&endpoint.account) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Number(number)) if number.is_u64() || number.is_i64() => number.to_string(),
        _ => String::new(),
    };
    let Ok(key) = AccountKey::new(key) else {
        return fail(
            ErrorKind::UnexpectedAnswer,
            "the identity answer has no account key where the description says; correct it",
        );
    };
    let mut account = Account::identified(key);
    let label = endpoint
        .label
        .as_ref()
        .and_then(|pointer| body.pointer(pointer));
    if let Some(label) = label.and_then(Value::as_str) {
        account = account.with_label(label.chars().take(255).collect::<String>());
    }
    Ok(Identity::new(account))
}
