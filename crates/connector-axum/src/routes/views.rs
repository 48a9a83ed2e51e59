//! Requests and responses.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::store::AuditRecord;
use connector_core::{Actor, Connection};
use connector_hub::{ConnectionDetails, Explanation};
use secrecy::SecretString;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

/// A connector.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Connector {
    /// The provider's id.
    pub(crate) provider: String,
    /// The provider's name, for people.
    pub(crate) name: String,
    /// True if accounts are connected with a connect flow. Otherwise they are adopted.
    pub(crate) connects: bool,
    /// True if the connect flow needs the account's host, for example a shop's address.
    pub(crate) needs_account: bool,
    /// True if the provider sends webhooks.
    pub(crate) has_webhooks: bool,
    /// The scopes that a connect flow requests by default.
    pub(crate) scopes: Vec<String>,
    /// The steps of the account's owner.
    pub(crate) steps: Vec<String>,
}

/// The connectors of the service.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectorList {
    /// The connectors, ordered by provider id.
    pub(crate) connectors: Vec<Connector>,
}

/// A CSRF token.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CsrfToken {
    /// The value of the form's field `csrf`.
    pub(crate) token: String,
    /// Validity in seconds.
    pub(crate) expires_in_seconds: u64,
}

/// The arguments of a connect flow.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BeginRequest {
    /// The account to connect, as its owner entered it. Needed for connectors with `needs_account`.
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// The return address: a configured name, or an allowed address.
    #[serde(default)]
    pub(crate) return_to: Option<String>,
    /// The id of the connection to authorize again.
    #[serde(default)]
    pub(crate) reconnect: Option<String>,
    /// The scopes to request, separated by spaces. Default: the registration's scopes.
    #[serde(default)]
    pub(crate) scopes: Option<String>,
    /// The name of the registration. Default: `default`.
    #[serde(default)]
    pub(crate) app: Option<String>,
}

/// A started connect flow.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct BegunConnect {
    /// The address to which the browser goes. Do not log it.
    pub(crate) authorization_url: String,
    /// Time for the account's owner, in seconds.
    pub(crate) expires_in_seconds: u64,
    /// The steps of the account's owner.
    pub(crate) steps: Vec<String>,
}

/// A link that starts a connect flow for one user.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectTicket {
    /// The link.
    pub(crate) url: String,
    /// Validity in seconds.
    pub(crate) expires_in_seconds: u64,
}

/// A credential that another program obtained.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AdoptRequest {
    /// The kind of the credential.
    pub(crate) kind: AdoptKind,
    /// The access token, the API key or the secret address. Not needed if the credential has a
    /// refresh token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) secret: Option<SecretString>,
    /// The refresh token.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(crate) refresh_token: Option<SecretString>,
    /// The account's host, for connectors with `needs_account`.
    #[serde(default)]
    pub(crate) account: Option<String>,
    /// The client id that obtained the credential.
    #[serde(default)]
    pub(crate) client_id: Option<String>,
    /// The granted scopes, if they are known.
    #[serde(default)]
    pub(crate) scopes: Option<Vec<String>>,
    /// Time until the access token expires, in seconds.
    #[serde(default)]
    pub(crate) expires_in_seconds: Option<u32>,
    /// The origin of the provider's API. Default: the first origin in the connector's description.
    #[serde(default)]
    pub(crate) origin: Option<String>,
    /// The id of the connection whose credential is replaced.
    #[serde(default)]
    pub(crate) reconnect: Option<String>,
    /// The name of the registration. Default: `default`.
    #[serde(default)]
    pub(crate) app: Option<String>,
}

/// The kind of an adopted credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum AdoptKind {
    /// An OAuth token.
    Oauth,
    /// An API key.
    ApiKey,
    /// A secret address.
    SecretUrl,
}

/// A connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Connection)]
pub(crate) struct ConnectionView {
    /// The id.
    pub(crate) id: String,
    /// The provider's id.
    pub(crate) provider: String,
    /// The name of the registration.
    pub(crate) app: String,
    /// The account.
    pub(crate) account: AccountView,
    /// The status: `connected`, `degraded`, `needs_reauthorization`, `app_misconfigured` or
    /// `disconnected`. Later versions can add values.
    pub(crate) status: &'static str,
    /// The stable name of the status's reason.
    pub(crate) reason: Option<&'static str>,
    /// The time of the last change of the status.
    #[schema(format = "date-time")]
    pub(crate) status_since: String,
    /// Number of consecutive refresh failures.
    pub(crate) failures: u32,
    /// The last test on demand.
    pub(crate) check: Option<CheckView>,
    /// The time when the account was connected.
    #[schema(format = "date-time")]
    pub(crate) created_at: String,
    /// The time of the last change of the record.
    #[schema(format = "date-time")]
    pub(crate) updated_at: String,
    /// The time of the last refresh.
    #[schema(format = "date-time")]
    pub(crate) refreshed_at: String,
}

/// The account of a connection.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Account)]
pub(crate) struct AccountView {
    /// The stable key at the provider.
    pub(crate) key: String,
    /// The name, for people.
    pub(crate) label: Option<String>,
    /// The account's own host.
    pub(crate) host: Option<String>,
}

/// A test on demand.
#[derive(Debug, Clone, Serialize, ToSchema)]
#[schema(as = Check)]
pub(crate) struct CheckView {
    /// The time of the test.
    #[schema(format = "date-time")]
    pub(crate) at: String,
    /// The stable name of the error, or null if the test succeeded.
    pub(crate) error: Option<String>,
}

impl From<&Connection> for ConnectionView {
    fn from(connection: &Connection) -> Self {
        Self {
            id: connection.key.id.to_string(),
            provider: connection.provider.as_str().to_owned(),
            app: connection.app.as_str().to_owned(),
            account: AccountView {
                key: connection.account.key.as_str().to_owned(),
                label: connection.account.label.clone(),
                host: connection.account.host.clone(),
            },
            status: connection.status.as_str(),
            reason: connection.status.reason(),
            status_since: connection.status_since.to_string(),
            failures: connection.failures,
            check: connection.check.as_ref().map(|check| CheckView {
                at: check.at.to_string(),
                error: check.error.clone(),
            }),
            created_at: connection.created_at.to_string(),
            updated_at: connection.updated_at.to_string(),
            refreshed_at: connection.refreshed_at.to_string(),
        }
    }
}

/// A page of connections.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionList {
    /// The connections.
    pub(crate) connections: Vec<ConnectionView>,
    /// The value of `after` for the next page. Null on the last page.
    pub(crate) next: Option<String>,
}

/// A connection with its scopes and expiry times.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ConnectionDetail {
    /// The connection.
    pub(crate) connection: ConnectionView,
    /// Granted scopes. Null if the provider does not report them.
    pub(crate) granted_scopes: Option<Vec<String>>,
    /// Requested scopes that are not granted.
    pub(crate) missing_scopes: Vec<String>,
    /// The planned time of the next refresh.
    #[schema(format = "date-time")]
    pub(crate) next_refresh_at: Option<String>,
    /// The time when the access token expires.
    #[schema(format = "date-time")]
    pub(crate) access_expires_at: Option<String>,
    /// The time when the refresh token expires. The owner must authorize again before.
    #[schema(format = "date-time")]
    pub(crate) refresh_expires_at: Option<String>,
}

impl ConnectionDetail {
    pub(crate) fn new(details: &ConnectionDetails, now: Timestamp) -> Self {
        let at = |left: Option<Duration>| left.map(|left| now.after(left).to_string());
        Self {
            connection: ConnectionView::from(&details.connection),
            granted_scopes: details.granted.clone(),
            missing_scopes: details.missing.clone(),
            next_refresh_at: at(details.next_refresh_in),
            access_expires_at: at(details.access_expires_in),
            refresh_expires_at: at(details.refresh_expires_in),
        }
    }

    /// Returns the text for the entity tag. The expiry times are left out: they change only with
    /// `refreshed_at`, and their last digits depend on the time of the request.
    pub(crate) fn tag(&self) -> String {
        let connection = serde_json::to_string(&self.connection).unwrap_or_default();
        format!(
            "{connection}{:?}{:?}",
            self.granted_scopes, self.missing_scopes
        )
    }
}

/// The result of a connection test.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CheckResult {
    /// True if the provider accepted the credential and returned the connection's account.
    pub(crate) works: bool,
    /// The stable name of the result: `works`, `other_account`, or the code of an error.
    pub(crate) result: String,
    /// The circumstances of a failure.
    pub(crate) detail: Option<String>,
    /// The connection after the test.
    pub(crate) connection: ConnectionView,
}

/// A page of audit entries.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryPage {
    /// The entries, oldest first.
    pub(crate) entries: Vec<HistoryEntry>,
    /// The value of `after` for the next page. Null on the last page.
    pub(crate) next: Option<String>,
}

/// An audit entry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HistoryEntry {
    /// The number. Later entries have higher numbers.
    pub(crate) number: u64,
    /// The time.
    #[schema(format = "date-time")]
    pub(crate) at: String,
    /// The actor: a user, a service, the worker or the provider.
    #[schema(value_type = Object)]
    pub(crate) actor: Actor,
    /// The id that links the entry to the log of the application.
    pub(crate) correlation: String,
    /// The event. Its member `event` has its stable name.
    #[schema(value_type = Object)]
    pub(crate) event: Value,
}

impl HistoryEntry {
    pub(crate) fn new(record: &AuditRecord) -> Self {
        Self {
            number: record.number,
            at: record.at.to_string(),
            actor: record.entry.context.actor.clone(),
            correlation: record.entry.context.correlation.as_str().to_owned(),
            event: serde_json::to_value(&record.entry.event).unwrap_or_default(),
        }
    }
}

/// An explanation of a connection's status.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct ExplanationView {
    /// The connection.
    connection: ConnectionView,
    /// The time of the last successful connect or refresh.
    #[schema(format = "date-time")]
    last_refresh_at: String,
    /// The audit entries after that time, oldest first.
    entries: Vec<HistoryEntry>,
    /// The last failed request after that time, if it was recorded.
    failed_request: Option<FailedRequestView>,
    /// The probable causes, most probable first.
    causes: Vec<CauseView>,
}

/// A request to the provider that failed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = FailedRequest)]
pub(crate) struct FailedRequestView {
    /// The time of the failure.
    #[schema(format = "date-time")]
    at: String,
    /// The operation, for example `refresh`.
    operation: String,
    /// The stable name of the error kind.
    failure: String,
    /// HTTP status of the provider's response. Null if no response arrived.
    status: Option<u16>,
    /// The provider's error code.
    code: Option<String>,
    /// The provider's request id. The provider's support team asks for it.
    request_id: Option<String>,
}

/// A probable cause of a problem.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Cause)]
pub(crate) struct CauseView {
    /// The stable name.
    name: &'static str,
    /// The cause, for people.
    text: &'static str,
    /// The action that resolves the problem.
    action: &'static str,
    /// Who takes the action: `owner`, `operator`, `provider` or `nobody`.
    responsible: &'static str,
}

impl From<&Explanation> for ExplanationView {
    fn from(explanation: &Explanation) -> Self {
        Self {
            connection: ConnectionView::from(&explanation.connection),
            last_refresh_at: explanation.last_refresh_at.to_string(),
            entries: explanation.events.iter().map(HistoryEntry::new).collect(),
            failed_request: explanation
                .failed_request
                .as_ref()
                .map(|failed| FailedRequestView {
                    at: failed.at.to_string(),
                    operation: failed.operation.clone(),
                    failure: failed.failure.clone(),
                    status: failed.status,
                    code: failed.code.clone(),
                    request_id: failed.request_id.clone(),
                }),
            causes: explanation
                .causes
                .iter()
                .map(|cause| CauseView {
                    name: cause.name,
                    text: cause.text,
                    action: cause.action,
                    responsible: cause.responsible.as_str(),
                })
                .collect(),
        }
    }
}

/// The consequences of a disconnect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StopList {
    /// The connection.
    pub(crate) connection: ConnectionView,
    /// What stops.
    pub(crate) stops: Vec<Stop>,
    /// The value of `confirmation` in the request that disconnects. It changes with the list.
    pub(crate) confirmation: String,
}

/// A consequence of a disconnect.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Stop {
    /// The stable name: `credential`, `grant`, `subscription` or `record`.
    pub(crate) kind: &'static str,
    /// The consequence, for people.
    pub(crate) text: String,
    /// True if the consequence occurs only with the mode `forget`.
    pub(crate) only_if_forgotten: bool,
}

/// The confirmation of a disconnect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DisconnectRequest {
    /// The extent of the disconnect. Default: `deactivate`.
    #[serde(default)]
    pub(crate) mode: DisconnectMode,
    /// The text from the list of consequences.
    pub(crate) confirmation: String,
    /// The address to which a form's browser is redirected: a configured name or an allowed
    /// address.
    #[serde(default)]
    pub(crate) return_to: Option<String>,
}

/// The extent of a disconnect.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum DisconnectMode {
    /// The record stays, and the same account can be connected again.
    #[default]
    Deactivate,
    /// The record is also deleted. The audit log stays.
    Forget,
}

/// The health of the process.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HealthStatus {
    /// `ok`.
    pub(crate) status: &'static str,
}

/// The health of all registrations.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AppHealthList {
    /// The registrations.
    pub(crate) apps: Vec<AppHealthView>,
    /// False if there are more connections than the hub counts.
    pub(crate) counted_all: bool,
    /// Number of connections with a token in this process's cache.
    pub(crate) cached: u64,
    /// Number of refreshes and connect flows in progress in this process.
    pub(crate) under_way: u64,
    /// Worker lag in milliseconds.
    pub(crate) late_by_ms: u64,
}

/// The health of a registration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AppHealth)]
pub(crate) struct AppHealthView {
    /// The provider's id.
    pub(crate) provider: String,
    /// The name of the registration.
    pub(crate) app: String,
    /// Number of connections by status.
    pub(crate) connections: BTreeMap<&'static str, u64>,
    /// True while the provider refuses the registration.
    pub(crate) is_refused: bool,
    /// True while unusually many grants are refused, and none is marked as ended.
    pub(crate) is_braked: bool,
}

/// A problem code.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemDescription {
    /// The stable code.
    pub(crate) code: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// The summary.
    pub(crate) title: &'static str,
    /// The action that resolves the problem.
    pub(crate) action: &'static str,
}

/// An access token.
#[derive(Serialize, ToSchema)]
#[schema(as = Token)]
pub(crate) struct IssuedToken {
    /// The access token. There is no refresh token in any response.
    pub(crate) access_token: String,
    /// The only origin that may receive the token.
    pub(crate) origin: String,
    /// The granted scopes. Empty if the provider does not report them.
    pub(crate) scopes: Vec<String>,
    /// The time when the access token expires. Null if it does not expire. Request a new token a
    /// minute before.
    #[schema(format = "date-time")]
    pub(crate) expires_at: Option<String>,
}
