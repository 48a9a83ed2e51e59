//! The macro that defines the builder of a provider's simulator.

/// Defines the builder of a provider's simulator: a struct with a clock, a mark, a redirect URI and
/// the provider's own settings, which are given with their defaults.
///
/// The struct has the public methods `with_mark`, `with_redirect_uri` and `with_consent_page`, and
/// the private methods `new`, which takes the clock, and `authority`, which returns the builder of
/// the authorization server.
///
/// ```
/// use connector_core::clock::{Clock, SystemClock};
/// use connector_core::provider::Description;
/// use connector_sim::{Account, Authority};
///
/// connector_sim::simulator_builder! {
///     /// The settings of a simulated Acme.
///     pub struct SimulatorBuilder {
///         users: Vec<String> = Vec::new(),
///     }
/// }
///
/// impl SimulatorBuilder {
///     /// Adds a user.
///     pub fn with_user(mut self, id: impl Into<String>) -> Self {
///         self.users.push(id.into());
///         self
///     }
///
///     /// Starts the simulator.
///     pub async fn start(self, acme: &Description) -> connector_core::Result<Authority> {
///         let users = self.users.iter().map(Account::new);
///         let builder = users.fold(self.authority(acme), |it, user| it.with_account(user));
///         builder.start(self.clock).await
///     }
/// }
///
/// let builder = SimulatorBuilder::new(SystemClock::new()).with_user("7").with_mark("canary");
/// assert_eq!(format!("{builder:?}"), "SimulatorBuilder { .. }");
/// ```
#[macro_export]
macro_rules! simulator_builder {
    (
        $(#[$meta:meta])*
        $vis:vis struct $name:ident {
            $($field:ident: $type:ty = $default:expr,)*
        }
    ) => {
        $(#[$meta])*
        #[must_use]
        $vis struct $name {
            clock: ::std::sync::Arc<dyn ::connector_core::clock::Clock>,
            mark: ::std::string::String,
            redirect_uri: ::std::option::Option<::connector_core::RedirectUri>,
            shows_consent_page: bool,
            $($field: $type,)*
        }

        impl $name {
            fn new(clock: impl ::connector_core::clock::Clock) -> Self {
                Self {
                    clock: ::std::sync::Arc::new(clock),
                    mark: ::std::string::String::new(),
                    redirect_uri: ::std::option::Option::None,
                    shows_consent_page: false,
                    $($field: $default,)*
                }
            }

            /// Sets the registered redirect URI. Default: `https://app.example/callback`.
            pub fn with_redirect_uri(mut self, redirect_uri: ::connector_core::RedirectUri) -> Self {
                self.redirect_uri = ::std::option::Option::Some(redirect_uri);
                self
            }

            /// Sets a text that every secret of the simulator contains, so that a test can search
            /// for leaked secrets.
            pub fn with_mark(mut self, mark: impl ::std::convert::Into<::std::string::String>) -> Self {
                self.mark = mark.into();
                self
            }

            /// Shows a consent page to browsers. Without this setting, a browser is redirected at
            /// once.
            pub fn with_consent_page(mut self) -> Self {
                self.shows_consent_page = true;
                self
            }

            fn authority(
                &self,
                description: &::connector_core::provider::Description,
            ) -> $crate::AuthorityBuilder {
                let builder = $crate::Authority::of(description).with_mark(self.mark.clone());
                let builder = if self.shows_consent_page {
                    builder.with_consent_page()
                } else {
                    builder
                };
                match &self.redirect_uri {
                    ::std::option::Option::Some(it) => builder.with_redirect_uri(it.clone()),
                    ::std::option::Option::None => builder,
                }
            }
        }

        /// Shows no settings, because the mark is a part of every secret.
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
