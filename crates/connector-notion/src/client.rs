//! The typed API client.

use crate::Notion;

connector_core::provider::provider_client! {
    /// A client for the REST API, for one connection. The client can access the pages that the user
    /// shared.
    ///
    /// ```no_run
    /// # use connector_core::Result;
    /// use connector_notion::NotionClient;
    /// use connector_notion::endpoints::QueryDataSource;
    /// use connector_notion::models::{DataSourceId, Filter};
    /// # async fn example(client: NotionClient, tasks: DataSourceId) -> Result<()> {
    /// let open = Filter::status("Status").does_not_equal("Done");
    /// let rows = client.pages(QueryDataSource::new(tasks).with_filter(open)).items();
    /// # Ok(())
    /// # }
    /// ```
    pub struct NotionClient for Notion::ID;
}
