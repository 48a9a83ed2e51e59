//! Operations on files: metadata, lists and content.

use bytes::Bytes;
use connector_sim::Response;
use serde_json::{Value, json};

use super::api::{Answer, Call, forbidden, invalid, not_found, nothing, refused};
use super::query::Query;
use super::world::{Content, Item, World, permission_id};
use crate::models::{FOLDER, is_google_type};

pub(super) const DEFAULT: &str = "kind,id,name,mimeType,resourceKey";
pub(super) const WRITERS: [&str; 4] = ["owner", "organizer", "fileOrganizer", "writer"];
/// Maximum size of an export, in bytes.
const MAX_EXPORT: u64 = 10_000_000;

/// Returns a file in the API's format.
pub(super) fn describe(world: &World, user: &str, item: &Item) -> Value {
    let role = world.role_of(item, user).unwrap_or("reader");
    let may_write = WRITERS.contains(&role);
    let is_owner = role == "owner" || role == "organizer";
    let is_folder = item.text("mimeType") == FOLDER;
    let mut file = Value::Object(item.meta.clone());
    file["version"] = item.version.to_string().into();
    file["ownedByMe"] = (item.drive.is_none() && item.owner == user).into();
    file["shared"] = (item.drive.is_some() || item.permissions.len() > 1).into();
    file["isAppAuthorized"] = item.is_opened.into();
    if item.drive.is_none() {
        file["owners"] = json!([world.person(&item.owner, user)]);
        file["permissions"] = item.permissions.clone().into();
    }
    let ids: Vec<&Value> = item.permissions.iter().map(|it| &it["id"]).collect();
    file["permissionIds"] = json!(ids);
    file["lastModifyingUser"] = world.person(&item.owner, user);
    file["webViewLink"] =
        format!("https://drive.google.com/file/d/{}/view", item.text("id")).into();
    file["capabilities"] = json!({
        "canDownload": item.meta.get("copyRequiresWriterPermission") != Some(&Value::Bool(true)) || may_write,
        "canEdit": may_write, "canComment": may_write || role == "commenter", "canCopy": !is_folder,
        "canDelete": is_owner, "canTrash": is_owner, "canUntrash": is_owner, "canRename": may_write,
        "canModifyContent": may_write, "canShare": may_write, "canReadRevisions": may_write && !is_folder,
        "canListChildren": is_folder, "canAddChildren": is_folder && may_write,
        "canRemoveChildren": is_folder && may_write, "canMoveItemOutOfDrive": is_owner,
    });
    file
}

pub(super) fn about(world: &World, call: &Call<'_>) -> Answer {
    call.check_mask()?;
    let user = call.user();
    let taken: u64 = world
        .items
        .values()
        .filter(|it| it.drive.is_none() && it.owner == user)
        .map(|it| it.content.length)
        .sum();
    let body = json!({
        "kind": "drive#about",
        "user": world.person(user, user),
        "storageQuota": {
            "limit": "16106127360", "usage": taken.to_string(), "usageInDrive": taken.to_string(),
            "usageInDriveTrash": "0",
        },
        "maxUploadSize": "5497558138880",
        "canCreateDrives": true,
        "appInstalled": true,
        "exportFormats": { "application/vnd.google-apps.document": ["application/pdf", "text/plain"] },
        "importFormats": { "text/plain": ["application/vnd.google-apps.document"] },
        "maxImportSizes": { "application/vnd.google-apps.document": "10485760" },
        "folderColorPalette": ["#ac725e"],
    });
    call.reply(&body, "")
}

pub(super) fn files(world: &mut World, call: &Call<'_>, method: &str, path: &[&str]) -> Answer {
    match (method, path) {
        ("GET", []) => list(world, call),
        ("POST", []) => {
            let id = create(world, call, &call.request.json(), None)?;
            reply(world, call, &id)
        }
        ("GET", ["generateIds"]) => generate(world, call),
        ("DELETE", ["trash"]) => {
            let drive = call.request.query("driveId");
            let mine =
                |it: &&Item| it.drive == drive && (drive.is_some() || it.owner == call.user());
            let trashed = world
                .items
                .values()
                .filter(mine)
                .filter(|it| it.is_trashed());
            let ids: Vec<String> = trashed.map(|it| it.text("id").to_owned()).collect();
            for id in ids {
                world.remove(call.now, &id);
            }
            Ok(nothing())
        }
        ("GET", [id]) if call.request.query("alt").as_deref() == Some("media") => {
            let item = call.find(world, id)?;
            media(call, item, &item.content)
        }
        ("GET", [id]) => {
            let item = call.find(world, id)?;
            call.reply(&describe(world, call.user(), item), DEFAULT)
        }
        ("PATCH", [id]) => {
            update(world, call, id, &call.request.json())?;
            reply(world, call, id)
        }
        ("DELETE", [id]) => {
            call.writable(world, id, &["owner", "organizer"])?;
            world.remove(call.now, id);
            Ok(nothing())
        }
        ("POST", [id, "copy"]) => copy(world, call, id),
        ("GET", [id, "export"]) => export(world, call, id),
        ("POST", [id, "download"]) => {
            call.find(world, id)?;
            let name = world.id("operation");
            let body = json!({ "name": name, "done": false, "metadata": {} });
            world.operations.insert(name, json!({
                "downloadUri": format!("https://www.googleapis.com/drive/v3/files/{id}?alt=media"),
                "partialDownloadAllowed": true,
            }));
            Ok(Response::json(200, &body))
        }
        _ => Err(not_found("path")),
    }
}

pub(super) fn operation(world: &World, name: &str) -> Answer {
    let response = world.operations.get(name).ok_or_else(|| not_found(name))?;
    Ok(Response::json(
        200,
        &json!({ "name": name, "done": true, "response": response }),
    ))
}

pub(super) fn reply(world: &World, call: &Call<'_>, id: &str) -> Answer {
    let item = world
        .items
        .get(&call.resolve(id))
        .ok_or_else(|| not_found(id))?;
    call.reply(&describe(world, call.user(), item), DEFAULT)
}

/// Creates a file and returns its id.
pub(super) fn create(
    world: &mut World,
    call: &Call<'_>,
    metadata: &Value,
    content: Option<Content>,
) -> Result<String, Response> {
    let meta = match metadata {
        Value::Object(meta) => meta.clone(),
        Value::Null => serde_json::Map::new(),
        _ => return Err(refused(400, "parseError", "Parse Error")),
    };
    if let Some(id) = metadata["id"].as_str() {
        if world.items.contains_key(id) {
            return Err(refused(
                409,
                "fileIdInUse",
                "A file already exists with the provided ID.",
            ));
        }
        if !world.generated.iter().any(|it| it == id) {
            return Err(refused(
                400,
                "invalid",
                "The provided file ID is not usable.",
            ));
        }
    }
    let parents = metadata["parents"].as_array().cloned().unwrap_or_default();
    if parents.len() > 1 {
        return Err(refused(
            403,
            "multipleParentsNotAllowed",
            "A file has one parent.",
        ));
    }
    let mut in_drive = false;
    if let Some(parent) = parents.first().and_then(Value::as_str) {
        if world.drives.contains_key(parent) {
            if !world.is_member(parent, call.user()) || !call.is("supportsAllDrives") {
                return Err(not_found(parent));
            }
            in_drive = true;
        } else if parent != "root" && parent != "appDataFolder" {
            let folder = call.writable(world, parent, &WRITERS)?;
            in_drive = folder.drive.is_some();
        }
    }
    // A service account has no storage.
    let is_folder = metadata["mimeType"] == FOLDER;
    if call.user().contains('@') && !in_drive && !is_folder {
        let message = "Service Accounts do not have storage quota.";
        return Err(refused(403, "storageQuotaExceeded", message));
    }
    let created = world.create(call.now, call.user(), meta, content, true);
    created.ok_or_else(|| not_found("parent"))
}

/// Changes a file's metadata.
pub(super) fn update(
    world: &mut World,
    call: &Call<'_>,
    id: &str,
    changes: &Value,
) -> Result<(), Response> {
    let item = call.writable(world, id, &WRITERS)?;
    let mut parents = item.parents();
    let role = world.role_of(item, call.user()).unwrap_or_default();
    if changes.get("trashed").is_some() && !["owner", "organizer", "fileOrganizer"].contains(&role)
    {
        return Err(forbidden());
    }
    if changes.get("parents").is_some() {
        let message = "The parents field is not directly writable in update requests.";
        return Err(refused(403, "fieldNotWritable", message));
    }
    let split = |name: &str| -> Vec<String> {
        let list = call.request.query(name).unwrap_or_default();
        list.split(',')
            .filter(|it| !it.is_empty())
            .map(|it| call.resolve(it))
            .collect()
    };
    let (added, removed) = (split("addParents"), split("removeParents"));
    for parent in &added {
        if !world.drives.contains_key(parent) {
            call.writable(world, parent, &WRITERS)?;
        }
    }
    if !added.is_empty() || !removed.is_empty() {
        parents.retain(|it| !removed.contains(it));
        parents.extend(added);
        if parents.len() != 1 {
            return Err(refused(
                403,
                "multipleParentsNotAllowed",
                "A file has one parent.",
            ));
        }
        world.with_item(id, |it| {
            it.meta.insert("parents".to_owned(), json!(parents))
        });
    }
    world.edit(call.now, &call.resolve(id), changes);
    Ok(())
}

fn list(world: &World, call: &Call<'_>) -> Answer {
    let query = match call.request.query("q") {
        Some(text) => Some(Query::parse(&text).ok_or_else(|| invalid("q"))?),
        None => None,
    };
    let with_drives = call.is("supportsAllDrives") && call.is("includeItemsFromAllDrives");
    let drive = call.request.query("driveId");
    if drive.is_some()
        && (call.request.query("corpora").as_deref() != Some("drive") || !with_drives)
    {
        return Err(invalid("driveId"));
    }
    if let Some(drive) = &drive
        && !world.is_member(drive, call.user())
    {
        return Err(not_found(drive));
    }
    let spaces = call
        .request
        .query("spaces")
        .unwrap_or_else(|| "drive".to_owned());
    let size = call.number("pageSize", 100, 1000)?;
    let root = World::root_of(call.user());
    let mut found: Vec<&Item> = world
        .items
        .values()
        .filter(|it| it.text("id") != root)
        .filter(|it| call.sees(world, it))
        .filter(|it| it.drive.is_none() || with_drives)
        .filter(|it| drive.is_none() || it.drive == drive)
        .filter(|it| {
            it.meta
                .get("spaces")
                .is_some_and(|it| spaces.split(',').any(|space| it[0] == space))
        })
        .filter(|it| {
            query
                .as_ref()
                .is_none_or(|query| query.fits(call.user(), it))
        })
        .collect();
    for key in call
        .request
        .query("orderBy")
        .unwrap_or_default()
        .rsplit(',')
    {
        let (field, is_descending) = match key.split_once(' ') {
            Some((field, "desc")) => (field, true),
            _ => (key, false),
        };
        match field {
            "" => {}
            "folder" => found.sort_by_key(|it| it.text("mimeType") != FOLDER),
            "name" | "modifiedTime" | "createdTime" => {
                found.sort_by_key(|it| it.text(field).to_owned());
            }
            _ => return Err(invalid("orderBy")),
        }
        if is_descending {
            found.reverse();
        }
    }
    let files = found.into_iter().map(|it| describe(world, call.user(), it));
    let default = format!("kind,nextPageToken,incompleteSearch,files({DEFAULT})");
    call.page("files", files.collect(), size, "drive#fileList", &default)
}

fn generate(world: &mut World, call: &Call<'_>) -> Answer {
    let count = call.number("count", 10, 1000)?;
    let ids: Vec<String> = (0..count).map(|_| world.id("1")).collect();
    world.generated.extend(ids.iter().cloned());
    let space = call
        .request
        .query("space")
        .unwrap_or_else(|| "drive".to_owned());
    let body = json!({ "kind": "drive#generatedIds", "space": space, "ids": ids });
    call.reply(&body, "*")
}

fn copy(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    let item = call.find(world, id)?;
    if item.text("mimeType") == FOLDER {
        return Err(refused(
            403,
            "cannotCopyFile",
            "This file cannot be copied by the user.",
        ));
    }
    let mut metadata = call.request.json();
    if metadata.is_null() {
        metadata = json!({});
    }
    for field in ["name", "mimeType", "appProperties", "properties", "parents"] {
        if metadata.get(field).is_none()
            && let Some(value) = item.meta.get(field)
        {
            metadata[field] = value.clone();
        }
    }
    let content = (!item.content.sha256.is_empty()).then(|| item.content.clone());
    let id = create(world, call, &metadata, content)?;
    reply(world, call, &id)
}

/// Returns the content of a file or revision.
pub(super) fn media(call: &Call<'_>, item: &Item, content: &Content) -> Answer {
    if is_google_type(item.text("mimeType")) {
        let message =
            "Only files with binary content can be downloaded. Use Export with Docs Editors files.";
        return Err(refused(403, "fileNotDownloadable", message));
    }
    match (item.is_abusive, call.is("acknowledgeAbuse")) {
        (true, false) => {
            let message =
                "This file has been identified as malware or spam and cannot be downloaded.";
            return Err(refused(403, "cannotDownloadAbusiveFile", message));
        }
        (false, true) => {
            let message = "The abuse acknowledgment is not valid for this file.";
            return Err(refused(403, "invalidAbuseAcknowledgment", message));
        }
        _ => {}
    }
    let bytes = content.bytes.clone().unwrap_or_default();
    Ok(ranged(&bytes, call.request.header("range")))
}

/// Returns the content, or the part in the `Range` header.
fn ranged(bytes: &Bytes, range: &str) -> Response {
    let total = bytes.len();
    let asked = range
        .strip_prefix("bytes=")
        .and_then(|it| it.split_once('-'));
    let Some((first, last)) = asked else {
        return Response::new(200, "application/octet-stream", bytes.clone());
    };
    let first: usize = first.parse().unwrap_or(total);
    if first >= total {
        return Response::new(416, "text/plain", "Requested range not satisfiable")
            .with_header("content-range", &format!("bytes */{total}"));
    }
    let last = last.parse().unwrap_or(total - 1).min(total - 1);
    Response::new(206, "application/octet-stream", bytes.slice(first..=last))
        .with_header("content-range", &format!("bytes {first}-{last}/{total}"))
}

fn export(world: &World, call: &Call<'_>, id: &str) -> Answer {
    let item = call.find(world, id)?;
    let kind = call
        .request
        .query("mimeType")
        .ok_or_else(|| invalid("mimeType"))?;
    if !is_google_type(item.text("mimeType")) {
        let message = "Export only supports Docs Editors files.";
        return Err(refused(403, "fileNotExportable", message));
    }
    // In the simulator, the description of a document contains the size of its export.
    let length: u64 = item.text("description").parse().unwrap_or(0);
    if length > MAX_EXPORT {
        let message = "This file is too large to be exported.";
        return Err(refused(403, "exportSizeLimitExceeded", message));
    }
    let text = format!(
        "{} as {kind} ({})",
        item.text("name"),
        permission_id(item.text("id"))
    );
    Ok(Response::new(200, "application/octet-stream", text))
}
