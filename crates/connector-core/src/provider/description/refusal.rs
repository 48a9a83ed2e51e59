//! The meaning of a token endpoint's refusals.

use serde::Deserialize;

/// One refusal of a token endpoint and its meaning. A refusal is recognised by status, code and
/// description together, because providers reuse codes.
///
/// Every condition that is set must hold. Rules are tried in their order, before the codes of RFC 6749
/// section 5.2; the first one that fits decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RefusalRule {
    /// The HTTP status; any status from 200 to 499 if absent. A rule never applies to 429 or 5xx.
    #[serde(default)]
    pub status: Option<u16>,
    /// An error code of the response. Without it, the rule applies to responses without any code.
    #[serde(default)]
    pub code: Option<String>,
    /// A part of the error description, in any case. Prefer a code: descriptions change.
    #[serde(default)]
    pub description: Option<String>,
    /// The meaning.
    pub means: RefusalMeaning,
}

impl RefusalRule {
    /// The meaning of the error code `code`, whatever the status.
    #[must_use]
    pub fn code(code: impl Into<String>, means: RefusalMeaning) -> Self {
        Self {
            status: None,
            code: Some(code.into()),
            description: None,
            means,
        }
    }

    /// The meaning of `status` in a response without an error code.
    #[must_use]
    pub const fn status(status: u16, means: RefusalMeaning) -> Self {
        Self {
            status: Some(status),
            code: None,
            description: None,
            means,
        }
    }

    /// Restricts the rule to a status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Restricts the rule to descriptions that contain `part`, in any case.
    #[must_use]
    pub fn with_description(mut self, part: impl Into<String>) -> Self {
        self.description = Some(part.into());
        self
    }

    pub(crate) fn applies(&self, status: u16, codes: &[String], description: Option<&str>) -> bool {
        let fits_code = match &self.code {
            Some(code) => codes.contains(code),
            None => codes.is_empty(),
        };
        let fits_description = self.description.as_ref().is_none_or(|part| {
            description.is_some_and(|text| {
                text.to_ascii_lowercase()
                    .contains(&part.to_ascii_lowercase())
            })
        });
        fits_code && fits_description && self.status.is_none_or(|it| it == status)
    }

    /// The name of the first field that has a senseless value.
    pub(super) fn wrong(&self) -> Option<&'static str> {
        if self
            .status
            .is_some_and(|status| !(200..=499).contains(&status) || status == 429)
        {
            Some("status")
        } else if self.code.as_ref().is_some_and(String::is_empty) {
            Some("code")
        } else if self.description.as_ref().is_some_and(String::is_empty) {
            Some("description")
        } else if self.code.is_none() && self.status.is_none() {
            Some("code")
        } else {
            None
        }
    }
}

/// The meaning of a refusal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalMeaning {
    /// The grant is over, as with `invalid_grant`.
    DeadGrant,
    /// The registration is refused, as with `invalid_client`. If it happens to one account alone, the
    /// app is no longer installed there.
    AppFault,
    /// The registration is refused, and nothing about one account can cause it.
    AppFaultCertain,
    /// Another request with the same refresh token is being worked on, or has won.
    SiblingWon,
    /// The provider is busy; ask again later.
    Transient,
}
