use bytes::Bytes;
use connector_core::Result;
use connector_core::api::{Idempotency, Multipart, Part, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::Endpoint;
use http::Method;
use http::header::{CONTENT_TYPE, HeaderName, HeaderValue, RANGE};

use super::files::usual;
use super::{DriveOperation, Operation, Parameters, operation, scopes, to};
use crate::DriveClient;
use crate::limits::cost;
use crate::models::{File, FileId, FileMetadata, Mask, Operation as LongOperation};
use crate::upload::UploadSession;

operation! {
    /// Downloads the content of a file. Pass this operation to [`DriveClient::download`]. Prefer
    /// [`DriveClient::download_file`], which verifies the checksum and resumes after a network
    /// failure.
    ///
    /// See [Google Drive docs: Download files](https://developers.google.com/workspace/drive/api/guides/manage-downloads).
    DownloadFile(file_id: FileId);
    "files.get" GET "/drive/v3/files/{fileId}";
    Safe READ_MEDIA DOWNLOAD;
    set ["alt" = "media", "supportsAllDrives" = "true"];
    query {
        /// Downloads a file that Google marked as malware or spam. Only the owner can download such
        /// a file. For any other file, this setting causes an error.
        with_acknowledge_abuse("acknowledgeAbuse"): bool,
    }
    returns bytes
}

operation! {
    /// Downloads the content of a revision. The content of a revision does not change.
    DownloadRevision(file_id: FileId, revision_id: String);
    "revisions.get" GET "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe READ_MEDIA DOWNLOAD;
    set ["alt" = "media"];
    query {
        /// Downloads a file that Google marked as malware or spam. Only the owner can download such
        /// a file.
        with_acknowledge_abuse("acknowledgeAbuse"): bool,
    }
    returns bytes
}

operation! {
    /// Exports a Google document to another media type. Maximum: 10 MB.
    /// [`About::export_formats`](crate::models::About::export_formats) lists the media types.
    ///
    /// See [Google Drive docs: files.export](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export).
    ExportFile(file_id: FileId);
    "files.export" GET "/drive/v3/files/{fileId}/export";
    Safe READ_CONTENT DOWNLOAD;
    query {
        /// Sets the media type of the export. Required.
        with_mime_type("mimeType"): String,
    }
    returns bytes
}

operation! {
    /// Starts a long-running operation in which Google prepares a download. Required for exports of
    /// more than 10 MB and for Google Vids videos. Poll the operation with [`GetOperation`].
    ///
    /// See [Google Drive docs: Long-running operations](https://developers.google.com/workspace/drive/api/guides/long-running-operations).
    StartDownload(file_id: FileId);
    "files.download" POST "/drive/v3/files/{fileId}/download";
    Safe DOWNLOAD DOWNLOAD;
    query {
        /// Sets the media type of the export. Google documents only.
        with_mime_type("mimeType"): String,
        /// Sets the revision to download.
        with_revision_id("revisionId"): String,
    }
    returns json(LongOperation) Mask::new()
}

operation! {
    /// Returns the state of a long-running operation. Google keeps an operation for 24 hours.
    GetOperation(name: String);
    "operations.get" GET "/drive/v3/operations/{name}";
    Safe READ_CONTENT READ;
    returns json(LongOperation) Mask::new()
}

/// Downloads a byte range of a file's content into memory.
#[derive(Debug, Clone)]
#[must_use]
pub struct DownloadRange {
    file_id: FileId,
    first: u64,
    last: u64,
}

impl DownloadRange {
    /// Creates a download of the bytes from `first` to `last` inclusive. Maximum: 8 MiB. The result
    /// is shorter if the file ends before `last`.
    pub fn new(file_id: impl Into<FileId>, first: u64, last: u64) -> Self {
        Self {
            file_id: file_id.into(),
            first,
            last,
        }
    }
}

impl DriveOperation for DownloadRange {
    const OPERATION: Operation = Operation {
        name: "DownloadRange",
        ..DownloadFile::OPERATION
    };
    const COST: u32 = cost::DOWNLOAD;
}

impl Endpoint for DownloadRange {
    type Client = DriveClient;
    type Output = Bytes;
    const NAME: &'static str = "DownloadRange";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = scopes::READ_MEDIA;

    fn validate(&self) -> Result<()> {
        const MAX_LEN: u64 = 8 << 20;
        if self.last >= self.first && self.last - self.first < MAX_LEN {
            return Ok(());
        }
        let message =
            "the range is empty or longer than 8 MiB; download the file as a stream instead";
        Err(crate::error::wrong(Self::NAME, message))
    }

    fn draws(&self) -> Draws {
        Draws::cost(Self::COST)
    }

    fn request(&self) -> Result<Request> {
        let whole = DownloadFile::new(&self.file_id).request()?;
        let range = format!("bytes={}-{}", self.first, self.last);
        let range = HeaderValue::try_from(range);
        let range = range.map_err(|_| {
            crate::error::wrong(Self::NAME, "the range is not a valid header value")
        })?;
        Ok(whole.header(RANGE, range))
    }

    fn decode(&self, response: &mut Response) -> Result<Bytes> {
        Ok(response.body().clone())
    }
}

/// Defines an upload operation: its type, its entry in `OPERATIONS`, and its implementation of
/// `Endpoint`.
macro_rules! upload {
    (
        $(#[$meta:meta])*
        $name:ident($($argument:ident: $type:ty),*) $([$file:ident])?;
        $id:literal $method:ident $path:literal $kind:literal $idempotency:ident $scopes:ident;
        returns $output:ty;
        request: |$this:ident, $request:ident| $finish:expr;
        decode: |$response:ident| $decode:expr;
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name {
            $($file: FileId,)?
            $($argument: $type,)*
            parameters: Parameters,
        }

        impl $name {
            /// Creates the upload with its required arguments.
            pub fn new($($file: impl Into<FileId>,)? $($argument: $type),*) -> Self {
                Self {
                    $($file: $file.into(),)?
                    $($argument,)*
                    parameters: Parameters::default(),
                }
            }

            /// Sets the fields of the response.
            pub fn with_fields(mut self, mask: &Mask<File>) -> Self {
                self.parameters.set("fields", mask.as_str().to_owned());
                self
            }

            /// Sets whether Google keeps this revision permanently.
            pub fn with_keep_revision_forever(mut self, is_kept: bool) -> Self {
                self.parameters.set("keepRevisionForever", is_kept.to_string());
                self
            }

            /// Sets the language of text in a converted image (ISO 639-1).
            pub fn with_ocr_language(mut self, language: impl Into<String>) -> Self {
                self.parameters.set("ocrLanguage", language.into());
                self
            }
        }

        impl DriveOperation for $name {
            const OPERATION: Operation = Operation {
                name: stringify!($name),
                id: $id,
                method: stringify!($method),
                path: $path,
                scopes: scopes::$scopes,
                arguments: &[$(stringify!($file))?],
                parameters: &[
                    ("uploadType", "fixed"),
                    ("supportsAllDrives", "fixed"),
                    ("keepRevisionForever", "bool"),
                    ("ocrLanguage", "String"),
                ],
            };
            const COST: u32 = cost::EDIT;
        }

        impl Endpoint for $name {
            type Client = DriveClient;
            type Output = $output;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: Idempotency = Idempotency::$idempotency;
            const SCOPES: &'static [&'static str] = scopes::$scopes;

            fn draws(&self) -> Draws {
                Draws::cost(Self::COST)
            }

            fn request(&self) -> Result<Request> {
                let $request = to(
                    Method::$method,
                    $path,
                    &[$((stringify!($file), self.$file.as_str()))?],
                    &[("uploadType", $kind), ("supportsAllDrives", "true")],
                    &self.parameters,
                    Some(usual().as_str().to_owned()),
                )?;
                let $this = self;
                $finish
            }

            fn decode(&self, $response: &mut Response) -> Result<$output> {
                $decode
            }
        }
    };
}

/// Returns the media type of a file as a header value.
fn media_type(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|_| {
        let message = "the media type contains characters that are invalid in a header; correct it";
        crate::error::wrong("google-drive.upload", message)
    })
}

fn related(
    request: Request,
    metadata: &FileMetadata,
    content_type: &str,
    content: &Bytes,
) -> Result<Request> {
    let metadata = serde_json::to_vec(metadata).map_err(|_| {
        crate::error::wrong(
            "google-drive.upload",
            "the metadata cannot be written as JSON",
        )
    })?;
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    let parts = Multipart::related()
        .with(Part::new(json, metadata))
        .with(Part::new(media_type(content_type)?, content.clone()));
    request.multipart(parts)
}

fn opening(
    request: Request,
    metadata: &FileMetadata,
    content_type: &str,
    length: Option<u64>,
) -> Result<Request> {
    let mut request = request.json(metadata)?.header(
        HeaderName::from_static("x-upload-content-type"),
        media_type(content_type)?,
    );
    let json = HeaderValue::from_static("application/json; charset=UTF-8");
    request = request.header(CONTENT_TYPE, json);
    Ok(match length {
        Some(length) => request.header(
            HeaderName::from_static("x-upload-content-length"),
            HeaderValue::from(length),
        ),
        None => request,
    })
}

upload! {
    /// Uploads a new file of at most 5 MB without metadata. Pass this operation to
    /// [`DriveClient::upload`]. The client does not retry this upload.
    ///
    /// See [Google Drive docs: Upload file data](https://developers.google.com/workspace/drive/api/guides/manage-uploads).
    UploadSimple(content_type: String);
    "files.create" POST "/upload/drive/v3/files" "media" Never CREATE;
    returns File;
    request: |it, request| Ok(request.header(CONTENT_TYPE, media_type(&it.content_type)?));
    decode: |response| response.json();
}

upload! {
    /// Uploads new content of at most 5 MB for an existing file. Pass this operation to
    /// [`DriveClient::upload`].
    UploadSimpleOver(content_type: String) [file_id];
    "files.update" PATCH "/upload/drive/v3/files/{fileId}" "media" Safe UPDATE;
    returns File;
    request: |it, request| Ok(request.header(CONTENT_TYPE, media_type(&it.content_type)?));
    decode: |response| response.json();
}

upload! {
    /// Uploads a new file of at most 5 MB with its metadata, in one request. The client retries
    /// this upload only if Google certainly did not process the request.
    UploadMultipart(metadata: FileMetadata, content_type: String, content: Bytes);
    "files.create" POST "/upload/drive/v3/files" "multipart" Never CREATE;
    returns File;
    request: |it, request| related(request, &it.metadata, &it.content_type, &it.content);
    decode: |response| response.json();
}

upload! {
    /// Uploads new content of at most 5 MB for an existing file, with metadata changes, in one
    /// request.
    UploadMultipartOver(metadata: FileMetadata, content_type: String, content: Bytes) [file_id];
    "files.update" PATCH "/upload/drive/v3/files/{fileId}" "multipart" Safe UPDATE;
    returns File;
    request: |it, request| related(request, &it.metadata, &it.content_type, &it.content);
    decode: |response| response.json();
}

upload! {
    /// Opens a session for a resumable upload of a new file. Prefer
    /// [`DriveClient::upload_file`](crate::DriveClient::upload_file).
    ///
    /// See [Google Drive docs: Perform a resumable upload](https://developers.google.com/workspace/drive/api/guides/manage-uploads#resumable).
    StartUpload(metadata: FileMetadata, content_type: String, length: Option<u64>);
    // Unused sessions expire, so retries are safe.
    "files.create" POST "/upload/drive/v3/files" "resumable" Safe CREATE;
    returns UploadSession;
    request: |it, request| opening(request, &it.metadata, &it.content_type, it.length);
    decode: |response| UploadSession::opened(response);
}

upload! {
    /// Opens a session for a resumable upload of new content for an existing file.
    StartUploadOver(metadata: FileMetadata, content_type: String, length: Option<u64>) [file_id];
    // Google returns no session for PUT requests.
    "files.update" PATCH "/upload/drive/v3/files/{fileId}" "resumable" Safe UPDATE;
    returns UploadSession;
    request: |it, request| opening(request, &it.metadata, &it.content_type, it.length);
    decode: |response| UploadSession::opened(response);
}
