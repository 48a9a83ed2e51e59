//! Notifications v1: destinations, subscriptions, and the notifications themselves.

use std::fmt;

use connector_core::clock::Timestamp;
use connector_core::webhook::{Event, TypedEvent};
use connector_core::{Error, ErrorKind, ProviderId, Result};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Decimal, Other, model, texts};
use crate::AmazonSpApi;
use crate::error::ours;

const OPERATION: &str = "amazon_spapi.notification";

texts! {
    /// The type of a notification.
    ///
    /// See [Amazon docs: Notification type values](https://developer-docs.amazon.com/sp-api/docs/notification-type-values).
    NotificationType {
        /// The status of the seller's account has changed.
        AccountStatusChanged = "ACCOUNT_STATUS_CHANGED",
        /// One of the 20 best offers for an item, or a competitor's price, has changed.
        AnyOfferChanged = "ANY_OFFER_CHANGED",
        /// The client secret of the application will expire. Sent to the application's queue
        /// without a subscription.
        ApplicationOAuthClientSecretExpiry = "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY",
        /// The application has a new client secret. Sent to the application's queue without a
        /// subscription.
        ApplicationOAuthClientNewSecret = "APPLICATION_OAUTH_CLIENT_NEW_SECRET",
        /// An offer for business customers has changed.
        B2bAnyOfferChanged = "B2B_ANY_OFFER_CHANGED",
        /// The content of an item of the seller's brand has changed.
        BrandedItemContentChange = "BRANDED_ITEM_CONTENT_CHANGE",
        /// A Data Kiosk query has completed.
        DataKioskQueryProcessingFinished = "DATA_KIOSK_QUERY_PROCESSING_FINISHED",
        /// Hourly traffic of vendor items.
        DetailPageTrafficEvent = "DETAIL_PAGE_TRAFFIC_EVENT",
        /// The status of a shipment from an external fulfillment location has changed.
        ExternalFulfillmentShipmentStatusChange = "EXTERNAL_FULFILLMENT_SHIPMENT_STATUS_CHANGE",
        /// The inventory at Amazon has changed.
        FbaInventoryAvailabilityChanges = "FBA_INVENTORY_AVAILABILITY_CHANGES",
        /// Amazon has created or cancelled a shipment.
        FbaOutboundShipmentStatus = "FBA_OUTBOUND_SHIPMENT_STATUS",
        /// A fee promotion is active.
        FeePromotion = "FEE_PROMOTION",
        /// A feed has completed.
        FeedProcessingFinished = "FEED_PROCESSING_FINISHED",
        /// The status of a fulfillment order has changed.
        FulfillmentOrderStatus = "FULFILLMENT_ORDER_STATUS",
        /// Hourly inventory of vendor items.
        ItemInventoryEventChange = "ITEM_INVENTORY_EVENT_CHANGE",
        /// The product type of an item has changed.
        ItemProductTypeChange = "ITEM_PRODUCT_TYPE_CHANGE",
        /// Hourly sales of vendor items.
        ItemSalesEventChange = "ITEM_SALES_EVENT_CHANGE",
        /// The issues of a listing have changed.
        ListingsItemIssuesChange = "LISTINGS_ITEM_ISSUES_CHANGE",
        /// The quantity of a seller-fulfilled listing has changed.
        ListingsItemMfnQuantityChange = "LISTINGS_ITEM_MFN_QUANTITY_CHANGE",
        /// The status of a listing has changed.
        ListingsItemStatusChange = "LISTINGS_ITEM_STATUS_CHANGE",
        /// An order has changed.
        OrderChange = "ORDER_CHANGE",
        /// An offer is not eligible for the featured offer because of its price.
        PricingHealth = "PRICING_HEALTH",
        /// Product types have changed.
        ProductTypeDefinitionsChange = "PRODUCT_TYPE_DEFINITIONS_CHANGE",
        /// A report has completed.
        ReportProcessingFinished = "REPORT_PROCESSING_FINISHED",
        /// A shipment has reached a milestone.
        ShipmentTrackingMilestoneChanged = "SHIPMENT_TRACKING_MILESTONE_CHANGED",
        /// A financial transaction has been posted.
        TransactionUpdate = "TRANSACTION_UPDATE",
    }

    /// The type of an event filter.
    EventFilterType {
        /// Filters [`NotificationType::AnyOfferChanged`].
        AnyOfferChanged = "ANY_OFFER_CHANGED",
        /// Filters [`NotificationType::OrderChange`].
        OrderChange = "ORDER_CHANGE",
        /// Filters [`NotificationType::ShipmentTrackingMilestoneChanged`].
        ShipmentTrackingMilestoneChanged = "SHIPMENT_TRACKING_MILESTONE_CHANGED",
    }

    /// The period over which Amazon aggregates notifications.
    AggregationTimePeriod {
        /// Five minutes.
        FiveMinutes = "FiveMinutes",
        /// Ten minutes.
        TenMinutes = "TenMinutes",
    }

    /// The reason for an order change.
    OrderChangeType {
        /// The buyer requested a change.
        BuyerRequestedChange = "BuyerRequestedChange",
        /// The tip has changed.
        DeliveryTipChange = "DeliveryTipChange",
        /// The status has changed.
        OrderStatusChange = "OrderStatusChange",
    }

    /// The status of a seller's account. It does not show whether the authorization is valid.
    AccountStatus {
        /// The account is in good standing.
        Normal = "NORMAL",
        /// The account is at risk of deactivation.
        AtRisk = "AT_RISK",
        /// The account is deactivated.
        Deactivated = "DEACTIVATED",
    }
}

impl NotificationType {
    /// Returns true if Amazon delivers notifications of this type only to Amazon `EventBridge`. All
    /// other types are delivered only to Amazon SQS.
    #[must_use]
    pub const fn is_for_event_bridge(&self) -> bool {
        matches!(
            self,
            Self::BrandedItemContentChange
                | Self::ItemProductTypeChange
                | Self::ListingsItemStatusChange
                | Self::ListingsItemIssuesChange
                | Self::ListingsItemMfnQuantityChange
                | Self::ProductTypeDefinitionsChange
        )
    }
}

model! {
    /// The destination of notifications: a queue or an event bus.
    Destination {
        /// The id.
        destination_id: String,
        /// The name.
        name: String,
        /// The queue or event bus.
        resource: Option<DestinationResource>,
    }

    /// A queue or an event bus. Exactly one member is set.
    DestinationResource {
        /// The Amazon SQS queue.
        sqs: Option<SqsResource>,
        /// The partner event source of Amazon `EventBridge`.
        event_bridge: Option<EventBridgeResource>,
    }

    /// An Amazon SQS queue of type *standard*.
    SqsResource {
        /// The ARN of the queue.
        arn: String,
    }

    /// A partner event source of Amazon `EventBridge`.
    EventBridgeResource {
        /// The name of the event source. Absent in requests.
        name: Option<String>,
        /// The AWS region.
        region: String,
        /// The AWS account.
        account_id: String,
    }

    /// A destination to create.
    DestinationSpecification {
        /// The display name.
        name: String,
        /// The queue or event bus.
        resource_specification: DestinationResource,
    }

    /// A subscription of a seller to one type of notification.
    Subscription {
        /// The id. Notifications are routed to connections by this id only.
        subscription_id: String,
        /// The version of the payload.
        payload_version: Option<String>,
        /// The destination.
        destination_id: Option<String>,
        /// The filter.
        processing_directive: Option<ProcessingDirective>,
    }

    /// A page of subscriptions.
    SubscriptionList {
        /// The subscriptions.
        subscriptions: Vec<Subscription>,
        /// The token of the next page.
        next_token: Option<String>,
    }

    /// A subscription to create.
    SubscriptionSpecification {
        /// The version of the payload, for example `1.0`.
        payload_version: String,
        /// The destination.
        destination_id: String,
        /// The filter.
        processing_directive: Option<ProcessingDirective>,
    }

    /// The filter of a subscription. Exactly one member is set.
    ProcessingDirective {
        /// The event filter.
        event_filter: Option<EventFilter>,
        /// A filter expression in the Common Expression Language, 1 to 256 characters.
        filter_expression: Option<String>,
    }

    /// A filter by event properties.
    EventFilter {
        /// The type of the filter.
        event_filter_type: Option<EventFilterType>,
        /// The marketplaces.
        marketplace_ids: Vec<String>,
        /// The aggregation of notifications.
        aggregation_settings: Option<AggregationSettings>,
        /// The reasons for order changes to include.
        order_change_types: Vec<OrderChangeType>,
        /// The shipment to track.
        tracking_identifier: Option<TrackingIdentifier>,
    }

    /// A shipment, identified by one of these ids.
    TrackingIdentifier {
        /// The id of a shipment in Amazon's network (ACSIN).
        acsin: Option<String>,
        /// Amazon's tracking number (AFTN).
        aftn: Option<String>,
        /// Another id of the shipment.
        id: Option<String>,
        /// The number of a container.
        container_number: Option<String>,
        /// The number of a house bill of lading.
        house_bill_of_lading_number: Option<String>,
        /// The tracking number of a carrier.
        carrier_tracking: Option<CarrierTracking>,
    }

    /// A tracking number of a carrier.
    CarrierTracking {
        /// The code of the carrier.
        carrier_code: Option<String>,
        /// The tracking number.
        tracking_number: Option<String>,
    }

    /// The aggregation of notifications.
    AggregationSettings {
        /// The aggregation period.
        aggregation_time_period: Option<AggregationTimePeriod>,
    }

    /// A test notification and its destination.
    TestNotificationSpecification {
        /// The destination.
        destination_id: String,
        /// The notification.
        test_notification: TestNotification,
    }

    /// A test notification in the sandbox.
    TestNotification {
        /// The version of the payload.
        payload_version: String,
        /// The test scenario.
        test_scenario: Option<String>,
    }
}

impl DestinationSpecification {
    /// Creates a destination for the Amazon SQS queue with this ARN.
    #[must_use]
    pub fn sqs(name: impl Into<String>, arn: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            resource_specification: DestinationResource {
                sqs: Some(SqsResource {
                    arn: arn.into(),
                    ..SqsResource::default()
                }),
                ..DestinationResource::default()
            },
            ..Self::default()
        }
    }

    /// Creates a destination for a partner event source of Amazon `EventBridge` in this AWS account
    /// and region.
    #[must_use]
    pub fn event_bridge(
        name: impl Into<String>,
        account_id: impl Into<String>,
        region: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            resource_specification: DestinationResource {
                event_bridge: Some(EventBridgeResource {
                    account_id: account_id.into(),
                    region: region.into(),
                    ..EventBridgeResource::default()
                }),
                ..DestinationResource::default()
            },
            ..Self::default()
        }
    }
}

impl TestNotificationSpecification {
    /// Creates a test notification with this destination and payload version.
    #[must_use]
    pub fn new(destination_id: impl Into<String>, payload_version: impl Into<String>) -> Self {
        Self {
            destination_id: destination_id.into(),
            test_notification: TestNotification {
                payload_version: payload_version.into(),
                ..TestNotification::default()
            },
            ..Self::default()
        }
    }

    /// Sets the scenario.
    #[must_use]
    pub fn with_scenario(mut self, scenario: impl Into<String>) -> Self {
        self.test_notification.test_scenario = Some(scenario.into());
        self
    }
}

impl SubscriptionSpecification {
    /// Creates a subscription with this payload version and destination.
    #[must_use]
    pub fn new(payload_version: impl Into<String>, destination_id: impl Into<String>) -> Self {
        Self {
            payload_version: payload_version.into(),
            destination_id: destination_id.into(),
            ..Self::default()
        }
    }

    /// Sets the filter. No filter is set by default, because Amazon rejected subscriptions of some
    /// applications with a filter, and of others without one.
    #[must_use]
    pub fn with_directive(mut self, directive: ProcessingDirective) -> Self {
        self.processing_directive = Some(directive);
        self
    }
}

impl ProcessingDirective {
    /// Creates a filter from an expression in the Common Expression Language.
    #[must_use]
    pub fn expression(expression: impl Into<String>) -> Self {
        Self {
            filter_expression: Some(expression.into()),
            ..Self::default()
        }
    }

    /// Creates a filter from an event filter.
    #[must_use]
    pub fn filter(filter: EventFilter) -> Self {
        Self {
            event_filter: Some(filter),
            ..Self::default()
        }
    }
}

impl EventFilter {
    /// Creates a filter of this type that matches all events.
    #[must_use]
    pub fn new(event_filter_type: EventFilterType) -> Self {
        Self {
            event_filter_type: Some(event_filter_type),
            ..Self::default()
        }
    }

    /// Sets the marketplaces.
    #[must_use]
    pub fn with_marketplace_ids<S: Into<String>>(
        mut self,
        ids: impl IntoIterator<Item = S>,
    ) -> Self {
        self.marketplace_ids = ids.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the aggregation period.
    #[must_use]
    pub fn with_aggregation(mut self, period: AggregationTimePeriod) -> Self {
        self.aggregation_settings = Some(AggregationSettings {
            aggregation_time_period: Some(period),
            ..AggregationSettings::default()
        });
        self
    }

    /// Sets the reasons for order changes to include.
    #[must_use]
    pub fn with_order_change_types(
        mut self,
        types: impl IntoIterator<Item = OrderChangeType>,
    ) -> Self {
        self.order_change_types = types.into_iter().collect();
        self
    }
}

/// The envelope of a notification. Member names in `camelCase` and in `PascalCase` are both
/// accepted.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Notification {
    /// The version of the envelope.
    #[serde(default, alias = "NotificationVersion")]
    pub notification_version: Option<String>,
    /// The type.
    #[serde(alias = "NotificationType")]
    pub notification_type: NotificationType,
    /// The version of the payload.
    #[serde(default, alias = "PayloadVersion")]
    pub payload_version: Option<String>,
    /// The time of the event (RFC 3339). Notifications may arrive out of order, so compare this
    /// time.
    #[serde(default, alias = "EventTime")]
    pub event_time: Option<String>,
    /// The payload. Its structure depends on the notification type and payload version. See
    /// [`Notification::event`].
    #[serde(default, alias = "Payload")]
    pub payload: Value,
    /// The ids of the notification.
    #[serde(alias = "NotificationMetadata")]
    pub notification_metadata: NotificationMetadata,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Other,
}

/// The ids of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NotificationMetadata {
    /// The id of the application.
    #[serde(default, alias = "ApplicationId")]
    pub application_id: Option<String>,
    /// The id of the subscription; absent in notifications to the application itself.
    #[serde(default, alias = "SubscriptionId")]
    pub subscription_id: Option<String>,
    /// The time at which Amazon sent the notification (RFC 3339).
    #[serde(default, alias = "PublishTime")]
    pub publish_time: Option<String>,
    /// The id of the notification. It is the same for repeated deliveries.
    #[serde(alias = "NotificationId")]
    pub notification_id: String,
    /// Members that this version does not know.
    #[serde(flatten)]
    pub other: Other,
}

/// The envelope of Amazon `EventBridge`.
#[derive(Deserialize)]
struct BusEvent<'a> {
    #[serde(rename = "detail-type")]
    _type: serde::de::IgnoredAny,
    #[serde(borrow)]
    detail: &'a serde_json::value::RawValue,
}

impl Notification {
    /// Parses the body of an Amazon SQS message, or an Amazon `EventBridge` event with the
    /// notification in `detail`.
    ///
    /// This function does not authenticate the body. Call it only for messages from your own queue
    /// or event bus, or for requests whose secret you have checked.
    ///
    /// # Errors
    /// [`ErrorKind::WebhookRefused`] if the body is not a notification.
    pub fn parse(body: &[u8]) -> Result<Self> {
        // The parser's error message may quote the body.
        let refused = || {
            let message = "the message is not a notification of the Selling Partner API";
            ours(Error::new(ErrorKind::WebhookRefused, OPERATION, message))
        };
        if let Ok(event) = serde_json::from_slice::<BusEvent<'_>>(body) {
            return serde_json::from_str(event.detail.get()).map_err(|_| refused());
        }
        serde_json::from_slice(body).map_err(|_| refused())
    }

    /// Returns the id of the notification, for deduplication.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.notification_metadata.notification_id
    }

    /// Returns the id of the subscription.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&str> {
        self.notification_metadata.subscription_id.as_deref()
    }

    /// Returns the time of the event.
    #[must_use]
    pub fn triggered_at(&self) -> Option<Timestamp> {
        Timestamp::parse(self.event_time.as_deref()?)
    }

    /// Decodes the payload according to the notification type.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the payload does not match the notification type.
    pub fn event(&self) -> Result<NotificationEvent> {
        use NotificationEvent as E;
        Ok(match &self.notification_type {
            NotificationType::OrderChange => E::OrderChange(Box::new(self.inner("OrderChange")?)),
            NotificationType::ListingsItemStatusChange => {
                E::ListingsItemStatusChange(self.inner("")?)
            }
            NotificationType::ListingsItemIssuesChange => {
                E::ListingsItemIssuesChange(self.inner("")?)
            }
            NotificationType::AnyOfferChanged => {
                E::AnyOfferChanged(Box::new(self.inner("AnyOfferChanged")?))
            }
            NotificationType::ReportProcessingFinished => {
                E::ReportProcessingFinished(self.inner("ReportProcessingFinished")?)
            }
            NotificationType::FeedProcessingFinished => {
                E::FeedProcessingFinished(self.inner("FeedProcessingFinished")?)
            }
            NotificationType::DataKioskQueryProcessingFinished => {
                E::QueryProcessingFinished(self.inner("")?)
            }
            NotificationType::AccountStatusChanged => {
                E::AccountStatusChanged(self.inner("AccountStatusChange")?)
            }
            NotificationType::FbaInventoryAvailabilityChanges => {
                E::InventoryAvailabilityChanges(self.inner("")?)
            }
            NotificationType::TransactionUpdate => {
                E::TransactionUpdate(self.inner("TransactionUpdate")?)
            }
            NotificationType::ApplicationOAuthClientSecretExpiry => {
                E::ClientSecretExpiry(self.inner("ApplicationOAuthClientSecretExpiry")?)
            }
            NotificationType::ApplicationOAuthClientNewSecret => {
                E::NewClientSecret(self.inner("ApplicationOAuthClientNewSecret")?)
            }
            _ => E::Other(self.payload.clone()),
        })
    }

    /// Decodes the payload member named after the type. The case of the name is ignored, and the
    /// suffix `Notification` is optional.
    fn inner<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let same = |member: &str| {
            let member = member.strip_suffix("Notification").unwrap_or(member);
            member.eq_ignore_ascii_case(name)
        };
        let members = self.payload.as_object();
        let found = members.and_then(|it| it.iter().find(|(member, _)| same(member)));
        let inner = found.map_or(&self.payload, |(_, inner)| inner);
        T::deserialize(inner).map_err(|_| {
            let message = "the payload of the notification does not match its type";
            ours(Error::new(
                ErrorKind::UnexpectedResponse,
                OPERATION,
                message,
            ))
        })
    }
}

/// Shows only ids, because the payload may contain personal data or a client secret.
impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("type", &self.notification_type)
            .field("payload_version", &self.payload_version)
            .field("metadata", &self.notification_metadata)
            .finish_non_exhaustive()
    }
}

/// Matches every notification that the application ingests.
impl TypedEvent for Notification {
    const PROVIDER: ProviderId = AmazonSpApi::ID;
    const TOPICS: &'static [&'static str] = &[];

    fn decode(event: &Event) -> Result<Self> {
        Self::parse(&event.body)
    }
}

/// Implements [`TypedEvent`] for payloads. The topic is the notification type, which the application
/// passes to the hub with the message.
macro_rules! typed {
    ($($name:ident = $topic:literal, $member:literal;)*) => { $(
        impl TypedEvent for $name {
            const PROVIDER: ProviderId = AmazonSpApi::ID;
            const TOPICS: &'static [&'static str] = &[$topic];

            fn decode(event: &Event) -> Result<Self> {
                Notification::parse(&event.body)?.inner($member)
            }
        }
    )* };
}

typed! {
    OrderChange = "ORDER_CHANGE", "OrderChange";
    ListingsItemStatusChange = "LISTINGS_ITEM_STATUS_CHANGE", "";
    ListingsItemIssuesChange = "LISTINGS_ITEM_ISSUES_CHANGE", "";
    AnyOfferChanged = "ANY_OFFER_CHANGED", "AnyOfferChanged";
    ReportProcessingFinished = "REPORT_PROCESSING_FINISHED", "ReportProcessingFinished";
    FeedProcessingFinished = "FEED_PROCESSING_FINISHED", "FeedProcessingFinished";
    QueryProcessingFinished = "DATA_KIOSK_QUERY_PROCESSING_FINISHED", "";
    AccountStatusChanged = "ACCOUNT_STATUS_CHANGED", "AccountStatusChange";
    InventoryAvailabilityChanges = "FBA_INVENTORY_AVAILABILITY_CHANGES", "";
    TransactionUpdate = "TRANSACTION_UPDATE", "TransactionUpdate";
    ClientSecretExpiry =
        "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY", "ApplicationOAuthClientSecretExpiry";
    NewClientSecret = "APPLICATION_OAUTH_CLIENT_NEW_SECRET", "ApplicationOAuthClientNewSecret";
}

/// The decoded payload of a notification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NotificationEvent {
    /// An order has changed.
    OrderChange(Box<OrderChange>),
    /// The status of a listing has changed.
    ListingsItemStatusChange(ListingsItemStatusChange),
    /// The issues of a listing have changed.
    ListingsItemIssuesChange(ListingsItemIssuesChange),
    /// The best offers for an item have changed.
    AnyOfferChanged(Box<AnyOfferChanged>),
    /// A report has completed.
    ReportProcessingFinished(ReportProcessingFinished),
    /// A feed has completed.
    FeedProcessingFinished(FeedProcessingFinished),
    /// A Data Kiosk query has completed.
    QueryProcessingFinished(QueryProcessingFinished),
    /// The status of the seller's account has changed.
    AccountStatusChanged(AccountStatusChanged),
    /// The inventory at Amazon has changed.
    InventoryAvailabilityChanges(InventoryAvailabilityChanges),
    /// A financial transaction has been posted.
    TransactionUpdate(TransactionUpdate),
    /// The client secret of the application will expire.
    ClientSecretExpiry(ClientSecretExpiry),
    /// The application has a new client secret.
    NewClientSecret(NewClientSecret),
    /// The payload of a notification type that this version does not decode.
    Other(Value),
}

model! {
    /// Payload of `ORDER_CHANGE`.
    OrderChange["PascalCase"] {
        /// The level of the change: `OrderLevel` or `OrderItemLevel`.
        notification_level: Option<String>,
        /// The seller id in the payload. Do not use it for routing: it is not authenticated.
        seller_id: Option<String>,
        /// The order.
        amazon_order_id: String,
        /// The reason.
        order_change_type: Option<OrderChangeType>,
        /// The time and the reason of the change.
        order_change_trigger: Option<OrderChangeTrigger>,
        /// The order after the change.
        summary: Option<OrderChangeSummary>,
    }

    /// The time and the reason of an order change.
    OrderChangeTrigger["PascalCase"] {
        /// The time (RFC 3339).
        time_of_order_change: Option<String>,
        /// The cause.
        change_reason: Option<String>,
    }

    /// Summary of an order after a change.
    OrderChangeSummary["PascalCase"] {
        /// The marketplace.
        marketplace_id: Option<String>,
        /// The status, for example `Unshipped`.
        order_status: Option<String>,
        /// The time of the purchase (RFC 3339).
        purchase_date: Option<String>,
        /// The postal code of the destination.
        destination_postal_code: Option<String>,
        /// The fulfillment network: `AFN` (Amazon) or `MFN` (the seller).
        fulfillment_type: Option<String>,
        /// The type, for example `StandardOrder`.
        order_type: Option<String>,
        /// Number of shipped items.
        number_of_items_shipped: Option<u64>,
        /// Number of items not yet shipped.
        number_of_items_unshipped: Option<u64>,
        /// The earliest delivery time (RFC 3339).
        earliest_delivery_date: Option<String>,
        /// The latest delivery time (RFC 3339).
        latest_delivery_date: Option<String>,
        /// The earliest shipping time (RFC 3339).
        earliest_ship_date: Option<String>,
        /// The latest shipping time (RFC 3339).
        latest_ship_date: Option<String>,
        /// The programs of the order.
        order_programs: Vec<String>,
        /// The programs of the shipment.
        shipping_programs: Vec<String>,
        /// The items.
        order_items: Vec<OrderChangeItem>,
    }

    /// An item of a changed order.
    OrderChangeItem["PascalCase"] {
        /// Its id.
        order_item_id: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SellerSKU")]
        seller_sku: Option<String>,
        /// The supply source.
        supply_source_id: Option<String>,
        /// The status.
        order_item_status: Option<String>,
        /// The quantity.
        quantity: Option<u64>,
        /// The quantity that was shipped.
        quantity_shipped: Option<u64>,
        /// True if the buyer requested cancellation.
        is_buyer_requested_cancel: Option<bool>,
    }

    /// Payload of `LISTINGS_ITEM_STATUS_CHANGE`.
    ListingsItemStatusChange["PascalCase"] {
        /// The seller id in the payload. Do not use it for routing: it is not authenticated.
        seller_id: Option<String>,
        /// The marketplace.
        marketplace_id: Option<String>,
        /// The ASIN.
        asin: Option<String>,
        /// The seller's SKU.
        sku: String,
        /// The time of the listing's creation (RFC 3339).
        created_date: Option<String>,
        /// The statuses: `BUYABLE`, `DISCOVERABLE`, `DELETED`.
        status: Vec<String>,
    }

    /// Payload of `LISTINGS_ITEM_ISSUES_CHANGE`.
    ListingsItemIssuesChange["PascalCase"] {
        /// The seller id in the payload. Do not use it for routing: it is not authenticated.
        seller_id: Option<String>,
        /// The marketplace.
        marketplace_id: Option<String>,
        /// The ASIN.
        asin: Option<String>,
        /// The seller's SKU.
        sku: String,
        /// The severities of the current issues.
        severities: Vec<String>,
        /// Enforcement actions by Amazon.
        enforcement_actions: Vec<String>,
    }

    /// Payload of `ANY_OFFER_CHANGED`.
    AnyOfferChanged["PascalCase"] {
        /// The seller id in the payload. Do not use it for routing: it is not authenticated.
        seller_id: Option<String>,
        /// The event that triggered the notification.
        offer_change_trigger: Option<OfferChangeTrigger>,
        /// Statistics of the offers.
        summary: Option<OfferSummary>,
        /// The offers, at most 20.
        offers: Vec<Offer>,
    }

    /// The event that triggered an offer change.
    OfferChangeTrigger["PascalCase"] {
        /// The marketplace.
        marketplace_id: Option<String>,
        /// The ASIN.
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The condition of the item.
        item_condition: Option<String>,
        /// The time (RFC 3339).
        time_of_offer_change: Option<String>,
        /// The kind of change.
        offer_change_type: Option<String>,
    }

    /// Statistics of offers.
    OfferSummary["PascalCase"] {
        /// The numbers of offers by condition and channel.
        number_of_offers: Vec<OfferCount>,
        /// The lowest prices by condition and channel.
        lowest_prices: Vec<OfferPrice>,
        /// The prices of the featured offers by condition.
        buy_box_prices: Vec<OfferPrice>,
        /// The list price.
        list_price: Option<OfferAmount>,
        /// The minimum advertised price.
        minimum_advertised_price: Option<OfferAmount>,
        /// The suggested lower price, including shipping.
        suggested_lower_price_plus_shipping: Option<OfferAmount>,
        /// The competitive price threshold.
        competitive_price_threshold: Option<OfferAmount>,
        /// Total number of offers eligible for the featured offer.
        total_buy_box_eligible_offers: Option<u64>,
        /// The ranks in sales.
        sales_rankings: Vec<SalesRanking>,
        /// Numbers of offers eligible for the featured offer, by condition and channel.
        number_of_buy_box_eligible_offers: Vec<OfferCount>,
    }

    /// Number of offers for one condition and channel.
    OfferCount["PascalCase"] {
        /// The condition.
        condition: Option<String>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<String>,
        /// Number of offers.
        offer_count: Option<u64>,
    }

    /// Price for one condition and channel.
    OfferPrice["PascalCase"] {
        /// The condition.
        condition: Option<String>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<String>,
        /// The price including shipping.
        landed_price: Option<OfferAmount>,
        /// The price.
        listing_price: Option<OfferAmount>,
        /// The shipping.
        shipping: Option<OfferAmount>,
    }

    /// An amount of money.
    OfferAmount["PascalCase"] {
        /// The amount.
        amount: Option<Decimal>,
        /// The currency (ISO 4217).
        currency_code: Option<String>,
    }

    /// A sales rank.
    SalesRanking["PascalCase"] {
        /// The category.
        product_category_id: Option<String>,
        /// The rank.
        rank: Option<u64>,
    }

    /// An offer.
    Offer["PascalCase"] {
        /// The seller of the offer.
        seller_id: Option<String>,
        /// The condition.
        sub_condition: Option<String>,
        /// The price.
        listing_price: Option<OfferAmount>,
        /// The shipping.
        shipping: Option<OfferAmount>,
        /// True if Amazon fulfills the offer.
        is_fulfilled_by_amazon: Option<bool>,
        /// True if the offer is the featured offer.
        is_buy_box_winner: Option<bool>,
        /// True if the seller is eligible for the featured offer.
        is_featured_merchant: Option<bool>,
    }

    /// Payload of `REPORT_PROCESSING_FINISHED`. Confirm the status before you rely on it:
    /// [`ReportFlow::check`](crate::flows::ReportFlow::check).
    ReportProcessingFinished {
        /// The seller id in the payload; absent for vendors. Do not use it for routing: it is not
        /// authenticated.
        seller_id: Option<String>,
        /// The account.
        account_id: Option<String>,
        /// The report.
        report_id: String,
        /// Its type.
        report_type: Option<String>,
        /// The status, one of [`ProcessingStatus`](crate::flows::ProcessingStatus).
        processing_status: Option<String>,
        /// Its document.
        report_document_id: Option<String>,
    }

    /// Payload of `FEED_PROCESSING_FINISHED`. Confirm the status of the feed before you rely on it.
    FeedProcessingFinished {
        /// The seller id in the payload; absent for vendors. Do not use it for routing: it is not
        /// authenticated.
        seller_id: Option<String>,
        /// The account.
        account_id: Option<String>,
        /// The feed.
        feed_id: String,
        /// Its type.
        feed_type: Option<String>,
        /// Its status.
        processing_status: Option<String>,
        /// The document with the processing report.
        result_feed_document_id: Option<String>,
    }

    /// Payload of `DATA_KIOSK_QUERY_PROCESSING_FINISHED`. Confirm the status of the query before
    /// you rely on it.
    QueryProcessingFinished {
        /// The account.
        account_id: Option<String>,
        /// The query.
        query_id: String,
        /// Its text.
        query: Option<String>,
        /// Its status.
        processing_status: Option<String>,
        /// The document with the results.
        data_document_id: Option<String>,
        /// The document with the errors.
        error_document_id: Option<String>,
        /// The token of the next page of results.
        pagination: Option<super::Pagination>,
    }

    /// Payload of `ACCOUNT_STATUS_CHANGED`.
    AccountStatusChanged {
        /// The previous status.
        previous_account_status: Option<AccountStatus>,
        /// The current status.
        current_account_status: Option<AccountStatus>,
    }

    /// Payload of `FBA_INVENTORY_AVAILABILITY_CHANGES`.
    InventoryAvailabilityChanges["PascalCase"] {
        /// The seller id in the payload. Do not use it for routing: it is not authenticated.
        seller_id: Option<String>,
        /// Amazon's SKU.
        #[serde(rename = "FNSKU")]
        fnsku: Option<String>,
        /// The ASIN.
        #[serde(rename = "ASIN")]
        asin: Option<String>,
        /// The seller's SKU.
        #[serde(rename = "SKU")]
        sku: Option<String>,
        /// The stock by marketplace.
        fulfillment_inventory_by_marketplace: Vec<Value>,
    }

    /// Payload of `TRANSACTION_UPDATE`.
    TransactionUpdate["PascalCase"] {
        /// The seller, the marketplace and the account type.
        selling_partner_metadata: Option<Value>,
        /// Related ids, for example of an order.
        related_identifiers: Vec<Value>,
        /// The type, for example `Shipment`.
        transaction_type: Option<String>,
        /// The time of posting (RFC 3339).
        posted_date: Option<String>,
        /// The amount.
        total_amount: Option<Value>,
    }

    /// Payload of `APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY`.
    ClientSecretExpiry {
        /// The client id.
        client_id: String,
        /// The time of expiry (RFC 3339).
        client_secret_expiry_time: Option<String>,
        /// The reason, for example `PERIODIC_ROTATION`.
        client_secret_expiry_reason: Option<String>,
    }
}

/// Payload of `APPLICATION_OAUTH_CLIENT_NEW_SECRET`: the new client secret of the application. The
/// message contains it in clear text, so do not log the message.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NewClientSecret {
    /// The client id.
    pub client_id: String,
    /// The new secret.
    pub new_client_secret: SecretString,
    /// The expiry time of the new secret (RFC 3339).
    #[serde(default)]
    pub new_client_secret_expiry_time: Option<String>,
    /// The time until which Amazon accepts the old secret (RFC 3339).
    #[serde(default)]
    pub old_client_secret_expiry_time: Option<String>,
}
