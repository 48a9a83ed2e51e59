//! JSON Web Tokens (RFC 7519, RFC 7515): assertions that an app sends to a provider, and tokens
//! that a provider signs.
//!
//! Assertions and provider tokens use RS256 or ES256, the algorithms that providers use for both.
//! Tokens signed with the client secret use HS256. Each key has one fixed algorithm, so that the
//! token's `alg` header cannot select a weaker algorithm.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::rand::SystemRandom;
use ring::{hmac, signature};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivatePkcs1KeyDer, PrivatePkcs8KeyDer};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use crate::clock::{Monotonic, Timestamp};
use crate::error::{Error, ErrorKind, Result};
use crate::http::OutboundRequest;
use crate::json::without_bom;
use crate::provider::Context;

const SIGN: &str = "jwt.sign";
const VERIFY: &str = "jwt.verify";

/// Maximum length of a token, in bytes.
const MAX_LEN: usize = 16 * 1024;
/// Default tolerance between the provider's clock and the local clock.
const LEEWAY: Duration = Duration::from_secs(60);

/// A private key that signs assertions (RFC 7523), for example the key of a GitHub app or a Google
/// service account.
pub struct SigningKey {
    key: PrivateKey,
    key_id: Option<String>,
}

enum PrivateKey {
    Rsa(signature::RsaKeyPair),
    EcdsaP256(signature::EcdsaKeyPair),
}

impl SigningKey {
    /// Parses a PEM private key: PKCS#8 with an RSA or P-256 key, or PKCS#1.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`] if the text is not such a key. The error does not quote the
    /// text.
    pub fn from_pem(pem: &SecretString) -> Result<Self> {
        let wrong = || {
            Error::new(
                ErrorKind::Configuration,
                SIGN,
                "the private key is not a PEM file with an RSA key of at least 2,048 bits or a \
                 P-256 key",
            )
        };
        let text = pem.expose_secret().as_bytes();
        let key = if let Ok(der) = PrivatePkcs8KeyDer::from_pem_slice(text) {
            let der = der.secret_pkcs8_der();
            match signature::RsaKeyPair::from_pkcs8(der) {
                Ok(key) => PrivateKey::Rsa(key),
                Err(_) => PrivateKey::EcdsaP256(ecdsa(der).map_err(|_| wrong())?),
            }
        } else {
            let der = PrivatePkcs1KeyDer::from_pem_slice(text).map_err(|_| wrong())?;
            let key = signature::RsaKeyPair::from_der(der.secret_pkcs1_der());
            PrivateKey::Rsa(key.map_err(|_| wrong())?)
        };
        Ok(Self { key, key_id: None })
    }

    /// Sets the key id for the token's `kid` header.
    #[must_use]
    pub fn with_key_id(mut self, key_id: impl Into<String>) -> Self {
        self.key_id = Some(key_id.into());
        self
    }

    /// Signs `claims` as a compact JWT: RS256 for an RSA key, ES256 for a P-256 key.
    ///
    /// # Errors
    /// [`ErrorKind::Bug`] if the machine's random source fails.
    pub fn sign(&self, claims: &Value) -> Result<SecretString> {
        let mut header = json!({ "alg": self.algorithm(), "typ": "JWT" });
        if let Some(key_id) = &self.key_id {
            header["kid"] = key_id.as_str().into();
        }
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let mut token = encode(&header) + "." + &encode(claims);
        let failed = |_| Error::new(ErrorKind::Bug, SIGN, "the machine's random source failed");
        let random = SystemRandom::new();
        let signature = match &self.key {
            PrivateKey::Rsa(key) => {
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(
                    &signature::RSA_PKCS1_SHA256,
                    &random,
                    token.as_bytes(),
                    &mut signature,
                )
                .map_err(failed)?;
                signature
            }
            PrivateKey::EcdsaP256(key) => {
                let signature = key.sign(&random, token.as_bytes()).map_err(failed)?;
                signature.as_ref().to_vec()
            }
        };
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(SecretString::from(token))
    }

    const fn algorithm(&self) -> &'static str {
        match self.key {
            PrivateKey::Rsa(_) => "RS256",
            PrivateKey::EcdsaP256(_) => "ES256",
        }
    }
}

fn ecdsa(pkcs8: &[u8]) -> Result<signature::EcdsaKeyPair, ring::error::KeyRejected> {
    let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
    signature::EcdsaKeyPair::from_pkcs8(algorithm, pkcs8, &SystemRandom::new())
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("algorithm", &self.algorithm())
            .field("key_id", &self.key_id)
            .finish_non_exhaustive()
    }
}

/// The expected claims of a token to verify.
#[derive(Debug, Clone)]
#[must_use]
pub struct Expected<'a> {
    issuers: &'a [&'a str],
    audience: &'a str,
    leeway: Duration,
}

impl<'a> Expected<'a> {
    /// Creates the expectation of a token for `audience` from one of `issuers`. If `issuers` is
    /// empty, `iss` is not checked.
    pub const fn new(issuers: &'a [&'a str], audience: &'a str) -> Self {
        Self {
            issuers,
            audience,
            leeway: LEEWAY,
        }
    }

    /// Sets the tolerance between the provider's clock and the local clock. Default: 60 seconds.
    pub const fn with_leeway(mut self, leeway: Duration) -> Self {
        self.leeway = leeway;
        self
    }

    /// Checks `iss`, `aud`, `exp`, `nbf` and `iat`.
    fn check(&self, claims: &Value, now: Timestamp) -> Result<()> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
        if !self.issuers.is_empty() && !self.issuers.contains(&text("iss")) {
            return Err(refused("the token was issued by another issuer"));
        }
        if !names_audience(claims, self.audience) {
            return Err(refused("the token is for another audience"));
        }
        let at = |name: &str| {
            let seconds = claims.get(name).and_then(Value::as_f64)?;
            // Larger values are not plausible timestamps.
            #[expect(clippy::cast_possible_truncation, reason = "the range was checked")]
            (0.0..1e12)
                .contains(&seconds)
                .then(|| Timestamp::from_unix_seconds(seconds as i64))
        };
        let earliest = now.as_unix_millis() - millis(self.leeway);
        let latest = now.as_unix_millis() + millis(self.leeway);
        match at("exp") {
            Some(expires) if expires.as_unix_millis() > earliest => {}
            _ => return Err(refused("the token has expired, or has no valid expiry")),
        }
        for name in ["nbf", "iat"] {
            if claims.get(name).is_some()
                && at(name).is_none_or(|begins| begins.as_unix_millis() > latest)
            {
                return Err(refused("the token is not yet valid"));
            }
        }
        Ok(())
    }
}

/// Returns true if `aud` equals `audience` or is a list that contains it (RFC 7519 section 4.1.3).
pub(super) fn names_audience(claims: &Value, audience: &str) -> bool {
    match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(|it| it.as_str() == Some(audience)),
        Some(Value::String(one)) => one == audience,
        _ => false,
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX / 4)
}

/// Verifies a token signed with a shared secret (HS256), such as a Shopify session token, and
/// returns its claims.
///
/// During a rotation, several secrets may be valid.
///
/// # Errors
/// [`ErrorKind::Unauthorized`] if the token is not signed with one of `secrets`, or if its claims
/// do not match `expected`.
pub fn verify_hs256(
    token: &str,
    secrets: &[SecretString],
    expected: &Expected<'_>,
    now: Timestamp,
) -> Result<Value> {
    let parts = Parts::of(token)?;
    if parts.algorithm != "HS256" {
        return Err(refused("the token is signed with another algorithm"));
    }
    let fits = |secret: &SecretString| {
        let secret = secret.expose_secret().as_bytes();
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret);
        !secret.is_empty() && hmac::verify(&key, parts.signed, &parts.signature).is_ok()
    };
    if !secrets.iter().any(fits) {
        return Err(refused("the token's signature is invalid"));
    }
    expected.check(&parts.claims, now)?;
    Ok(parts.claims)
}

/// A decoded token that has not been verified.
struct Parts<'t> {
    algorithm: String,
    key_id: Option<String>,
    claims: Value,
    signed: &'t [u8],
    signature: Vec<u8>,
}

impl<'t> Parts<'t> {
    fn of(token: &'t str) -> Result<Self> {
        let malformed = || refused("the token is not a signed JWT");
        let (signed, signature) = token.rsplit_once('.').ok_or_else(malformed)?;
        let (header, claims) = signed.split_once('.').ok_or_else(malformed)?;
        if token.len() > MAX_LEN {
            return Err(refused("the token is longer than 16 KiB"));
        }
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| malformed());
        let read = |part: &str| -> Result<Value> {
            let value: Value = serde_json::from_slice(&decode(part)?).map_err(|_| malformed())?;
            value.is_object().then_some(value).ok_or_else(malformed)
        };
        let header = read(header)?;
        let text = |name: &str| header.get(name).and_then(Value::as_str).map(str::to_owned);
        // `crit` lists extensions that the verifier must support. None are supported (RFC 7515
        // section 4.1.11).
        if header.get("crit").is_some() {
            return Err(malformed());
        }
        Ok(Self {
            algorithm: text("alg").ok_or_else(malformed)?,
            key_id: text("kid"),
            claims: read(claims)?,
            signed: signed.as_bytes(),
            signature: decode(signature)?,
        })
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::Unauthorized, VERIFY, message)
}

/// A provider's public keys (RFC 7517), fetched from its URL and cached.
///
/// The keys are fetched again once a day, and when a token has an unknown key id, at most once a
/// minute. If a fetch fails, the cached keys stay in use.
#[derive(Debug)]
pub struct KeySet {
    url: Url,
    cached: Mutex<Cached>,
}

#[derive(Debug, Default)]
struct Cached {
    keys: Arc<Vec<PublicKey>>,
    read_at: Option<Monotonic>,
    tried_at: Option<Monotonic>,
}

/// Minimum interval between two fetches.
const READ_AGAIN: Duration = Duration::from_secs(60);
/// Time after which the cached keys are fetched again. Keys that the provider has withdrawn are
/// then dropped.
const KEEP: Duration = Duration::from_secs(86_400);
/// Maximum number of cached keys.
const MAX_KEYS: usize = 64;

#[derive(Debug)]
struct PublicKey {
    id: Option<String>,
    key: Public,
}

#[derive(Debug)]
enum Public {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    EcdsaP256(Vec<u8>),
}

#[derive(Deserialize)]
struct JsonKeySet {
    keys: Vec<JsonKey>,
}

#[derive(Deserialize)]
struct JsonKey {
    kty: String,
    #[serde(default)]
    kid: Option<String>,
    #[serde(default, rename = "use")]
    usage: Option<String>,
    #[serde(default)]
    n: Option<String>,
    #[serde(default)]
    e: Option<String>,
    #[serde(default)]
    crv: Option<String>,
    #[serde(default)]
    x: Option<String>,
    #[serde(default)]
    y: Option<String>,
}

impl KeySet {
    /// Returns the key set at `url` without fetching it. The URL must be a constant of the
    /// connector.
    #[must_use]
    pub fn at(url: Url) -> Self {
        Self {
            url,
            cached: Mutex::default(),
        }
    }

    /// Verifies a token signed by one of the provider's keys (RS256, ES256) and returns its claims.
    ///
    /// # Errors
    /// [`ErrorKind::Unauthorized`] if no key verifies the signature, or if the claims do not match
    /// `expected`. If the keys cannot be fetched, the error has the kind of the network or provider
    /// failure. Retry later.
    pub async fn verify(
        &self,
        cx: &Context<'_>,
        token: &str,
        expected: &Expected<'_>,
    ) -> Result<Value> {
        let parts = Parts::of(token)?;
        let now = cx.clock.monotonic();
        let (keys, is_current) = self.cached(now);
        let known = keys.iter().any(|key| key.is_meant(&parts));
        let keys = if (known && is_current) || !self.may_read(now) {
            keys
        } else {
            match self.read(cx).await {
                Ok(keys) => keys,
                // If the fetch fails, a key that may have been withdrawn is still accepted.
                Err(_) if known => keys,
                Err(error) => return Err(error),
            }
        };
        let fits = |key: &&PublicKey| key.is_meant(&parts) && key.verifies(&parts);
        if !keys.iter().any(|key| fits(&key)) {
            return Err(refused(
                "the token's signature matches none of the provider's keys",
            ));
        }
        expected.check(&parts.claims, cx.clock.now())?;
        Ok(parts.claims)
    }

    fn cached(&self, now: Monotonic) -> (Arc<Vec<PublicKey>>, bool) {
        let cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let is_current = cached.read_at.is_some_and(|at| now.since(at) < KEEP);
        (Arc::clone(&cached.keys), is_current)
    }

    /// Returns true if the keys may be fetched now, and records the attempt.
    fn may_read(&self, now: Monotonic) -> bool {
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        let may = cached.tried_at.is_none_or(|at| now.since(at) >= READ_AGAIN);
        if may {
            cached.tried_at = Some(now);
        }
        may
    }

    async fn read(&self, cx: &Context<'_>) -> Result<Arc<Vec<PublicKey>>> {
        let failed = |kind, message| Error::new(kind, "jwt.keys", message);
        let request = http::Request::get(self.url.as_str()).body(Bytes::new());
        let request = request.map_err(|_| {
            failed(
                ErrorKind::Configuration,
                "the URL of the provider's keys is invalid",
            )
        })?;
        let response = cx
            .send(OutboundRequest::token(request))
            .await
            .map_err(|error| {
                failed(
                    ErrorKind::Network,
                    "the provider's keys cannot be fetched; try again later",
                )
                .with_source(error)
            })?;
        if !response.status().is_success() {
            return Err(failed(
                ErrorKind::ProviderUnavailable,
                "the provider's keys cannot be fetched; try again later",
            ));
        }
        let body = without_bom(response.body());
        let set: JsonKeySet = serde_json::from_slice(body).map_err(|_| {
            failed(
                ErrorKind::UnexpectedResponse,
                "the provider's keys are not a JSON Web Key Set",
            )
        })?;
        let keys = set.keys.into_iter().filter_map(PublicKey::of);
        let keys = Arc::new(keys.take(MAX_KEYS).collect::<Vec<_>>());
        let mut cached = self.cached.lock().unwrap_or_else(PoisonError::into_inner);
        cached.keys = Arc::clone(&keys);
        cached.read_at = Some(cx.clock.monotonic());
        Ok(keys)
    }
}

impl PublicKey {
    /// Returns a signing key with a supported algorithm, or `None` for any other key.
    fn of(key: JsonKey) -> Option<Self> {
        if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return None;
        }
        let decode = |text: Option<String>| {
            let bytes = BASE64_URL_SAFE_NO_PAD
                .decode(text?.trim_end_matches('='))
                .ok()?;
            (bytes.len() <= 1024).then_some(bytes)
        };
        let public = match (key.kty.as_str(), key.crv.as_deref()) {
            ("RSA", _) => Public::Rsa {
                n: decode(key.n)?,
                e: decode(key.e)?,
            },
            ("EC", Some("P-256")) => {
                let (x, y) = (decode(key.x)?, decode(key.y)?);
                if x.len() != 32 || y.len() != 32 {
                    return None;
                }
                // An uncompressed point (SEC 1 section 2.3.3).
                Public::EcdsaP256([&[4], x.as_slice(), y.as_slice()].concat())
            }
            _ => return None,
        };
        Some(Self {
            id: key.kid,
            key: public,
        })
    }

    fn is_meant(&self, token: &Parts<'_>) -> bool {
        let algorithm = match self.key {
            Public::Rsa { .. } => "RS256",
            Public::EcdsaP256(_) => "ES256",
        };
        let id = token.key_id.is_none() || self.id.is_none() || token.key_id == self.id;
        algorithm == token.algorithm && id
    }

    fn verifies(&self, token: &Parts<'_>) -> bool {
        match &self.key {
            Public::Rsa { n, e } => signature::RsaPublicKeyComponents { n, e }
                .verify(
                    &signature::RSA_PKCS1_2048_8192_SHA256,
                    token.signed,
                    &token.signature,
                )
                .is_ok(),
            Public::EcdsaP256(point) => {
                signature::UnparsedPublicKey::new(&signature::ECDSA_P256_SHA256_FIXED, point)
                    .verify(token.signed, &token.signature)
                    .is_ok()
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints counts")]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use proptest::prelude::*;
    use ring::signature::KeyPair;

    use super::*;
    use crate::app::App;
    use crate::clock::ManualClock;
    use crate::http::{HttpTransport, TransportError};

    /// RFC 7515 appendix A.3: ES256.
    const RFC_TOKEN: &str = "eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ.DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";
    const RFC_KEY: &str = r#"{"kty":"EC","crv":"P-256","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}"#;

    #[derive(Debug)]
    struct Keys {
        body: String,
        status: u16,
        reads: AtomicUsize,
    }

    #[async_trait]
    impl HttpTransport for Keys {
        async fn send(&self, _: OutboundRequest) -> Result<http::Response<Bytes>, TransportError> {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let response = http::Response::builder().status(self.status);
            Ok(response.body(Bytes::from(self.body.clone())).unwrap())
        }
    }

    fn serving(body: String) -> Keys {
        Keys {
            body,
            status: 200,
            reads: AtomicUsize::new(0),
        }
    }

    fn key_set() -> KeySet {
        KeySet::at(Url::parse("https://keys.example/jwks").unwrap())
    }

    fn ecdsa_key() -> (SigningKey, String) {
        let algorithm = &signature::ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = signature::EcdsaKeyPair::generate_pkcs8(algorithm, &SystemRandom::new());
        let pkcs8 = pkcs8.unwrap();
        let pair = ecdsa(pkcs8.as_ref()).unwrap();
        let point = pair.public_key().as_ref();
        let part = |range: std::ops::Range<usize>| BASE64_URL_SAFE_NO_PAD.encode(&point[range]);
        let (x, y) = (part(1..33), part(33..65));
        let jwks = json!({ "keys": [
            { "kty": "oct", "k": "eA" },
            { "kty": "EC", "crv": "P-256", "kid": "k1", "use": "sig", "x": x, "y": y },
        ]});
        let pem = "-----BEGIN PRIVATE KEY-----\n".to_owned()
            + &base64::prelude::BASE64_STANDARD.encode(pkcs8.as_ref())
            + "\n-----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(&pem.into()).unwrap();
        (key.with_key_id("k1"), jwks.to_string())
    }

    fn claims(now: i64) -> Value {
        json!({ "iss": "https://login.example", "aud": "client", "exp": now + 600, "iat": now })
    }

    const EXPECTED: Expected<'static> = Expected::new(&["https://login.example"], "client");

    #[test]
    fn the_vector_of_rfc_7515_verifies() {
        let key = PublicKey::of(serde_json::from_str(RFC_KEY).unwrap()).unwrap();
        let parts = Parts::of(RFC_TOKEN).unwrap();
        assert!(key.is_meant(&parts) && key.verifies(&parts));
        let mut changed = RFC_TOKEN.to_owned();
        changed.replace_range(30..31, "x");
        assert!(!Parts::of(&changed).is_ok_and(|parts| key.verifies(&parts)));
    }

    #[tokio::test]
    async fn a_signed_token_verifies_with_the_cached_keys_and_a_changed_one_never() {
        let (key, jwks) = ecdsa_key();
        let keys = serving(jwks);
        let app = App::new("client");
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_000_000));
        let cx = Context::new(&app, &keys, &clock);
        let set = key_set();
        let token = key.sign(&claims(1_000_000)).unwrap();
        let token = token.expose_secret();
        for _ in 0..3 {
            let claims = set.verify(&cx, token, &EXPECTED).await.unwrap();
            assert_eq!(claims["aud"], "client");
        }
        assert_eq!(keys.reads.load(Ordering::SeqCst), 1, "the keys are cached");

        let mut refused = 0;
        for at in (0..token.len()).step_by(3) {
            let mut changed = token.to_owned();
            let other = if &token[at..=at] == "A" { "B" } else { "A" };
            changed.replace_range(at..=at, other);
            if changed != token {
                assert!(set.verify(&cx, &changed, &EXPECTED).await.is_err(), "{at}");
                refused += 1;
            }
        }
        let none = BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#);
        let body = token.split('.').nth(1).unwrap();
        for forged in [format!("{none}.{body}."), format!("{none}.{body}.AA")] {
            assert!(set.verify(&cx, &forged, &EXPECTED).await.is_err());
            refused += 1;
        }
        println!("changed tokens refused: {refused}");
        assert!(
            keys.reads.load(Ordering::SeqCst) <= 2,
            "forged key ids cause no flood of requests"
        );
    }

    /// Byte order marks and white space around a key set are ignored.
    #[tokio::test]
    async fn a_key_set_is_read_in_every_form_that_providers_send() {
        let (key, jwks) = ecdsa_key();
        let token = key.sign(&claims(1_000_000)).unwrap();
        let app = App::new("client");
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_000_000));
        let bodies = [
            jwks.clone(),
            format!("\u{feff}{jwks}"),
            format!("\n {jwks}\r\n"),
            format!("\u{feff}\n{jwks}"),
        ];
        for body in &bodies {
            let keys = serving(body.clone());
            let cx = Context::new(&app, &keys, &clock);
            let set = key_set();
            let verified = set.verify(&cx, token.expose_secret(), &EXPECTED);
            assert!(verified.await.is_ok(), "{body:?}");
        }
        println!("forms of a key set: {}", bodies.len());
    }

    #[test]
    fn claims_of_another_issuer_audience_or_time_are_refused() {
        let now = Timestamp::from_unix_seconds(1_000_000);
        EXPECTED.check(&claims(1_000_000), now).unwrap();
        let mut refused = 0;
        for (name, value) in [
            ("iss", json!("https://evil.example")),
            ("iss", Value::Null),
            ("aud", json!("other")),
            ("aud", json!([])),
            ("exp", json!(999_939)),
            ("exp", Value::Null),
            ("exp", json!("1e99")),
            ("exp", json!(-1)),
            ("exp", json!(1e300)),
            ("nbf", json!(1_000_061)),
            ("iat", json!(1_000_061)),
            ("iat", json!("now")),
        ] {
            let mut bad = claims(1_000_000);
            bad[name] = value;
            assert!(EXPECTED.check(&bad, now).is_err(), "{bad}");
            refused += 1;
        }
        println!("claims refused: {refused}");
        let mut late = claims(1_000_000);
        late["exp"] = json!(999_941);
        EXPECTED.check(&late, now).unwrap();
        let strict = EXPECTED.clone().with_leeway(Duration::from_secs(10));
        assert!(strict.check(&late, now).is_err());
    }

    #[test]
    fn a_shared_secret_verifies_hs256_and_nothing_else() {
        let now = Timestamp::from_unix_seconds(1_000_000);
        let encode = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        let sign = |algorithm: &str, secret: &str| {
            let signed = encode(&format!(r#"{{"alg":"{algorithm}"}}"#))
                + "."
                + &encode(&claims(1_000_000).to_string());
            let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
            let tag = hmac::sign(&key, signed.as_bytes());
            signed + "." + &BASE64_URL_SAFE_NO_PAD.encode(tag.as_ref())
        };
        let secrets = [SecretString::from("new"), SecretString::from("old")];
        for secret in ["new", "old"] {
            verify_hs256(&sign("HS256", secret), &secrets, &EXPECTED, now).unwrap();
        }
        for (algorithm, secret) in [
            ("HS256", "other"),
            ("HS256", ""),
            ("RS256", "new"),
            ("none", "new"),
        ] {
            let token = sign(algorithm, secret);
            assert!(
                verify_hs256(&token, &secrets, &EXPECTED, now).is_err(),
                "{algorithm} {secret}"
            );
        }
        let empty = [SecretString::from("")];
        assert!(verify_hs256(&sign("HS256", ""), &empty, &EXPECTED, now).is_err());
    }

    #[test]
    fn an_invalid_private_key_is_refused_and_not_quoted() {
        for bad in [
            "",
            "leaked-secret",
            "-----BEGIN PRIVATE KEY-----\nbGVha2VkLXNlY3JldA==\n-----END PRIVATE KEY-----\n",
            "-----BEGIN RSA PRIVATE KEY-----\nbGVha2VkLXNlY3JldA==\n-----END RSA PRIVATE KEY-----\n",
        ] {
            let error = SigningKey::from_pem(&bad.to_owned().into()).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Configuration);
            assert!(!error.report().contains("leaked"));
        }
    }

    proptest! {
        #[test]
        fn no_token_panics(token in "[A-Za-z0-9._=-]{0,120}") {
            let now = Timestamp::UNIX_EPOCH;
            let secrets = [SecretString::from("secret")];
            prop_assert!(verify_hs256(&token, &secrets, &EXPECTED, now).is_err());
        }
    }
}
