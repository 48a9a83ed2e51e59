//! The User-Agent header that Amazon requires.
//!
//! See [Amazon docs: Include a User-Agent header in all requests](https://developer-docs.amazon.com/amazon-shipping/docs/include-a-user-agent-header-in-all-requests).

use std::fmt;

use connector_core::{Error, ErrorKind, Result};

/// Maximum length of the header, in characters.
const MAX_LEN: usize = 500;

/// The `User-Agent` of an application: `Name/Version (Language=Rust; …)`.
///
/// ```
/// use connector_amazon_spapi::UserAgent;
/// let agent = UserAgent::new("Acme/Sync", "1.2")?.with_attribute("Platform", "Linux")?;
/// assert_eq!(agent.to_string(), r"Acme\/Sync/1.2 (Language=Rust; Platform=Linux)");
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserAgent(String);

impl UserAgent {
    /// Creates the header of an application with this name and version, with `Language=Rust`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the name or version is empty or contains characters other
    /// than printable ASCII, or if the header is longer than 500 characters.
    pub fn new(name: &str, version: &str) -> Result<Self> {
        let (name, version) = (escaped(name, &['/'])?, escaped(version, &['('])?);
        checked(format!("{name}/{version} (Language=Rust)"))
    }

    /// Adds an attribute, for example `Platform`.
    ///
    /// # Errors
    /// As for [`UserAgent::new`].
    pub fn with_attribute(self, name: &str, value: &str) -> Result<Self> {
        let (name, value) = (escaped(name, &['='])?, escaped(value, &[')', ';'])?);
        let open = self.0.strip_suffix(')').unwrap_or(&self.0);
        checked(format!("{open}; {name}={value})"))
    }

    /// The value of the header.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for UserAgent {
    /// Returns the header with the name and version of this crate.
    fn default() -> Self {
        let version = env!("CARGO_PKG_VERSION");
        Self(format!("connectors/{version} (Language=Rust)"))
    }
}

impl fmt::Display for UserAgent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, "amazon.user_agent", message)
}

/// Escapes each backslash and each character of `special` with a backslash.
fn escaped(text: &str, special: &[char]) -> Result<String> {
    if text.is_empty() || !text.bytes().all(|b| (b' '..=b'~').contains(&b)) {
        return Err(wrong(
            "a part of the User-Agent is empty or not printable ASCII; correct it",
        ));
    }
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\\' || special.contains(&c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    Ok(escaped)
}

fn checked(text: String) -> Result<UserAgent> {
    if text.len() > MAX_LEN {
        return Err(wrong(
            "the User-Agent is longer than 500 characters, which Amazon refuses; shorten it",
        ));
    }
    Ok(UserAgent(text))
}
