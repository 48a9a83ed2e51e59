//! The typed operations of the Admin API, one file each.

mod app_uninstall;
mod arguments;
mod create_webhook_subscription;
mod delete_webhook_subscription;
mod get_current_app_installation;
mod get_product;
mod get_product_variant;
mod get_shop;
mod list_product_variants;
mod list_products;
mod list_webhook_subscriptions;

use connector_core::provider::Endpoint;

pub use self::app_uninstall::AppUninstall;
pub use self::create_webhook_subscription::CreateWebhookSubscription;
pub use self::delete_webhook_subscription::DeleteWebhookSubscription;
pub use self::get_current_app_installation::GetCurrentAppInstallation;
pub use self::get_product::GetProduct;
pub use self::get_product_variant::GetProductVariant;
pub use self::get_shop::GetShop;
pub use self::list_product_variants::{ListProductVariants, ProductVariantSort};
pub use self::list_products::{ListProducts, ProductSort};
pub use self::list_webhook_subscriptions::ListWebhookSubscriptions;

/// The static properties of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// The name of the operation in errors, logs and metrics.
    pub name: &'static str,
    /// The GraphQL document of the operation.
    pub document: &'static str,
    /// The scopes that the operation requires.
    pub scopes: &'static [&'static str],
}

const fn operation<E: Endpoint>(document: &'static str) -> Operation {
    Operation {
        name: E::NAME,
        document,
        scopes: E::SCOPES,
    }
}

/// Every document that this crate sends, including the one that identifies a shop.
pub const OPERATIONS: &[Operation] = &[
    operation::<AppUninstall>(AppUninstall::DOCUMENT),
    operation::<CreateWebhookSubscription>(CreateWebhookSubscription::DOCUMENT),
    operation::<DeleteWebhookSubscription>(DeleteWebhookSubscription::DOCUMENT),
    operation::<GetCurrentAppInstallation>(GetCurrentAppInstallation::DOCUMENT),
    operation::<GetProduct>(GetProduct::DOCUMENT),
    operation::<GetProductVariant>(GetProductVariant::DOCUMENT),
    operation::<GetShop>(GetShop::DOCUMENT),
    operation::<ListProductVariants>(ListProductVariants::DOCUMENT),
    operation::<ListProducts>(ListProducts::DOCUMENT),
    operation::<ListWebhookSubscriptions>(ListWebhookSubscriptions::DOCUMENT),
    Operation {
        name: "Identify",
        document: crate::metadata::DOCUMENT,
        scopes: &[],
    },
];
