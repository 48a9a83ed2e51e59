//! The routes that a service adds for Shopify, and a placeholder for its login.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Form, Path, RawQuery, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, Method, Request, StatusCode, Uri};
use axum::middleware::{Next, from_fn_with_state, map_response};
use axum::response::{AppendHeaders, Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use connectors::clock::Clock;
use connectors::shopify::endpoints::ListProducts;
use connectors::shopify::models::Product;
use connectors::shopify::{ShopDomain, Shopify, ShopifyClient};
use connectors::{ConnectionId, ConnectionKey, Receipt, SystemRandom, random_token};
use futures_util::{StreamExt, TryStreamExt};
use secrecy::SecretString;
use serde::Deserialize;
use url::form_urlencoded;

use crate::config::CALLBACK;
use crate::pages::{self, Refusal};
use crate::service::{APP_URL, Service, WEBHOOKS};
use crate::session::{Session, equal};
use crate::{say, simulated};

/// Maximum size of a form in bytes.
const LARGEST_FORM: usize = 4 * 1024;
/// Maximum size of a delivery in bytes. The hub accepts no larger body.
const LARGEST_DELIVERY: usize = 1_048_576;
/// Maximum number of products and connections on a page.
const SHOWN: u16 = 10;

const SESSION: &str = "session";
/// Name of the cookie whose value the login form repeats.
const LOGIN: &str = "login";
/// Name of the cookie that binds an authorization to the browser that started it.
const BINDING: &str = "connect";

/// The content security policy. It has no `form-action`, because browsers would apply it to the
/// redirect to Shopify, which follows a form.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; base-uri 'none'; frame-ancestors 'none'";

pub(crate) type Shared = State<Arc<Service>>;

pub(crate) fn router(service: Arc<Service>) -> Router {
    let deliveries = post(webhooks).layer(DefaultBodyLimit::max(LARGEST_DELIVERY));
    let mut router = Router::new()
        .route("/", get(start))
        .route("/style.css", get(style))
        .route("/login", post(log_in))
        .route("/shopify/connect", post(connect))
        .route(CALLBACK, get(callback))
        .route("/connections/{id}", get(connection))
        .route(APP_URL, get(app_url));
    if service.simulator.is_some() {
        router = router
            .route("/simulator/open", get(simulated::open))
            .route("/simulator/uninstall", post(simulated::uninstall));
    }
    router
        .layer(DefaultBodyLimit::max(LARGEST_FORM))
        .layer(from_fn_with_state(Arc::clone(&service), own_forms))
        .route(WEBHOOKS, deliveries)
        .layer(map_response(with_policy))
        .with_state(service)
}

/// Refuses a form that a page of another site sends. Browsers name the sending page's origin.
async fn own_forms(State(service): Shared, request: Request<Body>, next: Next) -> Response {
    let own = service.origin().ascii_serialization();
    let origin = request.headers().get(ORIGIN);
    if request.method() == Method::POST && origin.is_some_and(|it| it.as_bytes() != own.as_bytes())
    {
        return Refusal::forged_form().into_response();
    }
    next.run(request).await
}

async fn with_policy(mut response: Response) -> Response {
    let headers = response.headers_mut();
    let values: [(HeaderName, &'static str); 4] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // The callback's URL contains the authorization code.
        (REFERRER_POLICY, "no-referrer"),
        (CACHE_CONTROL, "no-store"),
    ];
    for (name, value) in values {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

async fn style() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css")], pages::STYLE)
}

/// Returns the session of the browser that sent these headers.
pub(crate) fn session(service: &Service, headers: &HeaderMap) -> Option<Session> {
    let cookie = service.cookies.get(headers, SESSION)?;
    service.sessions.find(&cookie)
}

/// The start page. If the person comes from a shop, the form already contains the shop's name. The
/// person still has to submit the form.
async fn start(
    State(service): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let query = query.unwrap_or_default();
    let shop = form_urlencoded::parse(query.as_bytes())
        .find_map(|(name, value)| (name == "shop").then(|| ShopDomain::parse(&value).ok()))
        .flatten();
    let shop = shop.as_ref().map_or("", ShopDomain::as_str);
    let Some(session) = session(&service, &headers) else {
        let token = match service.cookies.get(&headers, LOGIN) {
            Some(token) => token,
            None => random_token(&SystemRandom::new())?,
        };
        let cookie = [(SET_COOKIE, service.cookies.set(LOGIN, &token))];
        let page = pages::login(service.sessions.asks(), shop, &token);
        return Ok((AppendHeaders(cookie), page).into_response());
    };
    let tenant = &session.tenant;
    let connections = service.hub.tenant(tenant).list(None, SHOWN).await?.items;
    let is_simulated = service.simulator.is_some();
    Ok(pages::start(&session, &connections, shop, is_simulated).into_response())
}

#[derive(Deserialize)]
struct LogIn {
    #[serde(default)]
    csrf: SecretString,
    #[serde(default)]
    password: SecretString,
    #[serde(default)]
    shop: String,
}

/// Logs in. Another site must not log a browser in as somebody of its choice: a shop that its user
/// connects next would be that person's (login CSRF).
async fn log_in(
    State(service): Shared,
    headers: HeaderMap,
    Form(form): Form<LogIn>,
) -> Result<Response, Refusal> {
    let cookie = service.cookies.get(&headers, LOGIN);
    if !cookie.is_some_and(|it| equal(&it, &form.csrf)) {
        return Err(Refusal::forged_form());
    }
    let session = service.sessions.log_in(&form.password)?.ok_or_else(|| {
        Refusal::new(
            StatusCode::UNAUTHORIZED,
            "Not logged in",
            "the password is wrong; use the password that the program's terminal shows",
        )
    })?;
    let back = match ShopDomain::parse(&form.shop) {
        Ok(shop) => format!("/?shop={shop}"),
        Err(_) => "/".to_owned(),
    };
    let cookie = service.cookies.set(SESSION, session.id());
    Ok(pages::redirect(&back, cookie))
}

#[derive(Deserialize)]
pub(crate) struct ShopForm {
    pub(crate) csrf: SecretString,
    pub(crate) shop: String,
}

/// Starts the authorization of a shop. This changes state, so the request must be a form that this
/// program created for the person who is logged in.
async fn connect(
    State(service): Shared,
    headers: HeaderMap,
    Form(form): Form<ShopForm>,
) -> Result<Response, Refusal> {
    let session = session(&service, &headers).ok_or_else(Refusal::not_logged_in)?;
    if !session.made(&form.csrf) {
        return Err(Refusal::forged_form());
    }
    let mut begun = service
        .hub
        .authorize(&session.tenant, Shopify::ID)
        .actor(session.actor.clone())
        .account(form.shop);
    // Several authorizations in one browser share the cookie.
    if let Some(binding) = service.cookies.get(&headers, BINDING) {
        begun = begun.binding(binding);
    }
    let authorization = begun.begin().await?;
    let cookie = service.cookies.set(BINDING, authorization.binding());
    let consent = service.as_browsers_see(authorization.url())?;
    Ok(pages::redirect(consent.as_str(), cookie))
}

/// The redirect URI. The hub checks the state, the browser, the user and Shopify's signature, and
/// exchanges the code.
async fn callback(
    State(service): Shared,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Result<Redirect, Refusal> {
    let session = session(&service, &headers).ok_or_else(Refusal::not_logged_in)?;
    let binding = service.cookies.get(&headers, BINDING).unwrap_or_default();
    let connected = service
        .hub
        .callback(Shopify::ID, query.as_deref().unwrap_or_default(), binding)
        .actor(session.actor.clone())
        .tenant(&session.tenant)
        .await?;
    let key = connected.connection().key();
    // If the subscription fails, the shop is still connected. Connecting again retries.
    match service.subscribe(key).await {
        Ok(made) => say(&format!("Connected. New webhook subscriptions: {made}.")),
        Err(error) => say(&format!("Connected, but without webhooks: {error}")),
    }
    Ok(Redirect::to(&format!("/connections/{}", key.id)))
}

/// The page of a connection. The tenant comes from the login, so one tenant cannot see another
/// tenant's connections.
async fn connection(
    State(service): Shared,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Html<String>, Refusal> {
    let session = session(&service, &headers).ok_or_else(Refusal::not_logged_in)?;
    let id: ConnectionId = id.parse().map_err(connectors::Error::from)?;
    let tenant = &session.tenant;
    let key = service.hub.tenant(tenant).key(id);
    let products = products(&service, &key).await;
    // Read after the API call, because the call may have changed the status.
    let connection = service.hub.tenant(tenant).get(id).await?;
    let is_simulated = service.simulator.is_some();
    Ok(pages::connection(
        &session,
        &connection,
        &products,
        is_simulated,
    ))
}

async fn products(service: &Service, key: &ConnectionKey) -> connectors::Result<Vec<Product>> {
    let client = service.hub.client::<ShopifyClient>(key).await?;
    let list = ListProducts::new().with_page_size(u32::from(SHOWN));
    let products = client.pages(list).items();
    products.take(usize::from(SHOWN)).try_collect().await
}

/// The App URL: a person opens or installs the app in Shopify. The signature proves the shop, but
/// not which user of this application the person is. So the person logs in and submits the form.
async fn app_url(State(service): Shared, RawQuery(query): RawQuery) -> Result<Redirect, Refusal> {
    let query = query.unwrap_or_default();
    let now = service.clock.now();
    let shop = service.shopify.verify_app_url(&service.app, now, &query)?;
    Ok(Redirect::to(&format!("/?shop={shop}")))
}

/// The webhook route. The hub gets the unchanged bytes of the body, because Shopify signs them.
async fn webhooks(State(service): Shared, headers: HeaderMap, body: Bytes) -> Response {
    let mut request = Request::new(body);
    *request.method_mut() = Method::POST;
    *request.uri_mut() = Uri::from_static(WEBHOOKS);
    *request.headers_mut() = headers;
    let response = match service.hub.receive(&Shopify::ID, request).await {
        Ok(receipt) => receipt.response(),
        Err(error) => Receipt::refusal(&error),
    };
    response.map(axum::body::Body::from)
}
