//! OAuth 2.0 messages: requests to a provider and their responses.
//!
//! The public functions of this module are the defaults of the
//! [`Connector`](crate::provider::Connector) hooks. A connector calls them for everything that
//! follows the RFCs and overrides only what deviates.

mod authorization;
mod callback;
mod identity;
pub mod jwt;
mod pkce;
mod request;
mod response;
mod revocation;
mod rotation;
#[cfg(test)]
mod tests;

pub use self::authorization::{AuthorizationRequest, authorization_url};
pub use self::callback::{Callback, CallbackProblem, check_callback};
pub use self::identity::{Identity, identify};
pub use self::pkce::CodeVerifier;
pub use self::request::{CodeExchange, TokenRequest, client_credentials, exchange_code, refresh};
pub use self::response::{ExchangeClass, ExchangeError, TokenResponse, read_token_response};
pub(crate) use self::response::{ProviderText, request_id};
pub use self::revocation::revoke;
pub use self::rotation::{Grace, RotationClass};
