//! Links: URLs from a response, which are requested without credentials.

use std::fmt;

use http::header::{HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};

use crate::api::template;
use crate::error::{Error, ErrorKind, Result};
use crate::http::HostRule;
use crate::provider_id::ProviderId;

const OPERATION: &str = "api.link";

/// A URL from a provider's response, for example a download, an upload session or an export.
///
/// Create it with [`Session::link`](crate::api::Session::link), which checks the host. The URL is
/// sent unchanged and without credentials, and redirects are rejected. `Debug` does not show the
/// URL, because a signed URL is itself a secret.
#[derive(Clone)]
#[must_use]
pub struct Link {
    uri: Uri,
    method: Option<Method>,
    headers: HeaderMap,
}

impl Link {
    pub(super) fn new(provider: &ProviderId, rules: &[HostRule], text: &str) -> Result<Self> {
        let refused = |message| {
            Error::new(ErrorKind::AddressRefused, OPERATION, message)
                .with_provider(provider.as_str().to_owned())
        };
        let form = "the link is not an https URL with a host name; report it";
        let (origin, target) = template::split(text).map_err(|_| refused(form))?;
        if !rules.iter().any(|rule| rule.allows(&origin)) {
            return Err(refused(
                "the link points to a host that is not in the provider's description; if the host \
                 is the provider's, add it to `links`",
            ));
        }
        let uri = Uri::try_from(format!("{origin}{target}")).map_err(|_| refused(form))?;
        Ok(Self {
            uri,
            method: None,
            headers: HeaderMap::new(),
        })
    }

    /// Sets the method. Default: GET for a download, PUT for an upload.
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = Some(method);
        self
    }

    /// Sets a header that the provider requires for this link. `Authorization` and `Cookie` are
    /// removed, because credentials are never sent to a link.
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Returns the host of the link.
    #[must_use]
    pub fn host(&self) -> &str {
        self.uri.host().unwrap_or_default()
    }

    pub(super) fn method(&self, default: &Method) -> Method {
        self.method.clone().unwrap_or_else(|| default.clone())
    }

    pub(super) fn to_http<B>(&self, method: Method, body: B) -> http::Request<B> {
        let mut request = http::Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        for credential in [http::header::AUTHORIZATION, http::header::COOKIE] {
            request.headers_mut().remove(credential);
        }
        request
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("host", &self.host())
            .finish_non_exhaustive()
    }
}
