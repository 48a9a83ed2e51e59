//! REST Hooks: subscriptions that another platform, for example Zapier, makes for its users.

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_core::http::{Origin, OutboundRequest};
use connector_core::outbound::{EventType, Message};
use connector_core::provider::Context;
use connector_core::provider::description::CallAuthentication;
use connector_core::store::{
    Cursor, EndpointId, EndpointState, Enqueued, Page, PutEndpointOutcome,
};
use connector_core::{
    AppKey, Credential, CredentialKind, Error, ErrorKind, ProviderId, RequestContext, Result,
    TenantId,
};
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use url::Url;

use super::endpoint::{EndpointInfo, NewTarget, changed};
use super::target::invalid;
use super::{OPERATION, Outbound};
use crate::hub::Hub;

/// Names of the field with the address. The author of the integration chooses the name.
const TARGETS: [&str; 6] = [
    "target_url",
    "targetUrl",
    "hookUrl",
    "hook_url",
    "subscription_url",
    "url",
];
/// Names of the field with the event type.
const EVENTS: [&str; 3] = ["event", "event_type", "eventType"];
/// Maximum length of the body of a subscription, in bytes.
const MAX_BODY: usize = 16_384;

impl Hub {
    /// Returns a handle for the REST Hooks that a platform subscribes for this tenant. `provider` is
    /// the platform, for example Zapier, and its connector checks the addresses.
    ///
    /// The methods work on parts of requests and return responses, so that you can mount them in any
    /// web framework. Authenticate the caller first, with your own API's authentication.
    pub fn rest_hooks(&self, tenant: &TenantId, provider: &ProviderId) -> RestHooks {
        RestHooks {
            outbound: self.outbound(tenant).with_provider(provider.clone()),
        }
    }
}

/// The REST Hooks of one tenant at one platform; see [`Hub::rest_hooks`].
#[derive(Debug, Clone)]
#[must_use]
pub struct RestHooks {
    outbound: Outbound,
}

impl RestHooks {
    /// Subscribes an address to an event type, and returns the response: 201 with the `id` of the
    /// subscription. Call it for `POST` to your subscription route.
    ///
    /// `body` is the JSON body with the address in `target_url` (or `targetUrl`, `hookUrl`,
    /// `hook_url`, `subscription_url`, `url`), and the event type in `event` (or `event_type`,
    /// `eventType`). `offered` are the event types of your integration. Subscribing the same address
    /// and type again returns the same id. A tenant can have several subscriptions of one type.
    ///
    /// Responds with 400 if the address or the event type is invalid or if there are too many
    /// subscriptions, and with 503 if the store is unavailable.
    pub async fn subscribe(
        &self,
        body: &[u8],
        offered: &[EventType],
        context: RequestContext,
    ) -> Response<Bytes> {
        match self.try_subscribe(body, offered, &context).await {
            Ok(id) => json(
                StatusCode::CREATED,
                &serde_json::json!({ "id": id.to_string() }),
            ),
            Err(error) => refusal(&error),
        }
    }

    async fn try_subscribe(
        &self,
        body: &[u8],
        offered: &[EventType],
        context: &RequestContext,
    ) -> Result<EndpointId> {
        let body: Value = Some(body)
            .filter(|it| it.len() <= MAX_BODY)
            .and_then(|it| serde_json::from_slice(it).ok())
            .ok_or_else(|| invalid("the body is not JSON, or it is too long"))?;
        let field = |names: &[&str]| names.iter().find_map(|it| body.get(it)?.as_str());
        let url = field(&TARGETS).ok_or_else(|| invalid("the body contains no target_url"))?;
        let event = field(&EVENTS).ok_or_else(|| invalid("the body contains no event"))?;
        let event = offered
            .iter()
            .find(|it| it.as_str() == event)
            .ok_or_else(|| invalid("there is no such event type"))?;
        self.add(SecretString::from(url), event.clone(), context)
            .await
    }

    /// Subscribes an address to an event type. For addresses that do not arrive in a request, for
    /// example a catch hook that a user pasted.
    ///
    /// # Errors
    /// * [`ErrorKind::InvalidInput`] if the address is not one of the platform's, or if the tenant
    ///   has the maximum number of subscriptions.
    /// * [`ErrorKind::Configuration`] if the hub has no connector for the platform, and
    ///   [`ErrorKind::Unsupported`] if the platform has no hooks.
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn add(
        &self,
        url: SecretString,
        event: EventType,
        context: &RequestContext,
    ) -> Result<EndpointId> {
        let outbound = &self.outbound;
        let inner = &outbound.hub.inner;
        let connector = inner.connector(&outbound.provider)?;
        if connector.description().authentication != CallAuthentication::SecretUrl {
            let message = "the provider has no hooks that are identified by their address";
            return Err(Error::new(ErrorKind::Unsupported, OPERATION, message));
        }
        let app = AppKey::default();
        let app = inner
            .app(&outbound.provider, &outbound.tenant, &app)
            .await?;
        let cx = Context::new(&app, &*inner.outbound_transport, &*inner.clock);
        let credential = hook(url.clone(), inner.clock.now())?;
        let identity = connector.identify(&cx, &credential).await?;
        let account = identity.account;
        let mut target = NewTarget::new(url).with_event_types([event.clone()]);
        // Unique per address and event type. The key does not reveal the address.
        target.alias = Some(format!("{}/{event}", account.key));
        target.label = account.label;
        let (new, _) = outbound.new_endpoint(target).await?;
        let id = new.key.id;
        match outbound.put(new, context).await? {
            PutEndpointOutcome::Stored => Ok(id),
            PutEndpointOutcome::Exists(known) => {
                // A Zap that is turned on again may subscribe its old address.
                if known.state != EndpointState::Enabled {
                    let event = changed(known.key.id, "enabled");
                    let state = EndpointState::Enabled;
                    outbound
                        .set_state(known.key.id, state, event, context)
                        .await?;
                }
                Ok(known.key.id)
            }
            PutEndpointOutcome::TooMany => Err(invalid(
                "the tenant has the maximum number of subscriptions; turn some off first",
            )),
        }
    }

    /// Removes a subscription, and returns the response: 200, also if there is no such subscription.
    /// Call it for `DELETE` to your subscription route. Responds with 503 if the store is unavailable.
    pub async fn unsubscribe(&self, id: &str, context: RequestContext) -> Response<Bytes> {
        if let Ok(id) = id.parse() {
            let outbound = &self.outbound;
            let removed = outbound.remove_because(id, "unsubscribed", &context).await;
            if let Err(error) = removed {
                return refusal(&error);
            }
        }
        json(StatusCode::OK, &serde_json::json!({}))
    }

    /// Returns the response of your sample route: the payloads as a JSON array, newest first. Create
    /// the samples exactly as you create the messages for [`RestHooks::publish`]: the payloads are
    /// sent unchanged in both cases, so that samples and live events have the same form.
    #[must_use]
    pub fn samples(&self, messages: &[Message]) -> Response<Bytes> {
        let payloads: Vec<&[u8]> = messages.iter().map(|it| &it.payload[..]).collect();
        let body = [b"[".as_slice(), &payloads.join(&b","[..]), b"]"].concat();
        with_body(StatusCode::OK, body.into())
    }

    /// Sends a message to all subscriptions of its event type. See [`Outbound::publish`]. A
    /// subscription whose address responds with 410 ends, with an audit entry, and is then
    /// [orphaned](RestHooks::orphaned).
    ///
    /// # Errors
    /// As for [`Outbound::publish`].
    pub async fn publish(&self, message: Message) -> Result<Enqueued> {
        self.outbound.publish(message).await
    }

    /// Lists subscriptions that receive messages.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn live(&self, after: Option<&Cursor>, n: u16) -> Result<Page<EndpointInfo>> {
        let state = Some(EndpointState::Enabled);
        self.outbound.list_in(state, after, n).await
    }

    /// Lists subscriptions that the platform has ended with a 410 response, without unsubscribing.
    /// The user may believe that they are still active.
    ///
    /// # Errors
    /// [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn orphaned(&self, after: Option<&Cursor>, n: u16) -> Result<Page<EndpointInfo>> {
        let state = Some(EndpointState::Gone);
        self.outbound.list_in(state, after, n).await
    }

    /// Ends a subscription from your side, for example because its user left: sends `DELETE` to its
    /// address, with which Zapier pauses the Zap, and removes the subscription. Returns false if
    /// there is no such subscription.
    ///
    /// # Errors
    /// * [`ErrorKind::Network`] or [`ErrorKind::ProviderUnavailable`] if the platform did not accept
    ///   the request. The subscription stays: retry the call, or remove it with
    ///   [`Outbound::remove`].
    /// * [`ErrorKind::StoreUnavailable`]: retry the call.
    pub async fn end(&self, id: EndpointId, context: RequestContext) -> Result<bool> {
        let outbound = &self.outbound;
        let inner = &outbound.hub.inner;
        let endpoint = match outbound.load(id).await {
            Ok(endpoint) => endpoint,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(error),
        };
        let target = inner
            .open_target(&endpoint.key, &endpoint.provider, &endpoint.sealed)
            .await?;
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::DELETE;
        *request.uri_mut() = target
            .url
            .expose_secret()
            .parse()
            .map_err(|_| invalid("the address is invalid"))?;
        let request = OutboundRequest::new(request).with_timeout(inner.outbound_policy.timeout);
        let response = inner.outbound_transport.send(request).await;
        let response = response.map_err(|cause| {
            let message = "the platform could not be reached; retry later";
            Error::new(ErrorKind::Network, OPERATION, message).with_source(cause)
        })?;
        // The address may be gone already.
        if response.status().is_server_error() || response.status() == 429 {
            let message = "the platform did not accept the end of the subscription; retry later";
            return Err(Error::new(
                ErrorKind::ProviderUnavailable,
                OPERATION,
                message,
            ));
        }
        outbound.remove_because(id, "removed", &context).await
    }
}

/// Returns the credential for an address, from which the connector identifies the hook.
fn hook(url: SecretString, now: Timestamp) -> Result<Credential> {
    let parsed = Url::parse(url.expose_secret()).map_err(|_| invalid("the address is invalid"))?;
    let origin = Origin::of(&parsed).map_err(|_| invalid("the address is not an https URL"))?;
    Ok(Credential::new(CredentialKind::SecretUrl, origin, url, now))
}

fn refusal(error: &Error) -> Response<Bytes> {
    let (status, message) = match error.kind() {
        ErrorKind::InvalidInput | ErrorKind::AddressRefused => {
            (StatusCode::BAD_REQUEST, error.message())
        }
        ErrorKind::StoreUnavailable | ErrorKind::ShuttingDown | ErrorKind::Conflict => {
            (StatusCode::SERVICE_UNAVAILABLE, "retry later")
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "internal error"),
    };
    json(status, &serde_json::json!({ "error": message }))
}

fn json(status: StatusCode, body: &Value) -> Response<Bytes> {
    with_body(status, Bytes::from(body.to_string()))
}

fn with_body(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}
