//! Shopify's OAuth, and where it leaves RFC 6749.
//!
//! See [Shopify docs: Authorization code grant](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/authorization-code-grant)
//! and [Offline access tokens](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/offline-access-tokens).
//!
//! * Every shop has its own authorization and token endpoint, on its own host.
//! * The authorization request has no `response_type`, and no PKCE.
//! * Scopes are separated by commas, and `write_x` includes `read_x` without saying so.
//! * The exchange asks for a token that expires with `expiring=1`; without it, the token would
//!   never expire, and Shopify accepts such tokens from fewer and fewer apps.
//! * Token answers have no `token_type`.
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
    RevocationEndpoint, RevocationReach, Scopes, TokenEndpoint, Unstated,
};
use connector_core::provider::oauth as rfc;
use connector_core::provider::oauth::{
    AuthorizationRequest, ExchangeError, Grace, RotationClass, TokenAnswer, TokenRequest,
};
use url::Url;

use crate::Shopify;
use crate::config::ShopifyConfig;

/// How long an access token lives, and what is assumed of one whose answer does not say.
const ACCESS_SECONDS: u64 = 3600;
/// How long a refresh token lives.
const REFRESH_SECONDS: u64 = 90 * 86_400;
/// How long a used refresh token works at most, until its successor is used.
/// See <https://shopify.dev/changelog/more-resilient-refreshes-for-expiring-offline-access-tokens>.
const GRACE_SECONDS: u32 = 30 * 86_400;

/// The smallest budget of points that a plan is known to have had, until an answer tells.
const SMALLEST_BUCKET: u32 = 1000;
/// The points that flow back into it in a second.
const SLOWEST_RATE: u32 = 50;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const OFFLINE_TOKEN: &str = "urn:shopify:params:oauth:token-type:offline-access-token";

/// What is true of Shopify.
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
    // A shop's gid is unique across all shops.
    host.global_keys = true;
    description.account_host = Some(host);
    let mut scopes = Scopes::default();
    scopes.default = vec!["read_products".to_owned()];
    scopes.separator = ',';
    description.scopes = scopes;
    let mut lifetimes = Lifetimes::default();
    lifetimes.unstated = Unstated::Assume(ACCESS_SECONDS);
    lifetimes.refresh_seconds = Some(REFRESH_SECONDS);
    // A token of an app that Shopify exempts, obtained elsewhere and adopted.
    lifetimes.access_may_never_expire = true;
    description.lifetimes = lifetimes;
    description.rotation = RotationClass::Grace(Grace::UntilSuccessorUsed {
        max_seconds: GRACE_SECONDS,
    });
    description.grants_per_account = GrantsPerAccount::One;
    let dead = RefusalMeaning::DeadGrant;
    description.refusals = vec![
        RefusalRule::code("invalid_subject_token", dead),
        // A refresh token that is expired or revoked; the same code means other things elsewhere.
        RefusalRule::code("invalid_request", dead)
            .with_status(401)
            .with_description("active refresh_token"),
    ];
    description
}

/// The authorization URL: that of the RFC without `response_type`, which Shopify does not know.
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

/// Exchanges a token that does not expire for one that does.
pub(crate) async fn migrate(
    description: &Description,
    cx: &Context<'_>,
    host: Option<&str>,
    token: &str,
) -> Result<TokenAnswer, ExchangeError> {
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

/// The answer with every scope that was granted by name or within another.
pub(crate) fn expanded(answer: TokenAnswer) -> TokenAnswer {
    match answer.scopes().map(expand_scopes) {
        Some(scopes) => answer.with_scopes(scopes),
        None => answer,
    }
}

/// The scopes with those that they include: `write_x` includes `read_x`, and
/// `unauthenticated_write_x` includes `unauthenticated_read_x`. Shopify lists only the first.
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

/// How long the tokens of an answer are good, where it does not say.
pub(crate) const fn lifetimes() -> (Duration, Duration) {
    (
        Duration::from_secs(ACCESS_SECONDS),
        Duration::from_secs(REFRESH_SECONDS),
    )
}
