//! An Airtable simulator for tests. It provides OAuth, bases with tables, records, comments and
//! webhooks, follows Airtable's rules, and injects scripted faults.
//!
//! The simulator is a provider of [`connector_sim::Authority`]. The caller supplies the clock. For
//! undocumented behaviour, the simulator assumes the worst case: a used refresh token ends the
//! grant, offsets expire on request, and an expired webhook disappears from the list immediately.

mod api;
mod records;
mod world;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::provider::Connector;
use connector_core::{Error, ErrorKind, Result};
use connector_sim::{Account, Authority, Grant, Provider, Request, Response, Secrets, Server};
pub use connector_sim::{Consent, Fault};
use serde_json::{Value, json};

use self::world::World;
use crate::models::{BaseId, Fields, RecordId, TableId, WebhookId};
use crate::{Airtable, AirtableConfig};

/// Lifetimes of codes, access tokens and refresh tokens.
const LIFETIMES: [Duration; 3] = [
    Duration::from_secs(600),
    Duration::from_secs(3600),
    Duration::from_secs(60 * 86_400),
];

/// Every scope of Airtable.
pub const SCOPES: [&str; 8] = [
    "data.records:read",
    "data.records:write",
    "data.recordComments:read",
    "data.recordComments:write",
    "schema.bases:read",
    "schema.bases:write",
    "webhook:manage",
    "user.email:read",
];

connector_sim::simulator_builder! {
    /// The settings of a [`Simulator`].
    pub struct SimulatorBuilder {
        users: Vec<(String, String)> = Vec::new(),
    }
}

impl SimulatorBuilder {
    /// Adds a user with the id `usr…` and an e-mail address. Default: one user with the id
    /// `usr00000000000001`. The first user is signed in.
    pub fn with_user(mut self, id: impl Into<String>, email: impl Into<String>) -> Self {
        self.users.push((id.into(), email.into()));
        self
    }

    /// Starts the simulator on a free port of the loopback address. Requires a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is free.
    pub async fn start(self) -> Result<Simulator> {
        let world = Arc::new(Mutex::new(World::new(Secrets::new(self.mark.clone()))));
        let clock = Arc::clone(&self.clock);
        let config = AirtableConfig::builder()
            .with_attachment_uploads()
            .build()?;
        let airtable = Airtable::new(config);
        let [code, access, refresh] = LIFETIMES;
        let mut builder = self
            .authority(airtable.description())
            .with_code_lifetime(code)
            .with_access_lifetime(access)
            .with_refresh_lifetime(refresh)
            .with_access_ended_by_refresh()
            .with_provider(Api {
                world: Arc::clone(&world),
                clock: Arc::clone(&clock),
            });
        let mut users = self.users;
        if users.is_empty() {
            users.push((
                "usr00000000000001".to_owned(),
                "user@example.com".to_owned(),
            ));
        }
        for (id, email) in users {
            builder = builder.with_account(Account::new(id).with_label(email));
        }
        let authority = builder.start(self.clock).await?;
        Ok(Simulator {
            authority,
            world,
            clock,
        })
    }
}

/// The API of the simulator.
pub(crate) struct Api {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        api::answer(&mut world, self.clock.now(), request, grant)
    }

    fn unauthenticated(&self, _: &Request) -> Response {
        let message = "Authentication required";
        api::refused(401, "AUTHENTICATION_REQUIRED", message)
    }

    fn identity(&self, grant: &Grant, body: &mut Value) {
        body["scopes"] = json!(grant.scopes);
        if !grant.scopes.iter().any(|scope| scope == "user.email:read")
            && let Some(members) = body.as_object_mut()
        {
            members.remove("email");
        }
    }
}

/// A ping that Airtable would send.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Ping {
    /// The webhook.
    pub webhook: WebhookId,
    /// The webhook's notification URL.
    pub url: String,
    /// The signed request.
    pub request: http::Request<Bytes>,
}

/// A simulated Airtable with one OAuth integration.
#[derive(Clone)]
pub struct Simulator {
    authority: Authority,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// Returns a builder for a simulator that uses `clock` as its time source.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder::new(clock)
    }

    /// Returns the authorization server, with its registrations, browser and grants.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the HTTP server, with its loopback overrides, request counts and faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.authority.server()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a base and returns its id.
    ///
    /// # Errors
    /// Never fails for ids that the simulator generates.
    pub fn add_base(&self, name: &str) -> Result<BaseId> {
        Ok(BaseId::new(self.world().add_base(name))?)
    }

    /// Adds a table with text fields with the given names, and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the base does not exist.
    pub fn add_table(&self, base: &BaseId, name: &str, fields: &[&str]) -> Result<TableId> {
        let fields = fields
            .iter()
            .map(|name| json!({ "name": name, "type": "singleLineText" }));
        let table = json!({ "name": name, "fields": fields.collect::<Vec<_>>() });
        let id = self.world().add_table(base.as_str(), &table);
        Ok(TableId::new(id.ok_or_else(missing)?)?)
    }

    /// Creates a record, as if a person had added it in Airtable. Webhooks report the change.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the table does not exist.
    pub fn add_record(&self, base: &BaseId, table: &TableId, fields: Fields) -> Result<RecordId> {
        let now = self.clock.now();
        let created = self
            .world()
            .create_record(now, base.as_str(), table.as_str(), fields);
        let id = created.and_then(|it| it["id"].as_str().map(str::to_owned));
        Ok(RecordId::new(id.ok_or_else(missing)?)?)
    }

    /// Removes a base from every grant, as the user may do at any time.
    pub fn withdraw_base(&self, base: &BaseId) {
        self.world()
            .with_base(base.as_str(), |it| it.withdrawn = true);
    }

    /// Expires all page offsets.
    pub fn expire_offsets(&self) {
        self.world().offsets.clear();
    }

    /// Sets whether the workspace has used up its monthly API calls.
    pub fn set_monthly_calls_used_up(&self, used_up: bool) {
        self.world().capped = used_up;
    }

    /// Returns the ids of the active webhooks of a base.
    #[must_use]
    pub fn webhooks(&self, base: &BaseId) -> Vec<String> {
        let now = self.clock.now();
        let live = |base: &mut world::Base| {
            let live = base.webhooks.iter().filter(|(_, it)| it.is_live(now));
            live.map(|(id, _)| id.clone()).collect()
        };
        self.world()
            .with_base(base.as_str(), live)
            .unwrap_or_default()
    }

    /// Deletes a webhook, as if another program of the integration had deleted it.
    pub fn delete_webhook(&self, base: &BaseId, webhook: &str) {
        self.world()
            .with_base(base.as_str(), |it| it.webhooks.remove(webhook));
    }

    /// Adds an error payload with the given code to every webhook of a base.
    pub fn add_error_payload(&self, base: &BaseId, code: &str) {
        let now = self.clock.now();
        let payload = json!({ "error": true, "code": code });
        self.world()
            .with_base(base.as_str(), |it| it.report(now, &payload, None, None));
    }

    /// Returns the due pings. There is at most one per webhook, whatever the number of changes.
    ///
    /// # Errors
    /// Never fails for ids that the simulator generates.
    pub fn pings(&self) -> Result<Vec<Ping>> {
        let now = self.clock.now();
        let mut pings = Vec::new();
        for (base, webhook, url, secret) in self.world().due_pings(now) {
            let body = ping_body(&base, &webhook, &now.to_string());
            let request = sign_ping(&secret, body)?;
            let webhook = WebhookId::new(webhook)?;
            pings.push(Ping {
                webhook,
                url,
                request,
            });
        }
        Ok(pings)
    }

    /// Records the application's response to a ping. After 13 consecutive failures, Airtable sends
    /// no more pings.
    pub fn ping_answered(&self, ping: &Ping, acknowledged: bool) {
        self.world()
            .ping_answered(ping.webhook.as_str(), acknowledged);
    }
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator")
            .field("authority", &self.authority)
            .finish_non_exhaustive()
    }
}

fn missing() -> Error {
    let message = "the simulator has no such base or table; add it";
    Error::new(ErrorKind::NotFound, "airtable.simulator", message)
}

/// Returns the body of a ping.
#[must_use]
pub fn ping_body(base: &str, webhook: &str, timestamp: &str) -> Bytes {
    let body = json!({
        "base": { "id": base }, "webhook": { "id": webhook }, "timestamp": timestamp,
    });
    Bytes::from(body.to_string())
}

/// Returns a ping with the given body, signed with a webhook's secret.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if the secret is not base64.
pub fn sign_ping(mac_secret_base64: &str, body: Bytes) -> Result<http::Request<Bytes>> {
    use base64::Engine as _;

    let wrong = || {
        let message = "the secret of a webhook must be base64";
        Error::new(ErrorKind::InvalidInput, "airtable.simulator", message)
    };
    let secret = base64::prelude::BASE64_STANDARD.decode(mac_secret_base64);
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &secret.map_err(|_| wrong())?);
    let value = format!("hmac-sha256={}", hex::encode(ring::hmac::sign(&key, &body)));
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    let value = http::HeaderValue::from_str(&value).map_err(|_| wrong())?;
    request
        .headers_mut()
        .insert("x-airtable-content-mac", value);
    Ok(request)
}
