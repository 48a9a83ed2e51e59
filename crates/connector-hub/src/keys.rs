//! Sealing what is stored again under a new key, while everything runs.

use std::time::Duration;

use connector_core::cipher::reseal_page;
use connector_core::store::RowRef;
use connector_core::{Error, ErrorKind, Result};

use crate::hub::Hub;

/// Records read at a time.
const PAGE: u16 = 200;
/// How often the store is looked through. A node that still seals under an old key makes new
/// records under it.
const PASSES: u32 = 5;
/// How often one page is tried while the store does not answer.
const ATTEMPTS: u32 = 6;
/// Records that are named because they do not open.
const NAMED: usize = 100;

/// How far a rotation of keys has come.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct KeyRotation {
    /// Records that are now under the sealing key.
    pub resealed: u64,
    /// Records that somebody else wrote or removed meanwhile.
    pub changed: u64,
    /// Records of the last look through the store that do not open; the key that sealed them is
    /// still needed.
    pub unopenable: u64,
    /// The first hundred of them.
    pub unopenable_rows: Vec<RowRef>,
    /// True once the whole store was looked through and nothing was left to do: every other key may
    /// be retired, unless a node still seals under one.
    pub complete: bool,
}

impl Hub {
    /// Seals every stored secret again under the key that seals now, and tells `progress` after
    /// each page.
    ///
    /// It runs beside everything else, on one node or several; it may be stopped at any point and
    /// started again. Give the new key to every node first, as the last one, then as the first one,
    /// then call this.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if the store or a key service stays away: call it again;
    /// [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    pub async fn rotate_keys(
        &self,
        mut progress: impl FnMut(&KeyRotation) + Send,
    ) -> Result<KeyRotation> {
        let mut rotation = KeyRotation::default();
        for _ in 0..PASSES {
            let before = rotation.resealed + rotation.changed;
            self.pass(&mut rotation, &mut progress).await?;
            if rotation.resealed + rotation.changed == before {
                rotation.complete = rotation.unopenable == 0;
                break;
            }
        }
        progress(&rotation);
        Ok(rotation)
    }

    async fn pass(
        &self,
        rotation: &mut KeyRotation,
        progress: &mut (impl FnMut(&KeyRotation) + Send),
    ) -> Result<()> {
        let inner = &self.inner;
        rotation.unopenable = 0;
        rotation.unopenable_rows.clear();
        let mut after = None;
        let mut failures = 0;
        loop {
            inner.accepting("hub.rotate_keys")?;
            let page = reseal_page(&*inner.store, &*inner.cipher, after.as_ref(), PAGE).await;
            let page = match page {
                Ok(page) => page,
                Err(error) if again(&error, failures) => {
                    inner.clock.sleep(Duration::from_secs(1 << failures)).await;
                    failures += 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            failures = 0;
            rotation.resealed += u64::from(page.resealed);
            rotation.changed += u64::from(page.changed);
            for row in page.unopenable {
                tracing::error!(operation = "hub.rotate_keys", error = %row.error, "not resealed");
                rotation.unopenable += 1;
                if rotation.unopenable_rows.len() < NAMED {
                    rotation.unopenable_rows.push(row.row);
                }
            }
            progress(rotation);
            after = page.next;
            if after.is_none() {
                return Ok(());
            }
        }
    }
}

fn again(error: &Error, failures: u32) -> bool {
    error.kind() == ErrorKind::StoreUnavailable && failures < ATTEMPTS
}
