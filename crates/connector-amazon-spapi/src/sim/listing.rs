//! Lists of reports and feeds, page by page.

use std::collections::BTreeMap;

use connector_sim::Response;
use serde_json::{Value, json};

use super::{Call, invalid};

/// The parameters of a list, and the index of its first entry.
pub(super) struct Listing {
    filter: BTreeMap<String, String>,
    start: usize,
}

impl Listing {
    /// Reads the parameters from the query, or from a page token. The token contains the whole
    /// filter, so other parameters are not allowed next to it.
    pub(super) fn read(call: &Call<'_>) -> Result<Self, Response> {
        let Some(token) = call.get("nextToken") else {
            let filter = call.query.clone();
            return Ok(Self { filter, start: 0 });
        };
        if call.query.len() > 1 {
            return Err(invalid("nextToken must be the only parameter."));
        }
        let token: Option<(BTreeMap<String, String>, usize)> = serde_json::from_str(token).ok();
        let (filter, start) = token.ok_or_else(|| invalid("nextToken is invalid."))?;
        Ok(Self { filter, start })
    }

    /// Returns a parameter.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.filter.get(name).map(String::as_str)
    }

    /// Returns true if the list in this parameter contains `value`, or if there is no list.
    pub(super) fn has(&self, name: &str, value: &str) -> bool {
        self.get(name)
            .is_none_or(|list| list.split(',').any(|it| it == value))
    }

    /// Returns the page size. Default: 10.
    pub(super) fn size(&self) -> usize {
        let size = self.get("pageSize").and_then(|it| it.parse().ok());
        size.unwrap_or(10)
    }

    /// Returns a page of the entries that were found, in the member `name`.
    pub(super) fn answer(
        &self,
        name: &str,
        found: &[usize],
        json: impl Fn(usize) -> Value,
    ) -> Response {
        let end = self.start.saturating_add(self.size());
        let page = found.iter().skip(self.start).take(self.size());
        let page: Vec<Value> = page.map(|at| json(*at)).collect();
        let mut body = json!({ name: page });
        if end < found.len()
            && let Ok(token) = serde_json::to_string(&(&self.filter, end))
        {
            body["nextToken"] = token.into();
        }
        Response::json(200, &body)
    }
}
