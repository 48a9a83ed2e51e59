//! Listings Items v2021-08-01.

use super::{Other, Pagination, model, texts};

model! {
    /// The response to a put, patch or delete.
    Submission {
        /// The seller's SKU.
        sku: Option<String>,
        /// The status.
        status: Option<SubmissionStatus>,
        /// The id of the submission.
        submission_id: Option<String>,
        /// The issues of the listing.
        issues: Vec<Issue>,
        /// Product identifiers, such as EAN and UPC.
        identifiers: Vec<ItemIdentifiersByMarketplace>,
    }

    /// A problem with a listing.
    Issue {
        /// The code.
        code: Option<String>,
        /// The message, meant for people.
        message: Option<String>,
        /// The severity.
        severity: Option<IssueSeverity>,
        /// Names of the affected attributes.
        attribute_names: Vec<String>,
        /// Issue categories, for example `MISSING_ATTRIBUTE`.
        categories: Vec<String>,
        /// Enforcement actions by Amazon.
        enforcements: Option<IssueEnforcements>,
        /// The marketplace ids.
        marketplace_ids: Vec<String>,
    }

    /// Enforcement actions by Amazon because of an issue.
    IssueEnforcements {
        /// The actions.
        actions: Vec<IssueEnforcementAction>,
        /// The exemption from the enforcement actions.
        exemption: Option<IssueExemption>,
    }

    /// An enforcement action by Amazon.
    IssueEnforcementAction {
        /// The action, for example `LISTING_SUPPRESSED`.
        action: Option<String>,
    }

    /// An exemption from enforcement actions.
    IssueExemption {
        /// The status.
        status: Option<ExemptionStatus>,
        /// The time of expiry (ISO 8601).
        expiry_date: Option<String>,
    }

    /// The identifiers of an item in a marketplace.
    ItemIdentifiersByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
    }

    /// A listing.
    Item {
        /// The seller's SKU.
        sku: Option<String>,
        /// Summaries, one per marketplace.
        summaries: Vec<ItemSummaryByMarketplace>,
        /// The attributes by name, structured according to the schema of the product type.
        attributes: Other,
        /// The issues of the listing.
        issues: Vec<Issue>,
        /// The offers.
        offers: Vec<ItemOfferByMarketplace>,
        /// The fulfillment availability.
        fulfillment_availability: Vec<FulfillmentAvailability>,
        /// The cost prices, for vendors.
        procurement: Vec<ItemProcurement>,
        /// Relationships with other products: variations and package hierarchies.
        relationships: Vec<ItemRelationshipsByMarketplace>,
        /// The product types.
        product_types: Vec<ItemProductTypeByMarketplace>,
    }

    /// The summary of an item in a marketplace.
    ItemSummaryByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The ASIN (Amazon Standard Identification Number).
        asin: Option<String>,
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
        /// The condition.
        condition_type: Option<ConditionType>,
        /// The status.
        status: Vec<ListingStatus>,
        /// The FNSKU: Amazon's SKU of the item in its fulfillment network.
        fn_sku: Option<String>,
        /// The name of the item.
        item_name: Option<String>,
        /// The time of creation (ISO 8601).
        created_date: Option<String>,
        /// The time of the last change (ISO 8601).
        last_updated_date: Option<String>,
        /// The main image.
        main_image: Option<ItemImage>,
    }

    /// An image of a listing.
    ItemImage {
        /// The URL.
        link: Option<String>,
        /// The height in pixels.
        height: Option<i64>,
        /// The width in pixels.
        width: Option<i64>,
    }

    /// The offer of an item in a marketplace.
    ItemOfferByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The offer type.
        offer_type: Option<OfferType>,
        /// The price.
        price: Option<Money>,
        /// Amazon Points granted with the offer.
        points: Option<Points>,
        /// The buyers or program to which the offer applies.
        audience: Option<Audience>,
    }

    /// An amount of money.
    Money {
        /// The currency (ISO 4217).
        currency_code: Option<String>,
        /// The amount, as a decimal number.
        amount: Option<String>,
    }

    /// Amazon Points.
    Points {
        /// The number of Amazon Points.
        points_number: Option<i64>,
    }

    /// The intended buyers of an offer.
    Audience {
        /// The value.
        value: Option<String>,
        /// The display name.
        display_name: Option<String>,
    }

    /// The stock of a fulfillment channel.
    FulfillmentAvailability {
        /// The code of the fulfillment channel.
        fulfillment_channel_code: Option<String>,
        /// The number of units.
        quantity: Option<i64>,
    }

    /// The cost price of a vendor's product.
    ItemProcurement {
        /// The price that Amazon pays the vendor.
        cost_price: Option<Money>,
    }

    /// The relationships of an item in a marketplace.
    ItemRelationshipsByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// Relationships with other products: variations and package hierarchies.
        relationships: Vec<ItemRelationship>,
    }

    /// A relationship with another listing: a variation or a package hierarchy.
    ItemRelationship {
        /// The child SKUs.
        child_skus: Vec<String>,
        /// The parent SKUs.
        parent_skus: Vec<String>,
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

    /// The product type of an item in a marketplace.
    ItemProductTypeByMarketplace {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
    }

    /// The body of `patchListingsItem`.
    PatchListing {
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
        /// The changes.
        patches: Vec<PatchOperation>,
    }

    /// A change of one attribute (JSON Patch).
    PatchOperation {
        /// The kind of change.
        op: Option<PatchOp>,
        /// The JSON Pointer to the attribute.
        path: Option<String>,
        /// The value.
        value: Vec<Other>,
    }

    /// The body of `putListingsItem`.
    PutListing {
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
        /// The requirements set.
        requirements: Option<Requirements>,
        /// The attributes by name, structured according to the schema of the product type.
        attributes: Other,
    }

    /// A page of listings.
    Items {
        /// Estimated number of results.
        number_of_results: Option<i64>,
        /// Tokens of the next and the previous page.
        pagination: Option<Pagination>,
        /// The items.
        items: Vec<Item>,
    }
}

texts! {
    /// The status of a submission.
    SubmissionStatus {
        Accepted = "ACCEPTED",
        Invalid = "INVALID",
        Valid = "VALID",
    }

    /// The severity of an issue.
    IssueSeverity {
        Error = "ERROR",
        Warning = "WARNING",
        Info = "INFO",
    }

    /// The status of an exemption.
    ExemptionStatus {
        Exempt = "EXEMPT",
        ExemptUntilExpiryDate = "EXEMPT_UNTIL_EXPIRY_DATE",
        NotExempt = "NOT_EXEMPT",
    }

    /// The condition of an item.
    ConditionType {
        NewNew = "new_new",
        NewOpenBox = "new_open_box",
        NewOem = "new_oem",
        RefurbishedRefurbished = "refurbished_refurbished",
        UsedLikeNew = "used_like_new",
        UsedVeryGood = "used_very_good",
        UsedGood = "used_good",
        UsedAcceptable = "used_acceptable",
        CollectibleLikeNew = "collectible_like_new",
        CollectibleVeryGood = "collectible_very_good",
        CollectibleGood = "collectible_good",
        CollectibleAcceptable = "collectible_acceptable",
        ClubClub = "club_club",
    }

    /// A status of a listing.
    ListingStatus {
        Buyable = "BUYABLE",
        Discoverable = "DISCOVERABLE",
    }

    /// Intended buyers of an offer: consumers or businesses.
    OfferType {
        B2c = "B2C",
        B2b = "B2B",
    }

    /// The type of a relationship between products.
    ItemRelationshipType {
        Variation = "VARIATION",
        PackageHierarchy = "PACKAGE_HIERARCHY",
    }

    /// Optional data to include.
    IncludedData {
        Summaries = "summaries",
        Attributes = "attributes",
        Issues = "issues",
        Offers = "offers",
        FulfillmentAvailability = "fulfillmentAvailability",
        Procurement = "procurement",
        Relationships = "relationships",
        ProductTypes = "productTypes",
    }

    /// Optional data to include in the response to a submission.
    SubmissionData {
        Identifiers = "identifiers",
        Issues = "issues",
    }

    /// The mode of a submission.
    Mode {
        ValidationPreview = "VALIDATION_PREVIEW",
    }

    /// The operation of a patch.
    PatchOp {
        Add = "add",
        Replace = "replace",
        Merge = "merge",
        Delete = "delete",
    }

    /// A requirements set.
    Requirements {
        Listing = "LISTING",
        ListingProductOnly = "LISTING_PRODUCT_ONLY",
        ListingOfferOnly = "LISTING_OFFER_ONLY",
    }

    /// The type of product identifiers.
    IdentifiersType {
        Asin = "ASIN",
        Ean = "EAN",
        Fnsku = "FNSKU",
        Gtin = "GTIN",
        Isbn = "ISBN",
        Jan = "JAN",
        Minsan = "MINSAN",
        Sku = "SKU",
        Upc = "UPC",
    }

    /// The severity by which to filter listings.
    WithIssueSeverity {
        Warning = "WARNING",
        Error = "ERROR",
    }

    /// The sort key.
    SortBy {
        Sku = "sku",
        CreatedDate = "createdDate",
        LastUpdatedDate = "lastUpdatedDate",
    }

    /// The sort direction.
    SortOrder {
        Asc = "ASC",
        Desc = "DESC",
    }
}

/// The result of a submission, by its status. Amazon applies an accepted submission later. To check
/// whether it was applied, use
/// [`AmazonClient::verify_listing`](crate::AmazonClient::verify_listing).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Outcome {
    /// Amazon accepted the submission and will apply it later. The issues may contain warnings.
    Accepted(Submission),
    /// Amazon rejected the submission. The issues contain the reasons.
    Invalid(Submission),
    /// A preview found no errors. Nothing was changed, and the real submission may still fail.
    Previewed(Submission),
    /// The status is missing or unknown to this version.
    Unknown(Submission),
}

impl Outcome {
    pub(crate) fn of(submission: Submission) -> Self {
        match submission.status {
            Some(SubmissionStatus::Accepted) => Self::Accepted(submission),
            Some(SubmissionStatus::Invalid) => Self::Invalid(submission),
            Some(SubmissionStatus::Valid) => Self::Previewed(submission),
            _ => Self::Unknown(submission),
        }
    }

    /// The submission.
    #[must_use]
    pub const fn submission(&self) -> &Submission {
        match self {
            Self::Accepted(it) | Self::Invalid(it) | Self::Previewed(it) | Self::Unknown(it) => it,
        }
    }

    /// Returns true if Amazon accepted the submission. Returns false for a preview.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        matches!(self, Self::Accepted(_))
    }
}

impl PutListing {
    /// Creates a body from a product type and attributes.
    #[must_use]
    pub fn new(product_type: impl Into<String>, attributes: Other) -> Self {
        Self {
            product_type: Some(product_type.into()),
            attributes,
            ..Self::default()
        }
    }

    /// Sets the requirements that the attributes must meet. Default: `LISTING`.
    #[must_use]
    pub fn with_requirements(mut self, requirements: Requirements) -> Self {
        self.requirements = Some(requirements);
        self
    }
}

impl PatchListing {
    /// Creates a body for a listing of this product type, without patches.
    #[must_use]
    pub fn new(product_type: impl Into<String>) -> Self {
        Self {
            product_type: Some(product_type.into()),
            ..Self::default()
        }
    }

    /// Adds a patch.
    #[must_use]
    pub fn with(mut self, patch: PatchOperation) -> Self {
        self.patches.push(patch);
        self
    }
}

impl PatchOperation {
    fn of(op: PatchOp, attribute: &str, value: Vec<Other>) -> Self {
        Self {
            op: Some(op),
            path: Some(format!("/attributes/{attribute}")),
            value,
            ..Self::default()
        }
    }

    /// Adds values to an attribute. Values with the same selectors are replaced.
    #[must_use]
    pub fn add(attribute: &str, value: Vec<Other>) -> Self {
        Self::of(PatchOp::Add, attribute, value)
    }

    /// Replaces the values of an attribute.
    #[must_use]
    pub fn replace(attribute: &str, value: Vec<Other>) -> Self {
        Self::of(PatchOp::Replace, attribute, value)
    }

    /// Merges members into the existing values of an attribute.
    #[must_use]
    pub fn merge(attribute: &str, value: Vec<Other>) -> Self {
        Self::of(PatchOp::Merge, attribute, value)
    }

    /// Deletes the attribute values that match these selectors. Without selectors, deletes all
    /// values.
    #[must_use]
    pub fn delete(attribute: &str, selectors: Vec<Other>) -> Self {
        Self::of(PatchOp::Delete, attribute, selectors)
    }
}
