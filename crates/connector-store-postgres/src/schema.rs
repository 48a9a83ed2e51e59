//! The migrations of the schema, and the check of a schema when a store is opened.

use std::fmt::Write as _;

use connector_core::{Error, ErrorKind, Result};
use deadpool_postgres::Object;
use tokio_postgres::Row;

use crate::columns::Columns;
use crate::database::{BEGIN, Database, Schema};
use crate::error::unreadable;
use crate::statement::Statement;

/// A migration of the schema. Migrations are applied in order, once each, and are never undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: [Migration; 1] = [Migration {
    version: 1,
    name: "store",
    sql: include_str!("../migrations/0001_store.sql"),
}];

impl Migration {
    /// Returns all migrations, oldest first.
    #[must_use]
    pub const fn all() -> &'static [Self] {
        &MIGRATIONS
    }

    /// Returns the number of the migration, starting at 1 without gaps. The schema's version is the
    /// number of its last migration.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// Returns the name of the migration.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Returns the SQL script that applies this migration to `schema` in one transaction and records
    /// it. [`PostgresOptions::migrate`](crate::PostgresOptions::migrate) runs the same script. A
    /// database administrator can run it with `psql -v ON_ERROR_STOP=1` instead. A script that was
    /// applied before fails and changes nothing.
    #[must_use]
    pub fn sql(&self, schema: &str) -> String {
        let schema = Schema::new(schema);
        let mut script = format!("-- {:04} {}\n{BEGIN};\n", self.version, self.name);
        script.push_str(&self.steps(&schema));
        script.push_str("COMMIT;\n");
        script
    }

    /// Returns the statements of the migration, for a transaction that holds the lock.
    fn steps(&self, schema: &Schema) -> String {
        let mut script = lock(schema);
        if self.version == 1 {
            script.push_str(&BOOKS.replace('@', schema.as_str()));
        }
        script.push_str(&schema.render(self.sql));
        let _ = writeln!(
            script,
            "INSERT INTO {}.migrations (version, name, checksum) VALUES ({}, '{}', '{}');",
            schema.as_str(),
            self.version,
            self.name,
            self.checksum()
        );
        script
    }

    /// Returns the SHA-256 digest of the statements in hexadecimal.
    fn checksum(&self) -> String {
        let digest = ring::digest::digest(&ring::digest::SHA256, self.sql.as_bytes());
        digest
            .as_ref()
            .iter()
            .fold(String::new(), |mut text, byte| {
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

/// The record of the applied migrations.
const BOOKS: &str = "CREATE SCHEMA IF NOT EXISTS @;
CREATE TABLE @.migrations (
    version    integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);
";

/// Takes a lock that ends with the transaction, so that it is valid behind a pooler too.
fn lock(schema: &Schema) -> String {
    let name = schema.as_str().replace('\'', "''");
    format!("SELECT pg_advisory_xact_lock(hashtextextended('connectors:{name}', 0));\n")
}

/// Returns the SQL that gives a role the rights that a store needs. The role needs no right to change
/// the schema.
pub(crate) fn grants(schema: &str, role: &str) -> String {
    let (schema, role) = (Schema::new(schema), Schema::new(role));
    let (schema, role) = (schema.as_str(), role.as_str());
    format!(
        "GRANT USAGE ON SCHEMA {schema} TO {role};\n\
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {schema} TO {role};\n\
         GRANT USAGE ON ALL SEQUENCES IN SCHEMA {schema} TO {role};\n\
         REVOKE INSERT, UPDATE, DELETE ON {schema}.migrations FROM {role};\n"
    )
}

/// Returns the SQL of `sql/row_level_security.sql`.
pub(crate) fn row_level_security(schema: &str, store_role: &str) -> String {
    // The names are parts of format strings.
    let [schema, role] = [schema, store_role].map(|name| {
        let name = Schema::new(name).as_str().replace('\'', "''");
        name.replace('%', "%%")
    });
    // A name may contain the other placeholder.
    let sql = include_str!("../sql/row_level_security.sql").split("@schema");
    let parts: Vec<String> = sql.map(|part| part.replace("@role", &role)).collect();
    parts.join(&schema)
}

/// Returns the names of the tables and sequences that the migrations create.
fn relations() -> Vec<String> {
    let lines = MIGRATIONS.iter().flat_map(|step| step.sql.lines());
    let names = lines.filter_map(|line| {
        let created = ["CREATE TABLE @.", "CREATE SEQUENCE @."]
            .iter()
            .find_map(|start| line.strip_prefix(start))?;
        created.split_whitespace().next().map(ToOwned::to_owned)
    });
    names.collect()
}

fn newest() -> u32 {
    MIGRATIONS.last().map_or(0, |last| last.version)
}

/// Applies the missing migrations in one transaction.
pub(crate) async fn migrate(connection: &Object, schema: &Schema) -> Result<u32> {
    const OPERATION: &str = "store.migrate";
    let run = async |sql: String| {
        connection
            .batch_execute(&sql)
            .await
            .map_err(|failure| crate::error::failed(OPERATION, &failure))
    };
    run(format!("{BEGIN};\n{}", lock(schema))).await?;
    let applied = async {
        let known = applied_migrations(connection, schema, OPERATION).await?;
        check_books(&known, OPERATION)?;
        let known = known.len();
        for migration in &MIGRATIONS[known..] {
            run(migration.steps(schema)).await?;
        }
        run("COMMIT".to_owned()).await?;
        Ok(newest() - u32::try_from(known).unwrap_or(0))
    };
    let applied = applied.await;
    if applied.is_err() {
        let _ = connection.batch_execute("ROLLBACK").await;
    }
    applied
}

/// Reads the record of the applied migrations. Empty if there is no such table.
async fn applied_migrations(
    connection: &Object,
    schema: &Schema,
    operation: &'static str,
) -> Result<Vec<(i64, String)>> {
    let table = format!("{}.migrations", schema.as_str());
    let read = async |sql: &str, table: &str| {
        let rows = if table.is_empty() {
            connection.query_typed(sql, &[]).await
        } else {
            let kind = tokio_postgres::types::Type::TEXT;
            connection.query_typed(sql, &[(&table, kind)]).await
        };
        rows.map_err(|failure| crate::error::failed(operation, &failure))
    };
    let exists = "SELECT to_regclass($1) IS NOT NULL";
    let exists: Vec<Row> = read(exists, &table).await?;
    let exists = exists.first().ok_or_else(|| unreadable(operation))?;
    if !Columns::new(exists, operation).take::<bool>()? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT version::bigint, checksum FROM {table} ORDER BY version");
    let rows = read(&sql, "").await?;
    let entries = rows.iter().map(|row| {
        let mut columns = Columns::new(row, operation);
        Ok((columns.take()?, columns.take()?))
    });
    entries.collect()
}

/// Checks that the schema was created by the migrations that this version contains.
fn check_books(applied: &[(i64, String)], operation: &'static str) -> Result<()> {
    let newest = i64::from(newest());
    if let Some((version, _)) = applied.last().filter(|(version, _)| *version > newest) {
        return Err(Error::new(
            ErrorKind::StoreIncompatible,
            operation,
            format!(
                "the database has schema version {version}, this version of the library supports \
                 {newest}; update this node"
            ),
        ));
    }
    let expected = MIGRATIONS
        .iter()
        .map(|step| (i64::from(step.version), step.checksum()));
    if applied.iter().cloned().zip(expected).any(|(a, b)| a != b) {
        return Err(Error::new(
            ErrorKind::StoreIncompatible,
            operation,
            "the schema was created by different migrations than this version's; use the version \
             that created it, another schema name, or restore a backup",
        ));
    }
    Ok(())
}

/// Checks the schema and the server's settings without changing anything.
pub(crate) async fn verify(
    database: &Database,
    connection: &Object,
    schema: &Schema,
    lossy: bool,
) -> Result<()> {
    const OPERATION: &str = "store.open";
    let applied = applied_migrations(connection, schema, OPERATION).await?;
    check_books(&applied, OPERATION)?;
    if applied.len() < MIGRATIONS.len() {
        return Err(Error::new(
            ErrorKind::StoreIncompatible,
            OPERATION,
            format!(
                "the schema has version {}, this version of the library needs {}; apply the \
                 migrations (`PostgresOptions::migrate`), or check the schema name",
                applied.len(),
                newest()
            ),
        ));
    }
    let settings = Statement::new(
        "SELECT current_setting('fsync') = 'on', current_setting('full_page_writes') = 'on', \
         current_setting('synchronous_commit') <> 'off', pg_is_in_recovery(), \
         current_setting('default_transaction_isolation') = 'read committed', \
         current_setting('server_encoding') = 'UTF8', \
         current_setting('server_version_num')::bigint, \
         (SELECT bool_and(CASE c.relkind \
             WHEN 'S' THEN has_sequence_privilege(c.oid, 'USAGE') \
             ELSE has_table_privilege(c.oid, 'SELECT') AND has_table_privilege(c.oid, 'INSERT') \
                 AND has_table_privilege(c.oid, 'UPDATE') \
                 AND has_table_privilege(c.oid, 'DELETE') END) \
         FROM pg_class c WHERE c.relname = ANY ($2) \
         AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = '@.leases'::regclass)), \
         (SELECT bool_and(has_sequence_privilege(c.oid, 'USAGE')) FROM pg_class c \
         JOIN pg_depend d ON d.objid = c.oid AND d.deptype = 'i' \
         JOIN pg_class t ON t.oid = d.refobjid WHERE c.relkind = 'S' AND t.relname = ANY ($2) \
         AND c.relnamespace = (SELECT relnamespace FROM pg_class WHERE oid = '@.leases'::regclass))",
    )
    .bind(relations());
    let rows = database.on(connection, OPERATION, settings).await?.rows;
    let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
    let mut columns = Columns::new(row, OPERATION);
    let refused =
        |kind: ErrorKind, message: &'static str| Err(Error::new(kind, OPERATION, message));
    for (setting, name) in [
        (columns.take::<bool>()?, "fsync"),
        (columns.take::<bool>()?, "full_page_writes"),
        (columns.take::<bool>()?, "synchronous_commit"),
    ] {
        if !setting && !lossy {
            return Err(Error::new(
                ErrorKind::Configuration,
                OPERATION,
                format!(
                    "the server may lose acknowledged writes, because `{name}` is off: a lost commit \
                     restores a refresh token that was already used; turn it on"
                ),
            ));
        }
    }
    if columns.take::<bool>()? {
        return refused(
            ErrorKind::StoreUnavailable,
            "the server is a standby, which accepts no writes; connect to the primary",
        );
    }
    if !columns.take::<bool>()? {
        return refused(
            ErrorKind::Configuration,
            "the default isolation level is not `read committed`, on which the store's statements \
             depend; change default_transaction_isolation for the user or the database",
        );
    }
    if !columns.take::<bool>()? {
        return refused(
            ErrorKind::Configuration,
            "the database does not use UTF-8; create it with ENCODING 'UTF8'",
        );
    }
    if columns.take::<i64>()? < OLDEST_SERVER {
        return refused(
            ErrorKind::Configuration,
            "the server is older than PostgreSQL 13; update the server",
        );
    }
    if !(columns.take::<bool>()? && columns.take::<bool>()?) {
        return refused(
            ErrorKind::Configuration,
            "the user lacks a right; grant the rights that `PostgresStore::grants_sql` prints",
        );
    }
    Ok(())
}

/// The oldest version of the server whose statements the store uses.
const OLDEST_SERVER: i64 = 130_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (place, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version).unwrap(), place + 1);
            assert!(migration.sql("connectors").contains(migration.name));
        }
    }

    #[test]
    fn names_are_quoted() {
        let sql = MIGRATIONS[0].sql("a\"b'c");
        assert!(sql.contains("\"a\"\"b'c\".connections"));
        assert!(sql.contains("'connectors:\"a\"\"b''c\"'"));
        assert!(!sql.contains("@."));
        let sql = row_level_security("a'%", "b@schema'%");
        assert!(sql.contains("\"a''%%\".%I ENABLE"));
        assert!(sql.contains("TO \"b@schema''%%\" '"));
    }

    #[test]
    fn every_relation_is_found_in_the_migrations() {
        let found = relations();
        assert_eq!(found.len(), 16);
        for name in ["connections", "leases", "outbound", "removals", "attempts"] {
            assert!(found.iter().any(|it| it == name), "{found:?}");
        }
    }
}
