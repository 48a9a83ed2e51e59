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
    /// Lists the shared drives of the user, page by page.
    ///
    /// See [Google Drive docs: drives.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/drives/list).
    ListDrives();
    "drives.list" GET "/drive/v3/drives";
    Safe READ_DRIVES LIST;
    query {
        /// Returns the drives for which this query is true. Its terms are those of drives.
        with_query("q"): String,
        /// Acts as administrator of the domain: lists all its drives.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
        /// Sets the number of drives on a page: 1 to 100. Default: 10.
        with_page_size("pageSize"): u32,
        /// Sets where to begin.
        with_page_token("pageToken"): String,
    }
    returns page(Drive) "drives" usual()
}

operation! {
    /// Reads a shared drive.
    GetDrive(drive_id: FileId);
    "drives.get" GET "/drive/v3/drives/{driveId}";
    Safe READ_DRIVES READ;
    query {
        /// Acts as administrator of the domain.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Drive) usual()
}

operation! {
    /// Creates a shared drive. Calls with one `request_id` create it once: a repetition is refused
    /// with the kind [`Conflict`](connector_core::ErrorKind::Conflict).
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
        /// Acts as administrator of the domain.
        with_use_domain_admin_access("useDomainAdminAccess"): bool,
    }
    returns json(Drive) usual()
}

operation! {
    /// Deletes a shared drive for ever. It must be empty unless an administrator says otherwise.
    DeleteDrive(drive_id: FileId);
    "drives.delete" DELETE "/drive/v3/drives/{driveId}";
    Safe DRIVE EDIT;
    query {
        /// Deletes its files too. Administrators of the domain only.
        with_allow_item_deletion("allowItemDeletion"): bool,
        /// Acts as administrator of the domain.
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
    /// Lists the requests for access to a file, page by page. Only users who may grant access see them.
    ///
    /// See [Google Drive docs: accessproposals.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/accessproposals/list).
    ListAccessProposals(file_id: FileId);
    "accessproposals.list" GET "/drive/v3/files/{fileId}/accessproposals";
    Safe READ_PROPOSALS LIST;
    query {
        /// Sets the number of requests on a page.
        with_page_size("pageSize"): u32,
        /// Sets where to begin.
        with_page_token("pageToken"): String,
    }
    returns page(AccessProposal) "accessProposals" Mask::new()
}

operation! {
    /// Reads a request for access.
    GetAccessProposal(file_id: FileId, proposal_id: String);
    "accessproposals.get" GET "/drive/v3/files/{fileId}/accessproposals/{proposalId}";
    Safe READ_PROPOSALS READ;
    returns json(AccessProposal) Mask::new()
}

operation! {
    /// Decides on a request for access.
    ResolveAccessProposal(file_id: FileId, proposal_id: String; resolution: Resolution);
    "accessproposals.resolve" POST "/drive/v3/files/{fileId}/accessproposals/{proposalId}:resolve";
    Never SHARE EDIT;
    returns nothing
}
