//! Requests and responses of a simulated provider.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use serde_json::{Map, Value};
use url::{Url, form_urlencoded};

/// A request to a simulated provider. The URL contains the provider's real host.
pub struct Request {
    method: Method,
    url: Url,
    headers: HeaderMap,
    body: Bytes,
}

impl Request {
    /// Creates a request to `url`.
    #[must_use]
    pub fn new(method: Method, url: Url, headers: HeaderMap, body: Bytes) -> Self {
        Self {
            method,
            url,
            headers,
            body,
        }
    }

    /// Returns the method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the URL with the scheme `https` and the provider's host.
    #[must_use]
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// Returns the provider's host.
    #[must_use]
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Returns the path.
    #[must_use]
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// Returns the decoded value of the first query parameter `name`.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        self.url
            .query_pairs()
            .find(|(known, _)| known == name)
            .map(|(_, value)| value.into_owned())
    }

    /// Returns the value of a header. Empty if the header is absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|it| it.to_str().ok()).unwrap_or_default()
    }

    /// Returns all headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Returns the body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the body as JSON; `null` if it is not JSON.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Returns the fields of the body, parsed as JSON or as a form according to the content type.
    /// Values that are not text are returned as JSON text.
    #[must_use]
    pub fn fields(&self) -> BTreeMap<String, String> {
        if self.is_json() {
            let object: Map<String, Value> = serde_json::from_slice(&self.body).unwrap_or_default();
            let fields = object.into_iter().map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            });
            return fields.collect();
        }
        form_urlencoded::parse(&self.body).into_owned().collect()
    }

    /// Returns true if the content type is JSON.
    #[must_use]
    pub fn is_json(&self) -> bool {
        let content_type = self.header("content-type");
        content_type
            .split(';')
            .next()
            .is_some_and(|it| it.trim().eq_ignore_ascii_case("application/json"))
    }
}

/// Shows the method and the path only, because the query, the headers and the body may contain
/// secrets.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("host", &self.host())
            .field("path", &self.path())
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// A response of a simulated provider.
#[derive(Clone)]
#[must_use]
pub struct Response {
    status: u16,
    headers: Vec<(HeaderName, HeaderValue)>,
    body: Bytes,
    pub(crate) ends_grants: bool,
}

impl Response {
    /// Creates a response with a body of the given content type.
    pub fn new(status: u16, content_type: &'static str, body: impl Into<Bytes>) -> Self {
        Self {
            status,
            headers: vec![(CONTENT_TYPE, HeaderValue::from_static(content_type))],
            body: body.into(),
            ends_grants: false,
        }
    }

    /// Creates a JSON response.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// Creates an HTML page.
    pub fn page(status: u16, html: impl Into<Bytes>) -> Self {
        Self::new(status, "text/html; charset=utf-8", html)
    }

    /// Creates a redirect (302) to `url`.
    pub fn redirect(url: &Url) -> Self {
        Self {
            status: 302,
            headers: Vec::new(),
            body: Bytes::new(),
            ends_grants: false,
        }
        .with_header("location", url.as_str())
    }

    /// Ends the grants of the account that sent the request, as when an operation uninstalls the
    /// app.
    pub fn with_grants_ended(mut self) -> Self {
        self.ends_grants = true;
        self
    }

    /// Sets a header. An invalid name or value is ignored.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let (Ok(name), Ok(value)) = (
            HeaderName::from_bytes(name.as_bytes()),
            HeaderValue::from_str(value),
        ) {
            self.headers.retain(|(known, _)| *known != name);
            self.headers.push((name, value));
        }
        self
    }

    /// Returns the status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// Returns the body.
    #[must_use]
    pub const fn body(&self) -> &Bytes {
        &self.body
    }

    /// Returns the value of a header. Empty if the header is absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found
            .and_then(|(_, value)| value.to_str().ok())
            .unwrap_or_default()
    }

    pub(crate) fn set_body(&mut self, body: Bytes) {
        self.body = body;
    }

    /// Converts the response to an HTTP response, with a body made by `body`.
    pub(crate) fn into_http<B>(self, body: impl FnOnce(Bytes) -> B) -> http::Response<B> {
        let mut response = http::Response::new(body(self.body));
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.headers_mut().extend(self.headers);
        response
    }
}

/// Shows the status and the length only, because the body may contain secrets.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("body", &self.body.len())
            .finish_non_exhaustive()
    }
}
