//! Feeds 2021-06-30, and the documents of the feed type `JSON_LISTINGS_FEED`.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Other, model, texts};
use crate::documents::Compression;
use crate::flows::ProcessingStatus;

/// The feed type for listings. Since July 2025, Amazon accepts no other feed type for them.
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

    /// The id of a created feed.
    CreatedFeed {
        /// The id, unique per seller.
        feed_id: String,
    }

    /// A feed.
    Feed {
        /// The id, unique per seller.
        feed_id: String,
        /// Its type.
        feed_type: String,
        /// Its marketplaces.
        marketplace_ids: Vec<String>,
        /// The time of creation (RFC 3339).
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

    /// Request to create a document: the content type of the feed.
    FeedDocumentSpecification {
        /// The content type, including the charset. The upload must use the same content type.
        content_type: String,
    }

    /// The upload URL of a document for a feed's content.
    CreatedFeedDocument {
        /// Its id.
        feed_document_id: String,
        /// The presigned upload URL, valid for 5 minutes. Keep it secret: anyone who has it can
        /// write the document.
        url: String,
    }

    /// The download URL of a feed's document.
    FeedDocument {
        /// Its id.
        feed_document_id: String,
        /// The presigned download URL, valid for 5 minutes. Keep it secret: anyone who has it can
        /// read the document.
        url: String,
        /// The compression of the document; absent if it is not compressed.
        compression_algorithm: Option<Compression>,
    }
}

impl FeedSpecification {
    /// Creates a specification from a feed type, marketplaces and the id of an uploaded document.
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
    /// Creates a specification with this content type.
    #[must_use]
    pub fn new(content_type: impl Into<String>) -> Self {
        Self {
            content_type: content_type.into(),
            ..Self::default()
        }
    }
}

texts! {
    /// The operation of a message in a listings feed.
    MessageOperation {
        /// Replaces the listing.
        Update = "UPDATE",
        /// Replaces the given attributes and keeps all others.
        PartialUpdate = "PARTIAL_UPDATE",
        /// Applies patches to attributes.
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
    /// Content of a feed of type [`JSON_LISTINGS_FEED`].
    ListingsFeed {
        /// The header.
        header: ListingsFeedHeader,
        /// The messages, 1 to 25,000.
        messages: Vec<ListingsFeedMessage>,
    }

    /// The header of a listings feed.
    ListingsFeedHeader {
        /// The seller's id.
        seller_id: String,
        /// The version of the feed format: `2.0`.
        version: String,
        /// The locale of issue messages, for example `en_US`.
        issue_locale: Option<String>,
        /// The data to include in the processing report for each listing.
        report: Option<ListingsFeedReport>,
    }

    /// The data to include in the processing report for each listing.
    ListingsFeedReport {
        /// The data sets, for example `issues`.
        included_data: Vec<String>,
        /// The version of the Listings Items API, `2021-08-01`.
        api_version: Option<String>,
    }

    /// A message in a listings feed. Each message changes one listing.
    ListingsFeedMessage {
        /// The id of the message: a number from 1 on, unique in the feed.
        message_id: u32,
        /// The seller's SKU.
        sku: String,
        /// The change.
        operation_type: Option<MessageOperation>,
        /// The product type.
        product_type: Option<String>,
        /// The requirements against which Amazon validates the attributes.
        requirements: Option<String>,
        /// The attributes, by name.
        attributes: Other,
        /// The patches.
        patches: Vec<ListingsFeedPatch>,
    }

    /// A patch in a message of a listings feed.
    ListingsFeedPatch {
        /// The patch operation: `add`, `replace`, `merge` or `delete`.
        op: String,
        /// The path of the attribute: `/attributes/` followed by its name.
        path: String,
        /// The values of the attribute.
        value: Vec<Value>,
    }

    /// The processing report of a listings feed.
    ProcessingReport {
        /// Its header.
        header: ProcessingReportHeader,
        /// Issues of the messages. A message without an issue of severity `ERROR` was accepted.
        issues: Vec<FeedIssue>,
        /// The numbers of messages.
        summary: Option<ProcessingSummary>,
        /// The listings, if the header of the feed requested them.
        items: Vec<ProcessedItem>,
    }

    /// The header of a processing report.
    ProcessingReportHeader {
        /// The seller's id.
        seller_id: Option<String>,
        /// The version of the report format: `2.0`.
        version: Option<String>,
        /// The feed.
        feed_id: Option<String>,
        /// The data that the report includes for each listing.
        report: Option<ListingsFeedReport>,
    }

    /// An issue of a message.
    FeedIssue {
        /// The id of the message; absent if the issue concerns the whole feed.
        message_id: Option<u32>,
        /// The seller's SKU.
        sku: Option<String>,
        /// The code, for example `90220`.
        code: Option<String>,
        /// The severity.
        severity: Option<FeedIssueSeverity>,
        /// The message, meant for people.
        message: Option<String>,
        /// Name of the affected attribute.
        attribute_name: Option<String>,
    }

    /// Numbers of messages and issues.
    ProcessingSummary {
        /// Number of issues of severity `ERROR`.
        errors: Option<u64>,
        /// Number of issues of severity `WARNING`.
        warnings: Option<u64>,
        /// Number of processed messages.
        messages_processed: Option<u64>,
        /// Number of accepted messages.
        messages_accepted: Option<u64>,
        /// Number of rejected messages.
        messages_invalid: Option<u64>,
        /// The numbers of listings.
        item_summary: Option<ProcessingItemSummary>,
    }

    /// Numbers of listings and issues in a processing report.
    ProcessingItemSummary {
        /// The number of listings.
        items: Option<u64>,
        /// Number of issues of severity `ERROR`.
        errors: Option<u64>,
        /// Number of issues of severity `WARNING`.
        warnings: Option<u64>,
    }

    /// A listing in a processing report. The requested data sets are in `other`.
    ProcessedItem {
        /// The seller's SKU.
        sku: Option<String>,
        /// The status of the submission, if any. `VALID` is the result of a preview, which changes
        /// nothing.
        status: Option<String>,
    }
}

impl ListingsFeed {
    /// Maximum number of messages in a feed.
    pub const MAX_MESSAGES: usize = 25_000;

    /// Creates a feed with these messages for a seller.
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

    /// Replaces the given attributes of a listing and keeps all others.
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

    /// Sets the requirements against which Amazon validates the attributes: `LISTING`,
    /// `LISTING_PRODUCT_ONLY` or `LISTING_OFFER_ONLY`.
    #[must_use]
    pub fn with_requirements(mut self, requirements: impl Into<String>) -> Self {
        self.requirements = Some(requirements.into());
        self
    }
}

impl ListingsFeedPatch {
    /// Creates a patch of one attribute. `op` is `add`, `replace`, `merge` or `delete`.
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
