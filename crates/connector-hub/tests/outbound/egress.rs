//! The egress guard, with a resolver that lies.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use connector_core::ErrorKind;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::store::OutboundState;
use connector_http::{HttpClient, HttpClientBuilder, Resolver};
use connector_hub::NewTarget;

use crate::rig::{World, context, lock, message};

/// Returns the answers in order, the last one for ever.
#[derive(Debug, Clone)]
struct Liar(Arc<Mutex<(usize, Vec<IpAddr>)>>);

impl Liar {
    fn new(answers: &[&str]) -> Self {
        let answers = answers.iter().map(|it| it.parse().unwrap()).collect();
        Self(Arc::new(Mutex::new((0, answers))))
    }

    fn asked(&self) -> usize {
        lock(&self.0).0
    }
}

#[async_trait]
impl Resolver for Liar {
    async fn look_up(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        let mut inner = lock(&self.0);
        let (asked, answers) = &mut *inner;
        let answer = answers[(*asked).min(answers.len() - 1)];
        *asked += 1;
        Ok(vec![answer])
    }
}

fn client(resolver: &Liar) -> HttpClientBuilder {
    // With an override, the client needs no root certificates.
    let origin = Origin::parse("https://simulated.example").unwrap();
    let loopback = LoopbackOverride::new(origin, "127.0.0.1:1".parse().unwrap()).unwrap();
    HttpClient::builder()
        .with_loopback(loopback)
        .with_resolver(Arc::new(resolver.clone()))
}

const REFUSED: [&str; 24] = [
    "0.0.0.0",
    "10.1.2.3",
    "100.64.0.1",
    "127.0.0.1",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "192.0.0.192",
    "192.168.1.1",
    "198.18.0.1",
    "224.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::ffff:10.0.0.1",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b::a00:1",
    "2002:7f00:1::1",
    "fc00::1",
    "fd00:ec2::254",
    "fe80::1",
    "ff02::1",
    "2001:db8::1",
];

#[tokio::test]
async fn private_addresses_are_refused_when_saved_and_when_sent() {
    let mut count = 0;
    for address in REFUSED {
        // Refused when the URL is saved.
        let liar = Liar::new(&[address]);
        let world = World::with(|it| it.outbound_transport(client(&liar).build().unwrap()));
        let target = NewTarget::new("https://hooks.customer.example/");
        let error = world.outbound().add(target, context()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddressRefused, "{address}");
        assert!(!error.report().contains(address), "{address}");
        // Public when it is saved, private when the message is sent.
        let liar = Liar::new(&["93.184.215.14", address]);
        let world = World::with(|it| it.outbound_transport(client(&liar).build().unwrap()));
        let target = NewTarget::new("https://hooks.customer.example/");
        let added = world.outbound().add(target, context()).await.unwrap();
        world.outbound().publish(message("m1")).await.unwrap();
        world.tick().await;
        assert!(liar.asked() >= 2);
        let filter = world.outbound().filter();
        let page = world
            .outbound()
            .deliveries(&filter, None, 10)
            .await
            .unwrap();
        assert_eq!(page.items[0].state, OutboundState::Failed, "{address}");
        assert_eq!(
            page.items[0].error.as_deref(),
            Some("address_refused"),
            "{address}"
        );
        // The test button takes the same path.
        let tested = world.outbound().test(added.id()).await.unwrap();
        assert_eq!(tested.attempt.log.error.as_deref(), Some("address_refused"));
        count += 3;
    }
    println!("refusals of private addresses: {count}");
    assert_eq!(count, REFUSED.len() * 3);
}

#[tokio::test]
async fn urls_of_another_form_are_refused_when_saved() {
    let liar = Liar::new(&["93.184.215.14"]);
    let world = World::with(|it| it.outbound_transport(client(&liar).build().unwrap()));
    let long = format!("https://a.example/{}", "x".repeat(2_048));
    let mut count = 0;
    for url in [
        "",
        "not a url",
        "http://a.example/",
        "ftp://a.example/",
        "https://user@a.example/",
        "https://user:password@a.example/",
        "https://a.example/#fragment",
        "https://a.example:8443/",
        "https://a.example:22/",
        "https://127.0.0.1/",
        "https://2130706433/",
        "https://0x7f.1/",
        "https://[::1]/",
        "https://[::ffff:169.254.169.254]/",
        "https://localhost/",
        "https://a.localhost/",
        "https://metadata.google.internal/",
        "https://printer.local/",
        "https://a.example./",
        &long,
    ] {
        let target = NewTarget::new(url.to_owned());
        let error = world.outbound().add(target, context()).await.unwrap_err();
        let is_refused = matches!(
            error.kind(),
            ErrorKind::InvalidInput | ErrorKind::AddressRefused
        );
        assert!(is_refused, "{url}: {error}");
        count += 1;
    }
    println!("refused URLs: {count}");
    assert_eq!(count, 20);
}

#[tokio::test]
async fn an_allowed_network_never_includes_metadata_services() {
    let mut allowed = 0;
    for (network, address, is_allowed) in [
        ("10.0.0.0/8", "10.1.2.3", true),
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "192.168.0.1", false),
        ("fd12::/16", "fd12::1", true),
        ("fd12::/16", "fd13::1", false),
        ("169.254.0.0/16", "169.254.169.254", false),
        ("0.0.0.0/0", "169.254.169.254", false),
        ("0.0.0.0/0", "168.63.129.16", false),
        ("0.0.0.0/0", "100.100.100.200", false),
        ("0.0.0.0/0", "192.0.0.192", false),
        ("0.0.0.0/0", "10.0.0.1", true),
        ("::/0", "::ffff:169.254.169.254", false),
        ("::/0", "64:ff9b::a9fe:a9fe", false),
        ("::/0", "2002:a9fe:a9fe::1", false),
        ("::/0", "fd00:ec2::254", false),
        ("::/0", "fe80::1", false),
    ] {
        let liar = Liar::new(&[address]);
        let client = client(&liar).with_private_network(network).build().unwrap();
        let world = World::with(|it| it.outbound_transport(client));
        let target = NewTarget::new("https://hooks.corp.internal/");
        let added = world.outbound().add(target, context()).await;
        assert_eq!(added.is_ok(), is_allowed, "{network} {address}");
        allowed += usize::from(is_allowed);
        if !is_allowed {
            assert_eq!(added.unwrap_err().kind(), ErrorKind::AddressRefused);
        }
    }
    println!("addresses in allowed networks: {allowed} of 16");
    assert_eq!(allowed, 4);
    for network in ["10.0.0.0", "10.0.0.0/99", "example.com", ""] {
        let client = client(&Liar::new(&["1.1.1.1"])).with_private_network(network);
        assert_eq!(client.build().unwrap_err().kind(), ErrorKind::Configuration);
    }
}
