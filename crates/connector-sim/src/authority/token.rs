//! The token endpoint (RFC 6749 section 3.2) and the revocation endpoint (RFC 7009).

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use connector_core::provider::description::{
    BodyEncoding, Pkce, RevocationReach, RevokedToken, TokenMethod,
};
use http::Method;
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};

use super::form::{
    client_credentials, dead_grant, set_at, set_first, token_fields, wrong_client, wrong_request,
};
use super::grants::Pair;
use super::{Account, Grant, World, identity};
use crate::message::{Request, Response};

type Fields = BTreeMap<String, String>;

/// The grant type of an assertion (RFC 7523 section 2.1).
const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The grant type of a token exchange (RFC 8693 section 2.1).
const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// Returns the response to a token request.
pub(super) fn respond(world: &World, request: &Request) -> Response {
    let description = &world.description;
    let Some(endpoint) = &description.token else {
        return Response::json(404, &json!({}));
    };
    if let Some(response) = asserted(world, request) {
        return response;
    }
    let (fields, client_id) = match read(world, request, endpoint.method, endpoint.encoding) {
        Ok(read) => read,
        Err(response) => return response,
    };
    let get = |name: &str| fields.get(name).map_or("", String::as_str);
    let omits = |name: &str| endpoint.omitted_parameters.iter().any(|it| it == name);
    let kind = match get("grant_type") {
        "" if omits("grant_type") && !get("code").is_empty() => "authorization_code",
        kind => kind,
    };
    let wrong = |text| wrong_request(description, "invalid_request", text);
    if let Some(response) = granted(world, request, &client_id) {
        return response;
    }
    match kind {
        "authorization_code" => {
            let mut names = endpoint.omitted_parameters.iter();
            if names.any(|name| fields.contains_key(name)) {
                return wrong("a parameter is not supported");
            }
            let expires = has_all(&fields, &endpoint.exchange_parameters);
            if !expires && world.rules.migration.is_none() {
                return wrong("a parameter is missing");
            }
            let redirect_uri = world.rules.redirect_uri.as_str();
            if !omits("redirect_uri") && get("redirect_uri") != redirect_uri {
                return dead_grant(
                    description,
                    "the redirect URI differs from the one in the authorization request",
                );
            }
            exchange(world, request, &fields, &client_id, expires)
        }
        "refresh_token" => {
            if !has_all(&fields, &endpoint.refresh_parameters) {
                return wrong("a parameter is missing");
            }
            let mut state = world.state();
            let token = get("refresh_token");
            let known = state.grants.of_token(token);
            if known.is_some_and(|it| is_foreign(world, request, it)) {
                return dead_grant(description, "the token belongs to another account");
            }
            let refreshed = state.grants.refresh(world, &client_id, token);
            drop(state);
            match refreshed {
                Ok((grant, pair)) => issued(world, &grant, pair, None),
                Err(text) => dead_grant(description, text),
            }
        }
        TOKEN_EXCHANGE if world.rules.migration.is_some() => {
            let token_type = world.rules.migration.map_or("", |it| it.0);
            let types = [get("subject_token_type"), get("requested_token_type")];
            if types != [token_type; 2] || !has_all(&fields, &endpoint.exchange_parameters) {
                return wrong("a parameter is missing");
            }
            let mut state = world.state();
            let token = get("subject_token");
            let known = state.grants.of_token(token);
            if known.is_some_and(|it| is_foreign(world, request, it)) {
                return dead_grant(description, "the token belongs to another account");
            }
            let migrated = state.grants.migrate(world, &client_id, token);
            drop(state);
            match migrated {
                Ok((grant, pair)) => issued(world, &grant, pair, None),
                Err(text) => dead_grant(description, text),
            }
        }
        "client_credentials" => {
            let separator = description.scopes.separator;
            let scopes = get("scope").split(separator).filter(|it| !it.is_empty());
            let scopes = scopes.map(str::to_owned).collect();
            match begin(world, &Account::new(""), client_id, scopes) {
                Some((grant, pair)) => issued(world, &grant, pair, None),
                None => dead_grant(description, "the grant ended"),
            }
        }
        _ => wrong_request(
            description,
            "unsupported_grant_type",
            "the grant type is not supported",
        ),
    }
}

/// Returns the response to a request whose grant follows the provider's own rules.
fn granted(world: &World, request: &Request, client_id: &str) -> Option<Response> {
    let app = world.app(&world.client_named(client_id)?);
    let new = match world.provider.grant(request, &app)? {
        Ok(new) => new,
        Err(text) => return Some(dead_grant(&world.description, text)),
    };
    let mut state = world.state();
    let client_id = client_id.to_owned();
    let number = state
        .grants
        .begin(world, &new.account, client_id, new.scopes, new.expires);
    state.grants.set_lifetime(number, new.lifetime);
    let pair = state.grants.issue(world, number, None, new.is_refreshable);
    let grant = state.grants.get(number).cloned()?;
    drop(state);
    Some(issued(world, &grant, pair, None))
}

/// Returns the response to a request with an assertion. Such a request contains no client id.
fn asserted(world: &World, request: &Request) -> Option<Response> {
    let description = &world.description;
    let fields = request.fields();
    if fields.get("grant_type").map(String::as_str) != Some(JWT_BEARER) {
        return None;
    }
    let assertion = fields.get("assertion").map_or("", String::as_str);
    let (account, scopes) = match world.provider.assertion(assertion)? {
        Ok(asserted) => asserted,
        Err(text) => return Some(dead_grant(description, text)),
    };
    let (grant, pair) = begin(world, &account, String::new(), scopes)?;
    let body = issued_body(world, &grant, pair);
    Some(token_response(world, &grant, body))
}

/// Begins a grant that needs no consent, and issues an access token without a refresh token.
fn begin(
    world: &World,
    account: &Account,
    client_id: String,
    scopes: Vec<String>,
) -> Option<(Grant, Pair)> {
    let mut state = world.state();
    let number = state.grants.begin(world, account, client_id, scopes, true);
    let pair = state.grants.issue(world, number, None, false);
    let grant = state.grants.get(number).cloned()?;
    Some((grant, pair))
}

/// Returns the response to a revocation request. Revoking an unknown token is not an error (RFC
/// 7009 section 2.2).
pub(super) fn revoke(world: &World, request: &Request) -> Response {
    let description = &world.description;
    let Some(endpoint) = &description.revocation else {
        return Response::json(404, &json!({}));
    };
    let (fields, client_id) = match read(world, request, TokenMethod::Post, endpoint.encoding) {
        Ok(read) => read,
        Err(response) => return response,
    };
    let Some(token) = fields.get("token") else {
        return wrong_request(description, "invalid_request", "token is missing");
    };
    if endpoint.token == RevokedToken::AccessToken && fields.contains_key("token_type_hint") {
        return wrong_request(
            description,
            "invalid_request",
            "a parameter is not supported",
        );
    }
    let mut state = world.state();
    // If only access tokens are accepted, any other token counts as unknown.
    let known = state.grants.of_token(token).cloned();
    let known = known
        .filter(|_| endpoint.token != RevokedToken::AccessToken || state.grants.is_access(token));
    if let Some(grant) = known {
        if grant.client_id != client_id {
            return wrong_request(
                description,
                "invalid_request",
                "the token belongs to another client",
            );
        }
        match endpoint.reach {
            RevocationReach::Token => state.grants.end_token(token),
            RevocationReach::Grant => state.grants.end_where(|it| it.number == grant.number),
            _ => state
                .grants
                .end_where(|it| (&it.account, &it.client_id) == (&grant.account, &grant.client_id)),
        }
    }
    Response::json(200, &json!({}))
}

/// Returns the response to an introspection request (RFC 7662 section 2.2). A token of another
/// client is reported as inactive.
pub(super) fn introspect(world: &World, request: &Request) -> Response {
    let description = &world.description;
    let encoding = description.token.as_ref().map(|it| it.encoding);
    let read = read(
        world,
        request,
        TokenMethod::Post,
        encoding.unwrap_or_default(),
    );
    let (fields, client_id) = match read {
        Ok(read) => read,
        Err(response) => return response,
    };
    let Some(token) = fields.get("token") else {
        return wrong_request(description, "invalid_request", "token is missing");
    };
    let grant = world.state().grants.active(token, world.now());
    let Some(grant) = grant.filter(|it| it.client_id == client_id) else {
        return Response::json(200, &json!({ "active": false }));
    };
    let mut body = json!({ "active": true });
    if !grant.scopes.is_empty() {
        body["scope"] = grant.scopes.join(" ").into();
    }
    Response::json(200, &body)
}

/// Returns the fields of a request, parsed in the description's format, and the authenticated
/// client.
fn read(
    world: &World,
    request: &Request,
    method: TokenMethod,
    encoding: BodyEncoding,
) -> Result<(Fields, String), Response> {
    let description = &world.description;
    let wrong = |text| Err(wrong_request(description, "invalid_request", text));
    let fields: Fields = match method {
        TokenMethod::Get if *request.method() == Method::GET => {
            request.url().query_pairs().into_owned().collect()
        }
        TokenMethod::Post if *request.method() == Method::POST => {
            let is_described = request.is_json() == (encoding == BodyEncoding::Json);
            if !is_described && !world.rules.accepts_any_encoding {
                return wrong("the body has the wrong encoding");
            }
            request.fields()
        }
        _ => return wrong("the method is wrong"),
    };
    let mut headers = description.headers.iter();
    if headers.any(|(name, value)| request.header(name) != value) {
        return wrong("a header is missing");
    }
    let parameter = description
        .token
        .as_ref()
        .map_or("client_id", |it| &it.client_id_parameter);
    let authentication = world.client_authentication();
    let field = |name: &str| fields.get(name).map(String::as_str);
    let Some((id, secret)) = client_credentials(authentication, request, field, parameter) else {
        return Err(wrong_client(description));
    };
    let state = world.state();
    let client = state.clients.iter().find(|client| {
        let proven = secret.as_ref().is_none_or(|it| client.secrets.contains(it));
        let has_secret = secret.is_none() == client.secrets.is_empty();
        proven && has_secret && id.as_ref().is_none_or(|id| client.id == *id)
    });
    match client {
        Some(client) => Ok((fields, client.id.clone())),
        None => Err(wrong_client(description)),
    }
}

fn has_all(fields: &Fields, wanted: &BTreeMap<String, String>) -> bool {
    let mut wanted = wanted.iter();
    wanted.all(|(name, value)| fields.get(name) == Some(value))
}

/// Returns true if the request was sent to the host of another account.
fn is_foreign(world: &World, request: &Request, grant: &Grant) -> bool {
    let endpoint = world.description.token.as_ref();
    endpoint.is_some_and(|it| it.endpoint.wants_account())
        && grant.host.as_deref() != Some(request.host())
}

fn exchange(
    world: &World,
    request: &Request,
    fields: &Fields,
    client_id: &str,
    expires: bool,
) -> Response {
    let description = &world.description;
    let get = |name: &str| fields.get(name).map_or("", String::as_str);
    let wrong = |text| dead_grant(description, text);
    let pkce = description.authorization.as_ref().map(|it| it.pkce);
    if pkce.is_none_or(|it| it == Pkce::Refused) && fields.contains_key("code_verifier") {
        return wrong_request(
            description,
            "invalid_request",
            "code_verifier is not supported",
        );
    }
    let mut state = world.state();
    let grants = &mut state.grants;
    let Some(code) = grants.codes.get(get("code")) else {
        return wrong("the code is unknown");
    };
    if let Some(grant) = code.grant {
        // RFC 6749 section 4.1.2: the grant of a reused code ends.
        grants.reused_codes += 1;
        grants.end_where(|it| it.number == grant);
        return wrong("the code was used before");
    }
    if code.client_id != client_id {
        return wrong("the code was issued to another client");
    }
    let challenge = proved(pkce, get("code_verifier"));
    let is_proved = code.challenge.as_ref().is_none_or(|it| *it == challenge);
    let is_late = world.now().since(code.issued) >= world.rules.code_lifetime;
    let (account, scopes) = (code.account.clone(), code.scopes.clone());
    let nonce = code.nonce.clone();
    let has_host = description
        .token
        .as_ref()
        .is_some_and(|it| it.endpoint.wants_account());
    if has_host && account.host.as_deref() != Some(request.host()) {
        return wrong("the code belongs to another account");
    }
    if is_late || !is_proved {
        grants.codes.remove(get("code"));
        return wrong("the code has expired, or the code verifier does not match");
    }
    let number = grants.begin(world, &account, client_id.to_owned(), scopes, expires);
    if let Some(code) = grants.codes.get_mut(get("code")) {
        code.grant = Some(number);
    }
    let pair = grants.issue(world, number, None, true);
    let grant = grants.get(number).cloned();
    drop(state);
    match grant {
        Some(grant) => issued(world, &grant, pair, nonce.as_deref()),
        None => wrong("the grant ended"),
    }
}

/// Returns the code challenge of a verifier.
fn proved(pkce: Option<Pkce>, verifier: &str) -> String {
    let digest = digest(&SHA256, verifier.as_bytes());
    match pkce {
        Some(Pkce::S256Hex) => hex::encode(digest),
        _ => BASE64_URL_SAFE_NO_PAD.encode(digest.as_ref()),
    }
}

/// Returns a token response (RFC 6749 section 5.1), with its values at the positions from the
/// description.
fn issued(world: &World, grant: &Grant, pair: Pair, nonce: Option<&str>) -> Response {
    let mut body = issued_body(world, grant, pair);
    identity::add_to_response(world, grant, nonce, &mut body);
    for pointer in token_fields(&world.description).keep.values() {
        if pointer.find(&body).is_none_or(Value::is_null) {
            let secret = world.secrets.issue("kept-");
            set_at(&mut body, pointer.as_str(), secret.into());
        }
    }
    token_response(world, grant, body)
}

/// Returns a response with the body, which the provider's own rules may change.
fn token_response(world: &World, grant: &Grant, mut body: Value) -> Response {
    world.provider.token_response(grant, &mut body);
    Response::json(200, &body).with_header("cache-control", "no-store")
}

/// The tokens of a response, with their lifetimes and scopes.
fn issued_body(world: &World, grant: &Grant, pair: Pair) -> Value {
    let description = &world.description;
    let (fields, rules) = (token_fields(description), &world.rules);
    let mut body = rules.token_fields.clone();
    set_at(&mut body, "/token_type", "bearer".into());
    set_first(&mut body, &fields.access_token, pair.access);
    let is_stated = rules.states_lifetime && grant.expires;
    let lifetime = grant.lifetime.or(rules.access_lifetime);
    if let Some(lifetime) = lifetime.filter(|_| is_stated) {
        set_first(&mut body, &fields.expires_in, lifetime.as_secs());
    }
    if let Some(refresh) = pair.refresh {
        set_first(&mut body, &fields.refresh_token, refresh);
        if let Some(lifetime) = rules.refresh_lifetime {
            set_first(&mut body, &fields.refresh_expires_in, lifetime.as_secs());
        }
    }
    if !grant.scopes.is_empty() {
        let separator = description.scopes.separator.to_string();
        set_first(&mut body, &fields.scope, grant.scopes.join(&separator));
    }
    body
}
