//! Access to environment variables. No other module reads the environment.

use std::path::PathBuf;

/// Directory for the artefacts of test processes.
pub(crate) const ARTEFACTS: &str = "CONNECTORS_TEST_ARTEFACTS";

/// Prefix of every secret in a run.
pub(crate) const CANARY: &str = "CONNECTORS_TEST_CANARY";

/// Directory with official descriptions of providers.
pub(crate) const ORACLES: &str = "CONNECTORS_ORACLES";

#[expect(
    clippy::disallowed_methods,
    reason = "environment variables are read only in config.rs"
)]
pub(crate) fn oracles() -> Option<PathBuf> {
    std::env::var_os(ORACLES)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[expect(
    clippy::disallowed_methods,
    reason = "environment variables are read only in config.rs"
)]
pub(crate) fn artefacts() -> Option<PathBuf> {
    std::env::var_os(ARTEFACTS)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[expect(
    clippy::disallowed_methods,
    reason = "environment variables are read only in config.rs"
)]
pub(crate) fn canary() -> Option<String> {
    std::env::var_os(CANARY)
        .filter(|value| !value.is_empty())
        .map(|value| value.to_string_lossy().into_owned())
}
