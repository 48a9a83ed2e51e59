//! Downloads of files that may be larger than memory.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Buf, Bytes};
use crc::{CRC_32_ISCSI, Crc};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::header::{
    ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, ETAG, HeaderValue, IF_RANGE,
    LAST_MODIFIED, RANGE,
};
use http::{HeaderMap, Method, StatusCode};
use md5::{Digest, Md5};
use ring::digest::{self, SHA1_FOR_LEGACY_USE_ONLY, SHA256};
use tokio::io::{AsyncRead, ReadBuf};

use crate::api::session::Session;
use crate::api::transfer::{Exchange, OnProgress, Prepared, Progress, Transfer};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::{BodyStream, RequestBody, TransportError, TransportErrorKind};

static CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);

/// The checksum of a file, as reported by its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checksum {
    /// SHA-256.
    Sha256([u8; 32]),
    /// SHA-1.
    Sha1([u8; 20]),
    /// MD5. Detects accidental damage, but not tampering.
    Md5([u8; 16]),
    /// CRC-32C (Castagnoli). Detects accidental damage, but not tampering.
    Crc32c(u32),
}

impl Checksum {
    /// Returns a hasher for this kind of checksum.
    fn hasher(self) -> Hasher {
        match self {
            Self::Sha256(_) => Hasher::Sha(digest::Context::new(&SHA256)),
            Self::Sha1(_) => Hasher::Sha(digest::Context::new(&SHA1_FOR_LEGACY_USE_ONLY)),
            Self::Md5(_) => Hasher::Md5(Md5::new()),
            Self::Crc32c(_) => Hasher::Crc32c(CRC32C.digest()),
        }
    }

    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Sha256(bytes) => bytes.to_vec(),
            Self::Sha1(bytes) => bytes.to_vec(),
            Self::Md5(bytes) => bytes.to_vec(),
            Self::Crc32c(sum) => sum.to_be_bytes().to_vec(),
        }
    }

    /// Reads the checksum from the headers of a complete response: `Repr-Digest` (RFC 9530),
    /// `Digest` (RFC 3230), `x-goog-hash` or `Content-MD5`.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let words = |name: &str| {
            headers
                .get_all(name)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|text| text.split(','))
                .filter_map(|word| word.trim().split_once('='))
                .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
                .collect::<Vec<_>>()
        };
        let find = |header: &str, name: &str| {
            let (_, value) = words(header).into_iter().find(|(it, _)| it == name)?;
            STANDARD.decode(value.trim_matches(':')).ok()
        };
        let sha256 = || {
            let bytes = find("repr-digest", "sha-256").or_else(|| find("digest", "sha-256"))?;
            Some(Self::Sha256(bytes.try_into().ok()?))
        };
        let crc32c = || {
            let bytes: [u8; 4] = find("x-goog-hash", "crc32c")?.try_into().ok()?;
            Some(Self::Crc32c(u32::from_be_bytes(bytes)))
        };
        let md5 = || {
            let text = headers.get("content-md5")?.to_str().ok()?.trim();
            Some(Self::Md5(STANDARD.decode(text).ok()?.try_into().ok()?))
        };
        sha256().or_else(crc32c).or_else(md5)
    }
}

enum Hasher {
    Sha(digest::Context),
    Md5(Md5),
    Crc32c(crc::Digest<'static, u32>),
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha(context) => context.update(bytes),
            Self::Md5(context) => Digest::update(context, bytes),
            Self::Crc32c(context) => context.update(bytes),
        }
    }

    fn finish(self) -> Vec<u8> {
        match self {
            Self::Sha(context) => context.finish().as_ref().to_vec(),
            Self::Md5(context) => context.finalize().to_vec(),
            Self::Crc32c(context) => context.finalize().to_be_bytes().to_vec(),
        }
    }
}

/// Options of a download.
#[derive(Debug, Clone)]
#[must_use]
pub struct DownloadOptions {
    longest: u64,
    length: Option<u64>,
    checksum: Option<Checksum>,
    idle: Option<Duration>,
    on_progress: Option<OnProgress>,
    is_compressed: bool,
}

impl Default for DownloadOptions {
    fn default() -> Self {
        Self {
            longest: 64 << 30,
            length: None,
            checksum: None,
            idle: None,
            on_progress: None,
            is_compressed: false,
        }
    }
}

impl DownloadOptions {
    /// Returns the default options: at most 64 GiB, and at most 30 seconds without data.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum length in bytes. A longer file is an error.
    pub const fn with_longest(mut self, bytes: u64) -> Self {
        self.longest = bytes;
        self
    }

    /// Sets the expected length from the file's metadata. A different length is an error.
    pub const fn with_length(mut self, bytes: u64) -> Self {
        self.length = Some(bytes);
        self
    }

    /// Sets the expected checksum from the file's metadata. The session compares the checksum at
    /// the end of the download. The expected checksum takes precedence over a checksum in the
    /// response headers.
    pub const fn with_checksum(mut self, checksum: Checksum) -> Self {
        self.checksum = Some(checksum);
        self
    }

    /// Sets the maximum time without data.
    pub const fn with_idle(mut self, idle: Duration) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Sets a callback for progress.
    pub fn with_progress(mut self, on_progress: OnProgress) -> Self {
        self.on_progress = Some(on_progress);
        self
    }

    /// Requests gzip compression, for text files. The decompression ratio is limited to 100 beyond
    /// the first 1 MiB. A compressed download cannot resume after a connection failure.
    pub const fn with_compression(mut self) -> Self {
        self.is_compressed = true;
        self
    }
}

impl Session {
    /// Downloads the body of an operation's response, or the target of a link, as a stream.
    ///
    /// After a connection failure, the download resumes where it stopped (`Range` with `If-Range`,
    /// RFC 9110 section 14), if the response has a validator or a checksum is known. At the end,
    /// the length and the checksum are verified.
    ///
    /// # Errors
    /// Same as [`Session::send`] until the first byte. The stream yields later errors.
    pub async fn download<T: Transfer + ?Sized>(&self, from: &T) -> Result<Download> {
        self.download_with(from, DownloadOptions::new()).await
    }

    /// Downloads like [`Session::download`], with options.
    ///
    /// # Errors
    /// Same as [`Session::download`].
    pub async fn download_with<T: Transfer + ?Sized>(
        &self,
        from: &T,
        options: DownloadOptions,
    ) -> Result<Download> {
        let prepared = from.prepare(self, &Method::GET)?;
        let mut fetch = Fetch {
            session: self.clone(),
            prepared,
            hasher: None,
            options,
            body: BodyStream::new(stream::empty().boxed()),
            offset: 0,
            total: None,
            validator: None,
            faults: 0,
            shared: Arc::new(AtomicU64::new(0)),
        };
        let headers = fetch.start().await?;
        Ok(Download {
            length: fetch.total,
            bytes: Arc::clone(&fetch.shared),
            headers,
            pieces: Mutex::new(fetch.into_stream()),
            rest: Bytes::new(),
        })
    }
}

/// The state of a download between two pieces.
struct Fetch {
    session: Session,
    prepared: Prepared,
    options: DownloadOptions,
    hasher: Option<Hasher>,
    body: BodyStream,
    /// Number of bytes yielded so far.
    offset: u64,
    total: Option<u64>,
    /// Strong validator of the file (RFC 9110 section 8.8.1).
    validator: Option<HeaderValue>,
    /// Number of failures since the last byte.
    faults: u32,
    shared: Arc<AtomicU64>,
}

impl Fetch {
    async fn open(&mut self, headers: HeaderMap) -> Result<http::Response<BodyStream>> {
        let request_body = self.prepared.call.request.bytes().clone();
        let mut exchange = Exchange {
            method: None,
            headers,
            body: &mut || Some(RequestBody::from_bytes(request_body.clone())),
            max_response_len: self.options.longest,
            idle: self.options.idle,
            accepts: |status| {
                matches!(
                    status,
                    StatusCode::OK
                        | StatusCode::PARTIAL_CONTENT
                        | StatusCode::RANGE_NOT_SATISFIABLE
                )
            },
            is_retried: true,
        };
        self.session.open(&self.prepared, &mut exchange).await
    }

    fn plain(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        if !self.options.is_compressed {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        }
        headers
    }

    async fn start(&mut self) -> Result<HeaderMap> {
        let opened = self.open(self.plain()).await?;
        if opened.status() != StatusCode::OK {
            return Err(self.error(
                ErrorKind::UnexpectedResponse,
                "the provider returned a part that was not requested; report it",
            ));
        }
        let (parts, body) = opened.into_parts();
        if is_encoded(&parts.headers) {
            return Err(self.error(
                ErrorKind::UnexpectedResponse,
                "the file has an encoding that was not requested; enable compression",
            ));
        }
        let announced = length(&parts.headers);
        if let (Some(announced), Some(expected)) = (announced, self.options.length)
            && announced != expected
        {
            return Err(self.false_length());
        }
        self.total = announced.or(self.options.length);
        if self.total.is_some_and(|total| total > self.options.longest) {
            return Err(self.too_long());
        }
        if !self.options.is_compressed {
            self.validator = validator(&parts.headers);
            let checksum = &mut self.options.checksum;
            *checksum = checksum.or_else(|| Checksum::of(&parts.headers));
        }
        self.hasher = self.options.checksum.map(Checksum::hasher);
        self.body = body;
        Ok(parts.headers)
    }

    /// Returns the pieces as a stream, which ends after the last piece or the first error.
    fn into_stream(self) -> BoxStream<'static, Result<Bytes>> {
        stream::try_unfold(self, |mut fetch| async move {
            let piece = fetch.next().await?;
            Ok::<_, Error>(piece.map(|piece| (piece, fetch)))
        })
        .boxed()
    }

    async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.next().await {
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => return self.took(piece).map(Some),
                None if self.total.is_some_and(|total| self.offset < total) => {
                    self.resume(None).await?;
                }
                None => return self.finish().map(|()| None),
                // The response is too long, badly encoded, or a decompression bomb. A retry would
                // not help.
                Some(Err(error)) if error.kind() == TransportErrorKind::Answer => {
                    return Err(self.broken(Some(error)).with_retry(Retry::Never));
                }
                Some(Err(error)) => self.resume(Some(error)).await?,
            }
        }
    }

    fn took(&mut self, piece: Bytes) -> Result<Bytes> {
        let length = u64::try_from(piece.len()).unwrap_or(u64::MAX);
        self.offset = self.offset.saturating_add(length);
        if self.total.is_some_and(|total| self.offset > total) {
            return Err(self.false_length());
        }
        if self.offset > self.options.longest {
            return Err(self.too_long());
        }
        self.faults = 0;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&piece);
        }
        self.shared.store(self.offset, Ordering::Relaxed);
        if let Some(on_progress) = &self.options.on_progress {
            on_progress.report(Progress::new(self.offset, self.total));
        }
        Ok(piece)
    }

    fn finish(&mut self) -> Result<()> {
        let found = self.hasher.take().map(Hasher::finish);
        if let (Some(found), Some(checksum)) = (found, &self.options.checksum)
            && found != checksum.bytes()
        {
            return Err(self
                .error(
                    ErrorKind::UnexpectedResponse,
                    "the checksum does not match: the file is damaged or has changed; discard it \
                     and download it again",
                )
                .with_retry(Retry::Backoff));
        }
        Ok(())
    }

    /// Requests the remaining bytes of the file after a connection failure.
    async fn resume(&mut self, fault: Option<TransportError>) -> Result<()> {
        self.faults += 1;
        let policy = &self.session.shared.policy;
        let is_safe = self.offset == 0 || self.validator.is_some() || self.hasher.is_some();
        if !is_safe || self.options.is_compressed || self.faults > policy.attempts.max(1) {
            return Err(self.broken(fault));
        }
        if self.faults > 1 {
            let pause = policy.pause(self.faults - 1, &*self.session.shared.random)?;
            self.session.rest(self.faults, pause).await;
        }
        tracing::debug!(offset = self.offset, "resuming a download");
        let mut headers = self.plain();
        if self.offset > 0 {
            let range = HeaderValue::try_from(format!("bytes={}-", self.offset));
            headers.insert(RANGE, range.map_err(|_| self.changed())?);
            if let Some(validator) = &self.validator {
                headers.insert(IF_RANGE, validator.clone());
            }
        }
        let (parts, body) = self.open(headers).await?.into_parts();
        let is_rest = match parts.status {
            StatusCode::OK => {
                self.offset == 0
                    && length(&parts.headers)
                        .is_none_or(|it| self.total.is_none_or(|total| it == total))
            }
            StatusCode::PARTIAL_CONTENT => self.is_rest(&parts.headers),
            _ => false,
        };
        if !is_rest || is_encoded(&parts.headers) {
            return Err(self.changed());
        }
        self.body = body;
        Ok(())
    }

    /// Returns true if a 206 response (RFC 9110 section 15.3.7) contains the next part of the same
    /// file.
    fn is_rest(&self, headers: &HeaderMap) -> bool {
        let range = headers.get(CONTENT_RANGE).and_then(|it| it.to_str().ok());
        let Some(range) = range.and_then(content_range) else {
            return false;
        };
        let same_total = match (range.total, self.total) {
            (Some(told), Some(known)) => told == known,
            _ => true,
        };
        // The part may be shorter than requested. The missing bytes are requested next.
        let ends = self.total.is_none_or(|total| range.last < total);
        let same = match (&self.validator, validator(headers)) {
            (Some(known), Some(told)) => *known == told,
            _ => true,
        };
        range.first == self.offset && same_total && ends && same
    }

    fn error(&self, kind: ErrorKind, message: &'static str) -> Error {
        let error = Error::new(kind, self.prepared.call.operation, message);
        self.session.named(error)
    }

    fn changed(&self) -> Error {
        self.error(
            ErrorKind::Conflict,
            "the file has changed, or the provider does not resume downloads; start again",
        )
    }

    fn false_length(&self) -> Error {
        self.error(
            ErrorKind::UnexpectedResponse,
            "the file's length differs from the announced length; read its metadata again",
        )
    }

    fn too_long(&self) -> Error {
        self.error(
            ErrorKind::UnexpectedResponse,
            "the file is longer than allowed; raise the limit, or skip the file",
        )
    }

    fn broken(&self, fault: Option<TransportError>) -> Error {
        match fault {
            Some(error) if error.kind() == TransportErrorKind::Answer => self
                .error(
                    ErrorKind::UnexpectedResponse,
                    "the file is longer than allowed or badly compressed",
                )
                .with_source(error),
            Some(error) => self
                .error(
                    ErrorKind::Network,
                    "the download was interrupted and could not resume; start again",
                )
                .with_source(error),
            None => self.error(
                ErrorKind::Network,
                "the download ended before its announced length; start again",
            ),
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

fn is_encoded(headers: &HeaderMap) -> bool {
    headers
        .get_all(CONTENT_ENCODING)
        .iter()
        .any(|value| !value.is_empty() && !value.as_bytes().eq_ignore_ascii_case(b"identity"))
}

/// Returns the strong validator of a response: a strong entity tag if there is one, otherwise the
/// modification time.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    match headers.get(ETAG) {
        Some(tag) if tag.as_bytes().starts_with(b"\"") => Some(tag.clone()),
        Some(_) => None,
        None => headers.get(LAST_MODIFIED).cloned(),
    }
}

#[derive(Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: Option<u64>,
}

/// Parses a `Content-Range` header (RFC 9110 section 14.4) with a single range.
fn content_range(text: &str) -> Option<ContentRange> {
    let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.trim().split_once('-')?;
    let number = |text: &str| {
        let is_number = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        is_number.then(|| text.parse::<u64>().ok()).flatten()
    };
    let total = match total.trim() {
        "*" => None,
        total => Some(number(total)?),
    };
    let (first, last) = (number(first)?, number(last)?);
    let is_sound = first <= last && total.is_none_or(|total| last < total);
    is_sound.then_some(ContentRange { first, last, total })
}

/// A file during its download, readable as a stream of pieces or as an [`AsyncRead`].
///
/// Use either the stream or the reader, not both. The file is complete if the stream ends without
/// an error. Dropping the value cancels the download.
pub struct Download {
    /// The mutex only makes the type `Sync`. It is never locked.
    pieces: Mutex<BoxStream<'static, Result<Bytes>>>,
    /// The part of the last piece that the reader has not returned yet.
    rest: Bytes,
    bytes: Arc<AtomicU64>,
    length: Option<u64>,
    headers: HeaderMap,
}

impl Download {
    /// Returns the length in bytes, if the provider announced it.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    /// Returns the headers of the first response.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    fn pieces(&mut self) -> &mut BoxStream<'static, Result<Bytes>> {
        self.pieces
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the progress of the download.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress::new(self.bytes.load(Ordering::Relaxed), self.length)
    }
}

impl Stream for Download {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if !self.rest.is_empty() {
            return Poll::Ready(Some(Ok(std::mem::take(&mut self.rest))));
        }
        self.pieces().as_mut().poll_next(cx)
    }
}

impl AsyncRead for Download {
    /// Wraps an [`Error`] in an [`io::Error`].
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match ready!(self.pieces().as_mut().poll_next(cx)) {
                Some(Ok(piece)) => self.rest = piece,
                Some(Err(error)) => return Poll::Ready(Err(io::Error::other(error))),
                None => return Poll::Ready(Ok(())),
            }
        }
        let length = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..length]);
        self.rest.advance(length);
        Poll::Ready(Ok(()))
    }
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Download")
            .field("progress", &self.progress())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                let name = http::HeaderName::from_static(name);
                (name, HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn checksums_are_computed_and_read_from_headers() {
        let text = b"123456789";
        let sum = |checksum: Checksum| {
            let mut hasher = checksum.hasher();
            hasher.update(&text[..4]);
            hasher.update(&text[4..]);
            hasher.finish()
        };
        // The check value of CRC-32C, and the output of `printf 123456789 | md5sum`, `sha1sum` and
        // `sha256sum`.
        assert_eq!(sum(Checksum::Crc32c(0)), 0xE306_9283_u32.to_be_bytes());
        let hex = |bytes: Vec<u8>| {
            let digits: Vec<String> = bytes.iter().map(|b| format!("{b:02x}")).collect();
            digits.concat()
        };
        assert_eq!(
            hex(sum(Checksum::Md5([0; 16]))),
            "25f9e794323b453885f5181f1b624d0b"
        );
        assert_eq!(
            hex(sum(Checksum::Sha1([0; 20]))),
            "f7c3bc1d808e04732adf679965ccc34ca7ae3441"
        );
        assert_eq!(
            hex(sum(Checksum::Sha256([0; 32]))),
            "15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225"
        );
        let sha256 = STANDARD.encode([7; 32]);
        let md5 = STANDARD.encode([8; 16]);
        let crc = STANDARD.encode(9_u32.to_be_bytes());
        for (pairs, expected) in [
            (
                headers(&[("repr-digest", &format!("sha-256=:{sha256}:"))]),
                Some(Checksum::Sha256([7; 32])),
            ),
            (
                headers(&[("digest", &format!("md5={md5}, SHA-256={sha256}"))]),
                Some(Checksum::Sha256([7; 32])),
            ),
            (
                headers(&[("x-goog-hash", &format!("crc32c={crc},md5={md5}"))]),
                Some(Checksum::Crc32c(9)),
            ),
            (
                headers(&[("content-md5", &md5)]),
                Some(Checksum::Md5([8; 16])),
            ),
            (headers(&[("content-md5", "short")]), None),
            (headers(&[("digest", "sha-256=AAAA")]), None),
            (HeaderMap::new(), None),
        ] {
            assert_eq!(Checksum::of(&pairs), expected, "{pairs:?}");
        }
    }

    #[test]
    fn only_a_strong_validator_lets_a_download_resume() {
        for (pairs, expected) in [
            (headers(&[("etag", "\"a\"")]), Some("\"a\"")),
            (
                headers(&[("etag", "W/\"a\""), ("last-modified", "x")]),
                None,
            ),
            (
                headers(&[("last-modified", "Fri, 20 Nov 2026 12:00:00 GMT")]),
                Some("Fri, 20 Nov 2026 12:00:00 GMT"),
            ),
            (HeaderMap::new(), None),
        ] {
            let found = validator(&pairs);
            assert_eq!(found.as_ref().map(|it| it.to_str().unwrap()), expected);
        }
    }

    #[test]
    fn ranges_are_read_strictly() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        for (text, expected) in [
            ("bytes 0-9/10", range(0, 9, Some(10))),
            ("bytes 5-9/*", range(5, 9, None)),
            ("bytes 0-10/10", None),
            ("bytes 9-5/10", None),
            ("bytes */10", None),
            ("bytes -5/10", None),
            ("bytes 0-+9/10", None),
            ("items 0-9/10", None),
            ("bytes 0-99999999999999999999/*", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_header_panics(text in "[bytes 0-9/*=:,a-zA-Z+-]{0,40}", name in 0..6_usize) {
            let _ = content_range(&text);
            let names = ["content-range", "digest", "repr-digest", "x-goog-hash", "content-md5", "etag"];
            let pairs = headers(&[(names[name], &text)]);
            let _ = (Checksum::of(&pairs), validator(&pairs), length(&pairs), is_encoded(&pairs));
        }
    }
}
