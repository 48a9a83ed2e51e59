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
//! * Token responses have no `token_type`.
//! * The callback is signed with the client secret.

pub(crate) mod signature;

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::Result;
use connector_core::http::limit::Limit;
use connector_core::provider::Context;
use connector_core::provider::description::{
    AccountHost, AuthorizationEndpoint, CallAuthentication, ClientAuthentication, Description,
    EndpointTemplate, GrantsPerAccount, Lifetimes, Pkce, RefusalMeaning, RefusalRule,
    RevocationEndpoint, RevocationReach, Scopes, TokenEndpoint, UnstatedLifetime,
};
use connector_core::provider::oauth as rfc;
use connector_core::provider::oauth::{
    AuthorizationRequest, ExchangeError, Grace, RotationClass, TokenRequest, TokenResponse,
};
use url::Url;

use crate::Shopify;
use crate::config::ShopifyConfig;

/// Lifetime of an access token, used if the token response contains none.
const ACCESS_SECONDS: u64 = 3600;
/// Lifetime of a refresh token.
const REFRESH_SECONDS: u64 = 90 * 86_400;
/// Maximum time for which a used refresh token works until its successor is used. See
/// <https://shopify.dev/changelog/more-resilient-refreshes-for-expiring-offline-access-tokens>.
const GRACE_SECONDS: u32 = 30 * 86_400;

/// Assumed size of the points bucket until a response contains the real size. It is the smallest
/// known size of all plans.
const SMALLEST_BUCKET: u32 = 1000;
/// Assumed restore rate of the bucket, in points per second.
const SLOWEST_RATE: u32 = 50;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const OFFLINE_TOKEN: &str = "urn:shopify:params:oauth:token-type:offline-access-token";

/// Returns the description of Shopify.
pub(crate) fn description(config: &ShopifyConfig) -> Description {
    let template = |path: &str| EndpointTemplate::new(format!("https://{{account}}{path}"));
    let mut description = Description::new(Shopify::ID, "Shopify");
    description.api = vec![EndpointTemplate::new("https://{account}")];
    let mut authorization = AuthorizationEndpoint::new(template("/admin/oauth/authorize"));
    authorization.pkce = Pkce::Refused;
    description.authorization = Some(authorization);
    let mut token = TokenEndpoint::new(template("/admin/oauth/access_token"));
    token.client_authentication = ClientAuthentication::Body;
    token.exchange_parameters = BTreeMap::from([("expiring".to_owned(), "1".to_owned())]);
    // As in Shopify's own libraries.
    token.omitted_parameters = vec!["grant_type".to_owned(), "redirect_uri".to_owned()];
    description.token = Some(token);
    if config.uninstalls_on_disconnect {
        let path = format!("/{}", crate::graphql::PATH.join("/"));
        let mut revocation = RevocationEndpoint::new(template(&path));
        revocation.reach = RevocationReach::Account;
        description.revocation = Some(revocation);
    }
    description.authentication =
        CallAuthentication::Header(crate::graphql::TOKEN_HEADER.to_owned());
    description.limits = vec![Limit::cost(SMALLEST_BUCKET, SLOWEST_RATE)];
    description.webhook = crate::webhook::scheme();
    let mut host = AccountHost::new(".myshopify.com");
    // The global id of a shop is unique across all shops.
    host.global_keys = true;
    description.account_host = Some(host);
    let mut scopes = Scopes::default();
    scopes.default = vec!["read_products".to_owned()];
    scopes.separator = ',';
    description.scopes = scopes;
    let mut lifetimes = Lifetimes::default();
    lifetimes.unstated = UnstatedLifetime::Assume(ACCESS_SECONDS);
    lifetimes.refresh_seconds = Some(REFRESH_SECONDS);
    // Shopify exempts some apps from expiry. Such a token can be adopted.
    lifetimes.access_may_never_expire = true;
    description.lifetimes = lifetimes;
    description.rotation = RotationClass::Grace(Grace::UntilSuccessorUsed {
        max_seconds: GRACE_SECONDS,
    });
    description.grants_per_account = GrantsPerAccount::One;
    let dead = RefusalMeaning::DeadGrant;
    description.refusals = vec![
        RefusalRule::code("invalid_subject_token", dead),
        // The code of an expired or revoked refresh token. In other requests, the same code has
        // other meanings.
        RefusalRule::code("invalid_request", dead)
            .with_status(401)
            .with_description("active refresh_token"),
    ];
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
    host: Option<&str>,
    token: &str,
) -> Result<TokenResponse, ExchangeError> {
    let fields = [
        ("grant_type", TOKEN_EXCHANGE),
        ("subject_token", token),
        ("subject_token_type", OFFLINE_TOKEN),
        ("requested_token_type", OFFLINE_TOKEN),
        ("expiring", "1"),
    ];
    let request = TokenRequest::to(description, cx, host).fields(fields);
    request.send("shopify.migrate_token").await.map(expanded)
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

/// Returns the default lifetimes of tokens, for responses that contain none.
pub(crate) const fn lifetimes() -> (Duration, Duration) {
    (
        Duration::from_secs(ACCESS_SECONDS),
        Duration::from_secs(REFRESH_SECONDS),
    )
}
