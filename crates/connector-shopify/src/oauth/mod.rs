//! Shopify's OAuth, and its deviations from RFC 6749.
//!
//! See [Shopify docs: Authorization code grant](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant)
//! and [Offline access tokens](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens).
//!
//! * Each shop has its own authorization and token endpoints, on its own host.
//! * The authorization request has no `response_type` and no PKCE.
//! * Scopes are separated by commas. `write_x` includes `read_x` implicitly.
//! * The exchange requests an expiring token with `expiring=1`. Without this parameter, Shopify
//!   issues a token that never expires. Shopify accepts such tokens from fewer and fewer apps.
//! * Token responses have no `token_type`. Token requests have no `grant_type` and no
//!   `redirect_uri`, as in Shopify's own libraries.
//! * A used refresh token works for at most 30 days, [until its successor is used](https://shopify.dev/changelog/more-resilient-refreshes-for-expiring-offline-access-tokens).
//! * Some apps are exempt from expiry. Such a token can be adopted.
//! * The callback is signed with the client secret.

pub(crate) mod signature;

use std::time::Duration;

use connector_core::http::limit::Limit;
use connector_core::provider::Context;
use connector_core::provider::description::RevocationReach;
use connector_core::provider::description::{Description, EndpointTemplate, RevocationEndpoint};
use connector_core::provider::oauth as rfc;
use connector_core::provider::oauth::{
    AuthorizationRequest, ExchangeError, TokenRequest, TokenResponse,
};
use connector_core::{Credential, Result};
use secrecy::ExposeSecret as _;
use url::Url;

use crate::Shopify;
use crate::config::ShopifyConfig;

/// Lifetime of a refresh token.
pub(crate) const REFRESH_LIFETIME: Duration = Duration::from_secs(90 * 86_400);

/// Names of the secrets that a credential keeps beside its token.
pub(crate) mod extra {
    /// The session token to exchange, until it was exchanged.
    pub(crate) const SESSION_TOKEN: &str = "session_token";
    /// The grant of the credential, if it is not an offline token of a user's consent.
    pub(crate) const GRANT: &str = "grant";
    /// The number of an online token's user.
    pub(crate) const USER: &str = "user";
    /// The name of an online token's user.
    pub(crate) const USER_NAME: &str = "user_name";
}

/// Values of [`extra::GRANT`].
pub(crate) const ONLINE: &str = "online";
pub(crate) const CLIENT_CREDENTIALS: &str = "client_credentials";

const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ONLINE_TOKEN: &str = "urn:shopify:params:oauth:token-type:online-access-token";
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const OFFLINE_TOKEN: &str = "urn:shopify:params:oauth:token-type:offline-access-token";

/// The global id of a shop is unique across all shops. In requests other than refreshes, the code
/// `invalid_request` has other meanings.
const DESCRIPTION: &str = r#"{
    "provider": "shopify",
    "name": "Shopify",
    "api": ["https://{account}"],
    "account_host": { "suffix": ".myshopify.com", "global_keys": true },
    "authorization": { "endpoint": "https://{account}/admin/oauth/authorize", "pkce": "refused" },
    "token": {
        "endpoint": "https://{account}/admin/oauth/access_token",
        "client_authentication": "body",
        "exchange_parameters": { "expiring": "1" },
        "omitted_parameters": ["grant_type", "redirect_uri"]
    },
    "authentication": { "header": "x-shopify-access-token" },
    "scopes": { "default": ["read_products"], "separator": "," },
    "lifetimes": {
        "unstated": { "assume": 3600 }, "refresh_seconds": 7776000, "access_may_never_expire": true
    },
    "rotation": { "grace": { "until_successor_used": { "max_seconds": 2592000 } } },
    "grants_per_account": "one",
    "links": ["storage.googleapis.com", "*.storage.googleapis.com"],
    "refusals": [
        { "code": "invalid_subject_token", "means": "dead_grant" },
        { "status": 401, "code": "invalid_request", "description": "active refresh_token",
            "means": "dead_grant" }
    ]
}"#;

/// Returns the description with the given settings. A test shows that the constant is valid.
pub(crate) fn description(config: &ShopifyConfig) -> Description {
    let read = serde_json::from_str(DESCRIPTION);
    let mut description = read.unwrap_or_else(|_| Description::new(Shopify::ID, "Shopify"));
    // The smallest known bucket of all plans, until a response contains the real size and rate.
    description.limits = vec![Limit::cost(1000, 50)];
    description.webhook = crate::webhook::scheme();
    if config.uninstalls_on_disconnect {
        let url = format!("https://{{account}}/{}", crate::graphql::PATH.join("/"));
        let mut revocation = RevocationEndpoint::new(EndpointTemplate::new(url));
        revocation.reach = RevocationReach::Account;
        description.revocation = Some(revocation);
    }
    description
}

/// Returns the authorization URL of RFC 6749 without `response_type`, which Shopify does not
/// support.
pub(crate) fn authorization_url(
    description: &Description,
    request: &AuthorizationRequest<'_>,
) -> Result<Url> {
    let mut url = rfc::authorization_url(description, request)?;
    let pairs = url.query().unwrap_or_default().split('&');
    let pairs: Vec<&str> = pairs
        .filter(|pair| !pair.starts_with("response_type="))
        .collect();
    let query = pairs.join("&");
    url.set_query(Some(&query));
    Ok(url)
}

/// Exchanges a non-expiring token for an expiring one.
pub(crate) async fn migrate(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<TokenResponse, ExchangeError> {
    let token = credential.secret().expose_secret();
    let fields = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", OFFLINE_TOKEN),
        ("requested_token_type", OFFLINE_TOKEN),
        ("expiring", "1"),
    ];
    let request = TokenRequest::to(description, cx, credential.account_host()).fields(fields);
    request.send("shopify.migrate").await.map(expanded)
}

/// Returns the value that a credential keeps under `name`, if it is not empty.
pub(crate) fn kept<'a>(credential: &'a Credential, name: &str) -> Option<&'a str> {
    let value = credential.extra(name)?.expose_secret();
    (!value.is_empty()).then_some(value)
}

/// Exchanges a session token for an access token of the credential's kind.
pub(crate) async fn exchange_session(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
    session_token: &str,
) -> Result<TokenResponse, ExchangeError> {
    let is_online = kept(credential, extra::GRANT) == Some(ONLINE);
    let requested = if is_online {
        ONLINE_TOKEN
    } else {
        OFFLINE_TOKEN
    };
    let fields = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", session_token),
        ("subject_token_type", ID_TOKEN),
        ("requested_token_type", requested),
    ];
    let mut request = TokenRequest::to(description, cx, credential.account_host()).fields(fields);
    if !is_online {
        request = request.field("expiring", "1");
    }
    let answer = request.send("shopify.token_exchange").await?;
    Ok(with_user(expanded(answer)).keep(extra::SESSION_TOKEN, ""))
}

/// Keeps the user of an online token in the credential.
pub(crate) fn with_user(answer: TokenResponse) -> TokenResponse {
    #[derive(serde::Deserialize)]
    struct User {
        id: u64,
        #[serde(default)]
        first_name: String,
        #[serde(default)]
        last_name: String,
    }
    let Some(user) = answer.field::<User>("associated_user") else {
        return answer;
    };
    let name = format!("{} {}", user.first_name, user.last_name);
    answer
        .keep(extra::GRANT, ONLINE)
        .keep(extra::USER, user.id.to_string())
        .keep(extra::USER_NAME, name.trim())
}

/// Returns the token response with all granted scopes, including implicit ones.
pub(crate) fn expanded(answer: TokenResponse) -> TokenResponse {
    match answer.scopes().map(expand_scopes) {
        Some(scopes) => answer.with_scopes(scopes),
        None => answer,
    }
}

/// Returns the scopes with their implicit scopes: `write_x` includes `read_x`, and
/// `unauthenticated_write_x` includes `unauthenticated_read_x`. Shopify lists only the first of
/// each pair.
///
/// ```
/// let granted = ["write_products".to_owned()];
/// assert_eq!(
///     connector_shopify::expand_scopes(&granted),
///     ["write_products", "read_products"],
/// );
/// ```
#[must_use]
pub fn expand_scopes(scopes: &[String]) -> Vec<String> {
    let included = scopes.iter().filter_map(|scope| {
        let (prefix, rest) = match scope.strip_prefix("unauthenticated_") {
            Some(rest) => ("unauthenticated_", rest),
            None => ("", scope.as_str()),
        };
        let resource = rest.strip_prefix("write_")?;
        Some(format!("{prefix}read_{resource}"))
    });
    let mut expanded: Vec<String> = Vec::with_capacity(scopes.len() * 2);
    for scope in scopes.iter().cloned().chain(included) {
        if !expanded.contains(&scope) {
            expanded.push(scope);
        }
    }
    expanded
}
