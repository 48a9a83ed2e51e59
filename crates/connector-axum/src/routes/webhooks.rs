//! Receives deliveries of providers.

use axum::body::Body;
use connector_core::provider::webhook::WebhookSecret;
use connector_core::{Error, ErrorKind};
use connector_hub::Receipt;
use http::{HeaderMap, Request, StatusCode, Uri};

use crate::problem::{Code, Problem};
use crate::serve::{Call, Content, Outcome, Reply};

pub(super) async fn receive(call: Call) -> Outcome {
    let description = call.connector()?;
    let provider = description.provider.clone();
    let channel = call.path.get("channel").cloned();
    // Without a channel, no secret could verify the delivery.
    let secret = description.webhook.as_ref().map(|it| it.secret);
    let needs_channel = secret == Some(WebhookSecret::Subscription);
    let shared = &call.shared;
    // Some providers sign the address. It is the public one, whatever a proxy made of it.
    let path = match &channel {
        Some(channel) => format!("{provider}/{channel}"),
        None => provider.to_string(),
    };
    let public = format!("{}/v1/webhooks/{path}", shared.settings.base);
    let mut parts = call.parts;
    parts.extensions.clear();
    let request = Request::from_parts(parts, call.body);
    let mut receive = shared
        .hub
        .receive(&provider, request)
        .largest_body(shared.settings.config.webhook_body_limit);
    if let Ok(url) = public.parse::<Uri>() {
        receive = receive.public_url(url);
    }
    if let Some(channel) = channel {
        receive = receive.channel(channel);
    }
    let receipt = match receive.await {
        Ok(receipt) => receipt,
        Err(error) if needs_channel && error.kind() == ErrorKind::Configuration => {
            return Err(Problem::new(
                &Code::NOT_FOUND,
                "deliveries of this provider arrive at the address of a channel",
            ));
        }
        Err(error) => return Err(refusal(error)),
    };
    if let Receipt::Secret { secret, .. } = &receipt {
        let handler = shared.settings.config.webhook_secrets.as_ref();
        let handler = handler.ok_or_else(|| {
            Problem::from(Error::new(
                ErrorKind::Configuration,
                "axum.webhook",
                "the handshake contains a secret, and the router has no handler for it; set one \
                 with RouterConfig::with_webhook_secrets",
            ))
        })?;
        handler.store(&provider, secret.clone()).await?;
    }
    let (parts, body) = receipt.response().into_parts();
    let mut reply = Reply::new(parts.status, Content::Raw(Body::from(body)));
    reply.headers = parts.headers;
    Ok(reply)
}

/// Returns the problem for a refused delivery. The status is the one that the hub advises, because
/// providers decide by it whether they send the delivery again.
fn refusal(error: Error) -> Problem {
    let status = Receipt::refusal(&error).status();
    let is_store = error.kind() == ErrorKind::StoreUnavailable;
    let mut problem = Problem::from(error);
    if problem.code.status != status {
        problem.code = match status {
            StatusCode::UNAUTHORIZED => &Code::WEBHOOK_REFUSED,
            StatusCode::PAYLOAD_TOO_LARGE => &Code::BODY_TOO_LARGE,
            StatusCode::NOT_FOUND => &Code::NOT_FOUND,
            StatusCode::SERVICE_UNAVAILABLE if is_store => &Code::STORE_UNAVAILABLE,
            StatusCode::SERVICE_UNAVAILABLE => &Code::DELIVERY_DEFERRED,
            _ => &Code::CONFIGURATION,
        };
    }
    // A provider learns nothing about the reason, as nobody knows who sent the request.
    problem.detail = String::from(problem.code.title);
    problem.headers = HeaderMap::new();
    problem
}

#[cfg(test)]
mod tests {
    use connector_core::Retry;

    use super::*;

    #[test]
    fn a_full_queue_is_not_reported_as_a_failed_database() {
        let of = |kind, retry| refusal(Error::new(kind, "test", "a full queue").with_retry(retry));
        let full = of(ErrorKind::RateLimited, Retry::Backoff);
        assert_eq!(full.code, &Code::DELIVERY_DEFERRED);
        assert_eq!(full.code.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(full.retry_after.is_some());
        assert!(!full.detail.contains("queue"));
        let down = of(ErrorKind::StoreUnavailable, Retry::Backoff);
        assert_eq!(down.code, &Code::STORE_UNAVAILABLE);
    }
}
