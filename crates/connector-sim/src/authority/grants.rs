//! Authorization codes, grants and their tokens, rotated as the description defines.

use std::collections::BTreeMap;
use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::provider::description::{CallAuthentication, GrantsPerAccount};
use connector_core::provider::oauth::{Grace, RotationClass};

use super::{Account, Grant, World};

#[derive(Default)]
pub(super) struct Grants {
    made: u64,
    pub(super) codes: BTreeMap<String, Code>,
    live: BTreeMap<u64, Grant>,
    access: BTreeMap<String, Access>,
    refresh: BTreeMap<String, Refresh>,
    /// The time and the result of each migration, keyed by the migrated non-expiring access token.
    migrated: BTreeMap<String, (Timestamp, Pair)>,
    pub(super) reused_codes: usize,
    pub(super) reused_refresh_tokens: usize,
}

/// An authorization code, bound to a client, an account and a code challenge.
pub(super) struct Code {
    pub(super) client_id: String,
    pub(super) account: Account,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) issued: Timestamp,
    /// The grant that the code was exchanged for, if any.
    pub(super) grant: Option<u64>,
}

struct Access {
    grant: u64,
    /// Expiry; `None` if the token does not expire.
    ends: Option<Timestamp>,
    /// The refresh token from which this token was issued.
    parent: Option<String>,
}

struct Refresh {
    grant: u64,
    parent: Option<String>,
    ends: Option<Timestamp>,
    /// Time of issue or of the last use. The idle time is measured from this time.
    touched: Timestamp,
    first_use: Option<Timestamp>,
    is_successor_used: bool,
}

/// A newly issued token pair.
#[derive(Clone)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) refresh: Option<String>,
}

impl Grants {
    /// Starts a grant. If an account can have only one grant per client, the previous grant ends.
    pub(super) fn begin(
        &mut self,
        world: &World,
        account: &Account,
        client_id: String,
        scopes: Vec<String>,
        expires: bool,
    ) -> u64 {
        if world.description.grants_per_account == GrantsPerAccount::One {
            self.end_where(|it| it.account == account.key && it.client_id == client_id);
        }
        self.made += 1;
        let grant = Grant {
            number: self.made,
            account: account.key.clone(),
            host: account.host.clone(),
            client_id,
            scopes,
            expires,
            lifetime: None,
        };
        self.live.insert(self.made, grant);
        self.made
    }

    /// Sets the lifetime of a grant's access tokens.
    pub(super) fn set_lifetime(&mut self, number: u64, lifetime: Option<Duration>) {
        if let Some(grant) = self.live.get_mut(&number) {
            grant.lifetime = lifetime;
        }
    }

    /// Issues an access token as a successor of `parent`, with a refresh token if `with_refresh` is
    /// true.
    pub(super) fn issue(
        &mut self,
        world: &World,
        grant: u64,
        parent: Option<&str>,
        with_refresh: bool,
    ) -> Pair {
        let now = world.now();
        let expires = self.live.get(&grant).is_some_and(|it| it.expires);
        let access = match world.description.authentication {
            // The URL itself is the credential.
            CallAuthentication::SecretUrl => {
                let secret = world.secrets.issue("");
                let host = self.live.get(&grant).and_then(|it| it.host.as_deref());
                let api = world.description.api.first();
                let url = api.and_then(|it| it.url(host.unwrap_or_default()).ok());
                let base = url.map_or_else(String::new, |it| it.to_string());
                format!("{}/{secret}", base.trim_end_matches('/'))
            }
            _ => world.secrets.issue("access-"),
        };
        if world.rules.refresh_ends_access {
            self.access.retain(|_, it| it.grant != grant);
        }
        let own = self.live.get(&grant).and_then(|it| it.lifetime);
        let ends = own.or(world.rules.access_lifetime).filter(|_| expires);
        let kept = Access {
            grant,
            ends: ends.map(|it| now.after(it)),
            parent: parent.map(str::to_owned),
        };
        self.access.insert(access.clone(), kept);
        let with_refresh = with_refresh && expires && world.rules.issues_refresh_tokens;
        let refresh = with_refresh.then(|| world.secrets.issue("refresh-"));
        if let Some(refresh) = &refresh {
            let lifetimes = &world.description.lifetimes;
            let lifetime = world.rules.refresh_lifetime.or(lifetimes.refresh());
            let kept = Refresh {
                grant,
                parent: parent.map(str::to_owned),
                ends: lifetime.map(|it| now.after(it)),
                touched: now,
                first_use: None,
                is_successor_used: false,
            };
            self.refresh.insert(refresh.clone(), kept);
        }
        Pair { access, refresh }
    }

    /// Exchanges a refresh token for new tokens of the same grant. Returns an error message if the
    /// token is refused.
    pub(super) fn refresh(
        &mut self,
        world: &World,
        client_id: &str,
        token: &str,
    ) -> Result<(Grant, Pair), &'static str> {
        let now = world.now();
        let known = self.refresh.get_mut(token).ok_or("the token is unknown")?;
        let grant = self.live.get(&known.grant).cloned();
        let grant = grant.ok_or("the grant was revoked")?;
        if grant.client_id != client_id {
            return Err("the token was issued to another client");
        }
        if known.ends.is_some_and(|ends| ends <= now) {
            return Err("the token has expired");
        }
        let idle = world.description.lifetimes.idle_seconds;
        if idle.is_some_and(|it| known.touched.after(Duration::from_secs(it)) <= now) {
            return Err("the token was unused for too long");
        }
        let since_first_use = known.first_use.map(|at| now.since(at));
        let rotation = world.description.rotation;
        let is_over = match (rotation, since_first_use) {
            (RotationClass::Stable | RotationClass::OldTokensLiveOn, _) | (_, None) => false,
            (RotationClass::Grace(Grace::Time { seconds }), Some(passed)) => {
                passed >= Duration::from_secs(seconds.into())
            }
            (RotationClass::Grace(Grace::UntilSuccessorUsed { max_seconds }), Some(passed)) => {
                known.is_successor_used || passed >= Duration::from_secs(max_seconds.into())
            }
            (_, Some(_)) => true,
        };
        if is_over {
            self.reused_refresh_tokens += 1;
            if rotation == RotationClass::Strict {
                self.end_where(|it| it.number == grant.number);
                return Err("the token was used before, so the grant ends");
            }
            return Err("the token was used before");
        }
        known.first_use.get_or_insert(now);
        known.touched = now;
        let parent = known.parent.clone();
        self.successor_used(parent);
        let rotates = rotation != RotationClass::Stable;
        let mut pair = self.issue(world, grant.number, Some(token), rotates);
        if !rotates && world.rules.repeats_refresh_token {
            pair.refresh = Some(token.to_owned());
        }
        if let RotationClass::Grace(Grace::UntilSuccessorUsed { .. }) = rotation {
            // The worse case for the client: the pair of a lost response is dead.
            let is_chained = |it: &str| it == token || Some(it) == pair.refresh.as_deref();
            self.refresh
                .retain(|name, it| it.grant != grant.number || is_chained(name));
        }
        Ok((grant, pair))
    }

    /// Exchanges an access token that does not expire for a pair that does. The exchange can be
    /// repeated for some time until the pair is refreshed. Returns an error message if the token is
    /// refused.
    pub(super) fn migrate(
        &mut self,
        world: &World,
        client_id: &str,
        token: &str,
    ) -> Result<(Grant, Pair), &'static str> {
        let now = world.now();
        let (_, repeats) = world.rules.migration.ok_or("the grant type is unknown")?;
        let (number, pair) = if let Some((at, pair)) = self.migrated.get(token) {
            let refresh = pair.refresh.as_ref().and_then(|it| self.refresh.get(it));
            let is_unused = |it: &&Refresh| it.first_use.is_none();
            let refresh = refresh.filter(is_unused);
            let refresh = refresh.filter(|_| now.since(*at) < repeats);
            let refresh = refresh.ok_or("the token was exchanged before")?;
            if let Some(access) = self.access.get_mut(&pair.access) {
                access.ends = world.rules.access_lifetime.map(|it| now.after(it));
            }
            (refresh.grant, Some(pair.clone()))
        } else {
            let access = self.access.get(token).filter(|it| it.ends.is_none());
            (access.ok_or("the token is unknown")?.grant, None)
        };
        let grant = self.live.get_mut(&number).ok_or("the grant was revoked")?;
        if grant.client_id != client_id {
            return Err("the token was issued to another client");
        }
        grant.expires = true;
        let grant = grant.clone();
        let pair = pair.unwrap_or_else(|| {
            self.access.remove(token);
            let pair = self.issue(world, number, None, true);
            self.migrated.insert(token.to_owned(), (now, pair.clone()));
            pair
        });
        Ok((grant, pair))
    }

    /// Returns the live grant of an access token, and records its use.
    pub(super) fn used(&mut self, token: &str, now: Timestamp) -> Option<Grant> {
        let known = self.access.get(token)?;
        if known.ends.is_some_and(|ends| ends <= now) {
            return None;
        }
        let grant = self.live.get(&known.grant).cloned()?;
        let parent = known.parent.clone();
        self.successor_used(parent);
        Some(grant)
    }

    fn successor_used(&mut self, parent: Option<String>) {
        if let Some(parent) = parent.and_then(|it| self.refresh.get_mut(&it)) {
            parent.is_successor_used = true;
        }
    }

    /// Returns the grant of a token, even if it has ended.
    pub(super) fn of_token(&self, token: &str) -> Option<&Grant> {
        let access = self.access.get(token).map(|it| it.grant);
        let grant = access.or_else(|| self.refresh.get(token).map(|it| it.grant))?;
        self.live.get(&grant)
    }

    /// Returns the live grant of a token that is valid at `now`.
    pub(super) fn active(&self, token: &str, now: Timestamp) -> Option<Grant> {
        let access = self.access.get(token).map(|it| (it.grant, it.ends, false));
        let refresh = self.refresh.get(token);
        let refresh = refresh.map(|it| (it.grant, it.ends, it.first_use.is_some()));
        let (grant, ends, is_spent) = access.or(refresh)?;
        let is_over = is_spent || ends.is_some_and(|ends| ends <= now);
        self.live.get(&grant).filter(|_| !is_over).cloned()
    }

    /// Returns true if the token is an access token, even if it has expired.
    pub(super) fn is_access(&self, token: &str) -> bool {
        self.access.contains_key(token)
    }

    pub(super) fn end_token(&mut self, token: &str) {
        self.access.remove(token);
        self.refresh.remove(token);
    }

    pub(super) fn end_where(&mut self, ends: impl Fn(&Grant) -> bool) {
        self.live.retain(|_, grant| !ends(grant));
    }

    /// Ends the grants of the account with this key, and its codes. If the account has a host, the
    /// other grants at this host end too, for example those of single users.
    pub(super) fn end_account(&mut self, account: &str) {
        let own = self.live.values().find(|it| it.account == account);
        let host = own.and_then(|it| it.host.clone());
        let host = host.as_deref().unwrap_or(account);
        self.end_where(|it| it.account == account || it.host.as_deref() == Some(host));
        self.codes.retain(|_, code| code.account.key != account);
    }

    pub(super) fn end_access_tokens(&mut self) {
        self.access.clear();
    }

    pub(super) fn live(&self) -> Vec<Grant> {
        self.live.values().cloned().collect()
    }

    pub(super) fn get(&self, number: u64) -> Option<&Grant> {
        self.live.get(&number)
    }
}
