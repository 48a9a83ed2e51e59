//! The consent page and the token endpoint.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use connector_core::clock::Timestamp;
use connector_sim::Request;
use ring::hmac;
use serde_json::{Value, json};
use url::Url;

use super::data::{ACCESS_LIFE, Code, Installation, Pair, REFRESH_LIFE};
use super::{Consent, Shared, World, is_client_secret};
use crate::account::ShopDomain;
use crate::oauth::signature;

/// Lifetime of an authorization code.
const CODE_LIFE: Duration = Duration::from_secs(60);
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const OFFLINE_TOKEN: &str = "urn:shopify:params:oauth:token-type:offline-access-token";

/// Opens the consent page at `url`. Returns the URL of the redirect, or the message of the error
/// page.
pub(super) fn authorize(
    shared: &Shared,
    world: &mut World,
    url: &Url,
) -> Result<Url, &'static str> {
    let shop = ShopDomain::parse(url.host_str().unwrap_or_default())
        .map_err(|_| "there is no such shop")?;
    let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let get = |name: &str| asked.get(name).map_or("", String::as_str);
    if url.path() != "/admin/oauth/authorize" {
        return Err("there is no such page");
    }
    if get("client_id") != shared.client_id {
        return Err("the app is unknown: invalid_client");
    }
    if get("redirect_uri") != shared.redirect_uri.as_str() {
        return Err("the redirect_uri is not on the app's list");
    }
    if asked.contains_key("response_type") || asked.contains_key("code_challenge") {
        return Err("the request has unknown parameters");
    }
    let now = shared.clock.now();
    let code = world.secrets.issue("code-");
    let state = world.shops.get_mut(&shop).ok_or("there is no such shop")?;
    let asked_for: Vec<String> = get("scope")
        .split(',')
        .map(str::trim)
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    let granted = match state.consents.pop_front().unwrap_or(Consent::Grant) {
        Consent::Grant => Some(asked_for),
        Consent::GrantOnly(scopes) => Some(scopes),
        Consent::Deny => None,
    };
    let mut pairs = shop_pairs(&shop, now);
    pairs.push(("state", get("state").to_owned()));
    match granted {
        Some(scopes) => {
            let kept = Code {
                scopes: compressed(&scopes),
                issued: now,
            };
            state.codes.insert(code.clone(), kept);
            pairs.push(("code", code));
        }
        None => pairs.push(("error", "access_denied".to_owned())),
    }
    Ok(with_signed(world, shared.redirect_uri.url(), &pairs))
}

/// Returns the URL of the redirect for a person who opens the app from `shop`.
pub(super) fn open_app(world: &World, now: Timestamp, shop: &ShopDomain, app_url: &Url) -> Url {
    with_signed(world, app_url, &shop_pairs(shop, now))
}

/// Returns the query parameters about a shop that Shopify adds to every redirect to the app.
fn shop_pairs(shop: &ShopDomain, now: Timestamp) -> Vec<(&'static str, String)> {
    let name = shop.as_str().split('.').next().unwrap_or_default();
    vec![
        (
            "host",
            BASE64_STANDARD_NO_PAD.encode(format!("admin.shopify.com/store/{name}")),
        ),
        ("shop", shop.to_string()),
        ("timestamp", now.as_unix_seconds().to_string()),
    ]
}

/// Returns the address with the given pairs and their signature.
fn with_signed(world: &World, address: &Url, pairs: &[(&str, String)]) -> Url {
    let borrowed: Vec<(&str, &str)> = pairs.iter().map(|(k, v)| (*k, v.as_str())).collect();
    let signed = sign_query(world, &borrowed);
    let mut target = address.clone();
    target
        .query_pairs_mut()
        .extend_pairs(borrowed)
        .append_pair("hmac", &signed);
    target
}

fn sign_query(world: &World, pairs: &[(&str, &str)]) -> String {
    let secret = world.client_secrets.first().map_or("", String::as_str);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hex::encode(hmac::sign(&key, signature::canonical(pairs).as_bytes()))
}

/// Returns the scopes without implicit scopes, as listed by Shopify.
fn compressed(scopes: &[String]) -> Vec<String> {
    let is_included = |scope: &str| {
        let (prefix, rest) = match scope.strip_prefix("unauthenticated_") {
            Some(rest) => ("unauthenticated_", rest),
            None => ("", scope),
        };
        rest.strip_prefix("read_")
            .is_some_and(|resource| scopes.contains(&format!("{prefix}write_{resource}")))
    };
    scopes
        .iter()
        .filter(|scope| !is_included(scope))
        .cloned()
        .collect()
}

/// Returns the status and the body of the response to a token request at `shop`.
pub(super) fn token(
    shared: &Shared,
    world: &mut World,
    shop: &ShopDomain,
    request: &Request,
) -> (u16, Value) {
    let fields = request.fields();
    let get = |name: &str| fields.get(name).map_or("", String::as_str);
    if get("client_id") != shared.client_id || !is_client_secret(world, get("client_secret")) {
        return refused(401, "invalid_client", "the client id or secret is wrong");
    }
    let now = shared.clock.now();
    let pair = new_pair(world, now);
    let Some(state) = world.shops.get_mut(shop) else {
        return refused(400, "invalid_request", "there is no such shop");
    };
    match get("grant_type") {
        "" | "authorization_code" => {
            let code = state
                .codes
                .remove(get("code"))
                .filter(|code| now.since(code.issued) < CODE_LIFE);
            let Some(code) = code else {
                return refused(
                    400,
                    "invalid_request",
                    "The authorization code was not found or was already used",
                );
            };
            let installation = state.install(code.scopes);
            if get("expiring") == "1" {
                installation.begin_chain(pair.clone());
                return (200, issued(installation, &pair, now));
            }
            let scope = installation.scopes.join(",");
            state.issue_non_expiring(pair.access.clone());
            (200, json!({ "access_token": pair.access, "scope": scope }))
        }
        "refresh_token" => {
            let refresh = get("refresh_token");
            let installation = state.installation.as_mut();
            match installation.filter(|it| it.accepts_refresh(refresh, now)) {
                Some(installation) => {
                    installation.refresh(refresh, pair.clone(), now);
                    (200, issued(installation, &pair, now))
                }
                None => refused(
                    401,
                    "invalid_request",
                    "This request requires an active refresh_token",
                ),
            }
        }
        TOKEN_EXCHANGE => {
            let is_migration = get("subject_token_type") == OFFLINE_TOKEN
                && get("requested_token_type") == OFFLINE_TOKEN
                && get("expiring") == "1";
            if !is_migration {
                return refused(400, "invalid_request", "this exchange is not simulated");
            }
            let subject = get("subject_token");
            let Some(installation) = state.installation.as_mut() else {
                return refused(400, "invalid_subject_token", "the app is not installed");
            };
            if let Some(pair) = installation.repeated_migration(subject, now) {
                return (200, issued(installation, &pair, now));
            }
            if installation.migrate(subject, pair.clone(), now) {
                (200, issued(installation, &pair, now))
            } else {
                refused(400, "invalid_subject_token", "the token is not valid")
            }
        }
        _ => refused(400, "invalid_request", "the grant type is not supported"),
    }
}

fn new_pair(world: &mut World, now: Timestamp) -> Pair {
    Pair {
        access: world.secrets.issue("shpat_"),
        access_ends: now.after(ACCESS_LIFE),
        refresh: world.secrets.issue("shprt_"),
        refresh_ends: now.after(REFRESH_LIFE),
    }
}

fn issued(installation: &Installation, pair: &Pair, now: Timestamp) -> Value {
    json!({
        "access_token": pair.access,
        "scope": installation.scopes.join(","),
        "expires_in": pair.access_ends.since(now).as_secs(),
        "refresh_token": pair.refresh,
        "refresh_token_expires_in": pair.refresh_ends.since(now).as_secs(),
    })
}

fn refused(status: u16, code: &str, description: &str) -> (u16, Value) {
    (
        status,
        json!({ "error": code, "error_description": description }),
    )
}
