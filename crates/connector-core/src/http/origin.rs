//! Origins. Each credential is bound to one origin.

use std::fmt;

use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::name::InvalidName;

/// Scheme, host and port of a URL (RFC 6454). The scheme is always https and the host is always a
/// host name. Userinfo and paths are not allowed.
///
/// A session adds a credential to a request only if the credential or the provider's description
/// contains the request's origin.
///
/// ```
/// use connector_core::http::Origin;
/// let origin = Origin::parse("https://api.example.com")?;
/// assert_eq!(origin.host(), "api.example.com");
/// assert_eq!(origin.port(), 443);
/// assert!(Origin::parse("http://api.example.com").is_err());
/// assert!(Origin::parse("https://127.0.0.1").is_err());
/// # Ok::<(), connector_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Origin {
    host: String,
    port: u16,
}

impl Origin {
    /// Parses `https://host` or `https://host:port`, optionally followed by one slash.
    ///
    /// # Errors
    /// [`InvalidName`] for another scheme, an IP address, userinfo, a path, a query or a fragment.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let url = Url::parse(text).map_err(|_| invalid())?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(invalid());
        }
        Self::of(&url)
    }

    /// Returns the origin of `url`.
    ///
    /// # Errors
    /// [`InvalidName`] for a scheme other than https, an IP address, or userinfo.
    pub fn of(url: &Url) -> Result<Self, InvalidName> {
        if url.scheme() != "https" || !url.username().is_empty() || url.password().is_some() {
            return Err(invalid());
        }
        match (url.host(), url.port_or_known_default()) {
            (Some(Host::Domain(host)), Some(port)) => Ok(Self {
                host: host.to_owned(),
                port,
            }),
            _ => Err(invalid()),
        }
    }

    /// Returns the host name in lower-case ASCII form.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Writes the text form of the origin to `text`.
    pub(crate) fn write_to(&self, text: &mut impl fmt::Write) -> fmt::Result {
        text.write_str("https://")?;
        text.write_str(&self.host)?;
        match self.port {
            443 => Ok(()),
            port => write!(text, ":{port}"),
        }
    }
}

fn invalid() -> InvalidName {
    InvalidName::Form {
        what: "origin",
        form: "https://host or https://host:port, with a host name and nothing else",
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write_to(f)
    }
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Origin({self})")
    }
}

impl From<Origin> for String {
    fn from(origin: Origin) -> Self {
        origin.to_string()
    }
}

impl TryFrom<String> for Origin {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_host_names_are_origins() {
        for (text, shown) in [
            ("https://a.example", "https://a.example"),
            ("https://A.example:443/", "https://a.example"),
            ("https://a.example:8443", "https://a.example:8443"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "a.example",
            "http://a.example",
            "https://a.example/path",
            "https://a.example?q",
            "https://a.example#f",
            "https://user@a.example",
            "https://:secret@a.example",
            "https://10.0.0.1",
            "https://0x7f.1",
            "https://[::1]",
            "ftp://a.example",
        ] {
            assert!(Origin::parse(bad).is_err(), "{bad}");
        }
    }
}
