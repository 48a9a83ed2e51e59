use connector_core::Result;
use connector_core::api::{Idempotency, Page, PageCursor, Request, Response};
use connector_core::http::limit::Draws;
use connector_core::provider::{Endpoint, PagedEndpoint};
use http::Method;
use serde::Deserialize;

use super::{DriveOperation, Operation, Parameters, operation, scopes, to};
use crate::DriveClient;
use crate::limits::cost;
use crate::models::{Change, Channel, FileId, Mask, StartPageToken, WatchRequest};

operation! {
    /// Returns the current position in the changes, from which later changes can be listed.
    ///
    /// See [Google Drive docs: changes.getStartPageToken](https://developers.google.com/workspace/drive/api/reference/rest/v3/changes/getStartPageToken).
    GetStartPageToken();
    "changes.getStartPageToken" GET "/drive/v3/changes/startPageToken";
    Safe READ READ;
    set ["supportsAllDrives" = "true"];
    query {
        /// Returns the position in the changes of this shared drive instead.
        with_drive_id("driveId"): String,
    }
    returns json(StartPageToken) Mask::new()
}

/// Fields of a change that are requested by default.
const FIELDS: &str = "changeType,removed,time,fileId,driveId,\
    file(id,name,mimeType,parents,size,md5Checksum,sha256Checksum,headRevisionId,version,createdTime,\
    modifiedTime,trashed,explicitlyTrashed,driveId,shared,ownedByMe,shortcutDetails,appProperties,\
    webViewLink,resourceKey),drive(id,name,createdTime,hidden)";

/// Lists the changes after a position, page by page: either all changes that the user can access,
/// or those of one shared drive. A file with several changes is listed once, in its current state.
///
/// See [Google Drive docs: changes.list](https://developers.google.com/workspace/drive/api/reference/rest/v3/changes/list).
#[derive(Debug, Clone)]
#[must_use]
pub struct ListChanges {
    page_token: String,
    fields: String,
    parameters: Parameters,
}

impl ListChanges {
    /// Creates a list of the changes after this position.
    pub fn new(page_token: impl Into<String>) -> Self {
        Self {
            page_token: page_token.into(),
            fields: FIELDS.to_owned(),
            parameters: Parameters::default(),
        }
    }

    /// Lists the changes of this shared drive only.
    pub fn in_drive(mut self, drive: &FileId) -> Self {
        self.parameters.set("driveId", drive.to_string());
        self
    }

    /// Sets the maximum number of changes per page: 1 to 1,000. Default: 100.
    pub fn with_page_size(mut self, size: u32) -> Self {
        self.parameters.set("pageSize", size.to_string());
        self
    }

    /// Sets the spaces to search: `drive`, `appDataFolder`.
    pub fn with_spaces(mut self, spaces: impl Into<String>) -> Self {
        self.parameters.set("spaces", spaces.into());
        self
    }

    /// Sets whether the list contains only changes in My Drive. Files that are only shared with the
    /// user are then excluded.
    pub fn with_restrict_to_my_drive(mut self, is_restricted: bool) -> Self {
        self.parameters
            .set("restrictToMyDrive", is_restricted.to_string());
        self
    }

    /// Sets whether a removed file stays in the list if the user can still access the file, for
    /// example after leaving the shared drive that contains it.
    pub fn with_include_corpus_removals(mut self, is_included: bool) -> Self {
        self.parameters
            .set("includeCorpusRemovals", is_included.to_string());
        self
    }

    /// Sets the returned fields of each change.
    pub fn with_fields(mut self, mask: &Mask<Change>) -> Self {
        mask.as_str().clone_into(&mut self.fields);
        self
    }

    fn request_to(&self, method: Method, path: &str, fields: Option<String>) -> Result<Request> {
        let fixed = [
            ("pageToken", self.page_token.as_str()),
            ("includeRemoved", "true"),
            ("supportsAllDrives", "true"),
            ("includeItemsFromAllDrives", "true"),
        ];
        to(method, path, &[], &fixed, &self.parameters, fields)
    }
}

/// A page of changes, with the position that follows the page.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ChangePage {
    #[serde(default)]
    pub(crate) changes: Vec<Change>,
    #[serde(default)]
    pub(crate) next_page_token: Option<String>,
    /// Position for future changes. Present on the last page only.
    #[serde(default)]
    pub(crate) new_start_page_token: Option<String>,
}

/// Query parameters of the list and watch operations.
const PARAMETERS: &[(&str, &str)] = &[
    ("pageToken", "fixed"),
    ("includeRemoved", "fixed"),
    ("supportsAllDrives", "fixed"),
    ("includeItemsFromAllDrives", "fixed"),
    ("driveId", "String"),
    ("pageSize", "u32"),
    ("spaces", "String"),
    ("restrictToMyDrive", "bool"),
    ("includeCorpusRemovals", "bool"),
];

impl DriveOperation for ListChanges {
    const OPERATION: Operation = Operation {
        name: "ListChanges",
        id: "changes.list",
        method: "GET",
        path: "/drive/v3/changes",
        scopes: scopes::READ,
        arguments: &[],
        parameters: PARAMETERS,
    };
    const COST: u32 = cost::LIST;
}

impl Endpoint for ListChanges {
    type Client = DriveClient;
    type Output = Page<Change>;
    const NAME: &'static str = "ListChanges";
    const IDEMPOTENCY: Idempotency = Idempotency::Safe;
    const SCOPES: &'static [&'static str] = scopes::READ;

    fn draws(&self) -> Draws {
        Draws::cost(Self::COST)
    }

    fn request(&self) -> Result<Request> {
        let fields = format!("nextPageToken,newStartPageToken,changes({})", self.fields);
        self.request_to(Method::GET, Self::OPERATION.path, Some(fields))
    }

    fn decode(&self, response: &mut Response) -> Result<Page<Change>> {
        let page: ChangePage = response.json()?;
        Ok(Page::new(
            page.changes,
            page.next_page_token.map(PageCursor::new),
        ))
    }
}

impl PagedEndpoint for ListChanges {
    type Item = Change;

    fn at(&self, cursor: &PageCursor) -> Self {
        let mut next = self.clone();
        cursor.as_str().clone_into(&mut next.page_token);
        next
    }
}

/// Endpoint for one page of changes, with the position that follows the page. The worker stores the
/// position as its cursor.
pub(crate) struct ReadChanges(pub(crate) ListChanges);

impl Endpoint for ReadChanges {
    type Client = DriveClient;
    type Output = ChangePage;
    const NAME: &'static str = ListChanges::NAME;
    const IDEMPOTENCY: Idempotency = ListChanges::IDEMPOTENCY;
    const SCOPES: &'static [&'static str] = ListChanges::SCOPES;

    fn draws(&self) -> Draws {
        self.0.draws()
    }

    fn request(&self) -> Result<Request> {
        self.0.request()
    }

    fn decode(&self, response: &mut Response) -> Result<ChangePage> {
        response.json()
    }
}

/// Opens a watch channel for all changes that the user can access, or for those of one shared
/// drive.
///
/// Subscriptions of the hub open channels automatically; see `docs/providers/gdrive.md`.
///
/// See [Google Drive docs: changes.watch](https://developers.google.com/workspace/drive/api/reference/rest/v3/changes/watch).
#[derive(Debug, Clone)]
#[must_use]
pub struct WatchChanges {
    changes: ListChanges,
    channel: WatchRequest,
}

impl WatchChanges {
    /// Creates a request for a channel that reports the changes that `changes` would list.
    pub const fn new(changes: ListChanges, channel: WatchRequest) -> Self {
        Self { changes, channel }
    }
}

impl DriveOperation for WatchChanges {
    const OPERATION: Operation = Operation {
        name: "WatchChanges",
        id: "changes.watch",
        method: "POST",
        path: "/drive/v3/changes/watch",
        scopes: scopes::READ,
        arguments: &[],
        parameters: PARAMETERS,
    };
    const COST: u32 = cost::OTHER;
}

impl Endpoint for WatchChanges {
    type Client = DriveClient;
    type Output = Channel;
    const NAME: &'static str = "WatchChanges";
    const IDEMPOTENCY: Idempotency = Idempotency::Never;
    const SCOPES: &'static [&'static str] = scopes::READ;

    fn draws(&self) -> Draws {
        Draws::cost(Self::COST)
    }

    fn request(&self) -> Result<Request> {
        let changes = &self.changes;
        changes
            .request_to(Method::POST, Self::OPERATION.path, None)?
            .json(&self.channel)
    }

    fn decode(&self, response: &mut Response) -> Result<Channel> {
        response.json()
    }
}

operation! {
    /// Opens a watch channel for one file.
    ///
    /// See [Google Drive docs: files.watch](https://developers.google.com/workspace/drive/api/reference/rest/v3/files/watch).
    WatchFile(file_id: FileId; channel: WatchRequest);
    "files.watch" POST "/drive/v3/files/{fileId}/watch";
    Never READ OTHER;
    set ["supportsAllDrives" = "true"];
    returns json(Channel) Mask::new()
}

operation! {
    /// Stops a watch channel. The request needs the resource id that Google returned when the
    /// channel was opened. This id is not the id of a file.
    ///
    /// See [Google Drive docs: channels.stop](https://developers.google.com/workspace/drive/api/reference/rest/v3/channels/stop).
    StopChannel(; channel: WatchRequest);
    "channels.stop" POST "/drive/v3/channels/stop";
    Safe READ OTHER;
    returns nothing
}
