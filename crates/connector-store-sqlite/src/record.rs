//! The record of one connection, which is read in one statement, changed in memory, and written
//! back.

use connector_core::cipher::Sealed;
use connector_core::clock::Timestamp;
use connector_core::store::{
    AccountRef, Claim, ClaimId, ClaimKind, CommitOutcome, ConnectionRecord, Expiries, Fence,
    Generation, GrantNumber, PendingCredential, PutGrant, Stored, StoredCredential, TimeLeft,
    Version,
};
use connector_core::{Account, Check, ConnectionKey, Metadata, Result, Status};
use sqlx::sqlite::SqliteRow;

use crate::columns::{Columns, digest, integer, maybe_integer};
use crate::database::{Statement, Write, of_connection};
use crate::error::unreadable;

/// Number of stored commit outcomes: one, and up to 7 later ones before the call is repeated.
const REMEMBERED: usize = 8;

/// The columns that [`connection`] reads, in the same order.
macro_rules! connection_columns {
    () => {
        "c.number, c.tenant, c.id, c.provider, c.app, c.account, c.asserted, c.label, c.host, \
         c.status, c.reason, c.status_since, c.failures, c.check_at, c.check_error, c.rotates, c.metadata, \
         c.grant_number, c.generation, c.confirmed, c.fence, c.version, c.created_at, \
         c.updated_at, c.refreshed_at"
    };
}
pub(crate) use connection_columns;

macro_rules! credential_columns {
    ($table:literal) => {
        concat!(
            $table,
            ".grant_number, ",
            $table,
            ".generation, ",
            $table,
            ".fence, ",
            $table,
            ".access_until, ",
            $table,
            ".refresh_until, ",
            $table,
            ".key_id, ",
            $table,
            ".sealed"
        )
    };
}

/// Selects one connection with its credentials and claim. The result has one row per pending pair,
/// and at least one row.
macro_rules! record_of {
    ($columns:expr, $condition:literal) => {
        concat!(
            "SELECT ",
            connection_columns!(),
            ", c.claim_id, c.claim_grant, c.claim_generation, c.claim_fence, c.claim_kind, \
             c.claim_until, ",
            credential_columns!("u"),
            ", ",
            credential_columns!("p"),
            ", ",
            credential_columns!("q"),
            $columns,
            " FROM connections c \
             LEFT JOIN credentials u ON u.connection = c.number AND u.slot = 0 \
             LEFT JOIN credentials p ON p.connection = c.number AND p.slot = 1 \
             LEFT JOIN credentials q ON q.connection = c.number AND q.slot = 2 \
             WHERE ",
            $condition,
            " ORDER BY q.fence DESC"
        )
    };
}

const LOAD: &str = record_of!("", "c.tenant = ?1 AND c.id = ?2");

/// Adds the columns that only writes need.
macro_rules! record_to_change {
    ($condition:literal) => {
        record_of!(
            ", c.superseded_id, c.superseded_grant, c.superseded_generation, c.superseded_fence, \
             c.superseded_kind, c.superseded_until, c.first_sealed, c.outcomes, c.failed_claims",
            $condition
        )
    };
}

const CHANGE_BY_KEY: &str = record_to_change!("c.tenant = ?1 AND c.id = ?2");
const CHANGE_BY_ACCOUNT: &str =
    record_to_change!("c.tenant = ?1 AND c.provider = ?2 AND c.app = ?3 AND c.account = ?4");

/// Updates every column that can change, except the host, which has an index.
const SAVE: &str = "UPDATE connections SET \
    asserted = ?2, label = ?3, status = ?4, reason = ?5, status_since = ?6, failures = ?7, \
    check_at = ?8, check_error = ?9, rotates = ?10, metadata = ?11, grant_number = ?12, \
    generation = ?13, confirmed = ?14, fence = ?15, version = ?16, updated_at = ?17, \
    refreshed_at = ?18, claim_id = ?19, claim_grant = ?20, claim_generation = ?21, \
    claim_fence = ?22, claim_kind = ?23, claim_until = ?24, superseded_id = ?25, \
    superseded_grant = ?26, superseded_generation = ?27, superseded_fence = ?28, \
    superseded_kind = ?29, superseded_until = ?30, first_sealed = ?31, outcomes = ?32, \
    failed_claims = ?33 \
    WHERE number = ?1";

const INSERT: &str = "INSERT INTO connections (tenant, id, provider, app, account, asserted, \
    label, status, reason, status_since, failures, rotates, metadata, grant_number, generation, \
    fence, version, created_at, updated_at, refreshed_at, first_sealed, host) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, 0, 0, ?11, ?12, ?13, ?14, 1, ?10, ?10, ?10, \
    ?15, ?16) RETURNING number";

const INSERT_CREDENTIAL: &str = "INSERT INTO credentials (connection, slot, grant_number, \
    generation, fence, access_until, refresh_until, key_id, sealed) \
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
    ON CONFLICT (connection, slot, fence) DO NOTHING";

/// The role of a credential, stored as a number in its column.
#[derive(Clone, Copy)]
pub(crate) enum Slot {
    Current,
    Previous,
    Pending,
}

impl Slot {
    pub(crate) const fn number(self) -> i64 {
        match self {
            Self::Current => 0,
            Self::Previous => 1,
            Self::Pending => 2,
        }
    }
}

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

    fn read(columns: &mut Columns<'_>) -> Result<Option<Self>> {
        if columns.is_null()? {
            columns.skip(7);
            return Ok(None);
        }
        Ok(Some(Self {
            grant: GrantNumber::new(columns.number()?),
            generation: Generation::new(columns.number()?),
            fence: Fence::new(columns.number()?),
            access_until: columns.maybe_time()?,
            refresh_until: columns.maybe_time()?,
            sealed: columns.sealed()?,
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

    /// Returns the statement that inserts the credential.
    pub(crate) fn insert(
        &self,
        operation: &'static str,
        connection: i64,
        slot: Slot,
    ) -> Result<Statement> {
        Ok(sqlx::query(INSERT_CREDENTIAL)
            .bind(connection)
            .bind(slot.number())
            .bind(integer(operation, self.grant.get())?)
            .bind(integer(operation, self.generation.get())?)
            .bind(integer(operation, self.fence.get())?)
            .bind(self.access_until.map(Timestamp::as_unix_millis))
            .bind(self.refresh_until.map(Timestamp::as_unix_millis))
            .bind(self.sealed.key_id().as_bytes().as_slice())
            .bind(self.sealed.bytes().as_ref()))
    }
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
pub(crate) struct Record {
    pub(crate) number: i64,
    pub(crate) connection: ConnectionRecord,
    pub(crate) claim: Option<Held>,
    pub(crate) current: Option<Credential>,
    pub(crate) previous: Option<Credential>,
    /// The pending pairs, newest fence first.
    pub(crate) pending: Vec<Credential>,
    history: History,
}

/// The stored claims and grants, to recognize repeated calls.
#[derive(Default)]
struct History {
    superseded: Option<Held>,
    first: [u8; 32],
    /// Newest first: 16 bytes of a claim id and one byte for the outcome.
    outcomes: Vec<u8>,
    /// Newest first: 16 bytes of a claim id.
    failed: Vec<u8>,
}

const STORED: u8 = 1;
const PENDING: u8 = 2;

/// Returns the statement that selects a connection for [`read`].
pub(crate) fn load(key: &ConnectionKey) -> Statement {
    of_connection(LOAD, key)
}

/// Parses the rows of [`load`].
pub(crate) fn read(operation: &'static str, rows: &[SqliteRow]) -> Result<Option<Record>> {
    read_rows(operation, rows, |_| Ok(History::default()))
}

/// Reads a connection in order to change it.
pub(crate) async fn by_key(write: &mut Write<'_>, key: &ConnectionKey) -> Result<Option<Record>> {
    let rows = write.rows(of_connection(CHANGE_BY_KEY, key)).await?;
    read_rows(write.operation(), &rows, History::read)
}

/// Reads the connection of an account in order to change it.
pub(crate) async fn by_account(
    write: &mut Write<'_>,
    account: &AccountRef,
) -> Result<Option<Record>> {
    let statement = sqlx::query(CHANGE_BY_ACCOUNT)
        .bind(account.tenant.as_str())
        .bind(account.provider.as_str())
        .bind(account.app.as_str())
        .bind(account.account.as_str());
    let rows = write.rows(statement).await?;
    read_rows(write.operation(), &rows, History::read)
}

fn read_rows(
    operation: &'static str,
    rows: &[SqliteRow],
    history: impl FnOnce(&mut Columns<'_>) -> Result<History>,
) -> Result<Option<Record>> {
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let mut columns = Columns::new(first, operation);
    let (number, connection) = connection(&mut columns)?;
    let claim = Held::read(&mut columns)?;
    let current = Credential::read(&mut columns)?;
    let previous = Credential::read(&mut columns)?;
    let at = columns;
    let mut pending = Vec::new();
    for row in rows {
        pending.extend(Credential::read(&mut at.on(row))?);
    }
    let mut columns = at;
    columns.skip(7);
    Ok(Some(Record {
        number,
        connection,
        claim,
        current,
        previous,
        pending,
        history: history(&mut columns)?,
    }))
}

impl History {
    fn read(columns: &mut Columns<'_>) -> Result<Self> {
        Ok(Self {
            superseded: Held::read(columns)?,
            first: columns.bytes()?,
            outcomes: columns.take()?,
            failed: columns.take()?,
        })
    }
}

/// Prepends an entry and drops the oldest entries above the limit.
fn remember(entries: &mut Vec<u8>, entry: &[u8]) {
    entries.splice(0..0, entry.iter().copied());
    entries.truncate(REMEMBERED * entry.len());
}

impl Record {
    pub(crate) fn stored(self, now: Timestamp) -> Stored {
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

    pub(crate) fn set_status(&mut self, status: Status, now: Timestamp) {
        if self.connection.status != status {
            self.connection.status = status;
            self.connection.status_since = now;
        }
    }

    /// Updates the version and the time of the last write.
    pub(crate) fn written(&mut self, now: Timestamp) {
        self.connection.version = self.connection.version.next();
        self.connection.updated_at = now;
    }

    /// Records the generation that the provider accepted. Returns true if the previous credential
    /// is no longer needed. Ignores a generation that this store does not have (for example after a
    /// restore from a backup).
    pub(crate) fn confirm(&mut self, accepted: Option<Generation>) -> bool {
        let connection = &mut self.connection;
        let Some(accepted) = accepted.filter(|seen| *seen <= connection.generation) else {
            return false;
        };
        connection.confirmed = connection.confirmed.max(Some(accepted));
        accepted == connection.generation && self.previous.take().is_some()
    }

    /// Replaces the current claim and returns the replaced claim.
    pub(crate) fn stand(&mut self, claim: Held) -> Option<Held> {
        self.history.superseded = self.claim.replace(claim);
        self.history.superseded.clone()
    }

    /// Returns the claim that the current claim superseded.
    pub(crate) fn superseded(&self) -> Option<&Held> {
        self.history.superseded.as_ref()
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
        self.history.superseded = None;
    }

    /// Returns the current claim if it has a different fence and its hold time has not passed.
    pub(crate) fn standing_beside(&self, fence: Fence, now: Timestamp) -> Option<&Held> {
        self.claim
            .as_ref()
            .filter(|held| held.fence != fence && now < held.until)
    }

    /// Returns the outcome of an earlier commit under this claim.
    pub(crate) fn outcome_of(&self, claim_id: ClaimId) -> Option<CommitOutcome> {
        self.history
            .outcomes
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
        self.remember_outcome(claim_id, STORED);
    }

    pub(crate) fn remember_pending(&mut self, claim_id: ClaimId) {
        self.remember_outcome(claim_id, PENDING);
    }

    fn remember_outcome(&mut self, claim_id: ClaimId, outcome: u8) {
        let mut entry = [outcome; 17];
        entry[..16].copy_from_slice(claim_id.as_bytes());
        remember(&mut self.history.outcomes, &entry);
    }

    /// Increments the count of consecutive failures, once per claim.
    pub(crate) fn count_failure(&mut self, claim_id: ClaimId) {
        let counted = self
            .history
            .failed
            .chunks_exact(16)
            .any(|name| name == claim_id.as_bytes());
        if !counted {
            remember(&mut self.history.failed, claim_id.as_bytes());
            self.connection.failures = self.connection.failures.saturating_add(1);
        }
    }

    /// Returns true if the connection still contains exactly the data of this grant.
    pub(crate) fn first_is_current(&self, grant: &PutGrant) -> bool {
        self.connection.grant == grant.grant
            && self.connection.generation == grant.generation
            && self.current.is_some()
            && self.history.first == digest(&grant.credential)
    }

    /// Clears the data of the ended grant. [`delete_credentials`] deletes the rows of its
    /// credentials.
    fn end_grant(&mut self) {
        self.current = None;
        self.previous = None;
        self.pending.clear();
        self.clear_claim();
    }

    pub(crate) fn deactivate(&mut self, now: Timestamp) {
        self.end_grant();
        self.set_status(Status::Disconnected, now);
        let connection = &mut self.connection;
        connection.grant = connection.grant.next();
        connection.generation = connection.generation.next();
        connection.failures = 0;
        self.written(now);
    }

    /// Replaces the grant. The caller inserts the row of the credential.
    pub(crate) fn replace_grant(&mut self, grant: PutGrant, now: Timestamp) {
        self.end_grant();
        self.history.first = digest(&grant.credential);
        self.set_status(grant.status, now);
        let connection = &mut self.connection;
        connection.account = grant.account;
        connection.metadata = grant.metadata;
        connection.grant = grant.grant;
        connection.generation = grant.generation;
        connection.rotates = false;
        connection.failures = 0;
        connection.refreshed_at = now;
        self.written(now);
    }

    /// Returns the statement that writes the record back.
    pub(crate) fn save(&self, operation: &'static str) -> Result<Statement> {
        let connection = &self.connection;
        let check = connection.check.as_ref();
        let statement = sqlx::query(SAVE)
            .bind(self.number)
            .bind(connection.account.asserted)
            .bind(connection.account.label.as_deref())
            .bind(connection.status.as_str())
            .bind(connection.status.reason())
            .bind(connection.status_since.as_unix_millis())
            .bind(i64::from(connection.failures))
            .bind(check.map(|check| check.at.as_unix_millis()))
            .bind(check.and_then(|check| check.error.as_deref()))
            .bind(connection.rotates)
            .bind(connection.metadata.to_json()?)
            .bind(integer(operation, connection.grant.get())?)
            .bind(integer(operation, connection.generation.get())?)
            .bind(maybe_integer(
                operation,
                connection.confirmed.map(Generation::get),
            )?)
            .bind(integer(operation, connection.fence.get())?)
            .bind(integer(operation, connection.version.get())?)
            .bind(connection.updated_at.as_unix_millis())
            .bind(connection.refreshed_at.as_unix_millis());
        let statement = bind_claim(operation, statement, self.claim.as_ref())?;
        let statement = bind_claim(operation, statement, self.history.superseded.as_ref())?;
        Ok(statement
            .bind(self.history.first.as_slice())
            .bind(self.history.outcomes.as_slice())
            .bind(self.history.failed.as_slice()))
    }
}

fn bind_claim(
    operation: &'static str,
    statement: Statement,
    held: Option<&Held>,
) -> Result<Statement> {
    let Some(held) = held else {
        return Ok(statement
            .bind(None::<&[u8]>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(None::<i64>)
            .bind(None::<&str>)
            .bind(None::<i64>));
    };
    Ok(statement
        .bind(held.claim_id.as_bytes().as_slice())
        .bind(integer(operation, held.grant.get())?)
        .bind(integer(operation, held.generation.get())?)
        .bind(integer(operation, held.fence.get())?)
        .bind(held.kind.as_str())
        .bind(held.until.as_unix_millis()))
}

/// Inserts the record of a first grant and its credential.
pub(crate) async fn insert(write: &mut Write<'_>, grant: PutGrant) -> Result<()> {
    let (operation, now) = (write.operation(), write.now);
    let statement = sqlx::query(INSERT)
        .bind(grant.key.tenant.as_str())
        .bind(grant.key.id.as_bytes().as_slice())
        .bind(grant.provider.as_str())
        .bind(grant.app.as_str())
        .bind(grant.account.key.as_str())
        .bind(grant.account.asserted)
        .bind(grant.account.label.as_deref())
        .bind(grant.status.as_str())
        .bind(grant.status.reason())
        .bind(now.as_unix_millis())
        .bind(grant.metadata.to_json()?)
        .bind(integer(operation, grant.grant.get())?)
        .bind(integer(operation, grant.generation.get())?)
        .bind(integer(operation, grant.fence.get())?)
        .bind(digest(&grant.credential).as_slice())
        .bind(grant.account.host.as_deref());
    let rows = write.rows(statement).await?;
    let row = rows.first().ok_or_else(|| unreadable(operation))?;
    let number = Columns::new(row, operation).take()?;
    let credential = Credential::new(
        grant.credential,
        grant.grant,
        grant.generation,
        grant.fence,
        grant.expiries,
        now,
    );
    let insert = credential.insert(operation, number, Slot::Current)?;
    write.run(insert).await?;
    Ok(())
}

/// Returns the statement that updates the account's host.
pub(crate) fn save_host(connection: i64, host: Option<&str>) -> Statement {
    sqlx::query("UPDATE connections SET host = ?2 WHERE number = ?1")
        .bind(connection)
        .bind(host)
}

/// Returns the statement that deletes all credentials of a connection.
pub(crate) fn delete_credentials(connection: i64) -> Statement {
    sqlx::query("DELETE FROM credentials WHERE connection = ?1").bind(connection)
}

/// Returns the statement that deletes the previous credential of a connection.
pub(crate) fn delete_previous(connection: i64) -> Statement {
    sqlx::query("DELETE FROM credentials WHERE connection = ?1 AND slot = 1").bind(connection)
}
