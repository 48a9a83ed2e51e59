//! In-memory key rotation and removal of expired rows.

use std::fmt;

use async_trait::async_trait;

use super::delivery::Delivery;
use super::outbound::{Row as EndpointRow, Stored as StoredMessage};
use super::state::State;
use super::subscription::{QueuedEnding, Row as SubscriptionRow};
use super::token::row::{Credential, Row};
use super::token::{Quarantine, QueuedRevocation};
use super::{Data, MemoryStore, foreign_cursor, slice};
use crate::app::AppKey;
use crate::cipher::{KeyId, Sealed, SealedKind};
use crate::connection::{Fence, GrantNumber};
use crate::error::Result;
use crate::store::{
    Cursor, DeliveryKey, EndingCredential, Maintenance, MessageKey, Page, RowRef, SealedRow,
    StateKey,
};

/// Position of a sealed record in the listing: the number of its row, the part of the row, and the
/// fence if the part can occur several times in a row.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Position(u64, u8, u64);

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.0, self.1, self.2)
    }
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let position = Self(
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
            parts.next()?.parse().ok()?,
        );
        parts.next().is_none().then_some(position)
    }
}

/// A reference to a sealed record in the data.
#[derive(Clone, Copy)]
enum Record<'a> {
    Current(&'a Row, &'a Credential),
    Previous(&'a Row, &'a Credential),
    Pending(&'a Row, &'a Credential),
    Quarantine(&'a StateKey, &'a Quarantine),
    Revocation(&'a QueuedRevocation),
    State(&'a StateKey, &'a State),
    Delivery(&'a DeliveryKey, &'a Delivery),
    Subscription(&'a SubscriptionRow, &'a Sealed),
    Ending(&'a QueuedEnding, &'a EndingCredential),
    Endpoint(&'a EndpointRow),
    Message(&'a MessageKey, &'a StoredMessage),
}

impl Record<'_> {
    fn position(self) -> Position {
        match self {
            Self::Current(row, _) => Position(row.number, 1, 0),
            Self::Previous(row, _) => Position(row.number, 2, 0),
            Self::Pending(row, pair) => Position(row.number, 3, pair.fence.get()),
            Self::Quarantine(_, row) => Position(row.number, 0, 0),
            Self::Revocation(row) => Position(row.number, 0, 0),
            Self::State(_, row) => Position(row.number, 0, 0),
            Self::Delivery(_, row) => Position(row.number, 0, 0),
            Self::Subscription(row, _) => Position(row.number, 0, 0),
            Self::Ending(row, _) => Position(row.number, 0, 0),
            Self::Endpoint(row) => Position(row.number, 0, 0),
            Self::Message(_, row) => Position(row.number, 0, 0),
        }
    }

    fn sealed(&self) -> &Sealed {
        match self {
            Self::Current(_, kept) | Self::Previous(_, kept) | Self::Pending(_, kept) => {
                &kept.sealed
            }
            Self::Quarantine(_, row) => &row.sealed,
            Self::Revocation(row) => &row.revocation.sealed,
            Self::State(_, row) => &row.sealed,
            Self::Delivery(_, row) => &row.sealed,
            Self::Subscription(_, sealed) => sealed,
            Self::Ending(_, copy) => &copy.sealed,
            Self::Endpoint(row) => &row.kept.sealed,
            Self::Message(_, row) => &row.sealed,
        }
    }

    fn row(self) -> SealedRow {
        match self {
            Self::Current(row, kept) => {
                credential_row(RowRef::Current(row.connection.key.clone()), row, kept)
            }
            Self::Previous(row, kept) => {
                credential_row(RowRef::Previous(row.connection.key.clone()), row, kept)
            }
            Self::Pending(row, kept) => {
                let place = RowRef::Pending(row.connection.key.clone(), kept.fence);
                credential_row(place, row, kept)
            }
            Self::Quarantine(state, row) => SealedRow {
                row: RowRef::Quarantine(*state),
                tenant: Some(row.tenant.clone()),
                provider: row.provider.clone(),
                app: row.app.clone(),
                row_id: state.to_string(),
                kind: SealedKind::Quarantine,
                grant: GrantNumber::default(),
                fence: Fence::default(),
                sealed: row.sealed.clone(),
            },
            Self::Revocation(QueuedRevocation { revocation, .. }) => SealedRow {
                row: RowRef::Revocation(revocation.key.clone(), revocation.fence),
                tenant: Some(revocation.key.tenant.clone()),
                provider: revocation.provider.clone(),
                app: revocation.app.clone(),
                row_id: revocation.key.id.to_string(),
                kind: SealedKind::Revocation,
                grant: revocation.grant,
                fence: revocation.fence,
                sealed: revocation.sealed.clone(),
            },
            Self::State(key, row) => SealedRow {
                row: RowRef::State(*key),
                tenant: Some(row.tenant.clone()),
                provider: row.provider.clone(),
                app: row.app.clone(),
                row_id: key.to_string(),
                kind: SealedKind::State,
                grant: GrantNumber::default(),
                fence: Fence::default(),
                sealed: row.sealed.clone(),
            },
            Self::Delivery(key, row) => SealedRow {
                row: RowRef::Delivery(key.clone()),
                tenant: row.tenant.clone(),
                provider: key.provider.clone(),
                app: key.app.clone(),
                row_id: key.row_id(),
                kind: SealedKind::Delivery,
                grant: GrantNumber::default(),
                fence: Fence::default(),
                sealed: row.sealed.clone(),
            },
            Self::Subscription(SubscriptionRow { kept, .. }, sealed) => SealedRow {
                row: RowRef::Subscription(kept.key.clone()),
                tenant: Some(kept.key.connection.tenant.clone()),
                provider: kept.provider.clone(),
                app: kept.app.clone(),
                row_id: kept.key.row_id(),
                kind: SealedKind::WebhookSecret,
                grant: kept.grant,
                fence: Fence::default(),
                sealed: sealed.clone(),
            },
            Self::Ending(QueuedEnding { ending, .. }, copy) => SealedRow {
                row: RowRef::Ending(ending.connection.clone(), ending.channel.clone()),
                tenant: Some(ending.connection.tenant.clone()),
                provider: ending.provider.clone(),
                app: ending.app.clone(),
                row_id: ending.connection.id.to_string(),
                kind: SealedKind::Revocation,
                grant: copy.grant,
                fence: copy.fence,
                sealed: copy.sealed.clone(),
            },
            Self::Endpoint(EndpointRow { kept, .. }) => SealedRow {
                row: RowRef::Endpoint(kept.key.clone()),
                tenant: Some(kept.key.tenant.clone()),
                provider: kept.provider.clone(),
                app: AppKey::default(),
                row_id: kept.key.row_id(),
                kind: SealedKind::WebhookSecret,
                grant: GrantNumber::default(),
                fence: Fence::default(),
                sealed: kept.sealed.clone(),
            },
            Self::Message(key, row) => SealedRow {
                row: RowRef::Message(key.clone()),
                tenant: Some(key.tenant.clone()),
                provider: key.provider.clone(),
                app: AppKey::default(),
                row_id: key.row_id(),
                kind: SealedKind::Delivery,
                grant: GrantNumber::default(),
                fence: Fence::default(),
                sealed: row.sealed.clone(),
            },
        }
    }
}

fn credential_row(place: RowRef, row: &Row, kept: &Credential) -> SealedRow {
    let connection = &row.connection;
    SealedRow {
        row: place,
        tenant: Some(connection.key.tenant.clone()),
        provider: connection.provider.clone(),
        app: connection.app.clone(),
        row_id: connection.key.id.to_string(),
        kind: SealedKind::Credential,
        grant: kept.grant,
        fence: kept.fence,
        sealed: kept.sealed.clone(),
    }
}

impl Data {
    fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let tokens = &self.tokens;
        let credentials = tokens.rows.values().flat_map(|row| {
            let current = row.current.iter().map(move |c| Record::Current(row, c));
            let previous = row.previous.iter().map(move |c| Record::Previous(row, c));
            let pending = row.pending.values().map(move |c| Record::Pending(row, c));
            current.chain(previous).chain(pending)
        });
        let quarantine = tokens.quarantine.iter();
        let states = self.states.0.iter();
        credentials
            .chain(quarantine.map(|(key, row)| Record::Quarantine(key, row)))
            .chain(tokens.revocations.values().map(Record::Revocation))
            .chain(states.map(|(key, row)| Record::State(key, row)))
            .chain(
                self.deliveries
                    .rows()
                    .map(|(key, row)| Record::Delivery(key, row)),
            )
            .chain(self.subscriptions.rows.values().filter_map(|row| {
                let sealed = row.kept.secrets.as_ref()?;
                Some(Record::Subscription(row, sealed))
            }))
            .chain(self.subscriptions.endings.values().filter_map(|row| {
                let copy = row.ending.credential.as_ref()?;
                Some(Record::Ending(row, copy))
            }))
            .chain(self.outbound.endpoints.values().map(Record::Endpoint))
            .chain(
                self.outbound
                    .messages
                    .iter()
                    .map(|(key, row)| Record::Message(key, row)),
            )
    }

    fn sealed_mut(&mut self, row: &RowRef) -> Option<&mut Sealed> {
        let tokens = &mut self.tokens;
        match row {
            RowRef::Current(key) => {
                let kept = tokens.rows.get_mut(key)?.current.as_mut();
                kept.map(|kept| &mut kept.sealed)
            }
            RowRef::Previous(key) => {
                let kept = tokens.rows.get_mut(key)?.previous.as_mut();
                kept.map(|kept| &mut kept.sealed)
            }
            RowRef::Pending(key, fence) => {
                let kept = tokens.rows.get_mut(key)?.pending.get_mut(fence);
                kept.map(|kept| &mut kept.sealed)
            }
            RowRef::Quarantine(state) => {
                let row = tokens.quarantine.get_mut(state);
                row.map(|row| &mut row.sealed)
            }
            RowRef::Revocation(key, fence) => {
                let row = tokens.revocations.get_mut(&(key.clone(), *fence));
                row.map(|row| &mut row.revocation.sealed)
            }
            RowRef::State(key) => self.states.0.get_mut(key).map(|row| &mut row.sealed),
            RowRef::Delivery(key) => self.deliveries.get_mut(key).map(|row| &mut row.sealed),
            RowRef::Subscription(key) => {
                let row = self.subscriptions.rows.get_mut(key)?;
                row.kept.secrets.as_mut()
            }
            RowRef::Ending(connection, channel) => {
                let row = self.subscriptions.endings.get_mut(channel);
                let row = row.filter(|row| row.ending.connection == *connection)?;
                row.ending.credential.as_mut().map(|copy| &mut copy.sealed)
            }
            RowRef::Endpoint(key) => {
                let row = self.outbound.endpoints.get_mut(key);
                row.map(|row| &mut row.kept.sealed)
            }
            RowRef::Message(key) => {
                let row = self.outbound.messages.get_mut(key);
                row.map(|row| &mut row.sealed)
            }
        }
    }
}

/// Removes at most `n` entries for which `expired` returns true, and returns the number of removed
/// entries.
fn remove_some<K: Ord + Clone, V>(
    rows: &mut std::collections::BTreeMap<K, V>,
    n: usize,
    expired: impl Fn(&V) -> bool,
) -> usize {
    let gone: Vec<_> = rows
        .iter()
        .filter(|(_, row)| expired(row))
        .take(n)
        .map(|(key, _)| key.clone())
        .collect();
    for key in &gone {
        rows.remove(key);
    }
    gone.len()
}

#[async_trait]
impl Maintenance for MemoryStore {
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>> {
        let after = match after {
            Some(cursor) => Some(
                Position::parse(cursor.as_str())
                    .ok_or_else(|| foreign_cursor("store.sealed_rows"))?,
            ),
            None => None,
        };
        let (data, _) = self.open();
        let mut found: Vec<_> = data
            .records()
            .filter(|record| record.sealed().key_id() != *not_under)
            .map(|record| (record.position(), record))
            .filter(|(position, _)| Some(*position) > after)
            .collect();
        found.sort_unstable_by_key(|(position, _)| *position);
        slice(
            found
                .into_iter()
                .map(|(position, record)| (position, record.row())),
            n,
        )
    }

    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool> {
        let (mut data, _) = self.open();
        let kept = data.sealed_mut(row).filter(|kept| **kept == *seen);
        Ok(kept.is_some_and(|kept| {
            *kept = new;
            true
        }))
    }

    async fn purge(&self, n: u32) -> Result<u32> {
        let (mut data, now) = self.open();
        let most = usize::try_from(n).unwrap_or(usize::MAX);
        let mut removed = remove_some(&mut data.states.0, most, |row| row.has_expired(now));
        removed += remove_some(&mut data.tokens.quarantine, most - removed, |row| {
            row.has_expired(now)
        });
        removed += data.deliveries.purge(now, most - removed);
        removed += data.outbound.purge(now, most - removed);
        Ok(u32::try_from(removed).unwrap_or(n))
    }
}
