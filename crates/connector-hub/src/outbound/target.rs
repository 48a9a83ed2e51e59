//! The secret part of an endpoint: its URL, signing secrets and headers.

use connector_core::cipher::{Plaintext, SealContext, Sealed, SealedKind};
use connector_core::clock::Timestamp;
use connector_core::http::TransportErrorKind;
use connector_core::outbound::SigningSecret;
use connector_core::store::EndpointKey;
use connector_core::{AppKey, Error, ErrorKind, ProviderId, Result};
use http::{HeaderName, HeaderValue, Uri};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::hub::Inner;

/// Maximum length of a URL, in bytes.
const MAX_URL: usize = 2_048;
/// Maximum number of custom headers.
const MAX_HEADERS: usize = 16;
/// Maximum length of the value of a custom header, in bytes.
const MAX_VALUE: usize = 1_024;
/// Headers that the hub or the transport sets.
const RESERVED: [&str; 18] = [
    "accept",
    "accept-encoding",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "cookie",
    "expect",
    "forwarded",
    "host",
    "keep-alive",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "user-agent",
];
/// Prefixes of such headers.
const RESERVED_PREFIXES: [&str; 4] = ["webhook-", "svix-", "x-forwarded-", "sec-"];

/// A signing secret with the end of its use.
#[derive(Debug, Clone)]
pub(super) struct LiveSecret {
    pub(super) secret: SigningSecret,
    pub(super) until: Option<Timestamp>,
}

/// The secret part of an endpoint.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(super) url: SecretString,
    /// The newest secret comes first.
    pub(super) secrets: Vec<LiveSecret>,
    pub(super) headers: Vec<(HeaderName, SecretString)>,
}

#[derive(Serialize, Deserialize)]
struct Written<'a> {
    url: std::borrow::Cow<'a, str>,
    secrets: Vec<WrittenSecret>,
    headers: Vec<(String, String)>,
}

#[derive(Serialize, Deserialize)]
struct WrittenSecret {
    secret: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
}

impl Target {
    /// Returns the secrets that sign at `now`.
    pub(super) fn live(&self, now: Timestamp) -> Vec<SigningSecret> {
        let live = self.secrets.iter();
        let live = live.filter(|it| it.until.is_none_or(|until| until > now));
        live.map(|it| it.secret.clone()).collect()
    }

    fn write(&self) -> Result<Plaintext> {
        let written = Written {
            url: self.url.expose_secret().into(),
            secrets: self
                .secrets
                .iter()
                .map(|it| WrittenSecret {
                    secret: it.secret.to_text().expose_secret().to_owned(),
                    until_ms: it.until.map(Timestamp::as_unix_millis),
                })
                .collect(),
            headers: self
                .headers
                .iter()
                .map(|(name, value)| (name.to_string(), value.expose_secret().to_owned()))
                .collect(),
        };
        serde_json::to_vec(&written)
            .map(Plaintext::new)
            .map_err(|_| {
                let message = "an endpoint could not be serialized";
                Error::new(ErrorKind::Bug, super::OPERATION, message)
            })
    }

    fn read(plaintext: &Plaintext) -> Option<Self> {
        let written: Written<'_> = serde_json::from_slice(plaintext.expose()).ok()?;
        let secrets = written.secrets.into_iter().map(|it| {
            Some(LiveSecret {
                secret: SigningSecret::parse(&SecretString::from(it.secret)).ok()?,
                until: it.until_ms.map(Timestamp::from_unix_millis),
            })
        });
        let headers = written.headers.into_iter();
        let headers = headers.map(|(name, value)| Some((name.parse().ok()?, value.into())));
        Some(Self {
            url: SecretString::from(written.url.into_owned()),
            secrets: secrets.collect::<Option<_>>()?,
            headers: headers.collect::<Option<_>>()?,
        })
    }
}

fn place<'a>(
    key: &'a EndpointKey,
    provider: &'a ProviderId,
    app: &'a AppKey,
    row: &'a str,
) -> SealContext<'a> {
    SealContext::new(
        Some(&key.tenant),
        provider,
        app,
        row,
        SealedKind::WebhookSecret,
    )
}

impl Inner {
    pub(super) async fn seal_target(
        &self,
        key: &EndpointKey,
        provider: &ProviderId,
        target: &Target,
    ) -> Result<Sealed> {
        let (row, app) = (key.row_id(), AppKey::default());
        let plaintext = target.write()?;
        let place = place(key, provider, &app, &row);
        self.cipher.seal(&place, plaintext.expose()).await
    }

    pub(super) async fn open_target(
        &self,
        key: &EndpointKey,
        provider: &ProviderId,
        sealed: &Sealed,
    ) -> Result<Target> {
        let (row, app) = (key.row_id(), AppKey::default());
        let place = place(key, provider, &app, &row);
        let plaintext = self.cipher.open(&place, sealed).await?;
        Target::read(&plaintext).ok_or_else(|| {
            Error::new(
                ErrorKind::StoreIncompatible,
                super::OPERATION,
                "a stored endpoint is in a format that this version does not know; update this node",
            )
        })
    }

    /// Checks a URL that a customer entered, with the rules that also apply when a message is sent.
    /// Returns its host, for display.
    pub(super) async fn check_url(&self, url: &SecretString) -> Result<String> {
        let text = url.expose_secret();
        let parsed = Url::parse(text).ok().filter(|_| text.len() <= MAX_URL);
        let parsed =
            parsed.ok_or_else(|| invalid("the URL is invalid or longer than 2,048 bytes"))?;
        if parsed.scheme() != "https" {
            return Err(invalid("the URL does not begin with https://"));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(invalid(
                "the URL contains a user name or password; use a header instead",
            ));
        }
        if parsed.fragment().is_some() {
            return Err(invalid("the URL contains a fragment"));
        }
        // The parsed form is sent, so the parsed form is checked.
        let uri: Uri = parsed
            .as_str()
            .parse()
            .map_err(|_| invalid("the URL is invalid"))?;
        match self.outbound_transport.check(&uri).await {
            Err(error) if error.kind() == TransportErrorKind::Connect => {
                return Err(invalid("the host of the URL does not exist").with_source(error));
            }
            Err(error) if error.kind() == TransportErrorKind::AddressRefused => {
                let message = "the URL must have a public host name and no other port than 443";
                return Err(Error::new(
                    ErrorKind::AddressRefused,
                    super::OPERATION,
                    message,
                ));
            }
            // A slow name server is no reason to refuse a URL. It is checked again for each message.
            _ => {}
        }
        Ok(parsed.host_str().unwrap_or_default().to_owned())
    }
}

/// Returns the URL in the form in which it is sent.
pub(super) fn normalized(url: &SecretString) -> SecretString {
    match Url::parse(url.expose_secret()) {
        Ok(url) => SecretString::from(String::from(url)),
        Err(_) => url.clone(),
    }
}

/// Checks the custom headers of an endpoint.
pub(super) fn check_headers(
    headers: Vec<(String, SecretString)>,
) -> Result<Vec<(HeaderName, SecretString)>> {
    if headers.len() > MAX_HEADERS {
        return Err(invalid("an endpoint can have at most 16 headers"));
    }
    let mut checked: Vec<(HeaderName, SecretString)> = Vec::with_capacity(headers.len());
    for (name, value) in headers {
        let name: HeaderName = name
            .parse()
            .map_err(|_| invalid("the name of a header is invalid"))?;
        let text = name.as_str();
        if RESERVED.contains(&text) || RESERVED_PREFIXES.iter().any(|it| text.starts_with(it)) {
            return Err(invalid(
                "a header has a reserved name; use a name of your own, for example x-api-key",
            ));
        }
        let is_known = checked.iter().any(|(known, _)| *known == name);
        let exposed = value.expose_secret();
        if is_known || exposed.len() > MAX_VALUE || HeaderValue::from_str(exposed).is_err() {
            return Err(invalid(
                "a header occurs twice, or its value is invalid or longer than 1,024 bytes",
            ));
        }
        checked.push((name, value));
    }
    Ok(checked)
}

pub(super) fn invalid(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, super::OPERATION, message)
}
