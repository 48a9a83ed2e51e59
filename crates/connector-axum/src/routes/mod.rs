//! The table of all routes. The router, the `OpenAPI` document and the tests of access are derived
//! from this table.

mod adopt;
mod callback;
mod connect;
mod connections;
mod connectors;
mod disconnect;
mod operations;
mod token;
pub(crate) mod views;
mod webhooks;

use std::future::ready;

use http::Method;
use utoipa::ToSchema;
use utoipa::openapi::{Ref, RefOr, Schema};

use self::views::{
    AdoptRequest, AppHealthList, BeginRequest, BegunConnect, CheckResult, ConnectTicket,
    ConnectionDetail, ConnectionList, ConnectorList, CsrfToken, DisconnectRequest, ExplanationView,
    HealthStatus, HistoryPage, IssuedToken, ProblemDescription, StopList,
};
use crate::access::{Permission, RouteGroup};
use crate::limit::LimitClass;
use crate::serve::Handler;

/// Who may use a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Guard {
    /// Everybody. The response contains nothing about tenants.
    Public,
    /// Callers with any permission or none.
    AnyCaller,
    /// Callers with the permission.
    Caller(Permission),
    /// The browser that a provider redirects, with a login unless browsers are anonymous.
    Callback,
    /// The browser of the user for whom a link was signed.
    Ticket,
    /// Providers, whose signatures the hub verifies.
    Provider,
}

/// The body of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    None,
    Json,
    JsonOrForm,
    Raw,
}

/// Schemas of the `OpenAPI` document by name.
pub(crate) type Schemas = Vec<(String, RefOr<Schema>)>;

/// Adds a schema with its parts, and returns a reference to it.
pub(crate) fn schema<T: ToSchema>(schemas: &mut Schemas) -> RefOr<Schema> {
    T::schemas(schemas);
    let name = T::name().into_owned();
    let reference = Ref::from_schema_name(&name);
    schemas.push((name, T::schema()));
    reference.into()
}

pub(crate) type SchemaOf = fn(&mut Schemas) -> RefOr<Schema>;

/// A successful response.
#[derive(Clone, Copy)]
pub(crate) enum Success {
    Json(u16, SchemaOf),
    /// A JSON object that has another description.
    Document,
    Empty(u16),
    Redirect,
    Events,
    /// The response that the provider expects.
    ProviderReply,
}

/// A route.
pub(crate) struct Route {
    pub(crate) id: &'static str,
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) guard: Guard,
    pub(crate) group: RouteGroup,
    pub(crate) limit: Option<LimitClass>,
    /// True if a browser that loads the address in advance must change nothing.
    pub(crate) refuses_prefetch: bool,
    /// Names of query parameters. Others are ignored.
    pub(crate) query: &'static [&'static str],
    pub(crate) body: Body,
    pub(crate) request: Option<SchemaOf>,
    pub(crate) success: &'static [Success],
    /// True if the response has an entity tag.
    pub(crate) is_tagged: bool,
    /// Statuses of problems that the route's handler returns, in addition to those that follow
    /// from the other fields.
    pub(crate) problems: &'static [u16],
    pub(crate) handler: Handler,
}

const GET: Route = Route {
    id: "",
    method: Method::GET,
    path: "",
    summary: "",
    guard: Guard::Caller(Permission::Read),
    group: RouteGroup::Connections,
    limit: None,
    refuses_prefetch: false,
    query: &["_"],
    body: Body::None,
    request: None,
    success: &[],
    is_tagged: false,
    problems: &[],
    handler: |call| Box::pin(ready(operations::health(&call))),
};

const POST: Route = Route {
    method: Method::POST,
    ..GET
};

/// The problems of routes that ask the provider.
const UPSTREAM: &[u16] = &[400, 404, 409, 422, 429, 500, 502, 503, 504];
/// The problems of routes that read the store.
const STORED: &[u16] = &[400, 404, 500, 503];

/// The routes of [`router`](crate::router).
pub(crate) static ROUTES: &[Route] = &[
    Route {
        id: "listConnectors",
        path: "/v1/connectors",
        summary: "Lists the connectors of the service.",
        group: RouteGroup::Connect,
        success: &[Success::Json(200, schema::<ConnectorList>)],
        is_tagged: true,
        handler: |call| Box::pin(ready(connectors::list(&call))),
        ..GET
    },
    Route {
        id: "getCsrfToken",
        path: "/v1/csrf",
        summary: "Returns a CSRF token for the caller's forms.",
        guard: Guard::AnyCaller,
        group: RouteGroup::Connect,
        success: &[Success::Json(200, schema::<CsrfToken>)],
        handler: |call| Box::pin(ready(connect::csrf(&call))),
        ..GET
    },
    Route {
        id: "beginConnect",
        path: "/v1/connectors/{provider}/connect",
        summary: "Starts a connect flow. A form is answered with a redirect to the provider.",
        guard: Guard::Caller(Permission::Connect),
        group: RouteGroup::Connect,
        limit: Some(LimitClass::Connect),
        body: Body::JsonOrForm,
        request: Some(schema::<BeginRequest>),
        success: &[
            Success::Json(201, schema::<BegunConnect>),
            Success::Redirect,
        ],
        problems: &[400, 404, 409, 422, 429, 500, 503],
        handler: |call| Box::pin(connect::begin(call)),
        ..POST
    },
    Route {
        id: "createTicket",
        path: "/v1/connectors/{provider}/ticket",
        summary: "Creates a link that starts a connect flow for the caller.",
        guard: Guard::Caller(Permission::Connect),
        group: RouteGroup::Connect,
        limit: Some(LimitClass::Connect),
        body: Body::Json,
        request: Some(schema::<BeginRequest>),
        success: &[Success::Json(201, schema::<ConnectTicket>)],
        problems: STORED,
        handler: |call| Box::pin(connect::ticket(call)),
        ..POST
    },
    Route {
        id: "openTicket",
        path: "/v1/connect/{ticket}",
        summary: "Starts the connect flow of a link, and redirects the browser to the provider.",
        guard: Guard::Ticket,
        group: RouteGroup::Connect,
        limit: Some(LimitClass::Connect),
        refuses_prefetch: true,
        success: &[Success::Redirect],
        problems: &[400, 404, 409, 422, 429, 500, 503],
        handler: |call| Box::pin(connect::open_ticket(call)),
        ..GET
    },
    Route {
        id: "finishConnect",
        path: "/v1/callback/{provider}",
        summary: "Finishes a connect flow, and redirects the browser to the return address.",
        guard: Guard::Callback,
        group: RouteGroup::Connect,
        limit: Some(LimitClass::Callback),
        refuses_prefetch: true,
        success: &[Success::Redirect],
        problems: &[404, 429, 500, 503],
        handler: |call| Box::pin(callback::finish(call)),
        ..GET
    },
    Route {
        id: "adoptCredential",
        path: "/v1/connectors/{provider}/adopt",
        summary: "Connects an account with a credential that another program obtained.",
        guard: Guard::Caller(Permission::Import),
        group: RouteGroup::Connect,
        limit: Some(LimitClass::Connect),
        body: Body::Json,
        request: Some(schema::<AdoptRequest>),
        success: &[Success::Json(201, schema::<ConnectionDetail>)],
        problems: UPSTREAM,
        handler: |call| Box::pin(adopt::adopt(call)),
        ..POST
    },
    Route {
        id: "listConnections",
        path: "/v1/connections",
        summary: "Lists the caller's connections.",
        query: &["provider", "account", "app", "status", "after", "limit"],
        success: &[Success::Json(200, schema::<ConnectionList>)],
        is_tagged: true,
        problems: STORED,
        handler: |call| Box::pin(connections::list(call)),
        ..GET
    },
    Route {
        id: "streamConnections",
        path: "/v1/connections/live",
        summary: "Streams the caller's connections and their changes as server-sent events.",
        success: &[Success::Events],
        problems: &[429, 503],
        handler: |call| Box::pin(connections::live(call)),
        ..GET
    },
    Route {
        id: "getConnection",
        path: "/v1/connections/{id}",
        summary: "Returns a connection with its scopes and expiry times.",
        success: &[Success::Json(200, schema::<ConnectionDetail>)],
        is_tagged: true,
        problems: STORED,
        handler: |call| Box::pin(connections::get(call)),
        ..GET
    },
    Route {
        id: "refreshConnection",
        path: "/v1/connections/{id}/refresh",
        summary: "Refreshes the credential of a connection now.",
        guard: Guard::Caller(Permission::Refresh),
        success: &[Success::Json(200, schema::<ConnectionDetail>)],
        problems: UPSTREAM,
        handler: |call| Box::pin(connections::refresh(call)),
        ..POST
    },
    Route {
        id: "checkConnection",
        path: "/v1/connections/{id}/check",
        summary: "Tests a connection at the provider now.",
        guard: Guard::Caller(Permission::Refresh),
        success: &[Success::Json(200, schema::<CheckResult>)],
        problems: &[404, 409, 422, 500, 503],
        handler: |call| Box::pin(connections::check(call)),
        ..POST
    },
    Route {
        id: "getHistory",
        path: "/v1/connections/{id}/history",
        summary: "Lists the audit entries of a connection, oldest first.",
        query: &["after", "limit"],
        success: &[Success::Json(200, schema::<HistoryPage>)],
        problems: STORED,
        handler: |call| Box::pin(connections::history(call)),
        ..GET
    },
    Route {
        id: "explainConnection",
        path: "/v1/connections/{id}/explanation",
        summary: "Explains the status of a connection: what happened, why, and what to do.",
        success: &[Success::Json(200, schema::<ExplanationView>)],
        problems: STORED,
        handler: |call| Box::pin(connections::explain(call)),
        ..GET
    },
    Route {
        id: "getDisconnectConsequences",
        path: "/v1/connections/{id}/disconnect",
        summary: "Lists what a disconnect stops, with the text that confirms it.",
        guard: Guard::Caller(Permission::Disconnect),
        success: &[Success::Json(200, schema::<StopList>)],
        problems: STORED,
        handler: |call| Box::pin(disconnect::consequences(call)),
        ..GET
    },
    Route {
        id: "disconnect",
        path: "/v1/connections/{id}/disconnect",
        summary: "Disconnects a connection, after confirmation.",
        guard: Guard::Caller(Permission::Disconnect),
        body: Body::JsonOrForm,
        request: Some(schema::<DisconnectRequest>),
        success: &[Success::Empty(204), Success::Redirect],
        problems: &[400, 404, 409, 500, 503],
        handler: |call| Box::pin(disconnect::disconnect(call)),
        ..POST
    },
    Route {
        id: "receiveWebhook",
        path: "/v1/webhooks/{provider}",
        summary: "Receives a delivery of a provider.",
        body: Body::Raw,
        guard: Guard::Provider,
        group: RouteGroup::Webhooks,
        success: &[Success::ProviderReply],
        problems: &[401, 404, 500, 503],
        handler: |call| Box::pin(webhooks::receive(call)),
        ..POST
    },
    Route {
        id: "answerWebhookHandshake",
        path: "/v1/webhooks/{provider}",
        summary: "Answers a handshake of a provider.",
        guard: Guard::Provider,
        group: RouteGroup::Webhooks,
        success: &[Success::ProviderReply],
        problems: &[401, 404, 500, 503],
        handler: |call| Box::pin(webhooks::receive(call)),
        ..GET
    },
    Route {
        id: "receiveNotification",
        path: "/v1/webhooks/{provider}/{channel}",
        summary: "Receives a notification of a channel.",
        body: Body::Raw,
        guard: Guard::Provider,
        group: RouteGroup::Webhooks,
        success: &[Success::ProviderReply],
        problems: &[401, 404, 500, 503],
        handler: |call| Box::pin(webhooks::receive(call)),
        ..POST
    },
    Route {
        id: "answerChannelHandshake",
        path: "/v1/webhooks/{provider}/{channel}",
        summary: "Answers a handshake for a channel.",
        guard: Guard::Provider,
        group: RouteGroup::Webhooks,
        success: &[Success::ProviderReply],
        problems: &[401, 404, 500, 503],
        handler: |call| Box::pin(webhooks::receive(call)),
        ..GET
    },
    Route {
        id: "getHealth",
        path: "/v1/health",
        summary: "Reports that the process runs.",
        guard: Guard::Public,
        group: RouteGroup::Operations,
        success: &[Success::Json(200, schema::<HealthStatus>)],
        handler: |call| Box::pin(ready(operations::health(&call))),
        ..GET
    },
    Route {
        id: "getReadiness",
        path: "/v1/ready",
        summary: "Reports whether the process can serve requests.",
        guard: Guard::Public,
        group: RouteGroup::Operations,
        success: &[Success::Json(200, schema::<HealthStatus>)],
        problems: &[500, 503],
        handler: |call| Box::pin(operations::ready(call)),
        ..GET
    },
    Route {
        id: "getAppHealth",
        path: "/v1/admin/health",
        summary: "Reports the health of all registrations, across tenants.",
        guard: Guard::Caller(Permission::Admin),
        group: RouteGroup::Operations,
        success: &[Success::Json(200, schema::<AppHealthList>)],
        problems: &[500, 503],
        handler: |call| Box::pin(operations::app_health(call)),
        ..GET
    },
    Route {
        id: "getProblem",
        path: "/v1/problems/{code}",
        summary: "Describes a problem code.",
        guard: Guard::Public,
        group: RouteGroup::Operations,
        success: &[Success::Json(200, schema::<ProblemDescription>)],
        problems: &[404],
        handler: |call| Box::pin(ready(operations::problem(&call))),
        ..GET
    },
    Route {
        id: "getOpenApi",
        path: "/v1/openapi.json",
        summary: "Returns the OpenAPI document.",
        guard: Guard::Public,
        group: RouteGroup::Operations,
        success: &[Success::Document],
        handler: |call| Box::pin(ready(operations::openapi(&call))),
        ..GET
    },
];

/// The routes of [`token_router`](crate::token_router).
pub(crate) static TOKEN_ROUTES: &[Route] = &[Route {
    id: "issueToken",
    path: "/v1/connections/{id}/token",
    summary: "Returns an access token for a program in another language.",
    guard: Guard::Caller(Permission::Token),
    group: RouteGroup::Tokens,
    success: &[Success::Json(200, schema::<IssuedToken>)],
    problems: UPSTREAM,
    handler: |call| Box::pin(token::issue(call)),
    ..POST
}];
