//! The method, path, query and body of every operation, as a server receives them. If Google's
//! discovery document is available, the query and the body of each request are checked against the
//! document: names, types and required members.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use connector_core::ErrorKind;
use connector_core::api::{FixedToken, Session, UploadBody};
use connector_core::http::Origin;
use connector_core::provider::{Endpoint, ProviderClient as _};
use connector_gdrive::endpoints::{
    ApproveApproval, CancelApproval, CommentApproval, CopyFile, CreateComment, CreateDrive,
    CreateFile, CreateIdentifiedFile, CreatePermission, CreateReply, DeclineApproval,
    DeleteComment, DeleteDrive, DeleteFile, DeletePermission, DeleteReply, DeleteRevision,
    DownloadFile, DownloadRange, DownloadRevision, EmptyTrash, ExportFile, GenerateIds, GetAbout,
    GetAccessProposal, GetApproval, GetComment, GetDrive, GetFile, GetOperation, GetPermission,
    GetReply, GetRevision, GetStartPageToken, HideDrive, ListAccessProposals, ListApprovals,
    ListChanges, ListComments, ListDrives, ListFileLabels, ListFiles, ListPermissions, ListReplies,
    ListRevisions, ModifyFileLabels, OPERATIONS, ReassignApproval, ResolveAccessProposal,
    StartApproval, StartDownload, StartUpload, StartUploadOver, StopChannel, UnhideDrive,
    UpdateComment, UpdateDrive, UpdateFile, UpdatePermission, UpdateReply, UpdateRevision,
    UploadMultipart, UploadMultipartOver, UploadSimple, UploadSimpleOver, WatchChanges, WatchFile,
};
use connector_gdrive::models::{
    AddReviewer, ApprovalMessage, ApprovalStart, CommentWrite, DriveChanges, FileId, FileMetadata,
    LabelChanges, LabelFieldModification, LabelModification, NewDrive, PermissionChanges, Query,
    ReplaceReviewer, ReplyWrite, Resolution, ReviewerChanges, RevisionChanges, Role, WatchRequest,
};
use connector_gdrive::{DriveClient, GoogleDrive, GoogleDriveConfig};
use connector_http::HttpClient;
use connector_testkit::described::Verdict;
use mockito::Matcher;
use serde_json::{Value, json};

use crate::rig::described;

/// Name, method, path, query and body of a request.
type Sent = (
    &'static str,
    String,
    String,
    Vec<(String, String)>,
    Option<Value>,
);

/// A server that replaces Google.
struct Wire {
    server: mockito::ServerGuard,
    drive: GoogleDrive,
    transport: Arc<HttpClient>,
    /// Sent operations.
    sent: Mutex<Vec<Sent>>,
}

impl Wire {
    async fn new() -> Self {
        let server = mockito::Server::new_async().await;
        let config = GoogleDriveConfig::builder().with_simulator(server.socket_address());
        let config = config.build().unwrap();
        let mut transport = HttpClient::builder();
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        Self {
            server,
            drive: GoogleDrive::new(config),
            transport: Arc::new(transport.build().unwrap()),
            sent: Mutex::default(),
        }
    }

    fn client(&self) -> DriveClient {
        let origin = Origin::parse("https://www.googleapis.com").unwrap();
        let token = Arc::new(FixedToken::new(origin, "a-token"));
        let transport = Arc::<HttpClient>::clone(&self.transport);
        DriveClient::new(Session::builder(&self.drive, token, transport).build())
    }

    /// Sends an operation and compares the received request with `line` and `body`. `line` does not
    /// contain the query parameter `fields`.
    async fn send<E>(&mut self, endpoint: E, line: &str, body: Option<Value>, answer: Value)
    where
        E: Endpoint<Client = DriveClient>,
    {
        let (method, target) = line.split_once(' ').unwrap();
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let request = endpoint.request().unwrap();
        let (_, sent) = request.target().split_once('?').unwrap_or(("", ""));
        let pairs: Vec<(String, String)> = url::form_urlencoded::parse(sent.as_bytes())
            .into_owned()
            .collect();
        let without: Vec<String> = sent
            .split('&')
            .filter(|it| !it.starts_with("fields=") && !it.is_empty())
            .map(str::to_owned)
            .collect();
        assert_eq!(without.join("&"), query, "{line}");
        let expected = body
            .clone()
            .map_or(Matcher::Exact(String::new()), Matcher::Json);
        let expected = if line.contains("uploadType=m") {
            Matcher::Any
        } else {
            expected
        };
        let mock = self
            .server
            .mock(method, Matcher::Exact(request.target().to_owned()))
            .match_header("authorization", "Bearer a-token")
            .match_body(expected)
            .with_header(
                "location",
                "https://www.googleapis.com/upload/drive/v3/files?upload_id=1",
            )
            .with_body(answer.to_string())
            .expect(1)
            .create_async()
            .await;
        let outcome = self.client().send(&endpoint).await;
        mock.assert_async().await;
        if let Err(error) = outcome {
            panic!("{line}: {}", error.report());
        }
        self.sent
            .lock()
            .unwrap()
            .push((E::NAME, method.to_owned(), path.to_owned(), pairs, body));
    }
}

fn is_at(template: &str, path: &str) -> bool {
    let (template, path) = (template.split('/'), path.split('/'));
    template.clone().count() == path.clone().count()
        && template
            .zip(path)
            .all(|(part, found)| part.starts_with('{') || part == found)
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of all operations")]
async fn every_operation_is_sent_as_google_documents_it() {
    let mut wire = Wire::new().await;
    let f = || FileId::new("file-1").unwrap();
    let none = || json!({});
    let a = "supportsAllDrives=true";
    let files = "/drive/v3/files";
    let of = |rest: &str| format!("{files}/file-1{rest}");

    wire.send(GetAbout::new(), "GET /drive/v3/about", None, none())
        .await;
    let list = ListFiles::new()
        .with_query(Query::name_is("a&b"))
        .with_order_by("name".to_owned())
        .with_page_size(7_u32)
        .with_spaces("drive".to_owned())
        .with_include_labels("l".to_owned())
        .with_include_permissions_for_view("published".to_owned())
        .in_drive(&FileId::new("drive-1").unwrap())
        .with_page_token("t/1".to_owned());
    let line = format!(
        "GET {files}?{a}&includeItemsFromAllDrives=true&q=name%20%3D%20%27a%26b%27&orderBy=name&pageSize=7\
         &spaces=drive&includeLabels=l&includePermissionsForView=published&corpora=drive&driveId=drive-1\
         &pageToken=t%2F1"
    );
    wire.send(
        list,
        &line,
        None,
        json!({ "files": [{ "id": "file-1", "size": "5", "new": 1 }] }),
    )
    .await;
    wire.send(
        GetFile::new(f()),
        &format!("GET {}?{a}", of("")),
        None,
        none(),
    )
    .await;
    let meta = FileMetadata::named("N")
        .with_id("file-9")
        .in_folder(&f())
        .with_mime_type("text/plain")
        .with_description("d")
        .with_starred(true)
        .with_trashed(false)
        .with_created_time("2026-11-20T12:00:00Z")
        .with_modified_time("2026-11-20T12:00:00Z")
        .with_properties(BTreeMap::from([("a".to_owned(), "b".to_owned())]))
        .with_app_properties(BTreeMap::from([("c".to_owned(), "d".to_owned())]))
        .with_folder_color_rgb("#ac725e")
        .with_copy_requires_writer_permission(true)
        .with_writers_can_share(false)
        .with_original_filename("o");
    let body = json!({ "name": "N", "id": "file-9", "parents": ["file-1"], "mimeType": "text/plain",
        "description": "d", "starred": true, "trashed": false, "createdTime": "2026-11-20T12:00:00Z",
        "modifiedTime": "2026-11-20T12:00:00Z", "properties": { "a": "b" }, "appProperties": { "c": "d" },
        "folderColorRgb": "#ac725e", "copyRequiresWriterPermission": true, "writersCanShare": false,
        "originalFilename": "o" });
    let create = CreateFile::new(meta.clone()).with_ignore_default_visibility(true);
    let line = format!("POST {files}?{a}&ignoreDefaultVisibility=true");
    wire.send(create, &line, Some(body.clone()), none()).await;
    let line = format!("POST {files}?{a}");
    wire.send(CreateIdentifiedFile::new(meta), &line, Some(body), none())
        .await;
    let shortcut = FileMetadata::shortcut("S", &f())
        .with_other("contentHints", json!({ "indexableText": "x" }));
    let body = json!({ "name": "S", "mimeType": "application/vnd.google-apps.shortcut",
        "shortcutDetails": { "targetId": "file-1" }, "contentHints": { "indexableText": "x" } });
    wire.send(CreateFile::new(shortcut), &line, Some(body), none())
        .await;
    let update = UpdateFile::new(f(), FileMetadata::named("N"))
        .with_add_parents("p1".to_owned())
        .with_remove_parents("p2".to_owned());
    let line = format!("PATCH {}?{a}&addParents=p1&removeParents=p2", of(""));
    wire.send(update, &line, Some(json!({ "name": "N" })), none())
        .await;
    let copy = CopyFile::new(f(), FileMetadata::folder("C")).with_copy_comments(true);
    let copy = copy
        .with_keep_revision_forever(true)
        .with_ocr_language("de".to_owned());
    let line = format!(
        "POST {}?{a}&copyComments=true&keepRevisionForever=true&ocrLanguage=de",
        of("/copy")
    );
    let body = json!({ "name": "C", "mimeType": "application/vnd.google-apps.folder" });
    wire.send(copy, &line, Some(body), none()).await;
    wire.send(
        DeleteFile::new(f()),
        &format!("DELETE {}?{a}", of("")),
        None,
        none(),
    )
    .await;
    let empty = EmptyTrash::new().with_drive_id("drive-1".to_owned());
    wire.send(
        empty,
        &format!("DELETE {files}/trash?driveId=drive-1"),
        None,
        none(),
    )
    .await;
    let ids = GenerateIds::new()
        .with_count(3_u32)
        .with_space("drive".to_owned())
        .with_type("files".to_owned());
    wire.send(
        ids,
        &format!("GET {files}/generateIds?count=3&space=drive&type=files"),
        None,
        none(),
    )
    .await;

    let media = DownloadFile::new(f()).with_acknowledge_abuse(true);
    let line = format!("GET {}?alt=media&{a}&acknowledgeAbuse=true", of(""));
    wire.send(media, &line, None, none()).await;
    let line = format!("GET {}?alt=media&{a}", of(""));
    wire.send(DownloadRange::new(f(), 0, 9), &line, None, none())
        .await;
    let line = format!("GET {}?alt=media", of("/revisions/r1"));
    wire.send(DownloadRevision::new(f(), "r1"), &line, None, none())
        .await;
    let export = ExportFile::new(f()).with_mime_type("text/plain".to_owned());
    wire.send(
        export,
        &format!("GET {}?mimeType=text%2Fplain", of("/export")),
        None,
        none(),
    )
    .await;
    let start = StartDownload::new(f())
        .with_mime_type("a/b".to_owned())
        .with_revision_id("r1".to_owned());
    let line = format!("POST {}?mimeType=a%2Fb&revisionId=r1", of("/download"));
    wire.send(start, &line, None, none()).await;
    wire.send(
        GetOperation::new("op1"),
        "GET /drive/v3/operations/op1",
        None,
        none(),
    )
    .await;

    let kind = || "text/plain".to_owned();
    let upload = "/upload/drive/v3/files";
    let line = format!("POST {upload}?uploadType=media&{a}");
    wire.send(UploadSimple::new(kind()), &line, None, none())
        .await;
    let line = format!("PATCH {upload}/file-1?uploadType=media&{a}");
    wire.send(UploadSimpleOver::new(f(), kind()), &line, None, none())
        .await;
    let meta = || FileMetadata::named("N");
    let line = format!("POST {upload}?uploadType=multipart&{a}&keepRevisionForever=true");
    let both = UploadMultipart::new(meta(), kind(), "x".into()).with_keep_revision_forever(true);
    wire.send(both, &line, None, none()).await;
    let line = format!("PATCH {upload}/file-1?uploadType=multipart&{a}");
    wire.send(
        UploadMultipartOver::new(f(), meta(), kind(), "x".into()),
        &line,
        None,
        none(),
    )
    .await;
    let line = format!("POST {upload}?uploadType=resumable&{a}&ocrLanguage=de");
    let start = StartUpload::new(meta(), kind(), Some(5)).with_ocr_language("de");
    wire.send(start, &line, Some(json!({ "name": "N" })), none())
        .await;
    let line = format!("PATCH {upload}/file-1?uploadType=resumable&{a}");
    let start = StartUploadOver::new(f(), meta(), kind(), None);
    wire.send(start, &line, Some(json!({ "name": "N" })), none())
        .await;

    let permissions = of("/permissions");
    let list = ListPermissions::new(f())
        .with_page_size(9_u32)
        .with_use_domain_admin_access(true);
    let list = list.with_include_permissions_for_view("published".to_owned());
    let line = format!(
        "GET {permissions}?{a}&pageSize=9&useDomainAdminAccess=true&includePermissionsForView=published"
    );
    wire.send(
        list,
        &line,
        None,
        json!({ "permissions": [{ "role": "new", "type": "robot" }] }),
    )
    .await;
    wire.send(
        GetPermission::new(f(), "p1"),
        &format!("GET {permissions}/p1?{a}"),
        None,
        none(),
    )
    .await;
    let new = PermissionChanges::user("a@example.com", Role::Owner)
        .with_expiration_time("2026-11-20T12:00:00Z")
        .with_pending_owner(true)
        .with_view("metadata");
    let share = CreatePermission::new(f(), new)
        .with_send_notification_email(true)
        .with_email_message("m".to_owned())
        .with_transfer_ownership(true)
        .with_move_to_new_owners_root(true);
    let line = format!(
        "POST {permissions}?{a}&sendNotificationEmail=true&emailMessage=m&transferOwnership=true&moveToNewOwnersRoot=true"
    );
    let body = json!({ "type": "user", "emailAddress": "a@example.com", "role": "owner",
        "expirationTime": "2026-11-20T12:00:00Z", "pendingOwner": true, "view": "metadata" });
    wire.send(share, &line, Some(body), none()).await;
    let domain =
        PermissionChanges::domain("example.com", Role::Reader).with_allow_file_discovery(true);
    let body = json!({ "type": "domain", "domain": "example.com", "role": "reader", "allowFileDiscovery": true });
    wire.send(
        CreatePermission::new(f(), domain),
        &format!("POST {permissions}?{a}"),
        Some(body),
        none(),
    )
    .await;
    let raise = PermissionChanges::new().with_role(Role::Writer);
    let update = UpdatePermission::new(f(), "p1", raise).with_remove_expiration(true);
    let line = format!("PATCH {permissions}/p1?{a}&removeExpiration=true");
    wire.send(update, &line, Some(json!({ "role": "writer" })), none())
        .await;
    wire.send(
        DeletePermission::new(f(), "p1"),
        &format!("DELETE {permissions}/p1?{a}"),
        None,
        none(),
    )
    .await;

    let revisions = of("/revisions");
    let list = ListRevisions::new(f())
        .with_page_size(9_u32)
        .with_page_token("t".to_owned());
    wire.send(
        list,
        &format!("GET {revisions}?pageSize=9&pageToken=t"),
        None,
        none(),
    )
    .await;
    wire.send(
        GetRevision::new(f(), "r1"),
        &format!("GET {revisions}/r1"),
        None,
        none(),
    )
    .await;
    let changes = RevisionChanges::new()
        .with_keep_forever(true)
        .with_published(true)
        .with_publish_auto(true)
        .with_published_outside_domain(false);
    let body = json!({ "keepForever": true, "published": true, "publishAuto": true, "publishedOutsideDomain": false });
    wire.send(
        UpdateRevision::new(f(), "r1", changes),
        &format!("PATCH {revisions}/r1"),
        Some(body),
        none(),
    )
    .await;
    wire.send(
        DeleteRevision::new(f(), "r1"),
        &format!("DELETE {revisions}/r1"),
        None,
        none(),
    )
    .await;

    let comments = of("/comments");
    let list = ListComments::new(f())
        .with_include_deleted(true)
        .with_page_size(9_u32);
    let list = list.with_start_modified_time("2026-11-20T12:00:00Z".to_owned());
    let line = format!(
        "GET {comments}?includeDeleted=true&pageSize=9&startModifiedTime=2026-11-20T12%3A00%3A00Z"
    );
    wire.send(list, &line, None, none()).await;
    wire.send(
        GetComment::new(f(), "c1"),
        &format!("GET {comments}/c1"),
        None,
        none(),
    )
    .await;
    let comment = CommentWrite::new("t").with_anchor("x");
    let body = json!({ "content": "t", "anchor": "x" });
    wire.send(
        CreateComment::new(f(), comment),
        &format!("POST {comments}"),
        Some(body),
        none(),
    )
    .await;
    let update = UpdateComment::new(f(), "c1", CommentWrite::new("t"));
    wire.send(
        update,
        &format!("PATCH {comments}/c1"),
        Some(json!({ "content": "t" })),
        none(),
    )
    .await;
    wire.send(
        DeleteComment::new(f(), "c1"),
        &format!("DELETE {comments}/c1"),
        None,
        none(),
    )
    .await;
    let replies = format!("{comments}/c1/replies");
    let list = ListReplies::new(f(), "c1")
        .with_include_deleted(true)
        .with_page_size(9_u32);
    wire.send(
        list,
        &format!("GET {replies}?includeDeleted=true&pageSize=9"),
        None,
        none(),
    )
    .await;
    let get = GetReply::new(f(), "c1", "y1").with_include_deleted(true);
    wire.send(
        get,
        &format!("GET {replies}/y1?includeDeleted=true"),
        None,
        none(),
    )
    .await;
    let reply = ReplyWrite::text("t").with_action("resolve");
    let body = json!({ "content": "t", "action": "resolve" });
    wire.send(
        CreateReply::new(f(), "c1", reply),
        &format!("POST {replies}"),
        Some(body),
        none(),
    )
    .await;
    let update = UpdateReply::new(f(), "c1", "y1", ReplyWrite::text("t"));
    wire.send(
        update,
        &format!("PATCH {replies}/y1"),
        Some(json!({ "content": "t" })),
        none(),
    )
    .await;
    wire.send(
        DeleteReply::new(f(), "c1", "y1"),
        &format!("DELETE {replies}/y1"),
        None,
        none(),
    )
    .await;

    let d = || FileId::new("drive-1").unwrap();
    let drives = "/drive/v3/drives";
    let list = ListDrives::new()
        .with_query("hidden = true".to_owned())
        .with_page_size(9_u32);
    let list = list.with_use_domain_admin_access(true);
    wire.send(
        list,
        &format!("GET {drives}?q=hidden%20%3D%20true&pageSize=9&useDomainAdminAccess=true"),
        None,
        none(),
    )
    .await;
    wire.send(
        GetDrive::new(d()),
        &format!("GET {drives}/drive-1"),
        None,
        none(),
    )
    .await;
    let new = NewDrive::new("N").with_theme_id("t").with_hidden(true);
    let create = CreateDrive::new(new).with_request_id("u1".to_owned());
    let body = json!({ "name": "N", "themeId": "t", "hidden": true });
    wire.send(
        create,
        &format!("POST {drives}?requestId=u1"),
        Some(body),
        none(),
    )
    .await;
    let update = UpdateDrive::new(
        d(),
        DriveChanges::new().with_name("N").with_color_rgb("#fff"),
    );
    let body = json!({ "name": "N", "colorRgb": "#fff" });
    wire.send(
        update,
        &format!("PATCH {drives}/drive-1"),
        Some(body),
        none(),
    )
    .await;
    let delete = DeleteDrive::new(d())
        .with_allow_item_deletion(true)
        .with_use_domain_admin_access(true);
    let line = format!("DELETE {drives}/drive-1?allowItemDeletion=true&useDomainAdminAccess=true");
    wire.send(delete, &line, None, none()).await;
    wire.send(
        HideDrive::new(d()),
        &format!("POST {drives}/drive-1/hide"),
        None,
        none(),
    )
    .await;
    wire.send(
        UnhideDrive::new(d()),
        &format!("POST {drives}/drive-1/unhide"),
        None,
        none(),
    )
    .await;

    let proposals = of("/accessproposals");
    let list = ListAccessProposals::new(f()).with_page_size(9_u32);
    wire.send(list, &format!("GET {proposals}?pageSize=9"), None, none())
        .await;
    wire.send(
        GetAccessProposal::new(f(), "a1"),
        &format!("GET {proposals}/a1"),
        None,
        none(),
    )
    .await;
    let accept = Resolution::accept([Role::Reader])
        .with_send_notification(true)
        .with_view("published");
    let body = json!({ "action": "ACCEPT", "role": ["reader"], "sendNotification": true, "view": "published" });
    let resolve = ResolveAccessProposal::new(f(), "a1", accept);
    wire.send(
        resolve,
        &format!("POST {proposals}/a1:resolve"),
        Some(body),
        none(),
    )
    .await;

    let list = ListFileLabels::new(f()).with_max_results(9_u32);
    let line = format!("GET {}?maxResults=9", of("/listLabels"));
    wire.send(list, &line, None, json!({ "labels": [{ "id": "l" }] }))
        .await;
    let fields = [
        LabelFieldModification::new("a").with_set_text_values(["x".to_owned()]),
        LabelFieldModification::new("b").with_set_integer_values(["5".to_owned()]),
        LabelFieldModification::new("c").with_unset_values(true),
    ];
    let changes = LabelChanges::new([
        LabelModification::set("l1", fields),
        LabelModification::remove("l2"),
    ]);
    let body = json!({ "labelModifications": [
        { "labelId": "l1", "fieldModifications": [
            { "fieldId": "a", "setTextValues": ["x"] },
            { "fieldId": "b", "setIntegerValues": ["5"] },
            { "fieldId": "c", "unsetValues": true },
        ] },
        { "labelId": "l2", "removeLabel": true },
    ] });
    let line = format!("POST {}", of("/modifyLabels"));
    let modify = ModifyFileLabels::new(f(), changes);
    wire.send(modify, &line, Some(body), none()).await;

    let approvals = of("/approvals");
    let list = ListApprovals::new(f()).with_page_size(9_u32);
    wire.send(
        list,
        &format!("GET {approvals}?pageSize=9"),
        None,
        json!({ "items": [] }),
    )
    .await;
    wire.send(
        GetApproval::new(f(), "a1"),
        &format!("GET {approvals}/a1"),
        None,
        none(),
    )
    .await;
    let start = ApprovalStart::by(["eve@example.com"])
        .with_message("m")
        .with_lock_file(true)
        .with_due_time("2026-12-01T00:00:00Z")
        .with_file_content_change_behavior("RESET_APPROVAL");
    let body = json!({ "reviewerEmails": ["eve@example.com"], "message": "m", "lockFile": true,
        "dueTime": "2026-12-01T00:00:00Z", "fileContentChangeBehavior": "RESET_APPROVAL" });
    wire.send(
        StartApproval::new(f(), start),
        &format!("POST {approvals}:start"),
        Some(body),
        none(),
    )
    .await;
    let message = || ApprovalMessage::new("m");
    let body = || Some(json!({ "message": "m" }));
    let line = |verb: &str| format!("POST {approvals}/a1:{verb}");
    wire.send(
        ApproveApproval::new(f(), "a1", message()),
        &line("approve"),
        body(),
        none(),
    )
    .await;
    wire.send(
        DeclineApproval::new(f(), "a1", message()),
        &line("decline"),
        body(),
        none(),
    )
    .await;
    wire.send(
        CancelApproval::new(f(), "a1", message()),
        &line("cancel"),
        body(),
        none(),
    )
    .await;
    wire.send(
        CommentApproval::new(f(), "a1", message()),
        &line("comment"),
        body(),
        none(),
    )
    .await;
    let replaced = ReplaceReviewer::default()
        .with_added_reviewer_email("bob@example.com")
        .with_removed_reviewer_email("eve@example.com");
    let added = AddReviewer::default().with_added_reviewer_email("ann@example.com");
    let changes = ReviewerChanges::new()
        .with_add_reviewers([added])
        .with_replace_reviewers([replaced]);
    let reassigned = json!({ "addReviewers": [{ "addedReviewerEmail": "ann@example.com" }],
        "replaceReviewers": [{ "addedReviewerEmail": "bob@example.com",
            "removedReviewerEmail": "eve@example.com" }] });
    wire.send(
        ReassignApproval::new(f(), "a1", changes),
        &line("reassign"),
        Some(reassigned),
        none(),
    )
    .await;

    let start = GetStartPageToken::new().with_drive_id("drive-1".to_owned());
    wire.send(
        start,
        &format!("GET /drive/v3/changes/startPageToken?{a}&driveId=drive-1"),
        None,
        none(),
    )
    .await;
    let changes = || {
        ListChanges::new("t1")
            .in_drive(&FileId::new("drive-1").unwrap())
            .with_page_size(9)
            .with_spaces("drive")
            .with_restrict_to_my_drive(false)
            .with_include_corpus_removals(true)
    };
    let query = format!(
        "pageToken=t1&includeRemoved=true&{a}&includeItemsFromAllDrives=true&driveId=drive-1&pageSize=9\
         &spaces=drive&restrictToMyDrive=false&includeCorpusRemovals=true"
    );
    wire.send(
        changes(),
        &format!("GET /drive/v3/changes?{query}"),
        None,
        none(),
    )
    .await;
    let hook = || {
        WatchRequest::web_hook("c1", "https://hooks.example/x")
            .with_token("s")
            .with_expiration("1")
    };
    let body = json!({ "id": "c1", "type": "web_hook", "address": "https://hooks.example/x", "token": "s", "expiration": "1" });
    let line = format!("POST /drive/v3/changes/watch?{query}");
    wire.send(
        WatchChanges::new(changes(), hook()),
        &line,
        Some(body.clone()),
        none(),
    )
    .await;
    wire.send(
        WatchFile::new(f(), hook()),
        &format!("POST {}?{a}", of("/watch")),
        Some(body),
        none(),
    )
    .await;
    let stop = StopChannel::new(WatchRequest::stop("c1", "r1"));
    let body = json!({ "id": "c1", "resourceId": "r1" });
    wire.send(stop, "POST /drive/v3/channels/stop", Some(body), none())
        .await;

    let sent = wire.sent.lock().unwrap();
    let names: BTreeSet<&str> = sent.iter().map(|(name, ..)| *name).collect();
    for operation in OPERATIONS {
        let found = sent.iter().any(|(name, method, path, ..)| {
            *name == operation.name && *method == operation.method && is_at(operation.path, path)
        });
        assert!(found, "{} was not sent", operation.name);
    }
    println!("operations sent: {} of {}", names.len(), OPERATIONS.len());
    assert_eq!(names.len(), OPERATIONS.len());
    let Some(description) = described() else {
        return;
    };
    let (mut checked, mut values) = (0, 0);
    for (name, method, path, query, body) in sent.iter() {
        let mut target = url::form_urlencoded::Serializer::new(format!("{path}?"));
        target.extend_pairs(query);
        match description.check(method, &target.finish(), body.as_ref()) {
            Verdict::Valid { values: more, .. } => (checked, values) = (checked + 1, values + more),
            other => panic!("{name}: {other:?}"),
        }
    }
    println!("requests as Google describes them: {checked}, with {values} values");
    assert!(checked > 60 && values > 200);
}

#[tokio::test]
async fn an_upload_follows_the_protocol() {
    let mut wire = Wire::new().await;
    let location =
        "https://www.googleapis.com/upload/drive/v3/files?uploadType=resumable&upload_id=a-b_c%2F";
    let open = wire
        .server
        .mock(
            "POST",
            Matcher::Regex("^/upload/drive/v3/files\\?uploadType=resumable.*".to_owned()),
        )
        .match_header("content-type", "application/json; charset=UTF-8")
        .match_header("x-upload-content-type", "application/zip")
        .match_header("x-upload-content-length", "2000000")
        .with_header("location", location)
        .create_async()
        .await;
    // The example in Google's documentation: 2,000,000 bytes in chunks of 524,288.
    let session = "/upload/drive/v3/files?uploadType=resumable&upload_id=a-b_c%2F";
    let mut mocks = Vec::new();
    for (range, length, stored) in [
        ("bytes 0-524287/2000000", "524288", Some(524_287)),
        ("bytes 524288-1048575/2000000", "524288", Some(786_431)),
        ("bytes 786432-1048575/2000000", "262144", Some(1_048_575)),
        ("bytes 1048576-1572863/2000000", "524288", Some(1_572_863)),
        ("bytes 1572864-1999999/2000000", "427136", None),
    ] {
        let mock = wire.server.mock("PUT", session);
        let mock = mock
            .match_header("content-range", range)
            .match_header("content-length", length);
        let mock = match stored {
            Some(last) => mock
                .with_status(308)
                .with_header("range", &format!("bytes=0-{last}")),
            None => mock.with_body(r#"{"id":"file-1","size":"2000000"}"#),
        };
        mocks.push(mock.expect(1).create_async().await);
    }
    let upload =
        connector_gdrive::upload::Upload::create(FileMetadata::named("N"), "application/zip");
    let body = UploadBody::bytes(vec![7; 2_000_000]);
    let file = wire
        .client()
        .upload_file(&upload.with_chunk(524_288), body)
        .await
        .unwrap();
    assert_eq!(file.size, Some(2_000_000));
    open.assert_async().await;
    for mock in &mocks {
        mock.assert_async().await;
    }
    // An empty file has no range.
    let mut wire = Wire::new().await;
    wire.server
        .mock("POST", Matcher::Any)
        .with_header("location", location)
        .create_async()
        .await;
    let empty = wire
        .server
        .mock("PUT", session)
        .match_header("content-range", Matcher::Missing)
        .match_header("content-length", "0")
        .with_body(r#"{"id":"file-2","size":"0"}"#)
        .expect(1)
        .create_async()
        .await;
    let upload = connector_gdrive::upload::Upload::create(FileMetadata::named("N"), "text/plain");
    wire.client()
        .upload_file(&upload, UploadBody::bytes(""))
        .await
        .unwrap();
    empty.assert_async().await;
    println!(
        "upload requests that follow the protocol: {}",
        mocks.len() + 2
    );
}

#[tokio::test]
async fn a_path_lookup_ends_at_a_repeated_page_token() {
    let mut wire = Wire::new().await;
    let listing = wire
        .server
        .mock("GET", Matcher::Any)
        .with_body(r#"{"files":[],"nextPageToken":"again"}"#)
        .expect(2)
        .create_async()
        .await;
    let root = FileId::new("root").unwrap();
    let error = wire.client().find_path(&root, "a.txt").await.unwrap_err();
    println!("lookup with a repeated page token: {error}");
    assert_eq!(error.kind(), ErrorKind::UnexpectedResponse);
    listing.assert_async().await;
}
