//! Notion's OAuth endpoints and parameters as a provider description.
//!
//! See [Notion docs:
//! Authorization](https://developers.notion.com/guides/get-started/authorization). Notion follows
//! RFC 6749, with these differences:
//!
//! * The parameter `owner=user` is required. Notion has no scopes and no PKCE. Access depends on
//!   the connection's capabilities and on the pages that the user selects.
//! * The client authenticates with HTTP Basic, and request bodies are JSON.
//! * The token request must contain `redirect_uri` if the authorization request contained it. This
//!   connector always sends it in both requests.
//! * A token response does not state a lifetime. The hub refreshes an access token only after the
//!   API rejects it with 401. Every refresh returns a new refresh token.
//! * The account key is the bot's id, `bot_id` in the token response.

use connector_core::provider::oauth::TokenRequest;
use connector_core::provider::{Context, Description};
use connector_core::{Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use url::Url;

use crate::config::NotionConfig;
use crate::{Notion, limits, webhook};

const DESCRIPTION: &str = r#"{
    "provider": "notion",
    "name": "Notion",
    "api": ["https://api.notion.com"],
    "headers": { "notion-version": "2026-03-11" },
    "authorization": {
        "endpoint": "https://api.notion.com/v1/oauth/authorize",
        "pkce": "refused",
        "parameters": { "owner": "user" }
    },
    "token": {
        "endpoint": "https://api.notion.com/v1/oauth/token",
        "encoding": "json",
        "response": {
            "error": ["/error", "/code"],
            "error_description": ["/error_description", "/message"]
        }
    },
    "revocation": {
        "endpoint": "https://api.notion.com/v1/oauth/revoke",
        "encoding": "json",
        "reach": "grant",
        "token": "access_token"
    },
    "identity": {
        "account": "/bot_id",
        "label": "/workspace_name",
        "metadata": {
            "workspace_id": "/workspace_id",
            "workspace_name": "/workspace_name",
            "workspace_icon": "/workspace_icon",
            "owner_type": "/owner/type",
            "owner": "/owner/user/id",
            "owner_name": "/owner/user/name",
            "owner_email": "/owner/user/person/email",
            "duplicated_template_id": "/duplicated_template_id"
        },
        "probe": "https://api.notion.com/v1/users/me"
    },
    "lifetimes": { "unstated": "until_refused" },
    "rotation": "strict",
    "refusals": [
        { "code": "unauthorized", "means": "app_fault" },
        { "code": "conflict_error", "means": "already_refreshed" }
    ],
    "links": ["*.amazonaws.com", "*.notion-static.com"]
}"#;

/// Origin of the API.
pub(crate) const API: &str = "https://api.notion.com";
/// Token introspection endpoint (RFC 7662).
pub(crate) const INTROSPECTION: &str = "https://api.notion.com/v1/oauth/introspect";

/// Returns the description with these settings. A test checks that the constant is valid.
pub(crate) fn description(config: &NotionConfig) -> Description {
    let read = serde_json::from_str(DESCRIPTION);
    let mut description = read.unwrap_or_else(|_| Description::new(Notion::ID, "Notion"));
    description.limits = limits::limits(config.requests_per_minute);
    description.webhook = webhook::scheme();
    description
}

/// State of a token at Notion.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Introspection {
    /// True if Notion accepts the token.
    pub active: bool,
    /// The capabilities, if the response contains them.
    #[serde(default)]
    pub scope: Option<String>,
    /// Time of issue in Unix seconds, if the response contains it.
    #[serde(default)]
    pub iat: Option<i64>,
}

/// Introspects a token at Notion.
pub(crate) async fn introspect(
    description: &Description,
    cx: &Context<'_>,
    token: &SecretString,
) -> Result<Introspection> {
    const OPERATION: &str = "notion.introspect";
    let failed = |kind, message| {
        Error::new(kind, OPERATION, message).with_provider(Notion::ID.as_str().to_owned())
    };
    let url = Url::parse(INTROSPECTION)
        .map_err(|_| failed(ErrorKind::Bug, "the URL is malformed; please report it"))?;
    let request = TokenRequest::at_url(description, cx, &url).field("token", token.expose_secret());
    let answer = request.response(OPERATION).await;
    let answer = answer.map_err(connector_core::provider::oauth::ExchangeError::into_error)?;
    match answer.status().as_u16() {
        200 => serde_json::from_slice(answer.body()).map_err(|_| {
            let message = "the response is not the expected JSON; please report this bug";
            failed(ErrorKind::UnexpectedResponse, message)
        }),
        400 | 401 | 403 => Err(failed(
            ErrorKind::AppMisconfigured,
            "Notion rejected the app registration; check the client id and secret",
        )),
        429 | 529 => Err(failed(
            ErrorKind::RateLimited,
            "Notion's rate limit is reached; try again later",
        )),
        _ => Err(failed(
            ErrorKind::ProviderUnavailable,
            "Notion is unavailable; try again later",
        )),
    }
}
