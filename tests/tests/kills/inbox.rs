//! Four processes receive one delivery and handle it once.

use connector_core::provider::oauth::RotationClass;

use crate::child::{Outcome, What};
use crate::world::World;

const PROCESSES: [&str; 4] = ["a", "b", "c", "d"];
const TASKS_PER_PROCESS: u32 = 8;
/// 4 × 8 × 32 = 1,024
const TIMES_PER_TASK: u32 = 32;

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_delivery_that_comes_to_four_processes_a_thousand_times_is_handled_once() {
    if crate::is_skipped() {
        return;
    }
    let mut world = World::new(RotationClass::Strict).await;
    for place in PROCESSES {
        world.start_handler(place).await;
    }
    let first = everywhere(&mut world).await;
    println!(
        "one delivery, {} processes: {} new, {} known, {} handled",
        PROCESSES.len(),
        first.0,
        first.1,
        first.2
    );
    assert_eq!(first, (1, 1023, 1));

    // The store remembers received deliveries, not the processes.
    for place in PROCESSES {
        world.kill(place).await;
        world.start_handler(place).await;
    }
    let again = everywhere(&mut world).await;
    println!(
        "after their deaths: {} new, {} known, {} handled",
        again.0, again.1, again.2
    );
    assert_eq!(again, (0, 1024, 0));
}

/// Returns the number of new, repeated and handled deliveries of all processes.
async fn everywhere(world: &mut World) -> (u64, u64, u64) {
    let mut asked = Vec::new();
    for place in PROCESSES {
        let what = What::Receive {
            tasks: TASKS_PER_PROCESS,
            times: TIMES_PER_TASK,
        };
        asked.push(world.send(place, what).await);
    }
    assert!(world.finish().await, "a process hangs");
    let mut sum = (0, 0, 0);
    for id in asked {
        let outcome = world.outcome(id);
        let Some(Outcome::Deliveries {
            new,
            known,
            handled,
        }) = outcome
        else {
            panic!("{outcome:?}");
        };
        sum = (sum.0 + new, sum.1 + known, sum.2 + handled);
    }
    sum
}
