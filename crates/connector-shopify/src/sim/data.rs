//! The data of one shop.

use std::collections::VecDeque;
use std::time::Duration;

use connector_core::clock::Timestamp;
use serde_json::{Value, json};

use super::{Consent, SimulatedShop};

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
    /// The scopes of the installation, if they differ from those of the app.
    pub(super) scopes: Option<Vec<String>>,
    /// True after an operation has uninstalled the app.
    pub(super) uninstalled: bool,
    pub(super) bucket: Bucket,
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
            scopes: None,
            uninstalled: false,
            bucket: Bucket {
                limit: seed.cost_limit,
                rate: seed.restored_per_second,
                available: seed.cost_limit,
                at: now,
            },
        }
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
