//! Appends of any size: split into several calls, and resumable after a failure.

use std::collections::VecDeque;
use std::fmt;

use connector_core::provider::ProviderClient as _;
use connector_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::split::{ELEMENTS, LARGEST_CALL, LEVELS, MAX_COUNT, count, prepared, size, trimmed};
use super::{AppendBlockChildren, ListBlockChildren};
use crate::NotionClient;
use crate::models::{Block, BlockContent, BlockId, Position, RichTextContent};

/// Maximum number of attempts for a call that conflicts with other writes.
const TRIES: u32 = 3;

/// A request to append blocks to a block or a page: any number of blocks, any depth, any text
/// length.
///
/// ```no_run
/// # use connector_core::Result;
/// use connector_notion::NotionClient;
/// use connector_notion::endpoints::AppendBlocks;
/// use connector_notion::models::{BlockContent, PageId};
/// # async fn example(client: NotionClient, page: PageId, chapters: Vec<String>) -> Result<()> {
/// let blocks = chapters.into_iter().map(|text| BlockContent::paragraph([text.as_str()]));
/// let appended = client.append(AppendBlocks::to(page, blocks)?).await;
/// if let Some(failure) = appended.failure {
///     // Later: resume without writing any block twice.
///     client.resume_append(failure.progress).await;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct AppendBlocks(AppendProgress);

impl AppendBlocks {
    /// Appends these blocks after the last child of `parent`. Texts are split into segments of
    /// 2,000 characters. A split never divides a grapheme.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for content that Notion cannot store in any form: a URL of more
    /// than 2,000 characters, an equation of more than 1,000 characters, or a caption or table cell
    /// of more than 100 segments.
    pub fn to(
        parent: impl Into<BlockId>,
        blocks: impl IntoIterator<Item = BlockContent>,
    ) -> Result<Self> {
        let blocks = prepared(blocks.into_iter().collect())?;
        let task = Task {
            parent: parent.into(),
            path: Vec::new(),
            place: Place::End,
            blocks: blocks.into(),
            is_top: true,
        };
        Ok(Self(AppendProgress {
            tasks: VecDeque::from([task]),
            ..AppendProgress::default()
        }))
    }

    /// Sets the position among the children of the parent.
    pub fn at(mut self, position: Position) -> Self {
        if let Some(task) = self.0.tasks.front_mut() {
            task.place = match position {
                Position::Start => Place::Start,
                Position::End => Place::End,
                Position::AfterBlock { after_block } => {
                    BlockId::new(after_block.id).map_or(Place::End, Place::After)
                }
            };
        }
        self
    }

    /// States that the parent has no children yet, for example because you just created the page.
    /// This saves the call that reads the children.
    pub fn to_empty(mut self) -> Self {
        if let Some(task) = self.0.tasks.front_mut() {
            task.place = Place::First;
        }
        self
    }
}

/// The remaining work of an [append](NotionClient::append). Store it to resume the append later.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct AppendProgress {
    tasks: VecDeque<Task>,
    /// True if Notion may have executed the last call.
    is_uncertain: bool,
    written: usize,
    top: Vec<BlockId>,
}

impl AppendProgress {
    /// Returns the number of written blocks, at all levels.
    #[must_use]
    pub const fn written(&self) -> usize {
        self.written
    }

    /// Returns the number of remaining blocks, at all levels.
    #[must_use]
    pub fn left(&self) -> usize {
        self.tasks.iter().flat_map(|it| &it.blocks).map(count).sum()
    }
}

impl fmt::Debug for AppendProgress {
    /// Does not print the content.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppendProgress")
            .field("written", &self.written)
            .field("left", &self.left())
            .field("is_uncertain", &self.is_uncertain)
            .finish_non_exhaustive()
    }
}

/// Children to append to one parent.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
struct Task {
    parent: BlockId,
    /// Path from `parent` to the actual parent, as child indexes. The ids on the path are not known
    /// yet.
    path: Vec<usize>,
    place: Place,
    blocks: VecDeque<BlockContent>,
    is_top: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Place {
    /// Before the existing children.
    Start,
    /// After the last child, whose id is not known yet.
    End,
    /// As the first child of a parent without children.
    First,
    /// After this child.
    After(BlockId),
}

/// Result of an [append](NotionClient::append).
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Appended {
    /// IDs of the blocks that were appended to the parent itself, in order.
    pub blocks: Vec<BlockId>,
    /// Number of written blocks, at all levels.
    pub written: usize,
    /// The failure that stopped the append. `None` if all blocks were written.
    pub failure: Option<AppendFailure>,
}

/// Failure of an append.
#[derive(Debug)]
#[non_exhaustive]
pub struct AppendFailure {
    /// The error.
    pub error: Error,
    /// The remaining work. Pass it to [`NotionClient::resume_append`].
    pub progress: AppendProgress,
}

impl NotionClient {
    /// Appends blocks with as few calls as Notion's limits allow. One call can contain 100
    /// children, two levels of children, 1,000 blocks and 500 KB. Children that do not fit into the
    /// call of their parent are appended after the parent is created. The order of the blocks is
    /// kept.
    ///
    /// After a failure, resume with [`NotionClient::resume_append`]. If Notion may have executed
    /// the failed call, the client first reads the children of the parent, and skips blocks that
    /// already exist. Notion has no idempotency keys. If another writer adds the same texts at the
    /// same position in the meantime, the client mistakes them for blocks of this append.
    pub async fn append(&self, blocks: AppendBlocks) -> Appended {
        self.resume_append(blocks.0).await
    }

    /// Resumes an append that failed.
    pub async fn resume_append(&self, mut progress: AppendProgress) -> Appended {
        let outcome = self.append_all(&mut progress).await;
        Appended {
            blocks: progress.top.clone(),
            written: progress.written,
            failure: outcome.err().map(|error| AppendFailure { error, progress }),
        }
    }

    async fn append_all(&self, progress: &mut AppendProgress) -> Result<()> {
        while let Some(task) = progress.tasks.front_mut() {
            self.locate(task).await?;
            let Some(call) = next_call(task) else {
                progress.tasks.pop_front();
                continue;
            };
            let ids = self.write(task, &call, &mut progress.is_uncertain).await?;
            if let Some(last) = ids.last() {
                task.place = Place::After(last.clone());
            }
            task.blocks.drain(..call.blocks.len());
            progress.written += call.blocks.iter().map(count).sum::<usize>();
            if task.is_top {
                progress.top.extend(ids.iter().cloned());
            }
            for (at, later) in call.later {
                if let Some(parent) = ids.get(at) {
                    progress.tasks.push_back(Task {
                        parent: parent.clone(),
                        path: later.path,
                        place: if later.follows {
                            Place::End
                        } else {
                            Place::First
                        },
                        blocks: later.blocks.into(),
                        is_top: false,
                    });
                }
            }
        }
        Ok(())
    }

    /// Resolves the id of the task's parent and of the parent's last child.
    async fn locate(&self, task: &mut Task) -> Result<()> {
        while let Some(at) = task.path.first().copied() {
            let children = self.children(&task.parent).await?;
            let child = children.into_iter().nth(at).ok_or_else(|| {
                let message = "a block was deleted before its children were written; compare the \
                    page with the blocks of this append";
                Error::new(ErrorKind::Conflict, "AppendBlockChildren", message)
                    .with_provider("notion")
            })?;
            task.parent = child.id;
            task.path.remove(0);
        }
        if task.place == Place::End && !task.blocks.is_empty() {
            let last = self.children(&task.parent).await?.pop();
            task.place = last.map_or(Place::First, |it| Place::After(it.id));
        }
        Ok(())
    }

    async fn children(&self, parent: &BlockId) -> Result<Vec<Block>> {
        use futures_util::TryStreamExt as _;

        let pages = self.session().pages(ListBlockChildren::new(parent.clone()));
        pages.items().try_collect().await
    }

    /// Makes a call, unless Notion already executed it. Returns the ids of the created blocks.
    async fn write(
        &self,
        task: &Task,
        call: &Call,
        is_uncertain: &mut bool,
    ) -> Result<Vec<BlockId>> {
        let mut tries = 0;
        loop {
            if *is_uncertain {
                let there = self.children(&task.parent).await?;
                *is_uncertain = false;
                if let Some(ids) = written(&there, &task.place, &call.blocks) {
                    return Ok(ids);
                }
            }
            let append = AppendBlockChildren::new(task.parent.clone(), &call.blocks);
            let append = match &task.place {
                Place::Start => append.with_position(&Position::Start),
                Place::After(last) => append.with_position(&Position::after(last)),
                Place::End | Place::First => append,
            };
            tries += 1;
            match self.send(&append).await {
                Ok(page) => {
                    let ids: Vec<BlockId> = page.items.into_iter().map(|it| it.id).collect();
                    if ids.len() >= call.blocks.len() {
                        return Ok(ids.into_iter().take(call.blocks.len()).collect());
                    }
                    *is_uncertain = true;
                    let message = "the response lists too few blocks; resume the append";
                    return Err(Error::new(
                        ErrorKind::UnexpectedResponse,
                        "AppendBlockChildren",
                        message,
                    )
                    .with_provider("notion"));
                }
                Err(error) => {
                    *is_uncertain = matches!(
                        error.kind(),
                        ErrorKind::Timeout
                            | ErrorKind::Network
                            | ErrorKind::ProviderUnavailable
                            | ErrorKind::UnexpectedResponse
                            | ErrorKind::Conflict
                    );
                    if error.code() != Some("conflict_error") || tries == TRIES {
                        return Err(error);
                    }
                }
            }
        }
    }
}

/// One call: the blocks to send, and the children to append to these blocks afterwards.
struct Call {
    blocks: Vec<BlockContent>,
    later: Vec<(usize, super::split::Pending)>,
}

/// Returns the next call of a task. The same task always gives the same call.
fn next_call(task: &Task) -> Option<Call> {
    let (mut elements, mut bytes) = (0, 0);
    let mut call = Call {
        blocks: Vec::new(),
        later: Vec::new(),
    };
    for block in task.blocks.iter().take(MAX_COUNT) {
        let (block, later) = trimmed(block.clone(), LEVELS);
        elements += count(&block);
        bytes += size(&block) + 1;
        if !call.blocks.is_empty() && (elements > ELEMENTS || bytes > LARGEST_CALL) {
            break;
        }
        let at = call.blocks.len();
        call.later.extend(later.into_iter().map(|it| (at, it)));
        call.blocks.push(block);
    }
    (!call.blocks.is_empty()).then_some(call)
}

/// Returns the ids of `blocks` if the children at `place` are these blocks.
fn written(children: &[Block], place: &Place, blocks: &[BlockContent]) -> Option<Vec<BlockId>> {
    let start = match place {
        Place::After(last) => children.iter().position(|it| it.id == *last)? + 1,
        Place::Start | Place::First | Place::End => 0,
    };
    let there = children.get(start..start + blocks.len())?;
    let is_same = |(there, sent): (&Block, &BlockContent)| {
        there.content.kind() == sent.kind() && texts(&there.content) == texts(sent)
    };
    let all = there.iter().zip(blocks).all(is_same);
    all.then(|| there.iter().map(|it| it.id.clone()).collect())
}

/// Returns the text as sent. Mentions are left out, because a response contains more details of
/// them than the request.
fn texts(block: &BlockContent) -> String {
    let piece = |content: &RichTextContent| match content {
        RichTextContent::Text(text) => text.content.clone(),
        RichTextContent::Equation(equation) => equation.expression.clone(),
        _ => String::new(),
    };
    let text: String = block
        .rich_text()
        .iter()
        .map(|it| piece(&it.content))
        .collect();
    if text.is_empty() {
        block.plain_text()
    } else {
        text
    }
}
