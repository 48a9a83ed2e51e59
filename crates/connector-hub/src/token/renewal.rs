//! From a token endpoint's answer to a credential.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::description::{Description, Lifetimes};
use connector_core::http::Origin;
use connector_core::oauth::TokenAnswer;
use connector_core::store::Expiries;
use connector_core::{App, ConnectionId, Credential, CredentialKind, Result};
use secrecy::ExposeSecret;

use crate::token::windows::Windows;

/// A credential that an answer brought, and how long its tokens are good.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) credential: Credential,
    pub(crate) expiries: Expiries,
    /// True if it holds another refresh token than the one before.
    pub(crate) rotated: bool,
    /// True if its access token is the one from before.
    pub(crate) same_access: bool,
}

/// The first credential of a grant.
pub(crate) fn first(
    description: &Description,
    app: &App,
    account_host: Option<&str>,
    requested: &[String],
    answer: &TokenAnswer,
    now: Timestamp,
) -> Result<Renewed> {
    let origin = Origin::of(&description.api[0].url(account_host.unwrap_or_default())?)?;
    let mut credential = Credential::new(
        CredentialKind::OAuth,
        origin,
        answer.access_token().clone(),
        now,
    )
    .with_client_id(app.client_id())
    // RFC 6749 section 5.1: without a scope in the answer, what was asked for is granted.
    .with_scopes(answer.scopes().unwrap_or(requested).to_vec());
    if let Some(host) = account_host {
        credential = credential.with_account_host(host);
    }
    if let Some(refresh_token) = answer.refresh_token() {
        credential = credential.with_refresh_token(refresh_token.clone());
    }
    Ok(with_expiries(
        &description.lifetimes,
        credential,
        answer,
        None,
        now,
    ))
}

/// The credential that a refresh leads to: what the answer leaves out stays as it was.
pub(crate) fn next(
    description: &Description,
    app: &App,
    before: &Credential,
    refresh_left: Option<Duration>,
    answer: &TokenAnswer,
    now: Timestamp,
) -> Renewed {
    let scopes = answer.scopes().unwrap_or(before.scopes()).to_vec();
    let mut credential = Credential::new(
        before.kind(),
        before.origin().clone(),
        answer.access_token().clone(),
        now,
    )
    .with_client_id(app.client_id())
    .with_scopes(scopes);
    if let Some(host) = before.account_host() {
        credential = credential.with_account_host(host);
    }
    for (name, value) in before.extras() {
        credential = credential.with_extra(name, value.clone());
    }
    let kept = answer.refresh_token().is_none();
    if let Some(refresh_token) = answer.refresh_token().or(before.refresh_token()) {
        credential = credential.with_refresh_token(refresh_token.clone());
    }
    let same = |a: Option<&secrecy::SecretString>, b: Option<&secrecy::SecretString>| {
        a.map(ExposeSecret::expose_secret) == b.map(ExposeSecret::expose_secret)
    };
    let rotated = !same(credential.refresh_token(), before.refresh_token());
    let same_access = same(Some(credential.secret()), Some(before.secret()));
    let refresh_left = if kept { refresh_left } else { None };
    let renewed = with_expiries(
        &description.lifetimes,
        credential,
        answer,
        refresh_left,
        now,
    );
    Renewed {
        rotated,
        same_access,
        ..renewed
    }
}

fn with_expiries(
    lifetimes: &Lifetimes,
    mut credential: Credential,
    answer: &TokenAnswer,
    refresh_left: Option<Duration>,
    now: Timestamp,
) -> Renewed {
    let refreshable = credential.refresh_token().is_some();
    let access = match answer.expires_in() {
        Some(expires_in) => Some(expires_in),
        None if !refreshable && lifetimes.access_may_never_expire => None,
        None => Some(lifetimes.access()),
    };
    let refresh = match answer.refresh_expires_in() {
        _ if !refreshable => None,
        Some(expires_in) => Some(expires_in),
        None => refresh_left.or_else(|| lifetimes.refresh()),
    };
    if let Some(access) = access {
        credential = credential.with_expiry(now.after(access));
    }
    if let Some(refresh) = refresh {
        credential = credential.with_refresh_expiry(now.after(refresh));
    }
    Renewed {
        credential,
        expiries: Expiries { access, refresh },
        rotated: false,
        same_access: false,
    }
}

/// How long a credential's access token lives altogether; `None` if it does not expire.
pub(crate) fn lifetime(credential: &Credential) -> Option<Duration> {
    credential
        .expires_at()
        .map(|end| end.since(credential.obtained_at()))
}

/// When a credential with these expiries is due for its refresh; `None` if it never is.
pub(crate) fn refresh_in(expiries: Expiries, id: ConnectionId) -> Option<Duration> {
    expiries
        .access
        .map(|access| Windows::of(access, id).opens_in(access))
}
