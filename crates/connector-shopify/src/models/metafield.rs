use connector_core::clock::Timestamp;

use super::{MetafieldId, MetaobjectId, model, time};

model! {
    /// A custom field of a resource.
    Metafield {
        /// The id of the metafield.
        id: MetafieldId,
        /// The namespace of the key.
        namespace: String,
        /// The key.
        key: String,
        /// The value as text. Its form depends on the type.
        value: String,
        /// The type, for example `single_line_text_field`.
        #[serde(rename = "type")]
        kind: String,
        /// The digest of the value, with which a later change can detect a concurrent one.
        compare_digest: String,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// A custom object.
    Metaobject {
        /// The id of the metaobject.
        id: MetaobjectId,
        /// The type, as in its definition.
        #[serde(rename = "type")]
        kind: String,
        /// The name within the type.
        handle: String,
        /// The name to show.
        display_name: String,
        /// The fields.
        fields: Vec<MetaobjectField>,
        /// The time of the last change.
        #[serde(deserialize_with = "time")]
        updated_at: Timestamp,
    }
}

model! {
    /// A field of a metaobject.
    MetaobjectField {
        /// The key.
        key: String,
        /// The value as text.
        value: Option<String>,
        /// The type, for example `single_line_text_field`.
        #[serde(rename = "type")]
        kind: String,
    }
}
