//! Validates webhook schemes.

use std::collections::BTreeMap;

use http::Method;
use http::header::HeaderName;
use serde_json::Value;

use super::scheme::{
    BodyForm, Handshake, HeaderPair, KeyForm, RequiredFact, SignatureEntries, SignedPart,
    TimestampSource, WebhookAlgorithm, WebhookFact, WebhookScheme, WebhookSecret, WebhookSignature,
};

/// Maximum number of parts in a signed text.
const MAX_PARTS: usize = 16;
/// Maximum tolerance of a timestamp, in seconds.
const MAX_TOLERANCE: u64 = 86_400;

/// The result of a check. The error contains the field and the violated rule.
type Check = Result<(), String>;

fn fail<T>(field: &str, rule: &str) -> Result<T, String> {
    Err(format!("`webhook.{field}` {rule}"))
}

fn ensure(holds: bool, field: &str, rule: &str) -> Check {
    if holds { Ok(()) } else { fail(field, rule) }
}

impl WebhookScheme {
    /// Checks the fields of the scheme and their combinations. Called by
    /// [`Description::validate`](crate::provider::Description::validate).
    ///
    /// # Errors
    /// A message that names the first invalid field.
    pub(crate) fn validate(&self, has_account_hosts: bool) -> Check {
        ensure(!self.signatures.is_empty(), "signatures", "is empty")?;
        for (number, signature) in self.signatures.iter().enumerate() {
            signature.validate(&format!("signatures[{number}]"))?;
        }
        ensure(!self.methods.is_empty(), "methods", "is empty")?;
        for method in &self.methods {
            check_method("methods", method)?;
        }
        self.validate_body()?;
        self.validate_facts(has_account_hosts)?;
        ensure(
            (200..=299).contains(&self.status),
            "status",
            "must be from 200 to 299; otherwise the provider retries the delivery",
        )?;
        ensure(
            self.reply.is_none() || self.status != 204,
            "reply",
            "must be absent if the status is 204",
        )?;
        for (number, handshake) in self.handshakes.iter().enumerate() {
            self.validate_handshake(&format!("handshakes[{number}]"), handshake)?;
        }
        Ok(())
    }

    fn validate_body(&self) -> Check {
        ensure(!self.body.is_empty(), "body", "is empty")?;
        for form in &self.body {
            if let BodyForm::FormJson(name) = form {
                ensure(!name.is_empty(), "body.form_json", "names no field")?;
            }
        }
        if self.secret_signs_more {
            ensure(
                self.body == [BodyForm::JsonObject],
                "body",
                "must be json_object alone if `webhook.secret_signs_more` is set; otherwise other \
                 signed data could pass as a delivery",
            )?;
        }
        if let Some(items) = &self.items {
            let steps = items.split('/').count();
            ensure(
                items.is_empty() || (items.starts_with('/') && steps == 2 && items.len() > 1),
                "items",
                "must be empty or a JSON pointer with one step",
            )?;
            ensure(
                self.body
                    .iter()
                    .any(|form| matches!(form, BodyForm::Json | BodyForm::JsonObject)),
                "items",
                "requires a JSON body",
            )?;
            ensure(
                !items.is_empty() || self.body.contains(&BodyForm::Json),
                "items",
                "refers to the whole body, but `webhook.body` accepts no array",
            )?;
        }
        Ok(())
    }

    fn validate_facts(&self, has_account_hosts: bool) -> Check {
        let has_members = self.body.iter().any(BodyForm::has_members);
        for (field, facts) in self.facts() {
            for fact in facts {
                check_fact(field, fact, has_members, true)?;
            }
        }
        ensure(
            self.account_host.is_empty() || self.account_key.is_empty(),
            "account_key",
            "and `webhook.account_host` are both set; keep one",
        )?;
        ensure(
            self.account_host.is_empty() || has_account_hosts,
            "account_host",
            "is set, but the description has no `account_host`",
        )?;
        ensure(
            self.channel.is_empty() || self.secret == WebhookSecret::Subscription,
            "channel",
            "is set, but `webhook.secret` is not subscription",
        )?;
        for name in &self.fields {
            check_header("fields", name)?;
        }
        for topic in &self.probe_topics {
            ensure(!topic.is_empty(), "probe_topics", "contains an empty topic")?;
        }
        ensure(
            self.probe_topics.is_empty() || !self.topic.is_empty(),
            "probe_topics",
            "is set, but `webhook.topic` has no source",
        )?;
        for required in &self.required {
            let is_read = match required {
                RequiredFact::Topic => !self.topic.is_empty(),
                RequiredFact::Account => {
                    !self.account_host.is_empty() || !self.account_key.is_empty()
                }
                RequiredFact::DeliveryId => !self.delivery_id.is_empty(),
            };
            ensure(is_read, "required", "contains a fact that has no source")?;
        }
        Ok(())
    }

    fn validate_handshake(&self, field: &str, handshake: &Handshake) -> Check {
        let has_members = self.body.iter().any(BodyForm::has_members);
        let check_when = |when: &BTreeMap<String, Value>| {
            ensure(!when.is_empty(), &format!("{field}.when"), "is empty")?;
            for pointer in when.keys() {
                check_pointer(&format!("{field}.when"), pointer)?;
            }
            ensure(
                has_members,
                field,
                "reads the body, but no format in `webhook.body` has members",
            )
        };
        match handshake {
            Handshake::Echo(echo) => {
                check_when(&echo.when)?;
                check_pointer(&format!("{field}.pointer"), &echo.pointer)?;
                ensure(
                    echo.member.as_ref().is_none_or(|member| !member.is_empty()),
                    &format!("{field}.member"),
                    "is empty",
                )
            }
            Handshake::Answer(answer) => {
                check_when(&answer.when)?;
                ensure(
                    (200..=299).contains(&answer.status),
                    &format!("{field}.status"),
                    "must be from 200 to 299",
                )?;
                ensure(
                    answer.reply.is_none() || answer.status != 204,
                    &format!("{field}.reply"),
                    "must be absent if the status is 204",
                )
            }
            Handshake::Challenge(challenge) => {
                check_method(&format!("{field}.method"), &challenge.method)?;
                ensure(
                    !challenge.parameter.is_empty(),
                    &format!("{field}.parameter"),
                    "is empty",
                )?;
                let token = challenge.token_parameter.as_ref();
                ensure(
                    token.is_none_or(|token| !token.is_empty() && *token != challenge.parameter),
                    &format!("{field}.token_parameter"),
                    "must not be empty or equal to `parameter`",
                )
            }
            Handshake::Secret(secret) => {
                ensure(
                    self.secret != WebhookSecret::Client,
                    field,
                    "sets a secret, but `webhook.secret` is client",
                )?;
                match (&secret.pointer, &secret.header) {
                    (Some(pointer), None) => check_pointer(&format!("{field}.pointer"), pointer),
                    (None, Some(header)) => check_header(&format!("{field}.header"), header),
                    _ => fail(field, "must have either `pointer` or `header`"),
                }
            }
        }
    }
}

impl WebhookSignature {
    fn validate(&self, field: &str) -> Check {
        let at = |name: &str| format!("{field}.{name}");
        match &self.pointer {
            None => ensure(!self.headers.is_empty(), &at("headers"), "is empty")?,
            Some(pointer) => {
                check_pointer(&at("pointer"), pointer)?;
                ensure(
                    self.headers.is_empty() && self.algorithm == WebhookAlgorithm::SharedToken,
                    &at("pointer"),
                    "requires the algorithm shared_token, without `headers`",
                )?;
            }
        }
        for header in &self.headers {
            check_header(&at("headers"), header)?;
        }
        ensure(
            self.prefix.bytes().all(|byte| (0x20..0x7f).contains(&byte)),
            &at("prefix"),
            "is not printable ASCII",
        )?;
        match &self.entries {
            SignatureEntries::Pairs(key) => check_key(&at("entries.pairs"), key)?,
            SignatureEntries::Spaced => ensure(
                !self.prefix.is_empty() && !self.prefix.contains(' '),
                &at("prefix"),
                "must not be empty or contain a space if signatures are separated by spaces",
            )?,
            SignatureEntries::One => {}
        }
        if let KeyForm::Prefixed(prefix) = &self.key {
            ensure(!prefix.is_empty(), &at("key.prefixed"), "is empty")?;
        }
        let fits = match self.algorithm {
            WebhookAlgorithm::HmacSha256 | WebhookAlgorithm::HmacSha1 => true,
            WebhookAlgorithm::Ed25519 => self.key != KeyForm::Text,
            _ => self.key == KeyForm::Text,
        };
        ensure(fits, &at("key"), "does not match the algorithm")?;
        if let Some(when) = &self.when {
            check_header(&at("when.header"), &when.header)?;
        }
        if self.algorithm.signs() {
            self.validate_signed(&at("signed"))?;
        } else {
            ensure(
                self.signed == [SignedPart::Body] && self.timestamp.is_none(),
                &at("signed"),
                "and `timestamp` require an algorithm that signs",
            )?;
            ensure(
                self.entries == SignatureEntries::One,
                &at("entries"),
                "requires an algorithm that signs",
            )?;
        }
        self.validate_timestamp(&at("timestamp"))
    }

    fn validate_signed(&self, field: &str) -> Check {
        let count = |part: &SignedPart| self.signed.iter().filter(|it| *it == part).count();
        ensure(
            count(&SignedPart::Body) == 1,
            field,
            "must contain the body exactly once",
        )?;
        ensure(
            self.signed.len() <= MAX_PARTS,
            field,
            "has more than 16 parts",
        )?;
        let wanted = usize::from(self.algorithm == WebhookAlgorithm::Sha256);
        ensure(
            count(&SignedPart::Secret) == wanted,
            field,
            "must contain the secret exactly once for sha256, and never for another algorithm",
        )?;
        for part in &self.signed {
            match part {
                SignedPart::Text(text) => ensure(!text.is_empty(), field, "has an empty text")?,
                SignedPart::Header(header) => check_header(field, header)?,
                SignedPart::Pair(pair) => check_pair(field, pair)?,
                SignedPart::Uri(uri) => ensure(
                    uri.decoded
                        .bytes()
                        .all(|byte| byte.is_ascii_graphic() && byte != b'%'),
                    field,
                    "may decode only printable ASCII other than the percent sign",
                )?,
                SignedPart::Method | SignedPart::Secret | SignedPart::Body => {}
            }
        }
        Ok(())
    }

    fn validate_timestamp(&self, field: &str) -> Check {
        let Some(timestamp) = &self.timestamp else {
            return Ok(());
        };
        let is_signed = self
            .signed
            .iter()
            .any(|part| match (part, &timestamp.source) {
                (SignedPart::Header(part), TimestampSource::Header(header)) => {
                    part.eq_ignore_ascii_case(header)
                }
                (SignedPart::Pair(part), TimestampSource::Pair(pair)) => part == pair,
                _ => false,
            });
        ensure(
            is_signed,
            field,
            "is not among the signed parts, so an attacker could change it",
        )?;
        ensure(
            (1..=MAX_TOLERANCE).contains(&timestamp.tolerance_seconds),
            &format!("{field}.tolerance_seconds"),
            "must be from 1 to 86400",
        )
    }
}

fn check_fact(field: &str, fact: &WebhookFact, has_members: bool, is_outer: bool) -> Check {
    match fact {
        WebhookFact::Header(header) => check_header(field, header),
        WebhookFact::Pointer(pointer) | WebhookFact::Envelope(pointer) => {
            ensure(
                has_members,
                field,
                "reads the body, but no format in `webhook.body` has members",
            )?;
            check_pointer(field, pointer)
        }
        WebhookFact::Joined(facts) | WebhookFact::Key(facts) => {
            ensure(
                is_outer && facts.len() > 1,
                field,
                "must join at least two sources, and must not join joined sources",
            )?;
            facts
                .iter()
                .try_for_each(|fact| check_fact(field, fact, has_members, false))
        }
    }
}

fn check_pointer(field: &str, pointer: &str) -> Check {
    ensure(
        pointer.len() > 1 && pointer.starts_with('/'),
        field,
        "is not a JSON pointer (RFC 6901)",
    )
}

fn check_header(field: &str, name: &str) -> Check {
    ensure(
        HeaderName::from_bytes(name.as_bytes()).is_ok(),
        field,
        "is not the name of a header",
    )
}

fn check_pair(field: &str, pair: &HeaderPair) -> Check {
    check_header(field, &pair.header)?;
    check_key(field, &pair.key)
}

fn check_key(field: &str, key: &str) -> Check {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b',' | b'=');
    ensure(
        !key.is_empty() && key.bytes().all(fits),
        field,
        "is not the key of a pair",
    )
}

fn check_method(field: &str, method: &str) -> Check {
    let known = [
        Method::POST,
        Method::GET,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
    ];
    ensure(
        known.iter().any(|known| known.as_str() == method),
        field,
        "is not POST, GET, PUT, PATCH or DELETE",
    )
}
