//! File uploads.

use connector_core::clock::Timestamp;
use connector_sim::{Request, Response};
use serde_json::{Value, json};

use super::api::invalid;
use super::world::{World, minute, uuid};

const MIB: usize = 1024 * 1024;
/// Time after which an import completes, and time after which an upload expires, in seconds.
const IMPORT: u64 = 10;
const EXPIRY: u64 = 3600;

pub(super) struct Upload {
    pub(super) name: String,
    content_type: String,
    mode: String,
    url: String,
    created: Timestamp,
    parts: Vec<Option<usize>>,
    status: &'static str,
}

impl Upload {
    pub(super) fn is_uploaded(&self) -> bool {
        self.status == "uploaded"
    }

    fn update(&mut self, now: Timestamp) {
        let passed = now.since(self.created).as_secs();
        if self.status != "pending" {
            return;
        }
        if self.mode == "external_url" && passed >= IMPORT {
            self.status = if self.url.contains("missing") {
                "failed"
            } else {
                "uploaded"
            };
        } else if passed >= EXPIRY {
            self.status = "expired";
        }
    }

    fn shown(&self, id: &str) -> Value {
        let length: usize = self.parts.iter().flatten().sum();
        let mut shown = json!({
            "object": "file_upload", "id": id, "created_time": minute(self.created),
            "last_edited_time": minute(self.created),
            "created_by": { "id": uuid('b', 1), "type": "bot" }, "in_trash": false,
            "archived": false, "status": self.status, "filename": self.name,
            "content_type": self.content_type, "content_length": length, "expiry_time": null,
        });
        if self.status == "pending" {
            shown["content_length"] = Value::Null;
            shown["upload_url"] =
                format!("https://api.notion.com/v1/file_uploads/{id}/send").into();
        }
        if self.mode == "multi_part" {
            let sent = self.parts.iter().flatten().count();
            shown["number_of_parts"] = json!({ "total": self.parts.len(), "sent": sent });
        }
        let imported = |kind: &str, value: Value| json!({ "type": kind, "imported_time": minute(self.created), kind: value });
        match (self.mode.as_str(), self.status) {
            ("external_url", "uploaded") => {
                shown["file_import_result"] = imported("success", json!({}));
            }
            ("external_url", "failed") => {
                let error = json!({
                    "type": "download_error", "code": "file_not_found", "message": "m",
                    "parameter": null, "status_code": 404,
                });
                shown["file_import_result"] = imported("error", error);
            }
            _ => {}
        }
        shown
    }
}

impl World {
    pub(super) fn create_upload(
        &mut self,
        now: Timestamp,
        body: &Value,
    ) -> Result<Value, Response> {
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let mode = body["mode"].as_str().unwrap_or("single_part").to_owned();
        let parts = match mode.as_str() {
            "single_part" => 1,
            "multi_part" => match body["number_of_parts"].as_u64() {
                Some(parts @ 1..=1000) => usize::try_from(parts).unwrap_or(1),
                _ => return Err(invalid("number_of_parts should be 1 to 1000")),
            },
            "external_url" if text("external_url").starts_with("https://") => 0,
            _ => return Err(invalid("body.mode or body.external_url is not accepted")),
        };
        if text("filename").len() > 900 {
            return Err(invalid("filename is too long"));
        }
        let upload = Upload {
            name: text("filename"),
            content_type: text("content_type"),
            url: text("external_url"),
            mode,
            created: now,
            parts: vec![None; parts],
            status: "pending",
        };
        let id = self.id('4');
        let shown = upload.shown(&id);
        self.uploads.insert(id, upload);
        Ok(shown)
    }

    pub(super) fn upload(&mut self, now: Timestamp, id: &str) -> Option<Value> {
        let upload = self.uploads.get_mut(id)?;
        upload.update(now);
        Some(upload.shown(id))
    }

    pub(super) fn send_upload(
        &mut self,
        now: Timestamp,
        id: &str,
        request: &Request,
    ) -> Result<Value, Response> {
        let form = form(request).ok_or_else(|| invalid("the body is not a form"))?;
        let file = form.iter().find(|(name, _)| name == "file");
        let length = file
            .map(|(_, body)| body.len())
            .ok_or_else(|| invalid("no file"))?;
        let number = form.iter().find(|(name, _)| name == "part_number");
        let number = number.and_then(|(_, body)| std::str::from_utf8(body).ok()?.parse().ok());
        let upload = self
            .uploads
            .get_mut(id)
            .ok_or_else(|| super::api::not_found(id))?;
        upload.update(now);
        if upload.status != "pending" || upload.mode == "external_url" {
            return Err(invalid("the upload does not accept a file"));
        }
        let (at, is_last) = match (upload.mode.as_str(), number) {
            ("single_part", None) => (0, true),
            ("multi_part", Some(number)) if (1..=upload.parts.len()).contains(&number) => {
                (number - 1, number == upload.parts.len())
            }
            _ => return Err(invalid("part_number is not accepted")),
        };
        if length > 20 * MIB || (!is_last && length < 5 * MIB) {
            return Err(invalid("a part must have 5 to 20 MiB"));
        }
        upload.parts[at] = Some(length);
        if upload.mode == "single_part" {
            upload.status = "uploaded";
        }
        Ok(upload.shown(id))
    }

    pub(super) fn complete_upload(&mut self, id: &str) -> Result<Value, Response> {
        let upload = self
            .uploads
            .get_mut(id)
            .ok_or_else(|| super::api::not_found(id))?;
        let is_whole = upload.parts.iter().all(Option::is_some);
        if upload.mode != "multi_part" || upload.status != "pending" || !is_whole {
            return Err(invalid("a part is missing"));
        }
        upload.status = "uploaded";
        Ok(upload.shown(id))
    }
}

/// Parses the parts of a form (RFC 7578) into names and bodies.
fn form(request: &Request) -> Option<Vec<(String, Vec<u8>)>> {
    let kind = request.header("content-type");
    let boundary = kind
        .strip_prefix("multipart/form-data; boundary=")?
        .trim_matches('"');
    let boundary = format!("--{boundary}");
    let body = request.body();
    let find = |from: usize, wanted: &[u8]| {
        let rest = body.get(from..)?;
        rest.windows(wanted.len())
            .position(|it| it == wanted)
            .map(|at| from + at)
    };
    let mut parts = Vec::new();
    let mut at = find(0, boundary.as_bytes())? + boundary.len();
    while body.get(at..at + 2)? == b"\r\n" {
        let head = find(at, b"\r\n\r\n")?;
        let end = find(head + 4, format!("\r\n{boundary}").as_bytes())?;
        let text = String::from_utf8_lossy(body.get(at..head)?).into_owned();
        let name = text.split("name=\"").nth(1)?.split('"').next()?.to_owned();
        parts.push((name, body.get(head + 4..end)?.to_vec()));
        at = end + 2 + boundary.len();
    }
    Some(parts)
}
