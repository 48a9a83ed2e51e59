use connector_core::api::{self, PageCursor, Response};
use connector_core::provider::Endpoint;
use connector_core::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parameters, list, next, object, operation, paged, setters, wrong};
use crate::NotionClient;
use crate::error::is_not_shared;
use crate::models::{
    DataSource, DataSourceId, DataSourceReference, Database, DatabaseId, Direction, FileSource,
    Filter, Icon, List, PageId, PageOrDataSource, PageTemplate, Parent, PropertyConfig, RichText,
    Schema, Sort, plain_text,
};

operation! {
    /// The pages and data sources whose titles match, page by page. The index lags behind changes, and
    /// right after an authorization it may be empty: it is not an enumeration.
    ///
    /// See [Notion docs: Search by title](https://developers.notion.com/reference/post-search).
    Search {} -> api::Page<PageOrDataSource>, Safe, POST |_it| ["search"] => list;
}

impl Search {
    /// Everything that is shared with the connection.
    pub fn new() -> Self {
        let parameters = Parameters::default();
        Self { parameters }
    }

    /// Returns the objects of one kind only.
    fn only(mut self, kind: &str) -> Self {
        let filter = json!({ "property": "object", "value": kind });
        self.parameters.set("filter", filter);
        self
    }

    /// Returns pages only.
    pub fn pages(self) -> Self {
        self.only("page")
    }

    /// Returns data sources only.
    pub fn data_sources(self) -> Self {
        self.only("data_source")
    }

    /// Sorts by the time of the last change.
    pub fn by_last_edited_time(mut self, direction: Direction) -> Self {
        let sort = json!({ "timestamp": "last_edited_time", "direction": direction });
        self.parameters.set("sort", sort);
        self
    }
}

impl Default for Search {
    fn default() -> Self {
        Self::new()
    }
}

setters! { Search {
    /// Returns the objects whose title contains this text.
    with_query(query: &str) => "query",
} }
paged!(Search of PageOrDataSource);

operation! {
    /// A database, with its data sources.
    ///
    /// See [Notion docs: Retrieve a database](https://developers.notion.com/reference/retrieve-a-database).
    GetDatabase { database: DatabaseId } -> Database, Safe,
    GET |it| ["databases", it.database.as_str()] => object;
}

impl GetDatabase {
    /// This database.
    pub fn new(database: DatabaseId) -> Self {
        let parameters = Parameters::default();
        Self {
            database,
            parameters,
        }
    }
}

operation! {
    /// Creates a database with its first data source.
    ///
    /// See [Notion docs: Create a database](https://developers.notion.com/reference/create-a-database).
    CreateDatabase {} -> Database, Never, POST |_it| ["databases"] => object;
}

impl CreateDatabase {
    /// A database in `page`, whose data source has this schema. The schema has one property of the
    /// type `title`.
    pub fn new(page: &PageId, schema: &Schema) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("parent", Parent::page(page));
        parameters.set("initial_data_source", json!({ "properties": schema }));
        Self { parameters }
    }
}

operation! {
    /// Changes a database: title, description, icon, cover, place, trash.
    ///
    /// See [Notion docs: Update a database](https://developers.notion.com/reference/update-a-database).
    UpdateDatabase { database: DatabaseId } -> Database, Never,
    PATCH |it| ["databases", it.database.as_str()],
    check |it| not_empty("UpdateDatabase", &it.parameters) => object;
}

impl UpdateDatabase {
    /// Changes to `database`.
    pub fn new(database: DatabaseId) -> Self {
        let parameters = Parameters::default();
        Self {
            database,
            parameters,
        }
    }

    /// Moves it to a page.
    pub fn moved_to(mut self, page: &PageId) -> Self {
        self.parameters.set("parent", Parent::page(page));
        self
    }
}

macro_rules! database_setters {
    ($($name:ident),*) => { $(setters! { $name {
        /// Sets the title.
        with_title(title: &[RichText]) => "title",
        /// Sets the description.
        with_description(description: &[RichText]) => "description",
        /// Sets the icon.
        with_icon(icon: &Icon) => "icon",
        /// Sets the cover.
        with_cover(cover: &FileSource) => "cover",
        /// Sets whether it is shown inside of its page.
        with_inline(is_inline: bool) => "is_inline",
    } })* };
}
database_setters!(CreateDatabase, UpdateDatabase);

setters! { UpdateDatabase {
    /// Moves it to the trash, or out of it.
    with_trash(in_trash: bool) => "in_trash",
    /// Locks it against changes in Notion's application, or unlocks it.
    with_lock(is_locked: bool) => "is_locked",
} }

fn not_empty(operation: &'static str, parameters: &Parameters) -> Result<()> {
    if parameters.body.is_empty() {
        return Err(wrong(
            operation,
            "the update changes nothing; set what is to change",
        ));
    }
    Ok(())
}

operation! {
    /// A data source, with its schema.
    ///
    /// See [Notion docs: Retrieve a data source](https://developers.notion.com/reference/retrieve-a-data-source).
    GetDataSource { data_source: DataSourceId } -> DataSource, Safe,
    GET |it| ["data_sources", it.data_source.as_str()] => object;
}

impl GetDataSource {
    /// This data source.
    pub fn new(data_source: DataSourceId) -> Self {
        let parameters = Parameters::default();
        Self {
            data_source,
            parameters,
        }
    }
}

operation! {
    /// Creates a further data source of a database.
    ///
    /// See [Notion docs: Create a data source](https://developers.notion.com/reference/create-a-data-source).
    CreateDataSource {} -> DataSource, Never, POST |_it| ["data_sources"] => object;
}

impl CreateDataSource {
    /// A data source of `database` with this schema. The schema has one property of the type `title`.
    pub fn new(database: &DatabaseId, schema: &Schema) -> Self {
        let mut parameters = Parameters::default();
        let parent = json!({ "type": "database_id", "database_id": database });
        parameters.set("parent", parent);
        parameters.set("properties", schema);
        Self { parameters }
    }
}

setters! { CreateDataSource {
    /// Sets the title.
    with_title(title: &[RichText]) => "title",
    /// Sets the icon.
    with_icon(icon: &Icon) => "icon",
} }

operation! {
    /// Changes a data source: title, schema, trash.
    ///
    /// See [Notion docs: Update a data source](https://developers.notion.com/reference/update-a-data-source).
    UpdateDataSource { data_source: DataSourceId } -> DataSource, Never,
    PATCH |it| ["data_sources", it.data_source.as_str()],
    check |it| not_empty("UpdateDataSource", &it.parameters) => object;
}

impl UpdateDataSource {
    /// Changes to `data_source`.
    pub fn new(data_source: DataSourceId) -> Self {
        let parameters = Parameters::default();
        Self {
            data_source,
            parameters,
        }
    }

    /// Adds, changes or renames a property, by its name or id.
    pub fn with_property(mut self, property: &str, config: &PropertyConfig) -> Self {
        let config = serde_json::to_value(config).unwrap_or_default();
        self.property(property, config);
        self
    }

    /// Removes a property, by its name or id, with all its values.
    pub fn without_property(mut self, property: &str) -> Self {
        self.property(property, Value::Null);
        self
    }

    fn property(&mut self, property: &str, config: Value) {
        let all = self
            .parameters
            .body
            .entry("properties")
            .or_insert_with(|| json!({}));
        if let Some(all) = all.as_object_mut() {
            all.insert(property.to_owned(), config);
        }
    }
}

setters! { UpdateDataSource {
    /// Sets the title.
    with_title(title: &[RichText]) => "title",
    /// Sets the icon.
    with_icon(icon: &Icon) => "icon",
    /// Moves it to the trash, or out of it.
    with_trash(in_trash: bool) => "in_trash",
} }

operation! {
    /// The templates of a data source, page by page.
    ///
    /// See [Notion docs: List data source templates](https://developers.notion.com/reference/list-data-source-templates).
    ListTemplates { data_source: DataSourceId } -> api::Page<PageTemplate>, Safe,
    GET |it| ["data_sources", it.data_source.as_str(), "templates"] => templates;
}

#[derive(Deserialize)]
struct Templates {
    #[serde(rename = "templates")]
    results: Vec<PageTemplate>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    next_cursor: Option<String>,
}

fn templates(_: &ListTemplates, response: &mut Response) -> Result<api::Page<PageTemplate>> {
    let page: Templates = response.json()?;
    let next = next(page.has_more, page.next_cursor, response)?;
    Ok(api::Page::new(page.results, next))
}

impl ListTemplates {
    /// The templates of `data_source`.
    pub fn new(data_source: DataSourceId) -> Self {
        let parameters = Parameters::default();
        Self {
            data_source,
            parameters,
        }
    }

    /// Returns the templates with this name only.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.parameters.query.push(("name", name.into()));
        self
    }
}

paged!(ListTemplates of PageTemplate);

/// The start of a resume cursor of this connector. Notion's own cursors look otherwise.
const PARTITION: &str = "created_time>=";

operation! {
    /// The rows of a data source, page by page: pages, and data sources in wikis.
    ///
    /// Notion ends a query after 10,000 rows. A listing that it cut ends with an error of the kind
    /// [`Truncated`](connector_core::ErrorKind::Truncated); if the rows are sorted
    /// [by their creation](QueryDataSource::by_creation), the error's resume cursor goes on behind
    /// them. To read everything, use [`NotionClient::read_all`].
    ///
    /// See [Notion docs: Query a data source](https://developers.notion.com/reference/query-a-data-source)
    /// and [Query large data sources](https://developers.notion.com/guides/data-apis/query-large-data-sources).
    QueryDataSource {
        data_source: DataSourceId,
        filter: Option<Filter>,
        since: Option<(String, bool)>,
        is_by_creation: bool
    } -> api::Page<PageOrDataSource>, Safe,
    POST |it| ["data_sources", it.data_source.as_str(), "query"],
    check |it| it.check_filter() => rows;
}

fn rows(query: &QueryDataSource, response: &mut Response) -> Result<api::Page<PageOrDataSource>> {
    let list: List<PageOrDataSource> = response.json()?;
    if list.is_cut() && !list.has_more {
        let resume = query.resume_after(&list.results);
        return Ok(api::Page::truncated(list.results, resume));
    }
    let next = next(list.has_more, list.next_cursor, response)?;
    Ok(api::Page::new(list.results, next))
}

impl QueryDataSource {
    /// All rows of `data_source` that are not in the trash.
    pub fn new(data_source: DataSourceId) -> Self {
        Self {
            data_source,
            filter: None,
            since: None,
            is_by_creation: false,
            parameters: Parameters::default(),
        }
    }

    /// The data source.
    #[must_use]
    pub const fn data_source(&self) -> &DataSourceId {
        &self.data_source
    }

    /// Returns the rows for which this condition holds. Groups nest two levels at most.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self.write_filter();
        self
    }

    /// Sorts the rows by these criteria, the most important one first.
    pub fn sorted_by(mut self, sorts: impl IntoIterator<Item = Sort>) -> Self {
        let sorts: Vec<Sort> = sorts.into_iter().collect();
        self.is_by_creation = false;
        self.parameters.set("sorts", sorts);
        self
    }

    /// Sorts the rows by the time of their creation, the oldest first, so that a listing which Notion
    /// cuts can go on.
    pub fn by_creation(mut self) -> Self {
        self = self.sorted_by([Sort::created_time(Direction::Ascending)]);
        self.is_by_creation = true;
        self
    }

    /// Adds properties to return, by id. Without any, all are returned.
    pub fn with_properties<S: Into<String>>(
        mut self,
        properties: impl IntoIterator<Item = S>,
    ) -> Self {
        let properties = properties
            .into_iter()
            .map(|it| ("filter_properties", it.into()));
        self.parameters.query.extend(properties);
        self
    }

    /// Returns the rows that were created at this time or later; with `is_exclusive`, later.
    pub(super) fn since(mut self, time: Option<(String, bool)>) -> Self {
        self.since = time;
        self.write_filter();
        self
    }

    /// The partition that the query begins at.
    const fn start(&self) -> Option<&(String, bool)> {
        self.since.as_ref()
    }

    fn write_filter(&mut self) {
        let since = self.start().map(|(time, is_exclusive)| {
            let created = Filter::created_time();
            if *is_exclusive {
                created.after(time)
            } else {
                created.on_or_after(time)
            }
        });
        let filter = match (self.filter.clone(), since) {
            (Some(filter), Some(since)) => Some(filter.with(&since)),
            (filter, since) => filter.or(since),
        };
        match filter {
            Some(filter) => self.parameters.set("filter", filter),
            None => drop(self.parameters.body.remove("filter")),
        }
    }

    fn check_filter(&self) -> Result<()> {
        if self.filter.as_ref().is_some_and(|it| it.depth() > 2) {
            let message = "groups of conditions nest two levels at most; flatten the filter";
            return Err(wrong("QueryDataSource", message));
        }
        Ok(())
    }

    /// The cursor behind the last row, unless that leads to where this query began.
    fn resume_after(&self, rows: &[PageOrDataSource]) -> Option<PageCursor> {
        let last = rows
            .last()?
            .created_time()
            .filter(|_| self.is_by_creation)?;
        let is_progress = self.start().is_none_or(|(start, _)| start != last);
        is_progress.then(|| PageCursor::new(format!("{PARTITION}{last}")))
    }

    /// Sets the number of results on a page: 1 to 100, by default 100.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.parameters.page_size = Some(size);
        self
    }

    /// Begins at a cursor that an earlier page, or the error of a listing that was cut, gave. The
    /// other arguments must be as they were then.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        let time = cursor.as_str().strip_prefix(PARTITION).map(str::to_owned);
        if let Some(time) = time {
            self.parameters.cursor = None;
            return self.since(Some((time, false)));
        }
        self.parameters.cursor = Some(cursor);
        self
    }
}

setters! { QueryDataSource {
    /// Returns the rows in the trash instead of the others.
    with_trash(in_trash: bool) => "in_trash",
    /// Returns only `page` or only `data_source` rows of a wiki.
    with_result_type(kind: &str) => "result_type",
} }

impl connector_core::provider::PagedEndpoint for QueryDataSource {
    type Item = PageOrDataSource;

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}

impl NotionClient {
    /// The data sources behind an id that may have been stored before API version 2025-09-03, when a
    /// database was what a data source is now: those of the database, or the data source itself.
    ///
    /// # Errors
    /// [`ErrorKind::ProviderNotFound`](connector_core::ErrorKind::ProviderNotFound) if the id is
    /// neither, or is not shared. Otherwise as for [`NotionClient::send`].
    pub async fn data_sources_of(&self, id: &DatabaseId) -> Result<Vec<DataSourceReference>> {
        let not_a_database = match self.send(&GetDatabase::new(id.clone())).await {
            Ok(database) => return Ok(database.data_sources),
            Err(error) if is_not_shared(&error) => error,
            Err(error) => return Err(error),
        };
        let data_source = DataSourceId::new(id.as_str())?;
        match self.send(&GetDataSource::new(data_source)).await {
            Ok(found) => Ok(vec![DataSourceReference {
                id: found.id,
                name: plain_text(&found.title),
                ..DataSourceReference::default()
            }]),
            Err(error) if is_not_shared(&error) => Err(not_a_database),
            Err(error) => Err(error),
        }
    }
}

/// True for an error that a cursor causes which Notion does not know any more.
pub(super) fn may_be_stale_cursor(error: &Error) -> bool {
    error.code() == Some("validation_error") && error.operation() == QueryDataSource::NAME
}
