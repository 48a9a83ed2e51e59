//! Finances v2024-06-19.

use connector_core::Result;
use connector_core::api::Page;

use super::{Arguments, SpApiOperation as _, operation, wrong};
use crate::models::finance::{
    Balance, Balances, Summaries, Summary, Transaction, TransactionsResponse,
};
use crate::models::{Time, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    ListTransactions::OPERATION,
    ListBalances::OPERATION,
    ListSummary::OPERATION,
];

fn related(name: &'static str, it: &Arguments) -> Result<()> {
    let identifier = it.get("relatedIdentifierName").is_some();
    if identifier != it.get("relatedIdentifierValue").is_some() {
        return Err(wrong(
            name,
            "a related identifier needs both a name and a value; set both",
        ));
    }
    Ok(())
}

fn check(it: &Arguments) -> Result<()> {
    const NAME: &str = "ListTransactions";
    related(NAME, it)?;
    if it.get("postedAfter").is_none() && it.get("relatedIdentifierName").is_none() {
        return Err(wrong(
            NAME,
            "the request needs `postedAfter` or a related identifier; set one",
        ));
    }
    Ok(())
}

operation! {
    /// Lists transactions posted within at most 180 days, page by page. A page may be empty even if
    /// more pages follow. Transactions may appear up to 48 hours late.
    ///
    /// See [Amazon docs: Finances API v2024-06-19](https://developer-docs.amazon.com/sp-api/docs/finances-api-v2024-06-19-reference).
    ListTransactions -> Page<Transaction>, answer TransactionsResponse;
    "finances_2024-06-19" GET "/finances/2024-06-19/transactions", Safe, 0.5 / 10;
    new {}
    set {
        /// Includes only transactions posted at or after this time.
        with_posted_after: Time = "postedAfter",
        /// Includes only transactions posted before this time, which must be at least two minutes
        /// ago.
        with_posted_before: Time = "postedBefore",
        /// Includes only transactions of this marketplace.
        with_marketplace_id: String = "marketplaceId",
        /// Includes only transactions with this status: `DEFERRED`, `RELEASED` or
        /// `DEFERRED_RELEASED`.
        with_transaction_status: String = "transactionStatus",
        /// Sets the name of a related identifier: `ORDER_ID` or `FINANCIAL_EVENT_GROUP_ID`.
        with_related_identifier_name: String = "relatedIdentifierName",
        /// Sets the value of the related identifier.
        with_related_identifier_value: String = "relatedIdentifierValue",
        /// Sets the page token to start at.
        with_next_token: String = "nextToken",
    }
    check: |it| check(it);
    decode: |answer, _response| {
        let found = answer.payload.unwrap_or_default();
        Ok(page(found.transactions, found.next_token))
    };
    pages: Transaction, keep "nextToken";
}

operation! {
    /// Lists the seller's balances, page by page.
    ///
    /// See [Amazon docs: Finances API v2024-06-19](https://developer-docs.amazon.com/sp-api/docs/finances-api-v2024-06-19-reference).
    ListBalances -> Page<Balance>, answer Balances;
    "finances_2024-06-19" GET "/finances/2024-06-19/balances", Safe, 0.5 / 10;
    new {}
    set {
        /// Sets the marketplaces.
        with_marketplace_ids: [String] = "marketplaceIds",
        /// Sets the balance type, for example `TOTAL`.
        with_balance_type: String = "balanceType",
        /// Sets the account type.
        with_account_type: String = "accountType",
        /// Sets the time for which to return balances.
        with_as_of_date: Time = "asOfDate",
        /// Sets the page token to start at.
        with_next_token: String = "nextToken",
    }
    decode: |answer, _response| Ok(page(answer.balances, answer.next_token));
    pages: Balance, keep "nextToken";
}

operation! {
    /// Lists the seller's proceeds by period, page by page.
    ///
    /// See [Amazon docs: Finances API v2024-06-19](https://developer-docs.amazon.com/sp-api/docs/finances-api-v2024-06-19-reference).
    ListSummary -> Page<Summary>, answer Summaries;
    "finances_2024-06-19" GET "/finances/2024-06-19/summary", Safe, 0.5 / 10;
    new {}
    set {
        /// Sets the marketplaces.
        with_marketplace_ids: [String] = "marketplaceIds",
        /// Sets the account type.
        with_account_type: String = "accountType",
        /// Sets the name of a related identifier.
        with_related_identifier_name: String = "relatedIdentifierName",
        /// Sets the value of the related identifier.
        with_related_identifier_value: String = "relatedIdentifierValue",
        /// Sets the start of the period.
        with_period_start: Time = "periodStart",
        /// Sets the end of the period.
        with_period_end: Time = "periodEnd",
        /// Sets the page token to start at.
        with_next_token: String = "nextToken",
    }
    check: |it| related("ListSummary", it);
    decode: |answer, _response| Ok(page(answer.summaries, answer.next_token));
    pages: Summary, keep "nextToken";
}
