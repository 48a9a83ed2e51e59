//! Which connections lead to an account.

use connector_core::webhook::AccountHint;
use connector_core::{AppKey, ConnectionKey, ProviderId, Result};

use crate::flow::Purpose;
use crate::hub::Inner;

/// Connections read at a time.
const PAGE: u16 = 100;

impl Inner {
    /// The live connections of all tenants to an account.
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

    /// The live connections of all tenants to the account whose host was asked for.
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
