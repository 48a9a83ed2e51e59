use connector_core::api::{self, PageCursor};
use serde_json::{Value, json};

use super::{Parameters, list, object, operation, paged, setters};
use crate::models::{
    DataSourceId, DatabaseId, DeletedViewQuery, Filter, PageId, Sort, View, ViewConfiguration,
    ViewId, ViewKind, ViewQuery, ViewQueryId, ViewReference, ViewRow,
};

operation! {
    /// Lists the views of a database or a data source, page by page.
    ///
    /// See [Notion docs: List views](https://developers.notion.com/reference/list-views).
    ListViews {} -> api::Page<ViewReference>, Safe, GET |_it| ["views"] => list;
}

impl ListViews {
    fn of(name: &'static str, id: &str) -> Self {
        let mut parameters = Parameters::default();
        parameters.query.push((name, id.to_owned()));
        Self { parameters }
    }

    /// Lists the views of `database`.
    pub fn of_database(database: &DatabaseId) -> Self {
        Self::of("database_id", database.as_str())
    }

    /// Lists the views of `data_source`, in all databases.
    pub fn of_data_source(data_source: &DataSourceId) -> Self {
        Self::of("data_source_id", data_source.as_str())
    }
}

paged!(ListViews of ViewReference);

operation! {
    /// Creates a view of a data source.
    ///
    /// See [Notion docs: Create a view](https://developers.notion.com/reference/create-view).
    CreateView {} -> View, Never, POST |_it| ["views"] => object;
}

impl CreateView {
    fn of(
        data_source: &DataSourceId,
        name: &str,
        kind: &ViewKind,
        place: &str,
        value: Value,
    ) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("data_source_id", data_source);
        parameters.set("name", name);
        parameters.set("type", kind);
        parameters.set(place, value);
        Self { parameters }
    }

    /// Creates a view as a tab of `database`.
    pub fn in_database(
        database: &DatabaseId,
        data_source: &DataSourceId,
        name: &str,
        kind: &ViewKind,
    ) -> Self {
        Self::of(data_source, name, kind, "database_id", json!(database))
    }

    /// Creates a view as a widget of a dashboard.
    pub fn in_dashboard(
        dashboard: &ViewId,
        data_source: &DataSourceId,
        name: &str,
        kind: &ViewKind,
    ) -> Self {
        Self::of(data_source, name, kind, "view_id", json!(dashboard))
    }

    /// Creates a view in a new linked database at the end of `page`.
    pub fn on_page(page: &PageId, data_source: &DataSourceId, name: &str, kind: &ViewKind) -> Self {
        let database = json!({ "parent": { "type": "page_id", "page_id": page } });
        Self::of(data_source, name, kind, "create_database", database)
    }

    /// Inserts the tab after another view of the database. Default: at the end.
    pub fn after_view(mut self, view: &ViewId) -> Self {
        let position = json!({ "type": "after_view", "view_id": view });
        self.parameters.set("position", position);
        self
    }

    /// Inserts the tab before all other views of the database.
    pub fn at_start(mut self) -> Self {
        self.parameters.set("position", json!({ "type": "start" }));
        self
    }
}

operation! {
    /// Reads a view.
    ///
    /// See [Notion docs: Retrieve a view](https://developers.notion.com/reference/retrieve-a-view).
    GetView { view: ViewId } -> View, Safe, GET |it| ["views", it.view.as_str()] => object;
}

operation! {
    /// Changes a view: name, filter, sort order, settings of the layout.
    ///
    /// See [Notion docs: Update a view](https://developers.notion.com/reference/update-a-view).
    UpdateView { view: ViewId } -> View, Never,
    PATCH |it| ["views", it.view.as_str()],
    check |it| it.parameters.check_change("UpdateView") => object;
}

operation! {
    /// Deletes a view. The last view of a database cannot be deleted. The response contains only
    /// id, parent and layout.
    ///
    /// See [Notion docs: Delete a view](https://developers.notion.com/reference/delete-view).
    DeleteView { view: ViewId } -> View, Safe, DELETE |it| ["views", it.view.as_str()] => object;
}

operation! {
    /// Queries the rows of a view and returns the first page. Notion stores the result for 15
    /// minutes; [`ListViewRows`] reads its other pages.
    ///
    /// See [Notion docs: Create a view query](https://developers.notion.com/reference/create-view-query).
    QueryView { view: ViewId } -> ViewQuery, Safe,
    POST |it| ["views", it.view.as_str(), "queries"] => object;
}

macro_rules! of_view {
    ($($(#[$doc:meta])* $name:ident,)*) => { $(impl $name {
        $(#[$doc])*
        pub fn new(view: ViewId) -> Self {
            let parameters = Parameters::default();
            Self { view, parameters }
        }
    })* };
}

of_view! {
    /// Reads the view with this id.
    GetView,
    /// Starts an update of `view`. Set at least one change.
    UpdateView,
    /// Deletes the view with this id.
    DeleteView,
    /// Queries the rows of `view`.
    QueryView,
}

impl UpdateView {
    /// Removes the filter.
    pub fn without_filter(mut self) -> Self {
        self.parameters.set("filter", Value::Null);
        self
    }

    /// Removes the sort criteria.
    pub fn without_sorts(mut self) -> Self {
        self.parameters.set("sorts", Value::Null);
        self
    }
}

impl QueryView {
    /// Sets the number of rows per page: 1 to 100. Default: 100.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.parameters.page_size = Some(size);
        self
    }
}

macro_rules! view_setters {
    ($($name:ident),*) => { $(setters! { $name {
        /// Sets the filter. Notion allows at most two levels of nested groups.
        with_filter(filter: &Filter) => "filter",
        /// Sets the sort criteria, the most important criterion first.
        with_sorts(sorts: &[Sort]) => "sorts",
        /// Sets the settings of the layout.
        with_configuration(configuration: &ViewConfiguration) => "configuration",
    } })* };
}
view_setters!(CreateView, UpdateView);

setters! { UpdateView {
    /// Sets the name.
    with_name(name: &str) => "name",
} }

operation! {
    /// Lists the rows in the stored result of a view query, page by page. If the result was
    /// deleted, the error has the kind
    /// [`ProviderNotFound`](connector_core::ErrorKind::ProviderNotFound); repeat the query. If
    /// Notion ended the result at 10,000 rows, the listing ends with an error of the kind
    /// [`Truncated`](connector_core::ErrorKind::Truncated).
    ///
    /// See [Notion docs: Get view query results](https://developers.notion.com/reference/get-view-query-results).
    ListViewRows { view: ViewId, query: ViewQueryId } -> api::Page<ViewRow>, Safe,
    GET |it| ["views", it.view.as_str(), "queries", it.query.as_str()] => list;
}

operation! {
    /// Deletes the stored result of a view query before it expires.
    ///
    /// See [Notion docs: Delete a view query](https://developers.notion.com/reference/delete-view-query).
    DeleteViewQuery { view: ViewId, query: ViewQueryId } -> DeletedViewQuery, Safe,
    DELETE |it| ["views", it.view.as_str(), "queries", it.query.as_str()] => object;
}

impl ListViewRows {
    /// Lists all rows of the result.
    pub fn new(view: ViewId, query: ViewQueryId) -> Self {
        Self {
            view,
            query,
            parameters: Parameters::default(),
        }
    }

    /// Lists the rows after the first page, which `query` contains. Returns `None` if there are
    /// none.
    #[must_use]
    pub fn rest_of(query: &ViewQuery) -> Option<Self> {
        let cursor = query.next_cursor.as_ref().filter(|_| query.has_more)?;
        let rest = Self::new(query.view_id.clone(), query.id.clone());
        Some(rest.after(PageCursor::new(cursor)))
    }
}

impl DeleteViewQuery {
    /// Deletes the result `query` of `view`.
    pub fn new(view: ViewId, query: ViewQueryId) -> Self {
        let parameters = Parameters::default();
        Self {
            view,
            query,
            parameters,
        }
    }
}

paged!(ListViewRows of ViewRow);
