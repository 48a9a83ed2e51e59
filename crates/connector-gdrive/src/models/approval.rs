//! Approvals of files by reviewers.

use super::{User, resource, texts, write};

texts! {
    /// Status of an approval.
    ApprovalStatus {
        /// Not complete.
        InProgress = "IN_PROGRESS",
        /// Every reviewer approved.
        Approved = "APPROVED",
        /// Cancelled before completion.
        Cancelled = "CANCELLED",
        /// A reviewer declined.
        Declined = "DECLINED",
    }
}

texts! {
    /// Decision of a reviewer.
    ReviewerDecision {
        /// No decision yet.
        NoResponse = "NO_RESPONSE",
        /// Approved.
        Approved = "APPROVED",
        /// Declined.
        Declined = "DECLINED",
    }
}

resource! {
    /// An approval process of a file.
    ///
    /// See [Google Drive docs: Approvals](https://developers.google.com/workspace/drive/api/guides/approvals).
    Approval = "Approval" {
        /// Id of the approval.
        approval_id: Option<String>,
        /// Id of the file.
        target_file_id: Option<String>,
        /// Status.
        status: Option<ApprovalStatus>,
        /// User who started the approval.
        initiator: Option<User>,
        /// Decisions of the reviewers.
        reviewer_responses: Vec<ReviewerResponse>,
        /// Revision of the file at the time of its approval.
        approved_revision_id: Option<String>,
        /// `RESET_APPROVAL` if a change of the content resets the decisions.
        file_content_change_behavior: Option<String>,
        /// Time of the start (RFC 3339).
        create_time: Option<String>,
        /// Time of the last change (RFC 3339).
        modify_time: Option<String>,
        /// Time by which the reviewers must decide (RFC 3339).
        due_time: Option<String>,
        /// Time of the completion (RFC 3339).
        complete_time: Option<String>,
    }
}

resource! {
    /// Decision of one reviewer.
    ReviewerResponse = "ReviewerResponse" {
        /// The reviewer.
        reviewer: Option<User>,
        /// The decision.
        response: Option<ReviewerDecision>,
    }
}

write! {
    /// A new approval.
    ApprovalStart = "StartApprovalRequest" {
        /// Sets the reviewers, by e-mail address.
        with_reviewer_emails => reviewer_emails: Vec<String>,
        /// Sets a message to the reviewers.
        with_message => message: String,
        /// Sets the time by which the reviewers must decide (RFC 3339).
        with_due_time => due_time: String,
        /// Sets whether the file is locked.
        with_lock_file => lock_file: bool,
        /// Sets the effect of a change of the content: `RESET_APPROVAL` or `NO_APPROVAL_ACTION`.
        with_file_content_change_behavior => file_content_change_behavior: String,
    }
}

impl ApprovalStart {
    /// Creates an approval by these reviewers.
    pub fn by<S: Into<String>>(reviewer_emails: impl IntoIterator<Item = S>) -> Self {
        let emails: Vec<String> = reviewer_emails.into_iter().map(Into::into).collect();
        Self::default().with_reviewer_emails(emails)
    }
}

write! {
    /// The message of a decision, a cancellation or a comment. Google includes it in e-mails and in
    /// the file's activity log.
    ApprovalMessage = "CommentApprovalRequest" {
        /// Sets the message. A comment requires it.
        with_message => message: String,
    }
}

impl ApprovalMessage {
    /// Creates an empty message.
    pub fn none() -> Self {
        Self::default()
    }

    /// Creates a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self::default().with_message(message)
    }
}

write! {
    /// A change of an approval's reviewers.
    ReviewerChanges = "ReassignApprovalRequest" {
        /// Sets the reviewers to add.
        with_add_reviewers => add_reviewers: Vec<AddReviewer>,
        /// Sets the reviewers to replace.
        with_replace_reviewers => replace_reviewers: Vec<ReplaceReviewer>,
        /// Sets a message to the new reviewers.
        with_message => message: String,
    }
}

impl ReviewerChanges {
    /// Creates an empty change.
    pub fn new() -> Self {
        Self::default()
    }
}

write! {
    /// A reviewer to add.
    AddReviewer = "AddReviewer" {
        /// Sets the e-mail address.
        with_added_reviewer_email => added_reviewer_email: String,
    }
}

write! {
    /// A reviewer to replace with another user.
    ReplaceReviewer = "ReplaceReviewer" {
        /// Sets the e-mail address of the new reviewer.
        with_added_reviewer_email => added_reviewer_email: String,
        /// Sets the e-mail address of the reviewer to remove.
        with_removed_reviewer_email => removed_reviewer_email: String,
    }
}
