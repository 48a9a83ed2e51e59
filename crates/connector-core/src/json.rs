//! Helpers for JSON received from servers.

/// Removes a leading byte order mark. RFC 8259 section 8.1 allows a parser to ignore it.
pub(crate) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}
