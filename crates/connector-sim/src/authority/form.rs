//! Positions of values in requests and responses, as configured in a description.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connector_core::provider::Description;
use connector_core::provider::description::{
    CallAuthentication, ClientAuthentication, Pointer, RefusalMeaning, RefusalRule, TokenFields,
};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use crate::message::{Request, Response};

/// Sets the value at a JSON pointer. Missing objects and lists are created.
pub(super) fn set_at(value: &mut Value, pointer: &str, new: Value) {
    let mut at = value;
    for part in pointer.split('/').skip(1) {
        let part = part.replace("~1", "/").replace("~0", "~");
        let index = part.parse::<usize>().ok().filter(|index| *index < 16);
        at = match (index, &*at) {
            (Some(_), Value::Null) => {
                *at = Value::Array(Vec::new());
                at
            }
            (Some(_), Value::Array(_)) | (_, Value::Object(_)) => at,
            _ => {
                *at = Value::Object(Map::new());
                at
            }
        };
        at = match (at, index) {
            (Value::Array(list), Some(index)) => {
                if list.len() <= index {
                    list.resize(index + 1, Value::Null);
                }
                &mut list[index]
            }
            (other, _) => &mut other[part.as_str()],
        };
    }
    *at = new;
}

/// Sets the value at the first pointer, if there is one.
pub(super) fn set_first(value: &mut Value, pointers: &[Pointer], new: impl Into<Value>) {
    if let Some(pointer) = pointers.first() {
        set_at(value, pointer.as_str(), new.into());
    }
}

/// Merges the members of `more` recursively into `value`.
pub(super) fn merge(value: &mut Value, more: &Value) {
    match (value, more) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, new) in more {
                merge(members.entry(name.as_str()).or_insert(Value::Null), new);
            }
        }
        (value, more) => *value = more.clone(),
    }
}

/// Returns the positions of values in the token response.
pub(super) fn token_fields(description: &Description) -> TokenFields {
    let endpoint = description.token.as_ref();
    endpoint.map_or_else(TokenFields::default, |it| it.response.clone())
}

/// Returns an error response with this meaning, in the format of the description's first matching
/// rule. If no rule matches, the format is that of RFC 6749 section 5.2.
pub(super) fn refusal(
    description: &Description,
    meanings: &[RefusalMeaning],
    rfc: (u16, &str),
    text: &str,
) -> Response {
    let rule = meanings.iter().find_map(|meaning| {
        let mut rules = description.refusals.iter();
        rules.find(|rule| rule.means == *meaning)
    });
    let (status, code) = match rule {
        None => (rfc.0, Some(rfc.1.to_owned())),
        Some(RefusalRule { status, code, .. }) => (status.unwrap_or(rfc.0), code.clone()),
    };
    let text = rule
        .and_then(|it| it.description.as_deref())
        .unwrap_or(text);
    let fields = token_fields(description);
    let mut body = json!({});
    if let Some(code) = code {
        set_first(&mut body, &fields.error, code);
        set_first(&mut body, &fields.error_description, text);
    }
    Response::json(status, &body)
}

pub(super) fn dead_grant(description: &Description, text: &str) -> Response {
    let rfc = (400, "invalid_grant");
    refusal(description, &[RefusalMeaning::DeadGrant], rfc, text)
}

pub(super) fn wrong_client(description: &Description) -> Response {
    let meanings = [RefusalMeaning::AppFaultCertain, RefusalMeaning::AppFault];
    let rfc = (401, "invalid_client");
    refusal(description, &meanings, rfc, "client authentication failed")
}

pub(super) fn wrong_request(description: &Description, code: &str, text: &str) -> Response {
    refusal(description, &[], (400, code), text)
}

/// Returns the credential in an API request, at the position that `authentication` defines.
pub(super) fn presented(authentication: &CallAuthentication, request: &Request) -> Option<String> {
    match authentication {
        CallAuthentication::Header(name) => Some(request.header(name).to_owned()),
        CallAuthentication::Prefixed { header, prefix } => {
            let value = request.header(header);
            value.strip_prefix(prefix.as_str()).map(str::to_owned)
        }
        CallAuthentication::Basic => {
            let pair = basic(request)?;
            Some(pair.strip_suffix(':').unwrap_or(&pair).to_owned())
        }
        _ => {
            let value = request.header("authorization");
            let (scheme, token) = value.split_once(' ')?;
            scheme
                .eq_ignore_ascii_case("bearer")
                .then(|| token.to_owned())
        }
    }
}

/// Returns the user and the password of HTTP Basic, separated by a colon.
fn basic(request: &Request) -> Option<String> {
    let (scheme, value) = request.header("authorization").split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    String::from_utf8(BASE64_STANDARD.decode(value).ok()?).ok()
}

/// Returns the client id, if the method sends it, and the secret in a token request. Returns `None`
/// if the request does not authenticate as the description requires.
pub(super) fn client_credentials<'f>(
    authentication: ClientAuthentication,
    request: &Request,
    field: impl Fn(&str) -> Option<&'f str>,
    client_id: &str,
) -> Option<(Option<String>, Option<String>)> {
    let decoded = |text: &str| -> Option<String> {
        let pair = form_urlencoded::parse(text.as_bytes()).next()?;
        Some(pair.0.into_owned())
    };
    let in_body = field("client_secret");
    let has_header = !request.header("authorization").is_empty();
    match authentication {
        ClientAuthentication::Basic => {
            let pair = basic(request)?;
            let (id, secret) = pair.split_once(':')?;
            let credentials = (decoded(id), decoded(secret));
            in_body.is_none().then_some(credentials)
        }
        ClientAuthentication::SecretAsUser => {
            let pair = basic(request)?;
            let secret = pair.strip_suffix(':')?.to_owned();
            in_body.is_none().then_some((None, Some(secret)))
        }
        ClientAuthentication::None => {
            let id = field(client_id)?.to_owned();
            (in_body.is_none() && !has_header).then_some((Some(id), None))
        }
        _ => {
            let (id, secret) = (field(client_id)?.to_owned(), in_body?.to_owned());
            (!has_header).then_some((Some(id), Some(secret)))
        }
    }
}
