//! Revocation (RFC 7009).

use std::cell::RefCell;

use http::StatusCode;
use oauth2::basic::BasicClient;
use oauth2::{
    ClientId, ClientSecret, HttpRequest, RefreshToken, RevocationUrl, StandardRevocableToken,
};
use secrecy::ExposeSecret;

use crate::connector::Context;
use crate::credential::Credential;
use crate::description::{BodyEncoding, Description};
use crate::error::{Error, ErrorKind};
use crate::http::Sent;
use crate::oauth::request::{Taken, auth_type, outbound, taken};
use crate::oauth::{ExchangeClass, ExchangeError, read_token_answer};

const OPERATION: &str = "oauth.revoke";

/// Revokes a credential: its refresh token where it has one, else its access token (RFC 7009
/// section 2.1). A token that the provider does not know any more counts as revoked (section 2.2).
///
/// # Errors
/// [`ExchangeError`]: [`Transient`](ExchangeClass::Transient) when it should be tried again,
/// [`Malformed`](ExchangeClass::Malformed) with [`ErrorKind::Unsupported`] if the provider has no
/// revocation endpoint.
pub async fn revoke(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<(), ExchangeError> {
    let request = revocation_request(description, cx, credential)?;
    let response = cx
        .send(outbound(BodyEncoding::Form, request))
        .await
        .map_err(|error| ExchangeError::from_transport(OPERATION, error))?;
    if response.status().is_success() {
        return Ok(());
    }
    match read_token_answer(description, OPERATION, cx.clock.now(), &response) {
        Err(error) if error.class() == ExchangeClass::DeadGrant => Ok(()),
        Err(error) if error.code() == Some("invalid_token") => Ok(()),
        Err(error) => Err(error),
        Ok(_) => Err(unusable(Error::new(
            ErrorKind::UnexpectedAnswer,
            OPERATION,
            "the revocation endpoint answered with a token; check the description's endpoints",
        ))),
    }
    .or_else(|error| match response.status() {
        // Some providers answer so for a token that they no longer know.
        StatusCode::NOT_FOUND | StatusCode::GONE => Ok(()),
        _ => Err(error),
    })
}

fn unusable(error: Error) -> ExchangeError {
    ExchangeError::new(ExchangeClass::Malformed, Sent::No, error)
}

fn revocation_request(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<HttpRequest, ExchangeError> {
    let Some(endpoint) = &description.revocation else {
        return Err(unusable(Error::new(
            ErrorKind::Unsupported,
            OPERATION,
            "the provider has no revocation endpoint; its owner removes the app there",
        )));
    };
    let url = endpoint
        .endpoint
        .url(credential.account_host().unwrap_or_default())
        .map_err(unusable)?;
    let mut client = BasicClient::new(ClientId::new(cx.app.client_id().to_owned()))
        .set_revocation_url(RevocationUrl::from_url(url));
    if let Some(token) = &description.token {
        client = client.set_auth_type(auth_type(token.client_authentication));
    }
    if let Some(secret) = cx.app.client_secret() {
        client = client.set_client_secret(ClientSecret::new(secret.expose_secret().to_owned()));
    }
    let token = match credential.refresh_token() {
        Some(refresh_token) => RefreshToken::new(refresh_token.expose_secret().to_owned()).into(),
        None => StandardRevocableToken::AccessToken(oauth2::AccessToken::new(
            credential.secret().expose_secret().to_owned(),
        )),
    };
    let slot = RefCell::new(None);
    let take = |request: HttpRequest| -> Result<oauth2::HttpResponse, Taken> {
        *slot.borrow_mut() = Some(request);
        Err(Taken)
    };
    // Whatever the outcome says, what counts is the request: nothing was sent.
    drop(
        client
            .revoke_token(token)
            .map(|request| request.request(&take)),
    );
    taken(OPERATION, slot.into_inner())
}
