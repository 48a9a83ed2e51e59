//! The account that a credential belongs to.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::StatusCode;
use http::header::ACCEPT;
use secrecy::ExposeSecret;
use serde_json::Value;

use crate::account::{Account, AccountKey};
use crate::clock::Timestamp;
use crate::credential::Credential;
use crate::error::{Error, ErrorKind, Result};
use crate::http::{OutboundRequest, Sent};
use crate::metadata::Metadata;
use crate::provider::Context;
use crate::provider::description::{
    Description, EndpointTemplate, IdentityRule, IdentitySource, Pointer,
};
use crate::provider::oauth::jwt::names_audience;
use crate::provider::oauth::response::json;
use crate::provider::oauth::{ExchangeClass, ExchangeError, TokenResponse};

/// The account that a credential belongs to, read from an authenticated response of the provider.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Identity {
    /// The account.
    pub account: Account,
    /// Additional facts about the account.
    pub metadata: Metadata,
}

impl Identity {
    /// Returns an identity without metadata.
    #[must_use]
    pub fn new(account: Account) -> Self {
        Self {
            account,
            metadata: Metadata::new(),
        }
    }

    /// Sets additional facts about the account.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Metadata) -> Self {
        self.metadata = metadata;
        self
    }
}

/// Returns the account of a credential, read from the source in the description.
///
/// An endpoint is read with the credential in the position that the description sets; the default
/// is a bearer token (RFC 6750 section 2.1). If the token response identified the account, the
/// identity stored in the credential is returned. If the description has a probe endpoint, the
/// credential is tested there first.
///
/// # Errors
/// * [`ErrorKind::Unauthorized`] if the provider rejects the credential.
/// * [`ErrorKind::Forbidden`] if the credential may not read its own account.
/// * [`ErrorKind::Unsupported`] if the description has no source of the account.
/// * [`ErrorKind::UnexpectedResponse`] if the response contains no account.
/// * Another kind if the network or the provider fails.
pub async fn identify(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    const OPERATION: &str = "oauth.identify";
    let fail = |kind, message| Err(failed(description, OPERATION, kind, message));
    let Some(rule) = &description.identity else {
        return fail(
            ErrorKind::Unsupported,
            "the description has no `identity`; add it, or override the hook",
        );
    };
    let body = match rule.test_endpoint() {
        Some(endpoint) => Some(read(description, cx, credential, endpoint, OPERATION).await?),
        None => None,
    };
    match (rule.source(), body) {
        (IdentitySource::Endpoint(_), Some(body)) => identity_in(rule, &body).map_or_else(
            || {
                fail(
                    ErrorKind::UnexpectedResponse,
                    "the identity response has no account key at the described position; correct \
                     the description",
                )
            },
            Ok,
        ),
        _ => match credential.identity() {
            Some(identity) => Ok(identity.clone()),
            None => fail(
                ErrorKind::UnexpectedResponse,
                "the token response contained no account; connect again, or check the description",
            ),
        },
    }
}

/// Reads a JSON object from the endpoint with the credential.
async fn read(
    description: &Description,
    cx: &Context<'_>,
    credential: &Credential,
    endpoint: &EndpointTemplate,
    operation: &'static str,
) -> Result<Value> {
    let fail = |kind, message| Err(failed(description, operation, kind, message));
    // The URL comes from the description. Only its host may come from the sealed credential.
    let url = endpoint.url(credential.account_host().unwrap_or_default())?;
    let request = http::Request::get(url.as_str()).body(Bytes::new());
    let Ok(mut request) = request else {
        return fail(
            ErrorKind::Bug,
            "the identity request could not be built; please report it",
        );
    };
    description.add_headers(request.headers_mut());
    let accept = http::HeaderValue::from_static("application/json");
    request.headers_mut().insert(ACCEPT, accept);
    let secret = credential.secret().expose_secret();
    if description
        .authentication
        .attach(&mut request, secret)
        .is_none()
    {
        return fail(
            ErrorKind::UnexpectedResponse,
            "the credential contains characters that are not allowed in a request; connect the \
             account again",
        );
    }
    let response = cx
        .send(OutboundRequest::token(request))
        .await
        .map_err(|error| ExchangeError::from_transport(operation, error).into_error())?;
    match response.status() {
        status if status.is_success() => Ok(json(response.body()).unwrap_or(Value::Null)),
        StatusCode::UNAUTHORIZED => fail(
            ErrorKind::Unauthorized,
            "the provider rejected the access token",
        ),
        StatusCode::FORBIDDEN => fail(
            ErrorKind::Forbidden,
            "the credential may not read its own account: the app lacks a scope or a permission, \
             or the account does not allow the app; add the scope, or ask the account's \
             administrator to allow the app",
        ),
        StatusCode::TOO_MANY_REQUESTS => fail(
            ErrorKind::RateLimited,
            "the provider limits the rate of requests; try again later",
        ),
        status if status.is_server_error() => fail(
            ErrorKind::ProviderUnavailable,
            "the provider returned a server error; try again later",
        ),
        _ => fail(
            ErrorKind::UnexpectedResponse,
            "the identity endpoint returned an unknown response; check the description",
        ),
    }
}

fn failed(
    description: &Description,
    operation: &'static str,
    kind: ErrorKind,
    message: &'static str,
) -> Error {
    Error::new(kind, operation, message).with_provider(description.provider.as_str().to_owned())
}

/// Returns the account that a JSON object identifies.
fn identity_in(rule: &IdentityRule, body: &Value) -> Option<Identity> {
    let parts = |pointers: &[Pointer]| -> Option<Vec<String>> {
        pointers.iter().map(|pointer| pointer.text(body)).collect()
    };
    let key = parts(&rule.account)
        .or_else(|| parts(&rule.alternative).filter(|parts| !parts.is_empty()))?
        .join(":");
    let mut account = Account::identified(AccountKey::new(key).ok()?);
    if let Some(label) = rule.label.as_ref().and_then(|it| it.text(body)) {
        account = account.with_label(label.chars().take(255).collect::<String>());
    }
    let mut metadata = Metadata::new();
    for (name, pointer) in &rule.metadata {
        if let Some(value) = pointer.find(body).filter(|value| !value.is_null()) {
            // Every JSON value can be serialized.
            let _ = metadata.insert(name.as_str(), value);
        }
    }
    Some(Identity::new(account).with_metadata(metadata))
}

/// Reads the account from a token response, if the description says that the response identifies
/// it.
pub(super) fn names_account(
    description: &Description,
    cx: &Context<'_>,
    operation: &'static str,
    answer: TokenResponse,
    nonce: Option<&str>,
) -> Result<TokenResponse, ExchangeError> {
    let Some(rule) = &description.identity else {
        return Ok(answer);
    };
    let identity = match rule.source() {
        IdentitySource::TokenResponse => identity_in(rule, answer.body()),
        IdentitySource::IdToken { issuer } => match answer.field::<String>("id_token") {
            Some(token) => {
                let claims = claims(issuer, &token, cx.app.client_id(), nonce, cx.clock.now());
                let claims = claims.map_err(|message| {
                    let kind = ErrorKind::UnexpectedResponse;
                    let error = failed(description, operation, kind, message);
                    ExchangeError::new(ExchangeClass::Malformed, Sent::Maybe, error)
                })?;
                identity_in(rule, &claims)
            }
            // A refresh response may omit the ID token (OpenID Connect Core section 12.2).
            None => None,
        },
        IdentitySource::Endpoint(_) => None,
    };
    Ok(match identity {
        Some(identity) => answer.with_identity(identity),
        None => answer,
    })
}

/// Returns the claims of an ID token that comes directly from the token endpoint (OpenID Connect
/// Core section 3.1.3.7).
fn claims(
    issuer: &str,
    token: &str,
    client_id: &str,
    nonce: Option<&str>,
    now: Timestamp,
) -> Result<Value, &'static str> {
    /// Maximum difference between two clocks, in seconds.
    const LEEWAY_SECONDS: i64 = 60;
    let payload = token.split('.').nth(1).unwrap_or_default();
    let payload = BASE64_URL_SAFE_NO_PAD
        .decode(payload.trim_end_matches('='))
        .map_err(|_| "the ID token is not a JWT; check the description")?;
    let claims: Value =
        serde_json::from_slice(&payload).map_err(|_| "the ID token is not a JWT")?;
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let issuer =
        fill(issuer, &claims).ok_or("the ID token lacks a claim of the issuer template")?;
    if text("iss") != Some(issuer.as_str()) {
        return Err("the ID token was issued by another issuer; check the description");
    }
    if !names_audience(&claims, client_id) {
        return Err("the ID token is for another client; check the app's client id");
    }
    let expires = claims.get("exp").and_then(Value::as_f64).unwrap_or(0.0);
    #[expect(clippy::cast_precision_loss, reason = "seconds of this era are exact")]
    let earliest = (now.as_unix_millis() / 1000 - LEEWAY_SECONDS) as f64;
    if expires <= earliest {
        return Err("the ID token has expired; check this machine's clock");
    }
    if nonce.is_some() && text("nonce") != nonce {
        return Err("the ID token belongs to another authorization; connect again");
    }
    Ok(claims)
}

/// Replaces the claim names in the issuer template with their values. Returns `None` if a claim is
/// missing.
fn fill(template: &str, claims: &Value) -> Option<String> {
    let mut filled = String::with_capacity(template.len() + 36);
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}')?;
        let value = claims.get(name)?.as_str()?;
        // A claim replaces exactly one segment of the issuer.
        if value.is_empty() || value.contains(['/', '?', '#']) {
            return None;
        }
        filled.push_str(before);
        filled.push_str(value);
        rest = after;
    }
    filled.push_str(rest);
    Some(filled)
}

/// Returns the fields of a token response that the description keeps, with their names.
pub(super) fn kept(description: &Description, body: &Value) -> BTreeMap<String, String> {
    let keep = description.token.iter().flat_map(|it| &it.response.keep);
    keep.filter_map(|(name, pointer)| {
        let text = match pointer.find(body)? {
            Value::Null => return None,
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        Some((name.clone(), text))
    })
    .collect()
}

#[cfg(test)]
#[expect(clippy::print_stdout, reason = "the test prints counts")]
mod tests {
    use super::*;
    use serde_json::json;

    fn token(claims: &Value) -> String {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        [part(&json!({"alg": "RS256"})), part(claims), "c2ln".into()].join(".")
    }

    #[test]
    fn an_id_token_is_accepted_only_from_its_issuer_for_this_client_in_time_and_flow() {
        let now = Timestamp::from_unix_seconds(1_000_000);
        let rule = "https://login.example/{tid}/v2.0";
        let good = json!({"iss": "https://login.example/t-1/v2.0", "tid": "t-1", "aud": "client",
            "sub": "user-1", "exp": 1_000_600, "nonce": "n"});
        let read = |claims_: &Value| claims(rule, &token(claims_), "client", Some("n"), now);
        assert_eq!(read(&good).unwrap()["sub"], "user-1");
        let mut refused = 0;
        for (name, value) in [
            ("iss", json!("https://login.example/t-2/v2.0")),
            ("iss", json!("https://evil.example/t-1/v2.0")),
            ("iss", Value::Null),
            ("tid", json!("t-1/../t-2")),
            ("tid", json!("")),
            ("aud", json!("other")),
            ("aud", json!(["other"])),
            ("aud", Value::Null),
            ("exp", json!(999_000)),
            ("exp", json!("soon")),
            ("nonce", json!("m")),
            ("nonce", Value::Null),
        ] {
            let mut bad = good.clone();
            bad[name] = value;
            assert!(read(&bad).is_err(), "{bad}");
            refused += 1;
        }
        for bad in ["", "a", "a.b.c", "a.!.c", "a.e30.c"] {
            assert!(claims(rule, bad, "client", None, now).is_err(), "{bad}");
            refused += 1;
        }
        println!("ID tokens refused: {refused}");
        let mut listed = good.clone();
        listed["aud"] = json!(["other", "client"]);
        assert!(read(&listed).is_ok());
    }

    #[test]
    fn an_account_key_has_every_part_or_its_alternative() {
        let mut rule = IdentityRule::token_response("/team/id");
        rule.alternative = vec!["/enterprise/id".into()];
        rule.metadata.insert("domain".into(), "/team/domain".into());
        let key =
            |body: Value| identity_in(&rule, &body).map(|it| it.account.key.as_str().to_owned());
        assert_eq!(key(json!({"team": {"id": "T1"}})).as_deref(), Some("T1"));
        let org = json!({"team": null, "enterprise": {"id": "E1"}});
        assert_eq!(key(org).as_deref(), Some("E1"));
        assert_eq!(key(json!({"team": {"id": ""}})), None);
        assert_eq!(key(json!([])), None);
        rule.account = vec!["/tid".into(), "/oid".into()];
        rule.alternative.clear();
        let both = identity_in(
            &rule,
            &json!({"tid": "t", "oid": "o", "team": {"domain": 5}}),
        );
        let both = both.unwrap();
        assert_eq!(both.account.key.as_str(), "t:o");
        assert_eq!(both.metadata.get::<u8>("domain"), Some(5));
        assert!(identity_in(&rule, &json!({"tid": "t"})).is_none());
    }
}
