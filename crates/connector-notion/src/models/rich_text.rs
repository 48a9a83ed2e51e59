//! Rich text.

use serde::{Deserialize, Serialize};

use super::tagged::{is_default, object, tagged};
use super::{CustomEmoji, DateValue, Other, Reference, User};

object! {
    /// A piece of rich text: text, a mention or an equation, with its annotations.
    ///
    /// See [Notion docs: Rich text](https://developers.notion.com/reference/rich-text).
    RichText / RichTextHead {
        /// The text without formatting; only in responses.
        plain_text: Option<String>,
        /// The URL of a link or of the mentioned object; only in responses.
        href: Option<String>,
        /// The formatting.
        annotations: Option<Annotations>,
        ..
        /// The content.
        content: RichTextContent,
    }
}

tagged! {
    /// The content of a piece of rich text.
    RichTextContent {
        Text(Text) = "text",
        Mention(Mention) = "mention",
        Equation(Expression) = "equation",
    }
}

tagged! {
    /// The object that a mention names.
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
    /// A placeholder of a template.
    TemplateMention {
        Date(String) = "template_mention_date",
        User(String) = "template_mention_user",
    }
}

/// Plain text with an optional link.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Text {
    /// The text: at most 2,000 characters in one piece of a request.
    pub content: String,
    /// The link.
    #[serde(default, skip_serializing_if = "is_default")]
    pub link: Option<Link>,
}

/// A URL.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Link {
    /// The URL: at most 2,000 characters in a request.
    pub url: String,
}

/// An equation in the notation of `KaTeX`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Expression {
    /// The expression: at most 1,000 characters in a request.
    pub expression: String,
}

/// The formatting of a piece of rich text.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "the members of Notion's object"
)]
#[non_exhaustive]
pub struct Annotations {
    /// Bold.
    #[serde(default)]
    pub bold: bool,
    /// Italic.
    #[serde(default)]
    pub italic: bool,
    /// Struck through.
    #[serde(default)]
    pub strikethrough: bool,
    /// Underlined.
    #[serde(default)]
    pub underline: bool,
    /// Code.
    #[serde(default)]
    pub code: bool,
    /// The colour, for example `default` or `red_background`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub color: Option<String>,
    /// Further members.
    #[serde(flatten)]
    pub other: Other,
}

impl RichText {
    /// A piece of text. Longer ones are divided when blocks are appended; see
    /// [`NotionClient::append`](crate::NotionClient::append).
    #[must_use]
    pub fn text(content: impl Into<String>) -> Self {
        let content = content.into();
        Self::of(RichTextContent::Text(Text {
            content,
            link: None,
        }))
    }

    /// An equation in the notation of `KaTeX`.
    #[must_use]
    pub fn equation(expression: impl Into<String>) -> Self {
        let expression = expression.into();
        Self::of(RichTextContent::Equation(Expression { expression }))
    }

    /// A mention.
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

    /// Links a piece of text. Other content stays as it is.
    #[must_use]
    pub fn with_link(mut self, url: impl Into<String>) -> Self {
        if let RichTextContent::Text(text) = &mut self.content {
            text.link = Some(Link { url: url.into() });
        }
        self
    }

    /// The text without formatting: that of the response, or the content of a piece of text.
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

/// The text of several pieces without formatting.
#[must_use]
pub fn plain_text(pieces: &[RichText]) -> String {
    pieces.iter().map(RichText::plain).collect()
}
