//! The only place that reads the environment.

use std::env::VarError;

use secrecy::SecretString;
use zeroize::Zeroize;

/// What an environment variable that holds a secret was found to be.
pub(crate) enum SecretVariable {
    NotSet,
    NotText,
    Text(SecretString),
}

/// Reads a secret from the environment variable `name`.
#[expect(
    clippy::disallowed_methods,
    reason = "this is where the environment is read"
)]
pub(crate) fn secret(name: &str) -> SecretVariable {
    match std::env::var(name) {
        Ok(text) => SecretVariable::Text(SecretString::from(text)),
        Err(VarError::NotPresent) => SecretVariable::NotSet,
        Err(VarError::NotUnicode(value)) => {
            value.into_encoded_bytes().zeroize();
            SecretVariable::NotText
        }
    }
}
