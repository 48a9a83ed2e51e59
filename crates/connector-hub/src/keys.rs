//! Key rotation: seals stored secrets again under a new key, without downtime.

use std::time::Duration;

use connector_core::cipher::reseal_page;
use connector_core::store::RowRef;
use connector_core::{Error, ErrorKind, Result};

use crate::hub::Hub;

/// Page size for reading records.
const PAGE: u16 = 200;
/// Maximum number of passes over the store. Several passes are needed while a node still seals new
/// records under an old key.
const PASSES: u32 = 5;
/// Maximum number of attempts per page while the store is unavailable.
const ATTEMPTS: u32 = 6;
/// Maximum number of unopenable records to list.
const NAMED: usize = 100;

/// The progress of a key rotation.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct KeyRotation {
    /// Number of records that were sealed again under the sealing key.
    pub resealed: u64,
    /// Number of records that were written or removed concurrently.
    pub changed: u64,
    /// Number of records in the last pass that cannot be opened. The keys that sealed these records
    /// are still needed.
    pub unopenable: u64,
    /// The first 100 records that cannot be opened.
    pub unopenable_rows: Vec<RowRef>,
    /// True after a pass over the whole store that found no record under another key. You can then
    /// remove all other keys, unless a node still seals records under one of them.
    pub complete: bool,
}

impl Hub {
    /// Seals every stored secret again under the sealing key, and calls `progress` after each page.
    ///
    /// The rotation may run while the service is in use, on one node or on several. It may be
    /// stopped and restarted at any time. First add the new key to every node as the last key. Then
    /// make it the first key on every node. Then call this method.
    ///
    /// # Errors
    /// * [`ErrorKind::StoreUnavailable`] if the store or a key service stays unavailable: retry the
    ///   call.
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
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
