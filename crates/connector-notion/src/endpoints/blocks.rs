use connector_core::api;

use super::{Parameters, list, object, operation, paged, setters, wrong};
use crate::models::{Block, BlockContent, BlockId, Position};

operation! {
    /// Reads a block without its children.
    ///
    /// See [Notion docs: Retrieve a block](https://developers.notion.com/reference/retrieve-a-block).
    GetBlock { block: BlockId } -> Block, Safe, GET |it| ["blocks", it.block.as_str()] => object;
}

impl GetBlock {
    /// Reads the block with this id.
    pub fn new(block: impl Into<BlockId>) -> Self {
        let parameters = Parameters::default();
        Self {
            block: block.into(),
            parameters,
        }
    }
}

operation! {
    /// Lists the children of a block or a page, page by page. Only one level is read. Use
    /// [`NotionClient::block_tree`](crate::NotionClient::block_tree) to read all levels.
    ///
    /// See [Notion docs: Retrieve block children](https://developers.notion.com/reference/get-block-children).
    ListBlockChildren { block: BlockId } -> api::Page<Block>, Safe,
    GET |it| ["blocks", it.block.as_str(), "children"] => list;
}

impl ListBlockChildren {
    /// Lists the children of `block`.
    pub fn new(block: impl Into<BlockId>) -> Self {
        let parameters = Parameters {
            page_size: Some(super::PAGE),
            ..Parameters::default()
        };
        Self {
            block: block.into(),
            parameters,
        }
    }
}

paged!(ListBlockChildren of Block);

operation! {
    /// Appends up to 100 children to a block or a page, within Notion's limits for one call.
    /// [`NotionClient::append`](crate::NotionClient::append) splits larger content into several
    /// calls.
    ///
    /// This operation is not retried if the connection fails after the request was sent.
    ///
    /// See [Notion docs: Append block children](https://developers.notion.com/reference/patch-block-children).
    AppendBlockChildren { block: BlockId, count: usize } -> api::Page<Block>, Never,
    PATCH |it| ["blocks", it.block.as_str(), "children"],
    check |it| {
        if (1..=100).contains(&it.count) {
            Ok(())
        } else {
            let message = "one call appends 1 to 100 blocks; use `NotionClient::append` for more";
            Err(wrong("AppendBlockChildren", message))
        }
    } => list;
}

impl AppendBlockChildren {
    /// Appends `children` after the last child of `block`.
    pub fn new(block: impl Into<BlockId>, children: &[BlockContent]) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("children", children);
        Self {
            block: block.into(),
            count: children.len(),
            parameters,
        }
    }
}

setters! { AppendBlockChildren {
    /// Sets the position among the children. Default: the end.
    with_position(position: &Position) => "position",
} }

operation! {
    /// Changes the content of a block. The type and the children of the block do not change.
    ///
    /// See [Notion docs: Update a block](https://developers.notion.com/reference/update-a-block).
    UpdateBlock { block: BlockId } -> Block, Never, PATCH |it| ["blocks", it.block.as_str()],
    check |it| it.parameters.check_change("UpdateBlock") => object;
}

impl UpdateBlock {
    /// Starts an update of `block`. Set at least one change.
    pub fn new(block: BlockId) -> Self {
        let parameters = Parameters::default();
        Self { block, parameters }
    }

    /// Sets the content. The type must be the type of the block.
    pub fn with_content(mut self, content: &BlockContent) -> Self {
        if let Ok(serde_json::Value::Object(members)) = serde_json::to_value(content) {
            self.parameters.body.extend(members);
        }
        self
    }
}

setters! { UpdateBlock {
    /// Moves the block to the trash, or restores it.
    with_trash(in_trash: bool) => "in_trash",
} }

operation! {
    /// Moves a block or a page to the trash.
    ///
    /// See [Notion docs: Delete a block](https://developers.notion.com/reference/delete-a-block).
    DeleteBlock { block: BlockId } -> Block, Safe, DELETE |it| ["blocks", it.block.as_str()] => object;
}

impl DeleteBlock {
    /// Moves the block with this id to the trash.
    pub fn new(block: impl Into<BlockId>) -> Self {
        let parameters = Parameters::default();
        Self {
            block: block.into(),
            parameters,
        }
    }
}
