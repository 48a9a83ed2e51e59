//! Source of a document's bytes: downloads, decompresses and splits into lines.

use std::io::Write;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use connector_core::Result;
use flate2::write::MultiGzDecoder;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use memchr::memchr;

use super::fault::{DocumentFault, FaultKind};
use super::{Compression, DocumentOptions, DocumentProgress};

/// Maximum number of buffered decompressed bytes, unless a single row is longer.
const HELD: usize = 128 * 1024;
/// Number of decompressed bytes from which the decompression ratio is checked.
const FREE_OF_RATIO: u64 = 8 << 20;
const GZIP: [u8; 2] = [0x1f, 0x8b];

enum Decoder {
    /// Undecided until the first two bytes arrive: a proxy may have decompressed the document
    /// already.
    Undecided(Vec<u8>),
    Plain(Vec<u8>),
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
}

impl Decoder {
    fn held(&mut self) -> &mut Vec<u8> {
        match self {
            Self::Undecided(held) | Self::Plain(held) => held,
            Self::Gzip(decoder) => decoder.get_mut(),
        }
    }
}

pub(super) struct Source {
    pieces: BoxStream<'static, Result<Bytes>>,
    piece: Bytes,
    decoder: Decoder,
    /// Start of the unread bytes.
    start: usize,
    /// End of the bytes that were already searched for a line end.
    searched: usize,
    ended: bool,
    fault: Option<DocumentFault>,
    total: Option<u64>,
    received: u64,
    decoded: u64,
    /// Number of rows that were returned.
    pub(super) rows: u64,
    /// Number of the next row.
    pub(super) next: u64,
    longest: u64,
    longest_row: usize,
    largest_ratio: u64,
}

impl Source {
    pub(super) fn new(
        pieces: BoxStream<'static, Result<Bytes>>,
        total: Option<u64>,
        compression: Option<&Compression>,
        options: &DocumentOptions,
    ) -> Self {
        let decoder = match compression {
            Some(Compression::Gzip) => Decoder::Undecided(Vec::new()),
            _ => Decoder::Plain(Vec::new()),
        };
        Self {
            pieces,
            piece: Bytes::new(),
            decoder,
            start: 0,
            searched: 0,
            ended: false,
            fault: None,
            total,
            received: 0,
            decoded: 0,
            rows: 0,
            next: 1,
            longest: options.longest,
            longest_row: options.longest_row,
            largest_ratio: options.largest_ratio.into(),
        }
    }

    pub(super) const fn progress(&self) -> DocumentProgress {
        DocumentProgress {
            bytes: self.received,
            total: self.total,
            decoded_bytes: self.decoded,
            rows: self.rows,
        }
    }

    /// Creates a fault at the next row.
    pub(super) fn fails(&self, kind: FaultKind) -> DocumentFault {
        DocumentFault::new(self.next, kind)
    }

    /// Returns the next line without its line end; `None` after the last line. Lines that arrived
    /// before a fault are returned before the fault.
    pub(super) fn poll_line(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<&[u8]>, DocumentFault>> {
        let (start, mut end) = loop {
            let (start, searched) = (self.start, self.searched);
            let held = self.decoder.held();
            if let Some(at) = memchr(b'\n', &held[searched..]) {
                let end = searched + at;
                self.start = end + 1;
                self.searched = end + 1;
                break (start, end);
            }
            let end = held.len();
            self.searched = end;
            if end - start > self.longest_row {
                self.ended = true;
                self.fault = Some(self.fails(FaultKind::LongRow));
            }
            if let Some(fault) = self.fault.take() {
                // The remaining bytes may be an incomplete row.
                self.discard();
                return Poll::Ready(Err(fault.at(self.next)));
            }
            if self.ended {
                self.start = end;
                if start == end {
                    return Poll::Ready(Ok(None));
                }
                break (start, end);
            }
            ready!(self.poll_fill(cx));
        };
        if end - start > self.longest_row {
            let fault = self.fails(FaultKind::LongRow);
            self.ended = true;
            self.discard();
            return Poll::Ready(Err(fault));
        }
        let held = self.decoder.held();
        if end > start && held[end - 1] == b'\r' {
            end -= 1;
        }
        Poll::Ready(Ok(Some(&held[start..end])))
    }

    /// Returns the next bytes; `None` at the end.
    pub(super) fn poll_bytes(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, DocumentFault>> {
        loop {
            let held = self.decoder.held();
            if held.len() > self.start {
                let mut bytes = Bytes::from(std::mem::take(held));
                bytes.advance(self.start);
                self.start = 0;
                self.searched = 0;
                return Poll::Ready(Ok(Some(bytes)));
            }
            if let Some(fault) = self.fault.take() {
                self.discard();
                return Poll::Ready(Err(fault.at(self.next)));
            }
            if self.ended {
                return Poll::Ready(Ok(None));
            }
            ready!(self.poll_fill(cx));
        }
    }

    /// Removes a UTF-8 byte order mark from the start of a line.
    pub(super) fn without_mark(line: &[u8]) -> &[u8] {
        line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line)
    }

    fn discard(&mut self) {
        self.decoder.held().clear();
        self.start = 0;
        self.searched = 0;
    }

    /// Adds bytes to the buffer, or sets `ended` and possibly `fault`.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.start > 0 {
            let start = std::mem::take(&mut self.start);
            self.searched -= start;
            self.decoder.held().drain(..start);
        }
        let before = self.decoder.held().len();
        while self.decoder.held().len() < before + HELD {
            if self.piece.is_empty() {
                let polled = self.pieces.poll_next_unpin(cx);
                let Poll::Ready(next) = polled else {
                    if self.decoder.held().len() > before {
                        break;
                    }
                    return Poll::Pending;
                };
                match next {
                    Some(Ok(piece)) => {
                        self.received = self.received.saturating_add(piece.len() as u64);
                        self.piece = piece;
                    }
                    Some(Err(error)) => {
                        let fault = DocumentFault::download(self.next, error);
                        self.end(Some(fault));
                        break;
                    }
                    None => {
                        let fault = self.finish().err();
                        let fault = fault.map(|kind| self.fails(kind));
                        self.end(fault);
                        break;
                    }
                }
            } else if let Err(kind) = self.decode() {
                let fault = self.fails(kind);
                self.end(Some(fault));
                break;
            }
        }
        Poll::Ready(())
    }

    fn end(&mut self, fault: Option<DocumentFault>) {
        self.ended = true;
        self.piece = Bytes::new();
        self.fault = fault;
    }

    /// Decompresses a part of the current chunk.
    fn decode(&mut self) -> Result<(), FaultKind> {
        let before = self.decoder.held().len();
        match &mut self.decoder {
            Decoder::Plain(held) => {
                let length = self.piece.len().min(HELD);
                held.extend_from_slice(&self.piece[..length]);
                self.piece.advance(length);
            }
            Decoder::Gzip(decoder) => {
                let taken = decoder.write(&self.piece);
                let taken = taken.map_err(|_| FaultKind::Damaged)?;
                if taken == 0 {
                    return Err(FaultKind::Damaged);
                }
                self.piece.advance(taken);
            }
            Decoder::Undecided(held) => {
                held.push(self.piece.get_u8());
                if held.len() == GZIP.len() {
                    let first = std::mem::take(held);
                    if first == GZIP {
                        let mut decoder = Box::new(MultiGzDecoder::new(Vec::new()));
                        let written = decoder.write_all(&first);
                        written.map_err(|_| FaultKind::Damaged)?;
                        self.decoder = Decoder::Gzip(decoder);
                    } else {
                        self.decoder = Decoder::Plain(first);
                        self.decoded = GZIP.len() as u64;
                    }
                }
                return Ok(());
            }
        }
        let more = self.decoder.held().len() - before;
        self.decoded = self.decoded.saturating_add(more as u64);
        if self.decoded > self.longest {
            return Err(FaultKind::TooLong);
        }
        let consumed = self.received - self.piece.len() as u64;
        let is_bomb = self.decoded > FREE_OF_RATIO
            && self.decoded > consumed.saturating_mul(self.largest_ratio);
        if is_bomb {
            return Err(FaultKind::Bomb);
        }
        Ok(())
    }

    /// Checks that the document is complete.
    fn finish(&mut self) -> Result<(), FaultKind> {
        match &mut self.decoder {
            // A gzip stream has at least 18 bytes.
            Decoder::Undecided(_) => Err(FaultKind::Truncated),
            Decoder::Plain(_) => Ok(()),
            Decoder::Gzip(decoder) => {
                let before = decoder.get_ref().len();
                let finished = decoder.try_finish().map_err(|_| FaultKind::Truncated);
                self.decoded += (decoder.get_ref().len() - before) as u64;
                finished
            }
        }
    }
}
