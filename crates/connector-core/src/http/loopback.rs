//! Loopback overrides, which redirect a provider's origin to a simulator on this machine.

use std::net::SocketAddr;

use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;

/// Sends requests for `origin` over plain HTTP to a server on this machine. Used for simulators and
/// tests.
///
/// The request does not change. Its URL, its `Host` header and its signatures still contain the
/// real host. All other non-public addresses remain blocked, including other ports of this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoopbackOverride {
    origin: Origin,
    address: SocketAddr,
}

impl LoopbackOverride {
    /// Redirects requests for `origin` to the server at `address`.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if `address` is not a loopback address (127.0.0.0/8 or `::1`)
    /// with a port.
    pub fn new(origin: Origin, address: SocketAddr) -> Result<Self> {
        if address.ip().is_loopback() && address.port() != 0 {
            return Ok(Self { origin, address });
        }
        Err(Error::new(
            ErrorKind::Configuration,
            "http.loopback_override",
            "a simulator is reached through a loopback address with a port, for example \
             127.0.0.1:4010",
        ))
    }

    /// Redirects requests for each of `origins` to the server at `address`. Returns nothing without an
    /// address, so that a connector's settings need not distinguish the two cases.
    ///
    /// # Errors
    /// As for [`LoopbackOverride::new`], and as for [`Origin::parse`].
    pub fn for_origins<'o>(
        origins: impl IntoIterator<Item = &'o str>,
        address: Option<SocketAddr>,
    ) -> Result<Vec<Self>> {
        let Some(address) = address else {
            return Ok(Vec::new());
        };
        let origins = origins.into_iter();
        origins
            .map(|origin| Self::new(Origin::parse(origin)?, address))
            .collect()
    }

    /// Returns the provider origin that the simulator replaces.
    #[must_use]
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the address on which the simulator listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn to(address: &str) -> Result<LoopbackOverride> {
        let origin = Origin::parse("https://api.acme.example").unwrap();
        LoopbackOverride::new(origin, address.parse().unwrap())
    }

    #[test]
    fn an_override_accepts_only_loopback_addresses() {
        for open in ["127.0.0.1:1", "127.1.2.3:4010", "[::1]:65535"] {
            assert!(to(open).is_ok(), "{open}");
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
            let error = to(closed).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration, "{closed}");
        }
    }

    #[test]
    fn every_origin_is_redirected_if_there_is_an_address() {
        let origins = ["https://a.example", "https://b.example"];
        assert_eq!(LoopbackOverride::for_origins(origins, None).unwrap(), []);
        let address = "127.0.0.1:4010".parse().unwrap();
        let all = LoopbackOverride::for_origins(origins, Some(address)).unwrap();
        let redirected: Vec<String> = all.iter().map(|it| it.origin().to_string()).collect();
        assert_eq!(redirected, origins);
        assert!(LoopbackOverride::for_origins(["no origin"], Some(address)).is_err());
        let public = "93.184.215.14:443".parse().unwrap();
        assert!(LoopbackOverride::for_origins(origins, Some(public)).is_err());
    }
}
