//! Key rotation and removal of expired rows.

use async_trait::async_trait;
use connector_core::cipher::{KeyId, Sealed, SealedKind};
use connector_core::outbound::MessageId;
use connector_core::store::{
    Cursor, DeliveryKey, Direction, EndpointId, EndpointKey, Fence, GrantNumber, Maintenance,
    MessageKey, Page, RowRef, SealedRow, StateKey, SubscriptionId, SubscriptionKey,
};
use connector_core::{AppKey, Result, TenantId};

use crate::SqliteStore;
use crate::columns::{Columns, integer};
use crate::database::Statement;
use crate::error::{foreign_cursor, unreadable};
use crate::record::Slot;

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

    /// Selects at most `?3` rows after row `?2` that are not sealed under key `?1`.
    const fn select(self) -> &'static str {
        match self {
            Self::Credentials => {
                "SELECT k.number, k.slot, c.tenant, c.id, c.provider, c.app, k.grant_number, \
                 k.fence, k.key_id, k.sealed FROM credentials k \
                 JOIN connections c ON c.number = k.connection \
                 WHERE k.key_id <> ?1 AND k.number > ?2 ORDER BY k.number LIMIT ?3"
            }
            Self::Quarantine => {
                "SELECT number, state, tenant, provider, app, key_id, sealed FROM quarantine \
                 WHERE key_id <> ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            }
            Self::Revocations => {
                "SELECT number, tenant, connection, provider, app, grant_number, fence, key_id, \
                 sealed FROM revocations WHERE key_id <> ?1 AND number > ?2 \
                 ORDER BY number LIMIT ?3"
            }
            Self::States => {
                "SELECT number, state, tenant, provider, app, key_id, sealed FROM states \
                 WHERE key_id <> ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            }
            Self::Deliveries => {
                "SELECT number, direction, provider, app, endpoint, id, tenant, key_id, sealed \
                 FROM deliveries WHERE key_id <> ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            }
            Self::Subscriptions => {
                "SELECT number, tenant, connection, id, provider, app, grant_number, key_id, sealed \
                 FROM subscriptions WHERE key_id <> ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            }
            Self::Endings => {
                "SELECT number, tenant, connection, provider, app, channel, grant_number, fence, \
                 key_id, sealed FROM endings WHERE key_id <> ?1 AND number > ?2 \
                 ORDER BY number LIMIT ?3"
            }
            Self::Endpoints => {
                "SELECT number, tenant, id, provider, key_id, sealed FROM endpoints \
                 WHERE key_id <> ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            }
            Self::Messages => {
                "SELECT number, tenant, provider, id, key_id, sealed FROM messages \
                 WHERE key_id <> ?1 AND number > ?2 ORDER BY number LIMIT ?3"
            }
        }
    }

    fn read(self, columns: &mut Columns<'_>) -> Result<SealedRow> {
        match self {
            Self::Credentials => credential(columns),
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

fn credential(columns: &mut Columns<'_>) -> Result<SealedRow> {
    let slot: i64 = columns.take()?;
    let key = columns.key()?;
    let row_id = key.id.to_string();
    let tenant = Some(key.tenant.clone());
    let provider = columns.provider()?;
    let app = columns.app()?;
    let grant = GrantNumber::new(columns.number()?);
    let fence = Fence::new(columns.number()?);
    let row = if slot == Slot::Current.number() {
        RowRef::Current(key)
    } else if slot == Slot::Previous.number() {
        RowRef::Previous(key)
    } else {
        RowRef::Pending(key, fence)
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
    let tenant: Option<&str> = columns.take()?;
    Ok(SealedRow {
        tenant: tenant
            .map(TenantId::new)
            .transpose()
            .map_err(|_| unreadable(columns.operation()))?,
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

/// Parses the position in a cursor of the sealed rows, which consists of the table and the number
/// of the last row.
fn position(operation: &'static str, after: Option<&Cursor>) -> Result<(Table, i64)> {
    let Some(cursor) = after else {
        return Ok((Table::Credentials, 0));
    };
    cursor
        .as_str()
        .split_once('.')
        .and_then(|(table, number)| {
            let table = Table::ALL.into_iter().find(|known| known.name() == table)?;
            let number = number.parse().ok().filter(|number: &i64| *number >= 0)?;
            Some((table, number))
        })
        .ok_or_else(|| foreign_cursor(operation))
}

/// Returns the statement that replaces `?3` and `?4` in a row by `?1` and `?2`.
fn replace(
    operation: &'static str,
    row: &RowRef,
    seen: &Sealed,
    new: &Sealed,
) -> Result<Statement> {
    macro_rules! replace {
        ($table:literal, $condition:literal) => {
            sqlx::query(concat!(
                "UPDATE ",
                $table,
                " SET key_id = ?1, sealed = ?2 WHERE key_id = ?3 AND sealed = ?4 AND ",
                $condition
            ))
            .bind(new.key_id().as_bytes().as_slice())
            .bind(new.bytes().as_ref())
            .bind(seen.key_id().as_bytes().as_slice())
            .bind(seen.bytes().as_ref())
        };
    }
    macro_rules! credential {
        ($key:expr, $slot:expr) => {
            replace!(
                "credentials",
                "connection = (SELECT number FROM connections WHERE tenant = ?5 AND id = ?6) \
                 AND slot = ?7 AND fence = coalesce(?8, fence)"
            )
            .bind($key.tenant.as_str())
            .bind($key.id.as_bytes().as_slice())
            .bind($slot.number())
        };
    }
    Ok(match row {
        RowRef::Current(key) => credential!(key, Slot::Current).bind(None::<i64>),
        RowRef::Previous(key) => credential!(key, Slot::Previous).bind(None::<i64>),
        RowRef::Pending(key, fence) => {
            credential!(key, Slot::Pending).bind(integer(operation, fence.get())?)
        }
        RowRef::Quarantine(state) => {
            replace!("quarantine", "state = ?5").bind(state.as_bytes().as_slice())
        }
        RowRef::State(state) => replace!("states", "state = ?5").bind(state.as_bytes().as_slice()),
        RowRef::Revocation(key, fence) => replace!(
            "revocations",
            "tenant = ?5 AND connection = ?6 AND fence = ?7"
        )
        .bind(key.tenant.as_str())
        .bind(key.id.as_bytes().as_slice())
        .bind(integer(operation, fence.get())?),
        RowRef::Delivery(key) => replace!(
            "deliveries",
            "direction = ?5 AND provider = ?6 AND app = ?7 AND endpoint = ?8 AND id = ?9"
        )
        .bind(key.direction.as_str())
        .bind(key.provider.as_str())
        .bind(key.app.as_str())
        .bind(key.endpoint.as_str())
        .bind(key.id.as_str()),
        RowRef::Subscription(key) => replace!(
            "subscriptions",
            "tenant = ?5 AND connection = ?6 AND id = ?7"
        )
        .bind(key.connection.tenant.as_str())
        .bind(key.connection.id.as_bytes().as_slice())
        .bind(key.id.as_bytes().as_slice()),
        RowRef::Ending(connection, channel) => replace!(
            "endings",
            "tenant = ?5 AND connection = ?6 AND channel = ?7"
        )
        .bind(connection.tenant.as_str())
        .bind(connection.id.as_bytes().as_slice())
        .bind(channel.as_str()),
        RowRef::Endpoint(key) => replace!("endpoints", "tenant = ?5 AND id = ?6")
            .bind(key.tenant.as_str())
            .bind(key.id.as_bytes().as_slice()),
        RowRef::Message(key) => replace!("messages", "tenant = ?5 AND provider = ?6 AND id = ?7")
            .bind(key.tenant.as_str())
            .bind(key.provider.as_str())
            .bind(key.id.as_str()),
        _ => return Err(unreadable(operation)),
    })
}

/// Removes at most `?2` rows that had expired at `?1`.
const PURGES: [&str; 3] = [
    "DELETE FROM states WHERE number IN \
     (SELECT number FROM states WHERE expires_at <= ?1 ORDER BY expires_at LIMIT ?2)",
    "DELETE FROM quarantine WHERE number IN \
     (SELECT number FROM quarantine WHERE keep_until <= ?1 ORDER BY keep_until LIMIT ?2)",
    "DELETE FROM deliveries WHERE number IN \
     (SELECT number FROM deliveries WHERE state <> 'waiting' AND keep_until <= ?1 \
      ORDER BY keep_until LIMIT ?2)",
];

/// Like [`PURGES`], for messages without pending deliveries.
const PURGE_MESSAGES: &str = "DELETE FROM messages WHERE number IN \
     (SELECT number FROM messages m WHERE keep_until <= ?1 AND NOT EXISTS \
      (SELECT 1 FROM outbound o WHERE o.message = m.number AND o.state IN ('waiting', 'held')) \
      ORDER BY keep_until LIMIT ?2) RETURNING number";

#[async_trait]
impl Maintenance for SqliteStore {
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>> {
        const OPERATION: &str = "store.sealed_rows";
        let (first, mut after) = position(OPERATION, after)?;
        let most = usize::from(n.max(1));
        let mut items = Vec::new();
        let mut last = None;
        for table in Table::ALL.into_iter().filter(|table| *table >= first) {
            let room = most - items.len() + 1;
            let statement = || {
                sqlx::query(table.select())
                    .bind(not_under.as_bytes().as_slice())
                    .bind(after)
                    .bind(i64::try_from(room).unwrap_or(i64::MAX))
            };
            for row in &self.database.read(OPERATION, statement).await? {
                if items.len() == most {
                    let next = last.map(Cursor::new).transpose()?;
                    return Ok(Page { items, next });
                }
                let mut columns = Columns::new(row, OPERATION);
                let number: i64 = columns.take()?;
                items.push(table.read(&mut columns)?);
                last = Some(format!("{}.{number}", table.name()));
            }
            after = 0;
        }
        Ok(Page { items, next: None })
    }

    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool> {
        const OPERATION: &str = "store.reseal";
        let statement = replace(OPERATION, row, seen, &new)?;
        let mut write = self.database.write(OPERATION).await?;
        let changed = write.run(statement).await?;
        write.commit().await?;
        Ok(changed == 1)
    }

    async fn purge(&self, n: u32) -> Result<u32> {
        let mut write = self.database.write("store.purge").await?;
        let mut removed = 0;
        for sql in PURGES {
            let statement = sqlx::query(sql)
                .bind(write.now.as_unix_millis())
                .bind(i64::from(n - removed));
            let gone = write.run(statement).await?;
            removed += u32::try_from(gone).unwrap_or(n).min(n - removed);
        }
        let statement = sqlx::query(PURGE_MESSAGES)
            .bind(write.now.as_unix_millis())
            .bind(i64::from(n - removed));
        for row in &write.rows(statement).await? {
            let number: i64 = Columns::new(row, write.operation()).take()?;
            for sql in [
                "DELETE FROM attempts WHERE delivery IN \
                 (SELECT number FROM outbound WHERE message = ?1)",
                "DELETE FROM outbound WHERE message = ?1",
            ] {
                write.run(sqlx::query(sql).bind(number)).await?;
            }
            removed += 1;
        }
        write.commit().await?;
        Ok(removed)
    }
}
