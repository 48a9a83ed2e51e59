//! GraphQL over HTTP: encoding of requests, and decoding of responses.

mod document;
mod variables;

use connector_core::api::{Page, PageCursor, Request, Response};
use connector_core::http::limit::Report;
use connector_core::{ErrorKind, Result};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

pub(crate) use self::document::shape;
pub(crate) use self::variables::{MAX_ITEMS, Variables};
use crate::error::{self, GraphqlError};
use crate::limits::Cost;

/// The version of the Admin API for all documents in this crate.
pub(crate) const API_VERSION: &str = "2026-10";
/// The path of the GraphQL endpoint, on the shop's host.
pub(crate) const PATH: [&str; 4] = ["admin", "api", API_VERSION, "graphql.json"];
/// Maximum number of objects that a list can return over all pages. See [Shopify docs: API
/// limits](https://shopify.dev/docs/api/usage/limits).
pub(crate) const MAX_LISTING: usize = 25_000;
/// The header with the API version of the response.
const VERSION_HEADER: &str = "x-shopify-api-version";
/// The header with the reason for a deprecation.
const DEPRECATED_HEADER: &str = "x-shopify-api-deprecated-reason";

#[derive(Serialize)]
struct Body<'a, V> {
    query: &'a str,
    variables: V,
}

/// Returns the request for `document`.
pub(crate) fn request(document: &str, variables: impl Serialize) -> Result<Request> {
    Request::post(PATH)?.json(&Body {
        query: document,
        variables,
    })
}

/// A decoded response whose errors have not been evaluated.
#[derive(Debug)]
pub(crate) struct Answer<T> {
    pub(crate) data: Option<T>,
    pub(crate) errors: Vec<GraphqlError>,
    pub(crate) cost: Option<Cost>,
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct Wire<T> {
    #[serde(default)]
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

/// Checks the headers of a response, independent of its body.
pub(crate) fn look(response: &Response) -> Result<()> {
    if let Some(version) = api_version(response)
        && version != API_VERSION
    {
        tracing::warn!(
            connector = "shopify",
            operation = response.operation(),
            asked = API_VERSION,
            answered = version,
            "the response is from another version of the Admin API; update this library"
        );
    }
    if response.header(DEPRECATED_HEADER).is_some() {
        tracing::warn!(
            connector = "shopify",
            operation = response.operation(),
            "Shopify reports that the operation is deprecated; update this library"
        );
    }
    error::by_status(response)
}

/// Decodes a response with or without errors, and reports its cost.
///
/// # Errors
/// The error for the status, or [`ErrorKind::UnexpectedResponse`] if the response is not GraphQL.
pub(crate) fn read<T: DeserializeOwned>(response: &mut Response) -> Result<Answer<T>> {
    error::by_status(response)?;
    let Wire {
        data,
        errors,
        extensions: Extensions { cost },
    } = match response.json() {
        Ok(wire) => wire,
        Err(_) => without_data(response)?,
    };
    if let Some(cost) = &cost {
        response.report(report(cost));
    }
    Ok(Answer { data, errors, cost })
}

/// Decodes a response whose data has unexpected nulls. If an error caused the null, that error is
/// returned.
fn without_data<T>(response: &mut Response) -> Result<Wire<T>> {
    let Wire {
        errors, extensions, ..
    } = response.json::<Wire<IgnoredAny>>()?;
    if errors.is_empty() {
        if let Some(cost) = &extensions.cost {
            response.report(report(cost));
        }
        return Err(response.error(
            ErrorKind::UnexpectedResponse,
            "a field in Shopify's response is missing or has another type; update this library",
        ));
    }
    Ok(Wire {
        data: None,
        errors,
        extensions,
    })
}

/// Returns the data of a response, with its cost.
///
/// # Errors
/// As for [`read`], and the error for errors in the response.
pub(crate) fn data<T: DeserializeOwned>(response: &mut Response) -> Result<(T, Option<Cost>)> {
    let Answer { data, errors, cost } = read(response)?;
    match data {
        _ if !errors.is_empty() => Err(error::by_code(response, errors, cost.as_ref())),
        Some(data) => Ok((data, cost)),
        None => Err(response.error(
            ErrorKind::UnexpectedResponse,
            "Shopify's response has neither data nor errors",
        )),
    }
}

fn report(cost: &Cost) -> Report {
    let mut report = Report::new();
    if let Some(points) = cost.requested_query_cost {
        report = report.with_requested(points);
    }
    if let Some(points) = cost.actual_query_cost {
        report = report.with_actual(points);
    }
    if let Some(status) = cost.throttle_status {
        report = report
            .with_available(status.currently_available)
            .with_capacity(status.maximum_available)
            .with_rate(status.restore_rate);
    }
    report
}

/// One page of a connection, as in the response.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection<T> {
    pub(crate) nodes: Vec<T>,
    page_info: PageInfo,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageInfo {
    has_next_page: bool,
    end_cursor: Option<String>,
}

impl<T> Connection<T> {
    /// Returns the cursor of the next page, if the connection continues.
    pub(crate) fn next(&self) -> Option<PageCursor> {
        let cursor = self.page_info.end_cursor.as_ref();
        let cursor = cursor.filter(|_| self.page_info.has_next_page);
        cursor.map(PageCursor::new)
    }

    /// Returns the page with the cursor of the next page.
    pub(crate) fn into_page(self, response: &Response) -> Result<Page<T>> {
        let PageInfo {
            has_next_page,
            end_cursor,
        } = self.page_info;
        match (has_next_page, end_cursor) {
            (false, _) => Ok(Page::new(self.nodes, None)),
            (true, Some(cursor)) => Ok(Page::new(self.nodes, Some(PageCursor::new(cursor)))),
            (true, None) => Err(response.error(
                ErrorKind::UnexpectedResponse,
                "Shopify reports more results but returned no cursor; report it",
            )),
        }
    }
}

/// Returns the API version of the response.
pub(crate) fn api_version(response: &Response) -> Option<&str> {
    let is_version = |text: &&str| {
        text.len() <= 16 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    response.header(VERSION_HEADER).filter(is_version)
}
