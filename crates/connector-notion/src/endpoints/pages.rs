use connector_core::api::{self, Response};
use connector_core::{ErrorKind, Result};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{Parameters, next, object, operation, paged, setters, wrong};
use crate::models::{
    AsyncTask, BlockContent, FileSource, Icon, MaybeLater, Other, Page, PageId, PageMarkdown,
    Parent, Position, Properties, Property, PropertyId, PropertyItem, PropertyValue, Reference,
};

/// Maximum number of blocks in an array.
const BLOCKS: usize = 100;

operation! {
    /// Creates a page: a row of a data source, or a child of another page. This operation is not
    /// retried if the connection fails after the request was sent. Search for the page before you
    /// retry.
    ///
    /// See [Notion docs: Create a page](https://developers.notion.com/reference/post-page).
    CreatePage { children: usize } -> MaybeLater<Page>, Never, POST |_it| ["pages"],
    check |it| {
        if it.children > BLOCKS {
            let message = "a page can be created with at most 100 blocks; append further blocks \
                with `NotionClient::append`";
            Err(wrong("CreatePage", message))
        } else {
            Ok(())
        }
    } => object;
}

impl CreatePage {
    /// Creates a page in `parent`.
    pub fn new(parent: &Parent) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("parent", parent);
        let children = 0;
        Self {
            children,
            parameters,
        }
    }

    /// Sets a property, given by name or id. A child of another page has only the property `title`.
    pub fn with_property(mut self, name: &str, value: PropertyValue) -> Self {
        self.parameters.set_property(name, Property::new(value));
        self
    }

    /// Sets the content: at most 100 blocks, two levels of children and 2,000 characters per text
    /// segment. Use [`NotionClient::append`](crate::NotionClient::append) for larger content.
    pub fn with_children(mut self, children: &[BlockContent]) -> Self {
        self.children = children.len();
        self.parameters.set("children", children);
        self
    }

    /// Creates the page from a template, given by id. Notion adds the template's content a short
    /// time later.
    pub fn from_template(mut self, id: &str) -> Self {
        let template = json!({ "type": "template_id", "template_id": id });
        self.parameters.set("template", template);
        self
    }

    /// Inserts a page whose parent is a page at a position in the parent's content. Default: at the
    /// end.
    pub fn with_position(mut self, position: &Position) -> Self {
        let position = match position {
            Position::Start => json!({ "type": "page_start" }),
            Position::End => json!({ "type": "page_end" }),
            after => json!(after),
        };
        self.parameters.set("position", position);
        self
    }
}

setters! { CreatePage {
    /// Sets several properties.
    with_properties(properties: &Properties) => "properties",
    /// Sets the content as Markdown.
    with_markdown(markdown: &str) => "markdown",
    /// Sets the icon.
    with_icon(icon: &Icon) => "icon",
    /// Sets the cover.
    with_cover(cover: &FileSource) => "cover",
    /// Allows Notion to create the page asynchronously. The response may then be a task.
    with_async(allow_async: bool) => "allow_async",
} }

operation! {
    /// Reads a page with its properties. The response contains at most 25 references per property:
    /// see [`Page::cut_properties`].
    ///
    /// See [Notion docs: Retrieve a page](https://developers.notion.com/reference/retrieve-a-page).
    GetPage { page: PageId } -> Page, Safe, GET |it| ["pages", it.page.as_str()] => object;
}

impl GetPage {
    /// Reads the page with this id.
    pub fn new(page: PageId) -> Self {
        let parameters = Parameters::default();
        Self { page, parameters }
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
}

operation! {
    /// Changes a page: properties, icon, cover, lock, trash, content from a template.
    ///
    /// See [Notion docs: Update page](https://developers.notion.com/reference/patch-page).
    UpdatePage { page: PageId } -> Page, Never, PATCH |it| ["pages", it.page.as_str()],
    check |it| it.parameters.check_change("UpdatePage") => object;
}

impl UpdatePage {
    /// Starts an update of `page`. Set at least one change.
    pub fn new(page: PageId) -> Self {
        let parameters = Parameters::default();
        Self { page, parameters }
    }

    /// Sets a property, given by name or id.
    pub fn with_property(self, name: &str, value: PropertyValue) -> Self {
        self.with_read_property(name, &Property::new(value))
    }

    /// Writes a property unchanged, as it was read. The type of the property may be unknown to this
    /// version.
    pub fn with_read_property(mut self, name: &str, property: &Property) -> Self {
        let mut property = property.clone();
        property.id = None;
        property.has_more = false;
        property.other = Other::new();
        self.parameters.set_property(name, property);
        self
    }

    /// Fills the page from a template, given by id.
    pub fn from_template(mut self, id: &str) -> Self {
        let template = json!({ "type": "template_id", "template_id": id });
        self.parameters.set("template", template);
        self
    }

    /// Removes the icon.
    pub fn without_icon(mut self) -> Self {
        self.parameters.set("icon", Value::Null);
        self
    }

    /// Removes the cover.
    pub fn without_cover(mut self) -> Self {
        self.parameters.set("cover", Value::Null);
        self
    }
}

setters! { UpdatePage {
    /// Sets the icon.
    with_icon(icon: &Icon) => "icon",
    /// Sets the cover.
    with_cover(cover: &FileSource) => "cover",
    /// Moves the page to the trash, or restores it.
    with_trash(in_trash: bool) => "in_trash",
    /// Locks the page against changes in Notion's application, or unlocks it.
    with_lock(is_locked: bool) => "is_locked",
    /// Deletes the complete content of the page permanently.
    with_erased_content(erase: bool) => "erase_content",
} }

operation! {
    /// Moves a page to another page or to a data source.
    ///
    /// See [Notion docs: Move a page](https://developers.notion.com/reference/move-page).
    MovePage { page: PageId } -> Page, Never, POST |it| ["pages", it.page.as_str(), "move"] => object;
}

impl MovePage {
    /// Moves `page` to `parent`, a page or a data source.
    pub fn new(page: PageId, parent: &Parent) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("parent", parent);
        Self { page, parameters }
    }
}

operation! {
    /// Reads the value of one property page by page, for example all references of a relation, all
    /// people, or all text. A property of any other type has one item, the complete value.
    ///
    /// See [Notion docs: Retrieve a page property item](https://developers.notion.com/reference/retrieve-a-page-property-item).
    GetPageProperty { page: PageId, property: PropertyId } -> api::Page<PropertyItem>, Safe,
    GET |it| ["pages", it.page.as_str(), "properties", it.property.as_str()] => items;
}

impl GetPageProperty {
    /// Reads the property of `page` with this id.
    pub fn new(page: PageId, property: PropertyId) -> Self {
        let parameters = Parameters::default();
        Self {
            page,
            property,
            parameters,
        }
    }
}

paged!(GetPageProperty of PropertyItem);

#[derive(Deserialize)]
struct Items {
    results: Vec<PropertyItem>,
    #[serde(default)]
    has_more: bool,
    #[serde(default)]
    next_cursor: Option<String>,
    /// The value of a rollup, computed from the pages read so far.
    #[serde(default)]
    property_item: Option<PropertyItem>,
}

fn items(_: &GetPageProperty, response: &mut Response) -> Result<api::Page<PropertyItem>> {
    let body: Other = response.json()?;
    let is_list = body.get("object").is_some_and(|it| it == "list");
    let value = Value::Object(body);
    let unreadable = |_| {
        let message = "the property has an unexpected form; please report this bug";
        response.error(ErrorKind::UnexpectedResponse, message)
    };
    if !is_list {
        let item = serde_json::from_value(value).map_err(unreadable)?;
        return Ok(api::Page::new(vec![item], None));
    }
    let list: Items = serde_json::from_value(value).map_err(unreadable)?;
    let next = next(list.has_more, list.next_cursor, response)?;
    let mut items = list.results;
    // The last page contains the result of a rollup.
    if let (None, Some(PropertyItem::Value(rollup @ PropertyValue::Rollup(_)))) =
        (&next, list.property_item)
    {
        items.push(PropertyItem::Value(rollup));
    }
    Ok(api::Page::new(items, next))
}

operation! {
    /// Reads the content of a page as Markdown.
    ///
    /// See [Notion docs: Retrieve a page as markdown](https://developers.notion.com/reference/retrieve-page-markdown).
    GetPageMarkdown { page: PageId } -> PageMarkdown, Safe,
    GET |it| ["pages", it.page.as_str(), "markdown"] => object;
}

impl GetPageMarkdown {
    /// Reads the content of `page`.
    pub fn new(page: PageId) -> Self {
        let parameters = Parameters::default();
        Self { page, parameters }
    }

    /// Includes the transcripts of meeting notes.
    pub fn with_transcripts(mut self) -> Self {
        self.parameters
            .query
            .push(("include_transcript", "true".to_owned()));
        self
    }
}

operation! {
    /// Changes the content of a page with Markdown.
    ///
    /// See [Notion docs: Update a page's content as markdown](https://developers.notion.com/reference/update-page-markdown).
    UpdatePageMarkdown { page: PageId, kind: &'static str } -> MaybeLater<PageMarkdown>, Never,
    PATCH |it| ["pages", it.page.as_str(), "markdown"] => object;
}

/// A text replacement.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct ContentUpdate<'a> {
    old_str: &'a str,
    new_str: &'a str,
    replace_all_matches: bool,
}

impl UpdatePageMarkdown {
    fn of(page: PageId, kind: &'static str, change: Value) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("type", kind);
        parameters.set(kind, change);
        Self {
            page,
            kind,
            parameters,
        }
    }

    /// Replaces the complete content.
    pub fn replace(page: PageId, markdown: &str) -> Self {
        Self::of(page, "replace_content", json!({ "new_str": markdown }))
    }

    /// Inserts content at the start or at the end. Any other position is treated as the end.
    pub fn insert(page: PageId, markdown: &str, position: &Position) -> Self {
        let position = match position {
            Position::Start => "start",
            _ => "end",
        };
        let change = json!({ "content": markdown, "position": { "type": position } });
        Self::of(page, "insert_content", change)
    }

    /// Replaces texts. Each pair contains the old text, which must occur exactly once, and the new
    /// text.
    pub fn replace_texts<'a>(
        page: PageId,
        texts: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        let update = |(old_str, new_str)| ContentUpdate {
            old_str,
            new_str,
            replace_all_matches: false,
        };
        let updates: Vec<_> = texts.into_iter().map(update).collect();
        Self::of(
            page,
            "update_content",
            json!({ "content_updates": updates }),
        )
    }

    /// Allows the change to delete child pages and child databases.
    pub fn with_deletions(mut self) -> Self {
        let change = self.parameters.body.get_mut(self.kind);
        if let Some(change) = change.and_then(Value::as_object_mut) {
            change.insert("allow_deleting_content".to_owned(), true.into());
        }
        self
    }
}

setters! { UpdatePageMarkdown {
    /// Allows Notion to execute the change asynchronously. The response may then be a task.
    with_async(allow_async: bool) => "allow_async",
} }

operation! {
    /// Reads the state of a write that Notion executes asynchronously.
    GetAsyncTask { task: String } -> AsyncTask, Safe, GET |it| ["async_tasks", &it.task] => object;
}

impl GetAsyncTask {
    /// Reads the task with this id.
    pub fn new(task: impl Into<String>) -> Self {
        let parameters = Parameters::default();
        let task = task.into();
        Self { task, parameters }
    }
}

impl From<&Page> for Reference {
    /// Creates a reference to the page for a relation.
    fn from(page: &Page) -> Self {
        Self::new(page.id.as_str())
    }
}
