//! Locations and stock.
//!
//! Since version 2026-04, each quantity in an input states the quantity that it replaces
//! (`changeFromQuantity`), or null to skip the comparison. The inputs of this module always contain
//! the field.

use connector_core::api::{CallOptions, IdempotencyKey};
use connector_core::provider::{Endpoint, ProviderClient as _};
use connector_core::{Error, ErrorKind, Result};
use serde::Serialize;

use super::{area, operation};
use crate::ShopifyClient;
use crate::graphql::{MAX_ITEMS, Variables};
use crate::models::{
    InventoryAdjustment, InventoryItem, InventoryItemId, InventoryLevel, Location, LocationId,
};

operation! {
    /// Lists the shop's active locations, page by page.
    ///
    /// See [Shopify docs: locations](https://shopify.dev/docs/api/admin-graphql/latest/queries/locations).
    list ListLocations -> Location =
        "($first: Int!, $after: String, $query: String, $reverse: Boolean, $includeInactive: Boolean)"
        "locations(first: $first, after: $after, query: $query, reverse: $reverse, \
         includeInactive: $includeInactive) \
         { nodes { ...Location } pageInfo { hasNextPage endCursor } }" [Location];
    scopes ["read_locations"];
    cost 2 + 1 each;
    pub new() {
        /// Also lists deactivated locations.
        with_inactive: bool = "includeInactive",
    };
    search Plain;
}

operation! {
    /// Lists inventory items, page by page, without their stock.
    ///
    /// See [Shopify docs: inventoryItems](https://shopify.dev/docs/api/admin-graphql/latest/queries/inventoryItems).
    list ListInventoryItems -> InventoryItem =
        "($first: Int!, $after: String, $query: String, $reverse: Boolean)"
        "inventoryItems(first: $first, after: $after, query: $query, reverse: $reverse) \
         { nodes { ...InventoryItem } pageInfo { hasNextPage endCursor } }" [InventoryItem];
    scopes ["read_inventory write_inventory"];
    cost 2 + 1 each;
    pub new();
    search Plain;
}

operation! {
    /// Gets one inventory item with its stock at the first 50 locations.
    ///
    /// See [Shopify docs: inventoryItem](https://shopify.dev/docs/api/admin-graphql/latest/queries/inventoryItem).
    get GetInventoryItem -> InventoryItem = "($id: ID!)"
        "inventoryItem(id: $id) { ...InventoryItem inventoryLevels(first: 50) { \
         nodes { ...InventoryLevel } pageInfo { hasNextPage endCursor } } }"
        [InventoryItem InventoryLevel];
    scopes ["read_inventory write_inventory"];
    cost 153;
    pub new(id: InventoryItemId = "id");
}

operation! {
    /// Sets up to 250 quantities. Each call has an idempotency key, so that retries change the stock
    /// once. [`ShopifyClient::set_quantities`] accepts any number.
    ///
    /// If a quantity states the quantity that it replaces and the stock differs, Shopify changes
    /// nothing and reports the user error `CHANGE_FROM_QUANTITY_STALE`.
    ///
    /// See [Shopify docs: inventorySetQuantities](https://shopify.dev/docs/api/admin-graphql/latest/mutations/inventorySetQuantities).
    keyed SetQuantities -> InventoryAdjustment =
        "($input: InventorySetQuantitiesInput!, $idempotencyKey: String!)"
        "inventorySetQuantities(input: $input) @idempotent(key: $idempotencyKey) \
         { value: inventoryAdjustmentGroup { ...InventoryAdjustment } \
         userErrors { field message code } }" [InventoryAdjustment];
    scopes ["write_inventory"];
    cost 16;
    pub(super) new(input: Variables = "input");
    check |it| check_changes("SetQuantities", it, "quantities");
}

impl SetQuantities {
    /// Sets the quantity `name`, which is `available` or `on_hand`, for a reason such as
    /// `correction`.
    ///
    /// See [Shopify docs: Inventory reasons](https://shopify.dev/docs/apps/build/orders-fulfillment/inventory-management-apps/manage-quantities-states).
    pub fn of(
        name: &str,
        reason: &str,
        quantities: impl IntoIterator<Item = QuantityInput>,
    ) -> Self {
        let quantities: Vec<QuantityInput> = quantities.into_iter().collect();
        Self::new(named(name, reason).set("quantities", quantities))
    }

    /// Names the document that caused the change, as a URI.
    pub fn with_reference(self, uri: &str) -> Self {
        let input = with_member(&self.0, "referenceDocumentUri", uri);
        Self::new(input)
    }
}

operation! {
    /// Changes up to 250 quantities by a difference. Each call has an idempotency key, so that
    /// retries change the stock once. [`ShopifyClient::adjust_quantities`] accepts any number.
    ///
    /// See [Shopify docs: inventoryAdjustQuantities](https://shopify.dev/docs/api/admin-graphql/latest/mutations/inventoryAdjustQuantities).
    keyed AdjustQuantities -> InventoryAdjustment =
        "($input: InventoryAdjustQuantitiesInput!, $idempotencyKey: String!)"
        "inventoryAdjustQuantities(input: $input) @idempotent(key: $idempotencyKey) \
         { value: inventoryAdjustmentGroup { ...InventoryAdjustment } \
         userErrors { field message code } }" [InventoryAdjustment];
    scopes ["write_inventory"];
    cost 16;
    pub(super) new(input: Variables = "input");
    check |it| check_changes("AdjustQuantities", it, "changes");
}

impl AdjustQuantities {
    /// Changes the quantity `name`, for a reason such as `received`. Quantities other than
    /// `available` need a ledger document ([`ChangeInput::with_ledger`]).
    pub fn of(name: &str, reason: &str, changes: impl IntoIterator<Item = ChangeInput>) -> Self {
        let changes: Vec<ChangeInput> = changes.into_iter().collect();
        Self::new(named(name, reason).set("changes", changes))
    }

    /// Names the document that caused the change, as a URI.
    pub fn with_reference(self, uri: &str) -> Self {
        let input = with_member(&self.0, "referenceDocumentUri", uri);
        Self::new(input)
    }
}

operation! {
    /// Stocks an item at a location. Each call has an idempotency key.
    ///
    /// See [Shopify docs: inventoryActivate](https://shopify.dev/docs/api/admin-graphql/latest/mutations/inventoryActivate).
    keyed ActivateInventory -> InventoryLevel =
        "($inventoryItemId: ID!, $locationId: ID!, $available: Int, $idempotencyKey: String!)"
        "inventoryActivate(inventoryItemId: $inventoryItemId, locationId: $locationId, \
         available: $available) @idempotent(key: $idempotencyKey) \
         { value: inventoryLevel { ...InventoryLevel } userErrors { field message } }"
        [InventoryLevel];
    scopes ["write_inventory"];
    cost 15;
    pub new(item: InventoryItemId = "inventoryItemId", location: LocationId = "locationId") {
        /// The first quantity of available units.
        with_available: i64 = "available",
    };
}

/// A quantity to set.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QuantityInput {
    inventory_item_id: InventoryItemId,
    location_id: LocationId,
    quantity: i64,
    /// Always sent: null skips the comparison.
    change_from_quantity: Option<i64>,
}

impl QuantityInput {
    /// Sets the stock of an item at a location to `quantity`, whatever it was.
    #[must_use]
    pub const fn new(item: InventoryItemId, location: LocationId, quantity: i64) -> Self {
        Self {
            inventory_item_id: item,
            location_id: location,
            quantity,
            change_from_quantity: None,
        }
    }

    /// Changes the stock only if it is `quantity` before.
    #[must_use]
    pub const fn from_quantity(mut self, quantity: i64) -> Self {
        self.change_from_quantity = Some(quantity);
        self
    }
}

/// A difference of a quantity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChangeInput {
    delta: i64,
    inventory_item_id: InventoryItemId,
    location_id: LocationId,
    /// Always sent: null skips the comparison.
    change_from_quantity: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ledger_document_uri: Option<String>,
}

impl ChangeInput {
    /// Changes the stock of an item at a location by `delta` units.
    #[must_use]
    pub const fn new(item: InventoryItemId, location: LocationId, delta: i64) -> Self {
        Self {
            delta,
            inventory_item_id: item,
            location_id: location,
            change_from_quantity: None,
            ledger_document_uri: None,
        }
    }

    /// Changes the stock only if it is `quantity` before.
    #[must_use]
    pub const fn from_quantity(mut self, quantity: i64) -> Self {
        self.change_from_quantity = Some(quantity);
        self
    }

    /// Names the document of the change, as a URI. Required for quantities other than `available`.
    #[must_use]
    pub fn with_ledger(mut self, uri: impl Into<String>) -> Self {
        self.ledger_document_uri = Some(uri.into());
        self
    }
}

fn named(name: &str, reason: &str) -> Variables {
    Variables::default().set("name", name).set("reason", reason)
}

fn with_member(variables: &Variables, name: &str, value: &str) -> Variables {
    let mut input = variables.get("input").clone();
    input[name] = value.into();
    Variables::from_value(input)
}

fn check_changes(operation: &'static str, variables: &Variables, name: &str) -> Result<()> {
    let length = variables.get("input")[name].as_array().map_or(0, Vec::len);
    if (1..=MAX_ITEMS).contains(&length) {
        return Ok(());
    }
    let message = "a call changes 1 to 250 quantities; use the client's method for more";
    Err(Error::new(ErrorKind::InvalidInput, operation, message))
}

/// The result of a change that was divided into several calls.
#[derive(Debug)]
#[non_exhaustive]
pub struct Divided {
    /// The changes of the calls that succeeded, in order.
    pub done: Vec<InventoryAdjustment>,
    /// Number of quantities, from the start of the input, that were set or changed.
    pub applied: usize,
    /// The error of the first call that failed. Later quantities were not sent. To continue, correct
    /// the cause and repeat the whole call with the same job name: Shopify recognizes the calls that
    /// succeeded.
    pub error: Option<Error>,
}

impl ShopifyClient {
    /// Sets any number of quantities, 250 in each call, one call after the other.
    ///
    /// `job` names the change, for example with the id of your own job. Repeating the whole call
    /// with the same name and quantities changes the stock once, because each part has an
    /// idempotency key that is derived from the name.
    pub async fn set_quantities(
        &self,
        job: &str,
        (name, reason): (&str, &str),
        quantities: &[QuantityInput],
    ) -> Divided {
        self.divided(job, quantities, |part| {
            SetQuantities::of(name, reason, part.iter().cloned())
        })
        .await
    }

    /// Changes any number of quantities, like [`ShopifyClient::set_quantities`].
    pub async fn adjust_quantities(
        &self,
        job: &str,
        (name, reason): (&str, &str),
        changes: &[ChangeInput],
    ) -> Divided {
        self.divided(job, changes, |part| {
            AdjustQuantities::of(name, reason, part.iter().cloned())
        })
        .await
    }

    async fn divided<T: Sync, E>(
        &self,
        job: &str,
        all: &[T],
        operation: impl Fn(&[T]) -> E + Send,
    ) -> Divided
    where
        E: Endpoint<Client = Self, Output = InventoryAdjustment>,
    {
        let mut divided = Divided {
            done: Vec::new(),
            applied: 0,
            error: None,
        };
        for (number, part) in all.chunks(MAX_ITEMS).enumerate() {
            let key = IdempotencyKey::derived_from(&format!("{}/{job}/{number}", E::NAME));
            let options = CallOptions::new().with_idempotency_key(key);
            match self.session().send_with(&operation(part), options).await {
                Ok(done) => {
                    divided.done.push(done);
                    divided.applied += part.len();
                }
                Err(error) => {
                    divided.error = Some(error);
                    break;
                }
            }
        }
        divided
    }
}

area![
    ListLocations,
    ListInventoryItems,
    GetInventoryItem,
    SetQuantities,
    AdjustQuantities,
    ActivateInventory,
];
