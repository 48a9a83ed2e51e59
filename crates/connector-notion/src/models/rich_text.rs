//! Rich text.

use serde::{Deserialize, Serialize};

use super::tagged::{is_default, object, tagged};
use super::{CustomEmoji, DateValue, Other, Reference, User};

object! {
    /// A segment of rich text: a text, a mention or an equation, with its formatting.
    ///
    /// See [Notion docs: Rich text](https://developers.notion.com/reference/rich-text).
    RichText / RichTextHead {
        /// The text without formatting. Set only in responses.
        plain_text: Option<String>,
        /// The URL of the link or of the mentioned object. Set only in responses.
        href: Option<String>,
        /// The formatting.
        annotations: Option<Annotations>,
        ..
        /// The content.
        content: RichTextContent,
    }
}

tagged! {
    /// Content of a segment of rich text.
    RichTextContent {
        Text(Text) = "text",
        Mention(Mention) = "mention",
        Equation(Expression) = "equation",
    }
}

tagged! {
    /// The mentioned object.
    Mention {
        User(Box<User>) = "user",
        Date(DateValue) = "date",
        Page(Reference) = "page",
        Database(Reference) = "database",
        LinkPreview(Link) = "link_preview",
        LinkMention(Other) = "link_mention",
        TemplateMention(TemplateMention) = "template_mention",
        CustomEmoji(CustomEmoji) = "custom_emoji",
    }
}

tagged! {
    /// A placeholder in a template.
    TemplateMention {
        Date(String) = "template_mention_date",
        User(String) = "template_mention_user",
    }
}

/// Plain text with an optional link.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Text {
    /// The text. Maximum in a request: 2,000 characters per segment.
    pub content: String,
    /// The link.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link: Option<Link>,
}

/// A URL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// The URL. Maximum in a request: 2,000 characters.
    pub url: String,
}

/// An equation in `KaTeX` syntax.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Expression {
    /// The expression. Maximum in a request: 1,000 characters.
    pub expression: String,
}

/// Formatting of a segment of rich text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "mirrors the members of Notion's object"
)]
#[non_exhaustive]
pub struct Annotations {
    /// Bold.
    #[serde(default)]
    pub bold: bool,
    /// Italic.
    #[serde(default)]
    pub italic: bool,
    /// Strikethrough.
    #[serde(default)]
    pub strikethrough: bool,
    /// Underline.
    #[serde(default)]
    pub underline: bool,
    /// Code.
    #[serde(default)]
    pub code: bool,
    /// The colour, for example `default` or `red_background`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

impl RichText {
    /// Creates a text segment. [`NotionClient::append`](crate::NotionClient::append) splits longer
    /// texts.
    #[must_use]
    pub fn text(content: impl Into<String>) -> Self {
        let content = content.into();
        Self::of(RichTextContent::Text(Text {
            content,
            link: None,
        }))
    }

    /// Creates an equation in `KaTeX` syntax.
    #[must_use]
    pub fn equation(expression: impl Into<String>) -> Self {
        let expression = expression.into();
        Self::of(RichTextContent::Equation(Expression { expression }))
    }

    /// Creates a mention.
    #[must_use]
    pub fn mention(mention: Mention) -> Self {
        Self::of(RichTextContent::Mention(mention))
    }

    fn of(content: RichTextContent) -> Self {
        Self {
            content,
            ..Self::default()
        }
    }

    /// Sets the formatting.
    #[must_use]
    pub fn with_annotations(mut self, annotations: Annotations) -> Self {
        self.annotations = Some(annotations);
        self
    }

    /// Adds a link to a text segment. Mentions and equations are returned unchanged.
    #[must_use]
    pub fn with_link(mut self, url: impl Into<String>) -> Self {
        if let RichTextContent::Text(text) = &mut self.content {
            text.link = Some(Link { url: url.into() });
        }
        self
    }

    /// Returns the text without formatting: the text from the response, or else the content of a
    /// text segment.
    #[must_use]
    pub fn plain(&self) -> &str {
        match (&self.plain_text, &self.content) {
            (Some(text), _) => text,
            (None, RichTextContent::Text(text)) => &text.content,
            (None, RichTextContent::Equation(equation)) => &equation.expression,
            _ => "",
        }
    }
}

impl From<&str> for RichText {
    fn from(text: &str) -> Self {
        Self::text(text)
    }
}

/// Joins the text of several segments, without formatting.
#[must_use]
pub fn plain_text(pieces: &[RichText]) -> String {
    pieces.iter().map(RichText::plain).collect()
}
