//! Tests of reads and writes that need several calls.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::clock::Clock as _;
use connector_core::{ErrorKind, Retry};
use connector_notion::NotionClient;
use connector_notion::endpoints::{
    AppendBlocks, AppendProgress, ListBlockChildren, QueryDataSource, ReadOutcome, ReadPosition,
    TreeItem,
};
use connector_notion::models::{
    BlockContent, BlockId, DataSourceId, Filter, PageId, Position, RichText,
};
use connector_notion::sim::Fault;
use futures_util::TryStreamExt as _;
use http::Method;

use crate::rig::Rig;

/// Returns 5,000 characters of emoji and combining marks, different for each number.
fn text(number: usize) -> String {
    let family = "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}";
    let parts = [
        family,
        "e\u{301}\u{323}",
        "\u{1F1E6}\u{1F1F9}",
        "ß",
        "\u{1F44D}\u{1F3FD}",
    ];
    let mut text = format!("{number}: ");
    let mut count = text.chars().count();
    for at in number.. {
        let part = parts[(at * 7 + at / 3) % parts.len()];
        if count + part.chars().count() > 5000 {
            break;
        }
        text.push_str(part);
        count += part.chars().count();
    }
    text + &"x".repeat(5000 - count)
}

/// Returns 1,000 blocks in seven levels, with more than 100 children of one parent, a table and
/// columns.
fn content() -> (Vec<BlockContent>, usize) {
    fn nest(next: &mut usize, level: usize) -> BlockContent {
        *next += 1;
        let block = BlockContent::toggle([text(*next).as_str()]);
        let children = match level {
            0..=4 => 2,
            5 => 1,
            _ => return block,
        };
        block.with_children(
            (0..children)
                .map(|_| nest(next, level + 1))
                .collect::<Vec<_>>(),
        )
    }
    let mut next = 0;
    let mut blocks: Vec<BlockContent> = (0..6).map(|_| nest(&mut next, 0)).collect();
    let rows: Vec<Vec<String>> = (0..150)
        .map(|at| vec![format!("row {at}"), text(at)])
        .collect();
    let rows = rows
        .iter()
        .map(|it| it.iter().map(String::as_str).collect());
    blocks.push(BlockContent::table(rows, true));
    next += 151;
    let deep = BlockContent::quote(["a"]).with_children([BlockContent::quote(["b"])
        .with_children([BlockContent::quote(["c"]).with_children([BlockContent::quote(["d"])])])]);
    blocks.push(BlockContent::columns([
        vec![deep.clone(), BlockContent::divider()],
        vec![deep],
    ]));
    next += 1 + 2 + 4 + 4 + 1;
    let many = (0..(1000 - next - 1)).map(|at| BlockContent::paragraph([text(at).as_str()]));
    blocks.push(BlockContent::bulleted_list_item(["many"]).with_children(many.collect::<Vec<_>>()));
    (blocks, 1000)
}

fn shape(blocks: &[BlockContent], depth: usize, all: &mut Vec<(usize, String, String)>) {
    for block in blocks {
        all.push((depth, block.kind().to_owned(), block.plain_text()));
        shape(block.children(), depth + 1, all);
    }
}

async fn read(rig: &Rig, client: &NotionClient, page: &PageId) -> Vec<(usize, String, String)> {
    let tree: Vec<TreeItem> = rig
        .drive(client.block_tree(page.clone()).try_collect())
        .await
        .unwrap();
    let item = |it: TreeItem| match it {
        TreeItem::Block { block, depth } => (
            depth,
            block.content.kind().to_owned(),
            block.content.plain_text(),
        ),
        other => panic!("{other:?}"),
    };
    tree.into_iter().map(item).collect()
}

#[tokio::test]
async fn a_thousand_nested_blocks_with_long_texts_arrive_in_order() {
    let rig = Rig::with(1, 100_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Book").unwrap();
    let (blocks, count) = content();
    let mut sent = Vec::new();
    shape(&blocks, 0, &mut sent);
    assert_eq!(sent.len(), count);
    let append = AppendBlocks::to(page.clone(), blocks).unwrap();
    let appended = rig.drive(client.append(append)).await;
    assert!(appended.failure.is_none(), "{:?}", appended.failure);
    assert_eq!((appended.written, appended.blocks.len()), (count, 9));
    assert_eq!(read(&rig, &client, &page).await, sent);
    let counts = rig.sim.server().counts();
    let is_append = |path: &str| path.ends_with("/children");
    let calls = counts
        .iter()
        .filter(|((method, path), _)| method == "PATCH" && is_append(path));
    let calls: usize = calls.map(|(_, count)| count).sum();
    println!("blocks written in order: {count}, in {calls} calls");
}

#[tokio::test]
async fn a_failed_append_resumes_without_duplicates() {
    let rig = Rig::with(1, 1_000_000).await;
    let client = rig.client().await;
    let (mut broken, mut checked) = (0, 0);
    for seed in 0..12_usize {
        let page = rig.sim.add_page("Book").unwrap();
        rig.sim
            .add_block(
                page.clone(),
                &serde_json::json!({ "type": "paragraph", "paragraph": { "rich_text": [] } }),
            )
            .unwrap();
        let tree = |levels: usize, width: usize| {
            let mut block = BlockContent::toggle(["leaf"]);
            for level in 0..levels {
                let children = (0..width)
                    .map(|at| BlockContent::bulleted_list_item([format!("{level} {at}").as_str()]));
                block = BlockContent::toggle([format!("level {level}").as_str()])
                    .with_children(children.chain([block]).collect::<Vec<_>>());
            }
            block
        };
        // These texts are equal on purpose.
        let same = || BlockContent::paragraph(["same"]);
        let mut blocks: Vec<BlockContent> = (0..230).map(|_| same()).collect();
        blocks.extend((0..6).map(|at| tree(4 + at % 2, 3)));
        blocks.extend((0..70).map(|_| same()));
        let mut sent = vec![(0, "paragraph".to_owned(), String::new())];
        shape(&blocks, 0, &mut sent);
        let fault = |at: usize| match (seed + at) % 4 {
            0 => Fault::DropBefore,
            1 => Fault::DropAfter,
            2 => Fault::answer(502, "<html>"),
            _ => Fault::Truncate,
        };
        let mut append = Some(AppendBlocks::to(page.clone(), blocks).unwrap());
        let mut progress: Option<AppendProgress> = None;
        for attempt in 0.. {
            assert!(attempt < 200, "the append does not terminate");
            // Some calls succeed before one fails, so the pattern covers reads and writes.
            for number in 0..if attempt < 25 { 3 } else { 0 } {
                for _ in 0..(seed + attempt + number) % 5 {
                    rig.sim
                        .server()
                        .fault("/v1/blocks/*", Fault::Slow(Duration::ZERO));
                }
                rig.sim
                    .server()
                    .fault("/v1/blocks/*", fault(attempt + number));
            }
            let outcome = match (append.take(), progress.take()) {
                (Some(append), _) => rig.drive(client.append(append)).await,
                (None, Some(progress)) => {
                    // Serialize and parse the progress, as a process does that stores it.
                    let stored = serde_json::to_string(&progress).unwrap();
                    let progress = serde_json::from_str(&stored).unwrap();
                    rig.drive(client.resume_append(progress)).await
                }
                (None, None) => break,
            };
            match outcome.failure {
                Some(failure) => {
                    broken += 1;
                    assert!(
                        failure.progress.written() + failure.progress.left() <= sent.len(),
                        "the progress counts too much"
                    );
                    progress = Some(failure.progress);
                }
                None => break,
            }
        }
        // The remaining faults fail reads.
        let list = ListBlockChildren::new(page.clone());
        for _ in 0..200 {
            if rig.sim.server().pending_faults() > 0 {
                let _ = rig.drive(client.send(&list)).await;
            }
        }
        assert_eq!(read(&rig, &client, &page).await, sent, "seed {seed}");
        checked += sent.len();
    }
    println!("broken writes that went on: {broken}, blocks compared: {checked}");
    assert!(broken >= 12);
}

#[tokio::test]
async fn a_failed_append_reports_the_remaining_blocks_and_invalid_content_is_rejected() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let blocks: Vec<_> = (0..250)
        .map(|at| BlockContent::paragraph([format!("{at}").as_str()]))
        .collect();
    let append = AppendBlocks::to(page.clone(), blocks).unwrap().to_empty();
    let path = format!("/v1/blocks/{page}/children");
    let refusal = r#"{"object":"error","status":400,"code":"validation_error","message":"m"}"#;
    rig.sim
        .server()
        .fault(path.clone(), Fault::Slow(Duration::ZERO));
    rig.sim
        .server()
        .fault(path.clone(), Fault::answer(400, refusal));
    let outcome = rig.drive(client.append(append)).await;
    let failure = outcome.failure.unwrap();
    assert_eq!((outcome.written, failure.progress.left()), (100, 150));
    assert_eq!(
        (failure.error.kind(), failure.error.retry()),
        (ErrorKind::Rejected, Retry::Never)
    );
    let outcome = rig.drive(client.resume_append(failure.progress)).await;
    assert!(outcome.failure.is_none());
    let texts: Vec<_> = rig
        .sim
        .children(page.clone())
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert!(
        texts
            .iter()
            .enumerate()
            .all(|(at, text)| *text == at.to_string())
            && texts.len() == 250
    );
    // A call that conflicts with another write is retried at once.
    let conflict = r#"{"object":"error","status":409,"code":"conflict_error","message":"m"}"#;
    // The client reads three pages of children first.
    for _ in 0..3 {
        rig.sim
            .server()
            .fault(path.clone(), Fault::Slow(Duration::ZERO));
    }
    rig.sim.server().fault(path, Fault::answer(409, conflict));
    let one = AppendBlocks::to(page.clone(), [BlockContent::divider()]).unwrap();
    assert!(rig.drive(client.append(one)).await.failure.is_none());
    assert_eq!(rig.sim.children(page.clone()).len(), 251);
    let long = "x".repeat(2001);
    let refused = [
        BlockContent::bookmark(format!("https://example.com/{long}")),
        BlockContent::paragraph([
            RichText::text("a").with_link(format!("https://example.com/{long}"))
        ]),
        BlockContent::paragraph([RichText::equation("x".repeat(1001))]),
        BlockContent::table([vec!["x".repeat(2000 * 101).as_str()]], false),
    ];
    let count = refused.len();
    for block in refused {
        let error = AppendBlocks::to(page.clone(), [block]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
    println!("blocks that no call takes refused: {count}");
}

/// Adds `rows` rows, with `per_minute` rows created in each minute.
fn add_rows(rig: &Rig, source: &DataSourceId, rows: usize, per_minute: usize) {
    let start = rig.clock.now();
    for at in 0..rows {
        let minute = Duration::from_secs(60 * (at / per_minute) as u64);
        rig.sim
            .add_row(source, &format!("{at}"), start.after(minute))
            .unwrap();
    }
}

#[tokio::test]
async fn thirty_thousand_rows_are_read_once_despite_forty_failures() {
    let rig = Rig::with(1, 1_000_000).await;
    let client = rig.client().await;
    let (_, source) = rig.sim.add_data_source("Rows", &[]).unwrap();
    let (_, hidden) = rig.sim.add_data_source("Hidden", &[]).unwrap();
    let (_, last) = rig.sim.add_data_source("Last", &[]).unwrap();
    add_rows(&rig, &source, 30_000, 70);
    add_rows(&rig, &hidden, 10, 1);
    add_rows(&rig, &last, 10, 1);
    rig.sim.unshare(hidden.as_str());
    let read = || {
        let queries = [&source, &hidden, &last].map(|it| QueryDataSource::new(it.clone()));
        client.read_all(queries)
    };
    let path = format!("/v1/data_sources/{source}/query");
    let mut rows: BTreeMap<String, usize> = BTreeMap::new();
    let mut add = |page: Vec<connector_notion::models::PageOrDataSource>| {
        for row in page {
            *rows.entry(row.id().to_owned()).or_default() += 1;
        }
    };
    // Some pages arrive before the first failure.
    let mut first = read();
    for _ in 0..140 {
        add(rig.drive(first.next_page()).await.unwrap().unwrap());
    }
    let mut position: ReadPosition = first.position().clone();
    drop(first);
    let (mut partial, mut broken) = (0, 0);
    let report = loop {
        if broken < 40 {
            // Each call is tried four times, so some pages arrive before a page fails.
            for _ in 0..broken % 3 {
                rig.sim
                    .server()
                    .fault(path.clone(), Fault::Slow(Duration::ZERO));
            }
            for _ in 0..4 {
                rig.sim
                    .server()
                    .fault(path.clone(), Fault::answer(502, "<html>"));
            }
            broken += 1;
        }
        let mut read = read().from_position(position);
        match rig.drive(read.read_to_end(&mut add)).await {
            ReadOutcome::Complete(report) => break report,
            ReadOutcome::Partial { error, resume, .. } => {
                assert!(error.is_some());
                partial += 1;
                // Serialize and parse the position, as a process does that stores it.
                let stored = serde_json::to_string(&resume).unwrap();
                position = serde_json::from_str(&stored).unwrap();
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!((report.rows, rows.len()), (30_010, 30_010));
    assert!(rows.values().all(|it| *it == 1), "a row was returned twice");
    assert_eq!((report.not_shared, report.gaps.len()), (vec![hidden], 0));
    let calls = rig.sim.server().count(&Method::POST, &path);
    println!(
        "rows read once: {}, pages lost: {broken}, partial reads: {partial}, calls: {calls}",
        rows.len()
    );
    assert!(partial >= 40);
}

#[tokio::test]
async fn too_many_rows_with_one_creation_time_are_a_gap() {
    let rig = Rig::with(1, 1_000_000).await;
    let client = rig.client().await;
    let (_, source) = rig.sim.add_data_source("Rows", &[]).unwrap();
    add_rows(&rig, &source, 100, 10);
    let dense = rig.clock.now().after(Duration::from_secs(3600));
    for at in 0..10_500 {
        rig.sim
            .add_row(&source, &format!("dense {at}"), dense)
            .unwrap();
    }
    rig.sim
        .add_row(&source, "last", dense.after(Duration::from_secs(60)))
        .unwrap();
    let mut ids = std::collections::BTreeSet::new();
    let mut read = client.read_all([QueryDataSource::new(source.clone())]);
    let outcome = rig.drive(read.read_to_end(|page| {
        ids.extend(page.iter().map(|it| it.id().to_owned()));
    }));
    let ReadOutcome::Partial {
        report,
        error: None,
        resume,
    } = outcome.await
    else {
        panic!("the gap was not reported");
    };
    assert_eq!(
        (report.gaps.len(), report.gaps[0].data_source.clone()),
        (1, source.clone())
    );
    assert_eq!((report.rows, ids.len()), (10_101, 10_101));
    // No rows remain after this position.
    let mut again = client
        .read_all([QueryDataSource::new(source.clone())])
        .from_position(*resume);
    assert!(rig.drive(again.next_page()).await.unwrap().is_none());
    // The pages of the operation itself end with an error that contains the cursor to resume from.
    let query = QueryDataSource::new(source).by_creation();
    let (mut query, mut count, mut ends) = (query, 0, 0);
    loop {
        let mut items = client.pages(query.clone()).items();
        let error = loop {
            match rig.drive(items.try_next()).await {
                Ok(Some(_)) => count += 1,
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let Some(error) = error else { break };
        assert_eq!(error.kind(), ErrorKind::Truncated);
        ends += 1;
        match error.resume() {
            Some(cursor) => query = query.after(cursor.clone()),
            None => break,
        }
    }
    assert_eq!(
        (ends, count),
        (2, 20_000),
        "the second start is the time that no query gets past"
    );
    println!("rows read around a gap: {}", ids.len());
}

#[tokio::test]
async fn a_read_keeps_its_filter_and_survives_expired_cursors() {
    let rig = Rig::with(1, 1_000_000).await;
    let client = rig.client().await;
    let (_, source) = rig.sim.add_data_source("Rows", &[]).unwrap();
    add_rows(&rig, &source, 1_000, 7);
    let filter = Filter::title("Name").contains("5");
    let query = QueryDataSource::new(source).with_filter(filter);
    let mut read = client.read_all([query]);
    let mut rows = Vec::new();
    while let Some(page) = rig.drive(read.next_page()).await.unwrap() {
        rows.extend(page.iter().map(|it| it.page().unwrap().title()));
        rig.sim.expire_cursors();
    }
    let wanted: Vec<String> = (0..1_000)
        .map(|it| it.to_string())
        .filter(|it| it.contains('5'))
        .collect();
    assert_eq!(rows, wanted);
    println!("rows read with a filter: {}", rows.len());
}

#[tokio::test]
async fn an_append_inserts_at_the_given_position() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let append = async |at: Option<Position>, texts: &[&str]| {
        let blocks = texts.iter().map(|it| BlockContent::paragraph([*it]));
        let mut append = AppendBlocks::to(page.clone(), blocks).unwrap();
        if let Some(at) = at {
            append = append.at(at);
        }
        let done = rig.drive(client.append(append)).await;
        assert!(done.failure.is_none());
        done.blocks
    };
    let middle: Vec<BlockId> = append(None, &["c", "d"]).await;
    append(None, &["e"]).await;
    append(Some(Position::Start), &["a", "b"]).await;
    append(Some(Position::after(&middle[0])), &["c2"]).await;
    let texts: Vec<_> = rig
        .sim
        .children(page)
        .into_iter()
        .map(|(_, text)| text)
        .collect();
    assert_eq!(texts, ["a", "b", "c", "c2", "d", "e"]);
}
