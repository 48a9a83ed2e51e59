//! Decompression bombs and oversized responses are rejected with bounded memory use.
//!
//! Contains a single test, because the test measures the memory of its process.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the test reports measurements")]
#![allow(clippy::unwrap_used, reason = "the helpers here are part of the test")]

mod server;

use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use connector_core::clock::{Clock, SystemClock};
use connector_core::http::{
    HttpTransport, Origin, OutboundRequest, RequestClass, Sent, TransportErrorKind,
};
use connector_core::provider::description::{EndpointTemplate, IdentityRule, TokenEndpoint};
use connector_core::provider::{Connector, Context, Description, GenericConnector};
use connector_core::{App, Credential, CredentialKind, ProviderId};
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::io::AsyncWriteExt;

use self::server::{ORIGIN, Server, encoded, gzip, read_request};
use connector_testkit::memory;

const MIB: u64 = 1024 * 1024;

fn zeros(length: u64) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let block = vec![0; 64 * 1024];
    for _ in 0..length / 65_536 {
        encoder.write_all(&block).unwrap();
    }
    encoder.finish().unwrap()
}

/// Sends `head` and then repeats `piece` until `total` bytes were sent or the client closed the
/// connection.
async fn pouring(
    head: impl Into<Bytes>,
    piece: impl Into<Bytes>,
    total: u64,
    poured: &Arc<AtomicU64>,
) -> Server {
    let (head, piece, poured) = (head.into(), piece.into(), Arc::clone(poured));
    Server::start(move |mut stream| {
        let (head, piece, poured) = (head.clone(), piece.clone(), Arc::clone(&poured));
        async move {
            read_request(&mut stream).await;
            let _ = stream.write_all(&head).await;
            let mut sent = 0;
            while sent < total && stream.write_all(&piece).await.is_ok() {
                sent += piece.len() as u64;
                poured.store(sent, Ordering::SeqCst);
            }
            // The server keeps the connection open; the client must close it.
            let _ = read_request(&mut stream).await;
        }
    })
    .await
}

/// Name, first bytes, repeated bytes, total number of repeated bytes.
type Bomb = (&'static str, Vec<u8>, Vec<u8>, u64);

fn bombs(bomb: &[u8], twice: &[u8]) -> [Bomb; 10] {
    let line = vec![b'x'; 64 * 1024];
    let header: Vec<u8> = (0..1000).flat_map(|_| *b"x-header: value\r\n").collect();
    let chunk = [b"10000\r\n", &line[..], b"\r\n"].concat();
    let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
    [
        ("gzip bomb", encoded("gzip", bomb), vec![], 0),
        (
            "gzip bomb in pieces without an end",
            head("content-encoding: gzip").into(),
            bomb.to_vec(),
            1024 * MIB,
        ),
        (
            "gzip in gzip, as the header says",
            encoded("gzip, gzip", twice),
            vec![],
            0,
        ),
        (
            "endless body",
            head("x-endless: yes").into(),
            line.clone(),
            1024 * MIB,
        ),
        (
            "endless chunks",
            head("transfer-encoding: chunked").into(),
            chunk,
            1024 * MIB,
        ),
        (
            "1 GB, announced",
            head("content-length: 1073741824").into(),
            line.clone(),
            1024 * MIB,
        ),
        (
            "1 GB of status line",
            b"HTTP/1.1 200 ".to_vec(),
            line.clone(),
            1024 * MIB,
        ),
        (
            "1 GB of one header",
            b"HTTP/1.1 200 OK\r\nx-long: ".to_vec(),
            line.clone(),
            1024 * MIB,
        ),
        (
            "100,000 headers",
            b"HTTP/1.1 200 OK\r\n".to_vec(),
            header,
            100_000 * 17,
        ),
        (
            "1 GB of chunk extension",
            [head("transfer-encoding: chunked").as_bytes(), b"1;"].concat(),
            line,
            1024 * MIB,
        ),
    ]
}

/// Deeply nested JSON, which the transport accepts and the JSON parser rejects.
async fn deep_json() -> usize {
    let at = |path: &str| EndpointTemplate::new(format!("{ORIGIN}{path}"));
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![at("")];
    description.token = Some(TokenEndpoint::new(at("/token")));
    description.identity = Some(IdentityRule::endpoint(at("/me"), "/id"));
    let connector = GenericConnector::new(description).unwrap();
    let app = App::new("app").with_client_secret("secret");
    let clock = SystemClock::new();
    let origin = Origin::parse(ORIGIN).unwrap();
    let credential = Credential::new(CredentialKind::OAuth, origin, "access", clock.now())
        .with_refresh_token("refresh");
    let mut refused = 0;
    for (open, close) in [("[", "]"), ("{\"id\":", "}"), ("[{\"id\":", "}]")] {
        let body = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));
        for status in ["200 OK", "400 Bad Request"] {
            let server = Server::answering(format!(
                "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n\
                 {body}",
                body.len()
            ))
            .await;
            let client = server.opened().build().unwrap();
            let cx = Context::new(&app, &client, &clock);
            refused += usize::from(connector.refresh(&cx, &credential).await.is_err());
            refused += usize::from(connector.identify(&cx, &credential).await.is_err());
            assert_eq!(server.accepted(), 2, "both requests were sent");
        }
    }
    refused
}

#[tokio::test]
async fn bombs_are_rejected_within_32_mib() {
    let plain = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let client = plain.opened().build().unwrap();
    let request = || http::Request::get(ORIGIN).body(Bytes::new()).unwrap();
    let answer = client.send(OutboundRequest::new(request())).await.unwrap();
    assert_eq!(answer.body(), "ok");

    let bomb = zeros(128 * MIB);
    let ratio = 128 * MIB / bomb.len() as u64;
    let twice = gzip(&bomb);
    println!("bomb: {ratio} to 1");
    assert!(ratio > 1_000);

    let cases = bombs(&bomb, &twice);
    let before = memory::current().unwrap();
    let mut refused = 0;
    let count = cases.len();
    for (what, head, piece, total) in cases {
        for class in [RequestClass::Call, RequestClass::Token] {
            let poured = Arc::new(AtomicU64::new(0));
            let server = pouring(head.clone(), piece.clone(), total, &poured).await;
            let client = server.opened().build().unwrap();
            let mut outbound = OutboundRequest::new(request());
            outbound.class = class;
            let error = client.send(outbound).await.expect_err(what);
            assert_eq!(error.sent(), Sent::Maybe, "{what}");
            let kinds = [TransportErrorKind::Answer, TransportErrorKind::Broken];
            assert!(kinds.contains(&error.kind()), "{what}: {error:?}");
            // The maximum response length plus the size of socket buffers.
            let poured = poured.load(Ordering::SeqCst);
            assert!(poured <= 24 * MIB, "{what}: {poured} bytes were taken");
        }
        refused += 1;
        println!(
            "{what}: refused, peak + {} KiB",
            (memory::peak().unwrap() - before) / 1024
        );
    }
    // A gzip file inside a gzip response is data, so only one layer is decompressed.
    let server = Server::answering(encoded("gzip", &twice)).await;
    let client = server.opened().build().unwrap();
    let answer = client.send(OutboundRequest::new(request())).await.unwrap();
    assert_eq!(answer.body(), &bomb);

    let deep = deep_json().await;
    println!(
        "JSON 100,000 deep: {deep} responses rejected, peak + {} KiB",
        (memory::peak().unwrap() - before) / 1024
    );
    assert_eq!(deep, 12);

    let growth = memory::peak().unwrap() - before;
    println!(
        "bombs rejected: {refused} of {count}, peak + {} KiB",
        growth / 1024
    );
    assert!(growth <= 32 * MIB, "{growth} bytes");
}
