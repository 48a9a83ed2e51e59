//! The typed clients.

use crate::AmazonSpApi;

connector_core::provider::provider_client! {
    /// Client for one seller in one region.
    pub struct AmazonClient for AmazonSpApi::ID;
}

connector_core::provider::provider_client! {
    /// Client for operations that belong to the application, not to a seller (*grantless*
    /// operations).
    ///
    /// See [Amazon docs: Grantless operations](https://developer-docs.amazon.com/sp-api/docs/grantless-operations).
    pub struct GrantlessClient for AmazonSpApi::ID;
}
