//! Advisory and mandatory refresh windows of tokens.

use std::time::Duration;

use connector_core::ConnectionId;
use connector_core::clock::Clock;
use connector_core::store::Deadlines;

/// Two times before the expiry of a token. After the first of them, the token is refreshed in the
/// background. After the second, callers wait for a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) advisory: Duration,
    pub(crate) mandatory: Duration,
}

/// Maximum advisory refresh window, unless the description sets one.
const MAX_ADVISORY: Duration = Duration::from_secs(30 * 60);
/// Maximum mandatory refresh window. Long enough for a slow exchange.
const MAX_MANDATORY: Duration = Duration::from_secs(60);

impl Windows {
    /// Returns the windows of a token with the given lifetime. They are a quarter and a sixtieth of
    /// the lifetime, within limits. `ahead` replaces the quarter if the description sets it. The
    /// advisory window is shortened by up to a quarter. The fraction is constant per connection, so
    /// that tokens with the same issue time are refreshed at different times.
    pub(crate) fn of(lifetime: Duration, ahead: Option<Duration>, id: ConnectionId) -> Self {
        let advisory = match ahead {
            // A new token must not be due for its refresh at once.
            Some(ahead) => ahead.min(lifetime / 4 * 3),
            None => (lifetime / 4).min(MAX_ADVISORY),
        };
        Self {
            advisory: advisory.saturating_sub(share(advisory / 4, id)),
            mandatory: (lifetime / 60).min(MAX_MANDATORY),
        }
    }

    /// Returns the time until the advisory window opens for a token whose remaining lifetime is
    /// `left`.
    pub(crate) fn opens_in(self, left: Duration) -> Duration {
        left.saturating_sub(self.advisory)
    }

    /// Returns the deadlines of a token with the remaining lifetime `left`.
    pub(crate) fn deadlines(self, clock: &dyn Clock, left: Duration) -> Deadlines {
        Deadlines::new(
            clock.monotonic(),
            clock.now(),
            left,
            self.advisory,
            self.mandatory,
        )
    }
}

/// Returns a constant number from 0 to 999 for a connection.
pub(crate) fn spread(id: ConnectionId) -> u16 {
    let bytes = id.as_bytes();
    u16::from_be_bytes([bytes[14], bytes[15]]) % 1000
}

/// Returns a fraction of a duration. The fraction is constant per connection and less than one.
pub(crate) fn share(of: Duration, id: ConnectionId) -> Duration {
    of * u32::from(spread(id)) / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_shares_of_the_life_within_bounds() {
        let early = ConnectionId::from_bytes([0; 16]);
        let hour = Windows::of(Duration::from_secs(3600), None, early);
        assert_eq!(hour.advisory, Duration::from_secs(900));
        assert_eq!(hour.mandatory, Duration::from_secs(60));
        let day = Windows::of(Duration::from_secs(86_400), None, early);
        assert_eq!(day.advisory, MAX_ADVISORY);
        let brief = Windows::of(Duration::from_secs(8), None, early);
        assert_eq!(brief.advisory, Duration::from_secs(2));
        assert!(brief.mandatory < brief.advisory);
        let hours = |hours: u64| Duration::from_secs(3600 * hours);
        let ahead = Windows::of(hours(12), Some(hours(2)), early);
        assert_eq!(ahead.advisory, hours(2));
        assert_eq!(
            Windows::of(hours(4), Some(hours(9)), early).advisory,
            hours(3)
        );
    }

    #[test]
    fn connections_are_spread_and_never_flap() {
        let life = Duration::from_secs(3600);
        let windows: std::collections::BTreeSet<_> = (0..=255)
            .map(|last| ConnectionId::from_bytes([last; 16]))
            .map(|id| {
                let windows = Windows::of(life, None, id);
                assert_eq!(windows, Windows::of(life, None, id));
                windows.advisory
            })
            .collect();
        assert!(windows.len() > 200);
        assert!(windows.iter().all(|it| (675..=900).contains(&it.as_secs())));
    }
}
