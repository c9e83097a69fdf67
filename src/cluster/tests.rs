//! Whole calls over scripted connections.

use super::*;

fn is_send<T: Send>(value: T) -> T {
    value
}

/// Callers run these in tasks of their own.
#[allow(dead_code)]
fn every_call_can_move_between_threads(cluster: &Cluster) {
    drop(is_send(cluster.metadata(None)));
    drop(is_send(cluster.list_groups()));
    drop(is_send(cluster.describe_groups(&[])));
    drop(is_send(cluster.committed(&[])));
    drop(is_send(cluster.list_offsets(Edge::Latest, &[])));
    drop(is_send(cluster.topic_configs(&[])));
    drop(is_send(cluster.broker_configs()));
    drop(is_send(cluster.create_topics(&[], true)));
    drop(is_send(cluster.init_producer_id()));
}
