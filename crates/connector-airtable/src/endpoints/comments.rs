use connector_core::api::{Page, PageCursor};
use connector_core::provider::PagedEndpoint;
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{PAGE, at_offset, check_page, operation, to};
use crate::models::{BaseId, Comment, CommentId, Deleted, RecordId, TableKey};

/// Lists the comments on a record, page by page.
///
/// See [Airtable docs: List comments](https://airtable.com/developers/web/api/list-comments).
#[derive(Debug, Clone)]
#[must_use]
pub struct ListComments {
    base: BaseId,
    table: TableKey,
    record: RecordId,
    page_size: u32,
    offset: Option<PageCursor>,
}

impl ListComments {
    /// Lists the comments on `record`, 100 per page.
    pub fn new(base: BaseId, table: impl Into<TableKey>, record: RecordId) -> Self {
        Self {
            base,
            table: table.into(),
            record,
            page_size: PAGE,
            offset: None,
        }
    }

    /// Sets the page size: 1 to 100.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.page_size = size;
        self
    }

    /// Starts from the given page cursor.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        self.offset = Some(cursor);
        self
    }
}

#[derive(Deserialize)]
struct Comments {
    comments: Vec<Comment>,
    #[serde(default)]
    offset: Option<String>,
}

operation! {
    ListComments -> Page<Comment>, Safe, ["data.recordComments:read"];
    check: |it| check_page("ListComments", it.page_size);
    request: |it| {
        let (base, table, record) = (it.base.as_str(), it.table.as_str(), it.record.as_str());
        let request = to(Method::GET, &[base, table, record, "comments"])?
            .query("pageSize", &it.page_size.to_string());
        Ok(at_offset(request, it.offset.as_ref()))
    };
    decode: |response| {
        let Comments { comments, offset } = response.json()?;
        Ok(Page::new(comments, offset.map(PageCursor::new)))
    };
}

impl PagedEndpoint for ListComments {
    type Item = Comment;

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}

/// Adds a comment to a record.
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateComment {
    base: BaseId,
    table: TableKey,
    record: RecordId,
    text: String,
}

impl CreateComment {
    /// Creates a comment with the given text. A mention has the form `@[usr…]`.
    pub fn new(
        base: BaseId,
        table: impl Into<TableKey>,
        record: RecordId,
        text: impl Into<String>,
    ) -> Self {
        Self {
            base,
            table: table.into(),
            record,
            text: text.into(),
        }
    }
}

operation! {
    CreateComment -> Comment, Never, ["data.recordComments:write"];
    request: |it| {
        let (base, table, record) = (it.base.as_str(), it.table.as_str(), it.record.as_str());
        to(Method::POST, &[base, table, record, "comments"])?.json(&json!({ "text": it.text }))
    };
    decode: |response| response.json();
}

/// Changes the text of one of the user's comments.
#[derive(Debug, Clone)]
#[must_use]
pub struct UpdateComment {
    base: BaseId,
    table: TableKey,
    record: RecordId,
    comment: CommentId,
    text: String,
}

impl UpdateComment {
    /// Sets the text of `comment`.
    pub fn new(
        base: BaseId,
        table: impl Into<TableKey>,
        record: RecordId,
        comment: CommentId,
        text: impl Into<String>,
    ) -> Self {
        Self {
            base,
            table: table.into(),
            record,
            comment,
            text: text.into(),
        }
    }
}

operation! {
    UpdateComment -> Comment, Safe, ["data.recordComments:write"];
    request: |it| {
        let (base, table, record) = (it.base.as_str(), it.table.as_str(), it.record.as_str());
        let path = [base, table, record, "comments", it.comment.as_str()];
        to(Method::PATCH, &path)?.json(&json!({ "text": it.text }))
    };
    decode: |response| response.json();
}

/// Deletes one of the user's comments.
#[derive(Debug, Clone)]
#[must_use]
pub struct DeleteComment {
    base: BaseId,
    table: TableKey,
    record: RecordId,
    comment: CommentId,
}

impl DeleteComment {
    /// Deletes `comment` on `record`.
    pub fn new(
        base: BaseId,
        table: impl Into<TableKey>,
        record: RecordId,
        comment: CommentId,
    ) -> Self {
        Self {
            base,
            table: table.into(),
            record,
            comment,
        }
    }
}

operation! {
    DeleteComment -> Deleted, Safe, ["data.recordComments:write"];
    request: |it| {
        let (base, table, record) = (it.base.as_str(), it.table.as_str(), it.record.as_str());
        let path = [base, table, record, "comments", it.comment.as_str()];
        to(Method::DELETE, &path)
    };
    decode: |response| response.json();
}
