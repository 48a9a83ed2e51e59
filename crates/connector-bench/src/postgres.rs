//! P10 and P11 in PostgreSQL: reading and refreshing a connection, and the sweep over 1,000,000
//! connections.
//!
//! The raw side has a second schema with the same tables and the same rows. It runs prepared statements
//! that read and write the same columns, without conditions, checks or conversions. The pattern of
//! other services (a transaction that locks the row, reads it and writes it) runs beside them.

use std::error::Error;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::{KeyId, Sealed};
use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Expiries, Generation,
    GrantNumber, SideEffects, TokenStore, WorkKind,
};
use connector_core::{ConnectionId, ConnectionKey, Status, TenantId};
use connector_store_postgres::{PostgresOptions, PostgresStore};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_postgres::{Client, NoTls, Row, Statement};

use crate::Outcome;
use crate::turns::{Candidate, Figures, take_turns};

const STORE: &str = "connectors_bench_store";
const RAW: &str = "connectors_bench_raw";
const CONNECTIONS: i64 = 100_000;
const CREDENTIAL: usize = 1_024;
const TURNS: u32 = 31;
const CLIENTS: [usize; 2] = [1, 16];
/// Number of operations per turn: rounds in which every client makes one call.
const ROUNDS: u32 = 16;

type Failure = Box<dyn Error + Send + Sync>;

#[expect(
    clippy::disallowed_methods,
    reason = "`cargo xtask bench` passes the address of the server that it started"
)]
fn url() -> Result<String, Failure> {
    std::env::var("CONNECTORS_POSTGRES")
        .map_err(|_| "CONNECTORS_POSTGRES does not contain the URL of a server".into())
}

async fn connect() -> Result<Client, Failure> {
    let (client, connection) = tokio_postgres::connect(&url()?, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

fn options(schema: &str) -> Result<PostgresOptions, Failure> {
    Ok(PostgresOptions::new(url()?)
        .with_schema(schema)
        .with_connections(16)
        .allow_data_loss(true))
}

fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
}

/// Creates a schema with the store's tables and `connections` rows.
async fn fill(schema: &str, connections: i64, with_secrets: bool) -> Result<(), Failure> {
    let client = connect().await?;
    client
        .batch_execute(&format!("DROP SCHEMA IF EXISTS {schema} CASCADE"))
        .await?;
    options(schema)?.migrate().await?;
    let sealed = if with_secrets {
        format!("decode(repeat(md5(n::text), {}), 'hex')", CREDENTIAL / 16)
    } else {
        "NULL".to_owned()
    };
    // 5 % of the work is due. The order of due times differs from the order of rows.
    let script = format!(
        "INSERT INTO {schema}.connections (tenant, id, provider, app, account, asserted, status, \
            status_since, metadata, grant_number, generation, fence, created_at, updated_at, \
            refreshed_at, first_sealed, a_grant, a_generation, a_fence, a_key, a_sealed, b_grant, \
            b_generation, b_fence, b_key, b_sealed) \
         SELECT 'tenant-' || n % 1000, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'acme', 'default', \
            'account-' || n, false, 'connected', 0, '{{}}', 1, 1, 1, 0, 0, 0, \
            decode(repeat('00', 32), 'hex'), 1, 1, 1, decode(repeat('01', 8), 'hex'), {sealed}, \
            1, 0, 0, decode(repeat('01', 8), 'hex'), {sealed} \
         FROM generate_series(1, {connections}) n; \
         INSERT INTO {schema}.work (tenant, connection, kind, due_at) \
         SELECT 'tenant-' || n % 1000, decode(lpad(to_hex(n), 32, '0'), 'hex'), 'refresh', \
            (extract(epoch FROM now()) * 1000)::bigint + CASE WHEN n % 20 = 0 \
            THEN -3600000 - (n::bigint * 7919) % 100003 ELSE 86400000 + n END \
         FROM generate_series(1, {connections}) n; \
         VACUUM ANALYZE {schema}.connections; VACUUM ANALYZE {schema}.work"
    );
    for statement in script.split("; ") {
        client.batch_execute(statement).await?;
    }
    Ok(())
}

fn id(number: i64) -> [u8; 16] {
    let mut id = [0; 16];
    id[8..].copy_from_slice(&number.to_be_bytes());
    id
}

fn tenant(number: i64) -> String {
    format!("tenant-{}", number % 1000)
}

fn key(number: i64) -> Result<ConnectionKey, Failure> {
    let tenant = TenantId::new(tenant(number))?;
    Ok(ConnectionKey::new(
        tenant,
        ConnectionId::from_bytes(id(number)),
    ))
}

fn claim_id(number: i64, seen: i64) -> [u8; 16] {
    let mut name = id(number);
    name[..8].copy_from_slice(&seen.to_be_bytes());
    name
}

fn sealed() -> Sealed {
    Sealed::new(KeyId::from_bytes([1; 8]), vec![0x5A; CREDENTIAL])
}

async fn store_load(store: PostgresStore, number: i64) -> Result<(), Failure> {
    let stored = store.load(&key(number)?).await?;
    black_box(stored.ok_or("the connection does not exist")?);
    Ok(())
}

async fn store_refresh(store: PostgresStore, number: i64, seen: i64) -> Result<(), Failure> {
    let key = key(number)?;
    let base = Generation::new(u64::try_from(seen)?);
    let claim_id = ClaimId::from_bytes(claim_id(number, seen));
    let request = ClaimRequest {
        claim_id,
        grant: GrantNumber::new(1),
        seen: base,
        kind: ClaimKind::Refresh,
        hold: Duration::from_mins(1),
        confirmed: None,
    };
    let ClaimOutcome::Granted { fence, .. } = store.claim(&key, request).await? else {
        return Err("the claim was not granted".into());
    };
    let commit = Commit {
        claim_id,
        grant: GrantNumber::new(1),
        base,
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
        other => Err(format!("the commit was not stored: {other:?}").into()),
    }
}

/// A client with prepared statements.
struct Raw {
    client: Client,
    load: Statement,
    claim: Statement,
    commit: Statement,
    lock: Statement,
    write: Statement,
}

/// The columns that the store reads.
const COLUMNS: &str = "number, tenant, id, provider, app, account, asserted, label, host, status, \
    reason, status_since, failures, check_at, check_error, rotates, metadata, grant_number, \
    generation, confirmed, fence, version, created_at, updated_at, refreshed_at, claim_id, \
    claim_grant, claim_generation, claim_fence, claim_kind, claim_until, a_grant, a_generation, \
    a_fence, a_access, a_refresh, a_key, a_sealed, b_grant, b_generation, b_fence, b_access, \
    b_refresh, b_key, b_sealed, first_sealed, outcomes, failed_claims, seq";

impl Raw {
    async fn open() -> Result<Arc<Self>, Failure> {
        let client = connect().await?;
        let now = "(extract(epoch FROM clock_timestamp()) * 1000)::bigint";
        let load = format!("SELECT {COLUMNS} FROM {RAW}.connections WHERE tenant = $1 AND id = $2");
        let claim = format!(
            "UPDATE {RAW}.connections SET seq = seq + 1, fence = fence + 1, version = version + 1, \
             updated_at = {now}, superseded_id = claim_id, claim_id = $3, claim_grant = 1, \
             claim_generation = generation, claim_fence = fence + 1, claim_kind = 'refresh', \
             claim_until = {now} + 60000 WHERE tenant = $1 AND id = $2 RETURNING {COLUMNS}"
        );
        let commit = format!(
            "WITH u AS (UPDATE {RAW}.connections SET seq = seq + 1, generation = generation + 1, \
             failures = 0, version = version + 1, refreshed_at = {now}, updated_at = {now}, \
             flip = NOT flip, a_generation = generation + 1, a_fence = fence, a_key = $4, \
             a_sealed = $3, claim_id = NULL, outcomes = $5 WHERE tenant = $1 AND id = $2 \
             RETURNING 1) \
             INSERT INTO {RAW}.work (tenant, connection, kind, due_at) \
             SELECT $1, $2, 'refresh', {now} + 3600000 FROM u \
             ON CONFLICT (tenant, connection, kind) \
             DO UPDATE SET due_at = excluded.due_at, leased = false"
        );
        let lock = format!("{load} FOR UPDATE");
        let write = format!(
            "UPDATE {RAW}.connections SET generation = generation + 1, updated_at = {now}, \
             a_sealed = $3 WHERE tenant = $1 AND id = $2"
        );
        Ok(Arc::new(Self {
            load: client.prepare(&load).await?,
            claim: client.prepare(&claim).await?,
            commit: client.prepare(&commit).await?,
            lock: client.prepare(&lock).await?,
            write: client.prepare(&write).await?,
            client,
        }))
    }

    /// Decodes every column.
    fn read(row: &Row) -> Result<(), Failure> {
        for (place, column) in row.columns().iter().enumerate() {
            match column.type_().name() {
                "int8" => drop(black_box(row.try_get::<_, Option<i64>>(place)?)),
                "bool" => drop(black_box(row.try_get::<_, Option<bool>>(place)?)),
                "text" => drop(black_box(row.try_get::<_, Option<String>>(place)?)),
                _ => drop(black_box(row.try_get::<_, Option<Vec<u8>>>(place)?)),
            }
        }
        Ok(())
    }

    async fn load(self: Arc<Self>, number: i64) -> Result<(), Failure> {
        let (tenant, id) = (tenant(number), id(number));
        let row = self
            .client
            .query_one(&self.load, &[&tenant, &id.as_slice()])
            .await?;
        Self::read(&row)
    }

    async fn refresh(self: Arc<Self>, number: i64, seen: i64) -> Result<(), Failure> {
        let (tenant, id) = (tenant(number), id(number));
        let name = claim_id(number, seen);
        let row = self
            .client
            .query_one(&self.claim, &[&tenant, &id.as_slice(), &name.as_slice()])
            .await?;
        Self::read(&row)?;
        let (sealed, key, outcomes) = (vec![0x5A_u8; CREDENTIAL], [1_u8; 8], [0x5A_u8; 136]);
        self.client
            .execute(
                &self.commit,
                &[
                    &tenant,
                    &id.as_slice(),
                    &sealed,
                    &key.as_slice(),
                    &outcomes.as_slice(),
                ],
            )
            .await?;
        Ok(())
    }

    /// The pattern of other services: the row is locked during the exchange.
    async fn locked(self: Arc<Self>, number: i64) -> Result<(), Failure> {
        let (tenant, id) = (tenant(number), id(number));
        self.client.batch_execute("BEGIN").await?;
        let row = self
            .client
            .query_one(&self.lock, &[&tenant, &id.as_slice()])
            .await?;
        Self::read(&row)?;
        let sealed = vec![0x5A_u8; CREDENTIAL];
        self.client
            .execute(&self.write, &[&tenant, &id.as_slice(), &sealed])
            .await?;
        self.client.batch_execute("COMMIT").await?;
        Ok(())
    }
}

/// Runs one call of every client at the same time.
fn together<F>(runtime: &Runtime, failure: &mut Option<Failure>, calls: impl Iterator<Item = F>)
where
    F: Future<Output = Result<(), Failure>> + Send + 'static,
{
    let outcome = runtime.block_on(async {
        let mut tasks: JoinSet<Result<(), Failure>> = calls.collect();
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        Ok(())
    });
    if let Err(error) = outcome {
        failure.get_or_insert(error);
    }
}

/// Returns the connections of round `round`, and the generation that they have then.
fn numbers(round: i64, clients: usize) -> impl Iterator<Item = (usize, i64, i64)> {
    let clients_i64 = i64::try_from(clients).unwrap_or(1);
    (0..clients).map(move |client| {
        let call = round * clients_i64 + i64::try_from(client).unwrap_or(0);
        let (number, seen) = spread(call);
        (client, number, seen)
    })
}

/// Returns the connection of a call, and its generation. A prime step spreads the calls over the table.
fn spread(call: i64) -> (i64, i64) {
    ((call * 7919) % CONNECTIONS + 1, call / CONNECTIONS + 1)
}

struct Sides {
    store: PostgresStore,
    raw: Vec<Arc<Raw>>,
}

fn reads(runtime: &Runtime, sides: &Sides, clients: usize) -> Result<Vec<Figures>, Failure> {
    let (mut failed, mut raw_failed) = (None, None);
    let (mut round, mut raw_round) = (0, 0);
    let figures = take_turns(
        &mut [
            Candidate::new("store load", || {
                round += 1;
                let calls = numbers(round, clients)
                    .map(|(_, number, _)| store_load(sides.store.clone(), number));
                together(runtime, &mut failed, calls);
            }),
            Candidate::new("raw", || {
                raw_round += 1;
                let calls = numbers(raw_round, clients)
                    .map(|(client, number, _)| Arc::clone(&sides.raw[client]).load(number));
                together(runtime, &mut raw_failed, calls);
            }),
        ],
        TURNS,
        ROUNDS,
    );
    failed.or(raw_failed).map_or(Ok(figures), Err)
}

/// The rounds of refreshes so far, which determine the generations.
#[derive(Default)]
struct Done {
    calls: i64,
}

fn writes(
    runtime: &Runtime,
    sides: &Sides,
    clients: usize,
    done: &mut Done,
) -> Result<Vec<Figures>, Failure> {
    let (mut failed, mut raw_failed, mut lock_failed) = (None, None, None);
    let (mut raw_round, mut lock_round) = (0, 0);
    let count = i64::try_from(clients)?;
    let figures = take_turns(
        &mut [
            Candidate::new("store claim and commit", || {
                let start = done.calls;
                done.calls += count;
                let calls = (start..start + count).map(|call| {
                    let (number, seen) = spread(call);
                    store_refresh(sides.store.clone(), number, seen)
                });
                together(runtime, &mut failed, calls);
            }),
            Candidate::new("raw", || {
                raw_round += 1;
                let calls = numbers(raw_round, clients).map(|(client, number, seen)| {
                    Arc::clone(&sides.raw[client]).refresh(number, seen)
                });
                together(runtime, &mut raw_failed, calls);
            }),
            Candidate::new("row lock", || {
                lock_round += 1;
                let calls = numbers(lock_round, clients)
                    .map(|(client, number, _)| Arc::clone(&sides.raw[client]).locked(number));
                together(runtime, &mut lock_failed, calls);
            }),
        ],
        TURNS,
        ROUNDS,
    );
    failed
        .or(raw_failed)
        .or(lock_failed)
        .map_or(Ok(figures), Err)
}

fn print_times(rows: &[(String, &Figures)]) {
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (name, figures) in rows {
        println!(
            "| {name} | {:.0} | {:.0} | {:.0} |",
            figures.min() / 1e3,
            figures.median() / 1e3,
            figures.max() / 1e3
        );
    }
}

fn print_target(name: &str, ratio: &Figures, target: f64, at_least: bool) {
    let met = (ratio.median() >= target) == at_least;
    println!(
        "| {name} | {:.2} | {:.2} | {:.2} | {target} | {} |",
        ratio.min(),
        ratio.median(),
        ratio.max(),
        if met { "yes" } else { "no" }
    );
}

const RATIOS: &str =
    "\n| Row | Ratio: min | median | max | Target | Met |\n|---|---|---|---|---|---|";

async fn print_server() -> Result<(), Failure> {
    let client = connect().await?;
    let row = client
        .query_one(
            "SELECT current_setting('server_version'), current_setting('fsync')",
            &[],
        )
        .await?;
    let (version, fsync): (String, String) = (row.get(0), row.get(1));
    println!("PostgreSQL {version}, fsync {fsync}\n");
    Ok(())
}

/// P10: reading and refreshing a connection.
pub(crate) fn measure_refresh() -> Outcome {
    measure_refresh_now().map_err(|error| error as Box<dyn Error>)
}

fn measure_refresh_now() -> Result<(), Failure> {
    let runtime = runtime()?;
    runtime.block_on(print_server())?;
    runtime.block_on(fill(STORE, CONNECTIONS, true))?;
    runtime.block_on(fill(RAW, CONNECTIONS, true))?;
    let sides = runtime.block_on(async {
        let store = options(STORE)?.open().await?;
        let mut raw = Vec::new();
        for _ in 0..16 {
            raw.push(Raw::open().await?);
        }
        Ok::<_, Failure>(Sides { store, raw })
    })?;
    println!(
        "{TURNS} turns of {ROUNDS} rounds each, {CONNECTIONS} connections, credentials of \
         {CREDENTIAL} bytes, µs per round, in which every client makes one call\n"
    );
    let mut done = Done::default();
    let mut all = Vec::new();
    for clients in CLIENTS {
        let reads = reads(&runtime, &sides, clients)?;
        let writes = writes(&runtime, &sides, clients, &mut done)?;
        all.push((clients, reads, writes));
    }
    let mut times = Vec::new();
    for (clients, reads, writes) in &all {
        times.push((format!("store load, {clients} clients"), &reads[0]));
        times.push((
            format!("raw prepared statement, {clients} clients"),
            &reads[1],
        ));
        times.push((
            format!("store claim and commit, {clients} clients"),
            &writes[0],
        ));
        times.push((
            format!("raw prepared statements, {clients} clients"),
            &writes[1],
        ));
        times.push((
            format!("row lock in a transaction, {clients} clients"),
            &writes[2],
        ));
    }
    print_times(&times);
    println!("{RATIOS}");
    for (clients, reads, writes) in &all {
        // Throughput of the store as a fraction of the other side's.
        let target = if *clients == 1 { 0.80 } else { 0.65 };
        let get = reads[1].ratio_to(&reads[0]);
        print_target(&format!("P10PG get, {clients} clients"), &get, 0.80, true);
        let refresh = writes[1].ratio_to(&writes[0]);
        print_target(
            &format!("P10PG refresh, {clients} clients"),
            &refresh,
            target,
            true,
        );
        let lock = writes[2].ratio_to(&writes[0]);
        print_target(
            &format!("P10PG against row locks, {clients} clients"),
            &lock,
            1.0,
            true,
        );
    }
    Ok(())
}

const WORK: i64 = 1_000_000;
const BATCH: u16 = 256;
const SWEEPS: u32 = 20;
const LEASE: Duration = Duration::from_hours(10);

/// P11: the sweep.
pub(crate) fn measure_sweep() -> Outcome {
    measure_sweep_now().map_err(|error| error as Box<dyn Error>)
}

fn measure_sweep_now() -> Result<(), Failure> {
    let runtime = runtime()?;
    runtime.block_on(print_server())?;
    runtime.block_on(fill(STORE, WORK, false))?;
    let (store, raw, narrow) = runtime.block_on(async {
        let store = options(STORE)?.open().await?;
        let client = connect().await?;
        let script = format!(
            "DROP SCHEMA IF EXISTS {RAW} CASCADE; CREATE SCHEMA {RAW}; \
             CREATE TABLE {RAW}.due (id bigint PRIMARY KEY, due_at bigint NOT NULL, \
                fence bigint NOT NULL); \
             INSERT INTO {RAW}.due SELECT n, (extract(epoch FROM now()) * 1000)::bigint \
                + CASE WHEN n % 20 = 0 THEN -3600000 - (n::bigint * 7919) % 100003 \
                ELSE 86400000 + n END, 0 FROM generate_series(1, {WORK}) n; \
             CREATE INDEX ON {RAW}.due (due_at); ANALYZE {RAW}.due"
        );
        for statement in script.split("; ") {
            client.batch_execute(statement).await?;
        }
        let narrow = client
            .prepare(&format!(
                "UPDATE {RAW}.due SET due_at = due_at + 36000000000, fence = fence + 1 WHERE id IN ( \
                 SELECT id FROM {RAW}.due \
                 WHERE due_at <= (extract(epoch FROM statement_timestamp()) * 1000)::bigint \
                 ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING id, fence"
            ))
            .await?;
        Ok::<_, Failure>((store, client, narrow))
    })?;
    let (mut failed, mut raw_failed): (Option<Failure>, Option<Failure>) = (None, None);
    let sweeps = take_turns(
        &mut [
            Candidate::new("store take_due", || {
                let taken = runtime.block_on(store.take_due(&WorkKind::ALL, BATCH, LEASE));
                match taken {
                    Ok(taken) if taken.len() == usize::from(BATCH) => {}
                    Ok(taken) => drop(failed.get_or_insert_with(|| {
                        format!("only {} jobs were leased", taken.len()).into()
                    })),
                    Err(error) => drop(failed.get_or_insert_with(|| error.into())),
                }
            }),
            Candidate::new("narrow table", || {
                let count = i64::from(BATCH);
                let taken = runtime.block_on(raw.query(&narrow, &[&count]));
                if let Err(error) = taken {
                    raw_failed.get_or_insert_with(|| error.into());
                }
            }),
        ],
        SWEEPS,
        4,
    );
    if let Some(error) = failed.or(raw_failed) {
        return Err(error);
    }
    // A transaction with an old snapshot, so that vacuuming removes nothing.
    let holder = runtime.block_on(async {
        let holder = connect().await?;
        holder
            .batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
            .await?;
        Ok::<_, Failure>(holder)
    })?;
    runtime.block_on(async {
        while !store
            .take_due(&WorkKind::ALL, 4096, LEASE)
            .await?
            .is_empty()
        {}
        Ok::<_, Failure>(())
    })?;
    let mut failed: Option<Failure> = None;
    let idle = take_turns(
        &mut [Candidate::new("idle sweep", || {
            match runtime.block_on(store.take_due(&WorkKind::ALL, BATCH, LEASE)) {
                Ok(taken) if taken.is_empty() => {}
                Ok(_) => drop(failed.get_or_insert_with(|| "work is left".into())),
                Err(error) => drop(failed.get_or_insert_with(|| error.into())),
            }
        })],
        TURNS,
        16,
    );
    if let Some(error) = failed {
        return Err(error);
    }
    drop(holder);
    println!("{WORK} connections, 5 % due, batches of {BATCH}, µs per sweep\n");
    print_times(&[
        ("store, batch".to_owned(), &sweeps[0]),
        ("raw, narrow table".to_owned(), &sweeps[1]),
        (
            "store, idle, after all due work was leased".to_owned(),
            &idle[0],
        ),
    ]);
    println!("{RATIOS}");
    let ratio = sweeps[1].ratio_to(&sweeps[0]);
    print_target("P11PG sweep", &ratio, 0.85, true);
    print_target("P11PG idle sweep in ms", &idle[0].scaled(1e-6), 1.0, false);
    Ok(())
}
