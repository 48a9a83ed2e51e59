//! String enumerations of providers that keep unknown values.

/// Defines an enumeration whose values are strings of a provider's API. A string that this version
/// does not know is kept in the last variant and written back unchanged.
///
/// The type implements `as_str`, `Display`, `From<String>`, `From<&str>`, and serde's traits as a
/// string. The caller needs `serde` as a dependency.
///
/// ```
/// connector_core::provider::open_enum! {
///     /// The state of a task.
///     pub enum TaskState {
///         /// Work has not started.
///         Open = "open",
///         /// The task is complete.
///         Done = "done",
///     } else
///     /// A state that this version does not know.
///     Other
/// }
///
/// let state: TaskState = serde_json::from_str(r#""blocked""#)?;
/// assert_eq!(state, TaskState::Other("blocked".to_owned()));
/// assert_eq!(serde_json::to_string(&state)?, r#""blocked""#);
/// assert_eq!(TaskState::from("done").as_str(), "done");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[macro_export]
macro_rules! open_enum {
    (
        $(#[$meta:meta])*
        $vis:vis enum $name:ident {
            $($(#[$variant_meta:meta])* $variant:ident = $text:literal),* $(,)?
        } else
        $(#[$unknown_meta:meta])*
        $unknown:ident
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        $vis enum $name {
            $($(#[$variant_meta])* $variant,)*
            $(#[$unknown_meta])*
            $unknown(::std::string::String),
        }

        impl $name {
            /// Returns the value in the provider's spelling.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::$unknown(text) => text,
                }
            }
        }

        impl ::std::convert::From<::std::string::String> for $name {
            fn from(text: ::std::string::String) -> Self {
                match text.as_str() {
                    $($text => Self::$variant,)*
                    _ => Self::$unknown(text),
                }
            }
        }

        impl ::std::convert::From<&str> for $name {
            fn from(text: &str) -> Self {
                Self::from(text.to_owned())
            }
        }

        impl ::std::convert::From<$name> for ::std::string::String {
            fn from(value: $name) -> Self {
                match value {
                    $name::$unknown(text) => text,
                    known => known.as_str().to_owned(),
                }
            }
        }

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl ::serde::Serialize for $name {
            fn serialize<S: ::serde::Serializer>(
                &self,
                serializer: S,
            ) -> ::std::result::Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> ::serde::Deserialize<'de> for $name {
            fn deserialize<D: ::serde::Deserializer<'de>>(
                deserializer: D,
            ) -> ::std::result::Result<Self, D::Error> {
                <::std::string::String as ::serde::Deserialize>::deserialize(deserializer)
                    .map(Self::from)
            }
        }
    };
}
