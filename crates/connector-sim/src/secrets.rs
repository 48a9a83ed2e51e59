//! Secrets with a recognisable mark, for leak searches.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use ring::digest::{SHA256, digest};

/// A generator of secrets that all contain the same mark.
///
/// A test searches logs, errors and databases for the mark. The secrets are unique, but not random:
/// the same sequence of calls returns the same secrets.
pub struct Secrets {
    mark: String,
    made: AtomicU64,
}

impl Secrets {
    /// Creates a generator whose secrets contain `mark`.
    #[must_use]
    pub fn new(mark: impl Into<String>) -> Self {
        Self {
            mark: mark.into(),
            made: AtomicU64::new(0),
        }
    }

    /// Returns a new secret that starts with `prefix` and the mark.
    #[must_use]
    pub fn issue(&self, prefix: &str) -> String {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let digest = digest(&SHA256, &number.to_be_bytes());
        let mut part = [0; 16];
        part.copy_from_slice(&digest.as_ref()[..16]);
        let part = u128::from_be_bytes(part);
        format!("{prefix}{}{part:032x}", self.mark)
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secrets")
            .field("made", &self.made)
            .finish_non_exhaustive()
    }
}
