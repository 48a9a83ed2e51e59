//! Calls on one connection take effect one after the other.
use crate::fixture::StoreFixture;
pub(in crate::store) async fn operations_on_one_connection_are_linear<F: StoreFixture>(
    _fixture: &F,
) {
}
