//! The shape of a GraphQL document: its cost and its nesting, estimated before it is sent.
//!
//! See [Shopify docs: GraphQL query cost](https://shopify.dev/docs/api/usage/limits#cost-calculation).
//! This is no validation: the server checks types and names.

use serde_json::Value;

/// Maximum nesting of selections.
const MAX_DEPTH: usize = 64;
/// Maximum number of selected fields, with fragments expanded.
const MAX_FIELDS: usize = 20_000;

/// The shape of a document with one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shape {
    pub(crate) is_mutation: bool,
    /// Estimated cost in points. Objects cost 1, a connection costs its page size times the cost of
    /// an item, and a mutation costs 10.
    pub(crate) cost: f64,
    /// Number of root fields.
    pub(crate) roots: usize,
    /// Number of connections.
    pub(crate) connections: usize,
    /// Maximum number of connections inside each other.
    pub(crate) nesting: usize,
}

/// Returns the shape of `document` with these variables, or the reason why the text is no document
/// with one operation.
pub(crate) fn shape(document: &str, variables: &Value) -> Result<Shape, &'static str> {
    let mut parser = Parser {
        rest: document,
        depth: 0,
    };
    let (mut operation, mut fragments) = (None, Vec::new());
    while let Some(token) = parser.next()? {
        let is_mutation = match token {
            Token::Name("fragment") => {
                let Some(Token::Name(name)) = parser.next()? else {
                    return Err(BROKEN);
                };
                parser.skip_to_selection()?;
                fragments.push((name, parser.selections()?));
                continue;
            }
            Token::Punctuator('{') => false,
            Token::Name(kind @ ("query" | "mutation")) => {
                parser.skip_to_selection()?;
                kind == "mutation"
            }
            _ => return Err(BROKEN),
        };
        let selections = parser.selections()?;
        if operation.replace((is_mutation, selections)).is_some() {
            return Err("the document has more than one operation");
        }
    }
    let (is_mutation, selections) = operation.ok_or("the document has no operation")?;
    let mut measure = Measure {
        fragments: &fragments,
        variables,
        fields: 0,
        connections: 0,
    };
    let mut whole = measure.selections(&selections, 0)?;
    if is_mutation {
        whole.cost += 10.0;
    }
    Ok(Shape {
        is_mutation,
        cost: whole.cost,
        roots: measure.roots(&selections, 0)?,
        connections: measure.connections,
        nesting: whole.nesting,
    })
}

const BROKEN: &str = "the document is not a GraphQL query or mutation";
const DEEP: &str = "the document is nested too deeply";
const LARGE: &str = "the document selects too many fields";

enum Selection<'a> {
    Field {
        name: &'a str,
        first: Option<Size<'a>>,
        inner: Vec<Selection<'a>>,
    },
    Inline(Vec<Selection<'a>>),
    Spread(&'a str),
}

/// The value of an argument `first` or `last`.
enum Size<'a> {
    Number(f64),
    Variable(&'a str),
}

#[derive(Clone, Copy, PartialEq)]
enum Token<'a> {
    Name(&'a str),
    Number(f64),
    Text,
    Spread,
    Punctuator(char),
}

struct Parser<'a> {
    rest: &'a str,
    depth: usize,
}

impl<'a> Parser<'a> {
    fn next(&mut self) -> Result<Option<Token<'a>>, &'static str> {
        loop {
            let is_ignored = |c: char| c.is_whitespace() || matches!(c, ',' | '\u{feff}');
            self.rest = self.rest.trim_start_matches(is_ignored);
            match self.rest.strip_prefix('#') {
                Some(comment) => {
                    self.rest = comment.split_once(['\n', '\r']).map_or("", |it| it.1);
                }
                None => break,
            }
        }
        let Some(first) = self.rest.chars().next() else {
            return Ok(None);
        };
        if let Some(rest) = self.rest.strip_prefix("...") {
            self.rest = rest;
            return Ok(Some(Token::Spread));
        }
        if let Some(text) = self.rest.strip_prefix("\"\"\"") {
            return self.block(text).map(Some);
        }
        if first == '"' {
            return self.text().map(Some);
        }
        let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if first.is_ascii_digit() || first == '-' {
            let is_number = |c: char| is_word(c) || matches!(c, '.' | '-' | '+');
            let end = self.rest.find(|c| !is_number(c)).unwrap_or(self.rest.len());
            let (number, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(Some(Token::Number(number.parse().map_err(|_| BROKEN)?)));
        }
        if is_word(first) {
            let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
            let (name, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Ok(Some(Token::Name(name)));
        }
        if !"!$&()=:@[]{}|".contains(first) {
            return Err(BROKEN);
        }
        self.rest = &self.rest[1..];
        Ok(Some(Token::Punctuator(first)))
    }

    fn block(&mut self, mut text: &'a str) -> Result<Token<'a>, &'static str> {
        loop {
            let (before, after) = text.split_once("\"\"\"").ok_or(BROKEN)?;
            text = after;
            if !before.ends_with('\\') {
                self.rest = text;
                return Ok(Token::Text);
            }
        }
    }

    fn text(&mut self) -> Result<Token<'a>, &'static str> {
        let mut characters = self.rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '\\' => drop(characters.next()),
                '\n' | '\r' => return Err(BROKEN),
                '"' => {
                    self.rest = &self.rest[at + 1..];
                    return Ok(Token::Text);
                }
                _ => {}
            }
        }
        Err(BROKEN)
    }

    fn peek(&self) -> Result<Option<Token<'a>>, &'static str> {
        let mut ahead = Self {
            rest: self.rest,
            depth: self.depth,
        };
        ahead.next()
    }

    fn eat(&mut self, wanted: char) -> Result<bool, &'static str> {
        let is_next = self.peek()? == Some(Token::Punctuator(wanted));
        if is_next {
            self.next()?;
        }
        Ok(is_next)
    }

    /// Skips names, variable definitions and directives up to the next selection set.
    fn skip_to_selection(&mut self) -> Result<(), &'static str> {
        loop {
            match self.next()?.ok_or(BROKEN)? {
                Token::Punctuator('{') => return Ok(()),
                Token::Punctuator('(') => self.skip_to(')')?,
                _ => {}
            }
        }
    }

    /// Skips to the closing bracket, over nested brackets.
    fn skip_to(&mut self, end: char) -> Result<(), &'static str> {
        let mut open = vec![end];
        while let Some(closing) = open.last() {
            match self.next()?.ok_or(BROKEN)? {
                Token::Punctuator(c) if c == *closing => {
                    open.pop();
                }
                Token::Punctuator('(') => open.push(')'),
                Token::Punctuator('[') => open.push(']'),
                Token::Punctuator('{') => open.push('}'),
                Token::Punctuator(')' | ']' | '}') => return Err(BROKEN),
                _ if open.len() > MAX_DEPTH => return Err(DEEP),
                _ => {}
            }
        }
        Ok(())
    }

    /// Reads a selection set after its opening brace.
    fn selections(&mut self) -> Result<Vec<Selection<'a>>, &'static str> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(DEEP);
        }
        let mut selections = Vec::new();
        loop {
            match self.next()?.ok_or(BROKEN)? {
                Token::Punctuator('}') => break,
                Token::Spread => match self.peek()? {
                    Some(Token::Name(name)) if name != "on" => {
                        self.next()?;
                        self.directives()?;
                        selections.push(Selection::Spread(name));
                    }
                    _ => {
                        self.skip_to_selection()?;
                        selections.push(Selection::Inline(self.selections()?));
                    }
                },
                Token::Name(name) => selections.push(self.field(name)?),
                _ => return Err(BROKEN),
            }
        }
        self.depth -= 1;
        Ok(selections)
    }

    fn field(&mut self, mut name: &'a str) -> Result<Selection<'a>, &'static str> {
        if self.eat(':')? {
            match self.next()? {
                Some(Token::Name(aliased)) => name = aliased,
                _ => return Err(BROKEN),
            }
        }
        let first = if self.eat('(')? {
            self.arguments()?
        } else {
            None
        };
        self.directives()?;
        let inner = if self.eat('{')? {
            self.selections()?
        } else {
            Vec::new()
        };
        Ok(Selection::Field { name, first, inner })
    }

    fn arguments(&mut self) -> Result<Option<Size<'a>>, &'static str> {
        let mut size = None;
        loop {
            let name = match self.next()?.ok_or(BROKEN)? {
                Token::Punctuator(')') => return Ok(size),
                Token::Name(name) => name,
                _ => return Err(BROKEN),
            };
            if !self.eat(':')? {
                return Err(BROKEN);
            }
            let is_size = matches!(name, "first" | "last");
            match self.next()?.ok_or(BROKEN)? {
                Token::Number(number) if is_size => size = Some(Size::Number(number)),
                Token::Punctuator('$') => match self.next()? {
                    Some(Token::Name(name)) if is_size => size = Some(Size::Variable(name)),
                    Some(Token::Name(_)) => {}
                    _ => return Err(BROKEN),
                },
                Token::Punctuator('[') => self.skip_to(']')?,
                Token::Punctuator('{') => self.skip_to('}')?,
                Token::Punctuator(_) | Token::Spread => return Err(BROKEN),
                _ => {}
            }
        }
    }

    fn directives(&mut self) -> Result<(), &'static str> {
        while self.eat('@')? {
            self.next()?;
            if self.eat('(')? {
                self.skip_to(')')?;
            }
        }
        Ok(())
    }
}

#[derive(Clone, Copy, Default)]
struct Extent {
    cost: f64,
    nesting: usize,
}

struct Measure<'a> {
    fragments: &'a [(&'a str, Vec<Selection<'a>>)],
    variables: &'a Value,
    fields: usize,
    connections: usize,
}

impl<'a> Measure<'a> {
    fn fragment(&self, name: &str) -> Result<&'a [Selection<'a>], &'static str> {
        let mut known = self.fragments.iter();
        let found = known.find(|(known, _)| *known == name);
        found
            .map(|(_, inner)| &inner[..])
            .ok_or("the document uses a fragment that it does not define")
    }

    fn roots(&self, selections: &'a [Selection<'a>], depth: usize) -> Result<usize, &'static str> {
        let mut count = 0;
        for selection in selections {
            count += match selection {
                Selection::Field { .. } => 1,
                _ if depth > MAX_DEPTH => return Err(DEEP),
                Selection::Inline(inner) => self.roots(inner, depth + 1)?,
                Selection::Spread(name) => self.roots(self.fragment(name)?, depth + 1)?,
            };
        }
        Ok(count)
    }

    fn selections(
        &mut self,
        selections: &'a [Selection<'a>],
        depth: usize,
    ) -> Result<Extent, &'static str> {
        if depth > MAX_DEPTH {
            return Err(DEEP);
        }
        let (mut whole, mut largest) = (Extent::default(), 0.0_f64);
        for selection in selections {
            self.fields += 1;
            if self.fields > MAX_FIELDS {
                return Err(LARGE);
            }
            let size = match selection {
                Selection::Field { inner, .. } if inner.is_empty() => Extent::default(),
                Selection::Field { name, first, inner } => {
                    self.field(name, first.as_ref(), inner, depth)?
                }
                // An object has one type, so only the most expensive condition counts.
                Selection::Inline(inner) => {
                    let size = self.selections(inner, depth + 1)?;
                    largest = largest.max(size.cost);
                    Extent { cost: 0.0, ..size }
                }
                Selection::Spread(name) => self.selections(self.fragment(name)?, depth + 1)?,
            };
            whole.cost += size.cost;
            whole.nesting = whole.nesting.max(size.nesting);
        }
        whole.cost += largest;
        Ok(whole)
    }

    fn field(
        &mut self,
        name: &str,
        first: Option<&Size<'a>>,
        inner: &'a [Selection<'a>],
        depth: usize,
    ) -> Result<Extent, &'static str> {
        let is_connection = inner.iter().any(|it| {
            matches!(it, Selection::Field { name: "nodes" | "edges", inner, .. } if !inner.is_empty())
        });
        if is_connection {
            self.connections += 1;
        }
        let within = self.selections(inner, depth + 1)?;
        let count = match first {
            Some(Size::Number(number)) => Some(*number),
            Some(Size::Variable(name)) => self.variables.get(name).and_then(Value::as_f64),
            None => None,
        };
        Ok(Extent {
            cost: match count {
                Some(count) => 2.0 + count.max(0.0) * within.cost,
                None if name == "pageInfo" => 0.0,
                None => 1.0 + within.cost,
            },
            nesting: within.nesting + usize::from(is_connection),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    #[expect(clippy::print_stdout, reason = "the counts are what a test shows")]
    fn costs_and_nesting_follow_the_published_rules() {
        let table = [
            ("{ shop { name } }", 1.0, 0),
            ("query Q { shop { name plan { displayName } } }", 2.0, 0),
            (
                "{ products(first: 10) { nodes { id title } pageInfo { hasNextPage } } }",
                12.0,
                1,
            ),
            (
                "query($n: Int!) { products(first: $n) { nodes { id } } }",
                9.0,
                1,
            ),
            (
                "{ products(first: 2) { nodes { id variants(first: 3) { nodes { id } } } } }",
                14.0,
                2,
            ),
            (
                "mutation { tagsAdd(id: \"}\", tags: [\"{\"]) { node { id } } }",
                12.0,
                0,
            ),
            (
                "{ node(id: \"x\") { ... on A { a { id } } ... on B { a { id } b { id } } } }",
                3.0,
                0,
            ),
            (
                "query { shop { ...S } } # } {\nfragment S on Shop { plan { name } }",
                2.0,
                0,
            ),
            (
                "{ a: shop @include(if: $x) { name(x: {y: [\"\\\"}\"]}) } }",
                1.0,
                0,
            ),
            ("{ shop { name(a: \"\"\" \" } \"\"\") } }", 1.0, 0),
        ];
        for (document, cost, nesting) in table {
            let shape = shape(document, &json!({ "n": 7 })).unwrap();
            assert_eq!((shape.cost, shape.nesting), (cost, nesting), "{document}");
            assert_eq!(shape.roots, 1, "{document}");
        }
        let bad = [
            "",
            "x",
            "{ shop { name }",
            "{ shop { name } } }",
            "{ a } { b }",
            "query { ...Missing }",
            "{ shop(first: ) { name } }",
            "{ shop \"text }",
            "subscription { x }",
            "fragment F on X { ...F } query { a { ...F } }",
        ];
        for document in bad {
            assert!(shape(document, &json!({})).is_err(), "{document}");
        }
        println!(
            "documents measured: {}, refused: {}",
            table.len(),
            bad.len()
        );
    }

    proptest! {
        #[test]
        fn any_text_is_measured_or_refused_quickly(text in "[{}()\\[\\]a-z \"#.:$@!0-9\\\\\n]{0,200}|\\PC{0,60}") {
            let _ = shape(&text, &Value::Null);
        }
    }

    #[test]
    fn fragments_that_multiply_are_refused() {
        let fragments: Vec<String> = (0..40)
            .map(|at| format!("fragment F{at} on X {{ ...F{0} ...F{0} }}", at + 1))
            .collect();
        let document = format!(
            "query {{ ...F0 }} {} fragment F40 on X {{ a }}",
            fragments.join(" ")
        );
        assert!(shape(&document, &Value::Null).is_err());
        let deep = "{ a ".repeat(100_000);
        assert!(shape(&deep, &Value::Null).is_err());
    }
}
