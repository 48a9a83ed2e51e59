//! Feeds 2021-06-30, and the documents of the feed type `JSON_LISTINGS_FEED`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Other, model, texts};
use crate::documents::Compression;
use crate::flows::ProcessingStatus;

/// The feed type of listings, the only one for them since July 2025.
pub const JSON_LISTINGS_FEED: &str = "JSON_LISTINGS_FEED";

model! {
    /// A feed to create.
    FeedSpecification {
        /// The feed type, for example [`JSON_LISTINGS_FEED`].
        feed_type: String,
        /// The marketplaces, 1 to 25 ids.
        marketplace_ids: Vec<String>,
        /// The document with the feed's content.
        input_feed_document_id: String,
        /// Options, which depend on the feed type.
        feed_options: BTreeMap<String, String>,
    }

    /// A feed that was created.
    CreatedFeed {
        /// Its id, unique for the seller only.
        feed_id: String,
    }

    /// A feed.
    Feed {
        /// Its id, unique for the seller only.
        feed_id: String,
        /// Its type.
        feed_type: String,
        /// Its marketplaces.
        marketplace_ids: Vec<String>,
        /// The time of its creation (RFC 3339).
        created_time: Option<String>,
        /// Its status.
        processing_status: Option<ProcessingStatus>,
        /// The time at which processing started (RFC 3339).
        processing_start_time: Option<String>,
        /// The time at which processing ended (RFC 3339).
        processing_end_time: Option<String>,
        /// The document with the processing report.
        result_feed_document_id: Option<String>,
    }

    /// A page of feeds.
    FeedList {
        /// The feeds.
        feeds: Vec<Feed>,
        /// The token of the next page.
        next_token: Option<String>,
    }

    /// The content type of a document to create.
    FeedDocumentSpecification {
        /// The content type with its charset. The upload must have exactly this one.
        content_type: String,
    }

    /// A document to upload a feed's content to.
    CreatedFeedDocument {
        /// Its id.
        feed_document_id: String,
        /// The presigned URL, valid for 5 minutes. It is a secret: whoever has it writes the document.
        url: String,
    }

    /// The place of a feed's document.
    FeedDocument {
        /// Its id.
        feed_document_id: String,
        /// The presigned URL, valid for 5 minutes. It is a secret: whoever has it reads the document.
        url: String,
        /// Its compression; absent if there is none.
        compression_algorithm: Option<Compression>,
    }
}

impl FeedSpecification {
    /// A feed of this type over these marketplaces, with the content of this document.
    #[must_use]
    pub fn new<S: Into<String>>(
        feed_type: impl Into<String>,
        marketplace_ids: impl IntoIterator<Item = S>,
        input_feed_document_id: impl Into<String>,
    ) -> Self {
        Self {
            feed_type: feed_type.into(),
            marketplace_ids: marketplace_ids.into_iter().map(Into::into).collect(),
            input_feed_document_id: input_feed_document_id.into(),
            ..Self::default()
        }
    }

    /// Adds an option.
    #[must_use]
    pub fn with_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.feed_options.insert(name.into(), value.into());
        self
    }
}

impl FeedDocumentSpecification {
    /// A document of this content type.
    #[must_use]
    pub fn new(content_type: impl Into<String>) -> Self {
        Self {
            content_type: content_type.into(),
            ..Self::default()
        }
    }
}

texts! {
    /// The change that a message of a listings feed makes.
    MessageOperation {
        /// Replaces the listing.
        Update = "UPDATE",
        /// Replaces the given attributes of the listing.
        PartialUpdate = "PARTIAL_UPDATE",
        /// Applies patches to attributes of the listing.
        Patch = "PATCH",
        /// Deletes the listing.
        Delete = "DELETE",
    }

    /// The severity of an issue.
    FeedIssueSeverity {
        /// The message was refused.
        Error = "ERROR",
        /// The message was accepted.
        Warning = "WARNING",
        /// The message was accepted.
        Info = "INFO",
    }
}

model! {
    /// The content of a feed of the type [`JSON_LISTINGS_FEED`].
    ListingsFeed {
        /// Its header.
        header: ListingsFeedHeader,
        /// Its messages, 1 to 25,000.
        messages: Vec<ListingsFeedMessage>,
    }

    /// The header of a listings feed.
    ListingsFeedHeader {
        /// The seller's id.
        seller_id: String,
        /// The version of the format, `2.0`.
        version: String,
        /// The language of issues, for example `en_US`.
        issue_locale: Option<String>,
        /// The data that the processing report includes for each listing.
        report: Option<ListingsFeedReport>,
    }

    /// The data that a processing report includes for each listing.
    ListingsFeedReport {
        /// The data sets, for example `issues`.
        included_data: Vec<String>,
        /// The version of the Listings Items API, `2021-08-01`.
        api_version: Option<String>,
    }

    /// A message of a listings feed: the change of one listing.
    ListingsFeedMessage {
        /// Its number, from 1, unique in the feed.
        message_id: u32,
        /// The seller's SKU.
        sku: String,
        /// The change.
        operation_type: Option<MessageOperation>,
        /// The product type.
        product_type: Option<String>,
        /// The requirements that the attributes are checked against.
        requirements: Option<String>,
        /// The attributes, by name.
        attributes: Other,
        /// The patches.
        patches: Vec<ListingsFeedPatch>,
    }

    /// A patch of a listings feed.
    ListingsFeedPatch {
        /// `add`, `replace`, `merge` or `delete`.
        op: String,
        /// The attribute: `/attributes/` and its name.
        path: String,
        /// The values of the attribute.
        value: Vec<Value>,
    }

    /// The processing report of a listings feed.
    ProcessingReport {
        /// Its header.
        header: ProcessingReportHeader,
        /// The issues of messages. A message without one of severity `ERROR` was accepted.
        issues: Vec<FeedIssue>,
        /// The numbers of messages.
        summary: Option<ProcessingSummary>,
        /// The listings, if the feed's header asked for them.
        items: Vec<ProcessedItem>,
    }

    /// The header of a processing report.
    ProcessingReportHeader {
        /// The seller's id.
        seller_id: Option<String>,
        /// The version of the format, `2.0`.
        version: Option<String>,
        /// The feed.
        feed_id: Option<String>,
        /// The data that the report includes for each listing.
        report: Option<ListingsFeedReport>,
    }

    /// An issue of a message.
    FeedIssue {
        /// The message; absent if the issue is one of the whole feed.
        message_id: Option<u32>,
        /// The seller's SKU.
        sku: Option<String>,
        /// The code, for example `90220`.
        code: Option<String>,
        /// The severity.
        severity: Option<FeedIssueSeverity>,
        /// The message for people.
        message: Option<String>,
        /// The attribute that it is about.
        attribute_name: Option<String>,
    }

    /// The numbers of messages of a feed.
    ProcessingSummary {
        /// The number of issues of severity `ERROR`.
        errors: Option<u64>,
        /// The number of issues of severity `WARNING`.
        warnings: Option<u64>,
        /// The number of messages that were processed.
        messages_processed: Option<u64>,
        /// The number of messages that were accepted.
        messages_accepted: Option<u64>,
        /// The number of messages that were refused.
        messages_invalid: Option<u64>,
        /// The numbers of listings.
        item_summary: Option<ProcessingItemSummary>,
    }

    /// The numbers of listings of a processing report.
    ProcessingItemSummary {
        /// The number of listings.
        items: Option<u64>,
        /// The number of issues of severity `ERROR`.
        errors: Option<u64>,
        /// The number of issues of severity `WARNING`.
        warnings: Option<u64>,
    }

    /// A listing as a processing report includes it. Its data sets are in `other`.
    ProcessedItem {
        /// The seller's SKU.
        sku: Option<String>,
        /// The status of the submission, where there is one: `VALID` is the result of a preview, and
        /// changes nothing.
        status: Option<String>,
    }
}

impl ListingsFeed {
    /// The most messages of one feed.
    pub const MOST_MESSAGES: usize = 25_000;

    /// A feed of this seller with these messages.
    #[must_use]
    pub fn new(
        seller_id: impl Into<String>,
        messages: impl IntoIterator<Item = ListingsFeedMessage>,
    ) -> Self {
        Self {
            header: ListingsFeedHeader {
                seller_id: seller_id.into(),
                version: "2.0".to_owned(),
                ..ListingsFeedHeader::default()
            },
            messages: messages.into_iter().collect(),
            ..Self::default()
        }
    }
}

impl ListingsFeedMessage {
    fn change(message_id: u32, sku: impl Into<String>, operation: MessageOperation) -> Self {
        Self {
            message_id,
            sku: sku.into(),
            operation_type: Some(operation),
            ..Self::default()
        }
    }

    /// Deletes a listing.
    #[must_use]
    pub fn delete(message_id: u32, sku: impl Into<String>) -> Self {
        Self::change(message_id, sku, MessageOperation::Delete)
    }

    /// Replaces a listing.
    #[must_use]
    pub fn update(
        message_id: u32,
        sku: impl Into<String>,
        product_type: impl Into<String>,
        attributes: Other,
    ) -> Self {
        Self {
            product_type: Some(product_type.into()),
            attributes,
            ..Self::change(message_id, sku, MessageOperation::Update)
        }
    }

    /// Replaces the given attributes of a listing.
    #[must_use]
    pub fn partial_update(
        message_id: u32,
        sku: impl Into<String>,
        product_type: impl Into<String>,
        attributes: Other,
    ) -> Self {
        Self {
            product_type: Some(product_type.into()),
            attributes,
            ..Self::change(message_id, sku, MessageOperation::PartialUpdate)
        }
    }

    /// Applies patches to attributes of a listing.
    #[must_use]
    pub fn patch(
        message_id: u32,
        sku: impl Into<String>,
        product_type: impl Into<String>,
        patches: impl IntoIterator<Item = ListingsFeedPatch>,
    ) -> Self {
        Self {
            product_type: Some(product_type.into()),
            patches: patches.into_iter().collect(),
            ..Self::change(message_id, sku, MessageOperation::Patch)
        }
    }

    /// Sets the requirements that the attributes are checked against: `LISTING`,
    /// `LISTING_PRODUCT_ONLY` or `LISTING_OFFER_ONLY`.
    #[must_use]
    pub fn with_requirements(mut self, requirements: impl Into<String>) -> Self {
        self.requirements = Some(requirements.into());
        self
    }
}

impl ListingsFeedPatch {
    /// A patch of one attribute: `op` is `add`, `replace`, `merge` or `delete`.
    #[must_use]
    pub fn new(
        op: impl Into<String>,
        attribute: &str,
        value: impl IntoIterator<Item = Value>,
    ) -> Self {
        Self {
            op: op.into(),
            path: format!("/attributes/{attribute}"),
            value: value.into_iter().collect(),
            ..Self::default()
        }
    }
}
