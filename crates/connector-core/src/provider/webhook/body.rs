//! Parses the body of a delivery in one of the accepted formats.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use url::form_urlencoded;

use super::refused;
use super::scheme::{BodyForm, WebhookFact, WebhookScheme};
use super::signature::is_word;
use crate::error::{Error, Result};

/// Maximum number of events in one delivery.
const MAX_ITEMS: usize = 1_000;

/// A body in one of the accepted formats.
pub(super) struct Body {
    /// The whole parsed body. Null if the scheme reads no member.
    top: Value,
    items: Vec<Part>,
}

/// The bytes and the parsed value of an event. If there is no value, the value of the whole body is
/// used.
type Part = (Bytes, Option<Value>);

/// One event of a body.
pub(super) struct Item<'b> {
    top: &'b Value,
    own: &'b Value,
    /// The bytes of the event.
    pub(super) raw: &'b Bytes,
}

impl Item<'_> {
    /// Returns the string, number or boolean at a pointer into the item.
    pub(super) fn text(&self, pointer: &str) -> Option<String> {
        text_of(self.own.pointer(pointer)?)
    }

    /// Returns the string, number or boolean at a pointer into the whole body.
    pub(super) fn envelope_text(&self, pointer: &str) -> Option<String> {
        text_of(self.top.pointer(pointer)?)
    }
}

fn text_of(value: &Value) -> Option<String> {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        _ => return None,
    };
    is_word(&text).then_some(text)
}

impl Body {
    /// Parses a body with the first accepted format that matches.
    ///
    /// # Errors
    /// [`WebhookRefused`](crate::ErrorKind::WebhookRefused) if no accepted format matches, or if
    /// the body contains too many events.
    pub(super) fn read(scheme: &WebhookScheme, body: &Bytes) -> Result<Self> {
        let wants_members = wants_members(scheme);
        for form in &scheme.body {
            if let Some(top) = parse(form, body, wants_members) {
                let items = match &scheme.items {
                    Some(pointer) => items_at(pointer, body)?,
                    None => None,
                };
                let items = items.unwrap_or_else(|| vec![(body.clone(), None)]);
                return Ok(Self { top, items });
            }
        }
        Err(refused(
            "the body has none of the provider's formats; check the content type configured at the \
             provider",
        ))
    }

    /// Returns the whole parsed body.
    pub(super) const fn top(&self) -> &Value {
        &self.top
    }

    /// Returns the events of the body.
    pub(super) fn items(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        self.items.iter().map(|(raw, own)| Item {
            top: &self.top,
            own: own.as_ref().unwrap_or(&self.top),
            raw,
        })
    }
}

/// Returns true if the scheme reads any member of the body.
fn wants_members(scheme: &WebhookScheme) -> bool {
    let facts = scheme.facts();
    scheme.items.is_some()
        || !scheme.handshakes.is_empty()
        || facts.iter().any(|(_, facts)| facts.iter().any(reads_body))
        || scheme.signatures.iter().any(|it| it.pointer.is_some())
}

fn reads_body(fact: &WebhookFact) -> bool {
    match fact {
        WebhookFact::Header(_) => false,
        WebhookFact::Pointer(_) | WebhookFact::Envelope(_) => true,
        WebhookFact::Joined(facts) | WebhookFact::Key(facts) => facts.iter().any(reads_body),
    }
}

/// Parses the body. Returns null if the scheme reads no member, and `None` if the format does not
/// match.
fn parse(form: &BodyForm, body: &Bytes, wants_members: bool) -> Option<Value> {
    match form {
        BodyForm::Bytes => (!body.is_empty()).then_some(Value::Null),
        BodyForm::Empty => body.is_empty().then_some(Value::Null),
        BodyForm::JsonObject => {
            if body.first() != Some(&b'{') {
                return None;
            }
            json(body, wants_members)
        }
        BodyForm::Json => {
            let first = body.iter().find(|byte| !byte.is_ascii_whitespace())?;
            if !matches!(first, b'{' | b'[') {
                return None;
            }
            json(body, wants_members)
        }
        BodyForm::Form => form_fields(body).map(Value::Object),
        BodyForm::FormJson(name) => {
            let fields = form_fields(body)?;
            let text = fields.get(name)?.as_str()?;
            let value: Value = serde_json::from_str(text).ok()?;
            value.is_object().then_some(value)
        }
    }
}

fn json(body: &[u8], wants_members: bool) -> Option<Value> {
    // Strings that the parser skips are not checked for valid UTF-8, so check the whole body first.
    let text = std::str::from_utf8(body).ok()?;
    if wants_members {
        serde_json::from_str(text).ok()
    } else {
        let _: IgnoredAny = serde_json::from_str(text).ok()?;
        Some(Value::Null)
    }
}

/// Parses the fields of a form. A field that occurs twice becomes null, because parsers use
/// different values of such a field.
fn form_fields(body: &[u8]) -> Option<Map<String, Value>> {
    let text = std::str::from_utf8(body).ok()?;
    if !text.contains('=') || text.starts_with(['{', '[']) {
        return None;
    }
    let mut fields = Map::new();
    for (name, value) in form_urlencoded::parse(text.as_bytes()) {
        let known = fields.contains_key(&*name);
        let value = if known {
            Value::Null
        } else {
            Value::String(value.into_owned())
        };
        fields.insert(name.into_owned(), value);
    }
    Some(fields)
}

/// Returns the events of a delivery, each with its bytes. Returns `None` if there is no array at
/// the pointer.
fn items_at(pointer: &str, body: &Bytes) -> Result<Option<Vec<Part>>> {
    let Ok(text) = std::str::from_utf8(body) else {
        return Ok(None);
    };
    let raw: Option<Vec<&RawValue>> = match pointer.strip_prefix('/') {
        None => serde_json::from_str(text).ok(),
        Some(member) => {
            let member = member.replace("~1", "/").replace("~0", "~");
            let members: Option<BTreeMap<String, &RawValue>> = serde_json::from_str(text).ok();
            members
                .as_ref()
                .and_then(|members| members.get(&member))
                .and_then(|raw| serde_json::from_str(raw.get()).ok())
        }
    };
    let Some(raw) = raw else {
        return Ok(None);
    };
    if raw.len() > MAX_ITEMS {
        return Err(refused("the delivery contains more than 1,000 events"));
    }
    let item = |raw: &&RawValue| {
        let value = serde_json::from_str(raw.get()).map_err(|_| unreadable())?;
        Ok((body.slice_ref(raw.get().as_bytes()), Some(value)))
    };
    raw.iter().map(item).collect::<Result<_>>().map(Some)
}

fn unreadable() -> Error {
    refused("an event of the delivery is not JSON")
}
