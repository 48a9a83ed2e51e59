//! Writes of more records than one call takes.

use connector_core::Error;
use connector_core::provider::Endpoint;

/// A write of records, of which Airtable takes 10 in one call.
pub trait BatchEndpoint: Endpoint + Sized {
    /// The number of inputs.
    fn count(&self) -> usize;

    /// The same write, divided into calls of 10 inputs.
    fn into_batches(self) -> Vec<Self>;
}

/// The outcome of [`AirtableClient::send_in_batches`](crate::AirtableClient::send_in_batches).
#[derive(Debug)]
#[must_use]
#[non_exhaustive]
pub struct Batches<T> {
    /// The responses of the batches that succeeded, in order.
    pub completed: Vec<T>,
    /// The number of inputs that were written. Inputs are written in their order, so that these are
    /// the first ones.
    pub written: usize,
    /// The failure that ended the write; `None` if every input was written.
    pub failure: Option<BatchFailure>,
}

/// The failure of a batch.
#[derive(Debug)]
#[non_exhaustive]
pub struct BatchFailure {
    /// The error. After a timeout or a broken connection Airtable may have written the batch.
    pub error: Error,
    /// The number of inputs in the batch. Those behind it were not sent.
    pub count: usize,
}
