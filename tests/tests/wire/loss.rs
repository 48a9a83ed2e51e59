//! One token response that meets a fault, and the behaviour that follows.

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

    /// Returns a number from `low` to `high`, both included.
    pub(crate) fn within(&self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    fn seconds(&self, low: u64, high: u64) -> Duration {
        Duration::from_secs(self.within(low, high))
    }

    /// A fault of a token request. A delayed request still arrives within the time in which the
    /// contract assumes that a provider may act on an abandoned request.
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
            6 | 7 => Fault::DropResponse,
            8 | 9 => Fault::ResetResponse,
            10 => Fault::HoldResponse,
            11 => Fault::DelayResponse(self.seconds(16, 40)),
            12 => truncated(Part::StatusLine),
            13 => truncated(Part::Headers),
            14 => truncated(Part::Body),
            _ => Fault::Trickle,
        }
    }
}

/// The random numbers of a hub. They are reproducible, because windows and back-off depend on the
/// random id of a connection.
impl Random for Dice {
    fn fill(&self, bytes: &mut [u8]) -> connector_core::Result<()> {
        for chunk in bytes.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_be_bytes()[..chunk.len()]);
        }
        Ok(())
    }
}

/// Returns the name of a fault's effect on a request with this deadline.
pub(crate) fn kind(fault: Fault, deadline: Duration) -> &'static str {
    match fault {
        Fault::DropRequest => "drop before",
        Fault::ResetRequest => "reset before",
        Fault::HoldRequest => "hang before",
        Fault::DelayRequest(by) | Fault::DelayResponse(by) if by < deadline => "slow",
        Fault::DelayRequest(_) => "late by time",
        Fault::DeliverLate => "late after the client left",
        Fault::DropResponse => "drop after",
        Fault::ResetResponse => "reset after",
        Fault::HoldResponse => "hang after",
        Fault::DelayResponse(_) => "answer too late",
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

/// The action of the provider, and the knowledge of the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Truth {
    /// The provider did not act.
    Untouched,
    /// The provider acted, and its response arrived.
    Answered,
    /// The provider acted, and its response was lost.
    Lost,
}

/// Returns the required outcome of a request with this deadline and `fault`.
pub(crate) fn truth(fault: Fault, deadline: Duration) -> Truth {
    match fault {
        Fault::DropRequest | Fault::ResetRequest | Fault::HoldRequest => Truth::Untouched,
        Fault::DelayRequest(by) | Fault::DelayResponse(by) if by < deadline => Truth::Answered,
        Fault::Trickle => Truth::Answered,
        _ => Truth::Lost,
    }
}

/// The time at which the token is requested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Moment {
    /// While the token is valid: callers get it, and the hub refreshes it in the background.
    Advisory,
    /// After the expiry: callers wait.
    Expired,
    /// On a forced refresh.
    Forced,
}

/// A hub whose network connection fails.
pub(crate) struct Stage {
    pub(crate) hub: Hub,
    pub(crate) store: Arc<dyn TokenStore>,
    pub(crate) pace: Pace,
    pub(crate) proxy: FaultProxy,
    pub(crate) witness: Witness,
    pub(crate) tenant: TenantId,
    /// The path of the token endpoint.
    pub(crate) token: &'static str,
    /// Lifetime of an access token.
    pub(crate) life: Duration,
}

/// Result of a case.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) fault: Fault,
    pub(crate) connection: ConnectionRecord,
    /// Number of requests for an access token, and number of successful requests.
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

    /// Injects a fault into a refresh of `key`, and advances the clock while callers request
    /// tokens, until the connection is refreshed or has ended. An error names the broken promise.
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
            // The advisory window includes the last sixth of every token's lifetime. Callers get
            // the token until the last sixtieth.
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
            // The rest of the case depends on the outcome of this request.
            let forced = self.hub.refresh(key, context);
            let _ = self.pace.drive(faults, DEADLINE, forced).await;
        } else {
            // After a long time, the first call may be answered from the store alone.
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
                    return Err(format!("unexpected outcome of the fault: {over:?}"));
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

    /// Waits until no request is in flight and all responses have been processed.
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

    /// Number of concurrent callers.
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
                // The token may have expired during the wait.
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

/// Counts and failures of a run.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    rows: BTreeMap<(&'static str, String), usize>,
    cases: usize,
    asked: usize,
    served: usize,
    broken: String,
}

impl Tally {
    /// Returns the numbers of the cases of a run.
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
                "reported as lost in flight".to_owned()
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
