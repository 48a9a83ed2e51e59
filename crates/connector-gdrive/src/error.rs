//! Classification of Google Drive's errors by their reasons.
//!
//! See [Google Drive docs: Resolve errors](https://developers.google.com/workspace/drive/api/guides/handle-errors).

use std::time::Duration;

use connector_core::api::Response;
use connector_core::provider::{Classifier, ErrorRule, ErrorTable};
use connector_core::{Error, ErrorKind, Result, Retry};
use serde_json::Value;

const DAY: Duration = Duration::from_secs(86_400);
/// Maximum length of an error body, in bytes, that is parsed for reasons.
const MAX_BODY: usize = 64 * 1024;
/// Advice for a reached daily upload cap. Google reports the cap as throttling.
const CAP: &str = "Google rejects uploads while other calls succeed: the user's daily upload cap is \
                   reached; continue tomorrow";
/// Advice for the download of a Google document.
pub(crate) const NO_CONTENT: &str = "a Google document has no content to download; export it";
/// Advice for a file whose owner does not allow downloads.
pub(crate) const NO_DOWNLOAD: &str = "the file's owner does not allow downloads; ask the owner";

/// Defines [`Reason`] and the table of classification rules from one list.
macro_rules! reasons {
    ($(
        $(#[$doc:meta])*
        $variant:ident = $code:literal, $kind:ident $([$retry:expr])?: $advice:expr;
    )*) => {
        /// Google Drive's reason for an error response.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Reason {
            $($(#[$doc])* $variant,)*
            /// A reason that this version does not know, as Google spells it.
            Other(String),
        }

        impl Reason {
            fn parse(code: &str) -> Self {
                match code {
                    $($code => Self::$variant,)*
                    other => Self::Other(other.to_owned()),
                }
            }

            /// Returns the reason as Google spells it.
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
                "Google temporarily rejects the method to limit abuse; try again later",
            ),
        ];
    };
}

reasons! {
    /// The user exceeded the quota per minute. Google also returns this reason for the daily upload
    /// cap.
    UserRateLimit = "userRateLimitExceeded", RateLimited:
        "the user's quota per minute is used up; try again later";
    /// The project exceeded the quota per minute.
    RateLimit = "rateLimitExceeded", RateLimited:
        "the project's quota per minute is used up; try again later";
    /// Google rejects uploads but accepts other calls: the user has uploaded 750 GB within a day.
    UploadCap = "uploadCap", RateLimited [Retry::After(DAY)]: CAP;
    /// The user exceeded the quota for sharing, or for the e-mails that sharing sends.
    SharingRateLimit = "sharingRateLimitExceeded", Forbidden [Retry::After(Duration::from_secs(300))]:
        "the user's quota for sharing is used up; wait a few minutes, or share without e-mails";
    /// The project exceeded the quota per day.
    DailyLimit = "dailyLimitExceeded", RateLimited [Retry::After(DAY)]:
        "the project's quota per day is used up; continue tomorrow";
    /// A quota is used up that does not recover soon.
    Quota = "quotaExceeded", Forbidden [Retry::After(DAY)]:
        "a quota is used up; continue tomorrow";
    /// The file exceeded its download quota for today.
    DownloadQuota = "downloadQuotaExceeded", Forbidden [Retry::After(DAY)]:
        "the file's download quota for today is used up; continue tomorrow";
    /// The storage of the user or of the shared drive is full. Service accounts have no storage.
    StorageQuota = "storageQuotaExceeded", Forbidden:
        "the storage is full; delete some files. A service account has no storage: use a shared \
         drive or impersonation";
    /// The account has reached the limit of 500 million items.
    ActiveItemLimit = "activeItemCreationLimitExceeded", Forbidden:
        "the account has reached Google's limit on items; delete some items";
    /// The folder has reached the limit of 500,000 items.
    FolderLimit = "numChildrenInNonRootLimitExceeded", Forbidden:
        "the folder has reached Google's limit on items; use another folder";
    /// The shared drive has reached Google's limit on items.
    DriveLimit = "teamDriveFileLimitExceeded", Forbidden:
        "the shared drive has reached Google's limit on items; use another shared drive";
    /// The folders of the shared drive exceed Google's nesting limit.
    DriveDepth = "teamDriveHierarchyTooDeep", Forbidden:
        "the folders of the shared drive are nested too deeply; use a parent folder";
    /// The folders of My Drive exceed Google's nesting limit.
    FolderDepth = "myDriveHierarchyDepthLimitExceeded", Forbidden:
        "the folders are nested too deeply; use a parent folder";
    /// The user does not have the permission that the call needs on the file.
    FilePermission = "insufficientFilePermissions", Forbidden:
        "the user lacks the required permission on the file; ask the file's owner";
    /// The scope is `drive.file`, but the app did not create the file and the user did not open the
    /// file with the app.
    NotOpened = "appNotAuthorizedToFile", Forbidden:
        "the user has not opened the file with this app; let the user pick it, or request a wider scope";
    /// A policy of the domain forbids the app or the sharing.
    DomainPolicy = "domainPolicy", Forbidden:
        "the domain's policy forbids this; ask the domain's administrator";
    /// Readers are not allowed to download the file.
    CannotDownload = "cannotDownloadFile", Forbidden: NO_DOWNLOAD;
    /// Readers are not allowed to export the file.
    CannotExport = "cannotExportFile", Forbidden:
        "the file's owner does not allow exports; ask the owner";
    /// The export is larger than 10 MB.
    ExportTooLarge = "exportSizeLimitExceeded", Forbidden:
        "the export is larger than 10 MB; use `StartDownload` instead";
    /// The file is a Google document, which has no binary content to download.
    NotDownloadable = "fileNotDownloadable", Forbidden: NO_CONTENT;
    /// The file has binary content and cannot be exported.
    NotExportable = "fileNotExportable", Forbidden:
        "only Google documents can be exported; download the file";
    /// Google detected malware or spam in the file.
    Abusive = "cannotDownloadAbusiveFile", Forbidden:
        "Google detected malware or spam in the file; the file's owner can download it with \
         `with_acknowledge_abuse`";
    /// The request acknowledged abuse, but the file is not marked as abusive.
    NotAbusive = "invalidAbuseAcknowledgment", Forbidden:
        "the file is not marked as abusive; download it without `with_acknowledge_abuse`";
    /// The user is not a member of the shared drive.
    NoMember = "teamDriveMembershipRequired", Forbidden:
        "the user is not a member of the shared drive; ask one of its managers";
    /// The sharing request is invalid.
    InvalidSharing = "invalidSharingRequest", Rejected:
        "the sharing request is invalid; check the address, the role and the type";
    /// The access token is invalid or has expired.
    InvalidToken = "authError", Unauthorized: "Google rejected the access token";
    /// The granted scopes do not cover the call.
    MissingScope = "insufficientPermissions", Forbidden [Retry::AfterReauthorization]:
        "the granted scopes do not cover the call; reconnect the account with more scopes";
    /// The granted scopes do not cover the call. Newer Google services return this reason.
    TokenScope = "ACCESS_TOKEN_SCOPE_INSUFFICIENT", Forbidden [Retry::AfterReauthorization]:
        "the granted scopes do not cover the call; reconnect the account with more scopes";
    /// The Drive API is not enabled in the project.
    NotEnabled = "accessNotConfigured", AppMisconfigured:
        "the Drive API is not enabled in the Google Cloud project; enable it";
    /// The address of a watch channel belongs to an unverified domain.
    UnverifiedAddress = "push.webhookUrlUnauthorized", Forbidden:
        "Google does not accept the webhook address; verify its domain in the Google Cloud console";
    /// A watch channel with this id already exists or existed.
    ChannelNotUnique = "channelIdNotUnique", Conflict:
        "a watch channel with this id already exists; use another id";
    /// The page token has expired or is invalid. Restart the listing from its first page.
    PageToken = "invalidPageToken", Conflict [Retry::Never]:
        "the page token has expired or is invalid; restart the listing from its first page";
    /// The file does not exist, or the connection cannot access it.
    NotFound = "notFound", ProviderNotFound:
        "the file does not exist or the connection cannot access it; check the id and the scopes";
    /// Google had an internal error.
    Backend = "backendError", ProviderUnavailable: "Google had an internal error; try again later";
    /// Google had an internal error. Newer Google services return this reason.
    Internal = "internalError", ProviderUnavailable: "Google had an internal error; try again later";
}

impl Reason {
    /// Returns the reason of an error from a call of this connector, if Google gave a reason.
    #[must_use]
    pub fn of(error: &Error) -> Option<Self> {
        error.code().map(Self::parse)
    }
}

const TABLE: ErrorTable = ErrorTable::new(RULES);

/// Returns the error for rejected uploads while other calls succeed.
pub(crate) fn upload_cap(refused: Error) -> Error {
    Error::new(ErrorKind::RateLimited, refused.operation(), CAP)
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
        .with_code(Reason::UploadCap.as_str())
        .with_retry(Retry::After(DAY))
        .with_source(refused)
}

/// Classifies an error response by its reasons first, and by its status if no reason matches.
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

/// Returns the reasons in an error body: first those in `errors`, then those in `details`.
fn reasons_in(body: &[u8]) -> Vec<String> {
    if body.len() > MAX_BODY {
        return Vec::new();
    }
    // The parser's error is dropped, because it can quote the body.
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let lists = ["/error/errors", "/error/details"].map(|list| body.pointer(list));
    let entries = lists.into_iter().flatten().filter_map(Value::as_array);
    entries
        .flatten()
        .filter_map(|entry| {
            let reason = entry["reason"].as_str()?;
            // Google reports an expired page token as `invalid`, like any other invalid value.
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

/// Returns the error for an invalid argument.
pub(crate) fn wrong(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, operation, message)
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
}

/// Returns the error that Google would return for `reason`, without sending the request.
pub(crate) fn foreseen(operation: &'static str, reason: &Reason, advice: &'static str) -> Error {
    Error::new(ErrorKind::Forbidden, operation, advice)
        .with_provider(crate::GoogleDrive::ID.as_str().to_owned())
        .with_code(reason.as_str())
}
