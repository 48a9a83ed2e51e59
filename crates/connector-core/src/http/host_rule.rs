//! Host rules for links that a provider returns.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::http::Origin;
use crate::name::InvalidName;

/// A host, or all hosts below a domain, that a provider's links may point to.
///
/// `files.acme.example` matches exactly this host. `*.files.acme.example` matches every host below
/// the domain at any depth, but not the domain itself. The port is always 443.
///
/// ```
/// use connector_core::http::{HostRule, Origin};
/// let rule = HostRule::parse("*.files.acme.example")?;
/// assert!(rule.allows(&Origin::parse("https://eu.files.acme.example")?));
/// assert!(!rule.allows(&Origin::parse("https://files.acme.example.evil.example")?));
/// assert!(HostRule::parse("*.example").is_err());
/// # Ok::<(), connector_core::InvalidName>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct HostRule {
    host: String,
    is_domain: bool,
}

impl HostRule {
    /// Parses `host` or `*.domain`, in lower case.
    ///
    /// # Errors
    /// [`InvalidName`] for any other text, for an IP address, and for a domain with fewer than two
    /// labels.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        let (host, is_domain) = match text.strip_prefix("*.") {
            Some(domain) => (domain, true),
            None => (text, false),
        };
        let origin = Origin::parse(&["https://", host].concat()).map_err(|_| invalid())?;
        let is_label = |label: &str| {
            !label.is_empty()
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        };
        let is_whole = host.contains('.') && host.split('.').all(is_label);
        if origin.host() != host || origin.port() != 443 || !is_whole {
            return Err(invalid());
        }
        Ok(Self {
            host: host.to_owned(),
            is_domain,
        })
    }

    /// Returns true if links may point to `origin`.
    #[must_use]
    pub fn allows(&self, origin: &Origin) -> bool {
        origin.port() == 443
            && if self.is_domain {
                origin
                    .host()
                    .strip_suffix(&*self.host)
                    .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            } else {
                origin.host() == self.host
            }
    }
}

fn invalid() -> InvalidName {
    InvalidName::Form {
        what: "host rule",
        form: "a host name in lower case, or `*.` and a domain of at least two labels",
    }
}

impl fmt::Display for HostRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let star = if self.is_domain { "*." } else { "" };
        write!(f, "{star}{}", self.host)
    }
}

impl From<HostRule> for String {
    fn from(rule: HostRule) -> Self {
        rule.to_string()
    }
}

impl TryFrom<String> for HostRule {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        Self::parse(&text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_allows_only_its_host_or_subdomains() {
        let allows = |rule: &str, origin: &str| {
            let rule = HostRule::parse(rule).unwrap();
            rule.allows(&Origin::parse(origin).unwrap())
        };
        for (rule, origin, expected) in [
            ("files.acme.example", "https://files.acme.example", true),
            ("files.acme.example", "https://FILES.acme.example", true),
            (
                "files.acme.example",
                "https://files.acme.example:8443",
                false,
            ),
            ("files.acme.example", "https://a.files.acme.example", false),
            ("files.acme.example", "https://acme.example", false),
            ("*.acme.example", "https://a.acme.example", true),
            ("*.acme.example", "https://a.b.acme.example", true),
            ("*.acme.example", "https://acme.example", false),
            ("*.acme.example", "https://evilacme.example", false),
            ("*.acme.example", "https://acme.example.evil.example", false),
            ("*.acme.example", "https://a.acme.example:444", false),
        ] {
            assert_eq!(allows(rule, origin), expected, "{rule} {origin}");
        }
        for bad in [
            "",
            "*",
            "*.",
            "*.example",
            "example",
            "a..example",
            "*.*.example",
            "a.*.example",
            "https://a.example",
            "a.example/",
            "a.example:443",
            "a.example:8443",
            "u@a.example",
            "10.0.0.1",
            "[::1]",
            "A.example",
            "a.example?",
            "a.example#",
            " a.example",
        ] {
            assert!(HostRule::parse(bad).is_err(), "{bad:?}");
        }
    }
}
