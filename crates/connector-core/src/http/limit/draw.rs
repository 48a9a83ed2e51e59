//! The limits that a call draws from.

use std::borrow::Cow;

use smallvec::SmallVec;

/// The limits of the provider's description that a call draws from.
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
    /// Every limit per app and per account, `cost` of each, in the limit's unit.
    pub fn cost(cost: u32) -> Self {
        Self {
            general: true,
            cost,
            named: SmallVec::new(),
        }
    }

    /// No limit but those that are added with [`Draws::with`].
    pub fn none() -> Self {
        Self {
            general: false,
            ..Self::cost(1)
        }
    }

    /// Adds a limit, or replaces the draw from one that the call would draw from anyway.
    pub fn with(mut self, draw: Draw) -> Self {
        self.named.push(draw);
        self
    }
}

impl Default for Draws {
    /// Every limit per app and per account, 1 of each.
    fn default() -> Self {
        Self::cost(1)
    }
}

/// The draw of a call from one named limit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Draw {
    pub(crate) limit: &'static str,
    pub(crate) key: Option<Cow<'static, str>>,
    pub(crate) cost: Option<u32>,
}

impl Draw {
    /// A draw from the limit with this name in the provider's description.
    pub fn new(limit: &'static str) -> Self {
        Self {
            limit,
            key: None,
            cost: None,
        }
    }

    /// Sets the key under which the limit counts the call: a channel, a report type, a base. Limits
    /// per resource need one. Limits per operation without one count by the operation's name.
    pub fn with_key(mut self, key: impl Into<Cow<'static, str>>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets the cost in the limit's unit. Default: that of [`Draws::cost`].
    pub fn with_cost(mut self, cost: u32) -> Self {
        self.cost = Some(cost);
        self
    }
}
