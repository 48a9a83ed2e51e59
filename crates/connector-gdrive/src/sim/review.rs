//! Labels and approvals.

use connector_sim::Response;
use serde_json::{Value, json};

use super::api::{Answer, Call, invalid, not_found, refused};
use super::files::WRITERS;
use super::world::{World, rfc3339};

pub(super) fn labels(world: &mut World, call: &Call<'_>, file: &str) -> Answer {
    let list = call.visible(world, file)?.labels.clone();
    let size = call.number("maxResults", 100, 100)?;
    call.page("labels", list, size, "drive#labelList", "*")
}

/// Returns the stored form of a changed field.
fn field(change: &Value) -> Result<Option<Value>, Response> {
    const KINDS: [(&str, &str); 5] = [
        ("setDateValues", "dateString"),
        ("setIntegerValues", "integer"),
        ("setSelectionValues", "selection"),
        ("setTextValues", "text"),
        ("setUserValues", "user"),
    ];
    if change["unsetValues"] == true {
        return Ok(None);
    }
    let given = KINDS.iter().find(|(name, _)| change[*name].is_array());
    let (name, kind) = given.ok_or_else(|| invalid("fieldModifications"))?;
    let values = change[*name].clone();
    let values = if *kind == "user" {
        let emails = values.as_array().into_iter().flatten();
        emails
            .map(|it| json!({ "kind": "drive#user", "emailAddress": it }))
            .collect()
    } else {
        values
    };
    let field = json!({
        "kind": "drive#labelField", "id": change["fieldId"], "valueType": kind, *kind: values,
    });
    Ok(Some(field))
}

pub(super) fn modify_labels(world: &mut World, call: &Call<'_>, file: &str) -> Answer {
    let id = call.resolve(file);
    call.writable(world, file, &WRITERS)?;
    let mut list = call.visible(world, file)?.labels.clone();
    let body = call.request.json();
    let changes = body["labelModifications"].as_array().cloned();
    let mut modified = Vec::new();
    for change in changes.unwrap_or_default() {
        let label = change["labelId"].as_str().unwrap_or_default();
        if label.is_empty() {
            return Err(invalid("labelId"));
        }
        let at = list.iter().position(|it| it["id"] == label);
        if change["removeLabel"] == true {
            list.remove(at.ok_or_else(|| not_found(label))?);
            continue;
        }
        let mut label_value = match at {
            Some(at) => list.remove(at),
            None => json!({ "kind": "drive#label", "id": label, "revisionId": "1", "fields": {} }),
        };
        for change in change["fieldModifications"]
            .as_array()
            .into_iter()
            .flatten()
        {
            let name = change["fieldId"].as_str().unwrap_or_default();
            match (field(change)?, label_value["fields"].as_object_mut()) {
                (Some(field), Some(fields)) => drop(fields.insert(name.to_owned(), field)),
                (None, Some(fields)) => drop(fields.remove(name)),
                _ => {}
            }
        }
        list.push(label_value.clone());
        modified.push(label_value);
    }
    world.with_item(&id, |it| it.labels = list);
    world.changed(call.now, &id);
    let answer = json!({ "kind": "drive#modifyLabelsResponse", "modifiedLabels": modified });
    call.reply(&answer, "*")
}

fn reviewer(email: &Value) -> Value {
    json!({
        "kind": "drive#reviewerResponse", "response": "NO_RESPONSE",
        "reviewer": { "kind": "drive#user", "emailAddress": email },
    })
}

pub(super) fn start(world: &mut World, call: &Call<'_>, file: &str) -> Answer {
    let id = call.resolve(file);
    call.writable(world, file, &WRITERS)?;
    let body = call.request.json();
    let emails = body["reviewerEmails"].as_array().cloned();
    let emails = emails.filter(|it| !it.is_empty());
    let emails = emails.ok_or_else(|| invalid("reviewerEmails"))?;
    let approvals = call.visible(world, file)?.approvals.clone();
    if approvals.iter().any(|it| it["status"] == "IN_PROGRESS") {
        let message = "An approval is already in progress.";
        return Err(refused(409, "conflict", message));
    }
    let time = rfc3339(call.now);
    let approval = json!({
        "kind": "drive#approval", "approvalId": world.id("approval"), "targetFileId": id,
        "status": "IN_PROGRESS", "createTime": time, "modifyTime": time,
        "dueTime": body["dueTime"],
        "fileContentChangeBehavior": body["fileContentChangeBehavior"],
        "initiator": world.person(call.user(), call.user()),
        "reviewerResponses": emails.iter().map(reviewer).collect::<Vec<_>>(),
    });
    world.with_item(&id, |it| it.approvals.push(approval.clone()));
    call.reply(&approval, "*")
}

pub(super) fn approvals(
    world: &mut World,
    call: &Call<'_>,
    method: &str,
    file: &str,
    rest: &[&str],
) -> Answer {
    let id = call.resolve(file);
    let mut list = call.visible(world, file)?.approvals.clone();
    if let ("GET", []) = (method, rest) {
        let size = call.number("pageSize", 100, 100)?;
        return call.page("items", list, size, "drive#approvalList", "*");
    }
    let [target] = rest else {
        return Err(not_found("path"));
    };
    let (approval, verb) = target.split_once(':').unwrap_or((target, ""));
    let at = list.iter().position(|it| it["approvalId"] == approval);
    let at = at.ok_or_else(|| not_found(approval))?;
    let found = &mut list[at];
    if method == "GET" && verb.is_empty() {
        return call.reply(found, "*");
    }
    if found["status"] != "IN_PROGRESS" {
        return Err(refused(400, "badRequest", "The approval is complete."));
    }
    let body = call.request.json();
    let email = world.email(call.user()).to_owned();
    let empty = Vec::new();
    match (method, verb) {
        ("POST", "comment") if body["message"].is_string() => {}
        ("POST", "comment") => return Err(invalid("message")),
        ("POST", "cancel") => {
            call.writable(world, file, &WRITERS)?;
            found["status"] = "CANCELLED".into();
        }
        ("POST", "approve" | "decline") => {
            let reviewers = found["reviewerResponses"].as_array_mut();
            let mut mine = reviewers.into_iter().flatten();
            let mine = mine.find(|it| it["reviewer"]["emailAddress"] == email.as_str());
            let Some(mine) = mine else {
                return Err(refused(403, "forbidden", "The user is not a reviewer."));
            };
            let is_approved = verb == "approve";
            mine["response"] = if is_approved { "APPROVED" } else { "DECLINED" }.into();
            let all = found["reviewerResponses"].as_array().unwrap_or(&empty);
            if !is_approved {
                found["status"] = "DECLINED".into();
            } else if all.iter().all(|it| it["response"] == "APPROVED") {
                found["status"] = "APPROVED".into();
            }
        }
        ("POST", "reassign") => {
            call.writable(world, file, &WRITERS)?;
            let mut all = found["reviewerResponses"]
                .as_array()
                .cloned()
                .unwrap_or_default();
            for replaced in body["replaceReviewers"].as_array().unwrap_or(&empty) {
                let removed = &replaced["removedReviewerEmail"];
                let at = all
                    .iter()
                    .position(|it| it["reviewer"]["emailAddress"] == *removed);
                all[at.ok_or_else(|| invalid("removedReviewerEmail"))?] =
                    reviewer(&replaced["addedReviewerEmail"]);
            }
            for added in body["addReviewers"].as_array().unwrap_or(&empty) {
                all.push(reviewer(&added["addedReviewerEmail"]));
            }
            found["reviewerResponses"] = all.into();
        }
        _ => return Err(not_found("path")),
    }
    let time = rfc3339(call.now);
    if found["status"] != "IN_PROGRESS" {
        found["completeTime"] = time.clone().into();
    }
    found["modifyTime"] = time.into();
    let found = found.clone();
    world.with_item(&id, |it| it.approvals = list);
    call.reply(&found, "*")
}
