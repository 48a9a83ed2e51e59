//! The source of the account that a credential belongs to.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::endpoint::{EndpointTemplate, Pointer, one_or_many};

/// The source of the account that a credential belongs to: an endpoint, the token response, or the
/// ID token.
///
/// ```
/// use connector_core::provider::description::{IdentityRule, IdentitySource};
/// let read = |text| serde_json::from_str::<IdentityRule>(text).unwrap();
/// let rule = read(r#"{ "endpoint": "https://api.acme.example/me", "account": "/id" }"#);
/// assert!(matches!(rule.source(), IdentitySource::Endpoint(_)));
/// let rule = read(r#"{ "account": ["/team/id", "/user/id"], "label": "/team/name" }"#);
/// assert!(matches!(rule.source(), IdentitySource::TokenResponse));
/// let rule = read(r#"{ "issuer": "https://login.acme.example/{tid}", "account": "/sub" }"#);
/// assert!(matches!(rule.source(), IdentitySource::IdToken { .. }));
/// ```
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct IdentityRule {
    /// An endpoint that returns the account as a JSON object. The request is a GET with the
    /// credential.
    #[serde(default)]
    pub endpoint: Option<EndpointTemplate>,
    /// The issuer of the ID token that identifies the account (OpenID Connect Core section 2).
    ///
    /// The token's `iss` must equal this value. A claim name in braces is replaced by the value of
    /// that claim, for example `https://login.example/{tid}/v2.0`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// An endpoint that accepts a GET request with any valid credential.
    ///
    /// The hub tests credentials with this endpoint if the account does not come from an endpoint.
    /// Without a probe, such a connection cannot be tested on demand.
    #[serde(default)]
    pub probe: Option<EndpointTemplate>,
    /// Pointers to the parts of the account's stable key. Each part is a string or an integer.
    /// Several parts are joined with a colon, for example a directory id and a user id.
    #[serde(deserialize_with = "one_or_many")]
    pub account: Vec<Pointer>,
    /// Pointers to use if one of the `account` pointers finds no value. For example, Slack returns
    /// `/enterprise/id` in place of `/team/id`.
    #[serde(default, deserialize_with = "one_or_many")]
    pub alternative: Vec<Pointer>,
    /// Pointer to the account's display name.
    #[serde(default)]
    pub label: Option<Pointer>,
    /// Pointers to additional facts about the account, keyed by the name under which each fact is
    /// stored. These facts must not be secret.
    #[serde(default)]
    pub metadata: BTreeMap<String, Pointer>,
}

/// The source of an identity.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum IdentitySource<'a> {
    /// An endpoint, read with a GET request and the credential.
    Endpoint(&'a EndpointTemplate),
    /// The token response.
    TokenResponse,
    /// The ID token of the token response.
    ///
    /// The signature of the ID token is not checked, because the token comes directly from the
    /// token endpoint over TLS (OpenID Connect Core section 3.1.3.7, point 6). Issuer, audience,
    /// expiry and nonce are checked.
    IdToken {
        /// The issuer, which may contain claim names in braces.
        issuer: &'a str,
    },
}

impl IdentityRule {
    /// Returns a rule that reads the account's key from an endpoint, at the JSON pointer `account`.
    #[must_use]
    pub fn endpoint(endpoint: EndpointTemplate, account: impl Into<String>) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..Self::token_response(account)
        }
    }

    /// Returns a rule that reads the account's key from the token response, at the JSON pointer
    /// `account`.
    #[must_use]
    pub fn token_response(account: impl Into<String>) -> Self {
        Self {
            endpoint: None,
            issuer: None,
            probe: None,
            account: vec![Pointer::new(account)],
            alternative: Vec::new(),
            label: None,
            metadata: BTreeMap::new(),
        }
    }

    /// Returns a rule that uses the `sub` claim of an ID token from `issuer` as the account's key.
    #[must_use]
    pub fn id_token(issuer: impl Into<String>) -> Self {
        Self {
            issuer: Some(issuer.into()),
            ..Self::token_response("/sub")
        }
    }

    /// Sets the pointer to the account's display name.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(Pointer::new(label));
        self
    }

    /// Returns the source of the identity.
    #[must_use]
    pub fn source(&self) -> IdentitySource<'_> {
        match (&self.endpoint, &self.issuer) {
            (Some(endpoint), _) => IdentitySource::Endpoint(endpoint),
            (None, Some(issuer)) => IdentitySource::IdToken { issuer },
            (None, None) => IdentitySource::TokenResponse,
        }
    }

    /// Returns the endpoint at which a credential can be tested.
    #[must_use]
    pub fn test_endpoint(&self) -> Option<&EndpointTemplate> {
        self.endpoint.as_ref().or(self.probe.as_ref())
    }

    /// Returns the name of the first field with an invalid value.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        let all = |pointers: &[Pointer]| pointers.iter().all(Pointer::is_valid);
        if self.endpoint.is_some() && self.issuer.is_some() {
            Some("issuer")
        } else if self.endpoint.is_some() && self.probe.is_some() {
            Some("probe")
        } else if self
            .issuer
            .as_ref()
            .is_some_and(|it| !it.starts_with("https://"))
        {
            Some("issuer")
        } else if self.account.is_empty() || !all(&self.account) {
            Some("account")
        } else if !all(&self.alternative) {
            Some("alternative")
        } else if !self.label.iter().all(Pointer::is_valid) {
            Some("label")
        } else if !self.metadata.values().all(Pointer::is_valid) {
            Some("metadata")
        } else {
            None
        }
    }
}
