//! Polling for changes with search, because Notion does not redeliver missed events.
//!
//! See [Notion docs: Search](https://developers.notion.com/reference/post-search) and
//! [its limitations](https://developers.notion.com/reference/search-optimizations-and-limitations).
//!
//! All accounts of an app share one webhook subscription, which is set up by hand. A subscription
//! of this module therefore has no webhook channel. Each poll searches for pages and data sources
//! that changed since the cursor. Notion rounds the time of a change to the minute, so each poll
//! reads the last minute again. Events that were read before keep their ids.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::api::PageCursor;
use connector_core::clock::Timestamp;
use connector_core::provider::subscription::{
    CatchUp, SubscriptionContext, SubscriptionPlan, Subscriptions, Watch,
};
use connector_core::provider::webhook::{AccountHint, Event};
use connector_core::{AppKey, Error, ErrorKind, Result};
use ring::digest::{SHA256, digest};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::Notion;
use crate::endpoints::Search;
use crate::error::is_not_shared;
use crate::models::{Direction, PageOrDataSource};

/// Watch for all pages and data sources that are shared with the connection.
const EDITS: &str = "edits";
/// Topic of an event for a changed page or data source. The event body is the changed object.
pub const EDITED_TOPIC: &str = "edited";
const EVERY: Duration = Duration::from_secs(3600);
const MINUTE: i64 = 60_000;

/// The stored cursor: the last minute that was read, and the progress of the current poll.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Cursor {
    /// Milliseconds since the Unix epoch.
    since: i64,
    /// Time of the newest change in the current poll. This time becomes `since` after the last
    /// page.
    #[serde(default)]
    newest: Option<i64>,
    #[serde(default)]
    page: Option<PageCursor>,
}

impl Cursor {
    fn read(text: Option<&str>, now: Timestamp) -> Result<Self> {
        let Some(text) = text else {
            let since = now.as_unix_millis().div_euclid(MINUTE) * MINUTE;
            return Ok(Self {
                since,
                newest: None,
                page: None,
            });
        };
        serde_json::from_str(text).map_err(|_| {
            let message = "this connector cannot read the stored cursor; subscribe again";
            Error::new(ErrorKind::StoreIncompatible, "notion.catch_up", message)
        })
    }

    fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|_| {
            let message = "a cursor could not be serialized; please report this bug";
            Error::new(ErrorKind::Bug, "notion.catch_up", message)
        })
    }
}

#[async_trait]
impl Subscriptions for Notion {
    fn describe(&self, watch: &Watch) -> Result<SubscriptionPlan> {
        if watch.as_str() != EDITS {
            let message = "Notion supports only the watch `edits`, for all shared objects";
            return Err(
                Error::new(ErrorKind::InvalidInput, "notion.subscribe", message)
                    .with_provider(Self::ID.as_str().to_owned()),
            );
        }
        Ok(SubscriptionPlan::poll(EVERY))
    }

    async fn catch_up(
        &self,
        cx: &SubscriptionContext<'_>,
        _: &Watch,
        cursor: Option<&str>,
    ) -> Result<CatchUp> {
        let is_first = cursor.is_none();
        let mut at = Cursor::read(cursor, cx.session.clock().now())?;
        if is_first {
            return Ok(CatchUp::new(Vec::new(), at.write()?));
        }
        let mut search = Search::new().by_last_edited_time(Direction::Descending);
        if let Some(page) = at.page.take() {
            search = search.after(page);
        }
        let page = match cx.session.send(&search).await {
            Ok(page) => page,
            // Notion no longer accepts the page cursor: start this poll again.
            Err(error) if at.newest.is_some() && error.kind() == ErrorKind::Rejected => {
                at.newest = None;
                return Ok(CatchUp::new(Vec::new(), at.write()?).with_more(true));
            }
            Err(error) if is_not_shared(&error) => {
                return Ok(CatchUp::new(Vec::new(), at.write()?));
            }
            Err(error) => return Err(error),
        };
        let (mut events, mut is_behind) = (Vec::new(), false);
        for object in &page.items {
            let edited = object.last_edited_time().and_then(Timestamp::parse);
            let Some(edited) = edited.map(Timestamp::as_unix_millis) else {
                continue;
            };
            if edited < at.since {
                is_behind = true;
                break;
            }
            at.newest = at.newest.max(Some(edited));
            events.push(event(object, edited, cx)?);
        }
        let next = page.next.filter(|_| !is_behind);
        let has_more = next.is_some();
        if has_more {
            at.page = next;
            at.newest = at.newest.or(Some(at.since));
        } else {
            // Advance the cursor only after the last page.
            at.since = at.newest.take().unwrap_or(at.since).max(at.since);
        }
        let missed = page.truncated.is_some();
        Ok(CatchUp::new(events, at.write()?)
            .with_more(has_more)
            .with_missed(missed))
    }
}

/// Returns the event for a change. Reading the same change again returns the same event.
fn event(object: &PageOrDataSource, edited: i64, cx: &SubscriptionContext<'_>) -> Result<Event> {
    let broken = |_| {
        let message = "an object could not be serialized; please report this bug";
        Error::new(ErrorKind::Bug, "notion.catch_up", message)
    };
    let (value, kind) = match object {
        PageOrDataSource::Page(page) => (serde_json::to_value(page), Some("page")),
        PageOrDataSource::DataSource(source) => (serde_json::to_value(source), Some("data_source")),
        PageOrDataSource::Other(other) => (serde_json::to_value(other), None),
    };
    let mut value = value.map_err(broken)?;
    if let (Value::Object(members), Some(kind)) = (&mut value, kind) {
        members.insert("object".to_owned(), kind.into());
    }
    let body = serde_json::to_vec(&value).map_err(broken)?;
    without_signed_urls(&mut value);
    let digest = digest(&SHA256, &serde_json::to_vec(&value).map_err(broken)?);
    let mut content = [0; 8];
    content.copy_from_slice(&digest.as_ref()[..8]);
    let content = format!("{:016x}", u64::from_be_bytes(content));
    let mut event = Event::new(Notion::ID, AppKey::default(), EDITED_TOPIC, body.into());
    event.account = Some(AccountHint::Key(cx.account.key.clone()));
    event.event_id = Some(format!("{}@{edited}-{content}", object.id()));
    event.triggered_at = Some(Timestamp::from_unix_millis(edited));
    Ok(event)
}

/// Removes URLs that differ in each response.
fn without_signed_urls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            if members.remove("expiry_time").is_some() {
                members.remove("url");
            }
            members.values_mut().for_each(without_signed_urls);
        }
        Value::Array(items) => items.iter_mut().for_each(without_signed_urls),
        _ => {}
    }
}
