//! A local Zapier simulator: hooks that accept events, and calls from Zaps. The simulator enforces
//! Zapier's limits and can inject faults.
//!
//! The simulator takes the time from the given clock. For undocumented behaviour, the simulator assumes
//! the worst case: a duplicate event starts the Zap again, and a 429 response has a `Retry-After` header
//! only if a test sets one.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::clock::Clock;
use connector_core::http::Origin;
use connector_core::{Error, ErrorKind, Result};
pub use connector_sim::Fault;
use connector_sim::{Request, Response, Secrets, Server, Service};
use http::Method;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

use crate::account::HookUrl;
use crate::config::HOOKS;

/// Maximum length of a body, in bytes.
const MAX_LEN: usize = 10_000_000;
/// Maximum length of a body for a raw catch hook, in bytes.
const MAX_RAW: usize = 2_000_000;
/// Maximum number of requests per hook and second.
const PER_SECOND: usize = 30;
/// Zapier user id of the owner of all hooks.
const USER: &str = "1234567";

/// State of a hook and its Zap.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum ZapState {
    /// A Zap that is on.
    #[default]
    On,
    /// A Zap that is on, with empty response bodies ("Silent Mode").
    Silent,
    /// A Zap that is off. A catch hook accepts events and drops them. The target of a REST Hook responds
    /// with 410.
    Off,
    /// A hook that responds with 410.
    Gone,
    /// A hook that responds with 429.
    Limited {
        /// Value of `Retry-After` in seconds. `None` omits the header.
        retry_after: Option<u64>,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Catch,
    Raw,
    RestHook,
}

#[derive(Debug)]
struct Hook {
    kind: Kind,
    state: ZapState,
    runs: Vec<Value>,
    /// The second of the last request, and the number of requests in that second.
    second: (i64, usize),
}

#[derive(Debug, Default)]
struct World {
    hooks: BTreeMap<String, Hook>,
}

struct Zaps {
    world: Arc<Mutex<World>>,
    clock: Arc<dyn Clock>,
}

impl Service for Zaps {
    fn origins(&self) -> Vec<Origin> {
        Origin::parse(HOOKS).into_iter().collect()
    }

    fn respond(&self, request: &Request) -> Response {
        let path = request.path().trim_end_matches('/');
        let now = self.clock.now().as_unix_seconds();
        let mut world = lock(&self.world);
        let Some(hook) = world.hooks.get_mut(path) else {
            return match path.split('/').nth(2) {
                // A catch hook responds with 200 even if it does not exist.
                Some("catch") => accepted(),
                Some("standard") => refusal(410, "hook is gone"),
                _ => refusal(404, "not found"),
            };
        };
        let is_off = hook.state == ZapState::Off && hook.kind == Kind::RestHook;
        if is_off || hook.state == ZapState::Gone {
            return refusal(410, "hook is gone");
        }
        hook.second = match hook.second {
            (second, count) if second == now => (now, count + 1),
            _ => (now, 1),
        };
        if let ZapState::Limited { retry_after } = hook.state {
            let response = refusal(429, "too many requests");
            return match retry_after {
                Some(seconds) => response.with_header("retry-after", &seconds.to_string()),
                None => response,
            };
        }
        if hook.second.1 > PER_SECOND {
            return refusal(429, "too many requests");
        }
        match *request.method() {
            Method::DELETE if hook.kind == Kind::RestHook => {
                hook.state = ZapState::Off;
                return Response::json(200, &json!({}));
            }
            Method::POST => {}
            _ => return refusal(405, "method not allowed"),
        }
        let longest = if hook.kind == Kind::Raw {
            MAX_RAW
        } else {
            MAX_LEN
        };
        if request.body().len() > longest {
            return refusal(413, "payload too large");
        }
        let body = match serde_json::from_slice::<Value>(request.body()) {
            Ok(body) if request.is_json() => body,
            _ => return refusal(400, "malformed payload"),
        };
        if hook.state != ZapState::Off {
            match (hook.kind, body) {
                (Kind::Catch, Value::Array(items)) => hook.runs.extend(items),
                (_, body) => hook.runs.push(body),
            }
        }
        match hook.state {
            ZapState::Silent => Response::new(200, "text/plain", ""),
            _ => accepted(),
        }
    }
}

fn accepted() -> Response {
    let id = "00000000-0000-4000-8000-000000000001";
    let body = json!({ "id": id, "request_id": id, "attempt": id, "status": "success" });
    Response::json(200, &body)
}

fn refusal(status: u16, message: &str) -> Response {
    Response::json(status, &json!({ "status": "error", "message": message }))
}

fn lock(world: &Mutex<World>) -> MutexGuard<'_, World> {
    world.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A simulated Zapier with hooks. Clones share one server, which stops when the last clone is dropped.
#[derive(Clone)]
pub struct Simulator {
    world: Arc<Mutex<World>>,
    server: Arc<Server>,
    secrets: Arc<Secrets>,
}

impl fmt::Debug for Simulator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Simulator").finish_non_exhaustive()
    }
}

impl Simulator {
    /// Starts a simulator on a free loopback port. The simulator takes the time from `clock`. All hook
    /// addresses contain `mark`, so that a test can search output for leaked addresses. Requires a tokio
    /// runtime.
    ///
    /// # Errors
    /// [`ErrorKind::Network`] if no port is free.
    pub async fn start(clock: impl Clock, mark: &str) -> Result<Self> {
        let world = Arc::new(Mutex::new(World::default()));
        let clock: Arc<dyn Clock> = Arc::new(clock);
        let zaps = Zaps {
            world: Arc::clone(&world),
            clock: Arc::clone(&clock),
        };
        Ok(Self {
            world,
            server: Arc::new(Server::start(Arc::new(zaps), clock).await?),
            secrets: Arc::new(Secrets::new(mark.to_owned())),
        })
    }

    /// Returns the HTTP server, with loopback overrides, request counts and faults. For a slow hook, inject
    /// [`Fault::Slow`].
    #[must_use]
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Adds a Zap with a catch hook and returns the hook's address.
    #[must_use]
    pub fn add_catch_hook(&self) -> SecretString {
        self.add(Kind::Catch, "catch")
    }

    /// Adds a Zap with a raw catch hook and returns the hook's address. A raw catch hook does not split
    /// arrays into runs.
    #[must_use]
    pub fn add_raw_catch_hook(&self) -> SecretString {
        self.add(Kind::Raw, "catch")
    }

    /// Adds a Zap with a trigger of the application, and returns the target of its REST Hook.
    #[must_use]
    pub fn add_rest_hook(&self) -> SecretString {
        self.add(Kind::RestHook, "standard")
    }

    fn add(&self, kind: Kind, form: &str) -> SecretString {
        let name = self.secrets.issue("");
        let path = format!("/hooks/{form}/{USER}/{name}");
        let url = SecretString::from(format!("{HOOKS}{path}/"));
        let hook = Hook {
            kind,
            state: ZapState::On,
            runs: Vec::new(),
            second: (0, 0),
        };
        lock(&self.world).hooks.insert(path, hook);
        url
    }

    /// Sets the state of a hook and its Zap.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the hook does not exist.
    pub fn set_state(&self, hook: &SecretString, state: ZapState) -> Result<()> {
        self.with(hook, |hook| hook.state = state)
    }

    /// Returns the input of each run of the hook's Zap, in order.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the hook does not exist.
    pub fn runs(&self, hook: &SecretString) -> Result<Vec<Value>> {
        self.with(hook, |hook| hook.runs.clone())
    }

    fn with<T>(&self, hook: &SecretString, change: impl FnOnce(&mut Hook) -> T) -> Result<T> {
        let url = HookUrl::parse(hook)?;
        let path = url.secret().expose_secret().trim_start_matches(HOOKS);
        let mut world = lock(&self.world);
        let found = world.hooks.get_mut(path.trim_end_matches('/'));
        found
            .map(change)
            .ok_or_else(|| Error::new(ErrorKind::NotFound, "zapier.sim", "the hook does not exist"))
    }
}

/// Authentication scheme of a call from a Zap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallSecret {
    /// The header `X-Webhook-Secret`.
    Header,
    /// A bearer token.
    Bearer,
    /// HTTP Basic. The secret must have the form `user:password`.
    Basic,
}

/// Returns a call from a Zap to the application, in the form that the action "Webhooks by Zapier" sends.
///
/// # Errors
/// [`ErrorKind::InvalidInput`] if the secret contains characters that are invalid in a header.
pub fn call(how: CallSecret, secret: &str, body: impl Into<Bytes>) -> Result<http::Request<Bytes>> {
    let (name, value) = match how {
        CallSecret::Header => ("x-webhook-secret", secret.to_owned()),
        CallSecret::Bearer => ("authorization", format!("Bearer {secret}")),
        CallSecret::Basic => {
            let pair = BASE64_STANDARD.encode(secret);
            ("authorization", format!("Basic {pair}"))
        }
    };
    http::Request::post("/")
        .header("user-agent", "Zapier")
        .header("content-type", "application/json")
        .header(name, value)
        .body(body.into())
        .map_err(|_| {
            Error::new(
                ErrorKind::InvalidInput,
                "zapier.sim.call",
                "the secret contains characters that are invalid in a header",
            )
        })
}
