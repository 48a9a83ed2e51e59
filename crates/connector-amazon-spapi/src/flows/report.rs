//! Reports from creation to document.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use futures_util::TryStreamExt;

use super::reason::reason;
use super::{Polling, ProcessingStatus};
use crate::documents::{Charset, Document, DocumentOptions};
use crate::endpoints::{CreateReport, GetReport, GetReportDocument, GetReports};
use crate::models::report::{Report, ReportSpecification, is_restricted};
use crate::models::token::{RestrictedMethod, RestrictedResource};
use crate::{AmazonClient, Marketplace, RestrictedClients};

/// The time for which Amazon refuses to make the same report again. Amazon does not document it;
/// users report about 30 minutes for each marketplace.
const COOLDOWN: Duration = Duration::from_secs(30 * 60);
/// The most marketplaces of a filter.
const MOST_FILTERED: usize = 10;
/// The most reports that are compared with a cancelled one.
const MOST_COMPARED: usize = 200;

/// The way in which a report ended.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ReportOutcome {
    /// It is ready: open its document with [`ReportFlow::open`].
    Done(Report),
    /// It is ready and has no data, as Amazon says by the status or by the missing document.
    NoData(Report),
    /// It was cancelled: on request before it started, or by Amazon, which does so if there is no
    /// data. It does not prove that there is none.
    Cancelled(Report),
    /// It was aborted.
    Fatal {
        /// The report.
        report: Report,
        /// The reason (`errorDetails`), if Amazon wrote a document about it. Amazon's text, for
        /// people.
        details: Option<String>,
    },
    /// It was cancelled or aborted because the same report was created shortly before, by this or
    /// another application of the seller. It says nothing about the data.
    Cooldown {
        /// The time from which on it can be created again.
        until: Timestamp,
        /// The report.
        report: Report,
    },
    /// It is not ready yet: [`ReportFlow::wait`] for it again, or wait for the notification.
    Pending(Report),
}

impl ReportOutcome {
    /// The report.
    #[must_use]
    pub const fn report(&self) -> &Report {
        match self {
            Self::Done(report)
            | Self::NoData(report)
            | Self::Cancelled(report)
            | Self::Fatal { report, .. }
            | Self::Cooldown { report, .. }
            | Self::Pending(report) => report,
        }
    }
}

/// Reports from creation to document.
///
/// ```no_run
/// # use connector_core::Result;
/// use connector_amazon_spapi::AmazonClient;
/// use connector_amazon_spapi::documents::DocumentOptions;
/// use connector_amazon_spapi::flows::{ReportFlow, ReportOutcome};
/// use connector_amazon_spapi::models::report::ReportSpecification;
///
/// # async fn example(client: AmazonClient) -> Result<()> {
/// let flow = ReportFlow::new(client);
/// let wanted = ReportSpecification::new("GET_MERCHANT_LISTINGS_ALL_DATA", ["ATVPDKIKX0DER"]);
/// if let ReportOutcome::Done(report) = flow.run(&wanted).await? {
///     let mut rows = flow.open(&report, DocumentOptions::new()).await?.rows().await?;
///     while let Some(row) = rows.next().await? {
///         println!("{:?}", row.get("seller-sku"));
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct ReportFlow {
    client: AmazonClient,
    restricted: RestrictedClients,
    polling: Polling,
    cooldown: Duration,
}

impl ReportFlow {
    /// Reports of this client's seller.
    pub fn new(client: AmazonClient) -> Self {
        Self {
            restricted: RestrictedClients::new(client.clone()),
            client,
            polling: Polling::default(),
            cooldown: COOLDOWN,
        }
    }

    /// Sets how it waits.
    pub const fn with_polling(mut self, polling: Polling) -> Self {
        self.polling = polling;
        self
    }

    /// Sets the restricted data tokens to use for reports with personal data, to share them with
    /// other flows. Default: tokens of its own.
    pub fn with_restricted_clients(mut self, restricted: RestrictedClients) -> Self {
        self.restricted = restricted;
        self
    }

    /// Sets the time for which Amazon refuses to make the same report again. Default: 30 minutes,
    /// which Amazon does not document.
    pub const fn with_cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Creates a report. Repeating it creates another one.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send). The usage plan of the report's
    /// type is one of its own: [`ErrorKind::RateLimited`] for one type says nothing about others.
    pub async fn create(&self, specification: &ReportSpecification) -> Result<String> {
        let created = self.client.send(&CreateReport::new(specification)).await?;
        Ok(created.report_id)
    }

    /// Creates a report and waits for its end.
    ///
    /// # Errors
    /// As for [`ReportFlow::create`] and [`ReportFlow::wait`].
    pub async fn run(&self, specification: &ReportSpecification) -> Result<ReportOutcome> {
        let id = self.create(specification).await?;
        self.wait(&id).await
    }

    /// Waits for the end of a report: [`ReportOutcome::Pending`] if it takes longer than the
    /// [patience](Polling::with_longest_wait).
    ///
    /// # Errors
    /// As for [`ReportFlow::check`]. Failures that pass are waited for.
    pub async fn wait(&self, report_id: &str) -> Result<ReportOutcome> {
        let mut pauses = self.polling.begin(self.client.session().clock());
        loop {
            match self.check(report_id).await {
                Ok(ReportOutcome::Pending(report)) => {
                    if !pauses.rest().await {
                        return Ok(ReportOutcome::Pending(report));
                    }
                }
                Ok(outcome) => return Ok(outcome),
                Err(error) => pauses.rest_after(error).await?,
            }
        }
    }

    /// Asks for a report once, for example after a notification that it has ended.
    ///
    /// A report that was cancelled or aborted is compared with the seller's other reports, for
    /// [`ReportOutcome::Cooldown`].
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn check(&self, report_id: &str) -> Result<ReportOutcome> {
        let report = self.client.send(&GetReport::new(report_id)).await?;
        let status = report.processing_status.clone();
        Ok(match status {
            Some(ProcessingStatus::Done) if report.report_document_id.is_some() => {
                ReportOutcome::Done(report)
            }
            Some(ProcessingStatus::Done | ProcessingStatus::DoneNoData) => {
                ReportOutcome::NoData(report)
            }
            Some(ProcessingStatus::Cancelled) => match self.cools_down_until(&report).await? {
                Some(until) => ReportOutcome::Cooldown { until, report },
                None => ReportOutcome::Cancelled(report),
            },
            Some(ProcessingStatus::Fatal) => {
                let details = match report.report_document_id {
                    Some(_) => Box::pin(reason(self.open(&report, DocumentOptions::new()))).await?,
                    None => None,
                };
                let until = match details {
                    Some(_) => None,
                    None => self.cools_down_until(&report).await?,
                };
                match until {
                    Some(until) => ReportOutcome::Cooldown { until, report },
                    None => ReportOutcome::Fatal { report, details },
                }
            }
            _ => ReportOutcome::Pending(report),
        })
    }

    /// The end of the cool-down that another report of the same type and marketplace began; `None`
    /// if there is none.
    async fn cools_down_until(&self, report: &Report) -> Result<Option<Timestamp>> {
        let created = report.created_time.as_deref().and_then(Timestamp::parse);
        let Some(created) = created else {
            return Ok(None);
        };
        let mut listing = GetReports::new()
            .with_report_types([report.report_type.as_str()])
            .with_created_since(created.before(self.cooldown))
            .with_created_until(created)
            .with_page_size(100_u32);
        if (1..=MOST_FILTERED).contains(&report.marketplace_ids.len()) {
            listing = listing.with_marketplace_ids(&report.marketplace_ids);
        }
        let mut others = self.client.pages(listing).items();
        let (mut refused, mut other) = (None, None);
        for _ in 0..MOST_COMPARED {
            let Some(found) = others.try_next().await? else {
                break;
            };
            let at = found.created_time.as_deref().and_then(Timestamp::parse);
            let Some(at) = at.filter(|at| *at <= created && created.since(*at) < self.cooldown)
            else {
                continue;
            };
            if found.report_id == report.report_id || !is_same(report, &found) {
                continue;
            }
            // A report that was refused itself began no cool-down, unless no other is known.
            let latest = match found.processing_status {
                Some(ProcessingStatus::Cancelled | ProcessingStatus::Fatal) => &mut refused,
                _ => &mut other,
            };
            *latest = (*latest).max(Some(at));
        }
        Ok(other.or(refused).map(|at| at.after(self.cooldown)))
    }

    /// Opens the document of a report, and gets it once more if its URL has expired meanwhile.
    ///
    /// A document of Japan is read as CP932 if its host states no charset. A report with personal
    /// data is opened with a restricted data token.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the report has no document; as for
    /// [`Session::send`](connector_core::api::Session::send) and [`Document::open`];
    /// [`ErrorKind::Forbidden`] if the report contains personal data and the application lacks the
    /// role for it.
    pub async fn open(&self, report: &Report, options: DocumentOptions) -> Result<Document> {
        let Some(id) = report.report_document_id.as_deref() else {
            let message = "the report has no document; look at its status";
            return Err(
                Error::new(ErrorKind::NotFound, "amazon_spapi.report", message)
                    .with_provider(crate::AmazonSpApi::ID.as_str().to_owned()),
            );
        };
        let japan = |id: &String| id == Marketplace::Jp.id();
        let is_of_japan =
            !report.marketplace_ids.is_empty() && report.marketplace_ids.iter().all(japan);
        let options = if is_of_japan {
            options.or_fallback_charset(Charset::CP932)
        } else {
            options
        };
        let client = if is_restricted(&report.report_type) {
            let path = format!("/reports/2021-06-30/documents/{id}");
            let resource = RestrictedResource::new(RestrictedMethod::Get, path);
            self.restricted.client([resource])?
        } else {
            self.client.clone()
        };
        let mut is_first = true;
        loop {
            let place = client.send(&GetReportDocument::new(id)).await?;
            let compression = place.compression_algorithm.as_ref();
            let session = client.session();
            match Document::open(session, &place.url, compression, options.clone()).await {
                Err(error) if error.kind() == ErrorKind::Forbidden && is_first => is_first = false,
                opened => return opened,
            }
        }
    }
}

/// True if two reports are of the same type and have a marketplace in common.
fn is_same(report: &Report, other: &Report) -> bool {
    let theirs = &other.marketplace_ids;
    report.report_type == other.report_type
        && (theirs.is_empty()
            || report.marketplace_ids.is_empty()
            || theirs.iter().any(|it| report.marketplace_ids.contains(it)))
}
