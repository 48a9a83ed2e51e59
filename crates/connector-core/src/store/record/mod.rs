//! The decisions about stored records, written once for every store.

mod subscription;

pub use self::subscription::{
    CandidateRecord, ChannelRecord, SubscriptionFailureRecord, SubscriptionRecord,
};
