//! Macros that generate a resource's type, field mask and schema from one definition.

/// A value that is omitted from JSON if it is empty.
pub(crate) trait Absent {
    fn is_absent(&self) -> bool;
}

impl<T> Absent for Option<T> {
    fn is_absent(&self) -> bool {
        self.is_none()
    }
}

impl<T> Absent for Vec<T> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

impl<K, V> Absent for std::collections::BTreeMap<K, V> {
    fn is_absent(&self) -> bool {
        self.is_empty()
    }
}

/// A secret text in a request or a response. Debug output does not contain the text.
#[derive(Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub(crate) struct Hidden(String);

impl Hidden {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// Converts the name of a Rust field to its name in JSON, for example `md5_checksum` to
/// `md5Checksum` and `r#type` to `type`.
pub(crate) fn camel(name: &str) -> String {
    let mut camel = String::with_capacity(name.len());
    let mut is_upper = false;
    for c in name.trim_start_matches("r#").chars() {
        match c {
            '_' => is_upper = true,
            c if is_upper => {
                camel.push(c.to_ascii_uppercase());
                is_upper = false;
            }
            c => camel.push(c),
        }
    }
    camel
}

/// Serialization of 64-bit numbers, which Google sends as strings. JSON numbers are also accepted.
pub(crate) mod int64 {
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Number {
        Number(u64),
        Text(String),
    }

    #[expect(clippy::ref_option, reason = "serde passes the field")]
    pub(crate) fn serialize<S: Serializer>(value: &Option<u64>, to: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(number) => to.collect_str(number),
            None => to.serialize_none(),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<u64>, D::Error> {
        let read = Option::<Number>::deserialize(from)?;
        // A number that is out of range becomes `None`.
        Ok(read.and_then(|it| match it {
            Number::Number(number) => Some(number),
            Number::Text(text) => text.parse().ok(),
        }))
    }
}

/// Defines a resource: the struct, its implementation of [`Resource`](crate::models::Resource), and
/// the methods of its [`Mask`](crate::models::Mask). Fields under `int64` are 64-bit numbers. Fields
/// under `secret` are not public and not shown in debug output.
macro_rules! resource {
    (
        $(#[$meta:meta])*
        $name:ident = $schema:literal {
            $($(#[$doc:meta])* $field:ident: $type:ty,)*
        }
        $(int64 { $($(#[$number_doc:meta])* $number:ident,)* })?
        $(secret { $($secret:ident,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[non_exhaustive]
        pub struct $name {
            $(
                $(#[$doc])*
                #[serde(default, skip_serializing_if = "crate::models::Absent::is_absent")]
                pub $field: $type,
            )*
            $($(
                $(#[$number_doc])*
                #[serde(
                    default,
                    with = "crate::models::int64",
                    skip_serializing_if = "Option::is_none"
                )]
                pub $number: Option<u64>,
            )*)?
            $($(
                #[serde(default, skip_serializing_if = "Option::is_none")]
                pub(crate) $secret: Option<crate::models::Hidden>,
            )*)?
            /// Members that this version does not know.
            #[serde(flatten)]
            pub other: crate::models::Other,
        }

        impl crate::models::Resource for $name {
            const SCHEMA: crate::models::Schema = crate::models::Schema {
                name: $schema,
                fields: &[
                    $((stringify!($field), stringify!($type)),)*
                    $($((stringify!($number), "int64"),)*)?
                ],
            };
        }

        impl crate::models::Mask<$name> {
            $(
                #[doc = concat!("Adds the field `", stringify!($field), "`.")]
                pub fn $field(self) -> Self {
                    self.with(&crate::models::camel(stringify!($field)))
                }
            )*
            $($(
                #[doc = concat!("Adds the field `", stringify!($number), "`.")]
                pub fn $number(self) -> Self {
                    self.with(&crate::models::camel(stringify!($number)))
                }
            )*)?
        }
    };
}
pub(crate) use resource;

/// Defines the body of a write request: a struct of optional fields, with a setter for each field.
/// Fields under `secret` are strings that debug output does not show.
macro_rules! write {
    (
        $(#[$meta:meta])*
        $name:ident = $schema:literal {
            $($(#[$doc:meta])* $with:ident => $field:ident: $type:ty,)*
        }
        $(secret { $($(#[$secret_doc:meta])* $with_secret:ident => $secret:ident,)* })?
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize)]
        #[serde(rename_all = "camelCase")]
        #[must_use]
        pub struct $name {
            $(
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $field: Option<$type>,
            )*
            $($(
                #[serde(skip_serializing_if = "Option::is_none")]
                pub(crate) $secret: Option<crate::models::Hidden>,
            )*)?
            #[serde(flatten)]
            other: crate::models::Other,
        }

        impl $name {
            $(
                $(#[$doc])*
                pub fn $with(mut self, value: impl Into<$type>) -> Self {
                    self.$field = Some(value.into());
                    self
                }
            )*

            $($(
                $(#[$secret_doc])*
                pub fn $with_secret(mut self, value: impl Into<String>) -> Self {
                    self.$secret = Some(crate::models::Hidden::new(value));
                    self
                }
            )*)?

            /// Sets a field without its own setter, by its name in Google's API.
            pub fn with_other(
                mut self,
                name: impl Into<String>,
                value: impl Into<serde_json::Value>,
            ) -> Self {
                self.other.insert(name.into(), value.into());
                self
            }
        }

        impl crate::models::Resource for $name {
            const SCHEMA: crate::models::Schema = crate::models::Schema {
                name: $schema,
                fields: &[
                    $((stringify!($field), stringify!(Option<$type>)),)*
                    $($((stringify!($secret), "Option<String>"),)*)?
                ],
            };
        }
    };
}
pub(crate) use write;

/// Defines an enum of strings that preserves unknown strings.
macro_rules! texts {
    (
        $(#[$meta:meta])*
        $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal,)* }
    ) => {
        connector_core::provider::open_enum! {
            $(#[$meta])*
            pub enum $name {
                $($(#[$doc])* $variant = $text,)*
            } else
            /// A value that this version does not know, as Google spells it.
            Other
        }
    };
}
pub(crate) use texts;
