//! Randomness as a dependency: [`Random`] and the [`SystemRandom`] behind it.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use ring::rand::SecureRandom as _;
use secrecy::SecretString;
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};

/// Where the library takes random bytes from.
///
/// Everything that draws takes one of these, so that a test or a simulation can replay a run. In a
/// service it is [`SystemRandom`]: ids, states, salts and keys are only as hard to guess as what
/// this gives.
pub trait Random: fmt::Debug + Send + Sync + 'static {
    /// Fills `bytes`; any number of calls may run at once.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the source fails. `bytes` must not be used then.
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

/// The operating system's generator for cryptographic use.
#[derive(Debug, Clone, Default)]
pub struct SystemRandom(());

impl SystemRandom {
    /// The generator of this machine.
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
                "the operating system gave no random bytes",
            )
        })
    }
}
