//! Runs the store test suites against the SQLite store.

use crate::fixture::Fixture;

connector_testkit::token_store_suite!(Fixture);
connector_testkit::state_store_suite!(Fixture);
connector_testkit::delivery_queue_suite!(Fixture);
connector_testkit::audit_log_suite!(Fixture);
connector_testkit::maintenance_suite!(Fixture);
connector_testkit::subscription_store_suite!(Fixture);
connector_testkit::outbound_store_suite!(Fixture);
