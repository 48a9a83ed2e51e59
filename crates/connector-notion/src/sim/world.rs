//! The data of the simulator.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use connector_core::clock::Timestamp;
use connector_sim::{Response, Secrets};
use serde_json::{Map, Value, json};

use super::api::{invalid, not_found};
use super::files::Upload;
use super::views::Stored;

pub(super) const WORKSPACE: &str = "0000000a-0000-4000-8000-000000000001";
pub(super) const WORKSPACE_NAME: &str = "Example workspace";
/// Maximum number of references that a page response contains per property.
const SHOWN: usize = 25;

/// Returns an id whose first digit indicates the kind of object.
pub(super) fn uuid(kind: char, number: u64) -> String {
    format!("{kind}0000000-0000-4000-8000-{number:012x}")
}

pub(super) fn person(number: usize) -> Value {
    json!({
        "object": "user", "id": uuid('a', number as u64), "type": "person",
        "name": format!("Person {number}"), "avatar_url": null,
        "person": { "email": format!("person{number}@example.com") },
    })
}

/// A list of ids, and the position of the next page.
type Listing = (Arc<Vec<String>>, usize, bool);

pub(super) struct World {
    secrets: Secrets,
    made: u64,
    pub(super) reads_users: bool,
    pub(super) is_later: bool,
    pub(super) unshared: BTreeSet<String>,
    pub(super) pages: BTreeMap<String, Value>,
    pub(super) databases: BTreeMap<String, Value>,
    pub(super) sources: BTreeMap<String, Value>,
    pub(super) blocks: BTreeMap<String, Value>,
    /// Children of pages and blocks, and rows of data sources.
    pub(super) children: BTreeMap<String, Vec<String>>,
    pub(super) comments: BTreeMap<String, Value>,
    pub(super) uploads: BTreeMap<String, Upload>,
    pub(super) tasks: BTreeMap<String, Value>,
    pub(super) views: BTreeMap<String, Value>,
    pub(super) view_queries: BTreeMap<String, Stored>,
    pub(super) cursors: BTreeMap<String, Listing>,
    pub(super) requests_per_minute: usize,
    pub(super) windows: BTreeMap<String, (Timestamp, usize)>,
    pub(super) webhook: Option<String>,
}

impl World {
    pub(super) const fn new(secrets: Secrets, requests_per_minute: usize) -> Self {
        Self {
            secrets,
            made: 0,
            reads_users: true,
            is_later: false,
            unshared: BTreeSet::new(),
            pages: BTreeMap::new(),
            databases: BTreeMap::new(),
            sources: BTreeMap::new(),
            blocks: BTreeMap::new(),
            children: BTreeMap::new(),
            comments: BTreeMap::new(),
            uploads: BTreeMap::new(),
            tasks: BTreeMap::new(),
            views: BTreeMap::new(),
            view_queries: BTreeMap::new(),
            cursors: BTreeMap::new(),
            requests_per_minute,
            windows: BTreeMap::new(),
            webhook: None,
        }
    }

    pub(super) fn id(&mut self, kind: char) -> String {
        self.made += 1;
        uuid(kind, self.made)
    }

    pub(super) fn create_webhook(&mut self) -> String {
        let token = self.secrets.issue("secret_");
        self.webhook = Some(token.clone());
        token
    }

    pub(super) fn event(
        &mut self,
        now: Timestamp,
        kind: &str,
        (entity, id): (&str, &str),
        bots: &[String],
    ) -> Option<(String, Value)> {
        let token = self.webhook.clone()?;
        let bots: Vec<_> = bots
            .iter()
            .map(|id| json!({ "id": id, "type": "bot" }))
            .collect();
        let body = json!({
            "id": self.id('e'), "timestamp": now.to_string(), "workspace_id": WORKSPACE,
            "workspace_name": WORKSPACE_NAME, "subscription_id": uuid('e', 1 << 40),
            "integration_id": uuid('e', 2 << 40), "type": kind,
            "authors": [{ "id": uuid('a', 1), "type": "person" }], "accessible_by": bots,
            "attempt_number": 1, "api_version": "2026-03-11",
            "entity": { "id": id, "type": entity },
            "data": { "parent": { "id": WORKSPACE, "type": "space" } },
        });
        Some((token, body))
    }

    /// Returns the bot of a connection.
    pub(super) fn me(&self, bot: &str, owner: &Value) -> Value {
        let owner = match (self.reads_users, owner["user"]["id"].as_str()) {
            (false, Some(id)) => {
                json!({ "type": "user", "user": { "object": "user", "id": id } })
            }
            _ => owner.clone(),
        };
        json!({
            "object": "user", "id": bot, "type": "bot", "name": "Example connection",
            "avatar_url": null, "request_id": uuid('f', 0),
            "bot": {
                "owner": owner, "workspace_id": WORKSPACE, "workspace_name": WORKSPACE_NAME,
                "workspace_limits": { "max_file_upload_size_in_bytes": 5_368_709_120_u64 },
            },
        })
    }

    pub(super) fn is_shared(&self, id: &str) -> bool {
        let mut id = id.to_owned();
        loop {
            if self.unshared.contains(&id) {
                return false;
            }
            let known = [&self.blocks, &self.pages, &self.sources, &self.databases];
            let parent = known
                .iter()
                .find_map(|it| it.get(&id))
                .map(|it| &it["parent"]);
            let kind = parent.and_then(|it| it["type"].as_str());
            match kind.and_then(|kind| parent.and_then(|it| it[kind].as_str())) {
                Some(parent) if parent != id => parent.clone_into(&mut id),
                _ => return true,
            }
        }
    }

    pub(super) fn add_page(&mut self, now: Timestamp, title: &str) -> String {
        let body = json!({
            "parent": { "workspace": true },
            "properties": { "title": { "title": [{ "text": { "content": title } }] } },
        });
        let page = self.create_page(now, &body).unwrap_or_default();
        page["id"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn add_database(
        &mut self,
        now: Timestamp,
        title: &str,
        schema: &Value,
    ) -> (String, String) {
        let body = json!({
            "parent": { "type": "workspace", "workspace": true },
            "title": [{ "text": { "content": title } }],
            "initial_data_source": { "properties": schema },
        });
        let database = self.create_database(now, &body).unwrap_or_default();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        (
            text(&database["id"]),
            text(&database["data_sources"][0]["id"]),
        )
    }

    pub(super) fn create_database(
        &mut self,
        now: Timestamp,
        body: &Value,
    ) -> Result<Value, Response> {
        let parent = self.parent(&body["parent"])?;
        let id = self.id('d');
        let time = minute(now);
        let title = rich_text(body.get("title"))?;
        let database = json!({
            "object": "database", "id": id, "title": title,
            "description": rich_text(body.get("description"))?, "parent": parent,
            "is_inline": body["is_inline"] == true, "in_trash": false, "archived": false,
            "is_locked": false, "created_time": time, "last_edited_time": time,
            "data_sources": [], "icon": body["icon"], "cover": body["cover"],
            "url": format!("https://app.notion.com/{}", id.replace('-', "")), "public_url": null,
        });
        self.databases.insert(id.clone(), database);
        let source = json!({
            "parent": { "database_id": id }, "title": body["title"],
            "properties": body["initial_data_source"]["properties"],
        });
        let source = self.create_source(now, &source)?;
        // Notion creates a first view with every database.
        self.create_view(
            now,
            &json!({
                "data_source_id": source["id"], "database_id": id, "name": "Default view",
                "type": "table",
            }),
        )?;
        Ok(self.databases[&id].clone())
    }

    pub(super) fn create_source(
        &mut self,
        now: Timestamp,
        body: &Value,
    ) -> Result<Value, Response> {
        let database = body["parent"]["database_id"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let Some(parent) = self.databases.get(&database).map(|it| it["parent"].clone()) else {
            return Err(not_found(&database));
        };
        let properties = body["properties"].as_object().cloned().unwrap_or_default();
        let titles = properties
            .values()
            .filter(|it| it.get("title").is_some())
            .count();
        if titles != 1 {
            return Err(invalid("a schema must have exactly one title property"));
        }
        let id = self.id('5');
        let mut schema = Map::new();
        for (name, config) in properties {
            let config = self.config(&name, &config)?;
            schema.insert(name, config);
        }
        let title = rich_text(body.get("title"))?;
        let (time, by) = (minute(now), author());
        let source = json!({
            "object": "data_source", "id": id, "title": title, "description": [],
            "parent": { "type": "database_id", "database_id": database },
            "database_parent": parent, "is_inline": false, "in_trash": false, "archived": false,
            "created_time": time, "last_edited_time": time, "created_by": by,
            "last_edited_by": by, "properties": schema, "icon": body["icon"], "cover": null,
            "url": format!("https://app.notion.com/{}", id.replace('-', "")), "public_url": null,
        });
        self.sources.insert(id.clone(), source.clone());
        self.children.insert(id.clone(), Vec::new());
        let reference = json!({ "id": id, "name": plain(&title) });
        if let Some(known) = self.databases.get_mut(&database)
            && let Some(all) = known["data_sources"].as_array_mut()
        {
            all.push(reference);
        }
        Ok(source)
    }

    /// Returns the stored configuration of a property.
    pub(super) fn config(&mut self, name: &str, config: &Value) -> Result<Value, Response> {
        let members = config
            .as_object()
            .ok_or_else(|| invalid("a property has no type"))?;
        let kind = members
            .keys()
            .find(|it| !matches!(it.as_str(), "type" | "name" | "description" | "id"));
        let kind = kind
            .ok_or_else(|| invalid("a property has no type"))?
            .clone();
        let mut settings = config[&kind].clone();
        if let Some(options) = settings.get_mut("options").and_then(Value::as_array_mut) {
            for option in options {
                let id = self.id('0');
                let members = option.as_object_mut().ok_or_else(|| invalid("an option"))?;
                members.entry("id").or_insert(id.into());
                members.entry("color").or_insert("default".into());
                members.entry("description").or_insert(Value::Null);
            }
        }
        if kind == "status" && settings.get("groups").is_none() {
            settings["groups"] = json!([]);
        }
        let id = if kind == "title" {
            "title".to_owned()
        } else {
            self.made += 1;
            // Responses contain percent-encoded ids.
            format!("%7D{:03x}", self.made)
        };
        Ok(json!({
            "id": id, "name": name, "description": null, "type": kind, kind.as_str(): settings,
        }))
    }

    /// Returns the stored parent of a new object.
    pub(super) fn parent(&self, parent: &Value) -> Result<Value, Response> {
        if parent["workspace"] == true {
            return Ok(json!({ "type": "workspace", "workspace": true }));
        }
        if let Some(id) = parent["page_id"].as_str() {
            let is_there = self.pages.contains_key(id) && self.is_shared(id);
            let parent = json!({ "type": "page_id", "page_id": id });
            return if is_there {
                Ok(parent)
            } else {
                Err(not_found(id))
            };
        }
        if let Some(id) = parent["data_source_id"].as_str() {
            let source = self.sources.get(id).filter(|_| self.is_shared(id));
            let source = source.ok_or_else(|| not_found(id))?;
            let database = &source["parent"]["database_id"];
            return Ok(json!({
                "type": "data_source_id", "data_source_id": id, "database_id": database,
            }));
        }
        Err(invalid("body.parent should be defined"))
    }

    pub(super) fn create_page(&mut self, now: Timestamp, body: &Value) -> Result<Value, Response> {
        let parent = self.parent(&body["parent"])?;
        let source = parent["data_source_id"].as_str().map(str::to_owned);
        let id = self.id('1');
        let properties = self.values(source.as_deref(), &body["properties"], true)?;
        let (time, by) = (minute(now), author());
        let page = json!({
            "object": "page", "id": id, "created_time": time, "last_edited_time": time,
            "in_trash": false, "archived": false, "is_archived": false, "is_locked": false,
            "url": format!("https://app.notion.com/{}", id.replace('-', "")), "public_url": null,
            "parent": parent, "properties": properties, "icon": body["icon"],
            "cover": body["cover"], "created_by": by, "last_edited_by": by,
        });
        if let Some(children) = body.get("children") {
            super::blocks::check(children, 2)?;
        }
        self.pages.insert(id.clone(), page.clone());
        self.children.insert(id.clone(), Vec::new());
        match (source, parent["page_id"].as_str()) {
            (Some(source), _) => self.children.entry(source).or_default().push(id.clone()),
            (None, Some(page_id)) => {
                // A page is also a block of its parent.
                let title = plain(&title_of(&page));
                let block = super::blocks::stored(
                    &id,
                    &parent,
                    &time,
                    "child_page",
                    json!({ "title": title }),
                );
                self.blocks.insert(id.clone(), block);
                let children = self.children.entry(page_id.to_owned()).or_default();
                let position = &body["position"];
                let at = match position["type"].as_str() {
                    Some("page_start") => 0,
                    Some("after_block") => {
                        let after = position["after_block"]["id"].as_str();
                        let at = children.iter().position(|it| Some(it.as_str()) == after);
                        at.ok_or_else(|| invalid("after_block is not a child of the parent"))? + 1
                    }
                    _ => children.len(),
                };
                children.insert(at, id.clone());
            }
            _ => {}
        }
        let children = body["children"].as_array().cloned().unwrap_or_default();
        self.insert_blocks(now, &id, &children, None)?;
        if let Some(markdown) = body["markdown"].as_str() {
            let blocks = super::blocks::of_markdown(markdown);
            self.insert_blocks(now, &id, &blocks, None)?;
        }
        Ok(page)
    }

    /// Returns the stored values of properties. If `all` is true, the result has a value for every
    /// property in the schema.
    pub(super) fn values(
        &self,
        source: Option<&str>,
        given: &Value,
        all: bool,
    ) -> Result<Map<String, Value>, Response> {
        let page_schema = json!({ "title": { "id": "title", "type": "title", "title": {} } });
        let schema = match source.and_then(|it| self.sources.get(it)) {
            Some(source) => source["properties"].clone(),
            None => page_schema,
        };
        let schema = schema.as_object().cloned().unwrap_or_default();
        let mut values = Map::new();
        if all {
            for (name, config) in &schema {
                let kind = config["type"].as_str().unwrap_or_default();
                let empty = match kind {
                    "title" | "rich_text" | "people" | "relation" | "multi_select" | "files" => {
                        json!([])
                    }
                    "checkbox" => json!(false),
                    _ => Value::Null,
                };
                let id = &config["id"];
                values.insert(name.clone(), json!({ "id": id, "type": kind, kind: empty }));
            }
        }
        for (name, value) in given.as_object().cloned().unwrap_or_default() {
            let known = schema
                .iter()
                .find(|(known, config)| **known == name || config["id"] == name.as_str());
            let Some((name, config)) = known else {
                return Err(invalid(&format!("{name} is not a property that exists.")));
            };
            let kind = config["type"].as_str().unwrap_or_default();
            let Some(given) = value.get(kind) else {
                return Err(invalid(&format!("{name} is expected to be {kind}.")));
            };
            let stored = match kind {
                "title" | "rich_text" => rich_text(Some(given))?,
                "select" | "status" if given.is_object() => option(config, kind, given),
                "multi_select" => {
                    let given = given.as_array().cloned().unwrap_or_default();
                    given.iter().map(|it| option(config, kind, it)).collect()
                }
                _ => given.clone(),
            };
            values.insert(
                name.clone(),
                json!({ "id": config["id"], "type": kind, kind: stored }),
            );
        }
        Ok(values)
    }

    /// Returns a page as it appears in a response, with at most 25 references per property.
    pub(super) fn shown(page: &Value) -> Value {
        let mut page = page.clone();
        let Some(properties) = page["properties"].as_object_mut() else {
            return page;
        };
        for property in properties.values_mut() {
            let kind = property["type"].as_str().unwrap_or_default().to_owned();
            let Some(items) = property[&kind].as_array_mut() else {
                continue;
            };
            let is_cut = items.len() > SHOWN;
            if matches!(kind.as_str(), "title" | "rich_text" | "people" | "relation") {
                items.truncate(SHOWN);
            }
            if kind == "relation" {
                property["has_more"] = is_cut.into();
            }
        }
        page
    }
}

fn option(config: &Value, kind: &str, given: &Value) -> Value {
    let options = config[kind]["options"].as_array();
    let known = options.and_then(|it| {
        it.iter()
            .find(|it| it["name"] == given["name"] || it["id"] == given["id"])
    });
    let name = &given["name"];
    let made = json!({ "id": name, "name": name, "color": "default" });
    known.map_or(
        made,
        |it| json!({ "id": it["id"], "name": it["name"], "color": it["color"] }),
    )
}

pub(super) fn author() -> Value {
    json!({ "object": "user", "id": uuid('b', 1) })
}

/// Formats a time as Notion does, rounded to the minute.
pub(super) fn minute(now: Timestamp) -> String {
    let millis = now.as_unix_millis().div_euclid(60_000) * 60_000;
    let text = Timestamp::from_unix_millis(millis).to_string();
    text.replace(":00Z", ":00.000Z")
}

/// Converts rich text from a request to the form in responses.
pub(super) fn rich_text(given: Option<&Value>) -> Result<Value, Response> {
    let Some(pieces) = given.and_then(Value::as_array) else {
        return Ok(json!([]));
    };
    if pieces.len() > 100 {
        return Err(invalid("rich_text.length should be ≤ 100"));
    }
    let mut all = Vec::with_capacity(pieces.len());
    for piece in pieces {
        let annotations = json!({
            "bold": false, "italic": false, "strikethrough": false, "underline": false,
            "code": false, "color": "default",
        });
        let mut annotations = annotations.as_object().cloned().unwrap_or_default();
        annotations.extend(
            piece["annotations"]
                .as_object()
                .cloned()
                .unwrap_or_default(),
        );
        let shown = if let Some(content) = piece["text"]["content"].as_str() {
            if content.encode_utf16().count() > 2000 {
                return Err(invalid("text.content.length should be ≤ 2000"));
            }
            let link = piece["text"].get("link").cloned().unwrap_or_default();
            let href = link.get("url").cloned().unwrap_or_default();
            if href
                .as_str()
                .is_some_and(|it| it.encode_utf16().count() > 2000)
            {
                return Err(invalid("text.link.url.length should be ≤ 2000"));
            }
            json!({
                "type": "text", "text": { "content": content, "link": link },
                "annotations": annotations, "plain_text": content, "href": href,
            })
        } else if let Some(expression) = piece["equation"]["expression"].as_str() {
            if expression.encode_utf16().count() > 1000 {
                return Err(invalid("equation.expression.length should be ≤ 1000"));
            }
            json!({
                "type": "equation", "equation": { "expression": expression },
                "annotations": annotations, "plain_text": expression, "href": null,
            })
        } else if piece["mention"].is_object() {
            let mut mention = piece["mention"].clone();
            let kind = mention
                .as_object()
                .and_then(|it| it.keys().find(|it| *it != "type"));
            let kind = kind.cloned().unwrap_or_default();
            mention["type"] = kind.into();
            json!({
                "type": "mention", "mention": mention, "annotations": annotations,
                "plain_text": "@mention", "href": null,
            })
        } else {
            return Err(invalid("rich_text should have text, mention or equation"));
        };
        all.push(shown);
    }
    Ok(all.into())
}

pub(super) fn plain(pieces: &Value) -> String {
    let pieces = pieces.as_array().into_iter().flatten();
    pieces.filter_map(|it| it["plain_text"].as_str()).collect()
}

pub(super) fn title_of(object: &Value) -> Value {
    if object["object"] != "page" {
        return object["title"].clone();
    }
    let properties = object["properties"].as_object().into_iter().flatten();
    let mut titles = properties.filter(|(_, it)| it["type"] == "title");
    titles
        .next()
        .map_or(json!([]), |(_, it)| it["title"].clone())
}
