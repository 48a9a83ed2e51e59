//! Details of one connection: scopes and expiry times.

use std::time::Duration;

use connector_core::{Connection, ConnectionKey, Result};

use crate::authorize::requested;
use crate::hub::{Hub, not_found};
use crate::sealing::SealOwner;
use crate::token::renewal;

const OPERATION: &str = "hub.details";

/// A connection with the facts that only its credential contains. It contains no secret.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConnectionDetails {
    /// The connection.
    pub connection: Connection,
    /// Granted scopes. `None` if the provider does not report them, or if the connection has no
    /// credential that can be opened.
    pub granted: Option<Vec<String>>,
    /// Scopes that the registration requests now and that are not granted. Empty if the granted
    /// scopes are unknown.
    pub missing: Vec<String>,
    /// Time until the access token expires. `None` if it does not expire.
    pub access_expires_in: Option<Duration>,
    /// Time until the refresh token expires, after which the owner must authorize again. `None` if
    /// it does not expire or the provider does not state when.
    pub refresh_expires_in: Option<Duration>,
    /// Time until the worker refreshes the credential. `None` if no refresh is planned.
    pub next_refresh_in: Option<Duration>,
}

impl Hub {
    /// Returns a connection with its scopes and expiry times. The call opens the credential, and
    /// sends no request to the provider.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`](connector_core::ErrorKind::NotFound) if the connection does not
    ///   exist.
    /// * [`ErrorKind::StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable): retry the
    ///   call.
    pub async fn details(&self, key: &ConnectionKey) -> Result<ConnectionDetails> {
        let inner = &self.inner;
        let stored = inner.store.load(key).await?;
        let stored = stored.ok_or_else(|| not_found(OPERATION))?;
        let credential = match &stored.current {
            // A connection whose credential cannot be opened is still listed with its status.
            Some(current) => inner
                .open_stored(&SealOwner::of(&stored), current)
                .await
                .ok(),
            None => None,
        };
        let left = |left: connector_core::store::TimeLeft| left.remaining();
        let access_left = stored.current.as_ref().and_then(|it| it.access_left);
        let refresh_left = stored.current.as_ref().and_then(|it| it.refresh_left);
        let connection = stored.connection;
        let connector = inner.connector(&connection.provider).ok();
        let next_refresh_in = match (&credential, connector, access_left) {
            (Some(credential), Some(connector), Some(left)) if connection.is_live() => {
                renewal::lifetime(credential).map(|life| {
                    renewal::windows(connector.description(), life, key.id)
                        .opens_in(left.remaining())
                })
            }
            _ => None,
        };
        let granted = credential
            .map(|it| it.scopes().to_vec())
            .filter(|scopes| !scopes.is_empty());
        let app = inner
            .app(&connection.provider, &key.tenant, &connection.app)
            .await
            .ok();
        let missing = match (&granted, connector, app) {
            (Some(granted), Some(connector), Some(app)) => requested(&app, connector.description())
                .into_iter()
                .filter(|scope| !granted.contains(scope))
                .collect(),
            _ => Vec::new(),
        };
        Ok(ConnectionDetails {
            connection: connection.into(),
            granted,
            missing,
            access_expires_in: access_left.map(left),
            refresh_expires_in: refresh_left.map(left),
            next_refresh_in,
        })
    }
}
