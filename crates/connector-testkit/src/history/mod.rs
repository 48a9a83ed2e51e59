//! What concurrent callers of a [`TokenStore`] saw, recorded and judged.
//!
//! Calls on one connection must take effect one after the other, each at some instant between its
//! start and its end. [`check`] looks for such an order: it plays the recorded calls against a
//! small sequential model of the contract, and reports the first call that fits no order.
//!
//! Callers may be tasks or processes. Each takes its calls from an [`Actor`] of its own, makes them
//! with [`Recorder::call`], and keeps the entries; all take their stamps from one [`Stamps`].
//! The store's clock may move meanwhile, but not by a day: claims stand for a day or not at all.

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

/// How long a claim that stands does so.
const STANDS: Duration = Duration::from_secs(86_400);

/// One call on one connection. Numbers are those of the contract's types.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Operation {
    /// [`TokenStore::load`].
    Load,
    /// [`TokenStore::claim`].
    Claim {
        /// The claim's name.
        claim: u64,
        /// The grant that was seen.
        grant: u64,
        /// The generation that was seen.
        seen: u64,
        /// True for a claim that leads to a new grant.
        exchange: bool,
        /// True for a claim that stands for a day, false for one that is past its hold at once.
        stands: bool,
    },
    /// [`TokenStore::commit`].
    Commit {
        /// The claim's name.
        claim: u64,
        /// The claim's grant.
        grant: u64,
        /// The generation that was spent.
        base: u64,
        /// The claim's fence.
        fence: u64,
        /// What tells the credential apart.
        pair: u64,
        /// The fence of the pending pair that is taken.
        takes_pending: Option<u64>,
    },
    /// [`TokenStore::fail`].
    Fail {
        /// The claim's name.
        claim: u64,
        /// The claim's grant.
        grant: u64,
        /// The generation that was to be spent.
        base: u64,
        /// The claim's fence.
        fence: u64,
        /// True if it resolves its claim.
        resolves: bool,
        /// True if it gives the grant up.
        gives_up: bool,
    },
    /// [`TokenStore::put_grant`].
    Put {
        /// The generation that is expected; `None` for a first grant.
        at: Option<u64>,
        /// The grant's number.
        grant: u64,
        /// The generation of its credential.
        generation: u64,
        /// The fence of its claim.
        fence: u64,
        /// What tells the credential apart.
        pair: u64,
    },
    /// [`TokenStore::update`] of the state.
    Update {
        /// The version that is expected.
        at: u64,
        /// True to make it degraded, false to make it connected.
        degraded: bool,
    },
    /// [`TokenStore::end`] that keeps the record.
    End {
        /// The generation that is expected.
        at: Option<u64>,
    },
}

impl Operation {
    /// True if a call that returned this changes nothing, whatever it finds.
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

/// What a call returned.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Outcome {
    /// What was loaded.
    Loaded(Option<View>),
    /// A claim was granted.
    Granted {
        /// Its fence.
        fence: u64,
        /// The fence of the claim that it supersedes.
        superseded: Option<u64>,
        /// The row after it.
        view: View,
    },
    /// The expectation did not hold.
    Moved(View),
    /// Another claim, of this fence, stands.
    Held(u64),
    /// Giving up was refused over pending pairs.
    PendingLeft(View),
    /// A result was kept aside.
    Pending,
    /// A grant or a result was stored.
    Stored,
    /// A failure was recorded.
    Applied,
    /// A record was changed and has this version.
    Updated(u64),
    /// The connection ended or had ended; for a commit, its grant had.
    Ended,
    /// The connection had ended before.
    AlreadyEnded,
    /// There was no connection.
    Missing,
}

/// A sealed credential as the history sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Held {
    /// What tells it apart.
    pub pair: u64,
    /// Its grant.
    pub grant: u64,
    /// Its generation; for a pending pair the one that was spent for it.
    pub generation: u64,
    /// Its fence.
    pub fence: u64,
}

/// A claim as the history sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Standing {
    /// Its name.
    pub claim: u64,
    /// Its grant.
    pub grant: u64,
    /// The generation that it spends.
    pub generation: u64,
    /// Its fence.
    pub fence: u64,
    /// True for a claim that leads to a new grant.
    pub exchange: bool,
    /// True while its hold has not passed.
    pub stands: bool,
}

/// A connection as the history sees it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Its grant.
    pub grant: u64,
    /// Its generation.
    pub generation: u64,
    /// The last fence that a claim was given.
    pub fence: u64,
    /// The version of its record.
    pub version: u64,
    /// The name of its state.
    pub status: String,
    /// Its credential.
    pub current: Option<Held>,
    /// The credential before it.
    pub previous: Option<Held>,
    /// Pairs that arrived late, the newest fence first.
    pub pending: Vec<Held>,
    /// The claim that nobody has resolved.
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
    /// The connection that it was about.
    pub connection: ConnectionKey,
    /// The stamp that was taken before it.
    pub start: u64,
    /// What was called.
    pub operation: Operation,
    /// The stamp that was taken after it and what it returned; `None` if that is not known: it
    /// failed, or its process ended. It may then have taken effect at any time, or never.
    pub end: Option<(u64, Outcome)>,
}

impl Entry {
    /// The entry as one line of text, without the line's end.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`]; no entry that was recorded can cause it.
    pub fn to_line(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|cause| {
            Error::new(
                ErrorKind::Bug,
                "history.to_line",
                "an entry could not be written",
            )
            .with_source(cause)
        })
    }

    /// Reads the lines that [`Entry::to_line`] wrote, of any number of callers. Of two entries with
    /// the same start the one whose end is known counts, so that a caller may write an entry before
    /// its call and again after it. A last line without its end is left out: its writer was killed.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if a whole line is not an entry.
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
                    "a line is not an entry of a history; record it again",
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

/// Numbers that are given once each, in an order that fits real time.
#[derive(Debug)]
pub struct Stamps(Source);

#[derive(Debug)]
enum Source {
    Counter(AtomicU64),
    File(Mutex<File>),
}

impl Stamps {
    /// Stamps for the tasks of one process.
    #[must_use]
    pub const fn counter() -> Self {
        Self(Source::Counter(AtomicU64::new(0)))
    }

    /// Stamps for all processes that open the same file, which grows by a byte with each stamp. It
    /// must lie on a local file system.
    ///
    /// # Errors
    /// If the file cannot be opened or made.
    pub fn shared(path: &Path) -> std::io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self(Source::File(Mutex::new(file))))
    }

    /// The next stamp.
    ///
    /// # Errors
    /// If the shared file cannot be written.
    pub fn take(&self) -> std::io::Result<u64> {
        match &self.0 {
            Source::Counter(counter) => Ok(counter.fetch_add(1, Ordering::SeqCst) + 1),
            Source::File(file) => {
                let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
                // Appending moves the offset to the end of this write, whoever else appends.
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
    /// Records calls of `store` under `stamps`.
    #[must_use]
    pub const fn new(store: &'a S, stamps: &'a Stamps) -> Self {
        Self { store, stamps }
    }

    /// Stamps a call that is about to be made.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if there is no stamp to be had.
    pub fn begin(&self, key: &ConnectionKey, operation: Operation) -> Result<Entry> {
        Ok(Entry {
            connection: key.clone(),
            start: self.stamp()?,
            operation,
            end: None,
        })
    }

    /// Makes the call of a stamped entry and completes it; an error of the store leaves its end
    /// unknown and is returned beside it.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if there is no stamp to be had.
    pub async fn finish(&self, mut entry: Entry) -> Result<(Entry, Option<Error>)> {
        match perform(self.store, &entry.connection, &entry.operation).await {
            Ok(outcome) => {
                entry.end = Some((self.stamp()?, outcome));
                Ok((entry, None))
            }
            Err(error) => Ok((entry, Some(error))),
        }
    }

    /// Makes one call and records it, as [`Recorder::begin`] and [`Recorder::finish`] do.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`] if there is no stamp to be had.
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
                "the file of stamps cannot be written",
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

/// The number in [`pair`]; no pair has the last one.
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

/// Each connection of a history leads to an account of its own.
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
