//! Framing of HTTP/1.1 messages. The bytes of a message are not changed.

use std::io;

use http::StatusCode;
use httparse::{EMPTY_HEADER, Header, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Part;

const MAX_HEAD: usize = 64 * 1024;
const MAX_MESSAGE: usize = 16 * 1024 * 1024;
const MAX_HEADERS: usize = 256;

/// One side of a connection, with data that was read but is not part of a complete message yet.
pub(super) struct Peer {
    stream: TcpStream,
    unread: Vec<u8>,
}

pub(super) struct Request {
    bytes: Vec<u8>,
    path: String,
    is_head: bool,
}

impl Request {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the path without the query.
    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Returns true for the method HEAD, whose responses have no body even if their headers
    /// describe one.
    pub(super) const fn is_head(&self) -> bool {
        self.is_head
    }
}

pub(super) struct Answer {
    bytes: Vec<u8>,
    status: StatusCode,
    status_line: usize,
    head: usize,
    is_ended_by_close: bool,
}

impl Answer {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns true if the response ends when the connection is closed.
    pub(super) const fn is_ended_by_close(&self) -> bool {
        self.is_ended_by_close
    }

    /// Returns the length of the response up to and including the first `after` bytes (modulo the
    /// part's length) of `part`.
    pub(super) fn cut(&self, part: Part, after: usize) -> usize {
        let (start, end) = match part {
            Part::StatusLine => (0, self.status_line),
            Part::Headers => (self.status_line, self.head),
            Part::Body => (self.head, self.bytes.len()),
        };
        start + after.checked_rem(end - start).unwrap_or(0)
    }
}

/// Rule that determines the end of a body.
enum Body {
    Length(usize),
    Chunked,
    UntilClose,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            unread: Vec::new(),
        })
    }

    /// Reads the next request; `None` if the client has closed the connection.
    pub(super) async fn request(&mut self) -> io::Result<Option<Request>> {
        while self.unread.is_empty() {
            if !self.fill(MAX_HEAD).await? {
                return Ok(None);
            }
        }
        loop {
            let mut headers = [EMPTY_HEADER; MAX_HEADERS];
            let mut parsed = httparse::Request::new(&mut headers);
            if let Status::Complete(head) = parsed.parse(&self.unread).map_err(wrong)? {
                let target = parsed.path.unwrap_or_default();
                let path = target.split('?').next().unwrap_or_default().to_owned();
                let is_head = parsed.method == Some("HEAD");
                let body = body(parsed.headers, Body::Length(0))?;
                let end = self.end(head, &body).await?;
                return Ok(Some(Request {
                    bytes: self.unread.drain(..end).collect(),
                    path,
                    is_head,
                }));
            }
            self.more(MAX_HEAD).await?;
        }
    }

    /// Reads the response to a request, including interim responses before it.
    pub(super) async fn answer(&mut self, to_head: bool) -> io::Result<Answer> {
        let mut start = 0;
        loop {
            let mut headers = [EMPTY_HEADER; MAX_HEADERS];
            let mut parsed = httparse::Response::new(&mut headers);
            let Status::Complete(length) = parsed.parse(&self.unread[start..]).map_err(wrong)?
            else {
                self.more(start + MAX_HEAD).await?;
                continue;
            };
            let status = StatusCode::from_u16(parsed.code.unwrap_or_default()).map_err(wrong)?;
            let head = start + length;
            if status.is_informational() {
                start = head;
                if start > MAX_HEAD {
                    return Err(wrong("too many interim responses"));
                }
                continue;
            }
            let is_bare =
                to_head || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
            let body = if is_bare {
                Body::Length(0)
            } else {
                body(parsed.headers, Body::UntilClose)?
            };
            let end = self.end(head, &body).await?;
            let line = self.unread.iter().position(|byte| *byte == b'\n');
            return Ok(Answer {
                bytes: self.unread.drain(..end).collect(),
                status,
                status_line: line.map_or(head, |at| at + 1),
                head,
                is_ended_by_close: matches!(body, Body::UntilClose),
            });
        }
    }

    /// Reads to the end of the message whose body starts at offset `head`, and returns the offset
    /// of the end.
    async fn end(&mut self, head: usize, body: &Body) -> io::Result<usize> {
        match body {
            Body::Length(length) => {
                let end = head.saturating_add(*length);
                while self.unread.len() < end {
                    self.more(MAX_MESSAGE).await?;
                }
                Ok(end)
            }
            Body::UntilClose => {
                while self.fill(MAX_MESSAGE).await? {}
                Ok(self.unread.len())
            }
            Body::Chunked => {
                let mut at = head;
                loop {
                    let Status::Complete((line, size)) =
                        httparse::parse_chunk_size(&self.unread[at..])
                            .map_err(|_| wrong("a chunk has an invalid size"))?
                    else {
                        self.more(MAX_MESSAGE).await?;
                        continue;
                    };
                    at += line;
                    if size == 0 {
                        return self.end_of_trailers(at).await;
                    }
                    let size = usize::try_from(size).unwrap_or(usize::MAX);
                    at = at.saturating_add(size).saturating_add(2);
                    while self.unread.len() < at {
                        self.more(MAX_MESSAGE).await?;
                    }
                }
            }
        }
    }

    async fn end_of_trailers(&mut self, mut at: usize) -> io::Result<usize> {
        loop {
            let line = self.unread[at..].iter().position(|byte| *byte == b'\n');
            let Some(length) = line else {
                self.more(MAX_MESSAGE).await?;
                continue;
            };
            let is_empty = self.unread[at..at + length].trim_ascii().is_empty();
            at += length + 1;
            if is_empty {
                return Ok(at);
            }
        }
    }

    /// Reads more data inside a message.
    async fn more(&mut self, longest: usize) -> io::Result<()> {
        if self.fill(longest).await? {
            Ok(())
        } else {
            Err(io::ErrorKind::UnexpectedEof.into())
        }
    }

    /// Reads available data. Returns false if the other side sends no more.
    async fn fill(&mut self, longest: usize) -> io::Result<bool> {
        if self.unread.len() >= longest {
            return Err(wrong("a message is too long"));
        }
        Ok(self.stream.read_buf(&mut self.unread).await? > 0)
    }

    pub(super) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Waits until the other side has closed the connection. Data that still arrives is dropped.
    pub(super) async fn left(&mut self) {
        let mut rest = [0; 1024];
        while matches!(self.stream.read(&mut rest).await, Ok(1..)) {}
    }

    /// Configures the connection to end with a reset.
    pub(super) fn reset(&self) -> io::Result<()> {
        self.stream.set_zero_linger()
    }
}

fn body(headers: &[Header<'_>], otherwise: Body) -> io::Result<Body> {
    let value = |name: &str| {
        let header = headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        Some(String::from_utf8_lossy(header.value).trim().to_owned())
    };
    if let Some(coding) = value("transfer-encoding") {
        return if coding.eq_ignore_ascii_case("chunked") {
            Ok(Body::Chunked)
        } else {
            Err(wrong("a transfer coding is not supported"))
        };
    }
    match value("content-length") {
        None => Ok(otherwise),
        Some(length) => length.parse().map(Body::Length).map_err(wrong),
    }
}

fn wrong(why: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}
