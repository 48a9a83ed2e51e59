//! A provider that rotates refresh tokens and records every issued and every received token.

use std::collections::{BTreeMap, HashMap};
use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::ProviderId;
use connector_core::http::{LoopbackOverride, Origin};
use connector_core::provider::Description;
use connector_core::provider::description::{EndpointTemplate, IdentityRule, TokenEndpoint};
use connector_core::provider::oauth::{Grace, RotationClass};
use connector_core::provider::webhook::{WebhookFact, WebhookScheme, WebhookSignature};
use connector_testkit::leak::canary;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use ring::hmac;
use secrecy::{ExposeSecret, SecretString};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use url::form_urlencoded;

use crate::clock::FileClock;
use crate::keeper::Keeper;
use crate::process::Event;

pub(crate) const PROVIDER: ProviderId = ProviderId::from_static("rotating");
pub(crate) const ORIGIN: &str = "https://rotating.example";
pub(crate) const CLIENT_ID: &str = "connectors";
/// The header that contains the name of the sending process.
pub(crate) const PROCESS: &str = "x-process";
/// Lifetime of an access token.
pub(crate) const LIFE: Duration = Duration::from_hours(1);

/// Maximum length of a request in bytes.
const MAX_REQUEST: usize = 64 * 1024;

/// The provider as data.
pub(crate) fn description(class: RotationClass) -> Description {
    let at = |path: &str| EndpointTemplate::new(format!("{ORIGIN}{path}"));
    let mut description = Description::new(PROVIDER, "Rotating");
    description.api = vec![at("")];
    description.token = Some(TokenEndpoint::new(at("/token")));
    description.identity = Some(IdentityRule::endpoint(at("/me"), "/id"));
    description.rotation = class;
    let mut webhook = WebhookScheme::new(WebhookSignature::new(["x-signature"]));
    webhook.delivery_id = vec![WebhookFact::header("x-id")];
    webhook.topic = vec![WebhookFact::header("x-topic")];
    description.webhook = Some(webhook);
    description
}

/// Returns a signed delivery of the provider, always the same.
pub(crate) fn delivery(client_secret: &str) -> http::Request<Bytes> {
    let body = Bytes::from_static(br#"{"order":1}"#);
    let key = hmac::Key::new(hmac::HMAC_SHA256, client_secret.as_bytes());
    let signature = BASE64_STANDARD.encode(hmac::sign(&key, &body));
    http::Request::post("/webhooks/rotating")
        .header("x-signature", signature)
        .header("x-id", "delivery-1")
        .header("x-topic", "orders/create")
        .body(body)
        .unwrap()
}

/// Returns the loopback override for the provider at this port.
pub(crate) fn opening(port: u16) -> LoopbackOverride {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    LoopbackOverride::new(Origin::parse(ORIGIN).unwrap(), address).unwrap()
}

/// The stage at which token requests are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Gate {
    Open,
    /// Before the provider acts.
    BeforeActing,
    /// After the response is ready.
    BeforeAnswering,
}

/// An issued pair.
struct Issued {
    /// The number of the pair whose refresh token was exchanged for this pair.
    from: Option<usize>,
    /// True after its access token or its refresh token was used.
    used: bool,
    at: Duration,
    /// The time at which its refresh token was first accepted.
    spent: Option<Duration>,
}

/// All pairs of one grant.
#[derive(Default)]
struct Family {
    pairs: Vec<Issued>,
    revoked: bool,
}

/// A refresh token that was sent to the token endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Redemption {
    pub(crate) family: u32,
    /// The number of its pair.
    pub(crate) pair: usize,
    /// The number of the pair that the request returned.
    pub(crate) brought: Option<usize>,
    /// The process that sent it.
    pub(crate) by: String,
    /// True if the store contained a successor of this token at that time.
    pub(crate) known: bool,
}

#[derive(Default)]
struct Ledger {
    families: BTreeMap<u32, Family>,
    refresh_tokens: HashMap<String, (u32, usize)>,
    access_tokens: HashMap<String, (u32, usize)>,
    redemptions: Vec<Redemption>,
    /// Held token requests per process.
    held: BTreeMap<String, i64>,
}

/// The running provider. It ends with its tokio runtime.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Shared>);

struct Shared {
    class: RotationClass,
    clock: FileClock,
    keeper: Keeper,
    port: u16,
    client_secret: SecretString,
    ledger: Mutex<Ledger>,
    gate: watch::Sender<Gate>,
    inbox: mpsc::UnboundedSender<Event>,
}

impl Provider {
    pub(crate) async fn start(
        class: RotationClass,
        clock: FileClock,
        keeper: Keeper,
        inbox: mpsc::UnboundedSender<Event>,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let provider = Self(Arc::new(Shared {
            class,
            clock,
            keeper,
            port: listener.local_addr().unwrap().port(),
            client_secret: canary("client-secret").into(),
            ledger: Mutex::default(),
            gate: watch::Sender::new(Gate::Open),
            inbox,
        }));
        let server = provider.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.serve(request).await) }
                });
                tokio::spawn(async move {
                    // A broken connection belonged to a killed process.
                    let _ = http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        provider
    }

    pub(crate) fn port(&self) -> u16 {
        self.0.port
    }

    pub(crate) fn class(&self) -> RotationClass {
        self.0.class
    }

    pub(crate) fn client_secret(&self) -> &SecretString {
        &self.0.client_secret
    }

    pub(crate) fn set_gate(&self, gate: Gate) {
        // The held requests continue from this moment on.
        let mut ledger = self.ledger();
        ledger.held.clear();
        self.0.gate.send_replace(gate);
    }

    /// Returns the number of held token requests of a process.
    pub(crate) fn held(&self, process: &str) -> i64 {
        self.ledger().held.get(process).copied().unwrap_or(0)
    }

    /// Starts a token family and returns its first pair: access token, refresh token.
    pub(crate) fn begin(&self, family: u32) -> (SecretString, SecretString) {
        let mut ledger = self.ledger();
        let old = ledger.families.insert(family, Family::default());
        assert!(old.is_none(), "family {family} is there");
        self.issue(&mut ledger, family, None)
    }

    pub(crate) fn is_revoked(&self, family: u32) -> bool {
        self.ledger().families[&family].revoked
    }

    /// Returns the refresh tokens of a family that were sent so far, in order.
    pub(crate) fn redemptions(&self, family: u32) -> Vec<Redemption> {
        let ledger = self.ledger();
        let all = ledger.redemptions.iter();
        all.filter(|it| it.family == family).cloned().collect()
    }

    /// Returns the number of accepted refresh tokens, and the number of sent refresh tokens whose
    /// successor was in the store.
    pub(crate) fn totals(&self) -> (u64, u64) {
        let ledger = self.ledger();
        let count = |of: fn(&Redemption) -> bool| {
            ledger.redemptions.iter().filter(|it| of(it)).count() as u64
        };
        (count(|it| it.brought.is_some()), count(|it| it.known))
    }

    /// Returns true if the provider would accept one of these refresh tokens now.
    pub(crate) fn takes(&self, family: u32, refresh_tokens: &[SecretString]) -> bool {
        let ledger = self.ledger();
        refresh_tokens.iter().any(|token| {
            let found = ledger.refresh_tokens.get(token.expose_secret());
            found.is_some_and(|(of, pair)| *of == family && self.accepts(&ledger, family, *pair))
        })
    }

    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.0.ledger.lock().unwrap()
    }

    fn issue(
        &self,
        ledger: &mut Ledger,
        family: u32,
        from: Option<usize>,
    ) -> (SecretString, SecretString) {
        let pairs = &mut ledger.families.get_mut(&family).unwrap().pairs;
        let pair = (family, pairs.len());
        let (access, refresh) = (canary("access"), canary("refresh"));
        pairs.push(Issued {
            from,
            used: false,
            at: self.0.clock.elapsed(),
            spent: None,
        });
        ledger.access_tokens.insert(access.clone(), pair);
        ledger.refresh_tokens.insert(refresh.clone(), pair);
        (access.into(), refresh.into())
    }

    /// A refresh token that was not sent yet is valid. Exception: if a use of the successor ends
    /// the grace period, a token that was replaced before its use is not valid. A token that was
    /// sent is valid during the grace period.
    fn accepts(&self, ledger: &Ledger, family: u32, pair: usize) -> bool {
        let family = &ledger.families[&family];
        let (Some(newest), false) = (family.pairs.last(), family.revoked) else {
            return false;
        };
        let is_newest = pair + 1 == family.pairs.len();
        let spent = family.pairs[pair].spent;
        let age = spent.map(|at| self.0.clock.elapsed().saturating_sub(at));
        let within =
            |seconds| age.is_some_and(|age| age <= Duration::from_secs(u64::from(seconds)));
        match self.0.class {
            RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds }) => {
                let brought_newest = newest.from == Some(pair);
                is_newest || brought_newest && !newest.used && within(max_seconds)
            }
            RotationClass::Grace(Grace::Time { seconds }) => age.is_none() || within(seconds),
            _ => is_newest,
        }
    }

    async fn serve(&self, request: http::Request<Incoming>) -> http::Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let header = |name: &str| {
            let value = parts.headers.get(name);
            let value = value.and_then(|it| it.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (by, authorization) = (header(PROCESS), header(AUTHORIZATION.as_str()));
        let Ok(body) = Limited::new(body, MAX_REQUEST).collect().await else {
            return answer(413, &json!({}));
        };
        match parts.uri.path() {
            // A started request is finished, even if its sender has ended.
            "/token" => {
                let (provider, body) = (self.clone(), body.to_bytes());
                let acting =
                    tokio::spawn(async move { provider.token(by, authorization, body).await });
                acting.await.unwrap()
            }
            "/me" => self.me(&authorization),
            _ => answer(404, &json!({})),
        }
    }

    async fn token(
        &self,
        by: String,
        authorization: String,
        body: Bytes,
    ) -> http::Response<Full<Bytes>> {
        let secret = self.0.client_secret.expose_secret();
        let expected = BASE64_STANDARD.encode(format!("{CLIENT_ID}:{secret}"));
        if authorization != format!("Basic {expected}") {
            return answer(401, &json!({ "error": "invalid_client" }));
        }
        self.pass(Gate::BeforeActing, &by).await;
        let mut form = form_urlencoded::parse(&body);
        let sent =
            form.find_map(|(name, value)| (name == "refresh_token").then(|| value.into_owned()));
        let reply = self.redeem(&sent.unwrap_or_default(), &by).await;
        self.pass(Gate::BeforeAnswering, &by).await;
        reply
    }

    /// Waits while token requests are held at this stage.
    async fn pass(&self, gate: Gate, by: &str) {
        let mut at = self.0.gate.subscribe();
        {
            let mut ledger = self.ledger();
            if *at.borrow_and_update() != gate {
                return;
            }
            *ledger.held.entry(by.to_owned()).or_default() += 1;
        }
        let _ = self.0.inbox.send(Event::Provider);
        // The sender lives as long as the provider, so waiting cannot fail.
        let _ = at.wait_for(|now| *now != gate).await;
    }

    async fn redeem(&self, sent: &str, by: &str) -> http::Response<Full<Bytes>> {
        let refused = || answer(400, &json!({ "error": "invalid_grant" }));
        let found = self.ledger().refresh_tokens.get(sent).copied();
        let Some((family, pair)) = found else {
            return refused();
        };
        // Read before the decision, because later writes were unknown when the request was sent.
        let stored = self.0.keeper.refresh_tokens(family).await;
        let mut ledger = self.ledger();
        let known = stored.iter().any(|token| {
            let stored = ledger.refresh_tokens.get(token.expose_secret());
            stored.is_some_and(|(_, it)| descends(&ledger.families[&family], *it, pair))
        });
        let accepted = self.accepts(&ledger, family, pair);
        let brought = accepted.then(|| ledger.families[&family].pairs.len());
        ledger.redemptions.push(Redemption {
            family,
            pair,
            brought,
            by: by.to_owned(),
            known,
        });
        let _ = self.0.inbox.send(Event::Provider);
        let now = self.0.clock.elapsed();
        let state = ledger.families.get_mut(&family).unwrap();
        if !accepted {
            state.revoked |= !matches!(
                self.0.class,
                RotationClass::Grace(Grace::UntilSuccessorUsed { .. })
            );
            return refused();
        }
        state.pairs[pair].used = true;
        state.pairs[pair].spent.get_or_insert(now);
        let (access, refresh) = self.issue(&mut ledger, family, Some(pair));
        answer(
            200,
            &json!({
                "access_token": access.expose_secret(),
                "refresh_token": refresh.expose_secret(),
                "token_type": "bearer",
                "expires_in": LIFE.as_secs(),
            }),
        )
    }

    fn me(&self, authorization: &str) -> http::Response<Full<Bytes>> {
        let mut ledger = self.ledger();
        let token = authorization.strip_prefix("Bearer ").unwrap_or_default();
        let Some((family, pair)) = ledger.access_tokens.get(token).copied() else {
            return answer(401, &json!({}));
        };
        let state = ledger.families.get_mut(&family).unwrap();
        let issued = &mut state.pairs[pair];
        if state.revoked || self.0.clock.elapsed().saturating_sub(issued.at) >= LIFE {
            return answer(401, &json!({}));
        }
        issued.used = true;
        answer(200, &json!({ "id": family.to_string() }))
    }
}

/// Returns true if pair `late` follows from pair `early` by one or more refreshes.
fn descends(family: &Family, late: usize, early: usize) -> bool {
    let parents = std::iter::successors(family.pairs[late].from, |it| family.pairs[*it].from);
    parents.into_iter().any(|parent| parent == early)
}

fn answer(status: u16, body: &serde_json::Value) -> http::Response<Full<Bytes>> {
    let mut response = http::Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status.try_into().unwrap();
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
