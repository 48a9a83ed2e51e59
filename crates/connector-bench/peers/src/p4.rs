//! P4: verifying a webhook, compared with the crate standardwebhooks and with libraries for Node,
//! each with deliveries in its own format. Our side verifies deliveries in the most similar format.

use std::error::Error;
use std::hint::black_box;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock as _, SystemClock};
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::webhook::{
    BodyForm, SignatureEncoding, WebhookEndpoint, WebhookFact, WebhookScheme, WebhookSignature,
    verify,
};
use connector_core::provider::{Context, Description};
use connector_core::{App, AppKey, ProviderId};
use connector_http::HttpClient;
use ring::hmac;
use standardwebhooks::Webhook;

use crate::npm::{self, Verifiers};
use crate::turns::{Candidate, Figures, take_turns};
use crate::{Outcome, print, print_figures, print_ratios};

const TURNS: u32 = 101;
const SIZES: [(usize, u32); 3] = [(2, 1_000), (16, 200), (256, 20)];
const TARGET: f64 = 4.5;
const NPM_TARGET: f64 = 3.0;

const SECRET: &str = "an example of a webhook's secret";
const ID: &str = "0192f0c1-0000-7000-8000-000000000001";

pub(crate) fn measure() -> Outcome {
    println!("{TURNS} turns, ns per delivery\n");
    standardwebhooks()?;
    match npm::installed() {
        Ok(installed) => libraries_for_node(&mut Verifiers::start(&installed)?),
        Err(why) => {
            println!("npm stripe, @octokit/webhooks-methods, standardwebhooks: skipped: {why}");
            Ok(())
        }
    }
}

fn standardwebhooks() -> Outcome {
    let ours = Receiver::new(timed())?;
    let peer = Webhook::from_bytes(SECRET.as_bytes().to_vec())?;
    for (kilobytes, operations) in SIZES {
        let body = Bytes::from(vec![b'x'; kilobytes * 1024]);
        let at = SystemClock::new().now().as_unix_seconds();
        let time = at.to_string();
        let delivery = in_form_of_timed(&time, &body)?;
        let theirs = http::Request::post("https://service.example/webhooks")
            .header("webhook-signature", peer.sign(ID, at, &body)?)
            .header("webhook-timestamp", &time)
            .header("webhook-id", ID)
            .body(body)?;
        let (mut failed, mut peer_failed) = (0_u64, 0_u64);
        let figures = take_turns(
            &mut [
                Candidate::new("ours", || failed += u64::from(!ours.accepts(&delivery))),
                Candidate::new("standardwebhooks", || {
                    let fits = peer.verify(black_box(theirs.body()), theirs.headers());
                    peer_failed += u64::from(black_box(fits).is_err());
                }),
            ],
            TURNS,
            operations,
        );
        if failed + peer_failed > 0 {
            return Err("a valid delivery was refused".into());
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

/// A library for Node and our side, with deliveries of one size.
struct Pair {
    library: &'static str,
    /// The minimum ratio, if there is a target.
    target: Option<f64>,
    receiver: Receiver,
    delivery: http::Request<Bytes>,
    headers: Vec<(&'static str, String)>,
}

fn libraries_for_node(verifiers: &mut Verifiers) -> Outcome {
    let (mut measured, mut ratios) = (Vec::new(), Vec::new());
    for (kilobytes, operations) in SIZES {
        let body = json_of(kilobytes * 1024);
        let time = SystemClock::new().now().as_unix_seconds().to_string();
        for pair in pairs(&time, &body)? {
            let headers: Vec<_> = pair
                .headers
                .iter()
                .map(|(name, value)| (*name, value.as_str()))
                .collect();
            verifiers.load(pair.library, SECRET, &body, &headers)?;
            let figures = turns_of(&pair, verifiers, operations)?;
            let name = format!("{kilobytes} KiB, npm {}", pair.library);
            if let Some(target) = pair.target {
                let ratio = figures[1].ratio_to(&figures[0]);
                ratios.push((format!("P4 {name}"), ratio, target));
            }
            measured.push((name, figures));
        }
    }
    let named: Vec<_> = measured
        .iter()
        .flat_map(|(name, figures)| {
            [
                (format!("{name}: ours"), &figures[0]),
                (name.clone(), &figures[1]),
            ]
        })
        .collect();
    let named: Vec<_> = named
        .iter()
        .map(|(name, figures)| (name.as_str(), *figures))
        .collect();
    print_figures(1.0, &named);
    print_ratios(&ratios);
    Ok(())
}

/// Returns the results of our side and of the library.
fn turns_of(
    pair: &Pair,
    verifiers: &mut Verifiers,
    operations: u32,
) -> Result<Vec<Figures>, Box<dyn Error>> {
    let (mut refused, mut failed) = (0_u64, None);
    let figures = take_turns(
        &mut [
            Candidate::new("ours", || {
                refused += u64::from(!pair.receiver.accepts(&pair.delivery));
            }),
            Candidate::elsewhere(pair.library, |times| {
                verifiers.run(pair.library, times).unwrap_or_else(|error| {
                    failed = Some(error);
                    Duration::ZERO
                })
            }),
        ],
        TURNS,
        operations,
    );
    match failed {
        Some(error) => Err(error),
        None if refused > 0 => Err("a valid delivery was refused".into()),
        None => Ok(figures),
    }
}

/// Returns a delivery in the format of each library, and in our most similar format.
fn pairs(time: &str, body: &str) -> Result<[Pair; 4], Box<dyn Error>> {
    let bytes = Bytes::copy_from_slice(body.as_bytes());
    let of_body = format!("sha256={}", hex(&sign(&[body])));
    let of_time = hex(&sign(&[time, ".", body]));
    let of_id = STANDARD.encode(sign(&[ID, ".", time, ".", body]));

    let stripe = |library, target| {
        let mut scheme = timed();
        scheme.signatures[0].encoding = SignatureEncoding::Hex;
        let headers = [
            ("x-acme-signature", of_time.as_str()),
            ("x-acme-time", time),
            ("x-acme-id", ID),
        ];
        Ok::<_, Box<dyn Error>>(Pair {
            library,
            target,
            receiver: Receiver::new(scheme)?,
            delivery: request(&headers, &bytes)?,
            headers: vec![("stripe-signature", format!("t={time},v1={of_time}"))],
        })
    };

    let signature = WebhookSignature::new(["x-hub-signature-256"]);
    let mut github = WebhookScheme::new(signature.with_form("sha256=", SignatureEncoding::Hex));
    github.body = vec![BodyForm::Bytes];
    github.topic = vec![WebhookFact::header("x-github-event")];
    github.delivery_id = vec![WebhookFact::header("x-github-delivery")];
    let headers = [
        ("x-hub-signature-256", of_body.as_str()),
        ("x-github-event", "push"),
        ("x-github-delivery", ID),
    ];
    let octokit = Pair {
        library: "@octokit/webhooks-methods",
        target: Some(NPM_TARGET),
        receiver: Receiver::new(github)?,
        delivery: request(&headers, &bytes)?,
        headers: vec![("x-hub-signature-256", of_body.clone())],
    };

    let standard = Pair {
        library: "standardwebhooks",
        target: Some(NPM_TARGET),
        receiver: Receiver::new(timed())?,
        delivery: in_form_of_timed(time, &bytes)?,
        headers: vec![
            ("webhook-id", ID.to_owned()),
            ("webhook-timestamp", time.to_owned()),
            ("webhook-signature", format!("v1,{of_id}")),
        ],
    };
    Ok([
        stripe("stripe", Some(NPM_TARGET))?,
        stripe("stripe, the signature alone", None)?,
        octokit,
        standard,
    ])
}

/// Returns a scheme with an id, a timestamp and a signature in base64, each in its own header.
fn timed() -> WebhookScheme {
    let signature = WebhookSignature::new(["x-acme-signature"]).with_timestamp("x-acme-time");
    let mut scheme = WebhookScheme::new(signature);
    scheme.body = vec![BodyForm::Bytes];
    scheme.delivery_id = vec![WebhookFact::header("x-acme-id")];
    scheme
}

fn in_form_of_timed(time: &str, body: &Bytes) -> Result<http::Request<Bytes>, Box<dyn Error>> {
    let message = [time.as_bytes(), b".", body].concat();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let signature = STANDARD.encode(hmac::sign(&key, &message));
    request(
        &[
            ("x-acme-signature", &signature),
            ("x-acme-time", time),
            ("x-acme-id", ID),
        ],
        body,
    )
}

fn request(headers: &[(&str, &str)], body: &Bytes) -> Result<http::Request<Bytes>, Box<dyn Error>> {
    let request = http::Request::post("https://service.example/webhooks");
    let request = headers.iter().fold(request, |request, (name, value)| {
        request.header(*name, *value)
    });
    Ok(request.body(body.clone())?)
}

/// Returns a JSON object of `bytes` bytes, almost all of it one string.
fn json_of(bytes: usize) -> String {
    let (start, end) = (r#"{"data":""#, r#""}"#);
    let filling = "x".repeat(bytes.saturating_sub(start.len() + end.len()));
    [start, &filling, end].concat()
}

fn sign(parts: &[&str]) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    hmac::sign(&key, parts.concat().as_bytes())
}

fn hex(tag: &hmac::Tag) -> String {
    let digits = tag.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}

/// Our receiver with a scheme.
struct Receiver {
    description: Description,
    clock: SystemClock,
    transport: HttpClient,
    app: App,
    app_key: AppKey,
}

impl Receiver {
    fn new(scheme: WebhookScheme) -> Result<Self, Box<dyn Error>> {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        description.api = vec![EndpointTemplate::new("https://api.acme.example")];
        description.webhook = Some(scheme);
        Ok(Self {
            description,
            clock: SystemClock::new(),
            transport: HttpClient::builder().build()?,
            app: App::new("client").with_client_secret(SECRET),
            app_key: AppKey::default(),
        })
    }

    fn accepts(&self, delivery: &http::Request<Bytes>) -> bool {
        let cx = Context::new(&self.app, &self.transport, &self.clock);
        let endpoint = WebhookEndpoint::of_app(&self.app_key);
        let event = verify(black_box(&self.description), &cx, &endpoint, delivery);
        black_box(event).is_ok()
    }
}
