#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod audit;
mod columns;
mod database;
mod deliveries;
mod error;
mod maintenance;
mod mount;
mod options;
mod record;
mod schema;
mod states;
mod subscriptions;
mod tokens;
mod work;

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use connector_core::Result;

use crate::database::Database;
pub use crate::options::SqliteOptions;
pub use crate::schema::Migration;

/// A store in one SQLite file, for one machine: as many processes as there are may share it.
///
/// Clones share the connections of this process. The connections close when the last clone is
/// dropped; [`SqliteStore::close`] does it and waits.
#[derive(Clone)]
pub struct SqliteStore {
    database: Arc<Database>,
}

impl SqliteStore {
    /// Opens the store at `path` with the defaults of [`SqliteOptions`], and makes it if it is
    /// missing.
    ///
    /// # Errors
    /// As for [`SqliteOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        SqliteOptions::new(path.as_ref()).open().await
    }

    /// The steps of the schema, the oldest first, for those who want to read or print it.
    #[must_use]
    pub fn migrations() -> &'static [Migration] {
        &schema::MIGRATIONS
    }

    /// Closes the connections of this process after the calls that use them. Later calls, of all
    /// clones, fail with [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable).
    pub async fn close(&self) {
        self.database.close().await;
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("clock", &self.database.clock)
            .finish_non_exhaustive()
    }
}
