//! Plain HTTP to a server on this machine that represents a public server. Browsers and attackers
//! in tests use it instead of the library's transport.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use connector_core::http::{LoopbackOverride, Origin};
use http::header::{HOST, HeaderValue};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// Maximum length of a response in bytes.
const MAX_RESPONSE: usize = 1024 * 1024;

/// A client for one origin, which a server on the loopback address represents.
///
/// Every request opens a new connection.
#[derive(Debug, Clone)]
pub struct Loopback {
    origin: Origin,
    port: u16,
}

impl Loopback {
    /// Creates a client that sends requests for `origin` to `port` of the loopback address, without
    /// TLS.
    #[must_use]
    pub const fn new(origin: Origin, port: u16) -> Self {
        Self { origin, port }
    }

    /// Returns the same client with another port, for example the port of a proxy.
    #[must_use]
    pub fn through(&self, port: u16) -> Self {
        Self::new(self.origin.clone(), port)
    }

    /// Returns the address of the server.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// Returns the loopback override for the library's transport.
    ///
    /// # Errors
    /// None for a port on which a server listens.
    pub fn opening(&self) -> io::Result<LoopbackOverride> {
        LoopbackOverride::new(self.origin.clone(), self.address()).map_err(io::Error::other)
    }

    /// Sends a request with an absolute URL and reads the whole response.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for another origin. Otherwise the error of the connection.
    pub async fn exchange(
        &self,
        request: http::Request<Bytes>,
    ) -> io::Result<http::Response<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let target = Url::parse(&parts.uri.to_string()).ok();
        if target.and_then(|url| Origin::of(&url).ok()).as_ref() != Some(&self.origin) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this way leads to another origin",
            ));
        }
        let host = HeaderValue::from_str(self.origin.host()).map_err(io::Error::other)?;
        parts.headers.insert(HOST, host);
        let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
        parts.uri = path.parse().map_err(io::Error::other)?;
        let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(io::Error::other)?;
        let exchange = async {
            let request = http::Request::from_parts(parts, Full::new(body));
            let answer = sender
                .send_request(request)
                .await
                .map_err(io::Error::other)?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, MAX_RESPONSE).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            drop(sender);
            Ok(http::Response::from_parts(parts, body))
        };
        let (answer, _closed) = tokio::join!(exchange, connection);
        answer
    }
}
