//! Starts connect flows.

use std::time::Duration;

use connector_core::provider::Description;
use connector_core::{Actor, AppKey, ConnectionId, Error, TenantId};
use connector_hub::{Authorization, Authorize};
use http::StatusCode;
use http::header::SET_COOKIE;

use super::connectors::steps;
use super::views::{BeginRequest, BegunConnect, ConnectTicket, CsrfToken};
use crate::browser;
use crate::limit::LimitClass;
use crate::problem::{Code, Problem};
use crate::serve::{Call, Outcome, Reply, connector, counted, limit};
use crate::signing::{CSRF_FOR, TicketContent};

/// Validity of a ticket.
const TICKET_FOR: Duration = Duration::from_secs(15 * 60);

/// Maximum length of an account as its owner entered it, in bytes.
const MAX_ACCOUNT: usize = 255;

pub(super) fn csrf(call: &Call) -> Outcome {
    let caller = call.caller()?;
    let now = call.shared.clock.now();
    let signer = &call.shared.settings.signer;
    Reply::ok(&CsrfToken {
        token: signer.csrf(caller.tenant(), caller.actor(), now),
        expires_in_seconds: CSRF_FOR.as_secs(),
    })
}

pub(super) async fn begin(call: Call) -> Outcome {
    let description = call.connector()?;
    let request: BeginRequest = call.content()?;
    let caller = call.caller()?;
    let mut flow = start(&call, description, caller.tenant(), caller.actor())?;
    if let Some(account) = checked_account(request.account)? {
        flow = flow.account(account);
    }
    if let Some(id) = &request.reconnect {
        flow = flow.reconnect(connection_id(id)?);
    }
    if let Some(given) = &request.return_to {
        let returns = &call.shared.settings.returns;
        flow = flow.return_to(returns.check(given, caller.tenant())?);
    }
    if let Some(scopes) = &request.scopes {
        flow = flow.scopes(scopes.split_whitespace());
    }
    if let Some(app) = request.app {
        flow = flow.app(AppKey::new(app).map_err(Error::from)?);
    }
    let started = flow.begin().await?;
    let mut reply = if call.is_form {
        Reply::see_other(started.url())?
    } else {
        Reply::json(
            StatusCode::CREATED,
            &BegunConnect {
                authorization_url: started.url().as_str().to_owned(),
                expires_in_seconds: started.expires_in().as_secs(),
                steps: steps(description),
            },
        )?
    };
    bind(&call, &started, &mut reply)?;
    Ok(reply)
}

/// Starts a flow with the cookie of the browser, so that several flows share it.
fn start(
    call: &Call,
    description: &Description,
    tenant: &TenantId,
    actor: &Actor,
) -> Result<Authorize, Problem> {
    let shared = &call.shared;
    let flow = shared
        .hub
        .authorize(tenant, description.provider.clone())
        .actor(actor.clone())
        .correlation(call.correlation()?);
    let is_https = shared.settings.is_https;
    Ok(match browser::binding(&call.parts.headers, is_https) {
        Some(binding) => flow.binding(binding),
        None => flow,
    })
}

fn bind(call: &Call, started: &Authorization, reply: &mut Reply) -> Result<(), Problem> {
    let cookie = browser::cookie(started.binding(), call.shared.settings.is_https)?;
    reply.headers.append(SET_COOKIE, cookie);
    Ok(())
}

/// Refuses an account that no provider has.
fn checked_account(account: Option<String>) -> Result<Option<String>, Problem> {
    if account.as_ref().is_some_and(|it| it.len() > MAX_ACCOUNT) {
        return Err(Problem::invalid(format!(
            "`account` is longer than {MAX_ACCOUNT} bytes"
        )));
    }
    Ok(account)
}

fn connection_id(text: &str) -> Result<ConnectionId, Problem> {
    text.parse()
        .map_err(|_| Problem::new(&Code::NOT_FOUND, "this is not a connection id"))
}

pub(super) async fn ticket(call: Call) -> Outcome {
    let provider = call.connector()?.provider.clone();
    let request: BeginRequest = call.content()?;
    if request.scopes.is_some() || request.app.is_some() {
        return Err(Problem::invalid(
            "a link has neither scopes nor a registration; start the flow with a request instead",
        ));
    }
    let caller = call.caller()?;
    let shared = &call.shared;
    let connection = match &request.reconnect {
        Some(id) => {
            let id = connection_id(id)?;
            // Checked now, so that the caller learns of a wrong id, and again when it is opened.
            shared.hub.tenant(caller.tenant()).get(id).await?;
            Some(id)
        }
        None => None,
    };
    let returns = &shared.settings.returns;
    let return_to = request
        .return_to
        .map(|given| returns.check(&given, caller.tenant()))
        .transpose()?;
    let ticket = TicketContent {
        tenant: caller.tenant().clone(),
        actor: Some(caller.actor().clone()),
        provider,
        account: checked_account(request.account)?,
        connection,
        return_to,
        until: shared.clock.now().after(TICKET_FOR).as_unix_seconds(),
    };
    let text = shared.settings.signer.ticket(&ticket)?;
    Reply::json(
        StatusCode::CREATED,
        &ConnectTicket {
            url: format!("{}/v1/connect/{text}", shared.settings.base),
            expires_in_seconds: TICKET_FOR.as_secs(),
        },
    )
}

pub(super) async fn open_ticket(call: Call) -> Outcome {
    let shared = &call.shared;
    let invalid = || {
        Problem::new(
            &Code::TICKET_INVALID,
            "the link is not valid for this user now",
        )
    };
    let ticket = shared
        .settings
        .signer
        .open_ticket(call.parameter("ticket"), shared.clock.now())
        .ok_or_else(invalid)?;
    // Another user who opens the link would connect an account of theirs to this tenant.
    let actor = match (&call.caller, ticket.actor.clone()) {
        (Some(caller), actor) => {
            let is_for_other = actor.is_some_and(|it| it != *caller.actor());
            if is_for_other || *caller.tenant() != ticket.tenant {
                return Err(invalid());
            }
            caller.actor().clone()
        }
        (None, Some(actor)) => actor,
        (None, None) => Actor::Service("link".to_owned()),
    };
    let usage = match &call.caller {
        Some(_) => None,
        None => Some(limit(shared, LimitClass::Connect, &ticket.tenant)?),
    };
    let outcome = start_ticket(&call, ticket, &actor).await;
    counted(outcome, usage)
}

async fn start_ticket(call: &Call, ticket: TicketContent, actor: &Actor) -> Outcome {
    let description = connector(&call.shared.hub, ticket.provider.as_str())?;
    let mut flow = start(call, description, &ticket.tenant, actor)?;
    if let Some(account) = ticket.account {
        flow = flow.account(account);
    }
    if let Some(id) = ticket.connection {
        flow = flow.reconnect(id);
    }
    if let Some(return_to) = ticket.return_to {
        flow = flow.return_to(return_to);
    }
    let started = flow.begin().await?;
    let mut reply = Reply::see_other(started.url())?;
    bind(call, &started, &mut reply)?;
    Ok(reply)
}
