//! Resealing of old records under the current key, so that an old key can be removed.

use crate::cipher::{CredentialCipher, Plaintext, Sealed, SealedKind, open_long, seal_long};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Cursor, Maintenance, RowRef, SealedRow};

/// Result of [`reseal_page`] for one page of records.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ResealedPage {
    /// Number of records resealed under the sealing key.
    pub resealed: u32,
    /// Number of records that another process wrote or removed in the meantime. They were not
    /// changed.
    pub changed: u32,
    /// Records that cannot be opened. These records were not changed, and the key that sealed them
    /// may still be needed.
    pub unopenable: Vec<UnopenableRow>,
    /// Cursor of the next page; `None` after the last page.
    pub next: Option<Cursor>,
}

/// A record that cannot be opened, with the error.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnopenableRow {
    /// The record.
    pub row: RowRef,
    /// An error of kind [`KeyUnknown`](ErrorKind::KeyUnknown) or
    /// [`Unsealable`](ErrorKind::Unsealable). The message says what to do.
    pub error: Error,
}

/// Reseals up to `n` records that are sealed under a key other than
/// [`CredentialCipher::sealing_key`].
///
/// Call the function with the cursor of the previous page as `after` until [`ResealedPage::next`]
/// is `None`. You can stop at any point and start again from the beginning: records that are
/// already resealed are skipped. Each record is read and written separately, so that other work is
/// not blocked. Other nodes may use, refresh or reseal the same records concurrently.
///
/// Nodes that still use the old key as the sealing key create new records under the old key. Remove
/// the old key only after a complete pass from the beginning finds no record to reseal.
///
/// # Errors
/// [`StoreUnavailable`](ErrorKind::StoreUnavailable) if the store or a key service cannot be
/// reached; retry with the same `after`. The function does not fail if a record cannot be opened.
/// It is listed in [`ResealedPage::unopenable`].
pub async fn reseal_page(
    store: &dyn Maintenance,
    cipher: &dyn CredentialCipher,
    after: Option<&Cursor>,
    n: u16,
) -> Result<ResealedPage> {
    let rows = store.sealed_rows(&cipher.sealing_key(), after, n).await?;
    let mut page = ResealedPage {
        next: rows.next,
        ..ResealedPage::default()
    };
    for row in rows.items {
        let plaintext = match open(cipher, &row).await {
            Ok(plaintext) => plaintext,
            Err(error) if is_of_the_record(&error) => {
                page.unopenable.push(UnopenableRow {
                    row: row.row,
                    error,
                });
                continue;
            }
            Err(error) => return Err(error),
        };
        let new = seal(cipher, &row, &plaintext).await?;
        if store.reseal(&row.row, &row.sealed, new).await? {
            page.resealed += 1;
        } else {
            page.changed += 1;
        }
    }
    Ok(page)
}

fn is_of_the_record(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::KeyUnknown | ErrorKind::Unsealable)
}

async fn open(cipher: &dyn CredentialCipher, row: &SealedRow) -> Result<Plaintext> {
    match row.kind {
        SealedKind::Delivery => open_long(cipher, &row.seal_context(), &row.sealed).await,
        _ => cipher.open(&row.seal_context(), &row.sealed).await,
    }
}

async fn seal(
    cipher: &dyn CredentialCipher,
    row: &SealedRow,
    plaintext: &Plaintext,
) -> Result<Sealed> {
    match row.kind {
        SealedKind::Delivery => seal_long(cipher, &row.seal_context(), plaintext.expose()).await,
        _ => cipher.seal(&row.seal_context(), plaintext.expose()).await,
    }
}
