//! Regions and marketplaces.
//!
//! See [Amazon docs: Marketplace IDs](https://developer-docs.amazon.com/sp-api/docs/marketplace-ids),
//! [SP-API endpoints](https://developer-docs.amazon.com/sp-api/docs/sp-api-endpoints) and
//! [Seller Central URLs](https://developer-docs.amazon.com/sp-api/docs/seller-central-urls).

use std::fmt;
use std::str::FromStr;

use connector_core::http::Origin;
use connector_core::{Error, ErrorKind, Result};

/// A region of the API. One authorization covers all marketplaces of a seller in one region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Region {
    /// North America, including Brazil.
    Na,
    /// Europe, the Middle East, India and South Africa.
    Eu,
    /// The Far East: Singapore, Australia and Japan.
    Fe,
}

impl Region {
    /// All regions.
    pub const ALL: [Self; 3] = [Self::Na, Self::Eu, Self::Fe];

    /// The region's name: `NA`, `EU` or `FE`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Na => "NA",
            Self::Eu => "EU",
            Self::Fe => "FE",
        }
    }

    /// The origin of the region's API.
    #[must_use]
    pub const fn endpoint(self) -> &'static str {
        match self {
            Self::Na => "https://sellingpartnerapi-na.amazon.com",
            Self::Eu => "https://sellingpartnerapi-eu.amazon.com",
            Self::Fe => "https://sellingpartnerapi-fe.amazon.com",
        }
    }

    /// The origin of the region's sandbox.
    #[must_use]
    pub const fn sandbox(self) -> &'static str {
        match self {
            Self::Na => "https://sandbox.sellingpartnerapi-na.amazon.com",
            Self::Eu => "https://sandbox.sellingpartnerapi-eu.amazon.com",
            Self::Fe => "https://sandbox.sellingpartnerapi-fe.amazon.com",
        }
    }

    pub(crate) const fn host(self, sandbox: bool) -> &'static str {
        if sandbox {
            self.sandbox()
        } else {
            self.endpoint()
        }
    }

    /// Returns the region whose API or sandbox is at `origin`.
    #[must_use]
    pub fn at(origin: &Origin) -> Option<Self> {
        let origin = origin.to_string();
        let is_at = |region: &Self| origin == region.endpoint() || origin == region.sandbox();
        Self::ALL.into_iter().find(is_at)
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! marketplaces {
    ($($name:ident $code:literal $country:literal $id:literal $region:ident $seller:literal $vendor:expr;)*) => {
        /// An Amazon marketplace.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[non_exhaustive]
        pub enum Marketplace {
            $(#[doc = $country] $name,)*
        }

        impl Marketplace {
            /// All marketplaces.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// Amazon's country code: ISO 3166-1, except for `UK` (United Kingdom).
            #[must_use]
            pub const fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The marketplace id.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)* }
            }

            /// The region.
            #[must_use]
            pub const fn region(self) -> Region {
                match self { $(Self::$name => Region::$region,)* }
            }

            /// The origin of Seller Central, where sellers authorize.
            #[must_use]
            pub const fn seller_central(self) -> &'static str {
                match self { $(Self::$name => concat!("https://", $seller),)* }
            }

            /// The origin of Vendor Central, where vendors authorize; `None` if Amazon's
            /// documentation does not confirm one.
            #[must_use]
            pub const fn vendor_central(self) -> Option<&'static str> {
                match self { $(Self::$name => $vendor,)* }
            }
        }
    };
}

marketplaces! {
    Ca "CA" "Canada." "A2EUQ1WTGCTBG2" Na "sellercentral.amazon.ca" Some("https://vendorcentral.amazon.ca");
    Us "US" "The United States." "ATVPDKIKX0DER" Na "sellercentral.amazon.com" Some("https://vendorcentral.amazon.com");
    Mx "MX" "Mexico." "A1AM78C64UM0Y8" Na "sellercentral.amazon.com.mx" Some("https://vendorcentral.amazon.com.mx");
    Br "BR" "Brazil." "A2Q3Y263D00KWC" Na "sellercentral.amazon.com.br" Some("https://vendorcentral.amazon.com.br");
    Ie "IE" "Ireland." "A28R8C7NBKEWEA" Eu "sellercentral.amazon.ie" None;
    Es "ES" "Spain." "A1RKKUPIHCS9HS" Eu "sellercentral-europe.amazon.com" Some("https://vendorcentral.amazon.es");
    Uk "UK" "The United Kingdom." "A1F83G8C2ARO7P" Eu "sellercentral-europe.amazon.com" Some("https://vendorcentral.amazon.co.uk");
    Fr "FR" "France." "A13V1IB3VIYZZH" Eu "sellercentral-europe.amazon.com" Some("https://vendorcentral.amazon.fr");
    Be "BE" "Belgium." "AMEN7PMS3EDWL" Eu "sellercentral.amazon.com.be" Some("https://vendorcentral.amazon.com.be");
    Nl "NL" "The Netherlands." "A1805IZSGTT6HS" Eu "sellercentral.amazon.nl" Some("https://vendorcentral.amazon.nl");
    De "DE" "Germany." "A1PA6795UKMFR9" Eu "sellercentral-europe.amazon.com" Some("https://vendorcentral.amazon.de");
    It "IT" "Italy." "APJ6JRA9NG5V4" Eu "sellercentral-europe.amazon.com" Some("https://vendorcentral.amazon.it");
    Se "SE" "Sweden." "A2NODRKZP88ZB9" Eu "sellercentral.amazon.se" Some("https://vendorcentral.amazon.se");
    Za "ZA" "South Africa." "AE08WJ6YKNBMC" Eu "sellercentral.amazon.co.za" None;
    Pl "PL" "Poland." "A1C3SOZRARQ6R3" Eu "sellercentral.amazon.pl" Some("https://vendorcentral.amazon.pl");
    Eg "EG" "Egypt." "ARBP9OOSHTCHU" Eu "sellercentral.amazon.eg" Some("https://vendorcentral.amazon.me");
    Tr "TR" "Turkey." "A33AVAJ2PDY3EV" Eu "sellercentral.amazon.com.tr" Some("https://vendorcentral.amazon.com.tr");
    Sa "SA" "Saudi Arabia." "A17E79C6D8DWNP" Eu "sellercentral.amazon.sa" Some("https://vendorcentral.amazon.me");
    Ae "AE" "The United Arab Emirates." "A2VIGQ35RCS4UG" Eu "sellercentral.amazon.ae" Some("https://vendorcentral.amazon.me");
    In "IN" "India." "A21TJRUUN4KGV" Eu "sellercentral.amazon.in" Some("https://www.vendorcentral.in");
    Sg "SG" "Singapore." "A19VAU5U5O7RUS" Fe "sellercentral.amazon.sg" Some("https://vendorcentral.amazon.com.sg");
    Au "AU" "Australia." "A39IBJ37TRP1C6" Fe "sellercentral.amazon.com.au" Some("https://vendorcentral.amazon.com.au");
    Jp "JP" "Japan." "A1VC38T7YXB528" Fe "sellercentral.amazon.co.jp" Some("https://vendorcentral.amazon.co.jp");
}

/// National Seller Central hosts that redirect to the Seller Central of Europe or Japan.
const ALIASES: [(&str, Region); 6] = [
    ("sellercentral.amazon.de", Region::Eu),
    ("sellercentral.amazon.es", Region::Eu),
    ("sellercentral.amazon.fr", Region::Eu),
    ("sellercentral.amazon.it", Region::Eu),
    ("sellercentral.amazon.co.uk", Region::Eu),
    ("sellercentral-japan.amazon.com", Region::Fe),
];

impl Marketplace {
    /// Returns true for a host of Seller Central or Vendor Central.
    pub(crate) fn is_central(host: &str) -> bool {
        let vendors = Self::ALL.iter().filter_map(|it| it.vendor_central());
        let mut vendors = vendors.filter_map(|it| it.strip_prefix("https://"));
        Self::region_of_central(host).is_some() || vendors.any(|it| it == host)
    }

    /// Returns the region of a Seller Central host; `None` for any other host.
    pub(crate) fn region_of_central(host: &str) -> Option<Region> {
        let own = |it: &&Self| it.seller_central().strip_prefix("https://") == Some(host);
        let known = Self::ALL.iter().find(own).map(|it| it.region());
        known.or_else(|| {
            let alias = ALIASES.iter().find(|(alias, _)| *alias == host);
            alias.map(|(_, region)| *region)
        })
    }
}

impl FromStr for Marketplace {
    type Err = Error;

    /// Parses a country code (`DE`; `GB` is read as `UK`) or a marketplace id.
    fn from_str(text: &str) -> Result<Self> {
        let code = text.to_ascii_uppercase();
        let code = if code == "GB" { "UK" } else { &code };
        let is_meant = |it: &&Self| it.code() == code || it.id() == text;
        Self::ALL.iter().find(is_meant).copied().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidInput,
                "amazon.marketplace",
                "there is no such marketplace; give a country code or a marketplace id of Amazon's \
                 list",
            )
        })
    }
}

impl fmt::Display for Marketplace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}
