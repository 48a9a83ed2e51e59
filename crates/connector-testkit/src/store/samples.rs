//! Example values. Each sample has a name that identifies it in a failed assertion.

use std::time::Duration;

use connector_core::cipher::{KeyId, Sealed};
use connector_core::store::{
    AccountRef, ClaimId, ClaimKind, ClaimRequest, ConnectionRecord, Expect, Expiries, Fence,
    Generation, GrantNumber, NewQuarantine, NewRevocation, NewState, PutGrant, SideEffects,
    StateKey,
};
use connector_core::{
    Account, AccountKey, Actor, AppKey, AuditClass, AuditEntry, ConnectionId, ConnectionKey,
    CorrelationId, Event, Metadata, ProviderId, RequestContext, Status, TenantId,
};

use super::steps::valid;

/// Lifetime of a claim in the cases.
pub(super) const HOLD: Duration = Duration::from_secs(60);
/// Duration of a lease in the cases.
pub(super) const LEASE: Duration = Duration::from_secs(30);
/// The default key id of all sealed values.
pub(super) const KEY: KeyId = KeyId::from_bytes([1; 8]);
/// A second key id, used only by cases that need one.
pub(super) const OTHER_KEY: KeyId = KeyId::from_bytes([2; 8]);

pub(super) const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

pub(super) fn provider() -> ProviderId {
    ProviderId::from_static("acme")
}

pub(super) fn tenant(name: &str) -> TenantId {
    valid(TenantId::new(name))
}

pub(super) fn app(name: &str) -> AppKey {
    valid(AppKey::new(name))
}

pub(super) fn account_key(name: &str) -> AccountKey {
    valid(AccountKey::new(name))
}

/// Returns the connection `number` of tenant `t1`.
pub(super) fn key(number: u8) -> ConnectionKey {
    key_of("t1", number)
}

pub(super) fn key_of(tenant_name: &str, number: u8) -> ConnectionKey {
    ConnectionKey::new(tenant(tenant_name), ConnectionId::from_bytes([number; 16]))
}

/// Returns opaque bytes with a name. A store neither reads nor changes them.
pub(super) fn sealed(name: &str) -> Sealed {
    sealed_under(KEY, name)
}

pub(super) fn sealed_under(key: KeyId, name: &str) -> Sealed {
    Sealed::new(key, format!("sealed {name}").into_bytes())
}

/// Returns the name in the bytes that [`sealed`] returned.
pub(super) fn name_of(sealed: &Sealed) -> String {
    let text = String::from_utf8_lossy(sealed.bytes());
    text.strip_prefix("sealed ").unwrap_or(&text).to_owned()
}

pub(super) fn expiries() -> Expiries {
    Expiries {
        access: Some(seconds(3_600)),
        refresh: Some(seconds(86_400)),
    }
}

/// Returns the first grant of `account` under `key`. The host is named after the account, and the
/// credential is named `first`.
pub(super) fn first_grant(key: &ConnectionKey, account: &str) -> PutGrant {
    PutGrant {
        key: key.clone(),
        provider: provider(),
        app: AppKey::default(),
        account: Account::identified(account_key(account)).with_host(format!("{account}.example")),
        expect: Expect::Absent,
        grant: GrantNumber::new(1),
        generation: Generation::new(1),
        fence: Fence::new(1),
        credential: sealed("first"),
        expiries: expiries(),
        status: Status::Connected,
        metadata: Metadata::new(),
        takes: None,
    }
}

/// Returns the next grant after the state `seen`. `fence` is the fence of its claim.
pub(super) fn next_grant(seen: &ConnectionRecord, fence: Fence, name: &str) -> PutGrant {
    PutGrant {
        key: seen.key.clone(),
        provider: seen.provider.clone(),
        app: seen.app.clone(),
        account: seen.account.clone(),
        expect: Expect::At(seen.generation),
        grant: seen.grant.next(),
        generation: seen.generation.next(),
        fence,
        credential: sealed(name),
        expiries: expiries(),
        status: Status::Connected,
        metadata: Metadata::new(),
        takes: None,
    }
}

pub(super) fn account_ref(key: &ConnectionKey, account: &str) -> AccountRef {
    AccountRef {
        tenant: key.tenant.clone(),
        provider: provider(),
        app: AppKey::default(),
        account: account_key(account),
    }
}

pub(super) const fn claim_id(number: u8) -> ClaimId {
    ClaimId::from_bytes([number; 16])
}

/// Returns a request to claim the refresh of the state `seen`.
pub(super) fn claim_request(seen: &ConnectionRecord, number: u8) -> ClaimRequest {
    ClaimRequest {
        claim_id: claim_id(number),
        grant: seen.grant,
        seen: seen.generation,
        kind: ClaimKind::Refresh,
        hold: HOLD,
        confirmed: None,
    }
}

pub(super) fn revocation(fence: Fence, name: &str) -> NewRevocation {
    NewRevocation {
        grant: GrantNumber::new(1),
        fence,
        sealed: sealed(name),
    }
}

/// Returns an audit entry that is identified by `reason`.
pub(super) fn audit_entry(key: &ConnectionKey, reason: &str) -> AuditEntry {
    AuditEntry {
        class: AuditClass::Connection,
        tenant: key.tenant.clone(),
        provider: provider(),
        app: AppKey::default(),
        connection: Some(key.id),
        context: RequestContext::new(Actor::Worker, valid(CorrelationId::new("request-1"))),
        event: Event::ConnectFailed {
            reason: reason.to_owned(),
            code: None,
        },
        notify: false,
    }
}

/// Returns the text that identifies an [`audit_entry`].
pub(super) fn reason_of(entry: &AuditEntry) -> String {
    match &entry.event {
        Event::ConnectFailed { reason, .. } => reason.clone(),
        other => format!("{other:?}"),
    }
}

/// Returns side effects with one audit entry and nothing else.
pub(super) fn audited(key: &ConnectionKey, reason: &str) -> SideEffects {
    SideEffects::none().with_audit(audit_entry(key, reason))
}

pub(super) fn state_key(number: u8) -> StateKey {
    StateKey::from_bytes([number; 32])
}

pub(super) fn quarantine(number: u8, name: &str) -> NewQuarantine {
    NewQuarantine {
        state: state_key(number),
        tenant: tenant("t1"),
        provider: provider(),
        app: AppKey::default(),
        sealed: sealed(name),
        delay: seconds(30),
        keep_for: seconds(86_400),
    }
}

pub(super) fn new_state(number: u8) -> NewState {
    NewState {
        key: state_key(number),
        tenant: tenant("t1"),
        provider: provider(),
        app: AppKey::default(),
        binding: [7; 32],
        sealed: sealed(&format!("state {number}")),
        open_for: seconds(600),
        keep_for: seconds(86_400),
    }
}
