//! Tests in which processes are killed at random moments, repeatedly, with the same connections.

use std::time::Duration;

use connector_core::provider::oauth::RotationClass;

use crate::child::{End, What};
use crate::world::{
    Counts, DUE, GRACE_OF_A_DAY, GRACE_UNTIL_USED, PAST_CLAIM, PAST_EXPIRY, PAST_LEASE, Rest, World,
};

const PLACES: [&str; 2] = ["a", "b"];
const CONNECTIONS: usize = 4;
/// The last point at which a process aborts.
const LAST_POINT: u64 = 48;
/// Maximum number of points between a command and a kill.
const MAX_WAIT: u64 = 20;

/// Random numbers that are the same in every run.
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

    fn of<T: Copy>(&mut self, all: &[T]) -> T {
        let at = self.below(all.len() as u64);
        all[usize::try_from(at).unwrap()]
    }
}

struct Run {
    world: World,
    numbers: Numbers,
    connections: Vec<u32>,
    /// Number of kills by SIGKILL.
    killed: u64,
}

impl Run {
    async fn new(class: RotationClass, seed: u64) -> Self {
        let mut world = World::new(class).await;
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            connections.push(world.connect().await);
        }
        Self {
            world,
            numbers: Numbers::new(seed),
            connections,
            killed: 0,
        }
    }

    /// Both processes run. Half of the started processes abort at some point.
    async fn revive(&mut self) {
        for place in PLACES {
            if self.world.is_dead(place) {
                let end = match self.numbers.below(2) {
                    0 => End::Abort(1 + self.numbers.below(LAST_POINT)),
                    _ => End::Never,
                };
                self.world.start(place, end).await;
            }
        }
    }

    async fn step(&mut self) {
        let pauses = [
            Duration::ZERO,
            Duration::from_secs(2),
            PAST_CLAIM,
            PAST_LEASE,
            DUE,
            PAST_EXPIRY,
            PAST_EXPIRY,
        ];
        let pause = self.numbers.of(&pauses);
        self.world.advance(pause).await;
        let victim = self.numbers.of(&PLACES);
        for _ in 0..=self.numbers.below(4) {
            let (place, connection) =
                (self.numbers.of(&PLACES), self.numbers.of(&self.connections));
            let what = self.numbers.of(&[
                What::Use(connection),
                What::Use(connection),
                What::Fetch(connection),
                What::Refresh(connection),
                What::Work,
            ]);
            if !self.world.is_dead(place) {
                self.world.send(place, what).await;
            }
        }
        if self.numbers.below(3) == 0 && !self.world.is_dead(victim) {
            let point = |world: &World| world.point(victim).map_or(0, |point| point.number);
            let at = point(&self.world) + self.numbers.below(MAX_WAIT);
            self.world
                .run_until(|world| world.is_dead(victim) || point(world) >= at)
                .await;
            if !self.world.is_dead(victim) {
                self.world.kill(victim).await;
                self.killed += 1;
            }
        }
        assert!(self.world.finish().await, "a command hangs");
    }

    /// Every connection works or reports the reason why it does not.
    async fn rest(&mut self) {
        for at in 0..CONNECTIONS {
            let connection = self.connections[at];
            // If a process aborts during the command, the next process continues.
            let rest = loop {
                self.revive().await;
                let place = self.numbers.of(&PLACES);
                match self.world.rest(place, connection).await {
                    Rest::Unknown => self.world.advance(PAST_CLAIM).await,
                    rest => break rest,
                }
            };
            self.world.examine(connection, rest).await;
            if rest != Rest::Works {
                self.world.forget(connection).await;
                self.connections[at] = self.world.connect().await;
            }
        }
    }
}

async fn at_random_points(class: RotationClass, seed: u64, deaths: u64) -> Counts {
    let mut run = Run::new(class, seed).await;
    let mut steps = 0;
    while run.world.counts.deaths < deaths {
        run.revive().await;
        run.step().await;
        steps += 1;
        if steps % 3 == 0 {
            run.rest().await;
        }
    }
    // After the access token has expired, a lost refresh token is detected.
    run.world.advance(PAST_EXPIRY).await;
    run.rest().await;
    let counts = run.world.counts();
    println!(
        "{class:?}, seed {seed}: {steps} steps, {} of the deaths by SIGKILL: {counts}",
        run.killed
    );
    assert!(run.killed > 0 && counts.tokens > 0 && counts.must_serve > 0);
    assert!(counts.rotations >= deaths, "too few rotations");
    counts.must_hold(class);
    counts
}

async fn seeds(class: RotationClass, short: u64, full: u64) {
    let (seeds, deaths) = if crate::full() {
        (10, full / 10)
    } else {
        (2, short / 2)
    };
    let mut all = Counts::default();
    for seed in 1..=seeds {
        all.add(&at_random_points(class, seed, deaths).await);
    }
    println!("{class:?}, all seeds: {all}");
    assert!(all.deaths >= seeds * deaths);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_at_random_points_with_grace_until_the_successor_is_used() {
    if crate::is_skipped() {
        return;
    }
    seeds(GRACE_UNTIL_USED, 60, 3_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_at_random_points_with_grace_of_a_day() {
    if crate::is_skipped() {
        return;
    }
    seeds(GRACE_OF_A_DAY, 60, 3_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_at_random_points_without_grace() {
    if crate::is_skipped() {
        return;
    }
    seeds(RotationClass::Strict, 80, 4_000).await;
}
