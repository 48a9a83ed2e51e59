//! Permissions, comments, shared drives and access requests.

use super::{User, resource, texts, write};

texts! {
    /// Role that a permission grants.
    Role {
        /// All actions, including transfer of ownership.
        Owner = "owner",
        /// All actions in a shared drive, including changes of its members.
        Organizer = "organizer",
        /// All actions on the files of a shared drive.
        FileOrganizer = "fileOrganizer",
        /// Reading and writing.
        Writer = "writer",
        /// Reading and commenting.
        Commenter = "commenter",
        /// Reading.
        Reader = "reader",
    }
}

texts! {
    /// Kind of grantee of a permission.
    PermissionKind {
        /// One user, identified by e-mail address.
        User = "user",
        /// One group, identified by e-mail address.
        Group = "group",
        /// All users of a domain.
        Domain = "domain",
        /// Anyone.
        Anyone = "anyone",
    }
}

resource! {
    /// A permission on a file or a shared drive.
    Permission = "Permission" {
        /// Id of the permission.
        id: Option<String>,
        /// Kind of grantee.
        r#type: Option<PermissionKind>,
        /// Granted role.
        role: Option<Role>,
        /// E-mail address of the user or group.
        email_address: Option<String>,
        /// Domain whose users have the permission.
        domain: Option<String>,
        /// Display name.
        display_name: Option<String>,
        /// URL of the profile picture.
        photo_link: Option<String>,
        /// True if users can find the file by search.
        allow_file_discovery: Option<bool>,
        /// Expiry of the permission (RFC 3339).
        expiration_time: Option<String>,
        /// True if the grantee's account was deleted.
        deleted: Option<bool>,
        /// True if the user was asked to become the owner.
        pending_owner: Option<bool>,
        /// View that the permission applies to: `published` or `metadata`.
        view: Option<String>,
        /// True if the permissions of the parent folder do not apply.
        inherited_permissions_disabled: Option<bool>,
    }
}

write! {
    /// A new permission, or changes to an existing permission.
    PermissionChanges = "Permission" {
        /// Sets the kind of grantee. New permissions only.
        with_type => r#type: PermissionKind,
        /// Sets the granted role.
        with_role => role: Role,
        /// Sets the e-mail address of the user or group. New permissions only.
        with_email_address => email_address: String,
        /// Sets the domain whose users have the permission. New permissions only.
        with_domain => domain: String,
        /// Sets whether users can find the file by search.
        with_allow_file_discovery => allow_file_discovery: bool,
        /// Sets the expiry (RFC 3339): at most one year from now.
        with_expiration_time => expiration_time: String,
        /// Sets whether the user is asked to become the owner.
        with_pending_owner => pending_owner: bool,
        /// Sets the view that the permission applies to.
        with_view => view: String,
    }
}

impl PermissionChanges {
    /// Creates a permission without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a permission for the user with this e-mail address.
    pub fn user(address: impl Into<String>, role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::User)
            .with_email_address(address)
            .with_role(role)
    }

    /// Creates a permission for the group with this e-mail address.
    pub fn group(address: impl Into<String>, role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::Group)
            .with_email_address(address)
            .with_role(role)
    }

    /// Creates a permission for all users of a domain.
    pub fn domain(domain: impl Into<String>, role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::Domain)
            .with_domain(domain)
            .with_role(role)
    }

    /// Creates a permission for anyone.
    pub fn anyone(role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::Anyone)
            .with_role(role)
    }
}

resource! {
    /// A comment on a file.
    Comment = "Comment" {
        /// Id of the comment.
        id: Option<String>,
        /// Text of the comment.
        content: Option<String>,
        /// Text with mentions, as HTML.
        html_content: Option<String>,
        /// Author of the comment.
        author: Option<User>,
        /// Commented position in the document, in a format that the app defines.
        anchor: Option<String>,
        /// Time of creation (RFC 3339).
        created_time: Option<String>,
        /// Time of the last change of the comment or of one of its replies (RFC 3339).
        modified_time: Option<String>,
        /// True if the comment is resolved.
        resolved: Option<bool>,
        /// True if the comment was deleted.
        deleted: Option<bool>,
        /// Replies in chronological order.
        replies: Vec<Reply>,
        /// E-mail address of the user to whom the comment is assigned.
        assignee_email_address: Option<String>,
        /// E-mail addresses of the users that the comment mentions.
        mentioned_email_addresses: Vec<String>,
    }
}

write! {
    /// A new comment, or new text for an existing comment.
    CommentWrite = "Comment" {
        /// Sets the text.
        with_content => content: String,
        /// Sets the commented position in the document, in a format that the app defines. New
        /// comments only.
        with_anchor => anchor: String,
    }
}

impl CommentWrite {
    /// Creates a comment with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self::default().with_content(text)
    }
}

resource! {
    /// A reply to a comment.
    Reply = "Reply" {
        /// Id of the reply.
        id: Option<String>,
        /// Text of the reply.
        content: Option<String>,
        /// Text with mentions, as HTML.
        html_content: Option<String>,
        /// Author of the reply.
        author: Option<User>,
        /// Action of the reply on the comment: `resolve` or `reopen`.
        action: Option<String>,
        /// Time of creation (RFC 3339).
        created_time: Option<String>,
        /// Time of the last change (RFC 3339).
        modified_time: Option<String>,
        /// True if the reply was deleted.
        deleted: Option<bool>,
    }
}

write! {
    /// A new reply, or a new text for an existing reply. A reply has a text, an action, or both.
    ReplyWrite = "Reply" {
        /// Sets the text.
        with_content => content: String,
        /// Sets the action on the comment: `resolve` or `reopen`. New replies only.
        with_action => action: String,
    }
}

impl ReplyWrite {
    /// Creates a reply without text and action.
    pub fn new() -> Self {
        Self::default()
    }

    /// Creates a reply with this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().with_content(text)
    }
}

resource! {
    /// A shared drive.
    Drive = "Drive" {
        /// Id of the shared drive, which is also the id of its root folder.
        id: Option<String>,
        /// Name of the shared drive.
        name: Option<String>,
        /// Time of creation (RFC 3339).
        created_time: Option<String>,
        /// True if the user hides the shared drive.
        hidden: Option<bool>,
        /// Colour of the shared drive.
        color_rgb: Option<String>,
        /// Id of the theme. Google accepts this field in requests but does not return it.
        theme_id: Option<String>,
        /// URL of the background image.
        background_image_link: Option<String>,
        /// Id of the organisational unit that owns the shared drive.
        org_unit_id: Option<String>,
        /// Permitted actions of the user on the shared drive.
        capabilities: Option<DriveCapabilities>,
        /// Restrictions on the shared drive and its files.
        restrictions: Option<DriveRestrictions>,
    }
}

resource! {
    /// Permitted actions of the user on a shared drive. Each field is true if the user can do the
    /// action.
    DriveCapabilities = "Drive/capabilities" {
        /// Add files.
        can_add_children: Option<bool>,
        /// Delete the shared drive.
        can_delete_drive: Option<bool>,
        /// Download the files.
        can_download: Option<bool>,
        /// Change the files.
        can_edit: Option<bool>,
        /// List the files.
        can_list_children: Option<bool>,
        /// Change the members.
        can_manage_members: Option<bool>,
        /// Rename the shared drive.
        can_rename_drive: Option<bool>,
        /// Share the files.
        can_share: Option<bool>,
        /// Move the files to the trash.
        can_trash_children: Option<bool>,
    }
}

resource! {
    /// Restrictions on a shared drive and its files.
    DriveRestrictions = "Drive/restrictions" {
        /// True if only administrators can change the restrictions.
        admin_managed_restrictions: Option<bool>,
        /// True if readers cannot copy, print or download the files.
        copy_requires_writer_permission: Option<bool>,
        /// True if only users of the domain have access.
        domain_users_only: Option<bool>,
        /// True if only members have access to the files.
        drive_members_only: Option<bool>,
        /// True if only organizers can share folders.
        sharing_folders_requires_organizer_permission: Option<bool>,
    }
}

write! {
    /// A new shared drive.
    NewDrive = "Drive" {
        /// Sets the name.
        with_name => name: String,
        /// Sets the id of the theme.
        with_theme_id => theme_id: String,
        /// Sets whether the user hides the shared drive.
        with_hidden => hidden: bool,
    }
}

impl NewDrive {
    /// Creates a shared drive with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self::default().with_name(name)
    }
}

write! {
    /// Changes to a shared drive.
    DriveChanges = "Drive" {
        /// Sets the name.
        with_name => name: String,
        /// Sets the id of the theme.
        with_theme_id => theme_id: String,
        /// Sets the colour.
        with_color_rgb => color_rgb: String,
        /// Sets the restrictions on the shared drive and its files.
        with_restrictions => restrictions: DriveRestrictions,
    }
}

impl DriveChanges {
    /// Creates an empty set of changes.
    pub fn new() -> Self {
        Self::default()
    }
}

resource! {
    /// A user's request for access to a file.
    AccessProposal = "AccessProposal" {
        /// Id of the file.
        file_id: Option<String>,
        /// Id of the access request.
        proposal_id: Option<String>,
        /// E-mail address of the user who sent the request.
        requester_email_address: Option<String>,
        /// E-mail address of the user who receives access.
        recipient_email_address: Option<String>,
        /// Requested roles.
        roles_and_views: Vec<RoleAndView>,
        /// Message from the requester.
        request_message: Option<String>,
        /// Time of the request (RFC 3339).
        create_time: Option<String>,
    }
}

resource! {
    /// A requested role.
    RoleAndView = "AccessProposalRoleAndView" {
        /// The requested role.
        role: Option<Role>,
        /// View that the role applies to.
        view: Option<String>,
    }
}

write! {
    /// Decision on an access request.
    Resolution = "ResolveAccessProposalRequest" {
        /// Sets the decision: `ACCEPT` or `DENY`.
        with_action => action: String,
        /// Sets the granted roles.
        with_role => role: Vec<String>,
        /// Sets the view that the roles apply to.
        with_view => view: String,
        /// Sets whether Google notifies the requester by e-mail.
        with_send_notification => send_notification: bool,
    }
}

impl Resolution {
    /// Creates a decision that grants these roles.
    pub fn accept(roles: impl IntoIterator<Item = Role>) -> Self {
        let roles: Vec<String> = roles.into_iter().map(String::from).collect();
        Self::default().with_action("ACCEPT").with_role(roles)
    }

    /// Creates a decision that denies access.
    pub fn deny() -> Self {
        Self::default().with_action("DENY")
    }
}
