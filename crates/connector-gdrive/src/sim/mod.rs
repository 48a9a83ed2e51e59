//! A local simulator of Google Drive: OAuth, service accounts, files with content and revisions,
//! sharing, shared drives, changes, watch channels, resumable uploads and batches. The simulator
//! follows Google's rules and can inject faults.
//!
//! The simulator implements a provider of [`connector_sim::Authority`] and takes the time from the
//! given clock. Where Google's behaviour is undocumented, the simulator assumes the worst case:
//! notifications during an outage are lost, and an interrupted chunk is discarded.

mod api;
mod files;
mod mask;
mod parts;
mod query;
mod review;
mod sharing;
mod upload;
mod watch;
mod world;

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::provider::Connector;
use connector_core::{Error, ErrorKind, Result};
use connector_sim::{Account, Authority, Grant, Provider, Request, Response, Secrets, Server};
pub use connector_sim::{Consent, Fault};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

pub use self::upload::ChunkFault;
pub use self::watch::{Notification, sign_notification};
use self::world::World;
use crate::models::FileId;
use crate::{GoogleDrive, GoogleDriveConfig};

/// Scopes that [`GoogleDriveConfig::for_simulator`] requests.
pub const SCOPES: [&str; 3] = [
    crate::oauth::scope::OPENID,
    crate::oauth::scope::EMAIL,
    crate::oauth::scope::DRIVE,
];

/// Id of the default user, which exists if [`SimulatorBuilder::with_user`] is not called.
const USER: &str = "100000000000000000001";

connector_sim::simulator_builder! {
    /// Settings of a [`Simulator`].
    pub struct SimulatorBuilder {
        users: Vec<(String, String)> = Vec::new(),
        keeps_content: bool = true,
        service_accounts: Vec<(String, Vec<u8>)> = Vec::new(),
    }
}

impl SimulatorBuilder {
    /// Adds a user with this id (`sub`) and e-mail address. The first user is signed in. Default:
    /// one user `100000000000000000001` with the address `user@example.com`.
    pub fn with_user(mut self, id: impl Into<String>, email: impl Into<String>) -> Self {
        self.users.push((id.into(), email.into()));
        self
    }

    /// Adds a service account with domain-wide delegation. The arguments are the e-mail address and
    /// the public key in ring's format (PKCS#1 DER).
    pub fn with_service_account(
        mut self,
        email: impl Into<String>,
        public_key: impl Into<Vec<u8>>,
    ) -> Self {
        self.service_accounts
            .push((email.into(), public_key.into()));
        self
    }

    /// Stores only the length and the checksum of uploads, so that uploads can exceed the available
    /// memory.
    pub fn without_content(mut self) -> Self {
        self.keeps_content = false;
        self
    }

    /// Starts the simulator on a free port of the loopback address. Requires a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is free.
    pub async fn start(mut self) -> Result<Simulator> {
        let mut users = std::mem::take(&mut self.users);
        if users.is_empty() {
            users.push((USER.to_owned(), "user@example.com".to_owned()));
        }
        let mut world = World::new(Secrets::new(self.mark.clone()), self.keeps_content);
        for (id, email) in &users {
            world.add_user(id, email);
        }
        for (email, _) in &self.service_accounts {
            world.add_service_account(email);
        }
        let world = Arc::new(Mutex::new(world));
        let clock = Arc::clone(&self.clock);
        let drive = GoogleDrive::new(GoogleDriveConfig::builder().build()?);
        let mut builder = self
            .authority(drive.description())
            .with_code_lifetime(Duration::from_secs(600))
            .with_access_lifetime(Duration::from_secs(3599))
            .with_provider(Api {
                world: Arc::clone(&world),
                clock: Arc::clone(&clock),
                service_accounts: self.service_accounts,
            });
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

/// API of the simulator.
pub(crate) struct Api {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
    service_accounts: Vec<(String, Vec<u8>)>,
}

impl Api {
    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Provider for Api {
    fn call(&self, request: &Request, grant: &Grant) -> Response {
        api::answer(&mut self.world(), self.clock.now(), request, grant)
    }

    fn unauthenticated(&self, request: &Request) -> Response {
        // The URL of an upload session is itself a credential.
        if let Some(answer) = upload::session(&mut self.world(), self.clock.now(), request) {
            return answer;
        }
        let body = json!({ "error": {
            "code": 401, "message": "Invalid Credentials", "status": "UNAUTHENTICATED",
            "errors": [{ "domain": "global", "reason": "authError", "message": "Invalid Credentials",
                "locationType": "header", "location": "Authorization" }],
        } });
        Response::json(401, &body).with_header("www-authenticate", "Bearer error=\"invalid_token\"")
    }

    fn token_response(&self, grant: &Grant, body: &mut Value) {
        body["token_type"] = "Bearer".into();
        // Google returns the long name of the e-mail scope, and omits the refresh token in refresh
        // responses.
        if let Some(scope) = body.get("scope").and_then(Value::as_str) {
            let long = scope.replace(" email", " https://www.googleapis.com/auth/userinfo.email");
            body["scope"] = long.into();
        }
        self.world().granted(grant);
    }

    fn assertion(
        &self,
        assertion: &str,
    ) -> Option<std::result::Result<(Account, Vec<String>), &'static str>> {
        Some(self.asserted(assertion))
    }
}

impl Api {
    /// Verifies the assertion of a service account.
    fn asserted(
        &self,
        assertion: &str,
    ) -> std::result::Result<(Account, Vec<String>), &'static str> {
        let malformed = "Invalid JWT: Token must be a signed JWT.";
        let (signed, signature) = assertion.rsplit_once('.').ok_or(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or(malformed)?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed);
        let read = |part: &str| -> std::result::Result<Value, &'static str> {
            serde_json::from_slice(&decode(part)?).map_err(|_| malformed)
        };
        let (header, claims) = (read(header)?, read(claims)?);
        let text = |name: &str| claims[name].as_str().unwrap_or_default();
        let mut accounts = self.service_accounts.iter();
        let (email, key) = accounts
            .find(|(email, _)| email == text("iss"))
            .ok_or("Invalid grant: account not found")?;
        let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key);
        let fits = key.verify(signed.as_bytes(), &decode(signature)?).is_ok();
        if header["alg"] != "RS256" || !fits {
            return Err("Invalid JWT Signature.");
        }
        let now = self.clock.now().as_unix_seconds();
        let (issued, expires) = (claims["iat"].as_i64(), claims["exp"].as_i64());
        let (Some(issued), Some(expires)) = (issued, expires) else {
            return Err("Invalid JWT: iat and exp are required");
        };
        let is_fresh = issued <= now + 60 && expires > now && expires - issued <= 3600;
        if text("aud") != "https://oauth2.googleapis.com/token" || !is_fresh {
            return Err("Invalid JWT: Token must be a short-lived token (60 minutes)");
        }
        let scopes = text("scope").split(' ').filter(|it| !it.is_empty());
        let scopes: Vec<String> = scopes.map(str::to_owned).collect();
        let account = match claims.get("sub").and_then(Value::as_str) {
            Some(user) => {
                let world = self.world();
                let id = world.user_of(user).ok_or("Invalid email or User ID")?;
                Account::new(id)
            }
            None => Account::new(email),
        };
        Ok((account, scopes))
    }
}

/// Simulated Google Drive, with one OAuth client.
#[derive(Clone)]
pub struct Simulator {
    authority: Authority,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// Starts a simulator that takes the time from `clock`.
    pub fn builder(clock: impl Clock) -> SimulatorBuilder {
        SimulatorBuilder::new(clock)
    }

    /// Returns the authorization server, which manages registration, browser and grants.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// Returns the HTTP server, which provides loopback overrides, request counts and faults.
    #[must_use]
    pub fn server(&self) -> &Server {
        self.authority.server()
    }

    fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn signed_in(&self) -> String {
        let accounts = self.authority.accounts();
        accounts
            .first()
            .map_or_else(String::new, |it| it.key().to_owned())
    }

    /// Returns the id of the first user's root folder.
    ///
    /// # Errors
    /// Never fails, because the simulator generates valid ids.
    pub fn root_folder(&self) -> Result<FileId> {
        Ok(FileId::new(World::root_of(&self.signed_in()))?)
    }

    /// Adds a file of the first user that the app did not create, as if the user had added the file
    /// in Google's web interface. `parent` is a folder or a shared drive. Default: the root folder.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the folder does not exist.
    pub fn add_file(
        &self,
        parent: Option<&FileId>,
        name: &str,
        mime_type: &str,
        content: impl Into<Bytes>,
    ) -> Result<FileId> {
        let now = self.clock.now();
        let user = self.signed_in();
        let parent = parent.map(FileId::as_str);
        let mut world = self.world();
        let id = world.add_file(now, &user, parent, name, mime_type, &content.into());
        Ok(FileId::new(id.ok_or_else(missing)?)?)
    }

    /// Adds a shared drive with the first user as a manager.
    ///
    /// # Errors
    /// Never fails, because the simulator generates valid ids.
    pub fn add_drive(&self, name: &str) -> Result<FileId> {
        let now = self.clock.now();
        let user = self.signed_in();
        Ok(FileId::new(self.world().add_drive(now, &user, name))?)
    }

    /// Changes the name of a file, as a user would.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the file does not exist.
    pub fn rename(&self, file: &FileId, name: &str) -> Result<()> {
        let now = self.clock.now();
        let renamed = self
            .world()
            .edit(now, file.as_str(), &json!({ "name": name }));
        renamed.then_some(()).ok_or_else(missing)
    }

    /// Replaces the content of a file, as a user would.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the file does not exist.
    pub fn overwrite(&self, file: &FileId, content: impl Into<Bytes>) -> Result<()> {
        let now = self.clock.now();
        let written = self.world().overwrite(now, file.as_str(), &content.into());
        written.then_some(()).ok_or_else(missing)
    }

    /// Deletes a file permanently, as its owner would.
    pub fn remove(&self, file: &FileId) {
        let now = self.clock.now();
        self.world().remove(now, file.as_str());
    }

    /// Removes a user from a shared drive. The user loses access to the shared drive and its files.
    pub fn leave_drive(&self, drive: &FileId) {
        let now = self.clock.now();
        let user = self.signed_in();
        self.world().leave_drive(now, drive.as_str(), &user);
    }

    /// Sets whether a file is marked as malware.
    pub fn set_abusive(&self, file: &FileId, is_abusive: bool) {
        self.world()
            .with_item(file.as_str(), |it| it.is_abusive = is_abusive);
    }

    /// Adds an access request for a file and returns the id of the request.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the file does not exist.
    pub fn add_access_proposal(&self, file: &FileId, requester: &str) -> Result<String> {
        let now = self.clock.now();
        let id = self.world().add_proposal(now, file.as_str(), requester);
        id.ok_or_else(missing)
    }

    /// Returns the stored content of a file. `None` if the file does not exist or its content was
    /// not stored.
    #[must_use]
    pub fn content(&self, file: &FileId) -> Option<Bytes> {
        self.world()
            .with_item(file.as_str(), |it| it.content.bytes.clone())?
    }

    /// Returns the number of files with this name, including files in the trash.
    #[must_use]
    pub fn count_named(&self, name: &str) -> usize {
        self.world().count_named(name)
    }

    /// Sets whether Google has an outage. During an outage, all calls fail with the status 503 and
    /// no notification is sent.
    pub fn set_outage(&self, is_out: bool) {
        self.world().is_out = is_out;
    }

    /// Sets whether uploads are throttled while other calls succeed. Google behaves this way after
    /// a user has uploaded 750 GB within a day.
    pub fn set_upload_cap(&self, is_reached: bool) {
        self.world().is_capped = is_reached;
    }

    /// Injects these faults into the next chunks of uploads, one fault per chunk.
    pub fn fault_chunks(&self, faults: impl IntoIterator<Item = ChunkFault>) {
        self.world().chunk_faults.extend(faults);
    }

    /// Ends all upload sessions.
    pub fn end_upload_sessions(&self) {
        self.world().uploads.clear();
    }

    /// Returns the number of content bytes that clients have sent to upload sessions.
    #[must_use]
    pub fn uploaded_bytes(&self) -> u64 {
        self.world().uploaded_bytes
    }

    /// Returns the number of live watch channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        let now = self.clock.now();
        self.world().live_channels(now).count()
    }

    /// Returns the resources of the live watch channels: `changes`, `changes?driveId=…`, `files/…`.
    #[must_use]
    pub fn watched(&self) -> Vec<String> {
        let now = self.clock.now();
        let world = self.world();
        world
            .live_channels(now)
            .map(watch::Channel::watched)
            .collect()
    }

    /// Returns the notifications to deliver.
    #[must_use]
    pub fn notifications(&self) -> Vec<Notification> {
        let now = self.clock.now();
        self.world().due_notifications(now)
    }

    /// Records the application's response to a notification. Google retries a notification after
    /// the status 500, 502, 503 or 504. After any other failure, the notification is lost.
    pub fn notification_answered(&self, notification: &Notification, status: u16) {
        self.world().answered(notification, status);
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
    let message = "the simulator does not contain the file or folder; add it";
    Error::new(ErrorKind::NotFound, "google-drive.simulator", message)
}
