use std::collections::BTreeMap;
use std::fmt::Write as _;

use bytes::Bytes;
use connector_core::api::{Idempotency, Multipart, Part, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::{Classifier as _, Endpoint};
use connector_core::{ErrorKind, Result};
use http::header::{CONTENT_TYPE, HeaderValue};

use super::DriveOperation;
use crate::error::{Errors, wrong};
use crate::{DriveClient, GoogleDrive};

/// Maximum number of calls in a batch.
const MAX_COUNT: usize = 100;
/// Maximum length of the path and query of a call, in bytes.
const MAX_LEN: usize = 8000;
/// Maximum number of headers in a response within a batch.
const HEADERS: usize = 32;

/// A batch of up to 100 calls of one operation, sent in one request. A batch saves connections but
/// not quota: each call costs as much as outside a batch. Uploads and downloads cannot be batched.
///
/// The result contains one entry for each call, in the order of the calls. Retry the failed calls
/// individually, not the whole batch.
///
/// See [Google Drive docs: Batch requests](https://developers.google.com/workspace/drive/api/guides/performance#batch-requests).
#[derive(Debug, Clone)]
#[must_use]
pub struct Batch<E> {
    calls: Vec<E>,
}

impl<E> Batch<E> {
    /// Creates a batch of these calls.
    pub fn new(calls: impl IntoIterator<Item = E>) -> Self {
        Self {
            calls: calls.into_iter().collect(),
        }
    }
}

impl<E: DriveOperation> Endpoint for Batch<E> {
    type Client = DriveClient;
    type Output = Vec<Result<E::Output>>;
    const NAME: &'static str = "Batch";
    const IDEMPOTENCY: Idempotency = E::IDEMPOTENCY;
    const SCOPES: &'static [&'static str] = E::SCOPES;

    fn validate(&self) -> Result<()> {
        if !(1..=MAX_COUNT).contains(&self.calls.len()) {
            return Err(wrong(
                Self::NAME,
                "a batch must have 1 to 100 calls; send several batches",
            ));
        }
        if E::OPERATION.path.starts_with("/upload/") || E::COST == crate::limits::cost::DOWNLOAD {
            return Err(wrong(Self::NAME, "uploads and downloads cannot be batched"));
        }
        self.calls.iter().try_for_each(Endpoint::validate)
    }

    fn draws(&self) -> Draws {
        let calls = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        Draws::cost(E::COST.saturating_mul(calls))
    }

    fn request(&self) -> Result<Request> {
        let mut parts = Multipart::mixed();
        for (number, call) in self.calls.iter().enumerate() {
            let request = call.request()?;
            if request.target().len() > MAX_LEN {
                let message =
                    "the URL of a call exceeds 8,000 characters; send the call without a batch";
                return Err(wrong(Self::NAME, message));
            }
            let mut inner = format!("{} {} HTTP/1.1\r\n", request.method(), request.target());
            if let Some(kind) = request
                .headers()
                .get(CONTENT_TYPE)
                .and_then(|it| it.to_str().ok())
            {
                let length = request.bytes().len();
                // Writing to a `String` cannot fail.
                let _ = write!(
                    inner,
                    "Content-Type: {kind}\r\nContent-Length: {length}\r\n"
                );
            }
            inner.push_str("\r\n");
            let mut inner = inner.into_bytes();
            inner.extend_from_slice(request.bytes());
            let id = HeaderValue::try_from(format!("<{number}>"));
            let id = id.map_err(|_| {
                wrong(
                    Self::NAME,
                    "the number of a call is not a valid header value",
                )
            })?;
            let http = HeaderValue::from_static("application/http");
            parts = parts.with(Part::new(http, inner).with_header("Content-ID", id));
        }
        Request::post(["batch", "drive", "v3"])?.multipart(parts)
    }

    fn decode(&self, response: &mut Response) -> Result<Vec<Result<E::Output>>> {
        let mut answers = answers(response).ok_or_else(|| {
            response.error(
                ErrorKind::UnexpectedResponse,
                "the response is not a batch response; report it",
            )
        })?;
        let received = response.received();
        let calls = self.calls.iter().enumerate().map(|(number, call)| {
            let Some(answer) = answers.remove(&number) else {
                return Err(response.error(
                    ErrorKind::UnexpectedResponse,
                    "the response to a call in the batch is missing; repeat the call",
                ));
            };
            let mut answer = Response::new(GoogleDrive::ID, E::NAME, received, answer);
            Errors.classify(&mut answer)?;
            call.decode(&mut answer)
        });
        Ok(calls.collect())
    }
}

/// Returns the responses in a batch, by the number of their call.
fn answers(response: &Response) -> Option<BTreeMap<usize, http::Response<Bytes>>> {
    let (_, boundary) = response.header("content-type")?.split_once("boundary=")?;
    let boundary = boundary.split(';').next()?.trim().trim_matches('"');
    let body = response.body();
    let mark = format!("--{boundary}");
    let mut at = find(body, mark.as_bytes(), 0)? + mark.len();
    let mut answers = BTreeMap::new();
    while !body.get(at..)?.starts_with(b"--") {
        let end = find(body, format!("\r\n{mark}").as_bytes(), at)?;
        let part = body.slice(at..end);
        at = end + 2 + mark.len();
        let head = find(&part, b"\r\n\r\n", 0)?;
        let id = std::str::from_utf8(part.get(..head)?).ok()?;
        let id = id.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.trim()
                .eq_ignore_ascii_case("content-id")
                .then(|| value.trim())
        })?;
        let id = id
            .trim_matches(['<', '>'])
            .rsplit_once('-')?
            .1
            .parse()
            .ok()?;
        answers.insert(id, inner(&part.slice(head + 4..))?);
    }
    Some(answers)
}

/// Parses the HTTP response inside a part.
fn inner(part: &Bytes) -> Option<http::Response<Bytes>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head) = parsed.parse(part).ok()? else {
        return None;
    };
    let mut answer = http::Response::builder().status(parsed.code?);
    for header in parsed.headers.iter() {
        answer = answer.header(header.name, header.value);
    }
    answer.body(part.slice(head..)).ok()
}

fn find(bytes: &[u8], wanted: &[u8], from: usize) -> Option<usize> {
    let windows = bytes.get(from..)?.windows(wanted.len());
    windows
        .into_iter()
        .position(|it| it == wanted)
        .map(|at| at + from)
}
