//! Connects a Google Drive account step by step: authorize, callback, token exchange, upload with a
//! progress bar, list, download, watch, notification, disconnect.
//!
//! `cargo run --bin gdrive_oauth` runs the complete example offline against a simulated Google. If
//! you set `GOOGLE_CLIENT_ID`, `GOOGLE_CLIENT_SECRET` and `GOOGLE_REDIRECT_URI`, the example
//! instead prints the authorization URL of the real Google and exits. See docs/providers/gdrive.md.

#![expect(clippy::print_stdout, reason = "the example explains what it does")]

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use connector_examples::{Outcome, authorization_url, is_set, run_jobs};
use connector_gdrive::sim::{ChunkFault, Consent, Simulator};
use connectors::api::{OnProgress, UploadBody};
use connectors::cipher::Keyring;
use connectors::clock::{Clock, ManualClock, SystemClock};
use connectors::gdrive::endpoints::ListFiles;
use connectors::gdrive::models::{Change, FileId, FileMetadata, Query};
use connectors::gdrive::upload::Upload;
use connectors::gdrive::{DriveClient, GoogleDrive, GoogleDriveConfig, PathMatch, VARIABLES};
use connectors::{
    Actor, CorrelationId, Delivered, EventHandler, Hub, MemoryStore, RequestContext, TenantId,
    Watch,
};
use tokio::io::AsyncReadExt;

/// Handler of the application, which collects the changes.
#[derive(Debug, Clone, Default)]
struct Changes(Arc<Mutex<Vec<Change>>>);

impl Changes {
    fn all(&self) -> MutexGuard<'_, Vec<Change>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl EventHandler<Change> for Changes {
    async fn handle(&self, change: Change, _: &Delivered) -> connectors::Result<()> {
        self.all().push(change);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    if VARIABLES.iter().any(|variable| is_set(variable.name)) {
        let hub = Hub::builder().connector(GoogleDrive::new(GoogleDriveConfig::from_env()?));
        let url = authorization_url(hub, GoogleDrive::ID).await?;
        println!("authorize: open {url}");
        return Ok(());
    }
    let clock = ManualClock::new(SystemClock::new().now());
    let sim = Simulator::builder(clock.clone()).start().await?;
    println!("simulator: Google at {}", sim.server().address());

    let changes = Changes::default();
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(clock.clone())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .clock(clock.clone())
        .connector(GoogleDrive::new(GoogleDriveConfig::for_simulator(&sim)?))
        .on_event::<Change>(changes.clone())
        .with_webhook_base("https://hooks.example/in/".parse()?)
        .build()?;
    let (tenant, user) = (TenantId::new("tenant-1")?, Actor::User("user-1".into()));
    let context = || RequestContext::new(user.clone(), CorrelationId::default());

    let authorization = hub
        .authorize(&tenant, GoogleDrive::ID)
        .actor(user.clone())
        .begin()
        .await?;
    let url = authorization.url();
    println!(
        "authorize: {}{}",
        url.host_str().unwrap_or_default(),
        url.path()
    );
    let callback = sim.authority().visit(url, &Consent::Grant)?;
    println!(
        "callback: {}{}",
        callback.host_str().unwrap_or_default(),
        callback.path()
    );
    let query = callback.query().unwrap_or_default();
    let connected = hub
        .callback(GoogleDrive::ID, query, authorization.binding().clone())
        .actor(user.clone())
        .tenant(&tenant)
        .await?;
    let exchanges = sim.server().count(&http::Method::POST, "/token");
    println!("token exchange: {exchanges} request");
    let connection = connected.connection();
    println!(
        "identity: account {} ({})",
        connection.account.key, connection.status
    );
    let key = connection.key().clone();

    let client: DriveClient = hub.client(&key).await?;
    upload_and_download(&client, &sim).await?;

    hub.subscribe(&key, Watch::new("changes")?, context())
        .await?;
    run_jobs(&hub, &clock).await?;
    println!("watch: {} channel open at Google", sim.channels());
    sim.add_file(None, "By a colleague.txt", "text/plain", "hello")?;
    for notification in sim.notifications() {
        // In a service, the webhook endpoint runs this code. The last path segment is the channel
        // id.
        let channel = notification.url.rsplit('/').next().unwrap_or_default();
        let receipt = hub
            .receive(&GoogleDrive::ID, notification.request.clone())
            .channel(channel.to_owned())
            .await?;
        println!(
            "webhook: notification answered {}",
            receipt.response().status()
        );
    }
    run_jobs(&hub, &clock).await?;
    for change in changes.all().iter() {
        let name = change.file.as_ref().and_then(|file| file.name.as_deref());
        println!("webhook: change handled: {}", name.unwrap_or("removed"));
    }

    hub.disconnect(&key, context()).await?;
    run_jobs(&hub, &clock).await?;
    println!(
        "disconnect: {} watch channels left at Google",
        sim.channels()
    );
    if let Err(error) = hub.access_token(&key).await {
        println!("disconnect: the hub refuses further token requests: {error}");
    }
    hub.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}

/// Uploads a file although the simulator stores only half of one chunk, finds the file by its path,
/// and downloads the file.
async fn upload_and_download(client: &DriveClient, sim: &Simulator) -> Outcome<()> {
    let folder = client.create_file(FileMetadata::folder("Reports")).await?;
    let folder = folder.file_id()?;
    let content: Vec<u8> = (0..=255).cycle().take(2 * 1024 * 1024).collect();
    sim.fault_chunks([ChunkFault::Half]);
    let bar = OnProgress::new(|progress| {
        let total = progress.total.unwrap_or(progress.bytes).max(1);
        let tenths = usize::try_from(progress.bytes * 10 / total).unwrap_or(0);
        let (done, left) = ("#".repeat(tenths), ".".repeat(10 - tenths.min(10)));
        println!("upload: [{done}{left}] {} of {total} bytes", progress.bytes);
    });
    let metadata = FileMetadata::named("May.bin").in_folder(&folder);
    let upload = Upload::create(metadata, "application/octet-stream").with_chunk(1024 * 1024);
    let body = UploadBody::bytes(content.clone()).with_progress(bar);
    let file = client.upload_file(&upload, body).await?;
    println!(
        "upload: {} bytes stored, checksum verified",
        file.size.unwrap_or_default()
    );
    let query = Query::in_folder(&folder).and(!Query::trashed());
    let page = client.send(&ListFiles::new().with_query(query)).await?;
    println!("list: {} file", page.items.len());
    let found = client.find_path(&FileId::root(), "Reports/May.bin").await?;
    println!(
        "path lookup: found {}",
        matches!(found, PathMatch::Found(_))
    );
    let mut read = Vec::new();
    let mut download = client.download_file(&file.file_id()?).await?;
    download.read_to_end(&mut read).await?;
    println!(
        "download: {} bytes, content equal: {}",
        read.len(),
        read == content
    );
    Ok(())
}
