//! Properties of pages, with their values, and the schemas of data sources.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::tagged::{is_default, object, tagged};
use super::{DataSourceId, DateValue, File, Other, Reference, RichText, SelectOption, User};

/// Number of references in a page property at which further references may be missing. See [Notion
/// docs: Page properties](https://developers.notion.com/reference/page-property-values).
const SHOWN: usize = 25;

object! {
    /// A property of a page, with its value.
    Property / PropertyHead {
        /// Percent-encoded id; see [`PropertyId`](super::PropertyId). Absent in requests.
        id: Option<String>,
        /// True if the property has more references than `value` contains.
        has_more: bool,
        ..
        /// The value.
        value: PropertyValue,
    }
}

impl Property {
    /// Creates a property with this value for a request.
    #[must_use]
    pub fn new(value: PropertyValue) -> Self {
        Self {
            value,
            ..Self::default()
        }
    }

    /// Returns true if the value may be incomplete. A page response contains at most 25 references
    /// per property. Read the complete value with
    /// [`GetPageProperty`](crate::endpoints::GetPageProperty).
    #[must_use]
    pub fn may_be_cut(&self) -> bool {
        let count = match &self.value {
            PropertyValue::Title(it) | PropertyValue::RichText(it) => it.len(),
            PropertyValue::People(it) => it.len(),
            PropertyValue::Relation(it) => it.len(),
            PropertyValue::Rollup(rollup) => match &rollup.value {
                RollupValue::Array(it) => it.len(),
                RollupValue::Incomplete(_) | RollupValue::Unsupported(_) => SHOWN,
                _ => 0,
            },
            _ => 0,
        };
        self.has_more || count >= SHOWN
    }
}

tagged! {
    /// The value of a property.
    PropertyValue {
        Title(Vec<RichText>) = "title",
        RichText(Vec<RichText>) = "rich_text",
        Number(Option<Number>) = "number",
        Url(Option<String>) = "url",
        Email(Option<String>) = "email",
        PhoneNumber(Option<String>) = "phone_number",
        Checkbox(bool) = "checkbox",
        Select(Option<SelectOption>) = "select",
        MultiSelect(Vec<SelectOption>) = "multi_select",
        Status(Option<SelectOption>) = "status",
        Date(Option<DateValue>) = "date",
        People(Vec<User>) = "people",
        Files(Vec<File>) = "files",
        Relation(Vec<Reference>) = "relation",
        CreatedBy(Box<User>) = "created_by",
        CreatedTime(String) = "created_time",
        LastEditedBy(Box<User>) = "last_edited_by",
        LastEditedTime(String) = "last_edited_time",
        Formula(Formula) = "formula",
        Rollup(Rollup) = "rollup",
        UniqueId(UniqueId) = "unique_id",
        Verification(Option<Verification>) = "verification",
        Place(Option<Other>) = "place",
        Button(Other) = "button",
    }
}

impl PropertyValue {
    /// Creates a title.
    #[must_use]
    pub fn title(text: impl Into<RichText>) -> Self {
        Self::Title(vec![text.into()])
    }

    /// Creates a text.
    #[must_use]
    pub fn text(text: impl Into<RichText>) -> Self {
        Self::RichText(vec![text.into()])
    }

    /// Creates a number. A number that is not finite becomes an empty value.
    #[must_use]
    pub fn number(number: f64) -> Self {
        Self::Number(Number::from_f64(number))
    }

    /// Creates a `select` value from the name of an option.
    #[must_use]
    pub fn select(name: impl Into<String>) -> Self {
        Self::Select(Some(SelectOption::named(name)))
    }

    /// Creates a `status` value from the name of an option.
    #[must_use]
    pub fn status(name: impl Into<String>) -> Self {
        Self::Status(Some(SelectOption::named(name)))
    }
}

/// The unique id of a page in its data source, with a prefix.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UniqueId {
    /// The prefix.
    #[serde(default)]
    pub prefix: Option<String>,
    /// The number.
    #[serde(default)]
    pub number: Option<u64>,
}

/// The verification of a wiki page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verification {
    /// State: `verified`, `expired` or `unverified`.
    pub state: String,
    /// The period in which the verification is valid.
    #[serde(default)]
    pub date: Option<DateValue>,
    /// The user who verified the page.
    #[serde(default)]
    pub verified_by: Option<Box<User>>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

tagged! {
    /// The result of a formula.
    Formula {
        String(Option<String>) = "string",
        Number(Option<Number>) = "number",
        Boolean(Option<bool>) = "boolean",
        Date(Option<DateValue>) = "date",
        Unsupported(Other) = "unsupported",
    }
}

object! {
    /// The result of a rollup.
    Rollup / RollupHead {
        /// The aggregation function, for example `sum` or `show_original`.
        function: String,
        ..
        /// The result.
        value: RollupValue,
    }
}

tagged! {
    /// The value of a rollup. For a relation with more than 25 pages, the rollup counts only the
    /// first 25 pages; see [`Page::cut_properties`](super::Page::cut_properties).
    RollupValue {
        Number(Option<Number>) = "number",
        Date(Option<DateValue>) = "date",
        Array(Vec<PropertyValue>) = "array",
        /// A value that is not computed yet. Read the following pages of the property.
        Incomplete(Other) = "incomplete",
        Unsupported(Other) = "unsupported",
    }
}

/// An item of the response to a request for one property.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum PropertyItem {
    /// A segment of a title.
    Title(RichText),
    /// A segment of a text.
    RichText(RichText),
    /// A person.
    People(Box<User>),
    /// A related page.
    Relation(Reference),
    /// The complete value of a property of any other type.
    Value(PropertyValue),
}

impl<'de> Deserialize<'de> for PropertyItem {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let mut members = Other::deserialize(from)?;
        let kind = members.get("type").and_then(serde_json::Value::as_str);
        let one = match kind {
            Some(kind @ ("title" | "rich_text" | "people" | "relation")) => members
                .get(kind)
                .filter(|it| it.is_object())
                .map(|it| (kind.to_owned(), it.clone())),
            _ => None,
        };
        if let Some((kind, value)) = one {
            let read = match kind.as_str() {
                "title" => serde_json::from_value(value).map(Self::Title),
                "rich_text" => serde_json::from_value(value).map(Self::RichText),
                "people" => serde_json::from_value(value).map(Self::People),
                _ => serde_json::from_value(value).map(Self::Relation),
            };
            if let Ok(item) = read {
                return Ok(item);
            }
        }
        Ok(Self::Value(PropertyValue::take(&mut members)))
    }
}

/// Schema of a data source: property configurations, keyed by name.
pub type Schema = BTreeMap<String, PropertyConfig>;

object! {
    /// The configuration of a property.
    PropertyConfig / PropertyConfigHead {
        /// The percent-encoded id.
        id: Option<String>,
        /// The name. In a request that renames the property, this is the new name.
        name: Option<String>,
        /// The description.
        description: Option<String>,
        ..
        /// The type and its settings.
        kind: PropertyKind,
    }
}

impl PropertyConfig {
    /// Creates a configuration with this type.
    #[must_use]
    pub fn new(kind: PropertyKind) -> Self {
        Self {
            kind,
            ..Self::default()
        }
    }

    /// Creates a configuration for a type without settings, for example `title`, `rich_text`,
    /// `date` or `checkbox`.
    #[must_use]
    pub fn of(kind: impl Into<String>) -> Self {
        let mut members = Other::new();
        let kind = kind.into();
        members.insert(kind.clone(), Other::new().into());
        members.insert("type".to_owned(), kind.into());
        Self::new(PropertyKind::take(&mut members))
    }

    /// Sets the new name of a property.
    #[must_use]
    pub fn renamed(name: impl Into<String>) -> Self {
        Self {
            name: Some(name.into()),
            ..Self::default()
        }
    }
}

tagged! {
    /// The type of a property, with its settings.
    PropertyKind {
        Title(Other) = "title",
        RichText(Other) = "rich_text",
        Number(NumberFormat) = "number",
        Url(Other) = "url",
        Email(Other) = "email",
        PhoneNumber(Other) = "phone_number",
        Checkbox(Other) = "checkbox",
        Select(Options) = "select",
        MultiSelect(Options) = "multi_select",
        Status(Options) = "status",
        Date(Other) = "date",
        People(Other) = "people",
        Files(Other) = "files",
        Relation(RelationConfig) = "relation",
        Rollup(RollupConfig) = "rollup",
        Formula(FormulaConfig) = "formula",
        UniqueId(UniqueIdConfig) = "unique_id",
        CreatedBy(Other) = "created_by",
        CreatedTime(Other) = "created_time",
        LastEditedBy(Other) = "last_edited_by",
        LastEditedTime(Other) = "last_edited_time",
        LastVisitedTime(Other) = "last_visited_time",
        Verification(Other) = "verification",
        Button(Other) = "button",
        Location(Other) = "location",
        Place(Other) = "place",
    }
}

/// Number format.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NumberFormat {
    /// The format, for example `number`, `percent` or `euro`.
    #[serde(default, skip_serializing_if = "is_default")]
    pub format: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// Options of a select, multi-select or status property.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Options {
    /// The options.
    #[serde(default, skip_serializing_if = "is_default")]
    pub options: Vec<SelectOption>,
    /// Further JSON members, for example the groups of a status.
    #[serde(flatten)]
    pub other: Other,
}

impl Options {
    /// Creates options with these names.
    #[must_use]
    pub fn named<S: Into<String>>(names: impl IntoIterator<Item = S>) -> Self {
        Self {
            options: names.into_iter().map(SelectOption::named).collect(),
            other: Other::new(),
        }
    }
}

object! {
    /// The target of a relation.
    RelationConfig / RelationConfigHead {
        /// ID of the related data source.
        data_source_id: Option<DataSourceId>,
        ..
        /// Direction of the relation.
        direction: RelationDirection,
    }
}

tagged! {
    /// The direction of a relation.
    RelationDirection {
        Single(Other) = "single_property",
        /// Two-way relation: the related data source has a property for the opposite direction.
        Dual(Other) = "dual_property",
    }
}

/// Settings of a rollup.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RollupConfig {
    /// The aggregation function, for example `sum`.
    #[serde(default)]
    pub function: String,
    /// The name of the relation property.
    #[serde(default, skip_serializing_if = "is_default")]
    pub relation_property_name: Option<String>,
    /// The name of the property in the related pages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub rollup_property_name: Option<String>,
    /// Further JSON members, for example the ids of both properties.
    #[serde(flatten)]
    pub other: Other,
}

/// Settings of a formula.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct FormulaConfig {
    /// The expression.
    #[serde(default, skip_serializing_if = "is_default")]
    pub expression: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}

/// Settings of a property that holds a unique id for each page.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct UniqueIdConfig {
    /// The prefix.
    #[serde(default)]
    pub prefix: Option<String>,
    /// Further JSON members, kept unchanged.
    #[serde(flatten)]
    pub other: Other,
}
