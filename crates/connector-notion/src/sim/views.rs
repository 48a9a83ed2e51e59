//! Views and the stored results of view queries.

use std::sync::Arc;

use connector_core::clock::Timestamp;
use connector_sim::{Request, Response};
use serde_json::{Value, json};

use super::api::{Answer, edited, in_query, invalid, list, no_route, not_found, page};
use super::filter;
use super::world::{World, author, minute};

/// Time after which a stored result is deleted, in seconds.
const EXPIRY: u64 = 15 * 60;
const KINDS: [&str; 10] = [
    "table",
    "board",
    "list",
    "calendar",
    "timeline",
    "gallery",
    "form",
    "chart",
    "map",
    "dashboard",
];

/// The stored result of a view query.
pub(super) struct Stored {
    view: String,
    created: Timestamp,
    rows: Arc<Vec<String>>,
    is_cut: bool,
}

pub(super) fn answer(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    path: &[&str],
    body: &Value,
) -> Answer {
    let id = path.get(1).copied().unwrap_or_default();
    if !id.is_empty() && world.shown_view(id).is_none() {
        return Err(not_found(id));
    }
    match (request.method().as_str(), path) {
        ("GET", ["views"]) => views_of(world, request),
        ("POST", ["views"]) => world.create_view(now, body),
        ("GET", ["views", id]) => Ok(world.views[*id].clone()),
        ("PATCH", ["views", id]) => {
            let mut view = world.views[*id].clone();
            check(&view["type"], body)?;
            for name in ["name", "filter", "sorts", "quick_filters", "configuration"] {
                if let Some(value) = body.get(name) {
                    view[name] = value.clone();
                }
            }
            edited(&mut view, now);
            world.views.insert((*id).to_owned(), view.clone());
            Ok(view)
        }
        ("DELETE", ["views", id]) => {
            let database = world.views[*id]["parent"].clone();
            let mut others = world.views.values().filter(|it| it["parent"] == database);
            if others.nth(1).is_none() {
                return Err(invalid("the last view of a database cannot be deleted"));
            }
            let view = world.views.remove(*id).unwrap_or_default();
            for children in world.children.values_mut() {
                children.retain(|it| it != id);
            }
            Ok(json!({
                "object": "view", "id": id, "parent": view["parent"], "type": view["type"],
            }))
        }
        ("POST", ["views", id, "queries"]) => query(world, now, id, body),
        ("GET", ["views", view, "queries", id]) => {
            let stored = stored(world, now, view, id)?;
            let (rows, is_cut) = (stored.rows.to_vec(), stored.is_cut);
            let (size, cursor) = in_query(request);
            let (ids, next, is_cut) = page(world, (&size, &cursor), |_| Ok((rows, is_cut)))?;
            let mut list = list("page", ids.iter().map(|id| row(id)).collect(), next);
            list["request_status"] = status(is_cut);
            Ok(list)
        }
        ("DELETE", ["views", view, "queries", id]) => {
            stored(world, now, view, id)?;
            world.view_queries.remove(*id);
            Ok(json!({ "object": "view_query", "id": id, "deleted": true }))
        }
        _ => Err(no_route()),
    }
}

fn row(id: &str) -> Value {
    json!({ "object": "page", "id": id })
}

fn status(is_cut: bool) -> Value {
    if is_cut {
        json!({ "type": "incomplete", "incomplete_reason": "query_result_limit_reached" })
    } else {
        json!({ "type": "complete" })
    }
}

fn stored<'w>(
    world: &'w World,
    now: Timestamp,
    view: &str,
    id: &str,
) -> Result<&'w Stored, Response> {
    let stored = world.view_queries.get(id);
    let stored = stored.filter(|it| it.view == view && now.since(it.created).as_secs() < EXPIRY);
    stored.ok_or_else(|| not_found(id))
}

fn views_of(world: &mut World, request: &Request) -> Answer {
    let database = request.query("database_id");
    let source = request.query("data_source_id");
    let (id, is_known) = match (database, source) {
        (Some(id), None) => (id.clone(), world.databases.contains_key(&id)),
        (None, Some(id)) => (id.clone(), world.sources.contains_key(&id)),
        _ => return Err(invalid("either database_id or data_source_id is required")),
    };
    if !is_known || !world.is_shared(&id) {
        return Err(not_found(&id));
    }
    let all = |world: &World| {
        if world.databases.contains_key(&id) {
            return Ok((world.children_of(&id), false));
        }
        let views = world.views.iter();
        let its = views.filter(|(_, it)| it["data_source_id"] == id.as_str());
        Ok((its.map(|(id, _)| id.clone()).collect(), false))
    };
    let (size, cursor) = in_query(request);
    let (ids, next, _) = page(world, (&size, &cursor), all)?;
    let shown = ids.iter().map(|id| json!({ "object": "view", "id": id }));
    Ok(list("view", shown.collect(), next))
}

/// Checks the settings and the filter of a view with this layout.
fn check(kind: &Value, body: &Value) -> Result<(), Response> {
    let configuration = &body["configuration"];
    if configuration.is_object() && configuration["type"] != *kind {
        return Err(invalid("body.configuration.type should be the view's type"));
    }
    let wanted = match kind.as_str().unwrap_or_default() {
        "board" => "group_by",
        "calendar" | "timeline" => "date_property_id",
        "chart" => "chart_type",
        _ => return Ok(()),
    };
    if configuration.is_object() && configuration[wanted].is_null() {
        let message = format!("body.configuration.{wanted} should be defined");
        return Err(invalid(&message));
    }
    Ok(())
}

fn query(world: &mut World, now: Timestamp, id: &str, body: &Value) -> Answer {
    let view = world.views[id].clone();
    let source = view["data_source_id"].as_str().unwrap_or_default();
    let mut found = Vec::new();
    for id in world.children.get(source).into_iter().flatten() {
        let page = world.pages.get(id).filter(|it| it["in_trash"] != true);
        let Some(page) = page else { continue };
        if view["filter"].is_null() || filter::holds(page, &view["filter"])? {
            found.push(page);
        }
    }
    filter::sort(&mut found, &view["sorts"]);
    let is_cut = found.len() > super::api::ROWS;
    found.truncate(super::api::ROWS);
    let ids = found.iter().filter_map(|it| it["id"].as_str());
    let rows: Vec<String> = ids.map(str::to_owned).collect();
    let total = rows.len();
    let (ids, next, _) = page(world, (&body["page_size"], &Value::Null), |_| {
        Ok((rows.clone(), is_cut))
    })?;
    let query = world.id('8');
    let expires = Timestamp::from_unix_millis(
        now.as_unix_millis() + i64::try_from(EXPIRY * 1000).unwrap_or_default(),
    );
    let stored = Stored {
        view: id.to_owned(),
        created: now,
        rows: Arc::new(rows),
        is_cut,
    };
    world.view_queries.insert(query.clone(), stored);
    let results: Vec<Value> = ids.iter().map(|id| row(id)).collect();
    Ok(json!({
        "object": "view_query", "id": query, "view_id": id, "expires_at": expires.to_string(),
        "total_count": total, "results": results, "next_cursor": next,
        "has_more": next.is_some(), "request_status": status(is_cut),
    }))
}

impl World {
    /// Returns a view if the database that contains it is shared.
    fn shown_view(&self, id: &str) -> Option<&Value> {
        let view = self.views.get(id)?;
        let database = view["parent"]["database_id"].as_str().unwrap_or_default();
        self.is_shared(database).then_some(view)
    }

    pub(super) fn create_view(&mut self, now: Timestamp, body: &Value) -> Answer {
        let kind = body["type"].as_str().unwrap_or_default();
        let name = body["name"].as_str().unwrap_or_default();
        if !KINDS.contains(&kind) || name.is_empty() {
            return Err(invalid("body.type or body.name is not accepted"));
        }
        check(&body["type"], body)?;
        let source = body["data_source_id"].as_str().unwrap_or_default();
        if !self.sources.contains_key(source) || !self.is_shared(source) {
            return Err(not_found(source));
        }
        let places = ["database_id", "view_id", "create_database"];
        let given: Vec<&str> = places
            .into_iter()
            .filter(|it| body.get(it).is_some())
            .collect();
        let mut dashboard = None;
        let database = match given.as_slice() {
            ["database_id"] => body["database_id"].as_str().unwrap_or_default().to_owned(),
            ["view_id"] => {
                let id = body["view_id"].as_str().unwrap_or_default();
                let known = self.shown_view(id).ok_or_else(|| not_found(id))?;
                if known["type"] != "dashboard" {
                    return Err(invalid("body.view_id should be a dashboard"));
                }
                dashboard = Some(id.to_owned());
                let database = &known["parent"]["database_id"];
                database.as_str().unwrap_or_default().to_owned()
            }
            ["create_database"] => self.linked_database(now, &body["create_database"])?,
            _ => return Err(invalid("one of database_id, view_id, create_database")),
        };
        if !self.databases.contains_key(&database) || !self.is_shared(&database) {
            return Err(not_found(&database));
        }
        let id = self.id('7');
        let (time, by) = (minute(now), author());
        let url = format!(
            "https://app.notion.com/{}?v={}",
            database.replace('-', ""),
            id.replace('-', "")
        );
        let mut view = json!({
            "object": "view", "id": id, "name": name, "type": kind,
            "parent": { "type": "database_id", "database_id": database },
            "created_time": time, "last_edited_time": time, "created_by": by,
            "last_edited_by": by, "url": url, "data_source_id": source,
            "filter": body["filter"], "sorts": body["sorts"],
            "quick_filters": body["quick_filters"], "configuration": body["configuration"],
        });
        if let Some(dashboard) = dashboard {
            view["dashboard_view_id"] = dashboard.into();
        }
        if view.get("dashboard_view_id").is_none() {
            // The tabs of a database are its children.
            let tabs = self.children.entry(database).or_default();
            let position = &body["position"];
            let at = match position["type"].as_str() {
                Some("start") => 0,
                Some("after_view") => {
                    let at = tabs
                        .iter()
                        .position(|it| position["view_id"] == it.as_str());
                    at.ok_or_else(|| invalid("body.position.view_id is not a view here"))? + 1
                }
                _ => tabs.len(),
            };
            tabs.insert(at, id.clone());
        }
        self.views.insert(id, view.clone());
        Ok(view)
    }

    /// Creates a database without a data source of its own.
    fn linked_database(&mut self, now: Timestamp, body: &Value) -> Result<String, Response> {
        let parent = self.parent(&body["parent"])?;
        let id = self.id('d');
        let time = minute(now);
        let database = json!({
            "object": "database", "id": id, "title": [], "description": [], "parent": parent,
            "is_inline": true, "in_trash": false, "archived": false, "is_locked": false,
            "created_time": time, "last_edited_time": time, "data_sources": [], "icon": null, "cover": null,
            "url": format!("https://app.notion.com/{}", id.replace('-', "")), "public_url": null,
        });
        self.databases.insert(id.clone(), database);
        Ok(id)
    }
}
