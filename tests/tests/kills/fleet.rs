//! Four processes with one expired token send one token request.

use connector_core::provider::oauth::RotationClass;

use crate::child::{End, Outcome, What};
use crate::world::{PAST_EXPIRY, World};

const PROCESSES: [&str; 4] = ["a", "b", "c", "d"];
const TASKS_PER_PROCESS: u32 = 2_500;
const ROUNDS: usize = 3;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn ten_thousand_tasks_of_four_processes_make_one_request() {
    if crate::is_skipped() {
        return;
    }
    let mut world = World::new(RotationClass::Strict).await;
    for place in PROCESSES {
        world.start(place, End::Never).await;
    }
    let connection = world.connect().await;
    for round in 1..=ROUNDS {
        world.advance(PAST_EXPIRY).await;
        let mut asked = Vec::new();
        for place in PROCESSES {
            let what = What::FetchBy(connection, TASKS_PER_PROCESS);
            asked.push(world.send(place, what).await);
        }
        assert!(world.finish().await, "a process hangs");
        let mut served = 0;
        for id in asked {
            let outcome = world.outcome(id);
            let Some(Outcome::Tokens {
                tasks,
                different: 1,
            }) = outcome
            else {
                panic!("{outcome:?}");
            };
            served += tasks;
        }
        let sent = world.provider.redemptions(connection).len();
        println!(
            "{served} tasks of {} processes, round {round}: {sent} requests",
            PROCESSES.len()
        );
        assert_eq!((served, sent), (10_000, round));
        assert!(!world.provider.is_revoked(connection));
    }
}
