//! Connect flows.

use async_trait::async_trait;
use connector_core::store::{
    BeginOutcome, ConnectOutcome, NewState, PutStateOutcome, StateKey, StateStore, StoredState,
};
use connector_core::{Error, ErrorKind, Result};

use crate::PostgresStore;
use crate::columns::{Columns, digest};
use crate::database::Database;
use crate::error::unreadable;
use crate::statement::{Statement, millis};

/// Returns the statement that locks the rows for limits over the given sets of rows. A row may stand
/// for several sets. Rows are locked in one order, so that no two transactions wait for each other.
pub(crate) fn lock_limits(sets: &[&[&[u8]]]) -> Statement {
    let mut numbers: Vec<i64> = sets.iter().map(|set| i64::from(digest(set)[0])).collect();
    numbers.sort_unstable();
    Statement::new("SELECT number FROM @.locks WHERE number = ANY ($2) ORDER BY number FOR UPDATE")
        .bind(numbers)
}

fn to_json(operation: &'static str, outcome: &ConnectOutcome) -> Result<String> {
    serde_json::to_string(outcome).map_err(|cause| {
        Error::new(
            ErrorKind::Bug,
            operation,
            "the outcome of a flow could not be written as JSON; please report it",
        )
        .with_source(cause)
    })
}

/// Inserts a flow if the tenant's limits allow it. Runs with the lock of the tenant's flows.
const PUT: &str = "WITH known AS (
        SELECT tenant = $3 AND provider = $4 AND app = $5 AND binding = $6 AS same FROM @.states
        WHERE state = $2
    ), put AS (
        INSERT INTO @.states (state, tenant, provider, app, binding, expires_at, keep_for, key_id,
            sealed)
        SELECT $2, $3, $4, $5, $6, @now + $7, $8, $9, $10
        WHERE NOT EXISTS (SELECT 1 FROM known)
            AND $11 > (SELECT count(*) FROM @.states
                WHERE tenant = $3 AND code IS NULL AND expires_at > @asof)
            AND $12 > (SELECT count(*) FROM @.states
                WHERE tenant = $3 AND outcome IS NULL AND expires_at > @asof)
        ON CONFLICT (state) DO NOTHING
        RETURNING 1
    )
    SELECT (SELECT same FROM known), EXISTS (SELECT 1 FROM put)";

impl PostgresStore {
    async fn begin_now(
        self,
        key: StateKey,
        binding: [u8; 32],
        code: [u8; 32],
    ) -> Result<BeginOutcome> {
        const OPERATION: &str = "store.begin";
        // Binding and code are digests of secrets, so the timing of the comparison reveals nothing
        // useful.
        let lock = Statement::new(
            "SELECT code, code = $4, outcome, keep_for, conflict FROM @.states \
             WHERE state = $2 AND binding = $3 AND expires_at > @now FOR UPDATE",
        )
        .bind(key.as_bytes())
        .bind(&binding)
        .bind(&code);
        let (mut write, rows) = self.database.begin(OPERATION, lock).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(BeginOutcome::Unknown);
        };
        let mut columns = Columns::new(row, OPERATION);
        let known_code: Option<&[u8]> = columns.take()?;
        let is_same_code: Option<bool> = columns.take()?;
        let outcome: Option<&str> = columns.take()?;
        let keep_for: i64 = columns.take()?;
        let conflict: bool = columns.take()?;
        if known_code.is_none() {
            let statement = Statement::new(
                "UPDATE @.states SET code = $3, expires_at = @now + $4 WHERE state = $2",
            )
            .bind(key.as_bytes())
            .bind(&code)
            .bind(keep_for);
            write.run(statement).await?;
            write.commit().await?;
            return Ok(BeginOutcome::First);
        }
        if is_same_code != Some(true) {
            if conflict {
                write.cancel().await;
            } else {
                let statement =
                    Statement::new("UPDATE @.states SET conflict = true WHERE state = $2")
                        .bind(key.as_bytes());
                write.run(statement).await?;
                write.commit().await?;
            }
            return Ok(BeginOutcome::Conflict { first: !conflict });
        }
        write.cancel().await;
        match outcome {
            None => Ok(BeginOutcome::InProgress),
            Some(json) => serde_json::from_str(json)
                .map(BeginOutcome::Done)
                .map_err(|_| unreadable(OPERATION)),
        }
    }

    async fn finish_now(self, key: StateKey, outcome: ConnectOutcome) -> Result<bool> {
        const OPERATION: &str = "store.finish_state";
        let json = to_json(OPERATION, &outcome)?;
        let lock = Statement::new(
            "SELECT outcome FROM @.states \
             WHERE state = $2 AND code IS NOT NULL AND expires_at > @now FOR UPDATE",
        )
        .bind(key.as_bytes());
        let (mut write, rows) = self.database.begin(OPERATION, lock).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(false);
        };
        let known: Option<&str> = Columns::new(row, OPERATION).take()?;
        if let Some(known) = known {
            write.cancel().await;
            let known: ConnectOutcome =
                serde_json::from_str(known).map_err(|_| unreadable(OPERATION))?;
            return Ok(known == outcome);
        }
        let statement = Statement::new(
            "UPDATE @.states SET outcome = $3, expires_at = least(expires_at, @now + $4) \
             WHERE state = $2",
        )
        .bind(key.as_bytes())
        .bind(json.as_str())
        .bind(millis(StateKey::FINISHED_FOR));
        write.run(statement).await?;
        write.commit().await?;
        Ok(true)
    }
}

#[async_trait]
impl StateStore for PostgresStore {
    async fn put_state(&self, state: NewState) -> Result<PutStateOutcome> {
        const OPERATION: &str = "store.put_state";
        let most = |limit: usize| i64::try_from(limit).unwrap_or(i64::MAX);
        let put = Statement::new(PUT)
            .bind(state.key.as_bytes())
            .bind(state.tenant.as_str())
            .bind(state.provider.as_str())
            .bind(state.app.as_str())
            .bind(&state.binding)
            .bind(millis(state.open_for))
            .bind(millis(state.keep_for))
            .bind_sealed(&state.sealed)
            .bind(most(StateKey::OPEN_PER_TENANT))
            .bind(most(StateKey::UNFINISHED_PER_TENANT));
        let lock = lock_limits(&[&[b"states", state.tenant.as_str().as_bytes()]]);
        let rows = self.database.locked(OPERATION, lock, put).await?;
        let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
        let mut columns = Columns::new(row, OPERATION);
        let (known, put): (Option<bool>, bool) = (columns.take()?, columns.take()?);
        match known {
            Some(true) => Ok(PutStateOutcome::Stored),
            Some(false) => Err(Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "another flow has this key; generate a new state parameter",
            )),
            None if put => Ok(PutStateOutcome::Stored),
            None => Ok(PutStateOutcome::TooMany),
        }
    }

    async fn state(&self, key: &StateKey) -> Result<Option<StoredState>> {
        const OPERATION: &str = "store.state";
        let statement = Statement::new(
            "SELECT tenant, provider, app, key_id, sealed FROM @.states \
             WHERE state = $2 AND expires_at > @asof",
        )
        .bind(key.as_bytes());
        let rows = self.database.rows(OPERATION, statement).await?;
        let Some(row) = rows.first() else {
            return Ok(None);
        };
        let mut columns = Columns::new(row, OPERATION);
        Ok(Some(StoredState {
            tenant: columns.tenant()?,
            provider: columns.provider()?,
            app: columns.app()?,
            sealed: columns.sealed()?,
        }))
    }

    async fn begin(
        &self,
        key: &StateKey,
        binding: &[u8; 32],
        code: &[u8; 32],
    ) -> Result<BeginOutcome> {
        let begun = self.clone().begin_now(*key, *binding, *code);
        Database::detached("store.begin", begun).await
    }

    async fn finish_state(&self, key: &StateKey, outcome: ConnectOutcome) -> Result<bool> {
        let finished = self.clone().finish_now(*key, outcome);
        Database::detached("store.finish_state", finished).await
    }
}
