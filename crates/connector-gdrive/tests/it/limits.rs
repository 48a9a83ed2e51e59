//! The session keeps Google's quota, and each error response has the right kind.

use std::time::Duration;

use connector_core::clock::Clock as _;
use connector_core::{ErrorKind, Retry};
use connector_gdrive::endpoints::{GetFile, ListFiles};
use connector_gdrive::models::FileId;
use connector_gdrive::sim::Fault;
use connector_gdrive::{DriveClient, GoogleDrive, GoogleDriveConfig, Reason};
use connector_hub::Hub;
use futures_util::future::join_all;

use crate::rig::Rig;

impl Rig {
    /// Returns a client whose hub has this quota.
    async fn limited(&self, project: u32, user: u32) -> DriveClient {
        let app = self.sim.authority().app();
        let config = GoogleDriveConfig::builder()
            .with_app(
                app.client_id(),
                app.client_secret().cloned(),
                app.redirect_uri().unwrap().clone(),
            )
            .with_scopes(connector_gdrive::sim::SCOPES)
            .with_simulator(self.sim.server().address())
            .with_units_per_minute(project, user);
        let hub = Hub::builder()
            .store(self.store.clone())
            .cipher(
                connector_core::cipher::Keyring::parse(
                    &connector_core::cipher::Keyring::generate().unwrap(),
                )
                .unwrap(),
            )
            .clock(self.clock.clone())
            .connector(GoogleDrive::new(config.build().unwrap()))
            .build()
            .unwrap();
        let key = self.connect_at(&hub, &Self::tenant()).await;
        hub.client::<DriveClient>(&key).await.unwrap()
    }
}

#[tokio::test]
async fn calls_stay_within_the_units_per_minute() {
    let rig = Rig::new().await;
    let client = rig.limited(10_000, 1000).await.background();
    let began = rig.clock.now();
    // 40 lists at 100 units each, for a user with 1,000 units per minute.
    let calls = (0..40).map(|_| {
        let client = client.clone();
        async move { client.send(&ListFiles::new()).await }
    });
    let outcomes = rig.drive(join_all(calls)).await;
    assert!(outcomes.iter().all(Result::is_ok), "{outcomes:?}");
    let took = rig.clock.now().since(began);
    assert!(
        (Duration::from_secs(170)..Duration::from_secs(400)).contains(&took),
        "{took:?}"
    );
    // A read costs 5 units.
    let root = GetFile::new(FileId::root());
    rig.clock.advance(Duration::from_secs(120));
    let began = rig.clock.now();
    let calls = (0..190).map(|_| {
        let (client, root) = (client.clone(), root.clone());
        async move { client.send(&root).await }
    });
    let outcomes = rig.drive(join_all(calls)).await;
    assert!(outcomes.iter().all(Result::is_ok));
    assert!(rig.clock.now().since(began) < Duration::from_secs(30));
    println!("lists of 4,000 units took {took:?}");
}

fn refusal(status: u16, reason: &str) -> Fault {
    let body = serde_json::json!({ "error": { "code": status, "message": "m",
        "errors": [{ "domain": "global", "reason": reason, "message": "m" }] } });
    Fault::answer(status, body.to_string())
}

#[tokio::test]
#[expect(clippy::too_many_lines, reason = "one table of all reasons")]
async fn every_error_response_is_classified_by_its_reason() {
    use ErrorKind as K;
    let day = Retry::After(Duration::from_secs(86_400));
    let table = [
        (403, "storageQuotaExceeded", K::Forbidden, Retry::Never),
        (
            403,
            "activeItemCreationLimitExceeded",
            K::Forbidden,
            Retry::Never,
        ),
        (
            403,
            "numChildrenInNonRootLimitExceeded",
            K::Forbidden,
            Retry::Never,
        ),
        (
            403,
            "teamDriveFileLimitExceeded",
            K::Forbidden,
            Retry::Never,
        ),
        (403, "teamDriveHierarchyTooDeep", K::Forbidden, Retry::Never),
        (
            403,
            "myDriveHierarchyDepthLimitExceeded",
            K::Forbidden,
            Retry::Never,
        ),
        (
            403,
            "insufficientFilePermissions",
            K::Forbidden,
            Retry::Never,
        ),
        (403, "appNotAuthorizedToFile", K::Forbidden, Retry::Never),
        (403, "domainPolicy", K::Forbidden, Retry::Never),
        (403, "cannotDownloadFile", K::Forbidden, Retry::Never),
        (403, "cannotExportFile", K::Forbidden, Retry::Never),
        (403, "exportSizeLimitExceeded", K::Forbidden, Retry::Never),
        (403, "fileNotDownloadable", K::Forbidden, Retry::Never),
        (403, "fileNotExportable", K::Forbidden, Retry::Never),
        (403, "cannotDownloadAbusiveFile", K::Forbidden, Retry::Never),
        (
            403,
            "invalidAbuseAcknowledgment",
            K::Forbidden,
            Retry::Never,
        ),
        (
            403,
            "teamDriveMembershipRequired",
            K::Forbidden,
            Retry::Never,
        ),
        (
            403,
            "insufficientPermissions",
            K::Forbidden,
            Retry::AfterReauthorization,
        ),
        (
            403,
            "accessNotConfigured",
            K::AppMisconfigured,
            Retry::Never,
        ),
        (
            403,
            "sharingRateLimitExceeded",
            K::Forbidden,
            Retry::After(Duration::from_secs(300)),
        ),
        (403, "quotaExceeded", K::Forbidden, day),
        (403, "downloadQuotaExceeded", K::Forbidden, day),
        (
            401,
            "push.webhookUrlUnauthorized",
            K::Forbidden,
            Retry::Never,
        ),
        (400, "invalidSharingRequest", K::Rejected, Retry::Never),
        (400, "badRequest", K::Rejected, Retry::Never),
        (400, "channelIdNotUnique", K::Conflict, Retry::Never),
        (404, "notFound", K::ProviderNotFound, Retry::Never),
        (409, "fileIdInUse", K::Conflict, Retry::Never),
        (403, "dailyLimitExceeded", K::RateLimited, day),
    ];
    let rig = Rig::new().await;
    let client = rig.client().await;
    let root = GetFile::new(FileId::root());
    for (status, reason, kind, retry) in table {
        rig.sim
            .server()
            .fault("/drive/v3/files/root", refusal(status, reason));
        let error = rig.drive(client.send(&root)).await.unwrap_err();
        assert_eq!((error.kind(), error.retry()), (kind, retry), "{reason}");
        assert_eq!(Reason::of(&error).unwrap().as_str(), reason);
        let is_other = matches!(Reason::of(&error), Some(Reason::Other(_)));
        assert_eq!(
            is_other,
            ["badRequest", "fileIdInUse"].contains(&reason),
            "{reason}"
        );
    }
    println!("error responses classified: {}", table.len());
}

#[tokio::test]
async fn throttled_and_failed_calls_are_retried_and_all_reasons_are_checked() {
    let rig = Rig::new().await;
    let client = rig.client().await;
    let root = GetFile::new(FileId::root());
    let second =
        r#"{"error":{"code":403,"errors":[{"reason":"new"},{"reason":"rateLimitExceeded"}]}}"#;
    let detail =
        r#"{"error":{"code":403,"status":"X","details":[{"reason":"rateLimitExceeded"}]}}"#;
    let faults = [
        refusal(403, "userRateLimitExceeded"),
        refusal(403, "rateLimitExceeded"),
        refusal(429, "anything"),
        refusal(500, "backendError"),
        Fault::answer(502, "<html>"),
        Fault::answer(503, "Service Unavailable"),
        Fault::answer(504, ""),
        Fault::answer(405, ""),
        Fault::answer(403, second),
        Fault::answer(403, detail),
        refusal(401, "authError"),
        Fault::rate_limited(7),
    ];
    let count = faults.len();
    for fault in faults {
        let name = format!("{fault:?}");
        rig.sim.server().fault("/drive/v3/files/root", fault);
        let outcome = rig.drive(client.send(&root)).await;
        assert!(outcome.is_ok(), "{name}: {outcome:?}");
        rig.clock.advance(Duration::from_secs(120));
    }
    // An error body that is not a JSON object, and an error body of an OAuth server.
    for body in [
        "\"forbidden\"",
        r#"{"error":"access_denied"}"#,
        "[]",
        "<html>",
    ] {
        rig.sim
            .server()
            .fault("/drive/v3/files/root", Fault::answer(403, body));
        let error = rig.drive(client.send(&root)).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Forbidden, Retry::Never),
            "{body}"
        );
    }
    println!("faults followed by a successful retry: {count}");
}
