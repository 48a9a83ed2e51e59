//! The database of the processes: a schema of a PostgreSQL server.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::Path;
use std::sync::Arc;

use connector_core::clock::Clock;
use connector_store_postgres::PostgresOptions;
pub(crate) use connector_store_postgres::PostgresStore as Store;

#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask test` passes the address of the server that it started"
)]
fn url() -> Option<String> {
    std::env::var("CONNECTORS_POSTGRES").ok()
}

/// Returns the reason if the tests cannot run.
pub(crate) fn missing() -> Option<&'static str> {
    const MISSING: &str =
        "CONNECTORS_POSTGRES is not set; `cargo xtask test` starts a server and sets it";
    url().is_none().then_some(MISSING)
}

/// Returns options for the schema that belongs to the path of a file.
fn options(database: &Path, clock: Arc<dyn Clock>) -> PostgresOptions {
    let digest = BuildHasherDefault::<DefaultHasher>::default().hash_one(database);
    PostgresOptions::new(url().unwrap())
        .with_schema(format!("kills_{digest:016x}"))
        .with_connections(4)
        .allow_data_loss(true)
        .with_clock(clock)
}

/// Creates the database.
pub(crate) async fn create(database: &Path, clock: Arc<dyn Clock>) -> Store {
    options(database, Arc::clone(&clock))
        .migrate()
        .await
        .unwrap();
    open(database, clock).await
}

/// Opens the database that another process created.
pub(crate) async fn open(database: &Path, clock: Arc<dyn Clock>) -> Store {
    options(database, clock).open().await.unwrap()
}
