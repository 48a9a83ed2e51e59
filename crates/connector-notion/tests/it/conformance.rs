//! Tests of the rules for all connectors, and of Notion's settings and facts.

use bytes::Bytes;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::config::markdown;
use connector_core::provider::oauth::RotationClass;
use connector_core::provider::{Connector, Description};
use connector_core::webhook::AccountHint;
use connector_core::{AccountKey, ErrorKind};
use connector_notion::sim::{Simulator, sign};
use connector_notion::{Notion, NotionConfig, VARIABLES};
use connector_sim::{Account, Authority, AuthorityBuilder, Grant, Request, Response};
use connector_testkit::connector::{Delivery, Simulated, SimulatedProvider};
use secrecy::SecretString;
use serde_json::json;

const TOKEN: &str = "secret_example_verification_token";
const EVENT: &str = r#"{"id":"00000000-0000-4000-8000-000000000001","timestamp":"2026-11-20T12:00:00.000Z","type":"page.created","accessible_by":[{"id":"b0000000-0000-4000-8000-000000000001","type":"bot"},{"id":"a0000000-0000-4000-8000-000000000001","type":"person"}],"entity":{"id":"10000000-0000-4000-8000-000000000001","type":"page"},"data":{}}"#;

fn notion() -> Notion {
    Notion::new(NotionConfig::builder().build().unwrap())
}

/// Test fixture that gives the conformance suite access to Notion.
struct Suite;

struct Api;

impl connector_sim::Provider for Api {
    fn call(&self, request: &Request, _: &Grant) -> Response {
        let body =
            json!({ "object": "list", "results": [], "has_more": false, "next_cursor": null });
        let is_list = request.path() == "/v1/users";
        Response::json(if is_list { 200 } else { 404 }, &body)
    }

    fn identity(&self, grant: &Grant, body: &mut serde_json::Value) {
        *body = json!({
            "object": "user", "id": grant.account, "type": "bot", "name": "Bot",
            "bot": { "owner": body["owner"], "workspace_name": body["workspace_name"] },
        });
    }
}

impl SimulatedProvider for Suite {
    fn description() -> Description {
        notion().description().clone()
    }

    fn connector(_: Description) -> Box<dyn Connector> {
        Box::new(notion())
    }

    fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
        let account = Account::new(Simulator::bot(1)).with_label("Example workspace");
        builder.with_account(account).with_provider(Api)
    }

    fn delivery(_: &Authority, body: Option<Bytes>) -> Option<Delivery> {
        let is_ours = body.is_none();
        let body = body.unwrap_or_else(|| Bytes::from_static(EVENT.as_bytes()));
        let delivery = Delivery::new(sign(TOKEN, body).ok()?, "page.created");
        let bot = Simulator::bot(1);
        if !is_ours {
            return Some(delivery);
        }
        let key = AccountKey::new(bot.as_str()).ok()?;
        let id = format!("00000000-0000-4000-8000-000000000001:{bot}");
        Some(
            delivery
                .with_delivery_id(id)
                .with_account(AccountHint::Key(key)),
        )
    }

    fn webhook_secret() -> Option<SecretString> {
        Some(SecretString::from(TOKEN))
    }
}

connector_testkit::connector_suite!(Simulated<Suite>);

#[test]
fn the_expected_conformance_cases_apply() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Simulated<Suite>>();
    println!("cases that apply: {} of {}", applicable.len(), all.len());
    let left_out: Vec<_> = all
        .into_iter()
        .filter(|it| !applicable.contains(it))
        .collect();
    println!("left out: {left_out:?}");
    assert_eq!((applicable.len(), left_out.len()), (48, 14));
}

#[test]
fn the_description_matches_notion() {
    let notion = notion();
    let description = notion.description();
    description.validate().unwrap();
    assert_eq!(description.provider, Notion::ID);
    assert_eq!(description.rotation, RotationClass::Strict);
    assert_eq!(description.headers["notion-version"], "2026-03-11");
    assert!(description.scopes.default.is_empty() && description.scopes.required.is_empty());
    assert!(description.revocation.is_some() && description.webhook.is_some());
    assert_eq!(description.limits.len(), 1);
    assert!(notion.app_source().is_none());
    let now = ManualClock::new(Timestamp::UNIX_EPOCH);
    let token = Notion::token("ntn_example", connector_core::clock::Clock::now(&now)).unwrap();
    assert!(token.refresh_token().is_none());
}

#[test]
fn setting_errors_contain_the_name_but_not_the_value() {
    const COMPLETE: [(&str, &str); 5] = [
        ("NOTION_CLIENT_ID", "an-id"),
        ("NOTION_CLIENT_SECRET", "tell-nobody"),
        ("NOTION_REDIRECT_URI", "https://app.example/callback"),
        ("NOTION_WEBHOOK_VERIFICATION_TOKEN", "secret_tell-nobody"),
        ("NOTION_BASE_URL", "http://127.0.0.1:4010"),
    ];
    let configure = |changed: (&str, &str)| {
        NotionConfig::from_variables(|name| {
            let all = [changed].into_iter().chain(COMPLETE);
            let mut known = all.filter(|(known, value)| *known == name && !value.is_empty());
            Ok(known.next().map(|(_, value)| SecretString::from(value)))
        })
    };
    let config = configure(("", "")).unwrap();
    assert_eq!(config.loopbacks().len(), 1);
    assert!(!format!("{config:?}").contains("tell-nobody"));
    let table = [
        ("NOTION_CLIENT_ID", "tell nobody"),
        ("NOTION_CLIENT_SECRET", "tell\nnobody"),
        ("NOTION_REDIRECT_URI", "http://tell-nobody.example/"),
        ("NOTION_WEBHOOK_VERIFICATION_TOKEN", "tell\nnobody"),
        ("NOTION_BASE_URL", "http://tell-nobody.example:80"),
    ];
    for (name, value) in table {
        let error = configure((name, value)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        assert!(error.message().starts_with(name), "{error}");
        assert!(!error.report().contains("nobody"), "{error}");
    }
    let missing = NotionConfig::from_variables(|name| {
        let known = COMPLETE
            .iter()
            .find(|(known, _)| *known == name && name != "NOTION_CLIENT_SECRET");
        Ok(known.map(|(_, value)| SecretString::from(*value)))
    });
    assert!(
        missing
            .unwrap_err()
            .message()
            .contains("NOTION_CLIENT_SECRET")
    );
    println!("malformed settings refused by name: {}", table.len() + 1);
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&markdown(VARIABLES)),
        "{}",
        markdown(VARIABLES)
    );
}
