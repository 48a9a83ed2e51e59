//! Tests of hook addresses and of their adoption without a request.

use std::time::Duration;

use connector_core::clock::{Clock as _, Timestamp};
use connector_core::http::Origin;
use connector_core::{Actor, Credential, CredentialKind, ErrorKind};
use connector_zapier::{HookForm, HookUrl, Zapier};
use secrecy::{ExposeSecret as _, SecretString};

use crate::rig::{Rig, tenant};

fn parse(text: &str) -> connector_core::Result<HookUrl> {
    HookUrl::parse(&SecretString::from(text))
}

#[test]
fn addresses_of_hooks_are_read() {
    let table = [
        (
            "https://hooks.zapier.com/hooks/catch/1234567/abc12de/",
            HookForm::Catch,
            Some("1234567"),
        ),
        (
            "https://hooks.zapier.com/hooks/catch/1234567/abc12de",
            HookForm::Catch,
            Some("1234567"),
        ),
        (
            "https://hooks.zapier.com:443/hooks/catch/1/a/",
            HookForm::Catch,
            Some("1"),
        ),
        (
            "HTTPS://HOOKS.ZAPIER.COM/hooks/catch/1/a/",
            HookForm::Catch,
            Some("1"),
        ),
        (
            "https://hooks.zapier.com/hooks/catch/abc12de/",
            HookForm::LegacyCatch,
            None,
        ),
        (
            "https://hooks.zapier.com/hooks/catch/1/a/silent/",
            HookForm::Catch,
            Some("1"),
        ),
        (
            "https://hooks.zapier.com/hooks/standard/1234567/0123456789abcdef0123456789abcdef/",
            HookForm::RestHook,
            Some("1234567"),
        ),
    ];
    for (text, form, user) in table {
        let hook = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!((hook.form(), hook.user_id()), (form, user), "{text}");
        assert!(!format!("{hook:?}").contains("abc12de"), "{hook:?}");
    }
    println!("addresses that are read: {}", table.len());
}

#[test]
fn other_addresses_are_refused_and_not_repeated() {
    let long = format!(
        "https://hooks.zapier.com/hooks/catch/1/{}/",
        "a".repeat(2048)
    );
    let segment = format!("https://hooks.zapier.com/hooks/catch/1/{}/", "a".repeat(65));
    let table = [
        "",
        "nobody",
        "http://hooks.zapier.com/hooks/catch/1/nobody/",
        "ftp://hooks.zapier.com/hooks/catch/1/nobody/",
        "https://hooks.zapier.com./hooks/catch/1/nobody/",
        "https://hooks.zapier.com.evil.example/hooks/catch/1/nobody/",
        "https://evilhooks.zapier.com/hooks/catch/1/nobody/",
        "https://zapier.com/hooks/catch/1/nobody/",
        "https://127.0.0.1/hooks/catch/1/nobody/",
        "https://[::1]/hooks/catch/1/nobody/",
        "https://2130706433/hooks/catch/1/nobody/",
        "https://user@hooks.zapier.com/hooks/catch/1/nobody/",
        "https://@hooks.zapier.com/hooks/catch/1/nobody/",
        "https://user:nobody@hooks.zapier.com/hooks/catch/1/a/",
        "https://hooks.zapier.com@evil.example/hooks/catch/1/nobody/",
        "https://hooks.zapier.com:444/hooks/catch/1/nobody/",
        "https://hooks.zapier.com/hooks/catch/1/nobody/?a=b",
        "https://hooks.zapier.com/hooks/catch/1/nobody/#a",
        "https://hooks.zapier.com/hooks/catch/1/../nobody/",
        "https://hooks.zapier.com/hooks/catch/./nobody/",
        "https://hooks.zapier.com/hooks/catch/1/%2e%2e/nobody/",
        "https://hooks.zapier.com/hooks/catch/1%2fnobody/",
        "https://hooks.zapier.com/hooks/catch\\1\\nobody/",
        "https:\\\\hooks.zapier.com\\hooks\\catch\\1\\nobody",
        "https://hooks.zapier.com/hooks/catch//nobody/",
        "https://hooks.zapier.com/hooks/catch/1/nobody//",
        "https://hooks.zapier.com/hooks/catch/",
        "https://hooks.zapier.com/hooks/other/1/nobody/",
        "https://hooks.zapier.com/HOOKS/catch/1/nobody/",
        "https://hooks.zapier.com/hooks/catch/1/2/3/4/nobody/",
        "https://hooks.zapier.com/fake-subscription-url",
        " https://hooks.zapier.com/hooks/catch/1/nobody/",
        "https://hooks.zapier.com/hooks/catch/1/no\nbody/",
        "https://hooks.zapier.com/hooks/catch/1/nobödy/",
        "https:hooks.zapier.com/hooks/catch/1/nobody/",
        &long,
        &segment,
    ];
    for text in table {
        let Err(error) = parse(text) else {
            panic!("{text} is accepted");
        };
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
        assert!(!error.report().contains("nobody"), "{error}");
        assert!(Zapier::hook(text, Timestamp::UNIX_EPOCH).is_err(), "{text}");
    }
    println!("addresses that are refused: {}", table.len());
}

#[tokio::test]
async fn a_hook_is_adopted_without_a_request() {
    let rig = Rig::new().await;
    let hook = rig.sim.add_catch_hook();
    let key = rig.connect(&hook).await;
    let connection = rig.hub.tenant(&tenant()).get(key.id).await.unwrap();
    let account = &connection.account;
    let address = hook.expose_secret().trim_end_matches('/').to_owned();
    let end = &address[address.len() - 4..];
    assert_eq!(
        account.label.as_deref(),
        Some(format!("hooks.zapier.com/…/{end}").as_str())
    );
    assert_eq!(account.key.as_str().len(), 32);
    let name = address.rsplit('/').next().unwrap();
    assert!(!format!("{connection:?}").contains(name));
    assert_eq!(
        connection.metadata.get::<String>("zapier_user_id").unwrap(),
        "1234567"
    );
    assert_eq!(connection.metadata.get::<String>("form").unwrap(), "catch");

    // The address with and without the final slash is the same connection. Another address is not.
    assert_eq!(rig.connect(&SecretString::from(address)).await, key);
    let other = rig.connect(&rig.sim.add_catch_hook()).await;
    assert_ne!(other, key);
    // A week of maintenance sends no request either.
    for _ in 0..7 {
        rig.clock.advance(Duration::from_hours(24));
        rig.work().await;
    }
    assert_eq!(rig.requests(), 0, "{:?}", rig.sim.server().counts());
    println!("requests to hooks by adoption and a week of maintenance: 0 for 2 connections");
}

#[tokio::test]
async fn a_credential_with_another_address_is_not_adopted() {
    let rig = Rig::new().await;
    let table = [
        (
            "https://hooks.zapier.com",
            "https://evil.example/hooks/catch/1/nobody/",
        ),
        (
            "https://evil.example",
            "https://evil.example/hooks/catch/1/nobody/",
        ),
        (
            "https://evil.example",
            "https://hooks.zapier.com/hooks/catch/1/nobody/",
        ),
        (
            "https://hooks.zapier.com",
            "https://hooks.zapier.com/hooks/catch/1/nobody/?x=1",
        ),
        ("https://hooks.zapier.com", "nobody"),
    ];
    for (origin, url) in table {
        let kind = CredentialKind::SecretUrl;
        let origin = Origin::parse(origin).unwrap();
        let credential = Credential::new(kind, origin, url, rig.clock.now());
        let adopt = rig.hub.adopt(&tenant(), Zapier::ID, credential);
        let error = adopt.actor(Actor::Worker).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{url}: {error}");
        assert!(!error.report().contains("nobody"), "{error}");
    }
    assert_eq!(rig.requests(), 0);
    println!("credentials that are refused: {}", table.len());
}
