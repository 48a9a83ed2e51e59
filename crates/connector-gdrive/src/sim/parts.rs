//! Multipart bodies (RFC 2046) with any kind of line ending.

use bytes::Bytes;

/// Headers and body of a part.
pub(super) struct Part {
    pub(super) head: String,
    pub(super) body: Bytes,
}

impl Part {
    /// Returns the value of a header.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }
}

/// Returns the value of a header in a block of header lines.
pub(super) fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().find_map(|line| {
        let (known, value) = line.split_once(':')?;
        known.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Returns the parts of a multipart body. `None` if the body is not multipart.
pub(super) fn parts(content_type: &str, body: &Bytes) -> Option<Vec<Part>> {
    let (_, boundary) = content_type.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let mark = format!("--{boundary}");
    let mut at = find(body, mark.as_bytes(), 0)? + mark.len();
    let mut parts = Vec::new();
    while !body.get(at..)?.starts_with(b"--") {
        let end = find(body, format!("\n{mark}").as_bytes(), at)?;
        let last = if end > at && body[end - 1] == b'\r' {
            end - 1
        } else {
            end
        };
        // The line ending of the boundary line belongs to the part's start.
        let start = find(body, b"\n", at)? + 1;
        let (head, body) = split(&body.slice(start.min(last)..last))?;
        parts.push(Part { head, body });
        at = end + 1 + mark.len();
    }
    Some(parts)
}

/// Splits a part into its header lines and the bytes after the first empty line.
pub(super) fn split(bytes: &Bytes) -> Option<(String, Bytes)> {
    let ends = [b"\r\n\r\n".as_slice(), b"\n\n"];
    let found = ends
        .into_iter()
        .filter_map(|end| Some((find(bytes, end, 0)?, end.len())));
    let (at, length) = found.min()?;
    let head = String::from_utf8(bytes[..at].to_vec()).ok()?;
    Some((head, bytes.slice(at + length..)))
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let mut windows = bytes.get(from..)?.windows(wanted.len());
    windows.position(|it| it == wanted).map(|at| at + from)
}
