//! Subscriptions: one watch channel per watch, and the changes since a stored position.
//!
//! See [Google Drive docs: Notifications for resource changes](https://developers.google.com/workspace/drive/api/guides/push)
//! and [Retrieve changes](https://developers.google.com/workspace/drive/api/guides/manage-changes).
//!
//! Google can neither extend nor list channels. The hub therefore opens a new channel with the same
//! watch and then stops the old channel. Positions do not expire, so no change is lost while there
//! is no channel.

use std::time::Duration;

use async_trait::async_trait;
use connector_core::provider::subscription::{
    CatchUp, Channel, ChannelRenewal, CreatedChannel, NewChannel, SecretSource,
    SubscriptionContext, SubscriptionPlan, Subscriptions, Watch,
};
use connector_core::{Error, ErrorKind, Result};
use secrecy::ExposeSecret;

use crate::GoogleDrive;
use crate::endpoints::{
    GetFile, GetStartPageToken, ListChanges, ReadChanges, StopChannel, WatchChanges, WatchFile,
};
use crate::error::Reason;
use crate::models::{Change, ChangeKind, FileId, WatchRequest};

const DAY: Duration = Duration::from_secs(86_400);
/// Lifetime of a channel if Google does not state one.
const UNSTATED: Duration = Duration::from_secs(3600);
/// Maximum number of changes per page.
const PAGE: u32 = 500;
/// Position of a file that does not exist.
const GONE: &str = "gone";

/// Resource of a watch: `changes` for everything that the user can access, `changes/<id>` for a
/// shared drive, `files/<id>` for a file.
enum Watched {
    Everything,
    Drive(FileId),
    File(FileId),
}

impl Watched {
    fn read(watch: &Watch) -> Result<Self> {
        match watch.as_str().split_once('/') {
            None if watch.as_str() == "changes" => Ok(Self::Everything),
            Some(("changes", drive)) => Ok(Self::Drive(FileId::new(drive)?)),
            Some(("files", file)) => Ok(Self::File(FileId::new(file)?)),
            _ => Err(crate::error::wrong(
                "google-drive.watch",
                "the watch is not `changes`, `changes/` with the id of a shared drive, or `files/` with \
                 the id of a file; correct it",
            )),
        }
    }

    /// Returns the maximum lifetime of a channel.
    const fn life(&self) -> Duration {
        match self {
            Self::File(_) => DAY,
            Self::Everything | Self::Drive(_) => Duration::from_secs(7 * 86_400),
        }
    }

    fn changes(&self, position: &str) -> ListChanges {
        let changes = ListChanges::new(position).with_page_size(PAGE);
        match self {
            Self::Drive(drive) => changes.in_drive(drive),
            _ => changes,
        }
    }

    async fn start(&self, cx: &SubscriptionContext<'_>) -> Result<String> {
        let mut start = GetStartPageToken::new();
        if let Self::Drive(drive) = self {
            start = start.with_drive_id(drive.as_str());
        }
        let token = cx.session.send(&start).await?.start_page_token;
        token.ok_or_else(no_position)
    }
}

fn no_position() -> Error {
    Error::new(
        ErrorKind::UnexpectedResponse,
        "google-drive.catch_up",
        "Google returned no position for later changes; try again, or report it",
    )
    .with_provider(GoogleDrive::ID.as_str().to_owned())
}

#[async_trait]
impl Subscriptions for GoogleDrive {
    fn describe(&self, watch: &Watch) -> Result<SubscriptionPlan> {
        let life = Watched::read(watch)?.life();
        let (renewal, secret) = (ChannelRenewal::Replace, SecretSource::Hub);
        Ok(SubscriptionPlan::channel(Some(life), renewal, secret))
    }

    async fn create(
        &self,
        cx: &SubscriptionContext<'_>,
        new: &NewChannel<'_>,
    ) -> Result<CreatedChannel> {
        let watched = Watched::read(new.watch)?;
        let now = cx.session.clock().now();
        let ends = now.after(watched.life()).as_unix_millis();
        let channel = WatchRequest::web_hook(new.channel.as_str(), new.url.as_str())
            .with_token(new.secret.expose_secret())
            .with_expiration(ends.to_string());
        let opened = if let Watched::File(file) = &watched {
            cx.session.send(&WatchFile::new(file, channel)).await?
        } else {
            let position = match new.cursor {
                Some(position) => position.to_owned(),
                None => watched.start(cx).await?,
            };
            let watch = WatchChanges::new(watched.changes(&position), channel);
            cx.session.send(&watch).await?
        };
        let left = opened.expires_in(cx.session.clock().now());
        let resource = opened.resource_id.unwrap_or_default();
        Ok(CreatedChannel::new(resource, left.or(Some(UNSTATED))))
    }

    async fn end(&self, cx: &SubscriptionContext<'_>, channel: &Channel<'_>) -> Result<()> {
        let stop = WatchRequest::stop(channel.channel.as_str(), channel.resource);
        match cx.session.send(&StopChannel::new(stop)).await {
            Err(error) if error.kind() == ErrorKind::ProviderNotFound => Ok(()),
            ended => ended,
        }
    }

    async fn catch_up(
        &self,
        cx: &SubscriptionContext<'_>,
        watch: &Watch,
        cursor: Option<&str>,
    ) -> Result<CatchUp> {
        let watched = Watched::read(watch)?;
        if let Watched::File(file) = &watched {
            return file_changes(cx, watch, file, cursor).await;
        }
        let Some(position) = cursor else {
            return Ok(CatchUp::new(Vec::new(), watched.start(cx).await?));
        };
        let page = match cx
            .session
            .send(&ReadChanges(watched.changes(position)))
            .await
        {
            Ok(page) => page,
            // Positions do not expire. If Google rejects a position anyway, the subscription
            // continues from the current position and reports missed events to the application.
            Err(error) if Reason::of(&error) == Some(Reason::PageToken) => {
                let start = watched.start(cx).await?;
                return Ok(CatchUp::new(Vec::new(), start).with_missed(true));
            }
            Err(error) if error.kind() == ErrorKind::ProviderNotFound => {
                let Watched::Drive(drive) = &watched else {
                    return Err(error);
                };
                // The drive was deleted, or the user left it. The position is kept in case the user
                // regains access. Until then, each read returns the same event.
                let change = Change {
                    change_type: Some(ChangeKind::Drive),
                    removed: Some(true),
                    drive_id: Some(drive.to_string()),
                    ..Change::default()
                };
                let mut event = change.to_event(watch.as_str(), &cx.account.key)?;
                event.event_id = Some(format!("{watch}:{position}:lost"));
                return Ok(CatchUp::new(vec![event], position));
            }
            Err(error) => return Err(error),
        };
        let events = page.changes.iter();
        let events = events.map(|change| change.to_event(watch.as_str(), &cx.account.key));
        let events = events.collect::<Result<Vec<_>>>()?;
        let more = page.next_page_token.is_some();
        let next = page.next_page_token.or(page.new_start_page_token);
        Ok(CatchUp::new(events, next.ok_or_else(no_position)?).with_more(more))
    }
}

/// Returns the change of a file since the version in the cursor. Several changes between two reads
/// become one event with the current state of the file.
async fn file_changes(
    cx: &SubscriptionContext<'_>,
    watch: &Watch,
    file: &FileId,
    cursor: Option<&str>,
) -> Result<CatchUp> {
    let found = match (cx.session.send(&GetFile::new(file)).await, cursor) {
        (Ok(found), _) => Some(found),
        (Err(error), Some(_)) if error.kind() == ErrorKind::ProviderNotFound => None,
        (Err(error), _) => return Err(error),
    };
    let version = match &found {
        Some(found) => found.version.unwrap_or_default().to_string(),
        None => GONE.to_owned(),
    };
    let before = cursor.unwrap_or(&version);
    if before == version {
        return Ok(CatchUp::new(Vec::new(), version));
    }
    let change = Change {
        change_type: Some(ChangeKind::File),
        removed: Some(found.is_none()),
        time: found.as_ref().and_then(|it| it.modified_time.clone()),
        file_id: Some(file.to_string()),
        file: found,
        ..Change::default()
    };
    let mut event = change.to_event(watch.as_str(), &cx.account.key)?;
    event.event_id = Some(format!("{watch}:{before}:{version}"));
    Ok(CatchUp::new(vec![event], version))
}
