//! Uploads 2020-11-01.

use super::{Other, model};

model! {
    /// A place to upload a file to.
    UploadDestination {
        /// Its id, which other operations take.
        upload_destination_id: String,
        /// The presigned URL. It is a secret: whoever has it writes the file.
        url: String,
        /// The headers that the upload must have.
        headers: Other,
    }
}
