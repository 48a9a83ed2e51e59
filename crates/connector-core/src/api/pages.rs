//! Pagination.

use std::collections::HashSet;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt, stream};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};

use crate::api::endpoint::PagedEndpoint;
use crate::api::session::Session;
use crate::error::{Error, ErrorKind, Result};

/// The provider's cursor for the start of a page. Store it to continue a listing later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageCursor(String);

impl PageCursor {
    /// Creates a cursor from the provider's text, unchanged.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the provider's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The results of this page. May be empty even if more pages follow.
    pub items: Vec<T>,
    /// The cursor of the next page; `None` for the last page.
    pub next: Option<PageCursor>,
    /// Set if the provider ends the listing here even though there are more results.
    pub truncated: Option<Truncated>,
}

/// Marks a listing that the provider ended early because it returns at most a fixed number of
/// results.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truncated {
    /// Cursor for a new listing that continues after this one, for example a cursor based on the
    /// time of the last result. Pass it to [`PagedEndpoint::at`]. `None` if the provider offers no
    /// way to continue.
    pub resume: Option<PageCursor>,
}

impl<T> Page<T> {
    /// Creates a page of `items`.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<PageCursor>) -> Self {
        Self {
            items,
            next,
            truncated: None,
        }
    }

    /// Creates the last page of a truncated listing. [`Pages`] and [`Items`] yield its results and
    /// then an error of kind [`ErrorKind::Truncated`].
    #[must_use]
    pub const fn truncated(items: Vec<T>, resume: Option<PageCursor>) -> Self {
        Self {
            items,
            next: None,
            truncated: Some(Truncated { resume }),
        }
    }
}

/// The pages of an operation as a stream. The stream ends after the last page or the first error.
///
/// If the provider truncates the listing, the stream ends with an error of kind
/// [`ErrorKind::Truncated`] after the last page. [`Error::resume`] returns the cursor to continue
/// from.
///
/// To continue after another error, start a new stream from the `next` cursor of the last page.
#[must_use]
pub struct Pages<T>(BoxStream<'static, Result<Page<T>>>);

impl<T: Send + 'static> Pages<T> {
    /// Returns the results one by one. The next page is fetched when all results of the current
    /// page have been consumed.
    pub fn items(self) -> Items<T> {
        let items = self
            .0
            .map_ok(|page| stream::iter(page.items.into_iter().map(Ok)))
            .try_flatten();
        Items(items.boxed())
    }

    pub(crate) fn new<E: PagedEndpoint<Item = T>>(session: Session, first: E) -> Self {
        let steps = stream::try_unfold(Walk::new(session, first), |mut walk| async move {
            let page = walk.step().await?;
            Ok::<_, Error>(page.map(|page| (page, walk)))
        });
        Self(steps.boxed())
    }
}

struct Walk<E> {
    session: Session,
    next: Next<E>,
    /// Digests of all cursors of the listing, to detect a loop.
    followed: HashSet<[u8; 16]>,
    /// Number of results so far.
    count: usize,
}

enum Next<E> {
    Page(E),
    End,
    Truncated(Truncated),
}

impl<E: PagedEndpoint> Walk<E> {
    fn new(session: Session, first: E) -> Self {
        Self {
            session,
            next: Next::Page(first),
            followed: HashSet::new(),
            count: 0,
        }
    }

    /// Fetches the next page, if there is one.
    async fn step(&mut self) -> Result<Option<Page<E::Item>>> {
        let endpoint = match &self.next {
            Next::Page(endpoint) => endpoint,
            Next::End => return Ok(None),
            Next::Truncated(Truncated { resume }) => {
                let error = self.error(
                    ErrorKind::Truncated,
                    "the provider returns no more results of this listing; continue from the \
                     error's resume cursor, or narrow the listing",
                );
                return Err(match resume {
                    Some(cursor) => error.with_resume(cursor.clone()),
                    None => error,
                });
            }
        };
        let page = self.session.send(endpoint).await?;
        self.count = self.count.saturating_add(page.items.len());
        let next = match (&page.next, &page.truncated) {
            // The provider would reject the next page, or would omit results without saying so.
            (_, None) if E::LIMIT.is_some_and(|limit| self.count >= limit) => {
                let resume = endpoint.resume(&page.items);
                Next::Truncated(Truncated { resume })
            }
            (Some(cursor), _) => {
                let mut mark = [0; 16];
                mark.copy_from_slice(&digest(&SHA256, cursor.as_str().as_bytes()).as_ref()[..16]);
                if !self.followed.insert(mark) {
                    return Err(self.error(
                        ErrorKind::UnexpectedResponse,
                        "the provider returned a page cursor twice; start again, or report it",
                    ));
                }
                Next::Page(endpoint.at(cursor))
            }
            (None, Some(truncated)) => Next::Truncated(truncated.clone()),
            (None, None) => Next::End,
        };
        self.next = next;
        Ok(Some(page))
    }

    fn error(&self, kind: ErrorKind, message: &'static str) -> Error {
        self.session.named(Error::new(kind, E::NAME, message))
    }
}

impl<T> Stream for Pages<T> {
    type Item = Result<Page<T>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for Pages<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pages")
    }
}

/// The results of an operation over all its pages, as a stream. The stream ends after the last
/// result or the first error.
#[must_use]
pub struct Items<T>(BoxStream<'static, Result<T>>);

impl<T> Stream for Items<T> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl<T> fmt::Debug for Items<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Items")
    }
}
