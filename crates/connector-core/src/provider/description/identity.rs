//! The source of the account behind a credential.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::endpoint::{EndpointTemplate, Pointer, one_or_many};

/// The source of the account behind a credential: an endpoint, the token response, or its ID token.
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
    /// An endpoint that is read with GET and the credential. The response is a JSON object.
    #[serde(default)]
    pub endpoint: Option<EndpointTemplate>,
    /// The issuer of the ID token that names the account (OpenID Connect Core section 2). `iss` must
    /// equal it; `{claim}` stands for another claim of the token, as in
    /// `https://login.example/{tid}/v2.0`.
    #[serde(default)]
    pub issuer: Option<String>,
    /// An endpoint that accepts every valid credential, read with GET to test one where the account
    /// itself is not read at an endpoint. Without it, such a connection cannot be tested on demand.
    #[serde(default)]
    pub probe: Option<EndpointTemplate>,
    /// Pointers to the parts of the account's stable key, each a text or a whole number. Several
    /// parts are joined with a colon, as for a directory and the user in it.
    #[serde(deserialize_with = "one_or_many")]
    pub account: Vec<Pointer>,
    /// Pointers to take instead where one of the first leads nowhere: Slack's `/enterprise/id` in
    /// place of `/team/id`.
    #[serde(default, deserialize_with = "one_or_many")]
    pub alternative: Vec<Pointer>,
    /// A pointer to the account's name for people.
    #[serde(default)]
    pub label: Option<Pointer>,
    /// Pointers to further facts about the account, by the name to keep them under. They must not be
    /// secret.
    #[serde(default)]
    pub metadata: BTreeMap<String, Pointer>,
}

/// The source of an identity.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum IdentitySource<'a> {
    /// A GET request with the credential.
    Endpoint(&'a EndpointTemplate),
    /// The token response.
    TokenResponse,
    /// The ID token of the token response. It comes straight from the token endpoint over TLS, so its
    /// signature is not checked (OpenID Connect Core section 3.1.3.7, point 6); issuer, audience,
    /// expiry and nonce are.
    IdToken {
        /// The issuer, which may name claims in braces.
        issuer: &'a str,
    },
}

impl IdentityRule {
    /// An endpoint whose response holds the account's key at `account`, a JSON pointer.
    #[must_use]
    pub fn endpoint(endpoint: EndpointTemplate, account: impl Into<String>) -> Self {
        Self {
            endpoint: Some(endpoint),
            ..Self::token_response(account)
        }
    }

    /// A token response that holds the account's key at `account`, a JSON pointer.
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

    /// An ID token of `issuer` whose `sub` is the account's key.
    #[must_use]
    pub fn id_token(issuer: impl Into<String>) -> Self {
        Self {
            issuer: Some(issuer.into()),
            ..Self::token_response("/sub")
        }
    }

    /// Sets the pointer to the account's name for people.
    #[must_use]
    pub fn with_label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(Pointer::new(label));
        self
    }

    /// The source of the identity.
    #[must_use]
    pub fn source(&self) -> IdentitySource<'_> {
        match (&self.endpoint, &self.issuer) {
            (Some(endpoint), _) => IdentitySource::Endpoint(endpoint),
            (None, Some(issuer)) => IdentitySource::IdToken { issuer },
            (None, None) => IdentitySource::TokenResponse,
        }
    }

    /// The endpoint to test a credential at.
    #[must_use]
    pub fn test_endpoint(&self) -> Option<&EndpointTemplate> {
        self.endpoint.as_ref().or(self.probe.as_ref())
    }

    /// The name of the first field that has a senseless value.
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
