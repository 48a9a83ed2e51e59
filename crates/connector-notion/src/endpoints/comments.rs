use connector_core::api;
use serde_json::json;

use super::{Parameters, list, object, operation, paged};
use crate::models::{BlockId, Comment, CommentId, DiscussionId, PageId, RichText};

operation! {
    /// Lists the open comments on a page or a block, page by page. Requires the capability to read
    /// comments.
    ///
    /// See [Notion docs: List comments](https://developers.notion.com/reference/list-comments).
    ListComments {} -> api::Page<Comment>, Safe, GET |_it| ["comments"] => list;
}

impl ListComments {
    /// Lists the comments on `block`, which can also be a page.
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
    /// Creates a comment. Requires the capability to insert comments.
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

    /// Starts a discussion on a page.
    pub fn on_page(page: &PageId, text: &[RichText]) -> Self {
        Self::of(
            "parent",
            json!({ "type": "page_id", "page_id": page }),
            text,
        )
    }

    /// Starts a discussion on a block.
    pub fn on_block(block: &BlockId, text: &[RichText]) -> Self {
        Self::of(
            "parent",
            json!({ "type": "block_id", "block_id": block }),
            text,
        )
    }

    /// Replies in a discussion.
    pub fn in_discussion(discussion: &DiscussionId, text: &[RichText]) -> Self {
        Self::of("discussion_id", json!(discussion.as_str()), text)
    }
}

macro_rules! markdown {
    ($($name:ident),*) => { $(impl $name {
        /// Replaces the text with Markdown, which Notion converts.
        pub fn with_markdown(mut self, markdown: &str) -> Self {
            self.parameters.body.remove("rich_text");
            self.parameters.set("markdown", markdown);
            self
        }
    })* };
}
markdown!(CreateComment, UpdateComment);

operation! {
    /// Reads a comment.
    ///
    /// See [Notion docs: Retrieve a comment](https://developers.notion.com/reference/retrieve-comment).
    GetComment { comment: CommentId } -> Comment, Safe,
    GET |it| ["comments", it.comment.as_str()] => object;
}

impl GetComment {
    /// Reads the comment with this id.
    pub fn new(comment: CommentId) -> Self {
        let parameters = Parameters::default();
        Self {
            comment,
            parameters,
        }
    }
}

operation! {
    /// Changes the text of a comment that this connection created.
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
    /// Deletes a comment that this connection created.
    DeleteComment { comment: CommentId } -> Comment, Safe,
    DELETE |it| ["comments", it.comment.as_str()] => object;
}

impl DeleteComment {
    /// Deletes the comment with this id.
    pub fn new(comment: CommentId) -> Self {
        let parameters = Parameters::default();
        Self {
            comment,
            parameters,
        }
    }
}
