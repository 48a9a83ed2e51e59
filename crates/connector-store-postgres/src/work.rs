//! Due work and its leases.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use connector_core::store::{Due, WorkKind};
use connector_core::{ConnectionKey, Result};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::columns::{Columns, integer};
use crate::error::unreadable;
use crate::statement::{Statement, millis};

/// Time for which an unreadable row is skipped before it is reported again.
pub(crate) const UNREADABLE: Duration = Duration::from_secs(24 * 60 * 60);

/// Returns the statement that removes all work of a connection.
pub(crate) fn clear(key: &ConnectionKey) -> Statement {
    Statement::of(
        "DELETE FROM @.work WHERE tenant = $2 AND connection = $3",
        key,
    )
}

/// Leases due work, the longest due first, of each kind in `$2`. Rows that another caller leases at
/// this moment are skipped. `$5` is the low-water mark. The last row contains only the time.
///
/// The row's address (`ctid`) is valid because the row stays locked until the end of the statement.
const TAKE: &str = "WITH waiting AS MATERIALIZED (
        SELECT due.at, due.due_at FROM unnest($2) AS k (kind) CROSS JOIN LATERAL (
            SELECT w.ctid AS at, w.due_at FROM @.work w
            WHERE NOT w.leased AND w.kind = k.kind AND w.due_at <= @asof AND w.due_at >= $5
            ORDER BY w.due_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) due
    ), expired AS MATERIALIZED (
        SELECT ctid AS at, due_at FROM @.work
        WHERE leased AND leased_until <= @asof AND leased_until >= $5 AND kind = ANY ($2)
        ORDER BY leased_until LIMIT $3 FOR UPDATE SKIP LOCKED
    ), number AS MATERIALIZED (
        SELECT nextval('@.leases') AS n WHERE EXISTS (SELECT 1 FROM waiting)
            OR EXISTS (SELECT 1 FROM expired)
    ), taken AS (
        UPDATE @.work w SET leased = true, lease = number.n, leased_until = @now + $4 FROM number
        WHERE w.ctid = ANY (ARRAY(
            SELECT at FROM (SELECT * FROM waiting UNION ALL SELECT * FROM expired) due
            ORDER BY due_at LIMIT $3
        ))
        RETURNING w.tenant, w.connection, w.kind, w.lease, w.due_at, @asof AS now
    )
    SELECT tenant, connection, kind, lease, due_at, now FROM taken
    UNION ALL SELECT NULL, NULL, NULL, NULL, NULL, @asof ORDER BY due_at NULLS LAST";

/// The low-water marks of this process.
///
/// An index keeps the entries of rows that were leased until the table is vacuumed, and a sweep reads
/// them. While a transaction with an old snapshot is open, vacuuming does not remove them, and an idle
/// sweep takes tens of milliseconds. After an empty sweep, the next sweeps therefore begin one minute
/// before it. Once per minute, a sweep begins at the start, for work that was scheduled with an older
/// time, for example after a change of the server's clock.
#[derive(Debug, Default)]
pub(crate) struct Marks(Mutex<HashMap<Vec<WorkKind>, Mark>>);

#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    /// The time of the last empty sweep that began at the start, in milliseconds.
    whole: i64,
    /// The time of the last empty sweep.
    empty: i64,
}

/// Distance of the low-water mark from the last empty sweep, in milliseconds.
const MARGIN: i64 = 60_000;

impl Marks {
    /// Returns the mark for a sweep at about `now`.
    fn of(&self, kinds: &[WorkKind]) -> i64 {
        let marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match marks.get(kinds) {
            // After the clock was set back, a sweep begins at the start.
            Some(mark) if (mark.whole..mark.whole + MARGIN).contains(&mark.empty) => {
                mark.empty - MARGIN
            }
            _ => i64::MIN,
        }
    }

    fn swept(&self, kinds: &[WorkKind], from: i64, now: i64) {
        let mut marks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mark = marks.entry(kinds.to_vec()).or_default();
        mark.empty = now;
        if from == i64::MIN {
            mark.whole = now;
        }
    }
}

fn read_due(row: &Row, operation: &'static str) -> Result<Due> {
    let mut columns = Columns::new(row, operation);
    let key = columns.key()?;
    let kind = columns.parsed(WorkKind::parse)?;
    let lease = columns.number()?;
    let due_at = columns.time()?;
    Ok(Due {
        key,
        kind,
        lease,
        late_by: columns.time()?.since(due_at),
    })
}

pub(crate) async fn take_due(
    store: &PostgresStore,
    kinds: &[WorkKind],
    n: u16,
    lease: Duration,
) -> Result<Vec<Due>> {
    const OPERATION: &str = "store.take_due";
    let mut kinds = kinds.to_vec();
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() || n == 0 {
        return Ok(Vec::new());
    }
    let from = store.marks.of(&kinds);
    let names: Vec<String> = kinds.iter().map(|kind| kind.as_str().to_owned()).collect();
    let statement = Statement::new(TAKE)
        .bind(names)
        .bind(i64::from(n))
        .bind(millis(lease))
        .bind(from);
    let rows = store.database.rows(OPERATION, statement).await?;
    let (time, rows) = rows.split_last().ok_or_else(|| unreadable(OPERATION))?;
    if rows.is_empty() {
        let mut columns = Columns::new(time, OPERATION);
        columns.skip(5);
        store.marks.swept(&kinds, from, columns.take()?);
    }
    let mut taken = Vec::with_capacity(rows.len());
    for row in rows {
        match read_due(row, OPERATION) {
            Ok(due) => taken.push(due),
            Err(error) => {
                // An unreadable row must not block the other rows.
                tracing::error!(
                    operation = OPERATION,
                    error = %error,
                    "skipping unreadable work for a day; correct or delete the row"
                );
                let mut columns = Columns::new(row, OPERATION);
                let statement = Statement::new(
                    "UPDATE @.work SET leased_until = @now + $6 WHERE tenant = $2 \
                     AND connection = $3 AND kind = $4 AND lease = $5",
                )
                .bind(columns.take::<&str>()?)
                .bind(columns.take::<&[u8]>()?)
                .bind(columns.take::<&str>()?)
                .bind(columns.take::<i64>()?)
                .bind(millis(UNREADABLE));
                store.database.run(OPERATION, statement).await?;
            }
        }
    }
    Ok(taken)
}

pub(crate) async fn finish(
    store: &PostgresStore,
    due: &Due,
    next: Option<Duration>,
) -> Result<bool> {
    const OPERATION: &str = "store.finish";
    let sql = match next {
        Some(_) => {
            "UPDATE @.work SET due_at = @now + $6, leased = false WHERE tenant = $2 \
             AND connection = $3 AND kind = $4 AND lease = $5 AND leased"
        }
        None => {
            "DELETE FROM @.work WHERE tenant = $2 AND connection = $3 AND kind = $4 AND lease = $5 \
             AND leased"
        }
    };
    let statement = Statement::of(sql, &due.key)
        .bind(due.kind.as_str())
        .bind(integer(OPERATION, due.lease)?)
        .bind(next.map_or(0, millis));
    Ok(store.database.changed(OPERATION, statement).await? == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_minute_before_an_empty_sweep_and_ends_after_a_minute() {
        let marks = Marks::default();
        let kinds = [WorkKind::Refresh];
        assert_eq!(marks.of(&kinds), i64::MIN);
        marks.swept(&kinds, i64::MIN, 1_000_000);
        assert_eq!(marks.of(&kinds), 1_000_000 - MARGIN);
        marks.swept(&kinds, 1_000_000 - MARGIN, 1_000_000 + MARGIN - 1);
        assert_eq!(marks.of(&kinds), 1_000_000 - 1);
        marks.swept(&kinds, 1_000_000 - 1, 1_000_000 + MARGIN);
        assert_eq!(marks.of(&kinds), i64::MIN);
        assert_eq!(marks.of(&[WorkKind::Metadata]), i64::MIN);
        // The clock is set back.
        marks.swept(&kinds, i64::MIN, 1_000_000);
        marks.swept(&kinds, 1_000_000 - MARGIN, 900_000);
        assert_eq!(marks.of(&kinds), i64::MIN);
    }
}
