//! Description of a provider as data.

mod authentication;
mod endpoint;
mod identity;
mod lifetimes;
mod oauth;
mod refusal;

use std::collections::BTreeMap;
use std::time::Duration;

use http::header::{HeaderName, HeaderValue};
use serde::Deserialize;

use crate::account::{Account, AccountKey};
use crate::error::{Error, ErrorKind, Result};
use crate::http::HostRule;
use crate::http::limit::{self, Limit};
use crate::provider::oauth::{Grace, RotationClass};
use crate::provider::webhook::WebhookScheme;
use crate::provider_id::ProviderId;

pub use self::authentication::CallAuthentication;
pub(crate) use self::authentication::basic;
pub use self::endpoint::{AccountHost, EndpointTemplate, Pointer};
pub use self::identity::{IdentityRule, IdentitySource};
pub use self::lifetimes::{GrantsPerAccount, Lifetimes, RefreshPolicy, Scopes, UnstatedLifetime};
pub use self::oauth::{
    AuthorizationEndpoint, BodyEncoding, ClientAuthentication, Pkce, RevocationEndpoint,
    RevocationReach, RevokedToken, TokenEndpoint, TokenFields, TokenMethod,
};
pub use self::refusal::{RefusalMeaning, RefusalRule};

/// Parameters of an authorization request that the library sets.
const FLOW_PARAMETERS: [&str; 8] = [
    "state",
    "redirect_uri",
    "response_type",
    "client_id",
    "code_challenge",
    "code_challenge_method",
    "scope",
    "nonce",
];
/// Headers that the transport or the session sets.
const SET_HEADERS: [&str; 7] = [
    "authorization",
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "cookie",
];

/// Description of a provider as data: endpoints, deviations from the RFCs, token rotation and error
/// codes.
///
/// A plain OAuth 2.0 provider needs only a description. A description can be deserialized from any
/// format that serde supports. Unknown fields are rejected, and [`Description::validate`] checks
/// the values.
///
/// ```
/// use connector_core::provider::Description;
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
    /// The provider's id.
    pub provider: ProviderId,
    /// Display name of the provider.
    pub name: String,
    /// Origins to which a credential may be sent, in addition to the token, revocation and identity
    /// endpoints. A new credential is bound to the first origin unless the connector selects
    /// another one, for example for a region.
    pub api: Vec<EndpointTemplate>,
    /// Headers for every token, identity, revocation and API request, for example `User-Agent` or a
    /// version.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The authorization endpoint (RFC 6749 section 3.1). Absent if the application only adopts
    /// existing credentials.
    #[serde(default)]
    pub authorization: Option<AuthorizationEndpoint>,
    /// The token endpoint (RFC 6749 section 3.2).
    #[serde(default)]
    pub token: Option<TokenEndpoint>,
    /// The revocation endpoint (RFC 7009).
    #[serde(default)]
    pub revocation: Option<RevocationEndpoint>,
    /// The source of the account that a credential belongs to.
    #[serde(default)]
    pub identity: Option<IdentityRule>,
    /// True to read the account again after every refresh. If the new token belongs to another
    /// account, the token is stored but never returned to callers.
    #[serde(default)]
    pub identify_after_refresh: bool,
    /// The rule for account hosts, for providers where each account has its own host.
    #[serde(default)]
    pub account_host: Option<AccountHost>,
    /// Scopes to request and to require.
    #[serde(default)]
    pub scopes: Scopes,
    /// Lifetimes of tokens, used when the token response does not state them.
    #[serde(default)]
    pub lifetimes: Lifetimes,
    /// The validity of a refresh token after its use.
    #[serde(default)]
    pub rotation: RotationClass,
    /// The policy for refreshing access tokens.
    #[serde(default)]
    pub refresh: RefreshPolicy,
    /// Maximum number of active grants of one app for one account.
    #[serde(default)]
    pub grants_per_account: GrantsPerAccount,
    /// The meaning of error responses from the token endpoint, in addition to RFC 6749 section 5.2.
    #[serde(default)]
    pub refusals: Vec<RefusalRule>,
    /// The position of the credential in an API request.
    #[serde(default)]
    pub authentication: CallAuthentication,
    /// The provider's rate limits. If the list is empty, calls are delayed only when a response
    /// requests a delay.
    #[serde(default)]
    pub limits: Vec<Limit>,
    /// Hosts that links in responses may point to, for example for downloads, uploads or exports.
    /// Requests to these hosts carry no credential.
    #[serde(default)]
    pub links: Vec<HostRule>,
    /// The scheme with which the provider signs webhooks.
    #[serde(default)]
    pub webhook: Option<WebhookScheme>,
    /// Interval between two reads of an account's metadata, in seconds.
    ///
    /// From one minute to one year; the default is one hour. Set a longer interval if reads are
    /// rate limited or cost money.
    #[serde(default = "hourly")]
    pub metadata_every: u64,
}

const fn hourly() -> u64 {
    3600
}

impl Description {
    /// Returns an otherwise empty description. The connector sets the remaining fields.
    #[must_use]
    pub fn new(provider: ProviderId, name: impl Into<String>) -> Self {
        Self {
            provider,
            name: name.into(),
            api: Vec::new(),
            headers: BTreeMap::new(),
            authorization: None,
            token: None,
            revocation: None,
            identity: None,
            identify_after_refresh: false,
            account_host: None,
            scopes: Scopes::default(),
            lifetimes: Lifetimes::default(),
            rotation: RotationClass::default(),
            refresh: RefreshPolicy::default(),
            grants_per_account: GrantsPerAccount::default(),
            refusals: Vec::new(),
            authentication: CallAuthentication::default(),
            limits: Vec::new(),
            links: Vec::new(),
            webhook: None,
            metadata_every: hourly(),
        }
    }

    /// Returns the name of the callback parameter that contains the authorization code.
    #[must_use]
    pub fn code_parameter(&self) -> &str {
        self.authorization
            .as_ref()
            .map_or("code", |endpoint| &endpoint.code_parameter)
    }

    /// Returns the interval between two reads of an account's metadata.
    #[must_use]
    pub const fn metadata_interval(&self) -> Duration {
        Duration::from_secs(self.metadata_every)
    }

    /// Checks the fields of the description and their combinations.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], which names the first invalid field.
    pub fn validate(&self) -> Result<()> {
        match self.first_wrong() {
            None => Ok(()),
            Some(message) => {
                Err(
                    Error::new(ErrorKind::Configuration, "description.validate", message)
                        .with_provider(self.provider.as_str().to_owned()),
                )
            }
        }
    }

    fn first_wrong(&self) -> Option<String> {
        self.wrong_endpoint()
            .or_else(|| self.wrong_header())
            .or_else(|| self.wrong_authorization())
            .or_else(|| self.wrong_token())
            .or_else(|| self.wrong_rule())
    }

    fn wrong_endpoint(&self) -> Option<String> {
        if self.api.is_empty() {
            return Some("`api` is empty; add the origin to which tokens are sent".to_owned());
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
                self.identity.as_ref().and_then(IdentityRule::test_endpoint),
            ),
        ];
        let named = endpoints
            .into_iter()
            .filter_map(|(field, it)| it.map(|it| (field, it)));
        for (field, template) in named.chain(self.api.iter().map(|it| ("api", it))) {
            if template.wants_account() && self.account_host.is_none() {
                return Some(format!(
                    "`{field}` contains {{account}}, but `account_host` is missing"
                ));
            }
            if template.url("account.example").is_err() {
                return Some(format!("`{field}` is not an https URL with a host name"));
            }
        }
        let host = self.account_host.as_ref();
        host.filter(|host| !host.suffix.starts_with('.') || host.suffix.len() < 3)
            .map(|_| "`account_host.suffix` must start with a dot and a label".to_owned())
    }

    fn wrong_header(&self) -> Option<String> {
        self.headers
            .iter()
            .find(|(name, value)| {
                HeaderName::from_bytes(name.as_bytes()).is_err()
                    || HeaderValue::from_str(value).is_err()
                    || SET_HEADERS.iter().any(|it| it.eq_ignore_ascii_case(name))
            })
            .map(|(name, _)| {
                format!("`headers.{name}` is invalid, or a description must not set this header")
            })
    }

    fn wrong_authorization(&self) -> Option<String> {
        let endpoint = self.authorization.as_ref()?;
        if self.token.is_none() {
            return Some("`authorization` is set without `token`; add `token`".to_owned());
        }
        let own = |name: &String| {
            name.is_empty() || FLOW_PARAMETERS.contains(&name.as_str()) || *name == self.client_id()
        };
        if let Some(name) = endpoint.parameters.keys().find(|name| own(name)) {
            return Some(format!(
                "`authorization.parameters` must not contain {name:?}; the flow sets this \
                 parameter"
            ));
        }
        if let Some(name) = endpoint.flow_parameters.iter().find(|name| own(name)) {
            return Some(format!(
                "`authorization.flow_parameters` must not contain {name:?}; the flow sets this \
                 parameter"
            ));
        }
        let code = endpoint.code_parameter.as_str();
        if code.is_empty() || ["state", "error", "error_description", "iss"].contains(&code) {
            return Some(
                "`authorization.code_parameter` is empty or reserved; use another name".to_owned(),
            );
        }
        if endpoint.issuer_required && endpoint.issuer.is_none() {
            return Some(
                "`authorization.issuer_required` requires `authorization.issuer`".to_owned(),
            );
        }
        let issuer = self.identity.as_ref().and_then(|it| it.issuer.as_ref());
        if endpoint.nonce && issuer.is_none() {
            return Some(
                "`authorization.nonce` requires an ID token; set `identity.issuer`".to_owned(),
            );
        }
        None
    }

    fn wrong_token(&self) -> Option<String> {
        if let Some(endpoint) = &self.token {
            let own = |name: &&String| {
                name.is_empty()
                    || ["code", "refresh_token", "client_secret"].contains(&name.as_str())
            };
            if endpoint.client_id_parameter.is_empty() {
                return Some("`token.client_id_parameter` is empty".to_owned());
            }
            // Another grant type could be the password grant (RFC 9700 section 2.4).
            let replaces_grant = |name: &&String| own(name) || name.as_str() == "grant_type";
            if endpoint
                .exchange_parameters
                .keys()
                .any(|name| replaces_grant(&name))
            {
                return Some(
                    "`token.exchange_parameters` must not contain parameters that the exchange \
                     sets"
                        .to_owned(),
                );
            }
            if endpoint
                .refresh_parameters
                .keys()
                .any(|name| replaces_grant(&name))
            {
                return Some(
                    "`token.refresh_parameters` must not contain parameters that the refresh sets"
                        .to_owned(),
                );
            }
            if endpoint.omitted_parameters.iter().any(|name| own(&name)) {
                return Some(
                    "`token.omitted_parameters` must not contain parameters that the exchange \
                     needs"
                        .to_owned(),
                );
            }
            if let Some(field) = endpoint.response.wrong() {
                return Some(format!(
                    "`token.response.{field}` must contain JSON pointers (RFC 6901)"
                ));
            }
        }
        let revocation = self.revocation.as_ref();
        if revocation.is_some_and(|it| {
            (it.token, it.reach) == (RevokedToken::AccessToken, RevocationReach::Token)
        }) {
            return Some(
                "`revocation.token` is `access_token` and `revocation.reach` is `token`: the \
                 refresh token would stay valid; set the reach to `grant` or `account`"
                    .to_owned(),
            );
        }
        if revocation.is_some_and(|it| it.family.as_ref().is_some_and(String::is_empty)) {
            return Some("`revocation.family` is empty".to_owned());
        }
        if let Some(field) = self.identity.as_ref().and_then(IdentityRule::wrong) {
            return Some(format!(
                "`identity.{field}` is invalid: `identity` needs JSON pointers (RFC 6901), and at \
                 most one of an endpoint (without a probe) and an https issuer"
            ));
        }
        if self.identify_after_refresh && self.identity.is_none() {
            return Some("`identify_after_refresh` requires `identity`".to_owned());
        }
        None
    }

    fn wrong_rule(&self) -> Option<String> {
        if let Some(field) = self.lifetimes.wrong() {
            return Some(format!(
                "`lifetimes.{field}` must be from 1 second to 100 years"
            ));
        }
        let grace = match self.rotation {
            RotationClass::Grace(Grace::Time { seconds }) => Some(seconds),
            RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds }) => Some(max_seconds),
            _ => None,
        };
        if grace == Some(0) {
            return Some("`rotation.grace` is 0 seconds; use `strict` instead".to_owned());
        }
        let scopes = &self.scopes;
        if scopes.default.iter().chain(&scopes.required).any(|scope| {
            scope.is_empty() || scope.contains(scopes.separator) || scope.contains(char::is_control)
        }) {
            return Some(
                "`scopes` contains a scope that is empty, or that contains the separator \
                 or a control character"
                    .to_owned(),
            );
        }
        for (number, rule) in self.refusals.iter().enumerate() {
            if let Some(field) = rule.wrong() {
                return Some(format!(
                    "`refusals[{number}].{field}` is missing or invalid; a rule needs a code or a \
                     status from 200 to 499 other than 429"
                ));
            }
        }
        if !self.authentication.is_valid() {
            return Some("`authentication` does not contain a valid header".to_owned());
        }
        if let Some((field, reason)) = limit::wrong(&self.limits) {
            return Some(format!("`{field}` {reason}"));
        }
        if let Some(webhook) = &self.webhook
            && let Err(message) = webhook.validate(self.account_host.is_some())
        {
            return Some(message);
        }
        if !(60..=366 * 86_400).contains(&self.metadata_every) {
            return Some(
                "`metadata_every` must be from 60 seconds to 366 days, in seconds".to_owned(),
            );
        }
        None
    }

    /// Returns the account with a key that is unique across all hosts of the provider.
    ///
    /// If ids are unique only per host, the host is appended to the key. The method is idempotent.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the resulting key is too long.
    pub fn qualify(&self, mut account: Account, account_host: Option<&str>) -> Result<Account> {
        if account.host.is_none() {
            account.host = account_host.map(str::to_owned);
        }
        if self
            .account_host
            .as_ref()
            .is_none_or(|rule| rule.global_keys)
        {
            return Ok(account);
        }
        if let Some(host) = &account.host {
            let suffix = format!("@{host}");
            if !account.key.as_str().ends_with(&suffix) {
                account.key = AccountKey::new(format!("{}{suffix}", account.key.as_str()))
                    .map_err(|_| {
                        Error::new(
                            ErrorKind::UnexpectedResponse,
                            "description.qualify",
                            "the account's key is too long; check `identity.account` in the \
                             description",
                        )
                        .with_provider(self.provider.as_str().to_owned())
                    })?;
            }
        }
        Ok(account)
    }

    /// Returns the name of the parameter that contains the client id.
    pub(crate) fn client_id(&self) -> &str {
        self.token
            .as_ref()
            .map_or("client_id", |endpoint| &endpoint.client_id_parameter)
    }

    /// Adds the description's headers for every request.
    pub(crate) fn add_headers(&self, headers: &mut http::HeaderMap) {
        for (name, value) in &self.headers {
            // `validate` has checked both.
            if let (Ok(name), Ok(value)) = (
                HeaderName::from_bytes(name.as_bytes()),
                HeaderValue::from_str(value),
            ) {
                headers.insert(name, value);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints counts")]
mod tests {
    use super::*;

    const PLAIN: &str = r#"{
        "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
        "authorization": { "endpoint": "https://acme.example/authorize" },
        "token": { "endpoint": "https://acme.example/token" },
        "identity": { "account": ["/team/id", "/user"] }
    }"#;

    /// Replaces the value at `pointer` in the plain description, and validates the result.
    fn with(pointer: &str, value: serde_json::Value) -> Result<(), String> {
        let mut text: serde_json::Value = serde_json::from_str(PLAIN).unwrap();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = text.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(name.to_owned(), value);
        let description: Description =
            serde_json::from_value(text).map_err(|error| error.to_string())?;
        let checked = description.validate();
        checked.map_err(|error| error.message().to_owned())
    }

    #[test]
    fn a_plain_description_is_valid() {
        let description: Description = serde_json::from_str(PLAIN).unwrap();
        description.validate().unwrap();
        assert_eq!(description.code_parameter(), "code");
        assert_eq!(description.client_id(), "client_id");
    }

    #[test]
    #[expect(clippy::too_many_lines, reason = "one table")]
    fn an_invalid_value_is_refused_by_its_field_name() {
        use serde_json::json;
        let table = [
            ("/api", json!([]), "`api`"),
            ("/api", json!(["https://{account}"]), "account_host"),
            ("/api", json!(["http://api.acme.example"]), "`api`"),
            ("/colour", json!("red"), "colour"),
            ("/headers", json!({"a b": "x"}), "`headers.a b`"),
            ("/headers", json!({"X": "a\nb"}), "`headers.X`"),
            (
                "/headers",
                json!({"Authorization": "x"}),
                "`headers.Authorization`",
            ),
            (
                "/authorization/parameters",
                json!({"state": "x"}),
                "`authorization.parameters`",
            ),
            (
                "/authorization/flow_parameters",
                json!(["redirect_uri"]),
                "flow_parameters",
            ),
            (
                "/authorization/flow_parameters",
                json!([""]),
                "flow_parameters",
            ),
            (
                "/authorization/code_parameter",
                json!("state"),
                "code_parameter",
            ),
            ("/authorization/code_parameter", json!(""), "code_parameter"),
            (
                "/authorization/issuer_required",
                json!(true),
                "issuer_required",
            ),
            ("/authorization/nonce", json!(true), "nonce"),
            ("/authorization/pkce", json!("plain"), "plain"),
            (
                "/token/client_id_parameter",
                json!(""),
                "client_id_parameter",
            ),
            ("/token/method", json!("put"), "put"),
            (
                "/token/exchange_parameters",
                json!({"code": "x"}),
                "exchange_parameters",
            ),
            (
                "/token/exchange_parameters",
                json!({"grant_type": "password"}),
                "exchange_parameters",
            ),
            (
                "/token/refresh_parameters",
                json!({"refresh_token": "x"}),
                "refresh_parameters",
            ),
            (
                "/token/refresh_parameters",
                json!({"grant_type": "password"}),
                "refresh_parameters",
            ),
            (
                "/token/omitted_parameters",
                json!(["code"]),
                "omitted_parameters",
            ),
            (
                "/token/response",
                json!({"scope": "scope"}),
                "token.response.scope",
            ),
            (
                "/token/response",
                json!({"access_token": []}),
                "token.response.access_token",
            ),
            (
                "/token/response",
                json!({"keep": {"x": "x"}}),
                "token.response.keep",
            ),
            ("/identity/account", json!([]), "identity.account"),
            ("/identity/account", json!("id"), "identity.account"),
            ("/identity/alternative", json!("id"), "identity.alternative"),
            ("/identity/label", json!("name"), "identity.label"),
            ("/identity/metadata", json!({"a": "b"}), "identity.metadata"),
            (
                "/identity/probe",
                json!("http://x.example"),
                "identity.endpoint",
            ),
            ("/identity/issuer", json!("x"), "identity.issuer"),
            (
                "/identity",
                json!({"endpoint": "https://a.example", "issuer": "https://a.example",
                "account": "/id"}),
                "identity.issuer",
            ),
            (
                "/identity",
                json!({"endpoint": "https://a.example", "probe": "https://a.example",
                "account": "/id"}),
                "identity.probe",
            ),
            ("/identity", json!(null), ""),
            (
                "/revocation",
                json!({"endpoint": "https://a.example", "family": ""}),
                "revocation.family",
            ),
            (
                "/revocation",
                json!({"endpoint": "https://a.example", "token": "access_token", "reach": "token"}),
                "revocation.token",
            ),
            (
                "/revocation",
                json!({"endpoint": "ftp://a.example"}),
                "revocation.endpoint",
            ),
            (
                "/lifetimes",
                json!({"unstated": {"assume": 0}}),
                "lifetimes.unstated",
            ),
            (
                "/lifetimes",
                json!({"refresh_seconds": 0}),
                "lifetimes.refresh_seconds",
            ),
            (
                "/lifetimes",
                json!({"idle_seconds": u64::MAX}),
                "lifetimes.idle_seconds",
            ),
            (
                "/lifetimes",
                json!({"refresh_ahead_seconds": 0}),
                "refresh_ahead_seconds",
            ),
            (
                "/rotation",
                json!({"grace": {"time": {"seconds": 0}}}),
                "rotation.grace",
            ),
            ("/scopes", json!({"default": [""]}), "`scopes`"),
            ("/scopes", json!({"default": ["a b"]}), "`scopes`"),
            (
                "/refusals",
                json!([{"means": "dead_grant"}]),
                "refusals[0].code",
            ),
            (
                "/refusals",
                json!([{"code": "", "means": "dead_grant"}]),
                "refusals[0].code",
            ),
            (
                "/refusals",
                json!([{"status": 500, "means": "transient"}]),
                "refusals[0].status",
            ),
            (
                "/refusals",
                json!([{"status": 429, "code": "x", "means": "transient"}]),
                "refusals[0].status",
            ),
            (
                "/refusals",
                json!([{"code": "x", "description": "", "means": "transient"}]),
                "refusals[0].description",
            ),
            (
                "/refusals",
                json!([{"code": "x", "means": "sideways"}]),
                "sideways",
            ),
            (
                "/authentication",
                json!({"header": "a b"}),
                "`authentication`",
            ),
            (
                "/authentication",
                json!({"prefixed": {"header": "x", "prefix": "a\n"}}),
                "`authentication`",
            ),
            (
                "/account_host",
                json!({"suffix": "x"}),
                "account_host.suffix",
            ),
        ];
        let mut refused = 0;
        for (pointer, value, named) in table {
            match with(pointer, value.clone()) {
                Ok(()) => assert_eq!(named, "", "{pointer} = {value} was accepted"),
                Err(message) => {
                    assert!(
                        !named.is_empty() && message.contains(named),
                        "{pointer}: {message}"
                    );
                    refused += 1;
                }
            }
        }
        println!("invalid values of a description rejected by name: {refused}");
        assert!(refused > 40);
    }

    #[test]
    fn an_account_key_has_its_host_unless_keys_are_global() {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        let account = || Account::identified(AccountKey::new("7").unwrap());
        let key = |description: &Description, host| {
            let once = description.qualify(account(), host).unwrap();
            let twice = description.qualify(once.clone(), host).unwrap();
            assert_eq!(once, twice);
            once.key.as_str().to_owned()
        };
        assert_eq!(key(&description, None), "7");
        description.account_host = Some(AccountHost::new(".acme.example"));
        assert_eq!(
            key(&description, Some("a.acme.example")),
            "7@a.acme.example"
        );
        assert_eq!(
            key(&description, Some("b.acme.example")),
            "7@b.acme.example"
        );
        description.account_host.as_mut().unwrap().global_keys = true;
        assert_eq!(key(&description, Some("a.acme.example")), "7");
    }

    #[test]
    fn metadata_is_read_at_least_once_a_year_and_at_most_once_a_minute() {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        description.api = vec![EndpointTemplate::new("https://api.acme.example")];
        assert_eq!(description.metadata_interval(), Duration::from_secs(3600));
        for (seconds, accepted) in [
            (0, false),
            (59, false),
            (60, true),
            (86_400, true),
            (366 * 86_400, true),
            (366 * 86_400 + 1, false),
            (u64::MAX, false),
        ] {
            description.metadata_every = seconds;
            let outcome = description.validate();
            assert_eq!(outcome.is_ok(), accepted, "{seconds}");
            if let Err(error) = outcome {
                assert!(error.message().contains("`metadata_every`"), "{error}");
            }
        }
    }

    #[test]
    fn a_description_with_a_contradiction_is_refused() {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        assert!(description.validate().is_err(), "no origin");
        description.api = vec![EndpointTemplate::new("https://{account}")];
        assert!(description.validate().is_err(), "no host rule");
        description.account_host = Some(AccountHost::new(".acme.example"));
        description.validate().unwrap();
    }
}
