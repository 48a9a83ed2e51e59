//! Tests of calls from Zaps.

use bytes::Bytes;
use connector_core::clock::ManualClock;
use connector_core::clock::Timestamp;
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Connector as _, Context};
use connector_core::{App, AppKey, ErrorKind, Result};
use connector_hub::Receipt;
use connector_zapier::sim::{CallSecret, call};
use connector_zapier::{Zapier, ZapierConfig};
use futures_util::FutureExt as _;
use secrecy::SecretString;

use crate::rig::Rig;

const SECRET: &str = "zap:example-password";
const BODY: &str = r#"{"type":"lead.created","name":"Example"}"#;
const WAYS: [CallSecret; 3] = [CallSecret::Header, CallSecret::Bearer, CallSecret::Basic];

fn verified(secrets: &[&str], request: &http::Request<Bytes>) -> Result<Incoming> {
    let secrets: Vec<SecretString> = secrets.iter().map(|it| SecretString::from(*it)).collect();
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let transport = connector_http::HttpClient::builder().build()?;
    // Secrets of the app registration are not accepted.
    let app = App::new("zapier")
        .with_client_secret(SECRET)
        .with_webhook_secret(SECRET);
    let key = AppKey::default();
    let cx = Context::new(&app, &transport, &clock);
    let endpoint = WebhookEndpoint::of_connection(&key, &secrets);
    let zapier = Zapier::new(ZapierConfig::builder().build()?);
    let verified = zapier
        .verify_webhook(&cx, &endpoint, request)
        .now_or_never();
    verified.unwrap()
}

#[test]
fn a_call_with_the_secret_is_accepted_in_each_of_three_ways() {
    for how in WAYS {
        let request = call(how, SECRET, BODY).unwrap();
        for secrets in [&[SECRET][..], &["another", SECRET]] {
            let Ok(Incoming::Accept { events, .. }) = verified(secrets, &request) else {
                panic!("{how:?} is refused");
            };
            assert_eq!(
                (events.len(), events[0].topic.as_str()),
                (1, "lead.created")
            );
            assert_eq!(events[0].body, BODY);
            assert!(
                events[0].signed.is_empty(),
                "a shared secret protects no content"
            );
        }
    }
    println!("ways to show the secret: {}", WAYS.len());
}

#[test]
fn a_call_without_the_secret_is_refused() {
    let mut refused = 0;
    let mut refuse = |secrets: &[&str], request: &http::Request<Bytes>, what: &str| {
        let Err(error) = verified(secrets, request) else {
            panic!("{what} is accepted");
        };
        assert!(
            matches!(
                error.kind(),
                ErrorKind::WebhookRefused | ErrorKind::Configuration
            ),
            "{what}: {error}"
        );
        assert!(!error.report().contains("example-password"), "{error}");
        refused += 1;
    };
    for how in WAYS {
        let right = call(how, SECRET, BODY).unwrap();
        refuse(&["another"], &right, "another secret");
        refuse(&[], &right, "no secret");
        refuse(&[""], &right, "an empty secret");
        refuse(&[SECRET], &call(how, "", BODY).unwrap(), "an empty header");
        let name = if how == CallSecret::Header {
            "x-webhook-secret"
        } else {
            "authorization"
        };
        let value = right.headers()[name].as_bytes().to_vec();
        let secret_at = value.len()
            - if how == CallSecret::Basic {
                28
            } else {
                SECRET.len()
            };
        for at in secret_at..value.len() {
            let mut changed = value.clone();
            changed[at] ^= 1;
            let Ok(value) = http::HeaderValue::from_bytes(&changed) else {
                continue;
            };
            let mut request = right.clone();
            request.headers_mut().insert(name, value);
            refuse(&[SECRET], &request, "a changed bit");
        }
        let mut doubled = right.clone();
        doubled
            .headers_mut()
            .append(name, right.headers()[name].clone());
        refuse(&[SECRET], &doubled, "a doubled header");
        let mut bare = right.clone();
        bare.headers_mut().remove(name);
        refuse(&[SECRET], &bare, "no header");
    }
    // A second, correct header does not make up for a wrong one.
    let mut both = call(CallSecret::Basic, SECRET, BODY).unwrap();
    let wrong = http::HeaderValue::from_static("wrong");
    both.headers_mut().insert("x-webhook-secret", wrong);
    refuse(&[SECRET], &both, "a wrong header beside a right one");
    println!("calls refused: {refused}");
    assert!(refused > 60);
}

#[tokio::test]
async fn a_call_reaches_the_connection_of_its_endpoint_once() {
    let rig = Rig::new().await;
    let key = rig.connect(&rig.sim.add_catch_hook()).await;
    let secrets = || vec![SecretString::from(SECRET)];
    let receive = |id: Option<&'static str>| {
        let mut request = call(CallSecret::Header, SECRET, BODY).unwrap();
        if let Some(id) = id {
            let id = http::HeaderValue::from_static(id);
            request.headers_mut().insert("x-event-id", id);
        }
        let receive = rig.hub.receive(&Zapier::ID, request);
        receive.connection(key.clone(), secrets())
    };
    assert!(matches!(
        receive(Some("e1")).await,
        Ok(Receipt::Accepted { .. })
    ));
    assert!(matches!(
        receive(Some("e1")).await,
        Ok(Receipt::Duplicate { .. })
    ));
    assert!(matches!(
        receive(Some("e2")).await,
        Ok(Receipt::Accepted { .. })
    ));
    let wrong = call(CallSecret::Header, "wrong", BODY).unwrap();
    let refused = rig
        .hub
        .receive(&Zapier::ID, wrong)
        .connection(key.clone(), secrets());
    let error = refused.await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    assert_eq!(Receipt::refusal(&error).status().as_u16(), 401);
    rig.work().await;
    let handled = rig.handled.0.lock().unwrap();
    assert_eq!(handled.len(), 2);
    assert!(
        handled
            .iter()
            .all(|(_, connection)| connection.as_ref() == Some(&key))
    );
    println!("calls handled: {}", handled.len());
}
