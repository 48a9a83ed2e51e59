//! The plans of the statements that must not read whole tables, on filled tables.

use std::time::Duration;

use tokio_postgres::NoTls;

use crate::statement::{Statement, millis};
use crate::{PostgresOptions, PostgresStore};

/// Creates a store in a new schema; `None` if there is no server.
async fn store(schema: &str, fill: &str) -> Option<PostgresStore> {
    #[expect(
        clippy::disallowed_methods,
        reason = "`cargo xtask test` passes the address of the server that it started"
    )]
    let Ok(url) = std::env::var("CONNECTORS_POSTGRES") else {
        println!("skipped: CONNECTORS_POSTGRES is not set; `cargo xtask test` sets it");
        return None;
    };
    let schema = format!("{schema}_{}", std::process::id());
    let options = PostgresOptions::new(url.clone())
        .with_schema(&schema)
        .allow_data_loss(true);
    options.migrate().await.unwrap();
    let (client, connection) = tokio_postgres::connect(&url, NoTls).await.unwrap();
    tokio::spawn(connection);
    let fill = fill.replace("@.", &format!("{schema}."));
    client.batch_execute(&fill).await.unwrap();
    Some(options.open().await.unwrap())
}

async fn plan(store: &PostgresStore, explain: &str, mut statement: Statement) -> Vec<String> {
    statement.sql = format!("{explain} {}", statement.sql).into();
    let rows = store.database.rows("plan", statement).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

const DELIVERIES: &str = "INSERT INTO @.deliveries (row_id, direction, provider, app, endpoint, id, \
        state, accepted_at, due_at, keep_until, owner, lane, queue, key_id, sealed) \
    SELECT sha256(n::text::bytea), 'inbound', 'acme', '', 'hook', n::text, 'waiting', 1, n, 1, \
        'owner ' || n % 20, 'lane ' || n % 60, sha256('queue'), '\\x0101010101010101', '\\x01' \
    FROM generate_series(1, 20000) n; ANALYZE @.deliveries";

#[tokio::test]
async fn a_lease_of_deliveries_reads_no_backlog() {
    let Some(store) = store("plan_deliveries", DELIVERIES).await else {
        return;
    };
    let statement = Statement::new(crate::deliveries::LEASE)
        .bind("inbound")
        .bind(16_i64)
        .bind(4_i64)
        .bind(32_i64)
        .bind(millis(Duration::from_secs(60)));
    let lines = plan(&store, "EXPLAIN", statement).await;
    let of_a_lane = lines
        .iter()
        .filter(|it| it.contains("using deliveries_of_a_lane"));
    // The first lane, each next lane, and the rows of a lane.
    assert_eq!(of_a_lane.count(), 3, "{lines:#?}");
    let scans = |it: &&String| it.contains("Seq Scan") || it.contains("Bitmap");
    assert_eq!(lines.iter().find(scans), None, "{lines:#?}");
    println!("lines of the plan: {}", lines.len());
}

const OUTBOUND: &str = "INSERT INTO @.endpoints (number, tenant, id, provider, label, event_types, ordered, state, \
        version, created_at, due_at, key_id, sealed) \
    SELECT n, 't', substr(sha256(n::text::bytea), 1, 16), 'acme', '', '', false, 'enabled', 1, 1, 1, \
        '\\x0101010101010101', '\\x01' FROM generate_series(1, 20) n; \
    INSERT INTO @.messages (tenant, provider, id, event_type, at, accepted_at, keep_until, key_id, \
        sealed) \
    SELECT 't', 'acme', n::text, 'order', 1, 1, 1, '\\x0101010101010101', '\\x01' \
        FROM generate_series(1, 20000) n; \
    INSERT INTO @.outbound (endpoint, message, state, due_at) \
    SELECT 1 + n % 2, n, 'waiting', 1 FROM generate_series(1, 20000) n; \
    ANALYZE @.endpoints; ANALYZE @.messages; ANALYZE @.outbound";

/// All messages are due at the same time.
#[tokio::test]
async fn a_lease_of_messages_sorts_no_backlog() {
    let Some(store) = store("plan_outbound", OUTBOUND).await else {
        return;
    };
    let due = Statement::new(crate::outbound::DUE)
        .bind(1_i64)
        .bind(2_i64)
        .bind(16_i64);
    let reschedule = Statement::new(crate::outbound::RESCHEDULE).bind(vec![1_i64]);
    let mut plans = 0;
    for statement in [due, reschedule] {
        let lines = plan(&store, "EXPLAIN", statement).await;
        let limit = lines.iter().position(|it| it.contains("Limit")).unwrap();
        let scan = lines
            .iter()
            .position(|it| it.contains("using outbound_waiting"));
        assert!(scan.is_some_and(|scan| scan > limit), "{lines:#?}");
        let between = &lines[limit..scan.unwrap()];
        assert!(!between.iter().any(|it| it.contains("Sort")), "{lines:#?}");
        assert!(
            !lines.iter().any(|it| it.contains("Seq Scan on outbound")),
            "{lines:#?}"
        );
        plans += 1;
    }
    println!("plans: {plans}");
}

const AUDIT: &str = "INSERT INTO @.audit (at, class, tenant, provider, app, actor, correlation, event, \
        notify) \
    SELECT n, 'connection', 't', 'acme', '', '', '', '', n <= 10 FROM generate_series(1, 20000) n; \
    ANALYZE @.audit";

/// All entries are old, so that no young one ends the scan. Changes that nobody handles are kept.
#[tokio::test]
async fn pruning_reads_only_the_oldest_entries() {
    let Some(store) = store("plan_audit", AUDIT).await else {
        return;
    };
    let statement = Statement::new(crate::audit::PRUNE).bind(1_i64).bind(50_i64);
    let lines = plan(&store, "EXPLAIN (ANALYZE)", statement).await;
    let mut counts = 0;
    for line in &lines {
        let removed = line.split("Removed by Filter: ").nth(1);
        let actual = line.split("(actual ").nth(1);
        let actual = actual.and_then(|it| it.split("rows=").nth(1)?.split_whitespace().next());
        for count in removed.into_iter().chain(actual) {
            assert!(count.trim().parse::<f64>().unwrap() <= 60.0, "{lines:#?}");
            counts += 1;
        }
    }
    println!("counts of rows in the plan: {counts}");
    assert!(counts > 4);
}
