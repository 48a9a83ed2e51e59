//! The pages' handlers. They call the routes of `connectors::axum` as a browser would, so that the
//! console shows what the routes return.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Form, Path, Query, State};
use axum::http::header::{CONTENT_TYPE, COOKIE, HOST, LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use connectors::{ConnectionId, ProviderId};
use http_body_util::BodyExt as _;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use crate::{MOUNT, Outcome, Shared, pages};

type Page = Result<Response, Failure>;

/// A page that says what failed.
pub(crate) struct Failure(StatusCode, String);

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        (self.0, pages::failure(&self.1)).into_response()
    }
}

impl<E: Into<Box<dyn std::error::Error + Send + Sync>>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self(StatusCode::INTERNAL_SERVER_ERROR, error.into().to_string())
    }
}

fn refused(text: &str) -> Failure {
    Failure(StatusCode::FORBIDDEN, text.to_owned())
}

/// Calls a route with the browser's cookies.
async fn call(
    shared: &Shared,
    headers: &HeaderMap,
    method: &str,
    path: &str,
    body: &Value,
) -> Outcome<(StatusCode, HeaderMap, Value)> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{MOUNT}/v1{path}"))
        .header(CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))?;
    for cookie in headers.get_all(COOKIE) {
        request.headers_mut().append(COOKIE, cookie.clone());
    }
    let (parts, body) = shared.api.clone().oneshot(request).await?.into_parts();
    let body = body.collect().await?.to_bytes();
    let content = serde_json::from_slice(&body).unwrap_or_default();
    Ok((parts.status, parts.headers, content))
}

/// Returns the text of a problem, or an empty text.
fn problem(content: &Value) -> String {
    let text = |name: &str| content[name].as_str().unwrap_or_default().to_owned();
    format!("{}: {} {}", text("title"), text("detail"), text("action"))
}

pub(crate) async fn home(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Page {
    // A page of another site could reach this address through a name that it controls.
    let host = shared.origin.authority();
    if headers
        .get(HOST)
        .is_none_or(|it| it.as_bytes() != host.as_bytes())
    {
        return Err(refused(
            "open the console at the address that the program prints",
        ));
    }
    if !shared.session.made(&headers) {
        let again = Redirect::to("/");
        let cookie = AppendHeaders([(SET_COOKIE, shared.session.cookie())]);
        return Ok((cookie, again).into_response());
    }
    let get = |path: String| {
        let (shared, headers) = (Arc::clone(&shared), headers.clone());
        async move { call(&shared, &headers, "GET", &path, &Value::Null).await }
    };
    let (_, _, connectors) = get("/connectors".to_owned()).await?;
    let (_, _, list) = get("/connections?limit=100".to_owned()).await?;
    let mut cards = Vec::new();
    for connection in list["connections"].as_array().into_iter().flatten() {
        let id = connection["id"].as_str().unwrap_or_default();
        let (_, _, detail) = get(format!("/connections/{id}")).await?;
        let (_, _, explanation) = get(format!("/connections/{id}/explanation")).await?;
        cards.push((detail, explanation));
    }
    let accounts = shared.simulated.iter().map(|it| {
        let accounts = it.authority.accounts();
        let accounts = accounts.iter().map(|account| {
            let host = account.host().map(str::to_owned);
            (account.key().to_owned(), host)
        });
        (it.provider.as_str().to_owned(), accounts.collect())
    });
    let html = pages::home(&pages::Home {
        csrf: shared.session.csrf(),
        result: &query,
        connectors: connectors["connectors"]
            .as_array()
            .map_or(&[], Vec::as_slice),
        cards: &cards,
        accounts: &accounts.collect(),
    });
    Ok(Html(html).into_response())
}

/// A form of the console.
#[derive(Debug, Deserialize)]
pub(crate) struct Fields {
    csrf: String,
    #[serde(default)]
    provider: String,
    #[serde(default)]
    account: String,
    #[serde(default)]
    signed_in: String,
    #[serde(default)]
    reconnect: String,
    #[serde(default)]
    confirmation: String,
    #[serde(default)]
    mode: String,
}

fn check(shared: &Shared, headers: &HeaderMap, fields: &Fields) -> Result<(), Failure> {
    if shared.session.made(headers) && shared.session.is_csrf(&fields.csrf) {
        return Ok(());
    }
    Err(refused("the form is out of date; open the console again"))
}

/// Starts a connect flow, and redirects to the provider's consent page.
pub(crate) async fn connect(
    State(shared): State<Arc<Shared>>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Page {
    check(&shared, &headers, &fields)?;
    let provider = ProviderId::new(fields.provider.as_str())?;
    if let Some(authority) = shared.simulator(provider.as_str())
        && !fields.signed_in.is_empty()
    {
        authority.sign_in(&fields.signed_in)?;
    }
    let given = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
    let body = json!({
        "account": given(&fields.account),
        "reconnect": given(&fields.reconnect),
    });
    let path = format!("/connectors/{provider}/connect");
    let (status, answer, content) = call(&shared, &headers, "POST", &path, &body).await?;
    if status != StatusCode::CREATED {
        return Err(Failure(status, problem(&content)));
    }
    let url = Url::parse(content["authorization_url"].as_str().unwrap_or_default())?;
    let target = shared.as_browsers_see(&provider, &url)?;
    let cookies = answer.get_all(SET_COOKIE).iter();
    let cookies: Vec<_> = cookies.map(|it| (SET_COOKIE, it.clone())).collect();
    Ok((AppendHeaders(cookies), Redirect::to(target.as_str())).into_response())
}

/// Lists what a disconnect stops, with the form that confirms it.
pub(crate) async fn confirm(
    State(shared): State<Arc<Shared>>,
    Path((id, action)): Path<(String, String)>,
    headers: HeaderMap,
) -> Page {
    let id: ConnectionId = id.parse()?;
    if action != "disconnect" {
        return Err(refused("there is no such page"));
    }
    let path = format!("/connections/{id}/disconnect");
    let (status, _, content) = call(&shared, &headers, "GET", &path, &Value::Null).await?;
    if status != StatusCode::OK {
        return Err(Failure(status, problem(&content)));
    }
    Ok(Html(pages::confirm(&content, shared.session.csrf())).into_response())
}

/// Refreshes, checks or disconnects a connection, and shows the result on the start page.
pub(crate) async fn act(
    State(shared): State<Arc<Shared>>,
    Path((id, action)): Path<(String, String)>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Page {
    check(&shared, &headers, &fields)?;
    let id: ConnectionId = id.parse()?;
    let body = match action.as_str() {
        "refresh" | "check" => json!({}),
        "disconnect" => json!({ "confirmation": fields.confirmation, "mode": fields.mode }),
        _ => return Err(refused("there is no such action")),
    };
    let path = format!("/connections/{id}/{action}");
    let (status, _, content) = call(&shared, &headers, "POST", &path, &body).await?;
    let result = match (status.is_success(), content["result"].as_str()) {
        (true, Some(result)) => result.to_owned(),
        (true, None) => "done".to_owned(),
        (false, _) => content["code"].as_str().unwrap_or("failed").to_owned(),
    };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("action", &action)
        .append_pair("result", &result)
        .finish();
    let target = format!("/?{query}");
    Ok((StatusCode::SEE_OTHER, [(LOCATION, target)]).into_response())
}
