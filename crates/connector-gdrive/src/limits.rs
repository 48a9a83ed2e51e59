//! Google Drive's quota, in units per minute, for the project and for each user.
//!
//! See [Google Drive docs: Usage limits](https://developers.google.com/workspace/drive/api/guides/limits).

use connector_core::http::limit::{Limit, Per};

/// Quota units per minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Quota {
    pub(crate) project: u32,
    pub(crate) user: u32,
}

impl Default for Quota {
    fn default() -> Self {
        Self {
            project: 1_000_000,
            user: 325_000,
        }
    }
}

/// Cost of operations, in quota units.
pub(crate) mod cost {
    /// Reading one resource.
    pub(crate) const READ: u32 = 5;
    /// Listing resources.
    pub(crate) const LIST: u32 = 100;
    /// Downloading the content of a file.
    pub(crate) const DOWNLOAD: u32 = 200;
    /// Changing a resource.
    pub(crate) const EDIT: u32 = 50;
    /// All other operations.
    pub(crate) const OTHER: u32 = 5;
}

pub(crate) fn limits(quota: Quota) -> Vec<Limit> {
    vec![
        Limit::window("project", Per::App, quota.project, 60),
        Limit::window("user", Per::Account, quota.user, 60),
    ]
}
