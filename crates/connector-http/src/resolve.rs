//! DNS resolution that returns only public addresses. The client connects only to checked
//! addresses.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use async_trait::async_trait;
use ipnet::IpNet;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

use crate::address::{is_metadata, is_public};

/// Resolves host names for an [`HttpClient`](crate::HttpClient).
///
/// The client checks the result. If any address is not public, the lookup is rejected. Otherwise,
/// the client connects to one of the returned addresses. Called concurrently, once per connection,
/// with a lower-case host name.
#[async_trait]
pub trait Resolver: fmt::Debug + Send + Sync + 'static {
    /// Returns the addresses of `host`.
    ///
    /// # Errors
    /// Any error of the lookup. An empty list is also treated as an error.
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>>;
}

/// The operating system's resolver (`getaddrinfo`). Needs a tokio runtime.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SystemResolver;

#[async_trait]
impl Resolver for SystemResolver {
    async fn look_up(&self, host: &str) -> io::Result<Vec<IpAddr>> {
        let found = tokio::net::lookup_host((host, 0)).await?;
        Ok(found.map(|address| address.ip()).collect())
    }
}

/// The error for an address that is not public. The client searches for this error in the source
/// chain of reqwest's error.
#[derive(Debug, thiserror::Error)]
#[error("the host name resolves to an address that is not public")]
pub(crate) struct NotPublic;

/// A resolver that rejects results with addresses that are neither public nor in an allowed network.
#[derive(Debug)]
pub(crate) struct PublicOnly {
    resolver: Arc<dyn Resolver>,
    /// The host of the operator's proxy, which may have a private address.
    proxy_host: Option<String>,
    /// The networks that the operator allows in addition.
    networks: Arc<[IpNet]>,
}

impl PublicOnly {
    pub(crate) fn new(
        resolver: Arc<dyn Resolver>,
        proxy_host: Option<String>,
        networks: Vec<IpNet>,
    ) -> Self {
        Self {
            resolver,
            proxy_host,
            networks: networks.into(),
        }
    }

    /// Returns true if a proxy resolves the host names.
    pub(crate) const fn has_proxy(&self) -> bool {
        self.proxy_host.is_some()
    }

    /// Checks the addresses of `host`.
    pub(crate) async fn check(&self, host: &str) -> Result<(), CheckFailure> {
        look_up(&*self.resolver, host, &self.networks)
            .await
            .map(drop)
    }
}

/// The reason why a host name cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckFailure {
    #[error(transparent)]
    NotPublic(#[from] NotPublic),
    #[error(transparent)]
    Lookup(#[from] io::Error),
}

async fn look_up(
    resolver: &dyn Resolver,
    host: &str,
    networks: &[IpNet],
) -> Result<Vec<IpAddr>, CheckFailure> {
    let found = resolver.look_up(host).await?;
    if found.is_empty() {
        return Err(io::Error::from(io::ErrorKind::NotFound).into());
    }
    let is_allowed = |ip: IpAddr| {
        is_public(ip) || (networks.iter().any(|it| it.contains(&ip)) && !is_metadata(ip))
    };
    if !found.iter().copied().all(is_allowed) {
        return Err(NotPublic.into());
    }
    Ok(found)
}

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = Arc::clone(&self.resolver);
        // With a proxy, all connections go to the proxy, so its name is never a provider's.
        let is_proxy = self.proxy_host.as_deref() == Some(name.as_str());
        let networks = Arc::clone(&self.networks);
        Box::pin(async move {
            let found = if is_proxy {
                resolver.look_up(name.as_str()).await?
            } else {
                match look_up(&*resolver, name.as_str(), &networks).await {
                    Ok(found) => found,
                    Err(CheckFailure::NotPublic(error)) => return Err(error.into()),
                    Err(CheckFailure::Lookup(error)) => return Err(error.into()),
                }
            };
            // Port 0 means the port of the URL.
            let addresses: Addrs = Box::new(found.into_iter().map(|ip| SocketAddr::new(ip, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[derive(Debug)]
    struct Scripted(Mutex<Vec<Vec<&'static str>>>);

    #[async_trait]
    impl Resolver for Scripted {
        async fn look_up(&self, _host: &str) -> io::Result<Vec<IpAddr>> {
            let next = self.0.lock().unwrap().remove(0);
            Ok(next.iter().map(|text| text.parse().unwrap()).collect())
        }
    }

    #[tokio::test]
    async fn only_checked_addresses_are_returned_and_a_rebound_name_is_rejected() {
        let scripted = Scripted(Mutex::new(vec![
            vec!["93.184.215.14", "2606:2800::1"],
            vec!["127.0.0.1"],
            vec!["93.184.215.14", "10.0.0.1"],
            vec!["93.184.215.14", "::ffff:127.0.0.1"],
            vec![],
        ]));
        let resolver = PublicOnly::new(Arc::new(scripted), None, Vec::new());
        let look_up = || resolver.resolve("rebinds.example".parse().unwrap());
        let first: Vec<_> = look_up().await.ok().unwrap().collect();
        assert_eq!(
            first,
            [
                "93.184.215.14:0".parse().unwrap(),
                "[2606:2800::1]:0".parse().unwrap()
            ]
        );
        for _ in 0..3 {
            assert!(look_up().await.err().unwrap().is::<NotPublic>());
        }
        assert!(!look_up().await.err().unwrap().is::<NotPublic>());
    }

    #[tokio::test]
    async fn only_the_proxys_own_name_may_resolve_to_a_private_address() {
        let scripted = Scripted(Mutex::new(vec![vec!["10.0.0.1"], vec!["10.0.0.1"]]));
        let resolver =
            PublicOnly::new(Arc::new(scripted), Some("proxy.example".into()), Vec::new());
        let proxy = resolver.resolve("proxy.example".parse().unwrap()).await;
        assert_eq!(proxy.ok().unwrap().count(), 1);
        let other = resolver.resolve("other.example".parse().unwrap()).await;
        assert!(other.err().unwrap().is::<NotPublic>());
    }
}
