//! Key rotation and removal of expired rows.

use async_trait::async_trait;
use connector_core::cipher::{KeyId, Sealed, SealedKind};
use connector_core::outbound::MessageId;
use connector_core::store::{
    Cursor, DeliveryKey, Direction, EndpointId, EndpointKey, Fence, GrantNumber, Maintenance,
    MessageKey, Page, RowRef, SealedRow, StateKey, SubscriptionId, SubscriptionKey,
};
use connector_core::{AppKey, ConnectionKey, Result};

use crate::PostgresStore;
use crate::columns::{Columns, integer};
use crate::database::Database;
use crate::deliveries::row_id;
use crate::error::{foreign_cursor, unreadable};
use crate::statement::Statement;

/// Slots of a connection's current and previous credential in the list.
const CURRENT: i64 = 0;
const PREVIOUS: i64 = 1;

/// The tables with sealed bytes, in listing order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Table {
    Credentials,
    Quarantine,
    Revocations,
    States,
    Deliveries,
    Subscriptions,
    Endings,
    Endpoints,
    Messages,
}

impl Table {
    const ALL: [Self; 9] = [
        Self::Credentials,
        Self::Quarantine,
        Self::Revocations,
        Self::States,
        Self::Deliveries,
        Self::Subscriptions,
        Self::Endings,
        Self::Endpoints,
        Self::Messages,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::Credentials => "credentials",
            Self::Quarantine => "quarantine",
            Self::Revocations => "revocations",
            Self::States => "states",
            Self::Deliveries => "deliveries",
            Self::Subscriptions => "subscriptions",
            Self::Endings => "endings",
            Self::Endpoints => "endpoints",
            Self::Messages => "messages",
        }
    }

    /// Selects at most `$4` rows that are not sealed under key `$2`, after row `$3`, and after slot
    /// `$5` of that row. Each result begins with the row's number and a slot, which is 0 for rows
    /// with one secret.
    const fn select(self) -> &'static str {
        match self {
            Self::Credentials => {
                "SELECT c.number, s.slot, c.tenant, c.id, c.provider, c.app, s.grant_number, s.fence,
                    s.key_id, s.sealed
                FROM @.connections c CROSS JOIN LATERAL (
                    SELECT CASE WHEN c.flip THEN 1 ELSE 0 END::bigint AS slot,
                        c.a_grant AS grant_number, c.a_fence AS fence, c.a_key AS key_id,
                        c.a_sealed AS sealed
                    UNION ALL SELECT CASE WHEN c.flip THEN 0 ELSE 1 END, c.b_grant, c.b_fence,
                        c.b_key, c.b_sealed
                    UNION ALL SELECT 2 + p.fence, p.grant_number, p.fence, p.key_id, p.sealed
                    FROM unnest(c.pending_grant, c.pending_fence, c.pending_key, c.pending_sealed)
                        AS p (grant_number, fence, key_id, sealed)
                ) s
                WHERE s.sealed IS NOT NULL AND s.key_id <> $2 AND c.number >= $3
                    AND (c.number > $3 OR s.slot > $5)
                ORDER BY c.number, s.slot LIMIT $4"
            }
            Self::Quarantine => {
                "SELECT number, 0::bigint, state, tenant, provider, app, key_id, sealed FROM @.quarantine \
                 WHERE key_id <> $2 AND number > $3 ORDER BY number LIMIT $4"
            }
            Self::Revocations => {
                "SELECT number, 0::bigint, tenant, connection, provider, app, grant_number, fence, key_id, \
                 sealed FROM @.revocations WHERE key_id <> $2 AND number > $3 \
                 ORDER BY number LIMIT $4"
            }
            Self::States => {
                "SELECT number, 0::bigint, state, tenant, provider, app, key_id, sealed FROM @.states \
                 WHERE key_id <> $2 AND number > $3 ORDER BY number LIMIT $4"
            }
            Self::Deliveries => {
                "SELECT number, 0::bigint, direction, provider, app, endpoint, id, tenant, key_id, sealed \
                 FROM @.deliveries WHERE key_id <> $2 AND number > $3 ORDER BY number LIMIT $4"
            }
            Self::Subscriptions => {
                "SELECT number, 0::bigint, tenant, connection, id, provider, app, grant_number, key_id, sealed \
                 FROM @.subscriptions WHERE key_id <> $2 AND number > $3 ORDER BY number LIMIT $4"
            }
            Self::Endings => {
                "SELECT number, 0::bigint, tenant, connection, provider, app, channel, grant_number, fence, \
                 key_id, sealed FROM @.endings WHERE key_id <> $2 AND number > $3 \
                 ORDER BY number LIMIT $4"
            }
            Self::Endpoints => {
                "SELECT number, 0::bigint, tenant, id, provider, key_id, sealed FROM @.endpoints \
                 WHERE key_id <> $2 AND number > $3 ORDER BY number LIMIT $4"
            }
            Self::Messages => {
                "SELECT number, 0::bigint, tenant, provider, id, key_id, sealed FROM @.messages \
                 WHERE key_id <> $2 AND number > $3 ORDER BY number LIMIT $4"
            }
        }
    }

    fn read(self, columns: &mut Columns<'_>, slot: i64) -> Result<SealedRow> {
        match self {
            Self::Credentials => credential(columns, slot),
            Self::Revocations => revocation(columns),
            Self::Deliveries => delivery(columns),
            Self::Subscriptions => subscription(columns),
            Self::Endings => ending(columns),
            Self::Endpoints => endpoint(columns),
            Self::Messages => message(columns),
            Self::Quarantine => flow(columns, SealedKind::Quarantine, RowRef::Quarantine),
            Self::States => flow(columns, SealedKind::State, RowRef::State),
        }
    }
}

fn credential(columns: &mut Columns<'_>, slot: i64) -> Result<SealedRow> {
    let key = columns.key()?;
    let row_id = key.id.to_string();
    let tenant = Some(key.tenant.clone());
    let provider = columns.provider()?;
    let app = columns.app()?;
    let grant = GrantNumber::new(columns.number()?);
    let fence = Fence::new(columns.number()?);
    let row = match slot {
        CURRENT => RowRef::Current(key),
        PREVIOUS => RowRef::Previous(key),
        _ => RowRef::Pending(key, fence),
    };
    Ok(SealedRow {
        row,
        tenant,
        provider,
        app,
        row_id,
        kind: SealedKind::Credential,
        grant,
        fence,
        sealed: columns.sealed()?,
    })
}

fn revocation(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let key = columns.key()?;
    let provider = columns.provider()?;
    let app = columns.app()?;
    let grant = GrantNumber::new(columns.number()?);
    let fence = Fence::new(columns.number()?);
    Ok(SealedRow {
        tenant: Some(key.tenant.clone()),
        row_id: key.id.to_string(),
        row: RowRef::Revocation(key, fence),
        provider,
        app,
        kind: SealedKind::Revocation,
        grant,
        fence,
        sealed: columns.sealed()?,
    })
}

fn delivery(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let key = DeliveryKey {
        direction: columns.parsed(Direction::parse)?,
        provider: columns.provider()?,
        app: columns.app()?,
        endpoint: columns.take()?,
        id: columns.take()?,
    };
    Ok(SealedRow {
        tenant: columns.maybe_tenant()?,
        provider: key.provider.clone(),
        app: key.app.clone(),
        row_id: key.row_id(),
        row: RowRef::Delivery(key),
        kind: SealedKind::Delivery,
        grant: GrantNumber::default(),
        fence: Fence::default(),
        sealed: columns.sealed()?,
    })
}

fn subscription(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let connection = columns.key()?;
    let key = SubscriptionKey::new(connection, SubscriptionId::from_bytes(columns.bytes()?));
    Ok(SealedRow {
        tenant: Some(key.connection.tenant.clone()),
        row_id: key.row_id(),
        row: RowRef::Subscription(key),
        provider: columns.provider()?,
        app: columns.app()?,
        kind: SealedKind::WebhookSecret,
        grant: GrantNumber::new(columns.number()?),
        fence: Fence::default(),
        sealed: columns.sealed()?,
    })
}

fn ending(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let connection = columns.key()?;
    let provider = columns.provider()?;
    let app = columns.app()?;
    let channel = columns.channel()?;
    Ok(SealedRow {
        tenant: Some(connection.tenant.clone()),
        row_id: connection.id.to_string(),
        row: RowRef::Ending(connection, channel),
        provider,
        app,
        kind: SealedKind::Revocation,
        grant: GrantNumber::new(columns.number()?),
        fence: Fence::new(columns.number()?),
        sealed: columns.sealed()?,
    })
}

fn endpoint(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let tenant = columns.tenant()?;
    let key = EndpointKey::new(tenant, EndpointId::from_bytes(columns.bytes()?));
    Ok(SealedRow {
        tenant: Some(key.tenant.clone()),
        row_id: key.row_id(),
        row: RowRef::Endpoint(key),
        provider: columns.provider()?,
        app: AppKey::default(),
        kind: SealedKind::WebhookSecret,
        grant: GrantNumber::default(),
        fence: Fence::default(),
        sealed: columns.sealed()?,
    })
}

fn message(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let key = MessageKey {
        tenant: columns.tenant()?,
        provider: columns.provider()?,
        id: columns.parsed(|text| MessageId::new(text).ok())?,
    };
    Ok(SealedRow {
        tenant: Some(key.tenant.clone()),
        provider: key.provider.clone(),
        row_id: key.row_id(),
        row: RowRef::Message(key),
        app: AppKey::default(),
        kind: SealedKind::Delivery,
        grant: GrantNumber::default(),
        fence: Fence::default(),
        sealed: columns.sealed()?,
    })
}

/// Reads a row of a connect flow.
fn flow(
    columns: &mut Columns<'_>,
    kind: SealedKind,
    row: impl FnOnce(StateKey) -> RowRef,
) -> Result<SealedRow> {
    let state = StateKey::from_bytes(columns.bytes()?);
    Ok(SealedRow {
        row: row(state),
        tenant: Some(columns.tenant()?),
        provider: columns.provider()?,
        app: columns.app()?,
        row_id: state.to_string(),
        kind,
        grant: GrantNumber::default(),
        fence: Fence::default(),
        sealed: columns.sealed()?,
    })
}

/// A position in the list of the sealed rows: the table, the number of the last row, and its slot.
struct Position {
    table: Table,
    number: i64,
    slot: i64,
}

/// Parses the position in a cursor.
fn position(operation: &'static str, after: Option<&Cursor>) -> Result<Position> {
    let Some(cursor) = after else {
        return Ok(Position {
            table: Table::Credentials,
            number: 0,
            slot: 0,
        });
    };
    let mut parts = cursor.as_str().splitn(3, '.');
    let mut parse = || {
        let table = parts.next()?;
        let number = |part: &str| part.parse().ok().filter(|number: &i64| *number >= 0);
        Some(Position {
            table: Table::ALL.into_iter().find(|known| known.name() == table)?,
            number: number(parts.next()?)?,
            slot: number(parts.next()?)?,
        })
    };
    parse().ok_or_else(|| foreign_cursor(operation))
}

/// Replaces the bytes in a slot of a connection. `$8` is true for the previous credential.
const RESEAL_SLOT: &str = "UPDATE @.connections SET seq = seq + 1, \
        a_key = CASE WHEN flip = $8 THEN $2 ELSE a_key END, \
        a_sealed = CASE WHEN flip = $8 THEN $3 ELSE a_sealed END, \
        b_key = CASE WHEN flip = $8 THEN b_key ELSE $2 END, \
        b_sealed = CASE WHEN flip = $8 THEN b_sealed ELSE $3 END \
    WHERE tenant = $6 AND id = $7 AND CASE WHEN flip = $8 \
        THEN a_key = $4 AND a_sealed = $5 ELSE b_key = $4 AND b_sealed = $5 END";

/// Replaces the bytes of the pending pair with the fence `$8`.
const RESEAL_PENDING: &str = "UPDATE @.connections SET seq = seq + 1, \
        pending_key[array_position(pending_fence, $8)] = $2, \
        pending_sealed[array_position(pending_fence, $8)] = $3 \
    WHERE tenant = $6 AND id = $7 \
        AND pending_key[array_position(pending_fence, $8)] = $4 \
        AND pending_sealed[array_position(pending_fence, $8)] = $5";

/// Returns the statement that replaces `$4` and `$5` in a row by `$2` and `$3`.
fn replace(
    operation: &'static str,
    row: &RowRef,
    seen: &Sealed,
    new: &Sealed,
) -> Result<Statement> {
    let replace = |sql: &'static str| Statement::new(sql).bind_sealed(new).bind_sealed(seen);
    macro_rules! replace {
        ($table:literal, $condition:literal) => {
            replace(concat!(
                "UPDATE @.",
                $table,
                " SET key_id = $2, sealed = $3 WHERE key_id = $4 AND sealed = $5 AND ",
                $condition
            ))
        };
    }
    let of = |statement: Statement, key: &ConnectionKey| {
        statement.bind(key.tenant.as_str()).bind(key.id.as_bytes())
    };
    Ok(match row {
        RowRef::Current(key) => of(replace(RESEAL_SLOT), key).bind(false),
        RowRef::Previous(key) => of(replace(RESEAL_SLOT), key).bind(true),
        RowRef::Pending(key, fence) => {
            of(replace(RESEAL_PENDING), key).bind(integer(operation, fence.get())?)
        }
        RowRef::Quarantine(state) => replace!("quarantine", "state = $6").bind(state.as_bytes()),
        RowRef::State(state) => replace!("states", "state = $6").bind(state.as_bytes()),
        RowRef::Revocation(key, fence) => {
            let condition = replace!(
                "revocations",
                "tenant = $6 AND connection = $7 AND fence = $8"
            );
            of(condition, key).bind(integer(operation, fence.get())?)
        }
        RowRef::Delivery(key) => replace!("deliveries", "row_id = $6").bind(&row_id(key)),
        RowRef::Subscription(key) => {
            let condition = replace!(
                "subscriptions",
                "tenant = $6 AND connection = $7 AND id = $8"
            );
            of(condition, &key.connection).bind(key.id.as_bytes())
        }
        RowRef::Ending(connection, channel) => {
            let condition = replace!(
                "endings",
                "tenant = $6 AND connection = $7 AND channel = $8"
            );
            of(condition, connection).bind(channel.as_str())
        }
        RowRef::Endpoint(key) => replace!("endpoints", "tenant = $6 AND id = $7")
            .bind(key.tenant.as_str())
            .bind(key.id.as_bytes()),
        RowRef::Message(key) => replace!("messages", "tenant = $6 AND provider = $7 AND id = $8")
            .bind(key.tenant.as_str())
            .bind(key.provider.as_str())
            .bind(key.id.as_str()),
        _ => return Err(unreadable(operation)),
    })
}

/// Removes at most `$2` expired rows. Rows that another transaction uses are skipped.
const PURGES: [&str; 3] = [
    "DELETE FROM @.states WHERE number = ANY (ARRAY(SELECT number FROM @.states \
        WHERE expires_at <= @asof ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM @.quarantine WHERE number = ANY (ARRAY(SELECT number FROM @.quarantine \
        WHERE keep_until <= @asof ORDER BY keep_until LIMIT $2 FOR UPDATE SKIP LOCKED))",
    "DELETE FROM @.deliveries WHERE number = ANY (ARRAY(SELECT number FROM @.deliveries \
        WHERE state <> 'waiting' AND keep_until <= @asof ORDER BY keep_until LIMIT $2 \
        FOR UPDATE SKIP LOCKED))",
];

/// Locks at most `$2` expired messages without pending deliveries. Messages that are being replayed
/// are skipped.
const LOCK_MESSAGES: &str = "SELECT m.number FROM @.messages m WHERE m.keep_until <= @asof \
    AND NOT EXISTS (SELECT 1 FROM @.outbound o \
        WHERE o.message = m.number AND o.state IN ('waiting', 'held')) \
    ORDER BY m.keep_until LIMIT $2 FOR UPDATE OF m SKIP LOCKED";

/// Removes the messages `$2` that still have no pending deliveries, with their deliveries.
const PURGE_MESSAGES: &str = "WITH gone AS (
        DELETE FROM @.messages m WHERE m.number = ANY ($2) AND NOT EXISTS (
            SELECT 1 FROM @.outbound o
            WHERE o.message = m.number AND o.state IN ('waiting', 'held'))
        RETURNING m.number
    ), deliveries AS (
        DELETE FROM @.outbound o USING gone WHERE o.message = gone.number RETURNING o.number
    )
    SELECT (SELECT count(*) FROM gone), ARRAY(SELECT number FROM deliveries)";

impl PostgresStore {
    async fn purge_now(self, n: u32) -> Result<u32> {
        const OPERATION: &str = "store.purge";
        let begin = Statement::new("SELECT 1");
        let (mut write, _) = self.database.begin(OPERATION, begin).await?;
        let mut removed = 0;
        for sql in PURGES {
            let gone = write
                .run(Statement::new(sql).bind(i64::from(n - removed)))
                .await?;
            removed += u32::try_from(gone).unwrap_or(n).min(n - removed);
        }
        let lock = Statement::new(LOCK_MESSAGES).bind(i64::from(n - removed));
        let mut messages: Vec<i64> = Vec::new();
        for row in &write.rows(lock).await? {
            messages.push(Columns::new(row, OPERATION).take()?);
        }
        if !messages.is_empty() {
            let rows = write
                .rows(Statement::new(PURGE_MESSAGES).bind(messages))
                .await?;
            let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
            let mut columns = Columns::new(row, OPERATION);
            let gone = columns.number()?;
            removed += u32::try_from(gone).unwrap_or(n).min(n - removed);
            // A result that was being stored has its entry in the delivery log by now.
            let log = "DELETE FROM @.attempts WHERE delivery = ANY ($2)";
            write
                .run(Statement::new(log).bind(columns.take::<Vec<i64>>()?))
                .await?;
        }
        write.commit().await?;
        let gone = crate::outbound::tidy(&self, OPERATION, i64::from(n - removed)).await?;
        removed += u32::try_from(gone).unwrap_or(n).min(n - removed);
        Ok(removed)
    }
}

#[async_trait]
impl Maintenance for PostgresStore {
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>> {
        const OPERATION: &str = "store.sealed_rows";
        let mut after = position(OPERATION, after)?;
        let first = after.table;
        let most = usize::from(n.max(1));
        let mut items = Vec::new();
        let mut last = None;
        for table in Table::ALL.into_iter().filter(|table| *table >= first) {
            let room = most - items.len() + 1;
            let statement = Statement::new(table.select())
                .bind(not_under.as_bytes())
                .bind(after.number)
                .bind(i64::try_from(room).unwrap_or(i64::MAX))
                .bind(after.slot);
            for row in &self.database.rows(OPERATION, statement).await? {
                if items.len() == most {
                    let next = last.map(Cursor::new).transpose()?;
                    return Ok(Page { items, next });
                }
                let mut columns = Columns::new(row, OPERATION);
                let (number, slot): (i64, i64) = (columns.take()?, columns.take()?);
                items.push(table.read(&mut columns, slot)?);
                last = Some(format!("{}.{number}.{slot}", table.name()));
            }
            (after.number, after.slot) = (0, 0);
        }
        Ok(Page { items, next: None })
    }

    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool> {
        const OPERATION: &str = "store.reseal";
        let statement = replace(OPERATION, row, seen, &new)?;
        Ok(self.database.changed(OPERATION, statement).await? == 1)
    }

    async fn purge(&self, n: u32) -> Result<u32> {
        Database::detached("store.purge", self.clone().purge_now(n)).await
    }
}
