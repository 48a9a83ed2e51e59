//! The authorization request (RFC 6749 section 4.1.1).

use oauth2::basic::BasicClient;
use oauth2::{AuthUrl, ClientId, CsrfToken, RedirectUrl, Scope};
use std::collections::BTreeMap;

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use crate::app::App;
use crate::error::{Error, ErrorKind, Result};
use crate::provider::description::{ClientAuthentication, Description, Pkce};
use crate::provider::oauth::CodeVerifier;

/// The parameters of an authorization request.
#[derive(Debug)]
#[non_exhaustive]
pub struct AuthorizationRequest<'a> {
    /// The app registration that sends the request.
    pub app: &'a App,
    /// The account's host, for providers with per-account hosts.
    pub account_host: Option<&'a str>,
    /// The `state` parameter.
    pub state: &'a SecretString,
    /// The code verifier. The request contains its challenge.
    pub verifier: &'a CodeVerifier,
    /// Scopes that the application requests for this flow. If empty, the app's scopes are used.
    pub flow_scopes: &'a [String],
    /// Parameters that the application sets for this flow.
    pub parameters: &'a BTreeMap<String, String>,
}

/// Empty parameters of a flow.
pub(super) static NO_PARAMETERS: BTreeMap<String, String> = BTreeMap::new();

impl<'a> AuthorizationRequest<'a> {
    /// Creates an authorization request for `app` with the given `state`.
    #[must_use]
    pub fn new(app: &'a App, state: &'a SecretString, verifier: &'a CodeVerifier) -> Self {
        Self {
            app,
            account_host: None,
            state,
            verifier,
            flow_scopes: &[],
            parameters: &NO_PARAMETERS,
        }
    }

    /// Sets the account's host. Pass only hosts that the account host rule has accepted.
    #[must_use]
    pub fn with_account_host(mut self, account_host: Option<&'a str>) -> Self {
        self.account_host = account_host;
        self
    }

    /// Sets the scopes to request for this flow.
    #[must_use]
    pub fn with_scopes(mut self, scopes: &'a [String]) -> Self {
        self.flow_scopes = scopes;
        self
    }

    /// Sets additional parameters for this flow.
    #[must_use]
    pub fn with_parameters(mut self, parameters: &'a BTreeMap<String, String>) -> Self {
        self.parameters = parameters;
        self
    }

    /// Returns the scopes to request: the scopes of the flow if it sets any, otherwise the scopes
    /// of the app, otherwise the description's defaults.
    #[must_use]
    pub fn scopes<'s>(&'s self, description: &'s Description) -> &'s [String] {
        match (self.flow_scopes, self.app.scopes()) {
            ([], []) => &description.scopes.default,
            ([], scopes) | (scopes, _) => scopes,
        }
    }
}

/// Returns the URL to which the browser is sent for authorization.
///
/// The URL uses PKCE unless the provider rejects it.
///
/// # Errors
/// [`ErrorKind::Unsupported`] if the provider has no authorization endpoint.
/// [`ErrorKind::Configuration`] if the app has no redirect URI, if neither PKCE nor a client secret
/// protects the authorization code (RFC 9700 section 2.1.1), or if the description is invalid.
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
            "the app has no redirect URI; set the one registered with the provider",
        ));
    };
    if endpoint.pkce == Pkce::Refused && !has_secret(description, request.app) {
        return Err(Error::new(
            ErrorKind::Configuration,
            OPERATION,
            "the provider rejects PKCE, so the app needs a client secret; set the client secret",
        ));
    }
    let url = endpoint
        .endpoint
        .url(request.account_host.unwrap_or_default())?;
    // The redirect URI is sent exactly as registered, because providers compare it byte by byte.
    let redirect_uri = RedirectUrl::new(redirect_uri.as_str().to_owned()).map_err(|_| {
        Error::new(
            ErrorKind::Configuration,
            OPERATION,
            "the app's redirect URI is not a valid URL; set the registered one",
        )
    })?;
    let client = BasicClient::new(ClientId::new(request.app.client_id().to_owned()))
        .set_auth_uri(AuthUrl::from_url(url))
        .set_redirect_uri(redirect_uri);
    let state = CsrfToken::new(request.state.expose_secret().to_owned());
    let mut authorize = client.authorize_url(|| state);
    let scopes = request.scopes(description);
    if !scopes.is_empty() {
        // Scopes are joined here because some providers use a separator other than a space.
        let joined = scopes.join(&description.scopes.separator.to_string());
        authorize = authorize.add_scope(Scope::new(joined));
    }
    match endpoint.pkce {
        Pkce::S256 => authorize = authorize.set_pkce_challenge(request.verifier.pkce_challenge()),
        Pkce::S256Hex => {
            authorize = authorize
                .add_extra_param("code_challenge", request.verifier.hexadecimal_challenge())
                .add_extra_param("code_challenge_method", "S256");
        }
        Pkce::Refused => {}
    }
    if endpoint.nonce {
        authorize = authorize.add_extra_param("nonce", request.verifier.nonce());
    }
    // A flow parameter replaces the description's parameter of the same name.
    let described = endpoint.parameters.iter();
    let described = described.filter(|(name, _)| !request.parameters.contains_key(*name));
    for (name, value) in described.chain(request.parameters) {
        authorize = authorize.add_extra_param(name.as_str(), value.as_str());
    }
    let (url, _state) = authorize.url();
    Ok(percent_encoded(description, url))
}

/// Returns true if the app authenticates its token requests.
fn has_secret(description: &Description, app: &App) -> bool {
    let method = description
        .token
        .as_ref()
        .map(|it| it.client_authentication);
    method != Some(ClientAuthentication::None) && app.client_secret().is_some()
}

/// Encodes spaces as `%20` instead of `+` and applies the provider's name for the client id.
///
/// Every server decodes `%20`. Only form decoders decode `+`.
fn percent_encoded(description: &Description, mut url: Url) -> Url {
    let client_id = description.client_id();
    let Some(query) = url.query() else { return url };
    let renamed = query
        .split('&')
        .map(|pair| match pair.strip_prefix("client_id=") {
            Some(value) => format!("{client_id}={value}"),
            None => pair.to_owned(),
        });
    // A plus sign within a value is already encoded as %2B.
    let query = renamed.collect::<Vec<_>>().join("&").replace('+', "%20");
    url.set_query(Some(&query));
    url
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::provider::description::{AuthorizationEndpoint, EndpointTemplate, TokenEndpoint};
    use crate::provider_id::ProviderId;

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

    fn url(edit: impl FnOnce(&mut Description), redirect_uri: &str) -> String {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        let endpoint = EndpointTemplate::new("https://acme.example/authorize");
        description.authorization = Some(AuthorizationEndpoint::new(endpoint.clone()));
        description.token = Some(TokenEndpoint::new(endpoint));
        edit(&mut description);
        let app = App::new("client").with_redirect_uri(redirect_uri.parse().unwrap());
        let state = SecretString::from("s+t");
        let verifier =
            CodeVerifier::from_secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into())
                .unwrap();
        let scopes = ["read".to_owned(), "write".to_owned()];
        let parameters = BTreeMap::from([("login_hint".to_owned(), "a b+c".to_owned())]);
        let request = AuthorizationRequest::new(&app, &state, &verifier)
            .with_scopes(&scopes)
            .with_parameters(&parameters);
        authorization_url(&description, &request)
            .unwrap()
            .to_string()
    }

    /// Only form decoders read `+` as a space.
    #[test]
    fn spaces_are_percent_encoded() {
        let url = url(|_| {}, "https://app.example/cb");
        for part in ["scope=read%20write", "login_hint=a%20b%2Bc", "state=s%2Bt"] {
            assert!(url.contains(part), "{part} in {url}");
        }
        assert!(!url.contains('+'), "{url}");
    }

    /// Providers compare redirect URIs byte by byte.
    #[test]
    fn the_redirect_uri_is_sent_as_it_is_registered() {
        for (registered, sent) in [
            ("https://app.example", "https%3A%2F%2Fapp.example&"),
            (
                "https://app.example:443/cb",
                "https%3A%2F%2Fapp.example%3A443%2Fcb&",
            ),
            ("https://App.Example/Cb", "https%3A%2F%2FApp.Example%2FCb&"),
            (
                "https://app.example/it's",
                "https%3A%2F%2Fapp.example%2Fit%27s&",
            ),
        ] {
            let url = url(|_| {}, registered) + "&";
            assert!(url.contains(&format!("redirect_uri={sent}")), "{url}");
        }
    }

    #[test]
    fn a_parameter_of_the_flow_replaces_the_described_one() {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        let template = EndpointTemplate::new("https://acme.example/authorize");
        let mut endpoint = AuthorizationEndpoint::new(template);
        for name in ["prompt", "access_type"] {
            endpoint.parameters.insert(name.into(), "described".into());
        }
        description.authorization = Some(endpoint);
        let app =
            App::new("client").with_redirect_uri("https://app.example/callback".parse().unwrap());
        let state = SecretString::from("state-value");
        let verifier =
            CodeVerifier::from_secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into())
                .unwrap();
        let parameters = [("prompt".to_owned(), "of the flow".to_owned())].into();
        let request =
            AuthorizationRequest::new(&app, &state, &verifier).with_parameters(&parameters);
        let url = authorization_url(&description, &request).unwrap();
        for (name, value) in [("prompt", "of the flow"), ("access_type", "described")] {
            let sent: Vec<String> = url
                .query_pairs()
                .filter(|(known, _)| known == name)
                .map(|(_, value)| value.into_owned())
                .collect();
            assert_eq!(sent, [value], "{name}");
        }
    }

    /// RFC 9700 section 2.1.1: public clients use PKCE.
    #[test]
    fn a_client_without_a_secret_needs_pkce() {
        let secret = || App::new("client").with_client_secret("secret");
        let table = [
            (
                Pkce::S256,
                ClientAuthentication::Basic,
                App::new("client"),
                true,
            ),
            (Pkce::S256, ClientAuthentication::None, secret(), true),
            (Pkce::Refused, ClientAuthentication::Basic, secret(), true),
            (
                Pkce::Refused,
                ClientAuthentication::Basic,
                App::new("client"),
                false,
            ),
            (
                Pkce::Refused,
                ClientAuthentication::Body,
                App::new("client"),
                false,
            ),
            (Pkce::Refused, ClientAuthentication::None, secret(), false),
        ];
        for (pkce, method, app, is_safe) in table {
            let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
            let template = EndpointTemplate::new("https://acme.example/authorize");
            let mut endpoint = AuthorizationEndpoint::new(template.clone());
            endpoint.pkce = pkce;
            description.authorization = Some(endpoint);
            let mut token = TokenEndpoint::new(template);
            token.client_authentication = method;
            description.token = Some(token);
            let app = app.with_redirect_uri("https://app.example/cb".parse().unwrap());
            let (state, verifier) = (
                SecretString::from("state"),
                CodeVerifier::from_secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk".into())
                    .unwrap(),
            );
            let request = AuthorizationRequest::new(&app, &state, &verifier);
            match authorization_url(&description, &request) {
                Ok(_) => assert!(is_safe, "{pkce:?} {method:?}"),
                Err(error) => {
                    assert!(!is_safe, "{pkce:?} {method:?}: {error}");
                    assert_eq!(error.kind(), ErrorKind::Configuration);
                }
            }
        }
    }

    #[test]
    fn the_client_id_parameter_and_the_challenge_format_can_differ() {
        let url = url(
            |description| {
                description.authorization.as_mut().unwrap().pkce = Pkce::S256Hex;
                description.token.as_mut().unwrap().client_id_parameter = "client_key".into();
            },
            "https://app.example/cb",
        );
        assert!(url.contains("client_key=client&"), "{url}");
        assert!(!url.contains("client_id="), "{url}");
        // SHA-256 of the verifier in RFC 7636 appendix B.
        let hexadecimal = "13d31e961a1ad8ec2f16b10c4c982e0876a878ad6df144566ee1894acb70f9c3";
        assert!(
            url.contains(&format!("code_challenge={hexadecimal}")),
            "{url}"
        );
    }
}
