//! The library as a client of the simulator.

use std::collections::BTreeSet;

use connector_notion::sim::Fault;
use connector_tests::notion_sdk::Refusal;
use serde_json::{Value, json};

use crate::{App, id, text};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_authorizes_refreshes_introspects_and_revokes() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let code = app.authorize();
    let exchange = json!({
        "grant_type": "authorization_code", "code": code,
        "redirect_uri": "https://app.example/callback",
    });
    let exchange = app.authenticated(exchange);
    let first = app.call("oauth.token", exchange.clone());
    // The library knows Notion's form of an error. The token endpoint answers in the form of RFC
    // 6749, which the authorization guide promises.
    let refused = |refusal: &Refusal| (refusal.name.clone(), refusal.status);
    let unknown = ("UnknownHTTPResponseError".to_owned(), Some(400));
    let again = app.try_call("oauth.token", &exchange).unwrap_err();
    assert_eq!(refused(&again), unknown);
    // The code was used twice, so the grant is dead. Authorize again.
    let mut exchange = exchange;
    exchange["code"] = app.authorize().into();
    let first_of_second = app.call("oauth.token", exchange);
    assert_eq!(first["bot_id"], first_of_second["bot_id"]);
    let refresh = |token: &Value| json!({ "grant_type": "refresh_token", "refresh_token": token });
    let args = app.authenticated(refresh(&first_of_second["refresh_token"]));
    let second = app.call("oauth.token", args.clone());
    assert_ne!(second["refresh_token"], first_of_second["refresh_token"]);
    app.token = second["access_token"].as_str().unwrap().to_owned().into();
    let me = app.call("users.me", json!({}));
    assert_eq!((&me["id"], &me["type"]), (&second["bot_id"], &json!("bot")));

    let token = json!({ "token": second["access_token"] });
    let token = app.authenticated(token);
    let state = app.call("oauth.introspect", token.clone());
    assert_eq!(state["active"], true);
    app.call("oauth.revoke", token.clone());
    assert_eq!(app.call("oauth.introspect", token)["active"], false);
    let dead = app.try_call("users.me", &json!({})).unwrap_err();
    assert_eq!(
        (dead.name.as_str(), dead.code.as_str(), dead.status),
        ("APIResponseError", "unauthorized", Some(401))
    );
    // A refresh token that was used before, after its successor was revoked.
    let again = app.try_call("oauth.token", &args).unwrap_err();
    assert_eq!(refused(&again), unknown);
    let typed = app.assert_types();
    println!(
        "authorization calls of Notion's library: {}, responses of its types: {typed}",
        app.calls
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::too_many_lines,
    reason = "one workspace, from its schema to its views"
)]
async fn the_library_searches_queries_and_uses_views() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let home = app.sim.add_page("Home").unwrap();
    for number in 0..23 {
        app.sim.add_page(&format!("Plan {number:02}")).unwrap();
    }
    let found = app.collect(
        "search",
        json!({
            "query": "plan", "page_size": 10, "filter": { "property": "object", "value": "page" },
            "sort": { "timestamp": "last_edited_time", "direction": "ascending" },
        }),
    );
    assert_eq!((found.ids.len(), found.pages), (23, 3));

    let schema = json!({
        "Name": { "title": {} }, "Notes": { "rich_text": {} },
        "Price": { "number": { "format": "euro" } }, "Done": { "checkbox": {} },
        "Due": { "date": {} }, "Link": { "url": {} }, "Mail": { "email": {} },
        "Call": { "phone_number": {} }, "Files": { "files": {} }, "People": { "people": {} },
        "Priority": { "select": { "options": [{ "name": "High", "color": "red" }] } },
        "Tags": { "multi_select": { "options": [{ "name": "a" }, { "name": "b" }] } },
    });
    let database = app.call(
        "databases.create",
        json!({
            "parent": { "type": "page_id", "page_id": home.as_str() }, "title": text("Tasks"),
            "initial_data_source": { "properties": schema },
            "icon": { "type": "emoji", "emoji": "📌" },
        }),
    );
    let database = id(&database);
    let updated = app.call(
        "databases.update",
        json!({
            "database_id": database, "title": text("All tasks"), "is_locked": true,
            "cover": { "type": "external", "external": { "url": "https://example.com/a.png" } },
        }),
    );
    assert_eq!(updated["title"][0]["plain_text"], "All tasks");
    let read = app.call("databases.retrieve", json!({ "database_id": database }));
    let source = id(&read["data_sources"][0]);
    let second = app.call(
        "dataSources.create",
        json!({
            "parent": { "type": "database_id", "database_id": database },
            "properties": { "Name": { "title": {} } }, "title": text("More"),
        }),
    );
    app.call(
        "dataSources.update",
        json!({
            "data_source_id": second["id"], "properties": { "Extra": { "checkbox": {} } },
        }),
    );
    let read = app.call(
        "dataSources.retrieve",
        json!({ "data_source_id": second["id"] }),
    );
    assert_eq!(read["properties"]["Extra"]["type"], "checkbox");

    for number in 0..57 {
        app.call(
            "pages.create",
            json!({
                "parent": { "type": "data_source_id", "data_source_id": source },
                "properties": {
                    "Name": { "title": text(&format!("Task {number:02}")) },
                    "Notes": { "rich_text": text("a note") },
                    "Price": { "number": number }, "Done": { "checkbox": number % 2 == 0 },
                    "Due": { "date": { "start": "2026-11-20", "end": null, "time_zone": null } },
                    "Link": { "url": "https://example.com" }, "Mail": { "email": "a@example.com" },
                    "Call": { "phone_number": "123" },
                    "Priority": { "select": { "name": "High" } },
                    "Tags": { "multi_select": [{ "name": "a" }] },
                },
            }),
        );
    }
    let all = app.collect(
        "dataSources.query",
        json!({ "data_source_id": source, "page_size": 10 }),
    );
    assert_eq!((all.ids.len(), all.pages), (57, 6));
    let unique: BTreeSet<&String> = all.ids.iter().collect();
    assert_eq!(unique.len(), 57);
    let page = app.call(
        "dataSources.query",
        json!({
            "data_source_id": source, "page_size": 5,
            "filter": { "and": [
                { "property": "Done", "checkbox": { "equals": true } },
                { "property": "Price", "number": { "greater_than": 49 } },
            ] },
            "sorts": [{ "property": "Name", "direction": "descending" }],
        }),
    );
    let names: Vec<&Value> = page["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| &it["properties"]["Name"]["title"][0]["plain_text"])
        .collect();
    assert_eq!(names, ["Task 56", "Task 54", "Task 52", "Task 50"]);
    assert_eq!(page["request_status"]["type"], "complete");
    let args = json!({ "data_source_id": source });
    app.call("dataSources.listTemplates", args.clone());
    let rows = app
        .with(|sdk, connection| sdk.all_rows(connection, &args))
        .unwrap();
    assert_eq!(rows.len(), 57);

    let view = app.call(
        "views.create",
        json!({
            "data_source_id": source, "database_id": database, "name": "By price", "type": "table",
            "sorts": [{ "property": "Price", "direction": "descending" }],
            "filter": { "property": "Price", "number": { "less_than": 30 } },
            "configuration": { "type": "table", "wrap_cells": true },
        }),
    );
    let view = id(&view);
    app.call("views.retrieve", json!({ "view_id": view }));
    app.call("views.update", json!({ "view_id": view, "name": "Cheap" }));
    let tabs = app.collect(
        "views.list",
        json!({ "database_id": database, "page_size": 1 }),
    );
    assert_eq!((tabs.ids.len(), tabs.pages), (2, 2));
    let query = app.call(
        "views.queries.create",
        json!({ "view_id": view, "page_size": 20 }),
    );
    assert_eq!(
        (&query["total_count"], &query["has_more"]),
        (&json!(30), &json!(true))
    );
    let results = json!({ "view_id": view, "query_id": query["id"], "page_size": 7 });
    let results = app.collect("views.queries.results", results);
    assert_eq!((results.ids.len(), results.pages), (30, 5));
    let query = json!({ "view_id": view, "query_id": query["id"] });
    assert_eq!(
        app.call("views.queries.delete", query.clone())["deleted"],
        true
    );
    let gone = app.try_call("views.queries.results", &query).unwrap_err();
    assert_eq!(gone.code, "object_not_found");
    app.call("views.delete", json!({ "view_id": view }));
    let typed = app.assert_types();
    println!(
        "calls of Notion's library: {}, rows: {}, values of its types: {typed}",
        app.calls,
        all.ids.len()
    );
}

/// One block of each type that a request can create.
fn every_block(page: &str, upload: &str) -> Vec<Value> {
    let rich = json!({ "rich_text": text("text") });
    let mut blocks: Vec<Value> = [
        "paragraph",
        "heading_1",
        "heading_2",
        "heading_3",
        "bulleted_list_item",
        "numbered_list_item",
        "quote",
        "toggle",
        "callout",
    ]
    .into_iter()
    .map(|kind| json!({ "type": kind, kind: rich }))
    .collect();
    let nested = json!({ "rich_text": text("outer"), "children": [
        { "type": "to_do", "to_do": { "rich_text": text("inner"), "checked": true } },
    ] });
    let row = |a: &str, b: &str| json!({ "type": "table_row", "table_row": { "cells": [text(a), text(b)] } });
    let url = json!({ "url": "https://example.com/x" });
    let external = json!({ "type": "external", "external": url });
    blocks.extend([
        json!({ "type": "toggle", "toggle": nested }),
        json!({ "type": "to_do", "to_do": { "rich_text": text("do"), "checked": false } }),
        json!({ "type": "code", "code": { "rich_text": text("let x;"), "language": "rust" } }),
        json!({ "type": "equation", "equation": { "expression": "e=mc^2" } }),
        json!({ "type": "divider", "divider": {} }),
        json!({ "type": "breadcrumb", "breadcrumb": {} }),
        json!({ "type": "table_of_contents", "table_of_contents": { "color": "gray" } }),
        json!({ "type": "table", "table": { "table_width": 2, "has_column_header": true,
            "has_row_header": false, "children": [row("a", "b"), row("c", "d")] } }),
        json!({ "type": "column_list", "column_list": { "children": [
            { "type": "column", "column": { "children": [{ "type": "paragraph", "paragraph": rich }] } },
            { "type": "column", "column": { "children": [{ "type": "paragraph", "paragraph": rich }] } },
        ] } }),
        json!({ "type": "link_to_page", "link_to_page": { "type": "page_id", "page_id": page } }),
        json!({ "type": "bookmark", "bookmark": url }),
        json!({ "type": "embed", "embed": url }),
        json!({ "type": "image", "image": external }),
        json!({ "type": "video", "video": external }),
        json!({ "type": "pdf", "pdf": external }),
        json!({ "type": "audio", "audio": external }),
        json!({ "type": "file", "file": { "type": "file_upload", "file_upload": { "id": upload } } }),
        json!({ "type": "synced_block", "synced_block": { "synced_from": null, "children": [
            { "type": "paragraph", "paragraph": rich },
        ] } }),
        json!({ "type": "paragraph", "paragraph": { "rich_text": [
            { "type": "equation", "equation": { "expression": "x" } },
            { "type": "mention", "mention": { "type": "page", "page": { "id": page } } },
            { "type": "text", "text": { "content": "link", "link": { "url": "https://example.com" } },
              "annotations": { "bold": true, "color": "red" } },
        ] } }),
    ]);
    blocks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(
    clippy::too_many_lines,
    reason = "one page, from its blocks to its trash"
)]
async fn the_library_writes_blocks_comments_files_and_pages() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let home = app.sim.add_page("Home").unwrap().to_string();
    let upload = app.call(
        "fileUploads.create",
        json!({
            "filename": "a.txt", "content_type": "text/plain",
        }),
    );
    let upload = id(&upload);
    let sent = app.call(
        "fileUploads.send",
        json!({
            "file_upload_id": upload, "file": { "filename": "a.txt", "data": "hello" },
        }),
    );
    assert_eq!(
        (&sent["status"], &sent["content_length"]),
        (&json!("uploaded"), &json!(5))
    );
    let parts = app.call("fileUploads.create", json!({
        "mode": "multi_part", "number_of_parts": 2, "filename": "b.txt", "content_type": "text/plain",
    }));
    let parts = id(&parts);
    for (number, length) in [("1", 5 * 1024 * 1024), ("2", 9)] {
        app.call(
            "fileUploads.send",
            json!({
                "file_upload_id": parts, "part_number": number,
                "file": { "filename": "b.txt", "data": "x".repeat(length) },
            }),
        );
    }
    let complete = app.call("fileUploads.complete", json!({ "file_upload_id": parts }));
    assert_eq!(
        complete["number_of_parts"],
        json!({ "total": 2, "sent": 2 })
    );
    app.call("fileUploads.create", json!({
        "mode": "external_url", "external_url": "https://example.com/c.txt", "filename": "c.txt",
    }));
    app.call("fileUploads.retrieve", json!({ "file_upload_id": upload }));
    let uploads = app.collect("fileUploads.list", json!({ "status": "uploaded" }));
    assert_eq!(uploads.ids.len(), 2);

    let page = app.call("pages.create", json!({
        "parent": { "type": "page_id", "page_id": home }, "icon": { "type": "emoji", "emoji": "🌱" },
        "properties": { "title": { "title": text("Child") } },
        "children": [{ "type": "paragraph", "paragraph": { "rich_text": text("first") } }],
    }));
    let page = id(&page);
    let blocks = every_block(&home, &upload);
    let appended = app.call(
        "blocks.children.append",
        json!({ "block_id": page, "children": blocks }),
    );
    let ids: Vec<String> = appended["results"]
        .as_array()
        .unwrap()
        .iter()
        .map(id)
        .collect();
    assert_eq!(ids.len(), blocks.len());
    let start = json!({
        "block_id": page, "position": { "type": "after_block", "after_block": { "id": ids[0] } },
        "children": [{ "type": "quote", "quote": { "rich_text": text("between") } }],
    });
    let between = id(&app.call("blocks.children.append", start)["results"][0]);
    let children = app.collect(
        "blocks.children.list",
        json!({ "block_id": page, "page_size": 10 }),
    );
    assert_eq!(children.ids.len(), blocks.len() + 2);
    assert_eq!(children.ids[2], between);
    let mut nested = 0;
    for block in appended["results"].as_array().unwrap() {
        if block["has_children"] == true {
            nested += app
                .collect("blocks.children.list", json!({ "block_id": block["id"] }))
                .ids
                .len();
        }
    }
    assert_eq!(nested, 1 + 2 + 2 + 1);
    let change = json!({ "block_id": between, "quote": { "rich_text": text("changed") } });
    let changed = app.call("blocks.update", change);
    assert_eq!(changed["quote"]["rich_text"][0]["plain_text"], "changed");
    app.call("blocks.retrieve", json!({ "block_id": between }));
    assert_eq!(
        app.call("blocks.delete", json!({ "block_id": between }))["in_trash"],
        true
    );

    let comment = app.call(
        "comments.create",
        json!({
            "parent": { "type": "page_id", "page_id": page }, "rich_text": text("Why?"),
        }),
    );
    app.call(
        "comments.create",
        json!({
            "discussion_id": comment["discussion_id"], "markdown": "So.",
        }),
    );
    app.call(
        "comments.create",
        json!({
            "parent": { "type": "block_id", "block_id": ids[0] }, "rich_text": text("Here."),
        }),
    );
    let comments = app.collect("comments.list", json!({ "block_id": page, "page_size": 1 }));
    assert_eq!((comments.ids.len(), comments.pages), (2, 2));
    let comment = id(&comment);
    app.call(
        "comments.update",
        json!({ "comment_id": comment, "rich_text": text("Who?") }),
    );
    let read = app.call("comments.retrieve", json!({ "comment_id": comment }));
    assert_eq!(read["rich_text"][0]["plain_text"], "Who?");
    app.call("comments.delete", json!({ "comment_id": comment }));

    let people = app.collect("users.list", json!({}));
    app.call("users.retrieve", json!({ "user_id": people.ids[0] }));
    let updated = app.call(
        "pages.update",
        json!({
            "page_id": page, "properties": { "title": { "title": text("Renamed") } },
            "cover": { "type": "external", "external": { "url": "https://example.com/a.png" } },
        }),
    );
    assert_eq!(
        updated["properties"]["title"]["title"][0]["plain_text"],
        "Renamed"
    );
    let property = json!({ "page_id": page, "property_id": "title" });
    let items = app.call("pages.properties.retrieve", property);
    assert_eq!(items["results"][0]["title"]["plain_text"], "Renamed");
    let markdown = app.call(
        "pages.updateMarkdown",
        json!({
            "page_id": page, "type": "insert_content",
            "insert_content": { "content": "# Inserted", "position": { "type": "start" } },
        }),
    );
    assert!(
        markdown["markdown"]
            .as_str()
            .unwrap()
            .starts_with("# Inserted")
    );
    app.call("pages.retrieveMarkdown", json!({ "page_id": page }));
    let other = app.sim.add_page("Other").unwrap().to_string();
    let moved = app.call(
        "pages.move",
        json!({
            "page_id": page, "parent": { "type": "page_id", "page_id": other },
        }),
    );
    assert_eq!(moved["parent"]["page_id"], other);
    app.call("pages.update", json!({ "page_id": page, "in_trash": true }));
    assert_eq!(
        app.call("pages.retrieve", json!({ "page_id": page }))["in_trash"],
        true
    );
    app.sim.set_asynchronous(true);
    let task = app.call("pages.create", json!({
        "parent": { "type": "page_id", "page_id": home }, "markdown": "# Later", "allow_async": true,
        "properties": { "title": { "title": text("Later") } },
    }));
    let done = app.call("asyncTasks.retrieve", json!({ "task_id": task["id"] }));
    assert_eq!(done["status"], "succeeded");
    let typed = app.assert_types();
    println!(
        "calls of Notion's library: {}, blocks: {}, values of its types: {typed}",
        app.calls,
        blocks.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_library_reads_refusals_and_retries() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let page = app.sim.add_page("Home").unwrap().to_string();
    let none = "00000000-0000-4000-8000-000000000000";
    let long = text(&"x".repeat(2001));
    let many = vec![json!({ "type": "divider", "divider": {} }); 101];
    let refused = [
        (
            "pages.retrieve",
            json!({ "page_id": none }),
            "object_not_found",
            404,
        ),
        (
            "comments.create",
            json!({ "parent": { "page_id": page }, "rich_text": long }),
            "validation_error",
            400,
        ),
        (
            "blocks.children.append",
            json!({ "block_id": page, "children": many }),
            "validation_error",
            400,
        ),
        (
            "search",
            json!({ "page_size": 101 }),
            "validation_error",
            400,
        ),
    ];
    for (method, args, code, status) in &refused {
        let refusal = app.try_call(method, args).unwrap_err();
        assert_eq!(
            (refusal.code.as_str(), refusal.status),
            (*code, Some(*status)),
            "{method}"
        );
    }
    app.sim.set_user_capability(false);
    let refusal = app.try_call("users.list", &json!({})).unwrap_err();
    assert_eq!(refusal.code, "restricted_resource");
    // The library retries a read after 503, and every call after 429.
    let error = |status, code| {
        let body = json!({ "object": "error", "status": status, "code": code, "message": "m" });
        Fault::answer(status, body.to_string())
    };
    let faults = [
        ("pages.retrieve", 503, "service_unavailable"),
        ("comments.create", 429, "rate_limited"),
    ];
    for (method, status, code) in faults {
        let path = if status == 503 {
            "/v1/pages/*"
        } else {
            "/v1/comments"
        };
        app.sim.server().fault(path, error(status, code));
        let args = if status == 503 {
            json!({ "page_id": page })
        } else {
            json!({ "parent": { "page_id": page }, "rich_text": text("again") })
        };
        app.call(method, args);
    }
    // A write is not retried after 503.
    app.sim
        .server()
        .fault("/v1/comments", error(503, "service_unavailable"));
    let args = json!({ "parent": { "page_id": page }, "rich_text": text("once") });
    let refusal = app.try_call("comments.create", &args).unwrap_err();
    assert_eq!(refusal.status, Some(503));
    let comments = app.collect("comments.list", json!({ "block_id": page }));
    assert_eq!(comments.ids.len(), 1);
    println!(
        "refusals read by Notion's library: {}, retries: {}",
        refused.len() + 2,
        faults.len()
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_type_check_finds_wrong_values() {
    let Some(mut app) = App::new().await else {
        return;
    };
    let page = app.sim.add_page("Home").unwrap();
    let page = app.call("pages.retrieve", json!({ "page_id": page.as_str() }));
    app.assert_types();
    let mut wrong = Vec::new();
    for (member, value) in [
        ("in_trash", json!("no")),
        ("parent", json!({ "type": "nobody" })),
        ("not_a_member", json!(1)),
        ("icon", json!({ "type": "emoji" })),
    ] {
        let mut changed = page.clone();
        changed[member] = value;
        wrong.push(changed);
    }
    let mut missing = page.clone();
    missing.as_object_mut().unwrap().remove("url");
    wrong.push(missing);
    let mut found = 0;
    for value in &wrong {
        app.with(|sdk, _| sdk.record("pages.retrieve", value));
        let check = app.check_types();
        assert!(!check.errors.is_empty(), "{value}");
        found += 1;
    }
    println!(
        "wrong responses found by the library's types: {found} of {}",
        wrong.len()
    );
}
