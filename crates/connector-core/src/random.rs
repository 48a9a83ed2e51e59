//! Injectable randomness, with the [`Random`] trait and the [`SystemRandom`] implementation.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// A source of random bytes.
///
/// Code that needs random bytes takes a `Random`, so that a test or a simulation can repeat a run
/// exactly. Use [`SystemRandom`] in production: ids, OAuth states, salts and keys are only as
/// unpredictable as this source.
pub trait Random: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes` with random bytes. May be called concurrently.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the source fails. The content of `bytes` must not be used in that
    /// case.
    fn fill(&self, bytes: &mut [u8]) -> Result<()>;
}

/// Returns 32 random bytes as 43 characters of base64url, for a session id or the binding of a
/// connect flow to a browser.
///
/// # Errors
/// [`ErrorKind::Bug`] if the random source fails.
pub fn random_token(random: &dyn Random) -> Result<SecretString> {
    let mut bytes = Zeroizing::new([0_u8; 32]);
    random.fill(bytes.as_mut())?;
    Ok(SecretString::from(
        BASE64_URL_SAFE_NO_PAD.encode(bytes.as_ref()),
    ))
}

/// The cryptographically secure random generator of the operating system.
#[derive(Debug, Clone, Default)]
pub struct SystemRandom(());

impl SystemRandom {
    /// Creates a handle to the operating system's generator.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        ring::rand::SystemRandom::new().fill(bytes).map_err(|_| {
            Error::new(
                ErrorKind::Bug,
                "random.fill",
                "the operating system returned no random bytes",
            )
        })
    }
}
