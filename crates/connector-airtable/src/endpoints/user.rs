use connector_core::Result;
use connector_core::api::{Idempotency, Request, Response};
use connector_core::provider::Endpoint;
use http::Method;

use super::to;
use crate::AirtableClient;
use crate::models::User;

/// Gets the user and the scopes of the access token.
///
/// See [Airtable docs: Get user ID & scopes](https://airtable.com/developers/web/api/get-user-id-scopes).
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct WhoAmI(());

impl WhoAmI {
    /// Creates the operation.
    pub const fn new() -> Self {
        Self(())
    }
}

impl Endpoint for WhoAmI {
    type Client = AirtableClient;
    type Output = User;
    const NAME: &'static str = "WhoAmI";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        to(Method::GET, &["meta", "whoami"])
    }

    fn decode(&self, response: &mut Response) -> Result<User> {
        response.json()
    }
}
