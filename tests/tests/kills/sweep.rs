//! Tests in which one process aborts at each kill point in turn, and another process continues.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::provider::oauth::RotationClass;

use crate::child::{End, Stage, What};
use crate::provider::Gate;
use crate::world::{
    Counts, DUE, GRACE_OF_MINUTES, GRACE_UNTIL_USED, PAST_CLAIM, PAST_EXPIRY, PAST_LEASE, Rest,
    World,
};

/// The activity when the process aborts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Scene {
    /// The process needs an expired token and calls the API with it.
    Expired,
    /// Both processes do this.
    Both,
    /// A caller forces a refresh while the token is valid.
    Asked,
    /// The worker refreshes the token before a caller needs it.
    Worker,
    /// Another process died with an unstored response, and this process sends the token again.
    Resend,
}

const SCENES: [Scene; 5] = [
    Scene::Expired,
    Scene::Both,
    Scene::Asked,
    Scene::Worker,
    Scene::Resend,
];

/// The calls between which a process has a response that is not in the store.
fn is_in_hand(operation: &str, before: bool) -> bool {
    matches!(
        (operation, before),
        ("http.send", false) | ("cipher.seal", _) | ("token.commit", true)
    )
}

struct Sweep {
    world: World,
    /// Losses, keyed by the point at which the process aborted.
    lost_at: BTreeMap<String, u64>,
}

impl Sweep {
    /// Runs one scene in which `a` aborts as ordered. Returns the number of points that it passed.
    async fn scene(&mut self, scene: Scene, end: End) -> u64 {
        let world = &mut self.world;
        let connection = world.connect().await;
        world.start("a", end).await;
        let good = matches!(scene, Scene::Asked | Scene::Worker);
        world.advance(if good { DUE } else { PAST_EXPIRY }).await;
        let what = match scene {
            Scene::Expired | Scene::Both | Scene::Resend => What::Use(connection),
            Scene::Asked => What::Refresh(connection),
            Scene::Worker => What::Work,
        };
        if scene == Scene::Resend {
            world.start("c", End::Stop(Stage::AboutToCommit)).await;
            world.send("c", What::Use(connection)).await;
            world.finish().await;
            world.kill("c").await;
            world.advance(PAST_CLAIM).await;
        }
        world.send("a", what).await;
        if scene == Scene::Both {
            world.send("b", What::Use(connection)).await;
        }
        assert!(world.finish().await, "{scene:?}, {end:?}: a command hangs");
        let died = world.is_dead("a");
        assert!(
            !died || end != End::Never,
            "the process died without an order"
        );
        let point = world.point("a").cloned();
        if good {
            // The surviving process has a valid token, independently of the other process.
            world.ask("b", What::Fetch(connection)).await;
            world.advance(PAST_CLAIM).await;
            world.ask("b", What::Fetch(connection)).await;
            world.advance(PAST_LEASE).await;
            world.ask("b", What::Work).await;
            world.ask("b", What::Fetch(connection)).await;
            world.advance(PAST_EXPIRY).await;
        }
        let mut rest = world.rest("b", connection).await;
        world.examine(connection, rest).await;
        if rest == Rest::Works {
            // The stored token can be rotated again.
            world.advance(PAST_EXPIRY).await;
            rest = world.rest("b", connection).await;
            world.examine(connection, rest).await;
        }
        if rest == Rest::Ended {
            let point = point.as_ref().expect("the process died at a point");
            assert!(
                scene == Scene::Resend || died && is_in_hand(&point.operation, point.before),
                "{scene:?}: a connection ended and the process had no answer in hand: {point:?}"
            );
            let at = match (scene, point.before) {
                (Scene::Resend, _) => "another process".to_owned(),
                (_, true) => format!("before {}", point.operation),
                (_, false) => format!("after {}", point.operation),
            };
            *self.lost_at.entry(at).or_default() += 1;
        }
        if !died {
            world.retire("a").await;
        }
        world.forget(connection).await;
        point.map_or(0, |point| point.number)
    }

    /// The provider acts on a request after its sender has died, and before another process may
    /// send the token again.
    async fn late(&mut self) {
        let world = &mut self.world;
        let connection = world.connect().await;
        world.start("a", End::Never).await;
        world.advance(PAST_EXPIRY).await;
        world.provider.set_gate(Gate::BeforeActing);
        world.send("a", What::Use(connection)).await;
        world.quiesce().await;
        assert_eq!(world.provider.redemptions(connection).len(), 0);
        world.kill("a").await;
        world.ask("b", What::Fetch(connection)).await;
        world.advance(Duration::from_secs(10)).await;
        assert_eq!(world.provider.redemptions(connection).len(), 0);
        // At the latest time at which a provider may act.
        world.provider.set_gate(Gate::Open);
        world
            .wait_until(|world| !world.provider.redemptions(connection).is_empty())
            .await;
        let rest = world.rest("b", connection).await;
        world.examine(connection, rest).await;
        world.forget(connection).await;
    }
}

async fn every_point(class: RotationClass) {
    let mut sweep = Sweep {
        world: World::new(class).await,
        lost_at: BTreeMap::new(),
    };
    sweep.world.start("b", End::Never).await;
    let mut kills = BTreeMap::new();
    for scene in SCENES {
        let points = sweep.scene(scene, End::Never).await;
        for point in 1..=points {
            let before = sweep.world.counts.deaths;
            sweep.scene(scene, End::Abort(point)).await;
            *kills.entry(scene).or_insert(0) += sweep.world.counts.deaths - before;
        }
    }
    for _ in 0..3 {
        sweep.late().await;
    }
    let counts = sweep.world.counts();
    println!("{class:?}: killed at every point, by scene {kills:?}: {counts}");
    println!("{class:?}: lost in flight by point: {:?}", sweep.lost_at);
    counts.must_hold(class);
    at_least(&counts);
    if class == RotationClass::Strict {
        assert!(counts.lost_in_flight > 0, "no answer was ever in flight");
    }
}

fn at_least(counts: &Counts) {
    assert!(counts.deaths >= 60, "too few deaths: {counts}");
    assert!(counts.rotations > counts.deaths, "too few: {counts}");
    assert!(counts.must_serve > 0 && counts.tokens > 0, "{counts}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_at_every_point_with_grace_until_the_successor_is_used() {
    if crate::is_skipped() {
        return;
    }
    every_point(GRACE_UNTIL_USED).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_at_every_point_with_grace_of_minutes() {
    if crate::is_skipped() {
        return;
    }
    every_point(GRACE_OF_MINUTES).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn killed_at_every_point_without_grace() {
    if crate::is_skipped() {
        return;
    }
    every_point(RotationClass::Strict).await;
}
