//! Live streams of a tenant's connections, as server-sent events.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::{Clock, Monotonic};
use connector_core::{Result, TenantId};
use connector_hub::Hub;
use futures_core::Stream;
use futures_util::stream;
use serde_json::json;
use tokio::sync::watch;

use crate::config::{RouterConfig, Shutdown};
use crate::problem::{Code, Problem};
use crate::routes::views::ConnectionView;

/// Maximum number of streams of a tenant in this process.
const MAX_STREAMS: usize = 32;
/// Number of connections per read.
const PAGE: u16 = 200;
/// Interval of comments, which keep proxies from closing a silent stream.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Maximum duration of a stream. The browser then opens a new stream, and the application identifies
/// its user again.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// The state of a tenant. The reader and all streams of the tenant share one copy.
type Snapshot = Arc<Connections>;

#[derive(Default, PartialEq)]
struct Connections {
    /// The connections as JSON, by id.
    by_id: BTreeMap<String, String>,
    /// True if the tenant has more connections than a stream contains.
    is_truncated: bool,
}

/// The streams of this process. The streams of a tenant share one reader.
pub(crate) struct Live {
    hub: Hub,
    clock: Arc<dyn Clock>,
    interval: Duration,
    /// Maximum number of connections in a stream.
    most: usize,
    shutdown: Shutdown,
    tenants: Mutex<HashMap<TenantId, watch::Sender<Snapshot>>>,
}

impl Live {
    pub(crate) fn new(hub: Hub, config: &RouterConfig) -> Arc<Self> {
        Arc::new(Self {
            clock: hub.clock(),
            hub,
            interval: config.live_interval,
            most: config.live_connections,
            shutdown: config.shutdown.clone(),
            tenants: Mutex::default(),
        })
    }

    /// Opens a stream. It begins with all connections, an event `truncated` if there are more, and an
    /// event `ready`. Then each change is an event.
    pub(crate) async fn open(
        this: &Arc<Self>,
        tenant: &TenantId,
    ) -> Result<impl Stream<Item = Result<Bytes, std::convert::Infallible>> + Send + 'static, Problem>
    {
        let receiver = this.join(tenant)?;
        // Read before the stream opens, so that a failure is a problem and not an empty stream. Read
        // after joining, so that no later change is missed.
        let first = this.read(tenant).await?;
        let now = this.clock.monotonic();
        let state = StreamState {
            clock: Arc::clone(&this.clock),
            receiver,
            shutdown: this.shutdown.clone(),
            most: this.most,
            shown: Snapshot::default(),
            first: Some(first),
            ends_at: now.after(MAX_AGE),
        };
        Ok(stream::unfold(state, |mut state| async move {
            let chunk = state.next().await?;
            Some((Ok(Bytes::from(chunk)), state))
        }))
    }

    fn join(self: &Arc<Self>, tenant: &TenantId) -> Result<watch::Receiver<Snapshot>, Problem> {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = tenants.get(tenant) {
            if sender.receiver_count() >= MAX_STREAMS {
                return Err(Problem::new(
                    &Code::TOO_MANY_STREAMS,
                    "the tenant has 32 open streams in this process",
                ));
            }
            return Ok(sender.subscribe());
        }
        let (sender, receiver) = watch::channel(Snapshot::default());
        tenants.insert(tenant.clone(), sender.clone());
        drop(tenants);
        tokio::spawn(follow(Arc::clone(self), tenant.clone(), sender));
        Ok(receiver)
    }

    /// Removes a tenant without streams. Returns false if a stream has just been opened.
    fn leave(&self, tenant: &TenantId, sender: &watch::Sender<Snapshot>) -> bool {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        if sender.receiver_count() > 0 {
            return false;
        }
        tenants.remove(tenant);
        true
    }

    async fn read(&self, tenant: &TenantId) -> Result<Snapshot> {
        let mut all = Connections::default();
        let mut after = None;
        loop {
            // One more than the maximum shows whether there are more.
            let left = u16::try_from(self.most - all.by_id.len() + 1).unwrap_or(PAGE);
            let tenant = self.hub.tenant(tenant);
            let page = tenant.list(after.as_ref(), PAGE.min(left)).await?;
            for connection in &page.items {
                if all.by_id.len() == self.most {
                    all.is_truncated = true;
                    return Ok(Arc::new(all));
                }
                let view = ConnectionView::from(connection);
                let json = serde_json::to_string(&view).unwrap_or_default();
                all.by_id.insert(view.id, json);
            }
            after = page.next;
            if after.is_none() {
                return Ok(Arc::new(all));
            }
        }
    }
}

/// Reads a tenant's connections until its last stream has ended.
async fn follow(live: Arc<Live>, tenant: TenantId, sender: watch::Sender<Snapshot>) {
    loop {
        tokio::select! {
            () = live.clock.sleep(live.interval) => {}
            () = sender.closed() => {}
        }
        if live.leave(&tenant, &sender) {
            return;
        }
        match live.read(&tenant).await {
            Ok(snapshot) => drop(sender.send_if_modified(|shown| {
                let is_new = *shown != snapshot;
                *shown = snapshot;
                is_new
            })),
            // The streams stay open: the next read follows.
            Err(error) => tracing::debug!(%error, "the connections of a stream could not be read"),
        }
    }
}

struct StreamState {
    clock: Arc<dyn Clock>,
    receiver: watch::Receiver<Snapshot>,
    shutdown: Shutdown,
    most: usize,
    shown: Snapshot,
    first: Option<Snapshot>,
    ends_at: Monotonic,
}

impl StreamState {
    async fn next(&mut self) -> Option<String> {
        if let Some(first) = self.first.take() {
            return Some(self.changes(&first) + "event: ready\ndata: {}\n\n");
        }
        loop {
            if self.clock.monotonic() >= self.ends_at {
                return None;
            }
            tokio::select! {
                () = self.shutdown.clone() => return None,
                changed = self.receiver.changed() => {
                    changed.ok()?;
                    let snapshot = Arc::clone(&self.receiver.borrow_and_update());
                    let text = self.changes(&snapshot);
                    if !text.is_empty() {
                        return Some(text);
                    }
                }
                () = self.clock.sleep(HEARTBEAT) => return Some(":\n\n".to_owned()),
            }
        }
    }

    /// Returns the events that lead from the shown state to `snapshot`.
    fn changes(&mut self, snapshot: &Snapshot) -> String {
        let mut text = String::new();
        let (shown, new) = (&self.shown.by_id, &snapshot.by_id);
        for (id, json) in new {
            if shown.get(id) != Some(json) {
                let _ = write!(text, "event: connection\ndata: {json}\n\n");
            }
        }
        for id in shown.keys().filter(|id| !new.contains_key(*id)) {
            let _ = write!(text, "event: removed\ndata: {{\"id\":\"{id}\"}}\n\n");
        }
        let is_truncated = snapshot.is_truncated;
        if self.shown.is_truncated != is_truncated {
            let data = json!({ "truncated": is_truncated, "limit": self.most });
            let _ = write!(text, "event: truncated\ndata: {data}\n\n");
        }
        self.shown = Arc::clone(snapshot);
        text
    }
}
