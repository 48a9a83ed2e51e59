//! P2: the number of token requests of yup-oauth2 and google-cloud-auth for many tasks that need
//! one token.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use google_cloud_auth::credentials::user_account;
use serde_json::json;

use crate::fixture::{Endpoint, hub};
use crate::server::Server;
use crate::{Outcome, yup};

const FETCH: Duration = Duration::from_millis(100);
const TASKS: [usize; 2] = [100, 1_000];
const ANSWER: &str = r#"{"access_token":"access-1","refresh_token":"refresh-1","token_type":"Bearer","expires_in":3600}"#;

pub(crate) fn measure() -> Outcome {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    println!(
        "Token calls for tasks that ask at once, an endpoint of {} ms.\n",
        FETCH.as_millis()
    );
    println!("| Tasks | ours | yup-oauth2 | google-cloud-auth |\n|---|---|---|---|");
    for tasks in TASKS {
        let counts = runtime.block_on(async {
            Ok::<_, Box<dyn std::error::Error>>([
                ours(tasks).await?,
                yup_calls(tasks).await?,
                google_calls(tasks).await?,
            ])
        })?;
        println!(
            "| {tasks} | {} | {} | {} |",
            counts[0], counts[1], counts[2]
        );
    }
    println!(
        "\ngoogle-cloud-auth fetches its first token here. A background task refreshes it later, \
         so no caller gets an expired token. Neither peer coordinates with other processes."
    );
    Ok(())
}

/// Starts `tasks` tasks of `one` concurrently. A failed task is an error.
async fn at_once<F>(tasks: usize, one: impl Fn() -> F) -> Outcome
where
    F: Future<Output = bool> + Send + 'static,
{
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(one())).collect();
    let mut failed = 0;
    for task in tasks {
        failed += usize::from(!task.await?);
    }
    if failed > 0 {
        return Err(format!("{failed} tasks got no token").into());
    }
    Ok(())
}

async fn ours(tasks: usize) -> Result<u32, Box<dyn std::error::Error>> {
    let endpoint = Endpoint {
        takes: FETCH,
        ..Endpoint::default()
    };
    let calls = Arc::clone(&endpoint.calls);
    let (hub, keys) = hub(1, Duration::ZERO, endpoint).await?;
    at_once(tasks, || {
        let (hub, key) = (hub.clone(), keys[0].clone());
        async move { hub.access_token(&key).await.is_ok() }
    })
    .await?;
    Ok(calls.load(Ordering::SeqCst))
}

async fn yup_calls(tasks: usize) -> Result<u32, Box<dyn std::error::Error>> {
    let server = Server::start(ANSWER, FETCH).await?;
    let url = format!("http://{}/token", server.address);
    let yup = Arc::new(yup::authenticator(url, -60).await?);
    at_once(tasks, || {
        let yup = Arc::clone(&yup);
        async move { yup.token(&["read"]).await.is_ok() }
    })
    .await?;
    Ok(server.requests.load(Ordering::SeqCst))
}

async fn google_calls(tasks: usize) -> Result<u32, Box<dyn std::error::Error>> {
    let server = Server::start(ANSWER, FETCH).await?;
    let google = user_account::Builder::new(json!({
        "type": "authorized_user",
        "client_id": "client",
        "client_secret": "secret",
        "refresh_token": "refresh-0",
    }))
    .with_token_uri(format!("http://{}/token", server.address))
    .build_access_token_credentials()?;
    at_once(tasks, || {
        let google = google.clone();
        async move { google.access_token().await.is_ok() }
    })
    .await?;
    Ok(server.requests.load(Ordering::SeqCst))
}
