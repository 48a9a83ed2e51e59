//! Products, variants, media, files and collections.

use serde::Serialize;
use serde_json::json;

use super::{area, input, operation};
use crate::models::{
    Collection, CollectionId, Count, GlobalId, LocationId, MediaType, Money, Product, ProductId,
    ProductOperation, ProductStatus, ProductVariant, ProductVariantId, UploadedFile,
};

connector_core::provider::open_enum! {
    /// The sort key of products.
    pub enum ProductSort {
        /// By time of creation.
        CreatedAt = "CREATED_AT",
        /// By id.
        Id = "ID",
        /// By title.
        Title = "TITLE",
        /// By time of the last change.
        UpdatedAt = "UPDATED_AT",
        /// By manufacturer.
        Vendor = "VENDOR",
    } else
    /// Another sort key.
    Other
}

connector_core::provider::open_enum! {
    /// The sort key of variants.
    pub enum ProductVariantSort {
        /// By id.
        Id = "ID",
        /// By full title.
        FullTitle = "FULL_TITLE",
        /// By position among the variants of the product.
        Position = "POSITION",
        /// By SKU.
        Sku = "SKU",
    } else
    /// Another sort key.
    Other
}

connector_core::provider::open_enum! {
    /// The sort key of collections.
    pub enum CollectionSort {
        /// By id.
        Id = "ID",
        /// By title.
        Title = "TITLE",
        /// By time of the last change.
        UpdatedAt = "UPDATED_AT",
    } else
    /// Another sort key.
    Other
}

operation! {
    /// Lists the shop's products, page by page. Shopify returns at most the first 25,000 results.
    ///
    /// See [Shopify docs: products](https://shopify.dev/docs/api/admin-graphql/latest/queries/products).
    list ListProducts -> Product =
        "($first: Int!, $after: String, $query: String, $sortKey: ProductSortKeys, $reverse: Boolean)"
        "products(first: $first, after: $after, query: $query, sortKey: $sortKey, reverse: $reverse) \
         { nodes { ...Product } pageInfo { hasNextPage endCursor } }" [Product];
    scopes ["read_products write_products"];
    cost 2 + 1 each;
    pub new();
    search ProductSort;
}

operation! {
    /// Gets one product, with its options, its first 50 variants and its first 10 media.
    ///
    /// See [Shopify docs: product](https://shopify.dev/docs/api/admin-graphql/latest/queries/product).
    get GetProduct -> Product = "($id: ID!)"
        "product(id: $id) { ...Product options { name position values } \
         variants(first: 50) { nodes { ...ProductVariant } pageInfo { hasNextPage endCursor } } \
         media(first: 10) { nodes { ...Media } pageInfo { hasNextPage endCursor } } }"
        [Product ProductVariant Media];
    scopes ["read_products write_products"];
    cost 236;
    pub new(id: ProductId = "id");
}

operation! {
    /// Gets one product by its handle or by a metafield that identifies it.
    ///
    /// See [Shopify docs: productByIdentifier](https://shopify.dev/docs/api/admin-graphql/latest/queries/productByIdentifier).
    get GetProductByIdentifier -> Product = "($identifier: ProductIdentifierInput!)"
        "productByIdentifier(identifier: $identifier) { ...Product }" [Product];
    scopes ["read_products write_products"];
    cost 1;
    pub new(identifier: Identifier = "identifier");
}

operation! {
    /// Counts the products that match a query.
    ///
    /// See [Shopify docs: productsCount](https://shopify.dev/docs/api/admin-graphql/latest/queries/productsCount).
    get CountProducts -> Count = "($query: String, $limit: Int)"
        "productsCount(query: $query, limit: $limit) { count precision }" [];
    scopes ["read_products write_products"];
    cost 1;
    pub new() {
        /// Counts only products that match this query in Shopify's search syntax.
        with_query: String = "query",
        /// The number at which Shopify stops counting. Default: 10,000.
        with_limit: u32 = "limit",
    };
}

operation! {
    /// Creates a product.
    ///
    /// See [Shopify docs: productCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productCreate).
    write CreateProduct -> Product = "($product: ProductCreateInput!, $media: [CreateMediaInput!])"
        "productCreate(product: $product, media: $media) { value: product { ...Product } \
         userErrors { field message } }" [Product];
    scopes ["write_products"];
    cost 13;
    pub new(product: ProductInput = "product") {
        /// Media to add.
        with_media: [NewMedia] = "media",
    };
}

operation! {
    /// Changes a product, and can add media. Fields that are not set keep their values.
    ///
    /// See [Shopify docs: productUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productUpdate).
    write UpdateProduct -> Product = "($product: ProductUpdateInput!, $media: [CreateMediaInput!])"
        "productUpdate(product: $product, media: $media) { value: product { ...Product } \
         userErrors { field message } }" [Product];
    scopes ["write_products"];
    cost 13;
    pub new(product: ProductUpdate = "product") {
        /// Media to add.
        with_media: [NewMedia] = "media",
    };
}

operation! {
    /// Creates a product, or makes an existing one equal to the input. **Lists in the input replace
    /// the product's lists**: variants, collections, metafields and files that the input leaves out
    /// are deleted. Fields that are not set keep their values. A product has at most 2,048 variants.
    ///
    /// See [Shopify docs: productSet](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productSet).
    assign SetProduct -> Product = "($input: ProductSetInput!, $identifier: ProductSetIdentifiers)"
        "productSet(input: $input, identifier: $identifier, synchronous: true) \
         { value: product { ...Product } userErrors { field message code } }" [Product];
    scopes ["write_products"];
    cost 13;
    pub new(product: ProductSetInput = "input") {
        /// The existing product, by its handle or by a metafield.
        with_identifier: Identifier = "identifier",
    };
}

operation! {
    /// Like [`SetProduct`], but returns before the product is changed. Use it for products with many
    /// variants. [`GetProductOperation`] returns the progress.
    assign StartSetProduct -> ProductOperation = "($input: ProductSetInput!, $identifier: ProductSetIdentifiers)"
        "productSet(input: $input, identifier: $identifier, synchronous: false) \
         { value: productSetOperation { id status } userErrors { field message code } }" [];
    scopes ["write_products"];
    cost 13;
    pub new(product: ProductSetInput = "input") {
        /// The existing product, by its handle or by a metafield.
        with_identifier: Identifier = "identifier",
    };
}

operation! {
    /// Gets the progress of an asynchronous product update.
    ///
    /// See [Shopify docs: productOperation](https://shopify.dev/docs/api/admin-graphql/latest/queries/productOperation).
    get GetProductOperation -> ProductOperation = "($id: ID!)"
        "productOperation(id: $id) { status product { id } ... on ProductSetOperation { id \
         userErrors { field message code } } ... on ProductDuplicateOperation { id } \
         ... on ProductDeleteOperation { id } ... on ProductBundleOperation { id } }" [];
    scopes ["read_products write_products"];
    cost 3;
    pub new(id: GlobalId = "id");
}

operation! {
    /// Deletes a product.
    ///
    /// See [Shopify docs: productDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productDelete).
    act DeleteProduct -> () = "($input: ProductDeleteInput!)"
        "productDelete(input: $input) { value: deletedProductId userErrors { field message } }" [];
    scopes ["write_products"];
    cost 12;
    pub new(product: IdInput = "input");
}

operation! {
    /// Lists the shop's variants, page by page. Shopify returns at most the first 25,000 results.
    ///
    /// See [Shopify docs: productVariants](https://shopify.dev/docs/api/admin-graphql/latest/queries/productVariants).
    list ListProductVariants -> ProductVariant =
        "($first: Int!, $after: String, $query: String, $sortKey: ProductVariantSortKeys, \
         $reverse: Boolean)"
        "productVariants(first: $first, after: $after, query: $query, sortKey: $sortKey, \
         reverse: $reverse) { nodes { ...ProductVariant } pageInfo { hasNextPage endCursor } }"
        [ProductVariant];
    scopes ["read_products write_products"];
    cost 2 + 4 each;
    pub new();
    search ProductVariantSort;
}

impl ListProductVariants {
    /// Lists only variants of this product.
    pub fn of_product(self, product: ProductId) -> Self {
        self.matching(&format!("product_id:{}", product.number()))
    }
}

operation! {
    /// Gets one variant.
    ///
    /// See [Shopify docs: productVariant](https://shopify.dev/docs/api/admin-graphql/latest/queries/productVariant).
    get GetProductVariant -> ProductVariant = "($id: ID!)"
        "productVariant(id: $id) { ...ProductVariant }" [ProductVariant];
    scopes ["read_products write_products"];
    cost 4;
    pub new(id: ProductVariantId = "id");
}

operation! {
    /// Creates up to 250 variants of a product.
    ///
    /// See [Shopify docs: productVariantsBulkCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productVariantsBulkCreate).
    write CreateProductVariants -> Vec<ProductVariant> =
        "($productId: ID!, $variants: [ProductVariantsBulkInput!]!)"
        "productVariantsBulkCreate(productId: $productId, variants: $variants) \
         { value: productVariants { ...ProductVariant } userErrors { field message code } }"
        [ProductVariant];
    scopes ["write_products"];
    cost 16;
    pub new(product: ProductId = "productId", variants: [VariantInput] = "variants");
    check |it| it.check_list("CreateProductVariants", "variants");
}

operation! {
    /// Changes up to 250 variants of a product. Each input needs the id of its variant. By default,
    /// one wrong variant keeps all of them unchanged.
    ///
    /// See [Shopify docs: productVariantsBulkUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productVariantsBulkUpdate).
    assign UpdateProductVariants -> Vec<ProductVariant> =
        "($productId: ID!, $variants: [ProductVariantsBulkInput!]!, $allowPartialUpdates: Boolean)"
        "productVariantsBulkUpdate(productId: $productId, variants: $variants, \
         allowPartialUpdates: $allowPartialUpdates) \
         { value: productVariants { ...ProductVariant } userErrors { field message code } }"
        [ProductVariant];
    scopes ["write_products"];
    cost 16;
    pub new(product: ProductId = "productId", variants: [VariantInput] = "variants") {
        /// Changes the correct variants even if others are wrong. The call then still fails with
        /// the errors of the wrong ones.
        with_partial_updates: bool = "allowPartialUpdates",
    };
    check |it| it.check_list("UpdateProductVariants", "variants");
}

operation! {
    /// Deletes up to 250 variants of a product.
    ///
    /// See [Shopify docs: productVariantsBulkDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/productVariantsBulkDelete).
    act DeleteProductVariants -> () = "($productId: ID!, $variantsIds: [ID!]!)"
        "productVariantsBulkDelete(productId: $productId, variantsIds: $variantsIds) \
         { value: product { id } userErrors { field message code } }" [];
    scopes ["write_products"];
    cost 13;
    pub new(product: ProductId = "productId", variants: [ProductVariantId] = "variantsIds");
    check |it| it.check_list("DeleteProductVariants", "variantsIds");
}

operation! {
    /// Adds files to the shop, from URLs that Shopify downloads or from staged uploads. Shopify
    /// processes the files after the call.
    ///
    /// See [Shopify docs: fileCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/fileCreate).
    write CreateFiles -> Vec<UploadedFile> = "($files: [FileCreateInput!]!)"
        "fileCreate(files: $files) { value: files { ...File } userErrors { field message code } }"
        [File];
    scopes ["write_files write_images write_themes"];
    cost 13;
    pub new(files: [FileInput] = "files");
    check |it| it.check_list("CreateFiles", "files");
}

operation! {
    /// Deletes files. They disappear from all products.
    ///
    /// See [Shopify docs: fileDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/fileDelete).
    act DeleteFiles -> () = "($fileIds: [ID!]!)"
        "fileDelete(fileIds: $fileIds) { value: deletedFileIds userErrors { field message code } }"
        [];
    scopes ["write_files write_images write_themes"];
    cost 12;
    pub new(files: [GlobalId] = "fileIds");
    check |it| it.check_list("DeleteFiles", "fileIds");
}

operation! {
    /// Lists the shop's collections, page by page.
    ///
    /// See [Shopify docs: collections](https://shopify.dev/docs/api/admin-graphql/latest/queries/collections).
    list ListCollections -> Collection =
        "($first: Int!, $after: String, $query: String, $sortKey: CollectionSortKeys, \
         $reverse: Boolean)"
        "collections(first: $first, after: $after, query: $query, sortKey: $sortKey, \
         reverse: $reverse) { nodes { ...Collection } pageInfo { hasNextPage endCursor } }"
        [Collection];
    scopes ["read_products write_products"];
    cost 2 + 2 each;
    pub new();
    search CollectionSort;
}

operation! {
    /// Gets one collection.
    ///
    /// See [Shopify docs: collection](https://shopify.dev/docs/api/admin-graphql/latest/queries/collection).
    get GetCollection -> Collection = "($id: ID!)" "collection(id: $id) { ...Collection }" [Collection];
    scopes ["read_products write_products"];
    cost 2;
    pub new(id: CollectionId = "id");
}

operation! {
    /// Creates a collection.
    ///
    /// See [Shopify docs: collectionCreate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/collectionCreate).
    write CreateCollection -> Collection = "($input: CollectionInput!)"
        "collectionCreate(input: $input) { value: collection { ...Collection } \
         userErrors { field message } }" [Collection];
    scopes ["write_products"];
    cost 14;
    pub new(collection: CollectionInput = "input");
}

operation! {
    /// Changes a collection. The input needs the id of the collection.
    ///
    /// See [Shopify docs: collectionUpdate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/collectionUpdate).
    assign UpdateCollection -> Collection = "($input: CollectionInput!)"
        "collectionUpdate(input: $input) { value: collection { ...Collection } \
         userErrors { field message } }" [Collection];
    scopes ["write_products"];
    cost 14;
    pub new(collection: CollectionInput = "input");
}

operation! {
    /// Deletes a collection. Its products stay.
    ///
    /// See [Shopify docs: collectionDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/collectionDelete).
    act DeleteCollection -> () = "($input: CollectionDeleteInput!)"
        "collectionDelete(input: $input) { value: deletedCollectionId userErrors { field message } }"
        [];
    scopes ["write_products"];
    cost 12;
    pub new(collection: IdInput = "input");
}

operation! {
    /// Adds up to 250 products to a collection that is not filled by rules.
    ///
    /// See [Shopify docs: collectionAddProducts](https://shopify.dev/docs/api/admin-graphql/latest/mutations/collectionAddProducts).
    write AddProductsToCollection -> Collection = "($id: ID!, $productIds: [ID!]!)"
        "collectionAddProducts(id: $id, productIds: $productIds) \
         { value: collection { ...Collection } userErrors { field message } }" [Collection];
    scopes ["write_products"];
    cost 14;
    pub new(collection: CollectionId = "id", products: [ProductId] = "productIds");
    check |it| it.check_list("AddProductsToCollection", "productIds");
}

/// Identifies a resource by another value than its id.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Identifier(serde_json::Value);

impl Identifier {
    /// By id.
    #[must_use]
    pub fn id(id: impl Into<GlobalId>) -> Self {
        Self(json!({ "id": id.into() }))
    }

    /// By the name in URLs. Only for products.
    #[must_use]
    pub fn handle(handle: &str) -> Self {
        Self(json!({ "handle": handle }))
    }

    /// By the e-mail address. Only for customers.
    #[must_use]
    pub fn email(email: &str) -> Self {
        Self(json!({ "email": email }))
    }

    /// By a metafield with unique values.
    #[must_use]
    pub fn custom(namespace: &str, key: &str, value: &str) -> Self {
        Self(json!({ "customId": { "namespace": namespace, "key": key, "value": value } }))
    }
}

/// The id of a resource, as an input object.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct IdInput {
    id: GlobalId,
}

impl<T: Into<GlobalId>> From<T> for IdInput {
    fn from(id: T) -> Self {
        Self { id: id.into() }
    }
}

input! {
    /// A product to create.
    ProductInput(title: String = "title") {
        with_description_html: String = "descriptionHtml",
        with_handle: String = "handle",
        with_status: ProductStatus = "status",
        with_vendor: String = "vendor",
        with_product_type: String = "productType",
        with_tags: [String] = "tags",
        /// Collections to add the product to.
        with_collections: [CollectionId] = "collectionsToJoin",
        with_options: [OptionInput] = "productOptions",
    }
}

input! {
    /// A change of a product.
    ProductUpdate(id: ProductId = "id") {
        with_title: String = "title",
        with_description_html: String = "descriptionHtml",
        with_handle: String = "handle",
        with_status: ProductStatus = "status",
        with_vendor: String = "vendor",
        with_product_type: String = "productType",
        /// Replaces all tags. [`AddTags`](super::AddTags) adds tags.
        with_tags: [String] = "tags",
        /// Collections to add the product to.
        with_collections_to_join: [CollectionId] = "collectionsToJoin",
        /// Collections to remove the product from.
        with_collections_to_leave: [CollectionId] = "collectionsToLeave",
    }
}

input! {
    /// A product for [`SetProduct`]. Lists replace the product's lists.
    ProductSetInput() {
        with_title: String = "title",
        with_description_html: String = "descriptionHtml",
        with_handle: String = "handle",
        with_status: ProductStatus = "status",
        with_vendor: String = "vendor",
        with_product_type: String = "productType",
        with_tags: [String] = "tags",
        with_collections: [CollectionId] = "collections",
        with_options: [OptionInput] = "productOptions",
        /// All variants of the product.
        with_variants: [VariantSetInput] = "variants",
    }
}

input! {
    /// An option of a product.
    OptionInput(name: String = "name", values: [NamedValue] = "values") {
        /// The position among the options, starting at 1.
        with_position: u32 = "position",
    }
}

/// The name of a value of an option.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NamedValue {
    name: String,
}

impl<T: Into<String>> From<T> for NamedValue {
    fn from(name: T) -> Self {
        Self { name: name.into() }
    }
}

/// The value of an option that a variant has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct OptionValue {
    option_name: String,
    name: String,
}

impl OptionValue {
    /// Creates the value `name` of the option `option_name`.
    pub fn new(option_name: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            option_name: option_name.into(),
            name: name.into(),
        }
    }
}

input! {
    /// A variant to create or to change.
    VariantInput() {
        /// The variant to change.
        with_id: ProductVariantId = "id",
        with_price: Money = "price",
        with_compare_at_price: Money = "compareAtPrice",
        with_barcode: String = "barcode",
        with_options: [OptionValue] = "optionValues",
        with_inventory_item: InventoryItemInput = "inventoryItem",
    }
}

input! {
    /// A variant for [`SetProduct`].
    VariantSetInput(options: [OptionValue] = "optionValues") {
        /// The existing variant.
        with_id: ProductVariantId = "id",
        with_price: Money = "price",
        with_compare_at_price: Money = "compareAtPrice",
        with_sku: String = "sku",
        with_barcode: String = "barcode",
        with_position: u32 = "position",
        /// The stock at locations.
        with_inventory: [SetInventory] = "inventoryQuantities",
        with_inventory_item: InventoryItemInput = "inventoryItem",
    }
}

input! {
    /// The stock of a variant at a location, for [`SetProduct`].
    SetInventory(location: LocationId = "locationId", name: String = "name", quantity: i64 = "quantity") {
    }
}

input! {
    /// The properties of a variant's inventory item.
    InventoryItemInput() {
        with_sku: String = "sku",
        /// True if Shopify tracks the stock.
        with_tracked: bool = "tracked",
        with_requires_shipping: bool = "requiresShipping",
        /// The cost of one unit to the shop.
        with_cost: Money = "cost",
    }
}

input! {
    /// A medium to add to a product. The source is a URL that Shopify downloads, or the resource URL
    /// of a staged upload.
    NewMedia(source: String = "originalSource", kind: MediaType = "mediaContentType") {
        /// The text for people who cannot see the medium.
        with_alt: String = "alt",
    }
}

input! {
    /// A file to add to the shop. The source is a URL that Shopify downloads, or the resource URL of
    /// a staged upload.
    FileInput(source: String = "originalSource") {
        /// The text for people who cannot see the file.
        with_alt: String = "alt",
        /// The kind of the file, for example `IMAGE` or `FILE`.
        with_content_type: String = "contentType",
        with_filename: String = "filename",
    }
}

input! {
    /// A collection to create or to change.
    CollectionInput() {
        /// The collection to change.
        with_id: CollectionId = "id",
        with_title: String = "title",
        with_handle: String = "handle",
        with_description_html: String = "descriptionHtml",
        /// The first products. Only for a new collection.
        with_products: [ProductId] = "products",
    }
}

area![
    ListProducts,
    GetProduct,
    GetProductByIdentifier,
    CountProducts,
    CreateProduct,
    UpdateProduct,
    SetProduct,
    StartSetProduct,
    GetProductOperation,
    DeleteProduct,
    ListProductVariants,
    GetProductVariant,
    CreateProductVariants,
    UpdateProductVariants,
    DeleteProductVariants,
    CreateFiles,
    DeleteFiles,
    ListCollections,
    GetCollection,
    CreateCollection,
    UpdateCollection,
    DeleteCollection,
    AddProductsToCollection,
];
