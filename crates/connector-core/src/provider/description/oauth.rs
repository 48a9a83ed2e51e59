//! The authorization, token and revocation endpoints, and their deviations from the RFCs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::endpoint::{EndpointTemplate, Pointer, one_or_many};

/// The authorization endpoint (RFC 6749 section 3.1).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct AuthorizationEndpoint {
    /// URL of the endpoint.
    pub endpoint: EndpointTemplate,
    /// The PKCE method to use.
    #[serde(default)]
    pub pkce: Pkce,
    /// The issuer identifier that the callback's `iss` must equal (RFC 9207), if known.
    #[serde(default)]
    pub issuer: Option<String>,
    /// True if the server always sends `iss`. A callback without `iss` is then rejected.
    #[serde(default)]
    pub issuer_required: bool,
    /// Parameters to add to every authorization request, for example `prompt`. Parameters that the
    /// flow itself sets are not allowed (`state`, `redirect_uri`, …).
    #[serde(default)]
    pub parameters: BTreeMap<String, String>,
    /// Names of the parameters that an application may set for one flow, for example `login_hint`.
    ///
    /// These parameters are added to the request and sealed with the flow. Any other parameter is
    /// rejected. If `parameters` contains the same name, the application's value takes precedence.
    #[serde(default)]
    pub flow_parameters: Vec<String>,
    /// The name of the callback parameter that contains the authorization code, for example
    /// `spapi_oauth_code` at Amazon. Default: `code`.
    #[serde(default = "code")]
    pub code_parameter: String,
    /// True to send an OpenID Connect `nonce` (Core section 3.1.2.1) and to require the same value
    /// in the ID token.
    #[serde(default)]
    pub nonce: bool,
}

impl AuthorizationEndpoint {
    /// Returns an endpoint that follows the RFCs.
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
    /// `S256` (RFC 7636 section 4.2).
    #[default]
    S256,
    /// The SHA-256 of the verifier in lowercase hexadecimal instead of base64url (TikTok's desktop
    /// login). This method is not part of RFC 7636.
    S256Hex,
    /// No PKCE, because the provider rejects its parameters.
    Refused,
}

/// The token endpoint (RFC 6749 section 3.2).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct TokenEndpoint {
    /// URL of the endpoint.
    pub endpoint: EndpointTemplate,
    /// The method of client authentication.
    #[serde(default)]
    pub client_authentication: ClientAuthentication,
    /// The name of the parameter that contains the client id in authorization and token requests,
    /// for example `client_key` at TikTok. Default: `client_id`.
    #[serde(default = "client_id")]
    pub client_id_parameter: String,
    /// The HTTP method. GET sends the parameters in the query.
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
    /// Standard parameters that this endpoint rejects, for example `redirect_uri` or `grant_type`.
    /// These parameters are omitted from the code exchange.
    #[serde(default)]
    pub omitted_parameters: Vec<String>,
    /// Positions of the values in the token response.
    #[serde(default)]
    pub response: TokenFields,
}

impl TokenEndpoint {
    /// Returns an endpoint that follows the RFCs.
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

/// Positions of the values in a token response (RFC 6749 sections 5.1 and 5.2).
///
/// Each field is a list of pointers, tried in order. The first pointer that finds a value is used.
/// The defaults follow RFC 6749, with the usual names for the lifetime of a refresh token.
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
    /// The granted scopes, as a string or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub scope: Vec<Pointer>,
    /// Error codes.
    ///
    /// Every string or number at one of these pointers is a code. A
    /// [`RefusalRule`](super::RefusalRule) can match each code. Error messages show the first one.
    #[serde(deserialize_with = "one_or_many")]
    pub error: Vec<Pointer>,
    /// The provider's description of an error.
    #[serde(deserialize_with = "one_or_many")]
    pub error_description: Vec<Pointer>,
    /// Pointers to additional values, keyed by the name under which each value is stored. The
    /// values are sealed with the credential.
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
    /// Returns the name of the first field with a malformed pointer.
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
    /// HTTP Basic with the form-encoded client id and secret (section 2.3.1). A client without a
    /// secret sends `client_id` in the body (section 3.2.1).
    #[default]
    Basic,
    /// `client_id` and `client_secret` in the body.
    Body,
    /// `client_id` in the body and no secret, even if the app registration has one.
    None,
    /// HTTP Basic with the client secret as the user name and an empty password (Stripe).
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
    /// GET, with the parameters in the query (Instagram). The request URL contains secrets.
    Get,
}

/// The encoding of a request's body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BodyEncoding {
    /// `application/x-www-form-urlencoded`, as in the RFCs.
    #[default]
    Form,
    /// `application/json`, with one string member per parameter.
    Json,
}

/// The revocation endpoint (RFC 7009).
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RevocationEndpoint {
    /// URL of the endpoint.
    pub endpoint: EndpointTemplate,
    /// The scope of a revocation.
    #[serde(default)]
    pub reach: RevocationReach,
    /// The encoding of the request's body.
    #[serde(default)]
    pub encoding: BodyEncoding,
    /// The token to send.
    #[serde(default)]
    pub token: RevokedToken,
    /// Name of the family of connectors that share one authorization server and one client id
    /// (Google).
    ///
    /// Revoking one connection of an account also ends the account's connections of the other
    /// connectors in the family. An account-wide revocation is therefore not sent while any
    /// connector of the family has an active connection to the account.
    #[serde(default)]
    pub family: Option<String>,
}

impl RevocationEndpoint {
    /// Returns an endpoint that revokes all tokens of the app for the account.
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

/// The token that a revocation endpoint accepts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevokedToken {
    /// The refresh token, with `token_type_hint` (RFC 7009 section 2.1). If the credential has no
    /// refresh token, the access token is sent.
    #[default]
    RefreshToken,
    /// Only the access token, without `token_type_hint` (Notion, TikTok).
    AccessToken,
}

/// The scope of a revocation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RevocationReach {
    /// The request contains only the token. The access token and the refresh token are revoked in
    /// separate requests.
    Token,
    /// The grant of the token. Other connections of the same account stay valid.
    Grant,
    /// All tokens of the app for the account, including those of other tenants' connections.
    #[default]
    Account,
}
