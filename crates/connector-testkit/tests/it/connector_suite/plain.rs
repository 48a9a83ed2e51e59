//! A standard provider in full: its description, its simulator and its conformance test.

use connector_core::provider::Description;
use connector_testkit::connector::{Simulated, SimulatedProvider};

pub(super) struct Plain;

impl SimulatedProvider for Plain {
    fn description() -> Description {
        serde_json::from_str(
            r#"{
                "provider": "acme",
                "name": "Acme",
                "api": ["https://api.acme.example"],
                "authorization": { "endpoint": "https://acme.example/authorize" },
                "token": { "endpoint": "https://acme.example/token" },
                "revocation": { "endpoint": "https://acme.example/revoke" },
                "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
                "scopes": { "default": ["read", "write"] },
                "rotation": "strict"
            }"#,
        )
        .unwrap()
    }
}

connector_testkit::connector_suite!(Simulated<Plain>);
