//! Deliveries.

use std::time::Duration;

use bytes::Bytes;
use connector_core::webhook::{
    Event, Incoming, SignatureEncoding, SignedField, WebhookEndpoint, WebhookScheme, WebhookSecret,
};
use connector_core::{App, AppKey, ErrorKind, Result};
use http::header::{HeaderName, HeaderValue};
use secrecy::SecretString;

use super::fixture::Delivery;
use super::say;
use super::world::World;

type Request = http::Request<Bytes>;

fn scheme(world: &World) -> &WebhookScheme {
    match &world.description().webhook {
        Some(scheme) => scheme,
        None => panic!("the case needs a webhook scheme"),
    }
}

fn delivery(world: &World, body: Option<Bytes>) -> Delivery {
    match world.fixture.delivery(body) {
        Some(delivery) => delivery,
        None => panic!("the description has webhooks: the fixture must make deliveries"),
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
        Incoming::Events(events) => match events.into_iter().next() {
            Some(event) => Ok(event),
            None => panic!("a delivery has no event"),
        },
        _ => panic!("a delivery is answered as a handshake"),
    }
}

async fn verify(world: &World, request: &Request) -> Result<Event> {
    verify_at(world, &world.app, &[], request).await
}

async fn verified(world: &World, request: &Request) -> Event {
    match verify(world, request).await {
        Ok(event) => event,
        Err(error) => panic!("a right delivery is refused: {}", error.report()),
    }
}

async fn refused(world: &World, request: &Request, what: &str) {
    match verify(world, request).await {
        Ok(_) => panic!("a delivery passes: {what}"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{what}"),
    }
}

/// The header that holds the signature.
fn signature(world: &World, request: &Request) -> HeaderName {
    let names = scheme(world).signature.iter();
    let mut names = names.filter_map(|name| HeaderName::try_from(name.as_str()).ok());
    match names.find(|name| request.headers().contains_key(name)) {
        Some(name) => name,
        None => panic!("the fixture's delivery has no header that the description calls signature"),
    }
}

/// The app with other secrets for webhooks.
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

/// The secret that the fixture signs with.
fn signing(world: &World) -> SecretString {
    let secret = match scheme(world).secret {
        WebhookSecret::Webhook => world.app.webhook_secrets().first(),
        _ => world.app.client_secret(),
    };
    match secret {
        Some(secret) => secret.clone(),
        None => panic!("the fixture's app has no secret for webhooks"),
    }
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
        "the body is not passed on byte for byte"
    );
}

pub(super) async fn a_changed_bit_of_a_delivery_is_refused(world: &World) {
    let right = delivery(world, None).request;
    verified(world, &right).await;
    let mut tried = 0;
    for bit in 0..right.body().len() * 8 {
        let mut body = right.body().to_vec();
        body[bit / 8] ^= 1 << (bit % 8);
        let mut request = right.clone();
        *request.body_mut() = body.into();
        refused(world, &request, &format!("bit {bit} of the body changed")).await;
        tried += 1;
    }
    let name = signature(world, &right);
    let signed = right.headers()[&name].as_bytes();
    for bit in 0..signed.len() * 8 {
        let mut changed = signed.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        let is_same = scheme(world).encoding == SignatureEncoding::Hex
            && changed.eq_ignore_ascii_case(signed)
            && changed.starts_with(scheme(world).prefix.as_bytes());
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
    assert!(tried > 256, "too little was changed");
    say(&format!("changed deliveries refused: {tried}"));
}

pub(super) async fn a_missing_or_doubled_signature_is_refused(world: &World) {
    let right = delivery(world, None).request;
    let name = signature(world, &right);
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
    add("with its signature twice", &|headers| {
        headers.append(&name, signed.clone());
    });
    add("with another signature behind it", &|headers| {
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

pub(super) async fn a_delivery_is_a_post_with_a_body(world: &World) {
    let right = delivery(world, None).request;
    for method in [http::Method::GET, http::Method::PUT, http::Method::HEAD] {
        let mut request = right.clone();
        *request.method_mut() = method.clone();
        refused(world, &request, method.as_str()).await;
    }
    let empty = delivery(world, Some(Bytes::new())).request;
    refused(world, &empty, "an empty body with its signature").await;
}

pub(super) async fn an_old_webhook_secret_counts_while_it_is_configured(world: &World) {
    let request = delivery(world, None).request;
    let newer = SecretString::from("a-newer-secret");
    let check = async |secrets: &[SecretString]| {
        let app = app_with(world, secrets);
        verify_at(world, &app, &[], &request).await
    };
    for secrets in [
        [newer.clone(), signing(world)],
        [signing(world), newer.clone()],
    ] {
        if let Err(error) = check(&secrets).await {
            panic!("while both are configured: {}", error.report());
        }
    }
    match check(&[newer]).await {
        Ok(_) => panic!("a secret that is no longer configured still counts"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WebhookRefused),
    }
}

pub(super) async fn a_delivery_for_one_connection_needs_its_secret(world: &World) {
    let request = delivery(world, None).request;
    let own = [SecretString::from("a-secret-of-this-connection")];
    match verify_at(world, &world.app, &own, &request).await {
        Ok(_) => panic!("the app's secret opens the endpoint of one connection"),
        Err(error) => assert_eq!(error.kind(), ErrorKind::WebhookRefused),
    }
    let app = app_with(world, &[SecretString::from("a-secret-of-the-app")]);
    if let Err(error) = verify_at(world, &app, &[signing(world)], &request).await {
        panic!("with the connection's own secret: {}", error.report());
    }
}

pub(super) async fn without_a_secret_no_delivery_is_verified(world: &World) {
    let request = delivery(world, None).request;
    for secrets in [vec![], vec![SecretString::from("")]] {
        let app = app_with(world, &secrets);
        match verify_at(world, &app, &[], &request).await {
            Ok(_) => panic!("a delivery passes without a secret"),
            Err(error) => assert_eq!(error.kind(), ErrorKind::Configuration),
        }
    }
}

pub(super) async fn a_body_that_is_not_text_is_passed_on_as_it_is(world: &World) {
    let body = Bytes::from_static(b"\xff\xfe\x00 not text \xc3\x28\r\n");
    let request = delivery(world, Some(body.clone())).request;
    match verify(world, &request).await {
        Ok(event) => assert!(event.body == body, "the body is not what was signed"),
        // What happened stands in the body itself, and this one does not say.
        Err(error) if scheme(world).topic.is_empty() => {
            assert_eq!(error.kind(), ErrorKind::WebhookRefused);
        }
        Err(error) => panic!("a body that is not text is refused: {}", error.report()),
    }
}

pub(super) async fn a_delivery_out_of_its_time_is_refused(world: &World) {
    let Some(timestamp) = &scheme(world).timestamp else {
        panic!("the case needs a timestamp");
    };
    let clock = world.fixture.clock();
    let tolerance = Duration::from_secs(timestamp.tolerance_seconds);
    let second = Duration::from_secs(1);
    let request = delivery(world, None).request;
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
        refused(world, &request, "out of its time").await;
    }
    clock.set_wall(sent);
    let Ok(name) = HeaderName::try_from(timestamp.header.as_str()) else {
        panic!("the timestamp's header has no name");
    };
    let mut without = request.clone();
    without.headers_mut().remove(&name);
    refused(world, &without, "without its timestamp").await;
    let mut later = request;
    let text = sent.after(second).as_unix_seconds();
    later.headers_mut().insert(name, HeaderValue::from(text));
    refused(world, &later, "with another timestamp").await;
}

pub(super) async fn what_the_signature_leaves_out_is_a_hint(world: &World) {
    let right = delivery(world, None).request;
    let name = signature(world, &right);
    let event = verified(world, &right).await;
    let mut tried = 0;
    for header in right.headers().keys().filter(|header| **header != name) {
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
                    "{field:?} counts as signed, and the header {header} changes it unnoticed"
                );
            }
        }
    }
    say(&format!("headers changed: {tried}"));
}
