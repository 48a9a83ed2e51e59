//! The method, path, query and body of every operation, as received by a server.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use connector_airtable::endpoints::{
    CellFormat, CreateBase, CreateComment, CreateField, CreateRecords, CreateTable, CreateWebhook,
    DeleteComment, DeleteRecord, DeleteRecords, DeleteWebhook, EnableWebhookNotifications,
    GetBaseSchema, GetRecord, ListBases, ListComments, ListRecords, ListWebhookPayloads,
    ListWebhooks, OPERATIONS, RefreshWebhook, SortDirection, UpdateComment, UpdateField,
    UpdateRecord, UpdateRecords, UpdateTable, UploadAttachment, WhoAmI,
};
use connector_airtable::models::{
    BaseId, CommentId, FieldId, NewField, NewTable, RecordId, RecordWrite, TableId, TableKey,
    WebhookId, WebhookSpecification,
};
use connector_airtable::{Airtable, AirtableClient, AirtableConfig};
use connector_core::api::{FixedToken, PageCursor, Session};
use connector_core::clock::SystemClock;
use connector_core::http::Origin;
use connector_core::provider::oauth::{CodeExchange, CodeVerifier};
use connector_core::provider::{Connector as _, Context};
use connector_core::provider::{Endpoint, ProviderClient as _};
use connector_core::{App, SystemRandom};
use connector_http::HttpClient;
use mockito::Matcher;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use crate::rig::cells;

/// A server that replaces Airtable.
struct Wire {
    server: mockito::ServerGuard,
    airtable: Airtable,
    transport: Arc<HttpClient>,
    /// The sent operations: name, method, path.
    sent: Mutex<BTreeSet<(&'static str, String, String)>>,
}

impl Wire {
    async fn new() -> Self {
        let server = mockito::Server::new_async().await;
        let config = AirtableConfig::builder().with_attachment_uploads();
        let config = config
            .with_simulator(server.socket_address())
            .build()
            .unwrap();
        let mut transport = HttpClient::builder();
        for loopback in config.loopbacks() {
            transport = transport.with_loopback(loopback.clone());
        }
        Self {
            server,
            airtable: Airtable::new(config),
            transport: Arc::new(transport.build().unwrap()),
            sent: Mutex::default(),
        }
    }

    async fn send<E>(
        &mut self,
        endpoint: E,
        line: &str,
        body: Option<Value>,
        answer: Value,
    ) -> E::Output
    where
        E: Endpoint<Client = AirtableClient>,
    {
        let (method, target) = line.split_once(' ').unwrap();
        let body = body.map_or(Matcher::Exact(String::new()), Matcher::Json);
        let mock = self.server.mock(method, target);
        let mock = mock
            .match_header("authorization", "Bearer a-token")
            .match_body(body);
        let mock = mock
            .with_body(answer.to_string())
            .expect(1)
            .create_async()
            .await;
        let origin = Origin::parse("https://api.airtable.com").unwrap();
        let token = Arc::new(FixedToken::new(origin, "a-token"));
        let transport = Arc::<HttpClient>::clone(&self.transport);
        // A separate session, so that no call waits for the limit of the base.
        let session = Session::builder(&self.airtable, token, transport).build();
        let output = AirtableClient::new(session).send(&endpoint).await;
        mock.assert_async().await;
        let path = target.split('?').next().unwrap().to_owned();
        self.sent
            .lock()
            .unwrap()
            .insert((E::NAME, method.to_owned(), path));
        output.unwrap_or_else(|error| panic!("{line}: {}", error.report()))
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
#[expect(
    clippy::many_single_char_names,
    clippy::too_many_lines,
    reason = "one table of all operations, with short names for ids"
)]
async fn every_operation_is_sent_as_airtable_documents_it() {
    let mut wire = Wire::new().await;
    let base = || BaseId::new("appAAAAAAAAAAAAAA").unwrap();
    let table = || TableId::new("tblAAAAAAAAAAAAAA").unwrap();
    let field = || FieldId::new("fldAAAAAAAAAAAAAA").unwrap();
    let record = || RecordId::new("recAAAAAAAAAAAAAA").unwrap();
    let comment = || CommentId::new("comAAAAAAAAAAAAAA").unwrap();
    let hook = || WebhookId::new("achAAAAAAAAAAAAAA").unwrap();
    let text = |name: &str| NewField::new(name, "singleLineText");
    let (b, t, r) = (
        "appAAAAAAAAAAAAAA",
        "tblAAAAAAAAAAAAAA",
        "recAAAAAAAAAAAAAA",
    );
    let (f, c, w) = (
        "fldAAAAAAAAAAAAAA",
        "comAAAAAAAAAAAAAA",
        "achAAAAAAAAAAAAAA",
    );
    let a_field = json!({ "id": f, "name": "N", "type": "singleLineText" });
    let a_table = json!({ "id": t, "name": "T", "fields": [a_field], "new": 1 });
    let a_record = json!({ "id": r, "createdTime": "2026-11-20T12:00:00.000Z", "fields": {} });
    let a_comment = json!({ "id": c, "text": "x", "author": { "id": "usr1" },
        "createdTime": "2026-11-20T12:00:00.000Z" });
    let gone = json!({ "id": r, "deleted": true });
    let schema = json!({ "tables": [a_table] });

    let answer = json!({ "id": "usr1", "scopes": ["webhook:manage"] });
    let user = wire
        .send(WhoAmI::new(), "GET /v0/meta/whoami", None, answer)
        .await;
    assert_eq!((user.email, user.scopes.len()), (None, 1));
    let answer =
        json!({ "bases": [{ "id": b, "name": "B", "permissionLevel": "read" }], "offset": "o/2" });
    let page = wire
        .send(ListBases::new(), "GET /v0/meta/bases", None, answer.clone())
        .await;
    let next = ListBases::new().after(page.next.unwrap());
    wire.send(next, "GET /v0/meta/bases?offset=o%2F2", None, answer)
        .await;
    let create = CreateBase::new("wsp1", "B", [NewTable::new("T", [text("N")])]);
    let body = json!({ "workspaceId": "wsp1", "name": "B", "tables": [
        { "name": "T", "fields": [{ "name": "N", "type": "singleLineText" }] }] });
    wire.send(create, "POST /v0/meta/bases", Some(body), schema.clone())
        .await;

    let tables = format!("/v0/meta/bases/{b}/tables");
    wire.send(
        GetBaseSchema::new(base()),
        &format!("GET {tables}"),
        None,
        schema,
    )
    .await;
    let new = NewTable::new("T", [text("N").with_options(json!({ "o": 1 }))]).with_description("d");
    let body = json!({ "name": "T", "description": "d", "fields": [
        { "name": "N", "type": "singleLineText", "options": { "o": 1 } }] });
    let line = format!("POST {tables}");
    wire.send(
        CreateTable::new(base(), new),
        &line,
        Some(body),
        a_table.clone(),
    )
    .await;
    let update = UpdateTable::new(base(), table()).with_name("N");
    let line = format!("PATCH {tables}/{t}");
    wire.send(update, &line, Some(json!({ "name": "N" })), a_table)
        .await;
    let create = CreateField::new(base(), table(), text("N").with_description("d"));
    let body = json!({ "name": "N", "type": "singleLineText", "description": "d" });
    let line = format!("POST {tables}/{t}/fields");
    wire.send(create, &line, Some(body), a_field.clone()).await;
    let update = UpdateField::new(base(), table(), field()).with_description("d");
    let line = format!("PATCH {tables}/{t}/fields/{f}");
    wire.send(update, &line, Some(json!({ "description": "d" })), a_field)
        .await;

    let listed = json!({ "records": [a_record], "offset": "itr/1" });
    let list = ListRecords::new(base(), TableKey::named("A/B ü?").unwrap());
    let line = format!("GET /v0/{b}/A%2FB%20%C3%BC%3F?pageSize=100");
    let page = wire.send(list, &line, None, listed.clone()).await;
    assert_eq!(page.next, Some(PageCursor::new("itr/1")));
    let full = || {
        ListRecords::new(base(), table())
            .with_fields(["Name", f])
            .with_formula("{A}='x & y'")
            .with_max_records(7)
            .with_page_size(5)
            .sorted_by("Name", SortDirection::Asc)
            .sorted_by(f, SortDirection::Desc)
            .in_view("Grid view")
            .with_cell_format(CellFormat::String)
            .by_field_id()
            .with_record_metadata("commentCount")
            .after(PageCursor::new("itr/1"))
    };
    let line = format!(
        "GET /v0/{b}/{t}?fields%5B%5D=Name&fields%5B%5D={f}&filterByFormula=%7BA%7D%3D%27x%20%26%20y%27\
         &maxRecords=7&pageSize=5&sort%5B0%5D%5Bfield%5D=Name&sort%5B0%5D%5Bdirection%5D=asc\
         &sort%5B1%5D%5Bfield%5D={f}&sort%5B1%5D%5Bdirection%5D=desc&view=Grid%20view\
         &cellFormat=string&returnFieldsByFieldId=true&recordMetadata%5B%5D=commentCount\
         &offset=itr%2F1"
    );
    wire.send(full(), &line, None, listed.clone()).await;
    let long = "x".repeat(16_000);
    let body = json!({ "fields": ["Name", f], "filterByFormula": long, "maxRecords": 7, "pageSize": 5,
        "sort": [{ "field": "Name", "direction": "asc" }, { "field": f, "direction": "desc" }],
        "view": "Grid view", "cellFormat": "string", "returnFieldsByFieldId": true,
        "recordMetadata": ["commentCount"], "offset": "itr/1" });
    let line = format!("POST /v0/{b}/{t}/listRecords");
    wire.send(full().with_formula(long), &line, Some(body), listed)
        .await;
    let one = format!("/v0/{b}/{t}/{r}");
    let get = GetRecord::new(base(), table(), record());
    wire.send(get, &format!("GET {one}"), None, a_record.clone())
        .await;

    let written = json!({ "records": [a_record], "createdRecords": [r], "updatedRecords": [] });
    let many = format!("/v0/{b}/{t}");
    let new = || cells("N", "S");
    let create = CreateRecords::new(base(), table(), [new()]).with_typecast();
    let body = json!({ "records": [{ "fields": new() }], "typecast": true });
    wire.send(create, &format!("POST {many}"), Some(body), written.clone())
        .await;
    let upsert =
        UpdateRecords::new(base(), table(), [RecordWrite::matched(new())]).upsert_on(["Name"]);
    let body = json!({ "records": [{ "fields": new() }], "performUpsert": { "fieldsToMergeOn": ["Name"] } });
    let output = wire
        .send(
            upsert,
            &format!("PATCH {many}"),
            Some(body),
            written.clone(),
        )
        .await;
    assert_eq!(
        (output.created_records.len(), output.updated_records.len()),
        (1, 0)
    );
    let put = UpdateRecords::new(base(), table(), [RecordWrite::to(record(), new())]).replacing();
    let body = json!({ "records": [{ "id": r, "fields": new() }] });
    wire.send(put, &format!("PUT {many}"), Some(body), written)
        .await;
    let patch = || UpdateRecord::new(base(), table(), record(), new());
    let body = json!({ "fields": new() });
    wire.send(
        patch(),
        &format!("PATCH {one}"),
        Some(body.clone()),
        a_record.clone(),
    )
    .await;
    wire.send(
        patch().replacing(),
        &format!("PUT {one}"),
        Some(body),
        a_record.clone(),
    )
    .await;
    let delete = DeleteRecords::new(base(), table(), [record(), record()]);
    let line = format!("DELETE {many}?records%5B%5D={r}&records%5B%5D={r}");
    wire.send(delete, &line, None, json!({ "records": [gone] }))
        .await;
    let delete = DeleteRecord::new(base(), table(), record());
    wire.send(delete, &format!("DELETE {one}"), None, gone.clone())
        .await;

    let comments = format!("{one}/comments");
    let list = ListComments::new(base(), table(), record()).with_page_size(9);
    let list = list.after(PageCursor::new("o"));
    let line = format!("GET {comments}?pageSize=9&offset=o");
    wire.send(
        list,
        &line,
        None,
        json!({ "comments": [a_comment], "offset": null }),
    )
    .await;
    let create = CreateComment::new(base(), table(), record(), "x");
    let body = json!({ "text": "x" });
    let line = format!("POST {comments}");
    wire.send(create, &line, Some(body.clone()), a_comment.clone())
        .await;
    let update = UpdateComment::new(base(), table(), record(), comment(), "x");
    wire.send(
        update,
        &format!("PATCH {comments}/{c}"),
        Some(body),
        a_comment,
    )
    .await;
    let delete = DeleteComment::new(base(), table(), record(), comment());
    wire.send(delete, &format!("DELETE {comments}/{c}"), None, gone)
        .await;
    let upload = UploadAttachment::new(base(), record(), field(), "a.txt", "text/plain", "hello");
    let body = json!({ "contentType": "text/plain", "filename": "a.txt", "file": "aGVsbG8=" });
    wire.send(
        upload,
        &format!("POST /v0/{b}/{r}/{f}/uploadAttachment"),
        Some(body),
        a_record,
    )
    .await;

    let hooks = format!("/v0/bases/{b}/webhooks");
    let specification = WebhookSpecification::default().with_scope(Some(table()));
    let create = CreateWebhook::new(base(), specification);
    let create = create.with_notification_url("https://hooks.example/x");
    let body = json!({ "notificationUrl": "https://hooks.example/x", "specification": { "options": {
        "filters": { "dataTypes": ["tableData", "tableFields", "tableMetadata"], "recordChangeScope": t },
        "includes": { "includeCellValuesInFieldIds": "all", "includePreviousCellValues": true } } } });
    let answer = json!({ "id": w, "macSecretBase64": "c2VjcmV0LWtleQ==", "expirationTime": "2999-01-01T00:00:00.000Z" });
    let created = wire
        .send(create, &format!("POST {hooks}"), Some(body), answer)
        .await;
    assert_eq!(created.mac_secret.expose_secret(), "c2VjcmV0LWtleQ==");
    assert!(created.expires_in.unwrap().as_secs() > 0 && !format!("{created:?}").contains("c2Vj"));
    let answer = json!({ "webhooks": [{ "id": w, "areNotificationsEnabled": false }] });
    let listed = wire
        .send(
            ListWebhooks::new(base()),
            &format!("GET {hooks}"),
            None,
            answer,
        )
        .await;
    assert!(!listed[0].are_notifications_enabled && listed[0].is_hook_enabled);
    let refresh = RefreshWebhook::new(base(), hook());
    let line = format!("POST {hooks}/{w}/refresh");
    wire.send(refresh, &line, None, json!({ "expirationTime": null }))
        .await;
    let enable = EnableWebhookNotifications::new(base(), hook());
    let line = format!("POST {hooks}/{w}/enableNotifications");
    wire.send(enable, &line, Some(json!({ "enable": true })), json!({}))
        .await;
    let read = ListWebhookPayloads::new(base(), hook()).from_payload(7);
    let line = format!("GET {hooks}/{w}/payloads?cursor=7&limit=50");
    let answer = json!({ "cursor": 8, "mightHaveMore": false,
        "payloads": [{ "error": true, "code": "INVALID_HOOK" }] });
    let page = wire.send(read, &line, None, answer).await;
    assert!(page.payloads[0].is_error() && page.cursor == 8);
    let delete = DeleteWebhook::new(base(), hook());
    wire.send(delete, &format!("DELETE {hooks}/{w}"), None, json!({}))
        .await;

    let sent = wire.sent.lock().unwrap();
    for operation in OPERATIONS {
        let is_sent = sent.iter().any(|(name, method, path)| {
            *name == operation.name && method == operation.method && is_at(operation.path, path)
        });
        assert!(
            is_sent,
            "{} {} was not sent",
            operation.method, operation.path
        );
    }
    println!(
        "requests compared: {}, of {} operations",
        sent.len(),
        OPERATIONS.len()
    );
}

#[tokio::test]
async fn a_client_authenticates_by_basic_with_a_secret_and_by_its_id_without_one() {
    let mut wire = Wire::new().await;
    let redirect_uri: connector_core::RedirectUri = "https://app.example/callback".parse().unwrap();
    let public = App::new("an-id").with_redirect_uri(redirect_uri);
    let secret = public.clone().with_client_secret("a-secret");
    let verifier = CodeVerifier::generate(&SystemRandom::new()).unwrap();
    let cases = [
        // base64("an-id:a-secret")
        (
            &secret,
            Matcher::Exact("Basic YW4taWQ6YS1zZWNyZXQ=".to_owned()),
            false,
        ),
        (&public, Matcher::Missing, true),
    ];
    let count = cases.len();
    for (app, header, has_id) in cases {
        let pair = |name: &str, value: &str| Matcher::UrlEncoded(name.to_owned(), value.to_owned());
        let mut fields = vec![
            pair("grant_type", "authorization_code"),
            pair("code", "a-code"),
            pair("redirect_uri", "https://app.example/callback"),
            pair("code_verifier", verifier.secret().expose_secret()),
        ];
        if has_id {
            fields.push(pair("client_id", "an-id"));
        }
        let answer = json!({ "access_token": "a", "refresh_token": "r", "token_type": "Bearer ",
            "scope": "data.records:read", "expires_in": 3600, "refresh_expires_in": 5_184_000 });
        let mock = wire.server.mock("POST", "/oauth2/v1/token");
        let mock = mock
            .match_header("authorization", header)
            .match_body(Matcher::AllOf(fields));
        let mock = mock.with_header("content-type", "application/json");
        let mock = mock
            .with_body(answer.to_string())
            .expect(1)
            .create_async()
            .await;
        let clock = SystemClock::new();
        let cx = Context::new(app, &*wire.transport, &clock);
        let code = SecretString::from("a-code");
        let exchange = CodeExchange::new(&code, &verifier);
        let answer = wire.airtable.exchange_code(&cx, &exchange).await.unwrap();
        mock.assert_async().await;
        assert_eq!(answer.expires_in().unwrap().as_secs(), 3600);
    }
    println!("clients that authenticate: {count}");
}
