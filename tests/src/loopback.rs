//! Plain HTTP to a server on this machine that stands for a public one, as a browser or a stranger
//! reaches it: past the library's own transport.

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

/// The longest answer that is read, in bytes.
const LONGEST_ANSWER: usize = 1024 * 1024;

/// The way to one origin only, which a server on the loopback address stands for.
///
/// Every request has a connection of its own.
#[derive(Debug, Clone)]
pub struct Loopback {
    origin: Origin,
    port: u16,
}

impl Loopback {
    /// Requests to `origin` go to `port` of the loopback address, without TLS.
    #[must_use]
    pub const fn new(origin: Origin, port: u16) -> Self {
        Self { origin, port }
    }

    /// The same way past another port, where a proxy listens.
    #[must_use]
    pub fn through(&self, port: u16) -> Self {
        Self::new(self.origin.clone(), port)
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The same way as the library's own transport takes it.
    ///
    /// # Errors
    /// None for a port that something listens on.
    pub fn opening(&self) -> io::Result<LoopbackOverride> {
        LoopbackOverride::new(self.origin.clone(), self.address()).map_err(io::Error::other)
    }

    /// Sends a request whose URL is absolute and reads the whole answer.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for another origin; otherwise as the connection failed.
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
            let body = Limited::new(body, LONGEST_ANSWER).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            drop(sender);
            Ok(http::Response::from_parts(parts, body))
        };
        let (answer, _closed) = tokio::join!(exchange, connection);
        answer
    }
}
