//! Shopify's official schema: validates documents and variables, and generates responses.

use std::fmt::Write as _;
use std::io::Read;
use std::path::PathBuf;

use apollo_compiler::ast::Type;
use apollo_compiler::executable::{Field, Operation, Selection, SelectionSet};
use apollo_compiler::request::coerce_variable_values;
use apollo_compiler::response::JsonMap;
use apollo_compiler::schema::ExtendedType;
use apollo_compiler::validation::Valid;
use apollo_compiler::{ExecutableDocument, Schema as Definitions};
use flate2::read::GzDecoder;
use serde_json::{Map, Value, json};

pub(crate) struct Schema(Valid<Definitions>);

/// The form of a generated response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Every field has a value.
    Full,
    /// Every field that may be null is null.
    Null,
    /// Every field has a value, enumerations have unknown values, and objects have unknown fields.
    Later,
}

impl Schema {
    /// Reads the schema from the folder `CONNECTORS_ORACLES`, if the variable is set.
    #[expect(
        clippy::disallowed_methods,
        reason = "tests are told where the schema is"
    )]
    pub(crate) fn load() -> Option<Self> {
        let folder = PathBuf::from(std::env::var("CONNECTORS_ORACLES").ok()?);
        let packed = std::fs::read(folder.join("shopify/admin_2026-04.json.gz")).ok()?;
        let mut text = String::new();
        GzDecoder::new(&packed[..])
            .read_to_string(&mut text)
            .unwrap();
        let whole: Value = serde_json::from_str(&text).unwrap();
        let language = definition_language(&whole["data"]["__schema"]);
        let parsed = Definitions::parse(language, "admin.graphql").unwrap();
        // Shopify publishes the schema, so it is not checked itself.
        Some(Self(Valid::assume_valid(parsed)))
    }

    /// Validates a document, and returns the number of its fields.
    pub(crate) fn check(&self, text: &str) -> Result<usize, String> {
        let document = self.parse(text)?;
        let operation = only(&document);
        let mut count = 0;
        for field in operation.all_fields(&document) {
            if field.definition.directives.has("deprecated") {
                return Err(format!("{} is deprecated", field.name));
            }
            for argument in &field.arguments {
                let known = field.definition.argument_by_name(&argument.name);
                if known.is_some_and(|it| it.directives.has("deprecated")) {
                    return Err(format!("{}({}:) is deprecated", field.name, argument.name));
                }
            }
            count += 1;
        }
        Ok(count)
    }

    fn parse(&self, text: &str) -> Result<Valid<ExecutableDocument>, String> {
        ExecutableDocument::parse_and_validate(&self.0, text, "document.graphql")
            .map_err(|error| error.errors.to_string())
    }

    /// Checks the variables of a document.
    pub(crate) fn check_variables(&self, text: &str, variables: &Value) -> Result<usize, String> {
        let document = self.parse(text)?;
        let given: JsonMap = serde_json::from_value(variables.clone()).unwrap();
        let declared = &only(&document).variables;
        if let Some((name, _)) = given
            .iter()
            .find(|(name, _)| declared.iter().all(|it| it.name.as_str() != name.as_str()))
        {
            return Err(format!("${} is not declared", name.as_str()));
        }
        coerce_variable_values(&self.0, only(&document), &given)
            .map_err(|error| format!("{error:?}"))?;
        Ok(given.len())
    }

    /// Returns the data of a successful response.
    pub(crate) fn answer(&self, text: &str, form: Form) -> Value {
        let document = self.parse(text).unwrap();
        let operation = only(&document);
        let kept = if operation.is_mutation() { 2 } else { 1 };
        self.object(&document, &operation.selection_set, form, kept)
    }

    fn object(
        &self,
        document: &ExecutableDocument,
        selections: &SelectionSet,
        form: Form,
        kept: usize,
    ) -> Value {
        let mut object = Map::new();
        self.add(document, selections, form, kept, &mut object);
        if form == Form::Later {
            object.insert("aLaterField".to_owned(), json!({ "x": [1, null] }));
        }
        Value::Object(object)
    }

    fn add(
        &self,
        document: &ExecutableDocument,
        selections: &SelectionSet,
        form: Form,
        kept: usize,
        object: &mut Map<String, Value>,
    ) {
        for selection in &selections.selections {
            match selection {
                Selection::Field(field) => {
                    let value = self.value(document, field, &selections.ty, form, kept);
                    object.insert(field.response_key().to_string(), value);
                }
                Selection::FragmentSpread(spread) => {
                    let fragment = &document.fragments[&spread.fragment_name];
                    self.add(document, &fragment.selection_set, form, kept, object);
                }
                // The first of several types.
                Selection::InlineFragment(inline) if !object.contains_key("id") => {
                    self.add(document, &inline.selection_set, form, kept, object);
                }
                Selection::InlineFragment(_) => {}
            }
        }
    }

    fn value(
        &self,
        document: &ExecutableDocument,
        field: &Field,
        parent: &str,
        form: Form,
        kept: usize,
    ) -> Value {
        if field.response_key().as_str() == "userErrors" {
            return json!([]);
        }
        let below = kept.saturating_sub(1);
        of_type(&field.definition.ty, form, kept, &|name, form| {
            match &self.0.types[name] {
                // A last page, because the cursor of the next one is null.
                ExtendedType::Scalar(_) if form == Form::Null && field.name == "hasNextPage" => {
                    json!(false)
                }
                ExtendedType::Scalar(_) => scalar(name, parent, &field.name),
                ExtendedType::Enum(_) if form == Form::Later => json!("A_LATER_VALUE"),
                ExtendedType::Enum(known) => json!(known.values.keys().next().unwrap().as_str()),
                _ => self.object(document, &field.selection_set, form, below),
            }
        })
    }
}

fn of_type(of: &Type, form: Form, kept: usize, leaf: &dyn Fn(&str, Form) -> Value) -> Value {
    match of {
        Type::Named(_) | Type::List(_) if form == Form::Null && kept == 0 => Value::Null,
        Type::Named(name) | Type::NonNullNamed(name) => leaf(name, form),
        Type::List(item) | Type::NonNullList(item) => {
            let item = of_type(item, form, kept, leaf);
            json!([item.clone(), item])
        }
    }
}

fn only(document: &ExecutableDocument) -> &Operation {
    document.operations.iter().next().unwrap()
}

fn scalar(name: &str, parent: &str, field: &str) -> Value {
    match name {
        "ID" => {
            let of = field.strip_suffix("Id").filter(|it| !it.is_empty());
            let of = of.map(|it| it[..1].to_uppercase() + &it[1..]);
            json!(format!(
                "gid://shopify/{}/9007199254740993",
                of.as_deref().unwrap_or(parent)
            ))
        }
        "Int" => json!(-7),
        "Float" => json!(1.5),
        "Boolean" => json!(true),
        "DateTime" => json!("2026-11-20T12:00:00Z"),
        "URL" => json!("https://cdn.shopify.example/x?y=z"),
        "Money" | "Decimal" => json!("10.50"),
        "UnsignedInt64" => json!("18446744073709551615"),
        "JSON" => json!({ "any": [1] }),
        _ => json!("a text / & ü"),
    }
}

/// Returns an introspection result in schema definition language.
#[expect(clippy::format_collect, reason = "the schema is written once")]
fn definition_language(schema: &Value) -> String {
    let mut text = String::new();
    let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
    let all = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let root = |kind: &str| schema[kind]["name"].as_str().unwrap();
    writeln!(
        text,
        "schema {{ query: {} mutation: {} }}",
        root("queryType"),
        root("mutationType")
    )
    .unwrap();
    let deprecated = |it: &Value| {
        if it["isDeprecated"] == true {
            " @deprecated"
        } else {
            ""
        }
    };
    let inputs = |list: &Value| -> String {
        all(list)
            .iter()
            .map(|it| {
                let default = it["defaultValue"].as_str();
                let default = default.map_or(String::new(), |it| format!(" = {it}"));
                let (name, of) = (name(it), written(&it["type"]));
                format!("{name}: {of}{default}{} ", deprecated(it))
            })
            .collect()
    };
    for definition in all(&schema["types"]) {
        let own = name(&definition);
        if own.starts_with("__") || ["Int", "Float", "String", "Boolean", "ID"].contains(&&*own) {
            continue;
        }
        let members =
            |key: &str| -> Vec<String> { all(&definition[key]).iter().map(name).collect() };
        let line = match definition["kind"].as_str().unwrap() {
            "SCALAR" => format!("scalar {own}"),
            "UNION" => format!("union {own} = {}", members("possibleTypes").join(" | ")),
            "ENUM" => format!("enum {own} {{ {} }}", members("enumValues").join(" ")),
            "INPUT_OBJECT" => format!("input {own} {{ {}}}", inputs(&definition["inputFields"])),
            kind => {
                let word = if kind == "OBJECT" {
                    "type"
                } else {
                    "interface"
                };
                let implemented = members("interfaces").join(" & ");
                let implements = if implemented.is_empty() {
                    String::new()
                } else {
                    format!(" implements {implemented}")
                };
                let fields: String = all(&definition["fields"])
                    .iter()
                    .map(|it| {
                        let arguments = inputs(&it["args"]);
                        let arguments = if arguments.is_empty() {
                            String::new()
                        } else {
                            format!("({arguments})")
                        };
                        let (name, of) = (name(it), written(&it["type"]));
                        format!("{name}{arguments}: {of}{} ", deprecated(it))
                    })
                    .collect();
                format!("{word} {own}{implements} {{ {fields}}}")
            }
        };
        writeln!(text, "{line}").unwrap();
    }
    for directive in all(&schema["directives"]) {
        let own = name(&directive);
        if ["skip", "include", "deprecated", "specifiedBy", "oneOf"].contains(&&*own) {
            continue;
        }
        let arguments = inputs(&directive["args"]);
        let arguments = if arguments.is_empty() {
            String::new()
        } else {
            format!("({arguments})")
        };
        let places: Vec<String> = all(&directive["locations"])
            .iter()
            .map(|it| it.as_str().unwrap().to_owned())
            .collect();
        writeln!(
            text,
            "directive @{own}{arguments} on {}",
            places.join(" | ")
        )
        .unwrap();
    }
    text
}

/// Returns an introspected type in document syntax.
fn written(value: &Value) -> String {
    match value["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", written(&value["ofType"])),
        "LIST" => format!("[{}]", written(&value["ofType"])),
        _ => value["name"].as_str().unwrap().to_owned(),
    }
}
