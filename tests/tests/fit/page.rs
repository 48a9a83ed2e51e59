//! Compares the page `docs/providers/fit.md` with the descriptions.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{PROVIDERS, Row};

const PAGE: &str = include_str!("../../../docs/providers/fit.md");
const AREAS: [&str; 6] = [
    "connect",
    "renew",
    "limits",
    "verify",
    "subscriptions",
    "api",
];

/// One row of a provider's table.
struct Entry {
    area: String,
    deviation: String,
    expressed_by: String,
}

/// Returns the tables, keyed by the heading before each table.
fn tables() -> BTreeMap<String, Vec<Entry>> {
    let mut tables: BTreeMap<String, Vec<Entry>> = BTreeMap::new();
    let mut provider = None;
    for line in PAGE.lines() {
        if let Some(heading) = line.strip_prefix("## ") {
            provider = heading
                .strip_prefix('`')
                .and_then(|it| it.strip_suffix('`'));
            if let Some(name) = provider {
                tables.insert(name.to_owned(), Vec::new());
            }
            continue;
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (Some(name), ["", area, deviation, expressed_by, _, ""]) = (provider, &cells[..])
        else {
            assert!(
                provider.is_none() || !line.starts_with('|'),
                "a row has another form: {line}"
            );
            continue;
        };
        if *area == "Area" || area.starts_with("---") {
            continue;
        }
        tables.entry(name.to_owned()).or_default().push(Entry {
            area: (*area).to_owned(),
            deviation: (*deviation).to_owned(),
            expressed_by: (*expressed_by).to_owned(),
        });
    }
    tables
}

/// Returns the texts in code spans after the word `kind` in a cell, as in "data `a`, `b`; hook
/// `c`".
fn named<'e>(expressed_by: &'e str, kind: &str) -> Vec<&'e str> {
    let parts = expressed_by.split(';').map(str::trim);
    let parts = parts.filter(|part| part.split(' ').next() == Some(kind));
    parts
        .flat_map(|part| part.split('`').skip(1).step_by(2))
        .collect()
}

/// Returns true if the description has a value at this path. The path selects members by name and
/// list elements by `name` or `code`. A text at the end of the path matches itself.
fn has(value: &Value, path: &str) -> bool {
    match path.split_once('.') {
        None => !step(value, path).is_empty(),
        Some((first, rest)) => step(value, first).iter().any(|it| has(it, rest)),
    }
}

fn step(value: &Value, segment: &str) -> Vec<Value> {
    match value {
        Value::Object(members) => members.get(segment).cloned().into_iter().collect(),
        Value::Array(elements) => {
            let is = |it: &&Value| {
                ["name", "code"].iter().any(|key| it[*key] == segment) || **it == segment
            };
            let named: Vec<Value> = elements.iter().filter(is).cloned().collect();
            if named.is_empty() {
                elements.iter().flat_map(|it| step(it, segment)).collect()
            } else {
                named
            }
        }
        Value::String(text) if text == segment => vec![value.clone()],
        _ => Vec::new(),
    }
}

fn row(name: &str) -> &'static Row {
    let row = PROVIDERS.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("the page describes {name}, and there is no {name}.json"))
}

#[test]
fn the_page_has_a_table_for_each_description_and_no_other() {
    let tables = tables();
    let names: BTreeSet<&str> = tables.keys().map(String::as_str).collect();
    let files: BTreeSet<&str> = PROVIDERS.iter().map(|row| row.name).collect();
    assert_eq!(names, files);
    let mut entries = 0;
    for (name, table) in &tables {
        for area in AREAS {
            let count = table.iter().filter(|it| it.area == area).count();
            assert!(count > 0, "{name}: nothing is said about {area}");
        }
        for entry in table {
            assert!(AREAS.contains(&&*entry.area), "{name}: {}", entry.area);
            entries += 1;
        }
    }
    println!("tables of the page: {}, entries: {entries}", tables.len());
    assert!(entries >= 16 * AREAS.len());
}

#[test]
fn every_deviation_is_expressed_by_data_a_hook_or_built_in_code() {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, table) in &tables() {
        for entry in table {
            let what = format!("{name}, {}: {}", entry.area, entry.deviation);
            for part in entry.expressed_by.split(';').map(str::trim) {
                let kind = part.split([' ', ':']).next().unwrap_or_default();
                let known = ["data", "hook", "built-in", "not", "cannot"];
                assert!(known.contains(&kind), "{what}: expressed by {part:?}");
                let is_core_area = !matches!(&*entry.area, "subscriptions" | "api");
                assert!(!(is_core_area && kind == "cannot"), "{what}: cannot");
                let known = known.iter().find(|it| **it == kind).unwrap();
                *counts.entry(known).or_default() += 1;
            }
        }
    }
    println!("deviations by what expresses them: {counts:?}");
    for kind in ["data", "hook", "built-in"] {
        assert!(counts.get(kind).is_some_and(|it| *it > 0), "none by {kind}");
    }
}

#[test]
fn every_field_that_the_page_names_is_in_the_description() {
    let mut checked = 0;
    for (name, table) in &tables() {
        let description: Value = serde_json::from_str(row(name).text).unwrap();
        for entry in table {
            for path in named(&entry.expressed_by, "data") {
                assert!(
                    has(&description, path),
                    "{name}, {}: the description has no `{path}`",
                    entry.deviation
                );
                checked += 1;
            }
        }
    }
    println!("fields that the page names and the descriptions have: {checked}");
    assert!(checked > 100);
}

#[test]
fn the_hooks_of_the_page_are_those_of_the_table() {
    let connector = include_str!("../../../crates/connector-core/src/provider/connector.rs");
    let mut hooks = 0;
    for (name, table) in &tables() {
        let named: BTreeSet<&str> = table
            .iter()
            .flat_map(|entry| named(&entry.expressed_by, "hook"))
            .collect();
        let wanted: BTreeSet<&str> = row(name).hooks.iter().copied().collect();
        assert_eq!(named, wanted, "{name}");
        for hook in &wanted {
            let declared = format!("    fn {hook}(");
            let is_declared = connector.contains(&declared)
                || connector.contains(&declared.replace("fn ", "async fn "));
            assert!(is_declared, "{name}: `Connector` has no hook {hook}");
        }
        hooks += wanted.len();
    }
    println!("hooks that the sixteen need: {hooks}");
    assert!(hooks > 0);
}
