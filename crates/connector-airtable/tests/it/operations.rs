//! Operations with the simulator, and the requests that it refuses.

use connector_airtable::endpoints::{
    CreateBase, CreateComment, CreateField, CreateRecords, CreateTable, DeleteComment,
    DeleteRecord, DeleteRecords, GetBaseSchema, GetRecord, ListBases, ListComments, ListRecords,
    SortDirection, UpdateComment, UpdateField, UpdateRecord, UpdateRecords, UpdateTable,
    UploadAttachment, WhoAmI,
};
use connector_airtable::models::{
    BaseId, CommentId, FieldId, Fields, NewField, NewTable, RecordId, RecordWrite, TableId,
    TableKey, WebhookId,
};
use connector_airtable::{AirtableClient, is_expired_offset};
use connector_core::{ErrorKind, Retry};
use futures_util::TryStreamExt as _;

use crate::rig::{Rig, cells};

fn tasks(count: usize) -> Vec<Fields> {
    (0..count)
        .map(|at| cells(&format!("Task {at:03}"), "open"))
        .collect()
}

async fn created(rig: &Rig, client: &AirtableClient, count: usize) -> Vec<RecordId> {
    let create = CreateRecords::new(rig.base.clone(), rig.table.clone(), tasks(count));
    let outcome = rig.drive(client.send_in_batches(create)).await;
    assert!(outcome.failure.is_none(), "{:?}", outcome.failure);
    let records = outcome.completed.into_iter().flat_map(|it| it.records);
    records.map(|it| it.id).collect()
}

#[tokio::test]
async fn a_connected_user_is_known_with_scopes_and_bases() {
    let rig = Rig::new().await;
    let key = rig.connect().await;
    let connection = rig.hub.tenant(&key.tenant).get(key.id).await.unwrap();
    assert_eq!(connection.account.key.as_str(), "usr00000000000001");
    assert_eq!(
        connection.account.label.as_deref(),
        Some("user@example.com")
    );
    let client = rig.hub.client::<AirtableClient>(&key).await.unwrap();
    let user = client.send(&WhoAmI::new()).await.unwrap();
    assert_eq!(
        (user.id.as_str(), user.scopes.len()),
        ("usr00000000000001", 8)
    );
    let bases: Vec<_> = client
        .pages(ListBases::new())
        .items()
        .try_collect()
        .await
        .unwrap();
    assert_eq!(bases.len(), 1);
    assert_eq!((bases[0].name.as_str(), &bases[0].id), ("Work", &rig.base));
    let known: Vec<serde_json::Value> = connection.metadata.get("bases").unwrap();
    assert_eq!(known[0]["permission_level"], "create");
    assert_eq!(
        connection
            .metadata
            .get::<Vec<String>>("scopes")
            .unwrap()
            .len(),
        8
    );
}

#[tokio::test]
async fn schemas_are_read_created_and_changed() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let text = |name: &str| NewField::new(name, "singleLineText");
    let base = CreateBase::new(
        "wspAAAAAAAAAAAAAA",
        "New",
        [NewTable::new("First", [text("Name")])],
    );
    let base = client.send(&base).await.unwrap().id.unwrap();
    let table = NewTable::new("Second", [text("Name"), text("Notes")]).with_description("d");
    let table = client
        .send(&CreateTable::new(base.clone(), table))
        .await
        .unwrap();
    assert_eq!(
        (table.fields.len(), table.description.as_deref()),
        (2, Some("d"))
    );
    let update = UpdateTable::new(base.clone(), table.id.clone()).with_name("Renamed");
    assert_eq!(client.send(&update).await.unwrap().name, "Renamed");
    let field = CreateField::new(base.clone(), table.id.clone(), text("More"));
    let field = client.send(&field).await.unwrap();
    let update = UpdateField::new(base.clone(), table.id.clone(), field.id.clone());
    let update = update.with_name("Most").with_description("d");
    assert_eq!(client.send(&update).await.unwrap().name, "Most");
    let schema = client
        .send(&GetBaseSchema::new(base.clone()))
        .await
        .unwrap();
    let names: Vec<_> = schema.tables.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["First", "Renamed"]);
    assert_eq!(schema.tables[1].fields[2], client_field(&field, "Most"));
    let nothing = UpdateTable::new(base, table.id);
    let error = client.send(&nothing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
}

fn client_field(
    field: &connector_airtable::models::Field,
    name: &str,
) -> connector_airtable::models::Field {
    let mut field = field.clone();
    name.clone_into(&mut field.name);
    field.description = Some("d".to_owned());
    field
}

#[tokio::test]
async fn every_record_is_listed_once_over_all_pages() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let ids = created(&rig, &client, 57).await;
    assert_eq!(ids.len(), 57);
    let all = || ListRecords::new(rig.base.clone(), rig.table.clone()).with_page_size(10);
    let listed = client.pages(all()).items().try_collect::<Vec<_>>();
    let listed: Vec<_> = rig.drive(listed).await.unwrap();
    assert_eq!(
        listed.iter().map(|it| it.id.clone()).collect::<Vec<_>>(),
        ids
    );
    let last = all()
        .sorted_by("Name", SortDirection::Desc)
        .with_max_records(2);
    let last = last.with_fields(["Name"]).by_field_id();
    let last = rig.drive(client.send(&last)).await.unwrap();
    assert_eq!((last.items.len(), last.next.is_none()), (2, true));
    assert_eq!(last.items[0].fields.values().next().unwrap(), "Task 056");
    assert!(
        last.items[0]
            .fields
            .keys()
            .all(|key| FieldId::new(key.as_str()).is_ok())
    );
    let one = all().with_formula("{Name}='Task 007'");
    assert_eq!(rig.drive(client.send(&one)).await.unwrap().items.len(), 1);
    // A query that is too long for a URL is sent as POST, with the same result.
    let long = all()
        .with_formula("{Name}='Task 007'")
        .with_fields((0..2000).map(|it| format!("field {it}")));
    let by_body = rig
        .drive(client.send(&long.with_fields(["Name"])))
        .await
        .unwrap();
    assert_eq!(by_body.items[0].fields.len(), 1);
    let path = format!("/v0/{}/{}/listRecords", rig.base, rig.table);
    assert_eq!(rig.sim.server().count(&http::Method::POST, &path), 1);
    println!("records listed once: {}", listed.len());
}

#[tokio::test]
async fn an_offset_that_has_expired_asks_for_a_new_listing() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    created(&rig, &client, 11).await;
    let list = ListRecords::new(rig.base.clone(), rig.table.clone()).with_page_size(10);
    let first = rig.drive(client.send(&list)).await.unwrap();
    rig.sim.expire_offsets();
    let error = rig
        .drive(client.send(&list.clone().after(first.next.unwrap())))
        .await
        .unwrap_err();
    assert!(
        is_expired_offset(&error) && error.message().contains("restart"),
        "{error}"
    );
    assert_eq!(
        (error.kind(), error.retry()),
        (ErrorKind::Conflict, Retry::Never)
    );
    let again = rig.drive(client.send(&list)).await.unwrap();
    assert_eq!(again.items.len(), 10);
}

#[tokio::test]
async fn records_are_written_in_every_way() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let (base, table) = (|| rig.base.clone(), || rig.table.clone());
    let ids = created(&rig, &client, 3).await;
    let get = async |id: &RecordId| {
        let get = GetRecord::new(rig.base.clone(), rig.table.clone(), id.clone());
        rig.drive(client.send(&get)).await
    };
    // A cell of an unknown type is written back unchanged.
    let mut odd = Fields::new();
    odd.insert(
        "Status".to_owned(),
        serde_json::json!({ "kind": "new", "parts": [1, null] }),
    );
    let update = UpdateRecord::new(base(), table(), ids[0].clone(), odd.clone());
    let written = rig.drive(client.send(&update)).await.unwrap();
    let back = UpdateRecord::new(base(), table(), ids[0].clone(), written.fields.clone());
    rig.drive(client.send(&back)).await.unwrap();
    let read = get(&ids[0]).await.unwrap();
    assert_eq!(
        (&read.fields["Status"], &read.fields["Name"]),
        (&odd["Status"], &"Task 000".into())
    );
    let replace = UpdateRecord::new(base(), table(), ids[0].clone(), odd).replacing();
    assert!(
        !rig.drive(client.send(&replace))
            .await
            .unwrap()
            .fields
            .contains_key("Name")
    );
    let both = [
        RecordWrite::to(ids[1].clone(), cells("One", "done")),
        RecordWrite::to(ids[2].clone(), Fields::new()),
    ];
    let put = UpdateRecords::new(base(), table(), both).replacing();
    let written = rig.drive(client.send(&put)).await.unwrap();
    assert!(written.records[1].fields.is_empty() && written.created_records.is_empty());
    let rows = [cells("One", "again"), cells("New", "open")].map(RecordWrite::matched);
    let upsert = UpdateRecords::new(base(), table(), rows)
        .upsert_on(["Name"])
        .with_typecast();
    for (made, changed) in [(1, 1), (0, 2)] {
        let written = rig.drive(client.send(&upsert)).await.unwrap();
        let counts = (written.created_records.len(), written.updated_records.len());
        assert_eq!(counts, (made, changed), "an upsert may be repeated");
    }
    let delete = DeleteRecord::new(base(), table(), ids[0].clone());
    assert!(rig.drive(client.send(&delete)).await.unwrap().deleted);
    let delete = DeleteRecords::new(base(), table(), ids[1..].to_vec());
    assert_eq!(rig.drive(client.send(&delete)).await.unwrap().len(), 2);
    assert_eq!(
        get(&ids[0]).await.unwrap_err().kind(),
        ErrorKind::ProviderNotFound
    );
}

#[tokio::test]
async fn a_write_in_batches_returns_the_number_of_written_records() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let mut rows = tasks(35);
    rows[24].insert("No such field".to_owned(), 1.into());
    let create = CreateRecords::new(rig.base.clone(), rig.table.clone(), rows);
    let outcome = rig.drive(client.send_in_batches(create)).await;
    let failure = outcome.failure.unwrap();
    assert_eq!(
        (outcome.written, outcome.completed.len(), failure.count),
        (20, 2, 10)
    );
    assert_eq!(failure.error.kind(), ErrorKind::Rejected);
    let list = ListRecords::new(rig.base.clone(), rig.table.clone());
    assert_eq!(rig.drive(client.send(&list)).await.unwrap().items.len(), 20);
    let updates = (0..25).map(|_| RecordWrite::matched(cells("Task 001", "done")));
    let upsert =
        UpdateRecords::new(rig.base.clone(), rig.table.clone(), updates).upsert_on(["Name"]);
    assert_eq!(rig.drive(client.send_in_batches(upsert)).await.written, 25);
    let too_many = CreateRecords::new(rig.base.clone(), rig.table.clone(), tasks(11));
    assert_eq!(
        client.send(&too_many).await.unwrap_err().kind(),
        ErrorKind::InvalidInput
    );
}

#[tokio::test]
async fn comments_are_made_changed_listed_and_deleted() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let record = created(&rig, &client, 1).await.remove(0);
    let (base, table) = (|| rig.base.clone(), || rig.table.clone());
    let create = CreateComment::new(base(), table(), record.clone(), "Hello");
    let comment = rig.drive(client.send(&create)).await.unwrap();
    assert_eq!(
        (comment.text.as_str(), comment.author.id.as_str()),
        ("Hello", "usr00000000000001")
    );
    let update = UpdateComment::new(base(), table(), record.clone(), comment.id.clone(), "Bye");
    assert_eq!(rig.drive(client.send(&update)).await.unwrap().text, "Bye");
    let list = ListComments::new(base(), table(), record.clone());
    let listed: Vec<_> = rig
        .drive(client.pages(list.clone()).items().try_collect())
        .await
        .unwrap();
    assert_eq!((listed.len(), listed[0].text.as_str()), (1, "Bye"));
    let delete = DeleteComment::new(base(), table(), record, comment.id);
    assert!(rig.drive(client.send(&delete)).await.unwrap().deleted);
    assert_eq!(rig.drive(client.send(&list)).await.unwrap().items.len(), 0);
}

#[tokio::test]
async fn refusals_have_their_kinds() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let get = GetBaseSchema::new(rig.base.clone());
    let list = ListRecords::new(rig.base.clone(), rig.table.clone());
    let refused = async |error: ErrorKind, code: Option<&str>| {
        let found = rig.drive(client.send(&list)).await.unwrap_err();
        assert_eq!((found.kind(), found.code()), (error, code), "{found}");
        assert_eq!(found.provider(), Some("airtable"));
        found
    };
    let path = format!("/v0/{}/{}", rig.base, rig.table);
    let fault = |status, body: &str| {
        rig.sim.server().fault(
            path.clone(),
            connector_airtable::sim::Fault::answer(status, body),
        );
    };
    fault(404, r#"{"error":"NOT_FOUND"}"#);
    refused(ErrorKind::ProviderNotFound, Some("NOT_FOUND")).await;
    fault(
        422,
        r#"{"error":{"type":"INVALID_FILTER_BY_FORMULA","message":"m"}}"#,
    );
    refused(ErrorKind::Rejected, Some("INVALID_FILTER_BY_FORMULA")).await;
    fault(
        422,
        r#"{"errors":[{"error":"INVALID_VALUE","message":"m"}]}"#,
    );
    refused(ErrorKind::Rejected, Some("INVALID_VALUE")).await;
    fault(403, "<html>");
    refused(ErrorKind::Forbidden, None).await;
    rig.sim.set_monthly_calls_used_up(true);
    let code = Some("PUBLIC_API_BILLING_LIMIT_EXCEEDED");
    let capped = refused(ErrorKind::Forbidden, code).await;
    assert_eq!(capped.retry(), Retry::Never);
    rig.drive(client.send(&get)).await.unwrap();
    rig.sim.set_monthly_calls_used_up(false);
    rig.sim.withdraw_base(&rig.base);
    refused(
        ErrorKind::Forbidden,
        Some("INVALID_PERMISSIONS_OR_MODEL_NOT_FOUND"),
    )
    .await;
    // The token is never sent to a host that the settings do not allow.
    let (record, field) = (
        RecordId::new("recAAAAAAAAAAAAAA"),
        FieldId::new("fldAAAAAAAAAAAAAA"),
    );
    let upload = UploadAttachment::new(
        rig.base.clone(),
        record.unwrap(),
        field.unwrap(),
        "a.txt",
        "text/plain",
        "a",
    );
    let error = client.send(&upload).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::AddressRefused);
    println!("refusals told apart: 7");
}

#[test]
fn only_ids_of_their_kind_become_parts_of_a_path() {
    let good = "AAAAAAAAAAAAAA";
    let bad = [
        "",
        "app",
        "appAAAAAAAAAAAAA",
        "appAAAAAAAAAAAAAAA",
        "appAAAAAAAAAAAA/A",
        "appAAAAAAAAAAAAÄ",
        "../AAAAAAAAAAAAAA",
    ];
    assert!(BaseId::new(format!("app{good}")).is_ok());
    assert!(TableId::new(format!("tbl{good}")).is_ok());
    assert!(RecordId::new(format!("rec{good}")).is_ok());
    assert!(WebhookId::new(format!("ach{good}")).is_ok());
    assert!(CommentId::new(format!("com{good}")).is_ok());
    for text in bad {
        let error = BaseId::new(text).unwrap_err();
        assert!(
            text.len() < 4 || !error.to_string().contains(text),
            "{error}"
        );
        assert!(
            TableId::new(text.replacen("app", "tbl", 1)).is_err(),
            "{text}"
        );
    }
    for name in ["", ".", "..", "a\nb", &"x".repeat(256)] {
        assert!(TableKey::named(name).is_err(), "{name}");
    }
    println!("texts that are no ids refused: {}", bad.len());
}
