//! Orders v2026-01-01.

use super::{Decimal, Pagination, model, texts};

model! {
    /// A page of orders.
    Orders {
        /// The orders.
        orders: Vec<Order>,
        /// The place of the next page.
        pagination: Option<Pagination>,
        /// The end of the window of last changes that the results cover.
        last_updated_before: Option<String>,
        /// The end of the window of creation that the results cover.
        created_before: Option<String>,
    }

    /// An order.
    Order {
        /// The id of the order.
        order_id: Option<String>,
        /// Other ids of the order, for example at the seller.
        order_aliases: Vec<OrderAlias>,
        /// The time of creation (ISO 8601).
        created_time: Option<String>,
        /// The time of the last change (ISO 8601).
        last_updated_time: Option<String>,
        /// The programs that it takes part in, for example `PRIME`.
        programs: Vec<String>,
        /// Orders that it is related to, for example exchanged ones.
        associated_orders: Vec<AssociatedOrder>,
        /// The channel in which it was sold.
        sales_channel: Option<SalesChannel>,
        /// The buyer. Needs a role for personal data.
        buyer: Option<Buyer>,
        /// The recipient. Needs a role for personal data.
        recipient: Option<Recipient>,
        /// The money that the seller receives.
        proceeds: Option<OrderProceeds>,
        /// The payments.
        payment: Option<OrderPayment>,
        /// The taxes.
        tax: Option<OrderTax>,
        /// The fulfillment.
        fulfillment: Option<OrderFulfillment>,
        /// The items of the order.
        order_items: Vec<OrderItem>,
        /// The packages that were sent.
        packages: Vec<OrderPackage>,
        /// The fulfillment orders.
        fulfillment_orders: Vec<FulfillmentOrder>,
    }

    /// Another id of an order.
    OrderAlias {
        /// The alias id.
        alias_id: Option<String>,
        /// The alias type.
        alias_type: Option<String>,
    }

    /// An order that another one is related to.
    AssociatedOrder {
        /// The id of the order.
        order_id: Option<String>,
        /// The association type.
        association_type: Option<String>,
    }

    /// The channel in which an order was sold.
    SalesChannel {
        /// The channel name.
        channel_name: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The marketplace name.
        marketplace_name: Option<String>,
    }

    /// A buyer.
    Buyer {
        /// The buyer name.
        buyer_name: Option<String>,
        /// The buyer email.
        buyer_email: Option<String>,
        /// The buyer company name.
        buyer_company_name: Option<String>,
        /// The buyer purchase order number.
        buyer_purchase_order_number: Option<String>,
    }

    /// The recipient of an order.
    Recipient {
        /// The delivery address.
        delivery_address: Option<CustomerAddress>,
        /// The delivery preference.
        delivery_preference: Option<DeliveryPreference>,
    }

    /// A postal address of the recipient.
    CustomerAddress {
        /// The name.
        name: Option<String>,
        /// The company name.
        company_name: Option<String>,
        /// The first line of the address.
        address_line1: Option<String>,
        /// The second line of the address.
        address_line2: Option<String>,
        /// The third line of the address.
        address_line3: Option<String>,
        /// The city.
        city: Option<String>,
        /// The district or county.
        district_or_county: Option<String>,
        /// The state or region.
        state_or_region: Option<String>,
        /// The municipality.
        municipality: Option<String>,
        /// The postal code.
        postal_code: Option<String>,
        /// The country (ISO 3166-1).
        country_code: Option<String>,
        /// The phone number.
        phone: Option<String>,
        /// The extended fields.
        extended_fields: Option<AddressExtendedFields>,
        /// The address type.
        address_type: Option<String>,
    }

    /// The parts of an address in Brazil.
    AddressExtendedFields {
        /// The street name.
        street_name: Option<String>,
        /// The street number.
        street_number: Option<String>,
        /// The complement.
        complement: Option<String>,
        /// The neighborhood.
        neighborhood: Option<String>,
    }

    /// The recipient's wishes for the delivery.
    DeliveryPreference {
        /// The drop off location.
        drop_off_location: Option<String>,
        /// The address instruction.
        address_instruction: Option<String>,
        /// The delivery time.
        delivery_time: Option<PreferredDeliveryTime>,
        /// The delivery capabilities.
        delivery_capabilities: Vec<String>,
    }

    /// The times at which a delivery is possible.
    PreferredDeliveryTime {
        /// The business hours.
        business_hours: Vec<BusinessHour>,
        /// The exception dates.
        exception_dates: Vec<ExceptionDate>,
    }

    /// The opening hours of a day of the week.
    BusinessHour {
        /// The day of week.
        day_of_week: Option<DayOfWeek>,
        /// The time windows.
        time_windows: Vec<TimeWindow>,
    }

    /// A part of a day.
    TimeWindow {
        /// The start time.
        start_time: Option<HourMinute>,
        /// The end time.
        end_time: Option<HourMinute>,
    }

    /// A time of day.
    HourMinute {
        /// The hour.
        hour: Option<i64>,
        /// The minute.
        minute: Option<i64>,
    }

    /// A day on which other hours apply.
    ExceptionDate {
        /// The exception date.
        exception_date: Option<String>,
        /// The exception date type.
        exception_date_type: Option<ExceptionDateType>,
        /// The time windows.
        time_windows: Vec<TimeWindow>,
    }

    /// The money that the seller receives for an order.
    OrderProceeds {
        /// The grand total.
        grand_total: Option<Money>,
        /// The parts of the amount.
        breakdowns: Vec<OrderProceedsBreakdown>,
    }

    /// An amount of money.
    Money {
        /// The amount, a decimal number.
        amount: Option<String>,
        /// The currency (ISO 4217).
        currency_code: Option<String>,
    }

    /// A part of an order's proceeds.
    OrderProceedsBreakdown {
        /// The type.
        r#type: Option<String>,
        /// The status.
        status: Option<String>,
        /// The subtotal.
        subtotal: Option<Money>,
    }

    /// The payments of an order.
    OrderPayment {
        /// The payment executions.
        payment_executions: Vec<PaymentExecution>,
    }

    /// One payment.
    PaymentExecution {
        /// The payment method.
        payment_method: Option<String>,
        /// The payment amount.
        payment_amount: Option<Money>,
        /// The acquirer id.
        acquirer_id: Option<String>,
        /// The card brand.
        card_brand: Option<String>,
        /// The authorization code.
        authorization_code: Option<String>,
    }

    /// The taxes of an order.
    OrderTax {
        /// The tax registrations.
        tax_registrations: Vec<OrderTaxRegistration>,
        /// The tax invoicing.
        tax_invoicing: Option<OrderTaxInvoicing>,
    }

    /// A tax registration of the buyer or the seller.
    OrderTaxRegistration {
        /// The entity type.
        entity_type: Option<String>,
        /// The legal name.
        legal_name: Option<String>,
        /// The tax registration type.
        tax_registration_type: Option<String>,
        /// The tax registration number.
        tax_registration_number: Option<String>,
        /// The tax registration address.
        tax_registration_address: Option<CustomerAddress>,
        /// The tax registration attributes.
        tax_registration_attributes: Vec<TaxRegistrationAttribute>,
    }

    /// A further fact about a tax registration.
    TaxRegistrationAttribute {
        /// The key.
        key: Option<String>,
        /// The value.
        value: Option<String>,
    }

    /// The invoicing of an order.
    OrderTaxInvoicing {
        /// The buyer invoice preference.
        buyer_invoice_preference: Option<String>,
        /// The invoice status.
        invoice_status: Option<String>,
    }

    /// The fulfillment of an order.
    OrderFulfillment {
        /// The fulfillment status.
        fulfillment_status: Option<FulfillmentStatus>,
        /// The party that fulfills it: `MERCHANT` or `AMAZON`.
        fulfilled_by: Option<String>,
        /// The fulfillment service level.
        fulfillment_service_level: Option<String>,
        /// The ship by window.
        ship_by_window: Option<DateTimeRange>,
        /// The deliver by window.
        deliver_by_window: Option<DateTimeRange>,
        /// The label printing window.
        label_printing_window: Option<DateTimeRange>,
    }

    /// A period of time.
    DateTimeRange {
        /// The beginning (ISO 8601).
        earliest_date_time: Option<String>,
        /// The end (ISO 8601).
        latest_date_time: Option<String>,
    }

    /// An item of an order.
    OrderItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The number of units ordered.
        quantity_ordered: Option<i64>,
        /// The measurement.
        measurement: Option<Measurement>,
        /// The associated order items.
        associated_order_items: Vec<AssociatedOrderItem>,
        /// The programs that it takes part in, for example `PRIME`.
        programs: Vec<String>,
        /// The product.
        product: Option<ItemProduct>,
        /// The money that the seller receives.
        proceeds: Option<ItemProceeds>,
        /// The expense.
        expense: Option<ItemExpense>,
        /// The promotion.
        promotion: Option<ItemPromotion>,
        /// The cancellation.
        cancellation: Option<ItemCancellation>,
        /// The fulfillment.
        fulfillment: Option<ItemFulfillment>,
        /// The taxes.
        tax: Option<ItemTax>,
    }

    /// A quantity with its unit.
    Measurement {
        /// The unit.
        unit: Option<MeasurementUnit>,
        /// The value.
        value: Option<Decimal>,
    }

    /// An item that another one is related to.
    AssociatedOrderItem {
        /// The id of the order.
        order_id: Option<String>,
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The association type.
        association_type: Option<String>,
    }

    /// The product of an item.
    ItemProduct {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// The title.
        title: Option<String>,
        /// The seller's SKU.
        seller_sku: Option<String>,
        /// The condition.
        condition: Option<ItemCondition>,
        /// The price.
        price: Option<ItemPrice>,
        /// The serial numbers.
        serial_numbers: Vec<String>,
        /// The customization.
        customization: Option<ItemCustomization>,
    }

    /// The condition of an item.
    ItemCondition {
        /// The condition.
        condition_type: Option<String>,
        /// The condition subtype.
        condition_subtype: Option<String>,
        /// The condition note.
        condition_note: Option<String>,
    }

    /// The price of an item.
    ItemPrice {
        /// The unit price.
        unit_price: Option<Money>,
        /// The price designation.
        price_designation: Option<String>,
    }

    /// The buyer's customization of an item.
    ItemCustomization {
        /// The customized url.
        customized_url: Option<String>,
    }

    /// The money that the seller receives for an item.
    ItemProceeds {
        /// The proceeds total.
        proceeds_total: Option<Money>,
        /// The parts of the amount.
        breakdowns: Vec<ItemProceedsBreakdown>,
    }

    /// A part of an item's proceeds.
    ItemProceedsBreakdown {
        /// The type.
        r#type: Option<String>,
        /// The subtotal.
        subtotal: Option<Money>,
        /// The detailed breakdowns.
        detailed_breakdowns: Vec<ItemProceedsDetailedBreakdown>,
    }

    /// A part of a part of an item's proceeds.
    ItemProceedsDetailedBreakdown {
        /// The subtype.
        subtype: Option<String>,
        /// The value.
        value: Option<Money>,
    }

    /// The costs of an item for the seller.
    ItemExpense {
        /// The points cost.
        points_cost: Option<ItemPointsCost>,
    }

    /// The cost of Amazon Points for an item.
    ItemPointsCost {
        /// The points granted.
        points_granted: Option<PointsGranted>,
    }

    /// Amazon Points that were granted.
    PointsGranted {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// Their value in money.
        points_monetary_value: Option<Money>,
    }

    /// The promotions of an item.
    ItemPromotion {
        /// The parts of the amount.
        breakdowns: Vec<ItemPromotionBreakdown>,
    }

    /// One promotion of an item.
    ItemPromotionBreakdown {
        /// The promotion id.
        promotion_id: Option<String>,
    }

    /// The cancellation of an item.
    ItemCancellation {
        /// The cancellation request.
        cancellation_request: Option<ItemCancellationRequest>,
        /// The cancellation execution.
        cancellation_execution: Option<ItemCancellationExecution>,
    }

    /// A request to cancel an item.
    ItemCancellationRequest {
        /// The requester.
        requester: Option<String>,
        /// The cancel reason.
        cancel_reason: Option<String>,
    }

    /// A cancellation that took place.
    ItemCancellationExecution {
        /// The cancelled by.
        cancelled_by: Option<String>,
        /// The cancel reason.
        cancel_reason: Option<String>,
    }

    /// The fulfillment of an item.
    ItemFulfillment {
        /// The number of units that were fulfilled.
        quantity_fulfilled: Option<i64>,
        /// The number of units that are yet to be fulfilled.
        quantity_unfulfilled: Option<i64>,
        /// The picking.
        picking: Option<ItemPicking>,
        /// The packing.
        packing: Option<ItemPacking>,
        /// The shipping.
        shipping: Option<ItemShipping>,
    }

    /// Rules for picking an item.
    ItemPicking {
        /// The substitution preference.
        substitution_preference: Option<ItemSubstitutionPreference>,
    }

    /// The buyer's wishes if an item is out of stock.
    ItemSubstitutionPreference {
        /// The substitution type.
        substitution_type: Option<SubstitutionType>,
        /// The substitution options.
        substitution_options: Vec<ItemSubstitutionOption>,
    }

    /// A product that may replace an item.
    ItemSubstitutionOption {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// The number of units ordered.
        quantity_ordered: Option<i64>,
        /// The seller's SKU.
        seller_sku: Option<String>,
        /// The title.
        title: Option<String>,
        /// The measurement.
        measurement: Option<Measurement>,
    }

    /// Rules for packing an item.
    ItemPacking {
        /// The gift option.
        gift_option: Option<GiftOption>,
        /// The serial number requirement.
        serial_number_requirement: Option<SerialNumberRequirement>,
    }

    /// The gift wrap of an item.
    GiftOption {
        /// The gift message.
        gift_message: Option<String>,
        /// The gift wrap level.
        gift_wrap_level: Option<String>,
    }

    /// The serial numbers that have to be stated.
    SerialNumberRequirement {
        /// The requirement type.
        requirement_type: Option<String>,
    }

    /// Rules for shipping an item.
    ItemShipping {
        /// The scheduled delivery window.
        scheduled_delivery_window: Option<DateTimeRange>,
        /// The shipping constraints.
        shipping_constraints: Option<ItemShippingConstraints>,
        /// The international shipping.
        international_shipping: Option<ItemInternationalShipping>,
    }

    /// Conditions of the delivery of an item.
    ItemShippingConstraints {
        /// The pallet delivery.
        pallet_delivery: Option<ConstraintType>,
        /// The cash on delivery.
        cash_on_delivery: Option<ConstraintType>,
        /// The signature confirmation.
        signature_confirmation: Option<ConstraintType>,
        /// The recipient identity verification.
        recipient_identity_verification: Option<ConstraintType>,
        /// The recipient age verification.
        recipient_age_verification: Option<ConstraintType>,
    }

    /// Facts for shipping an item across borders.
    ItemInternationalShipping {
        /// The ioss number.
        ioss_number: Option<String>,
    }

    /// The taxes of an item.
    ItemTax {
        /// The tax calculation breakdowns.
        tax_calculation_breakdowns: Vec<ItemTaxCalculationBreakdown>,
        /// The tax collections.
        tax_collections: Vec<ItemTaxCollection>,
    }

    /// The tax scheme of an item.
    ItemTaxCalculationBreakdown {
        /// The reporting scheme.
        reporting_scheme: Option<String>,
    }

    /// The party that collects the tax of an item.
    ItemTaxCollection {
        /// The model.
        model: Option<String>,
        /// The responsible party.
        responsible_party: Option<String>,
    }

    /// A package of an order.
    OrderPackage {
        /// The number of the package, which the seller chooses.
        package_reference_id: Option<String>,
        /// The time of creation (ISO 8601).
        created_time: Option<String>,
        /// The package status.
        package_status: Option<PackageStatus>,
        /// The carrier.
        carrier: Option<String>,
        /// The ship time.
        ship_time: Option<String>,
        /// The shipping service.
        shipping_service: Option<String>,
        /// The tracking number.
        tracking_number: Option<String>,
        /// The ship from address.
        ship_from_address: Option<MerchantAddress>,
        /// The package items.
        package_items: Vec<PackageItem>,
    }

    /// The status of a package.
    PackageStatus {
        /// The status.
        status: Option<PackageState>,
        /// The detailed status.
        detailed_status: Option<String>,
    }

    /// A postal address of the seller.
    MerchantAddress {
        /// The name.
        name: Option<String>,
        /// The first line of the address.
        address_line1: Option<String>,
        /// The second line of the address.
        address_line2: Option<String>,
        /// The third line of the address.
        address_line3: Option<String>,
        /// The city.
        city: Option<String>,
        /// The district or county.
        district_or_county: Option<String>,
        /// The state or region.
        state_or_region: Option<String>,
        /// The municipality.
        municipality: Option<String>,
        /// The postal code.
        postal_code: Option<String>,
        /// The country (ISO 3166-1).
        country_code: Option<String>,
    }

    /// An item in a package.
    PackageItem {
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
        /// The transparency codes.
        transparency_codes: Vec<String>,
    }

    /// A fulfillment order.
    FulfillmentOrder {
        /// The fulfillment order id.
        fulfillment_order_id: Option<String>,
    }

    /// The answer of `getOrder`.
    OrderAnswer {
        /// The order.
        order: Option<Order>,
    }
}

texts! {
    /// Days of the week.
    DayOfWeek {
        Sun = "SUN",
        Mon = "MON",
        Tue = "TUE",
        Wed = "WED",
        Thu = "THU",
        Fri = "FRI",
        Sat = "SAT",
    }

    /// The kind of a day on which other hours apply.
    ExceptionDateType {
        Closed = "CLOSED",
        Open = "OPEN",
    }

    /// The status of an order's fulfillment.
    FulfillmentStatus {
        PendingAvailability = "PENDING_AVAILABILITY",
        Pending = "PENDING",
        Unshipped = "UNSHIPPED",
        PartiallyShipped = "PARTIALLY_SHIPPED",
        Shipped = "SHIPPED",
        Cancelled = "CANCELLED",
        Unfulfillable = "UNFULFILLABLE",
    }

    /// A measurement unit.
    MeasurementUnit {
        Ounces = "OUNCES",
        Pounds = "POUNDS",
        Kilograms = "KILOGRAMS",
        Grams = "GRAMS",
        Milligrams = "MILLIGRAMS",
        Inches = "INCHES",
        Feet = "FEET",
        Meters = "METERS",
        Centimeters = "CENTIMETERS",
        Millimeters = "MILLIMETERS",
        SquareMeters = "SQUARE_METERS",
        SquareCentimeters = "SQUARE_CENTIMETERS",
        SquareFeet = "SQUARE_FEET",
        SquareInches = "SQUARE_INCHES",
        Gallons = "GALLONS",
        Pints = "PINTS",
        Quarts = "QUARTS",
        FluidOunces = "FLUID_OUNCES",
        Liters = "LITERS",
        CubicMeters = "CUBIC_METERS",
        CubicFeet = "CUBIC_FEET",
        CubicInches = "CUBIC_INCHES",
        CubicCentimeters = "CUBIC_CENTIMETERS",
        Count = "COUNT",
    }

    /// The kind of substitution that the buyer wishes.
    SubstitutionType {
        CustomerPreference = "CUSTOMER_PREFERENCE",
        AmazonRecommended = "AMAZON_RECOMMENDED",
        DoNotSubstitute = "DO_NOT_SUBSTITUTE",
    }

    /// The force of a condition.
    ConstraintType {
        Mandatory = "MANDATORY",
    }

    /// The state of a package.
    PackageState {
        Pending = "PENDING",
        InTransit = "IN_TRANSIT",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
        Cancelled = "CANCELLED",
        Undeliverable = "UNDELIVERABLE",
    }

    /// The party that fulfills an order.
    FulfilledBy {
        Merchant = "MERCHANT",
        Amazon = "AMAZON",
    }

    /// Data to include beside the order itself.
    IncludedData {
        Buyer = "BUYER",
        Recipient = "RECIPIENT",
        Proceeds = "PROCEEDS",
        Expense = "EXPENSE",
        Promotion = "PROMOTION",
        Cancellation = "CANCELLATION",
        Fulfillment = "FULFILLMENT",
        Packages = "PACKAGES",
        Tax = "TAX",
        Payment = "PAYMENT",
        FulfillmentOrders = "FULFILLMENT_ORDERS",
    }
}
