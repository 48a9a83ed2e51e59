//! A router over a hub with a simulated provider.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ::http::header::{AUTHORIZATION, CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};
use ::http::request::Parts;
use ::http::{HeaderMap, Request, StatusCode};
use async_trait::async_trait;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use connector_axum::{
    Access, ApiKeys, Caller, Denied, Permission, Permissions, RouteGroup, RouterConfig, router,
    token_router,
};
use connector_core::cipher::Keyring;
use connector_core::clock::{ManualClock, Timestamp};
use connector_core::provider::{Description, GenericConnector};
use connector_core::store::MemoryStore;
use connector_core::{Actor, AppKey, ConnectionId, ConnectionKey, FixedApps, TenantId};
use connector_hub::Hub;
use connector_sim::{Account, Authority, Consent};
use connector_testkit::kill::{Action, KillPoints, Side};
use connector_testkit::leak::{canary, canary_key};
use connector_testkit::trace;
use http_body_util::BodyExt as _;
use secrecy::SecretString;
use serde_json::{Value, json};
use tower::ServiceExt as _;
use url::Url;

pub(crate) const SITE: &str = "https://app.example/connect";
pub(crate) const ALL: Permissions = Permissions::of(Permission::ALL);

pub(crate) fn acme() -> Description {
    serde_json::from_str(
        r#"{
            "provider": "acme",
            "name": "Acme",
            "api": ["https://api.acme.example"],
            "authorization": { "endpoint": "https://acme.example/authorize" },
            "token": { "endpoint": "https://acme.example/token" },
            "revocation": { "endpoint": "https://acme.example/revoke" },
            "identity": {
                "endpoint": "https://api.acme.example/me",
                "account": "/id",
                "label": "/name"
            },
            "scopes": { "default": ["read", "write"], "required": ["read"] },
            "rotation": "strict"
        }"#,
    )
    .unwrap()
}

/// API keys, and the origins whose pages may call.
#[derive(Clone, Default)]
pub(crate) struct Keys(Arc<Mutex<KeysInner>>);

#[derive(Default)]
struct KeysInner {
    keys: ApiKeys,
    origins: Vec<(String, Option<String>)>,
    is_down: bool,
}

impl Keys {
    /// Adds a key for a user, and returns it.
    pub(crate) fn add(&self, tenant: &str, user: &str, permissions: Permissions) -> String {
        let key = canary("api-key");
        let caller = Caller::new(
            TenantId::new(tenant).unwrap(),
            Actor::User(user.to_owned()),
            permissions,
        );
        let mut inner = self.0.lock().unwrap();
        let digest = ApiKeys::digest(&SecretString::from(key.clone()));
        inner.keys = inner.keys.clone().with_key(digest, caller);
        key
    }

    /// Allows the pages of an origin for one tenant, and for preflight requests.
    pub(crate) fn allow(&self, origin: &str, tenant: Option<&str>) {
        let entry = (origin.to_owned(), tenant.map(str::to_owned));
        self.0.lock().unwrap().origins.push(entry);
    }

    pub(crate) fn fail(&self) {
        self.0.lock().unwrap().is_down = true;
    }
}

#[async_trait]
impl Access for Keys {
    async fn identify(&self, request: &Parts) -> Result<Caller, Denied> {
        let (keys, is_down) = {
            let inner = self.0.lock().unwrap();
            (inner.keys.clone(), inner.is_down)
        };
        if is_down {
            return Err(Denied::Unavailable);
        }
        keys.identify(request).await
    }

    fn allows_origin(&self, origin: &str, group: RouteGroup, tenant: Option<&TenantId>) -> bool {
        group != RouteGroup::Webhooks
            && self.0.lock().unwrap().origins.iter().any(|(allowed, own)| {
                allowed == origin
                    && (tenant.is_none() || own.as_deref() == tenant.map(TenantId::as_str))
            })
    }
}

pub(crate) struct Rig {
    pub(crate) clock: ManualClock,
    pub(crate) sim: Authority,
    pub(crate) store: MemoryStore,
    /// The operation of the store that fails, for example `state.state`.
    pub(crate) failing: Arc<Mutex<&'static str>>,
    pub(crate) hub: Hub,
    pub(crate) keys: Keys,
    pub(crate) router: Router,
    /// The key of the user `ann` of the tenant `t1`, with all permissions.
    pub(crate) ann: String,
}

pub(crate) fn signing_key() -> SecretString {
    SecretString::from(canary("signing-key").repeat(2))
}

pub(crate) fn config(signing_key: SecretString) -> RouterConfig {
    RouterConfig::new(Url::parse(SITE).unwrap(), signing_key, "/settings")
        .with_return("team", "https://{tenant}.team.example/apps")
        .with_allowed_return("/pages/*")
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with(|config| config).await
    }

    pub(crate) async fn with(set: impl FnOnce(RouterConfig) -> RouterConfig) -> Self {
        trace::init();
        let clock = ManualClock::new(Timestamp::parse("2026-11-20T12:00:00Z").unwrap());
        let description = acme();
        let redirect = format!("{SITE}/v1/callback/acme");
        let sim = Authority::of(&description)
            .with_mark(canary("acme"))
            .with_account(Account::new("1").with_label("First"))
            .with_account(Account::new("2").with_label("Second"))
            .with_redirect_uri(redirect.parse().unwrap())
            .with_access_lifetime(Duration::from_secs(3600))
            .start(clock.clone())
            .await
            .unwrap();
        let apps =
            FixedApps::new().with(description.provider.clone(), AppKey::default(), sim.app());
        let client = connector_http::HttpClient::builder().with_clock(Arc::new(clock.clone()));
        let overrides = sim.server().overrides().into_iter();
        let client = overrides.fold(client, connector_http::HttpClientBuilder::with_loopback);
        let client = client.build().unwrap();
        let store = MemoryStore::new(Arc::new(clock.clone()));
        let failing = Arc::new(Mutex::new(""));
        let points = {
            let failing = Arc::clone(&failing);
            KillPoints::deciding(move |point| {
                let is_chosen =
                    point.side == Side::Before && point.operation == *failing.lock().unwrap();
                is_chosen.then_some(Action::Fail)
            })
        };
        let hub = Hub::builder()
            .store(points.wrap(Arc::new(store.clone())))
            .cipher(Keyring::parse(&canary_key()).unwrap())
            .transport(client)
            .clock(clock.clone())
            .apps(apps)
            .connector(GenericConnector::new(description).unwrap())
            .build()
            .unwrap();
        let keys = Keys::default();
        let config = set(config(signing_key()));
        let router = router(&hub, keys.clone(), config.clone())
            .await
            .unwrap()
            .merge_tokens(&hub, &keys, config)
            .await;
        let ann = keys.add("t1", "ann", ALL);
        Self {
            clock,
            sim,
            store,
            failing,
            hub,
            keys,
            router,
            ann,
        }
    }

    /// Sends a request to the router, which is mounted at `/connect`.
    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        Answer::read(self.router.clone().oneshot(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> Answer {
        self.send(request("GET", path, key, Body::empty())).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> Answer {
        let mut request = request("POST", path, key, Body::from(body.to_string()));
        let json = "application/json".parse().unwrap();
        request.headers_mut().insert(CONTENT_TYPE, json);
        self.send(request).await
    }

    /// Starts a flow, and returns the authorization URL and the cookie.
    pub(crate) async fn begin(&self, key: &str, body: &Value) -> (Url, String) {
        let answer = self.post("/v1/connectors/acme/connect", key, body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let url = answer.json()["authorization_url"]
            .as_str()
            .unwrap()
            .to_owned();
        (Url::parse(&url).unwrap(), answer.cookie())
    }

    /// Loads the callback page in a browser with the cookie.
    pub(crate) async fn load(&self, callback: &Url, key: &str, cookie: &str) -> Answer {
        let path = callback.as_str().strip_prefix(SITE).unwrap();
        let mut request = request("GET", path, key, Body::empty());
        if !cookie.is_empty() {
            request
                .headers_mut()
                .insert(COOKIE, cookie.parse().unwrap());
        }
        self.send(request).await
    }

    /// Connects an account through the router.
    pub(crate) async fn connect(&self, key: &str, account: &str) -> ConnectionId {
        self.sim.sign_in(account).unwrap();
        let (url, cookie) = self.begin(key, &json!({})).await;
        let callback = self.sim.visit(&url, &Consent::Grant).unwrap();
        let answer = self.load(&callback, key, &cookie).await;
        answer.result()["connection"].parse().unwrap()
    }

    pub(crate) fn key(tenant: &str, id: ConnectionId) -> ConnectionKey {
        ConnectionKey::new(TenantId::new(tenant).unwrap(), id)
    }
}

trait MergeTokens {
    async fn merge_tokens(self, hub: &Hub, keys: &Keys, config: RouterConfig) -> Router;
}

impl MergeTokens for Router {
    /// Merges the token router, and mounts both below a path.
    async fn merge_tokens(self, hub: &Hub, keys: &Keys, config: RouterConfig) -> Router {
        let tokens = token_router(hub, keys.clone(), config).await.unwrap();
        Router::new().nest("/connect", self.merge(tokens))
    }
}

pub(crate) fn request(method: &str, path: &str, key: &str, body: Body) -> Request<Body> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("/connect{path}"))
        .body(body)
        .unwrap();
    if !key.is_empty() {
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert(AUTHORIZATION, value);
    }
    request
}

/// A response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn read(response: axum::response::Response) -> Self {
        let (parts, body) = response.into_parts();
        let bytes: Bytes = body.collect().await.unwrap().to_bytes();
        Self {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(bytes.to_vec()).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|_| panic!("{} is not JSON: {:?}", self.status, self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |it| it.to_str().unwrap())
    }

    /// Returns the code of a problem.
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            "application/problem+json",
            "{}",
            self.text
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        assert!(!problem["action"].as_str().unwrap().is_empty());
        assert_eq!(problem["request_id"], self.header("x-request-id"));
        problem["code"].as_str().unwrap().to_owned()
    }

    /// Returns the binding cookie that the response sets, as the browser sends it back.
    pub(crate) fn cookie(&self) -> String {
        let line = self.headers[SET_COOKIE].to_str().unwrap();
        line.split(';').next().unwrap().to_owned()
    }

    pub(crate) fn location(&self) -> Url {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.text);
        Url::parse(self.headers[LOCATION].to_str().unwrap()).unwrap()
    }

    /// Returns the parameters that a callback added to the return address.
    pub(crate) fn result(&self) -> BTreeMap<String, String> {
        self.location().query_pairs().into_owned().collect()
    }
}
