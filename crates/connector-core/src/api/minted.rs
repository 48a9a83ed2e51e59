//! Access tokens that are requested when they are needed and kept in memory only.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use tokio::sync::Mutex;

use super::token::{Token, TokenSource, Wait};
use crate::access_token::{AccessToken, Deadlines, IssuedToken, Phase};
use crate::clock::{Clock, Monotonic};
use crate::connection::{Generation, GrantNumber};
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result, Retry};

const OPERATION: &str = "api.mint";
/// Longest wait for one request.
const PATIENCE: Duration = Duration::from_secs(20);
/// Longest time before its end at which a token is replaced; a tenth of its life if that is shorter.
const WINDOW: Duration = Duration::from_secs(60);
/// Shortest remaining lifetime of a token that a call can use.
const SHORTEST_LIFE: Duration = Duration::from_secs(5);
/// Pause after a failure that may be over at the next attempt.
const SHORT_PAUSE: Duration = Duration::from_secs(1);
/// Pause after any other failure, and between two tokens of which the first never worked.
const LONG_PAUSE: Duration = Duration::from_secs(30);
/// Longest pause that a provider can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3600);

/// Requests access tokens that no store keeps: for the app itself, for one installation, for a set of
/// restricted operations.
///
/// The request must be harmless to repeat.
#[async_trait]
pub trait TokenMint: Send + Sync + 'static {
    /// Requests one token. Its expiry, if it has one, is [`Credential::expires_at`].
    ///
    /// Not called again before it has returned.
    ///
    /// # Errors
    /// Those of the request. Callers get them, and [`Error::retry`] decides when the next request is
    /// sent: at the earliest after one second, or after 30 where a repetition does not help.
    async fn mint(&self) -> Result<Credential>;
}

/// The tokens of a [`TokenMint`], kept in memory and replaced shortly before they expire.
///
/// However many callers wait, one request is sent. After a failure, callers get the same error
/// without a request until its pause is over; a token that has not expired is handed out meanwhile.
pub struct MintedTokens {
    mint: Arc<dyn TokenMint>,
    clock: Arc<dyn Clock>,
    slot: ArcSwapOption<IssuedToken>,
    /// The generation of the newest token that the provider accepted.
    worked: AtomicU64,
    requests: Mutex<Requests>,
}

/// What the last requests brought. Its lock is held while one is under way.
#[derive(Default)]
struct Requests {
    generation: u64,
    minted: Option<Monotonic>,
    failure: Option<(Error, Monotonic)>,
}

impl MintedTokens {
    /// Tokens of `mint`, by the time of `clock`.
    #[must_use]
    pub fn new(mint: impl TokenMint, clock: Arc<dyn Clock>) -> Self {
        Self {
            mint: Arc::new(mint),
            clock,
            slot: ArcSwapOption::empty(),
            worked: AtomicU64::new(0),
            requests: Mutex::new(Requests::default()),
        }
    }

    /// The kept token, if it is newer than the refused generation and passes `good`.
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
        // Whoever held the lock before may have brought it.
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
                "the provider issued no token in time; repeat the call",
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
                    Retry::After(after) => after.clamp(SHORT_PAUSE, LONGEST_PAUSE),
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
                ErrorKind::UnexpectedAnswer,
                OPERATION,
                "the provider issued a token that no call can use: it is empty or expires at once",
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

/// The error of the last request, for a caller who comes before its pause is over.
fn again(error: &Error, left: Duration) -> Error {
    let same = error.without_source();
    match error.retry() {
        Retry::Backoff | Retry::After(_) => same.with_retry(Retry::After(left)),
        _ => same,
    }
}

fn never_worked() -> Error {
    Error::new(
        ErrorKind::Unauthorized,
        OPERATION,
        "the provider refuses the token that it has just issued; check what the app may do",
    )
}

impl fmt::Debug for MintedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MintedTokens")
            .field("token", &self.slot.load())
            .finish_non_exhaustive()
    }
}

impl TokenSource for MintedTokens {
    fn token(&self) -> Token<'_> {
        match self.good(0) {
            Some(token) => Token::Ready(token),
            None => Token::Wait(Box::pin(self.fetch(0))),
        }
    }

    fn after_rejection<'a>(&'a self, sent: &'a AccessToken) -> Wait<'a> {
        Box::pin(self.fetch(sent.generation().get()))
    }

    fn accepted(&self, sent: &AccessToken) {
        let generation = sent.generation().get();
        if self.worked.load(Ordering::Relaxed) < generation {
            self.worked.fetch_max(generation, Ordering::Relaxed);
        }
    }
}
