//! The Workflow API: the Zaps of a user who connected Zapier by OAuth, and their runs.
//!
//! A connector of its own, because its credential is a token and not an address. Zapier gives
//! credentials only to integrations in its public directory; see
//! [Zapier docs: User access tokens](https://docs.zapier.com/powered-by-zapier/authentication/methods/user-access-token).

use std::net::SocketAddr;
use std::sync::Arc;

use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::clock::Timestamp;
use connector_core::http::limit::{HeaderRule, Limit, Per};
use connector_core::http::{LoopbackOverride, Origin};
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

/// The origins of the API and of the token endpoint.
const ORIGINS: [&str; 2] = ["https://api.zapier.com", "https://zapier.com"];
/// The requests of one IP address in a minute. See
/// [Zapier docs: Rate limiting](https://docs.zapier.com/powered-by-zapier/api-reference/rate-limiting).
const REQUESTS_PER_MINUTE: u32 = 60;
/// The requests of one partner in a minute, from all its addresses.
const MOST_PER_MINUTE: u32 = 150;
/// The most results on a page.
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

/// The headers that report the state of the limit.
const LEARN: &str = r#"{
    "limit": "x-ratelimit-limit",
    "remaining": "x-ratelimit-remaining",
    "reset": { "header": "x-ratelimit-reset", "format": "seconds_or_unix_seconds" }
}"#;

/// See [Zapier docs: Responses](https://docs.zapier.com/powered-by-zapier/api-reference/common-types/responses).
const ERRORS: ErrorTable = ErrorTable::new(&[
    ErrorRule::status(
        409,
        ErrorKind::Conflict,
        "another change got in between; read the Zap again, then repeat the call",
    ),
    ErrorRule::code(
        "throttled",
        ErrorKind::RateLimited,
        "Zapier limits the requests of this address; wait a minute",
    ),
    ErrorRule::code(
        "system_throttled",
        ErrorKind::RateLimited,
        "Zapier limits requests at the moment; wait a minute",
    ),
])
.with_codes(&[CodeAt::Pointer("/errors/0/code"), CodeAt::Pointer("/error")]);

/// Every setting that [`WorkflowConfig::from_env`] reads.
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
        "redirect URI as it is registered",
    )
    .required(),
    Variable::new("ZAPIER_SCOPES", Setting::Scopes, "scopes to ask for"),
    Variable::new(
        "ZAPIER_WORKFLOW_BASE_URL",
        Setting::BaseUrl,
        "a simulator on this machine, as `http://127.0.0.1:4010`",
    ),
];

/// The settings of [`ZapierWorkflow`].
#[derive(Debug, Clone)]
#[must_use]
pub struct WorkflowConfig {
    app: Option<App>,
    loopbacks: Vec<LoopbackOverride>,
    requests_per_minute: u32,
}

impl WorkflowConfig {
    /// Settings with this registration.
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

    /// Reads [`VARIABLES`] from the environment.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] names the variable that is missing or malformed, never its value.
    pub fn from_env() -> Result<Self> {
        Self::of(AppSettings::from_env(VARIABLES))
    }

    /// Reads [`VARIABLES`] from where the application keeps them. `lookup` returns the value of a
    /// name, or nothing.
    ///
    /// # Errors
    /// As for [`WorkflowConfig::from_env`], and those of `lookup`.
    pub fn from_variables(
        lookup: impl Fn(&'static str) -> Result<Option<SecretString>>,
    ) -> Result<Self> {
        Self::of(AppSettings::read(VARIABLES, lookup))
    }

    fn of(settings: Result<AppSettings>) -> Result<Self> {
        let ours = |error: Error| error.with_provider(ZapierWorkflow::ID.as_str().to_owned());
        let settings = settings.map_err(ours)?;
        let config = Self {
            app: settings.checked_app(VARIABLES).map_err(ours)?,
            ..Self::default()
        };
        match settings.base_url {
            Some(url) => config.with_simulator(url.address),
            None => Ok(config),
        }
    }

    /// Sets the number of requests in a minute, from 1 to 150, that this process sends for all
    /// connections together. Default: 60, which is what Zapier allows one IP address. Divide it by the
    /// number of processes that share an address.
    pub fn with_requests_per_minute(mut self, requests: u32) -> Self {
        self.requests_per_minute = requests.clamp(1, MOST_PER_MINUTE);
        self
    }

    /// Reaches Zapier at a simulator on this machine.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if `address` is not a loopback address.
    pub fn with_simulator(mut self, address: SocketAddr) -> Result<Self> {
        self.loopbacks = ORIGINS
            .into_iter()
            .map(|origin| LoopbackOverride::new(Origin::parse(origin)?, address))
            .collect::<Result<_>>()?;
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

/// Zapier's Workflow API: Zapier users as accounts.
#[derive(Debug, Clone)]
pub struct ZapierWorkflow {
    description: Description,
    apps: Option<Arc<dyn AppSource>>,
    loopbacks: Vec<LoopbackOverride>,
}

impl ZapierWorkflow {
    /// The provider's name.
    pub const ID: ProviderId = ProviderId::from_static("zapier-workflow");

    /// The connector with these settings.
    #[must_use]
    pub fn new(config: WorkflowConfig) -> Self {
        // The constants are valid, as a test shows.
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
    /// The Workflow API for one Zapier user.
    pub struct WorkflowClient for ZapierWorkflow::ID;
}

/// A Zapier user.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Profile {
    /// The id.
    pub id: u64,
    /// The email address.
    #[serde(default)]
    pub email: Option<String>,
    /// The full name.
    #[serde(default)]
    pub full_name: Option<String>,
    /// The time zone, for example `Europe/Berlin`.
    #[serde(default)]
    pub timezone: Option<String>,
}

/// A Zap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct Zap {
    /// The id, a UUID.
    pub id: String,
    /// The title.
    #[serde(default)]
    pub title: Option<String>,
    /// True if the Zap is on.
    #[serde(default)]
    pub is_enabled: bool,
    /// The time of the last run that succeeded, as Zapier writes it.
    #[serde(default)]
    pub last_successful_run_date: Option<String>,
    /// The time of the last change, as Zapier writes it.
    #[serde(default)]
    pub updated_at: Option<String>,
    /// Addresses of the Zap.
    #[serde(default)]
    pub links: ZapLinks,
}

/// The addresses of a Zap.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ZapLinks {
    /// The editor of the Zap, for its owner's browser.
    #[serde(default)]
    pub html_editor: Option<String>,
}

/// A run of a Zap.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[non_exhaustive]
pub struct ZapRun {
    /// The id.
    pub id: String,
    /// The number of the Zap. It is not the id of [`Zap`].
    #[serde(default)]
    pub zap_id: Option<u64>,
    /// The title of the Zap.
    #[serde(default)]
    pub zap_title: Option<String>,
    /// The status, as Zapier names it.
    #[serde(default)]
    pub status: Option<String>,
    /// The time at which the run began, as Zapier writes it.
    #[serde(default)]
    pub start_time: Option<String>,
    /// The time at which the run ended, as Zapier writes it.
    #[serde(default)]
    pub end_time: Option<String>,
}

/// The user of the access token.
#[derive(Debug, Clone, Copy, Default)]
#[must_use]
pub struct GetProfile;

impl GetProfile {
    /// The operation.
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

/// Defines a listing of version 2.
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
            /// All of them.
            pub fn new() -> Self {
                Self::default()
            }

            /// Sets the number of results on a page: 1 to 100. Default: 100.
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
                let message = "a page has 1 to 100 results; set another page size";
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
    /// The Zaps of the user: those with a step of the integration, or with the scope `zap:all` all of
    /// them.
    ///
    /// See [Zapier docs: Retrieving a list of Zap workflows](https://docs.zapier.com/powered-by-zapier/zap-creation/retrieving-a-list-of-zap-workflows).
    ListZaps of Zap, "zaps", &["zap zap:all zap:account:all"]
}

impl ListZaps {
    /// Adds the Zaps that others share with the user. Needs the scope `zap:account:all`.
    pub fn with_shared(mut self) -> Self {
        self.query.push(("include_shared", "true".to_owned()));
        self
    }
}

listing! {
    /// The runs of the user's Zaps.
    ///
    /// See [Zapier docs: API reference](https://docs.zapier.com/api-reference).
    ListZapRuns of ZapRun, "zap-runs", &["zap:runs"]
}

impl ListZapRuns {
    /// Only the runs of this Zap, by its number.
    pub fn of_zap(mut self, zap: u64) -> Self {
        self.query.push(("zap_id", zap.to_string()));
        self
    }

    /// Only runs since this time.
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

/// Reads a page. The next one is found by its offset: the link to it is never followed, so that it
/// cannot lead to another host.
fn page<T: DeserializeOwned>(response: &Response) -> Result<Page<T>> {
    let list: List<T> = response.json()?;
    if list.links.next.is_none() {
        return Ok(Page::new(list.data, None));
    }
    let next = list.meta.offset.map(|it| it + list.data.len() as u64);
    match next {
        Some(next) if !list.data.is_empty() => Ok(Page::new(
            list.data,
            Some(PageCursor::new(next.to_string())),
        )),
        _ => Err(response.error(
            ErrorKind::UnexpectedAnswer,
            "the list has more results and does not say where they begin; repeat the call, and \
             report it",
        )),
    }
}
