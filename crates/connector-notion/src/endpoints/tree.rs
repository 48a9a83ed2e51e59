//! Reads of all blocks of a page, at all levels.

use std::collections::{HashSet, VecDeque};
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll};

use connector_core::api::PageCursor;
use connector_core::provider::ProviderClient as _;
use connector_core::{Error, Result};
use futures_core::Stream;
use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, stream};

use super::{ListBlockChildren, repeated_cursor};
use crate::NotionClient;
use crate::error::is_not_shared;
use crate::models::{Block, BlockContent, BlockId};

/// Item of a [`BlockTree`].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TreeItem {
    /// A block. The block's children follow.
    Block {
        /// The block.
        block: Box<Block>,
        /// The level: 0 for the children of the root.
        depth: usize,
    },
    /// A block whose children could not be read, because they were deleted or are not shared with
    /// the connection. The read continues with the next block. Do not delete data because of this
    /// item.
    NotShared {
        /// ID of the block.
        block: BlockId,
        /// The level of the block.
        depth: usize,
    },
}

/// A stream of the blocks of a page at all levels, parents first. The stream ends after the last
/// block or after the first error. To continue after an error, read the tree again.
#[must_use]
pub struct BlockTree(BoxStream<'static, Result<TreeItem>>);

impl Stream for BlockTree {
    type Item = Result<TreeItem>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.as_mut().poll_next(cx)
    }
}

impl fmt::Debug for BlockTree {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("BlockTree")
    }
}

impl NotionClient {
    /// Reads the blocks below `root`, which is a page or a block, at all levels. The tree contains
    /// child pages and child databases as blocks, but not their content. For each level, one page
    /// of blocks is kept in memory.
    pub fn block_tree(&self, root: impl Into<BlockId>) -> BlockTree {
        let root = root.into();
        let walk = Walk {
            client: self.clone(),
            seen: HashSet::from([root.clone()]),
            levels: vec![Level::new(root)],
        };
        let items = stream::try_unfold(walk, |mut walk| async move {
            let item = walk.step().await?;
            Ok::<_, Error>(item.map(|item| (item, walk)))
        });
        BlockTree(items.boxed())
    }
}

struct Level {
    parent: BlockId,
    cursor: Option<PageCursor>,
    blocks: VecDeque<Block>,
    is_whole: bool,
}

impl Level {
    const fn new(parent: BlockId) -> Self {
        Self {
            parent,
            cursor: None,
            blocks: VecDeque::new(),
            is_whole: false,
        }
    }
}

struct Walk {
    client: NotionClient,
    levels: Vec<Level>,
    /// Blocks whose children were read. A block that occurs again is not read again, so the read
    /// always terminates.
    seen: HashSet<BlockId>,
}

impl Walk {
    async fn step(&mut self) -> Result<Option<TreeItem>> {
        loop {
            let depth = self.levels.len().saturating_sub(1);
            let Some(level) = self.levels.last_mut() else {
                return Ok(None);
            };
            if let Some(block) = level.blocks.pop_front() {
                let is_own = !matches!(
                    block.content,
                    BlockContent::ChildPage(_) | BlockContent::ChildDatabase(_)
                );
                if block.has_children && is_own && self.seen.insert(block.id.clone()) {
                    self.levels.push(Level::new(block.id.clone()));
                }
                let block = Box::new(block);
                return Ok(Some(TreeItem::Block { block, depth }));
            }
            if level.is_whole {
                self.levels.pop();
                continue;
            }
            let mut list = ListBlockChildren::new(level.parent.clone());
            if let Some(cursor) = &level.cursor {
                list = list.after(cursor.clone());
            }
            match self.client.session().send(&list).await {
                Ok(page) => {
                    if page.next.is_some() && page.next == level.cursor {
                        return Err(repeated_cursor("ListBlockChildren"));
                    }
                    level.blocks.extend(page.items);
                    level.is_whole = page.next.is_none();
                    level.cursor = page.next;
                }
                Err(error) if depth > 0 && is_not_shared(&error) => {
                    let block = level.parent.clone();
                    self.levels.pop();
                    let depth = depth - 1;
                    return Ok(Some(TreeItem::NotShared { block, depth }));
                }
                Err(error) => return Err(error),
            }
        }
    }
}
