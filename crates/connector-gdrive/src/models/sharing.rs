//! Permissions, comments, shared drives and requests for access.

use super::{User, resource, texts, write};

texts! {
    /// What a permission allows.
    Role {
        /// Everything, with the ownership of the file.
        Owner = "owner",
        /// Everything in a shared drive, with its members.
        Organizer = "organizer",
        /// Everything with the files of a shared drive.
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
    /// Whom a permission is for.
    PermissionKind {
        /// A user, by address.
        User = "user",
        /// A group, by address.
        Group = "group",
        /// All users of a domain.
        Domain = "domain",
        /// Everybody.
        Anyone = "anyone",
    }
}

resource! {
    /// A permission on a file or a shared drive.
    Permission = "Permission" {
        /// Its id.
        id: Option<String>,
        /// Whom it is for.
        r#type: Option<PermissionKind>,
        /// What it allows.
        role: Option<Role>,
        /// The address of the user or group.
        email_address: Option<String>,
        /// The domain.
        domain: Option<String>,
        /// The name for people.
        display_name: Option<String>,
        /// A link to the picture.
        photo_link: Option<String>,
        /// True if the file can be found by a search.
        allow_file_discovery: Option<bool>,
        /// The time when it ends (RFC 3339).
        expiration_time: Option<String>,
        /// True if the account was deleted.
        deleted: Option<bool>,
        /// True if the user was asked to become the owner.
        pending_owner: Option<bool>,
        /// The view that it is for: `published`, `metadata`.
        view: Option<String>,
        /// True if permissions of the folder do not count.
        inherited_permissions_disabled: Option<bool>,
    }
}

write! {
    /// A permission to create, or changes of one.
    PermissionChanges = "Permission" {
        /// Sets whom it is for. New permissions only.
        with_type => r#type: PermissionKind,
        /// Sets what it allows.
        with_role => role: Role,
        /// Sets the address of the user or group. New permissions only.
        with_email_address => email_address: String,
        /// Sets the domain. New permissions only.
        with_domain => domain: String,
        /// Sets whether the file can be found by a search.
        with_allow_file_discovery => allow_file_discovery: bool,
        /// Sets the time when it ends (RFC 3339): at most a year from now.
        with_expiration_time => expiration_time: String,
        /// Asks the user to become the owner.
        with_pending_owner => pending_owner: bool,
        /// Sets the view that it is for.
        with_view => view: String,
    }
}

impl PermissionChanges {
    /// No field yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A permission for the user with this address.
    pub fn user(address: impl Into<String>, role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::User)
            .with_email_address(address)
            .with_role(role)
    }

    /// A permission for the group with this address.
    pub fn group(address: impl Into<String>, role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::Group)
            .with_email_address(address)
            .with_role(role)
    }

    /// A permission for all users of a domain.
    pub fn domain(domain: impl Into<String>, role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::Domain)
            .with_domain(domain)
            .with_role(role)
    }

    /// A permission for everybody.
    pub fn anyone(role: Role) -> Self {
        Self::new()
            .with_type(PermissionKind::Anyone)
            .with_role(role)
    }
}

resource! {
    /// A comment on a file.
    Comment = "Comment" {
        /// Its id.
        id: Option<String>,
        /// Its text.
        content: Option<String>,
        /// Its text with mentions, as HTML.
        html_content: Option<String>,
        /// Its author.
        author: Option<User>,
        /// The place in the document, in a notation of the app.
        anchor: Option<String>,
        /// The time of its creation (RFC 3339).
        created_time: Option<String>,
        /// The time of the last change of it or of a reply (RFC 3339).
        modified_time: Option<String>,
        /// True if it is settled.
        resolved: Option<bool>,
        /// True if it was deleted.
        deleted: Option<bool>,
        /// The replies, in order.
        replies: Vec<Reply>,
        /// The address of the user who is to settle it.
        assignee_email_address: Option<String>,
        /// The addresses that it mentions.
        mentioned_email_addresses: Vec<String>,
    }
}

write! {
    /// A comment to write.
    CommentWrite = "Comment" {
        /// Sets the text.
        with_content => content: String,
        /// Sets the place in the document, in a notation of the app. New comments only.
        with_anchor => anchor: String,
    }
}

impl CommentWrite {
    /// A comment with this text.
    pub fn new(text: impl Into<String>) -> Self {
        Self::default().with_content(text)
    }
}

resource! {
    /// A reply to a comment.
    Reply = "Reply" {
        /// Its id.
        id: Option<String>,
        /// Its text.
        content: Option<String>,
        /// Its text with mentions, as HTML.
        html_content: Option<String>,
        /// Its author.
        author: Option<User>,
        /// What it did to the comment: `resolve`, `reopen`.
        action: Option<String>,
        /// The time of its creation (RFC 3339).
        created_time: Option<String>,
        /// The time of its last change (RFC 3339).
        modified_time: Option<String>,
        /// True if it was deleted.
        deleted: Option<bool>,
    }
}

write! {
    /// A reply to write. It has a text, an action, or both.
    ReplyWrite = "Reply" {
        /// Sets the text.
        with_content => content: String,
        /// Sets what it does to the comment: `resolve` or `reopen`. New replies only.
        with_action => action: String,
    }
}

impl ReplyWrite {
    /// A reply without text and action yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A reply with this text.
    pub fn text(text: impl Into<String>) -> Self {
        Self::new().with_content(text)
    }
}

resource! {
    /// A shared drive.
    Drive = "Drive" {
        /// Its id, which is also that of its root folder.
        id: Option<String>,
        /// Its name.
        name: Option<String>,
        /// The time of its creation (RFC 3339).
        created_time: Option<String>,
        /// True if the user hides it.
        hidden: Option<bool>,
        /// Its colour.
        color_rgb: Option<String>,
        /// Its theme. Only written.
        theme_id: Option<String>,
        /// A link to its background image.
        background_image_link: Option<String>,
        /// The organisational unit that it belongs to.
        org_unit_id: Option<String>,
        /// The user's rights.
        capabilities: Option<DriveCapabilities>,
        /// What its files are protected from.
        restrictions: Option<DriveRestrictions>,
    }
}

resource! {
    /// What the user may do with a shared drive.
    DriveCapabilities = "Drive/capabilities" {
        /// Add files.
        can_add_children: Option<bool>,
        /// Delete the drive.
        can_delete_drive: Option<bool>,
        /// Download its files.
        can_download: Option<bool>,
        /// Change its files.
        can_edit: Option<bool>,
        /// List its files.
        can_list_children: Option<bool>,
        /// Change its members.
        can_manage_members: Option<bool>,
        /// Rename it.
        can_rename_drive: Option<bool>,
        /// Share its files.
        can_share: Option<bool>,
        /// Put its files into the trash.
        can_trash_children: Option<bool>,
    }
}

resource! {
    /// What the files of a shared drive are protected from.
    DriveRestrictions = "Drive/restrictions" {
        /// True if only administrators change the restrictions.
        admin_managed_restrictions: Option<bool>,
        /// True if readers may not copy, print or download its files.
        copy_requires_writer_permission: Option<bool>,
        /// True if only users of the domain reach it.
        domain_users_only: Option<bool>,
        /// True if only members reach its files.
        drive_members_only: Option<bool>,
        /// True if only organizers share its folders.
        sharing_folders_requires_organizer_permission: Option<bool>,
    }
}

write! {
    /// A shared drive to create.
    NewDrive = "Drive" {
        /// Sets the name.
        with_name => name: String,
        /// Sets the theme.
        with_theme_id => theme_id: String,
        /// Sets whether the user hides it.
        with_hidden => hidden: bool,
    }
}

impl NewDrive {
    /// A shared drive with this name.
    pub fn new(name: impl Into<String>) -> Self {
        Self::default().with_name(name)
    }
}

write! {
    /// Changes of a shared drive.
    DriveChanges = "Drive" {
        /// Sets the name.
        with_name => name: String,
        /// Sets the theme.
        with_theme_id => theme_id: String,
        /// Sets the colour.
        with_color_rgb => color_rgb: String,
        /// Sets what its files are protected from.
        with_restrictions => restrictions: DriveRestrictions,
    }
}

impl DriveChanges {
    /// No change yet.
    pub fn new() -> Self {
        Self::default()
    }
}

resource! {
    /// A request for access to a file.
    AccessProposal = "AccessProposal" {
        /// The file.
        file_id: Option<String>,
        /// Its id.
        proposal_id: Option<String>,
        /// Who asks.
        requester_email_address: Option<String>,
        /// Who is to get access.
        recipient_email_address: Option<String>,
        /// The roles that are asked for.
        roles_and_views: Vec<RoleAndView>,
        /// The message of the request.
        request_message: Option<String>,
        /// The time of the request (RFC 3339).
        create_time: Option<String>,
    }
}

resource! {
    /// A role that is asked for.
    RoleAndView = "AccessProposalRoleAndView" {
        /// The role.
        role: Option<Role>,
        /// The view that it is for.
        view: Option<String>,
    }
}

write! {
    /// The decision on a request for access.
    Resolution = "ResolveAccessProposalRequest" {
        /// Sets the decision: `ACCEPT` or `DENY`.
        with_action => action: String,
        /// Sets the roles to grant.
        with_role => role: Vec<String>,
        /// Sets the view that they are for.
        with_view => view: String,
        /// Sets whether the requester gets an e-mail.
        with_send_notification => send_notification: bool,
    }
}

impl Resolution {
    /// Grants these roles.
    pub fn accept(roles: impl IntoIterator<Item = Role>) -> Self {
        let roles: Vec<String> = roles.into_iter().map(String::from).collect();
        Self::default().with_action("ACCEPT").with_role(roles)
    }

    /// Grants nothing.
    pub fn deny() -> Self {
        Self::default().with_action("DENY")
    }
}
