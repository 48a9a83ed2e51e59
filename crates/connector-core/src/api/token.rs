//! Where a session takes its access token from.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use secrecy::SecretString;

use crate::access_token::{AccessToken, IssuedToken, TokenSlot};
use crate::clock::Timestamp;
use crate::connection::{Generation, GrantNumber};
use crate::credential::{Credential, CredentialKind};
use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;

pub(super) type Wait<'a> = Pin<Box<dyn Future<Output = Result<AccessToken>> + Send + 'a>>;

/// An access token, at once or after a wait.
#[must_use]
#[expect(
    missing_debug_implementations,
    reason = "it holds a token that is never to be shown"
)]
pub enum Token<'a> {
    /// It is there.
    Ready(AccessToken),
    /// Somebody has to fetch it first; the wait ends within 20 seconds.
    Wait(Wait<'a>),
}

/// Hands out the access token of one connection.
///
/// What must hold for every implementation:
/// * A token that is handed out has not expired.
/// * However many callers wait for a new one, one request is sent; a caller that goes away takes
///   nothing with it.
/// * [`TokenSource::after_rejection`] never returns the token that was refused.
pub trait TokenSource: Send + Sync + 'static {
    /// The token of the moment.
    fn token(&self) -> Token<'_>;

    /// Another token than `sent`, which the provider's API answered with 401.
    ///
    /// Fails with [`ErrorKind::Unauthorized`] if there is none, and as a refresh fails.
    fn after_rejection<'a>(&'a self, sent: &'a AccessToken) -> Wait<'a>;

    /// Takes note that the provider's API accepted `sent`. Called after every success, so it must be
    /// quick.
    fn accepted(&self, sent: &AccessToken) {
        let _ = sent;
    }
}

/// A token that nobody refreshes: an API key, or an access token for a script.
pub struct FixedToken(TokenSlot);

impl FixedToken {
    /// The token `secret`, which may be sent to `origin`.
    #[must_use]
    pub fn new(origin: Origin, secret: impl Into<SecretString>) -> Self {
        let credential = Credential::new(
            CredentialKind::ApiKey,
            origin,
            secret,
            Timestamp::UNIX_EPOCH,
        );
        let (grant, generation) = (GrantNumber::new(1), Generation::new(1));
        Self(TokenSlot::new(IssuedToken::new(
            &credential,
            grant,
            generation,
            None,
        )))
    }
}

impl fmt::Debug for FixedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FixedToken").field(&self.0).finish()
    }
}

impl TokenSource for FixedToken {
    fn token(&self) -> Token<'_> {
        Token::Ready(self.0.load())
    }

    fn after_rejection<'a>(&'a self, _: &'a AccessToken) -> Wait<'a> {
        Box::pin(std::future::ready(Err(Error::new(
            ErrorKind::Unauthorized,
            "api.token",
            "the provider refused the token, and nobody can refresh it; supply another one",
        ))))
    }
}
