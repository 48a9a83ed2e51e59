//! The reasons of failed jobs.

use connector_core::{ErrorKind, Result};
use serde_json::Value;

use crate::documents::Document;

/// The longest document with the reason of a failure, in bytes.
const LONGEST: usize = 64 * 1024;

/// The reason in the document of a failed job: its `errorDetails`, else its text. `None` if there is
/// no document or no text.
pub(super) async fn reason(
    opened: impl Future<Output = Result<Document>> + Send,
) -> Result<Option<String>> {
    let text = match opened.await {
        Ok(document) => document.text(LONGEST).await?,
        Err(error) if error.kind() == ErrorKind::ProviderNotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let json: Value = serde_json::from_str(&text).unwrap_or_default();
    let details = match &json["errorDetails"] {
        Value::String(details) => details.clone(),
        Value::Null => text,
        details => details.to_string(),
    };
    Ok(Some(details).filter(|it| !it.trim().is_empty()))
}
