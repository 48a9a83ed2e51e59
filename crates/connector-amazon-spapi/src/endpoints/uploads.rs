//! Uploads 2020-11-01.

use super::{SpApiOperation as _, operation};
use crate::models::Payload;
use crate::models::upload::UploadDestination;

/// Operations of this family.
pub(super) const OPERATIONS: &[super::Operation] = &[CreateUploadDestinationForResource::OPERATION];

operation! {
    /// Creates an upload URL for a file that another operation of the API uses. `resource` is the
    /// path of that operation, for example `aplus/2020-11-01/contentDocuments`. Get the checksum
    /// from [`DocumentContent::md5_base64`](crate::documents::DocumentContent::md5_base64), and
    /// upload with [`DocumentContent::upload`](crate::documents::DocumentContent::upload).
    ///
    /// See [Amazon docs: createUploadDestinationForResource](https://developer-docs.amazon.com/sp-api/docs/uploads-api-v2020-11-01-reference).
    CreateUploadDestinationForResource -> UploadDestination, answer Payload<UploadDestination>;
    "uploads_2020-11-01" POST "/uploads/2020-11-01/uploadDestinations/{resource}", Safe, 5.0 / 5;
    new {
        marketplace_ids: query [String] = "marketplaceIds",
        content_md5: query String = "contentMD5",
        resource: path String = "resource",
    }
    set {
        /// Sets the content type of the file.
        with_content_type: String = "contentType",
    }
    decode: |answer, response| answer.data(response);
}
