//! The data of one shop: installations, tokens and products.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use connector_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{Consent, SimulatedShop};

/// Lifetime of an access token.
pub(super) const ACCESS_LIFE: Duration = Duration::from_secs(3600);
/// Lifetime of a refresh token.
pub(super) const REFRESH_LIFE: Duration = Duration::from_secs(90 * 86_400);
/// Maximum time for which a used refresh token works until its successor is used.
const GRACE: Duration = Duration::from_secs(30 * 86_400);
/// Time for which a migration can be repeated.
const MIGRATION_REPEATS: Duration = Duration::from_secs(7 * 86_400);
/// The member that marks a value as a connection and contains its nodes.
pub(super) const CONNECTION: &str = "\u{0}nodes";

pub(super) struct ShopState {
    pub(super) number: u64,
    pub(super) shop: Value,
    pub(super) products: Vec<Value>,
    pub(super) variants: Vec<Value>,
    pub(super) subscriptions: Vec<Value>,
    pub(super) subscriptions_made: u64,
    pub(super) consents: VecDeque<Consent>,
    pub(super) codes: BTreeMap<String, Code>,
    pub(super) installation: Option<Installation>,
    pub(super) bucket: Bucket,
}

/// An authorization code.
pub(super) struct Code {
    pub(super) scopes: Vec<String>,
    pub(super) issued: Timestamp,
}

/// An installation of the app.
pub(super) struct Installation {
    pub(super) scopes: Vec<String>,
    /// The only chain of expiring tokens.
    chain: Option<Chain>,
    /// The non-expiring token.
    non_expiring: Option<String>,
    migration: Option<Migration>,
}

/// An access token with its refresh token.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub(super) access: String,
    pub(super) access_ends: Timestamp,
    pub(super) refresh: String,
    pub(super) refresh_ends: Timestamp,
}

struct Chain {
    current: Pair,
    /// The previous refresh token and the end of its grace period. Removed when a token of the
    /// current pair is used.
    before: Option<(String, Timestamp)>,
}

struct Migration {
    subject: String,
    until: Timestamp,
    /// The refresh token of the resulting pair.
    refresh: String,
}

/// The state of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Worth {
    Good,
    /// The token does not expire.
    NonExpiring,
    Nothing,
}

impl ShopState {
    pub(super) fn new(number: u64, seed: &SimulatedShop, now: Timestamp) -> Self {
        let (products, variants) = catalogue(number, seed.products, now);
        let domain = seed.domain.as_str();
        let name = domain.split('.').next().unwrap_or_default();
        Self {
            number,
            shop: json!({
                "id": format!("gid://shopify/Shop/{}", 60_000_000_000 + number),
                "name": name,
                "email": format!("owner@{name}.example"),
                "contactEmail": format!("hello@{name}.example"),
                "myshopifyDomain": domain,
                "primaryDomain": { "host": format!("{name}.example") },
                "plan": {
                    "publicDisplayName": seed.plan,
                    "partnerDevelopment": false,
                    "shopifyPlus": seed.plan.contains("Plus"),
                },
                "currencyCode": "EUR",
                "ianaTimezone": "Europe/Berlin",
                "shopOwnerName": "Ada Example",
                "createdAt": now.to_string(),
                "updatedAt": now.to_string(),
                "resourceLimits": {
                    "locationLimit": 10,
                    "maxProductOptions": 3,
                    "maxProductVariants": 2048,
                    "redirectLimitReached": false,
                },
            }),
            products,
            variants,
            subscriptions: Vec::new(),
            subscriptions_made: 0,
            consents: VecDeque::new(),
            codes: BTreeMap::new(),
            installation: None,
            bucket: Bucket {
                limit: seed.cost_limit,
                rate: seed.restored_per_second,
                available: seed.cost_limit,
                at: now,
            },
        }
    }

    /// Installs the app, or changes the scopes of the existing installation.
    pub(super) fn install(&mut self, scopes: Vec<String>) -> &mut Installation {
        let installation = self.installation.get_or_insert(Installation {
            scopes: Vec::new(),
            chain: None,
            non_expiring: None,
            migration: None,
        });
        installation.scopes = scopes;
        installation
    }

    pub(super) fn uninstall(&mut self) {
        self.installation = None;
        self.codes.clear();
        self.subscriptions.clear();
    }

    pub(super) fn issue_non_expiring(&mut self, token: String) {
        if let Some(installation) = &mut self.installation {
            installation.chain = None;
            installation.migration = None;
            installation.non_expiring = Some(token);
        }
    }

    /// Returns the state of `access`. The first use of a valid token ends the grace period of the
    /// previous refresh token.
    pub(super) fn spend_access(&mut self, access: &str, now: Timestamp) -> Worth {
        let Some(installation) = &mut self.installation else {
            return Worth::Nothing;
        };
        if installation.non_expiring.as_deref() == Some(access) {
            return Worth::NonExpiring;
        }
        match &mut installation.chain {
            Some(chain) if chain.current.access == access && now < chain.current.access_ends => {
                chain.before = None;
                Worth::Good
            }
            _ => Worth::Nothing,
        }
    }
}

impl Installation {
    /// Starts a new chain. The previous chain ends.
    pub(super) fn begin_chain(&mut self, pair: Pair) {
        self.non_expiring = None;
        self.migration = None;
        self.chain = Some(Chain {
            current: pair,
            before: None,
        });
    }

    /// Returns true if `refresh` can be used now.
    pub(super) fn accepts_refresh(&self, refresh: &str, now: Timestamp) -> bool {
        self.chain.as_ref().is_some_and(|chain| {
            let is_current = chain.current.refresh == refresh && now < chain.current.refresh_ends;
            let is_before = chain
                .before
                .as_ref()
                .is_some_and(|(before, until)| before == refresh && now < *until);
            is_current || is_before
        })
    }

    /// Exchanges `refresh`, which [`Installation::accepts_refresh`] accepted, for `pair`.
    pub(super) fn refresh(&mut self, refresh: &str, pair: Pair, now: Timestamp) {
        self.migration = None;
        let Some(chain) = &mut self.chain else {
            return;
        };
        let spent = std::mem::replace(&mut chain.current, pair);
        if spent.refresh == refresh {
            chain.before = Some((spent.refresh, now.after(GRACE).min(spent.refresh_ends)));
        }
    }

    /// Returns the token pair of an earlier migration of `subject`, if it can still be repeated.
    pub(super) fn repeated_migration(&mut self, subject: &str, now: Timestamp) -> Option<Pair> {
        let migration = self.migration.as_ref()?;
        if migration.subject != subject || now >= migration.until {
            return None;
        }
        let current = &mut self.chain.as_mut()?.current;
        if current.refresh != migration.refresh {
            return None;
        }
        current.access_ends = current.access_ends.max(now.after(ACCESS_LIFE));
        Some(current.clone())
    }

    /// Migrates the non-expiring token. Returns false if `subject` is another token.
    pub(super) fn migrate(&mut self, subject: &str, pair: Pair, now: Timestamp) -> bool {
        if self.non_expiring.as_deref() != Some(subject) {
            return false;
        }
        let migration = Migration {
            subject: subject.to_owned(),
            until: now.after(MIGRATION_REPEATS),
            refresh: pair.refresh.clone(),
        };
        self.begin_chain(pair);
        self.migration = Some(migration);
        true
    }
}

/// The points bucket of the app in this shop.
pub(super) struct Bucket {
    pub(super) limit: f64,
    pub(super) rate: f64,
    available: f64,
    at: Timestamp,
}

impl Bucket {
    /// Returns the currently available points.
    pub(super) fn available(&mut self, now: Timestamp) -> f64 {
        let refilled = now.since(self.at).as_secs_f64() * self.rate;
        self.available = (self.available + refilled).min(self.limit);
        self.at = self.at.max(now);
        self.available
    }

    pub(super) fn take(&mut self, points: f64) {
        self.available -= points;
    }
}

fn catalogue(shop: u64, products: usize, now: Timestamp) -> (Vec<Value>, Vec<Value>) {
    const NOUNS: [&str; 6] = ["Teapot", "Kettle", "Cup", "Saucer", "Tray", "Strainer"];
    const COLOURS: [&str; 2] = ["Blue", "White"];
    let mut all = (Vec::with_capacity(products), Vec::new());
    // Greater than 2^53, like some real ids.
    let first = 9_007_199_254_740_993 + shop * 1_000_000;
    for (at, number) in (first..).take(products).enumerate() {
        let noun = NOUNS[at % NOUNS.len()];
        let changed = now.before(Duration::from_secs(60 * at as u64)).to_string();
        let id = format!("gid://shopify/Product/{number}");
        let mut own = Vec::new();
        for (position, colour) in (1_u64..).zip(COLOURS) {
            let variant = json!({
                "id": format!("gid://shopify/ProductVariant/{}", number * 2 + position),
                "product": { "id": id },
                "title": colour,
                "sku": format!("{noun}-{at}-{colour}"),
                "barcode": null,
                "price": format!("{}.90", 10 + at % 90),
                "compareAtPrice": null,
                "inventoryQuantity": 7 + position,
                "position": position,
                "selectedOptions": [{ "name": "Colour", "value": colour }],
                "createdAt": changed,
                "updatedAt": changed,
            });
            own.push(variant);
        }
        all.0.push(json!({
            "id": id,
            "legacyResourceId": number.to_string(),
            "title": format!("{noun} {}", at + 1),
            "handle": format!("{}-{}", noun.to_lowercase(), at + 1),
            "status": if at % 10 == 9 { "DRAFT" } else { "ACTIVE" },
            "vendor": "Example Potteries",
            "productType": noun,
            "tags": ["tea", noun.to_lowercase()],
            "totalInventory": 17,
            "createdAt": changed,
            "updatedAt": changed,
            "variants": { CONNECTION: own },
        }));
        all.1.extend(own);
    }
    all
}
