//! HTTP/1.1 on the loopback address.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST, HeaderName, HeaderValue};
use http::{Method, StatusCode};
use http_body_util::{BodyExt, Limited};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::{Map, Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use url::Url;

use super::{Fault, Route, Shared, graphql, oauth};
use crate::account::ShopDomain;

/// The longest request that is read, in bytes.
const LONGEST_REQUEST: usize = 4 * 1024 * 1024;

pub(super) async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    // Connections end with this task, which ends with the simulator.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        let shared = Arc::clone(&shared);
        let service = service_fn(move |request| handle(Arc::clone(&shared), request));
        connections.spawn(async move {
            // A connection that breaks is the caller's affair, or was asked for.
            let _ = http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Makes hyper close the connection.
#[derive(Debug)]
struct Broken;

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the connection breaks on purpose")
    }
}

impl std::error::Error for Broken {}

/// A body that may end before its length is reached.
struct Page {
    bytes: Option<Bytes>,
    missing: u64,
}

impl Body for Page {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        Poll::Ready(match self.bytes.take() {
            Some(bytes) => Some(Ok(Frame::data(bytes))),
            None if self.missing > 0 => Some(Err(Broken)),
            None => None,
        })
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none() && self.missing == 0
    }

    fn size_hint(&self) -> SizeHint {
        let left = self.bytes.as_ref().map_or(0, Bytes::len) as u64;
        SizeHint::with_exact(left + self.missing)
    }
}

/// What is answered, before it is written.
struct Reply {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: Bytes,
}

impl Reply {
    fn json((status, body): (u16, Value)) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Bytes::from(body.to_string()),
        }
    }

    fn page(status: u16, text: &'static str) -> Self {
        Self {
            status,
            headers: vec![("content-type", "text/html".to_owned())],
            body: Bytes::from_static(text.as_bytes()),
        }
    }

    fn into_http(self, is_cut: bool) -> http::Response<Page> {
        let length = self.body.len();
        let kept = if is_cut { length / 2 } else { length };
        let mut response = http::Response::new(Page {
            bytes: Some(self.body.slice(..kept)),
            missing: if is_cut {
                (length - kept).max(1) as u64
            } else {
                0
            },
        });
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

async fn handle(
    shared: Arc<Shared>,
    request: http::Request<Incoming>,
) -> Result<http::Response<Page>, Broken> {
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, LONGEST_REQUEST)
        .collect()
        .await
        .map_err(|_| Broken)?
        .to_bytes();
    let Some((shop, path)) = address(&parts) else {
        return Ok(Reply::page(404, "<h1>Not found</h1>").into_http(false));
    };
    let route = match path.as_str() {
        "/admin/oauth/authorize" => Route::Authorize,
        "/admin/oauth/access_token" => Route::Token,
        _ => Route::Graphql,
    };
    let (fault, number) = {
        let mut world = shared.world();
        *world.counts.entry(route).or_default() += 1;
        world.requests += 1;
        let number = world.requests;
        let fault = world
            .faults
            .get_mut(&route)
            .and_then(std::collections::VecDeque::pop_front);
        (fault, number)
    };
    match &fault {
        Some(Fault::Slow(time)) => shared.clock.sleep(*time).await,
        Some(Fault::DropBefore) => return Err(Broken),
        Some(Fault::Answer {
            status,
            headers,
            body,
        }) => {
            let reply = Reply {
                status: *status,
                headers: headers.clone(),
                body: Bytes::from(body.clone()),
            };
            return Ok(reply.into_http(false));
        }
        _ => {}
    }
    let mut reply = act(&shared, route, &shop, &path, &parts, &body);
    reply
        .headers
        .push(("x-request-id", format!("simulated-{number}")));
    match fault {
        Some(Fault::DropAfter) => Err(Broken),
        Some(Fault::Truncate) => Ok(reply.into_http(true)),
        Some(Fault::Edit(changes)) => {
            let mut members: Map<String, Value> =
                serde_json::from_slice(&reply.body).unwrap_or_default();
            for (name, text) in changes {
                match text {
                    Some(text) => {
                        let value = serde_json::from_str(text).unwrap_or(Value::Null);
                        members.insert(name.to_owned(), value);
                    }
                    None => {
                        members.remove(name);
                    }
                }
            }
            reply.body = Bytes::from(Value::Object(members).to_string());
            Ok(reply.into_http(false))
        }
        _ => Ok(reply.into_http(false)),
    }
}

/// The shop that a request is for, and the path below it: by the `Host` header, or in the path for
/// browsers on this machine.
fn address(parts: &http::request::Parts) -> Option<(ShopDomain, String)> {
    let path = parts.uri.path();
    if let Some(rest) = path.strip_prefix("/shops/") {
        let (shop, path) = rest.split_once('/')?;
        return Some((ShopDomain::parse(shop).ok()?, format!("/{path}")));
    }
    let host = parts.headers.get(HOST)?.to_str().ok()?;
    Some((ShopDomain::parse(host).ok()?, path.to_owned()))
}

fn act(
    shared: &Shared,
    route: Route,
    shop: &ShopDomain,
    path: &str,
    parts: &http::request::Parts,
    body: &Bytes,
) -> Reply {
    let header = |name: &str| {
        parts
            .headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    let mut world = shared.world();
    match route {
        Route::Authorize => {
            let query = parts.uri.query().unwrap_or_default();
            let url = Url::parse(&format!("https://{shop}{path}?{query}"));
            match url
                .map_err(|_| "there is no such page")
                .and_then(|url| oauth::authorize(shared, &mut world, &url))
            {
                Ok(target) => Reply {
                    status: 302,
                    headers: vec![("location", target.to_string())],
                    body: Bytes::new(),
                },
                Err(message) => Reply::page(400, message),
            }
        }
        Route::Token if parts.method == Method::POST => {
            let content_type = header("content-type");
            Reply::json(oauth::token(shared, &mut world, shop, content_type, body))
        }
        Route::Graphql if parts.method == Method::POST => {
            let Some(asked) = path
                .strip_prefix("/admin/api/")
                .and_then(|rest| rest.strip_suffix("/graphql.json"))
            else {
                return Reply::json((404, json!({ "errors": "Not Found" })));
            };
            let token = header(crate::graphql::TOKEN_HEADER);
            let mut reply = Reply::json(graphql::answer(shared, &mut world, shop, token, body));
            let version = graphql::served_version(asked);
            reply
                .headers
                .push(("x-shopify-api-version", version.to_owned()));
            reply
        }
        _ => Reply::json((405, json!({ "errors": "Method Not Allowed" }))),
    }
}
