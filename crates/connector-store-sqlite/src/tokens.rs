//! Connections, their sealed credentials and claims.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
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

use crate::SqliteStore;
use crate::columns::{Columns, digest, integer, number_after, one_more, select, slice};
use crate::database::{Write, of_connection};
use crate::record::{
    self, Credential, Held, Record, Slot, connection_columns, delete_credentials, delete_previous,
};
use crate::{subscriptions, work};

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, "store.put_grant", message)
}

/// The decision about a grant: an outcome without a write, or an outcome that was written.
enum Decided {
    Written,
    Already(PutOutcome),
    Refused(Error),
}

async fn first_grant(write: &mut Write<'_>, grant: PutGrant) -> Result<Decided> {
    if grant.grant != GrantNumber::new(1)
        || grant.generation != Generation::new(1)
        || grant.fence != Fence::new(1)
    {
        return Ok(Decided::Refused(refused(
            "grant, generation and fence of a new connection must be 1",
        )));
    }
    let account = AccountRef {
        tenant: grant.key.tenant.clone(),
        provider: grant.provider.clone(),
        app: grant.app.clone(),
        account: grant.account.key.clone(),
    };
    if let Some(known) = record::by_account(write, &account).await? {
        if known.connection.key == grant.key && known.first_is_current(&grant) {
            return Ok(Decided::Already(PutOutcome::Stored));
        }
        let stored = Box::new(known.stored(write.now));
        return Ok(Decided::Already(PutOutcome::Moved(stored)));
    }
    if record::by_key(write, &grant.key).await?.is_some() {
        return Ok(Decided::Refused(refused(
            "the connection belongs to another account; use another connection id",
        )));
    }
    record::insert(write, grant).await?;
    Ok(Decided::Written)
}

async fn next_grant(write: &mut Write<'_>, grant: PutGrant, seen: Generation) -> Result<Decided> {
    let Some(mut known) = record::by_key(write, &grant.key).await? else {
        return Ok(Decided::Already(PutOutcome::Missing));
    };
    let connection = &known.connection;
    if (
        &connection.provider,
        &connection.app,
        &connection.account.key,
    ) != (&grant.provider, &grant.app, &grant.account.key)
    {
        return Ok(Decided::Refused(refused(
            "the connection belongs to another account; store the grant under its own connection",
        )));
    }
    if connection.generation != seen {
        return Ok(Decided::Already(if known.first_is_current(&grant) {
            PutOutcome::Stored
        } else {
            PutOutcome::Moved(Box::new(known.stored(write.now)))
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
        return Ok(Decided::Refused(refused(
            "grant and generation must be the next numbers, and the fence must be of an unused \
             claim on this connection",
        )));
    }
    let (operation, now) = (write.operation(), write.now);
    let credential = Credential::new(
        grant.credential.clone(),
        grant.grant,
        grant.generation,
        grant.fence,
        grant.expiries,
        now,
    );
    known.replace_grant(grant, now);
    let host = known.connection.account.host.as_deref();
    write.run(record::save_host(known.number, host)).await?;
    write.run(delete_credentials(known.number)).await?;
    write
        .run(credential.insert(operation, known.number, Slot::Current)?)
        .await?;
    write.run(known.save(operation)?).await?;
    Ok(Decided::Written)
}

/// Queues a revocation. Returns false if a revocation of this connection and fence is already
/// queued.
async fn queue(write: &mut Write<'_>, revocation: &Revocation) -> Result<bool> {
    let operation = write.operation();
    let statement = sqlx::query(
        "INSERT INTO revocations (tenant, connection, provider, app, account, grant_number, \
         fence, key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (tenant, connection, fence) DO NOTHING",
    )
    .bind(revocation.key.tenant.as_str())
    .bind(revocation.key.id.as_bytes().as_slice())
    .bind(revocation.provider.as_str())
    .bind(revocation.app.as_str())
    .bind(revocation.account.as_str())
    .bind(integer(operation, revocation.grant.get())?)
    .bind(integer(operation, revocation.fence.get())?)
    .bind(revocation.sealed.key_id().as_bytes().as_slice())
    .bind(revocation.sealed.bytes().as_ref());
    Ok(write.run(statement).await? == 1)
}

/// Makes a commit's credential the current one, and the current credential the previous one.
async fn make_current(write: &mut Write<'_>, known: &mut Record, commit: &Commit) -> Result<()> {
    let (operation, now) = (write.operation(), write.now);
    let generation = known.connection.generation.next();
    // Two statements in one call, so that the driver switches to its thread only once.
    let demote = sqlx::query(
        "DELETE FROM credentials WHERE connection = ?1 AND slot = 1; \
         UPDATE credentials SET slot = 1 WHERE connection = ?1 AND slot = 0",
    )
    .bind(known.number);
    write.run(demote).await?;
    let (sealed, fence) = match commit.takes_pending {
        Some(fence) => {
            let take = "DELETE FROM credentials WHERE connection = ?1 AND slot = 2 AND fence = ?2 \
                        RETURNING key_id, sealed";
            let rows = write
                .rows(
                    sqlx::query(take)
                        .bind(known.number)
                        .bind(integer(operation, fence.get())?),
                )
                .await?;
            // The stored bytes may be sealed under a newer key than the caller's bytes.
            match rows.first() {
                Some(row) => (Columns::new(row, operation).sealed()?, fence),
                None => (commit.credential.clone(), fence),
            }
        }
        None => (commit.credential.clone(), commit.fence),
    };
    let current = Credential::new(
        sealed,
        commit.grant,
        generation,
        fence,
        commit.expiries,
        now,
    );
    write
        .run(current.insert(operation, known.number, Slot::Current)?)
        .await?;
    known.set_status(commit.status.clone(), now);
    let connection = &mut known.connection;
    connection.generation = generation;
    connection.fence = connection.fence.max(commit.fence);
    connection.failures = 0;
    connection.rotates |= commit.rotates;
    connection.refreshed_at = now;
    known.written(now);
    Ok(())
}

fn quarantined(columns: &mut Columns<'_>, now: Timestamp) -> Result<Quarantined> {
    Ok(Quarantined {
        state: StateKey::from_bytes(columns.bytes()?),
        tenant: columns.tenant()?,
        provider: columns.provider()?,
        app: columns.app()?,
        until: TimeLeft::between(now, columns.time()?),
        sealed: columns.sealed()?,
    })
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

impl Judgement {
    fn outcome(self, known: Record, now: Timestamp) -> FailOutcome {
        match self {
            Self::Applied(_) => FailOutcome::Applied,
            Self::Moved => FailOutcome::Moved(Box::new(known.stored(now))),
            Self::PendingLeft => FailOutcome::PendingLeft(Box::new(known.stored(now))),
            Self::Held(fence, until) => FailOutcome::Held { fence, until },
            Self::Ended => FailOutcome::Ended,
        }
    }
}

fn judge(known: &Record, failure: &Failure, now: Timestamp) -> Judgement {
    if !known.connection.is_live() {
        return Judgement::Ended;
    }
    if (failure.grant, failure.base) != (known.connection.grant, known.connection.generation) {
        return Judgement::Moved;
    }
    match &failure.verdict {
        Verdict::Later { status } => Judgement::Applied(status.clone()),
        Verdict::GiveUp { .. } if !known.pending.is_empty() => Judgement::PendingLeft,
        Verdict::GiveUp { reason } => match known.standing_beside(failure.fence, now) {
            Some(other) => Judgement::Held(other.fence, TimeLeft::between(now, other.until)),
            None => Judgement::Applied(Some(Status::NeedsReauthorization(*reason))),
        },
    }
}

impl SqliteStore {
    /// Runs `statement`, which selects by provider, app, and either account key or host. Returns
    /// the active connections.
    async fn find_live(
        &self,
        operation: &'static str,
        statement: &'static str,
        (provider, app, account): (&ProviderId, &AppKey, &str),
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<ConnectionKey>> {
        let after = number_after(operation, after)?;
        let statement = || {
            sqlx::query(statement)
                .bind(provider.as_str())
                .bind(app.as_str())
                .bind(account)
                .bind(after)
                .bind(Status::Disconnected.as_str())
                .bind(one_more(n))
        };
        let rows = self.database.read(operation, statement).await?;
        slice(operation, &rows, n, |columns| {
            columns.skip(1);
            columns.key()
        })
    }
}

#[async_trait]
impl TokenStore for SqliteStore {
    async fn load(&self, key: &ConnectionKey) -> Result<Option<Stored>> {
        const OPERATION: &str = "store.load";
        let rows = self.database.read(OPERATION, || record::load(key)).await?;
        let found = record::read(OPERATION, &rows)?;
        Ok(found.map(|record| record.stored(self.database.clock.now())))
    }

    async fn generation(&self, key: &ConnectionKey) -> Result<Option<Generation>> {
        const OPERATION: &str = "store.generation";
        let sql = "SELECT generation FROM connections WHERE tenant = ?1 AND id = ?2";
        let statement = || of_connection(sql, key);
        let rows = self.database.read(OPERATION, statement).await?;
        rows.first()
            .map(|row| Ok(Generation::new(Columns::new(row, OPERATION).number()?)))
            .transpose()
    }

    async fn find(&self, account: &AccountRef) -> Result<Option<ConnectionKey>> {
        const OPERATION: &str = "store.find";
        let statement = || {
            sqlx::query(
                "SELECT tenant, id FROM connections \
                 WHERE tenant = ?1 AND provider = ?2 AND app = ?3 AND account = ?4",
            )
            .bind(account.tenant.as_str())
            .bind(account.provider.as_str())
            .bind(account.app.as_str())
            .bind(account.account.as_str())
        };
        let rows = self.database.read(OPERATION, statement).await?;
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
        let statement = "SELECT number, tenant, id FROM connections \
             WHERE provider = ?1 AND app = ?2 AND account = ?3 AND number > ?4 \
             AND asserted = 0 AND status <> ?5 ORDER BY number LIMIT ?6";
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
        let statement = "SELECT number, tenant, id FROM connections \
             WHERE provider = ?1 AND app = ?2 AND host = ?3 AND number > ?4 \
             AND asserted = 0 AND status <> ?5 ORDER BY number LIMIT ?6";
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
        let after = number_after(OPERATION, after)?;
        let statement = || {
            let sql = select(
                concat!(
                    "SELECT ",
                    connection_columns!(),
                    " FROM connections c WHERE c.number > ?1"
                ),
                &[
                    (" AND c.tenant = ?2", filter.tenant.is_some()),
                    (" AND c.provider = ?3", filter.provider.is_some()),
                    (" AND c.app = ?4", filter.app.is_some()),
                    (" AND c.status = ?5", filter.status.is_some()),
                ],
                " ORDER BY c.number LIMIT ?6",
            );
            sqlx::query(sql)
                .bind(after)
                .bind(filter.tenant.as_ref().map(TenantId::as_str))
                .bind(filter.provider.as_ref().map(ProviderId::as_str))
                .bind(filter.app.as_ref().map(AppKey::as_str))
                .bind(filter.status)
                .bind(one_more(n))
        };
        let rows = self.database.read(OPERATION, statement).await?;
        slice(OPERATION, &rows, n, |columns| {
            Ok(record::connection(columns)?.1)
        })
    }

    async fn put_grant(&self, grant: PutGrant, effects: SideEffects) -> Result<PutOutcome> {
        let mut write = self.database.write("store.put_grant").await?;
        let key = grant.key.clone();
        let takes = grant.takes;
        let decided = match grant.expect {
            Expect::Absent => first_grant(&mut write, grant).await?,
            Expect::At(seen) => next_grant(&mut write, grant, seen).await?,
        };
        match decided {
            Decided::Written => {}
            Decided::Already(outcome) => {
                write.cancel().await;
                return Ok(outcome);
            }
            Decided::Refused(error) => {
                write.cancel().await;
                return Err(error);
            }
        }
        if let Some(state) = takes {
            let statement = sqlx::query("DELETE FROM quarantine WHERE state = ?1 AND tenant = ?2")
                .bind(state.as_bytes().as_slice())
                .bind(key.tenant.as_str());
            write.run(statement).await?;
        }
        work::apply(&mut write, &key, &effects).await?;
        write.commit().await?;
        Ok(PutOutcome::Stored)
    }

    async fn update(
        &self,
        key: &ConnectionKey,
        at: Version,
        patch: Patch,
        effects: SideEffects,
    ) -> Result<UpdateOutcome> {
        const OPERATION: &str = "store.update";
        let mut write = self.database.write(OPERATION).await?;
        let Some(mut known) = record::by_key(&mut write, key).await? else {
            write.cancel().await;
            return Ok(UpdateOutcome::Missing);
        };
        let now = write.now;
        let connection = &mut known.connection;
        let revives = !connection.is_live()
            && patch
                .status
                .as_ref()
                .is_some_and(|status| *status != connection.status);
        if connection.version != at || revives {
            write.cancel().await;
            return Ok(UpdateOutcome::Moved(Box::new(known.stored(now))));
        }
        if let Some(label) = patch.label {
            connection.account.label = Some(label);
        }
        if let Some(host) = patch.host {
            write
                .run(record::save_host(known.number, Some(&host)))
                .await?;
            connection.account.host = Some(host);
        }
        if let Some(metadata) = patch.metadata {
            connection.metadata = metadata;
        }
        if let Some(error) = patch.check {
            connection.check = Some(Check { at: now, error });
        }
        if let Some(status) = patch.status {
            known.set_status(status, now);
        }
        if known.confirm(patch.confirmed) {
            write.run(delete_previous(known.number)).await?;
        }
        known.written(now);
        write.run(known.save(OPERATION)?).await?;
        work::apply(&mut write, key, &effects).await?;
        write.commit().await?;
        Ok(UpdateOutcome::Updated(known.connection.version))
    }

    async fn end(
        &self,
        key: &ConnectionKey,
        request: EndRequest,
        effects: SideEffects,
    ) -> Result<EndOutcome> {
        const OPERATION: &str = "store.end";
        let mut write = self.database.write(OPERATION).await?;
        let Some(mut known) = record::by_key(&mut write, key).await? else {
            write.cancel().await;
            return Ok(EndOutcome::Missing);
        };
        // Forgetting also removes the record of a deactivated connection, so it counts as a change.
        let changes = known.connection.is_live() || request.how == End::Forget;
        if changes
            && request
                .at
                .is_some_and(|seen| seen != known.connection.generation)
        {
            let now = write.now;
            write.cancel().await;
            return Ok(EndOutcome::Moved(Box::new(known.stored(now))));
        }
        if changes {
            match request.how {
                End::Deactivate => {
                    known.deactivate(write.now);
                    write.run(delete_credentials(known.number)).await?;
                    write.run(known.save(OPERATION)?).await?;
                }
                End::Forget => {
                    let statement =
                        sqlx::query("DELETE FROM connections WHERE number = ?1").bind(known.number);
                    write.run(statement).await?;
                }
            }
            work::clear(&mut write, key).await?;
            subscriptions::end_all(&mut write, key, request.unsubscribe.as_ref()).await?;
        }
        let connection = known.connection;
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
            queued |= queue(&mut write, &revocation).await?;
        }
        // A repeated call that queues a revocation also schedules the work in its side effects.
        if changes || queued {
            work::apply(&mut write, key, &effects).await?;
        }
        write.commit().await?;
        Ok(if changes {
            EndOutcome::Ended
        } else {
            EndOutcome::AlreadyEnded
        })
    }

    async fn claim(&self, key: &ConnectionKey, request: ClaimRequest) -> Result<ClaimOutcome> {
        const OPERATION: &str = "store.claim";
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        let known = record::by_key(&mut write, key).await?;
        let Some(mut known) =
            known.filter(|known| known.connection.is_live() || request.kind == ClaimKind::Exchange)
        else {
            write.cancel().await;
            return Ok(ClaimOutcome::Ended);
        };
        if (request.grant, request.seen) != (known.connection.grant, known.connection.generation) {
            write.cancel().await;
            return Ok(ClaimOutcome::Moved(Box::new(known.stored(now))));
        }
        if let Some(held) = known.claim.clone() {
            if held.claim_id == request.claim_id {
                write.cancel().await;
                return Ok(ClaimOutcome::Granted {
                    fence: held.fence,
                    until: TimeLeft::between(now, held.until),
                    superseded: known.superseded().map(|old| old.at(now)),
                    stored: Box::new(known.stored(now)),
                });
            }
            if now < held.until {
                write.cancel().await;
                return Ok(ClaimOutcome::Held {
                    fence: held.fence,
                    until: TimeLeft::between(now, held.until),
                });
            }
        }
        let claim = Held {
            claim_id: request.claim_id,
            grant: request.grant,
            generation: request.seen,
            fence: known.connection.fence.next(),
            kind: request.kind,
            until: now.after(request.hold),
        };
        let (fence, until) = (claim.fence, TimeLeft::between(now, claim.until));
        known.connection.fence = fence;
        let superseded = known.stand(claim);
        if known.confirm(request.confirmed) {
            write.run(delete_previous(known.number)).await?;
        }
        known.written(now);
        write.run(known.save(OPERATION)?).await?;
        write.commit().await?;
        Ok(ClaimOutcome::Granted {
            fence,
            until,
            stored: Box::new(known.stored(now)),
            superseded: superseded.map(|old| old.at(now)),
        })
    }

    async fn commit(
        &self,
        key: &ConnectionKey,
        commit: Commit,
        effects: SideEffects,
    ) -> Result<CommitOutcome> {
        const OPERATION: &str = "store.commit";
        let mut write = self.database.write(OPERATION).await?;
        let Some(mut known) = record::by_key(&mut write, key).await? else {
            write.cancel().await;
            return Ok(CommitOutcome::Ended);
        };
        if let Some(first) = known.outcome_of(commit.claim_id) {
            write.cancel().await;
            return Ok(first);
        }
        if commit.grant != known.connection.grant || !known.connection.is_live() {
            write.cancel().await;
            return Ok(CommitOutcome::Ended);
        }
        let moved = commit.base != known.connection.generation;
        if let Some(fence) = commit.takes_pending {
            // This outcome is not remembered, because the claim may still produce its own
            // credential.
            let is_there = known.pending.iter().any(|pair| pair.fence == fence);
            if !is_there || moved {
                if is_there && known.resolve(commit.fence) {
                    write.run(known.save(OPERATION)?).await?;
                    write.commit().await?;
                } else {
                    write.cancel().await;
                }
                return Ok(CommitOutcome::Pending);
            }
        }
        known.resolve(commit.fence);
        let outcome = if moved {
            let pair = Credential::new(
                commit.credential,
                commit.grant,
                commit.base,
                commit.fence,
                commit.expiries,
                write.now,
            );
            write
                .run(pair.insert(OPERATION, known.number, Slot::Pending)?)
                .await?;
            known.remember_pending(commit.claim_id);
            CommitOutcome::Pending
        } else {
            make_current(&mut write, &mut known, &commit).await?;
            known.remember_stored(commit.claim_id);
            work::apply(&mut write, key, &effects).await?;
            CommitOutcome::Stored
        };
        write.run(known.save(OPERATION)?).await?;
        write.commit().await?;
        Ok(outcome)
    }

    async fn fail(
        &self,
        key: &ConnectionKey,
        failure: Failure,
        effects: SideEffects,
    ) -> Result<FailOutcome> {
        const OPERATION: &str = "store.fail";
        let mut write = self.database.write(OPERATION).await?;
        let Some(mut known) = record::by_key(&mut write, key).await? else {
            write.cancel().await;
            return Ok(FailOutcome::Ended);
        };
        let now = write.now;
        let resolved = failure.resolves && known.resolve(failure.fence);
        let status = match judge(&known, &failure, now) {
            Judgement::Applied(status) => status,
            refusal => {
                if resolved {
                    write.run(known.save(OPERATION)?).await?;
                    write.commit().await?;
                } else {
                    write.cancel().await;
                }
                return Ok(refusal.outcome(known, now));
            }
        };
        known.count_failure(failure.claim_id);
        if let Some(status) = status {
            known.set_status(status, now);
        }
        known.written(now);
        write.run(known.save(OPERATION)?).await?;
        work::apply(&mut write, key, &effects).await?;
        write.commit().await?;
        Ok(FailOutcome::Applied)
    }

    async fn take_due(&self, kinds: &[WorkKind], n: u16, lease: Duration) -> Result<Vec<Due>> {
        work::take_due(&self.database, kinds, n, lease).await
    }

    async fn finish(&self, due: &Due, next: Option<Duration>) -> Result<bool> {
        work::finish(&self.database, due, next).await
    }

    async fn quarantine(&self, quarantine: NewQuarantine) -> Result<bool> {
        const OPERATION: &str = "store.quarantine";
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        // Replaces an expired quarantined response.
        let statement = sqlx::query(
            "INSERT INTO quarantine (state, tenant, provider, app, available_at, keep_until, \
             first_sealed, key_id, sealed) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
             ON CONFLICT (state) DO UPDATE SET tenant = ?2, provider = ?3, app = ?4, \
             available_at = ?5, keep_until = ?6, first_sealed = ?7, key_id = ?8, sealed = ?9 \
             WHERE keep_until <= ?10",
        )
        .bind(quarantine.state.as_bytes().as_slice())
        .bind(quarantine.tenant.as_str())
        .bind(quarantine.provider.as_str())
        .bind(quarantine.app.as_str())
        .bind(now.after(quarantine.delay).as_unix_millis())
        .bind(now.after(quarantine.keep_for).as_unix_millis())
        .bind(digest(&quarantine.sealed).as_slice())
        .bind(quarantine.sealed.key_id().as_bytes().as_slice())
        .bind(quarantine.sealed.bytes().as_ref())
        .bind(now.as_unix_millis());
        if write.run(statement).await? == 1 {
            write.commit().await?;
            return Ok(true);
        }
        let statement = sqlx::query("SELECT first_sealed FROM quarantine WHERE state = ?1")
            .bind(quarantine.state.as_bytes().as_slice());
        let rows = write.rows(statement).await?;
        write.cancel().await;
        match rows.first() {
            Some(row) => {
                let known: [u8; 32] = Columns::new(row, OPERATION).bytes()?;
                Ok(known == digest(&quarantine.sealed))
            }
            None => Ok(false),
        }
    }

    async fn quarantined(&self, state: &StateKey) -> Result<Option<Quarantined>> {
        const OPERATION: &str = "store.quarantined";
        let now = self.database.clock.now();
        let statement = || {
            sqlx::query(
                "SELECT state, tenant, provider, app, keep_until, key_id, sealed FROM quarantine \
                 WHERE state = ?1 AND keep_until > ?2",
            )
            .bind(state.as_bytes().as_slice())
            .bind(now.as_unix_millis())
        };
        let rows = self.database.read(OPERATION, statement).await?;
        rows.first()
            .map(|row| quarantined(&mut Columns::new(row, OPERATION), now))
            .transpose()
    }

    async fn take_quarantined(&self, n: u16, lease: Duration) -> Result<Vec<Quarantined>> {
        const OPERATION: &str = "store.take_quarantined";
        let now = self.database.clock.now();
        let statement = |now: Timestamp, n: u16| {
            sqlx::query(
                "SELECT number, available_at, state, tenant, provider, app, keep_until, key_id, \
                 sealed FROM quarantine WHERE available_at <= ?1 AND keep_until > ?1 \
                 ORDER BY available_at, number LIMIT ?2",
            )
            .bind(now.as_unix_millis())
            .bind(i64::from(n))
        };
        let waiting = self.database.read(OPERATION, || statement(now, 1)).await?;
        if waiting.is_empty() || n == 0 {
            return Ok(Vec::new());
        }
        let mut write = self.database.write(OPERATION).await?;
        let now = write.now;
        let rows = write.rows(statement(now, n)).await?;
        let mut taken = Vec::with_capacity(rows.len());
        for row in &rows {
            let mut columns = Columns::new(row, OPERATION);
            let number: i64 = columns.take()?;
            columns.skip(1);
            taken.push(quarantined(&mut columns, now)?);
            let lease = sqlx::query("UPDATE quarantine SET available_at = ?2 WHERE number = ?1")
                .bind(number)
                .bind(now.after(lease).as_unix_millis());
            write.run(lease).await?;
        }
        write.commit().await?;
        Ok(taken)
    }

    async fn release(&self, state: &StateKey) -> Result<bool> {
        let mut write = self.database.write("store.release").await?;
        let statement = sqlx::query("DELETE FROM quarantine WHERE state = ?1 AND keep_until > ?2")
            .bind(state.as_bytes().as_slice())
            .bind(write.now.as_unix_millis());
        let released = write.run(statement).await?;
        write.commit().await?;
        Ok(released == 1)
    }

    async fn queue_revocation(&self, revocation: Revocation, effects: SideEffects) -> Result<()> {
        let mut write = self.database.write("store.queue_revocation").await?;
        if queue(&mut write, &revocation).await? {
            work::apply(&mut write, &revocation.key, &effects).await?;
        }
        write.commit().await
    }

    async fn revocations(&self, key: &ConnectionKey) -> Result<Vec<Revocation>> {
        const OPERATION: &str = "store.revocations";
        let statement = || {
            of_connection(
                "SELECT tenant, connection, provider, app, account, grant_number, fence, key_id, \
                 sealed FROM revocations WHERE tenant = ?1 AND connection = ?2 ORDER BY fence",
                key,
            )
        };
        let rows = self.database.read(OPERATION, statement).await?;
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
        let fence = integer(OPERATION, fence.get())?;
        let mut write = self.database.write(OPERATION).await?;
        let statement = of_connection(
            "DELETE FROM revocations WHERE tenant = ?1 AND connection = ?2 AND fence = ?3",
            key,
        )
        .bind(fence);
        let removed = write.run(statement).await?;
        write.commit().await?;
        Ok(removed == 1)
    }
}
