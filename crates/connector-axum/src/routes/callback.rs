//! Finishes connect flows.

use connector_core::{ErrorKind, Retry};

use crate::browser;
use crate::limit::LimitClass;
use crate::problem::{Code, Problem};
use crate::returns::with_result;
use crate::serve::{Call, Outcome, Reply, counted, limit};

/// The hub's reason for a flow whose grant is stored and whose account is not connected yet.
const GRANT_KEPT: &str = "grant_kept";

pub(super) async fn finish(call: Call) -> Outcome {
    let provider = call.connector()?.provider.clone();
    let shared = &call.shared;
    let query = call.parts.uri.query().unwrap_or_default();
    let binding = browser::binding(&call.parts.headers, shared.settings.is_https);
    let binding = binding.unwrap_or_default();
    // A failed callback has no return address, so the flow is read first. Reading changes nothing.
    let flow = shared.hub.flow(&provider, query, binding.clone()).await?;
    // A flow that another user started in this browser keeps its return address to itself.
    let own = flow.as_ref().filter(|flow| {
        call.caller
            .as_ref()
            .is_none_or(|it| *it.tenant() == flow.tenant && *it.actor() == flow.actor)
    });
    let tenant = match (&call.caller, own) {
        (Some(caller), _) => Some(caller.tenant().clone()),
        (None, Some(flow)) => Some(flow.tenant.clone()),
        (None, None) => None,
    };
    // The requests of known callers have been counted.
    let usage = match (&call.caller, &tenant) {
        (None, Some(tenant)) => Some(limit(shared, LimitClass::Callback, tenant)?),
        _ => None,
    };
    if let Some(flow) = own {
        tracing::debug!(
            request_id = call.request_id,
            correlation = flow.correlation.as_str(),
            connector = provider.as_str(),
            "callback of a connect flow"
        );
    }
    let finish = shared.hub.callback(provider.clone(), query, binding);
    let finish = match &call.caller {
        Some(caller) => finish.actor(caller.actor().clone()).tenant(caller.tenant()),
        None => finish.unbound(),
    };
    let stored = own.and_then(|flow| flow.return_to.as_deref());
    let target = shared.settings.returns.target(stored, tenant.as_ref());
    let reply = match finish.await {
        Ok(connected) => {
            let id = connected.key().id.to_string();
            Reply::see_other(&with_result(
                target,
                &[
                    ("connect", "connected"),
                    ("provider", provider.as_str()),
                    ("connection", &id),
                ],
            ))?
        }
        // The flow has not ended: a reload of the page continues it.
        Err(error)
            if error.kind() == ErrorKind::ShuttingDown
                || error.retry() == Retry::Backoff && error.reason() != Some(GRANT_KEPT) =>
        {
            return counted(Err(error.into()), usage);
        }
        Err(error) => {
            // A worker finishes the flow.
            let is_pending = error.reason() == Some(GRANT_KEPT);
            let reason = error.reason().unwrap_or_else(|| error.kind().as_str());
            let result = if is_pending { "pending" } else { "failed" };
            let problem = Problem::from(error);
            if problem.code.status.is_server_error() {
                tracing::error!(
                    request_id = call.request_id,
                    connector = provider.as_str(),
                    code = problem.code.name,
                    report = problem.report,
                    "a connect flow failed"
                );
            }
            let reason = if problem.code == &Code::CALLBACK_REFUSED && flow.is_none() {
                "unknown_flow"
            } else {
                reason
            };
            Reply::see_other(&with_result(
                target,
                &[
                    ("connect", result),
                    ("provider", provider.as_str()),
                    ("reason", reason),
                    ("request_id", &call.request_id),
                ],
            ))?
        }
    };
    counted(Ok(reply), usage)
}
