//! Permissions, revisions, comments, shared drives and access requests.

use connector_sim::Response;
use serde_json::{Value, json};

use super::api::{Answer, Call, forbidden, invalid, not_found, nothing, refused};
use super::files::{WRITERS, media};
use super::world::{World, permission_id, rfc3339};

const COMMENTERS: [&str; 5] = ["owner", "organizer", "fileOrganizer", "writer", "commenter"];

fn position(list: &[Value], id: &str) -> Result<usize, Response> {
    let found = list.iter().position(|it| it["id"] == id);
    found.ok_or_else(|| not_found(id))
}

pub(super) fn permissions(
    world: &mut World,
    call: &Call<'_>,
    method: &str,
    file: &str,
    rest: &[&str],
) -> Answer {
    const DEFAULT: &str = "kind,id,type,role";
    let mut list = call.find(world, file)?.permissions.clone();
    if method != "GET" {
        call.writable(world, file, &WRITERS)?;
    }
    let body = call.request.json();
    let answer = match (method, rest) {
        ("GET", []) => {
            let size = call.number("pageSize", 100, 100)?;
            let default = format!("kind,nextPageToken,permissions({DEFAULT})");
            return call.page("permissions", list, size, "drive#permissionList", &default);
        }
        ("GET", [id]) => return call.reply(&list[position(&list, id)?], DEFAULT),
        ("POST", []) => {
            let (kind, role) = (body["type"].as_str(), body["role"].as_str());
            let (Some(kind), Some(role)) = (kind, role) else {
                return Err(refused(
                    400,
                    "required",
                    "The permission type and role are required.",
                ));
            };
            let address = body["emailAddress"].as_str();
            let is_complete = match kind {
                "user" | "group" => address.is_some_and(|it| it.contains('@')),
                "domain" => body["domain"].is_string(),
                "anyone" => address.is_none(),
                _ => false,
            };
            if !is_complete {
                let message =
                    "Bad Request. User message: \"You are trying to invite an invalid address.\"";
                return Err(refused(400, "invalidSharingRequest", message));
            }
            if role == "owner" && !call.is("transferOwnership") {
                let message = "The transferOwnership parameter must be enabled.";
                return Err(refused(403, "forbidden", message));
            }
            let mut new = body.clone();
            let key = address
                .or(body["domain"].as_str())
                .unwrap_or("anyoneWithLink");
            let known = address.and_then(|it| world.user_of(it));
            new["id"] = permission_id(known.as_deref().unwrap_or(key)).into();
            new["kind"] = "drive#permission".into();
            new["deleted"] = false.into();
            new["displayName"] = key.split('@').next().into();
            list.retain(|it| it["id"] != new["id"]);
            list.push(new.clone());
            new
        }
        ("PATCH", [id]) => {
            let at = position(&list, id)?;
            for field in ["role", "expirationTime", "pendingOwner", "view"] {
                if let Some(value) = body.get(field) {
                    list[at][field] = value.clone();
                }
            }
            if call.is("removeExpiration")
                && let Some(members) = list[at].as_object_mut()
            {
                members.remove("expirationTime");
            }
            list[at].clone()
        }
        ("DELETE", [id]) => {
            let at = position(&list, id)?;
            if list[at]["role"] == "owner" {
                return Err(forbidden());
            }
            let removed = list.remove(at);
            let user = removed["emailAddress"]
                .as_str()
                .and_then(|it| world.user_of(it));
            world.with_item(file, |it| it.permissions = list);
            if let Some(user) = user {
                let drive = world.items.get(file).and_then(|it| it.drive.clone());
                world.log(call.now, file, false, drive, vec![user.clone()], vec![user]);
            }
            world.changed(call.now, file);
            return Ok(nothing());
        }
        _ => return Err(not_found("path")),
    };
    world.with_item(file, |it| it.permissions = list);
    world.changed(call.now, file);
    call.reply(&answer, DEFAULT)
}

pub(super) fn revisions(
    world: &mut World,
    call: &Call<'_>,
    method: &str,
    file: &str,
    rest: &[&str],
) -> Answer {
    const DEFAULT: &str = "kind,id,mimeType,modifiedTime";
    // Operations on revisions do not have the parameter `supportsAllDrives`.
    let id = call.resolve(file);
    let item = call.visible(world, file)?;
    call.check_role(world, item, &WRITERS)?;
    let entries: Vec<Value> = item
        .revisions
        .iter()
        .map(|(entry, _)| entry.clone())
        .collect();
    match (method, rest) {
        ("GET", []) => {
            let size = call.number("pageSize", 200, 1000)?;
            let default = format!("kind,nextPageToken,revisions({DEFAULT})");
            call.page("revisions", entries, size, "drive#revisionList", &default)
        }
        ("GET", [revision]) => {
            let at = position(&entries, revision)?;
            if call.request.query("alt").as_deref() == Some("media") {
                return media(call, item, &item.revisions[at].1);
            }
            call.reply(&entries[at], DEFAULT)
        }
        ("PATCH", [revision]) => {
            let at = position(&entries, revision)?;
            let changes = call.request.json();
            let answer = world.with_item(&id, |it| {
                for (name, value) in changes.as_object().into_iter().flatten() {
                    it.revisions[at].0[name] = value.clone();
                }
                it.revisions[at].0.clone()
            });
            call.reply(&answer.unwrap_or_default(), DEFAULT)
        }
        ("DELETE", [revision]) => {
            let at = position(&entries, revision)?;
            if entries.len() == 1 {
                let message = "The last revision of a file cannot be deleted.";
                return Err(refused(400, "cannotDeleteOnlyRevision", message));
            }
            world.with_item(&id, |it| it.revisions.remove(at));
            Ok(nothing())
        }
        _ => Err(not_found("path")),
    }
}

pub(super) fn comments(
    world: &mut World,
    call: &Call<'_>,
    method: &str,
    file: &str,
    rest: &[&str],
) -> Answer {
    let id = call.resolve(file);
    let item = call.visible(world, file)?;
    if method != "GET" {
        call.check_role(world, item, &COMMENTERS)?;
    }
    if method != "DELETE" {
        call.check_mask()?;
    }
    let mut list = item.comments.clone();
    let shown = |list: &[Value]| -> Vec<Value> {
        let deleted = call.is("includeDeleted");
        list.iter()
            .filter(|it| deleted || it["deleted"] != true)
            .cloned()
            .collect()
    };
    let body = call.request.json();
    let author = world.person(call.user(), call.user());
    let now = rfc3339(call.now);
    let answer = match (method, rest) {
        ("GET", []) => {
            let size = call.number("pageSize", 20, 100)?;
            return call.page("comments", shown(&list), size, "drive#commentList", "*");
        }
        ("GET", [comment]) => {
            let list = shown(&list);
            return call.reply(&list[position(&list, comment)?], "*");
        }
        ("GET", [comment, "replies"]) => {
            let at = position(&list, comment)?;
            let replies = list[at]["replies"].as_array().cloned().unwrap_or_default();
            let size = call.number("pageSize", 20, 100)?;
            return call.page("replies", shown(&replies), size, "drive#replyList", "*");
        }
        ("GET", [comment, "replies", reply]) => {
            let at = position(&list, comment)?;
            let replies = shown(list[at]["replies"].as_array().map_or(&[], Vec::as_slice));
            return call.reply(&replies[position(&replies, reply)?], "*");
        }
        ("POST", []) => {
            let content = body["content"].as_str().ok_or_else(|| invalid("content"))?;
            let new = json!({
                "kind": "drive#comment", "id": world.id("AAAA"), "content": content,
                "htmlContent": content, "author": author, "createdTime": now, "modifiedTime": now,
                "resolved": false, "deleted": false, "replies": [], "anchor": body["anchor"],
            });
            list.push(new.clone());
            new
        }
        ("POST", [comment, "replies"]) => {
            let at = position(&list, comment)?;
            let action = body["action"].as_str();
            if body["content"].as_str().is_none() && action.is_none() {
                return Err(invalid("content"));
            }
            let new = json!({
                "kind": "drive#reply", "id": world.id("AAAB"), "content": body["content"],
                "author": author, "createdTime": now, "modifiedTime": now, "deleted": false,
                "action": body["action"],
            });
            if let Some(action) = action {
                list[at]["resolved"] = (action == "resolve").into();
            }
            list[at]["modifiedTime"] = now.into();
            if let Some(replies) = list[at]["replies"].as_array_mut() {
                replies.push(new.clone());
            }
            new
        }
        ("PATCH" | "DELETE", [comment, at_reply @ ..]) => {
            let at = position(&list, comment)?;
            let target = match at_reply {
                [] => &mut list[at],
                ["replies", reply] => {
                    let replies = list[at]["replies"].as_array_mut();
                    let replies = replies.ok_or_else(|| not_found(reply))?;
                    let at = position(replies, reply)?;
                    &mut replies[at]
                }
                _ => return Err(not_found("path")),
            };
            if method == "DELETE" {
                target["deleted"] = true.into();
                target["content"] = "".into();
                world.with_item(&id, |it| it.comments = list);
                return Ok(nothing());
            }
            target["content"] = body["content"].clone();
            target["modifiedTime"] = now.into();
            target.clone()
        }
        _ => return Err(not_found("path")),
    };
    world.with_item(&id, |it| it.comments = list);
    call.reply(&answer, "*")
}

pub(super) fn proposals(
    world: &mut World,
    call: &Call<'_>,
    method: &str,
    file: &str,
    rest: &[&str],
) -> Answer {
    let id = call.resolve(file);
    let item = call.visible(world, file)?;
    call.check_role(world, item, &WRITERS)?;
    let list = item.proposals.clone();
    let find = |id: &str| {
        let found = list.iter().position(|it| it["proposalId"] == id);
        found.ok_or_else(|| not_found(id))
    };
    match (method, rest) {
        ("GET", []) => {
            let size = call.number("pageSize", 100, 100)?;
            call.page(
                "accessProposals",
                list,
                size,
                "drive#accessProposalList",
                "*",
            )
        }
        ("GET", [proposal]) => call.reply(&list[find(proposal)?], "*"),
        ("POST", [proposal]) => {
            let proposal = proposal
                .strip_suffix(":resolve")
                .ok_or_else(|| not_found("path"))?;
            let at = find(proposal)?;
            let decision = call.request.json();
            let requester = list[at]["requesterEmailAddress"].clone();
            match decision["action"].as_str() {
                Some("ACCEPT") => {
                    let role = decision["role"][0]
                        .as_str()
                        .ok_or_else(|| invalid("role"))?;
                    let key = requester.as_str().unwrap_or_default();
                    let known = world.user_of(key);
                    let permission = json!({
                        "kind": "drive#permission", "type": "user", "role": role, "emailAddress": key,
                        "id": permission_id(known.as_deref().unwrap_or(key)),
                    });
                    world.with_item(&id, |it| it.permissions.push(permission));
                }
                Some("DENY") => {}
                _ => return Err(invalid("action")),
            }
            world.with_item(&id, |it| it.proposals.remove(at));
            world.changed(call.now, &id);
            Ok(Response::json(200, &json!({})))
        }
        _ => Err(not_found("path")),
    }
}

pub(super) fn drives(world: &mut World, call: &Call<'_>, method: &str, rest: &[&str]) -> Answer {
    const DEFAULT: &str = "kind,id,name";
    let body = call.request.json();
    let id = match (method, rest) {
        ("GET", []) => {
            let size = call.number("pageSize", 10, 100)?;
            let drives = world.drives.iter();
            let mine = drives.filter(|(id, _)| world.is_member(id, call.user()));
            let list: Vec<Value> = mine.map(|(_, it)| Value::Object(it.meta.clone())).collect();
            let default = format!("kind,nextPageToken,drives({DEFAULT})");
            return call.page("drives", list, size, "drive#driveList", &default);
        }
        ("POST", []) => {
            let request = call
                .request
                .query("requestId")
                .ok_or_else(|| invalid("requestId"))?;
            if world.requests.contains(&request) {
                return Err(refused(409, "duplicate", "The request id was used before."));
            }
            world.requests.push(request);
            let name = body["name"].as_str().ok_or_else(|| invalid("name"))?;
            world.add_drive(call.now, call.user(), name)
        }
        (_, [id, ..]) if !world.is_member(id, call.user()) => return Err(not_found(id)),
        ("DELETE", [id]) => {
            if world
                .items
                .values()
                .any(|it| it.drive.as_deref() == Some(id))
            {
                let message = "The shared drive is not empty.";
                return Err(refused(403, "teamDriveNotEmpty", message));
            }
            let members = world
                .drives
                .remove(*id)
                .map(|it| it.members)
                .unwrap_or_default();
            world.log(
                call.now,
                id,
                true,
                Some((*id).to_owned()),
                members.clone(),
                members,
            );
            return Ok(nothing());
        }
        ("GET", [id]) => (*id).to_owned(),
        ("PATCH", [id]) => {
            if let Some(drive) = world.drives.get_mut(*id) {
                for (name, value) in body.as_object().into_iter().flatten() {
                    drive.meta.insert(name.clone(), value.clone());
                }
            }
            world.drive_changed(call.now, id);
            (*id).to_owned()
        }
        ("POST", [id, verb @ ("hide" | "unhide")]) => {
            if let Some(drive) = world.drives.get_mut(*id) {
                drive
                    .meta
                    .insert("hidden".to_owned(), (*verb == "hide").into());
            }
            (*id).to_owned()
        }
        _ => return Err(not_found("path")),
    };
    let drive = world.drives.get(&id).ok_or_else(|| not_found(&id))?;
    call.reply(&Value::Object(drive.meta.clone()), DEFAULT)
}
