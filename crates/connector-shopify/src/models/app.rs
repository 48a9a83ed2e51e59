use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{AppId, AppInstallationId, AppSubscriptionId, maybe_time, model, time};

model! {
    /// An installation of the app in a shop.
    AppInstallation {
        /// The id of the installation.
        id: AppInstallationId,
        /// The scopes that the shop's owner granted. Shopify does not list implicit scopes. For
        /// example, it lists `write_products` without `read_products`. See
        /// [`expand_scopes`](crate::expand_scopes).
        #[serde(deserialize_with = "handles")]
        access_scopes: Vec<String>,
        /// The app. `None` in the answer that identifies a shop.
        #[serde(default)]
        app: Option<InstalledApp>,
        /// The URL at which the shop's owner opens the app.
        #[serde(default)]
        launch_url: Option<Url>,
        /// The URL at which the shop's owner removes the app.
        #[serde(default)]
        uninstall_url: Option<Url>,
        /// The active recurring charges of the app in the shop.
        #[serde(default)]
        active_subscriptions: Vec<AppSubscription>,
    }
}

model! {
    /// An app, as a shop sees it.
    InstalledApp {
        /// The id of the app.
        id: AppId,
        /// The name of the app in URLs.
        handle: Option<String>,
        /// The title of the app.
        title: String,
        /// The client id of the app.
        api_key: String,
        /// The scopes that the app requires.
        #[serde(deserialize_with = "handles")]
        requested_access_scopes: Vec<String>,
        /// The scopes that the app can request after its installation.
        #[serde(deserialize_with = "handles")]
        optional_access_scopes: Vec<String>,
    }
}

connector_core::provider::open_enum! {
    /// The state of a recurring charge.
    pub enum AppSubscriptionStatus {
        /// The merchant accepted the charge.
        Accepted = "ACCEPTED",
        /// The charge is active.
        Active = "ACTIVE",
        /// The app or the removal of the app ended the charge.
        Cancelled = "CANCELLED",
        /// The merchant declined the charge.
        Declined = "DECLINED",
        /// The merchant did not answer within two days.
        Expired = "EXPIRED",
        /// The charge is on hold, because the shop did not pay.
        Frozen = "FROZEN",
        /// The merchant has not answered yet.
        Pending = "PENDING",
    } else
    /// A value that this version of the library does not know.
    Other
}

model! {
    /// A recurring charge of the app.
    AppSubscription {
        /// The id of the charge.
        id: AppSubscriptionId,
        /// The name of the plan.
        name: String,
        /// The state of the charge.
        status: AppSubscriptionStatus,
        /// True for a charge without real money.
        test: bool,
        /// Number of free days at the start.
        trial_days: i64,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The end of the current billing period.
        #[serde(default, deserialize_with = "maybe_time")]
        current_period_end: Option<Timestamp>,
    }
}

model! {
    /// A recurring charge that the merchant must still confirm.
    NewAppSubscription {
        /// The page on which the merchant confirms the charge. Redirect the merchant to it.
        confirmation_url: Url,
        /// The charge.
        subscription: AppSubscription,
    }
}

fn handles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Scope {
        handle: String,
    }
    let scopes = Vec::<Scope>::deserialize(deserializer)?;
    Ok(scopes.into_iter().map(|scope| scope.handle).collect())
}
