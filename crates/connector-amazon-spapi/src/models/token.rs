//! Tokens v2021-03-01.

use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize, Serializer};

use super::{model, texts};

/// A restricted data token.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RestrictedDataToken {
    /// The token. It is valid only for the requested operations.
    #[serde(serialize_with = "exposed")]
    pub restricted_data_token: SecretString,
    /// The lifetime in seconds.
    #[serde(default)]
    pub expires_in: Option<u64>,
}

fn exposed<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}

/// Shows only the lifetime.
impl fmt::Debug for RestrictedDataToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RestrictedDataToken")
            .field("expires_in", &self.expires_in)
            .finish_non_exhaustive()
    }
}

model! {
    /// The body of `createRestrictedDataToken`.
    RestrictedDataTokenBody {
        /// The operations for which the token is valid, at most 50.
        restricted_resources: Vec<RestrictedResource>,
        /// The id of another application that may use the token.
        target_application: Option<String>,
    }

    /// An operation that requires a restricted data token.
    RestrictedResource {
        /// The HTTP method.
        method: Option<RestrictedMethod>,
        /// The path, either of one resource or with placeholders in braces. The path of a report
        /// document must contain the document id.
        path: Option<String>,
        /// The personal data to return: `buyerInfo`, `shippingAddress`, `buyerTaxInformation`.
        data_elements: Vec<String>,
    }
}

impl RestrictedDataTokenBody {
    /// Creates a request for a token for these operations.
    #[must_use]
    pub fn new(resources: impl IntoIterator<Item = RestrictedResource>) -> Self {
        Self {
            restricted_resources: resources.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl RestrictedResource {
    /// Creates an operation from its method and path.
    #[must_use]
    pub fn new(method: RestrictedMethod, path: impl Into<String>) -> Self {
        Self {
            method: Some(method),
            path: Some(path.into()),
            ..Self::default()
        }
    }

    /// Sets the personal data to return.
    #[must_use]
    pub fn with_data_elements<S: Into<String>>(
        mut self,
        elements: impl IntoIterator<Item = S>,
    ) -> Self {
        self.data_elements = elements.into_iter().map(Into::into).collect();
        self
    }
}

texts! {
    /// The HTTP method of an operation that requires a restricted data token.
    RestrictedMethod {
        Get = "GET",
        Put = "PUT",
        Post = "POST",
        Delete = "DELETE",
    }
}
