//! DescribeGroups. 3 authorised operations; 4 instance ids; 5 flexible; 6 an unknown group is an error (69) instead of
//! a group in state Dead.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::{DescribeGroupsRequest, DescribeGroupsResponse, GroupId};

use crate::broker::access::Operation;
use crate::broker::call::{Call, Step, text};
use crate::broker::core::Core;
use crate::broker::groups::Kind;
use crate::broker::membership::{Membership, State};

pub(crate) fn handle(core: &mut Core, call: &Call, request: DescribeGroupsRequest) -> Step {
    let groups = request.groups.into_iter().map(|id| {
        let answer = DescribedGroup::default().with_group_id(id.clone());
        match describe(core, call, &id) {
            Ok(Some(members)) => described(answer, members),
            Ok(None) => dead(call, answer),
            Err(code) => answer.with_error_code(code.code()),
        }
    });
    let groups = groups.collect();
    call.reply(&DescribeGroupsResponse::default().with_groups(groups))
}

fn describe<'a>(core: &'a Core, call: &Call, id: &GroupId) -> Result<Option<&'a Membership>, ResponseError> {
    super::check_coordinator(core, call, id)?;
    if !core.access.may(Operation::DescribeGroup, id) {
        return Err(ResponseError::GroupAuthorizationFailed);
    }
    // Groups of the newer protocols are not this request's to describe.
    Ok(core.groups.get(id).filter(|group| group.kind == Kind::Classic).map(|group| &group.members))
}

fn dead(call: &Call, answer: DescribedGroup) -> DescribedGroup {
    let answer = answer.with_group_state(text("Dead"));
    if call.version < 6 {
        return answer;
    }
    let message = format!("Group {} not found.", answer.group_id.as_str());
    answer.with_error_code(ResponseError::GroupIdNotFound.code()).with_error_message(Some(text(message)))
}

fn described(answer: DescribedGroup, members: &Membership) -> DescribedGroup {
    let settled = members.state() == State::Stable;
    let listed = members.iter().map(|member| {
        let chosen = member.protocols.iter().find(|(name, _)| name == members.protocol());
        DescribedGroupMember::default()
            .with_member_id(text(&member.id))
            .with_group_instance_id(member.instance.as_ref().map(text))
            .with_client_id(text(&member.client_id))
            .with_client_host(text("/127.0.0.1"))
            .with_member_metadata(chosen.filter(|_| settled).map(|(_, bytes)| bytes.clone()).unwrap_or_default())
            .with_member_assignment(member.assignment.clone())
    });
    answer
        .with_group_state(text(members.state().name()))
        .with_protocol_type(text(members.protocol_type()))
        .with_protocol_data(text(if settled { members.protocol() } else { "" }))
        .with_members(listed.collect())
}
