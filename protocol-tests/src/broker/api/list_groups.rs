//! ListGroups: the groups this node coordinates. 1 throttle time; 3 flexible; 4 states; 5 types (KIP-848).

use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{GroupId, ListGroupsRequest, ListGroupsResponse};
use kafka_protocol::protocol::StrBytes;

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: ListGroupsRequest) -> Step {
    let wanted = |filter: &[StrBytes], word: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(word))
    };
    let groups = core.groups.iter().filter(|(name, group)| {
        core.coordinator(name) == Some(call.node)
            && core.access.may(Operation::DescribeGroup, name)
            && (core.lists_empty_groups || group.is_active())
            && wanted(&request.states_filter, group.state())
            && wanted(&request.types_filter, group.kind.name())
    });
    let groups = groups.map(|(name, group)| {
        ListedGroup::default()
            .with_group_id(GroupId(text(name)))
            .with_protocol_type(text(group.protocol_type()))
            .with_group_state(text(group.state()))
            .with_group_type(text(group.kind.name()))
    });
    call.reply(&ListGroupsResponse::default().with_groups(groups.collect()))
}
