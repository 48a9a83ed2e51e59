//! Metafields, metaobjects and tags.

use serde::Serialize;
use serde_json::json;

use super::{area, input, operation};
use crate::models::{GlobalId, Metafield, Metaobject, MetaobjectId};

operation! {
    /// Sets up to 25 metafields, all or none of them.
    ///
    /// See [Shopify docs: metafieldsSet](https://shopify.dev/docs/api/admin-graphql/latest/mutations/metafieldsSet).
    assign SetMetafields -> Vec<Metafield> = "($metafields: [MetafieldsSetInput!]!)"
        "metafieldsSet(metafields: $metafields) { value: metafields { ...Metafield } \
         userErrors { field message code } }" [Metafield];
    cost 13;
    pub new(metafields: [MetafieldInput] = "metafields");
    check |it| it.check_list("SetMetafields", "metafields");
}

operation! {
    /// Deletes metafields. Metafields that do not exist are no error.
    ///
    /// See [Shopify docs: metafieldsDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/metafieldsDelete).
    put DeleteMetafields -> () = "($metafields: [MetafieldIdentifierInput!]!)"
        "metafieldsDelete(metafields: $metafields) { value: deletedMetafields { key } \
         userErrors { field message } }" [];
    cost 13;
    pub new(metafields: [MetafieldKey] = "metafields");
    check |it| it.check_list("DeleteMetafields", "metafields");
}

operation! {
    /// Lists the metaobjects of a type, page by page.
    ///
    /// See [Shopify docs: metaobjects](https://shopify.dev/docs/api/admin-graphql/latest/queries/metaobjects).
    list ListMetaobjects -> Metaobject =
        "($first: Int!, $after: String, $query: String, $reverse: Boolean, $type: String!)"
        "metaobjects(first: $first, after: $after, query: $query, reverse: $reverse, type: $type) \
         { nodes { ...Metaobject } pageInfo { hasNextPage endCursor } }" [Metaobject];
    scopes ["read_metaobjects write_metaobjects"];
    cost 2 + 2 each;
    pub new(kind: String = "type");
    search Plain;
}

operation! {
    /// Gets one metaobject.
    ///
    /// See [Shopify docs: metaobject](https://shopify.dev/docs/api/admin-graphql/latest/queries/metaobject).
    get GetMetaobject -> Metaobject = "($id: ID!)" "metaobject(id: $id) { ...Metaobject }"
        [Metaobject];
    scopes ["read_metaobjects write_metaobjects"];
    cost 2;
    pub new(id: MetaobjectId = "id");
}

operation! {
    /// Creates a metaobject, or changes the one with this type and handle.
    ///
    /// See [Shopify docs: metaobjectUpsert](https://shopify.dev/docs/api/admin-graphql/latest/mutations/metaobjectUpsert).
    assign SetMetaobject -> Metaobject =
        "($handle: MetaobjectHandleInput!, $metaobject: MetaobjectUpsertInput!)"
        "metaobjectUpsert(handle: $handle, metaobject: $metaobject) \
         { value: metaobject { ...Metaobject } userErrors { field message code } }" [Metaobject];
    scopes ["write_metaobjects"];
    cost 14;
    pub new(handle: MetaobjectHandle = "handle", metaobject: MetaobjectInput = "metaobject");
}

operation! {
    /// Deletes a metaobject.
    ///
    /// See [Shopify docs: metaobjectDelete](https://shopify.dev/docs/api/admin-graphql/latest/mutations/metaobjectDelete).
    act DeleteMetaobject -> () = "($id: ID!)"
        "metaobjectDelete(id: $id) { value: deletedId userErrors { field message code } }" [];
    scopes ["write_metaobjects"];
    cost 12;
    pub new(id: MetaobjectId = "id");
}

operation! {
    /// Adds tags to a product, an order, a draft order, a customer or an article.
    ///
    /// See [Shopify docs: tagsAdd](https://shopify.dev/docs/api/admin-graphql/latest/mutations/tagsAdd).
    put AddTags -> () = "($id: ID!, $tags: [String!]!)"
        "tagsAdd(id: $id, tags: $tags) { value: node { id } userErrors { field message } }" [];
    cost 13;
    pub new(id: GlobalId = "id", tags: [String] = "tags");
    check |it| it.check_list("AddTags", "tags");
}

operation! {
    /// Removes tags.
    ///
    /// See [Shopify docs: tagsRemove](https://shopify.dev/docs/api/admin-graphql/latest/mutations/tagsRemove).
    put RemoveTags -> () = "($id: ID!, $tags: [String!]!)"
        "tagsRemove(id: $id, tags: $tags) { value: node { id } userErrors { field message } }" [];
    cost 13;
    pub new(id: GlobalId = "id", tags: [String] = "tags");
    check |it| it.check_list("RemoveTags", "tags");
}

input! {
    /// A metafield to set.
    MetafieldInput(owner: GlobalId = "ownerId", key: String = "key", value: String = "value") {
        /// Default: the app's own namespace.
        with_namespace: String = "namespace",
        /// The type, for example `single_line_text_field`. Needed if the metafield has no
        /// definition.
        with_type: String = "type",
        /// The digest of the value to replace. If the value has changed since, Shopify changes
        /// nothing.
        with_compare_digest: String = "compareDigest",
    }
}

input! {
    /// The name of a metafield.
    MetafieldKey(owner: GlobalId = "ownerId", namespace: String = "namespace", key: String = "key") {
    }
}

/// The name of a metaobject within its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MetaobjectHandle {
    #[serde(rename = "type")]
    kind: String,
    handle: String,
}

impl MetaobjectHandle {
    /// Creates the name.
    pub fn new(kind: impl Into<String>, handle: impl Into<String>) -> Self {
        Self {
            kind: kind.into(),
            handle: handle.into(),
        }
    }
}

input! {
    /// The fields of a metaobject.
    MetaobjectInput(fields: [FieldInput] = "fields") {
    }
}

/// The value of a field of a metaobject.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(transparent)]
pub struct FieldInput(serde_json::Value);

impl FieldInput {
    /// Creates the value as text. Its form depends on the type of the field.
    #[must_use]
    pub fn new(key: &str, value: &str) -> Self {
        Self(json!({ "key": key, "value": value }))
    }
}

area![
    SetMetafields,
    DeleteMetafields,
    ListMetaobjects,
    GetMetaobject,
    SetMetaobject,
    DeleteMetaobject,
    AddTags,
    RemoveTags,
];
