#![doc = include_str!("../README.md")]
#![forbid(unsafe_code)]
#![deny(missing_docs)]

mod access;
mod browser;
mod config;
mod limit;
mod live;
mod notices;
mod openapi;
mod problem;
mod returns;
mod routes;
mod serve;
mod signing;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::routing::{MethodFilter, MethodRouter, any};
use connector_core::{Error, ErrorKind, Result};
use connector_hub::Hub;
use http::HeaderMap;

pub use self::access::{Access, ApiKeys, Caller, Denied, Permission, Permissions, RouteGroup};
pub use self::config::{RouterConfig, WebhookSecretHandler};
use self::limit::RequestLimits;
use self::live::Live;
pub use self::notices::{Notice, NoticeKind, NoticeSender, OwnerNotices};
use self::problem::Code;
use self::routes::{ROUTES, Route, TOKEN_ROUTES};
use self::serve::Shared;

/// Returns a router with the routes of `hub`, to be mounted at the site URL of `config`: nest it below
/// the path of the site URL, or merge it if the site URL has no path.
///
/// All routes begin with `/v1/`. The router answers every request below `/v1/`, also those that no
/// route takes, and has no fallback: it can be merged into a router that has one, such as the pages
/// of a single-page application. An application with routes of its own below `/v1/` nests the router
/// below another path.
///
/// # Errors
/// * [`ErrorKind::Configuration`] if the settings cannot work, for example plain http on a public
///   host, or a registration whose redirect URI is not a callback of this router.
/// * [`ErrorKind::StoreUnavailable`] if the registrations cannot be read now.
pub async fn router(hub: &Hub, access: impl Access, config: RouterConfig) -> Result<Router> {
    let (router, shared) = build(hub, access, config, ROUTES).await?;
    // A route and not a fallback: axum panics if two routers with fallbacks are merged.
    let unmatched = any(move |headers: HeaderMap| async move {
        serve::unmatched(&shared, &Code::ROUTE_NOT_FOUND, &headers)
    });
    Ok(router.route("/v1/{*unmatched}", unmatched))
}

/// Returns a router with a route that gives access tokens to programs in other languages: `POST
/// {site_url}/v1/connections/{id}/token`. Mount it only if you need it: merge it with [`router`], or
/// mount it on an internal address.
///
/// The route needs the permission [`Permission::Token`], and each token is recorded in the audit
/// log. No response contains a refresh token.
///
/// # Errors
/// As for [`router`].
pub async fn token_router(hub: &Hub, access: impl Access, config: RouterConfig) -> Result<Router> {
    let (router, _) = build(hub, access, config, TOKEN_ROUTES).await?;
    Ok(router)
}

/// Returns the `OpenAPI` 3.1 document of both routers as JSON. `site_url` is the address of the
/// server in the document.
///
/// # Errors
/// [`ErrorKind::Bug`] if the document cannot be serialized.
pub fn openapi_json(site_url: &str) -> Result<String> {
    let document = openapi::document(site_url.trim_end_matches('/'), false);
    serde_json::to_string_pretty(&document).map_err(unserializable)
}

fn unserializable(_: serde_json::Error) -> Error {
    Error::new(
        ErrorKind::Bug,
        "axum.openapi",
        "the document could not be serialized as JSON",
    )
}

async fn build(
    hub: &Hub,
    access: impl Access,
    config: RouterConfig,
    table: &'static [Route],
) -> Result<(Router, Arc<Shared>)> {
    let settings = config.checked(hub).await?;
    let document = openapi::document(&settings.base, settings.config.is_enveloped);
    let shared = Arc::new(Shared {
        openapi: serde_json::to_vec(&document)
            .map_err(unserializable)?
            .into(),
        live: Live::new(hub.clone(), &settings.config),
        settings,
        access: Arc::new(access),
        limits: RequestLimits::default(),
        clock: hub.clock(),
        random: hub.random(),
        hub: hub.clone(),
    });
    let mut paths: BTreeMap<&str, Vec<&'static Route>> = BTreeMap::new();
    for route in table {
        paths.entry(route.path).or_default().push(route);
    }
    let mut merged = Router::new();
    for (path, routes) in paths {
        merged = merged.route(path, methods(&shared, routes)?);
    }
    let wrong_method = Arc::clone(&shared);
    let merged = merged.method_not_allowed_fallback(move |headers: HeaderMap| async move {
        serve::unmatched(&wrong_method, &Code::METHOD_NOT_ALLOWED, &headers)
    });
    Ok((merged, shared))
}

fn methods(shared: &Arc<Shared>, routes: Vec<&'static Route>) -> Result<MethodRouter> {
    let mut methods = MethodRouter::new();
    for &route in &routes {
        let shared = Arc::clone(shared);
        let handler = move |path: Result<RawPathParams, RawPathParamsRejection>,
                            request: Request| {
            serve::serve(Arc::clone(&shared), route, path, request)
        };
        let filter = MethodFilter::try_from(route.method.clone()).map_err(|_| {
            Error::new(
                ErrorKind::Bug,
                "axum.router",
                "a route has an unknown method",
            )
        })?;
        methods = methods.on(filter, handler);
    }
    let shared = Arc::clone(shared);
    Ok(methods.options(move |headers: HeaderMap| async move {
        serve::preflight(&shared, &routes, &headers)
    }))
}
