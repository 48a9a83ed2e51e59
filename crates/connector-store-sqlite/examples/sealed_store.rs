//! Shows what a stored credential looks like, who can read it, and how a refresh changes the store.
//!
//! Runs offline and terminates: `cargo run -p connector-store-sqlite --example sealed_store`

#![expect(clippy::print_stdout, reason = "the example explains what it does")]
#![expect(
    clippy::too_many_lines,
    reason = "the example is read from top to bottom"
)]

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use connector_core::cipher::{CredentialCipher, KeyId, Keyring, SealContext, Sealed, SealedKind};
use connector_core::clock::{Clock, SystemClock};
use connector_core::http::Origin;
use connector_core::store::{
    ClaimId, ClaimKind, ClaimOutcome, ClaimRequest, Commit, CommitOutcome, Expect, Expiries, Fence,
    Generation, GrantNumber, Maintenance, PutGrant, PutOutcome, SideEffects, TokenStore,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, Credential, CredentialKind, Metadata,
    ProviderId, Status, SystemRandom, TenantId,
};
use connector_store_sqlite::SqliteStore;

static PROVIDER: ProviderId = ProviderId::from_static("example");

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Returns the seal context of the connection's credential. The credential opens in no other
/// context.
fn place<'a>(
    key: &'a ConnectionKey,
    app: &'a AppKey,
    row: &'a str,
    fence: Fence,
) -> SealContext<'a> {
    SealContext {
        tenant: Some(&key.tenant),
        provider: &PROVIDER,
        app,
        row,
        kind: SealedKind::Credential,
        grant: GrantNumber::new(1),
        fence,
    }
}

/// Creates a credential as a provider's token endpoint could return it.
fn credential(
    access: &str,
    refresh: &str,
    clock: &dyn Clock,
) -> Result<Credential, Box<dyn Error>> {
    let now = clock.now();
    let origin = Origin::parse("https://api.example.com")?;
    Ok(Credential::new(CredentialKind::OAuth, origin, access, now)
        .with_refresh_token(refresh)
        .with_expiry(now.after(Duration::from_hours(1))))
}

async fn seal(
    keyring: &Keyring,
    place: &SealContext<'_>,
    credential: &Credential,
) -> Result<Sealed, Box<dyn Error>> {
    let plaintext = credential.to_plaintext()?;
    Ok(keyring.seal(place, plaintext.expose()).await?)
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("connectors.db");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let random = SystemRandom::new();
    let app = AppKey::default();

    println!("1. Generate a key. A service reads its key from the environment.");
    let keyring = Keyring::parse(&Keyring::generate()?)?;
    println!("   The key id is {}.", keyring.sealing_key());

    println!("2. Open a store: one SQLite file in a temporary directory.");
    let store = SqliteStore::open(&path).await?;

    println!("3. Seal a credential for one tenant and one connection, and store it.");
    let key = ConnectionKey::new(TenantId::new("acme")?, ConnectionId::generate(&random)?);
    let row = key.id.to_string();
    let first = Fence::new(1);
    let open_credential = credential("access-token-1", "refresh-token-1", &*clock)?;
    let sealed = seal(&keyring, &place(&key, &app, &row, first), &open_credential).await?;
    let expiries = Expiries {
        access: Some(Duration::from_hours(1)),
        refresh: None,
    };
    let grant = PutGrant {
        key: key.clone(),
        provider: PROVIDER.clone(),
        app: app.clone(),
        account: Account::identified(AccountKey::new("account-1")?).with_label("Example account"),
        expect: Expect::Absent,
        grant: GrantNumber::new(1),
        generation: Generation::new(1),
        fence: first,
        credential: sealed.clone(),
        expiries,
        status: Status::Connected,
        metadata: Metadata::new(),
        takes: None,
    };
    let outcome = store.put_grant(grant, SideEffects::none()).await?;
    ensure(outcome == PutOutcome::Stored, "the grant was not stored")?;

    println!("4. The database file contains:");
    let no_key = KeyId::from_bytes([0; 8]);
    for stored in store.sealed_rows(&no_key, None, 10).await?.items {
        let bytes = stored.sealed.bytes();
        println!(
            "   {} bytes under key {}:",
            bytes.len(),
            stored.sealed.key_id()
        );
        println!("   {}...", hex(&bytes[..48.min(bytes.len())]));
        ensure(
            !contains(bytes, b"access-token"),
            "the stored bytes contain the token",
        )?;
    }

    println!("5. Load the credential and open it with the key.");
    let stored = store.load(&key).await?.ok_or("the connection is gone")?;
    let current = stored.current.ok_or("there is no credential")?;
    let opened = keyring
        .open(&place(&key, &app, &row, current.fence), &current.sealed)
        .await?;
    let opened = Credential::from_plaintext(&opened)?;
    println!("   The token may be sent only to {}.", opened.origin());
    println!("   Debug output shows no token: {opened:?}");

    println!("6. Refresh the token: claim, send the token request, commit the response.");
    let claim_id = ClaimId::generate(&random)?;
    let request = ClaimRequest {
        claim_id,
        grant: GrantNumber::new(1),
        seen: Generation::new(1),
        kind: ClaimKind::Refresh,
        hold: Duration::from_mins(1),
        confirmed: None,
    };
    let ClaimOutcome::Granted { fence, .. } = store.claim(&key, request).await? else {
        return Err("the claim was not granted".into());
    };
    let answer = credential("access-token-2", "refresh-token-2", &*clock)?;
    let commit = Commit {
        claim_id,
        grant: GrantNumber::new(1),
        base: Generation::new(1),
        fence,
        credential: seal(&keyring, &place(&key, &app, &row, fence), &answer).await?,
        expiries,
        status: Status::Connected,
        rotates: true,
        takes_pending: None,
    };
    let outcome = store.commit(&key, commit, SideEffects::none()).await?;
    ensure(
        outcome == CommitOutcome::Stored,
        "the response was not stored",
    )?;
    let stored = store.load(&key).await?.ok_or("the connection is gone")?;
    println!("   The generation is now {}.", stored.connection.generation);
    let previous = stored.previous.ok_or("the previous credential is gone")?;
    println!(
        "   Generation {} is kept until the new token has worked once.",
        previous.generation
    );

    println!("7. Load the same connection as another tenant.");
    let other = ConnectionKey::new(TenantId::new("umbrella")?, key.id);
    ensure(
        store.load(&other).await?.is_none(),
        "the connection was found",
    )?;
    println!("   The store finds nothing.");

    println!("8. Copy the sealed bytes to that tenant, as an attacker with database access could.");
    match keyring
        .open(&place(&other, &app, &row, first), &sealed)
        .await
    {
        Ok(_) => return Err("the bytes opened in another context".into()),
        Err(error) => println!("   The bytes do not open: {error}"),
    }

    store.close().await;
    println!("Done.");
    Ok(())
}

fn ensure(holds: bool, otherwise: &'static str) -> Result<(), Box<dyn Error>> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}
