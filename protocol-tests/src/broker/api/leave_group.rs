//! LeaveGroup. 3 several members at once, by instance id too; 4 flexible; 5 a reason.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::{LeaveGroupRequest, LeaveGroupResponse};

use super::check_coordinator;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: LeaveGroupRequest) -> Step {
    let group = request.group_id.to_string();
    if let Err(code) = check_coordinator(core, call, &group) {
        return call.reply(&LeaveGroupResponse::default().with_error_code(code.code()));
    }
    if call.version < 3 {
        let code = leave(core, &group, &request.member_id, None).err().map_or(0, |code| code.code());
        return call.reply(&LeaveGroupResponse::default().with_error_code(code));
    }
    let members = request.members.into_iter().map(|member| {
        let left = leave(core, &group, &member.member_id, member.group_instance_id.as_deref());
        MemberResponse::default()
            .with_member_id(member.member_id)
            .with_group_instance_id(member.group_instance_id)
            .with_error_code(left.err().map_or(0, |code| code.code()))
    });
    let members = members.collect();
    call.reply(&LeaveGroupResponse::default().with_members(members))
}

fn leave(core: &mut Core, group: &str, member: &str, instance: Option<&str>) -> Result<(), ResponseError> {
    let now = core.now;
    let members = &mut core.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?.members;
    let member = match instance {
        None => member.to_owned(),
        Some(instance) => {
            let owner = members.instance(instance).ok_or(ResponseError::UnknownMemberId)?;
            if !member.is_empty() && owner != member {
                return Err(ResponseError::FencedInstanceId);
            }
            owner.to_owned()
        }
    };
    members.leave(now, &member)
}
