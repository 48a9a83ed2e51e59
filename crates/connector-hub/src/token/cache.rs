//! The lock-free cache of access tokens.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use connector_core::clock::{Clock, Monotonic, Timestamp};
use connector_core::store::{Fence, Generation, GrantNumber, IssuedToken, Phase, TokenSlot};
use connector_core::{AccessToken, ConnectionKey, Credential};

use crate::token::machine::Mark;
use crate::token::outcome::{NoToken, NoTokenReason};

/// Time after which a token is compared with the store in the background.
const REVALIDATE: Duration = Duration::from_secs(15);
/// Time after which a token must be compared with the store before it is returned.
const STALE: Duration = Duration::from_secs(30);
/// Maximum number of cached connections.
const CAPACITY: usize = 100_000;
/// Retention of ended grants. Longer than any flight.
const ENDED_FOR: Duration = Duration::from_secs(3600);
/// Resolution of the time of last use. Readers of one token write to shared memory only once per
/// step.
const USE_STEP: Duration = Duration::from_secs(60);

/// The result of a cache read.
pub(crate) enum Read {
    /// A valid token.
    Ready(AccessToken),
    /// A valid token that needs work in the background.
    Wake(AccessToken),
    /// No usable token: the caller must wait for a flight.
    Wait,
}

/// The token cache of this process.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    entries: papaya::HashMap<ConnectionKey, Entry, BuildHasherDefault<RandomBits>>,
    /// Grants that this process ended, so that an in-flight refresh cannot restore an ended grant.
    /// Locked while an entry is added.
    ended: Mutex<HashMap<ConnectionKey, (GrantNumber, Monotonic)>>,
    /// The step of the last eviction.
    made_room: AtomicU64,
}

/// Uses the hash of a connection's key unchanged, because its bits are random.
#[derive(Debug, Default)]
struct RandomBits(u64);

impl Hasher for RandomBits {
    fn write_u64(&mut self, bits: u64) {
        self.0 = bits;
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// The data for every read. An entry with its key fits one cache line. Entries are immutable and
/// replaced as a whole, so that a reader never combines a token with the deadlines of another
/// token.
#[derive(Debug)]
#[repr(C)]
struct Entry {
    /// Until this time on both clocks, the token can be returned without further checks.
    quiet: Quiet,
    slot: TokenSlot,
    history: Arc<History>,
}

const _: () = assert!(size_of::<(ConnectionKey, Entry)>() <= 64);

/// The earlier of two times: when the token must be refreshed, and when it must be compared with
/// the store.
#[derive(Debug, Clone, Copy)]
struct Quiet {
    /// Time in milliseconds of the steady clock.
    steady: u64,
    wall: Timestamp,
}

/// Data that reads of a valid token do not need.
#[derive(Debug)]
struct History {
    /// Time of the last comparison with the store, in milliseconds of the steady clock.
    checked: AtomicU64,
    /// Step of the steady clock in which the token was last returned. Reads during the quiet time
    /// are not recorded, because the quiet time lasts only a fraction of a step.
    used: AtomicU64,
    /// True while background work for the token is running.
    waking: AtomicBool,
    /// The newest generation that the provider's API accepted.
    worked: AtomicU64,
    /// The newest generation that the provider's API refused.
    refused: AtomicU64,
    /// Number of consecutive refreshes that returned a token which the API refused and never
    /// accepted.
    unproven: AtomicU32,
    /// Time before which no background refresh starts, in milliseconds of the steady clock.
    resting: AtomicU64,
    held: Mutex<Held>,
}

/// The newest credential of a connection that this process has seen.
#[derive(Debug, Clone)]
struct Held {
    grant: GrantNumber,
    generation: Generation,
    fence: Fence,
    obtained: Monotonic,
    credential: Arc<Credential>,
    /// The pause after a failed refresh. No request for this generation is sent until the pause
    /// ends.
    rest: Option<Rest>,
}

/// A pause after a failed refresh.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rest {
    pub(crate) until: Monotonic,
    pub(crate) reason: NoTokenReason,
}

/// The known facts about a refused token.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof {
    pub(crate) worked: bool,
    pub(crate) unproven: u32,
    pub(crate) age: Duration,
}

/// A credential to add to the cache.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) issued: IssuedToken,
    pub(crate) fence: Fence,
    pub(crate) credential: Arc<Credential>,
}

impl Cache {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Reads a token. This is the hot path: no lock, no allocation, no copy of a secret.
    pub(crate) fn read(&self, key: &ConnectionKey, clock: &dyn Clock) -> Read {
        let (steady, wall) = (clock.monotonic(), clock.now());
        let entries = self.entries.pin();
        let Some(entry) = entries.get(key) else {
            return Read::Wait;
        };
        if millis(steady) < entry.quiet.steady && wall < entry.quiet.wall {
            return Read::Ready(entry.slot.load());
        }
        entry.look(steady, wall)
    }

    /// Returns the cached token unless it has expired, whatever its age.
    pub(crate) fn unexpired(&self, key: &ConnectionKey, clock: &dyn Clock) -> Option<AccessToken> {
        let token = self.entries.pin().get(key).map(|entry| entry.slot.load())?;
        (token.phase(clock.monotonic(), clock.now()) < Phase::Expired).then_some(token)
    }

    pub(crate) fn generation(&self, key: &ConnectionKey) -> Option<Generation> {
        self.entries
            .pin()
            .get(key)
            .map(|entry| entry.slot.load().generation())
    }

    /// Marks the background work as finished.
    pub(crate) fn woken(&self, key: &ConnectionKey) {
        if let Some(entry) = self.entries.pin().get(key) {
            entry.history.waking.store(false, Ordering::Relaxed);
        }
    }

    /// Replaces the cached credential, unless the cache has a newer one.
    pub(crate) fn put(&self, key: &ConnectionKey, arrival: Arrival, clock: &dyn Clock) {
        let steady = clock.monotonic();
        let mut held = Held {
            grant: arrival.issued.grant(),
            generation: arrival.issued.generation(),
            fence: arrival.fence,
            obtained: steady,
            credential: arrival.credential,
            rest: None,
        };
        let ended = self.ended();
        if ended
            .get(key)
            .is_some_and(|(grant, _)| held.grant <= *grant)
        {
            return;
        }
        let quiet = Quiet::of(&arrival.issued, steady);
        let slot = TokenSlot::new(arrival.issued);
        let entries = self.entries.pin();
        if let Some(entry) = entries.get(key) {
            let history = Arc::clone(&entry.history);
            let mut known = history.held();
            if (held.grant, held.generation) < (known.grant, known.generation) {
                return;
            }
            if (held.grant, held.generation) == (known.grant, known.generation) {
                held.obtained = known.obtained;
                held.rest = known.rest;
            } else {
                history.succeed(known.generation);
            }
            history.checked.store(millis(steady), Ordering::Relaxed);
            *known = held;
            let entry = Entry {
                quiet,
                slot,
                history: Arc::clone(&history),
            };
            entries.insert(key.clone(), entry);
            return;
        }
        let step = millis(steady) / as_millis(USE_STEP);
        if self.entries.len() >= CAPACITY && self.made_room.swap(step, Ordering::Relaxed) != step {
            self.drop_unused(clock, Duration::from_secs(600));
        }
        let entry = Entry {
            quiet,
            slot,
            history: Arc::new(History::new(held, steady)),
        };
        entries.insert(key.clone(), entry);
    }

    /// Removes a connection that ended.
    pub(crate) fn forget(&self, key: &ConnectionKey) {
        let _nobody_adds = self.ended();
        self.entries.pin().remove(key);
    }

    /// Removes a connection after this process has ended its grants up to the given one. A later
    /// result of an in-flight refresh is ignored.
    pub(crate) fn end(&self, key: &ConnectionKey, grant: GrantNumber, clock: &dyn Clock) {
        let mut ended = self.ended();
        if ended.len() >= 1024 {
            let now = clock.monotonic();
            ended.retain(|_, (_, at)| now.since(*at) < ENDED_FOR);
        }
        ended.insert(key.clone(), (grant, clock.monotonic()));
        self.entries.pin().remove(key);
    }

    /// Records a failed refresh. No request for this generation is sent until `rest` has passed.
    pub(crate) fn rest(&self, key: &ConnectionKey, generation: Generation, rest: Rest) {
        let entries = self.entries.pin();
        let Some(entry) = entries.get(key) else {
            return;
        };
        let mut held = entry.history.held();
        if held.generation == generation {
            held.rest = Some(rest);
            entry
                .history
                .resting
                .store(millis(rest.until), Ordering::Relaxed);
        }
    }

    /// Returns the remaining pause after a failed refresh of this generation.
    pub(crate) fn resting(
        &self,
        key: &ConnectionKey,
        generation: Generation,
        clock: &dyn Clock,
    ) -> Option<NoToken> {
        let entries = self.entries.pin();
        let held = entries.get(key)?.history.held();
        let rest = held.rest.filter(|_| held.generation == generation)?;
        let left = rest.until.since(clock.monotonic());
        (!left.is_zero()).then_some(NoToken::later(rest.reason, left))
    }

    /// Pauses background refreshes. A caller that needs a token may still start a refresh.
    pub(crate) fn let_rest(&self, key: &ConnectionKey, pause: Duration, clock: &dyn Clock) {
        if let Some(entry) = self.entries.pin().get(key) {
            let until = millis(clock.monotonic().after(pause));
            entry.history.resting.fetch_max(until, Ordering::Relaxed);
        }
    }

    /// Records that the provider's API refused a token of this generation.
    pub(crate) fn refused(&self, key: &ConnectionKey, generation: Generation) {
        if let Some(entry) = self.entries.pin().get(key) {
            entry
                .history
                .refused
                .fetch_max(generation.get(), Ordering::Relaxed);
        }
    }

    /// Records that the provider's API accepted a token of this generation. Returns true for the
    /// first acceptance.
    pub(crate) fn worked(&self, key: &ConnectionKey, generation: Generation) -> bool {
        let entries = self.entries.pin();
        let Some(entry) = entries.get(key) else {
            return false;
        };
        if entry.history.worked.load(Ordering::Relaxed) >= generation.get() {
            return false;
        }
        entry.history.unproven.store(0, Ordering::Relaxed);
        entry
            .history
            .worked
            .fetch_max(generation.get(), Ordering::Relaxed)
            < generation.get()
    }

    /// Returns the newest generation that the provider's API has accepted.
    pub(crate) fn confirmed(&self, key: &ConnectionKey) -> Option<Generation> {
        let entries = self.entries.pin();
        let worked = entries.get(key)?.history.worked.load(Ordering::Relaxed);
        (worked > 0).then(|| Generation::new(worked))
    }

    pub(crate) fn proof(
        &self,
        key: &ConnectionKey,
        refused: Generation,
        clock: &dyn Clock,
    ) -> Proof {
        let entries = self.entries.pin();
        entries.get(key).map_or(
            Proof {
                worked: true,
                unproven: 0,
                age: Duration::MAX,
            },
            |entry| Proof {
                worked: entry.history.worked.load(Ordering::Relaxed) >= refused.get(),
                unproven: entry.history.unproven.load(Ordering::Relaxed),
                age: clock.monotonic().since(entry.history.held().obtained),
            },
        )
    }

    /// Returns the newest state of a connection that this process has seen.
    pub(crate) fn mark(&self, key: &ConnectionKey) -> Option<Mark> {
        let entries = self.entries.pin();
        let held = entries.get(key)?.history.held();
        Some(Mark {
            grant: held.grant,
            generation: held.generation,
            fence: held.fence,
            in_hand: true,
        })
    }

    /// Returns the newest credential of a connection that this process has seen.
    pub(crate) fn held(&self, key: &ConnectionKey) -> Option<Arc<Credential>> {
        let entries = self.entries.pin();
        Some(Arc::clone(&entries.get(key)?.history.held().credential))
    }

    /// Returns the newest credential of a connection that this process has seen, with its
    /// generation.
    pub(crate) fn newest(&self, key: &ConnectionKey) -> Option<(Generation, Arc<Credential>)> {
        let entries = self.entries.pin();
        let held = entries.get(key)?.history.held();
        Some((held.generation, Arc::clone(&held.credential)))
    }

    /// Returns the number of connections with a cached token.
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Evicts tokens that were not used for `idle`. Returns the number of evicted connections.
    pub(crate) fn evict(&self, clock: &dyn Clock, idle: Duration) -> usize {
        let now = clock.monotonic();
        self.ended().retain(|_, (_, at)| now.since(*at) < ENDED_FOR);
        self.drop_unused(clock, idle)
    }

    fn drop_unused(&self, clock: &dyn Clock, idle: Duration) -> usize {
        let now = millis(clock.monotonic());
        let entries = self.entries.pin();
        let before = self.entries.len();
        entries.retain(|_, entry| {
            let used = entry
                .history
                .used
                .load(Ordering::Relaxed)
                .saturating_mul(as_millis(USE_STEP));
            now.saturating_sub(used) < as_millis(idle.max(USE_STEP * 2))
        });
        before.saturating_sub(self.entries.len())
    }

    fn ended(&self) -> MutexGuard<'_, HashMap<ConnectionKey, (GrantNumber, Monotonic)>> {
        self.ended.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Returns the read result for a token whose quiet time has ended.
    fn look(&self, steady: Monotonic, wall: Timestamp) -> Read {
        let token = self.slot.load();
        let history = &*self.history;
        let unchecked = millis(steady).saturating_sub(history.checked.load(Ordering::Relaxed));
        let phase = token.phase(steady, wall);
        if phase >= Phase::Mandatory || unchecked >= as_millis(STALE) {
            return Read::Wait;
        }
        let step = millis(steady) / as_millis(USE_STEP);
        if history.used.load(Ordering::Relaxed) != step {
            history.used.store(step, Ordering::Relaxed);
        }
        let due =
            phase == Phase::Advisory && millis(steady) >= history.resting.load(Ordering::Relaxed);
        if (due || unchecked >= as_millis(REVALIDATE))
            && !history.waking.swap(true, Ordering::Relaxed)
        {
            return Read::Wake(token);
        }
        Read::Ready(token)
    }
}

impl Quiet {
    /// Returns the quiet time of a token that was compared with the store at `checked`.
    fn of(token: &IssuedToken, checked: Monotonic) -> Self {
        let compared = checked.after(REVALIDATE);
        match token.good_until() {
            Some((steady, wall)) => Self {
                steady: millis(steady.min(compared)),
                wall,
            },
            None => Self {
                steady: millis(compared),
                wall: Timestamp::from_unix_millis(i64::MAX),
            },
        }
    }
}

impl History {
    fn new(held: Held, steady: Monotonic) -> Self {
        Self {
            checked: AtomicU64::new(millis(steady)),
            used: AtomicU64::new(millis(steady) / as_millis(USE_STEP)),
            waking: AtomicBool::new(false),
            worked: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            unproven: AtomicU32::new(0),
            resting: AtomicU64::new(0),
            held: Mutex::new(held),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records that the token of this generation has been replaced. If the API never accepted the
    /// token, the token counts as unproven.
    fn succeed(&self, spent: Generation) {
        let worked = self.worked.load(Ordering::Relaxed) >= spent.get();
        let refused = self.refused.load(Ordering::Relaxed) >= spent.get();
        let unproven = self.unproven.load(Ordering::Relaxed);
        let unproven = match (worked, refused) {
            (true, _) => 0,
            (false, true) => unproven.saturating_add(1),
            (false, false) => unproven,
        };
        self.unproven.store(unproven, Ordering::Relaxed);
        self.resting.store(0, Ordering::Relaxed);
    }
}

fn millis(at: Monotonic) -> u64 {
    as_millis(at.since_origin())
}

fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use connector_core::clock::{ManualClock, Timestamp};
    use connector_core::http::Origin;
    use connector_core::store::Deadlines;
    use connector_core::{ConnectionId, CredentialKind, TenantId};
    use secrecy::ExposeSecret;

    use super::*;

    fn key() -> ConnectionKey {
        let tenant = TenantId::new("t1").unwrap();
        ConnectionKey::new(tenant, ConnectionId::from_bytes([1; 16]))
    }

    fn arrival(secret: &str, generation: u64, clock: &ManualClock) -> Arrival {
        let origin = Origin::parse("https://a.example").unwrap();
        let kind = CredentialKind::OAuth;
        let credential = Credential::new(kind, origin, secret.to_owned(), clock.now());
        let seconds = Duration::from_secs;
        let deadlines = Deadlines::new(
            clock.monotonic(),
            clock.now(),
            seconds(100),
            seconds(30),
            seconds(5),
        );
        let (grant, generation) = (GrantNumber::new(1), Generation::new(generation));
        Arrival {
            issued: IssuedToken::new(&credential, grant, generation, Some(deadlines)),
            fence: Fence::new(generation.get()),
            credential: Arc::new(credential),
        }
    }

    fn ready(read: Read) -> String {
        match read {
            Read::Ready(token) => format!("ready {}", token.secret().expose_secret()),
            Read::Wake(token) => format!("wake {}", token.secret().expose_secret()),
            Read::Wait => "wait".to_owned(),
        }
    }

    #[test]
    fn one_reader_is_sent_to_work_and_the_others_are_served() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        assert_eq!(ready(cache.read(&key(), &clock)), "wait");
        let same = arrival("a", 1, &clock);
        cache.put(&key(), arrival("a", 1, &clock), &clock);
        assert_eq!(ready(cache.read(&key(), &clock)), "ready a");
        clock.advance(Duration::from_secs(71));
        cache.put(&key(), same, &clock);
        assert_eq!(ready(cache.read(&key(), &clock)), "wake a");
        assert_eq!(ready(cache.read(&key(), &clock)), "ready a");
        cache.woken(&key());
        assert_eq!(ready(cache.read(&key(), &clock)), "wake a");
        clock.advance(Duration::from_secs(25));
        assert_eq!(ready(cache.read(&key(), &clock)), "wait");
        assert!(cache.unexpired(&key(), &clock).is_some());
        clock.advance(Duration::from_secs(5));
        assert!(cache.unexpired(&key(), &clock).is_none());
    }

    #[test]
    fn a_token_that_was_not_compared_with_the_store_is_not_handed_out() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        let same = arrival("a", 1, &clock);
        cache.put(&key(), arrival("a", 1, &clock), &clock);
        clock.advance(STALE);
        assert_eq!(ready(cache.read(&key(), &clock)), "wait");
        cache.put(&key(), same, &clock);
        assert_eq!(ready(cache.read(&key(), &clock)), "ready a");
    }

    #[test]
    fn a_token_is_quiet_until_it_is_due_for_something_on_either_clock() {
        let wall = |seconds: i64| Timestamp::from_unix_millis(seconds * 1000 - 1);
        // Columns: time of the comparison with the store, steady clock and wall clock, all in
        // seconds; then the results one millisecond before that time and at that time.
        let table = [
            (0, 15, 15, "ready a", "wake a"),
            (0, 30, 30, "wake a", "wait"),
            (60, 70, 70, "ready a", "wake a"),
            (0, 10, 70, "ready a", "wake a"),
            (0, 10, 95, "wake a", "wait"),
            (0, 10, 100, "wait", "wait"),
            (90, 95, 10, "wake a", "wait"),
        ];
        for (checked, steady, at, before, after) in table {
            let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
            let (cache, issued) = (Cache::new(), arrival("a", 1, &clock));
            clock.advance(Duration::from_secs(checked));
            cache.put(&key(), issued, &clock);
            clock.advance(Duration::from_millis((steady - checked) * 1000 - 1));
            clock.set_wall(wall(at));
            let read = ready(cache.read(&key(), &clock));
            assert_eq!(read, before, "before {steady} and {at}");
            cache.woken(&key());
            clock.advance(Duration::from_millis(1));
            let read = ready(cache.read(&key(), &clock));
            assert_eq!(read, after, "at {steady} and {at}");
        }
    }

    #[test]
    fn a_token_that_does_not_expire_is_due_for_comparison_only() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let (cache, mut forever) = (Cache::new(), arrival("a", 1, &clock));
        let (grant, generation) = (GrantNumber::new(1), Generation::new(1));
        forever.issued = IssuedToken::new(&forever.credential, grant, generation, None);
        cache.put(&key(), forever, &clock);
        clock.set_wall(Timestamp::from_unix_seconds(4_000_000_000));
        clock.advance(Duration::from_millis(14_999));
        assert_eq!(ready(cache.read(&key(), &clock)), "ready a");
        clock.advance(Duration::from_millis(1));
        assert_eq!(ready(cache.read(&key(), &clock)), "wake a");
    }

    #[test]
    fn a_reader_that_comes_now_and_then_counts_as_use() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        for _ in 0..10 {
            let same = arrival("a", 1, &clock);
            cache.put(&key(), same, &clock);
            clock.advance(REVALIDATE);
            assert_eq!(ready(cache.read(&key(), &clock)), "wake a");
            cache.woken(&key());
            clock.advance(Duration::from_secs(100));
            assert_eq!(cache.evict(&clock, Duration::from_secs(180)), 0);
        }
        clock.advance(Duration::from_secs(180));
        assert_eq!(cache.evict(&clock, Duration::from_secs(180)), 1);
    }

    #[test]
    fn an_older_generation_never_takes_a_newer_ones_place() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        cache.put(&key(), arrival("b", 2, &clock), &clock);
        cache.put(&key(), arrival("a", 1, &clock), &clock);
        assert_eq!(ready(cache.read(&key(), &clock)), "ready b");
        assert!(cache.worked(&key(), Generation::new(2)));
        assert!(!cache.worked(&key(), Generation::new(2)));
        assert_eq!(cache.confirmed(&key()), Some(Generation::new(2)));
    }

    #[test]
    fn a_grant_that_was_ended_here_does_not_come_back() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        cache.put(&key(), arrival("a", 1, &clock), &clock);
        cache.end(&key(), GrantNumber::new(1), &clock);
        cache.put(&key(), arrival("a", 2, &clock), &clock);
        assert_eq!(ready(cache.read(&key(), &clock)), "wait");
    }

    #[test]
    fn no_background_refresh_starts_during_a_pause() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        let same = arrival("a", 1, &clock);
        cache.put(&key(), arrival("a", 1, &clock), &clock);
        clock.advance(Duration::from_secs(71));
        cache.put(&key(), same, &clock);
        let until = clock.monotonic().after(Duration::from_secs(10));
        let rest = Rest {
            until,
            reason: NoTokenReason::Transient,
        };
        cache.rest(&key(), Generation::new(1), rest);
        assert_eq!(ready(cache.read(&key(), &clock)), "ready a");
        let resting = cache.resting(&key(), Generation::new(1), &clock);
        let expected = NoToken::later(NoTokenReason::Transient, Duration::from_secs(10));
        assert_eq!(resting, Some(expected));
        clock.advance(Duration::from_secs(10));
        assert_eq!(ready(cache.read(&key(), &clock)), "wake a");
        assert_eq!(cache.resting(&key(), Generation::new(1), &clock), None);
    }

    #[test]
    fn unused_tokens_are_evicted() {
        let clock = ManualClock::new(Timestamp::UNIX_EPOCH);
        let cache = Cache::new();
        cache.put(&key(), arrival("a", 1, &clock), &clock);
        assert_eq!(cache.evict(&clock, Duration::from_secs(3600)), 0);
        clock.advance(Duration::from_secs(3601));
        assert_eq!(cache.evict(&clock, Duration::from_secs(3600)), 1);
        assert_eq!(ready(cache.read(&key(), &clock)), "wait");
    }
}
