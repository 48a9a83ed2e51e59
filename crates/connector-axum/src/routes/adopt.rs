//! Adopts credentials that other programs obtained.

use std::time::Duration;

use connector_core::http::Origin;
use connector_core::provider::Description;
use connector_core::{AppKey, ConnectionId, Credential, CredentialKind, Error};
use http::StatusCode;
use secrecy::ExposeSecret;
use url::Url;

use super::views::{AdoptKind, AdoptRequest, ConnectionDetail};
use crate::problem::{Code, Problem};
use crate::serve::{Call, Outcome, Reply};

pub(super) async fn adopt(call: Call) -> Outcome {
    let description = call.connector()?;
    let request: AdoptRequest = call.content()?;
    let caller = call.caller()?;
    let shared = &call.shared;
    let credential = credential(description, &request, shared.clock.now())?;
    let mut adopt = shared
        .hub
        .adopt(caller.tenant(), description.provider.clone(), credential)
        .actor(caller.actor().clone())
        .correlation(call.correlation()?);
    if let Some(app) = request.app {
        adopt = adopt.app(AppKey::new(app).map_err(Error::from)?);
    }
    if let Some(id) = request.reconnect {
        let id: ConnectionId = id
            .parse()
            .map_err(|_| Problem::new(&Code::NOT_FOUND, "this is not a connection id"))?;
        adopt = adopt.reconnect(id);
    }
    let connected = adopt.await?;
    let details = shared.hub.details(connected.key()).await?;
    Reply::json(
        StatusCode::CREATED,
        &ConnectionDetail::new(&details, shared.clock.now()),
    )
}

fn credential(
    description: &Description,
    request: &AdoptRequest,
    now: connector_core::clock::Timestamp,
) -> Result<Credential, Problem> {
    let kind = match request.kind {
        AdoptKind::Oauth => CredentialKind::OAuth,
        AdoptKind::ApiKey => CredentialKind::ApiKey,
        AdoptKind::SecretUrl => CredentialKind::SecretUrl,
    };
    let secret = request.secret.as_ref();
    let secret = secret.filter(|it| !it.expose_secret().is_empty());
    let origin = match (kind, secret, &request.origin) {
        (CredentialKind::SecretUrl, Some(secret), _) => {
            let url = Url::parse(secret.expose_secret())
                .map_err(|_| Problem::invalid("the secret address is not a URL"))?;
            Origin::of(&url).map_err(Error::from)?
        }
        (_, _, Some(origin)) => Origin::parse(origin).map_err(Error::from)?,
        _ => {
            let template = description.api.first().ok_or_else(|| {
                Problem::invalid("the connector has no default origin; set `origin`")
            })?;
            if template.wants_account() && request.account.is_none() {
                return Err(Problem::invalid(
                    "accounts of this provider have their own hosts; set `account`",
                ));
            }
            // A malformed host gives no URL, or one that the hub refuses.
            let url = template
                .url(request.account.as_deref().unwrap_or_default())
                .map_err(|_| Problem::invalid("`account` is not a host of this provider"))?;
            Origin::of(&url).map_err(Error::from)?
        }
    };
    let mut credential = match (secret, &request.refresh_token) {
        (Some(secret), _) => Credential::new(kind, origin, secret.clone(), now),
        (None, Some(_)) => Credential::unissued(kind, origin, now),
        (None, None) => {
            return Err(Problem::invalid(
                "the credential has neither `secret` nor `refresh_token`",
            ));
        }
    };
    if let Some(token) = &request.refresh_token {
        credential = credential.with_refresh_token(token.clone());
    }
    if let Some(account) = &request.account {
        credential = credential.with_account_host(account);
    }
    if let Some(client_id) = &request.client_id {
        credential = credential.with_client_id(client_id);
    }
    if let Some(scopes) = &request.scopes {
        credential = credential.with_scopes(scopes.iter().cloned());
    }
    if let (Some(seconds), Some(_)) = (request.expires_in_seconds, secret) {
        credential = credential.with_expiry(now.after(Duration::from_secs(seconds.into())));
    }
    Ok(credential)
}
