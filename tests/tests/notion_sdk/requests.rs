//! The requests of our client, compared with the requests of the library for the same arguments.
//! The library's types check the arguments, and the library drops members that it does not know.

use std::collections::BTreeSet;

use connector_core::provider::Endpoint;
use connector_notion::NotionClient;
use connector_notion::endpoints::{
    AppendBlockChildren, CompleteFileUpload, CreateComment, CreateDataSource, CreateDatabase,
    CreateFileUpload, CreatePage, CreateView, DeleteBlock, DeleteComment, DeleteView,
    DeleteViewQuery, GetAsyncTask, GetBlock, GetComment, GetDataSource, GetDatabase, GetFileUpload,
    GetMe, GetPage, GetPageMarkdown, GetPageProperty, GetUser, GetView, ListBlockChildren,
    ListComments, ListFileUploads, ListTemplates, ListUsers, ListViewRows, ListViews, MovePage,
    OPERATIONS, QueryDataSource, QueryView, Search, UpdateBlock, UpdateComment, UpdateDataSource,
    UpdateDatabase, UpdatePage, UpdatePageMarkdown, UpdateView,
};
use connector_notion::models::{
    BlockContent, BlockId, CommentId, DataSourceId, DatabaseId, Direction, DiscussionId,
    FileSource, FileUploadId, Filter, GroupBy, Icon, Options, PageId, Parent, Position,
    PropertyConfig, PropertyId, PropertyKind, PropertyValue, RichText, Schema, Sort, UserId,
    ViewConfiguration, ViewId, ViewKind, ViewProperty, ViewQueryId,
};
use connector_tests::notion_sdk::NotionSdk;
use serde_json::{Map, Value};
use url::form_urlencoded;

use crate::App;

const ID: &str = "12345678-1234-4234-8234-1234567890ab";

/// A request of our client.
struct Ours {
    name: &'static str,
    verb: String,
    path: String,
    query: Vec<(String, String)>,
    body: Option<Value>,
    /// The arguments as the library takes them.
    args: Value,
}

fn ours<E: Endpoint<Client = NotionClient>>(endpoint: &E) -> Ours {
    endpoint.validate().unwrap();
    let request = endpoint.request().unwrap();
    let (path, query) = request
        .target()
        .split_once('?')
        .unwrap_or((request.target(), ""));
    let query: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
        .into_owned()
        .collect();
    let body = (!request.bytes().is_empty())
        .then(|| serde_json::from_slice::<Value>(request.bytes()).unwrap());
    let operation = OPERATIONS.iter().find(|it| it.name == E::NAME).unwrap();
    let mut args = Map::new();
    for (name, value) in operation.path.split('/').zip(path.split('/')) {
        if let Some(name) = name.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            args.insert(name.to_owned(), value.into());
        }
    }
    for (name, value) in &query {
        let value = match name.as_str() {
            "page_size" => value.parse::<u64>().unwrap().into(),
            "include_transcript" => (value == "true").into(),
            "filter_properties" => {
                let all = args.entry(name.clone()).or_insert(Value::Array(Vec::new()));
                all.as_array_mut().unwrap().push(value.as_str().into());
                continue;
            }
            _ => Value::from(value.as_str()),
        };
        args.insert(name.clone(), value);
    }
    args.extend(
        body.as_ref()
            .and_then(Value::as_object)
            .cloned()
            .unwrap_or_default(),
    );
    Ours {
        name: E::NAME,
        verb: request.method().to_string(),
        path: path.to_owned(),
        query,
        body,
        args: args.into(),
    }
}

/// Compares a request with the library's.
fn compare(sdk: &mut NotionSdk, method: &str, ours: Ours) -> std::io::Result<()> {
    let theirs = sdk.request(method, &ours.args)?;
    let name = ours.name;
    assert_eq!(
        (&theirs.verb, &theirs.path),
        (&ours.verb, &ours.path),
        "{name}"
    );
    assert_eq!(theirs.version, "2026-03-11", "{name}");
    let sorted = |mut pairs: Vec<(String, String)>| {
        pairs.sort();
        pairs
    };
    assert_eq!(sorted(theirs.query), sorted(ours.query), "{name}");
    // The library sends no body instead of an empty object.
    let is_empty = |it: &Value| it.as_object().is_some_and(Map::is_empty);
    let body = theirs
        .body
        .map(|it| serde_json::from_str::<Value>(&it).unwrap());
    assert_eq!(
        body.filter(|it| !is_empty(it)),
        ours.body.filter(|it| !is_empty(it)),
        "{name}"
    );
    Ok(())
}

fn schema() -> Schema {
    let mut schema = Schema::new();
    for kind in [
        "title",
        "rich_text",
        "number",
        "checkbox",
        "date",
        "url",
        "email",
        "phone_number",
        "files",
        "people",
        "created_time",
        "last_edited_time",
        "created_by",
        "last_edited_by",
    ] {
        schema.insert(kind.to_owned(), PropertyConfig::of(kind));
    }
    let options = || Options::named(["High", "Low"]);
    schema.insert(
        "Priority".to_owned(),
        PropertyConfig::new(PropertyKind::Select(options())),
    );
    schema.insert(
        "Tags".to_owned(),
        PropertyConfig::new(PropertyKind::MultiSelect(options())),
    );
    schema
}

fn blocks() -> Vec<BlockContent> {
    vec![
        BlockContent::paragraph(["text"]),
        BlockContent::toggle(["outer"]).with_children([BlockContent::to_do(["inner"], true)]),
        BlockContent::code("rust", "let x;"),
        BlockContent::divider(),
        BlockContent::bookmark("https://example.com"),
        BlockContent::image(FileSource::external("https://example.com/a.png")),
        BlockContent::file("a.txt", FileSource::upload(&FileUploadId::new(ID).unwrap())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::too_many_lines, reason = "one table of all operations")]
async fn our_requests_are_the_requests_of_the_library() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let page = || PageId::new(ID).unwrap();
    let block = || BlockId::new(ID).unwrap();
    let source = || DataSourceId::new(ID).unwrap();
    let database = || DatabaseId::new(ID).unwrap();
    let comment = || CommentId::new(ID).unwrap();
    let upload = || FileUploadId::new(ID).unwrap();
    let view = || ViewId::new(ID).unwrap();
    let result = || ViewQueryId::new(ID).unwrap();
    let text = [RichText::text("Hello")];
    let cover = FileSource::external("https://example.com/a.png");
    let filter = Filter::and([
        Filter::checkbox("Done").equals(true),
        Filter::or([
            Filter::number("Price").greater_than(5),
            Filter::created_time().on_or_after("2026-11-01"),
            Filter::title("Name").contains("a"),
        ]),
    ]);
    let sorts = || {
        [
            Sort::property("Name", Direction::Descending),
            Sort::created_time(Direction::Ascending),
        ]
    };
    let configuration = ViewConfiguration::new(ViewKind::Board)
        .grouped_by(GroupBy::new("select", "a"))
        .with_properties([ViewProperty::new("b", false)]);
    let calendar = ViewConfiguration::new(ViewKind::Calendar).with_date_property("d");
    let grouped = GroupBy::new("date", "d").with_setting("group_by", "month");
    let table = ViewConfiguration::new(ViewKind::Table)
        .grouped_by(grouped)
        .with_setting("wrap_cells", true);
    // The library's types of filters and sort criteria of a view accept no value, so the views here
    // have none.
    let board = CreateView::in_database(&database(), &source(), "Board", &ViewKind::Board)
        .with_configuration(&configuration);
    let in_dashboard = CreateView::in_dashboard(&view(), &source(), "List", &ViewKind::List);
    let on_page = CreateView::on_page(&page(), &source(), "Dates", &ViewKind::Calendar);
    let properties = [
        ("Name", PropertyValue::title("Hello")),
        ("Notes", PropertyValue::text("Hello")),
        ("Price", PropertyValue::number(1.5)),
        ("Done", PropertyValue::Checkbox(true)),
        ("Priority", PropertyValue::select("High")),
        ("State", PropertyValue::status("Open")),
    ];
    let mut row = CreatePage::new(&Parent::data_source(&source()));
    let mut update = UpdatePage::new(page());
    for (name, value) in properties {
        row = row.with_property(name, value.clone());
        update = update.with_property(name, value);
    }
    let requests = vec![
        ("users.me", ours(&GetMe::new())),
        ("users.list", ours(&ListUsers::new().with_page_size(7))),
        (
            "users.retrieve",
            ours(&GetUser::new(UserId::new(ID).unwrap())),
        ),
        (
            "search",
            ours(&Search::new().with_query("q").pages().with_page_size(5)),
        ),
        (
            "search",
            ours(
                &Search::new()
                    .in_trash()
                    .data_sources()
                    .by_last_edited_time(Direction::Ascending),
            ),
        ),
        (
            "databases.create",
            ours(
                &CreateDatabase::new(&page(), &schema())
                    .with_title(&text)
                    .with_inline(true),
            ),
        ),
        ("databases.retrieve", ours(&GetDatabase::new(database()))),
        (
            "databases.update",
            ours(
                &UpdateDatabase::new(database())
                    .with_description(&text)
                    .with_icon(&Icon::emoji("📌"))
                    .with_cover(&cover)
                    .with_lock(true)
                    .with_trash(false)
                    .moved_to(&page()),
            ),
        ),
        (
            "dataSources.create",
            ours(&CreateDataSource::new(&database(), &schema()).with_title(&text)),
        ),
        ("dataSources.retrieve", ours(&GetDataSource::new(source()))),
        (
            "dataSources.update",
            ours(
                &UpdateDataSource::new(source())
                    .with_property("New", &PropertyConfig::of("date"))
                    .with_property("Old", &PropertyConfig::renamed("Older"))
                    .without_property("Oldest")
                    .with_icon(&Icon::emoji("📌"))
                    .with_trash(true),
            ),
        ),
        (
            "dataSources.query",
            ours(
                &QueryDataSource::new(source())
                    .with_filter(filter)
                    .sorted_by(sorts())
                    .with_properties(["title", "}RmU"])
                    .with_page_size(9),
            ),
        ),
        (
            "dataSources.listTemplates",
            ours(
                &ListTemplates::new(source())
                    .with_name("Weekly")
                    .with_page_size(3),
            ),
        ),
        ("pages.create", ours(&row)),
        (
            "pages.create",
            ours(
                &CreatePage::new(&Parent::page(&page()))
                    .with_property("title", PropertyValue::title("Hello"))
                    .with_children(&blocks())
                    .with_icon(&Icon::emoji("🌱"))
                    .with_cover(&cover)
                    .with_position(&Position::Start)
                    .with_async(true),
            ),
        ),
        (
            "pages.retrieve",
            ours(&GetPage::new(page()).with_properties(["title"])),
        ),
        (
            "pages.update",
            ours(&update.with_trash(false).without_icon().without_cover()),
        ),
        (
            "pages.move",
            ours(&MovePage::new(page(), &Parent::page(&page()))),
        ),
        (
            "pages.properties.retrieve",
            ours(
                &GetPageProperty::new(page(), PropertyId::of_response("%7DRmU").unwrap())
                    .with_page_size(9),
            ),
        ),
        (
            "pages.retrieveMarkdown",
            ours(&GetPageMarkdown::new(page()).with_transcripts()),
        ),
        (
            "pages.updateMarkdown",
            ours(&UpdatePageMarkdown::replace(page(), "# Hello").with_deletions()),
        ),
        (
            "pages.updateMarkdown",
            ours(&UpdatePageMarkdown::replace_texts(page(), [("a", "b")])),
        ),
        (
            "pages.updateMarkdown",
            ours(&UpdatePageMarkdown::insert(page(), "b", &Position::Start)),
        ),
        ("asyncTasks.retrieve", ours(&GetAsyncTask::new(ID))),
        ("blocks.retrieve", ours(&GetBlock::new(block()))),
        (
            "blocks.update",
            ours(&UpdateBlock::new(block()).with_content(&BlockContent::paragraph(["Hello"]))),
        ),
        ("blocks.delete", ours(&DeleteBlock::new(block()))),
        (
            "blocks.children.list",
            ours(&ListBlockChildren::new(block())),
        ),
        (
            "blocks.children.append",
            ours(
                &AppendBlockChildren::new(block(), &blocks())
                    .with_position(&Position::after(&block())),
            ),
        ),
        (
            "comments.list",
            ours(&ListComments::new(page()).with_page_size(2)),
        ),
        (
            "comments.create",
            ours(&CreateComment::on_page(&page(), &text)),
        ),
        (
            "comments.create",
            ours(&CreateComment::on_block(&block(), &text).with_markdown("**a**")),
        ),
        (
            "comments.create",
            ours(&CreateComment::in_discussion(
                &DiscussionId::new(ID).unwrap(),
                &text,
            )),
        ),
        ("comments.retrieve", ours(&GetComment::new(comment()))),
        (
            "comments.update",
            ours(&UpdateComment::new(comment(), &[]).with_markdown("a")),
        ),
        (
            "comments.update",
            ours(&UpdateComment::new(comment(), &text)),
        ),
        ("comments.delete", ours(&DeleteComment::new(comment()))),
        (
            "fileUploads.list",
            ours(&ListFileUploads::new().with_status("pending")),
        ),
        (
            "fileUploads.create",
            ours(&CreateFileUpload::in_parts("a.txt", "text/plain", 3)),
        ),
        ("fileUploads.retrieve", ours(&GetFileUpload::new(upload()))),
        (
            "fileUploads.complete",
            ours(&CompleteFileUpload::new(upload())),
        ),
        (
            "views.list",
            ours(&ListViews::of_database(&database()).with_page_size(2)),
        ),
        ("views.list", ours(&ListViews::of_data_source(&source()))),
        ("views.create", ours(&board.after_view(&view()))),
        ("views.create", ours(&in_dashboard)),
        ("views.create", ours(&on_page.with_configuration(&calendar))),
        ("views.retrieve", ours(&GetView::new(view()))),
        (
            "views.update",
            ours(
                &UpdateView::new(view())
                    .with_name("All")
                    .without_filter()
                    .without_sorts()
                    .with_configuration(&table),
            ),
        ),
        ("views.delete", ours(&DeleteView::new(view()))),
        (
            "views.queries.create",
            ours(&QueryView::new(view()).with_page_size(20)),
        ),
        (
            "views.queries.results",
            ours(&ListViewRows::new(view(), result()).with_page_size(2)),
        ),
        (
            "views.queries.delete",
            ours(&DeleteViewQuery::new(view(), result())),
        ),
    ];
    let (count, names) = (requests.len(), requests.iter().map(|(_, it)| it.name));
    let names: BTreeSet<&str> = names.collect();
    app.with(|sdk, _| {
        for (method, ours) in requests {
            compare(sdk, method, ours)?;
        }
        Ok(())
    });
    let check = app.check_types();
    assert!(check.errors.is_empty(), "{:#?}", check.errors);
    // A file is sent as a form, whose bytes differ in the boundary.
    let open: Vec<&str> = OPERATIONS
        .iter()
        .map(|it| it.name)
        .filter(|it| !names.contains(it))
        .collect();
    assert_eq!(open, ["SendFileUpload"]);
    println!(
        "requests equal to those of Notion's library: {count}, of {} operations; arguments of its \
         types: {}",
        names.len(),
        check.checked
    );
}
