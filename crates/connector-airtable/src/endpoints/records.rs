use connector_core::api::{Page, PageCursor, Request};
use connector_core::provider::PagedEndpoint;
use http::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{BATCH, BatchEndpoint, PAGE, at_offset, check_batch, check_page, operation, to, wrong};
use crate::models::{BaseId, Deleted, Fields, Record, RecordId, RecordWrite, TableKey, Written};
use crate::oauth::API;

/// Maximum length of a URL, in characters. Airtable refuses longer URLs.
const MAX_URL: usize = 16_000;

/// The order of a sort.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum SortDirection {
    /// Ascending.
    Asc,
    /// Descending.
    Desc,
}

impl SortDirection {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Asc => "asc",
            Self::Desc => "desc",
        }
    }
}

/// The format of cell values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum CellFormat {
    /// JSON values according to the field type.
    Json,
    /// Display text.
    String,
}

#[derive(Debug, Clone, Serialize)]
struct Sort {
    field: String,
    direction: SortDirection,
}

/// Lists the records of a table, page by page.
///
/// A query whose URL would be longer than 16,000 characters is sent as POST to `listRecords`. If an
/// offset has expired, the call fails with an error for which
/// [`is_expired_offset`](crate::is_expired_offset) returns true. Restart the listing then.
///
/// See [Airtable docs: List records](https://airtable.com/developers/web/api/list-records).
#[derive(Debug, Clone)]
#[must_use]
pub struct ListRecords {
    base: BaseId,
    table: TableKey,
    query: Query,
}

#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct Query {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    fields: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filter_by_formula: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_records: Option<u32>,
    page_size: u32,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    sort: Vec<Sort>,
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cell_format: Option<CellFormat>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    return_fields_by_field_id: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    record_metadata: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<PageCursor>,
}

impl Query {
    fn add_to(&self, mut request: Request) -> Request {
        for field in &self.fields {
            request = request.query("fields[]", field);
        }
        if let Some(formula) = &self.filter_by_formula {
            request = request.query("filterByFormula", formula);
        }
        if let Some(most) = self.max_records {
            request = request.query("maxRecords", &most.to_string());
        }
        request = request.query("pageSize", &self.page_size.to_string());
        for (number, sort) in self.sort.iter().enumerate() {
            request = request
                .query(&format!("sort[{number}][field]"), &sort.field)
                .query(
                    &format!("sort[{number}][direction]"),
                    sort.direction.as_str(),
                );
        }
        if let Some(view) = &self.view {
            request = request.query("view", view);
        }
        if let Some(format) = self.cell_format {
            let format = match format {
                CellFormat::Json => "json",
                CellFormat::String => "string",
            };
            request = request.query("cellFormat", format);
        }
        if self.return_fields_by_field_id {
            request = request.query("returnFieldsByFieldId", "true");
        }
        for name in &self.record_metadata {
            request = request.query("recordMetadata[]", name);
        }
        at_offset(request, self.offset.as_ref())
    }
}

impl ListRecords {
    /// Lists all records of `table`, 100 per page.
    pub fn new(base: BaseId, table: impl Into<TableKey>) -> Self {
        Self {
            base,
            table: table.into(),
            query: Query {
                page_size: PAGE,
                ..Query::default()
            },
        }
    }

    /// Adds fields to return, by name or id. Default: all fields.
    pub fn with_fields<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.query.fields.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Returns only the records for which the formula is true.
    pub fn with_formula(mut self, formula: impl Into<String>) -> Self {
        self.query.filter_by_formula = Some(formula.into());
        self
    }

    /// Limits the total number of records.
    pub const fn with_max_records(mut self, most: u32) -> Self {
        self.query.max_records = Some(most);
        self
    }

    /// Sets the page size: 1 to 100.
    pub const fn with_page_size(mut self, size: u32) -> Self {
        self.query.page_size = size;
        self
    }

    /// Adds a field to sort by. Fields that were added earlier take precedence.
    pub fn sorted_by(mut self, field: impl Into<String>, direction: SortDirection) -> Self {
        let field = field.into();
        self.query.sort.push(Sort { field, direction });
        self
    }

    /// Returns the records of a view, by name or id, in the order of the view.
    pub fn in_view(mut self, view: impl Into<String>) -> Self {
        self.query.view = Some(view.into());
        self
    }

    /// Sets the format of cell values. Default: JSON.
    pub const fn with_cell_format(mut self, format: CellFormat) -> Self {
        self.query.cell_format = Some(format);
        self
    }

    /// Returns cells keyed by field id. A field id does not change when the field is renamed.
    pub const fn by_field_id(mut self) -> Self {
        self.query.return_fields_by_field_id = true;
        self
    }

    /// Adds metadata to return with each record, for example `commentCount`.
    pub fn with_record_metadata(mut self, name: impl Into<String>) -> Self {
        self.query.record_metadata.push(name.into());
        self
    }

    /// Starts from the given page cursor. All other arguments must be the same as for the earlier
    /// page.
    pub fn after(mut self, cursor: PageCursor) -> Self {
        self.query.offset = Some(cursor);
        self
    }
}

#[derive(Deserialize)]
struct Records {
    records: Vec<Record>,
    #[serde(default)]
    offset: Option<String>,
}

operation! {
    ListRecords -> Page<Record>, Safe, ["data.records:read"];
    check: |it| check_page("ListRecords", it.query.page_size);
    request: |it| {
        let path = [it.base.as_str(), it.table.as_str()];
        let request = it.query.add_to(to(Method::GET, &path)?);
        if API.len() + request.target().len() <= MAX_URL {
            return Ok(request);
        }
        to(Method::POST, &[path[0], path[1], "listRecords"])?.json(&it.query)
    };
    decode: |response| {
        let Records { records, offset } = response.json()?;
        Ok(Page::new(records, offset.map(PageCursor::new)))
    };
}

impl PagedEndpoint for ListRecords {
    type Item = Record;

    fn at(&self, cursor: &PageCursor) -> Self {
        self.clone().after(cursor.clone())
    }
}

/// Gets a record.
///
/// See [Airtable docs: Get record](https://airtable.com/developers/web/api/get-record).
#[derive(Debug, Clone)]
#[must_use]
pub struct GetRecord {
    base: BaseId,
    table: TableKey,
    record: RecordId,
}

impl GetRecord {
    /// Creates the operation for `record` of `table`.
    pub fn new(base: BaseId, table: impl Into<TableKey>, record: RecordId) -> Self {
        Self {
            base,
            table: table.into(),
            record,
        }
    }
}

operation! {
    GetRecord -> Record, Safe, ["data.records:read"];
    request: |it| to(Method::GET, &[it.base.as_str(), it.table.as_str(), it.record.as_str()]);
    decode: |response| response.json();
}

/// Creates up to 10 records. A repeated call creates further records. For a repeatable call, use
/// [`UpdateRecords::upsert_on`].
///
/// See [Airtable docs: Create records](https://airtable.com/developers/web/api/create-records).
#[derive(Debug, Clone)]
#[must_use]
pub struct CreateRecords {
    base: BaseId,
    table: TableKey,
    records: Vec<Fields>,
    typecast: bool,
}

impl CreateRecords {
    /// Creates records with the given cells in `table`.
    pub fn new(
        base: BaseId,
        table: impl Into<TableKey>,
        records: impl IntoIterator<Item = Fields>,
    ) -> Self {
        Self {
            base,
            table: table.into(),
            records: records.into_iter().collect(),
            typecast: false,
        }
    }

    /// Converts text to the field types, and adds missing options to select fields.
    pub const fn with_typecast(mut self) -> Self {
        self.typecast = true;
        self
    }
}

operation! {
    CreateRecords -> Written, Never, ["data.records:write"];
    check: |it| check_batch("CreateRecords", it.records.len());
    request: |it| {
        let records: Vec<_> = it.records.iter().map(|fields| json!({ "fields": fields })).collect();
        let mut body = json!({ "records": records });
        if it.typecast {
            body["typecast"] = true.into();
        }
        to(Method::POST, &[it.base.as_str(), it.table.as_str()])?.json(&body)
    };
    decode: |response| response.json();
}

impl BatchEndpoint for CreateRecords {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn into_batches(self) -> Vec<Self> {
        let batch = |records: &[Fields]| Self {
            records: records.to_vec(),
            base: self.base.clone(),
            table: self.table.clone(),
            ..self
        };
        self.records.chunks(BATCH).map(batch).collect()
    }
}

/// Updates up to 10 records. Cells that are not included stay unchanged, unless
/// [`replacing`](UpdateRecords::replacing) is set.
///
/// See [Airtable docs: Update multiple records](https://airtable.com/developers/web/api/update-multiple-records).
#[derive(Debug, Clone)]
#[must_use]
pub struct UpdateRecords {
    base: BaseId,
    table: TableKey,
    records: Vec<RecordWrite>,
    merge_on: Vec<String>,
    typecast: bool,
    replaces: bool,
}

impl UpdateRecords {
    /// Updates these records of `table`.
    pub fn new(
        base: BaseId,
        table: impl Into<TableKey>,
        records: impl IntoIterator<Item = RecordWrite>,
    ) -> Self {
        Self {
            base,
            table: table.into(),
            records: records.into_iter().collect(),
            merge_on: Vec::new(),
            typecast: false,
            replaces: false,
        }
    }

    /// Clears the cells that are not included.
    pub const fn replacing(mut self) -> Self {
        self.replaces = true;
        self
    }

    /// Upserts records without an id: updates the records that have the same values in the given
    /// fields, and creates missing records. The call may be repeated.
    pub fn upsert_on<S: Into<String>>(mut self, fields: impl IntoIterator<Item = S>) -> Self {
        self.merge_on.extend(fields.into_iter().map(Into::into));
        self
    }

    /// Converts text to the field types, and adds missing options to select fields.
    pub const fn with_typecast(mut self) -> Self {
        self.typecast = true;
        self
    }
}

operation! {
    UpdateRecords -> Written, Safe, ["data.records:write"];
    check: |it| {
        check_batch("UpdateRecords", it.records.len())?;
        if it.merge_on.is_empty() && !it.records.iter().all(RecordWrite::has_id) {
            let message = "a record has no id; set an id, or set the fields to merge on";
            return Err(wrong("UpdateRecords", message));
        }
        Ok(())
    };
    request: |it| {
        let method = if it.replaces { Method::PUT } else { Method::PATCH };
        let mut body = json!({ "records": it.records });
        if !it.merge_on.is_empty() {
            body["performUpsert"] = json!({ "fieldsToMergeOn": it.merge_on });
        }
        if it.typecast {
            body["typecast"] = true.into();
        }
        to(method, &[it.base.as_str(), it.table.as_str()])?.json(&body)
    };
    decode: |response| response.json();
}

impl BatchEndpoint for UpdateRecords {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn into_batches(self) -> Vec<Self> {
        let batch = |records: &[RecordWrite]| Self {
            records: records.to_vec(),
            base: self.base.clone(),
            table: self.table.clone(),
            merge_on: self.merge_on.clone(),
            ..self
        };
        self.records.chunks(BATCH).map(batch).collect()
    }
}

/// Updates one record.
#[derive(Debug, Clone)]
#[must_use]
pub struct UpdateRecord {
    base: BaseId,
    table: TableKey,
    record: RecordId,
    fields: Fields,
    replaces: bool,
}

impl UpdateRecord {
    /// Updates these cells of `record`.
    pub fn new(base: BaseId, table: impl Into<TableKey>, record: RecordId, fields: Fields) -> Self {
        Self {
            base,
            table: table.into(),
            record,
            fields,
            replaces: false,
        }
    }

    /// Clears the cells that are not included.
    pub const fn replacing(mut self) -> Self {
        self.replaces = true;
        self
    }
}

operation! {
    UpdateRecord -> Record, Safe, ["data.records:write"];
    request: |it| {
        let method = if it.replaces { Method::PUT } else { Method::PATCH };
        let path = [it.base.as_str(), it.table.as_str(), it.record.as_str()];
        to(method, &path)?.json(&json!({ "fields": it.fields }))
    };
    decode: |response| response.json();
}

/// Deletes up to 10 records.
///
/// See [Airtable docs: Delete multiple records](https://airtable.com/developers/web/api/delete-multiple-records).
#[derive(Debug, Clone)]
#[must_use]
pub struct DeleteRecords {
    base: BaseId,
    table: TableKey,
    records: Vec<RecordId>,
}

impl DeleteRecords {
    /// Deletes these records of `table`.
    pub fn new(
        base: BaseId,
        table: impl Into<TableKey>,
        records: impl IntoIterator<Item = RecordId>,
    ) -> Self {
        Self {
            base,
            table: table.into(),
            records: records.into_iter().collect(),
        }
    }
}

#[derive(Deserialize)]
struct DeletedRecords {
    records: Vec<Deleted>,
}

operation! {
    DeleteRecords -> Vec<Deleted>, Safe, ["data.records:write"];
    check: |it| check_batch("DeleteRecords", it.records.len());
    request: |it| {
        let request = to(Method::DELETE, &[it.base.as_str(), it.table.as_str()])?;
        let ids = it.records.iter();
        Ok(ids.fold(request, |request, id| request.query("records[]", id.as_str())))
    };
    decode: |response| Ok(response.json::<DeletedRecords>()?.records);
}

impl BatchEndpoint for DeleteRecords {
    fn count(&self) -> usize {
        self.records.len()
    }

    fn into_batches(self) -> Vec<Self> {
        let batch = |records: &[RecordId]| Self {
            records: records.to_vec(),
            base: self.base.clone(),
            table: self.table.clone(),
        };
        self.records.chunks(BATCH).map(batch).collect()
    }
}

/// Deletes one record.
#[derive(Debug, Clone)]
#[must_use]
pub struct DeleteRecord {
    base: BaseId,
    table: TableKey,
    record: RecordId,
}

impl DeleteRecord {
    /// Deletes `record` of `table`.
    pub fn new(base: BaseId, table: impl Into<TableKey>, record: RecordId) -> Self {
        Self {
            base,
            table: table.into(),
            record,
        }
    }
}

operation! {
    DeleteRecord -> Deleted, Safe, ["data.records:write"];
    request: |it| to(Method::DELETE, &[it.base.as_str(), it.table.as_str(), it.record.as_str()]);
    decode: |response| response.json();
}
