//! Creation of audit entries. All audit entries are created in this module.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};

use connector_core::api::{CallLog, CallRecord};
use connector_core::store::{ConnectionRecord, DeliveryKey, Revocation};
use connector_core::{
    AppKey, AuditClass, AuditEntry, ConnectionId, Event, ProviderId, RequestContext, Status,
    TenantId,
};

use crate::hub::Inner;
use crate::telemetry;

/// The subject of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) provider: &'a ProviderId,
    pub(crate) app: &'a AppKey,
    /// The connection, if one exists yet.
    pub(crate) connection: Option<ConnectionId>,
}

impl<'a> Target<'a> {
    /// Returns the target for a delivery that the hub accepted for a tenant.
    pub(crate) const fn delivery(tenant: &'a TenantId, key: &'a DeliveryKey) -> Self {
        Self {
            tenant,
            provider: &key.provider,
            app: &key.app,
            connection: None,
        }
    }

    /// Returns the target for an endpoint of a tenant.
    pub(crate) const fn endpoint(
        tenant: &'a TenantId,
        provider: &'a ProviderId,
        app: &'a AppKey,
    ) -> Self {
        Self {
            tenant,
            provider,
            app,
            connection: None,
        }
    }
}

impl<'a> From<&'a ConnectionRecord> for Target<'a> {
    fn from(connection: &'a ConnectionRecord) -> Self {
        Self {
            tenant: &connection.key.tenant,
            provider: &connection.provider,
            app: &connection.app,
            connection: Some(connection.key.id),
        }
    }
}

impl<'a> From<&'a Revocation> for Target<'a> {
    fn from(revocation: &'a Revocation) -> Self {
        Self {
            tenant: &revocation.key.tenant,
            provider: &revocation.provider,
            app: &revocation.app,
            connection: Some(revocation.key.id),
        }
    }
}

/// Returns the audit entry for an event. The event determines the class of the entry, and whether
/// change handlers receive the entry.
pub(crate) fn entry<'a>(
    target: impl Into<Target<'a>>,
    context: &RequestContext,
    event: Event,
) -> AuditEntry {
    let target = target.into();
    let (class, notify) = match event {
        Event::Refreshed { .. }
        | Event::RefreshFailed { .. }
        | Event::SuccessorKept { .. }
        | Event::TokenIssued => (AuditClass::Credential, false),
        Event::Subscribed { .. } | Event::Unsubscribed { .. } => (AuditClass::Connection, false),
        Event::ApiCall { .. } => (AuditClass::ApiCall, false),
        Event::DeadGrantConfirmed
        | Event::DeliveryReplayed { .. }
        | Event::EndpointAdded { .. }
        | Event::EndpointChanged { .. }
        | Event::EndpointRemoved { .. } => (AuditClass::Administration, false),
        _ => (AuditClass::Connection, true),
    };
    AuditEntry {
        class,
        tenant: target.tenant.clone(),
        provider: target.provider.clone(),
        app: target.app.clone(),
        connection: target.connection,
        context: context.clone(),
        event,
        notify,
    }
}

/// Returns the entry for a change of a connection's status to `to`. Returns `None` if the
/// connection already has the status `to`.
pub(crate) fn status_changed(
    connection: &ConnectionRecord,
    to: &Status,
    context: &RequestContext,
) -> Option<AuditEntry> {
    let from = &connection.status;
    (from != to).then(|| {
        let event = Event::StatusChanged {
            from: from.clone(),
            to: to.clone(),
        };
        entry(connection, context, event)
    })
}

/// Determines which requests to provider APIs are recorded in the audit log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum CallAudit {
    /// Records no calls.
    #[default]
    Off,
    /// Records failed and abandoned calls.
    Failures,
    /// Records all calls. Each call costs one store write before the caller gets the result.
    All,
}

/// Writes the API calls of one connection, or of the app itself, to the audit log.
struct StoredCalls {
    /// A weak reference, because sessions can outlive the hub.
    inner: Weak<Inner>,
    tenant: TenantId,
    provider: ProviderId,
    app: AppKey,
    connection: Option<ConnectionId>,
}

impl CallLog for StoredCalls {
    fn record(&self, record: CallRecord) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        let Some(inner) = self.inner.upgrade() else {
            return Box::pin(std::future::ready(()));
        };
        let succeeded = record.failure.is_none() && !record.is_abandoned;
        let result = match (record.failure, record.is_abandoned) {
            (Some(kind), _) => kind.as_str(),
            (None, true) => "abandoned",
            (None, false) => "ok",
        };
        telemetry::count(telemetry::API_REQUESTS, &[self.provider.as_str(), result]);
        let is_recorded = match inner.call_audit {
            CallAudit::Off => false,
            CallAudit::Failures => !succeeded,
            CallAudit::All => true,
        };
        if !is_recorded {
            return Box::pin(std::future::ready(()));
        }
        let target = Target {
            tenant: &self.tenant,
            provider: &self.provider,
            app: &self.app,
            connection: self.connection,
        };
        let event = Event::ApiCall {
            operation: record.operation.to_owned(),
            status: record.status.map(|status| status.as_u16()),
            failure: record.failure.map(|kind| kind.as_str().to_owned()),
            request_id: record.request_id,
            abandoned: record.is_abandoned,
        };
        let entry = entry(target, &record.context, event);
        // A shutdown also waits for the audit entry of an abandoned call.
        let enlisted = inner.flights.enlist();
        Box::pin(async move {
            if let Err(error) = inner.store.append(entry).await {
                tracing::error!(
                    operation = "audit.api_call",
                    call = record.operation,
                    error = %error,
                    "a request to a provider's API could not be recorded in the audit log"
                );
            }
            drop(enlisted);
        })
    }
}

impl Inner {
    /// Returns the call log for `target`. Returns `None` if the application records no calls.
    pub(crate) fn call_log<'a>(
        self: &Arc<Self>,
        target: impl Into<Target<'a>>,
    ) -> Option<Arc<dyn CallLog>> {
        // With metrics, all calls are counted.
        if self.call_audit == CallAudit::Off && cfg!(not(feature = "metrics")) {
            return None;
        }
        let target = target.into();
        Some(Arc::new(StoredCalls {
            inner: Arc::downgrade(self),
            tenant: target.tenant.clone(),
            provider: target.provider.clone(),
            app: target.app.clone(),
            connection: target.connection,
        }))
    }
}
