//! Kill points are reached and fire once, and completed work remains.

use std::error::Error;
use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::cipher::{CredentialCipher, KeyId, Plaintext, SealContext, Sealed, SealedKind};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::http::{HttpTransport, OutboundRequest, Sent, TransportError};
use connector_core::store::{
    AuditLog, ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, DeliveryQueue,
    Direction, Expect, Expiries, Fence, Generation, GrantNumber, LeaseRequest, MemoryStore,
    PutGrant, PutOutcome, SideEffects, StateKey, StateStore, TokenStore,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, ErrorKind, Metadata, ProviderId,
    Result, Status, TenantId,
};
use connector_testkit::kill::{Action, KillPoints, Side};

/// The calls of the scenario, in order.
const CALLS: [&str; 8] = [
    "cipher.seal",
    "token.put_grant",
    "token.claim",
    "http.send",
    "token.commit",
    "state.begin",
    "delivery.lease",
    "audit.take_changes",
];

const LAST: u64 = 2 * CALLS.len() as u64;

const CHILD_POINT: &str = "CONNECTORS_TEST_KILL_AT";

#[derive(Debug)]
struct NoCipher;

#[async_trait]
impl CredentialCipher for NoCipher {
    async fn seal(&self, _: &SealContext<'_>, plaintext: &[u8]) -> Result<Sealed> {
        Ok(Sealed::new(self.sealing_key(), plaintext.to_vec()))
    }

    async fn open(&self, _: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext> {
        Ok(Plaintext::new(sealed.bytes().to_vec()))
    }

    fn sealing_key(&self) -> KeyId {
        KeyId::from_bytes([7; 8])
    }
}

#[derive(Debug)]
struct Answers;

#[async_trait]
impl HttpTransport for Answers {
    async fn send(&self, _: OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
        Ok(http::Response::new(Bytes::from_static(b"refreshed")))
    }
}

fn store() -> MemoryStore {
    connector_testkit::trace::init();
    MemoryStore::new(Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH)))
}

fn key() -> ConnectionKey {
    let tenant = TenantId::new("t1").unwrap();
    ConnectionKey::new(tenant, ConnectionId::from_bytes([1; 16]))
}

/// A scenario with one refresh and one call of every other trait. Passes the name of each completed
/// call to `step`.
async fn scenario(
    points: &KillPoints,
    store: &MemoryStore,
    step: impl Fn(&str),
) -> Result<(), Box<dyn Error>> {
    let cipher = points.wrap(Arc::new(NoCipher));
    let http: Arc<dyn HttpTransport> = Arc::new(Answers);
    let http = points.wrap(http);
    let store = points.wrap(Arc::new(store.clone()));
    let (provider, app) = (ProviderId::from_static("acme"), AppKey::default());

    let place = SealContext {
        tenant: Some(&key().tenant),
        provider: &provider,
        app: &app,
        row: &key().id.to_string(),
        kind: SealedKind::Credential,
        grant: GrantNumber::new(1),
        fence: Fence::new(1),
    };
    let credential = cipher.seal(&place, b"first").await?;
    step("cipher.seal");

    let grant = PutGrant {
        key: key(),
        provider: provider.clone(),
        app: app.clone(),
        account: Account::identified(AccountKey::new("account")?),
        expect: Expect::Absent,
        grant: GrantNumber::new(1),
        generation: Generation::new(1),
        fence: Fence::new(1),
        credential,
        expiries: Expiries::default(),
        status: Status::Connected,
        metadata: Metadata::new(),
        takes: None,
    };
    let put = store.put_grant(grant, SideEffects::none()).await?;
    assert_eq!(put, PutOutcome::Stored);
    step("token.put_grant");

    let request = ClaimRequest {
        claim_id: ClaimId::from_bytes([1; 16]),
        grant: GrantNumber::new(1),
        seen: Generation::new(1),
        kind: ClaimKind::Refresh,
        hold: Duration::from_secs(60),
        confirmed: None,
    };
    let claimed = store.claim(&key(), request).await?;
    let ClaimOutcome::Granted { fence, .. } = claimed else {
        return Err("the claim was not granted".into());
    };
    step("token.claim");

    let request = http::Request::post("https://acme.example/token").body(Bytes::new())?;
    let answer = http.send(OutboundRequest::new(request)).await?;
    step("http.send");

    let commit = Commit {
        claim_id: ClaimId::from_bytes([1; 16]),
        grant: GrantNumber::new(1),
        base: Generation::new(1),
        fence,
        credential: Sealed::new(cipher.sealing_key(), answer.into_body()),
        expiries: Expiries::default(),
        status: Status::Connected,
        rotates: true,
        takes_pending: None,
    };
    let committed = store.commit(&key(), commit, SideEffects::none()).await?;
    assert_eq!(committed, CommitOutcome::Stored);
    step("token.commit");

    store.begin(&StateKey::of("s"), &[0; 32], &[0; 32]).await?;
    step("state.begin");
    store
        .lease(&LeaseRequest::new(Direction::Inbound, 1, Duration::ZERO))
        .await?;
    step("delivery.lease");
    store.take_changes(1, Duration::ZERO).await?;
    step("audit.take_changes");
    Ok(())
}

#[tokio::test]
async fn every_call_is_a_point_before_it_and_one_after_it() {
    let points = KillPoints::counting();
    scenario(&points, &store(), |_| ()).await.unwrap();

    let passed: Vec<_> = points
        .points()
        .iter()
        .map(|point| (point.number, point.operation, point.side))
        .collect();
    let expected: Vec<_> = (1..)
        .zip(
            CALLS
                .iter()
                .flat_map(|call| [(*call, Side::Before), (*call, Side::After)]),
        )
        .map(|(number, (call, side))| (number, call, side))
        .collect();
    assert_eq!(passed, expected);
    assert_eq!(points.passed(), LAST);
    assert_eq!(points.fired(), None);
}

#[tokio::test]
async fn a_failure_before_a_call_prevents_it_and_one_after_it_does_not() {
    for number in 1..=LAST {
        let points = KillPoints::at(number, Action::Fail);
        let store = store();
        let error = scenario(&points, &store, |_| ()).await.unwrap_err();

        let fired = points.fired().unwrap();
        assert_eq!((fired.number, points.passed()), (number, number));
        if let Some(error) = error.downcast_ref::<TransportError>() {
            let sent = match fired.side {
                Side::Before => Sent::No,
                Side::After => Sent::Maybe,
            };
            assert_eq!((fired.operation, error.sent()), ("http.send", sent));
        } else {
            let error = error.downcast_ref::<connector_core::Error>().unwrap();
            assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        }
        // Points 3 and 4 are around the put, 5 and 6 around the claim, 9 and 10 around the commit.
        let stored = store.load(&key()).await.unwrap();
        let generation = stored
            .as_ref()
            .map(|stored| stored.connection.generation.get());
        let claimed = stored.is_some_and(|stored| stored.claim.is_some());
        let expected = match number {
            1..=3 => (None, false),
            4..=5 => (Some(1), false),
            6..=9 => (Some(1), true),
            _ => (Some(2), false),
        };
        assert_eq!((generation, claimed), expected, "{fired:?}");
    }
}

#[tokio::test]
async fn the_chosen_point_fires_once() {
    let points = KillPoints::at(2, Action::Fail);
    assert!(scenario(&points, &store(), |_| ()).await.is_err());
    scenario(&points, &store(), |_| ()).await.unwrap();
    assert_eq!(points.passed(), 2 + LAST);
}

#[tokio::test]
async fn an_observer_is_called_at_each_point_before_the_action() {
    let told = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&told);
    let points = KillPoints::at(5, Action::Fail)
        .with_observer(move |point| seen.lock().unwrap().push(point));
    assert!(scenario(&points, &store(), |_| ()).await.is_err());
    assert_eq!(*told.lock().unwrap(), points.points());
    assert_eq!(points.passed(), 5);
}

#[tokio::test]
#[ignore = "a process of its own, started by the_process_ends_at_the_chosen_point"]
async fn child() {
    #[expect(clippy::disallowed_methods, reason = "the parent tells the point")]
    let number = std::env::var(CHILD_POINT).map_or(0, |point| point.parse().unwrap());
    let points = KillPoints::at(number, Action::Abort);
    let returned = |call: &str| writeln!(std::io::stdout(), "returned {call}").unwrap();
    scenario(&points, &store(), returned).await.unwrap();
}

#[test]
fn the_process_ends_at_the_chosen_point() {
    for number in 1..=LAST + 1 {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::child", "--ignored", "--nocapture"])
            .env(CHILD_POINT, number.to_string())
            .output()
            .unwrap();
        let output = String::from_utf8(child.stdout).unwrap();
        let returned: Vec<_> = output
            .lines()
            .filter_map(|line| line.split_once("returned ").map(|(_, call)| call))
            .collect();
        // The call at the chosen point never returns.
        let calls = usize::try_from((number - 1) / 2).unwrap();
        assert_eq!(returned, CALLS[..calls], "{output}");
        assert_eq!(child.status.success(), number > LAST, "{output}");
    }
}
