//! An operation of a provider's API, as plain data.

use std::fmt;

use crate::api::pages::{Page, PageCursor};
use crate::api::request::Request;
use crate::api::response::Response;
use crate::api::session::Session;
use crate::error::Result;
use crate::http::limit::Draws;
use crate::provider::ProviderId;
use crate::random::Random;

/// Whether an operation may be sent again when it is open whether the provider carried it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idempotency {
    /// Carrying it out twice is as good as once: reads, and writes that set a state.
    Safe,
    /// The request carries a key by which the provider recognises a repetition. One key is made for
    /// each call and reused for all its repetitions: see [`Endpoint::keyed_request`].
    Keyed,
    /// Never. It is still sent again if the provider certainly did not carry it out: no byte left
    /// this machine, 401, or a refusal by a limit.
    Never,
}

/// The key by which a provider recognises that a request repeats an earlier one: 32 hexadecimal
/// digits.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// A new key of 128 random bits.
    ///
    /// # Errors
    /// As for [`Random::fill`].
    pub fn random(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The key in the form of a UUID, for providers that want one.
    #[must_use]
    pub fn to_uuid(&self) -> String {
        let hyphen = |at| matches!(at, 8 | 12 | 16 | 20);
        let mut text = String::with_capacity(36);
        for (at, digit) in self.0.chars().enumerate() {
            if hyphen(at) {
                text.push('-');
            }
            text.push(digit);
        }
        text
    }
}

impl fmt::Debug for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IdempotencyKey({})", self.0)
    }
}

/// An operation: what is asked, how often it may be, what it costs, and how its answer is read.
///
/// The value is the operation's arguments. Name, repeatability, scopes and cost stand here, so that
/// repetition, limiter, documentation, simulator and tests share one truth.
pub trait Endpoint: Send + Sync + 'static {
    /// What the answer is read into.
    type Output: Send + 'static;
    /// Its name in errors, logs and metrics, for example `ListProducts`.
    const NAME: &'static str;
    /// Whether it may be sent again when it is open whether the provider carried it out.
    const IDEMPOTENCY: Idempotency;
    /// The scopes it needs.
    const SCOPES: &'static [&'static str] = &[];

    /// Checks the arguments before anything is sent.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) names the argument that is wrong.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// The limits of the provider that the operation draws from, and its expected cost in the
    /// limits' unit. Where responses state the true cost, later calls are corrected by it. Default:
    /// 1 of every limit per app and per account.
    fn draws(&self) -> Draws {
        Draws::default()
    }

    /// The request, without credential. Called once for each call.
    ///
    /// # Errors
    /// As [`Request`] says.
    fn request(&self) -> Result<Request>;

    /// The request of an operation that is [`Idempotency::Keyed`], with its key.
    ///
    /// # Errors
    /// As [`Request`] says.
    fn keyed_request(&self, key: &IdempotencyKey) -> Result<Request> {
        let _ = key;
        self.request()
    }

    /// Reads an answer that the provider's [`Classifier`](crate::api::Classifier) let pass.
    ///
    /// An error here counts like one of the classifier, so that a refusal inside a body is repeated
    /// or leads to a refresh as its kind says. Tell the limiter what the body says about limits with
    /// [`Response::report`], so that the body is parsed once.
    ///
    /// # Errors
    /// [`UnexpectedAnswer`](crate::ErrorKind::UnexpectedAnswer) if it cannot be read; make errors
    /// with [`Response::error`].
    fn decode(response: &mut Response) -> Result<Self::Output>;
}

/// An operation whose results come in pages.
pub trait PagedEndpoint: Endpoint<Output = Page<Self::Item>> {
    /// One result.
    type Item: Send + 'static;

    /// The same operation from `cursor` on, with all its other arguments as they are.
    #[must_use]
    fn at(&self, cursor: &PageCursor) -> Self;
}

/// A provider's typed client: a session and nothing else.
pub trait ProviderClient: Clone + Send + Sync + 'static {
    /// The provider.
    const PROVIDER: ProviderId;

    /// A client over `session`.
    fn new(session: Session) -> Self;

    /// Its session.
    fn session(&self) -> &Session;
}
