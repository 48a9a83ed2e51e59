use std::time::Duration;

use connector_core::api::Response;
use connector_core::clock::Timestamp;
use http::Method;
use secrecy::SecretString;
use serde::Deserialize;
use serde_json::json;

use super::{operation, to};
use crate::models::{
    BaseId, CreatedWebhook, Payloads, Refreshed, Webhook, WebhookId, WebhookPayload,
    WebhookSpecification,
};

/// Maximum number of payloads per page.
const PAGE: &str = "50";

/// Returns the time between the response and `at`.
fn until(response: &Response, at: Option<&str>) -> Option<Duration> {
    Some(Timestamp::parse(at?)?.since(response.received()))
}

/// Creates a webhook. Airtable allows two per OAuth integration and base.
///
/// See [Airtable docs: Create a webhook](https://airtable.com/developers/web/api/create-a-webhook).
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateWebhook {
    base: BaseId,
    specification: WebhookSpecification,
    url: Option<String>,
}

impl CreateWebhook {
    /// Creates a webhook that collects payloads and sends no pings.
    pub const fn new(base: BaseId, specification: WebhookSpecification) -> Self {
        Self {
            base,
            specification,
            url: None,
        }
    }

    /// Sets the https URL for pings.
    pub fn with_notification_url(mut self, url: impl Into<String>) -> Self {
        self.url = Some(url.into());
        self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Created {
    id: WebhookId,
    mac_secret_base64: SecretString,
    #[serde(default)]
    expiration_time: Option<String>,
}

operation! {
    CreateWebhook -> CreatedWebhook, Never, ["webhook:manage"];
    request: |it| {
        let mut body = json!({ "specification": it.specification });
        if let Some(url) = &it.url {
            body["notificationUrl"] = url.as_str().into();
        }
        to(Method::POST, &["bases", it.base.as_str(), "webhooks"])?.json(&body)
    };
    decode: |response| {
        let created: Created = response.json()?;
        Ok(CreatedWebhook {
            id: created.id,
            mac_secret: created.mac_secret_base64,
            expires_in: until(response, created.expiration_time.as_deref()),
            received: response.received(),
        })
    };
}

/// Lists the webhooks of a base that this integration created.
#[derive(Debug, Clone)]
#[must_use]
pub struct ListWebhooks {
    base: BaseId,
}

impl ListWebhooks {
    /// Lists the webhooks of `base`.
    pub const fn new(base: BaseId) -> Self {
        Self { base }
    }
}

#[derive(Deserialize)]
struct Webhooks {
    webhooks: Vec<Webhook>,
}

operation! {
    ListWebhooks -> Vec<Webhook>, Safe, ["webhook:manage"];
    request: |it| to(Method::GET, &["bases", it.base.as_str(), "webhooks"]);
    decode: |response| {
        let mut webhooks = response.json::<Webhooks>()?.webhooks;
        for webhook in &mut webhooks {
            webhook.expires_in = until(response, webhook.expiration_time.as_deref());
        }
        Ok(webhooks)
    };
}

/// Extends the expiry of a webhook to seven days from now.
#[derive(Debug, Clone)]
#[must_use]
pub struct RefreshWebhook {
    base: BaseId,
    webhook: WebhookId,
}

impl RefreshWebhook {
    /// Creates the operation for `webhook` of `base`.
    pub const fn new(base: BaseId, webhook: WebhookId) -> Self {
        Self { base, webhook }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Expiry {
    #[serde(default)]
    expiration_time: Option<String>,
}

operation! {
    RefreshWebhook -> Refreshed, Safe, ["webhook:manage"];
    request: |it| {
        let path = ["bases", it.base.as_str(), "webhooks", it.webhook.as_str(), "refresh"];
        to(Method::POST, &path)
    };
    decode: |response| {
        let expiry: Expiry = response.json()?;
        Ok(Refreshed {
            expires_in: until(response, expiry.expiration_time.as_deref()),
        })
    };
}

/// Enables the pings of a webhook again. Airtable disables them after 13 consecutive failures.
#[derive(Debug, Clone)]
#[must_use]
pub struct EnableWebhookNotifications {
    base: BaseId,
    webhook: WebhookId,
}

impl EnableWebhookNotifications {
    /// Creates the operation for `webhook` of `base`.
    pub const fn new(base: BaseId, webhook: WebhookId) -> Self {
        Self { base, webhook }
    }
}

operation! {
    EnableWebhookNotifications -> (), Safe, ["webhook:manage"];
    request: |it| {
        let (base, webhook) = (it.base.as_str(), it.webhook.as_str());
        let path = ["bases", base, "webhooks", webhook, "enableNotifications"];
        to(Method::POST, &path)?.json(&json!({ "enable": true }))
    };
    decode: |_response| Ok(());
}

/// Lists up to 50 payloads of a webhook.
///
/// See [Airtable docs: List webhook payloads](https://airtable.com/developers/web/api/list-webhook-payloads).
#[derive(Debug, Clone)]
#[must_use]
pub struct ListWebhookPayloads {
    base: BaseId,
    webhook: WebhookId,
    cursor: u64,
}

impl ListWebhookPayloads {
    /// Lists the payloads of `webhook`, starting with the first one.
    pub const fn new(base: BaseId, webhook: WebhookId) -> Self {
        Self {
            base,
            webhook,
            cursor: 1,
        }
    }

    /// Starts at the payload with the given number.
    pub const fn from_payload(mut self, cursor: u64) -> Self {
        self.cursor = cursor;
        self
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PayloadPage {
    payloads: Vec<WebhookPayload>,
    cursor: u64,
    #[serde(default)]
    might_have_more: bool,
}

operation! {
    ListWebhookPayloads -> Payloads, Safe, ["webhook:manage"];
    request: |it| {
        let path = ["bases", it.base.as_str(), "webhooks", it.webhook.as_str(), "payloads"];
        let request = to(Method::GET, &path)?;
        Ok(request.query("cursor", &it.cursor.to_string()).query("limit", PAGE))
    };
    decode: |response| {
        let page: PayloadPage = response.json()?;
        Ok(Payloads {
            payloads: page.payloads,
            cursor: page.cursor,
            might_have_more: page.might_have_more,
            received: response.received(),
        })
    };
}

/// Deletes a webhook.
#[derive(Debug, Clone)]
#[must_use]
pub struct DeleteWebhook {
    base: BaseId,
    webhook: WebhookId,
}

impl DeleteWebhook {
    /// Creates the operation for `webhook` of `base`.
    pub const fn new(base: BaseId, webhook: WebhookId) -> Self {
        Self { base, webhook }
    }
}

operation! {
    DeleteWebhook -> (), Safe, ["webhook:manage"];
    request: |it| {
        to(Method::DELETE, &["bases", it.base.as_str(), "webhooks", it.webhook.as_str()])
    };
    decode: |_response| Ok(());
}
