//! Macros for Notion's tagged values. A tagged value is either a JSON object `{"type":"x","x":…}`
//! or a part of an object with further members.

use serde_json::{Map, Value};

/// Removes the member `type` and the member named by the type. Returns an empty type if the object
/// has none.
pub(super) fn take(members: &mut Map<String, Value>) -> (String, Option<Value>) {
    match members.remove("type") {
        Some(Value::String(kind)) => {
            let value = members.remove(&kind);
            (kind, value)
        }
        other => {
            members.extend(other.map(|it| ("type".to_owned(), it)));
            (String::new(), None)
        }
    }
}

/// Adds the member `type` and the member named by the type.
pub(super) fn put(members: &mut Map<String, Value>, kind: &str, value: Option<Value>) {
    if !kind.is_empty() {
        members.insert("type".to_owned(), kind.into());
        members.extend(value.map(|it| (kind.to_owned(), it)));
    }
}

/// Returns true if serialization may omit this member.
pub(super) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Defines an enum for a tagged value. A value with an unknown type, or with an unknown form of a
/// known type, is kept and written back unchanged.
macro_rules! tagged {
    (
        $(#[$doc:meta])*
        $name:ident {
            $($(#[$variant_doc:meta])* $variant:ident($value:ty) = $tag:literal,)*
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq)]
        #[non_exhaustive]
        pub enum $name {
            $(
                $(#[$variant_doc])*
                #[doc = concat!("The type `", $tag, "`.")]
                $variant($value),
            )*
            /// A value whose type or form this version does not know.
            Other {
                /// The type. Empty if the object has no type.
                kind: String,
                /// The unchanged value.
                value: Option<serde_json::Value>,
            },
        }

        impl $name {
            /// All types that this version knows.
            pub const KINDS: &'static [&'static str] = &[$($tag),*];

            /// Returns Notion's name of the type.
            #[must_use]
            pub fn kind(&self) -> &str {
                match self {
                    $(Self::$variant(_) => $tag,)*
                    Self::Other { kind, .. } => kind,
                }
            }

            pub(crate) fn take(members: &mut $crate::models::Other) -> Self {
                let (kind, value) = $crate::models::tagged::take(members);
                let read = match kind.as_str() {
                    $($tag => value.clone().and_then(|value| {
                        serde_json::from_value(value).ok().map(Self::$variant)
                    }),)*
                    _ => None,
                };
                read.unwrap_or(Self::Other { kind, value })
            }

            pub(crate) fn put<E: serde::ser::Error>(
                &self,
                members: &mut $crate::models::Other,
            ) -> Result<(), E> {
                let value = match self {
                    $(Self::$variant(value) => {
                        Some(serde_json::to_value(value).map_err(E::custom)?)
                    })*
                    Self::Other { value, .. } => value.clone(),
                };
                $crate::models::tagged::put(members, self.kind(), value);
                Ok(())
            }
        }

        impl Default for $name {
            fn default() -> Self {
                Self::Other { kind: String::new(), value: None }
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let mut members = $crate::models::Other::deserialize(from)?;
                Ok(Self::take(&mut members))
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let mut members = $crate::models::Other::new();
                self.put(&mut members)?;
                members.serialize(to)
            }
        }
    };
}

/// Defines a struct for an object with a tagged value and further members.
macro_rules! object {
    (
        $(#[$doc:meta])*
        $name:ident / $head:ident {
            $($(#[$field_doc:meta])* $field:ident: $type:ty,)*
            ..
            $(#[$content_doc:meta])* $content:ident: $kinds:ty,
        }
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Default)]
        #[non_exhaustive]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $type,)*
            $(#[$content_doc])*
            pub $content: $kinds,
            /// Further JSON members, kept unchanged.
            pub other: $crate::models::Other,
        }

        #[derive(serde::Serialize, serde::Deserialize)]
        struct $head {
            $(
                #[serde(default, skip_serializing_if = "crate::models::tagged::is_default")]
                $field: $type,
            )*
            #[serde(flatten)]
            other: $crate::models::Other,
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let mut members = $crate::models::Other::deserialize(from)?;
                let $content = <$kinds>::take(&mut members);
                let head: $head = serde_json::from_value(members.into())
                    .map_err(serde::de::Error::custom)?;
                Ok(Self { $($field: head.$field,)* $content, other: head.other })
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let head = $head {
                    $($field: self.$field.clone(),)*
                    other: self.other.clone(),
                };
                let head = serde_json::to_value(head).map_err(serde::ser::Error::custom)?;
                let mut members = match head {
                    serde_json::Value::Object(members) => members,
                    _ => $crate::models::Other::new(),
                };
                self.$content.put(&mut members)?;
                members.serialize(to)
            }
        }
    };
}

pub(crate) use {object, tagged};
