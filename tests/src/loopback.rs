//! Plain HTTP to a server on this machine that stands for a public one.

use std::io;
use std::net::Ipv4Addr;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::http::{
    HttpTransport, Origin, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use http::header::{HOST, HeaderValue};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::Url;

/// A transport to one origin only, which a server on the loopback address stands for.
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

    /// Sends a request whose URL is absolute and reads the whole answer.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] for another origin; otherwise as the connection failed.
    pub async fn exchange(
        &self,
        request: http::Request<Bytes>,
        longest_answer: usize,
    ) -> io::Result<http::Response<Bytes>> {
        let (mut parts, body) = request.into_parts();
        let target = Url::parse(&parts.uri.to_string()).ok();
        if target.and_then(|url| Origin::of(&url).ok()).as_ref() != Some(&self.origin) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                "this transport leads to another origin",
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
            let body = Limited::new(body, longest_answer).collect().await;
            let body = body.map_err(io::Error::other)?.to_bytes();
            drop(sender);
            Ok(http::Response::from_parts(parts, body))
        };
        let (answer, _closed) = tokio::join!(exchange, connection);
        answer
    }
}

#[async_trait]
impl HttpTransport for Loopback {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let exchange = self.exchange(request.request, request.longest_answer);
        match tokio::time::timeout(request.timeout, exchange).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidInput => Err(
                TransportError::new(TransportErrorKind::AddressRefused, Sent::No),
            ),
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
                Err(TransportError::new(TransportErrorKind::Connect, Sent::No).with_source(error))
            }
            Ok(Err(error)) => {
                Err(TransportError::new(TransportErrorKind::Broken, Sent::Maybe).with_source(error))
            }
            Err(_) => Err(TransportError::new(
                TransportErrorKind::Timeout,
                Sent::Maybe,
            )),
        }
    }
}
