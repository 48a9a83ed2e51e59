//! Every feature of a description, simulated and used over a socket by the generic connector.

#![allow(clippy::too_many_lines, reason = "one long table")]

use std::sync::Arc;
use std::time::Duration;

use connector_core::clock::{Clock, ManualClock, Timestamp};
use connector_core::http::{HttpTransport, Origin};
use connector_core::provider::oauth::{
    AuthorizationRequest, Callback, CodeExchange, CodeVerifier, ExchangeClass, ExchangeError,
    Grace, RotationClass, TokenResponse,
};
use connector_core::provider::{Connector, Context, Description, GenericConnector};
use connector_core::{App, Credential, ErrorKind, SystemRandom};
use connector_http::{HttpClient, HttpClientBuilder};
use connector_sim::{Account, Authority, AuthorityBuilder, Consent};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// A description, the account at its provider, and the settings that a description cannot contain.
struct Form {
    name: &'static str,
    description: Value,
    account: &'static str,
    settings: fn(AuthorityBuilder) -> AuthorityBuilder,
}

fn form(name: &'static str, account: &'static str, more: Value) -> Form {
    let mut description = json!({
        "provider": "acme",
        "name": "Acme",
        "api": ["https://api.acme.example"],
        "authorization": { "endpoint": "https://acme.example/authorize" },
        "token": { "endpoint": "https://acme.example/token" },
        "identity": { "endpoint": "https://api.acme.example/me", "account": "/id" },
        "revocation": { "endpoint": "https://acme.example/revoke" },
        "scopes": { "default": ["read", "write"] },
    });
    merge(&mut description, more);
    Form {
        name,
        description,
        account,
        settings: |builder| builder,
    }
}

/// Merges members. `null` removes a member; lists and texts are replaced.
fn merge(value: &mut Value, more: Value) {
    match (value, more) {
        (Value::Object(members), Value::Object(more)) => {
            for (name, new) in more {
                if new.is_null() {
                    members.remove(&name);
                } else {
                    merge(members.entry(name).or_insert(Value::Null), new);
                }
            }
        }
        (value, more) => *value = more,
    }
}

fn forms() -> Vec<Form> {
    let with = |form: Form, settings| Form { settings, ..form };
    vec![
        form("RFC 6749, strict rotation", "7", json!({})),
        form(
            "JSON body, headers, identity in the token response",
            "workspace-7",
            json!({
                "headers": { "Acme-Version": "2026-11-01" },
                "token": { "encoding": "json", "client_authentication": "basic" },
                "revocation": { "encoding": "json" },
                "identity": { "endpoint": null, "account": "/workspace/id", "label": "/workspace/name",
                    "probe": "https://api.acme.example/users/me" },
                "lifetimes": { "unstated": "until_refused" },
            }),
        ),
        form(
            "secret as user, old tokens live on",
            "7",
            json!({
                "token": { "client_authentication": "secret_as_user" },
                "rotation": "old_tokens_live_on",
            }),
        ),
        form(
            "public client, hexadecimal PKCE, client_key, kept field",
            "7",
            json!({
                "authorization": { "pkce": "s256_hex" },
                "token": { "client_authentication": "none", "client_id_parameter": "client_key",
                    "response": { "keep": { "open_id": "/open_id" } } },
                "scopes": { "separator": "," },
            }),
        ),
        with(
            form(
                "GET exchange without PKCE, values in a list",
                "7",
                json!({
                    "authorization": { "pkce": "refused" },
                    "token": { "method": "get", "client_authentication": "body",
                        "response": { "access_token": "/data/0/access_token",
                            "refresh_token": "/data/0/refresh_token",
                            "scope": "/data/0/permissions" } },
                    "scopes": { "separator": "," },
                    "rotation": "old_tokens_live_on",
                }),
            ),
            |builder| builder.with_token_fields(json!({ "data": [{ "user_id": 7 }] })),
        ),
        with(
            form(
                "another code parameter, a stable refresh token that is repeated",
                "7",
                json!({
                    "authorization": { "code_parameter": "spapi_oauth_code" },
                    "token": { "client_authentication": "body" },
                    "rotation": "stable",
                    "scopes": { "default": [] },
                }),
            ),
            AuthorityBuilder::with_repeated_refresh_token,
        ),
        form(
            "hosts of accounts, grace for a time",
            "7",
            json!({
                "account_host": { "suffix": ".acme.example" },
                "api": ["https://{account}"],
                "authorization": { "endpoint": "https://{account}/authorize" },
                "token": { "endpoint": "https://{account}/token", "client_authentication": "body" },
                "revocation": { "endpoint": "https://{account}/revoke" },
                "identity": { "endpoint": "https://{account}/me" },
                "rotation": { "grace": { "time": { "seconds": 120 } } },
                "authentication": { "header": "X-Acme-Token" },
            }),
        ),
        form(
            "grace until the successor is used, issuer in the callback",
            "7",
            json!({
                "authorization": { "issuer": "https://acme.example", "issuer_required": true },
                "rotation": { "grace": { "until_successor_used": { "max_seconds": 600 } } },
                "revocation": { "reach": "grant" },
            }),
        ),
        form(
            "ID token with nonce, composite key, issuer with a claim",
            "tenant-1:user-7",
            json!({
                "authorization": { "nonce": true },
                "identity": { "endpoint": null, "issuer": "https://login.acme.example/{tid}/v2.0",
                    "account": ["/tid", "/oid"], "probe": "https://api.acme.example/me" },
                "token": { "client_authentication": "body" },
                "rotation": "old_tokens_live_on",
            }),
        ),
        with(
            form(
                "refusals with status 200, a second account pointer",
                "T7",
                json!({
                    "token": { "client_authentication": "body" },
                    "identity": { "endpoint": null, "account": "/team/id", "label": "/team/name" },
                    "refusals": [
                        { "status": 200, "code": "invalid_refresh_token", "means": "dead_grant" },
                        { "status": 200, "code": "bad_client_secret", "means": "app_fault_certain" },
                    ],
                }),
            ),
            |builder| builder.with_token_fields(json!({ "ok": true })),
        ),
        form(
            "tokens that never expire, prefixed, a code of its own for a dead grant",
            "7",
            json!({
                "token": { "client_authentication": "body" },
                "lifetimes": { "access_may_never_expire": true },
                "authentication": { "prefixed": { "header": "Authorization", "prefix": "token " } },
                "refusals": [{ "code": "bad_verification_code", "means": "dead_grant" }],
            }),
        ),
        form(
            "revocation by the access token, a parameter that flows may replace",
            "7",
            json!({
                "authorization": { "parameters": { "prompt": "consent" },
                    "flow_parameters": ["prompt"] },
                "revocation": { "reach": "grant", "token": "access_token" },
            }),
        ),
        form(
            "credential as basic user, revocation of one token",
            "7",
            json!({
                "authentication": "basic",
                "revocation": { "reach": "token" },
                "rotation": "old_tokens_live_on",
            }),
        ),
        form(
            "a secret URL as the credential",
            "channel-7",
            json!({
                "authentication": "secret_url",
                "lifetimes": { "access_may_never_expire": true },
                "identity": { "endpoint": null, "account": "/channel/id" },
                "revocation": null,
            }),
        ),
        with(
            form(
                "one grant for each account, further parameters",
                "7",
                json!({
                    "authorization": { "parameters": { "prompt": "consent" } },
                    "token": { "exchange_parameters": { "expiring": "1" },
                        "refresh_parameters": { "reason": "expiry" },
                        "omitted_parameters": ["grant_type", "redirect_uri"] },
                    "grants_per_account": "one",
                    "rotation": "stable",
                    "lifetimes": { "idle_seconds": 86400 },
                }),
            ),
            |builder| builder.with_refresh_lifetime(Duration::from_secs(7 * 86_400)),
        ),
        form(
            "errors in another place, described by status alone",
            "7",
            json!({
                "token": { "response": { "error": "/fault/code",
                    "error_description": "/fault/text" } },
                "refusals": [
                    { "status": 410, "means": "dead_grant" },
                    { "code": "E17", "description": "secret", "means": "app_fault" },
                ],
            }),
        ),
    ]
}

struct World {
    description: Description,
    connector: GenericConnector,
    authority: Authority,
    app: App,
    client: HttpClient,
    clock: ManualClock,
    account: Account,
}

impl World {
    async fn start(form: &Form) -> Self {
        connector_testkit::trace::init();
        let description: Description = serde_json::from_value(form.description.clone()).unwrap();
        let clock = ManualClock::new(Timestamp::from_unix_seconds(1_800_000_000));
        let builder = Authority::of(&description).with_account(Account::new(form.account));
        let authority = (form.settings)(builder).start(clock.clone()).await.unwrap();
        let client = authority
            .server()
            .overrides()
            .into_iter()
            .fold(HttpClient::builder(), HttpClientBuilder::with_loopback);
        Self {
            connector: GenericConnector::new(description.clone()).unwrap(),
            app: authority.app(),
            client: client.with_clock(Arc::new(clock.clone())).build().unwrap(),
            account: authority.accounts()[0].clone(),
            description,
            authority,
            clock,
        }
    }

    fn cx(&self) -> Context<'_> {
        Context::new(&self.app, &self.client, &self.clock)
    }

    /// Opens the consent page and returns the callback.
    fn callback(&self, verifier: &CodeVerifier, consent: &Consent) -> Callback {
        let state = SecretString::from("state");
        let request = AuthorizationRequest::new(&self.app, &state, verifier)
            .with_account_host(self.account.host());
        let url = self.connector.authorization_url(&request).unwrap();
        let target = self.authority.visit(&url, consent).unwrap();
        let query = target.query().unwrap();
        Callback::parse_with(query, self.description.code_parameter()).unwrap()
    }

    async fn exchange(
        &self,
        verifier: &CodeVerifier,
        callback: &Callback,
    ) -> Result<TokenResponse, ExchangeError> {
        let code = callback.code().unwrap();
        let exchange = CodeExchange::new(&code, verifier).with_account_host(self.account.host());
        self.connector.exchange_code(&self.cx(), &exchange).await
    }

    async fn connect(&self) -> (TokenResponse, Credential) {
        let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        let callback = self.callback(&verifier, &Consent::Grant);
        let host = self.account.host();
        self.connector
            .check_callback(&self.cx(), host, &callback)
            .unwrap();
        assert_eq!(callback.state(), Some("state"));
        let answer = self.exchange(&verifier, &callback).await.unwrap();
        let credential = self.credential(&answer, None);
        (answer, credential)
    }

    fn credential(&self, answer: &TokenResponse, before: Option<&Credential>) -> Credential {
        let host = self.account.host().unwrap_or_default();
        let origin = Origin::of(&self.description.api[0].url(host).unwrap()).unwrap();
        let token = answer.access_token().clone();
        let mut credential = Credential::new(answer.kind(), origin, token, self.clock.now());
        let refresh_token = answer
            .refresh_token()
            .or_else(|| before.and_then(Credential::refresh_token));
        if let Some(refresh_token) = refresh_token {
            credential = credential.with_refresh_token(refresh_token.clone());
        }
        if let Some(host) = self.account.host() {
            credential = credential.with_account_host(host);
        }
        match answer.identity().or_else(|| before?.identity()) {
            Some(identity) => credential.with_identity(identity.clone()),
            None => credential,
        }
    }

    async fn refresh(&self, credential: &Credential) -> Result<Credential, ExchangeClass> {
        let refreshed = self.connector.refresh(&self.cx(), credential).await;
        let answer = refreshed.map_err(|error| error.class())?;
        assert_ne!(
            answer.access_token().expose_secret(),
            credential.secret().expose_secret()
        );
        Ok(self.credential(&answer, Some(credential)))
    }

    /// Returns true if the provider's API accepts the credential and returns the account.
    async fn is_live(&self, credential: &Credential) -> bool {
        match self.connector.identify(&self.cx(), credential).await {
            Ok(identity) => {
                assert_eq!(identity.account.key.as_str(), self.account.key());
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::Unauthorized);
                false
            }
        }
    }

    fn has_test_endpoint(&self) -> bool {
        let rule = self.description.identity.as_ref().unwrap();
        rule.test_endpoint().is_some()
    }

    async fn the_flow_has_its_rules(&self) -> usize {
        let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        let other = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        let mut checks = 0;
        // The owner denies consent.
        let denied = self.callback(&verifier, &Consent::Deny);
        assert_eq!(denied.error(), Some("access_denied"));
        // The owner grants fewer scopes.
        let scopes = vec!["read".to_owned()];
        let callback = self.callback(&verifier, &Consent::GrantOnly(scopes.clone()));
        let answer = self.exchange(&verifier, &callback).await.unwrap();
        assert_eq!(answer.scopes(), Some(scopes.as_slice()));
        // A code can be used once. A second use ends the grant.
        let credential = self.credential(&answer, None);
        let again = self.exchange(&verifier, &callback).await.unwrap_err();
        assert_eq!(again.class(), ExchangeClass::DeadGrant);
        assert_eq!(self.authority.reused_codes(), 1);
        if self.has_test_endpoint() {
            assert!(!self.is_live(&credential).await);
            checks += 1;
        }
        // A code expires.
        let callback = self.callback(&verifier, &Consent::Grant);
        self.clock.advance(Duration::from_secs(61));
        let late = self.exchange(&verifier, &callback).await.unwrap_err();
        assert_eq!(late.class(), ExchangeClass::DeadGrant);
        // A code is bound to its code verifier.
        let uses_pkce = self.description.authorization.as_ref().unwrap().pkce
            != connector_core::provider::description::Pkce::Refused;
        if uses_pkce {
            let callback = self.callback(&verifier, &Consent::Grant);
            let stolen = self.exchange(&other, &callback).await.unwrap_err();
            assert_eq!(stolen.class(), ExchangeClass::DeadGrant);
            checks += 1;
        }
        checks + 5
    }

    async fn the_client_is_authenticated(&mut self) -> usize {
        let Some(old) = self.app.client_secret().cloned() else {
            return 0;
        };
        let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
        let callback = self.callback(&verifier, &Consent::Grant);
        let right = self.app.clone();
        self.app = App::new(right.client_id())
            .with_redirect_uri(right.redirect_uri().unwrap().clone())
            .with_client_secret("wrong");
        let refused = self.exchange(&verifier, &callback).await.unwrap_err();
        assert!(matches!(refused.class(), ExchangeClass::AppFault { .. }));
        self.app = right;
        // The code is not used up. An old secret works until it is invalidated.
        let new = self.authority.rotate_client_secret();
        assert_ne!(new.expose_secret(), old.expose_secret());
        self.exchange(&verifier, &callback).await.unwrap();
        self.authority.end_old_client_secrets();
        let callback = self.callback(&verifier, &Consent::Grant);
        let refused = self.exchange(&verifier, &callback).await.unwrap_err();
        assert!(matches!(refused.class(), ExchangeClass::AppFault { .. }));
        self.app = self.authority.app();
        self.exchange(&verifier, &callback).await.unwrap();
        4
    }

    async fn refresh_tokens_rotate(&self, first: Credential) -> Credential {
        let second = self.refresh(&first).await.unwrap();
        let token = |it: &Credential| it.refresh_token().unwrap().expose_secret().to_owned();
        let rotation = self.description.rotation;
        let rotates = rotation != RotationClass::Stable;
        assert_eq!(token(&first) != token(&second), rotates);
        let dead = Err(ExchangeClass::DeadGrant);
        match rotation {
            RotationClass::Stable | RotationClass::OldTokensLiveOn => {
                self.refresh(&first).await.unwrap();
            }
            RotationClass::Grace(Grace::Time { seconds }) => {
                self.clock.advance(Duration::from_secs(seconds.into()) / 2);
                self.refresh(&first).await.unwrap();
                self.clock.advance(Duration::from_secs(seconds.into()) / 2);
                assert_eq!(self.refresh(&first).await.map(drop), dead);
            }
            RotationClass::Grace(_) => {
                // The pair of a repeated refresh replaces the first pair.
                let third = self.refresh(&first).await.unwrap();
                assert_eq!(self.refresh(&second).await.map(drop), dead);
                assert!(self.is_live(&third).await);
                assert_eq!(self.refresh(&first).await.map(drop), dead);
                return self.refresh(&third).await.unwrap();
            }
            _ => {
                assert_eq!(self.refresh(&first).await.map(drop), dead);
                // The reuse ended the grant.
                assert_eq!(self.refresh(&second).await.map(drop), dead);
                assert!(!self.has_test_endpoint() || !self.is_live(&second).await);
                return self.connect().await.1;
            }
        }
        self.refresh(&second).await.unwrap()
    }

    async fn lifetimes_end(&self, credential: &Credential, answer: &TokenResponse) -> usize {
        let lifetimes = &self.description.lifetimes;
        let mut checks = 0;
        if lifetimes.access_may_never_expire {
            assert!(answer.expires_in().is_none() && answer.refresh_token().is_none());
            self.clock.advance(Duration::from_secs(86_400 * 365));
            assert!(!self.has_test_endpoint() || self.is_live(credential).await);
            return 1;
        }
        self.clock.advance(Duration::from_secs(3600));
        if self.has_test_endpoint() {
            assert!(!self.is_live(credential).await);
            checks += 1;
        }
        if let Some(seconds) = lifetimes.idle_seconds {
            let idle = self.connect().await.1;
            self.clock.advance(Duration::from_secs(seconds));
            let dead = self.refresh(&idle).await.map(drop);
            assert_eq!(dead, Err(ExchangeClass::DeadGrant));
            checks += 1;
        }
        checks
    }

    async fn a_revoked_credential_ends(&self) -> usize {
        if self.description.revocation.is_none() {
            return 0;
        }
        let (_, first) = self.connect().await;
        let (_, second) = self.connect().await;
        self.connector.revoke(&self.cx(), &second).await.unwrap();
        // A repeated revocation succeeds.
        self.connector.revoke(&self.cx(), &second).await.unwrap();
        assert!(!self.has_test_endpoint() || !self.is_live(&second).await);
        let reach = self.description.revocation.as_ref().unwrap().reach;
        let is_one = self.description.grants_per_account
            == connector_core::provider::description::GrantsPerAccount::One;
        let lives =
            reach != connector_core::provider::description::RevocationReach::Account && !is_one;
        assert!(!self.has_test_endpoint() || self.is_live(&first).await == lives);
        if second.refresh_token().is_some() {
            let dead = self.refresh(&second).await.map(drop);
            assert_eq!(dead, Err(ExchangeClass::DeadGrant));
        }
        1
    }
}

#[tokio::test]
async fn every_form_of_a_description_is_simulated_under_its_own_rules() {
    let (mut checks, mut refreshed, mut revoked) = (0, 0, 0);
    let forms = forms();
    for form in &forms {
        println!("{}", form.name);
        let mut world = World::start(form).await;
        let (answer, credential) = world.connect().await;
        if answer.identity().is_some() || world.has_test_endpoint() {
            assert!(world.is_live(&credential).await, "{}", form.name);
        }
        checks += world.the_flow_has_its_rules().await;
        checks += world.the_client_is_authenticated().await;
        let (answer, credential) = world.connect().await;
        if answer.refresh_token().is_some() {
            world.refresh_tokens_rotate(credential).await;
            refreshed += 1;
        }
        let (answer, credential) = world.connect().await;
        checks += world.lifetimes_end(&credential, &answer).await;
        revoked += world.a_revoked_credential_ends().await;
        let token = &world.description.token.as_ref().unwrap().response;
        for name in token.keep.keys() {
            assert!(answer.kept().any(|(kept, _)| kept == name));
        }
    }
    println!(
        "forms of descriptions simulated: {}; refreshed: {refreshed}; revoked: {revoked}; \
         further checks: {checks}",
        forms.len()
    );
    assert!(forms.len() >= 12 && refreshed >= 10 && revoked >= 12 && checks >= 100);
}

#[tokio::test]
async fn a_token_of_one_host_is_unknown_at_another() {
    let forms = forms();
    let form = forms
        .iter()
        .find(|it| it.account == "7" && it.description.get("account_host").is_some());
    let world = World::start(form.unwrap()).await;
    let (_, credential) = world.connect().await;
    let other = Account::new("8").with_host("other.acme.example");
    world.authority.add_account(other);
    let foreign = credential.clone().with_account_host("other.acme.example");
    // The transport was built before the account existed.
    let transport = world.authority.server().transport();
    let cx = Context::new(&world.app, &*transport, &world.clock);
    assert!(world.connector.identify(&cx, &credential).await.is_ok());
    let refused = world.connector.identify(&cx, &foreign).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unauthorized);
    let refused = world.connector.refresh(&cx, &foreign).await.unwrap_err();
    assert_eq!(refused.class(), ExchangeClass::DeadGrant);
    world.connector.refresh(&cx, &credential).await.unwrap();
    let _: &dyn HttpTransport = &*transport;
}
