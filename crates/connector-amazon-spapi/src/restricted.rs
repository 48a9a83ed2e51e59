//! Clients for operations that return personal data.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::api::TokenMint;
use connector_core::provider::ProviderClient as _;
use connector_core::{Credential, CredentialKind, Error, ErrorKind, Result};

use crate::AmazonClient;
use crate::endpoints::CreateRestrictedDataToken;
use crate::models::token::{RestrictedDataTokenBody, RestrictedResource};

/// Maximum number of cached clients. When it is exceeded, the cache is cleared.
const EVICTION_THRESHOLD: usize = 256;
/// Default lifetime of a token, in seconds, for responses that state none.
const LIFETIME: u64 = 3600;

/// Clients of one seller for operations that return personal data. Each set of operations has one
/// restricted data token, which is requested on first use and replaced before it expires.
///
/// Clones share the tokens.
///
/// See [Amazon docs: Tokens API](https://developer-docs.amazon.com/sp-api/docs/tokens-api-use-case-guide).
///
/// ```no_run
/// # use connector_core::Result;
/// use connector_amazon_spapi::models::token::{RestrictedMethod, RestrictedResource};
/// use connector_amazon_spapi::{AmazonClient, RestrictedClients};
/// # async fn example(client: AmazonClient) -> Result<()> {
/// let restricted = RestrictedClients::new(client);
/// let path = "/orders/v0/orders/{orderId}/regulatedInfo";
/// let resource = RestrictedResource::new(RestrictedMethod::Get, path);
/// let client = restricted.client([resource])?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RestrictedClients {
    client: AmazonClient,
    sets: Arc<Mutex<BTreeMap<String, AmazonClient>>>,
}

impl RestrictedClients {
    /// Creates a cache of restricted clients. `client` requests their tokens.
    #[must_use]
    pub fn new(client: AmazonClient) -> Self {
        Self {
            client,
            sets: Arc::default(),
        }
    }

    /// Returns the client for a set of 1 to 50 operations. The token is requested by the first
    /// call.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there are no operations or more than 50, or if the path of a
    /// report document contains a placeholder instead of the document id. Amazon accepts no generic
    /// path for report documents.
    pub fn client(
        &self,
        resources: impl IntoIterator<Item = RestrictedResource>,
    ) -> Result<AmazonClient> {
        let mut keyed = BTreeMap::new();
        for mut resource in resources {
            resource.data_elements.sort_unstable();
            resource.data_elements.dedup();
            let path = resource.path.as_deref().unwrap_or_default();
            if path.starts_with("/reports/") && path.contains('{') {
                return Err(wrong(
                    "the path of a report document needs the id of the document, not a placeholder",
                ));
            }
            let key = serde_json::to_string(&resource);
            keyed.insert(
                key.map_err(|_| wrong("an operation has no JSON form"))?,
                resource,
            );
        }
        if !(1..=50).contains(&keyed.len()) {
            return Err(wrong("a token is for 1 to 50 operations; pass 1 to 50"));
        }
        let key: String = keyed.keys().map(String::as_str).collect();
        let mut sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = sets.get(&key) {
            return Ok(client.clone());
        }
        if sets.len() >= EVICTION_THRESHOLD {
            sets.clear();
        }
        let mint = Mint {
            client: self.client.clone(),
            body: RestrictedDataTokenBody::new(keyed.into_values()),
        };
        let client = AmazonClient::new(self.client.session().with_mint(mint));
        sets.insert(key, client.clone());
        Ok(client)
    }
}

impl fmt::Debug for RestrictedClients {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sets = self.sets.lock().unwrap_or_else(PoisonError::into_inner);
        f.debug_struct("RestrictedClients")
            .field("sets", &sets.len())
            .finish_non_exhaustive()
    }
}

fn wrong(message: &'static str) -> Error {
    let error = Error::new(ErrorKind::InvalidInput, "amazon.restricted", message);
    crate::error::ours(error)
}

/// Requests the token of one set of operations with the seller's access token.
struct Mint {
    client: AmazonClient,
    body: RestrictedDataTokenBody,
}

#[async_trait]
impl TokenMint for Mint {
    async fn mint(&self) -> Result<Credential> {
        let operation = CreateRestrictedDataToken::new(&self.body);
        let token = self.client.send(&operation).await?;
        let session = self.client.session();
        let now = session.clock().now();
        let lifetime = Duration::from_secs(token.expires_in.unwrap_or(LIFETIME));
        let kind = CredentialKind::OAuth;
        let origin = session.origin().await?;
        let credential = Credential::new(kind, origin, token.restricted_data_token, now);
        Ok(credential.with_expiry(now.after(lifetime)))
    }
}
