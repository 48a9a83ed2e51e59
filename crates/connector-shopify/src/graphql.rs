//! GraphQL over HTTP: what a request's body is, and how an answer is read.

use bytes::Bytes;
use connector_core::{Error, ErrorKind, Result};
use http::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::error::{self, GraphqlError};
use crate::limits::Cost;

/// The version of the Admin API that every document here is written for.
pub(crate) const API_VERSION: &str = "2026-10";
/// The path of the GraphQL endpoint, on the shop's host.
pub(crate) const PATH: &str = "/admin/api/2026-10/graphql.json";
/// The header that carries the access token.
pub(crate) const TOKEN_HEADER: &str = "x-shopify-access-token";
/// The header that names the version that answered.
const VERSION_HEADER: &str = "x-shopify-api-version";

/// The body that asks for `document`.
pub(crate) fn body(document: &str, variables: &Value) -> Bytes {
    Bytes::from(json!({ "query": document, "variables": variables }).to_string())
}

/// An answer, read but not judged.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) data: Option<T>,
    pub(crate) errors: Vec<GraphqlError>,
    pub(crate) cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(bound = "T: DeserializeOwned")]
struct Wire<T> {
    data: Option<T>,
    #[serde(default)]
    errors: Vec<GraphqlError>,
    #[serde(default)]
    extensions: Extensions,
}

#[derive(Default, Deserialize)]
struct Extensions {
    #[serde(default)]
    cost: Option<Cost>,
}

/// Reads an answer, whatever errors it has inside.
///
/// # Errors
/// What the status means, or [`ErrorKind::UnexpectedAnswer`] if it is not GraphQL.
pub(crate) fn read<T: DeserializeOwned>(
    operation: &'static str,
    response: &http::Response<Bytes>,
) -> Result<Answer<T>> {
    if let Some(error) = error::by_status(operation, response) {
        return Err(error);
    }
    let headers = response.headers();
    if let Some(version) = api_version(headers)
        && version != API_VERSION
    {
        tracing::warn!(
            provider = "shopify",
            operation,
            asked = API_VERSION,
            answered = version,
            "another version of the Admin API answered; update this library"
        );
    }
    // The parser's own error may quote the body, so it is dropped. Data comes second: a field that
    // is null because of an error must not hide that error.
    let bare: Wire<Value> = serde_json::from_slice(response.body()).map_err(|_| {
        unreadable(operation, headers, "Shopify's answer is not a GraphQL answer")
    })?;
    let Wire {
        data,
        errors,
        extensions: Extensions { cost },
    } = bare;
    let data = match data.filter(|data| !data.is_null()) {
        None => None,
        Some(data) => match T::deserialize(data) {
            Ok(data) => Some(data),
            Err(_) if !errors.is_empty() => None,
            Err(_) => {
                return Err(unreadable(
                    operation,
                    headers,
                    "Shopify's answer misses a field that it promised, or has another type",
                ));
            }
        },
    };
    Ok(Answer { data, errors, cost })
}

/// Reads the data of an answer, with what it cost.
///
/// # Errors
/// As for [`read`], and what the errors inside the answer mean.
pub(crate) fn data<T: DeserializeOwned>(
    operation: &'static str,
    response: &http::Response<Bytes>,
) -> Result<(T, Option<Cost>)> {
    let Answer { data, errors, cost } = read(operation, response)?;
    let headers = response.headers();
    match data {
        _ if !errors.is_empty() => {
            Err(error::by_code(operation, headers, errors, cost.as_ref()))
        }
        Some(data) => Ok((data, cost)),
        None => Err(unreadable(
            operation,
            headers,
            "Shopify's answer has neither data nor errors",
        )),
    }
}

/// The version of the API that answered.
pub(crate) fn api_version(headers: &HeaderMap) -> Option<&str> {
    let text = headers.get(VERSION_HEADER)?.to_str().ok()?;
    let is_version = |text: &&str| {
        text.len() <= 16 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    Some(text).filter(is_version)
}

fn unreadable(operation: &'static str, headers: &HeaderMap, message: &'static str) -> Error {
    error::error(ErrorKind::UnexpectedAnswer, operation, message, headers)
}
