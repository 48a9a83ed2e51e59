//! Reports, feeds and queries, from creation to result.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use connector_amazon_spapi::documents::DocumentOptions;
use connector_amazon_spapi::endpoints::{
    CancelReport, CancelReportSchedule, CreateReport, CreateReportSchedule, GetFeeds, GetReport,
    GetReportDocument, GetReportSchedule, GetReportSchedules, GetReports,
};
use connector_amazon_spapi::flows::{
    FeedFlow, FeedOutcome, ListingsResult, MessageState, Polling, QueryFlow, QueryOutcome,
    ReportFlow, ReportOutcome,
};
use connector_amazon_spapi::models::data_kiosk::QuerySpecification;
use connector_amazon_spapi::models::feed::{
    ListingsFeed, ListingsFeedMessage, ListingsFeedPatch, ProcessingReport,
};
use connector_amazon_spapi::models::report::{
    JsonReport, ReportScheduleSpecification, ReportSpecification, SchedulePeriod,
};
use connector_amazon_spapi::sim::{Fault, SELLER, SimulatedReport};
use connector_core::ErrorKind;
use connector_core::clock::{Clock as _, Timestamp};
use futures_util::{StreamExt, TryStreamExt};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::rig::Rig;

const US: &str = "ATVPDKIKX0DER";
const DE: &str = "A1PA6795UKMFR9";
const LISTINGS: &str = "GET_MERCHANT_LISTINGS_ALL_DATA";
const REPORTS: &str = "/reports/2021-06-30/reports";

#[expect(
    clippy::disallowed_methods,
    reason = "the directory is an argument of the test run"
)]
pub(crate) fn schemas(folder: &str) -> Option<PathBuf> {
    let root = std::env::var_os("CONNECTORS_ORACLES")?;
    Some(Path::new(&root).join("amazon-sp-api/schemas").join(folder))
}

pub(crate) fn read(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Asserts that `again` contains everything in `sample`, except for nulls and empty values.
pub(crate) fn same(name: &str, sample: &Value, again: &Value) {
    match sample {
        Value::Object(members) => {
            for (member, value) in members {
                same(&format!("{name}.{member}"), value, &again[member]);
            }
        }
        Value::Array(items) => {
            assert!(
                items.len() == again.as_array().map_or(0, Vec::len),
                "{name}"
            );
            for (at, item) in items.iter().enumerate() {
                same(&format!("{name}[{at}]"), item, &again[at]);
            }
        }
        Value::Null => {}
        other if *other == json!("") && again.is_null() => {}
        other => assert_eq!(again, other, "{name}"),
    }
}

pub(crate) fn kept<T: DeserializeOwned + Serialize>(name: &str, sample: &Value) -> T {
    let decoded: T =
        serde_json::from_value(sample.clone()).unwrap_or_else(|e| panic!("{name}: {e}"));
    same(name, sample, &serde_json::to_value(&decoded).unwrap());
    decoded
}

fn listings() -> ReportSpecification {
    ReportSpecification::new(LISTINGS, [US])
}

#[tokio::test]
async fn a_report_runs_from_its_creation_to_its_rows() {
    let rig = Rig::new().await;
    let flow = ReportFlow::new(rig.client().await);
    let began = rig.clock.now();
    let outcome = rig.drive(flow.run(&listings())).await.unwrap();
    let ReportOutcome::Done(report) = outcome else {
        panic!("{outcome:?}");
    };
    // Processing takes a minute and is detected after intervals of 30 and 60 seconds.
    let took = rig.clock.now().since(began).as_secs();
    assert!((60..130).contains(&took), "{took}");
    let looks = rig
        .sim
        .server()
        .count(&Method::GET, "/reports/2021-06-30/reports/*");
    assert!((2..=4).contains(&looks), "{looks}");
    let rows = rig.drive(async {
        let document = flow.open(&report, DocumentOptions::new()).await.unwrap();
        type Listing = BTreeMap<String, String>;
        let rows = document.typed_rows::<Listing>().await.unwrap();
        rows.try_collect::<Vec<Listing>>().await.unwrap()
    });
    let rows = rows.await;
    assert_eq!(rows.len(), 1000);
    assert_eq!(rows[0]["item-name"], "Caf\u{e9} \"cup\" 1");
    println!(
        "rows of the report: {}, looks at its status: {looks}",
        rows.len()
    );
}

#[tokio::test]
async fn every_end_of_a_report_is_a_result_of_its_own() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let flow = ReportFlow::new(client.clone());
    let why = "The requested date range is invalid.";
    rig.sim.set_report("EMPTY", SimulatedReport::Empty);
    rig.sim.set_report("FATAL", SimulatedReport::Fatal(None));
    rig.sim
        .set_report("EXPLAINED", SimulatedReport::Fatal(Some(why.to_owned())));
    let mut kinds = Vec::new();
    for name in [LISTINGS, "EMPTY", "NOTHING", "FATAL", "EXPLAINED"] {
        let wanted = ReportSpecification::new(name, [US]);
        kinds.push(match rig.drive(flow.run(&wanted)).await.unwrap() {
            ReportOutcome::Done(_) => "done",
            ReportOutcome::NoData(_) => "no data",
            ReportOutcome::Cancelled(_) => "cancelled",
            ReportOutcome::Fatal { details: None, .. } => "fatal",
            ReportOutcome::Fatal {
                details: Some(details),
                ..
            } => {
                assert_eq!(details, why);
                "fatal with errorDetails"
            }
            other => panic!("{name}: {other:?}"),
        });
    }
    // The same report within the cool-down. Reports of other applications count too.
    let first = rig.sim.server().count(&Method::POST, REPORTS);
    let again = rig.drive(flow.run(&listings())).await.unwrap();
    let ReportOutcome::Cooldown { until, report } = again else {
        panic!("{again:?}");
    };
    let created = Timestamp::parse(report.created_time.as_deref().unwrap()).unwrap();
    assert!(until > created && until.since(created) < Duration::from_secs(1800));
    kinds.push("cool-down");
    rig.sim
        .set_report("SHARED", SimulatedReport::Document(empty()));
    rig.sim
        .add_report_of_another_application(SELLER, "SHARED", US);
    let shared = ReportSpecification::new("SHARED", [US]);
    let shared = rig.drive(flow.run(&shared)).await.unwrap();
    assert!(
        matches!(shared, ReportOutcome::Cooldown { .. }),
        "{shared:?}"
    );
    // No cool-down for another marketplace, or after the cool-down has ended.
    let other = ReportSpecification::new("SHARED", [DE]);
    let other = rig.drive(flow.run(&other)).await.unwrap();
    assert!(matches!(other, ReportOutcome::Done(_)), "{other:?}");
    rig.clock.advance(Duration::from_secs(1800));
    let after = rig.drive(flow.run(&listings())).await.unwrap();
    assert!(matches!(after, ReportOutcome::Done(_)), "{after:?}");
    // Processing exceeds the maximum wait.
    rig.sim.set_report_duration(Duration::from_secs(3600));
    let polling = Polling::new().with_longest_wait(Duration::from_secs(90));
    let id = flow
        .create(&ReportSpecification::new("SLOW", [US]))
        .await
        .unwrap();
    let pending = rig
        .drive(flow.clone().with_polling(polling).wait(&id))
        .await
        .unwrap();
    assert!(matches!(pending, ReportOutcome::Pending(_)), "{pending:?}");
    kinds.push("pending");
    println!("results of reports: {} ({})", kinds.len(), kinds.join(", "));
    let expected = [
        "done",
        "no data",
        "cancelled",
        "fatal",
        "fatal with errorDetails",
        "cool-down",
        "pending",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(rig.sim.server().count(&Method::POST, REPORTS) - first, 5);
}

fn empty() -> connector_amazon_spapi::sim::SimulatedDocument {
    connector_amazon_spapi::sim::SimulatedDocument::plain("text/plain", "a\tb\n")
}

#[tokio::test]
async fn a_report_with_personal_data_is_opened_with_a_restricted_token() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let flow = ReportFlow::new(client.clone());
    let kind = "GET_FLAT_FILE_ORDER_REPORT_DATA_SHIPPING";
    rig.sim.set_report(kind, SimulatedReport::Document(empty()));
    let wanted = ReportSpecification::new(kind, [US]);
    assert!(wanted.is_restricted() && !listings().is_restricted());
    let outcome = rig.drive(flow.run(&wanted)).await.unwrap();
    let report = outcome.report();
    let id = report.report_document_id.as_deref().unwrap();
    let plain = client.send(&GetReportDocument::new(id)).await.unwrap_err();
    assert_eq!(plain.kind(), ErrorKind::Forbidden);
    for _ in 0..2 {
        let document = rig
            .drive(flow.open(report, DocumentOptions::new()))
            .await
            .unwrap();
        assert_eq!(document.text(100).await.unwrap(), "a\tb\n");
    }
    let tokens = "/tokens/2021-03-01/restrictedDataToken";
    assert_eq!(rig.sim.server().count(&Method::POST, tokens), 1);
    assert_eq!(rig.sim.leaked_tokens(), 0);
}

#[tokio::test]
async fn failures_that_pass_do_not_end_the_wait_and_others_do() {
    let rig = Rig::new().await;
    let flow = ReportFlow::new(rig.client().await);
    let id = flow.create(&listings()).await.unwrap();
    let path = format!("{REPORTS}/{id}");
    for status in [503, 503, 503, 503, 503, 500, 500, 500] {
        rig.sim
            .server()
            .fault(path.as_str(), Fault::answer(status, "{}"));
    }
    let outcome = rig.drive(flow.wait(&id)).await.unwrap();
    assert!(matches!(outcome, ReportOutcome::Done(_)));
    assert_eq!(rig.sim.server().pending_faults(), 0);
    let refusal = r#"{"errors":[{"code":"Unauthorized","message":"Access denied","details":""}]}"#;
    rig.sim
        .server()
        .fault(path.as_str(), Fault::answer(403, refusal));
    let refused = rig.drive(flow.wait(&id)).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Forbidden);
}

#[tokio::test]
async fn reports_are_listed_cancelled_and_scheduled() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let mut ids = Vec::new();
    for at in 0..12 {
        let wanted = ReportSpecification::new(format!("TYPE_{}", at % 2), [US]);
        let created = rig
            .drive(client.send(&CreateReport::new(&wanted)))
            .await
            .unwrap();
        ids.push(created.report_id);
    }
    // The second page has only the token as parameter: the simulator rejects other parameters.
    let listing = GetReports::new()
        .with_report_types(["TYPE_1"])
        .with_page_size(4_u32);
    let found = client.pages(listing).items().try_collect::<Vec<_>>();
    let found = rig.drive(found).await.unwrap();
    assert_eq!(found.len(), 6);
    assert!(found.iter().all(|it| it.report_type == "TYPE_1"));
    rig.drive(client.send(&CancelReport::new(ids[11].as_str())))
        .await
        .unwrap();
    let cancelled = client
        .send(&GetReport::new(ids[11].as_str()))
        .await
        .unwrap();
    assert_eq!(cancelled.processing_status.unwrap().as_str(), "CANCELLED");
    let schedule = ReportScheduleSpecification::new(LISTINGS, [US], SchedulePeriod::OneDay);
    let mut schedules = Vec::new();
    for _ in 0..2 {
        let created = client
            .send(&CreateReportSchedule::new(&schedule))
            .await
            .unwrap();
        schedules.push(created.report_schedule_id);
    }
    let listed = client
        .send(&GetReportSchedules::new([LISTINGS]))
        .await
        .unwrap();
    assert_eq!(listed.len(), 1, "a schedule replaces the previous one");
    let id = schedules[1].as_str();
    let known = client.send(&GetReportSchedule::new(id)).await.unwrap();
    assert_eq!(known.period, Some(SchedulePeriod::OneDay));
    client.send(&CancelReportSchedule::new(id)).await.unwrap();
    let gone = client.send(&GetReportSchedule::new(id)).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::ProviderNotFound);
    for wrong in [
        ReportSpecification::new("", [US]),
        ReportSpecification::new(LISTINGS, Vec::<String>::new()),
        ReportSpecification::new(LISTINGS, vec![US; 26]),
    ] {
        let error = client.send(&CreateReport::new(&wrong)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

fn feed() -> ListingsFeed {
    let attributes = || {
        let value = json!({ "item_name": [{ "value": "Cup", "marketplace_id": US }] });
        value.as_object().unwrap().clone()
    };
    let patch = ListingsFeedPatch::new("replace", "item_name", [json!({ "value": "Cup" })]);
    let mut broken = ListingsFeedMessage::patch(4, "SKU-D", "", [patch.clone()]);
    broken.product_type = None;
    let messages = [
        ListingsFeedMessage::delete(1, "SKU-A"),
        ListingsFeedMessage::update(2, "SKU-B", "CUP", attributes()).with_requirements("LISTING"),
        ListingsFeedMessage::patch(3, "SKU-C", "CUP", [patch]),
        broken,
    ];
    ListingsFeed::new(SELLER, messages)
}

#[tokio::test]
async fn a_listings_feed_tells_the_result_of_each_message() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let flow = FeedFlow::new(client.clone());
    let content = feed();
    let id = rig
        .drive(flow.submit_listings([US], &content))
        .await
        .unwrap();
    let outcome = rig.drive(flow.wait(&id)).await.unwrap();
    let FeedOutcome::Done(done) = outcome else {
        panic!("{outcome:?}");
    };
    let result = rig
        .drive(flow.listings_result(&done, &content))
        .await
        .unwrap();
    let states: Vec<MessageState> = result.messages.iter().map(|it| it.state).collect();
    use MessageState::{Accepted, Invalid, Previewed, Unknown};
    assert_eq!(states, [Accepted, Accepted, Accepted, Invalid]);
    assert_eq!(result.messages[3].issues[0].code.as_deref(), Some("90220"));
    assert!(!result.is_success() && result.accepted() == 3);
    // A preview of one message.
    rig.sim.preview_messages_of("SKU-B");
    let good = ListingsFeed::new(SELLER, content.messages[..3].to_vec());
    let id = rig.drive(flow.submit_listings([US], &good)).await.unwrap();
    let outcome = rig.drive(flow.wait(&id)).await.unwrap();
    let result = rig
        .drive(flow.listings_result(outcome.feed(), &good))
        .await
        .unwrap();
    let states: Vec<MessageState> = result.messages.iter().map(|it| it.state).collect();
    assert_eq!(states, [Accepted, Previewed, Accepted]);
    assert!(!result.is_success(), "a preview does not count as success");
    // The result is unknown if the numbers of the report do not match, or if the whole feed has an
    // error.
    let summary = |accepted: u64| json!({ "summary": { "messagesAccepted": accepted } });
    let mut whole = summary(3);
    whole["issues"] = json!([{ "severity": "ERROR", "code": "1" }]);
    let mut unknown = 0;
    for report in [json!({}), summary(2), summary(4), whole] {
        let report: ProcessingReport = serde_json::from_value(report).unwrap();
        let result = ListingsResult::new(&good, report);
        assert!(result.messages.iter().all(|it| it.state == Unknown));
        assert!(!result.is_success());
        unknown += 1;
    }
    let report: ProcessingReport = serde_json::from_value(summary(3)).unwrap();
    assert!(ListingsResult::new(&good, report).is_success());
    let listed = client
        .pages(GetFeeds::new())
        .items()
        .try_collect::<Vec<_>>();
    assert_eq!(rig.drive(listed).await.unwrap().len(), 2);
    assert_eq!(rig.sim.leaked_tokens(), 0);
    println!("messages of feeds with a result: 7, reports that prove nothing: {unknown}");
}

#[tokio::test]
async fn every_end_of_a_feed_is_a_result_of_its_own() {
    let rig = Rig::new().await;
    let flow = FeedFlow::new(rig.client().await);
    let content = || {
        connector_amazon_spapi::documents::DocumentContent::bytes("text/xml; charset=UTF-8", "<a/>")
    };
    let mut kinds = Vec::new();
    for name in [
        "POST_PRODUCT_DATA",
        "POST_ORDER_FULFILLMENT_DATA",
        "JSON_LISTINGS_FEED",
    ] {
        let id = rig
            .drive(flow.submit(name, [US], &content()))
            .await
            .unwrap();
        kinds.push(match rig.drive(flow.wait(&id)).await.unwrap() {
            FeedOutcome::NoData(_) => "no report",
            FeedOutcome::Fatal { details: None, .. } => "fatal",
            FeedOutcome::Fatal {
                details: Some(details),
                ..
            } => {
                assert_eq!(details, "The feed is not a valid JSON_LISTINGS_FEED.");
                "fatal with errorDetails"
            }
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(kinds, ["fatal", "no report", "fatal with errorDetails"]);
    println!("results of feeds: {}", kinds.len());
    let twice = ListingsFeed::new(
        SELLER,
        [
            ListingsFeedMessage::delete(1, "A"),
            ListingsFeedMessage::delete(1, "B"),
        ],
    );
    for wrong in [ListingsFeed::new(SELLER, []), twice] {
        let error = flow.submit_listings([US], &wrong).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}

#[tokio::test]
async fn a_query_of_data_kiosk_runs_over_all_pages() {
    let rig = Rig::new().await;
    let flow = QueryFlow::new(rig.client().await);
    let text = "query { analytics_salesAndTraffic_2024_04_24 { x } }";
    let mut wanted = Some(QuerySpecification::new(text));
    let (mut pages, mut dates) = (0, Vec::new());
    while let Some(specification) = wanted.take() {
        let outcome = rig.drive(flow.run(&specification)).await.unwrap();
        let QueryOutcome::Done(query) = outcome else {
            panic!("{outcome:?}");
        };
        let lines = rig.drive(async {
            let document = flow.open(&query, DocumentOptions::new()).await.unwrap();
            document
                .json_lines::<Value>()
                .map(|it| it.unwrap()["date"].clone())
                .collect::<Vec<_>>()
                .await
        });
        dates.extend(lines.await);
        pages += 1;
        wanted = QueryFlow::next_page(&query);
    }
    dates.dedup();
    assert_eq!((pages, dates.len()), (2, 6));
    let none = rig
        .drive(flow.run(&QuerySpecification::new("query { noData }")))
        .await
        .unwrap();
    assert!(matches!(none, QueryOutcome::NoData(_)), "{none:?}");
    let failed = QuerySpecification::new("query { unknownField }");
    let failed = rig.drive(flow.run(&failed)).await.unwrap();
    let QueryOutcome::Fatal {
        details: Some(details),
        ..
    } = failed
    else {
        panic!("{failed:?}");
    };
    assert!(details.contains("unknownField"));
    assert_eq!(rig.sim.leaked_tokens(), 0);
    println!("pages of a query: {pages}, rows: {}", dates.len());
}

#[test]
fn every_report_and_feed_example_of_the_schemas_decodes() {
    let (Some(reports), Some(feeds)) = (schemas("reports"), schemas("feeds")) else {
        println!("skipped: CONNECTORS_ORACLES names no directory with Amazon's schemas");
        return;
    };
    let (mut decoded, mut files, mut specified) = (0, 0, 0);
    for entry in std::fs::read_dir(reports).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        for example in read(&path)["examples"].as_array().unwrap() {
            let report: JsonReport = kept(&name, example);
            if let Some(specification) = &report.report_specification {
                assert!(!specification.report_type.is_empty(), "{name}");
                specified += 1;
            }
            decoded += 1;
        }
        files += 1;
    }
    println!(
        "report examples decoded and kept: {decoded} of {decoded} in {files} schemas, {specified} with a specification"
    );
    assert!(
        decoded >= 30 && files == 22 && specified > 20,
        "{decoded} {files} {specified}"
    );
    let feed: ListingsFeed = kept(
        "feed",
        &read(&feeds.join("listings-feed-schema-v2.example.json")),
    );
    let report = feeds.join("listings-feed-processing-report-schema-v2.example.json");
    let report: ProcessingReport = kept("processing report", &read(&report));
    assert_eq!(report.items.len(), 2);
    // The report covers messages 2 to 5.
    let messages = feed.messages[1..].to_vec();
    let result = ListingsResult::new(&ListingsFeed::new("AXXXXXXXXXXXX", messages), report);
    let states: Vec<MessageState> = result.messages.iter().map(|it| it.state).collect();
    use MessageState::{Accepted, Invalid};
    assert_eq!(states, [Accepted, Accepted, Invalid, Invalid]);
    println!("feed examples decoded and kept: 2 of 2");
}
