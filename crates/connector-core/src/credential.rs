//! Decrypted credentials in memory.

use std::collections::BTreeMap;
use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountKey};
use crate::cipher::Plaintext;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;
use crate::metadata::Metadata;
use crate::provider::oauth::Identity;

/// The kind of a credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CredentialKind {
    /// An OAuth 2.0 access token with the data needed to renew it (RFC 6749 section 5.1).
    #[serde(rename = "oauth")]
    OAuth,
    /// An API key that the account's owner created at the provider.
    ApiKey,
    /// A secret URL.
    SecretUrl,
}

/// A decrypted credential. The credential contains the only origin that may receive the secret, and
/// the client id that obtained the secret. Origin and client id are sealed with the secret, so that
/// a modified database row cannot redirect the credential.
///
/// `Debug` shows no secret, and there is no `Display`. Only [`Credential::to_plaintext`] serializes
/// a credential, for sealing.
#[derive(Clone)]
pub struct Credential {
    kind: CredentialKind,
    origin: Origin,
    account_host: Option<String>,
    client_id: Option<String>,
    secret: SecretString,
    refresh_token: Option<SecretString>,
    scopes: Vec<String>,
    obtained_at: Timestamp,
    expires_at: Option<Timestamp>,
    refresh_expires_at: Option<Timestamp>,
    extra: BTreeMap<String, SecretString>,
    identity: Option<Identity>,
}

impl Credential {
    /// Creates a credential of `kind`. `secret` is the access token, the API key or the secret URL,
    /// and may be sent only to `origin`.
    #[must_use]
    pub fn new(
        kind: CredentialKind,
        origin: Origin,
        secret: impl Into<SecretString>,
        obtained_at: Timestamp,
    ) -> Self {
        Self {
            kind,
            origin,
            account_host: None,
            client_id: None,
            secret: secret.into(),
            refresh_token: None,
            scopes: Vec::new(),
            obtained_at,
            expires_at: None,
            refresh_expires_at: None,
            extra: BTreeMap::new(),
            identity: None,
        }
    }

    /// Creates a credential of `kind` that has no access token yet, for example from a pasted
    /// refresh token or a key file. Requests go only to `origin`. Add the data needed to obtain the
    /// token with [`Credential::with_refresh_token`] or [`Credential::with_extra`]. When you adopt
    /// the credential, the hub obtains a token, identifies the account and then stores the
    /// credential.
    #[must_use]
    pub fn unissued(kind: CredentialKind, origin: Origin, now: Timestamp) -> Self {
        Self::new(kind, origin, String::new(), now).with_expiry(now)
    }

    /// Returns true if the credential contains an access token, an API key or a secret URL.
    #[must_use]
    pub fn is_issued(&self) -> bool {
        !self.secret.expose_secret().is_empty()
    }

    /// Sets the account's own host, for providers with per-account hosts. The token endpoint and
    /// the revocation endpoint are on this host.
    #[must_use]
    pub fn with_account_host(mut self, account_host: impl Into<String>) -> Self {
        self.account_host = Some(account_host.into());
        self
    }

    /// Sets the client id that obtained the credential.
    #[must_use]
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Sets the refresh token (RFC 6749 section 1.5).
    #[must_use]
    pub fn with_refresh_token(mut self, refresh_token: impl Into<SecretString>) -> Self {
        self.refresh_token = Some(refresh_token.into());
        self
    }

    /// Sets the scopes that were granted.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the expiry of the access token.
    #[must_use]
    pub fn with_expiry(mut self, expires_at: Timestamp) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// Sets the expiry of the refresh token.
    #[must_use]
    pub fn with_refresh_expiry(mut self, refresh_expires_at: Timestamp) -> Self {
        self.refresh_expires_at = Some(refresh_expires_at);
        self
    }

    /// Sets an additional secret under the provider's name for it.
    #[must_use]
    pub fn with_extra(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Sets the account of the credential, with the account's metadata. The identity is sealed with
    /// the credential, so that it can be compared with the account in the stored row.
    #[must_use]
    pub fn with_identity(mut self, identity: Identity) -> Self {
        self.identity = Some(identity);
        self
    }

    /// Returns the identified account, or `None` if the account has not been identified yet.
    #[must_use]
    pub const fn identity(&self) -> Option<&Identity> {
        self.identity.as_ref()
    }

    /// Returns the kind of credential.
    #[must_use]
    pub const fn kind(&self) -> CredentialKind {
        self.kind
    }

    /// Returns the only origin that may receive the credential.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the account's own host.
    #[must_use]
    pub fn account_host(&self) -> Option<&str> {
        self.account_host.as_deref()
    }

    /// Returns the key of the identified account, or `None` if the account has not been identified
    /// yet.
    #[must_use]
    pub fn account(&self) -> Option<&AccountKey> {
        self.identity.as_ref().map(|identity| &identity.account.key)
    }

    /// Returns the client id that obtained the credential.
    #[must_use]
    pub fn client_id(&self) -> Option<&str> {
        self.client_id.as_deref()
    }

    /// Returns the access token, the API key or the secret URL.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Returns the refresh token.
    #[must_use]
    pub const fn refresh_token(&self) -> Option<&SecretString> {
        self.refresh_token.as_ref()
    }

    /// Returns the granted scopes; empty if the provider did not state them.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns when the credential was obtained, on the clock of the node that obtained it.
    #[must_use]
    pub const fn obtained_at(&self) -> Timestamp {
        self.obtained_at
    }

    /// Returns the expiry of the access token, on the clock of the node that obtained the token. To
    /// decide whether a token is valid, nodes use the store's clock instead.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Returns the expiry of the refresh token, on the clock of the node that obtained the token.
    #[must_use]
    pub const fn refresh_expires_at(&self) -> Option<Timestamp> {
        self.refresh_expires_at
    }

    /// Returns an additional secret by the provider's name for it.
    #[must_use]
    pub fn extra(&self, name: &str) -> Option<&SecretString> {
        self.extra.get(name)
    }

    /// Returns the additional secrets, sorted by name.
    pub fn extras(&self) -> impl Iterator<Item = (&str, &SecretString)> {
        self.extra
            .iter()
            .map(|(name, value)| (name.as_str(), value))
    }

    /// Serializes the credential for sealing, as a JSON object in payload version 1. The format is
    /// fixed; see `docs/adr/0002-contract-review.md`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the credential is larger than the maximum size of a sealed
    /// record.
    pub fn to_plaintext(&self) -> Result<Plaintext> {
        let payload = PayloadRef {
            v: 1,
            kind: self.kind,
            origin: &self.origin,
            account_host: self.account_host.as_deref(),
            client_id: self.client_id.as_deref(),
            secret: self.secret.expose_secret(),
            refresh_token: self.refresh_token.as_ref().map(ExposeSecret::expose_secret),
            scopes: &self.scopes,
            obtained_at: self.obtained_at,
            expires_at: self.expires_at,
            refresh_expires_at: self.refresh_expires_at,
            extra: self
                .extra
                .iter()
                .map(|(k, v)| (k.as_str(), v.expose_secret()))
                .collect(),
            identity: self.identity.as_ref().map(|identity| SealedIdentityRef {
                account: &identity.account.key,
                host: identity.account.host.as_deref(),
                asserted: identity.account.asserted,
                label: identity.account.label.as_deref(),
                metadata: &identity.metadata,
            }),
        };
        // Reserve the full capacity up front, because a growing buffer leaves copies of the secret
        // in memory. JSON escaping expands a byte to at most six bytes.
        let mut bytes = Vec::with_capacity(512 + 6 * payload.text_length());
        serde_json::to_writer(&mut bytes, &payload).map_err(|_| {
            Error::new(
                ErrorKind::Bug,
                "credential.to_plaintext",
                "the credential could not be written as JSON",
            )
        })?;
        let plaintext = Plaintext::new(bytes);
        if plaintext.expose().len() > crate::cipher::MAX_PLAINTEXT {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                "credential.to_plaintext",
                "the credential is larger than 65,536 bytes; the provider sent more than a token",
            ));
        }
        Ok(plaintext)
    }

    /// Parses the output of [`Credential::to_plaintext`].
    ///
    /// # Errors
    /// [`ErrorKind::StoreIncompatible`] if the bytes are not a credential or have a newer payload
    /// version. The error message never quotes the input.
    pub fn from_plaintext(plaintext: &Plaintext) -> Result<Self> {
        // The parser's error may quote the input, so it is dropped.
        let payload: Payload = serde_json::from_slice(plaintext.expose()).map_err(|_| {
            Error::new(
                ErrorKind::StoreIncompatible,
                "credential.from_plaintext",
                "the sealed record is not a credential of a known version; update this node",
            )
        })?;
        if payload.v != 1 {
            return Err(Error::new(
                ErrorKind::StoreIncompatible,
                "credential.from_plaintext",
                "the sealed credential was written by a newer version; update this node",
            ));
        }
        Ok(Self {
            kind: payload.kind,
            origin: payload.origin,
            account_host: payload.account_host,
            client_id: payload.client_id,
            secret: payload.secret,
            refresh_token: payload.refresh_token,
            scopes: payload.scopes,
            obtained_at: payload.obtained_at,
            expires_at: payload.expires_at,
            refresh_expires_at: payload.refresh_expires_at,
            extra: payload.extra,
            identity: payload.identity.map(|sealed| {
                let account = Account {
                    key: sealed.account,
                    host: sealed.host,
                    asserted: sealed.asserted,
                    label: sealed.label,
                };
                Identity::new(account).with_metadata(sealed.metadata)
            }),
        })
    }
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credential")
            .field("kind", &self.kind)
            .field("origin", &self.origin)
            .field("account_host", &self.account_host)
            .field("client_id", &self.client_id)
            .field("has_refresh_token", &self.refresh_token.is_some())
            .field("scopes", &self.scopes)
            .field("obtained_at", &self.obtained_at)
            .field("expires_at", &self.expires_at)
            .field("refresh_expires_at", &self.refresh_expires_at)
            .field("extra", &self.extra.keys())
            .field("identity", &self.identity)
            .finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct PayloadRef<'a> {
    v: u8,
    kind: CredentialKind,
    origin: &'a Origin,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_host: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    secret: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    scopes: &'a [String],
    obtained_at: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_expires_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    extra: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    identity: Option<SealedIdentityRef<'a>>,
}

#[derive(Serialize)]
struct SealedIdentityRef<'a> {
    account: &'a AccountKey,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    asserted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    label: Option<&'a str>,
    #[serde(skip_serializing_if = "Metadata::is_empty")]
    metadata: &'a Metadata,
}

#[derive(Deserialize)]
struct SealedIdentity {
    account: AccountKey,
    #[serde(default)]
    host: Option<String>,
    #[serde(default)]
    asserted: bool,
    #[serde(default)]
    label: Option<String>,
    #[serde(default)]
    metadata: Metadata,
}

impl PayloadRef<'_> {
    fn text_length(&self) -> usize {
        self.secret.len()
            + self.client_id.map_or(0, str::len)
            + self.account_host.map_or(0, str::len)
            + self.refresh_token.map_or(0, str::len)
            + self
                .scopes
                .iter()
                .map(|scope| scope.len() + 1)
                .sum::<usize>()
            + self
                .extra
                .iter()
                .map(|(name, value)| name.len() + value.len() + 2)
                .sum::<usize>()
    }
}

#[derive(Deserialize)]
struct Payload {
    v: u8,
    kind: CredentialKind,
    origin: Origin,
    #[serde(default)]
    account_host: Option<String>,
    #[serde(default)]
    client_id: Option<String>,
    secret: SecretString,
    #[serde(default)]
    refresh_token: Option<SecretString>,
    #[serde(default)]
    scopes: Vec<String>,
    obtained_at: Timestamp,
    #[serde(default)]
    expires_at: Option<Timestamp>,
    #[serde(default)]
    refresh_expires_at: Option<Timestamp>,
    #[serde(default)]
    extra: BTreeMap<String, SecretString>,
    #[serde(default)]
    identity: Option<SealedIdentity>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn credential() -> Credential {
        Credential::new(
            CredentialKind::OAuth,
            Origin::parse("https://acme.myshopify.com").unwrap(),
            "access-example",
            Timestamp::from_unix_seconds(1_700_000_000),
        )
        .with_account_host("acme.myshopify.com")
        .with_client_id("client-example")
        .with_refresh_token("refresh-example")
        .with_scopes(["read_products"])
        .with_expiry(Timestamp::from_unix_seconds(1_700_003_600))
        .with_extra("id_token", "identity-example")
    }

    #[test]
    fn the_payload_format_is_fixed() {
        let plaintext = credential().to_plaintext().unwrap();
        assert_eq!(
            std::str::from_utf8(plaintext.expose()).unwrap(),
            concat!(
                r#"{"v":1,"kind":"oauth","origin":"https://acme.myshopify.com","#,
                r#""account_host":"acme.myshopify.com","client_id":"client-example","#,
                r#""secret":"access-example","#,
                r#""refresh_token":"refresh-example","scopes":["read_products"],"#,
                r#""obtained_at":1700000000000,"expires_at":1700003600000,"#,
                r#""extra":{"id_token":"identity-example"}}"#
            )
        );
    }

    #[test]
    fn a_credential_round_trips() {
        let read = Credential::from_plaintext(&credential().to_plaintext().unwrap()).unwrap();
        assert_eq!(read.secret().expose_secret(), "access-example");
        assert_eq!(
            read.refresh_token().unwrap().expose_secret(),
            "refresh-example"
        );
        assert_eq!(
            read.extra("id_token").unwrap().expose_secret(),
            "identity-example"
        );
        assert_eq!(read.scopes(), ["read_products"]);
        assert_eq!(read.expires_at(), credential().expires_at());
        assert_eq!(read.identity(), None);
        let mut metadata = Metadata::new();
        metadata.insert("plan", "free").unwrap();
        let account = Account::asserted(AccountKey::new("A1").unwrap()).with_label("Acme");
        let identity = Identity::new(account).with_metadata(metadata);
        let identified = credential().with_identity(identity.clone());
        let read = Credential::from_plaintext(&identified.to_plaintext().unwrap()).unwrap();
        assert_eq!(read.identity(), Some(&identity));
    }

    #[test]
    fn a_credential_without_an_access_token_is_not_issued() {
        let origin = Origin::parse("https://api.acme.example").unwrap();
        let pasted = Credential::unissued(CredentialKind::OAuth, origin, Timestamp::UNIX_EPOCH)
            .with_refresh_token("refresh-example");
        assert!(!pasted.is_issued());
        assert!(credential().is_issued());
    }

    #[test]
    fn debug_and_errors_do_not_show_secrets() {
        let shown = format!("{:?}", credential());
        assert!(!shown.contains("access-example"), "{shown}");
        assert!(!shown.contains("refresh-example") && !shown.contains("identity-example"));
        let broken = Plaintext::new(br#"{"v":1,"kind":"leaked-secret"}"#.to_vec());
        let error = Credential::from_plaintext(&broken).unwrap_err();
        assert!(!error.report().contains("leaked-secret"));
    }

    #[test]
    fn a_newer_payload_is_refused_with_advice() {
        let newer = String::from_utf8(credential().to_plaintext().unwrap().expose().to_vec())
            .unwrap()
            .replace(r#""v":1"#, r#""v":2"#);
        let error = Credential::from_plaintext(&Plaintext::new(newer.into_bytes())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreIncompatible);
    }
}
