//! Results that come in pages.

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

/// Where a page begins, in the provider's own words. Keep it to go on later.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageCursor(String);

impl PageCursor {
    /// Takes the provider's text as it is.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The provider's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Page<T> {
    /// The results. There may be none although more pages follow.
    pub items: Vec<T>,
    /// Where the next page begins; `None` if this is the last.
    pub next: Option<PageCursor>,
}

impl<T> Page<T> {
    /// A page of `items`.
    #[must_use]
    pub const fn new(items: Vec<T>, next: Option<PageCursor>) -> Self {
        Self { items, next }
    }
}

/// The pages of an operation, one after the other. Ends after the last page or the first error.
///
/// To go on after an error, start again from the cursor of the page before.
#[must_use]
pub struct Pages<T>(BoxStream<'static, Result<Page<T>>>);

impl<T: Send + 'static> Pages<T> {
    /// The results one by one. The next page is fetched when those of the last one are taken.
    pub fn items(self) -> Items<T> {
        let items = self
            .0
            .map_ok(|page| stream::iter(page.items.into_iter().map(Ok)))
            .try_flatten();
        Items(items.boxed())
    }

    pub(crate) fn new<E: PagedEndpoint<Item = T>>(session: Session, first: E) -> Self {
        let steps = stream::unfold(Some(Walk::new(session, first)), |walk| async {
            let mut walk = walk?;
            match walk.step().await {
                Ok((page, true)) => Some((Ok(page), Some(walk))),
                Ok((page, false)) => Some((Ok(page), None)),
                Err(error) => Some((Err(error), None)),
            }
        });
        Self(steps.boxed())
    }
}

struct Walk<E> {
    session: Session,
    next: E,
    /// Digests of the cursors that were followed, so that a provider's loop does not become ours.
    followed: HashSet<[u8; 16]>,
}

impl<E: PagedEndpoint> Walk<E> {
    fn new(session: Session, next: E) -> Self {
        Self {
            session,
            next,
            followed: HashSet::new(),
        }
    }

    /// The next page, and whether there are more.
    async fn step(&mut self) -> Result<(Page<E::Item>, bool)> {
        let page = self.session.send(&self.next).await?;
        let Some(cursor) = &page.next else {
            return Ok((page, false));
        };
        let mut mark = [0; 16];
        mark.copy_from_slice(&digest(&SHA256, cursor.as_str().as_bytes()).as_ref()[..16]);
        if !self.followed.insert(mark) {
            return Err(Error::new(
                ErrorKind::UnexpectedAnswer,
                E::NAME,
                "the provider returned the same page cursor twice; start again, or report it",
            )
            .with_provider(self.session.provider().as_str().to_owned()));
        }
        self.next = self.next.at(cursor);
        Ok((page, true))
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

/// The results of an operation one by one, over all its pages. Ends after the last or the first
/// error.
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
