use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::http::Origin;
use http::Method;
use serde_json::json;

use super::{operation, to, wrong};
use crate::models::{BaseId, FieldId, Record, RecordId};
use crate::oauth::CONTENT;

/// Maximum file size, in bytes.
const LARGEST: usize = 5 * 1024 * 1024;

/// Uploads a file of at most 5 MiB to an attachment field. Airtable's documentation does not
/// confirm the host, the path and the format. Enable this operation with
/// [`with_attachment_uploads`](crate::AirtableConfigBuilder::with_attachment_uploads).
///
/// An attachment with a public URL needs no upload: write `[{"url":"…"}]` into the cell.
#[derive(Clone)]
#[must_use]
pub struct UploadAttachment {
    base: BaseId,
    record: RecordId,
    field: FieldId,
    file_name: String,
    content_type: String,
    file: Bytes,
}

impl UploadAttachment {
    /// Adds `file` to the attachments in `field` of `record`.
    pub fn new(
        base: BaseId,
        record: RecordId,
        field: FieldId,
        file_name: impl Into<String>,
        content_type: impl Into<String>,
        file: impl Into<Bytes>,
    ) -> Self {
        Self {
            base,
            record,
            field,
            file_name: file_name.into(),
            content_type: content_type.into(),
            file: file.into(),
        }
    }
}

impl fmt::Debug for UploadAttachment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UploadAttachment")
            .field("base", &self.base)
            .field("record", &self.record)
            .field("field", &self.field)
            .field("bytes", &self.file.len())
            .finish_non_exhaustive()
    }
}

operation! {
    UploadAttachment -> Record, Never, ["data.records:write"];
    check: |it| {
        if it.file.len() > LARGEST {
            let message = "the file is larger than 5 MiB; write its public URL into the cell \
                           instead";
            return Err(wrong("UploadAttachment", message));
        }
        Ok(())
    };
    request: |it| {
        let (base, record, field) = (it.base.as_str(), it.record.as_str(), it.field.as_str());
        let request = to(Method::POST, &[base, record, field, "uploadAttachment"])?;
        request.at_origin(Origin::parse(CONTENT)?).json(&json!({
            "contentType": it.content_type,
            "filename": it.file_name,
            "file": BASE64_STANDARD.encode(&it.file),
        }))
    };
    decode: |response| response.json();
}
