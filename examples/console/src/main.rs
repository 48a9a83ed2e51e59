//! Serves the console until a signal arrives.
//!
//! | Variable | Meaning | Default |
//! |---|---|---|
//! | `CONSOLE_ADDR` | the address to listen on | 127.0.0.1:8080 |
//! | `CONNECTORS_DB` | the SQLite file | a new file in the directory for temporary files |
//! | `CONNECTORS_KEYS` | the keys; see the security model | a new key, which suits the new file |
//!
//! Providers whose variables are set, for example `NOTION_CLIENT_ID`, are the real ones. The others
//! are simulated.

#![expect(clippy::print_stdout, reason = "the program prints its address")]

use std::net::SocketAddr;

use connector_console::{Console, Outcome, Settings, variable};
use connectors::cipher::Keyring;
use connectors::{SystemRandom, random_token};
use secrecy::{ExposeSecret as _, SecretString};

#[tokio::main]
async fn main() -> Outcome {
    let address: SocketAddr = variable("CONSOLE_ADDR")
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned())
        .parse()?;
    if !address.ip().is_loopback() {
        return Err(
            "the console has no login; CONSOLE_ADDR must be an address of this machine".into(),
        );
    }
    let listener = tokio::net::TcpListener::bind(address).await?;
    let origin = format!("http://{}", listener.local_addr()?).parse()?;
    let (database, keys) = match (variable("CONNECTORS_DB"), variable("CONNECTORS_KEYS")) {
        (Some(database), Some(keys)) => (database.into(), SecretString::from(keys)),
        (Some(_), None) => {
            return Err(
                "CONNECTORS_DB needs CONNECTORS_KEYS, which open the file again later".into(),
            );
        }
        (None, keys) => {
            let name = random_token(&SystemRandom::new())?;
            let name = format!("console-{}.db", &name.expose_secret()[..16]);
            let keys = match keys {
                Some(keys) => SecretString::from(keys),
                None => Keyring::generate()?,
            };
            (std::env::temp_dir().join(name), keys)
        }
    };
    println!("database: {}", database.display());
    let settings = Settings {
        origin,
        database,
        keys,
    };
    let console = Console::start(settings).await?;
    println!("console: http://{}", listener.local_addr()?);
    let (ended, end) = tokio::sync::watch::channel(());
    let wait = |mut end: tokio::sync::watch::Receiver<()>| async move {
        let _ = end.changed().await;
    };
    let server = axum::serve(listener, console.router()).with_graceful_shutdown(wait(end.clone()));
    let signal = async {
        let _ = tokio::signal::ctrl_c().await;
        drop(ended);
    };
    let (outcome, (), ()) = tokio::join!(server, console.work(wait(end)), signal);
    outcome?;
    console.shutdown().await
}
