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
mod outbound;
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

/// A store in one SQLite file, for any number of processes on one machine.
///
/// Clones share the connections of this process. The connections close when the last clone is
/// dropped. [`SqliteStore::close`] closes them and waits.
#[derive(Clone)]
pub struct SqliteStore {
    database: Arc<Database>,
}

impl SqliteStore {
    /// Opens the store at `path` with the default [`SqliteOptions`]. Creates the file if it does
    /// not exist.
    ///
    /// # Errors
    /// Same as [`SqliteOptions::open`].
    pub async fn open(path: impl AsRef<Path>) -> Result<Self> {
        SqliteOptions::new(path.as_ref()).open().await
    }

    /// Returns the schema migrations, oldest first, for reading or printing.
    #[must_use]
    pub fn migrations() -> &'static [Migration] {
        &schema::MIGRATIONS
    }

    /// Closes the connections of this process after their current calls have finished. Later calls
    /// on any clone fail with [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable).
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
