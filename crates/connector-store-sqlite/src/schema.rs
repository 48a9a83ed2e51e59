//! The schema with its migrations, and the handling of files with a different schema.

use std::fmt;

use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Executor, Row};

use crate::database::Patience;
use crate::error::{failed, unreadable};

const OPERATION: &str = "store.open";

/// "CXDB", the application id of this store's files in SQLite's header.
const APPLICATION_ID: i64 = 0x4358_4442;

/// A migration of the schema. Migrations are applied in order, once each, and are never undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

impl Migration {
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

    /// Returns the SQL statements. [`SqliteStore::open`](crate::SqliteStore::open) applies them and
    /// records each migration in the file. A file to which another program applied the statements
    /// is not recognized as a store.
    #[must_use]
    pub const fn sql(&self) -> &'static str {
        self.sql
    }

    /// Returns the SHA-256 digest of the statements in hexadecimal.
    fn checksum(&self) -> String {
        use std::fmt::Write;

        let digest = ring::digest::digest(&ring::digest::SHA256, self.sql.as_bytes());
        digest
            .as_ref()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing to a `String` cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

impl fmt::Display for Migration {
    /// Formats the statements after an SQL comment that names the migration.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "-- {:04} {}", self.version, self.name)?;
        f.write_str(self.sql)
    }
}

pub(crate) const MIGRATIONS: [Migration; 5] = [
    Migration {
        version: 1,
        name: "connections",
        sql: include_str!("../migrations/0001_connections.sql"),
    },
    Migration {
        version: 2,
        name: "flows_deliveries_audit",
        sql: include_str!("../migrations/0002_flows_deliveries_audit.sql"),
    },
    Migration {
        version: 3,
        name: "subscriptions",
        sql: include_str!("../migrations/0003_subscriptions.sql"),
    },
    Migration {
        version: 4,
        name: "silent_reads",
        sql: include_str!("../migrations/0004_silent_reads.sql"),
    },
    Migration {
        version: 5,
        name: "outbound",
        sql: include_str!("../migrations/0005_outbound.sql"),
    },
];

const BOOKS: &str = "CREATE TABLE migrations (
    version    INTEGER PRIMARY KEY,
    name       TEXT    NOT NULL,
    checksum   TEXT    NOT NULL,
    applied_at INTEGER NOT NULL
) STRICT";

fn newest() -> i64 {
    i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX)
}

/// The content of a file.
#[derive(Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    /// The schema of this store, with the given version.
    Schema(i64),
}

/// Rejects a file of another program or with a newer schema, without changing the file.
pub(crate) async fn examine(connection: &mut SqliteConnection, patience: &Patience) -> Result<()> {
    loop {
        match read_header(connection).await {
            Ok(header) => return judge(&header).map(drop),
            Err(failure) if patience.allows(&failure).await => {}
            Err(failure) => return Err(failed(OPERATION, failure)),
        }
    }
}

struct Header {
    application_id: i64,
    user_version: i64,
    objects: i64,
}

async fn read_header(connection: &mut SqliteConnection) -> sqlx::Result<Header> {
    Ok(Header {
        application_id: number(connection, "PRAGMA application_id").await?,
        user_version: number(connection, "PRAGMA user_version").await?,
        objects: number(connection, "SELECT count(*) FROM sqlite_schema").await?,
    })
}

async fn number(connection: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<i64> {
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

fn judge(header: &Header) -> Result<Holds> {
    match header {
        Header {
            application_id: 0,
            user_version: 0,
            objects: 0,
        } => Ok(Holds::Nothing),
        Header {
            application_id: APPLICATION_ID,
            user_version,
            ..
        } if *user_version > newest() => Err(Error::new(
            ErrorKind::StoreIncompatible,
            OPERATION,
            format!(
                "the database has schema version {user_version}, this version of the library \
                 supports {}; update this node",
                newest()
            ),
        )),
        Header {
            application_id: APPLICATION_ID,
            user_version,
            ..
        } if *user_version > 0 => Ok(Holds::Schema(*user_version)),
        _ => Err(Error::new(
            ErrorKind::StoreIncompatible,
            OPERATION,
            "the file is an SQLite database of another program; use a separate file for the \
             store",
        )),
    }
}

/// Switches the file to write-ahead logging, which allows reads during a write.
pub(crate) async fn use_wal(connection: &mut SqliteConnection, patience: &Patience) -> Result<()> {
    loop {
        let switched = async {
            // Reading the mode first avoids taking the exclusive lock that switching needs.
            let mode = mode(connection, "PRAGMA journal_mode").await?;
            if mode == "wal" {
                return Ok(mode);
            }
            self::mode(connection, "PRAGMA journal_mode = WAL").await
        };
        match switched.await {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(_) => {
                return Err(Error::new(
                    ErrorKind::Configuration,
                    OPERATION,
                    "the file system cannot share memory between processes, which write-ahead \
                     logging needs; put the database on a local disk",
                ));
            }
            Err(failure) if patience.allows(&failure).await => {}
            Err(failure) => return Err(failed(OPERATION, failure)),
        }
    }
}

async fn mode(connection: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<String> {
    sqlx::query(sql).fetch_one(connection).await?.try_get(0)
}

/// Migrates the file to the newest schema in one transaction. If several processes start at the
/// same time, one process migrates the file, and the other processes use the migrated file.
pub(crate) async fn migrate(
    connection: &mut SqliteConnection,
    now: Timestamp,
    patience: &Patience,
) -> Result<()> {
    loop {
        match connection.execute("BEGIN IMMEDIATE").await {
            Ok(_) => break,
            Err(failure) if patience.allows(&failure).await => {}
            Err(failure) => return Err(failed(OPERATION, failure)),
        }
    }
    let header = read_header(connection)
        .await
        .map_err(|failure| failed(OPERATION, failure))?;
    let known = match judge(&header)? {
        Holds::Nothing => 0,
        Holds::Schema(version) => {
            check_books(connection, version).await?;
            version
        }
    };
    if known == newest() {
        // SQLite opens a read-only file without an error and fails at the first write. This write
        // detects such a file and is rolled back immediately.
        return connection
            .execute("UPDATE leases SET number = number; ROLLBACK")
            .await
            .map(drop)
            .map_err(|failure| failed(OPERATION, failure));
    }
    apply_after(connection, known, now)
        .await
        .map_err(|failure| failed(OPERATION, failure))
}

async fn apply_after(
    connection: &mut SqliteConnection,
    known: i64,
    now: Timestamp,
) -> sqlx::Result<()> {
    if known == 0 {
        connection.execute(BOOKS).await?;
        connection
            .execute("PRAGMA application_id = 0x43584442")
            .await?;
    }
    for migration in MIGRATIONS {
        if i64::from(migration.version) <= known {
            continue;
        }
        sqlx::raw_sql(migration.sql)
            .execute(&mut *connection)
            .await?;
        sqlx::query(
            "INSERT INTO migrations (version, name, checksum, applied_at) VALUES (?1, ?2, ?3, ?4)",
        )
        .bind(i64::from(migration.version))
        .bind(migration.name)
        .bind(migration.checksum())
        .bind(now.as_unix_millis())
        .execute(&mut *connection)
        .await?;
    }
    let version = sqlx::AssertSqlSafe(format!("PRAGMA user_version = {}", newest()));
    connection.execute(version).await?;
    connection.execute("COMMIT").await?;
    Ok(())
}

/// Checks that the file was created by the migrations that this version contains.
async fn check_books(connection: &mut SqliteConnection, version: i64) -> Result<()> {
    let rows: Vec<SqliteRow> =
        sqlx::query("SELECT version, checksum FROM migrations ORDER BY version")
            .fetch_all(connection)
            .await
            .map_err(|failure| failed(OPERATION, failure))?;
    let mut applied = Vec::with_capacity(rows.len());
    for row in &rows {
        let entry: (i64, String) = (
            row.try_get(0).map_err(|_| unreadable(OPERATION))?,
            row.try_get(1).map_err(|_| unreadable(OPERATION))?,
        );
        applied.push(entry);
    }
    let expected: Vec<_> = MIGRATIONS
        .iter()
        .map(|step| (i64::from(step.version), step.checksum()))
        .take_while(|(step, _)| *step <= version)
        .collect();
    if applied == expected {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::StoreIncompatible,
        OPERATION,
        "the database was created by different migrations than this version's; use the version \
         that created it, or restore a backup",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_gaps() {
        for (place, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version).unwrap(), place + 1);
            assert!(migration.to_string().contains(migration.name));
        }
    }

    #[test]
    fn the_application_id_matches_the_written_pragma() {
        assert_eq!(APPLICATION_ID, i64::from(u32::from_be_bytes(*b"CXDB")));
    }
}
