//! Files, their revisions, and information about the user's Drive.

use std::collections::BTreeMap;

use connector_core::Result;
use connector_core::api::Checksum;
use serde_json::Value;

use super::{FOLDER, FileId, InvalidId, Permission, resource, write};

resource! {
    /// A file, a folder or a shortcut.
    ///
    /// A response contains the requested fields only; see [`Mask`](super::Mask).
    ///
    /// See [Google Drive docs: Files](https://developers.google.com/workspace/drive/api/reference/rest/v3/files).
    File = "File" {
        /// Id of the file.
        id: Option<String>,
        /// Name of the file. Several files in a folder can have the same name.
        name: Option<String>,
        /// Media type of the file, or [`FOLDER`] for a folder.
        mime_type: Option<String>,
        /// Ids of the parent folders: at most one.
        parents: Vec<String>,
        /// Description of the file.
        description: Option<String>,
        /// True if the user starred the file.
        starred: Option<bool>,
        /// True if the file is in the trash, alone or inside a folder.
        trashed: Option<bool>,
        /// True if the file itself was moved to the trash, not only a folder that contains the
        /// file.
        explicitly_trashed: Option<bool>,
        /// The user who moved the file to the trash.
        trashing_user: Option<User>,
        /// Time when the file was moved to the trash (RFC 3339).
        trashed_time: Option<String>,
        /// Time of creation (RFC 3339).
        created_time: Option<String>,
        /// Time of the last change by any user (RFC 3339).
        modified_time: Option<String>,
        /// Time of the last change by this user (RFC 3339).
        modified_by_me_time: Option<String>,
        /// Time when this user last viewed the file (RFC 3339).
        viewed_by_me_time: Option<String>,
        /// Time when the file was shared with this user (RFC 3339).
        shared_with_me_time: Option<String>,
        /// The user who shared the file with this user.
        sharing_user: Option<User>,
        /// Owners of the file. Empty for files in shared drives.
        owners: Vec<User>,
        /// The user who last changed the file.
        last_modifying_user: Option<User>,
        /// True if this user owns the file.
        owned_by_me: Option<bool>,
        /// True if the file is shared.
        shared: Option<bool>,
        /// Id of the shared drive that contains the file.
        drive_id: Option<String>,
        /// MD5 checksum of the content, in hexadecimal. Present only for files with binary content.
        md5_checksum: Option<String>,
        /// SHA-1 checksum of the content, in hexadecimal. Present only for files with binary
        /// content.
        sha1_checksum: Option<String>,
        /// SHA-256 checksum of the content, in hexadecimal. Present only for files with binary
        /// content.
        sha256_checksum: Option<String>,
        /// Id of the newest revision. Present only for files with binary content.
        head_revision_id: Option<String>,
        /// Name of the file when it was uploaded.
        original_filename: Option<String>,
        /// Last extension of the file name.
        file_extension: Option<String>,
        /// Complete extension of the file name, for example `tar.gz`.
        full_file_extension: Option<String>,
        /// URL of a web page that shows the file.
        web_view_link: Option<String>,
        /// URL for downloads in a browser. Do not send the access token to this URL.
        web_content_link: Option<String>,
        /// URL of the file's icon.
        icon_link: Option<String>,
        /// True if the file has a thumbnail.
        has_thumbnail: Option<bool>,
        /// URL of the thumbnail.
        thumbnail_link: Option<String>,
        /// URLs for exports in a browser, by media type.
        export_links: BTreeMap<String, String>,
        /// Colour of the folder.
        folder_color_rgb: Option<String>,
        /// Properties that all apps can read.
        properties: BTreeMap<String, String>,
        /// Properties that only this app can read.
        app_properties: BTreeMap<String, String>,
        /// Permitted actions of the user on the file.
        capabilities: Option<Capabilities>,
        /// Target of the shortcut.
        shortcut_details: Option<ShortcutDetails>,
        /// Key that is required in addition to the id, for files that are shared by link.
        resource_key: Option<String>,
        /// Spaces that contain the file: `drive`, `appDataFolder`.
        spaces: Vec<String>,
        /// Permissions of the file. Present only if the user can share the file. Empty for files in
        /// shared drives.
        permissions: Vec<Permission>,
        /// Ids of the file's permissions.
        permission_ids: Vec<String>,
        /// True if this app created the file, or the user opened the file with this app.
        is_app_authorized: Option<bool>,
        /// True if readers cannot copy, print or download the file.
        copy_requires_writer_permission: Option<bool>,
        /// True if writers can share the file.
        writers_can_share: Option<bool>,
    }
    int64 {
        /// Size of the content, in bytes. Present only for Google documents and for files with
        /// binary content.
        size,
        /// Storage quota that the file uses, in bytes.
        quota_bytes_used,
        /// Version number, which increases with every change.
        version,
        /// Version of the thumbnail.
        thumbnail_version,
    }
}

impl File {
    /// Returns the id after validation.
    ///
    /// # Errors
    /// [`InvalidId`] if the response does not contain the id. Add the field to the mask.
    pub fn file_id(&self) -> Result<FileId, InvalidId> {
        FileId::new(self.id.clone().unwrap_or_default())
    }

    /// Returns true if the file is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.mime_type.as_deref() == Some(FOLDER)
    }

    /// Returns the strongest checksum of the content in the response, if any.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        let sha256 = self.sha256_checksum.as_deref().and_then(hexadecimal);
        let md5 = || self.md5_checksum.as_deref().and_then(hexadecimal);
        sha256
            .map(Checksum::Sha256)
            .or_else(|| md5().map(Checksum::Md5))
    }
}

/// Decodes bytes from hexadecimal.
pub(crate) fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks(2)) {
        let pair = std::str::from_utf8(pair).ok()?;
        *byte = u8::from_str_radix(pair, 16).ok()?;
    }
    Some(bytes)
}

resource! {
    /// Permitted actions of the user on a file. Each field is true if the user can do the action.
    Capabilities = "File/capabilities" {
        /// Add items to the folder.
        can_add_children: Option<bool>,
        /// Comment on the file.
        can_comment: Option<bool>,
        /// Copy the file.
        can_copy: Option<bool>,
        /// Delete the file.
        can_delete: Option<bool>,
        /// Download the file.
        can_download: Option<bool>,
        /// Change the file.
        can_edit: Option<bool>,
        /// List the items in the folder.
        can_list_children: Option<bool>,
        /// Change the content of the file.
        can_modify_content: Option<bool>,
        /// Move the item out of its shared drive.
        can_move_item_out_of_drive: Option<bool>,
        /// Read the revisions of the file.
        can_read_revisions: Option<bool>,
        /// Remove items from the folder.
        can_remove_children: Option<bool>,
        /// Rename the file.
        can_rename: Option<bool>,
        /// Share the file.
        can_share: Option<bool>,
        /// Move the file to the trash.
        can_trash: Option<bool>,
        /// Restore the file from the trash.
        can_untrash: Option<bool>,
    }
}

resource! {
    /// The target of a shortcut.
    ShortcutDetails = "File/shortcutDetails" {
        /// Id of the target.
        target_id: Option<String>,
        /// Media type of the target when the shortcut was created.
        target_mime_type: Option<String>,
        /// Resource key of the target.
        target_resource_key: Option<String>,
    }
}

resource! {
    /// A user.
    User = "User" {
        /// Display name.
        display_name: Option<String>,
        /// E-mail address, if visible to the app. The address can change, so do not use it as a
        /// key.
        email_address: Option<String>,
        /// True if this user authorized the connection.
        me: Option<bool>,
        /// Id of the user in permissions.
        permission_id: Option<String>,
        /// URL of the profile picture.
        photo_link: Option<String>,
    }
}

resource! {
    /// Information about the user and the user's Drive.
    About = "About" {
        /// The user.
        user: Option<User>,
        /// Storage limit and usage.
        storage_quota: Option<StorageQuota>,
        /// True if the user can create shared drives.
        can_create_drives: Option<bool>,
        /// True if the user has installed the app.
        app_installed: Option<bool>,
        /// Export formats: the possible media types for each media type of Google documents.
        export_formats: BTreeMap<String, Vec<String>>,
        /// Import formats: the possible Google document types for each media type.
        import_formats: BTreeMap<String, Vec<String>>,
        /// Maximum size of imported files in bytes, as a string, by Google document type.
        max_import_sizes: BTreeMap<String, String>,
        /// Colours that folders can have.
        folder_color_palette: Vec<String>,
    }
    int64 {
        /// Maximum size of an uploaded file, in bytes.
        max_upload_size,
    }
}

resource! {
    /// Storage limit and usage in bytes, for the user, or for the whole organisation if it pools
    /// its storage.
    StorageQuota = "About/storageQuota" {}
    int64 {
        /// Storage limit. Absent if the storage is unlimited.
        limit,
        /// Usage by all Google services.
        usage,
        /// Usage by Drive.
        usage_in_drive,
        /// Usage by the trash of Drive.
        usage_in_drive_trash,
    }
}

resource! {
    /// Ids for files that you create later.
    GeneratedIds = "GeneratedIds" {
        /// Generated ids.
        ids: Vec<String>,
        /// Space in which the ids are valid.
        space: Option<String>,
    }
}

resource! {
    /// A long-running operation, with which Google prepares a download.
    Operation = "Operation" {
        /// Name of the operation, for [`GetOperation`](crate::endpoints::GetOperation).
        name: Option<String>,
        /// True if the operation has finished.
        done: Option<bool>,
        /// Error of a failed operation.
        error: Option<OperationError>,
        /// Result of a successful operation.
        response: BTreeMap<String, Value>,
        /// Metadata of the operation.
        metadata: BTreeMap<String, Value>,
    }
}

resource! {
    /// Error of a failed [`Operation`].
    OperationError = "Status" {
        /// Error code, as defined by `google.rpc.Code`.
        code: Option<i32>,
        /// Error message for developers.
        message: Option<String>,
    }
}

resource! {
    /// A revision of a file's content.
    Revision = "Revision" {
        /// Id of the revision.
        id: Option<String>,
        /// Media type of the revision.
        mime_type: Option<String>,
        /// Time of the change (RFC 3339).
        modified_time: Option<String>,
        /// True if Google keeps the revision permanently instead of for 30 days.
        keep_forever: Option<bool>,
        /// True if the revision is published.
        published: Option<bool>,
        /// True if later revisions are published automatically.
        publish_auto: Option<bool>,
        /// True if the revision is published outside the domain.
        published_outside_domain: Option<bool>,
        /// URL of the published revision.
        published_link: Option<String>,
        /// The user who made the change.
        last_modifying_user: Option<User>,
        /// Name of the file when it was uploaded.
        original_filename: Option<String>,
        /// MD5 checksum of the content, in hexadecimal.
        md5_checksum: Option<String>,
        /// URLs for exports in a browser, by media type.
        export_links: BTreeMap<String, String>,
    }
    int64 {
        /// Size of the content, in bytes.
        size,
    }
}

write! {
    /// Metadata of a new file, or metadata changes of an existing file.
    FileMetadata = "File" {
        /// Sets the id, which must come from [`GenerateIds`](crate::endpoints::GenerateIds). New
        /// files only.
        with_id => id: String,
        /// Sets the name.
        with_name => name: String,
        /// Sets the media type. Google converts the content if the type is a Google document type.
        with_mime_type => mime_type: String,
        /// Sets the parent folder of a new file. Google accepts one folder. To move an existing
        /// file, use
        /// [`UpdateFile::with_add_parents`](crate::endpoints::UpdateFile::with_add_parents).
        with_parents => parents: Vec<String>,
        /// Sets the description.
        with_description => description: String,
        /// Sets whether the user starred the file.
        with_starred => starred: bool,
        /// Moves the file to the trash, or restores it if the value is false.
        with_trashed => trashed: bool,
        /// Sets the time of creation (RFC 3339). New files only.
        with_created_time => created_time: String,
        /// Sets the time of the last change (RFC 3339).
        with_modified_time => modified_time: String,
        /// Sets properties that all apps can read.
        with_properties => properties: BTreeMap<String, String>,
        /// Sets properties that only this app can read.
        with_app_properties => app_properties: BTreeMap<String, String>,
        /// Sets the colour of a folder.
        with_folder_color_rgb => folder_color_rgb: String,
        /// Sets the target of a shortcut.
        with_shortcut_details => shortcut_details: ShortcutDetails,
        /// Sets whether readers are prevented from copying, printing and downloading the file.
        with_copy_requires_writer_permission => copy_requires_writer_permission: bool,
        /// Sets whether writers can share the file.
        with_writers_can_share => writers_can_share: bool,
        /// Sets the name of the file before its upload.
        with_original_filename => original_filename: String,
    }
}

impl FileMetadata {
    /// Creates metadata without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates metadata of a file with this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }

    /// Creates metadata of a folder with this name.
    pub fn folder(name: impl Into<String>) -> Self {
        Self::named(name).with_mime_type(FOLDER)
    }

    /// Creates metadata of a shortcut to `target`.
    pub fn shortcut(name: impl Into<String>, target: &FileId) -> Self {
        let target = ShortcutDetails {
            target_id: Some(target.to_string()),
            ..ShortcutDetails::default()
        };
        Self::named(name)
            .with_mime_type(super::SHORTCUT)
            .with_shortcut_details(target)
    }

    /// Sets the parent folder of a new file.
    pub fn in_folder(self, folder: &FileId) -> Self {
        self.with_parents(vec![folder.to_string()])
    }
}

write! {
    /// Changes to a revision.
    RevisionChanges = "Revision" {
        /// Sets whether Google keeps the revision permanently. Maximum: 200 revisions per file.
        with_keep_forever => keep_forever: bool,
        /// Sets whether the revision is published.
        with_published => published: bool,
        /// Sets whether later revisions are published automatically.
        with_publish_auto => publish_auto: bool,
        /// Sets whether the revision is published outside the domain.
        with_published_outside_domain => published_outside_domain: bool,
    }
}

impl RevisionChanges {
    /// Creates an empty set of changes.
    pub fn new() -> Self {
        Self::default()
    }
}
