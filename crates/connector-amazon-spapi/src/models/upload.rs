//! Uploads 2020-11-01.

use super::{Other, model};

model! {
    /// An upload URL for a file.
    UploadDestination {
        /// The id, which other operations accept.
        upload_destination_id: String,
        /// The presigned upload URL. Keep it secret: anyone who has it can write the file.
        url: String,
        /// The required headers of the upload.
        headers: Other,
    }
}
