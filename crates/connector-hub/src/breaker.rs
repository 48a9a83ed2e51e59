//! Circuit breakers for app registrations, and the brake. The brake delays marking grants as ended
//! while the provider refuses unusually many grants (a wave). Breaker and brake limit the effect of
//! a failure to one registration.
//!
//! A registration is identified by its client id, and by its tenant unless all tenants share the
//! registration. Two rules keep one tenant from stopping the other tenants of a shared
//! registration. First, the breaker opens only if several tenants are refused. Second, the brake
//! never stops requests; it only delays marking grants as ended.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::{Clock, Monotonic};
use connector_core::{App, AppKey, ConnectionId, ConnectionKey, ProviderId, TenantId};

use crate::hub::Inner;

/// Number of accounts that must be refused before the breaker opens. For a shared registration,
/// also the number of tenants.
const AGREE: usize = 3;
/// Time window in which these refusals must occur.
const AGREE_WITHIN: Duration = Duration::from_secs(5 * 60);
/// First pause of an open breaker. The pause doubles with every failed probe.
const FIRST_PAUSE: Duration = Duration::from_secs(60);
/// Maximum pause of an open breaker.
const MAX_PAUSE: Duration = Duration::from_secs(8 * 60);
/// Number of refusals of one account after which the app is treated as removed from this account,
/// if other accounts succeed.
const ALONE: u32 = 3;
/// Time window in which refused grants are counted.
const WAVE_WITHIN: Duration = Duration::from_secs(10 * 60);
/// Maximum number of refused grants that does not count as a wave.
const WAVE_LEAST: usize = 20;
/// Divisor for the wave threshold. The threshold is the number of an app's accounts divided by this
/// number.
const WAVE_SHARE: usize = 20;
/// Maximum number of refused grants in memory.
const MAX_WAVE: usize = 100_000;
/// Time for which an operator's confirmation of ended grants is valid.
const CONFIRMED_FOR: Duration = Duration::from_secs(3600);
/// Time for which a count of an app's accounts is valid.
const COUNTED_FOR: Duration = Duration::from_secs(3600);

/// One registration of an app at a provider.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Registration {
    pub(crate) provider: ProviderId,
    client_id: String,
    /// The owner of the registration. `None` if all tenants share it.
    pub(crate) tenant: Option<TenantId>,
}

impl Registration {
    pub(crate) fn new(provider: ProviderId, app: &App, tenant: Option<TenantId>) -> Self {
        Self {
            provider,
            client_id: app.client_id().to_owned(),
            tenant,
        }
    }
}

impl Inner {
    /// Returns the registration of `app`, which the app source returned for `tenant`. The
    /// registration is shared if the app source returns the same client id for all tenants.
    pub(crate) async fn registration(
        &self,
        provider: &ProviderId,
        tenant: &TenantId,
        app_key: &AppKey,
        app: &App,
    ) -> Registration {
        let is_shared = self.is_shared_app(provider, app_key, app).await;
        let is_shared = is_shared.unwrap_or_default();
        let owner = (!is_shared).then(|| tenant.clone());
        Registration::new(provider.clone(), app, owner)
    }
}

/// The breaker's decision on a request for a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// The request may be sent.
    Admitted,
    /// The breaker is open.
    Refused {
        /// Time until the next attempt.
        retry_after: Duration,
    },
    /// The provider refused the grant in a wave that no operator has confirmed.
    Withheld {
        /// Time until the next attempt.
        retry_after: Duration,
    },
}

/// The breakers of all registrations in this process.
#[derive(Debug, Default)]
pub(crate) struct Breakers(Mutex<BTreeMap<Registration, Breaker>>);

#[derive(Debug, Default)]
struct Breaker {
    /// The keys under which the registration was used.
    apps: BTreeSet<AppKey>,
    /// Accounts that were refused since the last success, with the time of the refusal.
    refused: BTreeMap<ConnectionKey, Monotonic>,
    /// Number of refusals of each account while other accounts succeeded.
    alone: BTreeMap<ConnectionKey, u32>,
    successes: u64,
    /// Number of successes at the time of each account's last refusal.
    successes_then: BTreeMap<ConnectionKey, u64>,
    open: Option<Gate>,
    wave: Wave,
    /// Set while refused grants are not marked as ended.
    brake: Option<Gate>,
    /// Until this time, the hub marks refused grants as ended immediately, even in a wave.
    confirmed_until: Option<Monotonic>,
    counted: Option<Counted>,
}

#[derive(Debug, Clone, Copy)]
struct Counted {
    accounts: usize,
    /// Number of tenants with connections.
    tenants: usize,
    at: Monotonic,
}

impl Breaker {
    /// Number of tenants that must be refused before the breaker opens for other tenants. Assumes
    /// many tenants before the first count of the connections.
    fn tenants_needed(&self, registration: &Registration) -> usize {
        match (&registration.tenant, self.counted) {
            (Some(_), _) => 1,
            (None, Some(counted)) => counted.tenants.clamp(1, AGREE),
            (None, None) => AGREE,
        }
    }
}

/// The grants that the provider refused within the last minutes.
#[derive(Debug, Default)]
struct Wave {
    /// The refused grants, oldest first.
    order: VecDeque<(Monotonic, ConnectionKey)>,
    members: BTreeMap<TenantId, BTreeSet<ConnectionId>>,
}

impl Wave {
    fn insert(&mut self, key: &ConnectionKey, now: Monotonic) {
        let members = self.members.entry(key.tenant.clone()).or_default();
        if self.order.len() < MAX_WAVE && members.insert(key.id) {
            self.order.push_back((now, key.clone()));
        }
    }

    fn contains(&self, key: &ConnectionKey) -> bool {
        let members = self.members.get(&key.tenant);
        members.is_some_and(|members| members.contains(&key.id))
    }

    fn forget_before(&mut self, now: Monotonic) {
        while let Some((at, _)) = self.order.front()
            && now.since(*at) > WAVE_WITHIN
        {
            let Some((_, key)) = self.order.pop_front() else {
                return;
            };
            if let Some(members) = self.members.get_mut(&key.tenant) {
                members.remove(&key.id);
                if members.is_empty() {
                    self.members.remove(&key.tenant);
                }
            }
        }
    }

    /// Number of grants in the wave. At most `cap` grants are counted per tenant.
    fn size(&self, cap: usize) -> usize {
        let sizes = self.members.values().map(|members| members.len().min(cap));
        sizes.sum()
    }
}

/// A pause without requests. At its end, one request is admitted as a probe.
#[derive(Debug)]
struct Gate {
    until: Monotonic,
    pause: Duration,
    /// The connection whose request is the current probe.
    probe: Option<ConnectionKey>,
    /// The connection that was refused last.
    last: ConnectionKey,
    /// True if requests of other connections were rejected since the last refusal. `other_tenants`
    /// is the same for connections of other tenants.
    others: bool,
    other_tenants: bool,
}

impl Gate {
    fn new(last: &ConnectionKey, now: Monotonic) -> Self {
        Self {
            until: now.after(FIRST_PAUSE),
            pause: FIRST_PAUSE,
            probe: None,
            last: last.clone(),
            others: false,
            other_tenants: false,
        }
    }

    /// Admits one request at the end of each pause; otherwise returns the time until the next
    /// attempt. Probes rotate. The connection that was refused last, and its tenant, must wait
    /// while other connections or tenants have requests.
    fn admit(&mut self, key: &ConnectionKey, now: Monotonic) -> Result<(), Duration> {
        let same_tenant = key.tenant == self.last.tenant;
        let passed_over = (*key == self.last && self.others) || (same_tenant && self.other_tenants);
        let forgotten = now >= self.until.after(MAX_PAUSE);
        if now >= self.until && (!passed_over || forgotten) {
            // If the probe has not reported by then, another request is admitted.
            self.until = now.after(FIRST_PAUSE);
            self.probe = Some(key.clone());
            return Ok(());
        }
        self.others |= *key != self.last;
        self.other_tenants |= !same_tenant;
        let left = self.until.since(now);
        Err(if left.is_zero() {
            FIRST_PAUSE / 4
        } else {
            left
        })
    }

    /// Records a refused request of `key`. Only the refusal of the probe prolongs the pause.
    fn refused(&mut self, key: &ConnectionKey, now: Monotonic) {
        if self.probe.as_ref() != Some(key) {
            return;
        }
        self.pause = (self.pause * 2).min(MAX_PAUSE);
        self.until = now.after(self.pause);
        self.probe = None;
        self.last = key.clone();
        self.others = false;
        self.other_tenants = false;
    }
}

impl Breakers {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Decides whether a request may be sent. While the breaker is open, or while the grant is part
    /// of an unconfirmed wave, one request is admitted at the end of each pause, as a probe.
    pub(crate) fn admit(
        &self,
        registration: &Registration,
        key: &ConnectionKey,
        clock: &dyn Clock,
    ) -> Admission {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let Some(breaker) = breakers.get_mut(registration) else {
            return Admission::Admitted;
        };
        if let Some(open) = &mut breaker.open {
            return match open.admit(key, now) {
                Ok(()) => Admission::Admitted,
                Err(retry_after) => Admission::Refused { retry_after },
            };
        }
        match &mut breaker.brake {
            Some(brake) if breaker.wave.contains(key) => match brake.admit(key, now) {
                Ok(()) => Admission::Admitted,
                Err(retry_after) => Admission::Withheld { retry_after },
            },
            _ => Admission::Admitted,
        }
    }

    /// Records that the provider accepted the registration for an account. This closes the breaker
    /// and ends a wave.
    pub(crate) fn succeeded(&self, registration: &Registration) {
        let mut breakers = self.breakers();
        let breaker = breakers.entry(registration.clone()).or_default();
        let connector = registration.provider.as_str();
        if breaker.open.take().is_some() {
            tracing::info!(connector, "the provider accepts the app again");
        }
        if breaker.brake.take().is_some() {
            tracing::info!(
                connector,
                "the provider accepts grants of the app again; dead grants are marked as dead \
                 again"
            );
        }
        breaker.wave = Wave::default();
        breaker.refused.clear();
        breaker.successes += 1;
    }

    /// Records that the provider refused the registration for one account. Returns true if the
    /// refusals concern only this account, which means that the app is no longer installed in the
    /// account.
    pub(crate) fn refused(
        &self,
        registration: &Registration,
        key: &ConnectionKey,
        certain: bool,
        clock: &dyn Clock,
    ) -> bool {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let breaker = breakers.entry(registration.clone()).or_default();
        breaker
            .refused
            .retain(|_, at| now.since(*at) <= AGREE_WITHIN);
        breaker.refused.insert(key.clone(), now);
        if let Some(open) = &mut breaker.open {
            open.refused(key, now);
            return false;
        }
        let tenants: BTreeSet<&TenantId> = breaker.refused.keys().map(|key| &key.tenant).collect();
        let agree =
            breaker.refused.len() >= AGREE && tenants.len() >= breaker.tenants_needed(registration);
        if certain || agree {
            tracing::error!(
                connector = registration.provider.as_str(),
                "the provider refuses the app for several accounts; check its client id and \
                 secret. Connections keep their status meanwhile"
            );
            breaker.open = Some(Gate::new(key, now));
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

    /// Records that the provider refused a grant as ended. Returns false if the grant is part of a
    /// wave. The caller must not mark such a grant as ended until an operator confirms the wave or
    /// the wave ends.
    ///
    /// Each tenant contributes only a limited number of grants to a wave. If the registration has
    /// several tenants, a wave therefore requires refused grants of several tenants.
    pub(crate) fn dead(
        &self,
        registration: &Registration,
        key: &ConnectionKey,
        clock: &dyn Clock,
    ) -> bool {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let breaker = breakers.entry(registration.clone()).or_default();
        if breaker.confirmed_until.is_some_and(|until| now < until) {
            return true;
        }
        if breaker.brake.is_none() {
            breaker.wave.forget_before(now);
        }
        breaker.wave.insert(key, now);
        if let Some(brake) = &mut breaker.brake {
            brake.refused(key, now);
            return false;
        }
        let accounts = breaker.counted.map_or(0, |counted| counted.accounts);
        let most = WAVE_LEAST.max(accounts / WAVE_SHARE);
        let cap = most / breaker.tenants_needed(registration) + 1;
        if breaker.wave.size(cap) <= most {
            return true;
        }
        tracing::error!(
            connector = registration.provider.as_str(),
            grants = breaker.wave.order.len(),
            "the provider refuses many grants as dead at once; none is marked as dead until a \
             refresh succeeds or an operator calls Hub::confirm_dead_grants"
        );
        breaker.brake = Some(Gate::new(key, now));
        false
    }

    /// Records that a registration is used with the given app key. Returns true if the accounts of
    /// the registration should be counted.
    pub(crate) fn wants_count(
        &self,
        registration: &Registration,
        app: &AppKey,
        clock: &dyn Clock,
    ) -> bool {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let breaker = breakers.entry(registration.clone()).or_default();
        breaker.apps.insert(app.clone());
        let counted = breaker.counted;
        counted.is_none_or(|counted| now.since(counted.at) >= COUNTED_FOR)
    }

    /// Sets the number of accounts of a registration, and the number of tenants with such accounts.
    /// The thresholds for refusals depend on these numbers.
    pub(crate) fn counted(
        &self,
        registration: &Registration,
        accounts: usize,
        tenants: usize,
        clock: &dyn Clock,
    ) {
        let mut breakers = self.breakers();
        let breaker = breakers.entry(registration.clone()).or_default();
        breaker.counted = Some(Counted {
            accounts,
            tenants,
            at: clock.monotonic(),
        });
    }

    /// Confirms that the grants in the wave have ended. For one hour, the hub marks refused grants
    /// as ended immediately. Returns the connections of the wave, or nothing if there was no wave.
    pub(crate) fn confirm(
        &self,
        provider: &ProviderId,
        app: &AppKey,
        clock: &dyn Clock,
    ) -> Vec<ConnectionKey> {
        let now = clock.monotonic();
        let mut breakers = self.breakers();
        let mut wave = Vec::new();
        for (_, breaker) in Self::of(&mut breakers, provider, app) {
            if breaker.brake.take().is_none() {
                continue;
            }
            breaker.confirmed_until = Some(now.after(CONFIRMED_FOR));
            let confirmed = std::mem::take(&mut breaker.wave);
            wave.extend(confirmed.order.into_iter().map(|(_, key)| key));
        }
        wave
    }

    /// Returns whether the breaker of an app's registrations is open, and whether the brake is
    /// active.
    pub(crate) fn state(&self, provider: &ProviderId, app: &AppKey) -> (bool, bool) {
        let mut breakers = self.breakers();
        let mut state = (false, false);
        for (_, breaker) in Self::of(&mut breakers, provider, app) {
            state.0 |= breaker.open.is_some();
            state.1 |= breaker.brake.is_some();
        }
        state
    }

    /// Returns all apps with a breaker in this process.
    pub(crate) fn known(&self) -> Vec<(ProviderId, AppKey)> {
        let breakers = self.breakers();
        let apps = breakers.iter().flat_map(|(registration, breaker)| {
            let apps = breaker.apps.iter().cloned();
            apps.map(|app| (registration.provider.clone(), app))
        });
        apps.collect()
    }

    fn of<'a>(
        breakers: &'a mut BTreeMap<Registration, Breaker>,
        provider: &'a ProviderId,
        app: &'a AppKey,
    ) -> impl Iterator<Item = (&'a Registration, &'a mut Breaker)> {
        breakers.iter_mut().filter(move |(registration, breaker)| {
            registration.provider == *provider && breaker.apps.contains(app)
        })
    }

    fn breakers(&self) -> MutexGuard<'_, BTreeMap<Registration, Breaker>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints the counts")]
mod tests {
    use connector_core::clock::{ManualClock, Timestamp};

    use super::*;

    const ACME: ProviderId = ProviderId::from_static("acme");

    fn of(tenant: &str, number: u16) -> ConnectionKey {
        let mut bytes = [0; 16];
        bytes[..2].copy_from_slice(&number.to_be_bytes());
        let tenant = TenantId::new(tenant).unwrap();
        ConnectionKey::new(tenant, ConnectionId::from_bytes(bytes))
    }

    fn key(number: u16) -> ConnectionKey {
        of("t", number)
    }

    fn clock() -> ManualClock {
        ManualClock::new(Timestamp::UNIX_EPOCH)
    }

    /// Creates a registration that all tenants share, with the given number of accounts and
    /// tenants.
    fn shared(breakers: &Breakers, accounts: usize, tenants: usize) -> Registration {
        let registration = Registration::new(ACME, &App::new("client"), None);
        assert!(breakers.wants_count(&registration, &AppKey::default(), &clock()));
        breakers.counted(&registration, accounts, tenants, &clock());
        registration
    }

    fn owned(tenant: &str) -> Registration {
        let tenant = TenantId::new(tenant).unwrap();
        Registration::new(ACME, &App::new("client"), Some(tenant))
    }

    fn state(breakers: &Breakers) -> (bool, bool) {
        breakers.state(&ACME, &AppKey::default())
    }

    #[test]
    fn three_accounts_open_the_breaker_and_one_success_closes_it() {
        let (clock, breakers) = (clock(), Breakers::new());
        let app = shared(&breakers, 100, 1);
        for account in 1..=2 {
            assert!(!breakers.refused(&app, &key(account), false, &clock));
            assert_eq!(breakers.admit(&app, &key(9), &clock), Admission::Admitted);
        }
        assert!(!breakers.refused(&app, &key(3), false, &clock));
        let refused = breakers.admit(&app, &key(9), &clock);
        assert_eq!(
            refused,
            Admission::Refused {
                retry_after: FIRST_PAUSE
            }
        );
        clock.advance(FIRST_PAUSE);
        assert_eq!(breakers.admit(&app, &key(9), &clock), Admission::Admitted);
        assert_ne!(breakers.admit(&app, &key(8), &clock), Admission::Admitted);
        breakers.succeeded(&app);
        assert_eq!(breakers.admit(&app, &key(8), &clock), Admission::Admitted);
    }

    #[test]
    fn one_tenant_opens_the_breaker_of_a_shared_registration_only_if_there_is_no_other() {
        let cases = [(1, true), (2, false), (50, false)];
        for (tenants, opens) in cases {
            let (clock, breakers) = (clock(), Breakers::new());
            let app = shared(&breakers, 1000, tenants);
            for account in 0..100 {
                breakers.refused(&app, &of("loud", account), false, &clock);
            }
            assert_eq!(state(&breakers), (opens, false), "{tenants} tenants");
            // Refusals of other tenants open the breaker.
            for tenant in ["b", "c"] {
                breakers.refused(&app, &of(tenant, 1), false, &clock);
            }
            assert_eq!(state(&breakers), (true, false), "{tenants} tenants");
        }
        println!("{} numbers of tenants", cases.len());
    }

    #[test]
    fn a_registration_of_one_tenant_stops_no_other_tenant() {
        let (clock, breakers) = (clock(), Breakers::new());
        for account in 0..100 {
            breakers.refused(&owned("loud"), &of("loud", account), true, &clock);
        }
        let loud = breakers.admit(&owned("loud"), &of("loud", 1), &clock);
        assert!(matches!(loud, Admission::Refused { .. }));
        let calm = breakers.admit(&owned("calm"), &of("calm", 1), &clock);
        assert_eq!(calm, Admission::Admitted);
    }

    #[test]
    fn probes_rotate_and_never_go_to_the_connection_that_was_refused_last() {
        let (clock, breakers) = (clock(), Breakers::new());
        let app = shared(&breakers, 100, 3);
        for tenant in ["a", "b", "c"] {
            breakers.refused(&app, &of(tenant, 1), false, &clock);
        }
        let everybody: Vec<_> = ["a", "b", "c"]
            .into_iter()
            .flat_map(|tenant| [of(tenant, 1), of(tenant, 2)])
            .collect();
        let (mut last, mut probed) = (of("c", 1), BTreeSet::new());
        let mut count = 0;
        for _ in 0..120 {
            clock.advance(FIRST_PAUSE);
            for key in &everybody {
                if breakers.admit(&app, key, &clock) == Admission::Admitted {
                    assert_ne!(
                        key.tenant, last.tenant,
                        "a probe of the tenant that was refused last"
                    );
                    breakers.refused(&app, key, false, &clock);
                    last = key.clone();
                    probed.insert(key.tenant.clone());
                    count += 1;
                }
            }
        }
        println!("{count} probes of {} tenants", probed.len());
        assert!(count > 10 && probed.len() >= 2);
        // A connection with no others beside it is still probed.
        let (breakers, alone) = (Breakers::new(), of("a", 1));
        let app = shared(&breakers, 1, 1);
        breakers.refused(&app, &alone, true, &clock);
        assert_ne!(breakers.admit(&app, &alone, &clock), Admission::Admitted);
        clock.advance(FIRST_PAUSE);
        assert_eq!(breakers.admit(&app, &alone, &clock), Admission::Admitted);
    }

    #[test]
    fn a_success_between_keeps_the_breaker_closed() {
        let (clock, breakers) = (clock(), Breakers::new());
        let app = shared(&breakers, 100, 1);
        for account in 1..=9 {
            assert!(!breakers.refused(&app, &key(account), false, &clock));
            breakers.succeeded(&app);
        }
        assert_eq!(state(&breakers), (false, false));
    }

    #[test]
    fn a_wave_is_measured_against_the_accounts_and_confirmed_by_a_person() {
        let (clock, breakers) = (clock(), Breakers::new());
        let app = shared(&breakers, 1000, 1);
        for account in 1..=50 {
            assert!(breakers.dead(&app, &key(account), &clock), "{account}");
        }
        assert!(!breakers.dead(&app, &key(51), &clock));
        assert!(!breakers.dead(&app, &key(52), &clock));
        let withheld = breakers.admit(&app, &key(51), &clock);
        assert!(matches!(withheld, Admission::Withheld { .. }));
        let confirm = || breakers.confirm(&ACME, &AppKey::default(), &clock);
        assert_eq!(confirm().len(), 52);
        assert!(confirm().is_empty());
        for account in 100..=300 {
            assert!(breakers.dead(&app, &key(account), &clock), "{account}");
        }
        clock.advance(CONFIRMED_FOR);
        for account in 400..=460 {
            breakers.dead(&app, &key(account), &clock);
        }
        assert_eq!(state(&breakers), (false, true));
    }

    #[test]
    fn a_wave_needs_several_tenants_withholds_only_the_marking_and_ends_with_a_success() {
        let (clock, breakers) = (clock(), Breakers::new());
        let app = shared(&breakers, 400, 8);
        let mut marked = 0;
        for account in 0..200 {
            marked += usize::from(breakers.dead(&app, &of("loud", account), &clock));
        }
        println!("{marked} of 200 dead grants of one tenant were marked");
        assert_eq!((marked, state(&breakers)), (200, (false, false)));
        let mut marked = 0;
        for account in 0..10 {
            for tenant in ["b", "c"] {
                marked += usize::from(breakers.dead(&app, &of(tenant, account), &clock));
            }
        }
        println!("{marked} of 20 dead grants of two more tenants were marked");
        assert!(marked < 20 && state(&breakers).1);
        // Grants of other tenants are still admitted.
        for tenant in ["b", "d"] {
            let other = breakers.admit(&app, &of(tenant, 99), &clock);
            assert_eq!(other, Admission::Admitted);
        }
        breakers.succeeded(&app);
        assert_eq!(state(&breakers), (false, false));
        assert!(breakers.dead(&app, &of("b", 9), &clock));
    }

    #[test]
    fn the_same_account_refused_again_is_no_wave() {
        let (clock, breakers) = (clock(), Breakers::new());
        let app = shared(&breakers, 100, 1);
        for _ in 0..100 {
            assert!(breakers.dead(&app, &key(1), &clock));
        }
    }
}
