//! Which groups there are, and who is in them.

use super::cut;
use crate::cluster::client::Cluster;
use crate::cluster::connection::{Connection, Use};
use crate::cluster::error::{ClusterError, ErrorKind, Subject};
use crate::cluster::gather::gather;
use crate::kafka::{BrokerId, ErrorCode, GroupId};
use crate::wire::messages::{
    ClusterRights, ConsumerGroupDescribe, DescribeGroups, DescribeGroupsAnswer, DescribedGroup, ListGroups,
    ListGroupsAnswer, ListedGroup, Member, StreamsGroupDescribe,
};
use crate::wire::{ApiKey, Request};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Groups that one request describes at most.
const MOST: usize = 100;

/// The groups of a cluster.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupList {
    /// Every group that some broker coordinates and kferry may see.
    pub groups: BTreeMap<GroupId, Group>,
    /// Whether groups may be missing for want of permission: a broker refused its list, or kferry's user may not describe
    /// the cluster, so that brokers leave out what it may not see. Brokers before 2.3 don't tell the latter.
    pub incomplete: bool,
}

/// A group as its coordinator lists it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// `consumer`, `connect`, ...; empty for a group that only has offsets.
    pub protocol_type: String,
    /// `Stable`, `Empty`, ...; `None` from brokers before 2.6.
    pub state: Option<String>,
    /// `classic`, `consumer`, `share` or `streams`, in lower case; `None` from brokers before 3.8.
    pub kind: Option<String>,
    /// Its coordinator.
    pub coordinator: BrokerId,
}

/// A group as its coordinator describes it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct GroupDescription {
    /// `Stable`, `Empty`, ...; `Dead` where the group does not exist.
    pub state: String,
    /// `consumer`, `connect`, `streams`, ...; empty for a group that only has offsets.
    pub protocol_type: String,
    /// Its members; a group with members is active.
    pub members: Vec<Member>,
}

/// What DescribeGroups says about a group that does not exist, or is none of the classic protocol.
const DEAD: &str = "Dead";

type Share = Vec<(GroupId, Result<GroupDescription, ClusterError>)>;

impl Cluster {
    /// The groups of all brokers, asked at the same time.
    pub async fn list_groups(&self) -> Result<GroupList, ClusterError> {
        self.repeat(|| async move {
            // A broker that has gone takes no group with it: its groups move to the others.
            self.metadata_of_brokers().await?;
            let asked = self.brokers().into_iter().map(|broker| {
                let cluster = self.clone();
                async move { (broker.id, cluster.list_groups_of(broker.id).await) }
            });
            let mut list = GroupList { groups: BTreeMap::new(), incomplete: !self.sees_all_groups().await? };
            for (coordinator, answer) in gather(asked).await {
                match answer {
                    Ok(answer) => {
                        // Only a group's coordinator lists it, so nobody needs to look that up.
                        let ids = answer.groups.iter().map(|group| (group.id.clone(), coordinator));
                        self.state().coordinators.extend(ids);
                        list.groups.extend(answer.groups.into_iter().map(|group| listed(group, coordinator)));
                    }
                    Err(error) if is_denied(&error) => list.incomplete = true,
                    Err(error) => return Err(error),
                }
            }
            Ok(list)
        })
        .await
    }

    async fn sees_all_groups(&self) -> Result<bool, ClusterError> {
        match self.ask_any(&ClusterRights, Subject::Whole).await {
            Ok((_, rights)) => Ok(rights.describe),
            Err(ClusterError { kind: ErrorKind::Version(_), .. }) => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn list_groups_of(&self, broker: BrokerId) -> Result<ListGroupsAnswer, ClusterError> {
        let connection = self.connection(broker, Use::Control(0)).await?;
        let answer = connection.call(&ListGroups, Subject::Whole).await?;
        connection.check(ApiKey::ListGroups, Subject::Whole, answer.error, None)?;
        Ok(answer)
    }

    /// State and members of groups, asked of their coordinators. A group that the classic protocol does not know is
    /// looked for among the consumer groups (KIP-848), then among the streams groups (KIP-1071), where brokers have them.
    pub async fn describe_groups(
        &self,
        groups: &[GroupId],
    ) -> BTreeMap<GroupId, Result<GroupDescription, ClusterError>> {
        self.rounds(groups.to_vec(), |left| async move {
            let (by_broker, mut answers) = self.by_coordinator(&left).await;
            let subject = |group: &GroupId| Subject::Group(group.clone());
            let shares = cut(by_broker, MOST);
            answers.append(&mut self.shares(ApiKey::DescribeGroups, subject, shares, describe).await);
            answers
        })
        .await
    }
}

async fn describe(connection: Arc<Connection>, groups: Vec<GroupId>) -> Result<Share, ClusterError> {
    let mut found = ask(&connection, &DescribeGroups { groups }).await?;
    let dead = |found: &Share| {
        let dead = found.iter().filter(|(_, group)| group.as_ref().is_ok_and(|group| group.state == DEAD));
        dead.map(|(id, _)| id.clone()).collect::<Vec<_>>()
    };
    let groups = dead(&found);
    if !groups.is_empty() && connection.version(ApiKey::ConsumerGroupDescribe).is_ok() {
        merge(&mut found, ask(&connection, &ConsumerGroupDescribe { groups }).await?);
    }
    let groups = dead(&found);
    if !groups.is_empty() && connection.version(ApiKey::StreamsGroupDescribe).is_ok() {
        merge(&mut found, ask(&connection, &StreamsGroupDescribe { groups }).await?);
    }
    Ok(found)
}

async fn ask<R: Request<Answer = DescribeGroupsAnswer>>(
    connection: &Connection,
    request: &R,
) -> Result<Share, ClusterError> {
    let answer = connection.call(request, Subject::Whole).await?;
    let checked = |group: DescribedGroup| {
        let DescribedGroup { id, error, message, state, protocol_type, members } = group;
        let checked = connection.check(R::API, Subject::Group(id.clone()), error, message.as_deref());
        (id, checked.map(|()| GroupDescription { state, protocol_type, members }))
    };
    Ok(answer.groups.into_iter().map(checked).collect())
}

/// Takes over what another protocol knows better. GROUP_ID_NOT_FOUND is no news, and neither is a broker that has the
/// protocol switched off.
fn merge(found: &mut Share, better: Share) {
    let no_news = [ErrorCode::GROUP_ID_NOT_FOUND, ErrorCode::UNSUPPORTED_VERSION].map(Some);
    let news = |group: &Result<GroupDescription, ClusterError>| match group {
        Ok(_) => true,
        Err(error) => !no_news.contains(&error.code()),
    };
    let mut better: BTreeMap<_, _> = better.into_iter().filter(|(_, group)| news(group)).collect();
    for (id, group) in found {
        if let Some(better) = better.remove(id) {
            *group = better;
        }
    }
}

fn listed(group: ListedGroup, coordinator: BrokerId) -> (GroupId, Group) {
    let ListedGroup { id, protocol_type, state, kind } = group;
    (id, Group { protocol_type, state, kind: kind.map(|kind| kind.to_lowercase()), coordinator })
}

fn is_denied(error: &ClusterError) -> bool {
    let denied = [ErrorCode::CLUSTER_AUTHORIZATION_FAILED, ErrorCode::GROUP_AUTHORIZATION_FAILED];
    error.code().is_some_and(|code| denied.contains(&code))
}
