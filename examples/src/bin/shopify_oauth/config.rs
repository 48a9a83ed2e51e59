//! Settings of the program, from its options and the environment.

use std::net::{Ipv4Addr, SocketAddr};

use connectors::cipher::Keyring;
use connectors::shopify::{Shopify, ShopifyConfig, VARIABLES};
use connectors::{AppKey, TenantId};
use url::{Host, Url};

use crate::Outcome;

/// The path of the redirect URI.
pub(crate) const CALLBACK: &str = "/shopify/callback";

const USAGE: &str = "usage: shopify_oauth [--serve] [--listen 127.0.0.1:PORT]";

/// The mode of the program.
pub(crate) enum Settings {
    /// Run all steps offline with a simulated Shopify.
    Story,
    /// Keep serving for a person with a browser.
    Serve {
        listen: SocketAddr,
        /// Settings of the real Shopify. `None` for a simulated Shopify.
        real: Option<Box<Real>>,
    },
}

/// Settings of the real Shopify.
pub(crate) struct Real {
    pub(crate) shopify: ShopifyConfig,
    pub(crate) keyring: Keyring,
    /// The redirect URI without its path: the public origin of this program.
    pub(crate) origin: Url,
}

impl Settings {
    /// Reads the options and the environment. If one of Shopify's variables is set, the program
    /// uses the real Shopify, and all required variables must be set.
    pub(crate) async fn read() -> Outcome<Self> {
        let (mut serve, mut listen) = (false, None);
        let mut options = std::env::args().skip(1).collect::<Vec<_>>().into_iter();
        while let Some(option) = options.next() {
            match option.as_str() {
                "--serve" => serve = true,
                "--listen" => {
                    let address = options.next().ok_or(USAGE)?;
                    let address: SocketAddr = address.parse().map_err(
                        |_| "--listen needs an address and a port, for example 127.0.0.1:4000",
                    )?;
                    if !address.ip().is_loopback() {
                        return Err(
                            "--listen: the address must be a loopback address, because this program \
                                    serves plain HTTP; forward a tunnel to it"
                                .into(),
                        );
                    }
                    (serve, listen) = (true, Some(address));
                }
                _ => return Err(USAGE.into()),
            }
        }
        if VARIABLES.iter().any(|variable| is_set(variable.name))
            || VARIABLES
                .iter()
                .filter(|variable| variable.required)
                .filter_map(|variable| variable.alias)
                .any(is_set)
        {
            let (real, redirect_port) = Real::from_env().await?;
            let port = redirect_port.unwrap_or(3000);
            let listen = listen.unwrap_or((Ipv4Addr::LOCALHOST, port).into());
            return Ok(Self::Serve {
                listen,
                real: Some(Box::new(real)),
            });
        }
        Ok(if serve {
            Self::Serve {
                listen: listen.unwrap_or((Ipv4Addr::LOCALHOST, 0).into()),
                real: None,
            }
        } else {
            Self::Story
        })
    }
}

impl Real {
    /// Returns the settings, and the port of the redirect URI if the URI leads to this machine.
    async fn from_env() -> Outcome<(Self, Option<u16>)> {
        let config = ShopifyConfig::from_env()?;
        let keyring = Keyring::from_env()?;
        let apps = config.app_source().ok_or("no app is configured")?;
        let app = apps
            .app(&Shopify::ID, &TenantId::new("any")?, &AppKey::default())
            .await?;
        let redirect_uri = app.redirect_uri().ok_or("no redirect URI is configured")?;
        let redirect_uri = redirect_uri.url();
        if redirect_uri.path() != CALLBACK || redirect_uri.query().is_some() {
            return Err(format!("SHOPIFY_REDIRECT_URI: the path must be {CALLBACK}").into());
        }
        let is_here = match redirect_uri.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            _ => false,
        };
        let port = (is_here && redirect_uri.scheme() == "http")
            .then(|| redirect_uri.port_or_known_default())
            .flatten();
        let real = Self {
            shopify: config,
            keyring,
            origin: redirect_uri.join("/")?,
        };
        Ok((real, port))
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "only this function reads the environment"
)]
fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}
