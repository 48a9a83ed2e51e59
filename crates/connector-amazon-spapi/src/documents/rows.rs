//! Rows of tab-separated documents and JSON Lines.

use std::fmt;
use std::future::poll_fn;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use connector_core::Result;
use csv::StringRecord;
use futures_core::Stream;
use memchr::memchr_iter;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::charset::Charset;
use super::fault::{DocumentFault, FaultKind};
use super::source::Source;
use super::{DocumentOptions, DocumentProgress};

/// The rows of a tab-separated document, read one at a time in constant memory.
///
/// Amazon does not quote fields: a quotation mark is an ordinary character. Blank lines are
/// skipped. After a fault in one row ([`FaultKind::is_of_row`]), the next call returns the next
/// row. Any other fault ends the document, after all complete rows have been returned.
pub struct Rows {
    source: Source,
    charset: Charset,
    is_padded: bool,
    columns: StringRecord,
    record: StringRecord,
    /// The number of the row in `record`.
    number: u64,
}

impl Rows {
    pub(super) async fn new(
        mut source: Source,
        charset: Charset,
        options: &DocumentOptions,
    ) -> Result<Self> {
        let columns = if let Some(columns) = &options.columns {
            StringRecord::from_iter(columns)
        } else {
            source.next = 0;
            let header = poll_fn(|cx| {
                Poll::Ready(match ready!(source.poll_line(cx)) {
                    Ok(Some(line)) => match charset.decode(Source::without_mark(line)) {
                        Some(text) => Ok(text.split('\t').map(str::trim).collect()),
                        None => Err(DocumentFault::new(0, FaultKind::Charset)),
                    },
                    // The document is empty.
                    Ok(None) => Ok(StringRecord::new()),
                    Err(fault) => Err(fault),
                })
            });
            header.await.map_err(DocumentFault::into_error)?
        };
        source.next = 1;
        Ok(Self {
            source,
            charset,
            is_padded: options.is_padded,
            columns,
            record: StringRecord::new(),
            number: 0,
        })
    }

    /// The column names, in order. Empty if the document is empty.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter()
    }

    /// The progress of reading.
    #[must_use]
    pub const fn progress(&self) -> DocumentProgress {
        self.source.progress()
    }

    /// Returns the next row, or `None` after the last row.
    ///
    /// # Errors
    /// A [`DocumentFault`]; get it from the error with [`DocumentFault::of`].
    pub async fn next(&mut self) -> Result<Option<Row<'_>>> {
        let next = poll_fn(|cx| self.poll_row(cx)).await;
        let is_row = next.map_err(DocumentFault::into_error)?;
        Ok(is_row.then(|| self.row()))
    }

    /// Decodes the remaining rows into `T` by column name.
    pub fn decoded<T: DeserializeOwned>(self) -> TypedRows<T> {
        TypedRows {
            rows: self,
            row: PhantomData,
        }
    }

    const fn row(&self) -> Row<'_> {
        Row {
            number: self.number,
            columns: &self.columns,
            fields: &self.record,
        }
    }

    /// Reads the next row into `record`. Returns false after the last row.
    fn poll_row(&mut self, cx: &mut Context<'_>) -> Poll<Result<bool, DocumentFault>> {
        loop {
            let number = self.source.next;
            let Some(line) = ready!(self.source.poll_line(cx))? else {
                return Poll::Ready(Ok(false));
            };
            if line.is_empty() {
                continue;
            }
            let expected = self.columns.len();
            let filled = fill(&mut self.record, self.charset, line, expected);
            self.number = number;
            self.source.next += 1;
            let kind = match filled {
                Ok(found) if found == expected => None,
                Ok(found) if found < expected && self.is_padded => {
                    (found..expected).for_each(|_| self.record.push_field(""));
                    None
                }
                Ok(found) => Some(FaultKind::Columns { expected, found }),
                Err(kind) => Some(kind),
            };
            return Poll::Ready(match kind {
                None => {
                    self.source.rows += 1;
                    Ok(true)
                }
                Some(kind) => Err(DocumentFault::new(number, kind)),
            });
        }
    }
}

/// Splits a line into at most `expected` fields, and returns the actual number of fields. Empty
/// fields after the last column are ignored.
fn fill(
    record: &mut StringRecord,
    charset: Charset,
    line: &[u8],
    expected: usize,
) -> Result<usize, FaultKind> {
    record.clear();
    let text = charset.decode(line).ok_or(FaultKind::Charset)?;
    let text = &*text;
    let (mut found, mut start, mut excess) = (0, 0, 0);
    let ends = memchr_iter(b'\t', text.as_bytes()).chain([text.len()]);
    for end in ends {
        let field = &text[start..end];
        found += 1;
        if found <= expected {
            record.push_field(field);
        } else if !field.is_empty() {
            excess = found;
        }
        start = end + 1;
    }
    Ok(if found > expected && excess == 0 {
        expected
    } else {
        found
    })
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rows")
            .field("columns", &self.columns)
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

/// A row of a tab-separated document.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    number: u64,
    columns: &'a StringRecord,
    fields: &'a StringRecord,
}

impl<'a> Row<'a> {
    /// The number of the row. The first row after the header is 1.
    #[must_use]
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// Returns the field in the column with this name; `None` if there is no such column.
    #[must_use]
    pub fn get(&self, column: &str) -> Option<&'a str> {
        let at = self.columns.iter().position(|name| name == column)?;
        self.fields.get(at)
    }

    /// The fields, in the order of the columns.
    pub fn fields(&self) -> impl Iterator<Item = &'a str> {
        self.fields.iter()
    }

    /// Decodes the row by column name. The result may borrow from the row. An empty field is
    /// decoded as `None` if its type is an `Option`.
    ///
    /// # Errors
    /// [`FaultKind::Value`].
    pub fn decode<T: Deserialize<'a>>(&self) -> Result<T> {
        self.decode_or_fault().map_err(DocumentFault::into_error)
    }

    fn decode_or_fault<T: Deserialize<'a>>(&self) -> Result<T, DocumentFault> {
        self.fields
            .deserialize(Some(self.columns))
            .map_err(|error| {
                // The decoder's message may quote the field.
                let column = match error.kind() {
                    csv::ErrorKind::Deserialize { err, .. } => err.field(),
                    _ => None,
                };
                DocumentFault::new(self.number, FaultKind::Value { column })
            })
    }
}

/// Shows only the row number, because fields may contain personal data.
impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Row")
            .field("number", &self.number)
            .field("fields", &self.fields.len())
            .finish_non_exhaustive()
    }
}

/// Stream of the rows of a tab-separated document, decoded into `T`.
///
/// A fault in one row does not end the stream (see [`Rows`]).
#[must_use]
pub struct TypedRows<T> {
    rows: Rows,
    row: PhantomData<fn() -> T>,
}

impl<T> TypedRows<T> {
    /// The progress of reading.
    #[must_use]
    pub const fn progress(&self) -> DocumentProgress {
        self.rows.progress()
    }
}

impl<T: DeserializeOwned> Stream for TypedRows<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        let row = match ready!(self.rows.poll_row(cx)) {
            Ok(true) => self.rows.row().decode_or_fault(),
            Ok(false) => return Poll::Ready(None),
            Err(fault) => Err(fault),
        };
        Poll::Ready(Some(row.map_err(DocumentFault::into_error)))
    }
}

impl<T> fmt::Debug for TypedRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.rows.fmt(f)
    }
}

/// Stream of the values of a document with one JSON value per line, as Data Kiosk writes them.
///
/// A line that cannot be decoded into `T` does not end the stream (see [`Rows`]).
#[must_use]
pub struct JsonLines<T> {
    source: Source,
    row: PhantomData<fn() -> T>,
}

impl<T> JsonLines<T> {
    pub(super) const fn new(source: Source) -> Self {
        Self {
            source,
            row: PhantomData,
        }
    }

    /// The progress of reading.
    #[must_use]
    pub const fn progress(&self) -> DocumentProgress {
        self.source.progress()
    }
}

impl<T: DeserializeOwned> Stream for JsonLines<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<T>>> {
        loop {
            let number = self.source.next;
            let line = match ready!(self.source.poll_line(cx)) {
                Ok(Some(line)) => Source::without_mark(line),
                Ok(None) => return Poll::Ready(None),
                Err(fault) => return Poll::Ready(Some(Err(fault.into_error()))),
            };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let value = match std::str::from_utf8(line) {
                Ok(text) => {
                    serde_json::from_str(text).map_err(|_| FaultKind::Value { column: None })
                }
                Err(_) => Err(FaultKind::Charset),
            };
            self.source.next += 1;
            self.source.rows += u64::from(value.is_ok());
            let value = value.map_err(|kind| DocumentFault::new(number, kind).into_error());
            return Poll::Ready(Some(value));
        }
    }
}

impl<T> fmt::Debug for JsonLines<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JsonLines")
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}
