//! A page has a cursor only if more items follow, so that no caller requests an empty page.

use connector_core::cipher::KeyId;
use connector_core::store::{
    AuditFilter, AuditLog, Cursor, Filter, Maintenance, SideEffects, TokenStore,
};
use connector_testkit::StoreFixture;

use crate::fixture::Fixture;
use crate::fixture::grants::{effects, first_grant};

const ROWS: u8 = 6;

/// Returns the number of items in each page of `n`, from the first page to the last.
async fn slices<F: Future<Output = (usize, Option<Cursor>)>>(
    n: u16,
    mut slice: impl FnMut(Option<Cursor>, u16) -> F,
) -> Vec<usize> {
    let (mut lengths, mut after) = (Vec::new(), None);
    loop {
        let (length, next) = slice(after.take(), n).await;
        lengths.push(length);
        after = next;
        if after.is_none() {
            return lengths;
        }
        assert!(lengths.len() <= ROWS.into(), "the list does not end");
    }
}

#[tokio::test]
async fn no_list_ends_with_an_empty_page() {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    for number in 0..ROWS {
        let put = store.put_grant(first_grant(number, b"sealed"), effects(number));
        put.await.unwrap();
    }
    let other = KeyId::from_bytes([9; 8]);
    let mut lists = 0;
    for (n, expected) in [
        (1, vec![1; 6]),
        (2, vec![2; 3]),
        (4, vec![4, 2]),
        (6, vec![6]),
        (7, vec![6]),
    ] {
        let connections = slices(n, async |after, n| {
            let slice = store.list(&Filter::everyone(), after.as_ref(), n).await;
            slice.map(|it| (it.items.len(), it.next)).unwrap()
        });
        assert_eq!(connections.await, expected, "connections by {n}");
        let audit = slices(n, async |after, n| {
            let slice = store
                .audit(&AuditFilter::default(), after.as_ref(), n)
                .await;
            slice.map(|it| (it.items.len(), it.next)).unwrap()
        });
        assert_eq!(audit.await, expected, "audit by {n}");
        let sealed = slices(n, async |after, n| {
            let slice = store.sealed_rows(&other, after.as_ref(), n).await;
            slice.map(|it| (it.items.len(), it.next)).unwrap()
        });
        assert_eq!(sealed.await, expected, "sealed rows by {n}");
        lists += 3;
    }
    println!("lists read completely: {lists}");
    assert_eq!(lists, 15);
}

#[tokio::test]
async fn debug_of_a_store_shows_its_clock_but_no_content() {
    let fixture = Fixture::create().await;
    let store = fixture.open().await;
    let put = store.put_grant(first_grant(1, b"sealed"), SideEffects::none());
    put.await.unwrap();
    let shown = format!("{store:?}");
    assert_eq!(
        shown,
        format!("SqliteStore {{ clock: {:?}, .. }}", fixture.clock)
    );
}
