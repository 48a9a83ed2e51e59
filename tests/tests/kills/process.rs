//! A child process, from the parent's side.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::mpsc;

use crate::child::{Command, End, MARK, Order, Told, What};

/// An event that the parent waits for.
pub(crate) enum Event {
    /// A message from a child.
    Told(u64, Told),
    /// The standard output of a child was closed: the child has ended.
    Ended(u64),
    /// The provider holds a request, or has acted on a request.
    Provider,
}

/// The first event that a resumed process processes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// The responses that have arrived.
    Answers,
    /// The end of its time limit.
    Time,
}

/// The last point that a child passed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Passed {
    pub(crate) number: u64,
    pub(crate) operation: String,
    pub(crate) before: bool,
}

#[derive(Debug, Clone, Copy)]
struct Idle {
    taken: u64,
    requests: i64,
    wake: Option<Duration>,
}

#[expect(
    clippy::struct_excessive_bools,
    reason = "each says one thing, in any combination"
)]
pub(crate) struct Process {
    pub(crate) name: String,
    pub(crate) instance: u64,
    child: Child,
    stdin: ChildStdin,
    end: End,
    /// Number of lines that were sent after the order.
    sent: u64,
    idle: Option<Idle>,
    /// Number of commands that have not ended.
    pub(crate) open: BTreeSet<u64>,
    pub(crate) point: Option<Passed>,
    /// True while a signal has stopped the child.
    stopped: bool,
    /// True while the child is paused at the point of its order.
    at_stop: bool,
    killed: bool,
    /// True if the clock was advanced while the child was frozen, and the child was not notified.
    is_behind: bool,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts this test program as a child.
    pub(crate) fn start(
        order: &Order,
        instance: u64,
        inbox: &mpsc::UnboundedSender<Event>,
    ) -> Self {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored", "--nocapture"])
            .env(crate::CHILD, "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let inbox = inbox.clone();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let told = line.strip_prefix(MARK);
                // A line that was truncated when its writer was killed is ignored.
                if let Some(told) = told.and_then(|it| serde_json::from_str(it).ok())
                    && inbox.send(Event::Told(instance, told)).is_err()
                {
                    return;
                }
            }
            let _ = inbox.send(Event::Ended(instance));
        });
        writeln!(stdin, "{}", serde_json::to_string(order).unwrap()).unwrap();
        Self {
            name: order.name.clone(),
            instance,
            child,
            stdin,
            end: order.end,
            sent: 0,
            idle: None,
            open: BTreeSet::new(),
            point: None,
            stopped: false,
            at_stop: false,
            killed: false,
            is_behind: false,
            status: None,
        }
    }

    fn write(&mut self, line: &str) {
        // A killed child does not read. Its end is reported soon.
        let _ = writeln!(self.stdin, "{line}");
    }

    /// Notifies the child that the clock was advanced. A frozen child is notified after it has
    /// resumed.
    pub(crate) fn tick(&mut self) {
        if self.stopped || self.at_stop {
            self.is_behind = true;
            return;
        }
        self.is_behind = false;
        self.sent += 1;
        self.write("tick");
    }

    /// Notifies the child that the clock was advanced while it was frozen.
    pub(crate) fn catch_up(&mut self) {
        if self.is_behind {
            self.tick();
        }
    }

    pub(crate) fn send(&mut self, id: u64, what: What) {
        self.sent += 1;
        self.open.insert(id);
        self.write(&serde_json::to_string(&Command { id, what }).unwrap());
    }

    /// Pauses the child until it is thawed. The child reports the moment of the pause.
    pub(crate) fn halt(&mut self) {
        self.sent += 1;
        self.write("halt");
    }

    /// Processes a message of the child.
    pub(crate) fn told(&mut self, told: &Told) {
        match told {
            Told::Halted => self.at_stop = true,
            Told::Point {
                number,
                operation,
                before,
            } => {
                if let End::Stop(stage) = self.end
                    && stage.point() == (operation.as_str(), *before)
                {
                    self.end = End::Never;
                    self.at_stop = true;
                }
                self.point = Some(Passed {
                    number: *number,
                    operation: operation.clone(),
                    before: *before,
                });
            }
            Told::Outcome { id, .. } => {
                self.open.remove(id);
            }
            Told::Idle {
                taken,
                requests,
                wake,
            } => {
                self.idle = Some(Idle {
                    taken: *taken,
                    requests: *requests,
                    wake: wake.map(Duration::from_nanos),
                });
            }
        }
    }

    /// Handles the end of the child's output. Returns true if a signal killed the child.
    pub(crate) fn ended(&mut self) -> bool {
        let status = self.child.wait().unwrap();
        self.status = Some(status);
        status.signal().is_some()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.status.is_some()
    }

    /// Returns true if the child can run.
    pub(crate) fn is_running(&self) -> bool {
        !self.is_dead() && !self.killed && !self.stopped && !self.at_stop
    }

    /// Returns true if the child is idle until the clock advances or one of `held` requests is
    /// answered.
    pub(crate) fn is_quiet(&self, held: i64) -> bool {
        if self.killed {
            return self.is_dead();
        }
        let idle = self.idle;
        !self.is_running()
            || idle.is_some_and(|idle| idle.taken == self.sent && idle.requests == held)
    }

    /// Returns the time at which the child wakes by itself.
    pub(crate) fn wake(&self) -> Option<Duration> {
        self.idle.filter(|_| self.is_running())?.wake
    }

    /// Kills the child. Its end is reported like every other event.
    pub(crate) fn kill(&mut self) {
        self.killed = true;
        self.child.kill().unwrap();
    }

    /// Stops the child with a signal, and returns when it has stopped.
    pub(crate) fn freeze(&mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
        assert!(
            stopped.is_some_and(|it| it.stopped()),
            "the child did not stop"
        );
        self.stopped = true;
    }

    /// Resumes the child, also from a pause at a point. The child reads its clock before or after
    /// it reads responses.
    pub(crate) fn thaw(&mut self, first: First) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
        self.stopped = false;
        let at_stop = std::mem::take(&mut self.at_stop);
        if first == First::Time {
            self.catch_up();
        }
        if at_stop {
            // The child's earlier report is outdated.
            self.idle = None;
            self.write("go");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.status.is_none() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}
