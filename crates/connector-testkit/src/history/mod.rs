//! Recording and checking of histories. A history contains the calls of concurrent callers of a
//! [`TokenStore`], with their outcomes.
//!
//! Calls on one connection must be linearizable: each call takes effect at one instant between its
//! start and its end. [`check`] searches for such an order. [`check`] replays the recorded calls on
//! a small sequential model of the contract, and reports the first call without a valid order.
//!
//! Callers may be tasks or processes. Each caller gets its calls from its own [`Actor`], makes them
//! with [`Recorder::call`], and keeps the entries. All callers share one [`Stamps`]. The store's
//! clock may advance during the run, but by less than a day, because claims in a history either
//! last a day or expire immediately.

mod actor;
mod check;
mod model;

use std::fs::{File, OpenOptions};
use std::io::{Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use connector_core::cipher::{KeyId, Sealed};
use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, End, EndOutcome,
    EndRequest, Expect, Expiries, FailOutcome, Failure, Fence, Generation, GrantNumber, Patch,
    PutGrant, PutOutcome, SideEffects, Stored, StoredCredential, TokenStore, UpdateOutcome,
    Verdict, Version,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionKey, DegradedReason, Error, ErrorKind, Metadata,
    ProviderId, ReauthorizationReason, Result, Status,
};
use serde::{Deserialize, Serialize};

pub use self::actor::Actor;
pub use self::check::{Checked, Violation, check};

/// Lifetime of a claim that does not expire immediately.
const STANDS: Duration = Duration::from_secs(86_400);

/// One call on one connection. Grants, generations and fences are stored as plain numbers.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Operation {
    /// [`TokenStore::load`].
    Load,
    /// [`TokenStore::claim`].
    Claim {
        /// The number of the claim.
        claim: u64,
        /// The grant that the caller has read.
        grant: u64,
        /// The generation that the caller has read.
        seen: u64,
        /// True for a claim for a new grant.
        exchange: bool,
        /// True for a claim that lasts a day, false for a claim that expires immediately.
        stands: bool,
    },
    /// [`TokenStore::commit`].
    Commit {
        /// The number of the claim.
        claim: u64,
        /// The grant of the claim.
        grant: u64,
        /// The generation whose refresh token was used.
        base: u64,
        /// The fence of the claim.
        fence: u64,
        /// The number of the new credential.
        pair: u64,
        /// The fence of the pending pair that becomes current.
        takes_pending: Option<u64>,
    },
    /// [`TokenStore::fail`].
    Fail {
        /// The number of the claim.
        claim: u64,
        /// The grant of the claim.
        grant: u64,
        /// The generation whose refresh token was to be used.
        base: u64,
        /// The fence of the claim.
        fence: u64,
        /// True if the call resolves its claim.
        resolves: bool,
        /// True if the call gives up the grant.
        gives_up: bool,
    },
    /// [`TokenStore::put_grant`].
    Put {
        /// The expected generation; `None` for a first grant.
        at: Option<u64>,
        /// The number of the grant.
        grant: u64,
        /// The generation of the grant's credential.
        generation: u64,
        /// The fence of the claim.
        fence: u64,
        /// The number of the credential.
        pair: u64,
    },
    /// [`TokenStore::update`] of the status.
    Update {
        /// The expected version.
        at: u64,
        /// True to set the status to degraded, false to set it to connected.
        degraded: bool,
    },
    /// [`TokenStore::end`] that keeps the record.
    End {
        /// The expected generation.
        at: Option<u64>,
    },
}

impl Operation {
    /// Returns true if a call with this outcome never changes the state.
    fn only_reads(&self, outcome: &Outcome) -> bool {
        match self {
            Self::Load => true,
            Self::Commit { .. } => *outcome == Outcome::Ended,
            Self::Fail { resolves, .. } => !resolves && *outcome != Outcome::Applied,
            _ => {
                matches!(
                    outcome,
                    Outcome::Moved(_)
                        | Outcome::Held(_)
                        | Outcome::Ended
                        | Outcome::AlreadyEnded
                        | Outcome::Missing
                ) && (*outcome != Outcome::Ended || matches!(self, Self::Claim { .. }))
            }
        }
    }
}

/// The outcome of a call.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// The loaded row.
    Loaded(Option<View>),
    /// A claim was granted.
    Granted {
        /// The fence of the claim.
        fence: u64,
        /// The fence of the claim that this claim supersedes.
        superseded: Option<u64>,
        /// The row after the claim.
        view: View,
    },
    /// The row was not in the expected state.
    Moved(View),
    /// Another claim is active. The field is its fence.
    Held(u64),
    /// Giving up was refused because there are pending pairs.
    PendingLeft(View),
    /// A result was stored as pending.
    Pending,
    /// A grant or a result was stored.
    Stored,
    /// A failure was recorded.
    Applied,
    /// A record was changed. Contains the new version.
    Updated(u64),
    /// The connection had ended or was ended by this call. For a commit, the grant of the commit
    /// had ended.
    Ended,
    /// The connection had ended before.
    AlreadyEnded,
    /// There was no connection.
    Missing,
}

/// A sealed credential, as recorded in a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Held {
    /// The number of the credential.
    pub pair: u64,
    /// The grant of the credential.
    pub grant: u64,
    /// The generation of the credential. For a pending pair, the generation whose refresh token was
    /// used.
    pub generation: u64,
    /// The fence of the credential.
    pub fence: u64,
}

/// A claim, as recorded in a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// The number of the claim.
    pub claim: u64,
    /// The grant of the claim.
    pub grant: u64,
    /// The generation whose refresh token the claim uses.
    pub generation: u64,
    /// The fence of the claim.
    pub fence: u64,
    /// True for a claim for a new grant.
    pub exchange: bool,
    /// True until the claim expires.
    pub stands: bool,
}

/// A connection, as recorded in a history.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// The current grant.
    pub grant: u64,
    /// The current generation.
    pub generation: u64,
    /// The highest fence of any claim.
    pub fence: u64,
    /// The version of the record.
    pub version: u64,
    /// The name of the status.
    pub status: String,
    /// The current credential.
    pub current: Option<Held>,
    /// The previous credential.
    pub previous: Option<Held>,
    /// Pairs that arrived late, newest fence first.
    pub pending: Vec<Held>,
    /// The unresolved claim.
    pub claim: Option<Standing>,
}

impl View {
    fn of(stored: &Stored) -> Self {
        let held = |held: &StoredCredential| Held {
            pair: pair_of(&held.sealed),
            grant: held.grant.get(),
            generation: held.generation.get(),
            fence: held.fence.get(),
        };
        let seen = &stored.connection;
        Self {
            grant: seen.grant.get(),
            generation: seen.generation.get(),
            fence: seen.fence.get(),
            version: seen.version.get(),
            status: seen.status.as_str().to_owned(),
            current: stored.current.as_ref().map(held),
            previous: stored.previous.as_ref().map(held),
            pending: stored
                .pending
                .iter()
                .map(|pending| Held {
                    pair: pair_of(&pending.sealed),
                    grant: pending.grant.get(),
                    generation: pending.base.get(),
                    fence: pending.fence.get(),
                })
                .collect(),
            claim: stored.claim.as_ref().map(|claim| Standing {
                claim: number_of(claim.claim_id),
                grant: claim.grant.get(),
                generation: claim.generation.get(),
                fence: claim.fence.get(),
                exchange: claim.kind == ClaimKind::Exchange,
                stands: !claim.until.has_passed(),
            }),
        }
    }
}

/// One recorded call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The connection of the call.
    pub connection: ConnectionKey,
    /// The stamp taken before the call.
    pub start: u64,
    /// The operation.
    pub operation: Operation,
    /// The stamp taken after the call, and the outcome. `None` if the outcome is unknown, because
    /// the call failed or its process ended. Such a call may have taken effect at any time, or
    /// never.
    pub end: Option<(u64, Outcome)>,
}

impl Entry {
    /// Returns the entry as one line of text, without a line break.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if serialization fails. A recorded entry never causes this.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| {
            Error::new(
                ErrorKind::Bug,
                "history.to_line",
                "a history entry could not be serialized",
            )
            .with_source(cause)
        })
    }

    /// Parses lines that [`Entry::to_line`] wrote, from any number of callers. A caller may write
    /// an entry before its call and again after the call. If two entries have the same start, the
    /// entry with an outcome is used. An incomplete last line is ignored, because its writer was
    /// killed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if a complete line is not an entry.
    pub fn read(text: &str) -> Result<Vec<Self>> {
        let mut entries = std::collections::BTreeMap::<u64, Self>::new();
        for line in text.split_inclusive('\n') {
            let Some(line) = line.strip_suffix('\n') else {
                break;
            };
            let entry: Self = serde_json::from_str(line).map_err(|cause| {
                Error::new(
                    ErrorKind::InvalidInput,
                    "history.read",
                    "a line is not a history entry; record the history again",
                )
                .with_source(cause)
            })?;
            let known = entries.entry(entry.start).or_insert_with(|| entry.clone());
            if entry.end.is_some() {
                *known = entry;
            }
        }
        Ok(entries.into_values().collect())
    }
}

/// A source of unique numbers whose order matches real time.
#[derive(Debug)]
pub struct Stamps(Source);

#[derive(Debug)]
enum Source {
    Counter(AtomicU64),
    File(Mutex<File>),
}

impl Stamps {
    /// Creates stamps for the tasks of one process.
    #[must_use]
    pub const fn counter() -> Self {
        Self(Source::Counter(AtomicU64::new(0)))
    }

    /// Opens stamps for all processes that use the same file. The file grows by a byte with each
    /// stamp, and must be on a local file system.
    ///
    /// # Errors
    /// An I/O error if the file cannot be opened or created.
    pub fn shared(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Source::File(Mutex::new(file))))
    }

    /// Returns the next stamp.
    ///
    /// # Errors
    /// An I/O error if the shared file cannot be written.
    pub fn take(&self) -> std::io::Result<u64> {
        match &self.0 {
            Source::Counter(counter) => Ok(counter.fetch_add(1, Ordering::SeqCst) + 1),
            Source::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // Appending sets the offset to the end of this write, even if other processes
                // append.
                file.write_all(b".")?;
                file.stream_position()
            }
        }
    }
}

/// Makes calls and records them.
#[derive(Debug)]
pub struct Recorder<'a, S> {
    store: &'a S,
    stamps: &'a Stamps,
}

impl<'a, S: TokenStore> Recorder<'a, S> {
    /// Creates a recorder for calls of `store` with the given stamps.
    #[must_use]
    pub const fn new(store: &'a S, stamps: &'a Stamps) -> Self {
        Self { store, stamps }
    }

    /// Creates the entry for a call, with its start stamp.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if no stamp is available.
    pub fn begin(&self, key: &ConnectionKey, operation: Operation) -> Result<Entry> {
        Ok(Entry {
            connection: key.clone(),
            start: self.stamp()?,
            operation,
            end: None,
        })
    }

    /// Makes the call of an entry and adds the outcome. If the store returns an error, the outcome
    /// stays unknown, and the error is returned with the entry.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if no stamp is available.
    pub async fn finish(&self, mut entry: Entry) -> Result<(Entry, Option<Error>)> {
        match perform(self.store, &entry.connection, &entry.operation).await {
            Ok(outcome) => {
                entry.end = Some((self.stamp()?, outcome));
                Ok((entry, None))
            }
            Err(error) => Ok((entry, Some(error))),
        }
    }

    /// Makes one call and records it. Combines [`Recorder::begin`] and [`Recorder::finish`].
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if no stamp is available.
    pub async fn call(
        &self,
        key: &ConnectionKey,
        operation: Operation,
    ) -> Result<(Entry, Option<Error>)> {
        let entry = self.begin(key, operation)?;
        self.finish(entry).await
    }

    fn stamp(&self) -> Result<u64> {
        self.stamps.take().map_err(|cause| {
            Error::new(
                ErrorKind::StoreUnavailable,
                "history.stamp",
                "the stamp file could not be written",
            )
            .with_source(cause)
        })
    }
}

fn pair(number: u64) -> Sealed {
    Sealed::new(
        KeyId::from_bytes([1; 8]),
        format!("pair {number}").into_bytes(),
    )
}

/// Returns the number in a [`pair`]. The maximum number is never used for a pair.
fn pair_of(sealed: &Sealed) -> u64 {
    std::str::from_utf8(sealed.bytes())
        .ok()
        .and_then(|text| text.strip_prefix("pair ")?.parse().ok())
        .unwrap_or(u64::MAX)
}

fn claim_id(number: u64) -> ClaimId {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&number.to_be_bytes());
    ClaimId::from_bytes(bytes)
}

fn number_of(claim: ClaimId) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&claim.as_bytes()[8..]);
    u64::from_be_bytes(bytes)
}

/// Returns the request to store a first or later grant. Each connection of a history has its own
/// account.
fn first_or_next(
    key: &ConnectionKey,
    at: Option<u64>,
    numbers: (u64, u64, u64),
    number: u64,
) -> Result<PutGrant> {
    let (grant, generation, fence) = numbers;
    Ok(PutGrant {
        key: key.clone(),
        provider: ProviderId::from_static("acme"),
        app: AppKey::default(),
        account: Account::identified(AccountKey::new(format!("account of {}", key.id))?),
        expect: at.map_or(Expect::Absent, |at| Expect::At(Generation::new(at))),
        grant: GrantNumber::new(grant),
        generation: Generation::new(generation),
        fence: Fence::new(fence),
        credential: pair(number),
        expiries: Expiries::default(),
        status: Status::Connected,
        metadata: Metadata::new(),
        takes: None,
    })
}

fn status(degraded: bool) -> Status {
    if degraded {
        Status::Degraded(DegradedReason::RefreshFailing)
    } else {
        Status::Connected
    }
}

async fn perform(
    store: &impl TokenStore,
    key: &ConnectionKey,
    operation: &Operation,
) -> Result<Outcome> {
    Ok(match *operation {
        Operation::Load => Outcome::Loaded(store.load(key).await?.as_ref().map(View::of)),
        Operation::Claim {
            claim,
            grant,
            seen,
            exchange,
            stands,
        } => {
            let request = ClaimRequest {
                claim_id: claim_id(claim),
                grant: GrantNumber::new(grant),
                seen: Generation::new(seen),
                kind: if exchange {
                    ClaimKind::Exchange
                } else {
                    ClaimKind::Refresh
                },
                hold: if stands { STANDS } else { Duration::ZERO },
                confirmed: None,
            };
            store.claim(key, request).await?.into()
        }
        Operation::Commit {
            claim,
            grant,
            base,
            fence,
            pair: number,
            takes_pending,
        } => {
            let commit = Commit {
                claim_id: claim_id(claim),
                grant: GrantNumber::new(grant),
                base: Generation::new(base),
                fence: Fence::new(fence),
                credential: pair(number),
                expiries: Expiries::default(),
                status: Status::Connected,
                rotates: false,
                takes_pending: takes_pending.map(Fence::new),
            };
            store.commit(key, commit, SideEffects::none()).await?.into()
        }
        Operation::Fail {
            claim,
            grant,
            base,
            fence,
            resolves,
            gives_up,
        } => {
            let failure = Failure {
                claim_id: claim_id(claim),
                grant: GrantNumber::new(grant),
                base: Generation::new(base),
                fence: Fence::new(fence),
                resolves,
                verdict: if gives_up {
                    Verdict::GiveUp {
                        reason: ReauthorizationReason::GrantRevoked,
                    }
                } else {
                    Verdict::Later { status: None }
                },
            };
            store.fail(key, failure, SideEffects::none()).await?.into()
        }
        Operation::Put {
            at,
            grant,
            generation,
            fence,
            pair,
        } => {
            let grant = first_or_next(key, at, (grant, generation, fence), pair)?;
            store.put_grant(grant, SideEffects::none()).await?.into()
        }
        Operation::Update { at, degraded } => {
            let patch = Patch {
                status: Some(status(degraded)),
                ..Patch::default()
            };
            let update = store.update(key, Version::new(at), patch, SideEffects::none());
            update.await?.into()
        }
        Operation::End { at } => {
            let request = EndRequest {
                how: End::Deactivate,
                at: at.map(Generation::new),
                revoke: Vec::new(),
                unsubscribe: None,
            };
            store.end(key, request, SideEffects::none()).await?.into()
        }
    })
}

impl From<ClaimOutcome> for Outcome {
    fn from(outcome: ClaimOutcome) -> Self {
        match outcome {
            ClaimOutcome::Granted {
                fence,
                stored,
                superseded,
                until: _,
            } => Self::Granted {
                fence: fence.get(),
                superseded: superseded.map(|claim| claim.fence.get()),
                view: View::of(&stored),
            },
            ClaimOutcome::Moved(stored) => Self::Moved(View::of(&stored)),
            ClaimOutcome::Held { fence, .. } => Self::Held(fence.get()),
            ClaimOutcome::Ended => Self::Ended,
        }
    }
}

impl From<CommitOutcome> for Outcome {
    fn from(outcome: CommitOutcome) -> Self {
        match outcome {
            CommitOutcome::Stored => Self::Stored,
            CommitOutcome::Pending => Self::Pending,
            CommitOutcome::Ended => Self::Ended,
        }
    }
}

impl From<FailOutcome> for Outcome {
    fn from(outcome: FailOutcome) -> Self {
        match outcome {
            FailOutcome::Applied => Self::Applied,
            FailOutcome::Moved(stored) => Self::Moved(View::of(&stored)),
            FailOutcome::PendingLeft(stored) => Self::PendingLeft(View::of(&stored)),
            FailOutcome::Held { fence, .. } => Self::Held(fence.get()),
            FailOutcome::Ended => Self::Ended,
        }
    }
}

impl From<PutOutcome> for Outcome {
    fn from(outcome: PutOutcome) -> Self {
        match outcome {
            PutOutcome::Stored => Self::Stored,
            PutOutcome::Moved(stored) => Self::Moved(View::of(&stored)),
            PutOutcome::Missing => Self::Missing,
        }
    }
}

impl From<UpdateOutcome> for Outcome {
    fn from(outcome: UpdateOutcome) -> Self {
        match outcome {
            UpdateOutcome::Updated(version) => Self::Updated(version.get()),
            UpdateOutcome::Moved(stored) => Self::Moved(View::of(&stored)),
            UpdateOutcome::Missing => Self::Missing,
        }
    }
}

impl From<EndOutcome> for Outcome {
    fn from(outcome: EndOutcome) -> Self {
        match outcome {
            EndOutcome::Ended => Self::Ended,
            EndOutcome::Moved(stored) => Self::Moved(View::of(&stored)),
            EndOutcome::AlreadyEnded => Self::AlreadyEnded,
            EndOutcome::Missing => Self::Missing,
        }
    }
}
