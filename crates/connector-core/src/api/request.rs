//! Requests to a provider's API, without credentials.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, Method, Uri};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use url::form_urlencoded;

use crate::api::multipart::Multipart;
use crate::api::template;
use crate::error::{Error, ErrorKind, Result};
use crate::http::Origin;

const OPERATION: &str = "api.request";

/// All characters except the unreserved characters of RFC 3986 section 2.3.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request to a provider's API. It contains no credential and, by default, no host. The session
/// adds both.
///
/// ```
/// use connector_core::api::Request;
/// let request = Request::get(["users", "a/b?c", "files"])?.query("name", "x&y");
/// assert_eq!(request.target(), "/users/a%2Fb%3Fc/files?name=x%26y");
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Request {
    method: Method,
    origin: Option<Origin>,
    target: String,
    has_query: bool,
    headers: HeaderMap,
    body: Bytes,
    timeout: Option<Duration>,
    max_response_len: Option<usize>,
}

impl Request {
    /// Creates a request with the given method and path segments. Each segment is percent-encoded,
    /// including slashes within a segment.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if a segment is empty, `.` or `..`, because it would change the
    /// path.
    pub fn new<S: AsRef<str>>(
        method: Method,
        segments: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let mut target = String::with_capacity(64);
        for segment in segments {
            let segment = segment.as_ref();
            if matches!(segment, "" | "." | "..") {
                return Err(Error::new(
                    ErrorKind::InvalidInput,
                    OPERATION,
                    "a path segment is empty, `.` or `..`; pass the intended id",
                ));
            }
            target.push('/');
            target.extend(utf8_percent_encode(segment, RESERVED));
        }
        if target.is_empty() {
            target.push('/');
        }
        Ok(Self::to_target(method, None, target))
    }

    fn to_target(method: Method, origin: Option<Origin>, target: String) -> Self {
        Self {
            method,
            origin,
            has_query: target.contains('?'),
            target,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            timeout: None,
            max_response_len: None,
        }
    }

    /// Creates a request with the given method from a URL template (RFC 6570 level 1). Each
    /// `{name}` is replaced by its percent-encoded argument. Slashes of the template are kept,
    /// including a trailing slash. A query in the template is expanded in the same way.
    ///
    /// ```
    /// use connector_core::api::Request;
    /// use http::Method;
    /// let request = Request::template(Method::GET, "/v2/users/{id}/files/", &[("id", "a/b")])?;
    /// assert_eq!(request.target(), "/v2/users/a%2Fb/files/");
    /// # Ok::<(), connector_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the template does not start with a slash or contains a
    /// character that is not allowed in URLs, if a name has no argument or an argument is not used,
    /// if an argument in the path is empty, or if a segment becomes `.` or `..`.
    pub fn template(method: Method, template: &str, arguments: &[(&str, &str)]) -> Result<Self> {
        let target = template::expand(template, arguments)?;
        Ok(Self::to_target(method, None, target))
    }

    /// Creates a GET request for the next-page URL of a response. The URL is sent unchanged. The
    /// request is sent with the credential. Therefore the session rejects an origin that is neither
    /// the credential's own nor listed in the description's `api`.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the text is not an https URL with a host name.
    pub fn next(url: impl AsRef<str>) -> Result<Self> {
        let (origin, target) = template::split(url.as_ref())?;
        Ok(Self::to_target(Method::GET, Some(origin), target))
    }

    /// Creates a GET request. See [`Request::new`].
    ///
    /// # Errors
    /// Same as [`Request::new`].
    pub fn get<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::new(Method::GET, segments)
    }

    /// Creates a POST request. See [`Request::new`].
    ///
    /// # Errors
    /// Same as [`Request::new`].
    pub fn post<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::new(Method::POST, segments)
    }

    /// Adds a percent-encoded pair to the query. A space is `%20`.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.target.extend(utf8_percent_encode(name, RESERVED));
        self.target.push('=');
        self.target.extend(utf8_percent_encode(value, RESERVED));
        self
    }

    /// Sets a header, replacing an earlier value. Do not set the header of the credential: the
    /// session sets this header.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body to `value` serialized as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `value` cannot be represented as JSON.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|_| {
            Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "an argument cannot be represented as JSON; use text keys and finite numbers",
            )
        })?;
        Ok(self.body(HeaderValue::from_static("application/json"), body))
    }

    /// Sets the body to `application/x-www-form-urlencoded` pairs.
    pub fn form<'a>(self, pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let body = form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish();
        self.body(
            HeaderValue::from_static("application/x-www-form-urlencoded"),
            body,
        )
    }

    /// Sets the body to the given bytes.
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    /// Sets a multipart body.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no part.
    pub fn multipart(self, multipart: Multipart) -> Result<Self> {
        let (content_type, body) = multipart.into_body()?;
        Ok(self.body(content_type, body))
    }

    /// Replaces the method, for example of a request that [`Request::next`] created from a URL.
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sends the request to an origin other than the origin of the credential. The session rejects
    /// an origin that the provider's description does not list.
    pub fn at_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Sets the maximum time for one attempt, from the DNS lookup to the last byte. Default: 30
    /// seconds.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the maximum length of the response body in bytes, after decompression. Default: 8 MiB.
    pub fn with_max_response_len(mut self, bytes: usize) -> Self {
        self.max_response_len = Some(bytes);
        self
    }

    /// Returns the HTTP method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Returns the path and the query as sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// Returns the body.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// Returns the headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    pub(crate) const fn origin(&self) -> Option<&Origin> {
        self.origin.as_ref()
    }

    pub(crate) const fn timeout(&self) -> Option<Duration> {
        self.timeout
    }

    pub(crate) const fn max_response_len(&self) -> Option<usize> {
        self.max_response_len
    }

    /// Builds the HTTP request for `origin`, without the credential.
    pub(crate) fn to_http(&self, origin: &Origin) -> Result<http::Request<Bytes>> {
        let too_long = || {
            Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the request's URL is too long; use shorter arguments",
            )
        };
        // Includes room for `https://` and a port.
        let length = 16 + origin.host().len() + self.target.len();
        let mut url = String::with_capacity(length);
        origin.write_to(&mut url).map_err(|_| too_long())?;
        url.push_str(&self.target);
        let uri = Uri::try_from(url).map_err(|_| too_long())?;
        let mut request = http::Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = uri;
        *request.headers_mut() = self.headers.clone();
        request
            .headers_mut()
            .entry(ACCEPT)
            .or_insert(HeaderValue::from_static("application/json"));
        Ok(request)
    }
}

impl fmt::Debug for Request {
    /// Shows no query, body or header values, because arguments may be personal data.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.target.split('?').next().unwrap_or_default();
        f.debug_struct("Request")
            .field("method", &self.method)
            .field("origin", &self.origin)
            .field("path", &path)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn a_segment_never_changes_the_path_structure() {
        for bad in ["", ".", ".."] {
            let error = Request::get(["a", bad, "b"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
        let none: [&str; 0] = [];
        assert_eq!(Request::get(none).unwrap().target(), "/");
        let request = Request::get(["a", "%2e%2e", "#x"]).unwrap();
        assert_eq!(request.target(), "/a/%252e%252e/%23x");
    }

    /// Only form decoders read `+` as a space.
    #[test]
    #[expect(clippy::print_stdout, reason = "the count is what a test shows")]
    fn spaces_of_a_query_are_percent_encoded() {
        let table = [
            ("q", "a b", "?q=a%20b"),
            ("q", "a+b", "?q=a%2Bb"),
            ("two words", " ", "?two%20words=%20"),
            ("q", "name = 'x y'", "?q=name%20%3D%20%27x%20y%27"),
        ];
        for (name, value, query) in table {
            let request = Request::get(["a"]).unwrap().query(name, value);
            assert_eq!(request.target(), format!("/a{query}"));
        }
        println!("queries of calls: {}", table.len());
    }

    #[test]
    fn debug_shows_only_the_path() {
        let request = Request::post(["a"])
            .unwrap()
            .query("q", "personal")
            .json(&["personal"])
            .unwrap();
        assert_eq!(request.bytes(), r#"["personal"]"#);
        assert!(!format!("{request:?}").contains("personal"));
    }

    proptest! {
        #[test]
        fn a_server_reads_the_original_values(
            segments in prop::collection::vec("\\PC{1,8}", 1..4),
            pairs in prop::collection::vec(("\\PC{0,8}", "\\PC{0,8}"), 0..4),
        ) {
            prop_assume!(!segments.iter().any(|it| it == "." || it == ".."));
            let mut request = Request::get(&segments).unwrap();
            for (name, value) in &pairs {
                request = request.query(name, value);
            }
            let origin = Origin::parse("https://a.example").unwrap();
            let uri = request.to_http(&origin).unwrap().uri().to_string();
            let url = Url::parse(&uri).unwrap();
            prop_assert_eq!(url.host_str(), Some("a.example"));
            let read: Vec<String> = url.path_segments().unwrap().map(|it| {
                percent_encoding::percent_decode_str(it).decode_utf8().unwrap().into_owned()
            }).collect();
            prop_assert_eq!(read, segments);
            let read: Vec<(String, String)> = url.query_pairs().into_owned().collect();
            prop_assert_eq!(read, pairs);
        }
    }
}
