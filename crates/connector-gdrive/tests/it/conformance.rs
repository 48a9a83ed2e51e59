//! Conformance cases for all connectors, and tests of Google Drive's settings and OAuth rules.

use bytes::Bytes;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::config::markdown;
use connector_core::provider::oauth::{ExchangeClass, RotationClass};
use connector_core::provider::webhook::{Incoming, WebhookEndpoint};
use connector_core::provider::{Connector, Context, Description};
use connector_core::{App, AppKey, Credential, CredentialKind, ErrorKind, Result};
use connector_gdrive::models::{Channel, WatchRequest};
use connector_gdrive::sim::{Consent, Fault};
use connector_gdrive::{GoogleDrive, GoogleDriveConfig, VARIABLES, scope};
use connector_sim::{Authority, AuthorityBuilder, Grant, Request, Response};
use connector_testkit::connector::{Delivery, Simulated, SimulatedProvider};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::rig::{Rig, USER, start};

const SECRET: &str = "channel-secret";

fn drive() -> GoogleDrive {
    GoogleDrive::new(GoogleDriveConfig::builder().build().unwrap())
}

/// A notification in Google's format.
fn notification(token: &str, state: &str) -> http::Request<Bytes> {
    http::Request::post("https://hooks.example/")
        .header("x-goog-channel-id", "0123456789abcdef0123456789abcdef")
        .header("x-goog-channel-token", token)
        .header("x-goog-message-number", "3")
        .header("x-goog-resource-id", "resource-1")
        .header("x-goog-resource-state", state)
        .header(
            "x-goog-resource-uri",
            "https://www.googleapis.com/drive/v3/changes",
        )
        .body(Bytes::new())
        .unwrap()
}

/// Google Drive in the conformance suite.
struct Suite;

impl SimulatedProvider for Suite {
    fn description() -> Description {
        drive().description().clone()
    }

    fn connector(_: Description) -> Box<dyn Connector> {
        Box::new(drive())
    }

    fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
        let api = |request: &Request, _: &Grant| match request.path() {
            "/drive/v3/about" => Response::json(200, &json!({ "user": { "permissionId": "1" } })),
            _ => Response::json(404, &json!({ "error": { "code": 404 } })),
        };
        builder
            .with_scopes(["openid", scope::EMAIL, scope::FILE])
            .with_provider(api)
    }

    fn delivery(_: &Authority, body: Option<Bytes>) -> Option<Delivery> {
        let mut request = notification(SECRET, "change");
        if let Some(body) = body {
            *request.body_mut() = body;
        }
        let id = "0123456789abcdef0123456789abcdef/3";
        Some(Delivery::new(request, "change").with_delivery_id(id))
    }

    fn subscription_secret() -> Option<SecretString> {
        Some(SecretString::from(SECRET))
    }
}

connector_testkit::connector_suite!(Simulated<Suite>);

#[test]
fn the_conformance_suite_applies_except_for_features_google_lacks() {
    let all = connector_testkit::connector::names();
    let applicable = connector_testkit::connector::applicable::<Simulated<Suite>>();
    println!("applicable cases: {} of {}", applicable.len(), all.len());
    let left_out: Vec<_> = all
        .into_iter()
        .filter(|it| !applicable.contains(it))
        .collect();
    println!("skipped cases: {left_out:?}");
    assert_eq!((applicable.len(), left_out.len()), (50, 12));
}

/// Verifies a notification with a context that has no network.
fn verified(request: &http::Request<Bytes>) -> Result<Incoming> {
    let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
    let transport = connector_http::HttpClient::builder().build().unwrap();
    let (app, key) = (App::new("client"), AppKey::default());
    let secrets = [SecretString::from(SECRET)];
    let endpoint = WebhookEndpoint::of_connection(&key, &secrets);
    let cx = Context::new(&app, &transport, &clock);
    connector_core::provider::webhook::verify(drive().description(), &cx, &endpoint, request)
}

#[test]
fn a_notification_is_verified_by_its_token_and_its_content_counts_as_unsigned() {
    let states = [
        "sync", "add", "remove", "update", "trash", "untrash", "change", "changed", "new",
    ];
    for state in states {
        let Ok(Incoming::Accept { events, .. }) = verified(&notification(SECRET, state)) else {
            panic!("{state} is refused");
        };
        assert_eq!((events.len(), events[0].topic.as_str()), (1, state));
        assert_eq!(events[0].signed, []);
        let id = events[0].delivery_id.as_deref().unwrap();
        assert!(
            id.starts_with("0123456789abcdef") && id.ends_with('3'),
            "{id}"
        );
    }
    let mut refused = vec![
        notification("another", "change"),
        notification("", "change"),
    ];
    for missing in ["x-goog-channel-token", "x-goog-resource-state"] {
        let mut request = notification(SECRET, "change");
        request.headers_mut().remove(missing);
        refused.push(request);
    }
    let mut with_body = notification(SECRET, "change");
    *with_body.body_mut() = Bytes::from_static(b"{}");
    refused.push(with_body);
    for request in &refused {
        let error = verified(request).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused);
    }
    println!(
        "notifications accepted: {}, refused: {}",
        states.len(),
        refused.len()
    );
}

#[test]
fn the_description_matches_google() {
    let drive = drive();
    let description = drive.description();
    description.validate().unwrap();
    assert_eq!(description.provider, GoogleDrive::ID);
    assert_eq!(description.rotation, RotationClass::Stable);
    assert_eq!(description.lifetimes.idle_seconds, Some(180 * 86_400));
    let revocation = description.revocation.as_ref().unwrap();
    assert_eq!(revocation.family.as_deref(), Some("google"));
    let parameters = &description.authorization.as_ref().unwrap().parameters;
    assert_eq!(parameters["access_type"], "offline");
    assert_eq!(parameters["prompt"], "consent");
    assert_eq!(parameters["include_granted_scopes"], "true");
    let plain = GoogleDriveConfig::builder()
        .without_consent_prompt()
        .without_incremental_scopes()
        .with_units_per_minute(12_000, 600);
    let plain = GoogleDrive::new(plain.build().unwrap());
    let parameters = &plain
        .description()
        .authorization
        .as_ref()
        .unwrap()
        .parameters;
    assert_eq!(parameters.len(), 1);
    assert!(format!("{:?}", plain.description().limits).contains("12000"));
    assert!(drive.app_source().is_none());
}

#[tokio::test]
async fn the_authorization_request_has_googles_parameters() {
    let rig = Rig::new().await;
    let url = rig.begin().await.url().clone();
    let query: std::collections::BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(url.host_str(), Some("accounts.google.com"));
    assert_eq!(query["code_challenge_method"], "S256");
    assert_eq!(query["response_type"], "code");
    assert!(query["state"].len() < 512 && !query["nonce"].is_empty());
    assert_eq!(query["scope"].split(' ').count(), 3);
    assert!(!query.contains_key("resource"));
    // Selects a different account at a reconnect.
    let other = rig
        .hub
        .authorize(&Rig::tenant(), GoogleDrive::ID)
        .actor(connector_core::Actor::Worker)
        .parameter("prompt", "select_account consent")
        .parameter("login_hint", "ada@example.com")
        .begin()
        .await
        .unwrap();
    let query: std::collections::BTreeMap<_, _> = other.url().query_pairs().into_owned().collect();
    assert_eq!(query["prompt"], "select_account consent");
    assert_eq!(query["login_hint"], "ada@example.com");
}

#[tokio::test]
async fn a_rejected_scope_is_reported_and_prevents_the_connection() {
    let rig = Rig::new().await;
    let begun = rig.begin().await;
    let only = Consent::GrantOnly(vec!["openid".to_owned(), scope::EMAIL.to_owned()]);
    let back = rig.sim.authority().visit(begun.url(), &only).unwrap();
    let query = back.query().unwrap();
    let connected = rig
        .hub
        .callback(GoogleDrive::ID, query, begun.binding().clone())
        .unbound()
        .await;
    let error = connected.unwrap_err();
    println!("refused: {error}");
    assert_eq!(error.kind(), ErrorKind::Forbidden);
    let listed = rig.hub.tenant(&Rig::tenant()).list(None, 10).await.unwrap();
    assert_eq!(listed.items.len(), 0);
}

#[tokio::test]
async fn the_account_key_is_the_subject_and_the_metadata_is_read() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert_eq!(connection.account.key.as_str(), USER);
    assert_eq!(
        connection.account.label.as_deref(),
        Some("user@example.com")
    );
    let quota: serde_json::Value = connection.metadata.get("storage_quota").unwrap();
    assert_eq!(quota["limit"], "16106127360");
    let root: String = connection.metadata.get("root_folder_id").unwrap();
    assert_eq!(root, rig.sim.root_folder().unwrap().as_str());
    let user: serde_json::Value = connection.metadata.get("user").unwrap();
    assert_eq!(user["emailAddress"], "user@example.com");
    assert!(connection.metadata.get::<String>("permission_id").is_some());
}

#[tokio::test]
async fn a_refresh_keeps_the_refresh_token_and_a_dead_grant_has_a_hint() {
    let rig = Rig::new().await;
    let connector = GoogleDrive::new(GoogleDriveConfig::for_simulator(&rig.sim).unwrap());
    let (app, transport) = (rig.sim.authority().app(), rig.sim.server().transport());
    let cx = Context::new(&app, &*transport, &rig.clock);
    let scopes = ["openid", scope::FILE];
    let (access, refresh) = rig.sim.authority().issue(USER, &scopes).unwrap();
    let origin = connector_core::http::Origin::parse("https://www.googleapis.com").unwrap();
    let granted = start().as_unix_seconds().to_string();
    let credential = Credential::new(CredentialKind::OAuth, origin, access, start())
        .with_refresh_token(refresh.unwrap())
        .with_extra("granted_at", granted);
    for _ in 0..3 {
        let answer = connector.refresh(&cx, &credential).await.unwrap();
        assert!(
            answer.refresh_token().is_none(),
            "Google returns no new refresh token"
        );
        assert_eq!(answer.expires_in().unwrap().as_secs(), 3599);
    }
    let mut classes = 0;
    for (body, class) in [
        (
            r#"{"error":"invalid_grant","error_description":"Bad Request"}"#,
            ExchangeClass::DeadGrant,
        ),
        (
            r#"{"error":"invalid_grant","error_subtype":"invalid_rapt"}"#,
            ExchangeClass::DeadGrant,
        ),
        (
            r#"{"error":"admin_policy_enforced"}"#,
            ExchangeClass::DeadGrant,
        ),
        (
            r#"{"error":"deleted_client"}"#,
            ExchangeClass::AppFault { certain: true },
        ),
        (
            r#"{"error":"internal_failure"}"#,
            ExchangeClass::Transient { after: None },
        ),
    ] {
        rig.sim.server().fault("/token", Fault::answer(400, body));
        let error = connector.refresh(&cx, &credential).await.unwrap_err();
        assert_eq!(error.class(), class, "{body}");
        assert!(!error.error().report().contains("Testing"), "{body}");
        classes += 1;
    }
    // Seven days later, as for an app whose consent screen is in Testing.
    rig.clock
        .advance(std::time::Duration::from_secs(7 * 86_400 + 60));
    rig.sim.authority().end_grants();
    let dead = connector.refresh(&cx, &credential).await.unwrap_err();
    assert_eq!(dead.class(), ExchangeClass::DeadGrant);
    assert!(
        dead.error().report().contains("Testing"),
        "{}",
        dead.error().report()
    );
    println!("refresh errors distinguished: {classes}");
}

#[test]
fn errors_name_settings_but_never_quote_their_values() {
    const COMPLETE: [(&str, &str); 4] = [
        ("GOOGLE_CLIENT_ID", "an-id"),
        ("GOOGLE_CLIENT_SECRET", "tell-nobody"),
        ("GOOGLE_REDIRECT_URI", "http://localhost:3000/callback"),
        ("GOOGLE_DRIVE_BASE_URL", "http://127.0.0.1:4020"),
    ];
    let configure = |changed: (&str, &str)| {
        GoogleDriveConfig::from_variables(|name| {
            let all = [changed].into_iter().chain(COMPLETE);
            let mut known = all.filter(|(known, value)| *known == name && !value.is_empty());
            Ok(known.next().map(|(_, value)| SecretString::from(value)))
        })
    };
    let config = configure(("", "")).unwrap();
    assert_eq!(config.loopbacks().len(), 4);
    assert!(!format!("{config:?}").contains("tell-nobody"));
    let required = &GoogleDrive::new(config)
        .description()
        .scopes
        .required
        .clone();
    assert_eq!(*required, ["openid", scope::FILE]);
    let table = [
        ("GOOGLE_CLIENT_ID", "tell nobody"),
        ("GOOGLE_CLIENT_SECRET", "tell\nnobody"),
        ("GOOGLE_REDIRECT_URI", "http://tell-nobody.example/"),
        ("GOOGLE_DRIVE_SCOPES", "\"tell-nobody\""),
        ("GOOGLE_DRIVE_BASE_URL", "http://tell-nobody.example:80"),
    ];
    for (name, value) in table {
        let error = configure((name, value)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
        assert!(error.message().starts_with(name), "{error}");
        assert!(!error.report().contains("nobody"), "{error}");
    }
    println!("malformed settings refused: {}", table.len());
    let readme = include_str!("../../README.md");
    assert!(
        readme.contains(&markdown(VARIABLES)),
        "{}",
        markdown(VARIABLES)
    );
}

#[tokio::test]
async fn a_revocation_waits_for_the_last_google_connection_of_the_account() {
    let rig = Rig::new().await;
    let first = rig.connect().await;
    let other = connector_core::TenantId::new("t2").unwrap();
    let second = rig.connect_at(&rig.hub, &other).await;
    let revocations = || rig.sim.server().count(&http::Method::POST, "/revoke");
    rig.hub
        .disconnect(&first, crate::rig::context())
        .await
        .unwrap();
    rig.work().await;
    assert_eq!(
        revocations(),
        0,
        "the other tenant is still connected to the account"
    );
    assert!(rig.hub.access_token(&second).await.is_ok());
    rig.hub
        .disconnect(&second, crate::rig::context())
        .await
        .unwrap();
    rig.work().await;
    assert_eq!(revocations(), 1);
    assert_eq!(rig.sim.authority().grants().len(), 0);
}

#[test]
fn debug_output_and_errors_contain_no_secret() {
    let key = SecretString::from(r#"{"client_email":"a@b","private_key":"tell-nobody"}"#);
    let error = GoogleDrive::service_account(&key, None, [scope::FILE], start()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert!(!error.report().contains("nobody"), "{}", error.report());
    let session = connector_gdrive::upload::UploadSession::from_secret_url(
        "https://www.googleapis.com/upload/drive/v3/files?upload_id=tell-nobody",
    );
    let session = session.unwrap();
    assert!(!format!("{session:?}").contains("nobody"));
    assert!(session.secret_url().expose_secret().ends_with("nobody"));
    let elsewhere = [
        "http://www.googleapis.com/upload/drive/v3/files?upload_id=1",
        "https://evil.example/upload/drive/v3/files?upload_id=1",
        "https://www.googleapis.com@evil.example/upload/drive/v3/files?upload_id=1",
        "https://www.googleapis.com:444/upload/drive/v3/files?upload_id=1",
        "https://www.googleapis.com/drive/v3/files?upload_id=1",
        "https://www.googleapis.com/upload/drive/v3/files/../../../x?upload_id=1",
        "https://www.googleapis.com/upload/drive/v3/filesystem?upload_id=1",
        "https://www.googleapis.com/upload/drive/v3/files",
        "",
    ];
    for url in elsewhere {
        let refused = connector_gdrive::upload::UploadSession::from_secret_url(url);
        assert_eq!(
            refused.unwrap_err().kind(),
            ErrorKind::AddressRefused,
            "{url}"
        );
    }
    println!("upload sessions at other URLs refused: {}", elsewhere.len());
    let watch = WatchRequest::web_hook("c-1", "https://hooks.example/x").with_token("tell-nobody");
    assert!(!format!("{watch:?}").contains("nobody"));
    let opened = serde_json::from_value::<Channel>(json!({ "id": "c-1", "token": "tell-nobody" }));
    assert!(!format!("{opened:?}").contains("nobody"));
}
