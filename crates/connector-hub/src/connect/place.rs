//! Whether a credential may become a connection's, and the one commit that makes it so.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::SealedKind;
use connector_core::description::{Description, GrantsPerAccount};
use connector_core::oauth::Identity;
use connector_core::store::{
    ClaimId, Effects, End, EndRequest, Expect, Expiries, Patch, PutGrant, PutOutcome, Revocation,
    Stored, UpdateOutcome, WorkKind,
};
use connector_core::webhook::AccountHint;
use connector_core::{
    Account, AccountKey, AccountRef, Actor, ConnectionKey, Credential, Error, ErrorKind, Event,
    Fence, Generation, GrantNumber, IssuedToken, Metadata, RequestContext, Result, Status,
};
use secrecy::{ExposeSecret, SecretString};

use super::claim::{ClaimEnd, Claimed, busy};
use super::{Connected, Origin, PATIENCE, Setback};
use crate::flow::{Purpose, Reason};
use crate::hub::Inner;
use crate::token::Arrival;
use crate::token::renewal;
use crate::token::windows::Windows;
use crate::vault::Home;

/// How often a grant is put again because the connection had moved.
const MOVES: u8 = 5;

/// A credential on its way to its connection.
pub(super) struct Passage<'a> {
    pub(super) purpose: &'a Purpose,
    pub(super) description: &'a Description,
    pub(super) credential: &'a Arc<Credential>,
    pub(super) origin: Origin,
    /// The connection for which it was obtained, if it was known before.
    pub(super) obtained_for: Option<ConnectionKey>,
    pub(super) expiries: Expiries,
    pub(super) identity: Identity,
}

impl fmt::Debug for Passage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passage")
            .field("purpose", self.purpose)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) async fn place(
        &self,
        passage: &Passage<'_>,
        claim: Option<Claimed>,
    ) -> Result<Connected, Setback> {
        let Passage {
            purpose, identity, ..
        } = passage;
        let account = AccountRef {
            tenant: purpose.tenant.clone(),
            provider: purpose.provider.clone(),
            app: purpose.app.clone(),
            account: identity.account.key.clone(),
        };
        let found = self.store.find(&account).await?;
        if let Some(meant) = purpose.reconnects()
            && found.as_ref() != Some(&meant)
        {
            let reason = match self.store.load(&meant).await? {
                Some(_) => Reason::OTHER_ACCOUNT,
                None => Reason::CONNECTION_GONE,
            };
            return self.refuse(passage, claim.as_ref(), reason).await;
        }
        // What was obtained for a connection that its owner has removed since is not kept.
        if let Some(meant) = &passage.obtained_for
            && found.as_ref() != Some(meant)
            && self.store.load(meant).await?.is_none()
        {
            return self
                .refuse(passage, claim.as_ref(), Reason::CONNECTION_GONE)
                .await;
        }
        let required = &passage.description.scopes.required;
        if required
            .iter()
            .any(|scope| !passage.credential.scopes().contains(scope))
        {
            return self
                .refuse(passage, claim.as_ref(), Reason::SCOPES_MISSING)
                .await;
        }
        if passage.description.grants_per_account == GrantsPerAccount::One {
            let others = self.elsewhere(purpose, &identity.account).await?;
            if !others.is_empty() && !purpose.takeover {
                return self
                    .refuse(passage, claim.as_ref(), Reason::CONNECTED_ELSEWHERE)
                    .await;
            }
            // Before the new grant is put, so that a crash between the two is made up for from
            // quarantine. The exchange has ended these grants at the provider already.
            for other in others {
                self.end_taken_over(purpose, &other).await?;
            }
        }
        // The account that was asked for by its host may be another one than the host's last.
        let claim = match claim {
            Some(claim) if found.as_ref() != Some(claim.key()) => {
                self.give_back(&claim).await;
                None
            }
            claim => claim,
        };
        match found {
            Some(key) => match self.store.load(&key).await? {
                Some(stored) => self.place_over(passage, stored, claim).await,
                None => self.place_first(passage).await,
            },
            None => self.place_first(passage).await,
        }
    }

    /// Makes the credential the first of a new connection.
    async fn place_first(&self, passage: &Passage<'_>) -> Result<Connected, Setback> {
        let purpose = passage.purpose;
        let key = purpose.key(purpose.candidate);
        let at = (GrantNumber::new(1), Generation::new(1), Fence::new(1));
        let account = passage.identity.account.key.clone();
        let event = Event::Connected { account };
        let metadata = passage.identity.metadata.clone();
        match self
            .put(passage, &key, Expect::Absent, at, metadata, event)
            .await?
        {
            PutOutcome::Stored => self.placed(passage, &key).await,
            PutOutcome::Moved(stored) => self.place_over(passage, *stored, None).await,
            PutOutcome::Missing => Err(Setback::Later(broken())),
        }
    }

    /// Makes the credential that of a known connection.
    async fn place_over(
        &self,
        passage: &Passage<'_>,
        mut stored: Stored,
        mut claim: Option<Claimed>,
    ) -> Result<Connected, Setback> {
        let key = stored.connection.key.clone();
        for _ in 0..MOVES {
            if let Some(claim) = &claim
                && !stored.connection.is_live()
                && stored.connection.grant != claim.since
            {
                return self
                    .refuse(passage, Some(claim), Reason::CONNECTION_GONE)
                    .await;
            }
            if self.is_same_grant(&stored, passage.credential).await? {
                if let Some(claim) = &claim {
                    self.give_back(claim).await;
                }
                return self.note_same_grant(passage, &key).await;
            }
            let seen = &stored.connection;
            let named = claim.as_ref().map(|claim| claim.claim_id);
            let at_hand = claim.take().filter(|claim| {
                let row = &claim.stored.connection;
                (row.grant, row.generation) == (seen.grant, seen.generation)
            });
            let claimed = if let Some(claimed) = at_hand {
                claimed
            } else {
                // Under the name of a claim that may still stand, so as not to wait for it.
                let claim_id = match named {
                    Some(claim_id) => claim_id,
                    None => ClaimId::generate(&*self.random)?,
                };
                match self.claim_exchange(&stored, claim_id).await? {
                    ClaimEnd::Claimed(claimed) => claimed,
                    ClaimEnd::Busy => return Err(Setback::Later(busy())),
                    ClaimEnd::Gone if passage.purpose.connection.is_none() => {
                        return Box::pin(self.place_first(passage)).await;
                    }
                    ClaimEnd::Gone => {
                        return self.refuse(passage, None, Reason::CONNECTION_GONE).await;
                    }
                }
            };
            // The claim may have been decided on a later row than the one that was read.
            if self
                .is_same_grant(&claimed.stored, passage.credential)
                .await?
            {
                self.give_back(&claimed).await;
                return self.note_same_grant(passage, &key).await;
            }
            let row = &claimed.stored.connection;
            let at = (row.grant.next(), row.generation.next(), claimed.fence);
            let account = passage.identity.account.key.clone();
            let event = Event::Reconnected { account };
            let metadata = match &passage.identity.metadata {
                told if told.is_empty() => row.metadata.clone(),
                told => told.clone(),
            };
            let expect = Expect::At(row.generation);
            match self.put(passage, &key, expect, at, metadata, event).await? {
                PutOutcome::Stored => return self.placed(passage, &key).await,
                PutOutcome::Moved(now) => stored = *now,
                PutOutcome::Missing if passage.purpose.connection.is_none() => {
                    return Box::pin(self.place_first(passage)).await;
                }
                PutOutcome::Missing => {
                    return self.refuse(passage, None, Reason::CONNECTION_GONE).await;
                }
            }
            claim = Some(claimed);
        }
        Err(Setback::Later(busy()))
    }

    async fn put(
        &self,
        passage: &Passage<'_>,
        key: &ConnectionKey,
        expect: Expect,
        (grant, generation, fence): (GrantNumber, Generation, Fence),
        metadata: Metadata,
        event: Event,
    ) -> Result<PutOutcome> {
        let purpose = passage.purpose;
        let home = Home::new(key.clone(), purpose.provider.clone(), purpose.app.clone());
        let kind = SealedKind::Credential;
        let sealed = self
            .seal(&home, kind, grant, fence, passage.credential)
            .await?;
        let put = PutGrant {
            key: key.clone(),
            provider: purpose.provider.clone(),
            app: purpose.app.clone(),
            account: passage.identity.account.clone(),
            expect,
            grant,
            generation,
            fence,
            credential: sealed,
            expiries: passage.expiries,
            status: Status::Connected,
            metadata,
            takes: match passage.origin {
                Origin::Code(state) => Some(state),
                Origin::Application => None,
            },
        };
        let mut effects = Self::schedule(passage, key);
        if expect != Expect::Absent && self.connector(&purpose.provider)?.subscriptions().is_some()
        {
            // The channels of the grant before are compared and repaired.
            effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
        }
        let effects = effects.with_audit(purpose.entry(Some(key.id), event));
        // The same numbers and bytes each time: a repetition is recognised.
        let call = || self.store.put_grant(put.clone(), effects.clone());
        let outcome = self.insist(PATIENCE, call).await?;
        if outcome == PutOutcome::Stored {
            self.hand_out(key, (grant, generation, fence), passage);
        }
        Ok(outcome)
    }

    fn schedule(passage: &Passage<'_>, key: &ConnectionKey) -> Effects {
        let refreshable = passage.credential.refresh_token().is_some();
        renewal::work(
            passage.description,
            key.id,
            refreshable,
            passage.expiries,
            None,
        )
        .with_work(WorkKind::Metadata, passage.description.metadata_interval())
    }

    /// Lets this process's callers have the new token at once.
    fn hand_out(
        &self,
        key: &ConnectionKey,
        (grant, generation, fence): (GrantNumber, Generation, Fence),
        passage: &Passage<'_>,
    ) {
        let lifetime = renewal::lifetime(passage.credential);
        let deadlines = passage.expiries.access.map(|left| {
            Windows::of(lifetime.unwrap_or(left), key.id).deadlines(&*self.clock, left)
        });
        let issued = IssuedToken::new(passage.credential, grant, generation, deadlines);
        let credential = Arc::clone(passage.credential);
        self.cache.put(
            key,
            Arrival {
                issued,
                fence,
                credential,
            },
            &*self.clock,
        );
    }

    /// Reads the connection as it is now.
    async fn placed(
        &self,
        passage: &Passage<'_>,
        key: &ConnectionKey,
    ) -> Result<Connected, Setback> {
        let call = || self.store.load(key);
        match self.insist(PATIENCE, call).await? {
            Some(stored) => {
                let granted = passage.credential.scopes().to_vec();
                Ok(Connected::new(
                    stored.connection,
                    &passage.purpose.requested,
                    granted,
                ))
            }
            None => Err(Setback::Refused(Reason::CONNECTION_GONE, None)),
        }
    }

    /// True if the connection holds this very grant already: the refresh token is that of a
    /// credential it has, or, where there is none, the access token is.
    async fn is_same_grant(&self, stored: &Stored, credential: &Credential) -> Result<bool> {
        let home = Home::of(stored);
        for kept in stored.current.iter().chain(&stored.previous) {
            if is_same(&self.open_stored(&home, kept).await?, credential) {
                return Ok(true);
            }
        }
        for kept in &stored.pending {
            if is_same(&self.open_pending(&home, kept).await?, credential) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The provider answered with a grant that the connection has: its newest credential stays, and
    /// what is known about the account is brought up to date.
    async fn note_same_grant(
        &self,
        passage: &Passage<'_>,
        key: &ConnectionKey,
    ) -> Result<Connected, Setback> {
        for _ in 0..MOVES {
            let Some(stored) = self.store.load(key).await? else {
                return self.refuse(passage, None, Reason::CONNECTION_GONE).await;
            };
            let Identity {
                account, metadata, ..
            } = &passage.identity;
            let connection = stored.connection;
            let mut patch = Patch::default();
            patch.label.clone_from(&account.label);
            patch.host.clone_from(&account.host);
            patch.metadata = (!metadata.is_empty()).then(|| metadata.clone());
            let event = Event::Reconnected {
                account: account.key.clone(),
            };
            let entry = passage.purpose.entry(Some(key.id), event);
            let mut effects = Effects::none().with_audit(entry);
            if !connection.is_live() {
                return self.refuse(passage, None, Reason::CONNECTION_GONE).await;
            }
            if connection.status != Status::Connected {
                // The owner has just agreed and the provider still knows the grant: whether it
                // works is for the next refresh to say.
                patch.status = Some(Status::Connected);
                if passage.credential.refresh_token().is_some() {
                    effects = effects.with_work(WorkKind::Refresh, Duration::ZERO);
                }
                if self
                    .connector(&passage.purpose.provider)?
                    .subscriptions()
                    .is_some()
                {
                    effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
                }
            }
            match self
                .store
                .update(key, connection.version, patch, effects)
                .await?
            {
                UpdateOutcome::Updated(_) => {
                    self.release(passage.origin).await?;
                    return self.placed(passage, key).await;
                }
                UpdateOutcome::Moved(_) | UpdateOutcome::Missing => {}
            }
        }
        Err(Setback::Later(busy()))
    }

    /// Ends another tenant's connection whose grant the new one replaced at the provider.
    async fn end_taken_over(&self, purpose: &Purpose, other: &ConnectionKey) -> Result<()> {
        // Its tenant is told what happened, and not who in another tenant did it.
        let context = RequestContext::new(Actor::Provider, purpose.correlation.clone());
        let mut entry = purpose.entry(Some(other.id), Event::Disconnected { forgotten: false });
        entry.tenant = other.tenant.clone();
        entry.context = context;
        let mut effects = Effects::none().with_audit(entry);
        // What cannot be opened cannot end channels either; it does not keep the grant alive.
        let unsubscribe = match self.store.load(other).await? {
            Some(stored) => self.ending_credential(&stored).await.unwrap_or_default(),
            None => None,
        };
        if unsubscribe.is_some() {
            effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
        }
        let request = EndRequest {
            how: End::Deactivate,
            at: None,
            revoke: Vec::new(),
            unsubscribe,
        };
        let call = || self.store.end(other, request.clone(), effects.clone());
        self.insist(PATIENCE, call).await?;
        self.cache.forget(other);
        Ok(())
    }

    /// Ends the way of a credential that will not be used: it is queued for revocation if it is
    /// ours and no live connection shares what a revocation would end.
    async fn refuse<T>(
        &self,
        passage: &Passage<'_>,
        claim: Option<&Claimed>,
        reason: Reason,
    ) -> Result<T, Setback> {
        if let Origin::Code(_) = passage.origin {
            self.revoke_unused(passage, claim).await?;
        }
        self.release(passage.origin).await?;
        if let Some(claim) = claim {
            self.give_back(claim).await;
        }
        Err(Setback::Refused(reason, None))
    }

    async fn revoke_unused(&self, passage: &Passage<'_>, claim: Option<&Claimed>) -> Result<()> {
        let purpose = passage.purpose;
        let account: &AccountKey = &passage.identity.account.key;
        let (provider, app) = (&purpose.provider, &purpose.app);
        let sharing = self
            .store
            .find_by_account(provider, app, account, None, 1)
            .await?;
        if passage.description.revocation.is_none() || !sharing.items.is_empty() {
            return Ok(());
        }
        // A connection and a fence name a revocation: without a claim it gets the id of the
        // connection that never came to be.
        let (key, grant, fence) = match claim {
            Some(claim) => (
                claim.key().clone(),
                claim.stored.connection.grant,
                claim.fence,
            ),
            None => (
                purpose.key(purpose.candidate),
                GrantNumber::new(1),
                Fence::new(1),
            ),
        };
        let home = Home::new(key.clone(), provider.clone(), app.clone());
        let kind = SealedKind::Revocation;
        let sealed = self
            .seal(&home, kind, grant, fence, passage.credential)
            .await?;
        let revocation = Revocation {
            key,
            provider: provider.clone(),
            app: app.clone(),
            account: account.clone(),
            grant,
            fence,
            sealed,
        };
        let effects = Effects::none().with_work(WorkKind::Revocation, Duration::ZERO);
        let call = || {
            self.store
                .queue_revocation(revocation.clone(), effects.clone())
        };
        self.insist(PATIENCE, call).await
    }

    async fn release(&self, origin: Origin) -> Result<()> {
        if let Origin::Code(state) = origin {
            let call = || self.store.release(&state);
            self.insist(PATIENCE, call).await?;
        }
        Ok(())
    }

    /// Other tenants' live connections to the account, by the host that was asked for and by the key.
    async fn elsewhere(&self, purpose: &Purpose, account: &Account) -> Result<Vec<ConnectionKey>> {
        let mut found = self.at_host(purpose).await?;
        // An asserted key routes nothing: it does not say who else has the account.
        if !account.asserted {
            let hint = AccountHint::Key(account.key.clone());
            let (provider, app) = (&purpose.provider, &purpose.app);
            found.extend(self.connections_of(provider, app, &hint).await?);
        }
        found.retain(|key| key.tenant != purpose.tenant);
        found.sort();
        found.dedup();
        Ok(found)
    }
}

fn is_same(kept: &Credential, new: &Credential) -> bool {
    let same = |a: &SecretString, b: &SecretString| a.expose_secret() == b.expose_secret();
    match (kept.refresh_token(), new.refresh_token()) {
        (Some(kept), Some(new)) => same(kept, new),
        (None, None) => same(kept.secret(), new.secret()),
        _ => false,
    }
}

fn broken() -> Error {
    Error::new(
        ErrorKind::Bug,
        "hub.connect",
        "the store misses a connection that was never there; please report it",
    )
}
