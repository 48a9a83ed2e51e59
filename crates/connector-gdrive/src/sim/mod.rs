//! A Google Drive on this machine: OAuth, service accounts, files with content and revisions, sharing,
//! shared drives, changes, watch channels, resumable uploads and batches, under Google's rules, with
//! faults on request.
//!
//! It is a provider of [`connector_sim::Authority`]. Time comes from the clock that it is given. What
//! Google does not document is decided for the worse: notifications of an outage are lost, and a chunk
//! that breaks off is not kept.

mod api;
mod files;
mod mask;
mod parts;
mod query;
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
use connector_core::{Error, ErrorKind, RedirectUri, Result};
use connector_sim::{Account, Authority, Grant, Provider, Request, Response, Secrets, Server};
pub use connector_sim::{Consent, Fault};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use serde_json::{Value, json};

pub use self::upload::ChunkFault;
pub use self::watch::Notification;
use self::world::World;
use crate::models::FileId;
use crate::{GoogleDrive, GoogleDriveConfig};

/// The scopes that [`GoogleDriveConfig::for_simulator`] asks for.
pub const SCOPES: [&str; 3] = [
    crate::oauth::scope::OPENID,
    crate::oauth::scope::EMAIL,
    crate::oauth::scope::DRIVE,
];

/// The id of the user who is there without [`SimulatorBuilder::with_user`].
const USER: &str = "100000000000000000001";

/// The settings of a [`Simulator`].
#[must_use]
pub struct SimulatorBuilder<C> {
    clock: C,
    mark: String,
    users: Vec<(String, String)>,
    redirect_uri: Option<RedirectUri>,
    keeps_content: bool,
    service_accounts: Vec<(String, Vec<u8>)>,
}

impl<C: Clock + Clone> SimulatorBuilder<C> {
    /// Adds a user: the id (`sub`) and the e-mail address. Without one there is
    /// `100000000000000000001`, `user@example.com`. The first one is signed in.
    pub fn with_user(mut self, id: impl Into<String>, email: impl Into<String>) -> Self {
        self.users.push((id.into(), email.into()));
        self
    }

    /// Adds a service account with domain-wide delegation: its address, and its public key as ring
    /// writes it (PKCS#1 DER).
    pub fn with_service_account(
        mut self,
        email: impl Into<String>,
        public_key: impl Into<Vec<u8>>,
    ) -> Self {
        self.service_accounts
            .push((email.into(), public_key.into()));
        self
    }

    /// Sets the registered redirect URI. Default: `https://app.example/callback`.
    pub fn with_redirect_uri(mut self, redirect_uri: RedirectUri) -> Self {
        self.redirect_uri = Some(redirect_uri);
        self
    }

    /// Sets the text that every secret contains, so that a test can search for it.
    pub fn with_mark(mut self, mark: impl Into<String>) -> Self {
        self.mark = mark.into();
        self
    }

    /// Keeps only length and checksum of what is uploaded, for files that are larger than memory.
    pub fn without_content(mut self) -> Self {
        self.keeps_content = false;
        self
    }

    /// Starts the simulator on a free port of the loopback address. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is free.
    pub async fn start(self) -> Result<Simulator> {
        let mut users = self.users;
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
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let drive = GoogleDrive::new(GoogleDriveConfig::builder().build()?);
        let mut builder = Authority::of(drive.description())
            .with_mark(self.mark)
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
        if let Some(redirect_uri) = self.redirect_uri {
            builder = builder.with_redirect_uri(redirect_uri);
        }
        let authority = builder.start(self.clock).await?;
        Ok(Simulator {
            authority,
            world,
            clock,
        })
    }
}

impl<C> fmt::Debug for SimulatorBuilder<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimulatorBuilder")
            .field("users", &self.users.len())
            .finish_non_exhaustive()
    }
}

/// The API of the simulator.
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
        // The URL of an upload session is a credential of its own.
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
        // Google names the address under its long name, and repeats no refresh token.
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
    /// Checks the assertion of a service account.
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

/// Google Drive, as far as one OAuth client sees it.
#[derive(Clone)]
pub struct Simulator {
    authority: Authority,
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Simulator {
    /// A simulator whose time is that of `clock`.
    pub fn builder<C: Clock + Clone>(clock: C) -> SimulatorBuilder<C> {
        SimulatorBuilder {
            clock,
            mark: String::new(),
            users: Vec::new(),
            redirect_uri: None,
            keeps_content: true,
            service_accounts: Vec::new(),
        }
    }

    /// The authorization server: registration, browser, grants.
    #[must_use]
    pub const fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The HTTP server: loopback overrides, request counts, faults.
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

    /// The id of the first user's root folder.
    ///
    /// # Errors
    /// None for ids that the simulator makes.
    pub fn root_folder(&self) -> Result<FileId> {
        Ok(FileId::new(World::root_of(&self.signed_in()))?)
    }

    /// Adds a file of the first user, as the user would with Google's own pages: the app did not create
    /// it. `parent` is a folder or a shared drive; without one it is the root folder.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such folder.
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

    /// Adds a shared drive of which the first user is a manager.
    ///
    /// # Errors
    /// None for ids that the simulator makes.
    pub fn add_drive(&self, name: &str) -> Result<FileId> {
        let now = self.clock.now();
        let user = self.signed_in();
        Ok(FileId::new(self.world().add_drive(now, &user, name))?)
    }

    /// Changes a file's name, as a person would.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file.
    pub fn rename(&self, file: &FileId, name: &str) -> Result<()> {
        let now = self.clock.now();
        let renamed = self
            .world()
            .edit(now, file.as_str(), &json!({ "name": name }));
        renamed.then_some(()).ok_or_else(missing)
    }

    /// Replaces a file's content, as a person would.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file.
    pub fn overwrite(&self, file: &FileId, content: impl Into<Bytes>) -> Result<()> {
        let now = self.clock.now();
        let written = self.world().overwrite(now, file.as_str(), &content.into());
        written.then_some(()).ok_or_else(missing)
    }

    /// Deletes a file for ever, as its owner would.
    pub fn remove(&self, file: &FileId) {
        let now = self.clock.now();
        self.world().remove(now, file.as_str());
    }

    /// Takes a user out of a shared drive: its files and the drive itself are removed for the user.
    pub fn leave_drive(&self, drive: &FileId) {
        let now = self.clock.now();
        let user = self.signed_in();
        self.world().leave_drive(now, drive.as_str(), &user);
    }

    /// Marks a file as malware, or clears the mark.
    pub fn set_abusive(&self, file: &FileId, is_abusive: bool) {
        self.world()
            .with_item(file.as_str(), |it| it.is_abusive = is_abusive);
    }

    /// Adds a request for access to a file and returns its id.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such file.
    pub fn add_access_proposal(&self, file: &FileId, requester: &str) -> Result<String> {
        let now = self.clock.now();
        let id = self.world().add_proposal(now, file.as_str(), requester);
        id.ok_or_else(missing)
    }

    /// The stored content of a file; `None` if it is not there or was not kept.
    #[must_use]
    pub fn content(&self, file: &FileId) -> Option<Bytes> {
        self.world()
            .with_item(file.as_str(), |it| it.content.bytes.clone())?
    }

    /// The number of files with this name, the trash included.
    #[must_use]
    pub fn count_named(&self, name: &str) -> usize {
        self.world().count_named(name)
    }

    /// Sets whether all calls fail (503) and no notification is sent, as in an outage of Google's.
    pub fn set_outage(&self, is_out: bool) {
        self.world().is_out = is_out;
    }

    /// Sets whether uploads are refused as throttled while other calls work, as Google does once a user
    /// has uploaded 750 GB within a day.
    pub fn set_upload_cap(&self, is_reached: bool) {
        self.world().is_capped = is_reached;
    }

    /// Makes the next chunks of uploads meet these faults, one each.
    pub fn fault_chunks(&self, faults: impl IntoIterator<Item = ChunkFault>) {
        self.world().chunk_faults.extend(faults);
    }

    /// Ends all upload sessions.
    pub fn end_upload_sessions(&self) {
        self.world().uploads.clear();
    }

    /// The bytes of content that clients have sent to upload sessions.
    #[must_use]
    pub fn uploaded_bytes(&self) -> u64 {
        self.world().uploaded_bytes
    }

    /// The number of live watch channels.
    #[must_use]
    pub fn channels(&self) -> usize {
        let now = self.clock.now();
        self.world().live_channels(now).count()
    }

    /// The resources of the live watch channels: `changes`, `changes?driveId=…`, `files/…`.
    #[must_use]
    pub fn watched(&self) -> Vec<String> {
        let now = self.clock.now();
        let world = self.world();
        world
            .live_channels(now)
            .map(watch::Channel::watched)
            .collect()
    }

    /// The notifications that are due.
    #[must_use]
    pub fn notifications(&self) -> Vec<Notification> {
        let now = self.clock.now();
        self.world().due_notifications(now)
    }

    /// Records the application's answer to a notification. Google repeats it after 500, 502, 503 and
    /// 504; after any other failure, it is lost.
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
    let message = "the simulator has no such file or folder; add it";
    Error::new(ErrorKind::NotFound, "google-drive.simulator", message)
}
