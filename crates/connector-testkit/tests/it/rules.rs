//! The suites and the documentation of the store traits contain the same rules.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use connector_core::clock::SystemClock;
use connector_core::store::MemoryStore;
use connector_testkit::store::{
    audit_log, delivery_queue, maintenance_of_a_store, state_store, subscription_store, token_store,
};
use connector_testkit::{Case, StoreFixture};

/// Never created: only the names of its cases are used.
struct Unused;

#[async_trait]
impl StoreFixture for Unused {
    type Store = MemoryStore;

    async fn create() -> Self {
        Self
    }

    async fn open(&self) -> MemoryStore {
        MemoryStore::new(Arc::new(SystemClock::new()))
    }

    fn advance(&self, _by: Duration) {}
}

/// The names of the tests that a suite's macro generates.
macro_rules! names {
    ([] $($name:ident)*) => { vec![$(stringify!($name)),*] };
}

/// Returns the names in backticks, alone or in a list, within parentheses of a doc comment.
fn rules_of(source: &str) -> BTreeSet<String> {
    connector_testkit::trace::init();
    let docs: Vec<_> = source
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("///"))
        .map(str::trim)
        .collect();
    let docs = docs.join(" ");
    let mut rules = BTreeSet::new();
    for group in docs.split('(').skip(1) {
        let Some((group, _)) = group.split_once(')') else {
            continue;
        };
        let names: Vec<_> = group.split(',').map(str::trim).collect();
        let is_rule = |name: &&str| {
            name.strip_prefix('`')
                .and_then(|name| name.strip_suffix('`'))
                .is_some_and(|name| {
                    name.contains('_') && name.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                })
        };
        if names.iter().all(is_rule) {
            rules.extend(names.iter().map(|name| name.trim_matches('`').to_owned()));
        }
    }
    rules
}

#[test]
fn suites_and_documentation_name_the_same_rules() {
    let suites: [(&str, Vec<Case>, Vec<&str>); 6] = [
        (
            "token.rs",
            token_store::cases::<Unused>(),
            connector_testkit::token_store_cases! { [names] [] },
        ),
        (
            "state.rs",
            state_store::cases::<Unused>(),
            connector_testkit::state_store_cases! { [names] [] },
        ),
        (
            "delivery.rs",
            delivery_queue::cases::<Unused>(),
            connector_testkit::delivery_queue_cases! { [names] [] },
        ),
        (
            "audit.rs",
            audit_log::cases::<Unused>(),
            connector_testkit::audit_log_cases! { [names] [] },
        ),
        (
            "subscription.rs",
            subscription_store::cases::<Unused>(),
            connector_testkit::subscription_store_cases! { [names] [] },
        ),
        (
            "maintenance.rs",
            maintenance_of_a_store::cases::<Unused>(),
            connector_testkit::maintenance_cases! { [names] [] },
        ),
    ];
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../connector-core/src/store");
    let mut compared = 0;
    for (file, cases, names) in suites {
        let cases: Vec<_> = cases.iter().map(Case::name).collect();
        assert_eq!(cases, names, "{file}");
        let distinct: BTreeSet<_> = names.iter().map(|name| (*name).to_owned()).collect();
        assert_eq!(distinct.len(), names.len(), "{file} names a rule twice");
        let Ok(source) = std::fs::read_to_string(folder.join(file)) else {
            println!("skipped: the source of connector-core ({file}) is not beside this package");
            continue;
        };
        let rules = rules_of(&source);
        let without_case: Vec<_> = rules.difference(&distinct).collect();
        let undocumented: Vec<_> = distinct.difference(&rules).collect();
        assert!(
            without_case.is_empty(),
            "{file}: no case of {without_case:?}"
        );
        assert!(
            undocumented.is_empty(),
            "{file}: no rule of {undocumented:?}"
        );
        compared += rules.len();
    }
    println!("rules with a case of the same name: {compared}");
    assert!(compared > 0 || !folder.exists());
}

#[test]
fn rules_are_found_in_documentation() {
    let source = "
        /// Text (with a `word` in it) (`first_rule`), and more
        /// (`second_rule`, `third_rule`) but (not_this) or (`NotThis`).
        // (`not_a_doc_comment`)
        /// A name over two lines (
        /// `fourth_rule`).
    ";
    let expected = ["first_rule", "fourth_rule", "second_rule", "third_rule"];
    assert_eq!(rules_of(source), expected.map(str::to_owned).into());
}
