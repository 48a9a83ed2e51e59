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

    /// Order alias.
    OrderAlias {
        /// The alias id.
        alias_id: Option<String>,
        /// The alias type.
        alias_type: Option<String>,
    }

    /// An associated order.
    AssociatedOrder {
        /// The id of the order.
        order_id: Option<String>,
        /// The association type.
        association_type: Option<String>,
    }

    /// A sales channel.
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

    /// A recipient.
    Recipient {
        /// The delivery address.
        delivery_address: Option<CustomerAddress>,
        /// The delivery preference.
        delivery_preference: Option<DeliveryPreference>,
    }

    /// A customer address.
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

    /// Address extended fields.
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

    /// A delivery preference.
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

    /// A preferred delivery time.
    PreferredDeliveryTime {
        /// The business hours.
        business_hours: Vec<BusinessHour>,
        /// The exception dates.
        exception_dates: Vec<ExceptionDate>,
    }

    /// A business hour.
    BusinessHour {
        /// The day of week.
        day_of_week: Option<DayOfWeek>,
        /// The time windows.
        time_windows: Vec<TimeWindow>,
    }

    /// A time window.
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

    /// An exception date.
    ExceptionDate {
        /// The exception date.
        exception_date: Option<String>,
        /// The exception date type.
        exception_date_type: Option<ExceptionDateType>,
        /// The time windows.
        time_windows: Vec<TimeWindow>,
    }

    /// Order proceeds.
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

    /// An order proceeds breakdown.
    OrderProceedsBreakdown {
        /// The type.
        r#type: Option<String>,
        /// The status.
        status: Option<String>,
        /// The subtotal.
        subtotal: Option<Money>,
    }

    /// An order payment.
    OrderPayment {
        /// The payment executions.
        payment_executions: Vec<PaymentExecution>,
    }

    /// A payment execution.
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

    /// An order tax.
    OrderTax {
        /// The tax registrations.
        tax_registrations: Vec<OrderTaxRegistration>,
        /// The tax invoicing.
        tax_invoicing: Option<OrderTaxInvoicing>,
    }

    /// An order tax registration.
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

    /// A tax registration attribute.
    TaxRegistrationAttribute {
        /// The key.
        key: Option<String>,
        /// The value.
        value: Option<String>,
    }

    /// An order tax invoicing.
    OrderTaxInvoicing {
        /// The buyer invoice preference.
        buyer_invoice_preference: Option<String>,
        /// The invoice status.
        invoice_status: Option<String>,
    }

    /// An order fulfillment.
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

    /// An order item.
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

    /// A measurement.
    Measurement {
        /// The unit.
        unit: Option<MeasurementUnit>,
        /// The value.
        value: Option<Decimal>,
    }

    /// An associated order item.
    AssociatedOrderItem {
        /// The id of the order.
        order_id: Option<String>,
        /// The id of the order item.
        order_item_id: Option<String>,
        /// The association type.
        association_type: Option<String>,
    }

    /// An item product.
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

    /// An item condition.
    ItemCondition {
        /// The condition.
        condition_type: Option<String>,
        /// The condition subtype.
        condition_subtype: Option<String>,
        /// The condition note.
        condition_note: Option<String>,
    }

    /// An item price.
    ItemPrice {
        /// The unit price.
        unit_price: Option<Money>,
        /// The price designation.
        price_designation: Option<String>,
    }

    /// An item customization.
    ItemCustomization {
        /// The customized url.
        customized_url: Option<String>,
    }

    /// Item proceeds.
    ItemProceeds {
        /// The proceeds total.
        proceeds_total: Option<Money>,
        /// The parts of the amount.
        breakdowns: Vec<ItemProceedsBreakdown>,
    }

    /// An item proceeds breakdown.
    ItemProceedsBreakdown {
        /// The type.
        r#type: Option<String>,
        /// The subtotal.
        subtotal: Option<Money>,
        /// The detailed breakdowns.
        detailed_breakdowns: Vec<ItemProceedsDetailedBreakdown>,
    }

    /// An item proceeds detailed breakdown.
    ItemProceedsDetailedBreakdown {
        /// The subtype.
        subtype: Option<String>,
        /// The value.
        value: Option<Money>,
    }

    /// An item expense.
    ItemExpense {
        /// The points cost.
        points_cost: Option<ItemPointsCost>,
    }

    /// An item points cost.
    ItemPointsCost {
        /// The points granted.
        points_granted: Option<PointsGranted>,
    }

    /// A points granted.
    PointsGranted {
        /// The number of Amazon Points.
        points_number: Option<i64>,
        /// Their value in money.
        points_monetary_value: Option<Money>,
    }

    /// An item promotion.
    ItemPromotion {
        /// The parts of the amount.
        breakdowns: Vec<ItemPromotionBreakdown>,
    }

    /// An item promotion breakdown.
    ItemPromotionBreakdown {
        /// The promotion id.
        promotion_id: Option<String>,
    }

    /// An item cancellation.
    ItemCancellation {
        /// The cancellation request.
        cancellation_request: Option<ItemCancellationRequest>,
        /// The cancellation execution.
        cancellation_execution: Option<ItemCancellationExecution>,
    }

    /// An item cancellation request.
    ItemCancellationRequest {
        /// The requester.
        requester: Option<String>,
        /// The cancel reason.
        cancel_reason: Option<String>,
    }

    /// An item cancellation execution.
    ItemCancellationExecution {
        /// The cancelled by.
        cancelled_by: Option<String>,
        /// The cancel reason.
        cancel_reason: Option<String>,
    }

    /// An item fulfillment.
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

    /// An item picking.
    ItemPicking {
        /// The substitution preference.
        substitution_preference: Option<ItemSubstitutionPreference>,
    }

    /// An item substitution preference.
    ItemSubstitutionPreference {
        /// The substitution type.
        substitution_type: Option<SubstitutionType>,
        /// The substitution options.
        substitution_options: Vec<ItemSubstitutionOption>,
    }

    /// An item substitution option.
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

    /// An item packing.
    ItemPacking {
        /// The gift option.
        gift_option: Option<GiftOption>,
        /// The serial number requirement.
        serial_number_requirement: Option<SerialNumberRequirement>,
    }

    /// A gift option.
    GiftOption {
        /// The gift message.
        gift_message: Option<String>,
        /// The gift wrap level.
        gift_wrap_level: Option<String>,
    }

    /// A serial number requirement.
    SerialNumberRequirement {
        /// The requirement type.
        requirement_type: Option<String>,
    }

    /// An item shipping.
    ItemShipping {
        /// The scheduled delivery window.
        scheduled_delivery_window: Option<DateTimeRange>,
        /// The shipping constraints.
        shipping_constraints: Option<ItemShippingConstraints>,
        /// The international shipping.
        international_shipping: Option<ItemInternationalShipping>,
    }

    /// Item shipping constraints.
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

    /// An item international shipping.
    ItemInternationalShipping {
        /// The ioss number.
        ioss_number: Option<String>,
    }

    /// An item tax.
    ItemTax {
        /// The tax calculation breakdowns.
        tax_calculation_breakdowns: Vec<ItemTaxCalculationBreakdown>,
        /// The tax collections.
        tax_collections: Vec<ItemTaxCollection>,
    }

    /// An item tax calculation breakdown.
    ItemTaxCalculationBreakdown {
        /// The reporting scheme.
        reporting_scheme: Option<String>,
    }

    /// An item tax collection.
    ItemTaxCollection {
        /// The model.
        model: Option<String>,
        /// The responsible party.
        responsible_party: Option<String>,
    }

    /// An order package.
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

    /// Package status.
    PackageStatus {
        /// The status.
        status: Option<PackageState>,
        /// The detailed status.
        detailed_status: Option<String>,
    }

    /// A merchant address.
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

    /// A package item.
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

    /// Values of exception date type.
    ExceptionDateType {
        Closed = "CLOSED",
        Open = "OPEN",
    }

    /// Values of fulfillment status.
    FulfillmentStatus {
        PendingAvailability = "PENDING_AVAILABILITY",
        Pending = "PENDING",
        Unshipped = "UNSHIPPED",
        PartiallyShipped = "PARTIALLY_SHIPPED",
        Shipped = "SHIPPED",
        Cancelled = "CANCELLED",
        Unfulfillable = "UNFULFILLABLE",
    }

    /// Values of measurement unit.
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

    /// Values of substitution type.
    SubstitutionType {
        CustomerPreference = "CUSTOMER_PREFERENCE",
        AmazonRecommended = "AMAZON_RECOMMENDED",
        DoNotSubstitute = "DO_NOT_SUBSTITUTE",
    }

    /// Values of constraint type.
    ConstraintType {
        Mandatory = "MANDATORY",
    }

    /// Values of package state.
    PackageState {
        Pending = "PENDING",
        InTransit = "IN_TRANSIT",
        Shipped = "SHIPPED",
        Delivered = "DELIVERED",
        Cancelled = "CANCELLED",
        Undeliverable = "UNDELIVERABLE",
    }

    /// Values of fulfilled by.
    FulfilledBy {
        Merchant = "MERCHANT",
        Amazon = "AMAZON",
    }

    /// Values of included data.
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
