//! Credentials: kept fresh, never lost.

#[cfg_attr(
    not(feature = "machine"),
    expect(
        unreachable_pub,
        reason = "public for the explorer and the soak tests only"
    )
)]
pub mod machine;
