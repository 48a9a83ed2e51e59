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
    /// Reads what a merchant may type or paste: the name of the shop, its host in any case, or an
    /// address of its admin as the address bar shows it (`https://cool-shop.myshopify.com/admin/…`,
    /// `https://admin.shopify.com/store/cool-shop/…`).
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
        let end = text.find(['/', '?', '#']).unwrap_or(text.len());
        let (host, path) = text.split_at(end);
        let named = match path.strip_prefix("/store/") {
            Some(name) if host == "admin.shopify.com" => {
                let end = name.find(['/', '?', '#']).unwrap_or(name.len());
                &name[..end]
            }
            _ if is_page_of_admin(path) => host,
            _ => text,
        };
        if named.contains('.') {
            self.accept_host(named)
        } else {
            self.accept_host(&format!("{named}{SUFFIX}"))
        }
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

/// True for the paths that an address bar shows for a shop: none, or one of its admin.
fn is_page_of_admin(path: &str) -> bool {
    let is_text = |rest: &str| rest.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    match path.strip_prefix("/admin") {
        Some(rest) => (rest.is_empty() || rest.starts_with(['/', '?', '#'])) && is_text(rest),
        None => path.bytes().all(|b| b == b'/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Merchants paste what their address bar shows.
    #[test]
    fn what_address_bars_show_names_the_shop_and_nothing_else_does() {
        for good in [
            "cool-shop",
            "Cool-Shop.myshopify.com",
            "cool-shop.myshopify.com/",
            "cool-shop.myshopify.com/admin",
            "https://cool-shop.myshopify.com/admin/products?x=1",
            "http://cool-shop.myshopify.com/admin#top",
            "https://admin.shopify.com/store/cool-shop",
            "https://admin.shopify.com/store/cool-shop/products?selectedView=all",
        ] {
            let shop = ShopDomain::parse(good).unwrap();
            assert_eq!(shop.as_str(), "cool-shop.myshopify.com", "{good}");
        }
        for bad in [
            "",
            "/",
            "/admin",
            "cool shop",
            "cool-shop.myshopify.com/x",
            "cool-shop.myshopify.com?x",
            "cool-shop.myshopify.com#x",
            "cool-shop.myshopify.com/admin\\@evil.example",
            "cool-shop.myshopify.com/adminx",
            "evil.example/admin",
            "evil.example/store/cool-shop",
            "https://admin.shopify.com/store/",
            "https://admin.shopify.com/store/evil.example",
            "https://admin.shopify.com.evil.example/store/cool-shop",
            "cool-shop@evil.example",
            "cool-shop:443",
            "https://https://cool-shop",
        ] {
            assert!(ShopDomain::parse(bad).is_err(), "{bad}");
        }
    }
}
