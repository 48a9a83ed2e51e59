//! The authorization response (RFC 6749 section 4.1.2, RFC 9207).

use std::borrow::Cow;
use std::fmt;

use secrecy::SecretString;
use url::form_urlencoded;

use crate::error::{Error, ErrorKind, Result, shown_code};
use crate::provider::description::Description;

/// Maximum length of a callback query, in bytes.
const MAX_QUERY: usize = 8 * 1024;

/// Security-relevant parameters, which must not occur twice.
const SINGLE: [&str; 4] = ["state", "error", "error_description", "iss"];

/// The parsed query of a callback.
///
/// `Debug` shows only parameter names, because the query contains the authorization code.
pub struct Callback {
    raw: String,
    code_parameter: String,
    pairs: Vec<(String, String)>,
}

impl Callback {
    /// Parses the raw query, with or without the leading question mark. The authorization code is
    /// read from `code`.
    ///
    /// # Errors
    /// See [`Callback::parse_with`].
    pub fn parse(query: &str) -> Result<Self> {
        Self::parse_with(query, "code")
    }

    /// Parses the raw query and reads the authorization code from `code_parameter`. See
    /// [`Description::code_parameter`].
    ///
    /// # Errors
    /// [`ErrorKind::CallbackRefused`] if the query is longer than 8 KiB, or if `state`, the code,
    /// `error`, `error_description` or `iss` occurs twice.
    pub fn parse_with(query: &str, code_parameter: &str) -> Result<Self> {
        let query = query.strip_prefix('?').unwrap_or(query);
        if query.len() > MAX_QUERY {
            return Err(refused(
                "the callback's query is longer than 8 KiB; connect again",
            ));
        }
        let pairs: Vec<(String, String)> = form_urlencoded::parse(query.as_bytes())
            .map(|(name, value)| (Cow::into_owned(name), Cow::into_owned(value)))
            .collect();
        let callback = Self {
            raw: query.to_owned(),
            code_parameter: code_parameter.to_owned(),
            pairs,
        };
        match SINGLE
            .into_iter()
            .chain([code_parameter])
            .find(|name| callback.all(name).count() > 1)
        {
            None => Ok(callback),
            Some(_) => Err(refused(
                "the callback contains a parameter twice; connect again",
            )),
        }
    }

    /// Returns the query as received, for signatures that cover it.
    #[must_use]
    pub fn raw(&self) -> &str {
        &self.raw
    }

    /// Returns every parameter in order, decoded.
    pub fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        self.pairs
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Returns all values of the parameter `name`, in order.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.pairs()
            .filter(move |(its_name, _)| *its_name == name)
            .map(|(_, value)| value)
    }

    /// Returns the first value of the parameter `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.pairs()
            .find(|(its_name, _)| *its_name == name)
            .map(|(_, value)| value)
    }

    /// Returns the `state` parameter.
    #[must_use]
    pub fn state(&self) -> Option<&str> {
        self.get("state").filter(|state| !state.is_empty())
    }

    /// Returns the authorization code.
    #[must_use]
    pub fn code(&self) -> Option<SecretString> {
        self.get(&self.code_parameter)
            .filter(|code| !code.is_empty())
            .map(SecretString::from)
    }

    /// Returns the error code of a failed authorization (RFC 6749 section 4.1.2.1).
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.get("error").filter(|error| !error.is_empty())
    }

    /// Returns the error code in a form that is safe for logs and events.
    ///
    /// The result contains at most 64 characters, all of them allowed by RFC 6749 section 5.2.
    #[must_use]
    pub fn shown_error(&self) -> Option<String> {
        self.error().map(shown_code).filter(|code| !code.is_empty())
    }

    /// Returns the provider's description of the error. The text is untrusted: show it only to
    /// operators.
    #[must_use]
    pub fn error_description(&self) -> Option<&str> {
        self.get("error_description")
            .filter(|text| !text.is_empty())
    }

    /// Returns the SHA-256 of the code, or of the error if there is no code.
    ///
    /// The digest marks the state as used by this callback.
    #[must_use]
    pub fn code_digest(&self) -> [u8; 32] {
        let (label, value) = match (self.get(&self.code_parameter), self.error()) {
            (Some(code), _) => ("code", code),
            (None, error) => ("error", error.unwrap_or_default()),
        };
        let mut context = ring::digest::Context::new(&ring::digest::SHA256);
        context.update(label.as_bytes());
        context.update(&[0]);
        context.update(value.as_bytes());
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        digest
    }
}

impl fmt::Debug for Callback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.pairs().map(|(name, _)| name).collect();
        f.debug_struct("Callback")
            .field("parameters", &names)
            .finish_non_exhaustive()
    }
}

/// The reason why a callback's authorization code is not exchanged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum CallbackProblem {
    /// The account's owner denied access (`access_denied`).
    ConsentDenied,
    /// The provider reported another error.
    ProviderError,
    /// `iss` is missing, although the server always sends it.
    IssuerMissing,
    /// `iss` identifies another issuer, as in a mix-up attack (RFC 9207).
    IssuerMismatch,
    /// The provider's signature over the callback is invalid.
    SignatureMismatch,
    /// The timestamp of the callback is too old or in the future.
    Stale,
    /// The callback belongs to an account other than the requested one.
    OtherAccount,
    /// The callback contains neither a code nor an error.
    Incomplete,
}

impl CallbackProblem {
    /// Returns the stable name of the reason, for outcomes and audit entries.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ConsentDenied => "consent_denied",
            Self::ProviderError => "provider_error",
            Self::IssuerMissing => "issuer_missing",
            Self::IssuerMismatch => "issuer_mismatch",
            Self::SignatureMismatch => "signature_mismatch",
            Self::Stale => "callback_stale",
            Self::OtherAccount => "other_account",
            Self::Incomplete => "callback_incomplete",
        }
    }
}

/// Checks a callback as RFC 6749 and RFC 9207 require, including error callbacks.
///
/// If `iss` is present, it must equal the known issuer. If the description requires `iss`, it must
/// be present.
///
/// # Errors
/// [`CallbackProblem`] if a check fails. The state is consumed even if a check fails.
pub fn check_callback(
    description: &Description,
    callback: &Callback,
) -> Result<(), CallbackProblem> {
    if let Some(endpoint) = &description.authorization {
        match (callback.get("iss"), endpoint.issuer.as_deref()) {
            (Some(sent), Some(known)) if sent != known => {
                return Err(CallbackProblem::IssuerMismatch);
            }
            (None, Some(_)) if endpoint.issuer_required => {
                return Err(CallbackProblem::IssuerMissing);
            }
            _ => {}
        }
    }
    match (callback.error(), callback.code()) {
        (Some("access_denied"), _) => Err(CallbackProblem::ConsentDenied),
        (Some(_), _) => Err(CallbackProblem::ProviderError),
        (None, Some(_)) => Ok(()),
        (None, None) => Err(CallbackProblem::Incomplete),
    }
}

fn refused(message: &'static str) -> Error {
    Error::new(ErrorKind::CallbackRefused, "oauth.callback", message)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::provider::description::{AuthorizationEndpoint, EndpointTemplate};
    use crate::provider_id::ProviderId;

    fn description(issuer: Option<&str>, required: bool) -> Description {
        let mut description = Description::new(ProviderId::from_static("acme"), "Acme");
        let mut endpoint =
            AuthorizationEndpoint::new(EndpointTemplate::new("https://acme.example/authorize"));
        endpoint.issuer = issuer.map(str::to_owned);
        endpoint.issuer_required = required;
        description.authorization = Some(endpoint);
        description
    }

    #[test]
    fn a_callback_is_read_once_and_shows_no_values() {
        let callback = Callback::parse("?code=secret-code&state=s%20t&x=1&x=2").unwrap();
        assert_eq!(callback.code().unwrap().expose_secret(), "secret-code");
        assert_eq!(callback.state(), Some("s t"));
        assert_eq!(callback.all("x").collect::<Vec<_>>(), ["1", "2"]);
        assert!(!format!("{callback:?}").contains("secret-code"));
    }

    #[test]
    fn the_code_parameter_can_have_another_name() {
        let query = "spapi_oauth_code=secret&state=s&selling_partner_id=A1";
        let callback = Callback::parse_with(query, "spapi_oauth_code").unwrap();
        assert_eq!(callback.code().unwrap().expose_secret(), "secret");
        let plain = Callback::parse_with("code=secret&state=s", "code").unwrap();
        assert_eq!(callback.code_digest(), plain.code_digest());
        assert!(Callback::parse(query).unwrap().code().is_none());
        let doubled = "spapi_oauth_code=a&spapi_oauth_code=b";
        assert!(Callback::parse_with(doubled, "spapi_oauth_code").is_err());
    }

    #[test]
    fn repeated_parameters_and_long_queries_are_refused() {
        for query in [
            "code=a&code=b",
            "state=a&state=a",
            "iss=a&iss=b",
            "error=a&error=a",
        ] {
            assert!(Callback::parse(query).is_err(), "{query}");
        }
        assert!(Callback::parse(&"a".repeat(MAX_QUERY + 1)).is_err());
    }

    #[test]
    fn the_issuer_is_checked_if_present_and_can_be_required() {
        let check = |query: &str, issuer, required| {
            check_callback(
                &description(issuer, required),
                &Callback::parse(query).unwrap(),
            )
        };
        let known = Some("https://acme.example");
        assert_eq!(check("code=c", None, false), Ok(()));
        assert_eq!(check("code=c", known, false), Ok(()));
        assert_eq!(
            check("code=c&iss=https://acme.example", known, true),
            Ok(())
        );
        assert_eq!(
            check("code=c", known, true),
            Err(CallbackProblem::IssuerMissing)
        );
        assert_eq!(
            check("code=c&iss=https://evil.example", known, false),
            Err(CallbackProblem::IssuerMismatch)
        );
        assert_eq!(
            check("error=access_denied&iss=https://evil.example", known, false),
            Err(CallbackProblem::IssuerMismatch)
        );
        assert_eq!(
            check("error=access_denied", None, false),
            Err(CallbackProblem::ConsentDenied)
        );
        assert_eq!(
            check("error=server_error", None, false),
            Err(CallbackProblem::ProviderError)
        );
        assert_eq!(
            check("state=s", None, false),
            Err(CallbackProblem::Incomplete)
        );
    }
}
