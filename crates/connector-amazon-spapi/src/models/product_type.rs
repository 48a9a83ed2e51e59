//! Product Type Definitions v2020-09-01.

use std::collections::BTreeMap;

use super::{model, texts};

model! {
    /// Product types.
    ProductTypes {
        /// The product types.
        product_types: Vec<ProductType>,
        /// The version of the product type.
        product_type_version: Option<String>,
    }

    /// A product type.
    ProductType {
        /// The name.
        name: Option<String>,
        /// The display name.
        display_name: Option<String>,
        /// The marketplace ids.
        marketplace_ids: Vec<String>,
    }

    /// A product type definition.
    ProductTypeDefinition {
        /// The meta-schema with which the schema was written.
        meta_schema: Option<SchemaLink>,
        /// The JSON schema of the attributes.
        schema: Option<SchemaLink>,
        /// The requirements set.
        requirements: Option<Requirements>,
        /// The enforcement of required attributes.
        requirements_enforced: Option<RequirementsEnforced>,
        /// The groups of attributes, by name.
        property_groups: BTreeMap<String, PropertyGroup>,
        /// The locale, for example `en_US`.
        locale: Option<String>,
        /// The marketplace ids.
        marketplace_ids: Vec<String>,
        /// The product type, for example `LUGGAGE`.
        product_type: Option<String>,
        /// The display name.
        display_name: Option<String>,
        /// The version of the product type.
        product_type_version: Option<ProductTypeVersion>,
    }

    /// A link to a JSON schema.
    SchemaLink {
        /// The URL.
        link: Option<LinkTarget>,
        /// The MD5 digest of the content, in base64.
        checksum: Option<String>,
    }

    /// The target of a link.
    LinkTarget {
        /// The URL.
        resource: Option<String>,
        /// The HTTP method.
        verb: Option<LinkVerb>,
    }

    /// A group of attributes.
    PropertyGroup {
        /// The title.
        title: Option<String>,
        /// The description.
        description: Option<String>,
        /// The names of the attributes.
        property_names: Vec<String>,
    }

    /// A version of a product type.
    ProductTypeVersion {
        /// The version.
        version: Option<String>,
        /// True if it is the latest version.
        latest: Option<bool>,
        /// True if the version is a release candidate, which may still change.
        release_candidate: Option<bool>,
    }
}

texts! {
    /// The HTTP method of a link.
    LinkVerb {
        Get = "GET",
    }

    /// A requirements set.
    Requirements {
        Listing = "LISTING",
        ListingProductOnly = "LISTING_PRODUCT_ONLY",
        ListingOfferOnly = "LISTING_OFFER_ONLY",
    }

    /// The enforcement of required attributes.
    RequirementsEnforced {
        Enforced = "ENFORCED",
        NotEnforced = "NOT_ENFORCED",
    }

    /// A locale.
    Locale {
        Default = "DEFAULT",
        Ar = "ar",
        ArAe = "ar_AE",
        De = "de",
        DeDe = "de_DE",
        En = "en",
        EnAe = "en_AE",
        EnAu = "en_AU",
        EnCa = "en_CA",
        EnGb = "en_GB",
        EnIn = "en_IN",
        EnSg = "en_SG",
        EnUs = "en_US",
        Es = "es",
        EsEs = "es_ES",
        EsMx = "es_MX",
        EsUs = "es_US",
        Fr = "fr",
        FrCa = "fr_CA",
        FrFr = "fr_FR",
        It = "it",
        ItIt = "it_IT",
        Ja = "ja",
        JaJp = "ja_JP",
        Nl = "nl",
        NlNl = "nl_NL",
        Pl = "pl",
        PlPl = "pl_PL",
        Pt = "pt",
        PtBr = "pt_BR",
        PtPt = "pt_PT",
        Sv = "sv",
        SvSe = "sv_SE",
        Tr = "tr",
        TrTr = "tr_TR",
        Zh = "zh",
        ZhCn = "zh_CN",
        ZhTw = "zh_TW",
    }

    /// The level in a variation family.
    ParentageLevel {
        None = "NONE",
        Child = "CHILD",
        Parent = "PARENT",
    }
}
