//! Conversion of failures of the server, the pool and the driver to the workspace's error type.

use std::error::Error as StdError;
use std::fmt;

use connector_core::{Error, ErrorKind};
use deadpool_postgres::PoolError;
use deadpool_postgres::TimeoutType;
use tokio_postgres::error::{DbError, SqlState};

/// An error that the server reported, without its details: those may contain values of a row.
#[derive(Debug)]
struct ServerError {
    code: String,
    message: String,
}

impl From<&DbError> for ServerError {
    fn from(error: &DbError) -> Self {
        Self {
            code: error.code().code().to_owned(),
            message: error.message().to_owned(),
        }
    }
}

impl fmt::Display for ServerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SQLSTATE {}: {}", self.code, self.message)
    }
}

impl StdError for ServerError {}

type Parts = (ErrorKind, &'static str);

/// Converts a failure of a statement to an error. All failures of the driver are converted here.
pub(crate) fn failed(operation: &'static str, failure: &tokio_postgres::Error) -> Error {
    if let Some(reported) = failure.as_db_error() {
        let code = reported.code().code();
        // PgBouncer's message; the code is that of every violation of the protocol.
        let is_pooler = reported.message().contains("unsupported startup parameter");
        let code = if is_pooler { "26000" } else { code };
        let (kind, message) = of_code(code);
        return Error::new(kind, operation, message).with_source(ServerError::from(reported));
    }
    let (kind, message) = of_driver(failure);
    match io_error(failure) {
        Some(cause) => Error::new(kind, operation, message)
            .with_source(std::io::Error::new(cause.kind(), cause.to_string())),
        None => Error::new(kind, operation, message),
    }
}

fn io_error(failure: &tokio_postgres::Error) -> Option<&std::io::Error> {
    let mut source = failure.source();
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref() {
            return Some(cause);
        }
        source = cause.source();
    }
    None
}

/// Converts a failure to get a connection from the pool.
pub(crate) fn pool_failed(operation: &'static str, failure: &PoolError) -> Error {
    let (kind, message) = match failure {
        PoolError::Backend(failure) => return connect_failed(operation, failure),
        PoolError::Timeout(TimeoutType::Wait) => (
            ErrorKind::StoreUnavailable,
            "all connections of the pool were in use for too long; allow more of them \
             (`with_connections`) or repeat the call",
        ),
        PoolError::Timeout(_) => timed_out_parts(),
        PoolError::Closed => (
            ErrorKind::StoreUnavailable,
            "the store was closed; open it again",
        ),
        _ => driver_parts(),
    };
    Error::new(kind, operation, message)
}

/// Converts a failure to connect.
fn connect_failed(operation: &'static str, failure: &tokio_postgres::Error) -> Error {
    let Some(cause) = io_error(failure) else {
        return failed(operation, failure);
    };
    let is_tls = cause
        .get_ref()
        .is_some_and(<dyn StdError + Send + Sync>::is::<rustls::Error>);
    let (kind, message) = if is_tls {
        (
            ErrorKind::Configuration,
            "the server's certificate was not accepted; connect by the name in the certificate, or \
             pass the authority that issued it (`with_root_certificates`)",
        )
    } else {
        (
            ErrorKind::StoreUnavailable,
            "the server cannot be reached; check host and port, and that the server is running",
        )
    };
    Error::new(kind, operation, message)
        .with_source(std::io::Error::new(cause.kind(), cause.to_string()))
}

/// The error for a call that took too long.
pub(crate) fn timed_out(operation: &'static str) -> Error {
    let (kind, message) = timed_out_parts();
    Error::new(kind, operation, message)
}

const fn timed_out_parts() -> Parts {
    (
        ErrorKind::StoreUnavailable,
        "the server did not respond in time; repeat the call, and look for long transactions and \
         for an overloaded server",
    )
}

const fn driver_parts() -> Parts {
    (
        ErrorKind::Bug,
        "the database driver was used incorrectly; please report it",
    )
}

fn of_code(code: &str) -> Parts {
    const POOLER: Parts = (
        ErrorKind::Configuration,
        "a pooler in transaction mode is between the store and the server; set \
         `with_pooler(true)`",
    );
    const MIGRATE: Parts = (
        ErrorKind::StoreIncompatible,
        "the database does not have the tables of this version; apply the migrations \
         (`PostgresOptions::migrate`), or check the schema name",
    );
    if code == SqlState::UNDEFINED_PSTATEMENT.code()
        || code == SqlState::DUPLICATE_PSTATEMENT.code()
    {
        return POOLER;
    }
    if code == SqlState::UNDEFINED_TABLE.code()
        || code == SqlState::UNDEFINED_COLUMN.code()
        || code == SqlState::INVALID_SCHEMA_NAME.code()
        || code == SqlState::UNDEFINED_FUNCTION.code()
    {
        return MIGRATE;
    }
    if code == SqlState::INVALID_CATALOG_NAME.code() {
        return (
            ErrorKind::Configuration,
            "the database does not exist; create it, or correct its name in the connection string",
        );
    }
    if code == SqlState::INSUFFICIENT_PRIVILEGE.code() {
        return (
            ErrorKind::Configuration,
            "the user lacks a right; grant the rights that `PostgresStore::grants_sql` prints",
        );
    }
    if code == SqlState::READ_ONLY_SQL_TRANSACTION.code() {
        return (
            ErrorKind::StoreUnavailable,
            "the server accepts no writes, for example because it is a standby; connect to the \
             primary",
        );
    }
    if code == SqlState::DISK_FULL.code() {
        return (
            ErrorKind::StoreUnavailable,
            "the server's disk is full; free space on it, then repeat the call",
        );
    }
    if code == SqlState::TOO_MANY_CONNECTIONS.code() {
        return (
            ErrorKind::StoreUnavailable,
            "the server has too many connections; allow fewer per process (`with_connections`), \
             raise max_connections, or use a pooler",
        );
    }
    if code == SqlState::CHARACTER_NOT_IN_REPERTOIRE.code()
        || code == SqlState::UNTRANSLATABLE_CHARACTER.code()
        || code == SqlState::PROGRAM_LIMIT_EXCEEDED.code()
    {
        return (
            ErrorKind::InvalidInput,
            "a value contains a character that PostgreSQL cannot store, or is too long",
        );
    }
    if code == SqlState::QUERY_CANCELED.code() {
        return timed_out_parts();
    }
    match code.get(..2) {
        Some("28") => (
            ErrorKind::Configuration,
            "the server refused the user or the password; correct the connection string or the \
             server's access rules",
        ),
        Some("23") => (
            ErrorKind::Bug,
            "a write violates a constraint of the schema; please report it",
        ),
        Some("40") => (
            ErrorKind::StoreUnavailable,
            "another transaction was in the way; repeat the call",
        ),
        Some("XX") => (
            ErrorKind::StoreIncompatible,
            "the server reported an internal error or damaged data; check its log before you \
             continue",
        ),
        Some("42" | "22" | "0A") => (
            ErrorKind::Bug,
            "the server refused a statement; please report it",
        ),
        _ => (
            ErrorKind::StoreUnavailable,
            "the server cannot process the call now; check the server's log, then repeat the call",
        ),
    }
}

fn of_driver(failure: &tokio_postgres::Error) -> Parts {
    if failure.is_closed() || io_error(failure).is_some() {
        return (
            ErrorKind::StoreUnavailable,
            "the connection to the server was lost; repeat the call",
        );
    }
    // The driver's kinds are private. Errors of its configuration and of the TLS handshake are
    // reported when the store is opened.
    match failure.to_string() {
        text if text.starts_with("invalid configuration") => (
            ErrorKind::Configuration,
            "the connection string is incomplete: it needs at least a user and, if the server \
             asks for one, a password",
        ),
        text if text.contains("TLS handshake") => (
            ErrorKind::Configuration,
            "the server does not support encrypted connections; enable TLS on the server, or set \
             `sslmode=disable` for a network that you trust",
        ),
        text if text.contains("authentication") => (
            ErrorKind::Configuration,
            "the server asks for an authentication method that the connection string does not \
             serve; check the password",
        ),
        text if text.contains("connecting to server") => (
            ErrorKind::StoreUnavailable,
            "the server cannot be reached; check host and port, and that the server is running",
        ),
        text if text.contains("timeout") => timed_out_parts(),
        text if text.contains("from server") => (
            ErrorKind::StoreUnavailable,
            "the server sent a response that the driver does not understand; check that the \
             address belongs to a PostgreSQL server",
        ),
        _ => driver_parts(),
    }
}

/// The error for a stored value that this version cannot read.
pub(crate) fn unreadable(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::StoreIncompatible,
        operation,
        "the store holds a value that this version cannot read; update this node or restore the \
         row from a backup",
    )
}

/// The error for a number that exceeds PostgreSQL's `bigint`.
pub(crate) fn number_too_large(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        operation,
        "a number is larger than 2^63 - 1, the maximum of this store",
    )
}

/// The error for a cursor that belongs to another list.
pub(crate) fn foreign_cursor(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::InvalidInput,
        operation,
        "the cursor does not belong to this list; pass the cursor of the previous page",
    )
}

/// The error for a record that other callers change all the time.
pub(crate) fn contended(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        operation,
        "other callers changed the record during every attempt; repeat the call",
    )
}

/// The error for a call in a runtime that stops.
pub(crate) fn stopped(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::StoreUnavailable,
        operation,
        "the runtime stopped during the call, whose outcome is unknown",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// PostgreSQL's list of codes: <https://www.postgresql.org/docs/current/errcodes-appendix.html>.
    #[test]
    fn every_class_of_codes_has_an_error_with_advice() {
        use ErrorKind::{Bug, Configuration, InvalidInput, StoreIncompatible, StoreUnavailable};
        let table = [
            ("26000", Configuration, "with_pooler"),
            ("42P05", Configuration, "with_pooler"),
            ("42P01", StoreIncompatible, "migrate"),
            ("3F000", StoreIncompatible, "schema name"),
            ("3D000", Configuration, "create it"),
            ("28P01", Configuration, "password"),
            ("28000", Configuration, "password"),
            ("42501", Configuration, "grants_sql"),
            ("25006", StoreUnavailable, "primary"),
            ("53100", StoreUnavailable, "free space"),
            ("53300", StoreUnavailable, "pooler"),
            ("53200", StoreUnavailable, "log"),
            ("57P01", StoreUnavailable, "repeat the call"),
            ("57014", StoreUnavailable, "in time"),
            ("40001", StoreUnavailable, "repeat the call"),
            ("40P01", StoreUnavailable, "repeat the call"),
            ("55P03", StoreUnavailable, "repeat the call"),
            ("22021", InvalidInput, "character"),
            ("54000", InvalidInput, "too long"),
            ("23505", Bug, "report it"),
            ("42601", Bug, "report it"),
            ("XX001", StoreIncompatible, "log"),
        ];
        for (code, kind, advice) in table {
            let (found, message) = of_code(code);
            assert_eq!(found, kind, "{code}");
            assert!(message.contains(advice), "{code}: {message}");
        }
    }
}
