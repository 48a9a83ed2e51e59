//! Responses from the static sandbox examples of Amazon's official models.
//!
//! See [Amazon docs: Selling Partner API sandbox](https://developer-docs.amazon.com/sp-api/docs/sp-api-sandbox).
//! Amazon does not publish how the sandbox chooses among matching examples. The simulator prefers
//! the example with the most conditions, then the lowest status, then the first one in the file.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use connector_core::{Error, ErrorKind, Result};
use connector_sim::{Request, Response};
use percent_encoding::percent_decode_str;
use serde_json::{Map, Value};

/// Maximum length of a model, in bytes.
const MAX_LEN: u64 = 32 * 1024 * 1024;
/// Maximum folder depth to search.
const DEPTH: usize = 6;

/// The operations in a directory of models.
#[derive(Debug, Default)]
pub(super) struct Models {
    operations: Vec<Operation>,
}

#[derive(Debug)]
struct Operation {
    method: String,
    path: String,
    parameters: BTreeMap<String, Parameter>,
    examples: Vec<Example>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Parameter {
    Path,
    /// True for a list, false for a single value.
    Query(bool),
    Header,
    Body,
}

#[derive(Debug)]
struct Example {
    status: u16,
    /// A parameter without a value matches any value.
    conditions: Vec<(String, Value)>,
    body: Value,
    headers: Vec<(String, String)>,
}

impl Models {
    /// Reads all models below `directory`.
    pub(super) fn read(directory: &Path) -> Result<Self> {
        let mut files = Vec::new();
        find(directory, DEPTH, &mut files)?;
        files.sort();
        let mut models = Self::default();
        for file in files {
            let length = std::fs::metadata(&file).map_or(0, |it| it.len());
            let text = if length > MAX_LEN {
                return Err(unreadable("a model is longer than 32 MiB"));
            } else {
                std::fs::read(&file)
                    .map_err(|it| unreadable("a model cannot be read").with_source(it))?
            };
            let model: Value = serde_json::from_slice(&text)
                .map_err(|_| unreadable("a file of the models is not JSON"))?;
            models.add(&model);
        }
        if models.operations.is_empty() {
            return Err(unreadable("the directory has no models with operations"));
        }
        Ok(models)
    }

    fn add(&mut self, model: &Value) {
        for (path, item) in members(&model["paths"]) {
            let shared = item["parameters"].as_array().cloned().unwrap_or_default();
            for (method, operation) in members(item) {
                if operation["operationId"].as_str().is_none() {
                    continue;
                }
                let own = operation["parameters"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                let parameters = shared.iter().chain(&own).map(|it| parameter(model, it));
                let mut examples = Vec::new();
                for (status, response) in members(&operation["responses"]) {
                    let Ok(status) = status.parse() else { continue };
                    let found = response["x-amzn-api-sandbox"]["static"].as_array();
                    examples.extend(found.into_iter().flatten().map(|it| example(status, it)));
                }
                self.operations.push(Operation {
                    method: method.to_ascii_uppercase(),
                    path: path.clone(),
                    parameters: parameters.flatten().collect(),
                    examples,
                });
            }
        }
    }

    /// Returns the response of the best matching example.
    pub(super) fn answer(&self, request: &Request) -> Response {
        let none = || {
            let message = "Could not match input arguments";
            super::refused(400, "InvalidInput", message)
        };
        let mut fitting: Vec<&Example> = Vec::new();
        for operation in &self.operations {
            if operation.method != request.method().as_str() {
                continue;
            }
            let Some(arguments) = arguments(&operation.path, request.path()) else {
                continue;
            };
            let all = operation.examples.iter();
            fitting.extend(all.filter(|it| it.fits(operation, &arguments, request)));
        }
        // The sort is stable: equal examples keep their order in the file.
        fitting.sort_by_key(|it| (Reverse(it.conditions.len()), it.status));
        fitting.first().map_or_else(none, |example| {
            let answer = match &example.body {
                Value::Null => Response::new(example.status, "application/json", ""),
                body => Response::json(example.status, body),
            };
            let headers = example.headers.iter();
            headers.fold(answer, |answer, (name, value)| {
                answer.with_header(name, value)
            })
        })
    }
}

impl Example {
    fn fits(
        &self,
        operation: &Operation,
        arguments: &BTreeMap<String, String>,
        request: &Request,
    ) -> bool {
        let is_get = operation.method == "GET";
        self.conditions.iter().all(|(name, wanted)| {
            let known = operation.parameters.get(name);
            match known.unwrap_or(&Parameter::Body) {
                Parameter::Path => arguments.get(name).is_some_and(|it| is_text(wanted, it)),
                Parameter::Header => is_text(wanted, request.header(name)),
                Parameter::Query(is_list) => match (request.query(name), wanted) {
                    (_, Value::Null) => true,
                    (Some(found), Value::Array(wanted)) if *is_list => {
                        let found: Vec<&str> = found.split(',').collect();
                        found.len() == wanted.len()
                            && wanted
                                .iter()
                                .zip(found)
                                .all(|(it, found)| is_text(it, found))
                    }
                    (Some(found), wanted) => is_text(wanted, &found),
                    (None, _) => false,
                },
                // The name `body` refers to the body, whatever its name in the model.
                Parameter::Body => is_get || contains(&request.json(), wanted),
            }
        })
    }
}

/// Returns true if `found` has every member of `wanted`, with an equal value.
fn contains(found: &Value, wanted: &Value) -> bool {
    match wanted {
        Value::Null => true,
        Value::Object(wanted) => wanted.iter().all(|(name, it)| found.get(name) == Some(it)),
        wanted => wanted == found,
    }
}

/// Returns true if a text in a request matches the value of an example.
fn is_text(wanted: &Value, found: &str) -> bool {
    match wanted {
        Value::Null => true,
        Value::String(wanted) => wanted == found,
        Value::Number(wanted) => {
            let found = found.parse::<f64>().ok();
            found.is_some() && found == wanted.as_f64()
        }
        Value::Bool(wanted) => found == wanted.to_string(),
        Value::Array(wanted) if wanted.len() == 1 => is_text(&wanted[0], found),
        _ => false,
    }
}

/// Matches a path against a template and returns the arguments.
pub(super) fn arguments(template: &str, path: &str) -> Option<BTreeMap<String, String>> {
    let (wanted, found) = (template.split('/'), path.split('/'));
    if wanted.clone().count() != found.clone().count() {
        return None;
    }
    let mut arguments = BTreeMap::new();
    for (wanted, found) in wanted.zip(found) {
        match wanted.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
            Some(name) => {
                let value = percent_decode_str(found).decode_utf8_lossy().into_owned();
                arguments.insert(name.to_owned(), value);
            }
            None if wanted == found => {}
            None => return None,
        }
    }
    Some(arguments)
}

fn example(status: u16, example: &Value) -> Example {
    let conditions = members(&example["request"]["parameters"]);
    let conditions = conditions.map(|(name, condition)| {
        let value = match condition.get("value") {
            Some(value) => value.clone(),
            // Some examples have the object there directly.
            None if condition.as_object().is_some_and(|it| !it.is_empty()) => condition.clone(),
            None => Value::Null,
        };
        (name.clone(), value)
    });
    let headers = members(&example["responseHeaders"]);
    let headers = headers.filter_map(|(name, it)| Some((name.clone(), it.as_str()?.to_owned())));
    Example {
        status,
        conditions: conditions.collect(),
        body: example["response"].clone(),
        headers: headers.collect(),
    }
}

fn parameter(model: &Value, parameter: &Value) -> Option<(String, Parameter)> {
    let shared = parameter["$ref"]
        .as_str()
        .and_then(|it| it.strip_prefix('#'));
    let parameter = match shared {
        Some(pointer) => model.pointer(pointer)?,
        None => parameter,
    };
    let kind = match parameter["in"].as_str()? {
        "path" => Parameter::Path,
        "query" => Parameter::Query(parameter["type"] == "array"),
        "header" => Parameter::Header,
        _ => Parameter::Body,
    };
    Some((parameter["name"].as_str()?.to_owned(), kind))
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flat_map(Map::iter)
}

fn find(directory: &Path, depth: usize, files: &mut Vec<PathBuf>) -> Result<()> {
    let unread = |it| unreadable("the directory of models cannot be read").with_source(it);
    for entry in std::fs::read_dir(directory).map_err(unread)? {
        let path = entry.map_err(unread)?.path();
        if path.is_dir() && depth > 0 {
            find(&path, depth - 1, files)?;
        } else if path.extension().is_some_and(|it| it == "json") {
            files.push(path);
        }
    }
    Ok(())
}

fn unreadable(message: &'static str) -> Error {
    Error::new(ErrorKind::Configuration, "amazon.simulator", message)
}
