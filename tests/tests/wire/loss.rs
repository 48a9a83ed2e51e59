//! One token answer that meets a fault, and everything that follows from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use connector_core::clock::Clock;
use connector_core::store::{ConnectionRecord, Phase, TokenStore};
use connector_core::{
    AccessToken, ConnectionKey, CorrelationId, Random, ReauthorizationReason, RequestContext,
    Status, TenantId,
};
use connector_hub::Hub;
use connector_testkit::proxy::{Fault, FaultProxy, Injected, Part};
use futures_util::future::join_all;

use crate::pace::Pace;
use crate::variable;
use crate::witness::Witness;

/// The deadline of a token request.
pub(crate) const DEADLINE: Duration = Duration::from_secs(15);

/// Numbers from a seed: `SplitMix64`.
#[derive(Debug)]
pub(crate) struct Dice(AtomicU64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let before = self.0.fetch_add(STEP, Ordering::SeqCst);
        let mut mixed = before.wrapping_add(STEP);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// From `low` to `high`, both included.
    pub(crate) fn within(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn seconds(&self, low: u64, high: u64) -> Duration {
        Duration::from_secs(self.within(low, high))
    }

    /// A fault of a token request. A late one still comes inside the time in which the contract
    /// reckons with a provider that acts on an abandoned request.
    pub(crate) fn fault(&self) -> Fault {
        let after = usize::try_from(self.within(0, 1 << 20)).unwrap();
        let truncated = |within| Fault::Truncate { within, after };
        match self.within(0, 15) {
            0 => Fault::DropRequest,
            1 => Fault::ResetRequest,
            2 => Fault::HoldRequest,
            3 => Fault::DelayRequest(self.seconds(1, 14)),
            4 => Fault::DelayRequest(self.seconds(16, 40)),
            5 => Fault::DeliverLate,
            6 | 7 => Fault::DropAnswer,
            8 | 9 => Fault::ResetAnswer,
            10 => Fault::HoldAnswer,
            11 => Fault::DelayAnswer(self.seconds(16, 40)),
            12 => truncated(Part::StatusLine),
            13 => truncated(Part::Headers),
            14 => truncated(Part::Body),
            _ => Fault::Trickle,
        }
    }
}

/// What a hub draws, so that a case can be seen again: windows and back-off hang on a connection's
/// random id.
impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) -> connector_core::Result<()> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// What a fault does to a request with this deadline, by its name.
pub(crate) fn kind(fault: Fault, deadline: Duration) -> &'static str {
    match fault {
        Fault::DropRequest => "drop before",
        Fault::ResetRequest => "reset before",
        Fault::HoldRequest => "hang before",
        Fault::DelayRequest(by) | Fault::DelayAnswer(by) if by < deadline => "slow",
        Fault::DelayRequest(_) => "late by time",
        Fault::DeliverLate => "late after the client left",
        Fault::DropAnswer => "drop after",
        Fault::ResetAnswer => "reset after",
        Fault::HoldAnswer => "hang after",
        Fault::DelayAnswer(_) => "answer too late",
        Fault::Truncate {
            within: Part::StatusLine,
            ..
        } => "truncate in the status line",
        Fault::Truncate {
            within: Part::Headers,
            ..
        } => "truncate in the headers",
        Fault::Truncate { .. } => "truncate in the body",
        _ => "byte by byte",
    }
}

/// What the provider did, and what the client learnt of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// The provider did nothing.
    Untouched,
    /// The provider acted and its answer arrived.
    Answered,
    /// The provider acted and its answer is lost.
    Lost,
}

/// What has to be true of a request with this deadline that met `fault`.
pub(crate) fn truth(fault: Fault, deadline: Duration) -> Truth {
    match fault {
        Fault::DropRequest | Fault::ResetRequest | Fault::HoldRequest => Truth::Untouched,
        Fault::DelayRequest(by) | Fault::DelayAnswer(by) if by < deadline => Truth::Answered,
        Fault::Trickle => Truth::Answered,
        _ => Truth::Lost,
    }
}

/// When the token is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While it is good: callers are served, and it is refreshed behind their backs.
    Advisory,
    /// After its end: callers wait.
    Expired,
    /// Whenever somebody says so.
    Forced,
}

/// A hub on a stage where the wire fails.
pub(crate) struct Stage {
    pub(crate) hub: Hub,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) pace: Pace,
    pub(crate) proxy: FaultProxy,
    pub(crate) witness: Witness,
    pub(crate) tenant: TenantId,
    /// The path of the token endpoint.
    pub(crate) token: &'static str,
    /// How long an access token lives.
    pub(crate) life: Duration,
}

/// How a case ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) fault: Fault,
    pub(crate) connection: ConnectionRecord,
    /// Calls for an access token, and how many of them were served.
    asked: usize,
    served: usize,
}

impl Stage {
    pub(crate) async fn connection(&self, key: &ConnectionKey) -> ConnectionRecord {
        self.store.load(key).await.unwrap().unwrap().connection
    }

    fn is_good(&self, token: &AccessToken) -> bool {
        token.phase(self.pace.monotonic(), self.pace.now()) < Phase::Expired
    }

    /// Makes a refresh of `key` meet a fault, lets time pass while callers keep calling, until the
    /// connection is fresh or ended. An error says which promise was broken.
    pub(crate) async fn lose(&self, key: &ConnectionKey, seed: u64) -> Result<Ended, String> {
        let dice = Dice::new(seed);
        let fault = dice.fault();
        let before = self.connection(key).await;
        let quiet = self.hub.access_token(key);
        let quiet = self.pace.drive(&[], DEADLINE, quiet);
        let mut held = quiet.await.map_err(|error| format!("before: {error}"))?;
        let (moment, wait) = match dice.within(0, 3) {
            0 => (Moment::Forced, dice.seconds(0, self.life.as_secs() / 2)),
            1 => (Moment::Expired, self.life + dice.seconds(0, 600)),
            // The window is open in the last sixth of every token's life, and callers are served up
            // to the last sixtieth.
            _ => {
                let (sixth, sixtieth) = (self.life.as_secs() / 6, self.life.as_secs() / 60);
                let left = dice.seconds(sixtieth + 1, sixth);
                (Moment::Advisory, self.life.saturating_sub(left))
            }
        };
        self.pace.advance(wait);
        let injected = self.proxy.inject(self.token, fault);
        let faults = &[&injected];
        let mut ended = Ended {
            fault,
            connection: before.clone(),
            asked: 0,
            served: 0,
        };
        if moment == Moment::Forced {
            let context = RequestContext::new(
                connector_core::Actor::User("owner".to_owned()),
                CorrelationId::new("wire").unwrap(),
            );
            // Its outcome is what the rest of the case is about.
            let forced = self.hub.refresh(key, context);
            let _ = self.pace.drive(faults, DEADLINE, forced).await;
        } else {
            // The first call after a long time may be served after a look at the store alone.
            for _ in 0..3 {
                self.ask(key, &mut held, &mut ended, faults, 3).await?;
                self.calm(faults).await;
                if injected.exchange().is_met {
                    break;
                }
            }
        }
        self.calm(faults).await;
        if !injected.exchange().is_met {
            return Err(format!("{moment:?}: nothing was sent"));
        }
        for _ in 0..300 {
            ended.connection = self.connection(key).await;
            let is_fresh = ended.connection.generation > before.generation;
            let is_settled = match ended.connection.status {
                Status::Connected => is_fresh,
                Status::NeedsReauthorization(_) => true,
                _ => false,
            };
            if is_settled {
                let over = self.pace.drive(faults, 3 * DEADLINE, injected.over()).await;
                let acted = over.status.is_some();
                if acted != (truth(fault, DEADLINE) != Truth::Untouched) {
                    return Err(format!("the fault is not what it should be: {over:?}"));
                }
                self.check(&before, &ended)?;
                return Ok(ended);
            }
            self.pace.advance(dice.seconds(5, 90));
            self.ask(key, &mut held, &mut ended, faults, 1).await?;
            self.calm(faults).await;
        }
        Err(format!("stuck: {:?}", ended.connection))
    }

    /// Waits until nothing is on the wire and everything that came from it has been dealt with.
    pub(crate) async fn calm(&self, faults: &[&Injected]) {
        let landed = async {
            loop {
                self.witness.idle().await;
                if self.hub.health().await.unwrap().under_way == 0 {
                    return;
                }
                tokio::task::yield_now().await;
            }
        };
        self.pace.drive(faults, DEADLINE, landed).await;
    }

    /// So many callers at once.
    async fn ask(
        &self,
        key: &ConnectionKey,
        held: &mut AccessToken,
        ended: &mut Ended,
        faults: &[&Injected],
        callers: usize,
    ) -> Result<(), String> {
        let was_good = self.is_good(held);
        let calls = join_all((0..callers).map(|_| self.hub.access_token(key)));
        let answers = self.pace.drive(faults, DEADLINE, calls).await;
        for answer in answers {
            ended.asked += 1;
            match answer {
                Ok(token) if self.is_good(&token) => {
                    ended.served += 1;
                    *held = token;
                }
                Ok(_) => return Err("a token was served that is over".to_owned()),
                // Time may have passed its end while this waited.
                Err(error) if was_good && self.is_good(held) => {
                    return Err(format!("a good token was withheld: {error}"));
                }
                Err(_) => {}
            }
        }
        Ok(())
    }

    fn check(&self, before: &ConnectionRecord, ended: &Ended) -> Result<(), String> {
        let after = &ended.connection;
        if after.metadata != before.metadata || after.account != before.account {
            return Err("metadata changed".to_owned());
        }
        match self.witness.redemptions() {
            (_, 0) => Ok(()),
            (_, count) => Err(format!(
                "{count} redemptions although the successor was known"
            )),
        }
    }
}

/// Counts of a run, and what went wrong in it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<(&'static str, String), usize>,
    cases: usize,
    asked: usize,
    served: usize,
    broken: String,
}

impl Tally {
    /// The numbers of the cases of a run.
    pub(crate) fn seeds(run: u64, cases: u64) -> impl Iterator<Item = u64> {
        let first = variable("CONNECTORS_WIRE_SEED").map(|seed| seed.parse().unwrap());
        let first = first.unwrap_or(run * 1_000_000);
        first..first + cases
    }

    pub(crate) fn add(&mut self, ended: &Ended) {
        self.cases += 1;
        self.asked += ended.asked;
        self.served += ended.served;
        let end = match ended.connection.status {
            Status::Connected => "recovered".to_owned(),
            Status::NeedsReauthorization(ReauthorizationReason::LostInFlight) => {
                "told as lost in flight".to_owned()
            }
            ref other => format!("{other:?}"),
        };
        let row = (kind(ended.fault, DEADLINE), end);
        *self.rows.entry(row).or_default() += 1;
    }

    pub(crate) fn broken(&mut self, seed: u64, why: &str) {
        let _ = writeln!(self.broken, "case {seed}: {why}");
    }

    pub(crate) fn finish(self, what: &str, cases: u64) {
        for ((fault, end), count) in &self.rows {
            println!("{what}: {fault}: {count} {end}");
        }
        println!(
            "{what}: {} cases, {} of {} callers served",
            self.cases, self.served, self.asked
        );
        assert!(self.broken.is_empty(), "{what}:\n{}", self.broken);
        assert_eq!(self.cases as u64, cases, "{what}");
        assert!(self.served > 0 && self.rows.len() >= 10, "{what}");
    }
}
