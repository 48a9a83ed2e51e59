//! Checks a credential and commits it to the connection of its account.

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

/// Maximum number of attempts to store a grant while the connection changes concurrently.
const MOVES: u8 = 5;

/// A credential whose account has been identified. It is not stored in a connection yet.
#[derive(Clone)]
pub(super) struct PendingConnection<'a> {
    pub(super) purpose: &'a Purpose,
    pub(super) connector: &'a dyn Connector,
    pub(super) credential: Arc<Credential>,
    pub(super) source: Source,
    /// The connection that the credential was obtained for, if known in advance.
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
        // A credential that was obtained for a connection is dropped if the owner has removed the
        // connection since.
        if let Some(meant) = &pending.obtained_for
            && found.as_ref() != Some(meant)
            && self.store.load(meant).await?.is_none()
        {
            return self
                .refuse(pending, claim.as_ref(), Reason::CONNECTION_GONE)
                .await;
        }
        let required = &pending.connector.description().scopes.required;
        // A sibling has its own set of scopes, for example a user's beside a bot's. The application
        // chooses the scopes of an assertion; no owner can deny one.
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
            // The other connections end before the new grant is stored, so that a crash in between
            // is repaired from the quarantine. The exchange has already ended their grants at the
            // provider.
            for other in others {
                self.end_taken_over(purpose, &other).await?;
            }
        }
        // The host may belong to a different account now than at the last connect.
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

    /// Stores the credential as the first one of a new connection.
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

    /// Stores the credential in an existing connection.
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
                // Reuses the name of a claim that may still be active, to avoid waiting for that
                // claim.
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
            // The row in the claim may be newer than the row that was read.
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

    /// Returns the credential with the connection's existing refresh token, if the new grant has
    /// none. Some providers, for example Google, return a refresh token only at the first consent.
    /// The old grant of the same account and client remains valid.
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
        // A refresh may need the secrets that came with this refresh token.
        for (name, secret) in before.extras() {
            if credential.extra(name).is_none() {
                kept = kept.with_extra(name, secret.clone());
            }
        }
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
            // The channels of the previous grant are compared and repaired.
            effects = effects.with_work(WorkKind::Subscriptions, Duration::ZERO);
        }
        let effects = effects.with_audit(purpose.entry(Some(key.id), event));
        // Every retry sends the same numbers and bytes, so the store recognises the repetition.
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

    /// Makes the new token available to callers in this process.
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

    /// Reads the current connection.
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

    /// Returns true if the connection already has this grant. Compares the refresh tokens, or the
    /// access tokens if there are no refresh tokens.
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

    /// Handles a token response with a grant that the connection already has. The connection keeps
    /// its newest credential, and its account data is updated.
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
                // The owner has just given consent, and the provider still knows the grant. The
                // next refresh shows whether the grant works.
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

    /// Ends another tenant's connection if the provider replaced its grant with the new grant.
    async fn end_taken_over(&self, purpose: &Purpose, other: &ConnectionKey) -> Result<()> {
        // The other tenant's audit log records the event, but not the actor in this tenant.
        let context = RequestContext::new(Actor::Provider, purpose.correlation.clone());
        let mut entry = purpose.entry(Some(other.id), Event::Disconnected { forgotten: false });
        entry.tenant = other.tenant.clone();
        entry.context = context;
        let mut effects = SideEffects::none().with_audit(entry);
        // A credential that cannot be opened cannot delete channels. The connection ends anyway.
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

    /// Discards a credential that will not be used. The hub queues the credential for revocation if
    /// the hub obtained the credential and no active connection shares the grant.
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
        // A revocation is identified by a connection and a fence. Without a claim, the id of the
        // unused candidate connection is used.
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

    /// Returns other tenants' active connections to the account, by the requested host and by the
    /// account key.
    async fn elsewhere(&self, purpose: &Purpose, account: &Account) -> Result<Vec<ConnectionKey>> {
        let mut found = self.at_host(purpose).await?;
        // An asserted key is not verified, so it is not used to look up other tenants' connections.
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
        "the store returned a missing connection that was never created; please report it",
    )
}
