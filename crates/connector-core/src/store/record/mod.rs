//! State transitions of stored records, shared by all stores.

mod subscription;

pub use self::subscription::{
    CandidateRecord, ChannelRecord, SubscriptionFailureRecord, SubscriptionRecord,
};
