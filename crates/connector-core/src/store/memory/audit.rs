//! The in-memory audit log.

use std::collections::BTreeMap;
use std::ops::Bound::{Excluded, Unbounded};
use std::time::Duration;

use async_trait::async_trait;

use super::{MemoryStore, number_after, slice};
use crate::clock::Timestamp;
use crate::error::Result;
use crate::event::AuditEntry;
use crate::store::{AuditFilter, AuditLog, AuditRecord, Change, Cursor, Page};

#[derive(Default)]
pub(super) struct Audit {
    last: u64,
    records: BTreeMap<u64, AuditRecord>,
    /// Entries that no handler has handled yet, each with its lease if a handler has one.
    untold: BTreeMap<u64, Option<Lease>>,
    last_lease: u64,
}

struct Lease {
    number: u64,
    until: Timestamp,
}

impl Audit {
    pub(super) fn record(&mut self, entry: AuditEntry, now: Timestamp) {
        self.last += 1;
        if entry.notify {
            self.untold.insert(self.last, None);
        }
        let record = AuditRecord {
            number: self.last,
            at: now,
            entry,
        };
        self.records.insert(self.last, record);
    }
}

fn matches(filter: &AuditFilter, record: &AuditRecord) -> bool {
    let entry = &record.entry;
    filter.since.is_none_or(|since| record.at >= since)
        && filter.until.is_none_or(|until| record.at < until)
        && filter.tenant.as_ref().is_none_or(|t| *t == entry.tenant)
        && filter
            .connection
            .is_none_or(|c| Some(c) == entry.connection)
        && filter.class.is_none_or(|c| c == entry.class)
}

#[async_trait]
impl AuditLog for MemoryStore {
    async fn append(&self, entry: AuditEntry) -> Result<()> {
        let (mut data, now) = self.open();
        data.audit.record(entry, now);
        Ok(())
    }

    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>> {
        let after = number_after(after, "store.audit")?;
        let (data, _) = self.open();
        let later = data.audit.records.range((Excluded(after), Unbounded));
        slice(
            later
                .filter(|(_, record)| matches(filter, record))
                .map(|(number, record)| (number, record.clone())),
            n,
        )
    }

    async fn take_changes(&self, n: u16, lease: Duration) -> Result<Vec<Change>> {
        let (mut data, now) = self.open();
        let audit = &mut data.audit;
        let free = audit
            .untold
            .iter_mut()
            .filter(|(_, held)| held.as_ref().is_none_or(|lease| lease.until <= now));
        let mut changes = Vec::new();
        for (number, held) in free.take(n.into()) {
            let Some(record) = audit.records.get(number) else {
                continue;
            };
            audit.last_lease += 1;
            *held = Some(Lease {
                number: audit.last_lease,
                until: now.after(lease),
            });
            changes.push(Change {
                record: record.clone(),
                lease: audit.last_lease,
            });
        }
        Ok(changes)
    }

    async fn change_handled(&self, change: &Change) -> Result<bool> {
        let (mut data, _) = self.open();
        let untold = &mut data.audit.untold;
        let held = matches!(
            untold.get(&change.record.number),
            Some(Some(lease)) if lease.number == change.lease
        );
        if held {
            untold.remove(&change.record.number);
        }
        Ok(held)
    }

    async fn prune(&self, older_than: Duration, n: u32) -> Result<u32> {
        let (mut data, now) = self.open();
        let audit = &mut data.audit;
        let before = now.before(older_than);
        let most = usize::try_from(n).unwrap_or(usize::MAX);
        let old = audit.records.values();
        let old: Vec<u64> = old
            .filter(|it| it.at < before && !audit.untold.contains_key(&it.number))
            .map(|it| it.number)
            .take(most)
            .collect();
        for number in &old {
            audit.records.remove(number);
        }
        Ok(u32::try_from(old.len()).unwrap_or(n))
    }
}
