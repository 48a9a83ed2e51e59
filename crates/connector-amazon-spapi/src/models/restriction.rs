//! Listings Restrictions v2021-08-01.

use super::{model, texts};

model! {
    /// The restrictions of a product.
    Restrictions {
        /// The restrictions.
        restrictions: Vec<Restriction>,
    }

    /// A restriction in a marketplace.
    Restriction {
        /// The marketplace id.
        marketplace_id: Option<String>,
        /// The condition.
        condition_type: Option<ConditionType>,
        /// The reasons for the restriction.
        reasons: Vec<Reason>,
    }

    /// The reason for a restriction.
    Reason {
        /// The message, meant for people.
        message: Option<String>,
        /// The reason.
        reason_code: Option<ReasonCode>,
        /// Links with which the seller can apply for approval.
        links: Vec<Link>,
    }

    /// A page where the seller can apply for approval.
    Link {
        /// The URL.
        resource: Option<String>,
        /// The HTTP method.
        verb: Option<LinkVerb>,
        /// The title.
        title: Option<String>,
        /// The type.
        r#type: Option<String>,
    }
}

texts! {
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

    /// The reason for a restriction, as a code.
    ReasonCode {
        ApprovalRequired = "APPROVAL_REQUIRED",
        AsinNotFound = "ASIN_NOT_FOUND",
        NotEligible = "NOT_ELIGIBLE",
    }

    /// The HTTP method of a link.
    LinkVerb {
        Get = "GET",
    }
}
