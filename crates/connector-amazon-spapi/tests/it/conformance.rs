//! Conformance suite, settings, and OAuth description of the connector.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use connector_amazon_spapi::sim::{SIMULATED_APPLICATION, Simulator};
use connector_amazon_spapi::{
    AmazonConfig, AmazonSpApi, AppstoreLogin, Marketplace, Region, UserAgent, VARIABLES,
};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::HttpTransport;
use connector_core::provider::Connector;
use connector_core::provider::config::markdown;
use connector_core::provider::oauth::RotationClass;
use connector_core::{App, ErrorKind};
use connector_testkit::connector::{ConnectorFixture, Consent, TokenFault};
use secrecy::SecretString;
use url::Url;

/// The connector under test.
struct Fixture {
    clock: ManualClock,
    sim: Simulator,
    amazon: AmazonSpApi,
}

#[async_trait]
impl ConnectorFixture for Fixture {
    async fn start(mark: &str) -> Self {
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let builder = Simulator::builder(clock.clone()).with_mark(mark);
        let sim = builder.start().await.unwrap();
        let config = AmazonConfig::for_simulator(&sim).unwrap();
        Self {
            amazon: AmazonSpApi::new(config),
            clock,
            sim,
        }
    }

    fn connector(&self) -> &dyn Connector {
        &self.amazon
    }

    fn app(&self) -> App {
        self.sim.app()
    }

    fn transport(&self) -> Arc<dyn HttpTransport> {
        self.sim.server().transport()
    }

    fn clock(&self) -> &ManualClock {
        &self.clock
    }

    async fn visit(&self, url: &Url, consent: &Consent) -> Option<String> {
        let back = self.sim.authority().visit(url, consent).unwrap();
        back.query().map(str::to_owned)
    }

    fn fault(&self, fault: TokenFault) {
        self.sim.server().fault("/auth/o2/token", fault);
    }

    fn end_grants(&self) {
        self.sim.authority().end_grants();
    }

    fn app_parameter(&self) -> (String, String) {
        (
            "application_id".to_owned(),
            SIMULATED_APPLICATION.to_owned(),
        )
    }
}

connector_testkit::connector_suite!(Fixture);

#[test]
fn the_suite_applies_but_for_what_amazon_does_not_have() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Fixture>();
    println!("cases that apply: {} of {}", applicable.len(), all.len());
    let left_out: Vec<_> = all
        .into_iter()
        .filter(|it| !applicable.contains(it))
        .collect();
    println!("left out: {left_out:?}");
    assert_eq!((applicable.len(), left_out.len()), (38, 24));
}

#[test]
fn the_description_says_what_amazon_does() {
    let amazon = AmazonSpApi::new(AmazonConfig::builder().build().unwrap());
    let description = amazon.description();
    description.validate().unwrap();
    assert_eq!(description.provider, AmazonSpApi::ID);
    assert_eq!(description.rotation, RotationClass::Stable);
    assert_eq!(description.lifetimes.refresh_seconds, Some(365 * 86_400));
    assert!(description.revocation.is_none() && description.webhook.is_none());
    assert_eq!((description.api.len(), description.links.len()), (3, 1));
    let sandbox = AmazonConfig::builder().with_sandbox(true).build().unwrap();
    let sandbox = AmazonSpApi::new(sandbox);
    let description = sandbox.description();
    description.validate().unwrap();
    // Sandbox documents have additional hosts, which production does not accept.
    assert_eq!((description.api.len(), description.links.len()), (3, 2));
    let host = description.api[0].url("").unwrap();
    assert_eq!(
        host.host_str(),
        Some("sandbox.sellingpartnerapi-na.amazon.com")
    );
}

#[test]
fn the_marketplaces_are_those_of_amazons_list() {
    let ids: BTreeSet<&str> = Marketplace::ALL.iter().map(|it| it.id()).collect();
    assert_eq!((Marketplace::ALL.len(), ids.len()), (23, 23));
    let count = |region| {
        Marketplace::ALL
            .iter()
            .filter(|it| it.region() == region)
            .count()
    };
    assert_eq!(Region::ALL.map(count), [4, 16, 3]);
    let read = |text: &str| text.parse::<Marketplace>().ok();
    assert_eq!(read("gb"), Some(Marketplace::Uk));
    assert_eq!(read("A1PA6795UKMFR9"), Some(Marketplace::De));
    assert_eq!(read("DE"), Some(Marketplace::De));
    for text in ["", "XX", "sellercentral.amazon.de", "https://evil.example"] {
        assert_eq!(read(text), None, "{text}");
    }
    println!("marketplaces: {}", ids.len());
}

#[test]
fn a_user_agent_is_escaped_and_bounded() {
    let agent = UserAgent::new(r"My\App/Pro", "1.0 (beta").unwrap();
    let agent = agent.with_attribute("A=b", "x;y)z").unwrap();
    let expected = r"My\\App\/Pro/1.0 \(beta (Language=Rust; A\=b=x\;y\)z)";
    assert_eq!(agent.as_str(), expected);
    for (name, version) in [("", "1"), ("App", ""), ("App\n", "1"), ("Äpp", "1")] {
        let error = UserAgent::new(name, version).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    assert!(UserAgent::new(&"a".repeat(600), "1").is_err());
}

#[test]
fn an_appstore_login_leads_to_amazons_confirmation_page_only() {
    let page =
        |host: &str| format!("https://{host}/apps/authorize/confirm/{SIMULATED_APPLICATION}");
    let parse = |callback: &str| {
        let callback: String = url::form_urlencoded::byte_serialize(callback.as_bytes()).collect();
        let query = format!(
            "amazon_callback_uri={callback}&amazon_state=s&selling_partner_id=A1EXAMPLE&version=beta"
        );
        AppstoreLogin::parse(SIMULATED_APPLICATION, &query)
    };
    let mut accepted = 0;
    for (host, region) in [
        ("amazon.com", None),
        ("www.amazon.com", None),
        ("sellercentral.amazon.com", Some(Region::Na)),
        ("sellercentral-europe.amazon.com", Some(Region::Eu)),
        ("sellercentral.amazon.co.jp", Some(Region::Fe)),
        ("sellercentral.amazon.de", Some(Region::Eu)),
    ] {
        let login = parse(&page(host)).unwrap();
        assert_eq!(login.region(), region, "{host}");
        assert_eq!(login.selling_partner_id(), "A1EXAMPLE");
        accepted += 1;
    }
    let refused = [
        page("evil.example"),
        page("amazon.com.evil.example"),
        page("evil-amazon.com"),
        page("sellercentral.amazon.example"),
        page("user@amazon.com"),
        page("amazon.com:8443"),
        page("amazon.com\\@evil.example"),
        page("amazon.com").replace("https", "http"),
        page("amazon.com").replace("confirm", "consent"),
        format!("{}/../x", page("amazon.com")),
        format!("{}#f", page("amazon.com")),
        format!("{}x", page("amazon.com")),
        "javascript:alert(1)".to_owned(),
        "//amazon.com/apps".to_owned(),
        String::new(),
    ];
    for callback in &refused {
        let error = parse(callback).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::CallbackRefused, "{callback}");
        assert!(!error.report().contains("evil"), "{error}");
    }
    let query = |query: &str| AppstoreLogin::parse(SIMULATED_APPLICATION, query);
    let callback = format!("amazon_callback_uri={}", page("amazon.com"));
    for broken in [
        format!("{callback}&selling_partner_id=A1"),
        format!("{callback}&amazon_state=s"),
        format!("{callback}&amazon_state=s&selling_partner_id=A1&selling_partner_id=A2"),
        format!("{callback}&{callback}&amazon_state=s&selling_partner_id=A1"),
        format!("{callback}&amazon_state=s&selling_partner_id=a%20b"),
    ] {
        assert!(query(&broken).is_err(), "{broken}");
    }
    println!(
        "callback pages accepted: {accepted}, refused: {}",
        refused.len()
    );
}

#[test]
fn settings_are_named_and_their_values_are_not_repeated() {
    const COMPLETE: [(&str, &str); 6] = [
        ("AMAZON_SP_APP_ID", "amzn1.sp.solution.example"),
        ("AMAZON_LWA_CLIENT_ID", "an-id"),
        ("AMAZON_LWA_CLIENT_SECRET", "tell-nobody"),
        ("AMAZON_REDIRECT_URI", "https://app.example/callback"),
        ("AMAZON_SP_MARKETPLACE", "DE"),
        ("AMAZON_SP_BASE_URL", "http://127.0.0.1:4010"),
    ];
    let configure = |changed: (&str, &str)| {
        AmazonConfig::from_variables(|name| {
            let mut known = [changed]
                .into_iter()
                .chain(COMPLETE)
                .filter(|(known, _)| *known == name);
            let value = known.next().map(|(_, value)| value);
            Ok(value.filter(|it| !it.is_empty()).map(SecretString::from))
        })
    };
    let config = configure(("", "")).unwrap();
    assert!(config.loopbacks().len() > 20);
    assert!(!format!("{config:?}").contains("tell-nobody"));
    let table = [
        ("AMAZON_SP_APP_ID", ""),
        ("AMAZON_SP_APP_ID", "tell/nobody"),
        ("AMAZON_LWA_CLIENT_ID", "tell nobody"),
        ("AMAZON_LWA_CLIENT_SECRET", "tell\nnobody"),
        ("AMAZON_LWA_CLIENT_SECRET_OLD", "tell\nnobody"),
        ("AMAZON_REDIRECT_URI", "http://tell-nobody.example/"),
        ("AMAZON_SP_MARKETPLACE", "tell-nobody"),
        ("AMAZON_SP_DRAFT", "nobody"),
        ("AMAZON_SP_SANDBOX", "nobody"),
        ("AMAZON_SP_BASE_URL", "http://tell-nobody.example:80"),
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
