//! Events of a connection, for the audit log and for event handlers.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, TenantId};
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::connection::{ConnectionId, ConnectionKey, Generation, Status};
use crate::context::RequestContext;
use crate::provider::description::RevocationReach;
use crate::provider::subscription::Watch;
use crate::provider_id::ProviderId;

/// An event of a connection, from its creation to its end. Stored as JSON. A version that does not
/// know an event kind reads it as [`Event::Other`], which keeps all fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// An account was connected for the first time.
    Connected {
        /// The connected account.
        account: AccountKey,
    },
    /// The owner authorized an existing connection again.
    Reconnected {
        /// The reconnected account.
        account: AccountKey,
    },
    /// A connect flow ended without a connection.
    ConnectFailed {
        /// The stable name of the reason.
        reason: String,
        /// The provider's error code, if it sent one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
    },
    /// The account's owner denied consent.
    ConsentDenied,
    /// The credential was refreshed.
    Refreshed {
        /// The new generation.
        generation: Generation,
    },
    /// A refresh failed, and the connection's status changed because of it. Repeated failures
    /// without a change of the status are not recorded.
    RefreshFailed {
        /// The stable name of the error kind.
        failure: String,
        /// HTTP status of the provider's response; `None` if no response arrived.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The provider's error code, if it sent one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        code: Option<String>,
        /// The provider's request id, if the response contained one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// The application gave the access token to another program.
    TokenIssued,
    /// A refresh returned a token pair after its connection had changed. The pair is stored in
    /// addition to the current credential.
    SuccessorKept {
        /// The generation whose refresh token was used.
        base: Generation,
    },
    /// The connection's status changed.
    StatusChanged {
        /// The previous status.
        from: Status,
        /// The new status.
        to: Status,
    },
    /// The refresh token expires soon. Ask the owner to authorize again before it does.
    RefreshExpiring {
        /// Expiry of the refresh token.
        at: Timestamp,
    },
    /// The connection was disconnected.
    Disconnected {
        /// True if the connection's record was removed as well.
        forgotten: bool,
    },
    /// The provider confirmed a revocation.
    Revoked {
        /// The extent of the revocation.
        #[serde(default)]
        reach: RevocationReach,
    },
    /// A requested revocation was not sent to the provider.
    RevocationSkipped {
        /// The stable name of the reason: `shared` if the revocation would have ended another
        /// active connection, `unsupported` if the provider offers no revocation.
        reason: String,
    },
    /// An operator confirmed that the grant no longer works. The hub asks for confirmation when
    /// many grants are rejected at the same time.
    DeadGrantConfirmed,
    /// An operator requested that a delivery be handled again.
    DeliveryReplayed {
        /// The webhook endpoint that received the delivery.
        endpoint: String,
        /// The delivery's id at that endpoint.
        id: String,
    },
    /// The application subscribed to changes of a resource.
    Subscribed {
        /// The watched resource.
        watch: Watch,
    },
    /// The application ended a subscription.
    Unsubscribed {
        /// The watched resource.
        watch: Watch,
    },
    /// Some changes are missing, because the provider deleted them before they were read. Read the
    /// whole resource again.
    ChangesMissed {
        /// The watched resource.
        watch: Watch,
    },
    /// Changes were found several times by reading them, and no notification arrived in between.
    /// Check that the provider can reach the notification URL. Until a notification arrives, the
    /// worker reads the changes more often.
    NotificationsMissing {
        /// The watched resource.
        watch: Watch,
    },
    /// A notification arrived again, after [`Event::NotificationsMissing`].
    NotificationsResumed {
        /// The watched resource.
        watch: Watch,
    },
    /// A notification channel could not be deleted at the provider. The channel stays at the
    /// provider until the channel expires.
    ChannelLeft {
        /// The watched resource.
        watch: Watch,
        /// The stable name of the last error.
        reason: String,
    },
    /// An endpoint for outbound webhooks was added.
    EndpointAdded {
        /// The endpoint's id.
        endpoint: String,
        /// The endpoint's label, for example its host.
        label: String,
    },
    /// An endpoint's settings changed, or deliveries to it were replayed.
    EndpointChanged {
        /// The endpoint's id.
        endpoint: String,
        /// The stable name of the change: `updated`, `secret_rotated`, `enabled` or `replayed`.
        change: String,
    },
    /// Several attempts in a row to send messages to an endpoint failed. The hub continues to send.
    EndpointFailing {
        /// The endpoint's id.
        endpoint: String,
        /// The endpoint's label.
        label: String,
    },
    /// An endpoint was disabled. Later messages are kept as skipped, except at a gone endpoint.
    EndpointDisabled {
        /// The endpoint's id.
        endpoint: String,
        /// The endpoint's label.
        label: String,
        /// The stable name of the reason: `failed` after days of failures, `gone` after a response
        /// with status 410, `disabled` by its owner or an operator.
        reason: String,
    },
    /// An endpoint was removed, with its deliveries.
    EndpointRemoved {
        /// The endpoint's id.
        endpoint: String,
        /// The endpoint's label.
        label: String,
        /// The stable name of the reason: `removed` by the application, `unsubscribed` by the
        /// receiver, or `gone` for an old endpoint that responded with 410.
        reason: String,
    },
    /// A request was sent to the provider's API. Recorded only on request.
    ApiCall {
        /// The operation, for example `ListRecords`.
        operation: String,
        /// HTTP status of the response; `None` if no response arrived.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The stable name of the error kind; `None` if the request succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        /// The provider's request id, if the response contained one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// True if the caller dropped the call before the response arrived.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        abandoned: bool,
    },
    /// An event of an unknown kind, written by a newer version.
    #[serde(untagged)]
    Other(serde_json::Map<String, serde_json::Value>),
}

/// The category of an audit entry. You can filter by class, and each class has its own retention
/// time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditClass {
    /// Connections are created, change their status or end. Endpoints fail or are disabled.
    Connection,
    /// Credentials change.
    Credential,
    /// Operator actions: key rotation, replay of deliveries, confirmation of grants that no longer
    /// work. Settings of endpoints.
    Administration,
    /// A call to a provider's API. Recorded only on request.
    ApiCall,
}

impl AuditClass {
    /// Returns the stable name of the class.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Credential => "credential",
            Self::Administration => "administration",
            Self::ApiCall => "api_call",
        }
    }

    /// Parses a stable name. Returns `None` if this version does not know the class.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [
            Self::Connection,
            Self::Credential,
            Self::Administration,
            Self::ApiCall,
        ]
        .into_iter()
        .find(|class| class.as_str() == text)
    }
}

/// An audit log entry before the store assigns its number and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// The category of the entry.
    pub class: AuditClass,
    /// The tenant that the entry belongs to.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration.
    pub app: AppKey,
    /// The connection; `None` if no connection exists yet.
    pub connection: Option<ConnectionId>,
    /// The actor and the correlation id of the request that caused the event.
    pub context: RequestContext,
    /// The event to record.
    pub event: Event,
    /// True if event handlers receive this entry. The entry stays pending until a handler succeeds.
    pub notify: bool,
}

impl AuditEntry {
    /// Returns the connection's key; `None` if no connection exists yet.
    #[must_use]
    pub fn key(&self) -> Option<ConnectionKey> {
        self.connection
            .map(|id| ConnectionKey::new(self.tenant.clone(), id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_of_a_newer_version_round_trips() {
        let json = r#"{"event":"teleported","to":"mars"}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert!(matches!(event, Event::Other(_)));
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
    }

    #[test]
    fn every_event_round_trips() {
        let events = [
            Event::Connected {
                account: AccountKey::new("a").unwrap(),
            },
            Event::ConsentDenied,
            Event::StatusChanged {
                from: Status::Connected,
                to: Status::Disconnected,
            },
            Event::Disconnected { forgotten: true },
            Event::NotificationsMissing {
                watch: Watch::new("orders").unwrap(),
            },
            Event::NotificationsResumed {
                watch: Watch::new("orders").unwrap(),
            },
            Event::ChannelLeft {
                watch: Watch::new("orders").unwrap(),
                reason: "timeout".to_owned(),
            },
        ];
        for event in events {
            let json = serde_json::to_string(&event).unwrap();
            assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
        }
    }
}
