//! Ids: UUIDs, with or without hyphens. An id is checked before it becomes a part of a path.

use std::fmt;

use connector_core::{Error, ErrorKind};
use serde::{Deserialize, Serialize};
use url::Url;

/// A text that is not an id. The text is not repeated.
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

/// The id with hyphens and lower-case digits.
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

/// The id in the URL of a page, as people copy it from the address bar.
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
                /// Reads an id: a UUID, with or without hyphens. It is kept with hyphens.
                ///
                /// # Errors
                /// [`InvalidId`] for any other text.
                pub fn new(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                    canonical(text.as_ref()).map(Self).ok_or(InvalidId(
                        "the id is not a UUID; copy it from the API, or use `from_url`",
                    ))
                }

                /// Reads the id from an address that a person copied from Notion.
                ///
                /// # Errors
                /// [`InvalidId`] if the text is not an https URL of Notion with an id in it.
                pub fn from_url(text: impl AsRef<str>) -> Result<Self, InvalidId> {
                    in_url(text.as_ref()).map(Self).ok_or(InvalidId(
                        "the text is not the address of a page of Notion; copy it once more",
                    ))
                }

                /// The id as text, with hyphens.
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
    /// The id of a page.
    PageId,
    /// The id of a block. A page is a block too.
    BlockId,
    /// The id of a database.
    DatabaseId,
    /// The id of a data source.
    DataSourceId,
    /// The id of a user or a bot.
    UserId,
    /// The id of a comment.
    CommentId,
    /// The id of a discussion, a thread of comments.
    DiscussionId,
    /// The id of a file upload.
    FileUploadId,
}

impl From<PageId> for BlockId {
    fn from(id: PageId) -> Self {
        Self(id.0)
    }
}

impl From<BlockId> for PageId {
    /// The page that a block of the type `child_page` stands for.
    fn from(id: BlockId) -> Self {
        Self(id.0)
    }
}

/// The id of a property: a short text such as `title` or `}RmU`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PropertyId(String);

impl PropertyId {
    /// Reads an id as a response writes it, percent-encoded: `%7DRmU`.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is empty or dots only, or does not decode to text.
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

    /// Takes an id that is decoded already.
    ///
    /// # Errors
    /// [`InvalidId`] if the text is empty or dots only.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidId> {
        let text = text.into();
        if text.bytes().all(|b| b == b'.') {
            return Err(Self::INVALID);
        }
        Ok(Self(text))
    }

    /// The decoded id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
