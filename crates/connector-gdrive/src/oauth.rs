//! Google's OAuth as data.
//!
//! See [Google: OAuth 2.0 for web server applications](https://developers.google.com/identity/protocols/oauth2/web-server).
//! It follows RFC 6749, RFC 7636 and OpenID Connect, with these rules of its own:
//!
//! * A refresh token comes with `access_type=offline` only, and on repeated authorizations with
//!   `prompt=consent` only. It does not rotate.
//! * The owner may refuse single scopes: the response's `scope` says what was granted.
//! * A refresh token ends after 6 months without use, with the 101st live one of an account and
//!   client, after 7 days while the consent screen is in Testing, and when user or administrator say so.
//! * A revocation ends all grants of the account to the whole Google Cloud project, so that all Google
//!   connectors share a revocation family.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::Description;

use crate::config::GoogleDriveConfig;
use crate::{limits, webhook};

/// The scopes of Google Drive that an application may request.
///
/// See [Google Drive docs: Choose scopes](https://developers.google.com/workspace/drive/api/guides/api-specific-auth).
pub mod scope {
    /// The account's id. Required.
    pub const OPENID: &str = "openid";
    /// The account's e-mail address.
    pub const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
    /// Files that the app created or that the user opened with it. Needs no security assessment.
    pub const FILE: &str = "https://www.googleapis.com/auth/drive.file";
    /// The hidden folder of the app.
    pub const APP_DATA: &str = "https://www.googleapis.com/auth/drive.appdata";
    /// Metadata of all files, read only. Restricted.
    pub const METADATA_READONLY: &str = "https://www.googleapis.com/auth/drive.metadata.readonly";
    /// Metadata of all files. Restricted.
    pub const METADATA: &str = "https://www.googleapis.com/auth/drive.metadata";
    /// All files, read only. Restricted.
    pub const READONLY: &str = "https://www.googleapis.com/auth/drive.readonly";
    /// All files. Restricted.
    pub const DRIVE: &str = "https://www.googleapis.com/auth/drive";
}

const DESCRIPTION: &str = r#"{
    "provider": "google-drive",
    "name": "Google Drive",
    "api": ["https://www.googleapis.com"],
    "authorization": {
        "endpoint": "https://accounts.google.com/o/oauth2/v2/auth",
        "nonce": true,
        "parameters": { "access_type": "offline" },
        "flow_parameters": ["prompt", "login_hint", "hd", "enable_granular_consent", "include_granted_scopes"]
    },
    "token": {
        "endpoint": "https://oauth2.googleapis.com/token",
        "client_authentication": "body",
        "response": { "error": ["/error", "/error_subtype"] }
    },
    "revocation": { "endpoint": "https://oauth2.googleapis.com/revoke", "reach": "account", "family": "google" },
    "identity": {
        "issuer": "https://accounts.google.com",
        "account": "/sub",
        "label": "/email",
        "probe": "https://openidconnect.googleapis.com/v1/userinfo",
        "metadata": { "hd": "/hd" }
    },
    "lifetimes": { "idle_seconds": 15552000, "refresh_ahead_seconds": 300 },
    "rotation": "stable",
    "refusals": [
        { "code": "invalid_rapt", "means": "dead_grant" },
        { "code": "admin_policy_enforced", "means": "dead_grant" },
        { "code": "deleted_client", "means": "app_fault_certain" },
        { "code": "org_internal", "means": "app_fault" },
        { "code": "internal_failure", "means": "transient" },
        { "code": "server_error", "means": "transient" },
        { "code": "temporarily_unavailable", "means": "transient" }
    ],
    "scopes": {
        "default": [
            "openid",
            "https://www.googleapis.com/auth/userinfo.email",
            "https://www.googleapis.com/auth/drive.file"
        ],
        "required": ["openid"]
    }
}"#;

/// The origin of the Drive API, of uploads and of batches.
pub(crate) const API: &str = "https://www.googleapis.com";
/// Every origin that the connector or a browser reaches.
pub(crate) const ORIGINS: [&str; 4] = [
    API,
    "https://accounts.google.com",
    "https://oauth2.googleapis.com",
    "https://openidconnect.googleapis.com",
];

/// The name under which the time of the grant is kept with the credential, in Unix seconds.
pub(crate) const GRANTED_AT: &str = "granted_at";

/// The description under these settings. The constant is valid, as a test shows.
pub(crate) fn description(config: &GoogleDriveConfig) -> Description {
    let read = serde_json::from_str(DESCRIPTION);
    let mut description: Description =
        read.unwrap_or_else(|_| Description::new(crate::GoogleDrive::ID, "Google Drive"));
    if let Some(authorization) = &mut description.authorization {
        let mut add = |name: &str, value: &str| {
            let parameters = &mut authorization.parameters;
            parameters.insert(name.to_owned(), value.to_owned());
        };
        if config.asks_for_consent {
            add("prompt", "consent");
        }
        if config.has_incremental_scopes {
            add("include_granted_scopes", "true");
        }
    }
    if let Some(requested) = config.requested_scopes() {
        // The owner may refuse single scopes; without those of Drive, nothing is connected.
        let requested = if requested.is_empty() {
            &description.scopes.default
        } else {
            requested
        };
        let of_drive = requested.iter().filter(|it| it.contains("/auth/drive"));
        let of_drive: Vec<String> = of_drive.cloned().collect();
        description.scopes.required.extend(of_drive);
    }
    description.limits = limits::limits(config.quota);
    description.webhook = webhook::scheme();
    description
}

/// What to tell an operator about a refresh token that ended at this age.
///
/// See [Google: Refresh token expiration](https://developers.google.com/identity/protocols/oauth2#expiration).
pub(crate) fn hint(granted_at: Timestamp, now: Timestamp) -> Option<&'static str> {
    const DAY: Duration = Duration::from_secs(86_400);
    let age = now.since(granted_at);
    if age >= DAY * 7 && age < DAY * 8 {
        return Some("ended seven days after the grant: is the consent screen still in Testing?");
    }
    (age >= DAY * 180).then_some("ended after six months or more: it may have been unused")
}
