//! The audit log.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::{AuditFilter, AuditLog, AuditRecord, Change, Cursor, Page};
use connector_core::{
    AuditClass, AuditEntry, ConnectionId, CorrelationId, Error, ErrorKind, RequestContext, Result,
    TenantId,
};
use sqlx::sqlite::SqliteRow;

use crate::SqliteStore;
use crate::columns::{Columns, integer, number_after, one_more, select, slice};
use crate::database::Statement;
use crate::error::unreadable;
use crate::work::{UNREADABLE, next_lease};

fn json(written: serde_json::Result<String>) -> Result<String> {
    written.map_err(|cause| {
        Error::new(
            ErrorKind::InvalidInput,
            "store.audit",
            "an audit entry cannot be represented as JSON; use text keys in its maps",
        )
        .with_source(cause)
    })
}

/// Returns the statement that inserts an entry.
pub(crate) fn insert(entry: &AuditEntry, now: Timestamp) -> Result<Statement> {
    Ok(sqlx::query(
        "INSERT INTO audit (at, class, tenant, provider, app, connection, actor, correlation, \
         event, notify) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
    )
    .bind(now.as_unix_millis())
    .bind(entry.class.as_str())
    .bind(entry.tenant.as_str())
    .bind(entry.provider.as_str())
    .bind(entry.app.as_str())
    .bind(entry.connection.as_ref().map(|id| id.as_bytes().as_slice()))
    .bind(json(serde_json::to_string(&entry.context.actor))?)
    .bind(entry.context.correlation.as_str())
    .bind(json(serde_json::to_string(&entry.event))?)
    .bind(entry.notify))
}

macro_rules! record_columns {
    () => {
        "number, at, class, tenant, provider, app, connection, actor, correlation, event, notify"
    };
}

fn record(columns: &mut Columns<'_>) -> Result<AuditRecord> {
    let number = columns.number()?;
    let at = columns.time()?;
    let class = columns.parsed(AuditClass::parse)?;
    let tenant = columns.tenant()?;
    let provider = columns.provider()?;
    let app = columns.app()?;
    let connection = match columns.take::<Option<&[u8]>>()? {
        Some(id) => {
            let id = id.try_into().map_err(|_| unreadable(columns.operation()))?;
            Some(ConnectionId::from_bytes(id))
        }
        None => None,
    };
    let actor = columns.parsed(|json| serde_json::from_str(json).ok())?;
    let correlation = columns.parsed(|text| CorrelationId::new(text).ok())?;
    Ok(AuditRecord {
        number,
        at,
        entry: AuditEntry {
            class,
            tenant,
            provider,
            app,
            connection,
            context: RequestContext::new(actor, correlation),
            event: columns.parsed(|json| serde_json::from_str(json).ok())?,
            notify: columns.take()?,
        },
    })
}

#[async_trait]
impl AuditLog for SqliteStore {
    async fn append(&self, entry: AuditEntry) -> Result<()> {
        let mut write = self.database.write("store.append").await?;
        let statement = insert(&entry, write.now)?;
        write.run(statement).await?;
        write.commit().await
    }

    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>> {
        const OPERATION: &str = "store.audit";
        let after = number_after(OPERATION, after)?;
        let statement = || {
            let sql = select(
                concat!(
                    "SELECT ",
                    record_columns!(),
                    " FROM audit WHERE number > ?1"
                ),
                &[
                    (" AND tenant = ?2", filter.tenant.is_some()),
                    (" AND connection = ?3", filter.connection.is_some()),
                    (" AND class = ?4", filter.class.is_some()),
                    (" AND at < ?6", filter.until.is_some()),
                    (" AND at >= ?7", filter.since.is_some()),
                ],
                " ORDER BY number LIMIT ?5",
            );
            sqlx::query(sql)
                .bind(after)
                .bind(filter.tenant.as_ref().map(TenantId::as_str))
                .bind(
                    filter
                        .connection
                        .as_ref()
                        .map(|id| id.as_bytes().as_slice()),
                )
                .bind(filter.class.map(AuditClass::as_str))
                .bind(one_more(n))
                .bind(filter.until.map(Timestamp::as_unix_millis))
                .bind(filter.since.map(Timestamp::as_unix_millis))
        };
        let rows = self.database.read(OPERATION, statement).await?;
        slice(OPERATION, &rows, n, record)
    }

    async fn take_changes(&self, n: u16, lease: Duration) -> Result<Vec<Change>> {
        const OPERATION: &str = "store.take_changes";
        const WAITING: &str = concat!(
            "SELECT ",
            record_columns!(),
            " FROM audit WHERE notify = 1 AND handled = 0 \
             AND (leased_until IS NULL OR leased_until <= ?1) ORDER BY number LIMIT ?2"
        );
        if n == 0 {
            return Ok(Vec::new());
        }
        let waiting = |now: Timestamp, n: u16| {
            sqlx::query(WAITING)
                .bind(now.as_unix_millis())
                .bind(i64::from(n))
        };
        // If nothing is due, only a read runs and no write lock is taken.
        let now = self.database.clock.now();
        let rows = self.database.read(OPERATION, || waiting(now, 1)).await?;
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        let rows: Vec<SqliteRow> = write.rows(waiting(now, n)).await?;
        let number = next_lease(&mut write).await?;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            let row_number: i64 = Columns::new(row, OPERATION).take()?;
            let record = record(&mut Columns::new(row, OPERATION));
            let until = if record.is_ok() { lease } else { UNREADABLE };
            let statement =
                sqlx::query("UPDATE audit SET lease = ?2, leased_until = ?3 WHERE number = ?1")
                    .bind(row_number)
                    .bind(number)
                    .bind(now.after(until).as_unix_millis());
            write.run(statement).await?;
            let record = match record {
                Ok(record) => record,
                Err(error) => {
                    // An unreadable row must not block the other rows.
                    tracing::error!(
                        operation = OPERATION,
                        error = %error,
                        row = row_number,
                        "skipping an unreadable change for a day; correct the row"
                    );
                    continue;
                }
            };
            changes.push(Change {
                record,
                lease: u64::try_from(number).map_err(|_| unreadable(OPERATION))?,
            });
        }
        write.commit().await?;
        Ok(changes)
    }

    async fn change_handled(&self, change: &Change) -> Result<bool> {
        const OPERATION: &str = "store.change_handled";
        let number = integer(OPERATION, change.record.number)?;
        let lease = integer(OPERATION, change.lease)?;
        let mut write = self.database.write(OPERATION).await?;
        // Lease number zero means "not leased", so it never matches.
        let statement = sqlx::query(
            "UPDATE audit SET handled = 1 WHERE number = ?1 AND lease = ?2 AND lease > 0 \
             AND notify = 1 AND handled = 0",
        )
        .bind(number)
        .bind(lease);
        let changed = write.run(statement).await?;
        write.commit().await?;
        Ok(changed == 1)
    }

    async fn prune(&self, older_than: Duration, n: u32) -> Result<u32> {
        const OPERATION: &str = "store.prune";
        if n == 0 {
            return Ok(0);
        }
        let mut write = self.database.write(OPERATION).await?;
        // The scan reads `n` entries and ends at the first one that is too young. An index on the time
        // would make every audited change more expensive. If the clock is set back, some entries are
        // removed later, together with the entries before them.
        let statement = sqlx::query(
            "DELETE FROM audit WHERE number IN (SELECT number FROM ( \
                 SELECT number, max(at >= ?1) OVER (ORDER BY number) AS is_young FROM ( \
                     SELECT number, at FROM audit WHERE NOT (notify = 1 AND handled = 0) \
                     ORDER BY number LIMIT +?2)) WHERE NOT is_young)",
        )
        .bind(write.now.before(older_than).as_unix_millis())
        .bind(i64::from(n));
        let gone = write.run(statement).await?;
        write.commit().await?;
        Ok(u32::try_from(gone).unwrap_or(n))
    }
}
