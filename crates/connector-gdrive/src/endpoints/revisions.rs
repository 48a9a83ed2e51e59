use super::operation;
use crate::models::{FileId, Mask, Revision, RevisionChanges};

fn usual() -> Mask<Revision> {
    Mask::<Revision>::new()
        .id()
        .mime_type()
        .modified_time()
        .keep_forever()
        .published()
        .original_filename()
        .md5_checksum()
        .size()
}

operation! {
    /// Lists the revisions of a file, oldest first, page by page. For frequently changed files,
    /// Google may omit old revisions.
    ///
    /// See [Google Drive docs: revisions.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/revisions/list).
    ListRevisions(file_id: FileId);
    "revisions.list" GET "/drive/v3/files/{fileId}/revisions";
    Safe READ LIST;
    query {
        /// Sets the maximum number of revisions per page: 1 to 1,000. Default: 200.
        with_page_size("pageSize"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Revision) "revisions" usual()
}

operation! {
    /// Returns a revision.
    GetRevision(file_id: FileId, revision_id: String);
    "revisions.get" GET "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe READ READ;
    returns json(Revision) usual()
}

operation! {
    /// Changes whether Google keeps or publishes a revision.
    UpdateRevision(file_id: FileId, revision_id: String; changes: RevisionChanges);
    "revisions.update" PATCH "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe CREATE EDIT;
    returns json(Revision) usual()
}

operation! {
    /// Deletes a revision permanently. The last revision of a file, and revisions of Google
    /// documents, cannot be deleted.
    DeleteRevision(file_id: FileId, revision_id: String);
    "revisions.delete" DELETE "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe CREATE EDIT;
    returns nothing
}
