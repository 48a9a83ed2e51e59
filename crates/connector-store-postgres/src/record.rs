//! The record of one connection, which is read in one statement, changed in memory, and written
//! back if no other caller has changed it in the meantime.

use std::sync::LazyLock;

use connector_core::cipher::{KeyId, Sealed};
use connector_core::clock::Timestamp;
use connector_core::store::{
    AccountRef, Claim, ClaimId, ClaimKind, CommitOutcome, ConnectionRecord, Expiries, Fence,
    Generation, GrantNumber, PendingCredential, PutGrant, SideEffects, StateKey, Stored,
    StoredCredential, TimeLeft, Version,
};
use connector_core::{Account, Check, ConnectionKey, Metadata, Result, Status};
use tokio_postgres::Row;

use crate::columns::{Columns, digest_of, integer, maybe_integer};
use crate::effects::{NEXT, effects};
use crate::error::unreadable;
use crate::statement::Statement;

/// Number of stored commit outcomes: one, and up to 7 later ones before the call is repeated.
const REMEMBERED: usize = 8;

/// The columns that [`connection`] reads, in the same order.
macro_rules! connection_columns {
    () => {
        "number, tenant, id, provider, app, account, asserted, label, host, status, reason, \
         status_since, failures, check_at, check_error, rotates, metadata, grant_number, \
         generation, confirmed, fence, version, created_at, updated_at, refreshed_at"
    };
}
pub(crate) use connection_columns;

/// The columns that [`read`] reads, in the same order.
macro_rules! record_columns {
    () => {
        concat!(
            "@now, ",
            connection_columns!(),
            ", claim_id, claim_grant, claim_generation, claim_fence, claim_kind, claim_until, \
             superseded_id, superseded_grant, superseded_generation, superseded_fence, \
             superseded_kind, superseded_until, flip, \
             a_grant, a_generation, a_fence, a_access, a_refresh, a_key, a_sealed, \
             b_grant, b_generation, b_fence, b_access, b_refresh, b_key, b_sealed, \
             pending_grant, pending_base, pending_fence, pending_access, pending_refresh, \
             pending_key, pending_sealed, first_sealed, outcomes, failed_claims, seq"
        )
    };
}
pub(crate) use record_columns;

const BY_KEY: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM @.connections WHERE tenant = $2 AND id = $3"
);
const BY_KEY_LOCKED: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM @.connections WHERE tenant = $2 AND id = $3 FOR NO KEY UPDATE"
);
const BY_ACCOUNT: &str = concat!(
    "SELECT ",
    record_columns!(),
    " FROM @.connections WHERE tenant = $2 AND provider = $3 AND app = $4 AND account = $5"
);

pub(crate) fn by_key(key: &ConnectionKey) -> Statement {
    Statement::of(BY_KEY, key)
}

/// Like [`by_key`], and locks the row.
pub(crate) fn lock(key: &ConnectionKey) -> Statement {
    Statement::of(BY_KEY_LOCKED, key)
}

pub(crate) fn by_account(account: &AccountRef) -> Statement {
    Statement::new(BY_ACCOUNT)
        .bind(account.tenant.as_str())
        .bind(account.provider.as_str())
        .bind(account.app.as_str())
        .bind(account.account.as_str())
}

/// The columns that [`Record::save`] writes, in the order of its parameters.
const SAVED: [&str; 33] = [
    "asserted",
    "label",
    "host",
    "status",
    "reason",
    "status_since",
    "failures",
    "check_at",
    "check_error",
    "rotates",
    "metadata",
    "grant_number",
    "generation",
    "confirmed",
    "fence",
    "version",
    "updated_at",
    "refreshed_at",
    "claim_id",
    "claim_grant",
    "claim_generation",
    "claim_fence",
    "claim_kind",
    "claim_until",
    "superseded_id",
    "superseded_grant",
    "superseded_generation",
    "superseded_fence",
    "superseded_kind",
    "superseded_until",
    "first_sealed",
    "outcomes",
    "failed_claims",
];

/// The columns that [`Record::save`] also writes if the credentials changed.
const SAVED_CREDENTIALS: [&str; 22] = [
    "flip",
    "a_grant",
    "a_generation",
    "a_fence",
    "a_access",
    "a_refresh",
    "a_key",
    "a_sealed",
    "b_grant",
    "b_generation",
    "b_fence",
    "b_access",
    "b_refresh",
    "b_key",
    "b_sealed",
    "pending_grant",
    "pending_base",
    "pending_fence",
    "pending_access",
    "pending_refresh",
    "pending_key",
    "pending_sealed",
];

fn save_sql(with_credentials: bool) -> String {
    // After the row's number, its sequence number, and the state key of a quarantined response.
    let first = NEXT + 3;
    let columns = SAVED
        .iter()
        .chain(SAVED_CREDENTIALS.iter().take(if with_credentials {
            SAVED_CREDENTIALS.len()
        } else {
            0
        }));
    let mut sets: Vec<String> = columns
        .enumerate()
        .map(|(place, column)| format!("{column} = ${}", first + place))
        .collect();
    if !with_credentials {
        let drops = first + SAVED.len();
        sets.push(format!(
            "a_sealed = CASE WHEN ${drops} AND flip THEN NULL ELSE a_sealed END, \
             b_sealed = CASE WHEN ${drops} AND NOT flip THEN NULL ELSE b_sealed END"
        ));
    }
    format!(
        "WITH u AS (UPDATE @.connections SET seq = seq + 1, {} WHERE number = ${NEXT} \
         AND seq = ${} RETURNING tenant), taken AS (DELETE FROM @.quarantine q USING u \
         WHERE q.state = ${} AND q.tenant = u.tenant){} SELECT 1 FROM u",
        sets.join(", "),
        NEXT + 1,
        NEXT + 2,
        effects!(),
    )
}

static SAVE: LazyLock<String> = LazyLock::new(|| save_sql(false));
static SAVE_CREDENTIALS: LazyLock<String> = LazyLock::new(|| save_sql(true));

/// Inserts the record of a first grant with its credential and side effects. Returns no row if the
/// connection or its account exists.
const INSERT: &str = concat!(
    "WITH u AS (
        INSERT INTO @.connections (tenant, id, provider, app, account, asserted, label, host, status,
            reason, status_since, metadata, grant_number, generation, fence, created_at, updated_at,
            refreshed_at, first_sealed, a_grant, a_generation, a_fence, a_access, a_refresh, a_key,
            a_sealed)
        VALUES ($2, $3, $16, $17, $18, $19, $20, $21, $22, $23, @now, $24, $25, $26, $27, @now, @now,
            @now, $28, $25, $26, $27, @now + $29, @now + $30, $31, $32)
        ON CONFLICT DO NOTHING RETURNING tenant
    ), taken AS (
        DELETE FROM @.quarantine q USING u WHERE q.state = $33 AND q.tenant = u.tenant
    )",
    effects!(),
    " SELECT 1 FROM u"
);

/// A claim with the end of its hold time on the store's clock.
#[derive(Clone)]
pub(crate) struct Held {
    pub(crate) claim_id: ClaimId,
    pub(crate) grant: GrantNumber,
    pub(crate) generation: Generation,
    pub(crate) fence: Fence,
    pub(crate) kind: ClaimKind,
    pub(crate) until: Timestamp,
}

impl Held {
    pub(crate) fn at(&self, now: Timestamp) -> Claim {
        Claim {
            claim_id: self.claim_id,
            grant: self.grant,
            generation: self.generation,
            fence: self.fence,
            kind: self.kind,
            until: TimeLeft::between(now, self.until),
        }
    }

    fn read(columns: &mut Columns<'_>) -> Result<Option<Self>> {
        let Some(claim_id) = columns.take::<Option<&[u8]>>()? else {
            columns.skip(5);
            return Ok(None);
        };
        let claim_id = claim_id
            .try_into()
            .map_err(|_| unreadable(columns.operation()))?;
        Ok(Some(Self {
            claim_id: ClaimId::from_bytes(claim_id),
            grant: GrantNumber::new(columns.number()?),
            generation: Generation::new(columns.number()?),
            fence: Fence::new(columns.number()?),
            kind: columns.parsed(ClaimKind::parse)?,
            until: columns.time()?,
        }))
    }
}

/// A sealed credential with the expiry of its tokens.
#[derive(Clone)]
pub(crate) struct Credential {
    pub(crate) sealed: Sealed,
    pub(crate) grant: GrantNumber,
    /// The generation of the credential. For a pending pair, the generation whose refresh token was
    /// used.
    pub(crate) generation: Generation,
    pub(crate) fence: Fence,
    pub(crate) access_until: Option<Timestamp>,
    pub(crate) refresh_until: Option<Timestamp>,
}

impl Credential {
    pub(crate) fn new(
        sealed: Sealed,
        grant: GrantNumber,
        generation: Generation,
        fence: Fence,
        expiries: Expiries,
        now: Timestamp,
    ) -> Self {
        Self {
            sealed,
            grant,
            generation,
            fence,
            access_until: expiries.access.map(|left| now.after(left)),
            refresh_until: expiries.refresh.map(|left| now.after(left)),
        }
    }

    /// Reads a slot. An empty slot has no sealed bytes.
    fn read(columns: &mut Columns<'_>) -> Result<Option<Self>> {
        let grant = columns.maybe_number()?;
        let generation = columns.maybe_number()?;
        let fence = columns.maybe_number()?;
        let access_until = columns.maybe_time()?;
        let refresh_until = columns.maybe_time()?;
        let Some(sealed) = columns.maybe_sealed()? else {
            return Ok(None);
        };
        let (Some(grant), Some(generation), Some(fence)) = (grant, generation, fence) else {
            return Err(unreadable(columns.operation()));
        };
        Ok(Some(Self {
            sealed,
            grant: GrantNumber::new(grant),
            generation: Generation::new(generation),
            fence: Fence::new(fence),
            access_until,
            refresh_until,
        }))
    }

    fn stored(self, now: Timestamp) -> StoredCredential {
        StoredCredential {
            sealed: self.sealed,
            grant: self.grant,
            generation: self.generation,
            fence: self.fence,
            access_left: self.access_until.map(|end| TimeLeft::between(now, end)),
            refresh_left: self.refresh_until.map(|end| TimeLeft::between(now, end)),
        }
    }

    fn pending(self, now: Timestamp) -> PendingCredential {
        let kept = self.stored(now);
        PendingCredential {
            sealed: kept.sealed,
            grant: kept.grant,
            base: kept.generation,
            fence: kept.fence,
            access_left: kept.access_left,
            refresh_left: kept.refresh_left,
        }
    }
}

fn read_pending(columns: &mut Columns<'_>) -> Result<Vec<Credential>> {
    let operation = columns.operation();
    let broken = || unreadable(operation);
    let Some(grants) = columns.take::<Option<Vec<i64>>>()? else {
        columns.skip(6);
        return Ok(Vec::new());
    };
    let bases: Vec<i64> = columns.take()?;
    let fences: Vec<i64> = columns.take()?;
    let access: Vec<Option<i64>> = columns.take()?;
    let refresh: Vec<Option<i64>> = columns.take()?;
    let keys: Vec<&[u8]> = columns.take()?;
    let sealed: Vec<&[u8]> = columns.take()?;
    let count = grants.len();
    let lengths = [
        bases.len(),
        fences.len(),
        access.len(),
        refresh.len(),
        keys.len(),
        sealed.len(),
    ];
    if lengths.iter().any(|length| *length != count) {
        return Err(broken());
    }
    let number = |value: i64| u64::try_from(value).map_err(|_| broken());
    (0..count)
        .map(|i| {
            let key = keys[i].try_into().map_err(|_| broken())?;
            Ok(Credential {
                sealed: Sealed::new(KeyId::from_bytes(key), sealed[i].to_vec()),
                grant: GrantNumber::new(number(grants[i])?),
                generation: Generation::new(number(bases[i])?),
                fence: Fence::new(number(fences[i])?),
                access_until: access[i].map(Timestamp::from_unix_millis),
                refresh_until: refresh[i].map(Timestamp::from_unix_millis),
            })
        })
        .collect()
}

/// Reads the row number and the record from the columns of [`connection_columns`].
pub(crate) fn connection(columns: &mut Columns<'_>) -> Result<(i64, ConnectionRecord)> {
    let number = columns.take()?;
    let key = columns.key()?;
    let provider = columns.provider()?;
    let app = columns.app()?;
    let account = Account {
        key: columns.account()?,
        asserted: columns.take()?,
        label: columns.take()?,
        host: columns.take()?,
    };
    let status: &str = columns.take()?;
    let status =
        Status::from_parts(status, columns.take()?).map_err(|_| unreadable(columns.operation()))?;
    let status_since = columns.time()?;
    let failures = columns.small_number()?;
    let check_at = columns.maybe_time()?;
    let check_error: Option<String> = columns.take()?;
    Ok((
        number,
        ConnectionRecord {
            key,
            provider,
            app,
            account,
            status,
            status_since,
            failures,
            check: check_at.map(|at| Check {
                at,
                error: check_error,
            }),
            rotates: columns.take()?,
            metadata: Metadata::from_json(columns.take()?)
                .map_err(|cause| unreadable(columns.operation()).with_source(cause))?,
            grant: GrantNumber::new(columns.number()?),
            generation: Generation::new(columns.number()?),
            confirmed: columns.maybe_number()?.map(Generation::new),
            fence: Fence::new(columns.number()?),
            version: Version::new(columns.number()?),
            created_at: columns.time()?,
            updated_at: columns.time()?,
            refreshed_at: columns.time()?,
        },
    ))
}

/// A connection as read in one snapshot.
#[derive(Clone)]
pub(crate) struct Record {
    pub(crate) number: i64,
    /// The time when the record was read, on the store's clock.
    pub(crate) now: Timestamp,
    pub(crate) connection: ConnectionRecord,
    pub(crate) claim: Option<Held>,
    pub(crate) current: Option<Credential>,
    pub(crate) previous: Option<Credential>,
    /// The pending pairs, newest fence first.
    pub(crate) pending: Vec<Credential>,
    superseded: Option<Held>,
    first: [u8; 32],
    /// Newest first: 16 bytes of a claim id and one byte for the outcome.
    outcomes: Vec<u8>,
    /// Newest first: 16 bytes of a claim id.
    failed: Vec<u8>,
    flip: bool,
    seq: i64,
    changed: Changed,
}

/// The credentials that [`Record::save`] must write.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    Nothing,
    /// The previous credential was dropped.
    Previous,
    Everything,
}

const STORED: u8 = 1;
const PENDING: u8 = 2;

/// Parses the first row of a statement with the columns of [`record_columns`].
pub(crate) fn read(operation: &'static str, rows: &[Row]) -> Result<Option<Record>> {
    rows.first().map(|row| read_row(operation, row)).transpose()
}

fn read_row(operation: &'static str, row: &Row) -> Result<Record> {
    let mut columns = Columns::new(row, operation);
    let now = columns.time()?;
    let (number, connection) = connection(&mut columns)?;
    let claim = Held::read(&mut columns)?;
    let superseded = Held::read(&mut columns)?;
    let flip = columns.take()?;
    let a = Credential::read(&mut columns)?;
    let b = Credential::read(&mut columns)?;
    let (current, previous) = if flip { (b, a) } else { (a, b) };
    Ok(Record {
        number,
        now,
        connection,
        superseded: claim.as_ref().and(superseded),
        claim,
        current,
        previous,
        pending: read_pending(&mut columns)?,
        first: columns.bytes()?,
        outcomes: columns.take()?,
        failed: columns.take()?,
        flip,
        seq: columns.take()?,
        changed: Changed::Nothing,
    })
}

/// Prepends an entry and drops the oldest entries above the limit.
fn remember(entries: &mut Vec<u8>, entry: &[u8]) {
    entries.splice(0..0, entry.iter().copied());
    entries.truncate(REMEMBERED * entry.len());
}

/// Returns the entry of [`Record::outcomes`] for a credential that became current.
pub(crate) fn stored_entry(claim_id: ClaimId) -> [u8; 17] {
    let mut entry = [STORED; 17];
    entry[..16].copy_from_slice(claim_id.as_bytes());
    entry
}

impl Record {
    pub(crate) fn stored(self) -> Stored {
        let now = self.now;
        Stored {
            connection: self.connection,
            current: self.current.map(|kept| kept.stored(now)),
            previous: self.previous.map(|kept| kept.stored(now)),
            pending: self
                .pending
                .into_iter()
                .map(|kept| kept.pending(now))
                .collect(),
            claim: self.claim.map(|held| held.at(now)),
        }
    }

    pub(crate) fn set_status(&mut self, status: Status) {
        if self.connection.status != status {
            self.connection.status = status;
            self.connection.status_since = self.now;
        }
    }

    /// Updates the version and the time of the last write.
    pub(crate) fn written(&mut self) {
        self.connection.version = self.connection.version.next();
        self.connection.updated_at = self.now;
    }

    /// Records the generation that the provider accepted, and drops the previous credential if it is
    /// no longer needed. Ignores a generation that this store does not have (for example after a
    /// restore from a backup).
    pub(crate) fn confirm(&mut self, accepted: Option<Generation>) {
        let connection = &mut self.connection;
        let Some(accepted) = accepted.filter(|seen| *seen <= connection.generation) else {
            return;
        };
        connection.confirmed = connection.confirmed.max(Some(accepted));
        if accepted == connection.generation && self.previous.take().is_some() {
            self.changed = Changed::Previous;
        }
    }

    /// Returns the claim that the current claim superseded.
    pub(crate) fn superseded(&self) -> Option<&Held> {
        self.superseded.as_ref()
    }

    /// Clears the claim with the given fence. Returns true if it was the current claim.
    pub(crate) fn resolve(&mut self, fence: Fence) -> bool {
        let stands = self.claim.as_ref().is_some_and(|held| held.fence == fence);
        if stands {
            self.clear_claim();
        }
        stands
    }

    fn clear_claim(&mut self) {
        self.claim = None;
        self.superseded = None;
    }

    /// Returns the current claim if it has a different fence and its hold time has not passed.
    pub(crate) fn standing_beside(&self, fence: Fence) -> Option<&Held> {
        self.claim
            .as_ref()
            .filter(|held| held.fence != fence && self.now < held.until)
    }

    /// Returns the outcome of an earlier commit under this claim.
    pub(crate) fn outcome_of(&self, claim_id: ClaimId) -> Option<CommitOutcome> {
        self.outcomes
            .chunks_exact(17)
            .find_map(|entry| match entry.split_last()? {
                (outcome, name) if name == claim_id.as_bytes() => match *outcome {
                    STORED => Some(CommitOutcome::Stored),
                    PENDING => Some(CommitOutcome::Pending),
                    _ => None,
                },
                _ => None,
            })
    }

    pub(crate) fn remember_stored(&mut self, claim_id: ClaimId) {
        remember(&mut self.outcomes, &stored_entry(claim_id));
    }

    /// Adds a pending pair.
    pub(crate) fn add_pending(&mut self, claim_id: ClaimId, pair: Credential) {
        let mut entry = stored_entry(claim_id);
        entry[16] = PENDING;
        remember(&mut self.outcomes, &entry);
        if self.pending.iter().all(|known| known.fence != pair.fence) {
            self.pending.push(pair);
            self.pending
                .sort_by_key(|known| std::cmp::Reverse(known.fence));
            self.changed = Changed::Everything;
        }
    }

    /// Removes the pending pair with the given fence.
    pub(crate) fn take_pending(&mut self, fence: Fence) -> Option<Credential> {
        let place = self.pending.iter().position(|pair| pair.fence == fence)?;
        self.changed = Changed::Everything;
        Some(self.pending.remove(place))
    }

    /// Makes `credential` the current one, and the current credential the previous one.
    pub(crate) fn make_current(&mut self, credential: Credential) {
        self.previous = self.current.replace(credential);
        self.changed = Changed::Everything;
    }

    /// Increments the count of consecutive failures, once per claim.
    pub(crate) fn count_failure(&mut self, claim_id: ClaimId) {
        let counted = self
            .failed
            .chunks_exact(16)
            .any(|name| name == claim_id.as_bytes());
        if !counted {
            remember(&mut self.failed, claim_id.as_bytes());
            self.connection.failures = self.connection.failures.saturating_add(1);
        }
    }

    /// Returns true if the connection still contains exactly the data of this grant.
    pub(crate) fn first_is_current(&self, grant: &PutGrant) -> bool {
        self.connection.grant == grant.grant
            && self.connection.generation == grant.generation
            && self.current.is_some()
            && self.first == digest_of(&grant.credential)
    }

    fn end_grant(&mut self) {
        self.current = None;
        self.previous = None;
        self.pending.clear();
        self.clear_claim();
        self.changed = Changed::Everything;
    }

    pub(crate) fn deactivate(&mut self) {
        self.end_grant();
        self.set_status(Status::Disconnected);
        let connection = &mut self.connection;
        connection.grant = connection.grant.next();
        connection.generation = connection.generation.next();
        connection.failures = 0;
        self.written();
    }

    pub(crate) fn replace_grant(&mut self, grant: PutGrant) {
        self.end_grant();
        self.first = digest_of(&grant.credential);
        self.current = Some(Credential::new(
            grant.credential,
            grant.grant,
            grant.generation,
            grant.fence,
            grant.expiries,
            self.now,
        ));
        self.set_status(grant.status);
        let connection = &mut self.connection;
        connection.account = grant.account;
        connection.metadata = grant.metadata;
        connection.grant = grant.grant;
        connection.generation = grant.generation;
        connection.rotates = false;
        connection.failures = 0;
        connection.refreshed_at = self.now;
        self.written();
    }

    /// Returns the statement that writes the record, the side effects and the removal of a
    /// quarantined response. It returns no row if another caller has changed the record.
    pub(crate) fn save(
        &self,
        operation: &'static str,
        effects: &SideEffects,
        takes: Option<&StateKey>,
    ) -> Result<Statement> {
        let whole = self.changed == Changed::Everything;
        let sql: &'static str = if whole { &SAVE_CREDENTIALS } else { &SAVE };
        let connection = &self.connection;
        let check = connection.check.as_ref();
        let account = &connection.account;
        let statement = Statement::with_effects(sql, &connection.key, effects)?
            .bind(self.number)
            .bind(self.seq)
            .bind(takes.map(|state| state.as_bytes().to_vec()))
            .bind(account.asserted)
            .bind(account.label.as_deref())
            .bind(account.host.as_deref())
            .bind(connection.status.as_str())
            .bind(connection.status.reason())
            .bind(connection.status_since)
            .bind(i64::from(connection.failures))
            .bind(check.map(|check| check.at))
            .bind(check.and_then(|check| check.error.as_deref()))
            .bind(connection.rotates)
            .bind(connection.metadata.to_json()?.as_str())
            .bind(integer(operation, connection.grant.get())?)
            .bind(integer(operation, connection.generation.get())?)
            .bind(maybe_integer(
                operation,
                connection.confirmed.map(Generation::get),
            )?)
            .bind(integer(operation, connection.fence.get())?)
            .bind(integer(operation, connection.version.get())?)
            .bind(connection.updated_at)
            .bind(connection.refreshed_at);
        let statement = bind_claim(operation, statement, self.claim.as_ref())?;
        let statement = bind_claim(operation, statement, self.superseded.as_ref())?
            .bind(&self.first)
            .bind(self.outcomes.as_slice())
            .bind(self.failed.as_slice());
        if !whole {
            return Ok(statement.bind(self.changed == Changed::Previous));
        }
        let (a, b) = if self.flip {
            (&self.previous, &self.current)
        } else {
            (&self.current, &self.previous)
        };
        let statement = bind_slot(operation, statement.bind(self.flip), a.as_ref())?;
        let statement = bind_slot(operation, statement, b.as_ref())?;
        self.bind_pending(operation, statement)
    }

    fn bind_pending(&self, operation: &'static str, statement: Statement) -> Result<Statement> {
        let pending = (!self.pending.is_empty()).then_some(&self.pending);
        let numbers = |read: fn(&Credential) -> u64| -> Result<Option<Vec<i64>>> {
            let Some(pending) = pending else {
                return Ok(None);
            };
            let numbers = pending.iter().map(|pair| integer(operation, read(pair)));
            numbers.collect::<Result<_>>().map(Some)
        };
        let times = |read: fn(&Credential) -> Option<Timestamp>| -> Option<Vec<Option<i64>>> {
            let times = |pair| read(pair).map(Timestamp::as_unix_millis);
            pending.map(|pending| pending.iter().map(times).collect())
        };
        let bytes = |read: fn(&Credential) -> Vec<u8>| -> Option<Vec<Vec<u8>>> {
            pending.map(|pending| pending.iter().map(read).collect())
        };
        Ok(statement
            .bind(numbers(|pair| pair.grant.get())?)
            .bind(numbers(|pair| pair.generation.get())?)
            .bind(numbers(|pair| pair.fence.get())?)
            .bind(times(|pair| pair.access_until))
            .bind(times(|pair| pair.refresh_until))
            .bind(bytes(|pair| pair.sealed.key_id().as_bytes().to_vec()))
            .bind(bytes(|pair| pair.sealed.bytes().to_vec())))
    }
}

fn bind_claim(
    operation: &'static str,
    statement: Statement,
    held: Option<&Held>,
) -> Result<Statement> {
    let number = |read: fn(&Held) -> u64| maybe_integer(operation, held.map(read));
    Ok(statement
        .bind(held.map(|held| held.claim_id.as_bytes().to_vec()))
        .bind(number(|held| held.grant.get())?)
        .bind(number(|held| held.generation.get())?)
        .bind(number(|held| held.fence.get())?)
        .bind(held.map(|held| held.kind.as_str()))
        .bind(held.map(|held| held.until)))
}

fn bind_slot(
    operation: &'static str,
    statement: Statement,
    slot: Option<&Credential>,
) -> Result<Statement> {
    let number = |read: fn(&Credential) -> u64| maybe_integer(operation, slot.map(read));
    Ok(statement
        .bind(number(|kept| kept.grant.get())?)
        .bind(number(|kept| kept.generation.get())?)
        .bind(number(|kept| kept.fence.get())?)
        .bind(slot.and_then(|kept| kept.access_until))
        .bind(slot.and_then(|kept| kept.refresh_until))
        .bind_maybe_sealed(slot.map(|kept| &kept.sealed)))
}

/// Returns the statement that inserts the record of a first grant.
pub(crate) fn insert(
    operation: &'static str,
    grant: &PutGrant,
    effects: &SideEffects,
) -> Result<Statement> {
    let left = |left: Option<std::time::Duration>| left.map(crate::statement::millis);
    Ok(Statement::with_effects(INSERT, &grant.key, effects)?
        .bind(grant.provider.as_str())
        .bind(grant.app.as_str())
        .bind(grant.account.key.as_str())
        .bind(grant.account.asserted)
        .bind(grant.account.label.as_deref())
        .bind(grant.account.host.as_deref())
        .bind(grant.status.as_str())
        .bind(grant.status.reason())
        .bind(grant.metadata.to_json()?.as_str())
        .bind(integer(operation, grant.grant.get())?)
        .bind(integer(operation, grant.generation.get())?)
        .bind(integer(operation, grant.fence.get())?)
        .bind(&digest_of(&grant.credential))
        .bind(left(grant.expiries.access))
        .bind(left(grant.expiries.refresh))
        .bind_sealed(&grant.credential)
        .bind(grant.takes.map(|state| state.as_bytes().to_vec())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_save_names_every_column_once() {
        for with_credentials in [false, true] {
            let sql = save_sql(with_credentials);
            for column in SAVED.iter().chain(&SAVED_CREDENTIALS) {
                let set = format!("{column} = $");
                let expected = SAVED.contains(column) || with_credentials;
                let count = sql.matches(&format!(", {set}")).count()
                    + sql.matches(&format!("SET {set}")).count();
                assert_eq!(count, usize::from(expected), "{column}");
            }
        }
    }
}
