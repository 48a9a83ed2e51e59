//! Routes of the simulator, and checks that apply to all routes.

use bytes::Bytes;
use connector_core::clock::Timestamp;
use connector_sim::{Grant, Request, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method};
use serde_json::{Value, json};
use url::Url;

use super::parts::{header, parts, split};
use super::world::{Item, World, permission_id};
use super::{files, mask, review, sharing, upload, watch};
use crate::endpoints::OPERATIONS;

/// A response, or an error response.
pub(super) type Answer = Result<Response, Response>;

pub(super) fn refused(status: u16, reason: &str, message: &str) -> Response {
    let domain = match reason {
        "userRateLimitExceeded" | "rateLimitExceeded" | "storageQuotaExceeded" => "usageLimits",
        _ => "global",
    };
    Response::json(
        status,
        &json!({ "error": {
        "code": status, "message": message,
        "errors": [{ "domain": domain, "reason": reason, "message": message }],
    } }),
    )
}

/// Returns an error response about a parameter.
fn refused_at(status: u16, reason: &str, message: &str, parameter: &str) -> Response {
    Response::json(
        status,
        &json!({ "error": {
        "code": status, "message": message, "errors": [{
            "domain": "global", "reason": reason, "message": message,
            "locationType": "parameter", "location": parameter,
        }],
    } }),
    )
}

pub(super) fn invalid(parameter: &str) -> Response {
    let message = format!("Invalid Value: {parameter}");
    refused_at(400, "invalid", &message, parameter)
}

pub(super) fn not_found(what: &str) -> Response {
    let message = format!("File not found: {what}.");
    refused_at(404, "notFound", &message, "fileId")
}

pub(super) fn forbidden() -> Response {
    let message = "The user does not have sufficient permissions for this file.";
    refused(403, "insufficientFilePermissions", message)
}

pub(super) fn nothing() -> Response {
    Response::new(204, "text/plain", "")
}

pub(super) struct Call<'a> {
    pub(super) now: Timestamp,
    pub(super) request: &'a Request,
    pub(super) grant: &'a Grant,
}

impl Call<'_> {
    pub(super) fn user(&self) -> &str {
        &self.grant.account
    }

    pub(super) fn is(&self, parameter: &str) -> bool {
        self.request.query(parameter).as_deref() == Some("true")
    }

    pub(super) fn number(
        &self,
        parameter: &str,
        default: usize,
        most: usize,
    ) -> Result<usize, Response> {
        match self.request.query(parameter) {
            None => Ok(default),
            Some(text) => {
                let number = text.parse().ok().filter(|it| (1..=most).contains(it));
                number.ok_or_else(|| invalid(parameter))
            }
        }
    }

    /// True if the granted scopes include files that the app did not create and the user did not
    /// open with the app.
    fn sees_all(&self) -> bool {
        let wide = [
            "drive",
            "drive.readonly",
            "drive.metadata",
            "drive.metadata.readonly",
        ];
        let prefix = "https://www.googleapis.com/auth/";
        let mut scopes = self
            .grant
            .scopes
            .iter()
            .filter_map(|it| it.strip_prefix(prefix));
        scopes.any(|scope| wide.contains(&scope))
    }

    /// Returns true if the connection can access `item` with this request.
    pub(super) fn sees(&self, world: &World, item: &Item) -> bool {
        world.role_of(item, self.user()).is_some() && (self.sees_all() || item.is_opened)
    }

    /// Resolves an alias to an id.
    pub(super) fn resolve(&self, id: &str) -> String {
        match id {
            "root" => World::root_of(self.user()),
            id => id.to_owned(),
        }
    }

    /// Returns the file with this id, if the connection can access the file. For operations without
    /// the parameter `supportsAllDrives`.
    pub(super) fn visible<'w>(&self, world: &'w World, id: &str) -> Result<&'w Item, Response> {
        let item = world.items.get(&self.resolve(id));
        item.filter(|it| self.sees(world, it))
            .ok_or_else(|| not_found(id))
    }

    /// Returns the file with this id, if the connection can access the file with this request.
    pub(super) fn find<'w>(&self, world: &'w World, id: &str) -> Result<&'w Item, Response> {
        let id = self.resolve(id);
        let item = self.visible(world, &id)?;
        if item.drive.is_some() && !self.is("supportsAllDrives") {
            return Err(not_found(&id));
        }
        Ok(item)
    }

    /// Returns the file with this id, if the user has one of these roles.
    pub(super) fn writable<'w>(
        &self,
        world: &'w World,
        id: &str,
        roles: &[&str],
    ) -> Result<&'w Item, Response> {
        let item = self.find(world, id)?;
        self.check_role(world, item, roles)?;
        Ok(item)
    }

    /// Checks that the user has one of these roles on `item`.
    pub(super) fn check_role(
        &self,
        world: &World,
        item: &Item,
        roles: &[&str],
    ) -> Result<(), Response> {
        match world.role_of(item, self.user()) {
            Some(role) if roles.contains(&role) => Ok(()),
            _ => Err(forbidden()),
        }
    }

    /// Checks that the request has a field mask. For operations that require one.
    pub(super) fn check_mask(&self) -> Result<(), Response> {
        if self.request.query("fields").is_some() {
            return Ok(());
        }
        let message = "The 'fields' parameter is required for this method.";
        Err(refused(400, "required", message))
    }

    /// Returns a response with the requested fields, or with the fields of `default` if the request
    /// has no mask.
    pub(super) fn reply(&self, body: &Value, default: &str) -> Answer {
        let fields = self.request.query("fields");
        let fields = fields.as_deref().unwrap_or(default);
        let body = mask::apply(fields, body).ok_or_else(|| invalid("fields"))?;
        Ok(Response::json(200, &body))
    }

    /// Returns a page of `items` under `name`. The page token contains the position of the next
    /// page and all parameters.
    pub(super) fn page(
        &self,
        name: &str,
        items: Vec<Value>,
        size: usize,
        kind: &str,
        default: &str,
    ) -> Answer {
        let mut others: Vec<(String, String)> =
            self.request.url().query_pairs().into_owned().collect();
        others.retain(|(name, _)| name != "pageToken");
        let mark = permission_id(&format!("{}{others:?}", self.request.path()));
        let start = match self.request.query("pageToken") {
            None => 0,
            Some(token) => {
                let place = token.strip_prefix(&format!("~!!~{mark}-"));
                let place = place.and_then(|it| it.parse::<usize>().ok());
                place.ok_or_else(|| invalid("pageToken"))?
            }
        };
        let total = items.len();
        let page: Vec<Value> = items.into_iter().skip(start).take(size).collect();
        let end = start + page.len();
        let mut body = json!({ "kind": kind });
        body[name] = page.into();
        if end < total {
            body["nextPageToken"] = format!("~!!~{mark}-{end}").into();
        }
        self.reply(&body, default)
    }
}

fn is_at(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template.zip(path).all(|(part, found)| {
            let (part, verb) = part
                .split_once(':')
                .map_or((part, None), |(a, b)| (a, Some(b)));
            let (found, found_verb) = found
                .split_once(':')
                .map_or((found, None), |(a, b)| (a, Some(b)));
            verb == found_verb && (part.starts_with('{') || part == found)
        })
}

/// Checks that the grant has the scopes that the operation needs.
fn check_scopes(call: &Call<'_>) -> Result<(), Response> {
    let is_media = call.request.query("alt").as_deref() == Some("media");
    let here = OPERATIONS.iter().filter(|it| {
        it.method == call.request.method().as_str()
            && is_at(it.path, call.request.path())
            && it.parameters.contains(&("alt", "fixed")) == is_media
    });
    let here: Vec<_> = here.collect();
    let opens = |scope: &String| {
        let mut lists = here.iter().flat_map(|it| it.scopes);
        lists.any(|list| list.split(' ').any(|it| it == scope))
    };
    if here.is_empty() || call.grant.scopes.iter().any(opens) {
        return Ok(());
    }
    let message = "Request had insufficient authentication scopes.";
    Err(Response::json(
        403,
        &json!({ "error": {
        "code": 403, "message": message, "status": "PERMISSION_DENIED",
        "errors": [{ "domain": "global", "reason": "insufficientPermissions", "message": "Insufficient Permission" }],
        "details": [{ "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "ACCESS_TOKEN_SCOPE_INSUFFICIENT", "domain": "googleapis.com" }],
    } }),
    ))
}

pub(super) fn answer(
    world: &mut World,
    now: Timestamp,
    request: &Request,
    grant: &Grant,
) -> Response {
    if world.is_out {
        return refused(503, "backendError", "Backend Error");
    }
    if let Some(answer) = upload::session(world, now, request) {
        return answer;
    }
    let call = Call {
        now,
        request,
        grant,
    };
    let segments: Vec<&str> = request.path().split('/').skip(1).collect();
    let answer = match segments.as_slice() {
        ["batch", "drive", "v3"] if *request.method() == Method::POST => batch(world, &call),
        _ => check_scopes(&call).and_then(|()| route(world, &call, &segments)),
    };
    answer.unwrap_or_else(|refusal| refusal)
}

fn route(world: &mut World, call: &Call<'_>, segments: &[&str]) -> Answer {
    let method = call.request.method().as_str();
    if let ["upload", "drive", "v3", "files", rest @ ..] = segments {
        return upload::begin(world, call, method, rest);
    }
    let ["drive", "v3", path @ ..] = segments else {
        return Err(not_found("path"));
    };
    match (method, path) {
        ("GET", ["about"]) => files::about(world, call),
        (_, ["files", id, "permissions", rest @ ..]) => {
            sharing::permissions(world, call, method, id, rest)
        }
        (_, ["files", id, "revisions", rest @ ..]) => {
            sharing::revisions(world, call, method, id, rest)
        }
        (_, ["files", id, "comments", rest @ ..]) => {
            sharing::comments(world, call, method, id, rest)
        }
        (_, ["files", id, "accessproposals", rest @ ..]) => {
            sharing::proposals(world, call, method, id, rest)
        }
        ("GET", ["files", id, "listLabels"]) => review::labels(world, call, id),
        ("POST", ["files", id, "modifyLabels"]) => review::modify_labels(world, call, id),
        ("POST", ["files", id, "approvals:start"]) => review::start(world, call, id),
        (_, ["files", id, "approvals", rest @ ..]) => {
            review::approvals(world, call, method, id, rest)
        }
        ("POST", ["files", id, "watch"]) => watch::watch_file(world, call, id),
        (_, ["files", rest @ ..]) => files::files(world, call, method, rest),
        ("GET", ["operations", name]) => files::operation(world, name),
        (_, ["drives", rest @ ..]) => sharing::drives(world, call, method, rest),
        ("GET", ["changes", "startPageToken"]) => watch::start(world, call),
        ("GET", ["changes"]) => watch::changes(world, call),
        ("POST", ["changes", "watch"]) => watch::watch_changes(world, call),
        ("POST", ["channels", "stop"]) => watch::stop(world, call),
        _ => Err(not_found("path")),
    }
}

/// Processes a batch of up to 100 calls. The responses are returned in a different order.
fn batch(world: &mut World, call: &Call<'_>) -> Answer {
    const BOUNDARY: &str = "batch_answers";
    let calls = parts(call.request.header("content-type"), call.request.body());
    let mut answers = Vec::new();
    for part in calls.ok_or_else(|| invalid("body"))? {
        let id = part
            .header("content-id")
            .map(|it| it.trim_matches(['<', '>']));
        // A call without a body can end after its last header.
        let whole = || {
            (
                String::from_utf8_lossy(&part.body).into_owned(),
                Bytes::new(),
            )
        };
        let (head, body) = split(&part.body).unwrap_or_else(whole);
        let mut line = head.lines().next().unwrap_or_default().split(' ');
        let method = line.next().and_then(|it| it.parse::<Method>().ok());
        let target = line.next().unwrap_or("/");
        let url = Url::parse(&format!("https://www.googleapis.com{target}"));
        let (Some(id), Some(method), Ok(url)) = (id, method, url) else {
            return Err(invalid("part"));
        };
        let mut headers = HeaderMap::new();
        if let Some(kind) = header(&head, "content-type").and_then(|it| it.parse().ok()) {
            headers.insert(CONTENT_TYPE, kind);
        }
        let inner = Request::new(method, url, headers, body);
        let answer = answer(world, call.now, &inner, call.grant);
        let text = String::from_utf8_lossy(answer.body()).into_owned();
        answers.push(format!(
            "--{BOUNDARY}\r\nContent-Type: application/http\r\nContent-ID: <response-{id}>\r\n\r\n\
             HTTP/1.1 {} Status\r\nContent-Type: application/json; charset=UTF-8\r\nContent-Length: {}\r\n\r\n{text}\r\n",
            answer.status(),
            text.len(),
        ));
    }
    if answers.is_empty() || answers.len() > 100 {
        return Err(refused(
            400,
            "badRequest",
            "The batch must have 1 to 100 calls.",
        ));
    }
    answers.reverse();
    let body = answers.concat() + "--" + BOUNDARY + "--\r\n";
    Ok(Response::new(
        200,
        "multipart/mixed; boundary=batch_answers",
        body,
    ))
}
