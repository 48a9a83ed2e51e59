//! Shopify's deviations from the standard authorization server.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD};
use connector_core::App;
use connector_core::clock::Timestamp;
use connector_core::http::Origin;
use connector_core::provider::oauth::jwt;
use connector_sim::{Account, Grant, NewGrant, Provider, Request, Response};
use http::Method;
use ring::hmac;
use secrecy::SecretString;
use serde_json::{Value, json};
use url::Url;

use super::{Api, bulk, graphql};
use crate::account::ShopDomain;
use crate::oauth::signature;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const OFFLINE: &str = "urn:shopify:params:oauth:token-type:offline-access-token";
const ONLINE: &str = "urn:shopify:params:oauth:token-type:online-access-token";
/// Lifetime of a token from client credentials.
const APP_LIFETIME: Duration = Duration::from_secs(86_399);
/// Lifetime of an online token.
const ONLINE_LIFETIME: Duration = Duration::from_secs(86_399);

/// Exchanges a session token.
fn exchange(
    api: &Api,
    fields: &BTreeMap<String, String>,
    app: &App,
    host: &str,
    scopes: Vec<String>,
) -> Result<NewGrant, &'static str> {
    let get = |name: &str| fields.get(name).map_or("", String::as_str);
    let expected = jwt::Expected::new(&[], app.client_id()).with_leeway(Duration::from_secs(10));
    let now = api.clock.now();
    let claims = jwt::verify_hs256(get("subject_token"), app.client_secrets(), &expected, now);
    let claims = claims.map_err(|_| "the session token is invalid")?;
    let text = |name: &str| claims[name].as_str().unwrap_or_default();
    if text("dest") != format!("https://{host}") || text("iss") != format!("https://{host}/admin") {
        return Err("the session token belongs to another shop, or cannot be exchanged");
    }
    let account = |key: String| Account::new(key).with_host(host);
    match (get("requested_token_type"), get("expiring")) {
        (OFFLINE, "1") => Ok(NewGrant::new(account(host.to_owned()), scopes).with_refresh_token()),
        (OFFLINE, "" | "0") => Ok(NewGrant::new(account(host.to_owned()), scopes).without_expiry()),
        (ONLINE, "" | "1") => {
            let key = format!("{host}#{}", text("sub"));
            Ok(NewGrant::new(account(key), scopes).with_lifetime(ONLINE_LIFETIME))
        }
        _ => Err("the requested token type is not supported"),
    }
}

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

    fn grant(&self, request: &Request, app: &App) -> Option<Result<NewGrant, &'static str>> {
        let fields = request.fields();
        let get = |name: &str| fields.get(name).map_or("", String::as_str);
        let host = request.host().to_owned();
        let shop = ShopDomain::parse(&host).ok()?;
        let scopes = self.world().shops.get(&shop)?.scopes.clone();
        let scopes = scopes.unwrap_or_else(|| app.scopes().to_vec());
        match (get("grant_type"), get("subject_token_type")) {
            ("client_credentials", _) => {
                let account = Account::new(format!("{host}#app")).with_host(&host);
                Some(Ok(
                    NewGrant::new(account, scopes).with_lifetime(APP_LIFETIME)
                ))
            }
            (TOKEN_EXCHANGE, ID_TOKEN) => Some(exchange(self, &fields, app, &host, scopes)),
            _ => None,
        }
    }

    fn token_response(&self, grant: &Grant, body: &mut Value) {
        body["scope"] = compressed(&grant.scopes).join(",").into();
        let user = grant.account.split_once('#').map(|(_, user)| user);
        if let Some(id) = user.and_then(|it| it.parse::<u64>().ok()) {
            body["associated_user_scope"] = body["scope"].clone();
            body["associated_user"] = json!({
                "id": id, "first_name": "Ada", "last_name": "Example",
                "email": "ada@shop.example", "email_verified": true, "account_owner": true,
                "locale": "en", "collaborator": false,
            });
        }
        if let Some(members) = body.as_object_mut() {
            members.remove("token_type");
        }
    }

    fn origins(&self) -> Vec<Origin> {
        let hosts = bulk::HOSTS.iter();
        let origins = hosts.filter_map(|it| Origin::parse(&format!("https://{it}")).ok());
        origins.collect()
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
        if bulk::HOSTS.contains(&request.host()) {
            return bulk::file(request, self.world().shops.values_mut(), grant);
        }
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

/// Returns a JWT with these claims (HS256).
pub(super) fn sign_jwt(secret: &str, claims: &Value) -> SecretString {
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = encode(&header) + "." + &encode(claims);
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hmac::sign(&key, signed.as_bytes());
    (signed + "." + &BASE64_URL_SAFE_NO_PAD.encode(signature)).into()
}

/// Returns the query of a request that the app proxy forwards.
pub(super) fn proxied(
    secret: &str,
    shop: &ShopDomain,
    (customer, parameters): (Option<u64>, &[(&str, &str)]),
    now: Timestamp,
) -> String {
    let at = now.as_unix_seconds().to_string();
    let customer = customer.map_or_else(String::new, |it| it.to_string());
    let own = [
        ("logged_in_customer_id", customer.as_str()),
        ("path_prefix", "/apps/example"),
        ("shop", shop.as_str()),
        ("timestamp", at.as_str()),
    ];
    let mut values: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, value) in parameters {
        values.entry(name).or_default().push(value);
    }
    for (name, value) in own {
        values.insert(name, vec![value]);
    }
    let text = values.iter().fold(String::new(), |text, (name, all)| {
        text + name + "=" + &all.join(",")
    });
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    let signature = hex::encode(hmac::sign(&key, text.as_bytes()));
    let mut query = url::form_urlencoded::Serializer::new(String::new());
    for (name, all) in &values {
        query.extend_pairs(all.iter().map(|value| (name, value)));
    }
    query.append_pair("signature", &signature).finish()
}
