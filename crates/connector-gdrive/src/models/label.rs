//! Labels on files.

use std::collections::BTreeMap;

use super::{User, resource, write};

resource! {
    /// A label on a file, with the values of its fields.
    ///
    /// See [Google Drive docs: Labels](https://developers.google.com/workspace/drive/api/guides/about-labels).
    Label = "Label" {
        /// Id of the label.
        id: Option<String>,
        /// Revision of the label's definition.
        revision_id: Option<String>,
        /// Values by field id.
        fields: BTreeMap<String, LabelField>,
    }
}

resource! {
    /// The values of a label's field. `value_type` says which member contains the values.
    LabelField = "LabelField" {
        /// Id of the field.
        id: Option<String>,
        /// Type: `dateString`, `integer`, `selection`, `text` or `user`.
        value_type: Option<String>,
        /// Dates, as `YYYY-MM-DD`.
        date_string: Vec<String>,
        /// Numbers of 64 bits, as text.
        integer: Vec<String>,
        /// Ids of the selected choices.
        selection: Vec<String>,
        /// Texts.
        text: Vec<String>,
        /// Users.
        user: Vec<User>,
    }
}

resource! {
    /// The labels that a change added or updated.
    ModifiedLabels = "ModifyLabelsResponse" {
        /// The labels after the change.
        modified_labels: Vec<Label>,
    }
}

write! {
    /// Changes to the labels on a file. All changes are made, or none.
    LabelChanges = "ModifyLabelsRequest" {
        /// Sets the changes, one for each label.
        with_label_modifications => label_modifications: Vec<LabelModification>,
    }
}

impl LabelChanges {
    /// Creates a request with these changes.
    pub fn new(changes: impl IntoIterator<Item = LabelModification>) -> Self {
        Self::default().with_label_modifications(changes.into_iter().collect::<Vec<_>>())
    }
}

write! {
    /// A change to one label on a file.
    LabelModification = "LabelModification" {
        /// Sets the id of the label.
        with_label_id => label_id: String,
        /// Sets whether the label is removed.
        with_remove_label => remove_label: bool,
        /// Sets the changes to the label's fields.
        with_field_modifications => field_modifications: Vec<LabelFieldModification>,
    }
}

impl LabelModification {
    /// Creates a change that adds the label, or changes these fields of it.
    pub fn set(
        label_id: impl Into<String>,
        fields: impl IntoIterator<Item = LabelFieldModification>,
    ) -> Self {
        let fields: Vec<_> = fields.into_iter().collect();
        let change = Self::default().with_label_id(label_id);
        if fields.is_empty() {
            return change;
        }
        change.with_field_modifications(fields)
    }

    /// Creates a change that removes the label.
    pub fn remove(label_id: impl Into<String>) -> Self {
        Self::default()
            .with_label_id(label_id)
            .with_remove_label(true)
    }
}

write! {
    /// A change to a field of a label.
    LabelFieldModification = "LabelFieldModification" {
        /// Sets the id of the field.
        with_field_id => field_id: String,
        /// Sets the values of a field of dates, as `YYYY-MM-DD`.
        with_set_date_values => set_date_values: Vec<String>,
        /// Sets the values of a field of numbers, as text.
        with_set_integer_values => set_integer_values: Vec<String>,
        /// Sets the selected choices, by id.
        with_set_selection_values => set_selection_values: Vec<String>,
        /// Sets the values of a text field.
        with_set_text_values => set_text_values: Vec<String>,
        /// Sets the users, by e-mail address.
        with_set_user_values => set_user_values: Vec<String>,
        /// Sets whether the values are removed.
        with_unset_values => unset_values: bool,
    }
}

impl LabelFieldModification {
    /// Starts a change to the field with this id. Set the new values, or remove the values.
    pub fn new(field_id: impl Into<String>) -> Self {
        Self::default().with_field_id(field_id)
    }
}
