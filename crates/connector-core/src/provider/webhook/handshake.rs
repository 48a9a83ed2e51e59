//! Handshakes: requests with which providers check an endpoint, and their responses.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderName, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderValue, Response};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::body::Body;
use super::read::answer;
use super::scheme::{Challenge, Echo, Handshake, SecretHandshake, WebhookScheme};
use super::signature::{single_header, unusable};
use super::verify::is_one_of;
use super::{Incoming, refused};
use crate::app::App;
use crate::error::Result;

/// Name of the app's extra value with the verify token.
///
/// Providers such as Meta send this token to check that the endpoint belongs to the application.
pub const VERIFY_TOKEN: &str = "webhook_verify_token";

/// Maximum length of a string to send back, in bytes.
const MAX_ECHO: usize = 4_096;
/// Maximum length of an accepted secret, in bytes.
const MAX_SECRET: usize = 1_024;

type Request = http::Request<Bytes>;

/// Answers an unsigned handshake. Returns `None` if the request is not a handshake.
pub(super) fn unsigned(
    scheme: &WebhookScheme,
    app: &App,
    secrets: &[SecretString],
    request: &Request,
) -> Result<Option<Incoming>> {
    for handshake in &scheme.handshakes {
        let incoming = match handshake {
            Handshake::Challenge(challenge) => {
                challenge_of(challenge, app, request)?.map(Incoming::Reply)
            }
            // A secret in use is never replaced, because the new secret would give its sender
            // control of the endpoint.
            Handshake::Secret(handshake) if secrets.is_empty() => {
                secret_of(handshake, scheme, request)?
            }
            _ => None,
        };
        if incoming.is_some() {
            return Ok(incoming);
        }
    }
    Ok(None)
}

/// Answers a signed handshake. Returns `None` if the delivery is not a handshake.
pub(super) fn signed(scheme: &WebhookScheme, body: &Body) -> Result<Option<Response<Bytes>>> {
    let top = body.top();
    for handshake in &scheme.handshakes {
        match handshake {
            Handshake::Echo(echo) if matches(&echo.when, top) => {
                return echo_of(echo, top).map(Some);
            }
            Handshake::Answer(fixed) if matches(&fixed.when, top) => {
                return answer(fixed.status, fixed.reply.as_ref()).map(Some);
            }
            // A repeated handshake, signed with the secret that it contains. The secret is already
            // stored.
            Handshake::Secret(SecretHandshake {
                pointer: Some(pointer),
                ..
            }) if is_only_member(top, pointer) => return answer(200, None).map(Some),
            _ => {}
        }
    }
    Ok(None)
}

fn matches(when: &BTreeMap<String, Value>, top: &Value) -> bool {
    when.iter()
        .all(|(pointer, value)| top.pointer(pointer) == Some(value))
}

/// Returns true if the body is an object whose only member is the string at the pointer.
fn is_only_member(top: &Value, pointer: &str) -> bool {
    top.as_object().is_some_and(|members| members.len() == 1)
        && top.pointer(pointer).is_some_and(Value::is_string)
}

fn echo_of(echo: &Echo, top: &Value) -> Result<Response<Bytes>> {
    let text = top.pointer(&echo.pointer).and_then(Value::as_str);
    let text = text
        .filter(|text| (1..=MAX_ECHO).contains(&text.len()))
        .ok_or_else(|| refused("the handshake has no text to send back"))?;
    match &echo.member {
        Some(member) => answer(200, Some(&json!({ member: text }))),
        None => Ok(plain(text)),
    }
}

/// Returns a plain text response that browsers do not interpret as HTML.
fn plain(text: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(text.as_bytes()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn challenge_of(
    challenge: &Challenge,
    app: &App,
    request: &Request,
) -> Result<Option<Response<Bytes>>> {
    if request.method().as_str() != challenge.method {
        return Ok(None);
    }
    let query = request.uri().query().unwrap_or_default();
    let get = |name: &str| {
        let mut found = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        match (found.next(), found.next()) {
            (_, Some(_)) => Err(refused("a parameter of the handshake occurs twice")),
            (found, None) => Ok(found.map(|(_, value)| value)),
        }
    };
    let Some(text) = get(&challenge.parameter)? else {
        return Ok(None);
    };
    for (name, value) in &challenge.when {
        if get(name)?.as_deref() != Some(value.as_str()) {
            return Ok(None);
        }
    }
    if let Some(parameter) = &challenge.token_parameter {
        let token = app
            .extra(VERIFY_TOKEN)
            .filter(|token| !token.expose_secret().is_empty())
            .ok_or_else(|| {
                unusable(
                    "the app registration has no verify token; set its extra value \
                     webhook_verify_token",
                )
            })?;
        let given = get(parameter)?.unwrap_or_default();
        if !is_one_of(std::slice::from_ref(token), &given) {
            return Err(refused(
                "the handshake's verify token does not match; compare it with the token set at the \
                 provider",
            ));
        }
    }
    if !(1..=MAX_ECHO).contains(&text.len()) {
        return Err(refused("the handshake has no text to send back"));
    }
    Ok(Some(plain(&text)))
}

fn secret_of(
    handshake: &SecretHandshake,
    scheme: &WebhookScheme,
    request: &Request,
) -> Result<Option<Incoming>> {
    if !scheme
        .methods
        .iter()
        .any(|known| known == request.method().as_str())
    {
        return Ok(None);
    }
    if let Some(header) = &handshake.header {
        let Some(text) = single_header(request.headers(), header)? else {
            return Ok(None);
        };
        if !(1..=MAX_SECRET).contains(&text.len()) {
            return Err(refused("the handshake's secret is empty or too long"));
        }
        let mut reply = answer(200, None)?;
        let name = HeaderName::from_bytes(header.as_bytes());
        let value = HeaderValue::from_str(text);
        if let (Ok(name), Ok(mut value)) = (name, value) {
            value.set_sensitive(true);
            reply.headers_mut().insert(name, value);
        }
        return Ok(Some(Incoming::Secret {
            secret: text.into(),
            reply,
        }));
    }
    let Some(pointer) = &handshake.pointer else {
        return Ok(None);
    };
    let Ok(top) = serde_json::from_slice::<Value>(request.body()) else {
        return Ok(None);
    };
    if !is_only_member(&top, pointer) {
        return Ok(None);
    }
    let text = top.pointer(pointer).and_then(Value::as_str);
    match text.filter(|text| (1..=MAX_SECRET).contains(&text.len())) {
        Some(text) => Ok(Some(Incoming::Secret {
            secret: text.into(),
            reply: answer(200, None)?,
        })),
        None => Err(refused("the handshake's secret is empty or too long")),
    }
}
