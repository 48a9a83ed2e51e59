//! The account of a credential, and metadata about its Drive: quota, root folder, user.

use connector_core::provider::Connector as _;
use connector_core::provider::Context;
use connector_core::provider::oauth::{self as messages, ExchangeError, Identity};
use connector_core::{Account, AccountKey, Credential, ErrorKind, Result};

use crate::GoogleDrive;
use crate::endpoints::{GetAbout, GetFile};
use crate::models::{About, File, FileId, Mask};
use crate::service_account::ServiceAccount;

/// Returns the account with the metadata `storage_quota`, `user`, `permission_id`,
/// `max_upload_size`, `can_create_drives` and `root_folder_id`.
pub(crate) async fn identify(
    drive: &GoogleDrive,
    cx: &Context<'_>,
    credential: &Credential,
) -> Result<Identity> {
    if let Some(service) = ServiceAccount::of(credential).map_err(ExchangeError::into_error)? {
        // Service accounts have no identity endpoint. A successful call proves the account.
        let about = about(drive, cx, credential).await?;
        let account = Account::identified(AccountKey::new(service.account_key())?);
        let identity = Identity::new(account.with_label(service.label()));
        return with_facts(drive, cx, credential, identity, about).await;
    }
    let identity = messages::identify(drive.description(), cx, credential).await?;
    match about(drive, cx, credential).await {
        Ok(about) => with_facts(drive, cx, credential, identity, about).await,
        Err(error) if error.kind() == ErrorKind::Unauthorized => Err(error),
        // The account is known. The next metadata job reads the metadata again.
        Err(error) => {
            let operation = "google-drive.identify";
            tracing::info!(connector = "google-drive", operation, error = %error, "account metadata not available");
            Ok(identity)
        }
    }
}

async fn about(drive: &GoogleDrive, cx: &Context<'_>, credential: &Credential) -> Result<About> {
    let mask = Mask::<About>::new()
        .user()
        .storage_quota()
        .max_upload_size()
        .can_create_drives();
    let about = GetAbout::new().with_fields(mask);
    let about = cx.call(drive, credential, &about).await;
    about.map_err(ExchangeError::into_error)
}

async fn with_facts(
    drive: &GoogleDrive,
    cx: &Context<'_>,
    credential: &Credential,
    identity: Identity,
    about: About,
) -> Result<Identity> {
    let mut facts = identity.metadata;
    if let Some(quota) = &about.storage_quota {
        facts.insert("storage_quota", quota)?;
    }
    if let Some(user) = &about.user {
        facts.insert("user", user)?;
        if let Some(id) = &user.permission_id {
            facts.insert("permission_id", id)?;
        }
    }
    facts.insert("max_upload_size", &about.max_upload_size)?;
    facts.insert("can_create_drives", &about.can_create_drives)?;
    let root = GetFile::new(FileId::root()).with_fields(Mask::<File>::new().id());
    match cx.call(drive, credential, &root).await {
        Ok(root) => facts.insert("root_folder_id", &root.id)?,
        // The scope `drive.file` may not include the root folder.
        Err(error) => {
            let operation = "google-drive.identify";
            let error = error.into_error();
            tracing::debug!(connector = "google-drive", operation, error = %error, "root folder not available");
        }
    }
    Ok(Identity::new(identity.account).with_metadata(facts))
}
