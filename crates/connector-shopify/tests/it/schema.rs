//! A validator of GraphQL documents with an introspection result: fields, arguments, variables,
//! selections, deprecations.

use std::collections::HashMap;
use std::io::Read;
use std::path::PathBuf;

use flate2::read::GzDecoder;
use graphql_parser::query::{
    Definition, Field, OperationDefinition, Selection, SelectionSet, Type, Value as Literal,
};
use serde_json::Value;

pub(crate) struct Schema {
    types: HashMap<String, Value>,
    query: String,
    mutation: String,
}

type Variables = HashMap<String, String>;

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
        let schema = &whole["data"]["__schema"];
        let types = schema["types"].as_array().unwrap();
        let name = |value: &Value| value["name"].as_str().unwrap().to_owned();
        Some(Self {
            types: types.iter().map(|it| (name(it), it.clone())).collect(),
            query: name(&schema["queryType"]),
            mutation: name(&schema["mutationType"]),
        })
    }

    /// Validates a document, and returns the number of its fields and arguments.
    pub(crate) fn check(&self, text: &str) -> Result<usize, String> {
        let document = graphql_parser::parse_query::<String>(text).map_err(|e| e.to_string())?;
        let [Definition::Operation(operation)] = &document.definitions[..] else {
            return Err("not exactly one operation".to_owned());
        };
        let (root, selection, declared) = match operation {
            OperationDefinition::Query(it) => {
                (&self.query, &it.selection_set, &it.variable_definitions[..])
            }
            OperationDefinition::Mutation(it) => (
                &self.mutation,
                &it.selection_set,
                &it.variable_definitions[..],
            ),
            OperationDefinition::SelectionSet(it) => (&self.query, it, &[][..]),
            OperationDefinition::Subscription(_) => return Err("a subscription".to_owned()),
        };
        let variables = declared
            .iter()
            .map(|it| (it.name.clone(), written(&it.var_type)))
            .collect();
        self.selection(root, selection, &variables)
    }

    fn selection(
        &self,
        type_name: &str,
        selection: &SelectionSet<'_, String>,
        variables: &Variables,
    ) -> Result<usize, String> {
        let mut count = 0;
        for item in &selection.items {
            let Selection::Field(field) = item else {
                return Err("a fragment".to_owned());
            };
            count += self.field(type_name, field, variables)?;
        }
        Ok(count)
    }

    fn field(
        &self,
        type_name: &str,
        field: &Field<'_, String>,
        variables: &Variables,
    ) -> Result<usize, String> {
        let place = format!("{type_name}.{}", field.name);
        let fields = self.types[type_name]["fields"].as_array();
        let known = fields
            .and_then(|fields| fields.iter().find(|it| it["name"] == field.name.as_str()))
            .ok_or_else(|| format!("{place} does not exist"))?;
        if known["isDeprecated"] == true {
            return Err(format!("{place} is deprecated"));
        }
        let arguments = known["args"].as_array().unwrap();
        for (name, value) in &field.arguments {
            let argument = arguments
                .iter()
                .find(|it| it["name"] == name.as_str())
                .ok_or_else(|| format!("{place} has no argument {name}"))?;
            let wanted = declared(&argument["type"]);
            if let Literal::Variable(variable) = value {
                let given = variables
                    .get(variable)
                    .ok_or_else(|| format!("${variable} is not declared"))?;
                if given.trim_end_matches('!') != wanted.trim_end_matches('!')
                    || (wanted.ends_with('!') && !given.ends_with('!'))
                {
                    return Err(format!("{place}({name}:) wants {wanted}, not {given}"));
                }
            }
        }
        for argument in arguments {
            let is_given = field
                .arguments
                .iter()
                .any(|(name, _)| argument["name"] == name.as_str());
            let is_required =
                argument["type"]["kind"] == "NON_NULL" && argument["defaultValue"].is_null();
            if is_required && !is_given {
                return Err(format!("{place} misses the argument {}", argument["name"]));
            }
        }
        let inner = declared(&known["type"]).replace(['[', ']', '!'], "");
        let kind = self.types[&inner]["kind"].as_str().unwrap();
        let is_leaf = matches!(kind, "SCALAR" | "ENUM");
        if is_leaf != field.selection_set.items.is_empty() {
            return Err(format!("{place} is a {kind}: wrong selection"));
        }
        let below = self.selection(&inner, &field.selection_set, variables)?;
        Ok(1 + field.arguments.len() + below)
    }
}

/// Returns an introspected type in document syntax.
fn declared(value: &Value) -> String {
    match value["kind"].as_str().unwrap() {
        "NON_NULL" => format!("{}!", declared(&value["ofType"])),
        "LIST" => format!("[{}]", declared(&value["ofType"])),
        _ => value["name"].as_str().unwrap().to_owned(),
    }
}

fn written(value: &Type<'_, String>) -> String {
    match value {
        Type::NamedType(name) => name.clone(),
        Type::ListType(inner) => format!("[{}]", written(inner)),
        Type::NonNullType(inner) => format!("{}!", written(inner)),
    }
}
