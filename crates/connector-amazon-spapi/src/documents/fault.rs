//! Errors in the content of documents.

use std::error::Error as StdError;
use std::fmt;

use connector_core::{Error, ErrorKind, Retry};

pub(super) const OPERATION: &str = "amazon_spapi.document";

/// The kind of a [`DocumentFault`].
///
/// The first three kinds concern one row: the reader can continue with the next row. All other
/// kinds end the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FaultKind {
    /// The number of columns differs from that of the header.
    Columns {
        /// The number of columns of the header.
        expected: usize,
        /// The number of columns of the row.
        found: usize,
    },
    /// The row is not valid text in the charset of the document.
    Charset,
    /// The row cannot be decoded into the requested type.
    Value {
        /// The index of the column, starting at 0, if the decoder reports it.
        column: Option<u64>,
    },
    /// The row is longer than [`DocumentOptions::with_longest_row`] allows.
    ///
    /// [`DocumentOptions::with_longest_row`]: super::DocumentOptions::with_longest_row
    LongRow,
    /// The gzip stream ends early, or its checksum does not match its content.
    Truncated,
    /// The gzip stream is damaged.
    Damaged,
    /// The decompression ratio exceeds [`DocumentOptions::with_largest_ratio`].
    ///
    /// [`DocumentOptions::with_largest_ratio`]: super::DocumentOptions::with_largest_ratio
    Bomb,
    /// The document is longer than [`DocumentOptions::with_longest`] allows.
    ///
    /// [`DocumentOptions::with_longest`]: super::DocumentOptions::with_longest
    TooLong,
    /// The charset of the document is unknown or unsupported.
    UnknownCharset,
    /// The download failed. The download error is the source of the fault.
    Download,
}

impl FaultKind {
    /// Returns true if the fault concerns only one row, so that the rows after it can be read.
    #[must_use]
    pub const fn is_of_row(self) -> bool {
        matches!(
            self,
            Self::Columns { .. } | Self::Charset | Self::Value { .. }
        )
    }
}

/// An error in the content of a document, with the number of the row where it occurred. It is the
/// source of the error that a reader of the document returns.
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

    /// Creates the fault for a download that failed at `row`.
    pub(super) fn download(row: u64, cause: Error) -> Self {
        Self {
            row,
            kind: FaultKind::Download,
            cause: Some(cause),
        }
    }

    /// Sets the number of the row.
    pub(super) const fn at(mut self, row: u64) -> Self {
        self.row = row;
        self
    }

    /// Returns the document fault in the sources of `error`; `None` if there is none.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        error.source()?.downcast_ref()
    }

    /// The number of the row. The header is row 0, and the first row after it is 1. For a fault of
    /// the whole document, this is the row after the last one that was read.
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
                (ErrorKind::UnexpectedResponse, Retry::Backoff)
            }
            (None, _) => (ErrorKind::UnexpectedResponse, Retry::Never),
        };
        let message = match self.kind {
            FaultKind::Columns { expected, found } => format!(
                "row {row} of the document has {found} columns, but the header has {expected}; \
                 skip the row, or allow short rows"
            ),
            FaultKind::Charset => {
                format!("row {row} of the document is not valid in its charset; set the charset")
            }
            FaultKind::Value { column } => match column {
                Some(column) => format!(
                    "row {row} of the document cannot be decoded at column {column} (counted \
                     from 0); correct the type or skip the row"
                ),
                None => format!(
                    "row {row} of the document cannot be decoded; correct the type or skip the \
                     row"
                ),
            },
            FaultKind::LongRow => {
                format!("row {row} of the document is longer than allowed; raise the limit")
            }
            FaultKind::Truncated => {
                format!("the document ends within its gzip stream, at row {row}; download it again")
            }
            FaultKind::Damaged => {
                format!("the document's gzip stream is damaged at row {row}; download it again")
            }
            FaultKind::Bomb => format!(
                "the decompression ratio of the document is too high, at row {row}; allow a larger \
                 ratio if you trust the document"
            ),
            FaultKind::TooLong => format!(
                "the document is longer than allowed, at row {row}; raise the limit, or \
                 request less data"
            ),
            FaultKind::UnknownCharset => {
                "the charset of the document is unknown; set the charset of the report".to_owned()
            }
            FaultKind::Download => {
                format!("the download of the document failed at row {row}; open the document again")
            }
        };
        crate::error::ours(Error::new(kind, OPERATION, message))
            .with_retry(retry)
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
