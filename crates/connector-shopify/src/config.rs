//! How the connector is set up, in code or from the environment.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use connector_core::http::{LoopbackOverride, Origin};
use connector_core::{App, AppKey, AppSource, Error, ErrorKind, FixedApps, Result};
use secrecy::{ExposeSecret, SecretString};
use url::{Host, Url};

use crate::Shopify;
use crate::account::{HostRule, ShopDomain};

const OPERATION: &str = "shopify.config";
/// How far a callback's timestamp may lie from now, in both directions.
const CALLBACK_WINDOW: Duration = Duration::from_secs(90);

/// One setting of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Another name under which it is found too: that of Shopify's own templates.
    pub alias: Option<&'static str>,
    /// True if the others do not work without it.
    pub required: bool,
    /// What it holds.
    pub purpose: &'static str,
}

const fn variable(
    name: &'static str,
    alias: Option<&'static str>,
    required: bool,
    purpose: &'static str,
) -> Variable {
    Variable {
        name,
        alias,
        required,
        purpose,
    }
}

const CLIENT_ID: Variable = variable(
    "SHOPIFY_CLIENT_ID",
    Some("SHOPIFY_API_KEY"),
    true,
    "client ID of the app in the Dev Dashboard",
);
const CLIENT_SECRET: Variable = variable(
    "SHOPIFY_CLIENT_SECRET",
    Some("SHOPIFY_API_SECRET"),
    true,
    "client secret of the app",
);
const CLIENT_SECRET_OLD: Variable = variable(
    "SHOPIFY_CLIENT_SECRET_OLD",
    Some("SHOPIFY_API_SECRET_OLD"),
    false,
    "client secret from before a rotation: it still verifies, and is never sent",
);
const REDIRECT_URI: Variable = variable(
    "SHOPIFY_REDIRECT_URI",
    None,
    true,
    "where Shopify sends the browser back to; on the app's list of allowed redirection URLs",
);
const SCOPES: Variable = variable(
    "SHOPIFY_SCOPES",
    Some("SCOPES"),
    false,
    "scopes to ask for, separated by commas; without it `read_products`",
);
const BASE_URL: Variable = variable(
    "SHOPIFY_BASE_URL",
    None,
    false,
    "a simulator on this machine and the one shop that it stands for, as \
     `http://127.0.0.1:4010/demo-shop.myshopify.com`",
);

/// Every setting that [`ShopifyConfig::from_env`] reads.
pub const VARIABLES: &[Variable] = &[
    CLIENT_ID,
    CLIENT_SECRET,
    CLIENT_SECRET_OLD,
    REDIRECT_URI,
    SCOPES,
    BASE_URL,
];

/// How [`Shopify`] is set up.
#[derive(Clone)]
pub struct ShopifyConfig {
    pub(crate) app: Option<App>,
    pub(crate) app_key: AppKey,
    pub(crate) callback_window: Duration,
    pub(crate) host_rule: HostRule,
    pub(crate) uninstalls_on_disconnect: bool,
    loopbacks: Vec<LoopbackOverride>,
}

impl ShopifyConfig {
    /// Settings with their defaults and no registration.
    pub fn builder() -> ShopifyConfigBuilder {
        ShopifyConfigBuilder {
            client_id: None,
            client_secrets: Vec::new(),
            redirect_uri: None,
            scopes: Vec::new(),
            app_key: AppKey::default(),
            callback_window: CALLBACK_WINDOW,
            host_rule: HostRule::default(),
            uninstalls_on_disconnect: false,
            simulated: Vec::new(),
        }
    }

    /// Reads [`VARIABLES`] from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the variable that is missing or wrong, never its value.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(environment)
    }

    /// Reads [`VARIABLES`] from where the application keeps them. `lookup` gives the value of a
    /// name, or nothing.
    ///
    /// # Errors
    /// As for [`ShopifyConfig::from_env`], and those of `lookup`.
    pub fn from_variables(
        lookup: impl Fn(&'static str) -> Result<Option<SecretString>>,
    ) -> Result<Self> {
        let read = |variable: &Variable| -> Result<Option<SecretString>> {
            let set = |name| {
                lookup(name).map(|value| value.filter(|it| !it.expose_secret().trim().is_empty()))
            };
            let own = set(variable.name)?;
            let alias = variable.alias.map(set).transpose()?.flatten();
            match (own, alias) {
                (Some(own), Some(alias)) if own.expose_secret() != alias.expose_secret() => {
                    Err(wrong(format!(
                        "{} and {} are both set, and differ; keep one of them",
                        variable.name,
                        variable.alias.unwrap_or_default()
                    )))
                }
                (own, alias) => Ok(own.or(alias)),
            }
        };
        for variable in VARIABLES.iter().filter(|it| it.required) {
            if read(variable)?.is_none() {
                return Err(missing(variable));
            }
        }
        let text = |variable: &Variable| -> Result<Option<String>> {
            Ok(read(variable)?.map(|value| value.expose_secret().trim().to_owned()))
        };
        let mut builder = Self::builder();
        if let Some(client_id) = text(&CLIENT_ID)? {
            builder = builder.with_client_id(client_id);
        }
        for variable in [&CLIENT_SECRET, &CLIENT_SECRET_OLD] {
            if let Some(secret) = text(variable)? {
                builder = builder.with_client_secret(secret);
            }
        }
        if let Some(redirect_uri) = text(&REDIRECT_URI)? {
            let url = Url::parse(&redirect_uri)
                .ok()
                .filter(is_redirect_uri)
                .ok_or_else(|| {
                    wrong(format!(
                        "{} is not a redirection URL; {REDIRECT_FORM}",
                        REDIRECT_URI.name
                    ))
                })?;
            builder = builder.with_redirect_uri(url);
        }
        if let Some(scopes) = text(&SCOPES)? {
            let scopes: Vec<String> = scopes
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|scope| !scope.is_empty())
                .map(str::to_owned)
                .collect();
            if !scopes.iter().all(|scope| is_scope(scope)) {
                return Err(wrong(format!("{} {SCOPE_FORM}", SCOPES.name)));
            }
            builder = builder.with_scopes(scopes);
        }
        if let Some(base_url) = text(&BASE_URL)? {
            let (shop, address) = simulated(&base_url).ok_or_else(|| {
                wrong(format!(
                    "{} names no simulator on this machine; write it as \
                     http://127.0.0.1:4010/demo-shop.myshopify.com",
                    BASE_URL.name
                ))
            })?;
            builder = builder.with_simulated_shop(shop, address);
        }
        builder.build()
    }

    /// Settings for a simulator: its registration, and the way to every shop that it has now.
    ///
    /// # Errors
    /// As for [`ShopifyConfigBuilder::build`].
    #[cfg(feature = "sim")]
    pub fn for_simulator(simulator: &crate::sim::Simulator) -> Result<Self> {
        let mut builder = Self::builder()
            .with_client_id(simulator.client_id())
            .with_client_secret(simulator.client_secret())
            .with_redirect_uri(simulator.redirect_uri().clone());
        for shop in simulator.shops() {
            builder = builder.with_simulated_shop(shop, simulator.address());
        }
        builder.build()
    }

    /// The loopback overrides of simulated shops, for the transport's `with_loopback`. Empty unless a
    /// simulator is configured.
    #[must_use]
    pub fn loopbacks(&self) -> &[LoopbackOverride] {
        &self.loopbacks
    }

    /// The registration as the hub asks for it.
    pub(crate) fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        let app = self.app.clone()?;
        Some(Arc::new(FixedApps::new().with(
            Shopify::ID,
            self.app_key.clone(),
            app,
        )))
    }
}

impl fmt::Debug for ShopifyConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopifyConfig")
            .field("app", &self.app)
            .field("app_key", &self.app_key)
            .field("callback_window", &self.callback_window)
            .field("host_rule", &self.host_rule)
            .field("uninstalls_on_disconnect", &self.uninstalls_on_disconnect)
            .field("loopbacks", &self.loopbacks)
            .finish()
    }
}

/// Collects a [`ShopifyConfig`].
#[derive(Clone)]
#[must_use]
pub struct ShopifyConfigBuilder {
    client_id: Option<String>,
    client_secrets: Vec<SecretString>,
    redirect_uri: Option<Url>,
    scopes: Vec<String>,
    app_key: AppKey,
    callback_window: Duration,
    host_rule: HostRule,
    uninstalls_on_disconnect: bool,
    simulated: Vec<(ShopDomain, SocketAddr)>,
}

impl ShopifyConfigBuilder {
    /// Sets the client ID. Without one, the hub needs an [`AppSource`] of the application's.
    pub fn with_client_id(mut self, client_id: impl Into<String>) -> Self {
        self.client_id = Some(client_id.into());
        self
    }

    /// Adds a client secret. The first is sent; all of them verify what Shopify signed, which is
    /// what a rotation of the secret needs.
    pub fn with_client_secret(mut self, secret: impl Into<SecretString>) -> Self {
        self.client_secrets.push(secret.into());
        self
    }

    /// Sets where Shopify sends the browser back to: https, or http to this machine.
    pub fn with_redirect_uri(mut self, redirect_uri: Url) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the scopes to ask for. Without them it is `read_products`.
    pub fn with_scopes<S: Into<String>>(mut self, scopes: impl IntoIterator<Item = S>) -> Self {
        self.scopes = scopes.into_iter().map(Into::into).collect();
        self
    }

    /// Sets the name of the registration. Without it, `default`.
    pub fn with_app_key(mut self, app_key: AppKey) -> Self {
        self.app_key = app_key;
        self
    }

    /// Sets how far a callback's timestamp may lie from now, in both directions. Default: 90
    /// seconds, as in Shopify's own library.
    pub fn with_callback_window(mut self, window: Duration) -> Self {
        self.callback_window = window;
        self
    }

    /// Takes hosts under Shopify's own `myshopify.io`, `shop.dev` and `shopify.com` for shops, too.
    /// For people who work there: the client secret is sent to such hosts.
    pub fn with_internal_domains(mut self) -> Self {
        self.host_rule.internal = true;
        self
    }

    /// Uninstalls the app from a shop whose connection ends. Shopify has no revocation of tokens
    /// (RFC 7009): without this a disconnect forgets the credential, and the app stays installed.
    ///
    /// Uninstalling is final for the shop's owner: webhooks, script tags and billing of the app end
    /// with it.
    pub fn with_uninstall_on_disconnect(mut self) -> Self {
        self.uninstalls_on_disconnect = true;
        self
    }

    /// Reaches `shop` at a simulator on this machine. `address` is a loopback address.
    pub fn with_simulated_shop(mut self, shop: ShopDomain, address: SocketAddr) -> Self {
        self.simulated.push((shop, address));
        self
    }

    /// Checks the settings.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the setting that is missing or wrong, never its value.
    pub fn build(self) -> Result<ShopifyConfig> {
        let app = match self.client_id {
            Some(client_id) => Some(app(
                client_id,
                self.client_secrets,
                self.redirect_uri,
                self.scopes,
            )?),
            None if self.client_secrets.is_empty()
                && self.redirect_uri.is_none()
                && self.scopes.is_empty() =>
            {
                None
            }
            None => return Err(missing(&CLIENT_ID)),
        };
        let loopbacks = self
            .simulated
            .into_iter()
            .map(|(shop, address)| {
                let origin = Origin::parse(&format!("https://{shop}"))?;
                LoopbackOverride::new(origin, address)
            })
            .collect::<Result<_>>()?;
        Ok(ShopifyConfig {
            app,
            app_key: self.app_key,
            callback_window: self.callback_window,
            host_rule: self.host_rule,
            uninstalls_on_disconnect: self.uninstalls_on_disconnect,
            loopbacks,
        })
    }
}

impl fmt::Debug for ShopifyConfigBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ShopifyConfigBuilder")
            .field("client_id", &self.client_id)
            .field("client_secrets", &self.client_secrets.len())
            .finish_non_exhaustive()
    }
}

const REDIRECT_FORM: &str = "it is an https URL without a fragment, or http to this machine";
const SCOPE_FORM: &str = "is a list of scopes such as read_products, separated by commas";

fn app(
    client_id: String,
    client_secrets: Vec<SecretString>,
    redirect_uri: Option<Url>,
    scopes: Vec<String>,
) -> Result<App> {
    let is_text = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if !is_text(&client_id) {
        return Err(wrong(format!(
            "{} has characters that no client ID has",
            CLIENT_ID.name
        )));
    }
    if client_secrets.is_empty() {
        return Err(missing(&CLIENT_SECRET));
    }
    let unusable = client_secrets
        .iter()
        .position(|it| !is_text(it.expose_secret()));
    if let Some(at) = unusable {
        let variable = if at == 0 {
            &CLIENT_SECRET
        } else {
            &CLIENT_SECRET_OLD
        };
        return Err(wrong(format!(
            "{} has characters that no client secret has",
            variable.name
        )));
    }
    if !scopes.iter().all(|scope| is_scope(scope)) {
        return Err(wrong(format!("{} {SCOPE_FORM}", SCOPES.name)));
    }
    let mut app = App::new(client_id).with_scopes(scopes);
    for secret in client_secrets {
        app = app.with_client_secret(secret);
    }
    if let Some(redirect_uri) = redirect_uri {
        if !is_redirect_uri(&redirect_uri) {
            return Err(wrong(format!("{}: {REDIRECT_FORM}", REDIRECT_URI.name)));
        }
        app = app.with_redirect_uri(redirect_uri);
    }
    Ok(app)
}

fn is_redirect_uri(url: &Url) -> bool {
    let is_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return false,
    };
    url.fragment().is_none() && (url.scheme() == "https" || (url.scheme() == "http" && is_here))
}

fn is_scope(scope: &str) -> bool {
    !scope.is_empty()
        && scope
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

/// `http://<loopback address>:<port>/<shop>`, taken apart.
fn simulated(text: &str) -> Option<(ShopDomain, SocketAddr)> {
    let (address, shop) = text.strip_prefix("http://")?.split_once('/')?;
    let address: SocketAddr = address.parse().ok()?;
    if !address.ip().is_loopback() || address.port() == 0 {
        return None;
    }
    Some((ShopDomain::parse(shop).ok()?, address))
}

fn missing(variable: &Variable) -> Error {
    let alias = variable
        .alias
        .map(|alias| format!(" (or {alias})"))
        .unwrap_or_default();
    wrong(format!(
        "{}{alias} is not set: {}",
        variable.name, variable.purpose
    ))
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Configuration, OPERATION, message)
        .with_provider(Shopify::ID.as_str().to_owned())
}

/// Reads one variable of the environment.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
fn environment(name: &'static str) -> Result<Option<SecretString>> {
    match std::env::var(name) {
        Ok(text) => Ok(Some(SecretString::from(text))),
        Err(std::env::VarError::NotPresent) => Ok(None),
        Err(std::env::VarError::NotUnicode(_)) => Err(wrong(format!("{name} is not text"))),
    }
}
