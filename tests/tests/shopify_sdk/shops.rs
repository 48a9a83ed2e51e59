//! Tests of shop names. The client secret is sent to every host that these checks accept.

use std::collections::BTreeSet;

use connector_core::clock::SystemClock;
use connector_core::http::{HttpTransport, OutboundRequest};
use connector_core::provider::Connector;
use connector_http::HttpClient;
use connector_shopify::sim::{SimulatedShop, Simulator};
use connector_shopify::{ShopDomain, Shopify, ShopifyConfig};
use connector_tests::repetitions;
use connector_tests::shopify_sdk::ShopifySdk;
use http::StatusCode;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use url::Url;

use crate::comparison::{Comparison, Difference};
use crate::samples;

/// Intended differences in the decision on a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum OnPurpose {
    /// White space around it.
    WhiteSpace,
    /// A scheme before it.
    Scheme,
    /// Capital letters in the domain.
    Capitals,
    /// A page of the shop's admin, as an address bar shows it.
    AdminPage,
    /// The name of the shop without a domain.
    BareName,
    /// A domain that Shopify uses itself.
    Internal,
    /// An underscore.
    Underscore,
    /// A hyphen at the end.
    HyphenAtEnd,
    /// More than 63 characters.
    Long,
    /// Invalid Punycode.
    Punycode,
}

impl Difference for OnPurpose {
    const ALL: &'static [Self] = &[
        Self::WhiteSpace,
        Self::Scheme,
        Self::Capitals,
        Self::AdminPage,
        Self::BareName,
        Self::Internal,
        Self::Underscore,
        Self::HyphenAtEnd,
        Self::Long,
        Self::Punycode,
    ];

    fn sdk_accepts(self) -> bool {
        !matches!(
            self,
            Self::WhiteSpace | Self::Scheme | Self::Capitals | Self::AdminPage | Self::BareName
        )
    }

    fn why(self) -> &'static str {
        match self {
            Self::WhiteSpace | Self::Scheme | Self::AdminPage | Self::BareName => {
                "people type or paste this form; it names exactly one shop"
            }
            Self::Capitals => "hosts have no case; the library allows capitals in the name alone",
            Self::Internal => "no merchant has one; `with_internal_domains` accepts them",
            Self::Underscore => "no host has one, and no merchant's shop",
            Self::HyphenAtEnd => "rustls takes no such server name",
            Self::Long => "DNS has no such name",
            Self::Punycode => "no URL has such a host",
        }
    }
}

impl OnPurpose {
    /// Returns the first difference that applies to `text`.
    fn of(text: &str) -> Option<Self> {
        let lower = text.to_ascii_lowercase();
        let bare = lower.trim_matches(|c: char| c.is_ascii_whitespace());
        if bare != lower {
            return Some(Self::WhiteSpace);
        }
        if bare.starts_with("https://") || bare.starts_with("http://") {
            return Some(Self::Scheme);
        }
        let domain = ["admin.shopify.com/store/", ".myshopify.com"];
        if domain
            .iter()
            .any(|it| lower.contains(it) && !text.contains(it))
        {
            return Some(Self::Capitals);
        }
        if !bare.contains('.') {
            return Some(Self::BareName);
        }
        if bare.contains(".myshopify.com/admin") {
            return Some(Self::AdminPage);
        }
        let host = bare.trim_end_matches('/');
        let label = match host.strip_prefix("admin.shopify.com/store/") {
            Some(name) if host != bare || name.contains(['/', '?', '#']) => {
                return Some(Self::AdminPage);
            }
            Some(name) => name,
            None => host.strip_suffix(".myshopify.com").unwrap_or_default(),
        };
        let domains = ["myshopify.io", "shop.dev", ".shopify.com"];
        let is_internal = domains.iter().any(|domain| host.ends_with(domain))
            || (host.contains("/store/") && !host.starts_with("admin.shopify.com/"));
        let is_url = || Url::parse(&format!("https://{label}.myshopify.com")).is_ok();
        match label {
            _ if is_internal => Some(Self::Internal),
            _ if label.contains('_') => Some(Self::Underscore),
            _ if label.ends_with('-') => Some(Self::HyphenAtEnd),
            _ if label.len() > 63 => Some(Self::Long),
            _ if label.starts_with("xn--") && !is_url() => Some(Self::Punycode),
            _ => None,
        }
    }
}

/// Generates names of shops and similar texts.
fn names() -> impl Strategy<Value = String> {
    let label = prop_oneof![
        6 => "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?",
        3 => "[A-Za-z0-9]([A-Za-z0-9-]{0,20}[A-Za-z0-9])?",
        2 => "[A-Za-z0-9_-]{1,6}",
        1 => "[a-z]{60,66}",
        1 => "xn--[a-z0-9-]{1,8}",
        1 => "\\PC{0,4}",
        1 => "[a-z]{1,4}[./@:%?# \\\\][a-z]{1,4}",
    ];
    let suffix = prop_oneof![
        12 => Just(".myshopify.com".to_owned()),
        1 => Just(".MyShopify.COM".to_owned()),
        1 => select(vec![".myshopify.io", ".shop.dev", ".shopify.com", ".spin.dev"])
            .prop_map(str::to_owned),
        1 => select(vec![
            ".myshopify.com.evil.example", "myshopify.com", ".notmyshopify.com", ".myshopify.co",
            ".myshopify.com.", ".myshopify.com:443", ".myshopify.com@evil.example",
            ".myshopify.com#", ".myshopify.com?x", ".myshopify.com/x", ".b.myshopify.com", "",
        ]).prop_map(str::to_owned),
    ];
    let before = prop_oneof![
        12 => Just(""),
        3 => select(vec![
            "https://", "http://", "HTTPS://", "ftp://", "//", " ", "\n", "\t ", "evil.example/",
            "evil.example#", "user@", "https://https://", "\u{a0}",
        ]),
    ];
    let after = prop_oneof![
        12 => Just(""),
        3 => select(vec!["/", "//", "/ ", " ", "\n", "\r\n", "/admin", "\0", "\u{a0}"]),
    ];
    let admin = (
        select(vec![
            "admin.shopify.com/store/",
            "admin.myshopify.com/store/",
            "admin.shop.dev/store/",
            "not-admin.shopify.com/store/",
            "ADMIN.shopify.com/store/",
            "admin.shopify.com/stores/",
            "https://admin.shopify.com/store/",
        ]),
        label.clone(),
        select(vec!["", "", "/", "/x"]),
    )
        .prop_map(|(before, label, after)| format!("{before}{label}{after}"));
    let shop = (before, label, suffix, after)
        .prop_map(|(before, label, suffix, after)| format!("{before}{label}{suffix}{after}"));
    // A valid name with one replaced character.
    let edited = ("[a-z0-9]{1,6}", any::<Index>(), any::<char>()).prop_map(|(label, at, with)| {
        let mut name: Vec<char> = format!("{label}.myshopify.com").chars().collect();
        let at = at.index(name.len());
        name[at] = with;
        name.into_iter().collect()
    });
    prop_oneof![8 => shop, 2 => admin, 2 => edited, 1 => "\\PC{0,30}"]
}

/// Normalizes the result of the library, which keeps capitals and slashes.
fn normal(sdk: &str) -> String {
    sdk.trim_end_matches('/').to_ascii_lowercase()
}

#[test]
fn whatever_we_accept_the_library_accepts_and_the_rest_is_meant() {
    let Some(mut sdk) = ShopifySdk::start().unwrap() else {
        return;
    };
    let names = samples(&names(), repetitions(12_000));
    let verdicts = sdk.sanitize_shops(&names).unwrap();
    let ours: Vec<Option<String>> = names
        .iter()
        .map(|name| ShopDomain::parse(name).ok().map(|it| it.to_string()))
        .collect();
    let mut comparison = Comparison::new();
    for ((name, verdict), ours) in names.iter().zip(&verdicts).zip(&ours) {
        let difference = OnPurpose::of(name);
        comparison.record(verdict.is_some(), ours.is_some(), difference, name);
        if let (Some(sdk), Some(ours)) = (verdict, ours) {
            assert_eq!(normal(sdk), *ours, "{name:?}");
        }
    }
    comparison.finish("names of shops");

    // The library accepts the normalized name of the connector unchanged.
    let accepted: Vec<String> = ours.into_iter().flatten().collect();
    let again = sdk.sanitize_shops(&accepted).unwrap();
    for (ours, sdk) in accepted.iter().zip(again) {
        assert_eq!(sdk.as_ref(), Some(ours));
    }
    println!("hosts of shops that both read alike: {}", accepted.len());
    assert!(accepted.len() > 2000);
}

#[test]
fn with_shopifys_own_domains_the_library_and_we_agree_on_these_too() {
    let Some(mut sdk) = ShopifySdk::start().unwrap() else {
        return;
    };
    let config = ShopifyConfig::builder().with_internal_domains().build();
    let shopify = Shopify::new(config.unwrap());
    let label = "[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?";
    let suffix = select(vec!["myshopify.io", "shop.dev", "shopify.com", "spin.dev"]);
    let cases = (label, suffix);
    let names: Vec<String> = samples(&cases, repetitions(1000))
        .into_iter()
        .map(|(label, suffix)| format!("{label}.{suffix}"))
        .collect();
    let (mut accepted, mut refused) = (0, 0);
    for (name, sdk) in names.iter().zip(sdk.sanitize_shops(&names).unwrap()) {
        let ours = shopify.account_host(name).ok().flatten();
        assert_eq!(ours, sdk, "{name}");
        if ours.is_some() {
            accepted += 1;
        } else {
            refused += 1;
        }
    }
    println!("internal names that both accept: {accepted}, that both refuse: {refused}");
    assert!(accepted > 500 && refused > 100);
}

#[tokio::test]
async fn every_shop_that_passes_can_be_reached() {
    let shops: BTreeSet<ShopDomain> = samples(&names(), repetitions(2000))
        .iter()
        .filter_map(|name| ShopDomain::parse(name).ok())
        .collect();
    let mut simulator = Simulator::builder(SystemClock::new());
    for shop in &shops {
        simulator = simulator.with_shop(SimulatedShop::new(shop.clone()).with_products(0));
    }
    let simulator = simulator.start().await.unwrap();
    let mut transport = HttpClient::builder();
    for loopback in ShopifyConfig::for_simulator(&simulator)
        .unwrap()
        .loopbacks()
    {
        transport = transport.with_loopback(loopback.clone());
    }
    let transport = transport.build().unwrap();
    for shop in &shops {
        let url = format!("https://{shop}/admin/oauth/authorize");
        let request = http::Request::get(url).body(bytes::Bytes::new()).unwrap();
        let answer = transport.send(OutboundRequest::token(request)).await;
        let status = answer.map(|it| it.status()).map_err(|error| error.kind());
        assert_eq!(status, Ok(StatusCode::BAD_REQUEST), "{shop}");
    }
    println!("shops that the transport reaches: {}", shops.len());
    assert!(shops.len() > 300);
}
