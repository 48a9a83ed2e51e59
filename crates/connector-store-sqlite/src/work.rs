//! Due work, leases, and what rides in the commit of a change.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::store::{Due, Effects, WorkKind};
use connector_core::{ConnectionKey, Result};
use sqlx::AssertSqlSafe;

use crate::audit;
use crate::columns::{Columns, integer};
use crate::database::{Database, Statement, Write};
use crate::error::unreadable;

/// Applies what rides in the commit of a change.
pub(crate) async fn apply(
    write: &mut Write<'_>,
    key: &ConnectionKey,
    effects: &Effects,
) -> Result<()> {
    for (kind, delay) in &effects.schedule {
        let statement = match delay {
            Some(delay) => of_work(
                "INSERT INTO work (tenant, connection, kind, due_at) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT (tenant, connection, kind) \
                 DO UPDATE SET due_at = excluded.due_at, lease = 0, leased_until = NULL",
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
    let statement = sqlx::query("DELETE FROM work WHERE tenant = ?1 AND connection = ?2")
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes().as_slice());
    write.run(statement).await?;
    Ok(())
}

fn of_work(sql: &'static str, key: &ConnectionKey, kind: WorkKind) -> Statement {
    sqlx::query(sql)
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes().as_slice())
        .bind(kind.as_str())
}

/// The number of a new lease, higher than all before.
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

/// The numbers of due work, the longest due first: the work that waits and the work whose lease
/// has passed, for each kind from its index, so that only what is handed out is looked at.
fn due_numbers(kinds: &[WorkKind]) -> String {
    let mut parts = vec![format!(
        "SELECT number, due_at FROM work WHERE leased_until <= ?1 AND kind IN ({})",
        places(kinds)
    )];
    for place in 0..kinds.len() {
        parts.push(format!(
            "SELECT * FROM (SELECT number, due_at FROM work WHERE leased_until IS NULL \
             AND kind = ?{} AND due_at <= ?1 ORDER BY due_at LIMIT ?2)",
            place + FIRST_KIND
        ));
    }
    format!(
        "SELECT number FROM ({}) ORDER BY due_at, number LIMIT ?2",
        parts.join(" UNION ALL ")
    )
}

const FIRST_KIND: usize = 5;

/// The parameters that the kinds are bound to.
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
    let numbers = due_numbers(&kinds);
    // An idle sweep only looks: it takes no write lock and writes nothing.
    let now = database.clock.now();
    let waiting = database
        .read(OPERATION, || {
            with_kinds(numbers.clone(), &kinds, now, 1, None)
        })
        .await?;
    if waiting.is_empty() {
        return Ok(Vec::new());
    }
    let mut write = database.write(OPERATION).await?;
    let number = next_lease(&mut write).await?;
    let now = write.now;
    let sql = format!(
        "UPDATE work SET lease = ?3, leased_until = ?4 WHERE number IN ({numbers}) \
         RETURNING tenant, connection, kind, due_at"
    );
    let statement = with_kinds(sql, &kinds, now, n, Some((number, now.after(lease))));
    let rows = write.rows(statement).await?;
    let lease = u64::try_from(number).map_err(|_| unreadable(OPERATION))?;
    let mut taken = Vec::with_capacity(rows.len());
    for row in &rows {
        let mut columns = Columns::new(row, OPERATION);
        taken.push(Due {
            key: columns.key()?,
            kind: columns.parsed(WorkKind::parse)?,
            lease,
            late_by: now.since(columns.time()?),
        });
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
            "UPDATE work SET due_at = ?5, lease = 0, leased_until = NULL \
             WHERE tenant = ?1 AND connection = ?2 AND kind = ?3 AND lease = ?4 \
             AND leased_until IS NOT NULL",
            &due.key,
            due.kind,
        )
        .bind(lease)
        .bind(write.now.after(delay).as_unix_millis()),
        None => of_work(
            "DELETE FROM work WHERE tenant = ?1 AND connection = ?2 AND kind = ?3 AND lease = ?4 \
             AND leased_until IS NOT NULL",
            &due.key,
            due.kind,
        )
        .bind(lease),
    };
    let changed = write.run(statement).await?;
    write.commit().await?;
    Ok(changed == 1)
}
