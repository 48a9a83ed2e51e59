//! Shopify's deviations from the standard authorization server.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD_NO_PAD;
use connector_core::clock::Timestamp;
use connector_sim::{Account, Grant, Provider, Request, Response};
use http::Method;
use ring::hmac;
use serde_json::{Value, json};
use url::Url;

use super::{Api, graphql};
use crate::account::ShopDomain;
use crate::oauth::signature;

impl Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        self.respond(request, Some(grant))
    }

    fn unauthenticated(&self, request: &Request) -> Response {
        self.respond(request, None)
    }

    /// Adds `response_type`, which Shopify does not know.
    fn authorization(&self, url: &Url) -> Option<Result<Url, &'static str>> {
        if url.path() != super::Route::Authorize.paths().0 {
            return None;
        }
        let is_unknown = |name: &str| matches!(name, "response_type" | "code_challenge");
        if url.query_pairs().any(|(name, _)| is_unknown(&name)) {
            return Some(Err("the request has unknown parameters"));
        }
        let mut url = url.clone();
        url.query_pairs_mut().append_pair("response_type", "code");
        Some(Ok(url))
    }

    fn callback(&self, account: &Account, client_secret: &str, query: &mut Vec<(String, String)>) {
        let shop = account.host().unwrap_or_default();
        sign(query, shop, client_secret, self.clock.now());
    }

    fn token_response(&self, grant: &Grant, body: &mut Value) {
        body["scope"] = compressed(&grant.scopes).join(",").into();
        if let Some(members) = body.as_object_mut() {
            members.remove("token_type");
        }
    }

    fn refusal(&self, request: &Request, response: Response) -> Response {
        let fields = request.fields();
        let (status, code, text) = match fields.get("grant_type").map(String::as_str) {
            _ if response.status() == 401 && is_about_client(&response) => return response,
            Some("refresh_token") => (
                401,
                "invalid_request",
                "This request requires an active refresh_token",
            ),
            Some(grant_type) if grant_type.ends_with(":token-exchange") => {
                (400, "invalid_subject_token", "the token is not valid")
            }
            _ => (
                400,
                "invalid_request",
                "The authorization code was not found or was already used",
            ),
        };
        Response::json(status, &json!({ "error": code, "error_description": text }))
    }
}

fn is_about_client(response: &Response) -> bool {
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    body["error"] == "invalid_client"
}

impl Api {
    /// Returns the response to a request to the Admin API.
    fn respond(&self, request: &Request, grant: Option<&Grant>) -> Response {
        let not_found = || Response::json(404, &json!({ "errors": "Not Found" }));
        if *request.method() != Method::POST {
            return Response::json(405, &json!({ "errors": "Method Not Allowed" }));
        }
        let version = request.path().strip_prefix("/admin/api/");
        let Some(version) = version.and_then(|it| it.strip_suffix("/graphql.json")) else {
            return not_found();
        };
        let mut world = self.world();
        let accepts_non_expiring = world.accepts_non_expiring;
        let shop = ShopDomain::parse(request.host()).ok();
        let response = match (shop.and_then(|it| world.shops.get_mut(&it)), grant) {
            (None, _) => return not_found(),
            (_, None) => graphql::unauthorized(),
            (_, Some(grant)) if !grant.expires && !accepts_non_expiring => graphql::forbidden(),
            (Some(state), Some(grant)) => {
                graphql::answer(state, grant, self.clock.now(), request.body())
            }
        };
        response.with_header("x-shopify-api-version", graphql::served_version(version))
    }
}

/// Adds the parameters about a shop that Shopify adds to every redirect to the app, and the
/// signature.
pub(super) fn sign(query: &mut Vec<(String, String)>, shop: &str, secret: &str, now: Timestamp) {
    let name = shop.split('.').next().unwrap_or_default();
    let host = BASE64_STANDARD_NO_PAD.encode(format!("admin.shopify.com/store/{name}"));
    let at = now.as_unix_seconds().to_string();
    let added = [("host", host), ("shop", shop.to_owned()), ("timestamp", at)];
    query.extend(added.map(|(name, value)| (name.to_owned(), value)));
    let pairs: Vec<(&str, &str)> = query.iter().map(|(k, v)| (&**k, &**v)).collect();
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, signature::canonical(&pairs).as_bytes());
    query.push(("hmac".to_owned(), hex::encode(signature)));
    // Shopify sends the parameters in alphabetical order.
    query.sort();
}

/// Returns the scopes without implicit scopes, as listed by Shopify.
pub(super) fn compressed(scopes: &[String]) -> Vec<&str> {
    let is_included = |scope: &&String| {
        scopes.iter().any(|it| {
            let included = crate::expand_scopes(std::slice::from_ref(it));
            included.len() > 1 && included[1] == **scope
        })
    };
    let scopes = scopes.iter().filter(|it| !is_included(it));
    scopes.map(String::as_str).collect()
}
