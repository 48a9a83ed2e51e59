//! The delivery queue.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::store::{
    AcceptOutcome, Cursor, DeliveryFilter, DeliveryKey, DeliveryQueue, DeliveryRecord,
    DeliveryState, Direction, LeaseRequest, LeasedDelivery, NewDelivery, Page,
};
use connector_core::{Error, ErrorKind, ProviderId, Result, TenantId};

use crate::PostgresStore;
use crate::columns::{Columns, digest, integer, number_after, one_more, page, select};
use crate::error::unreadable;
use crate::statement::{Statement, millis};
use crate::states::lock_limits;

/// Returns the digest that identifies a row.
pub(crate) fn row_id(key: &DeliveryKey) -> [u8; 32] {
    digest(&[
        key.direction.as_str().as_bytes(),
        key.provider.as_str().as_bytes(),
        key.app.as_str().as_bytes(),
        key.endpoint.as_bytes(),
        key.id.as_bytes(),
    ])
}

/// Returns the digest of an owner's queue at an endpoint.
fn queue(key: &DeliveryKey, owner: &str) -> [u8; 32] {
    digest(&[
        key.direction.as_str().as_bytes(),
        key.provider.as_str().as_bytes(),
        key.app.as_str().as_bytes(),
        key.endpoint.as_bytes(),
        owner.as_bytes(),
    ])
}

/// Creates a statement whose parameter `$2` identifies a delivery.
fn of_delivery(sql: &'static str, key: &DeliveryKey) -> Statement {
    Statement::new(sql).bind(&row_id(key))
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

/// Accepts a delivery if it is new and the limits allow it. Runs with the locks of the limits, if
/// there are any. A retained delivery whose retention time has passed is replaced.
const ACCEPT: &str = "WITH known AS (
        SELECT NOT (state <> 'waiting' AND keep_until <= @asof) AS retained FROM @.deliveries
        WHERE row_id = $2
    ), alike AS (
        SELECT 1 FROM @.deliveries WHERE $17 > 0 AND content = $16 AND accepted_at > @asof - $18
            AND direction = $3 AND provider = $4 AND app = $5 AND endpoint = $6 AND row_id <> $2
        LIMIT 1 OFFSET greatest($17 - 1, 0)
    ), waiting AS (
        SELECT 1 FROM @.deliveries WHERE $19 > 0 AND queue = $15 AND state = 'waiting'
            AND row_id <> $2
        LIMIT 1 OFFSET greatest($19 - 1, 0)
    ), put AS (
        INSERT INTO @.deliveries AS d (row_id, direction, provider, app, endpoint, id, tenant, state,
            accepted_at, due_at, keep_until, key_id, sealed, owner, lane, queue, content)
        SELECT $2, $3, $4, $5, $6, $7, $8, 'waiting', @now, @now + $9, @now + $10, $11, $12, $13,
            $14, $15, $16
        WHERE NOT EXISTS (SELECT 1 FROM known WHERE retained)
            AND NOT EXISTS (SELECT 1 FROM alike) AND NOT EXISTS (SELECT 1 FROM waiting)
        ON CONFLICT (row_id) DO UPDATE SET tenant = excluded.tenant, state = excluded.state,
            attempts = 0, error = NULL, accepted_at = excluded.accepted_at,
            due_at = excluded.due_at, keep_until = excluded.keep_until, lease = 0,
            key_id = excluded.key_id, sealed = excluded.sealed, owner = excluded.owner,
            lane = excluded.lane, queue = excluded.queue, content = excluded.content
        WHERE d.state <> 'waiting' AND d.keep_until <= @now
        RETURNING 1
    )
    SELECT EXISTS (SELECT 1 FROM put), EXISTS (SELECT 1 FROM known WHERE retained),
        EXISTS (SELECT 1 FROM alike), EXISTS (SELECT 1 FROM waiting)";

/// Leases the next deliveries. Within a lane, deliveries are sorted by due time. Lanes and then owners
/// take turns. Lanes and owners with the fewest leased deliveries come first. Runs with the lock of
/// all leases of a direction, so that the maximum numbers apply to all processes together.
///
/// `lanes` reads one index entry per lane, and `due` reads at most as many rows of a lane as may be
/// leased. The time of a lease therefore depends on the number of lanes, but not on the number of
/// waiting deliveries.
pub(crate) const LEASE: &str = "WITH RECURSIVE busy AS (
        SELECT owner, lane, count(*) AS leased FROM @.deliveries
        WHERE direction = $2 AND state = 'waiting' AND lease > 0 AND due_at > @asof
        GROUP BY owner, lane
    ), busy_owners AS (
        SELECT owner, sum(leased)::bigint AS leased FROM busy GROUP BY owner
    ), lanes AS (
        (SELECT owner, lane FROM @.deliveries WHERE direction = $2 AND state = 'waiting'
            ORDER BY owner, lane LIMIT 1)
        UNION ALL
        SELECT next.owner, next.lane FROM lanes l CROSS JOIN LATERAL (
            SELECT owner, lane FROM @.deliveries WHERE direction = $2 AND state = 'waiting'
                AND (owner, lane) > (l.owner, l.lane)
            ORDER BY owner, lane LIMIT 1
        ) next
    ), due AS (
        SELECT d.number, l.owner, d.due_at, l.leased + row_number() OVER (
            PARTITION BY l.owner, l.lane ORDER BY d.due_at, d.number) AS in_lane
        FROM (
            SELECT lanes.owner, lanes.lane, coalesce(b.leased, 0) AS leased FROM lanes
            LEFT JOIN busy b ON b.owner = lanes.owner AND b.lane = lanes.lane
        ) l CROSS JOIN LATERAL (
            SELECT number, due_at FROM @.deliveries
            WHERE direction = $2 AND state = 'waiting' AND owner = l.owner AND lane = l.lane
                AND due_at <= @asof
            ORDER BY due_at, number LIMIT least($3, $4, $5)
        ) d
    ), fair AS (
        SELECT due.number, due.due_at, coalesce(b.leased, 0) + row_number() OVER (
            PARTITION BY due.owner ORDER BY due.in_lane, due.due_at, due.number) AS of_owner
        FROM due LEFT JOIN busy_owners b ON b.owner = due.owner WHERE due.in_lane <= $4
    ), picked AS MATERIALIZED (
        SELECT number, of_owner, due_at FROM fair WHERE of_owner <= $3
        ORDER BY of_owner, due_at, number LIMIT $5
    ), lease AS MATERIALIZED (
        SELECT nextval('@.leases') AS id WHERE EXISTS (SELECT 1 FROM picked)
    ), taken AS (
        UPDATE @.deliveries d SET attempts = d.attempts + 1, due_at = @now + $6, lease = lease.id
        FROM picked p, lease
        WHERE d.number = p.number AND d.state = 'waiting' AND d.due_at <= @now
        RETURNING d.number, d.direction, d.provider, d.app, d.endpoint, d.id, d.tenant, d.attempts,
            d.accepted_at, d.key_id, d.sealed, d.lease, p.of_owner, p.due_at AS was
    )
    SELECT number, direction, provider, app, endpoint, id, tenant, attempts, accepted_at, key_id,
        sealed, lease FROM taken ORDER BY of_owner, was, number";

fn leased_row(columns: &mut Columns<'_>) -> Result<LeasedDelivery> {
    Ok(LeasedDelivery {
        key: key(columns)?,
        tenant: columns.maybe_tenant()?,
        attempt: columns.small_number()?,
        accepted_at: columns.time()?,
        sealed: columns.sealed()?,
        lease: columns.number()?,
    })
}

/// The new state of a delivery whose lease ends.
struct Ended<'a> {
    state: DeliveryState,
    due_in: Option<Duration>,
    error: Option<&'a str>,
}

impl PostgresStore {
    /// Ends a lease. Returns false if the lease was lost.
    async fn end_lease(
        &self,
        operation: &'static str,
        delivery: &LeasedDelivery,
        ended: Ended<'_>,
    ) -> Result<bool> {
        // Lease number zero means "not leased", so it never matches.
        let statement = of_delivery(
            "UPDATE @.deliveries SET state = $4, due_at = coalesce(@now + $5, due_at), error = $6, \
             lease = 0 WHERE row_id = $2 AND lease = $3 AND lease > 0",
            &delivery.key,
        )
        .bind(integer(operation, delivery.lease)?)
        .bind(ended.state.as_str())
        .bind(ended.due_in.map(millis))
        .bind(ended.error);
        Ok(self.database.changed(operation, statement).await? == 1)
    }
}

#[async_trait]
impl DeliveryQueue for PostgresStore {
    async fn accept(&self, delivery: NewDelivery) -> Result<AcceptOutcome> {
        const OPERATION: &str = "store.accept";
        let NewDelivery { key, limits, .. } = &delivery;
        if key.endpoint.contains('\0') || key.id.contains('\0') {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the delivery's endpoint or id contains U+0000, which PostgreSQL cannot store",
            ));
        }
        let queue = queue(key, &delivery.turn.owner);
        let statement = of_delivery(ACCEPT, key)
            .bind(key.direction.as_str())
            .bind(key.provider.as_str())
            .bind(key.app.as_str())
            .bind(key.endpoint.as_str())
            .bind(key.id.as_str())
            .bind(delivery.tenant.as_ref().map(TenantId::as_str))
            .bind(millis(delivery.delay))
            .bind(millis(delivery.keep_for))
            .bind_sealed(&delivery.sealed)
            .bind(delivery.turn.owner.as_str())
            .bind(delivery.turn.lane.as_str())
            .bind(&queue)
            .bind(delivery.content.as_ref().map(|it| it.to_vec()))
            .bind(i64::from(limits.alike))
            .bind(millis(limits.alike_within))
            .bind(i64::from(limits.waiting));
        let mut sets: Vec<&[&[u8]]> = Vec::new();
        let waiting: [&[u8]; 2] = [b"waiting", &queue];
        if limits.waiting > 0 {
            sets.push(&waiting);
        }
        let content = delivery.content.filter(|_| limits.alike > 0);
        let alike: [&[u8]; 2] = [b"alike", content.as_ref().map_or(&[], |it| it.as_slice())];
        if content.is_some() {
            sets.push(&alike);
        }
        let rows = if sets.is_empty() {
            self.database.rows(OPERATION, statement).await?
        } else {
            let lock = lock_limits(&sets);
            self.database.locked(OPERATION, lock, statement).await?
        };
        let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
        let mut columns = Columns::new(row, OPERATION);
        let (put, known): (bool, bool) = (columns.take()?, columns.take()?);
        let (alike, full): (bool, bool) = (columns.take()?, columns.take()?);
        Ok(match (put, known, alike, full) {
            (true, ..) => AcceptOutcome::Accepted,
            (false, false, true, _) => AcceptOutcome::Alike,
            (false, false, false, true) => AcceptOutcome::Full,
            // Another call accepted the same delivery at the same time.
            (false, true, ..) | (false, false, false, false) => AcceptOutcome::Duplicate,
        })
    }

    async fn lease(&self, request: &LeaseRequest) -> Result<Vec<LeasedDelivery>> {
        const OPERATION: &str = "store.lease";
        if request.n == 0 {
            return Ok(Vec::new());
        }
        // If nothing is due, no lock is taken and nothing is written.
        let direction = request.direction.as_str();
        let due = Statement::new(
            "SELECT 1 FROM @.deliveries WHERE direction = $2 AND state = 'waiting' \
             AND due_at <= @asof LIMIT 1",
        )
        .bind(direction);
        if self.database.rows(OPERATION, due).await?.is_empty() {
            return Ok(Vec::new());
        }
        let lock = lock_limits(&[&[b"lease", direction.as_bytes()]]);
        let statement = Statement::new(LEASE)
            .bind(direction)
            .bind(i64::from(request.per_owner))
            .bind(i64::from(request.per_lane))
            .bind(i64::from(request.n))
            .bind(millis(request.lease));
        let rows = self.database.locked(OPERATION, lock, statement).await?;
        let mut leased = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let number: i64 = columns.take()?;
            match leased_row(&mut columns) {
                Ok(delivery) => leased.push(delivery),
                Err(error) => {
                    // An unreadable row must not block the other rows.
                    tracing::error!(
                        operation = OPERATION,
                        error = %error,
                        row = number,
                        "parking an unreadable delivery; correct or delete the row"
                    );
                    let park = Statement::new(
                        "UPDATE @.deliveries SET state = 'parked', error = 'unreadable', lease = 0 \
                         WHERE number = $2 AND state = 'waiting'",
                    )
                    .bind(number);
                    self.database.run(OPERATION, park).await?;
                }
            }
        }
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
        let sql = select(
            "SELECT number, direction, provider, app, endpoint, id, tenant, state, attempts, \
             error, accepted_at, due_at FROM @.deliveries WHERE number > $2",
            &[
                (" AND direction = $3", filter.direction.is_some()),
                (" AND provider = $4", filter.provider.is_some()),
                (" AND tenant = $5", filter.tenant.is_some()),
                (" AND state = $6", filter.state.is_some()),
            ],
            " ORDER BY number LIMIT $7",
        );
        let statement = Statement::new(sql)
            .bind(number_after(OPERATION, after)?)
            .bind(filter.direction.map(Direction::as_str))
            .bind(filter.provider.as_ref().map(ProviderId::as_str))
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.state.map(DeliveryState::as_str))
            .bind(one_more(n));
        let rows = self.database.rows(OPERATION, statement).await?;
        page(OPERATION, &rows, n, |columns| {
            columns.skip(1);
            Ok(DeliveryRecord {
                key: key(columns)?,
                tenant: columns.maybe_tenant()?,
                state: columns.parsed(DeliveryState::parse)?,
                attempts: columns.small_number()?,
                error: columns.take()?,
                accepted_at: columns.time()?,
                due_at: columns.time()?,
            })
        })
    }

    async fn replay(&self, key: &DeliveryKey, tenant: Option<&TenantId>) -> Result<bool> {
        let statement = of_delivery(
            "UPDATE @.deliveries SET state = 'waiting', due_at = @now WHERE row_id = $2 \
             AND state <> 'waiting' AND ($3 IS NULL OR tenant = $3)",
            key,
        )
        .bind(tenant.map(TenantId::as_str));
        Ok(self.database.changed("store.replay", statement).await? == 1)
    }
}
