//! Typed operations of the REST API, with one file per kind of resource, and methods of
//! [`NotionClient`](crate::NotionClient) that combine several operations.

mod append;
mod blocks;
mod comments;
mod data_sources;
mod files;
mod pages;
mod read_all;
mod split;
mod tree;
mod users;
mod views;

use connector_core::api::{self, PageCursor, Request, Response};
use connector_core::provider::Endpoint;
use connector_core::{Error, ErrorKind, Result};
use http::Method;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

pub use self::append::{AppendBlocks, AppendFailure, AppendProgress, Appended};
pub use self::blocks::{
    AppendBlockChildren, DeleteBlock, GetBlock, ListBlockChildren, UpdateBlock,
};
pub use self::comments::{CreateComment, DeleteComment, GetComment, ListComments, UpdateComment};
pub use self::data_sources::{
    CreateDataSource, CreateDatabase, GetDataSource, GetDatabase, ListTemplates, QueryDataSource,
    Search, UpdateDataSource, UpdateDatabase,
};
pub use self::files::{
    CompleteFileUpload, CreateFileUpload, GetFileUpload, ListFileUploads, SendFileUpload,
};
pub use self::pages::{
    CreatePage, GetAsyncTask, GetPage, GetPageMarkdown, GetPageProperty, MovePage, UpdatePage,
    UpdatePageMarkdown,
};
pub use self::read_all::{Gap, ReadAll, ReadOutcome, ReadPosition, ReadReport};
pub use self::tree::{BlockTree, TreeItem};
pub use self::users::{GetMe, GetUser, ListUsers};
pub use self::views::{
    CreateView, DeleteView, DeleteViewQuery, GetView, ListViewRows, ListViews, QueryView,
    UpdateView,
};
use crate::models::List;

/// Maximum number of results per page.
const PAGE: u32 = 100;

/// Query parameters and JSON body of a request.
#[derive(Debug, Clone, Default)]
struct Parameters {
    query: Vec<(&'static str, String)>,
    body: Map<String, Value>,
    page_size: Option<u32>,
    cursor: Option<PageCursor>,
}

impl Parameters {
    /// Sets a member of the JSON body.
    fn set(&mut self, name: &str, value: impl Serialize) {
        // All types of this crate can be serialized to JSON.
        let value = serde_json::to_value(value).unwrap_or_default();
        self.body.insert(name.to_owned(), value);
    }

    /// Sets a member of the object `properties` in the JSON body.
    fn set_property(&mut self, name: &str, value: impl Serialize) {
        let value = serde_json::to_value(value).unwrap_or_default();
        let all = self.body.entry("properties").or_insert_with(|| json!({}));
        if let Some(all) = all.as_object_mut() {
            all.insert(name.to_owned(), value);
        }
    }

    /// Checks that an update sets at least one member of the JSON body.
    fn check_change(&self, operation: &'static str) -> Result<()> {
        if self.body.is_empty() {
            return Err(wrong(
                operation,
                "the update contains no change; set at least one",
            ));
        }
        Ok(())
    }

    fn check(&self, operation: &'static str) -> Result<()> {
        if self.page_size.is_none_or(|it| (1..=PAGE).contains(&it)) {
            return Ok(());
        }
        Err(wrong(
            operation,
            "the page size must be 1 to 100; set another page size",
        ))
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<Request> {
        let has_body = matches!(method, Method::POST | Method::PATCH);
        let mut request = Request::new(method, ["v1"].iter().chain(path))?;
        for (name, value) in &self.query {
            request = request.query(name, value);
        }
        let cursor = self.cursor.as_ref().map(PageCursor::as_str);
        if !has_body {
            let size = self.page_size.map(|it| it.to_string());
            for (name, value) in [("page_size", size.as_deref()), ("start_cursor", cursor)] {
                if let Some(value) = value {
                    request = request.query(name, value);
                }
            }
            return Ok(request);
        }
        let mut body = self.body.clone();
        if let Some(size) = self.page_size {
            body.insert("page_size".to_owned(), size.into());
        }
        if let Some(cursor) = cursor {
            body.insert("start_cursor".to_owned(), cursor.into());
        }
        request.json(&body)
    }
}

/// Defines an operation: its arguments, idempotency, method and path.
macro_rules! operation {
    (
        $(#[$doc:meta])*
        $name:ident { $($arg:ident: $type:ty),* } -> $output:ty, $idempotency:ident,
        $method:ident |$it:ident| [$($segment:expr),* $(,)?]
        $(, check |$checked:ident| $check:expr)?
        => $decode:expr;
    ) => {
        $(#[$doc])*
        #[derive(Debug, Clone)]
        #[must_use]
        pub struct $name {
            $($arg: $type,)*
            parameters: $crate::endpoints::Parameters,
        }

        impl ::connector_core::provider::Endpoint for $name {
            type Client = $crate::NotionClient;
            type Output = $output;
            const NAME: &'static str = stringify!($name);
            const IDEMPOTENCY: ::connector_core::api::Idempotency =
                ::connector_core::api::Idempotency::$idempotency;

            fn validate(&self) -> ::connector_core::Result<()> {
                self.parameters.check(Self::NAME)?;
                $(
                    let $checked = self;
                    $check?;
                )?
                Ok(())
            }

            fn request(&self) -> ::connector_core::Result<::connector_core::api::Request> {
                let $it = self;
                self.parameters.request(::http::Method::$method, &[$($segment),*])
            }

            fn decode(
                &self,
                response: &mut ::connector_core::api::Response,
            ) -> ::connector_core::Result<$output> {
                $decode(self, response)
            }
        }
    };
}

/// Adds pagination to an operation.
macro_rules! paged {
    ($name:ident of $item:ty) => {
        impl $name {
            /// Sets the number of results per page: 1 to 100. Default: 100.
            pub const fn with_page_size(mut self, size: u32) -> Self {
                self.parameters.page_size = Some(size);
                self
            }

            /// Starts at a cursor from an earlier page. Use the same arguments as for the earlier
            /// page.
            pub fn after(mut self, cursor: ::connector_core::api::PageCursor) -> Self {
                self.parameters.cursor = Some(cursor);
                self
            }
        }

        impl ::connector_core::provider::PagedEndpoint for $name {
            type Item = $item;

            fn at(&self, cursor: &::connector_core::api::PageCursor) -> Self {
                self.clone().after(cursor.clone())
            }
        }
    };
}

/// Adds methods that set members of the JSON body.
macro_rules! setters {
    ($name:ident { $($(#[$doc:meta])* $method:ident($value:ident: $type:ty) => $member:literal,)* }) => {
        impl $name {
            $(
                $(#[$doc])*
                pub fn $method(mut self, $value: $type) -> Self {
                    self.parameters.set($member, $value);
                    self
                }
            )*
        }
    };
}

use {operation, paged, setters};

/// Decodes an object.
fn object<O, T: DeserializeOwned>(_: &O, response: &mut Response) -> Result<T> {
    response.json()
}

/// Decodes one page of a list.
fn list<O, T: DeserializeOwned>(_: &O, response: &mut Response) -> Result<api::Page<T>> {
    list_with(response, |_| None)
}

/// Decodes one page of a list. If Notion truncated the list, `resume` returns the cursor to resume
/// after the last result.
fn list_with<T: DeserializeOwned>(
    response: &Response,
    resume: impl FnOnce(&[T]) -> Option<PageCursor>,
) -> Result<api::Page<T>> {
    let list: List<T> = response.json()?;
    if list.is_cut() && !list.has_more {
        let resume = resume(&list.results);
        return Ok(api::Page::truncated(list.results, resume));
    }
    let next = next(list.has_more, list.next_cursor, response)?;
    Ok(api::Page::new(list.results, next))
}

/// Returns the cursor of the next page. If a list has more results but no cursor, this is an error,
/// not the end of the list.
fn next(has_more: bool, cursor: Option<String>, response: &Response) -> Result<Option<PageCursor>> {
    match (has_more, cursor) {
        (false, _) => Ok(None),
        (true, Some(cursor)) => Ok(Some(PageCursor::new(cursor))),
        (true, None) => Err(response.error(
            ErrorKind::UnexpectedResponse,
            "the list has more results but no cursor; retry the call, and report this bug",
        )),
    }
}

/// Returns the error for a list whose next page has the cursor of the current page.
fn repeated_cursor(operation: &'static str) -> Error {
    let message = "the provider returned the same page cursor twice; restart the read";
    Error::new(ErrorKind::UnexpectedResponse, operation, message).with_provider("notion")
}

/// Returns the error for an invalid argument.
fn wrong(operation: &'static str, message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, operation, message)
}

/// Name, method and path of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Operation {
    /// Name in errors, logs and metrics.
    pub name: &'static str,
    /// HTTP method.
    pub method: &'static str,
    /// Path template. Names in braces are arguments.
    pub path: &'static str,
}

const fn listed<E: Endpoint>(method: &'static str, path: &'static str) -> Operation {
    Operation {
        name: E::NAME,
        method,
        path,
    }
}

/// All operations.
pub const OPERATIONS: &[Operation] = &[
    listed::<GetMe>("GET", "/v1/users/me"),
    listed::<ListUsers>("GET", "/v1/users"),
    listed::<GetUser>("GET", "/v1/users/{user_id}"),
    listed::<Search>("POST", "/v1/search"),
    listed::<CreateDatabase>("POST", "/v1/databases"),
    listed::<GetDatabase>("GET", "/v1/databases/{database_id}"),
    listed::<UpdateDatabase>("PATCH", "/v1/databases/{database_id}"),
    listed::<CreateDataSource>("POST", "/v1/data_sources"),
    listed::<GetDataSource>("GET", "/v1/data_sources/{data_source_id}"),
    listed::<UpdateDataSource>("PATCH", "/v1/data_sources/{data_source_id}"),
    listed::<QueryDataSource>("POST", "/v1/data_sources/{data_source_id}/query"),
    listed::<ListTemplates>("GET", "/v1/data_sources/{data_source_id}/templates"),
    listed::<CreatePage>("POST", "/v1/pages"),
    listed::<GetPage>("GET", "/v1/pages/{page_id}"),
    listed::<UpdatePage>("PATCH", "/v1/pages/{page_id}"),
    listed::<MovePage>("POST", "/v1/pages/{page_id}/move"),
    listed::<GetPageProperty>("GET", "/v1/pages/{page_id}/properties/{property_id}"),
    listed::<GetPageMarkdown>("GET", "/v1/pages/{page_id}/markdown"),
    listed::<UpdatePageMarkdown>("PATCH", "/v1/pages/{page_id}/markdown"),
    listed::<GetAsyncTask>("GET", "/v1/async_tasks/{task_id}"),
    listed::<GetBlock>("GET", "/v1/blocks/{block_id}"),
    listed::<UpdateBlock>("PATCH", "/v1/blocks/{block_id}"),
    listed::<DeleteBlock>("DELETE", "/v1/blocks/{block_id}"),
    listed::<ListBlockChildren>("GET", "/v1/blocks/{block_id}/children"),
    listed::<AppendBlockChildren>("PATCH", "/v1/blocks/{block_id}/children"),
    listed::<ListComments>("GET", "/v1/comments"),
    listed::<CreateComment>("POST", "/v1/comments"),
    listed::<GetComment>("GET", "/v1/comments/{comment_id}"),
    listed::<UpdateComment>("PATCH", "/v1/comments/{comment_id}"),
    listed::<DeleteComment>("DELETE", "/v1/comments/{comment_id}"),
    listed::<ListFileUploads>("GET", "/v1/file_uploads"),
    listed::<CreateFileUpload>("POST", "/v1/file_uploads"),
    listed::<GetFileUpload>("GET", "/v1/file_uploads/{file_upload_id}"),
    listed::<SendFileUpload>("POST", "/v1/file_uploads/{file_upload_id}/send"),
    listed::<CompleteFileUpload>("POST", "/v1/file_uploads/{file_upload_id}/complete"),
    listed::<ListViews>("GET", "/v1/views"),
    listed::<CreateView>("POST", "/v1/views"),
    listed::<GetView>("GET", "/v1/views/{view_id}"),
    listed::<UpdateView>("PATCH", "/v1/views/{view_id}"),
    listed::<DeleteView>("DELETE", "/v1/views/{view_id}"),
    listed::<QueryView>("POST", "/v1/views/{view_id}/queries"),
    listed::<ListViewRows>("GET", "/v1/views/{view_id}/queries/{query_id}"),
    listed::<DeleteViewQuery>("DELETE", "/v1/views/{view_id}/queries/{query_id}"),
];
