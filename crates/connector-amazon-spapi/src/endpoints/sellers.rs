//! Sellers v1.

use super::{SpApiOperation as _, operation};
use crate::models::Payload;
use crate::models::seller::{MarketplaceParticipation, SellerAccount};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetMarketplaceParticipations::OPERATION,
    GetAccount::OPERATION,
];

operation! {
    /// Lists the marketplaces in which the seller participates. The connection test uses this
    /// operation.
    ///
    /// See [Amazon docs: getMarketplaceParticipations](https://developer-docs.amazon.com/sp-api/docs/sellers-api-v1-reference).
    GetMarketplaceParticipations -> Vec<MarketplaceParticipation>, answer Payload<Vec<MarketplaceParticipation>>;
    "sellers" GET "/sellers/v1/marketplaceParticipations", Safe, 0.016 / 15;
    new {}
    decode: |answer, response| answer.data(response);
}

operation! {
    /// Returns the seller's business information and selling plan.
    ///
    /// See [Amazon docs: getAccount](https://developer-docs.amazon.com/sp-api/docs/sellers-api-v1-reference).
    GetAccount -> SellerAccount, answer Payload<SellerAccount>;
    "sellers" GET "/sellers/v1/account", Safe, 0.016 / 15;
    new {}
    decode: |answer, response| answer.data(response);
}
