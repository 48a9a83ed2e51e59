//! P9: a resumable upload to Google Drive in chunks of 8 MiB and a download, compared with raw
//! reqwest loops that send the same requests. The simulated Drive is the server.

use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use connector_core::api::{FixedToken, Session, UploadBody};
use connector_core::clock::SystemClock;
use connector_core::http::Origin;
use connector_core::provider::ProviderClient as _;
use connector_gdrive::models::{FileId, FileMetadata};
use connector_gdrive::sim::{SCOPES, Simulator};
use connector_gdrive::upload::Upload;
use connector_gdrive::{DriveClient, GoogleDrive, GoogleDriveConfig};
use connector_http::HttpClient;
use futures_util::TryStreamExt as _;
use reqwest::StatusCode;
use ring::digest::{Context as Digest, SHA256};
use secrecy::{ExposeSecret as _, SecretString};
use tokio::io::{AsyncRead, AsyncReadExt as _, ReadBuf};
use tokio::runtime::Runtime;

use crate::Outcome;
use crate::turns::{Candidate, Figures, take_turns};
use crate::typed_call::{DEADLINE, USER_AGENT};

const TURNS: u32 = 21;
const MIB: u64 = 1024 * 1024;
/// The length of an upload and of a download.
const LENGTH: u64 = 64 * MIB;
const CHUNK: u64 = 8 * MIB;
const TARGET: f64 = 0.90;
const USER: &str = "100000000000000000001";

type Failure = Box<dyn std::error::Error>;

/// Content that costs little time: zeros. Counts the bytes that were read.
struct Source {
    left: u64,
    read: Arc<AtomicU64>,
}

impl AsyncRead for Source {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let room = u64::try_from(buffer.remaining()).unwrap_or(u64::MAX);
        let more = self.left.min(room);
        buffer.initialize_unfilled_to(usize::try_from(more).unwrap_or_default());
        buffer.advance(usize::try_from(more).unwrap_or_default());
        self.left -= more;
        self.read.fetch_add(more, Ordering::SeqCst);
        Poll::Ready(Ok(()))
    }
}

/// A simulated Drive, our client and a raw client.
struct Drive {
    sim: Simulator,
    client: DriveClient,
    raw: reqwest::Client,
    token: SecretString,
    /// The largest number of bytes that an upload had read and the server had not received.
    held: AtomicU64,
}

impl Drive {
    fn start(server: &Runtime, keeps_content: bool) -> Result<Self, Failure> {
        let builder = Simulator::builder(SystemClock::new());
        let builder = if keeps_content {
            builder
        } else {
            builder.without_content()
        };
        let sim = server.block_on(builder.start())?;
        let config = GoogleDriveConfig::for_simulator(&sim)?;
        let mut transport = HttpClient::builder().with_user_agent(USER_AGENT);
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        let (token, _) = sim.authority().issue(USER, &SCOPES)?;
        let origin = Origin::parse("https://www.googleapis.com")?;
        let fixed = Arc::new(FixedToken::new(origin, token.clone()));
        let session = Session::builder(
            &GoogleDrive::new(config),
            fixed,
            Arc::new(transport.build()?),
        );
        let raw = reqwest::Client::builder()
            .no_proxy()
            .user_agent(USER_AGENT)
            .timeout(DEADLINE)
            .redirect(reqwest::redirect::Policy::none())
            .build()?;
        Ok(Self {
            client: DriveClient::new(session.build()),
            sim,
            raw,
            token,
            held: AtomicU64::new(0),
        })
    }

    fn local(&self, url: &str) -> String {
        let address: SocketAddr = self.sim.server().address();
        // The simulator takes the host from the first segment of the path.
        url.replace("https://", &format!("http://{address}/"))
    }

    async fn upload(&self) -> Result<(), Failure> {
        let read = Arc::new(AtomicU64::new(0));
        let before = self.sim.uploaded_bytes();
        let source = Source {
            left: LENGTH,
            read: Arc::clone(&read),
        };
        let body = UploadBody::reader(source, Some(LENGTH));
        let upload = Upload::create(FileMetadata::named("Ours"), "application/zip");
        let upload = upload.with_chunk(CHUNK);
        let uploaded = self.client.upload_file(&upload, body);
        tokio::pin!(uploaded);
        let file = std::future::poll_fn(|cx| {
            let done = uploaded.as_mut().poll(cx);
            let sent = self.sim.uploaded_bytes() - before;
            let held = read.load(Ordering::SeqCst).saturating_sub(sent);
            self.held.fetch_max(held, Ordering::SeqCst);
            done
        });
        if file.await?.size != Some(LENGTH) {
            return Err("the stored file is not whole".into());
        }
        Ok(())
    }

    /// Does the same with raw reqwest. `has_digest` also compares the checksum, as our client does.
    async fn upload_raw(&self, has_digest: bool) -> Result<(), Failure> {
        let bearer = format!("Bearer {}", self.token.expose_secret());
        let start = self.local(
            "https://www.googleapis.com/upload/drive/v3/files?uploadType=resumable\
             &fields=size%2Csha256Checksum&supportsAllDrives=true",
        );
        let opened = self
            .raw
            .post(start)
            .header("authorization", &bearer)
            .header("content-type", "application/json; charset=UTF-8")
            .header("x-upload-content-type", "application/zip")
            .header("x-upload-content-length", LENGTH)
            .body(r#"{"name":"Raw"}"#)
            .send()
            .await?;
        let session = opened.headers().get("location").ok_or("no session")?;
        let session = self.local(session.to_str()?);
        let mut source = Source {
            left: LENGTH,
            read: Arc::default(),
        };
        let mut digest = Digest::new(&SHA256);
        let mut at = 0;
        loop {
            let length = CHUNK.min(LENGTH - at);
            let mut chunk = vec![0; usize::try_from(length)?];
            source.read_exact(&mut chunk).await?;
            if has_digest {
                digest.update(&chunk);
            }
            let range = format!("bytes {at}-{}/{LENGTH}", at + length - 1);
            let put = self.raw.put(&session).header("authorization", &bearer);
            let answer = put
                .header("content-range", range)
                .body(chunk)
                .send()
                .await?;
            if answer.status() == StatusCode::PERMANENT_REDIRECT {
                let range = answer.headers().get("range").ok_or("no range")?;
                let (_, last) = range.to_str()?.rsplit_once('-').ok_or("no range")?;
                at = last.parse::<u64>()? + 1;
                continue;
            }
            let file: serde_json::Value = serde_json::from_slice(&answer.bytes().await?)?;
            let sum = has_digest.then(|| hexadecimal(digest.finish().as_ref()));
            let is_whole = file["size"].as_str().and_then(|it| it.parse().ok()) == Some(LENGTH)
                && sum.is_none_or(|sum| file["sha256Checksum"] == sum);
            return is_whole
                .then_some(())
                .ok_or_else(|| "the stored file is not whole".into());
        }
    }

    async fn download(&self, file: &FileId) -> Result<(), Failure> {
        let mut pieces = self.client.download_file(file).await?;
        let mut length = 0;
        while let Some(piece) = pieces.try_next().await? {
            length += piece.len() as u64;
        }
        (length == LENGTH)
            .then_some(())
            .ok_or_else(|| "the download is not whole".into())
    }

    /// Does the same with raw reqwest: metadata, then the content of the revision.
    async fn download_raw(&self, file: &FileId, has_digest: bool) -> Result<(), Failure> {
        let bearer = format!("Bearer {}", self.token.expose_secret());
        let get = async |url: String| {
            let get = self.raw.get(self.local(&url));
            get.header("authorization", &bearer).send().await
        };
        let files = "https://www.googleapis.com/drive/v3/files";
        let fields = "id%2Csize%2CheadRevisionId%2Csha256Checksum";
        let url = format!("{files}/{file}?fields={fields}&supportsAllDrives=true");
        let metadata: serde_json::Value = serde_json::from_slice(&get(url).await?.bytes().await?)?;
        let revision = metadata["headRevisionId"].as_str().ok_or("no revision")?;
        let url = format!("{files}/{file}/revisions/{revision}?alt=media");
        let mut answer = get(url).await?;
        let (mut length, mut digest) = (0, Digest::new(&SHA256));
        while let Some(piece) = answer.chunk().await? {
            length += piece.len() as u64;
            if has_digest {
                digest.update(&piece);
            }
        }
        let sum = has_digest.then(|| hexadecimal(digest.finish().as_ref()));
        let is_whole = length == LENGTH && sum.is_none_or(|sum| metadata["sha256Checksum"] == sum);
        is_whole
            .then_some(())
            .ok_or_else(|| "the download is not whole".into())
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a `String` cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Runs the three candidates in turns.
fn compare<A, B>(
    client: &Runtime,
    ours: impl Fn() -> A,
    raw: impl Fn(bool) -> B,
) -> Result<Vec<Figures>, Failure>
where
    A: Future<Output = Result<(), Failure>>,
    B: Future<Output = Result<(), Failure>>,
{
    let mut failures = [None, None, None];
    let [first, second, third] = &mut failures;
    let figures = take_turns(
        &mut [
            Candidate::new("ours", || {
                if let Err(error) = client.block_on(ours()) {
                    *first = Some(error);
                }
            }),
            Candidate::new("raw reqwest", || {
                if let Err(error) = client.block_on(raw(false)) {
                    *second = Some(error);
                }
            }),
            Candidate::new("raw reqwest with a checksum", || {
                if let Err(error) = client.block_on(raw(true)) {
                    *third = Some(error);
                }
            }),
        ],
        TURNS,
        1,
    );
    match failures.into_iter().flatten().next() {
        Some(error) => Err(error),
        None => Ok(figures),
    }
}

pub(crate) fn measure() -> Outcome {
    // The server has its own runtime, as if it were another program.
    let server = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let client = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    // The library configures this for itself. A program must install it once.
    rustls::crypto::ring::default_provider()
        .install_default()
        .map_err(|_| "a TLS provider is already installed")?;

    let drive = Drive::start(&server, false)?;
    let uploads = compare(&client, || drive.upload(), |sum| drive.upload_raw(sum))?;
    let sent = drive.sim.uploaded_bytes();
    let expected = 3 * u64::from(TURNS + 1) * LENGTH;
    if sent != expected {
        return Err(format!("{sent} bytes arrived, not {expected}").into());
    }
    let held = drive.held.load(Ordering::SeqCst);

    let drive = Drive::start(&server, true)?;
    let content = Bytes::from(vec![0; usize::try_from(LENGTH)?]);
    let file = drive
        .sim
        .add_file(None, "Content", "application/zip", content)?;
    let downloads = compare(
        &client,
        || drive.download(&file),
        |sum| drive.download_raw(&file, sum),
    )?;

    println!("{TURNS} turns of {} MiB each; MiB/s\n", LENGTH / MIB);
    println!("| What | min | median | max |\n|---|---|---|---|");
    for (what, figures) in [("upload", &uploads), ("download", &downloads)] {
        for (name, figures) in ["", ", raw reqwest", ", raw reqwest with a checksum"]
            .iter()
            .zip(figures)
        {
            let rate = |nanoseconds: f64| {
                let length = u32::try_from(LENGTH / MIB).unwrap_or_default();
                f64::from(length) * 1e9 / nanoseconds
            };
            println!(
                "| {what}{name} | {:.0} | {:.0} | {:.0} |",
                rate(figures.max()),
                rate(figures.median()),
                rate(figures.min())
            );
        }
    }
    println!(
        "\n| Row | Throughput to raw: min | median | max | Target | Met |\n|---|---|---|---|---|---|"
    );
    for (what, figures) in [("upload", &uploads), ("download", &downloads)] {
        let names = ["", ", with a checksum on both sides"];
        for (name, raw) in names.iter().zip(&figures[1..]) {
            let ratio = raw.ratio_to(&figures[0]);
            let is_met = ratio.median() >= TARGET;
            println!(
                "| P9 {what}{name} | {:.2} | {:.2} | {:.2} | at least {TARGET:.2} | {} |",
                ratio.min(),
                ratio.median(),
                ratio.max(),
                if is_met { "yes" } else { "no" }
            );
        }
    }
    let chunks = f64::from(u32::try_from(held / 1024)?) / f64::from(u32::try_from(CHUNK / 1024)?);
    println!(
        "| P9 memory, chunks | {chunks:.2} | {chunks:.2} | {chunks:.2} | at most 2 | {} |",
        if chunks <= 2.0 { "yes" } else { "no" }
    );
    Ok(())
}
