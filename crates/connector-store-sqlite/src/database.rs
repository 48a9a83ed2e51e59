//! The connections of one process to the file: one that writes, some that read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::{Clock, Timestamp};
use connector_core::{ConnectionKey, Result};
use sqlx::query::Query;
use sqlx::sqlite::{
    SqliteArguments, SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions,
    SqliteRow,
};
use sqlx::{ConnectOptions, Connection, Sqlite};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::error::{closed, failed, is_busy, moved};

/// How long SQLite itself waits for a lock before the loop around it asks again. SQLite's pauses
/// grow to 100 ms, in which a busier process takes the lock over and over; starting anew keeps them
/// short, so that nobody starves.
const SLICE: Duration = Duration::from_millis(40);

/// The pause where SQLite reports a lock without having waited for it.
const PAUSE: Duration = Duration::from_millis(1);

/// How long a read waits for a read connection at least: other reads give theirs back soon, and
/// that has nothing to do with locks.
const SHORTEST_QUEUE: Duration = Duration::from_secs(5);

pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// A statement whose parameters `?1` and `?2` are a connection's tenant and id.
pub(crate) fn of_connection(sql: &'static str, key: &ConnectionKey) -> Statement {
    sqlx::query(sql)
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes().as_slice())
}

/// Waits for other processes, which live in real time whatever clock the store was given.
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            until: Instant::now() + timeout,
        }
    }

    /// True if the failure is a lock and there is time left to try again.
    pub(crate) async fn allows(&self, failure: &sqlx::Error) -> bool {
        if !is_busy(failure) || Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
        true
    }
}

/// What every connection to the file needs.
pub(crate) fn connect_options(path: &Path, busy_timeout: Duration) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .busy_timeout(busy_timeout.min(SLICE))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .disable_statement_logging()
}

pub(crate) struct Database {
    pub(crate) clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    write_options: SqliteConnectOptions,
    writer: Mutex<Writer>,
    readers: SqlitePool,
    file: File,
}

/// The database file as it was when the store was opened.
struct File {
    path: PathBuf,
    identity: Option<Identity>,
}

/// The device and the inode of a file.
type Identity = (u64, u64);

impl File {
    fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            identity: identity(path),
        }
    }

    /// Fails if another file, or none, lies at the path now. What is written into a file that was
    /// deleted or replaced is lost when the last process closes it, and other processes never see
    /// it. In write-ahead mode SQLite does not notice this itself.
    ///
    /// The look at the path takes about a microsecond, less than handing it to another thread.
    fn check(&self, operation: &'static str) -> Result<()> {
        if self.identity.is_some() && identity(&self.path) != self.identity {
            return Err(moved(operation));
        }
        Ok(())
    }
}

#[cfg(unix)]
fn identity(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// Elsewhere, a file that is open cannot be deleted or replaced.
#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}

#[derive(Default)]
struct Writer {
    /// Missing while a call has it, and after a call that did not come to its end.
    connection: Option<SqliteConnection>,
    closed: bool,
}

impl Database {
    /// Connections to a file that has the schema. `connection` becomes the writing one.
    pub(crate) fn new(
        path: &Path,
        clock: Arc<dyn Clock>,
        busy_timeout: Duration,
        readers: u32,
        write_options: SqliteConnectOptions,
        connection: SqliteConnection,
    ) -> Self {
        let readers = SqlitePoolOptions::new()
            .max_connections(readers)
            .acquire_timeout(busy_timeout.max(SHORTEST_QUEUE))
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(connect_options(path, busy_timeout).read_only(true));
        Self {
            clock,
            busy_timeout,
            write_options,
            writer: Mutex::new(Writer {
                connection: Some(connection),
                closed: false,
            }),
            readers,
            file: File::new(path),
        }
    }

    /// The rows of one statement. A single statement reads one snapshot.
    pub(crate) async fn read(
        &self,
        operation: &'static str,
        statement: impl Fn() -> Statement + Send + Sync,
    ) -> Result<Vec<SqliteRow>> {
        let patience = Patience::new(self.busy_timeout);
        loop {
            let rows = match self.readers.acquire().await {
                Ok(mut connection) => statement().fetch_all(&mut *connection).await,
                Err(failure) => Err(failure),
            };
            match rows {
                Ok(rows) => return Ok(rows),
                Err(failure) if patience.allows(&failure).await => {}
                Err(failure) => return Err(failed(operation, failure)),
            }
        }
    }

    /// Begins a write, after those that this process began before and those of other processes.
    pub(crate) async fn write(&self, operation: &'static str) -> Result<Write<'_>> {
        let mut writer = self.writer.lock().await;
        if writer.closed {
            return Err(closed(operation));
        }
        self.file.check(operation)?;
        let patience = Patience::new(self.busy_timeout);
        let mut kept = writer.connection.take();
        loop {
            let begun = match kept.take() {
                Some(connection) => begin(connection).await,
                None => match self.write_options.connect().await {
                    Ok(connection) => begin(connection).await,
                    Err(failure) => Err((None, failure)),
                },
            };
            match begun {
                Ok(connection) => {
                    return Ok(Write {
                        writer,
                        connection,
                        operation,
                        file: &self.file,
                        // Read inside the transaction, so that the order of commits is the order
                        // of their times.
                        now: self.clock.now(),
                    });
                }
                Err((connection, failure)) => {
                    kept = connection;
                    if !patience.allows(&failure).await {
                        writer.connection = kept;
                        return Err(failed(operation, failure));
                    }
                }
            }
        }
    }

    /// Closes all connections after the calls that use them.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        writer.closed = true;
        if let Some(connection) = writer.connection.take() {
            // There is nothing left to lose: what was acknowledged is in the file.
            let _ = connection.close().await;
        }
    }
}

type Begun = std::result::Result<SqliteConnection, (Option<SqliteConnection>, sqlx::Error)>;

/// Takes the write lock. The connection comes back with a failure if it can be used again.
async fn begin(mut connection: SqliteConnection) -> Begun {
    match sqlx::query("BEGIN IMMEDIATE")
        .execute(&mut connection)
        .await
    {
        Ok(_) => Ok(connection),
        Err(failure) if is_busy(&failure) => Err((Some(connection), failure)),
        Err(failure) => Err((None, failure)),
    }
}

/// A write in progress: a transaction that holds the write lock.
///
/// The connection goes back only after a commit or a cancellation that SQLite confirmed. A future
/// that is dropped before, and an error on the way, close it instead: SQLite then rolls back, and
/// the next write opens another one. So no transaction can outlive its call.
pub(crate) struct Write<'a> {
    writer: MutexGuard<'a, Writer>,
    connection: SqliteConnection,
    operation: &'static str,
    file: &'a File,
    pub(crate) now: Timestamp,
}

impl Write<'_> {
    pub(crate) const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<SqliteRow>> {
        statement
            .fetch_all(&mut self.connection)
            .await
            .map_err(|failure| failed(self.operation, failure))
    }

    /// Runs a statement and returns how many rows it changed.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<u64> {
        let done = statement
            .execute(&mut self.connection)
            .await
            .map_err(|failure| failed(self.operation, failure))?;
        Ok(done.rows_affected())
    }

    /// Makes the write durable.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self {
            mut writer,
            mut connection,
            operation,
            file,
            ..
        } = self;
        // Dropping the connection rolls the write back.
        file.check(operation)?;
        sqlx::query("COMMIT")
            .execute(&mut connection)
            .await
            .map_err(|failure| failed(operation, failure))?;
        writer.connection = Some(connection);
        Ok(())
    }

    /// Undoes everything.
    pub(crate) async fn cancel(self) {
        let Self {
            mut writer,
            mut connection,
            ..
        } = self;
        if sqlx::query("ROLLBACK")
            .execute(&mut connection)
            .await
            .is_ok()
        {
            writer.connection = Some(connection);
        }
    }
}
