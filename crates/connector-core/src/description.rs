//! What is true of a provider, as data.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;
use crate::http::limit::RateModel;
use crate::oauth::RotationClass;
use crate::provider::ProviderId;
use crate::webhook::WebhookScheme;

/// A provider described as data: its endpoints, its deviations from the RFCs, its rules of token
/// rotation and its error codes.
///
/// A plain OAuth 2.0 provider needs nothing else. It reads from any format that serde knows, refuses
/// fields that it does not know, and is checked by [`Description::validate`].
///
/// ```
/// use connector_core::Description;
/// let description: Description = serde_json::from_str(r#"{
///     "provider": "acme",
///     "name": "Acme",
///     "api": ["https://api.acme.example"],
///     "authorization": { "endpoint": "https://acme.example/authorize" },
///     "token": { "endpoint": "https://acme.example/token" },
///     "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
///     "rotation": "strict"
/// }"#).unwrap();
/// description.validate()?;
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Description {
    /// The provider.
    pub provider: ProviderId,
    /// Its name for people.
    pub name: String,
    /// The origins that a credential may be sent to, beside the token, revocation and identity
    /// endpoints. The first is the one that a new credential is bound to.
    pub api: Vec<EndpointTemplate>,
    /// The authorization endpoint (RFC 6749 section 3.1); absent where credentials are only adopted.
    #[serde(default)]
    pub authorization: Option<AuthorizationEndpoint>,
    /// The token endpoint (RFC 6749 section 3.2).
    #[serde(default)]
    pub token: Option<TokenEndpoint>,
    /// The revocation endpoint (RFC 7009).
    #[serde(default)]
    pub revocation: Option<RevocationEndpoint>,
    /// Where the account behind a token is read.
    #[serde(default)]
    pub identity: Option<IdentityEndpoint>,
    /// The rule for account hosts, where every account has a host of its own.
    #[serde(default)]
    pub account_host: Option<AccountHost>,
    /// Scopes.
    #[serde(default)]
    pub scopes: Scopes,
    /// How long tokens live.
    #[serde(default)]
    pub lifetimes: Lifetimes,
    /// What the provider does to a refresh token that is used.
    #[serde(default)]
    pub rotation: RotationClass,
    /// Whether the worker refreshes access tokens before anybody asks for them.
    #[serde(default)]
    pub refresh: RefreshPolicy,
    /// How many grants of one app may live for one account.
    #[serde(default)]
    pub grants_per_account: GrantsPerAccount,
    /// What the provider's error codes mean, beyond RFC 6749 section 5.2.
    #[serde(default)]
    pub error_codes: ErrorCodes,
    /// Where a call of the API carries its credential.
    #[serde(default)]
    pub authentication: CallAuthentication,
    /// How the provider limits the calls of one app to one account; without it, only what its
    /// answers ask for is obeyed.
    #[serde(default)]
    pub rate: Option<RateModel>,
    /// How it signs webhooks.
    #[serde(default)]
    pub webhook: Option<WebhookScheme>,
}

impl Description {
    /// An otherwise empty description, for connectors that fill in the rest.
    #[must_use]
    pub fn new(provider: ProviderId, name: impl Into<String>) -> Self {
        Self {
            provider,
            name: name.into(),
            api: Vec::new(),
            authorization: None,
            token: None,
            revocation: None,
            identity: None,
            account_host: None,
            scopes: Scopes::default(),
            lifetimes: Lifetimes::default(),
            rotation: RotationClass::default(),
            refresh: RefreshPolicy::default(),
            grants_per_account: GrantsPerAccount::default(),
            error_codes: ErrorCodes::default(),
            authentication: CallAuthentication::default(),
            rate: None,
            webhook: None,
        }
    }

    /// Checks that the description does not contradict itself.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the first field that is wrong.
    pub fn validate(&self) -> Result<()> {
        let wrong = |message: String| {
            Err(
                Error::new(ErrorKind::Configuration, "description.validate", message)
                    .with_provider(self.provider.as_str().to_owned()),
            )
        };
        if self.api.is_empty() {
            return wrong("`api` names no origin; name the one that tokens are sent to".to_owned());
        }
        let endpoints = [
            (
                "authorization.endpoint",
                self.authorization.as_ref().map(|it| &it.endpoint),
            ),
            ("token.endpoint", self.token.as_ref().map(|it| &it.endpoint)),
            (
                "revocation.endpoint",
                self.revocation.as_ref().map(|it| &it.endpoint),
            ),
            (
                "identity.endpoint",
                self.identity.as_ref().map(|it| &it.endpoint),
            ),
        ];
        let named = endpoints
            .into_iter()
            .filter_map(|(field, it)| it.map(|it| (field, it)));
        for (field, template) in named.chain(self.api.iter().map(|it| ("api", it))) {
            if template.wants_account() && self.account_host.is_none() {
                return wrong(format!(
                    "`{field}` has {{account}}, but `account_host` is absent"
                ));
            }
            if template.url("account.example").is_err() {
                return wrong(format!("`{field}` is not an https URL with a host name"));
            }
        }
        if self.authorization.is_some() && self.token.is_none() {
            return wrong("`authorization` is there without `token`; add it".to_owned());
        }
        if let Some(host) = &self.account_host
            && (!host.suffix.starts_with('.') || host.suffix.len() < 3)
        {
            return wrong("`account_host.suffix` must start with a dot and a label".to_owned());
        }
        if let Some(identity) = &self.identity
            && !identity.account.starts_with('/')
        {
            return wrong("`identity.account` must be a JSON pointer (RFC 6901)".to_owned());
        }
        if !self.authentication.is_valid() {
            return wrong("`authentication.header` is not the name of a header".to_owned());
        }
        if self.rate.is_some_and(|rate| !rate.is_valid()) {
            return wrong("`rate` has a number that is not positive".to_owned());
        }
        if let Some(webhook) = &self.webhook {
            webhook
                .validate(self.account_host.is_some())
                .or_else(wrong)?;
        }
        Ok(())
    }
}

/// An https URL whose host may be `{account}`, the account's own host.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct EndpointTemplate(String);

impl EndpointTemplate {
    /// The placeholder for the account's host.
    const ACCOUNT: &'static str = "{account}";

    /// Takes the template as it is; [`Description::validate`] checks it.
    #[must_use]
    pub fn new(template: impl Into<String>) -> Self {
        Self(template.into())
    }

    /// True if it needs the account's host.
    #[must_use]
    pub fn wants_account(&self) -> bool {
        self.0.contains(Self::ACCOUNT)
    }

    /// The URL for the account with this host. Pass only a host that the account rule accepted.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if it is not an https URL with a host name, or if the
    /// placeholder stands anywhere but in the place of the host; [`ErrorKind::InvalidInput`] if it
    /// needs the account's host and `account_host` is empty.
    pub fn url(&self, account_host: &str) -> Result<Url> {
        let wrong = || {
            Error::new(
                ErrorKind::Configuration,
                "endpoint_template.url",
                "the endpoint is not an https URL with a host name; correct the description",
            )
        };
        // A URL parser takes the first segment of the path for a host that is empty.
        if account_host.is_empty() && self.wants_account() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "endpoint_template.url",
                "every account of the provider has its own host; name the account",
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

/// The authorization endpoint (RFC 6749 section 3.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthorizationEndpoint {
    /// Its URL.
    pub endpoint: EndpointTemplate,
    /// Whether PKCE is used.
    #[serde(default)]
    pub pkce: Pkce,
    /// The issuer identifier that the callback's `iss` must equal (RFC 9207), where known.
    #[serde(default)]
    pub issuer: Option<String>,
    /// True if the server always sends `iss`: a callback without it is refused.
    #[serde(default)]
    pub issuer_required: bool,
    /// Further parameters to send, for example `prompt`.
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
}

impl AuthorizationEndpoint {
    /// An endpoint that follows the RFCs.
    #[must_use]
    pub fn new(endpoint: EndpointTemplate) -> Self {
        Self {
            endpoint,
            pkce: Pkce::default(),
            issuer: None,
            issuer_required: false,
            parameters: BTreeMap::new(),
        }
    }
}

/// Whether PKCE (RFC 7636) is used. The method is always S256.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pkce {
    /// It is.
    #[default]
    S256,
    /// The provider refuses its parameters.
    Refused,
}

/// The token endpoint (RFC 6749 section 3.2).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenEndpoint {
    /// Its URL.
    pub endpoint: EndpointTemplate,
    /// How the client proves who it is.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// How the request's body is written.
    #[serde(default)]
    pub encoding: BodyEncoding,
    /// Further parameters of the code exchange.
    #[serde(default)]
    pub exchange_parameters: BTreeMap<String, String>,
}

impl TokenEndpoint {
    /// An endpoint that follows the RFCs.
    #[must_use]
    pub fn new(endpoint: EndpointTemplate) -> Self {
        Self {
            endpoint,
            client_authentication: ClientAuthentication::default(),
            encoding: BodyEncoding::default(),
            exchange_parameters: BTreeMap::new(),
        }
    }
}

/// How the client proves who it is (RFC 6749 section 2.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// HTTP Basic with the form-encoded client id and secret (section 2.3.1).
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
}

/// How a request's body is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyEncoding {
    /// `application/x-www-form-urlencoded`, as the RFCs have it.
    #[default]
    Form,
    /// `application/json`, one text member for each parameter.
    Json,
}

/// Where a call of the API, and the identity request, carries its credential.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallAuthentication {
    /// `Authorization: Bearer`, as in RFC 6750 section 2.1.
    #[default]
    Bearer,
    /// A header with this name that holds nothing else.
    Header(String),
}

impl CallAuthentication {
    fn is_valid(&self) -> bool {
        match self {
            Self::Bearer => true,
            Self::Header(name) => HeaderName::from_bytes(name.as_bytes()).is_ok(),
        }
    }

    /// Attaches `secret`, marked as sensitive; `None` if it does not fit into a header.
    pub(crate) fn attach(&self, headers: &mut HeaderMap, secret: &str) -> Option<()> {
        let (name, value) = match self {
            Self::Bearer => {
                // The header keeps these very bytes: no second copy of the secret is made.
                let value = Bytes::from(["Bearer ", secret].concat());
                (AUTHORIZATION, HeaderValue::from_maybe_shared(value))
            }
            Self::Header(name) => (
                HeaderName::from_bytes(name.as_bytes()).ok()?,
                HeaderValue::from_str(secret),
            ),
        };
        let mut value = value.ok()?;
        value.set_sensitive(true);
        headers.insert(name, value);
        Some(())
    }
}

/// The revocation endpoint (RFC 7009).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RevocationEndpoint {
    /// Its URL.
    pub endpoint: EndpointTemplate,
    /// How far a revocation reaches.
    #[serde(default)]
    pub reach: RevocationReach,
}

impl RevocationEndpoint {
    /// An endpoint that revokes the grant of the token that it is given.
    #[must_use]
    pub fn new(endpoint: EndpointTemplate) -> Self {
        Self {
            endpoint,
            reach: RevocationReach::default(),
        }
    }
}

/// How far a revocation reaches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationReach {
    /// The grant of the token: other connections of the same account live on.
    Grant,
    /// Everything that the app holds for the account, other tenants' connections included.
    #[default]
    Account,
}

/// Where the account behind a token is read, with the token where every call carries it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IdentityEndpoint {
    /// Its URL, read with GET. It answers a JSON object.
    pub endpoint: EndpointTemplate,
    /// A JSON pointer (RFC 6901) to the account's stable key: a text or a whole number.
    pub account: String,
    /// A JSON pointer to the account's name for people.
    #[serde(default)]
    pub label: Option<String>,
}

impl IdentityEndpoint {
    /// An endpoint whose answer holds the account's key at `account`, a JSON pointer.
    #[must_use]
    pub fn new(endpoint: EndpointTemplate, account: impl Into<String>) -> Self {
        Self {
            endpoint,
            account: account.into(),
            label: None,
        }
    }
}

/// The hosts that accounts may have: one label in front of a suffix.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AccountHost {
    /// What every account's host ends in, with its leading dot: `.example.com`.
    pub suffix: String,
}

impl AccountHost {
    /// One label in front of `suffix`, which starts with a dot.
    #[must_use]
    pub fn new(suffix: impl Into<String>) -> Self {
        Self {
            suffix: suffix.into(),
        }
    }

    /// The account host that `text` names: the whole host or its first label, in any case, with
    /// surrounding white space.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for anything else: a scheme, a port, a path, userinfo, a second
    /// label, another suffix, a label that is none of a host (RFC 1123 section 2.1: a hyphen at
    /// either end, more than 63 characters) or that is no valid Punycode. The text is not repeated.
    pub fn accept(&self, text: &str) -> Result<String> {
        let text = text
            .trim_matches(|c: char| c.is_ascii_whitespace())
            .to_ascii_lowercase();
        let label = text.strip_suffix(self.suffix.as_str()).unwrap_or(&text);
        let host = format!("{label}{}", self.suffix);
        let good = (1..=63).contains(&label.len())
            && host.len() <= 253
            && label
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
            // A label in Punycode has to stand for something, or no request can go there.
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

/// Scopes (RFC 6749 section 3.3).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Scopes {
    /// What is asked for unless the app says otherwise.
    pub default: Vec<String>,
    /// What the connector cannot work without.
    pub required: Vec<String>,
    /// What stands between two scopes.
    pub separator: char,
}

impl Default for Scopes {
    fn default() -> Self {
        Self {
            default: Vec::new(),
            required: Vec::new(),
            separator: ' ',
        }
    }
}

/// How long tokens live where the token answer does not say, in seconds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct Lifetimes {
    /// The access token's, in seconds, if an answer that could be refreshed does not say; never
    /// "for ever".
    pub access_seconds: u64,
    /// The refresh token's, in seconds, if it has one.
    pub refresh_seconds: Option<u64>,
    /// How long a refresh token may lie idle, in seconds, before the provider drops it.
    pub idle_seconds: Option<u64>,
    /// True if an access token that came without `expires_in` and without a refresh token does not
    /// expire.
    pub access_may_never_expire: bool,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self {
            access_seconds: 3600,
            refresh_seconds: None,
            idle_seconds: None,
            access_may_never_expire: false,
        }
    }
}

impl Lifetimes {
    /// The access token's lifetime where the answer does not say.
    #[must_use]
    pub const fn access(&self) -> Duration {
        Duration::from_secs(self.access_seconds)
    }

    /// The refresh token's lifetime where the answer does not say.
    #[must_use]
    pub fn refresh(&self) -> Option<Duration> {
        self.refresh_seconds.map(Duration::from_secs)
    }
}

/// Whether the worker refreshes access tokens before anybody asks for them.
///
/// Under either policy a refresh token is used before it runs out or lies idle for too long.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefreshPolicy {
    /// It does, so that a caller never waits for a refresh.
    #[default]
    Proactive,
    /// An access token is refreshed when somebody asks for one. Right where tokens are short-lived
    /// and most connections are seldom used.
    OnDemand,
}

/// How many grants of one app may live for one account.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum GrantsPerAccount {
    /// Any number, independently of each other.
    #[default]
    Many,
    /// One: a new one ends the old one, whoever holds it.
    One,
}

/// What a provider's own error codes mean at its token endpoint.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct ErrorCodes {
    /// The grant is dead, as with `invalid_grant`.
    pub dead_grant: Vec<String>,
    /// The registration is refused, as with `invalid_client`.
    pub app_fault: Vec<String>,
    /// The registration is refused, and nothing about one account can cause it.
    pub app_fault_certain: Vec<String>,
    /// Another request with the same refresh token is being worked on or has won.
    pub sibling_won: Vec<String>,
    /// The provider is busy; ask again later.
    pub transient: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_hosts_are_one_label_before_the_suffix() {
        let rule = AccountHost::new(".example.com");
        for (text, host) in [
            ("acme", "acme.example.com"),
            (" Acme.Example.com ", "acme.example.com"),
            ("a-1.example.com", "a-1.example.com"),
        ] {
            assert_eq!(rule.accept(text).unwrap(), host);
        }
        for bad in [
            "",
            "a b",
            "-a",
            "a-",
            "a.b",
            "a.b.example.com",
            ".example.com",
            "https://acme.example.com",
            "acme.example.com/",
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
        ] {
            assert!(rule.accept(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_placeholder_stands_only_for_the_host() {
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
    fn a_description_with_an_unknown_field_or_a_contradiction_is_refused() {
        let text = r#"{"provider":"a","name":"A","api":["https://a.example"],"colour":"red"}"#;
        assert!(serde_json::from_str::<Description>(text).is_err());
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        assert!(description.validate().is_err(), "no origin");
        description.api = vec![EndpointTemplate::new("https://{account}")];
        assert!(description.validate().is_err(), "no host rule");
        description.account_host = Some(AccountHost::new(".acme.example"));
        description.validate().unwrap();
    }
}
