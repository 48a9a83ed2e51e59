//! The limits that a call uses.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The limits from the provider's description that a call uses, each with its cost.
///
/// ```
/// use connector_core::http::limit::{Draw, Draws};
///
/// // Every limit per app and per account, and 1 of the channel's own limit.
/// let draws = Draws::default().with(Draw::new("channel").with_key("C024BE91L"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Draws {
    pub(crate) general: bool,
    pub(crate) cost: u32,
    pub(crate) named: SmallVec<[Draw; 1]>,
}

impl Draws {
    /// Creates draws from every limit per app and per account, with `cost` units of each.
    pub fn cost(cost: u32) -> Self {
        Self {
            general: true,
            cost,
            named: SmallVec::new(),
        }
    }

    /// Creates an empty set of draws. Add limits with [`Draws::with`].
    pub fn none() -> Self {
        Self {
            general: false,
            ..Self::cost(1)
        }
    }

    /// Adds a limit, or replaces the cost and key of a limit that is already used.
    pub fn with(mut self, draw: Draw) -> Self {
        self.named.push(draw);
        self
    }
}

impl Default for Draws {
    /// Creates draws from every limit per app and per account, with 1 unit of each.
    fn default() -> Self {
        Self::cost(1)
    }
}

/// The units that a call takes from one named limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Draw {
    pub(crate) limit: &'static str,
    pub(crate) key: Option<Cow<'static, str>>,
    pub(crate) cost: Option<u32>,
}

impl Draw {
    /// Creates a draw from the limit with the given name in the provider's description.
    pub fn new(limit: &'static str) -> Self {
        Self {
            limit,
            key: None,
            cost: None,
        }
    }

    /// Sets the key under which the limit counts the call, for example a channel, a report type or
    /// a base. A limit per resource requires a key. For a limit per operation, the default key is
    /// the operation's name.
    pub fn with_key(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the cost in the limit's unit. Default: the cost set with [`Draws::cost`].
    pub fn with_cost(mut self, cost: u32) -> Self {
        self.cost = Some(cost);
        self
    }
}
