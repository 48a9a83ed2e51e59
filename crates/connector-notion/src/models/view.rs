//! Views of a data source: tables, boards, calendars and other layouts.

use serde::{Deserialize, Serialize};

use super::tagged::is_default;
use super::{DataSourceId, Filter, Other, PageId, Parent, User, ViewId, ViewQueryId};

connector_core::provider::open_enum! {
    /// The layout of a view.
    pub enum ViewKind {
        /// `table`.
        Table = "table",
        /// `board`.
        Board = "board",
        /// `list`.
        List = "list",
        /// `calendar`.
        Calendar = "calendar",
        /// `timeline`.
        Timeline = "timeline",
        /// `gallery`.
        Gallery = "gallery",
        /// `form`.
        Form = "form",
        /// `chart`.
        Chart = "chart",
        /// `map`.
        Map = "map",
        /// `dashboard`: a view that contains other views.
        Dashboard = "dashboard",
    } else
    /// A layout that this version does not know.
    Other
}

impl Default for ViewKind {
    fn default() -> Self {
        Self::Other(String::new())
    }
}

/// A view of a data source: layout, filter and sort order.
///
/// See [Notion docs: View](https://developers.notion.com/reference/view).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct View {
    /// ID of the view.
    pub id: ViewId,
    /// The database that contains the view.
    #[serde(default, skip_serializing_if = "is_default")]
    pub parent: Option<Parent>,
    /// The name. Empty if the response contains only the id, the parent and the layout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub name: String,
    /// The layout.
    #[serde(rename = "type", default, skip_serializing_if = "is_default")]
    pub kind: ViewKind,
    /// Creation time (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub created_time: Option<String>,
    /// Time of the last change (RFC 3339).
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_edited_time: Option<String>,
    /// User or bot that created the view.
    #[serde(default, skip_serializing_if = "is_default")]
    pub created_by: Option<User>,
    /// User or bot that last changed the view.
    #[serde(default, skip_serializing_if = "is_default")]
    pub last_edited_by: Option<User>,
    /// URL in Notion's application.
    #[serde(default, skip_serializing_if = "is_default")]
    pub url: Option<String>,
    /// The data source whose rows the view shows. A dashboard has none.
    #[serde(default, skip_serializing_if = "is_default")]
    pub data_source_id: Option<DataSourceId>,
    /// The filter.
    #[serde(default, skip_serializing_if = "is_default")]
    pub filter: Option<Filter>,
    /// The sort criteria, in the form of [`Sort`](super::Sort), the most important criterion first.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sorts: Option<Vec<Other>>,
    /// Conditions in the filter bar, by property. Each has the form of a [`Filter`] without the
    /// member `property`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub quick_filters: Option<Other>,
    /// Settings of the layout.
    #[serde(default, skip_serializing_if = "is_default")]
    pub configuration: Option<ViewConfiguration>,
    /// The dashboard that contains the view, if any.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dashboard_view_id: Option<ViewId>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// A reference to a view.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewReference {
    /// ID of the view.
    pub id: ViewId,
}

/// Settings of a view's layout. A member applies only to the layouts that its documentation names.
///
/// See [Notion docs: Working with views](https://developers.notion.com/guides/data-apis/working-with-views).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewConfiguration {
    /// The layout. Must be the layout of the view.
    #[serde(rename = "type", default)]
    pub kind: ViewKind,
    /// Properties in the order of the view.
    #[serde(default, skip_serializing_if = "is_default")]
    pub properties: Option<Vec<ViewProperty>>,
    /// Property by which rows are grouped: tables and boards. A board requires it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub group_by: Option<GroupBy>,
    /// Property by which the groups of a board are divided.
    #[serde(default, skip_serializing_if = "is_default")]
    pub sub_group_by: Option<GroupBy>,
    /// Property with the date, or with the start: calendars and timelines, which require it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub date_property_id: Option<String>,
    /// Property with the end: timelines.
    #[serde(default, skip_serializing_if = "is_default")]
    pub end_date_property_id: Option<String>,
    /// Image of each card: boards and galleries.
    #[serde(default, skip_serializing_if = "is_default")]
    pub cover: Option<ViewCover>,
    /// `column`, `bar`, `line`, `donut` or `number`: charts, which require it.
    #[serde(default, skip_serializing_if = "is_default")]
    pub chart_type: Option<String>,
    /// Further settings, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

impl ViewConfiguration {
    /// Creates settings for a layout.
    #[must_use]
    pub fn new(kind: ViewKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Sets the properties and their order.
    #[must_use]
    pub fn with_properties(mut self, properties: impl IntoIterator<Item = ViewProperty>) -> Self {
        self.properties = Some(properties.into_iter().collect());
        self
    }

    /// Groups rows by a property.
    #[must_use]
    pub fn grouped_by(mut self, group_by: GroupBy) -> Self {
        self.group_by = Some(group_by);
        self
    }

    /// Sets the property with the date, given by id.
    #[must_use]
    pub fn with_date_property(mut self, property_id: impl Into<String>) -> Self {
        self.date_property_id = Some(property_id.into());
        self
    }

    /// Sets a setting that has no method here, for example `wrap_cells`.
    #[must_use]
    pub fn with_setting(
        mut self,
        name: impl Into<String>,
        value: impl Into<serde_json::Value>,
    ) -> Self {
        self.other.insert(name.into(), value.into());
        self
    }
}

/// A property as a view shows it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewProperty {
    /// ID of the property.
    pub property_id: String,
    /// Name of the property. Only in responses.
    #[serde(default, skip_serializing_if = "is_default")]
    pub property_name: Option<String>,
    /// Whether the view shows the property.
    #[serde(default, skip_serializing_if = "is_default")]
    pub visible: Option<bool>,
    /// Width of the column in pixels: tables.
    #[serde(default, skip_serializing_if = "is_default")]
    pub width: Option<u32>,
    /// Further settings, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

impl ViewProperty {
    /// Shows or hides the property with this id.
    #[must_use]
    pub fn new(property_id: impl Into<String>, is_visible: bool) -> Self {
        Self {
            property_id: property_id.into(),
            visible: Some(is_visible),
            ..Self::default()
        }
    }
}

/// The property by which a view groups its rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupBy {
    /// Type of the property, for example `select`.
    #[serde(rename = "type")]
    pub kind: String,
    /// ID of the property.
    pub property_id: String,
    /// Further settings, kept unchanged: `sort`, `group_by`, `hide_empty_groups`, ranges.
    #[serde(flatten)]
    pub other: Other,
}

impl GroupBy {
    /// Groups by a property of this type, for example `select`. Groups are in the order of the
    /// property's options. Properties of the types date, status, text and formula also require the
    /// setting `group_by`: see [`GroupBy::with_setting`].
    #[must_use]
    pub fn new(kind: impl Into<String>, property_id: impl Into<String>) -> Self {
        let by = Self {
            kind: kind.into(),
            property_id: property_id.into(),
            other: Other::new(),
        };
        by.with_setting("sort", serde_json::json!({ "type": "manual" }))
    }

    /// Sets a setting.
    #[must_use]
    pub fn with_setting(
        mut self,
        name: impl Into<String>,
        value: impl Into<serde_json::Value>,
    ) -> Self {
        self.other.insert(name.into(), value.into());
        self
    }
}

/// The image of a card.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewCover {
    /// `page_cover`, `page_content`, `page_content_first` or `property`.
    #[serde(rename = "type")]
    pub kind: String,
    /// ID of the property with the image, for the type `property`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub property_id: Option<String>,
}

/// A row in the result of a view query.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewRow {
    /// Kind of object, `page`.
    #[serde(default)]
    pub object: String,
    /// ID of the row.
    pub id: PageId,
}

/// The stored result of a view query, with its first page of rows. Notion deletes the result after
/// 15 minutes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ViewQuery {
    /// ID of the result.
    pub id: ViewQueryId,
    /// ID of the view.
    pub view_id: ViewId,
    /// Time at which Notion deletes the result (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
    /// Number of rows in the whole result.
    #[serde(default)]
    pub total_count: u64,
    /// Rows of the first page.
    #[serde(default)]
    pub results: Vec<ViewRow>,
    /// Cursor of the next page.
    #[serde(default)]
    pub next_cursor: Option<String>,
    /// True if the result has further pages.
    #[serde(default)]
    pub has_more: bool,
    /// Further JSON members, kept unchanged. `request_status` says whether Notion ended the result
    /// at 10,000 rows: see [`ViewQuery::is_truncated`].
    #[serde(flatten)]
    pub other: Other,
}

impl ViewQuery {
    /// Returns true if the view has more rows than the result, because Notion ends a result at
    /// 10,000 rows. Use [`NotionClient::read_all`](crate::NotionClient::read_all) to read all rows
    /// of the data source.
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        let status = self
            .other
            .get("request_status")
            .and_then(|it| it.get("type"));
        status.is_some_and(|it| it != "complete")
    }
}

/// The response to the deletion of a view query's result.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct DeletedViewQuery {
    /// ID of the result.
    pub id: ViewQueryId,
    /// True if the result was deleted.
    #[serde(default)]
    pub deleted: bool,
}
