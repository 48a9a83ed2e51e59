//! The meaning of error responses from a token endpoint.

use serde::Deserialize;

/// A rule that classifies an error response from a token endpoint.
///
/// The rule matches on status, code and description together, because providers reuse codes.
///
/// Every condition that is set must match. Rules are tried in order, before the codes of RFC 6749
/// section 5.2. The first rule that matches decides.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RefusalRule {
    /// The HTTP status to match. If absent, any status from 200 to 499 except 429 matches. No rule
    /// matches 429 or 5xx.
    #[serde(default)]
    pub status: Option<u16>,
    /// The error code to match. If absent, the rule matches only responses without an error code.
    #[serde(default)]
    pub code: Option<String>,
    /// A substring of the error description, matched case-insensitively. Prefer a code, because
    /// descriptions change.
    #[serde(default)]
    pub description: Option<String>,
    /// The meaning of a matching response.
    pub means: RefusalMeaning,
}

impl RefusalRule {
    /// Returns a rule for the error code `code` with any status.
    #[must_use]
    pub fn code(code: impl Into<String>, means: RefusalMeaning) -> Self {
        Self {
            status: None,
            code: Some(code.into()),
            description: None,
            means,
        }
    }

    /// Returns a rule for `status` in a response without an error code.
    #[must_use]
    pub const fn status(status: u16, means: RefusalMeaning) -> Self {
        Self {
            status: Some(status),
            code: None,
            description: None,
            means,
        }
    }

    /// Restricts the rule to one HTTP status.
    #[must_use]
    pub const fn with_status(mut self, status: u16) -> Self {
        self.status = Some(status);
        self
    }

    /// Restricts the rule to descriptions that contain `part`, matched case-insensitively.
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

    /// Returns the name of the first field with an invalid value.
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

/// The meaning of an error response from the token endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum RefusalMeaning {
    /// The grant has ended, as with `invalid_grant`.
    DeadGrant,
    /// The provider rejects the app registration, as with `invalid_client`. If the provider rejects
    /// the app for only one account, the app is no longer installed in this account.
    AppFault,
    /// The provider rejects the app registration for all accounts.
    AppFaultCertain,
    /// Another request with the same refresh token is in progress or has succeeded.
    AlreadyRefreshed,
    /// The provider is temporarily unavailable. Retry later.
    Transient,
}
