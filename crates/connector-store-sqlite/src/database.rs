//! The database connections of one process: one writer and several readers.

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

/// Maximum time that SQLite waits for a lock before this code retries. SQLite's pauses between
/// attempts increase to 100 ms. During such a pause, a busier process can take the lock repeatedly.
/// A new wait starts with short pauses again, so that no process starves.
const SLICE: Duration = Duration::from_millis(40);

/// Pause after SQLite reports a lock without waiting for it.
const PAUSE: Duration = Duration::from_millis(1);

/// Minimum time that a read waits for a free read connection. Reads do not wait for locks, so a
/// connection becomes free soon.
const SHORTEST_QUEUE: Duration = Duration::from_secs(5);

pub(crate) type Statement = Query<'static, Sqlite, SqliteArguments>;

/// Creates a statement whose parameters `?1` and `?2` are a connection's tenant and id.
pub(crate) fn of_connection(sql: &'static str, key: &ConnectionKey) -> Statement {
    sqlx::query(sql)
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes().as_slice())
}

/// A retry deadline for locks of other processes. The deadline uses real time, even if the store
/// has another clock.
pub(crate) struct Patience {
    until: Instant,
}

impl Patience {
    pub(crate) fn new(timeout: Duration) -> Self {
        Self {
            until: Instant::now() + timeout,
        }
    }

    /// Returns true if the failure is a lock and there is time left to retry.
    pub(crate) async fn allows(&self, failure: &sqlx::Error) -> bool {
        if !is_busy(failure) || Instant::now() >= self.until {
            return false;
        }
        tokio::time::sleep(PAUSE).await;
        true
    }
}

/// Returns the options that all connections to the file share.
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

/// The identity of the database file at the time when the store was opened.
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

    /// Fails if the path now refers to a different file or to no file. Data written to a deleted or
    /// replaced file is lost when the last process closes the file, and other processes never see
    /// the data. In write-ahead mode, SQLite does not detect this.
    ///
    /// The check takes about one microsecond, less than a switch to another thread.
    fn check(&self, operation: &'static str) -> Result<()> {
        if self.identity.is_some() && identity(&self.path) != self.identity {
            return Err(moved(operation));
        }
        Ok(())
    }
}

/// Returns the identity of the file at `path`.
///
/// The request names the inode only. Since Linux 6.13, reading the times of a file makes the next
/// write to it record new times, and then each commit writes a journal transaction of the file
/// system too (a third more time for a refresh).
#[cfg(target_os = "linux")]
fn identity(path: &Path) -> Option<Identity> {
    use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};
    use rustix::io::Errno;

    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Some((
            makedev(found.stx_dev_major, found.stx_dev_minor),
            found.stx_ino,
        )),
        // A sandbox may forbid the system call.
        Err(Errno::NOSYS | Errno::PERM) => identity_with_times(path),
        Err(_) => None,
    }
}

#[cfg(all(unix, not(target_os = "linux")))]
fn identity(path: &Path) -> Option<Identity> {
    identity_with_times(path)
}

#[cfg(unix)]
fn identity_with_times(path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.dev(), metadata.ino()))
}

/// On other systems, an open file cannot be deleted or replaced.
#[cfg(not(unix))]
fn identity(_path: &Path) -> Option<Identity> {
    None
}

/// The identity of the write-ahead log and its index at the start of the writing connection's first
/// transaction. SQLite replaces these files only after the last connection to the database has
/// closed, so they do not change while this connection is open. Other processes never read data in
/// a deleted log, and processes with different index files do not respect each other's locks.
#[derive(Clone, Copy, Default)]
struct Companions([Option<Identity>; 2]);

impl Companions {
    fn of(path: &Path) -> Self {
        Self(["-wal", "-shm"].map(|ending| {
            let mut name = path.as_os_str().to_owned();
            name.push(ending);
            identity(Path::new(&name))
        }))
    }

    /// Returns true if one of the files was deleted or replaced.
    fn have_moved(self, path: &Path) -> bool {
        let now = Self::of(path);
        let mut pairs = self.0.iter().zip(now.0);
        pairs.any(|(kept, now)| kept.is_some() && *kept != now)
    }
}

#[derive(Default)]
struct Writer {
    /// `None` while a call uses it, and after a call that was interrupted.
    connection: Option<SqliteConnection>,
    /// The files that belong to the connection.
    companions: Companions,
    /// True after the store has detected that these files were deleted or replaced. All later
    /// writes fail.
    is_cut_off: bool,
    closed: bool,
}

impl Writer {
    /// Fails if a write would be lost.
    fn check(&mut self, path: &Path, operation: &'static str) -> Result<()> {
        if self.connection.is_none() {
            // If the next connection is the only one, SQLite creates the files again.
            self.companions = Companions::default();
        }
        self.check_companions(path, operation)
    }

    fn check_companions(&mut self, path: &Path, operation: &'static str) -> Result<()> {
        self.is_cut_off |= self.companions.have_moved(path);
        if self.is_cut_off {
            return Err(moved(operation));
        }
        Ok(())
    }
}

impl Database {
    /// Wraps connections to a file that has the schema. `connection` becomes the writer.
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
                companions: Companions::default(),
                is_cut_off: false,
                closed: false,
            }),
            readers,
            file: File::new(path),
        }
    }

    /// Returns the rows of one statement. A single statement reads one snapshot.
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

    /// Begins a write. Waits for the earlier writes of this process and the current writes of other
    /// processes.
    pub(crate) async fn write(&self, operation: &'static str) -> Result<Write<'_>> {
        let mut writer = self.writer.lock().await;
        if writer.closed {
            return Err(closed(operation));
        }
        self.file.check(operation)?;
        writer.check(&self.file.path, operation)?;
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
                    if writer.companions.0 == [None; 2] {
                        writer.companions = Companions::of(&self.file.path);
                    }
                    return Ok(Write {
                        writer,
                        connection,
                        operation,
                        file: &self.file,
                        // Read inside the transaction, so that the order of commits matches the
                        // order of their times.
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

    /// Closes all connections after their current calls have finished.
    pub(crate) async fn close(&self) {
        self.readers.close().await;
        let mut writer = self.writer.lock().await;
        writer.closed = true;
        if let Some(connection) = writer.connection.take() {
            // Nothing can be lost, because all acknowledged writes are in the file.
            let _ = connection.close().await;
        }
    }
}

type Begun = std::result::Result<SqliteConnection, (Option<SqliteConnection>, sqlx::Error)>;

/// Takes the write lock. On failure, returns the connection if it can be reused.
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

/// A write in progress, which is a transaction with the write lock.
///
/// The connection is reused only after SQLite confirmed a commit or a rollback. If the future is
/// dropped earlier or an error occurs, the connection is closed instead: SQLite then rolls back,
/// and the next write opens a new connection. Therefore every transaction ends with its call.
pub(crate) struct Write<'a> {
    writer: MutexGuard<'a, Writer>,
    connection: SqliteConnection,
    operation: &'static str,
    file: &'a File,
    pub(crate) now: Timestamp,
}

/// A transaction of this store or of the caller.
pub(crate) struct Session<'a> {
    pub(crate) connection: &'a mut SqliteConnection,
    pub(crate) operation: &'static str,
    pub(crate) now: Timestamp,
}

impl Session<'_> {
    /// Runs a statement and returns its rows.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<SqliteRow>> {
        statement
            .fetch_all(&mut *self.connection)
            .await
            .map_err(|failure| failed(self.operation, failure))
    }

    /// Runs a statement and returns the number of changed rows.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<u64> {
        let done = statement
            .execute(&mut *self.connection)
            .await
            .map_err(|failure| failed(self.operation, failure))?;
        Ok(done.rows_affected())
    }
}

impl Write<'_> {
    /// Returns the transaction of this write.
    pub(crate) const fn session(&mut self) -> Session<'_> {
        Session {
            connection: &mut self.connection,
            operation: self.operation,
            now: self.now,
        }
    }

    pub(crate) const fn operation(&self) -> &'static str {
        self.operation
    }

    /// Runs a statement and returns its rows.
    pub(crate) async fn rows(&mut self, statement: Statement) -> Result<Vec<SqliteRow>> {
        self.session().rows(statement).await
    }

    /// Runs a statement and returns the number of changed rows.
    pub(crate) async fn run(&mut self, statement: Statement) -> Result<u64> {
        self.session().run(statement).await
    }

    /// Commits the transaction durably.
    pub(crate) async fn commit(self) -> Result<()> {
        let Self {
            mut writer,
            mut connection,
            operation,
            file,
            ..
        } = self;
        // On failure, dropping the connection rolls the write back.
        file.check(operation)?;
        writer.check_companions(&file.path, operation)?;
        sqlx::query("COMMIT")
            .execute(&mut connection)
            .await
            .map_err(|failure| failed(operation, failure))?;
        writer.connection = Some(connection);
        Ok(())
    }

    /// Rolls the transaction back.
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
