//! Which broker coordinates a group.

use super::client::Cluster;
use super::connection::{Connection, Use};
use super::error::{ClusterError, ErrorKind, Subject};
use super::gather::gather;
use crate::kafka::{BrokerId, GroupId, Retry};
use crate::wire::ApiKey;
use crate::wire::messages::{Coordinator, FindCoordinator};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Groups that one request asks for at most, where brokers take many.
const MOST: usize = 500;

type Found = BTreeMap<GroupId, Result<BrokerId, ClusterError>>;

impl Cluster {
    /// The coordinators of groups, once, as remembered or looked up.
    pub(super) async fn coordinators(&self, groups: &[GroupId]) -> Found {
        let (mut found, unknown) = {
            let state = self.state();
            let known = |group: &GroupId| state.coordinators.get(group).map(|broker| (group.clone(), Ok(*broker)));
            let found: Found = groups.iter().filter_map(known).collect();
            let unknown: Vec<_> = groups.iter().filter(|group| !found.contains_key(*group)).cloned().collect();
            (found, unknown)
        };
        if unknown.is_empty() {
            return found;
        }
        let most = match self.ask_coordinators(unknown.first().cloned().into_iter().collect()).await {
            // The first group's answer also says whether brokers take many groups at once.
            Ok((answers, batched)) => {
                self.remember(answers, &mut found);
                if batched { MOST } else { 1 }
            }
            Err(error) => {
                let each = |group: GroupId| (group.clone(), Err(error.about(Subject::Group(group))));
                found.extend(unknown.into_iter().map(each));
                return found;
            }
        };
        let rest = unknown.get(1..).unwrap_or_default();
        let asked = rest.chunks(most).map(|groups| {
            let (cluster, groups) = (self.clone(), groups.to_vec());
            async move { (groups.clone(), cluster.ask_coordinators(groups).await) }
        });
        for (groups, answer) in gather(asked).await {
            match answer {
                Ok((answers, _)) => self.remember(answers, &mut found),
                Err(error) => found
                    .extend(groups.into_iter().map(|group| (group.clone(), Err(error.about(Subject::Group(group)))))),
            }
        }
        let unanswered = |group: &GroupId| {
            self.error(Some(ApiKey::FindCoordinator), Subject::Group(group.clone()), ErrorKind::Unanswered)
        };
        for group in groups {
            found.entry(group.clone()).or_insert_with(|| Err(unanswered(group)));
        }
        found
    }

    /// Asks any broker; also says whether it takes many groups at once.
    async fn ask_coordinators(
        &self,
        groups: Vec<GroupId>,
    ) -> Result<(Vec<(GroupId, Result<Coordinator, ClusterError>)>, bool), ClusterError> {
        let request = FindCoordinator { groups };
        let (connection, answer) = self.ask_any(&request, Subject::Whole).await?;
        let batched = connection.version(ApiKey::FindCoordinator).is_ok_and(|version| version >= 4);
        let checked = |coordinator: Coordinator| {
            let group = coordinator.group.clone().or_else(|| request.groups.first().cloned())?;
            let subject = Subject::Group(group.clone());
            let message = coordinator.message.as_deref();
            let checked = connection.check(ApiKey::FindCoordinator, subject, coordinator.error, message);
            Some((group, checked.map(|()| coordinator)))
        };
        Ok((answer.coordinators.into_iter().filter_map(checked).collect(), batched))
    }

    fn remember(&self, answers: Vec<(GroupId, Result<Coordinator, ClusterError>)>, found: &mut Found) {
        let mut state = self.state();
        for (group, answer) in answers {
            let broker = answer.map(|coordinator| {
                if !state.brokers.contains_key(&coordinator.broker) {
                    state.learn_broker(coordinator.broker, &coordinator.host, coordinator.port, None);
                }
                state.coordinators.insert(group.clone(), coordinator.broker);
                coordinator.broker
            });
            found.insert(group, broker);
        }
    }

    /// A connection to a group's coordinator, as remembered or looked up.
    pub(super) async fn at_coordinator(&self, group: &GroupId, used: Use) -> Result<Arc<Connection>, ClusterError> {
        let mut found = self.coordinators(std::slice::from_ref(group)).await;
        let subject = Subject::Group(group.clone());
        let unanswered = || self.error(Some(ApiKey::FindCoordinator), subject.clone(), ErrorKind::Unanswered);
        let broker = found.remove(group).unwrap_or_else(|| Err(unanswered()))?;
        self.connection(broker, used).await.map_err(|error| error.about(subject))
    }

    /// Has coordinators looked up again that these errors make doubtful.
    pub(super) fn doubt<'a>(&self, errors: impl IntoIterator<Item = &'a ClusterError>) {
        errors.into_iter().filter(|error| error.retry() == Retry::Coordinator).for_each(|error| self.forget(error));
    }

    /// Groups by their coordinators; a group without one is an error in the second map.
    pub(super) async fn by_coordinator<V>(
        &self,
        groups: &[GroupId],
    ) -> (BTreeMap<BrokerId, Vec<GroupId>>, BTreeMap<GroupId, Result<V, ClusterError>>) {
        let mut by_broker: BTreeMap<_, Vec<_>> = BTreeMap::new();
        let mut failed = BTreeMap::new();
        for (group, broker) in self.coordinators(groups).await {
            match broker {
                Ok(broker) => by_broker.entry(broker).or_default().push(group),
                Err(error) => drop(failed.insert(group, Err(error))),
            }
        }
        (by_broker, failed)
    }
}
