//! Dividing content into what Notion takes in one block and in one call.
//!
//! See [Notion docs: Request limits](https://developers.notion.com/reference/request-limits).

use connector_core::Result;
use serde::Serialize;
use unicode_segmentation::UnicodeSegmentation as _;

use super::wrong;
use crate::models::{BlockContent, RichText, RichTextContent};

const OPERATION: &str = "AppendBlockChildren";
/// The longest text of a piece of rich text, and the longest URL. Counted in UTF-16, which is never
/// less than the number of characters.
pub(super) const LONGEST_TEXT: usize = 2000;
const LONGEST_EXPRESSION: usize = 1000;
/// The most elements in an array.
pub(super) const MOST: usize = 100;
/// The most blocks in a call, at all levels.
pub(super) const ELEMENTS: usize = 1000;
/// The levels of children below the blocks of a call.
pub(super) const LEVELS: usize = 2;
/// The largest call in bytes: Notion's 500 KB, less what is around the blocks.
pub(super) const LARGEST_CALL: usize = 450_000;
/// The largest text of one block in bytes, so that a block always fits a call.
const LARGEST_BLOCK: usize = 100_000;
/// The size at which a table takes no further rows at once.
const LARGEST_TABLE: usize = 200_000;

/// The length that is counted.
pub(super) fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

/// The text in parts of at most 2,000 characters. A grapheme is divided only if it is longer by
/// itself.
pub(super) fn parts(text: &str) -> Vec<&str> {
    if text.len() <= LONGEST_TEXT {
        return vec![text];
    }
    let (mut parts, mut start, mut at, mut units) = (Vec::new(), 0, 0, 0);
    let mut add = |piece: &str| {
        let length = length(piece);
        if units + length > LONGEST_TEXT && at > start {
            parts.push(&text[start..at]);
            (start, units) = (at, 0);
        }
        units += length;
        at += piece.len();
    };
    for grapheme in text.graphemes(true) {
        if length(grapheme) <= LONGEST_TEXT {
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

/// The pieces of rich text in pieces that Notion takes.
fn divided(pieces: Vec<RichText>) -> Result<Vec<RichText>> {
    let mut divided = Vec::with_capacity(pieces.len());
    for piece in pieces {
        match &piece.content {
            RichTextContent::Text(text) => {
                let url = text.link.as_ref().map_or("", |it| it.url.as_str());
                check(
                    url,
                    LONGEST_TEXT,
                    "a link is longer than 2,000 characters; shorten it",
                )?;
                for part in parts(&text.content) {
                    let mut one = piece.clone();
                    // What a response says about the whole text is not true of a part.
                    one.plain_text = None;
                    if let RichTextContent::Text(text) = &mut one.content {
                        part.clone_into(&mut text.content);
                    }
                    divided.push(one);
                }
            }
            RichTextContent::Equation(equation) => {
                let message = "an equation is longer than 1,000 characters; divide it";
                check(&equation.expression, LONGEST_EXPRESSION, message)?;
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

/// The size in JSON.
pub(super) fn size(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| Vec::len(&json))
}

/// The blocks with texts that Notion takes. A block with more text than one block takes becomes
/// several of its type, and the last one keeps the children.
pub(super) fn prepared(blocks: Vec<BlockContent>) -> Result<Vec<BlockContent>> {
    let mut all = Vec::with_capacity(blocks.len());
    for mut block in blocks {
        if let Some(children) = block.children_mut() {
            *children = prepared(std::mem::take(children))?;
        }
        for side in block.side_texts_mut() {
            *side = divided(std::mem::take(side))?;
            if side.len() > MOST {
                let message = "a caption or a cell has more than 100 pieces of text; shorten it";
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
            let is_full = groups.last().is_some_and(|it| it.len() == MOST);
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
            let message = "an equation is longer than 1,000 characters; divide it";
            check(&equation.expression, LONGEST_EXPRESSION, message)
        }
        BlockContent::Embed(it) | BlockContent::Bookmark(it) | BlockContent::LinkPreview(it) => {
            check(
                &it.url,
                LONGEST_TEXT,
                "a URL is longer than 2,000 characters; shorten it",
            )
        }
        _ => Ok(()),
    }
}

/// The number of blocks, the children included.
pub(super) fn count(block: &BlockContent) -> usize {
    1 + block.children().iter().map(count).sum::<usize>()
}

/// True if a call takes the block with all its children, `levels` of them.
fn fits(block: &BlockContent, levels: usize) -> bool {
    let children = block.children();
    if children.is_empty() {
        return true;
    }
    let below = below(block, levels);
    children.len() <= MOST && below.is_some_and(|below| children.iter().all(|it| fits(it, below)))
}

/// The levels that are left below the children of a block. Columns are no level of their own.
fn below(block: &BlockContent, levels: usize) -> Option<usize> {
    match block {
        BlockContent::ColumnList(_) => Some(levels),
        _ => levels.checked_sub(1),
    }
}

/// Children to append once their parent is there.
pub(super) struct Pending {
    /// The positions of the parent below the block that was sent.
    pub(super) path: Vec<usize>,
    pub(super) blocks: Vec<BlockContent>,
    /// True if the parent has other children already.
    pub(super) follows: bool,
}

/// Divides a block into what is sent at once and what is appended afterwards.
pub(super) fn trimmed(mut block: BlockContent, levels: usize) -> (BlockContent, Vec<Pending>) {
    if fits(&block, levels) && count(&block) <= ELEMENTS && size(&block) <= LARGEST_CALL {
        return (block, Vec::new());
    }
    let below = below(&block, levels);
    let is_table = matches!(block, BlockContent::Table(_));
    // Notion wants some children of these at once.
    let keeps = match &block {
        BlockContent::Table(_) => MOST,
        BlockContent::ColumnList(it) | BlockContent::Tab(it) => it.children.len().min(MOST),
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
#[expect(clippy::print_stdout, reason = "the counts are what a test shows")]
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
            assert!((1..=LONGEST_TEXT).contains(&length(part)));
            assert!(whole.binary_search(&at).is_ok());
            at += part.len();
        }
        // No part could take the next grapheme too.
        for pair in parts.windows(2) {
            let next = pair[1].graphemes(true).next().unwrap();
            assert!(length(pair[0]) + length(next) > LONGEST_TEXT);
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
