//! The egress guard: decides on a request's URL before any name is looked up.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connector_core::http::{LoopbackOverride, Origin};
use http::header::{HOST, HeaderValue};
use http::uri::Scheme;
use http::{HeaderMap, Uri};
use url::Url;

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

/// A loopback override as the guard uses it.
#[derive(Debug)]
struct Detour {
    origin: Origin,
    /// The root of the server on this machine.
    root: Url,
    /// The `Host` header of a request to `origin`.
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

/// So many destinations are remembered, less than 1 KiB each; then all are forgotten.
const MANY: usize = 1024;
/// A host name and a port. A longer authority is one that was written to be long.
const LONGEST: usize = 253 + ":65535".len();

/// A destination that passed.
#[derive(Debug)]
pub(crate) struct Destination {
    /// The host of the request.
    pub(crate) host: String,
    /// What to connect to: a URL without path and query.
    root: Url,
    /// The `Host` header, if a loopback override applies.
    overridden: Option<HeaderValue>,
}

impl Destination {
    /// True if a loopback override applies.
    pub(crate) const fn is_overridden(&self) -> bool {
        self.overridden.is_some()
    }
}

/// What may be reached besides port 443 of public hosts.
#[derive(Debug)]
pub(crate) struct Guard {
    detours: Vec<Detour>,
    ports: Vec<u16>,
    /// What passed, by the authority as it was written. What is refused is decided anew each time.
    passed: Mutex<HashMap<Box<str>, Arc<Destination>>>,
}

impl Guard {
    pub(crate) fn new(loopbacks: &[LoopbackOverride], ports: Vec<u16>) -> Self {
        Self {
            detours: loopbacks.iter().filter_map(Detour::new).collect(),
            ports,
            passed: Mutex::default(),
        }
    }

    /// Decides on the request's URL and sets the `Host` header; returns what to connect to, or `None`
    /// if it may not go there.
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
            // A caller's own Host header could name another tenant of the same server.
            None => headers.remove(HOST),
        };
        // Neither can change what stands before the path.
        let target = uri.path_and_query()?;
        let mut url = destination.root.clone();
        url.set_path(target.path());
        url.set_query(target.query());
        Some((url, destination))
    }

    /// The decision on `authority` depends on nothing else, so it is made once.
    fn destination(&self, authority: &str) -> Option<Arc<Destination>> {
        if let Some(known) = self.passed().get(authority) {
            return Some(Arc::clone(known));
        }
        let decided = Arc::new(self.decide(authority)?);
        if authority.len() <= LONGEST {
            let mut passed = self.passed();
            if passed.len() >= MANY {
                passed.clear();
            }
            passed.insert(authority.into(), Arc::clone(&decided));
        }
        Some(decided)
    }

    fn decide(&self, authority: &str) -> Option<Destination> {
        // All decisions are made on the very value that is connected to, after normalisation.
        let url = Url::parse(&["https://", authority].concat()).ok()?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return None;
        }
        // Only https, a name and no userinfo make an origin.
        let origin = Origin::of(&url).ok()?;
        if !is_host_name(origin.host()) {
            return None;
        }
        let detour = self.detours.iter().find(|it| it.origin == origin);
        let (root, overridden) = match detour {
            Some(detour) => (detour.root.clone(), Some(detour.host.clone())),
            None if (origin.port() != 443 && !self.ports.contains(&origin.port()))
                || is_local(origin.host()) =>
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
    use proptest::prelude::*;

    use super::*;

    fn loopback(address: &str) -> LoopbackOverride {
        let origin = Origin::parse("https://api.acme.example").unwrap();
        LoopbackOverride::new(origin, address.parse().unwrap()).unwrap()
    }

    #[test]
    fn only_the_port_of_the_scheme_or_an_allowed_one_passes() {
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
        // Elsewhere the HTTP library writes the header, from the URL.
        let uri = Uri::from_static("https://www.acme.example/");
        assert!(!guard.admit(&uri, &mut headers).unwrap().1.is_overridden());
        assert!(headers.is_empty());
        // Another port is another origin.
        let uri = Uri::from_static("https://api.acme.example:4010/");
        assert!(guard.admit(&uri, &mut headers).is_none());
    }

    #[test]
    fn what_stands_behind_a_host_is_no_part_of_an_authority() {
        let guard = Guard::new(&[], vec![]);
        assert!(guard.decide("a.example").is_some());
        // `Uri` ends an authority at each of them; the decision does not rely on that.
        for text in ["a.example/x", "a.example?x", "a.example#x", "a.example\\x"] {
            assert!(guard.decide(text).is_none(), "{text}");
        }
    }

    #[test]
    fn what_passed_is_remembered_as_it_was_written_and_never_more_than_so_many() {
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
        // The port counts, but it can be written without end.
        let long = format!("https://a.example:{:0>1000}/", 443);
        assert_eq!(admit(&long).unwrap().1.host, "a.example");
        assert_eq!(guard.passed().len(), 1);
        let mut most = 0;
        for number in 0..3 * MANY {
            admit(&format!("https://host-{number}.example/")).unwrap();
            most = most.max(guard.passed().len());
        }
        assert_eq!(most, MANY);
        // Who was forgotten is decided alike, and whoever is under way keeps what it has.
        assert!(!Arc::ptr_eq(
            &first,
            &admit("https://a.example/").unwrap().1
        ));
        assert_eq!(first.host, "a.example");
    }

    proptest! {
        /// The URL is put together from what was remembered and the request's path; it must be the
        /// one that the whole text stands for.
        #[test]
        fn what_is_connected_to_is_what_the_whole_url_says(
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
