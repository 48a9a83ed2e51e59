//! Downloads, uploads and links against misbehaving servers on loopback.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use connector_core::api::{
    Checksum, Download, DownloadOptions, ExpectedRanges, Link, OnProgress, RangeHeader, Session,
    UploadBody,
};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::{Error, ErrorKind, Result};
use connector_http::HttpClient;
use futures_util::TryStreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::server::{Server, gzip};
use crate::transfers::{
    FILES, File, MIB, PutFile, Reader, Seen, TOKEN, content, header, read_head, serving, session,
    session_over, taking, wrong_bytes,
};

/// Answers the requests of all connections in turn with these bytes, and closes each connection.
/// The last answer is repeated. Records the heads of the requests with their bodies.
async fn scripted<A: AsRef<[u8]>>(answers: impl IntoIterator<Item = A>) -> (Server, Heads) {
    let answers: Vec<Vec<u8>> = answers.into_iter().map(|it| it.as_ref().to_vec()).collect();
    let heads = Heads::default();
    let (kept, next) = (Arc::clone(&heads), Arc::new(AtomicUsize::new(0)));
    let server = Server::start(move |mut stream| {
        let (answers, kept, next) = (answers.clone(), Arc::clone(&kept), Arc::clone(&next));
        async move {
            let Some((head, mut body)) = read_head(&mut stream, Vec::new()).await else {
                return;
            };
            let length = header(&head, "content-length").map_or(0, |it| it.parse().unwrap());
            let is_chunked = header(&head, "transfer-encoding").is_some();
            while body.len() < length || (is_chunked && !body.ends_with(b"0\r\n\r\n")) {
                if stream.read_buf(&mut body).await.unwrap_or(0) == 0 {
                    break;
                }
            }
            kept.lock().unwrap().push((head, body));
            let at = next.fetch_add(1, Ordering::SeqCst).min(answers.len() - 1);
            let _ = stream.write_all(&answers[at]).await;
            let _ = stream.shutdown().await;
        }
    })
    .await;
    (server, heads)
}

type Heads = Arc<Mutex<Vec<(String, Vec<u8>)>>>;

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\n{headers}\r\n");
    [head.as_bytes(), body].concat()
}

fn link(session: &Session) -> Link {
    session
        .link(format!("{FILES}/f?signature=%2fs%2F"))
        .unwrap()
}

async fn read(download: Result<Download>) -> Result<Vec<u8>> {
    let pieces: Vec<_> = download?.try_collect().await?;
    Ok(pieces.concat())
}

fn no_credential(heads: &Heads) {
    for (head, body) in heads.lock().unwrap().iter() {
        assert!(!head.contains(TOKEN) && !head.to_ascii_lowercase().contains("authorization"));
        assert!(!String::from_utf8_lossy(body).contains(TOKEN));
    }
}

#[tokio::test]
async fn a_link_is_sent_only_to_listed_hosts_and_without_the_credential() {
    let (server, heads) = scripted([answer("200 OK", "content-length: 2\r\n", b"ok")]).await;
    let session = session(&server);
    let refused = [
        "https://api.acme.example/f",
        "https://evil.example/f",
        "https://files.acme.example.evil.example/f",
        "https://evilfiles.acme.example/f",
        "https://sub.files.acme.example/f",
        "https://files.acme.example:8443/f",
        "https://files.acme.example@evil.example/f",
        "https://user:pw@files.acme.example/f",
        "https://files.acme.example\\@evil.example/f",
        "http://files.acme.example/f",
        "https://127.0.0.1/f",
        "ftp://files.acme.example/f",
        "//files.acme.example/f",
        "/f",
        "",
    ];
    let mut count = 0;
    for text in refused {
        match session.link(text) {
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::AddressRefused, "{text}");
                assert!(text.is_empty() || !format!("{error} {error:?}").contains(text));
                count += 1;
            }
            // URL parsers treat the backslash as a slash, so the host is the listed one.
            Ok(link) => assert_eq!(link.host(), "files.acme.example", "{text}"),
        }
    }
    assert_eq!(server.accepted(), 0);
    assert!(count >= refused.len() - 1);
    let forged = link(&session).with_header(
        http::header::AUTHORIZATION,
        http::HeaderValue::from_static("Bearer canary-token"),
    );
    assert!(!format!("{forged:?}").contains("signature"));
    assert_eq!(read(session.download(&forged).await).await.unwrap(), b"ok");
    no_credential(&heads);
    let line = heads.lock().unwrap()[0]
        .0
        .lines()
        .next()
        .unwrap()
        .to_owned();
    assert_eq!(line, "GET /f?signature=%2fs%2F HTTP/1.1", "sent unchanged");
    println!("links rejected: {count}");
}

#[tokio::test]
async fn a_redirect_of_a_link_is_rejected() {
    let mut count = 0;
    for status in [
        "301 Moved",
        "302 Found",
        "303 See Other",
        "307 Temporary",
        "308 Permanent",
    ] {
        let location = "location: https://evil.example/\r\ncontent-length: 0\r\n";
        let (server, heads) = scripted([answer(status, location, b"")]).await;
        let session = session(&server);
        let down = session.download(&link(&session)).await.unwrap_err();
        let up = session
            .upload(&link(&session), UploadBody::bytes("x"))
            .await
            .unwrap_err();
        let api = session.download(&File).await.unwrap_err();
        for error in [down, up, api] {
            assert_eq!(error.kind(), ErrorKind::UnexpectedResponse, "{status}");
            assert!(error.status().unwrap().is_redirection());
            count += 1;
        }
        assert_eq!(server.accepted(), 3);
        heads.lock().unwrap().pop();
        no_credential(&heads);
    }
    println!("redirects rejected: {count}");
}

/// Returns the result of a download that receives `answers` in turn.
async fn outcome<A: AsRef<[u8]>>(
    answers: impl IntoIterator<Item = A>,
    options: DownloadOptions,
) -> (Result<Vec<u8>>, usize) {
    let (server, heads) = scripted(answers).await;
    let session = session(&server);
    let link = link(&session);
    let result = read(session.download_with(&link, options).await).await;
    no_credential(&heads);
    (result, server.accepted())
}

#[tokio::test]
async fn wrong_lengths_and_checksums_are_rejected() {
    let options = DownloadOptions::new;
    let whole = |headers: &str| answer("200 OK", headers, b"0123456789");
    let tag = "etag: \"a\"\r\n";
    let rest = |range: &str, body: &[u8]| {
        let length = body.len();
        answer(
            "206 Partial Content",
            &format!("{tag}content-range: {range}\r\ncontent-length: {length}\r\n"),
            body,
        )
    };
    let cut = answer("200 OK", &format!("{tag}content-length: 10\r\n"), b"0123");
    let sha256: [u8; 32] = {
        let digest = ring::digest::digest(&ring::digest::SHA256, b"0123456789");
        digest.as_ref().try_into().unwrap()
    };
    let good = [
        (vec![whole("content-length: 10\r\n")], options()),
        (vec![whole("")], options().with_length(10)),
        (
            vec![whole("")],
            options().with_checksum(Checksum::Sha256(sha256)),
        ),
        (
            vec![cut.clone(), rest("bytes 4-9/10", b"456789")],
            options(),
        ),
        (vec![cut.clone(), rest("bytes 4-9/*", b"456789")], options()),
        // First a part of the rest, then the remaining bytes.
        (
            vec![
                cut.clone(),
                rest("bytes 4-5/10", b"45"),
                rest("bytes 6-9/10", b"6789"),
            ],
            options(),
        ),
        // Without a validator, a known checksum proves that the parts belong to the same file.
        (
            vec![
                answer("200 OK", "content-length: 10\r\n", b"0123"),
                rest("bytes 4-9/10", b"456789"),
            ],
            options().with_checksum(Checksum::Sha256(sha256)),
        ),
    ];
    for (answers, options) in good {
        let (result, _) = outcome(&answers, options).await;
        assert_eq!(result.unwrap(), b"0123456789");
    }
    let bad = [
        (
            "announced",
            vec![whole("content-length: 10\r\n")],
            options().with_length(11),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "longer",
            vec![whole("")],
            options().with_length(9),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "shorter",
            vec![whole("")],
            options().with_length(11),
            ErrorKind::Network,
        ),
        (
            "bounded",
            vec![whole("")],
            options().with_longest(9),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "bounded, announced",
            vec![whole("content-length: 10\r\n")],
            options().with_longest(9),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "damaged",
            vec![whole("")],
            options().with_checksum(Checksum::Sha256([1; 32])),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "md5",
            vec![whole("content-md5: AAAAAAAAAAAAAAAAAAAAAA==\r\n")],
            options(),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "no validator",
            vec![answer("200 OK", "content-length: 10\r\n", b"0123")],
            options(),
            ErrorKind::Network,
        ),
        (
            "weak validator",
            vec![answer(
                "200 OK",
                "etag: W/\"a\"\r\ncontent-length: 10\r\n",
                b"0123",
            )],
            options(),
            ErrorKind::Network,
        ),
        (
            "changed",
            vec![cut.clone(), whole(tag)],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "other total",
            vec![cut.clone(), rest("bytes 4-9/11", b"456789")],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "other start",
            vec![cut.clone(), rest("bytes 3-9/10", b"3456789")],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "beyond",
            vec![cut.clone(), rest("bytes 4-10/*", b"456789x")],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "no range",
            vec![cut.clone(), answer("206 Partial Content", tag, b"456789")],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "other tag",
            vec![
                cut.clone(),
                answer(
                    "206 Partial Content",
                    "etag: \"b\"\r\ncontent-range: bytes 4-9/10\r\n",
                    b"456789",
                ),
            ],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "shrunk",
            vec![
                cut.clone(),
                answer("416 Range Not Satisfiable", "content-length: 0\r\n", b""),
            ],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "encoded",
            vec![
                cut.clone(),
                answer(
                    "206 Partial Content",
                    "content-encoding: gzip\r\ncontent-range: bytes 4-9/10\r\n",
                    b"456789",
                ),
            ],
            options(),
            ErrorKind::Conflict,
        ),
        (
            "part unasked",
            vec![rest("bytes 0-9/10", b"0123456789")],
            options(),
            ErrorKind::UnexpectedResponse,
        ),
        (
            "gone",
            vec![answer("404 Not Found", "content-length: 0\r\n", b"")],
            options(),
            ErrorKind::ProviderNotFound,
        ),
        (
            "expired",
            vec![answer("403 Forbidden", "content-length: 0\r\n", b"")],
            options(),
            ErrorKind::Forbidden,
        ),
        (
            "signature",
            vec![answer("401 Unauthorized", "content-length: 0\r\n", b"")],
            options(),
            ErrorKind::Forbidden,
        ),
    ];
    let count = bad.len();
    for (name, answers, options, kind) in bad {
        let (result, connections) = outcome(&answers, options).await;
        assert_eq!(result.unwrap_err().kind(), kind, "{name}");
        assert!(connections <= 6, "{name}: {connections}");
    }
    println!("wrong lengths, ranges and checksums rejected: {count}");
}

#[tokio::test]
async fn a_download_fails_after_consecutive_failures_without_progress() {
    let cut = answer("200 OK", "etag: \"a\"\r\ncontent-length: 10\r\n", b"0123");
    let empty = answer(
        "206 Partial Content",
        "etag: \"a\"\r\ncontent-range: bytes 4-9/10\r\ncontent-length: 6\r\n",
        b"",
    );
    let (result, connections) = outcome([cut, empty], DownloadOptions::new()).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Network);
    assert_eq!(connections, 5, "the first attempt and four retries");
}

#[tokio::test]
async fn a_decompression_bomb_is_refused_by_its_ratio() {
    let bomb = gzip(&vec![0; 64 * 1024 * 1024]);
    let encoded = answer("200 OK", "content-encoding: gzip\r\n", &bomb);
    let (result, _) = outcome([&encoded], DownloadOptions::new().with_compression()).await;
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    assert!(
        error.report().contains("compression ratio"),
        "{}",
        error.report()
    );
    // An encoding that was not requested is never decompressed.
    let (result, _) = outcome([&encoded], DownloadOptions::new()).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::UnexpectedResponse);
    // A normal file is decompressed, also through the reader.
    let text = b"line\n".repeat(100_000);
    let honest = answer("200 OK", "content-encoding: gzip\r\n", &gzip(&text));
    let (server, heads) = scripted([honest]).await;
    let session = session(&server);
    let options = DownloadOptions::new().with_compression();
    let mut download = session.download_with(&File, options).await.unwrap();
    let mut found = Vec::new();
    download.read_to_end(&mut found).await.unwrap();
    assert_eq!(found, text);
    let head = heads.lock().unwrap()[0].0.clone();
    assert_eq!(header(&head, "accept-encoding"), Some("gzip"));
    assert_eq!(header(&head, "authorization"), Some("Bearer canary-token"));
}

#[tokio::test]
async fn the_reader_returns_the_error_of_the_download() {
    let (server, _) = scripted([answer("200 OK", "content-length: 10\r\n", b"0123")]).await;
    let session = session(&server);
    let mut download = session.download(&File).await.unwrap();
    let error = download.read_to_end(&mut Vec::new()).await.unwrap_err();
    let error = error.get_ref().unwrap().downcast_ref::<Error>().unwrap();
    assert_eq!(
        (error.kind(), error.operation()),
        (ErrorKind::Network, "File")
    );
}

#[tokio::test]
async fn an_error_before_the_first_byte_is_retried_like_other_calls() {
    let ok = answer("200 OK", "content-length: 2\r\n", b"ok");
    let busy = answer("503 Busy", "content-length: 0\r\n", b"");
    for first in [
        busy,
        answer("429 Slow", "retry-after: 0\r\ncontent-length: 0\r\n", b""),
    ] {
        let (result, connections) = outcome([&first, &ok], DownloadOptions::new()).await;
        assert_eq!((result.unwrap(), connections), (b"ok".to_vec(), 2));
        let (server, _) = scripted([&first, &answer("200 OK", "", b"\"stored\"")]).await;
        let session = session(&server);
        let stored = session
            .upload(&PutFile, UploadBody::bytes("x"))
            .await
            .unwrap();
        assert_eq!(stored, "stored");
        // A reader can be read only once, so the upload cannot be retried.
        let (server, _) = scripted([&first, &answer("200 OK", "", b"\"stored\"")]).await;
        let once = UploadBody::reader(&b"x"[..], None);
        let error = crate::transfers::session(&server)
            .upload(&PutFile, once)
            .await
            .unwrap_err();
        assert!(matches!(
            error.kind(),
            ErrorKind::ProviderUnavailable | ErrorKind::RateLimited
        ));
        assert_eq!(server.accepted(), 1);
    }
}

#[tokio::test]
async fn an_idle_stream_times_out_in_both_directions() {
    let silent = Server::start(|mut stream| async move {
        let (head, _) = read_head(&mut stream, Vec::new()).await.unwrap();
        if head.starts_with("GET") {
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123";
            stream.write_all(head).await.unwrap();
        }
        std::future::pending::<()>().await;
    })
    .await;
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let mut client = HttpClient::builder().with_clock(Arc::new(clock.clone()));
    for origin in [crate::transfers::API, FILES] {
        let origin = Origin::parse(origin).unwrap();
        client = client.with_loopback(LoopbackOverride::new(origin, silent.address).unwrap());
    }
    let session = session_over(client.build().unwrap());
    let ticking = async {
        loop {
            tokio::task::yield_now().await;
            clock.advance(Duration::from_millis(100));
        }
    };
    let transfers = async {
        let error = read(session.download(&link(&session)).await)
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Network);
        let body = UploadBody::reader(
            Reader {
                at: 0,
                total: 512 * MIB,
            },
            None,
        );
        session.upload(&link(&session), body).await.unwrap_err()
    };
    let error = tokio::select! {
        error = transfers => error,
        () = ticking => unreachable!(),
    };
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[tokio::test]
async fn an_upload_reports_length_progress_and_response() {
    let (server, heads) = scripted([answer("201 Created", "", b"\"stored\"")]).await;
    let session = session(&server);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), content(0, 300_000)).unwrap();
    let bodies = [
        (UploadBody::bytes(content(0, 300_000)), true),
        (UploadBody::file(file.path()).await.unwrap(), true),
        (
            UploadBody::reader(
                Reader {
                    at: 0,
                    total: 300_000,
                },
                Some(300_000),
            ),
            true,
        ),
        (
            UploadBody::reader(
                Reader {
                    at: 0,
                    total: 300_000,
                },
                None,
            ),
            false,
        ),
    ];
    let count = bodies.len();
    for (body, has_length) in bodies {
        assert_eq!(body.length(), has_length.then_some(300_000));
        let sent = Arc::new(AtomicU64::new(0));
        let last = Arc::clone(&sent);
        let body = body.with_progress(OnProgress::new(move |it| {
            assert_eq!(it.total, has_length.then_some(300_000));
            last.store(it.bytes, Ordering::SeqCst);
        }));
        assert_eq!(session.upload(&PutFile, body).await.unwrap(), "stored");
        assert_eq!(sent.load(Ordering::SeqCst), 300_000);
        let (head, body) = heads.lock().unwrap().pop().unwrap();
        assert!(head.starts_with("PUT /file "), "{head}");
        if has_length {
            assert_eq!(header(&head, "content-length"), Some("300000"));
            assert_eq!((body.len(), wrong_bytes(0, &body)), (300_000, 0));
        } else {
            assert_eq!(header(&head, "transfer-encoding"), Some("chunked"));
        }
    }
    let empty = UploadBody::bytes("");
    session.upload(&link(&session), empty).await.unwrap();
    let (head, _) = heads.lock().unwrap().pop().unwrap();
    assert_eq!(header(&head, "content-length"), Some("0"));
    println!("kinds of bodies: {}", count + 1);
}

#[tokio::test]
async fn a_body_with_a_wrong_announced_length_is_invalid_input() {
    let (server, _) = scripted([answer("200 OK", "", b"\"stored\"")]).await;
    let session = session(&server);
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "12345").unwrap();
    let gone = UploadBody::file(file.path()).await.unwrap();
    drop(file);
    for body in [
        UploadBody::reader(Reader { at: 0, total: 10 }, Some(11)),
        UploadBody::reader(Reader { at: 0, total: 10 }, Some(9)),
        gone,
    ] {
        let error = session.upload(&PutFile, body).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
    assert!(UploadBody::file("/nonexistent/file").await.is_err());
    for length in [9, 11] {
        let body = UploadBody::reader(Reader { at: 0, total: 10 }, Some(length));
        let upload = session.resumable_upload(&link(&session), RangeHeader::new(), body);
        let error = upload.unwrap().run().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{error}");
    }
}

#[tokio::test]
async fn a_resumable_upload_continues_where_it_stopped() {
    let total = 3 * MIB + 17;
    let mut runs = 0;
    for (is_known, fault_every) in [
        (true, MIB),
        (false, MIB),
        (true, 100 * MIB),
        (false, 100 * MIB),
    ] {
        let seen = Arc::new(Seen::default());
        let server = taking(total, fault_every, &seen).await;
        let session = session(&server);
        let body = UploadBody::reader(Reader { at: 0, total }, is_known.then_some(total));
        let upload = session
            .resumable_upload(&link(&session), RangeHeader::new(), body)
            .unwrap()
            .with_chunk(700 * 1024);
        let response = upload.run().await.unwrap();
        assert_eq!(response.body(), "\"done\"");
        assert_eq!(seen.received.load(Ordering::SeqCst), total);
        assert_eq!(seen.wrong.load(Ordering::SeqCst), 0);
        assert_eq!(seen.faults.load(Ordering::SeqCst) > 0, fault_every == MIB);
        let heads = seen.heads.lock().unwrap();
        let range = header(&heads[0], "content-range").unwrap();
        let shown = if is_known {
            total.to_string()
        } else {
            "*".to_owned()
        };
        // The chunk length is rounded down to 256 KiB.
        assert_eq!(range, format!("bytes 0-524287/{shown}"));
        runs += 1;
    }
    println!("resumed uploads: {runs}");
}

#[tokio::test]
async fn both_protocols_are_parsed_and_invalid_responses_end_the_upload() {
    let next = |ranges: &str| {
        answer(
            "202 Accepted",
            "",
            format!(r#"{{"nextExpectedRanges":{ranges}}}"#).as_bytes(),
        )
    };
    let done = answer("201 Created", "content-length: 2\r\n", b"{}");
    let session_at = |answers: Vec<Vec<u8>>| async move {
        let (server, heads) = scripted(answers).await;
        let session = session(&server);
        let body = UploadBody::bytes(content(0, 700_000));
        let upload = session
            .resumable_upload(&link(&session), ExpectedRanges::new(), body)
            .unwrap()
            .with_chunk(1);
        let result = upload
            .run()
            .await
            .map(|response| response.status().as_u16());
        no_credential(&heads);
        let ranges: Vec<_> = heads
            .lock()
            .unwrap()
            .iter()
            .map(|(head, _)| {
                let line = head.lines().next().unwrap();
                let range = header(head, "content-range").unwrap_or("-");
                format!("{} {range}", &line[..3])
            })
            .collect();
        (result, ranges)
    };
    let cut = b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n".to_vec();
    let (result, ranges) = session_at(vec![
        next(r#"["327680-699999"]"#),
        cut,
        next(r#"["400000-"]"#),
        next(r#"["655360-"]"#),
        done.clone(),
    ])
    .await;
    assert_eq!(result.unwrap(), 201);
    assert_eq!(
        ranges,
        [
            "PUT bytes 0-327679/700000",
            "PUT bytes 327680-655359/700000",
            "GET -",
            "PUT bytes 400000-655359/700000",
            "PUT bytes 655360-699999/700000",
        ]
    );
    let mut refused = 0;
    for nonsense in [
        next(r#"["699999999-"]"#),
        next("[]"),
        next(r#"["x-"]"#),
        next(r#"["-5"]"#),
        answer("202 Accepted", "", b"<html>"),
        answer("308 Permanent", "", b""),
        answer("404 Not Found", "", b""),
    ] {
        let (result, _) = session_at(vec![nonsense]).await;
        let kind = result.unwrap_err().kind();
        assert!(
            matches!(
                kind,
                ErrorKind::UnexpectedResponse | ErrorKind::ProviderNotFound
            ),
            "{kind}"
        );
        refused += 1;
    }
    // A provider that never accepts a byte receives a limited number of requests.
    let (result, ranges) = session_at(vec![next(r#"["0-"]"#)]).await;
    assert_eq!(result.unwrap_err().kind(), ErrorKind::ProviderUnavailable);
    assert!(ranges.len() <= 4, "{ranges:?}");
    println!("invalid responses rejected: {refused}");
}

#[tokio::test]
async fn a_download_survives_failures_and_frees_its_place_on_drop() {
    let seen = Arc::new(Seen::default());
    let server = serving(3 * MIB, MIB, &seen).await;
    let origin = Origin::parse(crate::transfers::API).unwrap();
    let client = HttpClient::builder()
        .with_loopback(LoopbackOverride::new(origin, server.address).unwrap())
        .with_streams_per_host(1)
        .build()
        .unwrap();
    let session = session_over(client);
    for _ in 0..2 {
        let bytes = read(session.download(&File).await).await.unwrap();
        assert_eq!((bytes.len() as u64, wrong_bytes(0, &bytes)), (3 * MIB, 0));
        // Dropping a download also frees its place.
        drop(session.download(&File).await.unwrap());
    }
    assert!(seen.faults.load(Ordering::SeqCst) >= 4, "resumed");
}

#[tokio::test]
async fn an_empty_body_announces_its_length() {
    let (server, heads) = scripted([answer("200 OK", "content-length: 0\r\n", b"")]).await;
    let session = session(&server);
    let methods = [
        ("POST", Some("0")),
        ("PUT", Some("0")),
        ("PATCH", Some("0")),
        ("GET", None),
        ("DELETE", None),
        ("HEAD", None),
    ];
    for (method, expected) in methods {
        let method = method.parse().unwrap();
        let request = connector_core::api::Request::new(method, ["a"]).unwrap();
        let safe = connector_core::api::Idempotency::Safe;
        session.raw(request, safe).await.unwrap();
        let (head, _) = heads.lock().unwrap().pop().unwrap();
        assert_eq!(header(&head, "content-length"), expected, "{head}");
    }
    println!("methods without a body: {}", methods.len());
}
