//! Field masks: `a,b(c,d/e),f/*`.

use serde_json::{Map, Value};

/// Returns the parts of `value` that `mask` selects.
pub(super) fn apply(mask: &str, value: &Value) -> Option<Value> {
    let mut parser = Parser { rest: mask };
    let fields = parser.fields()?;
    parser.rest.is_empty().then(|| selected(&fields, value))
}

struct Field {
    name: String,
    inner: Vec<Field>,
}

struct Parser<'m> {
    rest: &'m str,
}

impl Parser<'_> {
    fn fields(&mut self) -> Option<Vec<Field>> {
        let mut fields = vec![self.field()?];
        while self.take(',') {
            fields.push(self.field()?);
        }
        Some(fields)
    }

    fn field(&mut self) -> Option<Field> {
        let end = self
            .rest
            .find([',', '(', ')', '/'])
            .unwrap_or(self.rest.len());
        let (name, rest) = self.rest.split_at(end);
        self.rest = rest;
        if name.is_empty() {
            return None;
        }
        let inner = if self.take('/') {
            vec![self.field()?]
        } else if self.take('(') {
            let inner = self.fields()?;
            if !self.take(')') {
                return None;
            }
            inner
        } else {
            Vec::new()
        };
        Some(Field {
            name: name.to_owned(),
            inner,
        })
    }

    fn take(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

fn selected(fields: &[Field], value: &Value) -> Value {
    match value {
        Value::Array(items) => items.iter().map(|item| selected(fields, item)).collect(),
        Value::Object(members) => {
            let mut kept = Map::new();
            for field in fields {
                let names = members
                    .iter()
                    .filter(|(name, _)| field.name == "*" || **name == field.name);
                for (name, value) in names {
                    let value = if field.inner.is_empty() {
                        value.clone()
                    } else {
                        selected(&field.inner, value)
                    };
                    kept.insert(name.clone(), value);
                }
            }
            Value::Object(kept)
        }
        other => other.clone(),
    }
}
