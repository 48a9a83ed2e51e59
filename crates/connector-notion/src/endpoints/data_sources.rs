use connector_core::api::{self, PageCursor, Response};
use connector_core::provider::Endpoint;
use connector_core::{Error, Result};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parameters, list, list_with, next, object, operation, paged, setters, wrong};
use crate::NotionClient;
use crate::error::is_not_shared;
use crate::models::{
    DataSource, DataSourceId, DataSourceReference, Database, DatabaseId, Direction, FileSource,
    Filter, Icon, PageId, PageOrDataSource, PageTemplate, Parent, PropertyConfig, RichText, Schema,
    Sort, plain_text,
};

operation! {
    /// Searches pages and data sources by title and returns the results page by page. The search
    /// index is updated with a delay, and may be empty right after an authorization. Do not use
    /// search to list all objects.
    ///
    /// See [Notion docs: Search by title](https://developers.notion.com/reference/post-search).
    Search {} -> api::Page<PageOrDataSource>, Safe, POST |_it| ["search"] => list;
}

impl Search {
    /// Searches everything that is shared with the connection.
    pub fn new() -> Self {
        let parameters = Parameters::default();
        Self { parameters }
    }

    /// Returns only objects of this kind.
    fn only(mut self, kind: &str) -> Self {
        let mut filter = json!({ "property": "object", "value": kind });
        if let Some(trash) = self
            .parameters
            .body
            .get("filter")
            .and_then(|it| it.get("in_trash"))
        {
            filter["in_trash"] = trash.clone();
        }
        self.parameters.set("filter", filter);
        self
    }

    /// Returns only pages.
    pub fn pages(self) -> Self {
        self.only("page")
    }

    /// Returns only data sources.
    pub fn data_sources(self) -> Self {
        self.only("data_source")
    }

    /// Returns the objects in the trash instead of those outside the trash.
    pub fn in_trash(mut self) -> Self {
        let filter = self.parameters.body.entry("filter").or_insert(json!({}));
        if let Some(filter) = filter.as_object_mut() {
            filter.insert("in_trash".to_owned(), true.into());
        }
        self
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
    /// Returns only objects whose title contains this text.
    with_query(query: &str) => "query",
} }
paged!(Search of PageOrDataSource);

operation! {
    /// Reads a database with its data sources.
    ///
    /// See [Notion docs: Retrieve a database](https://developers.notion.com/reference/retrieve-a-database).
    GetDatabase { database: DatabaseId } -> Database, Safe,
    GET |it| ["databases", it.database.as_str()] => object;
}

impl GetDatabase {
    /// Reads the database with this id.
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
    /// Creates a database in `page`. Its data source gets this schema, which must contain one
    /// property of the type `title`.
    pub fn new(page: &PageId, schema: &Schema) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("parent", Parent::page(page));
        parameters.set("initial_data_source", json!({ "properties": schema }));
        Self { parameters }
    }
}

operation! {
    /// Changes a database: title, description, icon, cover, parent page, trash.
    ///
    /// See [Notion docs: Update a database](https://developers.notion.com/reference/update-a-database).
    UpdateDatabase { database: DatabaseId } -> Database, Never,
    PATCH |it| ["databases", it.database.as_str()],
    check |it| it.parameters.check_change("UpdateDatabase") => object;
}

impl UpdateDatabase {
    /// Starts an update of `database`. Set at least one change.
    pub fn new(database: DatabaseId) -> Self {
        let parameters = Parameters::default();
        Self {
            database,
            parameters,
        }
    }

    /// Moves the database to another page.
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
        /// Sets whether the database is embedded in its parent page.
        with_inline(is_inline: bool) => "is_inline",
    } })* };
}
database_setters!(CreateDatabase, UpdateDatabase);

setters! { UpdateDatabase {
    /// Moves the database to the trash, or restores it.
    with_trash(in_trash: bool) => "in_trash",
    /// Locks the database against changes in Notion's application, or unlocks it.
    with_lock(is_locked: bool) => "is_locked",
} }

operation! {
    /// Reads a data source with its schema.
    ///
    /// See [Notion docs: Retrieve a data source](https://developers.notion.com/reference/retrieve-a-data-source).
    GetDataSource { data_source: DataSourceId } -> DataSource, Safe,
    GET |it| ["data_sources", it.data_source.as_str()] => object;
}

impl GetDataSource {
    /// Reads the data source with this id.
    pub fn new(data_source: DataSourceId) -> Self {
        let parameters = Parameters::default();
        Self {
            data_source,
            parameters,
        }
    }
}

operation! {
    /// Adds a data source to a database.
    ///
    /// See [Notion docs: Create a data source](https://developers.notion.com/reference/create-a-data-source).
    CreateDataSource {} -> DataSource, Never, POST |_it| ["data_sources"] => object;
}

impl CreateDataSource {
    /// Creates a data source of `database` with this schema. The schema must contain one property
    /// of the type `title`.
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
    check |it| it.parameters.check_change("UpdateDataSource") => object;
}

impl UpdateDataSource {
    /// Starts an update of `data_source`. Set at least one change.
    pub fn new(data_source: DataSourceId) -> Self {
        let parameters = Parameters::default();
        Self {
            data_source,
            parameters,
        }
    }

    /// Adds, changes or renames a property, given by name or id.
    pub fn with_property(mut self, property: &str, config: &PropertyConfig) -> Self {
        self.parameters.set_property(property, config);
        self
    }

    /// Removes a property and all of its values. The property is given by name or id.
    pub fn without_property(mut self, property: &str) -> Self {
        self.parameters.set_property(property, Value::Null);
        self
    }
}

setters! { UpdateDataSource {
    /// Sets the title.
    with_title(title: &[RichText]) => "title",
    /// Sets the icon.
    with_icon(icon: &Icon) => "icon",
    /// Moves the data source to the trash, or restores it.
    with_trash(in_trash: bool) => "in_trash",
} }

operation! {
    /// Lists the templates of a data source, page by page.
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
    /// Lists the templates of `data_source`.
    pub fn new(data_source: DataSourceId) -> Self {
        let parameters = Parameters::default();
        Self {
            data_source,
            parameters,
        }
    }

    /// Returns only templates with this name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.parameters.query.push(("name", name.into()));
        self
    }
}

paged!(ListTemplates of PageTemplate);

/// Prefix of this connector's resume cursors. Notion's own cursors have no such prefix.
const PARTITION: &str = "created_time>=";

operation! {
    /// Queries the rows of a data source and returns them page by page. The rows of a wiki can also
    /// be data sources.
    ///
    /// Notion truncates the results of a query after 10,000 rows. The listing then ends with an
    /// error of the kind [`Truncated`](connector_core::ErrorKind::Truncated). If the rows are
    /// sorted [by creation time](QueryDataSource::by_creation), the error contains a cursor to
    /// resume after the last row. Use [`NotionClient::read_all`] to read all rows.
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
    list_with(response, |rows| query.resume_after(rows))
}

impl QueryDataSource {
    /// Queries all rows of `data_source` that are not in the trash.
    pub fn new(data_source: DataSourceId) -> Self {
        Self {
            data_source,
            filter: None,
            since: None,
            is_by_creation: false,
            parameters: Parameters::default(),
        }
    }

    /// Returns the id of the data source.
    #[must_use]
    pub const fn data_source(&self) -> &DataSourceId {
        &self.data_source
    }

    /// Returns only rows that match this filter. Notion allows at most two levels of nested groups.
    pub fn with_filter(mut self, filter: Filter) -> Self {
        self.filter = Some(filter);
        self.write_filter();
        self
    }

    /// Sorts the rows by these criteria, the most important criterion first.
    pub fn sorted_by(mut self, sorts: impl IntoIterator<Item = Sort>) -> Self {
        let sorts: Vec<Sort> = sorts.into_iter().collect();
        self.is_by_creation = false;
        self.parameters.set("sorts", sorts);
        self
    }

    /// Sorts the rows by creation time, the oldest first. You can then resume a listing that Notion
    /// truncated.
    pub fn by_creation(mut self) -> Self {
        self = self.sorted_by([Sort::created_time(Direction::Ascending)]);
        self.is_by_creation = true;
        self
    }

    /// Adds properties to return, by id. Without this option, all properties are returned.
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

    /// Returns only rows created at or after this time. If `is_exclusive` is true, rows created at
    /// exactly this time are left out.
    pub(super) fn since(mut self, time: Option<(String, bool)>) -> Self {
        self.since = time;
        self.write_filter();
        self
    }

    fn write_filter(&mut self) {
        let since = self.since.as_ref().map(|(time, is_exclusive)| {
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
            let message = "the filter has more than two levels of nested groups; flatten it";
            return Err(wrong("QueryDataSource", message));
        }
        Ok(())
    }

    /// Returns a cursor to resume after the last row. Returns `None` if that cursor would repeat
    /// this query.
    fn resume_after(&self, rows: &[PageOrDataSource]) -> Option<PageCursor> {
        let last = rows
            .last()?
            .created_time()
            .filter(|_| self.is_by_creation)?;
        let is_progress = self.since.as_ref().is_none_or(|(start, _)| start != last);
        is_progress.then(|| PageCursor::new(format!("{PARTITION}{last}")))
    }

    /// Sets the number of results per page: 1 to 100. Default: 100.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.parameters.page_size = Some(size);
        self
    }

    /// Starts at a cursor from an earlier page or from the error of a truncated listing. Use the
    /// same arguments as for the earlier query.
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
    /// Returns the rows in the trash instead of the rows outside the trash.
    with_trash(in_trash: bool) => "in_trash",
    /// Returns only rows of a wiki that are of this type: `page` or `data_source`.
    with_result_type(kind: &str) => "result_type",
} }

impl connector_core::provider::PagedEndpoint for QueryDataSource {
    type Item = PageOrDataSource;

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}

impl NotionClient {
    /// Resolves an id that may have been stored before API version 2025-09-03, when databases had
    /// the role that data sources have now. Returns the data sources of the database with this id,
    /// or the data source with this id.
    ///
    /// # Errors
    /// [`ErrorKind::ProviderNotFound`](connector_core::ErrorKind::ProviderNotFound) if no shared
    /// database or data source has this id. Otherwise the errors of [`NotionClient::send`].
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

/// Returns true for an error caused by an expired or unknown page cursor.
pub(super) fn may_be_stale_cursor(error: &Error) -> bool {
    error.code() == Some("validation_error") && error.operation() == QueryDataSource::NAME
}
