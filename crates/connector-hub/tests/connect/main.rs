//! Connecting accounts: authorize, callback, adopt, against a scripted provider.

mod adopt;
mod flows;
mod provider;
mod reconnect;
mod refusals;
mod rig;
mod tenants;
