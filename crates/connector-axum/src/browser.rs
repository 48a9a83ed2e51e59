//! The cookie that binds connect flows to a browser.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};

use crate::problem::{Code, Problem};

/// Name of the cookie over https. Browsers accept the prefix only for cookies that the host itself
/// set with `Secure` and `Path=/`, so no other host of the domain can set it.
const SECURE_NAME: &str = "__Host-connect";
/// Name of the cookie over http on this machine, where browsers do not accept the prefix.
const LOCAL_NAME: &str = "connect";
/// Validity of the cookie in seconds: longer than a flow, so that a page can be loaded again.
const MAX_AGE: u32 = 24 * 3600;

const fn name(is_https: bool) -> &'static str {
    if is_https { SECURE_NAME } else { LOCAL_NAME }
}

/// Returns the value of the `Set-Cookie` header.
pub(crate) fn cookie(binding: &SecretString, is_https: bool) -> Result<HeaderValue, Problem> {
    let secure = if is_https { "; Secure" } else { "" };
    let text = format!(
        "{}={}; Path=/; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}",
        name(is_https),
        binding.expose_secret()
    );
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Problem::new(&Code::BUG, "the cookie is not a header value"))?;
    value.set_sensitive(true);
    Ok(value)
}

/// Returns the binding that the browser sent. A doubled cookie is ignored, because it is not known
/// which of the values this service set.
pub(crate) fn binding(headers: &HeaderMap, is_https: bool) -> Option<SecretString> {
    let name = name(is_https);
    let mut values = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|line| line.to_str().ok())
        .flat_map(|line| line.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter(|(given, _)| *given == name)
        .map(|(_, value)| SecretString::from(value));
    let first = values.next()?;
    values.next().is_none().then_some(first)
}
