//! Downloads that resume after faults, read one revision, and verify the checksum.

use connector_core::ErrorKind;
use connector_core::api::{DownloadOptions, OnProgress};
use connector_gdrive::Reason;
use connector_gdrive::endpoints::{DownloadFile, DownloadRange, DownloadRevision};
use connector_gdrive::models::FileMetadata;
use connector_gdrive::sim::Fault;
use futures_util::TryStreamExt as _;
use tokio::io::AsyncReadExt as _;

use crate::rig::{noise, transfers};

const LENGTH: usize = 3_000_001;

#[tokio::test]
async fn a_download_resumes_after_faults_and_verifies_the_checksum() {
    let (sim, client) = transfers(|it| it).await;
    let content = noise(7, LENGTH);
    let file = sim
        .add_file(None, "Big", "application/zip", content.clone())
        .unwrap();
    let revisions = format!("/drive/v3/files/{file}/revisions*");
    // Each response breaks off after half of the remaining content.
    for _ in 0..5 {
        sim.server().fault(revisions.clone(), Fault::Truncate);
        let reported = std::sync::Arc::new(std::sync::atomic::AtomicU64::new(0));
        let last = std::sync::Arc::clone(&reported);
        let options = DownloadOptions::new().with_progress(OnProgress::new(move |it| {
            last.store(it.bytes, std::sync::atomic::Ordering::Relaxed);
        }));
        let mut download = client
            .download_file_with(&file, options, false)
            .await
            .unwrap();
        let mut found = Vec::new();
        // Reads the download as `tokio::io::AsyncRead`.
        download.read_to_end(&mut found).await.unwrap();
        assert!(found == content);
        assert_eq!(
            reported.load(std::sync::atomic::Ordering::Relaxed),
            LENGTH as u64
        );
    }
    let requests = sim.server().count(&http::Method::GET, &revisions);
    assert_eq!(requests, 10);
    // Reads the download as a stream.
    let pieces: Vec<_> = client
        .download_file(&file)
        .await
        .unwrap()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(pieces.iter().map(bytes::Bytes::len).sum::<usize>(), LENGTH);
    println!("downloads complete despite faults: 5, requests: {requests}");
}

#[tokio::test]
async fn a_file_changed_during_a_download_is_read_at_one_revision_or_fails() {
    let (sim, client) = transfers(|it| it).await;
    let old = noise(1, LENGTH);
    let file = sim
        .add_file(None, "Moving", "application/zip", old.clone())
        .unwrap();
    // With the revision in the request: the download returns the old content to its end.
    let mut download = client.download_file(&file).await.unwrap();
    sim.overwrite(&file, noise(2, LENGTH)).unwrap();
    let mut found = Vec::new();
    download.read_to_end(&mut found).await.unwrap();
    assert!(found == old);
    // Without the revision in the request: the checksum does not match, and the download fails.
    let media = format!("/drive/v3/files/{file}");
    let options = DownloadOptions::new().with_checksum(connector_core::api::Checksum::Md5([0; 16]));
    let session = connector_core::provider::ProviderClient::session(&client);
    let download = session
        .download_with(&DownloadFile::new(&file), options)
        .await
        .unwrap();
    let failed = download.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::UnexpectedResponse);
    assert!(sim.server().count(&http::Method::GET, &media) >= 1);
    let ranged = client
        .send(&DownloadRange::new(&file, 10, 19))
        .await
        .unwrap();
    assert_eq!(ranged, &noise(2, LENGTH)[10..20]);
    let beyond = client
        .send(&DownloadRange::new(&file, LENGTH as u64, LENGTH as u64 + 9))
        .await;
    assert_eq!(beyond.unwrap_err().kind(), ErrorKind::Rejected);
    let wrong = client
        .send(&DownloadRange::new(&file, 9, 8))
        .await
        .unwrap_err();
    assert_eq!(wrong.kind(), ErrorKind::InvalidInput);
}

#[tokio::test]
async fn forbidden_downloads_fail_with_their_reason() {
    let (sim, client) = transfers(|it| it).await;
    let document = "application/vnd.google-apps.document";
    let document = sim.add_file(None, "Doc", document, "").unwrap();
    let refused = client.download_file(&document).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NotDownloadable));
    let refused = client
        .download(&DownloadFile::new(&document))
        .await
        .unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NotDownloadable));

    let file = sim.add_file(None, "Virus", "application/zip", "x").unwrap();
    sim.set_abusive(&file, true);
    let refused = client.download_file(&file).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::Abusive));
    let options = DownloadOptions::new;
    let taken = client
        .download_file_with(&file, options(), true)
        .await
        .unwrap();
    assert_eq!(taken.try_collect::<Vec<_>>().await.unwrap().concat(), b"x");
    sim.set_abusive(&file, false);
    let refused = client
        .download_file_with(&file, options(), true)
        .await
        .unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NotAbusive));

    let missing = connector_gdrive::models::FileId::new("nothing-here").unwrap();
    let refused = client.download_file(&missing).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ProviderNotFound);
    let revision = DownloadRevision::new(&file, "nothing-here");
    let refused = client.download(&revision).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ProviderNotFound);
    let folder = client.create_file(FileMetadata::folder("F")).await.unwrap();
    let refused = client
        .download_file(&folder.file_id().unwrap())
        .await
        .unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NotDownloadable));
    println!("downloads refused with a reason: 8");
}
