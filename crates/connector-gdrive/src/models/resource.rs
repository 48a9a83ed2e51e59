//! Schemas of resources, for comparison with Google's discovery document.

use super::{
    About, AccessProposal, AddReviewer, Approval, ApprovalMessage, ApprovalStart, Capabilities,
    Change, Channel, Comment, CommentWrite, Drive, DriveCapabilities, DriveChanges,
    DriveRestrictions, File, FileMetadata, GeneratedIds, Label, LabelChanges, LabelField,
    LabelFieldModification, LabelModification, ModifiedLabels, NewDrive, Operation, OperationError,
    Permission, PermissionChanges, ReplaceReviewer, Reply, ReplyWrite, Resolution, ReviewerChanges,
    ReviewerResponse, Revision, RevisionChanges, RoleAndView, ShortcutDetails, StartPageToken,
    StorageQuota, User, WatchRequest, camel,
};

/// A resource of Google Drive with typed fields.
pub trait Resource {
    /// Name and typed fields of the resource.
    const SCHEMA: Schema;
}

/// Name and typed fields of a [`Resource`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Schema {
    /// Name in Google's discovery document. The name of a nested object is a path, for example
    /// `File/capabilities`.
    pub name: &'static str,
    /// Names of the Rust fields, with their Rust types as strings. `int64` is a number that Google
    /// sends as a string.
    pub fields: &'static [(&'static str, &'static str)],
}

impl Schema {
    /// All schemas of this crate.
    pub const ALL: &'static [Self] = &[
        About::SCHEMA,
        AccessProposal::SCHEMA,
        AddReviewer::SCHEMA,
        Approval::SCHEMA,
        ApprovalMessage::SCHEMA,
        ApprovalStart::SCHEMA,
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
        Label::SCHEMA,
        LabelChanges::SCHEMA,
        LabelField::SCHEMA,
        LabelFieldModification::SCHEMA,
        LabelModification::SCHEMA,
        ModifiedLabels::SCHEMA,
        NewDrive::SCHEMA,
        Operation::SCHEMA,
        OperationError::SCHEMA,
        Permission::SCHEMA,
        PermissionChanges::SCHEMA,
        ReplaceReviewer::SCHEMA,
        Reply::SCHEMA,
        ReplyWrite::SCHEMA,
        Resolution::SCHEMA,
        ReviewerChanges::SCHEMA,
        ReviewerResponse::SCHEMA,
        Revision::SCHEMA,
        RevisionChanges::SCHEMA,
        RoleAndView::SCHEMA,
        ShortcutDetails::SCHEMA,
        StartPageToken::SCHEMA,
        StorageQuota::SCHEMA,
        User::SCHEMA,
        WatchRequest::SCHEMA,
    ];

    /// Returns the names of the fields in JSON, with their Rust types as strings.
    pub fn wire_fields(&self) -> impl Iterator<Item = (String, &'static str)> {
        self.fields.iter().map(|(name, kind)| (camel(name), *kind))
    }
}
