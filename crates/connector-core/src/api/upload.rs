//! Uploads of bodies that may be larger than memory.

use std::fmt;
use std::io::SeekFrom;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, stream};
use http::{HeaderMap, Method};
use ring::digest::{self, SHA256};
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeekExt};

use crate::api::session::Session;
use crate::api::transfer::{Exchange, MAX_RESPONSE, OnProgress, Progress, Transfer};
use crate::error::{Error, ErrorKind, Result};
use crate::http::{BodyError, RequestBody};

/// Number of bytes per read from a source.
const PIECE: usize = 128 * 1024;

type Reader = Pin<Box<dyn AsyncRead + Send>>;

enum Source {
    Bytes(Bytes),
    File(PathBuf),
    /// A reader can be read only once. `None` after the reader was used.
    Reader(Option<Reader>),
}

/// The body of an upload.
#[must_use]
pub struct UploadBody {
    length: Option<u64>,
    source: Source,
    on_progress: Option<OnProgress>,
    digest: Option<UploadDigest>,
}

/// The SHA-256 digest of the uploaded bytes, to compare with the provider's checksum. Created by
/// [`UploadBody::digested`].
#[derive(Clone)]
pub struct UploadDigest(Arc<Mutex<Digested>>);

struct Digested {
    context: digest::Context,
    /// Number of bytes that are included in the digest, counted from the start.
    up_to: u64,
    /// False if a part of the body was not included in the digest.
    is_whole: bool,
}

impl Digested {
    fn new() -> Self {
        Self {
            context: digest::Context::new(&SHA256),
            up_to: 0,
            is_whole: true,
        }
    }
}

impl UploadDigest {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(Digested::new())))
    }

    fn state(&self) -> MutexGuard<'_, Digested> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds `bytes`, which start at offset `at`. Bytes that are already included are skipped.
    fn add(&self, at: u64, bytes: &[u8]) {
        let mut state = self.state();
        let known = usize::try_from(state.up_to.saturating_sub(at)).unwrap_or(usize::MAX);
        state.is_whole &= at <= state.up_to;
        if let Some(new) = bytes.get(known..) {
            state.context.update(new);
            state.up_to = state.up_to.saturating_add(new.len() as u64);
        }
    }

    fn restart(&self) {
        *self.state() = Digested::new();
    }

    /// Returns the digest of the bytes that were read so far, and the number of these bytes.
    ///
    /// Returns `None` if the upload resumed after another process had uploaded a part, and the body
    /// is a reader. In this case, the earlier bytes are not available.
    #[must_use]
    pub fn sha256(&self) -> Option<([u8; 32], u64)> {
        let state = self.state();
        let mut bytes = [0; 32];
        bytes.copy_from_slice(state.context.clone().finish().as_ref());
        state.is_whole.then_some((bytes, state.up_to))
    }
}

impl fmt::Debug for UploadDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadDigest")
    }
}

impl UploadBody {
    fn new(length: Option<u64>, source: Source) -> Self {
        Self {
            length,
            source,
            on_progress: None,
            digest: None,
        }
    }

    /// Creates a body in memory. The body can be sent again after a failure.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self::new(u64::try_from(bytes.len()).ok(), Source::Bytes(bytes))
    }

    /// Creates a body from a file. The body can be sent again after a failure. This function reads
    /// the length of the file. If the length changes before the upload, the upload fails.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the file cannot be read or is not a regular file.
    pub async fn file(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let unreadable = || {
            Error::new(
                ErrorKind::InvalidInput,
                "api.upload",
                "the file cannot be read; check its path and its permissions",
            )
        };
        let found = tokio::fs::metadata(&path).await;
        let found = found.map_err(|error| unreadable().with_source(error))?;
        if !found.is_file() {
            return Err(unreadable());
        }
        Ok(Self::new(Some(found.len()), Source::File(path)))
    }

    /// Creates a body from the bytes of `reader`. Set `length` to the number of bytes if you know
    /// it. If `length` is wrong, the upload fails. A reader can be read only once, so after a
    /// failure only a resumable upload can continue.
    pub fn reader(reader: impl AsyncRead + Send + 'static, length: Option<u64>) -> Self {
        Self::new(length, Source::Reader(Some(Box::pin(reader))))
    }

    /// Sets a progress callback. The callback counts the bytes that were passed to the connection.
    pub fn with_progress(mut self, on_progress: OnProgress) -> Self {
        self.on_progress = Some(on_progress);
        self
    }

    /// Returns a copy of the body, to restart an upload from the beginning. Returns `None` for a
    /// reader, because a reader can be read only once.
    #[must_use]
    pub fn again(&self) -> Option<Self> {
        let source = match &self.source {
            Source::Bytes(bytes) => Source::Bytes(bytes.clone()),
            Source::File(path) => Source::File(path.clone()),
            Source::Reader(_) => return None,
        };
        Some(Self {
            on_progress: self.on_progress.clone(),
            ..Self::new(self.length, source)
        })
    }

    /// Computes a digest while the body is read. Compare the digest with the provider's checksum
    /// after the upload.
    pub fn digested(mut self) -> (Self, UploadDigest) {
        let digest = UploadDigest::new();
        self.digest = Some(digest.clone());
        (self, digest)
    }

    /// Returns the length in bytes, if known.
    #[must_use]
    pub const fn length(&self) -> Option<u64> {
        self.length
    }

    pub(super) fn report(&self, bytes: u64) {
        if let Some(on_progress) = &self.on_progress {
            on_progress.report(Progress::new(bytes, self.length));
        }
    }

    /// Returns the body for one request, or `None` if the source has already been read.
    fn request_body(&mut self) -> Option<RequestBody> {
        let pieces = match &mut self.source {
            Source::Bytes(bytes) => RequestBody::from_bytes(bytes.clone()).boxed(),
            Source::File(path) => read_file(path.clone()),
            Source::Reader(reader) => read_all(reader.take()?),
        };
        let pieces = match self.digest.clone() {
            Some(digest) => {
                digest.restart();
                let mut at = 0_u64;
                let digested = pieces.inspect(move |piece| {
                    if let Ok(piece) = piece {
                        digest.add(at, piece);
                        at = at.saturating_add(piece.len() as u64);
                    }
                });
                digested.boxed()
            }
            None => pieces,
        };
        let Some(on_progress) = self.on_progress.clone() else {
            return Some(RequestBody::new(self.length, pieces));
        };
        let (total, mut sent) = (self.length, 0_u64);
        let pieces = pieces.inspect(move |piece| {
            if let Ok(piece) = piece {
                sent = sent.saturating_add(piece.len() as u64);
                on_progress.report(Progress::new(sent, total));
            }
        });
        Some(RequestBody::new(self.length, pieces.boxed()))
    }

    /// Returns at most `longest` bytes, starting at offset `at`. Returns fewer bytes only at the
    /// end of the body.
    ///
    /// For a reader, `at` must be the offset where the previous call ended.
    pub(super) async fn chunk(&mut self, at: u64, longest: usize) -> Result<Bytes, BodyError> {
        let Some(digest) = self.digest.clone() else {
            return self.read(at, longest).await;
        };
        // Bytes that an earlier process uploaded are also added to the digest, if the body can be
        // read again.
        while self.is_repeatable() {
            let up_to = digest.state().up_to;
            let Some(gap) = at.checked_sub(up_to).filter(|gap| *gap > 0) else {
                break;
            };
            // Each read of a file opens the file, so it reads as much as a chunk.
            let piece = usize::try_from(gap).unwrap_or(longest).min(longest);
            let piece = self.read(up_to, piece).await?;
            if piece.is_empty() {
                break;
            }
            digest.add(up_to, &piece);
        }
        let bytes = self.read(at, longest).await?;
        digest.add(at, &bytes);
        Ok(bytes)
    }

    async fn read(&mut self, at: u64, longest: usize) -> Result<Bytes, BodyError> {
        let left = self.length.map(|length| length.saturating_sub(at));
        let expected = left.map_or(PIECE, |left| usize::try_from(left).unwrap_or(longest));
        match &mut self.source {
            Source::Bytes(bytes) => {
                let start = usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                let end = start.saturating_add(longest).min(bytes.len());
                Ok(bytes.slice(start..end))
            }
            Source::File(path) => {
                let mut file = File::open(path).await.map_err(|_| BodyError::Source)?;
                let sought = file.seek(SeekFrom::Start(at)).await;
                sought.map_err(|_| BodyError::Source)?;
                fill(Pin::new(&mut file), longest, expected).await
            }
            Source::Reader(Some(reader)) => fill(reader.as_mut(), longest, expected).await,
            Source::Reader(None) => Err(BodyError::Source),
        }
    }

    /// Returns true if the body can be read again from any offset.
    pub(super) const fn is_repeatable(&self) -> bool {
        !matches!(self.source, Source::Reader(_))
    }
}

impl fmt::Debug for UploadBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadBody")
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

async fn fill(
    mut reader: Pin<&mut (impl AsyncRead + ?Sized)>,
    longest: usize,
    expected: usize,
) -> Result<Bytes, BodyError> {
    // Allocate the expected length once, because growing the buffer would need twice the memory.
    let mut chunk = BytesMut::with_capacity(longest.min(expected));
    while chunk.len() < longest {
        let mut limited = reader.as_mut().take((longest - chunk.len()) as u64);
        let read = limited.read_buf(&mut chunk).await;
        if read.map_err(|_| BodyError::Source)? == 0 {
            break;
        }
    }
    Ok(chunk.freeze())
}

fn read_file(path: PathBuf) -> BoxStream<'static, Result<Bytes, BodyError>> {
    stream::once(File::open(path))
        .flat_map(|opened| match opened {
            Ok(file) => read_all(Box::pin(file)),
            Err(_) => stream::iter([Err(BodyError::Source)]).boxed(),
        })
        .boxed()
}

fn read_all(reader: Reader) -> BoxStream<'static, Result<Bytes, BodyError>> {
    stream::try_unfold(reader, |mut reader| async move {
        let mut piece = BytesMut::with_capacity(PIECE);
        match reader.read_buf(&mut piece).await {
            Ok(0) => Ok(None),
            Ok(_) => Ok(Some((piece.freeze(), reader))),
            Err(_) => Err(BodyError::Source),
        }
    })
    .boxed()
}

impl Session {
    /// Uploads a body in one request and decodes the response. The target is an operation of the
    /// provider or a link. For an operation, the operation's request sets the method, target and
    /// headers. For a link, the method is PUT.
    ///
    /// The upload is retried like other calls if its body can be read again. For files larger than
    /// a few megabytes, prefer a [resumable upload](Session::resumable_upload) if the provider
    /// offers one.
    ///
    /// # Errors
    /// The errors of [`Session::send`]. [`ErrorKind::InvalidInput`] if the body cannot be read or
    /// its length differs from the announced length.
    pub async fn upload<T: Transfer + ?Sized>(
        &self,
        to: &T,
        mut body: UploadBody,
    ) -> Result<T::Output> {
        let prepared = to.prepare(self, &Method::PUT)?;
        let mut exchange = Exchange {
            method: None,
            headers: HeaderMap::new(),
            body: &mut || body.request_body(),
            max_response_len: MAX_RESPONSE,
            idle: None,
            accepts: |status| status.is_success(),
            is_retried: true,
        };
        let opened = self.open(&prepared, &mut exchange).await?;
        to.finish(self.finish(&prepared.call, opened).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest_of(bytes: &[u8]) -> [u8; 32] {
        digest::digest(&SHA256, bytes).as_ref().try_into().unwrap()
    }

    #[tokio::test]
    async fn what_is_read_again_is_digested_once_and_a_gap_is_read() {
        let content: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let (mut body, sum) = UploadBody::bytes(content.clone()).digested();
        for (at, longest) in [(0, 300), (300, 300), (100, 400), (0, 10), (900, 500)] {
            body.chunk(at, longest).await.unwrap();
        }
        assert_eq!(sum.sha256(), Some((digest_of(&content), 1000)));
        // The copy of a body starts without a digest.
        let (mut again, sum) = body.again().unwrap().digested();
        again.chunk(0, 10).await.unwrap();
        assert_eq!(sum.sha256(), Some((digest_of(&content[..10]), 10)));
    }

    #[tokio::test]
    async fn a_reader_that_begins_in_the_middle_has_no_digest_and_is_read_once() {
        let reader = UploadBody::reader(std::io::Cursor::new(vec![7; 100]), Some(1000));
        assert!(reader.again().is_none());
        let (mut reader, sum) = reader.digested();
        assert_eq!(reader.chunk(900, 100).await.unwrap().len(), 100);
        assert_eq!(sum.sha256(), None);
    }
}
