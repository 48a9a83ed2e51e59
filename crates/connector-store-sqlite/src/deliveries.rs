//! The delivery queue.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::{
    AcceptOutcome, Cursor, DeliveryFilter, DeliveryKey, DeliveryQueue, DeliveryRecord,
    DeliveryState, Direction, LeaseRequest, LeasedDelivery, NewDelivery, Page,
};
use connector_core::{ProviderId, Result, TenantId};

use crate::SqliteStore;
use crate::columns::{Columns, integer, number_after, one_more, select, slice};
use crate::database::{Statement, Write};
use crate::error::unreadable;
use crate::work::next_lease;

/// Creates a statement whose first five parameters are a delivery's key.
fn of_delivery(sql: &'static str, key: &DeliveryKey) -> Statement {
    sqlx::query(sql)
        .bind(key.direction.as_str())
        .bind(key.provider.as_str())
        .bind(key.app.as_str())
        .bind(key.endpoint.as_str())
        .bind(key.id.as_str())
}

fn key(columns: &mut Columns<'_>) -> Result<DeliveryKey> {
    Ok(DeliveryKey {
        direction: columns.parsed(Direction::parse)?,
        provider: columns.provider()?,
        app: columns.app()?,
        endpoint: columns.take()?,
        id: columns.take()?,
    })
}

fn maybe_tenant(columns: &mut Columns<'_>) -> Result<Option<TenantId>> {
    let tenant: Option<&str> = columns.take()?;
    tenant
        .map(TenantId::new)
        .transpose()
        .map_err(|_| unreadable(columns.operation()))
}

/// Selects the deliveries to lease next. Within a lane, deliveries are sorted by due time. Lanes
/// and then owners take turns. Lanes and owners with the fewest leased deliveries come first.
const TURNS: &str = "WITH busy AS ( \
         SELECT owner, lane, count(*) AS leased FROM deliveries \
         WHERE direction = ?1 AND state = 'waiting' AND lease > 0 AND due_at > ?2 \
         GROUP BY owner, lane \
     ), busy_owners AS ( \
         SELECT owner, sum(leased) AS leased FROM busy GROUP BY owner \
     ), due AS ( \
         SELECT d.number, d.owner, d.due_at, coalesce(b.leased, 0) + row_number() OVER ( \
             PARTITION BY d.owner, d.lane ORDER BY d.due_at, d.number) AS in_lane \
         FROM deliveries d LEFT JOIN busy b ON b.owner = d.owner AND b.lane = d.lane \
         WHERE d.direction = ?1 AND d.state = 'waiting' AND d.due_at <= ?2 \
     ), fair AS ( \
         SELECT due.number, due.due_at, coalesce(b.leased, 0) + row_number() OVER ( \
             PARTITION BY due.owner ORDER BY due.in_lane, due.due_at, due.number) AS of_owner \
         FROM due LEFT JOIN busy_owners b ON b.owner = due.owner WHERE due.in_lane <= ?4 \
     ) \
     SELECT d.number, d.direction, d.provider, d.app, d.endpoint, d.id, d.tenant, d.attempts, \
         d.accepted_at, d.key_id, d.sealed \
     FROM fair JOIN deliveries d ON d.number = fair.number WHERE fair.of_owner <= ?3 \
     ORDER BY fair.of_owner, fair.due_at, fair.number LIMIT ?5";

fn leased_row(columns: &mut Columns<'_>, lease: i64) -> Result<LeasedDelivery> {
    Ok(LeasedDelivery {
        key: key(columns)?,
        tenant: maybe_tenant(columns)?,
        attempt: columns.small_number()?.saturating_add(1),
        accepted_at: columns.time()?,
        sealed: columns.sealed()?,
        lease: u64::try_from(lease).map_err(|_| unreadable(columns.operation()))?,
    })
}

/// Returns the reason for the rejection if a limit does not allow the new delivery.
async fn bound(write: &mut Write<'_>, new: &NewDelivery) -> Result<Option<AcceptOutcome>> {
    let limits = new.limits;
    if let (1.., Some(content)) = (limits.alike, &new.content) {
        let since = write.now.before(limits.alike_within);
        let statement = of_delivery(
            "SELECT 1 FROM deliveries WHERE content = ?6 AND accepted_at > ?7 AND direction = ?1 \
             AND provider = ?2 AND app = ?3 AND endpoint = ?4 AND id <> ?5 LIMIT 1 OFFSET ?8",
            &new.key,
        )
        .bind(content.as_slice())
        .bind(since.as_unix_millis())
        .bind(i64::from(limits.alike) - 1);
        if !write.rows(statement).await?.is_empty() {
            return Ok(Some(AcceptOutcome::Alike));
        }
    }
    if limits.waiting > 0 {
        let statement = of_delivery(
            "SELECT 1 FROM deliveries WHERE direction = ?1 AND provider = ?2 AND app = ?3 \
             AND endpoint = ?4 AND id <> ?5 AND owner = ?6 AND state = 'waiting' \
             LIMIT 1 OFFSET ?7",
            &new.key,
        )
        .bind(new.turn.owner.as_str())
        .bind(i64::from(limits.waiting) - 1);
        if !write.rows(statement).await?.is_empty() {
            return Ok(Some(AcceptOutcome::Full));
        }
    }
    Ok(None)
}

/// The new state of a delivery whose lease ends.
struct Ended<'a> {
    state: DeliveryState,
    due_in: Option<Duration>,
    error: Option<&'a str>,
}

impl SqliteStore {
    /// Ends a lease. Returns false if the lease was lost.
    async fn end_lease(
        &self,
        operation: &'static str,
        delivery: &LeasedDelivery,
        ended: Ended<'_>,
    ) -> Result<bool> {
        let lease = integer(operation, delivery.lease)?;
        let mut write = self.database.write(operation).await?;
        let due_at = ended.due_in.map(|after| write.now.after(after));
        // Lease number zero means "not leased", so it never matches.
        let statement = of_delivery(
            "UPDATE deliveries SET state = ?7, due_at = coalesce(?8, due_at), error = ?9, \
             lease = 0 WHERE direction = ?1 AND provider = ?2 AND app = ?3 AND endpoint = ?4 \
             AND id = ?5 AND lease = ?6 AND lease > 0",
            &delivery.key,
        )
        .bind(lease)
        .bind(ended.state.as_str())
        .bind(due_at.map(Timestamp::as_unix_millis))
        .bind(ended.error);
        let changed = write.run(statement).await?;
        write.commit().await?;
        Ok(changed == 1)
    }
}

#[async_trait]
impl DeliveryQueue for SqliteStore {
    async fn accept(&self, delivery: NewDelivery) -> Result<AcceptOutcome> {
        let mut write = self.database.write("store.accept").await?;
        let now = write.now;
        let forget = of_delivery(
            "DELETE FROM deliveries WHERE direction = ?1 AND provider = ?2 AND app = ?3 \
             AND endpoint = ?4 AND id = ?5 AND state <> 'waiting' AND keep_until <= ?6",
            &delivery.key,
        )
        .bind(now.as_unix_millis());
        write.run(forget).await?;
        let known = of_delivery(
            "SELECT 1 FROM deliveries WHERE direction = ?1 AND provider = ?2 AND app = ?3 \
             AND endpoint = ?4 AND id = ?5",
            &delivery.key,
        );
        if !write.rows(known).await?.is_empty() {
            write.cancel().await;
            return Ok(AcceptOutcome::Duplicate);
        }
        if let Some(kept_out) = bound(&mut write, &delivery).await? {
            write.cancel().await;
            return Ok(kept_out);
        }
        let statement = of_delivery(
            "INSERT INTO deliveries (direction, provider, app, endpoint, id, tenant, state, \
             accepted_at, due_at, keep_until, key_id, sealed, owner, lane, content) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
            &delivery.key,
        )
        .bind(delivery.tenant.as_ref().map(TenantId::as_str))
        .bind(DeliveryState::Waiting.as_str())
        .bind(now.as_unix_millis())
        .bind(now.after(delivery.delay).as_unix_millis())
        .bind(now.after(delivery.keep_for).as_unix_millis())
        .bind(delivery.sealed.key_id().as_bytes().as_slice())
        .bind(delivery.sealed.bytes().as_ref())
        .bind(delivery.turn.owner.as_str())
        .bind(delivery.turn.lane.as_str())
        .bind(delivery.content.as_ref().map(<[u8; 32]>::as_slice));
        write.run(statement).await?;
        write.commit().await?;
        Ok(AcceptOutcome::Accepted)
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>> {
        const OPERATION: &str = "store.lease";
        if request.n == 0 {
            return Ok(Vec::new());
        }
        // If nothing is due, only a read runs and no write lock is taken.
        let now = self.database.clock.now();
        let statement = || {
            sqlx::query(
                "SELECT 1 FROM deliveries WHERE direction = ?1 AND state = 'waiting' \
                 AND due_at <= ?2 LIMIT 1",
            )
            .bind(request.direction.as_str())
            .bind(now.as_unix_millis())
        };
        if self.database.read(OPERATION, statement).await?.is_empty() {
            return Ok(Vec::new());
        }
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        let number = next_lease(&mut write).await?;
        let statement = sqlx::query(TURNS)
            .bind(request.direction.as_str())
            .bind(now.as_unix_millis())
            .bind(i64::from(request.per_owner))
            .bind(i64::from(request.per_lane))
            .bind(i64::from(request.n));
        let rows = write.rows(statement).await?;
        let mut leased = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let row_number: i64 = columns.take()?;
            let delivery = match leased_row(&mut columns, number) {
                Ok(delivery) => delivery,
                Err(error) => {
                    // An unreadable row must not block the other rows.
                    tracing::error!(
                        operation = OPERATION,
                        error = %error,
                        row = row_number,
                        "parking an unreadable delivery; correct or delete the row"
                    );
                    let park = sqlx::query(
                        "UPDATE deliveries SET state = 'parked', error = 'unreadable', lease = 0 \
                         WHERE number = ?1",
                    )
                    .bind(row_number);
                    write.run(park).await?;
                    continue;
                }
            };
            let statement = sqlx::query(
                "UPDATE deliveries SET attempts = ?2, due_at = ?3, lease = ?4 WHERE number = ?1",
            )
            .bind(row_number)
            .bind(i64::from(delivery.attempt))
            .bind(now.after(request.lease).as_unix_millis())
            .bind(number);
            write.run(statement).await?;
            leased.push(delivery);
        }
        write.commit().await?;
        Ok(leased)
    }

    async fn done(&self, delivery: &LeasedDelivery) -> Result<bool> {
        let ended = Ended {
            state: DeliveryState::Done,
            due_in: None,
            error: None,
        };
        self.end_lease("store.done", delivery, ended).await
    }

    async fn retry(&self, delivery: &LeasedDelivery, after: Duration, error: &str) -> Result<bool> {
        let ended = Ended {
            state: DeliveryState::Waiting,
            due_in: Some(after),
            error: Some(error),
        };
        self.end_lease("store.retry", delivery, ended).await
    }

    async fn park(&self, delivery: &LeasedDelivery, error: &str) -> Result<bool> {
        let ended = Ended {
            state: DeliveryState::Parked,
            due_in: None,
            error: Some(error),
        };
        self.end_lease("store.park", delivery, ended).await
    }

    async fn deliveries(
        &self,
        filter: &DeliveryFilter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<DeliveryRecord>> {
        const OPERATION: &str = "store.deliveries";
        let after = number_after(OPERATION, after)?;
        let statement = || {
            let sql = select(
                "SELECT number, direction, provider, app, endpoint, id, tenant, state, attempts, \
                 error, accepted_at, due_at FROM deliveries WHERE number > ?1",
                &[
                    (" AND direction = ?2", filter.direction.is_some()),
                    (" AND provider = ?3", filter.provider.is_some()),
                    (" AND tenant = ?4", filter.tenant.is_some()),
                    (" AND state = ?5", filter.state.is_some()),
                ],
                " ORDER BY number LIMIT ?6",
            );
            sqlx::query(sql)
                .bind(after)
                .bind(filter.direction.map(Direction::as_str))
                .bind(filter.provider.as_ref().map(ProviderId::as_str))
                .bind(filter.tenant.as_ref().map(TenantId::as_str))
                .bind(filter.state.map(DeliveryState::as_str))
                .bind(one_more(n))
        };
        let rows = self.database.read(OPERATION, statement).await?;
        slice(OPERATION, &rows, n, |columns| {
            columns.skip(1);
            Ok(DeliveryRecord {
                key: key(columns)?,
                tenant: maybe_tenant(columns)?,
                state: columns.parsed(DeliveryState::parse)?,
                attempts: columns.small_number()?,
                error: columns.take()?,
                accepted_at: columns.time()?,
                due_at: columns.time()?,
            })
        })
    }

    async fn replay(&self, key: &DeliveryKey, tenant: Option<&TenantId>) -> Result<bool> {
        let mut write = self.database.write("store.replay").await?;
        let statement = of_delivery(
            "UPDATE deliveries SET state = 'waiting', due_at = ?6 WHERE direction = ?1 \
             AND provider = ?2 AND app = ?3 AND endpoint = ?4 AND id = ?5 AND state <> 'waiting' \
             AND (?7 IS NULL OR tenant = ?7)",
            key,
        )
        .bind(write.now.as_unix_millis())
        .bind(tenant.map(TenantId::as_str));
        let changed = write.run(statement).await?;
        write.commit().await?;
        Ok(changed == 1)
    }
}
