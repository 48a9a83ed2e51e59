//! Where a request may go, decided before anything is looked up.

use std::net::SocketAddr;

use http::header::{HOST, HeaderValue};
use http::{HeaderMap, Uri};
use url::Url;

use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;

/// Top-level names that only ever mean something inside one machine or one network (RFC 6761,
/// 6762, 7686, 8375; ICANN's reservation of `internal`; `localdomain` by custom).
const LOCAL_NAMES: [&str; 7] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "in-addr.arpa",
    "onion",
];

/// The one opening in the guard: requests to `origin` go to a server on this machine instead, over
/// plain HTTP. For simulators.
///
/// The request itself stays as it is: its URL, its `Host` header and its signatures are those of
/// the real host. Every other address that is not public stays refused, on the same machine too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopbackOpening {
    origin: Origin,
    address: SocketAddr,
    /// The root of the server at `address`.
    root: Url,
    /// The `Host` header of a request to `origin`.
    host: HeaderValue,
}

impl LoopbackOpening {
    /// Opens the way from `origin` to `address`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if `address` is not a loopback address (127.0.0.0/8 or `::1`)
    /// with a port.
    pub fn new(origin: Origin, address: SocketAddr) -> Result<Self> {
        let host = match origin.port() {
            443 => HeaderValue::from_str(origin.host()),
            port => HeaderValue::from_str(&format!("{}:{port}", origin.host())),
        };
        let root = Url::parse(&format!("http://{address}"));
        match (root, host) {
            (Ok(root), Ok(host)) if address.ip().is_loopback() && address.port() != 0 => Ok(Self {
                origin,
                address,
                root,
                host,
            }),
            _ => Err(Error::new(
                ErrorKind::Configuration,
                "http.loopback_opening",
                "a simulator is reached through a loopback address with a port, for example \
                 127.0.0.1:4010",
            )),
        }
    }

    /// The origin that the simulator stands for.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Where the simulator listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// A destination that passed.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The host of the request.
    pub(crate) host: String,
    /// Whether the way leads through an opening.
    pub(crate) is_opened: bool,
}

/// What may be reached besides port 443 of public hosts.
#[derive(Debug, Default)]
pub(crate) struct Guard {
    pub(crate) openings: Vec<LoopbackOpening>,
    pub(crate) ports: Vec<u16>,
}

impl Guard {
    /// Decides on the request's URL and sets the `Host` header; returns what to connect to, or `None`
    /// if it may not go there.
    pub(crate) fn admit(&self, uri: &Uri, headers: &mut HeaderMap) -> Option<(Url, Destination)> {
        // All decisions are made on the very value that is connected to, after normalisation.
        let (scheme, authority) = (uri.scheme_str()?, uri.authority()?.as_str());
        let text = [scheme, "://", authority, uri.path_and_query()?.as_str()].concat();
        let mut url = Url::parse(&text).ok()?;
        // Only https, a name and no userinfo make an origin.
        let origin = Origin::of(&url).ok()?;
        if !is_host_name(origin.host()) {
            return None;
        }
        // A caller's own Host header could name another tenant of the same server.
        headers.remove(HOST);
        let opening = self.openings.iter().find(|it| it.origin == origin);
        if let Some(opening) = opening {
            headers.insert(HOST, opening.host.clone());
            let mut opened = opening.root.clone();
            opened.set_path(url.path());
            opened.set_query(url.query());
            url = opened;
        } else if (origin.port() != 443 && !self.ports.contains(&origin.port()))
            || is_local(origin.host())
        {
            return None;
        }
        let destination = Destination {
            is_opened: opening.is_some(),
            host: origin.into_host(),
        };
        Some((url, destination))
    }
}

/// Whether `host` is a name of at least two labels as RFC 1123 section 2.1 has them. The last one
/// starts with a letter, so that no resolver takes the name for an address.
fn is_host_name(host: &str) -> bool {
    host.len() <= 253
        && host
            .rsplit_once('.')
            .is_some_and(|(_, last)| last.starts_with(|c: char| c.is_ascii_alphabetic()))
        && host.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

fn is_local(host: &str) -> bool {
    LOCAL_NAMES.iter().any(|name| {
        host.strip_suffix(name)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opening(address: &str) -> Result<LoopbackOpening> {
        let origin = Origin::parse("https://api.acme.example").unwrap();
        LoopbackOpening::new(origin, address.parse().unwrap())
    }

    #[test]
    fn an_opening_leads_to_a_loopback_address_only() {
        for open in ["127.0.0.1:1", "127.1.2.3:4010", "[::1]:65535"] {
            assert!(opening(open).is_ok(), "{open}");
        }
        for closed in [
            "127.0.0.1:0",
            "0.0.0.0:80",
            "10.0.0.1:80",
            "128.0.0.1:80",
            "93.184.215.14:443",
            "[::]:80",
            "[::2]:80",
            "[::ffff:127.0.0.1]:80",
            "[fe80::1]:80",
        ] {
            let error = opening(closed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{closed}");
        }
    }

    #[test]
    fn only_the_port_of_the_scheme_or_an_allowed_one_passes() {
        let guard = Guard {
            ports: vec![8443],
            ..Guard::default()
        };
        let admit = |uri: &'static str| {
            guard
                .admit(&Uri::from_static(uri), &mut HeaderMap::new())
                .map(|(url, _)| url.to_string())
        };
        assert!(admit("https://a.example/").is_some());
        assert!(admit("https://a.example:443/").is_some());
        assert!(admit("https://a.example:8443/").is_some());
        for closed in [80, 22, 444, 8080, 65535, 1] {
            let uri = format!("https://a.example:{closed}/").parse().unwrap();
            assert!(guard.admit(&uri, &mut HeaderMap::new()).is_none());
        }
    }

    #[test]
    fn an_opened_request_keeps_the_real_host_and_path() {
        let guard = Guard {
            openings: vec![opening("127.0.0.1:4010").unwrap()],
            ..Guard::default()
        };
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("other.example"));
        let uri = Uri::from_static("https://api.acme.example/a%2Fb?c=%20d");
        let (url, destination) = guard.admit(&uri, &mut headers).unwrap();
        assert!(destination.is_opened);
        assert_eq!(url.as_str(), "http://127.0.0.1:4010/a%2Fb?c=%20d");
        assert_eq!(headers[HOST], "api.acme.example");
        assert_eq!(headers.len(), 1);
        // Elsewhere the HTTP library writes the header, from the URL.
        let uri = Uri::from_static("https://www.acme.example/");
        assert!(!guard.admit(&uri, &mut headers).unwrap().1.is_opened);
        assert!(headers.is_empty());
        // Another port is another origin.
        let uri = Uri::from_static("https://api.acme.example:4010/");
        assert!(guard.admit(&uri, &mut headers).is_none());
    }
}
