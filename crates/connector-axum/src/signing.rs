//! Signed tokens: CSRF tokens of forms, and tickets of links.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use connector_core::clock::Timestamp;
use connector_core::{Actor, ConnectionId, Error, ErrorKind, ProviderId, Result, TenantId};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

/// Maximum length of a ticket, in bytes.
const MAX_TICKET: usize = 4096;
/// Validity of a CSRF token.
pub(crate) const CSRF_FOR: Duration = Duration::from_secs(12 * 3600);
/// Minimum length of the signing key, in bytes.
const MIN_KEY: usize = 32;

/// The key that signs CSRF tokens and tickets.
#[derive(Clone)]
pub(crate) struct Signer(hmac::Key);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer")
    }
}

impl Signer {
    pub(crate) fn new(key: &SecretString) -> Result<Self> {
        let key = key.expose_secret().as_bytes();
        if key.len() < MIN_KEY {
            return Err(Error::new(
                ErrorKind::Configuration,
                "axum.config",
                "the signing key is shorter than 32 bytes; generate a random one",
            ));
        }
        Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, key)))
    }

    /// Returns the signature of `fields` for one purpose. Each field is prefixed with its length,
    /// so that no two lists of fields have the same text.
    fn sign(&self, purpose: &str, fields: &[&str]) -> hmac::Tag {
        hmac::sign(&self.0, &message(purpose, fields))
    }

    fn verify(&self, purpose: &str, fields: &[&str], tag: &[u8]) -> bool {
        hmac::verify(&self.0, &message(purpose, fields), tag).is_ok()
    }

    /// Returns a CSRF token for the forms of one caller.
    pub(crate) fn csrf(&self, tenant: &TenantId, actor: &Actor, now: Timestamp) -> String {
        let until = now.after(CSRF_FOR).as_unix_seconds().to_string();
        let tag = self.sign("csrf", &[tenant.as_str(), &actor.to_string(), &until]);
        format!("{until}.{}", URL_SAFE_NO_PAD.encode(tag))
    }

    pub(crate) fn is_csrf(
        &self,
        token: &str,
        tenant: &TenantId,
        actor: &Actor,
        now: Timestamp,
    ) -> bool {
        let Some((until, tag)) = token.split_once('.') else {
            return false;
        };
        let is_fresh = until
            .parse()
            .is_ok_and(|until: i64| until > now.as_unix_seconds());
        let tag = URL_SAFE_NO_PAD.decode(tag).unwrap_or_default();
        let fields = [tenant.as_str(), &actor.to_string(), until];
        is_fresh && self.verify("csrf", &fields, &tag)
    }

    pub(crate) fn ticket(&self, ticket: &TicketContent) -> Result<String> {
        let content = serde_json::to_vec(ticket).map_err(|_| {
            Error::new(
                ErrorKind::Bug,
                "axum.ticket",
                "the ticket could not be serialized as JSON",
            )
        })?;
        let content = URL_SAFE_NO_PAD.encode(content);
        let tag = URL_SAFE_NO_PAD.encode(self.sign("ticket", &[&content]));
        let text = format!("{content}.{tag}");
        if text.len() > MAX_TICKET {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "axum.ticket",
                "the link would be longer than 4 KiB; use a shorter return address, or the name of \
                 a configured one",
            ));
        }
        Ok(text)
    }

    /// Returns the content of a ticket that this key signed and that has not expired.
    pub(crate) fn open_ticket(&self, text: &str, now: Timestamp) -> Option<TicketContent> {
        let (content, tag) = text.split_once('.').filter(|_| text.len() <= MAX_TICKET)?;
        let tag = URL_SAFE_NO_PAD.decode(tag).ok()?;
        if !self.verify("ticket", &[content], &tag) {
            return None;
        }
        let content = URL_SAFE_NO_PAD.decode(content).ok()?;
        let ticket: TicketContent = serde_json::from_slice(&content).ok()?;
        (ticket.until > now.as_unix_seconds()).then_some(ticket)
    }
}

fn message(purpose: &str, fields: &[&str]) -> Vec<u8> {
    let mut message = Vec::new();
    for field in [purpose].iter().chain(fields) {
        message.extend_from_slice(&(field.len() as u64).to_be_bytes());
        message.extend_from_slice(field.as_bytes());
    }
    message
}

/// The content of a ticket. It is signed, not encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct TicketContent {
    pub(crate) tenant: TenantId,
    /// The user for whom the link is. `None` for every user of the tenant who may connect accounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actor: Option<Actor>,
    pub(crate) provider: ProviderId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) connection: Option<ConnectionId>,
    /// The return address, as checked by `Returns::check`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) return_to: Option<String>,
    pub(crate) until: i64,
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "tests print their counts")]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_bound_to_caller_purpose_and_time() {
        let signer = Signer::new(&"k".repeat(32).into()).unwrap();
        let other = Signer::new(&"l".repeat(32).into()).unwrap();
        let now = Timestamp::from_unix_seconds(1_700_000_000);
        let (acme, ann) = (TenantId::new("acme").unwrap(), Actor::User("ann".into()));
        let token = signer.csrf(&acme, &ann, now);
        assert!(signer.is_csrf(&token, &acme, &ann, now));
        let late = now.after(CSRF_FOR);
        let (corp, bob) = (TenantId::new("corp").unwrap(), Actor::User("bob".into()));
        let mut refused = 0;
        for wrong in [
            signer.is_csrf(&token, &corp, &ann, now),
            signer.is_csrf(&token, &acme, &bob, now),
            signer.is_csrf(&token, &acme, &Actor::Service("ann".into()), now),
            signer.is_csrf(&token, &acme, &ann, late),
            other.is_csrf(&token, &acme, &ann, now),
            signer.is_csrf("", &acme, &ann, now),
            signer.is_csrf(".", &acme, &ann, now),
        ] {
            assert!(!wrong);
            refused += 1;
        }
        let ticket = TicketContent {
            tenant: acme,
            actor: Some(ann),
            provider: ProviderId::from_static("acme"),
            account: None,
            connection: None,
            return_to: None,
            until: now.as_unix_seconds() + 60,
        };
        let text = signer.ticket(&ticket).unwrap();
        assert_eq!(signer.open_ticket(&text, now), Some(ticket));
        assert_eq!(other.open_ticket(&text, now), None);
        assert_eq!(
            signer.open_ticket(&text, now.after(Duration::from_secs(60))),
            None
        );
        for at in 0..text.len() {
            let mut changed = text.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(changed).unwrap();
            // The last character of base64 has bits that do not count.
            let opened = signer.open_ticket(&changed, now);
            assert!(opened.is_none() || at + 1 == text.len(), "{at}");
            refused += 1;
        }
        println!("changed tokens refused: {refused}");
        assert!(refused > 7);
        assert!(Signer::new(&"short".into()).is_err());
    }
}
