//! Filters and sorts of a query.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// Sort direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Direction {
    /// Smallest value first.
    Ascending,
    /// Largest value first.
    Descending,
}

/// A sort criterion for rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[must_use]
pub struct Sort {
    #[serde(flatten)]
    by: SortBy,
    direction: Direction,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum SortBy {
    Property(String),
    Timestamp(&'static str),
}

impl Sort {
    /// Sorts by a property, given by name or id.
    pub fn property(property: impl Into<String>, direction: Direction) -> Self {
        let by = SortBy::Property(property.into());
        Self { by, direction }
    }

    /// Sorts by creation time.
    pub const fn created_time(direction: Direction) -> Self {
        let by = SortBy::Timestamp("created_time");
        Self { by, direction }
    }

    /// Sorts by the time of the last change.
    pub const fn last_edited_time(direction: Direction) -> Self {
        let by = SortBy::Timestamp("last_edited_time");
        Self { by, direction }
    }
}

/// A condition on the rows of a data source.
///
/// ```
/// use connector_notion::models::Filter;
/// let filter = Filter::or([
///     Filter::status("Status").equals("Done"),
///     Filter::and([
///         Filter::number("Price").greater_than(5),
///         Filter::created_time().on_or_after("2026-11-01"),
///     ]),
/// ]);
/// # let _ = filter;
/// ```
///
/// See [Notion docs: Filter data source entries](https://developers.notion.com/reference/filter-data-source-entries).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
#[must_use]
pub struct Filter(Value);

/// The path to a condition's operator in the JSON: the enclosing members, outermost first.
#[derive(Debug, Clone, PartialEq)]
struct Place {
    around: Map<String, Value>,
    path: Vec<&'static str>,
}

impl Place {
    fn of(name: &str, value: String, kind: &'static str) -> Self {
        let mut around = Map::new();
        around.insert(name.to_owned(), value.into());
        Self {
            around,
            path: vec![kind],
        }
    }

    fn within(mut self, name: &'static str) -> Self {
        self.path.push(name);
        self
    }

    fn holds(self, operator: &str, value: impl Into<Value>) -> Filter {
        let mut inner = json!({ operator: value.into() });
        for name in self.path.iter().skip(1).rev() {
            inner = json!({ *name: inner });
        }
        let mut members = self.around;
        if let Some(kind) = self.path.first() {
            members.insert((*kind).to_owned(), inner);
        }
        Filter(Value::Object(members))
    }
}

macro_rules! conditions {
    ($(
        $(#[$doc:meta])*
        $name:ident { $($(#[$method_doc:meta])* $method:ident($type:ty),)* }
        $(presence $presence:tt)?
        ;
    )*) => {
        $(
            $(#[$doc])*
            #[derive(Debug, Clone, PartialEq)]
            #[must_use = "a condition has no effect without an operator"]
            pub struct $name(Place);

            impl $name {
                $(
                    $(#[$method_doc])*
                    pub fn $method(self, value: $type) -> Filter {
                        self.0.holds(stringify!($method), value)
                    }
                )*
                $(conditions!(@presence $presence);)?
            }
        )*
    };
    (@presence $presence:tt) => {
        /// Matches empty values.
        pub fn is_empty(self) -> Filter {
            self.0.holds("is_empty", true)
        }

        /// Matches values that are not empty.
        pub fn is_not_empty(self) -> Filter {
            self.0.holds("is_not_empty", true)
        }
    };
}

conditions! {
    /// A condition on a text.
    TextCondition {
        /// Matches this text.
        equals(&str),
        /// Matches any other text.
        does_not_equal(&str),
        /// Matches texts that contain this text.
        contains(&str),
        /// Matches texts that do not contain this text.
        does_not_contain(&str),
        /// Matches texts that start with this text.
        starts_with(&str),
        /// Matches texts that end with this text.
        ends_with(&str),
    } presence ();
    /// A condition on a number.
    NumberCondition {
        /// Matches this number.
        equals(impl Into<Value>),
        /// Matches any other number.
        does_not_equal(impl Into<Value>),
        /// Matches greater numbers.
        greater_than(impl Into<Value>),
        /// Matches smaller numbers.
        less_than(impl Into<Value>),
        /// Matches this number and greater numbers.
        greater_than_or_equal_to(impl Into<Value>),
        /// Matches this number and smaller numbers.
        less_than_or_equal_to(impl Into<Value>),
    } presence ();
    /// A condition on a checkbox.
    CheckboxCondition {
        /// Matches this state.
        equals(bool),
        /// Matches the opposite state.
        does_not_equal(bool),
    };
    /// A condition on a property of the type `select` or `status`.
    ChoiceCondition {
        /// Matches the option with this name.
        equals(&str),
        /// Matches all options except the one with this name.
        does_not_equal(&str),
    } presence ();
    /// A condition on options, people or relations. Options are given by name, people and relations
    /// by id.
    ListCondition {
        /// Matches lists that contain this value.
        contains(&str),
        /// Matches lists that do not contain this value.
        does_not_contain(&str),
    } presence ();
    /// A condition on files.
    PresenceCondition {} presence ();
    /// A condition on a date. Values are ISO 8601 dates or relative dates such as `today` and
    /// `one_week_ago`.
    DateCondition {
        /// Matches this date.
        equals(&str),
        /// Matches earlier dates.
        before(&str),
        /// Matches later dates.
        after(&str),
        /// Matches this date and earlier dates.
        on_or_before(&str),
        /// Matches this date and later dates.
        on_or_after(&str),
    } presence ();
    /// A condition on the verification of a page: `verified`, `expired` or `none`.
    VerificationCondition {
        /// Matches pages with this state.
        status(&str),
        /// Matches pages with any other state.
        does_not_equal(&str),
    };
}

macro_rules! spans {
    ($($(#[$doc:meta])* $method:ident,)*) => {
        impl DateCondition {
            $(
                $(#[$doc])*
                pub fn $method(self) -> Filter {
                    self.0.holds(stringify!($method), json!({}))
                }
            )*
        }
    };
}

spans! {
    /// Matches dates in this week.
    this_week,
    /// Matches dates in the past week.
    past_week,
    /// Matches dates in the past month.
    past_month,
    /// Matches dates in the past year.
    past_year,
    /// Matches dates in the next week.
    next_week,
    /// Matches dates in the next month.
    next_month,
    /// Matches dates in the next year.
    next_year,
}

/// A condition on the result of a formula.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition has no effect without the type of the result"]
pub struct FormulaCondition(Place);

impl FormulaCondition {
    /// Starts a condition on a text result.
    pub fn string(self) -> TextCondition {
        TextCondition(self.0.within("string"))
    }

    /// Starts a condition on a number result.
    pub fn number(self) -> NumberCondition {
        NumberCondition(self.0.within("number"))
    }

    /// Starts a condition on a boolean result.
    pub fn checkbox(self) -> CheckboxCondition {
        CheckboxCondition(self.0.within("checkbox"))
    }

    /// Starts a condition on a date result.
    pub fn date(self) -> DateCondition {
        DateCondition(self.0.within("date"))
    }
}

/// A condition on a rollup.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition has no effect without the type of the result"]
pub struct RollupCondition(Place);

impl RollupCondition {
    /// Starts a condition on a number result.
    pub fn number(self) -> NumberCondition {
        NumberCondition(self.0.within("number"))
    }

    /// Starts a condition on a date result.
    pub fn date(self) -> DateCondition {
        DateCondition(self.0.within("date"))
    }

    /// Starts a condition that must be true for at least one text.
    pub fn any_text(self) -> TextCondition {
        TextCondition(self.0.within("any").within("rich_text"))
    }

    /// Starts a condition that must be true for every text.
    pub fn every_text(self) -> TextCondition {
        TextCondition(self.0.within("every").within("rich_text"))
    }

    /// Starts a condition that must be true for no text.
    pub fn no_text(self) -> TextCondition {
        TextCondition(self.0.within("none").within("rich_text"))
    }
}

macro_rules! properties {
    ($($(#[$doc:meta])* $name:ident => $condition:ident,)*) => {
        $(
            $(#[$doc])*
            pub fn $name(property: impl Into<String>) -> $condition {
                $condition(Place::of("property", property.into(), stringify!($name)))
            }
        )*
    };
}

impl Filter {
    properties! {
        /// Starts a condition on the title.
        title => TextCondition,
        /// Starts a condition on a text property.
        rich_text => TextCondition,
        /// Starts a condition on a URL property.
        url => TextCondition,
        /// Starts a condition on an e-mail property.
        email => TextCondition,
        /// Starts a condition on a phone number property.
        phone_number => TextCondition,
        /// Starts a condition on a number property.
        number => NumberCondition,
        /// Starts a condition on a property with unique ids of pages.
        unique_id => NumberCondition,
        /// Starts a condition on a checkbox property.
        checkbox => CheckboxCondition,
        /// Starts a condition on a select property.
        select => ChoiceCondition,
        /// Starts a condition on a status property.
        status => ChoiceCondition,
        /// Starts a condition on a multi-select property.
        multi_select => ListCondition,
        /// Starts a condition on a people property.
        people => ListCondition,
        /// Starts a condition on a property with the page's author.
        created_by => ListCondition,
        /// Starts a condition on a property with the author of the last change.
        last_edited_by => ListCondition,
        /// Starts a condition on a relation.
        relation => ListCondition,
        /// Starts a condition on a files property.
        files => PresenceCondition,
        /// Starts a condition on a date property.
        date => DateCondition,
        /// Starts a condition on a formula.
        formula => FormulaCondition,
        /// Starts a condition on a rollup.
        rollup => RollupCondition,
        /// Starts a condition on the verification of a wiki page.
        verification => VerificationCondition,
    }

    /// Starts a condition on the creation time.
    pub fn created_time() -> DateCondition {
        DateCondition(Place::of(
            "timestamp",
            "created_time".to_owned(),
            "created_time",
        ))
    }

    /// Starts a condition on the time of the last change.
    pub fn last_edited_time() -> DateCondition {
        let name = "last_edited_time";
        DateCondition(Place::of("timestamp", name.to_owned(), name))
    }

    /// Returns a filter that matches if all filters match.
    pub fn and(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::group("and", filters)
    }

    /// Returns a filter that matches if at least one filter matches.
    pub fn or(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::group("or", filters)
    }

    fn group(kind: &str, filters: impl IntoIterator<Item = Self>) -> Self {
        let filters: Vec<Value> = filters.into_iter().map(|it| it.0).collect();
        Self(json!({ kind: filters }))
    }

    /// Creates a filter from Notion's JSON, for conditions that have no type in this crate.
    pub const fn raw(filter: Value) -> Self {
        Self(filter)
    }

    fn members(&self, kind: &str) -> Option<&Vec<Value>> {
        self.0.get(kind)?.as_array()
    }

    /// Returns the depth of nested groups.
    pub(crate) fn depth(&self) -> usize {
        fn depth(value: &Value) -> usize {
            let inner = ["and", "or"]
                .iter()
                .find_map(|it| value.get(it)?.as_array());
            inner.map_or(0, |it| 1 + it.iter().map(depth).max().unwrap_or(0))
        }
        depth(&self.0)
    }

    /// Returns a filter that matches if both filters match, with no more nested groups than Notion
    /// accepts.
    pub(crate) fn with(self, also: &Self) -> Self {
        if let Some(all) = self.members("and") {
            let all = all.iter().cloned().map(Self).chain([also.clone()]);
            return Self::and(all);
        }
        match self.members("or") {
            // (a or b) and c, where a is a group, becomes (a and c) or (b and c).
            Some(any) if self.depth() > 1 => {
                let any = any.iter().flat_map(|it| match it.get("or") {
                    Some(Value::Array(inner)) => inner.clone(),
                    _ => vec![it.clone()],
                });
                Self::or(any.map(|it| Self(it).with(also)))
            }
            _ => Self::and([self, also.clone()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_has_the_documented_form_and_at_most_two_levels() {
        let price = || Filter::number("Price").greater_than(5);
        let text = Filter::formula("F").string().contains("x");
        let sub = Filter::rollup("R").any_text().is_not_empty();
        for (filter, form) in [
            (
                price(),
                json!({ "property": "Price", "number": { "greater_than": 5 } }),
            ),
            (
                text,
                json!({ "property": "F", "formula": { "string": { "contains": "x" } } }),
            ),
            (
                sub,
                json!({ "property": "R", "rollup": { "any": { "rich_text": { "is_not_empty": true } } } }),
            ),
            (
                Filter::last_edited_time().past_week(),
                json!({ "timestamp": "last_edited_time", "last_edited_time": { "past_week": {} } }),
            ),
            (
                Filter::checkbox("Done").equals(true),
                json!({ "property": "Done", "checkbox": { "equals": true } }),
            ),
        ] {
            assert_eq!(serde_json::to_value(&filter).unwrap(), form);
        }
        let since = Filter::created_time().on_or_after("2026-11-20");
        let deep = Filter::or([
            Filter::and([price(), price()]),
            Filter::or([price(), price()]),
        ]);
        let filters = [
            price(),
            Filter::and([price()]),
            Filter::or([price(), price()]),
            Filter::and([Filter::or([price()]), price()]),
            deep.clone(),
        ];
        for filter in filters {
            let with = filter.with(&since);
            assert!((1..=2).contains(&with.depth()), "{with:?}");
        }
        let with = deep.with(&since);
        let branches = with.members("or").unwrap();
        assert_eq!(branches.len(), 3);
        assert!(
            branches
                .iter()
                .all(|it| it["and"].as_array().unwrap().contains(&since.0))
        );
    }
}
