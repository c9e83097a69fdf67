//! Heartbeat. 1 throttle time; 3 instance ids; 4 flexible.

use kafka_protocol::messages::{HeartbeatRequest, HeartbeatResponse};

use super::check_member;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: HeartbeatRequest) -> Step {
    let (group, member) = (request.group_id.as_str(), request.member_id.as_str());
    let instance = request.group_instance_id.as_deref();
    let now = core.now;
    let alive = check_member(core, call, group, member, instance, request.generation_id)
        .and_then(|()| core.groups.entry(group).members.heartbeat(now, member, instance, request.generation_id));
    call.reply(&HeartbeatResponse::default().with_error_code(alive.err().map_or(0, |code| code.code())))
}
