use connector_core::clock::Timestamp;
use serde::{Deserialize, Deserializer};
use url::Url;

use super::{
    CollectionId, Count, GlobalId, InventoryItemId, Money, Part, ProductId, ProductVariantId,
    id_of, model, time,
};

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

model! {
    /// A product.
    Product {
        /// The id of the product.
        id: ProductId,
        /// The title of the product.
        title: String,
        /// The product's name in URLs.
        handle: String,
        /// The visibility of the product.
        status: ProductStatus,
        /// The manufacturer of the product.
        vendor: String,
        /// The product type, as free text of the shop.
        product_type: String,
        /// The shop's tags for the product.
        tags: Vec<String>,
        /// Number of items in stock, summed over all variants. May be negative.
        total_inventory: i64,
        /// The options of the variants. `None` in listings.
        #[serde(default)]
        options: Option<Vec<ProductOption>>,
        /// The variants. `None` in listings.
        #[serde(default)]
        variants: Option<Part<ProductVariant>>,
        /// The images and videos. `None` in listings.
        #[serde(default)]
        media: Option<Part<Media>>,
        /// Time of the product's creation.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// Time of the last change of the product or its stock.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// An option of a product, such as its size.
    ProductOption {
        /// The name of the option.
        name: String,
        /// The position among the options, starting at 1.
        position: i64,
        /// The values.
        values: Vec<String>,
    }
}

model! {
    /// A variant of a product. Customers buy variants.
    ProductVariant {
        /// The id of the variant.
        id: ProductVariantId,
        /// The product of the variant.
        #[serde(rename = "product", deserialize_with = "id_of")]
        product_id: ProductId,
        /// The inventory item of the variant.
        #[serde(rename = "inventoryItem", deserialize_with = "id_of")]
        inventory_item_id: InventoryItemId,
        /// The title of the variant, built from its options.
        title: String,
        /// The shop's stock keeping unit (SKU).
        sku: Option<String>,
        /// The bar code.
        barcode: Option<String>,
        /// The price.
        price: Money,
        /// The original price, if a discount is shown.
        compare_at_price: Option<Money>,
        /// Number of items in stock; `None` if unknown. May be negative.
        inventory_quantity: Option<i64>,
        /// The position among the product's variants, starting at 1.
        position: i64,
        /// The options that distinguish the variant.
        selected_options: Vec<SelectedOption>,
        /// Time of the variant's last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// One option of a variant, such as its size.
    SelectedOption {
        /// The name of the option.
        name: String,
        /// The selected value.
        value: String,
    }
}

connector_core::provider::open_enum! {
    /// The kind of a medium.
    pub enum MediaType {
        /// A video of another site.
        ExternalVideo = "EXTERNAL_VIDEO",
        /// An image.
        Image = "IMAGE",
        /// A three-dimensional model.
        Model3d = "MODEL_3D",
        /// A video.
        Video = "VIDEO",
    } else
    /// A value that this version of the library does not know.
    Other
}

model! {
    /// An image, a video or a model of a product.
    Media {
        /// The id of the medium.
        id: GlobalId,
        /// The kind of the medium.
        media_content_type: MediaType,
        /// The text for people who cannot see the medium.
        alt: Option<String>,
        /// The state of the processing: `UPLOADED`, `PROCESSING`, `READY` or `FAILED`.
        status: String,
        /// The URL of the preview image.
        #[serde(default, rename = "preview", deserialize_with = "preview")]
        preview_url: Option<Url>,
    }
}

model! {
    /// A file of the shop.
    UploadedFile {
        /// The id of the file.
        id: GlobalId,
        /// The text for people who cannot see the file.
        alt: Option<String>,
        /// The state of the processing: `UPLOADED`, `PROCESSING`, `READY` or `FAILED`.
        file_status: String,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
    }
}

model! {
    /// A collection of products.
    Collection {
        /// The id of the collection.
        id: CollectionId,
        /// The title of the collection.
        title: String,
        /// The collection's name in URLs.
        handle: String,
        /// The description as HTML.
        description_html: String,
        /// The order of the products, for example `BEST_SELLING`.
        sort_order: String,
        /// Number of products.
        products_count: Option<Count>,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// The progress of an asynchronous product update.
    ProductOperation {
        /// The id of the update.
        id: GlobalId,
        /// The state: `CREATED`, `ACTIVE` or `COMPLETE`.
        status: String,
        /// The product, once it exists.
        #[serde(default)]
        product: Option<ProductReference>,
        /// The errors of a completed update.
        #[serde(default)]
        user_errors: Vec<crate::UserError>,
    }
}

model! {
    /// A product that is named by its id.
    ProductReference {
        /// The id of the product.
        id: ProductId,
    }
}

fn preview<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Url>, D::Error> {
    #[derive(Deserialize)]
    struct Preview {
        image: Option<Image>,
    }
    #[derive(Deserialize)]
    struct Image {
        url: Url,
    }
    let preview = Option::<Preview>::deserialize(deserializer)?;
    Ok(preview.and_then(|it| it.image).map(|it| it.url))
}
