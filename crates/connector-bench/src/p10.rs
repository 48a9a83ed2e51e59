//! P10: reading and refreshing a connection in SQLite, compared with the same statements on sqlx
//! alone.
//!
//! The raw side has the same schema, pragmas and connection settings, binds the same values and
//! reads the same columns. It omits all checks, data conversions and decisions.

use std::error::Error;
use std::hint::black_box;
use std::path::Path;
use std::time::Duration;

use connector_core::cipher::{KeyId, Sealed};
use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Expect, Expiries, Fence,
    Generation, GrantNumber, PutGrant, PutOutcome, SideEffects, TokenStore, WorkKind,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, Metadata, ProviderId, Status,
    TenantId,
};
use connector_store_sqlite::SqliteStore;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Column as _, ConnectOptions as _, Connection as _, Row as _, TypeInfo as _};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::turns::{Candidate, Figures, take_turns};

const TURNS: u32 = 501;
const OPERATIONS: u32 = 8;
const TARGET: f64 = 1.15;
const CONNECTIONS: u8 = 100;
const CREDENTIAL: usize = 1_024;

const LOAD: &str = "SELECT c.number, c.tenant, c.id, c.provider, c.app, c.account, c.asserted, \
    c.label, c.host, c.status, c.reason, c.status_since, c.failures, c.check_at, c.check_error, \
    c.rotates, c.metadata, c.grant_number, c.generation, c.confirmed, c.fence, c.version, \
    c.created_at, c.updated_at, c.refreshed_at, c.claim_id, c.claim_grant, c.claim_generation, \
    c.claim_fence, c.claim_kind, c.claim_until, u.grant_number, u.generation, u.fence, \
    u.access_until, u.refresh_until, u.key_id, u.sealed, p.grant_number, p.generation, p.fence, \
    p.access_until, p.refresh_until, p.key_id, p.sealed, q.grant_number, q.generation, q.fence, \
    q.access_until, q.refresh_until, q.key_id, q.sealed \
    FROM connections c \
    LEFT JOIN credentials u ON u.connection = c.number AND u.slot = 0 \
    LEFT JOIN credentials p ON p.connection = c.number AND p.slot = 1 \
    LEFT JOIN credentials q ON q.connection = c.number AND q.slot = 2 \
    WHERE c.tenant = ?1 AND c.id = ?2 ORDER BY q.fence DESC";

fn key(number: u8) -> Result<ConnectionKey, Box<dyn Error>> {
    let tenant = TenantId::new("tenant-1")?;
    Ok(ConnectionKey::new(
        tenant,
        ConnectionId::from_bytes([number; 16]),
    ))
}

fn sealed() -> Sealed {
    Sealed::new(KeyId::from_bytes([1; 8]), vec![0x5A; CREDENTIAL])
}

/// Creates a file with connections, and closes it.
async fn fill(path: &Path) -> Outcome {
    let store = SqliteStore::open(path).await?;
    for number in 0..CONNECTIONS {
        let mut metadata = Metadata::new();
        metadata.insert("plan", "basic")?;
        let grant = PutGrant {
            key: key(number)?,
            provider: ProviderId::from_static("shopify"),
            app: AppKey::default(),
            account: Account::identified(AccountKey::new(format!("account {number}"))?),
            expect: Expect::Absent,
            grant: GrantNumber::new(1),
            generation: Generation::new(1),
            fence: Fence::new(1),
            credential: sealed(),
            expiries: Expiries::default(),
            status: Status::Connected,
            metadata,
            takes: None,
        };
        let effects = SideEffects::none().with_work(WorkKind::Refresh, Duration::from_hours(1));
        let outcome = store.put_grant(grant, effects).await?;
        if outcome != PutOutcome::Stored {
            return Err("the file is not empty".into());
        }
    }
    store.close().await;
    Ok(())
}

/// Stores a refresh as the store does: the claim before the exchange, the commit after it.
async fn refresh(store: &SqliteStore, number: u8, seen: u64) -> Outcome {
    let key = key(number)?;
    let mut name = [number; 16];
    name[..8].copy_from_slice(&seen.to_be_bytes());
    let request = ClaimRequest {
        claim_id: ClaimId::from_bytes(name),
        grant: GrantNumber::new(1),
        seen: Generation::new(seen),
        kind: ClaimKind::Refresh,
        hold: Duration::from_mins(1),
        confirmed: None,
    };
    let ClaimOutcome::Granted { fence, .. } = store.claim(&key, request).await? else {
        return Err("the claim was not granted".into());
    };
    let commit = Commit {
        claim_id: ClaimId::from_bytes(name),
        grant: GrantNumber::new(1),
        base: Generation::new(seen),
        fence,
        credential: sealed(),
        expiries: Expiries::default(),
        status: Status::Connected,
        rotates: false,
        takes_pending: None,
    };
    let effects = SideEffects::none().with_work(WorkKind::Refresh, Duration::from_hours(1));
    match store.commit(&key, commit, effects).await? {
        CommitOutcome::Stored => Ok(()),
        _ => Err("the commit was not stored".into()),
    }
}

/// The same statements on sqlx alone.
struct Raw {
    readers: SqlitePool,
    writer: SqliteConnection,
}

impl Raw {
    async fn open(path: &Path) -> Result<Self, Box<dyn Error>> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .busy_timeout(Duration::from_millis(40))
            .foreign_keys(true)
            .pragma("trusted_schema", "OFF")
            .disable_statement_logging();
        let readers = SqlitePoolOptions::new()
            .max_connections(4)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().read_only(true));
        let writer = options
            .synchronous(SqliteSynchronous::Full)
            .pragma("secure_delete", "FAST")
            .connect()
            .await?;
        Ok(Self { readers, writer })
    }

    async fn load(&self, number: u8) -> Result<i64, sqlx::Error> {
        let mut connection = self.readers.acquire().await?;
        let rows = sqlx::query(LOAD)
            .bind("tenant-1")
            .bind([number; 16].as_slice())
            .fetch_all(&mut *connection)
            .await?;
        let row = rows.first().ok_or(sqlx::Error::RowNotFound)?;
        for (place, column) in row.columns().iter().enumerate() {
            match column.type_info().name() {
                "INTEGER" => drop(black_box(row.try_get::<Option<i64>, _>(place)?)),
                "TEXT" => drop(black_box(row.try_get::<Option<String>, _>(place)?)),
                _ => drop(black_box(row.try_get::<Option<Vec<u8>>, _>(place)?)),
            }
        }
        row.try_get(0)
    }

    async fn refresh(&mut self, number: u8, seen: i64) -> Result<(), sqlx::Error> {
        let id = [number; 16];
        let mut name = [number; 16];
        name[..8].copy_from_slice(&seen.to_be_bytes());
        let mut claim = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        let row = sqlx::query(LOAD)
            .bind("tenant-1")
            .bind(id.as_slice())
            .fetch_one(&mut *claim)
            .await?;
        let connection: i64 = row.try_get(0)?;
        sqlx::query(
            "UPDATE connections SET fence = fence + 1, version = version + 1, updated_at = ?2, \
             claim_id = ?3, claim_grant = 1, claim_generation = ?4, claim_fence = ?5, \
             claim_kind = 'refresh', claim_until = ?2 WHERE number = ?1",
        )
        .bind(connection)
        .bind(1_700_000_000_000_i64)
        .bind(name.as_slice())
        .bind(seen)
        .bind(seen + 1)
        .execute(&mut *claim)
        .await?;
        claim.commit().await?;

        let mut commit = self.writer.begin_with("BEGIN IMMEDIATE").await?;
        sqlx::query(LOAD)
            .bind("tenant-1")
            .bind(id.as_slice())
            .fetch_one(&mut *commit)
            .await?;
        sqlx::query("DELETE FROM credentials WHERE connection = ?1 AND slot = 1")
            .bind(connection)
            .execute(&mut *commit)
            .await?;
        sqlx::query("UPDATE credentials SET slot = 1 WHERE connection = ?1 AND slot = 0")
            .bind(connection)
            .execute(&mut *commit)
            .await?;
        sqlx::query(
            "INSERT INTO credentials (connection, slot, grant_number, generation, fence, key_id, \
             sealed) VALUES (?1, 0, 1, ?2, ?2, ?3, ?4)",
        )
        .bind(connection)
        .bind(seen + 1)
        .bind([1_u8; 8].as_slice())
        .bind(vec![0x5A_u8; CREDENTIAL])
        .execute(&mut *commit)
        .await?;
        sqlx::query(
            "INSERT INTO work (tenant, connection, kind, due_at, leased_until) \
             VALUES (?1, ?2, 'refresh', ?3, ?3) ON CONFLICT (tenant, connection, kind) \
             DO UPDATE SET due_at = excluded.due_at, leased = 0",
        )
        .bind("tenant-1")
        .bind(id.as_slice())
        .bind(1_700_000_000_000 + seen)
        .execute(&mut *commit)
        .await?;
        sqlx::query(
            "UPDATE connections SET generation = generation + 1, version = version + 1, \
             failures = 0, updated_at = ?2, refreshed_at = ?2, claim_id = NULL, \
             claim_grant = NULL, claim_generation = NULL, claim_fence = NULL, claim_kind = NULL, \
             claim_until = NULL, outcomes = ?3 WHERE number = ?1",
        )
        .bind(connection)
        .bind(1_700_000_000_000_i64)
        .bind([0x5A_u8; 136].as_slice())
        .execute(&mut *commit)
        .await?;
        commit.commit().await
    }
}

pub(crate) fn measure() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let directory = tempfile::tempdir()?;
    let (path, raw_path) = (
        directory.path().join("store.db"),
        directory.path().join("raw.db"),
    );
    runtime.block_on(fill(&path))?;
    runtime.block_on(fill(&raw_path))?;
    let store = runtime.block_on(SqliteStore::open(&path))?;
    let raw = runtime.block_on(Raw::open(&raw_path))?;

    let reads = reads(&runtime, &store, &raw)?;
    let writes = writes(&runtime, &store, raw)?;
    println!(
        "{TURNS} turns of {OPERATIONS} operations each, {CONNECTIONS} connections, credentials of \
         {CREDENTIAL} bytes, µs per operation\n"
    );
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (name, figures) in [
        ("store load", &reads[0]),
        ("raw sqlx, the same statement", &reads[1]),
        ("store claim and commit", &writes[0]),
        ("raw sqlx, the same two transactions", &writes[1]),
    ] {
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            figures.min() / 1e3,
            figures.median() / 1e3,
            figures.max() / 1e3
        );
    }
    println!("\n| Row | Ratio: min | median | max | Target | Met |\n|---|---|---|---|---|---|");
    for (name, figures) in [("P10 get", &reads), ("P10 persist", &writes)] {
        let ratio = figures[0].ratio_to(&figures[1]);
        println!(
            "| {name} | {:.2} | {:.2} | {:.2} | {TARGET} | {} |",
            ratio.min(),
            ratio.median(),
            ratio.max(),
            if ratio.median() <= TARGET {
                "yes"
            } else {
                "no"
            }
        );
    }
    Ok(())
}

/// Records the first failure of a benchmark, because the benchmarked closure cannot return an
/// error.
fn note<E: Into<Box<dyn Error>>>(failure: &mut Option<Box<dyn Error>>, outcome: Result<(), E>) {
    if let Err(error) = outcome {
        failure.get_or_insert(error.into());
    }
}

fn reads(
    runtime: &Runtime,
    store: &SqliteStore,
    raw: &Raw,
) -> Result<Vec<Figures>, Box<dyn Error>> {
    let (mut failed, mut raw_failed) = (None, None);
    let (mut next, mut raw_next) = (0, 0);
    let figures = take_turns(
        &mut [
            Candidate::new("store load", || {
                next = (next + 1) % CONNECTIONS;
                let outcome = runtime.block_on(async {
                    let stored = store.load(&key(next)?).await?;
                    stored
                        .map(drop)
                        .ok_or("the connection does not exist".into())
                });
                note::<Box<dyn Error>>(&mut failed, outcome);
            }),
            Candidate::new("raw", || {
                raw_next = (raw_next + 1) % CONNECTIONS;
                let outcome = runtime.block_on(raw.load(raw_next)).map(drop);
                note(&mut raw_failed, outcome);
            }),
        ],
        TURNS,
        OPERATIONS,
    );
    failed.or(raw_failed).map_or(Ok(figures), Err)
}

fn writes(
    runtime: &Runtime,
    store: &SqliteStore,
    mut raw: Raw,
) -> Result<Vec<Figures>, Box<dyn Error>> {
    let (mut failed, mut raw_failed) = (None, None);
    let (mut done, mut raw_done) = (0_u64, 0_i64);
    let count = u64::from(CONNECTIONS);
    let figures = take_turns(
        &mut [
            Candidate::new("store claim and commit", || {
                let number = u8::try_from(done % count).unwrap_or(0);
                let outcome = runtime.block_on(refresh(store, number, done / count + 1));
                note(&mut failed, outcome);
                done += 1;
            }),
            Candidate::new("raw", || {
                let count = i64::from(CONNECTIONS);
                let number = u8::try_from(raw_done % count).unwrap_or(0);
                let outcome = runtime.block_on(raw.refresh(number, raw_done / count + 1));
                note(&mut raw_failed, outcome);
                raw_done += 1;
            }),
        ],
        TURNS,
        OPERATIONS,
    );
    failed.or(raw_failed).map_or(Ok(figures), Err)
}
