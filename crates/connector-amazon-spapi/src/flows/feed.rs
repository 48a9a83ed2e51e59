//! Feeds, from upload to processing report.

use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use http::HeaderMap;

use super::link::with_link;
use super::reason::reason;
use super::{ListingsResult, Polling, ProcessingStatus};
use crate::AmazonClient;
use crate::documents::{Document, DocumentContent, DocumentOptions};
use crate::endpoints::{CreateFeed, CreateFeedDocument, GetFeed, GetFeedDocument};
use crate::error::ours;
use crate::models::feed::{
    Feed, FeedDocumentSpecification, FeedSpecification, JSON_LISTINGS_FEED, ListingsFeed,
    ProcessingReport,
};

const OPERATION: &str = "amazon_spapi.feed";
const JSON: &str = "application/json; charset=UTF-8";
/// Maximum length of the processing report of a listings feed, in bytes. Allows 25,000 messages
/// with several issues each.
const MAX_REPORT: usize = 128 << 20;

/// The result of waiting for a feed.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum FeedOutcome {
    /// Amazon processed the feed. Amazon may still have rejected its content: read the processing
    /// report.
    Done(Feed),
    /// Amazon processed the feed and wrote no processing report. The result of its content is
    /// unknown.
    NoData(Feed),
    /// The feed was cancelled before processing started. Nothing was changed.
    Cancelled(Feed),
    /// The feed was aborted. Some, none or all of its content may have been applied.
    Fatal {
        /// The feed.
        feed: Feed,
        /// The reason (`errorDetails`), if Amazon wrote a document with it. The text is meant for
        /// people.
        details: Option<String>,
    },
    /// The feed is still being processed. Call [`FeedFlow::wait`] again, or wait for the
    /// notification.
    Pending(Feed),
}

impl FeedOutcome {
    /// Returns the feed.
    #[must_use]
    pub const fn feed(&self) -> &Feed {
        match self {
            Self::Done(feed)
            | Self::NoData(feed)
            | Self::Cancelled(feed)
            | Self::Fatal { feed, .. }
            | Self::Pending(feed) => feed,
        }
    }
}

/// Submits feeds and reads their results.
///
/// ```no_run
/// # use connector_core::Result;
/// use connector_amazon_spapi::AmazonClient;
/// use connector_amazon_spapi::flows::{FeedFlow, FeedOutcome};
/// use connector_amazon_spapi::models::feed::{ListingsFeed, ListingsFeedMessage};
///
/// # async fn example(client: AmazonClient) -> Result<()> {
/// let flow = FeedFlow::new(client);
/// let content = ListingsFeed::new("A2EXAMPLE", [ListingsFeedMessage::delete(1, "SKU-1")]);
/// let id = flow.submit_listings(["ATVPDKIKX0DER"], &content).await?;
/// if let FeedOutcome::Done(feed) = flow.wait(&id).await? {
///     let result = flow.listings_result(&feed, &content).await?;
///     println!("accepted: {} of {}", result.accepted(), content.messages.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FeedFlow {
    client: AmazonClient,
    polling: Polling,
}

impl FeedFlow {
    /// Creates a flow for the seller of `client`.
    pub fn new(client: AmazonClient) -> Self {
        Self {
            client,
            polling: Polling::default(),
        }
    }

    /// Sets the polling intervals and the maximum wait.
    pub const fn with_polling(mut self, polling: Polling) -> Self {
        self.polling = polling;
        self
    }

    /// Uploads content for a feed, verifies the checksum that Amazon S3 returns, and returns the id
    /// of the document. If the upload URL has expired, the flow requests one new URL.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send) and
    /// [`DocumentContent::upload`].
    pub async fn upload(&self, content: &DocumentContent) -> Result<String> {
        let specification = FeedDocumentSpecification::new(content.content_type());
        let operation = CreateFeedDocument::new(&specification);
        let session = self.client.session();
        with_link(&self.client, &operation, |created| async move {
            let uploaded = content.upload(session, &created.url, HeaderMap::new());
            uploaded.await.map(|()| created.feed_document_id)
        })
        .await
    }

    /// Uploads content, creates a feed from it, and returns the feed's id. Each call creates
    /// another feed.
    ///
    /// # Errors
    /// As for [`FeedFlow::upload`] and [`Session::send`](connector_core::api::Session::send).
    pub async fn submit<S: Into<String>>(
        &self,
        feed_type: impl Into<String>,
        marketplace_ids: impl IntoIterator<Item = S>,
        content: &DocumentContent,
    ) -> Result<String> {
        let feed = FeedSpecification::new(feed_type, marketplace_ids, "");
        self.submit_as(feed, content).await
    }

    async fn submit_as(
        &self,
        mut feed: FeedSpecification,
        content: &DocumentContent,
    ) -> Result<String> {
        feed.input_feed_document_id = self.upload(content).await?;
        let created = self.client.send(&CreateFeed::new(&feed)).await?;
        Ok(created.feed_id)
    }

    /// Uploads a listings feed, creates it, and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the feed has no messages, more than 25,000 messages, or two
    /// messages with the same id; as for [`FeedFlow::submit`].
    pub async fn submit_listings<S: Into<String>>(
        &self,
        marketplace_ids: impl IntoIterator<Item = S>,
        listings: &ListingsFeed,
    ) -> Result<String> {
        let wrong = |message| Error::new(ErrorKind::InvalidInput, OPERATION, message);
        let count = listings.messages.len();
        if !(1..=ListingsFeed::MAX_MESSAGES).contains(&count) {
            return Err(wrong("a listings feed has 1 to 25,000 messages; split it"));
        }
        let mut ids: Vec<u32> = listings.messages.iter().map(|it| it.message_id).collect();
        ids.sort_unstable();
        ids.dedup();
        if ids.len() != count || ids.first() == Some(&0) {
            return Err(wrong(
                "the messages of a listings feed need unique ids, starting at 1; number them",
            ));
        }
        let bytes = serde_json::to_vec(listings)
            .map_err(|_| wrong("an attribute has no JSON form; correct it"))?;
        let content = DocumentContent::bytes(JSON, bytes);
        let feed = FeedSpecification::new(JSON_LISTINGS_FEED, marketplace_ids, "");
        self.submit_as(feed, &content).await
    }

    /// Waits for a feed to complete. Returns [`FeedOutcome::Pending`] after the [maximum
    /// wait](Polling::with_longest_wait).
    ///
    /// # Errors
    /// As for [`FeedFlow::check`]. Temporary failures are retried.
    pub async fn wait(&self, feed_id: &str) -> Result<FeedOutcome> {
        let is_pending = |it: &FeedOutcome| matches!(it, FeedOutcome::Pending(_));
        let check = || self.check(feed_id);
        let clock = self.client.session().clock();
        self.polling.wait(clock, check, is_pending).await
    }

    /// Requests the status of a feed once, for example after a notification that the feed has
    /// completed.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn check(&self, feed_id: &str) -> Result<FeedOutcome> {
        let feed = self.client.send(&GetFeed::new(feed_id)).await?;
        let status = feed.processing_status.clone();
        Ok(match status {
            Some(ProcessingStatus::Done) if feed.result_feed_document_id.is_some() => {
                FeedOutcome::Done(feed)
            }
            Some(ProcessingStatus::Done | ProcessingStatus::DoneNoData) => {
                FeedOutcome::NoData(feed)
            }
            Some(ProcessingStatus::Cancelled) => FeedOutcome::Cancelled(feed),
            Some(ProcessingStatus::Fatal) => {
                let details = match feed.result_feed_document_id {
                    Some(_) => Box::pin(reason(self.open(&feed, DocumentOptions::new()))).await?,
                    None => None,
                };
                FeedOutcome::Fatal { feed, details }
            }
            _ => FeedOutcome::Pending(feed),
        })
    }

    /// Opens the processing report of a feed. If the download URL has expired, the flow requests
    /// one new URL.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the feed has no processing report; as for
    /// [`Session::send`](connector_core::api::Session::send) and [`Document::open`].
    pub async fn open(&self, feed: &Feed, options: DocumentOptions) -> Result<Document> {
        let Some(id) = feed.result_feed_document_id.as_deref() else {
            let message = "the feed has no processing report; check its status";
            return Err(ours(Error::new(ErrorKind::NotFound, OPERATION, message)));
        };
        let operation = GetFeedDocument::new(id);
        let (session, options) = (self.client.session(), &options);
        with_link(&self.client, &operation, |place| async move {
            let compression = place.compression_algorithm.as_ref();
            Document::open(session, &place.url, compression, options.clone()).await
        })
        .await
    }

    /// Reads the processing report of a listings feed, and returns the result of each message.
    ///
    /// # Errors
    /// As for [`FeedFlow::open`] and [`Document::json`];
    /// [`ErrorKind::UnexpectedResponse`] if the report is about another feed.
    pub async fn listings_result(
        &self,
        feed: &Feed,
        listings: &ListingsFeed,
    ) -> Result<ListingsResult> {
        let document = Box::pin(self.open(feed, DocumentOptions::new())).await?;
        let report: ProcessingReport = document.json(MAX_REPORT).await?;
        let about = report.header.feed_id.as_deref();
        if about.is_some_and(|about| about != feed.feed_id) {
            let message = "the processing report belongs to another feed; report it";
            let error = Error::new(ErrorKind::UnexpectedResponse, OPERATION, message);
            return Err(ours(error));
        }
        Ok(ListingsResult::new(listings, report))
    }
}
