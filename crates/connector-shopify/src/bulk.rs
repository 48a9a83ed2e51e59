//! Bulk operations: queries and mutations that Shopify runs in the background on all data of a shop.
//!
//! See [Shopify docs: Perform bulk operations](https://shopify.dev/docs/api/usage/bulk-operations/queries).

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use connector_core::api::{
    Download, DownloadOptions, Link, Multipart, OnProgress, Part, UploadBody,
};
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};
use http::Method;
use http::header::{CONTENT_TYPE, HeaderValue};
use memchr::{memchr, memmem};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::endpoints::{
    CancelBulkOperation, CreateStagedUploads, GetBulkOperation, RunBulkMutation, RunBulkQuery,
    StagedUploadInput,
};
use crate::graphql::shape;
use crate::models::{BulkOperation, BulkOperationId, BulkStatus, StagedTarget};
use crate::{Shopify, ShopifyClient};

const OPERATION: &str = "shopify.bulk";
/// Limits of a bulk query. See [Shopify docs: Bulk operations
/// limits](https://shopify.dev/docs/api/usage/bulk-operations/queries#operation-restrictions).
const MAX_CONNECTIONS: usize = 5;
const MAX_NESTING: usize = 2;
/// Maximum length of the variables of a bulk mutation, in bytes.
const MAX_VARIABLES: usize = 100_000_000;
/// Bounds of the pause between two reads of an operation's progress.
const PAUSES: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(60));
/// Time within which Shopify ends every bulk operation.
const LONGEST: Duration = Duration::from_secs(10 * 86_400);
/// Default of [`Bulk::with_patience`].
const PATIENCE: Duration = Duration::from_secs(3600);
/// Default maximum length of a line.
const MAX_LINE: usize = 16 << 20;
/// Default maximum length of the lines of one group, in bytes.
const MAX_GROUP: usize = 64 << 20;

impl ShopifyClient {
    /// Returns the bulk operations of the shop.
    pub fn bulk(&self) -> Bulk {
        Bulk {
            client: self.clone(),
            patience: PATIENCE,
        }
    }
}

/// The bulk operations of a shop. Shopify runs up to five at once for each app and shop.
///
/// ```no_run
/// # use connector_core::Result;
/// # use connector_shopify::{Group, ShopifyClient};
/// # use futures_util::TryStreamExt;
/// # use serde::Deserialize;
/// #[derive(Deserialize)]
/// struct Product { id: String, title: String }
/// #[derive(Deserialize)]
/// struct Variant { sku: Option<String> }
///
/// # async fn example(client: ShopifyClient) -> Result<()> {
/// let bulk = client.bulk();
/// let started = bulk.query(
///     "{ products { edges { node { id title variants { edges { node { id sku } } } } } } }",
/// ).await?;
/// let ended = bulk.wait(started.id, |now| println!("{} objects", now.object_count)).await?;
/// let mut groups = bulk.result(&ended).await?.groups::<Product, Variant>();
/// while let Some(Group { parent, children, .. }) = groups.try_next().await? {
///     println!("{}: {} variants", parent.title, children.len());
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Bulk {
    client: ShopifyClient,
    patience: Duration,
}

impl Bulk {
    /// Sets the maximum time to wait for a free place, if the shop already runs as many bulk
    /// operations as it may. Default: one hour.
    pub const fn with_patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Starts a query. Shopify returns the children of an object directly after the object.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`] if the query breaks a rule of bulk queries: one root field, one
    ///   to five connections, at most two of them inside each other. Shopify leaves the children of
    ///   deeper connections out.
    /// * [`ErrorKind::Rejected`] with [`UserErrors`](crate::UserErrors) if Shopify refuses the query.
    /// * [`ErrorKind::Conflict`] if no place becomes free in time.
    pub async fn query(&self, document: &str) -> Result<BulkOperation> {
        check_query(document)?;
        let operation = RunBulkQuery::new(document, true);
        self.start(|| self.client.send(&operation)).await
    }

    /// Starts a mutation for each of `inputs`, which are the variables of the mutation. Shopify runs
    /// them in order. The result has one line for each input.
    ///
    /// # Errors
    /// As for [`Bulk::query`]; also [`ErrorKind::InvalidInput`] if the inputs are longer than 100 MB.
    pub async fn mutation<V: Serialize>(
        &self,
        mutation: &str,
        inputs: impl IntoIterator<Item = V>,
    ) -> Result<BulkOperation> {
        match shape(mutation, &Value::Null) {
            Ok(shape) if shape.is_mutation && shape.roots == 1 => {}
            Ok(_) => return Err(invalid("a bulk mutation must have one root field")),
            Err(reason) => return Err(invalid(reason)),
        }
        let mut variables = Vec::new();
        for input in inputs {
            serde_json::to_writer(&mut variables, &input).map_err(|_| {
                invalid("an input cannot be represented as JSON; use text keys and finite numbers")
            })?;
            variables.push(b'\n');
            if variables.len() > MAX_VARIABLES {
                return Err(invalid("the inputs are longer than 100 MB; divide them"));
            }
        }
        if variables.is_empty() {
            return Err(invalid("there are no inputs"));
        }
        let path = self.upload(variables).await?;
        let operation = RunBulkMutation::new(mutation, path);
        self.start(|| self.client.send(&operation)).await
    }

    /// Uploads the variables, and returns their path.
    async fn upload(&self, variables: Vec<u8>) -> Result<String> {
        let upload = StagedUploadInput::new(
            "BULK_MUTATION_VARIABLES",
            "bulk_op_vars.jsonl",
            "text/jsonl",
        );
        let uploads = CreateStagedUploads::new([upload.with_method("POST")]);
        let targets = self.client.send(&uploads).await?;
        let unexpected = || failed("Shopify returned no place for the upload; report it");
        let StagedTarget {
            url, parameters, ..
        } = targets.into_iter().next().ok_or_else(unexpected)?;
        let mut path = None;
        let mut form = Multipart::form_data();
        for parameter in parameters {
            if parameter.name == "key" {
                path = Some(parameter.value.clone());
            }
            form = form.with(Part::field(&parameter.name, parameter.value));
        }
        let file = Part::file(
            "file",
            "bulk_op_vars.jsonl",
            HeaderValue::from_static("text/jsonl"),
            variables,
        );
        let (content_type, body) = form.with(file).into_body()?;
        let link = self.link(&url.ok_or_else(unexpected)?)?;
        let link = link.with_method(Method::POST);
        let link = link.with_header(CONTENT_TYPE, content_type);
        let session = self.client.session();
        session.upload(&link, UploadBody::bytes(body)).await?;
        path.ok_or_else(unexpected)
    }

    fn link(&self, url: &url::Url) -> Result<Link> {
        self.client.session().link(url.as_str())
    }

    /// Starts an operation when a place is free.
    async fn start<F: Future<Output = Result<BulkOperation>>>(
        &self,
        send: impl Fn() -> F,
    ) -> Result<BulkOperation> {
        let clock = self.client.session().clock();
        let begun = clock.monotonic();
        let mut pause = PAUSES.0;
        loop {
            let error = match send().await {
                Ok(started) => return Ok(started),
                Err(error) => error,
            };
            let is_full = matches!(
                error.code(),
                Some("OPERATION_IN_PROGRESS" | "LIMIT_REACHED")
            );
            if !is_full || clock.monotonic().since(begun) >= self.patience {
                return Err(error);
            }
            clock.sleep(pause).await;
            pause = next(pause);
        }
    }

    /// Waits for the end of an operation and returns it. `on_progress` is called with each state
    /// that was read. The result can be a failure: see [`BulkOperation::status`].
    ///
    /// Instead of waiting, an application can handle the webhook
    /// [`bulk_operations/finish` and then get the operation.
    ///
    /// # Errors
    /// The errors of [`GetBulkOperation`], and [`ErrorKind::Timeout`] after 10 days. The operation
    /// continues if the caller stops waiting.
    pub async fn wait(
        &self,
        id: BulkOperationId,
        on_progress: impl Fn(&BulkOperation),
    ) -> Result<BulkOperation> {
        let client = self.client.background();
        let clock = self.client.session().clock();
        let begun = clock.monotonic();
        let mut pause = PAUSES.0;
        loop {
            let now = client.send(&GetBulkOperation::new(id)).await?;
            on_progress(&now);
            if now.status.is_final() {
                return Ok(now);
            }
            if clock.monotonic().since(begun) >= LONGEST {
                let message = "the bulk operation has not ended within 10 days; cancel it";
                return Err(error(ErrorKind::Timeout, message));
            }
            clock.sleep(pause).await;
            pause = next(pause);
        }
    }

    /// Cancels an operation. Shopify cancels it after the call. The objects that were written before
    /// may be available as a part of the result.
    ///
    /// # Errors
    /// The errors of [`CancelBulkOperation`].
    pub async fn cancel(&self, id: BulkOperationId) -> Result<BulkOperation> {
        self.client.send(&CancelBulkOperation::new(id)).await
    }

    /// Opens the result of an operation that has ended.
    ///
    /// If the operation failed or was cancelled, the result contains the objects that Shopify wrote
    /// before, and ends with an error of kind [`ErrorKind::Truncated`].
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`] if the operation has not ended yet.
    /// * [`ErrorKind::Truncated`] if the operation failed and no part of the result is available.
    ///   The error code is Shopify's.
    /// * The errors of a download.
    pub async fn result(&self, ended: &BulkOperation) -> Result<BulkResult> {
        self.result_with(ended, BulkOptions::new()).await
    }

    /// Opens the result, like [`Bulk::result`], with options.
    ///
    /// # Errors
    /// As for [`Bulk::result`].
    pub async fn result_with(
        &self,
        ended: &BulkOperation,
        options: BulkOptions,
    ) -> Result<BulkResult> {
        if !ended.status.is_final() {
            return Err(invalid("the bulk operation has not ended yet; wait for it"));
        }
        let is_complete = ended.status == BulkStatus::Completed;
        let partial = (!is_complete).then(|| partial(ended));
        let url = ended.url.as_ref().or(ended.partial_data_url.as_ref());
        let pieces = match (url, &partial) {
            (Some(url), _) => {
                let link = self.link(url)?;
                let mut download = DownloadOptions::new().with_longest(options.longest);
                if let Some(on_progress) = options.on_progress {
                    download = download.with_progress(on_progress);
                }
                // The length of a part is unknown.
                if let (true, Some(length)) = (is_complete, ended.file_size) {
                    download = download.with_length(length);
                }
                let session = self.client.session();
                let download: Download = session.download_with(&link, download).await?;
                download.boxed()
            }
            // A complete result without a URL has no objects.
            (None, None) => stream::empty().boxed(),
            (None, Some(_)) => return Err(partial.unwrap_or_else(|| failed("no result"))),
        };
        Ok(BulkResult {
            lines: Lines::new(pieces, options.longest_line),
            longest_group: options.longest_group,
            partial,
        })
    }
}

/// Options for reading a result.
#[derive(Debug, Clone)]
#[must_use]
pub struct BulkOptions {
    longest: u64,
    longest_line: usize,
    longest_group: usize,
    on_progress: Option<OnProgress>,
}

impl Default for BulkOptions {
    fn default() -> Self {
        Self {
            longest: 64 << 30,
            longest_line: MAX_LINE,
            longest_group: MAX_GROUP,
            on_progress: None,
        }
    }
}

impl BulkOptions {
    /// Returns the default options: a result of at most 64 GiB, lines of at most 16 MiB, and groups
    /// of at most 64 MiB.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the maximum length of the result, in bytes.
    pub const fn with_longest(mut self, bytes: u64) -> Self {
        self.longest = bytes;
        self
    }

    /// Sets the maximum length of a line, in bytes.
    pub const fn with_longest_line(mut self, bytes: usize) -> Self {
        self.longest_line = bytes;
        self
    }

    /// Sets the maximum length of an object and its children together, in bytes.
    pub const fn with_longest_group(mut self, bytes: usize) -> Self {
        self.longest_group = bytes;
        self
    }

    /// Sets a callback for the progress of the download.
    pub fn with_progress(mut self, on_progress: OnProgress) -> Self {
        self.on_progress = Some(on_progress);
        self
    }
}

/// The result of a bulk operation, which is downloaded while it is read. A dropped connection is
/// resumed where it stopped.
pub struct BulkResult {
    lines: Lines,
    longest_group: usize,
    /// The error with which a part of a result ends.
    partial: Option<Error>,
}

impl BulkResult {
    /// Reads a result that your application has stored, from pieces of any size.
    pub fn from_stream(
        pieces: impl Stream<Item = Result<Bytes>> + Send + 'static,
        options: &BulkOptions,
    ) -> Self {
        Self {
            lines: Lines::new(pieces.boxed(), options.longest_line),
            longest_group: options.longest_group,
            partial: None,
        }
    }

    /// Returns the lines as objects of one type, in Shopify's order. A child is a line of its own,
    /// with the id of its parent in the field `__parentId`.
    pub fn rows<T: DeserializeOwned + Send + 'static>(self) -> BulkRows<T> {
        let Self {
            mut lines,
            mut partial,
            ..
        } = self;
        let rows = stream::poll_fn(move |cx| {
            let row = match ready!(lines.poll_line(cx)) {
                Some(Ok(line)) => Some(parse(line)),
                Some(Err(error)) => Some(Err(error)),
                None => partial.take().map(Err),
            };
            Poll::Ready(row)
        });
        BulkRows(until_error(rows))
    }

    /// Returns each root object with its children and their children, in Shopify's order. Only one
    /// group is in memory at a time.
    ///
    /// Only for queries that were started with [`Bulk::query`]: in other results, children need not
    /// follow their parent, and the stream then ends with an error.
    pub fn groups<P, C>(self) -> BulkRows<Group<P, C>>
    where
        P: DeserializeOwned + Send + 'static,
        C: DeserializeOwned + Send + 'static,
    {
        let Self {
            mut lines,
            mut partial,
            longest_group,
        } = self;
        let mut open: Option<Open<P, C>> = None;
        let groups = stream::poll_fn(move |cx| {
            loop {
                let line = match ready!(lines.poll_line(cx)) {
                    Some(Ok(line)) => line,
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => {
                        let last = open.take().map(|it| Ok(it.group));
                        return Poll::Ready(last.or_else(|| partial.take().map(Err)));
                    }
                };
                let head = match head_of(line) {
                    Ok(head) => head,
                    Err(error) => return Poll::Ready(Some(Err(error))),
                };
                let Some(parent_id) = head.parent_id else {
                    let parent = match parse::<P>(line) {
                        Ok(parent) => parent,
                        Err(error) => return Poll::Ready(Some(Err(error))),
                    };
                    let opened = Open::new(head.id, parent, line.len());
                    if let Some(complete) = open.replace(opened) {
                        return Poll::Ready(Some(Ok(complete.group)));
                    }
                    continue;
                };
                let added = match &mut open {
                    Some(group) => group.add(&parent_id, head.id, line, longest_group),
                    None => Err(orphan()),
                };
                if let Err(error) = added {
                    return Poll::Ready(Some(Err(error)));
                }
            }
        });
        BulkRows(until_error(groups))
    }
}

impl fmt::Debug for BulkResult {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BulkResult")
            .field("is_partial", &self.partial.is_some())
            .finish_non_exhaustive()
    }
}

/// An object of a result with its children.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Group<P, C> {
    /// The object.
    pub parent: P,
    /// Its children and their children, in Shopify's order. The field `__parentId` of each contains
    /// the id of its own parent.
    pub children: Vec<C>,
}

/// The objects of a result, as a stream. The stream ends after the last object or the first error.
/// The rest of a failed operation is missing if the stream ends with an error of kind
/// [`ErrorKind::Truncated`].
#[must_use]
pub struct BulkRows<T>(BoxStream<'static, Result<T>>);

impl<T> Stream for BulkRows<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for BulkRows<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BulkRows")
    }
}

/// A group whose children are still arriving.
struct Open<P, C> {
    group: Group<P, C>,
    /// The ids of the object and of its children, which can be parents too.
    ids: Vec<String>,
    length: usize,
}

impl<P, C: DeserializeOwned> Open<P, C> {
    fn new(id: Option<String>, parent: P, length: usize) -> Self {
        Self {
            group: Group {
                parent,
                children: Vec::new(),
            },
            ids: id.into_iter().collect(),
            length,
        }
    }

    fn add(
        &mut self,
        parent_id: &str,
        id: Option<String>,
        line: &[u8],
        longest: usize,
    ) -> Result<()> {
        // The parent is nearly always the first id or the last one.
        let is_known = |ids: &[String]| ids.iter().rev().any(|it| it == parent_id);
        if self.ids.first().is_none_or(|it| it != parent_id) && !is_known(&self.ids) {
            return Err(orphan());
        }
        self.length = self.length.saturating_add(line.len());
        if self.length > longest {
            let message = "an object has more children than fit into the maximum length of a group";
            return Err(error(ErrorKind::UnexpectedResponse, message));
        }
        self.ids.extend(id);
        self.group.children.push(parse(line)?);
        Ok(())
    }
}

/// The identity of an object of a result.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    id: Option<String>,
    #[serde(default, rename = "__parentId")]
    parent_id: Option<String>,
}

/// Returns the identity of a line. Shopify writes the parent as the last member; queries usually
/// select the id first. Lines of another form are parsed.
fn head_of(line: &[u8]) -> Result<Head> {
    const ID: &[u8] = b"{\"id\":\"";
    const PARENT: &[u8] = b"\"__parentId\":\"";
    const NAME: &[u8] = b"__parentId";
    let line = line.trim_ascii();
    let plain = |text: &[u8]| {
        let is_plain = !text.iter().any(|byte| matches!(byte, b'"' | b'\\'));
        let text = is_plain.then(|| std::str::from_utf8(text).ok()).flatten()?;
        Some(text.to_owned())
    };
    let id = line.strip_prefix(ID).and_then(|rest| {
        let end = memchr(b'"', rest)?;
        plain(&rest[..end])
    });
    // A quotation mark inside a text is escaped, so the found name is a member. The last brace
    // closes the object itself, so the member belongs to it.
    let parent_id = line.strip_suffix(b"\"}").and_then(|rest| {
        let at = memmem::rfind(rest, PARENT)?;
        plain(&rest[at + PARENT.len()..])
    });
    let is_child = || memmem::find(line, NAME).is_some();
    match (id, parent_id) {
        (Some(id), parent_id) if parent_id.is_some() || !is_child() => Ok(Head {
            id: Some(id),
            parent_id,
        }),
        _ => parse(line),
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T> {
    // The parser's error is dropped, because it may quote the data.
    serde_json::from_slice(line).map_err(|_| {
        let message = "a line of the bulk result does not fit the requested type; compare the type \
                       with the fields of the query";
        error(ErrorKind::UnexpectedResponse, message)
    })
}

/// Ends a stream after its first error.
fn until_error<T: Send + 'static>(
    rows: impl Stream<Item = Result<T>> + Send + 'static,
) -> BoxStream<'static, Result<T>> {
    rows.scan(false, |has_failed, row| {
        let row = (!*has_failed).then_some(row);
        *has_failed = row.as_ref().is_some_and(Result::is_err);
        std::future::ready(row)
    })
    .boxed()
}

/// Splits a download into lines. Only one line and one piece of the download are in memory.
struct Lines {
    pieces: BoxStream<'static, Result<Bytes>>,
    held: Vec<u8>,
    /// Start of the unread bytes.
    start: usize,
    /// End of the bytes that were already searched for a line end.
    searched: usize,
    has_ended: bool,
    longest: usize,
}

impl Lines {
    fn new(pieces: BoxStream<'static, Result<Bytes>>, longest: usize) -> Self {
        Self {
            pieces,
            held: Vec::new(),
            start: 0,
            searched: 0,
            has_ended: false,
            longest,
        }
    }

    /// Returns the next line that is not empty; `None` after the last line.
    fn poll_line(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<&[u8]>>> {
        let (start, end) = loop {
            let found = memchr(b'\n', &self.held[self.searched..]);
            let end = match found {
                Some(at) => self.searched + at,
                None if self.has_ended => self.held.len(),
                None => {
                    self.searched = self.held.len();
                    if self.held.len() - self.start > self.longest {
                        return Poll::Ready(Some(Err(long())));
                    }
                    if let Err(error) = ready!(self.poll_fill(cx)) {
                        return Poll::Ready(Some(Err(error)));
                    }
                    continue;
                }
            };
            let start = self.start;
            self.start = (end + 1).min(self.held.len());
            self.searched = self.start;
            if !self.held[start..end].trim_ascii().is_empty() {
                break (start, end);
            }
            if found.is_none() {
                return Poll::Ready(None);
            }
        };
        if end - start > self.longest {
            return Poll::Ready(Some(Err(long())));
        }
        Poll::Ready(Some(Ok(&self.held[start..end])))
    }

    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        match ready!(self.pieces.poll_next_unpin(cx)) {
            Some(Ok(piece)) => {
                self.held.drain(..self.start);
                self.searched -= self.start;
                self.start = 0;
                self.held.extend_from_slice(&piece);
            }
            Some(Err(error)) => {
                self.has_ended = true;
                self.held.truncate(self.start);
                self.searched = self.start;
                return Poll::Ready(Err(error));
            }
            None => self.has_ended = true,
        }
        Poll::Ready(Ok(()))
    }
}

/// Checks the rules of bulk queries, so that Shopify does not leave data out.
fn check_query(document: &str) -> Result<()> {
    let shape = shape(document, &Value::Null).map_err(invalid)?;
    if shape.is_mutation {
        return Err(invalid("a bulk query cannot be a mutation"));
    }
    if shape.roots != 1 {
        return Err(invalid("a bulk query must have one root field"));
    }
    if !(1..=MAX_CONNECTIONS).contains(&shape.connections) {
        return Err(invalid(
            "a bulk query must have one to five connections, with `edges { node { … } }`",
        ));
    }
    if shape.nesting > MAX_NESTING {
        return Err(invalid(
            "a bulk query may have at most two connections inside each other; Shopify leaves out \
             the children of deeper ones",
        ));
    }
    Ok(())
}

/// Returns the error with which a part of a result ends.
fn partial(ended: &BulkOperation) -> Error {
    let message = "the bulk operation did not complete; the objects so far are only a part of the \
                   result, so start the operation again";
    let code = ended.error_code.as_ref().map(ToString::to_string);
    let code = code.unwrap_or_else(|| ended.status.to_string());
    error(ErrorKind::Truncated, message).with_code(&code)
}

fn next(pause: Duration) -> Duration {
    (pause * 3 / 2).min(PAUSES.1)
}

fn orphan() -> Error {
    error(
        ErrorKind::UnexpectedResponse,
        "a child in the bulk result does not follow its parent; read the result as rows",
    )
}

fn long() -> Error {
    error(
        ErrorKind::UnexpectedResponse,
        "a line of the bulk result is longer than the maximum",
    )
}

fn failed(message: &'static str) -> Error {
    error(ErrorKind::UnexpectedResponse, message)
}

fn invalid(message: &'static str) -> Error {
    error(ErrorKind::InvalidInput, message)
}

fn error(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, OPERATION, message).with_provider(Shopify::ID.as_str().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::print_stdout, reason = "the count is what a test shows")]
    fn the_identity_of_a_line_is_the_one_that_a_parser_reads() {
        let lines = [
            r#"{"id":"gid://shopify/Product/1","title":"x"}"#,
            r#"{"id":"gid://shopify/Product/1"}"#,
            r#"{"title":"x","id":"a"}"#,
            r#"{"id":"b","sku":"x","__parentId":"a"}"#,
            r#"{"id":"b","__parentId":"a","sku":"x"}"#,
            r#"{"id":"b","node":{"__parentId":"no"}}"#,
            r#"{"id":"b","title":"\"__parentId\":\"no"}"#,
            r#"{"id":"b","title":"__parentId"}"#,
            r#"{"id":"a\"b","__parentId":"c\"d"}"#,
            r#"{"sku":"x","__parentId":"a"}"#,
            r#"{"__parentId":"a"}"#,
            r#"{"__parentId":null,"id":"b"}"#,
            r#"{"id":"b","x":[{"id":"c","__parentId":"no"}]}"#,
            "{}",
            " {\"id\":\"b\",\"__parentId\":\"a\"}\r",
        ];
        for line in lines {
            let fast = head_of(line.as_bytes()).unwrap();
            let parsed: Head = serde_json::from_str(line).unwrap();
            assert_eq!(
                (&fast.id, &fast.parent_id),
                (&parsed.id, &parsed.parent_id),
                "{line}"
            );
        }
        assert!(head_of(b"[").is_err());
        println!("lines identified: {}", lines.len());
    }
}
