//! Conversion of a token endpoint's response to a credential.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::http::Origin;
use connector_core::provider::Renewal;
use connector_core::provider::description::{
    Description, Lifetimes, RefreshPolicy, UnstatedLifetime,
};
use connector_core::provider::oauth::{Identity, TokenResponse};
use connector_core::store::{Expiries, SideEffects, WorkKind};
use connector_core::{
    AccountKey, App, ConnectionId, Credential, CredentialKind, Error, ErrorKind, Result,
};
use secrecy::ExposeSecret;

use crate::token::windows::Windows;

/// A credential from a token response, and the lifetimes of its tokens.
#[derive(Debug)]
pub(crate) struct Renewed {
    pub(crate) credential: Credential,
    pub(crate) expiries: Expiries,
    /// True if the refresh token in the response differs from the previous one.
    pub(crate) rotated: bool,
    /// True if the access token is the same as before.
    pub(crate) same_access: bool,
    /// The account in the response, if there is one. A credential that does not belong to the
    /// connection's account is stored, but never returned to callers.
    pub(crate) account: Option<AccountKey>,
}

/// Returns the first credential of a grant.
pub(crate) fn first(
    description: &Description,
    app: &App,
    account_host: Option<&str>,
    requested: &[String],
    answer: &TokenResponse,
    now: Timestamp,
) -> Result<Renewed> {
    let origin = origin(description, account_host, answer.origin())?;
    let mut credential = Credential::new(answer.kind(), origin, answer.access_token().clone(), now)
        .with_client_id(app.client_id())
        // RFC 6749 section 5.1: if the response has no scope, the requested scopes are granted.
        .with_scopes(answer.scopes().unwrap_or(requested).to_vec());
    if let Some(host) = account_host {
        credential = credential.with_account_host(host);
    }
    if let Some(refresh_token) = answer.refresh_token() {
        credential = credential.with_refresh_token(refresh_token.clone());
    }
    for (name, secret) in answer.kept() {
        credential = credential.with_extra(name, secret.clone());
    }
    if let Some(identity) = identity(description, account_host, answer)? {
        credential = credential.with_identity(identity);
    }
    Ok(with_expiries(
        &description.lifetimes,
        credential,
        answer,
        None,
        now,
    ))
}

/// Returns the account in a token response. If keys are unique only per host, the key includes the
/// host.
fn identity(
    description: &Description,
    account_host: Option<&str>,
    answer: &TokenResponse,
) -> Result<Option<Identity>> {
    let Some(identity) = answer.identity() else {
        return Ok(None);
    };
    let account = description.qualify(identity.account.clone(), account_host)?;
    Ok(Some(
        Identity::new(account).with_metadata(identity.metadata.clone()),
    ))
}

/// Returns the origin to bind a new credential to. It is the origin that the connector selected
/// from the description, otherwise the description's first origin.
fn origin(
    description: &Description,
    account_host: Option<&str>,
    selected: Option<&Origin>,
) -> Result<Origin> {
    let host = account_host.unwrap_or_default();
    let Some(selected) = selected else {
        let first = description.api.first().ok_or_else(no_origin)?;
        return Ok(Origin::of(&first.url(host)?)?);
    };
    if has_origin(description, host, selected) {
        return Ok(selected.clone());
    }
    Err(Error::new(
        ErrorKind::Configuration,
        "token.renewal",
        "the connector selected an origin that is not in its description's `api`",
    )
    .with_provider(description.provider.as_str().to_owned()))
}

/// Returns true if `origin` is in the description's `api`, for the account with the given host.
/// `account_host` is empty if the account has no host of its own.
pub(crate) fn has_origin(description: &Description, account_host: &str, origin: &Origin) -> bool {
    let mut urls = description.api.iter().map(|it| it.url(account_host));
    urls.any(|url| url.is_ok_and(|url| Origin::of(&url).is_ok_and(|known| known == *origin)))
}

fn no_origin() -> Error {
    Error::new(
        ErrorKind::Configuration,
        "token.renewal",
        "the description's `api` contains no origin",
    )
}

/// Returns the credential after a refresh. Values that are missing in the response keep their
/// previous values.
pub(crate) fn next(
    description: &Description,
    app: &App,
    before: &Credential,
    refresh_left: Option<Duration>,
    answer: &TokenResponse,
    now: Timestamp,
) -> Renewed {
    let host = before.account_host();
    let scopes = answer.scopes().unwrap_or(before.scopes()).to_vec();
    // An origin that is not in the description is ignored.
    let origin = match origin(description, host, answer.origin()) {
        Ok(origin) if answer.origin().is_some() => origin,
        _ => before.origin().clone(),
    };
    let mut credential = Credential::new(before.kind(), origin, answer.access_token().clone(), now)
        .with_client_id(app.client_id())
        .with_scopes(scopes);
    if let Some(host) = host {
        credential = credential.with_account_host(host);
    }
    for (name, value) in before.extras().chain(answer.kept()) {
        credential = credential.with_extra(name, value.clone());
    }
    if let Some(refresh_token) = answer.refresh_token().or(before.refresh_token()) {
        credential = credential.with_refresh_token(refresh_token.clone());
    }
    let named = identity(description, host, answer).unwrap_or_default();
    let account = named.as_ref().map(|named| named.account.key.clone());
    // The connection keeps its account.
    let known = before.identity();
    let is_known = |named: &Identity| known.is_none_or(|it| it.account.key == named.account.key);
    if let Some(identity) = named.filter(is_known).or_else(|| known.cloned()) {
        credential = credential.with_identity(identity);
    }
    let same = |a: Option<&secrecy::SecretString>, b: Option<&secrecy::SecretString>| {
        a.map(ExposeSecret::expose_secret) == b.map(ExposeSecret::expose_secret)
    };
    let rotated = !same(credential.refresh_token(), before.refresh_token());
    let same_access = same(Some(credential.secret()), Some(before.secret()));
    // An unchanged refresh token keeps its expiry, whether or not the response repeats the token.
    let refresh_left = if rotated { None } else { refresh_left };
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
        account,
        ..renewed
    }
}

fn with_expiries(
    lifetimes: &Lifetimes,
    mut credential: Credential,
    answer: &TokenResponse,
    refresh_left: Option<Duration>,
    now: Timestamp,
) -> Renewed {
    let refreshable = credential.refresh_token().is_some();
    let is_oauth = credential.kind() == CredentialKind::OAuth;
    let access = match (answer.expires_in(), lifetimes.unstated) {
        (Some(expires_in), _) => Some(expires_in),
        (None, _) if !refreshable && (lifetimes.access_may_never_expire || !is_oauth) => None,
        (None, UnstatedLifetime::Assume(seconds)) => Some(Duration::from_secs(seconds)),
        (None, _) => None,
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
        account: None,
    }
}

/// Returns the total lifetime of a credential's access token; `None` if the token does not expire.
pub(crate) fn lifetime(credential: &Credential) -> Option<Duration> {
    credential
        .expires_at()
        .map(|end| end.since(credential.obtained_at()))
}

/// Returns the time until the refresh of a credential with the given expiries is due; `None` if it
/// is never due.
fn refresh_in(description: &Description, expiries: Expiries, id: ConnectionId) -> Option<Duration> {
    expiries
        .access
        .map(|access| windows(description, access, id).opens_in(access))
}

/// Returns the refresh windows for a token of the provider with the given lifetime.
pub(crate) fn windows(description: &Description, lifetime: Duration, id: ConnectionId) -> Windows {
    Windows::of(lifetime, description.lifetimes.refresh_ahead(), id)
}

/// Returns the time until a refresh token with the given expiries must be used; `None` if an unused
/// refresh token does not expire.
pub(crate) fn keep_alive_in(lifetimes: &Lifetimes, expiries: Expiries) -> Option<Duration> {
    let idle = lifetimes.idle_seconds.map(Duration::from_secs);
    let before_idle = idle.map(|idle| idle / 4 * 3);
    let before_end = expiries
        .refresh
        .map(|end| end.saturating_sub(ending(lifetimes, end)));
    before_idle.into_iter().chain(before_end).min()
}

/// Returns the time before expiry at which a refresh token with the given total lifetime counts as
/// about to expire.
pub(crate) fn ending(lifetimes: &Lifetimes, life: Duration) -> Duration {
    const MAX_DURATION: Duration = Duration::from_secs(14 * 86_400);
    lifetimes.notice().unwrap_or((life / 6).min(MAX_DURATION))
}

/// Returns the scheduled work for a credential, as side effects of the commit that stores it.
///
/// `refresh_left` is the remaining lifetime of the previous refresh token; `None` for a new grant.
/// A refresh that does not change the refresh token's expiry also does not change the work that
/// warns about the expiry.
pub(crate) fn work(
    description: &Description,
    id: ConnectionId,
    renewal: Renewal,
    expiries: Expiries,
    refresh_left: Option<Duration>,
) -> SideEffects {
    const NOISE: Duration = Duration::from_secs(60);
    let refresh = match description.refresh {
        // The credential cannot be refreshed: the work reports when the token has expired.
        _ if renewal == Renewal::Never => expiries.access,
        RefreshPolicy::OnDemand => None,
        _ => refresh_in(description, expiries, id),
    };
    let effects = SideEffects {
        schedule: vec![(WorkKind::Refresh, refresh)],
        audit: Vec::new(),
    };
    // Only refresh tokens lapse through disuse.
    if renewal != Renewal::RefreshToken {
        return effects.without_work(WorkKind::KeepAlive);
    }
    let lifetimes = &description.lifetimes;
    let moved = match (expiries.refresh, refresh_left) {
        (Some(now), Some(before)) => now > before + NOISE,
        _ => true,
    };
    match keep_alive_in(lifetimes, expiries) {
        Some(delay) if moved => effects.with_work(WorkKind::KeepAlive, delay),
        None if moved => effects.without_work(WorkKind::KeepAlive),
        Some(delay) if lifetimes.idle_seconds.is_some() && !delay.is_zero() => {
            effects.with_work(WorkKind::KeepAlive, delay)
        }
        _ => effects,
    }
}

#[cfg(test)]
mod tests {
    use connector_core::ProviderId;

    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn description() -> Description {
        Description::new(ProviderId::from_static("acme"), "Acme")
    }

    /// Returns the time in the effects. If the outer option is `None`, the work is not changed. If
    /// the inner option is `None`, the work is removed.
    #[expect(clippy::option_option, reason = "mirrors the form in the side effects")]
    fn due(effects: &SideEffects, kind: WorkKind) -> Option<Option<Duration>> {
        let of = effects.schedule.iter().find(|(of, _)| *of == kind);
        of.map(|(_, delay)| *delay)
    }

    fn plan(
        description: &Description,
        access: Option<Duration>,
        refresh: Option<Duration>,
        before: Option<Duration>,
    ) -> SideEffects {
        let id = ConnectionId::from_bytes([0; 16]);
        let expiries = Expiries { access, refresh };
        work(description, id, Renewal::RefreshToken, expiries, before)
    }

    fn refreshed(answer: &TokenResponse, left: Option<Duration>) -> Renewed {
        let mut description = description();
        description.lifetimes.refresh_seconds = Some(DAY.as_secs() * 365);
        let origin = Origin::parse("https://api.acme.example").unwrap();
        let now = Timestamp::from_unix_seconds(1_000_000);
        let before = Credential::new(CredentialKind::OAuth, origin, "access-1", now)
            .with_refresh_token("refresh-1");
        next(
            &description,
            &App::new("client"),
            &before,
            left,
            answer,
            now,
        )
    }

    #[test]
    fn an_owner_is_asked_as_long_ahead_as_the_description_says() {
        let mut lifetimes = Lifetimes::default();
        assert_eq!(ending(&lifetimes, DAY * 365), DAY * 14);
        assert_eq!(ending(&lifetimes, DAY * 60), DAY * 10);
        lifetimes.notice_seconds = Some(DAY.as_secs() * 30);
        assert_eq!(ending(&lifetimes, DAY * 365), DAY * 30);
        let year = Expiries {
            access: None,
            refresh: Some(DAY * 365),
        };
        assert_eq!(keep_alive_in(&lifetimes, year), Some(DAY * 335));
    }

    #[test]
    fn a_refresh_token_that_is_repeated_keeps_its_end() {
        let left = Some(DAY * 20);
        let repeated = TokenResponse::new("access-2").with_refresh_token("refresh-1");
        let renewed = refreshed(&repeated, left);
        assert!(!renewed.rotated);
        assert_eq!(renewed.expiries.refresh, left, "repeated");
        let omitted = refreshed(&TokenResponse::new("access-2"), left);
        assert_eq!(omitted.expiries.refresh, left, "omitted");
        let another = TokenResponse::new("access-2").with_refresh_token("refresh-2");
        let renewed = refreshed(&another, left);
        assert!(renewed.rotated);
        assert_eq!(renewed.expiries.refresh, Some(DAY * 365), "rotated");
        let stated = repeated.with_refresh_expires_in(DAY * 90);
        assert_eq!(refreshed(&stated, left).expiries.refresh, Some(DAY * 90));
    }

    #[test]
    fn a_policy_decides_about_access_tokens_and_never_about_refresh_tokens() {
        let mut description = description();
        let hour = Some(Duration::from_secs(3600));
        let proactive = plan(&description, hour, Some(DAY * 365), None);
        assert_eq!(
            due(&proactive, WorkKind::Refresh),
            Some(Some(Duration::from_secs(2700)))
        );
        assert_eq!(due(&proactive, WorkKind::KeepAlive), Some(Some(DAY * 351)));
        description.refresh = RefreshPolicy::OnDemand;
        let on_demand = plan(&description, hour, Some(DAY * 365), None);
        assert_eq!(due(&on_demand, WorkKind::Refresh), Some(None));
        assert_eq!(due(&on_demand, WorkKind::KeepAlive), Some(Some(DAY * 351)));
    }

    #[test]
    fn an_unchanged_expiry_keeps_its_scheduled_warning() {
        let hour = Some(Duration::from_secs(3600));
        let kept = plan(&description(), hour, Some(DAY * 20), Some(DAY * 20));
        assert_eq!(due(&kept, WorkKind::KeepAlive), None);
        let moved = plan(&description(), hour, Some(DAY * 30), Some(DAY * 20));
        assert_eq!(due(&moved, WorkKind::KeepAlive), Some(Some(DAY * 25)));
    }

    #[test]
    fn a_refresh_token_is_used_before_it_lay_idle_for_too_long() {
        let mut description = description();
        description.lifetimes.idle_seconds = Some(DAY.as_secs() * 60);
        let hour = Some(Duration::from_secs(3600));
        let plain = plan(&description, hour, None, None);
        assert_eq!(due(&plain, WorkKind::KeepAlive), Some(Some(DAY * 45)));
        let ending = plan(&description, hour, Some(DAY * 18), None);
        assert_eq!(due(&ending, WorkKind::KeepAlive), Some(Some(DAY * 15)));
    }

    #[test]
    fn a_token_that_cannot_be_refreshed_is_looked_at_when_it_ends() {
        let id = ConnectionId::from_bytes([0; 16]);
        let expiries = Expiries {
            access: Some(DAY),
            refresh: None,
        };
        let effects = work(&description(), id, Renewal::Never, expiries, None);
        assert_eq!(due(&effects, WorkKind::Refresh), Some(Some(DAY)));
        assert_eq!(due(&effects, WorkKind::KeepAlive), Some(None));
    }
}
