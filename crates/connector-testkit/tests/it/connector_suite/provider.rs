//! An in-memory provider that enforces the rules of its description.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::{self, Write as _};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::description::{
    BodyEncoding, CallAuthentication, ClientAuthentication, Description, Pkce,
};
use connector_core::provider::oauth::{CodeVerifier, Grace, RotationClass};
use connector_core::provider::webhook::{
    SignatureEncoding, SignedPart, WebhookFact, WebhookSecret,
};
use connector_core::webhook::AccountHint;
use connector_testkit::connector::{AlsoSigned, Consent, Delivery, TokenFault};
use futures_util::future::{Either, select};
use ring::hmac;
use serde_json::{Map, Value, json};
use url::{Url, form_urlencoded};

pub(crate) const CLIENT_ID: &str = "client id";
pub(crate) const REDIRECT_URI: &str = "https://app.example/callback";
const ACCESS_LIFE: Duration = Duration::from_secs(3600);

type Pairs = BTreeMap<String, String>;

/// The provider, with its settings and its state.
#[derive(Clone)]
pub(crate) struct Provider(Arc<Shared>);

struct Shared {
    description: Description,
    host: Option<String>,
    mark: String,
    /// True if the provider signs callbacks.
    signs: bool,
    clock: ManualClock,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    made: u64,
    codes: BTreeMap<String, Code>,
    grants: Vec<Grant>,
    faults: VecDeque<TokenFault>,
}

struct Code {
    challenge: Option<String>,
    scopes: String,
}

#[derive(Default)]
struct Grant {
    scopes: String,
    access: BTreeMap<String, Timestamp>,
    /// Refresh tokens, with the time of their first use.
    refresh: BTreeMap<String, Option<Timestamp>>,
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").finish_non_exhaustive()
    }
}

pub(crate) fn sign(secret: &str, message: &[u8]) -> Vec<u8> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
    hmac::sign(&key, message).as_ref().to_vec()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// Returns the signed text of a callback: all other parameters, sorted by name.
pub(crate) fn signed_text<'a>(pairs: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut pairs: Vec<_> = pairs.filter(|(name, _)| *name != "signature").collect();
    pairs.sort_unstable();
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn name_of(fact: &WebhookFact) -> &str {
    match fact {
        WebhookFact::Header(name) => name,
        _ => "x-unknown",
    }
}

impl Provider {
    pub(crate) fn new(
        description: Description,
        host: Option<&str>,
        signs: bool,
        mark: &str,
        clock: ManualClock,
    ) -> Self {
        Self(Arc::new(Shared {
            description,
            host: host.map(str::to_owned),
            mark: mark.to_owned(),
            signs,
            clock,
            state: Mutex::default(),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    fn secret(&self, state: &mut State, kind: &str) -> String {
        state.made += 1;
        format!("{kind}-{}-{}", self.0.mark, state.made)
    }

    pub(crate) fn client_secret(&self) -> String {
        format!("client:{}", self.0.mark)
    }

    pub(crate) fn webhook_secret(&self) -> String {
        format!("webhook:{}", self.0.mark)
    }

    pub(crate) fn fault(&self, fault: TokenFault) {
        self.state().faults.push_back(fault);
    }

    pub(crate) fn end_grants(&self) {
        self.state().grants.clear();
    }

    pub(crate) fn visit(&self, url: &Url, consent: &Consent) -> String {
        let asked: Pairs = url.query_pairs().into_owned().collect();
        assert_eq!(asked["client_id"], CLIENT_ID);
        assert_eq!(asked["redirect_uri"], REDIRECT_URI);
        let authorization = self.0.description.authorization.as_ref().unwrap();
        let challenge = asked.get("code_challenge").cloned();
        assert_eq!(challenge.is_some(), authorization.pkce == Pkce::S256);
        let separator = self.0.description.scopes.separator.to_string();
        let mut state = self.state();
        let mut pairs = vec![("state", asked["state"].clone())];
        let scopes = match consent {
            Consent::Grant => Some(asked.get("scope").cloned().unwrap_or_default()),
            Consent::GrantOnly(scopes) => Some(scopes.join(&separator)),
            Consent::Deny => None,
        };
        match scopes {
            Some(scopes) => {
                let code = self.secret(&mut state, "code");
                state.codes.insert(code.clone(), Code { challenge, scopes });
                pairs.push(("code", code));
            }
            None => pairs.push(("error", "access_denied".to_owned())),
        }
        if let Some(issuer) = &authorization.issuer {
            pairs.push(("iss", issuer.clone()));
        }
        if let Some(host) = &self.0.host {
            pairs.push(("account", host.clone()));
        }
        if self.0.signs {
            let text = signed_text(pairs.iter().map(|(name, value)| (*name, value.as_str())));
            let signature = hex(&sign(&self.client_secret(), text.as_bytes()));
            pairs.push(("signature", signature));
        }
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(pairs)
            .finish()
    }

    /// Returns the secret that signs deliveries.
    fn signing_secret(&self) -> String {
        match self.0.description.webhook.as_ref().map(|it| it.secret) {
            Some(WebhookSecret::Client) => self.client_secret(),
            _ => self.webhook_secret(),
        }
    }

    pub(crate) fn delivery(&self, body: Option<Bytes>) -> Option<Delivery> {
        let scheme = self.0.description.webhook.as_ref()?;
        let rule = &scheme.signatures[0];
        let body = body.unwrap_or_else(|| Bytes::from_static(b"{\"id\":1}"));
        let mut request = http::Request::post("/");
        let mut signed = Vec::new();
        for part in &rule.signed {
            match part {
                SignedPart::Header(name) => {
                    let now = self.0.clock.now().as_unix_seconds().to_string();
                    request = request.header(name, &now);
                    signed.extend_from_slice(now.as_bytes());
                }
                SignedPart::Text(text) => signed.extend_from_slice(text.as_bytes()),
                _ => signed.extend_from_slice(&body),
            }
        }
        let signature = sign(&self.signing_secret(), &signed);
        let signature = match rule.encoding {
            SignatureEncoding::Hex => hex(&signature),
            _ => STANDARD.encode(signature),
        };
        let id = format!("delivery-{}", self.state().made);
        let mut delivery = Delivery::new(http::Request::new(Bytes::new()), "thing.changed");
        request = request
            .header(&rule.headers[0], format!("{}{signature}", rule.prefix))
            .header(name_of(&scheme.topic[0]), "thing.changed")
            .header(name_of(&scheme.delivery_id[0]), &id);
        if let (Some(fact), Some(host)) = (scheme.account_host.first(), &self.0.host) {
            request = request.header(name_of(fact), host);
            delivery = delivery.with_account(AccountHint::Host(host.clone()));
        }
        delivery.request = request.body(body).unwrap();
        Some(delivery.with_delivery_id(id))
    }

    /// Returns signed callbacks with additional parameters that an attacker added to the URL.
    pub(crate) fn also_signed(&self, seed: u64) -> Vec<AlsoSigned> {
        let secret = self.client_secret();
        let seed = seed.to_string();
        let shaped = [
            vec![("code", seed.as_str()), ("state", "s")],
            vec![("{\"code\":1,\"a", &seed), ("z", "\"}")],
            vec![(" {\"a\":\"", &seed), ("code", "c"), ("z", "\"}")],
        ];
        let texts = shaped.into_iter().flat_map(|pairs| {
            let raw = pairs.iter().map(|(name, value)| format!("{name}={value}"));
            let raw: Vec<_> = raw.collect();
            [signed_text(pairs.into_iter()), raw.join("&")]
        });
        texts
            .map(|text| {
                let tag = sign(&secret, text.as_bytes());
                AlsoSigned::new("callback", text, tag)
            })
            .collect()
    }

    fn answer(&self, request: &http::Request<Bytes>) -> (u16, Value) {
        let url = Url::parse(&request.uri().to_string()).unwrap();
        let host = self.0.host.as_deref().unwrap_or_default();
        let description = &self.0.description;
        let is = |template: Option<&connector_core::provider::description::EndpointTemplate>| {
            let described = template.and_then(|it| it.url(host).ok());
            described.is_some_and(|it| (it.host_str(), it.path()) == (url.host_str(), url.path()))
        };
        if self.is_token(&url) {
            return self.token(request);
        }
        if is(description
            .identity
            .as_ref()
            .and_then(|it| it.endpoint.as_ref()))
        {
            return self.identity(request);
        }
        if is(description.revocation.as_ref().map(|it| &it.endpoint)) {
            let token = form_urlencoded::parse(request.body())
                .find(|(name, _)| name == "token")
                .map(|(_, token)| token.into_owned())
                .unwrap();
            let holds = |grant: &Grant| {
                grant.access.contains_key(&token) || grant.refresh.contains_key(&token)
            };
            self.state().grants.retain(|grant| !holds(grant));
            return (200, json!({}));
        }
        (404, json!({}))
    }

    fn is_token(&self, url: &Url) -> bool {
        let host = self.0.host.as_deref().unwrap_or_default();
        let token = self.0.description.token.as_ref();
        token.is_some_and(|it| it.endpoint.url(host).unwrap() == *url)
    }

    fn identity(&self, request: &http::Request<Bytes>) -> (u16, Value) {
        let (name, prefix) = match &self.0.description.authentication {
            CallAuthentication::Header(name) => (name.as_str(), ""),
            _ => ("authorization", "Bearer "),
        };
        let header = request.headers().get(name);
        let token = header.and_then(|it| it.to_str().ok()?.strip_prefix(prefix));
        let now = self.0.clock.now();
        let is_good = |grant: &Grant| {
            let until = token.and_then(|token| grant.access.get(token));
            until.is_some_and(|until| now < *until)
        };
        if self.state().grants.iter().any(is_good) {
            (200, json!({ "id": 7, "name": "Example" }))
        } else {
            (401, json!({ "error": "invalid_token" }))
        }
    }

    fn token(&self, request: &http::Request<Bytes>) -> (u16, Value) {
        let refused = |status, code: &str| (status, json!({ "error": code }));
        let description = &self.0.description;
        let endpoint = description.token.as_ref().unwrap();
        let fields: Pairs = match endpoint.encoding {
            BodyEncoding::Json => serde_json::from_slice(request.body()).unwrap_or_default(),
            _ => form_urlencoded::parse(request.body())
                .into_owned()
                .collect(),
        };
        let get = |name: &str| fields.get(name).map_or("", String::as_str);
        let secret = self.client_secret();
        let is_client = match endpoint.client_authentication {
            ClientAuthentication::Basic => {
                let encode = |text: &str| -> String {
                    form_urlencoded::byte_serialize(text.as_bytes()).collect()
                };
                let pair = format!("{}:{}", encode(CLIENT_ID), encode(&secret));
                let wanted = format!("Basic {}", STANDARD.encode(pair));
                request
                    .headers()
                    .get("authorization")
                    .is_some_and(|it| *it == *wanted)
            }
            _ => get("client_id") == CLIENT_ID && get("client_secret") == secret,
        };
        if !is_client {
            return refused(401, "invalid_client");
        }
        let now = self.0.clock.now();
        let mut state = self.state();
        match get("grant_type") {
            "authorization_code" => {
                let Some(code) = state.codes.remove(get("code")) else {
                    return refused(400, "invalid_grant");
                };
                let verifier = CodeVerifier::from_secret(get("code_verifier").into()).ok();
                let shown = verifier.map(|it| it.challenge());
                let extra = endpoint.exchange_parameters.iter();
                let mut extra = extra.map(|(name, value)| get(name) == value);
                if shown != code.challenge || get("redirect_uri") != REDIRECT_URI {
                    return refused(400, "invalid_grant");
                }
                if !extra.all(|is_there| is_there) {
                    return refused(400, "invalid_request");
                }
                state.grants.push(Grant {
                    scopes: code.scopes,
                    ..Grant::default()
                });
                let at = state.grants.len() - 1;
                (200, self.issue(&mut state, at, true))
            }
            "refresh_token" => {
                let sent = get("refresh_token");
                let grants = &state.grants;
                let at = grants.iter().position(|it| it.refresh.contains_key(sent));
                let Some(at) = at else {
                    return refused(400, "invalid_grant");
                };
                let used = state.grants[at].refresh[sent];
                let is_good = match (description.rotation, used) {
                    (RotationClass::Grace(Grace::Time { seconds }), Some(used)) => {
                        now < used.after(Duration::from_secs(seconds.into()))
                    }
                    (RotationClass::Strict, Some(_)) => {
                        state.grants.remove(at);
                        false
                    }
                    _ => true,
                };
                if !is_good {
                    return refused(400, "invalid_grant");
                }
                let entry = state.grants[at].refresh.entry(sent.to_owned());
                entry.or_default().get_or_insert(now);
                let rotates = description.rotation != RotationClass::Stable;
                (200, self.issue(&mut state, at, rotates))
            }
            _ => refused(400, "unsupported_grant_type"),
        }
    }

    fn issue(&self, state: &mut State, at: usize, with_refresh: bool) -> Value {
        let access = self.secret(state, "access");
        let refresh = with_refresh.then(|| self.secret(state, "refresh"));
        let grant = &mut state.grants[at];
        let until = self.0.clock.now().after(ACCESS_LIFE);
        grant.access.insert(access.clone(), until);
        let mut answer = json!({
            "access_token": access,
            "token_type": "bearer",
            "expires_in": ACCESS_LIFE.as_secs(),
        });
        if !grant.scopes.is_empty() {
            answer["scope"] = grant.scopes.clone().into();
        }
        if let Some(refresh) = refresh {
            grant.refresh.insert(refresh.clone(), None);
            answer["refresh_token"] = refresh.into();
        }
        answer
    }
}

fn response(
    status: u16,
    headers: &[(&'static str, String)],
    body: String,
) -> http::Response<Bytes> {
    let mut response = http::Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(Bytes::from(body)).unwrap()
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let broken = || Err(TransportError::new(TransportErrorKind::Broken, Sent::Maybe));
        let url = Url::parse(&outbound.request.uri().to_string()).unwrap();
        let fault = if self.is_token(&url) {
            self.state().faults.pop_front()
        } else {
            None
        };
        match &fault {
            Some(TokenFault::DropBefore) => return broken(),
            Some(TokenFault::Answer {
                status,
                headers,
                body,
            }) => {
                if body.len() > outbound.max_response_len {
                    let kind = TransportErrorKind::Answer;
                    return Err(TransportError::new(kind, Sent::Maybe));
                }
                return Ok(response(*status, headers, body.clone()));
            }
            Some(TokenFault::Slow(time)) => {
                let clock = &self.0.clock;
                let (done, deadline) = (clock.sleep(*time), clock.sleep(outbound.timeout));
                if let Either::Right(_) = select(done, deadline).await {
                    let kind = TransportErrorKind::Timeout;
                    return Err(TransportError::new(kind, Sent::Maybe));
                }
            }
            _ => {}
        }
        let (status, mut body) = self.answer(&outbound.request);
        match fault {
            Some(TokenFault::DropAfter | TokenFault::Truncate) => return broken(),
            Some(TokenFault::Edit(changes)) => {
                let members: &mut Map<String, Value> = body.as_object_mut().unwrap();
                for (name, text) in changes {
                    match text {
                        Some(text) => {
                            members.insert(name.to_owned(), serde_json::from_str(text).unwrap());
                        }
                        None => drop(members.remove(name)),
                    }
                }
            }
            _ => {}
        }
        Ok(response(status, &[], body.to_string()))
    }
}
