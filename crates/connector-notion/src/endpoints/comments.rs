use connector_core::api;
use serde_json::json;

use super::{Parameters, list, object, operation, paged};
use crate::models::{BlockId, Comment, CommentId, DiscussionId, PageId, RichText};

operation! {
    /// The open comments on a page or a block, page by page. Needs the capability to read comments.
    ///
    /// See [Notion docs: List comments](https://developers.notion.com/reference/list-comments).
    ListComments {} -> api::Page<Comment>, Safe, GET |_it| ["comments"] => list;
}

impl ListComments {
    /// The comments on `block`, which may be a page.
    pub fn new(block: impl Into<BlockId>) -> Self {
        let mut parameters = Parameters::default();
        parameters
            .query
            .push(("block_id", block.into().to_string()));
        Self { parameters }
    }
}

paged!(ListComments of Comment);

operation! {
    /// Adds a comment. Needs the capability to insert comments.
    ///
    /// See [Notion docs: Create a comment](https://developers.notion.com/reference/create-a-comment).
    CreateComment {} -> Comment, Never, POST |_it| ["comments"] => object;
}

impl CreateComment {
    fn of(place: &str, value: serde_json::Value, text: &[RichText]) -> Self {
        let mut parameters = Parameters::default();
        parameters.set(place, value);
        parameters.set("rich_text", text);
        Self { parameters }
    }

    /// A comment that begins a discussion about a page.
    pub fn on_page(page: &PageId, text: &[RichText]) -> Self {
        Self::of(
            "parent",
            json!({ "type": "page_id", "page_id": page }),
            text,
        )
    }

    /// A comment that begins a discussion about a block.
    pub fn on_block(block: &BlockId, text: &[RichText]) -> Self {
        Self::of(
            "parent",
            json!({ "type": "block_id", "block_id": block }),
            text,
        )
    }

    /// A comment in a discussion.
    pub fn in_discussion(discussion: &DiscussionId, text: &[RichText]) -> Self {
        Self::of("discussion_id", json!(discussion.as_str()), text)
    }
}

operation! {
    /// A comment.
    ///
    /// See [Notion docs: Retrieve a comment](https://developers.notion.com/reference/retrieve-comment).
    GetComment { comment: CommentId } -> Comment, Safe,
    GET |it| ["comments", it.comment.as_str()] => object;
}

impl GetComment {
    /// This comment.
    pub fn new(comment: CommentId) -> Self {
        let parameters = Parameters::default();
        Self {
            comment,
            parameters,
        }
    }
}

operation! {
    /// Changes the text of a comment of this connection.
    UpdateComment { comment: CommentId } -> Comment, Never,
    PATCH |it| ["comments", it.comment.as_str()] => object;
}

impl UpdateComment {
    /// Sets the text of `comment`.
    pub fn new(comment: CommentId, text: &[RichText]) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("rich_text", text);
        Self {
            comment,
            parameters,
        }
    }
}

operation! {
    /// Deletes a comment of this connection.
    DeleteComment { comment: CommentId } -> Comment, Safe,
    DELETE |it| ["comments", it.comment.as_str()] => object;
}

impl DeleteComment {
    /// This comment.
    pub fn new(comment: CommentId) -> Self {
        let parameters = Parameters::default();
        Self {
            comment,
            parameters,
        }
    }
}
