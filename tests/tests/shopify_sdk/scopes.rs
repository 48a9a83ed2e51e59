//! Lists of scopes.

use std::collections::BTreeSet;

use connector_shopify::expand_scopes;
use connector_tests::repetitions;
use connector_tests::shopify_sdk::ShopifySdk;
use proptest::collection::btree_set;
use proptest::prop_oneof;
use proptest::strategy::Strategy;

use crate::samples;

/// Lists of different scopes, many of which include another.
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
        // What an answer lists leads to the same.
        assert_eq!(ours, set(expand_scopes(&read.compressed)), "{list:?}");
    }
    println!("lists of scopes: {count}, scopes found within others: {included}");
    assert!(included > 100);
}
