//! Endpoints of customers, and outbound messages.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::outbound::{EventType, MessageId};
use connector_core::store::record::ATTEMPTS_KEPT;
use connector_core::store::{
    AttemptRecord, ChangeEndpointOutcome, Cursor, Endpoint, EndpointChange, EndpointFilter,
    EndpointHealth, EndpointId, EndpointKey, EndpointState, EndpointTransition, Enqueued,
    LeasedMessage, MessageLease, NewAttempt, NewEndpoint, NewMessage, OutboundFilter,
    OutboundRecord, OutboundState, OutboundStore, OutboundVerdict, Page, PutEndpointOutcome,
    Settled, Settlement, Version,
};
use connector_core::{AuditEntry, ErrorKind, ProviderId, Result, TenantId};
use sqlx::sqlite::{SqliteConnection, SqliteRow};

use crate::columns::{Columns, integer, number_after, one_more, select, slice};
use crate::database::{Session, Statement, Write};
use crate::error::unreadable;
use crate::work::next_lease;
use crate::{SqliteStore, audit};

/// The columns that [`read`] reads, in the same order.
macro_rules! columns {
    () => {
        "tenant, id, provider, label, alias, event_types, ordered, state, version, created_at, \
         failures, failing_since, succeeded_at, failed_at, status, error, not_before, delivered, \
         failed, key_id, sealed"
    };
}

const BY_KEY: &str = concat!(
    "SELECT number, ",
    columns!(),
    " FROM endpoints WHERE tenant = ?1 AND id = ?2"
);
const BY_ALIAS: &str = concat!(
    "SELECT number, ",
    columns!(),
    " FROM endpoints WHERE tenant = ?1 AND provider = ?2 AND alias = ?3"
);
const OF_PROVIDER: &str = concat!(
    "SELECT number, ",
    columns!(),
    " FROM endpoints WHERE tenant = ?1 AND provider = ?2 AND state <> 'gone' ORDER BY number"
);

/// Selects the endpoints to serve next, with the number of messages that each may get. Endpoints of
/// a tenant take turns, and then tenants do. Those with the fewest leased messages come first.
///
/// Without the named indexes and the order of `CROSS JOIN`, SQLite scans both tables.
const TURNS: &str = "WITH busy AS ( \
         SELECT endpoint, count(*) AS leased FROM outbound INDEXED BY outbound_leased \
         WHERE lease > 0 AND due_at > ?1 GROUP BY endpoint \
     ), tenants AS ( \
         SELECT e.tenant, sum(b.leased) AS leased FROM busy b \
         CROSS JOIN endpoints e ON e.number = b.endpoint GROUP BY e.tenant \
     ), open AS ( \
         SELECT e.number, e.tenant, e.turn, \
             CASE WHEN e.failures > 0 THEN min(1, ?2) ELSE ?2 END - coalesce(b.leased, 0) AS room \
         FROM endpoints e INDEXED BY endpoints_due LEFT JOIN busy b ON b.endpoint = e.number \
         WHERE e.due_at <= ?1 \
     ), fair AS ( \
         SELECT o.number, o.turn, o.room, o.tenant, coalesce(t.leased, 0) AS leased, \
             coalesce(t.leased, 0) + row_number() OVER ( \
                 PARTITION BY o.tenant ORDER BY o.turn, o.number) AS place \
         FROM open o LEFT JOIN tenants t ON t.tenant = o.tenant WHERE o.room > 0 \
     ) \
     SELECT number, room, tenant, leased FROM fair WHERE place <= ?3 \
     ORDER BY place, turn, number LIMIT ?4";

const DUE: &str = "SELECT o.number, o.lane, m.id, m.event_type, m.key_id, m.sealed, o.attempts, \
     o.tries \
     FROM outbound o JOIN messages m ON m.number = o.message \
     WHERE o.endpoint = ?1 AND o.state = 'waiting' AND o.due_at <= ?2 \
     ORDER BY o.due_at, o.number LIMIT ?3";
const DUE_ONE: &str = "SELECT o.number, o.lane, m.id, m.event_type, m.key_id, m.sealed, \
     o.attempts, o.tries \
     FROM messages m JOIN outbound o ON o.message = m.number \
     WHERE m.tenant = ?4 AND m.id = ?5 AND o.endpoint = ?1 AND o.state = 'waiting' \
     AND o.due_at <= ?2 LIMIT ?3";

const SKIP: &str = "UPDATE outbound SET state = 'skipped', due_at = ?2 WHERE endpoint = ?1 \
     AND state IN ('waiting', 'held')";

fn by_key(sql: &'static str, key: &EndpointKey) -> Statement {
    sqlx::query(sql)
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes().as_slice())
}

fn event_type(columns: &mut Columns<'_>) -> Result<EventType> {
    columns.parsed(|text| EventType::new(text).ok())
}

fn message_id(columns: &mut Columns<'_>) -> Result<MessageId> {
    columns.parsed(|text| MessageId::new(text).ok())
}

fn status(columns: &mut Columns<'_>) -> Result<Option<u16>> {
    let status = columns.maybe_number()?.map(u16::try_from).transpose();
    status.map_err(|_| unreadable(columns.operation()))
}

/// An endpoint with the number of its row.
struct Row {
    number: i64,
    kept: Endpoint,
}

fn read(row: &SqliteRow, operation: &'static str) -> Result<Row> {
    let mut columns = Columns::new(row, operation);
    let number = columns.take()?;
    Ok(Row {
        number,
        kept: read_endpoint(&mut columns)?,
    })
}

fn read_endpoint(columns: &mut Columns<'_>) -> Result<Endpoint> {
    let tenant = columns.tenant()?;
    Ok(Endpoint {
        key: EndpointKey::new(tenant, EndpointId::from_bytes(columns.bytes()?)),
        provider: columns.provider()?,
        label: columns.take()?,
        alias: columns.take()?,
        event_types: columns.parsed(|text| {
            let types = text.lines().map(EventType::new);
            types.collect::<Result<_, _>>().ok()
        })?,
        is_ordered: columns.take()?,
        state: columns.parsed(EndpointState::parse)?,
        version: Version::new(columns.number()?),
        created_at: columns.time()?,
        health: EndpointHealth {
            failures: columns.small_number()?,
            failing_since: columns.maybe_time()?,
            succeeded_at: columns.maybe_time()?,
            failed_at: columns.maybe_time()?,
            status: status(columns)?,
            error: columns.take()?,
            not_before: columns.maybe_time()?,
            delivered: columns.number()?,
            failed: columns.number()?,
        },
        sealed: columns.sealed()?,
    })
}

/// Binds the values of all columns of [`columns!`], from `?2` on, to a statement with the number of
/// the row in `?1`.
fn bind(statement: Statement, operation: &'static str, kept: &Endpoint) -> Result<Statement> {
    let health = &kept.health;
    let types: Vec<&str> = kept.event_types.iter().map(EventType::as_str).collect();
    let millis = |at: Option<Timestamp>| at.map(Timestamp::as_unix_millis);
    Ok(statement
        .bind(kept.key.tenant.as_str().to_owned())
        .bind(kept.key.id.as_bytes().to_vec())
        .bind(kept.provider.as_str().to_owned())
        .bind(kept.label.clone())
        .bind(kept.alias.clone())
        .bind(types.join("\n"))
        .bind(kept.is_ordered)
        .bind(kept.state.as_str())
        .bind(integer(operation, kept.version.get())?)
        .bind(kept.created_at.as_unix_millis())
        .bind(i64::from(health.failures))
        .bind(millis(health.failing_since))
        .bind(millis(health.succeeded_at))
        .bind(millis(health.failed_at))
        .bind(health.status.map(i64::from))
        .bind(health.error.clone())
        .bind(millis(health.not_before))
        .bind(integer(operation, health.delivered)?)
        .bind(integer(operation, health.failed)?)
        .bind(kept.sealed.key_id().as_bytes().to_vec())
        .bind(kept.sealed.bytes().to_vec()))
}

const INSERT: &str = concat!(
    "INSERT INTO endpoints (number, ",
    columns!(),
    ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, \
     ?19, ?20, ?21, ?22)"
);
const REPLACE: &str = concat!(
    "UPDATE endpoints SET (",
    columns!(),
    ") = (?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, \
     ?21, ?22) WHERE number = ?1"
);

async fn find(write: &mut Write<'_>, key: &EndpointKey) -> Result<Option<Row>> {
    let operation = write.operation();
    let rows = write.rows(by_key(BY_KEY, key)).await?;
    rows.first().map(|row| read(row, operation)).transpose()
}

async fn replace(write: &mut Write<'_>, number: i64, kept: &Endpoint) -> Result<()> {
    let statement = bind(sqlx::query(REPLACE).bind(number), write.operation(), kept)?;
    write.run(statement).await?;
    Ok(())
}

async fn record(write: &mut Write<'_>, entries: &[AuditEntry]) -> Result<()> {
    for entry in entries {
        let statement = audit::insert(entry, write.now)?;
        write.run(statement).await?;
    }
    Ok(())
}

/// Computes when the next message for an endpoint is due.
async fn reschedule(session: &mut Session<'_>, endpoint: i64) -> Result<()> {
    let statement = sqlx::query(
        "UPDATE endpoints SET due_at = (SELECT max(min(due_at), coalesce(endpoints.not_before, 0)) \
         FROM outbound WHERE endpoint = ?1 AND state = 'waiting') WHERE number = ?1",
    );
    session.run(statement.bind(endpoint)).await?;
    Ok(())
}

/// Skips all pending deliveries of an endpoint. A current attempt may still deliver its message.
async fn skip(write: &mut Write<'_>, endpoint: i64) -> Result<()> {
    let statement = sqlx::query(SKIP)
        .bind(endpoint)
        .bind(write.now.as_unix_millis());
    write.run(statement).await?;
    Ok(())
}

/// Makes the next delivery of a resource due, if no earlier one is pending.
async fn promote(write: &mut Write<'_>, endpoint: i64, lane: &str) -> Result<()> {
    let statement = sqlx::query(
        "UPDATE outbound SET state = 'waiting', due_at = ?3 WHERE state = 'held' AND number = ( \
             SELECT number FROM outbound WHERE endpoint = ?1 AND lane = ?2 \
             AND state IN ('waiting', 'held') ORDER BY number LIMIT 1)",
    )
    .bind(endpoint)
    .bind(lane.to_owned())
    .bind(write.now.as_unix_millis());
    write.run(statement).await?;
    Ok(())
}

async fn is_preceded(session: &mut Session<'_>, endpoint: i64, lane: &str) -> Result<bool> {
    let statement = sqlx::query(
        "SELECT 1 FROM outbound WHERE endpoint = ?1 AND lane = ?2 \
         AND state IN ('waiting', 'held') LIMIT 1",
    )
    .bind(endpoint)
    .bind(lane.to_owned());
    Ok(!session.rows(statement).await?.is_empty())
}

async fn enqueue(session: &mut Session<'_>, message: &NewMessage) -> Result<Enqueued> {
    let now = session.now;
    let operation = session.operation;
    let key = &message.key;
    let statement = sqlx::query(
        "INSERT INTO messages (tenant, provider, id, event_type, resource, at, accepted_at, \
         keep_until, key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
         ON CONFLICT (tenant, provider, id) DO NOTHING RETURNING number",
    )
    .bind(key.tenant.as_str().to_owned())
    .bind(key.provider.as_str().to_owned())
    .bind(key.id.as_str().to_owned())
    .bind(message.event_type.as_str().to_owned())
    .bind(message.resource.clone())
    .bind(message.at.as_unix_millis())
    .bind(now.as_unix_millis())
    .bind(now.after(message.keep_for).as_unix_millis())
    .bind(message.sealed.key_id().as_bytes().to_vec())
    .bind(message.sealed.bytes().to_vec());
    let inserted = session.rows(statement).await?;
    let Some(inserted) = inserted.first() else {
        return Ok(Enqueued {
            is_duplicate: true,
            ..Enqueued::default()
        });
    };
    let number: i64 = Columns::new(inserted, operation).take()?;
    let own = sqlx::query(OF_PROVIDER)
        .bind(key.tenant.as_str().to_owned())
        .bind(key.provider.as_str().to_owned());
    let mut enqueued = Enqueued::default();
    for row in &session.rows(own).await? {
        let row = match read(row, operation) {
            Ok(row) => row,
            Err(error) => {
                // The message must not be lost for this endpoint, and must reach the others.
                let endpoint: i64 = Columns::new(row, operation).take()?;
                tracing::error!(
                    operation,
                    error = %error,
                    row = endpoint,
                    "parking a message for an unreadable endpoint; correct or delete the row"
                );
                let statement = sqlx::query(
                    "INSERT INTO outbound (endpoint, message, state, due_at, error) \
                     VALUES (?1, ?2, 'parked', ?3, 'unreadable')",
                )
                .bind(endpoint)
                .bind(number)
                .bind(now.as_unix_millis());
                session.run(statement).await?;
                enqueued.skipped += 1;
                continue;
            }
        };
        let lane = message.resource.as_deref().filter(|_| row.kept.is_ordered);
        let preceded = match lane {
            Some(lane) => is_preceded(session, row.number, lane).await?,
            None => false,
        };
        let Some(state) = row.kept.receives(message, preceded) else {
            continue;
        };
        let statement = sqlx::query(
            "INSERT INTO outbound (endpoint, message, state, due_at, lane) \
             VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .bind(row.number)
        .bind(number)
        .bind(state.as_str())
        .bind(now.as_unix_millis())
        .bind(lane.map(str::to_owned));
        session.run(statement).await?;
        if state.is_pending() {
            enqueued.pending += 1;
            reschedule(session, row.number).await?;
        } else {
            enqueued.skipped += 1;
        }
    }
    Ok(enqueued)
}

/// Leases at most `n` due messages of one endpoint.
async fn lease_of(
    write: &mut Write<'_>,
    endpoint: i64,
    n: i64,
    request: &MessageLease,
    lease: i64,
    leased: &mut Vec<LeasedMessage>,
) -> Result<()> {
    let operation = write.operation();
    let now = write.now;
    let statement = sqlx::query(concat!(
        "SELECT number, ",
        columns!(),
        " FROM endpoints WHERE number = ?1"
    ));
    let rows = write.rows(statement.bind(endpoint)).await?;
    let kept = match rows.first().map(|row| read(row, operation)) {
        Some(Ok(row)) => row.kept,
        Some(Err(error)) => {
            // An unreadable row must not block the other rows.
            tracing::error!(
                operation,
                error = %error,
                row = endpoint,
                "skipping an unreadable endpoint; correct or delete the row"
            );
            let statement = sqlx::query("UPDATE endpoints SET due_at = NULL WHERE number = ?1");
            write.run(statement.bind(endpoint)).await?;
            return Ok(());
        }
        None => return Ok(()),
    };
    let due = sqlx::query(if request.only.is_some() { DUE_ONE } else { DUE })
        .bind(endpoint)
        .bind(now.as_unix_millis())
        .bind(n);
    let due = match &request.only {
        Some((key, id)) => due
            .bind(key.tenant.as_str().to_owned())
            .bind(id.as_str().to_owned()),
        None => due,
    };
    for row in &write.rows(due).await? {
        let mut columns = Columns::new(row, operation);
        let (number, lane): (i64, Option<&str>) = (columns.take()?, columns.take()?);
        let message = match read_leased(&mut columns, &kept, lease) {
            Ok(message) => message,
            Err(error) => {
                tracing::error!(
                    operation,
                    error = %error,
                    row = number,
                    "parking an unreadable message; correct or delete the row"
                );
                let park = sqlx::query(
                    "UPDATE outbound SET state = 'parked', error = 'unreadable', lease = 0 \
                     WHERE number = ?1",
                );
                write.run(park.bind(number)).await?;
                if let Some(lane) = lane {
                    promote(write, endpoint, lane).await?;
                }
                continue;
            }
        };
        let statement = sqlx::query(
            "UPDATE outbound SET attempts = ?2, due_at = ?3, lease = ?4 WHERE number = ?1",
        )
        .bind(number)
        .bind(i64::from(message.attempt))
        .bind(now.after(request.lease).as_unix_millis())
        .bind(lease);
        write.run(statement).await?;
        leased.push(message);
    }
    let turn = sqlx::query("UPDATE endpoints SET turn = ?2 WHERE number = ?1");
    write.run(turn.bind(endpoint).bind(lease)).await?;
    reschedule(&mut write.session(), endpoint).await
}

fn read_leased(columns: &mut Columns<'_>, kept: &Endpoint, lease: i64) -> Result<LeasedMessage> {
    Ok(LeasedMessage {
        endpoint: kept.clone(),
        id: message_id(columns)?,
        event_type: event_type(columns)?,
        sealed: columns.sealed()?,
        attempt: columns.small_number()?.saturating_add(1),
        tries: columns.small_number()?,
        lease: u64::try_from(lease).map_err(|_| unreadable(columns.operation()))?,
    })
}

/// Selects the endpoints to serve, with the number of messages for each.
async fn turns(write: &mut Write<'_>, request: &MessageLease) -> Result<Vec<(i64, i64)>> {
    let operation = write.operation();
    if let Some((key, _)) = &request.only {
        let row = find(write, key).await?;
        return Ok(row.map(|row| (row.number, 1)).into_iter().collect());
    }
    let per_tenant = i64::from(request.per_tenant);
    let statement = sqlx::query(TURNS)
        .bind(write.now.as_unix_millis())
        .bind(i64::from(request.per_endpoint))
        .bind(per_tenant)
        .bind(i64::from(request.n));
    let rows = write.rows(statement).await?;
    let mut open = Vec::with_capacity(rows.len());
    // Every selected endpoint gets at least one message.
    let mut of_tenant = std::collections::HashMap::new();
    for row in &rows {
        let mut columns = Columns::new(row, operation);
        let (number, room): (i64, i64) = (columns.take()?, columns.take()?);
        let (tenant, leased): (&str, i64) = (columns.take()?, columns.take()?);
        *of_tenant.entry(tenant).or_insert(leased) += 1;
        open.push((number, room, tenant));
    }
    let share = (usize::from(request.n) / open.len().max(1)).max(1);
    let share = i64::try_from(share).unwrap_or(1);
    let mut turns = Vec::with_capacity(open.len());
    for (number, room, tenant) in open {
        let used = of_tenant.entry(tenant).or_default();
        let n = room.min(share).min(per_tenant - *used + 1).max(1);
        *used += n - 1;
        turns.push((number, n));
    }
    Ok(turns)
}

async fn settle(write: &mut Write<'_>, result: &Settlement) -> Result<Option<Settled>> {
    let (operation, now) = (write.operation(), write.now);
    // Lease number zero means "not leased", so it never matches.
    let statement = by_key(
        "SELECT o.number, o.endpoint, o.state, o.lane FROM endpoints e \
         JOIN messages m ON m.tenant = ?1 AND m.provider = ?3 AND m.id = ?4 \
         JOIN outbound o ON o.endpoint = e.number AND o.message = m.number \
         WHERE e.tenant = ?1 AND e.id = ?2 AND o.lease = ?5 AND o.lease > 0",
        &result.endpoint,
    )
    .bind(result.provider.as_str().to_owned())
    .bind(result.id.as_str().to_owned())
    .bind(integer(operation, result.lease)?);
    let rows = write.rows(statement).await?;
    let row = match find(write, &result.endpoint).await {
        // The other results must be stored.
        Err(error) if error.kind() == ErrorKind::StoreIncompatible => {
            tracing::error!(
                operation,
                error = %error,
                endpoint = %result.endpoint.id,
                "the result for an unreadable endpoint is lost; correct or delete the row"
            );
            None
        }
        found => found?,
    };
    let (Some(delivery), Some(mut row)) = (rows.first(), row) else {
        return Ok(None);
    };
    let mut columns = Columns::new(delivery, operation);
    let number: i64 = columns.take()?;
    columns.skip(1);
    let state = columns.parsed(OutboundState::parse)?;
    let lane: Option<&str> = columns.take()?;
    let settled = row.kept.settle(state, result, now);
    let (due_at, tries) = match result.verdict {
        OutboundVerdict::Retry(after) => (now.after(after), 1),
        OutboundVerdict::Postponed(after) => (now.after(after), 0),
        _ => (now, 0),
    };
    let statement = sqlx::query(
        "UPDATE outbound SET state = ?2, due_at = ?3, tries = tries + ?4, error = ?5, lease = 0 \
         WHERE number = ?1",
    )
    .bind(number)
    .bind(settled.state.as_str())
    .bind(due_at.as_unix_millis())
    .bind(tries)
    .bind(result.log.error.clone());
    write.run(statement).await?;
    log(write, number, result).await?;
    if let (false, Some(lane)) = (settled.state.is_pending(), lane) {
        promote(write, row.number, lane).await?;
    }
    replace(write, row.number, &row.kept).await?;
    let audit = result.audit.as_deref();
    let entry = match settled.transition {
        None => None,
        Some(EndpointTransition::Failing) => audit.map(|it| &it.failing),
        Some(transition) => {
            skip(write, row.number).await?;
            audit.map(|it| match transition {
                EndpointTransition::Gone => &it.gone,
                _ => &it.failed,
            })
        }
    };
    if let Some(entry) = entry {
        record(write, std::slice::from_ref(entry)).await?;
    }
    reschedule(&mut write.session(), row.number).await?;
    Ok(Some(settled))
}

async fn log(write: &mut Write<'_>, delivery: i64, result: &Settlement) -> Result<()> {
    let NewAttempt {
        took,
        status,
        error,
        excerpt,
    } = &result.log;
    let statement = sqlx::query(
        "INSERT INTO attempts (delivery, attempt, at, took, status, error, excerpt) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )
    .bind(delivery)
    .bind(i64::from(result.attempt))
    .bind(write.now.as_unix_millis())
    .bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
    .bind(status.map(i64::from))
    .bind(error.clone())
    .bind(excerpt.clone());
    write.run(statement).await?;
    if result.attempt > ATTEMPTS_KEPT {
        let statement = sqlx::query(
            "DELETE FROM attempts WHERE delivery = ?1 AND number <= ( \
                 SELECT number FROM attempts WHERE delivery = ?1 \
                 ORDER BY number DESC LIMIT 1 OFFSET ?2)",
        );
        write
            .run(statement.bind(delivery).bind(i64::from(ATTEMPTS_KEPT)))
            .await?;
    }
    Ok(())
}

/// Builds the condition of a filter on `outbound o`, `messages m` and `endpoints e`. The statement
/// binds `?1` to `?9`: a number, the filter, and a limit.
fn filtered(
    start: &'static str,
    filter: &OutboundFilter,
    end: &'static str,
) -> sqlx::AssertSqlSafe<String> {
    select(
        start,
        &[
            (
                " AND m.tenant = ?2 AND e.tenant = ?2",
                filter.tenant.is_some(),
            ),
            (" AND m.provider = ?3", filter.provider.is_some()),
            (" AND e.id = ?4", filter.endpoint.is_some()),
            (" AND m.id = ?5", filter.message.is_some()),
            (" AND o.state = ?6", filter.state.is_some()),
            (
                " AND o.state IN ('failed', 'skipped', 'parked')",
                filter.undelivered,
            ),
            (" AND m.accepted_at >= ?7", filter.since.is_some()),
            (" AND m.accepted_at < ?8", filter.until.is_some()),
        ],
        end,
    )
}

fn bind_filter(statement: Statement, filter: &OutboundFilter, limit: i64) -> Statement {
    statement
        .bind(filter.tenant.as_ref().map(|it| it.as_str().to_owned()))
        .bind(filter.provider.as_ref().map(|it| it.as_str().to_owned()))
        .bind(filter.endpoint.map(|it| it.as_bytes().to_vec()))
        .bind(filter.message.as_ref().map(|it| it.as_str().to_owned()))
        .bind(filter.state.map(OutboundState::as_str))
        .bind(filter.since.map(Timestamp::as_unix_millis))
        .bind(filter.until.map(Timestamp::as_unix_millis))
        .bind(limit)
}

impl SqliteStore {
    /// Adds a message in the caller's own transaction, so that the message is sent if and only if
    /// the transaction commits. `connection` is a connection of the caller to the file of this store,
    /// for example a `sqlx::Transaction`. The hub prepares the message.
    ///
    /// Begin the transaction with `BEGIN IMMEDIATE`. Otherwise SQLite may refuse the write because
    /// another process has written in the meantime. Keep the transaction short, because SQLite
    /// has one writer at a time. The rules of [`OutboundStore::enqueue`] apply.
    ///
    /// ```no_run
    /// # use connector_core::store::NewMessage;
    /// # use connector_store_sqlite::SqliteStore;
    /// use sqlx::Connection;
    /// # async fn example(store: SqliteStore, mut connection: sqlx::SqliteConnection,
    /// #     message: NewMessage) -> Result<(), Box<dyn std::error::Error>> {
    /// let mut transaction = connection.begin_with("BEGIN IMMEDIATE").await?;
    /// sqlx::query("UPDATE orders SET paid = 1 WHERE id = 4711")
    ///     .execute(&mut *transaction)
    ///     .await?;
    /// store.enqueue_in(&mut transaction, &message).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable) if another process holds
    /// the write lock: roll the transaction back and retry.
    /// [`StoreIncompatible`](connector_core::ErrorKind::StoreIncompatible) if the connection belongs
    /// to another file.
    pub async fn enqueue_in(
        &self,
        connection: &mut SqliteConnection,
        message: &NewMessage,
    ) -> Result<Enqueued> {
        let mut session = Session {
            connection,
            operation: "store.enqueue_in",
            now: self.database.clock.now(),
        };
        enqueue(&mut session, message).await
    }
}

#[async_trait]
impl OutboundStore for SqliteStore {
    async fn put_endpoint(
        &self,
        new: NewEndpoint,
        audit: Vec<AuditEntry>,
    ) -> Result<PutEndpointOutcome> {
        const OPERATION: &str = "store.put_endpoint";
        let mut write = self.database.write(OPERATION).await?;
        if find(&mut write, &new.key).await?.is_some() {
            write.cancel().await;
            return Ok(PutEndpointOutcome::Stored);
        }
        let of_provider = |sql| {
            sqlx::query(sql)
                .bind(new.key.tenant.as_str().to_owned())
                .bind(new.provider.as_str().to_owned())
        };
        if let Some(alias) = &new.alias {
            let rows = write
                .rows(of_provider(BY_ALIAS).bind(alias.clone()))
                .await?;
            if let Some(row) = rows.first() {
                let row = read(row, OPERATION)?;
                write.cancel().await;
                return Ok(PutEndpointOutcome::Exists(Box::new(row.kept)));
            }
        }
        let count = "SELECT count(*) FROM endpoints WHERE tenant = ?1 AND provider = ?2 \
                     AND state <> 'gone'";
        let rows = write.rows(of_provider(count)).await?;
        let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
        if Columns::new(row, OPERATION).number()? >= u64::from(new.limit) {
            write.cancel().await;
            return Ok(PutEndpointOutcome::TooMany);
        }
        let kept = Endpoint::new(new, write.now);
        let statement = bind(sqlx::query(INSERT).bind(None::<i64>), OPERATION, &kept)?;
        write.run(statement).await?;
        record(&mut write, &audit).await?;
        write.commit().await?;
        Ok(PutEndpointOutcome::Stored)
    }

    async fn endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>> {
        const OPERATION: &str = "store.endpoint";
        let statement = || {
            sqlx::query(BY_KEY)
                .bind(key.tenant.as_str().to_owned())
                .bind(key.id.as_bytes().to_vec())
        };
        let rows = self.database.read(OPERATION, statement).await?;
        let row = rows.first().map(|row| read(row, OPERATION)).transpose()?;
        Ok(row.map(|row| row.kept))
    }

    async fn endpoints(
        &self,
        filter: &EndpointFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<Endpoint>> {
        const OPERATION: &str = "store.endpoints";
        let after = number_after(OPERATION, after)?;
        let statement = || {
            let sql = select(
                concat!(
                    "SELECT number, ",
                    columns!(),
                    " FROM endpoints WHERE number > ?1"
                ),
                &[
                    (" AND tenant = ?2", filter.tenant.is_some()),
                    (" AND provider = ?3", filter.provider.is_some()),
                    (" AND state = ?4", filter.state.is_some()),
                ],
                " ORDER BY number LIMIT ?5",
            );
            sqlx::query(sql)
                .bind(after)
                .bind(filter.tenant.as_ref().map(TenantId::as_str))
                .bind(filter.provider.as_ref().map(ProviderId::as_str))
                .bind(filter.state.map(EndpointState::as_str))
                .bind(one_more(n))
        };
        let rows = self.database.read(OPERATION, statement).await?;
        slice(OPERATION, &rows, n, |columns| {
            columns.skip(1);
            read_endpoint(columns)
        })
    }

    async fn change_endpoint(
        &self,
        key: &EndpointKey,
        at: Version,
        change: EndpointChange,
        audit: Vec<AuditEntry>,
    ) -> Result<ChangeEndpointOutcome> {
        let mut write = self.database.write("store.change_endpoint").await?;
        let Some(mut row) = find(&mut write, key).await? else {
            write.cancel().await;
            return Ok(ChangeEndpointOutcome::Missing);
        };
        if row.kept.version != at {
            write.cancel().await;
            return Ok(ChangeEndpointOutcome::Moved(Box::new(row.kept)));
        }
        if row.kept.change(change) {
            skip(&mut write, row.number).await?;
        }
        replace(&mut write, row.number, &row.kept).await?;
        reschedule(&mut write.session(), row.number).await?;
        record(&mut write, &audit).await?;
        write.commit().await?;
        Ok(ChangeEndpointOutcome::Changed(Box::new(row.kept)))
    }

    async fn remove_endpoint(&self, key: &EndpointKey, audit: Vec<AuditEntry>) -> Result<bool> {
        let mut write = self.database.write("store.remove_endpoint").await?;
        // The number is read without the row, so that an unreadable endpoint can be removed.
        let statement = by_key(
            "SELECT number FROM endpoints WHERE tenant = ?1 AND id = ?2",
            key,
        );
        let rows = write.rows(statement).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(false);
        };
        let number: i64 = Columns::new(row, "store.remove_endpoint").take()?;
        for sql in [
            "DELETE FROM attempts WHERE delivery IN \
             (SELECT number FROM outbound WHERE endpoint = ?1)",
            "DELETE FROM outbound WHERE endpoint = ?1",
            "DELETE FROM endpoints WHERE number = ?1",
        ] {
            write.run(sqlx::query(sql).bind(number)).await?;
        }
        record(&mut write, &audit).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn enqueue(&self, message: NewMessage) -> Result<Enqueued> {
        let mut write = self.database.write("store.enqueue").await?;
        let enqueued = enqueue(&mut write.session(), &message).await?;
        write.commit().await?;
        Ok(enqueued)
    }

    async fn lease_messages(&self, request: &MessageLease) -> Result<Vec<LeasedMessage>> {
        const OPERATION: &str = "store.lease_messages";
        if request.n == 0 {
            return Ok(Vec::new());
        }
        // If nothing is due, only a read runs and no write lock is taken.
        let now = self.database.clock.now();
        let statement = || {
            sqlx::query("SELECT 1 FROM endpoints WHERE due_at <= ?1 LIMIT 1")
                .bind(now.as_unix_millis())
        };
        // A message that is leased by its id may be due during a pause of its endpoint.
        if request.only.is_none() && self.database.read(OPERATION, statement).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut write = self.database.write(OPERATION).await?;
        let lease = next_lease(&mut write).await?;
        let mut leased = Vec::new();
        let mut left = i64::from(request.n);
        for (endpoint, n) in turns(&mut write, request).await? {
            let before = leased.len();
            lease_of(
                &mut write,
                endpoint,
                n.min(left),
                request,
                lease,
                &mut leased,
            )
            .await?;
            left -= i64::try_from(leased.len() - before).unwrap_or(left);
            if left <= 0 {
                break;
            }
        }
        write.commit().await?;
        Ok(leased)
    }

    async fn settle_messages(&self, settlements: &[Settlement]) -> Result<Vec<Option<Settled>>> {
        let mut write = self.database.write("store.settle_messages").await?;
        let mut all = Vec::with_capacity(settlements.len());
        for result in settlements {
            all.push(settle(&mut write, result).await?);
        }
        write.commit().await?;
        Ok(all)
    }

    async fn outbound(
        &self,
        filter: &OutboundFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<OutboundRecord>> {
        const OPERATION: &str = "store.outbound";
        let after = number_after(OPERATION, after)?;
        let statement = || {
            let sql = filtered(
                "SELECT o.number, e.tenant, e.id, m.id, m.event_type, m.resource, m.at, o.state, \
                 o.attempts, o.error, m.accepted_at, o.due_at FROM outbound o \
                 JOIN messages m ON m.number = o.message JOIN endpoints e ON e.number = o.endpoint \
                 WHERE o.number > ?1",
                filter,
                " ORDER BY o.number LIMIT ?9",
            );
            bind_filter(sqlx::query(sql).bind(after), filter, one_more(n))
        };
        let rows = self.database.read(OPERATION, statement).await?;
        slice(OPERATION, &rows, n, |columns| {
            columns.skip(1);
            let tenant = columns.tenant()?;
            Ok(OutboundRecord {
                endpoint: EndpointKey::new(tenant, EndpointId::from_bytes(columns.bytes()?)),
                message: message_id(columns)?,
                event_type: event_type(columns)?,
                resource: columns.take()?,
                at: columns.time()?,
                state: columns.parsed(OutboundState::parse)?,
                attempts: columns.small_number()?,
                error: columns.take()?,
                accepted_at: columns.time()?,
                due_at: columns.time()?,
            })
        })
    }

    async fn attempts(&self, endpoint: &EndpointKey, id: &MessageId) -> Result<Vec<AttemptRecord>> {
        const OPERATION: &str = "store.attempts";
        let statement = || {
            sqlx::query(
                "SELECT a.attempt, a.at, a.took, a.status, a.error, a.excerpt FROM endpoints e \
                 JOIN messages m ON m.tenant = e.tenant AND m.provider = e.provider AND m.id = ?3 \
                 JOIN outbound o ON o.endpoint = e.number AND o.message = m.number \
                 JOIN attempts a ON a.delivery = o.number \
                 WHERE e.tenant = ?1 AND e.id = ?2 ORDER BY a.number",
            )
            .bind(endpoint.tenant.as_str().to_owned())
            .bind(endpoint.id.as_bytes().to_vec())
            .bind(id.as_str().to_owned())
        };
        let rows = self.database.read(OPERATION, statement).await?;
        let entries = rows.iter().map(|row| {
            let mut columns = Columns::new(row, OPERATION);
            Ok(AttemptRecord {
                attempt: columns.small_number()?,
                at: columns.time()?,
                log: NewAttempt {
                    took: Duration::from_millis(columns.number()?),
                    status: status(&mut columns)?,
                    error: columns.take()?,
                    excerpt: columns.take()?,
                },
            })
        });
        entries.collect()
    }

    async fn replay_messages(&self, filter: &OutboundFilter, n: u16) -> Result<u32> {
        const OPERATION: &str = "store.replay_messages";
        if n == 0 {
            return Ok(0);
        }
        let mut write = self.database.write(OPERATION).await?;
        let sql = filtered(
            "SELECT o.number, o.endpoint, o.lane FROM outbound o \
             JOIN messages m ON m.number = o.message JOIN endpoints e ON e.number = o.endpoint \
             WHERE o.number > ?1 AND o.state NOT IN ('waiting', 'held') AND e.state = 'enabled'",
            filter,
            " ORDER BY o.number LIMIT ?9",
        );
        let statement = bind_filter(sqlx::query(sql).bind(0_i64), filter, i64::from(n));
        let rows = write.rows(statement).await?;
        let now = write.now.as_unix_millis();
        let mut replayed = 0;
        let mut endpoints = std::collections::BTreeSet::new();
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let (number, endpoint): (i64, i64) = (columns.take()?, columns.take()?);
            let lane: Option<&str> = columns.take()?;
            let preceded = match lane {
                Some(lane) => is_preceded(&mut write.session(), endpoint, lane).await?,
                None => false,
            };
            let state = if preceded {
                OutboundState::Held
            } else {
                OutboundState::Waiting
            };
            let statement = sqlx::query(
                "UPDATE outbound SET state = ?2, due_at = ?3, tries = 0, lease = 0 \
                 WHERE number = ?1",
            );
            let statement = statement.bind(number).bind(state.as_str()).bind(now);
            write.run(statement).await?;
            endpoints.insert(endpoint);
            replayed += 1;
        }
        for endpoint in endpoints {
            reschedule(&mut write.session(), endpoint).await?;
        }
        write.commit().await?;
        Ok(replayed)
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and prints what it counted"
)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
    use sqlx::{AssertSqlSafe, ConnectOptions, Row as _};

    use super::*;
    use crate::schema::MIGRATIONS;

    async fn plan(connection: &mut SqliteConnection, sql: &str) -> Vec<String> {
        let sql = format!("EXPLAIN QUERY PLAN {sql}");
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(connection).await;
        rows.unwrap().iter().map(|row| row.get("detail")).collect()
    }

    /// SQLite chooses the query plan, which may change with its version.
    #[tokio::test]
    async fn leases_lists_and_replays_scan_no_table() {
        let mut connection = SqliteConnectOptions::new().connect().await.unwrap();
        for step in MIGRATIONS {
            let sql = sqlx::raw_sql(step.sql());
            sql.execute(&mut connection).await.unwrap();
        }
        let mut filter = OutboundFilter::default();
        filter.tenant = Some(TenantId::new("t1").unwrap());
        filter.endpoint = Some(EndpointId::from_bytes([1; 16]));
        filter.undelivered = true;
        let listed = filtered(
            "SELECT o.number FROM outbound o JOIN messages m ON m.number = o.message \
             JOIN endpoints e ON e.number = o.endpoint WHERE o.number > ?1",
            &filter,
            " ORDER BY o.number LIMIT ?9",
        );
        let table = [
            (TURNS, vec!["INDEX outbound_leased", "INDEX endpoints_due"]),
            (DUE, vec!["INDEX outbound_waiting"]),
            (SKIP, vec!["INDEX outbound_of_an_endpoint"]),
            (
                &listed.0,
                vec!["INDEX outbound_of_an_endpoint (endpoint=? AND state=?"],
            ),
        ];
        let mut plans = 0;
        for (sql, indexes) in table {
            let lines = plan(&mut connection, sql).await;
            for index in indexes {
                assert!(lines.iter().any(|it| it.contains(index)), "{lines:#?}");
            }
            let scans = |it: &&String| {
                ["SCAN outbound", "SCAN o", "SCAN e", "SCAN m"]
                    .iter()
                    .any(|scan| *it == scan || it.starts_with(&format!("{scan} ")))
            };
            assert!(!lines.iter().any(|it| scans(&it)), "{lines:#?}");
            plans += 1;
        }
        println!("query plans: {plans}");
        assert_eq!(plans, 4);
    }
}
