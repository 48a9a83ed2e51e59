//! Catalog Items v2022-04-01.

use super::{Decimal, Other, Pagination, model, texts};

model! {
    /// A page of items.
    Items {
        /// Estimated number of results.
        number_of_results: Option<i64>,
        /// Tokens of the next and the previous page.
        pagination: Option<Pagination>,
        /// Filters that narrow the search.
        refinements: Option<Refinements>,
        /// The items.
        items: Vec<Item>,
    }

    /// Filters that narrow a search.
    Refinements {
        /// Brands that narrow the search.
        brands: Vec<BrandRefinement>,
        /// The browse classifications.
        classifications: Vec<ClassificationRefinement>,
    }

    /// A brand with its number of results.
    BrandRefinement {
        /// Estimated number of results.
        number_of_results: Option<i64>,
        /// The brand name.
        brand_name: Option<String>,
    }

    /// A classification with its number of results.
    ClassificationRefinement {
        /// Estimated number of results.
        number_of_results: Option<i64>,
        /// The display name.
        display_name: Option<String>,
        /// The id of the classification.
        classification_id: Option<String>,
    }

    /// A product of the catalog.
    Item {
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The attributes by name, structured according to the schema of the product type.
        attributes: Other,
        /// The browse classifications.
        classifications: Vec<ItemBrowseClassificationsByMarketplace>,
        /// The dimensions.
        dimensions: Vec<ItemDimensionsByMarketplace>,
        /// Product identifiers, such as EAN and UPC.
        identifiers: Vec<ItemIdentifiersByMarketplace>,
        /// The images.
        images: Vec<ItemImagesByMarketplace>,
        /// The product types.
        product_types: Vec<ItemProductTypeByMarketplace>,
        /// Relationships with other products: variations and package hierarchies.
        relationships: Vec<ItemRelationshipsByMarketplace>,
        /// The sales ranks.
        sales_ranks: Vec<ItemSalesRanksByMarketplace>,
        /// Summaries, one per marketplace.
        summaries: Vec<ItemSummaryByMarketplace>,
        /// The details for vendors.
        vendor_details: Vec<ItemVendorDetailsByMarketplace>,
    }

    /// The browse classifications of an item in a marketplace.
    ItemBrowseClassificationsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The browse classifications.
        classifications: Vec<ItemBrowseClassification>,
    }

    /// A browse classification with its parents.
    ItemBrowseClassification {
        /// The display name.
        display_name: Option<String>,
        /// The id of the classification.
        classification_id: Option<String>,
        /// The parent.
        parent: Option<Box<ItemBrowseClassification>>,
    }

    /// The dimensions of an item in a marketplace.
    ItemDimensionsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The item.
        item: Option<Dimensions>,
        /// The package.
        package: Option<Dimensions>,
    }

    /// Dimensions.
    Dimensions {
        /// The height.
        height: Option<Dimension>,
        /// The length.
        length: Option<Dimension>,
        /// The weight.
        weight: Option<Dimension>,
        /// The width.
        width: Option<Dimension>,
    }

    /// A dimension.
    Dimension {
        /// The unit.
        unit: Option<String>,
        /// The value.
        value: Option<Decimal>,
    }

    /// The identifiers of an item in a marketplace.
    ItemIdentifiersByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// Product identifiers, such as EAN and UPC.
        identifiers: Vec<ItemIdentifier>,
    }

    /// An id of a product, such as an EAN.
    ItemIdentifier {
        /// The type of the identifier, for example `UPC` or `EAN`.
        identifier_type: Option<String>,
        /// The identifier.
        identifier: Option<String>,
    }

    /// The images of an item in a marketplace.
    ItemImagesByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The images.
        images: Vec<ItemImage>,
    }

    /// An image of a product.
    ItemImage {
        /// The variant of the image, for example `MAIN` or `PT01`.
        variant: Option<ItemImageVariant>,
        /// The URL.
        link: Option<String>,
        /// The height in pixels.
        height: Option<i64>,
        /// The width in pixels.
        width: Option<i64>,
    }

    /// The product type of an item in a marketplace.
    ItemProductTypeByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
    }

    /// The relationships of an item in a marketplace.
    ItemRelationshipsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// Relationships with other products: variations and package hierarchies.
        relationships: Vec<ItemRelationship>,
    }

    /// A variation or package that a product belongs to.
    ItemRelationship {
        /// The child ASINs.
        child_asins: Vec<String>,
        /// The parent ASINs.
        parent_asins: Vec<String>,
        /// The attributes that distinguish the variations.
        variation_theme: Option<ItemVariationTheme>,
        /// The type.
        r#type: Option<ItemRelationshipType>,
    }

    /// The attributes that distinguish variations.
    ItemVariationTheme {
        /// Names of the attributes that distinguish the variations.
        attributes: Vec<String>,
        /// The name of the variation theme.
        theme: Option<String>,
    }

    /// The sales ranks of an item in a marketplace.
    ItemSalesRanksByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// Sales ranks by classification.
        classification_ranks: Vec<ItemClassificationSalesRank>,
        /// Sales ranks by website display group.
        display_group_ranks: Vec<ItemDisplayGroupSalesRank>,
    }

    /// The sales rank in a classification.
    ItemClassificationSalesRank {
        /// The id of the classification.
        classification_id: Option<String>,
        /// The title.
        title: Option<String>,
        /// The URL.
        link: Option<String>,
        /// The rank.
        rank: Option<i64>,
    }

    /// The sales rank on the website.
    ItemDisplayGroupSalesRank {
        /// The website display group.
        website_display_group: Option<String>,
        /// The title.
        title: Option<String>,
        /// The URL.
        link: Option<String>,
        /// The rank.
        rank: Option<i64>,
    }

    /// The summary of an item in a marketplace.
    ItemSummaryByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// True if the product is for adults.
        adult_product: Option<bool>,
        /// True if the product is autographed.
        autographed: Option<bool>,
        /// The brand.
        brand: Option<String>,
        /// The browse classification.
        browse_classification: Option<ItemBrowseClassification>,
        /// The color.
        color: Option<String>,
        /// Contributors, such as authors or actors.
        contributors: Vec<ItemContributor>,
        /// The item classification.
        item_classification: Option<ItemClassification>,
        /// The name of the item.
        item_name: Option<String>,
        /// The manufacturer.
        manufacturer: Option<String>,
        /// True if the product is a collectible.
        memorabilia: Option<bool>,
        /// The model number.
        model_number: Option<String>,
        /// Number of items in one package.
        package_quantity: Option<i64>,
        /// The part number.
        part_number: Option<String>,
        /// The earliest date on which the product can be shipped.
        release_date: Option<String>,
        /// The size.
        size: Option<String>,
        /// The style.
        style: Option<String>,
        /// True if Amazon accepts the product as a trade-in.
        trade_in_eligible: Option<bool>,
        /// The website display group.
        website_display_group: Option<String>,
        /// The display name of the website display group.
        website_display_group_name: Option<String>,
    }

    /// A person who contributed to a product, such as an author.
    ItemContributor {
        /// The role.
        role: Option<ItemContributorRole>,
        /// The value.
        value: Option<String>,
    }

    /// The role of a contributor.
    ItemContributorRole {
        /// The display name.
        display_name: Option<String>,
        /// The value.
        value: Option<String>,
    }

    /// The vendor details of an item in a marketplace.
    ItemVendorDetailsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The brand code.
        brand_code: Option<String>,
        /// The manufacturer code.
        manufacturer_code: Option<String>,
        /// The parent of the manufacturer code.
        manufacturer_code_parent: Option<String>,
        /// The product category.
        product_category: Option<ItemVendorDetailsCategory>,
        /// The product group.
        product_group: Option<String>,
        /// The product subcategory.
        product_subcategory: Option<ItemVendorDetailsCategory>,
        /// The replenishment category.
        replenishment_category: Option<ReplenishmentCategory>,
    }

    /// A category of a vendor's product.
    ItemVendorDetailsCategory {
        /// The display name.
        display_name: Option<String>,
        /// The value.
        value: Option<String>,
    }
}

texts! {
    /// The position of an image, for example the main image.
    ItemImageVariant {
        Main = "MAIN",
        Pt01 = "PT01",
        Pt02 = "PT02",
        Pt03 = "PT03",
        Pt04 = "PT04",
        Pt05 = "PT05",
        Pt06 = "PT06",
        Pt07 = "PT07",
        Pt08 = "PT08",
        Swch = "SWCH",
    }

    /// The type of a relationship between products.
    ItemRelationshipType {
        Variation = "VARIATION",
        PackageHierarchy = "PACKAGE_HIERARCHY",
    }

    /// The classification of a product, for example as a variation parent.
    ItemClassification {
        BaseProduct = "BASE_PRODUCT",
        Other = "OTHER",
        ProductBundle = "PRODUCT_BUNDLE",
        VariationParent = "VARIATION_PARENT",
    }

    /// The replenishment category of a vendor's product.
    ReplenishmentCategory {
        Allocated = "ALLOCATED",
        BasicReplenishment = "BASIC_REPLENISHMENT",
        InSeason = "IN_SEASON",
        LimitedReplenishment = "LIMITED_REPLENISHMENT",
        ManufacturerOutOfStock = "MANUFACTURER_OUT_OF_STOCK",
        NewProduct = "NEW_PRODUCT",
        NonReplenishable = "NON_REPLENISHABLE",
        NonStockupable = "NON_STOCKUPABLE",
        Obsolete = "OBSOLETE",
        PlannedReplenishment = "PLANNED_REPLENISHMENT",
    }

    /// The type of product identifiers.
    IdentifiersType {
        Asin = "ASIN",
        Ean = "EAN",
        Gtin = "GTIN",
        Isbn = "ISBN",
        Jan = "JAN",
        Minsan = "MINSAN",
        Sku = "SKU",
        Upc = "UPC",
    }

    /// Optional data to include.
    IncludedData {
        Attributes = "attributes",
        Classifications = "classifications",
        Dimensions = "dimensions",
        Identifiers = "identifiers",
        Images = "images",
        ProductTypes = "productTypes",
        Relationships = "relationships",
        SalesRanks = "salesRanks",
        Summaries = "summaries",
        VendorDetails = "vendorDetails",
    }
}
