//! Uploads that are complete after faults, restarts and lost responses, with verified checksums.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use connector_core::api::{OnProgress, Received, UploadBody};
use connector_core::clock::{Clock as _, SystemClock};
use connector_core::{ErrorKind, Retry};
use connector_gdrive::endpoints::{
    GetFile, UploadMultipart, UploadMultipartOver, UploadSimple, UploadSimpleOver,
};
use connector_gdrive::models::FileMetadata;
use connector_gdrive::sim::{ChunkFault, Fault, Simulator};
use connector_gdrive::upload::{Upload, UploadSession};
use connector_gdrive::{DriveClient, Reason};
use ring::digest::{Context as Digest, SHA256};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::sync::Notify;

use crate::rig::{Rig, noise, transfers};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;
const SESSIONS: &str = "/upload/drive/v3/files*";

/// Injects a fault.
type Inject = fn(&Simulator);

fn create(name: &str) -> Upload {
    Upload::create(FileMetadata::named(name), "application/zip").with_chunk(256 * KIB)
}

#[tokio::test]
async fn small_files_are_uploaded_in_one_request() {
    let (sim, client) = transfers(|it| it).await;
    let simple = UploadSimple::new("text/plain".to_owned());
    let made = client
        .upload(&simple, UploadBody::bytes("hello"))
        .await
        .unwrap();
    let file = made.file_id().unwrap();
    assert_eq!(
        (made.size, made.mime_type.as_deref()),
        (Some(5), Some("text/plain"))
    );
    let over = UploadSimpleOver::new(&file, "text/plain".to_owned());
    client
        .upload(&over, UploadBody::bytes("hello!"))
        .await
        .unwrap();
    assert_eq!(sim.content(&file).unwrap(), "hello!");
    let content = bytes::Bytes::from_static(b"\r\n--x\r\n\0");
    let metadata = FileMetadata::named("Two parts").with_description("d");
    let both = UploadMultipart::new(metadata, "application/zip".to_owned(), content.clone());
    let made = client.send(&both).await.unwrap();
    assert_eq!(made.name.as_deref(), Some("Two parts"));
    let file = made.file_id().unwrap();
    assert_eq!(sim.content(&file).unwrap(), content);
    let rename = FileMetadata::named("Renamed");
    let over = UploadMultipartOver::new(&file, rename, "text/plain".to_owned(), "new".into());
    assert_eq!(
        client.send(&over).await.unwrap().name.as_deref(),
        Some("Renamed")
    );
    assert_eq!(sim.content(&file).unwrap(), "new");
    let large = UploadBody::bytes(noise(1, 6 << 20));
    let refused = client.upload(&simple, large).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected);
}

#[tokio::test]
async fn uploads_of_all_lengths_from_bytes_files_and_readers_are_complete() {
    let (sim, client) = transfers(|it| it).await;
    let directory = tempfile::tempdir().unwrap();
    let chunk = 256 * 1024;
    let lengths = [0, 1, chunk - 1, chunk, chunk + 1, 2 * chunk, 3 * chunk + 7];
    let mut arrived = 0;
    for length in lengths {
        let content = noise(length as u64, length);
        let path = directory.path().join("file");
        std::fs::write(&path, &content).unwrap();
        let reader = |known: bool| {
            let reader = std::io::Cursor::new(content.clone());
            UploadBody::reader(reader, known.then_some(length as u64))
        };
        let bodies = [
            UploadBody::bytes(content.clone()),
            UploadBody::file(&path).await.unwrap(),
            reader(true),
            reader(false),
        ];
        for body in bodies {
            let file = client.upload_file(&create("Any"), body).await.unwrap();
            assert_eq!(file.size, Some(length as u64));
            let stored = sim.content(&file.file_id().unwrap()).unwrap();
            assert!(stored == content, "{length}");
            arrived += 1;
        }
    }
    // New content for a file, with metadata changes.
    let file = client
        .upload_file(&create("Old"), UploadBody::bytes("1"))
        .await
        .unwrap();
    let over = Upload::over(file.file_id().unwrap(), "text/plain");
    let over = over.with_metadata(FileMetadata::named("New"));
    let changed = client
        .upload_file(&over, UploadBody::bytes("22"))
        .await
        .unwrap();
    assert_eq!(
        (changed.id, changed.name.as_deref(), changed.size),
        (file.id, Some("New"), Some(2))
    );
    println!("uploads of {} lengths complete: {arrived}", lengths.len());
}

#[tokio::test]
async fn each_fault_resends_at_most_one_chunk() {
    let (sim, client) = transfers(|it| it).await;
    let content = noise(3, 3 << 20);
    let mut survived = 0;
    let faults: [(&str, Inject); 8] = [
        ("drop before", |sim| {
            sim.server().fault(SESSIONS, Fault::DropBefore);
        }),
        ("drop after", |sim| {
            sim.server().fault(SESSIONS, Fault::DropAfter);
        }),
        ("503", |sim| {
            sim.server().fault(SESSIONS, Fault::answer(503, ""));
        }),
        ("429", |sim| {
            sim.server().fault(SESSIONS, Fault::answer(429, ""));
        }),
        ("half", |sim| sim.fault_chunks([ChunkFault::Half])),
        ("308 without a range", |sim| {
            sim.fault_chunks([ChunkFault::NoRange]);
        }),
        ("503 of a chunk", |sim| {
            sim.fault_chunks([ChunkFault::Unavailable]);
        }),
        ("truncated", |sim| {
            sim.server().fault(SESSIONS, Fault::Truncate);
        }),
    ];
    for (name, fault) in faults {
        for at in [1, 2, 3] {
            let before = sim.uploaded_bytes();
            let (calls, target) = (AtomicU64::new(0), sim.clone());
            let body = UploadBody::bytes(content.clone());
            // The fault affects the chunk after the one that was just accepted.
            let body = body.with_progress(OnProgress::new(move |_| {
                if calls.fetch_add(1, Ordering::Relaxed) + 1 == at {
                    fault(&target);
                }
            }));
            let upload = create(name).with_chunk(MIB);
            let file = client.upload_file(&upload, body).await;
            let file = file.unwrap_or_else(|error| panic!("{name} at {at}: {}", error.report()));
            let stored = sim.content(&file.file_id().unwrap()).unwrap();
            assert!(stored == content, "{name} at {at}");
            let sent = sim.uploaded_bytes() - before;
            assert!(sent <= 4 * MIB, "{name} at {at}: {sent}");
            survived += 1;
        }
    }
    // A reader can be read only once. The upload succeeds despite the faults.
    sim.fault_chunks([
        ChunkFault::Half,
        ChunkFault::NoRange,
        ChunkFault::Unavailable,
    ]);
    let reader = UploadBody::reader(std::io::Cursor::new(content.clone()), None);
    let file = client.upload_file(&create("Reader"), reader).await.unwrap();
    assert!(sim.content(&file.file_id().unwrap()).unwrap() == content);
    println!(
        "chunk faults followed by a complete upload: {}",
        survived + 1
    );
}

#[tokio::test]
async fn a_lost_final_response_creates_no_second_file() {
    let (sim, client) = transfers(|it| it).await;
    let content = noise(4, 100_000);
    sim.server().fault(
        "/upload/drive/v3/files",
        Fault::Slow(std::time::Duration::ZERO),
    );
    sim.server()
        .fault("/upload/drive/v3/files", Fault::DropAfter);
    let file = client
        .upload_file(&create("Once"), UploadBody::bytes(content))
        .await
        .unwrap();
    assert_eq!(sim.count_named("Once"), 1);
    assert_eq!(file.size, Some(100_000));
}

#[tokio::test]
async fn a_dropped_session_is_replaced_and_a_damaged_file_is_an_error() {
    let (sim, client) = transfers(|it| it).await;
    let content = noise(5, 1 << 20);
    let dropping = sim.clone();
    let sessions = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&sessions);
    let calls = AtomicU64::new(0);
    let body = UploadBody::bytes(content.clone()).with_progress(OnProgress::new(move |_| {
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            dropping.end_upload_sessions();
        }
    }));
    let upload = create("Anew").on_session(move |_| {
        counted.fetch_add(1, Ordering::Relaxed);
    });
    let file = client.upload_file(&upload, body).await.unwrap();
    assert_eq!(sessions.load(Ordering::Relaxed), 2);
    assert!(sim.content(&file.file_id().unwrap()).unwrap() == content);
    // If the body cannot be read again, the upload fails.
    let dropping = sim.clone();
    let calls = AtomicU64::new(0);
    let reader = UploadBody::reader(std::io::Cursor::new(content.clone()), None);
    let reader = reader.with_progress(OnProgress::new(move |_| {
        if calls.fetch_add(1, Ordering::Relaxed) == 1 {
            dropping.end_upload_sessions();
        }
    }));
    let failed = client
        .upload_file(&create("Never"), reader)
        .await
        .unwrap_err();
    assert_eq!(failed.kind(), ErrorKind::ProviderNotFound);
    // The checksum in the last response is compared with the uploaded content.
    let wrong = Fault::Edit(vec![("sha256Checksum", Some("\"00\""))]);
    let small = UploadBody::bytes("x");
    sim.server().fault(
        "/upload/drive/v3/files",
        Fault::Slow(std::time::Duration::ZERO),
    );
    sim.server().fault("/upload/drive/v3/files", wrong);
    let damaged = client
        .upload_file(&create("Damaged"), small)
        .await
        .unwrap_err();
    assert_eq!(
        (damaged.kind(), damaged.retry()),
        (ErrorKind::UnexpectedResponse, Retry::Never)
    );
}

#[tokio::test]
async fn the_daily_cap_is_distinguished_from_throttling() {
    let rig = Rig::new().await;
    let client = rig.client().await.background();
    let upload = create("Capped");
    let body = || UploadBody::bytes(noise(6, 300_000));
    // After brief throttling, the upload continues.
    let throttled = r#"{"error":{"code":403,"errors":[{"reason":"userRateLimitExceeded"}]}}"#;
    rig.sim
        .server()
        .fault(SESSIONS, Fault::answer(403, throttled));
    rig.drive(client.upload_file(&upload, body()))
        .await
        .unwrap();
    // Google rejects uploads for longer than a minute while other calls succeed.
    rig.sim.set_upload_cap(true);
    let capped = rig
        .drive(client.upload_file(&upload, body()))
        .await
        .unwrap_err();
    assert_eq!(Reason::of(&capped), Some(Reason::UploadCap));
    let day = std::time::Duration::from_secs(86_400);
    assert_eq!(
        (capped.kind(), capped.retry()),
        (ErrorKind::RateLimited, Retry::After(day))
    );
    // If Google throttles all calls, the cause is not the daily cap.
    for _ in 0..40 {
        rig.sim
            .server()
            .fault("/drive/v3/about", Fault::answer(403, throttled));
    }
    let busy = rig
        .drive(client.upload_file(&upload, body()))
        .await
        .unwrap_err();
    assert_eq!(Reason::of(&busy), Some(Reason::UserRateLimit));
    assert_eq!(rig.sim.count_named("Capped"), 1);
}

/// A generated file that counts the bytes read and compares them with the bytes that the provider
/// has stored.
struct Pattern {
    at: u64,
    total: u64,
    read: Arc<AtomicU64>,
}

/// Returns the byte at an offset.
fn pattern(at: u64) -> u8 {
    #[expect(clippy::cast_possible_truncation, reason = "a pattern")]
    let byte = (at.wrapping_mul(0x9E37_79B9) >> 11) as u8;
    byte
}

impl AsyncRead for Pattern {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let left = usize::try_from(self.total - self.at).unwrap_or(usize::MAX);
        let count = left.min(buffer.remaining()).min(64 * 1024);
        let start = self.at;
        let piece: Vec<u8> = (start..start + count as u64).map(pattern).collect();
        buffer.put_slice(&piece);
        self.at += count as u64;
        self.read.store(self.at, Ordering::Relaxed);
        Poll::Ready(Ok(()))
    }
}

struct Long {
    sim: Simulator,
    client: DriveClient,
    chunk: u64,
    total: u64,
    fault_every: u64,
}

#[derive(Default)]
struct Seen {
    session: Mutex<Option<UploadSession>>,
    accepted: AtomicU64,
    faults: Mutex<Vec<&'static str>>,
    restart: Notify,
    /// Maximum number of bytes that were read but not yet confirmed by the provider.
    held: AtomicU64,
}

impl Long {
    /// Uploads from the current state. Returns `None` if the process is restarted.
    async fn run(
        &self,
        seen: &Arc<Seen>,
    ) -> Option<connector_core::Result<connector_gdrive::models::File>> {
        let saved = seen.session.lock().unwrap().clone();
        // A new process asks Google how many bytes it stored.
        let accepted = match &saved {
            None => 0,
            Some(session) => match self.client.upload_state(session).await.unwrap() {
                Received::UpTo(at) => at,
                _ => self.total,
            },
        };
        seen.accepted.store(accepted, Ordering::SeqCst);
        let read = Arc::new(AtomicU64::new(accepted));
        let reader = Pattern {
            at: accepted,
            total: self.total,
            read: Arc::clone(&read),
        };
        // The reader starts at the stored position. The test compares the final checksum itself.
        let body = UploadBody::reader(reader, Some(self.total));
        let (noted, sim, every, total) = (
            Arc::clone(seen),
            self.sim.clone(),
            self.fault_every,
            self.total,
        );
        let chunk = self.chunk;
        let body = body.with_progress(OnProgress::new(move |progress| {
            let before = noted.accepted.swap(progress.bytes, Ordering::SeqCst);
            let held = read.load(Ordering::Relaxed).saturating_sub(progress.bytes);
            noted.held.fetch_max(held, Ordering::SeqCst);
            let mut faults = noted.faults.lock().unwrap();
            let left = total - progress.bytes;
            let final_one = "lost final response";
            if left > 0 && left <= chunk && !faults.contains(&final_one) {
                faults.push(final_one);
                sim.server().fault(SESSIONS, Fault::DropAfter);
            } else if progress.bytes / every > before / every && progress.bytes < total {
                match faults.len() % 6 {
                    0 => {
                        faults.push("drop");
                        sim.server().fault(SESSIONS, Fault::DropBefore);
                    }
                    1 => {
                        faults.push("503");
                        sim.fault_chunks([ChunkFault::Unavailable]);
                    }
                    2 => {
                        faults.push("shorter range");
                        sim.fault_chunks([ChunkFault::Half]);
                    }
                    3 => {
                        faults.push("no range");
                        sim.fault_chunks([ChunkFault::NoRange]);
                    }
                    4 => {
                        faults.push("lost response");
                        sim.server().fault(SESSIONS, Fault::DropAfter);
                    }
                    // Data in flight at a restart can still arrive, except for the last chunk.
                    _ if left <= 3 * chunk => {}
                    _ => {
                        faults.push("restart");
                        noted.restart.notify_one();
                    }
                }
            }
        }));
        let upload = async {
            if let Some(session) = saved {
                let session = session.with_chunk(self.chunk);
                self.client.resume_upload(&session, body).await
            } else {
                let keep = Arc::clone(seen);
                let upload = create("Long")
                    .with_chunk(self.chunk)
                    .on_session(move |session| {
                        *keep.session.lock().unwrap() = Some(session.clone());
                    });
                self.client.upload_file(&upload, body).await
            }
        };
        tokio::select! {
            biased;
            () = seen.restart.notified() => None,
            outcome = upload => Some(outcome),
        }
    }
}

/// Requirement 3 of the issue that introduced Google Drive. With `CONNECTORS_SOAK=full`, the test
/// uploads 1 GiB with a fault every 20 MiB.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_upload_with_frequent_faults_is_complete() {
    #[expect(
        clippy::disallowed_methods,
        reason = "the variable only sets the amount of transferred data"
    )]
    let is_full = std::env::var("CONNECTORS_SOAK").is_ok_and(|mode| mode == "full");
    let (total, chunk, fault_every) = if is_full {
        (1024 * MIB, 8 * MIB, 20 * MIB)
    } else {
        (32 * MIB + 12_345, MIB, 5 * MIB / 2)
    };
    let (sim, client) = transfers(connector_gdrive::sim::SimulatorBuilder::without_content).await;
    let long = Long {
        sim,
        client,
        chunk,
        total,
        fault_every,
    };
    let seen = Arc::new(Seen::default());
    let clock = SystemClock::new();
    let began = clock.monotonic();
    let mut processes = 0;
    let file = loop {
        processes += 1;
        assert!(processes < 1000, "the upload does not complete");
        if let Some(outcome) = long.run(&seen).await {
            break outcome.unwrap_or_else(|error| panic!("{}", error.report()));
        }
    };
    let took = clock.monotonic().since(began);
    let mut digest = Digest::new(&SHA256);
    let mut piece = Vec::with_capacity(1 << 16);
    for at in 0..total {
        piece.push(pattern(at));
        if piece.len() == 1 << 16 || at + 1 == total {
            digest.update(&piece);
            piece.clear();
        }
    }
    let sum = hex::encode(digest.finish());
    let stored = long
        .client
        .send(&GetFile::new(file.file_id().unwrap()))
        .await
        .unwrap();
    assert_eq!(
        (stored.size, stored.sha256_checksum.as_deref()),
        (Some(total), Some(sum.as_str()))
    );
    assert_eq!(long.sim.count_named("Long"), 1);
    let faults = seen.faults.lock().unwrap().clone();
    let sent = long.sim.uploaded_bytes();
    // At most one complete upload plus the lost chunks.
    assert!(
        sent <= total + faults.len() as u64 * chunk,
        "{sent} of {total}"
    );
    let held = seen.held.load(Ordering::SeqCst);
    assert!(held <= 2 * chunk, "{held}");
    let mut kinds = faults.clone();
    kinds.sort_unstable();
    kinds.dedup();
    assert!(
        kinds.len() == 7 && faults.len() as u64 >= total / fault_every / 2,
        "{faults:?}"
    );
    println!(
        "{total} bytes despite {} faults of {} kinds and {} restarts: {sent} bytes sent, at most {held} \
         held, in {took:?}",
        faults.len(),
        kinds.len(),
        processes - 1,
    );
}
