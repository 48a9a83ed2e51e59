//! The transport on a machine without root certificates, such as a minimal container.
//!
//! The certificates are located through environment variables. Therefore each test runs itself
//! again in a child process whose environment contains no certificates.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the helpers here are part of the tests")]

mod server;

use std::process::Command;

use bytes::Bytes;
use connector_core::ErrorKind;
use connector_core::http::{HttpTransport, OutboundRequest};
use connector_http::HttpClient;

use self::server::{ORIGIN, Server};

const NOWHERE: &str = "/nonexistent";

fn run_without_roots(test: &str) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--ignored"])
        .env("SSL_CERT_FILE", NOWHERE)
        .env("SSL_CERT_DIR", NOWHERE)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{printed}");
    assert!(printed.contains("1 passed"), "{printed}");
}

#[test]
fn without_root_certificates_only_loopback_overrides_work() {
    run_without_roots("in_a_process_without_roots_a_loopback_override_works");
}

#[test]
fn without_root_certificates_and_overrides_no_client_is_built() {
    run_without_roots("in_a_process_without_roots_no_other_client_is_built");
}

#[tokio::test]
#[ignore = "run by without_root_certificates_only_loopback_overrides_work"]
async fn in_a_process_without_roots_a_loopback_override_works() {
    let server = Server::answering("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").await;
    let client = server.opened().build().unwrap();
    let request = http::Request::get(format!("{ORIGIN}/"))
        .body(Bytes::new())
        .unwrap();
    let answer = client.send(OutboundRequest::new(request)).await.unwrap();
    assert_eq!(answer.body(), "ok");
}

#[test]
#[ignore = "run by without_root_certificates_and_overrides_no_client_is_built"]
fn in_a_process_without_roots_no_other_client_is_built() {
    let error = HttpClient::builder().build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Configuration);
    assert!(error.to_string().contains("ca-certificates"), "{error}");
}
