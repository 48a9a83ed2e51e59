//! Data types of requests and responses. Fields that this version does not know are kept in `other`
//! and serialized unchanged.

mod approval;
mod change;
mod file;
mod id;
mod label;
mod mask;
mod page;
mod query;
mod resource;
mod sharing;
mod value;

pub use self::approval::{
    AddReviewer, Approval, ApprovalMessage, ApprovalStart, ApprovalStatus, ReplaceReviewer,
    ReviewerChanges, ReviewerDecision, ReviewerResponse,
};
pub use self::change::{
    CHANGE_TOPIC, Change, ChangeKind, Channel, DRIVE_TOPIC, StartPageToken, WatchRequest,
};
pub(crate) use self::file::hexadecimal;
pub use self::file::{
    About, Capabilities, File, FileMetadata, GeneratedIds, Operation, OperationError, Revision,
    RevisionChanges, ShortcutDetails, StorageQuota, User,
};
pub use self::id::{FileId, InvalidId};
pub use self::label::{
    Label, LabelChanges, LabelField, LabelFieldModification, LabelModification, ModifiedLabels,
};
pub use self::mask::Mask;
pub(crate) use self::page::Listing;
pub use self::query::{Query, Term};
pub use self::resource::{Resource, Schema};
pub use self::sharing::{
    AccessProposal, Comment, CommentWrite, Drive, DriveCapabilities, DriveChanges,
    DriveRestrictions, NewDrive, Permission, PermissionChanges, PermissionKind, Reply, ReplyWrite,
    Resolution, Role, RoleAndView,
};
pub(crate) use self::value::{Absent, Hidden, camel, int64, resource, texts, write};

/// Members of a response that this version does not know.
pub type Other = serde_json::Map<String, serde_json::Value>;

/// Media type of a folder.
pub const FOLDER: &str = "application/vnd.google-apps.folder";
/// Media type of a shortcut.
pub const SHORTCUT: &str = "application/vnd.google-apps.shortcut";

/// Returns true for the media type of a Google document, a folder or a shortcut. Such files have no
/// content to download.
pub(crate) fn is_google_type(mime_type: &str) -> bool {
    mime_type.starts_with("application/vnd.google-apps.")
}
