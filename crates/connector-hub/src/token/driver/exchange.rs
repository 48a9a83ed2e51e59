//! One request to the token endpoint, and the meaning of its response.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::Clock;
use connector_core::http::Sent;
use connector_core::provider::Context;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError, TokenAnswer};
use connector_core::store::TimeLeft;
use connector_core::{Credential, ReauthorizationReason};

use super::Driver;
use crate::token::deadline::DeadlineTransport;
use crate::token::machine::{Exchanged, Fault, Input, NewAccess};
use crate::token::renewal::{self, Renewed};

/// A timer that is late by this much belongs to a process that did not run.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// The time for which such a process still looks for a response that has arrived: longer than its
/// transport does.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// The shortest remaining lifetime, in seconds, of an access token that a call can use.
const SHORTEST_LIFE: u64 = 5;

impl Driver<'_> {
    pub(super) async fn exchange(&mut self, first_byte: Duration, deadline: Duration) -> Input {
        let (Some(before), Some(app)) = (self.credential().cloned(), self.app.clone()) else {
            return self.exchanged(Exchanged::Failed {
                fault: Fault::Malformed,
                sent: Sent::No,
            });
        };
        let clock = Arc::clone(&self.inner.clock);
        let transport = DeadlineTransport::new(
            Arc::clone(&self.inner.transport),
            Arc::clone(&clock),
            first_byte,
            self.progress.clone(),
        );
        let cx = Context::new(&app, &transport, &*clock);
        let limit = first_byte + deadline;
        let connector = Arc::clone(&self.connector);
        let mut refresh = pin!(connector.refresh(&cx, &before));
        let started = clock.monotonic();
        let mut answer = within(&mut refresh, &*clock, limit).await;
        // A process that was frozen finds its time over, and the response unread.
        if answer.is_none() && clock.monotonic().since(started) >= limit.saturating_add(OVERSLEPT) {
            answer = within(&mut refresh, &*clock, LAST_LOOK).await;
        }
        let Some(answer) = answer else {
            tracing::warn!(
                operation = "token.exchange",
                "the provider did not answer in time"
            );
            return self.exchanged(Exchanged::Failed {
                fault: Fault::Transient { after: None },
                sent: Sent::Maybe,
            });
        };
        let exchanged = match answer {
            Ok(answer) => self.renewed(&before, &answer, clock.monotonic().since(started)),
            Err(error) if transport.is_late() && error.sent() == Sent::No => Exchanged::Failed {
                fault: Fault::TooLate,
                sent: Sent::No,
            },
            Err(error) => {
                tracing::warn!(
                    operation = "token.exchange",
                    connector = self.stored.connection.provider.as_str(),
                    code = error.code(),
                    error = %error,
                    "the token endpoint gave no token"
                );
                Exchanged::Failed {
                    fault: self.fault(&error).await,
                    sent: error.sent(),
                }
            }
        };
        self.exchanged(exchanged)
    }

    fn exchanged(&self, answer: Exchanged) -> Input {
        let (steady, wall) = self.elapsed();
        Input::Exchanged {
            answer,
            elapsed: steady.max(wall),
        }
    }

    /// Takes a response that brought tokens `elapsed` after its request was started.
    fn renewed(
        &mut self,
        before: &Credential,
        answer: &TokenAnswer,
        elapsed: Duration,
    ) -> Exchanged {
        if let Some(registration) = &self.registration {
            self.inner.breakers.succeeded(registration);
        }
        let left = self.stored.current.as_ref().and_then(|it| it.refresh_left);
        let Some(app) = &self.app else {
            return Exchanged::Failed {
                fault: Fault::Malformed,
                sent: Sent::Answered,
            };
        };
        let now = self.inner.clock.now();
        let mut renewed = renewal::next(
            self.connector.description(),
            app,
            before,
            left.map(TimeLeft::remaining),
            answer,
            now,
        );
        let account = &self.stored.connection.account.key;
        self.mismatch = renewed.account.as_ref().is_some_and(|it| it != account);
        let (rotated, access) = (
            renewed.rotated,
            self.access(before, answer, &renewed, elapsed),
        );
        if matches!(access, NewAccess::Unusable { .. }) {
            // Nobody may be handed this token: it counts as expired from the start.
            renewed.expiries.access = Some(Duration::ZERO);
            renewed.credential = renewed.credential.with_expiry(now);
        }
        self.pair = Some(renewed);
        Exchanged::Pair { rotated, access }
    }

    fn access(
        &self,
        before: &Credential,
        answer: &TokenAnswer,
        renewed: &Renewed,
        elapsed: Duration,
    ) -> NewAccess {
        // A token that is renewed with itself may stay as it is and live longer.
        let prolonged = self.is_minted() && renewed.credential.expires_at() > before.expires_at();
        if renewed.same_access && !prolonged {
            return NewAccess::Same;
        }
        let stated = match renewed.expiries.access {
            // What expired before it was sent counts as expired now.
            Some(_) if is_negative(answer) => Duration::ZERO,
            Some(life) => life.saturating_sub(elapsed),
            None => return NewAccess::Usable,
        };
        if stated >= Duration::from_secs(SHORTEST_LIFE) {
            return NewAccess::Usable;
        }
        let seconds = u32::try_from(stated.as_secs()).unwrap_or_default();
        NewAccess::Unusable { seconds }
    }

    /// The meaning of a failure, after the breaker and the brake on waves of dead grants decided.
    async fn fault(&self, error: &ExchangeError) -> Fault {
        let refuses = matches!(
            error.class(),
            ExchangeClass::AppFault { .. } | ExchangeClass::DeadGrant
        );
        let Some(registration) = &self.registration else {
            return Fault::Malformed;
        };
        if refuses {
            let app = &self.stored.connection.app;
            self.inner.count_once(registration, app).await;
        }
        let breakers = &self.inner.breakers;
        let clock = &*self.inner.clock;
        match error.class() {
            ExchangeClass::Transient { after } => Fault::Transient { after },
            ExchangeClass::SiblingWon => Fault::SiblingWon,
            ExchangeClass::AppFault { certain } => {
                if breakers.refused(registration, &self.key, certain, clock) {
                    Fault::DeadGrant {
                        reason: ReauthorizationReason::AppNotInstalled,
                    }
                } else {
                    Fault::App
                }
            }
            ExchangeClass::DeadGrant => {
                if breakers.dead(registration, &self.key, clock) {
                    Fault::DeadGrant {
                        reason: self.why_dead(),
                    }
                } else {
                    Fault::Withheld
                }
            }
            _ => Fault::Malformed,
        }
    }

    /// The provider refused the grant; what is known about it says why.
    fn why_dead(&self) -> ReauthorizationReason {
        let ran_out = self.stored.current.as_ref().and_then(|it| it.refresh_left);
        if ran_out.is_some_and(TimeLeft::has_passed) {
            ReauthorizationReason::RefreshTokenExpired
        } else {
            ReauthorizationReason::GrantRevoked
        }
    }
}

/// True if the response states a negative lifetime, as a number or as text.
fn is_negative(answer: &TokenAnswer) -> bool {
    let number = answer.field::<f64>("expires_in");
    let text = || answer.field::<String>("expires_in")?.trim().parse().ok();
    number
        .or_else(text)
        .is_some_and(|seconds: f64| seconds < 0.0)
}

/// The output of `future`, if it is ready within `limit`.
async fn within<F: Future + Unpin>(
    future: F,
    clock: &dyn Clock,
    limit: Duration,
) -> Option<F::Output> {
    tokio::select! {
        biased;
        output = future => Some(output),
        () = clock.sleep(limit) => None,
    }
}
