//! Attaching a credential to the connection of its account: the checks, and the one commit.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::SealedKind;
use connector_core::provider::description::GrantsPerAccount;
use connector_core::provider::oauth::Identity;
use connector_core::provider::{Connector, Renewal};
use connector_core::store::{
    AccountRef, ClaimId, End, EndRequest, Expect, Expiries, Fence, Generation, GrantNumber,
    IssuedToken, Patch, PutGrant, PutOutcome, Revocation, SideEffects, Stored, TimeLeft,
    UpdateOutcome, WorkKind,
};
use connector_core::webhook::AccountHint;
use connector_core::{
    Account, AccountKey, Actor, ConnectionKey, Credential, CredentialKind, Error, ErrorKind, Event,
    Metadata, RequestContext, Result, Status,
};
use secrecy::{ExposeSecret, SecretString};

use super::claim::{ClaimEnd, Claimed, busy};
use super::{ConnectFailure, Connected, PATIENCE, Source};
use crate::flow::{Purpose, Reason};
use crate::hub::Inner;
use crate::sealing::SealOwner;
use crate::token::{Arrival, renewal};

/// How often a grant is put again because the connection had moved.
const MOVES: u8 = 5;

/// A credential whose account is known, before it becomes a connection's.
#[derive(Clone)]
pub(super) struct PendingConnection<'a> {
    pub(super) purpose: &'a Purpose,
    pub(super) connector: &'a dyn Connector,
    pub(super) credential: Arc<Credential>,
    pub(super) source: Source,
    /// The connection for which it was obtained, if it was known before.
    pub(super) obtained_for: Option<ConnectionKey>,
    pub(super) expiries: Expiries,
    pub(super) identity: Identity,
}

impl fmt::Debug for PendingConnection<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PendingConnection")
            .field("purpose", self.purpose)
            .finish_non_exhaustive()
    }
}

impl Inner {
    pub(super) async fn attach(
        &self,
        pending: &PendingConnection<'_>,
        claim: Option<Claimed>,
    ) -> Result<Connected, ConnectFailure> {
        let PendingConnection {
            purpose, identity, ..
        } = pending;
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
            return self.refuse(pending, claim.as_ref(), reason).await;
        }
        // What was obtained for a connection that its owner has removed since is not kept.
        if let Some(meant) = &pending.obtained_for
            && found.as_ref() != Some(meant)
            && self.store.load(meant).await?.is_none()
        {
            return self
                .refuse(pending, claim.as_ref(), Reason::CONNECTION_GONE)
                .await;
        }
        let required = &pending.connector.description().scopes.required;
        // A sibling's scopes are another set: a user's beside a bot's. Those of an assertion are the
        // application's own choice; no owner could refuse one.
        let is_minted = pending.connector.renewal(&pending.credential) == Renewal::Mint;
        if !matches!(pending.source, Source::Sibling)
            && !is_minted
            && required
                .iter()
                .any(|scope| !pending.credential.scopes().contains(scope))
        {
            return self
                .refuse(pending, claim.as_ref(), Reason::SCOPES_MISSING)
                .await;
        }
        if pending.connector.description().grants_per_account == GrantsPerAccount::One {
            let others = self.elsewhere(purpose, &identity.account).await?;
            if !others.is_empty() && !purpose.takeover {
                return self
                    .refuse(pending, claim.as_ref(), Reason::CONNECTED_ELSEWHERE)
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
                Some(stored) => self.attach_over(pending, stored, claim).await,
                None => self.attach_new(pending).await,
            },
            None => self.attach_new(pending).await,
        }
    }

    /// Makes the credential the first of a new connection.
    async fn attach_new(
        &self,
        pending: &PendingConnection<'_>,
    ) -> Result<Connected, ConnectFailure> {
        let purpose = pending.purpose;
        let key = purpose.key(purpose.candidate);
        let at = (GrantNumber::new(1), Generation::new(1), Fence::new(1));
        let account = pending.identity.account.key.clone();
        let event = Event::Connected { account };
        let metadata = pending.identity.metadata.clone();
        match self
            .put(pending, &key, Expect::Absent, at, metadata, event)
            .await?
        {
            PutOutcome::Stored => self.attached(pending, &key).await,
            PutOutcome::Moved(stored) => self.attach_over(pending, *stored, None).await,
            PutOutcome::Missing => Err(ConnectFailure::Later(broken())),
        }
    }

    /// Makes the credential that of a known connection.
    async fn attach_over(
        &self,
        pending: &PendingConnection<'_>,
        mut stored: Stored,
        mut claim: Option<Claimed>,
    ) -> Result<Connected, ConnectFailure> {
        let key = stored.connection.key.clone();
        for _ in 0..MOVES {
            if let Some(claim) = &claim
                && !stored.connection.is_live()
                && stored.connection.grant != claim.since
            {
                return self
                    .refuse(pending, Some(claim), Reason::CONNECTION_GONE)
                    .await;
            }
            if self.is_same_grant(&stored, &pending.credential).await? {
                if let Some(claim) = &claim {
                    self.give_back(claim).await;
                }
                return self.note_same_grant(pending, &key).await;
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
                    ClaimEnd::Busy => return Err(ConnectFailure::Later(busy())),
                    ClaimEnd::Gone if pending.purpose.connection.is_none() => {
                        return Box::pin(self.attach_new(pending)).await;
                    }
                    ClaimEnd::Gone => {
                        return self.refuse(pending, None, Reason::CONNECTION_GONE).await;
                    }
                }
            };
            // The claim may have been decided on a later row than the one that was read.
            if self
                .is_same_grant(&claimed.stored, &pending.credential)
                .await?
            {
                self.give_back(&claimed).await;
                return self.note_same_grant(pending, &key).await;
            }
            let keeping = self.keeping_refresh_token(pending, &claimed.stored).await?;
            let pending = keeping.as_ref().unwrap_or(pending);
            let row = &claimed.stored.connection;
            let at = (row.grant.next(), row.generation.next(), claimed.fence);
            let account = pending.identity.account.key.clone();
            let event = Event::Reconnected { account };
            let metadata = match &pending.identity.metadata {
                told if told.is_empty() => row.metadata.clone(),
                told => told.clone(),
            };
            let expect = Expect::At(row.generation);
            match self.put(pending, &key, expect, at, metadata, event).await? {
                PutOutcome::Stored => return self.attached(pending, &key).await,
                PutOutcome::Moved(now) => stored = *now,
                PutOutcome::Missing if pending.purpose.connection.is_none() => {
                    return Box::pin(self.attach_new(pending)).await;
                }
                PutOutcome::Missing => {
                    return self.refuse(pending, None, Reason::CONNECTION_GONE).await;
                }
            }
            claim = Some(claimed);
        }
        Err(ConnectFailure::Later(busy()))
    }

    /// The credential with the refresh token that the connection has, where the new grant brought
    /// none: providers such as Google issue one with the first consent only, and the old grant of
    /// the same account and client lives on.
    async fn keeping_refresh_token<'a>(
        &self,
        pending: &PendingConnection<'a>,
        stored: &Stored,
    ) -> Result<Option<PendingConnection<'a>>> {
        let credential = &pending.credential;
        let lives_on = pending.connector.description().grants_per_account == GrantsPerAccount::Many
            && stored.connection.is_live()
            && !matches!(stored.connection.status, Status::NeedsReauthorization(_));
        let renews = credential.kind() == CredentialKind::OAuth
            && credential.refresh_token().is_none()
            && credential.expires_at().is_some();
        let (true, true, Some(current)) = (lives_on, renews, &stored.current) else {
            return Ok(None);
        };
        let before = self.open_stored(&SealOwner::of(stored), current).await?;
        let Some(refresh_token) = before.refresh_token() else {
            return Ok(None);
        };
        if before.client_id() != credential.client_id() {
            return Ok(None);
        }
        let left = current.refresh_left.map(TimeLeft::remaining);
        let mut kept = Credential::clone(credential).with_refresh_token(refresh_token.clone());
        if let Some(left) = left {
            kept = kept.with_refresh_expiry(self.clock.now().after(left));
        }
        Ok(Some(PendingConnection {
            credential: Arc::new(kept),
            expiries: Expiries {
                refresh: left,
                ..pending.expiries
            },
            ..pending.clone()
        }))
    }

    async fn put(
        &self,
        pending: &PendingConnection<'_>,
        key: &ConnectionKey,
        expect: Expect,
        (grant, generation, fence): (GrantNumber, Generation, Fence),
        metadata: Metadata,
        event: Event,
    ) -> Result<PutOutcome> {
        let purpose = pending.purpose;
        let owner = SealOwner::new(key.clone(), purpose.provider.clone(), purpose.app.clone());
        let kind = SealedKind::Credential;
        let sealed = self
            .seal(&owner, kind, grant, fence, &pending.credential)
            .await?;
        let put = PutGrant {
            key: key.clone(),
            provider: purpose.provider.clone(),
            app: purpose.app.clone(),
            account: pending.identity.account.clone(),
            expect,
            grant,
            generation,
            fence,
            credential: sealed,
            expiries: pending.expiries,
            status: Status::Connected,
            metadata,
            takes: match pending.source {
                Source::Code(state) => Some(state),
                Source::Application | Source::Sibling => None,
            },
        };
        let mut effects = Self::schedule(pending, key);
        if expect != Expect::Absent && pending.connector.subscriptions().is_some() {
            // The channels of the grant before are compared and repaired.
            effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
        }
        let effects = effects.with_audit(purpose.entry(Some(key.id), event));
        // The same numbers and bytes each time: a repetition is recognised.
        let call = || self.store.put_grant(put.clone(), effects.clone());
        let outcome = self.insist(PATIENCE, call).await?;
        if outcome == PutOutcome::Stored {
            self.hand_out(key, (grant, generation, fence), pending);
        }
        Ok(outcome)
    }

    fn schedule(pending: &PendingConnection<'_>, key: &ConnectionKey) -> SideEffects {
        renewal::work(
            pending.connector.description(),
            key.id,
            pending.connector.renewal(&pending.credential),
            pending.expiries,
            None,
        )
        .with_work(
            WorkKind::Metadata,
            pending.connector.description().metadata_interval(),
        )
    }

    /// Lets this process's callers have the new token at once.
    fn hand_out(
        &self,
        key: &ConnectionKey,
        (grant, generation, fence): (GrantNumber, Generation, Fence),
        pending: &PendingConnection<'_>,
    ) {
        let lifetime = renewal::lifetime(&pending.credential);
        let deadlines = pending.expiries.access.map(|left| {
            let description = pending.connector.description();
            renewal::windows(description, lifetime.unwrap_or(left), key.id)
                .deadlines(&*self.clock, left)
        });
        let issued = IssuedToken::new(&pending.credential, grant, generation, deadlines);
        let credential = Arc::clone(&pending.credential);
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
    async fn attached(
        &self,
        pending: &PendingConnection<'_>,
        key: &ConnectionKey,
    ) -> Result<Connected, ConnectFailure> {
        let call = || self.store.load(key);
        match self.insist(PATIENCE, call).await? {
            Some(stored) => {
                let granted = pending.credential.scopes().to_vec();
                Ok(Connected::new(
                    stored.connection,
                    &pending.purpose.requested,
                    granted,
                ))
            }
            None => Err(ConnectFailure::Refused(Reason::CONNECTION_GONE, None)),
        }
    }

    /// True if the connection holds this very grant already: the refresh token is that of a
    /// credential it has, or, where there is none, the access token is.
    async fn is_same_grant(&self, stored: &Stored, credential: &Credential) -> Result<bool> {
        let owner = SealOwner::of(stored);
        for kept in stored.current.iter().chain(&stored.previous) {
            if is_same(&self.open_stored(&owner, kept).await?, credential) {
                return Ok(true);
            }
        }
        for kept in &stored.pending {
            if is_same(&self.open_pending(&owner, kept).await?, credential) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The provider answered with a grant that the connection has: its newest credential stays, and
    /// what is known about the account is brought up to date.
    async fn note_same_grant(
        &self,
        pending: &PendingConnection<'_>,
        key: &ConnectionKey,
    ) -> Result<Connected, ConnectFailure> {
        for _ in 0..MOVES {
            let Some(stored) = self.store.load(key).await? else {
                return self.refuse(pending, None, Reason::CONNECTION_GONE).await;
            };
            let Identity {
                account, metadata, ..
            } = &pending.identity;
            let connection = stored.connection;
            let mut patch = Patch::default();
            patch.label.clone_from(&account.label);
            patch.host.clone_from(&account.host);
            patch.metadata = (!metadata.is_empty()).then(|| metadata.clone());
            let event = Event::Reconnected {
                account: account.key.clone(),
            };
            let entry = pending.purpose.entry(Some(key.id), event);
            let mut effects = SideEffects::none().with_audit(entry);
            if !connection.is_live() {
                return self.refuse(pending, None, Reason::CONNECTION_GONE).await;
            }
            if connection.status != Status::Connected {
                // The owner has just agreed and the provider still knows the grant: whether it
                // works is for the next refresh to say.
                patch.status = Some(Status::Connected);
                if pending.credential.refresh_token().is_some() {
                    effects = effects.with_work(WorkKind::Refresh, Duration::ZERO);
                }
                if pending.connector.subscriptions().is_some() {
                    effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
                }
            }
            match self
                .store
                .update(key, connection.version, patch, effects)
                .await?
            {
                UpdateOutcome::Updated(_) => {
                    self.release(pending.source).await?;
                    return self.attached(pending, key).await;
                }
                UpdateOutcome::Moved(_) | UpdateOutcome::Missing => {}
            }
        }
        Err(ConnectFailure::Later(busy()))
    }

    /// Ends another tenant's connection whose grant the new one replaced at the provider.
    async fn end_taken_over(&self, purpose: &Purpose, other: &ConnectionKey) -> Result<()> {
        // Its tenant is told what happened, and not who in another tenant did it.
        let context = RequestContext::new(Actor::Provider, purpose.correlation.clone());
        let mut entry = purpose.entry(Some(other.id), Event::Disconnected { forgotten: false });
        entry.tenant = other.tenant.clone();
        entry.context = context;
        let mut effects = SideEffects::none().with_audit(entry);
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
        pending: &PendingConnection<'_>,
        claim: Option<&Claimed>,
        reason: Reason,
    ) -> Result<T, ConnectFailure> {
        if let Source::Code(_) = pending.source {
            self.revoke_unused(pending, claim).await?;
        }
        self.release(pending.source).await?;
        if let Some(claim) = claim {
            self.give_back(claim).await;
        }
        Err(ConnectFailure::Refused(reason, None))
    }

    async fn revoke_unused(
        &self,
        pending: &PendingConnection<'_>,
        claim: Option<&Claimed>,
    ) -> Result<()> {
        let purpose = pending.purpose;
        let account: &AccountKey = &pending.identity.account.key;
        let (provider, app) = (&purpose.provider, &purpose.app);
        let sharing = self
            .store
            .find_by_account(provider, app, account, None, 1)
            .await?;
        if pending.connector.description().revocation.is_none() || !sharing.items.is_empty() {
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
        let owner = SealOwner::new(key.clone(), provider.clone(), app.clone());
        let kind = SealedKind::Revocation;
        let sealed = self
            .seal(&owner, kind, grant, fence, &pending.credential)
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
        let effects = SideEffects::none().with_work(WorkKind::Revocation, Duration::ZERO);
        let call = || {
            self.store
                .queue_revocation(revocation.clone(), effects.clone())
        };
        self.insist(PATIENCE, call).await
    }

    async fn release(&self, source: Source) -> Result<()> {
        if let Source::Code(state) = source {
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
