//! The requests besides Fetch and Produce, by subject. Nothing else in kferry uses `kafka_protocol`.

mod alter;
mod commit;
mod commits;
mod configs;
mod coordinator;
mod described;
mod groups;
mod membership;
mod metadata;
mod offsets;
mod producer;
mod topics;
mod versions;

pub use alter::{AlterConfigs, AlterConfigsAnswer, AlteredTopic, IncrementalAlterConfigs};
pub use commit::{CommitOffset, MemberOf, OffsetCommit, OffsetCommitAnswer};
pub use commits::{CommittedOffset, GroupCommits, OffsetFetch, OffsetFetchAnswer};
pub use configs::{ConfigEntry, ConfigSource, DescribeConfigs, DescribeConfigsAnswer, Resource, ResourceConfigs};
pub use coordinator::{Coordinator, FindCoordinator, FindCoordinatorAnswer};
pub use described::{ConsumerGroupDescribe, StreamsGroupDescribe};
pub use groups::{
    DescribeGroups, DescribeGroupsAnswer, DescribedGroup, ListGroups, ListGroupsAnswer, ListedGroup, Member,
};
pub use membership::{Heartbeat, JoinGroup, JoinGroupAnswer, LeaveGroup, MembershipAnswer, SyncGroup};
pub use metadata::{
    ClusterRights, ClusterRightsAnswer, Metadata, MetadataAnswer, MetadataBroker, MetadataPartition, MetadataTopic,
};
pub use offsets::{ListOffsets, ListOffsetsAnswer, ListOffsetsPartition, ListedPartition};
pub use producer::{InitProducerId, InitProducerIdAnswer};
pub use topics::{CreateTopics, CreateTopicsAnswer, CreatedTopic, NewTopic};
pub use versions::{ApiVersions, ApiVersionsAnswer};

use super::{Reader, Request, Rope, WireError};
use bytes::Bytes;
use kafka_protocol::protocol::{Encodable, StrBytes};

/// A request's body as `kafka_protocol` writes it.
fn write(message: &impl Encodable, version: i16) -> Result<Rope, WireError> {
    let mut out = Vec::new();
    message.encode(&mut out, version).map_err(|error| WireError::Unwritable { reason: error.to_string() })?;
    Ok(Rope::from(out))
}

/// A reader of `R`'s answer at `version`.
fn reader<R: Request>(version: i16, body: &Bytes) -> Reader<'_> {
    Reader::new(body, R::API.is_flexible(version))
}

fn string(text: &str) -> StrBytes {
    StrBytes::from_string(text.to_owned())
}

fn owned(text: Option<&str>) -> Option<String> {
    text.map(str::to_owned)
}
