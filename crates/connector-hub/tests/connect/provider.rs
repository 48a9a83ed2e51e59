//! A simulated provider: single-use authorization codes, PKCE, and accounts with tokens.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::http::{
    HttpTransport, OutboundRequest, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::oauth::CodeVerifier;
use connector_testkit::leak::canary;
use tokio::sync::watch;
use url::{Url, form_urlencoded};

/// A fault of the next request of a kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// The provider acts, and the response is lost.
    ResponseLost,
    /// The connection fails.
    NotSent,
    /// A response with this status and an empty body.
    Status(u16),
    /// This status and body.
    Answer(u16, &'static str),
}

#[derive(Clone)]
pub(crate) struct Provider(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    /// Number of arrived requests of each kind.
    arrived: watch::Sender<(usize, usize)>,
    /// While true, requests of the kind wait.
    closed: watch::Sender<(bool, bool)>,
}

#[derive(Default)]
struct State {
    /// Prefix of every secret of this provider.
    mark: String,
    codes: BTreeMap<String, Code>,
    tokens: BTreeMap<String, String>,
    next: u32,
    token_calls: usize,
    reused_codes: usize,
    token_faults: VecDeque<Fault>,
    identity_faults: VecDeque<Fault>,
    /// Refresh tokens that are the same for every grant, by account.
    lasting: BTreeMap<String, String>,
    granted: Option<String>,
    hosts: BTreeSet<String>,
    /// Members to add to every token response; null removes one.
    extra: serde_json::Map<String, serde_json::Value>,
    /// The accounts of refresh tokens that were obtained elsewhere.
    refresh_tokens: BTreeMap<String, String>,
    refreshes: usize,
    /// True if a refresh returns a new refresh token and invalidates the previous one.
    rotates: bool,
}

struct Code {
    account: String,
    challenge: String,
    redirect_uri: String,
    scope: String,
    used: bool,
}

impl Provider {
    pub(crate) fn new() -> Self {
        Self(Arc::new(Shared {
            state: Mutex::new(State {
                mark: canary("provider"),
                ..State::default()
            }),
            arrived: watch::Sender::new((0, 0)),
            closed: watch::Sender::new((false, false)),
        }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap()
    }

    /// Consents as the owner of `account`, and returns the callback's query.
    pub(crate) fn consent(&self, url: &Url, account: &str) -> String {
        let asked: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!(asked["response_type"], "code");
        assert_eq!(asked["code_challenge_method"], "S256");
        let mut state = self.state();
        state.next += 1;
        let code = format!("{}code-{}", state.mark, state.next);
        let kept = Code {
            account: account.to_owned(),
            challenge: asked["code_challenge"].clone(),
            redirect_uri: asked["redirect_uri"].clone(),
            scope: asked.get("scope").cloned().unwrap_or_default(),
            used: false,
        };
        state.codes.insert(code.clone(), kept);
        query(&[
            ("code", &code),
            ("state", &asked["state"]),
            ("iss", super::rig::ISSUER),
        ])
    }

    /// Returns the number of code exchanges.
    pub(crate) fn token_calls(&self) -> usize {
        self.state().token_calls
    }

    pub(crate) fn reused_codes(&self) -> usize {
        self.state().reused_codes
    }

    /// Returns the hosts of all requests.
    pub(crate) fn hosts(&self) -> BTreeSet<String> {
        self.state().hosts.clone()
    }

    pub(crate) fn fail_token(&self, fault: Fault) {
        self.state().token_faults.push_back(fault);
    }

    pub(crate) fn fail_identity(&self, fault: Fault) {
        self.state().identity_faults.push_back(fault);
    }

    /// Uses this refresh token for every further grant of `account`.
    pub(crate) fn keep_refresh_token(&self, account: &str, refresh_token: &str) {
        self.state()
            .lasting
            .insert(account.to_owned(), refresh_token.to_owned());
    }

    /// Adds these members to further token responses; null removes one.
    pub(crate) fn answer_with(&self, extra: serde_json::Value) {
        let serde_json::Value::Object(extra) = extra else {
            panic!("members are needed");
        };
        self.state().extra = extra;
    }

    /// Creates a refresh token of `account` that was obtained elsewhere.
    pub(crate) fn refresh_token_of(&self, account: &str, rotates: bool) -> String {
        let mut state = self.state();
        state.rotates = rotates;
        state.next += 1;
        let token = format!("{}pasted-{}", state.mark, state.next);
        state
            .refresh_tokens
            .insert(token.clone(), account.to_owned());
        token
    }

    /// Returns the number of refreshes.
    pub(crate) fn refreshes(&self) -> usize {
        self.state().refreshes
    }

    /// Grants only these scopes, regardless of the requested ones.
    pub(crate) fn grant_only(&self, scope: &str) {
        self.state().granted = Some(scope.to_owned());
    }

    /// Creates a token of `account` that was obtained elsewhere.
    pub(crate) fn token_of(&self, account: &str) -> String {
        let mut state = self.state();
        state.next += 1;
        let token = format!("{}access-{}", state.mark, state.next);
        state.tokens.insert(token.clone(), account.to_owned());
        token
    }

    /// Holds token requests until [`Provider::open`].
    pub(crate) fn close_token(&self) {
        self.0.closed.send_modify(|closed| closed.0 = true);
    }

    /// Holds identity requests until [`Provider::open`].
    pub(crate) fn close_identity(&self) {
        self.0.closed.send_modify(|closed| closed.1 = true);
    }

    pub(crate) fn open(&self) {
        self.0.closed.send_replace((false, false));
    }

    /// Waits until this many token requests have arrived.
    pub(crate) async fn token_requests(&self, count: usize) {
        self.0
            .arrived
            .subscribe()
            .wait_for(|arrived| arrived.0 >= count)
            .await
            .unwrap();
    }

    /// Waits until this many identity requests have arrived.
    pub(crate) async fn identity_requests(&self, count: usize) {
        self.0
            .arrived
            .subscribe()
            .wait_for(|arrived| arrived.1 >= count)
            .await
            .unwrap();
    }

    fn token(&self, body: &[u8]) -> http::Response<Bytes> {
        let asked: BTreeMap<_, _> = form_urlencoded::parse(body).into_owned().collect();
        let mut state = self.state();
        if asked["grant_type"] == "refresh_token" {
            return state.refresh(&asked["refresh_token"]);
        }
        assert_eq!(asked["grant_type"], "authorization_code");
        state.token_calls += 1;
        let verifier = CodeVerifier::from_secret(asked["code_verifier"].clone().into()).unwrap();
        let Some(code) = state.codes.get_mut(&asked["code"]) else {
            return answer(400, r#"{"error":"invalid_grant"}"#);
        };
        let reused = std::mem::replace(&mut code.used, true);
        let (account, scope) = (code.account.clone(), code.scope.clone());
        let fits =
            verifier.challenge() == code.challenge && asked["redirect_uri"] == code.redirect_uri;
        state.reused_codes += usize::from(reused);
        if reused || !fits {
            return answer(400, r#"{"error":"invalid_grant"}"#);
        }
        state.next += 1;
        let access = format!("{}access-{}", state.mark, state.next);
        let refresh = match state.lasting.get(&account) {
            Some(lasting) => lasting.clone(),
            None => format!("{}refresh-{}", state.mark, state.next),
        };
        let scope = state.granted.clone().unwrap_or(scope);
        state.tokens.insert(access.clone(), account);
        state.answer(&access, &refresh, &scope)
    }

    fn me(&self, bearer: &str) -> http::Response<Bytes> {
        let state = self.state();
        match bearer
            .strip_prefix("Bearer ")
            .and_then(|token| state.tokens.get(token))
        {
            Some(account) => {
                let body =
                    serde_json::json!({ "id": account, "name": format!("Name of {account}") });
                answer(200, &body.to_string())
            }
            None => answer(401, "{}"),
        }
    }
}

impl State {
    fn answer(&self, access: &str, refresh: &str, scope: &str) -> http::Response<Bytes> {
        let mut body = serde_json::json!({
            "access_token": access,
            "token_type": "Bearer",
            "refresh_token": refresh,
            "expires_in": 3600,
            "scope": scope,
        });
        for (name, value) in &self.extra {
            body[name] = value.clone();
        }
        answer(200, &body.to_string())
    }

    fn refresh(&mut self, token: &str) -> http::Response<Bytes> {
        self.refreshes += 1;
        let Some(account) = self.refresh_tokens.get(token).cloned() else {
            return answer(400, r#"{"error":"invalid_grant"}"#);
        };
        self.next += 1;
        let access = format!("{}access-{}", self.mark, self.next);
        self.tokens.insert(access.clone(), account.clone());
        let mut refresh = token.to_owned();
        if self.rotates {
            self.refresh_tokens.remove(token);
            refresh = format!("{}refresh-{}", self.mark, self.next);
            self.refresh_tokens.insert(refresh.clone(), account);
        }
        self.answer(&access, &refresh, "read")
    }
}

pub(crate) fn query(pairs: &[(&str, &str)]) -> String {
    form_urlencoded::Serializer::new(String::new())
        .extend_pairs(pairs)
        .finish()
}

fn answer(status: u16, body: &str) -> http::Response<Bytes> {
    let body = Bytes::copy_from_slice(body.as_bytes());
    http::Response::builder().status(status).body(body).unwrap()
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Provider")
    }
}

#[async_trait]
impl HttpTransport for Provider {
    async fn send(
        &self,
        request: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        let (parts, body) = request.request.into_parts();
        self.state()
            .hosts
            .insert(parts.uri.host().unwrap().to_owned());
        let is_token = match parts.uri.path() {
            "/token" => true,
            "/me" => false,
            other => panic!("no such endpoint: {other}"),
        };
        let fault = {
            let mut state = self.state();
            let faults = if is_token {
                &mut state.token_faults
            } else {
                &mut state.identity_faults
            };
            faults.pop_front()
        };
        if let Some(Fault::NotSent) = fault {
            return Err(TransportError::new(TransportErrorKind::Connect, Sent::No));
        }
        self.0.arrived.send_modify(|arrived| {
            if is_token {
                arrived.0 += 1;
            } else {
                arrived.1 += 1;
            }
        });
        let mut closed = self.0.closed.subscribe();
        closed
            .wait_for(|closed| !(if is_token { closed.0 } else { closed.1 }))
            .await
            .unwrap();
        if let Some(Fault::Status(_) | Fault::Answer(..)) = fault
            && is_token
        {
            self.state().token_calls += 1;
        }
        match fault {
            Some(Fault::Status(status)) => return Ok(answer(status, "")),
            Some(Fault::Answer(status, body)) => return Ok(answer(status, body)),
            _ => {}
        }
        let answered = if is_token {
            self.token(&body)
        } else {
            self.me(parts.headers["authorization"].to_str().unwrap())
        };
        match fault {
            None => Ok(answered),
            Some(_) => Err(TransportError::new(TransportErrorKind::Broken, Sent::Maybe)),
        }
    }
}
