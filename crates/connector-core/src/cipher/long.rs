//! Sealing of content that exceeds the maximum length of one sealed record.

use bytes::{BufMut, Bytes, BytesMut};

use super::{CredentialCipher, MAX_PLAINTEXT, Plaintext, SealContext, Sealed};
use crate::connection::{Fence, GrantNumber};
use crate::error::{Error, ErrorKind, Result};

/// Maximum number of attempts to seal all parts under one key.
const ATTEMPTS: usize = 3;

/// Seals the content of a delivery, of any length, for `context`.
///
/// The content is split into parts of [`MAX_PLAINTEXT`] bytes, and each part is sealed
/// separately. The seal of each part is bound to the number of parts (in place of the grant) and to
/// the part's index (in place of the fence). Opening therefore fails if a part is missing,
/// duplicated or reordered. Each part is prefixed with its length as a 4-byte big-endian integer.
/// All parts are sealed under one key. If the sealing key changes in the meantime, all parts are
/// sealed again.
///
/// # Errors
/// Same as [`CredentialCipher::seal`]. [`ErrorKind::StoreUnavailable`] if the sealing key changes
/// during every attempt.
pub async fn seal_long(
    cipher: &dyn CredentialCipher,
    context: &SealContext<'_>,
    plaintext: &[u8],
) -> Result<Sealed> {
    for _ in 0..ATTEMPTS {
        if let Some(sealed) = seal_parts(cipher, context, plaintext).await? {
            return Ok(sealed);
        }
    }
    Err(Error::new(
        ErrorKind::StoreUnavailable,
        "cipher.seal_long",
        "the sealing key changed during every attempt to seal a delivery; try again",
    ))
}

/// Returns the sealed parts, or `None` if the parts were not all sealed under the same key.
async fn seal_parts(
    cipher: &dyn CredentialCipher,
    context: &SealContext<'_>,
    plaintext: &[u8],
) -> Result<Option<Sealed>> {
    let count = plaintext.len().div_ceil(MAX_PLAINTEXT).max(1);
    let mut key_id = None;
    let mut bytes = BytesMut::new();
    for index in 0..count {
        let start = index * MAX_PLAINTEXT;
        let end = plaintext.len().min(start + MAX_PLAINTEXT);
        let part = plaintext.get(start..end).unwrap_or_default();
        let sealed = cipher.seal(&part_of(context, count, index), part).await?;
        // A record stores one key id, and a part opens only under the key that sealed it.
        if *key_id.get_or_insert(sealed.key_id()) != sealed.key_id() {
            return Ok(None);
        }
        let length = u32::try_from(sealed.bytes().len()).map_err(|_| malformed())?;
        bytes.put_u32(length);
        bytes.extend_from_slice(sealed.bytes());
    }
    Ok(key_id.map(|key_id| Sealed::new(key_id, bytes.freeze())))
}

/// Opens content that was sealed with [`seal_long`] for `context`.
///
/// # Errors
/// Same as [`CredentialCipher::open`].
pub async fn open_long(
    cipher: &dyn CredentialCipher,
    context: &SealContext<'_>,
    sealed: &Sealed,
) -> Result<Plaintext> {
    let mut parts = Vec::new();
    let mut rest = sealed.bytes().clone();
    while !rest.is_empty() {
        parts.push(first_part(&mut rest).ok_or_else(malformed)?);
    }
    if parts.is_empty() {
        return Err(malformed());
    }
    // Reserves the full length, because a growing vector leaves copies in memory.
    let mut whole = Vec::with_capacity(sealed.bytes().len());
    let count = parts.len();
    for (index, part) in parts.into_iter().enumerate() {
        let part = Sealed::new(sealed.key_id(), part);
        let opened = cipher.open(&part_of(context, count, index), &part).await;
        match opened {
            Ok(part) => whole.extend_from_slice(part.expose()),
            Err(error) => {
                drop(Plaintext::new(whole));
                return Err(error);
            }
        }
    }
    Ok(Plaintext::new(whole))
}

fn first_part(rest: &mut Bytes) -> Option<Bytes> {
    let length = u32::from_be_bytes(*rest.first_chunk()?);
    let end = usize::try_from(length).ok()?.checked_add(4)?;
    if end > rest.len() {
        return None;
    }
    Some(rest.split_to(end).slice(4..))
}

fn part_of<'a>(context: &SealContext<'a>, count: usize, index: usize) -> SealContext<'a> {
    let number = |it: usize| u64::try_from(it).unwrap_or(u64::MAX);
    SealContext {
        grant: GrantNumber::new(number(count)),
        fence: Fence::new(number(index)),
        ..*context
    }
}

fn malformed() -> Error {
    Error::new(
        ErrorKind::Unsealable,
        "cipher.open_long",
        "the sealed parts of a delivery are malformed; restore the row from a backup",
    )
}
