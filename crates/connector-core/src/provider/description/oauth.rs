//! The authorization, token and revocation endpoints, and how requests to them deviate from the RFCs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::endpoint::{EndpointTemplate, Pointer, one_or_many};

/// The authorization endpoint (RFC 6749 section 3.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthorizationEndpoint {
    /// Its URL.
    pub endpoint: EndpointTemplate,
    /// The PKCE method to use.
    #[serde(default)]
    pub pkce: Pkce,
    /// The issuer identifier that the callback's `iss` must equal (RFC 9207), where known.
    #[serde(default)]
    pub issuer: Option<String>,
    /// True if the server always sends `iss`: a callback without it is refused.
    #[serde(default)]
    pub issuer_required: bool,
    /// Parameters to add to every request, for example `prompt`. They must not name a parameter that
    /// the flow sets itself (`state`, `redirect_uri`, …).
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// The names of the parameters that an application may set for one flow, for example
    /// `login_hint`. They are added to the request and sealed with the flow. Any other name is
    /// refused. One that `parameters` names too replaces that value, for one flow.
    #[serde(default)]
    pub flow_parameters: Vec<String>,
    /// The callback parameter that holds the authorization code: `spapi_oauth_code` at Amazon.
    /// Default: `code`.
    #[serde(default = "code")]
    pub code_parameter: String,
    /// True to send an OpenID Connect `nonce` (Core section 3.1.2.1) and to require it in the ID
    /// token.
    #[serde(default)]
    pub nonce: bool,
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
            flow_parameters: Vec::new(),
            code_parameter: code(),
            nonce: false,
        }
    }
}

fn code() -> String {
    "code".to_owned()
}

/// The PKCE method (RFC 7636).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Pkce {
    /// `S256`, as RFC 7636 section 4.2 has it.
    #[default]
    S256,
    /// The SHA-256 of the verifier in lower-case hexadecimal instead of base64url (TikTok's desktop
    /// login). Not RFC 7636.
    S256Hex,
    /// None: the provider refuses its parameters.
    Refused,
}

/// The token endpoint (RFC 6749 section 3.2).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenEndpoint {
    /// Its URL.
    pub endpoint: EndpointTemplate,
    /// The method of client authentication.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// The name of the parameter that holds the client id, in authorization and token requests:
    /// `client_key` at TikTok. Default: `client_id`.
    #[serde(default = "client_id")]
    pub client_id_parameter: String,
    /// The HTTP method. GET puts the parameters into the query.
    #[serde(default)]
    pub method: TokenMethod,
    /// The encoding of a POST request's body.
    #[serde(default)]
    pub encoding: BodyEncoding,
    /// Parameters to add to the code exchange.
    #[serde(default)]
    pub exchange_parameters: BTreeMap<String, String>,
    /// Parameters to add to a refresh.
    #[serde(default)]
    pub refresh_parameters: BTreeMap<String, String>,
    /// Parameters of the RFCs that this endpoint refuses, for example `redirect_uri` or
    /// `grant_type`. They are left out of the code exchange.
    #[serde(default)]
    pub omitted_parameters: Vec<String>,
    /// The places of the values in the token response.
    #[serde(default)]
    pub response: TokenFields,
}

impl TokenEndpoint {
    /// An endpoint that follows the RFCs.
    #[must_use]
    pub fn new(endpoint: EndpointTemplate) -> Self {
        Self {
            endpoint,
            client_authentication: ClientAuthentication::default(),
            client_id_parameter: client_id(),
            method: TokenMethod::default(),
            encoding: BodyEncoding::default(),
            exchange_parameters: BTreeMap::new(),
            refresh_parameters: BTreeMap::new(),
            omitted_parameters: Vec::new(),
            response: TokenFields::default(),
        }
    }
}

fn client_id() -> String {
    "client_id".to_owned()
}

/// The places of the values in a token response (RFC 6749 sections 5.1 and 5.2).
///
/// Each list names pointers that are tried in their order; the first one that leads to a value counts.
/// The defaults are those of RFC 6749, with the usual names for a refresh token's lifetime.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[non_exhaustive]
pub struct TokenFields {
    /// The access token.
    #[serde(deserialize_with = "one_or_many")]
    pub access_token: Vec<Pointer>,
    /// The refresh token.
    #[serde(deserialize_with = "one_or_many")]
    pub refresh_token: Vec<Pointer>,
    /// The access token's lifetime in seconds.
    #[serde(deserialize_with = "one_or_many")]
    pub expires_in: Vec<Pointer>,
    /// The refresh token's lifetime in seconds.
    #[serde(deserialize_with = "one_or_many")]
    pub refresh_expires_in: Vec<Pointer>,
    /// The granted scopes: a text or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub scope: Vec<Pointer>,
    /// Error codes. Every pointer that leads to a text or a number yields a code, and a
    /// [`RefusalRule`](super::RefusalRule) may name any of them; the first one is shown.
    #[serde(deserialize_with = "one_or_many")]
    pub error: Vec<Pointer>,
    /// The provider's description of an error.
    #[serde(deserialize_with = "one_or_many")]
    pub error_description: Vec<Pointer>,
    /// Further values to keep, sealed, with the credential, by the name to keep them under.
    pub keep: BTreeMap<String, Pointer>,
}

impl Default for TokenFields {
    fn default() -> Self {
        let list = |pointers: &[&str]| pointers.iter().map(|it| Pointer::new(*it)).collect();
        Self {
            access_token: list(&["/access_token"]),
            refresh_token: list(&["/refresh_token"]),
            expires_in: list(&["/expires_in"]),
            refresh_expires_in: list(&["/refresh_token_expires_in", "/refresh_expires_in"]),
            scope: list(&["/scope"]),
            error: list(&["/error"]),
            error_description: list(&["/error_description"]),
            keep: BTreeMap::new(),
        }
    }
}

impl TokenFields {
    /// The name of the first field that has a malformed pointer.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        let lists = [
            ("access_token", &self.access_token),
            ("refresh_token", &self.refresh_token),
            ("expires_in", &self.expires_in),
            ("refresh_expires_in", &self.refresh_expires_in),
            ("scope", &self.scope),
            ("error", &self.error),
            ("error_description", &self.error_description),
        ];
        if self.access_token.is_empty() {
            return Some("access_token");
        }
        lists
            .into_iter()
            .find(|(_, pointers)| !pointers.iter().all(Pointer::is_valid))
            .map(|(name, _)| name)
            .or_else(|| (!self.keep.values().all(Pointer::is_valid)).then_some("keep"))
    }
}

/// The method of client authentication (RFC 6749 section 2.3).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClientAuthentication {
    /// HTTP Basic with the form-encoded client id and secret (section 2.3.1); a client without a
    /// secret sends `client_id` in the body (section 3.2.1).
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
    /// `client_id` in the body and no secret, even if the registration has one.
    None,
    /// HTTP Basic with the client secret as user name and no password (Stripe).
    SecretAsUser,
}

/// The HTTP method of a token request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum TokenMethod {
    /// POST, as RFC 6749 section 3.2 requires.
    #[default]
    Post,
    /// GET, with the parameters in the query (Instagram). Such URLs contain secrets.
    Get,
}

/// The encoding of a request's body.
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

/// The revocation endpoint (RFC 7009).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RevocationEndpoint {
    /// Its URL.
    pub endpoint: EndpointTemplate,
    /// The extent of a revocation.
    #[serde(default)]
    pub reach: RevocationReach,
    /// The encoding of the request's body.
    #[serde(default)]
    pub encoding: BodyEncoding,
    /// The token to send.
    #[serde(default)]
    pub token: RevokedToken,
    /// The name that connectors share whose connections end together, because one authorization
    /// server and one client id serve them all (Google). A revocation that reaches the account is
    /// not sent while any connector of the family has a live connection to the account.
    #[serde(default)]
    pub family: Option<String>,
}

impl RevocationEndpoint {
    /// An endpoint that revokes everything the app holds for the account.
    #[must_use]
    pub fn new(endpoint: EndpointTemplate) -> Self {
        Self {
            endpoint,
            reach: RevocationReach::default(),
            encoding: BodyEncoding::default(),
            token: RevokedToken::default(),
            family: None,
        }
    }
}

/// The token of a credential that a revocation endpoint accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevokedToken {
    /// The refresh token, or the access token of a credential without one, with `token_type_hint`
    /// (RFC 7009 section 2.1).
    #[default]
    RefreshToken,
    /// The access token alone, without `token_type_hint` (Notion, TikTok).
    AccessToken,
}

/// The extent of a revocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationReach {
    /// Only the token that is sent: access and refresh token are revoked one after the other.
    Token,
    /// The grant of the token: other connections of the same account live on.
    Grant,
    /// Everything that the app holds for the account, other tenants' connections included.
    #[default]
    Account,
}
