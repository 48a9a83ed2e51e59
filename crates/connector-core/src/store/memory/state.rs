//! In-memory connect flows.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;

use super::MemoryStore;
use crate::account::TenantId;
use crate::app::AppKey;
use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::provider_id::ProviderId;
use crate::store::{
    BeginOutcome, ConnectOutcome, NewState, PutStateOutcome, StateKey, StateStore, StoredState,
};

#[derive(Default)]
pub(super) struct States(pub(super) BTreeMap<StateKey, State>);

pub(super) struct State {
    pub(super) number: u64,
    pub(super) tenant: TenantId,
    pub(super) provider: ProviderId,
    pub(super) app: AppKey,
    pub(super) sealed: Sealed,
    binding: [u8; 32],
    /// Retention time after the callback.
    keep_for: Duration,
    /// Time at which the flow expires. Before the callback, this is the deadline for the callback.
    /// After the callback, this is the end of the retention time.
    until: Timestamp,
    begun: Option<Begun>,
}

struct Begun {
    code: [u8; 32],
    outcome: Option<ConnectOutcome>,
    /// True once a callback with a different code has arrived.
    conflict: bool,
}

impl State {
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.until <= now
    }

    fn is_open(&self, now: Timestamp) -> bool {
        self.begun.is_none() && !self.has_expired(now)
    }

    fn is_unfinished(&self, now: Timestamp) -> bool {
        let finished = self.begun.as_ref().is_some_and(|it| it.outcome.is_some());
        !finished && !self.has_expired(now)
    }

    fn is_flow_of(&self, new: &NewState) -> bool {
        self.tenant == new.tenant
            && self.provider == new.provider
            && self.app == new.app
            && self.binding == new.binding
    }
}

#[async_trait]
impl StateStore for MemoryStore {
    async fn put_state(&self, state: NewState) -> Result<PutStateOutcome> {
        let (mut data, now) = self.open();
        let data = &mut *data;
        let states = &mut data.states.0;
        if let Some(known) = states.get(&state.key) {
            return if known.is_flow_of(&state) {
                Ok(PutStateOutcome::Stored)
            } else {
                Err(Error::new(
                    ErrorKind::InvalidInput,
                    "store.put_state",
                    "another flow has this key; generate a new state parameter",
                ))
            };
        }
        let open = states
            .values()
            .filter(|other| other.tenant == state.tenant && other.is_open(now))
            .count();
        let unfinished = states
            .values()
            .filter(|other| other.tenant == state.tenant && other.is_unfinished(now))
            .count();
        if open >= StateKey::OPEN_PER_TENANT || unfinished >= StateKey::UNFINISHED_PER_TENANT {
            return Ok(PutStateOutcome::TooMany);
        }
        let row = State {
            number: data.numbers.next(),
            tenant: state.tenant,
            provider: state.provider,
            app: state.app,
            sealed: state.sealed,
            binding: state.binding,
            keep_for: state.keep_for,
            until: now.after(state.open_for),
            begun: None,
        };
        states.insert(state.key, row);
        Ok(PutStateOutcome::Stored)
    }

    async fn state(&self, key: &StateKey) -> Result<Option<StoredState>> {
        let (data, now) = self.open();
        let state = data.states.0.get(key);
        Ok(state
            .filter(|state| !state.has_expired(now))
            .map(|state| StoredState {
                tenant: state.tenant.clone(),
                provider: state.provider.clone(),
                app: state.app.clone(),
                sealed: state.sealed.clone(),
            }))
    }

    async fn begin(
        &self,
        key: &StateKey,
        binding: &[u8; 32],
        code: &[u8; 32],
    ) -> Result<BeginOutcome> {
        let (mut data, now) = self.open();
        let Some(state) = data.states.0.get_mut(key) else {
            return Ok(BeginOutcome::Unknown);
        };
        // Both values are digests of secrets, so the timing of this comparison reveals nothing
        // useful.
        if state.binding != *binding || state.has_expired(now) {
            return Ok(BeginOutcome::Unknown);
        }
        Ok(match &mut state.begun {
            None => {
                state.begun = Some(Begun {
                    code: *code,
                    outcome: None,
                    conflict: false,
                });
                state.until = now.after(state.keep_for);
                BeginOutcome::First
            }
            Some(begun) if begun.code != *code => BeginOutcome::Conflict {
                first: !std::mem::replace(&mut begun.conflict, true),
            },
            Some(Begun {
                outcome: Some(outcome),
                ..
            }) => BeginOutcome::Done(outcome.clone()),
            Some(_) => BeginOutcome::InProgress,
        })
    }

    async fn finish_state(&self, key: &StateKey, outcome: ConnectOutcome) -> Result<bool> {
        let (mut data, now) = self.open();
        let state = data.states.0.get_mut(key);
        let Some(state) = state.filter(|state| !state.has_expired(now)) else {
            return Ok(false);
        };
        let Some(begun) = state.begun.as_mut() else {
            return Ok(false);
        };
        if let Some(known) = &begun.outcome {
            return Ok(*known == outcome);
        }
        begun.outcome = Some(outcome);
        state.until = state.until.min(now.after(StateKey::FINISHED_FOR));
        Ok(true)
    }
}
