//! Shops and their hosts. The client secret is posted to the shop's host, so a host that did not
//! pass here would be handed the secret.

use std::fmt;

use connector_core::provider::description::AccountHost;
use connector_core::{Error, ErrorKind, Result};

/// The suffix of every merchant's shop.
const SUFFIX: &str = ".myshopify.com";
/// Suffixes that exist inside Shopify only.
const INTERNAL_SUFFIXES: [&str; 3] = [".myshopify.io", ".shop.dev", ".shopify.com"];

/// The host of a shop in its one accepted form: `name.myshopify.com`, lower case.
///
/// ```
/// use connector_shopify::ShopDomain;
/// let shop = ShopDomain::parse("https://admin.shopify.com/store/cool-shop")?;
/// assert_eq!(shop.as_str(), "cool-shop.myshopify.com");
/// assert!(ShopDomain::parse("cool-shop.myshopify.com.evil.example").is_err());
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShopDomain(String);

impl ShopDomain {
    /// Reads what a merchant may type or paste: the host in any case, with or without a scheme and
    /// slashes behind it, or the address of the shop's admin,
    /// `https://admin.shopify.com/store/<name>`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for everything else; the text is not repeated.
    pub fn parse(text: &str) -> Result<Self> {
        HostRule::default().accept(text)
    }

    /// The host.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ShopDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ShopDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShopDomain({:?})", self.0)
    }
}

/// Which hosts are shops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostRule {
    /// Shopify's own domains count too.
    pub(crate) internal: bool,
}

impl HostRule {
    /// The shop that `text` names, as a person may write it.
    pub(crate) fn accept(self, text: &str) -> Result<ShopDomain> {
        let text = text
            .trim_matches(|c: char| c.is_ascii_whitespace())
            .to_ascii_lowercase();
        let text = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .unwrap_or(&text);
        let text = text.trim_end_matches('/');
        let host = match text.strip_prefix("admin.shopify.com/store/") {
            Some(name) => format!("{name}{SUFFIX}"),
            None => text.to_owned(),
        };
        self.accept_host(&host)
    }

    /// The shop whose host is exactly `host`, as a provider's message has it.
    pub(crate) fn accept_host(self, host: &str) -> Result<ShopDomain> {
        let internal = INTERNAL_SUFFIXES.iter().filter(|_| self.internal);
        let is_shop = internal.chain([&SUFFIX]).any(|suffix| {
            // Shopify's own library takes a name that ends in a hyphen. rustls takes no such server
            // name, so that a shop of that kind could be named and never reached.
            let accepted = AccountHost::new(*suffix).accept(host);
            host.ends_with(suffix) && accepted.is_ok_and(|accepted| accepted == host)
        });
        if is_shop {
            Ok(ShopDomain(host.to_owned()))
        } else {
            Err(Error::new(
                ErrorKind::InvalidInput,
                "shop_domain.parse",
                "a shop is named by its host, for example cool-shop.myshopify.com, or by the \
                 address of its admin",
            )
            .with_provider("shopify"))
        }
    }
}
