//! Reads of all rows of data sources, without Notion's limit per query.

use std::collections::BTreeSet;

use connector_core::api::PageCursor;
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::data_sources::may_be_stale_cursor;
use super::{QueryDataSource, repeated_cursor};
use crate::NotionClient;
use crate::error::is_not_shared;
use crate::models::{DataSourceId, PageOrDataSource};

/// Maximum number of rows that Notion returns per query.
const LIMIT: usize = 10_000;

/// Position of a [`ReadAll`] after the returned rows. Store the position together with the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadPosition {
    /// Index of the query.
    source: usize,
    /// Creation time of the last row.
    since: Option<String>,
    /// True if all rows with this creation time were returned.
    is_exclusive: bool,
    /// The rows with this creation time that were returned.
    seen: BTreeSet<String>,
    report: ReadReport,
}

/// Report of a read: the returned rows, and the rows and data sources that could not be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReadReport {
    /// Number of returned rows.
    pub rows: u64,
    /// Data sources that do not exist or are not shared with the connection. Do not delete data
    /// because of this list.
    pub not_shared: Vec<DataSourceId>,
    /// Creation times for which rows are missing.
    pub gaps: Vec<Gap>,
}

/// A creation time with more than 10,000 rows. Notion returns only the first 10,000 of them. To
/// read the remaining rows, query the data source with a narrower filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Gap {
    /// ID of the data source.
    pub data_source: DataSourceId,
    /// Creation time.
    pub created_time: String,
}

/// Outcome of a read.
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub enum ReadOutcome {
    /// A read that returned all rows of all shared data sources. The report lists the data sources
    /// that are not shared.
    Complete(ReadReport),
    /// A read with missing rows.
    Partial {
        /// Report of the rows returned so far.
        report: ReadReport,
        /// The error that stopped the read. `None` if the read reached the end, but rows are
        /// missing.
        error: Option<Error>,
        /// Position to resume from with [`ReadAll::from_position`].
        resume: Box<ReadPosition>,
    },
}

/// A read of all rows of one or more data sources, in the order of creation. Created by
/// [`NotionClient::read_all`].
///
/// Notion truncates the results of a query after 10,000 rows. The read then starts a new query at
/// the creation time of the last row, and returns no row twice. The read always terminates, because
/// each query starts at a later creation time than the previous query.
#[derive(Debug)]
#[must_use]
pub struct ReadAll {
    client: NotionClient,
    queries: Vec<QueryDataSource>,
    position: ReadPosition,
    /// Lower bound of the creation time in the current query.
    start: Option<(String, bool)>,
    cursor: Option<PageCursor>,
    /// Number of rows that the current query has returned.
    count: usize,
    /// Number of returned rows when a query was last restarted because of an expired cursor.
    restarted: Option<u64>,
}

impl NotionClient {
    /// Reads all rows of these queries page by page, one query after the other. The filters are
    /// kept; the sorts are replaced.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// # use connector_notion::NotionClient;
    /// # use connector_notion::endpoints::{QueryDataSource, ReadOutcome};
    /// # async fn example(client: NotionClient, query: QueryDataSource) -> Result<()> {
    /// let mut read = client.read_all([query]);
    /// while let Some(rows) = read.next_page().await? {
    ///     // Store the rows and the position in one transaction.
    ///     let position = read.position();
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn read_all(&self, queries: impl IntoIterator<Item = QueryDataSource>) -> ReadAll {
        ReadAll {
            client: self.clone(),
            queries: queries
                .into_iter()
                .map(QueryDataSource::by_creation)
                .collect(),
            position: ReadPosition::default(),
            start: None,
            cursor: None,
            count: 0,
            restarted: None,
        }
    }
}

impl ReadAll {
    /// Resumes after the rows of an earlier read of the same queries.
    pub fn from_position(mut self, position: ReadPosition) -> Self {
        self.position = position;
        self.begin();
        self
    }

    /// Returns the position after the returned rows.
    #[must_use]
    pub const fn position(&self) -> &ReadPosition {
        &self.position
    }

    /// Returns the report of the read so far.
    #[must_use]
    pub const fn report(&self) -> &ReadReport {
        &self.position.report
    }

    /// Returns the next rows, or `None` at the end. A data source that is not shared is skipped and
    /// listed in the report.
    ///
    /// # Errors
    /// The errors of [`NotionClient::send`]. An error does not change the position: call this
    /// method again now or later.
    pub async fn next_page(&mut self) -> Result<Option<Vec<PageOrDataSource>>> {
        loop {
            let Some(query) = self.queries.get(self.position.source) else {
                return Ok(None);
            };
            let mut query = query.clone().since(self.start.clone());
            if let Some(cursor) = &self.cursor {
                query = query.after(cursor.clone());
            }
            let page = match self.client.session().send(&query).await {
                Ok(page) => page,
                Err(error) if is_not_shared(&error) => {
                    self.position
                        .report
                        .not_shared
                        .push(query.data_source().clone());
                    self.next_source();
                    continue;
                }
                Err(error) if self.cursor.is_some() && may_be_stale_cursor(&error) => {
                    let rows = self.position.report.rows;
                    if self.restarted.replace(rows) == Some(rows) {
                        return Err(error);
                    }
                    self.begin();
                    continue;
                }
                Err(error) => return Err(error),
            };
            if page.next.is_some() && page.next == self.cursor {
                return Err(repeated_cursor("QueryDataSource"));
            }
            self.count += page.items.len();
            let is_cut = page.truncated.is_some() || self.count >= LIMIT;
            let rows = self.unseen(page.items);
            match page.next {
                Some(next) => self.cursor = Some(next),
                None if is_cut => self.next_partition(query.data_source().clone())?,
                None => self.next_source(),
            }
            if !rows.is_empty() {
                self.position.report.rows += rows.len() as u64;
                return Ok(Some(rows));
            }
        }
    }

    /// Reads until the end or the first error. Each page of rows is passed to the callback.
    pub async fn read_to_end(
        &mut self,
        mut each: impl FnMut(Vec<PageOrDataSource>) + Send,
    ) -> ReadOutcome {
        let error = loop {
            match self.next_page().await {
                Ok(Some(rows)) => each(rows),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let report = self.report().clone();
        if error.is_none() && report.gaps.is_empty() {
            return ReadOutcome::Complete(report);
        }
        let resume = Box::new(self.position.clone());
        ReadOutcome::Partial {
            report,
            error,
            resume,
        }
    }

    /// Removes the rows that were returned before.
    fn unseen(&mut self, rows: Vec<PageOrDataSource>) -> Vec<PageOrDataSource> {
        let at = &mut self.position;
        let mut unseen = Vec::with_capacity(rows.len());
        for row in rows {
            if at.seen.contains(row.id()) {
                continue;
            }
            if let Some(time) = row.created_time()
                && at.since.as_deref().is_none_or(|since| since < time)
            {
                at.since = Some(time.to_owned());
                at.is_exclusive = false;
                at.seen.clear();
            }
            at.seen.insert(row.id().to_owned());
            unseen.push(row);
        }
        unseen
    }

    /// Starts the query of the current position.
    fn begin(&mut self) {
        let at = &self.position;
        self.start = at.since.clone().map(|since| (since, at.is_exclusive));
        self.cursor = None;
        self.count = 0;
    }

    /// Starts the next query after Notion truncated the results.
    fn next_partition(&mut self, data_source: DataSourceId) -> Result<()> {
        let at = &mut self.position;
        let Some(since) = at.since.clone() else {
            let message =
                "the rows have no creation time, so the read cannot continue; report this bug";
            return Err(
                Error::new(ErrorKind::UnexpectedResponse, "QueryDataSource", message)
                    .with_provider("notion"),
            );
        };
        let began = self.start.as_ref().map(|(start, _)| start);
        if began == Some(&since) {
            // All rows of the query have the same creation time, so a new query would return the
            // same rows. Report a gap and continue with later rows.
            let created_time = since;
            let gap = Gap {
                data_source,
                created_time,
            };
            if !at.report.gaps.contains(&gap) {
                at.report.gaps.push(gap);
            }
            at.is_exclusive = true;
            at.seen.clear();
        }
        self.begin();
        Ok(())
    }

    fn next_source(&mut self) {
        let at = &mut self.position;
        at.source += 1;
        at.since = None;
        at.is_exclusive = false;
        at.seen.clear();
        self.begin();
    }
}
