//! The macro that defines a provider's typed client.

/// Defines a provider's typed client: a struct that wraps a [`Session`](crate::api::Session),
/// implements [`ProviderClient`](crate::provider::ProviderClient), and has the methods `send`,
/// `send_with`, `pages`, `raw`, `background`, `with_context`, `download` and `upload`. Each method
/// accepts only operations whose [`Endpoint::Client`](crate::provider::Endpoint::Client) is this
/// client.
///
/// ```
/// use connector_core::api::{Idempotency, Request, Response};
/// use connector_core::provider::Endpoint;
/// use connector_core::{ProviderId, Result};
///
/// connector_core::provider::provider_client! {
///     /// The API of an Acme account.
///     pub struct AcmeClient for ProviderId::from_static("acme");
/// }
///
/// struct GetName;
///
/// impl Endpoint for GetName {
///     type Client = AcmeClient;
///     type Output = String;
///     const NAME: &'static str = "GetName";
///     const IDEMPOTENCY: Idempotency = Idempotency::Safe;
///
///     fn request(&self) -> Result<Request> {
///         Request::get(["name"])
///     }
///
///     fn decode(&self, response: &mut Response) -> Result<String> {
///         response.json()
///     }
/// }
///
/// async fn name(client: &AcmeClient) -> Result<String> {
///     client.send(&GetName).await
/// }
/// ```
///
/// Sending an operation of another provider is a compile error:
///
/// ```compile_fail,E0271
/// # use connector_core::api::{Idempotency, Request, Response};
/// # use connector_core::provider::Endpoint;
/// # use connector_core::{ProviderId, Result};
/// # connector_core::provider::provider_client! { pub struct AcmeClient for ProviderId::from_static("acme"); }
/// # connector_core::provider::provider_client! { pub struct OtherClient for ProviderId::from_static("other"); }
/// # struct GetName;
/// # impl Endpoint for GetName {
/// #     type Client = AcmeClient;
/// #     type Output = String;
/// #     const NAME: &'static str = "GetName";
/// #     const IDEMPOTENCY: Idempotency = Idempotency::Safe;
/// #     fn request(&self) -> Result<Request> { Request::get(["name"]) }
/// #     fn decode(&self, response: &mut Response) -> Result<String> { response.json() }
/// # }
/// async fn name(client: &OtherClient) -> Result<String> {
///     client.send(&GetName).await
/// }
/// ```
#[macro_export]
macro_rules! provider_client {
    ($(#[$meta:meta])* $vis:vis struct $name:ident for $provider:expr;) => {
        $(#[$meta])*
        #[derive(Clone)]
        $vis struct $name {
            session: $crate::api::Session,
        }

        #[allow(dead_code, reason = "not every client uses all methods")]
        impl $name {
            /// Sends an operation and decodes its response.
            ///
            /// # Errors
            /// Same as [`Session::send`](connector_core::api::Session::send).
            pub async fn send<E>(&self, operation: &E) -> $crate::Result<E::Output>
            where
                E: $crate::provider::Endpoint<Client = Self>,
            {
                self.session.send(operation).await
            }

            /// Sends an operation with the given call options.
            ///
            /// # Errors
            /// Same as [`Session::send`](connector_core::api::Session::send).
            pub async fn send_with<E>(
                &self,
                operation: &E,
                options: $crate::api::CallOptions,
            ) -> $crate::Result<E::Output>
            where
                E: $crate::provider::Endpoint<Client = Self>,
            {
                self.session.send_with(operation, options).await
            }

            /// Returns the pages of an operation as a stream.
            pub fn pages<E>(&self, operation: E) -> $crate::api::Pages<E::Item>
            where
                E: $crate::provider::PagedEndpoint<Client = Self>,
            {
                self.session.pages(operation)
            }

            /// Sends a request that has no typed operation, through the same pipeline.
            ///
            /// # Errors
            /// Same as [`Session::raw`](connector_core::api::Session::raw).
            pub async fn raw(
                &self,
                request: $crate::api::Request,
                idempotency: $crate::api::Idempotency,
            ) -> $crate::Result<$crate::api::RawResponse> {
                self.session.raw(request, idempotency).await
            }

            /// Returns a client for background calls, which are sent after interactive calls.
            #[must_use]
            pub fn background(&self) -> Self {
                Self { session: self.session.background() }
            }

            /// Returns a client whose request records contain `context`.
            #[must_use]
            pub fn with_context(&self, context: $crate::RequestContext) -> Self {
                Self { session: self.session.with_context(context) }
            }

            /// Downloads the body of an operation's response as a stream.
            ///
            /// # Errors
            /// Same as [`Session::download`](connector_core::api::Session::download).
            pub async fn download<E>(&self, operation: &E) -> $crate::Result<$crate::api::Download>
            where
                E: $crate::provider::Endpoint<Client = Self>,
            {
                self.session.download(operation).await
            }

            /// Sends an operation with a streamed request body.
            ///
            /// # Errors
            /// Same as [`Session::upload`](connector_core::api::Session::upload).
            pub async fn upload<E>(
                &self,
                operation: &E,
                body: $crate::api::UploadBody,
            ) -> $crate::Result<E::Output>
            where
                E: $crate::provider::Endpoint<Client = Self>,
            {
                self.session.upload(operation, body).await
            }
        }

        impl $crate::provider::ProviderClient for $name {
            const PROVIDER: $crate::ProviderId = $provider;

            fn new(session: $crate::api::Session) -> Self {
                Self { session }
            }

            fn session(&self) -> &$crate::api::Session {
                &self.session
            }
        }

        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.write_str(stringify!($name))
            }
        }
    };
}
