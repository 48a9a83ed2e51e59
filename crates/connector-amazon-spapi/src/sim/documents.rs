//! Documents on Amazon S3: presigned URLs, ranges, checksums, and S3's own errors.

use std::collections::BTreeMap;
use std::io::Write;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Response, Secrets};
use flate2::write::GzEncoder;
use md5::{Digest, Md5};

use super::{Call, Simulator};

/// The document host.
const HOST: &str = "tortuga-prod-na.s3.amazonaws.com";
/// Lifetime of a presigned URL.
const LIFE: Duration = Duration::from_secs(300);

/// A document as returned by Amazon S3.
#[derive(Debug, Clone)]
#[must_use]
pub struct SimulatedDocument {
    pub(super) bytes: Bytes,
    pub(super) content_type: String,
    pub(super) is_gzip: bool,
    pub(super) encoding: Option<&'static str>,
}

impl SimulatedDocument {
    /// Creates a document with these bytes and this content type, compressed with gzip.
    pub fn gzip(content_type: impl Into<String>, bytes: &[u8]) -> Self {
        let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::default());
        // Writing to memory cannot fail.
        let _ = encoder.write_all(bytes);
        Self {
            is_gzip: true,
            ..Self::plain(content_type, encoder.finish().unwrap_or_default())
        }
    }

    /// Creates a document with these bytes and this content type, without compression.
    pub fn plain(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            bytes: bytes.into(),
            content_type: content_type.into(),
            is_gzip: false,
            encoding: None,
        }
    }

    /// Creates a document that Amazon describes as gzip, from these bytes without compressing them.
    pub fn raw_gzip(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        Self {
            is_gzip: true,
            ..Self::plain(content_type, bytes)
        }
    }

    /// Compresses with `Content-Encoding`, as Data Kiosk does.
    pub(super) const fn encoded(mut self) -> Self {
        self.is_gzip = false;
        self.encoding = Some("gzip");
        self
    }
}

struct Stored {
    /// `None` before the upload.
    document: Option<SimulatedDocument>,
    content_type: String,
}

struct Link {
    document: String,
    method: &'static str,
    ends: Timestamp,
}

/// The data.
#[derive(Default)]
pub(super) struct State {
    stored: BTreeMap<String, Stored>,
    links: BTreeMap<String, Link>,
    /// Number of requests with an access token.
    leaks: usize,
    damages_uploads: bool,
    made: u64,
}

impl State {
    fn id(&mut self) -> String {
        self.made += 1;
        format!("amzn1.tortuga.4.na.document-{}", self.made)
    }

    /// Stores a document and returns its id.
    pub(super) fn add(&mut self, document: SimulatedDocument) -> String {
        let id = self.id();
        let content_type = document.content_type.clone();
        let document = Some(document);
        self.stored.insert(
            id.clone(),
            Stored {
                document,
                content_type,
            },
        );
        id
    }

    /// Reserves a document for an upload of this content type, and returns its id.
    pub(super) fn reserve(&mut self, content_type: &str) -> String {
        let id = self.id();
        let content_type = content_type.to_owned();
        self.stored.insert(
            id.clone(),
            Stored {
                document: None,
                content_type,
            },
        );
        id
    }

    /// Returns the document with this id.
    pub(super) fn get(&self, id: &str) -> Option<&SimulatedDocument> {
        self.stored.get(id)?.document.as_ref()
    }

    /// Responds with a presigned URL for the download of a document, and with its id in the member
    /// `name`.
    #[cfg(any(feature = "feeds", feature = "reports"))]
    pub(super) fn place(&mut self, name: &str, id: &str, call: &Call<'_>) -> Response {
        let Some(is_gzip) = self.get(id).map(|it| it.is_gzip) else {
            return super::missing();
        };
        let url = self.link(id, "GET", call.now, call.secrets);
        let mut body = serde_json::json!({ name: id, "url": url });
        if is_gzip {
            body["compressionAlgorithm"] = "GZIP".into();
        }
        Response::json(200, &body)
    }

    /// Returns a presigned URL of a document.
    pub(super) fn link(
        &mut self,
        id: &str,
        method: &'static str,
        now: Timestamp,
        secrets: &Secrets,
    ) -> String {
        let signature = secrets.issue("");
        let link = Link {
            document: id.to_owned(),
            method,
            ends: now.after(LIFE),
        };
        self.links.insert(signature.clone(), link);
        format!("https://{HOST}/{id}?X-Amz-Expires=300&X-Amz-Signature={signature}")
    }
}

fn refused(status: u16, code: &str) -> Response {
    let body =
        format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code></Error>");
    Response::new(status, "application/xml", body)
}

/// Responds to a request for a document; `None` for other calls.
pub(super) fn answer(state: &mut State, call: &Call<'_>) -> Option<Response> {
    if call.host != HOST {
        return None;
    }
    let headers = call.request.headers();
    if headers.contains_key("authorization") || headers.contains_key("x-amz-access-token") {
        state.leaks += 1;
        return Some(refused(400, "InvalidArgument"));
    }
    let signature = call.get("X-Amz-Signature").unwrap_or_default();
    let Some(link) = state.links.get(signature) else {
        return Some(refused(403, "SignatureDoesNotMatch"));
    };
    let is_meant = call.path.concat() == link.document && call.method == link.method;
    if !is_meant {
        return Some(refused(403, "SignatureDoesNotMatch"));
    }
    if link.ends <= call.now {
        return Some(refused(403, "AccessDenied"));
    }
    let id = link.document.clone();
    let damages = state.damages_uploads;
    let stored = state.stored.get_mut(&id)?;
    Some(if call.method == "PUT" {
        upload(stored, call, damages)
    } else {
        download(stored, call)
    })
}

fn upload(stored: &mut Stored, call: &Call<'_>, damages: bool) -> Response {
    if call.request.header("content-type") != stored.content_type {
        return refused(403, "SignatureDoesNotMatch");
    }
    let body = call.request.body();
    let body = if damages {
        body.slice(..body.len() / 2)
    } else {
        body.clone()
    };
    let md5 = Md5::digest(&body);
    let stated = call.request.header("content-md5");
    if !stated.is_empty() && stated != BASE64_STANDARD.encode(md5) {
        return refused(400, "BadDigest");
    }
    let content_type = stored.content_type.clone();
    stored.document = Some(SimulatedDocument::plain(content_type, body));
    Response::new(200, "application/xml", Bytes::new())
        .with_header("etag", &format!("\"{}\"", hex::encode(md5)))
        .with_header("x-amz-server-side-encryption", "AES256")
}

fn download(stored: &Stored, call: &Call<'_>) -> Response {
    let Some(document) = &stored.document else {
        return refused(404, "NoSuchKey");
    };
    let (bytes, tag) = (&document.bytes, hex::encode(Md5::digest(&document.bytes)));
    let tag = format!("\"{tag}\"");
    let range = call.request.header("range").strip_prefix("bytes=");
    let start = range.and_then(|it| it.strip_suffix('-')?.parse::<usize>().ok());
    let condition = call.request.header("if-range");
    let start = start.filter(|_| condition.is_empty() || condition == tag);
    let response = match start {
        Some(start) if start < bytes.len() => {
            let range = format!("bytes {start}-{}/{}", bytes.len() - 1, bytes.len());
            Response::new(206, "binary/octet-stream", bytes.slice(start..))
                .with_header("content-range", &range)
        }
        Some(_) => return refused(416, "InvalidRange"),
        None => Response::new(200, "binary/octet-stream", bytes.clone()),
    };
    response
        .with_header("content-type", &document.content_type)
        .with_header("content-encoding", document.encoding.unwrap_or("identity"))
        .with_header("etag", &tag)
}

impl Simulator {
    /// Returns the number of requests to document hosts that contained an access token. Amazon S3
    /// rejects such requests, and they leak the token.
    #[must_use]
    pub fn leaked_tokens(&self) -> usize {
        self.world().documents.leaks
    }

    /// Expires all presigned URLs.
    pub fn expire_document_urls(&self) {
        self.world().documents.links.clear();
    }

    /// Sets whether uploads are truncated.
    pub fn set_uploads_damaged(&self, damaged: bool) {
        self.world().documents.damages_uploads = damaged;
    }

    /// Returns the content of an uploaded document.
    #[must_use]
    pub fn uploaded(&self, id: &str) -> Option<Bytes> {
        Some(self.world().documents.get(id)?.bytes.clone())
    }
}
