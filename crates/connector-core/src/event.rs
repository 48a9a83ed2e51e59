//! What happened to a connection, for audit, for handlers, for people.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKey, TenantId};
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::connection::{ConnectionId, ConnectionKey, Generation, Status};
use crate::context::RequestContext;
use crate::provider::description::RevocationReach;
use crate::provider::subscription::Watch;
use crate::provider_id::ProviderId;

/// Something that happened. Stored as JSON; a reader that does not know a kind gets
/// [`Event::Other`] and loses nothing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// An account was connected for the first time.
    Connected {
        /// The account.
        account: AccountKey,
    },
    /// A known connection was authorized anew.
    Reconnected {
        /// The account.
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
    /// The account's owner said no.
    ConsentDenied,
    /// The credential was refreshed.
    Refreshed {
        /// The new generation.
        generation: Generation,
    },
    /// A pair arrived after its connection had moved on; it is kept beside the current one.
    SuccessorKept {
        /// The generation that the exchange had spent.
        base: Generation,
    },
    /// The connection's state changed.
    StatusChanged {
        /// The state before.
        from: Status,
        /// The state after.
        to: Status,
    },
    /// The refresh token will run out; the owner should be asked before.
    RefreshExpiring {
        /// When it runs out.
        at: Timestamp,
    },
    /// The connection was ended.
    Disconnected {
        /// True when its record was removed as well.
        forgotten: bool,
    },
    /// The provider confirmed a revocation.
    Revoked {
        /// The extent of the revocation.
        #[serde(default)]
        reach: RevocationReach,
    },
    /// A grant that was to be revoked at the provider was left alone.
    RevocationSkipped {
        /// The stable name of the reason: `shared` if that would have ended a living connection,
        /// `unsupported` if the provider offers no revocation.
        reason: String,
    },
    /// Somebody confirmed that this grant, refused in a wave with others, may count as dead.
    DeadGrantConfirmed,
    /// Somebody asked that a delivery be handled again.
    DeliveryReplayed {
        /// The endpoint it came to.
        endpoint: String,
        /// Its id there.
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
    /// The provider no longer had all changes since they were last read: read the resource as a
    /// whole.
    ChangesMissed {
        /// The watched resource.
        watch: Watch,
    },
    /// A notification channel could not be ended at the provider. It ends there when it expires.
    ChannelLeft {
        /// The watched resource.
        watch: Watch,
        /// The stable name of the last error.
        reason: String,
    },
    /// A request was sent to the provider's API. Recorded only on request.
    ApiCall {
        /// The operation, for example `ListRecords`.
        operation: String,
        /// The status of the response, if there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        status: Option<u16>,
        /// The stable name of the failure's kind; `None` if the request succeeded.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failure: Option<String>,
        /// The provider's own id of the request, if it sent one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
        /// True if the caller went away while the request was under way.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        abandoned: bool,
    },
    /// A kind of event that a newer version wrote.
    #[serde(untagged)]
    Other(serde_json::Map<String, serde_json::Value>),
}

/// What an audit entry is about, for filters and for how long entries are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum AuditClass {
    /// Connections come, change their state and go.
    Connection,
    /// Credentials change.
    Credential,
    /// Somebody operated the library: key rotation, replay, confirmation of a brake.
    Administration,
    /// A call to a provider's API. Recorded only on request.
    ApiCall,
}

impl AuditClass {
    /// The stable name of the class.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Connection => "connection",
            Self::Credential => "credential",
            Self::Administration => "administration",
            Self::ApiCall => "api_call",
        }
    }

    /// Reads a stable name; `None` if this version does not know it.
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

/// One line of the audit log, before the store gives it its number and time.
#[derive(Debug, Clone, PartialEq)]
pub struct AuditEntry {
    /// What it is about.
    pub class: AuditClass,
    /// The tenant it belongs to.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The registration.
    pub app: AppKey,
    /// The connection, once there is one.
    pub connection: Option<ConnectionId>,
    /// Who caused it, and in the course of what.
    pub context: RequestContext,
    /// What happened.
    pub event: Event,
    /// True when handlers are told about it: the entry stays due until one has handled it.
    pub notify: bool,
}

impl AuditEntry {
    /// The connection's key, once there is one.
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
    fn an_event_of_a_newer_version_survives_reading_and_writing() {
        let json = r#"{"event":"teleported","to":"mars"}"#;
        let event: Event = serde_json::from_str(json).unwrap();
        assert!(matches!(event, Event::Other(_)));
        assert_eq!(serde_json::to_string(&event).unwrap(), json);
    }

    #[test]
    fn every_event_reads_what_it_writes() {
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
