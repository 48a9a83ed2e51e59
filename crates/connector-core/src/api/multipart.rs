//! Multipart bodies (RFC 2046, RFC 2387, RFC 7578).

use bytes::Bytes;
use http::HeaderValue;
use ring::digest::{Context, SHA256};

use crate::error::{Error, ErrorKind, Result};

const OPERATION: &str = "api.multipart";

/// One part of a [`Multipart`] body.
#[derive(Clone)]
#[must_use]
pub struct Part {
    content_type: Option<HeaderValue>,
    disposition: Option<String>,
    headers: Vec<(&'static str, HeaderValue)>,
    body: Bytes,
}

impl Part {
    /// Creates a part with the given media type, for `related` or `mixed` bodies.
    pub fn new(content_type: HeaderValue, body: impl Into<Bytes>) -> Self {
        Self {
            content_type: Some(content_type),
            disposition: None,
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Creates a text field for a form.
    pub fn field(name: &str, value: impl Into<String>) -> Self {
        Self {
            content_type: None,
            disposition: Some(format!("form-data; name=\"{}\"", escaped(name))),
            headers: Vec::new(),
            body: value.into().into(),
        }
    }

    /// Creates a file for a form.
    pub fn file(
        name: &str,
        file_name: &str,
        content_type: HeaderValue,
        body: impl Into<Bytes>,
    ) -> Self {
        let (name, file_name) = (escaped(name), escaped(file_name));
        Self {
            content_type: Some(content_type),
            disposition: Some(format!(
                "form-data; name=\"{name}\"; filename=\"{file_name}\""
            )),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// Adds a header to the part, for example `content-id`.
    pub fn with_header(mut self, name: &'static str, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    fn write(&self, body: &mut Vec<u8>) {
        let mut header = |name: &str, value: &[u8]| {
            body.extend_from_slice(name.as_bytes());
            body.extend_from_slice(b": ");
            body.extend_from_slice(value);
            body.extend_from_slice(b"\r\n");
        };
        if let Some(disposition) = &self.disposition {
            header("Content-Disposition", disposition.as_bytes());
        }
        if let Some(content_type) = &self.content_type {
            header("Content-Type", content_type.as_bytes());
        }
        for (name, value) in &self.headers {
            header(name, value.as_bytes());
        }
        body.extend_from_slice(b"\r\n");
        body.extend_from_slice(&self.body);
        body.extend_from_slice(b"\r\n");
    }
}

impl std::fmt::Debug for Part {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Part")
            .field("content_type", &self.content_type)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Escapes a name in the part header of a form. Quotation marks and line breaks are
/// percent-encoded, as in browsers. See [WHATWG HTML: Multipart form
/// data](https://html.spec.whatwg.org/multipage/form-control-infrastructure.html#multipart-form-data).
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '"' => escaped.push_str("%22"),
            '\r' => escaped.push_str("%0D"),
            '\n' => escaped.push_str("%0A"),
            '\0' => {}
            c => escaped.push(c),
        }
    }
    escaped
}

/// A multipart body. Add it to a request with
/// [`Request::multipart`](crate::api::Request::multipart).
///
/// The boundary is derived from the parts, so that a retry sends the same bytes. The boundary never
/// occurs inside a part.
///
/// ```
/// use connector_core::api::{Multipart, Part, Request};
/// use http::HeaderValue;
///
/// let body = Multipart::form_data()
///     .with(Part::field("title", "Report"))
///     .with(Part::file("file", "a.txt", HeaderValue::from_static("text/plain"), "hello"));
/// let request = Request::post(["files"])?.multipart(body)?;
/// # Ok::<(), connector_core::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct Multipart {
    subtype: &'static str,
    parts: Vec<Part>,
}

impl Multipart {
    /// Creates a `multipart/form-data` body (RFC 7578).
    pub const fn form_data() -> Self {
        Self::of("form-data")
    }

    /// Creates a `multipart/related` body (RFC 2387), for metadata followed by content.
    pub const fn related() -> Self {
        Self::of("related")
    }

    /// Creates a `multipart/mixed` body (RFC 2046 section 5.1.3), for batches.
    pub const fn mixed() -> Self {
        Self::of("mixed")
    }

    const fn of(subtype: &'static str) -> Self {
        Self {
            subtype,
            parts: Vec::new(),
        }
    }

    /// Adds a part.
    pub fn with(mut self, part: Part) -> Self {
        self.parts.push(part);
        self
    }

    /// Returns the `Content-Type` value with the boundary, and the body.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if there is no part.
    pub fn into_body(self) -> Result<(HeaderValue, Bytes)> {
        if self.parts.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidInput,
                OPERATION,
                "a multipart body needs at least one part; add one",
            ));
        }
        let parts: Vec<Vec<u8>> = self
            .parts
            .iter()
            .map(|part| {
                let mut bytes = Vec::with_capacity(part.body.len() + 256);
                part.write(&mut bytes);
                bytes
            })
            .collect();
        let boundary = boundary(&parts);
        let length: usize = parts.iter().map(|part| part.len() + 64).sum();
        let mut body = Vec::with_capacity(length + 64);
        for part in &parts {
            body.extend_from_slice(format!("--{boundary}\r\n").as_bytes());
            body.extend_from_slice(part);
        }
        body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
        let content_type = format!("multipart/{}; boundary={boundary}", self.subtype);
        let content_type = HeaderValue::try_from(content_type).map_err(|_| {
            Error::new(
                ErrorKind::Bug,
                OPERATION,
                "the boundary is not a valid header value; please report it",
            )
        })?;
        Ok((content_type, body.into()))
    }
}

/// Returns a boundary that occurs in no part.
fn boundary(parts: &[Vec<u8>]) -> String {
    let mut round = 0_u64;
    loop {
        let mut context = Context::new(&SHA256);
        context.update(&round.to_be_bytes());
        for part in parts {
            context.update(part);
        }
        let boundary = hex::encode(&context.finish().as_ref()[..16]);
        let occurs = |part: &Vec<u8>| {
            part.windows(boundary.len())
                .any(|window| window == boundary.as_bytes())
        };
        if !parts.iter().any(occurs) {
            return boundary;
        }
        round += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Splits a body according to RFC 2046 section 5.1.1. Returns the header lines and the body of
    /// each part.
    fn read(content_type: &HeaderValue, body: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
        let (_, boundary) = content_type
            .to_str()
            .unwrap()
            .split_once("boundary=")
            .unwrap();
        let find =
            |bytes: &[u8], what: &[u8]| bytes.windows(what.len()).position(|window| window == what);
        let mut rest = [b"\r\n", body].concat();
        let delimiter = format!("\r\n--{boundary}");
        let mut parts = Vec::new();
        assert_eq!(find(&rest, delimiter.as_bytes()), Some(0), "no preamble");
        loop {
            rest.drain(..delimiter.len());
            if rest == b"--\r\n" {
                return parts;
            }
            assert!(rest.starts_with(b"\r\n"));
            rest.drain(..2);
            let end = find(&rest, delimiter.as_bytes()).unwrap();
            let part: Vec<u8> = rest.drain(..end).collect();
            let head = find(&[b"\r\n", &part[..]].concat(), b"\r\n\r\n").unwrap();
            parts.push((part[..head].to_vec(), part[head + 2..].to_vec()));
        }
    }

    #[test]
    fn each_form_has_its_headers() {
        let json = HeaderValue::from_static("application/json");
        let (kind, body) = Multipart::related()
            .with(Part::new(json.clone(), "{}"))
            .with(Part::new(json, "[]").with_header("content-id", HeaderValue::from_static("<2>")))
            .into_body()
            .unwrap();
        assert!(
            kind.to_str()
                .unwrap()
                .starts_with("multipart/related; boundary=")
        );
        let parts = read(&kind, &body);
        assert_eq!(
            parts[0],
            (
                b"Content-Type: application/json\r\n".to_vec(),
                b"{}".to_vec()
            )
        );
        assert!(parts[1].0.ends_with(b"content-id: <2>\r\n"));
        let (kind, body) = Multipart::form_data()
            .with(Part::field("a\"b\r\nc", "1"))
            .with(Part::file(
                "f",
                "é\".txt",
                HeaderValue::from_static("text/plain"),
                "x",
            ))
            .into_body()
            .unwrap();
        let parts = read(&kind, &body);
        assert_eq!(
            parts[0].0,
            b"Content-Disposition: form-data; name=\"a%22b%0D%0Ac\"\r\n"
        );
        let head = String::from_utf8(parts[1].0.clone()).unwrap();
        assert!(head.contains("filename=\"é%22.txt\""), "{head}");
        let (kind, _) = Multipart::mixed()
            .with(Part::field("a", ""))
            .into_body()
            .unwrap();
        assert!(
            kind.to_str()
                .unwrap()
                .starts_with("multipart/mixed; boundary=")
        );
        assert!(Multipart::mixed().into_body().is_err());
    }

    proptest! {
        #[test]
        fn a_server_reads_the_original_values(
            bodies in prop::collection::vec(prop::collection::vec(prop_oneof![
                Just(b'-'), Just(b'\r'), Just(b'\n'), any::<u8>()
            ], 0..40), 1..5),
            name in "\\PC{0,9}",
        ) {
            let mut multipart = Multipart::form_data();
            for body in &bodies {
                let kind = HeaderValue::from_static("application/octet-stream");
                multipart = multipart.with(Part::file(&name, &name, kind, body.clone()));
            }
            let again = multipart.clone().into_body().unwrap();
            let (kind, body) = multipart.into_body().unwrap();
            prop_assert_eq!(&body, &again.1);
            let read: Vec<Vec<u8>> = read(&kind, &body).into_iter().map(|(_, body)| body).collect();
            prop_assert_eq!(read, bodies);
        }
    }
}
