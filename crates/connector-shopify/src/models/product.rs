use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};

use super::{Money, ProductId, ProductVariantId, time};

connector_core::provider::open_enum! {
    /// The visibility of a product.
    pub enum ProductStatus {
        /// Ready to sell.
        Active = "ACTIVE",
        /// No longer sold.
        Archived = "ARCHIVED",
        /// Not ready yet.
        Draft = "DRAFT",
        /// Visible only to customers who know the product's URL.
        Unlisted = "UNLISTED",
    } else
    /// A value that this version of the library does not know.
    Other
}

/// A product.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct Product {
    /// The id of the product.
    pub id: ProductId,
    /// The title of the product.
    pub title: String,
    /// The product's name in URLs.
    pub handle: String,
    /// The visibility of the product.
    pub status: ProductStatus,
    /// The manufacturer of the product.
    pub vendor: String,
    /// The product type, as free text of the shop.
    pub product_type: String,
    /// The shop's tags for the product.
    pub tags: Vec<String>,
    /// Number of items in stock, summed over all variants. May be negative.
    pub total_inventory: i64,
    /// Time of the product's creation.
    #[serde(deserialize_with = "time")]
    pub created_at: Timestamp,
    /// Time of the last change of the product or its stock.
    #[serde(deserialize_with = "time")]
    pub updated_at: Timestamp,
}

/// A variant of a product. Customers buy variants.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct ProductVariant {
    /// The id of the variant.
    pub id: ProductVariantId,
    /// The product of the variant.
    #[serde(rename = "product", deserialize_with = "product_id")]
    pub product_id: ProductId,
    /// The title of the variant, built from its options.
    pub title: String,
    /// The shop's stock keeping unit (SKU).
    pub sku: Option<String>,
    /// The bar code.
    pub barcode: Option<String>,
    /// The price.
    pub price: Money,
    /// The original price, if a discount is shown.
    pub compare_at_price: Option<Money>,
    /// Number of items in stock; `None` if unknown. May be negative.
    pub inventory_quantity: Option<i64>,
    /// The position among the product's variants, starting at 1.
    pub position: i64,
    /// The options that distinguish the variant.
    pub selected_options: Vec<SelectedOption>,
    /// Time of the variant's last change.
    #[serde(deserialize_with = "time")]
    pub updated_at: Timestamp,
}

/// One option of a variant, such as its size.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct SelectedOption {
    /// The name of the option.
    pub name: String,
    /// The selected value.
    pub value: String,
}

fn product_id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ProductId, D::Error> {
    #[derive(Deserialize)]
    struct Reference {
        id: ProductId,
    }
    Reference::deserialize(deserializer).map(|reference| reference.id)
}
