//! Resources as data, to compare them with Google's own description.

use super::{
    About, AccessProposal, Capabilities, Change, Channel, Comment, CommentWrite, Drive,
    DriveCapabilities, DriveChanges, DriveRestrictions, File, FileMetadata, GeneratedIds, NewDrive,
    Operation, OperationError, Permission, PermissionChanges, Reply, ReplyWrite, Resolution,
    Revision, RevisionChanges, RoleAndView, ShortcutDetails, StartPageToken, StorageQuota, User,
    WatchRequest, camel,
};

/// A resource of Google Drive with typed fields.
pub trait Resource {
    /// Its name and fields.
    const SCHEMA: Schema;
}

/// The name and the typed fields of a [`Resource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schema {
    /// Its name in Google's discovery document; a part of one is named as a path, as in
    /// `File/capabilities`.
    pub name: &'static str,
    /// The fields by the names of the Rust type, with their Rust types as text. `int64` stands for a
    /// number that Google writes as text.
    pub fields: &'static [(&'static str, &'static str)],
}

impl Schema {
    /// Every schema of this crate.
    pub const ALL: &'static [Self] = &[
        About::SCHEMA,
        AccessProposal::SCHEMA,
        Capabilities::SCHEMA,
        Change::SCHEMA,
        Channel::SCHEMA,
        Comment::SCHEMA,
        CommentWrite::SCHEMA,
        Drive::SCHEMA,
        DriveCapabilities::SCHEMA,
        DriveChanges::SCHEMA,
        DriveRestrictions::SCHEMA,
        File::SCHEMA,
        FileMetadata::SCHEMA,
        GeneratedIds::SCHEMA,
        NewDrive::SCHEMA,
        Operation::SCHEMA,
        OperationError::SCHEMA,
        Permission::SCHEMA,
        PermissionChanges::SCHEMA,
        Reply::SCHEMA,
        ReplyWrite::SCHEMA,
        Resolution::SCHEMA,
        Revision::SCHEMA,
        RevisionChanges::SCHEMA,
        RoleAndView::SCHEMA,
        ShortcutDetails::SCHEMA,
        StartPageToken::SCHEMA,
        StorageQuota::SCHEMA,
        User::SCHEMA,
        WatchRequest::SCHEMA,
    ];

    /// The fields by their names on the wire, with their Rust types as text.
    pub fn wire_fields(&self) -> impl Iterator<Item = (String, &'static str)> {
        self.fields.iter().map(|(name, kind)| (camel(name), *kind))
    }
}
