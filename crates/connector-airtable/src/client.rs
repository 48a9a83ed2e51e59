//! The typed client.

use crate::Airtable;
use crate::endpoints::{BatchEndpoint, BatchFailure, Batches};

connector_core::provider::provider_client! {
    /// A typed client for the Web API of one user. The client can access the bases that the user
    /// granted.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// use connector_airtable::AirtableClient;
    /// use connector_airtable::endpoints::ListRecords;
    /// use connector_airtable::models::{BaseId, TableKey};
    /// # async fn example(client: AirtableClient) -> Result<()> {
    /// let base = BaseId::new("appAAAAAAAAAAAAAA")?;
    /// let listing = ListRecords::new(base, TableKey::named("Tasks")?).with_fields(["Name"]);
    /// let records = client.pages(listing).items();
    /// # Ok(())
    /// # }
    /// ```
    pub struct AirtableClient for Airtable::ID;
}

impl AirtableClient {
    /// Sends a write of any number of records in sequential batches of 10. Stops at the first batch
    /// that fails. [`Batches`] contains the number of written records.
    pub async fn send_in_batches<E>(&self, operation: E) -> Batches<E::Output>
    where
        E: BatchEndpoint<Client = Self>,
    {
        let mut outcome = Batches {
            completed: Vec::new(),
            written: 0,
            failure: None,
        };
        for batch in operation.into_batches() {
            let count = batch.count();
            match self.send(&batch).await {
                Ok(output) => outcome.completed.push(output),
                Err(error) => {
                    outcome.failure = Some(BatchFailure { error, count });
                    break;
                }
            }
            outcome.written += count;
        }
        outcome
    }
}
