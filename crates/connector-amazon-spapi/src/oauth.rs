//! Login with Amazon and the two authorization workflows.
//!
//! See Amazon docs:
//! [Website authorization workflow](https://developer-docs.amazon.com/sp-api/docs/website-authorization-workflow),
//! [Appstore authorization workflow](https://developer-docs.amazon.com/sp-api/docs/selling-partner-appstore-authorization-workflow),
//! [Renew authorizations](https://developer-docs.amazon.com/sp-api/docs/renew-authorizations) and
//! [Rotate LWA credentials](https://developer-docs.amazon.com/sp-api/docs/rotating-your-apps-lwa-credentials).
//!
//! * The consent page is in the Seller Central or Vendor Central of a marketplace. It takes
//!   `application_id`, and no `response_type`, `scope` or PKCE. Permissions are the roles of the
//!   application.
//! * The code is in `spapi_oauth_code` and is valid for 5 minutes. The callback is not signed, so
//!   its `selling_partner_id` is not verified.
//! * A refresh returns the same refresh token. The authorization of a public application expires
//!   after 365 days.
//! * A client secret expires after 180 days. After a rotation, the previous secret works for 7 more
//!   days.
//! * There is no revocation endpoint.

use std::collections::BTreeMap;

use connector_core::http::{HostRule, Origin, Sent};
use connector_core::provider::description::EndpointTemplate;
use connector_core::provider::oauth::{
    self, AuthorizationRequest, CodeExchange, ExchangeClass, ExchangeError, Identity, TokenResponse,
};
use connector_core::provider::{Connector as _, Context, Description};
use connector_core::{Account, AccountKey, App, Credential, Error, ErrorKind, Result};
use secrecy::ExposeSecret;
use url::Url;

use crate::config::{APPLICATION_ID, AmazonConfig};
use crate::connector::parameter;
use crate::{AmazonSpApi, Marketplace, Region, appstore, error, limits};

const AUTHORIZE: &str = "amazon.authorization_url";
const EXCHANGE: &str = "amazon.exchange_code";

/// Metadata is read hourly, well within the usage plan of `getMarketplaceParticipations`.
const DESCRIPTION: &str = r#"{
    "provider": "amazon-spapi",
    "name": "Amazon Selling Partner API",
    "api": ["https://sellingpartnerapi-na.amazon.com"],
    "authorization": {
        "endpoint": "https://sellercentral.amazon.com/apps/authorize/consent",
        "pkce": "refused",
        "code_parameter": "spapi_oauth_code",
        "flow_parameters": [
            "marketplace", "account_type",
            "amazon_callback_uri", "amazon_state", "selling_partner_id"
        ]
    },
    "token": { "endpoint": "https://api.amazon.com/auth/o2/token", "client_authentication": "body" },
    "identity": {
        "account": "/selling_partner_id",
        "probe": "https://sellingpartnerapi-na.amazon.com/sellers/v1/marketplaceParticipations"
    },
    "lifetimes": {
        "refresh_seconds": 31536000, "refresh_ahead_seconds": 300, "notice_seconds": 2592000
    },
    "rotation": "stable",
    "refusals": [
        { "code": "access_denied", "means": "dead_grant" },
        { "code": "server_error", "means": "transient" },
        { "code": "temporarily_unavailable", "means": "transient" }
    ],
    "authentication": { "header": "x-amz-access-token" }
}"#;

/// Origin of the token endpoint, in all regions.
pub(crate) const TOKENS: &str = "https://api.amazon.com";
/// Document hosts in production.
const DOCUMENTS: &str = "*.amazonaws.com";
/// Additional document hosts in the sandbox.
const SANDBOX_DOCUMENTS: &str = "*.cloudfront.net";
/// Document hosts that the simulator serves.
pub(crate) const SIMULATED_LINKS: [&str; 2] = [
    "https://tortuga-prod-na.s3.amazonaws.com",
    "https://d34o8swod1owfl.cloudfront.net",
];

/// Builds the provider description for these settings. A test shows that the constant parses.
pub(crate) fn description(config: &AmazonConfig) -> Description {
    let read = serde_json::from_str(DESCRIPTION);
    let mut description =
        read.unwrap_or_else(|_| Description::new(AmazonSpApi::ID, "Amazon Selling Partner API"));
    let hosts = Region::ALL.map(|it| EndpointTemplate::new(it.host(config.is_sandbox)));
    description.api = hosts.to_vec();
    let agent = config.user_agent.as_str().to_owned();
    description.headers.insert("user-agent".to_owned(), agent);
    description.limits = limits::limits(config.is_sandbox);
    let links = [
        Some(DOCUMENTS),
        config.is_sandbox.then_some(SANDBOX_DOCUMENTS),
    ];
    let links = links.into_iter().flatten();
    description.links = links.filter_map(|it| HostRule::parse(it).ok()).collect();
    description
}

/// Returns the account of a selling partner in a region. It is *asserted*, because only a callback
/// or a person supplies the id.
pub(crate) fn account(region: Region, selling_partner_id: &str) -> Result<Account> {
    if !appstore::is_seller(selling_partner_id) {
        return Err(wrong(
            "the selling partner id is malformed; copy it from Seller Central, Account Info",
        ));
    }
    Ok(Account::asserted(AccountKey::new(format!(
        "{region}:{selling_partner_id}"
    ))?))
}

/// Returns the selling partner id in an account key.
pub(crate) fn selling_partner_id(key: &AccountKey) -> &str {
    key.as_str().split_once(':').map_or("", |(_, id)| id)
}

/// Builds the URL of the consent page, or of Amazon's confirmation page for a flow from the app
/// store.
pub(crate) fn authorization_url(
    config: &AmazonConfig,
    request: &AuthorizationRequest<'_>,
) -> Result<Url> {
    let app = request.app;
    let missing = |message| Err(Error::new(ErrorKind::Configuration, AUTHORIZE, message));
    let Some(application_id) = app.extra(APPLICATION_ID).map(ExposeSecret::expose_secret) else {
        return missing("the app has no application id; set AMAZON_SP_APP_ID");
    };
    let Some(redirect_uri) = app.redirect_uri() else {
        return missing("the app has no redirect URI; set AMAZON_REDIRECT_URI");
    };
    let get = |name: &str| request.parameters.get(name).map(String::as_str);
    let mut url = match (get(parameter::CALLBACK_URI), get(parameter::STATE)) {
        (Some(callback_uri), Some(amazon_state)) => {
            // The region must be known before the seller is redirected.
            region(config, request.parameters)?;
            let mut url = appstore::confirmation(application_id, callback_uri)?;
            url.query_pairs_mut()
                .append_pair("amazon_state", amazon_state);
            url
        }
        (None, None) => {
            let marketplace = marketplace(config, request.parameters)?;
            let central = match get(parameter::ACCOUNT_TYPE) {
                None | Some("seller") => marketplace.seller_central(),
                Some("vendor") => marketplace.vendor_central().ok_or_else(|| {
                    wrong("the marketplace has no known Vendor Central; choose another marketplace")
                })?,
                Some(_) => return Err(wrong("`account_type` is `seller` or `vendor`")),
            };
            let page = format!("{central}/apps/authorize/consent");
            let mut url = Url::parse(&page).map_err(|_| wrong("the marketplace has no page"))?;
            url.query_pairs_mut()
                .append_pair("application_id", application_id);
            url
        }
        _ => {
            return Err(wrong(
                "a flow from the app store needs all of `AppstoreLogin::parameters`; pass each one",
            ));
        }
    };
    let mut query = url.query_pairs_mut();
    query
        .append_pair("state", request.state.expose_secret())
        .append_pair("redirect_uri", redirect_uri.as_str());
    if config.is_draft {
        query.append_pair("version", "beta");
    }
    drop(query);
    Ok(url)
}

fn marketplace(config: &AmazonConfig, flow: &BTreeMap<String, String>) -> Result<Marketplace> {
    match (flow.get(parameter::MARKETPLACE), config.marketplace) {
        (Some(text), _) => text.parse(),
        (None, Some(marketplace)) => Ok(marketplace),
        (None, None) => Err(wrong(
            "the flow has no marketplace; set its parameter `marketplace`, for example to `DE`",
        )),
    }
}

/// Returns the region of a flow: the region of its marketplace, else of the confirmation page's
/// host, else of the default marketplace.
fn region(config: &AmazonConfig, flow: &BTreeMap<String, String>) -> Result<Region> {
    let page = flow.get(parameter::CALLBACK_URI);
    let page = page.and_then(|it| appstore::region(&Url::parse(it).ok()?));
    match page {
        Some(region) if !flow.contains_key(parameter::MARKETPLACE) => Ok(region),
        _ => marketplace(config, flow).map(Marketplace::region),
    }
}

/// Exchanges a code, after comparing the callback's selling partner id with that of the flow.
pub(crate) async fn exchange_code(
    amazon: &AmazonSpApi,
    cx: &Context<'_>,
    exchange: &CodeExchange<'_>,
) -> Result<TokenResponse, ExchangeError> {
    let unsent =
        |error: Error| ExchangeError::new(ExchangeClass::Malformed, Sent::No, error::ours(error));
    let (origin, account) = asserted(amazon, exchange).map_err(unsent)?;
    let answer = Sending::Exchange(exchange)
        .with_either_secret(amazon, cx)
        .await?;
    Ok(answer
        .with_origin(origin)
        .with_identity(Identity::new(account)))
}

/// Returns the region's origin and the account that a callback asserts.
fn asserted(amazon: &AmazonSpApi, exchange: &CodeExchange<'_>) -> Result<(Origin, Account)> {
    let refused = |message| Error::new(ErrorKind::CallbackRefused, EXCHANGE, message);
    let mut sellers = exchange
        .callback
        .into_iter()
        .flat_map(|it| it.all(parameter::SELLER));
    let (Some(seller), None) = (sellers.next(), sellers.next()) else {
        return Err(refused(
            "the callback must have exactly one selling partner id; connect again",
        ));
    };
    let expected = exchange.parameters.get(parameter::SELLER);
    if expected.is_some_and(|it| it != seller) {
        return Err(refused(
            "the selling partner of the callback is not that of the flow; connect again",
        ));
    }
    if !appstore::is_seller(seller) {
        return Err(refused(
            "the selling partner id of the callback is malformed; connect again",
        ));
    }
    let region = region(&amazon.config, exchange.parameters)?;
    let origin = Origin::parse(region.host(amazon.config.is_sandbox))?;
    Ok((origin, account(region, seller)?))
}

/// Refreshes a credential. The refresh token does not change.
pub(crate) async fn refresh(
    amazon: &AmazonSpApi,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<TokenResponse, ExchangeError> {
    Sending::Refresh(credential)
        .with_either_secret(amazon, cx)
        .await
}

/// Requests a token for the application itself.
pub(crate) async fn app_token(
    amazon: &AmazonSpApi,
    cx: &Context<'_>,
    scopes: &[String],
) -> Result<TokenResponse, ExchangeError> {
    Sending::App(scopes).with_either_secret(amazon, cx).await
}

/// A token request.
#[derive(Clone, Copy)]
enum Sending<'a> {
    Exchange(&'a CodeExchange<'a>),
    Refresh(&'a Credential),
    App(&'a [String]),
}

impl Sending<'_> {
    /// Sends the request with the app's first secret, and again with the second one if Amazon
    /// rejects the first. Both are valid during a rotation.
    async fn with_either_secret(
        self,
        amazon: &AmazonSpApi,
        cx: &Context<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let refused = match self.send(amazon, cx).await {
            Err(error) if is_secret_refused(&error) => error,
            other => return other,
        };
        let Some(second) = cx.app.client_secrets().get(1) else {
            return Err(explained(cx, &refused));
        };
        let mut app = App::new(cx.app.client_id()).with_client_secret(second.clone());
        if let Some(redirect_uri) = cx.app.redirect_uri() {
            app = app.with_redirect_uri(redirect_uri.clone());
        }
        let second = Context::new(&app, cx.transport, cx.clock);
        match self.send(amazon, &second).await {
            Err(error) if is_secret_refused(&error) => Err(explained(cx, &error)),
            other => other,
        }
    }

    async fn send(
        self,
        amazon: &AmazonSpApi,
        cx: &Context<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        match self {
            Self::Exchange(exchange) => {
                oauth::exchange_code(amazon.description(), cx, exchange).await
            }
            Self::Refresh(credential) => oauth::refresh(amazon.description(), cx, credential).await,
            Self::App(scopes) => {
                oauth::client_credentials(amazon.description(), cx, None, scopes).await
            }
        }
    }
}

fn is_secret_refused(error: &ExchangeError) -> bool {
    matches!(error.class(), ExchangeClass::AppFault { .. })
        && error.code() == Some("invalid_client")
}

/// Converts the rejection of a client secret into an error with advice.
fn explained(cx: &Context<'_>, refused: &ExchangeError) -> ExchangeError {
    let message = format!(
        "client id {}: {}",
        cx.app.client_id(),
        error::SECRET_EXPIRED
    );
    let error = Error::new(ErrorKind::AppMisconfigured, "amazon.token", message);
    ExchangeError::new(refused.class(), refused.sent(), error::ours(error))
        .with_code("invalid_client")
}

fn wrong(message: &'static str) -> Error {
    error::ours(Error::new(ErrorKind::InvalidInput, AUTHORIZE, message))
}
