//! Subscription maintenance: creates, renews, compares and deletes channels, and reads changes.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use connector_core::api::{FixedToken, Session};
use connector_core::cipher::SealedKind;
use connector_core::provider::Connector;
use connector_core::provider::subscription::{
    CatchUp, Channel, ChannelId, ChannelRenewal, CreatedChannel, ListedChannel, NewChannel,
    Notification, RenewOutcome, SecretSource, SubscriptionContext, SubscriptionPlan, Subscriptions,
    Watch,
};
use connector_core::store::{
    BeginChannel, ChangeSubscriptionOutcome, Ending, OpenChannel, OpenedChannel, SideEffects,
    Stored, Subscription, SubscriptionChange, TimeLeft, Version,
};
use connector_core::{
    Account, AuditClass, AuditEntry, ConnectionId, ConnectionKey, Error, ErrorKind, Event, Result,
    Retry,
};
use secrecy::SecretString;

use super::slots::slot_host;
use super::{Next, Shared, doubled};
use crate::audit;
use crate::hub::Inner;
use crate::sealing::SealOwner;
use crate::subscribe::{ChannelSecrets, SILENT_READS};
use crate::token::windows::share;

/// Timeout of one provider call.
const DEADLINE: Duration = Duration::from_secs(60);
/// Age up to which another worker may still be creating a candidate. It is the call's timeout plus
/// the time for the store.
const CREATING: Duration = Duration::from_secs(180);
/// Maximum duration of one run for a connection. Much shorter than the lease of its work.
const MAX_RUN: Duration = Duration::from_secs(180);
/// Maximum time to retry storing the result of a call while the store is unavailable.
const PATIENCE: Duration = Duration::from_secs(60);
/// Maximum number of pages of changes to read for one subscription in one run.
const PAGES: usize = 50;
/// While notifications are missing, changes are read this many times as often.
const SILENT_DIVISOR: u32 = 4;
/// First and maximum pause after failures. The pause doubles with each failure.
const PAUSES: [Duration; 2] = [Duration::from_secs(30), Duration::from_secs(3600)];
/// Pause after an error that only a person can correct.
const NEEDS_A_PERSON: Duration = Duration::from_secs(3600);
/// Pause after another worker changed a subscription or while other runs use all of the provider's
/// slots.
const ELSEWHERE: Duration = Duration::from_secs(30);
/// Minimum pause between two runs of one connection.
const SOONEST: Duration = Duration::from_secs(1);
/// Maximum number of attempts to delete a channel of an ended connection. After these attempts, the
/// channel expires at the provider.
const ATTEMPTS: u32 = 5;
/// Pause after the first failed attempt to delete a channel. It doubles with each attempt.
const ENDING_PAUSE: Duration = Duration::from_secs(60);
/// Maximum number of channels to delete in one run.
const ENDINGS: u16 = 32;
/// Maximum time before expiry at which a channel is renewed.
const MAX_MARGIN: Duration = Duration::from_secs(3 * 86_400);

/// The state of one run for a connection.
struct Run<'a> {
    inner: &'a Inner,
    connector: &'a dyn Connector,
    calls: &'a dyn Subscriptions,
    stored: &'a Stored,
    cx: SubscriptionContext<'a>,
}

/// The result of one step.
enum Step {
    /// The changed subscription.
    Changed(Box<Subscription>),
    /// The subscription ended or was changed by another worker. The result of this run is
    /// discarded.
    Lost,
}

/// The reason why a step failed.
enum Failed {
    /// The provider or the connector failed. The failure is counted for the subscription, and the
    /// step is retried.
    Call(Error),
    /// The run ends, because the store failed, a shutdown started, or the whole connection failed.
    Run(Error),
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Run(error)
    }
}

impl Failed {
    /// Classifies the error of a provider call.
    fn of_call(error: Error) -> Self {
        match error.kind() {
            ErrorKind::NeedsReauthorization
            | ErrorKind::AppMisconfigured
            | ErrorKind::RefreshUnresolved
            | ErrorKind::NotFound
            | ErrorKind::StoreUnavailable
            | ErrorKind::ShuttingDown => Self::Run(error),
            _ if error.reauthorization().is_some() => Self::Run(error),
            _ => Self::Call(error),
        }
    }
}

impl Shared {
    pub(super) async fn keep_subscriptions(&self, key: &ConnectionKey) -> Result<Next> {
        let inner = &*self.hub.inner;
        let stored = inner.store.load(key).await?;
        let Some(stored) = stored.filter(|it| it.connection.is_live()) else {
            return self.end_channels_of_ended(key).await;
        };
        let connection = &stored.connection;
        let connector = Arc::clone(inner.connector(&connection.provider)?);
        let Some(calls) = connector.subscriptions() else {
            let endings = inner.store.endings(key, ENDINGS).await?;
            inner.endings_failed(&endings, &no_subscriptions()).await?;
            return Ok(Next::Done);
        };
        let rows = inner.store.subscriptions(key).await?;
        if rows.is_empty() && inner.store.endings(key, 1).await?.is_empty() {
            return Ok(Next::Done);
        }
        let host = slot_host(connector.description(), connection.account.host.as_deref());
        let slot = self.subscription_slots.take(&connection.provider, host);
        let Some(_slot) = slot.await else {
            return Ok(Next::In(ELSEWHERE));
        };
        let session = self.hub.session(key).await?.background();
        let run = Run {
            inner,
            connector: &*connector,
            calls,
            stored: &stored,
            cx: SubscriptionContext::new(&session, &connection.account),
        };
        let has_rows = !rows.is_empty();
        match run.all(rows).await {
            Ok(Some(wait)) => Ok(Next::In(wait.max(SOONEST))),
            // Subscriptions that another worker changed are checked again. The connection's work is
            // removed only if it has no subscriptions.
            Ok(None) if has_rows => Ok(Next::In(ELSEWHERE)),
            Ok(None) => Ok(Next::Done),
            Err(error) if is_of_store(&error) => Err(error),
            Err(error) => {
                tracing::warn!(
                    operation = "worker.subscriptions",
                    connector = connection.provider.as_str(),
                    connection = %key.id,
                    error = %error,
                    "the connection's subscriptions cannot be maintained now"
                );
                Ok(Next::In(match error.retry() {
                    Retry::After(after) => after.min(NEEDS_A_PERSON),
                    Retry::Backoff => PAUSES[0],
                    _ => NEEDS_A_PERSON,
                }))
            }
        }
    }

    /// Deletes the channels of an ended connection, with the stored copy of its credential.
    async fn end_channels_of_ended(&self, key: &ConnectionKey) -> Result<Next> {
        let inner = &*self.hub.inner;
        let endings = inner.store.endings(key, ENDINGS).await?;
        let Some(first) = endings.first() else {
            return Ok(Next::Done);
        };
        let connector = Arc::clone(inner.connector(&first.provider)?);
        let Some(calls) = connector.subscriptions() else {
            inner.endings_failed(&endings, &no_subscriptions()).await?;
            return Ok(Next::In(SOONEST));
        };
        let Some(_slot) = self.subscription_slots.take(&first.provider, None).await else {
            return Ok(Next::In(ELSEWHERE));
        };
        let session = match inner.session_of_copy(first, &*connector).await {
            Ok(session) => session,
            Err(error) => {
                let wait = inner.endings_failed(&endings, &error).await?;
                return Ok(wait.map_or(Next::Done, Next::In));
            }
        };
        let mut account = Account::identified(first.account.clone());
        if let Some(host) = &first.account_host {
            account = account.with_host(host.clone());
        }
        let cx = SubscriptionContext::new(&session, &account);
        let wait = inner.end_channels(calls, &cx, endings).await?;
        Ok(wait.map_or(Next::Done, Next::In))
    }
}

impl Inner {
    /// Returns a session that uses the stored copy of the credential of a connection that has
    /// ended. The copy is never refreshed.
    async fn session_of_copy(&self, ending: &Ending, connector: &dyn Connector) -> Result<Session> {
        let Some(copy) = &ending.credential else {
            return Err(Error::new(
                ErrorKind::NotFound,
                "worker.subscriptions",
                "the connection has ended, and there is no credential to delete its channel with",
            ));
        };
        let (key, provider) = (ending.connection.clone(), ending.provider.clone());
        let owner = SealOwner::new(key, provider, ending.app.clone());
        let kind = SealedKind::Revocation;
        let credential = self
            .open(&owner, kind, copy.grant, copy.fence, &copy.sealed)
            .await?;
        let token = FixedToken::new(credential.origin().clone(), credential.secret().clone());
        let transport = Arc::clone(&self.transport);
        Ok(Session::builder(connector, Arc::new(token), transport)
            .clock(Arc::clone(&self.clock))
            .random(Arc::clone(&self.random))
            .build()
            .background())
    }

    /// Deletes channels at the provider. Returns the time until the next attempt.
    async fn end_channels(
        &self,
        calls: &dyn Subscriptions,
        cx: &SubscriptionContext<'_>,
        endings: Vec<Ending>,
    ) -> Result<Option<Duration>> {
        let begun = self.clock.monotonic();
        let mut wait = None;
        let mut lists: BTreeMap<Watch, Vec<ListedChannel>> = BTreeMap::new();
        let full = endings.len() == usize::from(ENDINGS);
        for ending in endings {
            if self.clock.monotonic().since(begun) > MAX_RUN {
                return Ok(Some(SOONEST));
            }
            match self.end_channel(calls, cx, &ending, &mut lists).await {
                Ok(()) => {
                    let (connection, channel) = (&ending.connection, &ending.channel);
                    self.store.ending_done(connection, channel).await?;
                }
                Err(error) if is_of_store(&error) => return Err(error),
                Err(error) => {
                    let failed = self.endings_failed(&[ending], &error).await?;
                    wait = sooner(wait, failed);
                }
            }
        }
        if full {
            wait = sooner(wait, Some(SOONEST));
        }
        Ok(wait)
    }

    async fn end_channel(
        &self,
        calls: &dyn Subscriptions,
        cx: &SubscriptionContext<'_>,
        ending: &Ending,
        lists: &mut BTreeMap<Watch, Vec<ListedChannel>>,
    ) -> Result<()> {
        let resource = if let Some(resource) = &ending.resource {
            resource.clone()
        } else {
            // The response to the channel's creation was lost, so the channel may exist under an
            // unknown id.
            if !lists.contains_key(&ending.watch) {
                let watches = [ending.watch.clone()];
                let list = self.timed(calls.list(cx, &watches)).await?;
                lists.insert(ending.watch.clone(), list.unwrap_or_default());
            }
            let mut listed = lists.get(&ending.watch).into_iter().flatten();
            let found = listed.find(|it| {
                let url = it.url.as_deref();
                let channel = url.and_then(|url| self.channel_of(&ending.provider, url));
                channel.as_ref() == Some(&ending.channel)
            });
            match found {
                Some(found) => found.resource.clone(),
                None => return Ok(()),
            }
        };
        let channel = Channel::new(&ending.watch, &ending.channel, &resource);
        match self.timed(calls.end(cx, &channel)).await {
            Err(error) if error.kind() == ErrorKind::ProviderNotFound => Ok(()),
            ended => ended,
        }
    }

    /// Counts failed attempts. The worker stops trying to delete a channel of an ended connection
    /// after five attempts. The worker also stops if the provider refuses the deletion. After these
    /// attempts, the channel expires at the provider.
    async fn endings_failed(&self, endings: &[Ending], error: &Error) -> Result<Option<Duration>> {
        let mut wait = None;
        for ending in endings {
            let (key, channel) = (&ending.connection, &ending.channel);
            let Some(attempts) = self.store.ending_failed(key, channel).await? else {
                continue;
            };
            let refused = error.kind() == ErrorKind::Unauthorized
                || error.reauthorization().is_some()
                || matches!(error.kind(), ErrorKind::NotFound | ErrorKind::Unsupported);
            // While the connection is live, later runs try again with its own credential.
            let lives = ending.credential.is_none();
            if (lives || attempts < ATTEMPTS) && !refused {
                let pause = doubled(ENDING_PAUSE, attempts.saturating_sub(1), PAUSES[1]);
                wait = sooner(wait, Some(pause));
                continue;
            }
            tracing::warn!(
                operation = "worker.subscriptions",
                connector = ending.provider.as_str(),
                connection = %key.id,
                error = %error,
                attempts,
                "a notification channel could not be deleted; it is left to expire"
            );
            // The entry is written first. If the process dies in between, the entry is written
            // twice rather than not at all.
            let left = AuditEntry {
                class: AuditClass::Connection,
                tenant: key.tenant.clone(),
                provider: ending.provider.clone(),
                app: ending.app.clone(),
                connection: Some(key.id),
                context: Self::worker_context(key),
                event: Event::ChannelLeft {
                    watch: ending.watch.clone(),
                    reason: error.kind().as_str().to_owned(),
                },
                notify: false,
            };
            self.store.append(left).await?;
            self.store.ending_done(key, channel).await?;
        }
        Ok(wait)
    }

    /// Runs a call with the timeout.
    async fn timed<T>(&self, call: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            biased;
            outcome = call => outcome,
            () = self.clock.sleep(DEADLINE) => Err(Error::new(
                ErrorKind::Timeout,
                "worker.subscriptions",
                "the provider did not answer within a minute",
            )
            .with_retry(Retry::Backoff)),
        }
    }
}

impl Run<'_> {
    /// Maintains every subscription of the connection. Returns the time until the next run.
    async fn all(&self, rows: Vec<Subscription>) -> Result<Option<Duration>> {
        let begun = self.inner.clock.monotonic();
        let key = &self.stored.connection.key;
        let mut wait = self.end_replaced().await?;
        let mut planned = Vec::with_capacity(rows.len());
        for row in rows {
            match self.calls.describe(&row.watch) {
                Ok(plan) => planned.push((row, plan)),
                Err(error) => {
                    tracing::error!(
                        operation = "worker.subscriptions",
                        connection = %key.id,
                        error = %error,
                        "the connector no longer knows a watched resource; end its subscription"
                    );
                    wait = sooner(wait, Some(NEEDS_A_PERSON));
                }
            }
        }
        let planned = match self.compare(planned).await {
            Ok((planned, soon)) => {
                wait = sooner(wait, soon);
                planned
            }
            Err(Failed::Call(error) | Failed::Run(error)) => return Err(error),
        };
        for (row, plan) in planned {
            if self.inner.clock.monotonic().since(begun) > MAX_RUN {
                return Ok(Some(SOONEST));
            }
            wait = sooner(wait, self.keep(row, &plan).await?);
        }
        // Channels that were just replaced are deleted now.
        Ok(sooner(wait, self.end_replaced().await?))
    }

    async fn end_replaced(&self) -> Result<Option<Duration>> {
        let key = &self.stored.connection.key;
        let endings = self.inner.store.endings(key, ENDINGS).await?;
        if endings.is_empty() {
            return Ok(None);
        }
        self.inner.end_channels(self.calls, &self.cx, endings).await
    }

    /// Maintains one subscription. Returns the time until its next run; `None` if it has ended.
    async fn keep(&self, row: Subscription, plan: &SubscriptionPlan) -> Result<Option<Duration>> {
        if let Some(failures) = &row.failures {
            let pause = pause_of(&row, failures.count);
            if failures.age < pause {
                return Ok(Some(pause.saturating_sub(failures.age)));
            }
        }
        let before = (row.key.clone(), row.version);
        match self.keep_channel_and_read(row, plan).await {
            Ok(Some(kept)) => Ok(Some(self.due_in(&kept, plan))),
            // Another worker changed the subscription, or it ended. The next run checks which.
            Ok(None) => Ok(Some(ELSEWHERE)),
            Err(Failed::Run(error)) => Err(error),
            Err(Failed::Call(error)) => self.failed(before, &error).await,
        }
    }

    /// Counts a failure. An earlier step may have changed the version.
    async fn failed(
        &self,
        (key, mut at): (connector_core::store::SubscriptionKey, Version),
        error: &Error,
    ) -> Result<Option<Duration>> {
        tracing::warn!(
            operation = "worker.subscriptions",
            connector = self.stored.connection.provider.as_str(),
            connection = %key.connection.id,
            error = %error,
            "a subscription could not be maintained; it is retried"
        );
        for _ in 0..4 {
            let change = SubscriptionChange {
                outcome: Some(Some(error.kind().as_str().to_owned())),
                ..SubscriptionChange::default()
            };
            let store = &self.inner.store;
            let changed = store.change_subscription(&key, at, change, SideEffects::none());
            match changed.await? {
                ChangeSubscriptionOutcome::Changed(_) => {
                    let rows = store.subscriptions(&key.connection).await?;
                    let row = rows.into_iter().find(|it| it.key == key);
                    let Some(row) = row else {
                        return Ok(None);
                    };
                    let count = row.failures.as_ref().map_or(1, |it| it.count);
                    let asked = match error.retry() {
                        Retry::After(after) => after,
                        _ => Duration::ZERO,
                    };
                    return Ok(Some(pause_of(&row, count).max(asked)));
                }
                ChangeSubscriptionOutcome::Moved(moved) => at = moved.version,
                ChangeSubscriptionOutcome::Missing => return Ok(None),
            }
        }
        Ok(Some(ELSEWHERE))
    }

    /// Returns the current subscription; `None` if another worker changed it or it has ended.
    async fn keep_channel_and_read(
        &self,
        mut row: Subscription,
        plan: &SubscriptionPlan,
    ) -> Result<Option<Subscription>, Failed> {
        let mut reads = Self::reads_now(&row, plan);
        // Changes that are found by a read should have been notified, if the channel was open since
        // the previous read.
        let mut is_watched = row.channel.is_some();
        if let Notification::Channel {
            renewal, secret, ..
        } = plan.notification
        {
            if plan.catch_up_every.is_some() && row.cursor.is_none() {
                // The cursor is set before the channel exists, so that no change in between is
                // lost.
                match self.read(row, false).await? {
                    Step::Changed(read) => row = *read,
                    Step::Lost => return Ok(None),
                }
            }
            let is_due =
                |open: &OpenChannel| renew_in(open, self.id()).is_some_and(|left| left.is_zero());
            if row.channel.as_ref().is_none_or(is_due) {
                let creating = row.candidate.as_ref().is_some_and(|it| it.age < CREATING);
                let step = match &row.channel {
                    Some(open) if renewal != ChannelRenewal::Replace => {
                        self.renew(row.clone(), open, secret).await?
                    }
                    _ if creating => return Ok(Some(row)),
                    _ => self.create(row.clone(), secret).await?,
                };
                match step {
                    Step::Changed(changed) => row = *changed,
                    Step::Lost => return Ok(None),
                }
                // Notifications may have been missed while there was no channel.
                reads = plan.catch_up_every.is_some();
                is_watched = false;
            }
        }
        if reads {
            let before = row.silent_reads;
            match self.read(row, is_watched).await? {
                Step::Changed(read) => row = *read,
                Step::Lost => return Ok(None),
            }
            // The provider may have dropped the channel. The next comparison repairs a channel that
            // can be listed; the other ones are replaced.
            if before < SILENT_READS
                && is_silent(&row)
                && let Notification::Channel {
                    renewal: ChannelRenewal::Replace,
                    secret,
                    ..
                } = plan.notification
            {
                return Ok(match self.create(row, secret).await? {
                    Step::Changed(replaced) => Some(*replaced),
                    Step::Lost => None,
                });
            }
        }
        Ok(Some(row))
    }

    fn id(&self) -> ConnectionId {
        self.stored.connection.key.id
    }

    fn reads_now(row: &Subscription, plan: &SubscriptionPlan) -> bool {
        Self::read_in(row, plan).is_some_and(|left| left.is_zero())
    }

    /// Returns the time until the next read of changes; `None` if the provider has no changes to
    /// read.
    fn read_in(row: &Subscription, plan: &SubscriptionPlan) -> Option<Duration> {
        let mut every = plan.catch_up_every?;
        if is_silent(row) {
            every /= SILENT_DIVISOR;
        }
        if row.notified > row.read {
            return Some(Duration::ZERO);
        }
        let age = row.read_age;
        Some(age.map_or(Duration::ZERO, |age| every.saturating_sub(age)))
    }

    /// Returns the time until the subscription is due for any step.
    fn due_in(&self, row: &Subscription, plan: &SubscriptionPlan) -> Duration {
        let mut wait = Self::read_in(row, plan);
        if plan.has_channel() {
            wait = sooner(wait, Some(compare_in(row, plan)));
            wait = sooner(
                wait,
                match (&row.channel, &row.candidate) {
                    (Some(open), _) => renew_in(open, self.id()),
                    (None, Some(candidate)) => Some(CREATING.saturating_sub(candidate.age)),
                    (None, None) => Some(Duration::ZERO),
                },
            );
        }
        wait.unwrap_or(plan.compare_every)
    }

    /// Changes a subscription, and retries for a short time while the store is unavailable. `done`
    /// detects a change that was already applied.
    async fn change(
        &self,
        row: &Subscription,
        change: SubscriptionChange,
        effects: SideEffects,
        done: impl Fn(&Subscription) -> bool,
    ) -> Result<Step, Failed> {
        let store = &self.inner.store;
        let call =
            || store.change_subscription(&row.key, row.version, change.clone(), effects.clone());
        match self.inner.insist(PATIENCE, call).await? {
            ChangeSubscriptionOutcome::Changed(version) => {
                let rows = store.subscriptions(&row.key.connection).await?;
                let now = rows.into_iter().find(|it| it.key == row.key);
                Ok(match now {
                    Some(now) if now.version == version => Step::Changed(Box::new(now)),
                    _ => Step::Lost,
                })
            }
            ChangeSubscriptionOutcome::Moved(now) if done(&now) => Ok(Step::Changed(now)),
            ChangeSubscriptionOutcome::Moved(_) | ChangeSubscriptionOutcome::Missing => {
                Ok(Step::Lost)
            }
        }
    }

    /// Creates a channel. The channel's id and secret are stored before the provider is called,
    /// because the provider may use both before its response arrives.
    async fn create(&self, row: Subscription, source: SecretSource) -> Result<Step, Failed> {
        let inner = self.inner;
        let channel = ChannelId::generate(&*inner.random)?;
        let url = inner.channel_url(&row.provider, &channel)?;
        let secret = self.new_secret()?;
        let mut secrets = match &row.channel {
            Some(open) => {
                let mut secrets = inner.channel_secrets(&row).await?;
                secrets.retain(|of, _| of == open.channel.as_str());
                secrets
            }
            None => ChannelSecrets::new(),
        };
        secrets.insert(channel.as_str().to_owned(), secret.clone());
        let begin = SubscriptionChange {
            begin: Some(BeginChannel {
                channel: channel.clone(),
                secrets: inner.seal_channel_secrets(&row, &secrets).await?,
            }),
            ..SubscriptionChange::default()
        };
        let is_ours = |now: &Subscription| {
            let candidate = now.candidate.as_ref();
            candidate.is_some_and(|it| it.channel == channel)
        };
        let row = match self
            .change(&row, begin, SideEffects::none(), is_ours)
            .await?
        {
            Step::Changed(row) => *row,
            Step::Lost => return Ok(Step::Lost),
        };
        // Leftovers of earlier attempts are deleted first, because some providers refuse a second
        // channel for one watch.
        self.end_replaced().await?;
        let new = NewChannel::new(&row.watch, &channel, &url, &secret, row.cursor.as_deref());
        let created = inner.timed(self.calls.create(&self.cx, &new)).await;
        let created = created.map_err(Failed::of_call)?;
        self.open(row, channel, created, secret, source).await
    }

    async fn open(
        &self,
        row: Subscription,
        channel: ChannelId,
        created: CreatedChannel,
        own: SecretString,
        source: SecretSource,
    ) -> Result<Step, Failed> {
        let inner = self.inner;
        let plain = (1..=255).contains(&created.resource.len())
            && !created.resource.chars().any(char::is_control);
        let secret = match source {
            SecretSource::Provider => created.secret,
            _ => Some(own),
        };
        let cursor = created.cursor.as_ref();
        let fits = cursor.is_none_or(|it| it.len() <= CatchUp::MAX_CURSOR);
        let (Some(secret), true, true) = (secret, plain, fits) else {
            return Err(Failed::Call(Error::new(
                ErrorKind::UnexpectedResponse,
                "subscriptions.create",
                "the provider's response contains no usable channel; update the connector",
            )));
        };
        let mut secrets = ChannelSecrets::new();
        secrets.insert(channel.as_str().to_owned(), secret);
        let open = SubscriptionChange {
            open: Some(OpenedChannel {
                channel: channel.clone(),
                resource: created.resource.clone(),
                expires_in: created.expires_in,
                secrets: inner.seal_channel_secrets(&row, &secrets).await?,
            }),
            cursor: created.cursor,
            // A channel that was just created need not be compared with the list.
            compared: true,
            outcome: Some(None),
            ..SubscriptionChange::default()
        };
        let is_open = |now: &Subscription| {
            let open = now.channel.as_ref();
            open.is_some_and(|it| it.channel == channel)
        };
        let step = self
            .change(&row, open, SideEffects::none(), is_open)
            .await?;
        if matches!(step, Step::Lost) {
            // The new channel is unused. If its deletion fails, the next comparison finds it.
            let unused = Channel::new(&row.watch, &channel, &created.resource);
            if let Err(error) = inner.timed(self.calls.end(&self.cx, &unused)).await {
                tracing::warn!(
                    operation = "worker.subscriptions",
                    connection = %self.id(),
                    error = %error,
                    "an unused channel could not be deleted"
                );
            }
        }
        Ok(step)
    }

    fn new_secret(&self) -> Result<SecretString> {
        let mut bytes = [0; 32];
        self.inner.random.fill(&mut bytes)?;
        Ok(SecretString::from(hex::encode(bytes)))
    }

    async fn renew(
        &self,
        row: Subscription,
        open: &OpenChannel,
        secret: SecretSource,
    ) -> Result<Step, Failed> {
        let channel = Channel::new(&row.watch, &open.channel, &open.resource);
        let renewed = self.inner.timed(self.calls.renew(&self.cx, &channel)).await;
        match renewed.map_err(Failed::of_call)? {
            RenewOutcome::Renewed { expires_in } => {
                let change = SubscriptionChange {
                    renewed: Some(expires_in),
                    outcome: Some(None),
                    ..SubscriptionChange::default()
                };
                self.change(&row, change, SideEffects::none(), |_| false)
                    .await
            }
            _ => match self.drop_channel(&row).await? {
                Step::Changed(dropped) => self.create(*dropped, secret).await,
                Step::Lost => Ok(Step::Lost),
            },
        }
    }

    async fn drop_channel(&self, row: &Subscription) -> Result<Step, Failed> {
        tracing::warn!(
            operation = "worker.subscriptions",
            connector = row.provider.as_str(),
            connection = %self.id(),
            "the provider has ended a channel; a new one is created"
        );
        let change = SubscriptionChange {
            drop_channel: true,
            compared: true,
            ..SubscriptionChange::default()
        };
        self.change(row, change, SideEffects::none(), |_| false)
            .await
    }

    /// Reads changes after the cursor. A page is stored in the inbox before the cursor is advanced.
    /// After a failure between these steps, the page is read again, and the inbox detects the
    /// duplicate changes. If `is_watched` is true, changes without a notification count as a silent
    /// read.
    async fn read(&self, mut row: Subscription, is_watched: bool) -> Result<Step, Failed> {
        let inner = self.inner;
        let connection = &self.stored.connection;
        let notified = row.notified;
        let (was_notified, was_silent) = (notified > row.read, is_silent(&row));
        let mut new = 0;
        for _ in 0..PAGES {
            let cursor = row.cursor.as_deref();
            let read = inner.timed(self.calls.catch_up(&self.cx, &row.watch, cursor));
            let caught = read.await.map_err(Failed::of_call)?;
            if caught.cursor.len() > CatchUp::MAX_CURSOR {
                return Err(Failed::Call(Error::new(
                    ErrorKind::UnexpectedResponse,
                    "subscriptions.catch_up",
                    "the cursor is longer than 4096 bytes; update the connector",
                )));
            }
            let accepted = inner
                .accept_changes(self.connector, connection, caught.events)
                .await;
            new += accepted.map_err(Failed::of_call)?;
            let last = !caught.more;
            let silent_reads = if was_notified {
                0
            } else if is_watched && new > 0 {
                row.silent_reads.saturating_add(1)
            } else {
                row.silent_reads
            };
            let is_silent = silent_reads >= SILENT_READS;
            let watch = || row.watch.clone();
            let missed = caught
                .missed
                .then(|| Event::ChangesMissed { watch: watch() });
            let silence = match (was_silent, is_silent) {
                (false, true) if last => Some(Event::NotificationsMissing { watch: watch() }),
                (true, false) if last => Some(Event::NotificationsResumed { watch: watch() }),
                _ => None,
            };
            let context = Inner::worker_context(&connection.key);
            let effects = missed
                .into_iter()
                .chain(silence)
                .fold(SideEffects::none(), |effects, event| {
                    effects.with_audit(audit::entry(connection, &context, event))
                });
            let cursor = caught.cursor;
            let change = SubscriptionChange {
                cursor: Some(cursor.clone()),
                read: last.then_some(notified),
                silent_reads: last.then_some(silent_reads),
                outcome: last.then_some(None),
                ..SubscriptionChange::default()
            };
            let is_there = |now: &Subscription| now.cursor.as_ref() == Some(&cursor);
            match self.change(&row, change, effects, is_there).await? {
                Step::Changed(changed) => row = *changed,
                Step::Lost => return Ok(Step::Lost),
            }
            if last {
                break;
            }
        }
        Ok(Step::Changed(Box::new(row)))
    }

    /// Compares the stored channels with the provider's list, if the comparison is due. Missing
    /// channels are removed from the store, disabled channels are enabled, and unknown channels are
    /// deleted at the provider. Returns the subscriptions to process now, and the time until the
    /// other subscriptions are due.
    async fn compare(
        &self,
        planned: Vec<(Subscription, SubscriptionPlan)>,
    ) -> Result<(Vec<(Subscription, SubscriptionPlan)>, Option<Duration>), Failed> {
        // A failed creation may be caused by an unknown channel at the provider.
        let due = planned.iter().any(|(row, plan)| {
            let is_due = match row.channel {
                Some(_) => compare_in(row, plan).is_zero(),
                None => row.failures.is_some(),
            };
            plan.has_channel() && is_due
        });
        if !due {
            return Ok((planned, None));
        }
        let mut soon = None;
        let mut watches: Vec<Watch> = planned.iter().map(|(row, _)| row.watch.clone()).collect();
        watches.sort();
        watches.dedup();
        let listed = match self.inner.timed(self.calls.list(&self.cx, &watches)).await {
            Ok(listed) => listed,
            Err(error) => match Failed::of_call(error) {
                Failed::Run(error) => return Err(Failed::Run(error)),
                Failed::Call(error) => {
                    tracing::warn!(
                        operation = "worker.subscriptions",
                        connection = %self.id(),
                        error = %error,
                        "the provider's channels could not be listed"
                    );
                    return Ok((planned, None));
                }
            },
        };
        let mut kept = Vec::with_capacity(planned.len());
        for (row, plan) in planned {
            let Some(open) = row.channel.clone().filter(|_| plan.has_channel()) else {
                kept.push((row, plan));
                continue;
            };
            match self.compare_one(&row, &open, listed.as_deref()).await {
                Ok(Step::Changed(row)) => kept.push((*row, plan)),
                // The next run, which is due soon, continues with the row.
                Ok(Step::Lost) => soon = sooner(soon, Some(ELSEWHERE)),
                Err(Failed::Run(error)) => return Err(Failed::Run(error)),
                Err(Failed::Call(error)) => {
                    let place = (row.key.clone(), row.version);
                    soon = sooner(soon, self.failed(place, &error).await?);
                }
            }
        }
        if let Some(listed) = listed {
            self.end_unknown(&listed).await?;
        }
        Ok((kept, soon))
    }

    async fn compare_one(
        &self,
        row: &Subscription,
        open: &OpenChannel,
        listed: Option<&[ListedChannel]>,
    ) -> Result<Step, Failed> {
        let mut change = SubscriptionChange {
            compared: true,
            ..SubscriptionChange::default()
        };
        if let Some(listed) = listed {
            let Some(found) = listed.iter().find(|it| it.resource == open.resource) else {
                return self.drop_channel(row).await;
            };
            if !found.enabled {
                let channel = Channel::new(&row.watch, &open.channel, &open.resource);
                let renewed = self.inner.timed(self.calls.renew(&self.cx, &channel)).await;
                match renewed.map_err(Failed::of_call)? {
                    RenewOutcome::Renewed { expires_in } => change.renewed = Some(expires_in),
                    _ => return self.drop_channel(row).await,
                }
            } else if let Some(left) = found.expires_in
                && open
                    .expires
                    .is_none_or(|known| left + SOONEST * 60 < known.remaining())
            {
                // The channel expires earlier than the provider stated before.
                change.renewed = Some(Some(left));
            }
        }
        self.change(row, change, SideEffects::none(), |_| false)
            .await
    }

    /// Deletes channels with a URL of this hub that belong to no subscription. Such channels exist
    /// if the response to their creation was lost or if a backup was restored.
    async fn end_unknown(&self, listed: &[ListedChannel]) -> Result<(), Failed> {
        let inner = self.inner;
        let connection = &self.stored.connection;
        let waiting = inner.store.endings(&connection.key, ENDINGS).await?;
        for found in listed {
            let url = found.url.as_deref();
            let Some(channel) = url.and_then(|it| inner.channel_of(&connection.provider, it))
            else {
                continue;
            };
            if waiting.iter().any(|it| it.channel == channel)
                || inner
                    .store
                    .subscription_by_channel(&channel)
                    .await?
                    .is_some()
            {
                continue;
            }
            let unknown = Channel::new(&found.watch, &channel, &found.resource);
            if let Err(error) = inner.timed(self.calls.end(&self.cx, &unknown)).await {
                tracing::warn!(
                    operation = "worker.subscriptions",
                    connection = %self.id(),
                    error = %error,
                    "a channel without a subscription could not be deleted"
                );
            }
        }
        Ok(())
    }
}

fn no_subscriptions() -> Error {
    Error::new(
        ErrorKind::Unsupported,
        "worker.subscriptions",
        "the connector no longer supports subscriptions",
    )
}

fn is_of_store(error: &Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::StoreUnavailable | ErrorKind::ShuttingDown
    )
}

fn sooner(a: Option<Duration>, b: Option<Duration>) -> Option<Duration> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

/// Returns true if notifications are missing.
const fn is_silent(row: &Subscription) -> bool {
    row.silent_reads >= SILENT_READS
}

/// Returns the time until the channel is compared with the provider's list.
fn compare_in(row: &Subscription, plan: &SubscriptionPlan) -> Duration {
    let age = row.compared_age.unwrap_or(Duration::MAX);
    let every = match plan.catch_up_every {
        Some(every) if is_silent(row) => every.min(plan.compare_every),
        _ => plan.compare_every,
    };
    every.saturating_sub(age)
}

/// Returns the time until a channel is renewed; `None` if it does not expire.
fn renew_in(open: &OpenChannel, id: ConnectionId) -> Option<Duration> {
    let left = open.expires.map(TimeLeft::remaining)?;
    Some(left.saturating_sub(margin(open.granted.unwrap_or(left), id)))
}

/// Returns the time before expiry at which a channel is renewed. It is a third of the channel's
/// lifetime, at most three days. The time is shortened by up to a quarter. The fraction is constant
/// per connection, so that channels with the same creation time are renewed at different times.
fn margin(granted: Duration, id: ConnectionId) -> Duration {
    let margin = (granted / 3).min(MAX_MARGIN);
    margin.saturating_sub(share(margin / 4, id))
}

/// Returns the pause after the given number of failures of a subscription. The pause is shorter if
/// the channel is about to expire.
fn pause_of(row: &Subscription, count: u32) -> Duration {
    let left = row.channel.as_ref().and_then(|it| it.expires);
    let pause = pause(count);
    left.map_or(pause, |left| {
        pause.min((left.remaining() / 4).max(PAUSES[0]))
    })
}

/// Returns the pause after the given number of consecutive failures.
fn pause(count: u32) -> Duration {
    doubled(PAUSES[0], count.saturating_sub(1), PAUSES[1])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn a_channel_is_renewed_after_two_thirds_to_three_quarters_of_its_lifetime() {
        let mut margins = 0;
        for days in [1, 3, 7] {
            for last in [0_u8, 50, 100, 200, 255] {
                let mut bytes = [0; 16];
                (bytes[14], bytes[15]) = (1, last);
                let granted = DAY * days;
                let margin = margin(granted, ConnectionId::from_bytes(bytes));
                assert!(margin <= granted / 3 && margin >= granted / 4, "{margin:?}");
                margins += 1;
            }
        }
        let id = ConnectionId::from_bytes([0; 16]);
        assert_eq!(margin(DAY * 365, id), MAX_MARGIN);
        assert_eq!(margins, 15);
    }

    #[test]
    fn pauses_grow_to_an_hour_and_no_further() {
        let seconds: Vec<u64> = [1, 2, 3, 8, u32::MAX]
            .into_iter()
            .map(|count| pause(count).as_secs())
            .collect();
        assert_eq!(seconds, [30, 60, 120, 3600, 3600]);
    }
}
