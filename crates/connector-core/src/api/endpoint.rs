//! An operation of a provider's API, as plain data.

use std::fmt;

use ring::digest::{SHA256, digest};

use crate::api::pages::{Page, PageCursor};
use crate::api::request::Request;
use crate::api::response::Response;
use crate::api::session::Session;
use crate::error::Result;
use crate::http::limit::Draws;
use crate::provider_id::ProviderId;
use crate::random::Random;

/// The rule for retrying an operation when it is unknown whether the provider carried it out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idempotency {
    /// Retried: carrying it out twice has the effect of once. Reads, and writes that set a state.
    Safe,
    /// Retried: the request carries an idempotency key. Each call has one key, reused by its retries:
    /// see [`Endpoint::keyed_request`].
    Keyed,
    /// Not retried, unless the provider certainly did not carry it out: no byte left this machine,
    /// 401, or a refusal by a limit.
    Never,
}

/// An idempotency key: 32 hexadecimal digits by which a provider recognises a retry.
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

    /// The key that belongs to `text`, for example to the id of a job: the same text gives the same
    /// key in every process. The key is the first half of the text's SHA-256 digest.
    #[must_use]
    pub fn derived_from(text: &str) -> Self {
        let digest = digest(&SHA256, text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
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

/// An operation of one provider's API: its request, idempotency, scopes, cost, and how its response
/// is decoded.
///
/// The value holds the operation's arguments. Name, idempotency, scopes and cost are declared here
/// once, for retries, limiter, documentation, simulator and tests.
pub trait Endpoint: Send + Sync + 'static {
    /// The client of the provider whose operation this is. Another provider's client does not accept
    /// the operation; an untyped [`Session`] of another provider refuses it before anything is sent.
    type Client: ProviderClient;
    /// The type that the response is decoded into.
    type Output: Send + 'static;
    /// Its name in errors, logs and metrics, for example `ListProducts`.
    const NAME: &'static str;
    /// The rule for retrying it when it is unknown whether the provider carried it out.
    const IDEMPOTENCY: Idempotency;
    /// The scopes that it needs, all of them. An entry may list alternatives, separated by spaces:
    /// `"read_products write_products"` needs one of the two.
    ///
    /// Checked against the granted scopes before anything is sent, if the provider stated them.
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

    /// The request of an operation that is [`Idempotency::Keyed`], with its key. Called once for each
    /// call; retries send the same request.
    ///
    /// # Errors
    /// As [`Request`] says.
    fn keyed_request(&self, key: &IdempotencyKey) -> Result<Request> {
        let _ = key;
        self.request()
    }

    /// Decodes a response that the provider's [`Classifier`](crate::provider::Classifier) accepted.
    ///
    /// An error here has the same effect as one of the classifier: a refusal inside a body is retried
    /// or leads to a refresh, as its kind says. Pass figures of the provider's limits that the body
    /// states to [`Response::report`], so that the body is parsed once.
    ///
    /// # Errors
    /// [`UnexpectedAnswer`](crate::ErrorKind::UnexpectedAnswer) if it cannot be decoded. Create errors
    /// with [`Response::error`].
    fn decode(&self, response: &mut Response) -> Result<Self::Output>;
}

/// An operation whose results come in pages.
pub trait PagedEndpoint: Endpoint<Output = Page<Self::Item>> {
    /// One result.
    type Item: Send + 'static;
    /// The number of results after which the provider ends a listing, whether there are more or not;
    /// `None` if it has no such limit. [`Pages`](crate::api::Pages) that reach it end with an error of
    /// kind [`ErrorKind::Truncated`](crate::ErrorKind::Truncated).
    const LIMIT: Option<usize> = None;

    /// The same operation from `cursor` on, with all its other arguments as they are.
    #[must_use]
    fn at(&self, cursor: &PageCursor) -> Self;

    /// The cursor from which another listing goes on behind the last results of one that reached
    /// [`PagedEndpoint::LIMIT`], for example from the time of the last one. Default: none.
    fn resume(&self, last: &[Self::Item]) -> Option<PageCursor> {
        let _ = last;
        None
    }
}

/// A provider's typed client: a session that accepts the operations of one provider.
///
/// [`provider_client!`](crate::provider_client) writes the type, this trait and the methods `send`,
/// `pages`, `raw`, `background`, `download` and `upload`.
pub trait ProviderClient: Clone + Send + Sync + 'static {
    /// The provider.
    const PROVIDER: ProviderId;

    /// A client over `session`.
    fn new(session: Session) -> Self;

    /// Its session.
    fn session(&self) -> &Session;
}
