//! Webhook subscriptions that the hub maintains: created, compared with Shopify's list and repaired,
//! because Shopify deletes a subscription after eight failed deliveries.
//!
//! A watch is a topic in the spelling of deliveries, for example `orders/updated`. For orders,
//! products and customers, a delivery only announces changes: the hub reads the changes from the
//! API. Neither a lost delivery nor a captured body that is sent again under another topic or shop
//! then has an effect. For the other topics, each delivery contains the change itself.
//!
//! See [Shopify docs: Subscribe to webhooks](https://shopify.dev/docs/apps/build/webhooks/subscribe).

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{Page, PageCursor};
use connector_core::clock::Timestamp;
use connector_core::provider::subscription::{
    CatchUp, Channel, ChannelRenewal, CreatedChannel, ListedChannel, NewChannel, RenewOutcome,
    SecretSource, SubscriptionContext, SubscriptionPlan, Subscriptions, Watch,
};
use connector_core::provider::webhook::{AccountHint, Event};
use connector_core::{AppKey, Error, ErrorKind, Result};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::Shopify;
use crate::endpoints::{
    CreateWebhookSubscription, CustomerSort, DeleteWebhookSubscription, ListCustomers, ListOrders,
    ListProducts, ListWebhookSubscriptions, OrderSort, ProductSort, WebhookInput,
};
use crate::models::WebhookSubscriptionId;

/// Interval at which changes are read even without a delivery.
const CATCH_UP_EVERY: Duration = Duration::from_secs(3600);
/// Interval at which the subscriptions are compared. Shopify deletes a subscription after 8 failed
/// deliveries within 4 hours.
const COMPARE_EVERY: Duration = Duration::from_secs(3600);
/// The age from which orders need another scope.
const OLD: Duration = Duration::from_secs(60 * 86_400);
/// Topics that only the app's configuration can subscribe to.
const PRIVACY: [&str; 3] = ["customers/data_request", "customers/redact", "shop/redact"];

/// The resources whose changes can be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Resource {
    Orders,
    Products,
    Customers,
}

/// Returns the resource of a topic whose events can be read from the API, and true if they are
/// creations.
fn readable(topic: &str) -> Option<(Resource, bool)> {
    Some(match topic {
        "orders/create" => (Resource::Orders, true),
        "orders/updated" => (Resource::Orders, false),
        "products/create" => (Resource::Products, true),
        "products/update" => (Resource::Products, false),
        "customers/create" => (Resource::Customers, true),
        "customers/update" => (Resource::Customers, false),
        _ => return None,
    })
}

/// The stored cursor.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Cursor {
    /// The time up to which all changes were read, in milliseconds since the Unix epoch.
    since: i64,
    /// The newest time in the current read, which becomes `since` after the last page.
    #[serde(default)]
    newest: Option<i64>,
    #[serde(default)]
    page: Option<PageCursor>,
}

impl Cursor {
    fn read(text: Option<&str>, now: Timestamp) -> Result<Self> {
        let Some(text) = text else {
            return Ok(Self {
                since: now.as_unix_millis(),
                newest: None,
                page: None,
            });
        };
        serde_json::from_str(text).map_err(|_| {
            let message = "this connector cannot read the stored cursor; subscribe again";
            error(ErrorKind::StoreIncompatible, message)
        })
    }

    fn write(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|_| {
            let message = "a cursor could not be serialized; please report this bug";
            error(ErrorKind::Bug, message)
        })
    }
}

/// A changed resource.
struct Change {
    number: u64,
    id: String,
    at: Timestamp,
}

#[async_trait]
impl Subscriptions for Shopify {
    fn describe(&self, watch: &Watch) -> Result<SubscriptionPlan> {
        let topic = watch.as_str();
        let is_word = |word: &str| {
            let fits = |b: u8| b.is_ascii_lowercase() || b == b'_';
            !word.is_empty() && word.bytes().all(fits)
        };
        let parts = topic.split_once('/');
        if !parts.is_some_and(|(resource, event)| is_word(resource) && is_word(event)) {
            let message = "a watch is a topic such as `orders/updated`";
            return Err(error(ErrorKind::InvalidInput, message));
        }
        if PRIVACY.contains(&topic) {
            let message = "subscribe to the privacy topics in the app's configuration file";
            return Err(error(ErrorKind::InvalidInput, message));
        }
        let plan = SubscriptionPlan::channel(None, ChannelRenewal::Extend, SecretSource::App);
        Ok(plan
            .with_catch_up_every(readable(topic).map(|_| CATCH_UP_EVERY))
            .with_compare_every(COMPARE_EVERY))
    }

    async fn create(
        &self,
        cx: &SubscriptionContext<'_>,
        new: &NewChannel<'_>,
    ) -> Result<CreatedChannel> {
        let mut input = WebhookInput::new(new.url.as_str());
        if readable(new.watch.as_str()).is_some() {
            // The changes are read from the API.
            input = input.with_fields(["id", "updated_at"]);
        }
        let create = CreateWebhookSubscription::new(enum_of(new.watch.as_str()), input);
        let created = cx.session.send(&create).await?;
        Ok(CreatedChannel::new(created.id.to_string(), None))
    }

    async fn renew(
        &self,
        cx: &SubscriptionContext<'_>,
        channel: &Channel<'_>,
    ) -> Result<RenewOutcome> {
        let listed = self.list(cx, std::slice::from_ref(channel.watch)).await?;
        let mut listed = listed.unwrap_or_default().into_iter();
        Ok(if listed.any(|it| it.resource == channel.resource) {
            RenewOutcome::Renewed { expires_in: None }
        } else {
            RenewOutcome::Gone
        })
    }

    async fn end(&self, cx: &SubscriptionContext<'_>, channel: &Channel<'_>) -> Result<()> {
        let Ok(id) = channel.resource.parse::<WebhookSubscriptionId>() else {
            return Ok(());
        };
        match cx.session.send(&DeleteWebhookSubscription::new(id)).await {
            // Shopify refuses the deletion of a subscription that no longer exists.
            Err(error) if error.kind() != ErrorKind::Rejected => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(
        &self,
        cx: &SubscriptionContext<'_>,
        watches: &[Watch],
    ) -> Result<Option<Vec<ListedChannel>>> {
        let list = ListWebhookSubscriptions::new();
        let list = list.of_topics(watches.iter().map(|it| enum_of(it.as_str())));
        let all: Vec<_> = cx.session.pages(list).items().try_collect().await?;
        let mut listed = Vec::with_capacity(all.len());
        for subscription in all {
            let watch = watches
                .iter()
                .find(|it| enum_of(it.as_str()) == subscription.topic);
            if let Some(watch) = watch {
                let id = subscription.id.to_string();
                listed.push(ListedChannel::new(watch.clone(), id).with_url(subscription.uri));
            }
        }
        Ok(Some(listed))
    }

    async fn catch_up(
        &self,
        cx: &SubscriptionContext<'_>,
        watch: &Watch,
        cursor: Option<&str>,
    ) -> Result<CatchUp> {
        let Some((resource, is_creation)) = readable(watch.as_str()) else {
            let message = "changes of this topic cannot be read; each delivery contains one";
            return Err(error(ErrorKind::Unsupported, message));
        };
        let now = cx.session.clock().now();
        let is_first = cursor.is_none();
        let mut at = Cursor::read(cursor, now)?;
        if is_first {
            return Ok(CatchUp::new(Vec::new(), at.write()?));
        }
        let since = Timestamp::from_unix_millis(at.since);
        let is_restarted = at.page.is_some();
        let page = match changes(cx, resource, is_creation, since, at.page.take()).await {
            Ok(page) => page,
            // Shopify no longer accepts the page cursor: read again from the last complete read.
            Err(error) if is_restarted && error.kind() == ErrorKind::Rejected => {
                at.newest = None;
                return Ok(CatchUp::new(Vec::new(), at.write()?).with_more(true));
            }
            Err(error) => return Err(error),
        };
        let mut events = Vec::with_capacity(page.items.len());
        for change in &page.items {
            at.newest = at.newest.max(Some(change.at.as_unix_millis()));
            events.push(event(cx, watch.as_str(), change, is_creation));
        }
        let more = page.next.is_some();
        if more {
            at.page = page.next;
        } else {
            at.since = at.newest.take().unwrap_or(at.since).max(at.since);
        }
        // Without the scope for all orders, older changes cannot be read.
        let missed = resource == Resource::Orders && now.since(since) > OLD;
        Ok(CatchUp::new(events, at.write()?)
            .with_more(more)
            .with_missed(missed))
    }
}

/// Reads a page of changes, oldest first.
async fn changes(
    cx: &SubscriptionContext<'_>,
    resource: Resource,
    is_creation: bool,
    since: Timestamp,
    page: Option<PageCursor>,
) -> Result<Page<Change>> {
    let word = if is_creation {
        "created_at"
    } else {
        "updated_at"
    };
    let condition = format!("{word}:>='{since}'");
    // Both times have the same text in all three sort keys.
    let sort = if is_creation {
        "CREATED_AT"
    } else {
        "UPDATED_AT"
    };
    macro_rules! read {
        ($list:expr, $sort:ident) => {{
            let mut list = $list.matching(&condition).sorted_by($sort::from(sort));
            if let Some(page) = page {
                list = list.after(page);
            }
            let page = cx.session.send(&list).await?;
            let change = |it: &_| Change::of(it, is_creation);
            Ok(Page::new(
                page.items.iter().map(change).collect(),
                page.next,
            ))
        }};
    }
    match resource {
        Resource::Orders => read!(ListOrders::readable(), OrderSort),
        Resource::Products => read!(ListProducts::new(), ProductSort),
        Resource::Customers => read!(ListCustomers::new(), CustomerSort),
    }
}

/// A resource with an id and two times.
trait Resourceful {
    fn of(&self) -> (u64, String, Timestamp, Timestamp);
}

macro_rules! resourceful {
    ($($name:ident),*) => { $(
        impl Resourceful for crate::models::$name {
            fn of(&self) -> (u64, String, Timestamp, Timestamp) {
                (self.id.number(), self.id.to_string(), self.created_at, self.updated_at)
            }
        }
    )* };
}

resourceful!(Order, Product, Customer);

impl Change {
    fn of(resource: &impl Resourceful, is_creation: bool) -> Self {
        let (number, id, created_at, updated_at) = resource.of();
        Self {
            number,
            id,
            at: if is_creation { created_at } else { updated_at },
        }
    }
}

/// Returns the event for a change. Reading the same change again returns the same event. The body
/// has the form of a delivery with the selected fields.
fn event(cx: &SubscriptionContext<'_>, topic: &str, change: &Change, is_creation: bool) -> Event {
    let at = change.at.to_string();
    let name = if is_creation {
        "created_at"
    } else {
        "updated_at"
    };
    let body = json!({
        "id": change.number, "admin_graphql_api_id": change.id, name: at,
    });
    let body = Bytes::from(body.to_string());
    let mut event = Event::new(Shopify::ID, AppKey::default(), topic, body);
    event.account = Some(AccountHint::Key(cx.account.key.clone()));
    event.event_id = Some(format!("{topic}:{}@{at}", change.id));
    event.triggered_at = Some(change.at);
    event
}

/// Returns a topic in the spelling of the GraphQL API: `ORDERS_UPDATED`.
fn enum_of(topic: &str) -> String {
    topic.replace('/', "_").to_ascii_uppercase()
}

fn error(kind: ErrorKind, message: &'static str) -> Error {
    Error::new(kind, "shopify.subscriptions", message)
        .with_provider(Shopify::ID.as_str().to_owned())
}
