//! Standard providers with different features: a description, its simulator, and the whole suite.

use connector_core::provider::Description;
use connector_sim::AuthorityBuilder;
use connector_testkit::connector::{Simulated, SimulatedProvider, applicable};
use serde_json::json;

use super::plain::Plain;

macro_rules! form {
    ($module:ident, $name:ident, $description:tt) => {
        form!($module, $name, $description, |builder| builder);
    };
    ($module:ident, $name:ident, $description:tt, $simulator:expr) => {
        pub(super) struct $name;

        impl SimulatedProvider for $name {
            fn description() -> Description {
                serde_json::from_value(json!($description)).unwrap()
            }

            fn simulator(builder: AuthorityBuilder) -> AuthorityBuilder {
                let simulator: fn(AuthorityBuilder) -> AuthorityBuilder = $simulator;
                simulator(builder)
            }
        }

        mod $module {
            connector_testkit::connector_suite!(super::Simulated<super::$name>);
        }
    };
}

form!(named_in_the_response, NamedInTheResponse, {
    "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
    "headers": { "Acme-Version": "2026-11-01" },
    "authorization": { "endpoint": "https://acme.example/authorize" },
    "token": { "endpoint": "https://acme.example/token", "encoding": "json" },
    "identity": { "account": "/workspace/id", "label": "/workspace/name" },
    "lifetimes": { "unstated": "until_refused" }
});

form!(in_the_query, InTheQuery, {
    "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
    "authorization": { "endpoint": "https://acme.example/authorize", "pkce": "refused" },
    "token": { "endpoint": "https://acme.example/token", "method": "get",
        "client_authentication": "body",
        "response": { "access_token": "/data/access_token", "refresh_token": "/data/refresh_token",
            "scope": "/data/permissions" } },
    "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
    "scopes": { "default": ["read", "write"], "separator": "," },
    "rotation": "old_tokens_live_on"
});

form!(hexadecimal, Hexadecimal, {
    "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
    "authorization": { "endpoint": "https://acme.example/authorize", "pkce": "s256_hex" },
    "token": { "endpoint": "https://acme.example/token", "client_authentication": "none",
        "client_id_parameter": "client_key",
        "response": { "keep": { "open_id": "/open_id" } } },
    "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
    "rotation": { "grace": { "time": { "seconds": 60 } } }
});

form!(with_an_id_token, WithAnIdToken, {
    "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
    "authorization": { "endpoint": "https://acme.example/authorize", "nonce": true },
    "token": { "endpoint": "https://acme.example/token", "client_authentication": "body" },
    "identity": { "issuer": "https://login.acme.example/{tid}/v2.0", "account": ["/tid", "/oid"],
        "probe": "https://api.acme.example/me" },
    "scopes": { "default": ["openid", "files.read"] },
    "rotation": "old_tokens_live_on"
}, |builder| builder.with_account(connector_sim::Account::new("tenant-1:user-7")));

form!(another_code, AnotherCode, {
    "provider": "acme", "name": "Acme", "api": ["https://api.acme.example"],
    "authorization": { "endpoint": "https://acme.example/authorize",
        "code_parameter": "acme_code" },
    "token": { "endpoint": "https://acme.example/token",
        "client_authentication": "secret_as_user",
        "omitted_parameters": ["redirect_uri"],
        "response": { "error": "/fault/code", "error_description": "/fault/text" } },
    "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
    "authentication": { "prefixed": { "header": "authorization", "prefix": "Bot " } },
    "refusals": [
        { "code": "grant_gone", "means": "dead_grant" },
        { "status": 410, "means": "dead_grant" },
        { "status": 403, "code": "app_suspended", "means": "app_fault_certain" }
    ],
    "rotation": "stable"
}, AuthorityBuilder::with_repeated_refresh_token);

form!(with_hosts, WithHosts, {
    "provider": "acme", "name": "Acme", "api": ["https://{account}"],
    "authorization": { "endpoint": "https://{account}/authorize",
        "issuer": "https://acme.example" },
    "token": { "endpoint": "https://{account}/token" },
    "identity": { "endpoint": "https://{account}/me", "account": "/id" },
    "revocation": { "endpoint": "https://{account}/revoke", "reach": "token" },
    "account_host": { "suffix": ".acme.example" },
    "scopes": { "default": ["read", "write"] },
    "rotation": { "grace": { "until_successor_used": { "max_seconds": 600 } } }
});

#[test]
fn a_plain_provider_of_any_form_passes_the_suite_by_its_description() {
    let counts = [
        applicable::<Simulated<Plain>>().len(),
        applicable::<Simulated<NamedInTheResponse>>().len(),
        applicable::<Simulated<InTheQuery>>().len(),
        applicable::<Simulated<Hexadecimal>>().len(),
        applicable::<Simulated<WithAnIdToken>>().len(),
        applicable::<Simulated<AnotherCode>>().len(),
        applicable::<Simulated<WithHosts>>().len(),
    ];
    println!(
        "forms: {}; cases that apply to each: {counts:?}",
        counts.len()
    );
    assert!(counts.iter().all(|count| *count >= 25), "{counts:?}");
}

#[test]
fn a_plain_provider_with_its_conformance_test_is_short() {
    let lines = include_str!("plain.rs").lines().count();
    println!("lines of a plain provider with its conformance test: {lines}");
    assert!(lines < 60);
}
