//! The source of a session's access tokens.

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

/// An access token that is available immediately or after a wait.
#[must_use]
#[expect(
    missing_debug_implementations,
    reason = "it contains a token, which must not be printed"
)]
pub enum Token<'a> {
    /// The token is available now.
    Ready(AccessToken),
    /// The token must be fetched first. The wait ends within 20 seconds.
    Wait(Wait<'a>),
}

/// A source of access tokens for one connection.
///
/// Every implementation must follow these rules:
/// * A returned token has not expired.
/// * All callers that wait for a new token share one request. The request continues if a caller is
///   dropped.
/// * [`TokenSource::after_rejection`] never returns the rejected token.
pub trait TokenSource: Send + Sync + 'static {
    /// Returns the current token.
    fn token(&self) -> Token<'_>;

    /// Returns another token after the provider's API has rejected `sent` with a 401.
    ///
    /// Fails with [`ErrorKind::Unauthorized`] if there is no other token, or with the error of the
    /// refresh.
    fn after_rejection<'a>(&'a self, sent: &'a AccessToken) -> Wait<'a>;

    /// Records that the provider's API accepted `sent`. Called after every success, so it must be
    /// fast.
    fn accepted(&self, sent: &AccessToken) {
        let _ = sent;
    }
}

/// A token that is never refreshed, for example an API key or an access token for a script.
pub struct FixedToken(TokenSlot);

impl FixedToken {
    /// Creates a token source for `secret`, which may be sent only to `origin`.
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
            "the provider rejected the token, and it cannot be refreshed; supply another one",
        ))))
    }
}
