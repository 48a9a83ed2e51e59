//! State transitions of a subscription's record.

use std::time::Duration;

use crate::account::AccountKey;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::connection::{ConnectionRecord, GrantNumber, TimeLeft, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::subscription::{ChannelId, Watch};
use crate::provider_id::ProviderId;
use crate::store::{
    Candidate, Ending, NewSubscription, OpenChannel, SideEffects, Subscription, SubscriptionChange,
    SubscriptionFailures, SubscriptionKey, WorkKind,
};

/// A subscription in its stored form, with instants on the store's clock instead of ages.
///
/// A store reads the record and applies [`SubscriptionRecord::change`]. The change returns endings.
/// The store then writes the record and the endings in one commit.
#[derive(Debug, Clone, PartialEq)]
pub struct SubscriptionRecord {
    /// The key of the subscription.
    pub key: SubscriptionKey,
    /// The connection's provider.
    pub provider: ProviderId,
    /// The connection's app registration.
    pub app: AppKey,
    /// The connection's account.
    pub account: AccountKey,
    /// The account's own host, for providers with per-account hosts.
    pub account_host: Option<String>,
    /// The connection's grant when the subscription was created.
    pub grant: GrantNumber,
    /// The version of the record.
    pub version: Version,
    /// The watched resource.
    pub watch: Watch,
    /// The channel that exists at the provider.
    pub channel: Option<ChannelRecord>,
    /// The channel that is being created.
    pub candidate: Option<CandidateRecord>,
    /// The sealed secrets of both channels.
    pub secrets: Option<Sealed>,
    /// The position up to which changes have been stored in the inbox.
    pub cursor: Option<String>,
    /// Number of notifications received.
    pub notified: u64,
    /// The value of `notified` before the last complete read of changes.
    pub read: u64,
    /// Number of reads that found changes since the last notification, without a notification in
    /// between.
    pub silent_reads: u32,
    /// The time of the last complete read of changes.
    pub read_at: Option<Timestamp>,
    /// The time of the last comparison with the provider's list of channels.
    pub compared_at: Option<Timestamp>,
    /// The failures since the last success; `None` if there are none.
    pub failures: Option<SubscriptionFailureRecord>,
}

/// The channel that exists at the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelRecord {
    /// The channel's id.
    pub channel: ChannelId,
    /// The provider's id of the channel.
    pub resource: String,
    /// Expiry of the channel at the provider; `None` if it does not expire.
    pub expires_at: Option<Timestamp>,
    /// The lifetime that the provider granted when the channel was created or last renewed.
    pub granted: Option<Duration>,
}

/// The channel that is being created.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CandidateRecord {
    /// The channel's id.
    pub channel: ChannelId,
    /// The time at which the creation started.
    pub begun_at: Timestamp,
}

/// The failures since the last success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscriptionFailureRecord {
    /// Number of failures.
    pub count: u32,
    /// The time of the last failure.
    pub at: Timestamp,
    /// The stable name of the last error.
    pub error: String,
}

impl SubscriptionRecord {
    /// Creates the record of a new subscription of `connection`. Returns `None` if the connection
    /// has ended or if its grant differs from the grant that the caller read.
    #[must_use]
    pub fn new(new: NewSubscription, connection: &ConnectionRecord) -> Option<Self> {
        if !connection.is_live() || connection.grant != new.grant {
            return None;
        }
        Some(Self {
            key: new.key,
            provider: connection.provider.clone(),
            app: connection.app.clone(),
            account: connection.account.key.clone(),
            account_host: connection.account.host.clone(),
            grant: new.grant,
            version: Version::new(1),
            watch: new.watch,
            channel: None,
            candidate: None,
            secrets: None,
            cursor: None,
            notified: 0,
            read: 0,
            silent_reads: 0,
            read_at: None,
            compared_at: None,
            failures: None,
        })
    }

    /// Returns the subscription as of `now`, on the store's clock.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Subscription {
        Subscription {
            key: self.key.clone(),
            provider: self.provider.clone(),
            app: self.app.clone(),
            grant: self.grant,
            version: self.version,
            watch: self.watch.clone(),
            channel: self.channel.as_ref().map(|open| OpenChannel {
                channel: open.channel.clone(),
                resource: open.resource.clone(),
                expires: open.expires_at.map(|end| TimeLeft::between(now, end)),
                granted: open.granted,
            }),
            candidate: self.candidate.as_ref().map(|candidate| Candidate {
                channel: candidate.channel.clone(),
                age: now.since(candidate.begun_at),
            }),
            secrets: self.secrets.clone(),
            cursor: self.cursor.clone(),
            notified: self.notified,
            read: self.read,
            silent_reads: self.silent_reads,
            read_age: self.read_at.map(|at| now.since(at)),
            compared_age: self.compared_at.map(|at| now.since(at)),
            failures: self.failures.as_ref().map(|it| SubscriptionFailures {
                count: it.count,
                age: now.since(it.at),
                error: it.error.clone(),
            }),
        }
    }

    /// Returns true if the open channel or the candidate has this id.
    #[must_use]
    pub fn has_channel(&self, channel: &ChannelId) -> bool {
        let open = self.channel.as_ref().map(|open| &open.channel);
        let candidate = self.candidate.as_ref().map(|it| &it.channel);
        open == Some(channel) || candidate == Some(channel)
    }

    /// Returns the channels to delete at the provider when the subscription ends.
    #[must_use]
    pub fn endings(&self) -> Vec<Ending> {
        let open = self.channel.as_ref();
        let open = open.map(|it| self.ending(it.channel.clone(), Some(it.resource.clone())));
        let candidate = self.candidate.as_ref();
        let candidate = candidate.map(|it| self.ending(it.channel.clone(), None));
        open.into_iter().chain(candidate).collect()
    }

    fn ending(&self, channel: ChannelId, resource: Option<String>) -> Ending {
        Ending {
            connection: self.key.connection.clone(),
            provider: self.provider.clone(),
            app: self.app.clone(),
            account: self.account.clone(),
            account_host: self.account_host.clone(),
            watch: self.watch.clone(),
            channel,
            resource,
            attempts: 0,
            credential: None,
        }
    }

    /// Applies a change to the record. The caller has already compared the version. Returns the
    /// replaced channels.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the change opens a channel that is not the candidate, or if
    /// it opens a channel and also begins or drops one. The record is not changed in this case.
    pub fn change(&mut self, change: SubscriptionChange, now: Timestamp) -> Result<Vec<Ending>> {
        let mut replaced = Vec::new();
        if let Some(opened) = change.open {
            let refused = |message: &'static str| {
                let operation = "store.change_subscription";
                Err(Error::new(ErrorKind::InvalidInput, operation, message))
            };
            if change.begin.is_some() || change.drop_channel {
                return refused("a change must not open a channel and also begin or drop one");
            }
            if self.candidate.as_ref().map(|it| &it.channel) != Some(&opened.channel) {
                return refused(
                    "the opened channel is not the candidate; begin its creation first",
                );
            }
            if let Some(old) = self.channel.take() {
                replaced.push(self.ending(old.channel, Some(old.resource)));
            }
            self.candidate = None;
            self.channel = Some(ChannelRecord {
                channel: opened.channel,
                resource: opened.resource,
                expires_at: opened.expires_in.map(|left| now.after(left)),
                granted: opened.expires_in,
            });
            self.secrets = Some(opened.secrets);
        }
        if change.drop_channel {
            self.channel = None;
        }
        if let Some(begun) = change.begin {
            if let Some(old) = self.candidate.take() {
                replaced.push(self.ending(old.channel, None));
            }
            self.candidate = Some(CandidateRecord {
                channel: begun.channel,
                begun_at: now,
            });
            self.secrets = Some(begun.secrets);
        }
        if let (Some(renewed), Some(open)) = (change.renewed, &mut self.channel) {
            open.expires_at = renewed.map(|left| now.after(left));
            open.granted = renewed;
        }
        if change.cursor.is_some() {
            self.cursor = change.cursor;
        }
        if let Some(read) = change.read {
            self.read = read;
            self.read_at = Some(now);
        }
        if let Some(silent_reads) = change.silent_reads {
            self.silent_reads = silent_reads;
        }
        if change.compared {
            self.compared_at = Some(now);
        }
        match change.outcome {
            Some(Some(error)) => {
                let before = self.failures.as_ref().map_or(0, |it| it.count);
                self.failures = Some(SubscriptionFailureRecord {
                    count: before.saturating_add(1),
                    at: now,
                    error,
                });
            }
            Some(None) => self.failures = None,
            None => {}
        }
        self.version = self.version.next();
        Ok(replaced)
    }

    /// Returns the side effect of a notification, which makes the connection's subscription work
    /// due now.
    #[must_use]
    pub fn due_now() -> SideEffects {
        SideEffects::none().with_work(WorkKind::Subscriptions, Duration::ZERO)
    }
}
