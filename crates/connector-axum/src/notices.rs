//! Notices to the owners of connections, with a link that starts the reconnection.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::Timestamp;
use connector_core::store::AuditRecord;
use connector_core::{ConnectionId, CorrelationId, Event, ProviderId, Result, Status, TenantId};
use connector_hub::{Cause, ChangeHandler};
use secrecy::SecretString;
use url::Url;

use crate::config::checked_site;
use crate::signing::{Signer, TicketContent};

/// Default validity of a link in a notice.
const LINK_FOR: Duration = Duration::from_secs(7 * 86_400);

/// The kind of a notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NoticeKind {
    /// The connection no longer works until its owner connects it again.
    ReauthorizationNeeded,
    /// The refresh token expires soon. The connection still works.
    RefreshExpiring,
    /// A connect flow ended without a connection.
    ConnectFailed,
    /// The connection works again. Close the earlier notices of this connection.
    Resolved,
}

impl NoticeKind {
    /// Returns the stable name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReauthorizationNeeded => "reauthorization_needed",
            Self::RefreshExpiring => "refresh_expiring",
            Self::ConnectFailed => "connect_failed",
            Self::Resolved => "resolved",
        }
    }
}

/// A notice to the owner of a connection. It contains no secret except the link.
#[derive(Clone)]
#[non_exhaustive]
pub struct Notice {
    /// The number of the change. A change that is delivered again has the same number: send each
    /// number once.
    pub number: u64,
    /// The kind.
    pub kind: NoticeKind,
    /// The tenant.
    pub tenant: TenantId,
    /// The provider.
    pub provider: ProviderId,
    /// The connection. `None` for a connect flow of a new account.
    pub connection: Option<ConnectionId>,
    /// The stable name of the reason.
    pub reason: String,
    /// The probable cause, for people.
    pub text: &'static str,
    /// The action that resolves the problem, for people.
    pub action: &'static str,
    /// The link that starts the reconnection with one click. It works for every user of the tenant
    /// with the permission [`Connect`](crate::Permission::Connect), and only for this connection and
    /// its account.
    pub link: Option<Url>,
    /// The time until which the link is valid.
    pub link_until: Timestamp,
    /// The id that links the notice to the log.
    pub correlation: CorrelationId,
}

impl fmt::Debug for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notice")
            .field("number", &self.number)
            .field("kind", &self.kind)
            .field("tenant", &self.tenant)
            .field("provider", &self.provider)
            .field("connection", &self.connection)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// Sends notices, for example by e-mail or to a chat.
#[async_trait]
pub trait NoticeSender: Send + Sync + 'static {
    /// Sends a notice. The worker calls this method at least once for each change.
    ///
    /// # Errors
    /// Any error. The notice is then sent again.
    async fn send(&self, notice: &Notice) -> Result<()>;
}

/// A [`ChangeHandler`] that notifies owners when a connection needs them, when a connect flow failed,
/// and when the connection works again.
///
/// Register it with `HubBuilder::on_change` in every process that runs a worker. The connections whose
/// notices are open are those with the status `needs_reauthorization`: list them with
/// `Tenant::list_matching`, for example to send reminders.
///
/// ```
/// use connector_axum::{Notice, NoticeSender, OwnerNotices};
/// use connector_core::Result;
///
/// struct Mail;
///
/// #[async_trait::async_trait]
/// impl NoticeSender for Mail {
///     async fn send(&self, notice: &Notice) -> Result<()> {
///         let _subject = format!("{}: {}", notice.provider, notice.text);
///         let _body = (notice.action, &notice.link);
///         Ok(()) // Send the e-mail to the tenant's administrators.
///     }
/// }
///
/// # fn example(site_url: url::Url, signing_key: secrecy::SecretString) -> Result<()> {
/// let notices = OwnerNotices::new(&site_url, &signing_key, Mail)?;
/// let hub = connector_hub::Hub::builder().on_change(notices);
/// # let _ = hub;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct OwnerNotices {
    base: String,
    signer: Signer,
    sender: Arc<dyn NoticeSender>,
    link_for: Duration,
}

impl fmt::Debug for OwnerNotices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnerNotices")
            .field("base", &self.base)
            .finish_non_exhaustive()
    }
}

impl OwnerNotices {
    /// Creates a handler. `site_url` and `signing_key` are those of
    /// [`RouterConfig::new`](crate::RouterConfig::new).
    ///
    /// # Errors
    /// [`Configuration`](connector_core::ErrorKind::Configuration) if the site URL or the key cannot
    /// be used.
    pub fn new(
        site_url: &Url,
        signing_key: &SecretString,
        sender: impl NoticeSender,
    ) -> Result<Self> {
        let site = checked_site(site_url)?;
        Ok(Self {
            base: site.as_str().trim_end_matches('/').to_owned(),
            signer: Signer::new(signing_key)?,
            sender: Arc::new(sender),
            link_for: LINK_FOR,
        })
    }

    /// Sets the validity of links. Default: 7 days.
    #[must_use]
    pub const fn with_link_validity(mut self, validity: Duration) -> Self {
        self.link_for = validity;
        self
    }

    /// Returns the notice for a change, if owners are notified of it.
    fn notice(&self, change: &AuditRecord) -> Result<Option<Notice>> {
        let entry = &change.entry;
        let of = |status: &Status| Cause::of(status).first().copied();
        let (kind, reason, cause) = match &entry.event {
            Event::StatusChanged {
                to: to @ Status::NeedsReauthorization(reason),
                ..
            } => (
                NoticeKind::ReauthorizationNeeded,
                reason.as_str(),
                of(to).map(|it| (it.text, it.action)),
            ),
            Event::RefreshExpiring { .. } => (
                NoticeKind::RefreshExpiring,
                "refresh_expiring",
                Some((
                    "The permission at the provider expires soon.",
                    "Connect the account again before it does.",
                )),
            ),
            Event::ConnectFailed { reason, .. } => (
                NoticeKind::ConnectFailed,
                reason.as_str(),
                Some(("The account was not connected.", "Connect it again.")),
            ),
            Event::ConsentDenied => (
                NoticeKind::ConnectFailed,
                "consent_denied",
                Some((
                    "The owner of the account denied access.",
                    "Connect it again, and allow access.",
                )),
            ),
            Event::Reconnected { .. }
            | Event::StatusChanged {
                from: Status::NeedsReauthorization(_),
                to: Status::Connected,
            } => (
                NoticeKind::Resolved,
                "connected",
                Some(("The connection works again.", "Nothing is left to do.")),
            ),
            _ => return Ok(None),
        };
        let (text, action) = cause.unwrap_or((
            "The connection no longer works.",
            "Connect the account again.",
        ));
        let link_until = change.at.after(self.link_for);
        let link = match entry.connection {
            Some(id) if kind != NoticeKind::Resolved => {
                let ticket = self.signer.ticket(&TicketContent {
                    tenant: entry.tenant.clone(),
                    actor: None,
                    provider: entry.provider.clone(),
                    account: None,
                    connection: Some(id),
                    return_to: None,
                    until: link_until.as_unix_seconds(),
                })?;
                Url::parse(&format!("{}/v1/connect/{ticket}", self.base)).ok()
            }
            _ => None,
        };
        Ok(Some(Notice {
            number: change.number,
            kind,
            tenant: entry.tenant.clone(),
            provider: entry.provider.clone(),
            connection: entry.connection,
            reason: reason.to_owned(),
            text,
            action,
            link,
            link_until,
            correlation: entry.context.correlation.clone(),
        }))
    }
}

#[async_trait]
impl ChangeHandler for OwnerNotices {
    async fn handle(&self, change: &AuditRecord) -> Result<()> {
        match self.notice(change)? {
            Some(notice) => self.sender.send(&notice).await,
            None => Ok(()),
        }
    }
}
