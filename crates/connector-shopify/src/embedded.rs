//! Apps inside Shopify's admin: session tokens, the `host` parameter and the bounce page.
//!
//! See [Shopify docs: Session tokens](https://shopify.dev/docs/apps/build/authentication-authorization/session-tokens)
//! and [Token exchange](https://shopify.dev/docs/apps/build/authentication-authorization/access-tokens/token-exchange).

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::provider::oauth::jwt;
use connector_core::{App, Error, ErrorKind, Result};
use http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue,
    LOCATION,
};
use http::{HeaderMap, Response, StatusCode, Uri};
use secrecy::SecretString;
use serde_json::Value;
use url::{Url, form_urlencoded};

use crate::Shopify;
use crate::account::{HostRule, ShopDomain};

/// Tolerance between Shopify's clock and the local clock, as in Shopify's own libraries.
const LEEWAY: Duration = Duration::from_secs(10);
/// Maximum number of shops in [`SessionTokens`].
const MAX_SHOPS: usize = 10_000;
/// Maximum length of the `host` parameter, in bytes.
const MAX_HOST: usize = 1024;
/// The header that makes App Bridge repeat a request with a new session token.
const RETRY_HEADER: HeaderName = HeaderName::from_static("x-shopify-retry-invalid-session-request");
/// The query parameters that Shopify adds to the URL of a page, and that must not be kept in the URL
/// to reload: the first of them is a secret.
const ID_TOKEN: &str = "id_token";
const RELOAD: &str = "shopify-reload";

/// A verified session token (ID token) of an embedded app's user.
///
/// Admin tokens live for about a minute. Do not store them: App Bridge sends a new one with each
/// request.
#[derive(Clone)]
pub struct SessionToken {
    token: SecretString,
    shop: ShopDomain,
    user: Option<u64>,
    session: Option<String>,
    expires_at: Timestamp,
    is_exchangeable: bool,
}

impl SessionToken {
    /// Returns the shop. It comes from the signed claim `dest`.
    #[must_use]
    pub const fn shop(&self) -> &ShopDomain {
        &self.shop
    }

    /// Returns the number of the staff user; `None` for tokens of checkout and customer-account
    /// extensions.
    #[must_use]
    pub const fn user(&self) -> Option<u64> {
        self.user
    }

    /// Returns the id of the user's session; `None` for tokens of extensions.
    #[must_use]
    pub fn session(&self) -> Option<&str> {
        self.session.as_deref()
    }

    /// Returns the expiry of the token.
    #[must_use]
    pub const fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// Returns true if Shopify exchanges the token for an access token. Tokens of checkout and
    /// customer-account extensions cannot be exchanged.
    #[must_use]
    pub const fn is_exchangeable(&self) -> bool {
        self.is_exchangeable
    }

    pub(crate) const fn secret(&self) -> &SecretString {
        &self.token
    }
}

impl fmt::Debug for SessionToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionToken")
            .field("shop", &self.shop)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// The newest session token of each shop, in memory.
///
/// With [`ShopifyConfigBuilder::with_session_tokens`](crate::ShopifyConfigBuilder::with_session_tokens),
/// [`Shopify::verify_session_token`] stores each token here, and a refresh that Shopify refuses for
/// good falls back to an exchange of the shop's newest token. Clones share the tokens. At most
/// 10,000 shops are kept, and expired tokens are removed first.
#[derive(Clone, Default)]
pub struct SessionTokens(Arc<Mutex<BTreeMap<ShopDomain, SessionToken>>>);

impl SessionTokens {
    /// Creates an empty set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Stores a token, unless the shop's stored token expires later.
    pub fn remember(&self, token: &SessionToken, now: Timestamp) {
        if !token.is_exchangeable {
            return;
        }
        let mut shops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !shops.contains_key(&token.shop) && shops.len() >= MAX_SHOPS {
            shops.retain(|_, it| it.expires_at > now);
            if shops.len() >= MAX_SHOPS {
                return;
            }
        }
        let stored = shops
            .entry(token.shop.clone())
            .or_insert_with(|| token.clone());
        if stored.expires_at < token.expires_at {
            *stored = token.clone();
        }
    }

    pub(crate) fn newest(&self, shop: &ShopDomain, now: Timestamp) -> Option<SessionToken> {
        let shops = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        shops.get(shop).filter(|it| it.expires_at > now).cloned()
    }
}

impl fmt::Debug for SessionTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionTokens")
    }
}

/// Verifies a session token with the client secrets of `app`.
pub(crate) fn verify(
    rule: HostRule,
    app: &App,
    now: Timestamp,
    token: &str,
) -> Result<SessionToken> {
    let expected = jwt::Expected::new(&[], app.client_id()).with_leeway(LEEWAY);
    let claims = jwt::verify_hs256(token, app.client_secrets(), &expected, now)
        .map_err(|error| error.with_provider(Shopify::ID.as_str().to_owned()))?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let refused = || {
        let message = "the session token names no shop, or two shops; request a new one";
        Error::new(ErrorKind::Unauthorized, "shopify.session_token", message)
            .with_provider(Shopify::ID.as_str().to_owned())
    };
    let destination = text("dest").ok_or_else(refused)?;
    let host = destination.strip_prefix("https://").unwrap_or(destination);
    let shop = rule.accept_host(host).map_err(|_| refused())?;
    // The issuer's host must be the same shop; its path tells the kind of the token.
    let issuer = text("iss").and_then(|it| it.strip_prefix("https://"));
    let path = issuer.and_then(|it| it.strip_prefix(shop.as_str()));
    let path = path.filter(|it| it.starts_with('/')).ok_or_else(refused)?;
    let expires_at = claims.get("exp").and_then(Value::as_f64);
    #[expect(clippy::cast_possible_truncation, reason = "the claim was checked")]
    let expires_at = expires_at.map(|it| Timestamp::from_unix_seconds(it as i64));
    Ok(SessionToken {
        token: token.to_owned().into(),
        user: text("sub").and_then(|it| it.parse().ok()),
        session: text("sid").map(str::to_owned),
        expires_at: expires_at.unwrap_or(now),
        is_exchangeable: path == "/admin",
        shop,
    })
}

/// The outcome of the authentication of a request to an embedded app.
#[derive(Debug)]
#[non_exhaustive]
pub enum Entry {
    /// The request has a valid session token.
    Session(SessionToken),
    /// The request has no valid session token. Return this response unchanged.
    ///
    /// A request with an `Authorization` header gets 401 with the header that makes App Bridge
    /// repeat it with a new token. Any other request is the load of a document, which cannot have
    /// the header: it gets a page that obtains a token and reloads the document.
    Respond(Response<Bytes>),
}

/// Returns the entry for a request with these headers and this target.
pub(crate) fn enter(
    verify: impl Fn(&str) -> Result<SessionToken>,
    app: &App,
    (headers, target): (&HeaderMap, &Uri),
    base: &Url,
) -> Entry {
    if let Some(value) = headers.get(AUTHORIZATION) {
        let token = value.to_str().ok().and_then(|it| it.split_once(' '));
        let token = token.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        return match token.map(|(_, token)| verify(token.trim())) {
            Some(Ok(session)) => Entry::Session(session),
            _ => Entry::Respond(unauthorized()),
        };
    }
    let query = target.query().unwrap_or_default();
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    if let Some((_, token)) = pairs.find(|(name, _)| name == ID_TOKEN)
        && let Ok(session) = verify(&token)
    {
        return Entry::Session(session);
    }
    Entry::Respond(bounce(app.client_id(), target, base))
}

fn unauthorized() -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::UNAUTHORIZED;
    let headers = response.headers_mut();
    headers.insert(RETRY_HEADER, HeaderValue::from_static("1"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Returns the page that loads App Bridge, which obtains a session token and reloads the requested
/// URL. The first response redirects to this page with the URL to reload as a parameter.
fn bounce(client_id: &str, target: &Uri, base: &Url) -> Response<Bytes> {
    let query = target.query().unwrap_or_default();
    let pairs = || form_urlencoded::parse(query.as_bytes());
    if pairs().any(|(name, _)| name == RELOAD) {
        return page(client_id, pairs().find(|(name, _)| name == "shop"));
    }
    let kept = |name: &str| !matches!(name, ID_TOKEN | RELOAD);
    let mut reload = base.clone();
    reload.set_path(target.path());
    reload.set_query(None);
    if pairs().any(|(name, _)| kept(&name)) {
        reload
            .query_pairs_mut()
            .extend_pairs(pairs().filter(|(name, _)| kept(name)));
    }
    let mut to = reload.clone();
    to.query_pairs_mut().append_pair(RELOAD, reload.as_str());
    // Only the path and the query: the browser stays at the app's own origin.
    let to = format!("{}?{}", to.path(), to.query().unwrap_or_default());
    let Ok(to) = HeaderValue::try_from(to) else {
        return unauthorized();
    };
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, to);
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().insert(CACHE_CONTROL, no_store);
    response
}

fn page(
    client_id: &str,
    shop: Option<(std::borrow::Cow<'_, str>, std::borrow::Cow<'_, str>)>,
) -> Response<Bytes> {
    // A client id has no character with a meaning in HTML.
    let id: String = client_id
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
        .collect();
    let body = format!(
        "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\">\n\
         <meta name=\"shopify-api-key\" content=\"{id}\">\n\
         <script src=\"https://cdn.shopify.com/shopifycloud/app-bridge.js\"></script>\n\
         </head><body></body></html>\n"
    );
    let shop = shop.and_then(|(_, shop)| HostRule::default().accept_host(&shop).ok());
    let frames = match shop {
        Some(shop) => format!("frame-ancestors https://{shop} https://admin.shopify.com"),
        None => "frame-ancestors https://admin.shopify.com".to_owned(),
    };
    let mut response = Response::new(Bytes::from(body));
    let headers = response.headers_mut();
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    headers.insert(CONTENT_TYPE, html);
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Ok(frames) = HeaderValue::try_from(frames) {
        headers.insert(CONTENT_SECURITY_POLICY, frames);
    }
    response
}

/// Returns the host in the query parameter `host`, which is base64 text such as
/// `admin.shopify.com/store/cool-shop`.
pub(crate) fn host(rule: HostRule, text: &str) -> Option<String> {
    let engine = GeneralPurpose::new(
        &base64::alphabet::STANDARD,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    if text.is_empty() || text.len() > MAX_HOST {
        return None;
    }
    let decoded = String::from_utf8(engine.decode(text).ok()?).ok()?;
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b'/');
    if !decoded.bytes().all(is_plain) {
        return None;
    }
    let (host, path) = decoded.split_once('/').unwrap_or((&decoded, ""));
    if path.split('/').any(|it| matches!(it, "." | "..")) {
        return None;
    }
    let is_admin = host == "admin.shopify.com";
    (is_admin || rule.accept_host(host).is_ok()).then_some(decoded)
}
