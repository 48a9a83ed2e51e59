//! Settings of an app registration, read from environment variables.
//!
//! No other module reads the environment.

use std::collections::BTreeMap;
use std::env::VarError;
use std::fmt::{self, Write as _};
use std::net::SocketAddr;

use secrecy::ExposeSecret;
#[doc(hidden)]
pub use secrecy::SecretString;
use url::{Host, Url};
use zeroize::Zeroize;

use crate::app::{App, RedirectUri};
use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "config.app_settings";
/// Maximum length of a variable's value, in bytes.
const MAX_LEN: usize = 8 * 1024;

/// An environment variable that configures a provider's connector.
///
/// A provider crate defines its variables in one constant table. [`AppSettings::read`], the README
/// table ([`markdown`]) and the error messages are all generated from that table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Variable {
    /// Name of the variable, for example `ACME_CLIENT_ID`.
    pub name: &'static str,
    /// Alternative name for the same setting, for example the name that the provider's own
    /// templates use.
    pub alias: Option<&'static str>,
    /// True if the connector requires this variable.
    pub required: bool,
    /// The setting that the variable holds.
    pub setting: Setting,
    /// Short description, without a final full stop.
    pub purpose: &'static str,
}

impl Variable {
    /// Returns an optional variable.
    #[must_use]
    pub const fn new(name: &'static str, setting: Setting, purpose: &'static str) -> Self {
        Self {
            name,
            alias: None,
            required: false,
            setting,
            purpose,
        }
    }

    /// Sets an alternative name for the same setting.
    #[must_use]
    pub const fn with_alias(mut self, alias: &'static str) -> Self {
        self.alias = Some(alias);
        self
    }

    /// Makes the variable required.
    #[must_use]
    pub const fn required(mut self) -> Self {
        self.required = true;
        self
    }

    /// Returns the error for a missing value.
    #[must_use]
    pub fn missing(&self) -> Error {
        let alias = self.alias.map(|alias| format!(" (or {alias})"));
        let alias = alias.unwrap_or_default();
        wrong(format!("{}{alias} is not set: {}", self.name, self.purpose))
    }

    /// Returns the error for a malformed value.
    ///
    /// The message consists of the variable's name and `form`. `form` must not contain the value.
    #[must_use]
    pub fn malformed(&self, form: &str) -> Error {
        wrong(format!("{} {form}", self.name))
    }
}

/// The setting that a [`Variable`] holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Setting {
    /// The client id.
    ClientId,
    /// The client secret.
    ClientSecret,
    /// The previous client secret, during a rotation. This secret only verifies signatures and is
    /// never sent.
    OldClientSecret,
    /// The redirect URI, exactly as registered.
    RedirectUri,
    /// Scopes, separated by commas or whitespace.
    Scopes,
    /// The webhook signing secret, if it differs from the client secret.
    WebhookSecret,
    /// URL of a simulator on this machine, for example `http://127.0.0.1:4010`, with a path if the
    /// provider's simulator needs one.
    BaseUrl,
    /// An additional value that the connector reads by this name. See [`App::extra`].
    Extra(&'static str),
}

/// Settings of an app registration, read with a table of variables.
///
/// ```
/// use connector_core::provider::config::{AppSettings, Setting, Variable};
///
/// const VARIABLES: &[Variable] = &[
///     Variable::new("ACME_CLIENT_ID", Setting::ClientId, "client id of the app").required(),
///     Variable::new("ACME_CLIENT_SECRET", Setting::ClientSecret, "client secret").required(),
///     Variable::new("ACME_SCOPES", Setting::Scopes, "scopes to request"),
/// ];
/// let settings = AppSettings::read(VARIABLES, |name| {
///     Ok((name != "ACME_SCOPES").then(|| "example".to_owned().into()))
/// })?;
/// assert_eq!(settings.client_id.as_deref(), Some("example"));
///
/// let error = AppSettings::read(VARIABLES, |_| Ok(None)).unwrap_err();
/// assert_eq!(error.message(), "ACME_CLIENT_ID is not set: client id of the app");
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Clone, Default)]
#[non_exhaustive]
pub struct AppSettings {
    /// The client id.
    pub client_id: Option<String>,
    /// The client secrets, the current one first.
    pub client_secrets: Vec<SecretString>,
    /// The redirect URI.
    pub redirect_uri: Option<RedirectUri>,
    /// The scopes.
    pub scopes: Vec<String>,
    /// The webhook signing secrets.
    pub webhook_secrets: Vec<SecretString>,
    /// The address of the simulator on this machine.
    pub base_url: Option<BaseUrl>,
    /// Additional values, keyed by the names that the connector uses.
    pub extra: BTreeMap<&'static str, SecretString>,
}

/// The address of a simulator on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct BaseUrl {
    /// The address and port, on the loopback interface.
    pub address: SocketAddr,
    /// The path without its leading slash. Empty if there is no path.
    pub path: String,
}

impl AppSettings {
    /// Reads the variables in `table` from the environment.
    ///
    /// # Errors
    /// See [`AppSettings::read`]. A value that is not valid Unicode counts as malformed.
    pub fn from_env(table: &[Variable]) -> Result<Self> {
        Self::read(table, environment)
    }

    /// Reads the variables in `table` with `lookup`.
    ///
    /// `lookup` returns the value for a name, or `None`. A value that consists only of whitespace
    /// counts as absent.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if a variable is missing, malformed, or has different values
    /// under its two names. The error names the first such variable and never contains a value.
    /// Errors from `lookup` are returned unchanged.
    pub fn read(
        table: &[Variable],
        lookup: impl Fn(&'static str) -> Result<Option<SecretString>>,
    ) -> Result<Self> {
        let mut values = Vec::with_capacity(table.len());
        for variable in table {
            match value(variable, &lookup)? {
                Some(value) => values.push((variable, value)),
                None if variable.required => return Err(variable.missing()),
                None => {}
            }
        }
        let mut settings = Self::default();
        let mut old = Vec::new();
        for (variable, value) in values {
            let text = value.expose_secret().trim();
            match variable.setting {
                Setting::ClientId => settings.client_id = Some(token(variable, text)?.to_owned()),
                Setting::ClientSecret => settings.client_secrets.push(secret(variable, text)?),
                Setting::OldClientSecret => old.push(secret(variable, text)?),
                Setting::WebhookSecret => settings.webhook_secrets.push(secret(variable, text)?),
                Setting::RedirectUri => {
                    settings.redirect_uri = Some(text.parse().map_err(|_| {
                        variable.malformed(
                            "is not a valid redirect URI; use an https URL without a fragment, or \
                             an http URL of this machine",
                        )
                    })?);
                }
                Setting::Scopes => settings.scopes = scopes(variable, text)?,
                Setting::BaseUrl => settings.base_url = Some(base_url(variable, text)?),
                // A key file has several lines, so line breaks are allowed here.
                Setting::Extra(_) if text.contains('\0') => {
                    return Err(variable.malformed("contains a NUL character; copy it again"));
                }
                Setting::Extra(name) => {
                    settings.extra.insert(name, SecretString::from(text));
                }
            }
        }
        // The current secret comes first, whatever the order of the table.
        settings.client_secrets.extend(old);
        Ok(settings)
    }

    /// Checks the settings, which code may have changed, and returns the app registration.
    ///
    /// The checks are those of [`AppSettings::read`]. Errors name the variables in `table`. Returns
    /// `None` if no setting of the registration is set.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the client id is missing or malformed, or if a secret is
    /// malformed.
    pub fn checked_app(&self, table: &[Variable]) -> Result<Option<App>> {
        let named = |setting: Setting| {
            let variable = table.iter().find(|it| it.setting == setting);
            let unnamed = Variable::new(
                "a setting of the app",
                setting,
                "see the connector's settings",
            );
            variable.copied().unwrap_or(unnamed)
        };
        let Some(client_id) = &self.client_id else {
            let is_empty = self.client_secrets.is_empty()
                && self.webhook_secrets.is_empty()
                && self.redirect_uri.is_none()
                && self.scopes.is_empty();
            return if is_empty {
                Ok(None)
            } else {
                Err(named(Setting::ClientId).missing())
            };
        };
        let check = |setting, text: &str| {
            let variable = named(setting);
            if text.is_empty() {
                return Err(variable.missing());
            }
            token(&variable, text).map(drop)
        };
        check(Setting::ClientId, client_id)?;
        for (at, secret) in self.client_secrets.iter().enumerate() {
            let is_current = at == 0;
            let setting = if is_current {
                Setting::ClientSecret
            } else {
                Setting::OldClientSecret
            };
            check(setting, secret.expose_secret())?;
        }
        for secret in &self.webhook_secrets {
            check(Setting::WebhookSecret, secret.expose_secret())?;
        }
        Ok(self.app())
    }

    /// Returns the app registration, or `None` without a client id.
    #[must_use]
    pub fn app(&self) -> Option<App> {
        let mut app = App::new(self.client_id.as_deref()?).with_scopes(&self.scopes);
        for secret in &self.client_secrets {
            app = app.with_client_secret(secret.clone());
        }
        for secret in &self.webhook_secrets {
            app = app.with_webhook_secret(secret.clone());
        }
        if let Some(redirect_uri) = &self.redirect_uri {
            app = app.with_redirect_uri(redirect_uri.clone());
        }
        let extra = self.extra.iter();
        Some(extra.fold(app, |app, (name, value)| {
            app.with_extra(*name, value.clone())
        }))
    }
}

/// Shows only the number of secrets.
impl fmt::Debug for AppSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSettings")
            .field("client_id", &self.client_id)
            .field("client_secrets", &self.client_secrets.len())
            .field("redirect_uri", &self.redirect_uri)
            .field("scopes", &self.scopes)
            .field("webhook_secrets", &self.webhook_secrets.len())
            .field("base_url", &self.base_url)
            .field("extra", &self.extra.keys())
            .finish()
    }
}

/// Defines how the configuration of a provider is read: the functions `from_env`, `from_variables`
/// and `loopbacks`. Their errors name the provider.
///
/// The configuration has a field `loopbacks: Vec<LoopbackOverride>`, and a function
/// `of(AppSettings) -> Result<Self>` that checks the settings.
///
/// ```
/// use connector_core::http::LoopbackOverride;
/// use connector_core::provider::config::{AppSettings, Setting, Variable};
/// use connector_core::{App, ProviderId, Result};
///
/// /// All variables that [`AcmeConfig::from_env`] reads.
/// pub const VARIABLES: &[Variable] =
///     &[Variable::new("ACME_CLIENT_ID", Setting::ClientId, "client id of the app").required()];
///
/// /// The configuration of the connector for Acme.
/// pub struct AcmeConfig {
///     app: Option<App>,
///     loopbacks: Vec<LoopbackOverride>,
/// }
///
/// connector_core::provider::provider_config! {
///     AcmeConfig for ProviderId::from_static("acme"), read from VARIABLES
/// }
///
/// impl AcmeConfig {
///     fn of(settings: AppSettings) -> Result<Self> {
///         Ok(Self { app: settings.checked_app(VARIABLES)?, loopbacks: Vec::new() })
///     }
/// }
///
/// let config = AcmeConfig::from_variables(|_| Ok(Some("example".to_owned().into())))?;
/// assert_eq!(config.app.unwrap().client_id(), "example");
/// let error = AcmeConfig::from_variables(|_| Ok(None)).err().unwrap();
/// assert_eq!(error.provider(), Some("acme"));
/// # Ok::<(), connector_core::Error>(())
/// ```
#[macro_export]
macro_rules! provider_config {
    ($config:ident for $provider:expr, read from $variables:ident) => {
        impl $config {
            #[doc = concat!("Reads [`", stringify!($variables), "`] from the environment.")]
            ///
            /// # Errors
            /// [`ErrorKind::Configuration`](connector_core::ErrorKind::Configuration) contains the
            /// name of the missing or invalid variable, never its value.
            pub fn from_env() -> $crate::Result<Self> {
                Self::checked($crate::provider::config::AppSettings::from_env($variables))
            }

            #[doc = concat!("Reads [`", stringify!($variables), "`] from your application's own")]
            /// configuration. `lookup` returns the value of a variable, or `None` if the variable
            /// is not set.
            ///
            /// # Errors
            #[doc = concat!("As for [`", stringify!($config), "::from_env`], and those of")]
            /// `lookup`.
            pub fn from_variables(
                lookup: impl Fn(
                    &'static str,
                )
                    -> $crate::Result<Option<$crate::provider::config::SecretString>>,
            ) -> $crate::Result<Self> {
                Self::checked($crate::provider::config::AppSettings::read(
                    $variables, lookup,
                ))
            }

            fn checked(
                settings: $crate::Result<$crate::provider::config::AppSettings>,
            ) -> $crate::Result<Self> {
                let config = settings.and_then(Self::of);
                config.map_err(|error| error.with_provider($provider.as_str().to_owned()))
            }

            /// Returns the loopback overrides of a simulator. The hub's default transport uses
            /// these overrides. If you use your own transport, configure them there.
            #[must_use]
            pub fn loopbacks(&self) -> &[$crate::http::LoopbackOverride] {
                &self.loopbacks
            }
        }
    };
}

/// Returns a Markdown table for a README, with one row per variable.
#[must_use]
pub fn markdown(table: &[Variable]) -> String {
    let mut text =
        "| Variable | Also read as | Required | Purpose |\n|---|---|---|---|\n".to_owned();
    for variable in table {
        let alias = variable.alias.map(|alias| format!("`{alias}` "));
        // Writing to a `String` does not fail.
        let _ = writeln!(
            text,
            "| `{}` | {}| {} | {} |",
            variable.name,
            alias.unwrap_or_default(),
            if variable.required { "yes" } else { "no" },
            variable.purpose
        );
    }
    text
}

/// Returns the value of a variable, under its name or its alias.
fn value(
    variable: &Variable,
    lookup: &impl Fn(&'static str) -> Result<Option<SecretString>>,
) -> Result<Option<SecretString>> {
    let set = |name| -> Result<Option<SecretString>> {
        Ok(lookup(name)?.filter(|value| !value.expose_secret().trim().is_empty()))
    };
    let own = set(variable.name)?;
    let alias = variable.alias.map(set).transpose()?.flatten();
    let value = match (own, alias) {
        (Some(own), Some(alias)) if own.expose_secret() != alias.expose_secret() => {
            return Err(wrong(format!(
                "{} and {} are set to different values; keep one of them",
                variable.name,
                variable.alias.unwrap_or_default()
            )));
        }
        (own, alias) => own.or(alias),
    };
    match value {
        Some(value) if value.expose_secret().len() > MAX_LEN => {
            Err(variable.malformed("is longer than 8 KiB"))
        }
        value => Ok(value),
    }
}

/// Checks that the text consists of visible ASCII characters (RFC 6749 appendix A: `VSCHAR`,
/// without the space).
fn token<'v>(variable: &Variable, text: &'v str) -> Result<&'v str> {
    if text.bytes().all(|byte| byte.is_ascii_graphic()) {
        Ok(text)
    } else {
        Err(variable.malformed("contains characters other than visible ASCII; copy it again"))
    }
}

fn secret(variable: &Variable, text: &str) -> Result<SecretString> {
    token(variable, text).map(SecretString::from)
}

fn scopes(variable: &Variable, text: &str) -> Result<Vec<String>> {
    // RFC 6749 section 3.3.
    let is_scope = |scope: &str| {
        let allowed = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        scope.bytes().all(allowed)
    };
    let listed = text.split(|c: char| c == ',' || c.is_whitespace());
    let listed: Vec<String> = listed
        .filter(|scope| !scope.is_empty())
        .map(str::to_owned)
        .collect();
    if listed.is_empty() || !listed.iter().all(|scope| is_scope(scope)) {
        return Err(variable.malformed("is not a list of scopes, separated by commas or spaces"));
    }
    Ok(listed)
}

fn base_url(variable: &Variable, text: &str) -> Result<BaseUrl> {
    let read = || {
        let url = Url::parse(text).ok()?;
        let ip = match url.host()? {
            Host::Ipv4(ip) => ip.into(),
            Host::Ipv6(ip) => std::net::IpAddr::from(ip),
            Host::Domain(_) => return None,
        };
        let is_plain = url.scheme() == "http"
            && url.username().is_empty()
            && url.password().is_none()
            && url.query().is_none()
            && url.fragment().is_none()
            && ip.is_loopback();
        let port = url.port_or_known_default()?;
        (is_plain && port != 0).then(|| BaseUrl {
            address: SocketAddr::new(ip, port),
            path: url.path().trim_start_matches('/').to_owned(),
        })
    };
    read().ok_or_else(|| {
        variable.malformed(
            "is not the URL of a simulator on this machine; use a URL such as \
             http://127.0.0.1:4010, with the port",
        )
    })
}

fn wrong(message: String) -> Error {
    Error::new(ErrorKind::Configuration, OPERATION, message)
}

fn environment(name: &'static str) -> Result<Option<SecretString>> {
    match secret_variable(name) {
        SecretVariable::Text(text) => Ok(Some(text)),
        SecretVariable::NotSet => Ok(None),
        SecretVariable::NotText => Err(wrong(format!("{name} is not valid Unicode"))),
    }
}

/// The value of an environment variable that holds a secret.
pub(crate) enum SecretVariable {
    NotSet,
    NotText,
    Text(SecretString),
}

/// Reads a secret from the environment variable `name`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn secret_variable(name: &str) -> SecretVariable {
    match std::env::var(name) {
        Ok(text) => SecretVariable::Text(SecretString::from(text)),
        Err(VarError::NotPresent) => SecretVariable::NotSet,
        Err(VarError::NotUnicode(value)) => {
            value.into_encoded_bytes().zeroize();
            SecretVariable::NotText
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &[Variable] = &[
        Variable::new(
            "ACME_CLIENT_SECRET_OLD",
            Setting::OldClientSecret,
            "old secret",
        ),
        Variable::new("ACME_CLIENT_ID", Setting::ClientId, "client id of the app")
            .with_alias("ACME_KEY")
            .required(),
        Variable::new("ACME_CLIENT_SECRET", Setting::ClientSecret, "client secret").required(),
        Variable::new("ACME_REDIRECT_URI", Setting::RedirectUri, "redirect URI"),
        Variable::new("ACME_SCOPES", Setting::Scopes, "scopes"),
        Variable::new(
            "ACME_WEBHOOK_SECRET",
            Setting::WebhookSecret,
            "webhook secret",
        ),
        Variable::new("ACME_BASE_URL", Setting::BaseUrl, "simulator"),
        Variable::new("ACME_KEY_FILE", Setting::Extra("key_file"), "private key"),
    ];

    fn read(values: &[(&str, &str)]) -> Result<AppSettings> {
        let whole = [
            ("ACME_CLIENT_ID", "id-1"),
            ("ACME_CLIENT_SECRET", "secret-1"),
        ];
        AppSettings::read(TABLE, |name| {
            let own = values.iter().find(|(known, _)| *known == name);
            let value = own.or_else(|| whole.iter().find(|(known, _)| *known == name));
            Ok(value.map(|(_, value)| SecretString::from(*value)))
        })
    }

    #[test]
    fn every_setting_is_read_from_its_variable() {
        let settings = read(&[
            ("ACME_CLIENT_SECRET_OLD", "secret-0"),
            ("ACME_CLIENT_SECRET", " secret-1\n"),
            ("ACME_REDIRECT_URI", "https://app.example"),
            ("ACME_SCOPES", "read, write\tadmin"),
            ("ACME_WEBHOOK_SECRET", "webhook"),
            ("ACME_BASE_URL", "http://127.0.0.1:4010/some/account"),
            (
                "ACME_KEY_FILE",
                "-----BEGIN KEY-----\nAAAA\n-----END KEY-----",
            ),
        ])
        .unwrap();
        let base_url = settings.base_url.clone().unwrap();
        assert_eq!(base_url.address, "127.0.0.1:4010".parse().unwrap());
        assert_eq!(base_url.path, "some/account");
        let app = settings.app().unwrap();
        assert_eq!(app.client_id(), "id-1");
        let secrets = app
            .client_secrets()
            .iter()
            .map(|it| it.expose_secret().to_owned());
        assert_eq!(secrets.collect::<Vec<_>>(), ["secret-1", "secret-0"]);
        assert_eq!(app.redirect_uri().unwrap().as_str(), "https://app.example");
        assert_eq!(app.scopes(), ["read", "write", "admin"]);
        assert_eq!(app.webhook_secrets().len(), 1);
        assert!(
            app.extra("key_file")
                .unwrap()
                .expose_secret()
                .contains("\nAAAA\n")
        );
        let shown = format!("{settings:?}");
        assert!(
            !shown.contains("secret-") && !shown.contains("AAAA"),
            "{shown}"
        );
        assert!(AppSettings::default().app().is_none());
    }

    #[test]
    #[expect(clippy::print_stdout, reason = "the test prints a count")]
    fn a_malformed_value_is_refused_by_its_name_and_not_repeated() {
        let long = "x".repeat(MAX_LEN + 1);
        let table = [
            ("ACME_CLIENT_ID", "canary id"),
            ("ACME_CLIENT_ID", "canary\u{e9}"),
            ("ACME_CLIENT_ID", &long),
            ("ACME_CLIENT_SECRET", "canary secret"),
            ("ACME_CLIENT_SECRET", "canary\0"),
            ("ACME_CLIENT_SECRET_OLD", "canary\u{7f}"),
            ("ACME_REDIRECT_URI", "http://canary.example/callback"),
            ("ACME_REDIRECT_URI", "https://canary.example/#x"),
            ("ACME_REDIRECT_URI", "canary"),
            ("ACME_SCOPES", "canary \"read\""),
            ("ACME_SCOPES", ","),
            ("ACME_SCOPES", "caf\u{e9}"),
            ("ACME_WEBHOOK_SECRET", "canary secret"),
            ("ACME_BASE_URL", "https://127.0.0.1:4010/canary"),
            ("ACME_BASE_URL", "http://localhost:4010/canary"),
            ("ACME_BASE_URL", "http://10.0.0.1:4010/canary"),
            ("ACME_BASE_URL", "http://127.0.0.1:0/canary"),
            ("ACME_BASE_URL", "http://canary@127.0.0.1:4010"),
            ("ACME_BASE_URL", "http://127.0.0.1:4010/?canary"),
            ("ACME_BASE_URL", "canary"),
            ("ACME_KEY_FILE", "canary\0"),
        ];
        for (name, value) in table {
            let error = read(&[(name, value)]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{name}");
            let shown = format!("{error} {error:?} {}", error.report());
            assert!(error.message().starts_with(name), "{shown}");
            assert!(
                !shown.contains("canary") && !shown.contains("xxx"),
                "{shown}"
            );
        }
        println!("malformed values rejected by name: {}", table.len());
    }

    #[test]
    fn a_missing_variable_is_reported_under_both_of_its_names() {
        let error = AppSettings::read(TABLE, |_| Ok(None)).unwrap_err();
        assert_eq!(
            error.message(),
            "ACME_CLIENT_ID (or ACME_KEY) is not set: client id of the app"
        );
        let blank = read(&[("ACME_CLIENT_ID", " \n")]).unwrap_err();
        assert_eq!(blank.message(), error.message());
        let differing = read(&[("ACME_KEY", "canary")]).unwrap_err();
        assert_eq!(
            differing.message(),
            "ACME_CLIENT_ID and ACME_KEY are set to different values; keep one of them"
        );
        let by_alias = read(&[("ACME_CLIENT_ID", ""), ("ACME_KEY", "id-2")]).unwrap();
        assert_eq!(by_alias.client_id.as_deref(), Some("id-2"));
        let failing = AppSettings::read(TABLE, |_| {
            Err(Error::new(ErrorKind::Network, "vault", "no answer"))
        });
        assert_eq!(failing.unwrap_err().operation(), "vault");
    }

    #[test]
    fn the_table_of_a_readme_has_every_variable() {
        let text = markdown(TABLE);
        assert!(text.contains("| `ACME_CLIENT_ID` | `ACME_KEY` | yes | client id of the app |"));
        assert_eq!(text.lines().count(), TABLE.len() + 2);
    }
}
