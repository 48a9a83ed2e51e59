//! The typed client.

use connector_core::api::{Download, DownloadOptions};
use connector_core::provider::ProviderClient as _;
use connector_core::{ErrorKind, Result};

use crate::GoogleDrive;
use crate::endpoints::{
    CreateIdentifiedFile, DownloadFile, DownloadRevision, GenerateIds, GetFile, ListFiles,
    UpdateFile,
};
use crate::error::{Reason, foreseen};
use crate::models::{Capabilities, File, FileId, FileMetadata, Mask, Query, SHORTCUT};

connector_core::provider::provider_client! {
    /// The Drive API of one account.
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

/// What a path leads to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PathMatch {
    /// One file.
    Found(Box<File>),
    /// Several files have the name of one part of the path: names are not unique in Drive. Choose by
    /// id.
    Ambiguous {
        /// The ids of the files with that name.
        ids: Vec<FileId>,
    },
    /// There is no such file for this connection.
    Missing,
}

impl DriveClient {
    /// Looks a file up by its path below `root`, as in `Reports/2026/May.pdf`. Files in the trash do
    /// not count, and shortcuts are not followed.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send). That nothing was found is no error,
    /// and an error does not mean that nothing is there.
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
        let mut listing = ListFiles::new().with_query(query);
        let mut found: Vec<File> = Vec::new();
        loop {
            let page = self.send(&listing).await?;
            // Some operators of names ignore case; a path does not.
            let same = page
                .items
                .into_iter()
                .filter(|it| it.name.as_deref() == Some(name));
            found.extend(same);
            match page.next {
                Some(next) => listing = listing.after(&next),
                None => break,
            }
        }
        Ok(match (found.len(), found.pop()) {
            (0, _) | (_, None) => PathMatch::Missing,
            (1, Some(file)) => PathMatch::Found(Box::new(file)),
            (_, Some(last)) => {
                let all = found.iter().chain([&last]);
                let ids: Result<Vec<FileId>, _> = all.map(File::file_id).collect();
                PathMatch::Ambiguous { ids: ids? }
            }
        })
    }

    /// Creates a file without content, once: with an id of Google's, so that the call is repeated after
    /// a fault and never makes a second file. Documents of Google's own types take no such id; create
    /// them with [`CreateFile`](crate::endpoints::CreateFile).
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
            // An earlier try, whose response was lost, made it.
            Err(error) if error.kind() == ErrorKind::Conflict => self.send(&GetFile::new(id)).await,
            outcome => outcome,
        }
    }

    /// Puts a file into the trash, where its owner finds it for 30 days.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn trash_file(&self, file: &FileId) -> Result<File> {
        let trash = FileMetadata::new().with_trashed(true);
        self.send(&UpdateFile::new(file, trash)).await
    }

    /// Moves a file from one folder into another.
    ///
    /// # Errors
    /// As for [`Session::send`](connector_core::api::Session::send).
    pub async fn move_file(&self, file: &FileId, from: &FileId, to: &FileId) -> Result<File> {
        let update = UpdateFile::new(file, FileMetadata::new())
            .with_add_parents(to.as_str())
            .with_remove_parents(from.as_str());
        self.send(&update).await
    }

    /// Downloads the content of a file as a stream. It is bound to the file's present revision where the
    /// user may read revisions, goes on after a fault, and compares length and checksum at the end.
    ///
    /// # Errors
    /// As for [`Session::download`](connector_core::api::Session::download).
    /// [`Reason::NotDownloadable`] for a Google document: export it.
    pub async fn download_file(&self, file: &FileId) -> Result<Download> {
        self.download_file_with(file, DownloadOptions::new(), false)
            .await
    }

    /// As [`DriveClient::download_file`], with settings. `acknowledges_abuse` downloads a file in which
    /// Google found malware or spam ([`Reason::Abusive`]); it is an error for any other file.
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
        if kind.starts_with("application/vnd.google-apps.") {
            let advice = "a Google document has no content to download; export it";
            return Err(foreseen(OPERATION, &Reason::NotDownloadable, advice));
        }
        let may = known.capabilities.unwrap_or_default();
        if may.can_download == Some(false) {
            let advice = "the file's owner does not allow downloads; ask the owner";
            return Err(foreseen(OPERATION, &Reason::CannotDownload, advice));
        }
        if let Some(size) = known.size {
            options = options.with_length(size);
        }
        let checksum = File {
            md5_checksum: known.md5_checksum,
            sha256_checksum: known.sha256_checksum,
            ..File::default()
        };
        if let Some(checksum) = checksum.checksum() {
            options = options.with_checksum(checksum);
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
