//! Reads the events of a delivery with the provider's scheme.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, Response, StatusCode};
use serde_json::Value;

use super::body::{Body, Item};
use super::scheme::{
    RequiredFact, SignedPart, TimeForm, WebhookFact, WebhookScheme, WebhookSecret, WebhookSignature,
};
use super::signature::{is_word, single_header};
use super::verify::{self, whole_number};
use super::{AccountHint, Event, Incoming, SignedField, WebhookEndpoint, handshake, refused};
use crate::account::AccountKey;
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::Context;
use crate::provider::description::Description;

/// Maximum length of a header value in an event's fields, in bytes. Longer values are omitted.
const MAX_FIELD: usize = 2_048;

/// Verifies a delivery with the description's scheme and parses it.
///
/// The function verifies the signature of the raw body before parsing the body. The only exception
/// is a scheme whose token is inside the body.
///
/// # Errors
/// * [`ErrorKind::Unsupported`] if the description has no scheme.
/// * [`ErrorKind::Configuration`] if there is no secret, if a secret has the wrong format, or if
///   the endpoint's URL is signed but not known.
/// * [`ErrorKind::WebhookRefused`] if the method, the format of the body, the signature or the
///   timestamp is not accepted, if a header occurs twice, if a required fact is missing, or if the
///   delivery names two different accounts.
pub fn verify(
    description: &Description,
    cx: &Context<'_>,
    endpoint: &WebhookEndpoint<'_>,
    request: &http::Request<Bytes>,
) -> Result<Incoming> {
    let accept = |host: &str| match &description.account_host {
        Some(rule) => rule.accept(host).ok(),
        None => None,
    };
    verify_with(description, &accept, cx, endpoint, request)
}

/// Verifies a delivery like [`verify`], with the connector's own rule for account hosts.
///
/// `accept_host` returns the normalized host, or `None` if the text is not an account host of this
/// provider.
///
/// # Errors
/// See [`verify`].
pub fn verify_with(
    description: &Description,
    accept_host: &dyn Fn(&str) -> Option<String>,
    cx: &Context<'_>,
    endpoint: &WebhookEndpoint<'_>,
    request: &http::Request<Bytes>,
) -> Result<Incoming> {
    let scheme = scheme_of(description)?;
    let secrets = verify::secrets(scheme, cx, endpoint);
    if !scheme.handshakes.is_empty()
        && let Some(reply) = handshake::unsigned(scheme, cx.app, secrets, request)?
    {
        return Ok(reply);
    }
    let method = request.method().as_str();
    if !scheme.methods.iter().any(|known| known == method) {
        return Err(refused(
            "the delivery has an HTTP method that the scheme does not accept",
        ));
    }
    let rule = verify::check(scheme, secrets, cx.clock.now(), endpoint, request)?;
    let body = Body::read(scheme, request.body())?;
    if !scheme.handshakes.is_empty()
        && let Some(reply) = handshake::signed(scheme, &body)?
    {
        return Ok(Incoming::Reply(reply));
    }
    let reader = Reader {
        description,
        scheme,
        rule: Some(rule),
        accept_host,
        headers: request.headers(),
    };
    Ok(Incoming::Accept {
        events: reader.events(endpoint.app, &body)?,
        reply: acknowledgement(scheme)?,
    })
}

/// Reads the events of a message that was authenticated in another way, for example by the
/// application's own queue.
///
/// The headers are the attributes of the message. All fields of the message are treated as signed.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the description has no scheme. [`ErrorKind::WebhookRefused`] if
/// the body does not have the format of the scheme, lacks a required fact, or contains two
/// different accounts.
pub fn read_proved(
    description: &Description,
    accept_host: &dyn Fn(&str) -> Option<String>,
    app: &AppKey,
    message: &http::Request<Bytes>,
) -> Result<Vec<Event>> {
    let scheme = scheme_of(description)?;
    let body = Body::read(scheme, message.body())?;
    let reader = Reader {
        description,
        scheme,
        rule: None,
        accept_host,
        headers: message.headers(),
    };
    reader.events(app, &body)
}

/// Returns the id of the subscription (channel, hook) that a delivery claims to belong to.
///
/// Use the id to look up the subscription's secret. Returns `None` if the scheme has no secrets per
/// subscription, or if the delivery contains no id.
///
/// The delivery is not yet verified. Use the id only for this lookup.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the description has no scheme. [`ErrorKind::WebhookRefused`] if
/// the body does not have the format of the scheme.
pub fn channel(
    description: &Description,
    request: &http::Request<Bytes>,
) -> Result<Option<String>> {
    let scheme = scheme_of(description)?;
    if scheme.secret != WebhookSecret::Subscription || scheme.channel.is_empty() {
        return Ok(None);
    }
    let body = Body::read(scheme, request.body())?;
    let reader = Reader {
        description,
        scheme,
        rule: None,
        accept_host: &|_| None,
        headers: request.headers(),
    };
    match body.items().next() {
        Some(item) => Ok(reader.first(&scheme.channel, &item)?.map(|it| it.text)),
        None => Ok(None),
    }
}

fn scheme_of(description: &Description) -> Result<&WebhookScheme> {
    description.webhook.as_ref().ok_or_else(|| {
        Error::new(
            ErrorKind::Unsupported,
            "webhook.verify",
            "the provider's description has no webhook scheme; add one, or override the hook",
        )
        .with_provider(description.provider.as_str().to_owned())
    })
}

/// Returns the response to a delivery, or `None` for an empty response with status 200.
fn acknowledgement(scheme: &WebhookScheme) -> Result<Option<Response<Bytes>>> {
    if scheme.status == 200 && scheme.reply.is_none() {
        return Ok(None);
    }
    answer(scheme.status, scheme.reply.as_ref()).map(Some)
}

/// Returns a response with a JSON body or an empty body.
pub(super) fn answer(status: u16, reply: Option<&Value>) -> Result<Response<Bytes>> {
    let bug = || {
        Error::new(
            ErrorKind::Bug,
            "webhook.answer",
            "the response in the webhook scheme is invalid; please report it",
        )
    };
    let body = match reply {
        Some(value) => serde_json::to_vec(value).map_err(|_| bug())?,
        None => Vec::new(),
    };
    let mut response = Response::new(Bytes::from(body));
    *response.status_mut() = StatusCode::from_u16(status).map_err(|_| bug())?;
    response.headers_mut().insert(
        http::header::CONTENT_TYPE,
        http::HeaderValue::from_static("application/json"),
    );
    Ok(response)
}

/// A fact with a flag that states whether the signature covers it.
struct Found {
    text: String,
    is_signed: bool,
}

struct Reader<'r> {
    description: &'r Description,
    scheme: &'r WebhookScheme,
    /// The signature rule that verified the delivery. `None` if the message was authenticated in
    /// another way.
    rule: Option<&'r WebhookSignature>,
    accept_host: &'r dyn Fn(&str) -> Option<String>,
    headers: &'r HeaderMap,
}

impl Reader<'_> {
    fn events(&self, app: &AppKey, body: &Body) -> Result<Vec<Event>> {
        let fields = self.fields()?;
        let mut events = Vec::with_capacity(body.items().len());
        for item in body.items() {
            events.push(self.event(app, &item, fields.clone())?);
        }
        Ok(events)
    }

    fn event(
        &self,
        app: &AppKey,
        item: &Item<'_>,
        fields: BTreeMap<String, String>,
    ) -> Result<Event> {
        let scheme = self.scheme;
        let topic = self.first(&scheme.topic, item)?;
        let delivery_id = self.first(&scheme.delivery_id, item)?;
        let event_id = self.first(&scheme.event_id, item)?;
        let time = self.first(&scheme.triggered_at, item)?;
        let account = self.account(item)?;
        for required in &scheme.required {
            let (is_there, message) = match required {
                RequiredFact::Topic => (topic.is_some(), "the delivery contains no topic"),
                RequiredFact::Account => (account.is_some(), "the delivery contains no account"),
                RequiredFact::DeliveryId => (delivery_id.is_some(), "the delivery has no id"),
            };
            if !is_there {
                return Err(refused(message));
            }
        }
        let mut signed = 0;
        let mut mark = |field: SignedField, is_signed: bool| {
            if is_signed {
                signed |= field.bit();
            }
        };
        mark(
            SignedField::Topic,
            topic.as_ref().is_some_and(|it| it.is_signed),
        );
        mark(
            SignedField::DeliveryId,
            delivery_id.as_ref().is_some_and(|it| it.is_signed),
        );
        mark(
            SignedField::Account,
            account.as_ref().is_some_and(|(_, is_signed)| *is_signed),
        );
        let is_dated = self.rule.is_none_or(|rule| rule.timestamp.is_some());
        mark(
            SignedField::Time,
            time.as_ref().map_or(is_dated, |it| it.is_signed),
        );
        let topic = topic.map(|it| it.text).unwrap_or_default();
        let probes = scheme.probe_topics.contains(&topic);
        Ok(Event {
            provider: self.description.provider.clone(),
            app: app.clone(),
            topic,
            account: account.map(|(hint, _)| hint),
            delivery_id: delivery_id.map(|it| it.text),
            event_id: event_id.map(|it| it.text),
            triggered_at: time.and_then(|it| self.time(&it.text)),
            body: item.raw.clone(),
            fields,
            signed: SignedField::set(signed),
            probes,
        })
    }

    /// Returns the account, and whether the signature covers the account.
    ///
    /// If the sources contain different accounts, the delivery is rejected, because one of them was
    /// changed in transit.
    fn account(&self, item: &Item<'_>) -> Result<Option<(AccountHint, bool)>> {
        let host = |text: &str| {
            (self.accept_host)(text)
                .map(AccountHint::Host)
                .ok_or_else(|| refused("the delivery's account host is invalid for this provider"))
        };
        let key = |text: &str| {
            AccountKey::new(text)
                .map(AccountHint::Key)
                .map_err(|_| refused("the delivery's account key is invalid"))
        };
        match self.agreed(&self.scheme.account_host, item, host)? {
            Some(found) => Ok(Some(found)),
            None => self.agreed(&self.scheme.account_key, item, key),
        }
    }

    /// Returns the account in the sources that are present, and whether the signature covers the
    /// account.
    fn agreed(
        &self,
        facts: &[WebhookFact],
        item: &Item<'_>,
        hint: impl Fn(&str) -> Result<AccountHint>,
    ) -> Result<Option<(AccountHint, bool)>> {
        let mut account: Option<(AccountHint, bool)> = None;
        for fact in facts {
            let Some(found) = self.fact(fact, item)? else {
                continue;
            };
            let named = hint(&found.text)?;
            match &mut account {
                None => account = Some((named, found.is_signed)),
                Some((known, is_signed)) if *known == named => *is_signed |= found.is_signed,
                Some(_) => return Err(refused("the delivery contains two different accounts")),
            }
        }
        Ok(account)
    }

    /// Returns the first source that is present.
    fn first(&self, facts: &[WebhookFact], item: &Item<'_>) -> Result<Option<Found>> {
        for fact in facts {
            if let Some(found) = self.fact(fact, item)? {
                return Ok(Some(found));
            }
        }
        Ok(None)
    }

    fn fact(&self, fact: &WebhookFact, item: &Item<'_>) -> Result<Option<Found>> {
        let in_body = |text: Option<String>| {
            text.map(|text| Found {
                text,
                is_signed: self.rule.is_none_or(|rule| rule.algorithm.signs()),
            })
        };
        Ok(match fact {
            WebhookFact::Header(name) => {
                let text = single_header(self.headers, name)?.filter(|text| is_word(text));
                text.map(|text| Found {
                    text: text.to_owned(),
                    is_signed: self.is_signed(name),
                })
            }
            WebhookFact::Pointer(pointer) => in_body(item.text(pointer)),
            WebhookFact::Envelope(pointer) => in_body(item.envelope_text(pointer)),
            WebhookFact::Joined(facts) => self.joined(facts, item)?,
            WebhookFact::Key(facts) => self.key(facts, item)?,
        })
    }

    fn key(&self, facts: &[WebhookFact], item: &Item<'_>) -> Result<Option<Found>> {
        let (mut parts, mut is_signed) = (Vec::with_capacity(facts.len()), true);
        for fact in facts {
            let Some(found) = self.fact(fact, item)? else {
                return Ok(None);
            };
            parts.push(found.text);
            is_signed &= found.is_signed;
        }
        let text = parts.join(":");
        Ok(Some(Found { text, is_signed }))
    }

    fn joined(&self, facts: &[WebhookFact], item: &Item<'_>) -> Result<Option<Found>> {
        let (mut text, mut is_signed, mut any) = (String::new(), true, false);
        for (number, fact) in facts.iter().enumerate() {
            if number > 0 {
                text.push('/');
            }
            if let Some(found) = self.fact(fact, item)? {
                text.push_str(&found.text.replace('%', "%25").replace('/', "%2F"));
                is_signed &= found.is_signed;
                any = true;
            }
        }
        Ok(any.then_some(Found { text, is_signed }))
    }

    fn is_signed(&self, header: &str) -> bool {
        self.rule.is_none_or(|rule| {
            rule.algorithm.signs()
                && rule.signed.iter().any(
                    |part| matches!(part, SignedPart::Header(name) if name.eq_ignore_ascii_case(header)),
                )
        })
    }

    fn fields(&self) -> Result<BTreeMap<String, String>> {
        let mut fields = BTreeMap::new();
        for name in &self.scheme.fields {
            if let Some(value) = single_header(self.headers, name)?
                && value.len() <= MAX_FIELD
            {
                fields.insert(name.clone(), value.to_owned());
            }
        }
        Ok(fields)
    }

    fn time(&self, text: &str) -> Option<Timestamp> {
        match self.scheme.triggered_at_form {
            TimeForm::Rfc3339 => Timestamp::parse(text),
            TimeForm::Seconds => whole_number(text).map(Timestamp::from_unix_seconds),
            TimeForm::Millis => whole_number(text).map(Timestamp::from_unix_millis),
        }
    }
}
