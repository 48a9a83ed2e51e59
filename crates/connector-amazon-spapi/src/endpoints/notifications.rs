//! Notifications v1.
//!
//! Destinations belong to the application: send their operations with a
//! [`GrantlessClient`](crate::GrantlessClient), once per region. Subscriptions belong to a seller.

use connector_core::Result;
use connector_core::api::Page;
use serde_json::Value;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::models::notification::{
    Destination, DestinationSpecification, NotificationType, Subscription, SubscriptionList,
    SubscriptionSpecification, TestNotificationSpecification,
};
use crate::models::{Payload, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetSubscriptions::OPERATION,
    GetSubscription::OPERATION,
    CreateSubscription::OPERATION,
    GetSubscriptionById::OPERATION,
    DeleteSubscriptionById::OPERATION,
    SendTestNotification::OPERATION,
    GetDestinations::OPERATION,
    CreateDestination::OPERATION,
    GetDestination::OPERATION,
    DeleteDestination::OPERATION,
];

fn check_destination(arguments: &Arguments) -> Result<()> {
    let resource = &arguments.value()["resourceSpecification"];
    let is_one = resource["sqs"].is_null() != resource["eventBridge"].is_null();
    let arn = resource["sqs"]["arn"].as_str();
    if !is_one
        || arn.is_some_and(|arn| {
            !arn.starts_with("arn:aws:sqs:") || arn.rsplit('.').next() == Some("fifo")
        })
    {
        return Err(wrong(
            "CreateDestination",
            "a destination needs a standard queue's ARN or an AWS account and region; set one",
        ));
    }
    Ok(())
}

fn check_subscription(arguments: &Arguments) -> Result<()> {
    let directive = &arguments.value()["processingDirective"];
    let expression = directive["filterExpression"].as_str();
    let is_both = !directive["eventFilter"].is_null() && expression.is_some();
    if is_both || expression.is_some_and(|it| !(1..=256).contains(&it.chars().count())) {
        return Err(wrong(
            "CreateSubscription",
            "a filter needs an event filter or an expression of 1 to 256 characters; set one",
        ));
    }
    Ok(())
}

operation! {
    /// Lists the seller's subscriptions to one type of notification.
    ///
    /// See [Amazon docs: getSubscriptions](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    GetSubscriptions -> Page<Subscription>, answer Payload<SubscriptionList>;
    "notifications" GET "/notifications/v1/subscriptions", Safe, 1.0 / 5;
    new { notification_types: query [NotificationType] = "notificationTypes" }
    set {
        /// Sets the payload version.
        with_payload_version: String = "payloadVersion",
        /// Sets the page size, 30 to 100.
        with_page_size: u32 = "pageSize",
    }
    decode: |answer, response| {
        let list = answer.data(response)?;
        Ok(page(list.subscriptions, list.next_token))
    };
    pages: Subscription, keep "nextToken";
}

operation! {
    /// Returns the seller's subscription to a type of notification.
    ///
    /// See [Amazon docs: getSubscription](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    GetSubscription -> Subscription, answer Payload<Subscription>;
    "notifications" GET "/notifications/v1/subscriptions/{notificationType}", Safe, 1.0 / 5;
    new { notification_type: path NotificationType = "notificationType" }
    set {
        /// Sets the payload version.
        with_payload_version: String = "payloadVersion",
    }
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Subscribes the seller to a type of notification. A seller can have one subscription per type
    /// and payload version: a second one is a [conflict](connector_core::ErrorKind::Conflict).
    ///
    /// See [Amazon docs: createSubscription](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    CreateSubscription -> Subscription, answer Payload<Subscription>;
    "notifications" POST "/notifications/v1/subscriptions/{notificationType}", Never, 1.0 / 5;
    new {
        notification_type: path NotificationType = "notificationType",
        specification: body SubscriptionSpecification = "body",
    }
    check: |arguments| check_subscription(arguments);
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Returns a subscription by its id.
    ///
    /// See [Amazon docs: getSubscriptionById](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    GetSubscriptionById -> Subscription, answer Payload<Subscription>;
    "notifications" GET "/notifications/v1/subscriptions/{notificationType}/{subscriptionId}", Safe, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new {
        notification_type: path NotificationType = "notificationType",
        subscription_id: path String = "subscriptionId",
    }
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Deletes a subscription.
    ///
    /// See [Amazon docs: deleteSubscriptionById](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    DeleteSubscriptionById -> (), answer Value;
    "notifications" DELETE "/notifications/v1/subscriptions/{notificationType}/{subscriptionId}", Safe, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new {
        notification_type: path NotificationType = "notificationType",
        subscription_id: path String = "subscriptionId",
    }
    decode: |_answer, _response| Ok(());
}

operation! {
    /// Sends a notification with example data to a destination. This operation exists only in the
    /// sandbox.
    ///
    /// See [Amazon docs: sendTestNotification](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    SendTestNotification -> (), answer Value;
    "notifications" POST "/notifications/v1/subscriptions/{notificationType}/testNotification", Never, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new {
        notification_type: path NotificationType = "notificationType",
        specification: body TestNotificationSpecification = "body",
    }
    decode: |_answer, _response| Ok(());
}

operation! {
    /// Lists the application's destinations in the region.
    ///
    /// See [Amazon docs: getDestinations](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    GetDestinations -> Vec<Destination>, answer Payload<Vec<Destination>>;
    "notifications" GET "/notifications/v1/destinations", Safe, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new {}
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Creates a destination. A second one for the same queue or bus is a
    /// [conflict](connector_core::ErrorKind::Conflict).
    ///
    /// See [Amazon docs: createDestination](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    CreateDestination -> Destination, answer Payload<Destination>;
    "notifications" POST "/notifications/v1/destinations", Never, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new { specification: body DestinationSpecification = "body" }
    check: |arguments| check_destination(arguments);
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Returns a destination by its id.
    ///
    /// See [Amazon docs: getDestination](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    GetDestination -> Destination, answer Payload<Destination>;
    "notifications" GET "/notifications/v1/destinations/{destinationId}", Safe, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new { destination_id: path String = "destinationId" }
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Deletes a destination that has no subscriptions.
    ///
    /// See [Amazon docs: deleteDestination](https://developer-docs.amazon.com/sp-api/docs/notifications-api-v1-reference).
    DeleteDestination -> (), answer Value;
    "notifications" DELETE "/notifications/v1/destinations/{destinationId}", Safe, 1.0 / 5;
    grantless "sellingpartnerapi::notifications";
    new { destination_id: path String = "destinationId" }
    decode: |_answer, _response| Ok(());
}
