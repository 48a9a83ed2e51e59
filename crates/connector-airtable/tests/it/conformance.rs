//! The rules that every connector keeps, and the settings and OAuth facts of Airtable.

use std::sync::Arc;

use bytes::Bytes;
use connector_airtable::sim::{Fault, SCOPES, Simulator, sign_ping};
use connector_airtable::{Airtable, AirtableConfig, VARIABLES};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::config::markdown;
use connector_core::oauth::{AuthorizationRequest, CodeVerifier, ExchangeClass, RotationClass};
use connector_core::webhook::{Incoming, WebhookEndpoint};
use connector_core::{
    App, AppKey, Connector, Context, Description, ErrorKind, Result, SystemRandom,
};
use connector_sim::{Authority, AuthorityBuilder, Grant, Request, Response};
use connector_testkit::connector::{Delivery, Simulated, SimulatedProvider};
use secrecy::SecretString;

use crate::rig::Rig;

const SECRET: &str = "c2VjcmV0LWtleQ==";
const PING: &str = r#"{"base": {"id": "app00000000000000"}, "webhook": {"id": "ach00000000000000"}, "timestamp": "2022-02-01T21:25:05.663Z"}"#;

fn airtable() -> Airtable {
    Airtable::new(AirtableConfig::builder().build().unwrap())
}

/// Airtable as the suite sees it.
struct Suite;

impl SimulatedProvider for Suite {
    fn description() -> Description {
        airtable().description().clone()
    }

    fn connector(_: Description) -> Box<dyn Connector> {
        Box::new(airtable())
    }

    fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
        let bases = |_: &Request, _: &Grant| {
            Response::json(200, &serde_json::json!({ "bases": [] }))
        };
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
fn the_suite_applies_but_for_what_airtable_does_not_have() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Simulated<Suite>>();
    println!("cases that apply: {} of {}", applicable.len(), all.len());
    let left_out: Vec<_> = all.into_iter().filter(|it| !applicable.contains(it)).collect();
    println!("left out: {left_out:?}");
    assert!(applicable.len() >= 44);
}
