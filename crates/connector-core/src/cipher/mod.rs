//! Sealing: what a store keeps is unreadable without the keys and useless in any other place.

mod keyring;
mod long;
mod rotation;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

pub use self::keyring::{Keyring, KeyringError};
pub use self::long::{open_long, seal_long};
pub use self::rotation::{ResealedPage, UnopenableRow, reseal_page};
use crate::account::TenantId;
use crate::app::AppKey;
use crate::connection::{Fence, GrantNumber};
use crate::error::Result;
use crate::provider_id::ProviderId;

/// The longest plaintext that is sealed, in bytes.
pub const LONGEST_PLAINTEXT: usize = 65_536;

/// Names the key that sealed a record, without telling anything about it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// The id with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The id's bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

/// A sealed record as stores keep it: bytes that only a cipher understands, and the id of their key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    key_id: KeyId,
    bytes: Bytes,
}

impl Sealed {
    /// What a cipher produced, or what a store read back.
    #[must_use]
    pub fn new(key_id: KeyId, bytes: impl Into<Bytes>) -> Self {
        Self {
            key_id,
            bytes: bytes.into(),
        }
    }

    /// The key that sealed it.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// The sealed bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Sealed({} bytes under {})",
            self.bytes.len(),
            self.key_id
        )
    }
}

/// What was sealed, in memory for as short as possible and erased when dropped.
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// Takes the bytes over.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// The bytes. Do not copy them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // zeroize's own way with a Vec writes byte by byte, which for a usual record takes longer
        // than decrypting it. This fills the whole allocation at once, and the barrier keeps the
        // compiler from leaving it out.
        self.0.clear();
        self.0.resize(self.0.capacity(), 0);
        zeroize::optimization_barrier(self.0.as_slice());
    }
}

impl fmt::Debug for Plaintext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Plaintext({} bytes)", self.0.len())
    }
}

/// What kind of secret a record holds. Part of what a seal is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SealedKind {
    /// A connection's credential, whether current, previous or pending.
    Credential = 1,
    /// A token answer whose account is not known yet.
    Quarantine = 4,
    /// A credential that is kept only to be revoked.
    Revocation = 5,
    /// What a connect flow remembers.
    State = 6,
    /// The content of a delivery, sealed by [`seal_long`].
    Delivery = 7,
    /// The secret that a webhook's sender signs with.
    WebhookSecret = 8,
    /// A secret of the application's own registration.
    AppSecret = 9,
}

impl SealedKind {
    /// The number that stands in the seal.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// The kind with this number; `None` if this version does not know it.
    #[must_use]
    pub const fn from_code(code: u8) -> Option<Self> {
        Some(match code {
            1 => Self::Credential,
            4 => Self::Quarantine,
            5 => Self::Revocation,
            6 => Self::State,
            7 => Self::Delivery,
            8 => Self::WebhookSecret,
            9 => Self::AppSecret,
            _ => return None,
        })
    }
}

/// The context that a sealed record is bound to. The record opens in no other context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The tenant; `None` for what belongs to an app as a whole. Sealed as an empty tenant, which
    /// no [`TenantId`] can be.
    pub tenant: Option<&'a TenantId>,
    /// The provider.
    pub provider: &'a ProviderId,
    /// The registration.
    pub app: &'a AppKey,
    /// The id of the record it belongs to: a connection's id, a state's key. Never a number that a
    /// database gave.
    pub row: &'a str,
    /// What kind of secret it is.
    pub kind: SealedKind,
    /// The grant it belongs to; zero where there is none.
    pub grant: GrantNumber,
    /// The exchange that produced it; zero where there is none.
    pub fence: Fence,
}

impl<'a> SealContext<'a> {
    /// The context of a secret that belongs to no grant and no exchange.
    #[must_use]
    pub fn new(
        tenant: Option<&'a TenantId>,
        provider: &'a ProviderId,
        app: &'a AppKey,
        row: &'a str,
        kind: SealedKind,
    ) -> Self {
        Self {
            tenant,
            provider,
            app,
            row,
            kind,
            grant: GrantNumber::default(),
            fence: Fence::default(),
        }
    }
}

/// Seals secrets for stores and opens them again.
///
/// What must hold for every implementation (the names are the cases of the testkit's
/// `cipher_suite!`):
/// * What was sealed opens in its place, whatever its length from 0 to [`LONGEST_PLAINTEXT`] bytes
///   (`what_was_sealed_opens_in_its_place`).
/// * It opens in no other place: another tenant, provider, app, row, kind, grant or fence is
///   refused (`another_place_is_refused`).
/// * Changed, shortened or lengthened bytes are refused (`changed_bytes_are_refused`,
///   `truncated_bytes_are_refused`).
/// * Sealing twice gives different bytes (`sealing_twice_differs`).
/// * The sealed bytes do not contain the plaintext (`sealed_bytes_hide_the_plaintext`).
/// * A longer plaintext is refused before anything is done (`too_long_a_plaintext_is_refused`).
/// * What was sealed names the key that [`CredentialCipher::sealing_key`] names
///   (`sealed_under_the_sealing_key`).
/// * Nothing shown by an error or by `Debug` contains the plaintext
///   (`errors_do_not_show_the_plaintext`).
///
/// Any number of calls may run at once.
#[async_trait]
pub trait CredentialCipher: fmt::Debug + Send + Sync + 'static {
    /// Seals `plaintext` for `context`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if it is longer than
    /// [`LONGEST_PLAINTEXT`]; [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if a key
    /// service cannot be reached.
    async fn seal(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed>;

    /// Opens what was sealed for `context`.
    ///
    /// # Errors
    /// [`KeyUnknown`](crate::ErrorKind::KeyUnknown) if the key is not at hand: add it again;
    /// [`Unsealable`](crate::ErrorKind::Unsealable) if the bytes were changed or belong elsewhere:
    /// restore the row from a backup;
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if a key service cannot be reached.
    async fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext>;

    /// The key under which [`CredentialCipher::seal`] seals now. Records under other keys are
    /// sealed again by a rotation.
    fn sealing_key(&self) -> KeyId;
}
