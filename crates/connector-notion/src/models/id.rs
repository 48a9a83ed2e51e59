//! IDs: UUIDs with or without hyphens. An id is validated before it is used in a URL path.

use std::fmt;

use connector_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use url::Url;

/// The error for a string that is not a valid id. The error does not contain the string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidId(&'static str);

impl fmt::Display for InvalidId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidId {}

impl From<InvalidId> for Error {
    fn from(invalid: InvalidId) -> Self {
        Self::new(ErrorKind::InvalidInput, "notion.id", invalid.0)
            .with_provider(crate::Notion::ID.as_str().to_owned())
    }
}

const HYPHENS: [usize; 4] = [8, 13, 18, 23];

/// Returns the id with hyphens and lower-case digits.
fn canonical(text: &str) -> Option<String> {
    let is_at = |at: &usize| text.as_bytes().get(*at) == Some(&b'-');
    let has_hyphens = text.len() == 36 && HYPHENS.iter().all(is_at);
    let digits = if has_hyphens {
        text.replace('-', "")
    } else {
        text.to_owned()
    };
    if digits.len() != 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    let digits = digits.to_ascii_lowercase();
    let parts = [
        &digits[..8],
        &digits[8..12],
        &digits[12..16],
        &digits[16..20],
        &digits[20..],
    ];
    Some(parts.join("-"))
}

/// Returns the id in the URL of a page, as copied from a browser's address bar.
fn in_url(text: &str) -> Option<String> {
    let url = Url::parse(text).ok().filter(|it| it.scheme() == "https")?;
    let host = url.host_str()?;
    let is_notions = matches!(
        host,
        "notion.so" | "www.notion.so" | "app.notion.com" | "notion.com" | "www.notion.com"
    ) || host.ends_with(".notion.site");
    if !is_notions {
        return None;
    }
    let tail = |text: &str| {
        let start = |length: usize| text.len().checked_sub(length);
        let mut ends = [36, 32]
            .into_iter()
            .filter_map(|length| text.get(start(length)?..));
        ends.find_map(canonical)
    };
    let last = url.path_segments()?.rfind(|it| !it.is_empty());
    last.and_then(tail).or_else(|| {
        let mut pairs = url.query_pairs();
        let found = pairs.find(|(name, _)| matches!(&**name, "p" | "page_id" | "database_id"));
        canonical(&found?.1)
    })
}

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        $(
            $(#[$doc])*
            #[derive(
                Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
            )]
            #[serde(try_from = "String", into = "String")]
            pub struct $name(String);

            impl $name {
                /// Parses an id: a UUID with or without hyphens. The stored form has hyphens.
                ///
                /// # Errors
                /// [`InvalidId`] for any other text.
                pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                    canonical(text.as_ref()).map(Self).ok_or(InvalidId(
                        "the id is not a UUID; copy it from the API, or use `from_url`",
                    ))
                }

                /// Parses the id from a Notion URL, as copied from a browser's address bar.
                ///
                /// # Errors
                /// [`InvalidId`] if the text is not an https URL of Notion that contains an id.
                pub fn from_url(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                    in_url(text.as_ref()).map(Self).ok_or(InvalidId(
                        "the text is not the URL of a Notion page; copy the URL again",
                    ))
                }

                /// Returns the id as text, with hyphens.
                #[must_use]
                pub fn as_str(&self) -> &str {
                    &self.0
                }
            }

            impl fmt::Display for $name {
                fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                    f.write_str(&self.0)
                }
            }

            impl TryFrom<String> for $name {
                type Error = InvalidId;

                fn try_from(text: String) -> Result<Self, InvalidId> {
                    Self::new(text)
                }
            }

            impl std::str::FromStr for $name {
                type Err = InvalidId;

                fn from_str(text: &str) -> Result<Self, InvalidId> {
                    Self::new(text)
                }
            }

            impl From<$name> for String {
                fn from(id: $name) -> Self {
                    id.0
                }
            }
        )*
    };
}

id! {
    /// ID of a page.
    PageId,
    /// ID of a block. A page is also a block.
    BlockId,
    /// ID of a database.
    DatabaseId,
    /// ID of a data source.
    DataSourceId,
    /// ID of a user or a bot.
    UserId,
    /// ID of a comment.
    CommentId,
    /// ID of a discussion, which is a thread of comments.
    DiscussionId,
    /// ID of a file upload.
    FileUploadId,
    /// ID of a view.
    ViewId,
    /// ID of the stored result of a view query.
    ViewQueryId,
}

impl From<PageId> for BlockId {
    fn from(id: PageId) -> Self {
        Self(id.0)
    }
}

impl From<BlockId> for PageId {
    /// Returns the id of the page that a block of the type `child_page` represents.
    fn from(id: BlockId) -> Self {
        Self(id.0)
    }
}

/// ID of a property: a short text such as `title` or `}RmU`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyId(String);

impl PropertyId {
    /// Parses a percent-encoded id, as in responses: `%7DRmU`.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is empty, consists of dots only, or is not valid percent-encoded
    /// UTF-8.
    pub fn of_response(text: &str) -> Result<Self, InvalidId> {
        let mut decoded = Vec::with_capacity(text.len());
        let mut bytes = text.bytes();
        while let Some(byte) = bytes.next() {
            if byte != b'%' {
                decoded.push(byte);
                continue;
            }
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()
                .zip(digit())
                .and_then(|(a, b)| u8::try_from(a * 16 + b).ok());
            decoded.push(value.ok_or(Self::INVALID)?);
        }
        Self::new(String::from_utf8(decoded).map_err(|_| Self::INVALID)?)
    }

    const INVALID: InvalidId =
        InvalidId("the property id is empty or malformed; copy it from the API");

    /// Creates an id from decoded text.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is empty or consists of dots only.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        if text.bytes().all(|b| b == b'.') {
            return Err(Self::INVALID);
        }
        Ok(Self(text))
    }

    /// Returns the decoded id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
