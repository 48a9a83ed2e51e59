//! Proof Key for Code Exchange (RFC 7636).

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use oauth2::{PkceCodeChallenge, PkceCodeVerifier};
use ring::digest::{Context, SHA256, digest};
use secrecy::{ExposeSecret, SecretString};

use crate::error::{Error, ErrorKind, Result};
use crate::random::{Random, random_token};

/// A PKCE code verifier (RFC 7636 section 4.1).
#[derive(Clone)]
pub struct CodeVerifier(SecretString);

impl CodeVerifier {
    /// Generates a random verifier.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        random_token(random).map(Self)
    }

    /// Restores a stored verifier of 43 to 128 unreserved characters.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the text is not a code verifier. The error does not contain
    /// the text.
    pub fn from_secret(secret: SecretString) -> Result<Self> {
        let text = secret.expose_secret();
        let unreserved =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if (43..=128).contains(&text.len()) && text.bytes().all(unreserved) {
            Ok(Self(secret))
        } else {
            Err(Error::new(
                ErrorKind::InvalidInput,
                "oauth.code_verifier",
                "a code verifier has 43 to 128 unreserved characters (RFC 7636 section 4.1)",
            ))
        }
    }

    /// Returns the verifier. The code exchange contains the verifier.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.0
    }

    /// Returns the challenge for the authorization request (RFC 7636 section 4.2).
    #[must_use]
    pub fn challenge(&self) -> String {
        self.pkce_challenge().as_str().to_owned()
    }

    /// Returns the SHA-256 of the verifier in lowercase hexadecimal.
    pub(crate) fn hexadecimal_challenge(&self) -> String {
        hex::encode(digest(&SHA256, self.0.expose_secret().as_bytes()).as_ref())
    }

    /// Returns the `nonce` of the flow (OpenID Connect Core section 3.1.2.1).
    ///
    /// The nonce is derived from the verifier, so it does not have to be stored.
    pub(crate) fn nonce(&self) -> String {
        let mut context = Context::new(&SHA256);
        context.update(b"nonce\0");
        context.update(self.0.expose_secret().as_bytes());
        BASE64_URL_SAFE_NO_PAD.encode(context.finish().as_ref())
    }

    pub(crate) fn pkce_challenge(&self) -> PkceCodeChallenge {
        PkceCodeChallenge::from_code_verifier_sha256(&self.pkce_verifier())
    }

    pub(crate) fn pkce_verifier(&self) -> PkceCodeVerifier {
        PkceCodeVerifier::new(self.0.expose_secret().to_owned())
    }
}

impl fmt::Debug for CodeVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CodeVerifier(secret)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_challenge_is_that_of_rfc_7636_appendix_b() {
        let verifier =
            CodeVerifier::from_secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into())
                .unwrap();
        assert_eq!(
            verifier.challenge(),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }

    #[test]
    fn an_invalid_verifier_is_refused() {
        for bad in ["short", &"a".repeat(129), &format!("{}+", "a".repeat(43))] {
            assert!(CodeVerifier::from_secret(bad.to_owned().into()).is_err());
        }
    }

    #[test]
    fn random_tokens_have_43_characters_and_differ() {
        let random = crate::random::SystemRandom::new();
        let [a, b] = [
            random_token(&random).unwrap(),
            random_token(&random).unwrap(),
        ];
        assert_eq!(a.expose_secret().len(), 43);
        assert_ne!(a.expose_secret(), b.expose_secret());
    }
}
