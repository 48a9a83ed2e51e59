//! Each fault has its documented effect on a plain client and on the library's transport.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::{
    HttpTransport, LoopbackOverride, Origin, OutboundRequest, RequestClass, Sent,
    TransportErrorKind,
};
use connector_http::HttpClient;
use connector_testkit::proxy::{Fault, FaultProxy, Part};
use http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const ORIGIN: &str = "https://api.acme.example";
const LINE: &str = "HTTP/1.1 201 Created\r\n";
const HEADERS: &str = "content-length: 4\r\nx-kept: Yes\r\n\r\n";
const BODY: &str = "done";

/// A server that sends the same response to every request, and records requests.
struct Server {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Server {
    async fn start(answer: impl Into<Vec<u8>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::<Mutex<Vec<Vec<u8>>>>::default();
        let (kept, answer) = (Arc::clone(&seen), answer.into());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let (kept, answer) = (Arc::clone(&kept), answer.clone());
                tokio::spawn(async move {
                    let mut bytes = Vec::new();
                    while !bytes.ends_with(b"!") {
                        stream.read_buf(&mut bytes).await.unwrap();
                    }
                    kept.lock().unwrap().push(bytes);
                    stream.write_all(&answer).await.unwrap();
                });
            }
        });
        Self { address, seen }
    }

    fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }
}

fn clock() -> ManualClock {
    connector_testkit::trace::init();
    ManualClock::new(Timestamp::UNIX_EPOCH)
}

fn answer() -> String {
    [LINE, HEADERS, BODY].concat()
}

const REQUEST: &[u8] =
    b"POST /act?now HTTP/1.1\r\nHost: api.acme.example\r\nContent-Length: 3\r\n\r\nDo!";

fn faults() -> Vec<Fault> {
    let mut faults = vec![
        Fault::DropRequest,
        Fault::ResetRequest,
        Fault::HoldRequest,
        Fault::DelayRequest(Duration::from_secs(10)),
        Fault::DelayRequest(Duration::from_secs(60)),
        Fault::DeliverLate,
        Fault::DropResponse,
        Fault::ResetResponse,
        Fault::HoldResponse,
        Fault::DelayResponse(Duration::from_secs(10)),
        Fault::DelayResponse(Duration::from_secs(60)),
        Fault::Trickle,
    ];
    for (within, length) in [
        (Part::StatusLine, LINE.len()),
        (Part::Headers, HEADERS.len()),
        (Part::Body, BODY.len()),
    ] {
        faults.extend((0..length).map(|after| Fault::Truncate { within, after }));
    }
    faults
}

/// Returns the length of the response that a client with a timeout of 30 seconds receives; `None`
/// for a reset.
fn expected(fault: Fault) -> Option<usize> {
    let (line, head) = (LINE.len(), LINE.len() + HEADERS.len());
    let whole = answer().len();
    match fault {
        Fault::ResetRequest | Fault::ResetResponse => None,
        Fault::DelayRequest(by) | Fault::DelayResponse(by) if by < Duration::from_secs(30) => {
            Some(whole)
        }
        Fault::Trickle => Some(whole),
        Fault::Truncate { within, after } => Some(match within {
            Part::StatusLine => after,
            Part::Headers => line + after,
            Part::Body => head + after,
        }),
        _ => Some(0),
    }
}

fn is_request_fault(fault: Fault) -> bool {
    matches!(
        fault,
        Fault::DropRequest | Fault::ResetRequest | Fault::HoldRequest
    )
}

#[tokio::test]
async fn bytes_are_passed_on_as_they_are_on_connections_that_are_kept() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                   4;x=y\r\nwiki\r\n5\r\npedia\r\n0\r\nExpires: never\r\n\r\n";
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    for text in [&answer(), chunked, interim] {
        let server = Server::start(text).await;
        let proxy = FaultProxy::start(server.address, clock()).await.unwrap();
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        for sent in 1..=3 {
            // A request may arrive in pieces.
            client.write_all(&REQUEST[..30]).await.unwrap();
            tokio::task::yield_now().await;
            client.write_all(&REQUEST[30..]).await.unwrap();
            let mut bytes = vec![0; text.len()];
            client.read_exact(&mut bytes).await.unwrap();
            assert_eq!(String::from_utf8(bytes).unwrap(), *text);
            assert_eq!(server.count(), sent);
        }
        assert!(server.seen.lock().unwrap().iter().all(|it| it == REQUEST));
        drop(proxy);
        assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
    }
}

#[tokio::test]
async fn a_response_that_ends_with_the_connection_is_forwarded_and_closed() {
    let text = "HTTP/1.0 200 OK\r\n\r\nuntil the end";
    let server = Server::start(text).await;
    let proxy = FaultProxy::start(server.address, clock()).await.unwrap();
    for fault in [None, Some(Fault::Trickle)] {
        let injected = fault.map(|fault| proxy.inject("/act", fault));
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut bytes = String::new();
        client.read_to_string(&mut bytes).await.unwrap();
        assert_eq!(bytes, text);
        if let Some(injected) = injected {
            assert_eq!(injected.over().await.delivered, text.len());
        }
    }
}

#[tokio::test]
async fn messages_without_an_end_break_the_connection() {
    let server = Server::start(answer()).await;
    let proxy = FaultProxy::start(server.address, clock()).await.unwrap();
    let endless: [(&[u8], usize); 3] = [
        (b"GET /", 64 * 1024),
        (
            b"GET / HTTP/1.1\r\ncontent-length: 99999999999\r\n\r\n",
            16 << 20,
        ),
        (
            b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nffffffff\r\n",
            16 << 20,
        ),
    ];
    for (head, limit) in endless {
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(head).await.unwrap();
        let mut sent = 0;
        while client.write_all(&[b'x'; 8 * 1024]).await.is_ok() {
            sent += 8 * 1024;
            assert!(sent < limit + (16 << 20), "{sent} bytes were taken");
        }
    }
    assert_eq!(server.count(), 0);
}

#[tokio::test]
async fn each_fault_has_its_documented_effect_on_a_plain_client() {
    let server = Server::start(answer()).await;
    let clock = clock();
    let proxy = FaultProxy::start(server.address, clock.clone())
        .await
        .unwrap();
    let faults = faults();
    for &fault in &faults {
        let before = server.count();
        let injected = proxy.inject("/act", fault);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let whole = answer();
        let reading = tokio::spawn(async move {
            let mut bytes = Vec::new();
            while bytes.len() < whole.len() {
                match client.read_buf(&mut bytes).await {
                    Ok(0) => break,
                    Ok(_) => {}
                    Err(error) => return Err(error.kind()),
                }
            }
            assert!(whole.as_bytes().starts_with(&bytes));
            Ok(bytes.len())
        });
        let met = injected
            .when(|it| it.is_stalled || it.is_over || it.delivered > 0)
            .await;
        assert!(met.is_met && proxy.unmet() == 0);
        let got = if met.is_stalled {
            let is_before = matches!(
                fault,
                Fault::HoldRequest | Fault::DeliverLate | Fault::DelayRequest(_)
            );
            assert_eq!(met.is_forwarded, !is_before);
            assert_eq!(server.count() - before, usize::from(!is_before));
            clock.advance(Duration::from_secs(10));
            if expected(fault) == Some(0) {
                assert!(injected.exchange().is_stalled);
                reading.abort();
                assert!(reading.await.unwrap_err().is_cancelled());
                // Only time ends a delay.
                clock.advance(Duration::from_secs(50));
                Ok(0)
            } else {
                reading.await.unwrap()
            }
        } else {
            reading.await.unwrap()
        };
        assert_eq!(got, expected(fault).ok_or(ErrorKind::ConnectionReset));
        let over = injected.over().await;
        assert!(!over.is_stalled);
        let acted = usize::from(!is_request_fault(fault));
        assert_eq!(server.count() - before, acted, "{fault:?}");
        assert_eq!(over.status, (acted == 1).then_some(StatusCode::CREATED));
        let waited = matches!(
            fault,
            Fault::HoldRequest | Fault::DeliverLate | Fault::HoldResponse
        );
        assert_eq!(over.has_client_left, waited, "{fault:?}");
    }
    println!("faults seen by a plain client: {0} of {0}", faults.len());
    assert!(faults.len() > 60);
}

#[tokio::test]
async fn each_fault_has_its_documented_effect_on_the_transport() {
    let server = Server::start(answer()).await;
    let clock = clock();
    let proxy = FaultProxy::start(server.address, clock.clone())
        .await
        .unwrap();
    let opening = LoopbackOverride::new(Origin::parse(ORIGIN).unwrap(), proxy.address()).unwrap();
    let client = HttpClient::builder()
        .with_loopback(opening)
        .with_clock(Arc::new(clock.clone()))
        .build()
        .unwrap();
    let client = Arc::new(client);
    let mut classes = std::collections::BTreeMap::<_, usize>::new();
    for fault in faults() {
        for lane in [RequestClass::Call, RequestClass::Token] {
            let before = server.count();
            let injected = proxy.inject("/act", fault);
            let request = http::Request::post(format!("{ORIGIN}/act"))
                .body(Bytes::from_static(b"Do!"))
                .unwrap();
            let mut outbound = OutboundRequest::new(request);
            outbound.class = lane;
            let sender = Arc::clone(&client);
            let sending = tokio::spawn(async move { sender.send(outbound).await });
            let met = injected
                .when(|it| it.is_stalled || it.is_over || it.delivered > 0)
                .await;
            if met.is_stalled {
                // The transport's timeout and the delay.
                let sleepers = 1 + usize::from(!matches!(
                    fault,
                    Fault::HoldRequest | Fault::DeliverLate | Fault::HoldResponse
                ));
                clock.wait_for_sleepers(sleepers).await;
                clock.advance(Duration::from_secs(10));
                if expected(fault) == Some(0) {
                    assert!(!sending.is_finished());
                    clock.advance(Duration::from_secs(20));
                }
            }
            let outcome = sending.await.unwrap();
            let seen = match &outcome {
                Ok(answer) => {
                    assert_eq!(answer.body(), BODY);
                    "answered".to_owned()
                }
                Err(error) => format!("{:?}, sent: {:?}", error.kind(), error.sent()),
            };
            *classes.entry(seen).or_default() += 1;
            let is_whole = expected(fault) == Some(answer().len());
            assert_eq!(outcome.is_ok(), is_whole, "{fault:?}");
            if let Err(error) = outcome {
                // If a connection was established, the request may have been sent.
                assert_eq!(error.sent(), Sent::Maybe, "{fault:?}");
                let kind = if met.is_stalled {
                    TransportErrorKind::Timeout
                } else {
                    TransportErrorKind::Broken
                };
                assert_eq!(error.kind(), kind, "{fault:?}");
            }
            clock.advance(Duration::from_secs(60));
            injected.over().await;
            let acted = usize::from(!is_request_fault(fault));
            assert_eq!(server.count() - before, acted, "{fault:?}");
        }
    }
    for (class, count) in &classes {
        println!("faults seen by the transport as {class}: {count}");
    }
    assert_eq!(classes.len(), 3);
}

#[tokio::test]
async fn a_fault_waits_for_its_path_and_happens_once() {
    let server = Server::start(answer()).await;
    let proxy = FaultProxy::start(server.address, clock()).await.unwrap();
    let other = proxy.inject("/other", Fault::DropResponse);
    let first = proxy.inject("/act", Fault::DropRequest);
    let second = proxy.inject("/act", Fault::DropResponse);
    let answered = AtomicUsize::new(0);
    for _ in 0..4 {
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_all(REQUEST).await.unwrap();
        let mut byte = [0; 1];
        let read = client.read(&mut byte).await.expect("closed, not reset");
        answered.fetch_add(read, Ordering::SeqCst);
    }
    assert_eq!(answered.into_inner(), 2);
    assert_eq!(server.count(), 3);
    assert!(!first.exchange().is_forwarded && second.exchange().is_forwarded);
    assert!(!other.exchange().is_met && proxy.unmet() == 1);
    assert_eq!(second.fault(), Fault::DropResponse);
}

#[tokio::test]
async fn a_server_that_is_away_is_a_connection_that_breaks() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let proxy = FaultProxy::start(address, clock()).await.unwrap();
    let injected = proxy.inject("/act", Fault::Trickle);
    let mut client = TcpStream::connect(proxy.address()).await.unwrap();
    client.write_all(REQUEST).await.unwrap();
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
    let over = injected.over().await;
    assert!(over.is_met && !over.is_forwarded && over.status.is_none());
}
