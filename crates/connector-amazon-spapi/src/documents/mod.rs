//! Documents of reports, feeds and Data Kiosk, on Amazon S3. They are streamed in constant memory,
//! and requests for them carry no access token.
//!
//! [`Document`] decompresses and decodes while it downloads. [`Rows`] reads tab-separated rows, and
//! [`JsonLines`] reads the results of Data Kiosk. You can read other formats as bytes or text. A
//! presigned URL is valid for 5 minutes; a download may take longer than that once it has started.
//!
//! See [Amazon docs: Retrieve a report](https://developer-docs.amazon.com/sp-api/docs/reports-api-v2021-06-30-retrieve-a-report).

mod charset;
mod fault;
mod rows;
mod source;
mod upload;

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use connector_core::api::{DownloadOptions, OnProgress, Session};
use connector_core::{Error, ErrorKind, Result};
use futures_core::Stream;
use futures_util::StreamExt;
use http::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;

pub use self::charset::Charset;
use self::fault::OPERATION;
pub use self::fault::{DocumentFault, FaultKind};
pub use self::rows::{JsonLines, Row, Rows, TypedRows};
use self::source::Source;
pub use self::upload::DocumentContent;
use crate::models::texts;

texts! {
    /// Compression of a document.
    Compression {
        /// gzip (RFC 1952).
        Gzip = "GZIP",
    }
}

/// The progress of reading a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct DocumentProgress {
    /// Number of downloaded bytes.
    pub bytes: u64,
    /// Length of the download in bytes, if known.
    pub total: Option<u64>,
    /// Number of bytes after decompression.
    pub decoded_bytes: u64,
    /// Number of rows that were read, excluding rows that have the wrong number of columns or
    /// invalid text.
    pub rows: u64,
}

/// Options for reading a document.
#[derive(Debug, Clone)]
#[must_use]
pub struct DocumentOptions {
    charset: Option<Charset>,
    fallback: Option<Charset>,
    columns: Option<Vec<String>>,
    is_padded: bool,
    longest: u64,
    longest_row: usize,
    largest_ratio: u32,
    on_progress: Option<OnProgress>,
}

impl Default for DocumentOptions {
    fn default() -> Self {
        Self {
            charset: None,
            fallback: None,
            columns: None,
            is_padded: false,
            longest: 64 << 30,
            longest_row: 1 << 20,
            largest_ratio: 200,
            on_progress: None,
        }
    }
}

impl DocumentOptions {
    /// Returns the default options: the charset stated by the document host, else UTF-8; at most 64
    /// GiB after decompression; at most 1 MiB per row; a decompression ratio of at most 200, which
    /// is checked from 8 MiB on.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the charset. It overrides the charset stated by the document host.
    pub const fn with_charset(mut self, charset: Charset) -> Self {
        self.charset = Some(charset);
        self
    }

    /// Sets the charset of documents for which the host specifies none. Default: UTF-8.
    pub const fn with_fallback_charset(mut self, charset: Charset) -> Self {
        self.fallback = Some(charset);
        self
    }

    /// Sets the charset of documents whose host states none, unless one is already set.
    #[cfg(feature = "reports")]
    pub(crate) fn or_fallback_charset(mut self, charset: Charset) -> Self {
        self.fallback = self.fallback.or(Some(charset));
        self
    }

    /// Sets the column names of a document without a header.
    pub fn with_columns<S: Into<String>>(mut self, columns: impl IntoIterator<Item = S>) -> Self {
        self.columns = Some(columns.into_iter().map(Into::into).collect());
        self
    }

    /// Allows rows that are shorter than the header. Missing columns are read as empty.
    pub const fn with_short_rows(mut self) -> Self {
        self.is_padded = true;
        self
    }

    /// Sets the maximum length of the document after decompression, in bytes.
    pub const fn with_longest(mut self, bytes: u64) -> Self {
        self.longest = bytes;
        self
    }

    /// Sets the maximum length of one row, in bytes.
    pub const fn with_longest_row(mut self, bytes: usize) -> Self {
        self.longest_row = bytes;
        self
    }

    /// Sets the maximum decompression ratio: decompressed bytes per compressed byte.
    pub const fn with_largest_ratio(mut self, ratio: u32) -> Self {
        self.largest_ratio = ratio;
        self
    }

    /// Sets a callback for the progress of the download, in compressed bytes.
    pub fn with_progress(mut self, on_progress: OnProgress) -> Self {
        self.on_progress = Some(on_progress);
        self
    }
}

/// A document that is being downloaded: a stream of its decompressed bytes, or of its rows.
pub struct Document {
    source: Source,
    content_type: Option<String>,
    options: DocumentOptions,
}

impl Document {
    /// Opens the document at a presigned URL that Amazon returned. The request carries no
    /// credential, and redirects are not followed. An interrupted download resumes where it
    /// stopped.
    ///
    /// # Errors
    /// [`ErrorKind::AddressRefused`] if the URL is not on a document host; [`ErrorKind::Forbidden`]
    /// if the URL has expired. Request the document again for a new URL.
    pub async fn open(
        session: &Session,
        url: &str,
        compression: Option<&Compression>,
        options: DocumentOptions,
    ) -> Result<Self> {
        Self::download(session, url, compression, options, DownloadOptions::new()).await
    }

    /// Opens a document like [`Document::open`], from a host that compresses with
    /// `Content-Encoding` (Data Kiosk). An interrupted download of this kind cannot resume.
    ///
    /// # Errors
    /// As for [`Document::open`].
    pub async fn open_encoded(
        session: &Session,
        url: &str,
        options: DocumentOptions,
    ) -> Result<Self> {
        let download = DownloadOptions::new().with_compression();
        Self::download(session, url, None, options, download).await
    }

    async fn download(
        session: &Session,
        url: &str,
        compression: Option<&Compression>,
        options: DocumentOptions,
        mut settings: DownloadOptions,
    ) -> Result<Self> {
        let link = session.link(url)?;
        settings = settings.with_longest(options.longest);
        if let Some(on_progress) = &options.on_progress {
            settings = settings.with_progress(on_progress.clone());
        }
        let download = session.download_with(&link, settings).await?;
        let content_type = download.headers().get(CONTENT_TYPE);
        let content_type = content_type.and_then(|it| it.to_str().ok());
        let content_type = content_type.map(str::to_owned);
        let total = download.length();
        Ok(Self {
            source: Source::new(download.boxed(), total, compression, &options),
            content_type,
            options,
        })
    }

    /// Reads a document that you stored in compressed form. Pass the content type that the document
    /// host returned.
    pub fn from_stream(
        pieces: impl Stream<Item = Result<Bytes>> + Send + 'static,
        compression: Option<&Compression>,
        content_type: Option<String>,
        options: DocumentOptions,
    ) -> Self {
        Self {
            source: Source::new(pieces.boxed(), None, compression, &options),
            content_type,
            options,
        }
    }

    /// The content type stated by the host.
    #[must_use]
    pub fn content_type(&self) -> Option<&str> {
        self.content_type.as_deref()
    }

    /// The progress of reading.
    #[must_use]
    pub const fn progress(&self) -> DocumentProgress {
        self.source.progress()
    }

    /// The charset of the document.
    ///
    /// # Errors
    /// [`FaultKind::UnknownCharset`].
    pub fn charset(&self) -> Result<Charset> {
        if let Some(charset) = self.options.charset {
            return Ok(charset);
        }
        let stated = self.content_type.as_deref().and_then(Charset::label);
        match stated.map(Charset::named) {
            None => Ok(self.options.fallback.unwrap_or(Charset::UTF_8)),
            Some(Some(charset)) => Ok(charset),
            Some(None) => Err(DocumentFault::new(0, FaultKind::UnknownCharset).into_error()),
        }
    }

    /// Reads the header and returns the rows of a tab-separated document.
    ///
    /// # Errors
    /// A [`DocumentFault`], if the header cannot be read.
    pub async fn rows(self) -> Result<Rows> {
        let charset = self.charset()?;
        Rows::new(self.source, charset, &self.options).await
    }

    /// Returns the rows of a tab-separated document, decoded into `T` by column name.
    ///
    /// # Errors
    /// As for [`Document::rows`].
    pub async fn typed_rows<T: DeserializeOwned>(self) -> Result<TypedRows<T>> {
        Ok(self.rows().await?.decoded())
    }

    /// Returns the values of a document with one JSON value per line.
    pub fn json_lines<T: DeserializeOwned>(self) -> JsonLines<T> {
        JsonLines::new(self.source)
    }

    /// Returns the whole document, decompressed. `longest` is the maximum length in bytes.
    ///
    /// # Errors
    /// A [`DocumentFault`].
    pub async fn bytes(mut self, longest: usize) -> Result<Bytes> {
        let mut whole = BytesMut::new();
        while let Some(bytes) = self.next().await {
            let bytes = bytes?;
            if whole.len() + bytes.len() > longest {
                return Err(self.source.fails(FaultKind::TooLong).into_error());
            }
            whole.extend_from_slice(&bytes);
        }
        Ok(whole.freeze())
    }

    /// Returns the text of the whole document. `longest` is the maximum length in bytes.
    ///
    /// # Errors
    /// A [`DocumentFault`].
    pub async fn text(self, longest: usize) -> Result<String> {
        let charset = self.charset()?;
        let bytes = self.bytes(longest).await?;
        let text = charset.decode(Source::without_mark(&bytes));
        let text = text.ok_or_else(|| DocumentFault::new(0, FaultKind::Charset).into_error())?;
        Ok(text.into_owned())
    }

    /// Decodes the whole document from JSON. `longest` is the maximum length in bytes.
    ///
    /// # Errors
    /// A [`DocumentFault`]; [`ErrorKind::UnexpectedResponse`] if the document is not JSON or does not
    /// match `T`.
    pub async fn json<T: DeserializeOwned>(self, longest: usize) -> Result<T> {
        let text = self.text(longest).await?;
        // The parser's message may quote the document.
        serde_json::from_str(&text).map_err(|error| {
            let message = format!(
                "the document is not the JSON that was expected, at line {} column {}",
                error.line(),
                error.column()
            );
            let error = Error::new(ErrorKind::UnexpectedResponse, OPERATION, message);
            crate::error::ours(error)
        })
    }
}

impl Stream for Document {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let bytes = ready!(self.source.poll_bytes(cx));
        Poll::Ready(bytes.map_err(DocumentFault::into_error).transpose())
    }
}

impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Document")
            .field("content_type", &self.content_type)
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}
