//! How a store is opened.

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

/// SQLite's own page size, which this store does not change.
const PAGE: u64 = 4096;

/// How to open a store, where the defaults of [`SqliteStore::open`] do not fit.
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
    /// The defaults for the file at `path`: the machine's clock, a busy timeout of 30 seconds, 4
    /// read connections, no limit to its size; it is made if it is missing.
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

    /// Sets the store's clock: durations are resolved on it. Processes that share a file need
    /// clocks that agree, as those of one machine do.
    pub fn with_clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Sets how long a call waits, in real time, while other processes write. A call that waited
    /// longer fails with [`ErrorKind::StoreUnavailable`].
    pub fn with_busy_timeout(mut self, busy_timeout: Duration) -> Self {
        self.busy_timeout = busy_timeout;
        self
    }

    /// Sets how many reads run at once. Writes run one after the other.
    pub fn with_read_connections(mut self, read_connections: NonZeroU32) -> Self {
        self.read_connections = read_connections;
        self
    }

    /// Sets whether a missing file is made. On Unix, only its owner may read or write it (mode 0600).
    /// Its directory is never made.
    pub fn create_if_missing(mut self, create: bool) -> Self {
        self.create_if_missing = create;
        self
    }

    /// Sets how large this process lets the file grow, in bytes. Writes that need more room fail
    /// with [`ErrorKind::StoreUnavailable`]; reads and what is stored are not affected. The
    /// write-ahead log comes on top.
    pub fn with_largest_size(mut self, bytes: u64) -> Self {
        self.largest_size = Some(bytes);
        self
    }

    /// Opens the store, and brings its schema to this version if it is older.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the path cannot be used: the message says why;
    /// [`ErrorKind::StoreIncompatible`] if the file is no store, is damaged, or was made by a newer
    /// version; [`ErrorKind::StoreUnavailable`] if other processes keep it locked.
    pub async fn open(self) -> Result<SqliteStore> {
        let path = self.path.clone();
        let create = self.create_if_missing;
        // A look at a file can take long on a network file system.
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
                "the database lies on a network file system, whose locks may not hold: several \
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
                // The file is there now: if it vanishes, a new one must not take its place.
                options.create_if_missing(false),
                connection,
            )),
        })
    }

    fn write_options(&self, path: &Path) -> SqliteConnectOptions {
        let options = connect_options(path, self.busy_timeout)
            .create_if_missing(self.create_if_missing)
            .synchronous(SqliteSynchronous::Full)
            // What was deleted is overwritten where its page is written anyway.
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

/// What a look at the path showed.
struct Found {
    /// Absolute, so that SQLite takes it for a path whatever it looks like.
    path: PathBuf,
    has_content: bool,
    /// The network file system that it lies on.
    network: Option<String>,
}

const NO_DIRECTORY: &str = "lies in something that is not a directory; name another path";

fn find(path: &Path, create: bool) -> Result<Found> {
    if path.as_os_str().is_empty() || path == Path::new(":memory:") {
        return Err(unusable(
            path,
            "is not a file; name one, or use MemoryStore for data that may be lost",
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
            io::ErrorKind::NotFound => "lies in a directory that does not exist; make it first",
            io::ErrorKind::NotADirectory => NO_DIRECTORY,
            _ => "lies in a directory that cannot be read; give the process access to it",
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
                    "does not exist; check the path, or let the store make it",
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

/// Makes the file with access for its owner alone; SQLite gives the files beside it the same mode.
/// A failure is left to SQLite, which reports it when it opens the file.
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
