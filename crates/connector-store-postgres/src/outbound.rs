//! Endpoints of customers, and outbound messages.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use async_trait::async_trait;
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
use tokio_postgres::Row as SqlRow;

use crate::PostgresStore;
use crate::audit;
use crate::columns::{Columns, integer, number_after, one_more, page, select};
use crate::database::{Database, Session, Write};
use crate::error::unreadable;
use crate::statement::Statement;
use crate::states::lock_limits;
use crate::work::UNREADABLE;

/// The columns that [`read`] reads, in the same order.
macro_rules! columns {
    () => {
        "tenant, id, provider, label, alias, event_types, ordered, state, version, created_at, \
         failures, failing_since, succeeded_at, failed_at, status, error, not_before, delivered, \
         failed, key_id, sealed"
    };
}

const LEASE: &str = "store.lease_messages";

const BY_KEY: &str = concat!(
    "SELECT number, ",
    columns!(),
    " FROM @.endpoints WHERE tenant = $2 AND id = $3"
);
const BY_ALIAS: &str = concat!(
    "SELECT number, ",
    columns!(),
    " FROM @.endpoints WHERE tenant = $2 AND provider = $3 AND alias = $4"
);
const OF_PROVIDER: &str = concat!(
    "SELECT number, ",
    columns!(),
    " FROM @.endpoints WHERE tenant = $2 AND provider = $3 AND state <> 'gone' ORDER BY number FOR UPDATE"
);

/// Selects the endpoints to serve next, with the number of messages that each may get. Endpoints of
/// a tenant take turns, and then tenants do. Those with the fewest leased messages come first.
const TURNS: &str = "WITH busy AS ( \
         SELECT o.endpoint, count(*) AS leased FROM @.outbound o \
         JOIN @.endpoints e ON e.number = o.endpoint AND e.epoch = o.epoch \
         WHERE o.lease > 0 AND o.due_at > $2 GROUP BY o.endpoint \
     ), tenants AS ( \
         SELECT e.tenant, sum(b.leased)::bigint AS leased FROM busy b \
         JOIN @.endpoints e ON e.number = b.endpoint GROUP BY e.tenant \
     ), open AS ( \
         SELECT e.number, e.tenant, e.turn, \
             CASE WHEN e.failures > 0 THEN least(1, $3) ELSE $3 END - coalesce(b.leased, 0) AS room \
         FROM @.endpoints e LEFT JOIN busy b ON b.endpoint = e.number \
         WHERE e.due_at <= $2 AND e.number <> ALL ($6) \
     ), fair AS ( \
         SELECT o.number, o.turn, o.room, o.tenant, coalesce(t.leased, 0) AS leased, \
             coalesce(t.leased, 0) + row_number() OVER ( \
                 PARTITION BY o.tenant ORDER BY o.turn, o.number) AS place \
         FROM open o LEFT JOIN tenants t ON t.tenant = o.tenant WHERE o.room > 0 \
     ) \
     SELECT number, room, tenant, leased FROM fair WHERE place <= $4 \
     ORDER BY place, turn, number LIMIT $5";

/// Selects the due messages of an endpoint. Only the selected rows are joined.
pub(crate) const DUE: &str = "SELECT o.number, o.lane, m.id, m.event_type, m.key_id, m.sealed, o.attempts, \
     o.tries FROM ( \
         SELECT number, lane, message, attempts, tries, due_at FROM @.outbound \
         WHERE endpoint = $2 AND epoch = (SELECT epoch FROM @.endpoints WHERE number = $2) \
         AND state = 'waiting' AND due_at <= $3 ORDER BY due_at, number LIMIT $4 \
     ) o JOIN @.messages m ON m.number = o.message ORDER BY o.due_at, o.number";
const DUE_ONE: &str = "SELECT o.number, o.lane, m.id, m.event_type, m.key_id, m.sealed, \
     o.attempts, o.tries \
     FROM @.messages m JOIN @.outbound o ON o.message = m.number \
     JOIN @.endpoints e ON e.number = o.endpoint AND e.epoch = o.epoch \
     WHERE m.tenant = $5 AND m.id = $6 AND o.endpoint = $2 AND o.state = 'waiting' \
     AND o.due_at <= $3 LIMIT $4";

/// Computes when the next message for each endpoint in `$2` is due.
pub(crate) const RESCHEDULE: &str = "UPDATE @.endpoints e SET due_at = ( \
         SELECT greatest(o.due_at, e.not_before) FROM @.outbound o \
         WHERE o.endpoint = e.number AND o.epoch = e.epoch AND o.state = 'waiting' \
         ORDER BY o.due_at LIMIT 1) \
     WHERE e.number = ANY ($2)";

/// True for a delivery of `outbound o` that was pending when its endpoint `endpoints e` was disabled.
/// Such a delivery counts as skipped.
macro_rules! is_stale {
    () => {
        "(o.state IN ('waiting', 'held') AND o.epoch <> e.epoch)"
    };
}

/// The state of a delivery.
macro_rules! state {
    () => {
        concat!(
            "CASE WHEN ",
            is_stale!(),
            " THEN 'skipped' ELSE o.state END"
        )
    };
}

/// The maximum number of deliveries that one transaction skips or removes because of their endpoint.
const BATCH: i64 = 5_000;

/// The number of times that a lease chooses other endpoints, because those it chose are locked.
const CHOICES: u32 = 4;

fn by_key(sql: &'static str, key: &EndpointKey) -> Statement {
    Statement::new(sql)
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes())
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

fn read(row: &SqlRow, operation: &'static str) -> Result<Row> {
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

/// Binds the values of all columns of [`columns!`], from `$2` on.
fn bind(sql: &'static str, operation: &'static str, kept: &Endpoint) -> Result<Statement> {
    let health = &kept.health;
    let types: Vec<&str> = kept.event_types.iter().map(EventType::as_str).collect();
    Ok(by_key(sql, &kept.key)
        .bind(kept.provider.as_str())
        .bind(kept.label.as_str())
        .bind(kept.alias.as_deref())
        .bind(types.join("\n").as_str())
        .bind(kept.is_ordered)
        .bind(kept.state.as_str())
        .bind(integer(operation, kept.version.get())?)
        .bind(kept.created_at)
        .bind(i64::from(health.failures))
        .bind(health.failing_since)
        .bind(health.succeeded_at)
        .bind(health.failed_at)
        .bind(health.status.map(i64::from))
        .bind(health.error.as_deref())
        .bind(health.not_before)
        .bind(integer(operation, health.delivered)?)
        .bind(integer(operation, health.failed)?)
        .bind_sealed(&kept.sealed))
}

const INSERT: &str = concat!(
    "INSERT INTO @.endpoints (",
    columns!(),
    ") VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, \
     $20, $21, $22)"
);
const REPLACE: &str = concat!(
    "UPDATE @.endpoints SET (",
    columns!(),
    ") = ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, \
     $21, $22) WHERE number = $23"
);

/// Locks endpoints in the order of their numbers, so that no two transactions wait for each other. The
/// deliveries of an endpoint change only while its row is locked.
async fn lock(session: &mut Session<'_>, numbers: Vec<i64>) -> Result<()> {
    let statement = Statement::new(
        "SELECT number FROM @.endpoints WHERE number = ANY ($2) ORDER BY number FOR UPDATE",
    );
    session.run(statement.bind(numbers)).await?;
    Ok(())
}

/// Locks those of the endpoints that no other transaction has locked, and returns their numbers.
async fn lock_free(write: &mut Write, numbers: Vec<i64>) -> Result<Vec<i64>> {
    let operation = write.operation();
    let statement = Statement::new(
        "SELECT number FROM @.endpoints WHERE number = ANY ($2) ORDER BY number \
         FOR UPDATE SKIP LOCKED",
    );
    let rows = write.rows(statement.bind(numbers)).await?;
    let numbers = rows.iter().map(|row| Columns::new(row, operation).take());
    numbers.collect()
}

/// Locks all endpoints in `($2, $3)`.
const LOCK_KEYS: &str = "SELECT e.number FROM @.endpoints e WHERE (e.tenant, e.id) IN \
     (SELECT k.tenant, k.id FROM unnest($2, $3) AS k (tenant, id)) \
     ORDER BY e.number FOR UPDATE OF e";

/// Locks those of the endpoints in `($2, $3)` that no other transaction has locked.
const LOCK_FREE_KEYS: &str = "SELECT e.tenant, e.id FROM @.endpoints e WHERE (e.tenant, e.id) IN \
     (SELECT k.tenant, k.id FROM unnest($2, $3) AS k (tenant, id)) \
     ORDER BY e.number FOR UPDATE OF e SKIP LOCKED";

/// Returns a statement whose parameters `$2` and `$3` are the keys of endpoints.
fn of_keys<'a>(sql: &'static str, keys: impl Iterator<Item = &'a EndpointKey>) -> Statement {
    let (mut tenants, mut ids) = (Vec::new(), Vec::new());
    for key in keys {
        tenants.push(key.tenant.as_str().to_owned());
        ids.push(key.id.as_bytes().to_vec());
    }
    Statement::new(sql).bind(tenants).bind(ids)
}

async fn find(write: &mut Write, key: &EndpointKey) -> Result<Option<Row>> {
    let operation = write.operation();
    let rows = write.rows(by_key(BY_KEY, key)).await?;
    rows.first().map(|row| read(row, operation)).transpose()
}

async fn replace(write: &mut Write, number: i64, kept: &Endpoint) -> Result<()> {
    let statement = bind(REPLACE, write.operation(), kept)?.bind(number);
    write.run(statement).await?;
    Ok(())
}

async fn record(write: &mut Write, entries: &[AuditEntry]) -> Result<()> {
    if !entries.is_empty() {
        write.run(audit::insert(entries)?).await?;
    }
    Ok(())
}

async fn reschedule(session: &mut Session<'_>, endpoints: Vec<i64>) -> Result<()> {
    let statement = Statement::new(RESCHEDULE).bind(endpoints);
    session.run(statement).await?;
    Ok(())
}

/// Skips all pending deliveries of an endpoint. A current attempt may still deliver its message. The
/// rows, of which there may be millions, are not written: deliveries of an earlier epoch count as
/// skipped, and [`PostgresStore::purge`](connector_core::store::Maintenance::purge) writes them later.
async fn skip(write: &mut Write, endpoint: i64) -> Result<()> {
    let statement =
        Statement::new("UPDATE @.endpoints SET epoch = epoch + 1, stale = true WHERE number = $2");
    write.run(statement.bind(endpoint)).await?;
    Ok(())
}

/// Makes the next delivery of a resource due, if no earlier one is pending.
async fn promote(write: &mut Write, endpoint: i64, lane: &str) -> Result<()> {
    let statement = Statement::new(
        "UPDATE @.outbound SET state = 'waiting', due_at = $4 WHERE state = 'held' AND number = ( \
             SELECT number FROM @.outbound WHERE endpoint = $2 \
             AND epoch = (SELECT epoch FROM @.endpoints WHERE number = $2) \
             AND md5(lane) = md5($3) AND lane = $3 \
             AND state IN ('waiting', 'held') ORDER BY number LIMIT 1)",
    )
    .bind(endpoint)
    .bind(lane)
    .bind(write.now);
    write.run(statement).await?;
    Ok(())
}

async fn is_preceded(session: &mut Session<'_>, endpoint: i64, lane: &str) -> Result<bool> {
    let statement = Statement::new(
        "SELECT 1 FROM @.outbound WHERE endpoint = $2 \
         AND epoch = (SELECT epoch FROM @.endpoints WHERE number = $2) \
         AND md5(lane) = md5($3) AND lane = $3 AND state IN ('waiting', 'held') LIMIT 1",
    )
    .bind(endpoint)
    .bind(lane);
    Ok(!session.rows(statement).await?.is_empty())
}

/// Writes the state of deliveries that were skipped with their endpoint, and removes deliveries of
/// removed endpoints, a bounded number of each. Returns the number of removed deliveries.
pub(crate) async fn tidy(store: &PostgresStore, operation: &'static str, most: i64) -> Result<u64> {
    // No lock is waited for, and enqueuing waits at most for one batch.
    let stale = Statement::new(
        "SELECT number, epoch FROM @.endpoints WHERE stale ORDER BY number LIMIT 16 \
         FOR UPDATE SKIP LOCKED",
    );
    let (mut write, rows) = store.database.begin(operation, stale).await?;
    let mut left = BATCH;
    for row in &rows {
        let mut columns = Columns::new(row, operation);
        let (endpoint, epoch): (i64, i64) = (columns.take()?, columns.take()?);
        let statement = Statement::new(
            "UPDATE @.outbound SET state = 'skipped', due_at = $5 WHERE number = ANY (ARRAY( \
                 SELECT number FROM @.outbound \
                 WHERE endpoint = $2 AND epoch < $3 AND state = 'waiting' \
                 UNION ALL SELECT number FROM @.outbound \
                 WHERE endpoint = $2 AND epoch < $3 AND state = 'held' AND lane IS NOT NULL \
                 LIMIT $4))",
        )
        .bind(endpoint)
        .bind(epoch)
        .bind(left)
        .bind(write.now);
        let skipped = write.run(statement).await?;
        left = left.saturating_sub_unsigned(skipped);
        if left <= 0 {
            break;
        }
        let clean = Statement::new("UPDATE @.endpoints SET stale = false WHERE number = $2");
        write.run(clean.bind(endpoint)).await?;
    }
    let removed = Statement::new(
        "SELECT endpoint FROM @.removals ORDER BY endpoint LIMIT 16 FOR UPDATE SKIP LOCKED",
    );
    let mut gone = 0;
    for row in &write.rows(removed).await? {
        let endpoint: i64 = Columns::new(row, operation).take()?;
        let room = most.min(BATCH).saturating_sub_unsigned(gone);
        if room <= 0 {
            break;
        }
        let some = remove_deliveries(&mut write, endpoint, room).await?;
        gone += some;
        if room.saturating_sub_unsigned(some) > 0 {
            let done = Statement::new("DELETE FROM @.removals WHERE endpoint = $2");
            write.run(done.bind(endpoint)).await?;
        }
    }
    write.commit().await?;
    Ok(gone)
}

/// Removes at most `n` deliveries of an endpoint with their log, and returns their number.
async fn remove_deliveries(write: &mut Write, endpoint: i64, n: i64) -> Result<u64> {
    let operation = write.operation();
    let statement = Statement::new(
        "WITH gone AS (DELETE FROM @.outbound WHERE number = ANY (ARRAY( \
             SELECT number FROM @.outbound WHERE endpoint = $2 LIMIT $3)) RETURNING number \
         ), log AS (DELETE FROM @.attempts a USING gone WHERE a.delivery = gone.number) \
         SELECT count(*) FROM gone",
    );
    let rows = write.rows(statement.bind(endpoint).bind(n)).await?;
    let row = rows.first().ok_or_else(|| unreadable(operation))?;
    Columns::new(row, operation).number()
}

async fn enqueue(session: &mut Session<'_>, message: &NewMessage) -> Result<Enqueued> {
    let now = session.now;
    let operation = session.operation;
    let key = &message.key;
    let statement = Statement::new(
        "INSERT INTO @.messages (tenant, provider, id, event_type, resource, at, accepted_at, \
         keep_until, key_id, sealed) VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT (tenant, provider, id) DO NOTHING RETURNING number",
    )
    .bind(key.tenant.as_str())
    .bind(key.provider.as_str())
    .bind(key.id.as_str())
    .bind(message.event_type.as_str())
    .bind(message.resource.as_deref())
    .bind(message.at)
    .bind(now)
    .bind(now.after(message.keep_for))
    .bind_sealed(&message.sealed);
    let inserted = session.rows(statement).await?;
    let Some(inserted) = inserted.first() else {
        return Ok(Enqueued {
            is_duplicate: true,
            ..Enqueued::default()
        });
    };
    let number: i64 = Columns::new(inserted, operation).take()?;
    let own = Statement::new(OF_PROVIDER)
        .bind(key.tenant.as_str())
        .bind(key.provider.as_str());
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
                let statement = Statement::new(
                    "INSERT INTO @.outbound (endpoint, message, state, due_at, error) \
                     VALUES ($2, $3, 'parked', $4, 'unreadable')",
                )
                .bind(endpoint)
                .bind(number)
                .bind(now);
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
        let statement = Statement::new(
            "INSERT INTO @.outbound (endpoint, message, state, due_at, lane, epoch) \
             SELECT number, $3, $4, $5, $6, epoch FROM @.endpoints WHERE number = $2",
        )
        .bind(row.number)
        .bind(number)
        .bind(state.as_str())
        .bind(now)
        .bind(lane);
        session.run(statement).await?;
        if state.is_pending() {
            enqueued.pending += 1;
            reschedule(session, vec![row.number]).await?;
        } else {
            enqueued.skipped += 1;
        }
    }
    Ok(enqueued)
}

/// Leases the messages of the chosen endpoints, which are locked.
async fn lease_chosen(
    write: &mut Write,
    turns: Vec<(i64, i64)>,
    request: &MessageLease,
) -> Result<Vec<LeasedMessage>> {
    let operation = write.operation();
    let rows = write
        .rows(Statement::new("SELECT nextval('@.leases')"))
        .await?;
    let row = rows.first().ok_or_else(|| unreadable(operation))?;
    let lease = Columns::new(row, operation).take()?;
    let mut leased = Leased::default();
    for (endpoint, n) in turns {
        let left = i64::from(request.n).saturating_sub_unsigned(leased.numbers.len() as u64);
        if left <= 0 {
            break;
        }
        lease_of(write, endpoint, n.min(left), request, lease, &mut leased).await?;
    }
    let taken = Statement::new(
        "UPDATE @.outbound SET attempts = attempts + 1, due_at = $3, lease = $4 \
         WHERE number = ANY ($2)",
    )
    .bind(leased.numbers)
    .bind(write.now.after(request.lease))
    .bind(lease);
    write.run(taken).await?;
    let turn = Statement::new("UPDATE @.endpoints SET turn = $3 WHERE number = ANY ($2)");
    write
        .run(turn.bind(leased.endpoints.clone()).bind(lease))
        .await?;
    reschedule(&mut write.session(), leased.endpoints).await?;
    Ok(leased.messages)
}

/// What one lease takes.
#[derive(Default)]
struct Leased {
    messages: Vec<LeasedMessage>,
    /// The numbers of the deliveries.
    numbers: Vec<i64>,
    endpoints: Vec<i64>,
}

/// Chooses at most `n` due messages of one endpoint.
async fn lease_of(
    write: &mut Write,
    endpoint: i64,
    n: i64,
    request: &MessageLease,
    lease: i64,
    leased: &mut Leased,
) -> Result<()> {
    let operation = write.operation();
    let now = write.now;
    let statement = Statement::new(concat!(
        "SELECT number, ",
        columns!(),
        " FROM @.endpoints WHERE number = $2"
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
                "skipping an unreadable endpoint for a day; correct or delete the row"
            );
            let statement = Statement::new("UPDATE @.endpoints SET due_at = $3 WHERE number = $2")
                .bind(endpoint)
                .bind(now.after(UNREADABLE));
            write.run(statement).await?;
            return Ok(());
        }
        None => return Ok(()),
    };
    let due = Statement::new(if request.only.is_some() { DUE_ONE } else { DUE })
        .bind(endpoint)
        .bind(now)
        .bind(n);
    let due = match &request.only {
        Some((key, id)) => due.bind(key.tenant.as_str()).bind(id.as_str()),
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
                let park = Statement::new(
                    "UPDATE @.outbound SET state = 'parked', error = 'unreadable', lease = 0 \
                     WHERE number = $2",
                );
                write.run(park.bind(number)).await?;
                if let Some(lane) = lane {
                    promote(write, endpoint, lane).await?;
                }
                continue;
            }
        };
        leased.messages.push(message);
        leased.numbers.push(number);
    }
    leased.endpoints.push(endpoint);
    Ok(())
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

/// Selects the endpoints to serve, with the number of messages for each. Endpoints in `locked` are
/// left out.
async fn turns(
    write: &mut Write,
    request: &MessageLease,
    locked: &[i64],
) -> Result<Vec<(i64, i64)>> {
    let operation = write.operation();
    let per_tenant = i64::from(request.per_tenant);
    let statement = Statement::new(TURNS)
        .bind(write.now)
        .bind(i64::from(request.per_endpoint))
        .bind(per_tenant)
        .bind(i64::from(request.n))
        .bind(locked.to_vec());
    let rows = write.rows(statement).await?;
    let mut open = Vec::with_capacity(rows.len());
    // Every selected endpoint gets at least one message.
    let mut of_tenant = HashMap::new();
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

async fn settle(write: &mut Write, result: &Settlement) -> Result<Option<Settled>> {
    let (operation, now) = (write.operation(), write.now);
    // Lease number zero means "not leased", so it never matches.
    let statement = by_key(
        concat!(
            "SELECT o.number, ",
            state!(),
            ", o.lane FROM @.endpoints e \
             JOIN @.messages m ON m.tenant = $2 AND m.provider = $4 AND m.id = $5 \
             JOIN @.outbound o ON o.endpoint = e.number AND o.message = m.number \
             WHERE e.tenant = $2 AND e.id = $3 AND o.lease = $6 AND o.lease > 0"
        ),
        &result.endpoint,
    )
    .bind(result.provider.as_str())
    .bind(result.id.as_str())
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
    let state = columns.parsed(OutboundState::parse)?;
    let lane: Option<&str> = columns.take()?;
    let settled = row.kept.settle(state, result, now);
    let (due_at, tries) = match result.verdict {
        OutboundVerdict::Retry(after) => (now.after(after), 1_i64),
        OutboundVerdict::Postponed(after) => (now.after(after), 0),
        _ => (now, 0),
    };
    let statement = Statement::new(
        "UPDATE @.outbound SET state = $3, due_at = $4, tries = tries + $5, error = $6, lease = 0 \
         WHERE number = $2",
    )
    .bind(number)
    .bind(settled.state.as_str())
    .bind(due_at)
    .bind(tries)
    .bind(result.log.error.as_deref());
    if write.run(statement).await? == 0 {
        // The message was purged in the meantime.
        return Ok(None);
    }
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
    reschedule(&mut write.session(), vec![row.number]).await?;
    Ok(Some(settled))
}

async fn log(write: &mut Write, delivery: i64, result: &Settlement) -> Result<()> {
    let NewAttempt {
        took,
        status,
        error,
        excerpt,
    } = &result.log;
    let statement = Statement::new(
        "INSERT INTO @.attempts (delivery, attempt, at, took, status, error, excerpt) \
         VALUES ($2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(delivery)
    .bind(i64::from(result.attempt))
    .bind(write.now)
    .bind(i64::try_from(took.as_millis()).unwrap_or(i64::MAX))
    .bind(status.map(i64::from))
    .bind(error.as_deref())
    .bind(excerpt.as_deref());
    write.run(statement).await?;
    if result.attempt > ATTEMPTS_KEPT {
        let statement = Statement::new(
            "DELETE FROM @.attempts WHERE delivery = $2 AND number <= ( \
                 SELECT number FROM @.attempts WHERE delivery = $2 \
                 ORDER BY number DESC LIMIT 1 OFFSET $3)",
        );
        write
            .run(statement.bind(delivery).bind(i64::from(ATTEMPTS_KEPT)))
            .await?;
    }
    Ok(())
}

/// Builds the condition of a filter on `outbound o`, `messages m` and `endpoints e`. The statement
/// binds `$2` to `$10`: a number, the filter, and a limit.
fn filtered(start: &str, filter: &OutboundFilter, end: &str) -> String {
    select(
        start,
        &[
            (
                " AND m.tenant = $3 AND e.tenant = $3",
                filter.tenant.is_some(),
            ),
            (" AND m.provider = $4", filter.provider.is_some()),
            (" AND e.id = $5", filter.endpoint.is_some()),
            (" AND m.id = $6", filter.message.is_some()),
            (
                " AND o.state = $7",
                filter
                    .state
                    .is_some_and(|state| state != OutboundState::Skipped),
            ),
            (
                " AND o.epoch = e.epoch",
                filter.state.is_some_and(OutboundState::is_pending),
            ),
            (
                concat!(" AND (o.state = $7 OR ", is_stale!(), ")"),
                filter.state == Some(OutboundState::Skipped),
            ),
            (
                concat!(
                    " AND (o.state IN ('failed', 'skipped', 'parked') OR ",
                    is_stale!(),
                    ")"
                ),
                filter.undelivered,
            ),
            (" AND m.accepted_at >= $8", filter.since.is_some()),
            (" AND m.accepted_at < $9", filter.until.is_some()),
        ],
        end,
    )
}

fn bind_filter(statement: Statement, filter: &OutboundFilter, limit: i64) -> Statement {
    statement
        .bind(filter.tenant.as_ref().map(TenantId::as_str))
        .bind(filter.provider.as_ref().map(ProviderId::as_str))
        .bind(filter.endpoint.map(|it| it.as_bytes().to_vec()))
        .bind(filter.message.as_ref().map(MessageId::as_str))
        .bind(filter.state.map(OutboundState::as_str))
        .bind(filter.since)
        .bind(filter.until)
        .bind(limit)
}

impl PostgresStore {
    /// Adds a message in the caller's own transaction, so that the message is sent if and only if the
    /// transaction commits. `transaction` belongs to a connection of the caller to the database of this
    /// store. The hub prepares the message.
    ///
    /// The endpoints of the tenant and provider stay locked until the transaction ends. Until then, no
    /// message for them is leased, and results of attempts, changes of these endpoints and other calls
    /// that enqueue a message for them wait. Other tenants are not affected. Keep the transaction short,
    /// and enqueue at its end: a result that waits for longer than the time limit of a statement is
    /// lost, and its message is sent again. The rules of [`OutboundStore::enqueue`] apply.
    ///
    /// ```no_run
    /// # use connector_core::store::NewMessage;
    /// # use connector_store_postgres::PostgresStore;
    /// # async fn example(store: PostgresStore, mut client: tokio_postgres::Client,
    /// #     message: NewMessage) -> Result<(), Box<dyn std::error::Error>> {
    /// let transaction = client.transaction().await?;
    /// transaction
    ///     .execute("UPDATE orders SET paid = true WHERE id = 4711", &[])
    ///     .await?;
    /// store.enqueue_in(&transaction, &message).await?;
    /// transaction.commit().await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// [`StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable): roll the transaction back and
    /// retry. [`StoreIncompatible`](connector_core::ErrorKind::StoreIncompatible) if the connection
    /// belongs to another database.
    pub async fn enqueue_in(
        &self,
        transaction: &tokio_postgres::Transaction<'_>,
        message: &NewMessage,
    ) -> Result<Enqueued> {
        const OPERATION: &str = "store.enqueue_in";
        let mut session = Session::of_caller(&self.database, transaction, OPERATION).await?;
        enqueue(&mut session, message).await
    }

    async fn put_endpoint_now(
        self,
        new: NewEndpoint,
        audit: Vec<AuditEntry>,
    ) -> Result<PutEndpointOutcome> {
        const OPERATION: &str = "store.put_endpoint";
        let limit = lock_limits(&[&[
            b"endpoints",
            new.key.tenant.as_str().as_bytes(),
            new.provider.as_str().as_bytes(),
        ]]);
        let (mut write, _) = self.database.begin(OPERATION, limit).await?;
        if find(&mut write, &new.key).await?.is_some() {
            write.cancel().await;
            return Ok(PutEndpointOutcome::Stored);
        }
        let of_provider = |sql: &'static str| {
            Statement::new(sql)
                .bind(new.key.tenant.as_str())
                .bind(new.provider.as_str())
        };
        if let Some(alias) = &new.alias {
            let rows = write
                .rows(of_provider(BY_ALIAS).bind(alias.as_str()))
                .await?;
            if let Some(row) = rows.first() {
                let row = read(row, OPERATION)?;
                write.cancel().await;
                return Ok(PutEndpointOutcome::Exists(Box::new(row.kept)));
            }
        }
        let count = "SELECT count(*) FROM @.endpoints WHERE tenant = $2 AND provider = $3 \
                     AND state <> 'gone'";
        let rows = write.rows(of_provider(count)).await?;
        let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
        if Columns::new(row, OPERATION).number()? >= u64::from(new.limit) {
            write.cancel().await;
            return Ok(PutEndpointOutcome::TooMany);
        }
        let kept = Endpoint::new(new, write.now);
        write.run(bind(INSERT, OPERATION, &kept)?).await?;
        record(&mut write, &audit).await?;
        write.commit().await?;
        Ok(PutEndpointOutcome::Stored)
    }

    async fn change_endpoint_now(
        self,
        key: EndpointKey,
        at: Version,
        change: EndpointChange,
        audit: Vec<AuditEntry>,
    ) -> Result<ChangeEndpointOutcome> {
        let lock = of_keys(LOCK_KEYS, std::iter::once(&key));
        let (mut write, _) = self.database.begin("store.change_endpoint", lock).await?;
        let Some(mut row) = find(&mut write, &key).await? else {
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
        reschedule(&mut write.session(), vec![row.number]).await?;
        record(&mut write, &audit).await?;
        write.commit().await?;
        Ok(ChangeEndpointOutcome::Changed(Box::new(row.kept)))
    }

    async fn remove_endpoint_now(self, key: EndpointKey, audit: Vec<AuditEntry>) -> Result<bool> {
        const OPERATION: &str = "store.remove_endpoint";
        // Only the number is read, so that an unreadable endpoint can be removed.
        let lock = of_keys(LOCK_KEYS, std::iter::once(&key));
        let (mut write, rows) = self.database.begin(OPERATION, lock).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(false);
        };
        let number: i64 = Columns::new(row, OPERATION).take()?;
        // Nothing can reach the deliveries without the endpoint's row. `purge` removes the others.
        if remove_deliveries(&mut write, number, BATCH).await? >= BATCH.unsigned_abs() {
            let later = Statement::new("INSERT INTO @.removals (endpoint) VALUES ($2)");
            write.run(later.bind(number)).await?;
        }
        let gone = Statement::new("DELETE FROM @.endpoints WHERE number = $2");
        write.run(gone.bind(number)).await?;
        record(&mut write, &audit).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn enqueue_now(self, message: NewMessage) -> Result<Enqueued> {
        let nothing = Statement::new("SELECT 1");
        let (mut write, _) = self.database.begin("store.enqueue", nothing).await?;
        let enqueued = enqueue(&mut write.session(), &message).await?;
        write.commit().await?;
        Ok(enqueued)
    }

    async fn lease_messages_now(self, request: MessageLease) -> Result<Vec<LeasedMessage>> {
        // The maximum numbers apply to all processes together.
        let all = lock_limits(&[&[b"messages"]]);
        let (mut write, _) = self.database.begin(LEASE, all).await?;
        // All leases wait for this one, so it must not wait for an endpoint that another transaction
        // has locked, perhaps one of the application.
        let mut locked = Vec::new();
        let mut chosen = Vec::new();
        for _ in 0..CHOICES {
            chosen = turns(&mut write, &request, &locked).await?;
            let numbers = chosen.iter().map(|(endpoint, _)| *endpoint).collect();
            let free = lock_free(&mut write, numbers).await?;
            let before = locked.len();
            locked.extend(chosen.iter().map(|it| it.0).filter(|it| !free.contains(it)));
            if locked.len() == before {
                break;
            }
            chosen.retain(|(endpoint, _)| free.contains(endpoint));
        }
        let leased = lease_chosen(&mut write, chosen, &request).await?;
        write.commit().await?;
        match locked.first() {
            Some(endpoint) if leased.is_empty() => self.lease_busy(request, *endpoint).await,
            _ => Ok(leased),
        }
    }

    /// Leases messages of an endpoint that is always locked when a lease chooses it, because messages
    /// for it arrive all the time. Waits for the endpoint while other leases go on.
    async fn lease_busy(self, request: MessageLease, endpoint: i64) -> Result<Vec<LeasedMessage>> {
        let limit = Statement::new("SELECT set_config('lock_timeout', '100ms', true)");
        let (mut write, _) = self.database.begin(LEASE, limit).await?;
        // A lease that holds the lock of all leases waits for no endpoint, so this cannot deadlock.
        let waited = async {
            lock(&mut write.session(), vec![endpoint]).await?;
            write.run(lock_limits(&[&[b"messages"]])).await
        };
        if let Err(error) = waited.await {
            write.cancel().await;
            let is_locked = error.kind() == ErrorKind::StoreUnavailable;
            return if is_locked {
                Ok(Vec::new())
            } else {
                Err(error)
            };
        }
        let mut chosen = turns(&mut write, &request, &[]).await?;
        chosen.retain(|(number, _)| *number == endpoint);
        let leased = lease_chosen(&mut write, chosen, &request).await?;
        write.commit().await?;
        Ok(leased)
    }

    /// Leases one message by its id. No maximum number applies.
    async fn lease_one_now(
        self,
        key: EndpointKey,
        request: MessageLease,
    ) -> Result<Vec<LeasedMessage>> {
        let lock = of_keys(LOCK_KEYS, std::iter::once(&key));
        let (mut write, rows) = self.database.begin(LEASE, lock).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(Vec::new());
        };
        let endpoint = Columns::new(row, LEASE).take()?;
        let leased = lease_chosen(&mut write, vec![(endpoint, 1)], &request).await?;
        write.commit().await?;
        Ok(leased)
    }

    async fn settle_messages_now(
        self,
        settlements: Vec<Settlement>,
    ) -> Result<Vec<Option<Settled>>> {
        const OPERATION: &str = "store.settle_messages";
        // The results for one endpoint must not wait for another endpoint.
        let keys = || settlements.iter().map(|it| &it.endpoint);
        let (mut write, rows) = self
            .database
            .begin(OPERATION, of_keys(LOCK_FREE_KEYS, keys()))
            .await?;
        let mut free = HashSet::new();
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            free.insert((columns.take::<&str>()?, columns.take::<&[u8]>()?));
        }
        let is_free =
            |key: &EndpointKey| free.contains(&(key.tenant.as_str(), &key.id.as_bytes()[..]));
        let mut all = vec![None; settlements.len()];
        for (result, settled) in settlements.iter().zip(&mut all) {
            if is_free(&result.endpoint) {
                *settled = settle(&mut write, result).await?;
            }
        }
        write.commit().await?;
        if keys().all(is_free) {
            return Ok(all);
        }
        let locked = keys().filter(|key| !is_free(key));
        let lock = of_keys(LOCK_KEYS, locked);
        let (mut write, _) = self.database.begin(OPERATION, lock).await?;
        for (result, settled) in settlements.iter().zip(&mut all) {
            if !is_free(&result.endpoint) {
                *settled = settle(&mut write, result).await?;
            }
        }
        write.commit().await?;
        Ok(all)
    }

    async fn replay_messages_now(self, filter: OutboundFilter, n: u16) -> Result<u32> {
        const OPERATION: &str = "store.replay_messages";
        // The messages are locked first, so that they are not purged.
        let sql = filtered(
            "SELECT o.number, o.endpoint FROM @.outbound o \
             JOIN @.messages m ON m.number = o.message JOIN @.endpoints e ON e.number = o.endpoint \
             WHERE o.number > $2 AND e.state = 'enabled' \
             AND (o.state NOT IN ('waiting', 'held') OR o.epoch <> e.epoch)",
            &filter,
            " ORDER BY o.number LIMIT $10 FOR SHARE OF m",
        );
        let find = bind_filter(Statement::new(sql).bind(0_i64), &filter, i64::from(n));
        let (mut write, rows) = self.database.begin(OPERATION, find).await?;
        let (mut numbers, mut endpoints) = (Vec::new(), Vec::new());
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            numbers.push(columns.take::<i64>()?);
            endpoints.push(columns.take::<i64>()?);
        }
        endpoints.sort_unstable();
        endpoints.dedup();
        lock(&mut write.session(), endpoints.clone()).await?;
        let statement = Statement::new(
            "SELECT o.number, o.endpoint, o.lane, e.epoch FROM @.outbound o \
             JOIN @.endpoints e ON e.number = o.endpoint WHERE o.number = ANY ($2) \
             AND (o.state NOT IN ('waiting', 'held') OR o.epoch <> e.epoch) \
             AND e.state = 'enabled' ORDER BY o.number",
        );
        let rows = write.rows(statement.bind(numbers)).await?;
        let mut replayed = 0;
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let (number, endpoint): (i64, i64) = (columns.take()?, columns.take()?);
            let (lane, epoch): (Option<&str>, i64) = (columns.take()?, columns.take()?);
            let preceded = match lane {
                Some(lane) => is_preceded(&mut write.session(), endpoint, lane).await?,
                None => false,
            };
            let state = if preceded {
                OutboundState::Held
            } else {
                OutboundState::Waiting
            };
            let statement = Statement::new(
                "UPDATE @.outbound SET state = $3, due_at = $4, tries = 0, lease = 0, epoch = $5 \
                 WHERE number = $2",
            )
            .bind(number)
            .bind(state.as_str())
            .bind(write.now)
            .bind(epoch);
            write.run(statement).await?;
            replayed += 1;
        }
        reschedule(&mut write.session(), endpoints).await?;
        write.commit().await?;
        Ok(replayed)
    }
}

#[async_trait]
impl OutboundStore for PostgresStore {
    async fn put_endpoint(
        &self,
        new: NewEndpoint,
        audit: Vec<AuditEntry>,
    ) -> Result<PutEndpointOutcome> {
        let put = self.clone().put_endpoint_now(new, audit);
        Database::detached("store.put_endpoint", put).await
    }

    async fn endpoint(&self, key: &EndpointKey) -> Result<Option<Endpoint>> {
        const OPERATION: &str = "store.endpoint";
        let rows = self.database.rows(OPERATION, by_key(BY_KEY, key)).await?;
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
        let sql = select(
            concat!(
                "SELECT number, ",
                columns!(),
                " FROM @.endpoints WHERE number > $2"
            ),
            &[
                (" AND tenant = $3", filter.tenant.is_some()),
                (" AND provider = $4", filter.provider.is_some()),
                (" AND state = $5", filter.state.is_some()),
            ],
            " ORDER BY number LIMIT $6",
        );
        let statement = Statement::new(sql)
            .bind(number_after(OPERATION, after)?)
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.provider.as_ref().map(ProviderId::as_str))
            .bind(filter.state.map(EndpointState::as_str))
            .bind(one_more(n));
        let rows = self.database.rows(OPERATION, statement).await?;
        page(OPERATION, &rows, n, |columns| {
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
        let changed = self
            .clone()
            .change_endpoint_now(key.clone(), at, change, audit);
        Database::detached("store.change_endpoint", changed).await
    }

    async fn remove_endpoint(&self, key: &EndpointKey, audit: Vec<AuditEntry>) -> Result<bool> {
        let removed = self.clone().remove_endpoint_now(key.clone(), audit);
        Database::detached("store.remove_endpoint", removed).await
    }

    async fn enqueue(&self, message: NewMessage) -> Result<Enqueued> {
        Database::detached("store.enqueue", self.clone().enqueue_now(message)).await
    }

    async fn lease_messages(&self, request: &MessageLease) -> Result<Vec<LeasedMessage>> {
        if request.n == 0 {
            return Ok(Vec::new());
        }
        // A message that is leased by its id may be due during a pause of its endpoint.
        if let Some((key, _)) = &request.only {
            let leased = self.clone().lease_one_now(key.clone(), request.clone());
            return Database::detached(LEASE, leased).await;
        }
        // If nothing is due, no lock is taken and nothing is written.
        let due = Statement::new("SELECT 1 FROM @.endpoints WHERE due_at <= @asof LIMIT 1");
        if self.database.rows(LEASE, due).await?.is_empty() {
            return Ok(Vec::new());
        }
        let leased = self.clone().lease_messages_now(request.clone());
        Database::detached(LEASE, leased).await
    }

    async fn settle_messages(&self, settlements: &[Settlement]) -> Result<Vec<Option<Settled>>> {
        let settled = self.clone().settle_messages_now(settlements.to_vec());
        Database::detached("store.settle_messages", settled).await
    }

    async fn outbound(
        &self,
        filter: &OutboundFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<OutboundRecord>> {
        const OPERATION: &str = "store.outbound";
        let sql = filtered(
            concat!(
                "SELECT o.number, e.tenant, e.id, m.id, m.event_type, m.resource, m.at, ",
                state!(),
                ", o.attempts, o.error, m.accepted_at, o.due_at FROM @.outbound o \
                 JOIN @.messages m ON m.number = o.message \
                 JOIN @.endpoints e ON e.number = o.endpoint WHERE o.number > $2"
            ),
            filter,
            " ORDER BY o.number LIMIT $10",
        );
        let statement = Statement::new(sql).bind(number_after(OPERATION, after)?);
        let statement = bind_filter(statement, filter, one_more(n));
        let rows = self.database.rows(OPERATION, statement).await?;
        page(OPERATION, &rows, n, |columns| {
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
        let statement = by_key(
            "SELECT a.attempt, a.at, a.took, a.status, a.error, a.excerpt FROM @.endpoints e \
             JOIN @.messages m ON m.tenant = e.tenant AND m.provider = e.provider AND m.id = $4 \
             JOIN @.outbound o ON o.endpoint = e.number AND o.message = m.number \
             JOIN @.attempts a ON a.delivery = o.number \
             WHERE e.tenant = $2 AND e.id = $3 ORDER BY a.number",
            endpoint,
        )
        .bind(id.as_str());
        let rows = self.database.rows(OPERATION, statement).await?;
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
        if n == 0 {
            return Ok(0);
        }
        let replayed = self.clone().replay_messages_now(filter.clone(), n);
        Database::detached("store.replay_messages", replayed).await
    }
}
