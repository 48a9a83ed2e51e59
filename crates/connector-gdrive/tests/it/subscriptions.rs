//! Subscriptions with a hub, over 30 days with outages of Google and of the application: channels
//! are replaced before they expire, and each change is handled once.

use std::collections::BTreeSet;
use std::time::Duration;

use connector_core::provider::subscription::Watch;
use connector_core::store::{AuditFilter, AuditLog as _};
use connector_core::{ConnectionKey, ErrorKind, Event};
use connector_gdrive::GoogleDrive;
use connector_gdrive::models::{CHANGE_TOPIC, Change, DRIVE_TOPIC};
use connector_gdrive::sim::Notification;

use crate::rig::{Rig, context};

const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

impl Rig {
    async fn subscribed(&self, watches: &[&str]) -> ConnectionKey {
        let key = self.connect().await;
        for watch in watches {
            let watch = Watch::new(*watch).unwrap();
            self.hub.subscribe(&key, watch, context()).await.unwrap();
        }
        self.work().await;
        assert_eq!(self.sim.channels(), watches.len());
        key
    }

    /// Runs the worker until no job is due.
    pub(crate) async fn work(&self) {
        for _ in 0..40 {
            self.clock.advance(Duration::from_secs(1));
            self.drive(self.hub.worker().tick()).await.unwrap();
        }
    }

    async fn pass(&self, time: Duration, step: Duration) {
        let mut passed = Duration::ZERO;
        while passed < time {
            self.clock.advance(step);
            passed += step;
            self.work().await;
        }
    }

    /// Calls the application's endpoint and returns the status of its response.
    async fn receive(&self, notification: &Notification) -> u16 {
        let channel = notification.url.rsplit('/').next().unwrap().to_owned();
        let received = self
            .hub
            .receive(&GoogleDrive::ID, notification.request.clone())
            .channel(channel);
        match received.await {
            Ok(receipt) => receipt.response().status().as_u16(),
            Err(error) => connector_hub::Receipt::refusal(&error).status().as_u16(),
        }
    }

    async fn deliver(&self) -> usize {
        let due = self.sim.notifications();
        for notification in &due {
            let status = self.receive(notification).await;
            assert_eq!(status, 200);
            self.sim.notification_answered(notification, status);
        }
        due.len()
    }

    /// Returns the names of changed files in the order in which the handler received them.
    fn handled_names(&self) -> Vec<String> {
        let events = self.handled.0.lock().unwrap();
        let changes = events.iter().filter(|it| it.topic == CHANGE_TOPIC);
        let files = changes.filter_map(|it| Change::of(it).unwrap().file);
        files.filter_map(|it| it.name).collect()
    }

    fn event_ids(&self) -> (usize, usize) {
        let events = self.handled.0.lock().unwrap();
        let ids: BTreeSet<_> = events.iter().filter_map(|it| it.event_id.clone()).collect();
        (events.len(), ids.len())
    }

    async fn missed(&self) -> usize {
        let log = self
            .store
            .audit(&AuditFilter::default(), None, u16::MAX)
            .await;
        let missed = |event: &Event| matches!(event, Event::ChangesMissed { .. });
        let log = log.unwrap();
        log.items
            .iter()
            .filter(|it| missed(&it.entry.event))
            .count()
    }
}

#[tokio::test]
async fn a_notification_delivers_every_change_once() {
    let rig = Rig::new().await;
    rig.subscribed(&["changes"]).await;
    let mut made = BTreeSet::new();
    for number in 0..1200 {
        let name = format!("File {number}");
        rig.sim.add_file(None, &name, "text/plain", "x").unwrap();
        made.insert(name);
    }
    let due = rig.sim.notifications();
    // The first message of a channel is `sync`. Later messages can report several changes at once.
    assert_eq!(due.len(), 2);
    for notification in due.iter().chain(&due) {
        assert_eq!(rig.receive(notification).await, 200);
    }
    rig.work().await;
    rig.work().await;
    let names = rig.handled_names();
    assert_eq!(names.iter().cloned().collect::<BTreeSet<_>>(), made);
    assert_eq!((names.len(), rig.event_ids()), (1200, (1200, 1200)));
    println!("changes handled once: {}", names.len());
}

#[tokio::test]
async fn a_forged_notification_is_refused_and_triggers_nothing() {
    let rig = Rig::new().await;
    rig.subscribed(&["changes"]).await;
    rig.deliver().await;
    rig.work().await;
    rig.sim.add_file(None, "A", "text/plain", "x").unwrap();
    let genuine = rig.sim.notifications().remove(0);
    let mut forged = Vec::new();
    let mut other = genuine.clone();
    other
        .request
        .headers_mut()
        .insert("x-goog-channel-token", "another".parse().unwrap());
    forged.push((other, 401));
    let mut bare = genuine.clone();
    bare.request.headers_mut().remove("x-goog-channel-token");
    forged.push((bare, 401));
    let mut elsewhere = genuine.clone();
    elsewhere.url = format!("https://hooks.example/in/google-drive/{}", "0".repeat(32));
    forged.push((elsewhere, 404));
    for (forged, status) in &forged {
        assert_eq!(rig.receive(forged).await, *status);
    }
    rig.work().await;
    assert_eq!(rig.handled_names().len(), 0);
    assert_eq!(rig.receive(&genuine).await, 200);
    rig.work().await;
    assert_eq!(rig.handled_names(), ["A"]);
    println!("forged notifications refused: {}", forged.len());
}

/// Requirement 6 of the issue that introduced Google Drive.
#[tokio::test]
async fn thirty_days_with_outages_lose_and_repeat_no_change() {
    let rig = Rig::new().await;
    let drive = rig.sim.add_drive("Team").unwrap();
    let of_drive = format!("changes/{drive}");
    rig.subscribed(&["changes", &of_drive]).await;
    rig.deliver().await;
    rig.work().await;
    let before = rig.handled_names().len();
    let (mut made, mut in_drive, mut told, mut number) = (Vec::new(), Vec::new(), 0, 0);
    for day in 0..30 {
        for hour in [0, 8, 16] {
            number += 1;
            let name = format!("File {number}");
            let parent = (number % 3 == 0).then_some(&drive);
            rig.sim.add_file(parent, &name, "text/plain", "x").unwrap();
            if parent.is_some() {
                in_drive.push(name.clone());
            }
            made.push(name);
            match (day % 6, hour) {
                // Google has an outage of 8 hours: calls fail, and notifications are lost.
                (2, 8) => {
                    rig.sim.set_outage(true);
                    rig.pass(8 * HOUR, 2 * HOUR).await;
                    rig.sim.set_outage(false);
                }
                // The receiver is down for 8 hours and returns 503, so Google retries.
                (3, 0) => {
                    for notification in rig.sim.notifications() {
                        rig.sim.notification_answered(&notification, 503);
                    }
                    rig.clock.advance(8 * HOUR);
                    told += rig.deliver().await;
                    rig.work().await;
                }
                // The receiver returns 404 by mistake, so the message is lost.
                (4, _) => {
                    for notification in rig.sim.notifications() {
                        rig.sim.notification_answered(&notification, 404);
                    }
                    rig.pass(8 * HOUR, 2 * HOUR).await;
                }
                // The application is down: neither worker nor endpoint runs.
                (5, 16) => {
                    let _ = rig.sim.notifications();
                    rig.clock.advance(8 * HOUR);
                    rig.work().await;
                }
                _ => {
                    told += rig.deliver().await;
                    rig.pass(8 * HOUR, 4 * HOUR).await;
                }
            }
            // The replacement of a shared drive's channel is again a channel for the shared drive.
            let mut watched = rig.sim.watched();
            watched.sort();
            watched.dedup();
            let expected = ["changes".to_owned(), format!("changes?driveId={drive}")];
            assert_eq!(watched, expected, "day {day} hour {hour}");
        }
    }
    rig.pass(4 * HOUR, HOUR).await;
    let names = rig.handled_names().split_off(before);
    let mut expected: Vec<&str> = made.iter().chain(&in_drive).map(String::as_str).collect();
    let mut found: Vec<&str> = names.iter().map(String::as_str).collect();
    expected.sort_unstable();
    found.sort_unstable();
    // Both subscriptions report each file of the shared drive once.
    assert_eq!(found, expected);
    let (events, ids) = rig.event_ids();
    assert_eq!(events, ids);
    assert_eq!(rig.missed().await, 0);
    let opened = rig
        .sim
        .server()
        .count(&http::Method::POST, "/drive/v3/changes/watch");
    let stopped = rig
        .sim
        .server()
        .count(&http::Method::POST, "/drive/v3/channels/stop");
    assert!((10..=20).contains(&opened), "{opened}");
    assert_eq!(rig.sim.channels(), 2, "old channels are stopped");
    println!(
        "30 days: {} changes in two subscriptions, each once; {told} notifications, {opened} channels \
         opened, {stopped} stopped",
        names.len()
    );
}

#[tokio::test]
async fn a_file_is_watched_with_daily_channels_until_it_is_removed() {
    let rig = Rig::new().await;
    let file = rig.sim.add_file(None, "A", "text/plain", "1").unwrap();
    let other = rig.sim.add_file(None, "Other", "text/plain", "1").unwrap();
    rig.subscribed(&[&format!("files/{file}")]).await;
    rig.deliver().await;
    rig.work().await;
    assert_eq!(rig.handled_names().len(), 0);
    for day in 0..4 {
        rig.sim.rename(&file, &format!("A{day}")).unwrap();
        rig.sim.rename(&other, &format!("Other{day}")).unwrap();
        rig.deliver().await;
        rig.pass(DAY, 3 * HOUR).await;
        assert_eq!(rig.sim.watched(), [format!("files/{file}")]);
    }
    assert_eq!(rig.handled_names(), ["A0", "A1", "A2", "A3"]);
    rig.sim.remove(&file);
    rig.deliver().await;
    rig.pass(6 * HOUR, HOUR).await;
    let events = rig.handled.0.lock().unwrap().clone();
    let last = Change::of(events.last().unwrap()).unwrap();
    assert!(last.is_removed() && last.file.is_none() && events.len() == 5);
    assert_eq!(last.file_id.as_deref(), Some(file.as_str()));
    println!("changes of one file: {}", events.len());
}

#[tokio::test]
async fn drive_changes_and_lost_access_are_reported_and_reading_continues() {
    let rig = Rig::new().await;
    let drive = rig.sim.add_drive("Team").unwrap();
    let kept = rig.sim.add_file(None, "Kept", "text/plain", "1").unwrap();
    rig.subscribed(&["changes", &format!("changes/{drive}")])
        .await;
    rig.deliver().await;
    rig.work().await;
    rig.sim.remove(&kept);
    rig.sim.leave_drive(&drive);
    rig.sim.add_file(None, "After", "text/plain", "1").unwrap();
    rig.deliver().await;
    rig.pass(4 * HOUR, HOUR).await;
    let events = rig.handled.0.lock().unwrap().clone();
    let changes: Vec<Change> = events.iter().map(|it| Change::of(it).unwrap()).collect();
    let removed = changes
        .iter()
        .filter(|it| it.is_removed() && !it.is_of_drive());
    assert_eq!(removed.count(), 1);
    let lost: Vec<_> = events.iter().filter(|it| it.topic == DRIVE_TOPIC).collect();
    // The user's subscription reports the change once, and the drive's subscription reports it
    // once.
    assert_eq!(lost.len(), 2);
    assert!(
        lost.iter()
            .all(|it| it.probes && Change::of(it).unwrap().file_id.is_none())
    );
    assert_eq!(rig.handled_names(), ["After"]);
    println!("tombstones: {}", lost.len() + 1);
}

#[tokio::test]
async fn a_subscription_end_stops_its_channel_and_invalid_watches_are_refused() {
    let rig = Rig::new().await;
    let key = rig.subscribed(&["changes"]).await;
    let wrong = [
        "change",
        "changes/",
        "changes/a b",
        "files",
        "files/",
        "files/../x",
        "drives/0AbCdEf",
    ];
    for watch in wrong {
        let outcome = rig
            .hub
            .subscribe(&key, Watch::new(watch).unwrap(), context())
            .await;
        assert_eq!(
            outcome.unwrap_err().kind(),
            ErrorKind::InvalidInput,
            "{watch}"
        );
    }
    rig.hub.disconnect(&key, context()).await.unwrap();
    rig.work().await;
    assert_eq!(rig.sim.channels(), 0);
    println!("watches refused: {}", wrong.len());
}
