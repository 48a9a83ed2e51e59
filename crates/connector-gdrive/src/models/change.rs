//! Changes and watch channels.

use std::time::Duration;

use connector_core::clock::Timestamp;
use connector_core::webhook::{AccountHint, Event, TypedEvent};
use connector_core::{AccountKey, AppKey, Error, ErrorKind, ProviderId, Result};

use super::{Drive, File, resource, texts, write};
use crate::GoogleDrive;

/// Topic of the event for a changed or removed file.
pub const CHANGE_TOPIC: &str = "change";
/// Topic of the event for a changed or removed shared drive.
pub const DRIVE_TOPIC: &str = "drive_change";

texts! {
    /// Kind of a changed resource.
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
        /// Kind of the changed resource.
        change_type: Option<ChangeKind>,
        /// True if the file or shared drive was deleted, or if the user lost access to it. False
        /// for files in the trash.
        removed: Option<bool>,
        /// Time of the change (RFC 3339).
        time: Option<String>,
        /// Id of the file. Absent for changes of shared drives.
        file_id: Option<String>,
        /// Current state of the file. Absent if the file was removed.
        file: Option<File>,
        /// Id of the shared drive.
        drive_id: Option<String>,
        /// Current state of the shared drive. Absent if the drive was removed.
        drive: Option<Drive>,
    }
}

impl TypedEvent for Change {
    const PROVIDER: ProviderId = GoogleDrive::ID;
    const TOPICS: &'static [&'static str] = &[CHANGE_TOPIC, DRIVE_TOPIC];

    fn decode(event: &Event) -> Result<Self> {
        Self::of(event)
    }
}

impl Change {
    /// Returns true if the file or shared drive was deleted, or if the user lost access to it.
    #[must_use]
    pub fn is_removed(&self) -> bool {
        self.removed == Some(true)
    }

    /// Returns true for a change of a shared drive, and false for a change of a file.
    #[must_use]
    pub fn is_of_drive(&self) -> bool {
        match &self.change_type {
            Some(kind) => *kind == ChangeKind::Drive,
            None => self.file_id.is_none() && self.drive_id.is_some(),
        }
    }

    /// Returns the event for this change. Repeated reads of one change return the same event.
    pub(crate) fn to_event(&self, watch: &str, account: &AccountKey) -> Result<Event> {
        let body = serde_json::to_vec(self).map_err(|_| {
            let message = "a change could not be serialized; please report it";
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
        // The user may have lost access to the drive, or the app may have lost access to the
        // account.
        event.probes = is_of_drive && self.is_removed();
        Ok(event)
    }

    /// Returns the change in an event that a subscription delivered.
    ///
    /// # Errors
    /// [`ErrorKind::UnexpectedResponse`] if the event does not come from a subscription of this
    /// connector.
    pub fn of(event: &Event) -> Result<Self> {
        // The parser's error is dropped, because it can quote the body.
        serde_json::from_slice(&event.body).map_err(|_| {
            let message = "the event is not a change of Google Drive";
            Error::new(
                ErrorKind::UnexpectedResponse,
                "google-drive.change",
                message,
            )
            .with_provider(GoogleDrive::ID.as_str().to_owned())
        })
    }
}

resource! {
    /// Position from which later changes are listed.
    StartPageToken = "StartPageToken" {
        /// Token of the position. The token does not expire.
        start_page_token: Option<String>,
    }
}

resource! {
    /// A watch channel that Google opened.
    Channel = "Channel" {
        /// Id of the channel, as chosen by the app.
        id: Option<String>,
        /// Id of the watched resource, which is required to stop the channel. This id differs from
        /// the file's id.
        resource_id: Option<String>,
        /// URL of the watched resource.
        resource_uri: Option<String>,
    }
    int64 {
        /// Expiry of the channel, in milliseconds since the Unix epoch.
        expiration,
    }
    secret { token, }
}

impl Channel {
    /// Returns the time until the channel expires.
    #[must_use]
    pub fn expires_in(&self, now: Timestamp) -> Option<Duration> {
        let at = i64::try_from(self.expiration?).ok()?;
        let left = at.saturating_sub(now.as_unix_millis());
        Some(Duration::from_millis(u64::try_from(left).unwrap_or(0)))
    }
}

write! {
    /// Request to open or stop a watch channel.
    WatchRequest = "Channel" {
        /// Sets the id: at most 64 characters, unique in the project.
        with_id => id: String,
        /// Sets the delivery method. Google supports only `web_hook`.
        with_type => r#type: String,
        /// Sets the https URL that receives the notifications.
        with_address => address: String,
        /// Sets the expiry, in milliseconds since the Unix epoch, as a string. Maximum: 7 days from
        /// now for changes, 1 day for files. Default: 1 hour.
        with_expiration => expiration: String,
        /// Sets the id of the watched resource. Required to stop a channel.
        with_resource_id => resource_id: String,
    }
    secret {
        /// Sets the secret token that Google includes in each notification: at most 256 characters.
        with_token => token,
    }
}

impl WatchRequest {
    /// Creates a request to open a channel with this id that posts to `address`.
    pub fn web_hook(id: impl Into<String>, address: impl Into<String>) -> Self {
        Self::default()
            .with_id(id)
            .with_type("web_hook")
            .with_address(address)
    }

    /// Creates a request to stop the channel with these ids.
    pub fn stop(id: impl Into<String>, resource_id: impl Into<String>) -> Self {
        Self::default().with_id(id).with_resource_id(resource_id)
    }
}
