//! Catalog Items v2022-04-01.

use super::{Decimal, Other, Pagination, model, texts};

model! {
    /// A page of items.
    Items {
        /// The number of results that Amazon estimates.
        number_of_results: Option<i64>,
        /// The place of the next page.
        pagination: Option<Pagination>,
        /// Ways to narrow the search.
        refinements: Option<Refinements>,
        /// The items.
        items: Vec<Item>,
    }

    /// Refinements.
    Refinements {
        /// The brands.
        brands: Vec<BrandRefinement>,
        /// The browse classifications.
        classifications: Vec<ClassificationRefinement>,
    }

    /// A brand refinement.
    BrandRefinement {
        /// The number of results that Amazon estimates.
        number_of_results: Option<i64>,
        /// The brand name.
        brand_name: Option<String>,
    }

    /// A classification refinement.
    ClassificationRefinement {
        /// The number of results that Amazon estimates.
        number_of_results: Option<i64>,
        /// The name for people.
        display_name: Option<String>,
        /// The classification id.
        classification_id: Option<String>,
    }

    /// A product of the catalog.
    Item {
        /// The ASIN, Amazon's id of the product.
        asin: Option<String>,
        /// The attributes, by name, in the form of the product type's schema.
        attributes: Other,
        /// The browse classifications.
        classifications: Vec<ItemBrowseClassificationsByMarketplace>,
        /// The dimensions.
        dimensions: Vec<ItemDimensionsByMarketplace>,
        /// Other ids of the product, such as EAN and UPC.
        identifiers: Vec<ItemIdentifiersByMarketplace>,
        /// The images.
        images: Vec<ItemImagesByMarketplace>,
        /// The product types.
        product_types: Vec<ItemProductTypeByMarketplace>,
        /// The variations and packages that it belongs to.
        relationships: Vec<ItemRelationshipsByMarketplace>,
        /// The sales ranks.
        sales_ranks: Vec<ItemSalesRanksByMarketplace>,
        /// The main facts in each marketplace.
        summaries: Vec<ItemSummaryByMarketplace>,
        /// The details for vendors.
        vendor_details: Vec<ItemVendorDetailsByMarketplace>,
    }

    /// An item browse classifications by marketplace.
    ItemBrowseClassificationsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The browse classifications.
        classifications: Vec<ItemBrowseClassification>,
    }

    /// An item browse classification.
    ItemBrowseClassification {
        /// The name for people.
        display_name: Option<String>,
        /// The classification id.
        classification_id: Option<String>,
        /// The parent.
        parent: Option<Box<ItemBrowseClassification>>,
    }

    /// An item dimensions by marketplace.
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
        /// The height in pixels.
        height: Option<Dimension>,
        /// The length.
        length: Option<Dimension>,
        /// The weight.
        weight: Option<Dimension>,
        /// The width in pixels.
        width: Option<Dimension>,
    }

    /// A dimension.
    Dimension {
        /// The unit.
        unit: Option<String>,
        /// The value.
        value: Option<Decimal>,
    }

    /// An item identifiers by marketplace.
    ItemIdentifiersByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// Other ids of the product, such as EAN and UPC.
        identifiers: Vec<ItemIdentifier>,
    }

    /// An item identifier.
    ItemIdentifier {
        /// The identifier type.
        identifier_type: Option<String>,
        /// The identifier.
        identifier: Option<String>,
    }

    /// An item images by marketplace.
    ItemImagesByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The images.
        images: Vec<ItemImage>,
    }

    /// An item image.
    ItemImage {
        /// The variant.
        variant: Option<ItemImageVariant>,
        /// The URL.
        link: Option<String>,
        /// The height in pixels.
        height: Option<i64>,
        /// The width in pixels.
        width: Option<i64>,
    }

    /// An item product type by marketplace.
    ItemProductTypeByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
    }

    /// An item relationships by marketplace.
    ItemRelationshipsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The variations and packages that it belongs to.
        relationships: Vec<ItemRelationship>,
    }

    /// An item relationship.
    ItemRelationship {
        /// The child ASINs.
        child_asins: Vec<String>,
        /// The parent ASINs.
        parent_asins: Vec<String>,
        /// The variation theme.
        variation_theme: Option<ItemVariationTheme>,
        /// The type.
        r#type: Option<ItemRelationshipType>,
    }

    /// An item variation theme.
    ItemVariationTheme {
        /// The attributes, by name, in the form of the product type's schema.
        attributes: Vec<String>,
        /// The theme.
        theme: Option<String>,
    }

    /// An item sales ranks by marketplace.
    ItemSalesRanksByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The classification ranks.
        classification_ranks: Vec<ItemClassificationSalesRank>,
        /// The display group ranks.
        display_group_ranks: Vec<ItemDisplayGroupSalesRank>,
    }

    /// An item classification sales rank.
    ItemClassificationSalesRank {
        /// The classification id.
        classification_id: Option<String>,
        /// The title.
        title: Option<String>,
        /// The URL.
        link: Option<String>,
        /// The rank.
        rank: Option<i64>,
    }

    /// An item display group sales rank.
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

    /// An item summary by marketplace.
    ItemSummaryByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The flag `adultProduct`.
        adult_product: Option<bool>,
        /// The flag `autographed`.
        autographed: Option<bool>,
        /// The brand.
        brand: Option<String>,
        /// The browse classification.
        browse_classification: Option<ItemBrowseClassification>,
        /// The color.
        color: Option<String>,
        /// The contributors.
        contributors: Vec<ItemContributor>,
        /// The item classification.
        item_classification: Option<ItemSummaryByMarketplaceItemClassification>,
        /// The name of the item.
        item_name: Option<String>,
        /// The manufacturer.
        manufacturer: Option<String>,
        /// The flag `memorabilia`.
        memorabilia: Option<bool>,
        /// The model number.
        model_number: Option<String>,
        /// The package quantity.
        package_quantity: Option<i64>,
        /// The part number.
        part_number: Option<String>,
        /// The release date.
        release_date: Option<String>,
        /// The size.
        size: Option<String>,
        /// The style.
        style: Option<String>,
        /// The flag `tradeInEligible`.
        trade_in_eligible: Option<bool>,
        /// The website display group.
        website_display_group: Option<String>,
        /// The website display group name.
        website_display_group_name: Option<String>,
    }

    /// An item contributor.
    ItemContributor {
        /// The role.
        role: Option<ItemContributorRole>,
        /// The value.
        value: Option<String>,
    }

    /// An item contributor role.
    ItemContributorRole {
        /// The name for people.
        display_name: Option<String>,
        /// The value.
        value: Option<String>,
    }

    /// An item vendor details by marketplace.
    ItemVendorDetailsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The brand code.
        brand_code: Option<String>,
        /// The manufacturer code.
        manufacturer_code: Option<String>,
        /// The manufacturer code parent.
        manufacturer_code_parent: Option<String>,
        /// The product category.
        product_category: Option<ItemVendorDetailsCategory>,
        /// The product group.
        product_group: Option<String>,
        /// The product subcategory.
        product_subcategory: Option<ItemVendorDetailsCategory>,
        /// The replenishment category.
        replenishment_category: Option<ItemVendorDetailsByMarketplaceReplenishmentCategory>,
    }

    /// An item vendor details category.
    ItemVendorDetailsCategory {
        /// The name for people.
        display_name: Option<String>,
        /// The value.
        value: Option<String>,
    }
}

texts! {
    /// Values of item image variant.
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

    /// Values of item relationship type.
    ItemRelationshipType {
        Variation = "VARIATION",
        PackageHierarchy = "PACKAGE_HIERARCHY",
    }

    /// Values of item summary by marketplace item classification.
    ItemSummaryByMarketplaceItemClassification {
        BaseProduct = "BASE_PRODUCT",
        Other = "OTHER",
        ProductBundle = "PRODUCT_BUNDLE",
        VariationParent = "VARIATION_PARENT",
    }

    /// Values of item vendor details by marketplace replenishment category.
    ItemVendorDetailsByMarketplaceReplenishmentCategory {
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

    /// Values of identifiers type.
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

    /// Values of included data.
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
