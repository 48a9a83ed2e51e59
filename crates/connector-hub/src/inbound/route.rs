//! Routing of deliveries to connections.

use connector_core::store::{Patch, SideEffects, WorkKind};
use connector_core::webhook::AccountHint;
use connector_core::{ConnectionKey, ErrorKind, Result, Retry, TenantId};
use std::time::Duration;

use super::payload::Payload;
use crate::hub::Inner;
use crate::sealing::SealOwner;

/// The recipients of a delivery.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// These connections.
    Connections(Vec<ConnectionKey>),
    /// No known connection.
    Nobody,
    /// The delivery was signed with the secret of a single connection, and this connection has
    /// ended. The secret is not valid for any other connection.
    Gone,
}

impl Inner {
    /// Returns the current recipients of a delivery.
    pub(crate) async fn route(
        &self,
        payload: &Payload,
        tenant: Option<&TenantId>,
    ) -> Result<Route> {
        if let Some(key) = &payload.connection {
            let stored = self.store.load(key).await?;
            let lives = stored.is_some_and(|stored| stored.connection.is_live());
            return Ok(if lives {
                Route::Connections(vec![key.clone()])
            } else {
                Route::Gone
            });
        }
        let event = &payload.event;
        let mut found = match &event.account {
            Some(hint) => {
                self.connections_of(&event.provider, &event.app, hint)
                    .await?
            }
            None => Vec::new(),
        };
        if let Some(tenant) = tenant {
            found.retain(|key| key.tenant == *tenant);
        }
        let mut connections = Vec::with_capacity(found.len());
        if let Some(hint) = &event.account {
            for key in found {
                if self.leads_to(&key, hint).await? {
                    connections.push(key);
                }
            }
        }
        Ok(if connections.is_empty() {
            Route::Nobody
        } else {
            Route::Connections(connections)
        })
    }

    /// Returns true if the connection's sealed credential belongs to this account. The unsealed
    /// host and key in the row are not trusted, because anyone with write access to the database
    /// can change them.
    async fn leads_to(&self, key: &ConnectionKey, account: &AccountHint) -> Result<bool> {
        let Some(stored) = self.store.load(key).await? else {
            return Ok(false);
        };
        let Some(current) = stored
            .current
            .as_ref()
            .filter(|_| stored.connection.is_live())
        else {
            return Ok(false);
        };
        let opened = self.open_stored(&SealOwner::of(&stored), current).await;
        let connector = self.connector(&stored.connection.provider)?;
        if opened
            .as_ref()
            .is_ok_and(|it| !connector.receives_deliveries(it))
        {
            return Ok(false);
        }
        let is_same = match &opened {
            Ok(credential) => match account {
                AccountHint::Host(host) => credential.account_host() == Some(host.as_str()),
                AccountHint::Key(key) => credential.account() == Some(key),
                _ => false,
            },
            // Another node may have the key, or the key service may recover.
            Err(error)
                if error.kind() == ErrorKind::KeyUnknown || error.retry() != Retry::Never =>
            {
                return opened.map(|_| false);
            }
            Err(_) => false,
        };
        if !is_same {
            tracing::error!(
                operation = "hub.route",
                connection = %key.id,
                "the account in a connection's record differs from the account in its sealed \
                 credential; no delivery is passed on for the connection"
            );
        }
        Ok(is_same)
    }

    /// Schedules a probe of a connection now. The delivery does not change the connection. Only the
    /// provider's response to the probe can change it.
    pub(crate) async fn probe(&self, key: &ConnectionKey) -> Result<()> {
        let effects = || SideEffects::none().with_work(WorkKind::Metadata, Duration::ZERO);
        self.patch(key, |_| (Patch::default(), effects())).await
    }
}
