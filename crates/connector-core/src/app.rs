//! The application's registrations at providers.

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
    /// The name of one of several registrations at a provider, for example per-merchant apps,
    /// customer-owned apps, or staging and production.
    AppKey, "app key"
}

impl Default for AppKey {
    /// Returns `default`, the key for a service that has only one registration.
    fn default() -> Self {
        Self("default".into())
    }
}

/// A redirect URI (RFC 6749 section 3.1.2). It is stored and sent byte for byte as registered.
///
/// Providers compare redirect URIs as plain text: `https://app.example` and `https://app.example/`
/// are different URIs.
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
    /// Maximum length of a redirect URI in bytes.
    const MAX_LEN: usize = 2048;

    /// Returns the exact text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the parsed URL, for its host and path. The text of the parsed URL may differ from
    /// the registered text.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

impl FromStr for RedirectUri {
    type Err = InvalidName;

    /// Parses an https URL, or an http URL with a loopback host (`localhost`, `127.0.0.1`, `[::1]`;
    /// RFC 8252 section 7.3). The URL must not contain userinfo or a fragment (RFC 6749 section
    /// 3.1.2).
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = || InvalidName::Form {
            what: "redirect URI",
            form: "an https URL, or an http URL of localhost, without user, password and fragment",
        };
        let printable = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'<' | b'>' | b'\\');
        if text.len() > Self::MAX_LEN || !text.bytes().all(printable) {
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

/// A registration at a provider, with its client id, secrets and settings.
///
/// Secrets can be replaced while the service runs: an [`AppSource`] returns the new `App`.
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
    /// Creates a registration with a client id (RFC 6749 section 2.2).
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

    /// Adds a client secret. Requests contain only the first secret. The other secrets only verify
    /// existing signatures, so that you can rotate secrets.
    #[must_use]
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.client_secrets.push(secret.into());
        self
    }

    /// Sets the URI to which the provider redirects the browser (RFC 6749 section 3.1.2), exactly
    /// as registered.
    #[must_use]
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the scopes to request. The default is the connector's own list of scopes.
    #[must_use]
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Adds a webhook signing secret, for providers that do not sign webhooks with the client
    /// secret.
    #[must_use]
    pub fn with_webhook_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.webhook_secrets.push(secret.into());
        self
    }

    /// Sets an additional named value that a specific connector requires.
    #[must_use]
    pub fn with_extra(mut self, name: impl Into<String>, value: impl Into<SecretString>) -> Self {
        self.extra.insert(name.into(), value.into());
        self
    }

    /// Returns the client id. Each credential stores the client id that obtained it.
    #[must_use]
    pub fn client_id(&self) -> &str {
        &self.client_id
    }

    /// Returns the client secret to send, if the registration has one.
    #[must_use]
    pub fn client_secret(&self) -> Option<&SecretString> {
        self.client_secrets.first()
    }

    /// Returns all client secrets that may have signed a message, the current one first.
    #[must_use]
    pub fn client_secrets(&self) -> &[SecretString] {
        &self.client_secrets
    }

    /// Returns the URI to which the provider redirects the browser.
    #[must_use]
    pub fn redirect_uri(&self) -> Option<&RedirectUri> {
        self.redirect_uri.as_ref()
    }

    /// Returns the scopes to request; empty for the connector's default scopes.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.scopes
    }

    /// Returns all secrets that may have signed a webhook, the current one first.
    #[must_use]
    pub fn webhook_secrets(&self) -> &[SecretString] {
        &self.webhook_secrets
    }

    /// Returns an additional value by name.
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

/// A source of app registrations for connectors.
///
/// Implementations must return the current registration, because secrets are replaced while the
/// service runs. The methods are called often and concurrently. An implementation that reads from a
/// database should cache the result for a few seconds.
#[async_trait]
pub trait AppSource: fmt::Debug + Send + Sync + 'static {
    /// Returns the registration that `tenant` uses at `provider` under the name `app`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if there is no such registration.
    /// [`ErrorKind::StoreUnavailable`] if the registration cannot be read now. In both cases,
    /// nothing is sent to the provider.
    async fn app(&self, provider: &ProviderId, tenant: &TenantId, app: &AppKey)
    -> Result<Arc<App>>;

    /// Returns the registration that all tenants share at `provider` under the name `app`. Webhooks
    /// signed with its secrets are routed to the connections of all tenants.
    ///
    /// The default implementation returns an error: it treats every registration as
    /// tenant-specific.
    ///
    /// # Errors
    /// Same as [`AppSource::app`].
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

/// A fixed set of registrations, shared by all tenants and keyed by provider and app key.
#[derive(Debug, Clone, Default)]
pub struct FixedApps {
    apps: BTreeMap<(ProviderId, AppKey), Arc<App>>,
}

impl FixedApps {
    /// Creates an empty set.
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
            &format!("https://app.example/{}", "a".repeat(RedirectUri::MAX_LEN)),
        ] {
            assert!(bad.parse::<RedirectUri>().is_err(), "{bad}");
        }
    }
}
