//! DescribeCluster. 1 controllers as endpoints (KIP-919); 2 fenced brokers.

use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::{BrokerId, DescribeClusterRequest, DescribeClusterResponse};

use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, _: DescribeClusterRequest) -> Step {
    let up = core.nodes.iter().filter(|(_, node)| node.up);
    let brokers = up.map(|(id, node)| {
        DescribeClusterBroker::default()
            .with_broker_id(BrokerId(*id))
            .with_host(text(&node.host))
            .with_port(i32::from(node.port))
            .with_rack(node.rack.as_ref().map(text))
    });
    let brokers: Vec<_> = brokers.collect();
    call.reply(
        &DescribeClusterResponse::default()
            .with_cluster_id(text(&core.cluster_id))
            .with_controller_id(brokers.first().map_or(BrokerId(-1), |broker| broker.broker_id))
            .with_brokers(brokers),
    )
}
