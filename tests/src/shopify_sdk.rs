//! npm `@shopify/shopify-api`, Shopify's own library for Node. Tests compare what the library
//! signs, what it accepts, and how it reads the responses of a shop.
//!
//! The program `counterparts/shopify-sdk/sdk.js` calls the library.

use std::io;
use std::net::SocketAddr;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use connector_core::clock::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::Url;

use crate::counterpart::{Counterpart, Program};

static COUNTERPART: Counterpart = Counterpart::new(
    "Shopify's library for Node",
    "CONNECTORS_SHOPIFY_SDK",
    "sdk.js",
);

/// The library in a separate process, which ends when this value is dropped.
///
/// Every method waits for the response of the library, and fails if the library does not respond. A
/// refusal is a response.
#[derive(Debug)]
pub struct ShopifySdk {
    program: Program,
}

/// A signature over the parameters of a query.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct SignedQuery {
    /// The signature, in hexadecimal.
    pub hmac: String,
    /// The names of the parameters in the order of the signed text.
    pub keys: Vec<String>,
}

/// The decision on a webhook delivery. The other fields are set if the delivery was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookVerdict {
    /// True if the delivery was accepted.
    pub accepted: bool,
    /// The shop's host.
    pub domain: Option<String>,
    /// The topic, in capital letters, with underscores.
    pub topic: Option<String>,
    /// The id of the delivery.
    pub webhook_id: Option<String>,
}

/// Scopes as parsed by the library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Scopes {
    /// Without scopes that other scopes include.
    pub compressed: Vec<String>,
    /// With the included scopes.
    pub expanded: Vec<String>,
}

/// An app whose shops are at a simulator.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedApp<'a> {
    /// The client ID.
    pub client_id: &'a str,
    /// The client secret.
    pub client_secret: &'a SecretString,
    /// The scopes to request.
    pub scopes: &'a [&'a str],
    /// Address at which the simulator listens.
    pub address: SocketAddr,
    /// The time.
    pub now: Timestamp,
}

impl SimulatedApp<'_> {
    fn to_json(self) -> Value {
        json!({
            "client_id": self.client_id,
            "secret": self.client_secret.expose_secret(),
            "scopes": self.scopes,
            "port": self.address.port(),
        })
    }
}

/// A started authorization.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Begun {
    /// The redirect target for the browser.
    pub location: Url,
    /// The cookies for the browser.
    pub cookie: String,
}

/// A session, which the library creates from a token response.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Session {
    /// The shop's host.
    pub shop: String,
    /// The state of the flow.
    pub state: String,
    /// True if the session belongs to a single user.
    pub online: bool,
    /// The granted scopes, separated by commas.
    pub scope: String,
    /// The access token.
    pub access_token: SecretString,
    /// Expiry of this token in Unix seconds.
    pub expires: Option<i64>,
    /// The refresh token.
    pub refresh_token: Option<SecretString>,
    /// Expiry of this token in Unix seconds.
    pub refresh_token_expires: Option<i64>,
}

/// The response of a shop to a GraphQL document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GraphqlResponse {
    /// The data.
    pub data: Value,
    /// The extensions next to the data, such as the cost.
    pub extensions: Value,
    /// The headers.
    pub headers: Map<String, Value>,
}

/// A refusal of the library.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Refusal {
    /// The name of the error's class.
    pub kind: String,
    /// The status of the response that caused the refusal.
    pub status: Option<u16>,
    /// The body of this response.
    pub body: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum Outcome<T> {
    Answer(T),
    Refusal(Refusal),
}

impl<T> Outcome<T> {
    fn into_result(self) -> Result<T, Refusal> {
        match self {
            Self::Answer(answer) => Ok(answer),
            Self::Refusal(refusal) => Err(refusal),
        }
    }
}

#[derive(Deserialize)]
struct Accepted {
    accepted: bool,
}

#[derive(Deserialize)]
struct Signed {
    hmac: String,
}

#[derive(Deserialize)]
struct Token {
    token: String,
}

#[derive(Deserialize)]
struct Claims {
    claims: Option<Value>,
}

#[derive(Deserialize)]
struct Hosts {
    accepted: Vec<bool>,
}

#[derive(Deserialize)]
struct Shops {
    shops: Vec<Option<String>>,
}

impl ShopifySdk {
    /// Starts the library. If it is not installed, prints a message and returns `None`; the test
    /// then ends.
    ///
    /// # Errors
    /// If the program cannot be started, or if it is not installed and `CI` is `true`.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(directory) = COUNTERPART.directory()? else {
            return Ok(None);
        };
        let program = COUNTERPART.start(&directory)?;
        Ok(Some(Self { program }))
    }

    /// Signs the parameters of a callback. The value of a parameter is a text or an array of texts.
    ///
    /// # Errors
    /// As for every method.
    pub fn sign_query(
        &mut self,
        secret: &SecretString,
        parameters: &[(impl Serialize, impl Serialize)],
    ) -> io::Result<SignedQuery> {
        self.program.ask(&json!({
            "ask": "sign_query",
            "secret": secret.expose_secret(),
            "parameters": parameters,
        }))
    }

    /// Returns true if the signature and the timestamp of a callback with this query are valid.
    ///
    /// # Errors
    /// As for every method.
    pub fn accepts_query(
        &mut self,
        secret: &SecretString,
        query: &str,
        now: Timestamp,
    ) -> io::Result<bool> {
        let answer: Accepted = self.program.ask(&json!({
            "ask": "check_query",
            "secret": secret.expose_secret(),
            "query": query,
            "now": now.as_unix_seconds(),
        }))?;
        Ok(answer.accepted)
    }

    /// Returns the signature of a webhook's body in base64.
    ///
    /// # Errors
    /// As for every method.
    pub fn sign_webhook(&mut self, secret: &SecretString, body: &[u8]) -> io::Result<String> {
        let answer: Signed = self.program.ask(&json!({
            "ask": "sign_webhook",
            "secret": secret.expose_secret(),
            "body": BASE64_STANDARD.encode(body),
        }))?;
        Ok(answer.hmac)
    }

    /// Returns the library's decision on a webhook delivery. The library takes the body as text.
    ///
    /// # Errors
    /// As for every method. Also if a header is not text.
    pub fn check_webhook(
        &mut self,
        secret: &SecretString,
        request: &http::Request<Bytes>,
    ) -> io::Result<WebhookVerdict> {
        let headers = request.headers().iter().map(|(name, value)| {
            let value = value.to_str().map_err(io::Error::other)?;
            Ok((name.as_str(), value))
        });
        let headers = headers.collect::<io::Result<Vec<_>>>()?;
        self.program.ask(&json!({
            "ask": "check_webhook",
            "secret": secret.expose_secret(),
            "method": request.method().as_str(),
            "headers": headers,
            "body": BASE64_STANDARD.encode(request.body()),
        }))
    }

    /// Signs the parameters of an app proxy's query, in hexadecimal.
    ///
    /// # Errors
    /// As for every method.
    pub fn sign_proxy(
        &mut self,
        secret: &SecretString,
        parameters: &[(String, String)],
    ) -> io::Result<String> {
        let answer: Signed = self.program.ask(&json!({
            "ask": "sign_proxy",
            "secret": secret.expose_secret(),
            "parameters": parameters,
        }))?;
        Ok(answer.hmac)
    }

    /// Returns true if the signature and the timestamp of an app proxy's query are valid.
    ///
    /// # Errors
    /// As for every method.
    pub fn accepts_proxy(
        &mut self,
        secret: &SecretString,
        query: &str,
        now: Timestamp,
    ) -> io::Result<bool> {
        let answer: Accepted = self.program.ask(&json!({
            "ask": "check_proxy",
            "secret": secret.expose_secret(),
            "query": query,
            "now": now.as_unix_seconds(),
        }))?;
        Ok(answer.accepted)
    }

    /// Signs the claims of a session token.
    ///
    /// # Errors
    /// As for every method.
    pub fn sign_session(&mut self, secret: &SecretString, claims: &Value) -> io::Result<String> {
        let answer: Token = self.program.ask(&json!({
            "ask": "sign_session",
            "secret": secret.expose_secret(),
            "claims": claims,
        }))?;
        Ok(answer.token)
    }

    /// Returns the claims of a session token; `None` if the library refuses the token.
    ///
    /// # Errors
    /// As for every method.
    pub fn check_session(
        &mut self,
        secret: &SecretString,
        token: &str,
        now: Timestamp,
    ) -> io::Result<Option<Value>> {
        let answer: Claims = self.program.ask(&json!({
            "ask": "check_session",
            "secret": secret.expose_secret(),
            "token": token,
            "now": now.as_unix_seconds(),
        }))?;
        Ok(answer.claims)
    }

    /// Returns for each `host` parameter whether the library accepts it.
    ///
    /// # Errors
    /// As for every method.
    pub fn sanitize_hosts(&mut self, hosts: &[String]) -> io::Result<Vec<bool>> {
        let answer: Hosts = self.program.ask(&json!({
            "ask": "sanitize_hosts",
            "hosts": hosts,
        }))?;
        Ok(answer.accepted)
    }

    /// Returns the shop host for each text, or `None` if the text is not a shop.
    ///
    /// # Errors
    /// As for every method.
    pub fn sanitize_shops(&mut self, shops: &[String]) -> io::Result<Vec<Option<String>>> {
        let answer: Shops = self.program.ask(&json!({
            "ask": "sanitize_shops",
            "shops": shops,
        }))?;
        Ok(answer.shops)
    }

    /// Parses a list of scopes.
    ///
    /// # Errors
    /// As for every method.
    pub fn scopes(&mut self, scopes: &[String]) -> io::Result<Scopes> {
        let question = json!({ "ask": "scopes", "scopes": scopes });
        self.program.ask(&question)
    }

    /// Starts the authorization of the app in a shop.
    ///
    /// # Errors
    /// As for every method.
    pub fn begin(&mut self, app: SimulatedApp<'_>, shop: &str) -> io::Result<Begun> {
        self.ask("begin", app, json!({ "shop": shop }))
    }

    /// Handles the callback and exchanges its code for a token that expires.
    ///
    /// # Errors
    /// As for every method.
    pub fn callback(
        &mut self,
        app: SimulatedApp<'_>,
        url: &Url,
        cookie: &str,
    ) -> io::Result<Result<Session, Refusal>> {
        let rest = json!({ "url": url, "cookie": cookie });
        let outcome: Outcome<Session> = self.ask("callback", app, rest)?;
        Ok(outcome.into_result())
    }

    /// Refreshes.
    ///
    /// # Errors
    /// As for every method.
    pub fn refresh(
        &mut self,
        app: SimulatedApp<'_>,
        shop: &str,
        refresh_token: &SecretString,
    ) -> io::Result<Result<Session, Refusal>> {
        let rest = json!({ "shop": shop, "refresh_token": refresh_token.expose_secret() });
        let outcome: Outcome<Session> = self.ask("refresh", app, rest)?;
        Ok(outcome.into_result())
    }

    /// Exchanges a token that does not expire for a token that expires.
    ///
    /// # Errors
    /// As for every method.
    pub fn migrate(
        &mut self,
        app: SimulatedApp<'_>,
        shop: &str,
        access_token: &SecretString,
    ) -> io::Result<Result<Session, Refusal>> {
        let rest = json!({ "shop": shop, "access_token": access_token.expose_secret() });
        let outcome: Outcome<Session> = self.ask("migrate", app, rest)?;
        Ok(outcome.into_result())
    }

    /// Sends a GraphQL document to a shop.
    ///
    /// # Errors
    /// As for every method.
    pub fn graphql(
        &mut self,
        app: SimulatedApp<'_>,
        shop: &str,
        access_token: &SecretString,
        document: &str,
        variables: &Value,
    ) -> io::Result<Result<GraphqlResponse, Refusal>> {
        let rest = json!({
            "shop": shop,
            "access_token": access_token.expose_secret(),
            "document": document,
            "variables": variables,
        });
        let outcome: Outcome<GraphqlResponse> = self.ask("graphql", app, rest)?;
        Ok(outcome.into_result())
    }

    fn ask<T: for<'de> Deserialize<'de>>(
        &mut self,
        what: &str,
        app: SimulatedApp<'_>,
        mut question: Value,
    ) -> io::Result<T> {
        question["ask"] = what.into();
        question["app"] = app.to_json();
        question["now"] = app.now.as_unix_seconds().into();
        self.program.ask(&question)
    }
}
