//! The survey: everything that was seen of the two clusters, as plain data.
//!
//! What could not be seen is `None`, never a guess; the rules say so instead of concluding something from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

use crate::batch::{Codec, CodecSet};
use crate::cluster::Configs;
use crate::kafka::{
    ErrorCode, GroupId, HostPort, Offset, PartitionId, ProducerEpoch, ProducerId, Span, TopicId, TopicName,
    TopicPartition,
};

/// What was seen of both clusters at one time.
#[derive(Clone, PartialEq, Debug)]
pub struct Survey {
    /// When the survey began, in milliseconds since 1970 UTC.
    pub at_ms: i64,
    /// The cluster that is read.
    pub source: SourceFacts,
    /// The cluster that is written.
    pub target: TargetFacts,
}

/// Which cluster it is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ClusterIdentity {
    /// The id that the brokers tell; `None` where they tell none.
    pub id: Option<String>,
    /// The addresses that kferry was given.
    pub bootstrap: Vec<HostPort>,
    /// Where its brokers that are up say that they are reached.
    pub brokers: BTreeSet<HostPort>,
}

/// What was seen of the source.
#[derive(Clone, PartialEq, Debug)]
pub struct SourceFacts {
    /// Which cluster it is.
    pub identity: ClusterIdentity,
    /// The groups of all brokers.
    pub groups: Vec<Group>,
    /// Why the list of groups may lack some; `None` where it is whole.
    pub groups_hidden: Option<String>,
    /// The newest version of `ListOffsets` that all brokers speak.
    pub list_offsets_version: i16,
    /// Whether its brokers can tell configurations; those before 0.11 can't.
    pub tells_configs: bool,
    /// The names of all topics that exist.
    pub names: BTreeSet<TopicName>,
    /// The topics that were looked at: those that [`super::rules::select()`] takes.
    pub topics: BTreeMap<TopicName, SourceTopic>,
}

/// What kind of group it is: it decides whether its commits count.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GroupKind {
    /// The classic protocol: members that join and sync, or simple commits without members.
    Classic,
    /// The consumer protocol of KIP-848.
    Consumer,
    /// The streams protocol of KIP-1071.
    Streams,
    /// A share group of KIP-932: it has no committed offsets in this sense.
    Share,
    /// A kind that is newer than this program.
    Unknown(String),
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Classic => "classic",
            Self::Consumer => "consumer",
            Self::Streams => "streams",
            Self::Share => "share",
            Self::Unknown(name) => name,
        })
    }
}

/// A group of the source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Group {
    /// Its id.
    pub id: GroupId,
    /// Its kind.
    pub kind: GroupKind,
    /// Its protocol type, such as `consumer`; empty for a group that only ever committed.
    pub protocol_type: String,
    /// Its state as the broker spells it; `None` where it may not be described.
    pub state: Option<String>,
    /// How many members it has; `None` where it may not be described.
    pub members: Option<usize>,
    /// Its commits in the order of their partitions, or why they could not be read.
    pub commits: Result<Vec<Commit>, ErrorCode>,
}

/// A committed offset.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Commit {
    /// The partition it is for.
    pub at: TopicPartition,
    /// The first offset that the group has not read. Brokers store any number, also negative ones.
    pub offset: Offset,
    /// The string committed with it.
    pub metadata: String,
}

impl Commit {
    /// Whether it says where its group goes on.
    pub fn counts(&self) -> bool {
        self.offset.get() >= 0
    }
}

/// A topic of the source.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct SourceTopic {
    /// Its id, where the brokers have ids.
    pub id: Option<TopicId>,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionId, SourcePartition>,
    /// Its effective configuration; `None` where it may not be read.
    pub configs: Option<Configs>,
}

/// A partition of the source. The offsets are those of the survey's end, so that no commit read before them can lie
/// beyond them unless it really is ahead of the log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourcePartition {
    /// The first offset that can still be read.
    pub log_start: Offset,
    /// The offset behind the last replicated record.
    pub high_watermark: Offset,
    /// The offset behind the last record that no open transaction holds back; the high watermark where brokers have none.
    pub last_stable: Offset,
    /// The high watermark at the survey's beginning, at least one second earlier.
    pub high_watermark_before: Offset,
    /// The size of the whole log; `None` where it is not known.
    pub bytes: Option<u64>,
    /// For each time that the rules ask about (ms since 1970), the first offset whose record is not older; `None`
    /// inside where all are older. A time that is missing was not asked or not answered.
    pub first_since: BTreeMap<i64, Option<Offset>>,
    /// Offsets from a lane's start on that were seen to hold no record; `None` where it was not looked at.
    pub gap: Option<Span>,
    /// The codecs of those batches that were looked at.
    pub codecs: BTreeSet<Codec>,
    /// The transaction that holds the last stable offset back; `None` where none does or it was not looked at.
    pub open_transaction: Option<OpenTransaction>,
}

/// The first batch of the oldest open transaction of a partition.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenTransaction {
    /// Whose it is.
    pub producer: ProducerId,
    /// The producer's epoch.
    pub epoch: ProducerEpoch,
    /// The transaction's first offset, which is the last stable one.
    pub offset: Offset,
    /// The timestamp of its first record, in ms since 1970; `None` where it has none.
    pub since_ms: Option<i64>,
}

/// What was seen of the target.
#[derive(Clone, PartialEq, Debug)]
pub struct TargetFacts {
    /// Which cluster it is.
    pub identity: ClusterIdentity,
    /// A broker's effective configuration; `None` where it may not be read.
    pub broker_configs: Option<Configs>,
    /// The names of topic configurations that the target knows; `None` where no topic shows them.
    pub known_configs: Option<BTreeSet<String>>,
    /// The topics of the source's selection that exist here too.
    pub topics: BTreeMap<TopicName, TargetTopic>,
    /// Partitions that a migration has moved to this target: those with a commit of a `kferry-*` group.
    pub moved: BTreeMap<TopicPartition, BTreeSet<GroupId>>,
    /// The codecs that all brokers can store.
    pub codecs: CodecSet,
    /// The newest version of Produce that all brokers speak.
    pub produce_version: i16,
    /// The newest version of `CreateTopics` that all brokers speak.
    pub create_topics_version: i16,
    /// The shortest time a small request took; `None` where it was not measured.
    pub round_trip: Option<Duration>,
}

/// A topic of the target.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TargetTopic {
    /// Its id, where the brokers have ids.
    pub id: Option<TopicId>,
    /// Its partitions.
    pub partitions: BTreeMap<PartitionId, TargetPartition>,
    /// Its effective configuration; `None` where it may not be read.
    pub configs: Option<Configs>,
}

/// A partition of the target.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TargetPartition {
    /// The first offset that can still be read.
    pub log_start: Offset,
    /// The offset behind the last record.
    pub log_end: Offset,
    /// How many replicas it is to have.
    pub replicas: usize,
    /// How many of them are in sync.
    pub in_sync: usize,
}
