//! What callers get: the token that is there, or the one that a flight brings.

use std::sync::Arc;
use std::time::Duration;

use connector_core::api::Token;
use connector_core::{
    AccessToken, ConnectionKey, Error, ErrorKind, Generation, ReauthorizationReason,
    RequestContext, Result, Retry,
};
use futures_util::FutureExt;

use crate::hub::{Hub, Inner};
use crate::token::cache::Read;
use crate::token::driver::{Errand, Landing, Why, fly};

const OPERATION: &str = "hub.access_token";

/// How long a caller with a dead access token waits at most.
const PATIENCE: Duration = Duration::from_secs(20);

impl Hub {
    /// The access token of a connection, without a lock, an allocation or a copy as long as it is
    /// good; otherwise what to wait for.
    ///
    /// A token that is good but not for long is handed out, and refreshed behind the caller's back.
    pub fn token<'a>(&'a self, key: &'a ConnectionKey) -> Token<'a> {
        match self.inner.good(key) {
            Some(token) => Token::Ready(token),
            None => Token::Wait(self.inner.fetch(key).boxed()),
        }
    }

    /// The access token of a connection.
    ///
    /// However many callers ask for an expired one, one request is sent; a caller that goes away
    /// takes nothing with it. A valid token is never withheld because a refresh failed.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if there is no such connection or it was disconnected;
    /// [`ErrorKind::NeedsReauthorization`] if its owner has to connect it again;
    /// [`ErrorKind::AppMisconfigured`] if the app's registration is refused;
    /// [`ErrorKind::RefreshUnresolved`] if an earlier request's outcome is not known yet;
    /// [`ErrorKind::Unauthorized`], [`ErrorKind::ProviderUnavailable`] and
    /// [`ErrorKind::StoreUnavailable`] for now: [`Error::retry`] says when to ask again;
    /// [`ErrorKind::ShuttingDown`] after [`Hub::shutdown`].
    pub async fn access_token(&self, key: &ConnectionKey) -> Result<AccessToken> {
        match self.token(key) {
            Token::Ready(token) => Ok(token),
            Token::Wait(wait) => wait.await,
        }
    }

    /// Refreshes a connection's credential now, unless somebody else just did.
    ///
    /// # Errors
    /// As for [`Hub::access_token`]. The token of before stays in use as long as it is good.
    pub async fn refresh(&self, key: &ConnectionKey, context: RequestContext) -> Result<()> {
        let seen = self.inner.cache.generation(key);
        for _ in 0..2 {
            let (ticket, joined) = self.inner.board(key, Errand::Force(context.clone()));
            let landing = ticket.landing().await;
            let moved = self.inner.cache.generation(key) != seen;
            match landing {
                Some(Landing::Current) if !joined || (moved && seen.is_some()) => return Ok(()),
                Some(Landing::Kept { retry_after, why }) if !joined => {
                    return Err(kept(why, retry_after));
                }
                Some(Landing::Over(why)) => return Err(over(why)),
                _ => {}
            }
        }
        Err(kept(Why::Transient, Duration::from_secs(1)))
    }

    /// A newer token than the one that the provider's API refused. Tokens are refreshed once for
    /// each refused generation, and a token that never worked is not refreshed again and again.
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
            let (ticket, joined) = self.inner.board(key, Errand::Rejected(refused));
            match ticket.landing().await {
                Some(Landing::Over(why)) => return Err(over(why)),
                Some(Landing::Kept { retry_after, why }) if !joined => {
                    return Err(kept(why, retry_after));
                }
                _ => {}
            }
        }
        match self.inner.cache.unexpired(key, &*self.inner.clock) {
            Some(token) if token.generation() > refused => Ok(token),
            _ => Err(kept(Why::Unauthorized, Duration::from_secs(60))),
        }
    }

    /// Tells the hub that the provider's API accepted a token of this generation. The previous
    /// credential is then no longer needed.
    pub fn accepted(&self, key: &ConnectionKey, generation: Generation) {
        self.inner.cache.worked(key, generation);
    }
}

impl Inner {
    /// A place on the flight of this connection; true if the flight was there already.
    pub(crate) fn board(
        self: &Arc<Self>,
        key: &ConnectionKey,
        errand: Errand,
    ) -> (crate::token::flight::Ticket, bool) {
        let inner = Arc::clone(self);
        self.flights
            .join(key, |board| fly(inner, key.clone(), errand, board))
    }

    /// The token in memory, if it may be handed out. What is to be done for it is done behind the
    /// caller's back.
    fn good(self: &Arc<Self>, key: &ConnectionKey) -> Option<AccessToken> {
        match self.cache.read(key, &*self.clock) {
            Read::Ready(token) => Some(token),
            Read::Wake(token) => {
                // Whoever started a flight meanwhile does the work; the ticket is not needed.
                drop(self.board(key, Errand::Renew));
                Some(token)
            }
            Read::Wait => None,
        }
    }

    /// Waits for a token that may be handed out.
    async fn fetch(self: &Arc<Self>, key: &ConnectionKey) -> Result<AccessToken> {
        let clock = Arc::clone(&self.clock);
        tokio::select! {
            biased;
            token = self.fetch_unbounded(key) => token,
            () = clock.sleep(PATIENCE) => self.served(key, Why::Unresolved, PATIENCE),
        }
    }

    async fn fetch_unbounded(self: &Arc<Self>, key: &ConnectionKey) -> Result<AccessToken> {
        let mut last = None;
        // A flight that was under way may have been for something else; one more is enough.
        for _ in 0..2 {
            let (ticket, joined) = self.board(key, Errand::Fetch);
            match ticket.landing().await {
                // A token that was only compared with the store may be due for its refresh.
                Some(Landing::Current) => {
                    let token = self.good(key);
                    let token = token.or_else(|| self.cache.unexpired(key, &*self.clock));
                    if let Some(token) = token {
                        return Ok(token);
                    }
                }
                Some(Landing::Kept { retry_after, why }) => {
                    last = Some((why, retry_after));
                    if !joined || why == Why::StoreUnavailable {
                        break;
                    }
                }
                // The grant is over, or its record cannot be read here; a token that was handed out
                // before is as good as it was.
                Some(Landing::Over(why)) if why != Why::Ended => {
                    return match self.cache.unexpired(key, &*self.clock) {
                        Some(token) => Ok(token),
                        None => Err(over(why)),
                    };
                }
                Some(Landing::Over(why)) => return Err(over(why)),
                None => {}
            }
        }
        let (why, retry_after) = last.unwrap_or((Why::Transient, Duration::from_secs(1)));
        self.served(key, why, retry_after)
    }

    /// The token in memory as long as it has not expired, else why there is no other.
    fn served(&self, key: &ConnectionKey, why: Why, retry_after: Duration) -> Result<AccessToken> {
        match self.cache.unexpired(key, &*self.clock) {
            Some(token) => Ok(token),
            None => Err(kept(why, retry_after)),
        }
    }
}

fn kept(why: Why, retry_after: Duration) -> Error {
    let (kind, message) = match why {
        Why::Unresolved => (
            ErrorKind::RefreshUnresolved,
            "a refresh was sent and its outcome is not known yet; ask again when it can be settled",
        ),
        Why::Unauthorized => (
            ErrorKind::Unauthorized,
            "the provider refuses a fresh access token; it is tried again with growing pauses",
        ),
        Why::AppFault => (
            ErrorKind::AppMisconfigured,
            "the provider refuses the app; check its client id and secret, nothing is lost meanwhile",
        ),
        Why::StoreUnavailable => (
            ErrorKind::StoreUnavailable,
            "the store does not answer and no valid token is in memory; ask again",
        ),
        Why::SameAccessToken => (
            ErrorKind::UnexpectedAnswer,
            "the provider returned the access token from before; it is asked again later",
        ),
        Why::Held => (
            ErrorKind::RefreshUnresolved,
            "another process is refreshing this connection; ask again",
        ),
        _ => (
            ErrorKind::ProviderUnavailable,
            "the token could not be refreshed for now; it is tried again with growing pauses",
        ),
    };
    Error::new(kind, OPERATION, message).with_retry(Retry::After(retry_after))
}

fn over(why: Why) -> Error {
    match why {
        Why::NeedsReauthorization(reason) => Error::new(
            ErrorKind::NeedsReauthorization,
            OPERATION,
            reauthorization(reason),
        ),
        Why::Ended => Error::new(
            ErrorKind::NotFound,
            OPERATION,
            "there is no such connection, or it was disconnected; connect the account",
        ),
        Why::StoreBehind => Error::new(
            ErrorKind::StoreIncompatible,
            OPERATION,
            "the store holds an older credential than this process has seen; restore a newer backup",
        ),
        Why::ShuttingDown => shutting_down(OPERATION),
        Why::Failed(kind, message) => Error::new(kind, OPERATION, message),
        why => kept(why, Duration::from_secs(60)),
    }
}

pub(crate) fn shutting_down(operation: &'static str) -> Error {
    Error::new(
        ErrorKind::ShuttingDown,
        operation,
        "this process is shutting down; ask another one",
    )
}

fn reauthorization(reason: ReauthorizationReason) -> &'static str {
    match reason {
        ReauthorizationReason::RefreshTokenExpired => {
            "the refresh token ran out; the account's owner must connect it again"
        }
        ReauthorizationReason::LostInFlight => {
            "the provider's answer to a refresh was lost; the account's owner must connect it again"
        }
        ReauthorizationReason::AppNotInstalled => {
            "the app is no longer installed; the account's owner must connect it again"
        }
        ReauthorizationReason::NotRefreshable => {
            "the credential expired and cannot be refreshed; the owner must connect it again"
        }
        ReauthorizationReason::NonExpiringToken => {
            "the provider no longer accepts this kind of token; the owner must connect it again"
        }
        _ => "the provider ended the grant; the account's owner must connect it again",
    }
}
