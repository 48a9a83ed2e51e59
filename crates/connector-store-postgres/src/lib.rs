#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod audit;
mod columns;
mod database;
mod deliveries;
mod effects;
mod error;
mod maintenance;
mod options;
mod outbound;
#[cfg(test)]
#[allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests fail by panicking and print their counts"
)]
mod plans;
mod record;
mod schema;
mod statement;
mod states;
mod subscriptions;
mod tokens;
mod work;

use std::fmt;
use std::sync::Arc;

use connector_core::Result;

use crate::database::Database;
pub use crate::options::PostgresOptions;
pub use crate::schema::Migration;
use crate::work::Marks;

/// A store in a PostgreSQL database, for any number of processes on any number of machines.
///
/// Clones share the connections of this process. The connections close when the last clone is
/// dropped, or with [`PostgresStore::close`].
///
/// A call that was begun runs in its own task of the tokio runtime. It ends even if its future is
/// dropped, and never leaves a transaction open.
#[derive(Clone)]
pub struct PostgresStore {
    database: Arc<Database>,
    marks: Arc<Marks>,
}

impl PostgresStore {
    fn new(database: Arc<Database>) -> Self {
        Self {
            database,
            marks: Arc::default(),
        }
    }

    /// Opens the store at `url` with the default [`PostgresOptions`].
    ///
    /// # Errors
    /// Same as [`PostgresOptions::open`].
    pub async fn open(url: impl Into<String>) -> Result<Self> {
        PostgresOptions::new(url.into()).open().await
    }

    /// Returns the schema migrations, oldest first, for reading or printing.
    #[must_use]
    pub fn migrations() -> &'static [Migration] {
        Migration::all()
    }

    /// Returns the SQL that gives `role` the rights that a store in `schema` needs. Run it after the
    /// migrations. The role cannot change the schema.
    #[must_use]
    pub fn grants_sql(schema: &str, role: &str) -> String {
        schema::grants(schema, role)
    }

    /// Returns the SQL that enables row-level security for the tables of `schema`. The role
    /// `store_role`, which the store uses, accesses all rows. Every other role, apart from the owner
    /// of the tables, accesses only the rows of the tenant in the setting `connectors.tenant`:
    ///
    /// ```sql
    /// SET connectors.tenant = 'acme';
    /// SELECT provider, status FROM connectors.connections;
    /// ```
    ///
    /// A role that can run `SET` chooses its tenant: the policies protect against a forgotten condition
    /// in a query, not against a user who writes SQL.
    ///
    /// Use it for roles that read the tables for reports or support. Such a role also needs
    /// `GRANT USAGE ON SCHEMA` and `GRANT SELECT`.
    #[must_use]
    pub fn row_level_security_sql(schema: &str, store_role: &str) -> String {
        schema::row_level_security(schema, store_role)
    }

    /// Closes the connections of this process after their current calls have finished. Later calls on
    /// any clone fail with [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable).
    pub fn close(&self) {
        self.database.pool.close();
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("clock", &self.database.clock)
            .finish_non_exhaustive()
    }
}
