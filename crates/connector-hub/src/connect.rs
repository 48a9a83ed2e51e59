//! From a credential to a stored connection: identifies the account, checks that it may be
//! connected, and commits the connection. This module is used for callbacks, adoptions and resumed
//! quarantine entries.

mod attach;
mod claim;

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::{SealContext, SealedKind};
use connector_core::provider::Context;
use connector_core::provider::oauth::Identity;
use connector_core::store::{ConnectOutcome, ConnectionRecord, Expiries, Quarantined, StateKey};
use connector_core::{Connection, ConnectionKey, Credential, Error, ErrorKind, Result, Retry};
use tracing::Instrument as _;

use self::attach::PendingConnection;
pub(crate) use self::claim::{ClaimEnd, Claimed};
use crate::account::identify;
use crate::flow::{Answer, Purpose, Reason, row_of};
use crate::hub::Inner;
use crate::telemetry;

/// Pauses between attempts to identify an account.
const IDENTIFY_PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(3)];
/// Maximum time to retry store calls while the credential is safe in the quarantine.
const PATIENCE: Duration = Duration::from_secs(30);
/// Minimum pause between retries of a store call. The next constant is the maximum.
const SHORTEST_PAUSE: Duration = Duration::from_millis(250);
const MAX_PAUSE: Duration = Duration::from_secs(5);

/// A connected account, with its connection, the return address and the granted scopes.
///
/// Dereferences to [`Connection`].
#[derive(Debug, Clone)]
#[must_use]
pub struct Connected {
    connection: Connection,
    siblings: Vec<Connection>,
    return_to: Option<String>,
    scopes: ScopeReport,
}

impl Connected {
    /// Returns the connection.
    #[must_use]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns only the connection.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        self.connection
    }

    /// Returns the connections of the other grants in the same token response, for example of a
    /// user's grant in addition to a bot's grant. Empty when the page is loaded again.
    #[must_use]
    pub fn siblings(&self) -> &[Connection] {
        &self.siblings
    }

    /// Returns the return address that was set when the flow started: a path of the application.
    #[must_use]
    pub fn return_to(&self) -> Option<&str> {
        self.return_to.as_deref()
    }

    /// Compares the granted scopes with the requested ones.
    #[must_use]
    pub fn scopes(&self) -> &ScopeReport {
        &self.scopes
    }

    pub(crate) fn with_siblings(mut self, siblings: Vec<Connection>) -> Self {
        self.siblings = siblings;
        self
    }

    pub(crate) fn with_return(mut self, return_to: Option<String>) -> Self {
        self.return_to = return_to;
        self
    }

    pub(crate) fn new(
        connection: ConnectionRecord,
        requested: &[String],
        granted: Vec<String>,
    ) -> Self {
        let missing = requested
            .iter()
            .filter(|scope| !granted.contains(scope))
            .cloned()
            .collect();
        Self {
            connection: connection.into(),
            siblings: Vec::new(),
            return_to: None,
            scopes: ScopeReport { granted, missing },
        }
    }
}

impl Deref for Connected {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

/// The granted scopes compared with the requested ones. The hub refuses grants without the scopes
/// that the connector requires, so `missing` contains only optional scopes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScopeReport {
    /// Granted scopes. Empty if the provider does not return them.
    pub granted: Vec<String>,
    /// Requested scopes that were not granted. Disable the features that need them, or request them
    /// again.
    pub missing: Vec<String>,
}

/// The reason why a credential did not become a connection.
#[derive(Debug)]
pub(crate) enum ConnectFailure {
    /// Permanent. The credential is cleaned up.
    Refused(Reason, Option<Error>),
    /// Temporary. A quarantined response stays in the quarantine.
    Later(Error),
}

impl From<Error> for ConnectFailure {
    fn from(error: Error) -> Self {
        Self::Later(error)
    }
}

/// The source of a credential.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Source {
    /// A token response, quarantined under this key. The hub must revoke the credential.
    Code(StateKey),
    /// Another grant of a quarantined token response.
    Sibling,
    /// The application is responsible for the credential.
    Application,
}

impl Inner {
    /// Stores every credential of a quarantined token response in a connection. The siblings come
    /// first. The commit of the main credential removes the response from the quarantine. After a
    /// crash before this commit, the response is still in the quarantine and is processed again.
    pub(crate) async fn settle_response(
        &self,
        state: StateKey,
        answer: Answer,
        claim: Option<Claimed>,
        obtained_for: Option<ConnectionKey>,
    ) -> Result<Connected, ConnectFailure> {
        let mut siblings = Vec::new();
        for sibling in &answer.siblings {
            let purpose = Purpose {
                connection: None,
                candidate: sibling.candidate,
                requested: sibling.credential.scopes().to_vec(),
                ..answer.purpose.clone()
            };
            let credential = sibling.credential.clone();
            let settled = self.settle(&purpose, credential, None, None, Source::Sibling);
            match settled.await {
                Ok(connected) => siblings.push(connected.into_connection()),
                Err(ConnectFailure::Refused(reason, cause)) => {
                    tracing::warn!(
                        operation = "hub.connect",
                        connector = purpose.provider.as_str(),
                        reason = reason.name(),
                        "another grant of the token response could not be connected"
                    );
                    let code = cause.as_ref().and_then(Error::code);
                    self.record_refusal(&purpose, reason, code).await;
                }
                Err(later) => return Err(later),
            }
        }
        let source = Source::Code(state);
        let Answer {
            purpose,
            credential,
            ..
        } = answer;
        let connected = self.settle(&purpose, credential, claim, obtained_for, source);
        Ok(connected.await?.with_siblings(siblings))
    }

    /// Identifies the account of a credential and stores the credential in the account's
    /// connection.
    pub(crate) async fn settle(
        &self,
        purpose: &Purpose,
        credential: Credential,
        claim: Option<Claimed>,
        obtained_for: Option<ConnectionKey>,
        source: Source,
    ) -> Result<Connected, ConnectFailure> {
        let connector = self.connector(&purpose.provider)?;
        let identity = match self.identify(purpose, &credential).await {
            Ok(identity) => identity,
            // A retry does not help: a person must grant the permission first.
            Err(error) if error.kind() == ErrorKind::Forbidden => {
                if let Some(claim) = &claim {
                    self.give_back(claim).await;
                }
                if let Source::Code(state) = source {
                    self.insist(PATIENCE, || self.store.release(&state)).await?;
                }
                return Err(ConnectFailure::Refused(
                    Reason::IDENTITY_REFUSED,
                    Some(error),
                ));
            }
            Err(error) => return Err(ConnectFailure::Later(error)),
        };
        // The account is sealed with the credential, so that it can be compared with the account in
        // the row.
        let credential = match credential.identity() {
            Some(_) => credential,
            None => credential.with_identity(Identity::new(identity.account.clone())),
        };
        let pending = PendingConnection {
            purpose,
            connector: &**connector,
            // Computed after the identification, which takes time.
            expiries: self.expiries(&credential),
            credential: Arc::new(credential),
            source,
            obtained_for,
            identity,
        };
        self.attach(&pending, claim).await
    }

    /// Resumes a token response from the quarantine. The response is removed from the quarantine
    /// when it is stored in a connection or refused.
    pub(crate) async fn resume_quarantined(&self, kept: &Quarantined) -> Result<Connected> {
        const OPERATION: &str = "hub.resume_quarantined";
        let answer = self.open_answer(kept).await?;
        let purpose = answer.purpose.clone();
        let settled = self.resume(kept.state, answer).await;
        self.record_end(&kept.state, &purpose, &settled).await;
        settled.map_err(|failure| match failure {
            ConnectFailure::Refused(reason, cause) => reason.error(OPERATION, cause),
            ConnectFailure::Later(error) => error,
        })
    }

    pub(crate) async fn resume(
        &self,
        state: StateKey,
        answer: Answer,
    ) -> Result<Connected, ConnectFailure> {
        let purpose = &answer.purpose;
        let obtained_for = answer.claim.map(|mark| purpose.key(mark.connection));
        let claimed = match answer.claim {
            Some(mark) => self.claim_again(purpose, mark).await?,
            None => None,
        };
        self.settle_response(state, answer, claimed, obtained_for)
            .await
    }

    pub(crate) async fn open_answer(&self, kept: &Quarantined) -> Result<Answer> {
        let row = row_of(&kept.state);
        let context = SealContext::new(
            Some(&kept.tenant),
            &kept.provider,
            &kept.app,
            &row,
            SealedKind::Quarantine,
        );
        Answer::from_plaintext(&self.open_flow(&context, &kept.sealed).await?)
    }

    async fn identify(&self, purpose: &Purpose, credential: &Credential) -> Result<Identity> {
        let connector = self.connector(&purpose.provider)?;
        let app = self
            .app(&purpose.provider, &purpose.tenant, &purpose.app)
            .await?;
        let cx = Context::new(&app, &*self.transport, &*self.clock);
        let mut pauses = IDENTIFY_PAUSES.into_iter();
        loop {
            let error = match identify(&**connector, &cx, credential).await {
                Ok(identity) => return Ok(identity),
                Err(error) => error,
            };
            // A new token may not be known to all of the provider's servers yet.
            let may_pass = error.retry() != Retry::Never || error.kind() == ErrorKind::Unauthorized;
            match pauses.next() {
                Some(pause) if may_pass => self.clock.sleep(pause).await,
                _ => return Err(error),
            }
        }
    }

    fn expiries(&self, credential: &Credential) -> Expiries {
        let now = self.clock.now();
        Expiries {
            access: credential.expires_at().map(|end| end.since(now)),
            refresh: credential.refresh_expires_at().map(|end| end.since(now)),
        }
    }

    /// Records the outcome of a flow, if the flow has ended.
    pub(crate) async fn record_end(
        &self,
        state: &StateKey,
        purpose: &Purpose,
        settled: &Result<Connected, ConnectFailure>,
    ) {
        let result = match settled {
            Ok(_) => Some("connected"),
            Err(ConnectFailure::Refused(reason, _)) => Some(reason.name()),
            Err(ConnectFailure::Later(_)) => None,
        };
        if let Some(result) = result {
            telemetry::count(telemetry::CONNECTS, &[purpose.provider.as_str(), result]);
        }
        let outcome = match settled {
            Ok(connected) => ConnectOutcome::Connected {
                connection: connected.key().clone(),
            },
            Err(ConnectFailure::Refused(reason, cause)) => {
                let code = cause.as_ref().and_then(Error::code);
                tracing::info!(
                    operation = "hub.connect",
                    connector = purpose.provider.as_str(),
                    reason = reason.name(),
                    code,
                    "a connect ended without a connection"
                );
                self.record_refusal(purpose, *reason, code).await;
                ConnectOutcome::Failed {
                    reason: reason.name().to_owned(),
                    code: code.map(str::to_owned),
                }
            }
            Err(ConnectFailure::Later(_)) => return,
        };
        self.finish(state, outcome).await;
    }

    /// Records the outcome of a flow. The result of the flow is already stored, so a failure of
    /// this call is only logged.
    pub(crate) async fn finish(&self, state: &StateKey, outcome: ConnectOutcome) {
        let call = || self.store.finish_state(state, outcome.clone());
        if let Err(error) = self.insist(PATIENCE, call).await {
            tracing::warn!(%error, "the outcome of a connect flow could not be recorded");
        }
    }

    /// Records a connect flow that ended without a connection. `code` is the provider's error code.
    pub(crate) async fn record_refusal(
        &self,
        purpose: &Purpose,
        reason: Reason,
        code: Option<&str>,
    ) {
        let entry = purpose.entry(purpose.connection, reason.event(code));
        let call = || self.store.append(entry.clone());
        if let Err(error) = self.insist(PATIENCE, call).await {
            tracing::warn!(
                reason = reason.name(),
                %error,
                "a refused connect flow could not be recorded"
            );
        }
    }

    /// Retries a repeatable store call while the store is unavailable, for at most `patience`.
    pub(crate) async fn insist<T, F>(
        &self,
        patience: Duration,
        call: impl Fn() -> F + Send + Sync,
    ) -> Result<T>
    where
        T: Send,
        F: Future<Output = Result<T>> + Send,
    {
        let begun = self.clock.monotonic();
        let mut pause = SHORTEST_PAUSE;
        loop {
            match call().await {
                Err(error)
                    if error.kind() == ErrorKind::StoreUnavailable
                        && self.clock.monotonic().since(begun) < patience =>
                {
                    self.clock.sleep(pause).await;
                    pause = (pause * 2).min(MAX_PAUSE);
                }
                outcome => return outcome,
            }
        }
    }
}

/// Runs a task to its end, even if its caller stops waiting. A shutdown waits for the task.
pub(crate) async fn outliving<T: Send + 'static>(
    inner: &Inner,
    operation: &'static str,
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let under_way = inner.enlist(operation)?;
    let work = async move {
        let _under_way = under_way;
        work.await
    };
    match tokio::spawn(work.in_current_span()).await {
        Ok(outcome) => outcome,
        Err(end) if end.is_cancelled() => Err(Error::new(
            ErrorKind::ShuttingDown,
            operation,
            "the process is shutting down; load the page again",
        )),
        Err(_) => Err(Error::new(
            ErrorKind::Bug,
            operation,
            "the task that finishes the connect flow panicked; please report it with its log",
        )),
    }
}
