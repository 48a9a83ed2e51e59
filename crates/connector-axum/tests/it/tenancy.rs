//! Every route refuses every wrong, missing or other tenant's identity and every missing
//! permission.

use axum::body::Body;
use connector_axum::{Permission, Permissions, openapi_json};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::rig::{ALL, Answer, Rig, SITE, request};

/// Who may use a route.
enum Allowed {
    /// Everybody, because the response contains nothing about tenants.
    Everybody,
    /// Callers with any permission or none.
    AnyCaller,
    /// Callers with the permission. True if the path names a connection.
    Caller(Permission, bool),
    /// The user for whom the link was signed.
    Ticket,
    /// Providers, by their signature.
    Provider,
}

use Allowed::{AnyCaller, Caller, Everybody, Provider, Ticket};

/// Every route by its operation id, with a valid body.
fn table() -> Vec<(&'static str, Allowed, Value)> {
    let none = Value::Null;
    let adopted = json!({ "kind": "oauth", "secret": "x" });
    let confirmed = json!({ "confirmation": "x" });
    vec![
        (
            "listConnectors",
            Caller(Permission::Read, false),
            none.clone(),
        ),
        ("getCsrfToken", AnyCaller, none.clone()),
        (
            "beginConnect",
            Caller(Permission::Connect, false),
            json!({}),
        ),
        (
            "createTicket",
            Caller(Permission::Connect, false),
            json!({}),
        ),
        ("openTicket", Ticket, none.clone()),
        (
            "finishConnect",
            Caller(Permission::Connect, false),
            none.clone(),
        ),
        (
            "adoptCredential",
            Caller(Permission::Import, false),
            adopted,
        ),
        (
            "listConnections",
            Caller(Permission::Read, false),
            none.clone(),
        ),
        (
            "streamConnections",
            Caller(Permission::Read, false),
            none.clone(),
        ),
        (
            "getConnection",
            Caller(Permission::Read, true),
            none.clone(),
        ),
        (
            "refreshConnection",
            Caller(Permission::Refresh, true),
            none.clone(),
        ),
        (
            "checkConnection",
            Caller(Permission::Refresh, true),
            none.clone(),
        ),
        ("getHistory", Caller(Permission::Read, true), none.clone()),
        (
            "explainConnection",
            Caller(Permission::Read, true),
            none.clone(),
        ),
        (
            "getDisconnectConsequences",
            Caller(Permission::Disconnect, true),
            none.clone(),
        ),
        (
            "disconnect",
            Caller(Permission::Disconnect, true),
            confirmed,
        ),
        ("issueToken", Caller(Permission::Token, true), none.clone()),
        (
            "getAppHealth",
            Caller(Permission::Admin, false),
            none.clone(),
        ),
        ("receiveWebhook", Provider, none.clone()),
        ("answerWebhookHandshake", Provider, none.clone()),
        ("receiveNotification", Provider, none.clone()),
        ("answerChannelHandshake", Provider, none.clone()),
        ("getHealth", Everybody, none.clone()),
        ("getReadiness", Everybody, none.clone()),
        ("getProblem", Everybody, none.clone()),
        ("getOpenApi", Everybody, none),
    ]
}

/// The routes of the document, as operation id, method and path.
fn routes() -> Vec<(String, String, String)> {
    let document: Value = serde_json::from_str(&openapi_json(SITE).unwrap()).unwrap();
    let mut routes = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let id = operation["operationId"].as_str().unwrap().to_owned();
            routes.push((id, method.to_ascii_uppercase(), path.clone()));
        }
    }
    routes
}

async fn send(rig: &Rig, method: &str, path: &str, key: &str, body: &Value) -> Answer {
    if *body == Value::Null {
        return rig.send(request(method, path, key, Body::empty())).await;
    }
    rig.post(path, key, body).await
}

#[tokio::test]
async fn every_route_refuses_every_other_identity() {
    let rig = Rig::new().await;
    let id = rig.connect(&rig.ann, "1").await;
    let before = rig.store_text().await;
    let ticket = rig
        .post("/v1/connectors/acme/ticket", &rig.ann, &json!({}))
        .await;
    let ticket = ticket.json()["url"].as_str().unwrap().to_owned();
    let ticket = ticket.rsplit('/').next().unwrap();
    let stranger = "a key that nobody has";
    let other_tenant = rig.keys.add("t2", "bob", ALL);
    let other_user = rig.keys.add("t1", "bea", ALL);
    let powerless = rig.keys.add("t1", "ann", Permissions::none());

    let routes = routes();
    let table = table();
    for (operation, ..) in &routes {
        let is_listed = table.iter().any(|(id, ..)| id == operation);
        assert!(
            is_listed,
            "the route {operation} is not in the table of this test"
        );
    }
    assert_eq!(routes.len(), table.len());
    let secrets = ["First", &id.to_string()];
    let (mut refused, mut open) = (0, 0);
    for (operation, allowed, body) in &table {
        let (_, method, path) = routes.iter().find(|(id, ..)| id == operation).unwrap();
        let path = path
            .replace("{id}", &id.to_string())
            .replace("{provider}", "acme")
            .replace("{channel}", "0123")
            .replace("{code}", "bug")
            .replace("{ticket}", ticket);
        let mut expect = Vec::new();
        match allowed {
            Everybody => {
                let answer = send(&rig, method, &path, "", body).await;
                assert!(answer.status.is_success(), "{operation}: {}", answer.text);
                assert!(!answer.text.contains("First"), "{operation}");
                open += 1;
                continue;
            }
            Provider => expect.extend([("", 404), (stranger, 404), (&rig.ann, 404)]),
            AnyCaller => {
                let answer = send(&rig, method, &path, &powerless, body).await;
                assert!(answer.status.is_success(), "{operation}: {}", answer.text);
                expect.extend([("", 401), (stranger, 401)]);
            }
            Ticket => expect.extend([
                ("", 401),
                (stranger, 401),
                (&powerless, 403),
                (&other_tenant, 403),
                (&other_user, 403),
            ]),
            Caller(permission, names_connection) => {
                let lacking = rig.keys.add("t1", "ann", ALL.without(*permission));
                let lacking: &str = lacking.leak();
                expect.extend([
                    ("", 401),
                    (stranger, 401),
                    (&powerless, 403),
                    (lacking, 403),
                ]);
                if *names_connection {
                    expect.push((&other_tenant, 404));
                }
            }
        }
        for (key, status) in expect {
            let answer = send(&rig, method, &path, key, body).await;
            assert_eq!(
                answer.status, status,
                "{operation} with {key:?}: {}",
                answer.text
            );
            answer.code();
            for secret in secrets {
                assert!(
                    !answer.text.contains(secret),
                    "{operation}: {}",
                    answer.text
                );
            }
            refused += 1;
        }
    }
    println!(
        "routes: {}, refused requests: {refused}, open routes: {open}",
        table.len()
    );
    assert!(refused > 0 && open > 0);
    // Nothing of the tenant changed, and nothing was started.
    assert_eq!(rig.store_text().await, before);
}

#[tokio::test]
async fn lists_contain_only_the_callers_connections() {
    let rig = Rig::new().await;
    let mine = rig.connect(&rig.ann, "1").await;
    let bob = rig.keys.add("t2", "bob", ALL);
    let theirs = rig.connect(&bob, "2").await;
    let mut checked = 0;
    for (key, own, other) in [(&rig.ann, mine, theirs), (&bob, theirs, mine)] {
        for query in ["", "?provider=acme", "?status=connected", "?limit=1"] {
            let answer = rig.get(&format!("/v1/connections{query}"), key).await;
            assert!(answer.text.contains(&own.to_string()));
            assert!(!answer.text.contains(&other.to_string()));
            checked += 1;
        }
        let response = rig
            .router
            .clone()
            .oneshot(request("GET", "/v1/connections/live", key, Body::empty()))
            .await
            .unwrap();
        let frame = response.into_body().frame().await.unwrap().unwrap();
        let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
        assert!(text.contains(&own.to_string()) && !text.contains(&other.to_string()));
        checked += 1;
    }
    let by_account = "/v1/connections?provider=acme&account=2";
    assert_eq!(
        rig.get(by_account, &rig.ann).await.json()["connections"],
        json!([])
    );
    println!("lists checked: {checked}");
    assert!(checked > 0);
}

impl Rig {
    /// Returns all connections and audit entries as text.
    async fn store_text(&self) -> String {
        use connector_core::store::{AuditFilter, AuditLog as _, Filter, TokenStore as _};
        let everyone = Filter::everyone();
        let connections = self.store.list(&everyone, None, 1000).await.unwrap();
        let audit = self
            .store
            .audit(&AuditFilter::default(), None, 1000)
            .await
            .unwrap();
        format!("{:?} {:?}", connections.items, audit.items)
    }
}
