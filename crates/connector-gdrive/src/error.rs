//! The meaning of Google Drive's errors, by their reasons.
//!
//! See [Google Drive docs: Resolve errors](https://developers.google.com/workspace/drive/api/guides/handle-errors).

use std::time::Duration;

use connector_core::api::Response;
use connector_core::provider::{Classifier, ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Result, Retry};
use serde_json::Value;

const DAY: Duration = Duration::from_secs(86_400);
/// Bodies of errors that are longer are not searched for reasons.
const LONGEST_BODY: usize = 64 * 1024;
/// The advice for a daily upload cap, which Google itself reports as throttling.
const CAP: &str = "uploads are refused while other calls work: the daily upload cap of the user is \
                   reached; go on tomorrow";

/// Defines [`Reason`] and the table of rules from one list.
macro_rules! reasons {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $code:literal, $kind:ident $([$retry:expr])?: $advice:expr;
    )*) => {
        /// The reason that Google Drive gives for a refusal.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
            /// A reason that this version does not know, in Google's own word.
            Other(String),
        }

        impl Reason {
            fn parse(code: &str) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// The reason in Google's own word.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $code,)*
                    Self::Other(code) => code,
                }
            }
        }

        const RULES: &[ErrorRule] = &[
            $(ErrorRule::code($code, ErrorKind::$kind, $advice)$(.with_retry($retry))?,)*
            ErrorRule::status(
                405,
                ErrorKind::ProviderUnavailable,
                "Google refuses the method for now, as it does against abuse; try again later",
            ),
        ];
    };
}

reasons! {
    /// The user is over the limit of a minute. Also Google's word for the daily upload cap.
    UserRateLimit = "userRateLimitExceeded", RateLimited:
        "the user's quota of a minute is used up; try again later";
    /// The project is over the limit of a minute.
    RateLimit = "rateLimitExceeded", RateLimited:
        "the project's quota of a minute is used up; try again later";
    /// Uploads are refused while other calls work: the user has uploaded 750 GB within a day.
    UploadCap = "uploadCap", RateLimited [Retry::After(DAY)]: CAP;
    /// The user shared too much or sent too many e-mails about it.
    SharingRateLimit = "sharingRateLimitExceeded", Forbidden [Retry::After(Duration::from_secs(300))]:
        "the user's quota for sharing is used up; wait for some minutes, or share without e-mails";
    /// The project's quota of the day is used up.
    DailyLimit = "dailyLimitExceeded", RateLimited [Retry::After(DAY)]:
        "the project's quota of the day is used up; go on tomorrow";
    /// A quota that does not recover soon is used up.
    Quota = "quotaExceeded", Forbidden [Retry::After(DAY)]:
        "a quota is used up; go on tomorrow";
    /// The file was downloaded too often today.
    DownloadQuota = "downloadQuotaExceeded", Forbidden [Retry::After(DAY)]:
        "the file was downloaded too often today; go on tomorrow";
    /// The storage of the user or of the shared drive is full. Service accounts have none.
    StorageQuota = "storageQuotaExceeded", Forbidden:
        "the storage is full; free some of it. A service account has none: use a shared drive or \
         impersonation";
    /// The account has created 500 million items.
    ActiveItemLimit = "activeItemCreationLimitExceeded", Forbidden:
        "the account has as many items as Google allows; delete some";
    /// The folder has 500,000 items.
    FolderLimit = "numChildrenInNonRootLimitExceeded", Forbidden:
        "the folder has as many items as Google allows; use another one";
    /// The shared drive has as many items as Google allows.
    DriveLimit = "teamDriveFileLimitExceeded", Forbidden:
        "the shared drive has as many items as Google allows; use another one";
    /// Folders of the shared drive are nested too deeply.
    DriveDepth = "teamDriveHierarchyTooDeep", Forbidden:
        "folders of the shared drive are nested too deeply; use a folder further up";
    /// Folders of My Drive are nested too deeply.
    FolderDepth = "myDriveHierarchyDepthLimitExceeded", Forbidden:
        "folders are nested too deeply; use a folder further up";
    /// The user may not do this with the file.
    FilePermission = "insufficientFilePermissions", Forbidden:
        "the user may not do this with the file; ask its owner";
    /// With the scope `drive.file`: the app did not create the file and the user did not open it.
    NotOpened = "appNotAuthorizedToFile", Forbidden:
        "the user has not opened the file with this app; let the user pick it, or ask for a wider scope";
    /// The domain's policy forbids the app or the sharing.
    DomainPolicy = "domainPolicy", Forbidden:
        "the domain's policy forbids this; ask the domain's administrator";
    /// Readers may not download the file.
    CannotDownload = "cannotDownloadFile", Forbidden:
        "the file's owner does not allow downloads; ask the owner";
    /// Readers may not export the file.
    CannotExport = "cannotExportFile", Forbidden:
        "the file's owner does not allow exports; ask the owner";
    /// An export of more than 10 MB.
    ExportTooLarge = "exportSizeLimitExceeded", Forbidden:
        "the export is larger than 10 MB; use `StartDownload` instead";
    /// A Google document has no content of its own.
    NotDownloadable = "fileNotDownloadable", Forbidden:
        "a Google document has no content to download; export it";
    /// A file with content of its own cannot be exported.
    NotExportable = "fileNotExportable", Forbidden:
        "only Google documents are exported; download the file";
    /// Google found malware or spam in the file.
    Abusive = "cannotDownloadAbusiveFile", Forbidden:
        "Google found malware or spam in the file; its owner may download it with \
         `with_acknowledge_abuse`";
    /// The risk of an abusive file was acknowledged for a file that is none.
    NotAbusive = "invalidAbuseAcknowledgment", Forbidden:
        "the file is not marked as abusive; download it without `with_acknowledge_abuse`";
    /// The user is no member of the shared drive.
    NoMember = "teamDriveMembershipRequired", Forbidden:
        "the user is no member of the shared drive; ask one of its managers";
    /// The sharing request makes no sense.
    InvalidSharing = "invalidSharingRequest", Rejected:
        "the sharing request is not valid; check address, role and type";
    /// The access token is over.
    InvalidToken = "authError", Unauthorized: "Google refused the access token";
    /// The granted scopes do not cover the call.
    MissingScope = "insufficientPermissions", Forbidden [Retry::AfterReauthorization]:
        "the granted scopes do not cover this; connect the account again and ask for more";
    /// The granted scopes do not cover the call, in the words of newer services.
    TokenScope = "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Forbidden [Retry::AfterReauthorization]:
        "the granted scopes do not cover this; connect the account again and ask for more";
    /// The Drive API is not enabled in the project.
    NotEnabled = "accessNotConfigured", AppMisconfigured:
        "the Drive API is not enabled in the Google Cloud project; enable it";
    /// The address of a watch channel belongs to a domain that is not verified.
    UnverifiedAddress = "push.webhookUrlUnauthorized", Forbidden:
        "Google does not accept the webhook address; verify its domain in the Google Cloud console";
    /// The id of the watch channel was used before.
    ChannelNotUnique = "channelIdNotUnique", Conflict:
        "a watch channel with this id exists already; use another id";
    /// The page token is over or wrong: the listing restarts from its first page.
    PageToken = "invalidPageToken", Conflict [Retry::Never]:
        "the page token is over; restart the listing from its first page";
    /// There is no such file, or the connection does not reach it.
    NotFound = "notFound", ProviderNotFound:
        "there is no such file for this connection; check the id and the scopes";
    /// Google failed.
    Backend = "backendError", ProviderUnavailable: "Google failed; try again later";
    /// Google failed, in the words of newer services.
    Internal = "internalError", ProviderUnavailable: "Google failed; try again later";
}

impl Reason {
    /// The reason of an error that a call of this connector returned, if Google gave one.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        error.code().map(Self::parse)
    }
}

const TABLE: ErrorTable = ErrorTable::new(RULES);

/// The error for uploads that are refused as throttled while other calls work.
pub(crate) fn upload_cap(refused: Error) -> Error {
    Error::new(ErrorKind::RateLimited, refused.operation(), CAP)
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
        .with_code(Reason::UploadCap.as_str())
        .with_retry(Retry::After(DAY))
        .with_source(refused)
}

/// Decides by every reason of a refusal, then by its status.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Errors;

impl Classifier for Errors {
    fn classify(&self, response: &mut Response) -> Result<()> {
        if response.status().is_success() {
            return Ok(());
        }
        let reasons = reasons_in(response.body());
        if let Some(error) = TABLE.error_of(response, reasons.iter().map(String::as_str)) {
            return Err(error);
        }
        let Err(error) = TABLE.check(response) else {
            return Ok(());
        };
        Err(match reasons.first() {
            Some(reason) => error.with_code(reason),
            None => error,
        })
    }
}

/// The reasons in a refusal: of `errors`, then of `details`.
fn reasons_in(body: &[u8]) -> Vec<String> {
    if body.len() > LONGEST_BODY {
        return Vec::new();
    }
    // The parser's own error may quote the body, so it is dropped.
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let lists = ["/error/errors", "/error/details"].map(|list| body.pointer(list));
    let entries = lists.into_iter().flatten().filter_map(Value::as_array);
    entries
        .flatten()
        .filter_map(|entry| {
            let reason = entry["reason"].as_str()?;
            // Google's reason for a page token that is over is the one for every wrong value.
            let is_token = reason == "invalid" && entry["location"] == "pageToken";
            let reason = if is_token {
                Reason::PageToken.as_str()
            } else {
                reason
            };
            Some(reason.to_owned())
        })
        .collect()
}

/// The error for an argument.
pub(crate) fn wrong(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, operation, message)
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
}

/// The error that Google would return for `reason`, known before anything is sent.
pub(crate) fn foreseen(operation: &'static str, reason: &Reason, advice: &'static str) -> Error {
    Error::new(ErrorKind::Forbidden, operation, advice)
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
        .with_code(reason.as_str())
}
