//! DeleteGroups: groups without members, with their offsets. 2 flexible.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::{DeleteGroupsRequest, DeleteGroupsResponse};

use super::check_coordinator;
use crate::broker::access::Operation;
use crate::broker::call::{Call, Step};
use crate::broker::core::Core;

pub(crate) fn handle(core: &mut Core, call: &Call, request: DeleteGroupsRequest) -> Step {
    let results = request.groups_names.into_iter().map(|group| {
        let deleted = check_coordinator(core, call, &group).and_then(|()| {
            if core.access.may(Operation::DeleteGroup, &group) {
                core.groups.delete(&group)
            } else {
                Err(ResponseError::GroupAuthorizationFailed)
            }
        });
        let code = deleted.err().map_or(0, |code| code.code());
        DeletableGroupResult::default().with_group_id(group).with_error_code(code)
    });
    let results = results.collect();
    call.reply(&DeleteGroupsResponse::default().with_results(results))
}
