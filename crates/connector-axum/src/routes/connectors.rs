//! Lists the connectors.

use connector_core::provider::Description;

use super::views::{Connector, ConnectorList};
use crate::serve::{Call, Outcome, Reply};

pub(super) fn list(call: &Call) -> Outcome {
    let connectors = call.shared.hub.connectors();
    let list = ConnectorList {
        connectors: connectors
            .map(|it| Connector {
                provider: it.provider.as_str().to_owned(),
                name: it.name.clone(),
                connects: it.authorization.is_some(),
                needs_account: it.account_host.is_some(),
                has_webhooks: it.webhook.is_some(),
                scopes: it.scopes.default.clone(),
                steps: steps(it),
            })
            .collect(),
    };
    Ok(Reply::ok(&list)?.tagged())
}

/// Returns the steps of an account's owner, from the connector's description.
pub(super) fn steps(description: &Description) -> Vec<String> {
    let name = &description.name;
    let mut steps = Vec::new();
    if description.authorization.is_none() {
        steps.push(format!("Create an API key or a secret address at {name}."));
        steps.push("Enter it here.".to_owned());
        return steps;
    }
    if let Some(host) = &description.account_host {
        steps.push(format!(
            "Enter the address of your account at {name}. It ends with {}.",
            host.suffix
        ));
    }
    steps.push(format!("Log in to {name} with the account to connect."));
    steps.push(if description.scopes.required.is_empty() {
        format!("Allow access on the page of {name}.")
    } else {
        format!("Allow access on the page of {name}, and leave all permissions selected.")
    });
    steps.push("You are then sent back.".to_owned());
    steps
}
