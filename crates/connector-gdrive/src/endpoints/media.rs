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
    /// Downloads the content of a file: pass it to [`DriveClient::download`]. Prefer
    /// [`DriveClient::download_file`], which compares the checksum and goes on after a fault.
    ///
    /// See [Google Drive docs: Download files](https://developers.google.com/workspace/drive/api/guides/manage-downloads).
    DownloadFile(file_id: FileId);
    "files.get" GET "/drive/v3/files/{fileId}";
    Safe READ_MEDIA DOWNLOAD;
    set ["alt" = "media", "supportsAllDrives" = "true"];
    query {
        /// Downloads a file in which Google found malware or spam. Its owner only; an error for a file
        /// that is not marked so.
        with_acknowledge_abuse("acknowledgeAbuse"): bool,
    }
    returns bytes
}

operation! {
    /// Downloads the content of a revision, which does not change.
    DownloadRevision(file_id: FileId, revision_id: String);
    "revisions.get" GET "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe READ_MEDIA DOWNLOAD;
    set ["alt" = "media"];
    query {
        /// Downloads a file in which Google found malware or spam. Its owner only.
        with_acknowledge_abuse("acknowledgeAbuse"): bool,
    }
    returns bytes
}

operation! {
    /// Exports a Google document as another media type: at most 10 MB. See
    /// [`About::export_formats`](crate::models::About::export_formats) for the types.
    ///
    /// See [Google Drive docs: files.export](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/export).
    ExportFile(file_id: FileId);
    "files.export" GET "/drive/v3/files/{fileId}/export";
    Safe READ_CONTENT DOWNLOAD;
    query {
        /// Sets the media type. Required.
        with_mime_type("mimeType"): String,
    }
    returns bytes
}

operation! {
    /// Asks Google to prepare a download: exports of more than 10 MB, and videos of Google Vids. Ask
    /// for its end with [`GetOperation`].
    ///
    /// See [Google Drive docs: Long-running operations](https://developers.google.com/workspace/drive/api/guides/long-running-operations).
    StartDownload(file_id: FileId);
    "files.download" POST "/drive/v3/files/{fileId}/download";
    Safe DOWNLOAD DOWNLOAD;
    query {
        /// Sets the media type, for Google documents.
        with_mime_type("mimeType"): String,
        /// Sets the revision.
        with_revision_id("revisionId"): String,
    }
    returns json(LongOperation) Mask::new()
}

operation! {
    /// Reads a long-running operation. Google keeps it for 24 hours.
    GetOperation(name: String);
    "operations.get" GET "/drive/v3/operations/{name}";
    Safe READ_CONTENT READ;
    returns json(LongOperation) Mask::new()
}

/// Reads a part of a file's content into memory.
#[derive(Debug, Clone)]
#[must_use]
pub struct DownloadRange {
    file_id: FileId,
    first: u64,
    last: u64,
}

impl DownloadRange {
    /// The bytes from `first` to `last`, which is included: at most 8 MiB. Fewer come if the file ends
    /// before.
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
        const MOST: u64 = 8 << 20;
        if self.last >= self.first && self.last - self.first < MOST {
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
        let range =
            range.map_err(|_| crate::error::wrong(Self::NAME, "the range has no header"))?;
        Ok(whole.header(RANGE, range))
    }

    fn decode(&self, response: &mut Response) -> Result<Bytes> {
        Ok(response.body().clone())
    }
}

/// Defines an operation that uploads: its type, its entry in `OPERATIONS`, its `Endpoint`.
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
            /// The upload with its required arguments.
            pub fn new($($file: impl Into<FileId>,)? $($argument: $type),*) -> Self {
                Self {
                    $($file: $file.into(),)?
                    $($argument,)*
                    parameters: Parameters::default(),
                }
            }

            /// Sets the fields of the answer.
            pub fn with_fields(mut self, mask: &Mask<File>) -> Self {
                self.parameters.set("fields", mask.as_str().to_owned());
                self
            }

            /// Sets whether this revision is kept for ever.
            pub fn with_keep_revision_forever(mut self, is_kept: bool) -> Self {
                self.parameters.set("keepRevisionForever", is_kept.to_string());
                self
            }

            /// Sets the language of text in a picture that is converted (ISO 639-1).
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

/// The media type of a file as a header.
fn media_type(text: &str) -> Result<HeaderValue> {
    HeaderValue::try_from(text).map_err(|_| {
        let message = "the media type has characters that no header may have; correct it";
        crate::error::wrong("google-drive.upload", message)
    })
}

fn related(
    request: Request,
    metadata: &FileMetadata,
    content_type: &str,
    content: &Bytes,
) -> Result<Request> {
    let metadata = serde_json::to_vec(metadata)
        .map_err(|_| crate::error::wrong("google-drive.upload", "the metadata has no JSON form"))?;
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
    /// Uploads a new file of at most 5 MB without metadata: pass it to [`DriveClient::upload`]. It is
    /// not retried.
    ///
    /// See [Google Drive docs: Upload file data](https://developers.google.com/workspace/drive/api/guides/manage-uploads).
    UploadSimple(content_type: String);
    "files.create" POST "/upload/drive/v3/files" "media" Never CREATE;
    returns File;
    request: |it, request| Ok(request.header(CONTENT_TYPE, media_type(&it.content_type)?));
    decode: |response| response.json();
}

upload! {
    /// Uploads new content of at most 5 MB for a file: pass it to [`DriveClient::upload`].
    UploadSimpleOver(content_type: String) [file_id];
    "files.update" PATCH "/upload/drive/v3/files/{fileId}" "media" Safe UPDATE;
    returns File;
    request: |it, request| Ok(request.header(CONTENT_TYPE, media_type(&it.content_type)?));
    decode: |response| response.json();
}

upload! {
    /// Uploads a new file of at most 5 MB with its metadata, in one request. It is not retried, unless
    /// Google certainly did not carry it out.
    UploadMultipart(metadata: FileMetadata, content_type: String, content: Bytes);
    "files.create" POST "/upload/drive/v3/files" "multipart" Never CREATE;
    returns File;
    request: |it, request| related(request, &it.metadata, &it.content_type, &it.content);
    decode: |response| response.json();
}

upload! {
    /// Uploads new content of at most 5 MB for a file, with changes of its metadata, in one request.
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
    // A session that nobody uses ends by itself.
    "files.create" POST "/upload/drive/v3/files" "resumable" Safe CREATE;
    returns UploadSession;
    request: |it, request| opening(request, &it.metadata, &it.content_type, it.length);
    decode: |response| UploadSession::opened(response);
}

upload! {
    /// Opens a session for a resumable upload of new content for a file.
    StartUploadOver(metadata: FileMetadata, content_type: String, length: Option<u64>) [file_id];
    // With PUT, no session comes back.
    "files.update" PATCH "/upload/drive/v3/files/{fileId}" "resumable" Safe UPDATE;
    returns UploadSession;
    request: |it, request| opening(request, &it.metadata, &it.content_type, it.length);
    decode: |response| UploadSession::opened(response);
}
