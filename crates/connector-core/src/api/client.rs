//! The typed client of a provider, written once.

/// Defines a provider's typed client: a struct over a [`Session`](crate::api::Session) that
/// implements [`ProviderClient`](crate::provider::ProviderClient) and has the methods `send`, `send_with`,
/// `pages`, `raw`, `background`, `with_context`, `download` and `upload`, each limited to the operations whose
/// [`Endpoint::Client`](crate::provider::Endpoint::Client) it is.
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
/// An operation of another provider does not compile:
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

        #[allow(dead_code, reason = "not every client's every method is used where it is defined")]
        impl $name {
            /// Carries out an operation.
            ///
            /// # Errors
            /// As for [`Session::send`](connector_core::api::Session::send).
            pub async fn send<E>(&self, operation: &E) -> $crate::Result<E::Output>
            where
                E: $crate::provider::Endpoint<Client = Self>,
            {
                self.session.send(operation).await
            }

            /// Carries out an operation with settings of its own.
            ///
            /// # Errors
            /// As for [`Session::send`](connector_core::api::Session::send).
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

            /// The pages of an operation.
            pub fn pages<E>(&self, operation: E) -> $crate::api::Pages<E::Item>
            where
                E: $crate::provider::PagedEndpoint<Client = Self>,
            {
                self.session.pages(operation)
            }

            /// Sends a request that has no type yet, through the same pipeline.
            ///
            /// # Errors
            /// As for [`Session::raw`](connector_core::api::Session::raw).
            pub async fn raw(
                &self,
                request: $crate::api::Request,
                idempotency: $crate::api::Idempotency,
            ) -> $crate::Result<$crate::api::RawResponse> {
                self.session.raw(request, idempotency).await
            }

            /// The same client for calls that nobody waits for: interactive calls go first.
            #[must_use]
            pub fn background(&self) -> Self {
                Self { session: self.session.background() }
            }

            /// The same client for calls that `context` causes: records of requests name it.
            #[must_use]
            pub fn with_context(&self, context: $crate::RequestContext) -> Self {
                Self { session: self.session.with_context(context) }
            }

            /// Downloads the body of an operation's response as a stream.
            ///
            /// # Errors
            /// As for [`Session::download`](connector_core::api::Session::download).
            pub async fn download<E>(&self, operation: &E) -> $crate::Result<$crate::api::Download>
            where
                E: $crate::provider::Endpoint<Client = Self>,
            {
                self.session.download(operation).await
            }

            /// Carries out an operation whose request body is a stream.
            ///
            /// # Errors
            /// As for [`Session::upload`](connector_core::api::Session::upload).
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
