//! The processes on one file, the clock, the provider, and the checks after every step.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::{ReauthorizationReason, Status};
use connector_testkit::artefacts;
use connector_testkit::leak::canary_bytes;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::mpsc;

use crate::child::{End, Order, Outcome, Told, What};
use crate::clock::FileClock;
use crate::keeper::Keeper;
use crate::process::{Event, First, Passed, Process};
use crate::provider::{LIFE, Provider};

/// The old refresh token works until its successor is used, or for thirty days.
pub(crate) const GRACE_UNTIL_USED: RotationClass =
    RotationClass::Grace(Grace::UntilSuccessorUsed {
        max_seconds: 30 * 86_400,
    });
/// The old refresh token works for ten minutes. Later use ends the grant.
pub(crate) const GRACE_OF_MINUTES: RotationClass =
    RotationClass::Grace(Grace::Time { seconds: 600 });
/// The old refresh token works for a day. Later use ends the grant.
pub(crate) const GRACE_OF_A_DAY: RotationClass =
    RotationClass::Grace(Grace::Time { seconds: 86_400 });

/// Slightly longer than the lifetime of a new access token.
pub(crate) const PAST_EXPIRY: Duration = LIFE.saturating_add(Duration::from_mins(1));
/// After this time, a new access token is due for a refresh and still valid.
pub(crate) const DUE: Duration = Duration::from_secs(3100);
/// Slightly longer than any claim is valid.
pub(crate) const PAST_CLAIM: Duration = Duration::from_secs(61);

/// Slightly longer than the lease of a job that a worker does not finish.
pub(crate) const PAST_LEASE: Duration = Duration::from_secs(301);

/// Every process returns a token that is valid for longer than this time. The mandatory window of a
/// token with a lifetime of an hour is a minute, and a command may take some time.
const SURELY_GOOD: Duration = Duration::from_mins(3);
/// Maximum duration of a command on the shared clock.
const MAX_COMMAND: Duration = Duration::from_secs(150);
/// Maximum number of requests for a connection before it counts as stuck.
const ATTEMPTS: u32 = 8;
/// Number of processes whose log is recorded for the leak probe. The other processes log the same
/// messages.
const TRACED: u64 = 20;
/// Time limit for a run in which a process hangs. It decides no result.
const WATCHDOG: Duration = Duration::from_mins(2);

/// Results of a run.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Number of processes that ended by a signal: an abort or a SIGKILL.
    pub(crate) deaths: u64,
    pub(crate) rotations: u64,
    /// Number of access tokens that processes returned.
    pub(crate) tokens: u64,
    /// Number of these tokens that were not in the store, or were lost later.
    pub(crate) lost_acknowledged: u64,
    /// Number of connections that ended because a response never reached the store.
    pub(crate) lost_in_flight: u64,
    /// Number of connections that ended for another reason.
    pub(crate) lost_otherwise: u64,
    /// Number of connections that neither worked nor reported a reason.
    pub(crate) stuck: u64,
    /// Sent refresh tokens whose successor was in the store.
    pub(crate) known_successors: u64,
    /// Number of callers that got an error although a valid access token was stored.
    pub(crate) withheld: u64,
    /// Number of callers while a valid access token was stored.
    pub(crate) must_serve: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, other: &Self) {
        self.deaths += other.deaths;
        self.rotations += other.rotations;
        self.tokens += other.tokens;
        self.lost_acknowledged += other.lost_acknowledged;
        self.lost_in_flight += other.lost_in_flight;
        self.lost_otherwise += other.lost_otherwise;
        self.stuck += other.stuck;
        self.known_successors += other.known_successors;
        self.withheld += other.withheld;
        self.must_serve += other.must_serve;
    }

    /// Checks that all counts of failures are zero.
    pub(crate) fn must_hold(&self, class: RotationClass) {
        let zero = [
            self.lost_acknowledged,
            self.lost_otherwise,
            self.stuck,
            self.known_successors,
            self.withheld,
        ];
        assert_eq!(zero, [0; 5], "{self}");
        if class != RotationClass::Strict {
            assert_eq!(self.lost_in_flight, 0, "lost in spite of a grace: {self}");
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} process deaths, {} rotations, {} tokens acknowledged and {} of them lost, \
             lost_in_flight {}, otherwise lost {}, stuck {}, redemptions with a known successor {}, \
             {} callers with a valid token and {} of them refused",
            self.deaths,
            self.rotations,
            self.tokens,
            self.lost_acknowledged,
            self.lost_in_flight,
            self.lost_otherwise,
            self.stuck,
            self.known_successors,
            self.must_serve,
            self.withheld,
        )
    }
}

/// The final state of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rest {
    Works,
    Ended,
    Stuck,
    /// The process died during the command.
    Unknown,
}

struct Asked {
    connection: Option<u32>,
    must_serve: bool,
}

pub(crate) struct World {
    pub(crate) clock: FileClock,
    pub(crate) keeper: Keeper,
    pub(crate) provider: Provider,
    pub(crate) counts: Counts,
    directory: artefacts::Directory,
    keys: SecretString,
    inbox: mpsc::UnboundedReceiver<Event>,
    sender: mpsc::UnboundedSender<Event>,
    processes: BTreeMap<&'static str, Process>,
    instances: u64,
    /// All started processes by name. True if the process has ended.
    dead: BTreeMap<String, bool>,
    commands: u64,
    asked: BTreeMap<u64, Asked>,
    outcomes: BTreeMap<u64, Outcome>,
    /// The highest generation of a connection that a process returned.
    acknowledged: BTreeMap<u32, u64>,
    connections: u32,
}

impl World {
    pub(crate) async fn new(class: RotationClass) -> Self {
        let directory = artefacts::directory("kills").unwrap();
        let clock = FileClock::create(&directory.path().join("clock"));
        let keys = SecretString::from(BASE64_STANDARD.encode(canary_bytes::<32>()));
        let database = directory.path().join("connections.sqlite");
        let keeper = Keeper::open(&database, &keys, clock.clone()).await;
        let (sender, inbox) = mpsc::unbounded_channel();
        let provider = Provider::start(class, clock.clone(), keeper.clone(), sender.clone()).await;
        Self {
            clock,
            keeper,
            provider,
            counts: Counts::default(),
            directory,
            keys,
            inbox,
            sender,
            processes: BTreeMap::new(),
            instances: 0,
            dead: BTreeMap::new(),
            commands: 0,
            asked: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            acknowledged: BTreeMap::new(),
            connections: 0,
        }
    }

    /// Creates a connection with a token that lives for an hour.
    pub(crate) async fn connect(&mut self) -> u32 {
        self.connections += 1;
        let (access, refresh) = self.provider.begin(self.connections);
        self.keeper.connect(self.connections, access, refresh).await;
        self.connections
    }

    /// Starts a process in an empty slot or in the slot of a dead process, and waits until it is
    /// ready.
    pub(crate) async fn start(&mut self, place: &'static str, end: End) {
        self.start_with(place, end, false).await;
    }

    /// As [`World::start`], with a process that handles deliveries.
    pub(crate) async fn start_handler(&mut self, place: &'static str) {
        self.start_with(place, End::Never, true).await;
    }

    async fn start_with(&mut self, place: &'static str, end: End, handles: bool) {
        assert!(self.is_dead(place), "{place} lives");
        self.instances += 1;
        let path = self.directory.path();
        let order = Order {
            name: format!("{place}-{}", self.instances),
            database: path.join("connections.sqlite"),
            clock: path.join("clock"),
            class: self.provider.class(),
            port: self.provider.port(),
            keys: self.keys.expose_secret().to_owned(),
            client_secret: self.provider.client_secret().expose_secret().to_owned(),
            end,
            handles,
            trace: self.instances <= TRACED,
        };
        self.dead.insert(order.name.clone(), false);
        let process = Process::start(&order, self.instances, &self.sender);
        self.processes.insert(place, process);
        self.quiesce().await;
    }

    pub(crate) fn process(&mut self, place: &'static str) -> &mut Process {
        self.processes.get_mut(place).unwrap()
    }

    pub(crate) fn is_dead(&self, place: &'static str) -> bool {
        self.processes.get(place).is_none_or(Process::is_dead)
    }

    /// Kills a process, and returns when it has ended.
    pub(crate) async fn kill(&mut self, place: &'static str) {
        self.process(place).kill();
        self.quiesce().await;
    }

    /// Resumes a process until its commands have ended.
    pub(crate) async fn thaw(&mut self, place: &'static str, first: First) {
        self.process(place).thaw(first);
        self.quiesce().await;
        self.process(place).catch_up();
        assert!(self.finish().await, "a command of the thawed process hangs");
    }

    /// Ends a process that is no longer needed. It does not count as killed.
    pub(crate) async fn retire(&mut self, place: &'static str) {
        self.kill(place).await;
        self.counts.deaths -= 1;
    }

    /// Returns the last point that the process in this slot passed.
    pub(crate) fn point(&self, place: &'static str) -> Option<&Passed> {
        self.processes.get(place)?.point.as_ref()
    }

    /// Sends a command to a process and does not wait.
    pub(crate) async fn send(&mut self, place: &'static str, what: What) -> u64 {
        self.commands += 1;
        let id = self.commands;
        let asked = match what {
            What::Fetch(connection) | What::FetchBy(connection, _) | What::Use(connection) => {
                let must_serve = self.has_good_token(connection).await;
                self.counts.must_serve += u64::from(must_serve);
                Asked {
                    connection: Some(connection),
                    must_serve,
                }
            }
            What::Refresh(_) | What::Work | What::Receive { .. } => Asked {
                connection: None,
                must_serve: false,
            },
        };
        self.asked.insert(id, asked);
        self.process(place).send(id, what);
        id
    }

    async fn has_good_token(&self, connection: u32) -> bool {
        let row = self.keeper.row(connection).await;
        let left = row.current.and_then(|it| it.access_left);
        left.is_some_and(|left| left.remaining() > SURELY_GOOD)
            && !self.provider.is_revoked(connection)
    }

    /// Sends a command to a process and advances the clock until the command has ended. Returns
    /// `None` if the process died.
    pub(crate) async fn ask(&mut self, place: &'static str, what: What) -> Option<Outcome> {
        let id = self.send(place, what).await;
        self.finish().await;
        self.outcomes.remove(&id)
    }

    /// The result of a command.
    pub(crate) fn outcome(&mut self, id: u64) -> Option<Outcome> {
        self.outcomes.remove(&id)
    }

    async fn event(&mut self) {
        let event = tokio::time::timeout(WATCHDOG, self.inbox.recv()).await;
        match event.expect("a process hangs").unwrap() {
            Event::Provider => {}
            Event::Ended(instance) => self.ended(instance),
            Event::Told(instance, told) => self.told(instance, told).await,
        }
    }

    /// Waits for an event that must happen.
    pub(crate) async fn wait_until(&mut self, until: impl Fn(&Self) -> bool) {
        while !until(self) {
            self.event().await;
        }
    }

    /// Waits until all processes are idle, or until `until` returns true. The clock does not
    /// advance.
    pub(crate) async fn run_until(&mut self, until: impl Fn(&Self) -> bool) {
        while !until(self) && !self.is_quiet() {
            self.event().await;
        }
    }

    /// Waits until all processes are idle. The clock does not advance.
    pub(crate) async fn quiesce(&mut self) {
        self.run_until(|_| false).await;
    }

    fn is_quiet(&self) -> bool {
        let mut processes = self.processes.values();
        processes.all(|it| it.is_quiet(self.provider.held(&it.name)))
    }

    fn ended(&mut self, instance: u64) {
        let mut processes = self.processes.values_mut();
        if let Some(process) = processes.find(|it| it.instance == instance) {
            assert!(process.ended(), "{} ended by itself", process.name);
            self.counts.deaths += 1;
            self.dead.insert(process.name.clone(), true);
        }
    }

    async fn told(&mut self, instance: u64, told: Told) {
        let mut processes = self.processes.values_mut();
        if let Some(process) = processes.find(|it| it.instance == instance) {
            process.told(&told);
        }
        if let Told::Outcome { id, outcome } = told {
            self.judge(id, &outcome).await;
            self.outcomes.insert(id, outcome);
        }
    }

    async fn judge(&mut self, id: u64, outcome: &Outcome) {
        let Some(Asked {
            connection: Some(connection),
            must_serve,
        }) = self.asked.remove(&id)
        else {
            return;
        };
        match outcome {
            Outcome::Token { generation, .. } => {
                self.counts.tokens += 1;
                let row = self.keeper.row(connection).await;
                let stored = row.connection.generation.get();
                self.counts.lost_acknowledged += u64::from(stored < *generation);
                let highest = self.acknowledged.entry(connection).or_default();
                *highest = (*highest).max(*generation);
            }
            Outcome::Tokens { tasks, .. } => self.counts.tokens += u64::from(*tasks),
            Outcome::Done | Outcome::Deliveries { .. } => {}
            Outcome::Failed { .. } => {
                let withheld = must_serve && !self.provider.is_revoked(connection);
                self.counts.withheld += u64::from(withheld);
            }
        }
    }

    fn move_to(&mut self, elapsed: Duration) {
        self.clock.set(elapsed);
        for process in self.processes.values_mut() {
            if !process.is_dead() {
                process.tick();
            }
        }
    }

    /// Advances the clock by `by` in one step.
    pub(crate) async fn advance(&mut self, by: Duration) {
        self.quiesce().await;
        self.move_to(self.clock.elapsed() + by);
        self.quiesce().await;
    }

    /// Advances the clock from one wake-up to the next until all commands of running processes have
    /// ended. Returns false if a command has exceeded its time limit.
    pub(crate) async fn finish(&mut self) -> bool {
        let end = self.clock.elapsed() + MAX_COMMAND;
        loop {
            self.quiesce().await;
            let mut running = self.processes.values().filter(|it| it.is_running());
            if running.all(|it| it.open.is_empty()) {
                return true;
            }
            let wake = self.processes.values().filter_map(Process::wake).min();
            match wake.filter(|at| *at <= end) {
                Some(at) => self.move_to(at),
                None => return false,
            }
        }
    }

    /// Requests a token of a connection until the connection works or reports a reason, as callers
    /// would.
    pub(crate) async fn rest(&mut self, place: &'static str, connection: u32) -> Rest {
        for _ in 0..ATTEMPTS {
            match self.ask(place, What::Use(connection)).await {
                Some(Outcome::Token { .. }) => return Rest::Works,
                Some(Outcome::Failed { kind, .. }) if kind == "NeedsReauthorization" => {
                    return Rest::Ended;
                }
                Some(Outcome::Failed { after, .. }) => {
                    let after = Duration::from_millis(after.unwrap_or(1000));
                    self.advance(after.max(Duration::from_secs(1))).await;
                }
                None if self.is_dead(place) => return Rest::Unknown,
                _ => break,
            }
        }
        println!("connection {connection} is stuck");
        self.counts.stuck += 1;
        Rest::Stuck
    }

    /// Checks whether the end of a connection was unavoidable.
    async fn examine_end(&mut self, connection: u32) {
        let row = self.keeper.row(connection).await;
        let status = row.connection.status;
        let lost = Status::NeedsReauthorization(ReauthorizationReason::LostInFlight);
        let redemptions = self.provider.redemptions(connection);
        // The provider accepted the token from a process that died before it stored the response,
        // and refused the token when it was sent again.
        let refused = redemptions.iter().find(|it| it.brought.is_none());
        let in_flight = refused.is_some_and(|refused| {
            redemptions.iter().any(|it| {
                it.pair == refused.pair
                    && it.brought.is_some()
                    && self.dead.get(&it.by) == Some(&true)
                    && !refused.known
            })
        });
        if status == lost && in_flight {
            self.counts.lost_in_flight += 1;
        } else {
            println!("connection {connection} ended: {status:?} after {redemptions:?}");
            self.counts.lost_otherwise += 1;
        }
    }

    /// Checks that no returned token is lost, and that the provider accepts the stored tokens.
    pub(crate) async fn examine(&mut self, connection: u32, rest: Rest) {
        if rest == Rest::Ended {
            self.examine_end(connection).await;
        }
        let row = self.keeper.row(connection).await;
        let highest = self.acknowledged.get(&connection).copied().unwrap_or(0);
        if row.connection.generation.get() < highest {
            println!("connection {connection} fell back behind generation {highest}");
            self.counts.lost_acknowledged += 1;
        }
        // While the access token is valid, a lost response is not visible.
        let redemptions = self.provider.redemptions(connection);
        let last = redemptions.iter().rfind(|it| it.brought.is_some());
        let in_flight = last.is_some_and(|last| self.dead[&last.by])
            && self.provider.class() == RotationClass::Strict;
        if rest == Rest::Works && !in_flight {
            let stored = self.keeper.refresh_tokens(connection).await;
            if !self.provider.takes(connection, &stored) {
                println!("connection {connection}: nothing that is stored can be sent");
                self.counts.lost_acknowledged += 1;
            }
        }
    }

    /// Removes a connection.
    pub(crate) async fn forget(&mut self, connection: u32) {
        self.keeper.forget(connection).await;
        self.acknowledged.remove(&connection);
    }

    /// Returns the counts of this run so far.
    pub(crate) fn counts(&self) -> Counts {
        let (rotations, known_successors) = self.provider.totals();
        Counts {
            rotations,
            known_successors,
            ..self.counts.clone()
        }
    }
}
