use serde::{Deserialize, Deserializer};

use super::AppInstallationId;

/// The app as it is installed in the shop.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct AppInstallation {
    /// Its id.
    pub id: AppInstallationId,
    /// The scopes that the shop's owner granted, as Shopify lists them: `write_products` without the
    /// `read_products` that it includes. See [`expand_scopes`](crate::expand_scopes).
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
