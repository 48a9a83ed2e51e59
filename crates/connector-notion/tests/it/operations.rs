//! Tests of operations against the simulator, and of the errors that the simulator returns.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::ErrorKind;
use connector_core::clock::Clock as _;
use connector_notion::NotionClient;
use connector_notion::endpoints::{
    AppendBlockChildren, CreateComment, CreateDataSource, CreateDatabase, CreateFileUpload,
    CreatePage, CreateView, DeleteBlock, DeleteComment, DeleteView, DeleteViewQuery, GetAsyncTask,
    GetBlock, GetComment, GetDataSource, GetDatabase, GetFileUpload, GetMe, GetPage,
    GetPageMarkdown, GetPageProperty, GetUser, GetView, ListBlockChildren, ListComments,
    ListFileUploads, ListTemplates, ListUsers, ListViewRows, ListViews, MovePage, QueryDataSource,
    QueryView, Search, TreeItem, UpdateBlock, UpdateComment, UpdateDataSource, UpdateDatabase,
    UpdatePage, UpdatePageMarkdown, UpdateView,
};
use connector_notion::models::{
    BlockContent, BlockId, DatabaseId, Direction, FileSource, Filter, GroupBy, Icon, MaybeLater,
    Options, PageId, Parent, Position, PropertyConfig, PropertyId, PropertyItem, PropertyKind,
    PropertyValue, Reference, RichText, Schema, SelectOption, Sort, UserKind, ViewConfiguration,
    ViewKind, plain_text,
};
use futures_util::{StreamExt as _, TryStreamExt as _};
use serde_json::json;

use crate::rig::Rig;

fn schema() -> Schema {
    let mut schema = Schema::new();
    schema.insert("Name".to_owned(), PropertyConfig::of("title"));
    schema.insert("Notes".to_owned(), PropertyConfig::of("rich_text"));
    schema.insert("Price".to_owned(), PropertyConfig::of("number"));
    schema.insert("Done".to_owned(), PropertyConfig::of("checkbox"));
    let options = PropertyKind::Select(Options::named(["High", "Low"]));
    schema.insert("Priority".to_owned(), PropertyConfig::new(options));
    schema
}

async fn created(
    rig: &Rig,
    client: &NotionClient,
    create: CreatePage,
) -> connector_notion::models::Page {
    rig.drive(client.send(&create))
        .await
        .unwrap()
        .done()
        .unwrap()
}

#[tokio::test]
async fn databases_and_data_sources_are_created_changed_and_queried() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Plans").unwrap();
    let create = CreateDatabase::new(&page, &schema()).with_title(&["Tasks".into()]);
    let database = rig.drive(client.send(&create)).await.unwrap();
    assert_eq!(
        (
            plain_text(&database.title).as_str(),
            database.data_sources.len()
        ),
        ("Tasks", 1)
    );
    let source = database.data_sources[0].id.clone();
    let update = UpdateDatabase::new(database.id.clone()).with_lock(true);
    let update = update.with_icon(&Icon::emoji("📌"));
    let changed = rig.drive(client.send(&update)).await.unwrap();
    assert_eq!(
        (changed.is_locked, changed.icon),
        (true, Some(Icon::emoji("📌")))
    );
    let second = CreateDataSource::new(&database.id, &schema()).with_title(&["More".into()]);
    let second = rig.drive(client.send(&second)).await.unwrap();
    let read = rig
        .drive(client.send(&GetDatabase::new(database.id.clone())))
        .await
        .unwrap();
    assert_eq!(read.data_sources[1].id, second.id);
    let change = UpdateDataSource::new(source.clone())
        .with_property("Notes", &PropertyConfig::renamed("Text"))
        .with_property("Due", &PropertyConfig::of("date"))
        .without_property("Done");
    rig.drive(client.send(&change)).await.unwrap();
    let read = rig
        .drive(client.send(&GetDataSource::new(source.clone())))
        .await
        .unwrap();
    let names: Vec<&str> = read.properties.keys().map(String::as_str).collect();
    assert_eq!(names, ["Due", "Name", "Price", "Priority", "Text"]);
    let PropertyKind::Select(options) = &read.properties["Priority"].kind else {
        panic!("{:?}", read.properties["Priority"]);
    };
    assert_eq!(options.options.len(), 2);
    for (number, priority) in [(1, "High"), (2, "Low"), (3, "High")] {
        let create = CreatePage::new(&Parent::data_source(&source))
            .with_property(
                "Name",
                PropertyValue::title(format!("Task {number}").as_str()),
            )
            .with_property("Price", PropertyValue::number(f64::from(number) * 10.0))
            .with_property("Priority", PropertyValue::select(priority));
        created(&rig, &client, create).await;
    }
    let query = || QueryDataSource::new(source.clone());
    let titles = async |query: QueryDataSource| {
        let rows: Vec<_> = rig
            .drive(client.pages(query).items().try_collect())
            .await
            .unwrap();
        let rows = rows.iter().map(|it| it.page().unwrap().title());
        rows.collect::<Vec<String>>()
    };
    let high = Filter::select("Priority").equals("High");
    assert_eq!(
        titles(query().with_filter(high.clone())).await,
        ["Task 1", "Task 3"]
    );
    let both = Filter::and([high, Filter::number("Price").greater_than(10)]);
    assert_eq!(titles(query().with_filter(both)).await, ["Task 3"]);
    let sorted = query().sorted_by([Sort::property("Name", Direction::Descending)]);
    assert_eq!(
        titles(sorted.with_page_size(2)).await,
        ["Task 3", "Task 2", "Task 1"]
    );
    let templates = rig
        .drive(client.send(&ListTemplates::new(source.clone())))
        .await
        .unwrap();
    assert!(templates.items[0].is_default);
    // Test an id that was stored before data sources existed, and the id of a data source.
    let old = rig
        .drive(client.data_sources_of(&database.id))
        .await
        .unwrap();
    assert_eq!((old.len(), &old[0].id), (2, &source));
    let new = DatabaseId::new(source.as_str()).unwrap();
    assert_eq!(
        rig.drive(client.data_sources_of(&new)).await.unwrap()[0].id,
        source
    );
    let none = DatabaseId::new("00000000000040008000000000000000").unwrap();
    let error = rig.drive(client.data_sources_of(&none)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderNotFound);
}

#[tokio::test]
async fn pages_are_created_changed_moved_and_trashed() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let home = rig.sim.add_page("Home").unwrap();
    let other = rig.sim.add_page("Other").unwrap();
    let create = CreatePage::new(&Parent::page(&home))
        .with_property("title", PropertyValue::title("Child"))
        .with_children(&[BlockContent::paragraph(["Hello"])])
        .with_icon(&Icon::emoji("🌱"));
    let page = created(&rig, &client, create).await;
    assert_eq!((page.title().as_str(), page.in_trash), ("Child", false));
    let update = UpdatePage::new(page.id.clone())
        .with_property("title", PropertyValue::title("Renamed"))
        .without_icon()
        .with_cover(&FileSource::external("https://example.com/a.png"));
    let changed = rig.drive(client.send(&update)).await.unwrap();
    assert_eq!((changed.title().as_str(), changed.icon), ("Renamed", None));
    let moved = MovePage::new(page.id.clone(), &Parent::page(&other));
    let moved = rig.drive(client.send(&moved)).await.unwrap();
    assert_eq!(moved.parent, Some(Parent::page(&other)));
    let trash = UpdatePage::new(page.id.clone()).with_trash(true);
    assert!(rig.drive(client.send(&trash)).await.unwrap().in_trash);
    let read = rig
        .drive(client.send(&GetPage::new(page.id.clone())))
        .await
        .unwrap();
    assert!(read.in_trash);
    let found = Search::new().in_trash().pages();
    let found = rig.drive(client.send(&found)).await.unwrap();
    assert_eq!(found.items.len(), 1);
    let create = CreatePage::new(&Parent::page(&home))
        .with_property("title", PropertyValue::title("First"))
        .with_position(&Position::Start);
    let first = created(&rig, &client, create).await;
    let create = CreatePage::new(&Parent::page(&home))
        .with_property("title", PropertyValue::title("Second"))
        .with_position(&Position::after(&first.id.clone().into()));
    let second = created(&rig, &client, create).await;
    let children = rig.sim.children(home.clone());
    let ids: Vec<&str> = children.iter().map(|(id, _)| id.as_str()).collect();
    assert_eq!(ids[..2], [first.id.as_str(), second.id.as_str()]);
    let nothing = UpdatePage::new(page.id);
    assert_eq!(
        client.send(&nothing).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    // A write that Notion executes asynchronously.
    rig.sim.set_asynchronous(true);
    let create = CreatePage::new(&Parent::page(&home))
        .with_markdown("# Title\ntext")
        .with_async(true);
    let MaybeLater::Later(task) = rig.drive(client.send(&create)).await.unwrap() else {
        panic!("the page was created synchronously");
    };
    let done = rig
        .drive(client.send(&GetAsyncTask::new(task.id)))
        .await
        .unwrap();
    assert_eq!(
        (done.status.as_str(), done.result.is_some()),
        ("succeeded", true)
    );
}

#[tokio::test]
async fn views_are_created_changed_queried_and_deleted() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let (database, source) = rig.sim.add_data_source("Tasks", &["Notes"]).unwrap();
    for number in 0..150 {
        let now = rig.clock.now();
        rig.sim
            .add_row(&source, &format!("Task {number:03}"), now)
            .unwrap();
    }
    let names = async || {
        let list = ListViews::of_database(&database).with_page_size(2);
        let views: Vec<_> = rig
            .drive(client.pages(list).items().try_collect())
            .await
            .unwrap();
        let mut names = Vec::new();
        for view in views {
            let view = rig.drive(client.send(&GetView::new(view.id))).await;
            names.push(view.unwrap().name);
        }
        names
    };
    assert_eq!(names().await, ["Default view"]);
    let few = Filter::title("Name").contains("Task 00");
    let create = CreateView::in_database(&database, &source, "Few", &ViewKind::Table)
        .with_filter(&few)
        .with_sorts(&[Sort::property("Name", Direction::Descending)])
        .at_start();
    let view = rig.drive(client.send(&create)).await.unwrap();
    assert_eq!((&view.kind, view.filter), (&ViewKind::Table, Some(few)));
    let id = view.id;
    let create = CreateView::in_database(&database, &source, "Board", &ViewKind::Board)
        .with_configuration(
            &ViewConfiguration::new(ViewKind::Board).grouped_by(GroupBy::new("select", "x")),
        )
        .after_view(&id);
    let board = rig.drive(client.send(&create)).await.unwrap();
    assert_eq!(names().await, ["Few", "Board", "Default view"]);
    let read = rig
        .drive(client.send(&GetView::new(board.id.clone())))
        .await;
    let configuration = read.unwrap().configuration.unwrap();
    assert_eq!(configuration.group_by.unwrap().kind, "select");
    // A board without a property to group by is refused, and so is another layout.
    let wrong = UpdateView::new(board.id.clone())
        .with_configuration(&ViewConfiguration::new(ViewKind::Board));
    let error = rig.drive(client.send(&wrong)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Rejected);

    let ten = rig
        .drive(client.send(&QueryView::new(id.clone())))
        .await
        .unwrap();
    assert_eq!(
        (ten.total_count, ten.has_more, ten.is_truncated()),
        (10, false, false)
    );
    assert!(ListViewRows::rest_of(&ten).is_none());
    let update = UpdateView::new(id.clone())
        .with_name("All")
        .without_filter();
    let changed = rig.drive(client.send(&update)).await.unwrap();
    assert_eq!((changed.name.as_str(), changed.filter), ("All", None));
    let query = QueryView::new(id.clone()).with_page_size(20);
    let all = rig.drive(client.send(&query)).await.unwrap();
    let rest = ListViewRows::rest_of(&all).unwrap().with_page_size(50);
    let rest: Vec<_> = rig
        .drive(client.pages(rest).items().try_collect())
        .await
        .unwrap();
    let ids: BTreeSet<_> = all.results.iter().chain(&rest).map(|it| &it.id).collect();
    assert_eq!(
        (all.total_count, all.results.len(), ids.len()),
        (150, 20, 150)
    );
    let delete = DeleteViewQuery::new(id.clone(), all.id.clone());
    assert!(rig.drive(client.send(&delete)).await.unwrap().deleted);
    // A result that was deleted, and one that expired.
    rig.clock.advance(Duration::from_secs(15 * 60));
    for gone in [&all, &ten] {
        let rows = ListViewRows::new(id.clone(), gone.id.clone());
        let error = rig.drive(client.send(&rows)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ProviderNotFound);
    }

    let dashboard = CreateView::in_database(&database, &source, "Overview", &ViewKind::Dashboard);
    let dashboard = rig.drive(client.send(&dashboard)).await.unwrap();
    let widget = CreateView::in_dashboard(&dashboard.id, &source, "Widget", &ViewKind::List);
    let widget = rig.drive(client.send(&widget)).await.unwrap();
    assert_eq!(widget.dashboard_view_id, Some(dashboard.id));
    let page = rig.sim.add_page("Home").unwrap();
    let linked = CreateView::on_page(&page, &source, "Linked", &ViewKind::Gallery);
    let linked = rig.drive(client.send(&linked)).await.unwrap();
    assert_ne!(linked.parent, widget.parent);
    let deleted = rig
        .drive(client.send(&DeleteView::new(board.id)))
        .await
        .unwrap();
    assert_eq!((deleted.kind, deleted.name.as_str()), (ViewKind::Board, ""));
    // The only view of its database.
    let last = rig.drive(client.send(&DeleteView::new(linked.id))).await;
    assert_eq!(last.unwrap_err().kind(), ErrorKind::Rejected);
    let of_source = ListViews::of_data_source(&source);
    let of_source = rig.drive(client.send(&of_source)).await.unwrap();
    assert_eq!(of_source.items.len(), 5);
}

#[tokio::test]
async fn markdown_is_written_and_read() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let send = async |update: UpdatePageMarkdown| {
        rig.drive(client.send(&update))
            .await
            .unwrap()
            .done()
            .unwrap()
            .markdown
    };
    let text = send(UpdatePageMarkdown::replace(
        page.clone(),
        "# One\ntwo\n- three",
    ))
    .await;
    assert_eq!(text, "# One\ntwo\n- three");
    let text = send(UpdatePageMarkdown::insert(
        page.clone(),
        "zero",
        &Position::Start,
    ))
    .await;
    assert!(text.starts_with("zero\n# One"), "{text}");
    let update = UpdatePageMarkdown::replace_texts(page.clone(), [("two", "2")]);
    assert!(send(update).await.contains("\n2\n"));
    rig.sim
        .add_block(page.clone(), &json!({ "type": "ai_block", "ai_block": {} }))
        .unwrap();
    let read = rig
        .drive(client.send(&GetPageMarkdown::new(page)))
        .await
        .unwrap();
    assert_eq!((read.truncated, read.unknown_block_ids.len()), (false, 1));
}

#[tokio::test]
async fn a_truncated_relation_is_reported_and_read_completely() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let (_, other) = rig.sim.add_data_source("Other", &[]).unwrap();
    let rows: Vec<PageId> = (0..130)
        .map(|at| {
            rig.sim
                .add_row(&other, &format!("Row {at}"), rig.clock.now())
                .unwrap()
        })
        .collect();
    let mut schema = schema();
    let config = json!({ "type": "relation", "relation": { "data_source_id": other.as_str(),
        "type": "single_property", "single_property": {} } });
    schema.insert("Rows".to_owned(), serde_json::from_value(config).unwrap());
    let home = rig.sim.add_page("Home").unwrap();
    let database = rig
        .drive(client.send(&CreateDatabase::new(&home, &schema)))
        .await
        .unwrap();
    let related = rows.iter().map(|id| Reference::new(id.as_str())).collect();
    let create = CreatePage::new(&Parent::data_source(&database.data_sources[0].id))
        .with_property("Rows", PropertyValue::Relation(related))
        .with_property("Name", PropertyValue::title("All"));
    let page = created(&rig, &client, create).await;
    let PropertyValue::Relation(shown) = &page.properties["Rows"].value else {
        panic!()
    };
    assert_eq!((shown.len(), page.cut_properties()), (25, vec!["Rows"]));
    let id = PropertyId::of_response(page.properties["Rows"].id.as_deref().unwrap()).unwrap();
    let get = GetPageProperty::new(page.id.clone(), id);
    let items: Vec<_> = rig
        .drive(client.pages(get).items().try_collect())
        .await
        .unwrap();
    let all: Vec<&str> = items
        .iter()
        .map(|it| match it {
            PropertyItem::Relation(it) => it.id.as_str(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(all.iter().zip(&rows).all(|(a, b)| *a == b.as_str()) && all.len() == 130);
    // A rollup over this relation counts only the first 25 pages.
    let mut page = page;
    let rollup = json!({ "id": "x", "type": "rollup",
        "rollup": { "type": "number", "number": 25, "function": "count" } });
    page.properties
        .insert("Count".to_owned(), serde_json::from_value(rollup).unwrap());
    assert_eq!(page.cut_properties(), ["Count", "Rows"]);
    let done = GetPageProperty::new(page.id, PropertyId::new("title").unwrap());
    let title: Vec<_> = rig
        .drive(client.pages(done).items().try_collect())
        .await
        .unwrap();
    assert!(matches!(&title[0], PropertyItem::Title(it) if it.plain() == "All"));
    println!("relations read whole: {}", all.len());
}

#[tokio::test]
async fn types_that_this_version_does_not_know_are_kept_and_written_back() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let odd = json!({ "type": "hologram", "hologram": { "layers": [1, null], "rich_text": [] } });
    let id = rig.sim.add_block(page.clone(), &odd).unwrap();
    let block = rig
        .drive(client.send(&GetBlock::new(id.clone())))
        .await
        .unwrap();
    let BlockContent::Other { kind, value } = &block.content else {
        panic!("{block:?}")
    };
    assert_eq!(
        (kind.as_str(), value.as_ref()),
        ("hologram", odd.get("hologram"))
    );
    assert_eq!(serde_json::to_value(&block.content).unwrap(), odd);
    let write = UpdateBlock::new(id.clone()).with_content(&block.content);
    rig.drive(client.send(&write)).await.unwrap();
    let again = rig.drive(client.send(&GetBlock::new(id))).await.unwrap();
    assert_eq!(again.content, block.content);
    // A known type in an unknown form.
    let odd = json!({ "type": "paragraph", "paragraph": { "rich_text": { "new": true } } });
    let content: BlockContent = serde_json::from_value(odd.clone()).unwrap();
    assert!(matches!(&content, BlockContent::Other { kind, .. } if kind == "paragraph"));
    assert_eq!(serde_json::to_value(&content).unwrap(), odd);
    let piece = json!({ "type": "sound", "sound": { "pitch": 1 }, "plain_text": "la",
        "annotations": { "bold": true, "blink": true } });
    let read: RichText = serde_json::from_value(piece.clone()).unwrap();
    let back = serde_json::to_value(&read).unwrap();
    assert_eq!(
        (&back["sound"], &back["annotations"]["blink"]),
        (&piece["sound"], &json!(true))
    );
    let value = json!({ "type": "signature", "signature": { "by": "x" } });
    let read: PropertyValue = serde_json::from_value(value.clone()).unwrap();
    assert_eq!(serde_json::to_value(&read).unwrap(), value);
    println!("values of unknown types written back: 4");
}

#[tokio::test]
async fn blocks_are_read_changed_and_deleted() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let list = AppendBlockChildren::new(
        page.clone(),
        &[
            BlockContent::heading_1(["Title"]),
            BlockContent::code("rust", "fn main() {}"),
            BlockContent::table([vec!["a", "b"], vec!["c", "d"]], true),
            BlockContent::columns([
                vec![BlockContent::divider()],
                vec![BlockContent::quote(["q"])],
            ]),
        ],
    );
    let made = rig.drive(client.send(&list)).await.unwrap().items;
    assert_eq!(made.len(), 4);
    let first = AppendBlockChildren::new(page.clone(), &[BlockContent::callout(["First"])]);
    let first = first.with_position(&Position::Start);
    rig.drive(client.send(&first)).await.unwrap();
    let update = UpdateBlock::new(made[0].id.clone());
    let update = update.with_content(&BlockContent::heading_1(["Changed"]));
    let changed = rig.drive(client.send(&update)).await.unwrap();
    assert_eq!(changed.content.plain_text(), "Changed");
    let gone = rig
        .drive(client.send(&DeleteBlock::new(made[1].id.clone())))
        .await
        .unwrap();
    assert!(gone.in_trash);
    let children = ListBlockChildren::new(page.clone());
    let kinds: Vec<_> = rig.drive(client.send(&children)).await.unwrap().items;
    let kinds: Vec<&str> = kinds.iter().map(|it| it.content.kind()).collect();
    assert_eq!(kinds, ["callout", "heading_1", "table", "column_list"]);
    // 250 blocks in four levels, and one block that is not shared.
    let root = rig.sim.add_page("Tree").unwrap();
    let block = |text: &str| {
        json!({ "type": "toggle", "toggle": { "rich_text": [{ "type": "text", "plain_text": text,
            "text": { "content": text } }] } })
    };
    let mut hidden = None;
    for a in 0..2 {
        let a = rig
            .sim
            .add_block(root.clone(), &block(&format!("{a}")))
            .unwrap();
        for b in 0..4 {
            let b = rig
                .sim
                .add_block(a.clone(), &block(&format!("{b}")))
                .unwrap();
            for c in 0..5 {
                let c = rig
                    .sim
                    .add_block(b.clone(), &block(&format!("{c}")))
                    .unwrap();
                for d in 0..5 {
                    rig.sim
                        .add_block(c.clone(), &block(&format!("{d}")))
                        .unwrap();
                }
                hidden.get_or_insert(c);
            }
        }
    }
    let deep: BlockId = rig.sim.children(root.clone())[0].0.parse().unwrap();
    for _ in 0..120 {
        rig.sim.add_block(deep.clone(), &block("more")).unwrap();
    }
    let read = async || {
        rig.drive(client.block_tree(root.clone()).collect::<Vec<_>>())
            .await
    };
    let items = read().await;
    let depths: Vec<usize> = items
        .iter()
        .map(|it| match it.as_ref().unwrap() {
            TreeItem::Block { depth, .. } => *depth,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(depths.len(), rig.sim.block_count(root.clone()));
    assert_eq!((depths.len(), depths.iter().max()), (370, Some(&3)));
    let hidden = hidden.unwrap();
    rig.sim.unshare(hidden.as_str());
    let items = read().await;
    let missing: Vec<_> = items
        .iter()
        .filter_map(|it| match it.as_ref().unwrap() {
            TreeItem::NotShared { block, .. } => Some(block.clone()),
            _ => None,
        })
        .collect();
    assert_eq!((missing, items.len()), (vec![hidden], 370 - 5 + 1));
    rig.sim.unshare(root.as_str());
    assert!(read().await[0].is_err(), "the root was skipped");
    println!("blocks of a tree read whole: {}", depths.len());
}

#[tokio::test]
async fn users_search_and_comments() {
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let me = rig.drive(client.send(&GetMe::new())).await.unwrap();
    assert!(matches!(&me.kind, UserKind::Bot(bot) if bot.workspace_limits.is_some()));
    let users: Vec<_> = rig
        .drive(client.pages(ListUsers::new()).items().try_collect())
        .await
        .unwrap();
    let one = rig
        .drive(client.send(&GetUser::new(users[0].id.clone())))
        .await
        .unwrap();
    assert_eq!(
        (users.len(), &one.id, &one.kind),
        (3, &users[0].id, &users[0].kind)
    );
    let page = rig.sim.add_page("Roadmap").unwrap();
    for number in 0..120 {
        rig.sim.add_page(&format!("Note {number}")).unwrap();
    }
    rig.sim.add_data_source("Roadmap items", &[]).unwrap();
    let search = async |search: Search| {
        let found: Vec<_> = rig
            .drive(client.pages(search).items().try_collect())
            .await
            .unwrap();
        found.len()
    };
    assert_eq!(search(Search::new()).await, 122);
    assert_eq!(search(Search::new().with_query("roadmap")).await, 2);
    assert_eq!(
        search(Search::new().with_query("roadmap").data_sources()).await,
        1
    );
    assert_eq!(
        search(Search::new().with_query("note").pages().with_page_size(7)).await,
        120
    );
    let text = [RichText::text("Hello")];
    let first = rig
        .drive(client.send(&CreateComment::on_page(&page, &text)))
        .await
        .unwrap();
    let reply = CreateComment::in_discussion(first.discussion_id.as_ref().unwrap(), &text);
    let reply = rig.drive(client.send(&reply)).await.unwrap();
    assert_eq!(reply.discussion_id, first.discussion_id);
    let update = UpdateComment::new(first.id.clone(), &["Bye".into()]);
    assert_eq!(
        plain_text(&rig.drive(client.send(&update)).await.unwrap().rich_text),
        "Bye"
    );
    let list = ListComments::new(page.clone());
    assert_eq!(rig.drive(client.send(&list)).await.unwrap().items.len(), 2);
    rig.drive(client.send(&DeleteComment::new(reply.id)))
        .await
        .unwrap();
    let read = rig
        .drive(client.send(&GetComment::new(first.id.clone())))
        .await
        .unwrap();
    assert_eq!(read.id, first.id);
    rig.sim.unshare(page.as_str());
    let error = rig.drive(client.send(&list)).await.unwrap_err();
    assert!(connector_notion::is_not_shared(&error));
}

#[tokio::test]
async fn files_are_uploaded_at_once_in_parts_and_by_import() {
    const MIB: usize = 1024 * 1024;
    let rig = Rig::with(1, 10_000).await;
    let client = rig.client().await;
    let page = rig.sim.add_page("Page").unwrap();
    let mut sent = 0;
    for length in [0, 3 * MIB, 20 * MIB, 20 * MIB + 1, 33 * MIB] {
        let file = vec![7; length];
        let upload = client.upload_file(
            "a.bin",
            "application/octet-stream",
            &file[..],
            length as u64,
        );
        let upload = rig.drive(upload).await.unwrap();
        assert_eq!(
            (upload.status.as_str(), upload.content_length),
            ("uploaded", Some(length as u64))
        );
        let parts = if length <= 20 * MIB {
            None
        } else {
            u32::try_from(length.div_ceil(10 * MIB)).ok()
        };
        assert_eq!(
            upload.number_of_parts.map(|it| (it.total, it.sent)),
            parts.map(|it| (it, it))
        );
        let attach = AppendBlockChildren::new(
            page.clone(),
            &[BlockContent::file("a.bin", FileSource::upload(&upload.id))],
        );
        let block = rig
            .drive(client.send(&attach))
            .await
            .unwrap()
            .items
            .remove(0);
        let BlockContent::File(file) = &block.content else {
            panic!("{block:?}")
        };
        assert!(matches!(file.source, FileSource::Hosted(_)));
        sent += 1;
    }
    // The reader is shorter or longer than the given length.
    for length in [9, 11] {
        let upload = client.upload_file("a.bin", "text/plain", &b"0123456789"[..], length);
        assert_eq!(
            rig.drive(upload).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    let import = |name: &str| {
        let url = url::Url::parse(&format!("https://example.com/{name}")).unwrap();
        CreateFileUpload::import(name, "text/plain", &url)
    };
    let upload = rig.drive(client.send(&import("there.txt"))).await.unwrap();
    assert_eq!(upload.status, "pending");
    let done = rig.drive(client.wait_for_import(&upload.id)).await.unwrap();
    assert_eq!(done.status, "uploaded");
    let upload = rig
        .drive(client.send(&import("missing.txt")))
        .await
        .unwrap();
    let error = rig
        .drive(client.wait_for_import(&upload.id))
        .await
        .unwrap_err();
    assert_eq!(
        (error.kind(), error.code()),
        (ErrorKind::Rejected, Some("file_not_found"))
    );
    let list = ListFileUploads::new().with_status("failed");
    assert_eq!(rig.drive(client.send(&list)).await.unwrap().items.len(), 1);
    let get = GetFileUpload::new(upload.id);
    assert_eq!(rig.drive(client.send(&get)).await.unwrap().status, "failed");
    println!("files uploaded and attached: {sent}");
}

#[test]
fn ids_are_uuids_and_are_found_in_addresses() {
    let id = "12345678-1234-4234-8234-1234567890ab";
    let plain = id.replace('-', "");
    for text in [id.to_owned(), plain.clone(), plain.to_uppercase()] {
        assert_eq!(PageId::new(&text).unwrap().as_str(), id);
    }
    for (good, text) in [
        (
            true,
            format!("https://www.notion.so/acme/Some-Page-{plain}?v=1"),
        ),
        (true, format!("https://app.notion.com/acme/{plain}")),
        (true, format!("https://work.notion.site/Title-{plain}#x")),
        (true, format!("https://notion.so/work?p={plain}")),
        (true, format!("https://notion.so/{id}")),
        (false, format!("https://notion.example/{plain}")),
        (false, format!("http://notion.so/{plain}")),
        (false, "https://notion.so/".to_owned()),
        (false, format!("https://notion.so.example/{plain}")),
    ] {
        assert_eq!(
            PageId::from_url(&text).is_ok_and(|it| it.as_str() == id),
            good,
            "{text}"
        );
    }
    let bad = [
        "",
        "..",
        "../users",
        &id[1..],
        "12345678-1234-4234-8234-1234567890ag",
        "1234567-81234-4234-8234-1234567890ab",
        "ä2345678-1234-4234-8234-123456789",
    ];
    for text in bad {
        assert!(PageId::new(text).is_err(), "{text}");
    }
    assert_eq!(PropertyId::of_response("%7DRmU").unwrap().as_str(), "}RmU");
    for text in ["", ".", "..", "%2e%2e", "%zz", "%f"] {
        assert!(PropertyId::of_response(text).is_err(), "{text}");
    }
    assert_eq!(SelectOption::named("x").name.as_deref(), Some("x"));
    println!("texts that are no ids refused: {}", bad.len());
}
