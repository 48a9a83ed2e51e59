//! A local Notion simulator: OAuth, pages, blocks, data sources, views, comments, files and
//! webhooks of one workspace. The simulator enforces Notion's limits and can inject faults.
//!
//! The simulator is a provider for [`connector_sim::Authority`] and takes the time from the given
//! clock. For undocumented behaviour, the simulator assumes the worst case: reuse of a refresh
//! token invalidates the grant, and access tokens expire after an hour although the token response
//! does not state a lifetime.

mod api;
mod blocks;
mod files;
mod filter;
mod views;
mod world;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use connector_core::clock::{Clock, Timestamp};
use connector_core::provider::Connector as _;
use connector_core::provider::description::EndpointTemplate;
use connector_core::{Error, ErrorKind, Result};
use connector_sim::{Account, Authority, Grant, Provider, Request, Response, Secrets, Server};
pub use connector_sim::{Consent, Fault};
use serde_json::{Value, json};

use self::world::World;
use crate::models::{BlockId, DataSourceId, DatabaseId, PageId};
use crate::{Notion, NotionConfig, oauth};

connector_sim::simulator_builder! {
    /// Settings of a [`Simulator`].
    pub struct SimulatorBuilder {
        bots: usize = 1,
        requests_per_minute: usize = 180,
    }
}

impl SimulatorBuilder {
    /// Sets the number of people who can authorize. Each person has a separate bot. Default: 1. The
    /// first person is signed in; see [`Simulator::bot`].
    pub fn with_bots(mut self, bots: usize) -> Self {
        self.bots = bots;
        self
    }

    /// Sets the maximum number of requests per connection and minute. Default: 180.
    pub fn with_requests_per_minute(mut self, requests: usize) -> Self {
        self.requests_per_minute = requests;
        self
    }

    /// Starts the simulator on a free loopback port. Requires a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is free.
    pub async fn start(self) -> Result<Simulator> {
        let secrets = Secrets::new(self.mark.clone());
        let world = World::new(secrets, self.requests_per_minute);
        let world = Arc::new(Mutex::new(world));
        let clock = Arc::clone(&self.clock);
        let notion = Notion::new(NotionConfig::builder().build()?);
        let mut builder = self
            .authority(notion.description())
            .with_introspection(EndpointTemplate::new(oauth::INTROSPECTION))
            .with_provider(Api {
                world: Arc::clone(&world),
                clock: Arc::clone(&clock),
            });
        for number in 1..=self.bots {
            let document = json!({
                "bot_id": bot(number),
                "workspace_id": world::WORKSPACE,
                "workspace_name": world::WORKSPACE_NAME,
                "workspace_icon": null,
                "owner": { "type": "user", "user": world::person(number) },
                "duplicated_template_id": null,
            });
            builder = builder.with_account(Account::new(bot(number)).with_document(document));
        }
        let authority = builder.start(self.clock).await?;
        Ok(Simulator {
            authority,
            world,
            clock,
        })
    }
}

fn bot(number: usize) -> String {
    world::uuid('b', number as u64)
}

/// The API of the simulator.
struct Api {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        let mut world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        api::answer(&mut world, self.clock.now(), request, grant)
    }

    fn unauthenticated(&self, _: &Request) -> Response {
        api::error(401, "unauthorized", "API token is invalid.")
    }

    fn token_response(&self, _: &Grant, body: &mut Value) {
        body["request_id"] = world::uuid('f', 0).into();
        if body.get("refresh_token").is_none() {
            body["refresh_token"] = Value::Null;
        }
    }

    fn identity(&self, grant: &Grant, body: &mut Value) {
        let world = self.world.lock().unwrap_or_else(PoisonError::into_inner);
        *body = world.me(&grant.account, &body["owner"]);
    }
}

/// A simulated Notion workspace with one public connection.
#[derive(Clone)]
pub struct Simulator {
    authority: Authority,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// Returns a builder for a simulator that takes the time from `clock`.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder::new(clock)
    }

    /// Returns the authorization server, with the registration, the browser and the grants.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the HTTP server, with loopback overrides, request counts and faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.authority.server()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the id of the bot with this number, counted from 1. The id is the account key.
    #[must_use]
    pub fn bot(number: usize) -> String {
        bot(number)
    }

    /// Adds a page that the user shares at the top level of the workspace.
    ///
    /// # Errors
    /// None for ids that the simulator created.
    pub fn add_page(&self, title: &str) -> Result<PageId> {
        let now = self.clock.now();
        Ok(PageId::new(self.world().add_page(now, title))?)
    }

    /// Adds a database with one data source. The data source has a title property `Name` and one
    /// text property for each of these names.
    ///
    /// # Errors
    /// None for ids that the simulator created.
    pub fn add_data_source(
        &self,
        title: &str,
        properties: &[&str],
    ) -> Result<(DatabaseId, DataSourceId)> {
        let mut schema = json!({ "Name": { "title": {} } });
        for name in properties {
            schema[*name] = json!({ "rich_text": {} });
        }
        let now = self.clock.now();
        let (database, source) = self.world().add_database(now, title, &schema);
        Ok((DatabaseId::new(database)?, DataSourceId::new(source)?))
    }

    /// Adds a row with this title and creation time.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the data source does not exist.
    pub fn add_row(
        &self,
        source: &DataSourceId,
        title: &str,
        created: Timestamp,
    ) -> Result<PageId> {
        let properties = json!({ "Name": { "title": [{ "text": { "content": title } }] } });
        let body = json!({
            "parent": { "data_source_id": source.as_str() }, "properties": properties,
        });
        let created = self.world().create_page(created, &body);
        let id = created
            .ok()
            .and_then(|it| it["id"].as_str().map(str::to_owned));
        Ok(PageId::new(id.ok_or_else(missing)?)?)
    }

    /// Adds a block in Notion's JSON format. The block may have a type that the API cannot create.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the parent does not exist.
    pub fn add_block(&self, parent: impl Into<BlockId>, block: &Value) -> Result<BlockId> {
        let now = self.clock.now();
        let parent = parent.into();
        let id = self.world().add_block(now, parent.as_str(), block);
        Ok(BlockId::new(id.ok_or_else(missing)?)?)
    }

    /// Returns the ids and plain texts of the children of a block or a page, in order.
    #[must_use]
    pub fn children(&self, parent: impl Into<BlockId>) -> Vec<(String, String)> {
        let world = self.world();
        let children = world.children_of(parent.into().as_str());
        let texts = children.iter().map(|id| (id.clone(), world.text_of(id)));
        texts.collect()
    }

    /// Returns the number of blocks below a block or a page, at all levels.
    #[must_use]
    pub fn block_count(&self, root: impl Into<BlockId>) -> usize {
        self.world().count(root.into().as_str())
    }

    /// Stops sharing an object with all connections, as the user can do at any time.
    pub fn unshare(&self, id: &str) {
        self.world().unshared.insert(id.to_owned());
    }

    /// Shares an object again.
    pub fn share(&self, id: &str) {
        self.world().unshared.remove(id);
    }

    /// Sets whether the connection has the capability to read users.
    pub fn set_user_capability(&self, has_it: bool) {
        self.world().reads_users = has_it;
    }

    /// Sets whether the simulator executes asynchronous writes later.
    pub fn set_asynchronous(&self, is_later: bool) {
        self.world().is_later = is_later;
    }

    /// Invalidates all page cursors.
    pub fn expire_cursors(&self) {
        self.world().cursors.clear();
    }

    /// Creates the webhook subscription and returns the handshake request that Notion posts to its
    /// URL.
    ///
    /// # Errors
    /// The errors of [`sign`].
    pub fn create_webhook(&self) -> Result<http::Request<Bytes>> {
        let token = self.world().create_webhook();
        let body = json!({ "verification_token": token });
        sign(&token, Bytes::from(body.to_string()))
    }

    /// Returns a webhook request with this body, signed with the subscription's key.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no webhook subscription.
    pub fn sign_event(&self, body: &Value) -> Result<http::Request<Bytes>> {
        let token = self.world().webhook.clone().ok_or_else(missing)?;
        sign(&token, Bytes::from(body.to_string()))
    }

    /// Returns a webhook request for an event of this type about an object, addressed to these
    /// bots.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no webhook subscription.
    pub fn event(
        &self,
        kind: &str,
        entity: (&str, &str),
        bots: &[String],
    ) -> Result<http::Request<Bytes>> {
        let now = self.clock.now();
        let (token, body) = self
            .world()
            .event(now, kind, entity, bots)
            .ok_or_else(missing)?;
        sign(&token, Bytes::from(body.to_string()))
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
    let message = "the simulator does not contain this object; add it first";
    Error::new(ErrorKind::NotFound, "notion.simulator", message)
}

/// Returns a webhook request with this body, signed with a verification token.
///
/// # Errors
/// None, because the signature is always a valid header value.
pub fn sign(verification_token: &str, body: Bytes) -> Result<http::Request<Bytes>> {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, verification_token.as_bytes());
    let value = format!("sha256={}", hex::encode(ring::hmac::sign(&key, &body)));
    let mut request = http::Request::new(body);
    *request.method_mut() = http::Method::POST;
    let value = http::HeaderValue::from_str(&value).map_err(|_| missing())?;
    request.headers_mut().insert("x-notion-signature", value);
    Ok(request)
}
