//! Addresses of hooks: validation, and the account that an address identifies.

use std::fmt;
use std::num::NonZeroU32;

use connector_core::provider::oauth::Identity;
use connector_core::{Account, AccountKey, Error, ErrorKind, Metadata, Result};
use ring::pbkdf2;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// The only host that serves hooks.
const HOST: &str = "hooks.zapier.com";
const OPERATION: &str = "zapier.hook_url";
/// Maximum length of an address, in bytes.
const MAX_LEN: usize = 2048;
/// Maximum length of a path segment after `/hooks/catch/` or `/hooks/standard/`, in bytes.
const MAX_SEGMENT: usize = 64;
/// Maximum number of these segments.
const MAX_SEGMENTS: usize = 4;
/// PBKDF2 iterations of the account key. A hook's id is short, so an attacker could find it from a fast
/// digest by exhaustive search.
const ROUNDS: u32 = 100_000;
/// Path of the placeholder address that Zapier's editor uses while a developer builds an integration.
const PLACEHOLDER: &str = "/fake-subscription-url";
const NOT_A_HOOK: &str = "the path of the address is not the path of a hook";

/// The form of a hook's address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HookForm {
    /// `/hooks/catch/{user}/{hook}`: a catch hook, whose address a user copies from the Zap's editor.
    Catch,
    /// `/hooks/catch/{hook}`: a catch hook with an address in the old form. Zapier allows 1,000 requests
    /// in five minutes.
    LegacyCatch,
    /// `/hooks/standard/{user}/{hook}`: the target of a REST Hook. Zapier sends this address to the
    /// application when a user turns on a Zap.
    RestHook,
}

/// The address of a hook. The address is a secret: anyone who knows it can start the Zap.
///
/// `Debug` prints only the form.
#[derive(Clone)]
pub struct HookUrl {
    secret: SecretString,
    form: HookForm,
    user: Option<String>,
}

impl HookUrl {
    /// Parses an address that a user pasted or that Zapier sent. Sends no request.
    ///
    /// The scheme must be https, the host `hooks.zapier.com`, and the path the path of a hook. A user
    /// name, a port other than 443, a query or a fragment is an error. See
    /// [Zapier: Trigger Zaps from webhooks](https://help.zapier.com/hc/en-us/articles/8496288690317-Trigger-Zaps-from-webhooks).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidInput`] if the address is not valid. The message names the reason and does
    /// not contain the address. Ask the user to copy the address from the Zap's editor again.
    pub fn parse(text: &SecretString) -> Result<Self> {
        let text = text.expose_secret();
        if text.len() > MAX_LEN {
            return Err(wrong("the address is longer than 2,048 bytes"));
        }
        // The URL parser removes or decodes these characters, so reject them before parsing.
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
                "the address is the placeholder of Zapier's integration editor, which \
                 accepts no events; turn on the Zap",
            ));
        }
        // The URL parser resolves dot segments. Zapier's addresses contain none.
        let written = text
            .get("https://".len()..)
            .and_then(|it| it.find('/').map(|at| &it[at..]));
        let path = url.path();
        if written != Some(path) {
            return Err(wrong("the path of the address is not normalized"));
        }
        let path = path.strip_suffix('/').unwrap_or(path);
        let (is_catch, rest) = match (
            path.strip_prefix("/hooks/catch/"),
            path.strip_prefix("/hooks/standard/"),
        ) {
            (Some(rest), _) => (true, rest),
            (_, Some(rest)) => (false, rest),
            _ => return Err(wrong(NOT_A_HOOK)),
        };
        let segments: Vec<&str> = rest.split('/').collect();
        let is_plain = |it: &&str| {
            (1..=MAX_SEGMENT).contains(&it.len())
                && it
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'))
        };
        if segments.len() > MAX_SEGMENTS || !segments.iter().all(is_plain) {
            return Err(wrong(NOT_A_HOOK));
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

    /// Returns the Zapier user id of the hook's owner, if the address contains the id.
    #[must_use]
    pub fn user_id(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// Returns the address.
    #[must_use]
    pub const fn secret(&self) -> &SecretString {
        &self.secret
    }

    /// Returns the account that the address identifies. Sends no request.
    ///
    /// The account key is a slow digest (PBKDF2-HMAC-SHA256) of the address without its final slash.
    /// Equal addresses have equal keys, and the key does not reveal the address.
    ///
    /// # Errors
    /// None for a parsed address.
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
        // The address is ASCII.
        let end = address
            .get(address.len().saturating_sub(4)..)
            .unwrap_or_default();
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
