//! Failures that must not spread: the breaker of an app's registration, and the brake on a wave of
//! dead grants.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::{Clock, Monotonic};
use connector_core::{AppKey, ConnectionKey, ProviderId};

/// So many accounts must be refused alike before the app is to blame.
const AGREE: usize = 3;
/// Within this time.
const AGREE_WITHIN: Duration = Duration::from_secs(5 * 60);
/// The first pause of an open breaker; it doubles with every probe that fails.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// The longest pause of an open breaker.
const LONGEST_PAUSE: Duration = Duration::from_secs(8 * 60);
/// So often an account is refused alone, while others succeed, before the app counts as removed.
const ALONE: u32 = 3;
/// Dead grants are counted within this time.
const WAVE_WITHIN: Duration = Duration::from_secs(10 * 60);
/// So many dead grants are never a wave.
const WAVE_LEAST: usize = 20;
/// A wave is more than one in this many of an app's accounts.
const WAVE_SHARE: usize = 20;
/// A person's word that dead grants are dead holds this long.
const CONFIRMED_FOR: Duration = Duration::from_secs(3600);
/// How many accounts an app has is counted anew after this time.
const COUNTED_FOR: Duration = Duration::from_secs(3600);

/// Whether a request may be sent for an app.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It may.
    Admitted,
    /// The breaker is open.
    Refused {
        /// When to ask again.
        retry_after: Duration,
    },
}

/// The breakers of every app, in this process.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<BTreeMap<(ProviderId, AppKey), Breaker>>);

#[derive(Debug, Default)]
struct Breaker {
    /// Accounts refused since the last success, and when.
    refused: BTreeMap<ConnectionKey, Monotonic>,
    /// How often each account was refused alone while others succeeded.
    alone: BTreeMap<ConnectionKey, u32>,
    successes: u64,
    /// Successes when an account was refused last.
    successes_then: BTreeMap<ConnectionKey, u64>,
    open: Option<Open>,
    /// Dead grants, the oldest first.
    dead: VecDeque<(Monotonic, ConnectionKey)>,
    /// True until a person confirms.
    braked: bool,
    /// Until then dead grants are marked however many there are.
    confirmed_until: Option<Monotonic>,
    /// How many accounts the app is known to have, and since when.
    accounts: usize,
    counted: Option<Monotonic>,
}

#[derive(Debug)]
struct Open {
    until: Monotonic,
    pause: Duration,
    probing: bool,
}

impl Breakers {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Asks before a request is sent. While the breaker is open, one request is admitted at the end
    /// of each pause, as a probe.
    pub(crate) fn admit(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        clock: &dyn Clock,
    ) -> Admission {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let Some(breaker) = breakers.get_mut(&(provider.clone(), app.clone())) else {
            return Admission::Admitted;
        };
        if breaker.braked {
            return Admission::Refused {
                retry_after: LONGEST_PAUSE,
            };
        }
        let Some(open) = &mut breaker.open else {
            return Admission::Admitted;
        };
        if now < open.until {
            return Admission::Refused {
                retry_after: open.until.since(now),
            };
        }
        if open.probing {
            // The probe that was admitted has this long to report; then another one is admitted.
            open.until = now.after(FIRST_PAUSE);
            open.probing = false;
            return Admission::Refused {
                retry_after: FIRST_PAUSE,
            };
        }
        open.probing = true;
        Admission::Admitted
    }

    /// The app's registration was accepted.
    pub(crate) fn succeeded(&self, provider: &ProviderId, app: &AppKey) {
        let mut breakers = self.breakers();
        let breaker = breakers.entry((provider.clone(), app.clone())).or_default();
        if breaker.open.take().is_some() {
            tracing::info!(connector = provider.as_str(), "the app is accepted again");
        }
        breaker.refused.clear();
        breaker.successes += 1;
    }

    /// The app's registration was refused for one account. True if that account alone is to blame:
    /// the app is no longer installed there.
    pub(crate) fn refused(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        key: &ConnectionKey,
        certain: bool,
        clock: &dyn Clock,
    ) -> bool {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let breaker = breakers.entry((provider.clone(), app.clone())).or_default();
        breaker
            .refused
            .retain(|_, at| now.since(*at) <= AGREE_WITHIN);
        breaker.refused.insert(key.clone(), now);
        if let Some(open) = &mut breaker.open {
            open.pause = (open.pause * 2).min(LONGEST_PAUSE);
            open.until = now.after(open.pause);
            open.probing = false;
            return false;
        }
        if certain || breaker.refused.len() >= AGREE {
            tracing::error!(
                connector = provider.as_str(),
                "the provider refuses the app for several accounts: check its client id and \
                 secret. No account changes its state meanwhile"
            );
            breaker.open = Some(Open {
                until: now.after(FIRST_PAUSE),
                pause: FIRST_PAUSE,
                probing: false,
            });
            breaker.alone.clear();
            return false;
        }
        let others = breaker
            .successes_then
            .insert(key.clone(), breaker.successes);
        let succeeded_meanwhile = others.is_some_and(|then| breaker.successes > then);
        let alone = breaker.alone.entry(key.clone()).or_insert(1);
        if succeeded_meanwhile {
            *alone += 1;
        }
        let to_blame = *alone >= ALONE;
        if to_blame {
            breaker.alone.remove(key);
            breaker.successes_then.remove(key);
        }
        to_blame
    }

    /// A grant was refused as dead. False if that is part of a wave: then nobody is marked, and
    /// nothing is sent for the app until a person confirms.
    pub(crate) fn dead(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        key: &ConnectionKey,
        clock: &dyn Clock,
    ) -> bool {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let breaker = breakers.entry((provider.clone(), app.clone())).or_default();
        if breaker.confirmed_until.is_some_and(|until| now < until) {
            return true;
        }
        if !breaker.braked {
            while breaker
                .dead
                .front()
                .is_some_and(|(at, _)| now.since(*at) > WAVE_WITHIN)
            {
                breaker.dead.pop_front();
            }
        }
        if breaker.dead.iter().all(|(_, known)| known != key) {
            breaker.dead.push_back((now, key.clone()));
        }
        if breaker.braked {
            return false;
        }
        if breaker.dead.len() > WAVE_LEAST.max(breaker.accounts / WAVE_SHARE) {
            tracing::error!(
                connector = provider.as_str(),
                grants = breaker.dead.len(),
                "a wave of grants is refused as dead: refreshing stops for this app until \
                 somebody confirms with Hub::confirm_dead_grants"
            );
            breaker.braked = true;
            return false;
        }
        true
    }

    /// The apps whose accounts should be counted, because grants of theirs were refused as dead.
    pub(crate) fn uncounted(&self, clock: &dyn Clock) -> Vec<(ProviderId, AppKey)> {
        let now = clock.monotonic();
        let breakers = self.breakers();
        breakers
            .iter()
            .filter(|(_, breaker)| !breaker.dead.is_empty())
            .filter(|(_, breaker)| {
                breaker
                    .counted
                    .is_none_or(|at| now.since(at) >= COUNTED_FOR)
            })
            .map(|(app, _)| app.clone())
            .collect()
    }

    /// Tells how many accounts an app has, so that a wave is measured against it.
    pub(crate) fn accounts(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        accounts: usize,
        clock: &dyn Clock,
    ) {
        let mut breakers = self.breakers();
        let breaker = breakers.entry((provider.clone(), app.clone())).or_default();
        breaker.accounts = accounts;
        breaker.counted = Some(clock.monotonic());
    }

    /// A person confirms that the dead grants are dead: for an hour they are marked, however many
    /// there are. Returns the connections whose refusals made the wave; nothing without a wave.
    pub(crate) fn confirm(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        clock: &dyn Clock,
    ) -> Vec<ConnectionKey> {
        let mut breakers = self.breakers();
        let breaker = breakers.get_mut(&(provider.clone(), app.clone()));
        let Some(breaker) = breaker.filter(|breaker| breaker.braked) else {
            return Vec::new();
        };
        breaker.braked = false;
        breaker.confirmed_until = Some(clock.monotonic().after(CONFIRMED_FOR));
        let wave = std::mem::take(&mut breaker.dead);
        wave.into_iter().map(|(_, key)| key).collect()
    }

    /// Whether requests are held back for an app: open breaker, brake.
    pub(crate) fn state(&self, provider: &ProviderId, app: &AppKey) -> (bool, bool) {
        let breakers = self.breakers();
        breakers
            .get(&(provider.clone(), app.clone()))
            .map_or((false, false), |breaker| {
                (breaker.open.is_some(), breaker.braked)
            })
    }

    /// Every app that something is known about.
    pub(crate) fn known(&self) -> Vec<(ProviderId, AppKey)> {
        self.breakers().keys().cloned().collect()
    }

    fn breakers(&self) -> MutexGuard<'_, BTreeMap<(ProviderId, AppKey), Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use connector_core::clock::{ManualClock, Timestamp};
    use connector_core::{ConnectionId, TenantId};

    use super::*;

    const ACME: ProviderId = ProviderId::from_static("acme");

    fn key(number: u16) -> ConnectionKey {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        ConnectionKey::new(TenantId::new("t").unwrap(), ConnectionId::from_bytes(bytes))
    }

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn three_accounts_open_the_breaker_and_one_success_closes_it() {
        let (clock, breakers, app) = (clock(), Breakers::new(), AppKey::default());
        for account in 1..=2 {
            assert!(!breakers.refused(&ACME, &app, &key(account), false, &clock));
            assert_eq!(breakers.admit(&ACME, &app, &clock), Admission::Admitted);
        }
        assert!(!breakers.refused(&ACME, &app, &key(3), false, &clock));
        let refused = breakers.admit(&ACME, &app, &clock);
        assert_eq!(
            refused,
            Admission::Refused {
                retry_after: FIRST_PAUSE
            }
        );
        clock.advance(FIRST_PAUSE);
        assert_eq!(breakers.admit(&ACME, &app, &clock), Admission::Admitted);
        assert_ne!(breakers.admit(&ACME, &app, &clock), Admission::Admitted);
        breakers.succeeded(&ACME, &app);
        assert_eq!(breakers.admit(&ACME, &app, &clock), Admission::Admitted);
    }

    #[test]
    fn a_success_between_keeps_the_breaker_closed() {
        let (clock, breakers, app) = (clock(), Breakers::new(), AppKey::default());
        for account in 1..=9 {
            assert!(!breakers.refused(&ACME, &app, &key(account), false, &clock));
            breakers.succeeded(&ACME, &app);
        }
        assert_eq!(breakers.state(&ACME, &app), (false, false));
    }

    #[test]
    fn a_wave_is_measured_against_the_accounts_and_released_by_a_person() {
        let (clock, breakers, app) = (clock(), Breakers::new(), AppKey::default());
        breakers.accounts(&ACME, &app, 1000, &clock);
        for account in 1..=50 {
            assert!(
                breakers.dead(&ACME, &app, &key(account), &clock),
                "{account}"
            );
        }
        assert!(!breakers.dead(&ACME, &app, &key(51), &clock));
        assert!(!breakers.dead(&ACME, &app, &key(52), &clock));
        assert_ne!(breakers.admit(&ACME, &app, &clock), Admission::Admitted);
        assert_eq!(breakers.confirm(&ACME, &app, &clock).len(), 52);
        assert!(breakers.confirm(&ACME, &app, &clock).is_empty());
        for account in 100..=300 {
            assert!(
                breakers.dead(&ACME, &app, &key(account), &clock),
                "{account}"
            );
        }
        clock.advance(CONFIRMED_FOR);
        for account in 400..=450 {
            breakers.dead(&ACME, &app, &key(account), &clock);
        }
        assert_eq!(breakers.state(&ACME, &app), (false, true));
    }

    #[test]
    fn the_same_account_refused_again_is_no_wave() {
        let (clock, breakers, app) = (clock(), Breakers::new(), AppKey::default());
        for _ in 0..100 {
            assert!(breakers.dead(&ACME, &app, &key(1), &clock));
        }
    }
}
