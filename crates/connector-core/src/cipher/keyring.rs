//! The keyring and the envelope format of sealed records.

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf;
use secrecy::{ExposeSecret, SecretBox, SecretString};
use smallvec::SmallVec;
use subtle::ConstantTimeEq;
use thiserror::Error;
use zeroize::{Zeroize, Zeroizing};

use super::{CredentialCipher, KeyId, MAX_PLAINTEXT, Plaintext, SealContext, Sealed};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::config::{self, SecretVariable};
use crate::random::{Random, SystemRandom};

const VARIABLE: &str = "CONNECTORS_KEYS";

/// Magic bytes, version 1, suite 1 (HKDF-SHA-256 and AES-256-GCM), no flags.
const PREAMBLE: [u8; 5] = *b"CX\x01\x01\x00";
const KEY_ID_INFO: &[u8] = b"connectors/v1/key-id";
const SEAL_INFO: &[u8] = b"connectors/v1/seal\x00";

const KEY: usize = 32;
const KEY_ID: usize = 8;
const HEAD: usize = PREAMBLE.len() + KEY_ID;
const SALT: usize = 32;
const NONCE: usize = 12;
const COMMITMENT: usize = 32;
const PREFIX: usize = HEAD + SALT + NONCE + COMMITMENT;
const TAG: usize = 16;
const OVERHEAD: usize = PREFIX + TAG;

/// Public input of the key derivation and of the associated data. Not secret. Typical names fit
/// without an allocation.
type Public = SmallVec<[u8; 512]>;

/// The error for a string that contains no usable keys. The messages mention `CONNECTORS_KEYS` even
/// if the text comes from another source. The messages never repeat the text.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KeyringError {
    /// The environment variable is not set.
    #[error("CONNECTORS_KEYS is not set; set it to what `openssl rand -base64 32` prints")]
    NotSet,
    /// The environment variable is not valid UTF-8.
    #[error("CONNECTORS_KEYS is not UTF-8; set it to what `openssl rand -base64 32` prints")]
    NotText,
    /// The list contains no key.
    #[error("CONNECTORS_KEYS has no key; give at least one, made by `openssl rand -base64 32`")]
    Empty,
    /// An entry of the list is empty.
    #[error("key {position} of CONNECTORS_KEYS is empty; remove the extra comma")]
    EmptyKey {
        /// Position of the entry in the list, counted from 1.
        position: usize,
    },
    /// A key is not base64.
    #[error(
        "key {position} of CONNECTORS_KEYS is not base64; write it in the standard alphabet with \
         padding, as `openssl rand -base64 32` does"
    )]
    NotBase64 {
        /// Position of the key in the list, counted from 1.
        position: usize,
    },
    /// A key is not 32 bytes long.
    #[error(
        "key {position} of CONNECTORS_KEYS has {bytes} bytes instead of 32; generate a new key"
    )]
    Length {
        /// Position of the key in the list, counted from 1.
        position: usize,
        /// Length of the key in bytes.
        bytes: usize,
    },
    /// A key occurs twice in the list.
    #[error("key {position} of CONNECTORS_KEYS is the same as key {first}; remove one of them")]
    Doubled {
        /// Position of the second occurrence, counted from 1.
        position: usize,
        /// Position of the first occurrence, counted from 1.
        first: usize,
    },
    /// The key's id could not be derived. No key with this problem is known.
    #[error("no id can be derived from key {position} of CONNECTORS_KEYS; please report it")]
    Derivation {
        /// Position of the key in the list, counted from 1.
        position: usize,
    },
}

impl From<KeyringError> for Error {
    fn from(error: KeyringError) -> Self {
        Self::new(ErrorKind::Configuration, "keyring", error.to_string())
    }
}

/// A key. The key is stored on the heap, so that a move leaves no copy in memory. The key is zeroed
/// on drop.
struct Key {
    id: KeyId,
    bytes: SecretBox<[u8; KEY]>,
}

impl Key {
    fn parse(text: &str, position: usize) -> Result<Self, KeyringError> {
        if text.is_empty() {
            return Err(KeyringError::EmptyKey { position });
        }
        // Reserves the maximum length, because a growing buffer leaves copies in memory.
        let mut decoded = Zeroizing::new(Vec::with_capacity(text.len()));
        STANDARD
            .decode_vec(text, &mut decoded)
            .map_err(|_| KeyringError::NotBase64 { position })?;
        let bytes =
            <&[u8; KEY]>::try_from(decoded.as_slice()).map_err(|_| KeyringError::Length {
                position,
                bytes: decoded.len(),
            })?;
        let mut id = [0; KEY_ID];
        expand(&[0; SALT], bytes, KEY_ID_INFO, &mut id)
            .map_err(|_| KeyringError::Derivation { position })?;
        Ok(Self {
            id: KeyId::from_bytes(id),
            bytes: SecretBox::init_with_mut(|own: &mut [u8; KEY]| own.copy_from_slice(bytes)),
        })
    }
}

/// The encryption keys of a service. The first key seals new records, and every key can open
/// records.
///
/// Each record has its own key, derived from the sealing key, a fresh salt, the tenant and the row.
/// Records are encrypted with AES-256-GCM. The seal commits to its key, so that no ciphertext can
/// be opened with two different keys. The seal is bound to all fields of its [`SealContext`].
///
/// To replace a key without downtime, first append the new key on every node. Then move the new key
/// to the front on every node. Finally, reseal the old records with [`reseal_page`]. You can remove
/// the old key when no record uses it any more.
///
/// The seal does not protect against rollback: an attacker with write access to the database can
/// restore an older version of a whole row.
///
/// ```
/// use connector_core::cipher::Keyring;
///
/// let keyring = Keyring::parse(&Keyring::generate()?)?;
/// assert_eq!(keyring.key_ids().count(), 1);
/// # Ok::<(), connector_core::Error>(())
/// ```
///
/// [`reseal_page`]: crate::cipher::reseal_page
pub struct Keyring {
    sealing: Key,
    others: Vec<Key>,
    random: Arc<dyn Random>,
}

impl Keyring {
    /// Parses keys in the format of `CONNECTORS_KEYS`: 32 bytes each in base64 (the standard
    /// alphabet of RFC 4648 section 4, with padding), separated by commas. Whitespace around a key
    /// is ignored, so a file may end with a newline.
    ///
    /// # Errors
    /// [`KeyringError`] with the position of the first unusable key. The error never contains the
    /// key.
    pub fn parse(keys: &SecretString) -> Result<Self, KeyringError> {
        let keys = keys.expose_secret();
        if keys.trim().is_empty() {
            return Err(KeyringError::Empty);
        }
        let mut keys = keys.split(',').map(str::trim).zip(1..);
        let (first, position) = keys.next().ok_or(KeyringError::Empty)?;
        let mut keyring = Self {
            sealing: Key::parse(first, position)?,
            others: Vec::new(),
            random: Arc::new(SystemRandom::new()),
        };
        for (key, position) in keys {
            keyring.add(Key::parse(key, position)?, position)?;
        }
        Ok(keyring)
    }

    /// Reads the environment variable `CONNECTORS_KEYS` and parses it with [`Keyring::parse`].
    ///
    /// # Errors
    /// Same as [`Keyring::parse`], and [`KeyringError::NotSet`] or [`KeyringError::NotText`].
    pub fn from_env() -> Result<Self, KeyringError> {
        match config::secret_variable(VARIABLE) {
            SecretVariable::Text(keys) => Self::parse(&keys),
            SecretVariable::NotText => Err(KeyringError::NotText),
            SecretVariable::NotSet => Err(KeyringError::NotSet),
        }
    }

    /// Generates a new key with the operating system's random generator, in the format of
    /// [`Keyring::parse`]. Protect the key like the secrets that it seals, and back it up: without
    /// the key, no record can be opened.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the operating system returns no random bytes.
    pub fn generate() -> Result<SecretString> {
        let mut key = Zeroizing::new([0; KEY]);
        SystemRandom::new().fill(&mut *key)?;
        Ok(SecretString::from(STANDARD.encode(key.as_slice())))
    }

    /// Uses `random` for salts and nonces instead of the operating system, for tests and
    /// simulations. If the source repeats its output, the encryption is no longer secure.
    #[must_use]
    pub fn with_random(mut self, random: Arc<dyn Random>) -> Self {
        self.random = random;
        self
    }

    /// Returns the ids of the keys. The first one is the sealing key.
    pub fn key_ids(&self) -> impl Iterator<Item = KeyId> {
        self.keys().map(|key| key.id)
    }

    /// Seals like [`CredentialCipher::seal`], but synchronously.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `plaintext` is longer than [`MAX_PLAINTEXT`].
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn seal_now(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        if plaintext.len() > MAX_PLAINTEXT {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "cipher.seal",
                format!(
                    "{} bytes are too many to seal; the maximum is {MAX_PLAINTEXT}",
                    plaintext.len()
                ),
            ));
        }
        let mut drawn = [0; SALT + NONCE];
        self.random.fill(&mut drawn)?;
        let (salt, nonce) = drawn.split_at(SALT);

        let mut bytes = Vec::with_capacity(OVERHEAD + plaintext.len());
        bytes.extend_from_slice(&PREAMBLE);
        bytes.extend_from_slice(self.sealing.id.as_bytes());
        let mut derived = Derived::empty();
        derived.fill(&self.sealing, &bytes, salt, context)?;
        bytes.extend_from_slice(&drawn);
        bytes.extend_from_slice(derived.commitment());
        let associated = associated_data(&bytes, context)?;
        bytes.extend_from_slice(plaintext);
        let tag = derived.key()?.seal_in_place_separate_tag(
            Nonce::try_assume_unique_for_key(nonce).map_err(|_| refused_by_primitive())?,
            Aad::from(&associated),
            &mut bytes[PREFIX..],
        );
        let Ok(tag) = tag else {
            bytes.zeroize();
            return Err(refused_by_primitive());
        };
        bytes.extend_from_slice(tag.as_ref());
        Ok(Sealed::new(self.sealing.id, bytes))
    }

    /// Opens like [`CredentialCipher::open`], but synchronously.
    ///
    /// # Errors
    /// [`ErrorKind::KeyUnknown`] if the key that sealed the record is not in the keyring.
    /// [`ErrorKind::Unsealable`] if the bytes were modified or belong to another context.
    pub fn open_now(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext> {
        let bytes: &[u8] = sealed.bytes();
        let envelope = Envelope::read(bytes)?;
        let key = self
            .keys()
            .find(|key| key.id == envelope.key_id)
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::KeyUnknown,
                    "cipher.open",
                    format!(
                        "the record is sealed under key {}, which is not in the keyring; add \
                         that key again",
                        envelope.key_id
                    ),
                )
            })?;
        // A key rotation uses the key id in the store's column. A wrong id would hide the record
        // from the rotation.
        if sealed.key_id() != envelope.key_id {
            return Err(unsealable(
                "the record's key id does not match its sealed bytes",
            ));
        }
        let mut derived = Derived::empty();
        derived.fill(key, envelope.head, envelope.salt, context)?;
        if !bool::from(derived.commitment().ct_eq(envelope.commitment)) {
            return Err(unsealable(
                "the record belongs to another context or was modified",
            ));
        }
        let associated = associated_data(envelope.prefix, context)?;
        let mut plaintext = Plaintext::new(envelope.ciphertext.to_vec());
        derived
            .key()?
            .open_in_place_separate_tag(
                Nonce::assume_unique_for_key(*envelope.nonce),
                Aad::from(&associated),
                (*envelope.tag).into(),
                &mut plaintext.0,
                0..,
            )
            .map_err(|_| unsealable("the record belongs to another context or was modified"))?;
        Ok(plaintext)
    }

    fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.sealing).chain(&self.others)
    }

    fn add(&mut self, key: Key, position: usize) -> Result<(), KeyringError> {
        // Rejects two keys with the same id, even if the keys differ, because records could not
        // tell them apart.
        let same = self.key_ids().zip(1..).find(|(id, _)| *id == key.id);
        if let Some((_, first)) = same {
            return Err(KeyringError::Doubled { position, first });
        }
        self.others.push(key);
        Ok(())
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.key_ids()).finish()
    }
}

#[async_trait]
impl CredentialCipher for Keyring {
    async fn seal(&self, context: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        self.seal_now(context, plaintext)
    }

    async fn open(&self, context: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext> {
        self.open_now(context, sealed)
    }

    fn sealing_key(&self) -> KeyId {
        self.sealing.id
    }
}

/// The parts of a well-formed envelope. The parts are not authenticated yet.
struct Envelope<'a> {
    /// All bytes before the ciphertext, which are the first part of the associated data.
    prefix: &'a [u8],
    head: &'a [u8; HEAD],
    key_id: KeyId,
    salt: &'a [u8; SALT],
    nonce: &'a [u8; NONCE],
    commitment: &'a [u8; COMMITMENT],
    ciphertext: &'a [u8],
    tag: &'a [u8; TAG],
}

impl<'a> Envelope<'a> {
    fn read(bytes: &'a [u8]) -> Result<Self> {
        Self::split(bytes)
            .filter(|envelope| envelope.ciphertext.len() <= MAX_PLAINTEXT)
            .ok_or_else(|| unsealable("the record is truncated or was not sealed by this library"))
    }

    fn split(bytes: &'a [u8]) -> Option<Self> {
        let (prefix, rest) = bytes.split_at_checked(PREFIX)?;
        let (ciphertext, tag) = rest.split_last_chunk()?;
        let (head, rest) = prefix.split_first_chunk()?;
        let key_id = head.strip_prefix(&PREAMBLE)?;
        let (salt, rest) = rest.split_first_chunk()?;
        let (nonce, rest) = rest.split_first_chunk()?;
        Some(Self {
            prefix,
            head,
            key_id: KeyId::from_bytes(key_id.try_into().ok()?),
            salt,
            nonce,
            commitment: rest.try_into().ok()?,
            ciphertext,
            tag,
        })
    }
}

/// The derived key and key commitment for one record, computed from its salt and context. The value
/// is filled in place, so that no copy remains in memory. The value is zeroed on drop.
struct Derived([u8; KEY + COMMITMENT]);

impl Derived {
    const fn empty() -> Self {
        Self([0; KEY + COMMITMENT])
    }

    fn fill(
        &mut self,
        key: &Key,
        head: &[u8],
        salt: &[u8],
        context: &SealContext<'_>,
    ) -> Result<()> {
        let mut info = Public::from_slice(SEAL_INFO);
        info.extend_from_slice(head);
        append(&mut info, tenant(context))?;
        append(&mut info, context.row.as_bytes())?;
        expand(salt, key.bytes.expose_secret(), &info, &mut self.0)
            .map_err(|_| refused_by_primitive())
    }

    fn key(&self) -> Result<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.0[..KEY])
            .map(LessSafeKey::new)
            .map_err(|_| refused_by_primitive())
    }

    fn commitment(&self) -> &[u8] {
        &self.0[KEY..]
    }
}

impl Drop for Derived {
    fn drop(&mut self) {
        // Zeroes all bytes at once, as in `Plaintext`. The barrier prevents the compiler from
        // removing the write.
        self.0 = [0; KEY + COMMITMENT];
        zeroize::optimization_barrier(&self.0);
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

/// HKDF with SHA-256 (RFC 5869): extract and expand.
fn expand(
    salt: &[u8],
    key: &[u8; KEY],
    info: &[u8],
    derived: &mut [u8],
) -> Result<(), ring::error::Unspecified> {
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(key)
        .expand(&[info], Length(derived.len()))?
        .fill(derived)
}

/// Returns the associated data of a seal. `prefix` is the envelope up to its ciphertext.
fn associated_data(prefix: &[u8], context: &SealContext<'_>) -> Result<Public> {
    let mut data = Public::from_slice(prefix);
    append(&mut data, tenant(context))?;
    append(&mut data, context.provider.as_str().as_bytes())?;
    append(&mut data, context.app.as_str().as_bytes())?;
    append(&mut data, context.row.as_bytes())?;
    data.push(context.kind.code());
    data.extend_from_slice(&context.grant.get().to_be_bytes());
    data.extend_from_slice(&context.fence.get().to_be_bytes());
    Ok(data)
}

/// Appends the length of `field` and then `field`, so that adjacent fields are unambiguous.
fn append(data: &mut Public, field: &[u8]) -> Result<()> {
    let length = u32::try_from(field.len()).map_err(|_| {
        Error::new(
            ErrorKind::InvalidInput,
            "cipher.context",
            "a field of the context is longer than 4 GiB; use a shorter row id",
        )
    })?;
    data.extend_from_slice(&length.to_be_bytes());
    data.extend_from_slice(field);
    Ok(())
}

fn tenant<'a>(context: &SealContext<'a>) -> &'a [u8] {
    context
        .tenant
        .map_or(&[], |tenant| tenant.as_str().as_bytes())
}

fn unsealable(what: &'static str) -> Error {
    Error::new(
        ErrorKind::Unsealable,
        "cipher.open",
        format!("{what}; restore the row from a backup or connect the account again"),
    )
}

fn refused_by_primitive() -> Error {
    Error::new(
        ErrorKind::Bug,
        "cipher",
        "the cryptographic library rejected a constant length; please report it",
    )
}
