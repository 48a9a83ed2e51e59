//! Uploads to presigned URLs.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::api::{OnProgress, Session, UploadBody};
use connector_core::{Error, ErrorKind, Result, Retry};
use http::HeaderMap;
use http::header::{CONTENT_TYPE, ETAG, HeaderName, HeaderValue};
use md5::{Digest, Md5};
use tokio::io::AsyncReadExt;

const OPERATION: &str = "amazon_spapi.upload";
/// Number of bytes read at a time to compute the checksum of a file.
const PIECE: usize = 128 * 1024;

#[derive(Clone)]
enum Content {
    Bytes(Bytes),
    File(PathBuf),
}

/// Content of a feed or of an upload, with its content type and MD5 checksum.
#[derive(Clone)]
#[must_use]
pub struct DocumentContent {
    content: Content,
    content_type: String,
    length: u64,
    md5: [u8; 16],
    sends_md5: bool,
    on_progress: Option<OnProgress>,
}

impl DocumentContent {
    /// Content in memory. For text, Amazon requires the charset in the content type:
    /// `application/json; charset=UTF-8`.
    pub fn bytes(content_type: impl Into<String>, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        Self {
            content_type: content_type.into(),
            length: bytes.len() as u64,
            md5: Md5::digest(&bytes).into(),
            content: Content::Bytes(bytes),
            sends_md5: false,
            on_progress: None,
        }
    }

    /// Content of a file. The file is read twice: now for its checksum, and again for the upload.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the file cannot be read.
    pub async fn file(content_type: impl Into<String>, path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        let unreadable = |error: std::io::Error| {
            let message = "the file cannot be read; check its path and its permissions";
            Error::new(ErrorKind::InvalidInput, OPERATION, message).with_source(error)
        };
        let mut file = tokio::fs::File::open(&path).await.map_err(unreadable)?;
        let (mut md5, mut length) = (Md5::new(), 0);
        let mut piece = vec![0; PIECE];
        loop {
            let read = file.read(&mut piece).await.map_err(unreadable)?;
            if read == 0 {
                break;
            }
            md5.update(&piece[..read]);
            length += read as u64;
        }
        Ok(Self {
            content: Content::File(path),
            content_type: content_type.into(),
            length,
            md5: md5.finalize().into(),
            sends_md5: false,
            on_progress: None,
        })
    }

    /// Sends the checksum as `Content-MD5`, so that Amazon S3 rejects content that was damaged in
    /// transit. Off by default, because Amazon does not document the header for the URLs of feed
    /// documents. The upload always compares the checksum that S3 returns, if S3 returns one.
    pub const fn with_content_md5(mut self) -> Self {
        self.sends_md5 = true;
        self
    }

    /// Sets a callback for the progress of the upload.
    pub fn with_progress(mut self, on_progress: OnProgress) -> Self {
        self.on_progress = Some(on_progress);
        self
    }

    /// The content type.
    #[must_use]
    pub fn content_type(&self) -> &str {
        &self.content_type
    }

    /// The length in bytes.
    #[must_use]
    pub const fn length(&self) -> u64 {
        self.length
    }

    /// The MD5 checksum in base64, as required by `CreateUploadDestinationForResource`.
    #[must_use]
    pub fn md5_base64(&self) -> String {
        BASE64_STANDARD.encode(self.md5)
    }

    async fn body(&self) -> Result<UploadBody> {
        let body = match &self.content {
            Content::Bytes(bytes) => UploadBody::bytes(bytes.clone()),
            Content::File(path) => UploadBody::file(path.clone()).await?,
        };
        if body.length() != Some(self.length) {
            let message = "the file has changed since its checksum was computed; read it again";
            return Err(Error::new(ErrorKind::InvalidInput, OPERATION, message));
        }
        Ok(match &self.on_progress {
            Some(on_progress) => body.with_progress(on_progress.clone()),
            None => body,
        })
    }

    /// Uploads the content to a presigned URL that Amazon returned. `headers` are the headers that
    /// Amazon requires for the upload. The request carries no credential.
    ///
    /// # Errors
    /// [`ErrorKind::AddressRefused`] if the URL is not on a document host; [`ErrorKind::Forbidden`]
    /// if the URL has expired, which happens after 5 minutes; [`ErrorKind::UnexpectedResponse`] with
    /// [`Retry::Backoff`] if S3 received content with a different checksum. After the last two,
    /// create another document and upload again.
    pub async fn upload(&self, session: &Session, url: &str, headers: HeaderMap) -> Result<()> {
        let wrong = || {
            let message =
                "the content type contains characters that a header cannot have; correct it";
            Error::new(ErrorKind::InvalidInput, OPERATION, message)
        };
        let content_type = HeaderValue::from_str(&self.content_type).map_err(|_| wrong())?;
        let mut link = session.link(url)?.with_header(CONTENT_TYPE, content_type);
        if self.sends_md5 {
            let md5 = HeaderValue::from_str(&self.md5_base64()).map_err(|_| wrong())?;
            link = link.with_header(HeaderName::from_static("content-md5"), md5);
        }
        for (name, value) in &headers {
            link = link.with_header(name.clone(), value.clone());
        }
        let answer = session.upload(&link, self.body().await?).await?;
        match stated_md5(answer.headers()) {
            Some(stated) if stated != self.md5 => {
                let message = "the checksum of the received content is different; create another \
                               document and upload it again";
                let error = Error::new(ErrorKind::UnexpectedResponse, OPERATION, message);
                Err(crate::error::ours(error).with_retry(Retry::Backoff))
            }
            _ => Ok(()),
        }
    }
}

/// Does not show the content.
impl fmt::Debug for DocumentContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DocumentContent")
            .field("content_type", &self.content_type)
            .field("length", &self.length)
            .finish_non_exhaustive()
    }
}

/// Returns the MD5 checksum that Amazon S3 reports in the entity tag of an object. Objects
/// encrypted with a KMS key or a customer key have no such tag.
///
/// See [Amazon S3: common response headers](https://docs.aws.amazon.com/AmazonS3/latest/API/RESTCommonResponseHeaders.html).
fn stated_md5(headers: &HeaderMap) -> Option<[u8; 16]> {
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let is_other = text("x-amz-server-side-encryption").is_some_and(|it| it != "AES256")
        || headers.contains_key("x-amz-server-side-encryption-customer-algorithm");
    if is_other {
        return None;
    }
    let tag = text(ETAG.as_str())?.trim_matches('"');
    hex::decode(tag).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_of_an_object_is_its_entity_tag_unless_it_is_encrypted_with_a_key() {
        let tag = ("etag", "\"d41d8cd98f00b204e9800998ecf8427e\"");
        let md5: [u8; 16] = Md5::digest(b"").into();
        for (headers, expected) in [
            (vec![tag], Some(md5)),
            (
                vec![tag, ("x-amz-server-side-encryption", "AES256")],
                Some(md5),
            ),
            (vec![tag, ("x-amz-server-side-encryption", "aws:kms")], None),
            (
                vec![
                    tag,
                    ("x-amz-server-side-encryption-customer-algorithm", "AES256"),
                ],
                None,
            ),
            (
                vec![("etag", "\"d41d8cd98f00b204e9800998ecf8427e-2\"")],
                None,
            ),
            (vec![], None),
        ] {
            let map: HeaderMap = headers
                .iter()
                .map(|(name, value)| {
                    (
                        HeaderName::from_static(name),
                        HeaderValue::from_static(value),
                    )
                })
                .collect();
            assert_eq!(stated_md5(&map), expected, "{headers:?}");
        }
    }
}
