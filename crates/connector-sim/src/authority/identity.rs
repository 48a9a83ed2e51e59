//! The provider's statement of the account: a JSON document, or the claims of an ID token.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use connector_core::provider::description::{IdentitySource, Pointer};
use connector_core::{Error, ErrorKind, Result};
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use serde_json::{Value, json};

use super::form::{merge, set_at};
use super::{Grant, World};

/// Lifetime of an ID token, in seconds.
const ID_TOKEN_SECONDS: i64 = 3600;

/// The key that signs ID tokens (ES256).
pub(super) struct Signer {
    key: EcdsaKeyPair,
    random: SystemRandom,
}

impl Signer {
    pub(super) fn generate() -> Result<Self> {
        let failed = || {
            Error::new(
                ErrorKind::Bug,
                "sim.authority.start",
                "the system's random source failed",
            )
        };
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let key = EcdsaKeyPair::generate_pkcs8(algorithm, &random).map_err(|_| failed())?;
        let key = EcdsaKeyPair::from_pkcs8(algorithm, key.as_ref(), &random);
        let key = key.map_err(|_| failed())?;
        Ok(Self { key, random })
    }

    pub(super) fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let encode = |part: Option<&[u8]>| BASE64_URL_SAFE_NO_PAD.encode(part.unwrap_or_default());
        json!({ "keys": [{
            "kty": "EC", "crv": "P-256", "alg": "ES256", "use": "sig", "kid": "sim",
            "x": encode(point.get(1..33)), "y": encode(point.get(33..65)),
        }] })
    }

    fn sign(&self, claims: &Value) -> String {
        let encode = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "alg": "ES256", "kid": "sim", "typ": "JWT" });
        let signed = format!("{}.{}", encode(&header), encode(claims));
        // Signing fails only if the random source fails. The client then refuses the token.
        let signature = self.key.sign(&self.random, signed.as_bytes());
        let signature = signature.map(|it| BASE64_URL_SAFE_NO_PAD.encode(it.as_ref()));
        format!("{signed}.{}", signature.unwrap_or_default())
    }
}

/// Returns the JSON object that identifies an account, in the format that the description defines.
pub(super) fn document(world: &World, key: &str) -> Value {
    let account = {
        let state = world.state();
        let mut accounts = state.accounts.iter();
        accounts.find(|it| it.key == key).cloned()
    };
    let (Some(account), Some(rule)) = (account, &world.description.identity) else {
        return json!({});
    };
    let mut document = account.document;
    let mut add = |pointer: &Pointer, text: &str| {
        if pointer.find(&document).is_none() {
            set_at(&mut document, pointer.as_str(), text.into());
        }
    };
    let parts = account.key.splitn(rule.account.len(), ':');
    for (pointer, part) in rule.account.iter().zip(parts) {
        add(pointer, part);
    }
    if let Some(label) = &rule.label {
        add(label, &account.label);
    }
    document
}

/// Adds the account to a token response.
pub(super) fn add_to_response(world: &World, grant: &Grant, nonce: Option<&str>, body: &mut Value) {
    let Some(rule) = &world.description.identity else {
        return;
    };
    match rule.source() {
        IdentitySource::TokenResponse => merge(body, &document(world, &grant.account)),
        IdentitySource::IdToken { issuer } => {
            let token = id_token(world, issuer, grant, nonce);
            body["id_token"] = token.into();
        }
        _ => {}
    }
}

fn id_token(world: &World, issuer: &str, grant: &Grant, nonce: Option<&str>) -> String {
    let now = world.now().as_unix_seconds();
    let mut claims = document(world, &grant.account);
    let mut filled = String::new();
    let mut rest = issuer;
    // The issuer can contain a placeholder `{claim}`. Every token contains the claim of that name.
    while let Some((before, after)) = rest.split_once('{') {
        let (name, after) = after.split_once('}').unwrap_or((after, ""));
        if claims.get(name).and_then(Value::as_str).is_none() {
            claims[name] = "simulated".into();
        }
        filled.push_str(before);
        filled.push_str(claims[name].as_str().unwrap_or_default());
        rest = after;
    }
    filled.push_str(rest);
    claims["iss"] = filled.into();
    claims["aud"] = grant.client_id.clone().into();
    claims["iat"] = now.into();
    claims["exp"] = (now + ID_TOKEN_SECONDS).into();
    if let Some(nonce) = nonce {
        claims["nonce"] = nonce.into();
    }
    world.signer.sign(&claims)
}
