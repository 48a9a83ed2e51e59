//! Scheduled refreshes, and the use of refresh tokens before they expire.

use std::sync::Arc;
use std::time::Duration;

use connector_core::provider::description::{Description, RefreshPolicy};
use connector_core::provider::{Connector, Renewal};
use connector_core::store::{Due, Stored, TimeLeft, WorkKind};
use connector_core::{Event, Result};

use super::slots::slot_host;
use super::{Next, Shared, UNABLE};
use crate::audit;
use crate::hub::Inner;
use crate::token::renewal;
use crate::token::windows::share;
use crate::token::{NoTokenReason, RefreshOutcome, RefreshTrigger};

/// Maximum time to wait for a flight. The flight continues if the worker stops waiting.
const MAX_DURATION: Duration = Duration::from_secs(120);
/// Retry delay if no slot is free. The delay is extended by up to its own length. The extension is
/// constant per connection.
const NO_SLOT: Duration = Duration::from_secs(5);
/// Pause after the task of a flight panicked.
const DIED: Duration = Duration::from_secs(60);
/// Minimum delay before a connection's job is due again.
const SOONEST: Duration = Duration::from_secs(1);
/// Minimum delay before the next attempt if a refresh changed nothing.
const UNCHANGED: Duration = Duration::from_secs(30);

impl Shared {
    pub(super) async fn renew(&self, due: &Due) -> Result<Next> {
        let inner = &self.hub.inner;
        let key = &due.key;
        let Some(stored) = inner.store.load(key).await? else {
            return Ok(Next::Done);
        };
        if !stored.connection.is_live() {
            return Ok(Next::Done);
        }
        let provider = &stored.connection.provider;
        let connector = Arc::clone(inner.connector(provider)?);
        let host = slot_host(
            connector.description(),
            stored.connection.account.host.as_deref(),
        );
        let Some(_slot) = self.slots.take(provider, host).await else {
            return Ok(Next::In(NO_SLOT + share(NO_SLOT, key.id)));
        };
        let trigger = match due.kind {
            WorkKind::KeepAlive => RefreshTrigger::KeepAlive,
            _ => RefreshTrigger::Scheduled,
        };
        let mut outcome = None;
        // A flight that was already running may not have used the refresh token.
        for _ in 0..2 {
            let (mut ticket, joined) = inner.join(key, trigger.clone());
            outcome = tokio::select! {
                biased;
                outcome = ticket.outcome() => outcome,
                () = inner.clock.sleep(MAX_DURATION) => return Ok(Next::Leave),
            };
            if !joined || due.kind != WorkKind::KeepAlive {
                break;
            }
        }
        let no_token = match outcome {
            Some(RefreshOutcome::Current) => return self.settled(due, &*connector).await,
            Some(RefreshOutcome::NoToken(no_token)) => no_token,
            None => return Ok(Next::In(DIED)),
        };
        Ok(match (no_token.reason, no_token.retry_after) {
            (_, Some(retry_after)) => {
                Next::In((retry_after + share(retry_after / 10, key.id)).max(SOONEST))
            }
            (NoTokenReason::NeedsReauthorization(_) | NoTokenReason::Ended, None) => Next::Done,
            (NoTokenReason::ShuttingDown, None) => Next::In(SOONEST),
            (_, None) => Next::In(UNABLE),
        })
    }

    /// Handles a valid credential. The commit of the token has scheduled the next job, unless the
    /// token was already valid before.
    async fn settled(&self, due: &Due, connector: &dyn Connector) -> Result<Next> {
        let description = connector.description();
        let Some(stored) = self.hub.inner.store.load(&due.key).await? else {
            return Ok(Next::Done);
        };
        if due.kind == WorkKind::KeepAlive {
            self.warn_of_the_end(&stored, description).await?;
            return Ok(Next::Done);
        }
        let Some(left) = stored.current.as_ref().and_then(|it| it.access_left) else {
            return Ok(Next::Done);
        };
        let left = left.remaining();
        let held = self.hub.inner.cache.newest(&due.key);
        let (refreshable, life) = held.map_or((true, left), |(_, credential)| {
            let life = renewal::lifetime(&credential).unwrap_or(left);
            (connector.renewal(&credential) != Renewal::Never, life)
        });
        Ok(match description.refresh {
            _ if !refreshable => Next::In(left.max(SOONEST)),
            RefreshPolicy::OnDemand => Next::Done,
            _ => {
                let opens = renewal::windows(description, life, due.key.id).opens_in(left);
                Next::In(opens.max(UNCHANGED))
            }
        })
    }

    /// Warns before a refresh token expires if refreshes do not extend its expiry. The account's
    /// owner must then authorize again.
    async fn warn_of_the_end(&self, stored: &Stored, description: &Description) -> Result<()> {
        let left = stored.current.as_ref().and_then(|it| it.refresh_left);
        let Some(left) = left.map(TimeLeft::remaining) else {
            return Ok(());
        };
        let life = description.lifetimes.refresh().unwrap_or(Duration::MAX);
        if left > renewal::ending(&description.lifetimes, life) {
            return Ok(());
        }
        let inner = &self.hub.inner;
        let connection = &stored.connection;
        tracing::warn!(
            connector = connection.provider.as_str(),
            connection = %connection.key.id,
            left_s = left.as_secs(),
            "the refresh token expires soon; its owner must connect the account again"
        );
        let event = Event::RefreshExpiring {
            at: inner.clock.now().after(left),
        };
        let context = Inner::worker_context(&connection.key);
        let entry = audit::entry(connection, &context, event);
        inner.store.append(entry).await
    }
}
