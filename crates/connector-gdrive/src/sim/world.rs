//! Data of the simulator.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Grant, Secrets};
use md5::{Digest as _, Md5};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::upload::{ChunkFault, Session};
use super::watch::Channel;
use crate::models::{FOLDER, is_google_type};

pub(crate) struct World {
    pub(super) secrets: Secrets,
    made: u64,
    pub(super) keeps_content: bool,
    /// E-mail addresses by user id.
    pub(super) users: BTreeMap<String, String>,
    pub(super) items: BTreeMap<String, Item>,
    pub(super) drives: BTreeMap<String, SharedDrive>,
    pub(super) log: Vec<Logged>,
    pub(super) position: u64,
    pub(super) channels: Vec<Channel>,
    /// Ids of all past and present channels. Google never accepts an id again.
    pub(super) used_channels: Vec<String>,
    pub(super) uploads: BTreeMap<String, Session>,
    pub(super) chunk_faults: VecDeque<ChunkFault>,
    pub(super) uploaded_bytes: u64,
    pub(super) generated: Vec<String>,
    /// Values of `requestId` that created a shared drive.
    pub(super) requests: Vec<String>,
    pub(super) operations: BTreeMap<String, Value>,
    pub(super) is_out: bool,
    pub(super) is_capped: bool,
}

pub(super) struct Item {
    pub(super) owner: String,
    pub(super) drive: Option<String>,
    /// True if the app created the file, or the user opened the file with the app.
    pub(super) is_opened: bool,
    pub(super) is_abusive: bool,
    pub(super) meta: Map<String, Value>,
    pub(super) content: Content,
    pub(super) revisions: Vec<(Value, Content)>,
    pub(super) permissions: Vec<Value>,
    pub(super) comments: Vec<Value>,
    pub(super) proposals: Vec<Value>,
    pub(super) labels: Vec<Value>,
    pub(super) approvals: Vec<Value>,
    pub(super) version: u64,
}

/// Content of a file, or its length and checksum if the content is not stored.
#[derive(Clone, Default)]
pub(super) struct Content {
    pub(super) bytes: Option<Bytes>,
    pub(super) length: u64,
    pub(super) sha256: String,
    pub(super) md5: Option<String>,
}

impl Content {
    pub(super) fn of(bytes: &Bytes) -> Self {
        Self {
            length: bytes.len() as u64,
            sha256: hex::encode(digest(&SHA256, bytes)),
            md5: Some(hex::encode(Md5::digest(bytes))),
            bytes: Some(bytes.clone()),
        }
    }
}

pub(super) struct SharedDrive {
    pub(super) meta: Map<String, Value>,
    pub(super) members: Vec<String>,
}

/// An entry in the list of changes: the newest change of a file or shared drive for each reader.
#[derive(Clone)]
pub(super) struct Logged {
    pub(super) position: u64,
    pub(super) time: Timestamp,
    pub(super) id: String,
    pub(super) is_drive: bool,
    /// Id of the shared drive that contains the file.
    pub(super) drive: Option<String>,
    /// Users who can access the file or shared drive.
    pub(super) readers: Vec<String>,
    /// Users who have lost access.
    pub(super) removed_for: Vec<String>,
}

impl Item {
    pub(super) fn text(&self, name: &str) -> &str {
        self.meta
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
    }

    pub(super) fn is_trashed(&self) -> bool {
        self.meta.get("trashed") == Some(&Value::Bool(true))
    }

    pub(super) fn parents(&self) -> Vec<String> {
        let parents = self.meta.get("parents").and_then(Value::as_array);
        let parents = parents.into_iter().flatten().filter_map(Value::as_str);
        parents.map(str::to_owned).collect()
    }

    /// Returns the strongest role of a user.
    pub(super) fn role(&self, user: &str, email: &str) -> Option<&str> {
        const ORDER: [&str; 6] = [
            "owner",
            "organizer",
            "fileOrganizer",
            "writer",
            "commenter",
            "reader",
        ];
        if self.drive.is_none() && self.owner == user {
            return Some("owner");
        }
        let fits = |it: &&Value| {
            it["emailAddress"] == email
                || it["type"] == "anyone"
                || it["type"] == "domain"
                    && email.ends_with(&format!("@{}", it["domain"].as_str().unwrap_or(" ")))
        };
        let roles: Vec<&str> = self
            .permissions
            .iter()
            .filter(fits)
            .filter_map(|it| it["role"].as_str())
            .collect();
        ORDER.into_iter().find(|role| roles.contains(role))
    }
}

impl World {
    pub(super) fn new(secrets: Secrets, keeps_content: bool) -> Self {
        Self {
            secrets,
            made: 0,
            keeps_content,
            users: BTreeMap::new(),
            items: BTreeMap::new(),
            drives: BTreeMap::new(),
            log: Vec::new(),
            position: 100,
            channels: Vec::new(),
            used_channels: Vec::new(),
            uploads: BTreeMap::new(),
            chunk_faults: VecDeque::new(),
            uploaded_bytes: 0,
            generated: Vec::new(),
            requests: Vec::new(),
            operations: BTreeMap::new(),
            is_out: false,
            is_capped: false,
        }
    }

    pub(super) fn id(&mut self, prefix: &str) -> String {
        self.made += 1;
        format!("{prefix}{:029}", self.made)
    }

    pub(super) fn root_of(user: &str) -> String {
        format!(
            "0A{}PVA",
            user.replace(|c: char| !c.is_ascii_alphanumeric(), "_")
        )
    }

    pub(super) fn add_user(&mut self, id: &str, email: &str) {
        self.users.insert(id.to_owned(), email.to_owned());
        let root = json!({
            "id": Self::root_of(id), "name": "My Drive", "mimeType": FOLDER, "trashed": false,
        });
        let item = self.item(id, None, root, Content::default());
        self.items.insert(Self::root_of(id), item);
    }

    pub(super) fn add_service_account(&mut self, email: &str) {
        self.users.insert(email.to_owned(), email.to_owned());
    }

    pub(super) fn user_of(&self, email: &str) -> Option<String> {
        let mut users = self.users.iter();
        users.find(|(_, it)| *it == email).map(|(id, _)| id.clone())
    }

    pub(super) fn email(&self, user: &str) -> &str {
        self.users.get(user).map_or("", String::as_str)
    }

    /// Returns a user in the format of other resources.
    pub(super) fn person(&self, user: &str, me: &str) -> Value {
        let email = self.email(user);
        json!({
            "kind": "drive#user", "displayName": email.split('@').next(), "emailAddress": email,
            "me": user == me, "permissionId": permission_id(user),
        })
    }

    pub(super) fn granted(&mut self, grant: &Grant) {
        self.users.entry(grant.account.clone()).or_default();
    }

    pub(super) fn with_item<T>(
        &mut self,
        id: &str,
        change: impl FnOnce(&mut Item) -> T,
    ) -> Option<T> {
        self.items.get_mut(id).map(change)
    }

    pub(super) fn item(
        &self,
        owner: &str,
        drive: Option<String>,
        meta: Value,
        content: Content,
    ) -> Item {
        let permissions = if drive.is_none() {
            vec![json!({
                "kind": "drive#permission", "id": permission_id(owner), "type": "user",
                "role": "owner", "emailAddress": self.email(owner),
                "displayName": self.email(owner).split('@').next(), "deleted": false, "pendingOwner": false,
            })]
        } else {
            Vec::new()
        };
        let meta = match meta {
            Value::Object(meta) => meta,
            _ => Map::new(),
        };
        Item {
            owner: owner.to_owned(),
            drive,
            is_opened: false,
            is_abusive: false,
            meta,
            content,
            revisions: Vec::new(),
            permissions,
            comments: Vec::new(),
            proposals: Vec::new(),
            labels: Vec::new(),
            approvals: Vec::new(),
            version: 1,
        }
    }

    /// Creates a file. Returns `None` if the folder does not exist.
    pub(super) fn create(
        &mut self,
        now: Timestamp,
        user: &str,
        mut meta: Map<String, Value>,
        content: Option<Content>,
        by_app: bool,
    ) -> Option<String> {
        let id = match meta.get("id").and_then(Value::as_str) {
            Some(id) => id.to_owned(),
            None => self.id("1"),
        };
        let parent = meta
            .get("parents")
            .and_then(|it| it[0].as_str())
            .map(str::to_owned);
        let parent = match parent.as_deref() {
            None | Some("root") => Self::root_of(user),
            Some("appDataFolder") => "appDataFolder".to_owned(),
            Some(parent) => parent.to_owned(),
        };
        let drive = if self.drives.contains_key(&parent) {
            Some(parent.clone())
        } else if parent == "appDataFolder"
            || !self.items.contains_key(&parent)
                && self.users.contains_key(user)
                && parent == Self::root_of(user)
        {
            None
        } else {
            self.items.get(&parent)?.drive.clone()
        };
        let name = meta.remove("name").unwrap_or_else(|| "Untitled".into());
        let mime_type = meta
            .remove("mimeType")
            .unwrap_or_else(|| "application/octet-stream".into());
        let is_folder = mime_type == FOLDER;
        let spaces = if parent == "appDataFolder" {
            "appDataFolder"
        } else {
            "drive"
        };
        for (field, value) in [
            ("kind", "drive#file".into()),
            ("id", id.clone().into()),
            ("name", name),
            ("mimeType", mime_type.clone()),
            ("parents", json!([parent])),
            ("trashed", false.into()),
            ("explicitlyTrashed", false.into()),
            ("spaces", json!([spaces])),
        ] {
            meta.insert(field.to_owned(), value);
        }
        for field in ["createdTime", "modifiedTime"] {
            meta.entry(field).or_insert_with(|| rfc3339(now).into());
        }
        if let Some(drive) = &drive {
            meta.insert("driveId".to_owned(), drive.clone().into());
        }
        let mut item = self.item(user, drive, Value::Object(meta), Content::default());
        item.is_opened = by_app;
        self.items.insert(id.clone(), item);
        let is_google = mime_type.as_str().is_some_and(is_google_type);
        match content {
            Some(content) => self.store(now, &id, content),
            None if !is_folder && !is_google => self.store(now, &id, Content::of(&Bytes::new())),
            None => {}
        }
        self.changed(now, &id);
        Some(id)
    }

    pub(super) fn add_file(
        &mut self,
        now: Timestamp,
        user: &str,
        parent: Option<&str>,
        name: &str,
        mime_type: &str,
        content: &Bytes,
    ) -> Option<String> {
        let mut meta = Map::new();
        meta.insert("name".to_owned(), name.into());
        meta.insert("mimeType".to_owned(), mime_type.into());
        if let Some(parent) = parent {
            meta.insert("parents".to_owned(), json!([parent]));
        }
        let content = (!is_google_type(mime_type)).then(|| Content::of(content));
        self.create(now, user, meta, content, false)
    }

    pub(super) fn add_drive(&mut self, now: Timestamp, user: &str, name: &str) -> String {
        let id = self.id("0B");
        let meta = json!({
            "kind": "drive#drive", "id": id, "name": name, "createdTime": rfc3339(now), "hidden": false,
            "capabilities": { "canAddChildren": true, "canEdit": true, "canDeleteDrive": true },
            "restrictions": { "domainUsersOnly": false, "driveMembersOnly": false },
        });
        let Value::Object(meta) = meta else {
            return id;
        };
        let members = vec![user.to_owned()];
        self.drives
            .insert(id.clone(), SharedDrive { meta, members });
        self.drive_changed(now, &id);
        id
    }

    /// Replaces the content of a file and adds a revision.
    pub(super) fn store(&mut self, now: Timestamp, id: &str, content: Content) {
        let revision = self.id("0B0");
        let Some(item) = self.items.get_mut(id) else {
            return;
        };
        item.meta
            .insert("size".to_owned(), content.length.to_string().into());
        item.meta
            .insert("sha256Checksum".to_owned(), content.sha256.clone().into());
        if let Some(md5) = &content.md5 {
            item.meta
                .insert("md5Checksum".to_owned(), md5.clone().into());
        }
        item.meta
            .insert("headRevisionId".to_owned(), revision.clone().into());
        item.meta
            .insert("modifiedTime".to_owned(), rfc3339(now).into());
        let entry = json!({
            "kind": "drive#revision", "id": revision, "mimeType": item.text("mimeType"),
            "modifiedTime": rfc3339(now), "keepForever": false, "published": false,
            "originalFilename": item.text("name"), "md5Checksum": content.md5,
            "size": content.length.to_string(),
        });
        item.revisions.push((entry, content.clone()));
        item.content = content;
    }

    pub(super) fn overwrite(&mut self, now: Timestamp, id: &str, content: &Bytes) -> bool {
        if !self.items.contains_key(id) {
            return false;
        }
        self.store(now, id, Content::of(content));
        self.changed(now, id);
        true
    }

    /// Changes metadata. Members with the value `null` are removed, and maps are merged.
    pub(super) fn edit(&mut self, now: Timestamp, id: &str, changes: &Value) -> bool {
        let Some(item) = self.items.get_mut(id) else {
            return false;
        };
        for (name, value) in changes.as_object().into_iter().flatten() {
            match (name.as_str(), value) {
                ("id" | "parents", _) => {}
                ("properties" | "appProperties", Value::Object(members)) => {
                    let all = item.meta.entry(name.as_str()).or_insert_with(|| json!({}));
                    for (key, value) in members {
                        all[key] = value.clone();
                    }
                    if let Some(all) = all.as_object_mut() {
                        all.retain(|_, it| !it.is_null());
                    }
                }
                ("trashed", value) => {
                    item.meta.insert("trashed".to_owned(), value.clone());
                    item.meta
                        .insert("explicitlyTrashed".to_owned(), value.clone());
                }
                (_, Value::Null) => drop(item.meta.remove(name)),
                _ => drop(item.meta.insert(name.clone(), value.clone())),
            }
        }
        if changes.get("modifiedTime").is_none() {
            item.meta
                .insert("modifiedTime".to_owned(), rfc3339(now).into());
        }
        self.changed(now, id);
        true
    }

    /// Deletes a file, including the files in a folder.
    pub(super) fn remove(&mut self, now: Timestamp, id: &str) {
        let children: Vec<String> = self
            .items
            .iter()
            .filter(|(_, it)| it.parents().iter().any(|parent| parent == id))
            .map(|(id, _)| id.clone())
            .collect();
        for child in children {
            self.remove(now, &child);
        }
        let readers = self.readers(id);
        let Some(item) = self.items.remove(id) else {
            return;
        };
        self.log(now, id, false, item.drive, readers.clone(), readers);
    }

    pub(super) fn leave_drive(&mut self, now: Timestamp, drive: &str, user: &str) {
        let Some(shared) = self.drives.get_mut(drive) else {
            return;
        };
        shared.members.retain(|it| it != user);
        let left = vec![user.to_owned()];
        self.log(now, drive, true, Some(drive.to_owned()), left.clone(), left);
    }

    pub(super) fn add_proposal(
        &mut self,
        now: Timestamp,
        file: &str,
        requester: &str,
    ) -> Option<String> {
        let id = self.id("proposal");
        let item = self.items.get_mut(file)?;
        item.proposals.push(json!({
            "fileId": file, "proposalId": id, "requesterEmailAddress": requester,
            "recipientEmailAddress": requester, "rolesAndViews": [{ "role": "reader" }],
            "requestMessage": "Please", "createTime": rfc3339(now),
        }));
        Some(id)
    }

    pub(super) fn count_named(&self, name: &str) -> usize {
        self.items
            .values()
            .filter(|it| it.text("name") == name)
            .count()
    }

    /// Returns the users who can access a file.
    pub(super) fn readers(&self, id: &str) -> Vec<String> {
        let Some(item) = self.items.get(id) else {
            return Vec::new();
        };
        let sees = |user: &&String| self.role_of(item, user).is_some();
        self.users.keys().filter(sees).cloned().collect()
    }

    /// Returns true if a user is a member of a shared drive.
    pub(super) fn is_member(&self, drive: &str, user: &str) -> bool {
        let drive = self.drives.get(drive);
        drive.is_some_and(|it| it.members.iter().any(|member| member == user))
    }

    /// Returns the strongest role of a user on a file, including roles from a shared drive.
    pub(super) fn role_of<'i>(&self, item: &'i Item, user: &str) -> Option<&'i str> {
        let drive = item.drive.as_deref();
        if drive.is_some_and(|it| self.is_member(it, user)) {
            return Some("organizer");
        }
        item.role(user, self.email(user))
    }

    pub(super) fn changed(&mut self, now: Timestamp, id: &str) {
        let readers = self.readers(id);
        let Some(item) = self.items.get_mut(id) else {
            return;
        };
        item.version += 1;
        let drive = item.drive.clone();
        self.log(now, id, false, drive, readers, Vec::new());
    }

    pub(super) fn drive_changed(&mut self, now: Timestamp, id: &str) {
        let members = self.drives.get(id).map(|it| it.members.clone());
        self.log(
            now,
            id,
            true,
            Some(id.to_owned()),
            members.unwrap_or_default(),
            Vec::new(),
        );
    }

    /// Adds a change, and notifies the channels that report the change.
    pub(super) fn log(
        &mut self,
        time: Timestamp,
        id: &str,
        is_drive: bool,
        drive: Option<String>,
        readers: Vec<String>,
        removed_for: Vec<String>,
    ) {
        self.position += 1;
        // Only the newest change of a file is listed. A reader without access to the newest change
        // keeps the older change.
        self.log.retain(|it| {
            it.id != id
                || it.is_drive != is_drive
                || !it.readers.iter().all(|reader| readers.contains(reader))
        });
        let logged = Logged {
            position: self.position,
            time,
            id: id.to_owned(),
            is_drive,
            drive,
            readers,
            removed_for,
        };
        self.notify(time, &logged);
        self.log.push(logged);
    }
}

/// Returns the id of a user's permissions.
pub(super) fn permission_id(user: &str) -> String {
    let digits = digest(&SHA256, user.as_bytes());
    let number = digits
        .as_ref()
        .iter()
        .take(8)
        .fold(0_u64, |all, byte| all << 8 | u64::from(*byte));
    format!("{number:020}")
}

pub(super) fn rfc3339(time: Timestamp) -> String {
    let text = time.to_string();
    match text.strip_suffix('Z') {
        Some(seconds) if !seconds.contains('.') => format!("{seconds}.000Z"),
        _ => text,
    }
}
