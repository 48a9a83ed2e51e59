//! The database of the processes: an SQLite file.

use std::path::Path;
use std::sync::Arc;

use connector_core::clock::Clock;
use connector_store_sqlite::SqliteOptions;
pub(crate) use connector_store_sqlite::SqliteStore as Store;

/// Returns the reason if the tests cannot run.
pub(crate) const fn missing() -> Option<&'static str> {
    None
}

/// Creates the database.
pub(crate) async fn create(database: &Path, clock: Arc<dyn Clock>) -> Store {
    open(database, clock).await
}

/// Opens the database that another process created.
pub(crate) async fn open(database: &Path, clock: Arc<dyn Clock>) -> Store {
    let options = SqliteOptions::new(database).with_clock(clock);
    options.open().await.unwrap()
}
