//! State transitions of stored records, shared by all stores.

mod endpoint;
mod subscription;

pub use self::endpoint::ATTEMPTS_KEPT;
pub use self::subscription::{
    CandidateRecord, ChannelRecord, SubscriptionFailureRecord, SubscriptionRecord,
};
