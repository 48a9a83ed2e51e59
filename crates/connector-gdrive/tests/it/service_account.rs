//! Service accounts: adoption, token requests, impersonation, and disconnect without revocation.

use connector_core::api::UploadBody;
use connector_core::{Actor, ConnectionKey, ErrorKind, Result};
use connector_gdrive::endpoints::{GetAbout, ListFiles};
use connector_gdrive::models::FileMetadata;
use connector_gdrive::upload::Upload;
use connector_gdrive::{DriveClient, GoogleDrive, Reason, scope};
use ring::signature::{KeyPair as _, RsaKeyPair};
use secrecy::SecretString;

use crate::rig::{Rig, context, start};

const EMAIL: &str = "robot@example-project.iam.example";
/// The example key of RFC 7515, appendix A.2.
const KEY: &str = include_str!("key.pem");

fn key_file(email: &str) -> SecretString {
    let file = serde_json::json!({
        "type": "service_account", "project_id": "example-project", "private_key_id": "key-1",
        "private_key": KEY, "client_email": email, "client_id": "1",
        // The connector ignores this URL, because it could point to another server.
        "token_uri": "https://evil.example/token",
    });
    SecretString::from(file.to_string())
}

fn public_key() -> Vec<u8> {
    use base64::Engine as _;
    let body: String = KEY.lines().filter(|line| !line.starts_with('-')).collect();
    let der = base64::prelude::BASE64_STANDARD.decode(body).unwrap();
    let pair = RsaKeyPair::from_pkcs8(&der).unwrap();
    pair.public_key().as_ref().to_vec()
}

async fn rig() -> Rig {
    Rig::with(|it| {
        it.with_user("1", "ada@example.com")
            .with_service_account(EMAIL, public_key())
    })
    .await
}

impl Rig {
    async fn adopt(&self, email: &str, user: Option<&str>) -> Result<ConnectionKey> {
        let credential =
            GoogleDrive::service_account(&key_file(email), user, [scope::DRIVE], start());
        let adopt = self
            .hub
            .adopt(&Self::tenant(), GoogleDrive::ID, credential?);
        Ok(adopt.actor(Actor::Worker).await?.connection().key().clone())
    }
}

#[tokio::test]
async fn a_service_account_is_adopted_and_receives_tokens() {
    let rig = rig().await;
    let key = rig.adopt(EMAIL, None).await.unwrap();
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert_eq!(connection.account.key.as_str(), EMAIL);
    let client = rig.hub.client::<DriveClient>(&key).await.unwrap();
    let about = client.send(&GetAbout::new()).await.unwrap();
    assert_eq!(about.user.unwrap().email_address.as_deref(), Some(EMAIL));
    // A service account has no storage, but shared drives have storage.
    let upload = Upload::create(FileMetadata::named("X"), "text/plain");
    let refused = client
        .upload_file(&upload, UploadBody::bytes("x"))
        .await
        .unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::StorageQuota));
    let tokens = || rig.sim.server().count(&http::Method::POST, "/token");
    let before = tokens();
    for _ in 0..5 {
        rig.clock.advance(std::time::Duration::from_secs(3600));
        rig.drive(client.send(&ListFiles::new())).await.unwrap();
    }
    assert!(tokens() >= before + 5);
    rig.hub.disconnect(&key, context()).await.unwrap();
    rig.work().await;
    assert_eq!(rig.sim.server().count(&http::Method::POST, "/revoke"), 0);
    println!("tokens issued: {}", tokens());
}

#[tokio::test]
async fn a_service_account_acts_for_a_user_of_its_domain() {
    let rig = rig().await;
    rig.sim.add_file(None, "Ada's", "text/plain", "x").unwrap();
    let key = rig.adopt(EMAIL, Some("ada@example.com")).await.unwrap();
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert_eq!(
        connection.account.key.as_str(),
        format!("{EMAIL}/ada@example.com")
    );
    assert_eq!(connection.account.label.as_deref(), Some("ada@example.com"));
    let client = rig.hub.client::<DriveClient>(&key).await.unwrap();
    let files = client.send(&ListFiles::new()).await.unwrap();
    assert_eq!(files.items.len(), 1);
    let upload = Upload::create(FileMetadata::named("Hers"), "text/plain");
    client
        .upload_file(&upload, UploadBody::bytes("x"))
        .await
        .unwrap();
    // An impersonation without delegation for that user, and an unknown service account.
    for (email, user) in [
        (EMAIL, "eve@elsewhere.example"),
        ("other@example.com", "ada@example.com"),
    ] {
        let refused = rig.adopt(email, Some(user)).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Unauthorized);
        assert!(!refused.report().contains("BEGIN"));
    }
}

#[test]
fn an_invalid_key_file_is_refused_and_not_quoted() {
    let good = key_file(EMAIL);
    let wrong = [
        ("", None),
        ("{}", None),
        (
            r#"{"client_email":"a@b","private_key":"tell-nobody"}"#,
            None,
        ),
        (r#"{"client_email":"tell nobody","private_key":"x"}"#, None),
    ];
    for (key, user) in wrong {
        let key = SecretString::from(key);
        let error = GoogleDrive::service_account(&key, user, [scope::DRIVE], start()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
        assert!(!error.report().contains("nobody"));
    }
    let error = GoogleDrive::service_account(&good, Some("nobody"), [scope::DRIVE], start());
    assert_eq!(error.unwrap_err().kind(), ErrorKind::InvalidInput);
    println!("key files refused: {}", wrong.len() + 1);
}
