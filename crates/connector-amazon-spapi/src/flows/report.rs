//! Reports, from creation to document.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use futures_util::TryStreamExt;

use super::link::with_link;
use super::reason::reason;
use super::{Polling, ProcessingStatus};
use crate::documents::{Charset, Document, DocumentOptions};
use crate::endpoints::{CreateReport, GetReport, GetReportDocument, GetReports};
use crate::error::ours;
use crate::models::report::{Report, ReportSpecification, is_restricted};
use crate::models::token::{RestrictedMethod, RestrictedResource};
use crate::{AmazonClient, Marketplace, RestrictedClients};

/// Time for which Amazon refuses to create the same report again. Amazon does not document this
/// time; users report about 30 minutes per marketplace.
const COOLDOWN: Duration = Duration::from_secs(30 * 60);
/// Maximum number of marketplaces in a filter.
const MAX_FILTERED: usize = 10;
/// Maximum number of reports to compare with a cancelled report.
const MAX_COMPARED: usize = 200;

/// The result of waiting for a report.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum ReportOutcome {
    /// The report is ready. Open its document with [`ReportFlow::open`].
    Done(Report),
    /// The report is ready and has no data: it has the status for that, or no document.
    NoData(Report),
    /// The report was cancelled: on request before processing started, or by Amazon. Amazon cancels
    /// reports that have no data, but this outcome does not prove that there is no data.
    Cancelled(Report),
    /// The report was aborted.
    Fatal {
        /// The report.
        report: Report,
        /// The reason (`errorDetails`), if Amazon wrote a document with it. The text is meant for
        /// people.
        details: Option<String>,
    },
    /// The report was cancelled or aborted because this or another application of the seller
    /// created the same report shortly before. It says nothing about the data.
    Cooldown {
        /// The earliest time at which the report can be created again.
        until: Timestamp,
        /// The report.
        report: Report,
    },
    /// The report is still being processed. Call [`ReportFlow::wait`] again, or wait for the
    /// notification.
    Pending(Report),
}

impl ReportOutcome {
    /// Returns the report.
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

/// Requests reports and opens their documents.
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
    /// Creates a flow for the seller of `client`.
    pub fn new(client: AmazonClient) -> Self {
        Self {
            restricted: RestrictedClients::new(client.clone()),
            client,
            polling: Polling::default(),
            cooldown: COOLDOWN,
        }
    }

    /// Sets the polling intervals and the maximum wait.
    pub const fn with_polling(mut self, polling: Polling) -> Self {
        self.polling = polling;
        self
    }

    /// Sets the clients for reports with personal data, to share their restricted data tokens with
    /// other flows. By default, the flow has its own clients.
    pub fn with_restricted_clients(mut self, restricted: RestrictedClients) -> Self {
        self.restricted = restricted;
        self
    }

    /// Sets the time for which Amazon refuses to create the same report again. Default: 30 minutes.
    /// Amazon does not document the time.
    pub const fn with_cooldown(mut self, cooldown: Duration) -> Self {
        self.cooldown = cooldown;
        self
    }

    /// Creates a report and returns its id. Each call creates another report.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send). Each report type has its own
    /// rate limit: [`ErrorKind::RateLimited`] for one type does not affect other types.
    pub async fn create(&self, specification: &ReportSpecification) -> Result<String> {
        let created = self.client.send(&CreateReport::new(specification)).await?;
        Ok(created.report_id)
    }

    /// Creates a report and waits for it to complete.
    ///
    /// # Errors
    /// As for [`ReportFlow::create`] and [`ReportFlow::wait`].
    pub async fn run(&self, specification: &ReportSpecification) -> Result<ReportOutcome> {
        let id = self.create(specification).await?;
        self.wait(&id).await
    }

    /// Waits for a report to complete. Returns [`ReportOutcome::Pending`] after the [maximum
    /// wait](Polling::with_longest_wait).
    ///
    /// # Errors
    /// As for [`ReportFlow::check`]. Temporary failures are retried.
    pub async fn wait(&self, report_id: &str) -> Result<ReportOutcome> {
        let is_pending = |it: &ReportOutcome| matches!(it, ReportOutcome::Pending(_));
        let check = || self.check(report_id);
        let clock = self.client.session().clock();
        self.polling.wait(clock, check, is_pending).await
    }

    /// Requests the status of a report once, for example after a notification that the report has
    /// completed.
    ///
    /// If the report was cancelled or aborted, this method also requests the seller's other
    /// reports, to detect [`ReportOutcome::Cooldown`].
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

    /// Returns the end of the cool-down that another report of the same type and marketplace
    /// started; `None` if there is no such report.
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
        if (1..=MAX_FILTERED).contains(&report.marketplace_ids.len()) {
            listing = listing.with_marketplace_ids(&report.marketplace_ids);
        }
        let mut others = self.client.pages(listing).items();
        let (mut refused, mut other) = (None, None);
        for _ in 0..MAX_COMPARED {
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
            // A rejected report starts no cool-down. Use one only if no other report is known.
            let latest = match found.processing_status {
                Some(ProcessingStatus::Cancelled | ProcessingStatus::Fatal) => &mut refused,
                _ => &mut other,
            };
            *latest = (*latest).max(Some(at));
        }
        Ok(other.or(refused).map(|at| at.after(self.cooldown)))
    }

    /// Opens the document of a report. If the download URL has expired, the flow requests one new
    /// URL.
    ///
    /// Reports of Japan are read as CP932 if the document host states no charset. For a report with
    /// personal data, the flow requests a restricted data token.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the report has no document; [`ErrorKind::Forbidden`] if the
    /// report contains personal data and the application lacks the role for it; as for
    /// [`Session::send`](connector_core::api::Session::send) and [`Document::open`].
    pub async fn open(&self, report: &Report, options: DocumentOptions) -> Result<Document> {
        let Some(id) = report.report_document_id.as_deref() else {
            let message = "the report has no document; check its status";
            let error = Error::new(ErrorKind::NotFound, "amazon_spapi.report", message);
            return Err(ours(error));
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
        let operation = GetReportDocument::new(id);
        let (session, options) = (client.session(), &options);
        with_link(&client, &operation, |place| async move {
            let compression = place.compression_algorithm.as_ref();
            Document::open(session, &place.url, compression, options.clone()).await
        })
        .await
    }
}

/// Returns true if two reports have the same type and a marketplace in common.
fn is_same(report: &Report, other: &Report) -> bool {
    let theirs = &other.marketplace_ids;
    report.report_type == other.report_type
        && (theirs.is_empty()
            || report.marketplace_ids.is_empty()
            || theirs.iter().any(|it| report.marketplace_ids.contains(it)))
}
