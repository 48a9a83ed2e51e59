//! The traits of a provider's API operations.

use std::fmt;

use ring::digest::{SHA256, digest};

use crate::api::pages::{Page, PageCursor};
use crate::api::request::Request;
use crate::api::response::Response;
use crate::api::session::Session;
use crate::clock::Timestamp;
use crate::error::Result;
use crate::http::limit::Draws;
use crate::provider_id::ProviderId;
use crate::random::Random;

/// Retry rule for a call of which it is unknown whether the provider executed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Idempotency {
    /// Retried, because repeating the operation has no additional effect. Use it for reads, and for
    /// writes that set a state.
    Safe,
    /// Retried with an idempotency key. Each call has one idempotency key, which all its retries
    /// send. See [`Endpoint::keyed_request`].
    Keyed,
    /// Not retried, unless the provider certainly did not execute the operation: no byte was sent,
    /// or the response was 401 or a rate-limit error.
    Never,
}

/// An idempotency key of 32 hexadecimal digits, by which a provider recognizes retries.
#[derive(Clone, PartialEq, Eq)]
pub struct IdempotencyKey(String);

impl IdempotencyKey {
    /// Creates a key of 128 random bits.
    ///
    /// # Errors
    /// Same as [`Random::fill`].
    pub fn random(random: &dyn Random) -> Result<Self> {
        let mut bytes = [0; 16];
        random.fill(&mut bytes)?;
        Ok(Self(format!("{:032x}", u128::from_be_bytes(bytes))))
    }

    /// Derives a key from `text`, for example from a job id. The same text produces the same key in
    /// every process. The key is the first half of the SHA-256 digest of the text.
    #[must_use]
    pub fn derived_from(text: &str) -> Self {
        let digest = digest(&SHA256, text.as_bytes());
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest.as_ref()[..16]);
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// Returns the key as a string slice.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Formats the key as a UUID, for providers that require one.
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

/// An operation of a provider's API: its request, idempotency, scopes, cost and response decoder.
///
/// The fields of the implementing type are the arguments of the operation. The retry logic, the
/// rate limiter, the documentation, the simulator and the tests read its constants.
pub trait Endpoint: Send + Sync + 'static {
    /// The client type of the provider. Clients of other providers do not accept the operation at
    /// compile time. An untyped [`Session`] of another provider returns an error before anything is
    /// sent.
    type Client: ProviderClient;
    /// The type of the decoded response.
    type Output: Send + 'static;
    /// The name of the operation in errors, logs and metrics, for example `ListProducts`.
    const NAME: &'static str;
    /// Retry rule when it is unknown whether the provider executed the operation.
    const IDEMPOTENCY: Idempotency;
    /// The scopes that the operation requires. All entries are required. An entry may list
    /// alternatives, separated by spaces: `"read_products write_products"` requires one of the two.
    ///
    /// The session checks the scopes before it sends anything, if the provider stated the granted
    /// scopes.
    const SCOPES: &'static [&'static str] = &[];

    /// Checks the arguments before anything is sent.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput), with the name of the invalid argument.
    fn validate(&self) -> Result<()> {
        Ok(())
    }

    /// Returns the scopes that these arguments require in addition to [`Endpoint::SCOPES`], in the
    /// same format. For example, some providers require a further scope for data that is older than
    /// a certain age at `now`. Default: none.
    fn further_scopes(&self, now: Timestamp) -> &'static [&'static str] {
        let _ = now;
        &[]
    }

    /// Returns the limits that the operation uses and its expected cost in their units. If
    /// responses report the actual cost, the expected cost of later calls is corrected. Default: 1
    /// unit of every limit per app and per account.
    fn draws(&self) -> Draws {
        Draws::default()
    }

    /// Builds the request, without the credential. Called once for each call.
    ///
    /// # Errors
    /// The errors of the [`Request`] methods.
    fn request(&self) -> Result<Request>;

    /// Builds the request of an [`Idempotency::Keyed`] operation, with its key. Called once for
    /// each call. Retries send the same request.
    ///
    /// # Errors
    /// The errors of the [`Request`] methods.
    fn keyed_request(&self, key: &IdempotencyKey) -> Result<Request> {
        let _ = key;
        self.request()
    }

    /// Decodes a response that the provider's [`Classifier`](crate::provider::Classifier) accepted.
    ///
    /// Errors returned here have the same effect as errors of the classifier: depending on the
    /// kind, the request is retried or the token is refreshed. Pass rate-limit values from the body
    /// to [`Response::report`], so that the body is parsed only once.
    ///
    /// # Errors
    /// [`UnexpectedResponse`](crate::ErrorKind::UnexpectedResponse) if the response cannot be decoded.
    /// Create errors with [`Response::error`].
    fn decode(&self, response: &mut Response) -> Result<Self::Output>;
}

/// An operation that returns its results in pages.
pub trait PagedEndpoint: Endpoint<Output = Page<Self::Item>> {
    /// The type of one result.
    type Item: Send + 'static;
    /// Maximum number of results that the provider returns in one listing, even if more exist;
    /// `None` if there is no such limit. [`Pages`](crate::api::Pages) that reach the limit end with
    /// an error of kind [`ErrorKind::Truncated`](crate::ErrorKind::Truncated).
    const LIMIT: Option<usize> = None;

    /// Returns the same operation with the same arguments, starting at `cursor`.
    #[must_use]
    fn at(&self, cursor: &PageCursor) -> Self;

    /// Returns a cursor for a new listing that continues after a listing has reached
    /// [`PagedEndpoint::LIMIT`]. An example is a cursor based on the time of the last result.
    /// Default: none.
    fn resume(&self, last: &[Self::Item]) -> Option<PageCursor> {
        let _ = last;
        None
    }
}

/// A provider's typed client: a session that accepts only the operations of one provider.
///
/// [`provider_client!`](crate::provider_client) generates the type, this trait implementation and
/// the methods `send`, `pages`, `raw`, `background`, `download` and `upload`.
pub trait ProviderClient: Clone + Send + Sync + 'static {
    /// The provider of the client.
    const PROVIDER: ProviderId;

    /// Creates a client that uses `session`.
    fn new(session: Session) -> Self;

    /// Returns the session of the client.
    fn session(&self) -> &Session;
}
