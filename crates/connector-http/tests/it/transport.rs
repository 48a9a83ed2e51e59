//! The transport against misbehaving servers on loopback.

use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector_core::ErrorKind;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{
    HttpTransport, LastCheck, LoopbackOverride, Origin, OutboundRequest, RequestClass, Sent,
    TransportError, TransportErrorKind,
};
use connector_http::HttpClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Notify, mpsc};
use url::Url;

use crate::server::{Lying, ORIGIN, Server, encoded, gzip, read_request};

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn get(url: &str) -> OutboundRequest {
    OutboundRequest::new(http::Request::get(url).body(Bytes::new()).unwrap())
}

fn to_server() -> OutboundRequest {
    get(&format!("{ORIGIN}/path?query=1"))
}

fn what(answer: Result<http::Response<Bytes>, TransportError>) -> (TransportErrorKind, Sent) {
    let error = answer.expect_err("an error");
    (error.kind(), error.sent())
}

fn clock() -> ManualClock {
    ManualClock::new(Timestamp::UNIX_EPOCH)
}

// Data on the wire

#[tokio::test]
async fn the_simulator_receives_the_real_host_and_the_whole_request() {
    let (heads, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let heads = heads.clone();
        async move {
            heads
                .send(read_request(&mut stream).await.unwrap())
                .unwrap();
            stream
                .write_all(
                    b"HTTP/1.1 418 I'm a teapot\r\nx-kept: yes\r\ncontent-length: 5\r\n\r\nshort",
                )
                .await
                .unwrap();
        }
    })
    .await;
    let client = server.opened().build().unwrap();
    let request = http::Request::post(format!("{ORIGIN}/a%2Fb?c=%20d"))
        .header("host", "other.example")
        .header("x-mine", "1")
        .body(Bytes::from_static(b"body"))
        .unwrap();
    let answer = client.send(OutboundRequest::new(request)).await.unwrap();
    assert_eq!(answer.status(), 418);
    assert_eq!(answer.headers()["x-kept"], "yes");
    assert_eq!(answer.body(), "short");
    let head = seen.recv().await.unwrap();
    let (line, rest) = head.split_once("\r\n").unwrap();
    assert_eq!(line, "POST /a%2Fb?c=%20d HTTP/1.1");
    assert!(rest.contains("host: api.acme.example\r\n"), "{rest}");
    assert!(!rest.contains("other.example"), "{rest}");
    assert!(rest.contains("x-mine: 1\r\n"), "{rest}");
    assert!(rest.contains("accept-encoding: gzip\r\n"), "{rest}");
    assert!(
        rest.contains(concat!(
            "user-agent: connectors/",
            env!("CARGO_PKG_VERSION"),
            "\r\n"
        )),
        "{rest}"
    );
    assert!(rest.ends_with("\r\n\r\nbody"), "{rest}");
}

#[tokio::test]
async fn calls_reuse_connections_and_token_requests_never_do() {
    let server = Server::answering(OK).await;
    let client = server.opened().build().unwrap();
    for _ in 0..3 {
        assert_eq!(client.send(to_server()).await.unwrap().body(), "ok");
    }
    assert_eq!(server.accepted(), 1);
    for _ in 0..3 {
        let request = OutboundRequest::token(to_server().request);
        assert_eq!(client.send(request).await.unwrap().body(), "ok");
    }
    assert_eq!(server.accepted(), 4);
}

#[tokio::test]
async fn gzip_is_decoded_once_and_only_if_the_caller_set_no_encoding() {
    let inner = gzip(b"text");
    for (body, expected) in [(gzip(b"text"), b"text".to_vec()), (gzip(&inner), inner)] {
        let server = Server::answering(encoded("gzip", &body)).await;
        let client = server.opened().build().unwrap();
        let answer = client.send(to_server()).await.unwrap();
        assert_eq!(answer.body(), &expected);
        assert!(!answer.headers().contains_key("content-encoding"));
        assert!(!answer.headers().contains_key("content-length"));
        for (name, value) in [("accept-encoding", "gzip"), ("range", "bytes=0-9")] {
            let mut raw = to_server();
            raw.request
                .headers_mut()
                .insert(name, value.parse().unwrap());
            let answer = client.send(raw).await.unwrap();
            assert_eq!(answer.body(), &body);
            assert_eq!(answer.headers()["content-encoding"], "gzip");
        }
    }
}

#[tokio::test]
async fn a_response_to_head_may_announce_a_length_without_a_body() {
    let server = Server::answering(
        "HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 99999999999\r\n\r\n",
    )
    .await;
    let client = server.opened().build().unwrap();
    let request = http::Request::head(ORIGIN).body(Bytes::new()).unwrap();
    let answer = client.send(OutboundRequest::new(request)).await.unwrap();
    assert_eq!(answer.headers()["content-length"], "99999999999");
    assert!(answer.body().is_empty());
}

// Whether the provider may have received the request

#[tokio::test]
async fn a_refused_connection_proves_that_nothing_was_sent() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let loopback = LoopbackOverride::new(Origin::parse(ORIGIN).unwrap(), address).unwrap();
    let client = HttpClient::builder()
        .with_loopback(loopback)
        .build()
        .unwrap();
    for request in [to_server(), OutboundRequest::token(to_server().request)] {
        let failed = what(client.send(request).await);
        assert_eq!(failed, (TransportErrorKind::Connect, Sent::No));
    }
}

#[tokio::test]
async fn failures_after_the_request_are_reported_as_maybe_sent() {
    for class in [RequestClass::Call, RequestClass::Token] {
        let reset = Server::start(|mut stream| async move {
            read_request(&mut stream).await;
            stream.set_zero_linger().unwrap();
        })
        .await;
        for (server, kind) in [
            (reset, TransportErrorKind::Broken),
            (Server::closing("").await, TransportErrorKind::Broken),
            (
                Server::closing("HTTP/1.1 200 OK\r\ncontent-").await,
                TransportErrorKind::Broken,
            ),
            (
                Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort").await,
                TransportErrorKind::Broken,
            ),
            (
                Server::closing(
                    "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n",
                )
                .await,
                TransportErrorKind::Broken,
            ),
            // The length is rejected based on its header, before any byte of the body is read.
            (
                Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 8388609\r\n\r\n").await,
                TransportErrorKind::Answer,
            ),
            (
                Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 8388608\r\n\r\n").await,
                TransportErrorKind::Broken,
            ),
            (
                Server::closing("SSH-2.0-OpenSSH_9.6\r\n\r\n").await,
                TransportErrorKind::Answer,
            ),
            (
                Server::closing(encoded("gzip", b"not gzip at all")).await,
                TransportErrorKind::Answer,
            ),
            (
                Server::closing(encoded("gzip", &gzip(b"half of it")[..20])).await,
                TransportErrorKind::Answer,
            ),
            (
                Server::closing(encoded("gzip, gzip", &gzip(&gzip(b"twice")))).await,
                TransportErrorKind::Answer,
            ),
            (
                Server::closing(encoded("br", b"unasked")).await,
                TransportErrorKind::Answer,
            ),
        ] {
            let client = server.opened().build().unwrap();
            let mut request = to_server();
            request.class = class;
            assert_eq!(what(client.send(request).await), (kind, Sent::Maybe));
            assert_eq!(server.accepted(), 1, "no request is sent twice");
        }
    }
}

#[tokio::test]
async fn a_server_that_never_responds_times_out_at_the_deadline() {
    let (arrived, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let arrived = arrived.clone();
        async move {
            read_request(&mut stream).await;
            arrived.send(()).unwrap();
            // Returns when the client closes the connection.
            let _ = stream.read_u8().await;
            arrived.send(()).unwrap();
        }
    })
    .await;
    let clock = clock();
    let client = server
        .opened()
        .with_clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let sending = tokio::spawn(async move { what(client.send(to_server()).await) });
    seen.recv().await.unwrap();
    clock.wait_for_sleepers(1).await;
    clock.advance(Duration::from_millis(29_999));
    assert!(!sending.is_finished());
    clock.advance(Duration::from_millis(1));
    let failed = sending.await.unwrap();
    assert_eq!(failed, (TransportErrorKind::Timeout, Sent::Maybe));
    seen.recv().await.unwrap();
}

#[tokio::test]
async fn a_request_whose_last_check_fails_is_not_sent() {
    let server = Server::answering(OK).await;
    let client = server.opened().build().unwrap();
    for may_go in [true, false, true] {
        let check = LastCheck::new(move || may_go);
        let answer = client.send(to_server().with_last_check(check)).await;
        if may_go {
            assert_eq!(answer.unwrap().status(), 200);
        } else {
            assert_eq!(what(answer), (TransportErrorKind::TooLate, Sent::No));
        }
    }
    let before = server.accepted();
    let mut late = to_server().with_last_check(LastCheck::new(|| false));
    late.class = RequestClass::Token;
    assert_eq!(
        what(client.send(late).await),
        (TransportErrorKind::TooLate, Sent::No)
    );
    assert_eq!(server.accepted(), before);
}

#[tokio::test]
async fn a_response_that_arrived_during_a_suspension_is_read() {
    for answers in [true, false] {
        let gate = Arc::new(Notify::new());
        let (arrived, mut seen) = mpsc::unbounded_channel();
        let open = Arc::clone(&gate);
        let server = Server::start(move |mut stream| {
            let (gate, arrived) = (Arc::clone(&open), arrived.clone());
            async move {
                read_request(&mut stream).await;
                arrived.send(()).unwrap();
                gate.notified().await;
                let _ = stream.write_all(OK.as_bytes()).await;
            }
        })
        .await;
        let clock = clock();
        let client = server
            .opened()
            .with_clock(Arc::new(clock.clone()))
            .build()
            .unwrap();
        let sending = tokio::spawn(async move {
            let answer = client.send(to_server()).await;
            answer
                .map(|answer| answer.status().as_u16())
                .map_err(|error| error.kind())
        });
        seen.recv().await.unwrap();
        clock.wait_for_sleepers(1).await;
        // Half a minute after the timer's deadline.
        clock.advance(Duration::from_mins(1));
        let expected = if answers {
            gate.notify_one();
            Ok(200)
        } else {
            tokio::task::yield_now().await;
            clock.wait_for_sleepers(1).await;
            clock.advance(Duration::from_secs(1));
            Err(TransportErrorKind::Timeout)
        };
        assert_eq!(sending.await.unwrap(), expected);
    }
}

#[tokio::test]
async fn one_byte_per_second_does_not_move_the_deadline() {
    let clock = clock();
    let bytes = Arc::new(AtomicUsize::new(0));
    let (server_clock, count) = (clock.clone(), Arc::clone(&bytes));
    let server = Server::start(move |mut stream| {
        let (clock, count) = (server_clock.clone(), Arc::clone(&count));
        async move {
            read_request(&mut stream).await;
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n";
            stream.write_all(head).await.unwrap();
            while stream.write_all(b"x").await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
                clock.sleep(Duration::from_secs(1)).await;
            }
        }
    })
    .await;
    let client = server
        .opened()
        .with_clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let sending = tokio::spawn(async move { what(client.send(to_server()).await) });
    for _ in 0..30 {
        clock.wait_for_sleepers(2).await;
        clock.advance(Duration::from_secs(1));
    }
    let failed = sending.await.unwrap();
    assert_eq!(failed, (TransportErrorKind::Timeout, Sent::Maybe));
    assert!(bytes.load(Ordering::SeqCst) > 0);
}

#[tokio::test]
async fn a_dropped_future_cancels_its_request() {
    let (arrived, mut seen) = mpsc::unbounded_channel();
    let server = Server::start(move |mut stream| {
        let arrived = arrived.clone();
        async move {
            read_request(&mut stream).await;
            arrived.send("request").unwrap();
            let _ = stream.read_u8().await;
            arrived.send("hung up").unwrap();
        }
    })
    .await;
    let client = Arc::new(server.opened().build().unwrap());
    let sender = Arc::clone(&client);
    let sending = tokio::spawn(async move { sender.send(to_server()).await.is_ok() });
    assert_eq!(seen.recv().await, Some("request"));
    sending.abort();
    assert_eq!(seen.recv().await, Some("hung up"));
    assert!(sending.await.unwrap_err().is_cancelled());
}

#[test]
fn the_future_of_a_request_is_smaller_than_a_kibibyte() {
    let client = HttpClient::builder().build().unwrap();
    let bytes = size_of_val(&*client.send(to_server()));
    println!("size of the future of a request in bytes: {bytes}");
    assert!((1..1024).contains(&bytes));
}

#[tokio::test]
async fn token_requests_do_not_queue_with_calls_and_a_full_queue_is_busy() {
    let gate = Arc::new(Notify::new());
    let (arrived, mut seen) = mpsc::unbounded_channel();
    let open = Arc::clone(&gate);
    let server = Server::start(move |mut stream| {
        let (gate, arrived) = (Arc::clone(&open), arrived.clone());
        async move {
            let head = read_request(&mut stream).await.unwrap();
            if head.starts_with("GET /slow") {
                arrived.send(()).unwrap();
                gate.notified().await;
            }
            let _ = stream.write_all(OK.as_bytes()).await;
        }
    })
    .await;
    let clock = clock();
    let client = server
        .opened()
        .with_clock(Arc::new(clock.clone()))
        .with_requests_per_host(RequestClass::Call, 1)
        .build()
        .unwrap();
    let client = Arc::new(client);
    let sender = Arc::clone(&client);
    let slow = tokio::spawn(async move { sender.send(get(&format!("{ORIGIN}/slow"))).await });
    seen.recv().await.unwrap();
    let token = OutboundRequest::token(to_server().request);
    assert_eq!(client.send(token).await.unwrap().body(), "ok");
    let sender = Arc::clone(&client);
    let second = tokio::spawn(async move { what(sender.send(to_server()).await) });
    clock.wait_for_sleepers(2).await;
    clock.advance(Duration::from_secs(5));
    let failed = second.await.unwrap();
    assert_eq!(failed, (TransportErrorKind::Busy, Sent::No));
    assert_eq!(server.accepted(), 2);
    gate.notify_one();
    assert_eq!(slow.await.unwrap().unwrap().body(), "ok");
    assert_eq!(client.send(to_server()).await.unwrap().body(), "ok");
}

// Allowed destinations

#[tokio::test]
async fn a_redirect_is_returned_and_not_followed() {
    let target = Server::answering(OK).await;
    let mut answered = 0;
    for location in [
        format!("http://{}/", target.address),
        format!("https://{}/", target.address),
        format!("https://localhost:{}/", target.address.port()),
        format!("//{}/", target.address),
        format!("{ORIGIN}/again"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "/again".to_owned(),
    ] {
        for status in [301, 302, 303, 307, 308] {
            let server = Server::answering(format!(
                "HTTP/1.1 {status} Moved\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"
            ))
            .await;
            let client = server.opened().build().unwrap();
            let answer = client.send(to_server()).await.unwrap();
            assert_eq!(answer.status(), status);
            assert_eq!(answer.headers()["location"], location);
            // Only the first request of the redirect chain was sent.
            assert_eq!(server.accepted(), 1);
            answered += 1;
        }
    }
    println!("redirects not followed: {answered} of 40");
    assert_eq!((answered, target.accepted()), (40, 0));
}

#[tokio::test]
async fn loopback_stays_blocked_except_for_the_override() {
    let (opened, closed) = (Server::answering(OK).await, Server::answering(OK).await);
    let resolver = Lying::new(&["127.0.0.1"]);
    let client = opened
        .opened()
        .with_port(opened.address.port())
        .with_port(closed.address.port())
        .with_resolver(Arc::new(resolver.clone()))
        .build()
        .unwrap();
    assert_eq!(client.send(to_server()).await.unwrap().body(), "ok");
    assert_eq!(resolver.asked(), 0, "an override needs no DNS lookup");
    for port in [opened.address.port(), closed.address.port()] {
        for url in [
            format!("http://127.0.0.1:{port}/"),
            format!("https://127.0.0.1:{port}/"),
            format!("https://localhost:{port}/"),
            format!("https://[::1]:{port}/"),
            // The overridden name with another port, and another host name that resolves to this
            // server.
            format!("{ORIGIN}:{port}/"),
            format!("https://shop.acme.example:{port}/"),
            format!("http://api.acme.example:{port}/"),
            "http://api.acme.example/".to_owned(),
        ] {
            for class in [RequestClass::Call, RequestClass::Token] {
                let mut request = get(&url);
                request.class = class;
                let failed = what(client.send(request).await);
                let refused = (TransportErrorKind::AddressRefused, Sent::No);
                assert_eq!(failed, refused, "{url}");
            }
        }
    }
    assert_eq!((opened.accepted(), closed.accepted()), (1, 0));
}

#[tokio::test]
async fn a_name_with_any_private_address_is_rejected() {
    let server = Server::answering(OK).await;
    let port = server.address.port();
    let answers = [
        &["127.0.0.1"][..],
        &["::1"],
        &["::ffff:127.0.0.1"],
        &["10.0.0.1", "127.0.0.1"],
        &["127.0.0.1", "93.184.215.14"],
        &["93.184.215.14", "127.0.0.1"],
        &["2606:2800:21f:cb07::1", "127.0.0.1"],
        &["64:ff9b::7f00:1"],
        &["169.254.169.254"],
        &["100.64.0.1"],
        &["0.0.0.0"],
        &["255.255.255.255"],
        &["fe80::1"],
        &["fd00::1"],
    ];
    for addresses in answers {
        let resolver = Lying::new(addresses);
        let client = HttpClient::builder()
            .with_resolver(Arc::new(resolver.clone()))
            .with_port(port)
            .build()
            .unwrap();
        for class in [RequestClass::Call, RequestClass::Token] {
            let mut request = get(&format!("https://rebinds.example:{port}/"));
            request.class = class;
            let failed = what(client.send(request).await);
            assert_eq!(failed, (TransportErrorKind::AddressRefused, Sent::No));
        }
        assert_eq!(resolver.asked(), 2);
    }
    assert_eq!(server.accepted(), 0);
    println!("non-public DNS results rejected: {0} of {0}", answers.len());
}

#[tokio::test]
async fn a_request_to_an_unresolvable_name_is_not_sent() {
    let client = HttpClient::builder()
        .with_resolver(Arc::new(Lying::new(&[])))
        .build()
        .unwrap();
    let failed = what(client.send(get("https://nobody.example/")).await);
    assert_eq!(failed, (TransportErrorKind::Connect, Sent::No));
}

/// Returns every notation of an IPv4 address that common URL parsers accept.
fn spellings(address: Ipv4Addr) -> Vec<String> {
    let [a, b, c, d] = address.octets();
    let whole = address.to_bits();
    let tail = whole & 0xff_ffff;
    let half = whole & 0xffff;
    vec![
        format!("{a}.{b}.{c}.{d}"),
        format!("{a}.{b}.{c}.{d}."),
        format!("{whole}"),
        format!("{whole:#x}"),
        format!("0X{whole:08X}"),
        format!("0{whole:o}"),
        format!("{a}.{tail}"),
        format!("{a}.{b}.{half}"),
        format!("{a:#x}.{b:#x}.{c:#x}.{d:#x}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("000{a:o}.{b}.{c:#x}.{d}"),
        format!("{a:#x}.{tail:#x}"),
        format!("{a}.{b}.0{half:o}"),
        format!(
            "%{:02x}{}",
            b'0' + a / 100,
            &format!("{a:03}.{b}.{c}.{d}")[1..]
        ),
        format!("{a}%2e{b}%2E{c}.{d}"),
        format!("{a}\u{3002}{b}\u{ff0e}{c}\u{ff61}{d}"),
        format!("{a}.{b}.{c}.{d}")
            .chars()
            .map(|c| match c.to_digit(10) {
                Some(digit) => char::from_u32(0xff10 + digit).unwrap(),
                None => c,
            })
            .collect(),
        format!("user@{a}.{b}.{c}.{d}"),
        format!("[::ffff:{a}.{b}.{c}.{d}]"),
        format!("[::{a}.{b}.{c}.{d}]"),
        format!("[64:ff9b::{a}.{b}.{c}.{d}]"),
        format!("[2002:{:x}:{:x}::]", whole >> 16, half),
    ]
}

const HOSTILE: &[&str] = &[
    // IPv6 literals of all kinds.
    "[::]",
    "[::1]",
    "[0:0:0:0:0:0:0:1]",
    "[0000:0000:0000:0000:0000:0000:0000:0001]",
    "[::1%25lo]",
    "[::1%251]",
    "[fe80::1]",
    "[fe80::1%25eth0]",
    "[fec0::1]",
    "[fc00::1]",
    "[fd00:ec2::254]",
    "[ff02::1]",
    "[ff05::1:3]",
    "[100::1]",
    "[2001::1]",
    "[2001:db8::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "[3fff::1]",
    "[2606:4700:4700::1111]",
    "[64:ff9b:1::1]",
    "[v1.fe80::a]",
    "::1",
    // Names that are only valid on the local machine or network.
    "localhost",
    "LOCALHOST",
    "localhost.",
    "LocalHost.",
    "localhost.localdomain",
    "localhost6",
    "ip6-localhost",
    "ip6-loopback",
    "a.localhost",
    "a.b.localhost",
    "a.localhost.",
    "printer.local",
    "printer.local.",
    "metadata",
    "metadata.google.internal",
    "metadata.google.internal.",
    "instance-data",
    "instance-data.ec2.internal",
    "kubernetes",
    "kubernetes.default.svc.cluster.local",
    "host.docker.internal",
    "gateway.docker.internal",
    "router.home.arpa",
    "home.arpa",
    "1.0.0.127.in-addr.arpa",
    "abcdefghijklmnop.onion",
    "intranet",
    "wpad",
    "com",
    // Userinfo, with and without a public name in it.
    "api.acme.example@localhost",
    "user:password@api.acme.example",
    "user@api.acme.example",
    ":password@api.acme.example",
    "api.acme.example%40localhost",
    "api.acme.example:443@localhost",
    "a@b@localhost",
    // Texts that URL parsers interpret differently.
    "localhost\\.acme.example",
    "localhost#.acme.example",
    "localhost?.acme.example",
    "localhost/.acme.example",
    "localhost%00.acme.example",
    "localhost%09",
    "localhost%0d%0aHost:%20api.acme.example",
    "localhost%2f.acme.example",
    "localhost%23.acme.example",
    "localhost%3f.acme.example",
    "localhost%5c.acme.example",
    "loc%61lhost",
    "%6c%6f%63%61%6c%68%6f%73%74",
    "lo\tcalhost",
    "lo\ncalhost",
    "lo\u{ad}calhost",
    "lo\u{200b}calhost",
    "\u{24db}\u{24de}\u{24d2}\u{24d0}\u{24db}\u{24d7}\u{24de}\u{24e2}\u{24e3}",
    "\u{ff4c}ocalhost",
    "\u{2460}\u{2461}\u{2466}.\u{24ea}.\u{24ea}.\u{2460}",
    " localhost",
    "localhost ",
    // Texts that are not host names.
    "",
    ".",
    "..",
    "-",
    "-.example",
    "a..example",
    ".acme.example",
    "api.acme.example.",
    "api..acme.example",
    "-api.acme.example",
    "api-.acme.example",
    "a_b.acme.example",
    "*.acme.example",
    "a b.acme.example",
    "a,b.acme.example",
    "a;b.acme.example",
    "a!b.acme.example",
    "a'b.acme.example",
    "(a).acme.example",
    "a&b.acme.example",
    "a=b.acme.example",
    "$a.acme.example",
    "a~b.acme.example",
    "{account}.acme.example",
    "<a>.acme.example",
    "a|b.acme.example",
    "a^b.acme.example",
    "a\"b.acme.example",
    "xn--.acme.example",
    "xn--a.acme.example",
    "1.2.3.4.5",
    "256.256.256.256",
    "1.2.3.256",
    "0x100000000",
    "4294967296",
    "127.0.0.0x1g",
    "api.acme.1",
    "api.acme.0x7f",
];

#[tokio::test]
async fn hostile_hosts_reach_neither_the_resolver_nor_a_server() {
    let server = Server::answering(OK).await;
    let port = server.address.port();
    let resolver = Lying::new(&["127.0.0.1"]);
    let client = server
        .opened()
        .with_port(port)
        .with_resolver(Arc::new(resolver.clone()))
        .build()
        .unwrap();
    // Fills the cache of allowed destinations, which must not allow any other destination.
    client.send(to_server()).await.unwrap();
    let mut hosts: Vec<String> = HOSTILE.iter().map(|&host| host.to_owned()).collect();
    for address in [
        [127, 0, 0, 1],
        [10, 0, 0, 1],
        [169, 254, 169, 254],
        [192, 168, 1, 1],
        [0, 0, 0, 0],
        [93, 184, 215, 14],
    ] {
        hosts.extend(spellings(address.into()));
    }
    let long_label = format!("{}.acme.example", "a".repeat(64));
    let long_name = format!("{}example", "abcdefg.".repeat(40));
    hosts.extend([long_label, long_name]);
    let (mut refused, mut sent) = (0, 0);
    for host in &hosts {
        // URLs as the library builds them, and as an application may pass them.
        let texts = [
            format!("https://{host}:{port}/"),
            format!("https://{host}/"),
            format!("http://{host}:{port}/"),
        ];
        let parsed = texts.iter().filter_map(|text| Url::parse(text).ok());
        let written: Vec<String> = parsed.map(String::from).chain(texts.clone()).collect();
        let mut is_refused = true;
        for text in written {
            // An invalid URL is rejected when the request is built.
            let Ok(request) = http::Request::get(&text).body(Bytes::new()) else {
                continue;
            };
            sent += 1;
            let asked = resolver.asked();
            let answer = client.send(OutboundRequest::new(request)).await;
            let outcome = answer.map_err(|error| (error.kind(), error.sent()));
            let is_answer = !matches!(outcome, Err((TransportErrorKind::AddressRefused, Sent::No)));
            if is_answer || resolver.asked() != asked {
                println!("not rejected, or looked up: {text:?}: {outcome:?}");
                is_refused = false;
            }
        }
        refused += usize::from(is_refused);
    }
    println!("hostile hosts rejected: {refused} of {}", hosts.len());
    assert!(hosts.len() >= 200 && sent > hosts.len());
    assert_eq!(refused, hosts.len());
    assert_eq!(resolver.asked(), 0, "look-ups");
    assert_eq!(server.accepted(), 1, "connections");
}

#[tokio::test]
async fn public_looking_names_are_rejected_by_their_addresses() {
    const NAMES: &[&str] = &[
        "127.0.0.1.nip.example",
        "7f000001.c0a80001.rbndr.example",
        "www.localtest.example",
        "localhost.acme.example",
        "localhost.local.acme.example",
        "metadata.google.internal.acme.example",
        "xn--lgbbat1ad8j.example",
        "0x7f.1.example",
        "10.0.0.1.example",
        "2130706433.example",
        "b\u{fc}cher.example",
        "\u{1d49c}cme.example",
        "API.ACME.EXAMPLE.evil.example",
        "notlocalhost.notlocal",
        // The host ends at the backslash, both in the check and in the HTTP client.
        "other.acme.example\\@localhost",
    ];
    let server = Server::answering(OK).await;
    let resolver = Lying::new(&["127.0.0.1"]);
    let client = server
        .opened()
        .with_port(server.address.port())
        .with_resolver(Arc::new(resolver.clone()))
        .build()
        .unwrap();
    for name in NAMES {
        let mut url = Url::parse(&format!("https://{name}/")).unwrap();
        url.set_port(Some(server.address.port())).unwrap();
        let failed = what(client.send(get(url.as_str())).await);
        let refused = (TransportErrorKind::AddressRefused, Sent::No);
        assert_eq!(failed, refused, "{name}");
    }
    println!("hostile names rejected: {0} of {0}", NAMES.len());
    assert_eq!(resolver.asked(), NAMES.len());
    assert_eq!(server.accepted(), 0);
}

// Proxies and TLS

#[tokio::test]
async fn the_configured_proxy_is_used_with_tls_inside_its_tunnel() {
    let hello = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&hello);
    let proxy = Server::start(move |mut stream| {
        let hello = Arc::clone(&kept);
        async move {
            let head = read_request(&mut stream).await.unwrap();
            assert!(
                head.starts_with("CONNECT api.public.example:443 HTTP/1.1\r\n"),
                "{head}"
            );
            assert!(head.contains("Basic b3BlcmF0b3I6d29yZA=="), "{head}");
            let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
            stream.write_all(established).await.unwrap();
            let mut bytes = vec![0; 16 * 1024];
            let length = stream.read(&mut bytes).await.unwrap();
            bytes.truncate(length);
            *hello.lock().unwrap() = bytes;
            // TLS alert: handshake_failure.
            let _ = stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await;
        }
    })
    .await;
    let resolver = Lying::new(&["127.0.0.1"]);
    let url = format!("http://operator:word@{}", proxy.address);
    let builder = HttpClient::builder()
        .with_proxy(url.parse().unwrap())
        .with_resolver(Arc::new(resolver.clone()));
    assert!(!format!("{builder:?}").contains("word"));
    let client = builder.build().unwrap();
    for (class, alpn) in [
        (RequestClass::Call, &b"\x02h2\x08http/1.1"[..]),
        (RequestClass::Token, b"\x00\x09\x08http/1.1"),
    ] {
        let mut request = get("https://api.public.example/secret-path");
        request.class = class;
        let failed = what(client.send(request).await);
        assert_eq!(failed, (TransportErrorKind::Connect, Sent::No));
        let hello = std::mem::take(&mut *hello.lock().unwrap());
        let holds = |part: &[u8]| hello.windows(part.len()).any(|window| window == part);
        assert!(hello.starts_with(&[22, 3]), "a TLS record: {hello:?}");
        assert!(holds(b"api.public.example"), "server name");
        assert!(holds(alpn), "{class:?} offers its protocols");
        assert!(!holds(b"secret-path"));
    }
    // The guard's rules for host names also apply with a proxy.
    for url in ["https://127.0.0.1/", "https://localhost/"] {
        let failed = what(client.send(get(url)).await);
        assert_eq!(failed, (TransportErrorKind::AddressRefused, Sent::No));
    }
    assert_eq!(proxy.accepted(), 2);
    assert_eq!(resolver.asked(), 0);
}

#[tokio::test]
async fn a_loopback_override_bypasses_the_proxy() {
    let (server, proxy) = (Server::answering(OK).await, Server::answering(OK).await);
    let client = server
        .opened()
        .with_proxy(format!("http://{}", proxy.address).parse().unwrap())
        .build()
        .unwrap();
    assert_eq!(client.send(to_server()).await.unwrap().body(), "ok");
    assert_eq!((server.accepted(), proxy.accepted()), (1, 0));
}

#[test]
fn invalid_settings_are_rejected_when_the_client_is_built() {
    for proxy in ["socks5://127.0.0.1:1", "ftp://proxy.example", "file:///etc"] {
        let client = HttpClient::builder().with_proxy(proxy.parse().unwrap());
        let error = client.build().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{proxy}");
    }
    let client = HttpClient::builder().with_user_agent("two\r\nlines");
    let error = client.build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
}

#[tokio::test]
async fn a_proxy_in_the_environment_is_not_used() {
    let proxy = Server::answering(OK).await;
    let url = format!("http://{}", proxy.address);
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args([
        "--exact",
        "transport::in_a_process_with_proxies_in_its_environment",
    ]);
    child.args(["--ignored", "--nocapture"]);
    for name in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"] {
        child.env(name, &url).env(name.to_lowercase(), &url);
    }
    child.env_remove("NO_PROXY").env_remove("no_proxy");
    let output = tokio::task::spawn_blocking(move || child.output().unwrap())
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(said.contains("1 passed"), "{said}");
    assert_eq!(proxy.accepted(), 0);
}

#[tokio::test]
#[ignore = "a_proxy_in_the_environment_is_not_used runs it in a process of its own"]
async fn in_a_process_with_proxies_in_its_environment() {
    let server = Server::answering(OK).await;
    let resolver = Lying::new(&["127.0.0.1"]);
    let client = server
        .opened()
        .with_resolver(Arc::new(resolver.clone()))
        .build()
        .unwrap();
    assert_eq!(client.send(to_server()).await.unwrap().body(), "ok");
    // Rejected after a lookup in this process, instead of being sent to a proxy.
    let failed = what(client.send(get("https://private.example/")).await);
    assert_eq!(failed, (TransportErrorKind::AddressRefused, Sent::No));
    assert_eq!(resolver.asked(), 1);
}
