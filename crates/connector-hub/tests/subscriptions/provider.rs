//! Four providers with different rules for channels, and a connector for each.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::api::{Idempotency, Request};
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::subscription::{
    CatchUp, Channel, ChannelRenewal, CreatedChannel, ListedChannel, NewChannel, RenewOutcome,
    SecretSource, SubscriptionContext, SubscriptionPlan, Subscriptions, Watch,
};
use connector_core::provider::{Connector, Description};
use connector_core::webhook::Event;
use connector_core::{AppKey, Error, ErrorKind, ProviderId, Result};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use super::Numbers;

pub(crate) const DAY: Duration = Duration::from_secs(86_400);
/// Number of consecutive failed notifications after which the provider disables a channel.
const PATIENCE: u32 = 13;
/// Number of changes per page.
const PAGE: usize = 20;

/// The rules of one provider.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    pub(crate) provider: ProviderId,
    pub(crate) plan: SubscriptionPlan,
    /// Lifetime of a channel.
    life: Duration,
    /// True if channels can be listed.
    lists: bool,
    /// True if the provider generates the secrets.
    chooses_secrets: bool,
    /// True if the provider refuses a second channel for one watch.
    one_per_watch: bool,
}

pub(crate) fn all_rules() -> [Rules; 4] {
    let channel = SubscriptionPlan::channel;
    let (extend, replace) = (ChannelRenewal::Extend, ChannelRenewal::Replace);
    let week = DAY * 7;
    let rules = |name, plan, life| Rules {
        provider: ProviderId::from_static(name),
        plan,
        life,
        lists: true,
        chooses_secrets: false,
        one_per_watch: false,
    };
    [
        Rules {
            chooses_secrets: true,
            ..rules(
                "table",
                channel(Some(week), extend, SecretSource::Provider),
                week,
            )
        },
        Rules {
            lists: false,
            ..rules(
                "drive",
                channel(Some(week), replace, SecretSource::Hub),
                week,
            )
        },
        Rules {
            one_per_watch: true,
            ..rules(
                "mail",
                channel(Some(DAY * 3), extend, SecretSource::Hub),
                DAY * 3,
            )
        },
        rules(
            "feed",
            SubscriptionPlan::poll(Duration::from_secs(15 * 60)),
            week,
        ),
    ]
}

/// A channel at a provider.
#[derive(Debug, Clone)]
pub(crate) struct Live {
    pub(crate) provider: ProviderId,
    pub(crate) account: String,
    pub(crate) watch: String,
    pub(crate) url: String,
    pub(crate) secret: String,
    pub(crate) expires_at: Timestamp,
    pub(crate) enabled: bool,
    pub(crate) failures: u32,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) channels: BTreeMap<String, Live>,
    /// Number of changes per provider and account.
    pub(crate) changes: BTreeMap<(ProviderId, String), usize>,
    pub(crate) down: bool,
    pub(crate) created: usize,
    pub(crate) renewed: usize,
    pub(crate) ended: usize,
    pub(crate) lost_responses: usize,
    pub(crate) refused_while_down: usize,
    pub(crate) reads: usize,
    /// One response in this many is lost; 0 for none.
    pub(crate) loses: u64,
    /// True if only responses to writes are lost.
    pub(crate) answers_reads: bool,
    number: usize,
}

/// All providers, behind one transport.
#[derive(Debug, Clone)]
pub(crate) struct Providers {
    clock: ManualClock,
    state: Arc<Mutex<State>>,
    random: Arc<Mutex<Numbers>>,
    rules: Arc<BTreeMap<ProviderId, Rules>>,
}

impl Providers {
    pub(crate) fn new(clock: ManualClock) -> Self {
        let rules = all_rules().map(|rules| (rules.provider.clone(), rules));
        Self {
            clock,
            state: Arc::default(),
            random: Arc::new(Mutex::new(Numbers::new(7))),
            rules: Arc::new(rules.into()),
        }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Ends expired channels.
    pub(crate) fn expire(&self) {
        let now = self.clock.now();
        self.state().channels.retain(|_, it| it.expires_at > now);
    }

    /// Counts the result of a notification.
    pub(crate) fn answered(&self, resource: &str, ok: bool) {
        if let Some(channel) = self.state().channels.get_mut(resource) {
            channel.failures = if ok { 0 } else { channel.failures + 1 };
            channel.enabled &= channel.failures < PATIENCE;
        }
    }

    fn serve(&self, request: &http::Request<Bytes>) -> (u16, Value) {
        let host = request.uri().host().unwrap_or_default();
        let name = host.trim_start_matches("api.").trim_end_matches(".example");
        let rules = self.rules.get(&ProviderId::new(name).unwrap()).unwrap();
        let token = request.headers()["authorization"].to_str().unwrap();
        let Some(account) = token.strip_prefix("Bearer token-") else {
            return (401, json!({}));
        };
        let query: BTreeMap<String, String> =
            url::form_urlencoded::parse(request.uri().query().unwrap_or_default().as_bytes())
                .into_owned()
                .collect();
        let path = request.uri().path().trim_matches('/').to_owned();
        let parts: Vec<&str> = path.split('/').collect();
        let now = self.clock.now();
        let mut state = self.state();
        match (request.method().as_str(), parts.as_slice()) {
            ("GET", ["me"]) => (200, json!({ "id": account })),
            ("GET", ["changes"]) => {
                state.reads += 1;
                let key = (rules.provider.clone(), account.to_owned());
                let count = state.changes.get(&key).copied().unwrap_or(0);
                let from = query.get("cursor").map_or(count, |it| it.parse().unwrap());
                let to = count.min(from + PAGE);
                let ids: Vec<usize> = (from..to).collect();
                (
                    200,
                    json!({ "ids": ids, "cursor": to.to_string(), "more": to < count }),
                )
            }
            ("POST", ["channels"]) => {
                let body: Value = serde_json::from_slice(request.body()).unwrap();
                let text = |field: &str| body[field].as_str().unwrap().to_owned();
                let watch = text("watch");
                let same = |it: &Live| {
                    it.provider == rules.provider && it.account == account && it.watch == watch
                };
                if rules.one_per_watch && state.channels.values().any(same) {
                    return (409, json!({}));
                }
                state.created += 1;
                state.number += 1;
                let resource = format!("r{}", state.number);
                let secret = if rules.chooses_secrets {
                    format!("chosen-{}", state.number)
                } else {
                    text("secret")
                };
                let live = Live {
                    provider: rules.provider.clone(),
                    account: account.to_owned(),
                    watch,
                    url: text("url"),
                    secret: secret.clone(),
                    expires_at: now.after(rules.life),
                    enabled: true,
                    failures: 0,
                };
                state.channels.insert(resource.clone(), live);
                let chosen = rules.chooses_secrets.then_some(secret);
                (
                    200,
                    json!({ "id": resource, "expires_in": rules.life.as_secs(), "secret": chosen }),
                )
            }
            ("POST", ["channels", resource, "renew"]) => {
                let Some(channel) = state.channels.get_mut(*resource) else {
                    return (404, json!({}));
                };
                channel.expires_at = now.after(rules.life);
                (channel.enabled, channel.failures) = (true, 0);
                state.renewed += 1;
                (200, json!({ "expires_in": rules.life.as_secs() }))
            }
            ("DELETE", ["channels", resource]) => {
                if state.channels.remove(*resource).is_none() {
                    return (404, json!({}));
                }
                state.ended += 1;
                (200, json!({}))
            }
            ("GET", ["channels"]) if rules.lists => {
                let own = |it: &&String| {
                    let live = &state.channels[*it];
                    live.provider == rules.provider && live.account == account
                };
                let list: Vec<Value> = state
                    .channels
                    .keys()
                    .filter(own)
                    .map(|resource| {
                        let live = &state.channels[resource];
                        let left = live.expires_at.since(now).as_secs();
                        json!({
                            "id": resource, "url": live.url, "watch": live.watch,
                            "enabled": live.enabled, "expires_in": left,
                        })
                    })
                    .collect();
                (200, json!({ "channels": list }))
            }
            other => panic!("no such operation: {other:?}"),
        }
    }
}

#[async_trait]
impl HttpTransport for Providers {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        tokio::task::yield_now().await;
        if self.state().down {
            self.state().refused_while_down += 1;
            let kind = TransportErrorKind::Timeout;
            return Err(TransportError::new(kind, Sent::Maybe));
        }
        let (status, body) = self.serve(&request.request);
        let reads = request.request.method() == http::Method::GET;
        let loses = match self.state() {
            state if state.answers_reads && reads => 0,
            state => state.loses,
        };
        if loses > 0 && self.random.lock().unwrap().below(loses) == 0 {
            self.state().lost_responses += 1;
            let kind = TransportErrorKind::Broken;
            return Err(TransportError::new(kind, Sent::Maybe));
        }
        let mut response = http::Response::new(Bytes::from(body.to_string()));
        *response.status_mut() = http::StatusCode::from_u16(status).unwrap();
        Ok(response)
    }
}

/// The connector of one provider.
#[derive(Debug)]
pub(crate) struct Watcher {
    rules: Rules,
    description: Description,
}

impl Watcher {
    pub(crate) fn new(rules: Rules) -> Self {
        let name = rules.provider.as_str();
        let description = json!({
            "provider": name,
            "name": name,
            "api": [format!("https://api.{name}.example")],
            "identity": { "endpoint": format!("https://api.{name}.example/me"), "account": "/id" },
            "metadata_every": 86_400,
        });
        Self {
            description: serde_json::from_value(description).unwrap(),
            rules,
        }
    }
}

impl Connector for Watcher {
    fn description(&self) -> &Description {
        &self.description
    }

    fn subscriptions(&self) -> Option<&dyn Subscriptions> {
        Some(self)
    }
}

async fn call(
    cx: &SubscriptionContext<'_>,
    request: Request,
    repeat: Idempotency,
) -> Result<Value> {
    let response = cx.session.raw(request, repeat).await?;
    Ok(serde_json::from_slice(response.body()).unwrap())
}

fn seconds(value: &Value) -> Option<Duration> {
    value.as_u64().map(Duration::from_secs)
}

#[async_trait]
impl Subscriptions for Watcher {
    fn describe(&self, watch: &Watch) -> Result<SubscriptionPlan> {
        if watch.as_str().starts_with("items") {
            return Ok(self.rules.plan);
        }
        let message = "a watch is `items` and a name";
        Err(Error::new(ErrorKind::InvalidInput, "watcher", message))
    }

    async fn create(
        &self,
        cx: &SubscriptionContext<'_>,
        new: &NewChannel<'_>,
    ) -> Result<CreatedChannel> {
        assert!(new.url.as_str().ends_with(new.channel.as_str()));
        let request = Request::post(["channels"])?.json(&json!({
            "watch": new.watch.as_str(),
            "url": new.url.as_str(),
            "secret": new.secret.expose_secret(),
        }))?;
        let answer = call(cx, request, Idempotency::Never).await?;
        let resource = answer["id"].as_str().unwrap();
        let created = CreatedChannel::new(resource, seconds(&answer["expires_in"]));
        Ok(match answer["secret"].as_str() {
            Some(secret) => created.with_secret(SecretString::from(secret.to_owned())),
            None => created,
        })
    }

    async fn renew(
        &self,
        cx: &SubscriptionContext<'_>,
        channel: &Channel<'_>,
    ) -> Result<RenewOutcome> {
        let request = Request::post(["channels", channel.resource, "renew"])?;
        match call(cx, request, Idempotency::Safe).await {
            Ok(answer) => Ok(RenewOutcome::Renewed {
                expires_in: seconds(&answer["expires_in"]),
            }),
            Err(error) if error.kind() == ErrorKind::ProviderNotFound => Ok(RenewOutcome::Gone),
            Err(error) => Err(error),
        }
    }

    async fn end(&self, cx: &SubscriptionContext<'_>, channel: &Channel<'_>) -> Result<()> {
        let request = Request::new(http::Method::DELETE, ["channels", channel.resource])?;
        match call(cx, request, Idempotency::Safe).await {
            Err(error) if error.kind() != ErrorKind::ProviderNotFound => Err(error),
            _ => Ok(()),
        }
    }

    async fn list(
        &self,
        cx: &SubscriptionContext<'_>,
        _watches: &[Watch],
    ) -> Result<Option<Vec<ListedChannel>>> {
        if !self.rules.lists {
            return Ok(None);
        }
        let answer = call(cx, Request::get(["channels"])?, Idempotency::Safe).await?;
        let listed = answer["channels"].as_array().unwrap().iter().map(|it| {
            let watch = Watch::new(it["watch"].as_str().unwrap()).unwrap();
            ListedChannel::new(watch, it["id"].as_str().unwrap())
                .with_url(it["url"].as_str().unwrap())
                .with_enabled(it["enabled"].as_bool().unwrap())
                .with_expires_in(seconds(&it["expires_in"]).unwrap())
        });
        Ok(Some(listed.collect()))
    }

    async fn catch_up(
        &self,
        cx: &SubscriptionContext<'_>,
        watch: &Watch,
        cursor: Option<&str>,
    ) -> Result<CatchUp> {
        let mut request = Request::get(["changes"])?;
        if let Some(cursor) = cursor {
            request = request.query("cursor", cursor);
        }
        let answer = call(cx, request, Idempotency::Safe).await?;
        let events = answer["ids"].as_array().unwrap().iter().map(|id| {
            let id = format!("{watch}-{id}");
            let (provider, app) = (self.rules.provider.clone(), AppKey::default());
            let body = Bytes::from(id.clone());
            let mut event = Event::new(provider, app, "item.changed", body);
            event.event_id = Some(id);
            event
        });
        let cursor = answer["cursor"].as_str().unwrap();
        Ok(CatchUp::new(events.collect(), cursor).with_more(answer["more"].as_bool().unwrap()))
    }
}
