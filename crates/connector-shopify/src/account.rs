//! Shops and their hosts. The connector sends the client secret to the shop's host. Therefore it
//! uses only validated hosts.

use std::fmt;

use connector_core::provider::description::AccountHost;
use connector_core::{Error, ErrorKind, Result};

/// The host suffix of every merchant's shop.
const SUFFIX: &str = ".myshopify.com";
/// Host suffixes that only Shopify uses.
const INTERNAL_SUFFIXES: [&str; 3] = [".myshopify.io", ".shop.dev", ".shopify.com"];

/// The host of a shop in normalized form: `name.myshopify.com`, lower case.
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
    /// Parses the input of a merchant, which is the name of the shop, its host in any case, or a
    /// URL of its admin (`https://cool-shop.myshopify.com/admin/…`,
    /// `https://admin.shopify.com/store/cool-shop/…`).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] for all other input. The error does not contain the input.
    pub fn parse(text: &str) -> Result<Self> {
        HostRule::default().accept(text)
    }

    /// Returns the host.
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

/// The rule for valid shop hosts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HostRule {
    /// True if Shopify's internal domains are valid, too.
    pub(crate) internal: bool,
}

impl HostRule {
    /// Returns the shop in `text`, as entered by a person.
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

    /// Returns the shop with the host `host`, as sent by the provider.
    pub(crate) fn accept_host(self, host: &str) -> Result<ShopDomain> {
        let internal = INTERNAL_SUFFIXES.iter().filter(|_| self.internal);
        let is_shop = internal.chain([&SUFFIX]).any(|suffix| {
            // Shopify's own library accepts a name that ends in a hyphen. rustls rejects such
            // server names, so that such a shop could never be reached.
            let accepted = AccountHost::new(*suffix).accept(host);
            host.ends_with(suffix) && accepted.is_ok_and(|accepted| accepted == host)
        });
        if is_shop {
            Ok(ShopDomain(host.to_owned()))
        } else {
            Err(Error::new(
                ErrorKind::InvalidInput,
                "shop_domain.parse",
                "enter the shop's host, for example cool-shop.myshopify.com, or the URL of its \
                 admin",
            )
            .with_provider("shopify"))
        }
    }
}

/// Returns true for an empty path and for paths of the shop's admin.
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

    /// Merchants paste URLs from the address bar.
    #[test]
    #[expect(clippy::print_stdout, reason = "the counts are what a test shows")]
    fn only_hosts_and_admin_urls_name_a_shop() {
        let good = [
            "cool-shop",
            "Cool-Shop.myshopify.com",
            "cool-shop.myshopify.com/",
            "cool-shop.myshopify.com/admin",
            "https://cool-shop.myshopify.com/admin/products?x=1",
            "http://cool-shop.myshopify.com/admin#top",
            "https://admin.shopify.com/store/cool-shop",
            "https://admin.shopify.com/store/cool-shop/products?selectedView=all",
        ];
        for text in good {
            let shop = ShopDomain::parse(text).unwrap();
            assert_eq!(shop.as_str(), "cool-shop.myshopify.com", "{text}");
        }
        let bad = [
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
        ];
        for text in bad {
            assert!(ShopDomain::parse(text).is_err(), "{text}");
        }
        println!(
            "texts of shops: {} understood, {} refused",
            good.len(),
            bad.len()
        );
    }
}
