//! A plain provider, complete: its description and its conformance test.

use connector_core::provider::Description;
use connector_testkit::connector::{Simulated, SimulatedProvider};

const ACME: &str = r#"{
    "provider": "acme",
    "name": "Acme",
    "api": ["https://api.acme.example"],
    "authorization": { "endpoint": "https://acme.example/oauth/authorize" },
    "token": { "endpoint": "https://acme.example/oauth/token" },
    "revocation": { "endpoint": "https://acme.example/oauth/revoke", "reach": "grant" },
    "identity": { "endpoint": "https://api.acme.example/v1/me", "account": "/id", "label": "/name" },
    "scopes": { "default": ["orders.read", "orders.write"] },
    "rotation": "strict",
    "limits": [{
        "name": "calls", "per": "account",
        "model": { "bucket": { "capacity": 10, "per_second": 2 } }
    }]
}"#;

struct Acme;

impl SimulatedProvider for Acme {
    fn description() -> Description {
        serde_json::from_str(ACME).unwrap()
    }
}

connector_testkit::connector_suite!(Simulated<Acme>);
