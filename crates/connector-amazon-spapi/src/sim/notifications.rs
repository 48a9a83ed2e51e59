//! Notifications v1: destinations of the application, subscriptions of sellers.

use std::collections::BTreeMap;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use connector_sim::Response;
use http::HeaderName;
use serde_json::{Value, json};

use super::{Call, Simulator, denied, invalid, missing, refused};

const ROOT: [&str; 2] = ["notifications", "v1"];

struct Subscription {
    seller: String,
    notification_type: String,
    body: Value,
}

/// The data.
#[derive(Default)]
pub(super) struct State {
    destinations: BTreeMap<String, Value>,
    subscriptions: BTreeMap<String, Subscription>,
    made: u64,
    sent: Vec<Value>,
}

fn conflict(message: &str) -> Response {
    refused(409, "Conflict", message)
}

fn payload(payload: &Value) -> Response {
    Response::json(200, &json!({ "payload": payload }))
}

impl State {
    fn id(&mut self, kind: &str) -> String {
        self.made += 1;
        format!("{kind}-{:08}", self.made)
    }
}

/// Responds to a call of this API; `None` for other calls.
///
/// A call without a seller is grantless. As Amazon does, it rejects a token of the wrong kind.
pub(super) fn answer(state: &mut State, call: &Call<'_>) -> Option<Response> {
    let (method, path) = call.route();
    let path = path.strip_prefix(&ROOT)?;
    let is_grantless = matches!(path, ["destinations", ..] | ["subscriptions", _, _]);
    if is_grantless != call.seller.is_empty() {
        return Some(denied());
    }
    Some(match (method, path) {
        ("POST", ["destinations"]) => {
            let body = call.request.json();
            let resource = &body["resourceSpecification"];
            let is_one = resource["sqs"].is_null() != resource["eventBridge"].is_null();
            if !is_one || body["name"].as_str().unwrap_or_default().is_empty() {
                return Some(invalid("name and one resource are required."));
            }
            if state
                .destinations
                .values()
                .any(|it| it["resource"] == *resource)
            {
                return Some(conflict("The destination exists already."));
            }
            let id = state.id("destination");
            let destination =
                json!({ "destinationId": id, "name": body["name"], "resource": resource });
            state.destinations.insert(id, destination.clone());
            payload(&destination)
        }
        ("GET", ["destinations"]) => {
            let all: Vec<&Value> = state.destinations.values().collect();
            payload(&json!(all))
        }
        ("GET", ["destinations", id]) => state.destinations.get(*id).map_or_else(missing, payload),
        ("DELETE", ["destinations", id]) => {
            let is_used = |it: &Subscription| it.body["destinationId"] == *id;
            if state.subscriptions.values().any(is_used) {
                return Some(conflict("The destination has subscriptions."));
            }
            match state.destinations.remove(*id) {
                Some(_) => Response::json(200, &json!({})),
                None => missing(),
            }
        }
        ("POST", ["subscriptions", _, "testNotification"]) => {
            state.sent.push(call.request.json());
            Response::json(200, &json!({}))
        }
        ("POST", ["subscriptions", kind]) => subscribe(state, call, kind),
        ("GET", ["subscriptions", kind]) => {
            let version = call.get("payloadVersion");
            let found = state.subscriptions.values().find(|it| {
                it.seller == call.seller
                    && it.notification_type == *kind
                    && version.is_none_or(|version| it.body["payloadVersion"] == version)
            });
            found.map_or_else(missing, |it| payload(&it.body))
        }
        ("GET", ["subscriptions"]) => {
            let kinds = call.list("notificationTypes");
            if kinds.len() != 1 {
                return Some(invalid("One notification type is required."));
            }
            let own = |it: &&Subscription| {
                it.seller == call.seller && kinds.contains(&it.notification_type.as_str())
            };
            let found: Vec<&Value> = state
                .subscriptions
                .values()
                .filter(own)
                .map(|it| &it.body)
                .collect();
            payload(&json!({ "subscriptions": found }))
        }
        ("GET", ["subscriptions", kind, id]) => {
            let found = state.subscriptions.get(*id);
            let found = found.filter(|it| it.notification_type == *kind);
            found.map_or_else(missing, |it| payload(&it.body))
        }
        ("DELETE", ["subscriptions", kind, id]) => {
            let is_there = state
                .subscriptions
                .get(*id)
                .is_some_and(|it| it.notification_type == *kind);
            if !is_there {
                return Some(missing());
            }
            state.subscriptions.remove(*id);
            Response::json(200, &json!({}))
        }
        _ => missing(),
    })
}

fn subscribe(state: &mut State, call: &Call<'_>, kind: &str) -> Response {
    let mut body = call.request.json();
    let destination = body["destinationId"].as_str().unwrap_or_default();
    if !state.destinations.contains_key(destination) || body["payloadVersion"].is_null() {
        return invalid("payloadVersion and a destination that exists are required.");
    }
    let directive = &body["processingDirective"];
    if !directive["eventFilter"].is_null() && !directive["filterExpression"].is_null() {
        return invalid("eventFilter and filterExpression are mutually exclusive.");
    }
    let is_there = state.subscriptions.values().any(|it| {
        it.seller == call.seller
            && it.notification_type == kind
            && it.body["payloadVersion"] == body["payloadVersion"]
    });
    if is_there {
        return conflict("The seller is subscribed already.");
    }
    let id = state.id("subscription");
    body["subscriptionId"] = id.as_str().into();
    let answer = payload(&body);
    let subscription = Subscription {
        seller: call.seller.to_owned(),
        notification_type: kind.to_owned(),
        body,
    };
    state.subscriptions.insert(id, subscription);
    answer
}

/// Returns a notification as an API destination of Amazon `EventBridge` posts it: the notification
/// is in `detail`, and `secret` is in the given header.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if the secret is not a valid header value.
pub fn bus_request(
    (header, secret): (HeaderName, &str),
    (notification_type, id): (&str, &str),
    subscription: &str,
    now: Timestamp,
    payload: &Value,
) -> Result<http::Request<Bytes>> {
    let time = now.to_string();
    let body = json!({
        "version": "0",
        "id": id,
        "detail-type": notification_type,
        "source": "aws.partner/sellingpartnerapi.amazon.com/123456789012/app",
        "account": "123456789012",
        "time": time,
        "region": "us-east-1",
        "resources": [],
        "detail": {
            "notificationVersion": "1.0",
            "notificationType": notification_type,
            "payloadVersion": "1.0",
            "eventTime": time,
            "payload": payload,
            "notificationMetadata": {
                "applicationId": "app",
                "subscriptionId": subscription,
                "publishTime": time,
                "notificationId": id,
            },
        },
    });
    let request = http::Request::post("/").header("content-type", "application/json");
    let request = request.header(header, secret);
    request.body(Bytes::from(body.to_string())).map_err(|_| {
        let message = "the secret contains characters that are invalid in a header";
        Error::new(ErrorKind::InvalidInput, "amazon.simulator", message)
    })
}

impl Simulator {
    /// Adds a destination for a queue of Amazon SQS, and returns its id.
    #[must_use]
    pub fn add_destination(&self, arn: &str) -> String {
        let mut world = self.world();
        let state = &mut world.notifications;
        let id = state.id("destination");
        let resource = json!({ "sqs": { "arn": arn } });
        let destination = json!({ "destinationId": id, "name": "queue", "resource": resource });
        state.destinations.insert(id.clone(), destination);
        id
    }

    /// Returns the ids of a seller's subscriptions.
    #[must_use]
    pub fn subscriptions(&self, seller: &str) -> Vec<String> {
        let world = self.world();
        let own = world.notifications.subscriptions.iter();
        own.filter(|(_, it)| it.seller == seller)
            .map(|(id, _)| id.clone())
            .collect()
    }

    /// Returns the number of test notifications that were sent.
    #[must_use]
    pub fn test_notifications(&self) -> usize {
        self.world().notifications.sent.len()
    }
}
