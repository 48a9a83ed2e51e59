//! Access tokens as they are handed out: readable by reference, never copied by accident.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use secrecy::{ExposeSecret, SecretString};

use crate::clock::{Monotonic, Timestamp};
use crate::connection::{Generation, GrantNumber};
use crate::credential::Credential;
use crate::http::Origin;

/// How good an access token is at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Good for long.
    Good,
    /// Good, and it is time to refresh it behind the callers' backs.
    Advisory,
    /// Good for so short that callers wait for a newer one.
    Mandatory,
    /// Over.
    Expired,
}

/// When an access token enters its phases, on both clocks of this machine: the steady one stands
/// still while a machine is suspended, the wall clock jumps. Whichever says so first holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Deadlines([(Monotonic, Timestamp); 3]);

impl Deadlines {
    /// The deadlines of a token that is good for `left` from now, and enters its advisory and
    /// mandatory windows that long before its end.
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

    /// The phase at this moment.
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

/// A connection's access token in memory, with what decides whether it may be sent.
pub struct IssuedToken {
    secret: SecretString,
    origin: Origin,
    grant: GrantNumber,
    generation: Generation,
    deadlines: Option<Deadlines>,
    scopes: Box<[String]>,
}

impl IssuedToken {
    /// The token of `credential` at this generation; `deadlines` is `None` if it does not expire.
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

    /// The grant it belongs to.
    #[must_use]
    pub const fn grant(&self) -> GrantNumber {
        self.grant
    }

    /// Its generation.
    #[must_use]
    pub const fn generation(&self) -> Generation {
        self.generation
    }

    /// The moment, on either clock, at which it stops being [`Phase::Good`]; `None` if it does not
    /// expire.
    #[must_use]
    pub fn good_until(&self) -> Option<(Monotonic, Timestamp)> {
        self.deadlines.map(|Deadlines([advisory, ..])| advisory)
    }

    /// The phase at this moment.
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

/// Where the token of one connection lies. Reading takes no lock and copies nothing.
pub struct TokenSlot(ArcSwap<IssuedToken>);

impl TokenSlot {
    /// A slot that holds `token`.
    #[must_use]
    pub fn new(token: IssuedToken) -> Self {
        Self(ArcSwap::from_pointee(token))
    }

    /// The token that lies there now.
    #[must_use]
    pub fn load(&self) -> AccessToken {
        AccessToken(self.0.load())
    }

    /// Puts another token there. Those who hold the old one keep it.
    pub fn store(&self, token: IssuedToken) {
        self.0.store(Arc::new(token));
    }
}

impl fmt::Debug for TokenSlot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenSlot").field(&*self.0.load()).finish()
    }
}

/// An access token on loan. It can be attached to a request; it cannot be shown, cloned or written.
#[expect(missing_debug_implementations, reason = "it is never to be shown")]
pub struct AccessToken(Guard<Arc<IssuedToken>>);

impl AccessToken {
    /// A token that no store stands behind.
    #[must_use]
    pub fn fixed(token: IssuedToken) -> Self {
        Self::of(Arc::new(token))
    }

    /// A token that a source keeps itself.
    pub(crate) fn of(token: Arc<IssuedToken>) -> Self {
        Self(Guard::from_inner(token))
    }

    /// The secret, for the one place that attaches it to a request.
    #[must_use]
    pub fn secret(&self) -> &SecretString {
        &self.0.secret
    }

    /// The only origin that it may be sent to, unless the provider's description names others.
    #[must_use]
    pub fn origin(&self) -> &Origin {
        &self.0.origin
    }

    /// The grant it belongs to.
    #[must_use]
    pub fn grant(&self) -> GrantNumber {
        self.0.grant
    }

    /// Its generation.
    #[must_use]
    pub fn generation(&self) -> Generation {
        self.0.generation
    }

    /// The scopes that were granted; empty if the provider did not state them.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.0.scopes
    }

    /// The phase at this moment.
    #[must_use]
    pub fn phase(&self, steady: Monotonic, wall: Timestamp) -> Phase {
        self.0.phase(steady, wall)
    }

    /// Copies the secret, for a library that needs to own it.
    #[must_use]
    pub fn into_secret(self) -> SecretString {
        SecretString::from(self.0.secret.expose_secret())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expired_token_is_seen_as_expired_by_either_clock() {
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
    fn a_window_longer_than_the_life_begins_at_once() {
        let (steady, wall) = (Monotonic::new(Duration::ZERO), Timestamp::UNIX_EPOCH);
        let second = Duration::from_secs(1);
        let deadlines = Deadlines::new(steady, wall, second, second * 60, second * 30);
        assert_eq!(deadlines.phase(steady, wall), Phase::Mandatory);
    }

    #[test]
    fn a_token_on_loan_outlives_its_successor() {
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
