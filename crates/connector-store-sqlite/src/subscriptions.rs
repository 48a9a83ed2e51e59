//! Subscriptions, and channels that must be deleted at their providers.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::Sealed;
use connector_core::clock::Timestamp;
use connector_core::provider::subscription::ChannelId;
use connector_core::store::record::{
    CandidateRecord, ChannelRecord, SubscriptionFailureRecord, SubscriptionRecord,
};
use connector_core::store::{
    ChangeSubscriptionOutcome, EndSubscriptionOutcome, Ending, EndingCredential, Fence,
    GrantNumber, NewSubscription, PutSubscriptionOutcome, SideEffects, Subscription,
    SubscriptionChange, SubscriptionId, SubscriptionKey, SubscriptionStore, Version,
};
use connector_core::{ConnectionKey, Error, ErrorKind, Result};
use sqlx::sqlite::SqliteRow;

use crate::SqliteStore;
use crate::columns::{Columns, integer, maybe_integer};
use crate::database::{Statement, Write, of_connection};
use crate::{record, work};

/// The columns that [`read`] reads, in the same order.
macro_rules! columns {
    () => {
        "tenant, connection, id, provider, app, account, account_host, grant_number, version, \
         watch, channel, resource, expires_at, granted, candidate, begun_at, cursor, notified, \"read\", \
         read_at, compared_at, failures, failed_at, error, silent_reads, key_id, sealed"
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
    " FROM subscriptions WHERE tenant = ?1 AND connection = ?2 ORDER BY number LIMIT ?3"
);
const BY_KEY: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions WHERE tenant = ?1 AND connection = ?2 AND id = ?3"
);
const BY_CHANNEL: &str = concat!(
    "SELECT ",
    columns!(),
    " FROM subscriptions WHERE channel = ?1 UNION ALL SELECT ",
    columns!(),
    " FROM subscriptions WHERE candidate = ?1 LIMIT 1"
);
const ENDINGS: &str = concat!(
    "SELECT ",
    ending_columns!(),
    " FROM endings WHERE tenant = ?1 AND connection = ?2 ORDER BY number LIMIT ?3"
);

fn by_key(sql: &'static str, key: &SubscriptionKey) -> Statement {
    of_connection(sql, &key.connection).bind(key.id.as_bytes().as_slice())
}

fn all_of(connection: &ConnectionKey) -> Statement {
    let most = i64::try_from(SubscriptionId::PER_CONNECTION).unwrap_or(i64::MAX);
    of_connection(OF_CONNECTION, connection).bind(most)
}

fn read(row: &SqliteRow, operation: &'static str) -> Result<SubscriptionRecord> {
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

fn read_ending(row: &SqliteRow, operation: &'static str) -> Result<Ending> {
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

fn bind_sealed(statement: Statement, sealed: Option<&Sealed>) -> Statement {
    statement
        .bind(sealed.map(|it| it.key_id().as_bytes().to_vec()))
        .bind(sealed.map(|it| it.bytes().as_ref()))
}

/// Returns the statement that writes a record back.
fn save(record: &SubscriptionRecord, operation: &'static str) -> Result<Statement> {
    let channel = record.channel.as_ref();
    let candidate = record.candidate.as_ref();
    let failures = record.failures.as_ref();
    let granted = channel.and_then(|it| it.granted);
    let granted = granted.map(|it| u64::try_from(it.as_millis()).unwrap_or(u64::MAX));
    let statement = by_key(
        "UPDATE subscriptions SET version = ?4, channel = ?5, resource = ?6, expires_at = ?7, \
         candidate = ?8, begun_at = ?9, cursor = ?10, \"read\" = ?11, read_at = ?12, \
         compared_at = ?13, failures = ?14, failed_at = ?15, error = ?16, granted = ?17, \
         silent_reads = ?18, key_id = ?19, sealed = ?20 WHERE tenant = ?1 AND connection = ?2 AND id = ?3",
        &record.key,
    )
    .bind(integer(operation, record.version.get())?)
    .bind(channel.map(|it| it.channel.as_str()))
    .bind(channel.map(|it| it.resource.clone()))
    .bind(
        channel
            .and_then(|it| it.expires_at)
            .map(Timestamp::as_unix_millis),
    )
    .bind(candidate.map(|it| it.channel.as_str()))
    .bind(candidate.map(|it| it.begun_at.as_unix_millis()))
    .bind(record.cursor.clone())
    .bind(integer(operation, record.read)?)
    .bind(record.read_at.map(Timestamp::as_unix_millis))
    .bind(record.compared_at.map(Timestamp::as_unix_millis))
    .bind(failures.map_or(0, |it| i64::from(it.count)))
    .bind(failures.map(|it| it.at.as_unix_millis()))
    .bind(failures.map(|it| it.error.clone()))
    .bind(maybe_integer(operation, granted)?)
    .bind(i64::from(record.silent_reads));
    Ok(bind_sealed(statement, record.secrets.as_ref()))
}

fn insert_ending(ending: &Ending, operation: &'static str) -> Result<Statement> {
    let copy = ending.credential.as_ref();
    let statement = of_connection(
        "INSERT INTO endings (tenant, connection, provider, app, account, account_host, watch, \
         channel, resource, attempts, grant_number, fence, key_id, sealed) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
         ON CONFLICT (tenant, connection, channel) DO NOTHING",
        &ending.connection,
    )
    .bind(ending.provider.as_str())
    .bind(ending.app.as_str())
    .bind(ending.account.as_str())
    .bind(ending.account_host.clone())
    .bind(ending.watch.as_str())
    .bind(ending.channel.as_str())
    .bind(ending.resource.clone())
    .bind(i64::from(ending.attempts))
    .bind(maybe_integer(operation, copy.map(|copy| copy.grant.get()))?)
    .bind(maybe_integer(operation, copy.map(|copy| copy.fence.get()))?);
    Ok(bind_sealed(statement, copy.map(|copy| &copy.sealed)))
}

async fn queue(write: &mut Write<'_>, endings: &[Ending]) -> Result<()> {
    for ending in endings {
        let statement = insert_ending(ending, write.operation())?;
        write.run(statement).await?;
    }
    Ok(())
}

/// Ends all subscriptions of a connection that is being disconnected.
pub(crate) async fn end_all(
    write: &mut Write<'_>,
    connection: &ConnectionKey,
    credential: Option<&EndingCredential>,
) -> Result<()> {
    let operation = write.operation();
    let Some(credential) = credential else {
        // Keeps endings that already have a credential copy, from an earlier end of the connection.
        for sql in [
            "DELETE FROM subscriptions WHERE tenant = ?1 AND connection = ?2",
            "DELETE FROM endings WHERE tenant = ?1 AND connection = ?2 AND sealed IS NULL",
        ] {
            write.run(of_connection(sql, connection)).await?;
        }
        return Ok(());
    };
    let statement = of_connection(
        "UPDATE endings SET grant_number = ?3, fence = ?4, key_id = ?5, sealed = ?6 \
         WHERE tenant = ?1 AND connection = ?2 AND sealed IS NULL",
        connection,
    )
    .bind(integer(operation, credential.grant.get())?)
    .bind(integer(operation, credential.fence.get())?);
    write
        .run(bind_sealed(statement, Some(&credential.sealed)))
        .await?;
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
    let statement = of_connection(
        "DELETE FROM subscriptions WHERE tenant = ?1 AND connection = ?2",
        connection,
    );
    write.run(statement).await?;
    Ok(())
}

#[async_trait]
impl SubscriptionStore for SqliteStore {
    async fn put_subscription(
        &self,
        new: NewSubscription,
        effects: SideEffects,
    ) -> Result<PutSubscriptionOutcome> {
        const OPERATION: &str = "store.put_subscription";
        let mut write = self.database.write(OPERATION).await?;
        let connection = new.key.connection.clone();
        let owner = record::by_key(&mut write, &connection).await?;
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
            "INSERT INTO subscriptions (tenant, connection, id, provider, app, account, \
             account_host, grant_number, version, watch) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
            &new.key,
        )
        .bind(new.provider.as_str())
        .bind(new.app.as_str())
        .bind(new.account.as_str())
        .bind(new.account_host.clone())
        .bind(integer(OPERATION, new.grant.get())?)
        .bind(integer(OPERATION, new.version.get())?)
        .bind(new.watch.as_str());
        write.run(statement).await?;
        work::apply(&mut write, &connection, &effects).await?;
        write.commit().await?;
        Ok(PutSubscriptionOutcome::Stored)
    }

    async fn subscriptions(&self, connection: &ConnectionKey) -> Result<Vec<Subscription>> {
        const OPERATION: &str = "store.subscriptions";
        let now = self.database.clock.now();
        let rows = self.database.read(OPERATION, || all_of(connection)).await?;
        let read = |row| read(row, OPERATION).map(|record| record.at(now));
        rows.iter().map(read).collect()
    }

    async fn subscription_by_channel(&self, channel: &ChannelId) -> Result<Option<Subscription>> {
        const OPERATION: &str = "store.subscription_by_channel";
        let now = self.database.clock.now();
        let statement = || sqlx::query(BY_CHANNEL).bind(channel.as_str());
        let rows = self.database.read(OPERATION, statement).await?;
        let found = rows.first().map(|row| read(row, OPERATION)).transpose()?;
        Ok(found.map(|record| record.at(now)))
    }

    async fn notify_subscription(&self, channel: &ChannelId) -> Result<bool> {
        const OPERATION: &str = "store.notify_subscription";
        let mut write = self.database.write(OPERATION).await?;
        let statement = sqlx::query(
            "UPDATE subscriptions SET notified = notified + 1 WHERE number IN (\
             SELECT number FROM subscriptions WHERE channel = ?1 UNION ALL \
             SELECT number FROM subscriptions WHERE candidate = ?1) \
             RETURNING tenant, connection",
        )
        .bind(channel.as_str());
        let rows = write.rows(statement).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(false);
        };
        let connection = Columns::new(row, OPERATION).key()?;
        work::apply(&mut write, &connection, &SubscriptionRecord::due_now()).await?;
        write.commit().await?;
        Ok(true)
    }

    async fn change_subscription(
        &self,
        key: &SubscriptionKey,
        at: Version,
        change: SubscriptionChange,
        effects: SideEffects,
    ) -> Result<ChangeSubscriptionOutcome> {
        const OPERATION: &str = "store.change_subscription";
        let mut write = self.database.write(OPERATION).await?;
        let rows = write.rows(by_key(BY_KEY, key)).await?;
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
        work::apply(&mut write, &key.connection, &effects).await?;
        write.commit().await?;
        Ok(ChangeSubscriptionOutcome::Changed(known.version))
    }

    async fn end_subscription(
        &self,
        key: &SubscriptionKey,
        effects: SideEffects,
    ) -> Result<EndSubscriptionOutcome> {
        const OPERATION: &str = "store.end_subscription";
        let mut write = self.database.write(OPERATION).await?;
        let rows = write.rows(by_key(BY_KEY, key)).await?;
        let Some(row) = rows.first() else {
            write.cancel().await;
            return Ok(EndSubscriptionOutcome::Missing);
        };
        let endings = read(row, OPERATION)?.endings();
        let statement = by_key(
            "DELETE FROM subscriptions WHERE tenant = ?1 AND connection = ?2 AND id = ?3",
            key,
        );
        write.run(statement).await?;
        queue(&mut write, &endings).await?;
        work::apply(&mut write, &key.connection, &effects).await?;
        write.commit().await?;
        Ok(EndSubscriptionOutcome::Ended)
    }

    async fn endings(&self, connection: &ConnectionKey, n: u16) -> Result<Vec<Ending>> {
        const OPERATION: &str = "store.endings";
        let statement = || of_connection(ENDINGS, connection).bind(i64::from(n.max(1)));
        let rows = self.database.read(OPERATION, statement).await?;
        rows.iter().map(|row| read_ending(row, OPERATION)).collect()
    }

    async fn ending_failed(
        &self,
        connection: &ConnectionKey,
        channel: &ChannelId,
    ) -> Result<Option<u32>> {
        const OPERATION: &str = "store.ending_failed";
        let mut write = self.database.write(OPERATION).await?;
        let statement = of_connection(
            "UPDATE endings SET attempts = min(attempts + 1, 4294967295) \
             WHERE tenant = ?1 AND connection = ?2 AND channel = ?3 RETURNING attempts",
            connection,
        )
        .bind(channel.as_str());
        let rows = write.rows(statement).await?;
        let attempts = match rows.first() {
            Some(row) => Some(Columns::new(row, OPERATION).small_number()?),
            None => None,
        };
        write.commit().await?;
        Ok(attempts)
    }

    async fn ending_done(&self, connection: &ConnectionKey, channel: &ChannelId) -> Result<bool> {
        const OPERATION: &str = "store.ending_done";
        let mut write = self.database.write(OPERATION).await?;
        let statement = of_connection(
            "DELETE FROM endings WHERE tenant = ?1 AND connection = ?2 AND channel = ?3",
            connection,
        )
        .bind(channel.as_str());
        let removed = write.run(statement).await?;
        write.commit().await?;
        Ok(removed == 1)
    }
}
