//! Subscriptions over thirty days with outages of the providers, of the node and of the store, and
//! with lost responses.

#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::panic,
    clippy::too_many_lines,
    reason = "tests fail by panicking, and print their counts"
)]

mod provider;
mod silence;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine;
use connector_core::cipher::{KeyId, Keyring};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::Origin;
use connector_core::provider::subscription::Watch;
use connector_core::store::{
    AuditFilter, AuditLog, DeliveryKey, Maintenance, MemoryStore, Subscription, SubscriptionStore,
};
use connector_core::{
    Actor, App, AppKey, ConnectionKey, CorrelationId, Credential, CredentialKind, ErrorKind, Event,
    FixedApps, ProviderId, Random, RequestContext, Result, TenantId,
};
use connector_hub::{Delivered, DeliveryHandler, Hub};
use connector_testkit::kill::{Action, KillPoints, Side};
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use self::provider::{Live, Providers, Watcher, all_rules};

const STEP: Duration = Duration::from_secs(600);
const STEPS_PER_HOUR: usize = 6;
/// Seeds of the thirty-day runs.
const SEEDS: std::ops::RangeInclusive<u64> = 1..=3;

/// A deterministic sequence of numbers.
#[derive(Debug)]
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Deterministic randomness for the hub, so that a run can be repeated.
#[derive(Debug)]
struct Seeded(Mutex<Numbers>);

impl Random for Seeded {
    fn fill(&self, bytes: &mut [u8]) -> Result<()> {
        let mut numbers = self.0.lock().unwrap();
        bytes.fill_with(|| u8::try_from(numbers.below(256)).unwrap());
        Ok(())
    }
}

/// Runs a future to its end while the clock advances.
async fn drive<T>(clock: &ManualClock, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let pause = async || {
        for _ in 0..16 {
            tokio::task::yield_now().await;
        }
    };
    for _ in 0..20_000 {
        tokio::select! {
            biased;
            done = &mut future => return done,
            () = pause() => clock.advance(Duration::from_millis(500)),
        }
    }
    panic!("it is not ready after hours");
}

/// The deliveries with a change, by connection and content.
type Changes = BTreeMap<(ConnectionKey, String), BTreeSet<DeliveryKey>>;

/// The handled deliveries: the number of calls per delivery, and their changes.
#[derive(Debug, Clone, Default)]
struct Handled {
    calls: Arc<Mutex<BTreeMap<DeliveryKey, usize>>>,
    changes: Arc<Mutex<Changes>>,
}

#[async_trait]
impl DeliveryHandler for Handled {
    async fn handle(&self, delivery: &Delivered) -> Result<()> {
        let key = delivery.key().clone();
        *self.calls.lock().unwrap().entry(key.clone()).or_default() += 1;
        let body = String::from_utf8(delivery.event().body.to_vec()).unwrap();
        let connection = delivery.connection().unwrap().clone();
        let mut changes = self.changes.lock().unwrap();
        changes.entry((connection, body)).or_default().insert(key);
        Ok(())
    }
}

/// The faults of the store.
#[derive(Debug, Default)]
struct StoreFaults {
    down: AtomicBool,
    /// One call in this many is not made or loses its result; 0 for none.
    loses: AtomicU64,
    failed: AtomicUsize,
}

struct World {
    clock: ManualClock,
    /// The data, without faults.
    store: MemoryStore,
    faults: Arc<StoreFaults>,
    providers: Providers,
    handled: Handled,
    /// The seed for the next hub's randomness.
    seed: u64,
    hub: Hub,
}

fn context() -> RequestContext {
    RequestContext::new(Actor::User("ann".to_owned()), CorrelationId::default())
}

/// Returns a keyring with these keys. The first one seals.
fn keyring_of(keys: &[u8]) -> Keyring {
    let key = |byte: &u8| base64::engine::general_purpose::STANDARD.encode([*byte; 32]);
    let keys: Vec<String> = keys.iter().map(key).collect();
    Keyring::parse(&SecretString::from(keys.join(","))).unwrap()
}

fn keyring() -> Keyring {
    keyring_of(&[7])
}

fn watch(name: &str) -> Watch {
    Watch::new(name).unwrap()
}

impl World {
    fn new() -> Self {
        Self::seeded(1)
    }

    fn seeded(seed: u64) -> Self {
        connector_testkit::trace::init();
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let faults = Arc::new(StoreFaults::default());
        let providers = Providers::new(clock.clone());
        let handled = Handled::default();
        let hub = Self::hub(&clock, &store, &faults, &providers, &handled, seed);
        Self {
            clock,
            store,
            faults,
            providers,
            handled,
            seed: seed + 1000,
            hub,
        }
    }

    fn hub(
        clock: &ManualClock,
        store: &MemoryStore,
        faults: &Arc<StoreFaults>,
        providers: &Providers,
        handled: &Handled,
        seed: u64,
    ) -> Hub {
        let (faults, random) = (Arc::clone(faults), Mutex::new(Numbers::new(seed + 3)));
        let points = KillPoints::deciding(move |point| {
            let loses = faults.loses.load(Ordering::Relaxed);
            let fails = if faults.down.load(Ordering::Relaxed) {
                point.side == Side::Before
            } else {
                loses > 0 && random.lock().unwrap().below(loses) == 0
            };
            faults
                .failed
                .fetch_add(usize::from(fails), Ordering::Relaxed);
            fails.then_some(Action::Fail)
        });
        let mut apps = FixedApps::new();
        for rules in all_rules() {
            apps = apps.with(rules.provider, AppKey::default(), App::new("client"));
        }
        let mut builder = Hub::builder()
            .store(points.wrap(Arc::new(store.clone())))
            .cipher(keyring())
            .transport(providers.clone())
            .clock(clock.clone())
            .random(Seeded(Mutex::new(Numbers::new(seed))))
            .apps(apps)
            .on_delivery(handled.clone())
            .with_webhook_base(Url::parse("https://hooks.example/in/").unwrap());
        for rules in all_rules() {
            builder = builder.connector(Watcher::new(rules));
        }
        builder.build().unwrap()
    }

    /// Starts a new process on the same data.
    fn restart(&mut self) {
        self.hub = Self::hub(
            &self.clock,
            &self.store,
            &self.faults,
            &self.providers,
            &self.handled,
            self.seed,
        );
        self.seed += 1000;
    }

    async fn connect(&self, provider: &ProviderId, account: &str) -> ConnectionKey {
        let url = Url::parse(&format!("https://api.{provider}.example")).unwrap();
        let credential = Credential::new(
            CredentialKind::OAuth,
            Origin::of(&url).unwrap(),
            format!("token-{account}"),
            Timestamp::UNIX_EPOCH,
        );
        let tenant = TenantId::new("t1").unwrap();
        let adopt = self.hub.adopt(&tenant, provider.clone(), credential);
        let connected = drive(&self.clock, async { adopt.actor(Actor::Worker).await });
        connected.await.unwrap().key().clone()
    }

    async fn tick(&self) {
        // A tick fails if the store is unavailable. Its work is due again later.
        drop(drive(&self.clock, self.hub.worker().tick()).await);
    }

    /// Advances the clock in steps, with a worker round in each step.
    async fn steps(&self, steps: usize) {
        for _ in 0..steps {
            self.clock.advance(STEP);
            self.providers.expire();
            self.tick().await;
        }
    }

    async fn rows(&self, key: &ConnectionKey) -> Vec<Subscription> {
        self.store.subscriptions(key).await.unwrap()
    }

    /// Handles a notification like the application's endpoint. Returns true if it was acknowledged.
    async fn receive(&self, live: &Live) -> bool {
        let (_, channel) = live.url.rsplit_once('/').unwrap();
        let body = b"something changed";
        let key = hmac::Key::new(hmac::HMAC_SHA256, live.secret.as_bytes());
        let signature = hmac::sign(&key, body);
        let hub = &self.hub;
        let Ok(owner) = hub.channel_owner(&live.provider, channel).await else {
            return false;
        };
        assert!(owner.reads_changes());
        let genuine = owner.secrets().iter().any(|secret| {
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose_secret().as_bytes());
            hmac::verify(&key, body, signature.as_ref()).is_ok()
        });
        genuine && hub.notified(&owner).await.unwrap_or(false)
    }

    async fn events(&self, of: impl Fn(&Event) -> bool) -> usize {
        let filter = AuditFilter::default();
        let log = self.store.audit(&filter, None, u16::MAX).await.unwrap();
        log.items.iter().filter(|it| of(&it.entry.event)).count()
    }
}

/// Returns the provider's channels for a connection.
fn channels_of(world: &World, provider: &ProviderId, account: &str) -> Vec<String> {
    let state = world.providers.state();
    let own = state.channels.iter();
    own.filter(|(_, it)| it.provider == *provider && it.account == account)
        .map(|(resource, _)| resource.clone())
        .collect()
}

#[tokio::test]
async fn what_cannot_be_watched_is_refused_before_anything_is_kept() {
    let world = World::new();
    let rules = all_rules();
    let key = world.connect(&rules[0].provider, "a0").await;
    let refused = async |hub: &Hub, key: &ConnectionKey, name: &str| {
        let outcome = hub.subscribe(key, watch(name), context()).await;
        outcome.map(|it| it.watch).map_err(|error| error.kind())
    };
    let nobody = ConnectionKey::new(
        TenantId::new("t2").unwrap(),
        connector_core::ConnectionId::from_bytes([1; 16]),
    );
    let other_tenant = ConnectionKey::new(TenantId::new("t2").unwrap(), key.id);
    let cases = [
        (&key, "other", ErrorKind::InvalidInput),
        (&nobody, "items", ErrorKind::NotFound),
        (&other_tenant, "items", ErrorKind::NotFound),
    ];
    let mut count = 0;
    for (key, name, kind) in cases {
        assert_eq!(refused(&world.hub, key, name).await, Err(kind), "{name}");
        count += 1;
    }
    // A provider that sends notifications needs a URL. A polled provider does not.
    let polled = world.connect(&rules[3].provider, "a0").await;
    let without = Hub::builder()
        .store(world.store.clone())
        .cipher(keyring())
        .transport(world.providers.clone())
        .clock(world.clock.clone())
        .connector(Watcher::new(rules[0].clone()))
        .connector(Watcher::new(rules[3].clone()))
        .build()
        .unwrap();
    let missing = refused(&without, &key, "items").await;
    assert_eq!(missing, Err(ErrorKind::Configuration));
    assert_eq!(
        refused(&without, &polled, "items").await,
        Ok(watch("items"))
    );
    assert_eq!(world.rows(&key).await, []);
    for base in [
        "http://hooks.example/in",
        "https://user@hooks.example/in",
        "https://:secret@hooks.example/in",
        "https://hooks.example/in?a=b",
        "https://hooks.example/in#a",
        "ftp://hooks.example/in",
    ] {
        let builder = Hub::builder().with_webhook_base(Url::parse(base).unwrap());
        let built = builder
            .store(world.store.clone())
            .cipher(keyring())
            .transport(world.providers.clone())
            .build();
        assert_eq!(
            built.unwrap_err().kind(),
            ErrorKind::Configuration,
            "{base}"
        );
        count += 1;
    }
    let first = world.hub.subscribe(&key, watch("items"), context()).await;
    let again = world.hub.subscribe(&key, watch("items"), context()).await;
    assert_eq!(first.unwrap().id, again.unwrap().id, "one per watch");
    println!("refused: {}", count + 1);
    assert_eq!(count + 1, 10);
}

#[tokio::test]
async fn a_channel_is_ended_with_its_subscription_and_with_its_connection() {
    let world = World::new();
    let rules = all_rules();
    let mut ended = 0;
    for rules in &rules[..3] {
        let provider = &rules.provider;
        let key = world.connect(provider, "a0").await;
        let first = world.hub.subscribe(&key, watch("items 1"), context()).await;
        let second = world.hub.subscribe(&key, watch("items 2"), context()).await;
        world.steps(1).await;
        assert_eq!(channels_of(&world, provider, "a0").len(), 2);
        let ends = world.hub.unsubscribe(&key, first.unwrap().id, context());
        ends.await.unwrap();
        assert_eq!(world.hub.subscriptions(&key).await.unwrap().len(), 1);
        world.steps(1).await;
        assert_eq!(channels_of(&world, provider, "a0").len(), 1, "{provider}");
        let left = &world.hub.subscriptions(&key).await.unwrap()[0];
        assert_eq!(left.id, second.unwrap().id);
        assert!(left.has_channel && left.failures == 0);
        // The provider is unavailable for a while, then the channel is deleted.
        world.hub.disconnect(&key, context()).await.unwrap();
        world.providers.state().down = true;
        world.steps(1).await;
        assert_eq!(channels_of(&world, provider, "a0").len(), 1);
        assert_eq!(world.store.endings(&key, 9).await.unwrap().len(), 1);
        world.providers.state().down = false;
        world.steps(2).await;
        assert_eq!(channels_of(&world, provider, "a0"), Vec::<String>::new());
        assert_eq!(world.store.endings(&key, 9).await.unwrap(), []);
        ended += 2;
    }
    println!("channels ended: {ended}");
    assert_eq!(ended, 6);
}

#[tokio::test]
async fn a_channel_that_cannot_be_ended_is_left_after_five_attempts() {
    let world = World::new();
    let rules = all_rules();
    let key = world.connect(&rules[0].provider, "a0").await;
    let subscribed = world.hub.subscribe(&key, watch("items"), context()).await;
    subscribed.unwrap();
    world.steps(1).await;
    world.hub.disconnect(&key, context()).await.unwrap();
    world.providers.state().down = true;
    let is_left = |event: &Event| matches!(event, Event::ChannelLeft { .. });
    let mut attempts = Vec::new();
    for _ in 0..12 {
        world.steps(1).await;
        let endings = world.store.endings(&key, 9).await.unwrap();
        attempts.extend(endings.first().map(|it| it.attempts));
    }
    println!("attempts: {attempts:?}");
    assert_eq!(attempts.iter().max(), Some(&4), "the fifth was the last");
    assert_eq!(world.store.endings(&key, 9).await.unwrap(), []);
    assert_eq!(world.events(is_left).await, 1);
    let no_key = KeyId::from_bytes([0; 8]);
    let rows = world.store.sealed_rows(&no_key, None, 100);
    assert_eq!(rows.await.unwrap().items, [], "no copy of the credential");
}

#[tokio::test]
async fn a_channel_has_an_owner_while_it_is_created_and_none_afterwards() {
    let world = World::new();
    let provider = all_rules()[1].provider.clone();
    let key = world.connect(&provider, "a0").await;
    let subscribed = world.hub.subscribe(&key, watch("items"), context()).await;
    let id = subscribed.unwrap().id;
    // The provider creates the channel, and its response is lost. The provider may already send
    // notifications.
    world.providers.state().loses = 1;
    world.providers.state().answers_reads = true;
    world.steps(1).await;
    world.providers.state().loses = 0;
    let row = &world.rows(&key).await[0];
    let candidate = row.candidate.clone().unwrap().channel;
    assert_eq!(row.channel, None);
    let live = {
        let state = world.providers.state();
        state.channels.values().next().unwrap().clone()
    };
    assert!(live.url.ends_with(candidate.as_str()));
    assert!(world.receive(&live).await, "a notification is taken");
    let mail = ProviderId::from_static("mail");
    let wrong = world.hub.channel_owner(&mail, candidate.as_str());
    assert_eq!(wrong.await.unwrap_err().kind(), ErrorKind::NotFound);
    for text in ["", "x", "../0123", &"0".repeat(32)] {
        let owner = world.hub.channel_owner(&provider, text).await;
        assert_eq!(owner.unwrap_err().kind(), ErrorKind::NotFound, "{text}");
    }
    world.hub.unsubscribe(&key, id, context()).await.unwrap();
    let gone = world.hub.channel_owner(&provider, candidate.as_str()).await;
    assert_eq!(gone.unwrap_err().kind(), ErrorKind::NotFound);
    assert!(!world.receive(&live).await);
}

#[tokio::test]
async fn channels_survive_a_rotation_of_keys() {
    let world = World::new();
    let rules = all_rules();
    let (provider, other) = (&rules[0].provider, &rules[2].provider);
    let (key, ended) = (
        world.connect(provider, "a0").await,
        world.connect(other, "a0").await,
    );
    for key in [&key, &ended] {
        let subscribed = world.hub.subscribe(key, watch("items"), context()).await;
        subscribed.unwrap();
    }
    world.steps(1).await;
    world.hub.disconnect(&ended, context()).await.unwrap();
    let hub = |keys: &[u8]| {
        let mut builder = Hub::builder()
            .store(world.store.clone())
            .cipher(keyring_of(keys))
            .transport(world.providers.clone())
            .clock(world.clock.clone())
            .with_webhook_base(Url::parse("https://hooks.example/in/").unwrap());
        for rules in all_rules() {
            builder = builder.connector(Watcher::new(rules));
        }
        builder.build().unwrap()
    };
    let rotation = hub(&[8, 7]).rotate_keys(|_| ()).await.unwrap();
    println!("records under the new key: {}", rotation.resealed);
    assert!(rotation.complete && rotation.resealed >= 4);
    // The old key is removed. The secrets can still be opened, and the ended connection's channel
    // is deleted.
    let hub = hub(&[8]);
    let live: Vec<Live> = {
        let state = world.providers.state();
        state.channels.values().cloned().collect()
    };
    assert_eq!(live.len(), 2);
    let own = live.iter().find(|it| it.provider == *provider).unwrap();
    let (_, channel) = own.url.rsplit_once('/').unwrap();
    let owner = hub.channel_owner(provider, channel).await.unwrap();
    assert_eq!(owner.secrets()[0].expose_secret(), own.secret);
    drive(&world.clock, hub.worker().tick()).await.unwrap();
    assert_eq!(channels_of(&world, other, "a0"), Vec::<String>::new());
    assert_eq!(channels_of(&world, provider, "a0").len(), 1);
}

#[tokio::test]
async fn old_audit_entries_are_pruned() {
    let world = World::new();
    let key = world.connect(&all_rules()[0].provider, "a0").await;
    let count = async || world.events(|_| true).await;
    let before = count().await;
    for _ in 0..401 {
        world.clock.advance(Duration::from_secs(86_400));
    }
    // Without a handler of changes, unhandled changes are kept.
    let subscribed = world.hub.subscribe(&key, watch("items"), context()).await;
    let id = subscribed.unwrap().id;
    world.hub.unsubscribe(&key, id, context()).await.unwrap();
    world.tick().await;
    let unhandled = count().await;
    assert_eq!(unhandled, before + 2);
    for _ in 0..401 {
        world.clock.advance(Duration::from_secs(86_400));
    }
    world.tick().await;
    let left = count().await;
    println!("audit entries: {unhandled}, left after pruning: {left}");
    assert_eq!(left, unhandled - 2);
}

#[tokio::test]
async fn thirty_days_of_outages_lose_no_change_and_handle_none_twice() {
    for seed in SEEDS {
        thirty_days(seed).await;
    }
}

async fn thirty_days(seed: u64) {
    const ACCOUNTS: usize = 4;
    let mut world = World::seeded(seed);
    let mut connections = Vec::new();
    for rules in all_rules() {
        for number in 0..ACCOUNTS {
            let account = format!("a{number}");
            let key = world.connect(&rules.provider, &account).await;
            let subscribed = world.hub.subscribe(&key, watch("items"), context()).await;
            let id = subscribed.unwrap().id;
            connections.push((rules.provider.clone(), account, key, id));
        }
    }
    world.steps(2).await;
    for (_, _, key, _) in &connections {
        assert!(world.rows(key).await[0].cursor.is_some());
    }

    let mut random = Numbers::new(seed + 11);
    let (mut notifications, mut acknowledged, mut hours_down) = (0, 0, [0; 3]);
    let (mut lapsed, mut deleted, mut switched_off, mut restarts) = (0, 0, 0, 0);
    let mut ended: Vec<usize> = Vec::new();
    // The hours until which the providers, the node and the store are unavailable.
    let (mut down_until, mut next_outage, mut outages) = ([0_usize; 3], 20, 0);
    for hour in 0..30 * 24 {
        let was_down = down_until[1] == hour && hour > 0;
        // Outages of up to 14 hours of the providers, 16 of the node and 5 of the store. A third of
        // them affect two at once. There are six hours between outages, so that the time without
        // any renewal stays below 18 hours, the margin of the shortest lifetime.
        if hour == next_outage {
            let together = 1 + usize::from(random.below(3) == 0);
            for kind in 0..together {
                let kind = (outages + kind) % 3;
                let longest = [14, 16, 5][kind];
                down_until[kind] = hour + 1 + usize::try_from(random.below(longest)).unwrap();
            }
            outages += 1;
            let over = down_until.into_iter().max().unwrap_or(hour);
            next_outage = over + 6 + usize::try_from(random.below(12)).unwrap();
        }
        let [provider_down, node_down, store_down] = down_until.map(|until| hour < until);
        world.providers.state().down = provider_down;
        world.providers.state().loses = 25;
        world.faults.down.store(store_down, Ordering::Relaxed);
        world.faults.loses.store(150, Ordering::Relaxed);
        for (at, down) in [provider_down, node_down, store_down]
            .into_iter()
            .enumerate()
        {
            hours_down[at] += usize::from(down);
        }
        if was_down {
            world.restart();
            restarts += 1;
        }
        // Providers delete and disable channels, unless that could not be noticed in time.
        if hour % 17 == 3 && !provider_down {
            let mut state = world.providers.state();
            let listed = |it: &&mut Live| it.provider.as_str() != "drive";
            let place = usize::try_from(random.below(8)).unwrap();
            if random.below(2) == 0 {
                if let Some(live) = state.channels.values_mut().filter(listed).nth(place) {
                    live.enabled = false;
                    switched_off += 1;
                }
            } else {
                let all: Vec<String> = state.channels.keys().cloned().collect();
                if let Some(resource) = all.get(place)
                    && state.channels[resource].provider.as_str() != "drive"
                {
                    state.channels.remove(resource);
                    deleted += 1;
                }
            }
        }
        // A quarter of the connections is disconnected, one every few days.
        let due = hour >= 100 + 5 * 24 * ended.len() && ended.len() < all_rules().len();
        if due && !store_down && !provider_down {
            let index = ended.len() * ACCOUNTS;
            let (_, _, key, _) = &connections[index];
            world.faults.loses.store(0, Ordering::Relaxed);
            world.hub.disconnect(key, context()).await.unwrap();
            ended.push(index);
        }
        for _ in 0..STEPS_PER_HOUR {
            // Changes happen, sometimes in bursts. Each channel is notified unless its notification
            // is lost.
            let (provider, account, ..) = &connections[usize::try_from(random.below(16)).unwrap()];
            let burst = if random.below(40) == 0 {
                70
            } else {
                random.below(3)
            };
            let changed = usize::try_from(burst).unwrap();
            let place = (provider.clone(), account.clone());
            *world.providers.state().changes.entry(place).or_default() += changed;
            let live: Vec<(String, Live)> = {
                let state = world.providers.state();
                let own =
                    |it: &Live| it.enabled && it.provider == *provider && it.account == *account;
                let all = state.channels.iter().filter(|(_, it)| own(it));
                all.map(|(resource, it)| (resource.clone(), it.clone()))
                    .collect()
            };
            for (resource, live) in live {
                if changed == 0 || random.below(10) == 0 {
                    continue;
                }
                notifications += 1;
                let received = !node_down && world.receive(&live).await;
                acknowledged += usize::from(received);
                world.providers.answered(&resource, received);
            }
            world.clock.advance(STEP);
            // A channel of a subscription must not expire.
            for (_, _, key, _) in &connections {
                for row in world.rows(key).await {
                    let open = row.channel.and_then(|it| it.expires);
                    lapsed +=
                        usize::from(open.is_some_and(connector_core::store::TimeLeft::has_passed));
                }
            }
            world.providers.expire();
            if !node_down {
                world.tick().await;
            }
        }
    }
    // No further faults: all remaining changes are read and handled.
    world.providers.state().down = false;
    world.providers.state().loses = 0;
    world.faults.down.store(false, Ordering::Relaxed);
    world.faults.loses.store(0, Ordering::Relaxed);
    world.restart();
    world.steps(12 * STEPS_PER_HOUR).await;

    let handled = world.handled.changes.lock().unwrap().clone();
    let (mut expected, mut lost, mut twice) = (0, 0, 0);
    for (index, (provider, account, key, id)) in connections.iter().enumerate() {
        let rows = world.rows(key).await;
        if ended.contains(&index) {
            assert_eq!(rows, []);
            continue;
        }
        assert_eq!(rows[0].key.id, *id, "the subscription is the same one");
        let place = (provider.clone(), account.clone());
        let changes = world.providers.state().changes[&place];
        for change in 0..changes {
            expected += 1;
            let times = handled.get(&(key.clone(), format!("items-{change}")));
            lost += usize::from(times.is_none());
        }
        let has_channel = provider.as_str() != "feed";
        assert_eq!(
            rows[0].channel.is_some(),
            has_channel,
            "{provider} {account}"
        );
        assert_eq!(rows[0].failures, None);
    }
    twice += handled
        .values()
        .filter(|deliveries| deliveries.len() > 1)
        .count();

    // Ended connections have no channels left, except at providers that cannot list them.
    let (mut left, mut orphans) = (0, 0);
    for (index, (provider, account, key, _)) in connections.iter().enumerate() {
        let open: BTreeSet<String> = world
            .rows(key)
            .await
            .into_iter()
            .filter_map(|row| row.channel.map(|it| it.resource))
            .collect();
        let unknown = channels_of(&world, provider, account)
            .into_iter()
            .filter(|resource| !open.contains(resource))
            .count();
        if provider.as_str() == "drive" {
            orphans += unknown;
        } else if ended.contains(&index) {
            left += unknown;
        } else {
            assert_eq!(
                unknown, 0,
                "{provider} {account}: a channel that nobody has"
            );
        }
        assert_eq!(world.store.endings(key, 100).await.unwrap(), []);
    }
    let given_up = world
        .events(|event| matches!(event, Event::ChannelLeft { .. }))
        .await;
    let repeated = world.handled.calls.lock().unwrap();
    let repeated = repeated.values().filter(|calls| **calls > 1).count();
    let state = world.providers.state();
    println!(
        "30 days, seed {seed}: {} subscriptions, {} changes expected, lost: {lost}, handled twice: {twice}",
        connections.len(),
        expected
    );
    println!(
        "channels created: {}, renewed: {}, ended: {}, lapsed while held: {lapsed}, deleted by the \
         provider: {deleted}, switched off: {switched_off}",
        state.created, state.renewed, state.ended
    );
    println!(
        "hours down: providers {}, node {} ({restarts} restarts), store {}; requests refused: {}, \
         responses lost: {}, store calls failed: {}",
        hours_down[0],
        hours_down[1],
        hours_down[2],
        state.refused_while_down,
        state.lost_responses,
        world.faults.failed.load(Ordering::Relaxed)
    );
    println!(
        "notifications sent: {notifications}, acknowledged: {acknowledged}, reads of changes: {}, \
         deliveries handed out again after a lost acknowledgement: {repeated}",
        state.reads
    );
    println!(
        "connections ended: {}, channels left at providers: {left}, given up: {given_up}, orphans \
         of the provider that lists nothing: {orphans}",
        ended.len()
    );
    assert!(expected > 1000 && notifications > 100 && acknowledged > 50);
    assert!(state.renewed > 20 && state.lost_responses > 20 && restarts > 5);
    assert!(deleted > 0 && switched_off > 0 && deleted + switched_off > 10);
    assert_eq!(ended.len(), 4);
    assert_eq!((lost, twice, lapsed), (0, 0, 0));
    assert_eq!(left, given_up.min(left), "only what was given up is left");
}
