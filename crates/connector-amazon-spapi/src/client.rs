//! The typed clients.

use crate::AmazonSpApi;

connector_core::provider::provider_client! {
    /// The Selling Partner API of one seller in one region.
    pub struct AmazonClient for AmazonSpApi::ID;
}

connector_core::provider::provider_client! {
    /// The operations of the application itself, without a seller (*grantless* operations).
    ///
    /// See [Amazon docs: Grantless operations](https://developer-docs.amazon.com/sp-api/docs/grantless-operations).
    pub struct GrantlessClient for AmazonSpApi::ID;
}
