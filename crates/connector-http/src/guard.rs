//! The egress guard, which checks a request's URL before its host name is resolved.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::http::{LoopbackOverride, Origin};
use http::header::{HOST, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Uri};
use url::Url;

/// Top-level names that are only valid within one machine or one network (RFC 6761, 6762, 7686,
/// 8375; ICANN's reservation of `internal`; `localdomain` by convention).
const LOCAL_NAMES: [&str; 7] = [
    "localhost",
    "localdomain",
    "local",
    "internal",
    "home.arpa",
    "in-addr.arpa",
    "onion",
];

/// A loopback override, in the guard's format.
#[derive(Debug)]
struct Detour {
    origin: Origin,
    /// The root URL of the server on this machine.
    root: Url,
    /// The `Host` header of requests to `origin`.
    host: HeaderValue,
}

impl Detour {
    fn new(loopback: &LoopbackOverride) -> Option<Self> {
        let origin = loopback.origin();
        let host = match origin.port() {
            443 => HeaderValue::from_str(origin.host()),
            port => HeaderValue::from_str(&format!("{}:{port}", origin.host())),
        };
        Some(Self {
            origin: origin.clone(),
            root: Url::parse(&format!("http://{}", loopback.address())).ok()?,
            host: host.ok()?,
        })
    }
}

/// Maximum number of cached destinations, each smaller than 1 KiB. When the cache reaches this
/// size, it is cleared.
const EVICTION_THRESHOLD: usize = 1024;
/// Maximum length of a host name and a port. Longer authorities are not cached.
const MAX_LEN: usize = 253 + ":65535".len();

/// A destination that the guard allowed.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The host of the request.
    pub(crate) host: String,
    /// The URL to connect to, without path and query.
    root: Url,
    /// The `Host` header, if a loopback override applies.
    overridden: Option<HeaderValue>,
}

impl Destination {
    /// Returns true if a loopback override applies.
    pub(crate) const fn is_overridden(&self) -> bool {
        self.overridden.is_some()
    }
}

/// The configured exceptions to the rule that only port 443 of public hosts is allowed, and a cache
/// of allowed destinations.
#[derive(Debug)]
pub(crate) struct Guard {
    detours: Vec<Detour>,
    ports: Vec<u16>,
    /// True if names that are only valid in the local network are allowed.
    allows_local_names: bool,
    /// Allowed destinations by their authority, exactly as written. Rejections are not cached.
    passed: Mutex<HashMap<Box<str>, Arc<Destination>>>,
}

impl Guard {
    pub(crate) fn new(loopbacks: &[LoopbackOverride], ports: Vec<u16>) -> Self {
        Self {
            detours: loopbacks.iter().filter_map(Detour::new).collect(),
            ports,
            allows_local_names: false,
            passed: Mutex::default(),
        }
    }

    /// Allows names that are only valid in the local network, except `localhost`.
    pub(crate) const fn with_local_names(mut self, allows: bool) -> Self {
        self.allows_local_names = allows;
        self
    }

    /// Checks the request's URL and sets the `Host` header. Returns the URL to connect to, or
    /// `None` if the URL is not allowed.
    pub(crate) fn admit(
        &self,
        uri: &Uri,
        headers: &mut HeaderMap,
    ) -> Option<(Url, Arc<Destination>)> {
        if uri.scheme() != Some(&Scheme::HTTPS) {
            return None;
        }
        let destination = self.destination(uri.authority()?.as_str())?;
        match &destination.overridden {
            Some(host) => headers.insert(HOST, host.clone()),
            // A `Host` header from the caller could select another tenant of the same server.
            None => headers.remove(HOST),
        };
        // Path and query cannot change the scheme or the authority.
        let target = uri.path_and_query()?;
        let mut url = destination.root.clone();
        url.set_path(target.path());
        url.set_query(target.query());
        Some((url, destination))
    }

    /// The result depends only on `authority`, so it is cached.
    fn destination(&self, authority: &str) -> Option<Arc<Destination>> {
        if let Some(known) = self.passed().get(authority) {
            return Some(Arc::clone(known));
        }
        let decided = Arc::new(self.decide(authority)?);
        if authority.len() <= MAX_LEN {
            let mut passed = self.passed();
            if passed.len() >= EVICTION_THRESHOLD {
                passed.clear();
            }
            passed.insert(authority.into(), Arc::clone(&decided));
        }
        Some(decided)
    }

    fn decide(&self, authority: &str) -> Option<Destination> {
        // All checks use the normalized URL, which is also the URL to connect to.
        let url = Url::parse(&["https://", authority].concat()).ok()?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        // `Origin::of` accepts only https, a host name and no userinfo.
        let origin = Origin::of(&url).ok()?;
        if !is_host_name(origin.host()) {
            return None;
        }
        let detour = self.detours.iter().find(|it| it.origin == origin);
        let (root, overridden) = match detour {
            Some(detour) => (detour.root.clone(), Some(detour.host.clone())),
            None if (origin.port() != 443 && !self.ports.contains(&origin.port()))
                || (is_local(origin.host()) && !self.allows_local_names)
                || origin.host().ends_with(".localhost") =>
            {
                return None;
            }
            None => (url, None),
        };
        Some(Destination {
            host: origin.host().to_owned(),
            root,
            overridden,
        })
    }

    fn passed(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Destination>>> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns true if `host` is a name of at least two labels according to RFC 1123 section 2.1. The
/// last label must start with a letter, so that no resolver interprets the name as an IP address.
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
    use proptest::prelude::*;

    use super::*;

    fn loopback(address: &str) -> LoopbackOverride {
        let origin = Origin::parse("https://api.acme.example").unwrap();
        LoopbackOverride::new(origin, address.parse().unwrap()).unwrap()
    }

    #[test]
    fn only_port_443_and_allowed_ports_pass() {
        let guard = Guard::new(&[], vec![8443]);
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
    fn an_overridden_request_keeps_the_real_host_and_path() {
        let guard = Guard::new(&[loopback("127.0.0.1:4010")], vec![]);
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("other.example"));
        let uri = Uri::from_static("https://api.acme.example/a%2Fb?c=%20d");
        let (url, destination) = guard.admit(&uri, &mut headers).unwrap();
        assert!(destination.is_overridden());
        assert_eq!(url.as_str(), "http://127.0.0.1:4010/a%2Fb?c=%20d");
        assert_eq!(headers[HOST], "api.acme.example");
        assert_eq!(headers.len(), 1);
        // Without an override, the HTTP library sets the header from the URL.
        let uri = Uri::from_static("https://www.acme.example/");
        assert!(!guard.admit(&uri, &mut headers).unwrap().1.is_overridden());
        assert!(headers.is_empty());
        // A different port is a different origin.
        let uri = Uri::from_static("https://api.acme.example:4010/");
        assert!(guard.admit(&uri, &mut headers).is_none());
    }

    #[test]
    fn characters_that_end_an_authority_are_rejected() {
        let guard = Guard::new(&[], vec![]);
        assert!(guard.decide("a.example").is_some());
        // `Uri` ends the authority at each of these characters. The check does not rely on that.
        for text in ["a.example/x", "a.example?x", "a.example#x", "a.example\\x"] {
            assert!(guard.decide(text).is_none(), "{text}");
        }
    }

    #[test]
    fn allowed_authorities_are_cached_as_written_up_to_a_limit() {
        let guard = Guard::new(&[], vec![]);
        let admit = |uri: &str| guard.admit(&uri.parse().unwrap(), &mut HeaderMap::new());
        let (url, first) = admit("https://a.example/x?y").unwrap();
        assert_eq!(url.as_str(), "https://a.example/x?y");
        let (url, again) = admit("https://a.example/z").unwrap();
        assert_eq!(url.as_str(), "https://a.example/z");
        assert!(Arc::ptr_eq(&first, &again));
        for refused in [
            "http://a.example/",
            "https://user@a.example/",
            "https://a.example:444/",
            "https://a.example./",
            "https://127.0.0.1/",
        ] {
            for _ in 0..2 {
                assert!(admit(refused).is_none(), "{refused}");
            }
        }
        // The port is part of the authority and can be written with any number of zeros.
        let long = format!("https://a.example:{:0>1000}/", 443);
        assert_eq!(admit(&long).unwrap().1.host, "a.example");
        assert_eq!(guard.passed().len(), 1);
        let mut most = 0;
        for number in 0..3 * EVICTION_THRESHOLD {
            admit(&format!("https://host-{number}.example/")).unwrap();
            most = most.max(guard.passed().len());
        }
        assert_eq!(most, EVICTION_THRESHOLD);
        // A destination that was removed from the cache is checked again with the same result, and
        // requests in flight keep theirs.
        assert!(!Arc::ptr_eq(
            &first,
            &admit("https://a.example/").unwrap().1
        ));
        assert_eq!(first.host, "a.example");
    }

    proptest! {
        /// The URL from the cached destination and the request's path must equal the URL parsed
        /// from the whole text.
        #[test]
        fn the_connected_url_equals_the_parsed_request_url(
            authority in "[aA]\\.example|a\\.example:0?443|%61\\.example|[a-z0-9.:%@-]{1,12}\\.example",
            path in "(/[!$&-;=@-Z_a-z~%]{0,6}|/\\.\\.?|/%2[eE]|//[a-z.]{0,9}){0,5}",
            query in "(\\?[!$&-;=?@-Z_a-z~%']{0,9}){0,2}",
        ) {
            let text = format!("https://{authority}{path}{query}");
            prop_assume!(text.parse::<Uri>().is_ok());
            let uri: Uri = text.parse().unwrap();
            let guard = Guard::new(&[], vec![]);
            let cold = guard.admit(&uri, &mut HeaderMap::new());
            let warm = guard.admit(&uri, &mut HeaderMap::new());
            prop_assert_eq!(cold.is_some(), warm.is_some());
            if let (Some((cold, destination)), Some((warm, _))) = (cold, warm) {
                let whole = Url::parse(&text).unwrap();
                prop_assert_eq!(Some(&*destination.host), whole.host_str());
                prop_assert_eq!(&cold, &whole);
                prop_assert_eq!(&warm, &whole);
            }
        }
    }
}
