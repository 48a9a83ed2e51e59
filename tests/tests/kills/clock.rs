//! A clock in a file. All processes that open the file read the same time, and one process advances
//! it.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::{Clock, Monotonic, Timestamp};
use tokio::sync::watch;

/// The wall-clock time at which the monotonic clock is zero.
const START: Timestamp = Timestamp::from_unix_seconds(1_800_000_000);

/// The shared time. Clones in one process also share their sleeping tasks.
#[derive(Debug, Clone)]
pub(crate) struct FileClock(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    file: File,
    moved: watch::Sender<()>,
    sleepers: Mutex<Sleepers>,
}

#[derive(Debug, Default)]
struct Sleepers {
    last: u64,
    until: BTreeMap<u64, Duration>,
}

impl FileClock {
    /// Creates a clock at its start time.
    pub(crate) fn create(path: &Path) -> Self {
        let clock = Self::over(OpenOptions::new().create_new(true), path);
        clock.set(Duration::ZERO);
        clock
    }

    /// Opens the clock that another process created.
    pub(crate) fn open(path: &Path) -> Self {
        Self::over(&mut OpenOptions::new(), path)
    }

    fn over(options: &mut OpenOptions, path: &Path) -> Self {
        Self(Arc::new(Shared {
            file: options.read(true).write(true).open(path).unwrap(),
            moved: watch::Sender::new(()),
            sleepers: Mutex::default(),
        }))
    }

    /// Returns the time since the start.
    pub(crate) fn elapsed(&self) -> Duration {
        loop {
            let mut bytes = [0; 16];
            self.0.file.read_exact_at(&mut bytes, 0).unwrap();
            let [time, inverse] = [0, 8].map(|at| {
                let half: [u8; 8] = bytes[at..at + 8].try_into().unwrap();
                u64::from_be_bytes(half)
            });
            // Another process may be writing.
            if time == !inverse {
                return Duration::from_nanos(time);
            }
            std::hint::spin_loop();
        }
    }

    /// Sets the time for all processes, and wakes the due tasks of this process.
    pub(crate) fn set(&self, elapsed: Duration) {
        let time = u64::try_from(elapsed.as_nanos()).unwrap();
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&time.to_be_bytes());
        bytes[8..].copy_from_slice(&(!time).to_be_bytes());
        self.0.file.write_all_at(&bytes, 0).unwrap();
        self.moved();
    }

    /// Wakes the due tasks of this process after another process has set the time.
    pub(crate) fn moved(&self) {
        self.0.moved.send_replace(());
    }

    /// Returns the wake-up time of the first sleeping task of this process.
    pub(crate) fn next_wake(&self) -> Option<Duration> {
        let sleepers = self.0.sleepers.lock().unwrap();
        sleepers.until.values().min().copied()
    }
}

#[async_trait]
impl Clock for FileClock {
    fn now(&self) -> Timestamp {
        START.after(self.elapsed())
    }

    fn monotonic(&self) -> Monotonic {
        Monotonic::new(self.elapsed())
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.elapsed().saturating_add(duration);
        let mut moved = self.0.moved.subscribe();
        let _listed = Listed::new(&self.0.sleepers, until);
        // The sender lives as long as this clock, so waiting cannot fail.
        let _ = moved.wait_for(|()| self.elapsed() >= until).await;
    }
}

/// The registration of a sleeping task.
struct Listed<'a> {
    sleepers: &'a Mutex<Sleepers>,
    number: u64,
}

impl<'a> Listed<'a> {
    fn new(sleepers: &'a Mutex<Sleepers>, until: Duration) -> Self {
        let mut list = sleepers.lock().unwrap();
        list.last += 1;
        let number = list.last;
        list.until.insert(number, until);
        drop(list);
        Self { sleepers, number }
    }
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.sleepers.lock().unwrap().until.remove(&self.number);
    }
}
