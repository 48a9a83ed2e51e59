//! Runs the store test suites against the PostgreSQL store, directly and behind PgBouncer.

mod direct {
    use crate::fixture::Fixture;

    connector_testkit::token_store_suite!(Fixture);
    connector_testkit::state_store_suite!(Fixture);
    connector_testkit::delivery_queue_suite!(Fixture);
    connector_testkit::audit_log_suite!(Fixture);
    connector_testkit::maintenance_suite!(Fixture);
    connector_testkit::subscription_store_suite!(Fixture);
    connector_testkit::outbound_store_suite!(Fixture);
}

mod pooler {
    use crate::fixture::PoolerFixture;

    connector_testkit::token_store_suite!(PoolerFixture);
    connector_testkit::state_store_suite!(PoolerFixture);
    connector_testkit::delivery_queue_suite!(PoolerFixture);
    connector_testkit::audit_log_suite!(PoolerFixture);
    connector_testkit::maintenance_suite!(PoolerFixture);
    connector_testkit::subscription_store_suite!(PoolerFixture);
    connector_testkit::outbound_store_suite!(PoolerFixture);
}
