//! A store in memory.
use crate::clock::Clock;
use std::sync::Arc;
/// A store in memory.
#[derive(Debug, Clone)]
pub struct MemoryStore {
    clock: Arc<dyn Clock>,
}
impl MemoryStore {
    /// An empty store on `clock`.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock }
    }
}
