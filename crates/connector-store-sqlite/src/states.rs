//! Connect flows.

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::{
    BeginOutcome, ConnectOutcome, NewState, PutStateOutcome, StateKey, StateStore, StoredState,
};
use connector_core::{Error, ErrorKind, Result};

use crate::SqliteStore;
use crate::columns::Columns;
use crate::error::unreadable;

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

#[async_trait]
impl StateStore for SqliteStore {
    async fn put_state(&self, state: NewState) -> Result<PutStateOutcome> {
        const OPERATION: &str = "store.put_state";
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        let known = sqlx::query(
            "SELECT tenant = ?2 AND provider = ?3 AND app = ?4 AND binding = ?5 FROM states \
             WHERE state = ?1",
        )
        .bind(state.key.as_bytes().as_slice())
        .bind(state.tenant.as_str())
        .bind(state.provider.as_str())
        .bind(state.app.as_str())
        .bind(state.binding.as_slice());
        if let Some(row) = write.rows(known).await?.first() {
            let is_same_flow: bool = Columns::new(row, OPERATION).take()?;
            write.cancel().await;
            return if is_same_flow {
                Ok(PutStateOutcome::Stored)
            } else {
                Err(Error::new(
                    ErrorKind::InvalidInput,
                    OPERATION,
                    "another flow has this key; generate a new state parameter",
                ))
            };
        }
        for (sql, most) in [
            (
                "SELECT count(*) FROM states \
                 WHERE tenant = ?1 AND code IS NULL AND expires_at > ?2",
                StateKey::OPEN_PER_TENANT,
            ),
            (
                "SELECT count(*) FROM states \
                 WHERE tenant = ?1 AND outcome IS NULL AND expires_at > ?2",
                StateKey::UNFINISHED_PER_TENANT,
            ),
        ] {
            let statement = sqlx::query(sql)
                .bind(state.tenant.as_str())
                .bind(now.as_unix_millis());
            let rows = write.rows(statement).await?;
            let row = rows.first().ok_or_else(|| unreadable(OPERATION))?;
            let count = Columns::new(row, OPERATION).number()?;
            if usize::try_from(count).unwrap_or(usize::MAX) >= most {
                write.cancel().await;
                return Ok(PutStateOutcome::TooMany);
            }
        }
        let statement = sqlx::query(
            "INSERT INTO states (state, tenant, provider, app, binding, expires_at, keep_for, \
             key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        )
        .bind(state.key.as_bytes().as_slice())
        .bind(state.tenant.as_str())
        .bind(state.provider.as_str())
        .bind(state.app.as_str())
        .bind(state.binding.as_slice())
        .bind(now.after(state.open_for).as_unix_millis())
        .bind(Timestamp::UNIX_EPOCH.after(state.keep_for).as_unix_millis())
        .bind(state.sealed.key_id().as_bytes().as_slice())
        .bind(state.sealed.bytes().as_ref());
        write.run(statement).await?;
        write.commit().await?;
        Ok(PutStateOutcome::Stored)
    }

    async fn state(&self, key: &StateKey) -> Result<Option<StoredState>> {
        const OPERATION: &str = "store.state";
        let now = self.database.clock.now();
        let statement = || {
            sqlx::query(
                "SELECT tenant, provider, app, key_id, sealed FROM states \
                 WHERE state = ?1 AND expires_at > ?2",
            )
            .bind(key.as_bytes().as_slice())
            .bind(now.as_unix_millis())
        };
        let rows = self.database.read(OPERATION, statement).await?;
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
        const OPERATION: &str = "store.begin";
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        // Binding and code are digests of secrets, so the timing of the comparison reveals nothing
        // useful.
        let statement = sqlx::query(
            "SELECT code, code = ?3, outcome, keep_for, conflict FROM states \
             WHERE state = ?1 AND binding = ?2 AND expires_at > ?4",
        )
        .bind(key.as_bytes().as_slice())
        .bind(binding.as_slice())
        .bind(code.as_slice())
        .bind(now.as_unix_millis());
        let rows = write.rows(statement).await?;
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
            let statement =
                sqlx::query("UPDATE states SET code = ?2, expires_at = ?3 WHERE state = ?1")
                    .bind(key.as_bytes().as_slice())
                    .bind(code.as_slice())
                    .bind(now.as_unix_millis().saturating_add(keep_for));
            write.run(statement).await?;
            write.commit().await?;
            return Ok(BeginOutcome::First);
        }
        if is_same_code != Some(true) {
            if conflict {
                write.cancel().await;
            } else {
                let statement = sqlx::query("UPDATE states SET conflict = 1 WHERE state = ?1")
                    .bind(key.as_bytes().as_slice());
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

    async fn finish_state(&self, key: &StateKey, outcome: ConnectOutcome) -> Result<bool> {
        const OPERATION: &str = "store.finish_state";
        let json = to_json(OPERATION, &outcome)?;
        let mut write = self.database.write(OPERATION).await?;
        let statement = sqlx::query(
            "SELECT outcome FROM states \
             WHERE state = ?1 AND code IS NOT NULL AND expires_at > ?2",
        )
        .bind(key.as_bytes().as_slice())
        .bind(write.now.as_unix_millis());
        let rows = write.rows(statement).await?;
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
        let statement = sqlx::query(
            "UPDATE states SET outcome = ?2, expires_at = min(expires_at, ?3) WHERE state = ?1",
        )
        .bind(key.as_bytes().as_slice())
        .bind(json)
        .bind(write.now.after(StateKey::FINISHED_FOR).as_unix_millis());
        write.run(statement).await?;
        write.commit().await?;
        Ok(true)
    }
}
