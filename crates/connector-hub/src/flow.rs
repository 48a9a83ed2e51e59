//! The stored state of a connect flow, and the reasons why a flow can end.

use std::collections::BTreeMap;

use connector_core::cipher::{Plaintext, SealContext, SealedKind};
use connector_core::clock::Timestamp;
use connector_core::http::Sent;
use connector_core::provider::oauth::{
    CallbackProblem, CodeVerifier, ExchangeClass, ExchangeError,
};
use connector_core::store::{ClaimId, GrantNumber, StateKey};
use connector_core::{
    Actor, AppKey, AuditEntry, ConnectionId, ConnectionKey, CorrelationId, Credential, Error,
    ErrorKind, Event, ProviderId, RedirectUri, RequestContext, Result, Retry, TenantId,
};
use ring::digest::{SHA256, digest};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::audit;

/// The purpose of a credential, with the tenant, provider, app, actor and requested scopes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Purpose {
    pub(crate) tenant: TenantId,
    pub(crate) provider: ProviderId,
    pub(crate) app: AppKey,
    pub(crate) actor: Actor,
    pub(crate) correlation: CorrelationId,
    /// The connection to authorize again. The flow accepts only this connection.
    pub(crate) connection: Option<ConnectionId>,
    /// The id of the connection that the flow creates, if the account has no connection yet. The id
    /// is generated at the start of the flow, so that every attempt to finish the flow creates the
    /// same connection.
    pub(crate) candidate: ConnectionId,
    pub(crate) account_host: Option<String>,
    /// The requested scopes.
    pub(crate) requested: Vec<String>,
    /// True if the flow may end another tenant's connection to the account.
    pub(crate) takeover: bool,
}

impl Purpose {
    pub(crate) fn key(&self, id: ConnectionId) -> ConnectionKey {
        ConnectionKey::new(self.tenant.clone(), id)
    }

    /// Returns the connection that the flow reconnects, if it is known before the account is
    /// identified.
    pub(crate) fn reconnects(&self) -> Option<ConnectionKey> {
        self.connection.map(|id| self.key(id))
    }

    /// Returns true if one of `connections` belongs to another tenant.
    pub(crate) fn is_elsewhere(&self, connections: &[ConnectionKey]) -> bool {
        connections.iter().any(|key| key.tenant != self.tenant)
    }

    pub(crate) fn context(&self) -> RequestContext {
        RequestContext::new(self.actor.clone(), self.correlation.clone())
    }

    pub(crate) fn entry(&self, connection: Option<ConnectionId>, event: Event) -> AuditEntry {
        let target = audit::Target {
            tenant: &self.tenant,
            provider: &self.provider,
            app: &self.app,
            connection,
        };
        audit::entry(target, &self.context(), event)
    }

    /// Returns the seal context for a secret of the flow `row` (the state's key in hexadecimal).
    pub(crate) fn seal_context<'a>(&'a self, row: &'a str, kind: SealedKind) -> SealContext<'a> {
        SealContext::new(Some(&self.tenant), &self.provider, &self.app, row, kind)
    }
}

/// The data of a flow between its start and its callback. Stored sealed.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Flow {
    pub(crate) purpose: Purpose,
    pub(crate) client_id: String,
    pub(crate) redirect_uri: Option<RedirectUri>,
    /// The flow parameters that the application set.
    pub(crate) parameters: BTreeMap<String, String>,
    pub(crate) return_to: Option<String>,
    pub(crate) binding: Binding,
    #[serde(with = "verifier")]
    pub(crate) verifier: CodeVerifier,
    pub(crate) expires_at: Timestamp,
}

/// Version of the sealed formats in this module.
const FORM: u8 = 1;

#[derive(Serialize, Deserialize)]
struct Versioned<T> {
    v: u8,
    #[serde(flatten)]
    content: T,
}

impl Flow {
    pub(crate) fn to_plaintext(&self) -> Result<Plaintext> {
        // The capacity is reserved up front, because a growing buffer would leave copies of the
        // secret in memory.
        let mut bytes = Vec::with_capacity(16 * 1024);
        write(&mut bytes, self)?;
        Ok(Plaintext::new(bytes))
    }

    pub(crate) fn from_plaintext(plaintext: &Plaintext) -> Result<Self> {
        read(plaintext.expose())
    }
}

/// SHA-256 of the secret that binds a flow to a browser.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Binding([u8; 32]);

impl Binding {
    pub(crate) fn of(secret: &SecretString) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, secret.expose_secret().as_bytes()).as_ref());
        Self(bytes)
    }

    /// Compares two bindings in constant time.
    pub(crate) fn is(self, other: Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }

    pub(crate) const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

mod verifier {
    use connector_core::provider::oauth::CodeVerifier;
    use secrecy::{ExposeSecret, SecretString};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(
        verifier: &CodeVerifier,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(verifier.secret().expose_secret())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<CodeVerifier, D::Error> {
        let secret = SecretString::deserialize(deserializer)?;
        CodeVerifier::from_secret(secret).map_err(|_| D::Error::custom("not a code verifier"))
    }
}

/// A quarantined token response, with its credentials and the data needed to resume the flow.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) purpose: Purpose,
    /// The claim for the exchange that returned the response.
    pub(crate) claim: Option<ClaimMark>,
    pub(crate) credential: Credential,
    /// The other grants in the same response. They are stored before the main credential.
    pub(crate) siblings: Vec<Sibling>,
}

/// Another grant in a token response.
#[derive(Debug, Clone)]
pub(crate) struct Sibling {
    /// The id of the connection for this grant, if the account has no connection yet. The id is
    /// generated once, so that every attempt creates the same connection.
    pub(crate) candidate: ConnectionId,
    pub(crate) credential: Credential,
}

/// The claim of a code exchange, stored together with the token response of this exchange.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(crate) struct ClaimMark {
    pub(crate) connection: ConnectionId,
    id: [u8; 16],
    /// The connection's grant at the time of the code exchange.
    pub(crate) grant: GrantNumber,
}

impl ClaimMark {
    pub(crate) const fn new(connection: ConnectionId, id: ClaimId, grant: GrantNumber) -> Self {
        Self {
            connection,
            id: *id.as_bytes(),
            grant,
        }
    }

    pub(crate) const fn claim_id(self) -> ClaimId {
        ClaimId::from_bytes(self.id)
    }
}

#[derive(Serialize)]
struct HeaderRef<'a> {
    purpose: &'a Purpose,
    claim: Option<ClaimMark>,
    siblings: Vec<ConnectionId>,
}

#[derive(Deserialize)]
struct Header {
    purpose: Purpose,
    claim: Option<ClaimMark>,
    siblings: Vec<ConnectionId>,
}

impl Answer {
    /// Returns the header, the siblings' payloads and the main credential's payload. Each part is
    /// prefixed with its length as a 4-byte big-endian integer.
    pub(crate) fn to_plaintext(&self) -> Result<Plaintext> {
        let mut header = Vec::new();
        write(
            &mut header,
            &HeaderRef {
                purpose: &self.purpose,
                claim: self.claim,
                siblings: self.siblings.iter().map(|it| it.candidate).collect(),
            },
        )?;
        let credentials = self.siblings.iter().map(|it| &it.credential);
        let payloads = credentials
            .chain([&self.credential])
            .map(Credential::to_plaintext)
            .collect::<Result<Vec<_>>>()?;
        let parts =
            || std::iter::once(header.as_slice()).chain(payloads.iter().map(Plaintext::expose));
        // The capacity is reserved up front, because a growing buffer would leave copies of the
        // secrets in memory.
        let mut bytes = Vec::with_capacity(parts().map(|part| 4 + part.len()).sum());
        for part in parts() {
            let length = u32::try_from(part.len()).map_err(|_| unreadable())?;
            bytes.extend_from_slice(&length.to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Ok(Plaintext::new(bytes))
    }

    pub(crate) fn from_plaintext(plaintext: &Plaintext) -> Result<Self> {
        let mut rest = plaintext.expose();
        let Header {
            purpose,
            claim,
            siblings,
        } = read(part(&mut rest)?)?;
        let mut credential = || -> Result<Credential> {
            Credential::from_plaintext(&Plaintext::new(part(&mut rest)?.to_vec()))
        };
        let siblings = siblings
            .into_iter()
            .map(|candidate| {
                Ok(Sibling {
                    candidate,
                    credential: credential()?,
                })
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            credential: credential()?,
            purpose,
            claim,
            siblings,
        })
    }
}

/// Removes the next part, which is prefixed with its length in four bytes, and returns it.
fn part<'p>(rest: &mut &'p [u8]) -> Result<&'p [u8]> {
    let (length, after) = rest.split_first_chunk().ok_or_else(unreadable)?;
    let length = usize::try_from(u32::from_be_bytes(*length)).map_err(|_| unreadable())?;
    let (part, after) = after.split_at_checked(length).ok_or_else(unreadable)?;
    *rest = after;
    Ok(part)
}

fn write<T: Serialize>(bytes: &mut Vec<u8>, content: T) -> Result<()> {
    serde_json::to_writer(bytes, &Versioned { v: FORM, content }).map_err(|_| {
        Error::new(
            ErrorKind::Bug,
            "flow.write",
            "the flow could not be serialized as JSON",
        )
    })
}

fn read<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Result<T> {
    // The parser's error is dropped, because it may quote the text.
    let versioned: Versioned<T> = serde_json::from_slice(bytes).map_err(|_| unreadable())?;
    if versioned.v == FORM {
        Ok(versioned.content)
    } else {
        Err(unreadable())
    }
}

fn unreadable() -> Error {
    Error::new(
        ErrorKind::StoreIncompatible,
        "flow.read",
        "the store contains a connect flow in a format that this version does not know; update \
         this node, or connect again",
    )
}

/// Returns the row id that the secrets of a flow are bound to.
pub(crate) fn row_of(state: &StateKey) -> String {
    state.to_string()
}

/// The reason why a flow or an adoption ended without a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reason {
    name: &'static str,
    kind: ErrorKind,
    message: &'static str,
}

macro_rules! reasons {
    ($($constant:ident = $name:literal, $kind:ident, $message:literal;)*) => {
        impl Reason {
            $(pub(crate) const $constant: Self = Self {
                name: $name,
                kind: ErrorKind::$kind,
                message: $message,
            };)*

            const ALL: &'static [Self] = &[$(Self::$constant,)*];
        }
    };
}

reasons! {
    CONSENT_DENIED = "consent_denied", CallbackRefused,
        "the account's owner denied consent; nothing was connected";
    PROVIDER_ERROR = "provider_error", CallbackRefused,
        "the provider reported an error instead of a code; connect again";
    ISSUER_MISSING = "issuer_missing", CallbackRefused,
        "the callback has no issuer; connect again";
    ISSUER_MISMATCH = "issuer_mismatch", CallbackRefused,
        "the callback is from another issuer; connect again";
    SIGNATURE_MISMATCH = "signature_mismatch", CallbackRefused,
        "the signature of the callback is wrong; check the app's client secret";
    STALE = "callback_stale", CallbackRefused,
        "the callback is too old; check this machine's clock, then connect again";
    OTHER_ACCOUNT = "other_account", CallbackRefused,
        "the wrong account was authorized; select the requested account at the provider, or \
         connect the other account separately";
    INCOMPLETE = "callback_incomplete", CallbackRefused,
        "the callback has neither a code nor an error; connect again";
    OTHER_PROVIDER = "other_provider", CallbackRefused,
        "the callback arrived on another provider's path; connect again";
    OTHER_ACTOR = "other_actor", CallbackRefused,
        "another user started this connect flow; start and finish it as the same user";
    OTHER_TENANT = "other_tenant", CallbackRefused,
        "this connect flow was started for another tenant; start and finish it for the same tenant";
    EXPIRED = "expired", CallbackRefused,
        "the connect flow has expired; connect again";
    APP_CHANGED = "app_changed", AppMisconfigured,
        "the app's client id has changed since the connect flow started; connect again";
    INTERRUPTED = "interrupted", CallbackRefused,
        "the connect flow was interrupted before a request to the provider; connect again";
    BUSY = "connection_busy", Conflict,
        "another process kept refreshing the connection; connect again";
    CONNECTION_GONE = "connection_gone", NotFound,
        "the connection was disconnected during the flow; connect the account again as a new \
         connection";
    CODE_REFUSED = "code_refused", CallbackRefused,
        "the provider refused the code; connect again";
    APP_REFUSED = "app_refused", AppMisconfigured,
        "the provider refused the app; check its client id, secret and redirect URI";
    PROVIDER_UNAVAILABLE = "provider_unavailable", ProviderUnavailable,
        "the provider was unavailable and did not accept the code; connect again later";
    UNRESOLVED = "exchange_unresolved", ProviderUnavailable,
        "the provider's response to the code was lost, and a code is never sent twice; connect \
         again";
    UNREADABLE_ANSWER = "unreadable_response", UnexpectedResponse,
        "the provider's response to the code could not be read, and a code is never sent twice; \
         check the token endpoint in the description, then connect again";
    UNUSABLE_ANSWER = "unusable_answer", UnexpectedResponse,
        "the provider's response to the code could not be used; check the description";
    IDENTITY_REFUSED = "identity_refused", Forbidden,
        "the provider granted access, but does not let the app identify the account: a scope or a \
         permission is missing; the app's operator or the account's administrator can correct this";
    SCOPES_MISSING = "scopes_missing", Forbidden,
        "required scopes were not granted; connect again and leave all scopes selected";
    CONNECTED_ELSEWHERE = "connected_elsewhere", ConnectedElsewhere,
        "another tenant has connected this account, and the provider allows only one grant per \
         account; disconnect the other connection first, or take the account over";
    CODE_CONFLICT = "code_conflict", CallbackRefused,
        "this connect flow was finished with another code; connect again";
    UNKNOWN = "unknown", CallbackRefused,
        "the connect flow ended without a connection; connect again";
}

impl Reason {
    pub(crate) const fn name(self) -> &'static str {
        self.name
    }

    /// Returns the reason with the given stable name. Returns a fallback for an unknown name, which
    /// a newer version may have written.
    pub(crate) fn named(name: &str) -> Self {
        Self::ALL
            .iter()
            .copied()
            .find(|it| it.name == name)
            .unwrap_or(Self::UNKNOWN)
    }

    pub(crate) fn of_problem(problem: CallbackProblem) -> Self {
        Self::named(problem.as_str())
    }

    pub(crate) fn of_exchange(error: &ExchangeError) -> Self {
        match (error.class(), error.sent()) {
            (ExchangeClass::DeadGrant | ExchangeClass::AlreadyRefreshed, _) => Self::CODE_REFUSED,
            (ExchangeClass::AppFault { .. }, _) => Self::APP_REFUSED,
            (ExchangeClass::Malformed, Sent::Maybe)
                if error.error().kind() == ErrorKind::UnexpectedResponse =>
            {
                Self::UNREADABLE_ANSWER
            }
            (_, Sent::Maybe) => Self::UNRESOLVED,
            (ExchangeClass::Transient { .. }, _) => Self::PROVIDER_UNAVAILABLE,
            _ if error.code().is_some() => Self::CODE_REFUSED,
            _ => Self::UNUSABLE_ANSWER,
        }
    }

    /// Returns the audit event for a flow that ended with the given reason. `code` is the
    /// provider's error code.
    pub(crate) fn event(self, code: Option<&str>) -> Event {
        if self == Self::CONSENT_DENIED {
            Event::ConsentDenied
        } else {
            Event::ConnectFailed {
                reason: self.name.to_owned(),
                code: code.map(str::to_owned),
            }
        }
    }

    /// Returns the error for the caller. The flow has ended, so the same call returns the same
    /// error.
    pub(crate) fn error(self, operation: &'static str, cause: Option<Error>) -> Error {
        let kind = match (operation, self) {
            // An adoption has no redirect: the caller's argument belongs to another account.
            (ADOPT, Self::OTHER_ACCOUNT) => ErrorKind::InvalidInput,
            _ => self.kind,
        };
        let mut error = Error::new(kind, operation, self.message)
            .with_retry(Retry::Never)
            .with_reason(self.name);
        let Some(cause) = cause else { return error };
        if let Some(status) = cause.status() {
            error = error.with_status(status);
        }
        with_cause(error, cause)
    }
}

/// Adds a cause to an error, and the cause's provider error code.
pub(crate) fn with_cause(mut error: Error, cause: Error) -> Error {
    if let Some(code) = cause.code() {
        error = error.with_code(code);
    }
    error.with_source(cause)
}

/// Names of the operations, as shown in errors.
pub(crate) const AUTHORIZE: &str = "hub.authorize";
pub(crate) const CALLBACK: &str = "hub.callback";
pub(crate) const ADOPT: &str = "hub.adopt";
