//! Webhook deliveries.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::provider::oauth::Callback;
use connector_core::provider::webhook::{
    BodyForm, Event, Incoming, KeyForm, SignatureEncoding, SignatureEntries, SignedField,
    TimestampSource, TimestampUnit, WebhookAlgorithm, WebhookEndpoint, WebhookScheme,
    WebhookSecret, WebhookSignature,
};
use connector_core::{App, AppKey, ErrorKind, Result};
use http::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::fixture::Delivery;
use super::say;
use super::world::World;

/// Minimum number of other signed payloads, such as callback queries, that are sent as deliveries.
const OFFERS: u64 = 2_000;

type Request = http::Request<Bytes>;

fn scheme(world: &World) -> &WebhookScheme {
    match world.scheme() {
        Some(scheme) => scheme,
        None => panic!("the case needs a webhook scheme"),
    }
}

/// Returns the rule that applies to a delivery.
fn rule<'w>(world: &'w World, request: &Request) -> &'w WebhookSignature {
    let is_held = |rule: &&WebhookSignature| {
        rule.pointer.is_some()
            || rule
                .headers
                .iter()
                .any(|it| request.headers().contains_key(it))
    };
    match scheme(world).signatures.iter().find(is_held) {
        Some(rule) => rule,
        None => {
            panic!("the fixture's delivery has no header that the scheme defines as the signature")
        }
    }
}

fn delivery(world: &World, body: Option<Bytes>) -> Delivery {
    match world.fixture.delivery(body) {
        Some(delivery) => delivery,
        None => panic!("the description has webhooks: the fixture must return deliveries"),
    }
}

async fn verify_at(
    world: &World,
    app: &App,
    secrets: &[SecretString],
    request: &Request,
) -> Result<Event> {
    let key = AppKey::default();
    let endpoint = WebhookEndpoint::of_connection(&key, secrets);
    let cx = world.cx_of(app);
    let incoming = world
        .connector()
        .verify_webhook(&cx, &endpoint, request)
        .await?;
    assert_eq!(world.wire.count(), 0, "verifying a delivery sent a request");
    match incoming {
        Incoming::Accept { events, .. } => match events.into_iter().next() {
            Some(event) => Ok(event),
            None => panic!("a delivery has no event"),
        },
        _ => panic!("a delivery is answered as a handshake"),
    }
}

async fn verify(world: &World, request: &Request) -> Result<Event> {
    verify_with(world, &[signing(world)], request).await
}

/// Verifies a delivery with the given secrets instead of the configured secrets.
async fn verify_with(world: &World, secrets: &[SecretString], request: &Request) -> Result<Event> {
    match scheme(world).secret {
        WebhookSecret::Subscription => verify_at(world, &world.app, secrets, request).await,
        _ => verify_at(world, &app_with(world, secrets), &[], request).await,
    }
}

async fn verified(world: &World, request: &Request) -> Event {
    match verify(world, request).await {
        Ok(event) => event,
        Err(error) => panic!("a valid delivery is refused: {}", error.report()),
    }
}

async fn refused(world: &World, request: &Request, what: &str) {
    match verify(world, request).await {
        Ok(_) => panic!("a delivery is accepted: {what}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{what}"),
    }
}

/// Returns the header that contains the signature; `None` if the signature is in the body.
fn signature(world: &World, request: &Request) -> Option<HeaderName> {
    let names = rule(world, request).headers.iter();
    let mut names = names.filter_map(|name| HeaderName::try_from(name.as_str()).ok());
    names.find(|name| request.headers().contains_key(name))
}

/// Returns the app with other webhook secrets.
fn app_with(world: &World, secrets: &[SecretString]) -> App {
    match scheme(world).secret {
        WebhookSecret::Webhook => {
            let mut app = world.app_with(world.app.client_secrets());
            for secret in secrets {
                app = app.with_webhook_secret(secret.clone());
            }
            app
        }
        _ => world.app_with(secrets),
    }
}

/// Returns the secret that verifies the fixture's deliveries.
fn signing(world: &World) -> SecretString {
    let secret = match scheme(world).secret {
        WebhookSecret::Webhook => world.app.webhook_secrets().first().cloned(),
        WebhookSecret::Subscription => world.fixture.subscription_secret(),
        _ => world.app.client_secret().cloned(),
    };
    match secret {
        Some(secret) => secret,
        None => panic!("the fixture has no secret for webhooks"),
    }
}

/// Returns an unused secret in the format of the scheme.
fn another(world: &World, text: &str) -> SecretString {
    let bytes: [u8; 32] = std::array::from_fn(|at| text.as_bytes().get(at).copied().unwrap_or(7));
    let form = &scheme(world).signatures[0].key;
    SecretString::from(match form {
        KeyForm::Base64 => STANDARD.encode(bytes),
        KeyForm::Prefixed(prefix) => format!("{prefix}{}", STANDARD.encode(bytes)),
        KeyForm::Hex => hex::encode(bytes),
        _ => text.to_owned(),
    })
}

pub(super) async fn a_right_delivery_is_read_as_it_was_signed(world: &World) {
    let Delivery {
        request,
        topic,
        delivery_id,
        account,
    } = delivery(world, None);
    let event = verified(world, &request).await;
    assert_eq!(event.provider, world.description().provider);
    assert_eq!(event.app, AppKey::default());
    assert_eq!(event.topic, topic);
    assert_eq!(event.delivery_id, delivery_id);
    assert_eq!(event.account, account);
    assert!(
        event.body == *request.body(),
        "the body is not passed on unchanged"
    );
}

pub(super) async fn a_changed_bit_of_a_delivery_is_refused(world: &World) {
    let right = delivery(world, None).request;
    verified(world, &right).await;
    let rule = rule(world, &right);
    let mut tried = 0;
    // A static token does not cover the body.
    let covered = if rule.algorithm.signs() {
        right.body().len() * 8
    } else {
        0
    };
    for bit in 0..covered {
        let mut body = right.body().to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        let mut request = right.clone();
        *request.body_mut() = body.into();
        refused(world, &request, &format!("bit {bit} of the body changed")).await;
        tried += 1;
    }
    let Some(name) = signature(world, &right) else {
        say("the token is in the body, and the case about tokens changes it");
        return;
    };
    let signed = right.headers()[&name].as_bytes();
    for bit in 0..signed.len() * 8 {
        let mut changed = signed.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        // Hexadecimal digits and the scheme name in Basic are case-insensitive.
        let is_same = (rule.encoding == SignatureEncoding::Hex
            || rule.algorithm == WebhookAlgorithm::Basic)
            && changed.eq_ignore_ascii_case(signed)
            && changed.starts_with(rule.prefix.as_bytes());
        let Ok(value) = HeaderValue::from_bytes(&changed) else {
            continue;
        };
        if is_same {
            continue;
        }
        let mut request = right.clone();
        request.headers_mut().insert(&name, value);
        let what = format!("bit {bit} of the signature changed");
        refused(world, &request, &what).await;
        tried += 1;
    }
    let enough = if rule.algorithm.signs() { 256 } else { 32 };
    assert!(tried > enough, "too few bits were changed");
    say(&format!("changed deliveries refused: {tried}"));
}

pub(super) async fn a_missing_or_doubled_signature_is_refused(world: &World) {
    let right = delivery(world, None).request;
    let Some(name) = signature(world, &right) else {
        say("the token is in the body");
        return;
    };
    let signed = right.headers()[&name].clone();
    let mut bad = Vec::new();
    let mut add = |what, change: &dyn Fn(&mut http::HeaderMap)| {
        let mut request = right.clone();
        change(request.headers_mut());
        bad.push((what, request));
    };
    add("without a signature", &|headers| {
        headers.remove(&name);
    });
    add("with an empty signature", &|headers| {
        headers.insert(&name, HeaderValue::from_static(""));
    });
    add("with a repeated signature", &|headers| {
        headers.append(&name, signed.clone());
    });
    add("with another signature after it", &|headers| {
        headers.append(&name, HeaderValue::from_static("x"));
    });
    add("with another signature before it", &|headers| {
        headers.insert(&name, HeaderValue::from_static("x"));
        headers.append(&name, signed.clone());
    });
    add("with half a signature", &|headers| {
        let half = &signed.as_bytes()[..signed.len() / 2];
        if let Ok(half) = HeaderValue::from_bytes(half) {
            headers.insert(&name, half);
        }
    });
    for (what, request) in &bad {
        refused(world, request, what).await;
    }
    say(&format!("broken signatures refused: {}", bad.len()));
}

pub(super) async fn a_delivery_has_the_described_method_and_form(world: &World) {
    let right = delivery(world, None).request;
    let described = scheme(world);
    let mut tried = 0;
    for method in [http::Method::GET, http::Method::PUT, http::Method::HEAD] {
        if described.methods.iter().any(|it| it == method.as_str()) {
            continue;
        }
        let mut request = right.clone();
        *request.method_mut() = method.clone();
        refused(world, &request, method.as_str()).await;
        tried += 1;
    }
    if !described.body.contains(&BodyForm::Empty) {
        let empty = delivery(world, Some(Bytes::new())).request;
        refused(world, &empty, "an empty body with its signature").await;
        tried += 1;
    }
    assert!(
        tried > 0,
        "nothing is refused because of its method or format"
    );
}

pub(super) async fn an_old_webhook_secret_counts_while_it_is_configured(world: &World) {
    let request = delivery(world, None).request;
    let newer = another(world, "a-newer-secret");
    for secrets in [
        [newer.clone(), signing(world)],
        [signing(world), newer.clone()],
    ] {
        if let Err(error) = verify_with(world, &secrets, &request).await {
            panic!("while both are configured: {}", error.report());
        }
    }
    match verify_with(world, &[newer], &request).await {
        Ok(_) => panic!("a secret that is no longer configured is still accepted"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WebhookRefused),
    }
}

pub(super) async fn a_delivery_for_one_connection_needs_its_secret(world: &World) {
    let request = delivery(world, None).request;
    let own = [another(world, "a-secret-of-this-connection")];
    match verify_at(world, &world.app, &own, &request).await {
        Ok(_) => panic!("the app's secret is accepted at the endpoint of one connection"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WebhookRefused),
    }
    let app = app_with(world, &[another(world, "a-secret-of-the-app")]);
    if let Err(error) = verify_at(world, &app, &[signing(world)], &request).await {
        panic!("with the connection's own secret: {}", error.report());
    }
}

pub(super) async fn without_a_secret_no_delivery_is_verified(world: &World) {
    let request = delivery(world, None).request;
    for secrets in [vec![], vec![SecretString::from("")]] {
        match verify_with(world, &secrets, &request).await {
            Ok(_) => panic!("a delivery is accepted without a secret"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Configuration),
        }
    }
}

pub(super) async fn a_body_that_is_not_text_is_passed_on_or_refused_as_described(world: &World) {
    let body = Bytes::from_static(b"\xff\xfe\x00 not text \xc3\x28\r\n");
    let request = delivery(world, Some(body.clone())).request;
    let is_taken = scheme(world).body.contains(&BodyForm::Bytes);
    match verify(world, &request).await {
        Ok(event) => {
            assert!(
                is_taken,
                "a body that has none of the described formats is accepted"
            );
            assert!(event.body == body, "the body differs from the signed one");
        }
        Err(error) => {
            assert!(
                !is_taken,
                "a body that is not text is refused: {}",
                error.report()
            );
            assert_eq!(error.kind(), ErrorKind::WebhookRefused);
        }
    }
}

/// Sends all other signed texts as deliveries, and sends deliveries as callbacks.
pub(super) async fn what_else_the_secret_signs_is_no_delivery(world: &World) {
    let described = scheme(world);
    assert!(
        described.secret_signs_more,
        "the webhook secret also signs callbacks: set `secret_signs_more` in the description"
    );
    let right = delivery(world, None).request;
    verified(world, &right).await;
    let Some(name) = signature(world, &right) else {
        panic!("a secret that signs other texts must have its signature in a header");
    };
    let rule = rule(world, &right);
    let (mut offered, mut accepted) = (0_u64, 0_u64);
    let mut kinds = std::collections::BTreeSet::new();
    for seed in 0.. {
        let texts = world.fixture.also_signed(seed);
        assert!(
            !texts.is_empty(),
            "the fixture must return the other texts that the secret signs"
        );
        for text in texts {
            kinds.insert(text.kind);
            let tag = match rule.encoding {
                SignatureEncoding::Hex => hex::encode(&text.tag),
                _ => STANDARD.encode(&text.tag),
            };
            let tag = match &rule.entries {
                SignatureEntries::Pairs(key) => format!("{key}={}{tag}", rule.prefix),
                _ => format!("{}{tag}", rule.prefix),
            };
            let Ok(value) = HeaderValue::from_str(&tag) else {
                panic!("a signature is not a valid header value");
            };
            let mut request = right.clone();
            request.headers_mut().insert(&name, value);
            *request.body_mut() = text.text.clone();
            offered += 1;
            if verify(world, &request).await.is_ok() {
                accepted += 1;
                say(&format!("a {} is accepted as a delivery", text.kind));
            }
        }
        if offered >= OFFERS {
            break;
        }
    }
    assert_eq!(accepted, 0, "of {offered} texts that are not deliveries");
    let mut back = 0_u64;
    for seed in 0..OFFERS {
        let body = Bytes::from(format!("{{\"id\":{seed},\"a\":\"x&b=c&timestamp=1\"}}"));
        let signed = delivery(world, Some(body)).request;
        let tag = signed.headers().get(&name).and_then(|it| it.to_str().ok());
        let tag = tag.unwrap_or_default();
        for query in world.fixture.callbacks_of(signed.body(), tag) {
            let Ok(callback) = Callback::parse(&query) else {
                back += 1;
                continue;
            };
            let checked =
                world
                    .connector()
                    .check_callback(&world.cx(), world.host.as_deref(), &callback);
            assert!(
                checked.is_err(),
                "a delivery's signature is accepted in a callback"
            );
            back += 1;
        }
    }
    say(&format!(
        "sent as deliveries: {offered} of {kinds:?}, {accepted} accepted; deliveries sent as \
         callbacks: {back}, 0 accepted"
    ));
}

/// Sends random bytes in every part of a delivery.
pub(super) async fn random_deliveries_are_refused_and_break_nothing(world: &World) {
    let right = delivery(world, None).request;
    let name = signature(world, &right);
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut draw = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let (rounds, mut tried) = (2_000, 0);
    for _ in 0..rounds {
        let mut bytes = |most: u64| -> Vec<u8> {
            (0..draw() % most)
                .map(|_| draw().to_be_bytes()[0])
                .collect()
        };
        let mut request = right.clone();
        *request.body_mut() = bytes(64).into();
        let names: Vec<HeaderName> = right.headers().keys().cloned().collect();
        for header in &names {
            let mut value = bytes(48);
            value.retain(|byte| *byte >= 0x20 && *byte != 0x7f);
            if let Ok(value) = HeaderValue::from_bytes(&value) {
                request.headers_mut().insert(header, value);
            }
        }
        if let Some(name) = &name
            && right.headers().get(name) == request.headers().get(name)
        {
            continue;
        }
        refused(world, &request, "random bytes").await;
        tried += 1;
    }
    assert!(tried > rounds / 2, "too few variants were tested");
    say(&format!("random deliveries refused: {tried}"));
}

pub(super) async fn a_delivery_out_of_its_time_is_refused(world: &World) {
    let request = delivery(world, None).request;
    let Some(timestamp) = &rule(world, &request).timestamp else {
        panic!("the fixture's delivery has no signed timestamp");
    };
    let clock = world.fixture.clock();
    let tolerance = Duration::from_secs(timestamp.tolerance_seconds);
    let second = Duration::from_secs(1);
    let sent = connector_core::clock::Clock::now(clock);
    for at in [sent.after(tolerance), sent.before(tolerance)] {
        clock.set_wall(at);
        verified(world, &request).await;
    }
    for at in [
        sent.after(tolerance).after(second),
        sent.before(tolerance).before(second),
    ] {
        clock.set_wall(at);
        refused(world, &request, "outside the time window").await;
    }
    clock.set_wall(sent);
    let text = |at: Timestamp| match timestamp.unit {
        TimestampUnit::Millis => at.as_unix_millis().to_string(),
        _ => at.as_unix_seconds().to_string(),
    };
    let later = text(sent.after(second));
    let mut changed = Vec::new();
    match &timestamp.source {
        TimestampSource::Header(name) => {
            let mut without = request.clone();
            without.headers_mut().remove(name.as_str());
            changed.push(("without its timestamp", without));
            changed.push((
                "with another timestamp",
                with_header(&request, name, &later),
            ));
        }
        TimestampSource::Pair(pair) => {
            let held = request.headers().get(&pair.header);
            let held = held.and_then(|it| it.to_str().ok()).unwrap_or_default();
            let others = held
                .split(',')
                .filter(|it| !it.starts_with(&format!("{}=", pair.key)));
            let others = others.collect::<Vec<_>>().join(",");
            changed.push((
                "without its timestamp",
                with_header(&request, &pair.header, &others),
            ));
            let other = format!("{}={later},{others}", pair.key);
            changed.push((
                "with another timestamp",
                with_header(&request, &pair.header, &other),
            ));
        }
        _ => panic!("the suite does not know the position of the timestamp"),
    }
    for (what, request) in changed {
        refused(world, &request, what).await;
    }
}

fn with_header(request: &Request, name: &str, value: &str) -> Request {
    let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::from_str(value)) else {
        panic!("a header of the scheme has an invalid value");
    };
    let mut request = request.clone();
    request.headers_mut().insert(name, value);
    request
}

pub(super) async fn what_the_signature_leaves_out_is_a_hint(world: &World) {
    let right = delivery(world, None).request;
    let name = signature(world, &right);
    let event = verified(world, &right).await;
    let mut tried = 0;
    let others = right
        .headers()
        .keys()
        .filter(|header| Some(*header) != name.as_ref());
    for header in others {
        let mut value = right.headers()[header].as_bytes().to_vec();
        value.insert(0, b'x');
        for value in [
            HeaderValue::from_bytes(&value),
            HeaderValue::from_str("elsewhere"),
        ] {
            let Ok(value) = value else {
                continue;
            };
            let mut request = right.clone();
            request.headers_mut().insert(header, value);
            tried += 1;
            let Ok(changed) = verify(world, &request).await else {
                continue;
            };
            for (field, is_same) in [
                (SignedField::Topic, changed.topic == event.topic),
                (SignedField::Account, changed.account == event.account),
                (
                    SignedField::DeliveryId,
                    changed.delivery_id == event.delivery_id,
                ),
                (
                    SignedField::Time,
                    changed.triggered_at == event.triggered_at,
                ),
            ] {
                assert!(
                    is_same || !changed.is_signed(field),
                    "{field:?} counts as signed, but a changed header {header} is accepted"
                );
            }
        }
    }
    say(&format!("headers changed: {tried}"));
}
