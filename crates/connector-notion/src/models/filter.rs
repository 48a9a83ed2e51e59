//! Filters and sorts of a query.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

/// The order of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Direction {
    /// The smallest first.
    Ascending,
    /// The largest first.
    Descending,
}

/// One criterion of the order of rows.
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
    /// Sorts by a property, by its name or id.
    pub fn property(property: impl Into<String>, direction: Direction) -> Self {
        let by = SortBy::Property(property.into());
        Self { by, direction }
    }

    /// Sorts by the time of creation.
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

/// The place of a condition's operator: members around it, and the names from the outside in.
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
            #[must_use = "a condition needs an operator"]
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
        /// True if the value is empty.
        pub fn is_empty(self) -> Filter {
            self.0.holds("is_empty", true)
        }

        /// True if the value is not empty.
        pub fn is_not_empty(self) -> Filter {
            self.0.holds("is_not_empty", true)
        }
    };
}

conditions! {
    /// A condition on a text.
    TextCondition {
        /// True if the text is this one.
        equals(&str),
        /// True if the text is another one.
        does_not_equal(&str),
        /// True if the text has this part.
        contains(&str),
        /// True if the text does not have this part.
        does_not_contain(&str),
        /// True if the text starts with this.
        starts_with(&str),
        /// True if the text ends with this.
        ends_with(&str),
    } presence ();
    /// A condition on a number.
    NumberCondition {
        /// True if the number is this one.
        equals(impl Into<Value>),
        /// True if the number is another one.
        does_not_equal(impl Into<Value>),
        /// True if the number is greater.
        greater_than(impl Into<Value>),
        /// True if the number is less.
        less_than(impl Into<Value>),
        /// True if the number is greater or equal.
        greater_than_or_equal_to(impl Into<Value>),
        /// True if the number is less or equal.
        less_than_or_equal_to(impl Into<Value>),
    } presence ();
    /// A condition on a checkbox.
    CheckboxCondition {
        /// True if the checkbox has this state.
        equals(bool),
        /// True if the checkbox has the other state.
        does_not_equal(bool),
    };
    /// A condition on a property of the type `select` or `status`.
    ChoiceCondition {
        /// True if the option has this name.
        equals(&str),
        /// True if the option has another name.
        does_not_equal(&str),
    } presence ();
    /// A condition on options, people or relations: names of options, ids of the others.
    ListCondition {
        /// True if the value is among them.
        contains(&str),
        /// True if the value is not among them.
        does_not_contain(&str),
    } presence ();
    /// A condition on files.
    PresenceCondition {} presence ();
    /// A condition on a date, in ISO 8601 or relative: `today`, `one_week_ago`.
    DateCondition {
        /// True if the date is this one.
        equals(&str),
        /// True if the date is earlier.
        before(&str),
        /// True if the date is later.
        after(&str),
        /// True if the date is this one or earlier.
        on_or_before(&str),
        /// True if the date is this one or later.
        on_or_after(&str),
    } presence ();
    /// A condition on the verification of a page: `verified`, `expired` or `none`.
    VerificationCondition {
        /// True if the page has this state.
        status(&str),
        /// True if the page has another state.
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
    /// True within this week.
    this_week,
    /// True within the past week.
    past_week,
    /// True within the past month.
    past_month,
    /// True within the past year.
    past_year,
    /// True within the next week.
    next_week,
    /// True within the next month.
    next_month,
    /// True within the next year.
    next_year,
}

/// A condition on the result of a formula.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition needs the type of the result"]
pub struct FormulaCondition(Place);

impl FormulaCondition {
    /// A text.
    pub fn string(self) -> TextCondition {
        TextCondition(self.0.within("string"))
    }

    /// A number.
    pub fn number(self) -> NumberCondition {
        NumberCondition(self.0.within("number"))
    }

    /// A truth value.
    pub fn checkbox(self) -> CheckboxCondition {
        CheckboxCondition(self.0.within("checkbox"))
    }

    /// A date.
    pub fn date(self) -> DateCondition {
        DateCondition(self.0.within("date"))
    }
}

/// A condition on a rollup.
#[derive(Debug, Clone, PartialEq)]
#[must_use = "a condition needs the type of the result"]
pub struct RollupCondition(Place);

impl RollupCondition {
    /// The result is a number.
    pub fn number(self) -> NumberCondition {
        NumberCondition(self.0.within("number"))
    }

    /// The result is a date.
    pub fn date(self) -> DateCondition {
        DateCondition(self.0.within("date"))
    }

    /// At least one of the texts fulfils the condition.
    pub fn any_text(self) -> TextCondition {
        TextCondition(self.0.within("any").within("rich_text"))
    }

    /// Each of the texts fulfils the condition.
    pub fn every_text(self) -> TextCondition {
        TextCondition(self.0.within("every").within("rich_text"))
    }

    /// None of the texts fulfils the condition.
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
        /// A condition on the title.
        title => TextCondition,
        /// A condition on a text property.
        rich_text => TextCondition,
        /// A condition on a URL property.
        url => TextCondition,
        /// A condition on an e-mail property.
        email => TextCondition,
        /// A condition on a phone number property.
        phone_number => TextCondition,
        /// A condition on a number property.
        number => NumberCondition,
        /// A condition on the number of a page.
        unique_id => NumberCondition,
        /// A condition on a checkbox property.
        checkbox => CheckboxCondition,
        /// A condition on a select property.
        select => ChoiceCondition,
        /// A condition on a status property.
        status => ChoiceCondition,
        /// A condition on a multi-select property.
        multi_select => ListCondition,
        /// A condition on a people property.
        people => ListCondition,
        /// A condition on the property that shows the author.
        created_by => ListCondition,
        /// A condition on the property that shows the author of the last change.
        last_edited_by => ListCondition,
        /// A condition on a relation.
        relation => ListCondition,
        /// A condition on a files property.
        files => PresenceCondition,
        /// A condition on a date property.
        date => DateCondition,
        /// A condition on a formula.
        formula => FormulaCondition,
        /// A condition on a rollup.
        rollup => RollupCondition,
        /// A condition on the verification of a wiki's page.
        verification => VerificationCondition,
    }

    /// A condition on the time of creation.
    pub fn created_time() -> DateCondition {
        DateCondition(Place::of(
            "timestamp",
            "created_time".to_owned(),
            "created_time",
        ))
    }

    /// A condition on the time of the last change.
    pub fn last_edited_time() -> DateCondition {
        let name = "last_edited_time";
        DateCondition(Place::of("timestamp", name.to_owned(), name))
    }

    /// True if all conditions are.
    pub fn and(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::group("and", filters)
    }

    /// True if one of the conditions is.
    pub fn or(filters: impl IntoIterator<Item = Self>) -> Self {
        Self::group("or", filters)
    }

    fn group(kind: &str, filters: impl IntoIterator<Item = Self>) -> Self {
        let filters: Vec<Value> = filters.into_iter().map(|it| it.0).collect();
        Self(json!({ kind: filters }))
    }

    /// A filter in Notion's form, for what has no type here.
    pub const fn raw(filter: Value) -> Self {
        Self(filter)
    }

    fn members(&self, kind: &str) -> Option<&Vec<Value>> {
        self.0.get(kind)?.as_array()
    }

    /// The number of groups inside of each other.
    pub(crate) fn depth(&self) -> usize {
        fn depth(value: &Value) -> usize {
            let inner = ["and", "or"]
                .iter()
                .find_map(|it| value.get(it)?.as_array());
            inner.map_or(0, |it| 1 + it.iter().map(depth).max().unwrap_or(0))
        }
        depth(&self.0)
    }

    /// True if both conditions are, with no more levels of groups than Notion accepts.
    pub(crate) fn with(self, also: &Self) -> Self {
        if let Some(all) = self.members("and") {
            let all = all.iter().cloned().map(Self).chain([also.clone()]);
            return Self::and(all);
        }
        match self.members("or") {
            // (a or b) and c, where a is a group: (a and c) or (b and c).
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
