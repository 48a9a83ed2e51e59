//! Search queries (`q`).

use std::fmt::{self, Write as _};
use std::ops::Not;

use connector_core::clock::Timestamp;

use super::{FOLDER, FileId};

/// A search query for files. String arguments are quoted, so that they cannot change the meaning of
/// the query.
///
/// ```
/// use connector_gdrive::models::{FileId, Query, Term};
/// let folder = FileId::new("0AbCdEfGh")?;
/// let query = Query::in_folder(&folder).and(Query::name_is("Bob's notes")).and(!Query::trashed());
/// assert_eq!(
///     query.as_str(),
///     r"('0AbCdEfGh' in parents) and (name = 'Bob\'s notes') and (not (trashed = true))"
/// );
/// # Ok::<(), connector_core::Error>(())
/// ```
///
/// See [Google Drive docs: Search query terms and operators](https://developers.google.com/workspace/drive/api/guides/ref-search-terms).
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Query {
    text: String,
    /// True if the query is a conjunction, so that further terms can be appended without
    /// parentheses.
    is_and: bool,
}

/// A query term with a time value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Term {
    /// Time of the last change.
    ModifiedTime,
    /// Time of creation.
    CreatedTime,
    /// Time when the user last viewed the file.
    ViewedByMeTime,
    /// Time when the file was shared with the user.
    SharedWithMeTime,
}

impl Term {
    const fn as_str(self) -> &'static str {
        match self {
            Self::ModifiedTime => "modifiedTime",
            Self::CreatedTime => "createdTime",
            Self::ViewedByMeTime => "viewedByMeTime",
            Self::SharedWithMeTime => "sharedWithMeTime",
        }
    }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        if matches!(c, '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('\'');
    quoted
}

impl Query {
    fn term(text: String) -> Self {
        Self {
            text,
            is_and: false,
        }
    }

    /// Creates a query from Google's notation, which is sent unchanged. Do not include untrusted
    /// input.
    pub fn raw(text: impl Into<String>) -> Self {
        Self::term(text.into())
    }

    /// Matches files with exactly this name. Several files in a folder can have the same name.
    pub fn name_is(name: &str) -> Self {
        Self::term(format!("name = {}", quoted(name)))
    }

    /// Matches files with a word in their name that starts with `prefix`.
    pub fn name_contains(prefix: &str) -> Self {
        Self::term(format!("name contains {}", quoted(prefix)))
    }

    /// Matches files with these words in the name, the description, the content or the indexable
    /// text.
    pub fn full_text_contains(words: &str) -> Self {
        Self::term(format!("fullText contains {}", quoted(words)))
    }

    /// Matches files of this media type.
    pub fn mime_type_is(mime_type: &str) -> Self {
        Self::term(format!("mimeType = {}", quoted(mime_type)))
    }

    /// Matches folders.
    pub fn is_folder() -> Self {
        Self::mime_type_is(FOLDER)
    }

    /// Matches files in this folder.
    pub fn in_folder(folder: &FileId) -> Self {
        Self::term(format!("{} in parents", quoted(folder.as_str())))
    }

    /// Matches files that the user with this e-mail address owns.
    pub fn owned_by(address: &str) -> Self {
        Self::term(format!("{} in owners", quoted(address)))
    }

    /// Matches files that the user with this e-mail address can change.
    pub fn writable_by(address: &str) -> Self {
        Self::term(format!("{} in writers", quoted(address)))
    }

    /// Matches files that the user with this e-mail address can read.
    pub fn readable_by(address: &str) -> Self {
        Self::term(format!("{} in readers", quoted(address)))
    }

    /// Matches files in the trash.
    pub fn trashed() -> Self {
        Self::term("trashed = true".to_owned())
    }

    /// Matches files that the user starred.
    pub fn starred() -> Self {
        Self::term("starred = true".to_owned())
    }

    /// Matches files that are shared with the user.
    pub fn shared_with_me() -> Self {
        Self::term("sharedWithMe".to_owned())
    }

    /// Matches files whose value of `term` is later than `time`.
    pub fn after(term: Term, time: Timestamp) -> Self {
        Self::term(format!("{} > {}", term.as_str(), quoted(&time.to_string())))
    }

    /// Matches files whose value of `term` is earlier than `time`.
    pub fn before(term: Term, time: Timestamp) -> Self {
        Self::term(format!("{} < {}", term.as_str(), quoted(&time.to_string())))
    }

    /// Matches files with this public property.
    pub fn has_property(key: &str, value: &str) -> Self {
        Self::has("properties", key, value)
    }

    /// Matches files with this private property of the app.
    pub fn has_app_property(key: &str, value: &str) -> Self {
        Self::has("appProperties", key, value)
    }

    fn has(of: &str, key: &str, value: &str) -> Self {
        let (key, value) = (quoted(key), quoted(value));
        Self::term(format!("{of} has {{ key={key} and value={value} }}"))
    }

    /// Matches files that match both queries.
    pub fn and(self, other: Self) -> Self {
        self.joined("and", other)
    }

    /// Matches files that match at least one of the queries.
    pub fn or(self, other: Self) -> Self {
        self.joined("or", other)
    }

    fn joined(self, with: &str, other: Self) -> Self {
        let Self { text: second, .. } = other;
        let is_and = with == "and";
        let mut text = if self.is_and && is_and {
            self.text
        } else {
            format!("({})", self.text)
        };
        // Writing to a `String` cannot fail.
        let _ = write!(text, " {with} ({second})");
        Self { text, is_and }
    }

    /// Returns the query in Google's notation.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl Not for Query {
    type Output = Self;

    fn not(self) -> Self {
        Self::term(format!("not ({})", self.text))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<Query> for String {
    fn from(query: Query) -> Self {
        query.text
    }
}
