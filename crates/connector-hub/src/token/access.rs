//! Access tokens for callers. A caller gets the cached token or the result of a flight (an
//! in-flight refresh).

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connector_core::api::Token;
use connector_core::store::Generation;
use connector_core::{AccessToken, ConnectionKey, Event, RequestContext, Result};
use futures_util::FutureExt;

use crate::audit;
use crate::hub::{Hub, Inner, not_found};
use crate::telemetry::Waiting;
use crate::token::cache::Read;
use crate::token::driver::{RefreshTrigger, fly};
use crate::token::flight::{Ticket, Waiters};
use crate::token::outcome::{NoToken, NoTokenReason, RefreshOutcome};

const OPERATION: &str = "hub.access_token";
const ISSUE: &str = "hub.issue_token";

/// Maximum time that a caller without a valid access token waits.
const PATIENCE: Duration = Duration::from_secs(20);

impl Hub {
    /// Returns the access token of a connection. While the cached token is valid, the call takes no
    /// lock, allocates nothing and does not copy the secret. Otherwise, the call returns a future
    /// that waits for a new token.
    ///
    /// If the token expires soon, the call returns it and starts a refresh in the background.
    pub fn token<'a>(&'a self, key: &'a ConnectionKey) -> Token<'a> {
        match self.inner.good(key) {
            Some(token) => Token::Ready(token),
            None => Token::Wait(self.inner.fetch(key).boxed()),
        }
    }

    /// Returns the access token of a connection.
    ///
    /// The hub sends one refresh request, even if many callers request an expired token. The
    /// request continues if a caller is dropped. After a failed refresh, the hub still returns the
    /// old token while it is valid.
    ///
    /// # Errors
    /// * [`ErrorKind::NotFound`] if the connection does not exist or was disconnected.
    /// * [`ErrorKind::NeedsReauthorization`] if the account's owner must connect it again.
    /// * [`ErrorKind::AppMisconfigured`] if the provider refuses the app's registration.
    /// * [`ErrorKind::RefreshUnresolved`] if the outcome of an earlier request is not known yet.
    /// * [`ErrorKind::Rejected`] if the provider refused the refresh with a response that has no
    ///   known meaning.
    /// * [`ErrorKind::UnexpectedResponse`] if the provider returned a token that no call can use.
    /// * [`ErrorKind::Unauthorized`], [`ErrorKind::ProviderUnavailable`] and
    ///   [`ErrorKind::StoreUnavailable`] are temporary:
    ///   [`Error::retry`](connector_core::Error::retry) returns the retry delay.
    /// * [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    ///
    /// [`ErrorKind::NotFound`]: connector_core::ErrorKind::NotFound
    /// [`ErrorKind::NeedsReauthorization`]: connector_core::ErrorKind::NeedsReauthorization
    /// [`ErrorKind::AppMisconfigured`]: connector_core::ErrorKind::AppMisconfigured
    /// [`ErrorKind::RefreshUnresolved`]: connector_core::ErrorKind::RefreshUnresolved
    /// [`ErrorKind::Rejected`]: connector_core::ErrorKind::Rejected
    /// [`ErrorKind::UnexpectedResponse`]: connector_core::ErrorKind::UnexpectedResponse
    /// [`ErrorKind::Unauthorized`]: connector_core::ErrorKind::Unauthorized
    /// [`ErrorKind::ProviderUnavailable`]: connector_core::ErrorKind::ProviderUnavailable
    /// [`ErrorKind::StoreUnavailable`]: connector_core::ErrorKind::StoreUnavailable
    /// [`ErrorKind::ShuttingDown`]: connector_core::ErrorKind::ShuttingDown
    pub async fn access_token(&self, key: &ConnectionKey) -> Result<AccessToken> {
        match self.token(key) {
            Token::Ready(token) => Ok(token),
            Token::Wait(wait) => wait.await,
        }
    }

    /// Returns the access token of a connection for another program, and records this in the audit
    /// log before the token is returned. Use [`Hub::access_token`] for calls of this program.
    ///
    /// # Errors
    /// As for [`Hub::access_token`]. If the entry cannot be recorded, no token is returned.
    pub async fn issue_token(
        &self,
        key: &ConnectionKey,
        context: RequestContext,
    ) -> Result<AccessToken> {
        let stored = self.inner.store.load(key).await?;
        let stored = stored.ok_or_else(|| not_found(ISSUE))?;
        let token = self.access_token(key).await?;
        let entry = audit::entry(&stored.connection, &context, Event::TokenIssued);
        self.inner.store.append(entry).await?;
        Ok(token)
    }

    /// Refreshes a connection's credential now, unless another caller has just refreshed it.
    ///
    /// # Errors
    /// As for [`Hub::access_token`]. Callers may still use the previous token while it is valid.
    pub async fn refresh(&self, key: &ConnectionKey, context: RequestContext) -> Result<()> {
        let seen = self.inner.cache.generation(key);
        for _ in 0..2 {
            let trigger = RefreshTrigger::Force(context.clone());
            let (mut ticket, joined) = self.inner.join(key, trigger);
            let outcome = ticket.outcome().await;
            let moved = self.inner.cache.generation(key) != seen;
            match outcome {
                Some(RefreshOutcome::Current) if !joined || (moved && seen.is_some()) => {
                    return Ok(());
                }
                Some(RefreshOutcome::NoToken(no)) if !joined || no.retry_after.is_none() => {
                    return Err(no.error(OPERATION));
                }
                _ => {}
            }
        }
        Err(died().error(OPERATION))
    }

    /// Returns a newer token after the provider's API has refused one. Each refused generation is
    /// refreshed once. If new tokens never work, the interval between refreshes grows.
    ///
    /// # Errors
    /// As for [`Hub::access_token`].
    pub async fn after_rejection(
        &self,
        key: &ConnectionKey,
        refused: Generation,
    ) -> Result<AccessToken> {
        for _ in 0..2 {
            if let Some(token) = self.inner.cache.unexpired(key, &*self.inner.clock)
                && token.generation() > refused
            {
                return Ok(token);
            }
            let trigger = RefreshTrigger::Rejected(refused);
            let (mut ticket, joined) = self.inner.join(key, trigger);
            match ticket.outcome().await {
                Some(RefreshOutcome::NoToken(no)) if !joined || no.retry_after.is_none() => {
                    return Err(no.error(OPERATION));
                }
                _ => {}
            }
        }
        match self.inner.cache.unexpired(key, &*self.inner.clock) {
            Some(token) if token.generation() > refused => Ok(token),
            _ => {
                let pause = Duration::from_secs(60);
                Err(NoToken::later(NoTokenReason::Unauthorized, pause).error(OPERATION))
            }
        }
    }

    /// Records that the provider's API accepted a token of this generation. The previous credential
    /// is then no longer needed.
    pub fn accepted(&self, key: &ConnectionKey, generation: Generation) {
        self.inner.cache.worked(key, generation);
    }
}

impl Inner {
    /// Joins the flight of this connection, or starts one. Returns true if the flight already
    /// existed.
    pub(crate) fn join(
        self: &Arc<Self>,
        key: &ConnectionKey,
        trigger: RefreshTrigger,
    ) -> (Ticket, bool) {
        let inner = Arc::clone(self);
        let start = |waiters: Waiters| fly(inner, key.clone(), trigger, waiters);
        self.flights.join(key, start)
    }

    /// Returns the cached token if it is valid, and starts background work that is due.
    fn good(self: &Arc<Self>, key: &ConnectionKey) -> Option<AccessToken> {
        match self.cache.read(key, &*self.clock) {
            Read::Ready(token) => Some(token),
            Read::Wake(token) => {
                // If another caller has started a flight meanwhile, that flight does the work. The
                // ticket is not needed.
                drop(self.join(key, RefreshTrigger::Renew));
                Some(token)
            }
            Read::Wait => None,
        }
    }

    /// Waits for a valid token.
    async fn fetch(self: &Arc<Self>, key: &ConnectionKey) -> Result<AccessToken> {
        let _waiting = Waiting::begin();
        let clock = Arc::clone(&self.clock);
        let mut limit = pin!(clock.sleep(PATIENCE));
        let mut last = died();
        // An existing flight may have had another purpose. One more attempt is enough.
        for _ in 0..2 {
            let (mut ticket, joined) = self.join(key, RefreshTrigger::Fetch);
            let outcome = tokio::select! {
                biased;
                outcome = ticket.outcome() => outcome,
                () = &mut limit => {
                    let late = NoToken::later(ticket.reason(), PATIENCE);
                    return self.unexpired_or(key, late);
                }
            };
            match outcome {
                // A token that was only compared with the store may be due for its refresh.
                Some(RefreshOutcome::Current) => {
                    let token = self.good(key);
                    let token = token.or_else(|| self.cache.unexpired(key, &*self.clock));
                    if let Some(token) = token {
                        return Ok(token);
                    }
                }
                Some(RefreshOutcome::NoToken(no)) if no.reason == NoTokenReason::Ended => {
                    return Err(no.error(OPERATION));
                }
                Some(RefreshOutcome::NoToken(no)) => {
                    last = no;
                    let settled =
                        no.retry_after.is_none() || no.reason == NoTokenReason::StoreUnavailable;
                    if !joined || settled {
                        break;
                    }
                }
                None => {}
            }
        }
        self.unexpired_or(key, last)
    }

    /// Returns the cached token if it has not expired, otherwise the reason why no token is
    /// available.
    fn unexpired_or(&self, key: &ConnectionKey, no: NoToken) -> Result<AccessToken> {
        let token = self.cache.unexpired(key, &*self.clock);
        token.ok_or_else(|| no.error(OPERATION))
    }
}

/// Returns the outcome for a flight whose task panicked.
const fn died() -> NoToken {
    NoToken::later(NoTokenReason::Transient, Duration::from_secs(1))
}
