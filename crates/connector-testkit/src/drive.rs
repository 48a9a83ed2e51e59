//! Waiting while simulated time advances.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use connector_core::clock::ManualClock;

/// Real time that a pending future gets before the clock advances: enough for a request to a simulator
/// on this machine.
const PATIENCE: Duration = Duration::from_millis(2);
/// Maximum number of steps.
const STEPS: u32 = 20_000;

/// Awaits `future` while simulated time advances. Whenever the future is pending for two milliseconds
/// of real time, `clock` advances by `step`.
///
/// # Panics
/// If the future is not ready after 20,000 steps.
#[expect(clippy::panic, reason = "a test fails by panicking")]
pub async fn drive<T>(clock: &ManualClock, step: Duration, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    for _ in 0..STEPS {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = tokio::time::sleep(PATIENCE) => clock.advance(step),
        }
    }
    panic!("the future is not ready after {STEPS} steps of {step:?}");
}
