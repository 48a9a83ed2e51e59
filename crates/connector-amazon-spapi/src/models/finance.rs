//! Finances v2024-06-19.

use super::{Decimal, model, texts};

model! {
    /// The response of `listTransactions`.
    TransactionsResponse {
        /// The data.
        payload: Option<Transactions>,
    }

    /// A page of transactions.
    Transactions {
        /// The token of the next page.
        next_token: Option<String>,
        /// The transactions.
        transactions: Vec<Transaction>,
    }

    /// A transaction.
    Transaction {
        /// The seller and marketplace.
        selling_partner_metadata: Option<SellingPartnerMetadata>,
        /// Ids of related orders, shipments and payouts.
        related_identifiers: Vec<RelatedIdentifier>,
        /// The type, for example `Shipment`.
        transaction_type: Option<String>,
        /// The id of the transaction.
        transaction_id: Option<String>,
        /// The status, for example `RELEASED`.
        transaction_status: Option<String>,
        /// The description, for example `Order Payment`.
        description: Option<String>,
        /// The posting time (ISO 8601).
        posted_date: Option<String>,
        /// The total amount.
        total_amount: Option<Currency>,
        /// The marketplace details.
        marketplace_details: Option<MarketplaceDetails>,
        /// The items.
        items: Vec<Item>,
        /// Additional information about the transaction.
        contexts: Vec<Context>,
        /// The components of the amount.
        breakdowns: Vec<Breakdown>,
    }

    /// The seller of a transaction.
    SellingPartnerMetadata {
        /// The selling partner id.
        selling_partner_id: Option<String>,
        /// The account type.
        account_type: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
    }

    /// An id related to a transaction.
    RelatedIdentifier {
        /// The type of the identifier.
        related_identifier_name: Option<RelatedIdentifierName>,
        /// The identifier.
        related_identifier_value: Option<String>,
    }

    /// An amount of money.
    Currency {
        /// The currency (ISO 4217).
        currency_code: Option<String>,
        /// The amount, as a decimal number.
        currency_amount: Option<Decimal>,
    }

    /// The marketplace of a transaction.
    MarketplaceDetails {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The marketplace name.
        marketplace_name: Option<String>,
    }

    /// An item of a transaction.
    Item {
        /// The description, for example `Order Payment`.
        description: Option<String>,
        /// Ids of related orders, shipments and payouts.
        related_identifiers: Vec<ItemRelatedIdentifier>,
        /// The total amount.
        total_amount: Option<Currency>,
        /// The components of the amount.
        breakdowns: Vec<Breakdown>,
        /// Additional information about the transaction.
        contexts: Vec<Context>,
    }

    /// An id related to an item.
    ItemRelatedIdentifier {
        /// The type of the identifier.
        item_related_identifier_name: Option<ItemRelatedIdentifierName>,
        /// The identifier.
        item_related_identifier_value: Option<String>,
    }

    /// A component of an amount, which may have components itself.
    Breakdown {
        /// The type of component.
        breakdown_type: Option<String>,
        /// The amount of the component.
        breakdown_amount: Option<Currency>,
        /// The components of the amount.
        breakdowns: Vec<Breakdown>,
    }

    /// Additional information about a transaction.
    Context {
        /// The context type.
        context_type: Option<String>,
        /// The store name.
        store_name: Option<StoreName>,
        /// The order type.
        order_type: Option<String>,
        /// The channel of the transaction, for example `MFN`.
        channel: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The seller's SKU.
        sku: Option<String>,
        /// Number of shipped units.
        quantity_shipped: Option<i64>,
        /// The fulfillment network.
        fulfillment_network: Option<String>,
        /// The payment type.
        payment_type: Option<String>,
        /// The payment method.
        payment_method: Option<String>,
        /// The reference number of the payment.
        payment_reference: Option<String>,
        /// The payment date.
        payment_date: Option<String>,
        /// The reason for deferral, for example `B2B` (invoiced orders) or `DD7` (delivery date
        /// policy).
        deferral_reason: Option<String>,
        /// The date on which the transaction is released.
        maturity_date: Option<String>,
        /// The start of the transaction's time range.
        start_time: Option<String>,
        /// The end of the transaction's time range.
        end_time: Option<String>,
    }

    /// A page of balances.
    Balances {
        /// The balances.
        balances: Vec<Balance>,
        /// The token of the next page.
        next_token: Option<String>,
    }

    /// A balance.
    Balance {
        /// The seller and marketplace.
        partner_metadata: Option<PartnerMetadata>,
        /// The balance type.
        balance_type: Option<BalanceType>,
        /// The amount, as a decimal number.
        amount: Option<Currency>,
        /// The balances.
        balances: Vec<Balance>,
        /// The date of the balance, if the request specified one.
        as_of_date: Option<String>,
        /// The time of the last change (ISO 8601).
        last_updated_time: Option<String>,
    }

    /// The seller of a balance.
    PartnerMetadata {
        /// The seller id.
        partner_id: Option<String>,
        /// The account type.
        account_type: Option<String>,
        /// The marketplace id.
        marketplace_id: Option<String>,
    }

    /// A page of summaries.
    Summaries {
        /// Summaries, one per marketplace.
        summaries: Vec<Summary>,
        /// The token of the next page.
        next_token: Option<String>,
    }

    /// The proceeds of a period.
    Summary {
        /// The seller and marketplace.
        partner_metadata: Option<PartnerMetadata>,
        /// The net proceeds of the period.
        net_proceeds: Option<Currency>,
        /// Ids of related orders, shipments and payouts.
        related_identifiers: Vec<RelatedIdentifier>,
        /// The components of the amount.
        breakdowns: Vec<Breakdown>,
        /// The start of the period.
        period_start: Option<String>,
        /// The end of the period.
        period_end: Option<String>,
    }
}

texts! {
    /// The type of a related identifier.
    RelatedIdentifierName {
        OrderId = "ORDER_ID",
        ShipmentId = "SHIPMENT_ID",
        FinancialEventGroupId = "FINANCIAL_EVENT_GROUP_ID",
        RefundId = "REFUND_ID",
        InvoiceId = "INVOICE_ID",
        DisbursementId = "DISBURSEMENT_ID",
        TransferId = "TRANSFER_ID",
        DeferredTransactionId = "DEFERRED_TRANSACTION_ID",
        ReleaseTransactionId = "RELEASE_TRANSACTION_ID",
        SettlementId = "SETTLEMENT_ID",
    }

    /// The type of an identifier related to an item.
    ItemRelatedIdentifierName {
        OrderAdjustmentItemId = "ORDER_ADJUSTMENT_ITEM_ID",
        CouponId = "COUPON_ID",
        RemovalShipmentItemId = "REMOVAL_SHIPMENT_ITEM_ID",
        TransactionId = "TRANSACTION_ID",
    }

    /// A store name.
    StoreName {
        AmazonHaul = "AMAZON_HAUL",
    }

    /// The type of a balance.
    BalanceType {
        Available = "AVAILABLE",
        Reserved = "RESERVED",
        AccountLevelReserve = "ACCOUNT_LEVEL_RESERVE",
        Deferred = "DEFERRED",
        Total = "TOTAL",
    }
}
