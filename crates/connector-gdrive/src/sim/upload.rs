//! Uploads: simple, multipart and resumable.

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Grant, Request, Response};
use http::{HeaderMap, Method};
use md5::{Digest as _, Md5};
use ring::digest::{Context, SHA256};
use serde_json::Value;
use url::Url;

use super::api::{Answer, Call, invalid, not_found, refused};
use super::files::{WRITERS, create, reply, update};
use super::parts::parts;
use super::world::{Content, World};

/// Chunk lengths must be multiples of this number of bytes, except for the last chunk.
const ALIGNMENT: usize = 256 * 1024;
const MAX_SIMPLE: usize = 5 * 1024 * 1024;
/// Lifetime of a session, in seconds.
const WEEK: u64 = 7 * 86_400;

/// A fault in one chunk of a resumable upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ChunkFault {
    /// Google stores the first half of the chunk and reports its length.
    Half,
    /// Google stores the chunk, but its 308 response has no `Range` header, as if nothing were
    /// stored.
    NoRange,
    /// Google discards the chunk and returns the status 503.
    Unavailable,
}

/// A resumable upload.
pub(super) struct Session {
    grant: Grant,
    file: Option<String>,
    metadata: Value,
    /// Query of the request that opened the upload, for example `fields`.
    opened_by: Url,
    opened: Timestamp,
    announced: Option<u64>,
    received: u64,
    sha256: Context,
    kept: Option<Vec<u8>>,
    /// The file, if the upload is complete.
    done: Option<String>,
}

impl Session {
    /// Returns the request that opened the upload, without its headers and body.
    fn opening(&self) -> Request {
        let url = self.opened_by.clone();
        Request::new(Method::POST, url, HeaderMap::new(), Bytes::new())
    }
}

/// Returns the response to a request for the URL of an upload session. `None` if the request has a
/// different URL.
pub(super) fn session(world: &mut World, now: Timestamp, request: &Request) -> Option<Response> {
    if !request.path().starts_with("/upload/drive/v3/files") || *request.method() != Method::PUT {
        return None;
    }
    let id = request.query("upload_id")?;
    if world.is_out {
        return Some(refused(503, "backendError", "Backend Error"));
    }
    let answer = chunk(world, now, request, &id);
    Some(answer.unwrap_or_else(|refusal| refusal))
}

fn capped(world: &World) -> Result<(), Response> {
    if world.is_capped {
        return Err(refused(
            403,
            "userRateLimitExceeded",
            "User Rate Limit Exceeded",
        ));
    }
    Ok(())
}

/// Returns the response to a request that opens a session or uploads the content immediately.
pub(super) fn begin(world: &mut World, call: &Call<'_>, method: &str, rest: &[&str]) -> Answer {
    capped(world)?;
    let file = match (method, rest) {
        ("POST", []) => None,
        ("PATCH", [id]) => {
            call.writable(world, id, &WRITERS)?;
            Some((*id).to_owned())
        }
        _ => return Err(not_found("path")),
    };
    match call.request.query("uploadType").as_deref() {
        Some("media") => {
            let body = call.request.body();
            let mut metadata = serde_json::json!({});
            let kind = call.request.header("content-type");
            if !kind.is_empty() {
                metadata["mimeType"] = kind.into();
            }
            simple(world, call, file, &metadata, body)
        }
        Some("multipart") => {
            let (metadata, content) = related(call.request).ok_or_else(|| invalid("body"))?;
            simple(world, call, file, &metadata, &content)
        }
        Some("resumable") => Ok(open(world, call, file)),
        _ => Err(invalid("uploadType")),
    }
}

fn simple(
    world: &mut World,
    call: &Call<'_>,
    file: Option<String>,
    metadata: &Value,
    content: &Bytes,
) -> Answer {
    if content.len() > MAX_SIMPLE {
        return Err(refused(
            413,
            "uploadTooLarge",
            "The file is too large for this kind of upload.",
        ));
    }
    world.uploaded_bytes += content.len() as u64;
    let id = store(world, call, file, metadata, Content::of(content))?;
    reply(world, call, &id)
}

fn store(
    world: &mut World,
    call: &Call<'_>,
    file: Option<String>,
    metadata: &Value,
    content: Content,
) -> Result<String, Response> {
    let Some(id) = file else {
        return create(world, call, metadata, Some(content));
    };
    world.store(call.now, &id, content);
    update(world, call, &id, metadata)?;
    Ok(id)
}

/// Returns the two parts of a `multipart/related` body (RFC 2387).
fn related(request: &Request) -> Option<(Value, Bytes)> {
    let parts = parts(request.header("content-type"), request.body())?;
    let [metadata, content] = parts.as_slice() else {
        return None;
    };
    let mut metadata: Value = serde_json::from_slice(&metadata.body).ok()?;
    if metadata.get("mimeType").is_none() {
        metadata["mimeType"] = content.header("content-type")?.into();
    }
    Some((metadata, content.body.clone()))
}

fn open(world: &mut World, call: &Call<'_>, file: Option<String>) -> Response {
    let request = call.request;
    let mut metadata = request.json();
    if metadata.is_null() {
        metadata = serde_json::json!({});
    }
    let kind = request.header("x-upload-content-type");
    if metadata.get("mimeType").is_none() && !kind.is_empty() && file.is_none() {
        metadata["mimeType"] = kind.into();
    }
    let id = world.secrets.issue("upload-");
    let session = Session {
        grant: call.grant.clone(),
        metadata,
        opened_by: request.url().clone(),
        opened: call.now,
        announced: request.header("x-upload-content-length").parse().ok(),
        received: 0,
        sha256: Context::new(&SHA256),
        kept: world.keeps_content.then(Vec::new),
        done: None,
        file,
    };
    world.uploads.insert(id.clone(), session);
    let mut location = request.url().clone();
    location.set_query(Some(&format!("uploadType=resumable&upload_id={id}")));
    Response::new(200, "text/plain", "").with_header("location", location.as_str())
}

/// Range of a chunk: `bytes 0-9/100`, `bytes 0-9/*`, `bytes */100`, `bytes */*`.
enum Range {
    Question,
    Chunk {
        first: u64,
        last: u64,
        total: Option<u64>,
    },
}

fn range(text: &str) -> Option<Range> {
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let total = match total {
        "*" => None,
        total => Some(total.parse().ok()?),
    };
    if range == "*" {
        return Some(Range::Question);
    }
    let (first, last) = range.split_once('-')?;
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(Range::Chunk { first, last, total })
}

fn incomplete(received: u64) -> Response {
    let response = Response::new(308, "text/plain", "");
    match received {
        0 => response,
        received => response.with_header("range", &format!("bytes=0-{}", received - 1)),
    }
}

fn chunk(world: &mut World, now: Timestamp, request: &Request, id: &str) -> Answer {
    capped(world)?;
    let gone = || Response::new(404, "text/plain", "Not Found");
    let Some(known) = world.uploads.get_mut(id) else {
        return Err(gone());
    };
    if now.since(known.opened).as_secs() > WEEK {
        world.uploads.remove(id);
        return Err(gone());
    }
    if let Some(file) = known.done.clone() {
        return finished(world, now, id, &file);
    }
    let body = request.body();
    let header = request.header("content-range");
    let (first, total) = match range(header) {
        None if header.is_empty() => (0, Some(body.len() as u64)),
        // A status query with the total length completes an upload of unknown length.
        Some(Range::Question) => {
            let total = header
                .rsplit('/')
                .next()
                .and_then(|it| it.parse::<u64>().ok());
            if total == Some(known.received) && known.received > 0 {
                return complete(world, now, id);
            }
            return Ok(incomplete(known.received));
        }
        Some(Range::Chunk { first, last, total }) if last - first + 1 == body.len() as u64 => {
            (first, total)
        }
        _ => {
            return Err(Response::new(
                400,
                "text/plain",
                "Failed to parse Content-Range header.",
            ));
        }
    };
    world.uploaded_bytes += body.len() as u64;
    if first > known.received {
        return Err(Response::new(
            503,
            "text/plain",
            "upload offset exceeds already uploaded size",
        ));
    }
    let is_last = total == Some(first + body.len() as u64);
    if !is_last && !body.len().is_multiple_of(ALIGNMENT) {
        return Err(Response::new(
            400,
            "text/plain",
            "chunks must be multiples of 262144 bytes",
        ));
    }
    if known
        .announced
        .is_some_and(|it| total.is_some_and(|total| total != it))
    {
        return Err(Response::new(
            400,
            "text/plain",
            "the total length differs from the announced length",
        ));
    }
    // Bytes that are already stored are skipped.
    let skip = usize::try_from(known.received - first)
        .unwrap_or(usize::MAX)
        .min(body.len());
    let mut new = body.slice(skip..);
    let fault = world.chunk_faults.pop_front();
    match fault {
        Some(ChunkFault::Unavailable) => return Err(refused(503, "backendError", "Backend Error")),
        Some(ChunkFault::Half) => {
            let half = new.len() / 2 / ALIGNMENT * ALIGNMENT;
            new.truncate(half);
        }
        _ => {}
    }
    known.received += new.len() as u64;
    known.sha256.update(&new);
    if let Some(kept) = &mut known.kept {
        kept.extend_from_slice(&new);
    }
    let received = known.received;
    if fault == Some(ChunkFault::NoRange) && total != Some(received) {
        return Ok(incomplete(0));
    }
    if total == Some(received) {
        return complete(world, now, id);
    }
    Ok(incomplete(received))
}

fn complete(world: &mut World, now: Timestamp, id: &str) -> Answer {
    let Some(session) = world.uploads.get_mut(id) else {
        return Err(not_found(id));
    };
    let bytes = session.kept.take().map(Bytes::from);
    let content = Content {
        length: session.received,
        sha256: hex::encode(session.sha256.clone().finish()),
        md5: bytes.as_ref().map(|bytes| hex::encode(Md5::digest(bytes))),
        bytes,
    };
    let (grant, file, metadata) = (
        session.grant.clone(),
        session.file.clone(),
        session.metadata.clone(),
    );
    let request = &session.opening();
    let call = Call {
        now,
        request,
        grant: &grant,
    };
    let made = store(world, &call, file, &metadata, content)?;
    if let Some(session) = world.uploads.get_mut(id) {
        session.done = Some(made.clone());
    }
    finished(world, now, id, &made)
}

fn finished(world: &World, now: Timestamp, id: &str, file: &str) -> Answer {
    let session = world.uploads.get(id).ok_or_else(|| not_found(id))?;
    let request = &session.opening();
    let call = Call {
        now,
        request,
        grant: &session.grant,
    };
    reply(world, &call, file)
}
