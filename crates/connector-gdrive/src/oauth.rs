//! Description of Google's OAuth endpoints and rules.
//!
//! See [Google: OAuth 2.0 for web server applications](https://developers.google.com/identity/protocols/oauth2/web-server).
//! Google follows RFC 6749, RFC 7636 and OpenID Connect, with these additional rules:
//!
//! * Google returns a refresh token only with `access_type=offline`, and for repeated
//!   authorizations only with `prompt=consent`. The refresh token does not rotate.
//! * The owner can reject individual scopes. The `scope` member of the response lists the granted
//!   scopes.
//! * Google invalidates a refresh token after 6 months without use, when the account has more than
//!   100 live refresh tokens for the client (the oldest token ends), after 7 days while the consent
//!   screen is in Testing, and when the user or an administrator revokes it.
//! * A revocation ends all grants of the account for the whole Google Cloud project. All Google
//!   connectors therefore share one revocation family.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::Description;

use crate::config::GoogleDriveConfig;
use crate::{limits, webhook};

/// Google Drive scopes that an application can request.
///
/// See [Google Drive docs: Choose scopes](https://developers.google.com/workspace/drive/api/guides/api-specific-auth).
pub mod scope {
    /// The account's id. Required.
    pub const OPENID: &str = "openid";
    /// The account's e-mail address.
    pub const EMAIL: &str = "https://www.googleapis.com/auth/userinfo.email";
    /// Files that the app created, or that the user opened with the app. Requires no security
    /// assessment.
    pub const FILE: &str = "https://www.googleapis.com/auth/drive.file";
    /// The app's hidden folder.
    pub const APP_DATA: &str = "https://www.googleapis.com/auth/drive.appdata";
    /// Read-only access to the metadata of all files. Restricted.
    pub const METADATA_READONLY: &str = "https://www.googleapis.com/auth/drive.metadata.readonly";
    /// Read and write access to the metadata of all files. Restricted.
    pub const METADATA: &str = "https://www.googleapis.com/auth/drive.metadata";
    /// Read-only access to all files. Restricted.
    pub const READONLY: &str = "https://www.googleapis.com/auth/drive.readonly";
    /// Full access to all files. Restricted.
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

/// Origin of the Drive API, including uploads and batches.
pub(crate) const API: &str = "https://www.googleapis.com";
/// All origins that the connector or a browser sends requests to.
pub(crate) const ORIGINS: [&str; 4] = [
    API,
    "https://accounts.google.com",
    "https://oauth2.googleapis.com",
    "https://openidconnect.googleapis.com",
];

/// Name of the credential's extra field for the time of the grant, in Unix seconds.
pub(crate) const GRANTED_AT: &str = "granted_at";

/// Returns the description for these settings. A test checks that the constant is valid.
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
        // The owner can reject individual scopes. Without the requested Drive scopes, the
        // connection is rejected.
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

/// Returns a hint for operators about a refresh token that ended at this age.
///
/// See [Google: Refresh token expiration](https://developers.google.com/identity/protocols/oauth2#expiration).
pub(crate) fn hint(granted_at: Timestamp, now: Timestamp) -> Option<&'static str> {
    const DAY: Duration = Duration::from_secs(86_400);
    let age = now.since(granted_at);
    if age >= DAY * 7 && age < DAY * 8 {
        return Some(
            "ended seven days after the grant; the consent screen may still be in Testing",
        );
    }
    (age >= DAY * 180)
        .then_some("ended six months or more after the grant; the token may have been unused")
}
