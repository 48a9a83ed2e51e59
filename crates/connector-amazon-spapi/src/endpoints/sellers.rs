//! Sellers v1.

use super::{SpApiOperation as _, operation};
use crate::models::Payload;
use crate::models::seller::{MarketplaceParticipation, SellerAccount};

/// The operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetMarketplaceParticipations::OPERATION,
    GetAccount::OPERATION,
];

operation! {
    /// The marketplaces that the seller takes part in: the test of a connection.
    ///
    /// See [Amazon docs: getMarketplaceParticipations](https://developer-docs.amazon.com/sp-api/docs/sellers-api-v1-reference).
    GetMarketplaceParticipations -> Vec<MarketplaceParticipation>, answer Payload<Vec<MarketplaceParticipation>>;
    "sellers" GET "/sellers/v1/marketplaceParticipations", Safe, 0.016 / 15;
    new {}
    decode: |answer, response| answer.data(response);
}

operation! {
    /// The seller's business and selling plan.
    ///
    /// See [Amazon docs: getAccount](https://developer-docs.amazon.com/sp-api/docs/sellers-api-v1-reference).
    GetAccount -> SellerAccount, answer Payload<SellerAccount>;
    "sellers" GET "/sellers/v1/account", Safe, 0.016 / 15;
    new {}
    decode: |answer, response| answer.data(response);
}
