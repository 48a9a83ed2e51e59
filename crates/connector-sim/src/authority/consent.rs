//! The authorization endpoint (RFC 6749 section 4.1.1) and its consent page.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use connector_core::provider::description::Pkce;
use http::Method;
use url::{Url, form_urlencoded};

use super::grants::Code;
use super::{Account, World};
use crate::fault::Consent;
use crate::message::{Request, Response};

/// A valid authorization request, ready to be shown to the account's owner.
struct Asked {
    client: usize,
    account: Account,
    scopes: Vec<String>,
    challenge: Option<String>,
    nonce: Option<String>,
    state: Option<String>,
}

/// Response to an invalid request: an error page with this message, or a redirect with an error.
enum Wrong {
    Page(&'static str),
    Redirect(Url),
}

/// Opens `url` like the browser of the account's owner.
pub(super) fn visit(world: &World, url: &Url, consent: &Consent) -> Result<Url, &'static str> {
    let url = &match world.provider.authorization(url) {
        Some(read) => read?,
        None => url.clone(),
    };
    let endpoint = world.description.authorization.as_ref();
    let asked_at = Request::new(
        Method::GET,
        url.clone(),
        http::HeaderMap::new(),
        bytes::Bytes::new(),
    );
    if !world.is_at(endpoint.map(|it| &it.endpoint), &asked_at) {
        return Err("there is no such page");
    }
    match read(world, url) {
        Ok(asked) => Ok(decided(world, asked, consent)),
        Err(Wrong::Redirect(url)) => Ok(url),
        Err(Wrong::Page(message)) => Err(message),
    }
}

/// Returns the response to a browser's request.
pub(super) fn respond(world: &World, request: &Request) -> Response {
    let asked = match read(world, request.url()) {
        Ok(asked) => asked,
        Err(Wrong::Redirect(url)) => return Response::redirect(&url),
        Err(Wrong::Page(message)) => return error_page(message),
    };
    if *request.method() == Method::POST {
        let pairs: Vec<(String, String)> = form_urlencoded::parse(request.body())
            .into_owned()
            .collect();
        let is_approved = pairs.contains(&("decision".to_owned(), "approve".to_owned()));
        let chosen = pairs.into_iter().filter(|(name, _)| name == "scope");
        let scopes: Vec<String> = chosen.map(|(_, scope)| scope).collect();
        let consent = if is_approved {
            Consent::GrantOnly(scopes)
        } else {
            Consent::Deny
        };
        return Response::redirect(&decided(world, asked, &consent));
    }
    let decision = world.state().decisions.pop_front();
    match decision {
        None if world.rules.asks => Response::page(200, page(world, &asked)),
        decision => {
            let consent = decision.unwrap_or(Consent::Grant);
            Response::redirect(&decided(world, asked, &consent))
        }
    }
}

/// The provider's error page.
pub(super) fn error_page(message: &str) -> Response {
    Response::page(400, format!("<h1>Error</h1><p>{message}</p>"))
}

fn read(world: &World, url: &Url) -> Result<Asked, Wrong> {
    let description = &world.description;
    let Some(endpoint) = &description.authorization else {
        return Err(Wrong::Page("there is no such page"));
    };
    let asked: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
    let get = |name: &str| asked.get(name).map_or("", String::as_str);
    let client_id = description
        .token
        .as_ref()
        .map_or("client_id", |it| &it.client_id_parameter);
    let state = world.state();
    let client = state.clients.iter().position(|it| it.id == get(client_id));
    let client = client.ok_or(Wrong::Page("the client is unknown"))?;
    let redirect_uri = &world.rules.redirect_uri;
    if get("redirect_uri") != redirect_uri.as_str() {
        return Err(Wrong::Page("the redirect URI is not registered"));
    }
    let mut accounts = state.accounts.iter();
    let account = if endpoint.endpoint.wants_account() {
        accounts.find(|it| it.host.as_deref() == url.host_str())
    } else {
        match &state.signed_in {
            Some(key) => accounts.find(|it| it.key == *key),
            None => accounts.next(),
        }
    };
    let account = account
        .cloned()
        .ok_or(Wrong::Page("there is no such account"))?;
    let wrong = |code: &str, text: &str| {
        let mut target = redirect_uri.url().clone();
        target
            .query_pairs_mut()
            .append_pair("error", code)
            .append_pair("error_description", text)
            .append_pair("state", get("state"));
        Err(Wrong::Redirect(target))
    };
    if get("response_type") != "code" {
        return wrong("unsupported_response_type", "response_type must be code");
    }
    let challenge = asked.get("code_challenge").cloned();
    let fits = match endpoint.pkce {
        Pkce::Refused => challenge.is_none(),
        Pkce::S256Hex => challenge.as_ref().is_some_and(|it| it.len() == 64),
        _ => {
            challenge.as_ref().is_some_and(|it| it.len() == 43)
                && get("code_challenge_method") == "S256"
        }
    };
    if !fits {
        return wrong(
            "invalid_request",
            "the code challenge is missing or invalid",
        );
    }
    let may_differ =
        |name: &String| endpoint.flow_parameters.contains(name) && !get(name).is_empty();
    let mut fixed = endpoint.parameters.iter();
    if fixed.any(|(name, value)| get(name) != value && !may_differ(name)) {
        return wrong("invalid_request", "a parameter is missing");
    }
    if endpoint.nonce && get("nonce").is_empty() {
        return wrong("invalid_request", "nonce is missing");
    }
    let separator = description.scopes.separator;
    let scopes = get("scope").split(separator).filter(|it| !it.is_empty());
    Ok(Asked {
        client,
        account,
        scopes: scopes.map(str::to_owned).collect(),
        challenge,
        nonce: asked.get("nonce").cloned(),
        state: asked.get("state").cloned(),
    })
}

/// Returns the callback URL after the owner's decision.
fn decided(world: &World, asked: Asked, consent: &Consent) -> Url {
    let endpoint = world.description.authorization.as_ref();
    let mut query: Vec<(String, String)> = Vec::new();
    let mut state = world.state();
    let client = &state.clients[asked.client];
    let (client_id, client_secret) = (client.id.clone(), client.secrets.first().cloned());
    let scopes = match consent {
        Consent::Grant => Some(asked.scopes),
        Consent::GrantOnly(scopes) => Some(scopes.clone()),
        Consent::Deny => None,
    };
    match scopes {
        Some(scopes) => {
            let code = world.secrets.issue("code-");
            let kept = Code {
                client_id,
                account: asked.account.clone(),
                scopes,
                challenge: asked.challenge,
                nonce: asked.nonce,
                issued: world.now(),
                grant: None,
            };
            state.grants.codes.insert(code.clone(), kept);
            let parameter = endpoint.map_or("code", |it| &it.code_parameter);
            query.push((parameter.to_owned(), code));
        }
        None => query.push(("error".to_owned(), "access_denied".to_owned())),
    }
    drop(state);
    if let Some(value) = asked.state {
        query.push(("state".to_owned(), value));
    }
    if let Some(issuer) = endpoint.and_then(|it| it.issuer.as_ref()) {
        query.push(("iss".to_owned(), issuer.clone()));
    }
    let secret = client_secret.unwrap_or_default();
    world.provider.callback(&asked.account, &secret, &mut query);
    let mut target = world.rules.redirect_uri.url().clone();
    target.query_pairs_mut().extend_pairs(query);
    target
}

/// Returns the consent page: the account, the scopes as check boxes, and two buttons.
fn page(world: &World, asked: &Asked) -> String {
    let mut boxes = String::new();
    for scope in &asked.scopes {
        let scope = escaped(scope);
        // Writing to a `String` cannot fail.
        let _ = write!(
            boxes,
            "<p><label><input type=checkbox name=scope value=\"{scope}\" checked> \
             {scope}</label></p>"
        );
    }
    format!(
        "<!doctype html><title>Simulated consent</title><h1>Simulated {}</h1><p>Account: \
         {}</p><form method=post>{boxes}<button name=decision value=approve>Approve</button> \
         <button name=decision value=deny>Deny</button></form>",
        escaped(&world.description.name),
        escaped(&asked.account.label)
    )
}

fn escaped(text: &str) -> String {
    text.chars().fold(String::new(), |mut escaped, c| {
        match c {
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '&' => escaped.push_str("&amp;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
        escaped
    })
}
