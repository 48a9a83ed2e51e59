//! Connections: ids, counters, statuses and records.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::account::{Account, AccountRef, TenantId};
use crate::app::AppKey;
use crate::clock::Timestamp;
use crate::error::{Error, ErrorKind, Result};
use crate::metadata::Metadata;
use crate::name::InvalidName;
use crate::provider_id::ProviderId;
use crate::random::Random;

/// The id of a connection: 128 random bits, formatted as a UUID. A reconnect does not change the
/// id.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct ConnectionId([u8; 16]);

impl Hash for ConnectionId {
    /// Half of the bits are enough, because all of them are random.
    fn hash<H: Hasher>(&self, state: &mut H) {
        let mut half = [0; 8];
        half.copy_from_slice(&self.0[..8]);
        state.write_u64(u64::from_le_bytes(half));
    }
}

impl ConnectionId {
    /// Generates a new id from `random`.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the random source fails.
    pub fn generate(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes).map_err(|error| {
            Error::new(
                ErrorKind::Bug,
                "connection_id.generate",
                "the random source failed",
            )
            .with_source(error)
        })?;
        Ok(Self(bytes))
    }

    /// Creates an id from its 16 bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }

    /// Returns the 16 bytes of the id.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectionId({self})")
    }
}

impl std::str::FromStr for ConnectionId {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let invalid = InvalidName::Form {
            what: "connection id",
            form: "32 hexadecimal digits in groups of 8, 4, 4, 4 and 12, joined by hyphens",
        };
        let mut bytes = [0; 16];
        let mut digits = 0;
        for (at, character) in text.char_indices() {
            if matches!(at, 8 | 13 | 18 | 23) {
                if character != '-' {
                    return Err(invalid);
                }
                continue;
            }
            let (Some(value), true) = (character.to_digit(16), digits < 32) else {
                return Err(invalid);
            };
            bytes[digits / 2] = bytes[digits / 2] << 4 | u8::try_from(value).unwrap_or(0);
            digits += 1;
        }
        if digits == 32 {
            Ok(Self(bytes))
        } else {
            Err(invalid)
        }
    }
}

impl From<ConnectionId> for String {
    fn from(id: ConnectionId) -> Self {
        id.to_string()
    }
}

impl TryFrom<String> for ConnectionId {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// A connection id with its tenant. Calls take this key instead of a bare id, so that no call can
/// reach another tenant's connection.
#[derive(Debug, Clone, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ConnectionKey {
    /// The tenant that the connection belongs to.
    pub tenant: TenantId,
    /// The connection's id.
    pub id: ConnectionId,
}

impl PartialEq for ConnectionKey {
    /// Skips the text comparison if both keys share one tenant allocation, for example if one key
    /// is a clone of the other.
    fn eq(&self, other: &Self) -> bool {
        let (own, others) = (self.tenant.as_str(), other.tenant.as_str());
        self.id == other.id && (std::ptr::eq(own, others) || own == others)
    }
}

impl Hash for ConnectionKey {
    /// Hashes only the id, which is random. `eq` also compares the tenants.
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl ConnectionKey {
    /// Creates the key of connection `id` of `tenant`.
    #[must_use]
    pub const fn new(tenant: TenantId, id: ConnectionId) -> Self {
        Self { tenant, id }
    }
}

macro_rules! number {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(
            Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize,
            Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Creates the counter value `number`.
            #[must_use]
            pub const fn new(number: u64) -> Self {
                Self(number)
            }

            /// Returns the value as a number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
            }

            /// Returns the next value. Saturates on overflow.
            #[must_use]
            pub const fn next(self) -> Self {
                Self(self.0.saturating_add(1))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

number! {
    /// Number of a connection's credential. Starts at 1 and increases by one with each change of
    /// the credential.
    Generation
}
number! {
    /// Number of a connection's grant. Starts at 1 and increases by one when the owner authorizes
    /// again or the connection ends. Claims and pending token pairs of an older grant can no longer
    /// change the connection.
    GrantNumber
}
number! {
    /// Number of a claim on a connection. Increases by one with every claim, and identifies the
    /// exchange that produced a credential.
    Fence
}
number! {
    /// Version of a connection's record. Increases by one with every write.
    Version
}

/// The status of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "status", content = "reason", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// The connection works. No problem is known.
    Connected,
    /// The connection has a temporary problem, which the reason describes. API calls may still
    /// work. No action is needed yet.
    Degraded(DegradedReason),
    /// The account's owner must authorize again.
    NeedsReauthorization(ReauthorizationReason),
    /// The provider rejects the application's registration. The account is not the cause of the
    /// rejection.
    AppMisconfigured,
    /// The connection was disconnected. The credential is deleted, and the history is kept.
    Disconnected,
}

impl Status {
    /// Returns the stable name of the status, without its reason.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connected => "connected",
            Self::Degraded(_) => "degraded",
            Self::NeedsReauthorization(_) => "needs_reauthorization",
            Self::AppMisconfigured => "app_misconfigured",
            Self::Disconnected => "disconnected",
        }
    }

    /// Returns the stable name of the reason, for statuses that have one.
    #[must_use]
    pub const fn reason(&self) -> Option<&'static str> {
        match self {
            Self::Degraded(reason) => Some(reason.as_str()),
            Self::NeedsReauthorization(reason) => Some(reason.as_str()),
            _ => None,
        }
    }

    /// Parses the output of [`Status::as_str`] and [`Status::reason`].
    ///
    /// # Errors
    /// [`ErrorKind::StoreIncompatible`] if a newer version wrote a status that this version does
    /// not know. Update this node.
    pub fn from_parts(status: &str, reason: Option<&str>) -> Result<Self> {
        let parsed = match (status, reason) {
            ("connected", None) => Some(Self::Connected),
            ("app_misconfigured", None) => Some(Self::AppMisconfigured),
            ("disconnected", None) => Some(Self::Disconnected),
            ("degraded", Some(reason)) => DegradedReason::parse(reason).map(Self::Degraded),
            ("needs_reauthorization", Some(reason)) => {
                ReauthorizationReason::parse(reason).map(Self::NeedsReauthorization)
            }
            _ => None,
        };
        parsed.ok_or_else(|| {
            Error::new(
                ErrorKind::StoreIncompatible,
                "status.from_parts",
                "the store holds a state that this version does not know; update this node",
            )
        })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.reason() {
            Some(reason) => write!(f, "{}({reason})", self.as_str()),
            None => f.write_str(self.as_str()),
        }
    }
}

macro_rules! reasons {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$variant_doc])* #[serde(rename = $text)] $variant,)*
        }

        impl $name {
            /// All reasons.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Returns the stable name of the reason.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }

            /// Parses a stable name. Returns `None` if this version does not know the reason.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                match text { $($text => Some(Self::$variant),)* _ => None }
            }
        }
    };
}

reasons! {
    /// The reason why a connection is degraded.
    DegradedReason {
        /// Refreshes currently fail (network or provider trouble) and are retried.
        RefreshFailing = "refresh_failing",
        /// A refresh request was sent, and its outcome is not known yet.
        RefreshUnresolved = "refresh_unresolved",
        /// The provider rejects an access token that should still be valid.
        Unauthorized = "unauthorized",
        /// The owner granted fewer scopes than the connector needs for all its features.
        ScopesReduced = "scopes_reduced",
        /// The provider rejects every refresh with a response of unknown meaning. The hub retries
        /// once a day. A forced refresh or a reconnect is tried immediately.
        RefreshRefused = "refresh_refused",
        /// The account of a new credential has not been identified yet. The tokens are not used
        /// until the account has been identified.
        AccountUnverified = "account_unverified",
    }
}

reasons! {
    /// The reason why the account's owner must authorize again.
    ReauthorizationReason {
        /// The provider reports that the grant was revoked or has expired.
        GrantRevoked = "grant_revoked",
        /// The refresh token expired before it was used.
        RefreshTokenExpired = "refresh_token_expired",
        /// The response to a refresh was lost, and the provider does not accept the same refresh
        /// token again.
        LostInFlight = "lost_in_flight",
        /// The application is no longer installed in the account.
        AppNotInstalled = "app_not_installed",
        /// The provider rejects even newly issued tokens of this grant.
        Rejected = "rejected",
        /// The provider no longer accepts tokens that do not expire.
        NonExpiringToken = "non_expiring_token",
        /// The credential expired and contains no data for a refresh.
        NotRefreshable = "not_refreshable",
        /// Scopes that the connector requires are no longer granted.
        ScopesMissing = "scopes_missing",
        /// The credential belongs to a different account than the connection. Its tokens are not
        /// used.
        AccountMismatch = "account_mismatch",
    }
}

/// Result of the last connection test on demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Time of the test, on the store's clock.
    pub at: Timestamp,
    /// The error, or `None` if the test succeeded.
    pub error: Option<String>,
}

/// A connection, as returned to applications. It contains no secret.
///
/// [`store::ConnectionRecord`](crate::store::ConnectionRecord) is the record that stores save, with
/// generations and fences.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Connection {
    /// The key of the connection.
    pub key: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration that created the connection.
    pub app: AppKey,
    /// The connected account.
    pub account: Account,
    /// The status of the connection.
    pub status: Status,
    /// The time of the last change of `status`, on the store's clock.
    pub status_since: Timestamp,
    /// Number of consecutive refresh failures.
    pub failures: u32,
    /// Result of the last test on demand.
    pub check: Option<Check>,
    /// Metadata of the account.
    pub metadata: Metadata,
    /// The time when the connection was created, on the store's clock.
    pub created_at: Timestamp,
    /// The time when the record was last written, on the store's clock.
    pub updated_at: Timestamp,
    /// The time when the credential last changed, on the store's clock.
    pub refreshed_at: Timestamp,
}

impl Connection {
    /// Returns the key of the connection.
    #[must_use]
    pub const fn key(&self) -> &ConnectionKey {
        &self.key
    }

    /// Returns false if the connection is disconnected.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.status != Status::Disconnected
    }
}

impl From<ConnectionRecord> for Connection {
    fn from(record: ConnectionRecord) -> Self {
        let ConnectionRecord {
            key,
            provider,
            app,
            account,
            status,
            status_since,
            failures,
            check,
            rotates: _,
            metadata,
            grant: _,
            generation: _,
            confirmed: _,
            fence: _,
            version: _,
            created_at,
            updated_at,
            refreshed_at,
        } = record;
        Self {
            key,
            provider,
            app,
            account,
            status,
            status_since,
            failures,
            check,
            metadata,
            created_at,
            updated_at,
            refreshed_at,
        }
    }
}

/// A connection's record in a store, without its secrets.
///
/// The struct is exhaustive on purpose: a store that omits a field does not compile. Applications
/// use [`Connection`].
#[derive(Debug, Clone, PartialEq)]
pub struct ConnectionRecord {
    /// The key of the connection.
    pub key: ConnectionKey,
    /// The provider.
    pub provider: ProviderId,
    /// The app registration that created the connection.
    pub app: AppKey,
    /// The connected account.
    pub account: Account,
    /// The status of the connection.
    pub status: Status,
    /// The time of the last change of `status`, on the store's clock.
    pub status_since: Timestamp,
    /// Number of consecutive refresh failures.
    pub failures: u32,
    /// Result of the last test on demand.
    pub check: Option<Check>,
    /// True if a refresh has returned a new refresh token. The engine then treats the connection as
    /// strictly rotating, even if the provider's description states that refresh tokens do not
    /// rotate.
    pub rotates: bool,
    /// Metadata of the account.
    pub metadata: Metadata,
    /// The number of the connection's grant.
    pub grant: GrantNumber,
    /// The generation of the connection's credential.
    pub generation: Generation,
    /// The newest generation that the provider has accepted in a call.
    pub confirmed: Option<Generation>,
    /// The fence of the most recent claim.
    pub fence: Fence,
    /// The version of this record.
    pub version: Version,
    /// The time when the connection was created, on the store's clock.
    pub created_at: Timestamp,
    /// The time when the record was last written, on the store's clock.
    pub updated_at: Timestamp,
    /// The time when the credential last changed, on the store's clock.
    pub refreshed_at: Timestamp,
}

impl ConnectionRecord {
    /// Returns the key of the connection.
    #[must_use]
    pub const fn key(&self) -> &ConnectionKey {
        &self.key
    }

    /// Returns the account together with its tenant, provider and registration.
    #[must_use]
    pub fn account_ref(&self) -> AccountRef {
        AccountRef {
            tenant: self.key.tenant.clone(),
            provider: self.provider.clone(),
            app: self.app.clone(),
            account: self.account.key.clone(),
        }
    }

    /// Returns false if the connection is disconnected.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.status != Status::Disconnected
    }
}

/// Time until an instant, on the store's clock. The store computes this time, so that nodes with
/// different clocks agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimeLeft(i64);

impl TimeLeft {
    /// Computes the time from `now` to `instant`, both on the store's clock.
    #[must_use]
    pub const fn between(now: Timestamp, instant: Timestamp) -> Self {
        Self(
            instant
                .as_unix_millis()
                .saturating_sub(now.as_unix_millis()),
        )
    }

    /// Returns the time left; zero if the instant has passed.
    #[must_use]
    pub fn remaining(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0).unwrap_or(0))
    }

    /// Returns the time since the instant; zero if the instant is still in the future.
    #[must_use]
    pub fn overdue(self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_neg()).unwrap_or(0))
    }

    /// Returns true if the instant has passed.
    #[must_use]
    pub const fn has_passed(self) -> bool {
        self.0 <= 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_id_parses_only_its_own_format() {
        let text = "0192f0c1-0000-7000-8000-000000000001";
        let id: ConnectionId = text.parse().unwrap();
        assert_eq!(id.to_string(), text);
        for bad in [
            "",
            "0192f0c1-0000-7000-8000-00000000000",
            "0192f0c1-0000-7000-8000-0000000000011",
            "0192f0c10000-7000-8000-0000000000011",
            "0192f0c1-0000-7000-8000-00000000000g",
            "0192f0c1-0000-7000-8000-0000000000é1",
            "{192f0c1-0000-7000-8000-000000000001}",
        ] {
            assert!(bad.parse::<ConnectionId>().is_err(), "{bad}");
        }
    }

    #[test]
    fn every_status_round_trips() {
        let all = [
            Status::Connected,
            Status::AppMisconfigured,
            Status::Disconnected,
            Status::Degraded(DegradedReason::Unauthorized),
            Status::NeedsReauthorization(ReauthorizationReason::LostInFlight),
        ];
        for status in all {
            assert_eq!(
                Status::from_parts(status.as_str(), status.reason()).unwrap(),
                status
            );
            let json = serde_json::to_string(&status).unwrap();
            assert_eq!(serde_json::from_str::<Status>(&json).unwrap(), status);
        }
        assert!(Status::from_parts("degraded", None).is_err());
        assert!(Status::from_parts("degraded", Some("of the future")).is_err());
    }
}
