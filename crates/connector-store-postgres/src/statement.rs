//! SQL statements with their parameters.

use std::borrow::Cow;
use std::time::Duration;

use connector_core::ConnectionKey;
use connector_core::cipher::Sealed;
use connector_core::clock::Timestamp;
use tokio_postgres::types::{ToSql, Type};

/// A value of a parameter and its type, which is declared explicitly.
pub(crate) type Parameter = (Box<dyn ToSql + Sync + Send>, Type);

/// A statement in the store's notation: `@.` is the schema, `@now` the current time of the store's
/// clock, and `@asof` the time at which the statement began. `@asof` can be compared by an index;
/// `@now` is later after a wait for a lock. `$1` is reserved for the time of an injected clock.
pub(crate) struct Statement {
    pub(crate) sql: Cow<'static, str>,
    pub(crate) parameters: Vec<Parameter>,
}

/// A type that can be a parameter.
pub(crate) trait Bind {
    fn parameter(self) -> Parameter;
}

macro_rules! bind {
    ($($type:ty => $sql:ident),* $(,)?) => {
        $(impl Bind for $type {
            fn parameter(self) -> Parameter {
                (Box::new(self), Type::$sql)
            }
        })*
    };
}

bind! {
    bool => BOOL,
    i64 => INT8,
    Option<i64> => INT8,
    Vec<u8> => BYTEA,
    Option<Vec<u8>> => BYTEA,
    Vec<bool> => BOOL_ARRAY,
    Vec<i64> => INT8_ARRAY,
    Option<Vec<i64>> => INT8_ARRAY,
    Option<Vec<Option<i64>>> => INT8_ARRAY,
    Vec<Vec<u8>> => BYTEA_ARRAY,
    Option<Vec<Vec<u8>>> => BYTEA_ARRAY,
    Vec<Option<Vec<u8>>> => BYTEA_ARRAY,
    Vec<String> => TEXT_ARRAY,
}

impl Bind for &[u8] {
    fn parameter(self) -> Parameter {
        self.to_vec().parameter()
    }
}

impl<const N: usize> Bind for &[u8; N] {
    fn parameter(self) -> Parameter {
        self.to_vec().parameter()
    }
}

impl Bind for &str {
    fn parameter(self) -> Parameter {
        (Box::new(storable(self)), Type::TEXT)
    }
}

impl Bind for Option<&str> {
    fn parameter(self) -> Parameter {
        (Box::new(self.map(storable)), Type::TEXT)
    }
}

impl Bind for Timestamp {
    fn parameter(self) -> Parameter {
        self.as_unix_millis().parameter()
    }
}

impl Bind for Option<Timestamp> {
    fn parameter(self) -> Parameter {
        self.map(Timestamp::as_unix_millis).parameter()
    }
}

/// Replaces U+0000, which PostgreSQL cannot store, by U+FFFD. Names never contain it, so this changes
/// only texts of providers, such as labels and errors.
pub(crate) fn storable(text: &str) -> String {
    if text.contains('\0') {
        return text.replace('\0', "\u{fffd}");
    }
    text.to_owned()
}

/// The longest duration that is added to a time in SQL, more than 100,000 years. Longer durations
/// mean "never" and would exceed the range of `bigint`.
const LONGEST: i64 = 1 << 52;

/// Converts a duration to milliseconds, rounded up, so that a wait is never too short.
pub(crate) fn millis(duration: Duration) -> i64 {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(millis).unwrap_or(LONGEST).min(LONGEST)
}

impl Statement {
    /// Creates a statement whose first parameter is `$2`.
    pub(crate) fn new(sql: impl Into<Cow<'static, str>>) -> Self {
        Self {
            sql: sql.into(),
            parameters: vec![None::<i64>.parameter()],
        }
    }

    /// Creates a statement whose parameters `$2` and `$3` are a connection's tenant and id.
    pub(crate) fn of(sql: impl Into<Cow<'static, str>>, key: &ConnectionKey) -> Self {
        Self::new(sql)
            .bind(key.tenant.as_str())
            .bind(key.id.as_bytes())
    }

    /// Adds the next parameter.
    pub(crate) fn bind(mut self, value: impl Bind) -> Self {
        self.parameters.push(value.parameter());
        self
    }

    /// Adds a key id and the bytes sealed under that key.
    pub(crate) fn bind_sealed(self, sealed: &Sealed) -> Self {
        self.bind(sealed.key_id().as_bytes())
            .bind(sealed.bytes().as_ref())
    }

    /// Adds an optional key id and the bytes sealed under that key.
    pub(crate) fn bind_maybe_sealed(self, sealed: Option<&Sealed>) -> Self {
        self.bind(sealed.map(|it| it.key_id().as_bytes().to_vec()))
            .bind(sealed.map(|it| it.bytes().to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_rounded_up_and_bounded() {
        assert_eq!(millis(Duration::ZERO), 0);
        assert_eq!(millis(Duration::from_nanos(1)), 1);
        assert_eq!(millis(Duration::from_millis(7)), 7);
        assert_eq!(millis(Duration::MAX), LONGEST);
    }

    #[test]
    fn a_text_with_a_zero_character_is_made_storable() {
        assert_eq!(storable("a\0b"), "a\u{fffd}b");
        assert_eq!(storable("a b"), "a b");
    }
}
