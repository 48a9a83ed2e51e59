//! Tests of lists of scopes.

use std::collections::BTreeSet;

use connector_shopify::expand_scopes;
use connector_tests::repetitions;
use connector_tests::shopify_sdk::ShopifySdk;
use proptest::collection::btree_set;
use proptest::prop_oneof;
use proptest::strategy::Strategy;

use crate::samples;

/// Generates lists of different scopes, many of which include another scope.
pub(crate) fn scopes() -> impl Strategy<Value = Vec<String>> {
    let scope = prop_oneof![
        8 => "(unauthenticated_)?(read|write)_(products|orders|write_x)",
        1 => "[a-z_]{1,12}",
    ];
    btree_set(scope, 1..8).prop_map(Vec::from_iter)
}

#[test]
fn a_scope_includes_what_the_library_says() {
    let Some(mut sdk) = ShopifySdk::start().unwrap() else {
        return;
    };
    let lists = samples(&scopes(), repetitions(500));
    let count = lists.len();
    let mut included = 0;
    for list in lists {
        let read = sdk.scopes(&list).unwrap();
        let set = |scopes: Vec<String>| scopes.into_iter().collect::<BTreeSet<String>>();
        let ours = set(expand_scopes(&list));
        included += ours.len() - list.len();
        assert_eq!(ours, set(read.expanded), "{list:?}");
        // The list of a response leads to the same scopes.
        assert_eq!(ours, set(expand_scopes(&read.compressed)), "{list:?}");
    }
    println!("lists of scopes: {count}, scopes found within others: {included}");
    assert!(included > 100);
}
