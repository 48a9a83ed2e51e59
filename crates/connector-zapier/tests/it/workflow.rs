//! Tests of the Workflow API: the rules for all connectors, operations, and the rate limit.

use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::Keyring;
use connector_core::clock::{Clock as _, ManualClock, Timestamp};
use connector_core::provider::{Connector, Description};
use connector_core::store::MemoryStore;
use connector_core::{Actor, ErrorKind, TenantId};
use connector_hub::Hub;
use connector_sim::{
    Account, Authority, AuthorityBuilder, Consent, Fault, Grant, Request, Response,
};
use connector_testkit::connector::{Simulated, SimulatedProvider};
use connector_testkit::leak::canary;
use connector_testkit::{drive, trace};
use connector_zapier::workflow::{
    GetProfile, ListZapRuns, ListZaps, VARIABLES, WorkflowClient, WorkflowConfig, ZapierWorkflow,
};
use futures_util::TryStreamExt as _;
use http::Method;
use secrecy::SecretString;
use serde_json::{Value, json};

fn workflow() -> ZapierWorkflow {
    ZapierWorkflow::new(WorkflowConfig::default())
}

/// A simulated Workflow API, with responses in the form of Zapier's documented examples.
struct Api;

impl connector_sim::Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        let number = |name: &str| request.query(name).and_then(|it| it.parse::<usize>().ok());
        let offset = number("offset").unwrap_or(0);
        let limit = number("limit").unwrap_or(10);
        let all: Vec<Value> = match request.path() {
            "/v2/zaps" => (0..250).map(zap).collect(),
            "/v2/zap-runs" if grant.scopes.iter().any(|it| it == "zap:runs") => (0..3)
                .map(|run| {
                    json!({
                        "id": format!("run-{run}"), "zap_id": number("zap_id").unwrap_or(1),
                        "status": "success", "start_time": "2026-11-20T12:00:00Z",
                        "end_time": null, "zap_title": "Example", "steps": [], "new": true,
                    })
                })
                .collect(),
            _ => return Response::json(403, &json!({ "errors": [{}] })),
        };
        let count = all.len();
        let data: Vec<&Value> = all.iter().skip(offset).take(limit).collect();
        let next = (offset + limit < count).then_some("https://evil.example/v2/zaps?offset=1");
        let body = json!({
            "data": data, "links": { "next": next, "prev": null },
            "meta": { "count": count, "limit": limit, "offset": offset },
        });
        Response::json(200, &body)
    }
}

fn zap(number: u64) -> Value {
    json!({
        "type": "zap", "id": format!("00000000-0000-4000-8000-{number:012}"),
        "title": format!("Zap {number}"), "is_enabled": number.is_multiple_of(2),
        "last_successful_run_date": null, "updated_at": "2026-11-20T12:00:00Z",
        "links": { "html_editor": "https://zapier.com/editor/1" }, "steps": [],
    })
}

fn profile() -> Account {
    let document = json!({
        "id": 4711, "email": "ann@example.com", "email_confirmed": true, "first_name": "Ann",
        "last_name": "Example", "full_name": "Ann Example", "timezone": "Europe/Berlin",
    });
    Account::new("4711")
        .with_label("ann@example.com")
        .with_document(document)
}

/// Test fixture that gives the conformance suite access to the Workflow API.
struct Suite;

impl SimulatedProvider for Suite {
    fn description() -> Description {
        workflow().description().clone()
    }

    fn connector(_: Description) -> Box<dyn Connector> {
        Box::new(workflow())
    }

    fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
        builder.with_account(profile()).with_provider(Api)
    }
}

connector_testkit::connector_suite!(Simulated<Suite>);

#[test]
fn the_suite_applies_to_oauth() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Simulated<Suite>>();
    println!("cases that apply: {} of {}", applicable.len(), all.len());
    assert_eq!((applicable.len(), all.len()), (39, 62));
}

struct Rig {
    clock: ManualClock,
    authority: Authority,
    hub: Hub,
}

impl Rig {
    async fn new() -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let authority = Authority::of(workflow().description())
            .with_mark(canary("workflow"))
            .with_account(profile())
            .with_provider(Api);
        let authority = authority.start(clock.clone()).await.unwrap();
        let app = authority.app();
        let config = WorkflowConfig::new(
            app.client_id(),
            app.client_secret().unwrap().clone(),
            app.redirect_uri().unwrap().clone(),
        );
        let config = config.with_simulator(authority.server().address()).unwrap();
        let hub = Hub::builder()
            .store(MemoryStore::new(Arc::new(clock.clone())))
            .cipher(Keyring::parse(&Keyring::generate().unwrap()).unwrap())
            .clock(clock.clone())
            .connector(ZapierWorkflow::new(config))
            .build()
            .unwrap();
        Self {
            clock,
            authority,
            hub,
        }
    }

    async fn client(&self, tenant: &str) -> WorkflowClient {
        let tenant = TenantId::new(tenant).unwrap();
        let authorize = self.hub.authorize(&tenant, ZapierWorkflow::ID);
        let begun = authorize.actor(Actor::Worker).begin().await.unwrap();
        let back = self.authority.visit(begun.url(), &Consent::Grant).unwrap();
        let query = back.query().unwrap();
        let connected = self
            .hub
            .callback(ZapierWorkflow::ID, query, begun.binding().clone())
            .actor(Actor::Worker)
            .tenant(&tenant)
            .await
            .unwrap();
        let connection = connected.connection();
        assert_eq!(connection.account.key.as_str(), "4711");
        assert_eq!(connection.account.label.as_deref(), Some("ann@example.com"));
        self.hub.client(connection.key()).await.unwrap()
    }

    fn drive<T>(&self, future: impl Future<Output = T>) -> impl Future<Output = T> {
        drive(&self.clock, Duration::from_secs(1), future)
    }
}

#[tokio::test]
async fn zaps_and_their_runs_are_listed_to_the_end() {
    let rig = Rig::new().await;
    let client = rig.client("t1").await;
    let profile = client.send(&GetProfile::new()).await.unwrap();
    assert_eq!(
        (profile.id, profile.timezone.as_deref()),
        (4711, Some("Europe/Berlin"))
    );
    let zaps = client.pages(ListZaps::new()).items();
    let zaps: Vec<_> = rig.drive(zaps.try_collect()).await.unwrap();
    assert_eq!(zaps.len(), 250);
    assert_eq!(zaps.iter().filter(|it| it.is_enabled).count(), 125);
    assert!(zaps[0].links.html_editor.is_some());
    let runs = client
        .send(&ListZapRuns::new().of_zap(9).since(rig.clock.now()))
        .await
        .unwrap();
    assert_eq!((runs.items.len(), runs.items[0].zap_id), (3, Some(9)));
    let server = rig.authority.server();
    assert_eq!(server.count(&Method::GET, "/v2/zaps"), 3);
    let error = client
        .send(&ListZaps::new().with_page_size(101))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    println!("Zaps listed: {}", zaps.len());
}

#[tokio::test]
async fn errors_have_their_kind() {
    let rig = Rig::new().await;
    let client = rig.client("t1").await;
    let body = |code: &str| json!({ "errors": [{ "status": 400, "code": code }] }).to_string();
    let table = [
        (400, body("parse_error"), ErrorKind::Rejected),
        (409, body("user"), ErrorKind::Conflict),
        (403, r#"{"errors":[{}]}"#.to_owned(), ErrorKind::Forbidden),
        (404, String::new(), ErrorKind::ProviderNotFound),
        (
            200,
            r#"{"data":[],"links":{"next":"https://api.zapier.com/v2/zaps"}}"#.to_owned(),
            ErrorKind::UnexpectedResponse,
        ),
        // The offset of the next page overflows.
        (
            200,
            r#"{"data":[{"id":"a"}],"links":{"next":"x"},"meta":{"offset":18446744073709551615}}"#
                .to_owned(),
            ErrorKind::UnexpectedResponse,
        ),
    ];
    for (status, body, kind) in &table {
        let fault = Fault::answer(*status, body.clone());
        rig.authority.server().fault("/v2/zaps", fault);
        let error = rig.drive(client.send(&ListZaps::new())).await.unwrap_err();
        assert_eq!(error.kind(), *kind, "{status}: {error}");
    }
    println!("errors with their kind: {}", table.len());
}

#[tokio::test]
async fn all_connections_share_the_limit_of_the_address() {
    let rig = Rig::new().await;
    let clients = [
        rig.client("t1").await.background(),
        rig.client("t2").await.background(),
    ];
    let began = rig.clock.now();
    let list = ListZapRuns::new();
    let calls = (0..90).map(|number| clients[number % 2].send(&list));
    let calls = futures_util::future::join_all(calls.collect::<Vec<_>>());
    let outcomes = rig.drive(calls).await;
    let refused: Vec<_> = outcomes.iter().filter_map(|it| it.as_ref().err()).collect();
    let took = rig.clock.now().since(began);
    let sent = rig.authority.server().count(&Method::GET, "/v2/zap-runs");
    println!(
        "calls of two connections: {sent} in {took:?}, {} given up",
        refused.len()
    );
    assert_eq!((sent, refused.len()), (90, 0));
    assert!(took >= Duration::from_secs(59), "{took:?}");
    let fault = Fault::rate_limited(30);
    rig.authority.server().fault("/v2/zap-runs", fault);
    let began = rig.clock.now();
    rig.drive(clients[0].send(&ListZapRuns::new()))
        .await
        .unwrap();
    assert!(rig.clock.now().since(began) >= Duration::from_secs(30));
}

#[test]
fn settings_are_named_and_their_values_are_not_repeated() {
    const COMPLETE: [(&str, &str); 5] = [
        ("ZAPIER_CLIENT_ID", "an-id"),
        ("ZAPIER_CLIENT_SECRET", "tell-nobody"),
        ("ZAPIER_REDIRECT_URI", "https://app.example/callback"),
        ("ZAPIER_SCOPES", "profile zap"),
        ("ZAPIER_WORKFLOW_BASE_URL", "http://127.0.0.1:4010"),
    ];
    let configure = |changed: (&str, &str)| {
        WorkflowConfig::from_variables(|name| {
            let all = [changed].into_iter().chain(COMPLETE);
            let mut known = all.filter(|(known, _)| *known == name);
            let value = known.next().map(|(_, value)| value);
            Ok(value.filter(|it| !it.is_empty()).map(SecretString::from))
        })
    };
    assert!(!format!("{:?}", configure(("", "")).unwrap()).contains("tell-nobody"));
    let table = [
        ("ZAPIER_CLIENT_ID", ""),
        ("ZAPIER_CLIENT_SECRET", ""),
        ("ZAPIER_CLIENT_SECRET", "tell\nnobody"),
        ("ZAPIER_REDIRECT_URI", "http://tell-nobody.example/"),
        ("ZAPIER_WORKFLOW_BASE_URL", "http://tell-nobody.example:80"),
    ];
    for changed in table {
        let error = configure(changed).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{changed:?}");
        assert!(error.message().starts_with(changed.0), "{error}");
        assert!(!error.report().contains("nobody"), "{error}");
    }
    println!(
        "malformed settings refused by name: {} of {}",
        table.len(),
        VARIABLES.len()
    );
}
