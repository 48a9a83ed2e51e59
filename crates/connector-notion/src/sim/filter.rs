//! Filters and sorts of queries.

use std::cmp::Ordering;

use connector_sim::Response;
use serde_json::Value;

use super::api::invalid;
use super::world::plain;

/// Returns true if a page matches a filter.
pub(super) fn holds(page: &Value, filter: &Value) -> Result<bool, Response> {
    for (group, all) in [("and", true), ("or", false)] {
        if let Some(filters) = filter[group].as_array() {
            for filter in filters {
                if holds(page, filter)? != all {
                    return Ok(!all);
                }
            }
            return Ok(all);
        }
    }
    if let Some(name) = filter["timestamp"].as_str() {
        return compare(&page[name], &filter[name]);
    }
    let unknown = || invalid("the filter refers to a property that does not exist");
    let name = filter["property"].as_str().ok_or_else(unknown)?;
    let property = page["properties"].as_object().and_then(|it| {
        it.get(name)
            .or_else(|| it.values().find(|it| it["id"] == name))
    });
    let property = property.ok_or_else(unknown)?;
    let kind = property["type"].as_str().unwrap_or_default();
    let condition = filter
        .get(kind)
        .ok_or_else(|| invalid("the filter's type differs from the property's type"))?;
    let value = match kind {
        "title" | "rich_text" => Value::String(plain(&property[kind])),
        "select" | "status" => property[kind]["name"].clone(),
        "date" => property[kind]["start"].clone(),
        _ => property[kind].clone(),
    };
    compare(&value, condition)
}

fn compare(value: &Value, condition: &Value) -> Result<bool, Response> {
    let wrong = || invalid("the filter has no operator");
    let (operator, wanted) = condition
        .as_object()
        .and_then(|it| it.iter().next())
        .ok_or_else(wrong)?;
    let is_empty = match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    let contains = || match (value, wanted.as_str()) {
        (Value::String(text), Some(wanted)) => text.contains(wanted),
        (Value::Array(items), Some(wanted)) => items
            .iter()
            .any(|it| it["name"] == wanted || it["id"] == wanted),
        _ => false,
    };
    let order = || order(value, wanted);
    Ok(match operator.as_str() {
        "equals" => order() == Some(Ordering::Equal),
        "does_not_equal" => order() != Some(Ordering::Equal),
        "contains" => contains(),
        "does_not_contain" => !contains(),
        "starts_with" => value
            .as_str()
            .zip(wanted.as_str())
            .is_some_and(|(v, w)| v.starts_with(w)),
        "ends_with" => value
            .as_str()
            .zip(wanted.as_str())
            .is_some_and(|(v, w)| v.ends_with(w)),
        "greater_than" | "after" => order() == Some(Ordering::Greater),
        "less_than" | "before" => order() == Some(Ordering::Less),
        "greater_than_or_equal_to" | "on_or_after" => order().is_some_and(Ordering::is_ge),
        "less_than_or_equal_to" | "on_or_before" => order().is_some_and(Ordering::is_le),
        "is_empty" => is_empty,
        "is_not_empty" => !is_empty,
        _ => return Err(invalid("the filter has an unknown operator")),
    })
}

/// Compares two values of the same type. A date without a time counts as the start of the day.
fn order(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::String(a), Value::String(b)) => Some(a.cmp(b)),
        (Value::Number(a), Value::Number(b)) => a.as_f64()?.partial_cmp(&b.as_f64()?),
        (a, b) => (a == b).then_some(Ordering::Equal),
    }
}

/// Sorts pages by the criteria of a request, with the most important criterion first.
pub(super) fn sort(pages: &mut [&Value], sorts: &Value) {
    // The sort is stable, so apply the least important criterion first.
    for sort in sorts.as_array().into_iter().flatten().rev() {
        let value = |page: &Value| match (sort["timestamp"].as_str(), sort["property"].as_str()) {
            (Some(name), _) => page[name].as_str().unwrap_or_default().to_owned(),
            (_, Some(name)) => {
                let property = &page["properties"][name];
                let kind = property["type"].as_str().unwrap_or_default();
                match kind {
                    "title" | "rich_text" => plain(&property[kind]),
                    _ => property[kind].to_string(),
                }
            }
            _ => String::new(),
        };
        if sort["direction"] == "descending" {
            pages.sort_by_cached_key(|page| std::cmp::Reverse(value(page)));
        } else {
            pages.sort_by_cached_key(|page| value(page));
        }
    }
}
