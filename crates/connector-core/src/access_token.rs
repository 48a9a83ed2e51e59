//! Access tokens in memory. Callers can borrow the tokens but cannot clone or print them by
//! accident.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::{Monotonic, Timestamp};
use crate::connection::{Generation, GrantNumber};
use crate::credential::Credential;
use crate::http::Origin;

/// Freshness of an access token at one point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Fresh: no refresh is due.
    Good,
    /// Still valid, and a background refresh is due.
    Advisory,
    /// About to expire: callers wait for a new token.
    Mandatory,
    /// No longer valid.
    Expired,
}

/// The times at which an access token enters each phase, on the monotonic clock and on the wall
/// clock. The monotonic clock stops while a machine is suspended, and the wall clock can jump, so a
/// phase starts when either deadline has passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines([(Monotonic, Timestamp); 3]);

impl Deadlines {
    /// Computes the deadlines of a token that is valid for `left` from now. The advisory and the
    /// mandatory refresh windows start the given times before expiry.
    #[must_use]
    pub fn new(
        steady: Monotonic,
        wall: Timestamp,
        left: Duration,
        advisory: Duration,
        mandatory: Duration,
    ) -> Self {
        let offsets = [
            left.saturating_sub(advisory),
            left.saturating_sub(mandatory),
            left,
        ];
        Self(offsets.map(|offset| (steady.after(offset), wall.after(offset))))
    }

    /// Returns the phase at the given time.
    #[must_use]
    pub fn phase(&self, steady: Monotonic, wall: Timestamp) -> Phase {
        let [advisory, mandatory, end] = &self.0;
        let passed = |at: &(Monotonic, Timestamp)| steady >= at.0 || wall >= at.1;
        if !passed(advisory) {
            Phase::Good
        } else if passed(end) {
            Phase::Expired
        } else if passed(mandatory) {
            Phase::Mandatory
        } else {
            Phase::Advisory
        }
    }
}

/// A connection's access token in memory, with the deadlines that decide whether to send it.
pub struct IssuedToken {
    secret: SecretString,
    origin: Origin,
    grant: GrantNumber,
    generation: Generation,
    deadlines: Option<Deadlines>,
    scopes: Box<[String]>,
}

impl IssuedToken {
    /// Creates a token from `credential` at this generation. Pass `None` as `deadlines` if the
    /// token does not expire.
    #[must_use]
    pub fn new(
        credential: &Credential,
        grant: GrantNumber,
        generation: Generation,
        deadlines: Option<Deadlines>,
    ) -> Self {
        Self {
            secret: credential.secret().clone(),
            origin: credential.origin().clone(),
            grant,
            generation,
            deadlines,
            scopes: credential.scopes().into(),
        }
    }

    /// Returns the number of the token's grant.
    #[must_use]
    pub const fn grant(&self) -> GrantNumber {
        self.grant
    }

    /// Returns the generation of the token.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// Returns the time, on both clocks, at which the token leaves [`Phase::Good`]; `None` if the
    /// token does not expire.
    #[must_use]
    pub fn good_until(&self) -> Option<(Monotonic, Timestamp)> {
        self.deadlines.map(|Deadlines([advisory, ..])| advisory)
    }

    /// Returns the time, on the wall clock of this process, at which the token expires; `None` if the
    /// token does not expire.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.deadlines.map(|Deadlines([.., (_, end)])| end)
    }

    /// Returns the phase at the given time.
    #[must_use]
    pub fn phase(&self, steady: Monotonic, wall: Timestamp) -> Phase {
        self.deadlines
            .as_ref()
            .map_or(Phase::Good, |deadlines| deadlines.phase(steady, wall))
    }
}

impl fmt::Debug for IssuedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedToken")
            .field("origin", &self.origin)
            .field("grant", &self.grant)
            .field("generation", &self.generation)
            .finish_non_exhaustive()
    }
}

/// A slot for the current token of one connection. Reading takes no lock and makes no copy.
pub struct TokenSlot(ArcSwap<IssuedToken>);

impl TokenSlot {
    /// Creates a slot that contains `token`.
    #[must_use]
    pub fn new(token: IssuedToken) -> Self {
        Self(ArcSwap::from_pointee(token))
    }

    /// Returns the current token.
    #[must_use]
    pub fn load(&self) -> AccessToken {
        AccessToken(self.0.load())
    }

    /// Replaces the token. Callers that already loaded the previous token keep it.
    pub fn store(&self, token: IssuedToken) {
        self.0.store(Arc::new(token));
    }
}

impl fmt::Debug for TokenSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenSlot").field(&*self.0.load()).finish()
    }
}

/// A borrowed access token. You can attach it to a request, but you cannot print, clone or
/// serialize it.
#[expect(missing_debug_implementations, reason = "it must not be printed")]
pub struct AccessToken(Guard<Arc<IssuedToken>>);

impl AccessToken {
    /// Creates a token that is not backed by a store.
    #[must_use]
    pub fn fixed(token: IssuedToken) -> Self {
        Self::of(Arc::new(token))
    }

    /// Wraps a token that a token source caches itself.
    pub(crate) fn of(token: Arc<IssuedToken>) -> Self {
        Self(Guard::from_inner(token))
    }

    /// Returns the secret. Call this only where the secret is attached to a request.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0.secret
    }

    /// Returns the only origin that may receive the token, unless the provider's description allows
    /// others.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// Returns the time, on the wall clock of this process, at which the token expires; `None` if the
    /// token does not expire.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.0.expires_at()
    }

    /// Returns the number of the token's grant.
    #[must_use]
    pub fn grant(&self) -> GrantNumber {
        self.0.grant
    }

    /// Returns the generation of the token.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// Returns the granted scopes; empty if the provider did not state them.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// Returns the phase at the given time.
    #[must_use]
    pub fn phase(&self, steady: Monotonic, wall: Timestamp) -> Phase {
        self.0.phase(steady, wall)
    }

    /// Copies the secret, for libraries that need an owned value.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        SecretString::from(self.0.secret.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_clock_can_expire_a_token() {
        let (steady, wall) = (
            Monotonic::new(Duration::ZERO),
            Timestamp::from_unix_seconds(1000),
        );
        let seconds = Duration::from_secs;
        let deadlines = Deadlines::new(steady, wall, seconds(100), seconds(30), seconds(5));
        let table = [
            (0, 1000, Phase::Good),
            (69, 1069, Phase::Good),
            (70, 1000, Phase::Advisory),
            (0, 1070, Phase::Advisory),
            (95, 1095, Phase::Mandatory),
            (100, 1000, Phase::Expired),
            (0, 1100, Phase::Expired),
            (100, 0, Phase::Expired),
        ];
        for (steady, wall, phase) in table {
            let (steady, wall) = (
                Monotonic::new(seconds(steady)),
                Timestamp::from_unix_seconds(wall),
            );
            assert_eq!(deadlines.phase(steady, wall), phase, "{steady:?} {wall:?}");
        }
    }

    #[test]
    fn a_window_longer_than_the_lifetime_starts_immediately() {
        let (steady, wall) = (Monotonic::new(Duration::ZERO), Timestamp::UNIX_EPOCH);
        let second = Duration::from_secs(1);
        let deadlines = Deadlines::new(steady, wall, second, second * 60, second * 30);
        assert_eq!(deadlines.phase(steady, wall), Phase::Mandatory);
    }

    #[test]
    fn a_borrowed_token_stays_valid_after_a_replacement() {
        let credential = |secret: &str| {
            Credential::new(
                crate::CredentialKind::OAuth,
                Origin::parse("https://a.example").unwrap(),
                secret.to_owned(),
                Timestamp::UNIX_EPOCH,
            )
        };
        let issued = |secret, generation| {
            let generation = Generation::new(generation);
            IssuedToken::new(&credential(secret), GrantNumber::new(1), generation, None)
        };
        let slot = TokenSlot::new(issued("first", 1));
        let first = slot.load();
        slot.store(issued("second", 2));
        assert_eq!(first.secret().expose_secret(), "first");
        assert_eq!(slot.load().into_secret().expose_secret(), "second");
        assert!(!format!("{slot:?}").contains("second"));
    }
}
