//! Secrets and signatures.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use ring::hmac;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use secrecy::{ExposeSecret, SecretString};
use zeroize::Zeroizing;

use super::MessageId;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::random::Random;

/// The header with the message id.
pub const WEBHOOK_ID: &str = "webhook-id";
/// The header with the time of the attempt, in seconds since 1970.
pub const WEBHOOK_TIMESTAMP: &str = "webhook-timestamp";
/// The header with one signature per live secret, separated by spaces.
pub const WEBHOOK_SIGNATURE: &str = "webhook-signature";

const SYMMETRIC: &str = "whsec_";
const PRIVATE: &str = "whsk_";
const PUBLIC: &str = "whpk_";
/// Length of a generated symmetric key, in bytes.
const GENERATED: usize = 32;
/// Length of a symmetric key, in bytes. Standard Webhooks requires 24 to 64 bytes.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// Length of an Ed25519 seed, in bytes.
const SEED: usize = 32;

/// The algorithm of a signature.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SignatureAlgorithm {
    /// `v1`: HMAC-SHA256 with a secret that sender and receiver share.
    #[default]
    HmacSha256,
    /// `v1a`: Ed25519. The receiver has only the public key.
    Ed25519,
}

/// A secret that signs messages. `Debug` shows only the algorithm.
#[derive(Clone)]
pub struct SigningSecret(Kind);

#[derive(Clone)]
enum Kind {
    Hmac(Zeroizing<Vec<u8>>),
    /// The seed, followed by the public key.
    Ed25519(Zeroizing<Vec<u8>>),
}

impl SigningSecret {
    /// Generates a secret.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(algorithm: SignatureAlgorithm, random: &dyn Random) -> Result<Self> {
        let mut bytes = Zeroizing::new(vec![0; GENERATED]);
        random.fill(&mut bytes)?;
        match algorithm {
            SignatureAlgorithm::HmacSha256 => Ok(Self(Kind::Hmac(bytes))),
            SignatureAlgorithm::Ed25519 => {
                let pair = Ed25519KeyPair::from_seed_unchecked(&bytes).map_err(|_| unusable())?;
                // Reserved in full, because a growing vector leaves copies in memory.
                let mut whole = Zeroizing::new(Vec::with_capacity(2 * SEED));
                whole.extend_from_slice(&bytes);
                whole.extend_from_slice(pair.public_key().as_ref());
                Ok(Self(Kind::Ed25519(whole)))
            }
        }
    }

    /// Parses a secret: `whsec_` and the base64 of 24 to 64 bytes, or `whsk_` and the base64 of an
    /// Ed25519 seed and its public key.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the text has another form, or if the public key does not
    /// belong to the seed. The message does not contain the text.
    pub fn parse(text: &SecretString) -> Result<Self> {
        let text = text.expose_secret();
        let decode = |text: &str| {
            let decoded = BASE64_STANDARD.decode(text).map(Zeroizing::new);
            decoded.map_err(|_| unusable())
        };
        if let Some(text) = text.strip_prefix(SYMMETRIC) {
            let key = decode(text)?;
            if LENGTHS.contains(&key.len()) {
                return Ok(Self(Kind::Hmac(key)));
            }
        } else if let Some(text) = text.strip_prefix(PRIVATE) {
            let key = decode(text)?;
            if pair(&key).is_some() {
                return Ok(Self(Kind::Ed25519(key)));
            }
        }
        Err(unusable())
    }

    /// Returns the secret in its text form, `whsec_…` or `whsk_…`.
    #[must_use]
    pub fn to_text(&self) -> SecretString {
        let (prefix, bytes) = match &self.0 {
            Kind::Hmac(key) => (SYMMETRIC, key),
            Kind::Ed25519(key) => (PRIVATE, key),
        };
        SecretString::from(format!("{prefix}{}", BASE64_STANDARD.encode(bytes)))
    }

    /// Returns what the receiver needs to verify signatures: the secret itself for HMAC, or the
    /// public key `whpk_…` for Ed25519. Show it only to the endpoint's owner.
    #[must_use]
    pub fn verification_key(&self) -> SecretString {
        match &self.0 {
            Kind::Hmac(_) => self.to_text(),
            Kind::Ed25519(key) => {
                let public = key.get(SEED..).unwrap_or_default();
                SecretString::from(format!("{PUBLIC}{}", BASE64_STANDARD.encode(public)))
            }
        }
    }

    /// Returns the algorithm.
    #[must_use]
    pub const fn algorithm(&self) -> SignatureAlgorithm {
        match self.0 {
            Kind::Hmac(_) => SignatureAlgorithm::HmacSha256,
            Kind::Ed25519(_) => SignatureAlgorithm::Ed25519,
        }
    }

    fn sign(&self, parts: [&[u8]; 3]) -> Option<String> {
        let signature = match &self.0 {
            Kind::Hmac(key) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key);
                let mut context = hmac::Context::with_key(&key);
                for part in parts {
                    context.update(part);
                }
                format!("v1,{}", BASE64_STANDARD.encode(context.sign()))
            }
            Kind::Ed25519(key) => {
                let signature = pair(key)?.sign(&parts.concat());
                format!("v1a,{}", BASE64_STANDARD.encode(signature))
            }
        };
        Some(signature)
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningSecret")
            .field("algorithm", &self.algorithm())
            .finish_non_exhaustive()
    }
}

fn pair(key: &[u8]) -> Option<Ed25519KeyPair> {
    let (seed, public) = key.split_at_checked(SEED)?;
    Ed25519KeyPair::from_seed_and_public_key(seed, public).ok()
}

/// Returns the value of the header [`WEBHOOK_SIGNATURE`]: one signature per secret, in the given
/// order. The signed text is the id, the time in seconds and the body, joined by dots.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if there is no secret.
pub fn sign(
    secrets: &[SigningSecret],
    id: &MessageId,
    at: Timestamp,
    body: &[u8],
) -> Result<String> {
    let head = format!("{id}.{}", at.as_unix_seconds());
    let parts = [head.as_bytes(), b".", body];
    let signatures: Option<Vec<_>> = secrets.iter().map(|it| it.sign(parts)).collect();
    let signatures = signatures.filter(|it| !it.is_empty());
    Ok(signatures.ok_or_else(unusable)?.join(" "))
}

fn unusable() -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        "outbound.signing",
        "a signing secret is missing or invalid; use `whsec_` and the base64 of 24 to 64 bytes, or \
         `whsk_` and the base64 of an Ed25519 seed and its public key",
    )
}
