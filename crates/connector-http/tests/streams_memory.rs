//! Transfers of files that are larger than memory. They must be complete despite connection
//! failures, with bounded memory use.
//!
//! Contains a single test, because the test measures the memory of its process.
//! `CONNECTORS_SOAK=full` transfers 2 GiB in each direction with a failure every 64 MiB. The
//! default is 64 MiB with a failure every 4 MiB.

#![cfg(target_os = "linux")]
#![allow(clippy::print_stdout, reason = "the test reports measurements")]
#![allow(clippy::unwrap_used, reason = "the helpers here are part of the test")]

mod server;
mod transfers;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use connector_core::api::{DownloadOptions, OnProgress, RangeHeader, UploadBody};
use futures_util::StreamExt;

use self::transfers::{FILES, File, MIB, Reader, Seen, serving, session, taking, wrong_bytes};
use connector_testkit::memory;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_larger_than_memory_arrives_complete_despite_failures() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable is a test setting, not configuration"
    )]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let (total, fault_every) = if is_full {
        (2048 * MIB, 64 * MIB)
    } else {
        (64 * MIB, 4 * MIB)
    };
    // Allocates the pattern of the file before the measurement starts.
    assert_eq!(wrong_bytes(0, transfers::content(0, 100)), 0);
    let before = memory::current().unwrap();

    let seen = Arc::new(Seen::default());
    let server = serving(total, fault_every, &seen).await;
    let session_down = session(&server);
    let reported = Arc::new(AtomicU64::new(0));
    let last = Arc::clone(&reported);
    let options = DownloadOptions::new().with_progress(OnProgress::new(move |it| {
        last.store(it.bytes, Ordering::Relaxed);
    }));
    let mut download = session_down.download_with(&File, options).await.unwrap();
    assert_eq!(download.length(), Some(total));
    let (mut at, mut wrong) = (0, 0);
    while let Some(piece) = download.next().await {
        let piece = piece.unwrap();
        wrong += wrong_bytes(at, &piece);
        at += piece.len() as u64;
    }
    let faults = seen.faults.load(Ordering::SeqCst);
    assert_eq!((at, wrong), (total, 0));
    assert_eq!(reported.load(Ordering::Relaxed), total);
    assert_eq!(download.progress().bytes, total);
    let expected = usize::try_from(total / fault_every).unwrap() - 1;
    assert_eq!(faults, expected);
    let after_download = memory::peak().unwrap();
    println!("downloaded {} MiB with {faults} failures", at / MIB);

    let seen = Arc::new(Seen::default());
    let server = taking(total, fault_every, &seen).await;
    let session_up = session(&server);
    let link = session_up.link(format!("{FILES}/upload?id=1")).unwrap();
    let body = UploadBody::reader(Reader { at: 0, total }, Some(total));
    let upload = session_up.resumable_upload(&link, RangeHeader::new(), body);
    let done = upload.unwrap().run().await.unwrap();
    assert_eq!(done.body(), "\"done\"");
    let received = seen.received.load(Ordering::SeqCst);
    assert_eq!((received, seen.wrong.load(Ordering::SeqCst)), (total, 0));
    let faults = seen.faults.load(Ordering::SeqCst);
    assert!(faults >= expected, "{faults}");
    for head in seen.heads.lock().unwrap().iter() {
        assert!(
            !head.to_ascii_lowercase().contains("authorization"),
            "{head}"
        );
    }
    let after = memory::peak().unwrap();
    println!("uploaded {} MiB with {faults} failures", received / MIB);
    let growth = |peak: u64| peak.saturating_sub(before) / 1024;
    println!(
        "memory growth: {} KiB after the download, {} KiB after both",
        growth(after_download),
        growth(after)
    );
    assert!(after - before < 32 * MIB, "{} KiB", growth(after));
}
