//! A minimal browser for the offline run: cookies, forms, and single redirects.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use url::{Url, form_urlencoded};

use crate::Outcome;

/// Maximum size of a page in bytes.
const LARGEST_PAGE: usize = 1024 * 1024;

/// Sends a request to a server on the same machine.
pub(crate) async fn send(
    address: SocketAddr,
    mut request: Request<Bytes>,
) -> Outcome<Response<Bytes>> {
    let host = HeaderValue::from_str(&address.to_string())?;
    request.headers_mut().entry(HOST).or_insert(host);
    let stream = TokioIo::new(TcpStream::connect(address).await?);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(stream).await?;
    // The connection ends when the sender is dropped.
    tokio::spawn(connection);
    let response = sender.send_request(request.map(Full::new)).await?;
    let (parts, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_PAGE).collect().await?.to_bytes();
    Ok(Response::from_parts(parts, body))
}

/// A browser with the cookies of one site.
pub(crate) struct Browser {
    site: Url,
    /// The site's address on this machine. A proxy in front of the site would terminate TLS.
    address: SocketAddr,
    cookies: BTreeMap<String, String>,
}

/// A page that the browser shows.
pub(crate) struct Page {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
    /// The target of the redirect, if the response is one.
    pub(crate) location: Option<Url>,
    /// Names and attributes of the new cookies, without their values.
    pub(crate) set: Vec<String>,
}

impl Browser {
    pub(crate) fn new(site: Url, address: SocketAddr) -> Self {
        Self {
            site,
            address,
            cookies: BTreeMap::new(),
        }
    }

    pub(crate) async fn get(&mut self, url: &Url) -> Outcome<Page> {
        self.go(url, Request::get(path(url)).body(Bytes::new())?)
            .await
    }

    pub(crate) async fn post(&mut self, url: &Url, fields: &[(&str, &str)]) -> Outcome<Page> {
        let origin = self.site.origin().ascii_serialization();
        self.post_from(&origin, url, fields).await
    }

    /// Posts a form of a page with the given origin.
    pub(crate) async fn post_from(
        &mut self,
        origin: &str,
        url: &Url,
        fields: &[(&str, &str)],
    ) -> Outcome<Page> {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(fields)
            .finish();
        let request = Request::post(path(url))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header(ORIGIN, origin)
            .body(body.into())?;
        self.go(url, request).await
    }

    async fn go(&mut self, url: &Url, mut request: Request<Bytes>) -> Outcome<Page> {
        let is_own = url.origin() == self.site.origin();
        let address = if is_own {
            let pairs: Vec<String> = self
                .cookies
                .iter()
                .map(|(k, v)| format!("{k}={v}"))
                .collect();
            if !pairs.is_empty() {
                let cookies = HeaderValue::from_str(&pairs.join("; "))?;
                request.headers_mut().insert(COOKIE, cookies);
            }
            self.address
        } else {
            // Only addresses, no host names: no request leaves this machine.
            let host = url.host_str().unwrap_or_default();
            let port = url.port().unwrap_or_default();
            format!("{host}:{port}").parse()?
        };
        let response = send(address, request).await?;
        let mut set = Vec::new();
        for line in response.headers().get_all(SET_COOKIE) {
            let (pair, attributes) = line.to_str()?.split_once(';').unwrap_or_default();
            let (name, value) = pair.split_once('=').ok_or("a cookie has no name")?;
            set.push(format!("{name};{attributes}"));
            if is_own {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        let location = match response.headers().get(LOCATION) {
            Some(target) => Some(url.join(target.to_str()?)?),
            None => None,
        };
        Ok(Page {
            status: response.status(),
            text: String::from_utf8(response.body().to_vec())?,
            location,
            set,
        })
    }
}

impl Page {
    /// Returns the target of the redirect.
    pub(crate) fn location(&self) -> Outcome<&Url> {
        self.location
            .as_ref()
            .ok_or_else(|| format!("the response is {}, not a redirect", self.status).into())
    }

    /// Returns the value of a form field.
    pub(crate) fn field(&self, name: &str) -> Outcome<&str> {
        let (_, rest) = self
            .text
            .split_once(&format!("name=\"{name}\""))
            .ok_or("the page has no such field")?;
        let (_, value) = rest
            .split_once("value=\"")
            .ok_or("the field has no value")?;
        Ok(value.split('"').next().unwrap_or_default())
    }

    /// Returns the text of the page without tags.
    pub(crate) fn read(&self) -> String {
        let (_, body) = self.text.split_once("<body>").unwrap_or_default();
        let mut text = String::new();
        let mut is_tag = false;
        for character in body.chars() {
            match character {
                '<' => is_tag = true,
                '>' => {
                    is_tag = false;
                    text.push(' ');
                }
                other if !is_tag => text.push(other),
                _ => {}
            }
        }
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        text.replace("&#39;", "'").replace("&amp;", "&")
    }
}

fn path(url: &Url) -> &str {
    &url[url::Position::BeforePath..url::Position::AfterQuery]
}
