//! Splitting of content to fit Notion's limits per block and per call.
//!
//! See [Notion docs: Request limits](https://developers.notion.com/reference/request-limits).

use connector_core::Result;
use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation as _;

use super::wrong;
use crate::models::{BlockContent, RichText, RichTextContent};

const OPERATION: &str = "AppendBlockChildren";
/// Maximum length of a rich text segment and of a URL. The length is counted in UTF-16 code units,
/// whose number is never less than the number of characters.
pub(super) const MAX_TEXT: usize = 2000;
const MAX_EXPRESSION: usize = 1000;
/// Maximum number of elements in an array.
pub(super) const MAX_COUNT: usize = 100;
/// Maximum number of blocks in a call, at all levels.
pub(super) const ELEMENTS: usize = 1000;
/// Maximum number of levels of children below the blocks of a call.
pub(super) const LEVELS: usize = 2;
/// Maximum size of the blocks in a call, in bytes. Notion's limit of 500 KB also includes the JSON
/// around the blocks.
pub(super) const LARGEST_CALL: usize = 450_000;
/// Maximum size of one block's text in bytes, so that every block fits into a call.
const LARGEST_BLOCK: usize = 100_000;
/// Size from which further rows of a table are sent in a later call.
const LARGEST_TABLE: usize = 200_000;

/// Returns the length in UTF-16 code units.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// Splits a string into parts of at most 2,000 UTF-16 code units. A grapheme is split only if it
/// exceeds this limit.
pub(super) fn parts(text: &str) -> Vec<&str> {
    if text.len() <= MAX_TEXT {
        return vec![text];
    }
    let (mut parts, mut start, mut at, mut units) = (Vec::new(), 0, 0, 0);
    let mut add = |piece: &str| {
        let length = length(piece);
        if units + length > MAX_TEXT && at > start {
            parts.push(&text[start..at]);
            (start, units) = (at, 0);
        }
        units += length;
        at += piece.len();
    };
    for grapheme in text.graphemes(true) {
        if length(grapheme) <= MAX_TEXT {
            add(grapheme);
        } else {
            let mut utf8 = [0; 4];
            for c in grapheme.chars() {
                add(c.encode_utf8(&mut utf8));
            }
        }
    }
    parts.push(&text[start..]);
    parts
}

/// Splits segments of rich text so that each segment is within Notion's limits.
fn divided(pieces: Vec<RichText>) -> Result<Vec<RichText>> {
    let mut divided = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match &piece.content {
            RichTextContent::Text(text) => {
                let url = text.link.as_ref().map_or("", |it| it.url.as_str());
                check(
                    url,
                    MAX_TEXT,
                    "a link is longer than 2,000 characters; shorten it",
                )?;
                for part in parts(&text.content) {
                    let mut one = piece.clone();
                    // These facts about the whole text from a response are wrong for a part.
                    one.plain_text = None;
                    if let RichTextContent::Text(text) = &mut one.content {
                        part.clone_into(&mut text.content);
                    }
                    divided.push(one);
                }
            }
            RichTextContent::Equation(equation) => {
                let message = "an equation is longer than 1,000 characters; split it";
                check(&equation.expression, MAX_EXPRESSION, message)?;
                divided.push(piece);
            }
            _ => divided.push(piece),
        }
    }
    Ok(divided)
}

fn check(text: &str, longest: usize, message: &'static str) -> Result<()> {
    if length(text) > longest {
        return Err(wrong(OPERATION, message));
    }
    Ok(())
}

/// Returns the size as JSON in bytes.
pub(super) fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| Vec::len(&json))
}

/// Splits the texts of blocks to fit Notion's limits. A block with too much text becomes several
/// blocks of the same type. The last of these blocks keeps the children.
pub(super) fn prepared(blocks: Vec<BlockContent>) -> Result<Vec<BlockContent>> {
    let mut all = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        if let Some(children) = block.children_mut() {
            *children = prepared(std::mem::take(children))?;
        }
        for side in block.side_texts_mut() {
            *side = divided(std::mem::take(side))?;
            if side.len() > MAX_COUNT {
                let message = "a caption or table cell has more than 100 text segments; shorten it";
                return Err(wrong(OPERATION, message));
            }
        }
        check_value(&block)?;
        let pieces = match block.rich_text_mut() {
            Some(pieces) => divided(std::mem::take(pieces))?,
            None => Vec::new(),
        };
        let mut groups: Vec<Vec<RichText>> = vec![Vec::new()];
        let mut bytes = 0;
        for piece in pieces {
            let size = size(&piece);
            let is_full = groups.last().is_some_and(|it| it.len() == MAX_COUNT);
            if is_full || bytes + size > LARGEST_BLOCK {
                groups.push(Vec::new());
                bytes = 0;
            }
            bytes += size;
            if let Some(group) = groups.last_mut() {
                group.push(piece);
            }
        }
        let last = groups.len() - 1;
        for (at, group) in groups.into_iter().enumerate() {
            let mut one = if at == last {
                std::mem::take(&mut block)
            } else {
                block.clone()
            };
            if at < last
                && let Some(children) = one.children_mut()
            {
                children.clear();
            }
            if let Some(pieces) = one.rich_text_mut() {
                *pieces = group;
            }
            all.push(one);
        }
    }
    Ok(all)
}

fn check_value(block: &BlockContent) -> Result<()> {
    match block {
        BlockContent::Equation(equation) => {
            let message = "an equation is longer than 1,000 characters; split it";
            check(&equation.expression, MAX_EXPRESSION, message)
        }
        BlockContent::Embed(it) | BlockContent::Bookmark(it) | BlockContent::LinkPreview(it) => {
            check(
                &it.url,
                MAX_TEXT,
                "a URL is longer than 2,000 characters; shorten it",
            )
        }
        _ => Ok(()),
    }
}

/// Returns the number of blocks, including the children.
pub(super) fn count(block: &BlockContent) -> usize {
    1 + block.children().iter().map(count).sum::<usize>()
}

/// Returns true if the block fits into a call with all its children. `levels` is the number of
/// levels that the call can still contain.
fn fits(block: &BlockContent, levels: usize) -> bool {
    let children = block.children();
    if children.is_empty() {
        return true;
    }
    let below = below(block, levels);
    children.len() <= MAX_COUNT
        && below.is_some_and(|below| children.iter().all(|it| fits(it, below)))
}

/// Returns the number of levels that remain below the children of a block. Columns do not count as
/// a level.
fn below(block: &BlockContent, levels: usize) -> Option<usize> {
    match block {
        BlockContent::ColumnList(_) => Some(levels),
        _ => levels.checked_sub(1),
    }
}

/// Children to append after their parent is created.
pub(super) struct Pending {
    /// Path from the sent block to the parent, as child indexes.
    pub(super) path: Vec<usize>,
    pub(super) blocks: Vec<BlockContent>,
    /// True if the sent call already contains children of the parent.
    pub(super) follows: bool,
}

/// Splits a block into the part to send now and the children to append later.
pub(super) fn trimmed(mut block: BlockContent, levels: usize) -> (BlockContent, Vec<Pending>) {
    if fits(&block, levels) && count(&block) <= ELEMENTS && size(&block) <= LARGEST_CALL {
        return (block, Vec::new());
    }
    let below = below(&block, levels);
    let is_table = matches!(block, BlockContent::Table(_));
    // Notion requires that these blocks are created with at least one child.
    let keeps = match &block {
        BlockContent::Table(_) => MAX_COUNT,
        BlockContent::ColumnList(it) | BlockContent::Tab(it) => it.children.len().min(MAX_COUNT),
        BlockContent::Column(_) => 1,
        _ => 0,
    };
    let (mut pending, mut kept) = (Vec::new(), Vec::new());
    let Some(children) = block.children_mut() else {
        return (block, pending);
    };
    let all = std::mem::take(children);
    let mut left = all.into_iter();
    if let Some(below) = below {
        let mut bytes = 0;
        for at in 0..keeps {
            if bytes > LARGEST_TABLE && is_table {
                break;
            }
            let Some(child) = left.next() else { break };
            let (child, later) = trimmed(child, below);
            bytes += size(&child);
            kept.push(child);
            pending.extend(later.into_iter().map(|mut it| {
                it.path.insert(0, at);
                it
            }));
        }
    }
    let blocks: Vec<BlockContent> = left.collect();
    if !blocks.is_empty() {
        pending.push(Pending {
            path: Vec::new(),
            blocks,
            follows: !kept.is_empty(),
        });
    }
    *children = kept;
    (block, pending)
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints the counts")]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_divided_between_graphemes_only() {
        let family = "\u{1F468}\u{200D}\u{1F469}\u{200D}\u{1F467}\u{200D}\u{1F466}";
        let marks = "e\u{301}\u{323}";
        let text: String = [family, marks, "a", "\r\n", "\u{1F1E6}\u{1F1F9}"]
            .repeat(2000)
            .concat();
        let parts = parts(&text);
        assert_eq!(parts.concat(), text);
        let whole: Vec<usize> = text.grapheme_indices(true).map(|(at, _)| at).collect();
        let mut at = 0;
        for part in &parts {
            assert!((1..=MAX_TEXT).contains(&length(part)));
            assert!(whole.binary_search(&at).is_ok());
            at += part.len();
        }
        // Each part is full: the next grapheme would exceed the limit.
        for pair in parts.windows(2) {
            let next = pair[1].graphemes(true).next().unwrap();
            assert!(length(pair[0]) + length(next) > MAX_TEXT);
        }
        println!("parts of a text: {}", parts.len());
        assert!(parts.len() > 10);
    }

    #[test]
    fn a_grapheme_longer_than_a_piece_is_divided_between_characters() {
        let text = format!("a{}", "\u{301}".repeat(5000));
        let parts = parts(&text);
        assert_eq!((parts.concat(), parts.len()), (text, 3));
    }

    #[test]
    fn a_block_with_more_text_than_one_takes_becomes_several() {
        let text = "x".repeat(2000 * 150);
        let child = BlockContent::paragraph(["child"]);
        let block = BlockContent::quote([text.as_str()]).with_children([child]);
        let blocks = prepared(vec![block]).unwrap();
        let (last, first) = blocks.split_last().unwrap();
        assert!(first.len() > 1 && first.iter().all(|it| it.children().is_empty()));
        assert_eq!(last.children().len(), 1);
        let again: String = blocks.iter().map(BlockContent::plain_text).collect();
        assert_eq!(again, text);
    }
}
