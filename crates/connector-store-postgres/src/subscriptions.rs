//! Subscriptions, and channels that must be deleted at their providers.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::provider::subscription::ChannelId;
use connector_core::store::record::{
    CandidateRecord, ChannelRecord, SubscriptionFailureRecord, SubscriptionRecord,
};
use connector_core::store::{
    ChangeSubscriptionOutcome, EndSubscriptionOutcome, Ending, EndingCredential, Fence,
    GrantNumber, NewSubscription, PutSubscriptionOutcome, SideEffects, Subscription,
    SubscriptionChange, SubscriptionId, SubscriptionKey, SubscriptionStore, Version, WorkKind,
};
use connector_core::{ConnectionKey, Error, ErrorKind, Result};
use tokio_postgres::Row;

use crate::PostgresStore;
use crate::columns::{Columns, integer, maybe_integer};
use crate::database::{Database, Write};
use crate::record;
use crate::statement::Statement;
use crate::tokens::apply;

/// The columns that [`read`] reads, in the same order.
macro_rules! columns {
    () => {
        "tenant, connection, id, provider, app, account, account_host, grant_number, version, \
         watch, channel, resource, expires_at, granted, candidate, begun_at, cursor, notified, read, \
         read_at, compared_at, failures, failed_at, error, silent_reads, key_id, sealed, @now"
    };
}

/// The columns that [`read_ending`] reads, in the same order.
macro_rules! ending_columns {
    () => {
        "tenant, connection, provider, app, account, account_host, watch, channel, resource, \
         attempts, grant_number, fence, key_id, sealed"
    };
}

const OF_CONNECTION: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM @.subscriptions WHERE tenant = $2 AND connection = $3 ORDER BY number LIMIT $4"
);
const BY_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM @.subscriptions WHERE tenant = $2 AND connection = $3 AND id = $4"
);
const BY_KEY_LOCKED: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM @.subscriptions WHERE tenant = $2 AND connection = $3 AND id = $4 FOR UPDATE"
);
const BY_CHANNEL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM @.subscriptions WHERE channel = $2 UNION ALL SELECT ",
    columns!(),
    " FROM @.subscriptions WHERE candidate = $2 LIMIT 1"
);
const ENDINGS: &str = concat!(
    "SELECT ",
    ending_columns!(),
    " FROM @.endings WHERE tenant = $2 AND connection = $3 ORDER BY number LIMIT $4"
);

fn by_key(sql: &'static str, key: &SubscriptionKey) -> Statement {
    Statement::of(sql, &key.connection).bind(key.id.as_bytes())
}

fn all_of(connection: &ConnectionKey) -> Statement {
    let most = i64::try_from(SubscriptionId::PER_CONNECTION).unwrap_or(i64::MAX);
    Statement::of(OF_CONNECTION, connection).bind(most)
}

fn read(row: &Row, operation: &'static str) -> Result<SubscriptionRecord> {
    let mut columns = Columns::new(row, operation);
    let connection = columns.key()?;
    let key = SubscriptionKey::new(connection, SubscriptionId::from_bytes(columns.bytes()?));
    let provider = columns.provider()?;
    let app = columns.app()?;
    let account = columns.account()?;
    let account_host = columns.take()?;
    let grant = GrantNumber::new(columns.number()?);
    let version = Version::new(columns.number()?);
    let watch = columns.watch()?;
    let channel = columns.maybe_channel()?;
    let resource: Option<String> = columns.take()?;
    let expires_at = columns.maybe_time()?;
    let granted = columns.maybe_number()?.map(Duration::from_millis);
    let candidate = columns.maybe_channel()?;
    let begun_at = columns.maybe_time()?;
    let cursor = columns.take()?;
    let notified = columns.number()?;
    let read = columns.number()?;
    let read_at = columns.maybe_time()?;
    let compared_at = columns.maybe_time()?;
    let failures = columns.small_number()?;
    let failed_at = columns.maybe_time()?;
    let error: Option<String> = columns.take()?;
    let silent_reads = columns.small_number()?;
    Ok(SubscriptionRecord {
        key,
        provider,
        app,
        account,
        account_host,
        grant,
        version,
        watch,
        channel: channel
            .zip(resource)
            .map(|(channel, resource)| ChannelRecord {
                channel,
                resource,
                expires_at,
                granted,
            }),
        candidate: candidate
            .zip(begun_at)
            .map(|(channel, begun_at)| CandidateRecord { channel, begun_at }),
        secrets: columns.maybe_sealed()?,
        cursor,
        notified,
        read,
        silent_reads,
        read_at,
        compared_at,
        failures: failed_at
            .zip(error)
            .map(|(at, error)| SubscriptionFailureRecord {
                count: failures,
                at,
                error,
            }),
    })
}

/// Reads a subscription as of the time in the last column.
fn read_now(row: &Row, operation: &'static str) -> Result<Subscription> {
    let mut columns = Columns::new(row, operation);
    columns.skip(row.len().saturating_sub(1));
    let now = columns.time()?;
    Ok(read(row, operation)?.at(now))
}

fn read_ending(row: &Row, operation: &'static str) -> Result<Ending> {
    let mut columns = Columns::new(row, operation);
    let connection = columns.key()?;
    let provider = columns.provider()?;
    let app = columns.app()?;
    let account = columns.account()?;
    let account_host = columns.take()?;
    let watch = columns.watch()?;
    let channel = columns.channel()?;
    let resource = columns.take()?;
    let attempts = columns.small_number()?;
    let grant = columns.maybe_number()?;
    let fence = columns.maybe_number()?;
    let sealed = columns.maybe_sealed()?;
    let credential = match (grant, fence, sealed) {
        (Some(grant), Some(fence), Some(sealed)) => Some(EndingCredential {
            grant: GrantNumber::new(grant),
            fence: Fence::new(fence),
            sealed,
        }),
        _ => None,
    };
    Ok(Ending {
        connection,
        provider,
        app,
        account,
        account_host,
        watch,
        channel,
        resource,
        attempts,
        credential,
    })
}

/// Returns the statement that writes a record back.
fn save(record: &SubscriptionRecord, operation: &'static str) -> Result<Statement> {
    let channel = record.channel.as_ref();
    let candidate = record.candidate.as_ref();
    let failures = record.failures.as_ref();
    let granted = channel.and_then(|it| it.granted);
    let granted = granted.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let statement = by_key(
        "UPDATE @.subscriptions SET version = $5, channel = $6, resource = $7, expires_at = $8, \
         candidate = $9, begun_at = $10, cursor = $11, read = $12, read_at = $13, \
         compared_at = $14, failures = $15, failed_at = $16, error = $17, granted = $18, \
         silent_reads = $19, key_id = $20, sealed = $21 WHERE tenant = $2 AND connection = $3 AND id = $4",
        &record.key,
    )
    .bind(integer(operation, record.version.get())?)
    .bind(channel.map(|it| it.channel.as_str()))
    .bind(channel.map(|it| it.resource.as_str()))
    .bind(channel.and_then(|it| it.expires_at))
    .bind(candidate.map(|it| it.channel.as_str()))
    .bind(candidate.map(|it| it.begun_at))
    .bind(record.cursor.as_deref())
    .bind(integer(operation, record.read)?)
    .bind(record.read_at)
    .bind(record.compared_at)
    .bind(failures.map_or(0, |it| i64::from(it.count)))
    .bind(failures.map(|it| it.at))
    .bind(failures.map(|it| it.error.as_str()))
    .bind(maybe_integer(operation, granted)?)
    .bind(i64::from(record.silent_reads));
    Ok(statement.bind_maybe_sealed(record.secrets.as_ref()))
}

fn insert_ending(ending: &Ending, operation: &'static str) -> Result<Statement> {
    let copy = ending.credential.as_ref();
    let statement = Statement::of(
        "INSERT INTO @.endings (tenant, connection, provider, app, account, account_host, watch, \
         channel, resource, attempts, grant_number, fence, key_id, sealed) \
         VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) \
         ON CONFLICT (tenant, connection, channel) DO NOTHING",
        &ending.connection,
    )
    .bind(ending.provider.as_str())
    .bind(ending.app.as_str())
    .bind(ending.account.as_str())
    .bind(ending.account_host.as_deref())
    .bind(ending.watch.as_str())
    .bind(ending.channel.as_str())
    .bind(ending.resource.as_deref())
    .bind(i64::from(ending.attempts))
    .bind(maybe_integer(operation, copy.map(|copy| copy.grant.get()))?)
    .bind(maybe_integer(operation, copy.map(|copy| copy.fence.get()))?);
    Ok(statement.bind_maybe_sealed(copy.map(|copy| &copy.sealed)))
}

async fn queue(write: &mut Write, endings: &[Ending]) -> Result<()> {
    for ending in endings {
        let statement = insert_ending(ending, write.operation())?;
        write.run(statement).await?;
    }
    Ok(())
}

/// Ends all subscriptions of a connection that is being disconnected.
pub(crate) async fn end_all(
    write: &mut Write,
    connection: &ConnectionKey,
    credential: Option<&EndingCredential>,
) -> Result<()> {
    let operation = write.operation();
    let Some(credential) = credential else {
        // Keeps endings that already have a credential copy, from an earlier end of the connection.
        for sql in [
            "DELETE FROM @.subscriptions WHERE tenant = $2 AND connection = $3",
            "DELETE FROM @.endings WHERE tenant = $2 AND connection = $3 AND sealed IS NULL",
        ] {
            write.run(Statement::of(sql, connection)).await?;
        }
        return Ok(());
    };
    let statement = Statement::of(
        "UPDATE @.endings SET grant_number = $4, fence = $5, key_id = $6, sealed = $7 \
         WHERE tenant = $2 AND connection = $3 AND sealed IS NULL",
        connection,
    )
    .bind(integer(operation, credential.grant.get())?)
    .bind(integer(operation, credential.fence.get())?);
    write.run(statement.bind_sealed(&credential.sealed)).await?;
    let rows = write.rows(all_of(connection)).await?;
    if rows.is_empty() {
        return Ok(());
    }
    for row in &rows {
        let mut endings = read(row, operation)?.endings();
        for ending in &mut endings {
            ending.credential = Some(credential.clone());
        }
        queue(write, &endings).await?;
    }
    let statement = Statement::of(
        "DELETE FROM @.subscriptions WHERE tenant = $2 AND connection = $3",
        connection,
    );
    write.run(statement).await?;
    Ok(())
}

/// Changes of the subscriptions of a connection lock the row of the connection, so that they run one
/// after the other, and none of them outlives the end of the connection.
impl PostgresStore {
    async fn put_subscription_now(
        self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome> {
        const OPERATION: &str = "store.put_subscription";
        let connection = new.key.connection.clone();
        let lock = record::lock(&connection);
        let (mut write, owner) = self.database.begin(OPERATION, lock).await?;
        let owner = record::read(OPERATION, &owner)?;
        let new = owner.and_then(|it| SubscriptionRecord::new(new, &it.connection));
        let Some(new) = new else {
            write.cancel().await;
            return Ok(PutSubscriptionOutcome::Ended);
        };
        let rows = write.rows(all_of(&connection)).await?;
        for row in &rows {
            let known = read(row, OPERATION)?;
            let outcome = match (known.key == new.key, known.watch == new.watch) {
                (true, true) => Ok(PutSubscriptionOutcome::Stored),
                (false, true) => {
                    let known = Box::new(known.at(write.now));
                    Ok(PutSubscriptionOutcome::Exists(known))
                }
                (true, false) => Err(Error::new(
                    ErrorKind::InvalidInput,
                    OPERATION,
                    "another subscription has this id; generate a new id",
                )),
                (false, false) => continue,
            };
            write.cancel().await;
            return outcome;
        }
        if rows.len() >= SubscriptionId::PER_CONNECTION {
            write.cancel().await;
            return Ok(PutSubscriptionOutcome::TooMany);
        }
        let statement = by_key(
            "INSERT INTO @.subscriptions (tenant, connection, id, provider, app, account, \
             account_host, grant_number, version, watch) \
             VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            &new.key,
        )
        .bind(new.provider.as_str())
        .bind(new.app.as_str())
        .bind(new.account.as_str())
        .bind(new.account_host.as_deref())
        .bind(integer(OPERATION, new.grant.get())?)
        .bind(integer(OPERATION, new.version.get())?)
        .bind(new.watch.as_str());
        write.run(statement).await?;
        apply(&mut write, &connection, &effects).await?;
        write.commit().await?;
        Ok(PutSubscriptionOutcome::Stored)
    }

    async fn change_subscription_now(
        self,
        key: SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome> {
        const OPERATION: &str = "store.change_subscription";
        let lock = record::lock(&key.connection);
        let (mut write, _) = self.database.begin(OPERATION, lock).await?;
        // A reseal locks only the subscription, and its bytes are written back.
        let rows = write.rows(by_key(BY_KEY_LOCKED, &key)).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(ChangeSubscriptionOutcome::Missing);
        };
        let mut known = read(row, OPERATION)?;
        if known.version != at {
            let moved = Box::new(known.at(write.now));
            write.cancel().await;
            return Ok(ChangeSubscriptionOutcome::Moved(moved));
        }
        let replaced = match known.change(change, write.now) {
            Ok(replaced) => replaced,
            Err(refused) => {
                write.cancel().await;
                return Err(refused);
            }
        };
        write.run(save(&known, OPERATION)?).await?;
        queue(&mut write, &replaced).await?;
        apply(&mut write, &key.connection, &effects).await?;
        write.commit().await?;
        Ok(ChangeSubscriptionOutcome::Changed(known.version))
    }

    async fn end_subscription_now(
        self,
        key: SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome> {
        const OPERATION: &str = "store.end_subscription";
        let lock = record::lock(&key.connection);
        let (mut write, _) = self.database.begin(OPERATION, lock).await?;
        let rows = write.rows(by_key(BY_KEY, &key)).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(EndSubscriptionOutcome::Missing);
        };
        let endings = read(row, OPERATION)?.endings();
        let statement = by_key(
            "DELETE FROM @.subscriptions WHERE tenant = $2 AND connection = $3 AND id = $4",
            &key,
        );
        write.run(statement).await?;
        queue(&mut write, &endings).await?;
        apply(&mut write, &key.connection, &effects).await?;
        write.commit().await?;
        Ok(EndSubscriptionOutcome::Ended)
    }
}

#[async_trait]
impl SubscriptionStore for PostgresStore {
    async fn put_subscription(
        &self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome> {
        let put = self.clone().put_subscription_now(new, effects);
        Database::detached("store.put_subscription", put).await
    }

    async fn subscriptions(&self, connection: &ConnectionKey) -> Result<Vec<Subscription>> {
        const OPERATION: &str = "store.subscriptions";
        let rows = self.database.rows(OPERATION, all_of(connection)).await?;
        rows.iter().map(|row| read_now(row, OPERATION)).collect()
    }

    async fn subscription_by_channel(&self, channel: &ChannelId) -> Result<Option<Subscription>> {
        const OPERATION: &str = "store.subscription_by_channel";
        let statement = Statement::new(BY_CHANNEL).bind(channel.as_str());
        let rows = self.database.rows(OPERATION, statement).await?;
        rows.first().map(|row| read_now(row, OPERATION)).transpose()
    }

    async fn notify_subscription(&self, channel: &ChannelId) -> Result<bool> {
        const OPERATION: &str = "store.notify_subscription";
        // The same side effect as `SubscriptionRecord::due_now`.
        let statement = Statement::new(
            "WITH noticed AS (
                UPDATE @.subscriptions SET notified = notified + 1
                WHERE channel = $2 OR candidate = $2 RETURNING tenant, connection
            ), work_added AS (
                INSERT INTO @.work (tenant, connection, kind, due_at)
                SELECT DISTINCT tenant, connection, $3, @now FROM noticed
                ON CONFLICT (tenant, connection, kind)
                DO UPDATE SET due_at = excluded.due_at, leased = false
            )
            SELECT 1 FROM noticed",
        )
        .bind(channel.as_str())
        .bind(WorkKind::Subscriptions.as_str());
        Ok(!self.database.rows(OPERATION, statement).await?.is_empty())
    }

    async fn change_subscription(
        &self,
        key: &SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome> {
        let changed = self
            .clone()
            .change_subscription_now(key.clone(), at, change, effects);
        Database::detached("store.change_subscription", changed).await
    }

    async fn end_subscription(
        &self,
        key: &SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome> {
        let ended = self.clone().end_subscription_now(key.clone(), effects);
        Database::detached("store.end_subscription", ended).await
    }

    async fn endings(&self, connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>> {
        const OPERATION: &str = "store.endings";
        let statement = Statement::of(ENDINGS, connection).bind(i64::from(n.max(1)));
        let rows = self.database.rows(OPERATION, statement).await?;
        rows.iter().map(|row| read_ending(row, OPERATION)).collect()
    }

    async fn ending_failed(
        &self,
        connection: &ConnectionKey,
        channel: &ChannelId,
    ) -> Result<Option<u32>> {
        const OPERATION: &str = "store.ending_failed";
        let statement = Statement::of(
            "UPDATE @.endings SET attempts = least(attempts + 1, 4294967295) \
             WHERE tenant = $2 AND connection = $3 AND channel = $4 RETURNING attempts",
            connection,
        )
        .bind(channel.as_str());
        let rows = self.database.rows(OPERATION, statement).await?;
        rows.first()
            .map(|row| Columns::new(row, OPERATION).small_number())
            .transpose()
    }

    async fn ending_done(&self, connection: &ConnectionKey, channel: &ChannelId) -> Result<bool> {
        let statement = Statement::of(
            "DELETE FROM @.endings WHERE tenant = $2 AND connection = $3 AND channel = $4",
            connection,
        )
        .bind(channel.as_str());
        let removed = self.database.changed("store.ending_done", statement);
        Ok(removed.await? == 1)
    }
}
