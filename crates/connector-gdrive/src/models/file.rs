//! Files, their revisions, and the user's Drive as a whole.

use std::collections::BTreeMap;

use connector_core::Result;
use connector_core::api::Checksum;
use serde_json::Value;

use super::{FOLDER, FileId, InvalidId, Permission, resource, write};

resource! {
    /// A file, a folder or a shortcut.
    ///
    /// An answer has the fields that were asked for; see [`Mask`](super::Mask).
    ///
    /// See [Google Drive docs: Files](https://developers.google.com/workspace/drive/api/reference/rest/v3/files).
    File = "File" {
        /// Its id.
        id: Option<String>,
        /// Its name. Several files of a folder may have one name.
        name: Option<String>,
        /// Its media type; [`FOLDER`] for a folder.
        mime_type: Option<String>,
        /// Its folder: at most one.
        parents: Vec<String>,
        /// Its description.
        description: Option<String>,
        /// True if the user starred it.
        starred: Option<bool>,
        /// True if it is in the trash, itself or with its folder.
        trashed: Option<bool>,
        /// True if it was put into the trash itself.
        explicitly_trashed: Option<bool>,
        /// The user who put it into the trash.
        trashing_user: Option<User>,
        /// The time when it was put into the trash (RFC 3339).
        trashed_time: Option<String>,
        /// The time of its creation (RFC 3339).
        created_time: Option<String>,
        /// The time of its last change by anybody (RFC 3339).
        modified_time: Option<String>,
        /// The time of its last change by the user (RFC 3339).
        modified_by_me_time: Option<String>,
        /// The time when the user last viewed it (RFC 3339).
        viewed_by_me_time: Option<String>,
        /// The time when it was shared with the user (RFC 3339).
        shared_with_me_time: Option<String>,
        /// The user who shared it with the user.
        sharing_user: Option<User>,
        /// Its owners. Files of shared drives have none.
        owners: Vec<User>,
        /// The user who changed it last.
        last_modifying_user: Option<User>,
        /// True if the user owns it.
        owned_by_me: Option<bool>,
        /// True if it is shared.
        shared: Option<bool>,
        /// The shared drive that it belongs to.
        drive_id: Option<String>,
        /// The MD5 of its content, in hexadecimal. Files with content of their own only.
        md5_checksum: Option<String>,
        /// The SHA-1 of its content, in hexadecimal.
        sha1_checksum: Option<String>,
        /// The SHA-256 of its content, in hexadecimal.
        sha256_checksum: Option<String>,
        /// The id of its newest revision. Files with content of their own only.
        head_revision_id: Option<String>,
        /// Its name when it was uploaded.
        original_filename: Option<String>,
        /// The last extension of its name.
        file_extension: Option<String>,
        /// All extensions of its name.
        full_file_extension: Option<String>,
        /// A page for people to view it.
        web_view_link: Option<String>,
        /// A page for people to download it. Never fetch it with a token.
        web_content_link: Option<String>,
        /// A link to its icon.
        icon_link: Option<String>,
        /// True if it has a thumbnail.
        has_thumbnail: Option<bool>,
        /// A link to its thumbnail.
        thumbnail_link: Option<String>,
        /// Links for people to export it, by media type.
        export_links: BTreeMap<String, String>,
        /// The colour of a folder.
        folder_color_rgb: Option<String>,
        /// Properties that all apps see.
        properties: BTreeMap<String, String>,
        /// Properties that this app sees.
        app_properties: BTreeMap<String, String>,
        /// The user's rights.
        capabilities: Option<Capabilities>,
        /// The target of a shortcut.
        shortcut_details: Option<ShortcutDetails>,
        /// The key that opens it beside the id, for files that are shared by link.
        resource_key: Option<String>,
        /// The spaces that it is in: `drive`, `appDataFolder`.
        spaces: Vec<String>,
        /// Its permissions, if the user may share it. Files of shared drives have none here.
        permissions: Vec<Permission>,
        /// The ids of its permissions.
        permission_ids: Vec<String>,
        /// True if this app created it or the user opened it with this app.
        is_app_authorized: Option<bool>,
        /// True if readers may not copy, print or download it.
        copy_requires_writer_permission: Option<bool>,
        /// True if writers may share it.
        writers_can_share: Option<bool>,
    }
    int64 {
        /// Its length in bytes. Files with content of their own and Google documents only.
        size,
        /// The bytes that it takes of the storage.
        quota_bytes_used,
        /// A number that grows with every change.
        version,
        /// The version of its thumbnail.
        thumbnail_version,
    }
}

impl File {
    /// Its id, checked.
    ///
    /// # Errors
    /// [`InvalidId`] if the answer has no id: ask for the field.
    pub fn file_id(&self) -> Result<FileId, InvalidId> {
        FileId::new(self.id.clone().unwrap_or_default())
    }

    /// Returns true if it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.mime_type.as_deref() == Some(FOLDER)
    }

    /// The checksum of its content, if the answer has one: the strongest.
    #[must_use]
    pub fn checksum(&self) -> Option<Checksum> {
        let sha256 = self.sha256_checksum.as_deref().and_then(hexadecimal);
        let md5 = || self.md5_checksum.as_deref().and_then(hexadecimal);
        sha256
            .map(Checksum::Sha256)
            .or_else(|| md5().map(Checksum::Md5))
    }
}

/// The bytes of a text in hexadecimal.
fn hexadecimal<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != N * 2 {
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
    /// What the user may do with a file.
    Capabilities = "File/capabilities" {
        /// Add children to the folder.
        can_add_children: Option<bool>,
        /// Comment on it.
        can_comment: Option<bool>,
        /// Copy it.
        can_copy: Option<bool>,
        /// Delete it.
        can_delete: Option<bool>,
        /// Download it.
        can_download: Option<bool>,
        /// Change it.
        can_edit: Option<bool>,
        /// List the folder's children.
        can_list_children: Option<bool>,
        /// Change its content.
        can_modify_content: Option<bool>,
        /// Move it out of its shared drive.
        can_move_item_out_of_drive: Option<bool>,
        /// Read its revisions.
        can_read_revisions: Option<bool>,
        /// Remove children from the folder.
        can_remove_children: Option<bool>,
        /// Rename it.
        can_rename: Option<bool>,
        /// Share it.
        can_share: Option<bool>,
        /// Put it into the trash.
        can_trash: Option<bool>,
        /// Take it out of the trash.
        can_untrash: Option<bool>,
    }
}

resource! {
    /// The target of a shortcut.
    ShortcutDetails = "File/shortcutDetails" {
        /// Its id.
        target_id: Option<String>,
        /// Its media type when the shortcut was made.
        target_mime_type: Option<String>,
        /// Its resource key.
        target_resource_key: Option<String>,
    }
}

resource! {
    /// A user.
    User = "User" {
        /// The name for people.
        display_name: Option<String>,
        /// The e-mail address, if it may be shown. Addresses change: it is no key.
        email_address: Option<String>,
        /// True if it is the connection's own user.
        me: Option<bool>,
        /// The user's id in permissions.
        permission_id: Option<String>,
        /// A link to the picture.
        photo_link: Option<String>,
    }
}

resource! {
    /// The user's Drive as a whole.
    About = "About" {
        /// The user.
        user: Option<User>,
        /// The storage.
        storage_quota: Option<StorageQuota>,
        /// True if the user may create shared drives.
        can_create_drives: Option<bool>,
        /// True if the user has installed the app.
        app_installed: Option<bool>,
        /// The media types that documents are exported as, by their own type.
        export_formats: BTreeMap<String, Vec<String>>,
        /// The Google types that files are converted to, by their own type.
        import_formats: BTreeMap<String, Vec<String>>,
        /// The longest files that are converted, by Google type, as texts.
        max_import_sizes: BTreeMap<String, String>,
        /// The colours of folders.
        folder_color_palette: Vec<String>,
    }
    int64 {
        /// The longest file that may be uploaded, in bytes.
        max_upload_size,
    }
}

resource! {
    /// The storage of a user, or of the organisation where storage is pooled, in bytes.
    StorageQuota = "About/storageQuota" {}
    int64 {
        /// The storage; none if it is unlimited.
        limit,
        /// The bytes in use by all Google services.
        usage,
        /// The bytes in use by Drive.
        usage_in_drive,
        /// The bytes in use by the trash of Drive.
        usage_in_drive_trash,
    }
}

resource! {
    /// Ids for files to create.
    GeneratedIds = "GeneratedIds" {
        /// The ids.
        ids: Vec<String>,
        /// The space that they are for.
        space: Option<String>,
    }
}

resource! {
    /// A long-running operation: a download that Google prepares.
    Operation = "Operation" {
        /// Its name, by which it is asked for.
        name: Option<String>,
        /// True once it has ended.
        done: Option<bool>,
        /// The error with which it ended.
        error: Option<OperationError>,
        /// Its result.
        response: BTreeMap<String, Value>,
        /// Facts about it.
        metadata: BTreeMap<String, Value>,
    }
}

resource! {
    /// The error with which an [`Operation`] ended.
    OperationError = "Status" {
        /// The code of `google.rpc.Code`.
        code: Option<i32>,
        /// A sentence for developers.
        message: Option<String>,
    }
}

resource! {
    /// A revision of a file's content.
    Revision = "Revision" {
        /// Its id.
        id: Option<String>,
        /// Its media type.
        mime_type: Option<String>,
        /// The time of the change (RFC 3339).
        modified_time: Option<String>,
        /// True if it is kept for ever instead of 30 days.
        keep_forever: Option<bool>,
        /// True if it is published.
        published: Option<bool>,
        /// True if later revisions are published by themselves.
        publish_auto: Option<bool>,
        /// True if it is published outside of the domain.
        published_outside_domain: Option<bool>,
        /// The page of a published revision.
        published_link: Option<String>,
        /// The user who made the change.
        last_modifying_user: Option<User>,
        /// The file's name when it was uploaded.
        original_filename: Option<String>,
        /// The MD5 of the content, in hexadecimal.
        md5_checksum: Option<String>,
        /// Links for people to export it, by media type.
        export_links: BTreeMap<String, String>,
    }
    int64 {
        /// The length of the content in bytes.
        size,
    }
}

write! {
    /// The metadata of a file to create, or changes of one.
    FileMetadata = "File" {
        /// Sets the id, one of [`GenerateIds`](crate::endpoints::GenerateIds). New files only.
        with_id => id: String,
        /// Sets the name.
        with_name => name: String,
        /// Sets the media type. A Google type converts the content.
        with_mime_type => mime_type: String,
        /// Sets the folders of a new file: one. Files are moved with
        /// [`UpdateFile::with_add_parents`](crate::endpoints::UpdateFile::with_add_parents).
        with_parents => parents: Vec<String>,
        /// Sets the description.
        with_description => description: String,
        /// Stars it or not.
        with_starred => starred: bool,
        /// Puts it into the trash or takes it out.
        with_trashed => trashed: bool,
        /// Sets the time of the creation (RFC 3339). New files only.
        with_created_time => created_time: String,
        /// Sets the time of the last change (RFC 3339).
        with_modified_time => modified_time: String,
        /// Sets properties that all apps see.
        with_properties => properties: BTreeMap<String, String>,
        /// Sets properties that this app sees.
        with_app_properties => app_properties: BTreeMap<String, String>,
        /// Sets the colour of a folder.
        with_folder_color_rgb => folder_color_rgb: String,
        /// Sets the target of a shortcut.
        with_shortcut_details => shortcut_details: ShortcutDetails,
        /// Sets whether readers may copy, print or download it.
        with_copy_requires_writer_permission => copy_requires_writer_permission: bool,
        /// Sets whether writers may share it.
        with_writers_can_share => writers_can_share: bool,
        /// Sets the name that it had before the upload.
        with_original_filename => original_filename: String,
    }
}

impl FileMetadata {
    /// Metadata without a field yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A file with this name.
    pub fn named(name: impl Into<String>) -> Self {
        Self::new().with_name(name)
    }

    /// A folder with this name.
    pub fn folder(name: impl Into<String>) -> Self {
        Self::named(name).with_mime_type(FOLDER)
    }

    /// A shortcut with this name to `target`.
    pub fn shortcut(name: impl Into<String>, target: &FileId) -> Self {
        let target = ShortcutDetails {
            target_id: Some(target.to_string()),
            ..ShortcutDetails::default()
        };
        Self::named(name)
            .with_mime_type(super::SHORTCUT)
            .with_shortcut_details(target)
    }

    /// Sets the folder of a new file.
    pub fn in_folder(self, folder: &FileId) -> Self {
        self.with_parents(vec![folder.to_string()])
    }
}

write! {
    /// Changes of a revision.
    RevisionChanges = "Revision" {
        /// Sets whether it is kept for ever. At most 200 revisions of a file are.
        with_keep_forever => keep_forever: bool,
        /// Sets whether it is published.
        with_published => published: bool,
        /// Sets whether later revisions are published by themselves.
        with_publish_auto => publish_auto: bool,
        /// Sets whether it is published outside of the domain.
        with_published_outside_domain => published_outside_domain: bool,
    }
}

impl RevisionChanges {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }
}
