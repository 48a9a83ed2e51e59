//! Subscriptions of connections to changes at the provider.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::cipher::{Plaintext, SealContext, Sealed, SealedKind};
use connector_core::provider::Connector;
use connector_core::provider::subscription::{ChannelId, Notification, SecretSource, Watch};
use connector_core::store::{
    AcceptOutcome, ConnectionRecord, DeliveryKey, DeliveryLimits, Direction,
    EndSubscriptionOutcome, EndingCredential, Fence, NewDelivery, NewSubscription,
    PutSubscriptionOutcome, SideEffects, Stored, Subscription, SubscriptionId, SubscriptionKey,
    TimeLeft, WorkKind,
};
use connector_core::webhook::Event as Change;
use connector_core::{
    AppKey, ConnectionKey, Error, ErrorKind, Event, ProviderId, RequestContext, Result,
};
use ring::digest;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::audit;
use crate::hub::{Hub, Inner, not_found};
use crate::inbound::of_connection;
use crate::sealing::SealOwner;

const SUBSCRIBE: &str = "hub.subscribe";
/// Retention of handled changes. Longer than the maximum time by which a cursor can lag behind the
/// inbox while the store is unavailable.
const KEPT_FOR: Duration = Duration::from_secs(30 * 86_400);
/// Maximum length in bytes of an event id that is stored unhashed.
const MAX_ID: usize = 128;
/// Maximum time to retry a store call.
const PATIENCE: Duration = Duration::from_secs(60);

/// Number of reads that find changes without any notification in between, after which the hub
/// reports that notifications are missing. A single such read can be caused by a lost notification,
/// or by a change just before the read.
pub(crate) const SILENT_READS: u32 = 3;

/// The state of a subscription, for applications.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SubscriptionInfo {
    /// The id of the subscription.
    pub id: SubscriptionId,
    /// The watched resource.
    pub watch: Watch,
    /// True if the subscription has a channel at the provider. A polled subscription has none.
    pub has_channel: bool,
    /// Time until the provider ends the channel. The worker renews the channel before it expires.
    /// `None` if the channel does not expire or there is no channel.
    pub expires_in: Option<Duration>,
    /// Time since all changes were last read. `None` if they have not been read yet.
    pub read_age: Option<Duration>,
    /// True if reads have found changes several times and no notification has arrived in between.
    /// The hub reads the changes more often in this state. Check that the provider can reach the
    /// notification URL.
    pub is_silent: bool,
    /// Number of failures since the last success.
    pub failures: u32,
    /// Stable name of the last error. `None` if there were no failures.
    pub error: Option<String>,
}

impl SubscriptionInfo {
    fn of(subscription: Subscription) -> Self {
        let channel = subscription.channel.as_ref();
        let failures = subscription.failures;
        Self {
            id: subscription.key.id,
            has_channel: channel.is_some(),
            expires_in: channel.and_then(|it| it.expires).map(TimeLeft::remaining),
            watch: subscription.watch,
            read_age: subscription.read_age,
            is_silent: subscription.silent_reads >= SILENT_READS,
            failures: failures.as_ref().map_or(0, |it| it.count),
            error: failures.map(|it| it.error),
        }
    }
}

/// The owner of a notification channel. Look up the owner before you verify the notification's
/// signature.
#[derive(Debug, Clone)]
pub struct ChannelOwner {
    channel: ChannelId,
    subscription: SubscriptionKey,
    app: AppKey,
    secrets: Vec<SecretString>,
    reads_changes: bool,
    is_signed_by_app: bool,
}

impl ChannelOwner {
    /// Returns the connection that the channel belongs to.
    #[must_use]
    pub const fn connection(&self) -> &ConnectionKey {
        &self.subscription.connection
    }

    /// Returns the registration that the channel belongs to.
    #[must_use]
    pub const fn app(&self) -> &AppKey {
        &self.app
    }

    /// Returns the channel's secrets, newest first.
    #[must_use]
    pub fn secrets(&self) -> &[SecretString] {
        &self.secrets
    }

    /// Returns true if a notification only announces changes. The worker then reads the changes,
    /// and you need not process the notification's content.
    #[must_use]
    pub const fn reads_changes(&self) -> bool {
        self.reads_changes
    }

    /// Returns true if the provider signs notifications with the client secret of the app instead of
    /// the channel's secret. [`ChannelOwner::secrets`] then verifies no notification.
    #[must_use]
    pub const fn is_signed_by_app(&self) -> bool {
        self.is_signed_by_app
    }
}

impl Hub {
    /// Subscribes a connection to the changes of a resource. The worker creates the channel at the
    /// provider, renews it, and puts every change into the inbox. Handlers receive changes in the
    /// same way as deliveries. A subscription ends with its connection.
    ///
    /// If the connection is already subscribed to the resource, the existing subscription is
    /// returned.
    ///
    /// ```no_run
    /// # use connector_core::provider::subscription::Watch;
    /// # async fn example(hub: connector_hub::Hub, key: connector_core::ConnectionKey,
    /// #     context: connector_core::RequestContext) -> connector_core::Result<()> {
    /// hub.subscribe(&key, Watch::new("orders")?, context).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the connection does not exist or has ended.
    /// * [`ErrorKind::Unsupported`] if the provider has no subscriptions.
    /// * [`ErrorKind::InvalidInput`] if the connector does not know the resource, or if the
    ///   connection has 100 subscriptions.
    /// * [`ErrorKind::Configuration`] if the provider needs a notification URL and
    ///   [`HubBuilder::with_webhook_base`](crate::HubBuilder::with_webhook_base) was not called.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn subscribe(
        &self,
        key: &ConnectionKey,
        watch: Watch,
        context: RequestContext,
    ) -> Result<SubscriptionInfo> {
        let inner = &self.inner;
        inner.accepting(SUBSCRIBE)?;
        let stored = inner.store.load(key).await?;
        let stored = stored.filter(|stored| stored.connection.is_live());
        let stored = stored.ok_or_else(|| not_found(SUBSCRIBE))?;
        let connector = inner.connector(&stored.connection.provider)?;
        let calls = connector.subscriptions().ok_or_else(|| {
            Error::new(
                ErrorKind::Unsupported,
                SUBSCRIBE,
                "the provider has no subscriptions; read its data periodically instead",
            )
        })?;
        if calls.describe(&watch)?.has_channel() {
            inner.webhook_base()?;
        }
        let id = SubscriptionId::generate(&*inner.random)?;
        let new = NewSubscription {
            key: SubscriptionKey::new(key.clone(), id),
            grant: stored.connection.grant,
            watch: watch.clone(),
        };
        let event = Event::Subscribed { watch };
        let effects = SideEffects::none()
            .with_work(WorkKind::Subscriptions, Duration::ZERO)
            .with_audit(audit::entry(&stored.connection, &context, event));
        let call = || inner.store.put_subscription(new.clone(), effects.clone());
        match inner.insist(PATIENCE, call).await? {
            PutSubscriptionOutcome::Stored => {
                let all = inner.store.subscriptions(key).await?;
                let own = all.into_iter().find(|it| it.key.id == id);
                own.map(SubscriptionInfo::of)
                    .ok_or_else(|| not_found(SUBSCRIBE))
            }
            PutSubscriptionOutcome::Exists(known) => Ok(SubscriptionInfo::of(*known)),
            PutSubscriptionOutcome::TooMany => Err(Error::new(
                ErrorKind::InvalidInput,
                SUBSCRIBE,
                format!(
                    "the connection has {} subscriptions, the maximum; end unused ones first",
                    SubscriptionId::PER_CONNECTION
                ),
            )),
            PutSubscriptionOutcome::Ended => Err(not_found(SUBSCRIBE)),
        }
    }

    /// Lists the subscriptions of a connection in the order of their creation.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn subscriptions(&self, key: &ConnectionKey) -> Result<Vec<SubscriptionInfo>> {
        let all = self.inner.store.subscriptions(key).await?;
        Ok(all.into_iter().map(SubscriptionInfo::of).collect())
    }

    /// Ends a subscription. After the call returns, the worker reads no changes for the
    /// subscription. The worker deletes the channel at the provider. Ending a subscription twice is
    /// safe.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the connection does not exist.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    pub async fn unsubscribe(
        &self,
        key: &ConnectionKey,
        id: SubscriptionId,
        context: RequestContext,
    ) -> Result<()> {
        const OPERATION: &str = "hub.unsubscribe";
        let inner = &self.inner;
        inner.accepting(OPERATION)?;
        let stored = inner.store.load(key).await?;
        let stored = stored.ok_or_else(|| not_found(OPERATION))?;
        let all = inner.store.subscriptions(key).await?;
        let Some(known) = all.into_iter().find(|it| it.key.id == id) else {
            return Ok(());
        };
        let event = Event::Unsubscribed { watch: known.watch };
        let effects = SideEffects::none()
            .with_work(WorkKind::Subscriptions, Duration::ZERO)
            .with_audit(audit::entry(&stored.connection, &context, event));
        let call = || inner.store.end_subscription(&known.key, effects.clone());
        match inner.insist(PATIENCE, call).await? {
            EndSubscriptionOutcome::Ended | EndSubscriptionOutcome::Missing => Ok(()),
        }
    }

    /// Returns the owner of the channel that a notification belongs to. The channel id is the last
    /// segment of the request's path. Verify the notification with the owner's secrets before you
    /// call [`Hub::notified`].
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if there is no such channel. Respond with 404 or 410, so that the
    ///   provider stops sending notifications.
    /// * [`ErrorKind::StoreUnavailable`]: respond with 503.
    /// * [`ErrorKind::KeyUnknown`] and [`ErrorKind::Unsealable`] if the channel's secrets cannot be
    ///   opened.
    pub async fn channel_owner(
        &self,
        provider: &ProviderId,
        channel: &str,
    ) -> Result<ChannelOwner> {
        const OPERATION: &str = "hub.channel_owner";
        let inner = &self.inner;
        let unknown = || {
            Error::new(
                ErrorKind::NotFound,
                OPERATION,
                "there is no such notification channel",
            )
        };
        let channel = ChannelId::new(channel).map_err(|_| unknown())?;
        let found = inner.store.subscription_by_channel(&channel).await?;
        let found = found.filter(|it| it.provider == *provider);
        let subscription = found.ok_or_else(unknown)?;
        let secrets = inner.channel_secrets(&subscription).await?;
        let connector = inner.connector(provider)?;
        let plan = match connector.subscriptions() {
            Some(calls) => calls.describe(&subscription.watch)?,
            None => return Err(unknown()),
        };
        // The secret of the requested channel comes first, because it is the most likely one.
        let own = secrets.get(channel.as_str()).cloned();
        Ok(ChannelOwner {
            secrets: own.into_iter().collect(),
            channel,
            subscription: subscription.key,
            app: subscription.app,
            reads_changes: plan.catch_up_every.is_some(),
            is_signed_by_app: matches!(
                plan.notification,
                Notification::Channel {
                    secret: SecretSource::App,
                    ..
                }
            ),
        })
    }

    /// Records a verified notification, so that the worker reads the changes of the subscription
    /// immediately. Returns false if the channel has ended in the meantime.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: do not acknowledge the notification.
    pub async fn notified(&self, owner: &ChannelOwner) -> Result<bool> {
        self.inner.store.notify_subscription(&owner.channel).await
    }
}

/// The secrets of a subscription's channels, keyed by channel id.
pub(crate) type ChannelSecrets = BTreeMap<String, SecretString>;

impl Inner {
    /// Returns the base of all notification URLs.
    pub(crate) fn webhook_base(&self) -> Result<&Url> {
        self.webhook_base.as_ref().ok_or_else(|| {
            Error::new(
                ErrorKind::Configuration,
                SUBSCRIBE,
                "the provider sends notifications to a URL; set the base URL of this service with \
                 HubBuilder::with_webhook_base",
            )
        })
    }

    /// Returns the notification URL of a channel.
    pub(crate) fn channel_url(&self, provider: &ProviderId, channel: &ChannelId) -> Result<Url> {
        let mut url = self.webhook_base()?.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty()
                .push(provider.as_str())
                .push(channel.as_str());
        }
        Ok(url)
    }

    /// Returns the channel id in a notification URL that this hub created.
    pub(crate) fn channel_of(&self, provider: &ProviderId, url: &str) -> Option<ChannelId> {
        let (_, last) = url.rsplit_once('/')?;
        let channel = ChannelId::new(last).ok()?;
        let own = self.channel_url(provider, &channel).ok()?;
        (own.as_str() == url).then_some(channel)
    }

    fn subscription_context<'a>(subscription: &'a Subscription, row: &'a str) -> SealContext<'a> {
        SealContext {
            tenant: Some(&subscription.key.connection.tenant),
            provider: &subscription.provider,
            app: &subscription.app,
            row,
            kind: SealedKind::WebhookSecret,
            grant: subscription.grant,
            fence: Fence::default(),
        }
    }

    /// Opens the secrets of a subscription's channels.
    pub(crate) async fn channel_secrets(
        &self,
        subscription: &Subscription,
    ) -> Result<ChannelSecrets> {
        let Some(sealed) = &subscription.secrets else {
            return Ok(ChannelSecrets::new());
        };
        let row = subscription.key.row_id();
        let place = Self::subscription_context(subscription, &row);
        let plaintext = self.cipher.open(&place, sealed).await?;
        let secrets: BTreeMap<String, String> = serde_json::from_slice(plaintext.expose())
            .map_err(|_| {
                Error::new(
                    ErrorKind::StoreIncompatible,
                    "hub.channel_secrets",
                    "the secrets of a channel are in a format that this version does not know; \
                     update this node",
                )
            })?;
        let secret = |(channel, text)| (channel, SecretString::from(text));
        Ok(secrets.into_iter().map(secret).collect())
    }

    /// Seals the secrets of a subscription's channels.
    pub(crate) async fn seal_channel_secrets(
        &self,
        subscription: &Subscription,
        secrets: &ChannelSecrets,
    ) -> Result<Sealed> {
        let texts: BTreeMap<&str, &str> = secrets
            .iter()
            .map(|(channel, secret)| (channel.as_str(), secret.expose_secret()))
            .collect();
        let bytes = serde_json::to_vec(&texts).map_err(|_| {
            let message = "the secrets of a channel could not be serialized; please report it";
            Error::new(ErrorKind::Bug, "hub.seal_channel_secrets", message)
        })?;
        let plaintext = Plaintext::new(bytes);
        let row = subscription.key.row_id();
        let place = Self::subscription_context(subscription, &row);
        self.cipher.seal(&place, plaintext.expose()).await
    }

    /// Returns a sealed copy of a connection's credential. The worker uses the copy to delete the
    /// channels after the connection has ended. Returns `None` if the provider has no
    /// subscriptions.
    pub(crate) async fn ending_credential(
        &self,
        stored: &Stored,
    ) -> Result<Option<EndingCredential>> {
        let connector = self.connector(&stored.connection.provider).ok();
        let Some(current) = &stored.current else {
            return Ok(None);
        };
        if connector.is_none_or(|it| it.subscriptions().is_none()) {
            return Ok(None);
        }
        let owner = SealOwner::of(stored);
        let credential = self.open_stored(&owner, current).await?;
        let (grant, fence) = (current.grant, current.fence);
        let kind = SealedKind::Revocation;
        let sealed = self.seal(&owner, kind, grant, fence, &credential).await?;
        Ok(Some(EndingCredential {
            grant,
            fence,
            sealed,
        }))
    }

    /// Puts changes into the inbox in order. A change is stored only once, even if it is read
    /// several times. Returns the number of new changes.
    pub(crate) async fn accept_changes(
        &self,
        connector: &dyn Connector,
        connection: &ConnectionRecord,
        changes: Vec<Change>,
    ) -> Result<usize> {
        let key = &connection.key;
        let broken = |message: &'static str| {
            Err(Error::new(
                ErrorKind::Bug,
                "subscriptions.catch_up",
                message,
            ))
        };
        let mut new = 0;
        for change in changes {
            let Some(event_id) = &change.event_id else {
                return broken("the connector returned a change without an event id");
            };
            if change.provider != connector.description().provider || change.app != connection.app {
                return broken(
                    "the connector returned a change of another provider or registration",
                );
            }
            let delivery_key = DeliveryKey {
                direction: Direction::Inbound,
                provider: connection.provider.clone(),
                app: connection.app.clone(),
                endpoint: format!("connection/{}/changes", key.id),
                id: bounded(event_id),
            };
            let tenant = Some(&key.tenant);
            let sealed = self
                .seal_delivery(&delivery_key, tenant, &change, Some(key))
                .await?;
            let delivery = NewDelivery {
                key: delivery_key,
                tenant: tenant.cloned(),
                sealed,
                delay: Duration::ZERO,
                keep_for: KEPT_FOR,
                turn: of_connection(key),
                // The content must be kept, because the cursor moves past the change.
                content: None,
                limits: DeliveryLimits::default(),
            };
            match self.store.accept(delivery).await? {
                AcceptOutcome::Accepted => new += 1,
                AcceptOutcome::Duplicate => {}
                AcceptOutcome::Alike | AcceptOutcome::Full => {
                    return broken(
                        "the store limits the size of unlimited deliveries; please report it",
                    );
                }
            }
        }
        if new > 0 {
            self.arrivals.notify_one();
        }
        Ok(new)
    }
}

/// Returns the id, or its SHA-256 if the id is too long or is not plain text.
fn bounded(id: &str) -> String {
    if !id.is_empty() && id.len() <= MAX_ID && !id.chars().any(char::is_control) {
        return id.to_owned();
    }
    hex::encode(digest::digest(&digest::SHA256, id.as_bytes()))
}
