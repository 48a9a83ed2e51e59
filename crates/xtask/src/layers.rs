//! The layer check: the permitted dependencies of each workspace crate, and the crates that may
//! open sockets.

use crate::workspace::{Declared, Package, Workspace};

const CORE: &str = "connector-core";
const HTTP: &str = "connector-http";
const HUB: &str = "connector-hub";
const SIM: &str = "connector-sim";
const TESTKIT: &str = "connector-testkit";

/// Crates that only `connector-http` and unpublished programs may depend on directly.
const NETWORK: &[&str] = &["reqwest", "rustls", "rustls-platform-verifier"];

/// The crates of [`NETWORK`] that encrypt a store's connections to its server.
const ENCRYPTION: &[&str] = &["rustls", "rustls-platform-verifier"];

/// The layer of a workspace crate, derived from its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layer {
    Core,
    Transport,
    Hub,
    Simulation,
    Testkit,
    Store,
    /// A store on a server, which opens its own encrypted connections.
    ServerStore,
    /// Integrations on top of the hub: `connector-axum`, `connector-sync`.
    Surface,
    Provider,
    /// The crate that re-exports the others.
    Facade,
    /// Examples, tests, benchmarks, and workspace commands.
    Program,
}

impl Layer {
    fn of(name: &str) -> Self {
        match name {
            CORE => Self::Core,
            HTTP => Self::Transport,
            HUB => Self::Hub,
            SIM => Self::Simulation,
            TESTKIT => Self::Testkit,
            "connector-axum" | "connector-sync" => Self::Surface,
            "connectors" => Self::Facade,
            "connector-axum-examples"
            | "connector-console"
            | "connector-bench"
            | "connector-examples"
            | "connector-tests"
            | "xtask" => Self::Program,
            "connector-store-postgres" => Self::ServerStore,
            _ if name.starts_with("connector-store-") => Self::Store,
            _ => Self::Provider,
        }
    }

    /// Returns true if a crate of this layer may have `to` as a normal dependency. `is_optional` is
    /// true for a dependency that a feature enables.
    fn may_use(self, to: &str, is_optional: bool) -> bool {
        match self {
            Self::Core => false,
            Self::Transport | Self::Simulation | Self::Store | Self::ServerStore => to == CORE,
            Self::Hub => to == CORE || (to == HTTP && is_optional),
            Self::Provider => to == CORE || (to == SIM && is_optional),
            Self::Testkit => matches!(to, CORE | SIM | HTTP),
            Self::Surface => matches!(to, CORE | HUB),
            Self::Facade => !matches!(Self::of(to), Self::Testkit | Self::Program),
            Self::Program => true,
        }
    }

    /// Returns true if a crate of this layer may depend directly on this crate of [`NETWORK`].
    fn may_open_sockets(self, with: &str) -> bool {
        match self {
            Self::Transport | Self::Program => true,
            Self::ServerStore => ENCRYPTION.contains(&with),
            _ => false,
        }
    }

    /// Returns true if a crate of this layer may not depend on any crate of [`NETWORK`], not even
    /// indirectly.
    const fn is_free_of_network(self) -> bool {
        matches!(self, Self::Core | Self::Store)
    }
}

/// Returns the violations in the workspace's `Cargo.toml` files.
pub(crate) fn complaints(workspace: &Workspace) -> Vec<String> {
    let members: Vec<&Package> = workspace.members().collect();
    let is_member = |name: &str| members.iter().any(|member| member.name == name);
    members
        .iter()
        .flat_map(|member| {
            member
                .dependencies
                .iter()
                .filter_map(|dependency| refusal(&member.name, dependency, is_member))
        })
        .collect()
}

/// Returns the crates of [`NETWORK`] in the dependency tree of `name`, if it may have none.
pub(crate) fn network_below<'a>(name: &str, tree: impl Iterator<Item = &'a str>) -> Vec<String> {
    if !Layer::of(name).is_free_of_network() {
        return Vec::new();
    }
    tree.filter(|dependency| NETWORK.contains(dependency))
        .map(|dependency| format!("{name} compiles {dependency}"))
        .collect()
}

fn refusal(from: &str, to: &Declared, is_member: impl Fn(&str) -> bool) -> Option<String> {
    let layer = Layer::of(from);
    let is_normal = to.kind.is_none();
    if NETWORK.contains(&&*to.name) {
        return (is_normal && !layer.may_open_sockets(&to.name))
            .then(|| format!("{from} depends on {}; only {HTTP} may", to.name));
    }
    if !is_member(&to.name) || to.name == from {
        return None;
    }
    if is_normal {
        return (!layer.may_use(&to.name, to.optional))
            .then(|| format!("{from} must not depend on {}", to.name));
    }
    let both_providers = layer == Layer::Provider && Layer::of(&to.name) == Layer::Provider;
    both_providers.then(|| format!("{from} must not depend on {}, another provider", to.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(from: &str, to: &str, kind: Option<&str>, optional: bool) -> bool {
        let declared = Declared {
            name: to.to_owned(),
            kind: kind.map(str::to_owned),
            optional,
        };
        refusal(from, &declared, |name| name.starts_with("connector")).is_some()
    }

    #[test]
    fn dependencies_point_one_way() {
        let normal = |from, to| refused(from, to, None, false);
        for (from, to) in [
            (CORE, HUB),
            (CORE, HTTP),
            ("connector-store-sqlite", HUB),
            ("connector-store-sqlite", "connector-store-redis"),
            ("connector-shopify", HUB),
            ("connector-shopify", HTTP),
            ("connector-shopify", SIM),
            ("connector-shopify", "connector-airtable"),
            (HUB, HTTP),
            (HUB, "connector-shopify"),
            (HTTP, HUB),
            (SIM, HTTP),
            (TESTKIT, HUB),
            ("connector-axum", "connector-shopify"),
            ("connectors", TESTKIT),
            (CORE, "reqwest"),
            (HUB, "rustls"),
            (TESTKIT, "reqwest"),
            ("connectors", "reqwest"),
            ("connector-store-postgres", "reqwest"),
            ("connector-store-postgres", HUB),
            ("connector-store-sqlite", "rustls"),
        ] {
            assert!(normal(from, to), "{from} on {to}");
        }
        for (from, to) in [
            (HUB, CORE),
            ("connector-shopify", CORE),
            ("connector-shopify", "http"),
            ("connector-axum", HUB),
            (TESTKIT, HTTP),
            ("connectors", "connector-shopify"),
            ("connector-tests", "connector-shopify"),
            ("xtask", TESTKIT),
            (HTTP, "reqwest"),
            ("connector-store-postgres", CORE),
            ("connector-store-postgres", "rustls"),
            ("connector-bench", "rustls"),
        ] {
            assert!(!normal(from, to), "{from} on {to}");
        }
        assert!(!refused("connector-shopify", SIM, None, true));
        assert!(!refused(HUB, HTTP, None, true));
    }

    #[test]
    fn tests_may_use_anything_but_another_provider() {
        let dev = |from, to| refused(from, to, Some("dev"), false);
        assert!(dev("connector-shopify", "connector-airtable"));
        for (from, to) in [
            ("connector-shopify", "connector-shopify"),
            ("connector-shopify", HTTP),
            ("connector-shopify", HUB),
            (CORE, TESTKIT),
            (CORE, "reqwest"),
        ] {
            assert!(!dev(from, to), "{from} on {to}");
        }
    }

    #[test]
    fn nothing_below_core_or_a_store_opens_sockets() {
        let below = |name| network_below(name, ["tokio", "rustls"].into_iter());
        assert_eq!(below(CORE), ["connector-core compiles rustls"]);
        assert_eq!(below("connector-store-sqlite").len(), 1);
        assert!(below(HTTP).is_empty());
    }
}
