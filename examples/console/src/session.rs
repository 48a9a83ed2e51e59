//! The only user of the console: everybody who can open it on this machine.

use std::sync::Arc;

use async_trait::async_trait;
use connectors::axum::{Access, Caller, Denied, Permission, Permissions};
use connectors::{Actor, SystemRandom, TenantId, random_token};
use http::HeaderMap;
use http::header::COOKIE;
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};
use subtle::ConstantTimeEq as _;

use crate::Outcome;

const NAME: &str = "console";

/// The session. A cookie identifies it, so that pages of other sites cannot act.
#[derive(Clone)]
pub(crate) struct Session(Arc<Inner>);

struct Inner {
    id: SecretString,
    csrf: SecretString,
    caller: Caller,
}

impl Session {
    pub(crate) fn new() -> Outcome<Self> {
        let permissions = Permissions::of(&[
            Permission::Read,
            Permission::Connect,
            Permission::Refresh,
            Permission::Disconnect,
        ]);
        let (tenant, actor) = (TenantId::new("console")?, Actor::User("you".into()));
        Ok(Self(Arc::new(Inner {
            id: random_token(&SystemRandom::new())?,
            csrf: random_token(&SystemRandom::new())?,
            caller: Caller::new(tenant, actor, permissions),
        })))
    }

    pub(crate) fn caller(&self) -> &Caller {
        &self.0.caller
    }

    /// Returns the value of the `Set-Cookie` header.
    pub(crate) fn cookie(&self) -> String {
        let id = self.0.id.expose_secret();
        format!("{NAME}={id}; Path=/; HttpOnly; SameSite=Lax")
    }

    pub(crate) fn csrf(&self) -> &str {
        self.0.csrf.expose_secret()
    }

    pub(crate) fn is_csrf(&self, token: &str) -> bool {
        equal(self.csrf(), token)
    }

    pub(crate) fn made(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(COOKIE).iter();
        let mut pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(name, value)| name == NAME && equal(self.0.id.expose_secret(), value))
    }
}

fn equal(one: &str, other: &str) -> bool {
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

#[async_trait]
impl Access for Session {
    async fn identify(&self, request: &Parts) -> Result<Caller, Denied> {
        if self.made(&request.headers) {
            Ok(self.caller().clone())
        } else {
            Err(Denied::Unauthenticated)
        }
    }
}
