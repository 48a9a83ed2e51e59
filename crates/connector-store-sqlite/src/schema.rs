//! The schema: its migrations, and what is done with a file that has another one.

use std::fmt;

use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use sqlx::sqlite::{SqliteConnection, SqliteRow};
use sqlx::{Executor, Row};

use crate::database::Patience;
use crate::error::{failed, unreadable};

const OPERATION: &str = "store.open";

/// "CXDB", the mark of our files in SQLite's header.
const APPLICATION_ID: i64 = 0x4358_4442;

/// A step of the schema. Steps are applied in order, once each, and are never undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Migration {
    version: u32,
    name: &'static str,
    sql: &'static str,
}

impl Migration {
    /// Its number, from 1 without gaps. The schema's version is that of its last step.
    #[must_use]
    pub const fn version(&self) -> u32 {
        self.version
    }

    /// What it makes.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// Its statements. [`SqliteStore::open`](crate::SqliteStore::open) applies them and keeps the
    /// books; a file that somebody else applied them to is not recognised as a store.
    #[must_use]
    pub const fn sql(&self) -> &'static str {
        self.sql
    }

    /// SHA-256 of the statements, in hexadecimal.
    fn checksum(&self) -> String {
        use std::fmt::Write;

        let digest = ring::digest::digest(&ring::digest::SHA256, self.sql.as_bytes());
        digest
            .as_ref()
            .iter()
            .fold(String::new(), |mut text, byte| {
                // Writing into a text cannot fail.
                let _ = write!(text, "{byte:02x}");
                text
            })
    }
}

impl fmt::Display for Migration {
    /// The statements under a line of comment that names the step.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "-- {:04} {}", self.version, self.name)?;
        f.write_str(self.sql)
    }
}

pub(crate) const MIGRATIONS: [Migration; 3] = [
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

/// What a file holds.
#[derive(Debug, PartialEq, Eq)]
enum Holds {
    Nothing,
    /// Our schema of this version.
    Schema(i64),
}

/// Refuses a file that is not ours or is of a newer version, without changing it.
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
                 knows {}; update this node",
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
            "the file is an SQLite database of another program; name a path of its own for the \
             store",
        )),
    }
}

/// Switches the file to write-ahead logging, which lets reads run beside a write.
pub(crate) async fn use_wal(connection: &mut SqliteConnection, patience: &Patience) -> Result<()> {
    loop {
        let switched = async {
            // Asking first keeps a second process from taking the lock that switching needs.
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

/// Brings the file to the newest schema, in one transaction. Of several processes that start at
/// once, one does it and the others find it done.
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
        // SQLite opens a file that it may only read, and says so at the first write. Here is one,
        // undone at once.
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

/// Checks that the file was made by the steps that this version knows.
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
        "the database was made by other migrations than those of this version; use the version \
         that made it, or restore a backup",
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
    fn the_mark_in_the_header_is_the_one_that_is_written() {
        assert_eq!(APPLICATION_ID, i64::from(u32::from_be_bytes(*b"CXDB")));
    }
}
