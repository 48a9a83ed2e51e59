//! Customers. Personal data needs [approval for protected customer
//! data](https://shopify.dev/docs/apps/launch/protected-customer-data).

use super::{AddressInput, IdInput, Identifier, area, input, operation};
use crate::models::{Customer, CustomerId};

connector_core::provider::open_enum! {
    /// The sort key of customers.
    pub enum CustomerSort {
        /// By time of creation.
        CreatedAt = "CREATED_AT",
        /// By id.
        Id = "ID",
        /// By name.
        Name = "NAME",
        /// By time of the last change.
        UpdatedAt = "UPDATED_AT",
    } else
    /// Another sort key.
    Other
}

operation! {
    /// Lists the shop's customers, page by page. Shopify returns at most the first 25,000 results.
    ///
    /// See [Shopify docs: customers](https://shopify.dev/docs/api/admin-graphql/latest/queries/customers).
    list ListCustomers -> Customer =
        "($first: Int!, $after: String, $query: String, $sortKey: CustomerSortKeys, \
         $reverse: Boolean)"
        "customers(first: $first, after: $after, query: $query, sortKey: $sortKey, \
         reverse: $reverse) { nodes { ...Customer } pageInfo { hasNextPage endCursor } }"
        [Customer Address];
    scopes ["read_customers write_customers"];
    cost 2 + 5 each;
    pub new();
    search CustomerSort;
}

operation! {
    /// Gets one customer.
    ///
    /// See [Shopify docs: customer](https://shopify.dev/docs/api/admin-graphql/latest/queries/customer).
    get GetCustomer -> Customer = "($id: ID!)" "customer(id: $id) { ...Customer }"
        [Customer Address];
    scopes ["read_customers write_customers"];
    cost 5;
    pub new(id: CustomerId = "id");
}

operation! {
    /// Creates a customer, or changes an existing one. Fields that are not set keep their values.
    ///
    /// See [Shopify docs: customerSet](https://shopify.dev/docs/api/admin-graphql/latest/mutations/customerSet).
    assign SetCustomer -> Customer =
        "($input: CustomerSetInput!, $identifier: CustomerSetIdentifiers)"
        "customerSet(input: $input, identifier: $identifier) { value: customer { ...Customer } \
         userErrors { field message code } }" [Customer Address];
    scopes ["write_customers"];
    cost 17;
    pub new(customer: CustomerInput = "input") {
        /// The existing customer, by id, by e-mail address or by a metafield. Without an identifier,
        /// a repeated call is refused if the input has an e-mail address that exists.
        with_identifier: Identifier = "identifier",
    };
}

operation! {
    /// Deletes a customer who has no orders.
    ///
    /// See [Shopify docs: customerDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/customerDelete).
    act DeleteCustomer -> () = "($input: CustomerDeleteInput!)"
        "customerDelete(input: $input) { value: deletedCustomerId userErrors { field message } }" [];
    scopes ["write_customers"];
    cost 12;
    pub new(customer: IdInput = "input");
}

input! {
    /// A customer to create or to change.
    CustomerInput() {
        with_first_name: String = "firstName",
        with_last_name: String = "lastName",
        with_email: String = "email",
        /// In the form of E.164, for example `+16135551111`.
        with_phone: String = "phone",
        with_note: String = "note",
        with_locale: String = "locale",
        /// Replaces all tags. [`AddTags`](super::AddTags) adds tags.
        with_tags: [String] = "tags",
        /// Replaces all addresses.
        with_addresses: [AddressInput] = "addresses",
    }
}

area![ListCustomers, GetCustomer, SetCustomer, DeleteCustomer];
