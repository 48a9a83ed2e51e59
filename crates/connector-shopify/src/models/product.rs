use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{Money, ProductId, ProductVariantId, open_enum, time};

open_enum! {
    /// Who sees a product.
    ProductStatus {
        /// Ready to sell.
        Active = "ACTIVE",
        /// No longer sold.
        Archived = "ARCHIVED",
        /// Not ready yet.
        Draft = "DRAFT",
        /// For sale to those who know its address.
        Unlisted = "UNLISTED",
    }
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Product {
    /// Its id.
    pub id: ProductId,
    /// Its title.
    pub title: String,
    /// Its name in addresses.
    pub handle: String,
    /// Who sees it.
    pub status: ProductStatus,
    /// Who made it.
    pub vendor: String,
    /// What it is, in the shop's own words.
    pub product_type: String,
    /// The shop's labels for it.
    pub tags: Vec<String>,
    /// How many are in stock, over all variants. May be negative.
    pub total_inventory: i64,
    /// When it was created.
    #[serde(deserialize_with = "time")]
    pub created_at: Timestamp,
    /// When it, or its stock, last changed.
    #[serde(deserialize_with = "time")]
    pub updated_at: Timestamp,
}

/// A variant of a product: what is bought.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProductVariant {
    /// Its id.
    pub id: ProductVariantId,
    /// The product that it is of.
    #[serde(rename = "product", deserialize_with = "product_id")]
    pub product_id: ProductId,
    /// Its title, made of its options.
    pub title: String,
    /// The shop's number for it.
    pub sku: Option<String>,
    /// Its bar code.
    pub barcode: Option<String>,
    /// Its price.
    pub price: Money,
    /// What it cost before, if that is shown.
    pub compare_at_price: Option<Money>,
    /// How many are in stock; none if that is not known. May be negative.
    pub inventory_quantity: Option<i64>,
    /// Its place among the product's variants, from 1.
    pub position: i64,
    /// What distinguishes it.
    pub selected_options: Vec<SelectedOption>,
    /// When it last changed.
    #[serde(deserialize_with = "time")]
    pub updated_at: Timestamp,
}

/// One option of a variant, such as its size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SelectedOption {
    /// The option.
    pub name: String,
    /// What was chosen.
    pub value: String,
}

fn product_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProductId, D::Error> {
    #[derive(Deserialize)]
    struct Reference {
        id: ProductId,
    }
    Reference::deserialize(deserializer).map(|reference| reference.id)
}
