//! Requests without credential, from parts that are encoded one by one.

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

/// Everything but the unreserved characters of RFC 3986 section 2.3.
pub(super) const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A request to a provider's API. It names no credential and, unless told otherwise, no host: the
/// session adds both.
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
    longest_answer: Option<usize>,
}

impl Request {
    /// A request with this method to the path that these segments form. Each is encoded as a whole:
    /// a slash inside one stays inside it.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if a segment is empty, `.` or `..`: it would lead elsewhere.
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
                    "a part of the path is empty or dots only; give the id that is meant",
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
            longest_answer: None,
        }
    }

    /// A request with this method to the path of a URL template (RFC 6570 level 1): each `{name}` is
    /// replaced by its argument, percent-encoded as a whole. Slashes of the template stay, also at its
    /// end. A query in the template is filled in the same way.
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
    /// [`ErrorKind::InvalidInput`] if the template does not start with a slash or has other
    /// characters than a URL, if a name has no argument or an argument no name, if an argument in the
    /// path is empty, or if a segment becomes `.` or `..`.
    pub fn template(method: Method, template: &str, arguments: &[(&str, &str)]) -> Result<Self> {
        let target = template::expand(template, arguments)?;
        Ok(Self::to_target(method, None, target))
    }

    /// A GET request to the next-page URL of a response, as the provider wrote it. It goes out with
    /// the credential, so the session refuses an origin that is neither the credential's own nor one
    /// of the description's `api`.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedAnswer`] if it is not an https URL with a host name.
    pub fn next(url: impl AsRef<str>) -> Result<Self> {
        let (origin, target) = template::split(url.as_ref())?;
        Ok(Self::to_target(Method::GET, Some(origin), target))
    }

    /// A GET request. As for [`Request::new`].
    ///
    /// # Errors
    /// As for [`Request::new`].
    pub fn get<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::new(Method::GET, segments)
    }

    /// A POST request. As for [`Request::new`].
    ///
    /// # Errors
    /// As for [`Request::new`].
    pub fn post<S: AsRef<str>>(segments: impl IntoIterator<Item = S>) -> Result<Self> {
        Self::new(Method::POST, segments)
    }

    /// Adds a pair to the query, encoded as `application/x-www-form-urlencoded`.
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.target.push(if self.has_query { '&' } else { '?' });
        self.has_query = true;
        self.target
            .extend(form_urlencoded::byte_serialize(name.as_bytes()));
        self.target.push('=');
        self.target
            .extend(form_urlencoded::byte_serialize(value.as_bytes()));
        self
    }

    /// Sets a header. The session sets the credential's; what stands there before is replaced.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// Sets the body to the JSON of `value`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if `value` has no JSON form.
    pub fn json<T: Serialize + ?Sized>(self, value: &T) -> Result<Self> {
        let body = serde_json::to_vec(value).map_err(|_| {
            Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "an argument has no JSON form; use texts as keys and finite numbers",
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

    /// Sets the body as it is.
    pub fn body(mut self, content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        self.headers.insert(CONTENT_TYPE, content_type);
        self.body = body.into();
        self
    }

    /// Sets the body to several parts.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no part.
    pub fn multipart(self, multipart: Multipart) -> Result<Self> {
        let (content_type, body) = multipart.into_body()?;
        Ok(self.body(content_type, body))
    }

    /// Replaces the method, for example to send to a URL out of a response ([`Request::next`]).
    pub fn with_method(mut self, method: Method) -> Self {
        self.method = method;
        self
    }

    /// Sends it to another origin than the credential's own. The session refuses one that the
    /// provider's description does not name.
    pub fn at_origin(mut self, origin: Origin) -> Self {
        self.origin = Some(origin);
        self
    }

    /// Sets how long one attempt may take, from the look-up to the last byte. Default: 30 seconds.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets the longest answer to read, in bytes after decompression. Default: 8 MiB.
    pub fn with_longest_answer(mut self, bytes: usize) -> Self {
        self.longest_answer = Some(bytes);
        self
    }

    /// The method.
    #[must_use]
    pub const fn method(&self) -> &Method {
        &self.method
    }

    /// Path and query as they are sent.
    #[must_use]
    pub fn target(&self) -> &str {
        &self.target
    }

    /// The body.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.body
    }

    /// The headers.
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

    pub(crate) const fn longest_answer(&self) -> Option<usize> {
        self.longest_answer
    }

    /// The request as it goes to `origin`, still without credential.
    pub(crate) fn to_http(&self, origin: &Origin) -> Result<http::Request<Bytes>> {
        let too_long = || {
            Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "the request's address is too long; use shorter arguments",
            )
        };
        // With room for `https://` and a port.
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
    /// Shows neither query nor body nor header values: arguments may be personal data.
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
    fn a_segment_never_leaves_its_place() {
        for bad in ["", ".", ".."] {
            let error = Request::get(["a", bad, "b"]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput, "{bad:?}");
        }
        let none: [&str; 0] = [];
        assert_eq!(Request::get(none).unwrap().target(), "/");
        let request = Request::get(["a", "%2e%2e", "#x"]).unwrap();
        assert_eq!(request.target(), "/a/%252e%252e/%23x");
    }

    #[test]
    fn nothing_of_the_arguments_but_the_path_is_shown() {
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
        fn what_was_put_in_is_what_a_server_reads(
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
