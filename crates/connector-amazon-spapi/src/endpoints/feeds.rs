//! Feeds 2021-06-30.

use connector_core::Result;
use connector_core::api::Page;
use connector_core::http::limit::{Draw, Draws};

use serde_json::Value;

use super::{Arguments, SpApiOperation as _, draws, operation, wrong};
use crate::flows::ProcessingStatus;
use crate::limits::FEED_TYPE;
use crate::models::feed::{
    CreatedFeed, CreatedFeedDocument, Feed, FeedDocument, FeedDocumentSpecification, FeedList,
    FeedSpecification, JSON_LISTINGS_FEED,
};
use crate::models::{Time, page};

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[
    GetFeeds::OPERATION,
    CreateFeed::OPERATION,
    GetFeed::OPERATION,
    CancelFeed::OPERATION,
    CreateFeedDocument::OPERATION,
    GetFeedDocument::OPERATION,
];

/// Returns the limits that apply to a feed: the usage plan of the operation and, for listings
/// feeds, the limit of the feed type.
fn of_type(arguments: &Arguments) -> Draws {
    let draws = draws(CreateFeed::OPERATION.plan);
    if arguments.value()["feedType"] == JSON_LISTINGS_FEED {
        return draws.with(Draw::new(FEED_TYPE).with_key(JSON_LISTINGS_FEED));
    }
    draws
}

fn check(arguments: &Arguments) -> Result<()> {
    let body = arguments.value();
    let is_empty = |name: &str| body[name].as_str().unwrap_or_default().is_empty();
    if is_empty("feedType") || is_empty("inputFeedDocumentId") {
        let message = "the feed type or the document id is empty; set both";
        return Err(wrong("CreateFeed", message));
    }
    let marketplaces = body["marketplaceIds"].as_array().map_or(0, Vec::len);
    if !(1..=25).contains(&marketplaces) {
        let message = "a feed needs 1 to 25 marketplaces; set them";
        return Err(wrong("CreateFeed", message));
    }
    Ok(())
}

operation! {
    /// Lists the seller's feeds of the last 90 days.
    ///
    /// See [Amazon docs: getFeeds](https://developer-docs.amazon.com/sp-api/docs/feeds-api-v2021-06-30-reference).
    GetFeeds -> Page<Feed>, answer FeedList;
    "feeds_2021-06-30" GET "/feeds/2021-06-30/feeds", Safe, 0.0222 / 10;
    new {}
    set {
        /// Includes only feeds of these types, at most 10.
        with_feed_types: [String] = "feedTypes",
        /// Includes only feeds for these marketplaces, at most 10.
        with_marketplace_ids: [String] = "marketplaceIds",
        /// Sets the page size, 1 to 100. Default: 10.
        with_page_size: u32 = "pageSize",
        /// Includes only entries with these statuses.
        with_processing_statuses: [ProcessingStatus] = "processingStatuses",
        /// Includes only entries created at or after this time. Default: 90 days ago.
        with_created_since: Time = "createdSince",
        /// Includes only entries created at or before this time. Default: now.
        with_created_until: Time = "createdUntil",
    }
    decode: |answer, _response| Ok(page(answer.feeds, answer.next_token));
    pages: Feed, only "nextToken";
}

operation! {
    /// Creates a feed from an uploaded document. Each call creates another feed.
    ///
    /// See [Amazon docs: createFeed](https://developer-docs.amazon.com/sp-api/docs/feeds-api-v2021-06-30-reference).
    CreateFeed -> CreatedFeed;
    "feeds_2021-06-30" POST "/feeds/2021-06-30/feeds", Never, 0.0083 / 15;
    new { specification: body FeedSpecification = "body" }
    check: |arguments| check(arguments);
    draws: |arguments| of_type(arguments);
}

operation! {
    /// Returns a feed with its status.
    ///
    /// See [Amazon docs: getFeed](https://developer-docs.amazon.com/sp-api/docs/feeds-api-v2021-06-30-reference).
    GetFeed -> Feed;
    "feeds_2021-06-30" GET "/feeds/2021-06-30/feeds/{feedId}", Safe, 2.0 / 15;
    new { feed_id: path String = "feedId" }
}

operation! {
    /// Cancels a feed that is still queued.
    ///
    /// See [Amazon docs: cancelFeed](https://developer-docs.amazon.com/sp-api/docs/feeds-api-v2021-06-30-reference).
    CancelFeed -> (), answer Value;
    "feeds_2021-06-30" DELETE "/feeds/2021-06-30/feeds/{feedId}", Safe, 2.0 / 15;
    new { feed_id: path String = "feedId" }
    decode: |_answer, _response| Ok(());
}

operation! {
    /// Creates a document for the content of a feed. Upload the content with
    /// [`DocumentContent::upload`](crate::documents::DocumentContent::upload).
    ///
    /// See [Amazon docs: createFeedDocument](https://developer-docs.amazon.com/sp-api/docs/feeds-api-v2021-06-30-reference).
    CreateFeedDocument -> CreatedFeedDocument;
    "feeds_2021-06-30" POST "/feeds/2021-06-30/documents", Safe, 0.5 / 15;
    new { specification: body FeedDocumentSpecification = "body" }
}

operation! {
    /// Returns the download URL of a feed's document, for
    /// [`Document::open`](crate::documents::Document::open).
    ///
    /// See [Amazon docs: getFeedDocument](https://developer-docs.amazon.com/sp-api/docs/feeds-api-v2021-06-30-reference).
    GetFeedDocument -> FeedDocument;
    "feeds_2021-06-30" GET "/feeds/2021-06-30/documents/{feedDocumentId}", Safe, 0.0222 / 10;
    new { feed_document_id: path String = "feedDocumentId" }
}
