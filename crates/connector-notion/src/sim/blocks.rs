//! Block storage of the simulator.

use connector_core::clock::Timestamp;
use connector_sim::Response;
use serde_json::{Value, json};

use super::api::{invalid, not_found};
use super::world::{World, author, minute, plain, rich_text, uuid};
use crate::models::BlockContent;

const MAX_COUNT: usize = 100;
const ELEMENTS: usize = 1000;

/// Returns the type of a block in a request.
fn kind_of(block: &Value) -> Option<String> {
    let members = block.as_object()?;
    if let Some(kind) = members.get("type").and_then(Value::as_str) {
        return Some(kind.to_owned());
    }
    members
        .keys()
        .find(|it| BlockContent::KINDS.contains(&it.as_str()))
        .cloned()
}

/// Returns the children of a block in a request.
fn children_in(block: &Value) -> Vec<Value> {
    let kind = kind_of(block).unwrap_or_default();
    block[&kind]["children"]
        .as_array()
        .cloned()
        .unwrap_or_default()
}

/// Validates an array of new blocks that may have `levels` of children.
pub(super) fn check(blocks: &Value, levels: usize) -> Result<(), Response> {
    fn walk(blocks: &[Value], levels: usize, count: &mut usize) -> Result<(), Response> {
        if blocks.len() > MAX_COUNT {
            return Err(invalid("body.children.length should be ≤ 100"));
        }
        for block in blocks {
            *count += 1;
            let kind = kind_of(block).ok_or_else(|| invalid("a block has no type"))?;
            let is_made = BlockContent::KINDS.contains(&kind.as_str())
                && !matches!(
                    kind.as_str(),
                    "child_page"
                        | "child_database"
                        | "unsupported"
                        | "link_preview"
                        | "meeting_notes"
                        | "transcription"
                );
            if !is_made || !block[&kind].is_object() {
                return Err(invalid("a block has a type that cannot be created"));
            }
            let children = children_in(block);
            match (kind.as_str(), children.len()) {
                ("table", 0) => return Err(invalid("table.children should have a row")),
                ("column_list", 0 | 1) => {
                    return Err(invalid("column_list.children should have two columns"));
                }
                ("column", 0) => return Err(invalid("column.children should have a block")),
                (_, 0) => continue,
                _ => {}
            }
            // Columns do not count as a level.
            let below = if kind == "column_list" {
                Some(levels)
            } else {
                levels.checked_sub(1)
            };
            let below = below.ok_or_else(|| invalid("children are nested too deeply"))?;
            walk(&children, below, count)?;
        }
        Ok(())
    }
    let mut count = 0;
    let blocks = blocks
        .as_array()
        .ok_or_else(|| invalid("body.children should be an array"))?;
    walk(blocks, levels, &mut count)?;
    if count > ELEMENTS {
        return Err(invalid("a request can contain at most 1000 block elements"));
    }
    Ok(())
}

#[expect(
    clippy::needless_pass_by_value,
    reason = "the caller creates the content for this block"
)]
pub(super) fn stored(id: &str, parent: &Value, time: &str, kind: &str, content: Value) -> Value {
    json!({
        "object": "block", "id": id, "parent": parent, "created_time": time,
        "last_edited_time": time, "created_by": author(), "last_edited_by": author(),
        "has_children": false, "in_trash": false, "archived": false, "type": kind, kind: content,
    })
}

/// Converts Markdown to blocks: headings, bulleted items and paragraphs.
pub(super) fn of_markdown(markdown: &str) -> Vec<Value> {
    let lines = markdown.lines().filter(|it| !it.trim().is_empty());
    let block = |line: &str| {
        let (kind, text) = if let Some(text) = line.strip_prefix("# ") {
            ("heading_1", text)
        } else if let Some(text) = line.strip_prefix("- ") {
            ("bulleted_list_item", text)
        } else {
            ("paragraph", line)
        };
        json!({ "type": kind, kind: { "rich_text": [{ "text": { "content": text } }] } })
    };
    lines.map(block).collect()
}

impl World {
    pub(super) fn children_of(&self, parent: &str) -> Vec<String> {
        self.children.get(parent).cloned().unwrap_or_default()
    }

    pub(super) fn text_of(&self, id: &str) -> String {
        let block = self.blocks.get(id).cloned().unwrap_or_default();
        let content = &block[block["type"].as_str().unwrap_or_default()];
        match content["cells"].as_array() {
            Some(cells) => cells.iter().map(plain).collect::<Vec<_>>().join("\t"),
            None => plain(&content["rich_text"]),
        }
    }

    pub(super) fn count(&self, root: &str) -> usize {
        let children = self.children_of(root);
        children.iter().map(|it| 1 + self.count(it)).sum()
    }

    /// Adds a block without validation.
    pub(super) fn add_block(
        &mut self,
        now: Timestamp,
        parent: &str,
        block: &Value,
    ) -> Option<String> {
        let parent_value = self.block_parent(parent)?;
        let kind = block["type"].as_str()?.to_owned();
        let id = self.id('c');
        let time = minute(now);
        let block = stored(&id, &parent_value, &time, &kind, block[&kind].clone());
        self.blocks.insert(id.clone(), block);
        self.children
            .entry(parent.to_owned())
            .or_default()
            .push(id.clone());
        self.mark_parent(parent);
        Some(id)
    }

    fn block_parent(&self, parent: &str) -> Option<Value> {
        if self.pages.contains_key(parent) {
            return Some(json!({ "type": "page_id", "page_id": parent }));
        }
        let is_block = self.blocks.contains_key(parent);
        is_block.then(|| json!({ "type": "block_id", "block_id": parent }))
    }

    fn mark_parent(&mut self, parent: &str) {
        let has = !self.children_of(parent).is_empty();
        if let Some(block) = self.blocks.get_mut(parent) {
            block["has_children"] = has.into();
        }
    }

    /// Inserts new blocks below a page or a block, at the end or at a position.
    pub(super) fn insert_blocks(
        &mut self,
        now: Timestamp,
        parent: &str,
        blocks: &[Value],
        at: Option<usize>,
    ) -> Result<Vec<String>, Response> {
        let parent_value = self.block_parent(parent).ok_or_else(|| not_found(parent))?;
        let time = minute(now);
        let mut ids = Vec::with_capacity(blocks.len());
        for block in blocks {
            let kind = kind_of(block).unwrap_or_default();
            let content = self.content(&kind, &block[&kind])?;
            let id = self.id('c');
            self.blocks.insert(
                id.clone(),
                stored(&id, &parent_value, &time, &kind, content),
            );
            self.insert_blocks(now, &id, &children_in(block), None)?;
            ids.push(id);
        }
        let children = self.children.entry(parent.to_owned()).or_default();
        let at = at.unwrap_or(children.len()).min(children.len());
        children.splice(at..at, ids.iter().cloned());
        self.mark_parent(parent);
        if let Some(page) = self.pages.get_mut(parent) {
            page["last_edited_time"] = time.into();
        }
        Ok(ids)
    }

    /// Converts the content of a block in a request to the form in responses.
    pub(super) fn content(&self, kind: &str, given: &Value) -> Result<Value, Response> {
        let mut content = given.clone();
        let Some(members) = content.as_object_mut() else {
            return Err(invalid("a block has no content"));
        };
        members.remove("children");
        for name in ["rich_text", "caption"] {
            if let Some(text) = members.get(name) {
                let text = rich_text(Some(text))?;
                members.insert(name.to_owned(), text);
            }
        }
        if let Some(cells) = members.get("cells").and_then(Value::as_array) {
            let cells: Result<Vec<_>, _> = cells.iter().map(|it| rich_text(Some(it))).collect();
            members.insert("cells".to_owned(), cells?.into());
        }
        let is_known = BlockContent::KINDS.contains(&kind);
        if is_known && members.contains_key("rich_text") && !matches!(kind, "code" | "template") {
            members.entry("color").or_insert("default".into());
        }
        match kind {
            "to_do" => drop(members.entry("checked").or_insert(false.into())),
            "heading_1" | "heading_2" | "heading_3" | "heading_4" => {
                members.entry("is_toggleable").or_insert(false.into());
            }
            "callout" | "paragraph" => drop(members.entry("icon").or_insert(Value::Null)),
            "bookmark" | "embed" | "code" | "image" | "video" | "pdf" | "file" | "audio" => {
                members.entry("caption").or_insert(json!([]));
            }
            _ => {}
        }
        if let Some(id) = members.get("file_upload").and_then(|it| it["id"].as_str()) {
            let upload = self.uploads.get(id).filter(|it| it.is_uploaded());
            let upload = upload.ok_or_else(|| invalid("the file was not uploaded yet"))?;
            let file = json!({
                "url": format!("https://prod-files-secure.s3.us-west-2.amazonaws.com/{id}?sig=1"),
                "expiry_time": "2030-01-01T00:00:00.000Z",
            });
            let name = upload.name.clone();
            members.remove("file_upload");
            members.insert("type".to_owned(), "file".into());
            members.insert("file".to_owned(), file);
            if kind == "file" {
                members.entry("name").or_insert(name.into());
            }
        }
        Ok(content)
    }

    pub(super) fn append(
        &mut self,
        now: Timestamp,
        parent: &str,
        body: &Value,
    ) -> Result<Vec<String>, Response> {
        check(&body["children"], 2)?;
        let children = body["children"].as_array().cloned().unwrap_or_default();
        let there = self.children_of(parent);
        let position = &body["position"];
        let at = match position["type"].as_str() {
            Some("start") => Some(0),
            Some("after_block") => {
                let id = position["after_block"]["id"].as_str().unwrap_or_default();
                let at = there.iter().position(|it| it == id);
                Some(at.ok_or_else(|| invalid("after_block is not a child of the parent"))? + 1)
            }
            Some("end") | None => None,
            Some(_) => return Err(invalid("body.position.type is unknown")),
        };
        if body.get("after").is_some() {
            return Err(invalid("body.after was replaced by body.position"));
        }
        self.insert_blocks(now, parent, &children, at)
    }

    /// Returns a block. A page is also a block.
    pub(super) fn block(&self, id: &str) -> Result<Value, Response> {
        let block = self
            .blocks
            .get(id)
            .filter(|it| it["in_trash"] != true && self.is_shared(id));
        if let Some(block) = block {
            return Ok(block.clone());
        }
        let page = self.pages.get(id).filter(|_| self.is_shared(id));
        let page = page.ok_or_else(|| not_found(id))?;
        let title = plain(&super::world::title_of(page));
        let time = page["created_time"].as_str().unwrap_or_default();
        let mut block = stored(
            id,
            &page["parent"],
            time,
            "child_page",
            json!({ "title": title }),
        );
        block["has_children"] = (!self.children_of(id).is_empty()).into();
        Ok(block)
    }

    pub(super) fn markdown(&self, page: &str) -> Value {
        let (mut lines, mut unknown) = (Vec::new(), Vec::new());
        for id in self.children_of(page) {
            let kind = self
                .blocks
                .get(&id)
                .and_then(|it| it["type"].as_str())
                .unwrap_or_default();
            let text = self.text_of(&id);
            match kind {
                "heading_1" => lines.push(format!("# {text}")),
                "bulleted_list_item" => lines.push(format!("- {text}")),
                "paragraph" | "quote" | "toggle" | "to_do" => lines.push(text),
                _ => unknown.push(id),
            }
        }
        json!({
            "object": "page_markdown", "id": page, "markdown": lines.join("\n"),
            "truncated": false, "unknown_block_ids": unknown, "request_id": uuid('f', 0),
        })
    }

    pub(super) fn change_markdown(
        &mut self,
        now: Timestamp,
        page: &str,
        body: &Value,
    ) -> Result<Value, Response> {
        let kind = body["type"].as_str().unwrap_or_default();
        let change = &body[kind];
        let known = self.markdown(page)["markdown"]
            .as_str()
            .unwrap_or_default()
            .to_owned();
        let text = match kind {
            "replace_content" => change["new_str"].as_str().unwrap_or_default().to_owned(),
            "insert_content" => {
                let content = change["content"].as_str().unwrap_or_default();
                if change["position"]["type"] == "start" {
                    format!("{content}\n{known}")
                } else {
                    format!("{known}\n{content}")
                }
            }
            "update_content" => {
                let mut text = known;
                for update in change["content_updates"].as_array().into_iter().flatten() {
                    let old = update["old_str"].as_str().unwrap_or_default();
                    let new = update["new_str"].as_str().unwrap_or_default();
                    let count = text.matches(old).count();
                    if count == 0 || (count > 1 && update["replace_all_matches"] != true) {
                        return Err(invalid("old_str should occur once"));
                    }
                    text = text.replace(old, new);
                }
                text
            }
            _ => return Err(invalid("body.type is unknown")),
        };
        self.children.insert(page.to_owned(), Vec::new());
        self.insert_blocks(now, page, &of_markdown(&text), None)?;
        Ok(self.markdown(page))
    }
}
