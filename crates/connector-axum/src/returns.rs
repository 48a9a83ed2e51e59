//! Return addresses: where the browser goes after a connect flow. Only addresses that the
//! application has configured are used, so the callback is no open redirector.

use connector_core::{Error, ErrorKind, Result, TenantId};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use url::Url;

const OPERATION: &str = "axum.return_to";
/// The slot that is replaced with the tenant's id.
const SLOT: &str = "{tenant}";
/// Maximum length of a return address, in bytes.
const MAX_LENGTH: usize = 1024;
/// All characters but the unreserved ones (RFC 3986 section 2.3), which browsers do not encode.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');
/// The names of the parameters that the callback adds.
const RESERVED: [&str; 6] = [
    "connect",
    "disconnect",
    "provider",
    "connection",
    "reason",
    "request_id",
];

/// A configured address, with an optional slot for the tenant's id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    text: String,
    /// True if the address stands for all addresses below its path.
    is_prefix: bool,
}

impl Template {
    /// Parses an absolute address, or a path of the service itself. An allow-listed address may end
    /// with `/*`.
    pub(crate) fn parse(site: &Url, text: &str, allows_prefix: bool) -> Result<Self> {
        let text = if text.starts_with('/') && !text.starts_with("//") {
            format!("{}{text}", site.origin().ascii_serialization())
        } else {
            text.to_owned()
        };
        let (text, is_prefix) = match text.strip_suffix('*') {
            Some(prefix) if allows_prefix && prefix.ends_with('/') => (prefix.to_owned(), true),
            Some(_) => return Err(wrong("only an allow-listed address may end with `/*`")),
            None => (text, false),
        };
        let template = Self { text, is_prefix };
        let example = TenantId::new("example").map_err(Error::from)?;
        let Some(url) = template.fill(Some(&example)) else {
            return Err(wrong(
                "a return address is an http or https address without user, fragment, backslash \
                 and space; the slot {tenant} is the first label of the host, or a whole segment \
                 of the path",
            ));
        };
        let is_own = url.origin() == site.origin();
        if url.scheme() != "https" && !is_own {
            return Err(wrong("a return address on another host must be https"));
        }
        if template.has_slot() {
            template.check_slot(&url)?;
        }
        Ok(template)
    }

    pub(crate) fn has_slot(&self) -> bool {
        self.text.contains(SLOT)
    }

    fn check_slot(&self, url: &Url) -> Result<()> {
        let after_scheme = self.text.split_once("://").map_or("", |(_, rest)| rest);
        let (host, path) = after_scheme.split_once('/').unwrap_or((after_scheme, ""));
        let labels = host.strip_prefix(SLOT);
        // `{tenant}.com` would be any domain, hence at least two more labels.
        let in_host = labels.is_some_and(|rest| {
            rest.starts_with('.') && !rest.contains(SLOT) && rest[1..].contains('.')
        });
        let path = path.split('?').next().unwrap_or_default();
        let in_path = path.split('/').filter(|it| *it == SLOT).count();
        let count = self.text.matches(SLOT).count();
        let is_valid = count == in_path + usize::from(in_host) && url.host_str().is_some();
        if is_valid {
            return Ok(());
        }
        Err(wrong(
            "the slot {tenant} of a return address is the first of at least three labels of the \
             host, or a whole segment of the path",
        ))
    }

    /// Returns the address for a tenant. Returns `None` if the address needs a tenant and there is
    /// none, or if the tenant's id cannot be part of a host name.
    pub(crate) fn fill(&self, tenant: Option<&TenantId>) -> Option<Url> {
        let text = if self.has_slot() {
            let tenant = tenant?.as_str();
            let host_slot = format!("://{SLOT}.");
            let mut text = self.text.clone();
            if text.contains(&host_slot) {
                text = text.replace(&host_slot, &format!("://{}.", host_label(tenant)?));
            }
            text.replace(SLOT, &segment(tenant)?)
        } else {
            self.text.clone()
        };
        parse(&text)
    }

    fn allows(&self, url: &Url, tenant: &TenantId) -> bool {
        let Some(own) = self.fill(Some(tenant)) else {
            return false;
        };
        own.origin() == url.origin()
            && if self.is_prefix {
                url.path().starts_with(own.path())
            } else {
                url.path() == own.path()
            }
    }
}

/// Returns the tenant's id as a label of a host name, if it is one.
fn host_label(tenant: &str) -> Option<&str> {
    let is_label = tenant.len() <= 63
        && !tenant.starts_with('-')
        && !tenant.ends_with('-')
        && tenant
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    (is_label && !tenant.is_empty()).then_some(tenant)
}

/// Returns the tenant's id as a segment of a path. `.` and `..` are refused, because URL parsers
/// remove them, even if they are encoded.
fn segment(tenant: &str) -> Option<String> {
    (tenant != "." && tenant != "..").then(|| utf8_percent_encode(tenant, SEGMENT).to_string())
}

/// Parses an address strictly. URL parsers of browsers repair many malformed addresses, and so make
/// other addresses of them.
fn parse(text: &str) -> Option<Url> {
    let is_plain = text.len() <= MAX_LENGTH
        && !text
            .chars()
            .any(|c| c.is_control() || c.is_whitespace() || c == '\\');
    let url = Url::parse(text).ok().filter(|_| is_plain)?;
    let is_plain = matches!(url.scheme(), "http" | "https")
        && text.starts_with(&format!("{}://", url.scheme()))
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.fragment().is_none();
    is_plain.then_some(url)
}

/// All configured return addresses.
#[derive(Debug, Clone)]
pub(crate) struct Returns {
    pub(crate) site: Url,
    pub(crate) default: Template,
    pub(crate) named: Vec<(String, Template)>,
    pub(crate) allowed: Vec<Template>,
}

impl Returns {
    /// Checks the return address in a request. Returns the text to store with the flow.
    pub(crate) fn check(&self, given: &str, tenant: &TenantId) -> Result<String> {
        let refused = || {
            Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the return address is neither a configured name nor an allowed address",
            )
        };
        self.resolve(given, tenant).ok_or_else(refused)?;
        // The hub stores only paths.
        Ok(format!("/{}", utf8_percent_encode(given, NON_ALPHANUMERIC)))
    }

    /// Returns the address to which the browser is sent. The stored text is checked again, because
    /// the configuration may have changed since the flow started.
    pub(crate) fn target(&self, stored: Option<&str>, tenant: Option<&TenantId>) -> Url {
        let given = stored
            .and_then(|it| it.strip_prefix('/'))
            .and_then(|it| percent_encoding::percent_decode_str(it).decode_utf8().ok());
        let resolved = match (given, tenant) {
            (Some(given), Some(tenant)) => self.resolve(&given, tenant),
            _ => None,
        };
        resolved
            .or_else(|| self.default.fill(tenant))
            .unwrap_or_else(|| self.site.clone())
    }

    fn resolve(&self, given: &str, tenant: &TenantId) -> Option<Url> {
        if let Some((_, template)) = self.named.iter().find(|(name, _)| name == given) {
            return template.fill(Some(tenant));
        }
        let url = if given.starts_with('/') && !given.starts_with("//") {
            parse(&format!(
                "{}{given}",
                self.site.origin().ascii_serialization()
            ))
        } else {
            parse(given)
        }?;
        self.allowed
            .iter()
            .any(|it| it.allows(&url, tenant))
            .then_some(url)
    }
}

/// Adds the result of a flow to a return address.
pub(crate) fn with_result(mut url: Url, result: &[(&str, &str)]) -> Url {
    let kept: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !RESERVED.contains(&&**name))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    url.query_pairs_mut()
        .clear()
        .extend_pairs(kept)
        .extend_pairs(result);
    url
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "axum.config", message)
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "tests print their counts")]
mod tests {
    use super::*;

    fn tenant(id: &str) -> TenantId {
        TenantId::new(id).unwrap()
    }

    fn returns() -> Returns {
        let site = Url::parse("https://app.example/connect").unwrap();
        let template = |text: &str, prefix| Template::parse(&site, text, prefix).unwrap();
        Returns {
            default: template("/settings", false),
            named: vec![
                (
                    "team".to_owned(),
                    template("https://{tenant}.team.example/apps", false),
                ),
                ("path".to_owned(), template("/t/{tenant}/apps", false)),
            ],
            allowed: vec![
                template("https://ui.example/done", false),
                template("/pages/*", true),
                template("/teams/{tenant}/*", true),
                template("https://{tenant}.team.example/*", true),
            ],
            site,
        }
    }

    #[test]
    fn only_configured_addresses_are_targets() {
        let (returns, acme) = (returns(), tenant("acme"));
        let mut accepted = 0;
        for (given, target) in [
            ("team", "https://acme.team.example/apps"),
            ("path", "https://app.example/t/acme/apps"),
            ("https://ui.example/done", "https://ui.example/done"),
            ("https://ui.example/done?x=1", "https://ui.example/done?x=1"),
            ("/pages/a/b?c=d", "https://app.example/pages/a/b?c=d"),
            ("https://acme.team.example/x", "https://acme.team.example/x"),
        ] {
            let stored = returns.check(given, &acme).unwrap();
            assert!(stored.starts_with('/') && !stored[1..].starts_with(['/', '\\']));
            assert_eq!(returns.target(Some(&stored), Some(&acme)).as_str(), target);
            accepted += 1;
        }
        let mut refused = 0;
        for given in [
            "",
            "unknown",
            "https://evil.example/",
            "https://ui.example/",
            "https://ui.example/done/x",
            "https://ui.example.evil.example/done",
            "https://ui.example@evil.example/done",
            "https://user@ui.example/done",
            "https://ui.example:444/done",
            "http://ui.example/done",
            "//ui.example/done",
            "///ui.example/done",
            "/\\ui.example/done",
            "\\\\ui.example/done",
            "https:\\\\ui.example\\done",
            "https:ui.example/done",
            "https:/ui.example/done",
            "HTTPS://ui.example/done",
            " https://ui.example/done",
            "https://ui.example/done\r\nset-cookie: a=b",
            "https://ui.example/do\tne",
            "https://ui.example/done#fragment",
            "javascript:alert(1)",
            "data:text/html,x",
            "https://other.team.example/apps",
            "https://acme.team.example.evil.example/apps",
            "/pages/../settings",
            "/pages/%2e%2e/settings",
            "/pages",
            "/t/acme/apps",
        ] {
            assert!(returns.check(given, &acme).is_err(), "{given:?}");
            let stored = format!("/{}", utf8_percent_encode(given, NON_ALPHANUMERIC));
            let target = returns.target(Some(&stored), Some(&acme));
            assert_eq!(target.as_str(), "https://app.example/settings", "{given:?}");
            refused += 1;
        }
        println!("return addresses: {accepted} accepted, {refused} refused");
    }

    #[test]
    fn a_tenant_with_punctuation_has_addresses_of_its_own() {
        let returns = returns();
        let ids = [
            "acme-corp",
            "a.b_c~d",
            "0192f0c1-0000-7000-8000-000000000001",
        ];
        for id in ids {
            let given = format!("/teams/{id}/done");
            let stored = returns.check(&given, &tenant(id)).unwrap();
            let target = returns.target(Some(&stored), Some(&tenant(id)));
            assert_eq!(target.path(), given);
            assert!(returns.check(&given, &tenant("other")).is_err());
        }
        println!("tenants with punctuation: {}", ids.len());
    }

    #[test]
    fn a_tenant_cannot_leave_its_slot() {
        let returns = returns();
        let mut checked = 0;
        for id in [
            "evil.example/",
            "a.b",
            "A",
            "a@b",
            "-a",
            "a/../..",
            "..",
            ".",
            "a b",
            "\u{e4}",
        ] {
            let id = tenant(id);
            assert!(returns.check("team", &id).is_err(), "{id}");
            let target = returns.target(Some("/path"), Some(&id));
            assert_eq!(target.host_str(), Some("app.example"));
            let path = target.path();
            assert!(
                path == "/settings" || path.starts_with("/t/") && path.matches('/').count() == 3
            );
            checked += 1;
        }
        assert!(checked > 0);
    }

    #[test]
    fn a_result_replaces_parameters_of_the_same_name() {
        let url = Url::parse("https://a.example/?x=1&connect=connected&reason=").unwrap();
        let url = with_result(url, &[("connect", "failed"), ("reason", "a&b\r\n")]);
        assert_eq!(url.query(), Some("x=1&connect=failed&reason=a%26b%0D%0A"));
    }

    #[test]
    fn a_template_that_is_no_fixed_host_is_refused() {
        let site = Url::parse("https://app.example").unwrap();
        for bad in [
            "http://other.example/",
            "https://{tenant}/x",
            "https://{tenant}.com/x",
            "https://a{tenant}.b.example/",
            "https://a.example/x{tenant}",
            "https://a.example/?t={tenant}",
            "https://a.example/#x",
            "https://u@a.example/",
            "https://a.example/*",
            "//a.example",
            "a.example",
            "",
        ] {
            assert!(Template::parse(&site, bad, false).is_err(), "{bad:?}");
        }
    }
}
