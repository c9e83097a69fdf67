//! What tests, the demo and the benchmarks do to the cluster without the network.

use bytes::Bytes;
use kafka_protocol::ResponseError;

use super::cleaner;
use super::configs::{self, Values};
use super::core::Core;
use super::groups::Committed;
use super::log::Stored;
use super::topic::{Partition, Topic};
use super::version::Version;

/// Why a topic can't be made: code and message, as CreateTopics answers.
pub type Refused = (ResponseError, String);

impl Core {
    /// Makes a topic. Partition n is led by the nodes in turn; `replicas` `None` is the broker's default.
    pub fn create_topic_with(
        &mut self,
        name: &str,
        partitions: i32,
        replicas: Option<i16>,
        overrides: &[(&str, &str)],
    ) -> Result<(), Refused> {
        let refused = |code, message: String| Err((code, message));
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if name.is_empty() || name.len() > 249 || matches!(name, "." | "..") || !name.chars().all(legal) {
            return refused(ResponseError::InvalidTopicException, format!("Topic name {name:?} is illegal"));
        }
        if self.topics.contains_key(name) {
            return refused(ResponseError::TopicAlreadyExists, format!("Topic '{name}' already exists."));
        }
        if partitions <= 0 {
            return refused(ResponseError::InvalidPartitions, "Number of partitions must be larger than 0.".to_owned());
        }
        let nodes: Vec<i32> = self.nodes.keys().copied().collect();
        let replicas =
            replicas.unwrap_or_else(|| self.broker_config("default.replication.factor").parse().unwrap_or(1));
        let Some(replicas) = usize::try_from(replicas).ok().filter(|count| (1..=nodes.len()).contains(count)) else {
            let message = format!(
                "Unable to replicate the partition {replicas} time(s): only {} broker(s) are registered.",
                nodes.len()
            );
            return refused(ResponseError::InvalidReplicationFactor, message);
        };
        for (config, value) in overrides {
            configs::check(self.version, config, value)
                .or_else(|message| refused(ResponseError::InvalidConfig, message))?;
        }
        let overrides: Values =
            overrides.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let assigned = (0..partitions as usize)
            .map(|first| nodes.iter().cycle().skip(first % nodes.len()).take(replicas).copied().collect::<Vec<i32>>());
        let sweep_ms = self.producer_sweep_ms();
        let partition = |nodes: Vec<i32>| {
            let mut partition = Partition::new(self.now, &nodes);
            partition.sweep_ms = sweep_ms;
            partition
        };
        let partitions = assigned.map(partition).collect();
        let rules = configs::rules(self.version, &overrides, &self.broker_configs);
        // An id that no two topics share, also not one that is deleted and made again.
        let id = (0x6b66_u128 << 112) | self.topic_ids.len() as u128;
        self.topic_ids.insert(id, name.to_owned());
        let internal = ["__consumer_offsets", "__transaction_state"].contains(&name);
        self.topics.insert(name.to_owned(), Topic { id, internal, overrides, rules, partitions });
        let down: Vec<i32> = self.nodes.iter().filter(|(_, node)| !node.up).map(|(id, _)| *id).collect();
        for node in down {
            self.each_partition(|partition, now, _| partition.node_down(now, node));
        }
        Ok(())
    }

    /// Makes a topic with the broker's default replication.
    pub fn create_topic(&mut self, name: &str, partitions: i32, overrides: &[(&str, &str)]) -> Result<(), Refused> {
        self.create_topic_with(name, partitions, None, overrides)
    }

    /// Sets (or with `None` takes back) configs of a topic; none is set where one is refused.
    pub fn alter_topic(
        &mut self,
        name: &str,
        changes: &[(String, Option<String>)],
        validate_only: bool,
    ) -> Result<(), Refused> {
        for (config, value) in changes.iter().filter_map(|(config, value)| Some((config, value.as_ref()?))) {
            configs::check(self.version, config, value).map_err(|message| (ResponseError::InvalidConfig, message))?;
        }
        let Some(topic) = self.topics.get_mut(name) else {
            return Err((ResponseError::UnknownTopicOrPartition, format!("Unknown topic {name}")));
        };
        for (config, value) in changes.iter().filter(|_| !validate_only) {
            match value {
                Some(value) => topic.overrides.insert(config.clone(), value.clone()),
                None => topic.overrides.remove(config),
            };
        }
        topic.rules = configs::rules(self.version, &topic.overrides, &self.broker_configs);
        Ok(())
    }

    /// Sets a broker config as a properties file would.
    pub fn set_broker_config(&mut self, name: &str, value: &str) {
        self.broker_configs.insert(name.to_owned(), value.to_owned());
        for topic in self.topics.values_mut() {
            topic.rules = configs::rules(self.version, &topic.overrides, &self.broker_configs);
        }
    }

    /// Deletes a topic with its offsets; false where there is none.
    pub fn delete_topic(&mut self, name: &str) -> bool {
        self.groups.forget_topic(name);
        self.changes += 1;
        self.topics.remove(name).is_some()
    }

    /// Writes batches as they are, without any check; base offsets beyond the end leave gaps. False for a partition
    /// that does not exist.
    pub fn append(&mut self, topic: &str, partition: i32, batches: Bytes) -> bool {
        let found = self.partition_mut(topic, partition);
        found.map(|partition| partition.append_raw(batches)).is_some()
    }

    /// Moves a log start, as retention does; an empty log begins there.
    pub fn set_log_start(&mut self, topic: &str, partition: i32, offset: i64) {
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.log.set_start(offset);
            partition.replicate();
        }
    }

    /// Runs the log cleaner over a partition.
    pub fn compact(&mut self, topic: &str, partition: i32) {
        // Batches carry a delete horizon since 3.1; of the releases here that is every one that is KRaft.
        let horizon = (self.version >= Version::V4_1).then(|| self.now.saturating_add(86_400_000));
        if let Some(partition) = self.partition_mut(topic, partition) {
            let left = cleaner::clean(&partition.log, horizon);
            partition.log.replace(left);
        }
    }

    /// Changes one bit of the last byte of the batch that holds `offset`, as a bad disk does; false where there is none.
    pub fn corrupt(&mut self, topic: &str, partition: i32, offset: i64) -> bool {
        let Some(partition) = self.partition_mut(topic, partition) else { return false };
        let mut batches: Vec<Stored> = partition.log.batches().cloned().collect();
        let found = batches.iter_mut().find(|stored| stored.header.last_offset() >= offset);
        let changed = found.is_some_and(|stored| {
            let mut bytes = stored.bytes.to_vec();
            if let Some(last) = bytes.last_mut() {
                *last ^= 0x10;
            }
            stored.bytes = bytes.into();
            true
        });
        partition.log.replace(batches);
        changed
    }

    /// Commits an offset for a group without members.
    pub fn commit(&mut self, group: &str, topic: &str, partition: i32, offset: i64) {
        let committed = Committed { offset, leader_epoch: -1, metadata: String::new(), at: self.now };
        self.groups.commit(group, topic, partition, committed);
    }

    /// What a group committed.
    pub fn committed(&self, group: &str, topic: &str, partition: i32) -> Option<&Committed> {
        self.groups.get(group)?.offsets.get(&(topic.to_owned(), partition))
    }

    /// Stops a follower of one partition from fetching, or lets it go on.
    pub fn set_follower_up(&mut self, topic: &str, partition: i32, node: i32, up: bool) {
        let now = self.now;
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.set_follower_up(now, node, up);
        }
    }

    /// Stops all followers on a node from fetching, or lets them go on.
    pub fn set_following(&mut self, node: i32, up: bool) {
        self.each_partition(|partition, now, _| partition.set_follower_up(now, node, up));
    }

    /// Takes a follower out of the in-sync set at once instead of after replica.lag.time.max.ms.
    pub fn shrink_isr(&mut self, topic: &str, partition: i32, node: i32) {
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.shrink_isr(node);
        }
    }

    /// Makes another replica the leader; what it does not have is lost.
    pub fn elect(&mut self, topic: &str, partition: i32, node: i32) {
        if let Some(partition) = self.partition_mut(topic, partition) {
            partition.elect(node);
        }
    }

    /// Stops a node: its connections die, its partitions get other leaders where a replica is in sync.
    pub fn stop_node(&mut self, node: i32) {
        if let Some(state) = self.nodes.get_mut(&node) {
            state.up = false;
        }
        self.disconnect_all(node);
        self.each_partition(|partition, now, _| partition.node_down(now, node));
    }

    /// Starts a node again: it catches up, and remembers of producers what a restart leaves.
    pub fn start_node(&mut self, node: i32) {
        if let Some(state) = self.nodes.get_mut(&node) {
            state.up = true;
        }
        self.each_partition(|partition, now, expiry| partition.node_up(now, node, expiry));
    }

    /// Stops and starts all nodes: no leader moves, and producers are remembered as a restart leaves them.
    pub fn restart(&mut self) {
        for node in self.nodes.keys().copied().collect::<Vec<_>>() {
            self.disconnect_all(node);
        }
        self.each_partition(Partition::reload);
    }

    fn each_partition(&mut self, mut act: impl FnMut(&mut Partition, i64, i64)) {
        let (now, expiry) = (self.now, self.producer_expiry_ms());
        self.changes += 1;
        for partition in self.topics.values_mut().flat_map(|topic| topic.partitions.iter_mut()) {
            act(partition, now, expiry);
        }
    }
}
