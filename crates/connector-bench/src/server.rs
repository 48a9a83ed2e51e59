//! A loopback server that sends the same response to every request, and counts requests.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    pub(crate) requests: Arc<AtomicU32>,
}

impl Server {
    /// Starts a server that responds with `body` after `takes`, until the runtime ends.
    pub(crate) async fn start(body: &str, takes: Duration) -> std::io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::new(AtomicU32::new(0));
        let answer: Arc<[u8]> = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )
        .into_bytes()
        .into();
        let count = Arc::clone(&requests);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let (answer, count) = (Arc::clone(&answer), Arc::clone(&count));
                tokio::spawn(serve(connection, answer, count, takes));
            }
        });
        Ok(Self { address, requests })
    }
}

/// Returns the length of the first request in `bytes`: its head and the announced body.
fn end_of_request(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).ok()?;
    let length = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .unwrap_or(0);
    (bytes.len() >= head + length).then_some(head + length)
}

async fn serve(
    mut connection: TcpStream,
    answer: Arc<[u8]>,
    requests: Arc<AtomicU32>,
    takes: Duration,
) -> std::io::Result<()> {
    let mut buffer = [0; 8192];
    let mut length = 0;
    loop {
        let read = connection.read(&mut buffer[length..]).await?;
        if read == 0 {
            return Ok(());
        }
        length += read;
        if end_of_request(&buffer[..length]) == Some(length) {
            requests.fetch_add(1, Ordering::SeqCst);
            if !takes.is_zero() {
                tokio::time::sleep(takes).await;
            }
            connection.write_all(&answer).await?;
            length = 0;
        }
    }
}
