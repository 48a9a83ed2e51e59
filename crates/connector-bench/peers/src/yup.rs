//! An authenticator of yup-oauth2 with one token in memory.

use std::sync::Mutex;

use async_trait::async_trait;
use time::OffsetDateTime;
use yup_oauth2::authenticator::{DefaultAuthenticator, InstalledFlowAuthenticator};
use yup_oauth2::storage::{TokenInfo, TokenStorage, TokenStorageError};
use yup_oauth2::{ApplicationSecret, InstalledFlowReturnMethod};

/// A token storage with one token. The built-in storage accepts no refresh token without a browser.
/// A lock around one token costs less than its map.
struct OneToken(Mutex<TokenInfo>);

#[async_trait]
impl TokenStorage for OneToken {
    async fn set(&self, _: &[&str], token: TokenInfo) -> Result<(), TokenStorageError> {
        if let Ok(mut kept) = self.0.lock() {
            *kept = token;
        }
        Ok(())
    }

    async fn get(&self, _: &[&str]) -> Option<TokenInfo> {
        self.0.lock().ok().map(|token| token.clone())
    }
}

/// Returns an authenticator with a token that expires in `seconds` and is refreshed at `token_uri`.
pub(crate) async fn authenticator(
    token_uri: String,
    seconds: i64,
) -> std::io::Result<DefaultAuthenticator> {
    let secret = ApplicationSecret {
        client_id: "client".into(),
        client_secret: "secret".into(),
        token_uri,
        ..ApplicationSecret::default()
    };
    let at = OffsetDateTime::from_unix_timestamp(now() + seconds).ok();
    let token = TokenInfo {
        access_token: Some("access-0".into()),
        refresh_token: Some("refresh-0".into()),
        expires_at: at,
        id_token: None,
    };
    InstalledFlowAuthenticator::builder(secret, InstalledFlowReturnMethod::Interactive)
        .with_storage(Box::new(OneToken(Mutex::new(token))))
        .build()
        .await
}

fn now() -> i64 {
    use connector_core::clock::{Clock as _, SystemClock};

    SystemClock::new().now().as_unix_seconds()
}
