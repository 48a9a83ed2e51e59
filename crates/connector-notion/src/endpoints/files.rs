use std::pin::Pin;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use connector_core::api::{self, Multipart, Part, Request};
use connector_core::provider::{Endpoint, ProviderClient as _};
use connector_core::{Error, ErrorKind, Result};
use http::{HeaderValue, Method};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::{Parameters, list, object, operation, paged, wrong};
use crate::NotionClient;
use crate::models::{FileUpload, FileUploadId};

const MIB: u64 = 1024 * 1024;
/// Maximum size of a file that is sent in one call, and of a part.
const LARGEST_PART: u64 = 20 * MIB;
/// Size of a part, unless the file would have more than 1,000 parts.
const PART: u64 = 10 * MIB;
const PARTS: u64 = 1000;
/// Maximum length of a file name, in bytes.
const MAX_NAME: usize = 900;
/// Poll interval of an import and maximum number of polls. An upload expires after one hour.
const PAUSE: Duration = Duration::from_secs(5);
const LOOKS: u32 = 720;

operation! {
    /// Creates a file upload. Use [`NotionClient::upload_file`] to create the upload and send the
    /// file.
    ///
    /// See [Notion docs: Create a file upload](https://developers.notion.com/reference/create-a-file-upload).
    CreateFileUpload { name: String } -> FileUpload, Never, POST |_it| ["file_uploads"],
    check |it| if (1..=MAX_NAME).contains(&it.name.len()) {
        Ok(())
    } else {
        Err(wrong("CreateFileUpload", "a file name must have 1 to 900 bytes; shorten it"))
    } => object;
}

impl CreateFileUpload {
    fn of(name: String, content_type: &str) -> Self {
        let mut parameters = Parameters::default();
        parameters.set("filename", &name);
        parameters.set("content_type", content_type);
        Self { name, parameters }
    }

    /// Creates an upload in one call, for a file of at most 20 MiB. The name must have an
    /// extension.
    pub fn single(name: impl Into<String>, content_type: &str) -> Self {
        Self::of(name.into(), content_type)
    }

    /// Creates an upload in parts of 5 to 20 MiB. The last part may be smaller.
    pub fn in_parts(name: impl Into<String>, content_type: &str, parts: u32) -> Self {
        let mut upload = Self::of(name.into(), content_type);
        upload.parameters.set("mode", "multi_part");
        upload.parameters.set("number_of_parts", parts);
        upload
    }

    /// Creates an upload that Notion fetches from a public https URL. See
    /// [`NotionClient::wait_for_import`].
    pub fn import(name: impl Into<String>, content_type: &str, url: &url::Url) -> Self {
        let mut upload = Self::of(name.into(), content_type);
        upload.parameters.set("mode", "external_url");
        upload.parameters.set("external_url", url.as_str());
        upload
    }
}

/// Sends a file or one part of a file.
///
/// See [Notion docs: Send a file upload](https://developers.notion.com/reference/send-a-file-upload).
#[derive(Debug, Clone)]
#[must_use]
pub struct SendFileUpload {
    upload: FileUploadId,
    name: String,
    content_type: String,
    part: Option<u32>,
    file: Bytes,
}

impl SendFileUpload {
    /// Sends the complete file of `upload`.
    pub fn new(
        upload: FileUploadId,
        name: impl Into<String>,
        content_type: impl Into<String>,
        file: impl Into<Bytes>,
    ) -> Self {
        Self {
            upload,
            name: name.into(),
            content_type: content_type.into(),
            part: None,
            file: file.into(),
        }
    }

    /// Marks the bytes as the part with this number, counted from 1.
    pub const fn as_part(mut self, number: u32) -> Self {
        self.part = Some(number);
        self
    }
}

impl Endpoint for SendFileUpload {
    type Client = NotionClient;
    type Output = FileUpload;
    const NAME: &'static str = "SendFileUpload";
    const IDEMPOTENCY: connector_core::api::Idempotency = connector_core::api::Idempotency::Never;

    fn validate(&self) -> Result<()> {
        if self.file.len() as u64 > LARGEST_PART {
            let message = "one call can send at most 20 MiB; use `NotionClient::upload_file`";
            return Err(wrong(Self::NAME, message));
        }
        Ok(())
    }

    fn request(&self) -> Result<Request> {
        let kind = HeaderValue::from_str(&self.content_type).map_err(|_| {
            wrong(
                Self::NAME,
                "the media type contains characters that are invalid in a header; correct it",
            )
        })?;
        let mut form = Multipart::form_data();
        if let Some(part) = self.part {
            form = form.with(Part::field("part_number", part.to_string()));
        }
        let form = form.with(Part::file("file", &self.name, kind, self.file.clone()));
        let path = ["v1", "file_uploads", self.upload.as_str(), "send"];
        // Allow more time, because a part can have 20 MiB.
        let timeout = Duration::from_secs(300);
        Ok(Request::new(Method::POST, path)?
            .multipart(form)?
            .with_timeout(timeout))
    }

    fn decode(&self, response: &mut connector_core::api::Response) -> Result<FileUpload> {
        response.json()
    }
}

operation! {
    /// Completes a multi-part upload.
    ///
    /// See [Notion docs: Complete a file upload](https://developers.notion.com/reference/complete-a-file-upload).
    CompleteFileUpload { upload: FileUploadId } -> FileUpload, Never,
    POST |it| ["file_uploads", it.upload.as_str(), "complete"] => object;
}

impl CompleteFileUpload {
    /// Completes `upload`.
    pub fn new(upload: FileUploadId) -> Self {
        let parameters = Parameters::default();
        Self { upload, parameters }
    }
}

operation! {
    /// Reads a file upload.
    ///
    /// See [Notion docs: Retrieve a file upload](https://developers.notion.com/reference/retrieve-a-file-upload).
    GetFileUpload { upload: FileUploadId } -> FileUpload, Safe,
    GET |it| ["file_uploads", it.upload.as_str()] => object;
}

impl GetFileUpload {
    /// Reads the upload with this id.
    pub fn new(upload: FileUploadId) -> Self {
        let parameters = Parameters::default();
        Self { upload, parameters }
    }
}

operation! {
    /// Lists the connection's file uploads, page by page.
    ///
    /// See [Notion docs: List file uploads](https://developers.notion.com/reference/list-file-uploads).
    ListFileUploads {} -> api::Page<FileUpload>, Safe, GET |_it| ["file_uploads"] => list;
}

impl ListFileUploads {
    /// Lists all uploads.
    pub fn new() -> Self {
        let parameters = Parameters::default();
        Self { parameters }
    }

    /// Returns only uploads with this status: `pending`, `uploaded`, `expired` or `failed`.
    pub fn with_status(mut self, status: impl Into<String>) -> Self {
        self.parameters.query.push(("status", status.into()));
        self
    }
}

impl Default for ListFileUploads {
    fn default() -> Self {
        Self::new()
    }
}

paged!(ListFileUploads of FileUpload);

impl NotionClient {
    /// Uploads a file of `length` bytes. A file of up to 20 MiB is sent in one call, a larger file
    /// in parts. At most one part is kept in memory. Attach the upload to a page within one hour
    /// after it is created.
    ///
    /// Check the length against the workspace's limit first: `max_file_upload_size_in_bytes` in the
    /// connection's metadata.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the reader fails or its length differs from `length`.
    /// Otherwise the errors of [`NotionClient::send`]. Parts are not retried. If the upload fails,
    /// start a new upload. Notion deletes the failed upload after one hour.
    pub async fn upload_file(
        &self,
        name: &str,
        content_type: &str,
        reader: impl AsyncRead + Send,
        length: u64,
    ) -> Result<FileUpload> {
        let mut reader = std::pin::pin!(reader);
        let send =
            |id: &FileUploadId, bytes| SendFileUpload::new(id.clone(), name, content_type, bytes);
        if length <= LARGEST_PART {
            let file = read(reader.as_mut(), length).await?;
            at_end(reader.as_mut()).await?;
            let upload = self
                .send(&CreateFileUpload::single(name, content_type))
                .await?;
            return self.send(&send(&upload.id, file)).await;
        }
        let size = PART.max(length.div_ceil(PARTS));
        let count = u32::try_from(length.div_ceil(size)).unwrap_or(u32::MAX);
        if size > LARGEST_PART {
            let message =
                "the file is larger than 1,000 parts of 20 MiB, which is Notion's maximum";
            return Err(wrong("SendFileUpload", message));
        }
        let create = CreateFileUpload::in_parts(name, content_type, count);
        let upload = self.send(&create).await?;
        let mut left = length;
        for number in 1..=count {
            let part = read(reader.as_mut(), left.min(size)).await?;
            left -= part.len() as u64;
            if left == 0 {
                at_end(reader.as_mut()).await?;
            }
            self.send(&send(&upload.id, part).as_part(number)).await?;
        }
        self.send(&CompleteFileUpload::new(upload.id)).await
    }

    /// Waits until Notion has fetched an imported file.
    ///
    /// # Errors
    /// [`ErrorKind::Rejected`] if the import failed or expired; the error contains Notion's code.
    /// [`ErrorKind::Timeout`] after one hour. Otherwise the errors of [`NotionClient::send`].
    pub async fn wait_for_import(&self, upload: &FileUploadId) -> Result<FileUpload> {
        let get = GetFileUpload::new(upload.clone());
        let failed =
            |kind, message| Error::new(kind, GetFileUpload::NAME, message).with_provider("notion");
        for _ in 0..LOOKS {
            let found = self.send(&get).await?;
            match found.status.as_str() {
                "uploaded" => return Ok(found),
                "pending" => self.session().clock().sleep(PAUSE).await,
                _ => {
                    let message = "Notion could not import the file; check that the URL is public";
                    let error = failed(ErrorKind::Rejected, message);
                    let result = found.file_import_result.unwrap_or_default();
                    let code = result.get("error").and_then(|it| it["code"].as_str());
                    return Err(match code {
                        Some(code) => error.with_code(code),
                        None => error,
                    });
                }
            }
        }
        let message = "Notion did not import the file within an hour; import it again";
        Err(failed(ErrorKind::Timeout, message))
    }
}

fn unreadable() -> Error {
    let message = "the file cannot be read, or its length differs from the given length";
    wrong("SendFileUpload", message)
}

/// Reads the next `length` bytes.
async fn read(mut reader: Pin<&mut (impl AsyncRead + Send)>, length: u64) -> Result<Bytes> {
    let length = usize::try_from(length).map_err(|_| unreadable())?;
    let mut bytes = BytesMut::with_capacity(length);
    while bytes.len() < length {
        let mut rest = reader.as_mut().take((length - bytes.len()) as u64);
        if rest.read_buf(&mut bytes).await.map_err(|_| unreadable())? == 0 {
            return Err(unreadable());
        }
    }
    Ok(bytes.freeze())
}

async fn at_end(mut reader: Pin<&mut (impl AsyncRead + Send)>) -> Result<()> {
    match reader.read(&mut [0]).await {
        Ok(0) => Ok(()),
        _ => Err(unreadable()),
    }
}
