//! P11: the sweep for due work over a million connections in SQLite. It is compared with a narrow
//! table (number, due time, fence) that sqlx claims from with the same pragmas. A second
//! measurement compares the refresh rate of the hub's worker with the maximum rate that the latency
//! of the token endpoint permits.
//!
//! The peer is the design that the narrow table replaces: the lease in the row of the credential.

use std::error::Error;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use connector_core::clock::{Clock as _, SystemClock, Timestamp};
use connector_core::store::{SideEffects, TokenStore as _, WorkKind};
use connector_store_sqlite::SqliteStore;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteRow, SqliteSynchronous};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _, Row as _};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::fixture::{Endpoint, hub_over};
use crate::turns::{Candidate, Figures, take_turns};

const CONNECTIONS: u32 = 1_000_000;
/// One in this many connections is due.
const DUE: u32 = 20;
/// Size of a sealed credential in every row of the peer's table, in bytes.
const CREDENTIAL: u32 = 1_024;
/// Number of jobs per lease call, as in the worker.
const BATCH: u16 = 256;
const LEASE: Duration = Duration::from_mins(5);
/// Number of measured turns. The due rows suffice for one more turn, which is a warm-up. The
/// remaining rows are claimed before the idle sweeps.
const TURNS: u32 = 18;
const CLAIMS: u32 = 8;
const IDLE_TURNS: u32 = 101;
const TARGET: f64 = 0.85;
const IDLE_TARGET_MS: f64 = 1.0;

const REFRESHES: u16 = 240;
const LATENCY: Duration = Duration::from_millis(100);
const IN_FLIGHT: u16 = 8;
const REFRESH_TURNS: u32 = 5;
const REFRESH_TARGET: f64 = 0.90;

/// SQL for the due time of row `n`. The order of due times differs from the order of rows, as for
/// real expiry times.
const DUE_AT: &str =
    "CASE WHEN n % ?3 = 0 THEN ?2 - (n * 7919) % 100003 ELSE ?2 + 86400000 + n END";

/// Opens a connection with the pragmas of the store's writing connection.
async fn writer(path: &Path) -> sqlx::Result<SqliteConnection> {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .busy_timeout(Duration::from_millis(40))
        .foreign_keys(true)
        .pragma("trusted_schema", "OFF")
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "FAST")
        .disable_statement_logging()
        .connect()
        .await
}

/// Creates the store's own schema, with a row in both of its tables for every connection, filled by
/// SQL.
async fn fill_store(path: &Path, now: Timestamp) -> Outcome {
    SqliteStore::open(path).await?.close().await;
    let mut connection = writer(path).await?;
    let mut fill = connection.begin().await?;
    let numbers = "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) ";
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "{numbers} INSERT INTO connections (tenant, id, provider, app, account, asserted, status, \
         status_since, failures, rotates, metadata, grant_number, generation, fence, version, \
         created_at, updated_at, refreshed_at, first_sealed) \
         SELECT 'tenant-' || (n / 1000), unhex(printf('%032x', n)), 'acme', 'default', \
         'account-' || n, 0, 'connected', ?2, 0, 0, '{{}}', 1, 1, 1, 1, ?2, ?2, ?2, zeroblob(32) \
         FROM n"
    )))
    .bind(CONNECTIONS)
    .bind(now.as_unix_millis())
    .execute(&mut *fill)
    .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "{numbers} INSERT INTO work (tenant, connection, kind, due_at, leased_until) \
         SELECT 'tenant-' || (n / 1000), unhex(printf('%032x', n)), 'refresh', due, due FROM \
         (SELECT n, {DUE_AT} AS due FROM n)"
    )))
    .bind(CONNECTIONS)
    .bind(now.as_unix_millis())
    .bind(DUE)
    .execute(&mut *fill)
    .await?;
    fill.commit().await?;
    connection.close().await?;
    Ok(())
}

/// Creates a table whose rows contain their own lease, with additional `columns` and their
/// `values`.
async fn fill_table(
    path: &Path,
    columns: &str,
    values: &str,
    now: Timestamp,
) -> sqlx::Result<SqliteConnection> {
    let mut connection = writer(path).await?;
    // Without a journal, the gigabyte is written only once.
    connection.execute("PRAGMA journal_mode = OFF").await?;
    let mut fill = connection.begin().await?;
    let sql = format!(
        "CREATE TABLE due (id INTEGER PRIMARY KEY, due_at INTEGER NOT NULL, \
         fence INTEGER NOT NULL{columns}) STRICT; CREATE INDEX due_first ON due (due_at);"
    );
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
        .execute(&mut *fill)
        .await?;
    sqlx::query(sqlx::AssertSqlSafe(format!(
        "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < ?1) \
         INSERT INTO due SELECT n, {DUE_AT}, 0{values} FROM n"
    )))
    .bind(CONNECTIONS)
    .bind(now.as_unix_millis())
    .bind(DUE)
    .execute(&mut *fill)
    .await?;
    fill.commit().await?;
    connection.execute("PRAGMA journal_mode = WAL").await?;
    Ok(connection)
}

/// Claims due rows in one transaction. The end of the lease becomes the next due time.
async fn claim(connection: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let now = SystemClock::new().now();
    let mut claim = connection.begin_with("BEGIN IMMEDIATE").await?;
    let rows: Vec<SqliteRow> = sqlx::query(
        "UPDATE due SET fence = fence + 1, due_at = ?2 WHERE id IN \
         (SELECT id FROM due WHERE due_at <= ?1 ORDER BY due_at LIMIT ?3) \
         RETURNING id, due_at, fence",
    )
    .bind(now.as_unix_millis())
    .bind(now.after(LEASE).as_unix_millis())
    .bind(BATCH)
    .fetch_all(&mut *claim)
    .await?;
    for row in &rows {
        std::hint::black_box((
            row.try_get::<i64, _>(0)?,
            row.try_get::<i64, _>(1)?,
            row.try_get::<i64, _>(2)?,
        ));
    }
    claim.commit().await?;
    Ok(rows.len())
}

/// Queries the narrow table for due rows and finds none.
async fn look(connection: &mut SqliteConnection) -> Result<usize, sqlx::Error> {
    let now = SystemClock::new().now();
    let rows = sqlx::query("SELECT id FROM due WHERE due_at <= ?1 ORDER BY due_at LIMIT 1")
        .bind(now.as_unix_millis())
        .fetch_all(connection)
        .await?;
    Ok(rows.len())
}

/// Records the first failure of a benchmark, because the benchmarked closure cannot return an
/// error. Any number of rows other than `expected` is a failure.
fn note<E: Into<Box<dyn Error>>>(
    failure: &mut Option<Box<dyn Error>>,
    outcome: Result<usize, E>,
    expected: usize,
) {
    match outcome {
        Ok(rows) if rows == expected => {}
        Ok(rows) => {
            failure.get_or_insert_with(|| format!("{rows} rows instead of {expected}").into());
        }
        Err(error) => {
            failure.get_or_insert(error.into());
        }
    }
}

/// The three compared tables.
struct Tables {
    store: SqliteStore,
    narrow: SqliteConnection,
    wide: SqliteConnection,
}

impl Tables {
    async fn fill(directory: &Path) -> Result<Self, Box<dyn Error>> {
        let now = SystemClock::new().now();
        let path = directory.join("store.db");
        fill_store(&path, now).await?;
        let sealed = format!(", randomblob({CREDENTIAL})");
        Ok(Self {
            store: SqliteStore::open(&path).await?,
            narrow: fill_table(&directory.join("narrow.db"), "", "", now).await?,
            wide: fill_table(
                &directory.join("wide.db"),
                ", sealed BLOB NOT NULL",
                &sealed,
                now,
            )
            .await?,
        })
    }

    fn claims(&mut self, runtime: &Runtime) -> Result<Vec<Figures>, Box<dyn Error>> {
        let (mut failed, mut narrow_failed, mut wide_failed) = (None, None, None);
        let batch = usize::from(BATCH);
        let Self {
            store,
            narrow,
            wide,
        } = self;
        let figures = take_turns(
            &mut [
                Candidate::new("store", || {
                    for _ in 0..CLAIMS {
                        let taken = runtime.block_on(store.take_due(&WorkKind::ALL, BATCH, LEASE));
                        note(&mut failed, taken.map(|due| due.len()), batch);
                    }
                }),
                Candidate::new("narrow", || {
                    for _ in 0..CLAIMS {
                        note(&mut narrow_failed, runtime.block_on(claim(narrow)), batch);
                    }
                }),
                Candidate::new("wide", || {
                    for _ in 0..CLAIMS {
                        note(&mut wide_failed, runtime.block_on(claim(wide)), batch);
                    }
                }),
            ],
            TURNS,
            1,
        );
        failed
            .or(narrow_failed)
            .or(wide_failed)
            .map_or(Ok(figures), Err)
    }

    /// Claims all remaining due rows, and then measures the next queries without a pause.
    fn idle(&mut self, runtime: &Runtime) -> Result<(Vec<Figures>, f64), Box<dyn Error>> {
        let Self { store, narrow, .. } = self;
        while runtime
            .block_on(store.take_due(&WorkKind::ALL, BATCH, LEASE))?
            .len()
            == usize::from(BATCH)
        {}
        let clock = SystemClock::new();
        let start = clock.monotonic();
        let first = runtime.block_on(store.take_due(&WorkKind::ALL, BATCH, LEASE));
        let first_took = clock.monotonic().since(start).as_secs_f64() * 1e3;
        if !first?.is_empty() {
            return Err("some rows were still due".into());
        }
        while runtime.block_on(claim(narrow))? == usize::from(BATCH) {}
        let (mut failed, mut narrow_failed) = (None, None);
        let figures = take_turns(
            &mut [
                Candidate::new("store", || {
                    let taken = runtime.block_on(store.take_due(&WorkKind::ALL, BATCH, LEASE));
                    note(&mut failed, taken.map(|due| due.len()), 0);
                }),
                Candidate::new("narrow", || {
                    note(&mut narrow_failed, runtime.block_on(look(narrow)), 0);
                }),
            ],
            IDLE_TURNS,
            1,
        );
        failed
            .or(narrow_failed)
            .map_or(Ok((figures, first_took)), Err)
    }
}

/// Measures how long a worker takes to refresh all connections of a file, all of which are due.
async fn refresh_all(directory: &Path) -> Result<Duration, Box<dyn Error>> {
    let path = directory.join("refreshes.db");
    let store = SqliteStore::open(&path).await?;
    let endpoint = Endpoint {
        takes: LATENCY,
        ..Endpoint::default()
    };
    let calls = std::sync::Arc::clone(&endpoint.calls);
    let due = SideEffects::none().with_work(WorkKind::Refresh, Duration::ZERO);
    let (hub, _) = hub_over(store, u32::from(REFRESHES), Duration::ZERO, due, endpoint).await?;
    let worker = hub.worker().concurrency(usize::from(IN_FLIGHT));
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let tick = worker.tick().await?;
    let taken = clock.monotonic().since(start);
    hub.shutdown(LATENCY * 10).await?;
    let calls = calls.load(Ordering::SeqCst);
    if calls != u32::from(REFRESHES) {
        return Err(format!("{calls} refreshes, {} jobs", tick.work).into());
    }
    Ok(taken)
}

pub(crate) fn measure() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let directory = tempfile::tempdir()?;
    let clock = SystemClock::new();
    let start = clock.monotonic();
    let mut tables = runtime.block_on(Tables::fill(directory.path()))?;
    let filled = clock.monotonic().since(start);
    let mut sizes = Vec::new();
    for file in ["store.db", "narrow.db", "wide.db"] {
        sizes.push(std::fs::metadata(directory.path().join(file))?.len() >> 20);
    }
    let claims = tables.claims(&runtime)?;
    let (idle, first_idle) = tables.idle(&runtime)?;
    drop(tables);

    println!(
        "{CONNECTIONS} connections, one in {DUE} due, {BATCH} claims in a transaction; {TURNS} \
         turns of {CLAIMS} transactions; files of {}, {} and {} MiB, filled in {:.0} s; µs per claim\n",
        sizes[0],
        sizes[1],
        sizes[2],
        filled.as_secs_f64()
    );
    let single = 1.0 / f64::from(BATCH) / f64::from(CLAIMS);
    let [store, narrow, wide] = [0, 1, 2].map(|place: usize| claims[place].scaled(single));
    println!("| What | min | median | max | claims/s, median |\n|---|---|---|---|---|");
    for (name, figures) in [
        ("store", &store),
        ("raw sqlx, narrow table", &narrow),
        ("peer: lease in the row of the credential", &wide),
    ] {
        println!(
            "| {name} | {:.1} | {:.1} | {:.1} | {:.0} |",
            figures.min() / 1e3,
            figures.median() / 1e3,
            figures.max() / 1e3,
            1e9 / figures.median()
        );
    }
    println!(
        "\nThe idle sweep right after every due row was claimed, {IDLE_TURNS} turns, µs; the very first took {first_idle:.2} ms.\n"
    );
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (name, figures) in [("store", &idle[0]), ("raw sqlx, narrow table", &idle[1])] {
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            figures.min() / 1e3,
            figures.median() / 1e3,
            figures.max() / 1e3
        );
    }

    let possible = f64::from(IN_FLIGHT) / LATENCY.as_secs_f64();
    let mut shares = Vec::new();
    for _ in 0..REFRESH_TURNS {
        let directory = tempfile::tempdir()?;
        let taken = runtime.block_on(refresh_all(directory.path()))?;
        shares.push(f64::from(REFRESHES) / taken.as_secs_f64() / possible);
    }
    shares.sort_by(f64::total_cmp);
    let share = shares[shares.len() / 2];

    let ratio = narrow.ratio_to(&store);
    let idle_median = idle[0].median() / 1e6;
    let yes = |met: bool| if met { "yes" } else { "no" };
    println!("\n| Row | min | median | max | Target | Met |\n|---|---|---|---|---|---|");
    println!(
        "| P11 claims/s to the narrow table's | {:.2} | {:.2} | {:.2} | at least {TARGET:.2} | {} |",
        ratio.min(),
        ratio.median(),
        ratio.max(),
        yes(ratio.median() >= TARGET)
    );
    println!(
        "| P11 idle sweep, ms | {:.3} | {idle_median:.3} | {:.3} | at most {IDLE_TARGET_MS} | {} |",
        idle[0].min() / 1e6,
        idle[0].max() / 1e6,
        yes(idle_median <= IDLE_TARGET_MS && first_idle <= IDLE_TARGET_MS)
    );
    println!(
        "| P11 refreshes/s to in flight / latency | {:.2} | {share:.2} | {:.2} | at least {REFRESH_TARGET:.2} | {} |",
        shares[0],
        shares[shares.len() - 1],
        yes(share >= REFRESH_TARGET)
    );
    println!(
        "\nThe worker's refreshes: {REFRESHES} connections in SQLite, an endpoint of {} ms, \
         {IN_FLIGHT} in flight, {REFRESH_TURNS} turns; at most {possible:.0}/s are possible. The \
         first idle sweep must meet the target too.",
        LATENCY.as_millis()
    );
    Ok(())
}
