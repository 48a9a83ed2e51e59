//! The transport logs only the method, host and status of a request.
//!
//! Contains a single test, because tracing caches per process whether a log line is enabled.

mod server;

use std::error::Error as _;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use connector_core::http::{HttpTransport, OutboundRequest};

use self::server::{Lying, ORIGIN, Server, encoded};

#[derive(Debug, Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut log = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        log.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_logs_nor_errors_show_path_query_headers_or_body() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing_subscriber::filter::LevelFilter::TRACE)
        .with_writer(move || writer.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    let mut shown = Vec::new();
    let answered = "HTTP/1.1 200 OK\r\nset-cookie: CANARY\r\ncontent-length: 6\r\n\r\nCANARY";
    for server in [
        Server::answering(answered).await,
        Server::closing("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nCANARY").await,
        Server::closing("CANARY").await,
        Server::closing("").await,
        Server::closing(encoded("gzip", b"CANARY")).await,
    ] {
        let client = server
            .opened()
            .with_resolver(Arc::new(Lying::new(&["10.0.0.1"])))
            .build()
            .unwrap();
        for origin in [ORIGIN, "https://private.example", "https://10.0.0.1"] {
            let request = http::Request::post(format!("{origin}/CANARY?code=CANARY"))
                .header("authorization", "Bearer CANARY")
                .body(Bytes::from_static(b"CANARY"))
                .unwrap();
            if let Err(error) = client.send(OutboundRequest::new(request)).await {
                shown.push(format!("{error} {error:?}"));
                let mut cause = error.source();
                while let Some(error) = cause {
                    shown.push(format!("{error} {error:?}"));
                    cause = error.source();
                }
            }
        }
        shown.push(format!("{client:?}"));
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("answered method=POST host=\"api.acme.example\" status=200 elapsed_ms="),
        "{log}"
    );
    assert!(log.contains("kind=AddressRefused sent=No"), "{log}");
    for text in [log, shown.concat()] {
        assert!(!text.contains("CANARY"), "{text}");
    }
}
