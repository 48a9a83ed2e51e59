use super::operation;
use crate::models::{About, Capabilities, File, FileId, FileMetadata, GeneratedIds, Mask, Query};

/// The fields of a file unless others are asked for.
pub(crate) fn usual() -> Mask<File> {
    Mask::<File>::new()
        .id()
        .name()
        .mime_type()
        .parents()
        .size()
        .md5_checksum()
        .sha256_checksum()
        .head_revision_id()
        .version()
        .created_time()
        .modified_time()
        .trashed()
        .owned_by_me()
        .shared()
        .drive_id()
        .shortcut_details()
        .app_properties()
        .web_view_link()
        .resource_key()
        .capabilities()
        .within(
            Mask::<Capabilities>::new()
                .can_download()
                .can_edit()
                .can_read_revisions()
                .can_share()
                .can_trash(),
        )
}

operation! {
    /// Reads the user's Drive as a whole: the user, the storage, the formats.
    ///
    /// See [Google Drive docs: about.get](https://developers.google.com/workspace/drive/api/reference/rest/v3/about/get).
    GetAbout();
    "about.get" GET "/drive/v3/about";
    Safe ABOUT READ;
    // The field mask is required here.
    returns json(About) Mask::<About>::new().user().storage_quota().max_upload_size().can_create_drives()
}

operation! {
    /// Lists the files that the connection reaches, also in shared drives, page by page. With the scope
    /// `drive.file` these are the files that the app created or that the user opened with it.
    ///
    /// See [Google Drive docs: files.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/list).
    ListFiles();
    "files.list" GET "/drive/v3/files";
    Safe READ LIST;
    set ["supportsAllDrives" = "true", "includeItemsFromAllDrives" = "true"];
    query {
        /// Returns the files for which this query is true.
        with_query("q"): Query,
        /// Sets the order, as in `folder,modifiedTime desc,name`.
        with_order_by("orderBy"): String,
        /// Sets the number of files on a page: 1 to 1,000. Default: 100.
        with_page_size("pageSize"): u32,
        /// Sets the spaces to search: `drive`, `appDataFolder`.
        with_spaces("spaces"): String,
        /// Sets what is searched: `user`, `domain`, `drive`, `allDrives`. If Google does not search all
        /// of `allDrives`, the listing ends with an error of kind
        /// [`Truncated`](connector_core::ErrorKind::Truncated).
        with_corpora("corpora"): String,
        /// Sets the shared drive to search, together with the corpora `drive`.
        with_drive_id("driveId"): String,
        /// Adds the values of these labels, separated by commas.
        with_include_labels("includeLabels"): String,
        /// Adds the permissions for this view: `published`.
        with_include_permissions_for_view("includePermissionsForView"): String,
        /// Sets where to begin.
        with_page_token("pageToken"): String,
    }
    returns page(File) "files" usual()
}

impl ListFiles {
    /// Searches this shared drive only.
    pub fn in_drive(self, drive: &FileId) -> Self {
        self.with_corpora("drive").with_drive_id(drive.as_str())
    }
}

operation! {
    /// Reads the metadata of a file.
    ///
    /// See [Google Drive docs: files.get](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/get).
    GetFile(file_id: FileId);
    "files.get" GET "/drive/v3/files/{fileId}";
    Safe READ READ;
    set ["supportsAllDrives" = "true"];
    query {
        /// Adds the values of these labels, separated by commas.
        with_include_labels("includeLabels"): String,
        /// Adds the permissions for this view: `published`.
        with_include_permissions_for_view("includePermissionsForView"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Creates a file without content: a folder, a shortcut, an empty document. It is not retried;
    /// prefer [`DriveClient::create_file`](crate::DriveClient::create_file).
    ///
    /// See [Google Drive docs: files.create](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/create).
    CreateFile(; metadata: FileMetadata);
    "files.create" POST "/drive/v3/files";
    Never CREATE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether the domain's default visibility is ignored.
        with_ignore_default_visibility("ignoreDefaultVisibility"): bool,
        /// Adds the values of these labels, separated by commas.
        with_include_labels("includeLabels"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Creates a file whose metadata has an id of [`GenerateIds`]. It is retried: a repetition is
    /// refused with the kind [`Conflict`](connector_core::ErrorKind::Conflict), because the file is
    /// there.
    CreateIdentifiedFile(; metadata: FileMetadata);
    "files.create" POST "/drive/v3/files";
    Safe CREATE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether the domain's default visibility is ignored.
        with_ignore_default_visibility("ignoreDefaultVisibility"): bool,
    }
    returns json(File) usual()
}

operation! {
    /// Changes the metadata of a file: its name, its folder, its properties, whether it is in the
    /// trash.
    ///
    /// See [Google Drive docs: files.update](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/update).
    UpdateFile(file_id: FileId; metadata: FileMetadata);
    "files.update" PATCH "/drive/v3/files/{fileId}";
    Safe UPDATE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Moves it into this folder. Remove it from its folder in the same call.
        with_add_parents("addParents"): String,
        /// Removes it from this folder.
        with_remove_parents("removeParents"): String,
        /// Adds the values of these labels, separated by commas.
        with_include_labels("includeLabels"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Copies a file. Folders cannot be copied.
    ///
    /// See [Google Drive docs: files.copy](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/copy).
    CopyFile(file_id: FileId; metadata: FileMetadata);
    "files.copy" POST "/drive/v3/files/{fileId}/copy";
    Never COPY EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether comments are copied.
        with_copy_comments("copyComments"): bool,
        /// Sets whether the domain's default visibility is ignored.
        with_ignore_default_visibility("ignoreDefaultVisibility"): bool,
        /// Sets whether the first revision is kept for ever.
        with_keep_revision_forever("keepRevisionForever"): bool,
        /// Sets the language of text in a picture (ISO 639-1).
        with_ocr_language("ocrLanguage"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Deletes a file for ever, without the trash. A folder takes what is in it along.
    ///
    /// See [Google Drive docs: files.delete](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/delete).
    DeleteFile(file_id: FileId);
    "files.delete" DELETE "/drive/v3/files/{fileId}";
    Safe CREATE EDIT;
    set ["supportsAllDrives" = "true"];
    returns nothing
}

operation! {
    /// Deletes everything in the trash for ever.
    ///
    /// See [Google Drive docs: files.emptyTrash](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/emptyTrash).
    EmptyTrash();
    "files.emptyTrash" DELETE "/drive/v3/files/trash";
    Safe DRIVE EDIT;
    query {
        /// Empties the trash of this shared drive instead.
        with_drive_id("driveId"): String,
    }
    returns nothing
}

operation! {
    /// Generates ids for files to create.
    ///
    /// See [Google Drive docs: files.generateIds](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/generateIds).
    GenerateIds();
    "files.generateIds" GET "/drive/v3/files/generateIds";
    Safe CREATE OTHER;
    query {
        /// Sets the number of ids: 1 to 1,000. Default: 10.
        with_count("count"): u32,
        /// Sets the space: `drive`, `appDataFolder`. Default: `drive`.
        with_space("space"): String,
        /// Sets what the ids are for: `files`, `shortcuts`. Default: `files`.
        with_type("type"): String,
    }
    returns json(GeneratedIds) Mask::new()
}
