//! The one way to write an audit entry.

use connector_core::store::{ConnectionRecord, DeliveryKey, Revocation};
use connector_core::{
    AppKey, AuditClass, AuditEntry, ConnectionId, Event, ProviderId, RequestContext, Status,
    TenantId,
};

/// The subject of an entry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) provider: &'a ProviderId,
    pub(crate) app: &'a AppKey,
    /// The connection, once there is one.
    pub(crate) connection: Option<ConnectionId>,
}

impl<'a> Target<'a> {
    /// A delivery that was accepted for a tenant.
    pub(crate) const fn delivery(tenant: &'a TenantId, key: &'a DeliveryKey) -> Self {
        Self {
            tenant,
            provider: &key.provider,
            app: &key.app,
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

/// The entry of an event. The event decides its class and whether change handlers see it.
pub(crate) fn entry<'a>(
    target: impl Into<Target<'a>>,
    context: &RequestContext,
    event: Event,
) -> AuditEntry {
    let target = target.into();
    let (class, notify) = match event {
        Event::Refreshed { .. } | Event::SuccessorKept { .. } => (AuditClass::Credential, false),
        Event::Subscribed { .. } | Event::Unsubscribed { .. } => (AuditClass::Connection, false),
        Event::DeadGrantConfirmed | Event::DeliveryReplayed { .. } => {
            (AuditClass::Administration, false)
        }
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

/// The entry of a connection whose state changes to `to`; `None` if it is in that state.
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
