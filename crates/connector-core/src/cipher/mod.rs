//! Encryption of secrets for stores. A sealed record can be opened only with its key and only in
//! its own context.

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

/// Maximum length of a plaintext in bytes.
pub const MAX_PLAINTEXT: usize = 65_536;

/// The id of the key that sealed a record. It reveals nothing about the key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; 8]);

impl KeyId {
    /// Creates an id from its 8 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the 8 bytes of the id.
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

/// A sealed record in its stored form: the encrypted bytes and the id of their key.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    key_id: KeyId,
    bytes: Bytes,
}

impl Sealed {
    /// Creates a sealed record from the output of a cipher or from a stored row.
    #[must_use]
    pub fn new(key_id: KeyId, bytes: impl Into<Bytes>) -> Self {
        Self {
            key_id,
            bytes: bytes.into(),
        }
    }

    /// Returns the id of the key that sealed the record.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Returns the sealed bytes.
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

/// A decrypted secret. The bytes are zeroed on drop. Drop the value as soon as possible.
pub struct Plaintext(Vec<u8>);

impl Plaintext {
    /// Creates a plaintext that owns `bytes`.
    #[must_use]
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Returns the bytes. Do not copy them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Plaintext {
    fn drop(&mut self) {
        // `zeroize` clears a `Vec` byte by byte, which for a typical record takes longer than the
        // decryption. This code fills the whole allocation at once, and the barrier prevents the
        // compiler from removing the write.
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

/// Kind of the secret in a record. The seal is bound to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum SealedKind {
    /// A current, previous or pending credential of a connection.
    Credential = 1,
    /// A token response whose account has not been identified yet.
    Quarantine = 4,
    /// A credential that is stored only to be revoked.
    Revocation = 5,
    /// The data of a connect flow.
    State = 6,
    /// The content of a delivery, sealed with [`seal_long`].
    Delivery = 7,
    /// A webhook signing secret.
    WebhookSecret = 8,
    /// A secret of an app registration.
    AppSecret = 9,
}

impl SealedKind {
    /// Returns the numeric code that the seal contains.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// Returns the kind with the given numeric code, or `None` if this version does not know the
    /// code.
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

/// The context that a sealed record is bound to. The record cannot be opened in any other context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SealContext<'a> {
    /// The tenant; `None` for records of an app as a whole. The cipher seals such a record with an
    /// empty tenant, which is not a valid [`TenantId`].
    pub tenant: Option<&'a TenantId>,
    /// The provider.
    pub provider: &'a ProviderId,
    /// The app registration.
    pub app: &'a AppKey,
    /// The id of the record, for example a connection id or a state key. Do not use a number that
    /// the database assigned.
    pub row: &'a str,
    /// The kind of secret.
    pub kind: SealedKind,
    /// The grant that the secret belongs to; zero if there is none.
    pub grant: GrantNumber,
    /// The fence of the exchange that produced the secret; zero if there is none.
    pub fence: Fence,
}

impl<'a> SealContext<'a> {
    /// Creates the context of a secret that belongs to no grant and no exchange.
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
/// Every implementation must follow these rules. The name after each rule is its test case in the
/// testkit's `cipher_suite!`:
/// * A sealed plaintext of 0 to [`MAX_PLAINTEXT`] bytes opens in its context
///   (`what_was_sealed_opens_in_its_place`).
/// * A sealed record does not open in another context, that is, with another tenant, provider, app,
///   row, kind, grant or fence (`another_place_is_refused`).
/// * Modified, truncated or extended bytes are rejected (`changed_bytes_are_refused`,
///   `truncated_bytes_are_refused`).
/// * Sealing the same plaintext twice returns different bytes (`sealing_twice_differs`).
/// * The sealed bytes do not contain the plaintext (`sealed_bytes_hide_the_plaintext`).
/// * A plaintext that is too long is rejected before anything else is done
///   (`too_long_a_plaintext_is_refused`).
/// * A sealed record contains the key id that [`CredentialCipher::sealing_key`] returns
///   (`sealed_under_the_sealing_key`).
/// * Errors and `Debug` output never contain the plaintext (`errors_do_not_show_the_plaintext`).
///
/// The methods may be called concurrently.
#[async_trait]
pub trait CredentialCipher: fmt::Debug + Send + Sync + 'static {
    /// Seals `plaintext` for `context`.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) if `plaintext` is longer than
    /// [`MAX_PLAINTEXT`]. [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if a key
    /// service cannot be reached.
    async fn seal(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed>;

    /// Opens a record that was sealed for `context`.
    ///
    /// # Errors
    /// [`KeyUnknown`](crate::ErrorKind::KeyUnknown) if the key is not available; add the key again.
    /// [`Unsealable`](crate::ErrorKind::Unsealable) if the bytes were modified or belong to another
    /// context; restore the row from a backup.
    /// [`StoreUnavailable`](crate::ErrorKind::StoreUnavailable) if a key service cannot be reached.
    async fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext>;

    /// Returns the id of the key that [`CredentialCipher::seal`] currently uses. A key rotation
    /// reseals records that use other keys.
    fn sealing_key(&self) -> KeyId;
}
