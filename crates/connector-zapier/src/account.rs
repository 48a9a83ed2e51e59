//! The addresses of hooks: which ones are accepted, and the account behind one.

use std::fmt;
use std::num::NonZeroU32;

use connector_core::provider::oauth::Identity;
use connector_core::{Account, AccountKey, Error, ErrorKind, Metadata, Result};
use ring::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// The only host of hooks.
const HOST: &str = "hooks.zapier.com";
const OPERATION: &str = "zapier.hook_url";
/// The maximum length of an address, in bytes.
const LONGEST: usize = 2048;
/// The maximum length of a segment behind `/hooks/catch/` or `/hooks/standard/`, in bytes.
const LONGEST_SEGMENT: usize = 64;
/// The maximum number of these segments.
const MOST_SEGMENTS: usize = 4;
/// The cost of the account key. An id of a hook is short enough to be found from a plain digest.
const ROUNDS: u32 = 100_000;
/// The address that Zapier's editor subscribes while an integration is built.
const PLACEHOLDER: &str = "/fake-subscription-url";

/// The form of a hook's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookForm {
    /// `/hooks/catch/{user}/{hook}`: a catch hook, which a user copied from the editor of a Zap.
    Catch,
    /// `/hooks/catch/{hook}`: an old catch hook. Zapier allows it 1,000 requests in five minutes.
    LegacyCatch,
    /// `/hooks/standard/{user}/{hook}`: the target of a REST Hook, which Zapier gave to the
    /// application for one Zap that is on.
    RestHook,
}

/// The address of a hook, which is itself the secret: whoever knows it can start the Zap.
///
/// `Debug` shows the form only.
#[derive(Clone)]
pub struct HookUrl {
    secret: SecretString,
    form: HookForm,
    user: Option<String>,
}

impl HookUrl {
    /// Reads an address that a user pasted or that Zapier sent. Nothing is sent to it.
    ///
    /// The scheme is https, the host is `hooks.zapier.com` and nothing else, the path is that of a
    /// hook, and there is no user name, port, query or fragment. See
    /// [Zapier: Trigger Zaps from webhooks](https://help.zapier.com/hc/en-us/articles/8496288690317-Trigger-Zaps-from-webhooks).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] says what is wrong, without the address: ask the user for the
    /// address as the editor of the Zap shows it.
    pub fn parse(text: &SecretString) -> Result<Self> {
        let text = text.expose_secret();
        if text.len() > LONGEST {
            return Err(wrong("the address is longer than 2,048 bytes"));
        }
        // The parser would remove or decode these characters, so they are refused beforehand.
        if !text.bytes().all(|it| it.is_ascii_graphic()) || text.contains(['\\', '%']) {
            return Err(wrong(
                "the address contains a space, an escape or a character that is not ASCII",
            ));
        }
        let begins_with_https = text
            .get(.."https://".len())
            .is_some_and(|it| it.eq_ignore_ascii_case("https://"));
        if !begins_with_https {
            return Err(wrong("the address does not begin with https://"));
        }
        let url = Url::parse(text).map_err(|_| wrong("the text is not an address"))?;
        if url.host_str() != Some(HOST) {
            return Err(wrong("the host of the address is not hooks.zapier.com"));
        }
        let is_bare = url.username().is_empty()
            && url.password().is_none()
            && url.port().is_none()
            && url.query().is_none()
            && url.fragment().is_none();
        if !is_bare || text.contains('@') {
            return Err(wrong(
                "the address has a user name, a port, a query or a fragment",
            ));
        }
        if url.path() == PLACEHOLDER {
            return Err(wrong(
                "the address is the placeholder of Zapier's integration editor, which takes no \
                 events; turn the Zap on",
            ));
        }
        // The parser resolves dots, and an address with dots in its path is none of Zapier's.
        let written = text
            .get("https://".len()..)
            .and_then(|it| it.find('/').map(|at| &it[at..]));
        let path = url.path();
        if written != Some(path) {
            return Err(wrong("the path of the address is not in its plain form"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let (is_catch, rest) = match (
            path.strip_prefix("/hooks/catch/"),
            path.strip_prefix("/hooks/standard/"),
        ) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong("the path of the address is not that of a hook")),
        };
        let segments: Vec<&str> = rest.split('/').collect();
        let is_plain = |it: &&str| {
            (1..=LONGEST_SEGMENT).contains(&it.len())
                && it
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if segments.len() > MOST_SEGMENTS || !segments.iter().all(is_plain) {
            return Err(wrong("the path of the address is not that of a hook"));
        }
        let form = match (is_catch, segments.len()) {
            (false, _) => HookForm::RestHook,
            (true, 1) => HookForm::LegacyCatch,
            (true, _) => HookForm::Catch,
        };
        let user = segments[0];
        let user = (segments.len() > 1 && user.bytes().all(|it| it.is_ascii_digit()))
            .then(|| user.to_owned());
        Ok(Self {
            secret: SecretString::from(format!("https://{HOST}{}", url.path())),
            form,
            user,
        })
    }

    /// Returns the form of the address.
    #[must_use]
    pub const fn form(&self) -> HookForm {
        self.form
    }

    /// Returns the id of the hook's owner at Zapier, if the address contains it.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the address.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Returns the account behind the address, without a request.
    ///
    /// The key is a slow digest (PBKDF2-HMAC-SHA256) of the address without its final slash: equal
    /// addresses have equal keys, and the key does not give the address away.
    ///
    /// # Errors
    /// None for an address that was read.
    pub(crate) fn identity(&self) -> Result<Identity> {
        let address = self.secret.expose_secret().trim_end_matches('/');
        let mut digest = [0; 16];
        pbkdf2::derive(
            pbkdf2::PBKDF2_HMAC_SHA256,
            NonZeroU32::new(ROUNDS).unwrap_or(NonZeroU32::MIN),
            b"connectors.zapier.hook",
            address.as_bytes(),
            &mut digest,
        );
        let key = AccountKey::new(format!("{:032x}", u128::from_be_bytes(digest)))?;
        let end: String = address.chars().rev().take(4).collect();
        let end: String = end.chars().rev().collect();
        let mut metadata = Metadata::new();
        let form = match self.form {
            HookForm::Catch => "catch",
            HookForm::LegacyCatch => "legacy_catch",
            HookForm::RestHook => "rest_hook",
        };
        metadata.insert("form", form)?;
        if let Some(user) = &self.user {
            metadata.insert("zapier_user_id", user)?;
        }
        let account = Account::identified(key).with_label(format!("{HOST}/…/{end}"));
        Ok(Identity::new(account).with_metadata(metadata))
    }
}

impl fmt::Debug for HookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HookUrl")
            .field("form", &self.form)
            .finish_non_exhaustive()
    }
}

fn wrong(message: &'static str) -> Error {
    Error::new(ErrorKind::InvalidInput, OPERATION, message)
        .with_provider(crate::Zapier::ID.as_str().to_owned())
}
