//! When a token is refreshed: its advisory and mandatory windows.

use std::time::Duration;

use connector_core::ConnectionId;
use connector_core::clock::Clock;
use connector_core::store::Deadlines;

/// The time before its end at which a token is refreshed in the background, and the time before its
/// end from which callers wait for a newer one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Windows {
    pub(crate) advisory: Duration,
    pub(crate) mandatory: Duration,
}

/// Without a stated time, no token is refreshed earlier than this before its end.
const LONGEST_ADVISORY: Duration = Duration::from_secs(30 * 60);
/// An exchange that takes its time still ends before this much is left.
const LONGEST_MANDATORY: Duration = Duration::from_secs(60);

impl Windows {
    /// The windows of a token with this lifetime: a quarter of it and a sixtieth of it, within
    /// bounds. `ahead` replaces the quarter where the description states it. The advisory window is
    /// shortened by up to a quarter, always by the same share for one connection, so that tokens
    /// obtained together are not refreshed together and no connection flaps between due and not due.
    pub(crate) fn of(lifetime: Duration, ahead: Option<Duration>, id: ConnectionId) -> Self {
        let advisory = match ahead {
            // A token is not refreshed as soon as it has come.
            Some(ahead) => ahead.min(lifetime / 4 * 3),
            None => (lifetime / 4).min(LONGEST_ADVISORY),
        };
        Self {
            advisory: advisory.saturating_sub(share(advisory / 4, id)),
            mandatory: (lifetime / 60).min(LONGEST_MANDATORY),
        }
    }

    /// How long until the advisory window of a token that is good for `left` opens.
    pub(crate) fn opens_in(self, left: Duration) -> Duration {
        left.saturating_sub(self.advisory)
    }

    /// The deadlines of a token that is good for `left` from now.
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

/// A connection's own number from 0 to 999.
pub(crate) fn spread(id: ConnectionId) -> u16 {
    let bytes = id.as_bytes();
    u16::from_be_bytes([bytes[14], bytes[15]]) % 1000
}

/// A connection's own share of a duration: always the same one for one connection, less than all of
/// it.
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
        assert_eq!(day.advisory, LONGEST_ADVISORY);
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
