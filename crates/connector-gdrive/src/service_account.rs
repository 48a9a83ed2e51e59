//! Service accounts: access tokens in exchange for a signed assertion (RFC 7523), optionally on
//! behalf of a user of the domain.
//!
//! See [Google: OAuth 2.0 for server to server applications](https://developers.google.com/identity/protocols/oauth2/service-account).

use connector_core::clock::Timestamp;
use connector_core::http::{Origin, Sent};
use connector_core::provider::oauth::jwt::SigningKey;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError, TokenRequest, TokenResponse};
use connector_core::provider::{Context, Description};
use connector_core::{Credential, CredentialKind, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::{error, oauth};

/// Names of the credential's extra fields for the key file and the user.
const KEY: &str = "service_account";
const USER: &str = "service_account_user";
/// Audience of assertions. The key file's `token_uri` is ignored, because it could point to another
/// server.
const AUDIENCE: &str = "https://oauth2.googleapis.com/token";
/// Lifetime of an assertion, in seconds. Google accepts at most this value.
const LIFETIME: i64 = 3600;

/// The fields of a key file that the connector uses.
#[derive(Deserialize)]
struct KeyFile {
    client_email: String,
    private_key: SecretString,
    #[serde(default)]
    private_key_id: Option<String>,
}

/// A service account, and the user that it impersonates, if any.
pub(crate) struct ServiceAccount {
    email: String,
    user: Option<String>,
    key: SigningKey,
}

impl ServiceAccount {
    pub(crate) fn read(key: &SecretString, user: Option<&str>) -> Result<Self> {
        let wrong = |message| error::wrong("google-drive.service_account", message);
        // The parser's error is dropped, because it can quote the key.
        let file: KeyFile = serde_json::from_str(key.expose_secret()).map_err(|_| {
            wrong("the key is not the JSON key file of a service account; paste the whole file")
        })?;
        let is_address = |text: &str| text.contains('@') && !text.contains(char::is_whitespace);
        if !is_address(&file.client_email) || !user.is_none_or(is_address) {
            return Err(wrong(
                "the service account or the user is not an e-mail address; correct it",
            ));
        }
        let signing = SigningKey::from_pem(&file.private_key)
            .map_err(|_| wrong("the key file has no private RSA key in PEM; download it again"))?;
        Ok(Self {
            email: file.client_email,
            user: user.map(str::to_owned),
            key: match file.private_key_id {
                Some(id) => signing.with_key_id(id),
                None => signing,
            },
        })
    }

    pub(crate) fn credential<S: Into<String>>(
        key: &SecretString,
        user: Option<&str>,
        scopes: impl IntoIterator<Item = S>,
        now: Timestamp,
    ) -> Result<Credential> {
        let origin = Origin::parse(oauth::API)?;
        let credential = Credential::unissued(CredentialKind::OAuth, origin, now)
            .with_scopes(scopes)
            .with_extra(KEY, key.clone());
        Ok(match user {
            Some(user) => credential.with_extra(USER, user.to_owned()),
            None => credential,
        })
    }

    pub(crate) fn is_in(credential: &Credential) -> bool {
        credential.extra(KEY).is_some()
    }

    /// Returns the service account of a credential, if there is one.
    pub(crate) fn of(credential: &Credential) -> Result<Option<Self>, ExchangeError> {
        let Some(key) = credential.extra(KEY) else {
            return Ok(None);
        };
        let user = credential.extra(USER).map(ExposeSecret::expose_secret);
        let unusable = |error| ExchangeError::new(ExchangeClass::Malformed, Sent::No, error);
        Self::read(key, user).map(Some).map_err(unusable)
    }

    /// Returns the account key: the e-mail address of the service account, followed by the
    /// impersonated user, if any.
    pub(crate) fn account_key(&self) -> String {
        match &self.user {
            Some(user) => format!("{}/{user}", self.email),
            None => self.email.clone(),
        }
    }

    /// Returns the display name of the account.
    pub(crate) fn label(&self) -> &str {
        self.user.as_deref().unwrap_or(&self.email)
    }

    pub(crate) fn claims(&self, scopes: &[String], now: Timestamp) -> Value {
        let now = now.as_unix_seconds();
        let mut claims = json!({
            "iss": self.email,
            "aud": AUDIENCE,
            "iat": now,
            "exp": now + LIFETIME,
            "scope": scopes.join(" "),
        });
        if let Some(user) = &self.user {
            claims["sub"] = user.as_str().into();
        }
        claims
    }

    pub(crate) async fn mint(
        &self,
        description: &Description,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        let claims = self.claims(credential.scopes(), cx.clock.now());
        let assertion = self
            .key
            .sign(&claims)
            .map_err(|error| ExchangeError::new(ExchangeClass::Malformed, Sent::No, error))?;
        TokenRequest::to(description, cx, None)
            .without_client()
            .field("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
            .field("assertion", assertion.expose_secret())
            .send("google-drive.mint")
            .await
    }
}
