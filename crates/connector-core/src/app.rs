//! The application's registrations at the providers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use url::{Host, Url};

use crate::account::TenantId;
use crate::error::{Error, ErrorKind, Result};
use crate::name::{InvalidName, name};
use crate::provider_id::ProviderId;

name! {
    /// Which of several registrations at one provider is meant: per-merchant apps, bring-your-own
    /// apps, staging and production.
    AppKey, "app key"
}

impl Default for AppKey {
    /// The registration of a service that has only one: `default`.
    fn default() -> Self {
        Self("default".into())
    }
}

/// A redirect URI (RFC 6749 section 3.1.2), kept and sent byte for byte as it is registered.
///
/// Providers compare redirect URIs as texts, so that `https://app.example` and
/// `https://app.example/` are different ones.
///
/// ```
/// use connector_core::RedirectUri;
/// let uri: RedirectUri = "https://app.example".parse()?;
/// assert_eq!(uri.as_str(), "https://app.example");
/// assert!("http://app.example/callback".parse::<RedirectUri>().is_err());
/// assert!("http://127.0.0.1:3000/callback".parse::<RedirectUri>().is_ok());
/// # Ok::<(), connector_core::InvalidName>(())
/// ```
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RedirectUri {
    text: String,
    url: Url,
}

impl RedirectUri {
    /// The longest redirect URI, in bytes.
    const LONGEST: usize = 2048;

    /// The exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The parsed URL, for its host and path. Its text may differ from the registered one.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

impl FromStr for RedirectUri {
    type Err = InvalidName;

    /// Accepts an https URL, or an http URL of the loopback interface (`localhost`, `127.0.0.1`,
    /// `[::1]`; RFC 8252 section 7.3), without userinfo and fragment (RFC 6749 section 3.1.2).
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::Form {
            what: "redirect URI",
            form: "an https URL, or an http URL of localhost, without user, password and fragment",
        };
        let printable = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\');
        if text.len() > Self::LONGEST || !text.bytes().all(printable) {
            return Err(invalid());
        }
        let url = Url::parse(text).map_err(|_| invalid())?;
        let is_loopback = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        let is_named = matches!(url.host(), Some(Host::Domain(_)));
        let allowed = match url.scheme() {
            "https" => is_named || is_loopback,
            "http" => is_loopback,
            _ => false,
        };
        let bare = url.username().is_empty() && url.password().is_none();
        if allowed && bare && url.fragment().is_none() {
            Ok(Self {
                text: text.to_owned(),
                url,
            })
        } else {
            Err(invalid())
        }
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.text
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectUri({:?})", self.text)
    }
}

/// One registration at a provider: the client id, its secrets and what was agreed with it.
///
/// Secrets can be replaced while the service runs: an [`AppSource`] hands out the new `App`.
#[derive(Clone)]
pub struct App {
    client_id: String,
    client_secrets: Vec<SecretString>,
    redirect_uri: Option<RedirectUri>,
    scopes: Vec<String>,
    webhook_secrets: Vec<SecretString>,
    extra: BTreeMap<String, SecretString>,
}

impl App {
    /// A registration with its client id (RFC 6749 section 2.2).
    #[must_use]
    pub fn new(client_id: impl Into<String>) -> Self {
        Self {
            client_id: client_id.into(),
            client_secrets: Vec::new(),
            redirect_uri: None,
            scopes: Vec::new(),
            webhook_secrets: Vec::new(),
            extra: BTreeMap::new(),
        }
    }

    /// Adds a client secret. The first one is sent; the others still verify what was signed with
    /// them, which is what a rotation needs.
    #[must_use]
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.client_secrets.push(secret.into());
        self
    }

    /// Sets where the provider sends the browser back to (RFC 6749 section 3.1.2), exactly as it is
    /// registered there.
    #[must_use]
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the scopes to ask for. Without them the connector's own defaults are asked for.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a secret that signs webhooks, for providers where it is not the client secret.
    #[must_use]
    pub fn with_webhook_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.webhook_secrets.push(secret.into());
        self
    }

    /// Sets a further value that one provider's connector asks for by name.
    #[must_use]
    pub fn with_extra(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// The client id. A credential remembers the one that obtained it.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// The client secret to send, if the registration has one.
    #[must_use]
    pub fn client_secret(&self) -> Option<&SecretString> {
        self.client_secrets.first()
    }

    /// Every client secret that may have signed something, the current one first.
    #[must_use]
    pub fn client_secrets(&self) -> &[SecretString] {
        &self.client_secrets
    }

    /// Where the provider sends the browser back to.
    #[must_use]
    pub fn redirect_uri(&self) -> Option<&RedirectUri> {
        self.redirect_uri.as_ref()
    }

    /// The scopes to ask for; empty for the connector's defaults.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Every secret that may have signed a webhook, the current one first.
    #[must_use]
    pub fn webhook_secrets(&self) -> &[SecretString] {
        &self.webhook_secrets
    }

    /// A further value by its name.
    #[must_use]
    pub fn extra(&self, name: &str) -> Option<&SecretString> {
        self.extra.get(name)
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App")
            .field("client_id", &self.client_id)
            .field("client_secrets", &self.client_secrets.len())
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("webhook_secrets", &self.webhook_secrets.len())
            .field("extra", &self.extra.keys())
            .finish()
    }
}

/// Where a connector takes its registration from.
///
/// What must hold: the answer is the current registration, because secrets are replaced while the
/// service runs. It may be called often and at once from many tasks, so an implementation that reads
/// a database keeps what it read for some seconds.
#[async_trait]
pub trait AppSource: fmt::Debug + Send + Sync + 'static {
    /// The registration that `tenant` uses at `provider` under the name `app`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is none; [`ErrorKind::StoreUnavailable`] if it cannot
    /// be read now. Nothing is sent to the provider in either case.
    async fn app(&self, provider: &ProviderId, tenant: &TenantId, app: &AppKey)
    -> Result<Arc<App>>;

    /// The one registration that every tenant uses at `provider` under the name `app`. What is
    /// signed with its secrets is delivered to the connections of all tenants.
    ///
    /// Without an override there is none: registrations are the tenants' own.
    ///
    /// # Errors
    /// As for [`AppSource::app`].
    async fn shared(&self, provider: &ProviderId, app: &AppKey) -> Result<Arc<App>> {
        Err(Error::new(
            ErrorKind::Configuration,
            "app_source.shared",
            format!(
                "no registration named {app:?} is shared by all tenants; name the tenant, or \
                 implement AppSource::shared"
            ),
        )
        .with_provider(provider.as_str().to_owned()))
    }
}

/// Registrations that do not change while the service runs: one for everybody, by app key.
#[derive(Debug, Clone, Default)]
pub struct FixedApps {
    apps: BTreeMap<(ProviderId, AppKey), Arc<App>>,
}

impl FixedApps {
    /// No registration yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces a registration.
    #[must_use]
    pub fn with(mut self, provider: ProviderId, app_key: AppKey, app: App) -> Self {
        self.apps.insert((provider, app_key), Arc::new(app));
        self
    }
}

#[async_trait]
impl AppSource for FixedApps {
    async fn app(
        &self,
        provider: &ProviderId,
        _tenant: &TenantId,
        app: &AppKey,
    ) -> Result<Arc<App>> {
        self.shared(provider, app).await
    }

    async fn shared(&self, provider: &ProviderId, app: &AppKey) -> Result<Arc<App>> {
        self.apps
            .get(&(provider.clone(), app.clone()))
            .cloned()
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::Configuration,
                    "app_source.app",
                    format!(
                        "no registration named {app:?} is configured; add it or name another app"
                    ),
                )
                .with_provider(provider.as_str().to_owned())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirect_uri_is_kept_byte_for_byte_and_other_texts_are_refused() {
        for good in [
            "https://app.example",
            "https://app.example/",
            "https://App.Example:443/Callback?x=%20'&y=+",
            "http://localhost:3000/callback",
            "http://127.0.0.1/callback",
            "http://[::1]:8080/",
        ] {
            let uri: RedirectUri = good.parse().unwrap();
            assert_eq!(uri.as_str(), good);
            let json = serde_json::to_string(&uri).unwrap();
            assert_eq!(serde_json::from_str::<RedirectUri>(&json).unwrap(), uri);
        }
        for bad in [
            "",
            "app.example",
            "/callback",
            "http://app.example/",
            "https://user@app.example/",
            "https://:secret@app.example/",
            "https://app.example/#fragment",
            "https://10.0.0.1/",
            "https://app.example/a b",
            "https://app.example/\n",
            "javascript:alert(1)",
            "myapp://callback",
            &format!("https://app.example/{}", "a".repeat(RedirectUri::LONGEST)),
        ] {
            assert!(bad.parse::<RedirectUri>().is_err(), "{bad}");
        }
    }
}
