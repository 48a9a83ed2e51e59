//! x
pub mod artefacts;
mod config;
pub mod kill;
pub mod leak;
pub mod trace;
