//! Tests of the rules for all connectors, and of Zapier's settings and description.

use bytes::Bytes;
use connector_core::ErrorKind;
use connector_core::provider::config::markdown;
use connector_core::provider::description::CallAuthentication;
use connector_core::provider::{Connector, Description};
use connector_sim::Authority;
use connector_testkit::connector::{Delivery, Simulated, SimulatedProvider};
use connector_zapier::sim::{CallSecret, call};
use connector_zapier::{VARIABLES, Zapier, ZapierConfig};
use secrecy::SecretString;

const SECRET: &str = "example-secret-of-an-endpoint-0001";
const EVENT: &str = r#"{"type":"lead.created","name":"Example"}"#;

fn zapier() -> Zapier {
    Zapier::new(ZapierConfig::builder().build().unwrap())
}

/// Test fixture that gives the conformance suite access to hooks of Zapier.
struct Suite;

impl SimulatedProvider for Suite {
    fn description() -> Description {
        zapier().description().clone()
    }

    fn connector(_: Description) -> Box<dyn Connector> {
        Box::new(zapier())
    }

    fn delivery(_: &Authority, body: Option<Bytes>) -> Option<Delivery> {
        let body = body.unwrap_or_else(|| Bytes::from_static(EVENT.as_bytes()));
        let request = call(CallSecret::Header, SECRET, body).ok()?;
        Some(Delivery::new(request, "lead.created"))
    }

    fn subscription_secret() -> Option<SecretString> {
        Some(SecretString::from(SECRET))
    }
}

connector_testkit::connector_suite!(Simulated<Suite>);

#[test]
fn the_suite_applies_to_what_hooks_have() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Simulated<Suite>>();
    println!("cases that apply: {} of {}", applicable.len(), all.len());
    assert_eq!((applicable.len(), all.len()), (13, 62));
}

#[test]
fn the_description_says_what_hooks_do() {
    let zapier = zapier();
    let description = zapier.description();
    description.validate().unwrap();
    assert_eq!(description.provider, Zapier::ID);
    assert_eq!(description.authentication, CallAuthentication::SecretUrl);
    assert!(description.authorization.is_none() && description.token.is_none());
    assert!(description.webhook.is_some());
    assert_eq!(description.limits.len(), 1);
    let none = ZapierConfig::builder().with_requests_per_second(0).build();
    Zapier::new(none.unwrap()).description().validate().unwrap();
}

#[test]
fn settings_are_named_and_their_values_are_not_repeated() {
    let configure = |url: Option<&'static str>| {
        ZapierConfig::from_variables(|_| Ok(url.map(SecretString::from)))
    };
    assert!(configure(None).unwrap().loopbacks().is_empty());
    let local = configure(Some("http://127.0.0.1:4010")).unwrap();
    assert_eq!(local.loopbacks().len(), 1);
    let wrong = [
        "http://tell-nobody.example:80",
        "nobody",
        "https://127.0.0.1:1/nobody",
    ];
    for url in wrong {
        let error = configure(Some(url)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{url}");
        assert!(error.message().starts_with("ZAPIER_BASE_URL"), "{error}");
        assert!(!error.report().contains("nobody"), "{error}");
    }
    println!("malformed settings refused by name: {}", wrong.len());
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&markdown(VARIABLES)),
        "{}",
        markdown(VARIABLES)
    );
    #[cfg(feature = "workflow-api")]
    {
        let table = markdown(connector_zapier::workflow::VARIABLES);
        assert!(readme.contains(&table), "{table}");
    }
}
