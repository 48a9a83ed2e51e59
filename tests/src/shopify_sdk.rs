//! npm `@shopify/shopify-api`, Shopify's own library for Node, as judge: what it signs and what it
//! accepts, and how it reads a shop's answers.
//!
//! The program around it is `counterparts/shopify-sdk/sdk.js`.

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

/// The library, in a process of its own that ends when this is dropped.
///
/// Every method waits for the library's answer and fails if the library breaks instead of
/// answering. Its refusals are answers.
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
    /// The names of the parameters in the order in which they were signed.
    pub keys: Vec<String>,
}

/// What was decided about a delivery of a webhook. What it says is there if it was accepted.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct WebhookVerdict {
    /// Whether it was accepted.
    pub accepted: bool,
    /// The shop's host.
    pub domain: Option<String>,
    /// The topic, in capital letters, with underscores.
    pub topic: Option<String>,
    /// The id of the delivery.
    pub webhook_id: Option<String>,
}

/// Scopes as the library reads a list of them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Scopes {
    /// Without those that others include.
    pub compressed: Vec<String>,
    /// With those.
    pub expanded: Vec<String>,
}

/// An app whose shops are at a simulator.
#[derive(Debug, Clone, Copy)]
pub struct SimulatedApp<'a> {
    /// The client ID.
    pub client_id: &'a str,
    /// The client secret.
    pub client_secret: &'a SecretString,
    /// The scopes to ask for.
    pub scopes: &'a [&'a str],
    /// Where the simulator listens.
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

/// A flow that was begun.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Begun {
    /// Where the browser is sent to.
    pub location: Url,
    /// The cookies that the browser keeps.
    pub cookie: String,
}

/// A session, which is what the library makes of a token answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Session {
    /// The shop's host.
    pub shop: String,
    /// The state of the flow.
    pub state: String,
    /// Whether it is one person's.
    pub online: bool,
    /// The granted scopes, separated by commas.
    pub scope: String,
    /// The access token.
    pub access_token: SecretString,
    /// When that expires, in Unix seconds.
    pub expires: Option<i64>,
    /// The refresh token.
    pub refresh_token: Option<SecretString>,
    /// When that expires, in Unix seconds.
    pub refresh_token_expires: Option<i64>,
}

/// What a shop answered to a GraphQL document.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct GraphqlAnswer {
    /// The data.
    pub data: Value,
    /// What stands beside the data, such as the cost.
    pub extensions: Value,
    /// The headers.
    pub headers: Map<String, Value>,
}

/// That the library refused, and what it was told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Refusal {
    /// The name of the error's class.
    pub kind: String,
    /// The status of the answer that it followed from.
    pub status: Option<u16>,
    /// The body of that answer.
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
struct Shops {
    shops: Vec<Option<String>>,
}

impl ShopifySdk {
    /// Starts the library; `None` if it is not installed here, after saying so: the test ends there.
    ///
    /// # Errors
    /// If it cannot be started, or is not installed where `CI` is `true`.
    pub fn start() -> io::Result<Option<Self>> {
        let Some(directory) = COUNTERPART.directory()? else {
            return Ok(None);
        };
        let program = COUNTERPART.start(&directory)?;
        Ok(Some(Self { program }))
    }

    /// Signs the parameters of a callback. A parameter's value is a text, or an array of texts.
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

    /// Whether the signature and the timestamp of a callback with this query are good.
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

    /// The signature of a webhook's body, in base64.
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

    /// What is decided about a delivery of a webhook. The library takes the body as text.
    ///
    /// # Errors
    /// As for every method; if a header is not text.
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

    /// Each text as the host of a shop, or `None` if it is none.
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

    /// Reads a list of scopes.
    ///
    /// # Errors
    /// As for every method.
    pub fn scopes(&mut self, scopes: &[String]) -> io::Result<Scopes> {
        let question = json!({ "ask": "scopes", "scopes": scopes });
        self.program.ask(&question)
    }

    /// Begins to authorize the app in a shop.
    ///
    /// # Errors
    /// As for every method.
    pub fn begin(&mut self, app: SimulatedApp<'_>, shop: &str) -> io::Result<Begun> {
        self.ask("begin", app, json!({ "shop": shop }))
    }

    /// Takes the callback in and exchanges its code for a token that expires.
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

    /// Exchanges a token that does not expire for one that does.
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
    ) -> io::Result<Result<GraphqlAnswer, Refusal>> {
        let rest = json!({
            "shop": shop,
            "access_token": access_token.expose_secret(),
            "document": document,
            "variables": variables,
        });
        let outcome: Outcome<GraphqlAnswer> = self.ask("graphql", app, rest)?;
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
