use connector_core::clock::Timestamp;
use serde::Deserialize;
use url::Url;

use super::{BulkOperationId, maybe_time, model, number, time};

connector_core::provider::open_enum! {
    /// The state of a bulk operation.
    pub enum BulkStatus {
        /// The operation has not started yet.
        Created = "CREATED",
        /// The operation is running.
        Running = "RUNNING",
        /// The result is complete.
        Completed = "COMPLETED",
        /// The operation is being cancelled.
        Canceling = "CANCELING",
        /// The operation was cancelled.
        Canceled = "CANCELED",
        /// The operation failed. A part of the result may be available.
        Failed = "FAILED",
        /// The result is no longer available.
        Expired = "EXPIRED",
    } else
    /// A value that this version of the library does not know.
    Other
}

impl BulkStatus {
    /// Returns true if the operation has ended.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Completed | Self::Canceled | Self::Failed | Self::Expired
        )
    }
}

connector_core::provider::open_enum! {
    /// The reason why a bulk operation failed.
    pub enum BulkErrorCode {
        /// A scope or an approval is missing.
        AccessDenied = "ACCESS_DENIED",
        /// Shopify had an internal error. Start the operation again.
        InternalServerError = "INTERNAL_SERVER_ERROR",
        /// The query took too long. Request less data at once.
        Timeout = "TIMEOUT",
    } else
    /// A value that this version of the library does not know.
    Other
}

connector_core::provider::open_enum! {
    /// The kind of a bulk operation.
    pub enum BulkType {
        /// A query.
        Query = "QUERY",
        /// A mutation with many inputs.
        Mutation = "MUTATION",
    } else
    /// A value that this version of the library does not know.
    Other
}

/// Deserializes a number that may be null.
fn maybe_number<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    #[derive(Deserialize)]
    struct Number(#[serde(deserialize_with = "number")] u64);
    Ok(Option::<Number>::deserialize(deserializer)?.map(|it| it.0))
}

model! {
    /// A bulk operation. It must end within 10 days, and its result is available for 7 days.
    BulkOperation {
        /// The id of the operation.
        id: BulkOperationId,
        /// The state of the operation.
        status: BulkStatus,
        /// The reason of a failure.
        error_code: Option<BulkErrorCode>,
        /// The kind of the operation.
        #[serde(rename = "type")]
        kind: BulkType,
        /// The creation time.
        #[serde(deserialize_with = "time")]
        created_at: Timestamp,
        /// The time at which the operation ended.
        #[serde(default, deserialize_with = "maybe_time")]
        completed_at: Option<Timestamp>,
        /// Number of objects so far, with children.
        #[serde(deserialize_with = "number")]
        object_count: u64,
        /// Number of objects so far, without children.
        #[serde(deserialize_with = "number")]
        root_object_count: u64,
        /// Length of the result, in bytes.
        #[serde(default, deserialize_with = "maybe_number")]
        file_size: Option<u64>,
        /// The result. `None` if the operation has not ended, failed or found nothing.
        url: Option<Url>,
        /// The part of the result that was written before a failure.
        partial_data_url: Option<Url>,
    }
}

model! {
    /// A place to which a file can be uploaded.
    StagedTarget {
        /// The URL to upload to.
        url: Option<Url>,
        /// The URL of the uploaded file, for the operation that uses it.
        resource_url: Option<Url>,
        /// The fields of the upload's form, in this order, before the file.
        parameters: Vec<StagedParameter>,
    }
}

model! {
    private
    /// A field of an upload's form.
    StagedParameter {
        /// The name of the field.
        name: String,
        /// The value of the field.
        value: String,
    }
}
