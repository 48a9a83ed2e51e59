//! Notifications v1: destinations, subscriptions, and the notifications themselves.

use std::fmt;

use connector_core::clock::Timestamp;
use connector_core::{Error, ErrorKind, Result};
use secrecy::SecretString;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Decimal, Other, model, texts};

const OPERATION: &str = "amazon_spapi.notification";

texts! {
    /// The type of a notification.
    ///
    /// See [Amazon docs: Notification type values](https://developer-docs.amazon.com/sp-api/docs/notification-type-values).
    NotificationType {
        /// The status of the seller's account has changed.
        AccountStatusChanged = "ACCOUNT_STATUS_CHANGED",
        /// The 20 best offers of an item have changed, or a competitor's price.
        AnyOfferChanged = "ANY_OFFER_CHANGED",
        /// The client secret of the app expires. Sent to the app's queue without a subscription.
        ApplicationOAuthClientSecretExpiry = "APPLICATION_OAUTH_CLIENT_SECRET_EXPIRY",
        /// The app has a new client secret. Sent to the app's queue without a subscription.
        ApplicationOAuthClientNewSecret = "APPLICATION_OAUTH_CLIENT_NEW_SECRET",
        /// An offer for business customers has changed.
        B2bAnyOfferChanged = "B2B_ANY_OFFER_CHANGED",
        /// The content of an item of the seller's brand has changed.
        BrandedItemContentChange = "BRANDED_ITEM_CONTENT_CHANGE",
        /// A query of Data Kiosk has ended.
        DataKioskQueryProcessingFinished = "DATA_KIOSK_QUERY_PROCESSING_FINISHED",
        /// The hourly traffic of vendor items.
        DetailPageTrafficEvent = "DETAIL_PAGE_TRAFFIC_EVENT",
        /// The status of an external fulfillment's shipment has changed.
        ExternalFulfillmentShipmentStatusChange = "EXTERNAL_FULFILLMENT_SHIPMENT_STATUS_CHANGE",
        /// The stock at Amazon has changed.
        FbaInventoryAvailabilityChanges = "FBA_INVENTORY_AVAILABILITY_CHANGES",
        /// Amazon has created or cancelled a shipment.
        FbaOutboundShipmentStatus = "FBA_OUTBOUND_SHIPMENT_STATUS",
        /// A promotion of fees is active.
        FeePromotion = "FEE_PROMOTION",
        /// A feed has ended.
        FeedProcessingFinished = "FEED_PROCESSING_FINISHED",
        /// The status of a fulfillment order has changed.
        FulfillmentOrderStatus = "FULFILLMENT_ORDER_STATUS",
        /// The hourly stock of vendor items.
        ItemInventoryEventChange = "ITEM_INVENTORY_EVENT_CHANGE",
        /// The product type of an item has changed.
        ItemProductTypeChange = "ITEM_PRODUCT_TYPE_CHANGE",
        /// The hourly sales of vendor items.
        ItemSalesEventChange = "ITEM_SALES_EVENT_CHANGE",
        /// The issues of a listing have changed.
        ListingsItemIssuesChange = "LISTINGS_ITEM_ISSUES_CHANGE",
        /// The quantity that the seller offers has changed.
        ListingsItemMfnQuantityChange = "LISTINGS_ITEM_MFN_QUANTITY_CHANGE",
        /// The status of a listing has changed.
        ListingsItemStatusChange = "LISTINGS_ITEM_STATUS_CHANGE",
        /// An order has changed.
        OrderChange = "ORDER_CHANGE",
        /// An offer cannot be the featured offer because of its price.
        PricingHealth = "PRICING_HEALTH",
        /// Product types have changed.
        ProductTypeDefinitionsChange = "PRODUCT_TYPE_DEFINITIONS_CHANGE",
        /// A report has ended.
        ReportProcessingFinished = "REPORT_PROCESSING_FINISHED",
        /// A shipment has reached a milestone.
        ShipmentTrackingMilestoneChanged = "SHIPMENT_TRACKING_MILESTONE_CHANGED",
        /// A financial transaction was posted.
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

    /// The period over which notifications are combined.
    AggregationTimePeriod {
        /// Five minutes.
        FiveMinutes = "FiveMinutes",
        /// Ten minutes.
        TenMinutes = "TenMinutes",
    }

    /// The reason of an order's change.
    OrderChangeType {
        /// The buyer asked for a change.
        BuyerRequestedChange = "BuyerRequestedChange",
        /// The tip has changed.
        DeliveryTipChange = "DeliveryTipChange",
        /// The status has changed.
        OrderStatusChange = "OrderStatusChange",
    }

    /// The status of a seller's account. It says nothing about the authorization.
    AccountStatus {
        /// In order.
        Normal = "NORMAL",
        /// At risk of deactivation.
        AtRisk = "AT_RISK",
        /// Deactivated.
        Deactivated = "DEACTIVATED",
    }
}

impl NotificationType {
    /// Returns true if notifications of this type are delivered to Amazon `EventBridge` only. All
    /// others are delivered to Amazon SQS only.
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
    /// A queue or bus that notifications are delivered to.
    Destination {
        /// Its id.
        destination_id: String,
        /// Its name.
        name: String,
        /// The queue or bus.
        resource: Option<DestinationResource>,
    }

    /// A queue or bus. One of the members is set.
    DestinationResource {
        /// A queue of Amazon SQS.
        sqs: Option<SqsResource>,
        /// A partner event source of Amazon `EventBridge`.
        event_bridge: Option<EventBridgeResource>,
    }

    /// A queue of Amazon SQS, of the kind *standard*.
    SqsResource {
        /// Its ARN.
        arn: String,
    }

    /// A partner event source of Amazon `EventBridge`.
    EventBridgeResource {
        /// The name of the event source; absent in a request.
        name: Option<String>,
        /// The AWS region.
        region: String,
        /// The AWS account.
        account_id: String,
    }

    /// A destination to create.
    DestinationSpecification {
        /// Its name, for people.
        name: String,
        /// The queue or bus.
        resource_specification: DestinationResource,
    }

    /// A subscription of a seller to one type of notification.
    Subscription {
        /// Its id: the only thing by which a notification is assigned to a connection.
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

    /// The filter of a subscription. One of the members is set.
    ProcessingDirective {
        /// A filter by members.
        event_filter: Option<EventFilter>,
        /// A filter in the Common Expression Language, 1 to 256 characters.
        filter_expression: Option<String>,
    }

    /// A filter by members.
    EventFilter {
        /// The type of the filter.
        event_filter_type: Option<EventFilterType>,
        /// The marketplaces.
        marketplace_ids: Vec<String>,
        /// The combination of notifications.
        aggregation_settings: Option<AggregationSettings>,
        /// The reasons of changes of orders.
        order_change_types: Vec<OrderChangeType>,
        /// The shipment to follow.
        tracking_identifier: Option<TrackingIdentifier>,
    }

    /// A shipment, by one of its ids.
    TrackingIdentifier {
        /// Amazon's id of a shipment in its own network.
        acsin: Option<String>,
        /// Amazon's tracking number.
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

    /// The combination of notifications.
    AggregationSettings {
        /// The period.
        aggregation_time_period: Option<AggregationTimePeriod>,
    }

    /// A notification to send for a test, with its destination.
    TestNotificationSpecification {
        /// The destination.
        destination_id: String,
        /// The notification.
        test_notification: TestNotification,
    }

    /// A notification to send for a test, in the sandbox.
    TestNotification {
        /// The version of the payload.
        payload_version: String,
        /// The scenario.
        test_scenario: Option<String>,
    }
}

impl DestinationSpecification {
    /// A queue of Amazon SQS with this ARN.
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

    /// A partner event source of Amazon `EventBridge` for this AWS account and region.
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
    /// A notification with a payload of this version, to this destination.
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
    /// A subscription to payloads of this version, delivered to this destination.
    #[must_use]
    pub fn new(payload_version: impl Into<String>, destination_id: impl Into<String>) -> Self {
        Self {
            payload_version: payload_version.into(),
            destination_id: destination_id.into(),
            ..Self::default()
        }
    }

    /// Sets the filter. Amazon refused it for some applications with and without it, so none is set by
    /// default.
    #[must_use]
    pub fn with_directive(mut self, directive: ProcessingDirective) -> Self {
        self.processing_directive = Some(directive);
        self
    }
}

impl ProcessingDirective {
    /// A filter in the Common Expression Language.
    #[must_use]
    pub fn expression(expression: impl Into<String>) -> Self {
        Self {
            filter_expression: Some(expression.into()),
            ..Self::default()
        }
    }

    /// A filter by members.
    #[must_use]
    pub fn filter(filter: EventFilter) -> Self {
        Self {
            event_filter: Some(filter),
            ..Self::default()
        }
    }
}

impl EventFilter {
    /// A filter of this type that lets everything pass.
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

    /// Sets the period over which notifications are combined.
    #[must_use]
    pub fn with_aggregation(mut self, period: AggregationTimePeriod) -> Self {
        self.aggregation_settings = Some(AggregationSettings {
            aggregation_time_period: Some(period),
            ..AggregationSettings::default()
        });
        self
    }

    /// Sets the reasons of changes of orders.
    #[must_use]
    pub fn with_order_change_types(
        mut self,
        types: impl IntoIterator<Item = OrderChangeType>,
    ) -> Self {
        self.order_change_types = types.into_iter().collect();
        self
    }
}

/// The envelope of a notification. Amazon writes its members in two cases; both are read.
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
    /// The time of the event (RFC 3339). Notifications arrive in any order: compare it.
    #[serde(default, alias = "EventTime")]
    pub event_time: Option<String>,
    /// The payload, of the form that the type and the version say. See [`Notification::event`].
    #[serde(default, alias = "Payload")]
    pub payload: Value,
    /// The ids of the notification.
    #[serde(alias = "NotificationMetadata")]
    pub notification_metadata: NotificationMetadata,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

/// The ids of a notification.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NotificationMetadata {
    /// The application.
    #[serde(default, alias = "ApplicationId")]
    pub application_id: Option<String>,
    /// The subscription; absent in notifications to the application itself.
    #[serde(default, alias = "SubscriptionId")]
    pub subscription_id: Option<String>,
    /// The time of sending (RFC 3339).
    #[serde(default, alias = "PublishTime")]
    pub publish_time: Option<String>,
    /// The id of the notification, the same whenever it is delivered again.
    #[serde(alias = "NotificationId")]
    pub notification_id: String,
    /// Further members.
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
    /// Reads the body of a message of Amazon SQS, or an event of Amazon `EventBridge`, which contains
    /// the notification in `detail`.
    ///
    /// The body proves nothing: call it only for a message from a queue or bus of your own, or for a
    /// request whose secret was checked.
    ///
    /// # Errors
    /// [`ErrorKind::WebhookRefused`] if it is no notification.
    pub fn parse(body: &[u8]) -> Result<Self> {
        // The parser's own error may quote the body.
        let refused = || {
            let message = "the message is no notification of the Selling Partner API";
            Error::new(ErrorKind::WebhookRefused, OPERATION, message)
                .with_provider(crate::AmazonSpApi::ID.as_str().to_owned())
        };
        if let Ok(event) = serde_json::from_slice::<BusEvent<'_>>(body) {
            return serde_json::from_str(event.detail.get()).map_err(|_| refused());
        }
        serde_json::from_slice(body).map_err(|_| refused())
    }

    /// The id by which a repetition is recognised.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.notification_metadata.notification_id
    }

    /// The id of the subscription.
    #[must_use]
    pub fn subscription_id(&self) -> Option<&str> {
        self.notification_metadata.subscription_id.as_deref()
    }

    /// The time of the event.
    #[must_use]
    pub fn triggered_at(&self) -> Option<Timestamp> {
        Timestamp::parse(self.event_time.as_deref()?)
    }

    /// The payload as the type says.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedAnswer`] if the payload does not have the form of its type.
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

    /// The payload, out of the member that bears its type's name, in either case and with or without
    /// `Notification` behind it.
    fn inner<T: DeserializeOwned>(&self, name: &str) -> Result<T> {
        let same = |member: &str| {
            let member = member.strip_suffix("Notification").unwrap_or(member);
            member.eq_ignore_ascii_case(name)
        };
        let members = self.payload.as_object();
        let found = members.and_then(|it| it.iter().find(|(member, _)| same(member)));
        let inner = found.map_or(&self.payload, |(_, inner)| inner);
        T::deserialize(inner).map_err(|_| {
            let message = "the payload of the notification does not have the form of its type";
            Error::new(ErrorKind::UnexpectedAnswer, OPERATION, message)
                .with_provider(crate::AmazonSpApi::ID.as_str().to_owned())
        })
    }
}

/// Shows ids only. The payload may hold personal data or a client secret.
impl fmt::Debug for Notification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notification")
            .field("type", &self.notification_type)
            .field("payload_version", &self.payload_version)
            .field("metadata", &self.notification_metadata)
            .finish_non_exhaustive()
    }
}

/// The payload of a notification.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum NotificationEvent {
    /// An order has changed.
    OrderChange(Box<OrderChange>),
    /// The status of a listing has changed.
    ListingsItemStatusChange(ListingsItemStatusChange),
    /// The issues of a listing have changed.
    ListingsItemIssuesChange(ListingsItemIssuesChange),
    /// The best offers of an item have changed.
    AnyOfferChanged(Box<AnyOfferChanged>),
    /// A report has ended.
    ReportProcessingFinished(ReportProcessingFinished),
    /// A feed has ended.
    FeedProcessingFinished(FeedProcessingFinished),
    /// A query of Data Kiosk has ended.
    QueryProcessingFinished(QueryProcessingFinished),
    /// The status of the seller's account has changed.
    AccountStatusChanged(AccountStatusChanged),
    /// The stock at Amazon has changed.
    InventoryAvailabilityChanges(InventoryAvailabilityChanges),
    /// A financial transaction was posted.
    TransactionUpdate(TransactionUpdate),
    /// The client secret of the app expires.
    ClientSecretExpiry(ClientSecretExpiry),
    /// The app has a new client secret.
    NewClientSecret(NewClientSecret),
    /// The payload of a type that has no type here.
    Other(Value),
}

model! {
    /// The change of an order.
    OrderChange["PascalCase"] {
        /// `OrderLevel` or `OrderItemLevel`.
        notification_level: Option<String>,
        /// The seller's id. It is no proof of whom the notification is about.
        seller_id: Option<String>,
        /// The order.
        amazon_order_id: String,
        /// The reason.
        order_change_type: Option<OrderChangeType>,
        /// The time and the cause.
        order_change_trigger: Option<OrderChangeTrigger>,
        /// The order after the change.
        summary: Option<OrderChangeSummary>,
    }

    /// The time and the cause of an order's change.
    OrderChangeTrigger["PascalCase"] {
        /// The time (RFC 3339).
        time_of_order_change: Option<String>,
        /// The cause.
        change_reason: Option<String>,
    }

    /// An order after a change.
    OrderChangeSummary["PascalCase"] {
        /// The marketplace.
        marketplace_id: Option<String>,
        /// The status, for example `Unshipped`.
        order_status: Option<String>,
        /// The time of the purchase (RFC 3339).
        purchase_date: Option<String>,
        /// The postal code of the destination.
        destination_postal_code: Option<String>,
        /// `AFN` (Amazon) or `MFN` (the seller).
        fulfillment_type: Option<String>,
        /// The type, for example `StandardOrder`.
        order_type: Option<String>,
        /// The number of items that were shipped.
        number_of_items_shipped: Option<u64>,
        /// The number of items that were not shipped.
        number_of_items_unshipped: Option<u64>,
        /// The earliest delivery (RFC 3339).
        earliest_delivery_date: Option<String>,
        /// The latest delivery (RFC 3339).
        latest_delivery_date: Option<String>,
        /// The earliest shipment (RFC 3339).
        earliest_ship_date: Option<String>,
        /// The latest shipment (RFC 3339).
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
        /// True if the buyer asked to cancel.
        is_buyer_requested_cancel: Option<bool>,
    }

    /// The change of a listing's status.
    ListingsItemStatusChange["PascalCase"] {
        /// The seller's id. It is no proof of whom the notification is about.
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

    /// The change of a listing's issues.
    ListingsItemIssuesChange["PascalCase"] {
        /// The seller's id. It is no proof of whom the notification is about.
        seller_id: Option<String>,
        /// The marketplace.
        marketplace_id: Option<String>,
        /// The ASIN.
        asin: Option<String>,
        /// The seller's SKU.
        sku: String,
        /// The severities of the present issues.
        severities: Vec<String>,
        /// The measures that Amazon took.
        enforcement_actions: Vec<String>,
    }

    /// The change of an item's best offers.
    AnyOfferChanged["PascalCase"] {
        /// The seller's id. It is no proof of whom the notification is about.
        seller_id: Option<String>,
        /// The event that caused it.
        offer_change_trigger: Option<OfferChangeTrigger>,
        /// The offers in numbers.
        summary: Option<OfferSummary>,
        /// The offers, at most 20.
        offers: Vec<Offer>,
    }

    /// The event that caused a change of offers.
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

    /// Offers in numbers.
    OfferSummary["PascalCase"] {
        /// The numbers of offers by condition and channel.
        number_of_offers: Vec<OfferCount>,
        /// The lowest prices by condition and channel.
        lowest_prices: Vec<OfferPrice>,
        /// The prices of the featured offers by condition.
        buy_box_prices: Vec<OfferPrice>,
        /// The list price.
        list_price: Option<OfferAmount>,
        /// The minimum price that may be advertised.
        minimum_advertised_price: Option<OfferAmount>,
        /// The suggested lower price with shipping.
        suggested_lower_price_plus_shipping: Option<OfferAmount>,
        /// The competitive price threshold.
        competitive_price_threshold: Option<OfferAmount>,
        /// The number of all eligible offers.
        total_buy_box_eligible_offers: Option<u64>,
        /// The ranks in sales.
        sales_rankings: Vec<SalesRanking>,
        /// The numbers of eligible offers by condition and channel.
        number_of_buy_box_eligible_offers: Vec<OfferCount>,
    }

    /// The number of offers of a condition and channel.
    OfferCount["PascalCase"] {
        /// The condition.
        condition: Option<String>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<String>,
        /// The number.
        offer_count: Option<u64>,
    }

    /// The price of a condition and channel.
    OfferPrice["PascalCase"] {
        /// The condition.
        condition: Option<String>,
        /// The channel: `Amazon` or `Merchant`.
        fulfillment_channel: Option<String>,
        /// The price with shipping.
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

    /// A rank in sales.
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
        /// True if Amazon ships it.
        is_fulfilled_by_amazon: Option<bool>,
        /// True if it is the featured offer.
        is_buy_box_winner: Option<bool>,
        /// True if it may become the featured offer.
        is_featured_merchant: Option<bool>,
    }

    /// The end of a report. Ask for the report itself before you rely on it:
    /// [`ReportFlow::check`](crate::flows::ReportFlow::check).
    ReportProcessingFinished {
        /// The seller's id; absent for vendors. It is no proof of whom the notification is about.
        seller_id: Option<String>,
        /// The account.
        account_id: Option<String>,
        /// The report.
        report_id: String,
        /// Its type.
        report_type: Option<String>,
        /// Its status, one of [`ProcessingStatus`](crate::flows::ProcessingStatus).
        processing_status: Option<String>,
        /// Its document.
        report_document_id: Option<String>,
    }

    /// The end of a feed. Ask for the feed itself before you rely on it.
    FeedProcessingFinished {
        /// The seller's id; absent for vendors. It is no proof of whom the notification is about.
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

    /// The end of a query of Data Kiosk. Ask for the query itself before you rely on it.
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
        /// The place of the next page of the results.
        pagination: Option<super::Pagination>,
    }

    /// The change of the status of the seller's account.
    AccountStatusChanged {
        /// The status before.
        previous_account_status: Option<AccountStatus>,
        /// The status now.
        current_account_status: Option<AccountStatus>,
    }

    /// The change of the stock at Amazon.
    InventoryAvailabilityChanges["PascalCase"] {
        /// The seller's id. It is no proof of whom the notification is about.
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

    /// A financial transaction.
    TransactionUpdate["PascalCase"] {
        /// The seller, the marketplace and the account type.
        selling_partner_metadata: Option<Value>,
        /// The ids that it is about, for example of an order.
        related_identifiers: Vec<Value>,
        /// The type, for example `Shipment`.
        transaction_type: Option<String>,
        /// The time of posting (RFC 3339).
        posted_date: Option<String>,
        /// The amount.
        total_amount: Option<Value>,
    }

    /// The expiry of the app's client secret.
    ClientSecretExpiry {
        /// The client id.
        client_id: String,
        /// The time of the expiry (RFC 3339).
        client_secret_expiry_time: Option<String>,
        /// The reason, for example `PERIODIC_ROTATION`.
        client_secret_expiry_reason: Option<String>,
    }
}

/// The app's new client secret. It arrives in clear text: do not log the message.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct NewClientSecret {
    /// The client id.
    pub client_id: String,
    /// The new secret.
    pub new_client_secret: SecretString,
    /// The time at which the new secret expires (RFC 3339).
    #[serde(default)]
    pub new_client_secret_expiry_time: Option<String>,
    /// The time until which the old secret is accepted (RFC 3339).
    #[serde(default)]
    pub old_client_secret_expiry_time: Option<String>,
}
