//! Connections, their sealed credentials and claims.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::cipher::Sealed;
use connector_core::store::{
    AccountRef, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, ConnectionRecord,
    Cursor, Due, End, EndOutcome, EndRequest, Expect, FailOutcome, Failure, Fence, Filter,
    Generation, GrantNumber, NewQuarantine, Page, Patch, PutGrant, PutOutcome, Quarantined,
    Revocation, SideEffects, StateKey, Stored, TimeLeft, TokenStore, UpdateOutcome, Verdict,
    Version, WorkKind,
};
use connector_core::{
    AccountKey, AppKey, Check, ConnectionKey, Error, ErrorKind, ProviderId, Result, Status,
    TenantId,
};

use crate::PostgresStore;
use crate::columns::{
    Columns, digest_of, integer, maybe_integer, number_after, one_more, page, select,
};
use crate::database::{Database, Write};
use crate::effects::{APPLY, effects};
use crate::error::contended;
use crate::record::{self, Credential, Record, connection_columns, record_columns, stored_entry};
use crate::statement::{Statement, millis};
use crate::work::UNREADABLE;
use crate::{subscriptions, work};

/// Number of attempts to change a record that other callers change too. Each failed attempt means
/// that another caller has succeeded.
pub(crate) const ATTEMPTS: usize = 100;

/// Claims a connection if no claim is active and nothing has moved. Otherwise changes nothing.
///
/// The time is read in `WHERE` and `SET`, after a possible wait for the row.
const CLAIM: &str = concat!(
    "UPDATE @.connections SET seq = seq + 1, fence = fence + 1, version = version + 1,
        updated_at = @now, superseded_id = claim_id, superseded_grant = claim_grant,
        superseded_generation = claim_generation, superseded_fence = claim_fence,
        superseded_kind = claim_kind, superseded_until = claim_until, claim_id = $4,
        claim_grant = $5, claim_generation = $6, claim_fence = fence + 1, claim_kind = $7,
        claim_until = @now + $8,
        confirmed = CASE WHEN $9 <= generation THEN greatest(confirmed, $9) ELSE confirmed END,
        a_sealed = CASE WHEN $9 = generation AND flip THEN NULL ELSE a_sealed END,
        b_sealed = CASE WHEN $9 = generation AND NOT flip THEN NULL ELSE b_sealed END
     WHERE tenant = $2 AND id = $3 AND grant_number = $5 AND generation = $6
        AND (status <> 'disconnected' OR $7 = 'exchange')
        AND (claim_id IS NULL OR (claim_until <= @now AND claim_id <> $4))
     RETURNING ",
    record_columns!()
);

/// Makes a credential the current one if nothing has moved, with the side effects. Otherwise changes
/// nothing. The new credential replaces the previous one, and the slots swap their roles.
const COMMIT: &str = concat!(
    "WITH u AS (
        UPDATE @.connections SET seq = seq + 1, generation = generation + 1,
            fence = greatest(fence, $19), failures = 0, rotates = rotates OR $26,
            refreshed_at = @now, updated_at = @now, version = version + 1,
            status_since = CASE WHEN status = $24 AND reason IS NOT DISTINCT FROM $25
                THEN status_since ELSE @now END,
            status = $24, reason = $25, flip = NOT flip,
            a_grant = CASE WHEN flip THEN $17 ELSE a_grant END,
            b_grant = CASE WHEN flip THEN b_grant ELSE $17 END,
            a_generation = CASE WHEN flip THEN generation + 1 ELSE a_generation END,
            b_generation = CASE WHEN flip THEN b_generation ELSE generation + 1 END,
            a_fence = CASE WHEN flip THEN $19 ELSE a_fence END,
            b_fence = CASE WHEN flip THEN b_fence ELSE $19 END,
            a_access = CASE WHEN flip THEN @now + $22 ELSE a_access END,
            b_access = CASE WHEN flip THEN b_access ELSE @now + $22 END,
            a_refresh = CASE WHEN flip THEN @now + $23 ELSE a_refresh END,
            b_refresh = CASE WHEN flip THEN b_refresh ELSE @now + $23 END,
            a_key = CASE WHEN flip THEN $20 ELSE a_key END,
            b_key = CASE WHEN flip THEN b_key ELSE $20 END,
            a_sealed = CASE WHEN flip THEN $21 ELSE a_sealed END,
            b_sealed = CASE WHEN flip THEN b_sealed ELSE $21 END,
            claim_id = CASE WHEN claim_fence = $19 THEN NULL ELSE claim_id END,
            outcomes = substr($27 || outcomes, 1, 136)
        WHERE tenant = $2 AND id = $3 AND grant_number = $17 AND generation = $18
            AND status <> 'disconnected' AND position($16 IN outcomes) = 0
        RETURNING 1
    )",
    effects!(),
    " SELECT 1 FROM u"
);

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, "store.put_grant", message)
}

/// The decision about a change of a record.
enum Decision<T> {
    /// Nothing is written.
    Return(T),
    /// The record is written with the side effects of the call.
    Write(Box<Record>, T),
    /// The record is written without side effects.
    WriteAlone(Box<Record>, T),
}

/// Decides about a new grant of an existing connection.
fn next_grant(
    mut known: Record,
    grant: PutGrant,
    seen: Generation,
) -> Result<Decision<PutOutcome>> {
    let connection = &known.connection;
    if (
        &connection.provider,
        &connection.app,
        &connection.account.key,
    ) != (&grant.provider, &grant.app, &grant.account.key)
    {
        return Err(refused(
            "the connection belongs to another account; store the grant under its own connection",
        ));
    }
    if connection.generation != seen {
        return Ok(Decision::Return(if known.first_is_current(&grant) {
            PutOutcome::Stored
        } else {
            PutOutcome::Moved(Box::new(known.stored()))
        }));
    }
    if grant.generation != seen.next()
        || grant.grant != connection.grant.next()
        || grant.fence == Fence::default()
        || grant.fence > connection.fence
        || known
            .current
            .as_ref()
            .is_some_and(|current| current.fence == grant.fence)
    {
        return Err(refused(
            "grant and generation must be the next numbers, and the fence must be of an unused \
             claim on this connection",
        ));
    }
    known.replace_grant(grant);
    Ok(Decision::Write(Box::new(known), PutOutcome::Stored))
}

/// Decides about a commit that the single statement did not store.
fn decide_commit(mut known: Record, commit: &Commit) -> Decision<CommitOutcome> {
    if let Some(first) = known.outcome_of(commit.claim_id) {
        return Decision::Return(first);
    }
    if commit.grant != known.connection.grant || !known.connection.is_live() {
        return Decision::Return(CommitOutcome::Ended);
    }
    let moved = commit.base != known.connection.generation;
    if let Some(fence) = commit.takes_pending {
        // This outcome is not remembered, because the claim may still produce its own credential.
        let is_there = known.pending.iter().any(|pair| pair.fence == fence);
        if !is_there || moved {
            return if is_there && known.resolve(commit.fence) {
                Decision::WriteAlone(Box::new(known), CommitOutcome::Pending)
            } else {
                Decision::Return(CommitOutcome::Pending)
            };
        }
    }
    known.resolve(commit.fence);
    let now = known.now;
    let credential = |sealed: Sealed, generation, fence| {
        Credential::new(
            sealed,
            commit.grant,
            generation,
            fence,
            commit.expiries,
            now,
        )
    };
    if moved {
        let pair = credential(commit.credential.clone(), commit.base, commit.fence);
        known.add_pending(commit.claim_id, pair);
        return Decision::WriteAlone(Box::new(known), CommitOutcome::Pending);
    }
    let generation = known.connection.generation.next();
    let taken = commit
        .takes_pending
        .and_then(|fence| known.take_pending(fence));
    known.make_current(match taken {
        // The stored bytes may be sealed under a newer key than the caller's bytes.
        Some(pair) => credential(pair.sealed, generation, pair.fence),
        None => credential(commit.credential.clone(), generation, commit.fence),
    });
    known.set_status(commit.status.clone());
    let connection = &mut known.connection;
    connection.generation = generation;
    connection.fence = connection.fence.max(commit.fence);
    connection.failures = 0;
    connection.rotates |= commit.rotates;
    connection.refreshed_at = now;
    known.written();
    known.remember_stored(commit.claim_id);
    Decision::Write(Box::new(known), CommitOutcome::Stored)
}

/// The decision about a failure.
enum Judgement {
    /// The failure is recorded. Contains the status to set.
    Applied(Option<Status>),
    Moved,
    PendingLeft,
    Held(Fence, TimeLeft),
    Ended,
}

fn judge(known: &Record, failure: &Failure) -> Judgement {
    if !known.connection.is_live() {
        return Judgement::Ended;
    }
    if (failure.grant, failure.base) != (known.connection.grant, known.connection.generation) {
        return Judgement::Moved;
    }
    match &failure.verdict {
        Verdict::Later { status } => Judgement::Applied(status.clone()),
        Verdict::GiveUp { .. } if !known.pending.is_empty() => Judgement::PendingLeft,
        Verdict::GiveUp { reason } => match known.standing_beside(failure.fence) {
            Some(other) => Judgement::Held(other.fence, TimeLeft::between(known.now, other.until)),
            None => Judgement::Applied(Some(Status::NeedsReauthorization(*reason))),
        },
    }
}

fn decide_failure(mut known: Record, failure: &Failure) -> Decision<FailOutcome> {
    let resolved = failure.resolves && known.resolve(failure.fence);
    let judgement = judge(&known, failure);
    if let Judgement::Applied(status) = judgement {
        known.count_failure(failure.claim_id);
        if let Some(status) = status {
            known.set_status(status);
        }
        known.written();
        return Decision::Write(Box::new(known), FailOutcome::Applied);
    }
    let outcome = |known: Record| match judgement {
        Judgement::Applied(_) => FailOutcome::Applied,
        Judgement::Moved => FailOutcome::Moved(Box::new(known.stored())),
        Judgement::PendingLeft => FailOutcome::PendingLeft(Box::new(known.stored())),
        Judgement::Held(fence, until) => FailOutcome::Held { fence, until },
        Judgement::Ended => FailOutcome::Ended,
    };
    if resolved {
        let known = Box::new(known);
        return Decision::WriteAlone(known.clone(), outcome(*known));
    }
    Decision::Return(outcome(known))
}

fn decide_update(mut known: Record, at: Version, patch: Patch) -> Decision<UpdateOutcome> {
    let now = known.now;
    let connection = &mut known.connection;
    let revives = !connection.is_live()
        && patch
            .status
            .as_ref()
            .is_some_and(|status| *status != connection.status);
    if connection.version != at || revives {
        return Decision::Return(UpdateOutcome::Moved(Box::new(known.stored())));
    }
    if let Some(label) = patch.label {
        connection.account.label = Some(label);
    }
    if let Some(host) = patch.host {
        connection.account.host = Some(host);
    }
    if let Some(metadata) = patch.metadata {
        connection.metadata = metadata;
    }
    if let Some(error) = patch.check {
        connection.check = Some(Check { at: now, error });
    }
    if let Some(status) = patch.status {
        known.set_status(status);
    }
    known.confirm(patch.confirmed);
    known.written();
    let version = known.connection.version;
    Decision::Write(Box::new(known), UpdateOutcome::Updated(version))
}

const QUEUE: &str = "INSERT INTO @.revocations (tenant, connection, provider, app, account, \
    grant_number, fence, key_id, sealed) VALUES ($2, $3, $4, $5, $6, $7, $8, $9, $10) \
    ON CONFLICT (tenant, connection, fence) DO NOTHING";

/// Like [`QUEUE`], with side effects if the revocation was not queued before.
const QUEUE_WITH_EFFECTS: &str = concat!(
    "WITH u AS (INSERT INTO @.revocations (tenant, connection, provider, app, account, grant_number, \
     fence, key_id, sealed) VALUES ($2, $3, $16, $17, $18, $19, $20, $21, $22) \
     ON CONFLICT (tenant, connection, fence) DO NOTHING RETURNING 1)",
    effects!(),
    " SELECT 1 FROM u"
);

/// Adds the columns of a revocation to a statement that begins with the connection's key.
fn bind_revocation(
    operation: &'static str,
    statement: Statement,
    revocation: &Revocation,
) -> Result<Statement> {
    Ok(statement
        .bind(revocation.provider.as_str())
        .bind(revocation.app.as_str())
        .bind(revocation.account.as_str())
        .bind(integer(operation, revocation.grant.get())?)
        .bind(integer(operation, revocation.fence.get())?)
        .bind_sealed(&revocation.sealed))
}

fn quarantined(columns: &mut Columns<'_>) -> Result<Quarantined> {
    let now = columns.time()?;
    Ok(Quarantined {
        state: StateKey::from_bytes(columns.bytes()?),
        tenant: columns.tenant()?,
        provider: columns.provider()?,
        app: columns.app()?,
        until: TimeLeft::between(now, columns.time()?),
        sealed: columns.sealed()?,
    })
}

impl PostgresStore {
    /// Reads a record.
    async fn record(
        &self,
        operation: &'static str,
        statement: Statement,
    ) -> Result<Option<Record>> {
        record::read(operation, &self.database.rows(operation, statement).await?)
    }

    /// Reads a record, decides, and writes it if no other caller has changed it in the meantime.
    /// Otherwise decides again. Returns `None` if the connection does not exist.
    async fn change<T>(
        &self,
        operation: &'static str,
        key: &ConnectionKey,
        effects: &SideEffects,
        takes: Option<&StateKey>,
        mut decide: impl FnMut(Record) -> Result<Decision<T>> + Send,
    ) -> Result<Option<T>> {
        let alone = SideEffects::none();
        for _ in 0..ATTEMPTS {
            let Some(known) = self.record(operation, record::by_key(key)).await? else {
                return Ok(None);
            };
            let (known, outcome, effects) = match decide(known)? {
                Decision::Return(outcome) => return Ok(Some(outcome)),
                Decision::Write(known, outcome) => (known, outcome, effects),
                Decision::WriteAlone(known, outcome) => (known, outcome, &alone),
            };
            let statement = known.save(operation, effects, takes)?;
            if !self.database.rows(operation, statement).await?.is_empty() {
                return Ok(Some(outcome));
            }
        }
        Err(contended(operation))
    }

    async fn first_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome> {
        const OPERATION: &str = "store.put_grant";
        if grant.grant != GrantNumber::new(1)
            || grant.generation != Generation::new(1)
            || grant.fence != Fence::new(1)
        {
            return Err(refused(
                "grant, generation and fence of a new connection must be 1",
            ));
        }
        let account = AccountRef {
            tenant: grant.key.tenant.clone(),
            provider: grant.provider.clone(),
            app: grant.app.clone(),
            account: grant.account.key.clone(),
        };
        for _ in 0..ATTEMPTS {
            let insert = record::insert(OPERATION, &grant, &effects)?;
            if !self.database.rows(OPERATION, insert).await?.is_empty() {
                return Ok(PutOutcome::Stored);
            }
            let known = self.record(OPERATION, record::by_account(&account)).await?;
            if let Some(known) = known {
                if known.connection.key == grant.key && known.first_is_current(&grant) {
                    return Ok(PutOutcome::Stored);
                }
                return Ok(PutOutcome::Moved(Box::new(known.stored())));
            }
            let known = self.record(OPERATION, record::by_key(&grant.key)).await?;
            if known.is_some() {
                return Err(refused(
                    "the connection belongs to another account; use another connection id",
                ));
            }
            // The other connection was forgotten in the meantime.
        }
        Err(contended(OPERATION))
    }

    /// Ends a connection, in a task of its own.
    async fn end_now(
        self,
        key: ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome> {
        const OPERATION: &str = "store.end";
        let (mut write, rows) = self.database.begin(OPERATION, record::lock(&key)).await?;
        let Some(mut known) = record::read(OPERATION, &rows)? else {
            write.cancel().await;
            return Ok(EndOutcome::Missing);
        };
        // The row was locked before the time was read.
        known.now = write.now;
        // Forgetting also removes the record of a deactivated connection, so it counts as a change.
        let changes = known.connection.is_live() || request.how == End::Forget;
        if changes
            && request
                .at
                .is_some_and(|seen| seen != known.connection.generation)
        {
            write.cancel().await;
            return Ok(EndOutcome::Moved(Box::new(known.stored())));
        }
        let connection = known.connection.clone();
        if changes {
            match request.how {
                End::Deactivate => {
                    known.deactivate();
                    write
                        .rows(known.save(OPERATION, &SideEffects::none(), None)?)
                        .await?;
                }
                End::Forget => {
                    let sql = "DELETE FROM @.connections WHERE tenant = $2 AND id = $3";
                    write.run(Statement::of(sql, &key)).await?;
                }
            }
            // A notification makes work due while it holds the row of its subscription.
            subscriptions::end_all(&mut write, &key, request.unsubscribe.as_ref()).await?;
            write.run(work::clear(&key)).await?;
        }
        let mut queued = false;
        for new in request.revoke {
            let revocation = Revocation {
                key: key.clone(),
                provider: connection.provider.clone(),
                app: connection.app.clone(),
                account: connection.account.key.clone(),
                grant: new.grant,
                fence: new.fence,
                sealed: new.sealed,
            };
            let statement = Statement::of(QUEUE, &key);
            let statement = bind_revocation(OPERATION, statement, &revocation)?;
            queued |= write.run(statement).await? == 1;
        }
        // A repeated call that queues a revocation also schedules the work in its side effects.
        if changes || queued {
            apply(&mut write, &key, &effects).await?;
        }
        write.commit().await?;
        Ok(if changes {
            EndOutcome::Ended
        } else {
            EndOutcome::AlreadyEnded
        })
    }

    /// Runs `statement`, which selects by provider, app, and either account key or host. Returns the
    /// active connections.
    async fn find_live(
        &self,
        operation: &'static str,
        statement: &'static str,
        (provider, app, account): (&ProviderId, &AppKey, &str),
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        let statement = Statement::new(statement)
            .bind(provider.as_str())
            .bind(app.as_str())
            .bind(account)
            .bind(number_after(operation, after)?)
            .bind(one_more(n));
        let rows = self.database.rows(operation, statement).await?;
        page(operation, &rows, n, |columns| {
            columns.skip(1);
            columns.key()
        })
    }
}

/// Writes side effects in a transaction.
pub(crate) async fn apply(
    write: &mut Write,
    key: &ConnectionKey,
    effects: &SideEffects,
) -> Result<()> {
    write
        .run(Statement::with_effects(APPLY, key, effects)?)
        .await?;
    Ok(())
}

#[async_trait]
impl TokenStore for PostgresStore {
    async fn load(&self, key: &ConnectionKey) -> Result<Option<Stored>> {
        let record = self.record("store.load", record::by_key(key)).await?;
        Ok(record.map(Record::stored))
    }

    async fn generation(&self, key: &ConnectionKey) -> Result<Option<Generation>> {
        const OPERATION: &str = "store.generation";
        let sql = "SELECT generation FROM @.connections WHERE tenant = $2 AND id = $3";
        let rows = self
            .database
            .rows(OPERATION, Statement::of(sql, key))
            .await?;
        rows.first()
            .map(|row| Ok(Generation::new(Columns::new(row, OPERATION).number()?)))
            .transpose()
    }

    async fn find(&self, account: &AccountRef) -> Result<Option<ConnectionKey>> {
        const OPERATION: &str = "store.find";
        let statement = Statement::new(
            "SELECT tenant, id FROM @.connections \
             WHERE tenant = $2 AND provider = $3 AND app = $4 AND account = $5",
        )
        .bind(account.tenant.as_str())
        .bind(account.provider.as_str())
        .bind(account.app.as_str())
        .bind(account.account.as_str());
        let rows = self.database.rows(OPERATION, statement).await?;
        rows.first()
            .map(|row| Columns::new(row, OPERATION).key())
            .transpose()
    }

    async fn find_by_account(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        account: &AccountKey,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        const OPERATION: &str = "store.find_by_account";
        let statement = "SELECT number, tenant, id FROM @.connections \
             WHERE provider = $2 AND app = $3 AND account = $4 AND number > $5 \
             AND NOT asserted AND status <> 'disconnected' ORDER BY number LIMIT $6";
        let account = (provider, app, account.as_str());
        self.find_live(OPERATION, statement, account, after, n)
            .await
    }

    async fn find_by_host(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        host: &str,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        const OPERATION: &str = "store.find_by_host";
        let statement = "SELECT number, tenant, id FROM @.connections \
             WHERE provider = $2 AND app = $3 AND host = $4 AND number > $5 \
             AND NOT asserted AND status <> 'disconnected' ORDER BY number LIMIT $6";
        let account = (provider, app, host);
        self.find_live(OPERATION, statement, account, after, n)
            .await
    }

    async fn list(
        &self,
        filter: &Filter,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionRecord>> {
        const OPERATION: &str = "store.list";
        let sql = select(
            concat!(
                "SELECT ",
                connection_columns!(),
                " FROM @.connections WHERE number > $2"
            ),
            &[
                (" AND tenant = $3", filter.tenant.is_some()),
                (" AND provider = $4", filter.provider.is_some()),
                (" AND app = $5", filter.app.is_some()),
                (" AND status = $6", filter.status.is_some()),
            ],
            " ORDER BY number LIMIT $7",
        );
        let statement = Statement::new(sql)
            .bind(number_after(OPERATION, after)?)
            .bind(filter.tenant.as_ref().map(TenantId::as_str))
            .bind(filter.provider.as_ref().map(ProviderId::as_str))
            .bind(filter.app.as_ref().map(AppKey::as_str))
            .bind(filter.status)
            .bind(one_more(n));
        let rows = self.database.rows(OPERATION, statement).await?;
        page(OPERATION, &rows, n, |columns| {
            Ok(record::connection(columns)?.1)
        })
    }

    async fn put_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome> {
        let Expect::At(seen) = grant.expect else {
            return self.first_grant(grant, effects).await;
        };
        let key = grant.key.clone();
        let takes = grant.takes;
        let decide = |known| next_grant(known, grant.clone(), seen);
        let outcome = self
            .change("store.put_grant", &key, &effects, takes.as_ref(), decide)
            .await?;
        Ok(outcome.unwrap_or(PutOutcome::Missing))
    }

    async fn update(
        &self,
        key: &ConnectionKey,
        at: Version,
        patch: Patch,
        effects: SideEffects,
    ) -> Result<UpdateOutcome> {
        let decide = |known| Ok(decide_update(known, at, patch.clone()));
        let outcome = self.change("store.update", key, &effects, None, decide);
        Ok(outcome.await?.unwrap_or(UpdateOutcome::Missing))
    }

    async fn end(
        &self,
        key: &ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome> {
        let ended = self.clone().end_now(key.clone(), request, effects);
        Database::detached("store.end", ended).await
    }

    async fn claim(&self, key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome> {
        const OPERATION: &str = "store.claim";
        for _ in 0..ATTEMPTS {
            let statement = Statement::of(CLAIM, key)
                .bind(request.claim_id.as_bytes())
                .bind(integer(OPERATION, request.grant.get())?)
                .bind(integer(OPERATION, request.seen.get())?)
                .bind(request.kind.as_str())
                .bind(millis(request.hold))
                .bind(maybe_integer(
                    OPERATION,
                    request.confirmed.map(Generation::get),
                )?);
            let granted = self.record(OPERATION, statement).await?;
            let is_new = granted.is_some();
            let known = match granted {
                Some(known) => known,
                None => match self.record(OPERATION, record::by_key(key)).await? {
                    Some(known) => known,
                    None => return Ok(ClaimOutcome::Ended),
                },
            };
            if !known.connection.is_live() && request.kind != ClaimKind::Exchange {
                return Ok(ClaimOutcome::Ended);
            }
            if (request.grant, request.seen)
                != (known.connection.grant, known.connection.generation)
            {
                return Ok(ClaimOutcome::Moved(Box::new(known.stored())));
            }
            let now = known.now;
            let Some(held) = known.claim.clone() else {
                // The other claim was resolved in the meantime.
                continue;
            };
            if is_new || held.claim_id == request.claim_id {
                return Ok(ClaimOutcome::Granted {
                    fence: held.fence,
                    until: TimeLeft::between(now, held.until),
                    superseded: known.superseded().map(|old| old.at(now)),
                    stored: Box::new(known.stored()),
                });
            }
            if now < held.until {
                return Ok(ClaimOutcome::Held {
                    fence: held.fence,
                    until: TimeLeft::between(now, held.until),
                });
            }
        }
        Err(contended(OPERATION))
    }

    async fn commit(
        &self,
        key: &ConnectionKey,
        commit: Commit,
        effects: SideEffects,
    ) -> Result<CommitOutcome> {
        const OPERATION: &str = "store.commit";
        if commit.takes_pending.is_none() {
            let left = |left: Option<Duration>| left.map(millis);
            let statement = Statement::with_effects(COMMIT, key, &effects)?
                .bind(commit.claim_id.as_bytes())
                .bind(integer(OPERATION, commit.grant.get())?)
                .bind(integer(OPERATION, commit.base.get())?)
                .bind(integer(OPERATION, commit.fence.get())?)
                .bind_sealed(&commit.credential)
                .bind(left(commit.expiries.access))
                .bind(left(commit.expiries.refresh))
                .bind(commit.status.as_str())
                .bind(commit.status.reason())
                .bind(commit.rotates)
                .bind(&stored_entry(commit.claim_id));
            if !self.database.rows(OPERATION, statement).await?.is_empty() {
                return Ok(CommitOutcome::Stored);
            }
        }
        let decide = |known| Ok(decide_commit(known, &commit));
        let outcome = self.change(OPERATION, key, &effects, None, decide).await?;
        Ok(outcome.unwrap_or(CommitOutcome::Ended))
    }

    async fn fail(
        &self,
        key: &ConnectionKey,
        failure: Failure,
        effects: SideEffects,
    ) -> Result<FailOutcome> {
        let decide = |known| Ok(decide_failure(known, &failure));
        let outcome = self.change("store.fail", key, &effects, None, decide);
        Ok(outcome.await?.unwrap_or(FailOutcome::Ended))
    }

    async fn take_due(&self, kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>> {
        work::take_due(self, kinds, n, lease).await
    }

    async fn finish(&self, due: &Due, next: Option<Duration>) -> Result<bool> {
        work::finish(self, due, next).await
    }

    async fn quarantine(&self, quarantine: NewQuarantine) -> Result<bool> {
        const OPERATION: &str = "store.quarantine";
        let digest = digest_of(&quarantine.sealed);
        // Replaces an expired quarantined response. A row that another call inserts at the same time
        // is not visible to this statement.
        let statement = || {
            Statement::new(
                "WITH put AS (
                    INSERT INTO @.quarantine AS q (state, tenant, provider, app, available_at,
                        keep_until, first_sealed, key_id, sealed)
                    VALUES ($2, $3, $4, $5, @now + $6, @now + $7, $8, $9, $10)
                    ON CONFLICT (state) DO UPDATE SET tenant = excluded.tenant,
                        provider = excluded.provider, app = excluded.app,
                        available_at = excluded.available_at, keep_until = excluded.keep_until,
                        first_sealed = excluded.first_sealed, key_id = excluded.key_id,
                        sealed = excluded.sealed
                    WHERE q.keep_until <= @now
                    RETURNING true AS same
                )
                SELECT same FROM put UNION ALL
                SELECT first_sealed = $8 FROM @.quarantine
                WHERE state = $2 AND NOT EXISTS (SELECT 1 FROM put)",
            )
            .bind(quarantine.state.as_bytes())
            .bind(quarantine.tenant.as_str())
            .bind(quarantine.provider.as_str())
            .bind(quarantine.app.as_str())
            .bind(millis(quarantine.delay))
            .bind(millis(quarantine.keep_for))
            .bind(&digest)
            .bind_sealed(&quarantine.sealed)
        };
        for _ in 0..ATTEMPTS {
            let rows = self.database.rows(OPERATION, statement()).await?;
            if let Some(row) = rows.first() {
                return Columns::new(row, OPERATION).take();
            }
        }
        Err(contended(OPERATION))
    }

    async fn quarantined(&self, state: &StateKey) -> Result<Option<Quarantined>> {
        const OPERATION: &str = "store.quarantined";
        let statement = Statement::new(
            "SELECT @now, state, tenant, provider, app, keep_until, key_id, sealed \
             FROM @.quarantine WHERE state = $2 AND keep_until > @asof",
        )
        .bind(state.as_bytes());
        let rows = self.database.rows(OPERATION, statement).await?;
        rows.first()
            .map(|row| quarantined(&mut Columns::new(row, OPERATION)))
            .transpose()
    }

    async fn take_quarantined(&self, n: u16, lease: Duration) -> Result<Vec<Quarantined>> {
        const OPERATION: &str = "store.take_quarantined";
        if n == 0 {
            return Ok(Vec::new());
        }
        let statement = Statement::new(
            "WITH due AS MATERIALIZED (
                SELECT number, available_at FROM @.quarantine
                WHERE available_at <= @asof AND keep_until > @asof
                ORDER BY available_at, number LIMIT $2 FOR UPDATE SKIP LOCKED
            ), taken AS (
                UPDATE @.quarantine q SET available_at = @now + $3 FROM due
                WHERE q.number = due.number
                RETURNING @now AS now, q.state, q.tenant, q.provider, q.app, q.keep_until, q.key_id,
                    q.sealed, due.available_at AS was, q.number
            )
            SELECT number, now, state, tenant, provider, app, keep_until, key_id, sealed FROM taken
            ORDER BY was, number",
        )
        .bind(i64::from(n))
        .bind(millis(lease));
        let rows = self.database.rows(OPERATION, statement).await?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let number: i64 = columns.take()?;
            match quarantined(&mut columns) {
                Ok(response) => taken.push(response),
                Err(error) => {
                    // An unreadable row must not block the other rows.
                    tracing::error!(
                        operation = OPERATION,
                        error = %error,
                        row = number,
                        "skipping an unreadable token response for a day; correct or delete the row"
                    );
                    let statement = Statement::new(
                        "UPDATE @.quarantine SET available_at = @now + $3 WHERE number = $2",
                    )
                    .bind(number)
                    .bind(millis(UNREADABLE));
                    self.database.run(OPERATION, statement).await?;
                }
            }
        }
        Ok(taken)
    }

    async fn release(&self, state: &StateKey) -> Result<bool> {
        let statement =
            Statement::new("DELETE FROM @.quarantine WHERE state = $2 AND keep_until > @now")
                .bind(state.as_bytes());
        Ok(self.database.changed("store.release", statement).await? == 1)
    }

    async fn queue_revocation(&self, revocation: Revocation, effects: SideEffects) -> Result<()> {
        const OPERATION: &str = "store.queue_revocation";
        let statement = Statement::with_effects(QUEUE_WITH_EFFECTS, &revocation.key, &effects)?;
        let statement = bind_revocation(OPERATION, statement, &revocation)?;
        self.database.run(OPERATION, statement).await?;
        Ok(())
    }

    async fn revocations(&self, key: &ConnectionKey) -> Result<Vec<Revocation>> {
        const OPERATION: &str = "store.revocations";
        let statement = Statement::of(
            "SELECT tenant, connection, provider, app, account, grant_number, fence, key_id, sealed \
             FROM @.revocations WHERE tenant = $2 AND connection = $3 ORDER BY fence",
            key,
        );
        let rows = self.database.rows(OPERATION, statement).await?;
        rows.iter()
            .map(|row| {
                let mut columns = Columns::new(row, OPERATION);
                Ok(Revocation {
                    key: columns.key()?,
                    provider: columns.provider()?,
                    app: columns.app()?,
                    account: columns.account()?,
                    grant: GrantNumber::new(columns.number()?),
                    fence: Fence::new(columns.number()?),
                    sealed: columns.sealed()?,
                })
            })
            .collect()
    }

    async fn revoked(&self, key: &ConnectionKey, fence: Fence) -> Result<bool> {
        const OPERATION: &str = "store.revoked";
        let statement = Statement::of(
            "DELETE FROM @.revocations WHERE tenant = $2 AND connection = $3 AND fence = $4",
            key,
        )
        .bind(integer(OPERATION, fence.get())?);
        Ok(self.database.changed(OPERATION, statement).await? == 1)
    }
}
