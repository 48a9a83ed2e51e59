//! The rules for all connectors, and the settings and OAuth facts of Airtable.

use bytes::Bytes;
use connector_airtable::sim::{Fault, SCOPES, sign_ping};
use connector_airtable::{Airtable, AirtableConfig, VARIABLES};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::config::markdown;
use connector_core::provider::oauth::{CodeVerifier, ExchangeClass, RotationClass};
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Connector, Context, Description};
use connector_core::{App, AppKey, ErrorKind, Result, SystemRandom};
use connector_sim::{Authority, AuthorityBuilder, Grant, Request, Response};
use connector_testkit::connector::{Delivery, Simulated, SimulatedProvider};
use secrecy::SecretString;

use crate::rig::Rig;

const SECRET: &str = "c2VjcmV0LWtleQ==";
const PING: &str = r#"{"base": {"id": "app00000000000000"}, "webhook": {"id": "ach00000000000000"}, "timestamp": "2022-02-01T21:25:05.663Z"}"#;

fn airtable() -> Airtable {
    Airtable::new(AirtableConfig::builder().build().unwrap())
}

/// The fixture for the connector suite.
struct Suite;

impl SimulatedProvider for Suite {
    fn description() -> Description {
        airtable().description().clone()
    }

    fn connector(_: Description) -> Box<dyn Connector> {
        Box::new(airtable())
    }

    fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
        let bases =
            |_: &Request, _: &Grant| Response::json(200, &serde_json::json!({ "bases": [] }));
        builder
            .with_scopes(["data.records:read", "schema.bases:read"])
            .with_access_ended_by_refresh()
            .with_provider(bases)
    }

    fn delivery(_: &Authority, body: Option<Bytes>) -> Option<Delivery> {
        let body = body.unwrap_or_else(|| Bytes::from_static(PING.as_bytes()));
        Some(Delivery::new(sign_ping(SECRET, body).ok()?, ""))
    }

    fn subscription_secret() -> Option<SecretString> {
        Some(SecretString::from(SECRET))
    }
}

connector_testkit::connector_suite!(Simulated<Suite>);

#[test]
fn the_suite_applies_except_for_missing_features_of_airtable() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Simulated<Suite>>();
    println!("cases that apply: {} of {}", applicable.len(), all.len());
    let left_out: Vec<_> = all
        .into_iter()
        .filter(|it| !applicable.contains(it))
        .collect();
    println!("left out: {left_out:?}");
    assert_eq!((applicable.len(), left_out.len()), (49, 13));
}

/// Verifies a delivery in a context without a network.
fn verified(secret: &str, header: &str, body: &str) -> Result<Incoming> {
    let mut request = http::Request::new(Bytes::copy_from_slice(body.as_bytes()));
    *request.method_mut() = http::Method::POST;
    let header = header.parse().unwrap();
    request
        .headers_mut()
        .insert("x-airtable-content-mac", header);
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let transport = connector_http::HttpClient::builder().build().unwrap();
    let (app, key) = (App::new("client"), AppKey::default());
    let secrets = [SecretString::from(secret)];
    let endpoint = WebhookEndpoint::of_connection(&key, &secrets);
    let cx = Context::new(&app, &transport, &clock);
    connector_core::provider::webhook::verify(airtable().description(), &cx, &endpoint, &request)
}

#[test]
fn the_published_ping_is_verified_and_every_other_is_refused() {
    const PUBLISHED: &str =
        "hmac-sha256=e26da696a90933647bddc83995c3e1e3bb1c3d8ce1ff61cb7469767d50b2b2d4";
    const COMPUTED: &str =
        "hmac-sha256=6486781ffbbd5e9ed3bd9137d539ab9dceec8dba7c65c6cbf3c8c3ceefbf8802";
    let compact = PING.replace(": ", ":").replace(", ", ",");
    for (mac, body) in [(PUBLISHED, PING), (COMPUTED, &compact)] {
        let Ok(Incoming::Accept { events, .. }) = verified(SECRET, mac, body) else {
            panic!("a genuine ping is refused");
        };
        let at = Timestamp::parse("2022-02-01T21:25:05.663Z");
        assert_eq!((events.len(), events[0].triggered_at), (1, at));
        let signed = sign_ping(SECRET, Bytes::copy_from_slice(body.as_bytes())).unwrap();
        assert_eq!(signed.headers()["x-airtable-content-mac"], mac);
    }
    let bare = PUBLISHED.trim_start_matches("hmac-sha256=");
    let base64 = "hmac-sha256=4mKmlqkJM2R73cg5lcPh47scPYzh/2HLdGl2fVCystQ=";
    let refused = [
        (SECRET, PUBLISHED, compact.as_str()),
        (SECRET, COMPUTED, PING),
        ("b3RoZXIta2V5", PUBLISHED, PING),
        (SECRET, bare, PING),
        (SECRET, base64, PING),
    ];
    for (secret, mac, body) in refused {
        let error = verified(secret, mac, body).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{mac}");
    }
    println!("pings verified: 2, refused: {}", refused.len());
}

#[test]
fn the_description_says_what_airtable_does() {
    let airtable = airtable();
    let description = airtable.description();
    description.validate().unwrap();
    assert_eq!(description.provider, Airtable::ID);
    assert_eq!(description.rotation, RotationClass::Strict);
    assert_eq!(description.lifetimes.refresh_seconds, Some(60 * 86_400));
    assert_eq!(description.metadata_every, 86_400);
    assert!(description.revocation.is_none() && description.webhook.is_some());
    assert!(airtable.app_source().is_none());
    // An unconfirmed host gets no token unless the settings allow it.
    assert_eq!(description.api.len(), 1);
    let config = AirtableConfig::builder().with_attachment_uploads();
    let allowed = Airtable::new(config.build().unwrap());
    assert_eq!(allowed.description().api.len(), 2);
}

#[tokio::test]
async fn state_and_verifier_have_the_characters_that_airtable_accepts() {
    let is_plain = |text: &str, lengths: std::ops::RangeInclusive<usize>| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        lengths.contains(&text.len()) && text.bytes().all(plain)
    };
    let url = Rig::new().await.begin().await.url().clone();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert!(is_plain(&query["state"], 16..=1024), "{}", query["state"]);
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["scope"].split(' ').count(), SCOPES.len());
    for _ in 0..1000 {
        let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        assert!(is_plain(
            secrecy::ExposeSecret::expose_secret(verifier.secret()),
            43..=128
        ));
    }
}

#[tokio::test]
async fn a_conflict_of_two_refreshes_is_told_apart_from_a_dead_grant() {
    let rig = Rig::new().await;
    let connector = Airtable::new(AirtableConfig::for_simulator(&rig.sim).unwrap());
    let (app, transport) = (rig.sim.authority().app(), rig.sim.server().transport());
    let cx = Context::new(&app, &*transport, &rig.clock);
    let (access, refresh) = rig
        .sim
        .authority()
        .issue("usr00000000000001", &SCOPES)
        .unwrap();
    let origin = connector_core::http::Origin::parse("https://api.airtable.com").unwrap();
    let kind = connector_core::CredentialKind::OAuth;
    let now = connector_core::clock::Clock::now(&rig.clock);
    let credential = connector_core::Credential::new(kind, origin, access, now)
        .with_refresh_token(refresh.unwrap());
    rig.sim
        .server()
        .fault("/oauth2/v1/token", Fault::answer(409, ""));
    let conflict = connector.refresh(&cx, &credential).await.unwrap_err();
    assert_eq!(conflict.class(), ExchangeClass::AlreadyRefreshed);
    let answer = connector.refresh(&cx, &credential).await.unwrap();
    assert_eq!(answer.refresh_expires_in().unwrap().as_secs(), 60 * 86_400);
    let dead = connector.refresh(&cx, &credential).await.unwrap_err();
    assert_eq!(dead.class(), ExchangeClass::DeadGrant);
}

#[test]
fn settings_are_named_and_their_values_are_not_repeated() {
    const COMPLETE: [(&str, &str); 4] = [
        ("AIRTABLE_CLIENT_ID", "an-id"),
        ("AIRTABLE_CLIENT_SECRET", "tell-nobody"),
        ("AIRTABLE_REDIRECT_URI", "http://localhost:3000/callback"),
        ("AIRTABLE_BASE_URL", "http://127.0.0.1:4010"),
    ];
    let configure = |changed: (&str, &str)| {
        AirtableConfig::from_variables(|name| {
            let all = [changed].into_iter().chain(COMPLETE);
            let mut known = all.filter(|(known, value)| *known == name && !value.is_empty());
            Ok(known.next().map(|(_, value)| SecretString::from(value)))
        })
    };
    let config = configure(("", "")).unwrap();
    assert_eq!(config.loopbacks().len(), 3);
    assert!(!format!("{config:?}").contains("tell-nobody"));
    let table = [
        ("AIRTABLE_CLIENT_ID", "tell nobody"),
        ("AIRTABLE_CLIENT_SECRET", "tell\nnobody"),
        ("AIRTABLE_REDIRECT_URI", "http://tell-nobody.example/"),
        ("AIRTABLE_SCOPES", "\"tell-nobody\""),
        ("AIRTABLE_BASE_URL", "http://tell-nobody.example:80"),
    ];
    for (name, value) in table {
        let error = configure((name, value)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        assert!(error.message().starts_with(name), "{error}");
        assert!(!error.report().contains("nobody"), "{error}");
    }
    println!("malformed settings refused by name: {}", table.len());
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&markdown(VARIABLES)),
        "{}",
        markdown(VARIABLES)
    );
}
