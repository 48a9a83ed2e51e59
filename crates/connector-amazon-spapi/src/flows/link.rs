//! Presigned URLs of documents.

use connector_core::provider::Endpoint;
use connector_core::{ErrorKind, Result};

use crate::AmazonClient;

/// Requests a presigned URL with `operation` and passes the response to `send`. If the URL has
/// expired, requests one new URL.
///
/// # Errors
/// Those of the operation and of `send`.
pub(super) async fn with_link<E, T, F>(
    client: &AmazonClient,
    operation: &E,
    send: impl Fn(E::Output) -> F + Send + Sync,
) -> Result<T>
where
    E: Endpoint<Client = AmazonClient>,
    F: Future<Output = Result<T>>,
{
    let mut is_first = true;
    loop {
        let place = client.send(operation).await?;
        // Boxed, because the future of a transfer is large.
        match Box::pin(send(place)).await {
            Err(error) if error.kind() == ErrorKind::Forbidden && is_first => is_first = false,
            outcome => return outcome,
        }
    }
}
