//! Calls of hooks, which have no session, use the limits of the account.

use std::time::Duration;

use connector_core::http::limit::{Draws, Limit, Limits, Per};
use connector_core::http::{Origin, Sent};
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError};
use connector_core::provider::{Context, Description, GenericConnector};
use connector_core::{App, Credential, CredentialKind, ErrorKind, ProviderId};

use super::isolation::Read;
use super::{bucket, key, seconds, shared};
use crate::simulation::{Script, Step, VirtualClock, answer};

/// Sends `calls` through one context, and returns the time and the result of each.
fn called(calls: usize, transport: &Script) -> Vec<(Duration, Result<(), ExchangeError>)> {
    let clock = VirtualClock::default();
    let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
    description.api = vec![EndpointTemplate::new("https://api.acme.example")];
    description.limits = vec![Limit::new("account", Per::Account, bucket(1, 1.0))];
    let limits = Limits::new(shared(&clock)).account(&key("a"), &description.limits);
    let connector = GenericConnector::new(description).unwrap();
    let origin = Origin::parse("https://api.acme.example").unwrap();
    let now = connector_core::clock::Timestamp::UNIX_EPOCH;
    let credential = Credential::new(CredentialKind::OAuth, origin, "token", now);
    let app = App::new("client");
    let cx = Context::new(&app, transport, &clock).with_limits(&limits);
    clock.run(async {
        let mut results = Vec::new();
        for _ in 0..calls {
            let operation = Read(Draws::default(), "me");
            let result = cx.call(&connector, &credential, &operation).await;
            results.push((clock.elapsed(), result));
        }
        results
    })
}

#[test]
fn a_hook_waits_for_a_permit_of_its_account() {
    let transport = Script::new([answer(200, "{}")]);
    let results = called(3, &transport);
    let times: Vec<_> = results.iter().map(|(at, _)| *at).collect();
    assert_eq!(times, [0, 1, 2].map(seconds));
    assert!(results.iter().all(|(_, result)| result.is_ok()));
    println!("calls of a hook within the limit: {}", times.len());
}

#[test]
fn a_hook_is_not_sent_while_the_provider_refuses_the_account() {
    let refusal = Step::Answer(429, vec![("retry-after", "60".to_owned())], String::new());
    let transport = Script::new([refusal, answer(200, "{}")]);
    let mut results = called(2, &transport);
    let (at, late) = results.pop().unwrap();
    let late = late.unwrap_err();
    let after = Some(seconds(60));
    assert_eq!(late.class(), ExchangeClass::Transient { after });
    assert_eq!(late.sent(), Sent::No);
    assert_eq!(late.error().kind(), ErrorKind::RateLimited);
    assert!(at <= seconds(5), "{at:?}");
    assert_eq!(transport.count(), 1);
    let (_, refused) = results.pop().unwrap();
    assert_eq!(refused.unwrap_err().sent(), Sent::Answered);
}
