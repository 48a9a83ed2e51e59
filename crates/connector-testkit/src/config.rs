//! The one place that reads the environment.

use std::path::PathBuf;

/// Where test processes leave what is looked at after the run.
pub(crate) const ARTEFACTS: &str = "CONNECTORS_TEST_ARTEFACTS";

/// What every secret of a run begins with.
pub(crate) const CANARY: &str = "CONNECTORS_TEST_CANARY";

#[expect(clippy::disallowed_methods, reason = "this is the testkit's config.rs")]
pub(crate) fn artefacts() -> Option<PathBuf> {
    std::env::var_os(ARTEFACTS)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[expect(clippy::disallowed_methods, reason = "this is the testkit's config.rs")]
pub(crate) fn canary() -> Option<String> {
    std::env::var_os(CANARY)
        .filter(|value| !value.is_empty())
        .map(|value| value.to_string_lossy().into_owned())
}
