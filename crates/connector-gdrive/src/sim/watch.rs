//! Changes and watch channels.

use std::time::Duration;

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::Response;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};

use super::api::{Answer, Call, invalid, not_found, nothing, refused};
use super::files::describe;
use super::world::{Logged, World, permission_id, rfc3339};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

#[derive(Clone, PartialEq)]
enum What {
    Changes { drive: Option<String> },
    File(String),
}

pub(super) struct Channel {
    id: String,
    resource_id: String,
    resource_uri: String,
    what: What,
    user: String,
    token: Option<String>,
    address: String,
    expires: Timestamp,
    number: u64,
    /// States to report, without states that a later state includes.
    due: Vec<(u64, &'static str)>,
}

impl Channel {
    pub(super) fn watched(&self) -> String {
        match &self.what {
            What::Changes { drive: None } => "changes".to_owned(),
            What::Changes { drive: Some(drive) } => format!("changes?driveId={drive}"),
            What::File(file) => format!("files/{file}"),
        }
    }

    fn tell(&mut self, state: &'static str) {
        // Message numbers increase with gaps.
        self.number += if self.number == 0 { 1 } else { 2 };
        if self.due.iter().all(|(_, it)| *it != state) {
            self.due.push((self.number, state));
        }
    }

    fn reports(&self, change: &Logged) -> bool {
        if !change.readers.contains(&self.user) {
            return false;
        }
        match &self.what {
            What::Changes { drive: None } => true,
            What::Changes { drive } => *drive == change.drive,
            What::File(file) => !change.is_drive && *file == change.id,
        }
    }
}

/// A notification that Google would send.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Notification {
    /// Id of the channel.
    pub channel: String,
    /// Address of the channel.
    pub url: String,
    /// The request, with data in headers and an empty body.
    pub request: http::Request<Bytes>,
    number: u64,
    state: &'static str,
}

impl World {
    pub(super) fn notify(&mut self, now: Timestamp, change: &Logged) {
        if self.is_out {
            return;
        }
        let is_removed = !change.removed_for.is_empty();
        for channel in &mut self.channels {
            if now < channel.expires && channel.reports(change) {
                channel.tell(match &channel.what {
                    What::Changes { .. } => "change",
                    What::File(_) if is_removed => "remove",
                    What::File(_) => "update",
                });
            }
        }
    }

    pub(super) fn live_channels(&self, now: Timestamp) -> impl Iterator<Item = &Channel> {
        self.channels.iter().filter(move |it| now < it.expires)
    }

    pub(super) fn due_notifications(&mut self, now: Timestamp) -> Vec<Notification> {
        if self.is_out {
            return Vec::new();
        }
        let mut due = Vec::new();
        for channel in self.channels.iter_mut().filter(|it| now < it.expires) {
            for (number, state) in std::mem::take(&mut channel.due) {
                due.push(notification(channel, number, state));
            }
        }
        due
    }

    pub(super) fn answered(&mut self, notification: &Notification, status: u16) {
        if !matches!(status, 500 | 502 | 503 | 504) {
            return;
        }
        let mut channels = self.channels.iter_mut();
        if let Some(channel) = channels.find(|it| it.id == notification.channel)
            && channel
                .due
                .iter()
                .all(|(_, state)| *state != notification.state)
        {
            channel.due.push((notification.number, notification.state));
        }
    }
}

/// Returns a notification of a channel, with the channel's token. `number` is the number of the
/// message, and `state` is the state of the resource, for example `change`. Values that are invalid
/// in a header are left out.
#[must_use]
pub fn sign_notification(
    token: Option<&str>,
    channel: &str,
    (resource_id, resource_uri): (&str, &str),
    number: u64,
    state: &str,
) -> http::Request<Bytes> {
    let mut request = http::Request::new(Bytes::new());
    *request.method_mut() = Method::POST;
    let mut set = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            request
                .headers_mut()
                .insert(HeaderName::from_static(name), value);
        }
    };
    set(
        "user-agent",
        "APIs-Google; (+https://developers.google.com/webmasters/APIs-Google.html)",
    );
    set("x-goog-channel-id", channel);
    set("x-goog-message-number", &number.to_string());
    set("x-goog-resource-id", resource_id);
    set("x-goog-resource-state", state);
    set("x-goog-resource-uri", resource_uri);
    if let Some(token) = token {
        set("x-goog-channel-token", token);
    }
    if state == "update" {
        set("x-goog-changed", "content,properties");
    }
    request
}

fn notification(channel: &Channel, number: u64, state: &'static str) -> Notification {
    let request = sign_notification(
        channel.token.as_deref(),
        &channel.id,
        (&channel.resource_id, &channel.resource_uri),
        number,
        state,
    );
    Notification {
        channel: channel.id.clone(),
        url: channel.address.clone(),
        request,
        number,
        state,
    }
}

/// Checks that the user can access the shared drive in the request, if any.
fn drive_of(world: &World, call: &Call<'_>) -> Result<Option<String>, Response> {
    let Some(drive) = call.request.query("driveId") else {
        return Ok(None);
    };
    if world.is_member(&drive, call.user()) && call.is("supportsAllDrives") {
        return Ok(Some(drive));
    }
    Err(not_found(&drive))
}

pub(super) fn start(world: &World, call: &Call<'_>) -> Answer {
    drive_of(world, call)?;
    let token = (world.position + 1).to_string();
    let body = json!({ "kind": "drive#startPageToken", "startPageToken": token });
    call.reply(&body, "*")
}

fn position(call: &Call<'_>) -> Result<u64, Response> {
    let token = call
        .request
        .query("pageToken")
        .and_then(|it| it.parse().ok());
    token.ok_or_else(|| invalid("pageToken"))
}

pub(super) fn changes(world: &World, call: &Call<'_>) -> Answer {
    let drive = drive_of(world, call)?;
    let from = position(call)?;
    let size = call.number("pageSize", 100, 1000)?;
    let user = call.user().to_owned();
    let with_drives = call.is("supportsAllDrives") && call.is("includeItemsFromAllDrives");
    let listed: Vec<&Logged> = world
        .log
        .iter()
        .filter(|it| it.position >= from && it.readers.contains(&user))
        .filter(|it| drive.is_none() || it.drive == drive)
        .filter(|it| it.drive.is_none() || with_drives)
        .filter(|it| {
            let item = world.items.get(&it.id);
            it.is_drive
                || item.is_none_or(|item| call.sees(world, item) || it.removed_for.contains(&user))
        })
        .collect();
    let page: Vec<Value> = listed
        .iter()
        .take(size)
        .map(|it| change(world, &user, it))
        .collect();
    let mut body = json!({ "kind": "drive#changeList", "changes": page });
    if let Some(next) = listed.get(size) {
        body["nextPageToken"] = next.position.to_string().into();
    } else {
        body["newStartPageToken"] = (world.position + 1).to_string().into();
    }
    let default = "kind,nextPageToken,newStartPageToken,changes(kind,changeType,removed,time,fileId,driveId,\
        file(kind,id,name,mimeType),drive(kind,id,name))";
    call.reply(&body, default)
}

fn change(world: &World, user: &str, logged: &Logged) -> Value {
    let item = world.items.get(&logged.id);
    let mut change = json!({ "kind": "drive#change", "time": rfc3339(logged.time) });
    if logged.is_drive {
        let drive = world
            .drives
            .get(&logged.id)
            .filter(|_| world.is_member(&logged.id, user));
        change["changeType"] = "drive".into();
        change["driveId"] = logged.id.clone().into();
        change["removed"] = drive.is_none().into();
        if let Some(drive) = drive {
            change["drive"] = Value::Object(drive.meta.clone());
        }
        return change;
    }
    let item = item.filter(|it| world.role_of(it, user).is_some());
    change["changeType"] = "file".into();
    change["fileId"] = logged.id.clone().into();
    change["removed"] = item.is_none().into();
    if let Some(item) = item {
        change["file"] = describe(world, user, item);
    }
    change
}

pub(super) fn watch_changes(world: &mut World, call: &Call<'_>) -> Answer {
    let drive = drive_of(world, call)?;
    position(call)?;
    let uri = "https://www.googleapis.com/drive/v3/changes?alt=json";
    open(
        world,
        call,
        What::Changes { drive },
        uri.to_owned(),
        DAY * 7,
    )
}

pub(super) fn watch_file(world: &mut World, call: &Call<'_>, id: &str) -> Answer {
    call.find(world, id)?;
    let uri = format!("https://www.googleapis.com/drive/v3/files/{id}?alt=json");
    open(world, call, What::File(id.to_owned()), uri, DAY)
}

fn open(world: &mut World, call: &Call<'_>, what: What, uri: String, longest: Duration) -> Answer {
    let asked = call.request.json();
    let text = |name: &str| asked[name].as_str().map(str::to_owned);
    let id = text("id")
        .filter(|it| (1..=64).contains(&it.len()))
        .ok_or_else(|| invalid("id"))?;
    if world.used_channels.contains(&id) {
        return Err(refused(400, "channelIdNotUnique", "Channel id not unique"));
    }
    let address = text("address").unwrap_or_default();
    if asked["type"] != "web_hook" || !address.starts_with("https://") {
        return Err(refused(
            400,
            "push.webhookUrlNotHttps",
            "WebHook callback must be HTTPS",
        ));
    }
    let token = text("token");
    if token.as_ref().is_some_and(|it| it.len() > 256) {
        return Err(invalid("token"));
    }
    let now = call.now.as_unix_millis();
    let asked_for = text("expiration").and_then(|it| it.parse::<i64>().ok());
    let most = call.now.after(longest).as_unix_millis();
    let ends = asked_for.map_or(call.now.after(HOUR).as_unix_millis(), |it| it.min(most));
    let life = u64::try_from(ends - now).map_err(|_| invalid("expiration"))?;
    let resource_id = permission_id(&format!(
        "{}{uri}{}",
        call.user(),
        match &what {
            What::Changes { drive: Some(drive) } => drive.as_str(),
            _ => "",
        }
    ));
    let body = json!({
        "kind": "api#channel", "id": id, "resourceId": resource_id, "resourceUri": uri,
        "token": token, "expiration": ends.to_string(),
    });
    let mut channel = Channel {
        id: id.clone(),
        resource_id,
        resource_uri: uri,
        what,
        user: call.user().to_owned(),
        token,
        address,
        expires: call.now.after(Duration::from_millis(life)),
        number: 0,
        due: Vec::new(),
    };
    channel.tell("sync");
    world.used_channels.push(id);
    world.channels.push(channel);
    Ok(Response::json(200, &body))
}

pub(super) fn stop(world: &mut World, call: &Call<'_>) -> Answer {
    let asked = call.request.json();
    let before = world.channels.len();
    world.channels.retain(|it| {
        it.user != call.user()
            || asked["id"] != *it.id
            || asked["resourceId"] != *it.resource_id
            || call.now >= it.expires
    });
    if world.channels.len() == before {
        let id = asked["id"].as_str().unwrap_or_default();
        return Err(refused(
            404,
            "notFound",
            &format!("Channel '{id}' not found for project"),
        ));
    }
    Ok(nothing())
}
