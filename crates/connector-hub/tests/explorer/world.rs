//! The environment of the machine, without time and bytes: a store with the guarantees of
//! `TokenStore`, a provider with a rotation class, the network, and an owner who reconnects.
//!
//! The end of a claim is decided by an oracle: a claim ends when no request or response with its
//! token is in flight. Only a frozen process can make the oracle wrong.

use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;

use connector_core::cipher::{KeyId, Sealed};
use connector_core::clock::Timestamp;
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::store::{
    Claim as StoredClaim, ClaimId, ClaimKind, ClaimOutcome, CommitOutcome, ConnectionRecord,
    FailOutcome, Fence, Generation, GrantNumber, PendingCredential, PutOutcome, Stored,
    StoredCredential, TimeLeft, Verdict, Version,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, DegradedReason, Metadata, ProviderId,
    ReauthorizationReason, Status, TenantId,
};
use connector_hub::machine::{
    Action, Exchanged, Fault, Input, Machine, Mark, NewAccess, NoToken, NoTokenReason, Outcome,
    Reason, Sent, Settings, Start,
};

use crate::search::{Finding, Space, Step};

/// The provider's treatment of used refresh tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Provider {
    Stable,
    OldTokensLiveOn,
    /// The previous token works until the next rotation.
    GraceTime,
    /// The previous token works until the first use of the new one.
    GraceUntilUsed,
    /// The use of an old token ends the grant.
    Strict,
    /// The use of an old token is refused, without further consequences.
    Refusing,
}

impl Provider {
    fn class(self) -> RotationClass {
        match self {
            Self::Stable => RotationClass::Stable,
            Self::OldTokensLiveOn => RotationClass::OldTokensLiveOn,
            Self::GraceTime => RotationClass::Grace(Grace::Time { seconds: 600 }),
            Self::GraceUntilUsed => {
                RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds: 3600 })
            }
            Self::Strict | Self::Refusing => RotationClass::Strict,
        }
    }
}

/// The effect of an owner's new authorization on the existing grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reconnect {
    /// The provider returns the existing token pair.
    SamePair,
    /// The new pair replaces the chain.
    Chain,
    /// The new pair exists beside the chain.
    Independent,
}

/// The rules of the machine. The world disables a rule from outside: it shows the machine the view
/// that a machine without the rule would have, or acts as that machine would.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each rule is there or not, on its own"
)]
pub(crate) struct Rules {
    /// The row is checked again before and in the claim. Without the rule, the machine sees the
    /// generation that the process knew before.
    pub recheck: bool,
    /// The clocks are checked before the request is sent. Without the rule, the clocks stand still.
    pub clock: bool,
    /// A newer credential from another process is used before giving up. Without the rule, a
    /// refused flight ends although the row has changed.
    pub reread: bool,
    /// Giving up waits for other claims. Without the rule, a refused flight ends although a claim
    /// is active.
    pub patience: bool,
    /// A flight resolves its own claim before it waits for others. Without the rule, a refused
    /// flight waits until no claim is active.
    pub resolve: bool,
    /// A pair that is not stored yet is not returned to callers if its first use would end a grace
    /// period. Without the rule, it is.
    pub restraint: bool,
}

impl Rules {
    pub(crate) const ALL: Self = Self {
        recheck: true,
        clock: true,
        reread: true,
        patience: true,
        resolve: true,
        restraint: true,
    };
}

/// The rules outside of the machine.
#[derive(Debug, Clone, Copy)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each rule is there or not, on its own"
)]
pub(crate) struct Outside {
    pub claim: bool,
    pub settle: bool,
    pub recheck: bool,
    pub cas: bool,
    pub pending: bool,
    pub hold: bool,
    pub quarantine: bool,
}

/// Maximum number of each kind of event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Bounds {
    pub starts: u8,
    pub crashes: u8,
    pub drops: u8,
    pub timeouts: u8,
    pub freezes: u8,
    pub outages: u8,
    pub unknowns: u8,
    pub reconnects: u8,
    pub identify_failures: u8,
    pub disconnects: u8,
    pub restores: u8,
    pub refusals: u8,
}

/// The settings of one search.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    pub provider: Provider,
    pub nodes: usize,
    pub bounds: Bounds,
    pub reconnect: Reconnect,
    pub rules: Rules,
    pub outside: Outside,
    /// Remaining lifetime of an active claim. Above 20 s, a flight ends before the claim.
    pub left: Duration,
    /// True for all kinds of callers, false for callers without a valid access token only.
    pub every_reason: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Family {
    live: u8,
    previous: u8,
    members: u64,
    revoked: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Claim {
    fence: u8,
    /// The process and the number of the claim, to recognise repetitions.
    owner: Option<(u8, u8)>,
    token: u8,
    exchange: bool,
    superseded: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Store {
    up: bool,
    live: bool,
    grant: u8,
    generation: u8,
    token: u8,
    fence: u8,
    unresolved: bool,
    dead: Option<ReauthorizationReason>,
    claim: Option<Claim>,
    /// Fence, token and base of each pending pair, newest fence first.
    pending: Vec<(u8, u8, u8)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
struct Cache {
    grant: u8,
    /// Zero if the process knows no generation.
    generation: u8,
    token: u8,
    fence: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Phase {
    /// No request or response with a token is in flight.
    Free,
    Claimed,
    Sent,
    Answered,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Flight {
    machine: Machine,
    asked: Action,
    phase: Phase,
    frozen: bool,
    fence: u8,
    /// The token that the claim spends.
    spent: u8,
    /// The new pair; zero if there is none.
    hand: u8,
    /// True after the new pair is stored or queued for revocation.
    safe: bool,
    /// The first outcome of the commit.
    memo: Option<CommitOutcome>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Node {
    cache: Cache,
    flight: Option<Box<Flight>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Message {
    Request {
        node: u8,
        fence: u8,
        token: u8,
    },
    /// A token; zero for a refusal.
    Answer {
        node: u8,
        fence: u8,
        token: u8,
    },
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct Callback {
    token: u8,
    quarantined: bool,
    /// False while no process handles the flow.
    active: bool,
}

#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct World {
    families: [Family; 2],
    minted: u8,
    store: Store,
    nodes: Vec<Node>,
    messages: Vec<Message>,
    callback: Option<Callback>,
    left: Bounds,
    served: bool,
    dead: bool,
}

#[derive(Clone, Copy)]
pub(crate) struct Label(Option<u8>, &'static str, u8);

impl fmt::Display for Label {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(node) = self.0 {
            write!(f, "{node} ")?;
        }
        f.write_str(self.1)?;
        if self.2 > 0 {
            write!(f, " {}", self.2)?;
        }
        Ok(())
    }
}

fn number(n: u64) -> u8 {
    u8::try_from(n).expect("the bounds keep numbers small")
}

impl Store {
    fn seen(&self) -> Cache {
        Cache {
            grant: self.grant,
            generation: self.generation,
            token: self.token,
            fence: self.fence,
        }
    }
}

impl World {
    fn mint(&mut self, family: usize) -> u8 {
        self.minted += 1;
        let token = self.minted;
        self.families[family].live = token;
        self.families[family].members |= 1 << token;
        token
    }

    fn send(&mut self, message: Message) {
        let at = self.messages.partition_point(|other| *other < message);
        self.messages.insert(at, message);
    }

    fn flight(&self, node: usize) -> &Flight {
        self.nodes[node].flight.as_ref().expect("a flight")
    }

    fn flight_mut(&mut self, node: usize) -> &mut Flight {
        self.nodes[node].flight.as_mut().expect("a flight")
    }

    fn under_way(&self, token: u8, but: Option<usize>) -> bool {
        self.nodes.iter().enumerate().any(|(at, node)| {
            Some(at) != but
                && node
                    .flight
                    .as_ref()
                    .is_some_and(|flight| flight.phase != Phase::Free && flight.spent == token)
        }) || self.requested(token)
    }

    fn requested(&self, token: u8) -> bool {
        self.messages
            .iter()
            .any(|message| matches!(message, Message::Request { token: t, .. } if *t == token))
    }

    fn in_phase(&self, token: u8, phase: Phase) -> bool {
        self.nodes.iter().any(|node| {
            node.flight
                .as_ref()
                .is_some_and(|flight| flight.phase == phase && flight.spent == token)
        })
    }

    /// Returns true while the claim is active, from the view of node `but`.
    fn stands(&self, claim: Claim, but: Option<usize>) -> bool {
        if claim.exchange {
            self.callback.is_some() || self.under_way(claim.token, but)
        } else {
            self.under_way(claim.token, but)
        }
    }

    fn listens(&self, node: u8, fence: u8) -> bool {
        self.nodes[usize::from(node)]
            .flight
            .as_ref()
            .is_some_and(|flight| flight.phase == Phase::Sent && flight.fence == fence)
    }

    /// Returns true if a live process other than `but` knows a working token, or is about to
    /// receive one.
    fn successor_is_known(&self, but: u8, caches: bool) -> bool {
        let known = |token: u8| {
            token != 0
                && token != but
                && self
                    .families
                    .iter()
                    .any(|family| family.live == token && !family.revoked)
        };
        known(self.store.token)
            || self.store.pending.iter().any(|pair| known(pair.1))
            || self.nodes.iter().any(|node| {
                node.flight
                    .as_ref()
                    .is_some_and(|flight| known(flight.hand))
                    || caches && known(node.cache.token)
            })
            || self.messages.iter().any(|message| match message {
                Message::Answer { node, fence, token } => {
                    known(*token) && self.listens(*node, *fence)
                }
                Message::Request { .. } => false,
            })
            || self.callback.is_some_and(|callback| known(callback.token))
    }

    fn row(&self, left: Duration) -> Box<Stored> {
        let store = &self.store;
        let mut row = Box::new(TEMPLATE.clone());
        let (grant, generation) = (
            GrantNumber::new(store.grant.into()),
            Generation::new(store.generation.into()),
        );
        let connection = &mut row.connection;
        connection.grant = grant;
        connection.generation = generation;
        connection.fence = Fence::new(store.fence.into());
        connection.status = match store.dead {
            _ if !store.live => Status::Disconnected,
            Some(reason) => Status::NeedsReauthorization(reason),
            None if store.unresolved => Status::Degraded(DegradedReason::RefreshUnresolved),
            None => Status::Connected,
        };
        row.pending = store
            .pending
            .iter()
            .map(|(fence, _, base)| PendingCredential {
                sealed: NOTHING.clone(),
                grant,
                base: Generation::new((*base).into()),
                fence: Fence::new((*fence).into()),
                access_left: None,
                refresh_left: None,
            })
            .collect();
        row.claim = store.claim.map(|claim| {
            let left = if self.stands(claim, None) {
                left
            } else {
                Duration::ZERO
            };
            stored_claim(claim, left)
        });
        row
    }
}

static NOTHING: LazyLock<Sealed> =
    LazyLock::new(|| Sealed::new(KeyId::from_bytes([0; 8]), Bytes::new()));

/// A template of the row. The relevant fields are set anew for each use.
static TEMPLATE: LazyLock<Stored> = LazyLock::new(|| {
    let tenant = TenantId::new("t").expect("a name");
    let key = ConnectionKey::new(tenant, ConnectionId::from_bytes([0; 16]));
    let at = Timestamp::UNIX_EPOCH;
    Stored {
        connection: ConnectionRecord {
            key,
            provider: ProviderId::from_static("acme"),
            app: AppKey::default(),
            account: Account::identified(AccountKey::new("a").expect("a name")),
            status: Status::Connected,
            status_since: at,
            failures: 0,
            check: None,
            rotates: false,
            metadata: Metadata::new(),
            grant: GrantNumber::new(1),
            generation: Generation::new(1),
            confirmed: None,
            fence: Fence::new(0),
            version: Version::new(1),
            created_at: at,
            updated_at: at,
            refreshed_at: at,
        },
        current: Some(StoredCredential {
            sealed: NOTHING.clone(),
            grant: GrantNumber::new(1),
            generation: Generation::new(1),
            fence: Fence::new(0),
            access_left: None,
            refresh_left: None,
        }),
        previous: None,
        pending: Vec::new(),
        claim: None,
    }
});

fn time_left(left: Duration) -> TimeLeft {
    let now = Timestamp::UNIX_EPOCH;
    TimeLeft::between(now, now.after(left))
}

fn stored_claim(claim: Claim, left: Duration) -> StoredClaim {
    StoredClaim {
        claim_id: ClaimId::from_bytes([claim.fence; 16]),
        grant: GrantNumber::new(1),
        generation: Generation::new(1),
        fence: Fence::new(claim.fence.into()),
        kind: if claim.exchange {
            ClaimKind::Exchange
        } else {
            ClaimKind::Refresh
        },
        until: time_left(left),
    }
}

impl Setting {
    fn redeem(&self, world: &mut World, token: u8) -> u8 {
        let Some(at) = world
            .families
            .iter()
            .position(|family| family.members & (1 << token) != 0)
        else {
            return 0;
        };
        let family = world.families[at];
        if family.revoked {
            return 0;
        }
        match self.provider {
            Provider::Stable => token,
            Provider::OldTokensLiveOn => world.mint(at),
            Provider::GraceTime | Provider::GraceUntilUsed
                if token == family.live || token == family.previous =>
            {
                world.families[at].previous = token;
                world.mint(at)
            }
            Provider::Strict | Provider::Refusing if token == family.live => world.mint(at),
            Provider::Strict => {
                world.families[at].revoked = true;
                0
            }
            Provider::GraceTime | Provider::GraceUntilUsed | Provider::Refusing => 0,
        }
    }

    /// Applies the effect of an API call with this token at the provider.
    fn used(&self, world: &mut World, token: u8) {
        if self.provider == Provider::GraceUntilUsed {
            for family in &mut world.families {
                if family.live == token {
                    family.previous = 0;
                }
            }
        }
    }

    /// Passes an input to the machine of `node`, and executes the actions that need no time.
    fn drive(&self, world: &mut World, node: usize, input: Input) -> Option<Finding> {
        let mut input = Some(input);
        while let Some(next) = input.take() {
            let actions = world
                .flight_mut(node)
                .machine
                .step(next)
                .expect("the driver answers what was asked");
            let (more, finding) = self.carry_out(world, node, actions);
            if finding.is_some() {
                return finding;
            }
            input = more;
        }
        None
    }

    fn carry_out(
        &self,
        world: &mut World,
        node: usize,
        actions: Vec<Action>,
    ) -> (Option<Input>, Option<Finding>) {
        for action in actions {
            match action {
                Action::Report(_) => {}
                Action::Answer(outcome) => {
                    let pair_in_hand = matches!(
                        world.flight(node).asked,
                        Action::Commit {
                            takes_pending: None,
                            ..
                        }
                    );
                    let unrestrained = !self.rules.restraint && pair_in_hand;
                    if outcome == Outcome::ServeUndurable || unrestrained {
                        let hand = world.flight(node).hand;
                        world.served = true;
                        self.used(world, hand);
                    }
                }
                Action::Finish(outcome) => return (None, self.finished(world, node, outcome)),
                Action::Load => {
                    world.flight_mut(node).asked = Action::Load;
                    let input = if world.store.up {
                        Input::Loaded(Some(self.seen_row(world, node)))
                    } else {
                        Input::StoreUnavailable
                    };
                    return (Some(input), None);
                }
                Action::Exchange { generation, .. } => {
                    self.exchange(world, node, number(generation.get()));
                    world.flight_mut(node).asked = action;
                }
                Action::CheckClocks => {
                    world.flight_mut(node).asked = action;
                }
                action => world.flight_mut(node).asked = action,
            }
        }
        (None, None)
    }

    /// Returns the row as seen by the machine, with or without the second check.
    fn seen_row(&self, world: &World, node: usize) -> Box<Stored> {
        let mut row = world.row(self.left);
        let cache = world.nodes[node].cache;
        let before_answer = world.nodes[node]
            .flight
            .as_ref()
            .is_none_or(|flight| flight.hand == 0);
        if !self.rules.recheck && cache.generation > 0 && before_answer {
            row.connection.generation = Generation::new(cache.generation.into());
        }
        row
    }

    fn exchange(&self, world: &mut World, node: usize, generation: u8) {
        let cache = world.nodes[node].cache;
        let flight = world.flight_mut(node);
        // Without the second check, the token that the process knew before is sent.
        if !self.rules.recheck && cache.generation == generation {
            flight.spent = cache.token;
        }
        flight.phase = Phase::Sent;
        let message = Message::Request {
            node: number(node as u64),
            fence: flight.fence,
            token: flight.spent,
        };
        world.send(message);
    }

    fn finished(&self, world: &mut World, node: usize, outcome: Outcome) -> Option<Finding> {
        let flight = world.nodes[node].flight.take().expect("a flight");
        let owner = number(node as u64);
        if let Some(claim) = &mut world.store.claim
            && claim.owner.is_some_and(|(node, _)| node == owner)
        {
            claim.owner = None;
        }
        match outcome {
            Outcome::Fresh { grant, generation } => self.remember(
                world,
                node,
                Cache {
                    grant: number(grant.get()),
                    generation: number(generation.get()),
                    token: flight.hand,
                    fence: flight.fence,
                },
            ),
            Outcome::Newer { .. } if world.store.up && world.store.live => {
                let cache = world.store.seen();
                self.remember(world, node, cache);
            }
            Outcome::NoToken(NoToken {
                reason: NoTokenReason::NeedsReauthorization(reason),
                ..
            }) => return Some(self.given_up(world, &flight, reason)),
            _ => {}
        }
        (flight.hand != 0 && !flight.safe).then_some(Finding::Dropped)
    }

    /// Returns true if the known state must be part of the search. It matters only if a backup may
    /// be restored, or if the second check is disabled. Otherwise a flight with an old state ends
    /// after its first read.
    fn remembers(&self) -> bool {
        self.bounds.restores > 0 || !self.rules.recheck
    }

    fn remember(&self, world: &mut World, node: usize, cache: Cache) {
        if self.remembers() {
            let fence = if self.bounds.restores > 0 {
                cache.fence
            } else {
                0
            };
            world.nodes[node].cache = Cache { fence, ..cache };
        }
    }

    fn given_up(
        &self,
        world: &mut World,
        flight: &Flight,
        reason: ReauthorizationReason,
    ) -> Finding {
        if world.callback.is_some() {
            return Finding::Flap;
        }
        world.dead = true;
        let refused = if world.store.token == flight.spent && self.provider != Provider::Stable {
            flight.spent
        } else {
            0
        };
        if world.successor_is_known(refused, self.bounds.restores > 0) {
            Finding::Avoidable
        } else if world.served && self.provider == Provider::GraceUntilUsed {
            Finding::ServedThenCrashed
        } else if self.provider == Provider::Strict
            && self.bounds.reconnects == 0
            && reason != ReauthorizationReason::LostInFlight
        {
            Finding::ToldWrong
        } else {
            Finding::Unavoidable
        }
    }

    fn start(&self, world: &mut World, node: usize, reason: Reason) -> Option<Finding> {
        let mut cache = world.nodes[node].cache;
        if !self.remembers() {
            cache = Cache {
                fence: 0,
                ..world.store.seen()
            };
        }
        let known = cache.generation > 0;
        let start = Start {
            reason,
            seen: known.then(|| Generation::new(cache.generation.into())),
            mark: known.then(|| Mark {
                grant: GrantNumber::new(cache.grant.into()),
                generation: Generation::new(cache.generation.into()),
                fence: Fence::new(cache.fence.into()),
                in_hand: true,
            }),
        };
        let settings = Settings::new(self.provider.class(), 500);
        let (machine, actions) = Machine::start(settings, start);
        world.nodes[node].flight = Some(Box::new(Flight {
            machine,
            asked: Action::Load,
            phase: Phase::Free,
            frozen: false,
            fence: 0,
            spent: 0,
            hand: 0,
            safe: false,
            memo: None,
        }));
        let (input, finding) = self.carry_out(world, node, actions);
        assert!(finding.is_none());
        let finding = self.drive(world, node, input.expect("a load comes first"));
        // A flight that found no work has no cost.
        if world.nodes[node].flight.is_some() {
            world.left.starts -= 1;
        }
        finding
    }

    /// Returns the store's outcome for a claim. With `frozen`, the claim is granted although its
    /// holder is alive.
    fn claim(&self, world: &mut World, node: usize, frozen: bool) -> ClaimOutcome {
        let Action::Claim {
            number: ordinal,
            grant,
            seen,
            kind: _,
            ..
        } = world.flight(node).asked
        else {
            unreachable!("a claim was asked for");
        };
        let name = (number(node as u64), ordinal);
        if !world.store.live {
            return ClaimOutcome::Ended;
        }
        if let Some(claim) = world.store.claim
            && claim.owner == Some(name)
        {
            return self.granted(world, node, claim.fence, claim.superseded.then_some(claim));
        }
        let seen = (number(grant.get()), number(seen.get()));
        if self.outside.recheck && seen != (world.store.grant, world.store.generation) {
            return ClaimOutcome::Moved(world.row(self.left));
        }
        let standing = world.store.claim.filter(|claim| world.stands(*claim, None));
        if standing.is_some() && self.outside.settle && !frozen {
            return ClaimOutcome::Held {
                fence: Fence::new(world.store.fence.into()),
                until: time_left(self.left),
            };
        }
        let before = world.store.claim;
        if let Some(before) = before {
            for other in &mut world.nodes {
                if let Some(flight) = &mut other.flight
                    && flight.phase != Phase::Free
                    && flight.fence == before.fence
                {
                    flight.frozen = true;
                }
            }
        }
        world.store.fence += 1;
        let fence = world.store.fence;
        let token = world.store.token;
        if self.outside.claim {
            world.store.claim = Some(Claim {
                fence,
                owner: Some(name),
                token,
                exchange: false,
                superseded: before.is_some(),
            });
        }
        let flight = world.flight_mut(node);
        flight.phase = Phase::Claimed;
        flight.frozen = false;
        flight.fence = fence;
        flight.spent = token;
        flight.memo = None;
        self.granted(world, node, fence, before)
    }

    fn granted(
        &self,
        world: &World,
        node: usize,
        fence: u8,
        superseded: Option<Claim>,
    ) -> ClaimOutcome {
        ClaimOutcome::Granted {
            fence: Fence::new(fence.into()),
            until: time_left(self.left),
            stored: self.seen_row(world, node),
            superseded: superseded.map(|claim| stored_claim(claim, Duration::ZERO)),
        }
    }

    fn clear_claim(world: &mut World, fence: u8) {
        if world.store.claim.is_some_and(|claim| claim.fence == fence) {
            world.store.claim = None;
        }
    }

    fn commit(&self, world: &mut World, node: usize) -> CommitOutcome {
        let Action::Commit {
            grant,
            base,
            fence,
            takes_pending,
            ..
        } = world.flight(node).asked
        else {
            unreachable!("a commit was asked for");
        };
        if let Some(memo) = world.flight(node).memo.clone() {
            return memo;
        }
        let hand = world.flight(node).hand;
        let (base, fence) = (number(base.get()), number(fence.get()));
        let moved = world.store.generation != base && self.outside.cas;
        let outcome = if !world.store.live || world.store.grant != number(grant.get()) {
            CommitOutcome::Ended
        } else if let Some(taken) = takes_pending {
            let taken = number(taken.get());
            let at = world.store.pending.iter().position(|pair| pair.0 == taken);
            match at {
                Some(at) if !moved => {
                    world.store.token = world.store.pending.remove(at).1;
                    world.store.generation += 1;
                    world.store.unresolved = false;
                    world.store.dead = None;
                    Self::clear_claim(world, fence);
                    CommitOutcome::Stored
                }
                _ => CommitOutcome::Pending,
            }
        } else {
            Self::clear_claim(world, fence);
            if moved {
                if self.outside.pending {
                    world.store.pending.push((fence, hand, base));
                    world.store.pending.sort_unstable_by(|a, b| b.cmp(a));
                }
                CommitOutcome::Pending
            } else {
                world.store.token = hand;
                world.store.generation += 1;
                world.store.unresolved = false;
                world.store.dead = None;
                CommitOutcome::Stored
            }
        };
        let flight = world.flight_mut(node);
        flight.memo = Some(outcome.clone());
        if takes_pending.is_none() && outcome != CommitOutcome::Ended {
            flight.safe = true;
        }
        flight.phase = Phase::Free;
        outcome
    }

    fn fail(&self, world: &mut World, node: usize) -> FailOutcome {
        let Action::Fail {
            grant,
            base,
            fence,
            resolves,
            ref verdict,
            ..
        } = world.flight(node).asked
        else {
            unreachable!("a failure was to be recorded");
        };
        let verdict = verdict.clone();
        let (base, fence) = (number(base.get()), number(fence.get()));
        world.flight_mut(node).phase = Phase::Free;
        if !world.store.live {
            return FailOutcome::Ended;
        }
        if resolves {
            Self::clear_claim(world, fence);
        }
        if world.store.generation != base || world.store.grant != number(grant.get()) {
            return FailOutcome::Moved(world.row(self.left));
        }
        match verdict {
            Verdict::Later { status } => {
                if let Some(status) = status {
                    world.store.unresolved =
                        status == Status::Degraded(DegradedReason::RefreshUnresolved);
                }
                FailOutcome::Applied
            }
            Verdict::GiveUp { reason } => {
                let other = world.store.claim.filter(|claim| claim.fence != fence);
                if !world.store.pending.is_empty() {
                    FailOutcome::PendingLeft(world.row(self.left))
                } else if other.is_some_and(|claim| world.stands(claim, Some(node))) {
                    FailOutcome::Held {
                        fence: Fence::new(world.store.fence.into()),
                        until: time_left(self.left),
                    }
                } else {
                    world.store.dead = Some(reason);
                    FailOutcome::Applied
                }
            }
        }
    }

    fn write_back(world: &mut World, node: usize) -> PutOutcome {
        let Action::WriteBack {
            expect,
            grant,
            generation,
            ..
        } = world.flight(node).asked
        else {
            unreachable!("a pair was to be written back");
        };
        let hand = world.flight(node).hand;
        let token = if hand == 0 {
            world.nodes[node].cache.token
        } else {
            hand
        };
        world.flight_mut(node).phase = Phase::Free;
        let (grant, generation) = (number(grant.get()), number(generation.get()));
        let store = &mut world.store;
        if !store.live {
            return PutOutcome::Missing;
        }
        let repeated = (store.grant, store.generation, store.token) == (grant, generation, token);
        if !repeated && store.generation != number(expect.get()) {
            return PutOutcome::Moved(world.row(Duration::ZERO));
        }
        if !repeated {
            store.grant = grant;
            store.generation = generation;
            store.token = token;
            store.unresolved = false;
            store.dead = None;
            store.claim = None;
            store.pending.clear();
        }
        world.flight_mut(node).safe = true;
        PutOutcome::Stored
    }

    /// Executes the store call that `node` requested.
    fn call(&self, world: &mut World, node: usize, frozen: bool) -> Input {
        match world.flight(node).asked {
            Action::Claim { .. } => Input::Claimed(self.claim(world, node, frozen)),
            Action::Commit { .. } => Input::Committed(self.commit(world, node)),
            Action::Fail { .. } => Input::Recorded(self.fail(world, node)),
            Action::WriteBack { .. } => Input::WrittenBack(Self::write_back(world, node)),
            Action::Revoke { .. } => {
                world.flight_mut(node).safe = true;
                Input::Revoked
            }
            _ => unreachable!("a store call was asked for"),
        }
    }

    fn reasons(&self) -> &'static [(&'static str, Reason)] {
        const fn refused(worked: bool, unproven: u32, minutes: u64) -> Reason {
            Reason::Rejected {
                worked,
                unproven,
                age: Duration::from_secs(60 * minutes),
            }
        }
        const ALL: [(&str, Reason); 7] = [
            ("starts", Reason::Mandatory),
            ("starts early", Reason::Advisory),
            ("is forced", Reason::Forced { good: false }),
            ("is forced early", Reason::Forced { good: true }),
            ("was refused", refused(true, 0, 0)),
            ("was refused from the start", refused(false, 1, 2)),
            ("was refused too soon", refused(false, 1, 1)),
        ];
        if self.every_reason { &ALL } else { &ALL[..1] }
    }
}

type Out<'a> = &'a mut Vec<Step<World, Label>>;

fn step(out: Out<'_>, label: Label, to: World, finding: Option<Finding>) {
    out.push(Step {
        label,
        to,
        finding,
        progress: true,
    });
}

impl Setting {
    fn node_steps(&self, world: &World, at: usize, out: Out<'_>) {
        let node = number(at as u64);
        let Some(flight) = &world.nodes[at].flight else {
            if world.store.up && world.left.starts > 0 {
                for (label, reason) in self.reasons() {
                    let mut to = world.clone();
                    let finding = self.start(&mut to, at, *reason);
                    step(out, Label(Some(node), label, 0), to, finding);
                }
            }
            return;
        };
        if world.left.crashes > 0 {
            let mut to = world.clone();
            to.left.crashes -= 1;
            to.nodes[at].flight = None;
            to.nodes[at].cache = Cache::default();
            if let Some(claim) = &mut to.store.claim
                && claim.owner.is_some_and(|(owner, _)| owner == node)
            {
                claim.owner = None;
            }
            out.push(Step {
                label: Label(Some(node), "crashes", 0),
                to,
                finding: None,
                progress: false,
            });
        }
        match &flight.asked {
            Action::Claim { .. }
            | Action::Commit { .. }
            | Action::Fail { .. }
            | Action::WriteBack { .. }
            | Action::Revoke { .. } => self.call_steps(world, at, out),
            Action::CheckClocks => {
                let mut to = world.clone();
                let late = flight.frozen && self.rules.clock;
                let steady = Duration::from_secs(if late { 6 } else { 0 });
                // In one of two cases, the steady clock stood still while the machine slept.
                let wall = steady;
                let steady = if flight.fence.is_multiple_of(2) {
                    steady
                } else {
                    Duration::ZERO
                };
                let finding = self.drive(&mut to, at, Input::Clocks { steady, wall });
                let sent = to.nodes[at]
                    .flight
                    .as_ref()
                    .filter(|flight| flight.phase == Phase::Sent)
                    .map(|flight| flight.spent);
                if let Some(token) = sent {
                    let finding = finding.or(self.sent(world, token));
                    step(out, Label(Some(node), "sends", token), to, finding);
                } else {
                    step(out, Label(Some(node), "is too slow", 0), to, finding);
                }
            }
            Action::Exchange { .. } => self.exchange_steps(world, at, out),
            Action::Wait { on_generation, .. } => {
                let mut to = world.clone();
                let finding = self.drive(&mut to, at, Input::TimerFired);
                step(out, Label(Some(node), "has waited", 0), to, finding);
                if *on_generation && world.store.up {
                    let mut to = world.clone();
                    let finding = self.drive(&mut to, at, Input::Woken);
                    step(out, Label(Some(node), "is woken", 0), to, finding);
                }
            }
            _ => {}
        }
    }

    /// Returns the finding for a sent token, if any.
    fn sent(&self, world: &World, token: u8) -> Option<Finding> {
        if self.bounds.restores > 0 {
            let known = world
                .nodes
                .iter()
                .map(|node| {
                    let hand = node.flight.as_ref().map_or(0, |flight| flight.hand);
                    node.cache.token.max(hand)
                })
                .max();
            return (known > Some(token)).then_some(Finding::KnownReuse);
        }
        (self.provider == Provider::Strict && world.store.live && token != world.store.token)
            .then_some(Finding::KnownReuse)
    }

    fn call_steps(&self, world: &World, at: usize, out: Out<'_>) {
        let node = number(at as u64);
        let flight = world.flight(at);
        let what = match flight.asked {
            Action::Claim { .. } => "claims",
            Action::Commit {
                takes_pending: None,
                ..
            } => "commits",
            Action::Commit { .. } => "takes a pending pair",
            Action::Fail { resolves: true, .. } => "records a definite failure",
            Action::Fail { .. } => "records an open end",
            Action::WriteBack { .. } => "writes back",
            _ => "queues a revocation of",
        };
        let label = |suffix: &'static str| match suffix {
            "" => Label(Some(node), what, flight.hand),
            suffix => Label(Some(node), suffix, flight.hand),
        };
        if !world.store.up {
            let mut to = world.clone();
            let finding = self.drive(&mut to, at, Input::StoreUnavailable);
            step(out, label("finds the store down"), to, finding);
            return;
        }
        if self.waits_for_every_claim(world, at) {
            return;
        }
        let mut to = world.clone();
        let input = self.call(&mut to, at, false);
        if let Some(reason) = self.gives_up_too_soon(flight, &input) {
            let over = NoToken::finally(NoTokenReason::NeedsReauthorization(reason));
            let finding = self.finished(&mut to, at, Outcome::NoToken(over));
            step(out, label(""), to, finding);
            return;
        }
        let held = matches!(input, Input::Claimed(ClaimOutcome::Held { .. }));
        let finding = self.drive(&mut to, at, input);
        step(out, label(""), to, finding);
        if world.left.unknowns > 0 {
            let mut to = world.clone();
            to.left.unknowns -= 1;
            self.call(&mut to, at, false);
            let finding = self.drive(&mut to, at, Input::StoreUnavailable);
            step(out, label("does not hear the store"), to, finding);
        }
        if held && world.left.freezes > 0 && Self::frozen_only(world) {
            let mut to = world.clone();
            to.left.freezes -= 1;
            let input = self.call(&mut to, at, true);
            let finding = self.drive(&mut to, at, input);
            step(out, label("claims over a frozen holder"), to, finding);
        }
    }

    /// Returns true if a refused holder waits until no claim is active, including its own. This is
    /// the behaviour without the rule `resolve`.
    fn waits_for_every_claim(&self, world: &World, at: usize) -> bool {
        let flight = world.flight(at);
        let Action::Fail {
            base,
            grant,
            verdict: Verdict::GiveUp { .. },
            ..
        } = flight.asked
        else {
            return false;
        };
        let moved = (world.store.grant, world.store.generation)
            != (number(grant.get()), number(base.get()));
        !self.rules.resolve && world.store.live && !moved && world.store.claim.is_some()
    }

    /// Returns the reason with which a refused holder gives up, regardless of the store.
    fn gives_up_too_soon(&self, flight: &Flight, input: &Input) -> Option<ReauthorizationReason> {
        let Action::Fail {
            verdict: Verdict::GiveUp { reason },
            ..
        } = &flight.asked
        else {
            return None;
        };
        let gives_up = match input {
            Input::Recorded(FailOutcome::Moved(_)) => !self.rules.reread,
            Input::Recorded(FailOutcome::Held { .. }) => !self.rules.patience,
            _ => false,
        };
        gives_up.then_some(*reason)
    }

    /// Returns true if the claim is active only because of a holder that may freeze: it has not
    /// sent the request, or has received the response.
    fn frozen_only(world: &World) -> bool {
        let Some(claim) = world.store.claim.filter(|claim| !claim.exchange) else {
            return false;
        };
        !world.in_phase(claim.token, Phase::Sent) && !world.requested(claim.token)
    }

    fn exchange_steps(&self, world: &World, at: usize, out: Out<'_>) {
        let node = number(at as u64);
        let failed = |fault, sent| Input::Exchanged {
            answer: Exchanged::Failed { fault, sent },
            elapsed: Duration::ZERO,
        };
        let transient = Fault::Transient { after: None };
        let fence = world.flight(at).fence;
        let of_this = |message: &Message| match message {
            Message::Request {
                node: n, fence: f, ..
            }
            | Message::Answer {
                node: n, fence: f, ..
            } => (*n, *f) == (node, fence),
        };
        if world.left.timeouts > 0 || !world.messages.iter().any(of_this) {
            let mut to = world.clone();
            if !matches!(to.left.timeouts, 0 | u8::MAX) {
                to.left.timeouts -= 1;
            }
            to.flight_mut(at).phase = Phase::Free;
            let finding = self.drive(&mut to, at, failed(transient, Sent::Maybe));
            step(out, Label(Some(node), "times out", 0), to, finding);
        }
        let unserved = world
            .messages
            .iter()
            .position(|message| of_this(message) && matches!(message, Message::Request { .. }));
        if let Some(request) = unserved
            && world.left.refusals > 0
        {
            for (label, sent) in [
                ("is told to wait", Sent::Answered),
                ("cannot connect", Sent::No),
            ] {
                let mut to = world.clone();
                to.left.refusals -= 1;
                to.messages.remove(request);
                to.flight_mut(at).phase = Phase::Answered;
                let finding = self.drive(&mut to, at, failed(transient, sent));
                step(out, Label(Some(node), label, 0), to, finding);
            }
        }
    }

    fn message_steps(&self, world: &World, at: usize, out: Out<'_>) {
        let mut rest = world.clone();
        let message = rest.messages.remove(at);
        match message {
            Message::Request { node, fence, token } => {
                let mut to = rest.clone();
                let revoked = |world: &World| {
                    world
                        .families
                        .iter()
                        .filter(|family| family.revoked)
                        .count()
                };
                let answer = self.redeem(&mut to, token);
                let finding = (revoked(&to) > revoked(world) && world.store.live).then(|| {
                    if rest.successor_is_known(0, self.bounds.restores > 0) {
                        Finding::Avoidable
                    } else {
                        Finding::Unavoidable
                    }
                });
                if to.listens(node, fence) {
                    to.send(Message::Answer {
                        node,
                        fence,
                        token: answer,
                    });
                }
                step(out, Label(None, "provider takes", token), to, finding);
                if world.left.drops > 0 {
                    rest.left.drops -= 1;
                    step(out, Label(None, "request lost", token), rest, None);
                }
            }
            Message::Answer { node, fence, token } => {
                if !rest.listens(node, fence) {
                    step(out, Label(None, "answer to nobody", token), rest, None);
                    return;
                }
                let mut to = rest.clone();
                let at = usize::from(node);
                let flight = to.flight_mut(at);
                flight.phase = Phase::Answered;
                let answer = if token == 0 {
                    Exchanged::Failed {
                        fault: Fault::DeadGrant {
                            reason: ReauthorizationReason::GrantRevoked,
                        },
                        sent: Sent::Answered,
                    }
                } else {
                    flight.hand = token;
                    flight.safe = false;
                    Exchanged::Pair {
                        rotated: token != flight.spent,
                        access: NewAccess::Usable,
                    }
                };
                let elapsed = Duration::ZERO;
                let finding = self.drive(&mut to, at, Input::Exchanged { answer, elapsed });
                step(out, Label(Some(node), "hears", token), to, finding);
                if world.left.drops > 0 {
                    rest.left.drops -= 1;
                    step(out, Label(None, "answer lost", token), rest, None);
                }
            }
        }
    }

    fn callback_steps(&self, world: &World, out: Out<'_>) {
        let Some(callback) = world.callback else {
            self.authorize(world, out);
            return;
        };
        if !callback.active {
            if world.store.up {
                let mut to = world.clone();
                to.callback = Some(Callback {
                    active: true,
                    ..callback
                });
                step(
                    out,
                    Label(None, "quarantine is resumed", callback.token),
                    to,
                    None,
                );
            }
            return;
        }
        let safe = callback.quarantined || !self.outside.quarantine;
        if world.store.up && !safe {
            let mut to = world.clone();
            to.callback = Some(Callback {
                quarantined: true,
                ..callback
            });
            step(out, Label(None, "quarantines", callback.token), to, None);
        }
        if world.store.up && safe {
            let mut to = world.clone();
            to.callback = None;
            to.store.token = callback.token;
            to.store.grant += 1;
            to.store.generation += 1;
            to.store.unresolved = false;
            to.store.dead = None;
            to.store.claim = None;
            to.store.pending.clear();
            step(
                out,
                Label(None, "reconnect commits", callback.token),
                to,
                None,
            );
        }
        let interrupted = Callback {
            active: false,
            ..callback
        };
        if safe && world.left.identify_failures > 0 {
            let mut to = world.clone();
            to.left.identify_failures -= 1;
            to.callback = callback.quarantined.then_some(interrupted);
            step(out, Label(None, "identify fails", 0), to, None);
        }
        if world.left.crashes > 0 {
            let mut to = world.clone();
            to.left.crashes -= 1;
            to.callback = callback.quarantined.then_some(interrupted);
            out.push(Step {
                label: Label(None, "callback crashes", 0),
                to,
                finding: None,
                progress: false,
            });
        }
    }

    fn authorize(&self, world: &World, out: Out<'_>) {
        if world.left.reconnects == 0 || !world.store.up || !world.store.live {
            return;
        }
        let mut to = world.clone();
        to.left.reconnects -= 1;
        if self.outside.hold {
            let held = world
                .store
                .claim
                .is_some_and(|claim| world.stands(claim, None));
            let busy = world
                .nodes
                .iter()
                .filter_map(|node| node.flight.as_ref())
                .any(|flight| flight.phase != Phase::Free);
            if held || busy {
                if to.left.freezes == 0 || !Self::frozen_only(world) {
                    return;
                }
                to.left.freezes -= 1;
                for node in &mut to.nodes {
                    if let Some(flight) = &mut node.flight {
                        flight.frozen |= flight.phase != Phase::Free;
                    }
                }
            }
            to.store.fence += 1;
            to.store.claim = Some(Claim {
                fence: to.store.fence,
                owner: None,
                token: to.store.token,
                exchange: true,
                superseded: world.store.claim.is_some(),
            });
        }
        let label = match self.reconnect {
            Reconnect::SamePair if !world.families[0].revoked => "owner gets the same pair",
            Reconnect::Independent => "owner gets a second grant",
            _ => "owner gets a new chain",
        };
        let token = match self.reconnect {
            Reconnect::SamePair if !world.families[0].revoked => world.families[0].live,
            Reconnect::Independent => to.mint(1),
            _ => {
                to.families[0].previous = 0;
                to.families[0].revoked = false;
                to.mint(0)
            }
        };
        to.callback = Some(Callback {
            token,
            quarantined: false,
            active: true,
        });
        step(out, Label(None, label, token), to, None);
    }

    fn surroundings(&self, world: &World, out: Out<'_>) {
        if !world.store.up {
            let mut to = world.clone();
            to.store.up = true;
            step(out, Label(None, "store up", 0), to, None);
        } else if world.left.outages > 0 {
            let mut to = world.clone();
            to.store.up = false;
            to.left.outages -= 1;
            step(out, Label(None, "store down", 0), to, None);
        }
        if world.left.disconnects > 0
            && world.store.up
            && world.store.live
            && world.callback.is_none()
        {
            for at in 0..world.nodes.len() {
                let mut to = world.clone();
                to.left.disconnects -= 1;
                to.store.live = false;
                to.store.grant += 1;
                to.store.generation += 1;
                to.store.token = 0;
                to.store.claim = None;
                to.store.pending.clear();
                let mut finding = None;
                if to.nodes[at].flight.is_some() {
                    finding = self.drive(&mut to, at, Input::GrantEnded);
                }
                step(
                    out,
                    Label(Some(number(at as u64)), "disconnects", 0),
                    to,
                    finding,
                );
            }
        }
        let remembered = world.nodes.iter().all(|node| {
            (node.cache.grant, node.cache.generation) == (world.store.grant, world.store.generation)
        });
        if world.left.restores > 0
            && world.store.up
            && world.store.live
            && (remembered && self.is_quiet(world) || world.nodes.len() == 1)
        {
            let mut to = world.clone();
            to.left.restores -= 1;
            to.store = self.first().store;
            step(out, Label(None, "backup restored", 0), to, None);
        }
        let token = world.store.token;
        let ends_grace = self.provider == Provider::GraceUntilUsed
            && world
                .families
                .iter()
                .any(|family| family.live == token && family.previous != 0);
        if ends_grace {
            let mut to = world.clone();
            self.used(&mut to, token);
            step(out, Label(None, "a call uses", token), to, None);
        }
    }
}

impl Space for Setting {
    type State = World;
    type Label = Label;

    fn first(&self) -> World {
        let mut world = World {
            families: [Family::default(); 2],
            minted: 0,
            store: Store {
                up: true,
                live: true,
                grant: 1,
                generation: 1,
                token: 1,
                fence: 0,
                unresolved: false,
                dead: None,
                claim: None,
                pending: Vec::new(),
            },
            nodes: vec![
                Node {
                    cache: if self.remembers() {
                        Cache {
                            grant: 1,
                            generation: 1,
                            token: 1,
                            fence: 0,
                        }
                    } else {
                        Cache::default()
                    },
                    flight: None,
                };
                self.nodes
            ],
            messages: Vec::new(),
            callback: None,
            left: self.bounds,
            served: false,
            dead: false,
        };
        world.mint(0);
        world
    }

    fn steps(&self, world: &World, out: Out<'_>) {
        if world.dead {
            return;
        }
        for at in 0..world.nodes.len() {
            self.node_steps(world, at, out);
        }
        for at in 0..world.messages.len() {
            self.message_steps(world, at, out);
        }
        self.callback_steps(world, out);
        self.surroundings(world, out);
    }

    fn is_quiet(&self, world: &World) -> bool {
        world.dead
            || world.callback.is_none() && world.nodes.iter().all(|node| node.flight.is_none())
    }
}
