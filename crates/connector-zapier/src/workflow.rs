//! The Workflow API: Zaps and Zap runs of a user who connected Zapier with OAuth.
//!
//! The Workflow API has a separate connector, because its credential is a token instead of an address.
//! Zapier issues client credentials only to integrations in its public directory; see
//! [Zapier docs: User access tokens](https://docs.zapier.com/powered-by-zapier/authentication/methods/user-access-token).

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::clock::Timestamp;
use connector_core::http::LoopbackOverride;
use connector_core::http::limit::{HeaderRule, Limit, Per};
use connector_core::provider::config::{AppSettings, Setting, Variable};
use connector_core::provider::{
    Classifier, CodeAt, Connector, Description, Endpoint, ErrorRule, ErrorTable, PagedEndpoint,
};
use connector_core::{
    App, AppKey, AppSource, Error, ErrorKind, FixedApps, ProviderId, RedirectUri, Result,
};
use secrecy::SecretString;
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// Origins of the API and of the token endpoint.
const ORIGINS: [&str; 2] = ["https://api.zapier.com", "https://zapier.com"];
/// Maximum number of requests per IP address and minute. See
/// [Zapier docs: Rate limiting](https://docs.zapier.com/powered-by-zapier/api-reference/rate-limiting).
const REQUESTS_PER_MINUTE: u32 = 60;
/// Maximum number of requests per partner and minute, from all IP addresses together.
const MAX_PER_MINUTE: u32 = 150;
/// Maximum number of results per page.
const PAGE: u32 = 100;

const DESCRIPTION: &str = r#"{
    "provider": "zapier-workflow",
    "name": "Zapier Workflow API",
    "api": ["https://api.zapier.com"],
    "authorization": {
        "endpoint": "https://api.zapier.com/v2/authorize",
        "pkce": "refused",
        "parameters": { "response_mode": "query" },
        "flow_parameters": ["sign_up_email", "sign_up_first_name", "sign_up_last_name", "referer"]
    },
    "token": { "endpoint": "https://zapier.com/oauth/token/" },
    "identity": {
        "endpoint": "https://api.zapier.com/v1/profiles/me",
        "account": "/id",
        "label": "/email",
        "metadata": { "full_name": "/full_name", "timezone": "/timezone" }
    },
    "scopes": { "default": ["profile", "zap", "zap:runs"], "required": ["profile"] },
    "lifetimes": { "unstated": { "assume": 36000 }, "refresh_ahead_seconds": 300 },
    "rotation": "strict"
}"#;

/// Response headers with the state of the rate limit.
const LEARN: &str = r#"{
    "limit": "x-ratelimit-limit",
    "remaining": "x-ratelimit-remaining",
    "reset": { "header": "x-ratelimit-reset", "format": "seconds_or_unix_seconds" }
}"#;

/// The error table. See [Zapier docs: Responses](https://docs.zapier.com/powered-by-zapier/api-reference/common-types/responses).
const ERRORS: ErrorTable = ErrorTable::new(&[
    ErrorRule::status(
        409,
        ErrorKind::Conflict,
        "another change was made in the meantime; read the Zap again, then retry the call",
    ),
    ErrorRule::code(
        "throttled",
        ErrorKind::RateLimited,
        "this IP address has reached Zapier's rate limit; retry after a minute",
    ),
    ErrorRule::code(
        "system_throttled",
        ErrorKind::RateLimited,
        "Zapier currently limits all requests; retry after a minute",
    ),
])
.with_codes(&[CodeAt::Pointer("/errors/0/code"), CodeAt::Pointer("/error")]);

/// All variables that [`WorkflowConfig::from_env`] reads.
pub const VARIABLES: &[Variable] = &[
    Variable::new(
        "ZAPIER_CLIENT_ID",
        Setting::ClientId,
        "client ID of the published integration",
    )
    .required(),
    Variable::new(
        "ZAPIER_CLIENT_SECRET",
        Setting::ClientSecret,
        "client secret of the published integration",
    )
    .required(),
    Variable::new(
        "ZAPIER_REDIRECT_URI",
        Setting::RedirectUri,
        "registered redirect URI",
    )
    .required(),
    Variable::new("ZAPIER_SCOPES", Setting::Scopes, "scopes to request"),
    Variable::new(
        "ZAPIER_WORKFLOW_BASE_URL",
        Setting::BaseUrl,
        "URL of a local simulator, for example `http://127.0.0.1:4010`",
    ),
];

/// Settings of [`ZapierWorkflow`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WorkflowConfig {
    app: Option<App>,
    loopbacks: Vec<LoopbackOverride>,
    requests_per_minute: u32,
}

connector_core::provider::provider_config! {
    WorkflowConfig for ZapierWorkflow::ID, read from VARIABLES
}

impl WorkflowConfig {
    /// Creates settings with this app registration.
    pub fn new(
        client_id: impl Into<String>,
        client_secret: SecretString,
        redirect_uri: RedirectUri,
    ) -> Self {
        let app = App::new(client_id).with_client_secret(client_secret);
        Self {
            app: Some(app.with_redirect_uri(redirect_uri)),
            ..Self::default()
        }
    }

    fn of(settings: AppSettings) -> Result<Self> {
        let config = Self {
            app: settings.checked_app(VARIABLES)?,
            ..Self::default()
        };
        match settings.base_url {
            Some(url) => config.with_simulator(url.address),
            None => Ok(config),
        }
    }

    /// Sets the maximum number of requests per minute that this process sends for all connections
    /// together, from 1 to 150. Default: 60, Zapier's limit per IP address. If several processes share an
    /// IP address, divide the limit by the number of processes.
    pub fn with_requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = requests.clamp(1, MAX_PER_MINUTE);
        self
    }

    /// Sends requests to a local simulator instead of Zapier.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if `address` is not a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Result<Self> {
        self.loopbacks = LoopbackOverride::for_origins(ORIGINS, Some(address))?;
        Ok(self)
    }
}

impl Default for WorkflowConfig {
    fn default() -> Self {
        Self {
            app: None,
            loopbacks: Vec::new(),
            requests_per_minute: REQUESTS_PER_MINUTE,
        }
    }
}

/// The connector for Zapier's Workflow API. Each account is a Zapier user.
#[derive(Debug, Clone)]
pub struct ZapierWorkflow {
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
    loopbacks: Vec<LoopbackOverride>,
}

impl ZapierWorkflow {
    /// Provider id.
    pub const ID: ProviderId = ProviderId::from_static("zapier-workflow");

    /// Creates a connector with these settings.
    #[must_use]
    pub fn new(config: WorkflowConfig) -> Self {
        // A test checks that the constants are valid.
        let read = serde_json::from_str(DESCRIPTION);
        let mut description =
            read.unwrap_or_else(|_| Description::new(Self::ID, "Zapier Workflow API"));
        let learn: HeaderRule = serde_json::from_str(LEARN).unwrap_or_default();
        let limit = Limit::window("ip", Per::App, config.requests_per_minute, 60);
        description.limits = vec![limit.with_learn(learn).with_penalty_seconds(60)];
        Self {
            description,
            apps: config.app.map(|app| -> Arc<dyn AppSource> {
                Arc::new(FixedApps::new().with(Self::ID, AppKey::default(), app))
            }),
            loopbacks: config.loopbacks,
        }
    }
}

impl Connector for ZapierWorkflow {
    fn description(&self) -> &Description {
        &self.description
    }

    fn app_source(&self) -> Option<Arc<dyn AppSource>> {
        self.apps.clone()
    }

    fn loopback_overrides(&self) -> Vec<LoopbackOverride> {
        self.loopbacks.clone()
    }

    fn classifier(&self) -> Arc<dyn Classifier> {
        Arc::new(ERRORS)
    }
}

connector_core::provider::provider_client! {
    /// A client for the Workflow API, for one Zapier user.
    pub struct WorkflowClient for ZapierWorkflow::ID;
}

/// A Zapier user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// ID of the user.
    pub id: u64,
    /// E-mail address.
    #[serde(default)]
    pub email: Option<String>,
    /// Full name.
    #[serde(default)]
    pub full_name: Option<String>,
    /// Time zone (IANA name), for example `Europe/Berlin`.
    #[serde(default)]
    pub timezone: Option<String>,
}

/// A Zap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Zap {
    /// ID of the Zap, a UUID.
    pub id: String,
    /// Title.
    #[serde(default)]
    pub title: Option<String>,
    /// True if the Zap is on.
    #[serde(default)]
    pub is_enabled: bool,
    /// Time of the last successful run, in Zapier's format.
    #[serde(default)]
    pub last_successful_run_date: Option<String>,
    /// Time of the last change, in Zapier's format.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// URLs of the Zap.
    #[serde(default)]
    pub links: ZapLinks,
}

/// URLs of a Zap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ZapLinks {
    /// URL of the Zap's editor, for the owner's browser.
    #[serde(default)]
    pub html_editor: Option<String>,
}

/// A run of a Zap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ZapRun {
    /// ID of the run.
    pub id: String,
    /// Number of the Zap. This number differs from [`Zap::id`].
    #[serde(default)]
    pub zap_id: Option<u64>,
    /// Title of the Zap.
    #[serde(default)]
    pub zap_title: Option<String>,
    /// Status, in Zapier's terms.
    #[serde(default)]
    pub status: Option<String>,
    /// Start of the run, in Zapier's format.
    #[serde(default)]
    pub start_time: Option<String>,
    /// End of the run, in Zapier's format.
    #[serde(default)]
    pub end_time: Option<String>,
}

/// Reads the user of the access token.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct GetProfile;

impl GetProfile {
    /// Creates the operation.
    pub const fn new() -> Self {
        Self
    }
}

impl Endpoint for GetProfile {
    type Client = WorkflowClient;
    type Output = Profile;
    const NAME: &'static str = "GetProfile";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["profile"];

    fn request(&self) -> Result<Request> {
        Request::get(["v1", "profiles", "me"])
    }

    fn decode(&self, response: &mut Response) -> Result<Profile> {
        response.json()
    }
}

/// Defines a paged list operation of version 2 of the API.
macro_rules! listing {
    ($(#[$doc:meta])* $name:ident of $item:ty, $path:literal, $scopes:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default)]
        #[must_use]
        pub struct $name {
            query: Vec<(&'static str, String)>,
            page_size: Option<u32>,
            offset: Option<PageCursor>,
        }

        impl $name {
            /// Lists all results.
            pub fn new() -> Self {
                Self::default()
            }

            /// Sets the number of results per page: 1 to 100. Default: 100.
            pub const fn with_page_size(mut self, size: u32) -> Self {
                self.page_size = Some(size);
                self
            }
        }

        impl Endpoint for $name {
            type Client = WorkflowClient;
            type Output = Page<$item>;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: Idempotency = Idempotency::Safe;
            const SCOPES: &'static [&'static str] = $scopes;

            fn validate(&self) -> Result<()> {
                if self.page_size.is_none_or(|it| (1..=PAGE).contains(&it)) {
                    return Ok(());
                }
                let message = "the page size must be 1 to 100; set another page size";
                Err(Error::new(ErrorKind::InvalidInput, Self::NAME, message))
            }

            fn request(&self) -> Result<Request> {
                let size = self.page_size.unwrap_or(PAGE).to_string();
                let mut request = Request::get(["v2", $path])?.query("limit", &size);
                if let Some(offset) = &self.offset {
                    request = request.query("offset", offset.as_str());
                }
                let query = self.query.iter();
                Ok(query.fold(request, |it, (name, value)| it.query(name, value)))
            }

            fn decode(&self, response: &mut Response) -> Result<Page<$item>> {
                page(response)
            }
        }

        impl PagedEndpoint for $name {
            type Item = $item;

            fn at(&self, cursor: &PageCursor) -> Self {
                Self { offset: Some(cursor.clone()), ..self.clone() }
            }
        }
    };
}

listing! {
    /// Lists the user's Zaps that have a step of the integration. With the scope `zap:all`, lists all Zaps
    /// of the user.
    ///
    /// See [Zapier docs: Retrieving a list of Zap workflows](https://docs.zapier.com/powered-by-zapier/zap-creation/retrieving-a-list-of-zap-workflows).
    ListZaps of Zap, "zaps", &["zap zap:all zap:account:all"]
}

impl ListZaps {
    /// Also lists the Zaps that other users share with the user. Requires the scope `zap:account:all`.
    pub fn with_shared(mut self) -> Self {
        self.query.push(("include_shared", "true".to_owned()));
        self
    }
}

listing! {
    /// Lists the runs of the user's Zaps.
    ///
    /// See [Zapier docs: API reference](https://docs.zapier.com/api-reference).
    ListZapRuns of ZapRun, "zap-runs", &["zap:runs"]
}

impl ListZapRuns {
    /// Returns only runs of the Zap with this number; see [`ZapRun::zap_id`].
    pub fn of_zap(mut self, zap: u64) -> Self {
        self.query.push(("zap_id", zap.to_string()));
        self
    }

    /// Returns only runs since this time.
    pub fn since(mut self, from: Timestamp) -> Self {
        self.query.push(("from_date", from.to_string()));
        self
    }
}

#[derive(Deserialize)]
struct List<T> {
    data: Vec<T>,
    #[serde(default)]
    links: Links,
    #[serde(default)]
    meta: Meta,
}

#[derive(Default, Deserialize)]
struct Links {
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct Meta {
    offset: Option<u64>,
}

/// Decodes a page. The cursor of the next page is its offset. The link to the next page is not followed,
/// because it could lead to another host.
fn page<T: DeserializeOwned>(response: &Response) -> Result<Page<T>> {
    let list: List<T> = response.json()?;
    if list.links.next.is_none() {
        return Ok(Page::new(list.data, None));
    }
    let next = list.meta.offset;
    let next = next.and_then(|it| it.checked_add(list.data.len() as u64));
    match next {
        Some(next) if !list.data.is_empty() => Ok(Page::new(
            list.data,
            Some(PageCursor::new(next.to_string())),
        )),
        _ => Err(response.error(
            ErrorKind::UnexpectedResponse,
            "the list has more results but no usable offset; retry the call, and report this bug",
        )),
    }
}
