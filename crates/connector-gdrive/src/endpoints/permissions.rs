use super::operation;
use crate::models::{FileId, Mask, Permission, PermissionChanges};

fn usual() -> Mask<Permission> {
    Mask::<Permission>::new()
        .id()
        .r#type()
        .role()
        .email_address()
        .domain()
        .display_name()
        .allow_file_discovery()
        .expiration_time()
        .deleted()
        .pending_owner()
        .view()
}

operation! {
    /// Lists the permissions of a file or shared drive, page by page.
    ///
    /// See [Google Drive docs: permissions.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/permissions/list).
    ListPermissions(file_id: FileId);
    "permissions.list" GET "/drive/v3/files/{fileId}/permissions";
    Safe READ_SHARING LIST;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets the maximum number of permissions per page: 1 to 100.
        with_page_size("pageSize"): u32,
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
        /// Includes the permissions of a view. The only supported view is `published`.
        with_include_permissions_for_view("includePermissionsForView"): String,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Permission) "permissions" usual()
}

operation! {
    /// Returns a permission.
    GetPermission(file_id: FileId, permission_id: String);
    "permissions.get" GET "/drive/v3/files/{fileId}/permissions/{permissionId}";
    Safe READ_SHARING READ;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Permission) usual()
}

operation! {
    /// Shares a file or shared drive. Google sends an e-mail by default. Send changes of one file's
    /// permissions one after the other: if changes are concurrent, only the last change takes
    /// effect.
    ///
    /// See [Google Drive docs: permissions.create](https://developers.google.com/workspace/drive/api/reference/rest/v3/permissions/create).
    CreatePermission(file_id: FileId; permission: PermissionChanges);
    "permissions.create" POST "/drive/v3/files/{fileId}/permissions";
    Never SHARE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether Google sends an e-mail.
        with_send_notification_email("sendNotificationEmail"): bool,
        /// Sets a custom text for the e-mail.
        with_email_message("emailMessage"): String,
        /// Confirms the transfer of ownership. Required for the role `owner`.
        with_transfer_ownership("transferOwnership"): bool,
        /// Sets whether Google moves the file to the new owner's root folder.
        with_move_to_new_owners_root("moveToNewOwnersRoot"): bool,
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Permission) usual()
}

operation! {
    /// Changes the role or the expiry of a permission.
    UpdatePermission(file_id: FileId, permission_id: String; changes: PermissionChanges);
    "permissions.update" PATCH "/drive/v3/files/{fileId}/permissions/{permissionId}";
    Safe SHARE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether the expiry is removed.
        with_remove_expiration("removeExpiration"): bool,
        /// Confirms the transfer of ownership. Required for the role `owner`.
        with_transfer_ownership("transferOwnership"): bool,
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Permission) usual()
}

operation! {
    /// Deletes a permission.
    DeletePermission(file_id: FileId, permission_id: String);
    "permissions.delete" DELETE "/drive/v3/files/{fileId}/permissions/{permissionId}";
    Safe SHARE EDIT;
    set ["supportsAllDrives" = "true"];
    query {
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns nothing
}
