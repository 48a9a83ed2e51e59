//! Resumable uploads, which can continue after a process restart and verify the checksum at the
//! end.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connector_core::api::{
    Idempotency, RangeHeader, Received, Request, Response, UploadBody, UploadDigest,
    UploadProtocol as _,
};
use connector_core::http::limit::Draws;
use connector_core::provider::{Classifier as _, Endpoint, ProviderClient as _};
use connector_core::{Error, ErrorKind, Result};
use http::header::{CONTENT_RANGE, HeaderValue};
use http::{Method, StatusCode, Uri};
use secrecy::{ExposeSecret, SecretString};

use crate::endpoints::{GetAbout, StartUpload, StartUploadOver};
use crate::error::{self, Reason};
use crate::models::{About, File, FileId, FileMetadata, Mask, User, hexadecimal};
use crate::{DriveClient, GoogleDrive};

/// Maximum number of new sessions for one upload after Google dropped a session.
const RESTARTS: u32 = 2;
/// Default length of a chunk: 8 MiB.
const CHUNK: u64 = 8 << 20;
/// Waiting time after which a quota per minute has certainly recovered.
const A_MINUTE: Duration = Duration::from_secs(61);

/// The session of a resumable upload. Anyone with the session's URL can upload, so the URL is a
/// credential: store it sealed, and do not log it. Google keeps a session for a week.
#[derive(Clone)]
pub struct UploadSession {
    url: SecretString,
    chunk: u64,
}

impl UploadSession {
    /// Restores a stored session from the URL that [`UploadSession::secret_url`] returned.
    ///
    /// # Errors
    /// [`ErrorKind::AddressRefused`] if the URL is not an upload session of Google Drive. The
    /// connector sends uploads to no other address.
    pub fn from_secret_url(url: impl Into<SecretString>) -> Result<Self> {
        let url = url.into();
        if is_session(url.expose_secret()) {
            return Ok(Self { url, chunk: CHUNK });
        }
        Err(Error::new(
            ErrorKind::AddressRefused,
            "google-drive.upload",
            "the URL is not an upload session of Google Drive; open a new session",
        )
        .with_provider(GoogleDrive::ID.as_str().to_owned()))
    }

    /// Sets the length of a chunk for a resumed upload, as [`Upload::with_chunk`] does.
    #[must_use]
    pub const fn with_chunk(mut self, bytes: u64) -> Self {
        self.chunk = bytes;
        self
    }

    /// Returns the URL of the session, so that you can store it and resume the upload in another
    /// process.
    #[must_use]
    pub const fn secret_url(&self) -> &SecretString {
        &self.url
    }

    pub(crate) fn opened(response: &Response) -> Result<Self> {
        let Some(location) = response.header("location") else {
            return Err(response.error(
                ErrorKind::UnexpectedResponse,
                "Google opened no upload session; try again, or report it",
            ));
        };
        Self::from_secret_url(location.to_owned())
    }
}

impl fmt::Debug for UploadSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UploadSession")
    }
}

/// Returns true if `url` is the URL of an upload session of Google Drive.
fn is_session(url: &str) -> bool {
    let Ok(uri) = url.parse::<Uri>() else {
        return false;
    };
    let authority = uri.authority().map(http::uri::Authority::as_str);
    uri.scheme_str() == Some("https")
        && authority == Some("www.googleapis.com")
        && (uri.path() == "/upload/drive/v3/files"
            || uri.path().starts_with("/upload/drive/v3/files/"))
        && !uri.path().contains("..")
        && uri
            .query()
            .is_some_and(|query| query.split('&').any(|pair| pair.starts_with("upload_id=")))
}

/// Endpoint for the chunks of an upload. Chunks include the access token, so that Google's error
/// responses contain a reason, as those of other calls do.
struct Chunks(UploadSession);

impl Endpoint for Chunks {
    type Client = DriveClient;
    type Output = File;
    const NAME: &'static str = "UploadChunk";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn draws(&self) -> Draws {
        // The quota was already consumed when the session was opened.
        Draws::none()
    }

    fn request(&self) -> Result<Request> {
        Ok(Request::next(self.0.url.expose_secret())?.with_method(Method::PUT))
    }

    fn decode(&self, response: &mut Response) -> Result<File> {
        response.json()
    }
}

type OnSession = Arc<dyn Fn(&UploadSession) + Send + Sync>;

/// A resumable upload of a new file, or of new content for an existing file.
#[derive(Clone)]
#[must_use]
pub struct Upload {
    file: Option<FileId>,
    metadata: FileMetadata,
    content_type: String,
    chunk: u64,
    fields: Option<Mask<File>>,
    on_session: Option<OnSession>,
}

impl Upload {
    /// Creates an upload of a new file with this metadata. The content has the media type
    /// `content_type`.
    pub fn create(metadata: FileMetadata, content_type: impl Into<String>) -> Self {
        Self {
            file: None,
            metadata,
            content_type: content_type.into(),
            chunk: CHUNK,
            fields: None,
            on_session: None,
        }
    }

    /// Creates an upload of new content for the existing `file`. The content has the media type
    /// `content_type`.
    pub fn over(file: impl Into<FileId>, content_type: impl Into<String>) -> Self {
        Self {
            file: Some(file.into()),
            ..Self::create(FileMetadata::new(), content_type)
        }
    }

    /// Sets the metadata of a new file, or the metadata changes of an existing file.
    pub fn with_metadata(mut self, metadata: FileMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the length of a chunk in bytes, rounded down to a multiple of 256 KiB. The upload
    /// buffers one chunk in memory. Default: 8 MiB.
    pub const fn with_chunk(mut self, bytes: u64) -> Self {
        self.chunk = bytes;
        self
    }

    /// Sets the fields of the returned file. Include `size` and `sha256Checksum`: the client
    /// compares them with the uploaded content.
    pub fn with_fields(mut self, mask: Mask<File>) -> Self {
        self.fields = Some(mask);
        self
    }

    /// Sets a callback that receives each session, so that you can store the session and resume the
    /// upload with [`DriveClient::resume_upload`] after a process restart. The callback must not
    /// block.
    pub fn on_session(mut self, keep: impl Fn(&UploadSession) + Send + Sync + 'static) -> Self {
        self.on_session = Some(Arc::new(keep));
        self
    }
}

impl fmt::Debug for Upload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upload")
            .field("file", &self.file)
            .field("chunk", &self.chunk)
            .finish_non_exhaustive()
    }
}

impl DriveClient {
    /// Uploads a file of known or unknown length. After a network failure, the client asks Google
    /// how many bytes it stored, and sends the rest. If Google drops the session, the upload
    /// restarts, provided that the body can be read again. At the end, the length and the checksum
    /// are verified.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send) and
    /// [`ResumableUpload::run`](connector_core::api::ResumableUpload::run).
    /// [`Reason::UploadCap`] if Google rejects uploads but accepts other calls. Continue the next
    /// day.
    /// [`ErrorKind::UnexpectedResponse`] if the stored file differs from the uploaded content.
    pub async fn upload_file(&self, upload: &Upload, body: UploadBody) -> Result<File> {
        let mut body = Some(body);
        let mut session: Option<UploadSession> = None;
        let (mut restarts, mut has_waited) = (0, false);
        loop {
            let Some(now) = body.take() else {
                return Err(error::wrong("UploadFile", "the body cannot be read again"));
            };
            let again = now.again();
            let outcome = match &session {
                Some(session) => self.run(session, now, true).await,
                None => self.begin(upload, now, &mut session).await,
            };
            let error = match outcome {
                Ok(file) => return Ok(file),
                Err(error) => error,
            };
            let is_over = matches!(
                error.kind(),
                ErrorKind::ProviderNotFound | ErrorKind::Rejected
            );
            if is_over && session.is_some() && restarts < RESTARTS && again.is_some() {
                // A session that ended for any reason other than a rejection by a Google rule is
                // replaced with a new one.
                restarts += 1;
                session = None;
            } else if is_throttled(&error) && self.reads_work().await {
                if has_waited {
                    return Err(error::upload_cap(error));
                }
                if again.is_none() {
                    return Err(error);
                }
                // A quota per minute has recovered after this wait. A daily cap has not.
                has_waited = true;
                self.session().clock().sleep(A_MINUTE).await;
            } else {
                return Err(error);
            }
            body = again;
        }
    }

    /// Resumes an upload that another process started. Pass the same body: a file from its
    /// beginning, or a reader that starts at the position from [`DriveClient::upload_state`]. The
    /// checksum of a reader is not verified.
    ///
    /// # Errors
    /// As for [`DriveClient::upload_file`].
    /// [`ErrorKind::ProviderNotFound`] if Google dropped the session. Start a new upload.
    pub async fn resume_upload(&self, session: &UploadSession, body: UploadBody) -> Result<File> {
        self.run(session, body, true).await
    }

    /// Asks Google how many bytes it stored, so that a reader can start at that position.
    ///
    /// # Errors
    /// As for [`DriveClient::resume_upload`].
    pub async fn upload_state(&self, session: &UploadSession) -> Result<Received> {
        let question = Chunks(session.clone())
            .request()?
            .header(CONTENT_RANGE, HeaderValue::from_static("bytes */*"));
        let answer = self.raw(question, Idempotency::Safe).await?;
        let received = self.session().clock().now();
        let mut answer = Response::new(GoogleDrive::ID, "UploadState", received, answer);
        if answer.status() != StatusCode::PERMANENT_REDIRECT {
            error::Errors.classify(&mut answer)?;
        }
        RangeHeader::new().received(&answer)
    }

    async fn begin(
        &self,
        upload: &Upload,
        body: UploadBody,
        session: &mut Option<UploadSession>,
    ) -> Result<File> {
        let (metadata, kind) = (upload.metadata.clone(), upload.content_type.clone());
        let length = body.length();
        let mask = upload.fields.as_ref();
        let opened = match &upload.file {
            None => {
                let mut start = StartUpload::new(metadata, kind, length);
                if let Some(mask) = mask {
                    start = start.with_fields(mask);
                }
                self.send(&start).await?
            }
            Some(file) => {
                let mut start = StartUploadOver::new(file, metadata, kind, length);
                if let Some(mask) = mask {
                    start = start.with_fields(mask);
                }
                self.send(&start).await?
            }
        };
        if let Some(keep) = &upload.on_session {
            keep(&opened);
        }
        let opened = session.insert(opened.with_chunk(upload.chunk));
        self.run(opened, body, false).await
    }

    async fn run(
        &self,
        session: &UploadSession,
        body: UploadBody,
        is_resumed: bool,
    ) -> Result<File> {
        let (body, digest) = body.digested();
        let length = body.length();
        let to = Chunks(session.clone());
        let run = self
            .session()
            .resumable_upload(&to, RangeHeader::new(), body)?
            .with_chunk(session.chunk);
        let run = if is_resumed { run.resuming() } else { run };
        let response = run.run().await?;
        let file: File = response.json()?;
        check(&response, &file, length, &digest)?;
        Ok(file)
    }

    /// Returns true if a cheap read call succeeds now.
    async fn reads_work(&self) -> bool {
        let mask = Mask::<About>::new()
            .user()
            .within(Mask::<User>::new().permission_id());
        self.send(&GetAbout::new().with_fields(mask)).await.is_ok()
    }
}

fn is_throttled(error: &Error) -> bool {
    matches!(
        Reason::of(error),
        Some(Reason::UserRateLimit | Reason::RateLimit)
    )
}

/// Compares the stored file with the uploaded content. A file that Google converted has no
/// checksum.
fn check(
    response: &Response,
    file: &File,
    length: Option<u64>,
    digest: &UploadDigest,
) -> Result<()> {
    let damaged = || {
        response.error(
            ErrorKind::UnexpectedResponse,
            "the stored file differs from the uploaded content; delete the file and upload it again",
        )
    };
    let converted = file.sha256_checksum.is_none() && file.md5_checksum.is_none();
    if let (Some(sent), Some(stored), false) = (length, file.size, converted)
        && sent != stored
    {
        return Err(damaged());
    }
    // If the upload was complete before this process resumed it, no bytes were read from the body.
    let read = digest
        .sha256()
        .filter(|(_, bytes)| length.is_none_or(|it| it == *bytes));
    if let (Some((sha256, _)), Some(stored)) = (read, &file.sha256_checksum)
        && hexadecimal(stored) != Some(sha256)
    {
        return Err(damaged());
    }
    Ok(())
}
