//! Records and comments.

use std::collections::{BTreeMap, BTreeSet};

use connector_core::clock::Timestamp;
use connector_sim::{Grant, Request};
use serde_json::{Map, Value, json};

use super::api::{Answer, invalid, no_access, not_found};
use super::world::{Change, Table, World};

/// A query of records, from a URL or from a body.
#[derive(Default)]
struct Query {
    fields: Vec<String>,
    formula: Option<String>,
    most: Option<usize>,
    page: usize,
    sort: Vec<(String, bool)>,
    by_id: bool,
    offset: Option<String>,
}

impl Query {
    fn of_url(request: &Request) -> Self {
        let mut query = Self::default();
        let mut sort: BTreeMap<String, (String, bool)> = BTreeMap::new();
        for (name, value) in request.url().query_pairs() {
            let value = value.into_owned();
            match &*name {
                "fields[]" => query.fields.push(value),
                "filterByFormula" => query.formula = Some(value),
                "maxRecords" => query.most = value.parse().ok(),
                "pageSize" => query.page = value.parse().unwrap_or_default(),
                "returnFieldsByFieldId" => query.by_id = value == "true",
                "offset" => query.offset = Some(value),
                name => {
                    if let Some(number) = name.strip_suffix("[field]") {
                        sort.entry(number.to_owned()).or_default().0 = value;
                    } else if let Some(number) = name.strip_suffix("[direction]") {
                        sort.entry(number.to_owned()).or_default().1 = value == "desc";
                    }
                }
            }
        }
        query.sort = sort.into_values().collect();
        query
    }

    fn of_body(body: &Value) -> Self {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let list = |name: &str| body[name].as_array().cloned().unwrap_or_default();
        let number = |name: &str| body[name].as_u64().and_then(|it| usize::try_from(it).ok());
        let sort = list("sort");
        let sort = sort.iter().map(|it| {
            (
                text(&it["field"]).unwrap_or_default(),
                it["direction"] == "desc",
            )
        });
        Self {
            fields: list("fields").iter().filter_map(text).collect(),
            formula: text(&body["filterByFormula"]),
            most: number("maxRecords"),
            page: number("pageSize").unwrap_or_default(),
            sort: sort.collect(),
            by_id: body["returnFieldsByFieldId"] == true,
            offset: text(&body["offset"]),
        }
    }
}

pub(super) fn route(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    (base, name): (&str, &str),
    rest: &[&str],
    grant: &Grant,
) -> Answer {
    let body = request.json();
    let method = request.method().as_str();
    let table = table(world, base, name)?;
    match (method, rest) {
        ("GET", []) => list(world, base, name, &Query::of_url(request)),
        ("POST", ["listRecords"]) => list(world, base, name, &Query::of_body(&body)),
        ("POST", []) => create(world, now, base, name, &body),
        ("PATCH" | "PUT", []) => write_many(world, now, base, name, &body, method == "PUT"),
        ("DELETE", []) => {
            let ids = request
                .url()
                .query_pairs()
                .filter(|(name, _)| name == "records[]");
            let ids: BTreeSet<String> = ids.map(|(_, id)| id.into_owned()).collect();
            delete(world, now, base, name, &ids)
        }
        ("GET", [record]) => find(table, record).cloned(),
        ("PATCH" | "PUT", [record]) => {
            find(table, record)?;
            write(
                world,
                now,
                (base, name),
                record,
                object(&body["fields"]),
                method == "PUT",
            )
        }
        ("DELETE", [record]) => {
            find(table, record)?;
            delete(
                world,
                now,
                base,
                name,
                &BTreeSet::from([(*record).to_owned()]),
            )?;
            Ok(json!({ "id": record, "deleted": true }))
        }
        (_, [record, "comments", rest @ ..]) => {
            find(table, record)?;
            comments(world, now, request, (base, name, record), rest, grant)
        }
        _ => Err(not_found()),
    }
}

fn table<'w>(
    world: &'w mut World,
    base: &str,
    name: &str,
) -> Result<&'w mut Table, connector_sim::Response> {
    let base = world.bases.get_mut(base).ok_or_else(no_access)?;
    base.table(name).ok_or_else(no_access)
}

fn find<'t>(table: &'t Table, record: &str) -> Result<&'t Value, connector_sim::Response> {
    let mut records = table.records.iter();
    records.find(|it| it["id"] == record).ok_or_else(not_found)
}

fn object(value: &Value) -> Map<String, Value> {
    value.as_object().cloned().unwrap_or_default()
}

fn list(world: &mut World, base: &str, name: &str, query: &Query) -> Answer {
    let from = match &query.offset {
        Some(offset) => *world
            .offsets
            .get(offset)
            .ok_or_else(|| invalid("LIST_RECORDS_ITERATOR_NOT_AVAILABLE"))?,
        None => 0,
    };
    let table = table(world, base, name)?;
    let mut records = table.records.clone();
    if let Some(formula) = &query.formula {
        // The simulator supports only the form `{Name}='value'`.
        let parts = formula
            .strip_prefix('{')
            .and_then(|it| it.strip_suffix('\''));
        let parts = parts.and_then(|it| it.split_once("}='"));
        let (field, value) = parts.ok_or_else(|| invalid("INVALID_FILTER_BY_FORMULA"))?;
        records.retain(|it| it["fields"][field] == value);
    }
    for (field, descending) in query.sort.iter().rev() {
        let text = |record: &Value| record["fields"][field].to_string();
        records.sort_by(|a, b| {
            let order = text(a).cmp(&text(b));
            if *descending { order.reverse() } else { order }
        });
    }
    records.truncate(query.most.unwrap_or(usize::MAX));
    let names: Vec<(String, String)> = table
        .fields
        .iter()
        .map(|it| {
            (
                it["name"].as_str().unwrap_or_default(),
                it["id"].as_str().unwrap_or_default(),
            )
        })
        .map(|(name, id)| (name.to_owned(), id.to_owned()))
        .collect();
    let size = match query.page {
        0 => 100,
        size => size.min(100),
    };
    let more = records.len() > from + size;
    let page = records.into_iter().skip(from).take(size);
    let page: Vec<Value> = page.map(|it| shown(it, &names, query)).collect();
    let mut answer = json!({ "records": page });
    if more {
        let offset = format!("itr/{}", world.id("rec"));
        world.offsets.insert(offset.clone(), from + size);
        answer["offset"] = offset.into();
    }
    Ok(answer)
}

fn shown(mut record: Value, names: &[(String, String)], query: &Query) -> Value {
    let mut cells = Map::new();
    for (name, id) in names {
        let wanted =
            query.fields.is_empty() || query.fields.iter().any(|it| it == name || it == id);
        if let Some(value) = record["fields"].get(name).filter(|_| wanted) {
            let key = if query.by_id { id } else { name };
            cells.insert(key.clone(), value.clone());
        }
    }
    record["fields"] = Value::Object(cells);
    record
}

fn batch(body: &Value) -> Result<Vec<Value>, connector_sim::Response> {
    let records = body["records"].as_array().cloned().unwrap_or_default();
    if (1..=10).contains(&records.len()) {
        return Ok(records);
    }
    Err(invalid("INVALID_REQUEST_BODY"))
}

fn create(world: &mut World, now: Timestamp, base: &str, name: &str, body: &Value) -> Answer {
    let records = batch(body)?;
    let known = table(world, base, name)?;
    if records
        .iter()
        .any(|it| known.known(object(&it["fields"])).is_none())
    {
        return Err(invalid("UNKNOWN_FIELD_NAME"));
    }
    let mut created = Vec::new();
    for record in &records {
        let made = world.create_record(now, base, name, object(&record["fields"]));
        created.push(made.ok_or_else(|| invalid("UNKNOWN_FIELD_NAME"))?);
    }
    Ok(json!({ "records": created }))
}

fn write(
    world: &mut World,
    now: Timestamp,
    (base, name): (&str, &str),
    id: &str,
    fields: Map<String, Value>,
    replaces: bool,
) -> Answer {
    let table = table(world, base, name)?;
    let written = table.write(id, fields, replaces);
    let written = written.ok_or_else(|| invalid("UNKNOWN_FIELD_NAME"))?;
    let table = table.id.clone();
    let mut records = Map::new();
    let current = json!({ "current": { "cellValuesByFieldId": written["fields"] } });
    records.insert(id.to_owned(), current);
    let change = json!({ "changedRecordsById": records });
    world.with_base(base, |it| it.changed(now, &table, Change::Update, &change));
    Ok(written)
}

fn write_many(
    world: &mut World,
    now: Timestamp,
    base: &str,
    name: &str,
    body: &Value,
    replaces: bool,
) -> Answer {
    let merge = body["performUpsert"]["fieldsToMergeOn"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let merge: Vec<&str> = merge.iter().filter_map(Value::as_str).collect();
    let (mut records, mut created, mut updated) = (Vec::new(), Vec::new(), Vec::new());
    for record in batch(body)? {
        let fields = object(&record["fields"]);
        let id = match record["id"].as_str() {
            Some(id) => Some(id.to_owned()),
            None if merge.is_empty() => return Err(invalid("INVALID_REQUEST_BODY")),
            None => {
                let mut known = table(world, base, name)?.records.iter();
                let same = |it: &&Value| {
                    merge
                        .iter()
                        .all(|key| it["fields"].get(key) == fields.get(*key))
                };
                known
                    .find(same)
                    .and_then(|it| it["id"].as_str().map(str::to_owned))
            }
        };
        if let Some(id) = id {
            find(table(world, base, name)?, &id)?;
            records.push(write(world, now, (base, name), &id, fields, replaces)?);
            updated.push(id);
        } else {
            let made = world.create_record(now, base, name, fields);
            let made = made.ok_or_else(|| invalid("UNKNOWN_FIELD_NAME"))?;
            created.push(made["id"].clone());
            records.push(made);
        }
    }
    let mut answer = json!({ "records": records });
    if !merge.is_empty() {
        answer["createdRecords"] = json!(created);
        answer["updatedRecords"] = json!(updated);
    }
    Ok(answer)
}

fn delete(
    world: &mut World,
    now: Timestamp,
    base: &str,
    name: &str,
    ids: &BTreeSet<String>,
) -> Answer {
    let table = table(world, base, name)?;
    if ids.is_empty() || ids.len() > 10 {
        return Err(invalid("INVALID_REQUEST_BODY"));
    }
    if !ids.iter().all(|id| find(table, id).is_ok()) {
        return Err(not_found());
    }
    table.remove(ids);
    let table = table.id.clone();
    let change = json!({ "destroyedRecordIds": ids });
    world.with_base(base, |it| it.changed(now, &table, Change::Remove, &change));
    let records: Vec<Value> = ids
        .iter()
        .map(|id| json!({ "id": id, "deleted": true }))
        .collect();
    Ok(json!({ "records": records }))
}

fn comments(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    (base, name, record): (&str, &str, &str),
    rest: &[&str],
    grant: &Grant,
) -> Answer {
    let new = world.id("com");
    let body = request.json();
    let text = body["text"].as_str().unwrap_or_default();
    let comments = table(world, base, name)?
        .comments
        .entry(record.to_owned())
        .or_default();
    match (request.method().as_str(), rest) {
        ("GET", []) => Ok(json!({ "comments": comments, "offset": null })),
        ("POST", []) if !text.is_empty() => {
            let comment = json!({
                "id": new, "text": text, "author": { "id": grant.account },
                "createdTime": now.to_string(), "lastUpdatedTime": null,
            });
            comments.push(comment.clone());
            Ok(comment)
        }
        ("PATCH", [id]) if !text.is_empty() => {
            let mut known = comments.iter_mut();
            let comment = known.find(|it| it["id"] == *id).ok_or_else(not_found)?;
            comment["text"] = text.into();
            comment["lastUpdatedTime"] = now.to_string().into();
            Ok(comment.clone())
        }
        ("DELETE", [id]) => {
            let before = comments.len();
            comments.retain(|it| it["id"] != *id);
            if comments.len() == before {
                return Err(not_found());
            }
            Ok(json!({ "id": id, "deleted": true }))
        }
        ("POST" | "PATCH", _) => Err(invalid("INVALID_REQUEST_BODY")),
        _ => Err(not_found()),
    }
}
