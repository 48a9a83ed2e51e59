//! A child as its parent sees it.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::mpsc;

use crate::child::{Command, End, MARK, Order, Told, What};

/// What the parent waits for.
pub(crate) enum Event {
    /// A child told something.
    Told(u64, Told),
    /// A child's standard output has ended, and so has the child.
    Ended(u64),
    /// The provider holds a request up, or has acted on one.
    Provider,
}

/// What a process that runs again sees first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum First {
    /// The answers that have come.
    Answers,
    /// That its time has run out.
    Time,
}

/// The point that a child passed last.
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
    /// Lines that were sent after its order.
    sent: u64,
    idle: Option<Idle>,
    /// Commands that have not ended.
    pub(crate) open: BTreeSet<u64>,
    pub(crate) point: Option<Passed>,
    /// True while it is stopped by a signal.
    stopped: bool,
    /// True while it waits at the point at which its order made it stop.
    at_stop: bool,
    killed: bool,
    /// True if the clock was moved while it was frozen, and it was not told.
    is_behind: bool,
    status: Option<ExitStatus>,
}

impl Process {
    /// Starts this very test program as a child.
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
                // A line that was cut off by the death of its writer says nothing.
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
        // One that has been killed does not read; its end is told soon.
        let _ = writeln!(self.stdin, "{line}");
    }

    /// Tells it that the clock was moved; one that is frozen, once it runs again and asks.
    pub(crate) fn tick(&mut self) {
        if self.stopped || self.at_stop {
            self.is_behind = true;
            return;
        }
        self.is_behind = false;
        self.sent += 1;
        self.write("tick");
    }

    /// Tells it that the clock was moved while it was frozen.
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

    /// Lets it do nothing from a moment on that it tells, until it is thawed.
    pub(crate) fn halt(&mut self) {
        self.sent += 1;
        self.write("halt");
    }

    /// Takes note of what it told.
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

    /// Its output has ended: it is dead or about to be. True if a signal killed it.
    pub(crate) fn ended(&mut self) -> bool {
        let status = self.child.wait().unwrap();
        self.status = Some(status);
        status.signal().is_some()
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.status.is_some()
    }

    /// True if it can do something.
    pub(crate) fn is_running(&self) -> bool {
        !self.is_dead() && !self.killed && !self.stopped && !self.at_stop
    }

    /// True if nothing happens in it before the time moves or one of `held` requests is answered.
    pub(crate) fn is_quiet(&self, held: i64) -> bool {
        if self.killed {
            return self.is_dead();
        }
        let idle = self.idle;
        !self.is_running()
            || idle.is_some_and(|idle| idle.taken == self.sent && idle.requests == held)
    }

    /// When it wakes by itself.
    pub(crate) fn wake(&self) -> Option<Duration> {
        self.idle.filter(|_| self.is_running())?.wake
    }

    /// Kills it. That it is dead is told like everything else.
    pub(crate) fn kill(&mut self) {
        self.killed = true;
        self.child.kill().unwrap();
    }

    /// Stops it by a signal, and returns once it has stopped.
    pub(crate) fn freeze(&mut self) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP).unwrap();
        let stopped = waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED).unwrap();
        assert!(stopped.is_some_and(|it| it.stopped()), "it did not stop");
        self.stopped = true;
    }

    /// Lets it run again, also from where it was told to stop. What its clock says it learns before
    /// or after it looks for answers.
    pub(crate) fn thaw(&mut self, first: First) {
        kill_process(Pid::from_child(&self.child), Signal::CONT).unwrap();
        self.stopped = false;
        let at_stop = std::mem::take(&mut self.at_stop);
        if first == First::Time {
            self.catch_up();
        }
        if at_stop {
            // What it told before it stopped is no longer so.
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
