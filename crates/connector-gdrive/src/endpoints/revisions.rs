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
    /// Lists the revisions of a file, the oldest first, page by page. Google may leave out old ones of
    /// files that are often changed.
    ///
    /// See [Google Drive docs: revisions.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/revisions/list).
    ListRevisions(file_id: FileId);
    "revisions.list" GET "/drive/v3/files/{fileId}/revisions";
    Safe READ LIST;
    query {
        /// Sets the number of revisions on a page: 1 to 1,000. Default: 200.
        with_page_size("pageSize"): u32,
        /// Sets where to begin.
        with_page_token("pageToken"): String,
    }
    returns page(Revision) "revisions" usual()
}

operation! {
    /// Reads a revision.
    GetRevision(file_id: FileId, revision_id: String);
    "revisions.get" GET "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe READ READ;
    returns json(Revision) usual()
}

operation! {
    /// Changes whether a revision is kept or published.
    UpdateRevision(file_id: FileId, revision_id: String; changes: RevisionChanges);
    "revisions.update" PATCH "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe CREATE EDIT;
    returns json(Revision) usual()
}

operation! {
    /// Deletes a revision for ever. The last one cannot be deleted, nor those of Google documents.
    DeleteRevision(file_id: FileId, revision_id: String);
    "revisions.delete" DELETE "/drive/v3/files/{fileId}/revisions/{revisionId}";
    Safe CREATE EDIT;
    returns nothing
}
