//! Authorizations started from Amazon's app store, or with Re-authorize in Manage Your Apps.
//!
//! See [Amazon docs: Appstore authorization workflow](https://developer-docs.amazon.com/sp-api/docs/selling-partner-appstore-authorization-workflow).

use std::fmt;

use connector_core::{Error, ErrorKind, Result};
use url::{Url, form_urlencoded};

use crate::{Marketplace, Region};

const OPERATION: &str = "amazon.appstore_login";
/// Maximum length of a login query, in bytes.
const MAX_LEN: usize = 8 * 1024;
/// Hosts of confirmation pages, in addition to those of Seller Central and Vendor Central.
const HOSTS: [&str; 2] = ["amazon.com", "www.amazon.com"];

/// Names of the flow parameters, which are the names in the query of the login.
pub(crate) const CALLBACK_URI: &str = "amazon_callback_uri";
pub(crate) const STATE: &str = "amazon_state";
pub(crate) const SELLER: &str = "selling_partner_id";

/// A login request from a seller whom Amazon sent to the application's OAuth login URI.
///
/// First, sign the user in to the application. Then begin a flow with [`AppstoreLogin::parameters`]
/// and redirect the browser to the URL of the flow, which leads back to Amazon. Send
/// `Referrer-Policy: no-referrer` with the pages that receive these parameters.
///
/// Do not redirect to the `amazon_callback_uri` of the query yourself: anyone can forge a login
/// request. This type accepts only the URI of Amazon's confirmation page for the application.
#[derive(Clone)]
pub struct AppstoreLogin {
    callback_uri: Url,
    state: String,
    seller: String,
}

impl AppstoreLogin {
    /// Parses the raw query of a request to the login URI of the application with this id.
    ///
    /// # Errors
    /// [`ErrorKind::CallbackRefused`] if a parameter is missing or repeated, or if the callback URI
    /// is not Amazon's confirmation page for the application.
    pub fn parse(application_id: &str, query: &str) -> Result<Self> {
        let query = query.strip_prefix('?').unwrap_or(query);
        if query.len() > MAX_LEN {
            return Err(refused("the query of the login is longer than 8 KiB"));
        }
        let one = |name: &str| {
            let pairs = form_urlencoded::parse(query.as_bytes());
            let mut values = pairs.filter(|(known, _)| known == name);
            match (values.next(), values.next()) {
                (Some((_, value)), None) if !value.is_empty() => Ok(value.into_owned()),
                _ => Err(refused(
                    "a parameter of the login is missing or repeated; start again from \
                     Amazon's app store",
                )),
            }
        };
        let seller = one(SELLER)?;
        if !is_seller(&seller) {
            return Err(refused("the selling partner id of the login is malformed"));
        }
        Ok(Self {
            callback_uri: confirmation(application_id, &one(CALLBACK_URI)?)?,
            state: one(STATE)?,
            seller,
        })
    }

    /// Parameters for the flow: pass each one to `Authorize::parameter`. If
    /// [`AppstoreLogin::region`] returns `None`, also set `marketplace`.
    pub fn parameters(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let callback = (CALLBACK_URI, self.callback_uri.as_str());
        [callback, (STATE, &self.state), (SELLER, &self.seller)].into_iter()
    }

    /// The selling partner id. It is not verified until the flow has completed: the callback of the
    /// flow must have the same id.
    #[must_use]
    pub fn selling_partner_id(&self) -> &str {
        &self.seller
    }

    /// The region, if the host of the confirmation page belongs to one region. If this is `None`,
    /// ask the user for the marketplace.
    #[must_use]
    pub fn region(&self) -> Option<Region> {
        region(&self.callback_uri)
    }
}

/// Shows only the selling partner id.
impl fmt::Debug for AppstoreLogin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppstoreLogin")
            .field("selling_partner_id", &self.seller)
            .finish_non_exhaustive()
    }
}

/// Returns true for a well-formed selling partner id: a merchant id or a vendor group.
pub(crate) fn is_seller(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Returns the region of a confirmation page's host, if the host belongs to one region.
pub(crate) fn region(callback_uri: &Url) -> Option<Region> {
    Marketplace::region_of_central(callback_uri.host_str()?)
}

/// Parses the URL, and checks that it is Amazon's confirmation page for the application.
pub(crate) fn confirmation(application_id: &str, text: &str) -> Result<Url> {
    let foreign = || {
        refused(
            "`amazon_callback_uri` is not Amazon's confirmation page of this application; begin in \
             Amazon's app store again, and check AMAZON_SP_APP_ID",
        )
    };
    // Browsers disagree on backslashes and control characters.
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err(foreign());
    }
    let url = Url::parse(text).map_err(|_| foreign())?;
    let host = url.host_str().unwrap_or_default();
    let is_bare = url.username().is_empty() && url.password().is_none() && url.fragment().is_none();
    let path = format!("/apps/authorize/confirm/{application_id}");
    if url.scheme() != "https" || url.port().is_some() || !is_bare || url.path() != path {
        return Err(foreign());
    }
    if !HOSTS.contains(&host) && !Marketplace::is_central(host) {
        tracing::warn!(
            connector = "amazon-spapi",
            operation = OPERATION,
            host,
            "amazon_callback_uri has an unknown host"
        );
        return Err(foreign());
    }
    Ok(url)
}

fn refused(message: &'static str) -> Error {
    crate::error::ours(Error::new(ErrorKind::CallbackRefused, OPERATION, message))
}
