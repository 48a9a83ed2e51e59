use serde::{Deserialize, Deserializer};

use super::AppInstallationId;

/// An installation of the app in a shop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AppInstallation {
    /// The id of the installation.
    pub id: AppInstallationId,
    /// The scopes that the shop's owner granted. Shopify does not list implicit scopes. For
    /// example, it lists `write_products` without `read_products`. See
    /// [`expand_scopes`](crate::expand_scopes).
    #[serde(deserialize_with = "handles")]
    pub access_scopes: Vec<String>,
}

fn handles<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    struct Scope {
        handle: String,
    }
    let scopes = Vec::<Scope>::deserialize(deserializer)?;
    Ok(scopes.into_iter().map(|scope| scope.handle).collect())
}
