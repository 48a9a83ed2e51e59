//! Which connections a delivery is about.

use connector_core::store::{Effects, Patch, WorkKind};
use connector_core::{ConnectionKey, Result, TenantId};
use std::time::Duration;

use super::payload::Payload;
use crate::hub::Inner;

/// Whom a delivery is handed out for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Route {
    /// These connections.
    Connections(Vec<ConnectionKey>),
    /// No connection that is known.
    Nobody,
    /// The one connection whose secret signed it has ended. Whoever holds that secret may speak for
    /// that connection and for nothing else.
    Gone,
}

impl Inner {
    /// Whom a delivery is handed out for, as of now.
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
        Ok(if found.is_empty() {
            Route::Nobody
        } else {
            Route::Connections(found)
        })
    }

    /// Has the worker ask the provider about a connection now. Its answer decides what becomes of
    /// the connection; the delivery decides nothing.
    pub(crate) async fn probe(&self, key: &ConnectionKey) -> Result<()> {
        let effects = || Effects::none().with_work(WorkKind::Metadata, Duration::ZERO);
        self.patch(key, |_| (Patch::default(), effects())).await
    }
}
