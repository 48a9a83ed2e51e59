//! URL templates with a placeholder for the account host, the rule for account hosts, and JSON
//! pointers.

use std::fmt;

use serde::Deserialize;
use serde_json::Value;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;

/// An https URL template. The host may be the placeholder `{account}`, which is replaced by the
/// account's own host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EndpointTemplate(String);

impl EndpointTemplate {
    /// The placeholder for the account host.
    const ACCOUNT: &'static str = "{account}";

    /// Creates a template. [`Description::validate`](crate::provider::Description::validate) checks
    /// its syntax.
    #[must_use]
    pub fn new(template: impl Into<String>) -> Self {
        Self(template.into())
    }

    /// Returns true if the URL contains the placeholder for the account host.
    #[must_use]
    pub fn wants_account(&self) -> bool {
        self.0.contains(Self::ACCOUNT)
    }

    /// Returns the URL for the account with the given host.
    ///
    /// Pass only hosts returned by [`AccountHost::accept`].
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the template is not an https URL with a host name, or if the
    /// placeholder is not the whole host. [`ErrorKind::InvalidInput`] if the template needs an
    /// account host and `account_host` is empty.
    pub fn url(&self, account_host: &str) -> Result<Url> {
        let wrong = || {
            Error::new(
                ErrorKind::Configuration,
                "endpoint_template.url",
                "the endpoint is not an https URL with a host name; correct the description",
            )
        };
        // If the host is empty, a URL parser uses the first path segment as the host.
        if account_host.is_empty() && self.wants_account() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "endpoint_template.url",
                "each account of the provider has its own host; enter the account",
            ));
        }
        let text = match self.0.strip_prefix("https://{account}") {
            Some(rest) if rest.is_empty() || rest.starts_with('/') => {
                format!("https://{account_host}{rest}")
            }
            Some(_) => return Err(wrong()),
            None => self.0.clone(),
        };
        if text.contains(Self::ACCOUNT) {
            return Err(wrong());
        }
        let url = Url::parse(&text).map_err(|_| wrong())?;
        Origin::of(&url).map_err(|_| wrong())?;
        Ok(url)
    }
}

/// The rule for account hosts: one label followed by a suffix.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AccountHost {
    /// The suffix of every account host, with its leading dot, for example `.example.com`.
    pub suffix: String,
    /// True if account keys are unique across all hosts. Otherwise the host is part of the key,
    /// because the same id on two hosts belongs to two accounts.
    #[serde(default)]
    pub global_keys: bool,
}

impl AccountHost {
    /// Returns the rule for hosts with one label before `suffix`. The suffix must start with a dot.
    #[must_use]
    pub fn new(suffix: impl Into<String>) -> Self {
        Self {
            suffix: suffix.into(),
            global_keys: false,
        }
    }

    /// Returns the normalized account host for `text`.
    ///
    /// The text is the whole host, only its first label, or the URL of the host's root
    /// (`https://` or `http://`, with or without a slash at the end). Case and surrounding whitespace
    /// are ignored.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for any other text: another scheme, a port, a path, userinfo, a
    /// second label, another suffix, an invalid label (RFC 1123 section 2.1: a hyphen at either
    /// end, more than 63 characters) or invalid Punycode. The error does not contain the text.
    pub fn accept(&self, text: &str) -> Result<String> {
        let text = text
            .trim_matches(|c: char| c.is_ascii_whitespace())
            .to_ascii_lowercase();
        let whole = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(&text);
        let whole = whole.strip_suffix('/').unwrap_or(whole);
        // A label alone has neither a scheme nor a path.
        let label = whole.strip_suffix(self.suffix.as_str()).unwrap_or(&text);
        let host = format!("{label}{}", self.suffix);
        let good = (1..=63).contains(&label.len())
            && host.len() <= 253
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            // Requests to a label with invalid Punycode would fail.
            && Origin::parse(&format!("https://{host}")).is_ok();
        if good {
            Ok(host)
        } else {
            Err(Error::new(
                ErrorKind::InvalidInput,
                "account_host.accept",
                format!(
                    "the account must be a name of letters, digits and hyphens, or such a name followed by {}",
                    self.suffix
                ),
            ))
        }
    }
}

/// A JSON pointer (RFC 6901) to a value in a provider's response.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Pointer(String);

impl Pointer {
    /// Creates a pointer. [`Description::validate`](crate::provider::Description::validate) checks
    /// that it starts with a slash.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the pointer as a string.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn is_valid(&self) -> bool {
        self.0.starts_with('/') && self.0.len() <= 256
    }

    /// Returns the part of `value` at the pointer.
    #[must_use]
    pub fn find<'v>(&self, value: &'v Value) -> Option<&'v Value> {
        value.pointer(&self.0)
    }

    /// Returns the string, integer or boolean at the pointer, as a string. Returns `None` for any
    /// other value and for an empty string.
    #[must_use]
    pub fn text(&self, value: &Value) -> Option<String> {
        match self.find(value)? {
            Value::String(text) if !text.is_empty() => Some(text.clone()),
            Value::Number(number) if number.is_u64() || number.is_i64() => Some(number.to_string()),
            Value::Bool(flag) => Some(flag.to_string()),
            _ => None,
        }
    }
}

impl From<&str> for Pointer {
    fn from(text: &str) -> Self {
        Self::new(text)
    }
}

impl fmt::Debug for Pointer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pointer({:?})", self.0)
    }
}

/// Deserializes one pointer or a list of pointers.
pub(super) fn one_or_many<'de, D>(deserializer: D) -> Result<Vec<Pointer>, D::Error>
where
    D: serde::Deserializer<'de>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(Pointer),
        Many(Vec<Pointer>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(pointer) => vec![pointer],
        OneOrMany::Many(pointers) => pointers,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[expect(clippy::print_stdout, reason = "the counts are what a test shows")]
    fn account_hosts_are_one_label_before_the_suffix() {
        let rule = AccountHost::new(".example.com");
        let good = [
            ("acme", "acme.example.com"),
            (" Acme.Example.com ", "acme.example.com"),
            ("a-1.example.com", "a-1.example.com"),
            // URLs as an address bar shows them
            ("https://acme.example.com", "acme.example.com"),
            ("https://Acme.example.com/", "acme.example.com"),
            ("http://acme.example.com/", "acme.example.com"),
            ("acme.example.com/", "acme.example.com"),
        ];
        for (text, host) in good {
            assert_eq!(rule.accept(text).unwrap(), host, "{text}");
        }
        let bad = [
            "",
            "a b",
            "-a",
            "a-",
            "a.b",
            "a.b.example.com",
            ".example.com",
            "https://",
            "https:///",
            "https://acme",
            "acme/",
            "https://.example.com/",
            "https://https://acme.example.com",
            "https://http://acme.example.com",
            "//acme.example.com",
            "ftp://acme.example.com",
            "https:acme.example.com",
            "https://acme.example.com//",
            "https://acme.example.com/x",
            "https://acme.example.com?x",
            "https://acme.example.com:443/",
            "https://user@acme.example.com/",
            "https://evil.example/acme.example.com/",
            "https://evil.example\\.example.com/",
            "acme.example.com:443",
            "acme.example.com@evil.example",
            "acme.example.com.evil.example",
            "evil.example/.example.com",
            "evil.example#.example.com",
            "acme%2eexample.com",
            "ac\nme",
            "äcme",
            "xn--\u{0}",
            "xn--",
            "xn--a",
            "xn--a.example.com",
            &"a".repeat(64),
        ];
        for bad in bad {
            assert!(rule.accept(bad).is_err(), "{bad}");
        }
        println!(
            "account hosts: {} understood, {} refused",
            good.len(),
            bad.len()
        );
    }

    #[test]
    fn the_placeholder_is_allowed_only_as_the_host() {
        let good = EndpointTemplate::new("https://{account}/admin/token");
        assert_eq!(
            good.url("a.example").unwrap().as_str(),
            "https://a.example/admin/token"
        );
        let error = good.url("").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput, "no host is named");
        for bad in [
            "http://{account}/x",
            "https://{account}.evil.example/x",
            "https://x/{account}",
            "https://{account}@evil.example/",
            "https://10.0.0.1/",
            "not a url",
        ] {
            assert!(
                EndpointTemplate::new(bad).url("a.example").is_err(),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_pointer_reads_texts_whole_numbers_and_flags() {
        let value = serde_json::json!({"a": {"b": "text"}, "n": 17_841_400_000_000_001_u64,
            "f": 1.5, "none": null, "empty": "", "live": true, "list": [{"id": "first"}]});
        for (pointer, text) in [
            ("/a/b", Some("text")),
            ("/n", Some("17841400000000001")),
            ("/list/0/id", Some("first")),
            ("/live", Some("true")),
            ("/f", None),
            ("/none", None),
            ("/empty", None),
            ("/missing", None),
        ] {
            assert_eq!(
                Pointer::new(pointer).text(&value).as_deref(),
                text,
                "{pointer}"
            );
        }
    }
}
