//! Options for opening a store.

use std::fs;
use std::io;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::{Clock, SystemClock};
use connector_core::{Error, ErrorKind, Result};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteSynchronous};

use crate::SqliteStore;
use crate::database::{Database, Patience, connect_options};
use crate::error::{failed_at, is_busy};
use crate::mount::network_file_system;
use crate::schema;

const OPERATION: &str = "store.open";

/// SQLite's default page size, which this store does not change.
const PAGE: u64 = 4096;

/// Options for opening a store, if you need other settings than [`SqliteStore::open`] uses.
///
/// ```
/// # async fn example(path: &std::path::Path) -> connector_core::Result<()> {
/// use std::time::Duration;
/// use connector_store_sqlite::SqliteOptions;
///
/// let store = SqliteOptions::new(path)
///     .create_if_missing(false)
///     .with_busy_timeout(Duration::from_secs(5))
///     .open()
///     .await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
#[non_exhaustive]
pub struct SqliteOptions {
    path: PathBuf,
    clock: Arc<dyn Clock>,
    busy_timeout: Duration,
    read_connections: NonZeroU32,
    create_if_missing: bool,
    largest_size: Option<u64>,
}

impl SqliteOptions {
    /// Creates the default options for the file at `path`: system clock, a busy timeout of 30
    /// seconds, 4 read connections, no size limit. The file is created if it does not exist.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            clock: Arc::new(SystemClock::new()),
            busy_timeout: Duration::from_secs(30),
            read_connections: NonZeroU32::MIN.saturating_add(3),
            create_if_missing: true,
            largest_size: None,
        }
    }

    /// Sets the store's clock, which resolves all durations. Processes that share a file must use
    /// the same time, for example the system clock of the machine.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets the maximum time, in real time, that a call waits while other processes write. A call
    /// that waits longer fails with [`ErrorKind::StoreUnavailable`].
    pub fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Sets the maximum number of concurrent reads. Writes are serialized.
    pub fn with_read_connections(mut self, read_connections: NonZeroU32) -> Self {
        self.read_connections = read_connections;
        self
    }

    /// Sets whether a missing file is created. On Unix, only its owner can read or write the new
    /// file (mode 0600). The directory is never created.
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Sets the maximum file size in bytes for writes of this process. Writes that need more space
    /// fail with [`ErrorKind::StoreUnavailable`]. Reads and stored data are not affected. The size
    /// of the write-ahead log is not included.
    pub fn with_largest_size(mut self, bytes: u64) -> Self {
        self.largest_size = Some(bytes);
        self
    }

    /// Opens the store and migrates an older schema to this version.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the path cannot be used; the message states the reason.
    /// [`ErrorKind::StoreIncompatible`] if the file is not a store, is damaged, or was created by a
    /// newer version. [`ErrorKind::StoreUnavailable`] if other processes lock the file for too
    /// long.
    pub async fn open(self) -> Result<SqliteStore> {
        let path = self.path.clone();
        let create = self.create_if_missing;
        // Accessing file metadata can take long on a network file system.
        let found = tokio::task::spawn_blocking(move || find(&path, create))
            .await
            .map_err(|cause| {
                Error::new(
                    ErrorKind::StoreUnavailable,
                    OPERATION,
                    "the runtime stopped while the store was opened",
                )
                .with_source(cause)
            })??;
        if let Some(file_system) = &found.network {
            tracing::warn!(
                path = %found.path.display(),
                file_system,
                "the database is on a network file system, whose locks are unreliable: several \
                 processes can damage it; put it on a local disk"
            );
        }
        let patience = Patience::new(self.busy_timeout);
        if found.has_content {
            let options = connect_options(&found.path, self.busy_timeout).read_only(true);
            let mut connection = connect(&options, &patience).await?;
            schema::examine(&mut connection, &patience).await?;
        }
        let options = self.write_options(&found.path);
        let mut connection = connect(&options, &patience).await?;
        schema::use_wal(&mut connection, &patience).await?;
        schema::migrate(&mut connection, self.clock.now(), &patience).await?;
        Ok(SqliteStore {
            database: Arc::new(Database::new(
                &found.path,
                self.clock,
                self.busy_timeout,
                self.read_connections.get(),
                // The file exists now. If it disappears, it must not be replaced by a new file.
                options.create_if_missing(false),
                connection,
            )),
        })
    }

    fn write_options(&self, path: &Path) -> SqliteConnectOptions {
        let options = connect_options(path, self.busy_timeout)
            .create_if_missing(self.create_if_missing)
            .synchronous(SqliteSynchronous::Full)
            // Overwrites deleted content in pages that are written anyway.
            .pragma("secure_delete", "FAST");
        match self.largest_size {
            Some(bytes) => options.pragma("max_page_count", (bytes / PAGE).max(1).to_string()),
            None => options,
        }
    }
}

async fn connect(options: &SqliteConnectOptions, patience: &Patience) -> Result<SqliteConnection> {
    loop {
        match options.connect().await {
            Ok(connection) => return Ok(connection),
            Err(failure) if is_busy(&failure) && patience.allows(&failure).await => {}
            Err(failure) => return Err(failed_at(options.get_filename(), OPERATION, failure)),
        }
    }
}

/// The result of inspecting the path.
struct Found {
    /// Absolute, so that SQLite never interprets the path as a URL.
    path: PathBuf,
    has_content: bool,
    /// The network file system that contains the file, if any.
    network: Option<String>,
}

const NO_DIRECTORY: &str = "is in something that is not a directory; use another path";

fn find(path: &Path, create: bool) -> Result<Found> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(unusable(
            path,
            "is not a file; name one, or use MemoryStore if data may be lost",
            None,
        ));
    }
    let path = std::path::absolute(path)
        .map_err(|cause| unusable(path, "is not a path; name a file", Some(cause)))?;
    let directory = path
        .parent()
        .ok_or_else(|| unusable(&path, "is not a file; name one", None))?;
    let directory = fs::canonicalize(directory).map_err(|cause| {
        let advice = match cause.kind() {
            io::ErrorKind::NotFound => "is in a directory that does not exist; create it first",
            io::ErrorKind::NotADirectory => NO_DIRECTORY,
            _ => "is in a directory that cannot be read; give the process access to it",
        };
        unusable(&path, advice, Some(cause))
    })?;
    if !directory.is_dir() {
        return Err(unusable(&path, NO_DIRECTORY, None));
    }
    let has_content = match fs::metadata(&path) {
        Ok(metadata) if metadata.is_file() => metadata.len() > 0,
        Ok(_) => return Err(unusable(&path, "is not a file; name one", None)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
            if !create {
                return Err(unusable(
                    &path,
                    "does not exist; check the path, or let the store create the file",
                    Some(cause),
                ));
            }
            create_private(&path);
            false
        }
        Err(cause) => {
            return Err(unusable(
                &path,
                "cannot be read; give the process access to it",
                Some(cause),
            ));
        }
    };
    let file = fs::canonicalize(&path).unwrap_or(directory);
    Ok(Found {
        network: network_file_system(&file),
        path,
        has_content,
    })
}

/// Creates the file with access only for its owner. SQLite creates the other files of the database
/// with the same mode. Errors are ignored here, because SQLite reports them when it opens the file.
fn create_private(path: &Path) {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let _ = options.open(path);
}

fn unusable(path: &Path, advice: &str, cause: Option<io::Error>) -> Error {
    let error = Error::new(
        ErrorKind::Configuration,
        OPERATION,
        format!("{} {advice}", path.display()),
    );
    match cause {
        Some(cause) => error.with_source(cause),
        None => error,
    }
}
