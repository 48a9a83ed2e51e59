use super::operation;
use crate::models::{FileId, Label, LabelChanges, Mask, ModifiedLabels};

operation! {
    /// Lists the labels on a file, page by page.
    ///
    /// See [Google Drive docs: files.listLabels](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/listLabels).
    ListFileLabels(file_id: FileId);
    "files.listLabels" GET "/drive/v3/files/{fileId}/listLabels";
    Safe READ_LABELS LIST;
    query {
        /// Sets the maximum number of labels per page: 1 to 100.
        with_max_results("maxResults"): u32,
        /// Sets the page token from which the list continues.
        with_page_token("pageToken"): String,
    }
    returns page(Label) "labels" Mask::new()
}

operation! {
    /// Adds, changes and removes labels on a file. Google makes all changes, or none.
    ///
    /// See [Google Drive docs: files.modifyLabels](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/modifyLabels).
    ModifyFileLabels(file_id: FileId; changes: LabelChanges);
    "files.modifyLabels" POST "/drive/v3/files/{fileId}/modifyLabels";
    Safe EDIT_METADATA EDIT;
    returns json(ModifiedLabels) Mask::new()
}
