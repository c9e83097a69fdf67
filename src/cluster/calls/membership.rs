//! Being a member of a group. Each call is asked once, of the coordinator as it is known; an answer that makes that
//! doubtful has it looked up again for the next call.

use super::MEMBERSHIP;
use crate::cluster::client::Cluster;
use crate::cluster::error::{ClusterError, Subject};
use crate::kafka::{ErrorCode, GroupId};
use crate::wire::Request;
use crate::wire::messages::{Heartbeat, JoinGroup, JoinGroupAnswer, LeaveGroup, MemberOf, MembershipAnswer, SyncGroup};
use bytes::Bytes;
use std::time::Duration;

/// A group to join, and as whom.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joining {
    /// The group.
    pub group: GroupId,
    /// The kind of group: the same for all its members.
    pub protocol: String,
    /// What the group and whoever describes it is told about the member.
    pub metadata: Bytes,
    /// How long the member lives without a heartbeat.
    pub session: Duration,
    /// How long the group waits for a member that is to join again.
    pub rebalance: Duration,
}

/// A generation that was joined.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Joined {
    /// The member, as of this generation.
    pub member: MemberOf,
    /// The id of the member that leads.
    pub leader: String,
}

impl Joined {
    /// Whether this member leads the group.
    pub fn leads(&self) -> bool {
        self.member.id == self.leader
    }
}

impl Cluster {
    /// Joins a group as the member with this id, or anew where it is empty; then the id that the coordinator gives is in
    /// it, after an error too, so that the next attempt is the same member's. Ends when the group's next generation
    /// begins, which may take as long as the slowest member's `rebalance`.
    pub async fn join_group(&self, joining: &Joining, member: &mut String) -> Result<Joined, ClusterError> {
        let Joining { group, protocol, metadata, session, rebalance } = joining.clone();
        let patience = self.0.options.patience.saturating_add(rebalance);
        let code = |answer: &JoinGroupAnswer| answer.error;
        let mut request = JoinGroup { group, member: member.clone(), protocol, metadata, session, rebalance };
        let (mut answer, mut error) = self.ask_as_member(&request.group, &request, patience, code).await?;
        if error.as_ref().and_then(ClusterError::code) == Some(ErrorCode::MEMBER_ID_REQUIRED) {
            member.clone_from(&answer.member);
            request.member = answer.member;
            (answer, error) = self.ask_as_member(&request.group, &request, patience, code).await?;
        }
        if let Some(error) = error {
            return Err(error);
        }
        let JoinGroupAnswer { generation, leader, member: id, .. } = answer;
        member.clone_from(&id);
        Ok(Joined { member: MemberOf { id, generation }, leader })
    }

    /// Ends the rebalance that a member joined; the leader does it for all. The group then is as durable as the offsets
    /// committed before: the coordinator answers when it has stored it behind them.
    pub async fn sync_group(&self, group: &GroupId, joined: &Joined) -> Result<(), ClusterError> {
        let assigned = if joined.leads() { vec![joined.leader.clone()] } else { Vec::new() };
        let request = SyncGroup { group: group.clone(), member: joined.member.clone(), assigned };
        self.settled(group, &request, self.0.options.patience).await
    }

    /// Says that a member is alive; a connection that stands still for `patience` is given up.
    pub async fn heartbeat(&self, group: &GroupId, member: &MemberOf, patience: Duration) -> Result<(), ClusterError> {
        let request = Heartbeat { group: group.clone(), member: member.clone() };
        self.settled(group, &request, patience).await
    }

    /// Takes a member out of its group, whoever it is; its later commits are refused.
    pub async fn leave_group(&self, group: &GroupId, member: &str) -> Result<(), ClusterError> {
        let request = LeaveGroup { group: group.clone(), member: member.to_owned() };
        self.settled(group, &request, self.0.options.patience).await
    }

    async fn settled<R: Request<Answer = MembershipAnswer>>(
        &self,
        group: &GroupId,
        request: &R,
        patience: Duration,
    ) -> Result<(), ClusterError> {
        let (_, error) = self.ask_as_member(group, request, patience, |answer| answer.error).await?;
        error.map_or(Ok(()), Err)
    }

    /// An answer, and the error that is in it.
    async fn ask_as_member<R: Request>(
        &self,
        group: &GroupId,
        request: &R,
        patience: Duration,
        code: impl Fn(&R::Answer) -> ErrorCode,
    ) -> Result<(R::Answer, Option<ClusterError>), ClusterError> {
        let subject = Subject::Group(group.clone());
        let asked = async {
            let connection = self.at_coordinator(group, MEMBERSHIP).await?;
            let answer = connection.call_within(request, subject.clone(), patience).await?;
            let error = connection.check(R::API, subject.clone(), code(&answer), None).err();
            Ok((answer, error))
        };
        let asked = asked.await;
        self.doubt(match &asked {
            Ok((_, error)) => error.as_ref(),
            Err(error) => Some(error),
        });
        asked
    }
}
