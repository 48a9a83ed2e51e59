//! Access tokens that are requested on demand and kept only in memory.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::Mutex;

use super::token::{Token, TokenSource, Wait};
use crate::access_token::{AccessToken, Deadlines, IssuedToken, Phase};
use crate::clock::{Clock, Monotonic};
use crate::connection::{Generation, GrantNumber};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result, Retry};

const OPERATION: &str = "api.mint";
/// Maximum time to wait for one token request.
const PATIENCE: Duration = Duration::from_secs(20);
/// Time before expiry at which a token is replaced, but at most a tenth of the token's lifetime.
const WINDOW: Duration = Duration::from_secs(60);
/// Minimum remaining lifetime of a token that a call may use.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
/// Pause after a failure that a retry may resolve.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// Pause after any other failure, and after a new token that the provider rejected.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// Maximum pause that a provider can request.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// Requests access tokens that are not stored, for example for the app itself, for one
/// installation, or for restricted operations.
///
/// The request must be idempotent.
#[async_trait]
pub trait TokenMint: Send + Sync + 'static {
    /// Requests one token. If the token expires, set the expiry in [`Credential::expires_at`].
    ///
    /// The cache never calls this method concurrently.
    ///
    /// # Errors
    /// Any error of the request. Callers receive the error. [`Error::retry`] determines the pause
    /// before the next request: at least one second, or at least 30 seconds if a retry does not
    /// help.
    async fn mint(&self) -> Result<Credential>;
}

/// Caches the tokens of a [`TokenMint`] in memory and replaces them shortly before they expire.
///
/// Concurrent callers share one request. After a failed request, the cache sends no request until a
/// pause has passed. During the pause, callers get the cached token if it has not expired.
/// Otherwise they get the error of the failed request.
pub struct MintedTokens {
    shared: Arc<Shared>,
}

struct Shared {
    mint: Arc<dyn TokenMint>,
    clock: Arc<dyn Clock>,
    slot: ArcSwapOption<IssuedToken>,
    /// The generation of the newest token that the provider accepted.
    worked: AtomicU64,
    requests: Mutex<Requests>,
}

/// The result of the last request. The lock is held while a request is in flight.
#[derive(Default)]
struct Requests {
    generation: u64,
    minted: Option<Monotonic>,
    failure: Option<(Error, Monotonic)>,
}

impl MintedTokens {
    /// Creates a cache for tokens of `mint` that uses `clock`.
    #[must_use]
    pub fn new(mint: impl TokenMint, clock: Arc<dyn Clock>) -> Self {
        Self {
            shared: Arc::new(Shared {
                mint: Arc::new(mint),
                clock,
                slot: ArcSwapOption::empty(),
                worked: AtomicU64::new(0),
                requests: Mutex::new(Requests::default()),
            }),
        }
    }

    /// Fetches a token in a task of its own, so that a caller that is dropped does not cancel the
    /// request that other callers wait for.
    fn fetch(&self, refused: u64) -> Wait<'static> {
        let shared = Arc::clone(&self.shared);
        Box::pin(async move {
            match Handle::try_current() {
                Ok(runtime) => {
                    let task = runtime.spawn(async move { shared.fetch(refused).await });
                    task.await.unwrap_or_else(|_| Err(ended()))
                }
                Err(_) => shared.fetch(refused).await,
            }
        })
    }
}

impl Shared {
    /// Returns the cached token if it is newer than the rejected generation and `good` accepts its
    /// phase.
    fn kept(&self, refused: u64, good: impl Fn(Phase) -> bool) -> Option<AccessToken> {
        let token = self.slot.load_full()?;
        let phase = token.phase(self.clock.monotonic(), self.clock.now());
        let newer = token.generation().get() > refused;
        (newer && good(phase)).then(|| AccessToken::of(token))
    }

    fn good(&self, refused: u64) -> Option<AccessToken> {
        self.kept(refused, |phase| phase < Phase::Mandatory)
    }

    async fn fetch(&self, refused: u64) -> Result<AccessToken> {
        let mut requests = self.requests.lock().await;
        // The previous lock holder may have obtained a token.
        if let Some(token) = self.good(refused) {
            return Ok(token);
        }
        let unexpired = |error| {
            self.kept(refused, |phase| phase < Phase::Expired)
                .ok_or(error)
        };
        let now = self.clock.monotonic();
        if let Some((error, until)) = &requests.failure
            && now < *until
        {
            return unexpired(again(error, until.since(now)));
        }
        let pause = requests
            .minted
            .map(|minted| minted.after(LONG_PAUSE))
            .filter(|until| now < *until);
        if let Some(until) = pause
            && refused == requests.generation
            && self.worked.load(Ordering::Relaxed) < refused
        {
            return Err(never_worked().with_retry(Retry::After(until.since(now))));
        }
        let minted = tokio::select! {
            biased;
            minted = self.mint.mint() => minted.and_then(|it| self.issued(&it, requests.generation + 1)),
            () = self.clock.sleep(PATIENCE) => Err(Error::new(
                ErrorKind::Timeout,
                OPERATION,
                "the provider issued no token in time; retry the call",
            )),
        };
        let now = self.clock.monotonic();
        match minted {
            Ok(token) => {
                let token = Arc::new(token);
                self.slot.store(Some(Arc::clone(&token)));
                requests.generation += 1;
                requests.minted = Some(now);
                requests.failure = None;
                Ok(AccessToken::of(token))
            }
            Err(error) => {
                let pause = match error.retry() {
                    Retry::After(after) => after.clamp(SHORT_PAUSE, MAX_PAUSE),
                    Retry::Backoff => SHORT_PAUSE,
                    _ => LONG_PAUSE,
                };
                requests.failure = Some((error.without_source(), now.after(pause)));
                unexpired(error)
            }
        }
    }

    fn issued(&self, credential: &Credential, generation: u64) -> Result<IssuedToken> {
        let (steady, wall) = (self.clock.monotonic(), self.clock.now());
        let left = credential.expires_at().map(|expires| expires.since(wall));
        if !credential.is_issued() || left.is_some_and(|left| left < SHORTEST_LIFE) {
            return Err(Error::new(
                ErrorKind::UnexpectedResponse,
                OPERATION,
                "the provider issued an unusable token: the token is empty or expires at once",
            ));
        }
        let deadlines = left.map(|left| {
            let window = (left / 10).min(WINDOW);
            Deadlines::new(steady, wall, left, window, window)
        });
        let (grant, generation) = (GrantNumber::new(1), Generation::new(generation));
        Ok(IssuedToken::new(credential, grant, generation, deadlines))
    }
}

/// Copies the last error for a caller that arrives before the pause has passed.
fn again(error: &Error, left: Duration) -> Error {
    let same = error.without_source();
    match error.retry() {
        Retry::Backoff | Retry::After(_) => same.with_retry(Retry::After(left)),
        _ => same,
    }
}

fn ended() -> Error {
    Error::new(
        ErrorKind::ShuttingDown,
        OPERATION,
        "the task that requested the token ended early; retry the call unless the process ends",
    )
}

fn never_worked() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        OPERATION,
        "the provider rejects a token that it has just issued; check the app's permissions",
    )
}

impl fmt::Debug for MintedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedTokens")
            .field("token", &self.shared.slot.load())
            .finish_non_exhaustive()
    }
}

impl TokenSource for MintedTokens {
    fn token(&self) -> Token<'_> {
        match self.shared.good(0) {
            Some(token) => Token::Ready(token),
            None => Token::Wait(self.fetch(0)),
        }
    }

    fn after_rejection<'a>(&'a self, sent: &'a AccessToken) -> Wait<'a> {
        self.fetch(sent.generation().get())
    }

    fn accepted(&self, sent: &AccessToken) {
        let generation = sent.generation().get();
        if self.shared.worked.load(Ordering::Relaxed) < generation {
            self.shared.worked.fetch_max(generation, Ordering::Relaxed);
        }
    }
}
