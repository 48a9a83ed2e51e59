//! Revocation (RFC 7009).

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};

use crate::credential::Credential;
use crate::error::{Error, ErrorKind};
use crate::http::Sent;
use crate::provider::Context;
use crate::provider::description::{
    Description, RevocationEndpoint, RevocationReach, RevokedToken, TokenMethod,
};
use crate::provider::oauth::{ExchangeClass, ExchangeError, TokenRequest, read_token_response};

const OPERATION: &str = "oauth.revoke";

/// Revokes a credential.
///
/// By default, one request sends the refresh token, or the access token if there is no refresh
/// token (RFC 7009 section 2.1). If the provider revokes only the token in the request, the refresh
/// token and the access token are sent in two requests. [`RevokedToken::AccessToken`] sends only
/// the access token. A token that the provider no longer knows counts as revoked (section 2.2).
///
/// # Errors
/// [`ExchangeError`]. The class is [`Transient`](ExchangeClass::Transient) if you should retry
/// later. If the provider has no revocation endpoint, the class is
/// [`Malformed`](ExchangeClass::Malformed) and the error kind is [`ErrorKind::Unsupported`].
pub async fn revoke(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<(), ExchangeError> {
    let Some(endpoint) = &description.revocation else {
        return Err(unusable(Error::new(
            ErrorKind::Unsupported,
            OPERATION,
            "the provider has no revocation endpoint; the account's owner must remove the app at \
             the provider",
        )));
    };
    let host = credential.account_host().unwrap_or_default();
    let url = endpoint.endpoint.url(host).map_err(unusable)?;
    if endpoint.token == RevokedToken::AccessToken {
        let request = TokenRequest::at_url(description, cx, &url);
        return revoke_one(
            description,
            cx,
            endpoint,
            request,
            credential.secret(),
            None,
        )
        .await;
    }
    let refresh = credential
        .refresh_token()
        .map(|token| (token, "refresh_token"));
    let access = (credential.secret(), "access_token");
    let tokens = match (refresh, endpoint.reach) {
        (Some(refresh), RevocationReach::Token) => vec![refresh, access],
        (Some(refresh), _) => vec![refresh],
        (None, _) => vec![access],
    };
    for (token, hint) in tokens {
        let request = TokenRequest::at_url(description, cx, &url);
        revoke_one(description, cx, endpoint, request, token, Some(hint)).await?;
    }
    Ok(())
}

async fn revoke_one(
    description: &Description,
    cx: &Context<'_>,
    endpoint: &RevocationEndpoint,
    mut request: TokenRequest<'_>,
    token: &SecretString,
    hint: Option<&str>,
) -> Result<(), ExchangeError> {
    request = request.field("token", token.expose_secret());
    if let Some(hint) = hint {
        request = request.field("token_type_hint", hint);
    }
    let response = request
        .with_method(TokenMethod::Post)
        .with_encoding(endpoint.encoding)
        .response(OPERATION)
        .await?;
    // A refusal may have any status below 500.
    match read_token_response(description, OPERATION, cx.clock.now(), &response) {
        Err(error) if error.class() == ExchangeClass::DeadGrant => Ok(()),
        Err(error) if error.code() == Some("invalid_token") => Ok(()),
        Err(error) if response.status().is_success() && error.code().is_none() => Ok(()),
        // Some providers respond with 404 or 410 to a token that they no longer know.
        Err(_) if matches!(response.status(), StatusCode::NOT_FOUND | StatusCode::GONE) => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(unusable(Error::new(
            ErrorKind::UnexpectedResponse,
            OPERATION,
            "the revocation endpoint returned a token; check the description's endpoints",
        ))),
    }
}

fn unusable(error: Error) -> ExchangeError {
    ExchangeError::new(ExchangeClass::Malformed, Sent::No, error)
}
