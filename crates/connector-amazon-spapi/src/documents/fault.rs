//! Faults of documents.

use std::error::Error as StdError;
use std::fmt;

use connector_core::{Error, ErrorKind, Retry};

pub(super) const OPERATION: &str = "amazon_spapi.document";

/// The kind of a [`DocumentFault`].
///
/// The first four concern one row: the reader goes on with the next row if it is asked to. All others
/// end the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The row has another number of columns than the header.
    Columns {
        /// The number of columns of the header.
        expected: usize,
        /// The number of columns of the row.
        found: usize,
    },
    /// The row is not text in the charset of the document.
    Charset,
    /// The row does not fit the type that it is decoded into.
    Value {
        /// The column, counted from 0, where the decoder names it.
        column: Option<u64>,
    },
    /// The row is longer than [`DocumentOptions::with_longest_row`] allows.
    ///
    /// [`DocumentOptions::with_longest_row`]: super::DocumentOptions::with_longest_row
    LongRow,
    /// The gzip stream ends early, or its checksum does not fit its content.
    Truncated,
    /// The gzip stream is damaged.
    Damaged,
    /// The document grows too much when it is decompressed.
    Bomb,
    /// The document is longer than [`DocumentOptions::with_longest`] allows.
    ///
    /// [`DocumentOptions::with_longest`]: super::DocumentOptions::with_longest
    TooLong,
    /// The document states a charset that is not known, or that no rows can be found in.
    UnknownCharset,
    /// The download failed. The source of the fault is its error.
    Download,
}

impl FaultKind {
    /// Returns true if the fault concerns one row only, so that the rows after it can be read.
    #[must_use]
    pub const fn is_of_row(self) -> bool {
        matches!(
            self,
            Self::Columns { .. } | Self::Charset | Self::Value { .. }
        )
    }
}

/// The fault of a document, with the number of the row at which it was met: the source of the error
/// that a reader of the document returns.
///
/// ```
/// # use connector_core::Error;
/// use connector_amazon_spapi::documents::{DocumentFault, FaultKind};
///
/// fn report(error: &Error) {
///     if let Some(fault) = DocumentFault::of(error)
///         && matches!(fault.kind(), FaultKind::Columns { .. })
///     {
///         eprintln!("row {} is left out", fault.row());
///     }
/// }
/// ```
#[derive(Debug)]
pub struct DocumentFault {
    row: u64,
    kind: FaultKind,
    cause: Option<Error>,
}

impl DocumentFault {
    pub(super) const fn new(row: u64, kind: FaultKind) -> Self {
        Self {
            row,
            kind,
            cause: None,
        }
    }

    /// The failure of the download at `row`.
    pub(super) fn download(row: u64, cause: Error) -> Self {
        Self {
            row,
            kind: FaultKind::Download,
            cause: Some(cause),
        }
    }

    /// The same fault, met at this row.
    pub(super) const fn at(mut self, row: u64) -> Self {
        self.row = row;
        self
    }

    /// The fault that an error of a reader is about; `None` if it is about none.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// The number of the row. The first row after the header is 1, and the header is 0. For a fault
    /// of the whole document, it is the row after the last one that was read.
    #[must_use]
    pub const fn row(&self) -> u64 {
        self.row
    }

    /// The kind of the fault.
    #[must_use]
    pub const fn kind(&self) -> FaultKind {
        self.kind
    }

    pub(super) fn into_error(self) -> Error {
        let row = self.row;
        let (kind, retry) = match (&self.cause, self.kind) {
            (Some(cause), _) => (cause.kind(), cause.retry()),
            (None, FaultKind::Truncated | FaultKind::Damaged) => {
                (ErrorKind::UnexpectedAnswer, Retry::Backoff)
            }
            (None, _) => (ErrorKind::UnexpectedAnswer, Retry::Never),
        };
        let message = match self.kind {
            FaultKind::Columns { expected, found } => format!(
                "row {row} of the document has {found} columns and its header {expected}; leave the \
                 row out, or allow short rows"
            ),
            FaultKind::Charset => format!(
                "row {row} of the document is not text in its charset; set the charset of the report"
            ),
            FaultKind::Value { column } => match column {
                Some(column) => format!(
                    "row {row} of the document does not fit its type at column {column}, counted \
                     from 0; correct the type or leave the row out"
                ),
                None => format!(
                    "row {row} of the document does not fit its type; correct the type or leave the \
                     row out"
                ),
            },
            FaultKind::LongRow => {
                format!("row {row} of the document is longer than allowed; allow more")
            }
            FaultKind::Truncated => {
                format!("the document ends within its gzip stream, at row {row}; download it again")
            }
            FaultKind::Damaged => {
                format!("the document's gzip stream is damaged at row {row}; download it again")
            }
            FaultKind::Bomb => format!(
                "the document grows too much when it is decompressed, at row {row}; allow a larger \
                 ratio if the document is expected to"
            ),
            FaultKind::TooLong => format!(
                "the document is longer than allowed, at row {row}; allow more, or ask for less data"
            ),
            FaultKind::UnknownCharset => {
                "the document states a charset that is not known; set the charset of the report"
                    .to_owned()
            }
            FaultKind::Download => {
                format!("the download of the document failed at row {row}; open the document again")
            }
        };
        Error::new(kind, OPERATION, message)
            .with_retry(retry)
            .with_provider(crate::AmazonSpApi::ID.as_str().to_owned())
            .with_source(self)
    }
}

impl fmt::Display for DocumentFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at row {}", self.kind, self.row)
    }
}

impl StdError for DocumentFault {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.cause
            .as_ref()
            .map(|cause| -> &(dyn StdError + 'static) { cause })
    }
}
