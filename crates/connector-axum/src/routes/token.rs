//! Access tokens for programs in other languages.

use secrecy::ExposeSecret;

use super::views::IssuedToken;
use crate::serve::{Call, Outcome, Reply};

pub(super) async fn issue(call: Call) -> Outcome {
    let key = call.key()?;
    let hub = &call.shared.hub;
    let token = hub.issue_token(&key, call.context()?).await?;
    Reply::ok(&IssuedToken {
        access_token: token.secret().expose_secret().to_owned(),
        origin: token.origin().to_string(),
        scopes: token.scopes().to_vec(),
        expires_at: token.expires_at().map(|it| it.to_string()),
    })
}
