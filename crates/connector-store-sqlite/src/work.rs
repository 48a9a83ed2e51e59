//! Due work, leases, and the side effects of a change.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::store::{Due, SideEffects, WorkKind};
use connector_core::{ConnectionKey, Result};
use sqlx::AssertSqlSafe;
use sqlx::sqlite::SqliteRow;

use crate::audit;
use crate::columns::{Columns, integer};
use crate::database::{Database, Statement, Write, of_connection};
use crate::error::unreadable;

/// Time for which an unreadable row is skipped before it is reported again.
pub(crate) const UNREADABLE: Duration = Duration::from_hours(24);

/// Writes the side effects of a change in the same transaction.
pub(crate) async fn apply(
    write: &mut Write<'_>,
    key: &ConnectionKey,
    effects: &SideEffects,
) -> Result<()> {
    for (kind, delay) in &effects.schedule {
        let statement = match delay {
            Some(delay) => of_work(
                "INSERT INTO work (tenant, connection, kind, due_at, leased_until) \
                 VALUES (?1, ?2, ?3, ?4, ?4) ON CONFLICT (tenant, connection, kind) \
                 DO UPDATE SET due_at = excluded.due_at, leased = 0",
                key,
                *kind,
            )
            .bind(write.now.after(*delay).as_unix_millis()),
            None => of_work(
                "DELETE FROM work WHERE tenant = ?1 AND connection = ?2 AND kind = ?3",
                key,
                *kind,
            ),
        };
        write.run(statement).await?;
    }
    for entry in &effects.audit {
        let statement = audit::insert(entry, write.now)?;
        write.run(statement).await?;
    }
    Ok(())
}

/// Removes all work of a connection.
pub(crate) async fn clear(write: &mut Write<'_>, key: &ConnectionKey) -> Result<()> {
    let sql = "DELETE FROM work WHERE tenant = ?1 AND connection = ?2";
    write.run(of_connection(sql, key)).await?;
    Ok(())
}

fn of_work(sql: &'static str, key: &ConnectionKey, kind: WorkKind) -> Statement {
    of_connection(sql, key).bind(kind.as_str())
}

/// Returns the number of a new lease, higher than all earlier numbers.
pub(crate) async fn next_lease(write: &mut Write<'_>) -> Result<i64> {
    let operation = write.operation();
    let rows = write
        .rows(sqlx::query(
            "UPDATE leases SET number = number + 1 WHERE only = 1 RETURNING number",
        ))
        .await?;
    let row = rows.first().ok_or_else(|| unreadable(operation))?;
    Columns::new(row, operation).take()
}

/// The primary key of the table.
const KEY: &str = "due_at, kind, tenant, connection";

/// Selects the keys of due work, the longest due first. Merges waiting work, from one index per
/// kind, with work whose lease has expired. The statement therefore reads only rows to lease. The
/// indexes are named explicitly, because the table itself has the same order but also contains
/// leased work.
fn due_keys(kinds: &[WorkKind]) -> String {
    let mut parts: Vec<_> = (0..kinds.len())
        .map(|place| {
            format!(
                "SELECT {KEY} FROM work INDEXED BY work_waiting \
                 WHERE leased = 0 AND kind = ?{} AND due_at <= ?1",
                place + FIRST_KIND
            )
        })
        .collect();
    parts.push(format!(
        "SELECT {KEY} FROM work INDEXED BY work_leased \
         WHERE leased = 1 AND leased_until <= ?1 AND kind IN ({})",
        places(kinds)
    ));
    // The plus sign prevents SQLite from planning the statement again. Otherwise SQLite does so
    // whenever a parameter directly after LIMIT is bound, which takes longer than a sweep without
    // due work.
    format!(
        "SELECT * FROM ({} ORDER BY due_at LIMIT +?2)",
        parts.join(" UNION ALL ")
    )
}

/// Leases the work with the given keys. `?3` is the lease number and `?4` is the end of the lease.
fn lease_of(keys: &str) -> String {
    format!(
        "UPDATE work SET leased = 1, lease = ?3, leased_until = ?4 \
         WHERE ({KEY}) IN ({keys}) \
         RETURNING tenant, connection, kind, due_at, CAST(tenant AS BLOB)"
    )
}

const FIRST_KIND: usize = 5;

/// Returns the SQL parameters for the kinds.
fn places(kinds: &[WorkKind]) -> String {
    let places: Vec<_> = (0..kinds.len())
        .map(|place| format!("?{}", place + FIRST_KIND))
        .collect();
    places.join(", ")
}

fn with_kinds(
    sql: String,
    kinds: &[WorkKind],
    now: Timestamp,
    n: u16,
    lease: Option<(i64, Timestamp)>,
) -> Statement {
    let statement = sqlx::query(AssertSqlSafe(sql))
        .bind(now.as_unix_millis())
        .bind(i64::from(n))
        .bind(lease.map(|(number, _)| number))
        .bind(lease.map(|(_, until)| until.as_unix_millis()));
    kinds
        .iter()
        .fold(statement, |statement, kind| statement.bind(kind.as_str()))
}

fn read_due(row: &SqliteRow, operation: &'static str, lease: u64, now: Timestamp) -> Result<Due> {
    let mut columns = Columns::new(row, operation);
    Ok(Due {
        key: columns.key()?,
        kind: columns.parsed(WorkKind::parse)?,
        lease,
        late_by: now.since(columns.time()?),
    })
}

pub(crate) async fn take_due(
    database: &Database,
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
    let keys = due_keys(&kinds);
    // If nothing is due, only a read runs: no write lock is taken and nothing is written.
    let now = database.clock.now();
    let waiting = database
        .read(OPERATION, || with_kinds(keys.clone(), &kinds, now, 1, None))
        .await?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let mut write = database.write(OPERATION).await?;
    let number = next_lease(&mut write).await?;
    let now = write.now;
    let statement = with_kinds(
        lease_of(&keys),
        &kinds,
        now,
        n,
        Some((number, now.after(lease))),
    );
    let rows = write.rows(statement).await?;
    let lease = u64::try_from(number).map_err(|_| unreadable(OPERATION))?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in &rows {
        match read_due(row, OPERATION, lease, now) {
            Ok(due) => taken.push(due),
            Err(error) => {
                // An unreadable row must not block the other rows.
                tracing::error!(
                    operation = OPERATION,
                    error = %error,
                    "skipping unreadable work for a day; correct or delete the row"
                );
                let mut columns = Columns::new(row, OPERATION);
                columns.skip(1);
                let connection: Vec<u8> = columns.take()?;
                let kind: String = columns.take()?;
                columns.skip(1);
                let tenant: Vec<u8> = columns.take()?;
                let statement = sqlx::query(
                    "UPDATE work SET leased_until = ?1 WHERE lease = ?2 AND leased = 1 \
                     AND CAST(tenant AS BLOB) = ?3 AND connection = ?4 AND kind = ?5",
                )
                .bind(now.after(UNREADABLE).as_unix_millis())
                .bind(number)
                .bind(tenant)
                .bind(connection)
                .bind(kind);
                write.run(statement).await?;
            }
        }
    }
    write.commit().await?;
    taken.sort_by_key(|due| std::cmp::Reverse(due.late_by));
    Ok(taken)
}

pub(crate) async fn finish(database: &Database, due: &Due, next: Option<Duration>) -> Result<bool> {
    const OPERATION: &str = "store.finish";
    let lease = integer(OPERATION, due.lease)?;
    let mut write = database.write(OPERATION).await?;
    let statement = match next {
        Some(delay) => of_work(
            "UPDATE work SET due_at = ?5, leased = 0 WHERE tenant = ?1 AND connection = ?2 \
             AND kind = ?3 AND lease = ?4 AND leased = 1",
            &due.key,
            due.kind,
        )
        .bind(lease)
        .bind(write.now.after(delay).as_unix_millis()),
        None => of_work(
            "DELETE FROM work WHERE tenant = ?1 AND connection = ?2 AND kind = ?3 AND lease = ?4 \
             AND leased = 1",
            &due.key,
            due.kind,
        )
        .bind(lease),
    };
    let changed = write.run(statement).await?;
    write.commit().await?;
    Ok(changed == 1)
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it counted"
)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use sqlx::{ConnectOptions, Row};

    use super::*;
    use crate::schema::MIGRATIONS;

    async fn plan(connection: &mut SqliteConnection, sql: &str, kinds: &[WorkKind]) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let statement = with_kinds(sql, kinds, now, 256, Some((1, now)));
        let rows = statement.fetch_all(connection).await.unwrap();
        rows.iter().map(|row| row.get("detail")).collect()
    }

    /// SQLite chooses the query plan, which may change with its version.
    #[tokio::test]
    async fn a_sweep_uses_its_indexes_and_does_not_sort_waiting_work() {
        let mut connection = SqliteConnectOptions::new().connect().await.unwrap();
        for step in MIGRATIONS {
            sqlx::raw_sql(step.sql())
                .execute(&mut connection)
                .await
                .unwrap();
        }
        let mut plans = 0;
        for count in 1..=WorkKind::ALL.len() {
            let kinds = &WorkKind::ALL[..count];
            let keys = due_keys(kinds);
            let look = plan(&mut connection, &keys, kinds).await;
            let claim = plan(&mut connection, &lease_of(&keys), kinds).await;
            let found = "SEARCH work USING PRIMARY KEY \
                         (due_at=? AND kind=? AND tenant=? AND connection=?)";
            assert!(claim.iter().any(|line| line == found), "{claim:#?}");
            for lines in [look, claim] {
                let count = |of: &str| lines.iter().filter(|line| line.contains(of)).count();
                let waiting =
                    count("SEARCH work USING COVERING INDEX work_waiting (kind=? AND due_at<?)");
                assert_eq!(waiting, kinds.len(), "{lines:#?}");
                let leased = count("SEARCH work USING COVERING INDEX work_leased (leased_until<?)");
                assert_eq!(leased, 1, "{lines:#?}");
                // The sort of the leased work, which its index returns in lease order.
                assert_eq!(count("TEMP B-TREE"), 1, "{lines:#?}");
                assert_eq!(count("SCAN work"), 0, "{lines:#?}");
                plans += 1;
            }
        }
        println!("query plans without a scan: {plans}");
    }
}
