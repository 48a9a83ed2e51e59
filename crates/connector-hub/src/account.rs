//! Account identification: the account of a credential, and the connections to an account.

use connector_core::provider::oauth::Identity;
use connector_core::provider::{Connector, Context};
use connector_core::webhook::AccountHint;
use connector_core::{AppKey, ConnectionKey, Credential, ProviderId, Result};

use crate::flow::Purpose;
use crate::hub::Inner;

/// Page size for reading connections.
const PAGE: u16 = 100;

/// Asks the provider for the account of a credential. The returned account key is unique across the
/// provider's hosts.
pub(crate) async fn identify(
    connector: &dyn Connector,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    let mut identity = connector.identify(cx, credential).await?;
    let host = credential.account_host();
    identity.account = connector.description().qualify(identity.account, host)?;
    Ok(identity)
}

impl Inner {
    /// Returns the active connections of all tenants to an account.
    pub(crate) async fn connections_of(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        account: &AccountHint,
    ) -> Result<Vec<ConnectionKey>> {
        let store = &self.store;
        let (mut found, mut after) = (Vec::new(), None);
        loop {
            let cursor = after.as_ref();
            let slice = match account {
                AccountHint::Key(key) => {
                    store
                        .find_by_account(provider, app, key, cursor, PAGE)
                        .await?
                }
                AccountHint::Host(host) => {
                    store
                        .find_by_host(provider, app, host, cursor, PAGE)
                        .await?
                }
                _ => return Ok(found),
            };
            found.extend(slice.items);
            after = slice.next;
            if after.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the active connections of all tenants to the account with the requested host.
    pub(crate) async fn at_host(&self, purpose: &Purpose) -> Result<Vec<ConnectionKey>> {
        match &purpose.account_host {
            Some(host) => {
                let hint = AccountHint::Host(host.clone());
                self.connections_of(&purpose.provider, &purpose.app, &hint)
                    .await
            }
            None => Ok(Vec::new()),
        }
    }
}
