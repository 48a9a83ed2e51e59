//! Signatures of webhooks: the library and the simulator accept each other's.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use crate::App;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_accepts_the_signatures_of_the_simulator() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let handshake = app.sim.create_webhook().unwrap();
    let body: serde_json::Value = serde_json::from_slice(handshake.body()).unwrap();
    let token = SecretString::from(body["verification_token"].as_str().unwrap());
    let mut requests = vec![handshake];
    for body in [
        json!({}),
        json!({ "id": "évènement \u{1F600}" }),
        json!({ "type": "x\u{2028}" }),
    ] {
        requests.push(app.sim.sign_event(&body).unwrap());
    }
    for kind in connector_notion::models::EVENT_TYPES {
        let page = app.sim.add_page("A page").unwrap();
        let event = app.sim.event(kind, ("page", page.as_str()), &[]).unwrap();
        requests.push(event);
    }
    let mut checked = 0;
    for request in &requests {
        let signature = request.headers()["x-notion-signature"].to_str().unwrap();
        let body = request.body();
        let (mine, is_accepted, is_wrong_accepted) = app.with(|sdk, _| {
            let mut changed = body.to_vec();
            changed.push(b' ');
            Ok((
                sdk.sign_webhook(&token, body)?,
                sdk.accepts_webhook(&token, body, signature)?,
                sdk.accepts_webhook(&token, &changed, signature)?,
            ))
        });
        assert_eq!(mine, signature);
        assert!(is_accepted && !is_wrong_accepted);
        checked += 1;
    }
    assert!(token.expose_secret().starts_with("secret_"));
    println!("webhooks whose signature Notion's library also makes: {checked}");
    assert!(checked > 20);
}
