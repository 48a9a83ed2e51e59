//! Checks that no secret appears in output.

use connector_core::http::{Sent, TransportErrorKind};
use secrecy::ExposeSecret;

use super::fixture::TokenFault;
use super::say;
use super::wire::Instead;
use super::world::{Exchange, World, answer, expect};
use crate::leak;

/// The collected output, which the case searches at its end.
struct Shown<'a> {
    world: &'a World,
    texts: usize,
}

impl<'a> Shown<'a> {
    fn new(world: &'a World) -> Self {
        Self { world, texts: 0 }
    }

    fn add(&mut self, what: &str, text: &str) {
        self.texts += 1;
        let found = self.world.probe.scan_bytes(text.as_bytes());
        assert!(found.is_empty(), "{what} shows a secret: {found:?}");
    }

    fn error(&mut self, what: &str, error: &connector_core::Error) {
        self.add(what, &format!("{error:?} {error} {}", error.report()));
    }
}

pub(super) async fn secrets_stand_in_no_url(world: &World) {
    let (callback, flow) = world.granted().await;
    let answer = expect(world.exchange(&callback, &flow).await, "the exchange");
    let mut credential = world.credential(&answer, None);
    let planted = world
        .probe
        .scan_bytes(credential.secret().expose_secret().as_bytes());
    assert!(
        !planted.is_empty(),
        "the provider's access tokens do not contain the mark of the fixture"
    );
    world.identified(&credential).await;
    if credential.refresh_token().is_some() {
        credential = world.refreshed(&credential).await;
    }
    if world.description().revocation.is_some() {
        let revoked = world.connector().revoke(&world.cx(), &credential).await;
        expect(revoked, "the revocation");
    }
    let seen = world.wire.take();
    let verifier = flow.verifier.secret().expose_secret();
    for request in &seen {
        assert!(
            world.probe.scan_bytes(request.url.as_bytes()).is_empty()
                && !request.url.contains(verifier),
            "a URL holds a secret"
        );
    }
    assert!(seen.len() > 1, "too few requests were recorded");
    say(&format!("URLs without secrets: {}", seen.len()));
}

pub(super) async fn responses_and_errors_show_no_secrets(world: &World) {
    let mut shown = Shown::new(world);
    let (callback, flow) = world.granted().await;
    let brought = expect(world.exchange(&callback, &flow).await, "the exchange");
    let credential = world.credential(&brought, None);
    let planted = |text: &str| !world.probe.scan_bytes(text.as_bytes()).is_empty();
    assert!(
        planted(credential.secret().expose_secret()),
        "the provider's access tokens do not contain the mark of the fixture"
    );
    shown.add("the connector", &format!("{:?}", world.connector()));
    shown.add("the app", &format!("{:?}", world.app));
    shown.add("the callback", &format!("{callback:?}"));
    shown.add("the token response", &format!("{brought:?}"));
    shown.add("the credential", &format!("{credential:?}"));
    let identity = world.identified(&credential).await;
    shown.add("the identity", &format!("{identity:?}"));

    let mark = leak::canary("body");
    let mut exchanges = vec![Exchange::Code];
    if credential.refresh_token().is_some() {
        exchanges.push(Exchange::Refresh);
    }
    for exchange in exchanges {
        for fault in [
            answer(
                400,
                format!(r#"{{"error":"invalid_grant","error_description":"{mark}"}}"#),
            ),
            answer(
                400,
                format!(r#"{{"error":"invalid_scope","error_uri":"{mark}"}}"#),
            ),
            answer(200, format!("<html>{mark}</html>")),
            answer(200, format!(r#"{{"access_token":{{"a":"{mark}"}}}}"#)),
            answer(200, format!(r#"{{"access_token":"{mark}"#)),
            answer(500, mark.clone()),
            TokenFault::Answer {
                status: 302,
                headers: vec![("location", format!("https://evil.example/{mark}"))],
                body: String::new(),
            },
            TokenFault::DropAfter,
            TokenFault::Truncate,
        ] {
            let failed = world.failed(exchange, fault).await;
            shown.add("an exchange error", &format!("{:?}", failed.error));
            shown.error("an exchange error", failed.error.error());
        }
    }
    let credential = world.connect().await;
    let mut bad = vec![
        Instead::Answer(401, Vec::new(), mark.clone()),
        // An error code is shown; the text beside it is not.
        Instead::Answer(
            403,
            Vec::new(),
            format!(r#"{{"error":"forbidden","error_description":"{mark}","message":"{mark}"}}"#),
        ),
        Instead::Answer(500, Vec::new(), mark.clone()),
        Instead::Error(TransportErrorKind::Broken, Sent::Maybe),
    ];
    if world.reads_identity_body() {
        bad.extend([
            Instead::Answer(200, Vec::new(), format!("<html>{mark}</html>")),
            Instead::Answer(200, Vec::new(), format!(r#"{{"unheard_of":"{mark}"}}"#)),
        ]);
    }
    if !world.has_test_endpoint() {
        bad.clear();
    }
    for instead in bad {
        world.wire.answer(instead);
        match world.identify(&credential).await {
            Ok(_) => panic!("a failing response is identified as an account"),
            Err(error) => shown.error("an identify error", &error),
        }
    }
    // A secret that is not a valid header value is not quoted either.
    let odd = world.with_secret(&credential, &format!("{mark}\n"));
    match world.identify(&odd).await {
        Ok(_) if !world.has_test_endpoint() => {}
        Ok(_) => panic!("a token with a line break is identified as an account"),
        Err(error) => shown.error("an identify error", &error),
    }
    if let Err(error) = world.connector().revoke(&world.cx(), &odd).await {
        shown.error("a revocation error", error.error());
    }
    let texts = shown.texts;
    say(&format!("texts without secrets: {texts}"));
}

pub(super) async fn refused_texts_are_not_repeated(world: &World) {
    let mut shown = Shown::new(world);
    let mark = leak::canary("host");
    for text in [
        format!("{mark}@evil.example/x"),
        format!("https://evil.example/?token={mark}"),
        format!("{mark} {mark}"),
    ] {
        match world.connector().account_host(&text) {
            Ok(_) => panic!("a text that is no account name is accepted"),
            Err(error) => shown.error("a refused account", &error),
        }
    }
}
