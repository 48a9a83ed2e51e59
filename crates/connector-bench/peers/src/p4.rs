//! P4: verifying a webhook, against crate standardwebhooks on deliveries of its own form.

use std::hint::black_box;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock as _, SystemClock};
use connector_core::description::EndpointTemplate;
use connector_core::http::HttpClient;
use connector_core::webhook::{WebhookEndpoint, WebhookScheme, WebhookTimestamp, verify};
use connector_core::{App, AppKey, Context, Description, ProviderId};
use ring::hmac;
use standardwebhooks::Webhook;

use crate::turns::{Contestant, take_turns};
use crate::{Outcome, print};

const TURNS: u32 = 101;
const SIZES: [(usize, u32); 3] = [(2, 1_000), (16, 200), (256, 20)];
const TARGET: f64 = 4.5;

pub(crate) fn measure() -> Outcome {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    let mut scheme = WebhookScheme::new(["x-acme-signature"]);
    scheme.timestamp = Some(WebhookTimestamp::new("x-acme-time"));
    scheme.delivery_id = vec!["x-acme-id".into()];
    description.webhook = Some(scheme);
    let clock = SystemClock::new();
    let transport = HttpClient::builder().build()?;
    let app = App::new("client").with_client_secret("secret");
    let app_key = AppKey::default();
    let cx = Context::new(&app, &transport, &clock);
    let endpoint = WebhookEndpoint::of_app(&app_key);
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");
    let peer = Webhook::from_bytes(b"secret".to_vec())?;
    let id = "0192f0c1-0000-7000-8000-000000000001";
    println!("{TURNS} turns, ns per delivery\n");
    for (kilobytes, operations) in SIZES {
        let body = Bytes::from(vec![b'x'; kilobytes * 1024]);
        let at = clock.now().as_unix_seconds();
        let time = at.to_string();
        let message = [time.as_bytes(), b".", &body].concat();
        let ours = http::Request::post("https://service.example/webhooks")
            .header(
                "x-acme-signature",
                STANDARD.encode(hmac::sign(&key, &message)),
            )
            .header("x-acme-time", &time)
            .header("x-acme-id", id)
            .body(body.clone())?;
        let theirs = http::Request::post("https://service.example/webhooks")
            .header("webhook-signature", peer.sign(id, at, &body)?)
            .header("webhook-timestamp", &time)
            .header("webhook-id", id)
            .body(body)?;
        let (mut failed, mut peer_failed) = (0_u64, 0_u64);
        let figures = take_turns(
            &mut [
                Contestant::new("ours", || {
                    let event = verify(black_box(&description), &cx, &endpoint, &ours);
                    failed += u64::from(black_box(event).is_err());
                }),
                Contestant::new("standardwebhooks", || {
                    let fits = peer.verify(black_box(theirs.body()), theirs.headers());
                    peer_failed += u64::from(black_box(fits).is_err());
                }),
            ],
            TURNS,
            operations,
        );
        if failed + peer_failed > 0 {
            return Err("a good delivery was refused".into());
        }
        let row = format!("P4 {kilobytes} KiB");
        print(
            &row,
            1.0,
            &[("ours", &figures[0]), ("standardwebhooks", &figures[1])],
            &[TARGET],
        );
        println!();
    }
    Ok(())
}
