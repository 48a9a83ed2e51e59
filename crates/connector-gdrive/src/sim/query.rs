//! Search queries (`q`), as documented by Google.

use serde_json::Value;

use super::world::{Item, World};

#[derive(Debug)]
enum Term {
    And(Box<Term>, Box<Term>),
    Or(Box<Term>, Box<Term>),
    Not(Box<Term>),
    Compare(String, String, String),
    /// A value in a list, for example `'x' in parents`.
    In(String, String),
    /// A key-value pair in a map, for example `properties has { key='k' and value='v' }`.
    Has(String, String, String),
    SharedWithMe,
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Sign(String),
}

/// A parsed query.
pub(super) struct Query(Term);

impl Query {
    /// Parses a query. Returns `None` if the query is invalid.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parser = Parser {
            tokens: tokens(text)?,
            at: 0,
        };
        let term = parser.or()?;
        (parser.at == parser.tokens.len()).then_some(Self(term))
    }

    pub(super) fn fits(&self, user: &str, item: &Item) -> bool {
        fits(&self.0, user, item)
    }
}

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            ' ' => {}
            '\'' => {
                let mut value = String::new();
                loop {
                    match chars.next()? {
                        '\'' => break,
                        '\\' => value.push(chars.next()?),
                        other => value.push(other),
                    }
                }
                tokens.push(Token::Text(value));
            }
            '(' | ')' | '{' | '}' => tokens.push(Token::Sign(c.to_string())),
            '=' => tokens.push(Token::Sign("=".to_owned())),
            '!' | '<' | '>' => {
                let mut sign = c.to_string();
                if chars.peek() == Some(&'=') {
                    chars.next();
                    sign.push('=');
                }
                tokens.push(Token::Sign(sign));
            }
            c if c.is_ascii_alphanumeric() => {
                let mut word = c.to_string();
                while let Some(next) = chars
                    .peek()
                    .filter(|it| it.is_ascii_alphanumeric() || **it == '.')
                {
                    word.push(*next);
                    chars.next();
                }
                tokens.push(Token::Word(word));
            }
            _ => return None,
        }
    }
    Some(tokens)
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.get(self.at).cloned();
        self.at += 1;
        token
    }

    fn word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Word(it)) if it == word);
        self.at += usize::from(found);
        found
    }

    fn sign(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Sign(it)) if it == sign);
        self.at += usize::from(found);
        found
    }

    fn or(&mut self) -> Option<Term> {
        let mut term = self.and()?;
        while self.word("or") {
            term = Term::Or(Box::new(term), Box::new(self.and()?));
        }
        Some(term)
    }

    fn and(&mut self) -> Option<Term> {
        let mut term = self.not()?;
        while self.word("and") {
            term = Term::And(Box::new(term), Box::new(self.not()?));
        }
        Some(term)
    }

    fn not(&mut self) -> Option<Term> {
        if self.word("not") {
            return Some(Term::Not(Box::new(self.not()?)));
        }
        if self.sign("(") {
            let term = self.or()?;
            return self.sign(")").then_some(term);
        }
        self.term()
    }

    fn term(&mut self) -> Option<Term> {
        match self.next()? {
            Token::Text(value) => {
                let is_in = self.word("in");
                match self.next()? {
                    Token::Word(list) if is_in => Some(Term::In(value, list)),
                    _ => None,
                }
            }
            Token::Word(name) if name == "sharedWithMe" => Some(Term::SharedWithMe),
            Token::Word(name) if self.word("has") => self.pair(name),
            Token::Word(name) => {
                let operator = match self.next()? {
                    Token::Sign(sign) => sign,
                    Token::Word(word) if word == "contains" => word,
                    _ => return None,
                };
                match self.next()? {
                    Token::Text(value) | Token::Word(value) => {
                        Some(Term::Compare(name, operator, value))
                    }
                    Token::Sign(_) => None,
                }
            }
            Token::Sign(_) => None,
        }
    }

    fn pair(&mut self, name: String) -> Option<Term> {
        if !self.sign("{") {
            return None;
        }
        let key = self.member("key")?;
        if !self.word("and") {
            return None;
        }
        let value = self.member("value")?;
        self.sign("}").then_some(Term::Has(name, key, value))
    }

    fn member(&mut self, name: &str) -> Option<String> {
        if !self.word(name) || !self.sign("=") {
            return None;
        }
        match self.next()? {
            Token::Text(value) => Some(value),
            _ => None,
        }
    }
}

fn fits(term: &Term, user: &str, item: &Item) -> bool {
    match term {
        Term::And(a, b) => fits(a, user, item) && fits(b, user, item),
        Term::Or(a, b) => fits(a, user, item) || fits(b, user, item),
        Term::Not(inner) => !fits(inner, user, item),
        Term::SharedWithMe => item.drive.is_none() && item.owner != user,
        Term::In(value, list) => {
            let with_role = |roles: &[&str]| {
                item.permissions.iter().any(|it| {
                    it["emailAddress"] == *value
                        && it["role"]
                            .as_str()
                            .is_some_and(|role| roles.contains(&role))
                })
            };
            match list.as_str() {
                "parents" if value == "root" => item.parents().contains(&World::root_of(user)),
                "parents" => item.parents().contains(value),
                "owners" => with_role(&["owner"]),
                "writers" => with_role(&["owner", "writer"]),
                "readers" => with_role(&["owner", "writer", "commenter", "reader"]),
                _ => false,
            }
        }
        Term::Has(map, key, value) => item.meta.get(map).is_some_and(|it| it[key] == *value),
        Term::Compare(name, operator, value) => compare(name, operator, value, item),
    }
}

fn compare(name: &str, operator: &str, value: &str, item: &Item) -> bool {
    let found = item.meta.get(name);
    if let "trashed" | "starred" = name {
        let is_set = found == Some(&Value::Bool(true));
        return is_set == (value == "true");
    }
    let found = found.and_then(Value::as_str).unwrap_or_default();
    match (name, operator) {
        // Google compares names case-insensitively.
        ("name", "=") => found.eq_ignore_ascii_case(value),
        ("name", "!=") => !found.eq_ignore_ascii_case(value),
        ("name" | "fullText", "contains") => {
            let text = item.text("name").to_lowercase();
            text.split(' ')
                .any(|word| word.starts_with(&value.to_lowercase()))
                || text.starts_with(&value.to_lowercase())
        }
        (_, "contains") => found.starts_with(value),
        (_, "=") => found == value,
        (_, "!=") => found != value,
        (_, ">") => found > value,
        (_, ">=") => found >= value,
        (_, "<") => found < value,
        (_, "<=") => found <= value,
        _ => false,
    }
}
