use super::operation;
use crate::models::{About, Capabilities, File, FileId, FileMetadata, GeneratedIds, Mask, Query};

/// Fields of a file that are requested by default.
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
    /// Returns information about the user's Drive: the user, the storage, the supported formats.
    ///
    /// See [Google Drive docs: about.get](https://developers.google.com/workspace/drive/api/reference/rest/v3/about/get).
    GetAbout();
    "about.get" GET "/drive/v3/about";
    Safe ABOUT READ;
    // This operation requires a field mask.
    returns json(About) Mask::<About>::new().user().storage_quota().max_upload_size().can_create_drives()
}

operation! {
    /// Lists the files that the connection can access, including files in shared drives, page by
    /// page. With the scope `drive.file`, these are the files that the app created or that the user
    /// opened with the app.
    ///
    /// See [Google Drive docs: files.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/list).
    ListFiles();
    "files.list" GET "/drive/v3/files";
    Safe READ LIST;
    set ["supportsAllDrives" = "true", "includeItemsFromAllDrives" = "true"];
    query {
        /// Returns only files that match this query.
        with_query("q"): Query,
        /// Sets the sort order, for example `folder,modifiedTime desc,name`.
        with_order_by("orderBy"): String,
        /// Sets the maximum number of files per page: 1 to 1,000. Default: 100.
        with_page_size("pageSize"): u32,
        /// Sets the spaces to search: `drive`, `appDataFolder`.
        with_spaces("spaces"): String,
        /// Sets the collections to search: `user`, `domain`, `drive` or `allDrives`. If Google
        /// cannot search all drives for `allDrives`, the list ends with an error of kind
        /// [`Truncated`](connector_core::ErrorKind::Truncated).
        with_corpora("corpora"): String,
        /// Sets the id of the shared drive to search. Requires `drive` in
        /// [`with_corpora`](Self::with_corpora).
        with_drive_id("driveId"): String,
        /// Includes the values of these labels, given as a comma-separated list.
        with_include_labels("includeLabels"): String,
        /// Includes the permissions for this view: `published`.
        with_include_permissions_for_view("includePermissionsForView"): String,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(File) "files" usual()
}

impl ListFiles {
    /// Lists only files in this shared drive.
    pub fn in_drive(self, drive: &FileId) -> Self {
        self.with_corpora("drive").with_drive_id(drive.as_str())
    }
}

operation! {
    /// Returns the metadata of a file.
    ///
    /// See [Google Drive docs: files.get](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/get).
    GetFile(file_id: FileId);
    "files.get" GET "/drive/v3/files/{fileId}";
    Safe READ READ;
    set ["supportsAllDrives" = "true"];
    query {
        /// Includes the values of these labels, given as a comma-separated list.
        with_include_labels("includeLabels"): String,
        /// Includes the permissions for this view: `published`.
        with_include_permissions_for_view("includePermissionsForView"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Creates a file without content: a folder, a shortcut or an empty document. The client does
    /// not retry this call. Prefer [`DriveClient::create_file`](crate::DriveClient::create_file),
    /// which can be retried.
    ///
    /// See [Google Drive docs: files.create](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/create).
    CreateFile(; metadata: FileMetadata);
    "files.create" POST "/drive/v3/files";
    Never CREATE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether Google ignores the domain's default visibility.
        with_ignore_default_visibility("ignoreDefaultVisibility"): bool,
        /// Includes the values of these labels, given as a comma-separated list.
        with_include_labels("includeLabels"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Creates a file whose metadata contains an id from [`GenerateIds`]. The client can retry this
    /// call: if the file already exists, Google rejects the retry with the kind
    /// [`Conflict`](connector_core::ErrorKind::Conflict).
    CreateIdentifiedFile(; metadata: FileMetadata);
    "files.create" POST "/drive/v3/files";
    Safe CREATE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether Google ignores the domain's default visibility.
        with_ignore_default_visibility("ignoreDefaultVisibility"): bool,
    }
    returns json(File) usual()
}

operation! {
    /// Changes the metadata of a file, for example its name, folder or properties, or moves the
    /// file to the trash.
    ///
    /// See [Google Drive docs: files.update](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/update).
    UpdateFile(file_id: FileId; metadata: FileMetadata);
    "files.update" PATCH "/drive/v3/files/{fileId}";
    Safe UPDATE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Adds the file to this folder. Remove the file from its previous folder in the same call.
        with_add_parents("addParents"): String,
        /// Removes the file from this folder.
        with_remove_parents("removeParents"): String,
        /// Includes the values of these labels, given as a comma-separated list.
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
        /// Sets whether comments are also copied.
        with_copy_comments("copyComments"): bool,
        /// Sets whether Google ignores the domain's default visibility.
        with_ignore_default_visibility("ignoreDefaultVisibility"): bool,
        /// Sets whether Google keeps the first revision permanently.
        with_keep_revision_forever("keepRevisionForever"): bool,
        /// Sets the language of text in images (ISO 639-1).
        with_ocr_language("ocrLanguage"): String,
    }
    returns json(File) usual()
}

operation! {
    /// Deletes a file permanently, without moving it to the trash. If the file is a folder, Google
    /// also deletes the files in the folder.
    ///
    /// See [Google Drive docs: files.delete](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/delete).
    DeleteFile(file_id: FileId);
    "files.delete" DELETE "/drive/v3/files/{fileId}";
    Safe CREATE EDIT;
    set ["supportsAllDrives" = "true"];
    returns nothing
}

operation! {
    /// Deletes all files in the trash permanently.
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
    /// Generates ids for files that you create later.
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
        /// Sets the kind of file that the ids are for: `files`, `shortcuts`. Default: `files`.
        with_type("type"): String,
    }
    returns json(GeneratedIds) Mask::new()
}
