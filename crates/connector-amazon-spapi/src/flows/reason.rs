//! Failure reasons of jobs.

use connector_core::{ErrorKind, Result};
use serde_json::Value;

use crate::documents::Document;

/// Maximum length of a document with a failure reason, in bytes.
const MAX_LEN: usize = 64 * 1024;

/// Returns the reason from the document of a failed job: its `errorDetails`, else its text. `None`
/// if there is no document or the document is empty.
pub(super) async fn reason(
    opened: impl Future<Output = Result<Document>> + Send,
) -> Result<Option<String>> {
    let text = match opened.await {
        Ok(document) => document.text(MAX_LEN).await?,
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
