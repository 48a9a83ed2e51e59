//! Resumable uploads: sessions that outlive a process, and the checksum at the end.

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
use crate::models::{About, File, FileId, FileMetadata, Mask, User};
use crate::{DriveClient, GoogleDrive};

/// New sessions that one upload opens after its session was dropped.
const RESTARTS: u32 = 2;
/// The length of a chunk unless the application sets one: 8 MiB.
const CHUNK: u64 = 8 << 20;
/// The wait after which a limit of one minute has recovered for certain.
const A_MINUTE: Duration = Duration::from_secs(61);

/// The session of a resumable upload. Its URL is itself a credential: whoever has it may upload. Keep
/// it sealed, and not in logs. Google keeps a session for a week.
#[derive(Clone)]
pub struct UploadSession {
    url: SecretString,
    chunk: u64,
}

impl UploadSession {
    /// Takes a session that was kept, as [`UploadSession::secret_url`] gave it.
    ///
    /// # Errors
    /// [`ErrorKind::AddressRefused`] if it is not a session of Google Drive: nothing else is sent to.
    pub fn from_secret_url(url: impl Into<SecretString>) -> Result<Self> {
        let url = url.into();
        if is_session(url.expose_secret()) {
            return Ok(Self { url, chunk: CHUNK });
        }
        Err(Error::new(
            ErrorKind::AddressRefused,
            "google-drive.upload",
            "the session leads elsewhere than to uploads of Google Drive; open a new one",
        )
        .with_provider(GoogleDrive::ID.as_str().to_owned()))
    }

    /// Sets the length of a chunk for an upload that goes on, as [`Upload::with_chunk`] does.
    #[must_use]
    pub const fn with_chunk(mut self, bytes: u64) -> Self {
        self.chunk = bytes;
        self
    }

    /// The session, to keep it for another process.
    #[must_use]
    pub const fn secret_url(&self) -> &SecretString {
        &self.url
    }

    pub(crate) fn opened(response: &Response) -> Result<Self> {
        let Some(location) = response.header("location") else {
            return Err(response.error(
                ErrorKind::UnexpectedAnswer,
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

/// True if `url` is the URL of an upload session at Google Drive.
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

/// The chunks of an upload. They carry the access token as well, so that refusals are read as those of
/// other calls are: by their reason.
struct Chunks(UploadSession);

impl Endpoint for Chunks {
    type Client = DriveClient;
    type Output = File;
    const NAME: &'static str = "UploadChunk";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;

    fn draws(&self) -> Draws {
        // The upload as a whole was drawn when the session was opened.
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

/// A resumable upload: of a new file, or of new content for a file.
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
    /// A new file with this metadata, whose content has this media type.
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

    /// New content of this media type for `file`.
    pub fn over(file: impl Into<FileId>, content_type: impl Into<String>) -> Self {
        Self {
            file: Some(file.into()),
            ..Self::create(FileMetadata::new(), content_type)
        }
    }

    /// Sets the metadata, or the changes of it.
    pub fn with_metadata(mut self, metadata: FileMetadata) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the length of a chunk in bytes, rounded down to a multiple of 256 KiB. So much is held in
    /// memory. Default: 8 MiB.
    pub const fn with_chunk(mut self, bytes: u64) -> Self {
        self.chunk = bytes;
        self
    }

    /// Sets the fields of the file that is returned. Keep `size` and `sha256Checksum`: they are
    /// compared with what was sent.
    pub fn with_fields(mut self, mask: Mask<File>) -> Self {
        self.fields = Some(mask);
        self
    }

    /// Sets a callback that is given each session, to keep it for [`DriveClient::resume_upload`] after a
    /// restart of the process. It must not block.
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
    /// Uploads a file of any length, also of a length that is not known before. After a fault it asks
    /// Google how far it came and sends what is missing. If Google drops the session and the body can be
    /// read again, it starts anew. At the end it compares length and checksum with what was sent.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send) and
    /// [`ResumableUpload::run`](connector_core::api::ResumableUpload::run).
    /// [`Reason::UploadCap`]: uploads are refused while other calls work; go on tomorrow.
    /// [`ErrorKind::UnexpectedAnswer`] if the stored file is not what was sent.
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
                // Whatever else than a refusal by a rule ends a session leads to a new one.
                restarts += 1;
                session = None;
            } else if is_throttled(&error) && self.reads_work().await {
                if has_waited {
                    return Err(error::upload_cap(error));
                }
                if again.is_none() {
                    return Err(error);
                }
                // A limit of one minute has recovered after this; a daily cap has not.
                has_waited = true;
                self.session().clock().sleep(A_MINUTE).await;
            } else {
                return Err(error);
            }
            body = again;
        }
    }

    /// Goes on with an upload that another process began. The body is the same one, from its beginning:
    /// a file. A reader must begin where the upload stopped, and its checksum is not compared.
    ///
    /// # Errors
    /// As for [`DriveClient::upload_file`]; [`ErrorKind::ProviderNotFound`]: Google has dropped the
    /// session, upload the file anew.
    pub async fn resume_upload(&self, session: &UploadSession, body: UploadBody) -> Result<File> {
        self.run(session, body, true).await
    }

    /// Asks how far an upload has come, so that a reader can begin there.
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
                let start = StartUpload::new(metadata, kind, length);
                let start = match mask {
                    Some(mask) => start.with_fields(mask),
                    None => start,
                };
                self.send(&start).await?
            }
            Some(file) => {
                let start = StartUploadOver::new(file, metadata, kind, length);
                let start = match mask {
                    Some(mask) => start.with_fields(mask),
                    None => start,
                };
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

    /// True if a cheap call works now.
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

/// Compares what Google stored with what was sent. A file that Google converted has no checksum.
fn check(
    response: &Response,
    file: &File,
    length: Option<u64>,
    digest: &UploadDigest,
) -> Result<()> {
    let damaged = || {
        response.error(
            ErrorKind::UnexpectedAnswer,
            "the stored file is not what was sent; delete it and upload it again",
        )
    };
    let converted = file.sha256_checksum.is_none() && file.md5_checksum.is_none();
    if let (Some(sent), Some(stored), false) = (length, file.size, converted)
        && sent != stored
    {
        return Err(damaged());
    }
    // An upload that was complete before this process began has read nothing.
    let read = digest
        .sha256()
        .filter(|(_, bytes)| length.is_none_or(|it| it == *bytes));
    if let (Some((sha256, _)), Some(stored)) = (read, &file.sha256_checksum) {
        let mut sent = String::with_capacity(64);
        for byte in sha256 {
            // Writing to a string does not fail.
            let _ = fmt::Write::write_fmt(&mut sent, format_args!("{byte:02x}"));
        }
        if sent != stored.to_ascii_lowercase() {
            return Err(damaged());
        }
    }
    Ok(())
}
