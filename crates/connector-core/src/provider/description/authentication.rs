//! Position of the credential in an API request.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::Uri;
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde::Deserialize;
use url::Url;
use zeroize::Zeroizing;

use crate::http::Origin;

/// Position of the credential in API requests and in the identity request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CallAuthentication {
    /// `Authorization: Bearer` (RFC 6750 section 2.1).
    #[default]
    Bearer,
    /// A header that contains only the credential.
    Header(String),
    /// A header that contains a prefix and the credential, for example `Authorization: Bot …`.
    Prefixed {
        /// The name of the header.
        header: String,
        /// The text before the credential, including the space.
        prefix: String,
    },
    /// HTTP Basic (RFC 7617).
    ///
    /// The credential is the user name, and the password is empty. If the credential contains a
    /// colon, it is sent as user name and password.
    Basic,
    /// The credential is the request URL itself, a secret URL. The request must not have its own
    /// path.
    SecretUrl,
}

impl CallAuthentication {
    pub(super) fn is_valid(&self) -> bool {
        match self {
            Self::Bearer | Self::Basic | Self::SecretUrl => true,
            Self::Header(name) => HeaderName::from_bytes(name.as_bytes()).is_ok(),
            Self::Prefixed { header, prefix } => {
                HeaderName::from_bytes(header.as_bytes()).is_ok()
                    && HeaderValue::from_str(prefix).is_ok()
            }
        }
    }

    /// Adds `secret` to `request` and marks the header as sensitive. Returns `None` if the secret
    /// contains characters that are not allowed in a request, or if a secret URL has another origin
    /// than the request.
    pub(crate) fn attach<B>(&self, request: &mut http::Request<B>, secret: &str) -> Option<()> {
        let (name, value) = match self {
            Self::Bearer => {
                // The header takes over this buffer, so no second copy of the secret is made.
                let value = Bytes::from(["Bearer ", secret].concat());
                (AUTHORIZATION, HeaderValue::from_maybe_shared(value))
            }
            Self::Header(name) => (
                HeaderName::from_bytes(name.as_bytes()).ok()?,
                HeaderValue::from_str(secret),
            ),
            Self::Prefixed { header, prefix } => {
                let value = Bytes::from([prefix.as_str(), secret].concat());
                (
                    HeaderName::from_bytes(header.as_bytes()).ok()?,
                    HeaderValue::from_maybe_shared(value),
                )
            }
            Self::Basic => (AUTHORIZATION, basic(secret)),
            Self::SecretUrl => return at_secret_url(request, secret),
        };
        let mut value = value.ok()?;
        value.set_sensitive(true);
        request.headers_mut().insert(name, value);
        Some(())
    }
}

/// Returns the value of a Basic `Authorization` header (RFC 7617 section 2). The part of `secret`
/// after the first colon, if any, is the password.
pub(crate) fn basic(secret: &str) -> Result<HeaderValue, http::header::InvalidHeaderValue> {
    let pair = Zeroizing::new(if secret.contains(':') {
        secret.to_owned()
    } else {
        [secret, ":"].concat()
    });
    let value = Bytes::from(["Basic ", &BASE64_STANDARD.encode(pair.as_bytes())].concat());
    let mut value = HeaderValue::from_maybe_shared(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// Replaces the request's URL with the secret URL, which must have the same origin.
fn at_secret_url<B>(request: &mut http::Request<B>, secret: &str) -> Option<()> {
    let url = Url::parse(secret).ok()?;
    let meant = Url::parse(&request.uri().to_string()).ok()?;
    if Origin::of(&url).ok()? != Origin::of(&meant).ok()? || meant.path() != "/" {
        return None;
    }
    let target = match (url.query(), meant.query()) {
        (query, None) => (url.path(), query.map(str::to_owned)),
        (None, Some(own)) => (url.path(), Some(own.to_owned())),
        (Some(query), Some(own)) => (url.path(), Some([query, own].join("&"))),
    };
    let origin = Origin::of(&url).ok()?;
    let text = match target {
        (path, Some(query)) => format!("{origin}{path}?{query}"),
        (path, None) => format!("{origin}{path}"),
    };
    *request.uri_mut() = Uri::try_from(text).ok()?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(uri: &str) -> http::Request<()> {
        http::Request::get(uri).body(()).unwrap()
    }

    #[test]
    fn a_credential_is_sent_in_the_described_header() {
        let prefixed = CallAuthentication::Prefixed {
            header: "authorization".to_owned(),
            prefix: "Bot ".to_owned(),
        };
        for (authentication, name, value) in [
            (CallAuthentication::Bearer, "authorization", "Bearer key"),
            (CallAuthentication::Header("x-key".into()), "x-key", "key"),
            (prefixed, "authorization", "Bot key"),
            (CallAuthentication::Basic, "authorization", "Basic a2V5Og=="),
        ] {
            let mut request = request("https://a.example/x");
            authentication.attach(&mut request, "key").unwrap();
            let header = &request.headers()[name];
            assert_eq!(header, value);
            assert!(header.is_sensitive());
            assert!(!format!("{header:?}").contains("key"));
        }
        assert_eq!(basic("user:pass").unwrap(), "Basic dXNlcjpwYXNz");
        assert!(
            CallAuthentication::Bearer
                .attach(&mut request("https://a.example/"), "a\nb")
                .is_none()
        );
    }

    #[test]
    fn a_secret_url_is_the_address_and_never_another_origin() {
        let attach = |uri: &str, secret: &str| {
            let mut request = request(uri);
            let attached = CallAuthentication::SecretUrl.attach(&mut request, secret);
            attached.map(|()| request.uri().to_string())
        };
        let secret = "https://hooks.example/catch/1/token?x=1";
        assert_eq!(attach("https://hooks.example/", secret).unwrap(), secret);
        assert_eq!(
            attach("https://hooks.example/?y=2", secret).unwrap(),
            "https://hooks.example/catch/1/token?x=1&y=2"
        );
        for (uri, secret) in [
            ("https://other.example/", secret),
            ("https://hooks.example/path", secret),
            ("https://hooks.example/", "http://hooks.example/x"),
            ("https://hooks.example/", "https://user@hooks.example/x"),
            ("https://hooks.example/", "not a url"),
        ] {
            assert_eq!(attach(uri, secret), None, "{uri} {secret}");
        }
    }
}
