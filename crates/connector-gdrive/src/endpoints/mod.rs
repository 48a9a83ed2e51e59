//! Typed operations of the Drive API v3, with one file for each kind of resource.
//!
//! All operations on files set `supportsAllDrives`, so that they also work for files in shared
//! drives. `with_fields` selects the fields of the response. Without it, the response contains the
//! operation's default fields.

mod approvals;
mod batch;
mod changes;
mod comments;
mod drives;
mod files;
mod labels;
mod media;
mod permissions;
mod revisions;

use connector_core::Result;
use connector_core::api::Request;
use connector_core::provider::Endpoint;
use http::Method;

use crate::DriveClient;

pub use self::approvals::{
    ApproveApproval, CancelApproval, CommentApproval, DeclineApproval, GetApproval, ListApprovals,
    ReassignApproval, StartApproval,
};
pub use self::batch::Batch;
pub(crate) use self::changes::ReadChanges;
pub use self::changes::{GetStartPageToken, ListChanges, StopChannel, WatchChanges, WatchFile};
pub use self::comments::{
    CreateComment, CreateReply, DeleteComment, DeleteReply, GetComment, GetReply, ListComments,
    ListReplies, UpdateComment, UpdateReply,
};
pub use self::drives::{
    CreateDrive, DeleteDrive, GetAccessProposal, GetDrive, HideDrive, ListAccessProposals,
    ListDrives, ResolveAccessProposal, UnhideDrive, UpdateDrive,
};
pub use self::files::{
    CopyFile, CreateFile, CreateIdentifiedFile, DeleteFile, EmptyTrash, GenerateIds, GetAbout,
    GetFile, ListFiles, UpdateFile,
};
pub use self::labels::{ListFileLabels, ModifyFileLabels};
pub use self::media::{
    DownloadFile, DownloadRange, DownloadRevision, ExportFile, GetOperation, StartDownload,
    StartUpload, StartUploadOver, UploadMultipart, UploadMultipartOver, UploadSimple,
    UploadSimpleOver,
};
pub use self::permissions::{
    CreatePermission, DeletePermission, GetPermission, ListPermissions, UpdatePermission,
};
pub use self::revisions::{DeleteRevision, GetRevision, ListRevisions, UpdateRevision};

/// Scopes of operations. Any one scope of a list is sufficient.
pub(crate) mod scopes {
    macro_rules! any_of {
        ($($name:ident = $first:literal $($more:literal)*;)*) => {
            $(pub(crate) const $name: &[&str] = &[concat!(
                "https://www.googleapis.com/auth/", $first
                $(, " https://www.googleapis.com/auth/", $more)*
            )];)*
        };
    }

    any_of! {
        ABOUT = "drive" "drive.appdata" "drive.file" "drive.metadata" "drive.metadata.readonly" "drive.photos.readonly" "drive.readonly";
        READ = "drive" "drive.appdata" "drive.file" "drive.meet.readonly" "drive.metadata" "drive.metadata.readonly" "drive.photos.readonly" "drive.readonly";
        READ_SHARING = "drive" "drive.file" "drive.meet.readonly" "drive.metadata" "drive.metadata.readonly" "drive.photos.readonly" "drive.readonly";
        READ_PROPOSALS = "drive" "drive.file" "drive.metadata" "drive.metadata.readonly" "drive.readonly";
        READ_LABELS = "drive" "drive.file" "drive.meet.readonly" "drive.metadata" "drive.metadata.readonly" "drive.readonly";
        READ_APPROVALS = "drive" "drive.appdata" "drive.file" "drive.metadata" "drive.metadata.readonly" "drive.readonly";
        EDIT_METADATA = "drive" "drive.file" "drive.metadata";
        READ_CONTENT = "drive" "drive.file" "drive.meet.readonly" "drive.readonly";
        READ_MEDIA = "drive" "drive.appdata" "drive.file" "drive.meet.readonly" "drive.photos.readonly" "drive.readonly";
        DOWNLOAD = "drive" "drive.file" "drive.readonly";
        READ_DRIVES = "drive" "drive.readonly";
        CREATE = "drive" "drive.appdata" "drive.file";
        COPY = "drive" "drive.appdata" "drive.file" "drive.photos.readonly";
        UPDATE = "drive" "drive.appdata" "drive.file" "drive.metadata" "drive.scripts";
        SHARE = "drive" "drive.file";
        DRIVE = "drive";
    }
}

/// Query parameters of a request, in the order in which they were set.
#[derive(Debug, Clone, Default)]
pub(crate) struct Parameters(Vec<(&'static str, String)>);

impl Parameters {
    pub(crate) fn set(&mut self, name: &'static str, value: String) {
        self.0.retain(|(known, _)| *known != name);
        self.0.push((name, value));
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn add_to(&self, request: Request) -> Request {
        let pairs = self.0.iter();
        pairs.fold(request, |request, (name, value)| request.query(name, value))
    }
}

/// Returns a request to a path of the API, with the arguments inserted into the path.
pub(crate) fn to(
    method: Method,
    path: &str,
    arguments: &[(&str, &str)],
    fixed: &[(&str, &str)],
    parameters: &Parameters,
    fields: Option<String>,
) -> Result<Request> {
    let named: Vec<(String, &str)> = arguments
        .iter()
        .map(|(name, value)| (crate::models::camel(name), *value))
        .collect();
    let named: Vec<(&str, &str)> = named
        .iter()
        .map(|(name, value)| (&**name, *value))
        .collect();
    let mut request = Request::template(method, path, &named)?;
    for (name, value) in fixed {
        request = request.query(name, value);
    }
    request = parameters.add_to(request);
    Ok(match fields {
        Some(fields) if parameters.get("fields").is_none() => request.query("fields", &fields),
        _ => request,
    })
}

/// Defines an operation: its type with a constructor and a setter for each parameter, its entry in
/// [`OPERATIONS`], and its implementation of `Endpoint`.
macro_rules! operation {
    (
        $(#[$meta:meta])*
        $name:ident($($arg:ident: $type:ident),* $(; $body:ident: $body_type:ty)?);
        $id:literal $method:ident $path:literal;
        $idempotency:ident $scopes:ident $cost:ident;
        $(set [$($fixed:literal = $value:literal),*];)?
        $(query { $($(#[$doc:meta])* $with:ident($wire:literal): $kind:ty,)* })?
        returns $($returns:tt)+
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name {
            $($arg: $type,)*
            $($body: $body_type,)?
            parameters: $crate::endpoints::Parameters,
        }

        impl $name {
            /// Creates the operation with its required arguments.
            pub fn new($($arg: impl Into<$type>,)* $($body: $body_type,)?) -> Self {
                Self {
                    $($arg: $arg.into(),)*
                    $($body,)?
                    parameters: $crate::endpoints::Parameters::default(),
                }
            }

            $($(
                $(#[$doc])*
                pub fn $with(mut self, value: impl Into<$kind>) -> Self {
                    let value: $kind = value.into();
                    self.parameters.set($wire, value.to_string());
                    self
                }
            )*)?

            $crate::endpoints::with_fields! { $($returns)+ }
        }

        impl $crate::endpoints::DriveOperation for $name {
            const OPERATION: $crate::endpoints::Operation = $crate::endpoints::Operation {
                name: stringify!($name),
                id: $id,
                method: stringify!($method),
                path: $path,
                scopes: $crate::endpoints::scopes::$scopes,
                arguments: &[$(stringify!($arg)),*],
                parameters: &[
                    $($(($fixed, "fixed"),)*)?
                    $($(($wire, stringify!($kind)),)*)?
                ],
            };
            const COST: u32 = $crate::limits::cost::$cost;
        }

        impl connector_core::provider::Endpoint for $name {
            type Client = $crate::DriveClient;
            type Output = $crate::endpoints::output! { $($returns)+ };
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: connector_core::api::Idempotency =
                connector_core::api::Idempotency::$idempotency;
            const SCOPES: &'static [&'static str] = $crate::endpoints::scopes::$scopes;

            fn draws(&self) -> connector_core::http::limit::Draws {
                connector_core::http::limit::Draws::cost($crate::limits::cost::$cost)
            }

            fn request(&self) -> connector_core::Result<connector_core::api::Request> {
                let request = $crate::endpoints::to(
                    http::Method::$method,
                    $path,
                    &[$((stringify!($arg), AsRef::<str>::as_ref(&self.$arg))),*],
                    &[$($(($fixed, $value)),*)?],
                    &self.parameters,
                    $crate::endpoints::default_fields! { $($returns)+ },
                )?;
                $(let request = request.json(&self.$body)?;)?
                Ok(request)
            }

            fn decode(
                &self,
                response: &mut connector_core::api::Response,
            ) -> connector_core::Result<Self::Output> {
                $crate::endpoints::decode! { response $($returns)+ }
            }
        }

        $crate::endpoints::paged! { $name $($returns)+ }
        $crate::endpoints::by_default! { $name ($($arg)*) ($($body)?) }
    };
}
pub(crate) use operation;

macro_rules! output {
    (nothing) => { () };
    (bytes) => { bytes::Bytes };
    (json($type:ty) $default:expr) => { $type };
    (page($type:ty) $list:literal $default:expr) => { connector_core::api::Page<$type> };
}
pub(crate) use output;

macro_rules! with_fields {
    (nothing) => {};
    (bytes) => {};
    (json($type:ty) $default:expr) => {
        /// Sets the fields of the response.
        pub fn with_fields(mut self, mask: $crate::models::Mask<$type>) -> Self {
            self.parameters.set("fields", mask.as_str().to_owned());
            self
        }
    };
    (page($type:ty) $list:literal $default:expr) => {
        /// Sets the fields of each item.
        pub fn with_fields(mut self, mask: $crate::models::Mask<$type>) -> Self {
            let fields = $crate::endpoints::listed($list, &mask);
            self.parameters.set("fields", fields);
            self
        }

        /// Continues from the cursor of an earlier page. The other arguments must be the same as
        /// for that page.
        pub fn after(mut self, cursor: &connector_core::api::PageCursor) -> Self {
            self.parameters.set("pageToken", cursor.as_str().to_owned());
            self
        }
    };
}
pub(crate) use with_fields;

macro_rules! default_fields {
    (nothing) => {
        None
    };
    (bytes) => {
        None
    };
    (json($type:ty) $default:expr) => {{
        let mask: $crate::models::Mask<$type> = $default;
        (!mask.as_str().is_empty()).then(|| mask.as_str().to_owned())
    }};
    (page($type:ty) $list:literal $default:expr) => {{
        let mask: $crate::models::Mask<$type> = $default;
        Some($crate::endpoints::listed($list, &mask))
    }};
}
pub(crate) use default_fields;

macro_rules! decode {
    ($response:ident nothing) => {{
        let _ = $response;
        Ok(())
    }};
    ($response:ident bytes) => {
        Ok($response.body().clone())
    };
    ($response:ident json($type:ty) $default:expr) => {
        $response.json()
    };
    ($response:ident page($type:ty) $list:literal $default:expr) => {
        Ok($response
            .json::<$crate::models::Listing<$type>>()?
            .into_page())
    };
}
pub(crate) use decode;

macro_rules! paged {
    ($name:ident page($type:ty) $list:literal $default:expr) => {
        impl connector_core::provider::PagedEndpoint for $name {
            type Item = $type;

            fn at(&self, cursor: &connector_core::api::PageCursor) -> Self {
                self.clone().after(cursor)
            }
        }
    };
    ($name:ident $($other:tt)+) => {};
}
pub(crate) use paged;

/// Implements `Default` for an operation without arguments.
macro_rules! by_default {
    ($name:ident () ()) => {
        impl Default for $name {
            fn default() -> Self {
                Self::new()
            }
        }
    };
    ($name:ident $($arguments:tt)+) => {};
}
pub(crate) use by_default;

/// Returns the field mask of a list whose items have the fields of `mask`.
pub(crate) fn listed<T>(list: &str, mask: &crate::models::Mask<T>) -> String {
    let incomplete = if list == "files" {
        "incompleteSearch,"
    } else {
        ""
    };
    match mask.as_str() {
        "" => format!("nextPageToken,{incomplete}{list}"),
        mask => format!("nextPageToken,{incomplete}{list}({mask})"),
    }
}

/// Description of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Name in errors, logs and metrics.
    pub name: &'static str,
    /// Id in Google's discovery document, without the prefix `drive.`.
    pub id: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path, with the names of arguments in braces.
    pub path: &'static str,
    /// Scopes that permit the operation. Any one of them is sufficient.
    pub scopes: &'static [&'static str],
    /// Names of the arguments in the path.
    pub arguments: &'static [&'static str],
    /// Names of the query parameters, with their Rust types as strings. `fixed` marks parameters
    /// that the connector sets.
    pub parameters: &'static [(&'static str, &'static str)],
}

/// An operation of the Drive API with its description.
pub trait DriveOperation: Endpoint<Client = DriveClient> {
    /// Description of the operation.
    const OPERATION: Operation;
    /// Cost of one call, in quota units.
    const COST: u32;
}

macro_rules! operations {
    ($($name:ident)*) => {
        /// All operations. Several operations can have the same method and path.
        pub const OPERATIONS: &[Operation] = &[$($name::OPERATION),*];
    };
}

operations! {
    GetAbout ListFiles GetFile CreateFile CreateIdentifiedFile UpdateFile CopyFile DeleteFile
    EmptyTrash GenerateIds
    DownloadFile DownloadRange DownloadRevision ExportFile StartDownload GetOperation
    UploadSimple UploadSimpleOver UploadMultipart UploadMultipartOver StartUpload StartUploadOver
    ListPermissions GetPermission CreatePermission UpdatePermission DeletePermission
    ListRevisions GetRevision UpdateRevision DeleteRevision
    ListComments GetComment CreateComment UpdateComment DeleteComment
    ListReplies GetReply CreateReply UpdateReply DeleteReply
    ListDrives GetDrive CreateDrive UpdateDrive DeleteDrive HideDrive UnhideDrive
    ListAccessProposals GetAccessProposal ResolveAccessProposal
    ListFileLabels ModifyFileLabels
    ListApprovals GetApproval StartApproval ApproveApproval DeclineApproval CancelApproval
    CommentApproval ReassignApproval
    GetStartPageToken ListChanges WatchChanges WatchFile StopChannel
}
