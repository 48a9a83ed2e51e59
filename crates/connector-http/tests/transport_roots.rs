//! The root certificates of the machine: none, as in a minimal container, or those of a test.
//!
//! The certificates are located through environment variables. Therefore each test runs itself
//! again in a child process with another environment.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the helpers here are part of the tests")]

mod server;

use std::process::Command;
use std::sync::Arc;

use bytes::Bytes;
use connector_core::ErrorKind;
use connector_core::http::{HttpTransport, OutboundRequest, Sent, TransportErrorKind};
use connector_http::HttpClient;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsAcceptor;

use self::server::{ORIGIN, Server, read_request};

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

/// The address of the proxy in the parent process.
const PROXY: &str = "CONNECTORS_TEST_PROXY";

/// Servers with their certificates: the name of the server, the name in the certificate, whether a
/// trusted authority issued it, and whether it is still valid.
const SERVERS: [(&str, &str, bool, bool); 4] = [
    ("good.public.example", "good.public.example", true, true),
    ("other.public.example", "good.public.example", true, true),
    (
        "unknown.public.example",
        "unknown.public.example",
        false,
        true,
    ),
    (
        "expired.public.example",
        "expired.public.example",
        true,
        false,
    ),
];

fn server_config(issuer: &Issuer<'_, KeyPair>, name: &str, is_valid: bool) -> ServerConfig {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    if !is_valid {
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(2021, 1, 1);
    }
    let key = KeyPair::generate().unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)
        .unwrap()
}

fn authority() -> (String, Issuer<'static, KeyPair>) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let certificate = params.self_signed(&key).unwrap();
    (certificate.pem(), Issuer::new(params, key))
}

/// The servers are behind a proxy, because the transport connects to no loopback address.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_accepted_only_with_a_trusted_and_valid_certificate_for_its_name() {
    let (root, trusted) = authority();
    let (_, unknown) = authority();
    let acceptors = SERVERS.map(|(server, name, is_trusted, is_valid)| {
        let issuer = if is_trusted { &trusted } else { &unknown };
        let config = server_config(issuer, name, is_valid);
        (server, TlsAcceptor::from(Arc::new(config)))
    });
    let proxy = Server::start(move |mut stream| {
        let acceptors = acceptors.clone();
        async move {
            let head = read_request(&mut stream).await.unwrap();
            let (_, acceptor) = acceptors
                .into_iter()
                .find(|(server, _)| head.starts_with(&format!("CONNECT {server}:443 ")))
                .unwrap();
            let established = b"HTTP/1.1 200 Connection established\r\n\r\n";
            stream.write_all(established).await.unwrap();
            if let Ok(mut stream) = acceptor.accept(stream).await {
                let mut bytes = [0; 4096];
                let length = stream.read(&mut bytes).await.unwrap_or(0);
                if length > 0 {
                    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                    stream.write_all(ok).await.unwrap();
                    stream.shutdown().await.unwrap();
                }
            }
        }
    })
    .await;
    let directory = tempfile::tempdir().unwrap();
    let roots = directory.path().join("roots.pem");
    std::fs::write(&roots, root).unwrap();
    let address = proxy.address.to_string();
    let child = tokio::task::spawn_blocking(move || {
        Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "in_a_process_with_one_root_three_servers_are_refused",
            ])
            .args(["--ignored", "--nocapture"])
            .env("SSL_CERT_FILE", roots)
            .env("SSL_CERT_DIR", NOWHERE)
            .env(PROXY, address)
            .output()
            .unwrap()
    });
    let output = child.await.unwrap();
    let printed = String::from_utf8_lossy(&output.stdout);
    let failed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{failed}");
    assert!(
        printed.contains("1 server accepted, 3 refused"),
        "{printed}"
    );
}

#[tokio::test]
#[ignore = "run by a_server_is_accepted_only_with_a_trusted_and_valid_certificate_for_its_name"]
#[expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "the parent process passes the address, and reads the count"
)]
async fn in_a_process_with_one_root_three_servers_are_refused() {
    let proxy = format!("http://{}", std::env::var(PROXY).unwrap());
    let client = HttpClient::builder()
        .with_proxy(proxy.parse().unwrap())
        .build()
        .unwrap();
    let (mut accepted, mut refused) = (0, 0);
    for (server, ..) in SERVERS {
        let request = http::Request::get(format!("https://{server}/"))
            .body(Bytes::new())
            .unwrap();
        match client.send(OutboundRequest::new(request)).await {
            Ok(response) => {
                assert_eq!((server, &response.body()[..]), (SERVERS[0].0, &b"ok"[..]));
                accepted += 1;
            }
            Err(error) => {
                assert_ne!(server, SERVERS[0].0, "{error}");
                assert_eq!(error.kind(), TransportErrorKind::Connect, "{error}");
                assert_eq!(error.sent(), Sent::No, "nothing of the request was sent");
                refused += 1;
            }
        }
    }
    println!("{accepted} server accepted, {refused} refused");
    assert_eq!((accepted, refused), (1, 3));
}
