//! Conversion of SQLite and driver failures to the workspace's error type.

use std::path::Path;

use connector_core::{Error, ErrorKind};

/// SQLite's primary result codes that map to specific errors.
mod code {
    pub(super) const ERROR: i32 = 1;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const PROTOCOL: i32 = 15;
    pub(super) const SCHEMA: i32 = 17;
    pub(super) const TOOBIG: i32 = 18;
    pub(super) const CONSTRAINT: i32 = 19;
    pub(super) const PERM: i32 = 3;
    pub(super) const NOTADB: i32 = 26;
    /// Extended code for a file that was moved or replaced while it was open.
    pub(super) const READONLY_DBMOVED: i32 = 1032;
}

/// Returns the extended result code, if the failure came from SQLite itself.
fn extended_code(failure: &sqlx::Error) -> Option<i32> {
    failure.as_database_error()?.code()?.parse().ok()
}

/// Returns true if another connection held a lock, so that a retry may succeed.
pub(crate) fn is_busy(failure: &sqlx::Error) -> bool {
    extended_code(failure).is_some_and(|extended| {
        matches!(extended & 0xff, code::BUSY | code::LOCKED | code::PROTOCOL)
    })
}

/// Converts a failure of SQLite or its driver to an error. All failures are converted here.
pub(crate) fn failed(operation: &'static str, failure: sqlx::Error) -> Error {
    let (kind, message) = parts(&failure);
    Error::new(kind, operation, message).with_source(failure)
}

/// Like [`failed`], for failures that may be caused by a wrong path.
pub(crate) fn failed_at(path: &Path, operation: &'static str, failure: sqlx::Error) -> Error {
    let (kind, message) = parts(&failure);
    Error::new(kind, operation, format!("{}: {message}", path.display())).with_source(failure)
}

fn parts(failure: &sqlx::Error) -> (ErrorKind, &'static str) {
    match extended_code(failure) {
        Some(extended) => of_code(extended),
        None => of_driver(failure),
    }
}

fn of_code(extended: i32) -> (ErrorKind, &'static str) {
    if extended == code::READONLY_DBMOVED {
        return moved_parts();
    }
    match extended & 0xff {
        code::BUSY | code::LOCKED | code::PROTOCOL => (
            ErrorKind::StoreUnavailable,
            "other processes kept the database file locked for longer than the busy timeout; \
             repeat the call, and look for a process that holds a transaction open",
        ),
        code::FULL => (
            ErrorKind::StoreUnavailable,
            "the database file cannot grow; free space on its disk or raise its \
             size limit, then repeat the call",
        ),
        code::READONLY | code::PERM => (
            ErrorKind::Configuration,
            "the database file or its directory cannot be written; give the process write \
             permission to both",
        ),
        code::CANTOPEN => (
            ErrorKind::Configuration,
            "the database file cannot be opened; check that its directory exists and that the \
             process may read and write both",
        ),
        code::NOTADB => (
            ErrorKind::StoreIncompatible,
            "the file is not an SQLite database; use another path or restore a backup",
        ),
        code::CORRUPT => (
            ErrorKind::StoreIncompatible,
            "the database file is damaged; stop writing to it and restore a backup",
        ),
        code::ERROR | code::SCHEMA => (
            ErrorKind::StoreIncompatible,
            "the database does not have the tables of this version; something else changed \
             it, restore a backup",
        ),
        code::TOOBIG => (
            ErrorKind::InvalidInput,
            "a value exceeds SQLite's size limit; pass a smaller one",
        ),
        code::CONSTRAINT => (
            ErrorKind::Bug,
            "a write violates a constraint of the schema; please report it",
        ),
        _ => (
            ErrorKind::StoreUnavailable,
            "the database file cannot be read or written now; check its disk, then retry",
        ),
    }
}

fn of_driver(failure: &sqlx::Error) -> (ErrorKind, &'static str) {
    match failure {
        sqlx::Error::PoolTimedOut => (
            ErrorKind::StoreUnavailable,
            "all read connections were in use for longer than the busy timeout; allow more of them \
             or repeat the call",
        ),
        sqlx::Error::PoolClosed => closed_parts(),
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::Decode(_) => unreadable_parts(),
        sqlx::Error::Io(_) | sqlx::Error::WorkerCrashed => (
            ErrorKind::StoreUnavailable,
            "the connection to the database file failed; repeat the call",
        ),
        _ => (
            ErrorKind::Bug,
            "the database driver was used incorrectly; please report it",
        ),
    }
}

const fn moved_parts() -> (ErrorKind, &'static str) {
    (
        ErrorKind::StoreUnavailable,
        "the database file was deleted, moved or replaced while it was open; put it back and start \
         the process again",
    )
}

const fn closed_parts() -> (ErrorKind, &'static str) {
    (
        ErrorKind::StoreUnavailable,
        "the store was closed; open it again",
    )
}

const fn unreadable_parts() -> (ErrorKind, &'static str) {
    (
        ErrorKind::StoreIncompatible,
        "the store holds a value that this version cannot read; update this node or restore the \
         row from a backup",
    )
}

/// The error for a database path that now refers to a different file or to no file.
pub(crate) fn moved(operation: &'static str) -> Error {
    let (kind, message) = moved_parts();
    Error::new(kind, operation, message)
}

/// The error for a store that was closed.
pub(crate) fn closed(operation: &'static str) -> Error {
    let (kind, message) = closed_parts();
    Error::new(kind, operation, message)
}

/// The error for a stored value that this version cannot read.
pub(crate) fn unreadable(operation: &'static str) -> Error {
    let (kind, message) = unreadable_parts();
    Error::new(kind, operation, message)
}

/// The error for a number that exceeds SQLite's integer range.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// SQLite's list of codes: <https://www.sqlite.org/rescode.html>. The lowest byte of an
    /// extended code is the primary code.
    #[test]
    fn every_result_code_has_an_error_with_advice() {
        use ErrorKind::{Bug, Configuration, InvalidInput, StoreIncompatible, StoreUnavailable};
        let table = [
            (1, StoreIncompatible, "restore a backup"),
            (3, Configuration, "write permission"),
            (5, StoreUnavailable, "busy timeout"),
            (6, StoreUnavailable, "busy timeout"),
            (8, Configuration, "write permission"),
            (10, StoreUnavailable, "check its disk"),
            (11, StoreIncompatible, "damaged"),
            (13, StoreUnavailable, "free space"),
            (14, Configuration, "cannot be opened"),
            (15, StoreUnavailable, "busy timeout"),
            (17, StoreIncompatible, "restore a backup"),
            (18, InvalidInput, "a smaller one"),
            (19, Bug, "report it"),
            (26, StoreIncompatible, "not an SQLite database"),
            (261, StoreUnavailable, "busy timeout"),
            (1032, StoreUnavailable, "moved or replaced"),
            (1544, Configuration, "write permission"),
            (2067, Bug, "report it"),
        ];
        for (code, kind, advice) in table {
            let (found, message) = of_code(code);
            assert_eq!(found, kind, "{code}");
            assert!(message.contains(advice), "{code}: {message}");
        }
    }

    #[test]
    fn every_driver_failure_has_an_error_with_advice() {
        use ErrorKind::{Bug, StoreIncompatible, StoreUnavailable};
        let table = [
            (sqlx::Error::PoolTimedOut, StoreUnavailable, "allow more"),
            (sqlx::Error::PoolClosed, StoreUnavailable, "open it again"),
            (
                sqlx::Error::WorkerCrashed,
                StoreUnavailable,
                "repeat the call",
            ),
            (
                sqlx::Error::Io(std::io::Error::other("broken")),
                StoreUnavailable,
                "repeat the call",
            ),
            (
                sqlx::Error::Decode("not a number".into()),
                StoreIncompatible,
                "update this node",
            ),
            (sqlx::Error::RowNotFound, Bug, "report it"),
        ];
        for (failure, kind, advice) in table {
            let error = failed("store.load", failure);
            assert_eq!(error.kind(), kind, "{error}");
            assert_eq!(error.operation(), "store.load");
            assert!(error.message().contains(advice), "{error}");
        }
    }
}
