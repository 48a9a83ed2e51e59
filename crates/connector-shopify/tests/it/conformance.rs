//! The rules for all connectors, and facts that Shopify publishes: valid shop domains, and the
//! schema for documents. Also the documented settings of this crate.

use connector_core::http::{HttpTransport, OutboundRequest, TransportErrorKind};
use connector_core::provider::Connector;
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::{ErrorKind, Result};
use connector_shopify::{ShopDomain, Shopify, ShopifyConfig, VARIABLES};
use proptest::prelude::*;
use secrecy::SecretString;

use crate::fixture::Fixture;
use crate::world::World;

/// The default: tokens are never revoked.
mod usual {
    connector_testkit::connector_suite!(crate::fixture::Fixture<false>);
}

/// With uninstallation of the app at a disconnect.
mod uninstalling {
    connector_testkit::connector_suite!(crate::fixture::Fixture<true>);
}

#[test]
fn the_suite_applies_except_for_missing_features_of_shopify() {
    let all = connector_testkit::connector::names();
    let left_out = |applicable: Vec<&'static str>| -> Vec<&'static str> {
        println!("cases that apply: {} of {}", applicable.len(), all.len());
        let all = all.iter().copied();
        all.filter(|name| !applicable.contains(name)).collect()
    };
    assert_eq!(
        left_out(connector_testkit::connector::applicable::<Fixture<false>>()),
        [
            "a_callback_of_another_issuer_is_refused",
            "revoking_twice_is_harmless",
            "a_delivery_out_of_its_time_is_refused",
        ]
    );
    assert_eq!(
        left_out(connector_testkit::connector::applicable::<Fixture<true>>()),
        [
            "a_callback_of_another_issuer_is_refused",
            "revoking_is_unsupported_where_it_is_not_described",
            "a_delivery_out_of_its_time_is_refused",
        ]
    );
}

/// Test vectors from Shopify's libraries.
#[test]
fn published_shop_names_are_decided_as_published() {
    const ACCEPTED: [(&str, &str); 6] = [
        ("test-shop.myshopify.com", "test-shop.myshopify.com"),
        ("https://test-shop.myshopify.com", "test-shop.myshopify.com"),
        ("Test-Shop.MyShopify.com", "test-shop.myshopify.com"),
        ("  test-shop.myshopify.com  ", "test-shop.myshopify.com"),
        ("test-shop.myshopify.com/", "test-shop.myshopify.com"),
        (
            "https://admin.shopify.com/store/cool-shop",
            "cool-shop.myshopify.com",
        ),
    ];
    const REFUSED: [&str; 19] = [
        "-invalid.myshopify.io",
        "-invalid.myshopify.com",
        "notshopify.com",
        "not-admin.shopify.com/store/my-shop",
        "myshopify.com",
        "shopify.com",
        "attacker.example",
        "",
        "two words",
        "myshopify.com.evil.com",
        "store.myshopify.com.evil.com",
        "test-shop.notmyshopify.com",
        "attacker.com/.myshopify.com",
        "shop.myshopify.com@evil.com",
        "/foo/bar",
        "/foo.myshopify.io.evil.ru",
        "%0a123.myshopify.io ",
        "foo.bar.myshopify.io",
        "foo.bar.myshopify.com",
    ];
    for (text, host) in ACCEPTED {
        assert_eq!(ShopDomain::parse(text).unwrap().as_str(), host);
    }
    for text in REFUSED {
        let error = ShopDomain::parse(text).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "{text}");
    }
    let shop = ShopDomain::parse(ACCEPTED[0].0).unwrap();
    assert_eq!(
        format!("{shop:?}"),
        "ShopDomain(\"test-shop.myshopify.com\")"
    );
    println!("published shop names: {}", ACCEPTED.len() + REFUSED.len());
}

proptest! {
    #[test]
    fn every_accepted_shop_is_one_label_under_shopifys_domain(text in "\\PC{0,40}|[a-z0-9.:/@#?-]{0,20}(\\.myshopify\\.com)?[a-z0-9.:/@#?-]{0,3}") {
        if let Ok(shop) = ShopDomain::parse(&text) {
            let label = shop.as_str().strip_suffix(".myshopify.com").unwrap();
            prop_assert!(label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-'));
            let url = url::Url::parse(&format!("https://{shop}/x")).unwrap();
            prop_assert_eq!(url.host_str(), Some(shop.as_str()));
            prop_assert_eq!(ShopDomain::parse(shop.as_str()).unwrap(), shop);
        }
    }
}

#[test]
fn shopifys_own_domains_are_shops_only_by_explicit_choice() {
    let host = |config: ShopifyConfig, text: &str| Shopify::new(config).account_host(text).ok();
    for text in ["dev-shop.myshopify.io", "a.shop.dev", "a.shopify.com"] {
        let usual = ShopifyConfig::builder().build().unwrap();
        assert_eq!(host(usual, text), None);
        let internal = ShopifyConfig::builder().with_internal_domains();
        assert_eq!(
            host(internal.build().unwrap(), text),
            Some(Some(text.to_owned()))
        );
    }
}

#[test]
fn the_description_says_what_shopify_does() {
    let shopify = Shopify::new(ShopifyConfig::builder().build().unwrap());
    let description = shopify.description();
    let grace = Grace::UntilSuccessorUsed {
        max_seconds: 30 * 86_400,
    };
    assert_eq!(description.rotation, RotationClass::Grace(grace));
    assert_eq!(
        description.lifetimes.unstated,
        connector_core::provider::description::UnstatedLifetime::Assume(3600)
    );
    assert_eq!(description.lifetimes.refresh_seconds, Some(90 * 86_400));
    assert!(shopify.app_source().is_none());
}

fn configure(variables: &[(&str, &str)]) -> Result<ShopifyConfig> {
    ShopifyConfig::from_variables(|name| {
        let found = variables.iter().find(|(known, _)| *known == name);
        Ok(found.map(|(_, value)| SecretString::from((*value).to_owned())))
    })
}

const COMPLETE: [(&str, &str); 3] = [
    ("SHOPIFY_CLIENT_ID", "an-id"),
    ("SHOPIFY_CLIENT_SECRET", "tell-nobody"),
    ("SHOPIFY_REDIRECT_URI", "https://app.example/callback"),
];

#[test]
fn settings_are_read_under_both_names() {
    configure(&COMPLETE).unwrap();
    let templates = [
        ("SHOPIFY_API_KEY", "an-id"),
        ("SHOPIFY_API_SECRET", "a-secret"),
        ("SHOPIFY_API_SECRET_OLD", "an-old-secret"),
        ("SHOPIFY_REDIRECT_URI", "http://localhost:3000/callback"),
        ("SCOPES", "read_products, write_orders"),
        (
            "SHOPIFY_BASE_URL",
            "http://127.0.0.1:4010/demo-shop.myshopify.com",
        ),
    ];
    let config = configure(&templates).unwrap();
    // The shop and the hosts of files.
    assert_eq!(config.loopbacks().len(), 3);
    assert_eq!(
        config.loopbacks()[0].origin().host(),
        "demo-shop.myshopify.com"
    );
    let shown = format!("{config:?}");
    assert!(
        shown.contains("write_orders") && !shown.contains("a-secret"),
        "{shown}"
    );
}

#[test]
fn a_group_that_is_set_in_part_names_the_missing_variable_and_no_value() {
    for (at, (name, _)) in COMPLETE.iter().enumerate() {
        let mut partial = COMPLETE.to_vec();
        partial.remove(at);
        for unset in [partial.clone(), [&partial[..], &[(*name, " ")]].concat()] {
            let error = configure(&unset).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(error.message().contains(name), "{error}");
            assert!(!error.report().contains("tell-nobody"), "{error}");
        }
    }
}

#[test]
fn a_setting_that_is_wrong_is_named_without_its_value() {
    let table = [
        ("SHOPIFY_CLIENT_ID", "tell nobody"),
        ("SHOPIFY_API_KEY", "tell-nobody-else"),
        ("SHOPIFY_CLIENT_SECRET", "tell\nnobody"),
        ("SHOPIFY_CLIENT_SECRET_OLD", "tell\nnobody"),
        ("SHOPIFY_REDIRECT_URI", "tell-nobody"),
        (
            "SHOPIFY_REDIRECT_URI",
            "http://tell-nobody.example/callback",
        ),
        ("SHOPIFY_REDIRECT_URI", "https://app.example/#tell-nobody"),
        ("SHOPIFY_SCOPES", "read_products,tell-nobody!"),
        (
            "SHOPIFY_BASE_URL",
            "http://tell-nobody.example:80/demo-shop.myshopify.com",
        ),
        (
            "SHOPIFY_BASE_URL",
            "http://10.0.0.1:80/demo-shop.myshopify.com",
        ),
        (
            "SHOPIFY_BASE_URL",
            "https://127.0.0.1:80/demo-shop.myshopify.com",
        ),
        (
            "SHOPIFY_BASE_URL",
            "http://127.0.0.1:0/demo-shop.myshopify.com",
        ),
        ("SHOPIFY_BASE_URL", "http://127.0.0.1:80/evil.example"),
        ("SHOPIFY_BASE_URL", "http://127.0.0.1:80"),
    ];
    for (name, value) in table {
        let others = COMPLETE.iter().filter(|(known, _)| *known != name);
        let variables: Vec<_> = others.copied().chain([(name, value)]).collect();
        let error = configure(&variables).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        assert!(error.message().contains(name), "{error}");
        let report = error.report();
        assert!(!report.contains("nobody"), "{report}");
    }
    println!("wrong settings refused: {}", table.len());
}

#[test]
fn the_readme_lists_the_settings_as_they_are_read() {
    let readme = include_str!("../../README.md");
    for variable in VARIABLES {
        let alias = variable
            .alias
            .map_or(String::new(), |alias| format!("`{alias}` "));
        let required = if variable.required { "yes" } else { "no" };
        let row = format!(
            "| `{}` | {alias}| {required} | {} |",
            variable.name, variable.purpose
        );
        assert!(readme.contains(&row), "{row}");
    }
}

#[tokio::test]
async fn only_the_simulated_shop_is_reached_on_this_machine() {
    let world = World::new().await;
    let reach = async |url: &str| {
        let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
        world.transport.send(OutboundRequest::new(request)).await
    };
    let address = world.sim.server().address();
    let here = format!("https://{}/admin/api/2026-10/graphql.json", world.shop);
    assert_eq!(reach(&here).await.unwrap().status(), 405);
    let refused = [
        format!("http://{address}/"),
        format!("https://{address}/"),
        format!("https://{}:{}/", world.shop, address.port()),
        format!("http://{}/", world.shop),
        "https://localhost/".to_owned(),
    ];
    for url in &refused {
        let error = reach(url).await.unwrap_err();
        assert_eq!(error.kind(), TransportErrorKind::AddressRefused, "{url}");
    }
    let shop = world
        .shopify
        .account_host(&address.to_string())
        .unwrap_err();
    assert_eq!(shop.kind(), ErrorKind::InvalidInput);
    println!("ways around the opening refused: {}", refused.len() + 1);
}
