use connector_core::Result;
use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::provider::{Endpoint, PagedEndpoint};
use http::Method;
use serde::Deserialize;
use serde_json::json;

use super::{at_offset, operation, to, wrong};
use crate::AirtableClient;
use crate::models::{Base, BaseId, BaseSchema, Field, FieldId, NewField, NewTable, Table, TableId};

/// Lists the bases that the connection can access, page by page.
///
/// See [Airtable docs: List bases](https://airtable.com/developers/web/api/list-bases).
#[derive(Debug, Clone, Default)]
#[must_use]
pub struct ListBases {
    offset: Option<PageCursor>,
}

impl ListBases {
    /// Lists all bases.
    pub const fn new() -> Self {
        Self { offset: None }
    }

    /// Starts from the given page cursor.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        self.offset = Some(cursor);
        self
    }
}

#[derive(Deserialize)]
struct Bases {
    bases: Vec<Base>,
    #[serde(default)]
    offset: Option<String>,
}

impl Endpoint for ListBases {
    type Client = AirtableClient;
    type Output = Page<Base>;
    const NAME: &'static str = "ListBases";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = &["schema.bases:read"];

    fn request(&self) -> Result<Request> {
        let request = to(Method::GET, &["meta", "bases"])?;
        Ok(at_offset(request, self.offset.as_ref()))
    }

    fn decode(&self, response: &mut Response) -> Result<Page<Base>> {
        let Bases { bases, offset } = response.json()?;
        Ok(Page::new(bases, offset.map(PageCursor::new)))
    }
}

impl PagedEndpoint for ListBases {
    type Item = Base;

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}

/// Creates a base in a workspace, with its tables.
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateBase {
    workspace: String,
    name: String,
    tables: Vec<NewTable>,
}

impl CreateBase {
    /// Creates a base with at least one table in the workspace with the id `wsp…`.
    pub fn new(
        workspace: impl Into<String>,
        name: impl Into<String>,
        tables: impl IntoIterator<Item = NewTable>,
    ) -> Self {
        Self {
            workspace: workspace.into(),
            name: name.into(),
            tables: tables.into_iter().collect(),
        }
    }
}

impl Endpoint for CreateBase {
    type Client = AirtableClient;
    type Output = BaseSchema;
    const NAME: &'static str = "CreateBase";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;
    const SCOPES: &'static [&'static str] = &["schema.bases:write"];

    fn validate(&self) -> Result<()> {
        if self.tables.is_empty() {
            return Err(wrong(
                Self::NAME,
                "a base needs at least one table; add one",
            ));
        }
        Ok(())
    }

    fn request(&self) -> Result<Request> {
        to(Method::POST, &["meta", "bases"])?.json(&json!({
            "workspaceId": self.workspace, "name": self.name, "tables": self.tables,
        }))
    }

    fn decode(&self, response: &mut Response) -> Result<BaseSchema> {
        response.json()
    }
}

/// Gets the tables of a base, with their fields and views.
///
/// See [Airtable docs: Get base schema](https://airtable.com/developers/web/api/get-base-schema).
#[derive(Debug, Clone)]
#[must_use]
pub struct GetBaseSchema {
    base: BaseId,
}

impl GetBaseSchema {
    /// Gets the schema of `base`.
    pub const fn new(base: BaseId) -> Self {
        Self { base }
    }
}

operation! {
    GetBaseSchema -> BaseSchema, Safe, ["schema.bases:read"];
    request: |it| to(Method::GET, &["meta", "bases", it.base.as_str(), "tables"]);
    decode: |response| response.json();
}

/// Creates a table.
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateTable {
    base: BaseId,
    table: NewTable,
}

impl CreateTable {
    /// Creates `table` in `base`.
    pub const fn new(base: BaseId, table: NewTable) -> Self {
        Self { base, table }
    }
}

operation! {
    CreateTable -> Table, Never, ["schema.bases:write"];
    request: |it| to(Method::POST, &["meta", "bases", it.base.as_str(), "tables"])?.json(&it.table);
    decode: |response| response.json();
}

/// Changes a table's name or description.
#[derive(Debug, Clone)]
#[must_use]
pub struct UpdateTable {
    base: BaseId,
    table: TableId,
    changes: Changes,
}

/// The name and description to set.
#[derive(Debug, Clone, Default, serde::Serialize)]
struct Changes {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
}

impl Changes {
    fn check(&self, operation: &'static str) -> Result<()> {
        if self.name.is_none() && self.description.is_none() {
            return Err(wrong(
                operation,
                "there is nothing to change; set a name or a description",
            ));
        }
        Ok(())
    }
}

impl UpdateTable {
    /// Creates an operation for `table` of `base` that changes nothing yet.
    pub fn new(base: BaseId, table: TableId) -> Self {
        Self {
            base,
            table,
            changes: Changes::default(),
        }
    }

    /// Sets the name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.changes.name = Some(name.into());
        self
    }

    /// Sets the description.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.changes.description = Some(description.into());
        self
    }
}

operation! {
    UpdateTable -> Table, Safe, ["schema.bases:write"];
    check: |it| it.changes.check("UpdateTable");
    request: |it| {
        let path = ["meta", "bases", it.base.as_str(), "tables", it.table.as_str()];
        to(Method::PATCH, &path)?.json(&it.changes)
    };
    decode: |response| response.json();
}

/// Creates a field.
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateField {
    base: BaseId,
    table: TableId,
    field: NewField,
}

impl CreateField {
    /// Creates `field` in `table` of `base`.
    pub const fn new(base: BaseId, table: TableId, field: NewField) -> Self {
        Self { base, table, field }
    }
}

operation! {
    CreateField -> Field, Never, ["schema.bases:write"];
    request: |it| {
        let path = ["meta", "bases", it.base.as_str(), "tables", it.table.as_str(), "fields"];
        to(Method::POST, &path)?.json(&it.field)
    };
    decode: |response| response.json();
}

/// Changes a field's name or description.
#[derive(Debug, Clone)]
#[must_use]
pub struct UpdateField {
    base: BaseId,
    table: TableId,
    field: FieldId,
    changes: Changes,
}

impl UpdateField {
    /// Creates an operation for `field` in `table` of `base` that changes nothing yet.
    pub fn new(base: BaseId, table: TableId, field: FieldId) -> Self {
        Self {
            base,
            table,
            field,
            changes: Changes::default(),
        }
    }

    /// Sets the name.
    pub fn with_name(mut self, name: impl Into<String>) -> Self {
        self.changes.name = Some(name.into());
        self
    }

    /// Sets the description.
    pub fn with_description(mut self, description: impl Into<String>) -> Self {
        self.changes.description = Some(description.into());
        self
    }
}

operation! {
    UpdateField -> Field, Safe, ["schema.bases:write"];
    check: |it| it.changes.check("UpdateField");
    request: |it| {
        let (base, table, field) = (it.base.as_str(), it.table.as_str(), it.field.as_str());
        let path = ["meta", "bases", base, "tables", table, "fields", field];
        to(Method::PATCH, &path)?.json(&it.changes)
    };
    decode: |response| response.json();
}
