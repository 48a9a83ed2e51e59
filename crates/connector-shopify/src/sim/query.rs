//! An executor of GraphQL documents on JSON data: selections, aliases, fragments, variables,
//! pagination.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use graphql_parser::query::{
    Definition, Document, FragmentDefinition, OperationDefinition, Selection, SelectionSet,
};
use serde_json::{Map, Number, Value, json};

use super::data::CONNECTION;

type Ast<'a> = Document<'a, String>;
type Field<'a> = graphql_parser::query::Field<'a, String>;

/// Maximum page size.
const MAX_PAGE: u64 = 250;

/// An error of one field, in Shopify's format.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) message: String,
    pub(super) code: &'static str,
}

impl Refusal {
    pub(super) fn new(message: impl Into<String>, code: &'static str) -> Self {
        Self {
            message: message.into(),
            code,
        }
    }

    pub(super) fn to_json(&self) -> Value {
        json!({ "message": self.message, "extensions": { "code": self.code } })
    }
}

/// One operation with its arguments.
pub(super) struct Query<'a> {
    pub(super) is_mutation: bool,
    selection: SelectionSet<'a, String>,
    fragments: BTreeMap<String, FragmentDefinition<'a, String>>,
    variables: Map<String, Value>,
}

impl<'a> Query<'a> {
    pub(super) fn parse(text: &'a str, variables: Map<String, Value>) -> Result<Self, Refusal> {
        let document: Ast<'a> = graphql_parser::parse_query(text)
            .map_err(|_| Refusal::new("the document cannot be parsed", "parseError"))?;
        let mut operations = Vec::new();
        let mut fragments = BTreeMap::new();
        for definition in document.definitions {
            match definition {
                Definition::Fragment(fragment) => {
                    fragments.insert(fragment.name.clone(), fragment);
                }
                Definition::Operation(operation) => operations.push(operation),
            }
        }
        let only = operations.pop().filter(|_| operations.is_empty());
        let (is_mutation, selection, declared) = match only {
            Some(OperationDefinition::Query(query)) => {
                (false, query.selection_set, query.variable_definitions)
            }
            Some(OperationDefinition::Mutation(mutation)) => {
                (true, mutation.selection_set, mutation.variable_definitions)
            }
            Some(OperationDefinition::SelectionSet(selection)) => (false, selection, Vec::new()),
            _ => {
                return Err(Refusal::new(
                    "the document must have exactly one operation",
                    "invalidOperation",
                ));
            }
        };
        for variable in declared {
            let is_required = matches!(
                variable.var_type,
                graphql_parser::query::Type::NonNullType(_)
            ) && variable.default_value.is_none();
            let value = variables.get(&variable.name).unwrap_or(&Value::Null);
            if is_required && value.is_null() {
                return Err(Refusal::new(
                    format!("Variable ${} is required", variable.name),
                    "INVALID_VARIABLE",
                ));
            }
        }
        Ok(Self {
            is_mutation,
            selection,
            fragments,
            variables,
        })
    }

    /// Returns the root fields.
    pub(super) fn roots(&self) -> Result<Vec<&Field<'a>>, Refusal> {
        self.fields(&self.selection)
    }

    /// Returns an argument of a field; null if it is absent.
    pub(super) fn argument(&self, field: &Field<'a>, name: &str) -> Value {
        let found = field.arguments.iter().find(|(known, _)| known == name);
        found.map_or(Value::Null, |(_, value)| self.value(value))
    }

    /// Returns the idempotency key of a mutation's field.
    pub(super) fn idempotency_key(&self, field: &Field<'a>) -> Option<String> {
        let directive = field.directives.iter().find(|it| it.name == "idempotent")?;
        let (_, key) = directive.arguments.iter().find(|(name, _)| name == "key")?;
        self.value(key).as_str().map(str::to_owned)
    }

    /// Returns the lines of a bulk result: the nodes of the root connection, each followed by its
    /// children.
    pub(super) fn lines(&self, field: &Field<'a>, whole: &Value) -> Result<Vec<Value>, Refusal> {
        let mut lines = Vec::new();
        if let Some(nodes) = whole[CONNECTION].as_array() {
            for node in nodes {
                self.add_lines(field, node, None, &mut lines)?;
            }
        }
        Ok(lines)
    }

    /// Adds a node of the connection `field`, and its children.
    fn add_lines(
        &self,
        field: &Field<'a>,
        node: &Value,
        parent: Option<&str>,
        lines: &mut Vec<Value>,
    ) -> Result<(), Refusal> {
        let mut selected = Vec::new();
        for outer in self.fields(&field.selection_set)? {
            match outer.name.as_str() {
                "nodes" => selected.extend(self.fields(&outer.selection_set)?),
                "edges" => {
                    for edge in self.fields(&outer.selection_set)? {
                        if edge.name == "node" {
                            selected.extend(self.fields(&edge.selection_set)?);
                        }
                    }
                }
                _ => {}
            }
        }
        let (mut line, mut children) = (Map::new(), Vec::new());
        for inner in selected {
            let value = node.get(&inner.name).unwrap_or(&Value::Null);
            if let Some(Value::Array(nodes)) = value.get(CONNECTION) {
                children.push((inner, nodes));
            } else {
                let key = inner.alias.as_ref().unwrap_or(&inner.name);
                line.insert(key.clone(), self.project(inner, value)?);
            }
        }
        if let Some(parent) = parent {
            line.insert("__parentId".to_owned(), parent.into());
        }
        lines.push(Value::Object(line));
        let id = node["id"].as_str();
        for (inner, nodes) in children {
            for child in nodes {
                self.add_lines(inner, child, id, lines)?;
            }
        }
        Ok(())
    }

    /// Returns the selected part of `value`, which has all available fields.
    pub(super) fn project(&self, field: &Field<'a>, value: &Value) -> Result<Value, Refusal> {
        match value {
            Value::Array(items) => items
                .iter()
                .map(|item| self.project(field, item))
                .collect::<Result<Vec<_>, _>>()
                .map(Value::Array),
            Value::Object(object) => match object.get(CONNECTION) {
                Some(Value::Array(nodes)) => self.page(field, nodes),
                _ => self.object(field, object),
            },
            scalar if field.selection_set.items.is_empty() => Ok(scalar.clone()),
            Value::Null => Ok(Value::Null),
            _ => Err(Refusal::new(
                format!("Field '{}' has no selections", field.name),
                "selectionMismatch",
            )),
        }
    }

    fn object(&self, field: &Field<'a>, object: &Map<String, Value>) -> Result<Value, Refusal> {
        let fields = self.fields(&field.selection_set)?;
        if fields.is_empty() {
            return Err(Refusal::new(
                format!("Field '{}' must have selections", field.name),
                "selectionMismatch",
            ));
        }
        let mut selected = Map::new();
        for inner in fields {
            let key = inner.alias.as_ref().unwrap_or(&inner.name);
            let value = object.get(&inner.name).ok_or_else(|| {
                Refusal::new(
                    format!("Field '{}' doesn't exist", inner.name),
                    "undefinedField",
                )
            })?;
            selected.insert(key.clone(), self.project(inner, value)?);
        }
        Ok(Value::Object(selected))
    }

    /// Returns one page of a connection.
    fn page(&self, field: &Field<'a>, nodes: &[Value]) -> Result<Value, Refusal> {
        let first = self.argument(field, "first").as_u64();
        let Some(first) = first.filter(|first| (1..=MAX_PAGE).contains(first)) else {
            return Err(Refusal::new(
                "first must be between 1 and 250",
                "argumentLiteralsIncompatible",
            ));
        };
        let begin = match self.argument(field, "after") {
            Value::String(cursor) => nodes
                .iter()
                .position(|node| cursor_of(node) == cursor)
                .map(|at| at + 1)
                .ok_or_else(|| {
                    Refusal::new("Invalid cursor for current pagination sort.", "BAD_REQUEST")
                })?,
            _ => 0,
        };
        let end = nodes
            .len()
            .min(begin.saturating_add(usize::try_from(first).unwrap_or(usize::MAX)));
        let taken = &nodes[begin..end];
        let edges: Vec<Value> = taken
            .iter()
            .map(|node| json!({ "node": node, "cursor": cursor_of(node) }))
            .collect();
        let whole = json!({
            "nodes": taken,
            "edges": edges,
            "pageInfo": {
                "hasNextPage": end < nodes.len(),
                "hasPreviousPage": begin > 0,
                "startCursor": taken.first().map(cursor_of),
                "endCursor": taken.last().map(cursor_of),
            },
        });
        match whole.as_object() {
            Some(object) => self.object(field, object),
            None => Ok(Value::Null),
        }
    }

    /// Returns the requested cost in points. An object costs one point, a connection (a paged list)
    /// costs its page size, and a mutation costs ten points.
    pub(super) fn cost(&self) -> f64 {
        let base = if self.is_mutation { 10.0 } else { 0.0 };
        base + self.cost_of(&self.selection)
    }

    fn cost_of(&self, selection: &SelectionSet<'a, String>) -> f64 {
        let fields = self.fields(selection).unwrap_or_default();
        fields
            .into_iter()
            .filter(|field| !field.selection_set.items.is_empty())
            .map(|field| {
                let inner = self.cost_of(&field.selection_set);
                match self.argument(field, "first").as_f64() {
                    Some(first) => 2.0 + first * inner,
                    None if field.name == "pageInfo" => 0.0,
                    None => 1.0 + inner,
                }
            })
            .sum()
    }

    fn fields<'s>(
        &'s self,
        selection: &'s SelectionSet<'a, String>,
    ) -> Result<Vec<&'s Field<'a>>, Refusal> {
        let mut fields = Vec::new();
        let mut open = vec![selection];
        while let Some(selection) = open.pop() {
            for item in &selection.items {
                match item {
                    Selection::Field(field) => fields.push(field),
                    Selection::InlineFragment(fragment) => open.push(&fragment.selection_set),
                    Selection::FragmentSpread(spread) => {
                        let fragment =
                            self.fragments.get(&spread.fragment_name).ok_or_else(|| {
                                Refusal::new("Fragment was not defined", "useAndDefineFragment")
                            })?;
                        open.push(&fragment.selection_set);
                    }
                }
                if fields.len() > 1000 {
                    return Err(Refusal::new("the query is too large", "MAX_COST_EXCEEDED"));
                }
            }
        }
        Ok(fields)
    }

    fn value(&self, value: &graphql_parser::query::Value<'a, String>) -> Value {
        use graphql_parser::query::Value as Literal;
        match value {
            Literal::Variable(name) => self.variables.get(name).cloned().unwrap_or(Value::Null),
            Literal::Int(number) => number.as_i64().map_or(Value::Null, |it| json!(it)),
            Literal::Float(number) => Number::from_f64(*number).map_or(Value::Null, Value::Number),
            Literal::String(text) => Value::String(text.clone()),
            Literal::Boolean(flag) => Value::Bool(*flag),
            Literal::Null => Value::Null,
            Literal::Enum(name) => Value::String(name.clone()),
            Literal::List(items) => items.iter().map(|item| self.value(item)).collect(),
            Literal::Object(object) => object
                .iter()
                .map(|(name, value)| (name.clone(), self.value(value)))
                .collect(),
        }
    }
}

fn cursor_of(node: &Value) -> String {
    let id = node.get("id").and_then(Value::as_str).unwrap_or_default();
    BASE64_STANDARD.encode(format!("{{\"last_id\":\"{id}\"}}"))
}
