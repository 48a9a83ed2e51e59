//! In-memory subscriptions.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::{Data, MemoryStore};
use crate::connection::{ConnectionKey, Version};
use crate::error::{Error, ErrorKind, Result};
use crate::provider::subscription::ChannelId;
use crate::store::record::SubscriptionRecord;
use crate::store::{
    ChangeSubscriptionOutcome, EndSubscriptionOutcome, Ending, EndingCredential, NewSubscription,
    PutSubscriptionOutcome, SideEffects, Subscription, SubscriptionChange, SubscriptionId,
    SubscriptionKey, SubscriptionStore,
};

#[derive(Default)]
pub(super) struct Subscriptions {
    pub(super) rows: BTreeMap<SubscriptionKey, Row>,
    pub(super) endings: BTreeMap<ChannelId, QueuedEnding>,
}

impl Subscriptions {
    /// Returns the subscriptions of a connection, sorted by id.
    fn of_connection<'s>(&'s self, connection: &'s ConnectionKey) -> impl Iterator<Item = &'s Row> {
        let first = SubscriptionKey::new(connection.clone(), SubscriptionId::from_bytes([0; 16]));
        self.rows
            .range(first..)
            .map(|(_, row)| row)
            .take_while(move |row| row.kept.key.connection == *connection)
    }
}

pub(super) struct Row {
    pub(super) number: u64,
    pub(super) kept: SubscriptionRecord,
}

pub(super) struct QueuedEnding {
    pub(super) number: u64,
    pub(super) ending: Ending,
}

impl Data {
    fn queue_endings(&mut self, endings: Vec<Ending>) {
        for ending in endings {
            let number = self.numbers.next();
            let channel = ending.channel.clone();
            let queued = QueuedEnding { number, ending };
            self.subscriptions.endings.insert(channel, queued);
        }
    }

    /// Ends all subscriptions of a connection that is being disconnected.
    pub(super) fn end_subscriptions(
        &mut self,
        connection: &ConnectionKey,
        credential: Option<&EndingCredential>,
    ) {
        let own = self.subscriptions.of_connection(connection);
        let keys: Vec<_> = own.map(|row| row.kept.key.clone()).collect();
        let Subscriptions { rows, endings } = &mut self.subscriptions;
        let mut ended: Vec<Row> = keys.iter().filter_map(|key| rows.remove(key)).collect();
        ended.sort_by_key(|row| row.number);
        let Some(credential) = credential else {
            // Keeps endings that already have a credential copy, from an earlier end of the
            // connection.
            endings.retain(|_, it| {
                it.ending.connection != *connection || it.ending.credential.is_some()
            });
            return;
        };
        for queued in endings.values_mut() {
            if queued.ending.connection == *connection && queued.ending.credential.is_none() {
                queued.ending.credential = Some(credential.clone());
            }
        }
        let mut new: Vec<_> = ended.iter().flat_map(|row| row.kept.endings()).collect();
        for ending in &mut new {
            ending.credential = Some(credential.clone());
        }
        self.queue_endings(new);
    }
}

#[async_trait]
impl SubscriptionStore for MemoryStore {
    async fn put_subscription(
        &self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome> {
        let (mut data, now) = self.open();
        let data = &mut *data;
        let connection = new.key.connection.clone();
        let Some(owner) = data.tokens.rows.get(&connection) else {
            return Ok(PutSubscriptionOutcome::Ended);
        };
        let Some(kept) = SubscriptionRecord::new(new, &owner.connection) else {
            return Ok(PutSubscriptionOutcome::Ended);
        };
        let own = || data.subscriptions.of_connection(&connection);
        if let Some(known) = own().find(|row| row.kept.watch == kept.watch) {
            if known.kept.key == kept.key {
                return Ok(PutSubscriptionOutcome::Stored);
            }
            return Ok(PutSubscriptionOutcome::Exists(Box::new(known.kept.at(now))));
        }
        if data.subscriptions.rows.contains_key(&kept.key) {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "store.put_subscription",
                "another subscription has this id; generate a new id",
            ));
        }
        if own().count() >= SubscriptionId::PER_CONNECTION {
            return Ok(PutSubscriptionOutcome::TooMany);
        }
        let row = Row {
            number: data.numbers.next(),
            kept,
        };
        data.subscriptions.rows.insert(row.kept.key.clone(), row);
        data.apply(&connection, effects, now);
        Ok(PutSubscriptionOutcome::Stored)
    }

    async fn subscriptions(&self, connection: &ConnectionKey) -> Result<Vec<Subscription>> {
        let (data, now) = self.open();
        let mut found: Vec<_> = data.subscriptions.of_connection(connection).collect();
        found.sort_by_key(|row| row.number);
        Ok(found.into_iter().map(|row| row.kept.at(now)).collect())
    }

    async fn subscription_by_channel(&self, channel: &ChannelId) -> Result<Option<Subscription>> {
        let (data, now) = self.open();
        let mut rows = data.subscriptions.rows.values();
        Ok(rows
            .find(|row| row.kept.has_channel(channel))
            .map(|row| row.kept.at(now)))
    }

    async fn notify_subscription(&self, channel: &ChannelId) -> Result<bool> {
        let (mut data, now) = self.open();
        let mut rows = data.subscriptions.rows.values_mut();
        let Some(row) = rows.find(|row| row.kept.has_channel(channel)) else {
            return Ok(false);
        };
        row.kept.notified = row.kept.notified.saturating_add(1);
        let connection = row.kept.key.connection.clone();
        data.apply(&connection, SubscriptionRecord::due_now(), now);
        Ok(true)
    }

    async fn change_subscription(
        &self,
        key: &SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.subscriptions.rows.get_mut(key) else {
            return Ok(ChangeSubscriptionOutcome::Missing);
        };
        if row.kept.version != at {
            return Ok(ChangeSubscriptionOutcome::Moved(Box::new(row.kept.at(now))));
        }
        let replaced = row.kept.change(change, now)?;
        let version = row.kept.version;
        data.queue_endings(replaced);
        data.apply(&key.connection, effects, now);
        Ok(ChangeSubscriptionOutcome::Changed(version))
    }

    async fn end_subscription(
        &self,
        key: &SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome> {
        let (mut data, now) = self.open();
        let Some(row) = data.subscriptions.rows.remove(key) else {
            return Ok(EndSubscriptionOutcome::Missing);
        };
        data.queue_endings(row.kept.endings());
        data.apply(&key.connection, effects, now);
        Ok(EndSubscriptionOutcome::Ended)
    }

    async fn endings(&self, connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>> {
        let (data, _) = self.open();
        let queued = data.subscriptions.endings.values();
        let mut found: Vec<_> = queued
            .filter(|it| it.ending.connection == *connection)
            .collect();
        found.sort_by_key(|it| it.number);
        found.truncate(n.max(1).into());
        Ok(found.into_iter().map(|it| it.ending.clone()).collect())
    }

    async fn ending_failed(
        &self,
        connection: &ConnectionKey,
        channel: &ChannelId,
    ) -> Result<Option<u32>> {
        let (mut data, _) = self.open();
        let queued = data.subscriptions.endings.get_mut(channel);
        let queued = queued.filter(|it| it.ending.connection == *connection);
        Ok(queued.map(|it| {
            it.ending.attempts = it.ending.attempts.saturating_add(1);
            it.ending.attempts
        }))
    }

    async fn ending_done(&self, connection: &ConnectionKey, channel: &ChannelId) -> Result<bool> {
        let (mut data, _) = self.open();
        let endings = &mut data.subscriptions.endings;
        let own = endings
            .get(channel)
            .is_some_and(|it| it.ending.connection == *connection);
        Ok(own && endings.remove(channel).is_some())
    }
}
