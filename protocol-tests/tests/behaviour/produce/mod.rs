//! What a broker does with raw record batches, case by case as measured on real brokers.

mod shape;

use protocol_tests::lab::Scenario;

/// All of them.
pub(crate) fn scenarios() -> Vec<Scenario> {
    shape::scenarios()
}
