//! Copies files between Google Drive and any store of the crate `object_store` (Amazon S3, Azure,
//! Google Cloud Storage, local files), without a whole file in memory.
//!
//! `cargo run --bin gdrive_object_store` runs offline with a simulated Google and a store in memory.
//! The reader and the writer of `object_store` implement the traits of tokio, which uploads and
//! downloads of the connector use too. See docs/providers/gdrive.md.

#![expect(clippy::print_stdout, reason = "the example explains what it does")]

use std::sync::Arc;

use connector_examples::Outcome;
use connector_gdrive::sim::{Consent, Simulator};
use connectors::api::UploadBody;
use connectors::cipher::Keyring;
use connectors::clock::SystemClock;
use connectors::gdrive::models::{File, FileId, FileMetadata};
use connectors::gdrive::upload::Upload;
use connectors::gdrive::{DriveClient, GoogleDrive, GoogleDriveConfig};
use connectors::{Actor, Hub, MemoryStore, TenantId};
use object_store::buffered::{BufReader, BufWriter};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt as _};
use tokio::io::AsyncWriteExt as _;

#[tokio::main]
async fn main() -> Outcome<()> {
    let sim = Simulator::builder(SystemClock::new()).start().await?;
    println!("simulator: Google at {}", sim.server().address());
    let hub = Hub::builder()
        .store(MemoryStore::new(Arc::new(SystemClock::new())))
        .cipher(Keyring::parse(&Keyring::generate()?)?)
        .connector(GoogleDrive::new(GoogleDriveConfig::for_simulator(&sim)?))
        .build()?;
    let client = connect(&hub, &sim).await?;

    let store: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
    let (original, copy) = (Path::from("reports/may.bin"), Path::from("copies/may.bin"));
    let content: Vec<u8> = (0..=250).cycle().take(20 * 1024 * 1024).collect();
    store.put(&original, content.into()).await?;
    let file = to_drive(&store, &original, &client).await?;
    println!(
        "upload: {}, {} bytes",
        file.name.as_deref().unwrap_or_default(),
        file.size.unwrap_or_default()
    );
    let length = from_drive(&client, &file.file_id()?, &store, copy.clone()).await?;
    let is_equal =
        store.get(&original).await?.bytes().await? == store.get(&copy).await?.bytes().await?;
    println!("download: {length} bytes, equal to the original: {is_equal}");
    println!("done");
    Ok(())
}

/// Connects an account of the simulator. See `gdrive_oauth`.
async fn connect(hub: &Hub, sim: &Simulator) -> Outcome<DriveClient> {
    let (tenant, user) = (TenantId::new("tenant-1")?, Actor::User("user-1".into()));
    let authorize = hub.authorize(&tenant, GoogleDrive::ID);
    let authorization = authorize.actor(user.clone()).begin().await?;
    let callback = sim
        .authority()
        .visit(authorization.url(), &Consent::Grant)?;
    let query = callback.query().unwrap_or_default();
    let connected = hub
        .callback(GoogleDrive::ID, query, authorization.binding().clone())
        .actor(user)
        .tenant(&tenant)
        .await?;
    Ok(hub.client(connected.connection().key()).await?)
}

/// Uploads an object to Google Drive. The upload resumes after a network failure, and Google's
/// checksum is compared with the content.
async fn to_drive(
    store: &Arc<dyn ObjectStore>,
    path: &Path,
    client: &DriveClient,
) -> Outcome<File> {
    let meta = store.head(path).await?;
    let reader = BufReader::new(Arc::clone(store), &meta);
    let name = path.filename().unwrap_or("untitled");
    let upload = Upload::create(FileMetadata::named(name), "application/octet-stream");
    let body = UploadBody::reader(reader, Some(meta.size));
    Ok(client.upload_file(&upload, body).await?)
}

/// Downloads a file from Google Drive to an object. If the download fails, no object is created.
async fn from_drive(
    client: &DriveClient,
    file: &FileId,
    store: &Arc<dyn ObjectStore>,
    path: Path,
) -> Outcome<u64> {
    let mut download = client.download_file(file).await?;
    let mut writer = BufWriter::new(Arc::clone(store), path);
    match tokio::io::copy(&mut download, &mut writer).await {
        Ok(length) => {
            writer.shutdown().await?;
            Ok(length)
        }
        Err(error) => {
            writer.abort().await?;
            Err(error.into())
        }
    }
}
