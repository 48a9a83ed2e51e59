//! A provider on loopback that sends and receives one large file, with connection failures.

#![allow(
    clippy::unwrap_used,
    dead_code,
    unreachable_pub,
    reason = "shared by tests that use different parts"
)]

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock, Mutex};

use bytes::Bytes;
use connector_core::api::{FixedToken, Idempotency, Request, Response, RetryPolicy, Session};
use connector_core::http::{HostRule, LoopbackOverride, Origin};
use connector_core::provider::Endpoint;
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::{Description, GenericConnector};
use connector_core::{ProviderId, Result};
use connector_http::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::server::Server;

pub const MIB: u64 = 1024 * 1024;
/// The origin of the API, which receives the credential.
pub const API: &str = "https://api.acme.example";
/// A host that the description lists in `links`.
pub const FILES: &str = "https://files.acme.example";
pub const TOKEN: &str = "canary-token";

connector_core::provider::provider_client! {
    pub struct AcmeClient for ProviderId::from_static("acme");
}

/// Downloads the file through the API.
pub struct File;

impl Endpoint for File {
    type Client = AcmeClient;
    type Output = Bytes;
    const NAME: &'static str = "File";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        Request::get(["file"])
    }

    fn decode(&self, response: &mut Response) -> Result<Bytes> {
        Ok(response.body().clone())
    }
}

/// Uploads a file through the API.
pub struct PutFile;

impl Endpoint for PutFile {
    type Client = AcmeClient;
    type Output = String;
    const NAME: &'static str = "PutFile";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn request(&self) -> Result<Request> {
        Request::new(http::Method::PUT, ["file"])
    }

    fn decode(&self, response: &mut Response) -> Result<String> {
        response.json()
    }
}

/// Returns a session whose API and links are served by `server`.
pub fn session(server: &Server) -> Session {
    let mut client = HttpClient::builder();
    for origin in [API, FILES] {
        let origin = Origin::parse(origin).unwrap();
        client = client.with_loopback(LoopbackOverride::new(origin, server.address).unwrap());
    }
    session_over(client.build().unwrap())
}

pub fn session_over(client: HttpClient) -> Session {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new(API)];
    description.links = vec![HostRule::parse("files.acme.example").unwrap()];
    let token = FixedToken::new(Origin::parse(API).unwrap(), TOKEN);
    Session::builder(
        &GenericConnector::new(description).unwrap(),
        Arc::new(token),
        Arc::new(client),
    )
    .with_retry_policy(RetryPolicy::default().with_pauses(
        std::time::Duration::from_millis(1),
        std::time::Duration::from_millis(1),
    ))
    .build()
}

/// Period of the file's content. The period is prime, so that a wrong offset is detected.
const PERIOD: usize = 1_000_003;

fn pattern() -> &'static [u8] {
    static PATTERN: LazyLock<Vec<u8>> = LazyLock::new(|| {
        let mut state = 7_u32;
        let next = |_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            state.to_be_bytes()[0]
        };
        (0..PERIOD).map(next).collect::<Vec<u8>>()
    });
    &PATTERN
}

/// Returns the bytes of the file at `offset`, at most `length` and at most one period.
pub fn content(offset: u64, length: usize) -> &'static [u8] {
    let start = usize::try_from(offset % PERIOD as u64).unwrap();
    let length = length.min(PERIOD - start);
    &pattern()[start..start + length]
}

/// Counts the bytes at `offset` that differ from the file.
pub fn wrong_bytes(mut offset: u64, mut bytes: &[u8]) -> u64 {
    let mut wrong = 0;
    while !bytes.is_empty() {
        let expected = content(offset, bytes.len());
        let (part, rest) = bytes.split_at(expected.len());
        if part != expected {
            wrong += part.len() as u64;
        }
        offset += part.len() as u64;
        bytes = rest;
    }
    wrong
}

/// Returns the head of the next request and the bytes of its body that arrived with it.
pub async fn read_head(stream: &mut TcpStream, rest: Vec<u8>) -> Option<(String, Vec<u8>)> {
    let mut bytes = rest;
    loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let body = bytes.split_off(end + 4);
            return Some((String::from_utf8(bytes).unwrap(), body));
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(it, _)| it.eq_ignore_ascii_case(name))
        .map(|(_, value)| value)
}

/// Counters of a server and the request heads that it received.
#[derive(Debug, Default)]
pub struct Seen {
    pub faults: AtomicUsize,
    pub requests: AtomicUsize,
    pub received: AtomicU64,
    pub wrong: AtomicU64,
    pub heads: Mutex<Vec<String>>,
}

/// Serves a file of `total` bytes and closes each connection after `fault_every` bytes.
pub async fn serving(total: u64, fault_every: u64, seen: &Arc<Seen>) -> Server {
    let seen = Arc::clone(seen);
    Server::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let Some((head, _)) = read_head(&mut stream, Vec::new()).await else {
                return;
            };
            seen.requests.fetch_add(1, Ordering::SeqCst);
            let start = header(&head, "range").map_or(0, |range| {
                assert_eq!(header(&head, "if-range"), Some("\"v1\""));
                let first = range.strip_prefix("bytes=").unwrap().strip_suffix('-');
                first.unwrap().parse().unwrap()
            });
            seen.heads.lock().unwrap().push(head);
            let length = total - start;
            let answer = if start == 0 {
                format!("HTTP/1.1 200 OK\r\netag: \"v1\"\r\ncontent-length: {total}\r\n\r\n")
            } else {
                format!(
                    "HTTP/1.1 206 Partial Content\r\netag: \"v1\"\r\ncontent-length: {length}\r\n\
                     content-range: bytes {start}-{}/{total}\r\n\r\n",
                    total - 1
                )
            };
            stream.write_all(answer.as_bytes()).await.unwrap();
            let end = total.min(start + fault_every);
            let mut at = start;
            while at < end {
                let left = usize::try_from((end - at).min(256 * 1024)).unwrap();
                let piece = content(at, left);
                if stream.write_all(piece).await.is_err() {
                    return;
                }
                at += piece.len() as u64;
            }
            if end < total {
                seen.faults.fetch_add(1, Ordering::SeqCst);
            }
            let _ = stream.shutdown().await;
        }
    })
    .await
}

/// Receives a file of `total` bytes in chunks with Google's protocol, and closes the connection
/// within a chunk after every `fault_every` bytes.
pub async fn taking(total: u64, fault_every: u64, seen: &Arc<Seen>) -> Server {
    let seen = Arc::clone(seen);
    Server::start(move |mut stream| {
        let seen = Arc::clone(&seen);
        async move {
            let mut rest = Vec::new();
            while let Some((head, mut body)) = read_head(&mut stream, rest).await {
                seen.requests.fetch_add(1, Ordering::SeqCst);
                let range = header(&head, "content-range").unwrap().to_owned();
                let length: u64 = header(&head, "content-length").unwrap().parse().unwrap();
                seen.heads.lock().unwrap().push(head);
                let stored = || seen.received.load(Ordering::SeqCst);
                if length > 0 {
                    let first = range.strip_prefix("bytes ").unwrap().split('-').next();
                    let first: u64 = first.unwrap().parse().unwrap();
                    assert_eq!(first, stored(), "the upload continues where it stopped");
                }
                let mut left = length;
                let mut buffer = vec![0; 256 * 1024];
                loop {
                    let before = stored();
                    seen.wrong
                        .fetch_add(wrong_bytes(before, &body), Ordering::SeqCst);
                    let after = before + body.len() as u64;
                    seen.received.store(after, Ordering::SeqCst);
                    left -= body.len() as u64;
                    // Never at the end of a chunk.
                    let part = |at: u64| (at + 3 * MIB + 300_000) / fault_every;
                    if part(after) > part(before) && left > 0 {
                        seen.faults.fetch_add(1, Ordering::SeqCst);
                        return;
                    }
                    if left == 0 {
                        break;
                    }
                    let most = usize::try_from(left.min(buffer.len() as u64)).unwrap();
                    match stream.read(&mut buffer[..most]).await {
                        Ok(read) if read > 0 => body = buffer[..read].to_vec(),
                        _ => return,
                    }
                }
                rest = Vec::new();
                let answer = match stored() {
                    0 => "HTTP/1.1 308 Resume Incomplete\r\ncontent-length: 0\r\n\r\n".to_owned(),
                    at if at < total => format!(
                        "HTTP/1.1 308 Resume Incomplete\r\nrange: bytes=0-{}\r\n\
                         content-length: 0\r\n\r\n",
                        at - 1
                    ),
                    _ => "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\n\"done\"".to_owned(),
                };
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
        }
    })
    .await
}

/// A reader that generates the file on the fly.
pub struct Reader {
    pub at: u64,
    pub total: u64,
}

impl tokio::io::AsyncRead for Reader {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        let left = usize::try_from(self.total - self.at).unwrap_or(usize::MAX);
        let piece = content(self.at, left.min(buffer.remaining()));
        buffer.put_slice(piece);
        self.at += piece.len() as u64;
        std::task::Poll::Ready(Ok(()))
    }
}
