//! The routes of the simulator.

use std::sync::Arc;

use connector_core::clock::Timestamp;
use connector_sim::{Grant, Request, Response};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::filter;
use super::world::{World, author, minute, person, plain, rich_text, title_of, uuid};

/// The body of a successful response, or an error response.
pub(super) type Answer = Result<Value, Response>;

/// Maximum number of rows that a query returns.
pub(super) const ROWS: usize = 10_000;
/// Maximum size of a request body, in bytes.
const LARGEST: usize = 500_000;
const VERSIONS: [&str; 2] = ["2025-09-03", "2026-03-11"];

pub(super) fn error(status: u16, code: &str, message: &str) -> Response {
    let id = uuid('f', 0);
    let body = json!({
        "object": "error", "status": status, "code": code, "message": message,
        "request_id": id,
    });
    Response::json(status, &body).with_header("x-notion-request-id", &id)
}

pub(super) fn invalid(message: &str) -> Response {
    error(400, "validation_error", message)
}

pub(super) fn not_found(id: &str) -> Response {
    let message = format!("Could not find object with ID: {id}. Make sure it is shared.");
    error(404, "object_not_found", &message)
}

pub(super) fn no_route() -> Response {
    error(400, "invalid_request_url", "Invalid request URL.")
}

fn restricted() -> Response {
    error(
        403,
        "restricted_resource",
        "Insufficient permissions for this endpoint.",
    )
}

pub(super) fn answer(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    grant: &Grant,
) -> Response {
    if let Some(refusal) = limited(world, now, &grant.account) {
        return refusal;
    }
    if !VERSIONS.contains(&request.header("notion-version")) {
        return error(
            400,
            "missing_version",
            "Notion-Version header failed validation.",
        );
    }
    let is_form = request.header("content-type").starts_with("multipart/");
    if !is_form && request.body().len() > LARGEST {
        return invalid("body is larger than 500 KB");
    }
    let decoded = |segment: &str| -> String {
        let mut pairs = form_urlencoded::parse(segment.as_bytes());
        pairs
            .next()
            .map(|(name, _)| name.into_owned())
            .unwrap_or_default()
    };
    let segments: Vec<String> = request.path().split('/').skip(1).map(decoded).collect();
    let path: Vec<&str> = segments.iter().map(String::as_str).collect();
    let ["v1", path @ ..] = path.as_slice() else {
        return no_route();
    };
    let outcome = route(world, now, request, path);
    outcome.map_or_else(
        |refusal| refusal,
        |mut body| {
            body["request_id"] = uuid('f', 0).into();
            Response::json(200, &body).with_header("x-notion-request-id", &uuid('f', 0))
        },
    )
}

/// Returns the error response for a request above the limit of the current minute.
fn limited(world: &mut World, now: Timestamp, account: &str) -> Option<Response> {
    let most = world.requests_per_minute;
    let (began, count) = world.windows.entry(account.to_owned()).or_insert((now, 0));
    let passed = now.since(*began).as_secs();
    if passed >= 60 {
        (*began, *count) = (now, 0);
    }
    *count += 1;
    if *count <= most {
        return None;
    }
    let left = 60 - passed.min(59);
    let body = json!({
        "object": "error", "status": 429, "code": "rate_limited", "message": "Slow down.",
        "additional_data": { "rate_limit_reason": "connection" },
    });
    Some(Response::json(429, &body).with_header("retry-after", &left.to_string()))
}

fn route(world: &mut World, now: Timestamp, request: &Request, path: &[&str]) -> Answer {
    let body = request.json();
    let method = request.method().as_str();
    match (method, path) {
        ("GET", ["users"]) => {
            if !world.reads_users {
                return Err(restricted());
            }
            Ok(list("user", (1..=3).map(person).collect(), None))
        }
        ("GET", ["users", id]) => {
            if !world.reads_users {
                return Err(restricted());
            }
            (1..=3)
                .map(person)
                .find(|it| it["id"] == *id)
                .ok_or_else(|| not_found(id))
        }
        ("POST", ["search"]) => search(world, &body),
        (_, ["databases" | "data_sources", ..]) => sources(world, now, request, path, &body),
        (_, ["pages", ..]) => pages(world, now, request, path, &body),
        (_, ["blocks", ..]) => blocks(world, now, request, path, &body),
        (_, ["comments", ..]) => comments(world, now, request, path, &body),
        (_, ["views", ..]) => super::views::answer(world, now, request, path, &body),
        ("POST", ["file_uploads"]) => world.create_upload(now, &body),
        ("GET", ["file_uploads"]) => {
            let ids: Vec<String> = world.uploads.keys().cloned().collect();
            let status = request.query("status");
            let shown = ids.iter().filter_map(|id| world.upload(now, id));
            let shown = shown.filter(|it| {
                status
                    .as_ref()
                    .is_none_or(|status| it["status"] == status.as_str())
            });
            Ok(list("file_upload", shown.collect(), None))
        }
        ("GET", ["file_uploads", id]) => world.upload(now, id).ok_or_else(|| not_found(id)),
        ("POST", ["file_uploads", id, "send"]) => world.send_upload(now, id, request),
        ("POST", ["file_uploads", id, "complete"]) => world.complete_upload(id),
        ("GET", ["async_tasks", id]) => world.tasks.get(*id).cloned().ok_or_else(|| not_found(id)),
        _ => Err(no_route()),
    }
}

/// Returns one page of ids and the next cursor. `is_cut` is true if the list is longer than Notion
/// returns.
pub(super) fn page(
    world: &mut World,
    request: (&Value, &Value),
    ids: impl FnOnce(&World) -> Result<(Vec<String>, bool), Response>,
) -> Result<(Vec<String>, Option<String>, bool), Response> {
    let (size, cursor) = request;
    let size = match size {
        Value::Null => 100,
        size => size
            .as_u64()
            .filter(|it| (1..=100).contains(it))
            .ok_or_else(|| invalid("page_size should be ≤ 100"))?,
    };
    let (ids, at, is_cut) = if let Some(cursor) = cursor.as_str() {
        let known = world.cursors.get(cursor).cloned();
        known.ok_or_else(|| invalid("start_cursor is not valid"))?
    } else {
        let (ids, is_cut) = ids(world)?;
        (Arc::new(ids), 0, is_cut)
    };
    let end = (at + usize::try_from(size).unwrap_or(100)).min(ids.len());
    let next = (end < ids.len()).then(|| {
        let cursor = world.id('9');
        world
            .cursors
            .insert(cursor.clone(), (Arc::clone(&ids), end, is_cut));
        cursor
    });
    let is_end = next.is_none();
    Ok((ids[at..end].to_vec(), next, is_cut && is_end))
}

/// Returns the page size and the cursor from a query string.
pub(super) fn in_query(request: &Request) -> (Value, Value) {
    let size = request.query("page_size");
    let size = size.map_or(Value::Null, |it| {
        it.parse::<u64>().map_or(json!(0), Value::from)
    });
    (
        size,
        request
            .query("start_cursor")
            .map_or(Value::Null, Value::from),
    )
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the caller creates the values for this list"
)]
pub(super) fn list(kind: &str, results: Vec<Value>, next: Option<String>) -> Value {
    json!({
        "object": "list", "results": results, "has_more": next.is_some(), "next_cursor": next,
        "type": kind, kind: {},
    })
}

fn search(world: &mut World, body: &Value) -> Answer {
    let query = body["query"].as_str().unwrap_or_default().to_lowercase();
    let kind = body["filter"]["value"].as_str();
    if !matches!(kind, None | Some("page" | "data_source")) {
        return Err(invalid("body.filter.value should be page or data_source"));
    }
    let ascending = body["sort"]["direction"] == "ascending";
    let is_trash = body["filter"]["in_trash"] == true;
    let all = |world: &World| {
        let objects = world.pages.values().chain(world.sources.values());
        let mut found: Vec<&Value> = objects
            .filter(|it| kind.is_none_or(|kind| it["object"] == kind))
            .filter(|it| (it["in_trash"] == true) == is_trash)
            .filter(|it| world.is_shared(it["id"].as_str().unwrap_or_default()))
            .filter(|it| plain(&title_of(it)).to_lowercase().contains(&query))
            .collect();
        let time = |it: &Value| {
            it["last_edited_time"]
                .as_str()
                .unwrap_or_default()
                .to_owned()
        };
        found.sort_by_key(|it| time(it));
        if !ascending {
            found.reverse();
        }
        let ids = found
            .iter()
            .filter_map(|it| it["id"].as_str().map(str::to_owned));
        Ok((ids.collect(), false))
    };
    let (ids, next, _) = page(world, (&body["page_size"], &body["start_cursor"]), all)?;
    let shown = |id: &String| {
        let page = world.pages.get(id).map(World::shown);
        page.or_else(|| world.sources.get(id).cloned())
    };
    let results = ids.iter().filter_map(shown).collect();
    Ok(list("page_or_data_source", results, next))
}

pub(super) fn edited(object: &mut Value, now: Timestamp) {
    object["last_edited_time"] = minute(now).into();
    object["last_edited_by"] = author();
}

fn set_members(object: &mut Value, body: &Value, names: &[&str]) -> Result<(), Response> {
    for name in names {
        let Some(value) = body.get(*name) else {
            continue;
        };
        object[*name] = match *name {
            "title" | "description" => rich_text(Some(value))?,
            "icon" | "cover" => typed(value),
            _ => value.clone(),
        };
    }
    object["archived"] = object["in_trash"].clone();
    Ok(())
}

/// Returns an icon or a cover with its type.
fn typed(value: &Value) -> Value {
    let mut value = value.clone();
    if let Some(members) = value.as_object_mut()
        && let Some(kind) = members.keys().find(|it| *it != "type").cloned()
    {
        members.insert("type".to_owned(), kind.into());
    }
    value
}

fn sources(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    path: &[&str],
    body: &Value,
) -> Answer {
    let id = path.get(1).copied().unwrap_or_default();
    if !id.is_empty() && !world.is_shared(id) {
        return Err(not_found(id));
    }
    match (request.method().as_str(), path) {
        ("POST", ["databases"]) => world.create_database(now, body),
        ("GET", ["databases", id]) => world
            .databases
            .get(*id)
            .cloned()
            .ok_or_else(|| not_found(id)),
        ("PATCH", ["databases", id]) => {
            let parent = match body.get("parent") {
                Some(parent) => Some(world.parent(parent)?),
                None => None,
            };
            let database = world.databases.get_mut(*id).ok_or_else(|| not_found(id))?;
            let names = [
                "title",
                "description",
                "icon",
                "cover",
                "is_inline",
                "in_trash",
                "is_locked",
            ];
            set_members(database, body, &names)?;
            if let Some(parent) = parent {
                database["parent"] = parent;
            }
            database["last_edited_time"] = minute(now).into();
            Ok(database.clone())
        }
        ("POST", ["data_sources"]) => world.create_source(now, body),
        ("GET", ["data_sources", id]) => {
            world.sources.get(*id).cloned().ok_or_else(|| not_found(id))
        }
        ("PATCH", ["data_sources", id]) => {
            let mut source = world
                .sources
                .get(*id)
                .cloned()
                .ok_or_else(|| not_found(id))?;
            set_members(&mut source, body, &["title", "icon", "in_trash"])?;
            for (name, config) in body["properties"].as_object().into_iter().flatten() {
                let mut known = source["properties"]
                    .as_object()
                    .cloned()
                    .unwrap_or_default();
                let old = known.remove(name);
                if let Some(new) = config["name"].as_str() {
                    let mut old = old.ok_or_else(|| invalid("no such property"))?;
                    old["name"] = new.into();
                    known.insert(new.to_owned(), old);
                } else if !config.is_null() {
                    known.insert(name.clone(), world.config(name, config)?);
                }
                source["properties"] = known.into();
            }
            edited(&mut source, now);
            world.sources.insert((*id).to_owned(), source.clone());
            Ok(source)
        }
        ("GET", ["data_sources", _, "templates"]) => Ok(json!({
            "templates": [{ "id": uuid('7', 1), "name": "Weekly", "is_default": true }],
            "has_more": false, "next_cursor": null,
        })),
        ("POST", ["data_sources", id, "query"]) => query(world, id, body),
        _ => Err(no_route()),
    }
}

fn query(world: &mut World, id: &str, body: &Value) -> Answer {
    if !world.sources.contains_key(id) {
        return Err(not_found(id));
    }
    let is_trash = body["in_trash"] == true;
    let all = |world: &World| {
        let rows = world.children.get(id).into_iter().flatten();
        let mut found = Vec::new();
        for row in rows.filter_map(|it| world.pages.get(it)) {
            if (row["in_trash"] == true) != is_trash {
                continue;
            }
            if body["filter"].is_null() || filter::holds(row, &body["filter"])? {
                found.push(row);
            }
        }
        filter::sort(&mut found, &body["sorts"]);
        let is_cut = found.len() > ROWS;
        found.truncate(ROWS);
        let ids = found
            .iter()
            .filter_map(|it| it["id"].as_str().map(str::to_owned));
        Ok((ids.collect(), is_cut))
    };
    let (ids, next, is_cut) = page(world, (&body["page_size"], &body["start_cursor"]), all)?;
    let rows = ids
        .iter()
        .filter_map(|it| world.pages.get(it))
        .map(World::shown);
    let mut list = list("page_or_data_source", rows.collect(), next);
    list["request_status"] = if is_cut {
        json!({ "type": "incomplete", "incomplete_reason": "query_result_limit_reached" })
    } else {
        json!({ "type": "complete" })
    };
    Ok(list)
}

fn pages(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    path: &[&str],
    body: &Value,
) -> Answer {
    if let ("POST", ["pages"]) = (request.method().as_str(), path) {
        let created = world.create_page(now, body)?;
        let created = World::shown(&created);
        if body["allow_async"] == true && world.is_later {
            return Ok(later(world, now, "create_page", created));
        }
        return Ok(created);
    }
    let id = path.get(1).copied().unwrap_or_default().to_owned();
    let known = world
        .pages
        .get(&id)
        .filter(|_| world.is_shared(&id))
        .cloned();
    let mut page_value = known.ok_or_else(|| not_found(&id))?;
    match (request.method().as_str(), path) {
        ("GET", ["pages", _]) => Ok(World::shown(&page_value)),
        ("PATCH", ["pages", _]) => {
            let source = page_value["parent"]["data_source_id"]
                .as_str()
                .map(str::to_owned);
            let values = world.values(source.as_deref(), &body["properties"], false)?;
            for (name, value) in values {
                page_value["properties"][&name] = value;
            }
            set_members(
                &mut page_value,
                body,
                &["icon", "cover", "in_trash", "is_locked"],
            )?;
            edited(&mut page_value, now);
            if body["erase_content"] == true {
                world.children.insert(id.clone(), Vec::new());
            }
            world.pages.insert(id, page_value.clone());
            Ok(World::shown(&page_value))
        }
        ("POST", ["pages", _, "move"]) => {
            let parent = world.parent(&body["parent"])?;
            for children in world.children.values_mut() {
                children.retain(|it| *it != id);
            }
            let key = parent["type"].as_str().unwrap_or_default();
            let key = parent[key].as_str().unwrap_or_default().to_owned();
            world.children.entry(key).or_default().push(id.clone());
            page_value["parent"] = parent;
            edited(&mut page_value, now);
            world.pages.insert(id, page_value.clone());
            Ok(World::shown(&page_value))
        }
        ("GET", ["pages", _, "properties", property]) => {
            property_items(world, request, &page_value, property)
        }
        ("GET", ["pages", _, "markdown"]) => Ok(world.markdown(&id)),
        ("PATCH", ["pages", _, "markdown"]) => {
            let changed = world.change_markdown(now, &id, body)?;
            if body["allow_async"] == true && world.is_later {
                return Ok(later(world, now, "update_page_markdown", changed));
            }
            Ok(changed)
        }
        _ => Err(no_route()),
    }
}

fn later(world: &mut World, now: Timestamp, name: &str, result: Value) -> Value {
    let id = world.id('6');
    let task = json!({
        "object": "async_task", "id": id, "created_time": minute(now), "status": "queued",
        "status_url": format!("https://api.notion.com/v1/async_tasks/{id}"),
        "operation": { "surface": "rest", "name": name }, "poll_after_seconds": 1,
    });
    let mut done = task.clone();
    if let Some(members) = done.as_object_mut() {
        members.remove("poll_after_seconds");
    }
    done["status"] = "succeeded".into();
    done["result"] = result;
    world.tasks.insert(id, done);
    task
}

fn property_items(
    world: &mut World,
    request: &Request,
    page_value: &Value,
    property: &str,
) -> Answer {
    let properties = page_value["properties"].as_object().into_iter().flatten();
    // Responses contain percent-encoded ids. Decode them here.
    let is_it = |id: &Value| {
        let id = id.as_str().unwrap_or_default();
        id == property || id.replace("%7D", "}") == property
    };
    let mut found = properties.filter(|(_, it)| is_it(&it["id"]));
    let value = found
        .next()
        .map(|(_, it)| it.clone())
        .ok_or_else(|| not_found(property))?;
    let kind = value["type"].as_str().unwrap_or_default().to_owned();
    let id = value["id"].clone();
    if !matches!(kind.as_str(), "title" | "rich_text" | "people" | "relation") {
        let value = &value[&kind];
        return Ok(json!({
            "object": "property_item", "id": id, "type": kind, kind.as_str(): value,
        }));
    }
    let items = value[&kind].as_array().cloned().unwrap_or_default();
    let numbers = (0..items.len()).map(|it| it.to_string()).collect();
    let (size, cursor) = in_query(request);
    let (ids, next, _) = page(world, (&size, &cursor), |_| Ok((numbers, false)))?;
    let items = ids
        .iter()
        .filter_map(|it| items.get(it.parse::<usize>().ok()?));
    let item = |it: &Value| json!({ "object": "property_item", "id": id, "type": kind, kind.as_str(): it });
    let mut list = list("property_item", items.map(item).collect(), next);
    list["property_item"] = json!({
        "id": id, "next_url": null, "type": kind, kind.as_str(): {},
    });
    Ok(list)
}

fn blocks(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    path: &[&str],
    body: &Value,
) -> Answer {
    let id = path.get(1).copied().unwrap_or_default().to_owned();
    let mut block = world.block(&id)?;
    match (request.method().as_str(), path) {
        ("GET", ["blocks", _]) => Ok(block),
        ("GET", ["blocks", _, "children"]) => {
            let (size, cursor) = in_query(request);
            let all = |world: &World| Ok((world.children_of(&id), false));
            let (ids, next, _) = page(world, (&size, &cursor), all)?;
            let blocks = ids.iter().filter_map(|it| world.blocks.get(it).cloned());
            Ok(list("block", blocks.collect(), next))
        }
        ("PATCH", ["blocks", _, "children"]) => {
            let ids = world.append(now, &id, body)?;
            let blocks = ids.iter().filter_map(|it| world.blocks.get(it).cloned());
            Ok(list("block", blocks.collect(), None))
        }
        ("PATCH", ["blocks", _]) => {
            let kind = block["type"].as_str().unwrap_or_default().to_owned();
            if let Some(content) = body.get(&kind) {
                let content = world.content(&kind, content)?;
                for (name, value) in content.as_object().into_iter().flatten() {
                    block[&kind][name] = value.clone();
                }
            }
            set_members(&mut block, body, &["in_trash"])?;
            edited(&mut block, now);
            world.blocks.insert(id, block.clone());
            Ok(block)
        }
        ("DELETE", ["blocks", _]) => {
            block["in_trash"] = true.into();
            block["archived"] = true.into();
            if let Some(page) = world.pages.get_mut(&id) {
                page["in_trash"] = true.into();
            }
            for children in world.children.values_mut() {
                children.retain(|it| *it != id);
            }
            world.blocks.insert(id, block.clone());
            Ok(block)
        }
        _ => Err(no_route()),
    }
}

fn comment_text(body: &Value) -> Result<Value, Response> {
    match body["markdown"].as_str() {
        Some(markdown) => rich_text(Some(&json!([{ "text": { "content": markdown } }]))),
        None => rich_text(body.get("rich_text")),
    }
}

fn comments(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    path: &[&str],
    body: &Value,
) -> Answer {
    let time = minute(now);
    match (request.method().as_str(), path) {
        ("GET", ["comments"]) => {
            let block = request.query("block_id").unwrap_or_default();
            world.block(&block)?;
            let all = |world: &World| {
                let is_on = |it: &Value| {
                    it["parent"]["page_id"] == block.as_str()
                        || it["parent"]["block_id"] == block.as_str()
                };
                let found = world.comments.iter().filter(|(_, it)| is_on(it));
                Ok((found.map(|(id, _)| id.clone()).collect(), false))
            };
            let (size, cursor) = in_query(request);
            let (ids, next, _) = page(world, (&size, &cursor), all)?;
            let found = ids.iter().filter_map(|it| world.comments.get(it).cloned());
            Ok(list("comment", found.collect(), next))
        }
        ("POST", ["comments"]) => {
            let text = comment_text(body)?;
            let (parent, discussion) = if let Some(id) = body["discussion_id"].as_str() {
                let mut known = world.comments.values();
                let known = known.find(|it| it["discussion_id"] == id);
                let known = known.ok_or_else(|| not_found(id))?;
                (known["parent"].clone(), id.to_owned())
            } else {
                let parent = typed(&body["parent"]);
                let kind = parent["type"].as_str().unwrap_or_default();
                let id = parent[kind].as_str().unwrap_or_default();
                world.block(id)?;
                let id = world.id('3');
                (parent, id)
            };
            let id = world.id('2');
            let comment = json!({
                "object": "comment", "id": id, "parent": parent, "discussion_id": discussion,
                "created_time": time, "last_edited_time": time, "created_by": author(),
                "rich_text": text,
                "display_name": { "type": "integration", "resolved_name": "Example connection" },
            });
            world.comments.insert(id, comment.clone());
            Ok(comment)
        }
        ("GET", ["comments", id]) => world
            .comments
            .get(*id)
            .cloned()
            .ok_or_else(|| not_found(id)),
        ("PATCH", ["comments", id]) => {
            let comment = world.comments.get_mut(*id).ok_or_else(|| not_found(id))?;
            comment["rich_text"] = comment_text(body)?;
            comment["last_edited_time"] = time.into();
            Ok(comment.clone())
        }
        ("DELETE", ["comments", id]) => world.comments.remove(*id).ok_or_else(|| not_found(id)),
        _ => Err(no_route()),
    }
}
