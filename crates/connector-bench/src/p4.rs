//! P4: verifying a webhook, from the request to the event, compared with ring's HMAC-SHA256 of the
//! same bytes. Secrets can be replaced at run time, so a key is created for each delivery. The cost
//! of ring's HMAC with an existing key is shown for comparison. The headers are those of Standard
//! Webhooks: an id, a timestamp, a signature.

use std::hint::black_box;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock, SystemClock};
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::webhook::{
    BodyForm, WebhookEndpoint, WebhookFact, WebhookScheme, WebhookSignature, verify,
};
use connector_core::provider::{Context, Description};
use connector_core::{App, AppKey, ProviderId};
use connector_http::HttpClient;
use ring::hmac;

use crate::Outcome;
use crate::turns::{Candidate, take_turns};

const TURNS: u32 = 101;
const TARGET: f64 = 1.10;
const SIZES: [(usize, u32); 3] = [(2, 2_000), (16, 400), (256, 40)];

pub(crate) fn measure() -> Outcome {
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    let signature = WebhookSignature::new(["x-acme-signature"]).with_timestamp("x-acme-time");
    let mut scheme = WebhookScheme::new(signature);
    // Only the raw body is supported, as in earlier versions, so that only the check is measured.
    scheme.body = vec![BodyForm::Bytes];
    scheme.delivery_id = vec![WebhookFact::header("x-acme-id")];
    description.webhook = Some(scheme);

    let clock = SystemClock::new();
    let transport = HttpClient::builder().build()?;
    let app = App::new("client").with_client_secret("secret");
    let app_key = AppKey::default();
    let cx = Context::new(&app, &transport, &clock);
    let endpoint = WebhookEndpoint::of_app(&app_key);
    let key = hmac::Key::new(hmac::HMAC_SHA256, b"secret");

    println!("{TURNS} turns, ns per delivery\n");
    println!("| What | min | median | max |\n|---|---|---|---|");
    let mut ratios = Vec::new();
    for (kilobytes, operations) in SIZES {
        let body = Bytes::from(vec![b'x'; kilobytes * 1024]);
        let time = clock.now().as_unix_seconds().to_string();
        let message = [time.as_bytes(), b".", &body].concat();
        let signature = hmac::sign(&key, &message);
        let request = http::Request::post("https://service.example/webhooks")
            .header("x-acme-signature", STANDARD.encode(signature))
            .header("x-acme-time", &time)
            .header("x-acme-id", "0192f0c1-0000-7000-8000-000000000001")
            .body(body)?;
        let mut failed = 0_u64;
        let figures = take_turns(
            &mut [
                Candidate::new("verify", || {
                    let event = verify(black_box(&description), &cx, &endpoint, &request);
                    failed += u64::from(black_box(event).is_err());
                }),
                Candidate::new("ring", || {
                    let key = hmac::Key::new(hmac::HMAC_SHA256, black_box(b"secret"));
                    let fits = hmac::verify(&key, black_box(&message), signature.as_ref());
                    black_box(fits.is_ok());
                }),
                Candidate::new("ring, key ready", || {
                    let fits = hmac::verify(&key, black_box(&message), signature.as_ref());
                    black_box(fits.is_ok());
                }),
            ],
            TURNS,
            operations,
        );
        if failed > 0 {
            return Err(format!("{failed} valid deliveries were refused").into());
        }
        println!("| verify, {kilobytes} KiB | {} |", figures[0].cells());
        println!(
            "| ring HMAC-SHA256, {kilobytes} KiB | {} |",
            figures[1].cells()
        );
        println!(
            "| ring HMAC-SHA256, key ready, {kilobytes} KiB | {} |",
            figures[2].cells()
        );
        ratios.push((kilobytes, figures[0].ratio_to(&figures[1])));
    }
    println!(
        "\n| Row | Ratio to ring: min | median | max | Target | Met |\n|---|---|---|---|---|---|"
    );
    for (kilobytes, ratio) in ratios {
        let met = if ratio.median() <= TARGET {
            "yes"
        } else {
            "no"
        };
        println!(
            "| P4 {kilobytes} KiB | {:.2} | {:.2} | {:.2} | {TARGET:.2} | {met} |",
            ratio.min(),
            ratio.median(),
            ratio.max()
        );
    }
    Ok(())
}
