//! Encrypted connections: a proxy in front of the server ends the encryption with a certificate of the
//! test.

use std::sync::Arc;

use connector_core::store::{PutOutcome, SideEffects, TokenStore};
use connector_core::{Error, ErrorKind};
use connector_store_postgres::PostgresOptions;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::fixture::grants::first_grant;
use crate::fixture::{options, schema, server};

fn authority() -> CertifiedIssuer<'static, KeyPair> {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Starts a proxy with a certificate for `name`. Returns its port.
async fn proxy(server: String, issuer: &CertifiedIssuer<'static, KeyPair>, name: &str) -> u16 {
    let key = KeyPair::generate().unwrap();
    let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    let certificate = params.signed_by(&key, issuer).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (mut plain, _) = listener.accept().await.unwrap();
            let (acceptor, server) = (acceptor.clone(), server.clone());
            tokio::spawn(async move {
                // The client's request for encryption has 8 bytes; `S` accepts it. See
                // <https://www.postgresql.org/docs/current/protocol-flow.html>.
                let mut request = [0; 8];
                plain.read_exact(&mut request).await.unwrap();
                assert_eq!(request, [0, 0, 0, 8, 4, 210, 22, 47]);
                plain.write_all(b"S").await.unwrap();
                let Ok(mut encrypted) = acceptor.accept(plain).await else {
                    return;
                };
                let mut behind = TcpStream::connect(server).await.unwrap();
                let _ = copy_bidirectional(&mut encrypted, &mut behind).await;
            });
        }
    });
    port
}

fn expect(error: &Error, advice: &str) {
    assert_eq!(error.kind(), ErrorKind::Configuration, "{}", error.report());
    assert!(error.message().contains(advice), "{}", error.report());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_certificate_is_checked() {
    let Some(url) = server() else { return };
    let name = schema();
    options(&url, &name).migrate().await.unwrap();
    let (user, host) = url.split_once("//").unwrap().1.split_once('@').unwrap();
    let (address, database) = host.split_once('/').unwrap();
    let (right, wrong) = (authority(), authority());
    let port = proxy(address.to_owned(), &right, "localhost").await;
    let at = |port: u16| {
        let url = format!("postgresql://{user}@localhost:{port}/{database}?sslmode=require");
        options(&url, &name)
    };
    let trusted = |options: PostgresOptions| options.with_root_certificates(right.pem());

    let store = trusted(at(port)).open().await.unwrap();
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    assert_eq!(put.await.unwrap(), PutOutcome::Stored);

    let foreign = at(port).with_root_certificates(wrong.pem());
    expect(&foreign.open().await.unwrap_err(), "with_root_certificates");
    let unknown = at(port).open().await.unwrap_err();
    expect(&unknown, "with_root_certificates");
    let other_name = proxy(address.to_owned(), &right, "db.example").await;
    let error = trusted(at(other_name)).open().await.unwrap_err();
    expect(&error, "certificate was not accepted");
    for (pem, advice) in [
        ("", "no certificate"),
        (
            "-----BEGIN CERTIFICATE-----\nAA==\n-----END CERTIFICATE-----\n",
            "not valid PEM",
        ),
    ] {
        let broken = at(port).with_root_certificates(pem);
        expect(&broken.open().await.unwrap_err(), advice);
    }
    println!("certificates refused: 3");
}
