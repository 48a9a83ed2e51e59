//! The audit log.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::store::{AuditFilter, AuditLog, AuditRecord, Change, Cursor, Page};
use connector_core::{
    AuditClass, AuditEntry, ConnectionId, CorrelationId, RequestContext, Result, TenantId,
};

use crate::PostgresStore;
use crate::columns::{Columns, integer, number_after, one_more, page, select};
use crate::error::unreadable;
use crate::statement::{Statement, millis};
use crate::work::UNREADABLE;

const INSERT: &str = "INSERT INTO @.audit (at, class, tenant, provider, app, connection, actor, \
        correlation, event, notify) \
    SELECT @now, t.class, t.tenant, t.provider, t.app, t.connection, t.actor, t.correlation, t.event, \
        t.notify \
    FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10) WITH ORDINALITY AS t (class, tenant, provider, \
        app, connection, actor, correlation, event, notify, place) ORDER BY t.place";

/// Returns the statement that inserts entries.
pub(crate) fn insert(entries: &[AuditEntry]) -> Result<Statement> {
    Statement::new(INSERT).bind_entries(entries)
}

/// Removes entries of the `$3` oldest ones, up to the first one that is too young. An index on the time
/// would make every audited change more expensive. If the clock is set back, some entries are removed
/// later, together with the entries before them.
pub(crate) const PRUNE: &str = "DELETE FROM @.audit WHERE number = ANY (ARRAY(
        SELECT number FROM @.audit WHERE number = ANY (ARRAY(
            SELECT number FROM (
                SELECT number, bool_or(at >= @asof - $2) OVER (ORDER BY number) AS is_young FROM (
                    SELECT number, at FROM @.audit WHERE NOT (notify AND NOT handled)
                    ORDER BY number LIMIT $3
                ) oldest
            ) old WHERE NOT is_young
        )) ORDER BY number FOR UPDATE SKIP LOCKED))";

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
impl AuditLog for PostgresStore {
    async fn append(&self, entry: AuditEntry) -> Result<()> {
        let statement = insert(std::slice::from_ref(&entry))?;
        self.database.run("store.append", statement).await?;
        Ok(())
    }

    async fn audit(
        &self,
        filter: &AuditFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<AuditRecord>> {
        const OPERATION: &str = "store.audit";
        let sql = select(
            concat!(
                "SELECT ",
                record_columns!(),
                " FROM @.audit WHERE number > $2"
            ),
            &[
                (" AND tenant = $3", filter.tenant.is_some()),
                (" AND connection = $4", filter.connection.is_some()),
                (" AND class = $5", filter.class.is_some()),
                (" AND at < $6", filter.until.is_some()),
                (" AND at >= $7", filter.since.is_some()),
            ],
            " ORDER BY number LIMIT $8",
        );
        let statement = Statement::new(sql)
            .bind(number_after(OPERATION, after)?)
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.connection.as_ref().map(|id| id.as_bytes().to_vec()))
            .bind(filter.class.map(AuditClass::as_str))
            .bind(filter.until)
            .bind(filter.since)
            .bind(one_more(n));
        let rows = self.database.rows(OPERATION, statement).await?;
        page(OPERATION, &rows, n, record)
    }

    async fn take_changes(&self, n: u16, lease: Duration) -> Result<Vec<Change>> {
        const OPERATION: &str = "store.take_changes";
        const TAKE: &str = concat!(
            "WITH due AS MATERIALIZED (
                SELECT number AS n FROM @.audit
                WHERE notify AND NOT handled AND (leased_until IS NULL OR leased_until <= @asof)
                ORDER BY number LIMIT $2 FOR UPDATE SKIP LOCKED
            ), lease AS MATERIALIZED (
                SELECT nextval('@.leases') AS id WHERE EXISTS (SELECT 1 FROM due)
            ), taken AS (
                UPDATE @.audit SET lease = lease.id, leased_until = @now + $3 FROM due, lease
                WHERE number = due.n
                RETURNING ",
            record_columns!(),
            ", lease.id
            )
            SELECT ",
            record_columns!(),
            ", id FROM taken ORDER BY number"
        );
        if n == 0 {
            return Ok(Vec::new());
        }
        let statement = Statement::new(TAKE).bind(i64::from(n)).bind(millis(lease));
        let rows = self.database.rows(OPERATION, statement).await?;
        let mut changes = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let record = match record(&mut columns) {
                Ok(record) => record,
                Err(error) => {
                    let number: i64 = Columns::new(row, OPERATION).take()?;
                    // An unreadable row must not block the other rows.
                    tracing::error!(
                        operation = OPERATION,
                        error = %error,
                        row = number,
                        "skipping an unreadable change for a day; correct the row"
                    );
                    let statement = Statement::new(
                        "UPDATE @.audit SET leased_until = @now + $3 WHERE number = $2",
                    )
                    .bind(number)
                    .bind(millis(UNREADABLE));
                    self.database.run(OPERATION, statement).await?;
                    continue;
                }
            };
            changes.push(Change {
                record,
                lease: columns.number()?,
            });
        }
        Ok(changes)
    }

    async fn change_handled(&self, change: &Change) -> Result<bool> {
        const OPERATION: &str = "store.change_handled";
        // Lease number zero means "not leased", so it never matches.
        let statement = Statement::new(
            "UPDATE @.audit SET handled = true WHERE number = $2 AND lease = $3 AND lease > 0 \
             AND notify AND NOT handled",
        )
        .bind(integer(OPERATION, change.record.number)?)
        .bind(integer(OPERATION, change.lease)?);
        Ok(self.database.changed(OPERATION, statement).await? == 1)
    }

    async fn prune(&self, older_than: Duration, n: u32) -> Result<u32> {
        const OPERATION: &str = "store.prune";
        if n == 0 {
            return Ok(0);
        }
        let statement = Statement::new(PRUNE)
            .bind(millis(older_than))
            .bind(i64::from(n));
        let gone = self.database.changed(OPERATION, statement).await?;
        Ok(u32::try_from(gone).unwrap_or(n))
    }
}
