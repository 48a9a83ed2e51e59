//! The app's installation, scopes and charges.

use serde::Serialize;
use serde_json::json;

use super::{area, operation};
use crate::models::{
    AppInstallation, AppSubscription, AppSubscriptionId, NewAppSubscription, Price,
};

operation! {
    /// Gets the installation of the app in the shop, with its scopes and charges.
    ///
    /// See [Shopify docs: currentAppInstallation](https://shopify.dev/docs/api/admin-graphql/latest/queries/currentAppInstallation).
    read GetCurrentAppInstallation -> AppInstallation = ""
        "currentAppInstallation { id accessScopes { handle } launchUrl uninstallUrl \
         app { id handle title apiKey requestedAccessScopes { handle } \
         optionalAccessScopes { handle } } activeSubscriptions { ...AppSubscription } }"
        [AppSubscription];
    cost 6;
    pub new();
}

operation! {
    /// Removes the app from the shop. Shopify immediately ends the app's tokens, webhook
    /// subscriptions, script tags and billing. Only the shop's owner can install the app again.
    ///
    /// See [Shopify docs: appUninstall](https://shopify.dev/docs/api/admin-graphql/latest/mutations/appUninstall).
    act AppUninstall -> () = "" "appUninstall { value: app { id } userErrors { field message code } }" [];
    cost 13;
    pub new();
    tolerates "APP_NOT_INSTALLED";
}

operation! {
    /// Gives optional scopes back that the shop's owner granted. Scopes that the app requires cannot
    /// be given back.
    ///
    /// See [Shopify docs: appRevokeAccessScopes](https://shopify.dev/docs/api/admin-graphql/latest/mutations/appRevokeAccessScopes).
    put RevokeAccessScopes -> () = "($scopes: [String!]!)"
        "appRevokeAccessScopes(scopes: $scopes) { value: revoked { handle } \
         userErrors { field message code } }" [];
    cost 13;
    pub new(scopes: [String] = "scopes");
}

operation! {
    /// Creates a recurring charge, which the merchant must confirm on the returned page.
    ///
    /// See [Shopify docs: appSubscriptionCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/appSubscriptionCreate).
    whole CreateAppSubscription -> NewAppSubscription =
        "($name: String!, $lineItems: [AppSubscriptionLineItemInput!]!, $returnUrl: URL!, \
         $test: Boolean, $trialDays: Int, $replacementBehavior: AppSubscriptionReplacementBehavior)"
        "appSubscriptionCreate(name: $name, lineItems: $lineItems, returnUrl: $returnUrl, \
         test: $test, trialDays: $trialDays, replacementBehavior: $replacementBehavior) { \
         confirmationUrl subscription: appSubscription { ...AppSubscription } \
         userErrors { field message } }"
        [AppSubscription];
    cost 13;
    pub new(name: String = "name", items: [SubscriptionItem] = "lineItems", return_url: String = "returnUrl") {
        /// No real money is charged.
        with_test: bool = "test",
        /// Number of free days at the start.
        with_trial_days: u32 = "trialDays",
    };
}

operation! {
    /// Cancels a recurring charge.
    ///
    /// See [Shopify docs: appSubscriptionCancel](https://shopify.dev/docs/api/admin-graphql/latest/mutations/appSubscriptionCancel).
    write CancelAppSubscription -> AppSubscription = "($id: ID!, $prorate: Boolean)"
        "appSubscriptionCancel(id: $id, prorate: $prorate) { \
         value: appSubscription { ...AppSubscription } userErrors { field message } }"
        [AppSubscription];
    cost 13;
    pub new(id: AppSubscriptionId = "id") {
        /// Refunds the rest of the billing period.
        with_prorate: bool = "prorate",
    };
}

/// One price of a recurring charge.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct SubscriptionItem(serde_json::Value);

impl SubscriptionItem {
    /// A fixed price for each 30 days.
    #[must_use]
    pub fn every_30_days(price: &Price) -> Self {
        Self::recurring(price, "EVERY_30_DAYS")
    }

    /// A fixed price for each year.
    #[must_use]
    pub fn annual(price: &Price) -> Self {
        Self::recurring(price, "ANNUAL")
    }

    /// A price by usage, up to a maximum for each 30 days. `terms` explains the price to the
    /// merchant.
    #[must_use]
    pub fn usage(maximum: &Price, terms: &str) -> Self {
        let details = json!({ "cappedAmount": maximum, "terms": terms });
        Self(json!({ "plan": { "appUsagePricingDetails": details } }))
    }

    fn recurring(price: &Price, interval: &str) -> Self {
        let details = json!({ "price": price, "interval": interval });
        Self(json!({ "plan": { "appRecurringPricingDetails": details } }))
    }
}

area![
    GetCurrentAppInstallation,
    AppUninstall,
    RevokeAccessScopes,
    CreateAppSubscription,
    CancelAppSubscription,
];
