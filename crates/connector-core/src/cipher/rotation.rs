//! Sealing old records again, so that an old key can be retired.

use crate::cipher::{CredentialCipher, Plaintext, Sealed, SealedKind, open_long, seal_long};
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Cursor, Maintenance, RowRef, SealedRow};

/// What [`reseal_page`] did with one page of records.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ResealedPage {
    /// Records that are now under the sealing key.
    pub resealed: u32,
    /// Records that somebody else wrote or removed meanwhile. What is in their place was left
    /// alone.
    pub changed: u32,
    /// Records that do not open. They were left alone; the key that sealed them is still needed.
    pub unopenable: Vec<UnopenableRow>,
    /// Where the next page starts; `None` after the last one.
    pub next: Option<Cursor>,
}

/// A record that does not open, and why.
#[derive(Debug)]
#[non_exhaustive]
pub struct UnopenableRow {
    /// Which record.
    pub row: RowRef,
    /// [`KeyUnknown`](ErrorKind::KeyUnknown) or [`Unsealable`](ErrorKind::Unsealable), and what
    /// helps.
    pub error: Error,
}

/// Seals up to `n` records that are not under [`CredentialCipher::sealing_key`] again, under that
/// key.
///
/// Call it with `after` from the page before until [`ResealedPage::next`] is `None`. It may be
/// stopped at any point and started again from the beginning: what is done is not met again.
/// Records are read and written one by one, so that nothing else waits for it, and other nodes may
/// use, refresh or reseal the same records at the same time.
///
/// A node that still seals under another key makes new records under it. The old key may go once a
/// whole pass from the beginning finds nothing to do.
///
/// # Errors
/// [`StoreUnavailable`](ErrorKind::StoreUnavailable) if the store or a key service cannot be
/// reached: call it again with the same `after`. A record that does not open is no error; it is
/// named in [`ResealedPage::unopenable`].
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
