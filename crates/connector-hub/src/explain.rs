//! Explanations of a connection that does not work: what happened, the probable causes, and what to
//! do.

use std::collections::VecDeque;
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::store::{AuditFilter, AuditRecord};
use connector_core::{
    Connection, ConnectionKey, DegradedReason, Event, ReauthorizationReason, Result, Status,
};

use crate::details::ConnectionDetails;
use crate::hub::Hub;

/// The operation of a failed refresh.
const REFRESH: &str = "refresh";
/// Page size for reading the audit log.
const PAGE: u16 = 500;
/// Maximum number of pages to read. With all API calls in the audit log, a connection that fails for
/// long can have more entries after its last refresh.
const PAGES: usize = 20;
/// Maximum number of events in an explanation.
const SHOWN: usize = 50;
/// Time before the expiry of a refresh token from which the expiry is a cause.
const SOON: Duration = Duration::from_secs(7 * 86_400);

/// An explanation of a connection's status.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Explanation {
    /// The connection.
    pub connection: Connection,
    /// The time of the last successful connect or refresh.
    pub last_refresh_at: Timestamp,
    /// The audit entries after that time, oldest first: at most the newest 50.
    pub events: Vec<AuditRecord>,
    /// The last failed request after that time, if it was recorded. Failed calls are recorded only
    /// with [`CallAudit`](crate::CallAudit).
    pub failed_request: Option<FailedRequest>,
    /// The probable causes, most probable first. Empty if no problem is known.
    pub causes: Vec<Cause>,
}

/// A request to the provider that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FailedRequest {
    /// The time of the failure, on the store's clock.
    pub at: Timestamp,
    /// The operation, for example `refresh`.
    pub operation: String,
    /// The stable name of the error kind.
    pub failure: String,
    /// HTTP status of the response; `None` if no response arrived.
    pub status: Option<u16>,
    /// The provider's error code.
    pub code: Option<String>,
    /// The provider's request id. The provider's support team asks for this id.
    pub request_id: Option<String>,
}

/// Who can resolve a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Responsible {
    /// The account's owner.
    Owner,
    /// The operator of your service.
    Operator,
    /// The provider.
    Provider,
    /// Nobody: the hub retries.
    Nobody,
}

impl Responsible {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Nobody => "nobody",
        }
    }
}

/// A probable cause of a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Cause {
    /// The stable name.
    pub name: &'static str,
    /// The cause, in one sentence for people.
    pub text: &'static str,
    /// The action that resolves the problem.
    pub action: &'static str,
    /// Who takes the action.
    pub responsible: Responsible,
}

impl Cause {
    /// Returns the causes of a status, most probable first. [`Hub::explain`] also considers the
    /// events of the connection.
    #[must_use]
    pub fn of(status: &Status) -> &'static [Self] {
        causes_of(status)
    }
}

macro_rules! causes {
    ($($constant:ident = $name:literal, $responsible:ident, $text:literal, $action:literal;)*) => {
        $(const $constant: Cause = Cause {
            name: $name,
            text: $text,
            action: $action,
            responsible: Responsible::$responsible,
        };)*
    };
}

causes! {
    CONNECTOR_MISSING = "connector_missing", Operator,
        "The service has no connector for the provider.",
        "Add the connector to the hub, and restart.";
    REGISTRATION_MISSING = "registration_missing", Operator,
        "The service has no registration for the connection.",
        "Configure the client id and the secret of the registration.";
    REGISTRATION_REFUSED = "registration_refused", Operator,
        "The provider refuses the service's registration.",
        "Check the client id and the secret. The hub then continues without further action.";
    MANY_REFUSED = "many_grants_refused", Operator,
        "The provider refuses unusually many grants, and the hub marks none of them as ended.",
        "Check the provider's status. If the grants have really ended, call confirm_dead_grants.";
    PROVIDER_FAILING = "provider_failing", Provider,
        "The provider answers with an error of its own.",
        "Wait: the hub retries. If it lasts, ask the provider, and name the request id.";
    RATE_LIMITED = "rate_limited", Nobody,
        "The provider limits the number of requests.",
        "Wait: the hub retries after the limit.";
    NETWORK = "network", Operator,
        "No response of the provider arrived.",
        "Check the network between the service and the provider. The hub retries.";
    UNKNOWN_REFUSAL = "refusal_unknown", Operator,
        "The provider refuses the refresh with a response of unknown meaning.",
        "Look the error code up in the provider's documentation, and add it to the description.";
    RESPONSE_LOST = "refresh_unresolved", Nobody,
        "A refresh was sent, and its outcome is not known yet.",
        "Wait: the hub resolves it when the provider can no longer be working on the request.";
    TOKEN_REFUSED = "token_refused", Nobody,
        "The provider refuses an access token that should be valid.",
        "Wait: the hub refreshes it. Then check the connection.";
    SCOPES_REDUCED = "scopes_reduced", Owner,
        "The owner granted fewer permissions than requested.",
        "Connect the account again, and leave all permissions selected.";
    ACCOUNT_UNVERIFIED = "account_unverified", Nobody,
        "The account of the new credential is not identified yet.",
        "Wait: the hub retries.";
    IDENTITY_REFUSED = "identity_refused", Operator,
        "The app may not read the account at the provider.",
        "Check the permissions of the app at the provider.";
    OWNER_REVOKED = "owner_revoked", Owner,
        "The owner or an administrator of the account removed the permission.",
        "Connect the account again.";
    PASSWORD_CHANGED = "owner_changed", Owner,
        "The user who connected the account lost access, or changed the password.",
        "Connect the account again, as a user who has access.";
    REFRESH_TOKEN_EXPIRED = "refresh_token_expired", Owner,
        "The refresh token expired before it was used.",
        "Connect the account again.";
    WORKER_STOPPED = "worker_stopped", Operator,
        "No worker ran while the credential was due for its refresh.",
        "Run a worker in at least one process.";
    REFRESH_LOST = "refresh_lost", Owner,
        "The response to a refresh was lost, and the provider accepts each refresh token once.",
        "Connect the account again. If it happens often, check the network to the provider.";
    USED_ELSEWHERE = "used_elsewhere", Operator,
        "Another program uses the same refresh token.",
        "Stop the other program: at this provider, two refreshing programs end the grant.";
    NOT_INSTALLED = "app_not_installed", Owner,
        "The app is no longer installed in the account.",
        "Install the app again.";
    NEW_TOKENS_REFUSED = "new_tokens_refused", Owner,
        "The provider refuses even new tokens of this grant.",
        "Connect the account again. For a secret address, create a new one at the provider.";
    OLD_TOKEN_KIND = "non_expiring_token", Owner,
        "The provider no longer accepts tokens that do not expire.",
        "Connect the account again.";
    NOT_REFRESHABLE = "not_refreshable", Owner,
        "The credential expired and cannot be refreshed.",
        "Connect the account again, or supply a new credential.";
    SCOPES_MISSING = "scopes_missing", Owner,
        "Permissions that the service needs are no longer granted.",
        "Connect the account again, and leave all permissions selected.";
    OTHER_ACCOUNT = "account_mismatch", Owner,
        "The credential belongs to another account.",
        "Connect again, and select the right account at the provider.";
    DISCONNECTED = "disconnected", Nobody,
        "The connection was disconnected.",
        "Connect the account again, if it is still needed.";
    CHECK_FAILED = "check_failed", Operator,
        "The last test of the connection failed.",
        "Check the connection again, and look at its result.";
    EXPIRES_SOON = "refresh_token_expires_soon", Owner,
        "The refresh token expires within a week.",
        "Connect the account again before it does.";
    SCOPES_NOT_GRANTED = "scopes_not_granted", Owner,
        "Some requested permissions are not granted.",
        "Connect the account again, if the features that need them are used.";
    NEWER_STATUS = "unknown", Operator,
        "A newer version of the service set a status that this version does not know.",
        "Update this process.";
}

/// Returns the causes of a status, most probable first.
fn causes_of(status: &Status) -> &'static [Cause] {
    match status {
        Status::Connected => &[],
        Status::Disconnected => &[DISCONNECTED],
        Status::AppMisconfigured => &[REGISTRATION_REFUSED],
        Status::Degraded(reason) => match reason {
            DegradedReason::RefreshFailing => &[NETWORK, PROVIDER_FAILING],
            DegradedReason::RefreshUnresolved => &[RESPONSE_LOST],
            DegradedReason::Unauthorized => &[TOKEN_REFUSED],
            DegradedReason::ScopesReduced => &[SCOPES_REDUCED],
            DegradedReason::RefreshRefused => &[UNKNOWN_REFUSAL],
            DegradedReason::AccountUnverified => &[ACCOUNT_UNVERIFIED, IDENTITY_REFUSED],
            _ => &[NEWER_STATUS],
        },
        Status::NeedsReauthorization(reason) => match reason {
            ReauthorizationReason::GrantRevoked => {
                &[OWNER_REVOKED, PASSWORD_CHANGED, USED_ELSEWHERE]
            }
            ReauthorizationReason::RefreshTokenExpired => &[REFRESH_TOKEN_EXPIRED, WORKER_STOPPED],
            ReauthorizationReason::LostInFlight => &[REFRESH_LOST, USED_ELSEWHERE],
            ReauthorizationReason::AppNotInstalled => &[NOT_INSTALLED],
            ReauthorizationReason::Rejected => &[NEW_TOKENS_REFUSED],
            ReauthorizationReason::NonExpiringToken => &[OLD_TOKEN_KIND],
            ReauthorizationReason::NotRefreshable => &[NOT_REFRESHABLE],
            ReauthorizationReason::ScopesMissing => &[SCOPES_MISSING],
            ReauthorizationReason::AccountMismatch => &[OTHER_ACCOUNT],
            _ => &[NEWER_STATUS],
        },
        _ => &[NEWER_STATUS],
    }
}

impl Hub {
    /// Explains the status of a connection: the last successful refresh, the events and the failed
    /// request after it, and the probable causes with what to do. Sends no request to the provider.
    ///
    /// The state of the registration is known only for requests of this process.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`](connector_core::ErrorKind::NotFound) if the connection does not
    ///   exist.
    /// * [`ErrorKind::StoreUnavailable`](connector_core::ErrorKind::StoreUnavailable): retry the
    ///   call.
    pub async fn explain(&self, key: &ConnectionKey) -> Result<Explanation> {
        let details = self.details(key).await?;
        let last_refresh_at = details.connection.refreshed_at;
        let events = self.events_since(key, last_refresh_at).await?;
        let failed_request = events.iter().rev().find_map(failed_request);
        let causes = self.causes(&details, failed_request.as_ref()).await?;
        Ok(Explanation {
            last_refresh_at,
            connection: details.connection,
            events,
            failed_request,
            causes,
        })
    }

    /// Returns the entries after the last successful connect or refresh, which was at `since`.
    async fn events_since(
        &self,
        key: &ConnectionKey,
        since: Timestamp,
    ) -> Result<Vec<AuditRecord>> {
        let mut filter = AuditFilter::default();
        filter.tenant = Some(key.tenant.clone());
        filter.connection = Some(key.id);
        filter.since = Some(since);
        let (mut events, mut after) = (VecDeque::new(), None);
        for _ in 0..PAGES {
            let store = &self.inner.store;
            let page = store.audit(&filter, after.as_ref(), PAGE).await?;
            for record in page.items {
                let is_success = matches!(
                    record.entry.event,
                    Event::Connected { .. } | Event::Reconnected { .. } | Event::Refreshed { .. }
                );
                if is_success {
                    events.clear();
                    continue;
                }
                if events.len() == SHOWN {
                    events.pop_front();
                }
                events.push_back(record);
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(events.into())
    }

    async fn causes(
        &self,
        details: &ConnectionDetails,
        failed: Option<&FailedRequest>,
    ) -> Result<Vec<Cause>> {
        let inner = &self.inner;
        let connection = &details.connection;
        let (provider, app) = (&connection.provider, &connection.app);
        let mut causes = Vec::new();
        let is_live = connection.is_live();
        // Causes of the service come first: the owner can do nothing about them.
        if is_live {
            if inner.connector(provider).is_err() {
                causes.push(CONNECTOR_MISSING);
            } else {
                match inner.app(provider, &connection.key.tenant, app).await {
                    Ok(_) => {}
                    Err(error) if error.retry() == connector_core::Retry::Never => {
                        causes.push(REGISTRATION_MISSING);
                    }
                    Err(error) => return Err(error),
                }
            }
            let (is_refused, is_braked) = inner.breakers.state(provider, app);
            if is_refused {
                causes.push(REGISTRATION_REFUSED);
            }
            if is_braked {
                causes.push(MANY_REFUSED);
            }
        }
        causes.extend(ranked(&connection.status, failed));
        if connection.status == Status::Connected
            && connection
                .check
                .as_ref()
                .is_some_and(|it| it.error.is_some())
        {
            causes.push(CHECK_FAILED);
        }
        if is_live && details.refresh_expires_in.is_some_and(|left| left < SOON) {
            causes.push(EXPIRES_SOON);
        }
        if is_live && !details.missing.is_empty() {
            causes.push(SCOPES_NOT_GRANTED);
        }
        let mut names = std::collections::BTreeSet::new();
        causes.retain(|cause| names.insert(cause.name));
        Ok(causes)
    }
}

/// Returns the causes of a status, most probable first. If refreshes fail, the last failed refresh is
/// evidence for one of the causes.
fn ranked(status: &Status, failed: Option<&FailedRequest>) -> Vec<Cause> {
    let causes = causes_of(status).iter().copied();
    let fails = matches!(status, Status::Degraded(DegradedReason::RefreshFailing));
    let failed = failed.filter(|it| fails && it.operation == REFRESH);
    let Some(failed) = failed else {
        return causes.collect();
    };
    let evidence = match failed.status {
        Some(429) => Some(RATE_LIMITED),
        Some(500..) => Some(PROVIDER_FAILING),
        Some(_) => Some(UNKNOWN_REFUSAL),
        None => Some(NETWORK),
    };
    // A response arrived, so the network works.
    let causes = causes.filter(|it| failed.status.is_none() || *it != NETWORK);
    let others = causes.filter(|it| Some(*it) != evidence);
    evidence.into_iter().chain(others).collect()
}

fn failed_request(record: &AuditRecord) -> Option<FailedRequest> {
    let (operation, failure, status, code, request_id) = match &record.entry.event {
        Event::RefreshFailed {
            failure,
            status,
            code,
            request_id,
        } => (REFRESH, failure, *status, code.clone(), request_id),
        Event::ApiCall {
            operation,
            failure: Some(failure),
            status,
            request_id,
            ..
        } => (operation.as_str(), failure, *status, None, request_id),
        _ => return None,
    };
    Some(FailedRequest {
        at: record.at,
        operation: operation.to_owned(),
        failure: failure.clone(),
        status,
        code,
        request_id: request_id.clone(),
    })
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "tests print their counts")]
mod tests {
    use super::*;

    #[test]
    fn only_a_failed_refresh_is_evidence_for_failing_refreshes() {
        let failed = |operation: &str, status| FailedRequest {
            at: Timestamp::from_unix_seconds(0),
            operation: operation.to_owned(),
            failure: "network".to_owned(),
            status,
            code: None,
            request_id: None,
        };
        let degraded = Status::Degraded;
        let refresh = |status| Some(failed(REFRESH, status));
        let table = [
            (
                DegradedReason::RefreshFailing,
                None,
                vec![NETWORK, PROVIDER_FAILING],
            ),
            (
                DegradedReason::RefreshFailing,
                refresh(None),
                vec![NETWORK, PROVIDER_FAILING],
            ),
            (
                DegradedReason::RefreshFailing,
                refresh(Some(503)),
                vec![PROVIDER_FAILING],
            ),
            (
                DegradedReason::RefreshFailing,
                refresh(Some(429)),
                vec![RATE_LIMITED, PROVIDER_FAILING],
            ),
            (
                DegradedReason::RefreshFailing,
                refresh(Some(403)),
                vec![UNKNOWN_REFUSAL, PROVIDER_FAILING],
            ),
            (
                DegradedReason::RefreshFailing,
                Some(failed("ListOrders", Some(429))),
                vec![NETWORK, PROVIDER_FAILING],
            ),
            (
                DegradedReason::ScopesReduced,
                refresh(Some(503)),
                vec![SCOPES_REDUCED],
            ),
            (
                DegradedReason::RefreshUnresolved,
                refresh(None),
                vec![RESPONSE_LOST],
            ),
        ];
        for (reason, failed, causes) in &table {
            let ranked = ranked(&degraded(*reason), failed.as_ref());
            assert_eq!(ranked, *causes, "{reason:?} {failed:?}");
        }
        println!("pairs of status and evidence: {}", table.len());
    }

    #[test]
    fn every_reason_has_a_cause_and_an_action() {
        let degraded = DegradedReason::ALL.iter().copied().map(Status::Degraded);
        let ended = ReauthorizationReason::ALL.iter().copied();
        let ended = ended.map(Status::NeedsReauthorization);
        let others = [Status::AppMisconfigured, Status::Disconnected];
        let mut explained = 0;
        for status in degraded.chain(ended).chain(others) {
            let causes = causes_of(&status);
            assert!(!causes.is_empty(), "{status} has no cause");
            for cause in causes {
                assert_ne!(*cause, NEWER_STATUS, "{status} is not explained");
                assert!(!cause.action.is_empty() && !cause.text.is_empty());
            }
            explained += 1;
        }
        println!("statuses explained: {explained}");
        assert!(explained > 15);
    }
}
