//! Example programs under `src/bin`. This library contains the parts that several programs share,
//! and compiles the Rust code of the book as doctests.

#![expect(clippy::print_stdout, reason = "the examples print their steps")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use connectors::cipher::Keyring;
use connectors::clock::{ManualClock, SystemClock};
use connectors::{Actor, Hub, HubBuilder, MemoryStore, ProviderId, TenantId};
use url::Url;

/// The result of a program or of one of its steps.
pub type Outcome<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

/// Prints the title of the next step.
pub fn step(title: &str) {
    println!("\n{title}");
}

/// Prints a line about the current step.
pub fn say(line: &str) {
    println!("  {line}");
}

/// Checks that a condition holds.
///
/// # Errors
/// `otherwise`, if the condition does not hold.
pub fn ensure(holds: bool, otherwise: &'static str) -> Outcome {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

/// Returns true if an environment variable is set to a value that is not empty.
#[must_use]
pub fn is_set(name: &str) -> bool {
    variable(name).is_some()
}

/// Returns the value of an environment variable, if the value is not empty.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "only this function reads the environment"
)]
pub fn variable(name: &str) -> Option<std::ffi::OsString> {
    std::env::var_os(name).filter(|value| !value.is_empty())
}

/// Returns the authorization URL of a real provider. `hub` contains the provider's connector. A
/// service keeps its hub and its store until the callback arrives.
///
/// # Errors
/// An error if the connector's settings are incomplete.
pub async fn authorization_url(hub: HubBuilder, provider: ProviderId) -> Outcome<Url> {
    let hub = hub
        .store(MemoryStore::new(Arc::new(SystemClock::new())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .build()?;
    let authorization = hub
        .authorize(&TenantId::new("tenant-1")?, provider)
        .actor(Actor::User("user-1".into()))
        .begin()
        .await?;
    Ok(authorization.url().clone())
}

/// Runs the jobs that are due in the next ten seconds. In a service, the worker runs in the
/// background.
///
/// # Errors
/// The errors of the worker.
pub async fn run_jobs(hub: &Hub, clock: &ManualClock) -> Outcome {
    for _ in 0..10 {
        clock.advance(Duration::from_secs(1));
        while hub.worker().tick().await?.more {}
    }
    Ok(())
}

#[cfg(doctest)]
#[doc = include_str!("../../docs/getting-started.md")]
struct GettingStarted;

#[cfg(doctest)]
#[doc = include_str!("../../docs/any-oauth-provider.md")]
struct AnyOAuthProvider;

#[cfg(doctest)]
#[doc = include_str!("../../docs/stores.md")]
struct Stores;

#[cfg(doctest)]
#[doc = include_str!("../../docs/running-a-fleet.md")]
struct RunningAFleet;

#[cfg(doctest)]
#[doc = include_str!("../../docs/receiving-webhooks.md")]
struct ReceivingWebhooks;
