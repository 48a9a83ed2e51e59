//! Requests to the token endpoint, and the interpretation of their responses.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::Clock;
use connector_core::http::Sent;
use connector_core::provider::Context;
use connector_core::provider::oauth::{ExchangeClass, ExchangeError, TokenResponse};
use connector_core::store::TimeLeft;
use connector_core::{Credential, ErrorKind, Event, ReauthorizationReason};

use super::Driver;
use crate::telemetry;
use crate::token::deadline::DeadlineTransport;
use crate::token::machine::{Exchanged, Fault, Input, NewAccess};
use crate::token::renewal::{self, Renewed};

/// Timer delay from which the driver assumes that the process was suspended.
const OVERSLEPT: Duration = Duration::from_secs(1);
/// Time that a resumed process waits for a response that has already arrived. Longer than the
/// timeout of its transport.
const LAST_LOOK: Duration = Duration::from_secs(3);
/// Minimum remaining lifetime, in seconds, of an access token that a call can use.
const SHORTEST_LIFE: u64 = 5;

impl Driver<'_> {
    pub(super) async fn exchange(&mut self, first_byte: Duration, deadline: Duration) -> Input {
        let (Some(before), Some(app)) = (self.credential().cloned(), self.app.clone()) else {
            return self.exchanged(Exchanged::Failed {
                fault: Fault::Malformed,
                sent: Sent::No,
            });
        };
        self.failed = None;
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
        // After a suspension, the deadline has passed although a response may be waiting unread.
        if answer.is_none() && clock.monotonic().since(started) >= limit.saturating_add(OVERSLEPT) {
            answer = within(&mut refresh, &*clock, LAST_LOOK).await;
        }
        let provider = self.stored.connection.provider.as_str();
        let result = match &answer {
            Some(Ok(_)) => "refreshed",
            Some(Err(error)) => error.error().kind().as_str(),
            None => ErrorKind::Timeout.as_str(),
        };
        let took = clock.monotonic().since(started);
        telemetry::count(telemetry::REFRESHES, &[provider, result]);
        telemetry::took(telemetry::REFRESH_SECONDS, &[provider], took);
        let Some(answer) = answer else {
            tracing::warn!(
                operation = "token.exchange",
                "the provider did not respond in time"
            );
            self.failed = Some(Event::RefreshFailed {
                failure: ErrorKind::Timeout.as_str().to_owned(),
                status: None,
                code: None,
                request_id: None,
            });
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
                    "the token endpoint returned no token"
                );
                let cause = error.error();
                self.failed = Some(Event::RefreshFailed {
                    failure: cause.kind().as_str().to_owned(),
                    status: cause.status().map(|it| it.as_u16()),
                    code: error.code().map(str::to_owned),
                    request_id: cause.request_id().map(str::to_owned),
                });
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

    /// Processes a token response that arrived `elapsed` after the start of its request.
    fn renewed(
        &mut self,
        before: &Credential,
        answer: &TokenResponse,
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
            // The token must not be returned to callers, so it counts as expired from the start.
            renewed.expiries.access = Some(Duration::ZERO);
            renewed.credential = renewed.credential.with_expiry(now);
        }
        self.pair = Some(renewed);
        Exchanged::Pair { rotated, access }
    }

    fn access(
        &self,
        before: &Credential,
        answer: &TokenResponse,
        renewed: &Renewed,
        elapsed: Duration,
    ) -> NewAccess {
        // A derived token may keep its value and get a longer lifetime.
        let prolonged = self.is_minted() && renewed.credential.expires_at() > before.expires_at();
        if renewed.same_access && !prolonged {
            return NewAccess::Same;
        }
        let stated = match renewed.expiries.access {
            // A token that had expired before it was sent counts as expired now.
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

    /// Classifies a failure, depending on the state of the breaker and of the brake.
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
            ExchangeClass::AlreadyRefreshed => Fault::AlreadyRefreshed,
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

    /// Returns the reason why the provider refused the grant, if it is known.
    fn why_dead(&self) -> ReauthorizationReason {
        let ran_out = self.stored.current.as_ref().and_then(|it| it.refresh_left);
        if ran_out.is_some_and(TimeLeft::has_passed) {
            ReauthorizationReason::RefreshTokenExpired
        } else {
            ReauthorizationReason::GrantRevoked
        }
    }
}

/// Returns true if the response has a negative lifetime, as a number or as text.
fn is_negative(answer: &TokenResponse) -> bool {
    let number = answer.field::<f64>("expires_in");
    let text = || answer.field::<String>("expires_in")?.trim().parse().ok();
    number
        .or_else(text)
        .is_some_and(|seconds: f64| seconds < 0.0)
}

/// Returns the output of `future` if it is ready within `limit`.
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
