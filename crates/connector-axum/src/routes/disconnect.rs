//! Disconnects connections, after confirmation.

use connector_core::provider::description::RevocationReach;
use http::StatusCode;
use ring::digest::{SHA256, digest};

use super::views::{ConnectionView, DisconnectMode, DisconnectRequest, Stop, StopList};
use crate::problem::{Code, Problem};
use crate::serve::{Call, Content, Outcome, Reply, connector};

/// Maximum number of subscriptions in the list.
const LISTED: usize = 100;

pub(super) async fn consequences(call: Call) -> Outcome {
    Reply::ok(&stops(&call).await?)
}

pub(super) async fn disconnect(call: Call) -> Outcome {
    let request: DisconnectRequest = call.content()?;
    let stops = stops(&call).await?;
    if request.confirmation != stops.confirmation {
        return Err(Problem::new(
            &Code::CONFIRMATION_STALE,
            "the connection has changed, or the consequences were not read",
        ));
    }
    let key = call.key()?;
    let returns = &call.shared.settings.returns;
    let return_to = request
        .return_to
        .map(|given| returns.check(&given, &key.tenant))
        .transpose()?;
    let disconnect = call.shared.hub.disconnect(&key, call.context()?);
    match request.mode {
        DisconnectMode::Deactivate => disconnect.await?,
        DisconnectMode::Forget => disconnect.forget().await?,
    }
    if call.is_form {
        return Reply::see_other(&returns.target(return_to.as_deref(), Some(&key.tenant)));
    }
    Ok(Reply::new(StatusCode::NO_CONTENT, Content::Empty))
}

async fn stops(call: &Call) -> Result<StopList, Problem> {
    let key = call.key()?;
    let hub = &call.shared.hub;
    let connection = hub.tenant(&key.tenant).get(key.id).await?;
    let mut stops = Vec::new();
    let mut stop = |kind, text: String, only_if_forgotten| {
        stops.push(Stop {
            kind,
            text,
            only_if_forgotten,
        });
    };
    let description = connector(hub, connection.provider.as_str()).ok();
    let name = description.map_or(connection.provider.as_str(), |it| &it.name);
    if connection.is_live() {
        stop(
            "credential",
            format!("The service can no longer use the account at {name}."),
            false,
        );
        let revocation = description.and_then(|it| it.revocation.as_ref());
        let text = match revocation.map(|it| it.reach) {
            Some(RevocationReach::Account) => format!(
                "The permission at {name} is withdrawn, unless another connection to the account \
                 needs it."
            ),
            Some(_) => format!("The permission at {name} is withdrawn."),
            None => format!(
                "The permission at {name} stays until you remove it there, because {name} offers \
                 no revocation."
            ),
        };
        stop("grant", text, false);
        for subscription in hub.subscriptions(&key).await?.into_iter().take(LISTED) {
            let watch = subscription.watch;
            let text = format!("Changes of {} are no longer received.", watch.as_str());
            stop("subscription", text, false);
        }
    }
    stop(
        "record",
        "The connection disappears from the list. Its history stays in the audit log.".to_owned(),
        true,
    );
    let listed = serde_json::to_string(&stops).unwrap_or_default();
    let text = format!("{}\n{}\n{listed}", key.id, connection.status.as_str());
    Ok(StopList {
        connection: ConnectionView::from(&connection),
        confirmation: hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16]),
        stops,
    })
}
