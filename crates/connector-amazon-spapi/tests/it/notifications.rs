//! Notifications: envelopes, payloads, sources, routes and duplicates.

use connector_amazon_spapi::AmazonSpApi;
use connector_amazon_spapi::flows::{
    BusSecret, NotificationRoute, NotificationRoutes, ReportFlow, ReportOutcome, subscribe,
};
use connector_amazon_spapi::models::notification::{
    AccountStatus, EventFilter, EventFilterType, Notification, NotificationEvent, NotificationType,
    OrderChange, OrderChangeType, ProcessingDirective, ReportProcessingFinished,
    SubscriptionSpecification,
};
use connector_amazon_spapi::models::report::ReportSpecification;
use connector_amazon_spapi::{AmazonClient, endpoints};
use connector_core::ErrorKind;
use connector_core::webhook::TypedEvent as _;
use connector_hub::{Message, Receipt};
use connector_testkit::leak::canary;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde_json::{Value, json};

use crate::flows::{read, same, schemas};
use crate::rig::Rig;

/// Returns the JSON of a typed payload, if its type can be serialized.
fn written(event: &NotificationEvent) -> Option<Value> {
    use NotificationEvent as E;
    fn json(value: &impl Serialize) -> Option<Value> {
        Some(serde_json::to_value(value).unwrap())
    }
    match event {
        E::OrderChange(it) => json(it),
        E::ListingsItemStatusChange(it) => json(it),
        E::ListingsItemIssuesChange(it) => json(it),
        E::AnyOfferChanged(it) => json(it),
        E::ReportProcessingFinished(it) => json(it),
        E::FeedProcessingFinished(it) => json(it),
        E::QueryProcessingFinished(it) => json(it),
        E::AccountStatusChanged(it) => json(it),
        E::InventoryAvailabilityChanges(it) => json(it),
        E::TransactionUpdate(it) => json(it),
        _ => None,
    }
}

#[test]
fn every_notification_example_of_the_schemas_decodes_and_is_kept() {
    let Some(folder) = schemas("notifications") else {
        println!("skipped: CONNECTORS_ORACLES names no directory with Amazon's schemas");
        return;
    };
    let (mut examples, mut typed, mut files) = (0, 0, 0);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        files += 1;
        let schema = read(&path);
        for example in schema["examples"].as_array().into_iter().flatten() {
            let notification = Notification::parse(example.to_string().as_bytes()).unwrap();
            assert!(
                !matches!(notification.notification_type, NotificationType::Unknown(_)),
                "{name}"
            );
            assert!(!notification.id().is_empty() && notification.subscription_id().is_some());
            assert!(notification.triggered_at().is_some(), "{name}");
            let payload = example.get("payload").unwrap_or(&example["Payload"]);
            same(&name, payload, &notification.payload);
            let event = notification
                .event()
                .unwrap_or_else(|e| panic!("{name}: {e}"));
            if let Some(written) = written(&event) {
                let inner = payload.as_object().unwrap().iter().find(|(member, value)| {
                    member.to_ascii_lowercase().ends_with("notification") && value.is_object()
                });
                same(&name, inner.map_or(payload, |(_, inner)| inner), &written);
                typed += 1;
            }
            // The same notification, wrapped by Amazon EventBridge.
            let event = json!({
                "version": "0", "id": "1", "detail-type": notification.notification_type.as_str(),
                "source": "aws.partner/sellingpartnerapi.amazon.com/1/a", "detail": example,
            });
            assert_eq!(
                Notification::parse(event.to_string().as_bytes()).unwrap(),
                notification
            );
            examples += 1;
        }
    }
    println!(
        "notification examples decoded and kept: {examples} of {examples} in {files} schemas, {typed} with a typed payload"
    );
    assert_eq!((files, examples), (23, 23));
    assert!(typed >= 11, "{typed}");
}

#[test]
fn payloads_without_an_example_in_the_schemas_are_typed() {
    let notification = |kind: &str, payload: &Value| {
        let body = json!({
            "notificationVersion": "1.0", "notificationType": kind, "payloadVersion": "2021-01-01",
            "eventTime": "2020-12-11T19:42:04.284Z", "payload": payload,
            "notificationMetadata": { "applicationId": "a", "publishTime": "2020-12-11T19:42:04.284Z",
                "notificationId": "n" },
        });
        Notification::parse(body.to_string().as_bytes()).unwrap()
    };
    let status = json!({ "accountStatusChangeNotification": {
        "previousAccountStatus": "NORMAL", "currentAccountStatus": "ON_FIRE" } });
    let event = notification("ACCOUNT_STATUS_CHANGED", &status)
        .event()
        .unwrap();
    let NotificationEvent::AccountStatusChanged(changed) = event else {
        panic!("{event:?}");
    };
    assert_eq!(changed.previous_account_status, Some(AccountStatus::Normal));
    assert_eq!(changed.current_account_status.unwrap().as_str(), "ON_FIRE");
    let secret = canary("amazon");
    let payload = json!({ "applicationOAuthClientNewSecret": {
        "clientId": "c", "newClientSecret": secret, "newClientSecretExpiryTime": "2027-05-01T00:00:00Z",
        "oldClientSecretExpiryTime": "2026-12-07T00:00:00Z" } });
    let new = notification("APPLICATION_OAUTH_CLIENT_NEW_SECRET", &payload);
    let event = new.event().unwrap();
    assert!(!format!("{new:?} {event:?}").contains(&secret));
    let NotificationEvent::NewClientSecret(new) = event else {
        panic!("{event:?}");
    };
    assert_eq!(new.new_client_secret.expose_secret(), secret);
    let payload = json!({ "applicationOAuthClientSecretExpiry": {
        "clientId": "c", "clientSecretExpiryTime": "2026-12-07T00:00:00Z" } });
    let event = notification("APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY", &payload)
        .event()
        .unwrap();
    assert!(matches!(event, NotificationEvent::ClientSecretExpiry(it) if it.client_id == "c"));
    let unknown = notification("SOMETHING_NEW", &json!({ "a": 1 }));
    assert!(matches!(unknown.event().unwrap(), NotificationEvent::Other(it) if it["a"] == 1));
    let wrong = notification("REPORT_PROCESSING_FINISHED", &json!([]));
    assert_eq!(
        wrong.event().unwrap_err().kind(),
        ErrorKind::UnexpectedResponse
    );
    for body in [
        "",
        "{}",
        "[]",
        "{\"notificationType\":\"ORDER_CHANGE\"}",
        "{\"detail-type\":\"x\",\"detail\":{}}",
    ] {
        let error = Notification::parse(body.as_bytes()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused, "{body}");
    }
}

/// Returns a notification of this subscription that a report has completed.
fn finished(subscription: &str, id: &str, seller: &str, report: &str) -> Vec<u8> {
    let body = json!({
        "notificationVersion": "2020-09-04", "notificationType": "REPORT_PROCESSING_FINISHED",
        "payloadVersion": "2020-09-04", "eventTime": "2026-11-20T12:01:00Z",
        "payload": { "reportProcessingFinishedNotification": {
            "sellerId": seller, "reportId": report, "reportType": "T", "processingStatus": "DONE" } },
        "notificationMetadata": { "applicationId": "app", "subscriptionId": subscription,
            "publishTime": "2026-11-20T12:01:01Z", "notificationId": id },
    });
    body.to_string().into_bytes()
}

/// Ingests a message as an application does: routed by its subscription.
async fn ingest(rig: &Rig, routes: &NotificationRoutes, body: Vec<u8>) -> Option<Receipt> {
    let notification = Notification::parse(&body).unwrap();
    let NotificationRoute::Connection(key) = routes.route(&notification) else {
        return None;
    };
    let mut message = Message::new(body)
        .with_topic(notification.notification_type.as_str())
        .with_delivery_id(notification.id());
    if let Some(at) = notification.triggered_at() {
        message = message.with_triggered_at(at);
    }
    let ingested = rig
        .hub
        .ingest(&AmazonSpApi::ID, message)
        .connection(key)
        .await;
    Some(ingested.unwrap())
}

#[tokio::test]
async fn a_notification_goes_to_the_connection_whose_call_created_the_subscription() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    let client = rig.hub.client::<AmazonClient>(&key).await.unwrap();
    let destination = rig
        .sim
        .add_destination("arn:aws:sqs:us-east-1:123456789012:queue");
    let kind = NotificationType::ReportProcessingFinished;
    let wanted = SubscriptionSpecification::new("1.0", destination.as_str());
    let own = subscribe(&client, &kind, &wanted).await.unwrap();
    // Subscribing again returns the existing subscription.
    let again = subscribe(&client, &kind, &wanted).await.unwrap();
    assert_eq!(again.subscription_id, own.subscription_id);
    let elsewhere = rig
        .sim
        .add_destination("arn:aws:sqs:us-east-1:123456789012:other");
    let elsewhere = SubscriptionSpecification::new("1.0", elsewhere);
    let conflict = subscribe(&client, &kind, &elsewhere).await.unwrap_err();
    assert_eq!(conflict.kind(), ErrorKind::Conflict);
    let listed = client
        .send(&endpoints::GetSubscriptions::new([kind]))
        .await
        .unwrap();
    assert_eq!(listed.items, std::slice::from_ref(&own));

    let mut routes = NotificationRoutes::new().with_application_id("app");
    routes.insert(own.subscription_id.as_str(), key.clone());
    let flow = ReportFlow::new(client.clone());
    let report = ReportSpecification::new("GET_MERCHANT_LISTINGS_ALL_DATA", ["ATVPDKIKX0DER"]);
    let report = flow.create(&report).await.unwrap();
    let id = own.subscription_id.as_str();
    // The payload contains another seller id, which is not used.
    let message = || finished(id, "n-1", "AFOREIGNSELLER", &report);
    let receipt = ingest(&rig, &routes, message()).await.unwrap();
    assert!(matches!(receipt, Receipt::Accepted { .. }), "{receipt:?}");
    // Amazon SQS delivers at least once.
    let mut repeated = 0;
    for _ in 0..3 {
        let receipt = ingest(&rig, &routes, message()).await.unwrap();
        assert!(matches!(receipt, Receipt::Duplicate { .. }), "{receipt:?}");
        repeated += 1;
    }
    rig.hub.worker().tick().await.unwrap();
    let handled = rig.handled.0.lock().unwrap().clone();
    assert_eq!(handled.len(), 1);
    assert_eq!(handled[0].topic, "REPORT_PROCESSING_FINISHED");
    assert_eq!(handled[0].delivery_id.as_deref(), Some("n-1"));
    assert!(Notification::matches(&handled[0]));
    assert!(ReportProcessingFinished::matches(&handled[0]) && !OrderChange::matches(&handled[0]));
    let typed = ReportProcessingFinished::decode(&handled[0]).unwrap();
    assert_eq!(typed.report_id, report);
    // The status is confirmed with one request.
    let notification = Notification::decode(&handled[0]).unwrap();
    let NotificationEvent::ReportProcessingFinished(event) = notification.event().unwrap() else {
        panic!("{notification:?}");
    };
    let early = flow.check(&event.report_id).await.unwrap();
    assert!(
        matches!(early, ReportOutcome::Pending(_)),
        "a notification is not trusted"
    );
    rig.clock.advance(std::time::Duration::from_secs(60));
    let outcome = flow.check(&event.report_id).await.unwrap();
    assert!(matches!(outcome, ReportOutcome::Done(_)), "{outcome:?}");

    // Unknown subscriptions, no subscription, and a notification of another application.
    let mut foreign: Value = serde_json::from_slice(&message()).unwrap();
    foreign["notificationMetadata"]["applicationId"] = "another".into();
    let mut without: Value = serde_json::from_slice(&message()).unwrap();
    without["notificationMetadata"]["subscriptionId"] = Value::Null;
    let mut unrouted = 0;
    for body in [
        finished(
            "subscription-of-nobody",
            "n-2",
            "A1SIMULATEDSELLER",
            &report,
        ),
        foreign.to_string().into_bytes(),
        without.to_string().into_bytes(),
    ] {
        assert!(ingest(&rig, &routes, body).await.is_none());
        unrouted += 1;
    }
    routes.remove(id);
    assert!(ingest(&rig, &routes, message()).await.is_none());
    println!(
        "notifications routed: 1, repetitions recognised: {repeated}, left to nobody: {}",
        unrouted + 1
    );
}

#[tokio::test]
async fn subscriptions_and_destinations_are_checked_before_they_are_sent() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let filter = EventFilter::new(EventFilterType::OrderChange)
        .with_marketplace_ids(["ATVPDKIKX0DER"])
        .with_order_change_types([OrderChangeType::OrderStatusChange]);
    let mut both = ProcessingDirective::filter(filter.clone());
    both.filter_expression = Some("a == b".to_owned());
    let long = ProcessingDirective::expression("x".repeat(257));
    for wrong in [both, long, ProcessingDirective::expression("")] {
        let wanted = SubscriptionSpecification::new("1.0", "d").with_directive(wrong);
        let refused = subscribe(&client, &NotificationType::OrderChange, &wanted).await;
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    let destination = rig
        .sim
        .add_destination("arn:aws:sqs:us-east-1:123456789012:queue");
    let directive = ProcessingDirective::filter(filter);
    let wanted =
        SubscriptionSpecification::new("1.0", destination).with_directive(directive.clone());
    let created = subscribe(&client, &NotificationType::OrderChange, &wanted)
        .await
        .unwrap();
    assert_eq!(created.processing_directive, Some(directive));
}

#[test]
fn a_request_of_an_event_bus_needs_its_secret() {
    let name = HeaderName::from_static("x-bus-secret");
    let secret = |text: &str| SecretString::from(text.to_owned());
    let bus = BusSecret::new(name.clone(), secret("new")).with_secret(secret("old"));
    let headers = |values: &[&'static str]| {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    };
    for good in ["new", "old"] {
        bus.check(&headers(&[good])).unwrap();
    }
    let mut refused = 0;
    for bad in [
        &[][..],
        &[""],
        &["ne"],
        &["news"],
        &["new", "new"],
        &["NEW"],
    ] {
        let error = bus.check(&headers(bad)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::WebhookRefused);
        refused += 1;
    }
    let empty = BusSecret::new(name.clone(), secret(""));
    assert!(empty.check(&headers(&[""])).is_err() && empty.check(&headers(&[])).is_err());
    assert!(!format!("{bus:?}").contains("new"));
    println!("requests with a wrong secret refused: {refused}");
}
