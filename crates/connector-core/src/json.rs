//! Helpers for JSON received from servers.

/// Strips a leading byte order mark, which RFC 8259 section 8.1 lets a parser ignore.
pub(crate) fn without_bom(body: &[u8]) -> &[u8] {
    body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body)
}
