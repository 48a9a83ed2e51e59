//! The authorization request (RFC 6749 section 4.1.1).

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, RedirectUrl, Scope};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::app::App;
use crate::description::{Description, Pkce};
use crate::error::{Error, ErrorKind, Result};
use crate::oauth::CodeVerifier;

/// What one authorization request is made of.
#[derive(Debug)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// The registration that asks.
    pub app: &'a App,
    /// The account's host, for providers whose accounts have their own.
    pub account_host: Option<&'a str>,
    /// The `state` parameter.
    pub state: &'a SecretString,
    /// The code verifier, whose challenge is sent.
    pub verifier: &'a CodeVerifier,
}

impl<'a> AuthorizationRequest<'a> {
    /// A request by `app` under `state`.
    #[must_use]
    pub fn new(app: &'a App, state: &'a SecretString, verifier: &'a CodeVerifier) -> Self {
        Self {
            app,
            account_host: None,
            state,
            verifier,
        }
    }

    /// Sets the account's host. Pass only one that the account rule accepted.
    #[must_use]
    pub fn with_account_host(mut self, account_host: Option<&'a str>) -> Self {
        self.account_host = account_host;
        self
    }

    /// The scopes to ask for: the app's, or the description's defaults.
    #[must_use]
    pub fn scopes<'s>(&'s self, description: &'s Description) -> &'s [String] {
        match self.app.scopes() {
            [] => &description.scopes.default,
            scopes => scopes,
        }
    }
}

/// The URL to send the browser to, with PKCE S256 unless the provider refuses it.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the provider has no authorization endpoint;
/// [`ErrorKind::Configuration`] if the app has no redirect URI or the description is wrong.
pub fn authorization_url(
    description: &Description,
    request: &AuthorizationRequest<'_>,
) -> Result<Url> {
    const OPERATION: &str = "oauth.authorization_url";
    let Some(endpoint) = &description.authorization else {
        return Err(Error::new(
            ErrorKind::Unsupported,
            OPERATION,
            "the provider has no authorization endpoint; adopt a credential instead",
        ));
    };
    let Some(redirect_uri) = request.app.redirect_uri() else {
        return Err(Error::new(
            ErrorKind::Configuration,
            OPERATION,
            "the app has no redirect URI; set the one that is registered at the provider",
        ));
    };
    let url = endpoint
        .endpoint
        .url(request.account_host.unwrap_or_default())?;
    let client = BasicClient::new(ClientId::new(request.app.client_id().to_owned()))
        .set_auth_uri(AuthUrl::from_url(url))
        .set_redirect_uri(RedirectUrl::from_url(redirect_uri.clone()));
    let state = CsrfToken::new(request.state.expose_secret().to_owned());
    let mut authorize = client.authorize_url(|| state);
    let scopes = request.scopes(description);
    if !scopes.is_empty() {
        // Joined here: the separator is the provider's, not always a space.
        let joined = scopes.join(&description.scopes.separator.to_string());
        authorize = authorize.add_scope(Scope::new(joined));
    }
    if endpoint.pkce == Pkce::S256 {
        authorize = authorize.set_pkce_challenge(request.verifier.pkce_challenge());
    }
    for (name, value) in &endpoint.parameters {
        authorize = authorize.add_extra_param(name.as_str(), value.as_str());
    }
    let (url, _state) = authorize.url();
    Ok(url)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::description::{AuthorizationEndpoint, EndpointTemplate};
    use crate::provider::ProviderId;

    #[test]
    fn the_url_carries_what_the_rfcs_ask_for() {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        let template = EndpointTemplate::new("https://{account}/authorize?fixed=1");
        let mut endpoint = AuthorizationEndpoint::new(template);
        endpoint
            .parameters
            .insert("prompt".into(), "consent".into());
        description.authorization = Some(endpoint);
        description.scopes.separator = ',';
        let app = App::new("client")
            .with_scopes(["read", "write"])
            .with_redirect_uri("https://app.example/callback?x=1".parse().unwrap());
        let state = SecretString::from("state-value");
        let verifier =
            CodeVerifier::from_secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into())
                .unwrap();
        let request =
            AuthorizationRequest::new(&app, &state, &verifier).with_account_host(Some("a.example"));
        let url = authorization_url(&description, &request).unwrap();
        assert_eq!(url.host_str(), Some("a.example"));
        let pairs: BTreeMap<String, String> = url.query_pairs().into_owned().collect();
        for (name, value) in [
            ("fixed", "1"),
            ("response_type", "code"),
            ("client_id", "client"),
            ("redirect_uri", "https://app.example/callback?x=1"),
            ("scope", "read,write"),
            ("state", "state-value"),
            (
                "code_challenge",
                "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            ),
            ("code_challenge_method", "S256"),
            ("prompt", "consent"),
        ] {
            assert_eq!(pairs.get(name).map(String::as_str), Some(value), "{name}");
        }
        assert_eq!(pairs.len(), 9);
    }
}
