use super::operation;
use crate::models::{Approval, ApprovalMessage, ApprovalStart, FileId, Mask, ReviewerChanges};

operation! {
    /// Lists the approvals of a file, page by page.
    ///
    /// See [Google Drive docs: approvals.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/approvals/list).
    ListApprovals(file_id: FileId);
    "approvals.list" GET "/drive/v3/files/{fileId}/approvals";
    Safe READ_APPROVALS LIST;
    query {
        /// Sets the maximum number of approvals per page.
        with_page_size("pageSize"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Approval) "items" Mask::new()
}

operation! {
    /// Returns an approval.
    GetApproval(file_id: FileId, approval_id: String);
    "approvals.get" GET "/drive/v3/files/{fileId}/approvals/{approvalId}";
    Safe READ_APPROVALS READ;
    returns json(Approval) Mask::new()
}

operation! {
    /// Starts the approval of a file. Google sends e-mails to the reviewers.
    StartApproval(file_id: FileId; approval: ApprovalStart);
    "approvals.start" POST "/drive/v3/files/{fileId}/approvals:start";
    Never EDIT_METADATA EDIT;
    returns json(Approval) Mask::new()
}

macro_rules! decisions {
    ($($(#[$doc:meta])* $name:ident $id:literal $path:literal,)*) => { $(operation! {
        $(#[$doc])*
        $name(file_id: FileId, approval_id: String; message: ApprovalMessage);
        $id POST $path;
        Never EDIT_METADATA EDIT;
        returns json(Approval) Mask::new()
    })* };
}

decisions! {
    /// Approves as a reviewer. The approval completes when every reviewer has approved.
    ApproveApproval "approvals.approve" "/drive/v3/files/{fileId}/approvals/{approvalId}:approve",
    /// Declines as a reviewer. The approval then ends as declined.
    DeclineApproval "approvals.decline" "/drive/v3/files/{fileId}/approvals/{approvalId}:decline",
    /// Cancels an approval. Only its initiator or an editor of the file can do this.
    CancelApproval "approvals.cancel" "/drive/v3/files/{fileId}/approvals/{approvalId}:cancel",
    /// Comments on an approval.
    CommentApproval "approvals.comment" "/drive/v3/files/{fileId}/approvals/{approvalId}:comment",
}

operation! {
    /// Adds or replaces reviewers of an approval.
    ReassignApproval(file_id: FileId, approval_id: String; changes: ReviewerChanges);
    "approvals.reassign" POST "/drive/v3/files/{fileId}/approvals/{approvalId}:reassign";
    Never EDIT_METADATA EDIT;
    returns json(Approval) Mask::new()
}
