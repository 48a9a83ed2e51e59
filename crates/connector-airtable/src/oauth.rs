//! The description of Airtable's OAuth.
//!
//! See [Airtable docs: OAuth reference](https://airtable.com/developers/web/api/oauth-reference).
//! Airtable follows RFC 6749 and RFC 7636, with these additional rules:
//!
//! * A client with a secret authenticates with HTTP Basic. A client without a secret sends
//!   `client_id` in the body.
//! * A refresh immediately invalidates the previous access token and refresh token. A conflict
//!   (409) means that another request has just refreshed the same token.
//! * A refresh token expires 60 days after it was issued, so the hub also refreshes idle
//!   connections.
//! * There is no revocation endpoint.
//! * `state` and the code verifier may contain only the characters `[A-Za-z0-9._-]`. The hub's
//!   values do.

use connector_core::provider::Description;
use connector_core::provider::description::EndpointTemplate;

use crate::config::AirtableConfig;
use crate::{limits, webhook};

/// The hub reads metadata daily, because workspaces on the free plan have 1,000 calls per month.
const DESCRIPTION: &str = r#"{
    "provider": "airtable",
    "name": "Airtable",
    "api": ["https://api.airtable.com"],
    "authorization": { "endpoint": "https://airtable.com/oauth2/v1/authorize" },
    "token": { "endpoint": "https://airtable.com/oauth2/v1/token", "client_authentication": "basic" },
    "identity": {
        "endpoint": "https://api.airtable.com/v0/meta/whoami",
        "account": "/id",
        "label": "/email"
    },
    "scopes": { "default": ["data.records:read", "schema.bases:read"] },
    "lifetimes": { "unstated": { "assume": 3600 }, "refresh_seconds": 5184000 },
    "rotation": "strict",
    "refresh": "on_demand",
    "metadata_every": 86400
}"#;

/// The origin of the Web API.
pub(crate) const API: &str = "https://api.airtable.com";
/// The origin of attachment uploads. We found no documentation that confirms this host.
pub(crate) const CONTENT: &str = "https://content.airtable.com";

/// Returns the description with the given settings. A test shows that the constant is valid.
pub(crate) fn description(config: &AirtableConfig) -> Description {
    let read = serde_json::from_str(DESCRIPTION);
    let mut description =
        read.unwrap_or_else(|_| Description::new(crate::Airtable::ID, "Airtable"));
    description.limits = limits::limits();
    description.webhook = webhook::scheme();
    if config.uploads_attachments {
        description.api.push(EndpointTemplate::new(CONTENT));
    }
    description
}
