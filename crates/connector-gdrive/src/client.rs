//! Typed client of the Drive API.

use std::future::ready;

use connector_core::api::{Download, DownloadOptions};
use connector_core::provider::ProviderClient as _;
use connector_core::{ErrorKind, Result};
use futures_util::TryStreamExt as _;

use crate::GoogleDrive;
use crate::endpoints::{
    CreateIdentifiedFile, DownloadFile, DownloadRevision, GenerateIds, GetFile, ListFiles,
    UpdateFile,
};
use crate::error::{NO_CONTENT, NO_DOWNLOAD, Reason, foreseen};
use crate::models::{
    Capabilities, File, FileId, FileMetadata, Mask, Query, SHORTCUT, is_google_type,
};

connector_core::provider::provider_client! {
    /// The Drive API, called on behalf of one account.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// use connector_gdrive::DriveClient;
    /// use connector_gdrive::endpoints::ListFiles;
    /// use connector_gdrive::models::{FileId, Query};
    /// # async fn example(client: DriveClient, folder: FileId) -> Result<()> {
    /// let query = Query::in_folder(&folder).and(!Query::trashed());
    /// let files = client.pages(ListFiles::new().with_query(query)).items();
    /// # Ok(())
    /// # }
    /// ```
    pub struct DriveClient for GoogleDrive::ID;
}

/// Result of a lookup by path.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PathMatch {
    /// Exactly one file matches the path.
    Found(Box<File>),
    /// Several files have the same name at one level of the path, because names are not unique in
    /// Drive. Choose a file by its id.
    Ambiguous {
        /// Ids of the files with that name.
        ids: Vec<FileId>,
    },
    /// No file that this connection can access matches the path.
    Missing,
}

impl DriveClient {
    /// Looks up a file by its path relative to `root`, for example `Reports/2026/May.pdf`. Files in
    /// the trash are ignored, and shortcuts are not followed.
    ///
    /// Returns [`PathMatch::Missing`] if no file matches.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send). After an error, the file may
    /// or may not exist.
    pub async fn find_path(&self, root: &FileId, path: &str) -> Result<PathMatch> {
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        let Some((last, folders)) = parts.split_last() else {
            let root = self.send(&GetFile::new(root)).await;
            return match root {
                Ok(file) => Ok(PathMatch::Found(Box::new(file))),
                Err(error) if error.kind() == ErrorKind::ProviderNotFound => Ok(PathMatch::Missing),
                Err(error) => Err(error),
            };
        };
        let mut folder = root.clone();
        for name in folders {
            match self.named(&folder, name, true).await? {
                PathMatch::Found(found) => folder = found.file_id()?,
                other => return Ok(other),
            }
        }
        self.named(&folder, last, false).await
    }

    async fn named(&self, folder: &FileId, name: &str, is_folder: bool) -> Result<PathMatch> {
        let mut query = Query::in_folder(folder)
            .and(Query::name_is(name))
            .and(!Query::trashed());
        if is_folder {
            query = query.and(Query::is_folder());
        }
        // Google's name operators can ignore case. Paths are case-sensitive, so names are compared again.
        let same = |file: &File| ready(file.name.as_deref() == Some(name));
        let listing = self.pages(ListFiles::new().with_query(query)).items();
        let mut found: Vec<File> = listing.try_filter(same).try_collect().await?;
        if found.len() > 1 {
            let ids: Result<Vec<FileId>, _> = found.iter().map(File::file_id).collect();
            return Ok(PathMatch::Ambiguous { ids: ids? });
        }
        let only = found.pop().map(Box::new);
        Ok(only.map_or(PathMatch::Missing, PathMatch::Found))
    }

    /// Creates a file without content, exactly once. The request contains an id that Google
    /// generated beforehand, so that the client can retry the call without creating a second file.
    ///
    /// Google does not accept such an id for Google documents. Create those with
    /// [`CreateFile`](crate::endpoints::CreateFile).
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn create_file(&self, metadata: FileMetadata) -> Result<File> {
        let mut generate = GenerateIds::new().with_count(1_u32);
        if metadata.mime_type.as_deref() == Some(SHORTCUT) {
            generate = generate.with_type("shortcuts");
        }
        let generated = self.send(&generate).await?;
        let id = FileId::new(generated.ids.into_iter().next().unwrap_or_default())?;
        let create = CreateIdentifiedFile::new(metadata.with_id(id.as_str()));
        match self.send(&create).await {
            // An earlier attempt created the file, but its response was lost.
            Err(error) if error.kind() == ErrorKind::Conflict => self.send(&GetFile::new(id)).await,
            outcome => outcome,
        }
    }

    /// Moves a file to the trash. The owner can restore the file for 30 days.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn trash_file(&self, file: &FileId) -> Result<File> {
        let trash = FileMetadata::new().with_trashed(true);
        self.send(&UpdateFile::new(file, trash)).await
    }

    /// Moves a file from one folder to another.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn move_file(&self, file: &FileId, from: &FileId, to: &FileId) -> Result<File> {
        let update = UpdateFile::new(file, FileMetadata::new())
            .with_add_parents(to.as_str())
            .with_remove_parents(from.as_str());
        self.send(&update).await
    }

    /// Downloads the content of a file as a stream. After a network failure, the download resumes
    /// at the last received byte. At the end, the length and the checksum are verified.
    ///
    /// If the user can read revisions, the download reads the file's current revision to its end,
    /// even if the file changes in the meantime.
    ///
    /// # Errors
    /// As for [`Session::download`](connector_core::api::Session::download).
    /// [`Reason::NotDownloadable`] for a Google document. Export the document instead.
    pub async fn download_file(&self, file: &FileId) -> Result<Download> {
        self.download_file_with(file, DownloadOptions::new(), false)
            .await
    }

    /// Downloads a file as [`DriveClient::download_file`] does, with the given options. Set
    /// `acknowledges_abuse` to true to download a file that Google marked as malware or spam
    /// ([`Reason::Abusive`]). For all other files, `acknowledges_abuse` causes an error.
    ///
    /// # Errors
    /// As for [`DriveClient::download_file`].
    pub async fn download_file_with(
        &self,
        file: &FileId,
        mut options: DownloadOptions,
        acknowledges_abuse: bool,
    ) -> Result<Download> {
        const OPERATION: &str = "DownloadFile";
        let mask = Mask::<File>::new()
            .id()
            .mime_type()
            .size()
            .md5_checksum()
            .sha256_checksum()
            .head_revision_id()
            .capabilities()
            .within(
                Mask::<Capabilities>::new()
                    .can_download()
                    .can_read_revisions(),
            );
        let known = self.send(&GetFile::new(file).with_fields(mask)).await?;
        let kind = known.mime_type.as_deref().unwrap_or_default();
        if is_google_type(kind) {
            return Err(foreseen(OPERATION, &Reason::NotDownloadable, NO_CONTENT));
        }
        if let Some(size) = known.size {
            options = options.with_length(size);
        }
        if let Some(checksum) = known.checksum() {
            options = options.with_checksum(checksum);
        }
        let may = known.capabilities.unwrap_or_default();
        if may.can_download == Some(false) {
            return Err(foreseen(OPERATION, &Reason::CannotDownload, NO_DOWNLOAD));
        }
        let session = self.session();
        match known.head_revision_id {
            Some(revision) if may.can_read_revisions == Some(true) => {
                let mut from = DownloadRevision::new(file, revision);
                if acknowledges_abuse {
                    from = from.with_acknowledge_abuse(true);
                }
                session.download_with(&from, options).await
            }
            _ => {
                let mut from = DownloadFile::new(file);
                if acknowledges_abuse {
                    from = from.with_acknowledge_abuse(true);
                }
                session.download_with(&from, options).await
            }
        }
    }
}
