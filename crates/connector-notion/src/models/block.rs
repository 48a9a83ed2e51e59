//! Blocks: the content of pages.

use serde::{Deserialize, Serialize};

use super::tagged::{is_default, object, tagged};
use super::{
    BlockId, Expression, FileSource, Icon, Other, Parent, Reference, RichText, User, plain_text,
};

object! {
    /// A block in a response.
    ///
    /// See [Notion docs: Block](https://developers.notion.com/reference/block).
    Block / BlockHead {
        /// ID of the block.
        id: BlockId,
        /// The page, block or database that contains this block.
        parent: Option<Parent>,
        /// Creation time (RFC 3339).
        created_time: Option<String>,
        /// Time of the last change (RFC 3339), rounded to the minute.
        last_edited_time: Option<String>,
        /// User or bot that created the block.
        created_by: Option<User>,
        /// User or bot that last changed the block.
        last_edited_by: Option<User>,
        /// True if the block has children. Read them with
        /// [`NotionClient::block_tree`](crate::NotionClient::block_tree).
        has_children: bool,
        /// True if the block is in the trash.
        in_trash: bool,
        ..
        /// Type and content. If only the id is known, this is [`BlockContent::Other`] with an empty
        /// type.
        content: BlockContent,
    }
}

tagged! {
    /// The type of a block, with its content.
    BlockContent {
        Paragraph(TextBlock) = "paragraph",
        Heading1(TextBlock) = "heading_1",
        Heading2(TextBlock) = "heading_2",
        Heading3(TextBlock) = "heading_3",
        Heading4(TextBlock) = "heading_4",
        BulletedListItem(TextBlock) = "bulleted_list_item",
        NumberedListItem(TextBlock) = "numbered_list_item",
        Quote(TextBlock) = "quote",
        ToDo(TextBlock) = "to_do",
        Toggle(TextBlock) = "toggle",
        Template(TextBlock) = "template",
        Callout(TextBlock) = "callout",
        Code(CodeBlock) = "code",
        Equation(Expression) = "equation",
        Divider(Other) = "divider",
        Breadcrumb(Other) = "breadcrumb",
        TableOfContents(Other) = "table_of_contents",
        Tab(Container) = "tab",
        ColumnList(Container) = "column_list",
        Column(Container) = "column",
        Table(Table) = "table",
        TableRow(TableRow) = "table_row",
        SyncedBlock(SyncedBlock) = "synced_block",
        ChildPage(Title) = "child_page",
        ChildDatabase(Title) = "child_database",
        LinkToPage(LinkTarget) = "link_to_page",
        Embed(UrlBlock) = "embed",
        Bookmark(UrlBlock) = "bookmark",
        LinkPreview(UrlBlock) = "link_preview",
        Image(FileBlock) = "image",
        Video(FileBlock) = "video",
        Pdf(FileBlock) = "pdf",
        File(FileBlock) = "file",
        Audio(FileBlock) = "audio",
        MeetingNotes(MeetingNotes) = "meeting_notes",
        /// The name of `meeting_notes` before API version 2026-03-11.
        Transcription(MeetingNotes) = "transcription",
        /// A block whose type the API does not support.
        Unsupported(Unsupported) = "unsupported",
    }
}

/// Content of a block with text. Members that the block's type does not have are absent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TextBlock {
    /// The text.
    #[serde(default)]
    pub rich_text: Vec<RichText>,
    /// The colour.
    #[serde(default, skip_serializing_if = "is_default")]
    pub color: Option<String>,
    /// The icon of a callout, a paragraph or a tab.
    #[serde(default, skip_serializing_if = "is_default")]
    pub icon: Option<Icon>,
    /// True if the to-do is checked.
    #[serde(default, skip_serializing_if = "is_default")]
    pub checked: Option<bool>,
    /// True if the heading can be collapsed. Only collapsible headings can have children.
    #[serde(default, skip_serializing_if = "is_default")]
    pub is_toggleable: Option<bool>,
    /// The children. Used only in requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub children: Vec<BlockContent>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// The content of a code block.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct CodeBlock {
    /// The code.
    #[serde(default)]
    pub rich_text: Vec<RichText>,
    /// The language, for example `rust` or `plain text`.
    #[serde(default)]
    pub language: String,
    /// The caption.
    #[serde(default, skip_serializing_if = "is_default")]
    pub caption: Vec<RichText>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// A block whose only content is its children.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Container {
    /// The children. Used only in requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub children: Vec<BlockContent>,
    /// Further JSON members, for example the `width_ratio` of a column.
    #[serde(flatten)]
    pub other: Other,
}

/// A table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Table {
    /// Number of columns.
    pub table_width: u32,
    /// True if the first row is a header.
    #[serde(default)]
    pub has_column_header: bool,
    /// True if the first column is a header.
    #[serde(default)]
    pub has_row_header: bool,
    /// The rows, of the type `table_row`. Used only in requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub children: Vec<BlockContent>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// A row of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TableRow {
    /// The cells.
    #[serde(default)]
    pub cells: Vec<Vec<RichText>>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// A synced block, which shows the same content in several places.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct SyncedBlock {
    /// The original block whose content this block shows. `None` if this block is the original.
    #[serde(default)]
    pub synced_from: Option<SyncedFrom>,
    /// The children of the original. Used only in requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub children: Vec<BlockContent>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

tagged! {
    /// Reference to the original of a synced block.
    SyncedFrom {
        Block(String) = "block_id",
    }
}

/// The title of a child page or a child database.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Title {
    /// The title.
    #[serde(default)]
    pub title: String,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

tagged! {
    /// The id of a link's target.
    LinkTarget {
        Page(String) = "page_id",
        Database(String) = "database_id",
        Comment(String) = "comment_id",
    }
}

/// A block that shows a URL.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UrlBlock {
    /// The URL.
    #[serde(default)]
    pub url: String,
    /// The caption.
    #[serde(default, skip_serializing_if = "is_default")]
    pub caption: Vec<RichText>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

object! {
    /// A block that shows a file.
    FileBlock / FileBlockHead {
        /// The caption.
        caption: Vec<RichText>,
        /// The file name. Only blocks of the type `file` have one.
        name: Option<String>,
        ..
        /// The location of the file.
        source: FileSource,
    }
}

/// Meeting notes.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MeetingNotes {
    /// The title.
    #[serde(default, skip_serializing_if = "is_default")]
    pub title: Vec<RichText>,
    /// The status, for example `notes_ready`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub status: Option<String>,
    /// Further JSON members: ids of the sections, the calendar event, the recording.
    #[serde(flatten)]
    pub other: Other,
}

/// A block whose type the API does not support.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Unsupported {
    /// The type in Notion's own application.
    #[serde(default, skip_serializing_if = "is_default")]
    pub block_type: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

fn text_block<T: Into<RichText>>(text: impl IntoIterator<Item = T>) -> TextBlock {
    TextBlock {
        rich_text: text.into_iter().map(Into::into).collect(),
        ..TextBlock::default()
    }
}

macro_rules! text_constructors {
    ($($(#[$doc:meta])* $name:ident => $variant:ident,)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            pub fn $name<T: Into<RichText>>(text: impl IntoIterator<Item = T>) -> Self {
                Self::$variant(text_block(text))
            }
        )*
    };
}

impl BlockContent {
    text_constructors! {
        /// Creates a paragraph.
        paragraph => Paragraph,
        /// Creates a heading of the first level.
        heading_1 => Heading1,
        /// Creates a heading of the second level.
        heading_2 => Heading2,
        /// Creates a heading of the third level.
        heading_3 => Heading3,
        /// Creates a bulleted list item.
        bulleted_list_item => BulletedListItem,
        /// Creates a numbered list item.
        numbered_list_item => NumberedListItem,
        /// Creates a quote.
        quote => Quote,
        /// Creates a toggle.
        toggle => Toggle,
        /// Creates a callout.
        callout => Callout,
    }

    /// Creates a to-do.
    #[must_use]
    pub fn to_do<T: Into<RichText>>(text: impl IntoIterator<Item = T>, checked: bool) -> Self {
        Self::ToDo(TextBlock {
            checked: Some(checked),
            ..text_block(text)
        })
    }

    /// Creates a code block. `language` is one of Notion's languages, for example `rust` or `plain
    /// text`.
    #[must_use]
    pub fn code(language: impl Into<String>, code: impl Into<String>) -> Self {
        Self::Code(CodeBlock {
            rich_text: vec![RichText::text(code)],
            language: language.into(),
            ..CodeBlock::default()
        })
    }

    /// Creates a divider.
    #[must_use]
    pub fn divider() -> Self {
        Self::Divider(Other::new())
    }

    /// Creates a bookmark for a URL.
    #[must_use]
    pub fn bookmark(url: impl Into<String>) -> Self {
        Self::Bookmark(UrlBlock {
            url: url.into(),
            ..UrlBlock::default()
        })
    }

    /// Creates an image.
    #[must_use]
    pub fn image(source: FileSource) -> Self {
        Self::Image(FileBlock {
            source,
            ..FileBlock::default()
        })
    }

    /// Creates a file block with a file name.
    #[must_use]
    pub fn file(name: impl Into<String>, source: FileSource) -> Self {
        Self::File(FileBlock {
            source,
            name: Some(name.into()),
            ..FileBlock::default()
        })
    }

    /// Creates a table from rows of cell texts. All rows get as many cells as the first row.
    #[must_use]
    pub fn table<T: Into<RichText>>(
        rows: impl IntoIterator<Item = Vec<T>>,
        has_column_header: bool,
    ) -> Self {
        let row = |cells: Vec<T>| {
            Self::TableRow(TableRow {
                cells: cells.into_iter().map(|it| vec![it.into()]).collect(),
                other: Other::new(),
            })
        };
        let children: Vec<Self> = rows.into_iter().map(row).collect();
        let width = match children.first() {
            Some(Self::TableRow(row)) => row.cells.len(),
            _ => 0,
        };
        Self::Table(Table {
            table_width: u32::try_from(width).unwrap_or(u32::MAX),
            has_column_header,
            children,
            ..Table::default()
        })
    }

    /// Creates a column list. Each item contains the blocks of one column. Notion requires at least
    /// two columns.
    #[must_use]
    pub fn columns(columns: impl IntoIterator<Item = Vec<Self>>) -> Self {
        let column = |children| {
            Self::Column(Container {
                children,
                other: Other::new(),
            })
        };
        Self::ColumnList(Container {
            children: columns.into_iter().map(column).collect(),
            other: Other::new(),
        })
    }

    /// Adds children. A block whose type cannot have children is returned unchanged.
    #[must_use]
    pub fn with_children(mut self, children: impl IntoIterator<Item = Self>) -> Self {
        if let Some(known) = self.children_mut() {
            known.extend(children);
        }
        self
    }

    /// Returns the content of a block with text.
    const fn text(&self) -> Option<&TextBlock> {
        match self {
            Self::Paragraph(it)
            | Self::Heading1(it)
            | Self::Heading2(it)
            | Self::Heading3(it)
            | Self::Heading4(it)
            | Self::BulletedListItem(it)
            | Self::NumberedListItem(it)
            | Self::Quote(it)
            | Self::ToDo(it)
            | Self::Toggle(it)
            | Self::Template(it)
            | Self::Callout(it) => Some(it),
            _ => None,
        }
    }

    const fn text_mut(&mut self) -> Option<&mut TextBlock> {
        match self {
            Self::Paragraph(it)
            | Self::Heading1(it)
            | Self::Heading2(it)
            | Self::Heading3(it)
            | Self::Heading4(it)
            | Self::BulletedListItem(it)
            | Self::NumberedListItem(it)
            | Self::Quote(it)
            | Self::ToDo(it)
            | Self::Toggle(it)
            | Self::Template(it)
            | Self::Callout(it) => Some(it),
            _ => None,
        }
    }

    /// Returns the children of a block in a request.
    #[must_use]
    pub fn children(&self) -> &[Self] {
        match self {
            Self::Tab(it) | Self::ColumnList(it) | Self::Column(it) => &it.children,
            Self::Table(it) => &it.children,
            Self::SyncedBlock(it) => &it.children,
            _ => self.text().map_or(&[], |it| it.children.as_slice()),
        }
    }

    pub(crate) fn children_mut(&mut self) -> Option<&mut Vec<Self>> {
        match self {
            Self::Tab(it) | Self::ColumnList(it) | Self::Column(it) => Some(&mut it.children),
            Self::Table(it) => Some(&mut it.children),
            Self::SyncedBlock(it) => Some(&mut it.children),
            _ => self.text_mut().map(|it| &mut it.children),
        }
    }

    /// Returns the rich text of a block with text or code.
    #[must_use]
    pub fn rich_text(&self) -> &[RichText] {
        match self {
            Self::Code(it) => &it.rich_text,
            _ => self.text().map_or(&[], |it| it.rich_text.as_slice()),
        }
    }

    pub(crate) fn rich_text_mut(&mut self) -> Option<&mut Vec<RichText>> {
        match self {
            Self::Code(it) => Some(&mut it.rich_text),
            _ => self.text_mut().map(|it| &mut it.rich_text),
        }
    }

    /// Returns the rich text outside the block's main text: captions and table cells.
    pub(crate) fn side_texts_mut(&mut self) -> Vec<&mut Vec<RichText>> {
        match self {
            Self::Code(it) => vec![&mut it.caption],
            Self::Embed(it) | Self::Bookmark(it) | Self::LinkPreview(it) => vec![&mut it.caption],
            Self::Image(it)
            | Self::Video(it)
            | Self::Pdf(it)
            | Self::File(it)
            | Self::Audio(it) => {
                vec![&mut it.caption]
            }
            Self::TableRow(it) => it.cells.iter_mut().collect(),
            _ => Vec::new(),
        }
    }

    /// Returns the text of this block without formatting. The text of its children is not included.
    #[must_use]
    pub fn plain_text(&self) -> String {
        match self {
            Self::TableRow(row) => {
                let cells: Vec<String> = row.cells.iter().map(|it| plain_text(it)).collect();
                cells.join("\t")
            }
            Self::ChildPage(it) | Self::ChildDatabase(it) => it.title.clone(),
            Self::Equation(it) => it.expression.clone(),
            Self::Embed(it) | Self::Bookmark(it) | Self::LinkPreview(it) => it.url.clone(),
            other => plain_text(other.rich_text()),
        }
    }
}

/// Position of new blocks among the children of a parent.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Position {
    /// Before the first child.
    Start,
    /// After the last child.
    #[default]
    End,
    /// After a specific child.
    AfterBlock {
        /// ID of the child.
        after_block: Reference,
    },
}

impl Position {
    /// Returns the position after `block`.
    #[must_use]
    pub fn after(block: &BlockId) -> Self {
        let after_block = Reference::new(block.as_str());
        Self::AfterBlock { after_block }
    }
}
