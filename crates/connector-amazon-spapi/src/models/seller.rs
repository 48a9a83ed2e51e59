//! Sellers v1.

use super::{model, texts};

model! {
    /// A marketplace with the seller's participation.
    MarketplaceParticipation {
        /// The marketplace. The list may contain ids that are not Amazon marketplaces.
        marketplace: Option<MarketplaceInfo>,
        /// The seller's participation.
        participation: Option<Participation>,
        /// The seller's store name in the marketplace.
        store_name: Option<String>,
    }

    /// Details of a marketplace.
    MarketplaceInfo {
        /// The marketplace id.
        id: Option<String>,
        /// Its name.
        name: Option<String>,
        /// The country code (ISO 3166-1).
        country_code: Option<String>,
        /// The default currency (ISO 4217).
        default_currency_code: Option<String>,
        /// The default language, for example `en_US`.
        default_language_code: Option<String>,
        /// The domain, for example `www.amazon.com`.
        domain_name: Option<String>,
    }

    /// The seller's participation in a marketplace.
    Participation {
        /// True if the seller participates.
        is_participating: Option<bool>,
        /// True if the seller has suspended listings in the marketplace.
        has_suspended_listings: Option<bool>,
    }

    /// The seller's account.
    SellerAccount {
        /// The marketplaces with the seller's participation.
        marketplace_participation_list: Vec<MarketplaceParticipation>,
        /// The kind of business.
        business_type: Option<BusinessType>,
        /// The selling plan.
        selling_plan: Option<SellingPlan>,
        /// The business.
        business: Option<Business>,
        /// The primary contact.
        primary_contact: Option<PrimaryContact>,
    }

    /// A business.
    Business {
        /// The registered name.
        name: Option<String>,
        /// The registered address.
        registered_business_address: Option<Address>,
        /// The company registration number.
        company_registration_number: Option<String>,
        /// The company tax identification number.
        company_tax_identification_number: Option<String>,
        /// The name in a non-Latin script.
        non_latin_name: Option<String>,
    }

    /// A postal address.
    Address {
        /// The first line.
        address_line1: Option<String>,
        /// The second line.
        address_line2: Option<String>,
        /// The country (ISO 3166-1).
        country_code: Option<String>,
        /// The state or province.
        state_or_province_code: Option<String>,
        /// The city.
        city: Option<String>,
        /// The postal code.
        postal_code: Option<String>,
    }

    /// The primary contact.
    PrimaryContact {
        /// The name.
        name: Option<String>,
        /// The address.
        address: Option<Address>,
        /// The name in a non-Latin script.
        non_latin_name: Option<String>,
    }
}

texts! {
    /// A kind of business.
    BusinessType {
        Charity = "CHARITY",
        Craftsman = "CRAFTSMAN",
        NaturalPersonCompany = "NATURAL_PERSON_COMPANY",
        PublicListed = "PUBLIC_LISTED",
        PrivateLimited = "PRIVATE_LIMITED",
        SoleProprietorship = "SOLE_PROPRIETORSHIP",
        StateOwned = "STATE_OWNED",
        Individual = "INDIVIDUAL",
    }

    /// The seller's selling plan.
    SellingPlan {
        Professional = "PROFESSIONAL",
        Individual = "INDIVIDUAL",
    }
}
