//! The path of every request: request id, origin, caller, permission, limit, body, handler,
//! response. Handlers cannot leave out a step.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::RawPathParams;
use axum::extract::rejection::RawPathParamsRejection;
use bytes::{Bytes, BytesMut};
use connector_core::clock::Clock;
use connector_core::{ConnectionId, CorrelationId, Random, RequestContext};
use connector_hub::Hub;
use futures_util::future::BoxFuture;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, CACHE_CONTROL, CONTENT_TYPE, ETAG, HeaderName, HeaderValue,
    IF_NONE_MATCH, ORIGIN, REFERRER_POLICY, RETRY_AFTER, VARY, WWW_AUTHENTICATE,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tracing::Instrument as _;
use url::form_urlencoded;

use crate::access::{Access, Caller, Denied, Permission};
use crate::config::Checked;
use crate::limit::{LimitClass, RequestLimits, Usage};
use crate::live::Live;
use crate::problem::{Code, Problem, seconds};
use crate::returns::with_result;
use crate::routes::{Body as BodyRule, Guard, Route};

pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";
const PROBLEM: &str = "application/problem+json";
/// Maximum length of a query, in bytes.
const MAX_QUERY: usize = 8 * 1024;
/// Headers that pages of other origins may read.
const EXPOSED: &str = "etag, link, location, ratelimit, ratelimit-policy, retry-after, \
                       x-ratelimit-limit, x-ratelimit-remaining, x-ratelimit-reset, x-request-id";

/// The state that all routes share.
pub(crate) struct Shared {
    pub(crate) hub: Hub,
    pub(crate) access: Arc<dyn Access>,
    pub(crate) settings: Checked,
    pub(crate) limits: RequestLimits,
    pub(crate) live: Arc<Live>,
    /// The `OpenAPI` document of these routers.
    pub(crate) openapi: Bytes,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) random: Arc<dyn Random>,
}

/// A request that has passed all checks of its route.
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    pub(crate) parts: Parts,
    pub(crate) path: BTreeMap<String, String>,
    pub(crate) query: BTreeMap<String, String>,
    pub(crate) caller: Option<Caller>,
    pub(crate) request_id: String,
    pub(crate) body: Bytes,
    pub(crate) is_form: bool,
}

pub(crate) type Outcome = Result<Reply, Problem>;
pub(crate) type Handler = fn(Call) -> BoxFuture<'static, Outcome>;

/// The response of a handler.
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) content: Content,
    /// The text that the entity tag is computed from. `None` if the response has no tag.
    pub(crate) tag: Option<String>,
    pub(crate) usage: Option<Usage>,
}

pub(crate) enum Content {
    Empty,
    Json(Value),
    /// A body that is sent unchanged. The headers contain its type.
    Raw(Body),
}

impl Reply {
    pub(crate) fn new(status: StatusCode, content: Content) -> Self {
        Self {
            status,
            headers: HeaderMap::new(),
            content,
            tag: None,
            usage: None,
        }
    }

    pub(crate) fn json(status: StatusCode, content: &impl Serialize) -> Outcome {
        let content = serde_json::to_value(content).map_err(|_| {
            Problem::new(&Code::BUG, "the response could not be serialized as JSON")
        })?;
        Ok(Self::new(status, Content::Json(content)))
    }

    pub(crate) fn ok(content: &impl Serialize) -> Outcome {
        Self::json(StatusCode::OK, content)
    }

    pub(crate) fn see_other(location: &url::Url) -> Outcome {
        let location = HeaderValue::from_str(location.as_str())
            .map_err(|_| Problem::new(&Code::BUG, "the address is not a header value"))?;
        let mut reply = Self::new(StatusCode::SEE_OTHER, Content::Empty);
        reply.headers.insert(http::header::LOCATION, location);
        Ok(reply)
    }

    /// Lets the caller cache the response, and ask with the entity tag whether it has changed.
    pub(crate) fn tagged(mut self) -> Self {
        if let Content::Json(value) = &self.content {
            self.tag = Some(value.to_string());
        }
        self
    }
}

impl Call {
    /// Returns the caller. Routes without a caller do not call this method.
    pub(crate) fn caller(&self) -> Result<&Caller, Problem> {
        self.caller
            .as_ref()
            .ok_or_else(|| Problem::new(&Code::UNAUTHENTICATED, "the route needs a caller"))
    }

    pub(crate) fn parameter(&self, name: &str) -> &str {
        self.path.get(name).map_or("", String::as_str)
    }

    /// Returns the key of the connection in the path. The tenant is always the caller's.
    pub(crate) fn key(&self) -> Result<connector_core::ConnectionKey, Problem> {
        let id: ConnectionId = self
            .parameter("id")
            .parse()
            .map_err(|_| Problem::new(&Code::NOT_FOUND, "this is not a connection id"))?;
        Ok(self.shared.hub.tenant(self.caller()?.tenant()).key(id))
    }

    /// Returns the description of the connector in the path.
    pub(crate) fn connector(&self) -> Result<&connector_core::provider::Description, Problem> {
        connector(&self.shared.hub, self.parameter("provider"))
    }

    /// Returns the context for the audit log. The request id is the correlation id.
    pub(crate) fn context(&self) -> Result<RequestContext, Problem> {
        let actor = self.caller()?.actor().clone();
        Ok(RequestContext::new(actor, self.correlation()?))
    }

    pub(crate) fn correlation(&self) -> Result<CorrelationId, Problem> {
        CorrelationId::new(&self.request_id)
            .map_err(|error| connector_core::Error::from(error).into())
    }

    /// Parses the body, which is JSON or a form.
    pub(crate) fn content<T: DeserializeOwned>(&self) -> Result<T, Problem> {
        // The parser's message names the field and the position, never a value of a secret type.
        let result = if self.is_form {
            let fields = pairs(&self.body, &[])?;
            let fields = fields.into_iter().filter(|(name, _)| name != "csrf");
            serde_json::from_value(Value::Object(
                fields
                    .map(|(name, text)| (name, Value::String(text)))
                    .collect(),
            ))
        } else if self.body.trim_ascii_start().starts_with(b"{") {
            serde_json::from_slice(&self.body)
        } else {
            // An array would be accepted as the list of a struct's fields.
            return Err(Problem::invalid("the body is not a JSON object"));
        };
        result.map_err(|error| {
            let place = match (error.line(), error.column()) {
                (0, _) => String::new(),
                (line, column) => format!(" at line {line}, column {column}"),
            };
            let text = match error.classify() {
                serde_json::error::Category::Data => "the body does not match the route's schema",
                _ => "the body is not valid JSON",
            };
            Problem::invalid(format!("{text}{place}; see the OpenAPI document"))
        })
    }

    /// Parses a query parameter.
    pub(crate) fn query_as<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, Problem> {
        let given = self.query.get(name).map(|it| it.parse());
        given.transpose().map_err(|_| {
            Problem::invalid(format!("the query parameter `{name}` has the wrong format"))
        })
    }
}

/// Returns the description of a connector.
pub(crate) fn connector<'a>(
    hub: &'a Hub,
    provider: &str,
) -> Result<&'a connector_core::provider::Description, Problem> {
    hub.connectors()
        .find(|it| it.provider.as_str() == provider)
        .ok_or_else(|| {
            Problem::new(
                &Code::CONNECTOR_UNKNOWN,
                "the service has no connector with this id",
            )
        })
}

/// Serves one request of a route.
pub(crate) async fn serve(
    shared: Arc<Shared>,
    route: &'static Route,
    path: Result<RawPathParams, RawPathParamsRejection>,
    request: Request<Body>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let request_id = request_id(&parts.headers, &*shared.random);
    let origin = origin_of(&parts.headers);
    let condition = parts.headers.get(IF_NONE_MATCH).cloned();
    let ends_at_page = ends_at_page(route, &parts.headers);
    let mut seen = Seen::default();
    let span = tracing::info_span!(
        "http.request",
        route = route.id,
        request_id = request_id.as_deref().unwrap_or_default()
    );
    let outcome = match &request_id {
        Ok(request_id) => {
            let path = path
                .map(|it| {
                    it.iter()
                        .map(|(k, v)| (k.to_owned(), v.to_owned()))
                        .collect()
                })
                .map_err(|_| Problem::invalid("the path is not valid UTF-8"));
            match path {
                Ok(path) => {
                    handle(&shared, route, parts, path, body, request_id, &mut seen)
                        .instrument(span)
                        .await
                }
                Err(problem) => Err(problem),
            }
        }
        Err(_) => Err(Problem::new(&Code::BUG, "the random source failed")),
    };
    let request_id = request_id.unwrap_or_default();
    let tenant = seen.tenant;
    let outcome = match outcome {
        Ok(mut reply) => {
            reply.usage = reply.usage.or(seen.usage);
            Ok(reply)
        }
        Err(mut problem) => {
            if let Some(usage) = seen.usage {
                usage.write(&mut problem.headers);
            }
            if ends_at_page && !is_continued_by_reload(route, &problem) {
                log(&problem, route.id, &request_id);
                failed_page(&shared, route, &problem, tenant.as_ref(), &request_id)
            } else {
                Err(problem)
            }
        }
    };
    let mut response = render(&shared, &request_id, outcome, condition.as_ref(), route.id);
    if let Some(Ok(origin)) = origin {
        allow_origin(
            &shared,
            route,
            &origin,
            tenant.as_ref(),
            response.headers_mut(),
        );
    }
    response
}

/// The facts of a request that its response needs, even if the request is refused.
#[derive(Default)]
struct Seen {
    tenant: Option<connector_core::TenantId>,
    usage: Option<Usage>,
}

async fn handle(
    shared: &Arc<Shared>,
    route: &'static Route,
    parts: Parts,
    path: BTreeMap<String, String>,
    body: Body,
    request_id: &str,
    seen: &mut Seen,
) -> Outcome {
    // Scanners of links also send HEAD, which axum passes to the handlers of GET.
    let is_preview = is_prefetch(&parts.headers) || parts.method == Method::HEAD;
    if route.refuses_prefetch && is_preview {
        return Err(Problem::new(
            &Code::PREFETCH_REFUSED,
            "the browser loads this address in advance; open it instead",
        ));
    }
    let caller = identify(shared, route, &parts).await?;
    seen.tenant = caller.as_ref().map(|it| it.tenant().clone());
    if !parts.method.is_safe() && route.guard != Guard::Provider {
        check_origin(shared, route, &parts.headers, seen.tenant.as_ref())?;
    }
    if let (Some(class), Some(caller)) = (route.limit, &caller) {
        seen.usage = Some(limit(shared, class, caller.tenant())?);
    }
    let (body, is_form) = read_body(shared, route, &parts.headers, body).await?;
    if is_form {
        check_csrf(shared, caller.as_ref(), &body)?;
    }
    // Callbacks and webhooks get the raw query.
    let query = match route.guard {
        Guard::Callback | Guard::Provider => BTreeMap::new(),
        _ => pairs(
            parts.uri.query().unwrap_or_default().as_bytes(),
            route.query,
        )?,
    };
    let call = Call {
        shared: Arc::clone(shared),
        parts,
        path,
        query,
        caller,
        request_id: request_id.to_owned(),
        body,
        is_form,
    };
    (route.handler)(call).await
}

/// Returns true if a browser shows the response to a person: a page that it navigates to, or the
/// answer to a form.
fn ends_at_page(route: &Route, headers: &HeaderMap) -> bool {
    let is_page = matches!(route.guard, Guard::Callback | Guard::Ticket)
        || route.body == BodyRule::JsonOrForm;
    let text = |name: &str| headers.get(name).and_then(|it| it.to_str().ok());
    let navigates = match text("sec-fetch-mode") {
        Some(mode) => mode == "navigate",
        None => text("accept").is_some_and(|it| it.contains("text/html")),
    };
    is_page && navigates && !is_prefetch(headers)
}

/// Returns true if the person continues by loading the same page again. The page then keeps its
/// address, because the callback's address is needed for this.
fn is_continued_by_reload(route: &Route, problem: &Problem) -> bool {
    let status = problem.code.status;
    route.guard == Guard::Callback
        && (status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS)
}

/// Redirects the browser to the default return address, with the reason.
fn failed_page(
    shared: &Shared,
    route: &Route,
    problem: &Problem,
    tenant: Option<&connector_core::TenantId>,
    request_id: &str,
) -> Outcome {
    let name = if route.id == "disconnect" {
        "disconnect"
    } else {
        "connect"
    };
    let reason = problem.reason.unwrap_or(problem.code.name);
    let target = shared.settings.returns.target(None, tenant);
    let mut reply = Reply::see_other(&with_result(
        target,
        &[
            (name, "failed"),
            ("reason", reason),
            ("request_id", request_id),
        ],
    ))?;
    reply.headers.extend(problem.headers.clone());
    Ok(reply)
}

/// Counts a request toward the limit of a tenant.
pub(crate) fn limit(
    shared: &Shared,
    class: LimitClass,
    tenant: &connector_core::TenantId,
) -> Result<Usage, Problem> {
    let quota = match class {
        LimitClass::Connect => shared.settings.config.connect_limit,
        LimitClass::Callback => shared.settings.config.callback_limit,
    };
    let usage = shared
        .limits
        .count(class, quota, tenant, shared.clock.monotonic());
    if usage.allowed {
        return Ok(usage);
    }
    let mut problem = Problem::new(
        &Code::RATE_LIMITED,
        "the tenant has used up its limit for this route",
    )
    .with_retry_after(usage.reset);
    usage.write(&mut problem.headers);
    Err(problem)
}

/// Adds the state of a limit that a handler has counted, also to a problem.
pub(crate) fn counted(outcome: Outcome, usage: Option<Usage>) -> Outcome {
    match (outcome, usage) {
        (Ok(mut reply), Some(usage)) => {
            reply.usage = Some(usage);
            Ok(reply)
        }
        (Err(mut problem), Some(usage)) => {
            usage.write(&mut problem.headers);
            Err(problem)
        }
        (outcome, None) => outcome,
    }
}

async fn identify(
    shared: &Shared,
    route: &Route,
    parts: &Parts,
) -> Result<Option<Caller>, Problem> {
    let permission = match route.guard {
        Guard::Public | Guard::Provider => return Ok(None),
        Guard::Callback | Guard::Ticket if shared.settings.is_browser_anonymous => {
            return Ok(None);
        }
        Guard::Callback | Guard::Ticket => Some(Permission::Connect),
        Guard::Caller(permission) => Some(permission),
        Guard::AnyCaller => None,
    };
    let caller = match shared.access.identify(parts).await {
        Ok(caller) => caller,
        Err(Denied::Unavailable) => {
            return Err(Problem::new(
                &Code::ACCESS_UNAVAILABLE,
                "the service cannot identify callers now",
            ));
        }
        Err(Denied::Unauthenticated) => {
            return Err(Problem::new(
                &Code::UNAUTHENTICATED,
                "the request has no valid credentials",
            )
            .with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")));
        }
    };
    match permission.filter(|it| !caller.permissions().contains(*it)) {
        Some(missing) => Err(Problem::new(
            &Code::PERMISSION_MISSING,
            format!("the caller lacks the permission `{}`", missing.as_str()),
        )),
        None => Ok(Some(caller)),
    }
}

/// Returns true for requests with which a browser loads a page before the user opens it.
fn is_prefetch(headers: &HeaderMap) -> bool {
    ["sec-purpose", "purpose", "x-purpose", "x-moz"]
        .iter()
        .any(|name| {
            headers.get_all(*name).iter().any(|value| {
                let text = value.as_bytes().to_ascii_lowercase();
                [&b"prefetch"[..], b"prerender", b"preview"]
                    .iter()
                    .any(|word| text.windows(word.len()).any(|it| it == *word))
            })
        })
}

/// Returns the origin in the request, or an error for a malformed or doubled header.
fn origin_of(headers: &HeaderMap) -> Option<Result<String, ()>> {
    let mut values = headers.get_all(ORIGIN).iter();
    let first = values.next()?;
    let text = first.to_str().ok().filter(|_| values.next().is_none());
    Some(text.map(str::to_owned).ok_or(()))
}

/// Refuses state-changing requests that a page of another site sends with the browser's cookies.
fn check_origin(
    shared: &Shared,
    route: &Route,
    headers: &HeaderMap,
    tenant: Option<&connector_core::TenantId>,
) -> Result<(), Problem> {
    let is_allowed = match origin_of(headers) {
        Some(Ok(origin)) => {
            origin == shared.settings.origin
                || shared.access.allows_origin(&origin, route.group, tenant)
        }
        Some(Err(())) => false,
        None => headers
            .get("sec-fetch-site")
            .is_none_or(|site| matches!(site.as_bytes(), b"same-origin" | b"none")),
    };
    if is_allowed {
        return Ok(());
    }
    Err(Problem::new(
        &Code::ORIGIN_REFUSED,
        "pages of this origin may not send this request",
    ))
}

fn check_csrf(shared: &Shared, caller: Option<&Caller>, body: &[u8]) -> Result<(), Problem> {
    let token = form_urlencoded::parse(body)
        .find_map(|(name, value)| (name == "csrf").then(|| value.into_owned()));
    let is_valid = match (token, caller) {
        (Some(token), Some(caller)) => {
            let (tenant, actor) = (caller.tenant(), caller.actor());
            let signer = &shared.settings.signer;
            signer.is_csrf(&token, tenant, actor, shared.clock.now())
        }
        _ => false,
    };
    if is_valid {
        return Ok(());
    }
    Err(Problem::new(
        &Code::CSRF_REFUSED,
        "the form's field `csrf` is missing, has expired, or belongs to another user",
    ))
}

/// Reads the body, within the limit and the deadline. Returns true for a form.
async fn read_body(
    shared: &Shared,
    route: &Route,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Bytes, bool), Problem> {
    let config = &shared.settings.config;
    let limit = match route.body {
        BodyRule::None => return Ok((Bytes::new(), false)),
        BodyRule::Json | BodyRule::JsonOrForm => config.body_limit,
        BodyRule::Raw => config.webhook_body_limit,
    };
    let media_type = headers
        .get(CONTENT_TYPE)
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.split(';').next())
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let is_form = match route.body {
        BodyRule::Raw => false,
        _ if media_type == JSON => false,
        BodyRule::JsonOrForm if media_type == FORM => true,
        _ => {
            return Err(Problem::new(
                &Code::MEDIA_TYPE,
                "the body must have a documented content type",
            ));
        }
    };
    let too_large = || {
        Problem::new(
            &Code::BODY_TOO_LARGE,
            format!("the body is larger than {limit} bytes"),
        )
    };
    let announced = headers
        .get(http::header::CONTENT_LENGTH)
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.parse::<usize>().ok());
    if announced.is_some_and(|length| length > limit) {
        return Err(too_large());
    }
    let read = async {
        let (mut body, mut bytes) = (body, BytesMut::new());
        while let Some(frame) = body.frame().await {
            let frame = frame.map_err(|_| Problem::invalid("the body could not be read"))?;
            if let Ok(data) = frame.into_data() {
                if bytes.len() + data.len() > limit {
                    return Err(too_large());
                }
                bytes.extend_from_slice(&data);
            }
        }
        Ok(bytes.freeze())
    };
    tokio::select! {
        biased;
        read = read => read.map(|bytes| (bytes, is_form)),
        () = shared.clock.sleep(config.body_deadline) => Err(Problem::new(
            &Code::BODY_TOO_SLOW,
            "the body did not arrive within the deadline",
        )),
    }
}

/// Parses a query or a form. A repeated name is refused, because programs disagree on which value
/// counts. If `known` is not empty, other names are ignored.
fn pairs(text: &[u8], known: &[&str]) -> Result<BTreeMap<String, String>, Problem> {
    if text.len() > MAX_QUERY && !known.is_empty() {
        return Err(Problem::invalid("the query is longer than 8 KiB"));
    }
    let mut pairs = BTreeMap::new();
    let decoded = percent_encoding::percent_decode(text);
    if decoded.decode_utf8().is_err() {
        return Err(Problem::invalid("the parameters are not valid UTF-8"));
    }
    for (name, value) in form_urlencoded::parse(text) {
        if !known.is_empty() && !known.contains(&&*name) {
            continue;
        }
        let name = name.into_owned();
        if pairs.insert(name, value.into_owned()).is_some() {
            return Err(Problem::invalid("a parameter occurs twice"));
        }
    }
    Ok(pairs)
}

/// Returns the caller's request id if it is plain, otherwise a new one.
fn request_id(headers: &HeaderMap, random: &dyn Random) -> connector_core::Result<String> {
    let given = headers.get(&REQUEST_ID).and_then(|it| it.to_str().ok());
    let plain = given.filter(|it| {
        (1..=64).contains(&it.len())
            && it
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    });
    match plain {
        Some(given) => Ok(given.to_owned()),
        None => Ok(ConnectionId::generate(random)?.to_string()),
    }
}

/// Builds the response to an outcome.
pub(crate) fn render(
    shared: &Shared,
    request_id: &str,
    outcome: Outcome,
    condition: Option<&HeaderValue>,
    route: &str,
) -> Response<Body> {
    let mut response = match outcome {
        Ok(reply) => render_reply(shared, request_id, reply, condition),
        Err(problem) => render_problem(shared, request_id, &problem, route),
    };
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(request_id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // Addresses of callbacks contain codes, and addresses of tickets are secrets.
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers
        .entry(CACHE_CONTROL)
        .or_insert(HeaderValue::from_static("no-store"));
    headers.append(VARY, HeaderValue::from_static("origin"));
    response
}

fn render_reply(
    shared: &Shared,
    request_id: &str,
    reply: Reply,
    condition: Option<&HeaderValue>,
) -> Response<Body> {
    let mut status = reply.status;
    let mut headers = reply.headers;
    if let Some(usage) = reply.usage {
        usage.write(&mut headers);
    }
    let mut content = reply.content;
    if let Some(text) = reply.tag {
        // Weak: the envelope and times that depend on the request are not part of the tag.
        let tag = format!(
            "W/\"{}\"",
            hex::encode(&digest(&SHA256, text.as_bytes()).as_ref()[..16])
        );
        let is_known = condition
            .and_then(|it| it.to_str().ok())
            .is_some_and(|given| {
                given
                    .split(',')
                    .any(|it| it.trim().trim_start_matches("W/") == &tag[2..])
            });
        if let Ok(value) = HeaderValue::from_str(&tag) {
            headers.insert(ETAG, value);
        }
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        if is_known {
            (status, content) = (StatusCode::NOT_MODIFIED, Content::Empty);
        }
    }
    let body = match content {
        Content::Empty => Body::empty(),
        Content::Raw(body) => body,
        Content::Json(value) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
            let value = if shared.settings.config.is_enveloped {
                envelope(shared, request_id, "data", value)
            } else {
                value
            };
            Body::from(value.to_string())
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

fn render_problem(
    shared: &Shared,
    request_id: &str,
    problem: &Problem,
    route: &str,
) -> Response<Body> {
    log(problem, route, request_id);
    let is_enveloped = shared.settings.config.is_enveloped;
    let body = problem.body(&shared.settings.base, request_id);
    let body = serde_json::to_value(body).unwrap_or_default();
    let (body, media_type) = if is_enveloped {
        (envelope(shared, request_id, "error", body), JSON)
    } else {
        (body, PROBLEM)
    };
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = problem.code.status;
    let headers = response.headers_mut();
    headers.clone_from(&problem.headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    if let Some(after) = problem.retry_after {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds(after).max(1)));
    }
    response
}

/// Logs a refused request once: failures of the service for its operator, others for a developer.
fn log(problem: &Problem, route: &str, request_id: &str) {
    if problem.code == &Code::DELIVERY_DEFERRED {
        let reason = problem.reason;
        let report = problem.report.as_deref();
        tracing::warn!(route, request_id, reason, report, "delivery deferred");
    } else if problem.code.status.is_server_error() {
        let report = problem.report.as_deref().unwrap_or(&problem.detail);
        tracing::error!(
            route,
            request_id,
            code = problem.code.name,
            report,
            "request failed"
        );
    } else {
        let reason = problem.reason;
        tracing::debug!(
            route,
            request_id,
            code = problem.code.name,
            reason,
            "request refused"
        );
    }
}

fn envelope(shared: &Shared, request_id: &str, member: &str, content: Value) -> Value {
    let mut envelope = json!({
        "success": member == "data",
        "timestamp": shared.clock.now().to_string(),
        "requestId": request_id,
    });
    envelope[member] = content;
    envelope
}

/// Lets a page of another origin read the response, if the application allows the origin.
fn allow_origin(
    shared: &Shared,
    route: &Route,
    origin: &str,
    tenant: Option<&connector_core::TenantId>,
    headers: &mut HeaderMap,
) {
    if origin == shared.settings.origin || !shared.access.allows_origin(origin, route.group, tenant)
    {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(origin) {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, value);
        headers.insert(
            ACCESS_CONTROL_ALLOW_CREDENTIALS,
            HeaderValue::from_static("true"),
        );
        headers.insert(
            ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static(EXPOSED),
        );
    }
}

/// Answers a preflight request (CORS) for the routes of one path.
pub(crate) fn preflight(
    shared: &Shared,
    routes: &[&'static Route],
    headers: &HeaderMap,
) -> Response<Body> {
    let request_id = request_id(headers, &*shared.random).unwrap_or_default();
    let wanted = headers
        .get(ACCESS_CONTROL_REQUEST_METHOD)
        .and_then(|it| it.to_str().ok())
        .and_then(|it| it.parse::<Method>().ok());
    let route = routes.iter().find(|it| Some(&it.method) == wanted.as_ref());
    let allowed = match (origin_of(headers), route) {
        (Some(Ok(origin)), Some(route))
            if shared.access.allows_origin(&origin, route.group, None) =>
        {
            HeaderValue::from_str(&origin).ok()
        }
        _ => None,
    };
    let outcome = match allowed {
        Some(origin) => {
            let mut reply = Reply::new(StatusCode::NO_CONTENT, Content::Empty);
            let methods: Vec<&str> = routes.iter().map(|it| it.method.as_str()).collect();
            let headers = &mut reply.headers;
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
            headers.insert(
                ACCESS_CONTROL_ALLOW_CREDENTIALS,
                HeaderValue::from_static("true"),
            );
            headers.insert(
                ACCESS_CONTROL_ALLOW_HEADERS,
                HeaderValue::from_static(
                    "authorization, content-type, if-none-match, x-request-id",
                ),
            );
            headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
            if let Ok(methods) = HeaderValue::from_str(&methods.join(", ")) {
                headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
            }
            Ok(reply)
        }
        None => Err(Problem::new(
            &Code::ORIGIN_REFUSED,
            "pages of this origin may not use this route",
        )),
    };
    render(shared, &request_id, outcome, None, "preflight")
}

/// Answers a request that no route takes.
pub(crate) fn unmatched(
    shared: &Shared,
    code: &'static Code,
    headers: &HeaderMap,
) -> Response<Body> {
    let request_id = request_id(headers, &*shared.random).unwrap_or_default();
    let problem = Problem::new(code, "no route takes this request");
    render(shared, &request_id, Err(problem), None, "unmatched")
}
