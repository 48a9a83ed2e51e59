//! The rate limits of one account: selects the limits that a call uses and updates them from its
//! response.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use smallvec::SmallVec;

use crate::account::TenantId;
use crate::api::RetryBudget;
use crate::clock::{Clock, Monotonic, Timestamp};
use crate::error::{Error, ErrorKind, Result, Retry};
use crate::http::limit::budget::{Denied, Turn};
use crate::http::limit::gauge::Go;
use crate::http::limit::queue::Flow;
use crate::http::limit::{
    Budget, Draw, Draws, EVICTION_THRESHOLD, Limit, Per, Permit, Priority, RateModel, Report, keep,
    next_sweep,
};

/// Maximum time a call holds a permit of one limit while it waits for another limit.
const SHORT_HOLD: Duration = Duration::from_millis(250);

/// The rate limits of one account under one app registration. Clones share the state.
///
/// Create it with [`Limits::account`](crate::http::limit::Limits::account). Each operation names
/// the limits that its calls use. A response updates the limit that it describes. A 429 response
/// delays only the calls under one limit. This is the limit that the response names, otherwise the
/// most specific limit that the call used.
///
/// Tenants that share a limit take turns: a call waits for at most one call of each other tenant,
/// however many calls the other tenants have waiting. Set the tenant with
/// [`with_tenant`](Self::with_tenant).
#[derive(Clone)]
pub struct AccountLimits(Arc<AccountState>, Flow);

pub(super) struct AccountState {
    app: Arc<AppState>,
    group: Group,
    /// Records rate-limit responses to calls that do not use any limit of the account.
    gate: Budget,
    retries: RetryBudget,
}

/// The limits that all accounts of an app registration share.
pub(super) struct AppState {
    limits: Arc<[Limit]>,
    group: Group,
    clock: Arc<dyn Clock>,
    /// The provider's bucket id for each pair of limit and operation.
    routes: Mutex<HashMap<(usize, &'static str), Box<str>>>,
}

/// The state of all limits of one scope, in the order of the description.
struct Group(Box<[Slot]>);

struct Slot {
    own: Option<Budget>,
    keyed: Mutex<Keyed>,
}

struct Keyed {
    budgets: HashMap<Box<str>, Budget>,
    sweep_at: usize,
}

impl Group {
    fn new(limits: &[Limit], per: Per, clock: &Arc<dyn Clock>) -> Self {
        let slot = |limit: &Limit| Slot {
            own: (limit.per == per)
                .then(|| Budget::of_provider(Some(limit.model), Arc::clone(clock))),
            keyed: Mutex::new(Keyed {
                budgets: HashMap::new(),
                sweep_at: EVICTION_THRESHOLD,
            }),
        };
        Self(limits.iter().map(slot).collect())
    }

    fn keyed(&self, limit: usize) -> MutexGuard<'_, Keyed> {
        self.0[limit]
            .keyed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn is_forgettable(&self, keep: Duration) -> bool {
        self.0.iter().enumerate().all(|(number, slot)| {
            slot.own.iter().all(|it| it.is_forgettable(keep))
                && self
                    .keyed(number)
                    .budgets
                    .values()
                    .all(|it| it.is_forgettable(keep))
        })
    }
}

impl AppState {
    pub(super) fn new(limits: &[Limit], clock: Arc<dyn Clock>) -> Self {
        Self {
            limits: limits.into(),
            group: Group::new(limits, Per::App, &clock),
            clock,
            routes: Mutex::new(HashMap::new()),
        }
    }

    pub(super) fn is_forgettable(&self, keep: Duration) -> bool {
        self.group.is_forgettable(keep)
    }

    fn routes(&self) -> MutexGuard<'_, HashMap<(usize, &'static str), Box<str>>> {
        self.routes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl AccountState {
    pub(super) fn new(app: Arc<AppState>) -> Self {
        Self {
            group: Group::new(&app.limits, Per::Account, &app.clock),
            gate: Budget::of_provider(None, Arc::clone(&app.clock)),
            retries: RetryBudget::new(),
            app,
        }
    }

    pub(super) fn is_forgettable(&self, keep: Duration) -> bool {
        self.group.is_forgettable(keep) && self.gate.is_forgettable(keep)
    }
}

/// A limit that a call uses.
struct Target {
    budget: Budget,
    from: From,
    cost: u32,
}

/// The owner of the budget that a permit came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// A budget of the application.
    Application,
    /// The account's gate, for calls that use no limit of the account.
    Gate,
    /// Index of a limit in the description.
    Limit(usize),
}

type Targets = SmallVec<[Target; 2]>;

/// The properties of a call that its limits depend on.
#[derive(Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) class: Priority,
    pub(crate) draws: &'a Draws,
    /// The application's own budgets.
    pub(crate) extra: &'a [Budget],
}

/// The properties of a response that the limits depend on.
pub(crate) struct Answered<'a> {
    pub(crate) headers: &'a HeaderMap,
    pub(crate) received: Timestamp,
    /// The reports that the classifier or the operation read from the response.
    pub(crate) reports: SmallVec<[Report; 1]>,
    /// The retry advice of the error if the provider's rate limit rejected the call.
    pub(crate) refused: Option<Retry>,
}

impl AccountLimits {
    pub(super) const fn new(state: Arc<AccountState>) -> Self {
        Self(state, None)
    }

    /// Sets the tenant whose calls use the limits through this handle. Calls without a tenant count
    /// as calls of one tenant.
    #[must_use]
    pub fn with_tenant(mut self, tenant: TenantId) -> Self {
        self.1 = Some(tenant);
        self
    }

    /// Creates limits that are not shared.
    pub(crate) fn alone(limits: &[Limit], clock: Arc<dyn Clock>) -> Self {
        let app = Arc::new(AppState::new(limits, clock));
        Self::new(Arc::new(AccountState::new(app)))
    }

    /// Returns the limit per app or per account with the given name, for calls that your
    /// application sends without a [`Session`](crate::api::Session).
    #[must_use]
    pub fn budget(&self, name: &str) -> Option<Budget> {
        let limits = &self.0.app.limits;
        let number = limits.iter().position(|limit| limit.name == name)?;
        self.own(number).cloned()
    }

    pub(crate) fn retries(&self) -> &RetryBudget {
        &self.0.retries
    }

    /// Acquires the permits of a call if all are available now and no waiting call comes first.
    pub(crate) fn try_acquire(&self, call: Call<'_>) -> Result<Option<Permits>> {
        let targets = self.targets(call)?;
        let mut permits = Unsent(targets.iter().map(|_| None).collect());
        let turn = Turn::last(call.class);
        let delayed = permits.try_rest(&targets, &self.1, turn, call.operation);
        Ok(delayed.is_none().then(|| permits.into_permits()))
    }

    /// Waits until `deadline` for the permits of a call.
    ///
    /// The call waits for one limit at a time and has the same position in each queue. During the
    /// wait, the call keeps permits of other limits for at most [`SHORT_HOLD`]. Therefore limits
    /// cannot deadlock, and a call that waits for one limit does not block the capacity of another.
    pub(crate) async fn acquire(&self, call: Call<'_>, deadline: Monotonic) -> Result<Permits> {
        let turn = Turn::next(call.class);
        let mut may_hold = true;
        'resolve: loop {
            let targets = self.targets(call)?;
            let mut permits = Unsent(targets.iter().map(|_| None).collect());
            loop {
                let Some((number, go)) = permits.try_rest(&targets, &self.1, turn, call.operation)
                else {
                    return Ok(permits.into_permits());
                };
                let is_short = matches!(go, Go::In(wait) if wait <= SHORT_HOLD);
                let until = if may_hold && is_short && permits.0.iter().any(Option::is_some) {
                    deadline.min(self.0.app.clock.monotonic().after(SHORT_HOLD))
                } else {
                    permits.release();
                    deadline
                };
                let Target { budget, from, cost } = &targets[number];
                match budget
                    .wait(&self.1, turn, call.operation, *cost, until)
                    .await
                {
                    Ok(permit) => permits.0[number] = Some((*from, permit)),
                    Err(Denied::Moved) => continue 'resolve,
                    Err(Denied::Late(_)) if until < deadline => {
                        permits.release();
                        may_hold = false;
                    }
                    Err(denied) => return Err(self.denied(call.operation, *from, denied)),
                }
            }
        }
    }

    fn denied(&self, operation: &'static str, from: From, denied: Denied) -> Error {
        let name = match from {
            From::Application => "a limit of the application",
            From::Gate => "a pause that the provider asked for",
            From::Limit(number) => &self.0.app.limits[number].name,
        };
        let (message, after) = match denied {
            Denied::Full(after) => (
                format!(
                    "too many calls are waiting for the limit (`{name}`); send fewer calls at once"
                ),
                after,
            ),
            Denied::Late(after) => (
                format!(
                    "the limit (`{name}`) admits no call within the session's patience; repeat the \
                     call in about {} s, or give the session more patience",
                    after.as_secs().max(1)
                ),
                after,
            ),
            // Unreachable in practice, because waiters of a moved limit retry.
            Denied::Moved => (format!("the limit (`{name}`) changed"), SHORT_HOLD),
        };
        Error::new(ErrorKind::RateLimited, operation, message).with_retry(Retry::After(after))
    }

    /// Returns the limits that a call uses.
    fn targets(&self, call: Call<'_>) -> Result<Targets> {
        let own = |budget: &Budget| Target {
            budget: budget.clone(),
            from: From::Application,
            cost: call.draws.cost,
        };
        let mut targets: Targets = call.extra.iter().map(own).collect();
        let mut named = 0;
        let mut is_covered = false;
        for (number, limit) in self.0.app.limits.iter().enumerate() {
            let draw = draw_of(call.draws, limit);
            named += usize::from(draw.is_some());
            let is_general = call.draws.general && matches!(limit.per, Per::App | Per::Account);
            if draw.is_none() && !is_general {
                continue;
            }
            is_covered |= limit.per != Per::App;
            let cost = draw.and_then(|draw| draw.cost);
            targets.push(Target {
                budget: self.drawn(number, limit, draw, call.operation)?,
                from: From::Limit(number),
                cost: cost.unwrap_or(call.draws.cost),
            });
        }
        if named < call.draws.named.len() {
            self.check_names(call)?;
        }
        if !is_covered {
            targets.push(Target {
                budget: self.0.gate.clone(),
                from: From::Gate,
                cost: 1,
            });
        }
        Ok(targets)
    }

    fn check_names(&self, call: Call<'_>) -> Result<()> {
        let limits = &self.0.app.limits;
        let is_known = |draw: &&Draw| limits.iter().any(|limit| limit.name == draw.limit);
        match call.draws.named.iter().find(|draw| !is_known(draw)) {
            None => Ok(()),
            Some(draw) => Err(Error::new(
                ErrorKind::Bug,
                call.operation,
                format!(
                    "the operation draws from the limit `{}`, which the provider's description \
                     does not name; report it to the author of the connector",
                    draw.limit
                ),
            )),
        }
    }

    fn drawn(
        &self,
        number: usize,
        limit: &Limit,
        draw: Option<&Draw>,
        operation: &'static str,
    ) -> Result<Budget> {
        let app = &self.0.app;
        let group = match limit.per {
            Per::App => &app.group,
            _ => &self.0.group,
        };
        let key = draw.and_then(|draw| draw.key.as_deref());
        match (limit.per, key) {
            (Per::App | Per::Account, None) => {
                if let Some(own) = &group.0[number].own {
                    return Ok(own.clone());
                }
            }
            (Per::Resource, None) => {
                return Err(Error::new(
                    ErrorKind::Bug,
                    operation,
                    format!(
                        "the operation names no key for the limit `{}`, which is per resource; \
                         report it to the author of the connector",
                        limit.name
                    ),
                ));
            }
            _ => {}
        }
        if limit.learn.bucket.is_none() {
            return Ok(group.of_key(number, key.unwrap_or(operation), limit.model, &app.clock));
        }
        let route = app.routes().get(&(number, operation)).cloned();
        let key = key.unwrap_or_default();
        let key = match route {
            Some(id) => counted_by(&id, key),
            None => format!("operation {operation} {key}"),
        };
        Ok(group.of_key(number, &key, limit.model, &app.clock))
    }

    /// Updates the limits of a call from its response.
    pub(crate) fn settle(&self, permits: Permits, call: Call<'_>, answered: &Answered<'_>) {
        let mut told: SmallVec<[Told; 2]> = SmallVec::new();
        for (from, permit) in permits.0 {
            let rule = self.limit(from).map(|limit| &limit.learn);
            let report = match rule.filter(|rule| !rule.is_empty()) {
                Some(rule) => {
                    let capacity = permit.budget().capacity();
                    rule.read(answered.headers, answered.received, capacity)
                }
                None => Report::new(),
            };
            told.push(Told {
                from,
                permit,
                report,
            });
        }
        self.add_reports(&mut told, &answered.reports);
        if let Some(retry) = answered.refused
            && let Some(number) = self.refusing(&told, answered)
        {
            self.refuse(&mut told[number], retry);
        }
        for Told {
            from,
            permit,
            report,
        } in told
        {
            let moved = match from {
                From::Limit(number) => self.moved(number, &permit, call, answered.headers),
                _ => None,
            };
            match moved {
                None => permit.complete(&report),
                Some(budget) => {
                    let old = permit.budget().clone();
                    permit.complete(&Report::new());
                    budget.observe(&report);
                    old.move_away();
                }
            }
        }
    }

    /// Assigns the reports of the classifier and the operation to the limits that they describe.
    fn add_reports(&self, told: &mut [Told], reports: &[Report]) {
        for report in reports {
            let described = match report.limit {
                None => self.most_specific(told, |_| true),
                Some(name) => told
                    .iter()
                    .position(|it| self.limit(it.from).is_some_and(|limit| limit.name == name)),
            };
            if let Some(number) = described {
                told[number].report = report.or(told[number].report);
            } else if let Some(name) = report.limit
                && let Some(number) = self.0.app.limits.iter().position(|it| it.name == name)
                && let Some(own) = self.own(number)
            {
                own.observe(report);
            }
        }
    }

    /// Returns the described limit that a permit belongs to, if there is one.
    fn limit(&self, from: From) -> Option<&Limit> {
        match from {
            From::Limit(number) => Some(&self.0.app.limits[number]),
            From::Application | From::Gate => None,
        }
    }

    fn own(&self, number: usize) -> Option<&Budget> {
        let app = self.0.app.group.0[number].own.as_ref();
        app.or(self.0.group.0[number].own.as_ref())
    }

    /// Returns the most specific limit for which `passes` is true. If several limits are equally
    /// specific, returns the first one in the description.
    fn most_specific(&self, told: &[Told], passes: impl Fn(&Told) -> bool) -> Option<usize> {
        let scope = |from| match from {
            From::Application => None,
            From::Gate => Some(Per::Account),
            From::Limit(number) => Some(self.0.app.limits[number].per),
        };
        let mut best: Option<(Per, usize)> = None;
        for (number, it) in told.iter().enumerate() {
            if let Some(per) = scope(it.from).filter(|_| passes(it))
                && best.is_none_or(|(most, _)| per > most)
            {
                best = Some((per, number));
            }
        }
        best.map(|(_, number)| number)
    }

    /// Returns the index of the limit that rejected a call. This is the limit that the response
    /// names, otherwise the most specific limit.
    fn refusing(&self, told: &[Told], answered: &Answered<'_>) -> Option<usize> {
        let limit = |it: &Told| self.limit(it.from);
        let by_rule =
            |it: &Told| limit(it).is_some_and(|limit| limit.learn.refused(answered.headers));
        let by_report = |it: &Told| it.report.limit.is_some() && it.report.hold.is_some();
        let by_level = |it: &Told| {
            let needed = it.report.requested.unwrap_or(1.0);
            it.report.available.is_some_and(|left| left < needed)
        };
        let is_within = |it: &Told| it.report.available.is_some() && !by_level(it);
        let is_own = |it: &Told| limit(it).is_none_or(|limit| limit.per != Per::App);
        let counts_calls = |it: &Told| {
            limit(it).is_some_and(|limit| matches!(limit.model, RateModel::Concurrent { .. }))
        };
        self.most_specific(told, by_rule)
            .or_else(|| self.most_specific(told, by_report))
            .or_else(|| self.most_specific(told, by_level))
            .or_else(|| {
                self.most_specific(told, |it| is_own(it) && !is_within(it) && !counts_calls(it))
            })
            .or_else(|| self.most_specific(told, is_own))
    }

    /// Records the rejection in the report about the limit that rejected the call.
    fn refuse(&self, told: &mut Told, retry: Retry) {
        let limit = self.limit(told.from);
        let report = &mut told.report;
        report.refused = true;
        let is_bucket = limit.is_some_and(|limit| {
            matches!(
                limit.model,
                RateModel::Cost { .. } | RateModel::Bucket { .. }
            )
        });
        if limit.is_none_or(|limit| matches!(limit.model, RateModel::Cost { .. })) {
            // The provider consumed no units.
            report.actual = report.actual.or(Some(0.0));
        }
        if let Retry::After(after) = retry
            && report.hold.is_none()
            && !(is_bucket && report.available.is_some())
        {
            *report = report.with_hold(after);
        }
        if let Some(penalty) = limit.and_then(|limit| limit.penalty_seconds) {
            let penalty = Duration::from_secs(u64::from(penalty));
            *report = report.with_hold(report.hold.map_or(penalty, |hold| hold.max(penalty)));
        }
    }

    /// Returns the limit under which the provider counts the call, if it differs from the permit's
    /// limit.
    fn moved(
        &self,
        number: usize,
        permit: &Permit,
        call: Call<'_>,
        headers: &HeaderMap,
    ) -> Option<Budget> {
        let app = &self.0.app;
        let limit = &app.limits[number];
        let id = limit.learn.bucket(headers)?;
        {
            let mut routes = app.routes();
            let route = (number, call.operation);
            if routes.get(&route).is_none_or(|known| **known != *id) {
                routes.insert(route, id.into());
            }
        }
        let key = draw_of(call.draws, limit).and_then(|draw| draw.key.as_deref());
        let key = counted_by(id, key.unwrap_or_default());
        let budget = self.0.group.of_key(number, &key, limit.model, &app.clock);
        (!budget.is(permit.budget())).then_some(budget)
    }
}

/// Returns the last draw from `limit`.
fn draw_of<'a>(draws: &'a Draws, limit: &Limit) -> Option<&'a Draw> {
    draws.named.iter().rfind(|draw| draw.limit == limit.name)
}

fn counted_by(id: &str, key: &str) -> String {
    format!("bucket {id} {key}")
}

impl Group {
    fn of_key(&self, number: usize, key: &str, model: RateModel, clock: &Arc<dyn Clock>) -> Budget {
        let mut keyed = self.keyed(number);
        if let Some(budget) = keyed.budgets.get(key) {
            return budget.clone();
        }
        if keyed.budgets.len() >= keyed.sweep_at {
            let keep = keep(keyed.budgets.len());
            keyed.budgets.retain(|_, it| !it.is_forgettable(keep));
            keyed.sweep_at = next_sweep(keyed.budgets.len());
        }
        let budget = Budget::of_provider(Some(model), Arc::clone(clock));
        keyed.budgets.insert(key.into(), budget.clone());
        budget
    }
}

impl fmt::Debug for AccountLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = (0..self.0.app.limits.len()).map(|it| self.0.group.keyed(it).budgets.len());
        f.debug_struct("AccountLimits")
            .field("limits", &self.0.app.limits.len())
            .field("keys", &keys.sum::<usize>())
            .finish_non_exhaustive()
    }
}

/// A permit with the reports of the response about the permit's limit.
struct Told {
    from: From,
    permit: Permit,
    report: Report,
}

/// The permits of one attempt. A dropped permit counts as a call that was sent.
pub(crate) struct Permits(SmallVec<[(From, Permit); 2]>);

impl Permits {
    /// Returns the permits of a call that was not sent.
    pub(crate) fn release(self) {
        self.0.into_iter().for_each(|(_, permit)| permit.release());
    }
}

/// Permits of a call that is still waiting for other permits. Dropping them returns them.
struct Unsent(SmallVec<[Option<(From, Permit)>; 2]>);

impl Unsent {
    /// Acquires all permits that are available now. If a limit delays the call, returns the index
    /// of the first such limit.
    fn try_rest(
        &mut self,
        targets: &Targets,
        flow: &Flow,
        turn: Turn,
        operation: &'static str,
    ) -> Option<(usize, Go)> {
        for (number, target) in targets.iter().enumerate() {
            if self.0[number].is_some() {
                continue;
            }
            match target
                .budget
                .try_acquire(flow, turn, operation, target.cost)
            {
                Ok(permit) => self.0[number] = Some((target.from, permit)),
                Err(go) => return Some((number, go)),
            }
        }
        None
    }

    fn release(&mut self) {
        for permit in &mut self.0 {
            if let Some((_, permit)) = permit.take() {
                permit.release();
            }
        }
    }

    fn into_permits(mut self) -> Permits {
        Permits(self.0.iter_mut().filter_map(Option::take).collect())
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.release();
    }
}
