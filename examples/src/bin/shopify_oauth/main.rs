//! A web service that connects Shopify shops: login, authorize, callback, webhooks, App URL.
//!
//! `cargo run --bin shopify_oauth` runs all steps offline: it simulates Shopify and the browser,
//! and ends by itself. With `--serve`, it keeps serving for your browser. If Shopify's credentials
//! are in the environment, it serves the real Shopify: see docs/providers/shopify.md. Read
//! `routes.rs` first.

#![expect(clippy::print_stdout, reason = "the example prints its steps")]

mod browser;
mod config;
mod pages;
mod routes;
mod service;
mod session;
mod simulated;
mod story;

use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use connector_examples::{Outcome, ensure, say, step};
use connectors::clock::Clock;
use secrecy::ExposeSecret;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use url::Url;

use crate::config::{Real, Settings};
use crate::service::Service;
use crate::story::Story;

/// Time limit for work in flight when the program ends.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Outcome {
    match Settings::read().await? {
        Settings::Story => tell().await,
        Settings::Serve { listen, real } => serve(listen, real).await,
    }
}

/// Runs all steps with a simulated browser. The service behaves as if a proxy terminated TLS.
async fn tell() -> Outcome {
    step("Setup: web service, simulated shop");
    let directory = tempfile::tempdir()?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let origin = Url::parse("https://app.example")?;
    let service = Service::simulated(origin, address, directory.path()).await?;
    say(&format!(
        "The program listens on {address}. Its public address is https://app.example."
    ));
    let service = Arc::new(service);
    let running = Running::start(listener, Arc::clone(&service));
    Story::new(Arc::clone(&service))?.tell().await?;
    running.stop(&service).await?;
    println!("\nDone. Run it with --serve to use your own browser.");
    Ok(())
}

/// Serves until a signal arrives.
async fn serve(listen: SocketAddr, real: Option<Box<Real>>) -> Outcome {
    // Before the address is printed: a reader of the address may send the signal at once.
    let told = told_to_end()?;
    let directory = tempfile::tempdir()?;
    let listener = TcpListener::bind(listen).await?;
    let address = listener.local_addr()?;
    let service = if let Some(real) = real {
        let origin = real.origin.clone();
        let (service, password) = Service::real(*real, address).await?;
        say(&format!(
            "Listening on {address}. {origin} must lead to this address."
        ));
        say(&format!("Ada's password: {}", password.expose_secret()));
        service
    } else {
        let origin = Url::parse(&format!("http://{address}"))?;
        let service = Service::simulated(origin, address, directory.path()).await?;
        say("Shopify is simulated. The shop owner consents to every request.");
        say("Connect the shop demo-shop.myshopify.com.");
        service
    };
    let service = Arc::new(service);
    let running = Running::start(listener, Arc::clone(&service));
    let (stop_worker, stopped) = watch::channel(());
    let worker = tokio::spawn(service.hub.worker().run(dropped(stopped)));
    say(&format!("Open {} (end with Ctrl-C)", service.own("/")?));
    told.await;
    say("Ending: closing the server, then the worker, then the hub.");
    drop(stop_worker);
    worker.await?;
    running.stop(&service).await?;
    say("Ended.");
    Ok(())
}

/// The web server while it runs.
struct Running {
    stop: watch::Sender<()>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Running {
    fn start(listener: TcpListener, service: Arc<Service>) -> Self {
        let (stop, stopped) = watch::channel(());
        let serving =
            axum::serve(listener, routes::router(service)).with_graceful_shutdown(dropped(stopped));
        Self {
            stop,
            server: tokio::spawn(serving.into_future()),
        }
    }

    /// Finishes open requests, waits for the hub's work in flight, and closes the store.
    async fn stop(mut self, service: &Service) -> Outcome {
        drop(self.stop);
        tokio::select! {
            ended = &mut self.server => ended??,
            // An idle browser connection must not keep the program running.
            () = service.clock.sleep(PATIENCE) => self.server.abort(),
        }
        service.hub.shutdown(PATIENCE).await?;
        service.store.close().await;
        Ok(())
    }
}

/// Completes when the sender is dropped.
async fn dropped(mut receiver: watch::Receiver<()>) {
    while receiver.changed().await.is_ok() {}
}

/// Completes on Ctrl-C, and on SIGTERM on Unix. The signals are caught from this call on.
fn told_to_end() -> Outcome<impl Future<Output = ()>> {
    #[cfg(unix)]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        Ok(async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        })
    }
    #[cfg(not(unix))]
    Ok(async {
        // If the handler cannot be installed, Ctrl-C ends the process directly.
        let _ = tokio::signal::ctrl_c().await;
    })
}
