//! Operations against the simulator, including rejected calls.

use connector_core::{ErrorKind, Retry};
use connector_gdrive::endpoints::{
    ApproveApproval, Batch, CancelApproval, CommentApproval, CopyFile, CreateComment, CreateDrive,
    CreateFile, CreateIdentifiedFile, CreatePermission, CreateReply, DeclineApproval,
    DeleteComment, DeleteDrive, DeleteFile, DeletePermission, DeleteReply, DeleteRevision,
    DownloadRange, EmptyTrash, ExportFile, GenerateIds, GetAbout, GetAccessProposal, GetApproval,
    GetComment, GetDrive, GetFile, GetOperation, GetPermission, GetReply, GetRevision,
    GetStartPageToken, HideDrive, ListAccessProposals, ListApprovals, ListChanges, ListComments,
    ListDrives, ListFileLabels, ListFiles, ListPermissions, ListReplies, ListRevisions,
    ModifyFileLabels, ReassignApproval, ResolveAccessProposal, StartApproval, StartDownload,
    StopChannel, UnhideDrive, UpdateComment, UpdateDrive, UpdateFile, UpdatePermission,
    UpdateReply, UpdateRevision, WatchChanges, WatchFile,
};
use connector_gdrive::models::{
    About, ApprovalMessage, ApprovalStart, ApprovalStatus, CommentWrite, DriveChanges, FOLDER,
    File, FileId, FileMetadata, LabelChanges, LabelFieldModification, LabelModification, Mask,
    NewDrive, PermissionChanges, PermissionKind, Query, ReplaceReviewer, ReplyWrite, Resolution,
    ReviewerChanges, ReviewerDecision, RevisionChanges, Role, Term, WatchRequest,
};
use connector_gdrive::sim::Fault;
use connector_gdrive::{DriveClient, PathMatch, Reason, scope};
use futures_util::TryStreamExt as _;

use crate::rig::{Rig, USER, noise, transfer_client, transfers};

async fn folder(client: &DriveClient, name: &str) -> FileId {
    let created = client.create_file(FileMetadata::folder(name)).await;
    created.unwrap().file_id().unwrap()
}

fn id(file: &File) -> FileId {
    file.file_id().unwrap()
}

#[tokio::test]
async fn files_are_created_found_changed_moved_copied_and_deleted() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let about = client.send(&GetAbout::new()).await.unwrap();
    let quota = about.storage_quota.unwrap();
    assert_eq!((quota.limit, quota.usage), (Some(16_106_127_360), Some(0)));
    let mask = Mask::<About>::new().export_formats();
    let about = client
        .send(&GetAbout::new().with_fields(mask))
        .await
        .unwrap();
    assert!(about.user.is_none() && about.export_formats.len() == 1);

    let (one, two) = (folder(&client, "One").await, folder(&client, "Two").await);
    let metadata = FileMetadata::named("Bob's \\ notes")
        .in_folder(&one)
        .with_starred(true);
    let properties = std::collections::BTreeMap::from([("k".to_owned(), "v'1".to_owned())]);
    let created = client
        .create_file(metadata.with_app_properties(properties))
        .await
        .unwrap();
    let file = id(&created);
    assert!(created.version.is_some() && created.capabilities.unwrap().can_edit == Some(true));

    let list = |query: Query| {
        let client = client.clone();
        async move {
            let list = ListFiles::new()
                .with_query(query)
                .with_order_by("name".to_owned());
            client
                .pages(list)
                .items()
                .try_collect::<Vec<_>>()
                .await
                .unwrap()
        }
    };
    let long_ago = connector_core::clock::Timestamp::parse("2020-01-01T00:00:00Z").unwrap();
    let queries = [
        (Query::name_is("Bob's \\ notes"), 1),
        (Query::in_folder(&one).and(!Query::trashed()), 1),
        (
            Query::name_contains("Bob")
                .and(Query::starred())
                .and(!Query::is_folder()),
            1,
        ),
        (Query::is_folder(), 2),
        (Query::is_folder().or(Query::starred()), 3),
        (Query::has_app_property("k", "v'1"), 1),
        (Query::has_app_property("k", "v"), 0),
        (Query::after(Term::ModifiedTime, long_ago), 3),
        (Query::before(Term::CreatedTime, long_ago), 0),
        (Query::owned_by("user@example.com"), 3),
        (Query::shared_with_me(), 0),
        (Query::trashed(), 0),
        (Query::full_text_contains("notes"), 1),
        (Query::mime_type_is("text/plain"), 0),
    ];
    for (query, count) in &queries {
        assert_eq!(list(query.clone()).await.len(), *count, "{query}");
    }
    let injected = Query::name_is("x' or name contains '");
    assert_eq!(list(injected).await.len(), 0, "the string stays quoted");

    let moved = client.move_file(&file, &one, &two).await.unwrap();
    assert_eq!(moved.parents, [two.as_str()]);
    let renamed = UpdateFile::new(&file, FileMetadata::named("Notes").with_description("d"));
    assert_eq!(
        client.send(&renamed).await.unwrap().name.as_deref(),
        Some("Notes")
    );
    let copy = client
        .send(&CopyFile::new(&file, FileMetadata::named("Copy")))
        .await
        .unwrap();
    assert_eq!(copy.app_properties["k"], "v'1");
    let refused = client
        .send(&CopyFile::new(&one, FileMetadata::new()))
        .await
        .unwrap_err();
    assert_eq!(
        Reason::of(&refused),
        Some(Reason::Other("cannotCopyFile".to_owned()))
    );

    assert_eq!(client.trash_file(&file).await.unwrap().trashed, Some(true));
    assert_eq!(list(Query::trashed()).await.len(), 1);
    client.send(&EmptyTrash::new()).await.unwrap();
    let gone = client.send(&GetFile::new(&file)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ProviderNotFound);
    client.send(&DeleteFile::new(id(&copy))).await.unwrap();
    let mask = Mask::<File>::new().id();
    let page = client
        .send(&ListFiles::new().with_fields(mask).with_page_size(1_u32))
        .await
        .unwrap();
    assert!(page.next.is_some() && page.items[0].name.is_none());
    println!("queries checked: {}", queries.len() + 1);
}

#[tokio::test]
async fn a_list_of_many_pages_is_complete_and_restarts_after_an_expired_token() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    for number in 0..1234 {
        rig.sim
            .add_file(None, &format!("F{number}"), "text/plain", "x")
            .unwrap();
    }
    let list = ListFiles::new().with_page_size(100_u32);
    let all: Vec<File> = client
        .pages(list.clone())
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(all.len(), 1234);
    let page = client.send(&list).await.unwrap();
    // All other parameters must be the same as in the first request.
    let other = ListFiles::new()
        .with_page_size(50_u32)
        .after(&page.next.unwrap());
    let refused = client.send(&other).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::PageToken));
    assert_eq!(
        (refused.kind(), refused.retry()),
        (ErrorKind::Conflict, Retry::Never)
    );
    // A list reports an incomplete search of Google as an error.
    let fault = Fault::Edit(vec![("incompleteSearch", Some("true"))]);
    rig.sim.server().fault("/drive/v3/files", fault);
    let list = ListFiles::new()
        .with_page_size(1000_u32)
        .with_corpora("allDrives".to_owned());
    let list = list.with_query(Query::name_is("F1"));
    let outcome: Result<Vec<File>, _> = client.pages(list).items().try_collect().await;
    assert_eq!(outcome.unwrap_err().kind(), ErrorKind::Truncated);
    println!("files listed: {}", all.len());
}

#[tokio::test]
async fn a_path_lookup_reports_two_files_of_one_name_as_ambiguous() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let root = FileId::root();
    let reports = rig.sim.add_file(None, "Reports", FOLDER, "").unwrap();
    let year = rig
        .sim
        .add_file(Some(&reports), "2026", FOLDER, "")
        .unwrap();
    let may = rig
        .sim
        .add_file(Some(&year), "May.txt", "text/plain", "x")
        .unwrap();
    let find = |path: &'static str| {
        let (client, root) = (client.clone(), root.clone());
        async move { client.find_path(&root, path).await.unwrap() }
    };
    let PathMatch::Found(found) = find("/Reports//2026/May.txt").await else {
        panic!("not found");
    };
    assert_eq!(id(&found), may);
    assert_eq!(find("Reports/2025/May.txt").await, PathMatch::Missing);
    assert_eq!(find("Reports/2026/may.txt").await, PathMatch::Missing);
    assert_eq!(find("Reports/2026/May.txt/x").await, PathMatch::Missing);
    assert!(matches!(find("").await, PathMatch::Found(it) if it.is_folder()));
    let twin = rig
        .sim
        .add_file(Some(&year), "May.txt", "text/plain", "y")
        .unwrap();
    let mut expected = vec![may, twin.clone()];
    expected.sort();
    let PathMatch::Ambiguous { mut ids } = find("Reports/2026/May.txt").await else {
        panic!("not ambiguous");
    };
    ids.sort();
    assert_eq!(ids, expected);
    client.trash_file(&twin).await.unwrap();
    assert!(matches!(
        find("Reports/2026/May.txt").await,
        PathMatch::Found(_)
    ));
    rig.sim.add_file(None, "Reports", FOLDER, "").unwrap();
    assert!(matches!(
        find("Reports/2026").await,
        PathMatch::Ambiguous { .. }
    ));
    // An error does not mean that the file is missing.
    for status in [403, 500] {
        for _ in 0..4 {
            rig.sim
                .server()
                .fault("/drive/v3/files", Fault::answer(status, ""));
        }
        let failed = rig.drive(client.find_path(&root, "Reports")).await;
        assert!(failed.is_err(), "{status}");
        rig.clock.advance(std::time::Duration::from_secs(3600));
        while rig.sim.server().pending_faults() > 0 {
            let _ = rig.drive(client.send(&ListFiles::new())).await;
        }
    }
}

#[tokio::test]
async fn a_lost_response_to_a_creation_creates_no_second_file() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    rig.sim.server().fault("/drive/v3/files", Fault::DropAfter);
    let created = rig
        .drive(client.create_file(FileMetadata::named("Once")))
        .await
        .unwrap();
    assert_eq!(
        (rig.sim.count_named("Once"), created.name.as_deref()),
        (1, Some("Once"))
    );
    // A creation without a generated id is not retried.
    rig.sim.server().fault("/drive/v3/files", Fault::DropAfter);
    let create = CreateFile::new(FileMetadata::named("Open"));
    let open = rig.drive(client.send(&create)).await.unwrap_err();
    assert_eq!(
        (open.kind(), open.retry()),
        (ErrorKind::Network, Retry::Never)
    );
    assert_eq!(rig.sim.count_named("Open"), 1);
    let ids = client
        .send(&GenerateIds::new().with_count(3_u32))
        .await
        .unwrap()
        .ids;
    let create = CreateIdentifiedFile::new(FileMetadata::named("Twice").with_id(ids[0].as_str()));
    client.send(&create).await.unwrap();
    let again = client.send(&create).await.unwrap_err();
    assert_eq!((ids.len(), again.kind()), (3, ErrorKind::Conflict));
}

#[tokio::test]
async fn files_are_shared_and_access_requests_are_resolved() {
    let rig = Rig::with(|it| {
        it.with_user("1", "ada@example.com")
            .with_user("2", "bob@example.com")
    })
    .await;
    let client = rig.client().await;
    let file = rig.sim.add_file(None, "Plan", "text/plain", "x").unwrap();
    let share = CreatePermission::new(
        &file,
        PermissionChanges::user("bob@example.com", Role::Reader),
    );
    let given = client
        .send(&share.with_send_notification_email(false))
        .await
        .unwrap();
    assert_eq!(given.role, Some(Role::Reader));
    let permission = given.id.unwrap();
    let all: Vec<_> = client
        .pages(ListPermissions::new(&file))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(all.len(), 2);
    let raise = PermissionChanges::new().with_role(Role::Writer);
    let raised = client
        .send(&UpdatePermission::new(&file, permission.as_str(), raise))
        .await;
    assert_eq!(raised.unwrap().role, Some(Role::Writer));
    let read = client
        .send(&GetPermission::new(&file, permission.as_str()))
        .await
        .unwrap();
    assert_eq!(read.r#type, Some(PermissionKind::User));
    client
        .send(&DeletePermission::new(&file, permission.as_str()))
        .await
        .unwrap();
    let wrong = CreatePermission::new(&file, PermissionChanges::user("nobody", Role::Reader));
    let wrong = client.send(&wrong).await.unwrap_err();
    assert_eq!(
        (Reason::of(&wrong), wrong.kind()),
        (Some(Reason::InvalidSharing), ErrorKind::Rejected)
    );
    let others = [
        PermissionChanges::group("team@example.com", Role::Commenter),
        PermissionChanges::domain("example.com", Role::Reader),
        PermissionChanges::anyone(Role::Reader),
    ];
    for other in others {
        client
            .send(&CreatePermission::new(&file, other))
            .await
            .unwrap();
    }

    let first = rig
        .sim
        .add_access_proposal(&file, "eve@example.com")
        .unwrap();
    let second = rig
        .sim
        .add_access_proposal(&file, "bob@example.com")
        .unwrap();
    let asked = client.pages(ListAccessProposals::new(&file)).items();
    let asked: Vec<_> = asked.try_collect().await.unwrap();
    assert_eq!(asked.len(), 2);
    assert_eq!(asked[0].roles_and_views[0].role, Some(Role::Reader));
    let one = client
        .send(&GetAccessProposal::new(&file, first.as_str()))
        .await
        .unwrap();
    assert_eq!(
        one.requester_email_address.as_deref(),
        Some("eve@example.com")
    );
    client
        .send(&ResolveAccessProposal::new(
            &file,
            first,
            Resolution::deny(),
        ))
        .await
        .unwrap();
    let grant = Resolution::accept([Role::Reader]).with_send_notification(false);
    client
        .send(&ResolveAccessProposal::new(&file, second, grant))
        .await
        .unwrap();
    let all: Vec<_> = client
        .pages(ListPermissions::new(&file))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(all.len(), 5);
    println!("permissions: {}", all.len());
}

#[tokio::test]
async fn labels_are_added_changed_and_removed() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let file = rig.sim.add_file(None, "F", "text/plain", "x").unwrap();
    let modify = async |changes: Vec<LabelModification>| {
        let modify = ModifyFileLabels::new(&file, LabelChanges::new(changes));
        client.send(&modify).await
    };
    let text = LabelFieldModification::new("f1").with_set_text_values(["secret".to_owned()]);
    let number = LabelFieldModification::new("f2").with_set_integer_values(["7".to_owned()]);
    let made = modify(vec![
        LabelModification::set("l1", [text, number]),
        LabelModification::set("l2", []),
    ]);
    let made = made.await.unwrap();
    assert_eq!(made.modified_labels.len(), 2);
    let field = &made.modified_labels[0].fields["f1"];
    assert_eq!(
        (field.value_type.as_deref(), field.text.as_slice()),
        (Some("text"), &["secret".to_owned()][..])
    );
    let list = || {
        client
            .pages(ListFileLabels::new(&file).with_max_results(1_u32))
            .items()
    };
    let all: Vec<_> = list().try_collect().await.unwrap();
    assert_eq!(all.len(), 2);
    let unset = LabelFieldModification::new("f1").with_unset_values(true);
    let changes = vec![
        LabelModification::set("l1", [unset]),
        LabelModification::remove("l2"),
    ];
    modify(changes).await.unwrap();
    let all: Vec<_> = list().try_collect().await.unwrap();
    assert_eq!(all.len(), 1);
    assert!(!all[0].fields.contains_key("f1") && all[0].fields["f2"].integer == ["7"]);
    let error = modify(vec![LabelModification::remove("l2")])
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ProviderNotFound);
    println!("labels changed: {}", made.modified_labels.len() + 1);
}

#[tokio::test]
async fn approvals_are_decided_by_their_reviewers() {
    const ADA: &str = "ada@example.com";
    let rig = Rig::with(|builder| builder.with_user(USER, ADA)).await;
    let client = rig.client().await;
    let file = rig.sim.add_file(None, "F", "text/plain", "x").unwrap();
    let start = || StartApproval::new(&file, ApprovalStart::by([ADA, "eve@example.com"]));
    let approval = client.send(&start()).await.unwrap();
    assert_eq!(approval.status, Some(ApprovalStatus::InProgress));
    let again = client.send(&start()).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let id = approval.approval_id.unwrap();
    let message = || ApprovalMessage::new("Please");
    let comment = CommentApproval::new(&file, &*id, message());
    client.send(&comment).await.unwrap();
    let approve = ApproveApproval::new(&file, &*id, ApprovalMessage::none());
    let mine = client.send(&approve).await.unwrap();
    assert_eq!(mine.status, Some(ApprovalStatus::InProgress));
    let decisions: Vec<_> = mine
        .reviewer_responses
        .iter()
        .map(|it| it.response.clone())
        .collect();
    assert_eq!(
        decisions,
        [
            Some(ReviewerDecision::Approved),
            Some(ReviewerDecision::NoResponse)
        ]
    );
    let replaced = ReplaceReviewer::default()
        .with_removed_reviewer_email("eve@example.com")
        .with_added_reviewer_email("bob@example.com");
    let changes = ReviewerChanges::new().with_replace_reviewers([replaced]);
    let reassigned = client
        .send(&ReassignApproval::new(&file, &*id, changes))
        .await
        .unwrap();
    let emails: Vec<_> = reassigned
        .reviewer_responses
        .iter()
        .filter_map(|it| it.reviewer.as_ref()?.email_address.as_deref())
        .collect();
    assert_eq!(emails, [ADA, "bob@example.com"]);
    let cancel = CancelApproval::new(&file, &*id, message());
    let cancelled = client.send(&cancel).await.unwrap();
    assert_eq!(cancelled.status, Some(ApprovalStatus::Cancelled));
    let late = client.send(&approve).await.unwrap_err();
    assert_eq!(late.kind(), ErrorKind::Rejected);

    // One reviewer's decline ends an approval. The approval of all reviewers completes it.
    let second = client.send(&start()).await.unwrap();
    let second = second.approval_id.unwrap();
    let declined = client
        .send(&DeclineApproval::new(&file, &*second, message()))
        .await
        .unwrap();
    assert_eq!(declined.status, Some(ApprovalStatus::Declined));
    let third = StartApproval::new(&file, ApprovalStart::by([ADA]));
    let third = client.send(&third).await.unwrap().approval_id.unwrap();
    let approve = ApproveApproval::new(&file, &*third, ApprovalMessage::none());
    client.send(&approve).await.unwrap();
    let read = client
        .send(&GetApproval::new(&file, &*third))
        .await
        .unwrap();
    assert_eq!(read.status, Some(ApprovalStatus::Approved));
    assert!(read.complete_time.is_some());
    let list = client.pages(ListApprovals::new(&file).with_page_size(2_u32));
    let all: Vec<_> = list.items().try_collect().await.unwrap();
    assert_eq!(all.len(), 3);
    println!("approvals: {}", all.len());
}

#[tokio::test]
async fn revisions_comments_and_replies_are_read_and_written() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let file = rig.sim.add_file(None, "Text", "text/plain", "one").unwrap();
    rig.sim.overwrite(&file, "two").unwrap();
    let revisions: Vec<_> = client
        .pages(ListRevisions::new(&file))
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(revisions.len(), 2);
    let old = revisions[0].id.clone().unwrap();
    let keep = RevisionChanges::new().with_keep_forever(true);
    let kept = client
        .send(&UpdateRevision::new(&file, old.as_str(), keep))
        .await
        .unwrap();
    assert_eq!((kept.keep_forever, kept.size), (Some(true), Some(3)));
    client
        .send(&GetRevision::new(&file, old.as_str()))
        .await
        .unwrap();
    client.send(&DeleteRevision::new(&file, old)).await.unwrap();
    let last = revisions[1].id.clone().unwrap();
    let refused = client
        .send(&DeleteRevision::new(&file, last))
        .await
        .unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Rejected);

    let comment = client
        .send(&CreateComment::new(&file, CommentWrite::new("Why?")))
        .await
        .unwrap();
    let comment = comment.id.unwrap();
    let edit = UpdateComment::new(&file, comment.as_str(), CommentWrite::new("How?"));
    assert_eq!(
        client.send(&edit).await.unwrap().content.as_deref(),
        Some("How?")
    );
    let answer = CreateReply::new(&file, comment.as_str(), ReplyWrite::text("So."));
    let reply = client.send(&answer).await.unwrap().id.unwrap();
    let settle = ReplyWrite::new().with_action("resolve");
    client
        .send(&CreateReply::new(&file, comment.as_str(), settle))
        .await
        .unwrap();
    let edit = UpdateReply::new(
        &file,
        comment.as_str(),
        reply.as_str(),
        ReplyWrite::text("Thus."),
    );
    client.send(&edit).await.unwrap();
    let read = client
        .send(&GetReply::new(&file, comment.as_str(), reply.as_str()))
        .await
        .unwrap();
    assert_eq!(read.content.as_deref(), Some("Thus."));
    let read = client
        .send(&GetComment::new(&file, comment.as_str()))
        .await
        .unwrap();
    assert_eq!((read.resolved, read.replies.len()), (Some(true), 2));
    let replies = client
        .pages(ListReplies::new(&file, comment.as_str()))
        .items();
    assert_eq!(replies.try_collect::<Vec<_>>().await.unwrap().len(), 2);
    client
        .send(&DeleteReply::new(&file, comment.as_str(), reply))
        .await
        .unwrap();
    client
        .send(&DeleteComment::new(&file, comment))
        .await
        .unwrap();
    let comments = |deleted| {
        let every = ListComments::new(&file).with_include_deleted(deleted);
        client.pages(every).items().try_collect::<Vec<_>>()
    };
    assert_eq!(
        (
            comments(false).await.unwrap().len(),
            comments(true).await.unwrap().len()
        ),
        (0, 1)
    );
}

#[tokio::test]
async fn shared_drives_are_created_and_used_like_my_drive() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let create = CreateDrive::new(NewDrive::new("Team")).with_request_id("3f1c0b0e");
    let drive = FileId::new(client.send(&create).await.unwrap().id.unwrap()).unwrap();
    let again = client.send(&create).await.unwrap_err();
    assert_eq!(again.kind(), ErrorKind::Conflict);
    let renamed = UpdateDrive::new(&drive, DriveChanges::new().with_name("Crew"));
    client.send(&renamed).await.unwrap();
    assert_eq!(
        client.send(&HideDrive::new(&drive)).await.unwrap().hidden,
        Some(true)
    );
    assert_eq!(
        client.send(&UnhideDrive::new(&drive)).await.unwrap().hidden,
        Some(false)
    );
    let read = client.send(&GetDrive::new(&drive)).await.unwrap();
    assert_eq!(read.name.as_deref(), Some("Crew"));
    let drives: Vec<_> = client
        .pages(ListDrives::new())
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(drives.len(), 1);
    let file = client
        .create_file(FileMetadata::named("In").in_folder(&drive))
        .await
        .unwrap();
    assert_eq!(file.drive_id.as_deref(), Some(drive.as_str()));
    client.send(&GetFile::new(id(&file))).await.unwrap();
    let listed = client
        .send(&ListFiles::new().in_drive(&drive))
        .await
        .unwrap();
    assert_eq!(listed.items.len(), 1);
    let full = client.send(&DeleteDrive::new(&drive)).await.unwrap_err();
    assert_eq!(full.kind(), ErrorKind::Forbidden);
    client.send(&DeleteFile::new(id(&file))).await.unwrap();
    client.send(&DeleteDrive::new(&drive)).await.unwrap();
    let gone = client.send(&GetDrive::new(&drive)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ProviderNotFound);
}

#[tokio::test]
async fn changes_are_listed_from_a_position_and_a_channel_is_stopped_by_resource_id() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let start = client
        .send(&GetStartPageToken::new())
        .await
        .unwrap()
        .start_page_token
        .unwrap();
    let kept = rig.sim.add_file(None, "Kept", "text/plain", "x").unwrap();
    let lost = rig.sim.add_file(None, "Lost", "text/plain", "x").unwrap();
    rig.sim.rename(&kept, "Renamed").unwrap();
    rig.sim.remove(&lost);
    let changes = client
        .pages(ListChanges::new(&start).with_page_size(1))
        .items();
    let changes: Vec<_> = changes.try_collect().await.unwrap();
    assert_eq!(changes.len(), 2);
    assert_eq!(
        changes[0].file.as_ref().unwrap().name.as_deref(),
        Some("Renamed")
    );
    assert!(changes[1].is_removed() && changes[1].file.is_none() && !changes[1].is_of_drive());

    let request = || WatchRequest::web_hook("channel-1", "https://hooks.example/x").with_token("t");
    let watch = WatchChanges::new(ListChanges::new(&start), request());
    let channel = client.send(&watch).await.unwrap();
    let now = connector_core::clock::Clock::now(&rig.clock);
    assert_eq!(
        channel.expires_in(now).unwrap().as_secs(),
        3600,
        "the default lifetime is one hour"
    );
    let twice = client.send(&watch).await.unwrap_err();
    assert_eq!(Reason::of(&twice), Some(Reason::ChannelNotUnique));
    let plain = WatchRequest::web_hook("channel-2", "http://hooks.example/x");
    assert!(client.send(&WatchFile::new(&kept, plain)).await.is_err());
    let by_file = StopChannel::new(WatchRequest::stop("channel-1", kept.as_str()));
    let refused = client.send(&by_file).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ProviderNotFound);
    let by_resource = WatchRequest::stop("channel-1", channel.resource_id.unwrap());
    client.send(&StopChannel::new(by_resource)).await.unwrap();
    assert_eq!(rig.sim.channels(), 0);
}

#[tokio::test]
async fn calls_are_sent_in_batches_and_each_call_has_its_own_result() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let mut calls = Vec::new();
    for number in 0..100 {
        let file = rig
            .sim
            .add_file(None, &format!("F{number}"), "text/plain", "x")
            .unwrap();
        // Every tenth file has been deleted.
        if number % 10 == 9 {
            rig.sim.remove(&file);
        }
        calls.push(GetFile::new(&file));
    }
    let answers = client.send(&Batch::new(calls.clone())).await.unwrap();
    for (number, answer) in answers.iter().enumerate() {
        match answer {
            Ok(file) => assert_eq!(file.name, Some(format!("F{number}"))),
            Err(error) => {
                assert_eq!(
                    (error.kind(), number % 10),
                    (ErrorKind::ProviderNotFound, 9)
                );
                assert_eq!(Reason::of(error), Some(Reason::NotFound));
            }
        }
    }
    assert_eq!(
        rig.sim
            .server()
            .count(&http::Method::POST, "/batch/drive/v3"),
        1
    );
    let writes = ["a", "b'\r\n", "ü"].map(|name| CreateFile::new(FileMetadata::named(name)));
    let made = client.send(&Batch::new(writes)).await.unwrap();
    assert_eq!(made[2].as_ref().unwrap().name.as_deref(), Some("ü"));
    let many = Batch::new(vec![calls[0].clone(); 101]);
    for wrong in [many, Batch::new(Vec::new())] {
        assert_eq!(
            client.send(&wrong).await.unwrap_err().kind(),
            ErrorKind::InvalidInput
        );
    }
    let ranges = Batch::new([DownloadRange::new(rig.sim.root_folder().unwrap(), 0, 1)]);
    assert_eq!(
        client.send(&ranges).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
    println!("calls sent in batches: {}", answers.len() + made.len());
}

#[tokio::test]
async fn documents_are_exported_and_large_exports_are_prepared() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let kind = "application/vnd.google-apps.document";
    let document = rig.sim.add_file(None, "Letter", kind, "").unwrap();
    let export = ExportFile::new(&document).with_mime_type("application/pdf");
    let text = client.send(&export).await.unwrap();
    assert!(text.starts_with(b"Letter as application/pdf"));
    let long = FileMetadata::new().with_description("10000001");
    client
        .send(&UpdateFile::new(&document, long))
        .await
        .unwrap();
    let refused = client.send(&export).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::ExportTooLarge));
    assert_eq!(
        (refused.kind(), refused.retry()),
        (ErrorKind::Forbidden, Retry::Never)
    );
    let start = StartDownload::new(&document).with_mime_type("application/pdf");
    let started = client.send(&start).await.unwrap();
    assert_eq!(started.done, Some(false));
    let ended = client
        .send(&GetOperation::new(started.name.unwrap()))
        .await
        .unwrap();
    assert!(ended.done == Some(true) && ended.response.contains_key("downloadUri"));
    let plain = rig
        .sim
        .add_file(None, "Plain", "text/plain", noise(1, 9))
        .unwrap();
    let export = ExportFile::new(&plain).with_mime_type("application/pdf");
    let refused = client.send(&export).await.unwrap_err();
    assert_eq!(Reason::of(&refused), Some(Reason::NotExportable));
}

#[tokio::test]
async fn drive_file_covers_files_of_the_app_and_narrow_scopes_cover_no_more() {
    let (sim, all) = transfers(|it| it).await;
    let foreign = sim.add_file(None, "Foreign", "text/plain", "x").unwrap();
    let narrow = transfer_client(&sim, &["openid", scope::FILE]);
    let own = narrow
        .create_file(FileMetadata::named("Own"))
        .await
        .unwrap();
    let listed = narrow.send(&ListFiles::new()).await.unwrap();
    assert_eq!(listed.items.len(), 1);
    assert_eq!(listed.items[0].id, own.id);
    let hidden = narrow.send(&GetFile::new(&foreign)).await.unwrap_err();
    assert_eq!(hidden.kind(), ErrorKind::ProviderNotFound);
    let reader = transfer_client(&sim, &["openid", scope::METADATA_READONLY]);
    reader.send(&GetFile::new(&foreign)).await.unwrap();
    for refused in [
        reader.send(&DeleteFile::new(&foreign)).await.unwrap_err(),
        reader
            .send(&DownloadRange::new(&foreign, 0, 0))
            .await
            .map(drop)
            .unwrap_err(),
    ] {
        assert_eq!(Reason::of(&refused), Some(Reason::MissingScope));
        assert_eq!(refused.retry(), Retry::AfterReauthorization);
    }
    all.send(&DeleteFile::new(&foreign)).await.unwrap();
}
