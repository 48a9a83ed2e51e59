//! The data of the simulator.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use connector_core::clock::Timestamp;
use connector_sim::Secrets;
use serde_json::{Map, Value, json};

pub(super) const WEEK: Duration = Duration::from_secs(7 * 86_400);
const PENALTY: Duration = Duration::from_secs(30);
const PER_SECOND: usize = 5;
/// Number of consecutive failed pings after which Airtable sends no more pings.
const PATIENCE: u32 = 13;

pub(crate) struct World {
    secrets: Secrets,
    made: u64,
    pub(super) bases: BTreeMap<String, Base>,
    /// The list position of each page offset.
    pub(super) offsets: BTreeMap<String, usize>,
    pub(super) capped: bool,
}

#[derive(Default)]
pub(super) struct Base {
    pub(super) name: String,
    pub(super) withdrawn: bool,
    pub(super) tables: Vec<Table>,
    pub(super) webhooks: BTreeMap<String, Webhook>,
    calls: VecDeque<Timestamp>,
    refuses_until: Option<Timestamp>,
    transactions: u64,
}

pub(super) struct Table {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) fields: Vec<Value>,
    pub(super) records: Vec<Value>,
    pub(super) comments: BTreeMap<String, Vec<Value>>,
}

pub(super) struct Webhook {
    pub(super) url: Option<String>,
    pub(super) specification: Value,
    secret: String,
    pub(super) expires: Timestamp,
    pub(super) enabled: bool,
    failures: u32,
    is_due: bool,
    pub(super) payloads: Vec<(u64, Timestamp, Value)>,
    pub(super) next: u64,
}

/// A kind of record change, in the spelling of `changeTypes`.
#[derive(Debug, Clone, Copy)]
pub(super) enum Change {
    Add,
    Update,
    Remove,
}

impl Change {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Add => "add",
            Self::Update => "update",
            Self::Remove => "remove",
        }
    }
}

impl World {
    pub(super) const fn new(secrets: Secrets) -> Self {
        Self {
            secrets,
            made: 0,
            bases: BTreeMap::new(),
            offsets: BTreeMap::new(),
            capped: false,
        }
    }

    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:014}", self.made)
    }

    pub(super) fn with_base<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Base) -> T,
    ) -> Option<T> {
        self.bases.get_mut(id).map(change)
    }

    pub(super) fn add_base(&mut self, name: &str) -> String {
        let id = self.id("app");
        let base = Base {
            name: name.to_owned(),
            ..Base::default()
        };
        self.bases.insert(id.clone(), base);
        id
    }

    pub(super) fn field(&mut self, new: &Value) -> Value {
        let mut field = new.clone();
        field["id"] = self.id("fld").into();
        field
    }

    pub(super) fn add_table(&mut self, base: &str, new: &Value) -> Option<String> {
        let id = self.id("tbl");
        let fields = new["fields"].as_array().cloned().unwrap_or_default();
        let fields = fields.iter().map(|field| self.field(field)).collect();
        let text = |name: &str| new[name].as_str().map(str::to_owned);
        let table = Table {
            id: id.clone(),
            name: text("name")?,
            description: text("description"),
            fields,
            records: Vec::new(),
            comments: BTreeMap::new(),
        };
        self.bases.get_mut(base)?.tables.push(table);
        Some(id)
    }

    pub(super) fn create_record(
        &mut self,
        now: Timestamp,
        base: &str,
        table: &str,
        fields: Map<String, Value>,
    ) -> Option<Value> {
        let id = self.id("rec");
        let base = self.bases.get_mut(base)?;
        let table = base.table(table)?;
        let mut cells = table.known(fields)?;
        cells.retain(|_, value| !is_empty(value));
        let record = json!({ "id": id, "createdTime": now.to_string(), "fields": cells });
        table.records.push(record.clone());
        let table = table.id.clone();
        let created = json!({ "createdRecordsById": { id: {
            "createdTime": now.to_string(), "cellValuesByFieldId": record["fields"],
        } } });
        base.changed(now, &table, Change::Add, &created);
        Some(record)
    }

    pub(super) fn create_webhook(
        &mut self,
        now: Timestamp,
        base: &str,
        new: &Value,
    ) -> Option<Value> {
        let id = self.id("ach");
        let secret = BASE64_STANDARD.encode(self.secrets.issue("mac-"));
        let webhook = Webhook {
            url: new["notificationUrl"].as_str().map(str::to_owned),
            specification: new["specification"].clone(),
            secret: secret.clone(),
            expires: now.after(WEEK),
            enabled: true,
            failures: 0,
            is_due: false,
            payloads: Vec::new(),
            next: 1,
        };
        let created = json!({
            "id": id, "macSecretBase64": secret, "expirationTime": webhook.expires.to_string(),
        });
        self.bases.get_mut(base)?.webhooks.insert(id, webhook);
        Some(created)
    }

    /// Returns the base, webhook, URL and secret of each due ping.
    pub(super) fn due_pings(&mut self, now: Timestamp) -> Vec<(String, String, String, String)> {
        let mut due = Vec::new();
        for (base, state) in &mut self.bases {
            for (id, webhook) in &mut state.webhooks {
                let is_due = std::mem::take(&mut webhook.is_due);
                if let Some(url) = &webhook.url
                    && is_due
                    && webhook.enabled
                    && webhook.is_live(now)
                {
                    due.push((
                        base.clone(),
                        id.clone(),
                        url.clone(),
                        webhook.secret.clone(),
                    ));
                }
            }
        }
        due
    }

    pub(super) fn ping_answered(&mut self, id: &str, acknowledged: bool) {
        let webhooks = self
            .bases
            .values_mut()
            .filter_map(|it| it.webhooks.get_mut(id));
        for webhook in webhooks {
            webhook.failures = if acknowledged {
                0
            } else {
                webhook.failures + 1
            };
            webhook.enabled &= webhook.failures < PATIENCE;
            // A failed ping is sent again.
            webhook.is_due |= !acknowledged;
        }
    }
}

impl Webhook {
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        now < self.expires
    }

    pub(super) const fn enable(&mut self) {
        self.enabled = true;
        self.failures = 0;
    }

    fn reports(&self, table: Option<&str>, change: Option<Change>) -> bool {
        let filters = &self.specification["options"]["filters"];
        let in_scope = match (filters["recordChangeScope"].as_str(), table) {
            (Some(scope), Some(table)) => scope == table,
            _ => true,
        };
        let named = |name: &str, value: &str| match filters[name].as_array() {
            Some(values) if !values.is_empty() => values.iter().any(|it| it == value),
            _ => true,
        };
        in_scope
            && change.is_none_or(|it| {
                named("changeTypes", it.as_str()) && named("dataTypes", "tableData")
            })
    }
}

impl Base {
    /// Returns the table with the given id or name.
    pub(super) fn table(&mut self, key: &str) -> Option<&mut Table> {
        let mut tables = self.tables.iter_mut();
        tables.find(|it| it.id == key || it.name == key)
    }

    /// Counts a call. Returns false if the call exceeds the limit or if the penalty has not ended.
    pub(super) fn admits(&mut self, now: Timestamp) -> bool {
        if self.refuses_until.is_some_and(|until| now < until) {
            return false;
        }
        let second = Duration::from_secs(1);
        while self
            .calls
            .front()
            .is_some_and(|at| now.since(*at) >= second)
        {
            self.calls.pop_front();
        }
        if self.calls.len() >= PER_SECOND {
            self.refuses_until = Some(now.after(PENALTY));
            return false;
        }
        self.calls.push_back(now);
        true
    }

    /// Records a change of records.
    pub(super) fn changed(&mut self, now: Timestamp, table: &str, kind: Change, change: &Value) {
        let mut tables = Map::new();
        tables.insert(table.to_owned(), change.clone());
        let payload = json!({ "changedTablesById": tables });
        self.report(now, &payload, Some(table), Some(kind));
    }

    /// Adds a payload to the webhooks that report the change.
    pub(super) fn report(
        &mut self,
        now: Timestamp,
        payload: &Value,
        table: Option<&str>,
        change: Option<Change>,
    ) {
        self.transactions += 1;
        let mut payload = payload.clone();
        payload["timestamp"] = now.to_string().into();
        if payload["error"] != true {
            payload["baseTransactionNumber"] = self.transactions.into();
            payload["payloadFormat"] = "v0".into();
            payload["actionMetadata"] = json!({ "source": "client", "sourceMetadata": {} });
        }
        for webhook in self.webhooks.values_mut() {
            if webhook.is_live(now) && webhook.reports(table, change) {
                webhook.payloads.push((webhook.next, now, payload.clone()));
                webhook.next += 1;
                webhook.is_due = true;
            }
        }
    }
}

/// Empty cells are absent from records.
fn is_empty(value: &Value) -> bool {
    matches!(value, Value::Null | Value::Bool(false)) || value == ""
}

impl Table {
    /// Returns the cells keyed by field name; `None` if a field is unknown.
    pub(super) fn known(&self, fields: Map<String, Value>) -> Option<Map<String, Value>> {
        let mut known = Map::new();
        for (key, value) in fields {
            let field = self
                .fields
                .iter()
                .find(|it| it["name"] == *key || it["id"] == *key)?;
            known.insert(field["name"].as_str()?.to_owned(), value);
        }
        Some(known)
    }

    pub(super) fn describe(&self) -> Value {
        let mut schema = json!({
            "id": self.id, "name": self.name, "fields": self.fields,
            "primaryFieldId": self.fields.first().map(|it| it["id"].clone()),
            "views": [{ "id": self.id.replacen("tbl", "viw", 1), "name": "Grid view", "type": "grid" }],
        });
        if let Some(description) = &self.description {
            schema["description"] = description.as_str().into();
        }
        schema
    }

    /// Writes cells of a record, and returns the changed record.
    pub(super) fn write(
        &mut self,
        id: &str,
        fields: Map<String, Value>,
        replaces: bool,
    ) -> Option<Value> {
        let known = self.known(fields)?;
        let record = self.records.iter_mut().find(|it| it["id"] == id)?;
        let cells = record["fields"].as_object_mut()?;
        if replaces {
            cells.clear();
        }
        cells.extend(known);
        cells.retain(|_, value| !is_empty(value));
        Some(record.clone())
    }

    pub(super) fn remove(&mut self, ids: &BTreeSet<String>) -> usize {
        let before = self.records.len();
        self.records
            .retain(|it| !it["id"].as_str().is_some_and(|id| ids.contains(id)));
        before - self.records.len()
    }
}
