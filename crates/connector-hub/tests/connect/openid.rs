//! Flows with an OpenID Connect `nonce`: the ID token of the token response names the account.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use connector_core::ErrorKind;
use connector_core::provider::Description;
use serde_json::{Value, json};

use crate::rig::{ACME, ISSUER, Rig, acme, cookie, parameter, tenant, user};

/// Returns the description of a provider whose ID token names the account.
fn openid() -> Description {
    let mut description = acme();
    description.identity =
        serde_json::from_value(json!({ "issuer": ISSUER, "account": "/sub" })).unwrap();
    description.authorization.as_mut().unwrap().nonce = true;
    description.revocation = None;
    description
}

fn id_token(claims: &Value) -> String {
    let claims = BASE64_URL_SAFE_NO_PAD.encode(claims.to_string());
    format!("e30.{claims}.c2ln")
}

/// RFC 9700 section 4.5.3.2: without an ID token of this flow, no token of the response is used.
#[tokio::test]
async fn a_token_response_without_the_id_token_of_the_flow_connects_nothing() {
    let mut refused = 0;
    for case in ["right", "no ID token", "no nonce", "nonce of another flow"] {
        let rig = Rig::new();
        let hub = rig.hub_describing(openid());
        let start = |name: &str| {
            hub.authorize(&tenant(name), ACME)
                .actor(user("ann"))
                .begin()
        };
        let (begun, other) = (start("t1").await.unwrap(), start("t2").await.unwrap());
        let mut claims = json!({
            "iss": ISSUER, "aud": "client-1", "sub": "user-1", "exp": 1_700_000_600,
            "nonce": parameter(&begun, "nonce"),
        });
        match case {
            "no nonce" => claims["nonce"] = Value::Null,
            "nonce of another flow" => claims["nonce"] = parameter(&other, "nonce").into(),
            _ => {}
        }
        if case != "no ID token" {
            rig.provider
                .answer_with(json!({ "id_token": id_token(&claims) }));
        }
        let query = rig.provider.consent(begun.url(), "user-1");
        let callback = hub.callback(ACME, &query, cookie(&begun)).unbound();
        let outcome = callback.await;
        assert_eq!(rig.provider.token_calls(), 1, "{case}");
        if case == "right" {
            let key = outcome.unwrap().key().clone();
            let account = rig.stored(&key).await.connection.account;
            assert_eq!(account.key.as_str(), "user-1");
            continue;
        }
        let error = outcome.unwrap_err();
        assert_eq!(
            error.kind(),
            ErrorKind::UnexpectedResponse,
            "{case}: {error}"
        );
        assert!(rig.connections().await.is_empty(), "{case}");
        // The access token would be sent to the API's host.
        assert_eq!(
            rig.provider.hosts().into_iter().collect::<Vec<_>>(),
            ["acme.example"],
            "{case}"
        );
        refused += 1;
    }
    println!("token responses refused: {refused}");
    assert_eq!(refused, 3);
}
