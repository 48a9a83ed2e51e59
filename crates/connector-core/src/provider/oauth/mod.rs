//! OAuth 2.0 messages: what is asked of a provider and what its answers mean.
//!
//! Every function here is the default of a hook of [`Connector`](crate::provider::Connector); a connector
//! calls it for the part that follows the RFCs and changes what deviates.

mod answer;
mod authorization;
mod callback;
mod identity;
pub mod jwt;
mod pkce;
mod request;
mod revocation;
mod rotation;
#[cfg(test)]
mod tests;

pub use self::answer::{ExchangeClass, ExchangeError, TokenAnswer, read_token_answer};
pub(crate) use self::answer::{ProviderText, request_id};
pub use self::authorization::{AuthorizationRequest, authorization_url};
pub use self::callback::{Callback, CallbackProblem, check_callback};
pub use self::identity::{Identity, identify};
pub use self::pkce::CodeVerifier;
pub use self::request::{CodeExchange, TokenRequest, client_credentials, exchange_code, refresh};
pub use self::revocation::revoke;
pub use self::rotation::{Grace, RotationClass};
