//! The row of one connection and its state transitions.

use std::collections::{BTreeMap, VecDeque};

use crate::cipher::Sealed;
use crate::clock::Timestamp;
use crate::connection::{
    ConnectionRecord, Fence, Generation, GrantNumber, Status, TimeLeft, Version,
};
use crate::store::{
    Claim, ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Expiries,
    PendingCredential, PutGrant, Stored, StoredCredential,
};

/// Number of stored commit outcomes: one, and up to 7 later ones before the call is repeated.
const REMEMBERED: usize = 8;

pub(in crate::store::memory) struct Row {
    pub(in crate::store::memory) number: u64,
    pub(in crate::store::memory) connection: ConnectionRecord,
    pub(in crate::store::memory) current: Option<Credential>,
    pub(in crate::store::memory) previous: Option<Credential>,
    pub(in crate::store::memory) pending: BTreeMap<Fence, Credential>,
    standing: Option<Standing>,
    /// The first credential of the grant, to recognize a repeated call that stores the grant.
    first: Given,
    committed: VecDeque<(ClaimId, CommitOutcome)>,
    failed: VecDeque<ClaimId>,
}

/// A sealed credential with the expiry of its tokens.
pub(in crate::store::memory) struct Credential {
    pub(in crate::store::memory) sealed: Sealed,
    pub(in crate::store::memory) grant: GrantNumber,
    pub(in crate::store::memory) fence: Fence,
    /// The generation of the credential. For a pending pair, the generation whose refresh token was
    /// used.
    generation: Generation,
    access_until: Option<Timestamp>,
    refresh_until: Option<Timestamp>,
}

/// A digest of the originally stored sealed bytes. The bytes may have been resealed in the
/// meantime.
#[derive(PartialEq, Eq)]
pub(super) struct Given([u8; 32]);

impl Given {
    pub(super) fn of(sealed: &Sealed) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, sealed.bytes());
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest.as_ref());
        Self(bytes)
    }
}

#[derive(Clone, Copy)]
struct Held {
    claim_id: ClaimId,
    grant: GrantNumber,
    generation: Generation,
    fence: Fence,
    kind: ClaimKind,
    until: Timestamp,
}

struct Standing {
    claim: Held,
    superseded: Option<Held>,
}

impl Held {
    fn at(&self, now: Timestamp) -> Claim {
        Claim {
            claim_id: self.claim_id,
            grant: self.grant,
            generation: self.generation,
            fence: self.fence,
            kind: self.kind,
            until: TimeLeft::between(now, self.until),
        }
    }
}

impl Credential {
    fn new(
        sealed: Sealed,
        grant: GrantNumber,
        generation: Generation,
        fence: Fence,
        expiries: Expiries,
        now: Timestamp,
    ) -> Self {
        Self {
            sealed,
            grant,
            fence,
            generation,
            access_until: expiries.access.map(|left| now.after(left)),
            refresh_until: expiries.refresh.map(|left| now.after(left)),
        }
    }

    fn stored(&self, now: Timestamp) -> StoredCredential {
        StoredCredential {
            sealed: self.sealed.clone(),
            grant: self.grant,
            generation: self.generation,
            fence: self.fence,
            access_left: self.access_until.map(|end| TimeLeft::between(now, end)),
            refresh_left: self.refresh_until.map(|end| TimeLeft::between(now, end)),
        }
    }

    fn pending(&self, now: Timestamp) -> PendingCredential {
        let kept = self.stored(now);
        PendingCredential {
            sealed: kept.sealed,
            grant: kept.grant,
            base: kept.generation,
            fence: kept.fence,
            access_left: kept.access_left,
            refresh_left: kept.refresh_left,
        }
    }
}

impl Row {
    pub(super) fn new(number: u64, grant: PutGrant, now: Timestamp) -> Self {
        let first = Given::of(&grant.credential);
        let current = Credential::new(
            grant.credential,
            grant.grant,
            grant.generation,
            grant.fence,
            grant.expiries,
            now,
        );
        Self {
            number,
            connection: ConnectionRecord {
                key: grant.key,
                provider: grant.provider,
                app: grant.app,
                account: grant.account,
                status: grant.status,
                status_since: now,
                failures: 0,
                check: None,
                rotates: false,
                metadata: grant.metadata,
                grant: grant.grant,
                generation: grant.generation,
                confirmed: None,
                fence: grant.fence,
                version: Version::new(1),
                created_at: now,
                updated_at: now,
                refreshed_at: now,
            },
            current: Some(current),
            previous: None,
            pending: BTreeMap::new(),
            standing: None,
            first,
            committed: VecDeque::new(),
            failed: VecDeque::new(),
        }
    }

    pub(super) fn stored(&self, now: Timestamp) -> Stored {
        Stored {
            connection: self.connection.clone(),
            current: self.current.as_ref().map(|kept| kept.stored(now)),
            previous: self.previous.as_ref().map(|kept| kept.stored(now)),
            pending: self
                .pending
                .values()
                .rev()
                .map(|kept| kept.pending(now))
                .collect(),
            claim: self.standing.as_ref().map(|s| s.claim.at(now)),
        }
    }

    /// Returns true if the connection still contains exactly the data of this grant.
    pub(super) fn first_is_current(&self, grant: &PutGrant) -> bool {
        self.connection.grant == grant.grant
            && self.connection.generation == grant.generation
            && self.current.is_some()
            && self.first == Given::of(&grant.credential)
    }

    pub(super) fn replace_grant(&mut self, grant: PutGrant, now: Timestamp) {
        self.end_grant();
        self.first = Given::of(&grant.credential);
        self.current = Some(Credential::new(
            grant.credential,
            grant.grant,
            grant.generation,
            grant.fence,
            grant.expiries,
            now,
        ));
        self.set_status(grant.status, now);
        let connection = &mut self.connection;
        connection.account = grant.account;
        connection.metadata = grant.metadata;
        connection.grant = grant.grant;
        connection.generation = grant.generation;
        connection.rotates = false;
        connection.failures = 0;
        connection.refreshed_at = now;
        self.written(now);
    }

    pub(super) fn deactivate(&mut self, now: Timestamp) {
        self.end_grant();
        self.set_status(Status::Disconnected, now);
        let connection = &mut self.connection;
        connection.grant = connection.grant.next();
        connection.generation = connection.generation.next();
        connection.failures = 0;
        self.written(now);
    }

    fn end_grant(&mut self) {
        self.current = None;
        self.previous = None;
        self.pending.clear();
        self.standing = None;
    }

    pub(super) fn set_status(&mut self, status: Status, now: Timestamp) {
        if self.connection.status != status {
            self.connection.status = status;
            self.connection.status_since = now;
        }
    }

    /// Updates the version and the time of the last write.
    pub(super) fn written(&mut self, now: Timestamp) {
        self.connection.version = self.connection.version.next();
        self.connection.updated_at = now;
    }

    /// Records the generation that the provider accepted. Ignores a generation that this store does
    /// not have (for example after a restore from a backup).
    pub(super) fn confirm(&mut self, accepted: Option<Generation>) {
        let connection = &mut self.connection;
        let Some(accepted) = accepted.filter(|seen| *seen <= connection.generation) else {
            return;
        };
        connection.confirmed = connection.confirmed.max(Some(accepted));
        if accepted == connection.generation {
            self.previous = None;
        }
    }

    pub(super) fn claim(&mut self, request: &ClaimRequest, now: Timestamp) -> ClaimOutcome {
        if let Some(standing) = &self.standing {
            let held = standing.claim;
            if held.claim_id == request.claim_id {
                return ClaimOutcome::Granted {
                    fence: held.fence,
                    until: TimeLeft::between(now, held.until),
                    stored: Box::new(self.stored(now)),
                    superseded: standing.superseded.map(|old| old.at(now)),
                };
            }
            if now < held.until {
                return ClaimOutcome::Held {
                    fence: held.fence,
                    until: TimeLeft::between(now, held.until),
                };
            }
        }
        let fence = self.connection.fence.next();
        let claim = Held {
            claim_id: request.claim_id,
            grant: request.grant,
            generation: request.seen,
            fence,
            kind: request.kind,
            until: now.after(request.hold),
        };
        let superseded = self.standing.take().map(|old| old.claim);
        self.standing = Some(Standing { claim, superseded });
        self.connection.fence = fence;
        self.confirm(request.confirmed);
        self.written(now);
        ClaimOutcome::Granted {
            fence,
            until: TimeLeft::between(now, claim.until),
            stored: Box::new(self.stored(now)),
            superseded: superseded.map(|old| old.at(now)),
        }
    }

    /// Clears the current claim if it has the given fence.
    pub(super) fn resolve(&mut self, fence: Fence) {
        if self
            .standing
            .as_ref()
            .is_some_and(|s| s.claim.fence == fence)
        {
            self.standing = None;
        }
    }

    /// Returns the current claim if it has a different fence and its hold time has not passed.
    pub(super) fn standing_beside(&self, fence: Fence, now: Timestamp) -> Option<Claim> {
        self.standing
            .as_ref()
            .map(|s| s.claim)
            .filter(|held| held.fence != fence && now < held.until)
            .map(|held| held.at(now))
    }

    /// Returns the outcome of an earlier commit under this claim.
    pub(super) fn outcome_of(&self, claim_id: ClaimId) -> Option<CommitOutcome> {
        self.committed
            .iter()
            .find(|(of, _)| *of == claim_id)
            .map(|(_, outcome)| outcome.clone())
    }

    pub(super) fn commit(&mut self, commit: Commit, now: Timestamp) -> CommitOutcome {
        if commit.grant != self.connection.grant || !self.connection.is_live() {
            return CommitOutcome::Ended;
        }
        let moved = commit.base != self.connection.generation;
        if let Some(fence) = commit.takes_pending {
            // This outcome is not remembered, because the claim may still produce its own
            // credential.
            if !self.pending.contains_key(&fence) {
                return CommitOutcome::Pending;
            }
            if moved {
                self.resolve(commit.fence);
                return CommitOutcome::Pending;
            }
        }
        let claim_id = commit.claim_id;
        self.resolve(commit.fence);
        let outcome = if moved {
            self.keep_pending(commit, now);
            CommitOutcome::Pending
        } else {
            self.make_current(commit, now);
            CommitOutcome::Stored
        };
        if self.committed.len() == REMEMBERED {
            self.committed.pop_front();
        }
        self.committed.push_back((claim_id, outcome.clone()));
        outcome
    }

    fn keep_pending(&mut self, commit: Commit, now: Timestamp) {
        self.pending.entry(commit.fence).or_insert_with(|| {
            Credential::new(
                commit.credential,
                commit.grant,
                commit.base,
                commit.fence,
                commit.expiries,
                now,
            )
        });
    }

    fn make_current(&mut self, commit: Commit, now: Timestamp) {
        let taken = commit
            .takes_pending
            .and_then(|fence| self.pending.remove(&fence));
        // The stored bytes of a pending pair may be sealed under a newer key than the caller's
        // bytes.
        let (sealed, fence) = match taken {
            Some(pair) => (pair.sealed, pair.fence),
            None => (commit.credential, commit.fence),
        };
        let generation = self.connection.generation.next();
        let credential = Credential::new(
            sealed,
            commit.grant,
            generation,
            fence,
            commit.expiries,
            now,
        );
        self.previous = self.current.replace(credential);
        self.set_status(commit.status, now);
        let connection = &mut self.connection;
        connection.generation = generation;
        connection.fence = connection.fence.max(commit.fence);
        connection.failures = 0;
        connection.rotates |= commit.rotates;
        connection.refreshed_at = now;
        self.written(now);
    }

    /// Increments the count of consecutive failures, once per claim.
    pub(super) fn count_failure(&mut self, claim_id: ClaimId) {
        if self.failed.contains(&claim_id) {
            return;
        }
        if self.failed.len() == REMEMBERED {
            self.failed.pop_front();
        }
        self.failed.push_back(claim_id);
        self.connection.failures = self.connection.failures.saturating_add(1);
    }
}
