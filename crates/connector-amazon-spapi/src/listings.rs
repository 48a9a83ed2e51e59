//! Verification of listing changes by reading the listing back.

use connector_core::{ErrorKind, Result};
use serde_json::Value;

use crate::AmazonClient;
use crate::endpoints::GetListingsItem;
use crate::models::Other;
use crate::models::listing::{IncludedData, Item};

/// Expected content of a listing, used to verify that a write was applied.
///
/// Amazon applies an accepted submission minutes later, and also accepts patches of SKUs that do
/// not exist. Treat a write as unverified until [`AmazonClient::verify_listing`] returns
/// [`Verification::Applied`].
#[derive(Debug, Clone)]
#[must_use]
pub struct ListingCheck {
    seller_id: String,
    sku: String,
    marketplace_id: String,
    expected: Other,
    absent: Vec<String>,
}

impl ListingCheck {
    /// Creates a check of one listing in one marketplace.
    pub fn new(
        seller_id: impl Into<String>,
        sku: impl Into<String>,
        marketplace_id: impl Into<String>,
    ) -> Self {
        Self {
            seller_id: seller_id.into(),
            sku: sku.into(),
            marketplace_id: marketplace_id.into(),
            expected: Other::new(),
            absent: Vec::new(),
        }
    }

    /// Expects an attribute to have these values. The comparison ignores members that Amazon adds
    /// to a value, such as the marketplace.
    pub fn with_attribute(mut self, name: impl Into<String>, values: Vec<Value>) -> Self {
        self.expected.insert(name.into(), Value::Array(values));
        self
    }

    /// Expects an attribute to be absent.
    pub fn without_attribute(mut self, name: impl Into<String>) -> Self {
        self.absent.push(name.into());
        self
    }

    fn fits(&self, item: &Item) -> bool {
        let gone = |name: &String| item.attributes.get(name).is_none_or(is_empty);
        self.absent.iter().all(gone)
            && self.expected.iter().all(|(name, expected)| {
                let found = item.attributes.get(name).unwrap_or(&Value::Null);
                is_in(expected, found)
            })
    }
}

/// The result of [`AmazonClient::verify_listing`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Verification {
    /// The listing has the expected content.
    Applied {
        /// The time of the listing's last change (ISO 8601), if Amazon states it.
        applied_at: Option<String>,
    },
    /// The listing differs from the expected content. Check again later; after some minutes, read
    /// the issues of the listing.
    Unverified {
        /// The current listing.
        item: Box<Item>,
    },
    /// The listing does not exist.
    Missing,
}

impl AmazonClient {
    /// Reads a listing and compares it with the expected content.
    ///
    /// # Errors
    /// Those of [`GetListingsItem`], except for a missing listing, which is returned as
    /// [`Verification::Missing`].
    pub async fn verify_listing(&self, check: &ListingCheck) -> Result<Verification> {
        let marketplace = check.marketplace_id.as_str();
        let read = GetListingsItem::new(&*check.seller_id, &*check.sku, [marketplace])
            .with_included_data([
                IncludedData::Summaries,
                IncludedData::Attributes,
                IncludedData::Issues,
            ]);
        let item = match self.send(&read).await {
            Ok(item) => item,
            Err(error) if error.kind() == ErrorKind::ProviderNotFound => {
                return Ok(Verification::Missing);
            }
            Err(error) => return Err(error),
        };
        if !check.fits(&item) {
            return Ok(Verification::Unverified {
                item: Box::new(item),
            });
        }
        let of_marketplace = |it: &&crate::models::listing::ItemSummaryByMarketplace| {
            it.marketplace_id.as_deref() == Some(marketplace)
        };
        let summary = item.summaries.iter().find(of_marketplace);
        Ok(Verification::Applied {
            applied_at: summary.and_then(|it| it.last_updated_date.clone()),
        })
    }
}

fn is_empty(value: &Value) -> bool {
    value.is_null() || value.as_array().is_some_and(Vec::is_empty)
}

/// Returns true if `found` contains `expected`: all members of objects, and all elements of lists
/// in any order.
fn is_in(expected: &Value, found: &Value) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .all(|(name, value)| found.get(name).is_some_and(|found| is_in(value, found))),
        (Value::Array(expected), Value::Array(found)) => expected
            .iter()
            .all(|value| found.iter().any(|found| is_in(value, found))),
        (Value::Number(expected), Value::Number(found)) => expected.as_f64() == found.as_f64(),
        _ => expected == found,
    }
}
