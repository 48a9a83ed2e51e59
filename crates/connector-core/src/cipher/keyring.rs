//! x
/// x
#[derive(Debug)]
pub struct KeyMaterial;
/// x
#[derive(Debug)]
pub struct Keyring;
/// x
#[derive(Debug)]
pub struct KeyringError;
