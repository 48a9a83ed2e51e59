//! The settings of the router.

use std::fmt;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::{Error, ErrorKind, ProviderId, Result};
use connector_hub::Hub;
use futures_util::FutureExt as _;
use futures_util::future::{BoxFuture, Shared};
use secrecy::SecretString;
use url::{Host, Url};

use crate::limit::Quota;
use crate::returns::{Returns, Template};
use crate::signing::Signer;

/// The settings of [`router`](crate::router).
///
/// ```
/// use std::time::Duration;
/// use connector_axum::RouterConfig;
///
/// # fn example(signing_key: secrecy::SecretString) -> connector_core::Result<()> {
/// // The router is mounted at `/integrations` of the service at https://app.example.
/// let site_url = "https://app.example/integrations".parse().unwrap();
/// let config = RouterConfig::new(site_url, signing_key, "/settings/connections")
///     .with_return("onboarding", "/welcome/step-3")
///     .with_allowed_return("https://{tenant}.app.example/*")
///     .with_connect_limit(20, Duration::from_secs(60));
/// # let _ = config;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
#[must_use]
pub struct RouterConfig {
    site_url: Url,
    signing_key: SecretString,
    default_return: String,
    named_returns: Vec<(String, String)>,
    allowed_returns: Vec<String>,
    is_browser_anonymous: bool,
    pub(crate) is_enveloped: bool,
    pub(crate) connect_limit: Quota,
    pub(crate) callback_limit: Quota,
    pub(crate) body_limit: usize,
    pub(crate) webhook_body_limit: usize,
    pub(crate) body_deadline: Duration,
    pub(crate) live_interval: Duration,
    pub(crate) live_connections: usize,
    pub(crate) shutdown: Shutdown,
    pub(crate) webhook_secrets: Option<Arc<dyn WebhookSecretHandler>>,
}

/// A future that completes when the service shuts down.
pub(crate) type Shutdown = Shared<BoxFuture<'static, ()>>;

/// Stores webhook secrets that providers send in a handshake, for example Notion.
#[async_trait]
pub trait WebhookSecretHandler: Send + Sync + 'static {
    /// Stores a secret, sealed, and configures it for the provider's registration.
    ///
    /// Anybody can send such a handshake: the router calls this method for a request whose sender is
    /// not known. Store the secret only while an operator expects it, and never overwrite a secret
    /// that is in use: keep the new one aside until an operator has compared it with the provider's
    /// settings page. Some connectors have a switch of their own, for example the `HandshakeSwitch`
    /// of Notion, which refuses handshakes that no operator expects.
    ///
    /// # Errors
    /// Any error. The handshake is then not acknowledged.
    async fn store(&self, provider: &ProviderId, secret: SecretString) -> Result<()>;
}

impl fmt::Debug for RouterConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RouterConfig")
            .field("site_url", &self.site_url.as_str())
            .field("default_return", &self.default_return)
            .finish_non_exhaustive()
    }
}

impl RouterConfig {
    /// Creates settings with defaults.
    ///
    /// * `site_url`: the public address at which the router is mounted (`SITE_URL`), without a
    ///   trailing slash. It determines the callback addresses: `{site_url}/v1/callback/{provider}`.
    ///   It must be https, except on this machine.
    /// * `signing_key`: at least 32 random bytes, for CSRF tokens and tickets. Use the same key in
    ///   every process.
    /// * `default_return`: the address to which the callback redirects the browser, unless the flow
    ///   has another one. A path of the service, or an absolute https address. `{tenant}` as the
    ///   first label of the host or as a segment of the path is replaced with the tenant's id.
    pub fn new(
        site_url: Url,
        signing_key: SecretString,
        default_return: impl Into<String>,
    ) -> Self {
        let per_minute = |requests| Quota {
            requests,
            window: Duration::from_secs(60),
        };
        Self {
            site_url,
            signing_key,
            default_return: default_return.into(),
            named_returns: Vec::new(),
            allowed_returns: Vec::new(),
            is_browser_anonymous: false,
            is_enveloped: false,
            connect_limit: per_minute(30),
            callback_limit: per_minute(60),
            body_limit: 16 * 1024,
            webhook_body_limit: 1024 * 1024,
            body_deadline: Duration::from_secs(10),
            live_interval: Duration::from_millis(500),
            live_connections: 1000,
            shutdown: pending().boxed().shared(),
            webhook_secrets: None,
        }
    }

    /// Adds a return address with a name, which requests use as `return_to`.
    pub fn with_return(mut self, name: impl Into<String>, address: impl Into<String>) -> Self {
        self.named_returns.push((name.into(), address.into()));
        self
    }

    /// Allows requests to name this return address, with any query. An address that ends with `/*`
    /// also allows all addresses below it.
    pub fn with_allowed_return(mut self, address: impl Into<String>) -> Self {
        self.allowed_returns.push(address.into());
        self
    }

    /// States that browsers have no login at this service. Tickets and callbacks are then accepted
    /// without [`Access::identify`](crate::Access::identify): only the ticket's signature and the
    /// binding cookie protect a flow.
    ///
    /// Anybody who receives a ticket can then connect an account for its tenant. An attacker who can
    /// set cookies, for example from a subdomain, can connect the attacker's account to a victim's
    /// tenant. Leave this off if your users log in.
    pub const fn with_anonymous_browsers(mut self) -> Self {
        self.is_browser_anonymous = true;
        self
    }

    /// Wraps JSON responses in `{ success, data, timestamp, requestId }`. In responses to refused
    /// requests, `error` contains the problem details instead of `data`. Default: off.
    pub const fn with_envelope(mut self) -> Self {
        self.is_enveloped = true;
        self
    }

    /// Sets the maximum number of started connect flows, tickets and adoptions of a tenant per time
    /// window, in this process. Default: 30 per minute.
    pub const fn with_connect_limit(mut self, requests: u32, window: Duration) -> Self {
        self.connect_limit = Quota { requests, window };
        self
    }

    /// Sets the maximum number of callbacks of a tenant per time window, in this process. Default:
    /// 60 per minute.
    pub const fn with_callback_limit(mut self, requests: u32, window: Duration) -> Self {
        self.callback_limit = Quota { requests, window };
        self
    }

    /// Sets the maximum size of a request's body, in bytes, except for webhooks. Default: 16 KiB.
    pub const fn with_body_limit(mut self, bytes: usize) -> Self {
        self.body_limit = bytes;
        self
    }

    /// Sets the maximum size of a webhook delivery, in bytes. Default: 1 MiB.
    pub const fn with_webhook_body_limit(mut self, bytes: usize) -> Self {
        self.webhook_body_limit = bytes;
        self
    }

    /// Sets the maximum time for the arrival of a request's body. Default: 10 seconds.
    pub const fn with_body_deadline(mut self, deadline: Duration) -> Self {
        self.body_deadline = deadline;
        self
    }

    /// Sets the interval at which live streams read the connections of a tenant. All streams of a
    /// tenant in this process share the reads. Default: 500 milliseconds.
    pub const fn with_live_interval(mut self, interval: Duration) -> Self {
        self.live_interval = interval;
        self
    }

    /// Sets the maximum number of connections in a live stream. If a tenant has more, the stream
    /// contains the first ones and an event `truncated`. Default: 1,000.
    pub const fn with_live_connections(mut self, connections: usize) -> Self {
        self.live_connections = connections;
        self
    }

    /// Sets the signal that the service shuts down, for example the future that axum's
    /// `with_graceful_shutdown` waits for. Live streams then end. Without it, an open stream delays a
    /// graceful shutdown by up to 15 minutes.
    pub fn with_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = signal.boxed().shared();
        self
    }

    /// Sets the handler of webhook secrets that arrive in handshakes. Without a handler, such a
    /// handshake is refused.
    pub fn with_webhook_secrets(mut self, handler: impl WebhookSecretHandler) -> Self {
        self.webhook_secrets = Some(Arc::new(handler));
        self
    }

    /// Checks the settings, also against the registrations of the hub's connectors.
    pub(crate) async fn checked(self, hub: &Hub) -> Result<Checked> {
        let site = checked_site(&self.site_url)?;
        if self.connect_limit.window.is_zero() || self.callback_limit.window.is_zero() {
            return Err(wrong(
                "the time window of a request limit is zero; for no limit, set u32::MAX requests",
            ));
        }
        if self.live_interval.is_zero() {
            return Err(wrong("the interval of live streams is zero"));
        }
        for connector in hub.connectors() {
            let provider = &connector.provider;
            if let Some(uri) = hub.redirect_uri(provider).await? {
                check_redirect(&site, provider, uri.url())?;
            }
        }
        let returns = Returns {
            default: Template::parse(&site, &self.default_return, false)?,
            named: self
                .named_returns
                .iter()
                .map(|(name, text)| {
                    let is_name = !name.is_empty()
                        && name
                            .bytes()
                            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'));
                    if !is_name {
                        return Err(wrong(
                            "the name of a return address has only letters, digits, `-` and `_`",
                        ));
                    }
                    Ok((name.clone(), Template::parse(&site, text, false)?))
                })
                .collect::<Result<_>>()?,
            allowed: self
                .allowed_returns
                .iter()
                .map(|text| Template::parse(&site, text, true))
                .collect::<Result<_>>()?,
            site: site.clone(),
        };
        Ok(Checked {
            base: site.as_str().trim_end_matches('/').to_owned(),
            origin: site.origin().ascii_serialization(),
            is_https: site.scheme() == "https",
            is_browser_anonymous: self.is_browser_anonymous,
            signer: Signer::new(&self.signing_key)?,
            returns,
            config: self,
        })
    }
}

/// Settings that have been checked.
#[derive(Debug)]
pub(crate) struct Checked {
    /// The public address of the router, without a trailing slash.
    pub(crate) base: String,
    pub(crate) origin: String,
    pub(crate) is_https: bool,
    pub(crate) is_browser_anonymous: bool,
    pub(crate) signer: Signer,
    pub(crate) returns: Returns,
    pub(crate) config: RouterConfig,
}

pub(crate) fn checked_site(url: &Url) -> Result<Url> {
    let is_plain = matches!(url.scheme(), "http" | "https")
        && url.host_str().is_some_and(|host| !host.is_empty())
        && url.username().is_empty()
        && url.password().is_none()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_plain {
        return Err(wrong(
            "the site URL must be an http or https address without user, query and fragment",
        ));
    }
    if url.scheme() == "http" && !is_loopback(url) {
        return Err(wrong(
            "the site URL is plain http; browsers do not store the Secure cookie that binds a \
             connect flow, so use https (http is possible on this machine only)",
        ));
    }
    Ok(url.clone())
}

fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

/// Refuses a registration whose callbacks do not arrive at this router, or arrive without the
/// binding cookie.
fn check_redirect(site: &Url, provider: &ProviderId, uri: &Url) -> Result<()> {
    let base = site.as_str().trim_end_matches('/');
    let expected = format!("{base}/v1/callback/{provider}");
    if uri.as_str() == expected {
        return Ok(());
    }
    let message = if is_loopback(site) && is_loopback(uri) && site.host() != uri.host() {
        "the site URL and the redirect URI use different names of this machine (localhost and \
         127.0.0.1); browsers keep their cookies apart, so use the same name in both"
            .to_owned()
    } else {
        format!(
            "the redirect URI of the registration `default` is not the callback of this service; \
             it must be {{site_url}}/v1/callback/{provider}"
        )
    };
    Err(Error::new(ErrorKind::Configuration, "axum.config", message)
        .with_provider(provider.as_str().to_owned()))
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "axum.config", message)
}
