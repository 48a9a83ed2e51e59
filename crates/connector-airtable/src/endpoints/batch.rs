//! Writes of more records than one call accepts.

use connector_core::Error;
use connector_core::provider::Endpoint;

/// A write of records that can be split into calls of at most 10 records, Airtable's maximum.
pub trait BatchEndpoint: Endpoint + Sized {
    /// Returns the number of records to write.
    fn count(&self) -> usize;

    /// Splits the write into calls of at most 10 records.
    fn into_batches(self) -> Vec<Self>;
}

/// The outcome of [`AirtableClient::send_in_batches`](crate::AirtableClient::send_in_batches).
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Batches<T> {
    /// The responses of the batches that succeeded, in order.
    pub completed: Vec<T>,
    /// Number of written records. Records are written in order, so these responses belong to the
    /// first records.
    pub written: usize,
    /// The failure that stopped the write; `None` if all records were written.
    pub failure: Option<BatchFailure>,
}

/// The failure of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchFailure {
    /// The error. After a timeout or a broken connection, Airtable may still have written the
    /// batch.
    pub error: Error,
    /// Number of records in the batch. Later batches were not sent.
    pub count: usize,
}
