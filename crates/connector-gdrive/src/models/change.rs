//! Changes and watch channels.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::webhook::{AccountHint, Event};
use connector_core::{AccountKey, AppKey, Error, ErrorKind, Result};

use super::{Drive, File, resource, texts, write};
use crate::GoogleDrive;

/// The topic of a changed or removed file.
pub const CHANGE_TOPIC: &str = "change";
/// The topic of a changed or removed shared drive.
pub const DRIVE_TOPIC: &str = "drive_change";

texts! {
    /// What has changed.
    ChangeKind {
        /// A file.
        File = "file",
        /// A shared drive.
        Drive = "drive",
    }
}

resource! {
    /// A change of a file or of a shared drive.
    Change = "Change" {
        /// What has changed.
        change_type: Option<ChangeKind>,
        /// True if the file or drive was deleted, or the user has lost access to it. A file in the
        /// trash is not removed.
        removed: Option<bool>,
        /// The time of the change (RFC 3339).
        time: Option<String>,
        /// The id of the file. Absent in changes of shared drives.
        file_id: Option<String>,
        /// The file as it is now; absent if it was removed.
        file: Option<File>,
        /// The id of the shared drive.
        drive_id: Option<String>,
        /// The shared drive as it is now; absent if it was removed.
        drive: Option<Drive>,
    }
}

impl Change {
    /// Returns true if the file or drive was deleted, or the user has lost access to it.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed == Some(true)
    }

    /// Returns true if it is a change of a shared drive and not of a file.
    #[must_use]
    pub fn is_of_drive(&self) -> bool {
        match &self.change_type {
            Some(kind) => *kind == ChangeKind::Drive,
            None => self.file_id.is_none() && self.drive_id.is_some(),
        }
    }

    /// The event of this change, the same whenever it is read.
    pub(crate) fn to_event(&self, watch: &str, account: &AccountKey) -> Result<Event> {
        let body = serde_json::to_vec(self).map_err(|_| {
            let message = "a change could not be written; please report it";
            Error::new(ErrorKind::Bug, "google-drive.catch_up", message)
        })?;
        let is_of_drive = self.is_of_drive();
        let (topic, id) = if is_of_drive {
            (DRIVE_TOPIC, &self.drive_id)
        } else {
            (CHANGE_TOPIC, &self.file_id)
        };
        let mut event = Event::new(GoogleDrive::ID, AppKey::default(), topic, body.into());
        event.account = Some(AccountHint::Key(account.clone()));
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        let version = self.file.as_ref().and_then(|file| file.version);
        event.event_id = Some(format!(
            "{watch}:{}:{}:{}",
            text(id),
            text(&self.time),
            match version {
                _ if self.is_removed() => "removed".to_owned(),
                Some(version) => version.to_string(),
                None => String::new(),
            },
        ));
        event.triggered_at = self.time.as_deref().and_then(Timestamp::parse);
        // The user may have lost the drive, or the app its access.
        event.probes = is_of_drive && self.is_removed();
        Ok(event)
    }

    /// Reads an event that a subscription delivered.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedAnswer`] if the event is not one of this connector's subscriptions.
    pub fn of(event: &Event) -> Result<Self> {
        // The parser's own error may quote the body, so it is dropped.
        serde_json::from_slice(&event.body).map_err(|_| {
            let message = "the event is not a change of Google Drive";
            Error::new(ErrorKind::UnexpectedAnswer, "google-drive.change", message)
                .with_provider(GoogleDrive::ID.as_str().to_owned())
        })
    }
}

resource! {
    /// The position from which changes are listed.
    StartPageToken = "StartPageToken" {
        /// The token. It does not expire.
        start_page_token: Option<String>,
    }
}

resource! {
    /// A watch channel that Google opened.
    Channel = "Channel" {
        /// Its id, which the app chose.
        id: Option<String>,
        /// The id of the watched resource, by which the channel is stopped. It is not the file's id.
        resource_id: Option<String>,
        /// The URL of the watched resource.
        resource_uri: Option<String>,
    }
    int64 {
        /// The time of its end, in milliseconds of the Unix epoch.
        expiration,
    }
}

impl Channel {
    /// The time until its end.
    #[must_use]
    pub fn expires_in(&self, now: Timestamp) -> Option<Duration> {
        let at = i64::try_from(self.expiration?).ok()?;
        let left = at.saturating_sub(now.as_unix_millis());
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }
}

write! {
    /// A watch channel to open, or to stop.
    WatchRequest = "Channel" {
        /// Sets the id: at most 64 characters, unique in the project.
        with_id => id: String,
        /// Sets the kind of delivery. `web_hook` is the only one.
        with_type => r#type: String,
        /// Sets the https URL of the notifications.
        with_address => address: String,
        /// Sets the secret that comes with each notification: at most 256 characters.
        with_token => token: String,
        /// Sets the time of the end, in milliseconds of the Unix epoch, as text. At most 7 days away
        /// for changes and 1 day for files; without it, an hour.
        with_expiration => expiration: String,
        /// Sets the id of the watched resource, to stop a channel.
        with_resource_id => resource_id: String,
    }
}

impl WatchRequest {
    /// A channel with this id that posts to `address`.
    pub fn web_hook(id: impl Into<String>, address: impl Into<String>) -> Self {
        Self::default()
            .with_id(id)
            .with_type("web_hook")
            .with_address(address)
    }

    /// The channel with these ids, to stop.
    pub fn stop(id: impl Into<String>, resource_id: impl Into<String>) -> Self {
        Self::default().with_id(id).with_resource_id(resource_id)
    }
}
