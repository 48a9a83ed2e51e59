use super::operation;
use crate::models::{AccessProposal, Drive, DriveChanges, FileId, Mask, NewDrive, Resolution};

fn usual() -> Mask<Drive> {
    Mask::<Drive>::new()
        .id()
        .name()
        .created_time()
        .hidden()
        .color_rgb()
        .capabilities()
        .restrictions()
}

operation! {
    /// Lists the user's shared drives, page by page.
    ///
    /// See [Google Drive docs: drives.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list).
    ListDrives();
    "drives.list" GET "/drive/v3/drives";
    Safe READ_DRIVES LIST;
    query {
        /// Returns only shared drives that match this query. Shared drives have their own query
        /// terms.
        with_query("q"): String,
        /// Sets whether the call uses the user's rights as a domain administrator and lists all
        /// shared drives of the domain.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
        /// Sets the maximum number of shared drives per page: 1 to 100. Default: 10.
        with_page_size("pageSize"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Drive) "drives" usual()
}

operation! {
    /// Returns a shared drive.
    GetDrive(drive_id: FileId);
    "drives.get" GET "/drive/v3/drives/{driveId}";
    Safe READ_DRIVES READ;
    query {
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Drive) usual()
}

operation! {
    /// Creates a shared drive. Calls with the same `request_id` create the shared drive once.
    /// Google rejects repeated calls with the kind
    /// [`Conflict`](connector_core::ErrorKind::Conflict).
    ///
    /// See [Google Drive docs: drives.create](https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/create).
    CreateDrive(; drive: NewDrive);
    "drives.create" POST "/drive/v3/drives";
    Safe DRIVE EDIT;
    query {
        /// Sets the id of the request, a random UUID. Required.
        with_request_id("requestId"): String,
    }
    returns json(Drive) usual()
}

operation! {
    /// Changes a shared drive.
    UpdateDrive(drive_id: FileId; changes: DriveChanges);
    "drives.update" PATCH "/drive/v3/drives/{driveId}";
    Safe DRIVE EDIT;
    query {
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Drive) usual()
}

operation! {
    /// Deletes a shared drive permanently. The shared drive must be empty, unless a domain
    /// administrator sets [`with_allow_item_deletion`](Self::with_allow_item_deletion).
    DeleteDrive(drive_id: FileId);
    "drives.delete" DELETE "/drive/v3/drives/{driveId}";
    Safe DRIVE EDIT;
    query {
        /// Sets whether the files in the shared drive are also deleted. Domain administrators only.
        with_allow_item_deletion("allowItemDeletion"): bool,
        /// Sets whether the call uses the user's rights as a domain administrator.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns nothing
}

operation! {
    /// Hides a shared drive from the user's list.
    HideDrive(drive_id: FileId);
    "drives.hide" POST "/drive/v3/drives/{driveId}/hide";
    Safe DRIVE EDIT;
    returns json(Drive) usual()
}

operation! {
    /// Shows a hidden shared drive again.
    UnhideDrive(drive_id: FileId);
    "drives.unhide" POST "/drive/v3/drives/{driveId}/unhide";
    Safe DRIVE EDIT;
    returns json(Drive) usual()
}

operation! {
    /// Lists the access requests for a file, page by page. Only users who can share the file can
    /// list them.
    ///
    /// See [Google Drive docs: accessproposals.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/accessproposals/list).
    ListAccessProposals(file_id: FileId);
    "accessproposals.list" GET "/drive/v3/files/{fileId}/accessproposals";
    Safe READ_PROPOSALS LIST;
    query {
        /// Sets the maximum number of access requests per page.
        with_page_size("pageSize"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(AccessProposal) "accessProposals" Mask::new()
}

operation! {
    /// Returns an access request.
    GetAccessProposal(file_id: FileId, proposal_id: String);
    "accessproposals.get" GET "/drive/v3/files/{fileId}/accessproposals/{proposalId}";
    Safe READ_PROPOSALS READ;
    returns json(AccessProposal) Mask::new()
}

operation! {
    /// Accepts or denies an access request.
    ResolveAccessProposal(file_id: FileId, proposal_id: String; resolution: Resolution);
    "accessproposals.resolve" POST "/drive/v3/files/{fileId}/accessproposals/{proposalId}:resolve";
    Never SHARE EDIT;
    returns nothing
}
