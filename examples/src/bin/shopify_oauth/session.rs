//! Login sessions. This is a placeholder for the application's own login.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use axum::http::{HeaderMap, header};
use connectors::{Actor, SystemRandom, TenantId, random_token};
use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

/// Maximum number of sessions. A new session replaces the oldest one.
const KEPT: usize = 100;

/// A browser session of a logged-in user, who is always Ada.
#[derive(Clone)]
pub(crate) struct Session {
    id: SecretString,
    /// The user.
    pub(crate) actor: Actor,
    /// The customer of the application that the user works for.
    pub(crate) tenant: TenantId,
    /// The CSRF token in every form of this session. Other sites cannot know it.
    pub(crate) csrf: SecretString,
}

impl Session {
    /// Returns the value of the session's cookie.
    pub(crate) fn id(&self) -> &SecretString {
        &self.id
    }

    /// Returns true if the form was created for this session.
    pub(crate) fn made(&self, csrf: &SecretString) -> bool {
        equal(&self.csrf, csrf)
    }
}

/// All sessions, in memory only.
pub(crate) struct Sessions {
    open: Mutex<VecDeque<Session>>,
    /// The password of the login, if anyone can reach the program.
    password: Option<SecretString>,
}

impl Sessions {
    pub(crate) fn new(password: Option<SecretString>) -> Self {
        Self {
            open: Mutex::default(),
            password,
        }
    }

    /// Returns true if the login requires a password.
    pub(crate) fn asks(&self) -> bool {
        self.password.is_some()
    }

    /// Logs Ada in if the password is right or not required.
    pub(crate) fn log_in(&self, password: &SecretString) -> connectors::Result<Option<Session>> {
        if self
            .password
            .as_ref()
            .is_some_and(|it| !equal(it, password))
        {
            return Ok(None);
        }
        let random = SystemRandom::new();
        let session = Session {
            id: random_token(&random)?,
            actor: Actor::User("ada".into()),
            tenant: TenantId::new("adas-bakery")?,
            csrf: random_token(&random)?,
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.truncate(KEPT - 1);
        open.push_front(session.clone());
        Ok(Some(session))
    }

    /// Returns the session that the browser's cookie identifies.
    pub(crate) fn find(&self, cookie: &SecretString) -> Option<Session> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.iter().find(|it| equal(&it.id, cookie)).cloned()
    }
}

/// Compares two secrets in constant time.
pub(crate) fn equal(one: &SecretString, other: &SecretString) -> bool {
    let (one, other) = (one.expose_secret(), other.expose_secret());
    one.as_bytes().ct_eq(other.as_bytes()).into()
}

/// Names and attributes of cookies.
///
/// Over https, the names begin with `__Host-`, so that no other host under the same domain can set
/// them. Over plain http, which is used on this machine only, some browsers do not accept this
/// prefix or `Secure`, so the cookies have neither.
#[derive(Clone, Copy)]
pub(crate) struct Cookies {
    is_https: bool,
}

impl Cookies {
    pub(crate) fn new(is_https: bool) -> Self {
        Self { is_https }
    }

    fn full_name(self, name: &str) -> String {
        let prefix = if self.is_https { "__Host-" } else { "" };
        format!("{prefix}{name}")
    }

    /// Returns the value of a `Set-Cookie` header.
    pub(crate) fn set(self, name: &str, value: &SecretString) -> String {
        let secure = if self.is_https { "; Secure" } else { "" };
        format!(
            "{}={}; Path=/; HttpOnly; SameSite=Lax{secure}",
            self.full_name(name),
            value.expose_secret()
        )
    }

    /// Returns the value of a cookie that the browser sent.
    pub(crate) fn get(self, headers: &HeaderMap, name: &str) -> Option<SecretString> {
        let name = self.full_name(name);
        let lines = headers.get_all(header::COOKIE).iter();
        let mut pairs = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(|line| line.split(';'))
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.find_map(|(its_name, value)| (its_name == name).then(|| value.into()))
    }
}
