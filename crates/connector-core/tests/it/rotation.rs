//! Resealing under a new key: complete, resumable, and safe with concurrent changes.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_core::cipher::{
    CredentialCipher, KeyId, Keyring, MAX_PLAINTEXT, Plaintext, ResealedPage, SealContext, Sealed,
    SealedKind, open_long, reseal_page, seal_long,
};
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::store::{
    Cursor, DeliveryKey, Direction, End, EndRequest, Expect, Expiries, Fence, Generation,
    GrantNumber, Maintenance, MemoryStore, NewRevocation, NewState, Page, PutGrant, PutOutcome,
    RowRef, SealedRow, SideEffects, StateKey, StateStore as _, Stored, TokenStore as _,
};
use connector_core::{
    Account, AccountKey, AppKey, ConnectionId, ConnectionKey, Error, ErrorKind, Metadata,
    ProviderId, Result, Status, TenantId,
};
use secrecy::SecretString;

fn keyring(keys: &[u8]) -> Keyring {
    connector_testkit::trace::init();
    let keys: Vec<String> = keys.iter().map(|key| STANDARD.encode([*key; 32])).collect();
    Keyring::parse(&SecretString::from(keys.join(","))).unwrap()
}

/// Injected failures of the store.
#[derive(Default)]
struct Trouble {
    /// Number of successful `reseal` calls before the store fails; `None` for no failure.
    reseals_left: Option<u32>,
    /// Rows that another process writes between the read and the reseal, with the written value.
    written_meanwhile: BTreeMap<RowRef, Option<Sealed>>,
}

/// An ordered list of sealed rows.
#[derive(Default)]
struct Rows {
    rows: Mutex<BTreeMap<RowRef, SealedRow>>,
    trouble: Mutex<Trouble>,
}

impl Rows {
    fn filled(cipher: &Keyring, count: u8) -> Self {
        let rows = Self::default();
        for number in 0..count {
            rows.put(cipher, number);
        }
        rows
    }

    /// Adds a row whose kind alternates and whose content is its number.
    fn put(&self, cipher: &Keyring, number: u8) {
        let id = ConnectionId::from_bytes([number; 16]);
        let key = ConnectionKey::new(TenantId::new("t1").unwrap(), id);
        let (row, kind) = match number % 4 {
            0 => (RowRef::Current(key), SealedKind::Credential),
            1 => (
                RowRef::Pending(key, Fence::new(number.into())),
                SealedKind::Credential,
            ),
            2 => (
                RowRef::State(StateKey::of(&number.to_string())),
                SealedKind::State,
            ),
            _ => (
                RowRef::Revocation(key, Fence::new(number.into())),
                SealedKind::Revocation,
            ),
        };
        let mut sealed_row = SealedRow {
            row: row.clone(),
            tenant: (!number.is_multiple_of(5)).then(|| TenantId::new("t1").unwrap()),
            provider: ProviderId::from_static("shopify"),
            app: AppKey::default(),
            row_id: id.to_string(),
            kind,
            grant: GrantNumber::new(1),
            fence: Fence::new(number.into()),
            sealed: Sealed::new(KeyId::from_bytes([0; 8]), Vec::new()),
        };
        sealed_row.sealed = cipher
            .seal_now(&sealed_row.seal_context(), &[number])
            .unwrap();
        self.rows.lock().unwrap().insert(row, sealed_row);
    }

    fn all(&self) -> Vec<SealedRow> {
        self.rows.lock().unwrap().values().cloned().collect()
    }

    fn replace(&self, row: &RowRef, sealed: Sealed) {
        self.rows.lock().unwrap().get_mut(row).unwrap().sealed = sealed;
    }

    fn contents(&self, cipher: &Keyring) -> Vec<Vec<u8>> {
        let open = |row: &SealedRow| cipher.open_now(&row.seal_context(), &row.sealed).unwrap();
        self.all()
            .iter()
            .map(|row| open(row).expose().to_vec())
            .collect()
    }

    fn under(&self, cipher: &Keyring) -> usize {
        let key = cipher.sealing_key();
        let rows = self.all();
        rows.iter().filter(|row| row.sealed.key_id() == key).count()
    }
}

#[async_trait]
impl Maintenance for Rows {
    async fn sealed_rows(
        &self,
        not_under: &KeyId,
        after: Option<&Cursor>,
        n: u16,
    ) -> Result<Page<SealedRow>> {
        let after = after.map(Cursor::as_str);
        let mut items: Vec<SealedRow> = self
            .all()
            .into_iter()
            .filter(|row| row.sealed.key_id() != *not_under)
            .filter(|row| after.is_none_or(|after| *position(&row.row) > *after))
            .collect();
        items.sort_by_key(|row| position(&row.row));
        let more = items.len() > usize::from(n);
        items.truncate(n.into());
        let last = items.last().filter(|_| more);
        let next = last.map(|row| Cursor::new(position(&row.row)).unwrap());
        Ok(Page { items, next })
    }

    async fn reseal(&self, row: &RowRef, seen: &Sealed, new: Sealed) -> Result<bool> {
        let mut trouble = self.trouble.lock().unwrap();
        if let Some(left) = trouble.reseals_left.as_mut() {
            if *left == 0 {
                return Err(unreachable_store());
            }
            *left -= 1;
        }
        let mut rows = self.rows.lock().unwrap();
        match trouble.written_meanwhile.remove(row) {
            Some(Some(sealed)) => rows.get_mut(row).unwrap().sealed = sealed,
            Some(None) => drop(rows.remove(row)),
            None => {}
        }
        Ok(rows
            .get_mut(row)
            .filter(|found| found.sealed == *seen)
            .map(|found| found.sealed = new)
            .is_some())
    }

    async fn purge(&self, _: u32) -> Result<u32> {
        Ok(0)
    }
}

fn position(row: &RowRef) -> String {
    let text = format!("{row:?}");
    text.chars().take(200).collect()
}

fn unreachable_store() -> Error {
    Error::new(ErrorKind::StoreUnavailable, "test", "the store is gone")
}

/// Runs `reseal_page` until there is no next page.
async fn whole_pass(rows: &Rows, cipher: &dyn CredentialCipher, n: u16) -> Vec<ResealedPage> {
    let mut pages: Vec<ResealedPage> = Vec::new();
    loop {
        let after = pages.last().and_then(|page| page.next.as_ref());
        let page = reseal_page(rows, cipher, after, n).await.unwrap();
        let is_last = page.next.is_none();
        pages.push(page);
        if is_last {
            return pages;
        }
    }
}

#[tokio::test]
async fn every_record_moves_under_the_sealing_key() {
    let old = keyring(&[1]);
    let rows = Rows::filled(&old, 20);
    let before = rows.contents(&old);
    let new = keyring(&[2, 1]);
    let pages = whole_pass(&rows, &new, 3).await;
    let resealed: Vec<u32> = pages.iter().map(|page| page.resealed).collect();
    assert_eq!(resealed, [3, 3, 3, 3, 3, 3, 2]);
    assert!(
        pages
            .iter()
            .all(|page| page.changed == 0 && page.unopenable.is_empty())
    );
    // The old key is no longer needed, and the contents are unchanged.
    let only_new = keyring(&[2]);
    assert_eq!(rows.under(&only_new), 20);
    assert_eq!(rows.contents(&only_new), before);
    let again = whole_pass(&rows, &new, 3).await;
    assert_eq!(
        again.iter().map(|page| page.resealed).collect::<Vec<_>>(),
        [0]
    );
}

#[tokio::test]
async fn an_interrupted_rotation_resumes() {
    let rows = Rows::filled(&keyring(&[1]), 12);
    let new = keyring(&[2, 1]);
    rows.trouble.lock().unwrap().reseals_left = Some(5);
    let first = reseal_page(&rows, &new, None, 3).await.unwrap();
    assert_eq!(first.resealed, 3);
    let error = reseal_page(&rows, &new, first.next.as_ref(), 3)
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
    assert_eq!(rows.under(&new), 5);
    rows.trouble.lock().unwrap().reseals_left = None;
    // Continues once from the cursor, and once from the beginning, as after a restart.
    let second = reseal_page(&rows, &new, first.next.as_ref(), 3)
        .await
        .unwrap();
    assert_eq!(second.resealed, 3);
    let rest = whole_pass(&rows, &new, 3).await;
    assert_eq!(rest.iter().map(|page| page.resealed).sum::<u32>(), 4);
    assert_eq!(rows.under(&new), 12);
    assert_eq!(rows.contents(&keyring(&[2])).len(), 12);
}

#[tokio::test]
async fn concurrently_changed_records_are_not_overwritten() {
    let old = keyring(&[1]);
    let new = keyring(&[2, 1]);
    let rows = Rows::filled(&old, 8);
    let all = rows.all();
    let fresh = new.seal_now(&all[2].seal_context(), b"fresh").unwrap();
    rows.trouble.lock().unwrap().written_meanwhile = BTreeMap::from([
        (all[2].row.clone(), Some(fresh.clone())),
        (all[5].row.clone(), None),
    ]);
    let page = reseal_page(&rows, &new, None, 100).await.unwrap();
    assert_eq!((page.resealed, page.changed), (6, 2));
    assert!(page.unopenable.is_empty() && page.next.is_none());
    let after = rows.all();
    assert_eq!(after.len(), 7);
    assert_eq!(after[2].sealed, fresh);
}

#[tokio::test]
async fn unopenable_records_are_listed_and_the_rest_is_resealed() {
    let old = keyring(&[1]);
    let rows = Rows::filled(&old, 8);
    let all = rows.all();
    let mut bytes = all[1].sealed.bytes().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    rows.replace(&all[1].row, Sealed::new(all[1].sealed.key_id(), bytes));
    let lost = keyring(&[9]);
    rows.replace(
        &all[6].row,
        lost.seal_now(&all[6].seal_context(), b"lost").unwrap(),
    );
    let broken = rows.all();

    let new = keyring(&[2, 1]);
    let pages = whole_pass(&rows, &new, 3).await;
    assert_eq!(pages.iter().map(|page| page.resealed).sum::<u32>(), 6);
    let mut named: Vec<(&RowRef, ErrorKind)> = pages
        .iter()
        .flat_map(|page| &page.unopenable)
        .map(|row| (&row.row, row.error.kind()))
        .collect();
    named.sort_by_key(|(row, _)| *row);
    assert_eq!(
        named,
        [
            (&all[1].row, ErrorKind::Unsealable),
            (&all[6].row, ErrorKind::KeyUnknown)
        ]
    );
    let after = rows.all();
    assert_eq!(after[1], broken[1]);
    assert_eq!(after[6], broken[6]);
}

#[tokio::test]
async fn a_delivery_of_many_parts_is_resealed_in_parts() {
    let old = keyring(&[1]);
    let rows = Rows::filled(&old, 1);
    let mut delivery = rows.all().remove(0);
    delivery.row = RowRef::Delivery(DeliveryKey {
        direction: Direction::Inbound,
        provider: delivery.provider.clone(),
        app: delivery.app.clone(),
        endpoint: "webhook".to_owned(),
        id: "delivery".to_owned(),
    });
    delivery.kind = SealedKind::Delivery;
    let contents = [Vec::new(), vec![7; MAX_PLAINTEXT * 2 + 1]];
    for (number, content) in contents.iter().enumerate() {
        delivery.row_id = format!("delivery {number}");
        delivery.sealed = seal_long(&old, &delivery.seal_context(), content)
            .await
            .unwrap();
        let row = delivery.row.clone();
        rows.rows.lock().unwrap().insert(row, delivery.clone());

        let new = keyring(&[2, 1]);
        let pages = whole_pass(&rows, &new, 1).await;
        let resealed: u32 = pages.iter().map(|page| page.resealed).sum();
        assert_eq!(resealed, if number == 0 { 2 } else { 1 });
        let all = rows.all();
        let after = all.iter().find(|row| row.row == delivery.row).unwrap();
        let only_new = keyring(&[2]);
        let opened = open_long(&only_new, &after.seal_context(), &after.sealed).await;
        assert_eq!(opened.unwrap().expose(), content);
    }
}

/// A cipher whose key service cannot be reached, for opening or for sealing.
#[derive(Debug)]
struct Away {
    keyring: Keyring,
    opens: bool,
}

#[async_trait]
impl CredentialCipher for Away {
    async fn seal(&self, _: &SealContext<'_>, _: &[u8]) -> Result<Sealed> {
        Err(unreachable_store())
    }

    async fn open(&self, place: &SealContext<'_>, sealed: &Sealed) -> Result<Plaintext> {
        if self.opens {
            self.keyring.open_now(place, sealed)
        } else {
            Err(unreachable_store())
        }
    }

    fn sealing_key(&self) -> KeyId {
        self.keyring.sealing_key()
    }
}

#[tokio::test]
async fn an_outage_of_the_key_service_ends_the_page_and_changes_nothing() {
    for opens in [false, true] {
        let rows = Rows::filled(&keyring(&[1]), 4);
        let before = rows.all();
        let away = Away {
            keyring: keyring(&[2, 1]),
            opens,
        };
        let error = reseal_page(&rows, &away, None, 100).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StoreUnavailable);
        assert_eq!(rows.all(), before);
    }
}

/// Returns the seal context of the row. Secrets that no exchange produced have grant and fence
/// zero.
fn place_of<'a>(
    tenant: &'a TenantId,
    provider: &'a ProviderId,
    app: &'a AppKey,
    row: &'a str,
    kind: SealedKind,
) -> SealContext<'a> {
    let exchanged = u64::from(kind != SealedKind::State);
    SealContext {
        tenant: Some(tenant),
        provider,
        app,
        row,
        kind,
        grant: GrantNumber::new(exchanged),
        fence: Fence::new(exchanged),
    }
}

/// Credentials, a queued revocation and a connect flow, as a service stores them.
#[tokio::test]
async fn an_in_memory_store_is_rotated_completely() {
    let clock = ManualClock::new(Timestamp::from_unix_seconds(1_700_000_000));
    let store = MemoryStore::new(Arc::new(clock));
    let old = keyring(&[1]);
    let (tenant, provider) = (
        TenantId::new("t1").unwrap(),
        ProviderId::from_static("shopify"),
    );
    let app = AppKey::default();
    let key = |number| ConnectionKey::new(tenant.clone(), ConnectionId::from_bytes([number; 16]));
    let seal = |row: &str, kind, content: &[u8]| {
        old.seal_now(&place_of(&tenant, &provider, &app, row, kind), content)
            .unwrap()
    };
    for number in 0..5 {
        let row = key(number).id.to_string();
        let account = AccountKey::new(format!("account {number}")).unwrap();
        let grant = PutGrant {
            key: key(number),
            provider: provider.clone(),
            app: app.clone(),
            account: Account::identified(account),
            expect: Expect::Absent,
            grant: GrantNumber::new(1),
            generation: Generation::new(1),
            fence: Fence::new(1),
            credential: seal(&row, SealedKind::Credential, &[number]),
            expiries: Expiries::default(),
            status: Status::Connected,
            metadata: Metadata::new(),
            takes: None,
        };
        let outcome = store.put_grant(grant, SideEffects::none()).await.unwrap();
        assert_eq!(outcome, PutOutcome::Stored);
    }
    let end = EndRequest {
        how: End::Deactivate,
        at: None,
        revoke: vec![NewRevocation {
            grant: GrantNumber::new(1),
            fence: Fence::new(1),
            sealed: seal(&key(4).id.to_string(), SealedKind::Revocation, &[4]),
        }],
        unsubscribe: None,
    };
    store.end(&key(4), end, SideEffects::none()).await.unwrap();
    let flow = StateKey::of("state");
    let state = NewState {
        key: flow,
        tenant: tenant.clone(),
        provider: provider.clone(),
        app: app.clone(),
        binding: [0; 32],
        sealed: seal(&flow.to_string(), SealedKind::State, &[5]),
        open_for: Duration::from_secs(600),
        keep_for: Duration::from_secs(600),
    };
    store.put_state(state).await.unwrap();
    let before: Vec<Stored> = stored(&store, (0..5).map(key)).await;

    let new = keyring(&[2, 1]);
    let mut resealed = 0;
    let mut after = None;
    loop {
        let page = reseal_page(&store, &new, after.as_ref(), 2).await.unwrap();
        assert!(page.unopenable.is_empty() && page.changed == 0, "{page:?}");
        resealed += page.resealed;
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    eprintln!("records of the in-memory store resealed: {resealed} of 6");
    assert_eq!(resealed, 6);

    // No record needs the old key any more, and all contents are unchanged.
    let only_new = keyring(&[2]);
    let left = store.sealed_rows(&only_new.sealing_key(), None, 100).await;
    assert_eq!(left.unwrap().items, []);
    let rows = store.sealed_rows(&old.sealing_key(), None, 100).await;
    let mut contents: Vec<u8> = rows
        .unwrap()
        .items
        .iter()
        .flat_map(|row| {
            let opened = only_new.open_now(&row.seal_context(), &row.sealed).unwrap();
            opened.expose().to_vec()
        })
        .collect();
    contents.sort_unstable();
    assert_eq!(contents, [0, 1, 2, 3, 4, 5]);
    for (before, after) in before.iter().zip(stored(&store, (0..5).map(key)).await) {
        assert_eq!(after.connection, before.connection);
    }
}

async fn stored(store: &MemoryStore, keys: impl Iterator<Item = ConnectionKey>) -> Vec<Stored> {
    let mut all = Vec::new();
    for key in keys {
        all.push(store.load(&key).await.unwrap().unwrap());
    }
    all
}
